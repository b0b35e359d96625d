//! For the targets' tests: from words, as they stand behind `-j`, to texts, bytes and effects.

use crate::ext::matches::testing::{SomeNames, expressions, show};
use crate::ext::options::{Kind, bit, give};
use crate::ext::{Effect, NativeCx, ParseCx, PrintCx, Target, UsageError};
use crate::packet::Packet;
use crate::packet::env::{Env, Place, State, UnknownHost};
use crate::types::{Family, Hook, Out};
use crate::wire::cond::{Fold, Item};
use crate::wire::expr::{Expr, ExprWriter, Exprs};
use crate::wire::{Attrs, Writer};

/// `-p tcp`.
pub const TCP: Option<(u8, bool)> = Some((6, false));

/// Reads words with a blank between; one in double quotes may have blanks inside.
pub fn parse(family: Family, protocol: Option<(u8, bool)>, text: &str) -> Result<Target, String> {
    let mut words = text
        .split('"')
        .enumerate()
        .flat_map(|(i, part)| if i % 2 == 1 { vec![part] } else { part.split_ascii_whitespace().collect() });
    let name = words.next().unwrap();
    let mut target = Target::new(name.as_bytes(), family).unwrap();
    let cx = ParseCx { family, names: &SomeNames, protocol };
    let spec = target.spec();
    let (mut seen, mut negated) = (0, false);
    let text = |e: UsageError| String::from_utf8(e.0).unwrap();
    while let Some(word) = words.next() {
        if word == "!" {
            negated = true;
            continue;
        }
        let opt = spec.options.iter().find(|o| Some(o.name) == word.strip_prefix("--")).unwrap();
        let value = if opt.takes_value() { words.next().unwrap() } else { "" };
        let mut given = give(spec, opt, negated, seen, value.as_bytes(), &cx).map_err(text)?;
        if opt.kind == Kind::Pair {
            let mut rest = words.clone();
            let second = rest.next().filter(|w| !w.starts_with(['-', '!']));
            given = given.with_second(second.map(str::as_bytes));
            words = rest;
        }
        target.set(&given, &cx).map_err(text)?;
        seen |= bit(opt.id);
        negated = false;
    }
    target.finish(seen, &cx).map_err(text)?;
    Ok(target)
}

/// The expressions that a target writes, as the payload of `NFTA_RULE_EXPRESSIONS`.
pub fn encoded(family: Family, target: &Target) -> Vec<u8> {
    let mut w = Writer::new();
    let list = w.nest(1);
    target.encode(family, &mut ExprWriter::new(&mut w));
    w.close(list);
    Attrs::new(w.as_bytes()).next().unwrap().unwrap().payload.to_vec()
}

/// What these words print as, behind the name in `-S` and in the column of `-L -n`, and their struct in hex; and the struct is read back.
pub fn row(family: Family, protocol: Option<(u8, bool)>, words: &str, save: &str, list: &str, hex: &str) {
    let target = parse(family, protocol, words).unwrap();
    prints(family, &target, save, list);
    let exprs = encoded(family, &target);
    let Some(Ok(Expr::Target { name, revision, info })) = Exprs::new(&exprs).next() else {
        panic!("{words}: no xt target")
    };
    assert_eq!(hex_of(info), hex, "{words}: struct");
    assert_eq!(Target::decode(name, revision, info, family, &mut Vec::new()), Some(target), "{words}: read back");
}

/// The `-S` and `-L -n` forms of a target.
pub fn prints(family: Family, target: &Target, save: &str, list: &str) {
    let cx = PrintCx { family, numeric: true, names: &SomeNames, protocol: None };
    let mut out = Out::new();
    target.save(&mut out, &cx);
    assert_eq!(String::from_utf8_lossy(out.as_bytes()).trim_start(), save);
    out.clear();
    target.list(&mut out, &cx);
    assert_eq!(String::from_utf8_lossy(out.as_bytes()), list, "{save}");
}

/// What these words are in native expressions (as [`show`] has them), and in the words of nft(8); `None` where there is neither.
pub fn ways(
    family: Family,
    protocol: Option<(u8, bool)>,
    words: &str,
    native: Option<&str>,
    translation: Option<&str>,
) {
    let target = parse(family, protocol, words).unwrap();
    let mut said = false;
    let cx = NativeCx { family, protocol };
    let text = expressions(|x| said = target.native(&cx, x), |e| e.map(show).collect::<Vec<_>>().join("; "));
    assert!(said || text.is_empty(), "{words}: refused, but wrote {text}");
    assert_eq!(said.then_some(text.as_str()), native, "{words}");
    let mut out = Out::new();
    let cx = PrintCx { family, numeric: true, names: &SomeNames, protocol: protocol.map(|(p, _)| p) };
    let said = target.translate(&cx, &mut out);
    let text = String::from_utf8_lossy(out.as_bytes()).into_owned();
    assert!(said || text.is_empty(), "{words}: refused, but printed {text}");
    assert_eq!(said.then_some(text.as_str()), translation, "{words}");
}

/// What the items folded from the target's own native expressions are raised to.
pub fn raised(family: Family, target: &Target) -> Option<Target> {
    let exprs = encoded(family, target);
    let mut body = crate::ext::Body::default();
    let mut fold = Fold::new();
    let mut emit = |item: Item<'_>| assert!(Target::raise(&item, family, &mut body), "{item:?} is not claimed");
    for expr in Exprs::new(&exprs) {
        fold.push(expr.unwrap(), &mut emit);
    }
    fold.finish(&mut emit);
    match body.action {
        crate::ext::Action::Target(t) => Some(t),
        _ => None,
    }
}

/// The error that these words make.
pub fn error(family: Family, protocol: Option<(u8, bool)>, words: &str, text: &str) {
    assert_eq!(parse(family, protocol, words), Err(text.into()), "{words}");
}

/// What the target does to a packet in the OUTPUT hook.
pub fn effect(family: Family, protocol: Option<(u8, bool)>, words: &str, packet: &mut Packet) -> Effect {
    let mut env = Env {
        hook: Hook::Output,
        now_ns: 0,
        host: &UnknownHost,
        state: &mut State::default(),
        random: &mut || 0,
        place: Place::default(),
        hotdrop: false,
    };
    parse(family, protocol, words).unwrap().apply(packet, &mut env)
}

/// Bytes in hex.
pub fn hex_of(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

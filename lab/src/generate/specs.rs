//! Random options from oxtables' own option tables, so that a new extension is covered without a word here.

use oxtables::ext::{Kind, Match, Opt, Spec, Target};
use oxtables::types::Family;

use super::values::Value;
use crate::random::Random;

/// A random match or target of oxtables that can stand in this chain; the words of its sample come with it.
pub fn any(random: &mut Random, v6: bool, table: &str, chain: &str) -> Option<(&'static Spec, bool)> {
    let (specs, target) = if random.percent(60) { (Match::ALL, false) } else { (Target::ALL, true) };
    let family = if v6 { Family::V6 } else { Family::V4 };
    let fitting = |spec: &&&'static Spec| {
        let mut places = spec.sample.split(' ').filter_map(|word| word.strip_prefix('@')).peekable();
        let anywhere = places.peek().is_none();
        let here = places.any(|place| {
            let (wanted_table, wanted_chain) = place.split_once('/').unwrap_or((place, ""));
            (wanted_table.is_empty() || wanted_table == table) && (wanted_chain.is_empty() || wanted_chain == chain)
        });
        spec.families.contains(&family) && (anywhere || here) && super::wanted(spec.name)
    };
    let fitting: Vec<&&'static Spec> = specs.iter().filter(fitting).collect();
    (!fitting.is_empty()).then(|| (**random.pick(&fitting), target))
}

/// The generic words that the extension's sample wants, `@table/CHAIN` left out.
pub fn generic(spec: &Spec) -> Vec<Vec<u8>> {
    spec.sample.split_whitespace().filter(|word| !word.starts_with('@')).map(|word| word.as_bytes().to_vec()).collect()
}

/// `-m NAME` or `-j NAME` with random options.
pub fn words(random: &mut Random, spec: &Spec, target: bool, v6: bool) -> Vec<Vec<u8>> {
    let mut chosen: Vec<&Opt> = Vec::new();
    let mut seen = 0_u32;
    let mut order: Vec<&Opt> = spec.options.iter().collect();
    random.shuffle(&mut order);
    for opt in order.iter().filter(|opt| opt.required) {
        if seen & bit(opt) == 0 {
            seen |= bit(opt);
            chosen.push(opt);
        }
    }
    let more = [0, 1, 1, 1, 2, 2, 3, 5][random.below(8)];
    for opt in order.into_iter().take(more + chosen.len()) {
        let excluded =
            seen & (bit(opt) | opt.excludes) != 0 || chosen.iter().any(|other| other.excludes & bit(opt) != 0);
        let lacking = opt.needs != 0 && seen & opt.needs != opt.needs;
        if (!excluded && !lacking) || random.percent(3) {
            seen |= bit(opt);
            chosen.push(opt);
        }
    }
    random.shuffle(&mut chosen);
    let name = if spec.aliases.is_empty() || random.percent(70) { spec.name } else { random.word(spec.aliases) };
    let mut out = vec![if target { b"-j".to_vec() } else { b"-m".to_vec() }, name.into()];
    for opt in chosen {
        if opt.invert && random.percent(20) {
            out.push(b"!".to_vec());
        }
        out.push(format!("--{}", opt.name).into_bytes());
        if opt.takes_value() {
            out.extend(value(random, opt, v6));
        }
    }
    out
}

/// The bit of the option in the masks of its table.
pub fn bit(opt: &Opt) -> u32 {
    1_u32.checked_shl(opt.id.into()).unwrap_or(0)
}

/// Random words for the option's value: an example, or what its kind takes.
pub fn value(random: &mut Random, opt: &Opt, v6: bool) -> Vec<Vec<u8>> {
    let family = if v6 { Family::V6 } else { Family::V4 };
    let examples = opt.examples_for(family);
    let by_kind = match opt.kind {
        Kind::Number { max, .. } => Some(Value::Number(max)),
        Kind::Range { max, .. } => Some(Value::Range(max, ':')),
        // Text without a limit is cut by the extension: long enough to see it.
        Kind::Text { max, .. } => Some(Value::Text(max.min(300))),
        Kind::Port => Some(Value::Port),
        Kind::PortRange => Some(Value::Ports),
        Kind::Host => Some(Value::Prefix),
        Kind::MarkMask => Some(Value::Masked),
        Kind::Mac => Some(Value::Mac),
        Kind::Protocol => Some(Value::Protocol),
        _ => None,
    };
    match by_kind {
        Some(kind) if examples.is_empty() || random.percent(40) => kind.words(random, v6),
        _ if examples.is_empty() => vec![b"1".to_vec()],
        _ if opt.kind == Kind::Pair => random.word(&examples).split(' ').map(|word| word.as_bytes().to_vec()).collect(),
        _ => vec![random.word(&examples).as_bytes().to_vec()],
    }
}

//! What the matches' tests share: rules as words, expressions as text, and packets to judge.

use crate::ext::options::{Given, Kind, bit, give};
use crate::ext::{Action, Body, Match, NativeCx, ParseCx, PrintCx};
use crate::packet::env::{AddrType, Env, Host, Place, State, UnknownHost};
use crate::packet::{Conntrack, CtDirection, CtEntry, CtFacts, CtState, CtTuple, Packet};
use crate::types::{Family, Hook, Names, NoNames, NumberList, Out, SetAnswer, SetFamily, Tri};
use crate::wire::cond::{Fold, Item};
use crate::wire::consts::*;
use crate::wire::{Attrs, Expr, ExprWriter, Exprs, Writer};
use std::net::IpAddr;

/// `-p tcp`.
pub const TCP: Option<(u8, bool)> = Some((6, false));
/// `-p udp`.
pub const UDP: Option<(u8, bool)> = Some((17, false));

/// Knows ssh (22/tcp), domain (53) and tftp (69/udp), root (0) and the group tty (5); the realm cosmos (0), the device groups default (0), lan
/// (1) and wan (2 and 7), the label `bulk one` (4), and a label that is called 5 (6).
pub struct SomeNames;

const SETS: [(&[u8], u16, SetFamily); 3] =
    [(b"s4", 0, SetFamily::Ip(Family::V4)), (b"s6", 3, SetFamily::Ip(Family::V6)), (b"list", 8, SetFamily::Any)];

const SERVICES: [(&[u8], u16, u8); 4] = [(b"ssh", 22, 6), (b"domain", 53, 6), (b"domain", 53, 17), (b"tftp", 69, 17)];

const NUMBERS: [(NumberList, &[u8], u32); 7] = [
    (NumberList::Realms, b"cosmos", 0),
    (NumberList::DeviceGroups, b"default", 0),
    (NumberList::DeviceGroups, b"lan", 1),
    (NumberList::DeviceGroups, b"wan", 2),
    (NumberList::DeviceGroups, b"wan", 7),
    (NumberList::ConnLabels, b"bulk one", 4),
    (NumberList::ConnLabels, b"5", 6),
];

impl Names for SomeNames {
    fn port(&self, service: &[u8], protocol: Option<u8>) -> Option<u16> {
        SERVICES.iter().find(|(n, _, p)| *n == service && protocol.is_none_or(|is| is == *p)).map(|(_, port, _)| *port)
    }
    fn service(&self, port: u16, protocol: Option<u8>) -> Option<Vec<u8>> {
        let found = SERVICES.iter().find(|(_, n, p)| *n == port && protocol.is_none_or(|is| is == *p));
        found.map(|(name, ..)| name.to_vec())
    }
    fn protocol(&self, name: &[u8]) -> Option<u8> {
        NoNames.protocol(name)
    }
    fn protocol_name(&self, number: u8) -> Option<Vec<u8>> {
        NoNames.protocol_name(number)
    }
    fn hosts(&self, name: &[u8], family: Family) -> Vec<IpAddr> {
        NoNames.hosts(name, family)
    }
    fn host_name(&self, addr: IpAddr) -> Option<Vec<u8>> {
        NoNames.host_name(addr)
    }
    fn network(&self, name: &[u8]) -> Option<IpAddr> {
        NoNames.network(name)
    }
    fn network_name(&self, addr: IpAddr) -> Option<Vec<u8>> {
        NoNames.network_name(addr)
    }
    fn uid(&self, name: &[u8]) -> Option<u32> {
        (name == b"root").then_some(0)
    }
    fn gid(&self, name: &[u8]) -> Option<u32> {
        (name == b"tty").then_some(5)
    }
    fn user_name(&self, uid: u32) -> Option<Vec<u8>> {
        (uid == 0).then(|| b"root".to_vec())
    }
    fn group_name(&self, gid: u32) -> Option<Vec<u8>> {
        (gid == 5).then(|| b"tty".to_vec())
    }
    fn set(&self, name: &[u8]) -> SetAnswer {
        let found = SETS.iter().find(|(n, ..)| *n == name);
        found.map_or(SetAnswer::Missing, |(_, index, members)| SetAnswer::Found { index: *index, members: *members })
    }
    fn set_name(&self, index: u16) -> Option<Vec<u8>> {
        SETS.iter().find(|(_, n, _)| *n == index).map(|(name, ..)| name.to_vec())
    }
    fn number(&self, list: NumberList, name: &[u8]) -> Option<u32> {
        NUMBERS.iter().find(|(l, n, _)| *l == list && *n == name).map(|(.., number)| *number)
    }
    fn number_name(&self, list: NumberList, number: u32) -> Option<Vec<u8>> {
        NUMBERS.iter().find(|(l, _, n)| *l == list && *n == number).map(|(_, name, _)| name.to_vec())
    }
    fn number_list_error(&self, _: NumberList) -> Option<String> {
        None
    }
}

/// A match with its surroundings.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the words say it")]
pub struct Read {
    pub family: Family,
    pub protocol: Option<(u8, bool)>,
    pub ext: Match,
    pub warnings: Vec<String>,
}

/// Reads `NAME --option value …`; the words are divided at single blanks, so that two blanks make an empty one.
pub fn read(family: Family, protocol: Option<(u8, bool)>, line: &str) -> Result<Read, String> {
    let cx = ParseCx { family, names: &SomeNames, protocol };
    let mut words = line.split(' ');
    let name = words.next().unwrap_or_default();
    let mut ext = Match::new(name.as_bytes(), family).ok_or("no such match")?;
    let (mut seen, mut negated, mut warnings) = (0, false, Vec::new());
    let text = |e: crate::ext::UsageError| String::from_utf8_lossy(&e.0).into_owned();
    while let Some(word) = words.next() {
        if word == "!" {
            negated = true;
            continue;
        }
        let long = word.strip_prefix("--").ok_or_else(|| format!("word {word}"))?;
        let opt = ext.spec().options.iter().find(|o| o.name == long).ok_or_else(|| format!("option {word}"))?;
        let value = if opt.takes_value() { words.next().ok_or("no value")? } else { "" };
        let mut given: Given<'_> = give(ext.spec(), opt, negated, seen, value.as_bytes(), &cx).map_err(text)?;
        if matches!(opt.kind, Kind::Pair | Kind::Optional) {
            let mut rest = words.clone();
            let second = rest.next().filter(|w| !w.starts_with(['-', '!']));
            given = given.with_second(second.map(str::as_bytes));
            if opt.kind == Kind::Pair || second.is_some() {
                words = rest;
            }
        }
        warnings.extend(ext.warning(&given, &cx).map(|w| w.into_owned()));
        ext.set(&given, &cx).map_err(text)?;
        seen |= bit(opt.id);
        negated = false;
    }
    ext.finish(seen, &cx).map_err(text)?;
    Ok(Read { family, protocol, ext, warnings })
}

/// The error text for a line, or what was read of it.
pub fn error(family: Family, protocol: Option<(u8, bool)>, line: &str) -> String {
    match read(family, protocol, line) {
        Ok(read) => format!("taken as{}", read.save()),
        Err(text) => text,
    }
}

impl Read {
    fn print_cx(&self, numeric: bool) -> PrintCx<'static> {
        let protocol = self.protocol.filter(|(_, not)| !not).map(|(p, _)| p);
        PrintCx { family: self.family, numeric, names: &SomeNames, protocol }
    }

    /// The `-S` text.
    pub fn save(&self) -> String {
        let mut out = Out::new();
        self.ext.save(&mut out, &self.print_cx(true));
        String::from_utf8_lossy(out.as_bytes()).into_owned()
    }

    /// The `-L` text.
    pub fn list(&self, numeric: bool) -> String {
        let mut out = Out::new();
        self.ext.list(&mut out, &self.print_cx(numeric));
        String::from_utf8_lossy(out.as_bytes()).into_owned()
    }

    /// The expressions as text (see [`show`]).
    pub fn wire(&self) -> String {
        expressions(|x| self.ext.encode(self.family, x), |e| e.map(show).collect::<Vec<_>>().join("; "))
    }

    /// The native expressions as text; `None` if there are none, and then nothing may have been written.
    pub fn native(&self) -> Option<String> {
        let cx = NativeCx { family: self.family, protocol: self.protocol };
        let mut said = false;
        let text = expressions(|x| said = self.ext.native(&cx, x), |e| e.map(show).collect::<Vec<_>>().join("; "));
        assert!(said || text.is_empty(), "refused, but wrote {text}");
        said.then_some(text)
    }

    /// The words of nft(8); `None` if there is no translation, and then nothing may have been printed.
    pub fn translation(&self) -> Option<String> {
        let mut out = Out::new();
        let said = self.ext.translate(&self.print_cx(true), &mut out);
        assert!(said || out.is_empty(), "refused, but printed {out:?}");
        said.then(|| String::from_utf8_lossy(out.as_bytes()).into_owned())
    }

    /// Whether a packet matches, and whether it is dropped at once.
    pub fn judge(&self, packet: &Packet) -> (Tri, bool) {
        self.judge_at(packet, Hook::Input, &UnknownHost)
    }

    /// The same at a hook of a host.
    pub fn judge_at(&self, packet: &Packet, hook: Hook, host: &dyn Host) -> (Tri, bool) {
        with_env(hook, host, |env| (self.ext.eval(packet, env), env.hotdrop))
    }

    /// Whether a packet matches.
    pub fn matches(&self, packet: &Packet) -> Tri {
        self.judge(packet).0
    }
}

/// Calls `f` with surroundings in which nothing is known but the hook and the host.
pub fn with_env<T>(hook: Hook, host: &dyn Host, f: impl FnOnce(&mut Env<'_>) -> T) -> T {
    let (mut state, mut random) = (State::default(), || 0);
    let place = Place::default();
    f(&mut Env { hook, now_ns: 0, host, state: &mut state, random: &mut random, place, hotdrop: false })
}

/// What conntrack says of the first packet of a connection from 192.0.2.1 to 198.51.100.7, with this changed of its entry.
pub fn entry(change: impl FnOnce(&mut CtEntry)) -> Conntrack {
    let (src, dst) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([198, 51, 100, 7]));
    let original = CtTuple { src, dst, protocol: 17, src_port: 40000, dst_port: 53 };
    let reply = original.reversed();
    let mut entry = CtEntry { status: 0, original, reply, expires: 29, mark: 0, facts: CtFacts::default() };
    change(&mut entry);
    Conntrack::tracked(CtState::New, CtDirection::Original, entry)
}

/// A host that knows one address of each listed type.
pub struct SomeHost(pub &'static [(&'static str, AddrType)]);

impl Host for SomeHost {
    fn addr_type(&self, addr: IpAddr, _: Option<&[u8]>) -> Option<AddrType> {
        self.0.iter().find(|(a, _)| a.parse() == Ok(addr)).map(|(_, ty)| *ty)
    }
}

/// Writes expressions and hands them to `f` as they read back.
pub fn expressions<T>(
    write: impl FnOnce(&mut ExprWriter<'_>),
    f: impl FnOnce(&mut dyn Iterator<Item = Expr<'_>>) -> T,
) -> T {
    let mut w = Writer::new();
    let list = w.nest(NFTA_RULE_EXPRESSIONS);
    write(&mut ExprWriter::new(&mut w));
    w.close(list);
    let list = Attrs::new(w.as_bytes()).next().unwrap().unwrap();
    f(&mut Exprs::new(list.payload).map(Result::unwrap))
}

/// One expression as the tables of the tests have it: `meta KEY`, `th+2,2` (a payload load: header, offset, length), `& ff`, `== 0016`,
/// `range 0001..0005`, `match NAME REVISION INFO`; of others the attributes, as `ct 1=00000001 2=00000003`.
pub fn show(expr: Expr<'_>) -> String {
    let hex = |b: &[u8]| b.iter().map(|b| format!("{b:02x}")).collect::<String>();
    match expr {
        Expr::Meta { key, .. } => format!("meta {key}"),
        Expr::Payload { base, offset, len, .. } => {
            format!("{}+{offset},{len}", if base == NFT_PAYLOAD_TRANSPORT_HEADER { "th" } else { "nh" })
        }
        Expr::Bitwise { mask, .. } => format!("& {}", hex(mask)),
        Expr::Cmp { op, data, .. } => {
            let op = ["==", "!=", "<", "<=", ">", ">="].get(op as usize).unwrap_or(&"?");
            format!("{op} {}", hex(data))
        }
        Expr::Range { op, from, to, .. } => {
            format!("{} {}..{}", if op == NFT_RANGE_NEQ { "!range" } else { "range" }, hex(from), hex(to))
        }
        Expr::Match { name, revision, info } => {
            format!("match {} {revision} {}", String::from_utf8_lossy(name), hex(info))
        }
        Expr::Other { name, data } => {
            let attrs = Attrs::new(data).map(Result::unwrap).map(|a| format!(" {}={}", a.ty, hex(a.payload)));
            format!("{}{}", String::from_utf8_lossy(name), attrs.collect::<String>())
        }
        other => format!("{other:?}"),
    }
}

/// Reads expressions as a rule of the kernel with this protocol; `None` if something is claimed by nobody.
pub fn raised(family: Family, protocol: Option<(u8, bool)>, write: impl FnOnce(&mut ExprWriter<'_>)) -> Option<Body> {
    let mut body = Body { action: Action::None, ..Body::default() };
    body.base.protocol = protocol;
    let mut exact = true;
    expressions(write, |exprs| {
        let mut fold = Fold::new();
        let mut take = |item: Item<'_>| {
            exact &= match item {
                Item::Expr(Expr::Match { name, revision, info }) => {
                    let found = Match::decode(name, revision, info, family, &mut Vec::new());
                    let known = found.is_some();
                    body.matches.extend(found);
                    known
                }
                item => Match::raise(&item, family, &mut body),
            };
        };
        exprs.for_each(|expr| fold.push(expr, &mut take));
        fold.finish(&mut take);
    });
    exact.then_some(body)
}

/// The `-S` text of a rule made of expressions, without its generic part; `opaque` if somebody claims them not.
pub fn raised_text(family: Family, protocol: Option<(u8, bool)>, write: impl FnOnce(&mut ExprWriter<'_>)) -> String {
    let Some(mut body) = raised(family, protocol, write) else { return "opaque".into() };
    let mut out = Out::new();
    let protocol = body.base.protocol.take().filter(|(_, not)| !not).map(|(p, _)| p);
    body.save(&mut out, &PrintCx { family, numeric: true, names: &NoNames, protocol }, None);
    String::from_utf8_lossy(out.as_bytes()).into_owned()
}

/// A line that stock takes: its `-S` text, its `-L -n` text and its expressions are these, and the expressions read back as the same.
pub fn row(family: Family, protocol: Option<(u8, bool)>, line: &str, save: &str, list: &str, wire: &str) {
    let read = read(family, protocol, line).unwrap_or_else(|e| panic!("{line}: {e}"));
    assert_eq!(read.save(), save, "-S of {line}");
    assert_eq!(read.list(true), list, "-L -n of {line}");
    assert_eq!(read.wire(), wire, "expressions of {line}");
    let body =
        raised(family, protocol, |x| read.ext.encode(family, x)).unwrap_or_else(|| panic!("{line} is not read back"));
    assert_eq!(body.matches, [read.ext], "{line} reads back as something else");
}

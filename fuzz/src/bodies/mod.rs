//! What the four bodies share: a cursor over the input, a few names, and the two round trips of a rule.

pub mod argv;
pub mod blob;
pub mod netlink;
pub mod restore;

use oxtables::compile::raise::{Raised, Raiser};
use oxtables::ext::{Action, Body, Match, PrintCx};
use oxtables::packet::Packet;
use oxtables::packet::build::{Icmp, Icmp6, Ipv4, Ipv6, Raw, Tcp, Udp};
use oxtables::packet::env::{Env, Place, State, UnknownHost};
use oxtables::text::lexer::Words;
use oxtables::text::{Command, Context, list, parse};
use oxtables::types::{Counters, Family, Hook, Names, NoNames, Out};
use oxtables::wire::{Attrs, Expr, ExprWriter, Exprs, Writer};
use std::net::IpAddr;
use std::sync::OnceLock;

/// Takes the input apart from the front; an input that has ended yields zeros.
pub struct Cursor<'a>(pub &'a [u8]);

impl<'a> Cursor<'a> {
    /// A byte.
    pub fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    /// Up to `len` bytes.
    pub fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// A byte `n`, and then up to `n` bytes.
    pub fn chunk(&mut self) -> &'a [u8] {
        let len = usize::from(self.byte());
        self.bytes(len)
    }

    /// A big-endian number.
    pub fn u32(&mut self) -> u32 {
        self.bytes(4).iter().fold(0, |n, b| n << 8 | u32::from(*b))
    }

    /// One of a list.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::from(self.byte()) % of.len()]
    }

    /// IPv4 or IPv6.
    pub fn family(&mut self) -> Family {
        self.pick(&[Family::V4, Family::V6])
    }
}

/// Knows a few names of each kind, so that the code behind names is reached.
pub struct FewNames;

impl Names for FewNames {
    fn port(&self, service: &[u8], _: Option<u8>) -> Option<u16> {
        (service == b"http").then_some(80)
    }
    fn service(&self, port: u16, _: Option<u8>) -> Option<Vec<u8>> {
        (port == 80).then(|| b"http".to_vec())
    }
    fn protocol(&self, name: &[u8]) -> Option<u8> {
        (name == b"gre").then_some(47)
    }
    fn protocol_name(&self, number: u8) -> Option<Vec<u8>> {
        (number == 47).then(|| b"gre".to_vec())
    }
    fn hosts(&self, name: &[u8], family: Family) -> Vec<IpAddr> {
        let all: &[&str] = match (name, family) {
            (b"one", Family::V4) => &["192.0.2.1"],
            (b"two", Family::V4) => &["192.0.2.1", "192.0.2.2"],
            (b"one", Family::V6) => &["2001:db8::1"],
            (b"two", Family::V6) => &["2001:db8::1", "2001:db8::2"],
            _ => &[],
        };
        all.iter().filter_map(|a| a.parse().ok()).collect()
    }
    fn host_name(&self, _: IpAddr) -> Option<Vec<u8>> {
        Some(b"host".to_vec())
    }
    fn network(&self, name: &[u8]) -> Option<IpAddr> {
        (name == b"lab").then(|| IpAddr::from([10, 0, 0, 0]))
    }
    fn network_name(&self, _: IpAddr) -> Option<Vec<u8>> {
        None
    }
    fn uid(&self, name: &[u8]) -> Option<u32> {
        (name == b"root").then_some(0)
    }
    fn gid(&self, name: &[u8]) -> Option<u32> {
        (name == b"root").then_some(0)
    }
    fn user_name(&self, uid: u32) -> Option<Vec<u8>> {
        (uid == 0).then(|| b"root".to_vec())
    }
    fn group_name(&self, gid: u32) -> Option<Vec<u8>> {
        (gid == 0).then(|| b"root".to_vec())
    }
}

/// The text behind `-A CHAIN` of a rule in the save format.
pub fn save_text(body: &Body, family: Family) -> Vec<u8> {
    let mut out = Out::new();
    body.save(&mut out, &PrintCx { family, numeric: true, names: &NoNames, protocol: None }, None);
    out.into_bytes()
}

/// Reads the text behind `-A CHAIN` as a line of a restore file.
pub fn read_text(text: &[u8], family: Family) -> Result<Vec<Body>, String> {
    let mut words = Words::default();
    words.split(text).map_err(|e| format!("{e:?}"))?;
    let args: Vec<&[u8]> = [&b"-A"[..], b"CHAIN"].into_iter().chain(words.iter()).collect();
    let cx = Context { family, names: &NoNames, restore: true, table: b"filter", verbose: false };
    let mut command = parse(&args, &cx, &mut Vec::new()).map_err(|e| String::from_utf8_lossy(&e.text).into_owned())?;
    Ok(bodies_of(&mut command))
}

/// The rules that a command makes; none if it is refused in the end.
pub fn bodies_of(command: &mut Command) -> Vec<Body> {
    let mut bodies = Vec::new();
    if command.late.is_some() {
        return bodies;
    }
    let done: Result<(), std::convert::Infallible> = command.rule.for_each(|body| {
        bodies.push(body.clone());
        // A list of addresses may make very many rules; some will do.
        bodies.truncate(8);
        Ok(())
    });
    let _ = done;
    bodies
}

/// A saved rule reads back as the same rule.
pub fn check_said_again(body: &Body, family: Family) {
    let text = save_text(body, family);
    let again = read_text(&text, family);
    let same = matches!(&again, Ok(bodies) if matches!(bodies.as_slice(), [one] if alike(one, body, family)));
    assert!(same, "saved as {}\nread back as {again:?}\nand was {body:?}", text.escape_ascii());
}

/// The payload of `NFTA_RULE_EXPRESSIONS` of a rule; `None` if it does not fit an attribute.
pub fn encoded(body: &Body, family: Family, counters: Counters) -> Option<Vec<u8>> {
    let mut w = Writer::new();
    let list = w.nest(4);
    body.encode(family, counters.packets, counters.bytes, &mut ExprWriter::new(&mut w));
    w.close(list);
    if w.overflowed() {
        return None;
    }
    let list = Attrs::new(w.as_bytes()).next().expect("an attribute").expect("a whole attribute");
    Some(list.payload.to_vec())
}

/// Extensions of which every struct that is read has words of its own. Others have structs that differ in what the kernel does not look at
/// (`CT`: a zone for both directions, and a zone for each; `recent`: the whole of an IPv4 address as all ones in 4 bytes or in 16; `icmp`: the
/// type `any` with or without a code; `frag`: all identifications, asked for or not; `time`: a day 0; `CONNMARK --set-xmark`: the packet's
/// mask): both must be readable, and each must be written where stock writes it, so their words are compared.
const ONE_FORM: &[&str] = &[
    "addrtype",
    "comment",
    "conntrack",
    "icmp6",
    "iprange",
    "length",
    "limit",
    "mac",
    "mark",
    "multiport",
    "owner",
    "physdev",
    "policy",
    "rpfilter",
    "sctp",
    "state",
    "tcp",
    "tcpmss",
    "udp",
    "DNAT",
    "LOG",
    "MARK",
    "MASQUERADE",
    "NFLOG",
    "NOTRACK",
    "QUEUE",
    "REDIRECT",
    "REJECT",
    "SNAT",
    "TCPMSS",
    "TRACE",
];

/// Equality, but for the two forms.
fn alike(a: &Body, b: &Body, family: Family) -> bool {
    let print = PrintCx { family, numeric: true, names: &NoNames, protocol: None };
    let text = |save: &dyn Fn(&mut Out)| {
        let mut out = Out::new();
        save(&mut out);
        out
    };
    let matches_alike = a.matches.len() == b.matches.len()
        && a.matches.iter().zip(&b.matches).all(|(a, b)| {
            a == b
                || (!ONE_FORM.contains(&a.spec().name) && text(&|o| a.save(o, &print)) == text(&|o| b.save(o, &print)))
        });
    let actions_alike = match (&a.action, &b.action) {
        (Action::Target(a), Action::Target(b)) if !ONE_FORM.contains(&a.spec().name) => {
            a.spec().name == b.spec().name && text(&|o| a.save(o, &print)) == text(&|o| b.save(o, &print))
        }
        (a, b) => a == b,
    };
    // `-i +` is written into the kernel and never printed, as by stock: every packet has an interface or none.
    let bases = [a, b].map(|body| {
        let mut base = body.base.clone();
        for iface in [&mut base.iif, &mut base.oif] {
            *iface = iface.filter(|(pattern, not)| *not || !pattern.is_any());
        }
        base
    });
    bases[0] == bases[1] && matches_alike && actions_alike
}

/// A rule as a command says it, written into the kernel and dumped again: it is a rule, it is printed the same, and what is printed reads
/// back as the same rule. (The rule itself may differ from the command in what makes no difference: a burst of 0 is the default burst.)
pub fn check_command(body: &Body, family: Family) {
    if has_line_feed(&save_text(body, family)) {
        return;
    }
    let Some(kept) = kept(body, family) else { return };
    if is_merged(body) {
        return check_said_again(&kept, family);
    }
    let (said, dumped) = (save_text(body, family), save_text(&kept, family));
    assert!(said == dumped, "said {}\ndumped {}", said.escape_ascii(), dumped.escape_ascii());
    check_said_again(&kept, family);
}

/// A rule as it was dumped is the same rule when it is written again, and when it is printed and read again.
pub fn check_rule(body: &Body, family: Family) {
    if has_line_feed(&save_text(body, family)) {
        return;
    }
    check_said_again(body, family);
    if let Some(kept) = kept(body, family).filter(|_| !is_merged(body)) {
        assert!(kept == *body, "read back as {kept:?}\nand was {body:?}");
    }
}

/// Two `-m tcp` may be read as one when they are written natively, where one says nothing that the other does not.
fn is_merged(body: &Body) -> bool {
    body.matches.iter().filter(|m| matches!(m.spec().name, "tcp" | "udp")).count() > 1
}

/// A line feed in a name or a text: the save format has no way to write it.
fn has_line_feed(text: &[u8]) -> bool {
    text.contains(&b'\n')
}

/// Whether the kernel refuses the rule: a protocol's xt match without that protocol. It can then not be dumped either.
fn is_refused(body: &Body, exprs: &[u8]) -> bool {
    let is_xt =
        |wire: &str| Exprs::new(exprs).any(|e| matches!(e, Ok(Expr::Match { name, .. }) if name == wire.as_bytes()));
    body.matches.iter().map(Match::spec).any(|spec| {
        let fits = matches!(body.base.protocol, Some((p, false)) if spec.implied_by.contains(&p));
        !spec.implied_by.is_empty() && !fits && is_xt(spec.wire)
    })
}

/// What is read of a rule's own expressions; `None` if they do not fit an attribute, or if the kernel would refuse them.
fn kept(body: &Body, family: Family) -> Option<Body> {
    let counters = Counters { packets: 1, bytes: 2 };
    let exprs = encoded(body, family, counters)?;
    match Raiser::new(family).raise(&exprs, None) {
        Raised::Rule(kept, c) if c == counters => Some(kept),
        Raised::Opaque(_) if is_refused(body, &exprs) => None,
        other => panic!("{body:?}\nis read back as {other:?}"),
    }
}

/// Every printed form of a rule can be made.
pub fn print_all(body: &Body, family: Family) {
    let mut out = Out::new();
    for numeric in [false, true] {
        let style =
            list::Style { family, numeric, verbose: numeric, exact: !numeric, line_numbers: true, names: &FewNames };
        list::rule(1, body, Counters { packets: u64::MAX, bytes: 0 }, &style, &mut out);
    }
    list::verbose_rule(body, family, &FewNames, &mut out);
}

/// Packets of both families: whole, cut short, and the tail of a fragmented one.
fn packets() -> &'static [Packet] {
    static PACKETS: OnceLock<Vec<Packet>> = OnceLock::new();
    PACKETS.get_or_init(|| {
        let tail = Ipv4 { fragment_offset: 8, ..Ipv4::default() };
        vec![
            Ipv4::default() / Tcp::default(),
            Ipv4::default() / Udp::default(),
            Ipv4::default() / Icmp::default(),
            Ipv4::default() / Raw { protocol: 6, payload: vec![0xff; 13] },
            Ipv4::default() / Raw { protocol: 132, payload: vec![0; 40] },
            tail / Raw { protocol: 17, payload: vec![1; 8] },
            Ipv6::default() / Tcp::default(),
            Ipv6::default() / Icmp6::default(),
            Ipv6::default() / Raw { protocol: 17, payload: vec![0; 3] },
        ]
    })
}

/// Every rule can be asked about every packet, at any time.
pub fn judge_all(body: &Body, family: Family) {
    let (mut state, mut random) = (State::default(), || 4);
    for (n, packet) in packets().iter().filter(|p| p.family() == family).enumerate() {
        let now_ns = [0, 1, u64::MAX, 1 << 40][n % 4];
        let mut env = Env {
            hook: Hook::Input,
            now_ns,
            host: &UnknownHost,
            state: &mut state,
            random: &mut random,
            place: Place::default(),
            hotdrop: false,
        };
        let _ = body.base.eval(packet);
        for m in &body.matches {
            let _ = m.eval(packet, &mut env);
        }
        if let Action::Target(target) = &body.action {
            let _ = target.apply(&mut packet.clone(), &mut env);
        }
    }
}

/// A rule that only jumps nowhere: the start of a rule made by hand.
pub fn with_match(m: Match, protocol: Option<u8>) -> Body {
    let mut body = Body { matches: vec![m], action: Action::None, ..Body::default() };
    body.base.protocol = protocol.map(|p| (p, false));
    body
}

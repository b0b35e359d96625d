//! Reading rules back from expressions: what is read is what was written, and what is read means what the expressions mean.

use std::cell::Cell;
use std::collections::HashMap;

use oxtables::compile::{Raised, Raiser, describe};
use oxtables::ext::{Action, Body, Match, PrintCx, Spec, Target};
use oxtables::packet::build::{Ipv4, Ipv6, Tcp, Udp};
use oxtables::packet::env::{Env, Place, State, UnknownHost};
use oxtables::packet::{Meta, Packet};
use oxtables::text::command::{Context, parse};
use oxtables::types::{Counters, Family, Hook, NoNames, Out, Tri};
use oxtables::wire::consts::*;
use oxtables::wire::{BlobWriter, Expr, ExprWriter, Exprs, Verdict, Writer};
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// So many cases; failures are shown, not filed.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

// --- rules from the option tables -------------------------------------------------------------------------------------------------

/// How one extension of a generated rule is picked: which, and which of its options with which of their examples.
type Pick = (Index, Vec<(Index, Index, bool)>);

fn pick() -> impl Strategy<Value = Pick> {
    (any::<Index>(), prop::collection::vec((any::<Index>(), any::<Index>(), prop::bool::weighted(0.2)), 0..4))
}

/// The words of a picked extension.
fn words(specs: &[&'static Spec], flag: &str, (which, options): &Pick, family: Family, words: &mut Vec<String>) {
    let spec = which.get(specs);
    words.extend([flag.to_owned(), spec.name.to_owned()]);
    let mut given = 0;
    for (which, example, not) in options {
        if spec.options.is_empty() {
            break;
        }
        let opt = which.get(spec.options);
        let examples = opt.examples_for(family);
        if given & 1 << opt.id != 0 || examples.is_empty() {
            continue;
        }
        given |= 1 << opt.id;
        if *not && opt.invert {
            words.push("!".to_owned());
        }
        words.push(format!("--{}", opt.name));
        if opt.takes_value() {
            words.push((*example.get(&examples)).to_owned());
        }
    }
}

fn generic(family: Family) -> impl Strategy<Value = Vec<String>> {
    let (hosts, nets) = match family {
        Family::V4 => ("192.0.2.1", vec!["10.0.0.0/8", "10.1.2.0/23", "1.2.3.4/255.0.255.0", "0.0.0.0/1"]),
        Family::V6 => ("2001:db8::1", vec!["fe80::/10", "2001:db8::/32", "2001:db8::/ffff:0:ffff::", "::/1"]),
    };
    let mut addresses = nets;
    addresses.push(hosts);
    let option = move |flag: &'static str, values: Vec<&'static str>| {
        prop::option::weighted(0.4, (select(values), prop::bool::weighted(0.2))).prop_map(move |given| {
            given.map_or(vec![], |(value, not)| {
                let mut words = if not { vec!["!".to_owned()] } else { vec![] };
                words.extend([flag.to_owned(), value.to_owned()]);
                words
            })
        })
    };
    (
        option("-s", addresses.clone()),
        option("-d", addresses),
        option("-i", vec!["lo", "eth0", "eth+", "+", "wlp3s0.100"]),
        option("-o", vec!["lo", "veth+", "+"]),
        option("-p", vec!["tcp", "udp", "icmp", "ipv6-icmp", "sctp", "99"]),
    )
        .prop_map(|(a, b, c, d, e)| [a, b, c, d, e].concat())
}

/// A rule in words; many do not parse.
fn rule(family: Family) -> impl Strategy<Value = Vec<String>> {
    let matches: Vec<_> = Match::ALL.iter().copied().filter(|s| s.families.contains(&family)).collect();
    let targets: Vec<_> = Target::ALL.iter().copied().filter(|s| s.families.contains(&family)).collect();
    let verdict = select(vec!["-j ACCEPT", "-j DROP", "-j RETURN", "-j user", "-g user", ""])
        .prop_map(|v| v.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    let target = pick().prop_map(move |p| {
        let mut out = Vec::new();
        words(&targets, "-j", &p, family, &mut out);
        out
    });
    (generic(family), prop::collection::vec(pick(), 0..4), prop_oneof![verdict, target]).prop_map(
        move |(mut all, picks, action)| {
            for pick in &picks {
                words(&matches, "-m", pick, family, &mut all);
            }
            all.extend(action);
            all
        },
    )
}

fn body_of(family: Family, words: &[String]) -> Option<Body> {
    let args: Vec<&[u8]> = [&b"-A"[..], b"chain"].into_iter().chain(words.iter().map(|w| w.as_bytes())).collect();
    let cx = Context { family, names: &NoNames, restore: false, table: b"filter", verbose: false };
    let mut command = parse(&args, &cx, &mut Vec::new()).ok().filter(|c| c.late.is_none())?;
    let mut first = None;
    let _: Result<(), ()> = command.rule.for_each(|body| {
        first.get_or_insert_with(|| body.clone());
        Ok(())
    });
    first
}

fn encoded(family: Family, body: &Body, counters: Counters) -> Vec<u8> {
    let mut w = Writer::new();
    body.encode(family, counters.packets, counters.bytes, &mut ExprWriter::new(&mut w));
    assert!(!w.overflowed());
    w.into_bytes()
}

fn printed(family: Family, body: &Body) -> String {
    let mut out = Out::new();
    body.save(&mut out, &PrintCx { family, numeric: true, names: &NoNames, protocol: None }, None);
    String::from_utf8_lossy(out.as_bytes()).into_owned()
}

/// A rule that stock itself cannot keep apart from another when it lists it: two matches that are listed as one.
fn is_merged(body: &Body) -> bool {
    let native = |m: &&Match| matches!(m.spec().name, "tcp" | "udp");
    body.matches.iter().filter(native).count() > 1
}

/// A rule that the kernel refuses: a protocol's xt match without that protocol, or a match that lacks what it has to ask for.
fn is_refused(body: &Body, exprs: &[u8]) -> bool {
    const INCOMPLETE: [&str; 2] = ["cgroup", "rateest"];
    let unread = |m: &Match| {
        let mut info = Vec::new();
        m.blob(Family::V4, &mut BlobWriter::new(&mut info));
        let spec = m.spec();
        INCOMPLETE.contains(&spec.name)
            && Match::decode(spec.wire.as_bytes(), m.revision(Family::V4), &info, Family::V4, &mut Vec::new()).is_none()
    };
    if body.matches.iter().any(unread) {
        return true;
    }
    let xt = |spec: &Spec| {
        Exprs::new(exprs).any(|e| matches!(e, Ok(Expr::Match { name, .. }) if name == spec.wire.as_bytes()))
    };
    body.matches.iter().map(Match::spec).any(|spec| {
        let fits = matches!(body.base.protocol, Some((p, false)) if spec.implied_by.contains(&p));
        !spec.implied_by.is_empty() && !fits && xt(spec)
    })
}

fn check_round_trip(family: Family, words: &[String], tried: &Cell<(u32, u32)>) -> Result<(), TestCaseError> {
    let (all, read) = tried.get();
    let Some(body) = body_of(family, words) else {
        tried.set((all + 1, read));
        return Ok(());
    };
    tried.set((all + 1, read + 1));
    let counters = Counters { packets: 5, bytes: 6 };
    let exprs = encoded(family, &body, counters);
    if is_refused(&body, &exprs) {
        return Ok(());
    }
    let raised = Raiser::new(family).raise(&exprs, None);
    let Raised::Rule(again, found) = raised else {
        return Err(TestCaseError::fail(format!("{} is opaque", words.join(" "))));
    };
    prop_assert_eq!(found, counters);
    if !is_merged(&body) {
        prop_assert_eq!(printed(family, &again), printed(family, &body), "{}", words.join(" "));
        // The kernel makes the default of a burst of 0, and so does the reader.
        let defaulted = words.windows(2).any(|w| w == ["--limit-burst", "0"]);
        prop_assert!(defaulted || again == body, "{}: {again:?} was {body:?}", words.join(" "));
    }
    prop_assert_eq!(Raiser::new(family).raise(&encoded(family, &again, counters), None), Raised::Rule(again, counters));
    Ok(())
}

#[test]
fn a_rule_that_was_written_reads_back() {
    for family in [Family::V4, Family::V6] {
        let tried = Cell::new((0, 0));
        let mut runner = proptest::test_runner::TestRunner::new(config(1500));
        runner.run(&rule(family), |words| check_round_trip(family, &words, &tried)).unwrap();
        let (all, read) = tried.get();
        assert!(read > 150, "{family}: only {read} of {all} generated rules parse");
    }
}

// --- meaning ------------------------------------------------------------------------------------------------------------------------

/// The registers of the kernel's machine, and what a rule of the few expressions below does with a packet: the reference for `raise`.
/// `net/netfilter/nf_tables_core.c`, `nft_cmp.c`, `nft_bitwise.c`, `nft_range.c`, `nft_payload.c`, `nft_meta.c`, as documented in nft(8).
struct Machine([u8; 64]);

impl Machine {
    fn at(reg: u32) -> usize {
        if reg <= NFT_REG_4 { (reg as usize - 1) * 16 } else { (reg - NFT_REG32_00) as usize * 4 }
    }

    fn load(&mut self, reg: u32, value: &[u8]) {
        let at = Self::at(reg);
        self.0[at..at + value.len().next_multiple_of(4)].fill(0);
        self.0[at..at + value.len()].copy_from_slice(value);
    }

    fn get(&self, reg: u32, len: usize) -> Vec<u8> {
        self.0[Self::at(reg)..][..len].to_vec()
    }

    /// What the rule says to the packet; `None` if it does not match.
    fn run(exprs: &[u8], packet: &Packet) -> Option<Action> {
        let mut m = Self([0; 64]);
        for expr in Exprs::new(exprs) {
            match expr.unwrap() {
                Expr::Meta { key, dreg } => m.load(dreg, &meta(packet, key)?),
                Expr::Payload { base, offset, len, dreg } => {
                    let bytes = match base {
                        NFT_PAYLOAD_NETWORK_HEADER => packet.bytes(),
                        // Whether a fragment is asked for depends on the load's length.
                        NFT_PAYLOAD_TRANSPORT_HEADER if matches!(len, 1 | 2 | 4) => packet.transport_as_loaded()?,
                        NFT_PAYLOAD_TRANSPORT_HEADER => packet.transport()?,
                        other => panic!("base {other}"),
                    };
                    let field = bytes.get(offset as usize..)?.get(..len as usize)?.to_vec();
                    m.load(dreg, &field);
                }
                Expr::Bitwise { sreg, dreg, mask, xor, .. } => {
                    let value = m.get(sreg, mask.len());
                    let value: Vec<u8> = value.iter().zip(mask).zip(xor).map(|((v, m), x)| (v & m) ^ x).collect();
                    m.load(dreg, &value);
                }
                Expr::Cmp { op, sreg, data } => {
                    let order = m.get(sreg, data.len()).as_slice().cmp(data);
                    let met = match op {
                        NFT_CMP_EQ => order.is_eq(),
                        NFT_CMP_NEQ => order.is_ne(),
                        NFT_CMP_LT => order.is_lt(),
                        NFT_CMP_LTE => order.is_le(),
                        NFT_CMP_GT => order.is_gt(),
                        _ => order.is_ge(),
                    };
                    if !met {
                        return None;
                    }
                }
                Expr::Range { op, sreg, from, to } => {
                    let value = m.get(sreg, from.len());
                    let inside = from <= value.as_slice() && value.as_slice() <= to;
                    if inside != (op == NFT_RANGE_EQ) {
                        return None;
                    }
                }
                Expr::Verdict(Verdict::Continue) | Expr::Counter { .. } => {}
                Expr::Verdict(Verdict::Accept) => return Some(Action::Accept),
                Expr::Verdict(Verdict::Drop) => return Some(Action::Drop),
                other => panic!("{other:?}"),
            }
        }
        Some(Action::None)
    }
}

fn meta(packet: &Packet, key: u32) -> Option<Vec<u8>> {
    let name = |name: &[u8]| {
        let mut padded = name.to_vec();
        padded.resize(16, 0);
        padded
    };
    Some(match key {
        NFT_META_IIFNAME => name(&packet.meta.iif),
        NFT_META_OIFNAME => name(&packet.meta.oif),
        NFT_META_L4PROTO => vec![packet.protocol()?],
        NFT_META_MARK => packet.meta.mark.to_ne_bytes().to_vec(),
        other => panic!("key {other}"),
    })
}

/// What the rule that was read says to the packet.
fn evaluate(body: &Body, packet: &Packet) -> Option<Action> {
    let mut state = State::default();
    let mut env = Env {
        hook: Hook::Forward,
        now_ns: 0,
        host: &UnknownHost,
        state: &mut state,
        random: &mut || 0,
        place: Place::default(),
        hotdrop: false,
    };
    let met = body.base.eval(packet) == Tri::True && body.matches.iter().all(|m| m.eval(packet, &mut env) == Tri::True);
    // Native conditions never drop a packet.
    let met = met && !env.hotdrop;
    met.then(|| body.action.clone())
}

/// One load and what is done with it.
#[derive(Clone, Debug)]
struct Step {
    /// A meta key, or base, offset and length of a field.
    what: Result<u32, (u32, u32, u32)>,
    reg: u32,
    mask: Option<(Vec<u8>, bool)>,
    /// Register of the masked value.
    to: u32,
    tests: Vec<(u32, Vec<u8>, Option<Vec<u8>>)>,
}

const NAMES: [&[u8]; 6] = [b"eth0\0", b"eth", b"eth0\0\0\0\0\0\0\0\0\0\0\0\0", b"lo\0", b"\0", b"eth+\0"];

fn step(family: Family) -> impl Strategy<Value = Step> {
    let (v4, v6) = (family == Family::V4, family == Family::V6);
    let nh = |offset, len| Err((NFT_PAYLOAD_NETWORK_HEADER, offset, len));
    let th = |offset, len| Err((NFT_PAYLOAD_TRANSPORT_HEADER, offset, len));
    let mut fields = vec![Ok(NFT_META_IIFNAME), Ok(NFT_META_OIFNAME), Ok(NFT_META_L4PROTO), Ok(NFT_META_MARK)];
    fields.extend([Ok(NFT_META_L4PROTO), th(0, 2), th(2, 2), th(2, 2), th(0, 4), th(13, 1), th(13, 1), th(1, 2)]);
    if v4 {
        fields.extend([nh(12, 4), nh(16, 4), nh(12, 2), nh(16, 3), nh(12, 8), nh(9, 1), nh(6, 2), nh(8, 1), nh(13, 2)]);
    }
    if v6 {
        fields.extend([nh(8, 16), nh(24, 16), nh(8, 4), nh(24, 1), nh(6, 1), nh(7, 1), nh(9, 4)]);
    }
    select(fields).prop_flat_map(move |what| {
        let len = match what {
            Ok(NFT_META_L4PROTO) => 1,
            Ok(NFT_META_MARK) => 4,
            Ok(_) => 16,
            Err((_, _, len)) => len as usize,
        };
        let masks = prop::option::weighted(0.3, (mask(len), prop::bool::weighted(0.9)));
        let test = (
            prop_oneof![4 => Just(NFT_CMP_EQ), 2 => Just(NFT_CMP_NEQ), 1 => 2u32..6],
            value(what, len),
            prop::option::weighted(0.2, value(what, len)),
        );
        (
            select(vec![1, 1, 1, 1, 2, 8, 9, 12]),
            masks,
            select(vec![None, None, None, Some(1), Some(3)]),
            prop::collection::vec(test, 0..3),
        )
            .prop_map(move |(reg, mask, to, tests)| Step { what, reg, mask, to: to.unwrap_or(reg), tests })
    })
}

fn mask(len: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (0..=len * 8).prop_map(move |ones| {
            (0..len)
                .map(|i| 0xffu16.checked_shr(ones.saturating_sub(i * 8) as u32).map_or(0xff, |r| !r as u8))
                .collect()
        }),
        select(vec![vec![0x17], vec![0x02], vec![0x1f, 0xff], vec![0xff, 0xff, 0, 0]]),
        prop::collection::vec(select(vec![0u8, 0xff, 0xf0]), len),
    ]
    .prop_map(move |mut mask| {
        mask.resize(len, 0);
        mask
    })
}

/// Values that packets have.
fn value(what: Result<u32, (u32, u32, u32)>, len: usize) -> BoxedStrategy<Vec<u8>> {
    let fitting: Vec<Vec<u8>> = match what {
        Ok(NFT_META_IIFNAME | NFT_META_OIFNAME) => {
            return select(NAMES.map(<[u8]>::to_vec).to_vec()).boxed();
        }
        Ok(NFT_META_MARK) => [0u32, 1, 5].map(|m| m.to_ne_bytes().to_vec()).to_vec(),
        Ok(_) => [6u8, 17, 1, 0].map(|p| vec![p]).to_vec(),
        Err((NFT_PAYLOAD_TRANSPORT_HEADER, _, 2)) => [22u16, 80, 0, 0xffff].map(|p| p.to_be_bytes().to_vec()).to_vec(),
        Err((NFT_PAYLOAD_TRANSPORT_HEADER, _, 4)) => vec![vec![0, 22, 0, 80], vec![0, 80, 0, 22]],
        Err((NFT_PAYLOAD_TRANSPORT_HEADER, ..)) => [0u8, 2, 0x12, 0x17].map(|p| vec![p]).to_vec(),
        Err((_, 9 | 6, 1)) => vec![vec![6], vec![17]],
        Err(_) => vec![
            vec![10, 1, 2, 3, 10, 9, 9, 9],
            vec![0; 16],
            vec![0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
            vec![0x20, 1, 0xd, 0xb8],
        ],
    };
    select(fitting)
        .prop_map(move |mut v| {
            v.resize(len, 0);
            v
        })
        .boxed()
}

fn write_steps(steps: &[Step], verdict: Verdict<'_>, counter_at: usize, early: usize) -> Vec<u8> {
    let mut w = Writer::new();
    for (i, step) in steps.iter().enumerate() {
        if i == early {
            ExprWriter::new(&mut w).verdict(Verdict::Accept);
        }
        let mut x = Any(&mut w);
        match step.what {
            Ok(key) => x.meta(key, step.reg),
            Err((base, offset, len)) => x.payload(base, offset, len, step.reg),
        }
        let mut from = step.reg;
        if let Some((mask, plain)) = &step.mask {
            let xor = vec![u8::from(!plain); mask.len()];
            x.bitwise(from, step.to, mask, &xor);
            from = step.to;
        }
        for (op, data, to) in &step.tests {
            match to {
                Some(to) if to.len() == data.len() => x.range(op & 1, from, data, to),
                _ => x.cmp(*op, from, data),
            }
        }
        if i == counter_at {
            ExprWriter::new(&mut w).counter(1, 2);
        }
    }
    ExprWriter::new(&mut w).verdict(verdict);
    w.into_bytes()
}

/// Writes expressions with any registers.
struct Any<'w>(&'w mut Writer);

impl Any<'_> {
    fn expr(&mut self, name: &str, attrs: &[(u16, u32)], data: &[(u16, &[u8])]) {
        let elem = self.0.nest(NFTA_LIST_ELEM);
        self.0.text(NFTA_EXPR_NAME, name.as_bytes());
        let nest = self.0.nest(NFTA_EXPR_DATA);
        for (ty, number) in attrs {
            self.0.u32(*ty, *number);
        }
        for (ty, bytes) in data {
            let value = self.0.nest(*ty);
            self.0.attr(NFTA_DATA_VALUE, bytes);
            self.0.close(value);
        }
        self.0.close(nest);
        self.0.close(elem);
    }

    fn meta(&mut self, key: u32, reg: u32) {
        self.expr("meta", &[(NFTA_META_KEY, key), (NFTA_META_DREG, reg)], &[]);
    }

    fn payload(&mut self, base: u32, offset: u32, len: u32, reg: u32) {
        let attrs = [
            (NFTA_PAYLOAD_DREG, reg),
            (NFTA_PAYLOAD_BASE, base),
            (NFTA_PAYLOAD_OFFSET, offset),
            (NFTA_PAYLOAD_LEN, len),
        ];
        self.expr("payload", &attrs, &[]);
    }

    fn bitwise(&mut self, from: u32, to: u32, mask: &[u8], xor: &[u8]) {
        let attrs = [
            (NFTA_BITWISE_SREG, from),
            (NFTA_BITWISE_DREG, to),
            (NFTA_BITWISE_LEN, mask.len() as u32),
            (NFTA_BITWISE_OP, 0),
        ];
        self.expr("bitwise", &attrs, &[(NFTA_BITWISE_MASK, mask), (NFTA_BITWISE_XOR, xor)]);
    }

    fn cmp(&mut self, op: u32, reg: u32, data: &[u8]) {
        self.expr("cmp", &[(NFTA_CMP_SREG, reg), (NFTA_CMP_OP, op)], &[(NFTA_CMP_DATA, data)]);
    }

    fn range(&mut self, op: u32, reg: u32, from: &[u8], to: &[u8]) {
        let data = [(NFTA_RANGE_FROM_DATA, from), (NFTA_RANGE_TO_DATA, to)];
        self.expr("range", &[(NFTA_RANGE_SREG, reg), (NFTA_RANGE_OP, op)], &data);
    }
}

fn packets(family: Family) -> impl Strategy<Value = Packet> {
    let addresses = match family {
        Family::V4 => vec!["10.1.2.3", "10.9.9.9", "0.0.0.0"],
        Family::V6 => vec!["2001:db8::1", "2001:db8:1::", "::"],
    };
    let ports = || select(vec![22u16, 80, 0, 0xffff, 81]);
    let names = || select(vec!["eth0", "eth1", "lo", "", "eth+", "INVAL/D"]);
    let marks = select(vec![0u32, 1, 5, 0xff]);
    let flags = select(vec![0u8, 2, 0x12, 0x17, 0x82]);
    let tail = prop::bool::weighted(0.1);
    (
        select(addresses.clone()),
        select(addresses),
        ports(),
        ports(),
        flags,
        any::<bool>(),
        tail,
        names(),
        names(),
        marks,
    )
        .prop_map(|(src, dst, src_port, dst_port, flags, tcp, tail, iif, oif, mark)| {
            let tcp_part = Tcp { src_port, dst_port, flags, ..Tcp::default() };
            let udp_part = Udp { src_port, dst_port, ..Udp::default() };
            let packet = match (src.parse(), src.parse()) {
                (Ok(src), _) => {
                    let fragment_offset = if tail { 64 } else { 0 };
                    let ip = Ipv4 { src, dst: dst.parse().unwrap(), fragment_offset, ..Ipv4::default() };
                    if tcp { ip / tcp_part } else { ip / udp_part }
                }
                (_, Ok(src)) => {
                    let ip = Ipv6 { src, dst: dst.parse().unwrap(), ..Ipv6::default() };
                    if tcp { ip / tcp_part } else { ip / udp_part }
                }
                _ => unreachable!("the addresses are of one of the two"),
            };
            let meta = Meta { iif: iif.into(), oif: oif.into(), mark, ..Meta::default() };
            packet.with_meta(meta)
        })
}

#[test]
fn what_is_read_means_what_the_expressions_mean() {
    for family in [Family::V4, Family::V6] {
        let seen: Cell<(u32, u32)> = Cell::new((0, 0));
        let protocol = select(vec![
            None,
            Some((6, NFT_CMP_EQ)),
            Some((6, NFT_CMP_EQ)),
            Some((17, NFT_CMP_EQ)),
            Some((6, NFT_CMP_NEQ)),
        ]);
        let steps = (protocol, prop::collection::vec(step(family), 0..3)).prop_map(|(protocol, mut steps)| {
            if let Some((protocol, op)) = protocol {
                let tests = vec![(op, vec![protocol], None)];
                steps.insert(0, Step { what: Ok(NFT_META_L4PROTO), reg: 1, mask: None, to: 1, tests });
            }
            steps
        });
        let strategy = (
            steps,
            select(vec![Verdict::Accept, Verdict::Drop, Verdict::Continue]),
            (0usize..4, 0usize..30),
            prop::collection::vec(packets(family), 12),
        );
        let mut runner = proptest::test_runner::TestRunner::new(config(4000));
        let result = runner.run(&strategy, |(steps, verdict, (counter_at, early), packets)| {
            let exprs = write_steps(&steps, verdict, counter_at, early);
            let (rules, hits) = seen.get();
            let Raised::Rule(body, _) = Raiser::new(family).raise(&exprs, None) else { return Ok(()) };
            let mut now = (rules + 1, hits);
            for packet in &packets {
                let (kernel, ours) = (Machine::run(&exprs, packet), evaluate(&body, packet));
                now.1 += u32::from(kernel.is_some());
                let mut out = Out::new();
                describe(family, &exprs, None, &mut out);
                let text = String::from_utf8_lossy(out.as_bytes()).into_owned();
                prop_assert_eq!(&kernel, &ours, "{} read as {} for {:?}", text, printed(family, &body), packet);
            }
            // What is printed is read by our own parser, as the same rule.
            let text = printed(family, &body);
            let mut line = oxtables::text::lexer::Words::default();
            prop_assert!(line.split(text.as_bytes()).is_ok(), "{}", text);
            let words: Vec<_> = line.iter().map(|w| String::from_utf8_lossy(w).into_owned()).collect();
            let said = body_of(family, &words);
            prop_assert!(said.is_some(), "cannot be said: {}", text);
            for (packet, said) in packets.iter().zip(std::iter::repeat(said.as_ref())) {
                prop_assert_eq!(evaluate(&body, packet), said.and_then(|s| evaluate(s, packet)), "{}", text);
            }
            // And it is written as something that means the same.
            let again = encoded(family, &body, Counters::default());
            let native = Exprs::new(&again).all(|e| !matches!(e, Ok(Expr::Match { .. })));
            for packet in packets.iter().filter(|_| native) {
                let (first, second) = (Machine::run(&exprs, packet), Machine::run(&again, packet));
                prop_assert_eq!(first, second, "{}", printed(family, &body));
            }
            seen.set(now);
            Ok(())
        });
        result.unwrap();
        let (rules, hits) = seen.get();
        assert!(rules > 100 && hits > 300, "{family}: only {rules} rules were read, {hits} packets matched");
    }
}

// --- nonsense -----------------------------------------------------------------------------------------------------------------------

fn read_everything(bytes: &[u8]) {
    let mut out = Out::new();
    for family in [Family::V4, Family::V6] {
        let raised = Raiser::new(family).raise(bytes, Some(bytes));
        if let Raised::Rule(body, _) = raised {
            printed(family, &body);
        }
        describe(family, bytes, Some(bytes), &mut out);
    }
    assert!(!out.as_bytes().iter().any(u8::is_ascii_control), "{:?}", String::from_utf8_lossy(out.as_bytes()));
}

proptest! {
    #![proptest_config(config(500))]

    #[test]
    fn random_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        read_everything(&bytes);
    }

    #[test]
    fn damaged_rules_are_read_without_panic(
        words in rule(Family::V4),
        damage in prop::collection::vec((any::<Index>(), any::<u8>()), 1..4),
        cut in any::<Index>(),
    ) {
        if let Some(body) = body_of(Family::V4, &words) {
            let mut exprs = encoded(Family::V4, &body, Counters::default());
            let mut experienced = Raiser::new(Family::V4);
            // Its shape is learned when it is read the second time, and known the third.
            for _ in 0..3 {
                prop_assert_eq!(experienced.raise(&exprs, None), Raiser::new(Family::V4).raise(&exprs, None));
            }
            for (at, byte) in damage {
                let at = at.index(exprs.len());
                exprs[at] ^= byte;
                prop_assert_eq!(experienced.raise(&exprs, None), Raiser::new(Family::V4).raise(&exprs, None));
            }
            read_everything(&exprs);
            exprs.truncate(cut.index(exprs.len()));
            read_everything(&exprs);
        }
    }
}

#[test]
fn names_of_all_extensions_are_unique() {
    for all in [Match::ALL, Target::ALL] {
        let mut seen = HashMap::new();
        for spec in all {
            for family in spec.families {
                assert!(seen.insert((spec.name, family), ()).is_none(), "{} is there twice", spec.name);
            }
        }
    }
}

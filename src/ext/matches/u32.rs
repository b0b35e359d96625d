//! `-m u32`: numbers of 32 bits anywhere in the packet.
//!
//! # Matches
//! Packets that pass all tests. A test takes four bytes at an offset from the network header as a number, masks and shifts it, goes on (`@`)
//! at that offset further, and looks whether the result is in one of its ranges. A byte that is not there fails the test; `!` turns the whole
//! round.
//! # Options
//! `[!] --u32 "TEST [&& TEST …]"`, a test being `OFFSET [& N | << N | >> N | @ OFFSET …] = N[:N][, …]`: ten of each at most.
//! # Wire
//! xt `u32` revision 0, `struct xt_u32` (1984 bytes, host order). Native: `payload load`, `bitwise`, and a comparison or a look into a set; none
//! with `@`, an offset over 255, or `!`, which would also have to match what is too short.
//! # Evaluates
//! Always known.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "u32"; `linux/netfilter/xt_u32.h`; fact sheet 3.4; observed with stock 1.8.9.

use crate::ext::options::{Given, Kind, Opt, UsageError, leading_number, skip_space};
use crate::ext::{Extension, MatchExt, NativeCx, ParseCx, PrintCx, Spec};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out, Tri};
use crate::usage;
use crate::wire::consts::NFT_PAYLOAD_NETWORK_HEADER;
use crate::wire::set::{AnonSet, Key};
use crate::wire::{BlobWriter, ExprWriter};

/// Tests that must all be passed, or not all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct U32 {
    /// 1 to 10.
    tests: Vec<Test>,
    invert: bool,
}

/// Where a number comes from, and which it may be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Test {
    offset: u32,
    /// At most 9.
    steps: Vec<(Op, u32)>,
    /// 1 to 10; both ends included, the first may be greater.
    values: Vec<(u32, u32)>,
}

/// `enum xt_u32_ops`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Op {
    And = 0,
    Left = 1,
    Right = 2,
    At = 3,
}

/// `XT_U32_MAXSIZE`; the struct has room for one more of each.
const MAX: usize = 10;
const ROOM: usize = MAX + 1;
/// Bytes of a place or of a range, and of a test.
const PAIR: usize = 8;
const TEST: usize = 2 * ROOM * PAIR + 4;

const OPTIONS: &[Opt] =
    &[Opt::value("u32", 0, Kind::Raw, "tests", "tests of four bytes at an offset, with && between")
        .invertible()
        .mandatory()
        .examples(&[
            "0=0",
            "0 & 0xFFFF = 0x100:0xFFFF",
            "6&0xFF=1",
            "6 & 0xFF = 1 && 4 & 0x1FFF = 0 && 0 >> 22 & 0x3C @ 0 >> 24 = 0",
            "0>>22&0x3C@12>>26&0x3C@0=0,1:3,0xff",
            "4294967295=4294967295",
            "12=0xc0a80001,0xc0a80002:0xc0a800ff",
            "0<<8>>24=1:20",
            "300=5",
            "0&1&2&3&4&5&6&7&8&9=1,2,3,4,5,6,7,8,9,10",
            "0=1&&1=1&&2=1&&3=1&&4=1&&5=1&&6=1&&7=1&&8=1&&9=1",
            "8=2:1",
        ])];

impl Extension for U32 {
    const SPEC: Spec = Spec { options: OPTIONS, ..Spec::new("u32", 0, "matches numbers of 32 bits in the packet") };

    fn new(_: Family) -> Self {
        Self { tests: Vec::new(), invert: false }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        self.tests = Reader { all: given.bytes(), rest: given.bytes() }.tests()?;
        self.invert = given.negated;
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(if self.invert { " ! --u32 " } else { " --u32 " });
        self.print(out);
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(if self.invert { " u32 ! " } else { " u32 " });
        self.print(out);
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        let pad = |b: &mut BlobWriter<'_>, used: usize| b.zeros(PAIR * ROOM.saturating_sub(used));
        for test in &self.tests {
            // An operator stands beside the number behind it; the first number has none, which is 0.
            for (op, number) in [(Op::And, test.offset)].iter().chain(&test.steps) {
                b.u32(*number);
                b.u8(*op as u8);
                b.align(4);
            }
            pad(b, test.steps.len() + 1);
            for (min, max) in &test.values {
                b.u32(*min);
                b.u32(*max);
            }
            pad(b, test.values.len());
            b.u8(u8::try_from(test.steps.len() + 1).unwrap_or(0));
            b.u8(u8::try_from(test.values.len()).unwrap_or(0));
            b.align(4);
        }
        b.zeros(TEST * ROOM.saturating_sub(self.tests.len()));
        b.u8(u8::try_from(self.tests.len()).unwrap_or(0));
        b.u8(u8::from(self.invert));
        b.align(4);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let [count, invert, ..] = *info.get(TEST * ROOM..)? else { return None };
        let count = usize::from(count);
        let tests = info.chunks_exact(TEST).take(count).map(Test::decode).collect::<Option<Vec<_>>>()?;
        ((1..=MAX).contains(&count) && invert <= 1).then_some(Self { tests, invert: invert != 0 })
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        let can = |test: &Test| {
            test.offset <= 255 && test.steps.iter().all(|(op, n)| *op != Op::At && (*op == Op::And || *n < 32))
        };
        if self.invert || !self.tests.iter().all(can) {
            return false;
        }
        for test in &self.tests {
            test.native(x);
        }
        true
    }
}

impl U32 {
    fn print(&self, out: &mut Out) {
        out.byte(b'"');
        for (i, test) in self.tests.iter().enumerate() {
            out.str(if i > 0 { "&&" } else { "" });
            write!(out, "{:#x}", test.offset);
            for (op, number) in &test.steps {
                let op = match op {
                    Op::And => "&",
                    Op::Left => "<<",
                    Op::Right => ">>",
                    Op::At => "@",
                };
                write!(out, "{op}{number:#x}");
            }
            for (i, (min, max)) in test.values.iter().enumerate() {
                write!(out, "{}{min:#x}", if i == 0 { "=" } else { "," });
                if min != max {
                    write!(out, ":{max:#x}");
                }
            }
        }
        out.byte(b'"');
    }
}

impl Test {
    fn decode(info: &[u8]) -> Option<Self> {
        let (places, rest) = info.split_at_checked(PAIR * ROOM)?;
        let (ranges, rest) = rest.split_at_checked(PAIR * ROOM)?;
        let [places_len, ranges_len, ..] = *rest else { return None };
        let mut found = Self::default();
        for (at, place) in places.chunks_exact(PAIR).take(places_len.into()).enumerate() {
            let [a, b, c, d, op, ..] = *place else { return None };
            let number = u32::from_ne_bytes([a, b, c, d]);
            let op = match op {
                0 => Op::And,
                1 => Op::Left,
                2 => Op::Right,
                3 => Op::At,
                _ => return None,
            };
            match at {
                0 if op != Op::And => return None,
                0 => found.offset = number,
                _ => found.steps.push((op, number)),
            }
        }
        for range in ranges.chunks_exact(PAIR).take(ranges_len.into()) {
            let (min, max) = range.split_first_chunk()?;
            found.values.push((u32::from_ne_bytes(*min), u32::from_ne_bytes(*max.first_chunk()?)));
        }
        let sayable = |len: u8| (1..=MAX).contains(&usize::from(len));
        (sayable(places_len) && sayable(ranges_len)).then_some(found)
    }

    /// The number; `None` if it is not in the packet.
    fn number(&self, bytes: &[u8]) -> Option<u32> {
        let load = |at: u32| {
            let bytes = bytes.get(usize::try_from(at).ok()?..)?.first_chunk::<4>()?;
            Some(u32::from_be_bytes(*bytes))
        };
        let (mut base, mut value) = (0u32, load(self.offset)?);
        for (op, n) in &self.steps {
            value = match op {
                Op::And => value & n,
                Op::Left => value.checked_shl(*n).unwrap_or(0),
                Op::Right => value.checked_shr(*n).unwrap_or(0),
                Op::At => {
                    base = base.checked_add(value)?;
                    load(base.checked_add(*n)?)?
                }
            };
        }
        Some(value)
    }

    fn native(&self, x: &mut ExprWriter<'_>) {
        x.payload(NFT_PAYLOAD_NETWORK_HEADER, self.offset, 4);
        // Shifts are of numbers in host order, comparisons of such in network order.
        let shifts = self.steps.iter().any(|(op, n)| *op != Op::And && *n != 0);
        if shifts {
            x.hton(4, 4);
        }
        for (op, n) in &self.steps {
            match op {
                Op::And => x.mask(&if shifts { n.to_ne_bytes() } else { n.to_be_bytes() }),
                _ if *n == 0 => {}
                _ => x.shift(*op == Op::Left, *n, 4),
            }
        }
        if shifts {
            x.hton(4, 4);
        }
        let ranges: Vec<_> = self.values.iter().filter(|(min, max)| min <= max).collect();
        match ranges.as_slice() {
            [] => x.never(),
            [(min, max)] => x.within(false, &min.to_be_bytes(), &max.to_be_bytes()),
            ranges => {
                let mut set = AnonSet::new(&[Key::Number(4)]);
                for (min, max) in ranges {
                    set.range(&[(&min.to_be_bytes(), &max.to_be_bytes())]);
                }
                x.lookup(false, set);
            }
        }
    }
}

/// Reads tests; positions in errors are counted in bytes from the start.
struct Reader<'t> {
    all: &'t [u8],
    rest: &'t [u8],
}

impl Reader<'_> {
    fn tests(mut self) -> Result<Vec<Test>, UsageError> {
        let mut tests = Vec::new();
        loop {
            let mut test = self.location()?;
            let more = self.values(&mut test)?;
            if tests.len() == MAX {
                return Err(self.error("too many \"&&\"s"));
            }
            tests.push(test);
            if !more {
                return Ok(tests);
            }
            if !self.eat(b'&') {
                return Err(self.error("a second '&' was expected"));
            }
        }
    }

    /// `OFFSET [OPERATOR NUMBER …] =`.
    fn location(&mut self) -> Result<Test, UsageError> {
        let mut test = Test::default();
        let mut first = true;
        loop {
            self.skip();
            if self.rest.is_empty() {
                return Err(usage!("u32: abrupt end of input after location specifier"));
            }
            if first && self.rest.starts_with(b"=") {
                return Err(self.error("location spec missing"));
            }
            if self.eat(b'=') {
                return Ok(test);
            }
            if first {
                test.offset = self.number()?;
                first = false;
                continue;
            }
            let op = self.operator()?;
            let number = self.number()?;
            if test.steps.len() + 1 == MAX {
                return Err(self.error("too many operators"));
            }
            test.steps.push((op, number));
        }
    }

    fn operator(&mut self) -> Result<Op, UsageError> {
        let op = match self.rest.first() {
            Some(b'&') => Op::And,
            Some(b'<') => Op::Left,
            Some(b'>') => Op::Right,
            Some(b'@') => Op::At,
            _ => return Err(self.error("operator expected")),
        };
        let sign = if op == Op::Left { b'<' } else { b'>' };
        self.step();
        if matches!(op, Op::Left | Op::Right) && !self.eat(sign) {
            return Err(self.error(&format!("a second '{}' was expected", char::from(sign))));
        }
        Ok(op)
    }

    /// `NUMBER[:NUMBER][, …]`; says whether the first `&` of another test has been read behind it.
    fn values(&mut self, test: &mut Test) -> Result<bool, UsageError> {
        self.skip();
        if self.rest.is_empty() {
            return Err(usage!("u32: test ended with no value specified"));
        }
        if self.eat(b'&') {
            let second = self.rest.starts_with(b"&");
            return Err(self.error(if second { "value spec missing" } else { "a second '&' was expected" }));
        }
        loop {
            let min = self.number()?;
            self.skip();
            let max = if self.eat(b':') { self.number()? } else { min };
            if test.values.len() == MAX {
                return Err(self.error("too many \",\"s"));
            }
            test.values.push((min, max));
            self.skip();
            if self.rest.is_empty() {
                return Ok(false);
            }
            if self.eat(b'&') {
                return Ok(true);
            }
            if !self.eat(b',') {
                return Err(self.error("expected \",\" or \"&&\""));
            }
        }
    }

    fn number(&mut self) -> Result<u32, UsageError> {
        let read = leading_number(self.rest).and_then(|(n, rest)| Some((u32::try_from(n).ok()?, rest)));
        let (n, rest) = read.ok_or_else(|| self.error("not a number or out of range"))?;
        self.rest = rest;
        Ok(n)
    }

    fn skip(&mut self) {
        self.rest = skip_space(self.rest);
    }

    fn step(&mut self) {
        self.rest = self.rest.get(1..).unwrap_or_default();
    }

    fn eat(&mut self, sign: u8) -> bool {
        let there = self.rest.first() == Some(&sign);
        if there {
            self.step();
        }
        there
    }

    fn error(&self, what: &str) -> UsageError {
        usage!("u32: at char {}: {what}", self.all.len() - self.rest.len())
    }
}

impl MatchExt for U32 {
    fn eval(&self, packet: &Packet, _: &mut Env<'_>) -> Tri {
        let passes = |test: &Test| {
            let number = test.number(packet.bytes());
            number.is_some_and(|n| test.values.iter().any(|(min, max)| (*min..=*max).contains(&n)))
        };
        Tri::from(self.tests.iter().all(passes) != self.invert)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{raised_text, read, row};
    use crate::packet::build::{Ipv4, Tcp, Udp};
    use crate::types::Family::{V4, V6};

    /// Bytes of the struct in hex, at offsets; zeros elsewhere.
    fn wire(parts: &[(usize, &str)]) -> String {
        let mut hex = "00".repeat(1984);
        for (at, part) in parts {
            hex.replace_range(2 * at..2 * at + part.len(), part);
        }
        format!("match u32 0 {hex}")
    }

    /// The words of a test line are divided at single blanks, so that none can stand in a value.
    #[test]
    fn what_stock_writes_and_prints() {
        for family in [V4, V6] {
            let row = |line: &str, save: &str, parts: &[(usize, &str)]| {
                let list = save.replace(" ! --u32", " u32 !").replace(" --u32", " u32");
                row(family, None, &format!("u32 {line}"), save, &list, &wire(parts));
            };
            row("--u32 0=0", " --u32 \"0x0=0x0\"", &[(176, "0101"), (1980, "01")]);
            row(
                "--u32 0&0xFFFF=0x100:0xFFFF",
                " --u32 \"0x0&0xffff=0x100:0xffff\"",
                &[(8, "ffff"), (88, "00010000ffff"), (176, "0201"), (1980, "01")],
            );
            row(
                "! --u32 6&0xFF=1&&0>>22&0x3C@0>>24=0,1:3",
                " ! --u32 \"0x6&0xff=0x1&&0x0>>0x16&0x3c@0x0>>0x18=0x0,0x1:0x3\"",
                &[
                    (0, "0600000000000000ff"),
                    (88, "0100000001"),
                    (176, "0201"),
                    (188, "16000000020000003c000000000000000000000003000000"),
                    (212, "1800000002"),
                    (276, "0100000003"),
                    (356, "0502"),
                    (1980, "0201"),
                ],
            );
        }
    }

    #[test]
    fn expressions() {
        let read = |text: &str| Reader { all: text.as_bytes(), rest: text.as_bytes() }.tests();
        let mut out = Out::new();
        U32 { tests: read(" 010 & 0xFF<< 2=1 : 2 ,\t+3 && 1=4 ").unwrap(), invert: false }.print(&mut out);
        assert_eq!(out.as_bytes(), b"\"0x8&0xff<<0x2=0x1:0x2,0x3&&0x1=0x4\"");
        let many = |n: u32| (0..n).map(|i| format!("{i}=1")).collect::<Vec<_>>().join("&&");
        for (text, words) in [
            ("", "abrupt end of input after location specifier"),
            ("0=1&&", "abrupt end of input after location specifier"),
            ("0=", "test ended with no value specified"),
            ("=0", "at char 0: location spec missing"),
            ("0=&&1=1", "at char 3: value spec missing"),
            ("0=x", "at char 2: not a number or out of range"),
            ("0=1, x", "at char 4: not a number or out of range"),
            (" x", "at char 1: not a number or out of range"),
            ("0&=1", "at char 2: not a number or out of range"),
            ("0=1:", "at char 4: not a number or out of range"),
            ("4294967296=0", "at char 0: not a number or out of range"),
            ("0 < <3=1", "at char 3: a second '<' was expected"),
            ("0>3=1", "at char 2: a second '>' was expected"),
            ("0=1&1=2", "at char 4: a second '&' was expected"),
            ("0|3=1", "at char 1: operator expected"),
            ("08=1", "at char 1: operator expected"),
            ("0=1 2", "at char 4: expected \",\" or \"&&\""),
            ("0&1&2&3&4&5&6&7&8&9&10=1", "at char 22: too many operators"),
            ("0=1,2,3,4,5,6,7,8,9,10,11", "at char 25: too many \",\"s"),
            (&many(11), "at char 54: too many \"&&\"s"),
            (&many(12), "at char 55: too many \"&&\"s"),
        ] {
            assert_eq!(read(text), Err(usage!("u32: {words}")), "{text}");
        }
    }

    #[test]
    fn what_other_programs_wrote() {
        let text = |parts: &[(usize, u8)]| {
            let mut info = vec![0; 1984];
            for (at, byte) in [(176, 1), (177, 1), (1980, 1)].iter().chain(parts) {
                info[*at] = *byte;
            }
            raised_text(V4, None, |x| x.xt_match("u32", 0, |b| b.bytes(&info)))
        };
        assert_eq!(text(&[(1981, 1)]), " -m u32 ! --u32 \"0x0=0x0\"");
        for part in [(176, 0), (176, 11), (177, 0), (1980, 0), (1980, 11), (1981, 2), (4, 1), (300, 1)] {
            assert_eq!(text(&[part]), "opaque", "{part:?}");
        }
        assert_eq!(text(&[(176, 2), (12, 4)]), "opaque");
    }

    #[test]
    fn natively() {
        let native = |line: &str| read(V4, None, &format!("u32 {line}")).unwrap().native();
        assert_eq!(native("--u32 12&0xffffff00=0xc0a80000").as_deref(), Some("nh+12,4; & ffffff00; == c0a80000"));
        assert!(native("--u32 0<<8>>24=1,5:6").is_some());
        for line in ["! --u32 0=0", "--u32 0@0=0", "--u32 256=0", "--u32 0>>32=0"] {
            assert_eq!(native(line), None, "{line}");
        }
    }

    #[test]
    fn what_it_means() {
        let udp = Ipv4 { src: [192, 168, 0, 7].into(), ..Ipv4::default() } / Udp { dst_port: 53, ..Udp::default() };
        let tcp = Ipv4::default() / Tcp { dst_port: 80, ..Tcp::default() };
        let verdict = |line: &str, packet| read(V4, None, &format!("u32 {line}")).unwrap().matches(packet);
        for (line, on_udp, on_tcp) in [
            ("--u32 6&0xFF=17", true, false),
            ("--u32 12=0xc0a80001:0xc0a800ff", true, false),
            ("--u32 0>>22&0x3C@0&0xFFFF=53,80", true, true),
            ("--u32 0>>22&0x3C@0&0xFFFF=54:79", false, false),
            ("--u32 0>>22&0x3C@16>>0=0:0xffffffff", false, true),
            ("! --u32 0>>22&0x3C@16=0:0xffffffff", true, false),
            ("--u32 24=0:0xffffffff", true, true),
            ("--u32 25=0:0xffffffff", false, true),
            ("--u32 4294967295=0:0xffffffff", false, false),
            ("--u32 0=2:1", false, false),
        ] {
            assert_eq!(verdict(line, &udp), Tri::from(on_udp), "{line} udp");
            assert_eq!(verdict(line, &tcp), Tri::from(on_tcp), "{line} tcp");
        }
    }
}

//! `-m connbytes`: how much a connection has carried so far.
//!
//! # Matches
//! Packets of a connection whose count (packets, bytes, or bytes a packet; of one direction or both together) lies in a range; `!` outside. A
//! packet whose connection is not counted (or that has none) never matches, inverted or not.
//! # Options
//! `[!] --connbytes FROM[:TO]`, u64 each, an end left out is 0 or the highest number; `--connbytes-dir {original|reply|both}`,
//! `--connbytes-mode {packets|bytes|avgpkt}`. All three are needed.
//! # Wire
//! xt `connbytes` revision 0: `struct xt_connbytes_info { u64 from, to; u8 what, direction; }`, host order, 24 bytes. Inverted: `from` and `to`
//! changed round, so that `from > to`.
//! Native: `ct load packets|bytes|avgpkt`, `byteorder`, `range eq|neq`. A connection that is not counted is 0 there, so not for a range that
//! such a 0 would match.
//! # Evaluates
//! Unknown if the packet has no conntrack state, or no entry or no counters where it should.
//! # Differs
//! `! --connbytes N:N` is refused: the struct cannot say it, and stock writes the rule without its `!`. `0:0` is printed whole; stock prints
//! `0`, which is `0:` when it is read again.
//! # Sources
//! iptables-extensions(8) "connbytes"; `linux/netfilter/xt_connbytes.h`.

use crate::ext::options::{Given, Kind, Opt, UsageError, usage_bytes};
use crate::ext::{Extension, MatchExt, NativeCx, ParseCx, PrintCx, Spec};
use crate::packet::env::Env;
use crate::packet::{CtState, Packet};
use crate::types::{Family, Out, Tri};
use crate::usage;
use crate::wire::consts::{NFT_CT_AVGPKT, NFT_CT_BYTES, NFT_CT_PKTS};
use crate::wire::{BlobWriter, ExprWriter};

/// A range of counts, both ends included. Inverted, `from` is less than `to`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ConnBytes {
    from: u64,
    to: u64,
    invert: bool,
    /// Index in [`MODES`].
    mode: u8,
    /// Index in [`DIRECTIONS`].
    dir: u8,
}

const RANGE: u8 = 0;
const DIR: u8 = 1;
const MODE: u8 = 2;

/// `enum xt_connbytes_what`.
const MODES: [&str; 3] = ["packets", "bytes", "avgpkt"];
/// `enum xt_connbytes_direction`.
const DIRECTIONS: [&str; 3] = ["original", "reply", "both"];

const OPTIONS: &[Opt] = &[
    Opt::value("connbytes", RANGE, Kind::Range { min: 0, max: u64::MAX }, "from[:to]", "range of the count")
        .invertible()
        .mandatory()
        .examples(&[
            "10",
            "10:20",
            ":20",
            "10:",
            "0",
            "1:1",
            "0x100:0x1000",
            "10000:100000",
            "18446744073709551615",
            "4294967296:",
        ]),
    Opt::value("connbytes-dir", DIR, Kind::Raw, "original|reply|both", "the direction that is counted")
        .mandatory()
        .examples(&DIRECTIONS),
    Opt::value("connbytes-mode", MODE, Kind::Raw, "packets|bytes|avgpkt", "what is counted")
        .mandatory()
        .examples(&MODES),
];

impl Extension for ConnBytes {
    const SPEC: Spec =
        Spec { options: OPTIONS, ..Spec::new("connbytes", 0, "matches how much the connection has carried so far") };

    fn new(_: Family) -> Self {
        Self { from: 0, to: u64::MAX, invert: false, mode: 0, dir: 0 }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        let text = given.bytes();
        let word = |words: &[&str]| {
            let at = (0..).zip(words).find(|(_, word)| word.as_bytes() == text).map(|(at, _)| at);
            at.ok_or_else(|| usage_bytes(&format!("Unknown --{} `", given.opt.name), text, "'"))
        };
        match given.id() {
            DIR => self.dir = word(&DIRECTIONS)?,
            MODE => self.mode = word(&MODES)?,
            _ => self.set_range(given)?,
        }
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        self.print(out, "--");
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        let (mode, dir) = self.words();
        out.str(if self.invert { " ! connbytes " } else { " connbytes " });
        self.range(out);
        write!(out, " connbytes mode {mode} connbytes direction {dir}");
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        let (first, second) = if self.invert { (self.to, self.from) } else { (self.from, self.to) };
        b.u64(first);
        b.u64(second);
        b.u8(self.mode);
        b.u8(self.dir);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let (first, rest) = info.split_first_chunk::<8>()?;
        let (second, rest) = rest.split_first_chunk::<8>()?;
        let (first, second) = (u64::from_ne_bytes(*first), u64::from_ne_bytes(*second));
        let [mode @ 0..3, dir @ 0..3, ..] = *rest else { return None };
        Some(Self { from: first.min(second), to: first.max(second), invert: first > second, mode, dir })
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        if self.holds(0) {
            return false;
        }
        let key = match self.mode {
            0 => NFT_CT_PKTS,
            1 => NFT_CT_BYTES,
            _ => NFT_CT_AVGPKT,
        };
        x.ct(key, (self.dir < 2).then_some(self.dir == 1));
        x.hton(8, 8);
        x.range(self.invert, &self.from.to_be_bytes(), &self.to.to_be_bytes());
        true
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        let (mode, dir) = self.words();
        let (from, to) = (self.from, self.to);
        out.str("ct ");
        if self.dir < 2 {
            write!(out, "{dir} ");
        }
        write!(out, "{mode} ");
        match (self.invert, to) {
            _ if from == to => write!(out, "{from}"),
            (true, u64::MAX) => write!(out, "lt {from}"),
            (false, u64::MAX) => write!(out, "ge {from}"),
            (true, _) => write!(out, "!= {from}-{to}"),
            (false, _) => write!(out, "{from}-{to}"),
        }
        true
    }
}

impl ConnBytes {
    fn set_range(&mut self, given: &Given<'_>) -> Result<(), UsageError> {
        let (from, to) = given.range();
        // One number is the start of an open range, and so is nothing at all.
        let to = if given.bytes().contains(&b':') { to } else { u64::MAX };
        let from = if given.bytes().is_empty() { 0 } else { from };
        if from > to {
            return Err(usage!("{from} should be less than {to}"));
        }
        if given.negated && from == to {
            return Err(usage!("connbytes: the kernel cannot be asked for \"! --connbytes\" with one number only.\n"));
        }
        (self.from, self.to, self.invert) = (from, to, given.negated);
        Ok(())
    }

    fn words(&self) -> (&'static str, &'static str) {
        let of = |words: [&'static str; 3], at: u8| words.get(usize::from(at)).copied().unwrap_or_default();
        (of(MODES, self.mode), of(DIRECTIONS, self.dir))
    }

    fn print(&self, out: &mut Out, dashes: &str) {
        let (mode, dir) = self.words();
        write!(out, " {}{dashes}connbytes ", if self.invert { "! " } else { "" });
        self.range(out);
        write!(out, " {dashes}connbytes-mode {mode} {dashes}connbytes-dir {dir}");
    }

    fn range(&self, out: &mut Out) {
        out.dec(self.from);
        if self.to != u64::MAX {
            out.byte(b':');
            out.dec(self.to);
        }
    }

    fn holds(&self, count: u64) -> bool {
        (self.from..=self.to).contains(&count) != self.invert
    }
}

impl MatchExt for ConnBytes {
    fn eval(&self, packet: &Packet, _: &mut Env<'_>) -> Tri {
        let Some(ct) = &packet.meta.ct else { return Tri::Unknown };
        let counters = match &ct.entry {
            Some(entry) => entry.facts.counters,
            None if matches!(ct.state, CtState::Invalid | CtState::Untracked) => return Tri::False,
            None => None,
        };
        let Some([original, reply]) = counters else { return Tri::Unknown };
        let (packets, bytes) = match self.dir {
            0 => original,
            1 => reply,
            _ => (original.0.wrapping_add(reply.0), original.1.wrapping_add(reply.1)),
        };
        let count = match self.mode {
            0 => packets,
            1 => bytes,
            _ => bytes.checked_div(packets).unwrap_or(0),
        };
        Tri::from(self.holds(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{entry, error, read, row};
    use crate::packet::Conntrack;
    use crate::packet::build::{Ipv4, Udp};
    use crate::types::Family::{V4, V6};

    const BOTH: &str = "--connbytes-mode bytes --connbytes-dir both";

    #[test]
    fn what_stock_writes_and_prints() {
        let max = "f".repeat(16);
        for family in [V4, V6] {
            for (args, save, hex) in [
                ("10:20", "10:20", "0a000000000000001400000000000000".to_owned()),
                ("! 10:20", "10:20", "14000000000000000a00000000000000".to_owned()),
                ("10", "10", format!("0a00000000000000{max}")),
                ("! 10:", "10", format!("{max}0a00000000000000")),
                (":20", "0:20", "00000000000000001400000000000000".to_owned()),
                ("", "0", format!("0000000000000000{max}")),
                ("0x10:16", "16:16", "10000000000000001000000000000000".to_owned()),
                ("18446744073709551615", "18446744073709551615", format!("{max}{max}")),
                ("0:0", "0:0", "0".repeat(32)),
            ] {
                let (not, value) = args.strip_prefix("! ").map_or(("", args), |v| ("! ", v));
                row(
                    family,
                    None,
                    &format!("connbytes {not}--connbytes {value} --connbytes-mode bytes --connbytes-dir reply"),
                    &format!(" {not}--connbytes {save} --connbytes-mode bytes --connbytes-dir reply"),
                    &format!(" {not}connbytes {save} connbytes mode bytes connbytes direction reply"),
                    &format!("match connbytes 0 {hex}0101000000000000"),
                );
            }
        }
    }

    #[test]
    fn stocks_words_for_what_it_does_not_take() {
        let near = |s: &str| {
            format!(
                "connbytes: bad value for option \"--connbytes\" near \"{s}\", or out of range (0-18446744073709551615).\n"
            )
        };
        let missing = |o: &str| format!("connbytes: option \"--{o}\" must be specified\n");
        for (args, text) in [
            ("--connbytes 20:10 --connbytes-dir both", "20 should be less than 10".to_owned()),
            ("--connbytes 18446744073709551616", near("18446744073709551616")),
            ("--connbytes 1:x", near("x")),
            ("--connbytes 1 --connbytes-dir rep", "Unknown --connbytes-dir `rep'".to_owned()),
            ("--connbytes 1 --connbytes-mode AVGPKT", "Unknown --connbytes-mode `AVGPKT'".to_owned()),
            ("--connbytes 1 --connbytes-mode bytes", missing("connbytes-dir")),
            ("--connbytes 1 --connbytes-dir both", missing("connbytes-mode")),
            (BOTH, missing("connbytes")),
        ] {
            assert_eq!(error(V4, None, &format!("connbytes {args}")), text, "{args}");
        }
        for args in ["! --connbytes 5:5", "! --connbytes 0:0", "! --connbytes 18446744073709551615"] {
            assert!(error(V4, None, &format!("connbytes {args} {BOTH}")).contains("one number"), "{args}");
        }
    }

    #[test]
    fn its_second_form_and_its_words_for_nft() {
        let value =
            |range: &str, rest: &str| read(V4, None, &format!("connbytes {range} --connbytes-mode {rest}")).unwrap();
        let load = "byteorder 1=00000001 2=00000001 3=00000001 4=00000008 5=00000008";
        for (range, rest, words, native) in [
            ("--connbytes 10:20", "packets --connbytes-dir both", "ct packets 10-20", true),
            ("! --connbytes 10:20", "bytes --connbytes-dir reply", "ct reply bytes != 10-20", false),
            ("! --connbytes 0:20", "bytes --connbytes-dir reply", "ct reply bytes != 0-20", true),
            ("--connbytes 10", "avgpkt --connbytes-dir original", "ct original avgpkt ge 10", true),
            ("! --connbytes 10", "avgpkt --connbytes-dir original", "ct original avgpkt lt 10", false),
            ("--connbytes 0:5", "packets --connbytes-dir both", "ct packets 0-5", false),
            ("--connbytes 5:5", "packets --connbytes-dir both", "ct packets 5", true),
        ] {
            let value = value(range, rest);
            assert_eq!(value.translation().as_deref(), Some(words));
            assert_eq!(value.native().is_some_and(|n| n.contains("byteorder")), native, "{words}");
        }
        let expected = format!("ct 2=0000000e 1=00000001; {load}; range 0000000000000001..0000000000000002");
        let native = value("--connbytes 1:2", "packets --connbytes-dir both").native().unwrap();
        assert_eq!(native.replace(" 3=00000001", ""), expected.replace(" 3=00000001", ""));
    }

    #[test]
    fn packets() {
        let mut packet = Ipv4::default() / Udp::default();
        let judge = |packet: &Packet, args: &str| read(V4, None, &format!("connbytes {args}")).unwrap().matches(packet);
        assert_eq!(judge(&packet, &format!("--connbytes 1 {BOTH}")), Tri::Unknown);
        packet.meta.ct = Some(Conntrack::UNTRACKED);
        assert_eq!(judge(&packet, &format!("! --connbytes 1 {BOTH}")), Tri::False);
        packet.meta.ct = Some(entry(|_| ()));
        assert_eq!(judge(&packet, &format!("--connbytes 0 {BOTH}")), Tri::Unknown);
        packet.meta.ct = Some(entry(|e| e.facts.counters = Some([(3, 300), (1, 1000)])));
        for (range, mode, dir, expected) in [
            ("--connbytes 1300:1300", "bytes", "both", true),
            ("--connbytes 4", "packets", "both", true),
            ("! --connbytes 4", "packets", "both", false),
            ("--connbytes 100:100", "avgpkt", "original", true),
            ("--connbytes 1:999", "bytes", "reply", false),
            ("! --connbytes 1:999", "bytes", "reply", true),
            ("--connbytes 325:325", "avgpkt", "both", true),
        ] {
            let args = format!("{range} --connbytes-mode {mode} --connbytes-dir {dir}");
            assert_eq!(judge(&packet, &args), Tri::from(expected), "{args}");
        }
    }
}

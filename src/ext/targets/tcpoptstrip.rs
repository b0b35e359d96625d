//! `-j TCPOPTSTRIP`: overwrites options in the TCP header with NOPs.
//!
//! # Options
//! `--strip-options list`: numbers 2 to 255 and names, with commas between, each once. Without it nothing is stripped.
//! # Wire
//! xt `TCPOPTSTRIP` revision 0: `struct xt_tcpoptstrip_target_info { u32 strip_bmap[8]; }`, host order, bit n of word n / 32. Native: none,
//! because `reset tcp option` leaves a packet alone whose TCP header is cut off, which the xt form drops.
//! # Evaluates
//! The options are overwritten; the walk goes on. A packet without its whole TCP header is dropped.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "TCPOPTSTRIP"; `linux/netfilter/xt_TCPOPTSTRIP.h`; measured.

use crate::ext::limits::Limit;
use crate::ext::options::{Given, Kind, Opt, UsageError, number, usage_bytes};
use crate::ext::{Effect, Extension, ParseCx, PrintCx, Spec, TargetExt};
use crate::packet::env::Env;
use crate::packet::{Packet, protocol};
use crate::types::{Family, Out};
use crate::usage;
use crate::wire::BlobWriter;

/// The options, bit n of word n / 32; never 0 and 1, which end the list and fill it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TcpOptStrip {
    options: [u32; 8],
}

/// Names of options.
const NAMES: [(&str, u8); 6] =
    [("wscale", 3), ("mss", 2), ("sack-permitted", 4), ("sack", 5), ("timestamp", 8), ("md5", 19)];

const NOTES: &[(&str, &str)] = &[
    ("wscale", "3, the window scale"),
    ("mss", "2, the maximum segment size"),
    ("sack-permitted", "4, selective acknowledgements are permitted"),
    ("sack", "5, a selective acknowledgement"),
    ("timestamp", "8, timestamps"),
    ("md5", "19, a signature"),
];

const STRIP: u8 = 0;

const OPTIONS: &[Opt] =
    &[Opt::value("strip-options", STRIP, Kind::Raw, "list", "numbers or names of the options, with commas between")
        .examples(&[
            "2",
            "wscale,99",
            "mss,wscale,sack-permitted,sack,timestamp,md5",
            "19,254",
            "0x2,010",
            "255",
            "31,32,33,63,64",
            "md5",
            "timestamp",
            "200,100,50,25",
        ])];

impl Extension for TcpOptStrip {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        sample: "-p tcp @mangle/PREROUTING",
        limits: &[Limit::tables(&["mangle"]), Limit::protocols(&[6])],
        notes: |_| NOTES,
        ..Spec::new("TCPOPTSTRIP", 0, "overwrites options in the TCP header")
    };

    fn new(_: Family) -> Self {
        Self::default()
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        for word in given.bytes().split(|b| *b == b',') {
            let named = NAMES.iter().find(|(name, _)| name.as_bytes() == word).map(|(_, option)| *option);
            let option = named.or_else(|| number(word, 0, 255).and_then(|n| u8::try_from(n).ok()));
            let option = option.ok_or_else(|| usage_bytes("Bad TCP option value \"", word, "\""))?;
            if option < 2 {
                return Err(usage!("Option value may not be 0 or 1"));
            }
            if self.has(option) {
                return Err(usage_bytes("Option \"", word, "\" already specified"));
            }
            if let Some(bits) = self.options.get_mut(usize::from(option / 32)) {
                *bits |= 1 << (option % 32);
            }
        }
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        self.print(out, " --strip-options ", true);
    }

    fn list(&self, out: &mut Out, cx: &PrintCx<'_>) {
        self.print(out, " TCPOPTSTRIP options ", cx.numeric);
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        self.options.iter().for_each(|bits| b.u32(*bits));
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let mut options = [0; 8];
        for (bits, bytes) in options.iter_mut().zip(info.as_chunks().0) {
            *bits = u32::from_ne_bytes(*bytes);
        }
        let read = Self { options };
        (!read.has(0) && !read.has(1)).then_some(read)
    }
}

impl TcpOptStrip {
    fn has(&self, option: u8) -> bool {
        self.options.get(usize::from(option / 32)).is_some_and(|bits| bits >> (option % 32) & 1 == 1)
    }

    fn print(&self, out: &mut Out, before: &str, numeric: bool) {
        for (i, option) in (0..=u8::MAX).filter(|option| self.has(*option)).enumerate() {
            out.str(if i == 0 { before } else { "," });
            match NAMES.iter().find(|(_, named)| *named == option && !numeric) {
                Some((name, _)) => out.str(name),
                None => out.dec(u64::from(option)),
            }
        }
    }
}

impl TargetExt for TcpOptStrip {
    fn apply(&self, packet: &mut Packet, _: &mut Env<'_>) -> Effect {
        if packet.protocol() != Some(protocol::TCP) || packet.is_fragment_tail() {
            return Effect::Continue;
        }
        let length = packet.transport().map_or(0, <[u8]>::len);
        if packet.tcp().is_none_or(|tcp| tcp.header_len() > length) {
            return Effect::Drop;
        }
        packet.strip_tcp_options(|option| self.has(option));
        Effect::Continue
    }
}

#[cfg(test)]
mod tests {
    use super::TcpOptStrip;
    use crate::ext::targets::testing::{TCP, effect, error, row, ways};
    use crate::ext::{Effect, Extension, PrintCx, Target};
    use crate::packet::build::{Ipv6, Tcp};
    use crate::types::Family::{V4, V6};
    use crate::types::{NoNames, Out};

    #[test]
    fn what_stock_writes_and_prints() {
        for (words, printed, hex) in [
            ("mss,wscale,sack-permitted,sack,timestamp,md5,99", "2,3,4,5,8,19,99", "3c0108000000000000000000080000"),
            ("0x2,010", "2,8", "0401"),
            ("md5,254", "19,254", "0000080000000000000000000000000000000000000000000000000000000040"),
        ] {
            let (save, list) = (format!("--strip-options {printed}"), format!(" TCPOPTSTRIP options {printed}"));
            let words = format!("TCPOPTSTRIP --strip-options {words}");
            row(V4, TCP, &words, &save, &list, &format!("{hex:0<64}"));
            row(V6, TCP, &words, &save, &list, &format!("{hex:0<64}"));
            ways(V4, TCP, &words, None, None);
        }
        row(V4, TCP, "TCPOPTSTRIP", "", "", &"0".repeat(64));
        let mut out = Out::new();
        let mut info = [0; 32];
        (info[0], info[31]) = (0x24, 0x80);
        let names = PrintCx { family: V4, numeric: false, names: &NoNames, protocol: None };
        TcpOptStrip::decode(&info, V4).unwrap().list(&mut out, &names);
        assert_eq!(out.as_bytes(), b" TCPOPTSTRIP options mss,sack,255");
        info[0] = 1;
        assert_eq!(Target::decode(b"TCPOPTSTRIP", 0, &info, V4, &mut Vec::new()), None);
    }

    #[test]
    fn stocks_words_for_what_it_does_not_take() {
        let bad = |word| format!("Bad TCP option value \"{word}\"");
        for (words, text) in [
            ("2,foo,1", bad("foo")),
            ("256", bad("256")),
            ("2,", bad("")),
            ("2,,3", bad("")),
            ("MSS", bad("MSS")),
            ("0", "Option value may not be 0 or 1".to_owned()),
            ("2,mss", "Option \"mss\" already specified".to_owned()),
        ] {
            error(V4, TCP, &format!("TCPOPTSTRIP --strip-options {words}"), &text);
        }
    }

    #[test]
    fn options_become_nops() {
        let options = |bytes: &[u8]| Tcp { options: bytes.to_vec(), ..Tcp::default() };
        let mut packet = Ipv6::default() / options(&[2, 4, 5, 0xb4, 1, 3, 3, 7, 4, 2, 1, 1]);
        let words = "TCPOPTSTRIP --strip-options wscale,sack-permitted";
        assert_eq!(effect(V6, TCP, words, &mut packet), Effect::Continue);
        assert_eq!(packet, Ipv6::default() / options(&[2, 4, 5, 0xb4, 1, 1, 1, 1, 1, 1, 1, 1]));
    }
}

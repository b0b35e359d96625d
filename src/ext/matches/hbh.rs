//! `-m hbh`: the hop-by-hop options header of IPv6.
//!
//! # Matches
//! Packets with a whole header of hop-by-hop options of this length (`!`: another), whose first options are these, in this order.
//! # Options
//! `[!] --hbh-len BYTES`, 0 to 4294967295; `--hbh-opts TYPE[:LEN],…`, up to 16, 0 to 255 each; a length of 255 is any; type 0 has none.
//! # Wire
//! xt `hbh` revision 0: `struct ip6t_opts { u32 hdrlen; u8 flags, invflags; u16 opts[16]; u8 optsnr; }`, host order, 39 bytes and padding; an
//! option is its type in the upper byte and its length in the lower.
//! Native: with `--hbh-len` of up to 256 bytes, without `!`, if each option but the last has its length, since the header's last byte and each
//! option's place are then known; each is loaded and compared. None otherwise, because nothing native asks whether a header has the length
//! that it says. A packet that is cut off in the header is no match (in xt it is dropped).
//! # Evaluates
//! Always known. A packet that is cut off in the header, or before it in the chain, is dropped at once.
//! # Differs
//! Types and lengths over 255 and below 0 are refused, which stock takes modulo 256. There is no translation of `--hbh-len`, for
//! stock's asks for the number of words.
//! # Sources
//! ip6tables-extensions(8) "hbh"; `linux/netfilter_ipv6/ip6t_opts.h`; RFC 8200 §4.3.

use super::ip6_options::{Options, len_option, opts_option};
use crate::ext::options::{Given, Opt, UsageError};
use crate::ext::{Extension, MatchExt, NativeCx, ParseCx, PrintCx, Spec};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::packet::ipv6::HOP_BY_HOP;
use crate::types::{Family, Out, Tri};
use crate::wire::{BlobWriter, ExprWriter};

/// What is asked of the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hbh(Options);

const OPTIONS: &[Opt] = &[len_option("hbh-len"), opts_option("hbh-opts")];

impl Extension for Hbh {
    const SPEC: Spec = Spec {
        families: &[Family::V6],
        options: OPTIONS,
        ..Spec::new("hbh", 0, "matches the hop-by-hop options header")
    };

    fn new(_: Family) -> Self {
        Self(Options::default())
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        self.0.set(given, "hbh", "PAD0 has not got length")
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        self.0.save("hbh", out);
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        self.0.list("hbh", out);
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        self.0.blob(b);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        Options::decode(info).map(Self)
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        self.0.native(HOP_BY_HOP, x)
    }
}

impl MatchExt for Hbh {
    fn eval(&self, packet: &Packet, env: &mut Env<'_>) -> Tri {
        self.0.eval(HOP_BY_HOP, packet, env)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{error, raised, read, row};
    use crate::packet::build::{Ipv6, Raw, Tcp};
    use crate::types::Family::V6;

    /// The struct: what stands before the options, the options, how many they are.
    fn info(head: &str, options: &str) -> String {
        format!("{head}{options:0<64}{:02x}00", options.len() / 4)
    }

    #[test]
    fn what_stock_writes_and_prints() {
        for (args, head, options, list) in [
            ("", "000000000000", "", " hbh"),
            (" --hbh-len 0", "000000000100", "", " hbh length:0"),
            (" ! --hbh-len 8 --hbh-opts 5", "080000000301", "ff05", " hbh length:!8 opts 5"),
            (" --hbh-opts 1:2,3,0", "000000000200", "0201ff03ff00", " hbh opts 1:2,3,0"),
        ] {
            row(V6, None, &format!("hbh{args}"), args, list, &format!("match hbh 0 {}", info(head, options)));
        }
        assert_eq!(read(V6, None, "hbh --hbh-opts 0x10:0xff").unwrap().save(), " --hbh-opts 16");
        for (at, byte) in [(4, 4), (4, 2), (38, 1), (38, 17), (5, 1)] {
            let mut bytes = [0; 40];
            bytes[at] = byte;
            assert!(raised(V6, None, |x| x.xt_match("hbh", 0, |b| b.bytes(&bytes))).is_none(), "{at} {byte}");
        }
    }

    #[test]
    fn stocks_words_for_what_it_does_not_take() {
        let many = format!(" --hbh-opts {}", ["1"; 17].join(","));
        for (args, text) in [
            (" --hbh-opts 0:1", "PAD0 has not got length"),
            (" --hbh-opts ", "hbh: no valid digits in opt `'"),
            (" --hbh-opts 1:x", "hbh: no valid digits in length `x'"),
            (" --hbh-opts 1:2:3", "hbh: error parsing length `2:3'"),
            (" --hbh-opts 5x", "hbh: error parsing opt `5x'"),
            (" --hbh-opts 256", "opt `256' specified too big: would overflow"),
            (" --hbh-opts 1:-1", "length `-1' specified too big: would overflow"),
            (" ! --hbh-opts 1", "hbh: option \"--hbh-opts\" cannot be inverted.\n"),
            (&many, "too many addresses specified"),
            (" --hbh-len x", "hbh: bad value for option \"--hbh-len\", or out of range (0-4294967295).\n"),
        ] {
            assert_eq!(error(V6, None, &format!("hbh{args}")), text, "{args}");
        }
    }

    #[test]
    fn packets() {
        let judge = |args: &str, packet: &Packet| read(V6, None, &format!("hbh{args}")).unwrap().judge(packet);
        let with =
            |body: &[u8]| Ipv6 { extensions: vec![(HOP_BY_HOP, body.to_vec())], ..Ipv6::default() } / Tcp::default();
        let packet = with(&[0, 5, 2, 9, 9, 1, 7, 0, 0, 0, 0, 0, 0, 0]);
        for (args, expected) in [
            ("", true),
            (" --hbh-len 16", true),
            (" ! --hbh-len 16", false),
            (" --hbh-opts 0,5:2,1:7", true),
            (" --hbh-opts 0,5,1", true),
            (" --hbh-opts 5", false),
            (" --hbh-opts 0,5:3", false),
            (" --hbh-opts 0,5,1,0", false),
            (" ! --hbh-len 8 --hbh-opts 0", true),
        ] {
            assert_eq!(judge(args, &packet), (Tri::from(expected), false), "{args}");
        }
        assert_eq!(judge(" --hbh-opts 1", &with(&[1, 200, 0, 0, 0, 0])), (Tri::True, false));
        assert_eq!(judge(" --hbh-opts 1,0", &with(&[1, 200, 0, 0, 0, 0])), (Tri::False, false));
        assert_eq!(judge("", &(Ipv6::default() / Tcp::default())), (Tri::False, false));
        let ends = |payload: &[u8]| Ipv6::default() / Raw { protocol: HOP_BY_HOP, payload: payload.to_vec() };
        assert_eq!(judge("", &ends(&[6])), (Tri::False, true));
        assert_eq!(judge("", &ends(&[6, 1, 0, 0, 0, 0, 0, 0])), (Tri::False, true));
    }

    #[test]
    fn native_expressions() {
        let load = |offset: u32| format!("exthdr 1=00000001 2={:02x} 3={offset:08x} 4=00000001 6=00000000", HOP_BY_HOP);
        let start = format!("{}; {}; == 01", load(15), load(1));
        let options = format!("; {}; == 00; {}; == 05; {}; == 02; {}; == 01", load(2), load(3), load(4), load(7));
        for (args, wire) in [
            ("", None),
            (" ! --hbh-len 16", None),
            (" --hbh-len 9", None),
            (" --hbh-len 16 --hbh-opts 1,2", None),
            (" --hbh-len 16 --hbh-opts 1:12,0", None),
            (" --hbh-len 16", Some(start.clone())),
            (" --hbh-len 16 --hbh-opts 0,5:2,1", Some(start + &options)),
        ] {
            let read = read(V6, None, &format!("hbh{args}")).unwrap();
            assert_eq!((read.native(), read.translation()), (wire, None), "{args}");
        }
    }
}

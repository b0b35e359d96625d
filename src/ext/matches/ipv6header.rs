//! `-m ipv6header`: which headers an IPv6 packet has.
//!
//! # Matches
//! Packets whose headers are exactly these, in any order, or (`--soft`) have these among them; `!` those with others, or (`--soft`) with none
//! of these.
//! # Options
//! `[!] --header NAME,…`: hop, dst, route, frag, auth, esp, none, prot, each also by a long name or a number, or as protocols(5) names it;
//! `--soft`.
//! # Wire
//! xt `ipv6header` revision 0: `struct ip6t_ipv6header_info { u8 matchflags, invflags, modeflag; }`, the latter two 0 or 255.
//! Native: none, because nothing native walks over the headers as this match does, through fragments too.
//! # Evaluates
//! Always known.
//! # Differs
//! Nothing known.
//! # Sources
//! ip6tables-extensions(8) "ipv6header"; `linux/netfilter_ipv6/ip6t_ipv6header.h`; RFC 8200 §4.

use crate::ext::options::{Given, Kind, Opt, UsageError, usage_bytes};
use crate::ext::{Extension, MatchExt, ParseCx, PrintCx, Spec};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::packet::ipv6::{AUTHENTICATION, FRAGMENT, NO_NEXT};
use crate::packet::protocol::ESP;
use crate::types::{Family, Out, Tri};
use crate::usage;
use crate::wire::BlobWriter;

/// The headers, a bit for each of `MASK_*`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ipv6Header {
    headers: u8,
    invert: bool,
    soft: bool,
}

const HEADER: u8 = 0;
const SOFT: u8 = 1;

/// A header's bit, number, short and long name, in the order in which they are printed. 255 stands for any other protocol.
const HEADERS: [(u8, u8, &str, &str); 8] = [
    (0x80, 0, "hop", "hop-by-hop"),
    (0x40, 60, "dst", "ipv6-opts"),
    (0x20, 43, "route", "ipv6-route"),
    (0x10, 44, "frag", "ipv6-frag"),
    (0x08, 51, "auth", "ah"),
    (0x04, 50, "esp", "esp"),
    (0x02, 59, "none", "ipv6-nonxt"),
    (PROTOCOL, 255, "prot", "protocol"),
];
const PROTOCOL: u8 = 0x01;

const OPTIONS: &[Opt] = &[
    Opt::value("header", HEADER, Kind::Raw, "header[,header...]", "headers of the packet")
        .invertible()
        .mandatory()
        .examples(EXAMPLES),
    Opt::flag("soft", SOFT, "the packet may have other headers besides"),
];

const EXAMPLES: &[&str] = &[
    "hop",
    "dst",
    "route",
    "frag",
    "auth",
    "esp",
    "none",
    "prot",
    "hop-by-hop",
    "ipv6-opts",
    "ipv6-route",
    "ipv6-frag",
    "ah",
    "ipv6-nonxt",
    "protocol",
    "0",
    "60",
    "43",
    "44",
    "51",
    "50",
    "59",
    "255",
    "hop,dst",
    "hop,route",
    "hop,frag",
    "hop,auth",
    "hop,esp",
    "hop,none",
    "hop,prot",
    "dst,route",
    "dst,frag",
    "dst,auth",
    "dst,esp",
    "dst,none",
    "dst,prot",
    "route,frag",
    "route,auth",
    "route,esp",
    "route,none",
    "route,prot",
    "frag,auth",
    "frag,esp",
    "frag,none",
    "frag,prot",
    "auth,esp",
    "auth,none",
    "auth,prot",
    "esp,none",
    "esp,prot",
    "none,prot",
    "esp,ah,hop",
    "0,60,prot",
    "43,44,esp",
    "hop,dst,route,frag,auth,esp,none,prot",
    "prot,none,esp",
    "frag,frag",
    "dst,route,prot",
    "hop,dst,none",
    "hop,frag,prot",
    "hop,route,esp",
    "hop,dst,route,prot",
    "dst,frag,auth,prot",
    "hop-by-hop,ipv6-opts,protocol",
    "ipv6-frag,esp,ah",
    "0,43,60,255",
    "44,255",
    "60,255",
    "51,255",
    "0,255",
    "43,50",
    "60,59",
    "hop,dst,route",
    "hop,dst,frag",
    "hop,dst,auth",
    "hop,dst,esp",
    "route,frag,prot",
    ",hop",
    "hop,",
];

impl Extension for Ipv6Header {
    const SPEC: Spec = Spec {
        families: &[Family::V6],
        options: OPTIONS,
        notes: |_| {
            &[
                ("hop, hop-by-hop, 0", "hop-by-hop options"),
                ("dst, ipv6-opts, 60", "destination options"),
                ("route, ipv6-route, 43", "routing header"),
                ("frag, ipv6-frag, 44", "fragment header"),
                ("auth, ah, 51", "Authentication Header"),
                ("esp, 50", "Encapsulating Security Payload"),
                ("none, ipv6-nonxt, 59", "no next header"),
                ("prot, protocol, 255", "any other protocol"),
            ]
        },
        ..Spec::new("ipv6header", 0, "matches the headers of the packet")
    };

    fn new(_: Family) -> Self {
        Self { headers: 0, invert: false, soft: false }
    }

    fn set(&mut self, given: &Given<'_>, cx: &ParseCx<'_>) -> Result<(), UsageError> {
        match given.id() {
            HEADER => (self.headers, self.invert) = (headers(given.bytes(), cx)?, given.negated),
            _ => self.soft = true,
        }
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(if self.invert { " ! --header " } else { " --header " });
        self.names(out);
        out.str(if self.soft { " --soft" } else { "" });
    }

    fn list(&self, out: &mut Out, cx: &PrintCx<'_>) {
        out.str(if self.invert { " ipv6header flags:!" } else { " ipv6header flags:" });
        if cx.numeric {
            write!(out, "0x{:02X}", self.headers);
        } else {
            self.names(out);
        }
        out.str(if self.soft { " soft" } else { "" });
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        let byte = |set: bool| if set { u8::MAX } else { 0 };
        b.bytes(&[self.headers, byte(self.invert), byte(self.soft)]);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let [headers, invert @ (0 | u8::MAX), soft @ (0 | u8::MAX), ..] = *info else { return None };
        (headers != 0).then_some(Self { headers, invert: invert != 0, soft: soft != 0 })
    }
}

impl Ipv6Header {
    fn names(&self, out: &mut Out) {
        let before = out.len();
        for (_, _, _, name) in HEADERS.iter().filter(|(bit, ..)| self.headers & bit != 0) {
            out.str(if out.len() > before { "," } else { "" });
            out.str(name);
        }
    }
}

/// Names with commas between; what is empty is passed over.
fn headers(text: &[u8], cx: &ParseCx<'_>) -> Result<u8, UsageError> {
    let mut headers = 0;
    for part in text.split(|b| *b == b',').filter(|part| !part.is_empty()) {
        let is = |number: u8| number.to_string().as_bytes() == part;
        let own =
            HEADERS.iter().find(|(_, n, short, long)| [short.as_bytes(), long.as_bytes()].contains(&part) || is(*n));
        let found = match (own, cx.names.protocol(part)) {
            (Some(own), _) => own,
            (None, None) => return Err(usage_bytes("unknown header `", part, "' specified")),
            (None, Some(protocol)) => {
                let header = HEADERS.iter().find(|(_, n, ..)| *n == protocol);
                header.ok_or_else(|| usage!("unknown header `{protocol}' specified"))?
            }
        };
        headers |= found.0;
    }
    if headers == 0 { Err(usage!("ip6t_ipv6header: cannot parse header names")) } else { Ok(headers) }
}

/// The headers that a packet has; `None` if it ends within one.
fn found(packet: &Packet) -> Option<u8> {
    let header = packet.ipv6()?;
    let (mut rest, mut next, mut found) = (header.payload(), header.next_header(), 0);
    while let Some((bit, ..)) = HEADERS.iter().find(|(bit, number, ..)| *number == next && *bit != PROTOCOL) {
        if next == NO_NEXT {
            return Some(found | bit);
        }
        let [after, words, ..] = *rest else { return None };
        found |= bit;
        let len = match next {
            ESP => return Some(found),
            FRAGMENT => 8,
            AUTHENTICATION => (usize::from(words) + 2) * 4,
            _ => (usize::from(words) + 1) * 8,
        };
        next = after;
        match rest.get(len..) {
            Some(behind) => rest = behind,
            // The header says more than there is: the walk ends, and what it names as next counts.
            None => break,
        }
    }
    Some(if matches!(next, NO_NEXT | ESP) { found } else { found | PROTOCOL })
}

impl MatchExt for Ipv6Header {
    fn eval(&self, packet: &Packet, _: &mut Env<'_>) -> Tri {
        let Some(found) = found(packet) else { return Tri::False };
        Tri::from(match (self.soft, self.invert) {
            (true, false) => found & self.headers == self.headers,
            (true, true) => found & self.headers == 0,
            (false, invert) => (found == self.headers) != invert,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{error, raised, read, row};
    use crate::packet::build::{Ipv6, Raw, Tcp};
    use crate::packet::ipv6::{DESTINATION, HOP_BY_HOP};
    use crate::types::Family::V6;

    #[test]
    fn what_stock_writes_and_prints() {
        for (args, save, info, list) in [
            (" --header hop", " --header hop-by-hop", "8000000000000000", " ipv6header flags:0x80"),
            (
                " --soft ! --header 50,auth,,",
                " ! --header ah,esp --soft",
                "0cffff0000000000",
                " ipv6header flags:!0x0C soft",
            ),
            (
                " --header hop,dst,route,frag,auth,esp,none,prot",
                " --header hop-by-hop,ipv6-opts,ipv6-route,ipv6-frag,ah,esp,ipv6-nonxt,protocol",
                "ff00000000000000",
                " ipv6header flags:0xFF",
            ),
        ] {
            row(V6, None, &format!("ipv6header{args}"), save, list, &format!("match ipv6header 0 {info}"));
        }
        let read = read(V6, None, "ipv6header ! --header 255,0").unwrap();
        assert_eq!(read.list(false), " ipv6header flags:!hop-by-hop,protocol");
        assert_eq!((read.native(), read.translation()), (None, None));
        for bytes in [[0, 0, 0], [1, 1, 0], [1, 0, 1]] {
            assert!(raised(V6, None, |x| x.xt_match("ipv6header", 0, |b| b.bytes(&bytes))).is_none());
        }
    }

    #[test]
    fn stocks_words_for_what_it_does_not_take() {
        for (args, text) in [
            ("", "ipv6header: option \"--header\" must be specified\n"),
            (" --header ,", "ip6t_ipv6header: cannot parse header names"),
            (" --header hop,foo", "unknown header `foo' specified"),
            (" --header 00", "unknown header `00' specified"),
            (" --header ah ! --soft", "ipv6header: option \"--soft\" cannot be inverted.\n"),
        ] {
            assert_eq!(error(V6, None, &format!("ipv6header{args}")), text, "{args}");
        }
    }

    #[test]
    fn packets() {
        let judge = |args: &str, packet: &Packet| {
            let (answer, dropped) = read(V6, None, &format!("ipv6header {args}")).unwrap().judge(packet);
            assert!(!dropped);
            answer == Tri::True
        };
        let extensions = vec![(HOP_BY_HOP, vec![0; 6]), (AUTHENTICATION, vec![0; 10]), (DESTINATION, vec![0; 6])];
        let packet = Ipv6 { extensions, ..Ipv6::default() } / Tcp::default();
        assert!(judge("--header hop,auth,dst,prot", &packet));
        assert!(!judge("--header hop,auth,dst", &packet) && judge("! --header hop,auth,dst", &packet));
        assert!(judge("--header hop,prot --soft", &packet) && !judge("--header hop,frag --soft", &packet));
        assert!(judge("! --header frag,esp --soft", &packet) && !judge("! --header frag,hop --soft", &packet));
        let raw = |protocol, payload: &[u8]| Ipv6::default() / Raw { protocol, payload: payload.to_vec() };
        assert!(judge("--header none", &raw(NO_NEXT, &[])) && judge("--header esp", &raw(ESP, &[0; 2])));
        assert!(!judge("--header esp", &raw(ESP, &[0])) && !judge("! --header hop", &raw(DESTINATION, &[6])));
        assert!(judge("--header dst,prot", &raw(DESTINATION, &[6, 9])));
        assert!(judge("--header dst", &raw(DESTINATION, &[59, 9])));
        let tail = raw(FRAGMENT, &[DESTINATION, 0, 0, 8, 0, 0, 0, 1, 6, 0, 0, 0, 0, 0, 0, 0]);
        assert!(judge("--header frag,dst,prot", &tail));
    }
}

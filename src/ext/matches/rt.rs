//! `-m rt`: the routing header of IPv6.
//!
//! # Matches
//! Packets with a whole routing header of a type, with segments left in a range, of a length in bytes (`!`: another one, outside); of type 0
//! with a reserved field of nought, and with addresses: exactly these in this order, or these in this order among others. What is given must
//! all hold.
//! # Options
//! `[!] --rt-type N`, `[!] --rt-segsleft N[:M]`, `[!] --rt-len BYTES`, 0 to 4294967295 each; behind `--rt-type 0`: `--rt-0-res`, `--rt-0-addrs
//! ADDR,…` (up to 16), and behind that `--rt-0-not-strict`.
//! # Wire
//! xt `rt` revision 0: `struct ip6t_rt { u32 rt_type, segsleft[2], hdrlen; u8 flags, invflags; struct in6_addr addrs[16]; u8 addrnr; }`, host
//! order, 277 bytes and padding.
//! Native: with `--rt-len` of up to 256 bytes, without `!` and without `--rt-0-not-strict`, since the header's last byte is then known, and
//! must be there; each field is loaded and compared. None otherwise, because nothing native asks whether a header has the length that it
//! says. A packet that is cut off in the header is no match (in xt it is dropped).
//! # Evaluates
//! Always known. A packet that is cut off in the header, or before it in the chain, is dropped at once.
//! # Differs
//! `! --rt-segsleft 0:4294967295`, which no packet meets, is printed; stock prints nothing there. There is no translation of `--rt-len`
//! (stock's asks for the number of words) nor where nothing is asked (stock's matches every packet).
//! # Sources
//! ip6tables-extensions(8) "rt"; `linux/netfilter_ipv6/ip6t_rt.h`; RFC 8200 §4.4, RFC 2460 §4.4.

use super::headers::{self, load_extension};
use super::numbers::{EXAMPLES, KIND, Numbers};
use crate::ext::options::{Given, Kind, Opt, UsageError, bit, usage_bytes};
use crate::ext::{Extension, MatchExt, NativeCx, ParseCx, PrintCx, Spec};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::packet::ipv6::ROUTING;
use crate::types::{Family, Out, Tri};
use crate::usage;
use crate::wire::{BlobWriter, ExprWriter};
use std::net::{IpAddr, Ipv6Addr};

/// What is asked of the header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rt {
    kind: u32,
    not_kind: bool,
    segments: Numbers,
    /// Length in bytes.
    len: u32,
    not_len: bool,
    addrs: Vec<Ipv6Addr>,
    /// `IP6T_RT_*`: what is given.
    flags: u8,
}

const TYPE: u8 = 0;
const SEGMENTS: u8 = 1;
const LEN: u8 = 2;
const RESERVED: u8 = 3;
const ADDRS: u8 = 4;
const NOT_STRICT: u8 = 5;

const ALL_FLAGS: u8 = 0x3f;
/// `IP6T_RT_HOPS`.
const ADDRS_MAX: usize = 16;
/// What stands before the addresses of type 0, in bytes.
const TYPE0_LEN: usize = 8;

const U32: Kind = Kind::Number { min: 0, max: u32::MAX as u64 };

const OPTIONS: &[Opt] = &[
    Opt::value("rt-type", TYPE, U32, "type", "type of the header")
        .invertible()
        .examples(&["0", "0", "0", "1", "2", "3", "4", "0x10", "255", "256"]),
    Opt::value("rt-segsleft", SEGMENTS, KIND, "num[:num]", "segments left").invertible().examples(EXAMPLES),
    Opt::value("rt-len", LEN, U32, "length", "length of the header in bytes")
        .invertible()
        .examples(&["0", "8", "24", "40", "0x38", "2048", "9"]),
    Opt { needs: bit(TYPE), ..Opt::flag("rt-0-res", RESERVED, "the reserved field is 0 (type 0)") },
    Opt {
        needs: bit(TYPE),
        ..Opt::value("rt-0-addrs", ADDRS, Kind::Raw, "addr[,addr...]", "addresses of type 0, at most 16").examples(&[
            "::1",
            "2001:db8::1,2001:db8::2",
            "::",
            "::ffff:1.2.3.4,::1,fe80::1",
            "::1,::2,::3,::4,::5,::6,::7,::8,::9,::10,::11,::12,::13,::14,::15,::16",
        ])
    },
    Opt {
        needs: bit(ADDRS) | bit(TYPE),
        ..Opt::flag("rt-0-not-strict", NOT_STRICT, "other addresses may stand between")
    },
];

impl Extension for Rt {
    const SPEC: Spec =
        Spec { families: &[Family::V6], options: OPTIONS, ..Spec::new("rt", 0, "matches the routing header") };

    fn new(_: Family) -> Self {
        Self { kind: 0, not_kind: false, segments: Numbers::ALL, len: 0, not_len: false, addrs: Vec::new(), flags: 0 }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        let type0 = self.has(TYPE) && self.kind == 0 && !self.not_kind;
        match given.id() {
            TYPE => (self.kind, self.not_kind) = (given.u32(), given.negated),
            SEGMENTS => self.segments = Numbers::given(given),
            LEN => (self.len, self.not_len) = (given.u32(), given.negated),
            RESERVED | ADDRS if !type0 => {
                return Err(usage!("`--rt-type 0' required before `--{}'", given.opt.name));
            }
            ADDRS => self.addrs = addresses(given.bytes())?,
            NOT_STRICT if !self.has(ADDRS) => {
                return Err(usage!("`--rt-0-addr ...' required before `--rt-0-not-strict'"));
            }
            _ => {}
        }
        self.flags |= 1 << given.id().min(NOT_STRICT);
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        if self.has(TYPE) {
            write!(out, "{} --rt-type {}", if self.not_kind { " !" } else { "" }, self.kind);
        }
        self.segments.save("rt-segsleft", out);
        if self.has(LEN) {
            write!(out, "{} --rt-len {}", if self.not_len { " !" } else { "" }, self.len);
        }
        self.type0(" --rt-0-res", " --rt-0-addrs ", " --rt-0-not-strict", out);
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" rt");
        if self.has(TYPE) {
            write!(out, " type:{}{}", if self.not_kind { "!" } else { "" }, self.kind.cast_signed());
        }
        if !self.segments.is_all() {
            out.byte(b' ');
            self.segments.list("segsleft", out);
        }
        if self.has(LEN) {
            write!(out, " length:{}{}", if self.not_len { "!" } else { "" }, self.len);
        }
        self.type0(" reserved", " 0-addrs ", " 0-not-strict", out);
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.u32(self.kind);
        self.segments.blob(b);
        b.u32(self.len);
        b.u8(self.flags);
        b.u8(u8::from(self.not_kind) | u8::from(self.segments.invert) << 1 | u8::from(self.not_len) << 2);
        b.zeros(2);
        for at in 0..ADDRS_MAX {
            b.bytes(&self.addrs.get(at).map_or([0; 16], Ipv6Addr::octets));
        }
        b.u8(self.addrs.len() as u8);
        b.align(4);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let word = |at: usize| info.get(at..)?.first_chunk::<4>().map(|b| u32::from_ne_bytes(*b));
        let [flags, invert] = *info.get(16..)?.first_chunk()?;
        let number = usize::from(*info.get(276)?);
        let addrs = info.get(20..)?.chunks_exact(16).take(number.min(ADDRS_MAX));
        let rt = Self {
            kind: word(0)?,
            not_kind: invert & 1 != 0,
            segments: Numbers::decode(info, 4, invert & 2 != 0)?,
            len: word(12)?,
            not_len: invert & 4 != 0,
            addrs: addrs.filter_map(|a| a.first_chunk::<16>()).map(|a| Ipv6Addr::from(*a)).collect(),
            flags,
        };
        // Nothing that is not given has a value, and what needs type 0 has it.
        let sayable = flags & !ALL_FLAGS == 0
            && (rt.has(TYPE) || (rt.kind, rt.not_kind) == (0, false))
            && (rt.has(SEGMENTS) || rt.segments.is_all())
            && (rt.has(LEN) || (rt.len, rt.not_len) == (0, false))
            && (rt.has(ADDRS) != rt.addrs.is_empty())
            && (rt.has(ADDRS) || !rt.has(NOT_STRICT))
            && (!rt.has(RESERVED) && !rt.has(ADDRS) || rt.has(TYPE) && rt.kind == 0 && !rt.not_kind);
        sayable.then_some(rt)
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        let whole = self.len.is_multiple_of(8) && (8..=256).contains(&self.len);
        let addrs = self.len as usize == TYPE0_LEN + 16 * self.addrs.len();
        if !self.has(LEN) || self.not_len || !whole || self.has(NOT_STRICT) || self.has(ADDRS) && !addrs {
            return false;
        }
        load_extension(ROUTING, self.len - 1, 1, x);
        load_extension(ROUTING, 1, 1, x);
        x.cmp_eq(false, &[(self.len / 8 - 1) as u8]);
        if self.has(TYPE) {
            load_extension(ROUTING, 2, 1, x);
            Numbers { min: self.kind, max: self.kind, invert: self.not_kind }.native(1, x);
        }
        if !self.segments.is_all() {
            load_extension(ROUTING, 3, 1, x);
            self.segments.native(1, x);
        }
        if self.has(RESERVED) {
            load_extension(ROUTING, 4, 4, x);
            x.cmp_eq(false, &[0; 4]);
        }
        for (at, addr) in (TYPE0_LEN as u32..).step_by(16).zip(&self.addrs) {
            load_extension(ROUTING, at, 16, x);
            x.cmp_eq(false, &addr.octets());
        }
        true
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        let beyond = self.flags & !(1 << TYPE | 1 << SEGMENTS) != 0 || self.kind > u32::from(u8::MAX);
        if beyond || !self.has(TYPE) && self.segments.is_all() {
            return false;
        }
        let before = out.len();
        if self.has(TYPE) {
            write!(out, "rt type {}{}", if self.not_kind { "!= " } else { "" }, self.kind);
        }
        if !self.segments.is_all() {
            out.str(if out.len() > before { " " } else { "" });
            if !self.segments.translate("rt seg-left", u32::from(u8::MAX), out) {
                out.truncate(before);
                return false;
            }
        }
        true
    }
}

impl Rt {
    fn has(&self, id: u8) -> bool {
        self.flags & (1 << id) != 0
    }

    /// Prints what is asked of type 0.
    fn type0(&self, reserved: &str, addrs: &str, not_strict: &str, out: &mut Out) {
        out.str(if self.has(RESERVED) { reserved } else { "" });
        for (i, addr) in self.addrs.iter().enumerate() {
            out.str(if i == 0 { addrs } else { "," });
            out.addr(IpAddr::V6(*addr));
        }
        out.str(if self.has(NOT_STRICT) { not_strict } else { "" });
    }

    /// Whether the addresses behind the header's first eight bytes are those asked for.
    fn addresses_match(&self, header: &[u8], len: usize) -> bool {
        let there = header.get(TYPE0_LEN..len).unwrap_or_default().chunks_exact(16);
        let is = |(asked, found): (&Ipv6Addr, &[u8])| asked.octets() == found;
        if !self.has(NOT_STRICT) {
            return there.len() == self.addrs.len() && self.addrs.iter().zip(there).all(is);
        }
        let mut asked = self.addrs.iter().peekable();
        for found in there {
            if asked.peek().is_some_and(|next| is((*next, found))) {
                asked.next();
            }
        }
        asked.peek().is_none()
    }
}

/// Addresses in numbers with commas between.
fn addresses(text: &[u8]) -> Result<Vec<Ipv6Addr>, UsageError> {
    let mut addrs = Vec::new();
    for part in text.split(|b| *b == b',') {
        if addrs.len() == ADDRS_MAX {
            return Err(usage!("too many addresses specified"));
        }
        let addr = std::str::from_utf8(part).ok().and_then(|s| s.parse().ok());
        addrs.push(addr.ok_or_else(|| usage_bytes("bad address: ", part, ""))?);
    }
    Ok(addrs)
}

impl MatchExt for Rt {
    fn eval(&self, packet: &Packet, env: &mut Env<'_>) -> Tri {
        let Some(header) = headers::extension(packet, ROUTING, 4, env) else { return Tri::False };
        let [_, words, kind, left, ..] = *header else { return Tri::False };
        let len = (usize::from(words) + 1) * 8;
        if header.len() < len {
            env.hotdrop = true;
            return Tri::False;
        }
        let matches = self.segments.contains(u32::from(left))
            && (!self.has(LEN) || (self.len as usize == len) != self.not_len)
            && (!self.has(TYPE) || (self.kind == u32::from(kind)) != self.not_kind)
            && (!self.has(RESERVED) || header.get(4..8) == Some(&[0; 4]))
            && (!self.has(ADDRS) || self.addresses_match(header, len));
        Tri::from(matches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{error, raised, read, row};
    use crate::packet::build::{Ipv6, Raw, Tcp};
    use crate::types::Family::V6;

    /// The struct: what stands before the addresses, the last bytes of the addresses, their number.
    fn info(head: &str, addrs: &[u8]) -> String {
        let octets =
            |at| addrs.get(at).map_or_else(|| "00".repeat(16), |last| format!("{}{last:02x}", "00".repeat(15)));
        format!("{head}0000{}{:02x}000000", (0..16).map(octets).collect::<String>(), addrs.len())
    }

    #[test]
    fn what_stock_writes_and_prints() {
        for (args, head, addrs, list) in [
            ("", "0000000000000000ffffffff000000000000", &[][..], " rt"),
            (" ! --rt-type 2", "0200000000000000ffffffff000000000101", &[], " rt type:!2"),
            (" --rt-type 4294967295", "ffffffff00000000ffffffff000000000100", &[], " rt type:-1"),
            (" --rt-segsleft 5:1", "000000000500000001000000000000000200", &[], " rt segslefts:5:1"),
            (" ! --rt-len 8", "0000000000000000ffffffff080000000404", &[], " rt length:!8"),
            (
                " --rt-type 0 --rt-segsleft 1:5 ! --rt-len 20 --rt-0-res --rt-0-addrs ::1,::2 --rt-0-not-strict",
                "000000000100000005000000140000003f04",
                &[1, 2],
                " rt type:0 segslefts:1:5 length:!20 reserved 0-addrs ::1,::2 0-not-strict",
            ),
        ] {
            row(V6, None, &format!("rt{args}"), args, list, &format!("match rt 0 {}", info(head, addrs)));
        }
        assert_eq!(read(V6, None, "rt --rt-segsleft :").unwrap().save(), "");
        let strange = |flags: u8, invert: u8, number: u8| {
            let mut bytes = [vec![0; 8], vec![0xff; 4], vec![0; 268]].concat();
            (bytes[16], bytes[17], bytes[276]) = (flags, invert, number);
            raised(V6, None, |x| x.xt_match("rt", 0, |b| b.bytes(&bytes))).is_none()
        };
        assert!(!strange(0x11, 0, 1) && !strange(0, 0, 0));
        assert!(strange(0x40, 0, 0) && strange(0x11, 0, 17) && strange(0x11, 1, 1) && strange(0x10, 0, 1));
        assert!(strange(0, 0, 1) && strange(0x21, 0, 0) && strange(0, 1, 0) && strange(0x11, 0, 0));
    }

    #[test]
    fn stocks_words_for_what_it_does_not_take() {
        let many = format!(" --rt-type 0 --rt-0-addrs {}", ["::"; 17].join(","));
        for (args, text) in [
            (" --rt-0-res --rt-type 0", "`--rt-type 0' required before `--rt-0-res'"),
            (" ! --rt-type 0 --rt-0-addrs ::", "`--rt-type 0' required before `--rt-0-addrs'"),
            (" --rt-type 0 --rt-0-not-strict", "`--rt-0-addr ...' required before `--rt-0-not-strict'"),
            (" --rt-type 0 --rt-0-addrs ::1,", "bad address: "),
            (" --rt-type 0 --rt-0-addrs 1.2.3.4", "bad address: 1.2.3.4"),
            (&many, "too many addresses specified"),
            (" --rt-type 1:2", "rt: bad value for option \"--rt-type\", or out of range (0-4294967295).\n"),
        ] {
            assert_eq!(error(V6, None, &format!("rt{args}")), text, "{args}");
        }
    }

    fn packet(left: u8, addrs: &[u8]) -> Packet {
        let mut body = vec![0, left, 0, 0, 0, 0];
        for last in addrs {
            body.extend([0; 15]);
            body.push(*last);
        }
        Ipv6 { extensions: vec![(ROUTING, body)], ..Ipv6::default() } / Tcp::default()
    }

    #[test]
    fn packets() {
        let judge = |args: &str, packet: &Packet| read(V6, None, &format!("rt{args}")).unwrap().judge(packet);
        let three = packet(2, &[1, 2, 3]);
        for (args, expected) in [
            ("", true),
            (" --rt-type 0 --rt-len 56 --rt-segsleft 2:", true),
            (" ! --rt-type 0", false),
            (" --rt-type 256", false),
            (" ! --rt-segsleft 0:4294967295", false),
            (" --rt-type 0 --rt-0-res --rt-0-addrs ::1,::2,::3", true),
            (" --rt-type 0 --rt-0-addrs ::1,::2", false),
            (" --rt-type 0 --rt-0-addrs ::1,::3 --rt-0-not-strict", true),
            (" --rt-type 0 --rt-0-addrs ::3,::1 --rt-0-not-strict", false),
            (" --rt-type 0 --rt-0-addrs ::1,::2,::3,::4 --rt-0-not-strict", false),
        ] {
            assert_eq!(judge(args, &three), (Tri::from(expected), false), "{args}");
        }
        assert_eq!(judge("", &(Ipv6::default() / Tcp::default())), (Tri::False, false));
        let ends = |payload: &[u8]| Ipv6::default() / Raw { protocol: ROUTING, payload: payload.to_vec() };
        assert_eq!(judge("", &ends(&[6, 0, 0])), (Tri::False, true));
        assert_eq!(judge("", &ends(&[6, 1, 0, 0, 0, 0, 0, 0])), (Tri::False, true));
    }

    #[test]
    fn native_expressions_and_nfts_words() {
        let load = |offset: u32, len: u32| format!("exthdr 1=00000001 2=2b 3={offset:08x} 4={len:08x} 6=00000000");
        let say = |args: &str| {
            let read = read(V6, None, &format!("rt{args}")).unwrap();
            (read.native(), read.translation())
        };
        let start = format!("{}; {}; == 02", load(23, 1), load(1, 1));
        assert_eq!(say(" --rt-len 24"), (Some(start.clone()), None));
        let more = format!("; {}; == 00; {}; == 00000000", load(2, 1), load(4, 4));
        let addr = format!("; {}; == {}01", load(8, 16), "00".repeat(15));
        let args = " --rt-len 24 --rt-type 0 --rt-0-res --rt-0-addrs ::1";
        assert_eq!(say(args), (Some(start + &more + &addr), None));
        for (args, words) in [
            ("", None),
            (" --rt-len 24 --rt-type 0 --rt-0-addrs ::1,::2", None),
            (" --rt-len 9", None),
            (" --rt-type 256", None),
            (" ! --rt-type 3", Some("rt type != 3")),
            (" --rt-type 3 ! --rt-segsleft 1:5", Some("rt type 3 rt seg-left != 1-5")),
            (" --rt-type 3 --rt-segsleft 3:", None),
        ] {
            assert_eq!(say(args), (None, words.map(str::to_owned)), "{args}");
        }
    }
}

//! `-m conntrack`: what connection tracking says about the packet and its connection.
//!
//! # Matches
//! State of the packet; protocol, addresses and ports of the connection in its original and its reply direction; status bits and remaining
//! lifetime of the entry; direction of the packet. All that is given must hold. For a packet without an entry (INVALID, UNTRACKED) the
//! kernel looks at `--ctstate` alone: it matches if that is given and holds, whatever else is asked.
//! # Options
//! `[!] --ctstate` and `[!] --ctstatus LIST` (names may be cut short, case does not matter), `[!] --ctproto PROTO`,
//! `[!] --ct{orig,repl}{src,dst} ADDR[/MASK]`, `[!] --ct{orig,repl}{src,dst}port A[:B]`, `[!] --ctexpire SECONDS[:SECONDS]`,
//! `--ctdir {ORIGINAL|REPLY}`; at least one.
//! # Wire
//! xt `conntrack` revision 3, `struct xt_conntrack_mtinfo3` (164 bytes, host order but for the addresses). What is not asked for is zero.
//! An IPv4 mask fills 4 of its 16 bytes; the mask of an address given without one, all 16. `--ctdir REPLY` is direction, inverted.
//! Native: `ct` loads and compares. Not for `--ctexpire` (of a connection that is not confirmed, the two read different things), nor where a
//! packet without an entry would match by its state whatever else is asked, nor for SNAT and DNAT beside another
//! state or with `!`.
//! # Evaluates
//! Unknown if the packet has no conntrack state, or (beside `--ctstate` without SNAT and DNAT) no entry, where it should.
//! # Differs
//! Masks that are no prefix (`1.2.3.4/255.0.255.0`) are kept: stock 1.8.9 makes a single address of them, 1.8.11 keeps them. Ports over
//! 65535 are refused. A range that ends in 0 (`80:0`, which never matches) is printed whole: stock prints `80`. As in stock, a host part
//! outside the mask is kept and printed, and `--ctproto 0`, which never matches, is accepted.
//! # Sources
//! iptables-extensions(8) "conntrack"; `linux/netfilter/xt_conntrack.h`, `nf_conntrack_common.h`; fact sheet 3.2, 3.4, 8.

use crate::ext::options::{Given, Kind, Opt, UsageError, usage_bytes};
use crate::ext::{Body, Extension, Match, MatchExt, NativeCx, ParseCx, PrintCx, Spec, nft, resolve};
use crate::packet::env::Env;
use crate::packet::{Conntrack as PacketCt, CtDirection, CtEntry, CtState, Packet, ct_status};
use crate::types::{Family, Network, Out, Tri};
use crate::usage;
use crate::wire::cond::{Cond, Field, Test};
use crate::wire::consts::*;
use crate::wire::{BlobWriter, ExprWriter};
use std::net::IpAddr;

/// The conditions on a connection; boxed, because most rules have none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Conntrack(Box<Info>);

/// Fields that are not asked for in `flags` are zero. Ports, seconds and masks in host order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Info {
    /// What is asked: bits `1 << option id`, which are those of the kernel.
    flags: u16,
    /// What is inverted; for the direction: REPLY.
    invert: u16,
    /// Original source, original destination, reply source, reply destination.
    addrs: [Addr; 4],
    /// Ports in the same order, both ends included.
    ports: [(u16, u16); 4],
    /// Remaining lifetime in seconds, both ends included.
    expires: (u32, u32),
    protocol: u8,
    states: u16,
    statuses: u16,
}

/// An address and its mask. No mask: an IPv4 address that was given without one; its mask is written in another form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Addr {
    pub(super) addr: IpAddr,
    pub(super) mask: Option<IpAddr>,
}

// The ids are the bit numbers of XT_CONNTRACK_* (xt_conntrack.h).
const STATE: u8 = 0;
const PROTO: u8 = 1;
const ORIGSRC: u8 = 2;
const ORIGDST: u8 = 3;
const REPLSRC: u8 = 4;
const REPLDST: u8 = 5;
const STATUS: u8 = 6;
const EXPIRES: u8 = 7;
const ORIGSRC_PORT: u8 = 8;
const ORIGDST_PORT: u8 = 9;
const REPLSRC_PORT: u8 = 10;
const REPLDST_PORT: u8 = 11;
const DIRECTION: u8 = 12;
/// The match was written as `-m state`.
pub(super) const STATE_ALIAS: u16 = 1 << 13;

const ADDRS: [(u8, &str); 4] =
    [(ORIGSRC, "ctorigsrc"), (ORIGDST, "ctorigdst"), (REPLSRC, "ctreplsrc"), (REPLDST, "ctrepldst")];
const PORTS: [(u8, &str); 4] = [
    (ORIGSRC_PORT, "ctorigsrcport"),
    (ORIGDST_PORT, "ctorigdstport"),
    (REPLSRC_PORT, "ctreplsrcport"),
    (REPLDST_PORT, "ctrepldstport"),
];

/// Length in bytes of `struct xt_conntrack_mtinfo3`.
pub(super) const SIZE: usize = 164;

/// Names of `--state`, in the order of printing, with the kernel's bits.
pub(super) const STATES: &[(&str, u16)] =
    &[("INVALID", 0x01), ("NEW", 0x08), ("RELATED", 0x04), ("ESTABLISHED", 0x02), ("UNTRACKED", 0x100)];
const NAT_STATES: &[(&str, u16)] = &[("SNAT", SNAT), ("DNAT", DNAT)];
const INVALID: u16 = 0x01;
const UNTRACKED: u16 = 0x100;
const SNAT: u16 = 0x40;
const DNAT: u16 = 0x80;

const STATUSES: &[(&str, u16)] = &[("EXPECTED", 0x1), ("SEEN_REPLY", 0x2), ("ASSURED", 0x4), ("CONFIRMED", 0x8)];
const NO_STATUS: &[(&str, u16)] = &[("NONE", 0)];

const SECONDS: Kind = Kind::Range { min: 0, max: u32::MAX as u64 };

const OPTIONS: &[Opt] = &[
    Opt::value(
        "ctstate",
        STATE,
        Kind::Raw,
        "state[,...]",
        "INVALID, NEW, RELATED, ESTABLISHED, UNTRACKED, SNAT or DNAT",
    )
    .invertible()
    .examples(&["NEW", "ESTABLISHED,RELATED", "invalid,untracked", "SNAT", "DNAT,NEW", "e,r"]),
    Opt::value("ctproto", PROTO, Kind::Protocol, "protocol", "the connection's protocol, by number or name")
        .invertible()
        .examples(&["tcp", "17", "icmp", "255", "0x6"]),
    address("ctorigsrc", ORIGSRC, "source of the original direction"),
    address("ctorigdst", ORIGDST, "destination of the original direction"),
    address("ctreplsrc", REPLSRC, "source of the reply direction"),
    address("ctrepldst", REPLDST, "destination of the reply direction"),
    ports("ctorigsrcport", ORIGSRC_PORT, "source port of the original direction"),
    ports("ctorigdstport", ORIGDST_PORT, "destination port of the original direction"),
    ports("ctreplsrcport", REPLSRC_PORT, "source port of the reply direction"),
    ports("ctrepldstport", REPLDST_PORT, "destination port of the reply direction"),
    Opt::value("ctstatus", STATUS, Kind::Raw, "status[,...]", "NONE, EXPECTED, SEEN_REPLY, ASSURED or CONFIRMED")
        .invertible()
        .examples(&["NONE", "ASSURED", "expected,seen_reply", "CONFIRMED,ASSURED", "s"]),
    Opt::value("ctexpire", EXPIRES, SECONDS, "time[:time]", "seconds until the entry times out")
        .invertible()
        .examples(&["0", "10", "10:20", ":60", "3600:", "0x10:0x20", "4294967295"]),
    Opt::value("ctdir", DIRECTION, Kind::Raw, "direction", "ORIGINAL or REPLY")
        .examples(&["ORIGINAL", "REPLY", "reply"]),
];

const fn address(name: &'static str, id: u8, help: &'static str) -> Opt {
    Opt::value(name, id, Kind::Raw, "address[/mask]", help).invertible().examples(&[
        "v4:192.0.2.1",
        "v4:10.0.0.0/8",
        "v4:192.0.2.7/255.255.255.0",
        "v4:0/0",
        "v4:198.51.100.4/30",
        "v6:2001:db8::1",
        "v6:2001:db8::/32",
        "v6:fe80::1/ffff::",
        "v6:::/0",
    ])
}

const fn ports(name: &'static str, id: u8, help: &'static str) -> Opt {
    Opt::value(name, id, Kind::PortRange, "port[:port]", help).invertible().examples(&[
        "80",
        "1024:65535",
        ":1023",
        "5000:",
        "0",
    ])
}

impl Extension for Conntrack {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        ..Spec::new("conntrack", 3, "matches the state and the connection that conntrack knows")
    };

    fn new(family: Family) -> Self {
        let addr = Addr { addr: family.unspecified(), mask: Some(family.unspecified()) };
        Self(Box::new(Info {
            flags: 0,
            invert: 0,
            addrs: [addr; 4],
            ports: [(0, 0); 4],
            expires: (0, 0),
            protocol: 0,
            states: 0,
            statuses: 0,
        }))
    }

    fn set(&mut self, given: &Given<'_>, cx: &ParseCx<'_>) -> Result<(), UsageError> {
        let info = &mut *self.0;
        let text = given.bytes();
        match given.id() {
            STATE => {
                info.states =
                    bits(text, &[STATES, NAT_STATES]).map_err(|at| usage_bytes("Bad ctstate \"", at, "\""))?;
            }
            STATUS => {
                info.statuses =
                    bits(text, &[NO_STATUS, STATUSES]).map_err(|at| usage_bytes("Bad ctstatus \"", at, "\""))?;
            }
            PROTO => {
                info.protocol = given.u8();
                // It means an inverted protocol of 0, but looks at the bit of an inverted `--ctstatus`.
                if info.protocol == 0 && info.inverted(STATUS) {
                    return Err(usage!("conntrack: rule would never match protocol"));
                }
            }
            EXPIRES => {
                let seconds = |n| u32::try_from(n).unwrap_or(u32::MAX);
                let (from, to) = given.range();
                info.expires = (seconds(from), seconds(to));
            }
            DIRECTION => info.set_direction(text)?,
            id => {
                for ((addr_id, _), addr) in ADDRS.iter().zip(&mut info.addrs) {
                    if *addr_id == id {
                        *addr = Addr::parse(text, cx, "conntrack", given.opt.name)?;
                    }
                }
                for ((port_id, _), range) in PORTS.iter().zip(&mut info.ports) {
                    if *port_id == id {
                        *range = given.ports();
                    }
                }
            }
        }
        info.flags |= 1 << given.id();
        info.invert |= u16::from(given.negated) << given.id();
        Ok(())
    }

    fn finish(&mut self, seen: u32, _: &ParseCx<'_>) -> Result<(), UsageError> {
        if seen == 0 { Err(usage!("conntrack: At least one option is required")) } else { Ok(()) }
    }

    fn save(&self, out: &mut Out, cx: &PrintCx<'_>) {
        self.0.print(out, cx, "--");
    }

    fn list(&self, out: &mut Out, cx: &PrintCx<'_>) {
        self.0.print(out, cx, "");
    }

    fn translate(&self, cx: &PrintCx<'_>, out: &mut Out) -> bool {
        self.0.translate(cx, out)
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        let info = &*self.0;
        for addr in &info.addrs {
            addr.blob(b);
        }
        b.u32(info.expires.0);
        b.u32(info.expires.1);
        b.u16(u16::from(info.protocol));
        info.ports.iter().for_each(|(low, _)| b.u16(*low));
        for field in [info.flags, info.invert, info.states, info.statuses] {
            b.u16(field);
        }
        info.ports.iter().for_each(|(_, high)| b.u16(*high));
    }

    fn decode(bytes: &[u8], family: Family) -> Option<Self> {
        let u16_at = |at: usize| bytes.get(at..)?.first_chunk().map(|b| u16::from_ne_bytes(*b));
        let u32_at = |at: usize| bytes.get(at..)?.first_chunk().map(|b| u32::from_ne_bytes(*b));
        let mut made = Self::new(family);
        let info = &mut *made.0;
        (info.flags, info.invert) = (u16_at(146)?, u16_at(148)?);
        (info.states, info.statuses) = (u16_at(150)?, u16_at(152)?);
        info.protocol = u8::try_from(u16_at(136)?).ok()?;
        info.expires = (u32_at(128)?, u32_at(132)?);
        for (i, ((addr, range), id)) in info.addrs.iter_mut().zip(&mut info.ports).zip(ORIGSRC..).enumerate() {
            if info.flags & (1 << id) != 0 {
                *addr = Addr::decode(bytes.get(32 * i..)?, family)?;
            }
            *range = (u16_at(138 + 2 * i)?, u16_at(154 + 2 * i)?);
        }
        info.is_sayable().then_some(made)
    }

    fn native(&self, cx: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        self.0.native(cx.family, x)
    }
}

impl Info {
    fn has(&self, id: u8) -> bool {
        self.flags & (1 << id) != 0
    }

    fn inverted(&self, id: u8) -> bool {
        self.invert & (1 << id) != 0
    }

    fn set_direction(&mut self, text: &[u8]) -> Result<(), UsageError> {
        self.invert &= !(1 << DIRECTION);
        if text.eq_ignore_ascii_case(b"REPLY") {
            self.invert |= 1 << DIRECTION;
        } else if !text.eq_ignore_ascii_case(b"ORIGINAL") {
            return Err(usage_bytes("conntrack: Bad value for \"--ctdir\" option: \"", text, "\""));
        }
        Ok(())
    }

    /// Whether the options say all of it: nothing inverted or filled in that is not asked, no bit without a name.
    fn is_sayable(&self) -> bool {
        let all = |names: &[&[(&str, u16)]]| names.iter().copied().flatten().fold(0, |all, (_, bit)| all | bit);
        let ports = PORTS.iter().zip(&self.ports).all(|((id, _), range)| self.has(*id) || *range == (0, 0));
        self.flags != 0
            && self.flags & (STATE_ALIAS | 0xc000) == 0
            && self.invert & !self.flags == 0
            && ports
            && (self.has(PROTO) || self.protocol == 0)
            && (self.has(EXPIRES) || self.expires == (0, 0))
            && self.has(STATE) == (self.states != 0)
            && self.states & !all(&[STATES, NAT_STATES]) == 0
            && (self.has(STATUS) || self.statuses == 0)
            && self.statuses & !all(&[STATUSES]) == 0
    }

    /// Prints the conditions in the words of nft(8); false if it has none for one of them.
    fn translate(&self, cx: &PrintCx<'_>, out: &mut Out) -> bool {
        let begin = out.len();
        let reply = self.inverted(DIRECTION);
        let side = |reply: bool| if reply { "reply" } else { "original" };
        if self.has(DIRECTION) {
            write!(out, "ct direction {}", side(reply));
        }
        if self.has(PROTO) {
            nft::separate(out, begin);
            write!(out, "ct {} protocol ", side(reply));
            nft::unless(self.inverted(PROTO), out);
            out.dec(u64::from(self.protocol));
        }
        let not = |id: u8| if self.inverted(id) { "! " } else { "" };
        if self.has(STATE) {
            nft::separate(out, begin);
            match self.states {
                SNAT => out.str("ct status snat"),
                DNAT => out.str("ct status dnat"),
                states => {
                    write!(out, "ct state {}", not(STATE));
                    translate_bits(out, states, STATES);
                }
            }
        }
        if self.has(STATUS) {
            nft::separate(out, begin);
            write!(out, "ct status {}", not(STATUS));
            translate_bits(out, self.statuses, STATUSES);
        }
        let mut sayable = true;
        for ((id, name), addr) in ADDRS.iter().zip(&self.addrs) {
            if self.has(*id) {
                nft::separate(out, begin);
                let field = if name.ends_with("src") { "saddr" } else { "daddr" };
                write!(out, "ct {} {field} ", side(name.contains("repl")));
                nft::unless(self.inverted(*id), out);
                sayable &= addr.translate(out);
            }
        }
        for ((id, name), (low, high)) in PORTS.iter().zip(&self.ports) {
            if self.has(*id) {
                nft::separate(out, begin);
                let field = if name.contains("src") { "proto-src" } else { "proto-dst" };
                write!(out, "ct {} {field} ", side(name.contains("repl")));
                nft::unless(self.inverted(*id), out);
                sayable &= nft::range(*low, *high, out) && self.has_port_protocol(cx);
            }
        }
        // nft(8) takes two protocols for a contradiction, and nft 1.0.6 even dies of it.
        let own = (self.has(PROTO) && !self.inverted(PROTO)).then_some(self.protocol);
        let contradicts = own.zip(cx.protocol).is_some_and(|(own, other)| own != other);
        sayable && !contradicts && self.is_translatable()
    }

    /// Whether nft(8) knows of what protocol the ports are.
    fn has_port_protocol(&self, cx: &PrintCx<'_>) -> bool {
        /// Those whose headers it knows: icmp, igmp, tcp, udp, dccp, esp, ah, icmpv6, ipcomp, sctp, udplite.
        const KNOWN: [u8; 11] = [1, 2, 6, 17, 33, 50, 51, 58, 108, 132, 136];
        let own = (self.has(PROTO) && !self.inverted(PROTO)).then_some(self.protocol);
        own.or(cx.protocol).is_some_and(|protocol| KNOWN.contains(&protocol))
    }

    /// Whether the words of nft(8) mean what the match means.
    fn is_translatable(&self) -> bool {
        let nat = self.states & (SNAT | DNAT);
        // For the `!` of a NAT state stock takes that of `--ctstatus`.
        let inverted = self.inverted(STATE) || self.inverted(STATUS);
        let nat_alone = nat == 0 || (self.states == nat && nat.is_power_of_two() && !inverted);
        // A packet without a connection is in one of these states, and stands all other tests of the match; behind `!` if one is missing.
        const NONE: u16 = INVALID | UNTRACKED;
        let nothing = self.states & NONE != if self.inverted(STATE) { NONE } else { 0 };
        let alone = !(self.has(STATE) && nothing) || self.flags == 1 << STATE;
        // The seconds that are left are compared to the millisecond there.
        nat_alone && alone && !self.has(EXPIRES) && (!self.has(STATUS) || self.statuses != 0)
    }

    fn print(&self, out: &mut Out, cx: &PrintCx<'_>, dashes: &str) {
        // Prints the option's name, if it was given.
        let given = |out: &mut Out, id: u8, name: &str| {
            if self.has(id) {
                out.str(if self.inverted(id) && id != DIRECTION { " ! " } else { " " });
                out.str(dashes);
                out.str(name);
                out.byte(b' ');
            }
            self.has(id)
        };
        if given(out, STATE, "ctstate") {
            print_bits(out, self.states, &[STATES, NAT_STATES]);
        }
        if given(out, PROTO, "ctproto") {
            out.dec(u64::from(self.protocol));
        }
        for ((id, name), addr) in ADDRS.iter().zip(&self.addrs) {
            if given(out, *id, name) {
                addr.print(out, cx);
            }
        }
        for ((id, name), (low, high)) in PORTS.iter().zip(&self.ports) {
            if given(out, *id, name) {
                print_range(out, u64::from(*low), u64::from(*high));
            }
        }
        if given(out, STATUS, "ctstatus") {
            if self.statuses == 0 {
                out.str("NONE");
            }
            print_bits(out, self.statuses, &[STATUSES]);
        }
        if given(out, EXPIRES, "ctexpire") {
            print_range(out, u64::from(self.expires.0), u64::from(self.expires.1));
        }
        if given(out, DIRECTION, "ctdir") {
            out.str(if self.inverted(DIRECTION) { "REPLY" } else { "ORIGINAL" });
        }
    }

    /// Whether every packet that has the state that is asked for has an entry too.
    fn implies_entry(&self) -> bool {
        let without_entry = state_bit(CtState::Invalid) | state_bit(CtState::Untracked);
        match (self.has(STATE), self.inverted(STATE)) {
            (false, _) => true,
            (true, false) => self.states & without_entry == 0,
            (true, true) => self.states & without_entry == without_entry,
        }
    }

    fn native(&self, family: Family, x: &mut ExprWriter<'_>) -> bool {
        let others = self.flags & !(1 << STATE) != 0;
        if self.has(EXPIRES)
            || (others && !self.implies_entry())
            || (self.states & (SNAT | DNAT) != 0 && (self.inverted(STATE) || self.states & !(SNAT | DNAT) != 0))
            || self.ports.iter().any(|(low, high)| low > high)
        {
            return false;
        }
        if self.has(STATE) {
            self.native_state(x);
        }
        if self.has(DIRECTION) {
            x.ct(NFT_CT_DIRECTION, None);
            x.cmp_eq(self.inverted(DIRECTION), &[0]);
        }
        if self.has(PROTO) {
            x.ct(NFT_CT_PROTOCOL, None);
            x.cmp_eq(self.inverted(PROTO), &[self.protocol]);
        }
        let sides = [
            (NFT_CT_SRC, NFT_CT_PROTO_SRC, false),
            (NFT_CT_DST, NFT_CT_PROTO_DST, false),
            (NFT_CT_SRC, NFT_CT_PROTO_SRC, true),
            (NFT_CT_DST, NFT_CT_PROTO_DST, true),
        ];
        for (((id, _), addr), (key, _, reply)) in ADDRS.iter().zip(&self.addrs).zip(sides) {
            if self.has(*id) {
                addr.native(family, key, reply, self.inverted(*id), x);
            }
        }
        for (((id, _), (low, high)), (_, key, reply)) in PORTS.iter().zip(&self.ports).zip(sides) {
            if self.has(*id) {
                x.ct(key, Some(reply));
                x.within(self.inverted(*id), &low.to_be_bytes(), &high.to_be_bytes());
            }
        }
        if self.has(STATUS) {
            x.ct(NFT_CT_STATUS, None);
            x.mask(&u32::from(self.statuses).to_ne_bytes());
            x.cmp_eq(!self.inverted(STATUS), &[0; 4]);
        }
        true
    }

    fn native_state(&self, x: &mut ExprWriter<'_>) {
        let nat = u32::from(self.states & (SNAT | DNAT)) >> 2;
        if nat == 0 {
            native_states(self.states, self.inverted(STATE), x);
            return;
        }
        x.ct(NFT_CT_STATUS, None);
        x.mask(&nat.to_ne_bytes());
        x.cmp_eq(true, &[0; 4]);
    }

    /// The answer of one condition, if it is asked for.
    fn test(&self, id: u8, holds: impl FnOnce() -> Tri) -> Tri {
        if self.has(id) { holds().xor(self.inverted(id)) } else { Tri::True }
    }

    fn eval_state(&self, ct: &PacketCt) -> Tri {
        let nat = match &ct.entry {
            Some(entry) => {
                let bit = |status, bit| if entry.status & status != 0 { bit } else { 0 };
                Some(bit(ct_status::SRC_NAT, SNAT) | bit(ct_status::DST_NAT, DNAT))
            }
            None if has_entry(ct.state) => None,
            None => Some(0),
        };
        let known = state_bit(ct.state) | nat.unwrap_or(0);
        if self.states & known != 0 {
            Tri::True
        } else if nat.is_none() && self.states & (SNAT | DNAT) != 0 {
            Tri::Unknown
        } else {
            Tri::False
        }
    }

    fn eval_entry(&self, entry: &CtEntry) -> Tri {
        let (original, reply) = (&entry.original, &entry.reply);
        let addrs = [original.src, original.dst, reply.src, reply.dst];
        let ports = [original.src_port, original.dst_port, reply.src_port, reply.dst_port];
        let mut answer = self.test(PROTO, || (original.protocol == self.protocol).into());
        for (((id, _), wanted), is) in ADDRS.iter().zip(&self.addrs).zip(addrs) {
            answer = answer.and(self.test(*id, || wanted.contains(is).into()));
        }
        for (((id, _), (low, high)), is) in PORTS.iter().zip(&self.ports).zip(ports) {
            answer = answer.and(self.test(*id, || (*low <= is && is <= *high).into()));
        }
        let (from, to) = self.expires;
        answer
            .and(self.test(STATUS, || (entry.status & u32::from(self.statuses) != 0).into()))
            .and(self.test(EXPIRES, || (from <= entry.expires && entry.expires <= to).into()))
    }
}

/// The kernel's bits of `ct state` with those of `--ctstate`; in both a packet has one of them.
const CT_STATES: [(u32, u16); 5] = [(0x01, INVALID), (0x02, 0x02), (0x04, 0x04), (0x08, 0x08), (0x40, UNTRACKED)];

/// The states that a native condition says, and whether all others are meant.
fn raise_states(cond: &Cond) -> Option<(u16, bool)> {
    let (Field::Ct(NFT_CT_STATE), Test::Cmp { op, data }) = (cond.field, &cond.test) else { return None };
    let (bits, negated) = match (&cond.mask, *op, data.ne32()?) {
        (Some(mask), NFT_CMP_NEQ, 0) => (mask.ne32()?, false),
        (Some(mask), NFT_CMP_EQ, 0) => (mask.ne32()?, true),
        (None, NFT_CMP_EQ, bit) if bit.is_power_of_two() => (bit, false),
        (None, NFT_CMP_NEQ, bit) if bit.is_power_of_two() => (bit, true),
        _ => return None,
    };
    let known = CT_STATES.iter().fold(0, |all, (bit, _)| all | bit);
    let states = CT_STATES.iter().filter(|(bit, _)| bits & bit != 0).fold(0, |all, (_, state)| all | state);
    (bits != 0 && bits & !known == 0).then_some((states, negated))
}

/// Claims a native condition on the state. The family is that of the addresses that are not asked for, so that this is no
/// [`MatchExt::raise`].
pub fn raise(cond: &Cond, family: Family, body: &mut Body) -> bool {
    let Some((states, negated)) = raise_states(cond) else { return false };
    let mut made = Conntrack::new(family);
    (made.0.states, made.0.flags, made.0.invert) = (states, 1 << STATE, u16::from(negated) << STATE);
    body.matches.push(Match::Conntrack(made));
    true
}

impl MatchExt for Conntrack {
    fn eval(&self, packet: &Packet, _: &mut Env<'_>) -> Tri {
        let info = &*self.0;
        let Some(ct) = &packet.meta.ct else { return Tri::Unknown };
        let state = info.test(STATE, || info.eval_state(ct));
        if !has_entry(ct.state) {
            return state.and(info.has(STATE).into());
        }
        let direction = info.test(DIRECTION, || (ct.direction == CtDirection::Original).into());
        let rest = match &ct.entry {
            Some(entry) => info.eval_entry(entry),
            None if info.flags & !(1 << STATE | 1 << DIRECTION) == 0 => Tri::True,
            None => Tri::Unknown,
        };
        state.and(direction).and(rest)
    }
}

impl Addr {
    pub(super) fn parse(text: &[u8], cx: &ParseCx<'_>, ext: &str, opt: &str) -> Result<Self, UsageError> {
        let (addr, mask) = resolve::network(text, cx, ext, opt)?;
        let full = || Network::host(addr).mask();
        // An IPv6 mask has but one form.
        Ok(Self { addr, mask: mask.or_else(|| (cx.family == Family::V6).then(full)) })
    }

    fn mask(&self) -> IpAddr {
        self.mask.unwrap_or_else(|| Network::host(self.addr).mask())
    }

    fn contains(&self, addr: IpAddr) -> bool {
        Network::new(addr, self.mask()) == Network::new(self.addr, self.mask())
    }

    fn native(&self, family: Family, key: u32, reply: bool, invert: bool, x: &mut ExprWriter<'_>) {
        let len = family.addr_len();
        let (addr, mask) = (Network::host(self.addr).addr_octets(), Network::host(self.mask()).addr_octets());
        let mut masked = addr;
        masked.iter_mut().zip(mask).for_each(|(a, m)| *a &= m);
        let (masked, mask) = (masked.get(..len).unwrap_or(&masked), mask.get(..len).unwrap_or(&mask));
        x.ct(key, Some(reply));
        if mask.iter().any(|m| *m != 0xff) {
            x.mask(mask);
        }
        x.cmp_eq(invert, masked);
    }

    pub(super) fn print(&self, out: &mut Out, cx: &PrintCx<'_>) {
        if !cx.numeric && self.addr.is_unspecified() {
            out.str("anywhere");
            return;
        }
        let name = || cx.names.host_name(self.addr).or_else(|| cx.names.network_name(self.addr));
        match if cx.numeric { None } else { name() } {
            Some(name) => out.bytes(&name),
            None => out.addr(self.addr),
        }
        match Network::new(self.addr, self.mask()).and_then(|n| n.prefix_len()) {
            Some(len) if len == Family::of(self.addr).addr_bits() => {}
            Some(len) => write!(out, "/{len}"),
            None => {
                out.byte(b'/');
                out.addr(self.mask());
            }
        }
    }

    /// `address[/length]` as it is written; false for a mask that is no prefix, which stock leaves out.
    fn translate(&self, out: &mut Out) -> bool {
        out.addr(self.addr);
        let len = Network::new(self.addr, self.mask()).and_then(|n| n.prefix_len());
        if let Some(len) = len.filter(|len| *len != Family::of(self.addr).addr_bits()) {
            write!(out, "/{len}");
        }
        len.is_some()
    }

    pub(super) fn blob(&self, b: &mut BlobWriter<'_>) {
        let put = |b: &mut BlobWriter<'_>, addr| match addr {
            IpAddr::V4(a) => b.fixed(&a.octets(), 16),
            IpAddr::V6(a) => b.bytes(&a.octets()),
        };
        put(b, self.addr);
        match self.mask {
            Some(mask) => put(b, mask),
            None => b.bytes(&[0xff; 16]),
        }
    }

    /// Reads 16 bytes of address and 16 of mask.
    pub(super) fn decode(bytes: &[u8], family: Family) -> Option<Self> {
        let (addr, rest) = bytes.split_first_chunk::<16>()?;
        let mask = rest.first_chunk::<16>()?;
        let ip = |octets: &[u8; 16]| match (family, octets) {
            (Family::V6, _) => Some(IpAddr::from(*octets)),
            (Family::V4, [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]) => Some(IpAddr::from([*a, *b, *c, *d])),
            _ => None,
        };
        let host = family == Family::V4 && *mask == [0xff; 16];
        Some(Self { addr: ip(addr)?, mask: if host { None } else { Some(ip(mask)?) } })
    }
}

/// Reads `NAME[,NAME…]`, where a name may be cut short; `Err` is the text from the first part that is none.
pub(super) fn bits<'t>(text: &'t [u8], names: &[&[(&str, u16)]]) -> Result<u16, &'t [u8]> {
    let mut bits = 0;
    let mut rest = text;
    loop {
        let len = rest.iter().position(|b| *b == b',').unwrap_or(rest.len());
        let word = rest.get(..len).unwrap_or_default();
        let is = |name: &str| name.as_bytes().get(..len).is_some_and(|start| start.eq_ignore_ascii_case(word));
        let named = names.iter().copied().flatten().find(|(name, _)| len != 0 && is(name));
        bits |= named.ok_or(rest)?.1;
        match rest.get(len + 1..) {
            Some(after_comma) => rest = after_comma,
            None => return Ok(bits),
        }
    }
}

/// Prints the names of the bits in the words of nft(8): in small letters, with commas.
pub(super) fn translate_bits(out: &mut Out, bits: u16, names: &[(&str, u16)]) {
    let names = names.iter().filter(|(_, bit)| bits & bit != 0);
    for (i, (name, _)) in names.enumerate() {
        out.str(if i > 0 { "," } else { "" });
        out.str(&name.to_lowercase().replace('_', "-"));
    }
}

/// Writes that the packet has one of these states (`XT_CONNTRACK_STATE_*`) or, inverted, none; those of nf_tables are the same but for one.
pub(super) fn native_states(states: u16, invert: bool, x: &mut ExprWriter<'_>) {
    const NFT_UNTRACKED: u32 = 1 << 6;
    let untracked = if states & state_bit(CtState::Untracked) != 0 { NFT_UNTRACKED } else { 0 };
    let bits = u32::from(states & 0x0f) | untracked;
    x.ct(NFT_CT_STATE, None);
    x.mask(&bits.to_ne_bytes());
    x.cmp_eq(!invert, &[0; 4]);
}

/// Prints the names of the bits with commas between.
pub(super) fn print_bits(out: &mut Out, bits: u16, names: &[&[(&str, u16)]]) {
    let set = names.iter().copied().flatten().filter(|(_, bit)| bits & bit != 0);
    for (i, (name, _)) in set.enumerate() {
        out.str(if i == 0 { "" } else { "," });
        out.str(name);
    }
}

/// The kernel's bit of a packet's state.
pub(super) fn state_bit(state: CtState) -> u16 {
    match state {
        CtState::Invalid => 0x01,
        CtState::Established => 0x02,
        CtState::Related => 0x04,
        CtState::New => 0x08,
        CtState::Untracked => 0x100,
    }
}

fn has_entry(state: CtState) -> bool {
    !matches!(state, CtState::Invalid | CtState::Untracked)
}

fn print_range(out: &mut Out, from: u64, to: u64) {
    out.dec(from);
    if from != to {
        out.byte(b':');
        out.dec(to);
    }
}

#[cfg(test)]
#[path = "conntrack_tests.rs"]
mod tests;

//! The range that SNAT, DNAT, MASQUERADE and REDIRECT map to: how it is written, its bytes, and what it does.
//!
//! # Options
//! `[address[-address]][:port[-port[/base]]]`; IPv6 addresses with ports stand in brackets. A port is a number, or alone a service name.
//! # Differs
//! A base behind a range of one port is printed `80-80/9`, as it must be written; stock prints `80/9`, which it cannot read. Where stock
//! forgets the base's number (SNAT, MASQUERADE) its `/0` can be read again here.
//! # Wire
//! `linux/netfilter/nf_nat.h`. IPv4 for all but DNAT: `struct nf_nat_ipv4_multi_range_compat` with one range, `{ u32 rangesize, flags;
//! be32 min_ip, max_ip; be16 min, max; }`. IPv6, and DNAT in both families: `struct nf_nat_range { u32 flags; u8 min_addr[16],
//! max_addr[16]; be16 min, max; }`, for DNAT with `be16 base` behind it (`nf_nat_range2`).
//! # Sources
//! iptables-extensions(8) "SNAT", "DNAT"; fact sheet 3.3, 3.4; measured.

use crate::ext::options::{UsageError, leading_number, usage_bytes};
use crate::ext::{Effect, Nat, NatAddr, ParseCx, PrintCx};
use crate::types::{Family, Names, Out};
use crate::usage;
use crate::wire::consts::*;
use crate::wire::native::NatRegs;
use crate::wire::{Attrs, BlobWriter, ExprWriter};
use std::net::IpAddr;

/// The flag bits of the struct (`NF_NAT_RANGE_*`).
pub mod flag {
    /// Addresses are given.
    pub const ADDRS: u32 = 1;
    /// Ports are given.
    pub const PORTS: u32 = 2;
    /// `--random`.
    pub const RANDOM: u32 = 4;
    /// `--persistent`.
    pub const PERSISTENT: u32 = 8;
    /// `--random-fully`.
    pub const FULLY: u32 = 0x10;
    /// A base port is given.
    pub const BASE: u32 = 0x20;
}

/// What a connection is mapped to. Ports in host order. A base stands only beside ports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NatRange {
    /// First and last address; the first may be the greater.
    pub addrs: Option<(IpAddr, IpAddr)>,
    /// First and last port, `first <= last`.
    pub ports: Option<(u16, u16)>,
    /// The old port that becomes the first one.
    pub base: Option<u16>,
    /// `--random`, `--persistent`, `--random-fully`: their bits of [`flag`].
    pub modes: u32,
}

/// How the struct of a target is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `nf_nat_ipv4_multi_range_compat` or, for IPv6, `nf_nat_range`: no room for the base port.
    Plain,
    /// `nf_nat_range2`.
    WithBase,
}

/// What becomes of a `/base` behind the ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// It is kept.
    Kept,
    /// Stock takes it and forgets the number, not the flag: it prints `/0`, which it then cannot read. Here it can be read.
    Zeroed,
    /// It is refused.
    Refused,
}

impl NatRange {
    /// Writes addresses and ports into registers; `None` if there is a base port.
    pub fn native(&self, x: &mut ExprWriter<'_>) -> Option<NatRegs> {
        if self.base.is_some() {
            return None;
        }
        // One after the other: an IPv6 address fills a whole register of four words.
        let mut put = |regs: (u32, u32), first: &[u8], last: &[u8]| -> (u32, u32) {
            x.immediate(regs.0, first);
            if first == last {
                return (regs.0, regs.0);
            }
            x.immediate(regs.1, last);
            regs
        };
        let octets = |addr: IpAddr| match addr {
            IpAddr::V4(a) => a.octets().to_vec(),
            IpAddr::V6(a) => a.octets().to_vec(),
        };
        let addr = self.addrs.map(|(first, last)| put((NFT_REG_1, NFT_REG_2), &octets(first), &octets(last)));
        let proto =
            self.ports.map(|(first, last)| put((NFT_REG_3, NFT_REG_4), &first.to_be_bytes(), &last.to_be_bytes()));
        let given = if addr.is_some() { flag::ADDRS } else { 0 } | if proto.is_some() { flag::PORTS } else { 0 };
        Some(NatRegs { addr, proto, flags: self.modes | given })
    }

    /// Takes `[address[-address]][:ports]`.
    pub fn set_to(&mut self, text: &[u8], base: Base, cx: &ParseCx<'_>) -> Result<(), UsageError> {
        // In brackets stand the addresses; else a single colon begins the ports, and several are of an IPv6 address.
        let (addrs, ports, between) = match text.iter().position(|b| *b == b'[') {
            Some(open) => {
                let inside = text.get(open + 1..).unwrap_or_default();
                let close = inside.iter().position(|b| *b == b']').filter(|_| cx.family == Family::V6);
                let Some(close) = close else { return Err(usage!("Invalid address format")) };
                let behind = inside.get(close + 1..).unwrap_or_default();
                let colon = behind.iter().position(|b| *b == b':');
                let ports = colon.and_then(|at| behind.get(at + 1..));
                (inside.get(..close).unwrap_or_default(), ports, colon.unwrap_or(0))
            }
            None => match text.iter().position(|b| *b == b':') {
                Some(at) if !text.get(at + 1..).unwrap_or_default().contains(&b':') => {
                    (text.get(..at).unwrap_or_default(), text.get(at + 1..), 0)
                }
                _ => (text, None, 0),
            },
        };
        if let Some(ports) = ports {
            self.set_ports(ports, base, cx)?;
            // What stands between bracket and colon is not looked at by stock, but with it, empty brackets are a wrong address.
            if addrs.is_empty() && between == 0 {
                return Ok(());
            }
        }
        let mut ends = addrs.splitn(2, |b| *b == b'-');
        let first = address(ends.next().unwrap_or_default(), cx.family)?;
        let last = ends.next().map_or(Ok(first), |text| address(text, cx.family))?;
        self.addrs = Some((first, last));
        Ok(())
    }

    /// Takes `port[-port[/base]]`.
    pub fn set_ports(&mut self, text: &[u8], base: Base, cx: &ParseCx<'_>) -> Result<(), UsageError> {
        if !has_ports(cx.protocol) {
            return Err(usage!("Need TCP, UDP, SCTP or DCCP with port specification"));
        }
        let invalid = |text| usage_bytes("Port `", text, "' not valid");
        let (first, rest) = port_or_service(text, 0, cx.names).ok_or_else(|| invalid(text))?;
        let second = match rest {
            [] => {
                self.ports = Some((first, first));
                return Ok(());
            }
            [b':', ..] => return Err(usage!("Invalid port:port syntax - use dash")),
            [b'-', second @ ..] => second,
            _ => return Err(usage_bytes("Garbage after port value: `", rest, "'")),
        };
        let (last, rest) = port_number(second, 0).ok_or_else(|| invalid(second))?;
        if last < first {
            return Err(usage_bytes("Port range `", second, "' funky"));
        }
        self.ports = Some((first, last));
        match rest {
            [] => Ok(()),
            [b'/', old @ ..] => {
                // What stands behind the digits is not looked at by stock.
                let min = u16::from(base != Base::Zeroed);
                let (old, _) = port_or_service(old, min, cx.names).ok_or_else(|| invalid(old))?;
                self.base = match base {
                    Base::Kept => Some(old),
                    Base::Zeroed => Some(0),
                    Base::Refused => return Err(usage!("Shifted portmap ranges not supported with this kernel")),
                };
                Ok(())
            }
            _ => Err(usage_bytes("Garbage after port range: `", rest, "'")),
        }
    }

    /// Whether it is taken in a rule with this `-p`.
    pub fn sayable(&self, protocol: Option<(u8, bool)>) -> bool {
        self.ports.is_none() || has_ports(protocol)
    }

    /// Prints addresses and ports as [`Self::set_to`] takes them.
    pub fn print_to(&self, out: &mut Out) {
        if let Some((first, last)) = self.addrs {
            let brackets = self.ports.is_some() && matches!(first, IpAddr::V6(_));
            out.str(if brackets { "[" } else { "" });
            out.addr(first);
            if first != last {
                out.byte(b'-');
                out.addr(last);
            }
            out.str(if brackets { "]" } else { "" });
        }
        if self.ports.is_some() {
            out.byte(b':');
            self.print_ports(out);
        }
    }

    /// Prints the ports as [`Self::set_ports`] takes them; nothing if there are none.
    pub fn print_ports(&self, out: &mut Out) {
        let Some((first, last)) = self.ports else { return };
        out.dec(u64::from(first));
        if first != last || self.base.is_some() {
            out.byte(b'-');
            out.dec(u64::from(last));
        }
        if let Some(base) = self.base {
            out.byte(b'/');
            out.dec(u64::from(base));
        }
    }

    /// Prints ` to 192.0.2.1:80 random,persistent` in the words of nft(8), and says whether it reads them as the target means them.
    pub fn translate(&self, cx: &PrintCx<'_>, out: &mut Out) -> bool {
        if self.addrs.is_some() || self.ports.is_some() {
            out.str(" to ");
            self.print_to(out);
        }
        let names = [(flag::RANDOM, "random"), (flag::FULLY, "fully-random"), (flag::PERSISTENT, "persistent")];
        let modes = names.iter().filter(|(bit, _)| self.modes & bit != 0);
        for (i, (_, name)) in modes.enumerate() {
            out.str(if i > 0 { "," } else { " " });
            out.str(name);
        }
        let (first, last) = match self.addrs {
            Some((first, last)) => (Some(first), Some(last)),
            None => (None, None),
        };
        // nft 1.0.6 does not read a range of addresses in brackets.
        let range_in_brackets = first != last && self.ports.is_some() && matches!(first, Some(IpAddr::V6(_)));
        // It knows ports only behind a protocol.
        let ports_known = self.ports.is_none() || cx.protocol.is_some();
        first <= last && self.base.is_none() && !range_in_brackets && ports_known
    }

    /// The modes of a native expression that has nothing but them: the payload of `NFTA_EXPR_DATA`, and the attribute of the flags.
    pub fn raise_modes(data: &[u8], attr: u16) -> Option<u32> {
        let mut modes = 0;
        for found in Attrs::new(data) {
            let found = found.ok().filter(|found| found.ty == attr)?;
            modes = u32::from_be_bytes(*found.payload.first_chunk().filter(|_| found.payload.len() == 4)?);
        }
        Some(modes)
    }

    /// Prints the modes, each with a blank and `dashes` in front.
    pub fn print_modes(&self, out: &mut Out, dashes: &str) {
        let names = [(flag::RANDOM, "random"), (flag::FULLY, "random-fully"), (flag::PERSISTENT, "persistent")];
        for (bit, name) in names {
            if self.modes & bit != 0 {
                write!(out, " {dashes}{name}");
            }
        }
    }

    /// Writes the struct.
    pub fn blob(&self, layout: Layout, family: Family, b: &mut BlobWriter<'_>) {
        let given = |set: bool, bit: u32| if set { bit } else { 0 };
        let flags = self.modes
            | given(self.addrs.is_some(), flag::ADDRS)
            | given(self.ports.is_some(), flag::PORTS)
            | given(self.base.is_some(), flag::BASE);
        if layout == Layout::Plain && family == Family::V4 {
            b.u32(1);
        }
        b.u32(flags);
        let room = if layout == Layout::Plain { family.addr_len() } else { 16 };
        match self.addrs {
            Some((first, last)) => {
                write_addr(first, room, b);
                write_addr(last, room, b);
            }
            None => b.zeros(2 * room),
        }
        let (first, last) = self.ports.unwrap_or((0, 0));
        b.bytes(&first.to_be_bytes());
        b.bytes(&last.to_be_bytes());
        if layout == Layout::WithBase {
            b.bytes(&self.base.unwrap_or(0).to_be_bytes());
            b.align(4);
        }
    }

    /// Reads the struct; `None` if it has flags that are not `allowed`, a base without ports, or ports that cannot be written.
    pub fn decode(info: &[u8], layout: Layout, family: Family, allowed: u32) -> Option<Self> {
        let compact = layout == Layout::Plain && family == Family::V4;
        let info = if compact { info.get(4..)? } else { info };
        let (flags, info) = info.split_first_chunk::<4>()?;
        let flags = u32::from_ne_bytes(*flags);
        if flags & !allowed != 0 || flags & (flag::BASE | flag::PORTS) == flag::BASE {
            return None;
        }
        let room = if compact { 4 } else { 16 };
        let (first, info) = (read_addr(info, family)?, info.get(room..)?);
        let (last, info) = (read_addr(info, family)?, info.get(room..)?);
        let [a, b, c, d, rest @ ..] = info else { return None };
        let base = match rest {
            [a, b, ..] if layout == Layout::WithBase => u16::from_be_bytes([*a, *b]),
            _ => 0,
        };
        let ports = (flags & flag::PORTS != 0).then_some((u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])));
        let no_base = layout == Layout::WithBase && flags & flag::BASE != 0 && base == 0;
        if no_base || ports.is_some_and(|(first, last)| first > last) {
            return None;
        }
        Some(Self {
            addrs: (flags & flag::ADDRS != 0).then_some((first, last)),
            ports,
            base: (flags & flag::BASE != 0).then_some(base),
            modes: flags & (flag::RANDOM | flag::PERSISTENT | flag::FULLY),
        })
    }

    /// What it does to a connection; `without` is the new address if no range is given.
    pub fn effect(&self, source: bool, without: NatAddr) -> Effect {
        let addr = self.addrs.map_or(without, |(first, last)| NatAddr::Range(first, last));
        Effect::Nat(Nat { source, addr, ports: self.ports, port_base: self.base })
    }
}

/// Whether ports may be named. Stock looks at the protocol as far as it has been read, whether inverted or not, and lets ICMP pass.
fn has_ports(protocol: Option<(u8, bool)>) -> bool {
    matches!(protocol, Some((1 | 6 | 17 | 33 | 132, _)))
}

/// An address in full: no names, no shortened forms.
fn address(text: &[u8], family: Family) -> Result<IpAddr, UsageError> {
    let parsed = std::str::from_utf8(text).ok().and_then(|s| match family {
        Family::V4 => s.parse().ok().map(IpAddr::V4),
        Family::V6 => s.parse().ok().map(IpAddr::V6),
    });
    parsed.ok_or_else(|| usage_bytes("Bad IP address \"", text, "\""))
}

/// The port number at the front of a text, and what stands behind it.
fn port_number(text: &[u8], min: u16) -> Option<(u16, &[u8])> {
    let (n, rest) = leading_number(text)?;
    Some((u16::try_from(n).ok().filter(|n| *n >= min)?, rest))
}

/// The same, or the port of the service that the whole text names, of whatever protocol.
fn port_or_service<'t>(text: &'t [u8], min: u16, names: &dyn Names) -> Option<(u16, &'t [u8])> {
    port_number(text, min).or_else(|| names.port(text, None).map(|port| (port, &b""[..])))
}

fn write_addr(addr: IpAddr, room: usize, b: &mut BlobWriter<'_>) {
    match addr {
        IpAddr::V4(a) => b.fixed(&a.octets(), room),
        IpAddr::V6(a) => b.fixed(&a.octets(), room),
    }
}

fn read_addr(info: &[u8], family: Family) -> Option<IpAddr> {
    Some(match family {
        Family::V4 => IpAddr::from(*info.first_chunk::<4>()?),
        Family::V6 => IpAddr::from(*info.first_chunk::<16>()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::NoNames;

    fn to(text: &str, family: Family, protocol: Option<(u8, bool)>) -> Result<String, String> {
        let mut range = NatRange::default();
        let cx = ParseCx { family, names: &NoNames, protocol };
        range.set_to(text.as_bytes(), Base::Kept, &cx).map_err(|e| String::from_utf8(e.0).unwrap())?;
        let mut out = Out::new();
        range.print_to(&mut out);
        Ok(String::from_utf8(out.into_bytes()).unwrap())
    }

    #[test]
    fn what_stock_takes_and_prints() {
        let tcp = Some((6, false));
        for same in ["1.2.3.4", "1.2.3.9-1.2.3.4", "1.2.3.4:0", ":80-90", ":80-90/5", "1.2.3.4-1.2.3.9:80-90/65535"] {
            assert_eq!(to(same, Family::V4, tcp).as_deref(), Ok(same));
        }
        for same in ["::1", "::1-::5", "[::1]:80", "[::1-::5]:80-90/7", ":80", "::0.1.0.128"] {
            assert_eq!(to(same, Family::V6, tcp).as_deref(), Ok(same));
        }
        for (text, printed) in
            [("1.2.3.4-1.2.3.4", "1.2.3.4"), (":80-80/9", ":80-80/9"), (": 0x50", ":80"), (":8-9/1x", ":8-9/1")]
        {
            assert_eq!(to(text, Family::V4, tcp).as_deref(), Ok(printed));
        }
        for (text, printed) in
            [("[]:80", ":80"), ("x[::1]y:80", "[::1]:80"), ("[::1]80", "::1"), ("::1:80", "::0.1.0.128")]
        {
            assert_eq!(to(text, Family::V6, tcp).as_deref(), Ok(printed));
        }
    }

    #[test]
    fn stocks_words_for_what_it_does_not_take() {
        let tcp = Some((6, false));
        let need = "Need TCP, UDP, SCTP or DCCP with port specification";
        for (text, protocol, error) in [
            (":80", None, need),
            (":80", Some((136, false)), need),
            ("x:y", None, need),
            ("", tcp, "Bad IP address \"\""),
            ("1.2.3", tcp, "Bad IP address \"1.2.3\""),
            ("01.2.3.4", tcp, "Bad IP address \"01.2.3.4\""),
            ("1.2.3.4-", tcp, "Bad IP address \"\""),
            ("1.2.3.4-5-6", tcp, "Bad IP address \"5-6\""),
            ("1.2.3.4:80:90", tcp, "Bad IP address \"1.2.3.4:80:90\""),
            ("[1.2.3.4]:80", tcp, "Invalid address format"),
            ("1.2.3.4:", tcp, "Port `' not valid"),
            ("1.2.3.4:-80", tcp, "Port `-80' not valid"),
            ("1.2.3.4:65536", tcp, "Port `65536' not valid"),
            ("1.2.3.4:90-80", tcp, "Port range `80' funky"),
            ("1.2.3.4:80x", tcp, "Garbage after port value: `x'"),
            ("1.2.3.4:80/90", tcp, "Garbage after port value: `/90'"),
            ("1.2.3.4:80-90x", tcp, "Garbage after port range: `x'"),
            ("1.2.3.4:80-90/0", tcp, "Port `0' not valid"),
        ] {
            assert_eq!(to(text, Family::V4, protocol), Err(error.into()), "{text}");
        }
        assert_eq!(to("[::1]:80:90", Family::V6, tcp), Err("Invalid port:port syntax - use dash".into()));
        assert_eq!(to("[::1", Family::V6, None), Err("Invalid address format".into()));
        assert_eq!(to(":80", Family::V4, Some((1, true))), Ok(":80".into()));
    }
}

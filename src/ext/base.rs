//! The generic part of a rule: `-s -d -i -o -p -f`.
//!
//! # Options
//! iptables(8), PARAMETERS. They are read by `text::command`, because lists of addresses make several rules of one command.
//! # Wire
//! In stock 1.8.9's order: `-i`, `-o`, `-p` (meta l4proto), `-s`, `-d`, `-f`; prefixes on a byte boundary load only their bytes and need no
//! `bitwise`. Reading takes any order, and the IPv4 protocol as payload too (1.8.10 on).
//! # Differs
//! `! -s 0/0` cannot be written (the kernel refuses it, as it does for stock).
//! # Sources
//! fact sheet 2.1, 2.2, 2.8, 8.

use super::PrintCx;
use crate::packet::Packet;
use crate::types::{Family, IFNAMSIZ, IfacePattern, Network, Out, Tri, builtin_protocol_name};
use crate::wire::ExprWriter;
use crate::wire::cond::{Cond, Data, Field, Test};
use crate::wire::consts::*;
use std::net::IpAddr;

/// The generic conditions of a rule; each with whether `!` stands before it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Base {
    /// `-s`; absent if every address is meant.
    pub src: Option<(Network, bool)>,
    /// `-d`.
    pub dst: Option<(Network, bool)>,
    /// `-i`.
    pub iif: Option<(IfacePattern, bool)>,
    /// `-o`.
    pub oif: Option<(IfacePattern, bool)>,
    /// `-p`; absent for all protocols.
    pub protocol: Option<(u8, bool)>,
    /// `-f` (false) or `! -f` (true); IPv4 only.
    pub fragment: Option<bool>,
}

/// The bytes with which `! -i +` is written: a name that no interface has.
const NO_INTERFACE: &[u8] = b"INVAL/D";

/// A mask: a prefix length as a number, or an address.
pub fn mask(text: &[u8], family: Family) -> Option<IpAddr> {
    if let Some(len) = super::options::number(text, 0, u64::from(family.addr_bits())) {
        return u8::try_from(len).ok().map(|len| crate::types::prefix_mask(family, len));
    }
    match family {
        Family::V4 => {
            let s = std::str::from_utf8(text).ok()?;
            (s.split('.').count() == 4).then(|| super::options::numeric_host(text, family))?
        }
        Family::V6 => super::options::numeric_host(text, family),
    }
}

impl Base {
    /// Writes the expressions that stock 1.8.9 writes.
    pub fn encode(&self, family: Family, x: &mut ExprWriter<'_>) {
        write_iface(x, NFT_META_IIFNAME, self.iif.as_ref());
        write_iface(x, NFT_META_OIFNAME, self.oif.as_ref());
        if let Some((protocol, not)) = self.protocol {
            x.meta(NFT_META_L4PROTO);
            x.cmp_eq(not, &[protocol]);
        }
        let (src, dst) = address_offsets(family);
        write_address(x, src, self.src.as_ref());
        write_address(x, dst, self.dst.as_ref());
        if let Some(not) = self.fragment {
            x.payload(NFT_PAYLOAD_NETWORK_HEADER, 6, 2);
            x.mask(&[0x1f, 0xff]);
            x.cmp_eq(!not, &[0, 0]);
        }
    }

    /// Claims a condition found in the kernel; false if it is not generic, or if the rule has one of its kind already.
    pub fn raise(&mut self, cond: &Cond, family: Family) -> bool {
        match cond.field {
            Field::Meta(NFT_META_IIFNAME) => raise_iface(&mut self.iif, cond),
            Field::Meta(NFT_META_OIFNAME) => raise_iface(&mut self.oif, cond),
            Field::Meta(NFT_META_L4PROTO) => self.raise_protocol(cond),
            Field::Payload { base: NFT_PAYLOAD_NETWORK_HEADER, offset, len } => {
                self.raise_network(cond, offset, len, family)
            }
            _ => false,
        }
    }

    fn raise_protocol(&mut self, cond: &Cond) -> bool {
        let Some((not, data)) = cond.equals() else { return false };
        let Some(protocol) = data.u8() else { return false };
        match self.protocol {
            // Stock 1.8.10 and nft may say it twice; a second one that differs makes another rule than we can print.
            Some(known) => known == (protocol, not),
            None if protocol == 0 => false,
            None => {
                self.protocol = Some((protocol, not));
                true
            }
        }
    }

    fn raise_network(&mut self, cond: &Cond, offset: u32, len: u32, family: Family) -> bool {
        let (src, dst) = address_offsets(family);
        let size = family.addr_len() as u32;
        if offset == src && len == 2 * size {
            return match cond.split(size) {
                Some((a, b)) if self.src.is_none() && self.dst.is_none() => {
                    raise_address(&mut self.src, &a, family) && raise_address(&mut self.dst, &b, family)
                }
                _ => false,
            };
        }
        if offset == src && len <= size {
            return raise_address(&mut self.src, cond, family);
        }
        if offset == dst && len <= size {
            return raise_address(&mut self.dst, cond, family);
        }
        match (family, offset, len) {
            (Family::V4, 9, 1) => self.raise_protocol(cond),
            (Family::V4, 6, 2) => self.raise_fragment(cond),
            _ => false,
        }
    }

    fn raise_fragment(&mut self, cond: &Cond) -> bool {
        let offset_only = cond.mask.is_some_and(|m| m.as_bytes() == [0x1f, 0xff]);
        let (true, None, Test::Cmp { op, data }) = (offset_only, self.fragment, &cond.test) else { return false };
        if data.as_bytes() != [0, 0] {
            return false;
        }
        self.fragment = match *op {
            NFT_CMP_NEQ | NFT_CMP_GT => Some(false),
            NFT_CMP_EQ => Some(true),
            _ => return false,
        };
        true
    }

    /// Prints the options as `-S` does: `-s -d -i -o -p -f`, each with a blank in front.
    pub fn save(&self, out: &mut Out, cx: &PrintCx<'_>) {
        for (flag, address) in [("-s ", &self.src), ("-d ", &self.dst)] {
            if let Some((net, not)) = address {
                out.str(if *not { " ! " } else { " " });
                out.str(flag);
                net.save(out);
            }
        }
        for (flag, iface) in [("-i", &self.iif), ("-o", &self.oif)] {
            match iface {
                Some((pattern, not)) if *not || !pattern.is_any() => {
                    out.str(if *not { " ! " } else { " " });
                    out.str(flag);
                    if Out::is_word(pattern.name()) {
                        out.byte(b' ');
                        pattern.print(out);
                    } else {
                        let mut name = Out::new();
                        pattern.print(&mut name);
                        out.word(name.as_bytes());
                    }
                }
                _ => {}
            }
        }
        if let Some((protocol, not)) = self.protocol {
            out.str(if not { " ! -p " } else { " -p " });
            print_protocol(out, protocol, cx);
        }
        if let Some(not) = self.fragment {
            out.str(if not { " ! -f" } else { " -f" });
        }
    }

    /// Whether a packet meets every condition. Where there is no interface, its name is empty.
    pub fn eval(&self, packet: &Packet) -> Tri {
        let address = |cond: &Option<(Network, bool)>, addr: IpAddr| match cond {
            Some((net, not)) => net.contains(addr) != *not,
            None => true,
        };
        let iface = |cond: &Option<(IfacePattern, bool)>, name: &[u8]| match cond {
            Some((pattern, not)) => pattern.matches(name) != *not,
            None => true,
        };
        let protocol = match self.protocol {
            Some((p, not)) => packet.protocol().is_some_and(|is| (is == p) != not),
            None => true,
        };
        let fragment = self.fragment.is_none_or(|not| packet.is_fragment_tail() != not);
        Tri::from(
            address(&self.src, packet.src())
                && address(&self.dst, packet.dst())
                && iface(&self.iif, &packet.meta.iif)
                && iface(&self.oif, &packet.meta.oif)
                && protocol
                && fragment,
        )
    }
}

/// Prints a protocol's name, or its number if it has none.
pub fn print_protocol(out: &mut Out, protocol: u8, cx: &PrintCx<'_>) {
    if let Some(name) = builtin_protocol_name(protocol) {
        out.str(name);
    } else if let Some(name) = cx.names.protocol_name(protocol) {
        out.bytes(&name);
    } else {
        out.dec(u64::from(protocol));
    }
}

/// Offsets of source and destination in the network header, in bytes (RFC 791 §3.1, RFC 8200 §3).
fn address_offsets(family: Family) -> (u32, u32) {
    match family {
        Family::V4 => (12, 16),
        Family::V6 => (8, 24),
    }
}

fn write_iface(x: &mut ExprWriter<'_>, key: u32, iface: Option<&(IfacePattern, bool)>) {
    let Some((pattern, not)) = iface else { return };
    x.meta(key);
    if !pattern.is_any() {
        x.cmp_eq(*not, pattern.cmp_bytes());
    } else if *not {
        x.cmp_eq(false, b"INVAL/D\0");
    }
}

fn raise_iface(slot: &mut Option<(IfacePattern, bool)>, cond: &Cond) -> bool {
    if slot.is_some() {
        return false;
    }
    *slot = match (&cond.test, cond.equals()) {
        (Test::Loaded, _) => IfacePattern::prefix(b"").map(|any| (any, false)),
        (_, Some((not, data))) => iface_of(data, not),
        _ => None,
    };
    slot.is_some()
}

/// The pattern that a compare of an interface name means: a NUL ends an exact name, no NUL makes it a prefix.
fn iface_of(data: &Data, not: bool) -> Option<(IfacePattern, bool)> {
    let bytes = data.as_bytes();
    let Some(end) = bytes.iter().position(|b| *b == 0) else {
        // With its `+` it must still be short enough for `-i`.
        let sayable = bytes.len() + 1 < IFNAMSIZ && !bytes.contains(&b'\n');
        return IfacePattern::prefix(bytes).filter(|_| sayable).map(|p| (p, not));
    };
    let (name, rest) = bytes.split_at(end);
    if rest.iter().any(|b| *b != 0) {
        return None;
    }
    if name == NO_INTERFACE {
        return IfacePattern::prefix(b"").map(|any| (any, !not));
    }
    // `-i eth+` would mean every name that begins with `eth`, and a line feed another line.
    let sayable = !name.is_empty() && !name.ends_with(b"+") && !name.contains(&b'\n');
    if sayable { IfacePattern::exact(name).map(|p| (p, not)) } else { None }
}

fn write_address(x: &mut ExprWriter<'_>, offset: u32, address: Option<&(Network, bool)>) {
    let Some((net, not)) = address else { return };
    let size = net.family().addr_len();
    let (addr, mask) = (net.addr_octets(), net.mask_octets());
    let whole_bytes = net.prefix_len().filter(|len| len % 8 == 0).map(|len| usize::from(len / 8));
    let len = whole_bytes.unwrap_or(size);
    x.payload(NFT_PAYLOAD_NETWORK_HEADER, offset, len as u32);
    if whole_bytes.is_none() {
        x.mask(mask.get(..size).unwrap_or(&mask));
    }
    x.cmp_eq(*not, addr.get(..len).unwrap_or(&addr));
}

fn raise_address(slot: &mut Option<(Network, bool)>, cond: &Cond, family: Family) -> bool {
    let (None, Test::Cmp { op, data }) = (&slot, &cond.test) else { return false };
    let not = match *op {
        NFT_CMP_EQ => false,
        NFT_CMP_NEQ => true,
        _ => return false,
    };
    // Bytes that were not loaded do not count.
    let loaded = data.as_bytes().len().min(family.addr_len());
    let mut mask = [0; 16];
    match &cond.mask {
        Some(m) => mask = m.padded(),
        None => mask.iter_mut().take(loaded).for_each(|b| *b = 0xff),
    }
    let addr = data.padded();
    // A value with bits outside its mask never matches: not a rule that iptables can say.
    if u128::from_ne_bytes(addr) & !u128::from_ne_bytes(mask) != 0 {
        return false;
    }
    let ip = |o: [u8; 16]| match family {
        Family::V4 => {
            let [a, b, c, d, ..] = o;
            IpAddr::from([a, b, c, d])
        }
        Family::V6 => IpAddr::from(o),
    };
    // A mask of nothing: always true or, negated, never; it cannot be written (see the file's head).
    *slot = Network::new(ip(addr), ip(mask)).filter(|_| mask != [0; 16]).map(|net| (net, not));
    slot.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{SomeNames, expressions, show};
    use crate::packet::build::{Icmp, Ipv4, Ipv6, Raw, Tcp};
    use crate::types::Family::{V4, V6};
    use crate::wire::cond::{Fold, Item};

    fn net(text: &str) -> (Network, bool) {
        let (not, text) = text.strip_prefix('!').map_or((false, text), |t| (true, t));
        let whole = if text.contains(':') { "128" } else { "32" };
        let (addr, bits) = text.split_once('/').unwrap_or((text, whole));
        let addr: IpAddr = addr.parse().unwrap();
        (Network::new(addr, mask(bits.as_bytes(), Family::of(addr)).unwrap()).unwrap(), not)
    }

    fn iface(text: &str) -> (IfacePattern, bool) {
        let (not, text) = text.strip_prefix('!').map_or((false, text), |t| (true, t));
        (IfacePattern::parse(text.as_bytes()).unwrap(), not)
    }

    fn src(text: &str) -> Base {
        Base { src: Some(net(text)), ..Base::default() }
    }

    fn save(base: &Base, family: Family) -> String {
        let mut out = Out::new();
        base.save(&mut out, &PrintCx { family, numeric: true, names: &SomeNames, protocol: None });
        String::from_utf8(out.into_bytes()).unwrap()
    }

    /// What expressions say; `opaque` if one of them is not generic.
    fn read(family: Family, write: impl FnOnce(&mut ExprWriter<'_>)) -> String {
        let (mut base, mut exact) = (Base::default(), true);
        expressions(write, |exprs| {
            let mut fold = Fold::new();
            let mut take = |item: Item<'_>| exact &= matches!(item, Item::Cond(cond) if base.raise(&cond, family));
            exprs.for_each(|expr| fold.push(expr, &mut take));
            fold.finish(&mut take);
        });
        if exact { save(&base, family) } else { "opaque".into() }
    }

    /// The generic part is printed and written so, and reads back as the same text.
    fn row(family: Family, base: &Base, text: &str, wire: &str) {
        assert_eq!(save(base, family), text);
        let written = expressions(|x| base.encode(family, x), |e| e.map(show).collect::<Vec<_>>().join("; "));
        assert_eq!(written, wire, "{text}");
        assert_eq!(read(family, |x| base.encode(family, x)), text);
    }

    #[test]
    fn addresses_as_stock_writes_them() {
        for (addr, text, wire) in [
            ("1.2.3.4/32", " -s 1.2.3.4/32", "nh+12,4; == 01020304"),
            ("1.2.3.4/24", " -s 1.2.3.0/24", "nh+12,3; == 010203"),
            ("!1.2.3.4/8", " ! -s 1.0.0.0/8", "nh+12,1; != 01"),
            ("1.2.3.4/25", " -s 1.2.3.0/25", "nh+12,4; & ffffff80; == 01020300"),
            ("1.2.3.4/1", " -s 0.0.0.0/1", "nh+12,4; & 80000000; == 00000000"),
            ("1.2.3.4/255.0.255.0", " -s 1.0.3.0/255.0.255.0", "nh+12,4; & ff00ff00; == 01000300"),
            ("!1.2.3.4/0.0.0.255", " ! -s 0.0.0.4/0.0.0.255", "nh+12,4; & 000000ff; != 00000004"),
        ] {
            row(V4, &src(addr), text, wire);
        }
        let zeros = "0".repeat(24);
        for (addr, text, wire) in [
            ("2001:db8::1/128", " -s 2001:db8::1/128", format!("nh+8,16; == 20010db8{}1", &zeros[1..])),
            ("2001:db8::/32", " -s 2001:db8::/32", "nh+8,4; == 20010db8".into()),
            (
                "!2001:db8::/33",
                " ! -s 2001:db8::/33",
                format!("nh+8,16; & ffffffff8{}; != 20010db8{zeros}", &zeros[1..]),
            ),
        ] {
            row(V6, &src(addr), text, &wire);
        }
        let both = Base { src: Some(net("1.1.1.1")), dst: Some(net("!2.0.0.0/8")), ..Base::default() };
        row(V4, &both, " -s 1.1.1.1/32 ! -d 2.0.0.0/8", "nh+12,4; == 01010101; nh+16,1; != 02");
    }

    #[test]
    fn the_rest_and_the_order_in_which_stock_writes() {
        let all = Base {
            src: Some(net("1.1.1.1")),
            dst: Some(net("2.2.2.2")),
            iif: Some(iface("eth0")),
            oif: Some(iface("!wlan+")),
            protocol: Some((17, true)),
            fragment: Some(false),
        };
        row(
            V4,
            &all,
            " -s 1.1.1.1/32 -d 2.2.2.2/32 -i eth0 ! -o wlan+ ! -p udp -f",
            "meta 6; == 6574683000; meta 7; != 776c616e; meta 16; != 11; nh+12,4; == 01010101; nh+16,4; == 02020202; \
             nh+6,2; & 1fff; != 0000",
        );
        let one = |name: &str| Base { iif: Some(iface(name)), ..Base::default() };
        row(V6, &one("abcdefghijklmno"), " -i abcdefghijklmno", "meta 6; == 6162636465666768696a6b6c6d6e6f00");
        row(V6, &one("eth++"), " -i eth++", "meta 6; == 6574682b");
        row(V6, &one("+"), "", "meta 6");
        row(V6, &one("!+"), " ! -i +", "meta 6; == 494e56414c2f4400");
        row(V4, &Base { fragment: Some(true), ..Base::default() }, " ! -f", "nh+6,2; & 1fff; == 0000");
        for (protocol, name) in
            [(1, "icmp"), (58, "ipv6-icmp"), (135, "mobility-header"), (136, "udplite"), (253, "253")]
        {
            let base = Base { protocol: Some((protocol, false)), ..Base::default() };
            row(V4, &base, &format!(" -p {name}"), &format!("meta 16; == {protocol:02x}"));
        }
    }

    /// Fact sheet 2.8: forms of nft and of other versions of stock.
    #[test]
    fn other_forms_that_say_the_same() {
        let nh = |x: &mut ExprWriter<'_>, offset, len| x.payload(NFT_PAYLOAD_NETWORK_HEADER, offset, len);
        let protocol = |x: &mut ExprWriter<'_>| (nh(x, 9, 1), x.cmp_eq(true, &[6])).1;
        assert_eq!(read(V4, protocol), " ! -p tcp");
        assert_eq!(read(V6, protocol), "opaque");
        let twice = |other: u8| {
            read(V4, |x| {
                nh(x, 9, 1);
                x.cmp_eq(false, &[6]);
                x.meta(NFT_META_L4PROTO);
                x.cmp_eq(false, &[other]);
            })
        };
        assert_eq!((twice(6).as_str(), twice(17).as_str()), (" -p tcp", "opaque"));
        let masked = |mask: [u8; 4]| {
            read(V4, |x| {
                nh(x, 16, 4);
                x.mask(&mask);
                x.cmp_eq(false, &[10, 0, 0, 0]);
            })
        };
        assert_eq!(masked([255, 255, 255, 0]), " -d 10.0.0.0/24");
        assert_eq!(masked([255; 4]), " -d 10.0.0.0/32");
        assert_eq!(masked([1, 255, 255, 0]), "opaque", "a value outside its mask");
        let pair = |x: &mut ExprWriter<'_>| (nh(x, 12, 8), x.cmp_eq(false, &[1, 1, 1, 1, 2, 2, 2, 2])).1;
        assert_eq!(read(V4, pair), " -s 1.1.1.1/32 -d 2.2.2.2/32");
        let not_pair = |x: &mut ExprWriter<'_>| (nh(x, 12, 8), x.cmp_eq(true, &[1, 1, 1, 1, 2, 2, 2, 2])).1;
        assert_eq!(read(V4, not_pair), "opaque");
        let range = |x: &mut ExprWriter<'_>| (nh(x, 12, 4), x.range(false, &[1, 1, 1, 1], &[1, 1, 1, 9])).1;
        assert_eq!(read(V4, range), "opaque");
        let two = |x: &mut ExprWriter<'_>| {
            nh(x, 12, 4);
            x.cmp_eq(true, &[1, 1, 1, 1]);
            nh(x, 12, 4);
            x.cmp_eq(true, &[1, 1, 1, 2]);
        };
        assert_eq!(read(V4, two), "opaque");
        let fragment = |x: &mut ExprWriter<'_>| (nh(x, 6, 2), x.mask(&[0x1f, 0xff]), x.cmp(NFT_CMP_GT, &[0, 0])).2;
        assert_eq!(read(V4, fragment), " -f");
        let dont = |x: &mut ExprWriter<'_>| (nh(x, 6, 2), x.mask(&[0x40, 0]), x.cmp_eq(true, &[0, 0])).2;
        assert_eq!(read(V4, dont), "opaque");
    }

    #[test]
    fn interface_names_in_other_forms() {
        let name = |bytes: &[u8]| {
            read(V4, |x| {
                x.meta(NFT_META_OIFNAME);
                x.cmp_eq(false, bytes);
            })
        };
        assert_eq!(name(b"eth0\0\0\0\0\0\0\0\0\0\0\0\0"), " -o eth0");
        assert_eq!(name(b"eth"), " -o eth+");
        assert_eq!(name(b"eth0\0x"), "opaque", "bytes behind the NUL");
        assert_eq!(name(b"\0"), "opaque", "no interface");
        assert_eq!(name(b"eth+\0"), "opaque", "a name that would be read as a prefix");
        assert_eq!(name(b"a\nb\0"), "opaque");
        assert_eq!(name(b"abcdefghijklmno"), "opaque", "too long with its plus");
        let index = |x: &mut ExprWriter<'_>| (x.meta(NFT_META_IIF), x.cmp_eq(false, &1u32.to_ne_bytes())).1;
        assert_eq!(read(V4, index), "opaque");
        let protocol_0 = |x: &mut ExprWriter<'_>| (x.meta(NFT_META_L4PROTO), x.cmp_eq(false, &[0])).1;
        assert_eq!(read(V4, protocol_0), "opaque");
    }

    #[test]
    fn masks() {
        let v4 = |s: &str| mask(s.as_bytes(), V4).map(|m| m.to_string()).unwrap_or_default();
        for (text, expected) in [
            ("24", "255.255.255.0"),
            (" +0x18", "255.255.255.0"),
            ("0", "0.0.0.0"),
            ("255.255.0x0.0", "255.255.0.0"),
            ("0.0.0.255", "0.0.0.255"),
            ("33", ""),
            ("-1", ""),
            ("", ""),
            ("255.255", ""),
            ("255.255.255.0.0", ""),
        ] {
            assert_eq!(v4(text), expected, "{text:?}");
        }
        assert_eq!(mask(b"129", V6), None);
        assert_eq!(mask(b"ffff::", V6), "ffff::".parse().ok());
    }

    #[test]
    fn packets() {
        let mut packet = Ipv4 { src: [10, 0, 0, 1].into(), ..Ipv4::default() } / Tcp::default();
        packet.meta.iif = b"eth0".to_vec();
        let tcp = |not| Base { protocol: Some((6, not)), ..Base::default() };
        let input = |name: &str| Base { iif: Some(iface(name)), ..Base::default() };
        let output = |name: &str| Base { oif: Some(iface(name)), ..Base::default() };
        for (base, expected) in [
            (Base::default(), true),
            (src("10.0.0.0/8"), true),
            (src("!10.0.0.0/8"), false),
            (src("10.0.0.2/255.0.0.255"), false),
            (tcp(false), true),
            (tcp(true), false),
            (input("eth+"), true),
            (input("!eth0"), false),
            (output("!eth0"), true),
            (output("+"), true),
            (output("!+"), false),
            (Base { fragment: Some(true), ..Base::default() }, true),
            (Base { fragment: Some(false), ..Base::default() }, false),
        ] {
            assert_eq!(base.eval(&packet), Tri::from(expected), "{}", save(&base, V4));
        }
        let tail = Ipv4 { fragment_offset: 16, ..Ipv4::default() } / Raw { protocol: 6, payload: vec![0; 9] };
        assert_eq!(Base { fragment: Some(false), ..tcp(false) }.eval(&tail), Tri::True);
        let icmp = Ipv6::default() / Icmp::default();
        assert_eq!(tcp(true).eval(&icmp), Tri::True);
    }
}

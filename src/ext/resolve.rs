//! Addresses and ports as getaddrinfo(3) reads them; most extensions' options do, while `-s`, `-d` and the ports of tcp and udp have
//! rules of their own (see [`super::options`]).
//!
//! Sources: observed with stock 1.8.9 (`recent --mask`, `conntrack --ctorigsrc`, `--ctorigsrcport`); getaddrinfo(3), inet_aton(3).

use super::ParseCx;
use super::options::{UsageError, number, skip_space, usage_bytes};
use crate::types::{Family, prefix_mask};
use crate::usage;
use std::net::{IpAddr, Ipv4Addr};

/// One address of the rule's family: numeric, or the first address of a host name.
pub fn host(text: &[u8], cx: &ParseCx<'_>) -> Result<IpAddr, UsageError> {
    if let Some(addr) = numeric(text, cx.family) {
        return Ok(addr);
    }
    let other = match cx.family {
        Family::V4 => Family::V6,
        Family::V6 => Family::V4,
    };
    if numeric(text, other).is_some() {
        return Err(usage!("getaddrinfo: Address family for hostname not supported\n"));
    }
    cx.names.hosts(text, cx.family).first().copied().ok_or_else(|| {
        let why = cx.names.host_error().unwrap_or_else(|| "Name or service not known".into());
        usage!("getaddrinfo: {why}\n")
    })
}

/// `address[/mask]`, the mask a prefix length or an address, contiguous or not; `None` if there is none. Host bits are kept. `ext` and `opt`
/// are the names for the error.
pub fn network(text: &[u8], cx: &ParseCx<'_>, ext: &str, opt: &str) -> Result<(IpAddr, Option<IpAddr>), UsageError> {
    let Some(slash) = text.iter().position(|b| *b == b'/') else { return Ok((host(text, cx)?, None)) };
    let (addr, mask) = (text.get(..slash).unwrap_or_default(), text.get(slash + 1..).unwrap_or_default());
    let addr = host(addr, cx)?;
    let bits = cx.family.addr_bits();
    let prefix = number(mask, 0, u64::from(bits)).and_then(|len| u8::try_from(len).ok());
    // Stock takes a number that is too long for a prefix for all of the address, although inet_aton(3) would read a mask out of it.
    let all =
        number(mask, 0, u64::from(u32::MAX)).filter(|_| cx.family == Family::V4).map(|_| prefix_mask(cx.family, bits));
    match prefix.map(|len| prefix_mask(cx.family, len)).or(all).or_else(|| numeric(mask, cx.family)) {
        Some(mask) => Ok((addr, Some(mask))),
        None => Err(usage!(
            "{ext}: bad value for option \"--{opt}\", neither a valid network mask nor valid CIDR (0-{bits}).\n"
        )),
    }
}

/// A numeric address: of IPv4 in all the forms of inet_aton(3) (`10.1` is 10.0.0.1, `0x7f.1` and `2130706433` are 127.0.0.1).
pub fn numeric(text: &[u8], family: Family) -> Option<IpAddr> {
    match family {
        Family::V4 => aton(text).map(IpAddr::V4),
        Family::V6 => std::str::from_utf8(text).ok()?.parse().ok().map(IpAddr::V6),
    }
}

fn aton(text: &[u8]) -> Option<Ipv4Addr> {
    let mut parts = text.split(|b| *b == b'.').peekable();
    let mut bits = 0u32;
    for shift in [24u32, 16, 8, 0] {
        let part = parts.next().filter(|p| p.first().is_some_and(u8::is_ascii_digit))?;
        let last = parts.peek().is_none();
        // The last part fills all bytes that are left.
        let max = if last { u64::from(u32::MAX >> (24 - shift)) } else { 255 };
        let n = u32::try_from(number(part, 0, max)?).ok()?;
        if last {
            return Some(Ipv4Addr::from_bits(bits | n));
        }
        bits |= n << shift;
    }
    None
}

/// `a[:b]` in ports or service names, host order; an end left out is 0 or 65535, a text left out altogether 0. The first may be greater.
pub fn ports(text: &[u8], cx: &ParseCx<'_>, ext: &str, opt: &str) -> Result<(u16, u16), UsageError> {
    let mut parts = text.split(|b| *b == b':');
    let end = |part: &[u8], open| if part.is_empty() { Ok(open) } else { port(part, cx) };
    let first = parts.next().unwrap_or_default();
    let Some(second) = parts.next() else {
        let p = end(first, 0)?;
        return Ok((p, p));
    };
    let pair = (end(first, 0)?, end(second, u16::MAX)?);
    if parts.next().is_some() {
        return Err(usage!("{ext}: Too many components for option \"--{opt}\" (max: 2)\n"));
    }
    Ok(pair)
}

/// The protocols whose services are asked for, in the order of glibc: tcp, udp, dccp, udplite, sctp.
const SERVICE_PROTOCOLS: [u8; 5] = [6, 17, 33, 136, 132];

/// A port number in decimal or a service name. Stock takes a number over 65535 modulo 65536 (`--dport 70000` becomes 4464); here it is refused
/// with the words that stock has for a name that nobody knows.
pub fn port(text: &[u8], cx: &ParseCx<'_>) -> Result<u16, UsageError> {
    decimal(text)
        .or_else(|| SERVICE_PROTOCOLS.iter().find_map(|p| cx.names.port(text, Some(*p))))
        .ok_or_else(|| usage_bytes("Port \"", text, "\" does not resolve to anything.\n"))
}

/// strtoul(3) with base 10 over the whole text, without a minus, up to 65535.
fn decimal(text: &[u8]) -> Option<u16> {
    let text = skip_space(text);
    let digits = text.strip_prefix(b"+").unwrap_or(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::NoNames;

    const CX: ParseCx<'_> = ParseCx { family: Family::V4, names: &NoNames, protocol: None };

    fn said<T>(result: Result<T, UsageError>, show: impl Fn(T) -> String) -> String {
        result.map_or_else(|e| String::from_utf8_lossy(&e.0).trim_end().to_owned(), show)
    }

    #[test]
    fn addresses_as_inet_aton_reads_them() {
        let v4 = |s: &str| numeric(s.as_bytes(), Family::V4).map(|a| a.to_string()).unwrap_or_default();
        for (text, expected) in [
            ("1.2.3.4", "1.2.3.4"),
            ("10", "0.0.0.10"),
            ("10.1", "10.0.0.1"),
            ("1.2.65535", "1.2.255.255"),
            ("0x7f.1", "127.0.0.1"),
            ("010.1", "8.0.0.1"),
            ("2130706433", "127.0.0.1"),
            ("4294967295", "255.255.255.255"),
            ("4294967296", ""),
            ("256.1.1.1", ""),
            ("1.2.65536", ""),
            ("1.2.3.4.5", ""),
            ("1.2.3.4 ", ""),
            (" 1.2.3.4", ""),
            ("08.1", ""),
            ("1..2", ""),
            ("", ""),
        ] {
            assert_eq!(v4(text), expected, "{text:?}");
        }
    }

    /// Observed with `-m conntrack --ctorigsrc …` of stock 1.8.9.
    #[test]
    fn networks_as_stock_reads_them() {
        let net = |s: &str| {
            said(network(s.as_bytes(), &CX, "conntrack", "ctorigsrc"), |(a, m)| match m {
                None => a.to_string(),
                Some(m) => format!("{a}/{m}"),
            })
        };
        let bad =
            "conntrack: bad value for option \"--ctorigsrc\", neither a valid network mask nor valid CIDR (0-32).";
        for (text, expected) in [
            ("1.2.3.4", "1.2.3.4"),
            ("1.2.3.4/24", "1.2.3.4/255.255.255.0"),
            ("1.2.3.4/010", "1.2.3.4/255.0.0.0"),
            ("1.2.3.4/ +8", "1.2.3.4/255.0.0.0"),
            ("1.2.3.4/255.0.255.0", "1.2.3.4/255.0.255.0"),
            ("1.2.3.4/33", "1.2.3.4/255.255.255.255"),
            ("1.2.3.4/", bad),
            ("1.2.3.4/x", bad),
            ("1.2.3.4/8 ", bad),
            ("1.2.3.4/8/9", bad),
            ("1.2.3.4/255.255.255.256", bad),
            ("/8", "getaddrinfo: Name or service not known"),
            ("::1", "getaddrinfo: Address family for hostname not supported"),
        ] {
            assert_eq!(net(text), expected, "{text:?}");
        }
    }

    /// Observed with `-m conntrack --ctorigsrcport …` of stock 1.8.9.
    #[test]
    fn ports_as_getaddrinfo_reads_them() {
        let read = |s: &str| said(ports(s.as_bytes(), &CX, "conntrack", "ctorigsrcport"), |(a, b)| format!("{a}:{b}"));
        let unknown = |s: &str| format!("Port \"{s}\" does not resolve to anything.");
        let many = "conntrack: Too many components for option \"--ctorigsrcport\" (max: 2)";
        for (text, expected) in [
            ("80", "80:80"),
            ("80:22", "80:22"),
            (":", "0:65535"),
            ("", "0:0"),
            (" +080", "80:80"),
            ("65536", &unknown("65536")),
            ("4294967376", &unknown("4294967376")),
            ("-4294967216", &unknown("-4294967216")),
            ("1:2:", many),
            ("::", many),
            ("0x50", &unknown("0x50")),
            ("-5", &unknown("-5")),
            ("80 ", &unknown("80 ")),
            ("5:80x", &unknown("80x")),
            ("99999999999999999999", &unknown("99999999999999999999")),
        ] {
            assert_eq!(read(text), expected, "{text:?}");
        }
    }
}

//! Lines about traced packets: `PACKET: …` where a chain meets it, and ` TRACE: …` for each rule that matched, and for the policy.

use super::{Watcher, family_of};
use crate::kernel::monitor::Monitor;
use crate::kernel::{Error, Event, Session};
use crate::packet::protocol;
use crate::types::{Family, Out};
use crate::wire::DecodeError;
use crate::wire::consts::*;
use crate::wire::msg::RuleMsg;
use crate::wire::trace::TraceMsg;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::ControlFlow;

/// `linux/if_arp.h`.
const ARPHRD_ETHER: u16 = 1;
const ARPHRD_LOOPBACK: u16 = 772;
/// `NFPROTO_INET`.
const INET: u8 = 1;

impl Watcher {
    pub(super) fn trace(&mut self, family: u8, attrs: &[u8]) -> Result<(), DecodeError> {
        let t = TraceMsg::decode(attrs)?;
        if t.network.is_some() || t.link.is_some() {
            packet(family, &t, &mut self.out);
        }
        // The end of a chain, where no rule matched, comes as one without a handle.
        if t.kind == NFT_TRACETYPE_RULE && t.handle == 0 {
            return Ok(());
        }
        let out = &mut self.out;
        write!(out, " TRACE: {family} {:08x} ", t.id);
        out.bytes(t.table);
        out.byte(b':');
        out.bytes(t.chain);
        out.byte(b':');
        match t.kind {
            NFT_TRACETYPE_RULE => {
                write!(out, "rule:0x{:x}:", t.handle);
                verdict(&t, out);
                out.str("  ");
                self.traced_rule(family, &t);
            }
            NFT_TRACETYPE_RETURN => out.str("return: "),
            NFT_TRACETYPE_POLICY => {
                out.str("policy:");
                verdict_name(t.policy.unwrap_or(NF_ACCEPT.cast_unsigned()), out);
                out.byte(b' ');
            }
            _ => {}
        }
        self.out.byte(b'\n');
        Ok(())
    }

    /// The rule as it stands now; nothing if it is gone.
    fn traced_rule(&mut self, nfproto: u8, t: &TraceMsg<'_>) {
        let Some(family) = family_of(nfproto) else { return };
        let Ok(mut session) = self.session.take().map_or_else(Session::open, Ok) else { return };
        if let Ok(Some((exprs, userdata))) = rule_by_handle(&mut session, family, t) {
            let rule = RuleMsg {
                table: t.table,
                chain: t.chain,
                handle: t.handle,
                exprs: &exprs,
                userdata: userdata.as_deref(),
                ..RuleMsg::default()
            };
            self.rule(nfproto, "-A", &rule);
        }
        self.session = Some(session);
    }
}

type Found = Option<(Vec<u8>, Option<Vec<u8>>)>;

/// Expressions and userdata of the rule that a trace names.
fn rule_by_handle(session: &mut Session, family: Family, t: &TraceMsg<'_>) -> Result<Found, Error> {
    let mut found = None;
    session.rules(family, t.table, t.chain, &mut |event| match event {
        Event::Rule(rule) if rule.handle == t.handle => {
            found = Some((rule.exprs.to_vec(), rule.userdata.map(<[u8]>::to_vec)));
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    })?;
    Ok(found)
}

fn verdict(t: &TraceMsg<'_>, out: &mut Out) {
    let Some((code, chain)) = t.verdict else { return };
    verdict_name(code, out);
    if !chain.is_empty() {
        out.byte(b':');
        out.bytes(chain);
    }
}

/// The name of a verdict; of those that stock has none for, RETURN among them, the number.
fn verdict_name(code: u32, out: &mut Out) {
    match code.cast_signed() {
        0 => out.str("DROP"),
        1 => out.str("ACCEPT"),
        -1 => out.str("CONTINUE"),
        -3 => out.str("JUMP"),
        -4 => out.str("GOTO"),
        _ => write!(out, "0x{code:x}"),
    }
}

fn packet(family: u8, t: &TraceMsg<'_>, out: &mut Out) {
    write!(out, "PACKET: {family} {:08x} ", t.id);
    for (name, index) in [("IN", t.iif), ("OUT", t.oif)] {
        if let Some(index) = index {
            let interface = Monitor::interface(index).unwrap_or_else(|| index.to_string());
            write!(out, "{name}={interface} ");
        }
    }
    let nfproto = match t.nfproto {
        Some(nfproto) if family == INET => {
            write!(out, "NFPROTO={nfproto} ");
            nfproto
        }
        _ => u32::from(family),
    };
    if let Some(link) = t.link {
        link_layer(t.iif_type.unwrap_or(ARPHRD_LOOPBACK), link, out);
    }
    let transport = t.transport.unwrap_or_default();
    match (u8::try_from(nfproto).ok().and_then(family_of), t.network) {
        (Some(Family::V4), Some(header)) => ipv4(header, transport, out),
        (Some(Family::V6), Some(header)) => ipv6(header, transport, out),
        _ => {}
    }
    if let Some(mark) = t.mark.filter(|mark| *mark != 0) {
        write!(out, "MARK=0x{mark:x} ");
    }
    out.byte(b'\n');
}

fn link_layer(iif_type: u16, link: &[u8], out: &mut Out) {
    match (iif_type, link) {
        (ARPHRD_LOOPBACK, _) => out.str("LOOPBACK "),
        (ARPHRD_ETHER, [header @ .., high, low]) if header.len() == 12 => {
            let (to, from) = header.split_at(6);
            for (name, address) in [("MACSRC", from), ("MACDST", to)] {
                let bytes: Vec<_> = address.iter().map(|b| format!("{b:x}")).collect();
                write!(out, "{name}={} ", bytes.join(":"));
            }
            write!(out, "MACPROTO={high:02x}{low:02x} ");
        }
        (other, bytes) => {
            write!(out, "LL=0x{other:x} ");
            bytes.iter().for_each(|b| write!(out, "{b:02x}"));
            out.byte(b' ');
        }
    }
}

fn ipv4(header: &[u8], transport: &[u8], out: &mut Out) {
    let (Some(fixed), options) = (header.first_chunk::<20>(), header.get(20..).unwrap_or_default()) else { return };
    let [_, tos, l0, l1, i0, i1, f0, f1, ttl, proto, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = *fixed;
    let (len, id, frag) = (u16::from_be_bytes([l0, l1]), u16::from_be_bytes([i0, i1]), u16::from_be_bytes([f0, f1]));
    let (src, dst) = (Ipv4Addr::new(s0, s1, s2, s3), Ipv4Addr::new(d0, d1, d2, d3));
    write!(out, "SRC={src} DST={dst} LEN={len} TOS=0x{tos:x} TTL={ttl} ID={id} ");
    for (bit, name) in [(0x8000, "CE "), (0x4000, "DF "), (0x2000, "MF ")] {
        out.str(if frag & bit != 0 { name } else { "" });
    }
    if frag & 0x1fff != 0 {
        write!(out, "FRAG:{} ", frag & 0x1fff);
    }
    if !options.is_empty() {
        out.str("OPT (");
        options.iter().for_each(|b| write!(out, "{b:02X}"));
        out.str(") ");
    }
    ports(proto, transport, out);
}

fn ipv6(header: &[u8], transport: &[u8], out: &mut Out) {
    let Some((first, rest)) = header.split_first_chunk::<8>() else { return };
    let (Some((src, rest)), [w0, w1, w2, w3, l0, l1, proto, hops]) = (rest.split_first_chunk::<16>(), *first) else {
        return;
    };
    let Some(dst) = rest.first_chunk::<16>() else { return };
    let word = u32::from_be_bytes([w0, w1, w2, w3]);
    // Stock adds the length of an IPv4 header.
    let len = u32::from(u16::from_be_bytes([l0, l1])) + 20;
    let (src, dst) = (Ipv6Addr::from(*src), Ipv6Addr::from(*dst));
    let (class, label) = (word >> 20 & 0xff, word & 0xf_ffff);
    write!(out, "SRC={src} DST={dst} LEN={len} TC={class} HOPLIMIT={hops} FLOWLBL={label} ");
    // Extension headers are not looked behind.
    ports(proto, transport, out);
}

fn ports(proto: u8, transport: &[u8], out: &mut Out) {
    let Some((&[s0, s1, d0, d1], rest)) = transport.split_first_chunk::<4>() else { return };
    let flags = match proto {
        protocol::TCP => match rest.get(9) {
            Some(flags) if transport.len() >= 20 => *flags,
            _ => return,
        },
        // and DCCP, SCTP, UDP-Lite
        protocol::UDP | 33 | 132 | 136 => 0,
        _ => return,
    };
    write!(out, "SPORT={} DPORT={} ", u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
    for (bit, name) in [(0x02, "SYN "), (0x10, "ACK "), (0x01, "FIN "), (0x04, "RST "), (0x08, "PSH "), (0x20, "URG ")]
    {
        out.str(if flags & bit != 0 { name } else { "" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::build::{Ipv4, Ipv6, Raw, Tcp, Udp};
    use crate::packet::tcp;

    /// The line of a packet as a chain meets it, its interfaces aside.
    fn line(packet: &crate::packet::Packet, t: TraceMsg<'_>) -> String {
        let at = packet.transport_offset().unwrap();
        let (network, rest) = packet.bytes().split_at(at);
        let t = TraceMsg { network: Some(network), transport: Some(&rest[..rest.len().min(20)]), id: 0xab, ..t };
        let mut out = Out::new();
        super::packet(packet.family().nfproto(), &t, &mut out);
        String::from_utf8_lossy(out.as_bytes()).into_owned()
    }

    #[test]
    fn packets_as_stock_prints_them() {
        let none = TraceMsg::default();
        let ack = Tcp { flags: tcp::SYN | tcp::ACK, src_port: 1, dst_port: 2, ..Tcp::default() };
        assert_eq!(
            line(&(Ipv4 { ttl: 9, identification: 7, ..Ipv4::default() } / ack), TraceMsg { mark: Some(16), ..none }),
            "PACKET: 2 000000ab SRC=192.0.2.1 DST=198.51.100.1 LEN=40 TOS=0x0 TTL=9 ID=7 SPORT=1 DPORT=2 SYN ACK MARK=0x10 \n"
        );
        let udp = Udp { src_port: 3, dst_port: 4, ..Udp::default() };
        let head = Ipv4 { dont_fragment: true, options: vec![1, 1, 1, 0], tos: 0xb8, ..Ipv4::default() };
        let link = [0, 0, 0, 0, 0, 0x16, 2, 0, 0, 0, 0, 0x0b, 8, 0];
        assert_eq!(
            line(&(head / udp), TraceMsg { link: Some(&link), iif_type: Some(ARPHRD_ETHER), ..none }),
            "PACKET: 2 000000ab MACSRC=2:0:0:0:0:b MACDST=0:0:0:0:0:16 MACPROTO=0800 SRC=192.0.2.1 DST=198.51.100.1 LEN=32 \
             TOS=0xb8 TTL=64 ID=0 DF OPT (01010100) SPORT=3 DPORT=4 \n"
        );
        let esp = Raw { protocol: 50, payload: vec![0; 8] };
        assert_eq!(
            line(&(Ipv6 { hop_limit: 3, traffic_class: 0xab, ..Ipv6::default() } / esp), none),
            "PACKET: 10 000000ab SRC=2001:db8::2 DST=2001:db8::1 LEN=28 TC=171 HOPLIMIT=3 FLOWLBL=0 \n"
        );
    }

    #[test]
    fn verdicts_as_stock_prints_them() {
        let text = |code: i32, chain: &[u8]| {
            let mut out = Out::new();
            verdict(&TraceMsg { verdict: Some((code.cast_unsigned(), chain)), ..TraceMsg::default() }, &mut out);
            String::from_utf8_lossy(out.as_bytes()).into_owned()
        };
        assert_eq!([text(-3, b"foo"), text(-1, b""), text(-5, b"")], ["JUMP:foo", "CONTINUE", "0xfffffffb"]);
        assert_eq!([text(0x70003, b""), text(0, b"")], ["0x70003", "DROP"]);
    }

    #[test]
    fn headers_that_are_cut_off_print_what_is_there() {
        let full = [0x45; 60];
        for len in 0..60 {
            for family in [1, 2, 10] {
                let t = TraceMsg {
                    network: full.get(..len),
                    transport: full.get(..len / 3),
                    link: full.get(..len / 4),
                    nfproto: Some(2),
                    iif_type: Some(ARPHRD_ETHER),
                    ..TraceMsg::default()
                };
                packet(family, &t, &mut Out::new());
            }
        }
    }
}

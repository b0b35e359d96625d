//! Random packets: what is sent, and what the router's hook sees of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use oxtables::packet::build::{Icmp, Icmp6, Ipv4, Ipv6, Tcp, Udp};
use oxtables::packet::{Conntrack, CtDirection, CtEntry, CtFacts, CtState, CtTuple, Packet, ipv6, tcp};
use oxtables::types::{Family, Hook};

use crate::random::Random;

/// One packet as it is sent, and as the hook that judges it sees it: forwarding has taken a hop off by then.
pub(super) struct Probe {
    pub(super) sent: Packet,
    pub(super) packet: Packet,
    pub(super) hook: Hook,
}

/// Draws a packet. `tracked`: whether conntrack is asked for it, and puts fragments together; `local`: whether the router sends it.
pub(super) fn probe(random: &mut Random, family: Family, tracked: bool, mac: [u8; 6], local: bool) -> Probe {
    if local {
        let mut packet = draw(random, family, None, false, 64);
        packet.meta.oif = b"eth0".to_vec();
        (packet.meta.uid, packet.meta.gid) = (Some(0), Some(0));
        packet.meta.ct = tracked.then(|| conntrack(&packet));
        return Probe { sent: packet.clone(), packet, hook: Hook::Output };
    }
    let forward = random.percent(40);
    // Fragments come to FORWARD as they are, unless conntrack puts them together.
    let fragment = forward && !tracked && random.percent(15);
    let hops = if random.percent(50) { 64 } else { 2 + u8::try_from(random.below(250)).expect("small") };
    let sent = draw(&mut random.clone(), family, Some(forward), fragment, hops);
    let mut packet = draw(random, family, Some(forward), fragment, if forward { hops - 1 } else { hops });
    packet.meta.iif = b"eth0".to_vec();
    packet.meta.oif = if forward { b"eth1".to_vec() } else { Vec::new() };
    packet.meta.mac_src = Some(mac);
    packet.meta.ct = tracked.then(|| conntrack(&packet));
    Probe { sent, packet, hook: if forward { Hook::Forward } else { Hook::Input } }
}

/// `forward`: whether it goes beyond the router; `None` if it comes from there and goes to where the sender would lead on.
fn draw(random: &mut Random, family: Family, forward: Option<bool>, fragment: bool, hops: u8) -> Packet {
    let last = u8::try_from(1 + random.below(3)).expect("small");
    let source = u16::try_from(random.below(0xffff)).expect("small");
    let tail = fragment && random.percent(60);
    let offset = if tail { 8 * (1 + u16::try_from(random.below(100)).expect("small")) } else { 0 };
    match family {
        Family::V4 => {
            let [high, low] = source.to_be_bytes();
            let header = Ipv4 {
                src: Ipv4Addr::new(198, 18, high, low),
                dst: match forward {
                    Some(true) => a4(203, 0, 113, 4 + last),
                    Some(false) => a4(192, 0, 2, last),
                    None => a4(198, 51, 100, last),
                },
                ttl: hops,
                options: if random.percent(10) { vec![1; 4] } else { Vec::new() },
                identification: 1 + source / 2,
                more_fragments: fragment,
                fragment_offset: offset,
                ..Ipv4::default()
            };
            transport4(random, header)
        }
        Family::V6 => {
            let dst = match forward {
                Some(true) => a6(2, 4 + u16::from(last)),
                Some(false) => a6(1, last.into()),
                None => a6(3, last.into()),
            };
            let src = Ipv6Addr::new(0x2001, 0xdb8, 0x100, source, 0, 0, 0, 1 + u16::from(last));
            let mut extensions = Vec::new();
            if random.percent(15) {
                extensions.push((ipv6::HOP_BY_HOP, vec![1, 4, 0, 0, 0, 0]));
            }
            if fragment {
                let [high, low] = (offset | 1).to_be_bytes();
                extensions.push((ipv6::FRAGMENT, vec![high, low, 0, 0, 0, 7]));
            }
            if random.percent(15) && offset == 0 {
                extensions.push((ipv6::DESTINATION, vec![1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
            }
            transport6(random, Ipv6 { src, dst, hop_limit: hops, extensions, ..Ipv6::default() })
        }
    }
}

const PORTS: [u16; 8] = [0, 22, 23, 53, 80, 443, 3306, 65535];

fn port(random: &mut Random) -> u16 {
    if random.percent(80) { *random.pick(&PORTS) } else { u16::try_from(random.below(0x1_0000)).expect("16 bits") }
}

fn segment(random: &mut Random) -> Tcp {
    let flags = *random.pick(&[
        tcp::SYN,
        tcp::SYN,
        tcp::SYN,
        tcp::ACK,
        tcp::SYN | tcp::ACK,
        tcp::RST,
        tcp::FIN | tcp::ACK,
        0,
        0x29,
    ]);
    let options =
        random.pick(&[vec![], vec![2, 4, 5, 0xb4], vec![2, 4, 2, 0x18], vec![4, 2, 1, 1], vec![3, 3, 7, 0]]).clone();
    Tcp { src_port: port(random), dst_port: port(random), flags, options, payload: payload(random), ..Tcp::default() }
}

fn payload(random: &mut Random) -> Vec<u8> {
    vec![0x55; *random.pick(&[0, 0, 1, 50, 100, 800])]
}

fn transport4(random: &mut Random, header: Ipv4) -> Packet {
    match random.below(10) {
        0..5 => header / segment(random),
        5..8 => header / Udp { src_port: port(random), dst_port: port(random), payload: payload(random) },
        _ => {
            let kind = *random.pick(&[8, 8, 8, 0, 13]);
            header
                / Icmp {
                    kind,
                    rest: [1, 2, 0, 1],
                    payload: payload(random).into_iter().chain([0; 12]).collect(),
                    ..Icmp::default()
                }
        }
    }
}

fn transport6(random: &mut Random, header: Ipv6) -> Packet {
    match random.below(10) {
        0..5 => header / segment(random),
        5..8 => header / Udp { src_port: port(random), dst_port: port(random), payload: payload(random) },
        _ => header / Icmp6 { kind: *random.pick(&[128, 128, 129]), payload: payload(random), ..Icmp6::default() },
    }
}

/// What conntrack says of a packet that it has seen nothing like (`nf_conntrack_proto_tcp`, `_icmp`, `_icmpv6`; observed).
fn conntrack(packet: &Packet) -> Conntrack {
    let known = match (packet.tcp(), packet.icmp(), packet.icmp6()) {
        // A connection may also be taken up in its middle (nf_conntrack_tcp_loose).
        (Some(segment), ..) => matches!(segment.flags(), tcp::SYN | tcp::ACK),
        (_, Some(message), _) => message.kind() != 0,
        (.., Some(message)) => message.kind() == 128,
        _ => true,
    };
    // Port 0 is no port for conntrack's helpers, but it is tracked all the same.
    if !known {
        return Conntrack::INVALID;
    }
    let (src_port, dst_port) = match (packet.icmp(), packet.icmp6()) {
        (Some(message), _) => (message.echo().0, u16::from(message.kind()) << 8),
        (_, Some(message)) => (message.echo().0, u16::from(message.kind()) << 8),
        _ => packet.ports().unwrap_or_default(),
    };
    let original = CtTuple {
        src: packet.src(),
        dst: packet.dst(),
        protocol: packet.protocol().unwrap_or_default(),
        src_port,
        dst_port,
    };
    let entry =
        CtEntry { status: 0, original, reply: original.reversed(), expires: 0, mark: 0, facts: CtFacts::default() };
    Conntrack::tracked(CtState::New, CtDirection::Original, entry)
}

pub(super) fn a4(a: u8, b: u8, c: u8, d: u8) -> Ipv4Addr {
    Ipv4Addr::new(a, b, c, d)
}

pub(super) fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    a4(a, b, c, d).into()
}

pub(super) fn a6(network: u16, host: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, network, 0, 0, 0, 0, host)
}

pub(super) fn v6(network: u16, host: u16) -> IpAddr {
    a6(network, host).into()
}

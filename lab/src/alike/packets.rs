//! Packets of every sort that a rule might look at: whole and cut off, fragments, flags and options of TCP, types of ICMP, extension headers,
//! and conversations in which conntrack sees every state.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use oxtables::packet::Packet;
use oxtables::packet::build::{Icmp, Icmp6, Ipv4, Ipv6, Raw, Tcp, Udp};
use oxtables::packet::{ipv6, tcp};
use oxtables::types::Family;

use crate::random::Random;

/// Where a packet comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// The sender: through the router, or to it.
    Out,
    /// The receiver, back.
    Back,
    /// The router itself.
    Own,
}

/// An IPv4 address.
#[must_use]
pub fn a4(a: u8, b: u8, c: u8, d: u8) -> Ipv4Addr {
    Ipv4Addr::new(a, b, c, d)
}

/// 2001:db8:NET::LAST.
#[must_use]
pub fn a6(net: u16, last: u16) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, net, 0, 0, 0, 0, last)
}

/// The same as any address.
#[must_use]
pub fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    a4(a, b, c, d).into()
}

/// The same as any address.
#[must_use]
pub fn v6(net: u16, last: u16) -> IpAddr {
    a6(net, last).into()
}

/// What sort of packets there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// Cut off ones and later fragments too.
    Any,
    /// Those whose headers are all there.
    Whole,
}

/// About `count` packets, conversations among them.
pub fn some(random: &mut Random, family: Family, sort: Sort, count: usize) -> Vec<(Way, Packet)> {
    let mut packets = Vec::new();
    while packets.len() < count {
        match random.below(10) {
            0 => talk(random, family, &mut packets),
            _ => {
                let ends = ends(random, family);
                packets.push((ends.way, single(random, ends, sort)));
            }
        }
    }
    packets
}

/// Source and destination, and the way between.
#[derive(Clone, Copy, Debug)]
struct Ends {
    way: Way,
    src: IpAddr,
    dst: IpAddr,
}

impl Ends {
    fn turned(self) -> Self {
        let way = match self.way {
            Way::Out => Way::Back,
            other => other,
        };
        Self { way, src: self.dst, dst: self.src }
    }
}

fn ends(random: &mut Random, family: Family) -> Ends {
    let way = *random.pick(&[Way::Out, Way::Out, Way::Out, Way::Back, Way::Own]);
    let far = u8::try_from(2 + random.below(8)).expect("small");
    let own = u8::try_from(1 + random.below(3)).expect("small");
    let local = random.percent(30);
    let (near, router, beyond): (IpAddr, IpAddr, IpAddr) = match family {
        Family::V4 => (v4(192, 0, 2, 254), v4(192, 0, 2, own), v4(203, 0, 113, far)),
        Family::V6 => (v6(1, 0xff), v6(1, own.into()), v6(2, far.into())),
    };
    let other_source = match family {
        Family::V4 => *random.pick(&[v4(198, 18, 3, 4), v4(10, 0, 0, 1), v4(192, 0, 2, 254)]),
        Family::V6 => *random.pick(&[v6(0x100, 7), v6(1, 0xff), v6(1, 0xff)]),
    };
    let (src, dst) = match (way, local) {
        (Way::Out, false) => (if random.percent(30) { other_source } else { near }, beyond),
        (Way::Out, true) => (near, router),
        (Way::Back, _) => (beyond, if local { router } else { near }),
        (Way::Own, _) => (router, if local { near } else { beyond }),
    };
    Ends { way, src, dst }
}

const PORTS: [u16; 18] = [0, 1, 2, 5, 20, 22, 23, 53, 80, 443, 1000, 1024, 2000, 3306, 5000, 8080, 65534, 65535];

fn port(random: &mut Random) -> u16 {
    if random.percent(85) { *random.pick(&PORTS) } else { u16::try_from(random.below(0x1_0000)).expect("16 bits") }
}

fn byte(random: &mut Random) -> u8 {
    u8::try_from(random.below(256)).expect("a byte")
}

/// One packet that belongs to nothing.
fn single(random: &mut Random, ends: Ends, sort: Sort) -> Packet {
    let (protocol, mut payload) = transport(random, Family::of(ends.src), sort);
    if random.percent(92) {
        set_checksum(ends, protocol, &mut payload);
    }
    if random.percent(12) && sort == Sort::Any {
        payload.truncate(random.below(payload.len() + 1));
    }
    let fragment = random.percent(10);
    let offset = if fragment && random.percent(60) && sort == Sort::Any {
        8 * (1 + u16::try_from(random.below(60)).expect("small"))
    } else {
        0
    };
    wrap(random, ends, (protocol, payload), fragment.then_some(offset))
}

/// Puts the right checksum for these ends into TCP, UDP and ICMPv6 (RFC 1071; conntrack looks at it).
fn set_checksum(ends: Ends, protocol: u8, payload: &mut [u8]) {
    let at = match protocol {
        6 => 16,
        17 => 6,
        58 => 2,
        _ => return,
    };
    let Some(field) = payload.get_mut(at..at + 2) else { return };
    field.fill(0);
    let octets = |addr: IpAddr| match addr {
        IpAddr::V4(a) => a.octets().to_vec(),
        IpAddr::V6(a) => a.octets().to_vec(),
    };
    let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
    let pseudo = [octets(ends.src), octets(ends.dst), length.to_vec(), vec![0, 0, 0, protocol]].concat();
    let mut sum: u32 = 0;
    for pair in pseudo.chunks(2).chain(payload.chunks(2)) {
        sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let sum = !u16::try_from(sum).expect("16 bits");
    let sum = if sum == 0 && protocol == 17 { 0xffff } else { sum };
    payload[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

/// The bytes behind the network header.
fn transport(random: &mut Random, family: Family, sort: Sort) -> (u8, Vec<u8>) {
    let whole = |packet: Packet| (packet.protocol().unwrap_or(0), packet.transport().unwrap_or_default().to_vec());
    let header = Ipv4::default;
    let payload = vec![0x55; *random.pick(&[0, 0, 1, 8, 50, 100, 800])];
    match random.below(20) {
        0..8 => whole(header() / segment(random, sort, payload)),
        8..11 => whole(header() / Udp { src_port: port(random), dst_port: port(random), payload }),
        11..14 if family == Family::V4 => {
            let kind = *random.pick(&[0, 3, 3, 4, 5, 8, 8, 9, 11, 12, 13, 14, 17, 18, 40, 255]);
            let code = *random.pick(&[0, 0, 1, 2, 3, 4, 9, 13, 255]);
            whole(header() / Icmp { kind, code, rest: [0, 7, 0, byte(random)], payload })
        }
        11..14 => {
            let kind = *random.pick(&[1, 1, 2, 3, 4, 128, 128, 129, 130, 137, 255]);
            let code = *random.pick(&[0, 0, 1, 3, 4, 255]);
            whole(Ipv6::default() / Icmp6 { kind, code, rest: [0, 7, 0, byte(random)], payload })
        }
        other => raw(random, other, payload),
    }
}

fn segment(random: &mut Random, sort: Sort, payload: Vec<u8>) -> Tcp {
    const FLAGS: [u8; 10] = [
        tcp::SYN,
        tcp::SYN,
        tcp::ACK,
        tcp::SYN | tcp::ACK,
        tcp::RST,
        tcp::FIN | tcp::ACK,
        0,
        0x29,
        tcp::SYN | 0xc0,
        0xff,
    ];
    // The last one has an option without a length.
    let options: [&[u8]; 10] = [
        &[],
        &[],
        &[2, 4, 5, 0xb4],
        &[2, 4, 2, 0x18],
        &[4, 2, 1, 1],
        &[3, 3, 7, 0],
        &[8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 1],
        &[1, 1, 1, 0],
        &[2, 3, 5, 0],
        &[5, 0, 2, 9],
    ];
    Tcp {
        src_port: port(random),
        dst_port: port(random),
        sequence: 1 + u32::from(byte(random)),
        flags: *random.pick(&FLAGS),
        options: random.pick(&options[..if sort == Sort::Any { 10 } else { 9 }]).to_vec(),
        payload,
        ..Tcp::default()
    }
}

/// SCTP, DCCP, UDP-Lite, ESP, AH, IPComp, GRE, L2TP and whatever else.
fn raw(random: &mut Random, sort: usize, data: Vec<u8>) -> (u8, Vec<u8>) {
    let ports = [port(random).to_be_bytes(), port(random).to_be_bytes()].concat();
    let spi = [0, 0, *random.pick(&[0, 0, 1]), *random.pick(&[0, 1, 5, 100, 255])];
    match sort {
        14 => {
            let chunk = [*random.pick(&[0, 1, 3, 6, 14]), *random.pick(&[0, 1, 3, 7]), 0, 8, 0, 0, 0, 0];
            (132, [&ports[..], &[0; 8], &chunk, &chunk].concat())
        }
        15 => {
            let kind = byte(random) & 0x1e;
            (33, [&ports[..], &[4, 0, 0, 0, kind | 1, 0, 0, 0, 0, 0, 0, 1, 32, 3, 5, 0, 0, 0, 0, 0], &data].concat())
        }
        16 => (136, [&ports[..], &[0, 8, 0, 0], &data].concat()),
        17 => (50, [&spi[..], &[0, 0, 0, 1], &data].concat()),
        18 => {
            let reserved = *random.pick(&[0, 0, 1]);
            (51, [&[6, 4, 0, reserved][..], &spi, &[0, 0, 0, 1], &[0; 12], &ports, &[0; 16]].concat())
        }
        _ => match random.below(4) {
            0 => (108, [&[6, 0][..], &[spi[2], spi[3]], &data].concat()),
            1 => (115, [&spi[..], &[0; 8], &data].concat()),
            2 => (47, [&[0; 4][..], &data].concat()),
            _ => (*random.pick(&[2, 94, 103, 253, 254]), data),
        },
    }
}

/// Puts the network header before it. IPv4 identifications are not 0, which the kernel would fill in.
fn wrap(random: &mut Random, ends: Ends, (protocol, payload): (u8, Vec<u8>), fragment: Option<u16>) -> Packet {
    let (offset, fragment) = (fragment.unwrap_or(0), fragment.is_some());
    let hops = *random.pick(&[2, 5, 32, 63, 64, 64, 64, 128, 255]);
    let tos = *random.pick(&[0, 0, 0x10, 0x08, 0x28, 0xb8, 0x01, 0x02, 0x03, 0xff]);
    match (ends.src, ends.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let options: [&[u8]; 4] = [&[], &[], &[1, 1, 1, 1], &[148, 4, 0, 0]];
            Ipv4 {
                src,
                dst,
                tos,
                ttl: hops,
                identification: 1 + u16::try_from(random.below(60_000)).expect("16 bits"),
                dont_fragment: !fragment && random.percent(30),
                more_fragments: fragment && (offset == 0 || random.percent(50)),
                fragment_offset: offset,
                options: random.pick(&options).to_vec(),
            } / Raw { protocol, payload }
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let mut extensions = Vec::new();
            if random.percent(12) {
                extensions
                    .push((ipv6::HOP_BY_HOP, random.pick(&[vec![1, 4, 0, 0, 0, 0], vec![5, 2, 0, 0, 1, 0]]).clone()));
            }
            if random.percent(8) && offset == 0 {
                let left = *random.pick(&[0, 1]);
                extensions
                    .push((ipv6::ROUTING, [vec![*random.pick(&[0, 2, 4]), left, 0, 0, 0, 0], vec![0; 16]].concat()));
            }
            if random.percent(8) && offset == 0 {
                extensions.push((ipv6::DESTINATION, vec![1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
            }
            if fragment {
                let [high, low] = (offset | u16::from(offset == 0 || random.percent(50))).to_be_bytes();
                extensions.push((ipv6::FRAGMENT, vec![high, low, 0, 0, 0, byte(random)]));
            } else if random.percent(3) {
                extensions.push((ipv6::AUTHENTICATION, vec![0, 0, 0, 0, 0, 5, 0, 0, 0, 1, 0, 0, 0, 0]));
            }
            Ipv6 { src, dst, traffic_class: tos, hop_limit: hops, extensions } / Raw { protocol, payload }
        }
        _ => unreachable!("both ends are of one family"),
    }
}

/// Packets that belong together: conntrack says NEW, ESTABLISHED, RELATED of them.
fn talk(random: &mut Random, family: Family, packets: &mut Vec<(Way, Packet)>) {
    let mut ends = ends(random, family);
    ends.way = Way::Out;
    (ends.src, ends.dst) = match family {
        Family::V4 => (v4(192, 0, 2, 254), v4(203, 0, 113, u8::try_from(2 + random.below(8)).expect("small"))),
        Family::V6 => (v6(1, 0xff), v6(2, u16::try_from(2 + random.below(8)).expect("small"))),
    };
    let (near, far) = (1024 + u16::try_from(random.below(60_000)).expect("16 bits"), port(random).max(1));
    match random.below(3) {
        0 => {
            let steps = [
                (false, tcp::SYN, 1, 0),
                (true, tcp::SYN | tcp::ACK, 1000, 2),
                (false, tcp::ACK, 2, 1001),
                (false, tcp::PSH | tcp::ACK, 2, 1001),
                (true, tcp::ACK, 1001, 2),
            ];
            for (back, flags, sequence, acknowledgement) in steps {
                let (src_port, dst_port) = if back { (far, near) } else { (near, far) };
                let segment = Tcp { src_port, dst_port, sequence, acknowledgement, flags, ..Tcp::default() };
                let ends = if back { ends.turned() } else { ends };
                packets.push((ends.way, headed(ends, segment)));
            }
        }
        1 => {
            for back in [false, true, false, true] {
                let (src_port, dst_port) = if back { (far, near) } else { (near, far) };
                let ends = if back { ends.turned() } else { ends };
                packets.push((ends.way, headed(ends, Udp { src_port, dst_port, payload: vec![1; 20] })));
            }
        }
        _ => {
            let asked = headed(ends, Udp { src_port: near, dst_port: far, payload: vec![1; 20] });
            let about = asked.bytes().to_vec();
            packets.push((ends.way, asked));
            let back = ends.turned();
            let error = match family {
                Family::V4 => headed(back, Icmp { kind: 3, code: 3, rest: [0; 4], payload: about }),
                Family::V6 => headed(back, Icmp6 { kind: 1, code: 4, rest: [0; 4], payload: about }),
            };
            packets.push((back.way, error));
        }
    }
}

fn headed<T>(ends: Ends, transport: T) -> Packet
where
    Ipv4: std::ops::Div<T, Output = Packet>,
    Ipv6: std::ops::Div<T, Output = Packet>,
{
    match (ends.src, ends.dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => Ipv4 { src, dst, identification: 9, ..Ipv4::default() } / transport,
        (IpAddr::V6(src), IpAddr::V6(dst)) => Ipv6 { src, dst, ..Ipv6::default() } / transport,
        _ => unreachable!("both ends are of one family"),
    }
}

//! What the demo sends, and what the articles' firewall has to do with it: the written expectation.

use std::net::IpAddr;

use super::hosts::{Who, gateway};
use crate::packet::build::{Icmp, Icmp6, Ipv4, Ipv6, Tcp, Udp};
use crate::packet::{Conntrack, CtDirection, CtEntry, CtFacts, CtState, CtTuple, Meta, Packet, protocol, tcp};
use crate::types::{Family, Hook};

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It arrived, or was answered by a program.
    Through,
    /// It was refused with an error message.
    Rejected,
    /// Nothing was heard of it.
    Dropped,
}

impl Outcome {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Through => "came through",
            Self::Rejected => "refused",
            Self::Dropped => "dropped",
        }
    }
}

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// The first packet of a TCP connection to this port.
    Syn(u16),
    /// A TCP packet without a flag to this port: it belongs to no connection and can start none.
    Null(u16),
    /// A UDP datagram to this port.
    Udp(u16),
    /// An echo request.
    Ping,
    /// A whole exchange, question and answer, over TCP on this port, by the kernels' own TCP.
    Talk(u16),
}

/// One packet, or one conversation, and what has to become of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case {
    pub(super) title: &'static str,
    pub(super) from: Who,
    pub(super) to: Who,
    pub(super) what: What,
    pub(super) expect: Outcome,
    /// Whether a LOG rule has to see it.
    pub(super) logged: bool,
    /// Whether it has to arrive under the server's address (IPv4 only).
    pub(super) masqueraded: bool,
}

const fn case(title: &'static str, from: Who, to: Who, what: What, expect: Outcome) -> Case {
    Case { title, from, to, what, expect, logged: false, masqueraded: false }
}

impl Case {
    const fn logged(self) -> Self {
        Self { logged: true, ..self }
    }

    const fn masqueraded(self) -> Self {
        Self { masqueraded: true, ..self }
    }
}

/// The cases in the order in which they are sent (the brute-force limit counts). The same for both families. There is one for
/// each rule of the built-in firewall: without that rule, it fails.
pub(super) const CASES: &[Case] = &[
    case("ping", Who::Stranger, Who::Server, What::Ping, Outcome::Through),
    case("ssh, 1st try", Who::Client, Who::Server, What::Syn(22), Outcome::Through),
    case("ssh, 2nd try", Who::Client, Who::Server, What::Syn(22), Outcome::Through),
    case("ssh, 3rd try", Who::Client, Who::Server, What::Syn(22), Outcome::Through),
    case("ssh, 4th try", Who::Client, Who::Server, What::Syn(22), Outcome::Through),
    case("ssh, 5th try in a minute", Who::Client, Who::Server, What::Syn(22), Outcome::Dropped).logged(),
    case("ssh, from another host", Who::Stranger, Who::Server, What::Talk(22), Outcome::Through),
    case("http", Who::Client, Who::Server, What::Syn(80), Outcome::Through),
    case("https", Who::Stranger, Who::Server, What::Syn(443), Outcome::Through),
    case("mysql, on the list", Who::Client, Who::Server, What::Syn(3306), Outcome::Through),
    case("mysql, from the office", Who::Laptop, Who::Server, What::Syn(3306), Outcome::Through),
    case("mysql, not on the list", Who::Stranger, Who::Server, What::Syn(3306), Outcome::Dropped),
    case("tcp without flags", Who::Stranger, Who::Server, What::Null(80), Outcome::Dropped),
    case("telnet", Who::Stranger, Who::Server, What::Syn(23), Outcome::Rejected).logged(),
    case("dns", Who::Client, Who::Server, What::Udp(53), Outcome::Rejected).logged(),
    case("mail out", Who::Server, Who::Internet, What::Syn(25), Outcome::Rejected),
    case("https out", Who::Server, Who::Internet, What::Talk(443), Outcome::Through),
    case("http, office to internet", Who::Laptop, Who::Internet, What::Syn(80), Outcome::Through).masqueraded(),
    case("http, internet to office", Who::Stranger, Who::Laptop, What::Syn(80), Outcome::Dropped),
    case("a web page", Who::Client, Who::Server, What::Talk(80), Outcome::Through),
    case("a web page, from the office", Who::Laptop, Who::Internet, What::Talk(80), Outcome::Through).masqueraded(),
    case("a program of its own", Who::Server, Who::Server, What::Talk(8080), Outcome::Through),
];

impl Case {
    /// The address that its receiver has to see, if that is not its own.
    pub(super) fn source(&self, family: Family) -> Option<IpAddr> {
        (self.masqueraded && family == Family::V4).then(|| Who::Server.address(family))
    }

    /// The hook at which the server judges it.
    pub(super) fn hook(&self) -> Hook {
        match (self.from, self.to) {
            (_, Who::Server) => Hook::Input,
            (Who::Server, _) => Hook::Output,
            _ => Hook::Forward,
        }
    }

    /// Where it goes to.
    pub(super) fn target(&self, family: Family) -> IpAddr {
        match (self.from, self.to, family) {
            (Who::Server, Who::Server, Family::V4) => std::net::Ipv4Addr::LOCALHOST.into(),
            (Who::Server, Who::Server, Family::V6) => std::net::Ipv6Addr::LOCALHOST.into(),
            (Who::Laptop, Who::Server, _) => gateway(family),
            _ => self.to.address(family),
        }
    }

    /// The port it goes to, if it has one.
    pub(super) fn port(&self) -> Option<u16> {
        match self.what {
            What::Syn(port) | What::Null(port) | What::Udp(port) | What::Talk(port) => Some(port),
            What::Ping => None,
        }
    }

    /// The packet (of a conversation the first), as the server's hook sees it. `number` makes it different from the others.
    pub(super) fn packet(&self, family: Family, number: u16) -> Packet {
        let target = self.target(family);
        let source = if target.is_loopback() { target } else { self.from.address(family) };
        // Each router on the way takes one off; the brute-force limit looks at what arrives.
        let hops = if matches!(self.from, Who::Client | Who::Stranger) { 63 } else { 64 };
        let packet = with_header(source, target, hops, self.what, number);
        let meta = self.meta(&packet);
        packet.with_meta(meta)
    }

    /// The packet as it is sent: with a full hop limit.
    pub(super) fn sent(&self, family: Family, number: u16) -> Packet {
        with_header(self.from.address(family), self.target(family), 64, self.what, number)
    }

    fn meta(&self, packet: &Packet) -> Meta {
        let (iif, oif) = match (self.from, self.to) {
            (Who::Server, Who::Server) => ("lo", ""),
            (from, Who::Server) => (from.behind(), ""),
            (Who::Server, to) => ("", to.behind()),
            (from, to) => (from.behind(), to.behind()),
        };
        let socket = (self.hook() == Hook::Output).then_some(0);
        Meta {
            iif: iif.into(),
            oif: oif.into(),
            uid: socket,
            gid: socket,
            ct: Some(if matches!(self.what, What::Null(_)) { Conntrack::INVALID } else { first_of(packet) }),
            ..Meta::default()
        }
    }
}

/// What conntrack says of the first packet of a connection that is not translated.
fn first_of(packet: &Packet) -> Conntrack {
    let (src_port, dst_port) = match packet.protocol() {
        Some(protocol::ICMP | protocol::ICMPV6) => (0, 0),
        _ => packet.ports().unwrap_or_default(),
    };
    let protocol = packet.protocol().unwrap_or_default();
    let original = CtTuple { src: packet.src(), dst: packet.dst(), protocol, src_port, dst_port };
    let entry =
        CtEntry { status: 0, original, reply: original.reversed(), expires: 0, mark: 0, facts: CtFacts::default() };
    Conntrack::tracked(CtState::New, CtDirection::Original, entry)
}

fn with_header(source: IpAddr, target: IpAddr, hops: u8, what: What, number: u16) -> Packet {
    let src_port = 40_000 + number;
    let sequence = 0x0a00_0000 + u32::from(number);
    let flags = if matches!(what, What::Null(_)) { 0 } else { tcp::SYN };
    let dst_port = match what {
        What::Syn(port) | What::Null(port) | What::Udp(port) | What::Talk(port) => port,
        What::Ping => 0,
    };
    let segment = Tcp { src_port, dst_port, sequence, flags, options: vec![2, 4, 5, 0xb4], ..Tcp::default() };
    let datagram = Udp { src_port, dst_port, payload: b"\0\0".to_vec() };
    let [high, low] = number.to_be_bytes();
    match (source, target) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => {
            let header = Ipv4 { src, dst, ttl: hops, identification: 1 + number, ..Ipv4::default() };
            match what {
                What::Ping => header / Icmp { rest: [high, low, 0, 1], ..Icmp::default() },
                What::Udp(_) => header / datagram,
                _ => header / segment,
            }
        }
        (IpAddr::V6(src), IpAddr::V6(dst)) => {
            let header = Ipv6 { src, dst, hop_limit: hops, ..Ipv6::default() };
            match what {
                What::Ping => header / Icmp6 { rest: [high, low, 0, 1], ..Icmp6::default() },
                What::Udp(_) => header / datagram,
                _ => header / segment,
            }
        }
        // Both addresses come from one family's table.
        _ => Ipv4::default() / segment,
    }
}

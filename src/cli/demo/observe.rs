//! Sends a case's packet between the namespaces and looks what comes of it.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use super::super::exit;
use super::super::sandbox::Failure;
use super::cases::{Case, Outcome, What};
use super::hosts::{Hosts, Who};
use crate::kernel::inject::{Tap, send};
use crate::kernel::world::WorldError;
use crate::packet::{Packet, icmp, icmp6, tcp};
use crate::types::{Family, Hook};

/// How long a packet without an answer is waited for. The namespaces are in one kernel: answers take microseconds.
const PATIENCE: Duration = Duration::from_millis(400);

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) outcome: Outcome,
    /// The sender's address as the receiver saw it, if that was changed on the way.
    pub(super) source: Option<IpAddr>,
}

impl Seen {
    fn plain(outcome: Outcome) -> Self {
        Self { outcome, source: None }
    }
}

/// The programs on the server: what a packet that comes through is answered by.
#[derive(Debug)]
pub(super) struct Services {
    /// With their ports.
    listeners: Vec<(u16, TcpListener)>,
}

impl Services {
    /// Opens the ports, for both families, in the calling thread's namespace.
    pub(super) fn open(hosts: &Hosts) -> Result<Self, Failure> {
        let all: IpAddr = if hosts.families().contains(&Family::V6) {
            Ipv6Addr::UNSPECIFIED.into()
        } else {
            Ipv4Addr::UNSPECIFIED.into()
        };
        let listen = |port: u16| {
            TcpListener::bind((all, port))
                .map(|listener| (port, listener))
                .map_err(|error| Failure::other(format!("cannot listen on port {port}"), &error))
        };
        // Telnet and DNS too: if they were let through, they should be seen to be.
        let echo = UdpSocket::bind((all, 53)).map_err(|error| Failure::other("cannot listen on port 53", &error))?;
        // Ends with the process.
        thread::spawn(move || {
            let mut question = [0; 64];
            while let Ok((length, peer)) = echo.recv_from(&mut question) {
                let _ = echo.send_to(question.get(..length).unwrap_or_default(), peer);
            }
        });
        Ok(Self { listeners: [22, 23, 80, 443, 3306].into_iter().map(listen).collect::<Result<_, _>>()? })
    }
}

/// Sends the case's packet and waits for what comes of it.
pub(super) fn observe(
    hosts: &Hosts,
    services: &Services,
    case: &Case,
    family: Family,
    number: u16,
) -> Result<Seen, Failure> {
    if let What::Talk(port) = case.what {
        return conversation(hosts, services, case, family, port);
    }
    single(hosts, case, family, number)
}

fn single(hosts: &Hosts, case: &Case, family: Family, number: u16) -> Result<Seen, Failure> {
    let packet = case.sent(family, number);
    let answers = hosts.get(case.from).run(Tap::open)?.map_err(|error| tap_failure(&error))?;
    let arrivals = hosts.get(case.to).run(Tap::open)?.map_err(|error| tap_failure(&error))?;
    let sent = hosts.get(case.from).run(|| send(&packet))?;
    match sent {
        // What a rule of hook OUTPUT drops, the sender is told so; whether it was refused, the answers tell.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
        Err(error) => return Err(Failure::other(format!("cannot send the packet \"{}\"", case.title), &error)),
        Ok(()) => {}
    }
    let end = Instant::now() + PATIENCE;
    let slice = Duration::from_millis(10);
    while Instant::now() < end {
        if let Some(outcome) = find(&answers, slice, |p| answer(p, &packet))? {
            return Ok(Seen::plain(outcome));
        }
        if case.hook() != Hook::Input
            && let Some(source) = find(&arrivals, slice, |p| arrival(p, &packet))?
        {
            return Ok(Seen { outcome: Outcome::Through, source });
        }
    }
    Ok(Seen::plain(Outcome::Dropped))
}

/// Lets every host find its neighbours, so that no address resolution runs between the packets that count.
pub(super) fn warm_up(hosts: &Hosts) -> Result<(), Failure> {
    for family in hosts.families() {
        for (from, to) in [(Who::Client, Who::Server), (Who::Stranger, Who::Laptop), (Who::Laptop, Who::Internet)] {
            let case = Case {
                title: "a first ping",
                from,
                to,
                what: What::Ping,
                expect: Outcome::Through,
                logged: false,
                masqueraded: false,
            };
            let seen = (0..5).try_fold(Outcome::Dropped, |seen, number| match seen {
                Outcome::Through => Ok(seen),
                _ => single(hosts, &case, *family, number).map(|seen| seen.outcome),
            })?;
            if seen != Outcome::Through {
                let text = format!("the hosts of the demo do not reach each other over {family}, without any rule");
                return Err(Failure { text, code: exit::RESOURCE });
            }
        }
    }
    Ok(())
}

/// What a packet says about the one that was sent; `None` if it is no answer to that.
fn answer(seen: &Packet, sent: &Packet) -> Option<Outcome> {
    if seen.dst() != sent.src() {
        return None;
    }
    if let Some(about) = quoted_ports(seen) {
        return (Some(about) == sent.ports()).then_some(Outcome::Rejected);
    }
    let (ours, theirs) = (sent.ports()?, seen.ports()?);
    if let Some(segment) = seen.tcp() {
        let to_us = (theirs.1, theirs.0) == ours && segment.acknowledgement() == sent.tcp()?.sequence().wrapping_add(1);
        return match segment.flags() & (tcp::SYN | tcp::ACK | tcp::RST) {
            flags if to_us && flags == tcp::SYN | tcp::ACK => Some(Outcome::Through),
            flags if to_us && flags & tcp::RST != 0 => Some(Outcome::Rejected),
            _ => None,
        };
    }
    if seen.udp().is_some() {
        return ((theirs.1, theirs.0) == ours).then_some(Outcome::Through);
    }
    let echo = match (seen.icmp(), seen.icmp6()) {
        (Some(reply), _) if reply.kind() == icmp::ECHO_REPLY => reply.echo(),
        (_, Some(reply)) if reply.kind() == icmp6::ECHO_REPLY => reply.echo(),
        _ => return None,
    };
    let asked = sent.icmp().map(|ping| ping.echo()).or_else(|| sent.icmp6().map(|ping| ping.echo()));
    (asked == Some(echo)).then_some(Outcome::Through)
}

/// Whether this is the packet that was sent, at its end; and its source, if that was changed on the way.
fn arrival(seen: &Packet, sent: &Packet) -> Option<Option<IpAddr>> {
    let same = seen.dst() == sent.dst()
        && seen.protocol() == sent.protocol()
        && match (seen.tcp(), sent.tcp()) {
            (Some(seen), Some(sent)) => seen.sequence() == sent.sequence() && seen.dst_port() == sent.dst_port(),
            _ => seen.transport() == sent.transport(),
        };
    same.then(|| (seen.src() != sent.src()).then(|| seen.src()))
}

/// Source and destination port of the packet that an ICMP error is about (RFC 792, RFC 4443 §3.1).
fn quoted_ports(error: &Packet) -> Option<(u16, u16)> {
    let (quoted, header_len) = match (error.icmp(), error.icmp6()) {
        (Some(error), _) if error.kind() == icmp::DESTINATION_UNREACHABLE => {
            (error.payload(), usize::from(error.payload().first()? & 0x0f) * 4)
        }
        (_, Some(error)) if error.kind() == icmp6::DESTINATION_UNREACHABLE => (error.payload(), 40),
        _ => return None,
    };
    let [a, b, c, d] = *quoted.get(header_len..)?.first_chunk::<4>()?;
    Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

fn find<T>(tap: &Tap, patience: Duration, judge: impl Fn(&Packet) -> Option<T>) -> Result<Option<T>, Failure> {
    let seen = tap.find(patience, |packet| judge(packet).is_some()).map_err(|error| tap_failure(&error))?;
    Ok(seen.as_ref().and_then(judge))
}

const PAGE: &[u8] = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nIt works.\r\n";

/// A question asked and answered, by the TCP of the kernels.
fn conversation(hosts: &Hosts, services: &Services, case: &Case, family: Family, port: u16) -> Result<Seen, Failure> {
    let target = SocketAddr::new(case.target(family), port);
    let failed = |error: io::Error| Failure::other(format!("no server for \"{}\"", case.title), &error);
    let standing = services.listeners.iter().find(|(own, _)| case.to == Who::Server && *own == port);
    let made = match standing {
        Some(_) => None,
        None => Some(hosts.get(case.to).run(|| TcpListener::bind(target))?.map_err(failed)?),
    };
    let Some(listener) = made.as_ref().or(standing.map(|(_, listener)| listener)) else {
        return Ok(Seen::plain(Outcome::Dropped));
    };
    listener.set_nonblocking(true).map_err(failed)?;
    let from = hosts.get(case.from);
    let own = if target.ip().is_loopback() { target.ip() } else { case.from.address(family) };
    thread::scope(|scope| {
        let server = scope.spawn(|| serve(listener, PATIENCE));
        let page = from.run(|| fetch(target))?;
        let peer = server.join().unwrap_or(None);
        Ok(match page {
            Ok(page) if page == PAGE => Seen { outcome: Outcome::Through, source: peer.filter(|peer| *peer != own) },
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Seen::plain(Outcome::Rejected),
            _ => Seen::plain(Outcome::Dropped),
        })
    })
}

fn fetch(target: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&target, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut page = Vec::new();
    stream.read_to_end(&mut page)?;
    Ok(page)
}

/// Answers one caller with the page; returns who it was.
fn serve(listener: &TcpListener, patience: Duration) -> Option<IpAddr> {
    let end = Instant::now() + 2 * patience;
    loop {
        match listener.accept() {
            Ok((mut stream, peer)) => {
                stream.set_nonblocking(false).ok()?;
                stream.set_read_timeout(Some(patience)).ok()?;
                let mut request = [0; 64];
                let _ = stream.read(&mut request);
                let _ = stream.write_all(PAGE);
                return Some(peer.ip().to_canonical());
            }
            Err(_) if Instant::now() < end => thread::sleep(Duration::from_millis(1)),
            Err(_) => return None,
        }
    }
}

fn tap_failure(error: &io::Error) -> Failure {
    if error.raw_os_error() == Some(nix::errno::Errno::EAFNOSUPPORT as i32) {
        let text = "this kernel has no packet sockets (CONFIG_PACKET), which the demo watches the wire with".to_owned();
        return Failure { text, code: exit::VERSION };
    }
    Failure::other("cannot watch the wire", error)
}

impl From<WorldError> for Failure {
    fn from(error: WorldError) -> Self {
        match error {
            WorldError::Namespace { source, .. } => source.into(),
            WorldError::Network { ref source, .. } if source.kind() == io::ErrorKind::Unsupported => Self {
                text: format!("{error}\nThe demo needs virtual Ethernet in the kernel (CONFIG_VETH)."),
                code: exit::VERSION,
            },
            WorldError::Network { .. } => Self { text: error.to_string(), code: exit::RESOURCE },
        }
    }
}

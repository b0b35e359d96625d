//! Whether new rules would cut off the SSH connection that a command comes over, and a new one like it.
//!
//! The packets of the connection are walked through the rules as they would be: a segment of the connection that is there, the first of a new
//! one, and the answers. Only what is certain counts: a rule of which it is not known whether it matches does not hold anybody up. Where the
//! connection cannot be found (a console, a cron job), there is nothing to look at. Sources: sshd(8) on `SSH_CONNECTION`; proc(5).

use crate::cli::plan::Planned;
use crate::ext::PrintCx;
use crate::model::{Policy, Ruleset, Table};

use crate::packet::build::{Ipv4, Ipv6, Tcp};
use crate::packet::env::{AddrType, Env, Host, Place, State};
use crate::packet::tcp::{ACK, SYN};
use crate::packet::{Conntrack, CtDirection, CtState, Meta, Packet};
use crate::sim::walk::{Decider, Verdict, walk};
use crate::types::{Family, Hook, NoNames, Out};
use std::fs;
use std::net::{IpAddr, SocketAddr};

/// An SSH connection: who is at the other end, and which address and port of this host it came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Connection {
    client: SocketAddr,
    server: SocketAddr,
}

/// Says why not, if the connection that this process comes over would be cut off, or a new one like it.
pub fn would_pass(planned: &Planned) -> Result<(), String> {
    let Some(connection) = ours() else { return Ok(()) };
    let family = if connection.server.is_ipv4() { Family::V4 } else { Family::V6 };
    let Some(change) = planned.changes.iter().find(|change| change.plan.family == family) else { return Ok(()) };
    let rules = change.outcome();
    let interface = interface_of(connection.server.ip()).unwrap_or_default();
    for (what, packets) in connection.conversations(&interface) {
        for (hooks, packet) in packets {
            if let Some(rule) = stopped(&rules, hooks, packet, connection) {
                return Err(format!(
                    "the new rules would cut off {what} from {} to port {}: {rule}\n\
                     mend the rules, or use --force if you can reach this host another way",
                    connection.client.ip(),
                    connection.server.port()
                ));
            }
        }
    }
    Ok(())
}

/// The tables that a packet meets, each with its chain.
type Hooks = &'static [(&'static [u8], &'static [u8], Hook)];

const IN: Hooks = &[
    (b"raw", b"PREROUTING", Hook::Prerouting),
    (b"mangle", b"PREROUTING", Hook::Prerouting),
    (b"mangle", b"INPUT", Hook::Input),
    (b"filter", b"INPUT", Hook::Input),
    (b"security", b"INPUT", Hook::Input),
];

const OUT: Hooks = &[
    (b"raw", b"OUTPUT", Hook::Output),
    (b"mangle", b"OUTPUT", Hook::Output),
    (b"filter", b"OUTPUT", Hook::Output),
    (b"security", b"OUTPUT", Hook::Output),
    (b"mangle", b"POSTROUTING", Hook::Postrouting),
];

impl Connection {
    /// The packets in question, each conversation with its name.
    fn conversations(&self, interface: &[u8]) -> [(&'static str, [(Hooks, Packet); 2]); 2] {
        let (original, reply) = (CtDirection::Original, CtDirection::Reply);
        let mut new = *self;
        // Any other port of the client's: rules for the port that it happens to have must not hide the others.
        new.client.set_port(if self.client.port() == 50_000 { 50_001 } else { 50_000 });
        let packet = |connection: &Self, answer, flags, state, direction| {
            let (from, to) = (connection.client, connection.server);
            let (from, to) = if answer { (to, from) } else { (from, to) };
            let tcp = Tcp { src_port: from.port(), dst_port: to.port(), flags, ..Tcp::default() };
            let packet = match (from.ip(), to.ip()) {
                (IpAddr::V4(src), IpAddr::V4(dst)) => Ipv4 { src, dst, ..Ipv4::default() } / tcp,
                (src, dst) => Ipv6 { src: six(src), dst: six(dst), ..Ipv6::default() } / tcp,
            };
            let (iif, oif) = if answer { (Vec::new(), interface.to_vec()) } else { (interface.to_vec(), Vec::new()) };
            let ct = Some(Conntrack { direction, ..Conntrack::of_state(state) });
            packet.with_meta(Meta { iif, oif, ct, ..Meta::default() })
        };
        [
            (
                "this SSH connection",
                [
                    (IN, packet(self, false, ACK, CtState::Established, original)),
                    (OUT, packet(self, true, ACK, CtState::Established, reply)),
                ],
            ),
            (
                "a new SSH connection",
                [
                    (IN, packet(&new, false, SYN, CtState::New, original)),
                    (OUT, packet(&new, true, SYN | ACK, CtState::Established, reply)),
                ],
            ),
        ]
    }
}

fn six(addr: IpAddr) -> std::net::Ipv6Addr {
    match addr {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

/// The host as far as it matters: its address on the connection is its own.
struct Here(IpAddr);

impl Host for Here {
    fn addr_type(&self, addr: IpAddr, _: Option<&[u8]>) -> Option<AddrType> {
        (addr == self.0).then_some(AddrType::Local)
    }
}

/// The rule or policy that certainly stops a packet, in words.
fn stopped(rules: &Ruleset, hooks: Hooks, mut packet: Packet, connection: Connection) -> Option<String> {
    let host = Here(connection.server.ip());
    let mut state = State::default();
    let now_ns = jiff::Timestamp::now().as_nanosecond().try_into().unwrap_or(0);
    for (table, chain, hook) in hooks {
        let Some(rules) = rules.table(table).filter(|t| t.chain(chain).is_some()) else { continue };
        let mut env = Env {
            hook: *hook,
            now_ns,
            host: &host,
            state: &mut state,
            random: &mut || 0,
            place: Place::default(),
            hotdrop: false,
        };
        let Ok(answer) = walk(rules, chain, &packet, &mut env) else { continue };
        if matches!(answer.verdict(), Some(Verdict::Drop | Verdict::Reject(_))) {
            return answer.outcomes.first().map(|outcome| words(rules, connection, outcome.decider));
        }
        if let Some(outcome) = answer.certain() {
            packet = outcome.packet.clone();
        }
    }
    None
}

fn words(table: &Table, connection: Connection, decider: Decider<'_>) -> String {
    let family = if connection.server.is_ipv4() { Family::V4 } else { Family::V6 };
    let name = String::from_utf8_lossy(table.name());
    let mut out = Out::new();
    match decider {
        Decider::Policy(chain) => {
            let policy = table.chain(chain).and_then(|c| c.policy);
            let word = if policy == Some(Policy::Accept) { "ACCEPT" } else { "DROP" };
            write!(
                out,
                "no rule of table {name} lets it through, and the policy is -P {} {word}",
                String::from_utf8_lossy(chain)
            );
        }
        Decider::Rule(step) => {
            write!(out, "by rule {} of table {name}: -A", step.number);
            out.word(step.chain);
            if let Some(body) = &step.rule.body {
                body.save(&mut out, &PrintCx { family, numeric: true, names: &NoNames, protocol: None }, None);
            }
        }
    }
    String::from_utf8_lossy(out.as_bytes()).into_owned()
}

/// The connection that this process comes over: told by the environment, or by that of the processes that started it (sudo does not pass it on).
fn ours() -> Option<Connection> {
    if let Some(connection) = std::env::var("SSH_CONNECTION").ok().and_then(|text| read(&text)) {
        return Some(connection);
    }
    let mut process = rustix::process::getppid()?.as_raw_nonzero().get();
    while process > 1 {
        let environment = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
        let found = environment.split(|b| *b == 0).find_map(|variable| variable.strip_prefix(b"SSH_CONNECTION="));
        if let Some(connection) = found.and_then(|text| read(std::str::from_utf8(text).ok()?)) {
            return Some(connection);
        }
        process = parent_of(process)?;
    }
    None
}

/// The parent of a process: the second field behind its name, which ends with the last `)`.
fn parent_of(process: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// `client-address client-port server-address server-port`.
fn read(text: &str) -> Option<Connection> {
    let mut words = text.split_whitespace();
    let mut end = || -> Option<SocketAddr> {
        let addr: IpAddr = words.next()?.split('%').next()?.parse().ok()?;
        Some(SocketAddr::new(addr.to_canonical(), words.next()?.parse().ok()?))
    };
    Some(Connection { client: end()?, server: end()? })
}

/// The interface that has an address.
fn interface_of(addr: IpAddr) -> Option<Vec<u8>> {
    let mut all = nix::ifaddrs::getifaddrs().ok()?;
    let found = all.find(|interface| {
        let Some(address) = &interface.address else { return false };
        let v4 = address.as_sockaddr_in().map(|a| IpAddr::V4(a.ip()));
        let v6 = address.as_sockaddr_in6().map(|a| IpAddr::V6(a.ip()));
        v4.or(v6) == Some(addr)
    })?;
    Some(found.interface_name.into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sshd_says() {
        let connection = read("203.0.113.5 51234 192.0.2.1 22").unwrap();
        assert_eq!(connection.client, "203.0.113.5:51234".parse().unwrap());
        assert_eq!(connection.server, "192.0.2.1:22".parse().unwrap());
        let connection = read("fe80::1%eth0 5 ::ffff:192.0.2.1 2222").unwrap();
        assert_eq!(connection.server, "192.0.2.1:2222".parse().unwrap());
        for text in ["", "203.0.113.5 51234 192.0.2.1", "x 1 y 2"] {
            assert_eq!(read(text), None);
        }
        assert_eq!(parent_of(std::process::id().cast_signed()), std::os::unix::process::parent_id().try_into().ok());
    }
}

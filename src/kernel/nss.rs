//! Users, groups and hosts as the system knows them, LDAP and other plug-ins of nsswitch.conf(5) included.
//!
//! The C library does the asking. Where it is linked in statically (see `build.rs`; `cfg(static_glibc)`) it must not load plug-ins: those of
//! systemd, which most distributions name, crash in a static program. Then, if plug-ins are named, the files are read here and getent(1) is
//! asked for what is not in them.
//!
//! Sources: nsswitch.conf(5), passwd(5), group(5), hosts(5), getent(1), getaddrinfo(3), getnameinfo(3); glibc's FAQ on static programs and NSS.

use crate::types::Family;
use nix::unistd::{Gid, Group, Uid, User};
use rustix::net::AddressFamily;
use std::net::{IpAddr, SocketAddr};
use std::process::{Command, Stdio};

/// The id of a user.
pub(super) fn uid(name: &str) -> Option<u32> {
    if cfg!(static_glibc) { named("passwd", name)?.id } else { Some(User::from_name(name).ok()??.uid.as_raw()) }
}

/// The id of a group.
pub(super) fn gid(name: &str) -> Option<u32> {
    if cfg!(static_glibc) { named("group", name)?.id } else { Some(Group::from_name(name).ok()??.gid.as_raw()) }
}

/// The name of a user.
pub(super) fn user_name(uid: u32) -> Option<Vec<u8>> {
    if cfg!(static_glibc) {
        return Some(account("passwd", &uid.to_string())?.name);
    }
    Some(User::from_uid(Uid::from_raw(uid)).ok()??.name.into_bytes())
}

/// The name of a group.
pub(super) fn group_name(gid: u32) -> Option<Vec<u8>> {
    if cfg!(static_glibc) {
        return Some(account("group", &gid.to_string())?.name);
    }
    Some(Group::from_gid(Gid::from_raw(gid)).ok()??.name.into_bytes())
}

/// The addresses of a host in the resolver's order, each once; its words if it finds none. Only the wanted family is asked for: a lookup of
/// both costs a second query, and its time-out where there is no server.
pub(super) fn addresses(name: &[u8], family: Family) -> Result<Vec<IpAddr>, String> {
    let unknown = || "Name or service not known".to_owned();
    let name = std::str::from_utf8(name).ok().filter(|n| !n.contains('\0')).ok_or_else(unknown)?;
    let found = if plug_ins("hosts") { addresses_without_libc(name, family) } else { addresses_by_libc(name, family)? };
    let mut unique = Vec::new();
    for addr in found {
        if Family::of(addr) == family && !unique.contains(&addr) {
            unique.push(addr);
        }
    }
    if unique.is_empty() { Err(unknown()) } else { Ok(unique) }
}

/// The name of an address.
pub(super) fn host_name(addr: IpAddr) -> Option<Vec<u8>> {
    if plug_ins("hosts") {
        let name_in = |file: &[u8]| hosts(file).into_iter().find(|line| line.addr == addr)?.names.into_iter().next();
        return name_in(&std::fs::read(HOSTS).unwrap_or_default())
            .or_else(|| name_in(&getent("hosts", &addr.to_string())?))
            .map(String::into_bytes);
    }
    let (name, _) = dns_lookup::getnameinfo(&SocketAddr::new(addr, 0), NI_NAMEREQD | NI_NUMERICSERV).ok()?;
    Some(name.into_bytes())
}

/// Flag of getnameinfo(3): no numeric address in place of a missing name (`netdb.h`, the same in glibc and musl).
const NI_NAMEREQD: i32 = 8;
/// Flag of getnameinfo(3): the port, which is not wanted, is not looked up.
const NI_NUMERICSERV: i32 = 2;

fn addresses_by_libc(name: &str, family: Family) -> Result<Vec<IpAddr>, String> {
    let address = match family {
        Family::V4 => AddressFamily::INET,
        Family::V6 => AddressFamily::INET6,
    };
    let hints = dns_lookup::AddrInfoHints { address: i32::from(address.as_raw()), ..Default::default() };
    match dns_lookup::getaddrinfo(Some(name), None, Some(hints)) {
        Ok(found) => Ok(found.flatten().map(|info| info.sockaddr.ip()).collect()),
        Err(error) => {
            let words = error.to_string();
            Err(words.strip_prefix("failed to lookup address information: ").unwrap_or(&words).to_owned())
        }
    }
}

/// Where hosts(5) are written.
const HOSTS: &str = "/etc/hosts";

fn addresses_without_libc(name: &str, family: Family) -> Vec<IpAddr> {
    // IPv6 addresses that stand for IPv4 ones are glibc's own addition.
    let mapped = |addr: &IpAddr| matches!(addr, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    let of_family = |lines: Vec<HostLine>| -> Vec<IpAddr> {
        let addrs = lines.into_iter().map(|line| line.addr);
        addrs.filter(|addr| Family::of(*addr) == family && !mapped(addr)).collect()
    };
    let mut lines = hosts(&std::fs::read(HOSTS).unwrap_or_default());
    lines.retain(|line| line.names.iter().any(|n| n.eq_ignore_ascii_case(name)));
    let in_file = of_family(lines);
    if !in_file.is_empty() {
        return in_file;
    }
    // `ahosts…` finds nothing where no interface has an address of the family; `hosts` knows but one family of a name.
    let database = match family {
        Family::V4 => "ahostsv4",
        Family::V6 => "ahostsv6",
    };
    let answers = [database, "hosts"].into_iter().filter_map(|database| getent(database, name));
    answers.map(|answer| of_family(hosts(&answer))).find(|found| !found.is_empty()).unwrap_or_default()
}

/// A line of hosts(5), or of an answer of getent.
struct HostLine {
    addr: IpAddr,
    names: Vec<String>,
}

fn hosts(file: &[u8]) -> Vec<HostLine> {
    let text = String::from_utf8_lossy(file);
    let lines = text.lines().filter_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        Some(HostLine { addr: words.next()?.parse().ok()?, names: words.map(str::to_owned).collect() })
    });
    lines.collect()
}

/// Whether the C library would have to load plug-ins for a database, and cannot.
fn plug_ins(database: &str) -> bool {
    cfg!(static_glibc) && std::fs::read("/etc/nsswitch.conf").is_ok_and(|conf| names_plug_ins(&conf, database))
}

/// Whether an nsswitch.conf names more than what is built into the C library for a database.
fn names_plug_ins(conf: &[u8], database: &str) -> bool {
    let conf = String::from_utf8_lossy(conf);
    conf.lines().any(|line| {
        let line = line.split('#').next().unwrap_or_default();
        let Some((key, services)) = line.split_once(':') else { return false };
        // What stands in brackets is what to do next.
        let outside = services.split('[').map(|part| part.split_once(']').map_or(part, |(_, rest)| rest));
        let mut services = outside.flat_map(str::split_whitespace);
        key.trim() == database && services.any(|service| !matches!(service, "files" | "dns" | "db"))
    })
}

/// An entry of passwd(5) or group(5).
struct Account {
    name: Vec<u8>,
    id: Option<u32>,
}

/// The account of a name, which may look like a number.
fn named(database: &str, name: &str) -> Option<Account> {
    account(database, name).filter(|found| found.name == name.as_bytes())
}

/// The account of a name or, if the key is a number, an id.
fn account(database: &str, key: &str) -> Option<Account> {
    let file = std::fs::read(format!("/etc/{database}")).unwrap_or_default();
    account_in(&file, key).or_else(|| {
        let elsewhere = plug_ins(database).then(|| getent(database, key))??;
        account_in(&elsewhere, key)
    })
}

fn account_in(file: &[u8], key: &str) -> Option<Account> {
    let by_id = key.parse::<u32>().ok();
    file.split(|b| *b == b'\n').find_map(|line| {
        let mut fields = line.split(|b| *b == b':');
        let name = fields.next()?;
        let id = std::str::from_utf8(fields.nth(1)?).ok()?.parse().ok();
        let found = if by_id.is_some() { id == by_id } else { name == key.as_bytes() };
        (found && !name.is_empty()).then(|| Account { name: name.to_vec(), id })
    })
}

/// What getent(1) says; `None` if it knows nothing or is not there.
fn getent(database: &str, key: &str) -> Option<Vec<u8>> {
    let mut command = Command::new("getent");
    command.args(["--", database, key]).env("LC_ALL", "C").stdin(Stdio::null()).stderr(Stdio::null());
    let answer = command.output().ok().filter(|answer| answer.status.success())?;
    Some(answer.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_databases_need_plug_ins() {
        let conf =
            b"# hosts: ldap\npasswd: files systemd\nhosts:\tfiles [NOTFOUND=return] dns # resolve\ngroup:files\n\
                     networks: files\nservices:  db files\nshadow: files [SUCCESS=merge] sss\n";
        let needing = ["passwd", "hosts", "group", "services", "shadow", "none"].map(|d| names_plug_ins(conf, d));
        assert_eq!(needing, [true, false, false, false, true, false]);
        assert!(names_plug_ins(b"hosts: files mdns4_minimal [NOTFOUND=return] dns", "hosts"));
        assert!(!names_plug_ins(b"\xff\xfe", "hosts"));
    }

    #[test]
    fn lines_of_hosts() {
        let file = b"127.0.0.1 localhost # us\n#1.2.3.4 x\n\n::1\tip6-localhost  Loop\nbad name\n192.0.2.1\n";
        let read: Vec<_> = hosts(file).iter().map(|l| format!("{}={}", l.addr, l.names.join(","))).collect();
        assert_eq!(read, ["127.0.0.1=localhost", "::1=ip6-localhost,Loop", "192.0.2.1="]);
    }

    #[test]
    fn accounts_by_name_and_id() {
        let file =
            b"root:x:0:0:root:/root:/bin/sh\nbroken\n:x:5:\nother:x:nine:\nsshd:x:104:65534::/run/sshd:/sbin/nologin";
        let of = |key: &str| account_in(file, key).map(|a| (String::from_utf8(a.name).unwrap(), a.id));
        assert_eq!(of("root"), Some(("root".into(), Some(0))));
        assert_eq!(of("104"), Some(("sshd".into(), Some(104))));
        assert_eq!(of("5"), None);
        assert_eq!(of("other"), Some(("other".into(), None)));
        assert_eq!(of("none"), None);
    }
}

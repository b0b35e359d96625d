//! The system's name services: ports, protocols and networks from the files, users, groups and hosts through [`super::nss`].
//!
//! Nothing is read or asked before a call needs it, each file is read once, and every answer is kept: a listing of many rules asks for
//! each number once. A file that is missing or unreadable has no entries.
//!
//! Sources: services(5), protocols(5), networks(5). `db` in nsswitch.conf is not followed for these files: it is a copy of them.

use super::ipset::Ipset;
use super::nss;
use super::number_lists::NumberLists;
use crate::types::{Family, Names, NumberList, SetAnswer, builtin_protocol_name};
use std::cell::{Cell, OnceCell, RefCell};
use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

/// The names that this system knows. Not `Sync`: each process keeps one.
#[derive(Debug)]
pub struct SystemNames {
    files: PathBuf,
    services: OnceCell<Vec<u8>>,
    protocols: OnceCell<Vec<u8>>,
    networks: OnceCell<Vec<u8>>,
    ports: Memo<(Vec<u8>, Option<u8>), u16>,
    service_names: Memo<(u16, Option<u8>), Vec<u8>>,
    host_names: Memo<IpAddr, Vec<u8>>,
    users: Memo<u32, Vec<u8>>,
    groups: Memo<u32, Vec<u8>>,
    numbers: NumberLists,
    /// The name of a label was asked for, and there is no list of them.
    labels_missed: Cell<bool>,
    host_error: RefCell<Option<String>>,
    sets: Memo<Vec<u8>, SetAnswer>,
    set_names: Memo<u16, Vec<u8>>,
}

impl Default for SystemNames {
    /// The names of `/etc`.
    fn default() -> Self {
        Self::new("/etc")
    }
}

impl SystemNames {
    /// Looks into `services`, `protocols` and `networks` of this directory, and into the files of [`NumberList`] below it.
    pub fn new(files: impl Into<PathBuf>) -> Self {
        Self {
            files: files.into(),
            services: OnceCell::new(),
            protocols: OnceCell::new(),
            networks: OnceCell::new(),
            ports: Memo::default(),
            service_names: Memo::default(),
            host_names: Memo::default(),
            users: Memo::default(),
            groups: Memo::default(),
            numbers: NumberLists::default(),
            labels_missed: Cell::default(),
            host_error: RefCell::default(),
            sets: Memo::default(),
            set_names: Memo::default(),
        }
    }

    /// What stock says on standard error when it prints a label of a connection and has no list of their names.
    pub fn complaint(&self) -> Option<String> {
        let list = NumberList::ConnLabels;
        let why = self.numbers.entries(&self.files, list).err().filter(|_| self.labels_missed.get())?;
        Some(format!("Warning: cannot open {}: {why}\n", self.files.join(list.file()).display()))
    }

    fn file<'a>(&self, cell: &'a OnceCell<Vec<u8>>, name: &str) -> impl Iterator<Item = Line<'a>> {
        lines(cell.get_or_init(|| std::fs::read(self.files.join(name)).unwrap_or_default()))
    }

    /// The services of a protocol, or of all: the name and its aliases, and the port.
    fn services(&self, protocol: Option<u8>) -> impl Iterator<Item = (Line<'_>, u16)> {
        let wanted = protocol.map(|p| self.protocol_word(p));
        self.file(&self.services, "services").filter_map(move |line| {
            let mut parts = line.value.splitn(2, |b| *b == b'/');
            let port = decimal(parts.next()?)?;
            let protocol = parts.next()?;
            wanted.as_ref().is_none_or(|w| w == protocol).then_some((line, port))
        })
    }

    /// The protocol's name as the services file writes it.
    fn protocol_word(&self, protocol: u8) -> Vec<u8> {
        let builtin = builtin_protocol_name(protocol).map(Into::into);
        builtin.or_else(|| self.protocol_name(protocol)).unwrap_or_default()
    }
}

impl Names for SystemNames {
    fn port(&self, service: &[u8], protocol: Option<u8>) -> Option<u16> {
        self.ports.get((service.to_vec(), protocol), || {
            self.services(protocol).find(|(line, _)| line.is_called(service)).map(|(_, port)| port)
        })
    }

    fn service(&self, port: u16, protocol: Option<u8>) -> Option<Vec<u8>> {
        self.service_names.get((port, protocol), || {
            self.services(protocol).find(|(_, p)| *p == port).map(|(line, _)| line.name.to_vec())
        })
    }

    fn protocol(&self, name: &[u8]) -> Option<u8> {
        let line = self.file(&self.protocols, "protocols").find(|line| line.is_called(name))?;
        u8::try_from(decimal(line.value)?).ok()
    }

    fn protocol_name(&self, number: u8) -> Option<Vec<u8>> {
        let wanted = Some(u16::from(number));
        let line = self.file(&self.protocols, "protocols").find(|line| decimal(line.value) == wanted)?;
        Some(line.name.to_vec())
    }

    fn hosts(&self, name: &[u8], family: Family) -> Vec<IpAddr> {
        let found = nss::addresses(name, family);
        *self.host_error.borrow_mut() = found.as_ref().err().cloned();
        found.unwrap_or_default()
    }

    fn host_error(&self) -> Option<String> {
        self.host_error.borrow().clone()
    }

    fn host_name(&self, addr: IpAddr) -> Option<Vec<u8>> {
        self.host_names.get(addr, || nss::host_name(addr))
    }

    fn network(&self, name: &[u8]) -> Option<IpAddr> {
        self.file(&self.networks, "networks").find(|line| line.is_called(name)).and_then(|line| network(line.value))
    }

    fn network_name(&self, addr: IpAddr) -> Option<Vec<u8>> {
        let line = self.file(&self.networks, "networks").find(|line| network(line.value) == Some(addr))?;
        Some(line.name.to_vec())
    }

    fn uid(&self, name: &[u8]) -> Option<u32> {
        nss::uid(std::str::from_utf8(name).ok()?)
    }

    fn gid(&self, name: &[u8]) -> Option<u32> {
        nss::gid(std::str::from_utf8(name).ok()?)
    }

    fn user_name(&self, uid: u32) -> Option<Vec<u8>> {
        self.users.get(uid, || nss::user_name(uid))
    }

    fn group_name(&self, gid: u32) -> Option<Vec<u8>> {
        self.groups.get(gid, || nss::group_name(gid))
    }

    fn set(&self, name: &[u8]) -> SetAnswer {
        let ask = || match Ipset::open() {
            Ok(mut ipset) => ipset.by_name(name),
            Err(error) => SetAnswer::Failed(error.to_string()),
        };
        self.sets.get(name.to_vec(), || Some(ask())).unwrap_or(SetAnswer::Missing)
    }

    fn set_name(&self, index: u16) -> Option<Vec<u8>> {
        self.set_names.get(index, || Ipset::open().ok()?.by_index(index))
    }

    fn number(&self, list: NumberList, name: &[u8]) -> Option<u32> {
        let entries = self.numbers.entries(&self.files, list).ok()?;
        entries.iter().find(|(_, n)| n == name).map(|(number, _)| *number)
    }

    fn number_name(&self, list: NumberList, number: u32) -> Option<Vec<u8>> {
        let entries = self.numbers.entries(&self.files, list);
        if list == NumberList::ConnLabels && entries.is_err() {
            self.labels_missed.set(true);
        }
        entries.ok()?.iter().find(|(n, _)| *n == number).map(|(_, name)| name.clone())
    }

    fn is_bpf_object(&self, path: &[u8]) -> bool {
        /// `BPF_FS_MAGIC` (`linux/magic.h`).
        const BPF_FS: u64 = 0xcafe_4a11;
        let path = std::path::Path::new(std::ffi::OsStr::from_bytes(path));
        let in_bpf_fs = rustix::fs::statfs(path).is_ok_and(|fs| u64::try_from(fs.f_type) == Ok(BPF_FS));
        in_bpf_fs && std::fs::metadata(path).is_ok_and(|m| m.is_file())
    }

    fn number_list_error(&self, list: NumberList) -> Option<String> {
        self.numbers.entries(&self.files, list).err().map(str::to_owned)
    }
}

/// Answers that have been given, a `None` too.
#[derive(Debug)]
struct Memo<K, V>(RefCell<HashMap<K, Option<V>>>);

impl<K, V> Default for Memo<K, V> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<K: Hash + Eq, V: Clone> Memo<K, V> {
    fn get(&self, key: K, find: impl FnOnce() -> Option<V>) -> Option<V> {
        if let Some(known) = self.0.borrow().get(&key) {
            return known.clone();
        }
        let answer = find();
        self.0.borrow_mut().insert(key, answer.clone());
        answer
    }
}

/// One entry of a file: `name value alias …`.
#[derive(Clone, Copy)]
struct Line<'a> {
    name: &'a [u8],
    value: &'a [u8],
    rest: &'a [u8],
}

impl Line<'_> {
    /// Whether this is its name or one of its aliases; case matters.
    fn is_called(&self, name: &[u8]) -> bool {
        self.name == name || words(self.rest).any(|alias| alias == name)
    }
}

fn lines(file: &[u8]) -> impl Iterator<Item = Line<'_>> {
    file.split(|b| *b == b'\n').filter_map(|line| {
        let text = line.split(|b| *b == b'#').next()?.trim_ascii();
        let (name, rest) = first_word(text)?;
        let (value, rest) = first_word(rest.trim_ascii_start())?;
        Some(Line { name, value, rest })
    })
}

fn first_word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let len = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
    text.split_at_checked(len).filter(|(word, _)| !word.is_empty())
}

fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty())
}

fn decimal(text: &[u8]) -> Option<u16> {
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    if digits { std::str::from_utf8(text).ok()?.parse().ok() } else { None }
}

/// The address of a network as its file writes it; parts left out at the end are 0 (`127` is 127.0.0.0).
fn network(text: &[u8]) -> Option<IpAddr> {
    let mut octets = [0u8; 4];
    let mut parts = text.split(|b| *b == b'.');
    for octet in &mut octets {
        let Some(part) = parts.next() else { break };
        *octet = u8::try_from(decimal(part)?).ok()?;
    }
    parts.next().is_none().then(|| IpAddr::V4(Ipv4Addr::from(octets)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory with three files of names, gone when the test ends.
    struct Etc(PathBuf);

    impl Etc {
        fn new(test: &str) -> Self {
            let dir = std::env::temp_dir().join(format!("oxtables-names-{}-{test}", std::process::id()));
            std::fs::create_dir_all(&dir).unwrap();
            let services = "# a comment\nssh 22/tcp # shell\n\nhttp\t80/tcp www\ndomain 53/tcp\ndomain 53/udp\n\
                            syslog 514/udp\nshell 514/tcp cmd\nbroken\nworse x/tcp\nbig 65536/tcp\nsip 5060/sctp\n";
            std::fs::write(dir.join("services"), services).unwrap();
            std::fs::write(dir.join("protocols"), "ip 0 IP\n  gre 47 GRE # tunnels\nudplite 136 UDPLite\n").unwrap();
            std::fs::write(dir.join("networks"), "loopback 127.0.0.0\nlink-local 169.254\n").unwrap();
            Self(dir)
        }
    }

    impl Drop for Etc {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn services_by_name_port_and_protocol() {
        let etc = Etc::new("services");
        let names = SystemNames::new(&etc.0);
        assert_eq!(names.port(b"ssh", None), Some(22));
        assert_eq!(names.port(b"www", Some(6)), Some(80));
        assert_eq!(names.port(b"www", Some(17)), None);
        assert_eq!(names.port(b"SSH", None), None);
        assert_eq!(names.port(b"big", None), None);
        assert_eq!(names.port(b"sip", Some(132)), Some(5060));
        assert_eq!(names.service(514, Some(6)), Some(b"shell".to_vec()));
        assert_eq!(names.service(514, None), Some(b"syslog".to_vec()));
        assert_eq!(names.service(53, Some(17)), Some(b"domain".to_vec()));
        assert_eq!(names.service(9, None), None);
        assert_eq!(names.port(b"ssh", None), Some(22), "the kept answer");
    }

    #[test]
    fn protocols_and_networks() {
        let etc = Etc::new("protocols");
        let names = SystemNames::new(&etc.0);
        assert_eq!(names.protocol(b"gre"), Some(47));
        assert_eq!(names.protocol(b"GRE"), Some(47));
        assert_eq!(names.protocol(b"none"), None);
        assert_eq!(names.protocol_name(47), Some(b"gre".to_vec()));
        let net: IpAddr = "169.254.0.0".parse().unwrap();
        assert_eq!(names.network(b"link-local"), Some(net));
        assert_eq!(names.network_name(net), Some(b"link-local".to_vec()));
        assert_eq!(names.network_name("169.254.0.1".parse().unwrap()), None);
    }

    #[test]
    fn files_are_read_at_need_and_once() {
        let etc = Etc::new("lazy");
        let names = SystemNames::new(&etc.0);
        assert!(names.services.get().is_none());
        assert_eq!(names.port(b"ssh", None), Some(22));
        assert!(names.services.get().is_some() && names.protocols.get().is_none() && names.networks.get().is_none());
        std::fs::remove_file(etc.0.join("services")).unwrap();
        assert_eq!(names.port(b"http", None), Some(80));
        assert_eq!(SystemNames::new(&etc.0).port(b"http", None), None);
    }

    #[test]
    fn the_superuser_has_id_0_and_nobody_has_an_odd_name() {
        let names = SystemNames::new("/nonexistent");
        assert_eq!(names.uid(b"root"), Some(0));
        assert_eq!(names.user_name(0), Some(b"root".to_vec()));
        assert_eq!(names.gid(b"\xff\xfe"), None);
        assert_eq!(names.uid(b""), None);
        assert_eq!(names.group_name(4_000_000_000), None);
    }

    #[test]
    fn a_numeric_name_of_the_other_family_is_no_host() {
        let names = SystemNames::new("/nonexistent");
        assert_eq!(names.hosts(b"127.0.0.1", Family::V4), ["127.0.0.1".parse::<IpAddr>().unwrap()]);
        assert!(names.hosts(b"::1", Family::V4).is_empty());
        assert!(names.host_error().is_some());
        assert!(names.hosts(b"a\xffb", Family::V4).is_empty());
        assert_eq!(names.host_error().as_deref(), Some("Name or service not known"));
    }
}

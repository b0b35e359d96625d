//! Network namespaces: entering a new one (with a new user namespace where that takes one), and one for each of several hosts.
//!
//! Invariants: a namespace other than the process's own is only ever entered by a thread that ends there, so no thread has to
//! be brought back; nothing outside the new namespaces is changed. Everything is done by system calls and `/proc`.
//! Sources: `unshare(2)`, `setns(2)`, `user_namespaces(7)`, `network_namespaces(7)`.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread;

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};

use super::rtnl::Rtnl;

/// Why there is no namespace: what was tried, the errno, and what the user can do about it.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what}: {source}")]
pub struct NetnsError {
    what: &'static str,
    source: io::Error,
    remedy: Option<String>,
    /// Whether the kernel was built without namespaces at all.
    missing: bool,
}

impl NetnsError {
    /// An error without a remedy.
    pub(super) fn new(what: &'static str, source: impl Into<io::Error>) -> Self {
        Self { what, source: source.into(), remedy: None, missing: false }
    }

    /// What the user can do: whole sentences, or `None` if nothing is known to help.
    pub fn remedy(&self) -> Option<&str> {
        self.remedy.as_deref()
    }

    /// Whether the kernel has no such feature, as opposed to refusing it.
    pub fn is_missing_feature(&self) -> bool {
        self.missing
    }
}

/// How a process got into its new network namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entered {
    /// With the privilege it had.
    Privileged,
    /// By a new user namespace, in which its user is uid 0 and its group gid 0.
    UserNamespace,
}

/// Moves the process into a new network namespace and brings its loopback up; if it has not the privilege for that, into a
/// new user namespace as well, in which it is root.
///
/// Must be called while the process has a single thread (the kernel demands it for user namespaces), and is for good.
///
/// # Errors
/// [`NetnsError`], with a remedy where one is known; the process may then be in a new user namespace, but in no new network
/// namespace.
pub fn enter() -> Result<Entered, NetnsError> {
    let entered = match unshare(CloneFlags::CLONE_NEWNET) {
        Ok(()) => Entered::Privileged,
        Err(Errno::EPERM) => {
            enter_user_namespace()?;
            Entered::UserNamespace
        }
        Err(errno) => return Err(no_network_namespace(errno)),
    };
    loopback_up()?;
    Ok(entered)
}

/// A network namespace, kept alive by an open file.
#[derive(Debug)]
pub struct Namespace {
    file: OwnedFd,
}

impl Namespace {
    /// Makes a new one, with its loopback up. The calling thread stays where it is.
    ///
    /// # Errors
    /// [`NetnsError`]; EPERM unless the process is root or has called [`enter`].
    pub fn new() -> Result<Self, NetnsError> {
        in_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET).map_err(no_network_namespace)?;
            loopback_up()?;
            Self::current()
        })
    }

    /// The one the calling thread is in.
    ///
    /// # Errors
    /// [`NetnsError`] if `/proc` is not mounted.
    pub fn current() -> Result<Self, NetnsError> {
        let file = fs::File::open("/proc/thread-self/ns/net").map_err(|source| NetnsError {
            remedy: Some("Is /proc mounted?".to_owned()),
            ..NetnsError::new("open /proc/thread-self/ns/net", source)
        })?;
        Ok(Self { file: file.into() })
    }

    /// Runs `work` in a thread inside and returns what it returned.
    ///
    /// # Errors
    /// [`NetnsError`] if the namespace cannot be entered. A panic of `work` goes on in the caller.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, NetnsError> {
        in_thread(|| {
            setns(self.file.as_fd(), CloneFlags::CLONE_NEWNET)
                .map_err(|errno| NetnsError::new("enter a network namespace", errno))?;
            Ok(work())
        })
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Writes a variable below `/proc/sys`, in the calling thread's namespace; `name` with slashes (`net/ipv4/ip_forward`).
///
/// # Errors
/// [`NetnsError`]; with the kind `NotFound` the kernel does not have the variable.
pub fn write_sysctl(name: &str, value: &str) -> Result<(), NetnsError> {
    fs::write(format!("/proc/sys/{name}"), value).map_err(|source| NetnsError {
        remedy: Some(format!("The variable is /proc/sys/{name}.")),
        ..NetnsError::new("write a kernel variable", source)
    })
}

/// Runs `work` in a thread of its own, which may change its namespaces.
fn in_thread<T: Send>(work: impl FnOnce() -> Result<T, NetnsError> + Send) -> Result<T, NetnsError> {
    thread::scope(|scope| {
        let thread = thread::Builder::new()
            .spawn_scoped(scope, work)
            .map_err(|source| NetnsError::new("start a thread", source))?;
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn loopback_up() -> Result<(), NetnsError> {
    let up = || -> io::Result<()> {
        let mut rtnl = Rtnl::open()?;
        let index = rtnl.link("lo")?.index;
        rtnl.set_up(index)
    };
    up().map_err(|source| NetnsError::new("bring the loopback up", source))
}

/// A user namespace in which the caller's user and group are root's, with a network namespace that it owns.
fn enter_user_namespace() -> Result<(), NetnsError> {
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    unshare(CloneFlags::CLONE_NEWUSER).map_err(no_user_namespace)?;
    // A process without privilege may write gid_map only after it gave up setgroups(2) (user_namespaces(7)).
    write_map("/proc/self/setgroups", "deny")
        .or_else(|error| if error.source.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
    write_map("/proc/self/uid_map", &format!("0 {uid} 1"))?;
    write_map("/proc/self/gid_map", &format!("0 {gid} 1"))?;
    unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| match errno {
        Errno::EPERM => NetnsError { remedy: refusal(), ..NetnsError::new("create a network namespace", errno) },
        _ => no_network_namespace(errno),
    })
}

fn write_map(path: &str, text: &str) -> Result<(), NetnsError> {
    fs::write(path, text).map_err(|source| NetnsError {
        remedy: refusal().or_else(|| {
            Some(format!("{path} could not be written; is this program readable by the user who runs it?"))
        }),
        ..NetnsError::new("map the user into a new user namespace", source)
    })
}

fn no_network_namespace(errno: Errno) -> NetnsError {
    let error = NetnsError::new("create a network namespace", errno);
    if !exists("/proc/self/ns/net") {
        let remedy = if exists("/proc/self") {
            "The kernel was built without network namespaces (CONFIG_NET_NS).".to_owned()
        } else {
            "Is /proc mounted?".to_owned()
        };
        return NetnsError { remedy: Some(remedy), missing: true, ..error };
    }
    let remedy = match errno {
        Errno::ENOSPC | Errno::EUSERS => Some(limit("user.max_net_namespaces")),
        _ => None,
    };
    NetnsError { remedy, ..error }
}

fn no_user_namespace(errno: Errno) -> NetnsError {
    let error = NetnsError::new("create a user namespace", errno);
    match errno {
        Errno::ENOSPC | Errno::EUSERS => NetnsError { remedy: Some(limit("user.max_user_namespaces")), ..error },
        Errno::EINVAL if !exists("/proc/self/ns/user") => NetnsError {
            remedy: Some("The kernel was built without user namespaces (CONFIG_USER_NS): run this as root.".to_owned()),
            missing: true,
            ..error
        },
        _ => NetnsError {
            remedy: refusal().or_else(|| {
                Some(
                    "Something forbids user namespaces: a container's seccomp profile, a security module, or a chroot. \
                     Run this as root, or in Docker with `--cap-add SYS_ADMIN --security-opt seccomp=unconfined`."
                        .to_owned(),
                )
            }),
            ..error
        },
    }
}

/// Names the switch by which a distribution forbids user namespaces to ordinary users, if one is set.
fn refusal() -> Option<String> {
    let switches = [
        ("kernel.unprivileged_userns_clone", "0", "1"),
        ("kernel.apparmor_restrict_unprivileged_userns", "1", "0"),
        ("user.max_user_namespaces", "0", "10000"),
    ];
    switches.into_iter().find_map(|(name, forbids, allows)| {
        (read_sysctl(name)? == forbids).then(|| {
            format!(
                "User namespaces are forbidden to ordinary users here ({name} = {forbids}): run this as root, or have root run \
                 `sysctl -w {name}={allows}`."
            )
        })
    })
}

fn limit(name: &str) -> String {
    let now = read_sysctl(name).map(|value| format!(" (now {value})")).unwrap_or_default();
    format!("The limit {name}{now} is reached: have root raise it with `sysctl -w {name}=10000`.")
}

fn read_sysctl(name: &str) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/sys/{}", name.replace('.', "/"))).ok()?;
    Some(text.trim().to_owned())
}

fn exists(path: &str) -> bool {
    fs::symlink_metadata(path).is_ok()
}

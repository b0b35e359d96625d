//! Capabilities for the lab: nothing to do for root, a new user namespace for everybody else.
//!
//! `unshare(CLONE_NEWUSER)` works only in a process with one thread, which a test binary no longer is when a test starts;
//! such a test runs itself again through the `lab-as-root` program. Sources: `user_namespaces(7)`.

use std::io;
use std::process::Command;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{getegid, geteuid};

/// Makes the calling process root: of the host if it is already, else of a new user namespace.
///
/// # Errors
/// `EINVAL` in a process with more than one thread; `EPERM` where user namespaces are switched off.
pub fn become_root() -> io::Result<()> {
    let (user, group) = (geteuid(), getegid());
    if user.is_root() {
        return Ok(());
    }
    // With a network of its own, because only into such a one may it go back from a test's.
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)?;
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("0 {group} 1"))
}

/// Runs the body of the test called `name` as root: here, or in a child made by `launcher` (`CARGO_BIN_EXE_lab-as-root`).
///
/// # Panics
/// When the child cannot be started or fails.
pub fn test_as_root(name: &str, launcher: &str, body: impl FnOnce()) {
    if geteuid().is_root() {
        return body();
    }
    let exe = std::env::current_exe().expect("own path");
    let status = Command::new(launcher).arg(exe).args(["--exact", name, "--nocapture"]).status();
    assert!(status.expect("lab-as-root starts").success(), "{name} failed inside the user namespace");
}

//! Network namespaces for tests: a handle to one, and a guard that keeps the current thread inside it.
//!
//! Invariant: a thread is in a foreign namespace only while an [`Inside`] lives on it; children spawned meanwhile inherit
//! the namespace. Sources: `network_namespaces(7)`, `setns(2)`, `unshare(2)`.

use std::fs::File;
use std::io;
use std::marker::PhantomData;

use nix::sched::{CloneFlags, setns, unshare};

/// The namespace of the calling thread, as the kernel names it.
const OWN: &str = "/proc/thread-self/ns/net";

/// A network namespace that lives as long as this handle (or a process inside it).
#[derive(Debug)]
pub struct Netns {
    file: File,
}

impl Netns {
    /// Creates a fresh namespace and leaves the calling thread where it was.
    ///
    /// # Errors
    /// `EPERM` without `CAP_SYS_ADMIN`, `ENOSPC` when `user.max_net_namespaces` is reached.
    pub fn new() -> io::Result<Self> {
        let home = File::open(OWN)?;
        unshare(CloneFlags::CLONE_NEWNET)?;
        let file = File::open(OWN);
        setns(&home, CloneFlags::CLONE_NEWNET)?;
        Ok(Self { file: file? })
    }

    /// Moves the calling thread into the namespace until the guard is dropped.
    ///
    /// # Errors
    /// What `setns(2)` says.
    pub fn enter(&self) -> io::Result<Inside> {
        let home = File::open(OWN)?;
        setns(&self.file, CloneFlags::CLONE_NEWNET)?;
        Ok(Inside { home, thread: PhantomData })
    }
}

/// Keeps the thread inside a namespace; dropping it goes back. It cannot be sent to another thread.
#[derive(Debug)]
pub struct Inside {
    home: File,
    thread: PhantomData<*const ()>,
}

impl Drop for Inside {
    fn drop(&mut self) {
        let back = setns(&self.home, CloneFlags::CLONE_NEWNET);
        // Going on in the wrong namespace could change the host's firewall.
        if back.is_err() {
            std::process::abort();
        }
    }
}

/// Puts the calling thread into a namespace of its own for good. For threads that do nothing else.
///
/// # Errors
/// As [`Netns::new`].
pub fn unshare_thread() -> io::Result<()> {
    Ok(unshare(CloneFlags::CLONE_NEWNET)?)
}

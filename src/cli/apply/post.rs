//! Where an `apply` that waits can be found: a directory for each network namespace, with a lock, a socket and the last outcome.
//!
//! Invariants: who holds the lock is the one guard of this namespace; only root reaches the socket. The protocol is a line each way:
//! `confirm`, `rollback` or `status`; the answer is one or more lines, then the end.

use rustix::fs::{FlockOperation, flock};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

/// Where the directories are; for tests, `OXTABLES_RUN` says where else.
const RUN: &str = "/run/oxtables";

/// How long an answer may take: a rollback of many rules is in it.
const PATIENCE: Duration = Duration::from_secs(60);

/// The directory of the namespace that the calling thread is in.
#[derive(Clone, Debug)]
pub struct Post {
    directory: PathBuf,
}

/// The right to be the guard; given back when it ends, however it ends.
#[derive(Debug)]
pub struct Watch {
    _lock: File,
    /// Where commands come in.
    pub listener: UnixListener,
    socket: PathBuf,
}

impl Post {
    /// The directory of this namespace, made if it is not there.
    ///
    /// # Errors
    /// That of `mkdir(2)`, or of `/proc`.
    pub fn here() -> io::Result<Self> {
        let namespace = fs::metadata("/proc/thread-self/ns/net")?.ino();
        let run = std::env::var_os("OXTABLES_RUN").map_or_else(|| PathBuf::from(RUN), PathBuf::from);
        let directory = run.join(format!("net-{namespace}"));
        DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        Ok(Self { directory })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Becomes the guard; `None` if there is one.
    ///
    /// # Errors
    /// That of the file system.
    pub fn watch(&self) -> io::Result<Option<Watch>> {
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(self.file("lock"))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let socket = self.file("socket");
        // One that a guard left that was killed: nobody holds the lock.
        match fs::remove_file(&socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&socket)?;
        listener.set_nonblocking(true)?;
        Ok(Some(Watch { _lock: lock, listener, socket }))
    }

    /// Asks the guard; `None` if there is none.
    ///
    /// # Errors
    /// That of the socket.
    pub fn ask(&self, what: &str) -> io::Result<Option<String>> {
        let mut stream = match UnixStream::connect(self.file("socket")) {
            Ok(stream) => stream,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        stream.set_read_timeout(Some(PATIENCE))?;
        writeln!(stream, "{what}")?;
        let mut answer = String::new();
        match stream.read_to_string(&mut answer) {
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => return Err(error),
            _ => {}
        }
        // A guard that ended before it read the question.
        Ok(Some(answer).filter(|answer| !answer.is_empty()))
    }

    /// Notes how the last apply ended.
    ///
    /// # Errors
    /// That of writing it.
    pub fn note_outcome(&self, text: &str) -> io::Result<()> {
        let new = self.file("outcome.new");
        fs::write(&new, text)?;
        fs::rename(new, self.file("outcome"))
    }

    /// How the last apply ended; empty if there was none since the machine started.
    pub fn outcome(&self) -> String {
        fs::read_to_string(self.file("outcome")).unwrap_or_default()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.socket);
    }
}

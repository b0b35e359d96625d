//! Runs one program set, stock or ours, under the same names, and collects what a caller can see of it.
//!
//! Both sets are called through a directory of symbolic links with the same last component, so `argv[0]` is equal.
//! The child inherits the calling thread's network namespace; its environment holds nothing but what is set here.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};

/// Where Debian puts the stock program, and what to do if it is not there.
const STOCK: &str = "/usr/sbin/xtables-nft-multi";
const INSTALL: &str = "stock iptables is not installed: apt-get install -y iptables nftables";
/// The names under which both sets are called.
const NAMES: &[&str] = &[
    "xtables-monitor",
    // Only of ours is it more than a name.
    "oxtables",
    "iptables-translate",
    "ip6tables-translate",
    "iptables-restore-translate",
    "ip6tables-restore-translate",
    "iptables-xml",
    "iptables",
    "ip6tables",
    "iptables-save",
    "ip6tables-save",
    "iptables-restore",
    "ip6tables-restore",
    "iptables-nft",
    "ip6tables-nft",
    "iptables-nft-save",
    "ip6tables-nft-save",
    "iptables-nft-restore",
    "ip6tables-nft-restore",
];
/// Longer than any command of the lab takes; what is slower counts as hanging.
const PATIENCE: Duration = Duration::from_secs(60);

/// One command: `argv[0]` (one of the drop-in's names), its arguments, and what it reads.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Call {
    /// The words, the program's name first.
    pub argv: Vec<Vec<u8>>,
    /// Standard input; none is `/dev/null`.
    pub input: Option<Vec<u8>>,
}

impl Call {
    /// A command from words.
    pub fn new<W: AsRef<[u8]>>(argv: impl IntoIterator<Item = W>) -> Self {
        Self { argv: argv.into_iter().map(|word| word.as_ref().to_vec()).collect(), input: None }
    }

    /// The same with something to read.
    #[must_use]
    pub fn reading(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = Some(input.into());
        self
    }

    /// The command as one would type it in a shell (with `$'…'` where a word needs it).
    #[must_use]
    pub fn shell(&self) -> String {
        let words: Vec<_> = self.argv.iter().map(|word| quote(word)).collect();
        match &self.input {
            Some(input) => format!("printf %s {} | {}", quote(input), words.join(" ")),
            None => words.join(" "),
        }
    }
}

/// What a caller sees of a finished command.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outcome {
    /// The exit code; 128 + N for death by signal N; −1 for one that had to be killed because it hung.
    pub code: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: Vec<u8>,
}

impl Outcome {
    /// The first line of standard error that is not empty.
    #[must_use]
    pub fn complaint(&self) -> &[u8] {
        self.stderr.split(|byte| *byte == b'\n').find(|line| !line.is_empty()).unwrap_or_default()
    }
}

/// A program set: a directory with one link per name.
#[derive(Clone, Debug)]
pub struct Programs {
    directory: PathBuf,
    /// What stands in the environment beside what every program gets.
    variable: Option<(&'static str, &'static str)>,
}

impl Programs {
    /// The stock programs.
    ///
    /// # Panics
    /// When stock is not installed; a comparison without it would prove nothing.
    #[must_use]
    pub fn theirs() -> Self {
        Self::linked("theirs", Path::new(stock_binary()))
    }

    /// Our programs: `OXTABLES_BIN`, or `target/release/oxtables`, or `target/debug/oxtables`, whichever is first (the newer
    /// one of the last two).
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn ours() -> Self {
        Self::linked("ours", &our_binary())
    }

    /// A set whose names all lead to `binary`, in the directory `target/lab-bin/LABEL-PID`.
    ///
    /// # Panics
    /// When the links cannot be made.
    #[must_use]
    pub fn linked(label: &str, binary: &Path) -> Self {
        let root = std::env::temp_dir().join(format!("oxtables-lab-{}", nix::unistd::geteuid()));
        let binary = binary.canonicalize().unwrap_or_else(|error| panic!("{}: {error}", binary.display()));
        let key = binary.as_os_str().as_bytes().iter().fold(0_u64, |h, b| h.wrapping_mul(31) ^ u64::from(*b));
        let directory = root.join(format!("{label}-{key:x}"));
        std::fs::create_dir_all(directory.join("files")).expect("directory for links");
        for name in NAMES {
            // Another thread or process may make the same link at the same time.
            match std::os::unix::fs::symlink(&binary, directory.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => panic!("link {name}: {error}"),
                _ => {}
            }
        }
        Self { directory, variable: None }
    }

    /// The same programs with a variable in their environment.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.variable = Some((name, value));
        self
    }

    /// The directory of links, to be put in front of `PATH`.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The command, ready to be started, without standard input or output.
    #[must_use]
    pub fn command(&self, argv: &[Vec<u8>]) -> Command {
        let name = argv.first().map_or(&b""[..], Vec::as_slice);
        let mut command = Command::new(self.directory.join(OsStr::from_bytes(name)));
        command.arg0(OsStr::from_bytes(name)).args(argv.iter().skip(1).map(|word| OsStr::from_bytes(word)));
        // A mutated `-f NAME` writes a file: not where somebody works.
        command.current_dir(self.directory.join("files"));
        command.env_clear().env("LC_ALL", "C").env("TZ", "UTC").env("HOME", "/root");
        command.envs(self.variable);
        command.env("PATH", format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", self.directory.display()));
        command
    }

    /// Runs a command to its end in the calling thread's namespace.
    ///
    /// # Errors
    /// When it cannot be started or its output cannot be read.
    pub fn run(&self, call: &Call) -> io::Result<Outcome> {
        let mut command = self.command(&call.argv);
        command.stdin(match &call.input {
            Some(input) => Stdio::from(in_memory(input)?),
            None => Stdio::null(),
        });
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let (stdout, stderr, hung) = collect(&mut child)?;
        if hung {
            child.kill()?;
        }
        let status = child.wait()?;
        let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
        Ok(Outcome { code: if hung { -1 } else { code }, stdout, stderr })
    }
}

/// The stock program that answers to all iptables names.
///
/// # Panics
/// When it is not installed.
#[must_use]
pub fn stock_binary() -> &'static str {
    assert!(Path::new(STOCK).exists(), "{INSTALL}");
    STOCK
}

/// The binary under test.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn our_binary() -> PathBuf {
    if let Some(path) = std::env::var_os("OXTABLES_BIN") {
        return PathBuf::from(path);
    }
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), PathBuf::from);
    let age = |path: &PathBuf| path.metadata().and_then(|m| m.modified()).ok();
    ["release/oxtables", "debug/oxtables"]
        .map(|name| target.join(name))
        .into_iter()
        .filter(|path| path.exists())
        .max_by_key(age)
        .expect("oxtables is not built: cargo build, or set OXTABLES_BIN")
}

/// A file in memory that holds `input` and is read from its start.
fn in_memory(input: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create("input", MemfdFlags::CLOEXEC)?);
    file.write_all(input)?;
    file.rewind()?;
    Ok(file)
}

/// Reads both outputs to their ends; true if that took longer than the lab's patience.
fn collect(child: &mut Child) -> io::Result<(Vec<u8>, Vec<u8>, bool)> {
    let deadline = Instant::now() + PATIENCE;
    let mut pipes = [child.stdout.take().map(Pipe::Out), child.stderr.take().map(Pipe::Error)];
    let mut texts = [Vec::new(), Vec::new()];
    let mut buffer = vec![0; 1 << 16];
    while pipes.iter().any(Option::is_some) {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok((std::mem::take(&mut texts[0]), std::mem::take(&mut texts[1]), true));
        }
        let ready: Vec<usize> = {
            let open: Vec<_> = (0..2).filter(|i| pipes[*i].is_some()).collect();
            let mut waits: Vec<_> =
                pipes.iter().flatten().map(|pipe| PollFd::from_borrowed_fd(pipe.fd(), PollFlags::IN)).collect();
            let timeout = Timespec { tv_sec: i64::try_from(left.as_secs()).unwrap_or(1) + 1, tv_nsec: 0 };
            poll(&mut waits, Some(&timeout))?;
            open.into_iter().zip(&waits).filter(|(_, wait)| !wait.revents().is_empty()).map(|(i, _)| i).collect()
        };
        for index in ready {
            let Some(pipe) = &mut pipes[index] else { continue };
            match pipe.read(&mut buffer)? {
                0 => pipes[index] = None,
                length => texts[index].extend_from_slice(&buffer[..length]),
            }
        }
    }
    let [stdout, stderr] = texts;
    Ok((stdout, stderr, false))
}

/// One of the child's outputs.
enum Pipe {
    Out(std::process::ChildStdout),
    Error(std::process::ChildStderr),
}

impl Pipe {
    fn fd(&self) -> std::os::fd::BorrowedFd<'_> {
        use std::os::fd::AsFd;
        match self {
            Self::Out(pipe) => pipe.as_fd(),
            Self::Error(pipe) => pipe.as_fd(),
        }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Out(pipe) => pipe.read(buffer),
            Self::Error(pipe) => pipe.read(buffer),
        }
    }
}

/// A word as a shell reads it back.
#[must_use]
pub fn quote(word: &[u8]) -> String {
    let tame = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_./,:+=@%".contains(byte);
    if !word.is_empty() && word.iter().all(tame) {
        return String::from_utf8_lossy(word).into_owned();
    }
    if word.iter().all(|byte| (b' '..=b'~').contains(byte) && *byte != b'\'') {
        return format!("'{}'", String::from_utf8_lossy(word));
    }
    format!("$'{}'", word.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(Call::new(["iptables", "-A", "a b", "", "it's"]).shell(), r"iptables -A 'a b' '' $'it\'s'");
        assert_eq!(quote(b"\xe2\x80\x93dport"), r"$'\xe2\x80\x93dport'");
    }
}

//! `oxtables sandbox [FILE …] [-- COMMAND …]`: rules in the real kernel, in a network namespace that ends with the command.
//!
//! Invariants: no rule, interface or variable outside the new namespace is touched; the directory with the names of the
//! drop-in is removed again, also when the sandbox was interrupted, terminated or hung up. Documented in `docs/sandbox.md`.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder};
use std::io::{self, IsTerminal, Read, Write};
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use clap::Parser;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::Pid;

use super::{Streams, exit};
use crate::kernel::names::SystemNames;
use crate::kernel::netns::{self, NetnsError};
use crate::types::Family;

/// The names of the drop-in that are ours inside.
const NAMES: [&str; 14] = [
    "iptables",
    "iptables-save",
    "iptables-restore",
    "ip6tables",
    "ip6tables-save",
    "ip6tables-restore",
    "iptables-nft",
    "iptables-nft-save",
    "iptables-nft-restore",
    "ip6tables-nft",
    "ip6tables-nft-save",
    "ip6tables-nft-restore",
    "xtables-nft-multi",
    "oxtables",
];

/// A program that is there but cannot be run, as shells say it.
const NOT_EXECUTABLE: u8 = 126;
/// A program that is not there.
const NOT_FOUND: u8 = 127;
/// Added to the number of the signal that ended the command.
const SIGNAL: u8 = 128;

/// Try rules in a network of their own: real kernel, nothing outside is changed.
///
/// Loads each FILE (iptables-save format), then runs COMMAND, or opens $SHELL, in a new network namespace in which iptables,
/// ip6tables, and their -save and -restore are oxtables. Works as root and, where user namespaces are allowed, as any user.
/// The exit code is the command's.
#[derive(Debug, Parser)]
#[command(name = "oxtables sandbox")]
struct Args {
    /// Files to load; IPv6 if ip6tables-save wrote it or its name says v6, else IPv4. `-` is standard input.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A file to load for IPv4.
    #[arg(short = '4', value_name = "FILE")]
    ipv4: Vec<PathBuf>,
    /// A file to load for IPv6.
    #[arg(short = '6', value_name = "FILE")]
    ipv6: Vec<PathBuf>,
    /// What to run; without it, $SHELL.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// Runs the verb with the words behind `oxtables sandbox` and returns the exit code.
pub fn run(words: &[OsString]) -> u8 {
    let name = OsString::from("oxtables sandbox");
    let args = match Args::try_parse_from(std::iter::once(&name).chain(words)) {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(exit::OTHER);
        }
    };
    match sandbox(&args) {
        Ok(code) => code,
        Err(failure) => {
            complain(&failure.text);
            failure.code
        }
    }
}

/// What stopped the sandbox before its command, and the exit code for that.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) text: String,
    pub(super) code: u8,
}

impl Failure {
    /// Rules were not loaded; the reason has been printed, what helps has not.
    pub(super) fn not_loaded(name: &str, failure: &super::Failure) -> Self {
        let advice = failure.advice().map(|advice| format!(": {advice}")).unwrap_or_default();
        Self { text: format!("{name} was not loaded{advice}"), code: failure.exit() }
    }

    /// A listing failed.
    pub(super) fn not_listed(name: &str, failure: &super::Failure) -> Self {
        let mut text = crate::types::Out::new();
        failure.print(super::Program::of(name), None, &mut text);
        Self { text: String::from_utf8_lossy(text.as_bytes()).trim_end().to_owned(), code: failure.exit() }
    }

    pub(super) fn other(what: impl std::fmt::Display, error: &io::Error) -> Self {
        Self { text: format!("{what}: {error}"), code: exit::OTHER }
    }
}

impl From<NetnsError> for Failure {
    fn from(error: NetnsError) -> Self {
        let code = if error.is_missing_feature() { exit::VERSION } else { exit::RESOURCE };
        let text = match error.remedy() {
            Some(remedy) => format!("{error}\n{remedy}"),
            None => error.to_string(),
        };
        Self { text, code }
    }
}

fn sandbox(args: &Args) -> Result<u8, Failure> {
    // Files are read first: a wrong name must not cost a namespace, and standard input may be one of them.
    let plain = args.files.iter().map(|path| (path, None));
    let v4 = args.ipv4.iter().map(|path| (path, Some(Family::V4)));
    let v6 = args.ipv6.iter().map(|path| (path, Some(Family::V6)));
    let rules =
        plain.chain(v4).chain(v6).map(|(path, family)| Rules::read(path, family)).collect::<Result<Vec<_>, _>>()?;
    let exe = env::current_exe().map_err(|error| Failure::other("cannot find this program's own file", &error))?;
    netns::enter()?;
    for file in &rules {
        restore(file.family, &file.text).map_err(|failure| Failure::not_loaded(&file.name, &failure))?;
    }
    let names = NameDir::new(&exe)?;
    let path = names.path_variable()?;
    let mut command = match args.command.split_first() {
        Some((program, words)) => {
            let mut command = Command::new(program);
            command.args(words);
            command
        }
        None => shell(),
    };
    command.env("PATH", path).env("OXTABLES_SANDBOX", "1");
    wait(&mut command)
}

/// The text of a file of rules, and whom it is for.
struct Rules {
    name: String,
    family: Family,
    text: Vec<u8>,
}

impl Rules {
    fn read(path: &Path, family: Option<Family>) -> Result<Self, Failure> {
        let name = path.display().to_string();
        let text = if path.as_os_str() == "-" {
            let mut text = Vec::new();
            io::stdin().read_to_end(&mut text).map(|_| text)
        } else {
            fs::read(path)
        };
        let text = text.map_err(|error| Failure::other(format!("cannot read {name}"), &error))?;
        let family = family.unwrap_or_else(|| guess(path, &text));
        Ok(Self { name, family, text })
    }
}

/// Whom a file is for, if that was not said: IPv6 if ip6tables-save wrote it, or if its name has `v6` or `ip6` in it.
fn guess(path: &Path, text: &[u8]) -> Family {
    let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    let has = |text: &[u8], word: &[u8]| text.windows(word.len()).any(|window| window == word);
    let v6 = first.starts_with(b"#") && has(first, b"ip6tables") || has(name, b"v6") || has(name, b"ip6");
    if v6 { Family::V6 } else { Family::V4 }
}

/// Loads rules into the namespace of the calling thread, as iptables-restore does; what there is to say goes to stderr.
pub(super) fn restore(family: Family, text: &[u8]) -> Result<(), super::Failure> {
    let mut io = Streams::default();
    let result = super::restore_text(family, &SystemNames::default(), text, &mut io);
    io.flush();
    result
}

/// The user's shell, with a word about where it runs if somebody is there to read it.
fn shell() -> Command {
    if io::stdin().is_terminal() && io::stderr().is_terminal() {
        complain(
            "this shell has a network of its own, with nothing in it but the loopback.\n\
             iptables, ip6tables, -save and -restore are oxtables here; nothing outside is changed. Leave with `exit`.",
        );
    }
    Command::new(env::var_os("SHELL").filter(|shell| !shell.is_empty()).unwrap_or_else(|| "/bin/sh".into()))
}

/// Runs the command to its end. This process has to tidy up behind it and outlives signals: those from the keyboard the command
/// gets anyway, others are passed on.
fn wait(command: &mut Command) -> Result<u8, Failure> {
    let program = command.get_program().to_os_string();
    let mut child = command.spawn().map_err(|error| Failure {
        text: format!("cannot run {}: {error}", program.display()),
        code: if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE },
    })?;
    let signals: SigSet = [Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGHUP].into_iter().collect();
    if signals.thread_block().is_ok()
        && let Ok(id) = i32::try_from(child.id())
    {
        // Ends with the process.
        thread::spawn(move || {
            while let Ok(signal) = signals.wait() {
                if matches!(signal, Signal::SIGTERM | Signal::SIGHUP) {
                    let _ = kill(Pid::from_raw(id), signal);
                }
            }
        });
    }
    let status = child.wait().map_err(|error| Failure::other("cannot wait for the command", &error))?;
    Ok(code_of(status))
}

fn code_of(status: std::process::ExitStatus) -> u8 {
    let signal = || status.signal().and_then(|signal| u8::try_from(signal).ok()).unwrap_or(0);
    status.code().map_or_else(|| SIGNAL.saturating_add(signal()), |code| u8::try_from(code).unwrap_or(exit::OTHER))
}

/// A directory of our own in which the drop-in's names are links to this program; removed when dropped.
struct NameDir {
    path: PathBuf,
}

impl NameDir {
    fn new(exe: &Path) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::other("cannot make a directory for the names of iptables", &error);
        // Made with mode 0700, and only if nothing of that name is there: nobody else can put a program into it.
        let mut number = 0_u32;
        let path = loop {
            let path = env::temp_dir().join(format!("oxtables-sandbox-{}-{number}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => break path,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < 1000 => number += 1,
                Err(error) => return Err(failed(error)),
            }
        };
        let dir = Self { path };
        for name in NAMES {
            symlink(exe, dir.path.join(name)).map_err(failed)?;
        }
        Ok(dir)
    }

    /// `PATH` with this directory first.
    fn path_variable(&self) -> Result<OsString, Failure> {
        let old = env::var_os("PATH").unwrap_or_else(|| OsStr::new("/usr/sbin:/usr/bin:/sbin:/bin").into());
        env::join_paths(std::iter::once(self.path.clone()).chain(env::split_paths(&old))).map_err(|error| Failure {
            text: format!("cannot put the names first on PATH: {error}"),
            code: exit::OTHER,
        })
    }
}

impl Drop for NameDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "oxtables sandbox: {text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_a_file_is_for_is_read_off_its_first_line_or_its_name() {
        let v6 = b"# Generated by ip6tables-save v1.8.9\n*filter\n";
        assert_eq!(guess(Path::new("rules"), v6), Family::V6);
        assert_eq!(guess(Path::new("/etc/iptables/rules.v6"), b"*filter\n"), Family::V6);
        assert_eq!(guess(Path::new("/srv/ip6/rules.v4"), b"*filter\n# ip6tables\n"), Family::V4);
    }

    #[test]
    fn the_names_are_links_in_a_private_directory_that_goes_away() -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let dir = NameDir::new(Path::new("/usr/bin/true")).map_err(|failure| io::Error::other(failure.text))?;
        let path = dir.path.clone();
        assert_eq!(fs::metadata(&path)?.permissions().mode() & 0o777, 0o700);
        assert_eq!(fs::read_link(path.join("ip6tables-restore"))?, Path::new("/usr/bin/true"));
        let first = dir.path_variable().map(|paths| env::split_paths(&paths).next());
        assert_eq!(first.ok().flatten(), Some(path.clone()));
        drop(dir);
        assert!(!path.exists());
        Ok(())
    }

    #[test]
    fn the_words_of_the_command_line_are_told_apart() {
        let parse = |words: &[&str]| Args::try_parse_from(std::iter::once(&"oxtables sandbox").chain(words));
        let args = parse(&["a", "-6", "b", "c", "--", "sh", "-c", "iptables -S"]).ok();
        let told = args.map(|args| (args.files.len(), args.ipv6.len(), args.command.len()));
        assert_eq!(told, Some((2, 1, 3)));
        assert!(parse(&["--nonsense"]).is_err());
    }
}

//! Wall time, processor time and peak memory of one command, taken by a helper process of its own.
//!
//! `getrusage(RUSAGE_CHILDREN)` adds up all children, so each measured command gets a fresh parent. A child's peak counts
//! its parent's pages until `execve`; the helper is small, but a figure near its own size (2 MiB) only means "not more".

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use crate::oracle::{Call, Programs};

/// The word that makes the bench program a helper.
pub const HELPER: &str = "--measure-one";

/// What one run of a command cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// From start to end.
    pub wall: Duration,
    /// In user mode.
    pub user: Duration,
    /// In the kernel.
    pub system: Duration,
    /// Peak resident memory in KiB.
    pub memory: u64,
    /// The exit code.
    pub code: i32,
}

/// Runs the call with `programs` in the calling thread's namespace; its input is the file `input`, its output goes nowhere.
///
/// # Errors
/// When the helper cannot be run.
pub fn cost(programs: &Programs, call: &Call, input: Option<&Path>) -> io::Result<Cost> {
    let measured = programs.command(&call.argv);
    let mut helper = Command::new(std::env::current_exe()?);
    helper.arg(HELPER).arg(measured.get_program()).args(measured.get_args());
    helper.env_clear().envs(measured.get_envs().filter_map(|(name, value)| Some((name, value?))));
    helper.stdin(match input {
        Some(path) => Stdio::from(std::fs::File::open(path)?),
        None => Stdio::null(),
    });
    let output = helper.output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<u64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [wall, user, system, memory, code] = numbers[..] else {
        return Err(io::Error::other(format!(
            "the helper said {text:?} {:?}",
            String::from_utf8_lossy(&output.stderr)
        )));
    };
    let micros = Duration::from_micros;
    let code = i32::try_from(code).unwrap_or(-1);
    Ok(Cost { wall: micros(wall), user: micros(user), system: micros(system), memory, code })
}

/// The helper: runs the program named by the words and gives what it cost as five numbers.
///
/// # Errors
/// When the program cannot be started.
pub fn helper(mut words: impl Iterator<Item = std::ffi::OsString>) -> io::Result<String> {
    let program = words.next().ok_or_else(|| io::Error::other("no program"))?;
    let name = Path::new(&program).file_name().unwrap_or_default().to_owned();
    let mut command = Command::new(&program);
    command.arg0(name).args(words).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let status = command.status()?;
    let wall = start.elapsed().as_micros();
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let (user, system) = (usage.user_time().num_microseconds(), usage.system_time().num_microseconds());
    Ok(format!("{wall} {user} {system} {} {}", usage.max_rss(), status.code().unwrap_or(255)))
}

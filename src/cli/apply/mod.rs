//! `oxtables apply FILE …`, `confirm`, `rollback` and `status`: changes that undo themselves when nobody confirms them.
//!
//! The command plans, looks whether its caller would be cut off, and starts the [`guard`], which makes the change and waits. The command then
//! only watches: whatever becomes of it, of its terminal or of its whole session, the guard decides. Should the guard itself be killed while
//! the command is there, the command puts the old rules back. Source: design §6.

mod guard;
mod job;
mod post;
mod ssh;

use super::history::{self, Entry};
use super::plan::{NoPlan, Planned, plan_files};
use super::rules_file::{FAMILIES, Files, RulesFile};
use super::writing::Writing;
use super::{Streams, exit};
use crate::ext::Body;
use crate::kernel::change::{batch_of, carry_out, take_back};
use crate::kernel::names::SystemNames;
use crate::kernel::{CommitError, Session};
use crate::types::{Names, Out};
use clap::Parser;
use job::Job;
use post::Post;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, IsTerminal, Write};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// The hidden verb of the guard.
pub const GUARD: &str = "apply-guard";

/// The new rules are in place and stay, or nothing had to change.
const KEPT: u8 = exit::OK;
/// Nothing was changed.
const NOT_APPLIED: u8 = 1;
/// The old rules are back.
const UNDONE: u8 = 3;
/// Nothing is waiting to be confirmed.
const NOT_WAITING: u8 = 1;

/// Put rules files in place, and put the old rules back unless somebody confirms.
///
/// The smallest change from the live rules to those of each FILE is made, for both families in one transaction; rules that stay keep their
/// counters. Then `oxtables confirm`, best from a new login, keeps it. Without it the old rules are put back, whatever has become of this
/// session. Exit code 0: the new rules are in place and stay; 1: nothing was changed; 3: the old rules are back.
#[derive(Debug, Parser)]
#[command(name = "oxtables apply")]
struct Args {
    #[command(flatten)]
    files: Files,
    /// How long to wait for `oxtables confirm`: 60s, 5m, 1h.
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    within: Duration,
    /// Do not wait: keep the new rules at once.
    #[arg(long)]
    yes: bool,
    /// Apply even if the new rules would cut off the SSH connection that this comes over.
    #[arg(long)]
    force: bool,
    /// Take the rules of other programs away too.
    #[arg(long)]
    replace_all: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("'{text}' is no time; 60s, 5m or 1h, for instance");
    let time = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => text.parse::<jiff::SignedDuration>().ok().and_then(|d| d.try_into().ok()).ok_or_else(wrong)?,
    };
    let day = Duration::from_secs(24 * 3600);
    if (Duration::from_secs(1)..=day).contains(&time) { Ok(time) } else { Err("from one second to a day".to_owned()) }
}

/// Runs the verb with the words behind `oxtables apply` and returns the exit code.
pub fn run(words: &[OsString]) -> u8 {
    let args = match Args::try_parse_from(std::iter::once(&OsString::from("oxtables apply")).chain(words)) {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { NOT_APPLIED } else { exit::OK };
        }
    };
    match apply(&args) {
        Ok(code) => code,
        Err(no_plan) => {
            let mut io = Streams::default();
            no_plan.print("apply", &mut io.err);
            io.flush();
            NOT_APPLIED
        }
    }
}

/// Runs the guard, if this is its verb.
pub fn run_guard() -> u8 {
    guard::run()
}

/// `oxtables confirm`: keeps what an apply has put in place.
pub fn confirm() -> u8 {
    tell("confirm", |answer| match answer {
        "kept" => Some((exit::OK, "the new rules are kept".to_owned())),
        _ => None,
    })
}

/// `oxtables rollback`: puts back at once what an apply has changed.
pub fn rollback() -> u8 {
    tell("rollback", |answer| {
        let left = answer.strip_prefix("undone")?;
        Some((exit::OK, format!("the old rules are back{left}")))
    })
}

/// `oxtables status`: whether an apply waits for its confirmation, and how the last one ended.
pub fn status() -> u8 {
    tell("status", |answer| {
        let (left, who) = answer.strip_prefix("waiting ")?.split_once(' ')?;
        Some((
            exit::OK,
            format!(
                "an apply by {who} waits to be confirmed: {left} s left\n`oxtables confirm` keeps it, `oxtables rollback` undoes it"
            ),
        ))
    })
}

/// Asks the guard and prints what it says.
fn tell(what: &str, meaning: impl Fn(&str) -> Option<(u8, String)>) -> u8 {
    let mut io = Streams::default();
    let answer = Post::here().and_then(|post| post.ask(what).map(|answer| (post, answer)));
    let code = match answer {
        Ok((_, Some(answer))) => match meaning(answer.trim_end()) {
            Some((code, text)) => {
                writeln!(io.out, "{text}");
                code
            }
            None => {
                writeln!(io.err, "oxtables {what}: {}", answer.trim_end());
                NOT_WAITING
            }
        },
        Ok((post, None)) => {
            let out = if what == "status" { &mut io.out } else { &mut io.err };
            writeln!(out, "no apply waits to be confirmed");
            out.str(&post.outcome());
            if what == "status" { exit::OK } else { NOT_WAITING }
        }
        Err(error) => {
            writeln!(io.err, "oxtables {what}: cannot reach /run/oxtables: {error}");
            NOT_WAITING
        }
    };
    io.flush();
    code
}

fn apply(args: &Args) -> Result<u8, NoPlan> {
    let names = SystemNames::default();
    let files = args.files.read(&names).map_err(NoPlan::Other)?;
    let planned = plan_files(&files, &names, args.replace_all)?;
    if let Some((table, chain, handle)) = planned.changes.iter().find_map(|change| change.irrevocable()) {
        let (table, chain) = (String::from_utf8_lossy(table), String::from_utf8_lossy(chain));
        return Err(NoPlan::Other(format!(
            "a rule of table {table}, chain {chain}, which iptables cannot say (handle {handle}) would go and could not be put back; \
             delete it by hand, or leave --replace-all away"
        )));
    }
    show(&planned, &names);
    if planned.is_empty() {
        return Ok(KEPT);
    }
    if !args.force {
        ssh::would_pass(&planned).map_err(NoPlan::Other)?;
    }
    if args.yes {
        return at_once(&planned);
    }
    let job = Job {
        within: args.within,
        replace_all: args.replace_all,
        generation: planned.generation,
        uid: rustix::process::getuid().as_raw(),
        who: who(),
        command: command(),
        texts: texts_of(&files),
    };
    let (mut child, lines) = start_guard(&job).map_err(|e| NoPlan::Other(format!("cannot start the guard: {e}")))?;
    match lines.recv() {
        Ok(line) if line == "armed" => Ok(watch(&job, &planned, &lines)),
        Ok(line) => {
            let _ = child.wait();
            Err(NoPlan::Other(match line.strip_prefix("error ") {
                Some("busy") => "another apply waits to be confirmed; `oxtables status` says which".to_owned(),
                Some("stale") => {
                    "another program changed the rules meanwhile, and nothing was changed; try again".to_owned()
                }
                Some(text) => text.replace('\u{1}', "\n"),
                None => line,
            }))
        }
        Err(_) => Err(NoPlan::Other("the guard ended before it changed anything".to_owned())),
    }
}

fn show(planned: &Planned, names: &dyn Names) {
    let mut io = Streams::default();
    planned.print(names, &mut io.out);
    io.flush();
}

/// The text of each family: what was read, so that the guard plans the same.
fn texts_of(files: &[RulesFile]) -> [Option<Vec<u8>>; 2] {
    FAMILIES.map(|family| files.iter().find_map(|file| file.text(family)).map(<[u8]>::to_vec))
}

/// The words of the command.
fn command() -> String {
    let words: Vec<String> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    format!("oxtables {}", words.join(" "))
}

/// Who this is: user, terminal.
fn who() -> String {
    let uid = rustix::process::getuid().as_raw();
    let user = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).unwrap_or_else(|_| format!("uid {uid}"));
    match rustix::termios::ttyname(io::stdin(), Vec::new()) {
        Ok(terminal) => format!("{user} on {}", terminal.to_string_lossy().trim_start_matches("/dev/")),
        Err(_) => user,
    }
}

/// Changes the rules without a way back.
fn at_once(planned: &Planned) -> Result<u8, NoPlan> {
    let writing = Writing::from_environment()
        .map_err(|_| NoPlan::Other("OXTABLES_ENCODING must be stock or native".to_owned()))?;
    let mut session = Session::open()?;
    let before = history::snapshot();
    match carry_out(&mut session, &planned.changes, &|body: &Body| writing.natively(body), planned.generation) {
        Ok(_) => {
            let uid = rustix::process::getuid().as_raw();
            if let Err(error) =
                history::record(entry(planned, uid, who(), command(), "at once"), &before, &history::snapshot())
            {
                let _ = writeln!(
                    io::stderr(),
                    "oxtables apply: the rules are in place, but not noted in the history: {error}"
                );
            }
            Ok(KEPT)
        }
        Err(CommitError::Stale) => Err(NoPlan::Other(
            "another program changed the rules meanwhile, and nothing was changed; try again".to_owned(),
        )),
        Err(error) => Err(NoPlan::Other(error.to_string())),
    }
}

/// What the history says of an apply.
fn entry(planned: &Planned, uid: u32, who: String, command: String, outcome: &str) -> Entry {
    let mut text = Out::new();
    planned.print_plain(&SystemNames::default(), &mut text);
    let count = |n: fn((usize, usize)) -> usize| planned.changes.iter().map(|c| n(c.plan.count())).sum();
    Entry {
        id: 0,
        time: jiff::Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
        uid,
        who,
        command,
        outcome: outcome.to_owned(),
        added: count(|(added, _)| added),
        deleted: count(|(_, deleted)| deleted),
        changes: String::from_utf8_lossy(text.as_bytes()).lines().map(str::to_owned).collect(),
    }
}

/// Starts the guard outside this session: as a unit of its own where systemd runs and this is its network, else as a process that leaves the
/// session itself. Its lines come on the channel.
fn start_guard(job: &Job) -> io::Result<(Child, Receiver<String>)> {
    let this = std::env::current_exe()?;
    let mut command = if is_with_systemd() {
        let mut command = Command::new("systemd-run");
        command.args(["--quiet", "--collect", "--pipe", "--description=oxtables apply: puts the old rules back", "--"]);
        command.arg(&this);
        command
    } else {
        Command::new(&this)
    };
    let mut child = command
        .arg(GUARD)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .current_dir("/")
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        job.write(&mut stdin)?;
    }
    let (sender, lines) = channel();
    if let Some(stdout) = child.stdout.take() {
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
    }
    Ok((child, lines))
}

/// Whether systemd runs this machine, and in the network namespace that this process is in: a unit would be in no other.
fn is_with_systemd() -> bool {
    let namespace = |path| std::fs::read_link(path).ok();
    let network = namespace("/proc/1/ns/net");
    std::path::Path::new("/run/systemd/system").is_dir()
        && network.is_some()
        && network == namespace("/proc/self/ns/net")
}

/// Shows the time that is left until the guard has decided.
fn watch(job: &Job, planned: &Planned, lines: &Receiver<String>) -> u8 {
    let started = Instant::now();
    let mut err = io::stderr();
    let terminal = err.is_terminal();
    let _ = writeln!(
        err,
        "the new rules are in place; `oxtables confirm` within {} keeps them, else the old ones come back",
        seconds(job.within)
    );
    loop {
        let left = job.within.saturating_sub(started.elapsed());
        if terminal {
            let _ = write!(err, "\r{} left \x1b[K", seconds(left)).and_then(|()| err.flush());
        }
        let line = lines.recv_timeout(Duration::from_secs(1));
        if terminal && !matches!(line, Err(RecvTimeoutError::Timeout)) {
            let _ = write!(err, "\r\x1b[K");
        }
        match line {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(line) if line == "kept" => {
                let _ = writeln!(err, "confirmed: the new rules are kept");
                return KEPT;
            }
            Ok(line) => match line.strip_prefix("note ") {
                Some(note) => _ = writeln!(err, "{note}"),
                None => {
                    let _ = writeln!(err, "the old rules are back: {line}");
                    return UNDONE;
                }
            },
            Err(RecvTimeoutError::Disconnected) => {
                let _ = writeln!(err, "the guard was killed; putting the old rules back");
                return match put_back(planned) {
                    Ok(notes) => {
                        notes.iter().for_each(|note| _ = writeln!(err, "{note}"));
                        let _ = writeln!(err, "the old rules are back");
                        UNDONE
                    }
                    Err(error) => {
                        let _ = writeln!(err, "the old rules could NOT be put back: {error}");
                        NOT_APPLIED
                    }
                };
            }
        }
    }
}

/// What the guard would have done.
fn put_back(planned: &Planned) -> Result<Vec<String>, String> {
    let writing = Writing::from_environment().unwrap_or_default();
    let natively = |body: &Body| writing.natively(body);
    let mut session = Session::open().map_err(|e| e.to_string())?;
    let (_, mut undo) = batch_of(&planned.changes, &natively);
    let now: Result<Vec<_>, _> =
        planned.changes.iter().map(|c| crate::kernel::ruleset(&mut session, c.plan.family)).collect();
    undo.learn(&now.map_err(|e| e.to_string())?);
    let left = take_back(&mut session, &undo, &natively).map_err(|e| e.to_string())?;
    Ok(left.into_iter().map(|foreign| foreign.text).collect())
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs_f64().ceil())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, seconds) in [("60s", 60), ("5m", 300), ("90", 90), ("1h", 3600), ("1m30s", 90)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "x", "0", "-5s", "25h", "500ms"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}

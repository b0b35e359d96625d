//! The guard: changes the rules, waits for the confirmation, and puts them back if it does not come.
//!
//! A process of its own, outside the session of whoever asked for the change: its own session and process group, no terminal, deaf to every
//! signal that can be ignored. It alone decides: what it answers to `confirm` or `rollback` is what has happened. The time is that of
//! a monotonic clock, so that setting the clock does not matter. Source: design §6.

use super::entry;
use super::job::Job;
use super::post::{Post, Watch};
use crate::cli::history;
use crate::cli::plan::{NoPlan, Planned, plan_files};
use crate::cli::rules_file::{FAMILIES, RulesFile};
use crate::cli::saved;
use crate::cli::writing::Writing;
use crate::ext::Body;
use crate::kernel::change::{Undo, carry_out, take_back};
use crate::kernel::names::SystemNames;
use crate::kernel::{CommitError, Session};
use crate::types::Out;
use nix::sys::signal::{SigSet, Signal};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// How the wait ended.
#[derive(Clone, Debug, PartialEq, Eq)]
enum End {
    Kept,
    /// Put back; why.
    Undone(&'static str),
}

/// Runs the guard: the job comes on standard input, what happens goes to standard output, a line each.
pub fn run() -> u8 {
    // Nobody else's signals are meant for it; a guard that ends early would leave the rules unguarded.
    let deaf: SigSet =
        [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGPIPE, Signal::SIGTSTP]
            .into_iter()
            .collect();
    let _ = deaf.thread_block();
    let _ = rustix::process::setsid();
    let _ = std::env::set_current_dir("/");
    match guard() {
        Ok(()) => 0,
        Err(text) => {
            say(&format!("error {}", text.replace('\n', "\u{1}")));
            1
        }
    }
}

/// Tells whoever asked for the change, if it is still there.
fn say(line: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn guard() -> Result<(), String> {
    let job = Job::read(&mut io::stdin().lock()).map_err(|e| e.to_string())?;
    let post = Post::here().map_err(|e| format!("cannot make /run/oxtables: {e}"))?;
    let Some(watch) = post.watch().map_err(|e| format!("cannot make the socket in /run/oxtables: {e}"))? else {
        return Err("busy".to_owned());
    };
    let writing = Writing::from_environment().map_err(|_| "OXTABLES_ENCODING must be stock or native".to_owned())?;
    let natively = |body: &Body| writing.natively(body);
    let mut session = Session::open().map_err(|e| e.to_string())?;
    let before = history::snapshot();
    let (undo, planned) = change(&mut session, &job, &natively)?;
    let after = history::snapshot();
    let armed = Instant::now();
    say("armed");
    let end = wait(&watch, &job, armed, |why| {
        let left = put_back(&mut session, &undo, &natively)?;
        post.note_outcome(&outcome_text(&End::Undone(why), &left)).map_err(|e| e.to_string())?;
        Ok(left)
    });
    if end == End::Kept {
        let _ = post.note_outcome(&outcome_text(&end, &[]));
        // Not before: until it was confirmed, a reboot brought the old rules back.
        if let Some(note) = save_if_kept_on_disk() {
            say(&format!("note {note}"));
        }
    }
    let outcome = if end == End::Kept { "kept" } else { "rolled back" };
    if let Err(error) = history::record(entry(&planned, job.uid, job.who, job.command, outcome), &before, &after) {
        say(&format!("note this is not noted in the history: {error}"));
    }
    say(match end {
        End::Kept => "kept",
        End::Undone(why) => why,
    });
    Ok(())
}

/// Makes the change that was planned, if the ruleset is still as it was then.
fn change(session: &mut Session, job: &Job, natively: &dyn Fn(&Body) -> bool) -> Result<(Undo, Planned), String> {
    let names = SystemNames::default();
    let mut files = Vec::new();
    for (family, text) in FAMILIES.into_iter().zip(&job.texts) {
        if let Some(text) = text {
            files.push(RulesFile::new(family.to_string(), text.clone(), Some(family), &names));
        }
    }
    let planned = plan_files(&files, &names, job.replace_all).map_err(|no_plan| match no_plan {
        NoPlan::Wrong(_) => "the rules could be loaded a moment ago and cannot any more".to_owned(),
        NoPlan::Other(text) => text,
    })?;
    if planned.generation != job.generation {
        return Err("stale".to_owned());
    }
    match carry_out(session, &planned.changes, natively, planned.generation) {
        Ok(undo) => Ok((undo, planned)),
        Err(CommitError::Stale) => Err("stale".to_owned()),
        Err(other) => Err(other.to_string()),
    }
}

fn put_back(session: &mut Session, undo: &Undo, natively: &dyn Fn(&Body) -> bool) -> Result<Vec<String>, String> {
    let left = take_back(session, undo, natively).map_err(|e| e.to_string())?;
    Ok(left.into_iter().map(|foreign| foreign.text).collect())
}

/// What `confirm`, `rollback` and `status` say of it afterwards.
fn outcome_text(end: &End, left: &[String]) -> String {
    let mut text = Out::new();
    match end {
        End::Kept => writeln!(text, "{}: the new rules were confirmed and are kept", crate::cli::date::now()),
        End::Undone(why) => writeln!(text, "{}: the old rules are back ({why})", crate::cli::date::now()),
    }
    left.iter().for_each(|line| writeln!(text, "{line}"));
    String::from_utf8_lossy(text.as_bytes()).into_owned()
}

/// Saves the confirmed rules, if this host has saved rules that the next boot would load; what there is to say of it.
fn save_if_kept_on_disk() -> Option<String> {
    if !saved::any() {
        return None;
    }
    let mut said = Out::new();
    Some(match saved::save_live(&FAMILIES, false, &mut said) {
        Ok(_) => format!("{}saved for the next boot", String::from_utf8_lossy(said.as_bytes())),
        Err(text) => format!("NOT saved, the next boot brings the old rules: {text}"),
    })
}

/// Waits for a word or the end of the time. If the old rules cannot be put back, it is tried again every second, for ever.
fn wait(
    watch: &Watch,
    job: &Job,
    armed: Instant,
    mut put_back: impl FnMut(&'static str) -> Result<Vec<String>, String>,
) -> End {
    const TOO_LATE: &str = "nobody confirmed in time";
    const ASKED: &str = "rolled back on request";
    loop {
        let left = job.within.saturating_sub(armed.elapsed());
        if left.is_zero() {
            match put_back(TOO_LATE) {
                Ok(foreign) => {
                    foreign.iter().for_each(|line| say(&format!("note {line}")));
                    return End::Undone(TOO_LATE);
                }
                Err(error) => {
                    say(&format!("note the old rules could not be put back yet: {error}"));
                    std::thread::sleep(Duration::from_secs(1));
                    continue;
                }
            }
        }
        if !ready(watch, left) {
            continue;
        }
        let Ok((mut stream, _)) = watch.listener.accept() else { continue };
        match question(&stream).as_deref() {
            Some("confirm") if job.within > armed.elapsed() => {
                let _ = writeln!(stream, "kept");
                return End::Kept;
            }
            Some("confirm") => _ = writeln!(stream, "too late: the old rules are being put back"),
            Some("rollback") => match put_back(ASKED) {
                Ok(foreign) => {
                    let _ = writeln!(stream, "undone");
                    for line in &foreign {
                        let _ = writeln!(stream, "{line}");
                        say(&format!("note {line}"));
                    }
                    return End::Undone(ASKED);
                }
                Err(error) => _ = writeln!(stream, "error {error}"),
            },
            Some("status") => {
                let left = job.within.saturating_sub(armed.elapsed()).as_secs_f64().ceil();
                let _ = writeln!(stream, "waiting {left} {}", job.who);
            }
            _ => {}
        }
    }
}

/// Waits until somebody has a word, or for this long.
fn ready(watch: &Watch, at_most: Duration) -> bool {
    let mut fds = [PollFd::new(&watch.listener, PollFlags::IN)];
    let timeout = Timespec::try_from(at_most.min(Duration::from_secs(3600))).ok();
    matches!(poll(&mut fds, timeout.as_ref()), Ok(n) if n > 0)
}

/// The word that somebody says; who says nothing for a second is not waited for.
fn question(stream: &UnixStream) -> Option<String> {
    stream.set_nonblocking(false).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(1))).ok()?;
    stream.set_write_timeout(Some(Duration::from_secs(1))).ok()?;
    let mut line = String::new();
    BufReader::new(stream.try_clone().ok()?).read_line(&mut line).ok()?;
    Some(line.trim_end().to_owned())
}

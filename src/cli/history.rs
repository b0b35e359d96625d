//! `oxtables history` and `restore-from`: who changed the rules, when, how, and the way back to any of it.
//!
//! Each apply is one line of JSON in `/var/lib/oxtables/history.jsonl`, appended and never changed; the rules before and after it stand beside
//! it, as `iptables-save -c` and `ip6tables-save -c` print them, for the last fifty.

use super::saved::{self, files::root};
use super::{Streams, apply, exit};
use crate::types::Family;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::PathBuf;

/// How many applies have their rules kept.
const KEPT: u64 = 50;

/// One apply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number, from 1.
    pub id: u64,
    /// When it ended, RFC 3339 with the offset of local time.
    pub time: String,
    /// The user id that asked for it.
    pub uid: u32,
    /// Who that is, and on which terminal.
    pub who: String,
    /// The words of the command.
    pub command: String,
    /// `kept`, `rolled back` or `at once`.
    pub outcome: String,
    /// How many rules came.
    pub added: usize,
    /// How many rules went.
    pub deleted: usize,
    /// What was changed, as `plan` prints it.
    pub changes: Vec<String>,
}

/// The rules at a moment: the text of each family.
pub type Snapshot = Vec<(Family, Vec<u8>)>;

fn directory() -> PathBuf {
    root().join("var/lib/oxtables")
}

/// The live rules with their counters, to be kept with an entry.
pub fn snapshot() -> Snapshot {
    saved::live(&super::rules_file::FAMILIES, true).map(|live| live.texts).unwrap_or_default()
}

/// Appends an entry, which gets the next number, and keeps the rules before and after it.
///
/// # Errors
/// That of the file system. The change of the rules itself is not touched by it.
pub fn record(mut entry: Entry, before: &Snapshot, after: &Snapshot) -> io::Result<()> {
    let directory = directory();
    let kept = directory.join("history");
    DirBuilder::new().recursive(true).mode(0o700).create(&kept)?;
    let path = directory.join("history.jsonl");
    let mut journal = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)?;
    flock(&journal, FlockOperation::LockExclusive)?;
    let mut text = String::new();
    journal.read_to_string(&mut text)?;
    entry.id = read(&text).last().map_or(1, |last| last.id + 1);
    for (when, snapshot) in [("before", before), ("after", after)] {
        for (family, text) in snapshot {
            fs::write(kept.join(name(entry.id, when, *family)), text)?;
        }
    }
    if let Some(old) = entry.id.checked_sub(KEPT) {
        for when in ["before", "after"] {
            for family in super::rules_file::FAMILIES {
                let _ = fs::remove_file(kept.join(name(old, when, family)));
            }
        }
    }
    // A line that was cut off by a crash ends here.
    let mut line = if text.is_empty() || text.ends_with('\n') { String::new() } else { "\n".to_owned() };
    line += &serde_json::to_string(&entry)?;
    line.push('\n');
    journal.write_all(line.as_bytes())?;
    journal.sync_data()
}

fn name(id: u64, when: &str, family: Family) -> String {
    format!("{id}.{when}.{}", if family == Family::V4 { "v4" } else { "v6" })
}

/// The entries of a journal; lines that are none are passed over.
fn read(text: &str) -> Vec<Entry> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// `oxtables history [ID]`.
pub fn history(words: &[OsString]) -> u8 {
    let mut io = Streams::default();
    let text = fs::read_to_string(directory().join("history.jsonl"));
    let code = match (text, words) {
        (Err(error), _) if error.kind() != io::ErrorKind::NotFound => {
            writeln!(io.err, "oxtables history: cannot read {}: {error}", directory().display());
            exit::OTHER
        }
        (text, []) => {
            for entry in read(&text.unwrap_or_default()) {
                writeln!(
                    io.out,
                    "{:>4}  {}  {:<11}  +{} -{}  {}  {}",
                    entry.id, entry.time, entry.outcome, entry.added, entry.deleted, entry.who, entry.command
                );
            }
            exit::OK
        }
        (text, [id]) => {
            let id = id.to_string_lossy();
            match read(&text.unwrap_or_default()).into_iter().find(|entry| entry.id.to_string() == id) {
                Some(entry) => {
                    writeln!(io.out, "{} by {} (uid {}): {}", entry.time, entry.who, entry.uid, entry.command);
                    writeln!(io.out, "{}", entry.outcome);
                    entry.changes.iter().for_each(|line| writeln!(io.out, "{line}"));
                    exit::OK
                }
                None => {
                    writeln!(io.err, "oxtables history: there is no {id}");
                    exit::OTHER
                }
            }
        }
        _ => {
            writeln!(io.err, "usage: oxtables history [ID]");
            2
        }
    };
    io.flush();
    code
}

/// `oxtables restore-from ID [--before] [apply's options]`: applies the rules that change ID put in place, or with `--before` those that it found.
pub fn restore_from(words: &[OsString]) -> u8 {
    let mut io = Streams::default();
    let mut rest: Vec<OsString> = words.to_vec();
    let before = rest.iter().position(|w| w == "--before").map(|at| rest.remove(at)).is_some();
    let id = rest.first().and_then(|w| w.to_str()).and_then(|w| w.parse::<u64>().ok());
    let Some(id) = id else {
        writeln!(io.err, "usage: oxtables restore-from ID [--before] [--within TIME] [--yes] [--force]");
        io.flush();
        return 2;
    };
    rest.remove(0);
    let kept = directory().join("history");
    let mut found = false;
    for (family, option) in [(Family::V4, "-4"), (Family::V6, "-6")] {
        let path = kept.join(name(id, if before { "before" } else { "after" }, family));
        if path.exists() {
            found = true;
            rest.extend([OsString::from(option), path.into_os_string()]);
        }
    }
    if !found {
        writeln!(
            io.err,
            "oxtables restore-from: the rules of {id} are not kept; `oxtables history` lists what is there"
        );
        io.flush();
        return exit::OTHER;
    }
    apply::run(&rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_entry_is_passed_over() {
        let entry = Entry {
            id: 7,
            time: "2026-11-21T05:00:00+00:00".into(),
            uid: 0,
            who: "root on pts/0".into(),
            command: "oxtables apply x".into(),
            outcome: "kept".into(),
            added: 1,
            deleted: 0,
            changes: vec!["+ -A INPUT".into()],
        };
        let line = serde_json::to_string(&entry).unwrap();
        assert_eq!(read(&format!("{line}\n{}\n\n{line}\n", &line[..20])), [entry.clone(), entry]);
    }
}

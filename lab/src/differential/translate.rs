//! `iptables-translate`: what both print for a rule, and whether `nft -c -f` reads what ours prints.
//!
//! Ours may say that a rule has no translation where stock prints one that `nft` refuses; where `nft` takes it for another rule,
//! `differences.toml` says so.

use std::io::{self, Write};
use std::process::{Command, Stdio};

use super::rules::File;
use super::{Worker, crashed};
use crate::compare::{Difference, What, outcomes};
use crate::generate::Rule;
use crate::oracle::{Call, Outcome};
use crate::random::Random;
use crate::side::Side;

/// Lines that `nft` has to read, each with the command that printed it.
#[derive(Debug, Default)]
pub struct Lines {
    lines: Vec<(Call, Vec<u8>)>,
}

impl Lines {
    /// Adds what a translation printed, if it is one.
    pub fn add(&mut self, call: &Call, outcome: &Outcome) {
        if let Some(text) = commands(&outcome.stdout).filter(|_| outcome.code == 0) {
            self.lines.push((call.clone(), text));
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Those that `nft -c -f` does not take in a namespace that has their tables and chains.
    ///
    /// # Errors
    /// When `nft` cannot be started.
    pub fn refused(&self, side: &Side) -> io::Result<Vec<Difference>> {
        let mut found = Vec::new();
        refused(side, &self.lines, &mut found)?;
        Ok(found)
    }
}

/// All at once; if that is refused, both halves.
fn refused(side: &Side, lines: &[(Call, Vec<u8>)], found: &mut Vec<Difference>) -> io::Result<()> {
    let text: Vec<u8> = lines.iter().flat_map(|(_, text)| text.clone()).collect();
    if text.is_empty() {
        return Ok(());
    }
    match (nft(side, &text)?, lines) {
        (None, _) => {}
        (Some(ours), [(call, text)]) => {
            let theirs = text.escape_ascii().to_string();
            found.push(Difference { what: What::Load, commands: vec![call.clone()], theirs, ours });
        }
        _ => {
            let (one, two) = lines.split_at(lines.len() / 2);
            refused(side, one, found)?;
            refused(side, two, found)?;
        }
    }
    Ok(())
}

/// What `nft -c -f` complains of, if it does.
fn nft(side: &Side, text: &[u8]) -> io::Result<Option<String>> {
    let _inside = side.netns.enter()?;
    let mut command = Command::new("nft");
    command.args(["-c", "-f", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    // It may end before it has read everything.
    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(text));
    let output = child.wait_with_output()?;
    let complaint = || String::from_utf8_lossy(&output.stderr).lines().take(3).collect::<Vec<_>>().join("\n");
    Ok((!output.status.success()).then(complaint))
}

/// The commands for `nft` in a translation: without the words that a shell reads. `None` if it says that there is none.
fn commands(stdout: &[u8]) -> Option<Vec<u8>> {
    let mut all = Vec::new();
    for line in stdout.split_inclusive(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\n")?;
        let line = line.strip_prefix(b"nft ").unwrap_or(line);
        if line.starts_with(b"#") || line.starts_with(b"nft ") {
            return None;
        }
        let line = line.strip_prefix(b"'").and_then(|l| l.strip_suffix(b"'")).unwrap_or(line);
        all.extend_from_slice(line);
        all.push(b'\n');
    }
    Some(all).filter(|all| !all.is_empty())
}

/// Compares two translations. Stock leaves the `!` out of a rule that it does not translate, and writes a protocol in small letters there.
///
/// # Errors
/// When `nft` cannot be started.
pub fn translations(call: &Call, theirs: &Outcome, ours: &Outcome, side: &Side) -> io::Result<Vec<Difference>> {
    let found = outcomes(std::slice::from_ref(call), theirs, ours);
    let none = |outcome: &Outcome| outcome.code == 0 && commands(&outcome.stdout).is_none();
    if found.is_empty() || crashed(theirs) || !none(ours) {
        return Ok(if crashed(theirs) { Vec::new() } else { found });
    }
    let bare = |text: &[u8]| -> Vec<Vec<u8>> {
        let words = text.split(|byte| *byte == b' ').filter(|word| !word.is_empty() && *word != b"!");
        words.map(<[u8]>::to_ascii_lowercase).collect()
    };
    let same = none(theirs) && bare(&theirs.stdout) == bare(&ours.stdout);
    let theirs_fails = match commands(&theirs.stdout) {
        Some(text) => nft(side, &text)?.is_some(),
        None => false,
    };
    Ok(if same || theirs_fails { Vec::new() } else { found })
}

impl Worker<'_> {
    /// Valid rules of one table, each translated by both; all that ours prints has to load.
    pub(super) fn translate(&mut self, random: &mut Random, v6: bool, table: usize) -> io::Result<()> {
        let mut file = File::new(random, v6, table);
        // The kernel then has the table and its chains, and the rules left are valid.
        // What ours refuses on purpose is another run's matter.
        if file.weed(&mut self.pair.ours)?.is_none() || file.weed(&mut self.pair.theirs)?.is_none() {
            return Ok(());
        }
        let mut lines = Lines::default();
        let rules: Vec<Rule> = file.accepted().cloned().collect();
        for rule in &rules {
            let mut call = rule.append();
            call.argv[0] = if v6 { b"ip6tables-translate".to_vec() } else { b"iptables-translate".to_vec() };
            let (theirs, ours) = self.pair.run(&call)?;
            self.findings.add(translations(&call, &theirs, &ours, &self.pair.theirs)?);
            lines.add(&call, &ours);
        }
        self.findings.add(lines.refused(&self.pair.theirs)?);
        self.count(rules.len(), lines.len());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_reads_is_not_for_nft() {
        let text = |stdout: &str| commands(stdout.as_bytes()).map(|t| String::from_utf8(t).unwrap());
        assert_eq!(text("nft 'add rule a'\n'add rule b'\n").as_deref(), Some("add rule a\nadd rule b\n"));
        assert_eq!(text("nft add chain ip a b\n").as_deref(), Some("add chain ip a b\n"));
        assert_eq!(text("nft nft # -A INPUT \n"), None);
        assert_eq!(text("nft "), None);
    }
}

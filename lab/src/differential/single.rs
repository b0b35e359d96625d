//! Work command by command: sequences on one table, broken commands, restore files, listings.

use std::io;

use super::{Kind, Worker, base, crashed, kernels};
use crate::compare::{Difference, What};
use crate::generate::{TABLES, commands, mutate};
use crate::oracle::Call;
use crate::random::Random;

impl Worker<'_> {
    /// A sequence of commands, compared after each; ends where the kernels part.
    pub(super) fn mutations(&mut self, random: &mut Random, v6: bool) -> io::Result<()> {
        let calls = commands::sequence(random, v6, Kind::Mutations.batch_size());
        for end in 1..=calls.len() {
            let (theirs, _, mut found) = self.both(&calls[..end])?;
            self.count(1, usize::from(theirs.code == 0));
            let (their_dump, our_dump) = self.dumps()?;
            let parted = kernels(&calls[..end], &their_dump, &our_dump);
            let stop = parted.is_some();
            found.extend(parted);
            for difference in &mut found {
                self.reduce(difference)?;
            }
            let reduced = !found.is_empty();
            self.findings.add(found);
            if stop {
                break;
            }
            if reduced {
                self.replay(&calls[..end])?;
            }
        }
        Ok(())
    }

    /// Leaves out the commands that are not needed to see the difference.
    fn reduce(&mut self, difference: &mut Difference) -> io::Result<()> {
        if self.reductions == 0 {
            return Ok(());
        }
        self.reductions -= 1;
        let mut index = difference.commands.len().saturating_sub(1);
        while index > 0 {
            index -= 1;
            let mut fewer = difference.commands.clone();
            fewer.remove(index);
            if let Some(again) = self.again(&fewer, difference.what)? {
                *difference = again;
            }
        }
        Ok(())
    }

    /// Whether these commands alone show a difference of this kind at their end.
    fn again(&mut self, calls: &[Call], what: What) -> io::Result<Option<Difference>> {
        let Some((_, before)) = calls.split_last() else { return Ok(None) };
        self.replay(before)?;
        let (their_dump, our_dump) = self.dumps()?;
        if kernels(calls, &their_dump, &our_dump).is_some() {
            return Ok(None);
        }
        let (_, _, mut found) = self.both(calls)?;
        let (their_dump, our_dump) = self.dumps()?;
        found.extend(kernels(calls, &their_dump, &our_dump));
        Ok(found.into_iter().find(|difference| difference.what == what))
    }

    fn replay(&mut self, calls: &[Call]) -> io::Result<()> {
        self.pair.flush()?;
        calls.iter().try_for_each(|call| self.pair.run(call).map(drop))
    }

    /// Broken commands on a standing ruleset: the same exit code, and nothing changed where it failed.
    pub(super) fn wrong(&mut self, random: &mut Random, v6: bool) -> io::Result<()> {
        let file = base(random, v6);
        self.prepare(v6, &file)?;
        let (before, _) = self.dumps()?;
        for _ in 0..Kind::Wrong.batch_size() {
            let call = mutate::wrong(random, v6);
            if call.argv.iter().any(|word| word.contains(&0)) {
                continue;
            }
            let (theirs, ours, found) = self.both(std::slice::from_ref(&call))?;
            self.findings.add(found);
            self.count(1, usize::from(theirs.code == 0));
            let (their_dump, our_dump) = self.dumps()?;
            if ours.code != 0 {
                self.unchanged(&call, &before, &our_dump);
            }
            if !crashed(&theirs) && (theirs.code == 0 || ours.code == 0) {
                self.findings.add(kernels(std::slice::from_ref(&call), &their_dump, &our_dump));
            }
            if their_dump != before || our_dump != before {
                self.prepare(v6, &file)?;
            }
        }
        Ok(())
    }

    /// Restore files, on an empty kernel or on a standing ruleset.
    pub(super) fn restores(&mut self, random: &mut Random, v6: bool) -> io::Result<()> {
        for _ in 0..Kind::Restore.batch_size() {
            let mut commands = Vec::new();
            if random.percent(50) {
                let file = base(random, v6);
                self.prepare(v6, &file)?;
                commands.push(Call::new([if v6 { "ip6tables-restore" } else { "iptables-restore" }]).reading(file));
            } else {
                self.pair.flush()?;
            }
            let (before, _) = self.dumps()?;
            commands.push(mutate::restore(random, v6));
            let (theirs, ours, found) = self.both(&commands)?;
            // Stock commits each table before it reads the next, so of errors in two tables it may meet another one first.
            if theirs.code == 0 || ours.code == 0 || tables(&commands) == 1 {
                self.findings.add(found);
            }
            self.count(1, usize::from(theirs.code == 0));
            let (their_dump, our_dump) = self.dumps()?;
            if ours.code != 0 {
                self.unchanged(&commands[commands.len() - 1], &before, &our_dump);
            } else if !crashed(&theirs) {
                self.findings.add(kernels(&commands, &their_dump, &our_dump));
            }
        }
        Ok(())
    }

    /// All forms of listing of random rulesets that stock loaded on both sides.
    pub(super) fn listings(&mut self, random: &mut Random, v6: bool) -> io::Result<()> {
        let file = base(random, v6);
        self.prepare(v6, &file)?;
        let restore = if v6 { "ip6tables-restore" } else { "iptables-restore" };
        for _ in 0..Kind::Listing.batch_size() {
            let table = random.below(TABLES.len());
            let commands = [Call::new([restore]).reading(file.clone()), commands::listing(random, v6, table)];
            let (theirs, _, found) = self.both(&commands)?;
            self.count(1, usize::from(theirs.code == 0));
            self.findings.add(found);
        }
        Ok(())
    }
}

/// How many tables the last command's file has; what stands behind the first COMMIT counts as another one.
fn tables(commands: &[Call]) -> usize {
    let input = commands.last().and_then(|call| call.input.as_deref()).unwrap_or_default();
    let mut lines = input.split(|byte| *byte == b'\n').skip_while(|line| *line != b"COMMIT").skip(1);
    1 + usize::from(lines.any(|line| !line.is_empty() && !line.starts_with(b"#")))
}

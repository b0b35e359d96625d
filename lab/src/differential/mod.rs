//! Runs generated work against both program sets and collects where they part.
//!
//! Work comes in batches; a batch follows from the run's seed and its own number alone, so one batch can be repeated.

pub mod extension;
mod rules;
mod single;
pub mod translate;

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::compare::{Difference, Findings, What, outcomes, parting};
use crate::dump::Dump;
use crate::generate::{TABLES, USER_CHAINS};
use crate::oracle::{Call, Outcome, Programs};
use crate::random::Random;
use crate::side::Pair;

/// What is generated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Valid rules in restore files and as single commands, dumped and listed by both.
    Rules,
    /// Sequences of commands on one table.
    Mutations,
    /// Broken commands.
    Wrong,
    /// Restore files, right and broken.
    Restore,
    /// Forms of listing.
    Listing,
    /// Lines of whole rulesets, as they are and with values broken.
    Corpus,
    /// Valid rules in the words of nft.
    Translate,
}

impl Kind {
    /// All kinds with their names on the command line.
    pub const ALL: [(&'static str, Self); 7] = [
        ("rules", Self::Rules),
        ("mutations", Self::Mutations),
        ("wrong", Self::Wrong),
        ("restore", Self::Restore),
        ("listing", Self::Listing),
        ("corpus", Self::Corpus),
        ("translate", Self::Translate),
    ];

    /// How many items (rules, commands, files) one batch holds.
    #[must_use]
    pub const fn batch_size(self) -> usize {
        match self {
            Self::Rules | Self::Translate => 150,
            Self::Mutations | Self::Listing => 50,
            Self::Corpus => 80,
            Self::Wrong => 100,
            Self::Restore => 25,
        }
    }
}

/// How much was really compared.
#[derive(Debug, Default)]
pub struct Tally {
    /// Items that both sides were given.
    pub items: AtomicUsize,
    /// Those of them that stock accepted.
    pub accepted: AtomicUsize,
}

/// One thread's part of a run.
#[derive(Debug)]
pub struct Worker<'r> {
    pair: Pair,
    findings: &'r Findings,
    tally: &'r Tally,
    /// How many failing sequences may still be cut down to what is needed (each costs seconds).
    reductions: usize,
}

impl<'r> Worker<'r> {
    /// A worker with two fresh namespaces.
    ///
    /// # Errors
    /// As [`Pair::of`].
    pub fn new(theirs: Programs, ours: Programs, findings: &'r Findings, tally: &'r Tally) -> io::Result<Self> {
        Ok(Self { pair: Pair::of(theirs, ours)?, findings, tally, reductions: 15 })
    }

    /// Does batch `number` of the run with this seed.
    ///
    /// # Errors
    /// When a program cannot be started or the kernel cannot be read.
    pub fn batch(&mut self, kind: Kind, seed: u64, number: usize) -> io::Result<()> {
        let mut random = Random::new(seed.wrapping_mul(0x1_0000_0001).wrapping_add(number as u64));
        let v6 = number % 2 == 1;
        self.pair.flush()?;
        match kind {
            Kind::Rules => self.rules(&mut random, v6, (number / 2) % TABLES.len()),
            Kind::Mutations => self.mutations(&mut random, v6),
            Kind::Wrong => self.wrong(&mut random, v6),
            Kind::Restore => self.restores(&mut random, v6),
            Kind::Listing => self.listings(&mut random, v6),
            Kind::Corpus => self.corpus(&mut random),
            Kind::Translate => self.translate(&mut random, v6, (number / 2) % TABLES.len()),
        }
    }

    fn count(&self, items: usize, accepted: usize) {
        self.tally.items.fetch_add(items, Ordering::Relaxed);
        self.tally.accepted.fetch_add(accepted, Ordering::Relaxed);
    }

    /// Runs the last of `commands` on both sides and compares what a caller sees of it.
    fn both(&self, commands: &[Call]) -> io::Result<(Outcome, Outcome, Vec<Difference>)> {
        let Some(call) = commands.last() else { return Err(io::Error::other("no command")) };
        let (theirs, ours) = self.pair.run(call)?;
        let found = if crashed(&theirs) { Vec::new() } else { outcomes(commands, &theirs, &ours) };
        Ok((theirs, ours, found))
    }

    /// Loads a file with stock into both kernels, so that both sides start from the same state.
    fn prepare(&mut self, v6: bool, file: &[u8]) -> io::Result<()> {
        self.pair.flush()?;
        let call = Call::new([if v6 { "ip6tables-restore" } else { "iptables-restore" }]).reading(file);
        for side in [&self.pair.theirs, &self.pair.ours] {
            let outcome = side.run_other(&self.pair.theirs.programs, &call)?;
            if outcome.code != 0 {
                return Err(io::Error::other(format!("stock refused the base: {outcome:?}")));
            }
        }
        Ok(())
    }

    fn dumps(&mut self) -> io::Result<(Dump, Dump)> {
        Ok((self.pair.theirs.dump()?, self.pair.ours.dump()?))
    }
}

/// Stock dies of a few broken values; there is nothing to copy then.
const fn crashed(outcome: &Outcome) -> bool {
    outcome.code >= 128
}

/// The difference between two kernels after some commands.
fn kernels(commands: &[Call], theirs: &Dump, ours: &Dump) -> Option<Difference> {
    let (theirs, ours) = parting(&theirs.lines(), &ours.lines())?;
    Some(Difference { what: What::Kernel, commands: commands.to_vec(), theirs, ours })
}

/// A restore file with the given table's user chains and some rules in every table, for broken commands to work on.
fn base(random: &mut Random, v6: bool) -> Vec<u8> {
    let mut file = String::new();
    for (name, builtin) in TABLES {
        file.push_str(&format!("*{name}\n"));
        for chain in builtin.iter().filter(|_| random.percent(70)).collect::<Vec<_>>() {
            file.push_str(&format!(":{chain} ACCEPT [{}:{}]\n", random.below(300), random.below(90000)));
        }
        for chain in USER_CHAINS {
            file.push_str(&format!(":{chain} - [0:0]\n"));
        }
        let icmp = if v6 { "ipv6-icmp" } else { "icmp" };
        file.push_str(&format!("[3:180] -A {} -p tcp -m tcp --dport 22 -j ACCEPT\n", builtin[0]));
        file.push_str(&format!(
            "[0:0] -A {} -p {icmp} -j one\n-A one -m comment --comment \"a b\" -j RETURN\n",
            builtin[0]
        ));
        file.push_str(
            "-A one -m conntrack --ctstate NEW -m mark --mark 0x1/0xff -g three.3\n-A three.3 -j LOG\nCOMMIT\n",
        );
    }
    file.into_bytes()
}

//! The checks over a whole command, when its words have been read, in stock's order.

use super::parser::{AnyExt, OPTION_LETTERS, Parser};
use super::{Command, CommandKind, too_long, word_before};
use crate::ext::{Action, Match, Target};
use crate::text::Error;
use crate::text::advice::Reading;
use crate::text::rule::networks;
use crate::types::CHAIN_NAME_MAX;

impl Parser<'_, '_> {
    /// The checks over the whole command, in stock's order.
    pub(super) fn finish(&mut self) -> Result<CommandKind, Error> {
        self.check_nat()?;
        if self.wait_interval && !self.wait {
            return Err(Error::usage("--wait-interval only makes sense with --wait\n"));
        }
        self.finish_extensions()?;
        if self.getopt.has_more() {
            return Err(Error::usage("unknown arguments found on commandline"));
        }
        let Some((letter, kind)) = self.kind.take() else { return Err(Error::usage("no command specified")) };
        if self.negate {
            let last = self.args.len().saturating_sub(1);
            return Err(Error::usage("nothing appropriate following !").at(last));
        }
        // Addresses are read even for a command that then turns out to take none.
        self.addresses()?;
        if letter == b'R' && self.rule.len() != 1 {
            return Err(Error::usage("Replacement rule does not specify a unique address"));
        }
        self.legal_options(letter, &kind)?;
        self.check_chain(&kind)?;
        Ok(match kind {
            CommandKind::List { chain, number, .. } => CommandKind::List { chain, number, zero: self.zero_too },
            CommandKind::ListRules { chain, number, .. } => {
                CommandKind::ListRules { chain, number, zero: self.zero_too }
            }
            other => other,
        })
    }

    /// The nat table must not drop, neither by a rule nor by a policy.
    fn check_nat(&self) -> Result<(), Error> {
        let policy = matches!(&self.kind, Some((_, CommandKind::Policy { policy, .. })) if policy == b"DROP");
        let action = &self.rule.body.action;
        let drops = matches!(action, Action::Drop) || action.chain() == Some(b"DROP");
        if (policy || drops) && self.table.as_deref().unwrap_or(self.cx.table) == b"nat" {
            let text = "\nThe \"nat\" table is not intended for filtering, the use of DROP is therefore inhibited.\n\n";
            return Err(Error::usage(text).advise("drop in the filter table, or in raw and mangle if it must be early"));
        }
        Ok(())
    }

    /// The matches in their order, then the target.
    fn finish_extensions(&mut self) -> Result<(), Error> {
        let cx = self.parse_cx();
        // The target comes last, wherever it stood.
        self.loaded.sort_by_key(|l| matches!(l.ext, AnyExt::Target(_)));
        for loaded in std::mem::take(&mut self.loaded) {
            match loaded.ext {
                AnyExt::Match(mut m) => {
                    self.warnings.extend(m.last_warning(loaded.seen).map(Into::into));
                    match m.finish(loaded.seen, &cx) {
                        Err(e) if m.spec().late => self.late = self.late.take().or_else(|| Some(e.into())),
                        finished => finished?,
                    }
                    self.rule.body.matches.push(m);
                }
                AnyExt::Target(mut t) => {
                    self.warnings.extend(t.last_warning(loaded.seen).map(Into::into));
                    t.finish(loaded.seen, &cx)?;
                    self.rule.body.action = Action::Target(t);
                }
            }
        }
        Ok(())
    }

    fn addresses(&mut self) -> Result<(), Error> {
        let (family, names) = (self.cx.family, self.cx.names);
        if let Some((text, word)) = self.source {
            self.rule.sources = networks(text, family, names).map_err(|e| e.at(word))?;
        }
        if let Some((text, word)) = self.destination {
            self.rule.destinations = networks(text, family, names).map_err(|e| e.at(word))?;
        }
        let many = self.rule.sources.len() > 1 || self.rule.destinations.len() > 1;
        if many && (self.rule.not_source || self.rule.not_destination) {
            return Err(Error::usage("! not allowed with multiple source or destination IP addresses"));
        }
        Ok(())
    }

    fn legal_options(&self, letter: u8, kind: &CommandKind) -> Result<(), Error> {
        let legal: &[u8] = match letter {
            b'A' | b'I' | b'R' => b"sdpjviocf",
            b'D' if matches!(kind, CommandKind::DeleteNumber { .. }) => b"v",
            b'D' | b'C' => b"sdpjviof",
            b'L' => b"nvx0",
            b'P' => b"vc",
            b'E' => b"v",
            _ => b"v",
        };
        for (at, option) in OPTION_LETTERS.iter().enumerate() {
            if self.given & (1 << at) != 0 && !legal.contains(option) {
                return Err(Error::usage(format!("Illegal option `-{}' with this command", char::from(*option))));
            }
        }
        Ok(())
    }

    /// The length of the chain's name, and interfaces that its hook does not have.
    fn check_chain(&self, kind: &CommandKind) -> Result<(), Error> {
        let chain = match kind {
            CommandKind::Append { chain }
            | CommandKind::Check { chain }
            | CommandKind::Delete { chain }
            | CommandKind::DeleteNumber { chain, .. }
            | CommandKind::Insert { chain, .. }
            | CommandKind::Replace { chain, .. }
            | CommandKind::RenameChain { chain, .. }
            | CommandKind::Policy { chain, .. } => chain,
            CommandKind::List { chain: Some(chain), .. }
            | CommandKind::ListRules { chain: Some(chain), .. }
            | CommandKind::Flush { chain: Some(chain) }
            | CommandKind::DeleteChain { chain: Some(chain) }
            | CommandKind::Zero { chain: Some(chain), .. } => chain,
            _ => return Ok(()),
        };
        if chain.len() > CHAIN_NAME_MAX {
            return Err(too_long(chain));
        }
        let base = &self.rule.body.base;
        if matches!(chain.as_slice(), b"OUTPUT" | b"POSTROUTING") && base.iif.is_some() {
            let text = [b"Can't use -i with ", chain.as_slice(), b"\n"].concat();
            return Err(Error::usage(text).advise(
                "a packet on its way out has no input interface yet to ask for; use -o, or the INPUT or FORWARD chain",
            ));
        }
        if matches!(chain.as_slice(), b"INPUT" | b"PREROUTING") && base.oif.is_some() {
            let text = [b"Can't use -o with ", chain.as_slice(), b"\n"].concat();
            return Err(Error::usage(text)
                .advise("a packet on its way in has no output interface yet; use -i, or the FORWARD or OUTPUT chain"));
        }
        Ok(())
    }

    pub(super) fn command(self, kind: CommandKind) -> Command {
        let has =
            |letter: u8| OPTION_LETTERS.iter().position(|l| *l == letter).is_some_and(|at| self.given & (1 << at) != 0);
        Command {
            kind,
            verbose: self.verbose,
            numeric: has(b'n'),
            exact: has(b'x'),
            line_numbers: has(b'0'),
            late: self.late,
            table: self.table,
            rule: self.rule,
        }
    }

    /// The same error with what a person may want to know.
    pub(super) fn advise(&self, error: Error) -> Error {
        let reading = Reading {
            args: self.args,
            before: word_before(self.cx),
            specs: &self.specs,
            protocol: self.rule.body.base.protocol.map(|(p, _)| p),
            family: self.cx.family,
        };
        let family = self.cx.family;
        let loaded = self.specs.iter().filter_map(|spec| {
            let name = spec.name.as_bytes();
            let revision = Match::new(name, family).map(|m| (m.revision(family), false));
            let (revision, target) =
                revision.or_else(|| Target::new(name, family).map(|t| (t.revision(family), true)))?;
            Some((spec.wire, revision, target))
        });
        Error { loaded: loaded.collect(), ..reading.advise(error) }
    }
}

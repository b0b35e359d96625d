//! The body of a rule: its generic part, its matches in the order as written, and what it does.

use super::{Base, Match, NativeCx, PrintCx, Target};
use crate::types::{Family, Out};
use crate::wire::{ExprWriter, Verdict};

/// What a rule does with a packet that meets its conditions.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Action {
    /// No `-j`: it only counts.
    #[default]
    None,
    /// `-j ACCEPT`.
    Accept,
    /// `-j DROP`.
    Drop,
    /// `-j RETURN`.
    Return,
    /// `-j CHAIN`.
    Jump(Box<[u8]>),
    /// `-g CHAIN`.
    Goto(Box<[u8]>),
    /// `-j TARGET`.
    Target(Target),
}

/// Everything of a rule but its place and its counters. Two bodies are equal as `-C` and `-D` see it (fact sheet 2.9): the matches in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Body {
    /// `-s -d -i -o -p -f`.
    pub base: Base,
    /// The matches, in the order as written.
    pub matches: Vec<Match>,
    /// `-j` or `-g`.
    pub action: Action,
}

/// In which expressions a rule is written (design: ARCHITECTURE.md, "Two encodings").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encoding {
    /// Those that stock 1.8.9 writes.
    #[default]
    Stock,
    /// Native ones in place of every xt match and target that says [`super::Extension::native`]; comments are left out, because they belong
    /// into the rule's userdata.
    Native,
}

impl Body {
    /// Writes the expressions of the rule in this encoding; the counter starts at these values. The sets that a native rule looks into are
    /// with the writer afterwards ([`ExprWriter::take_sets`]).
    pub fn encode_as(&self, encoding: Encoding, family: Family, packets: u64, bytes: u64, x: &mut ExprWriter<'_>) {
        if encoding == Encoding::Stock {
            return self.encode(family, packets, bytes, x);
        }
        let cx = NativeCx { family, protocol: self.base.protocol };
        self.base.encode(family, x);
        for m in self.matches.iter().filter(|m| !matches!(m, Match::Comment(_))) {
            x.either(|x| m.encode(family, x), |x| m.native(&cx, x));
        }
        x.counter(packets, bytes);
        match &self.action {
            Action::Target(target) => x.either(|x| target.encode(family, x), |x| target.native(&cx, x)),
            other => other.encode(family, x),
        }
    }

    /// Writes the expressions of the rule as stock 1.8.9 does; the counter starts at these values.
    pub fn encode(&self, family: Family, packets: u64, bytes: u64, x: &mut ExprWriter<'_>) {
        self.base.encode(family, x);
        for m in &self.matches {
            m.encode(family, x);
        }
        x.counter(packets, bytes);
        self.action.encode(family, x);
    }

    /// Prints the rule as it stands behind `-A CHAIN`, each word with a blank in front; `counters` are printed as `-c` before the action.
    pub fn save(&self, out: &mut Out, cx: &PrintCx<'_>, counters: Option<crate::types::Counters>) {
        let protocol = self.base.protocol.filter(|(_, not)| !not).map(|(p, _)| p);
        let cx = &PrintCx { protocol, ..*cx };
        self.base.save(out, cx);
        for m in &self.matches {
            out.str(" -m ");
            out.str(m.spec().name);
            m.save(out, cx);
        }
        if let Some(c) = counters {
            write!(out, " -c {} {}", c.packets, c.bytes);
        }
        match &self.action {
            Action::None => {}
            Action::Goto(chain) => {
                out.str(" -g");
                out.word(chain);
            }
            Action::Target(target) => {
                out.str(" -j ");
                out.str(target.spec().name);
                target.save(out, cx);
            }
            named => {
                out.str(" -j");
                out.word(named.name());
            }
        }
    }
}

impl Action {
    fn encode(&self, family: Family, x: &mut ExprWriter<'_>) {
        match self {
            Self::None => {}
            Self::Accept => x.verdict(Verdict::Accept),
            Self::Drop => x.verdict(Verdict::Drop),
            Self::Return => x.verdict(Verdict::Return),
            Self::Jump(chain) => x.verdict(Verdict::Jump(chain)),
            Self::Goto(chain) => x.verdict(Verdict::Goto(chain)),
            Self::Target(target) => target.encode(family, x),
        }
    }

    /// The word behind `-j` or `-g`; empty if there is none.
    pub fn name(&self) -> &[u8] {
        match self {
            Self::None => b"",
            Self::Accept => b"ACCEPT",
            Self::Drop => b"DROP",
            Self::Return => b"RETURN",
            Self::Jump(chain) | Self::Goto(chain) => chain,
            Self::Target(target) => target.spec().name.as_bytes(),
        }
    }

    /// The word in the target column of `-L`: for a target, its name in the kernel (`-j NOTRACK` is listed as `CT`).
    pub fn column(&self) -> &[u8] {
        match self {
            // Only `-v` with a command shows it, which then fails.
            Self::Target(Target::Queue(_)) => b"standard",
            Self::Target(target) => target.spec().wire.as_bytes(),
            named => named.name(),
        }
    }

    /// The chain that it leads to.
    pub fn chain(&self) -> Option<&[u8]> {
        match self {
            Self::Jump(chain) | Self::Goto(chain) => Some(chain),
            _ => None,
        }
    }

    /// A verdict by its name.
    pub fn verdict(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"ACCEPT" => Self::Accept,
            b"DROP" => Self::Drop,
            b"RETURN" => Self::Return,
            _ => return None,
        })
    }
}

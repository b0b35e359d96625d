//! Where the kernel takes an extension at all: tables, hooks and protocols, as data.
//!
//! An xt extension tells the kernel in which tables and at which hooks it works and for which protocol; a rule elsewhere is refused with
//! `EINVAL`, and a rule in a user chain as soon as a built-in chain leads there. Each [`Limit`] is one such demand, of the extension as a
//! whole or of some of its options. Nothing here asks the kernel. Sources: fact sheet 3.2, 3.3 "kernel restriction"; measured in
//! every table and chain (`tests/limits.rs` does that again).

use super::{Match, PrintCx, Spec, Target};
use crate::types::{Family, Hook, NoNames, Out, builtin_protocol_name};

/// One demand of the kernel. An empty list means that anything goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The words of the save form with which it holds, e.g. `--dir in`; empty if it holds always.
    pub with: &'static str,
    /// The word of the save form with which it does not hold; empty if there is none.
    pub unless: &'static str,
    /// The families in which it holds; empty for both.
    pub families: &'static [Family],
    /// The tables in which it works.
    pub tables: &'static [&'static str],
    /// The hooks at which it works.
    pub hooks: &'static [Hook],
    /// The protocols of `-p`, not inverted, with which it works.
    pub protocols: &'static [u8],
    /// It works nowhere.
    pub never: bool,
}

/// The hooks of packets that come in by an interface.
pub const INCOMING: &[Hook] = &[Hook::Prerouting, Hook::Input, Hook::Forward];
/// The hooks of packets that go out by an interface.
pub const OUTGOING: &[Hook] = &[Hook::Forward, Hook::Output, Hook::Postrouting];

impl Limit {
    /// No demand at all, to be narrowed.
    pub const NONE: Self =
        Self { with: "", unless: "", families: &[], tables: &[], hooks: &[], protocols: &[], never: false };

    /// It works in these tables only.
    pub const fn tables(tables: &'static [&'static str]) -> Self {
        Self { tables, ..Self::NONE }
    }

    /// It works at these hooks only.
    pub const fn hooks(hooks: &'static [Hook]) -> Self {
        Self { hooks, ..Self::NONE }
    }

    /// It works with these protocols only.
    pub const fn protocols(protocols: &'static [u8]) -> Self {
        Self { protocols, ..Self::NONE }
    }

    /// The kernel never takes these words.
    pub const fn never(with: &'static str) -> Self {
        Self { with, never: true, ..Self::NONE }
    }

    /// The same at these hooks only.
    #[must_use]
    pub const fn at(self, hooks: &'static [Hook]) -> Self {
        Self { hooks, ..self }
    }

    /// The same for these words only.
    #[must_use]
    pub const fn with(self, with: &'static str) -> Self {
        Self { with, ..self }
    }

    /// The same, but not beside this word.
    #[must_use]
    pub const fn unless(self, unless: &'static str) -> Self {
        Self { unless, ..self }
    }

    /// The same in these families only.
    #[must_use]
    pub const fn only(self, families: &'static [Family]) -> Self {
        Self { families, ..self }
    }

    /// Whether it is about a rule with these words, in the save form, in this family.
    fn holds(&self, family: Family, saved: &str) -> bool {
        let has = |words: &str| {
            let mut all = saved.split([' ', ',']).skip_while(|w| Some(*w) != words.split(' ').next());
            words.split(' ').all(|wanted| all.next() == Some(wanted))
        };
        (self.families.is_empty() || self.families.contains(&family))
            && (self.with.is_empty() || has(self.with))
            && (self.unless.is_empty() || !has(self.unless))
    }

    /// The first part of the demand that a place does not meet.
    fn broken(&self, place: &Place<'_>) -> Option<Part> {
        let no_table = !self.tables.is_empty() && !self.tables.iter().any(|t| t.as_bytes() == place.table);
        let no_hook = !self.hooks.is_empty() && place.hooks.iter().any(|h| !self.hooks.contains(h));
        let protocol = place.protocol.filter(|(_, not)| !not).map(|(p, _)| p);
        let no_protocol = !self.protocols.is_empty() && !protocol.is_some_and(|p| self.protocols.contains(&p));
        if self.never {
            Some(Part::Never)
        } else if no_table {
            Some(Part::Table)
        } else if no_hook {
            Some(Part::Hook)
        } else {
            no_protocol.then_some(Part::Protocol)
        }
    }
}

/// Where a rule stands.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Its table.
    pub table: &'a [u8],
    /// The hooks from which packets come to it: the one of a built-in chain, those that lead to a user chain.
    pub hooks: &'a [Hook],
    /// Its `-p`: the number, and whether `!` stands before it.
    pub protocol: Option<(u8, bool)>,
}

/// What of a place is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// No place is right.
    Never,
    /// The table.
    Table,
    /// A hook.
    Hook,
    /// The protocol.
    Protocol,
}

/// A demand that a rule does not meet.
#[derive(Clone, Copy, Debug)]
pub struct Broken {
    /// The extension.
    pub spec: &'static Spec,
    /// Whether it is a target.
    pub target: bool,
    /// The demand.
    pub limit: Limit,
    /// What of the place is wrong.
    pub part: Part,
}

/// The first demand of a match that a place does not meet.
pub fn of_match(m: &Match, family: Family, place: &Place<'_>) -> Option<Broken> {
    let mut out = Out::new();
    m.save(&mut out, &print_cx(family));
    first_broken(m.spec(), false, &String::from_utf8_lossy(out.as_bytes()), family, place)
}

/// The same of a target.
pub fn of_target(t: &Target, family: Family, place: &Place<'_>) -> Option<Broken> {
    let mut out = Out::new();
    t.save(&mut out, &print_cx(family));
    first_broken(t.spec(), true, &String::from_utf8_lossy(out.as_bytes()), family, place)
}

fn print_cx(family: Family) -> PrintCx<'static> {
    PrintCx { family, numeric: true, names: &NoNames, protocol: None }
}

fn first_broken(spec: &'static Spec, target: bool, saved: &str, family: Family, place: &Place<'_>) -> Option<Broken> {
    let held = spec.limits.iter().filter(|limit| limit.holds(family, saved));
    held.filter_map(|limit| Some(Broken { spec, target, limit: *limit, part: limit.broken(place)? })).next()
}

impl Broken {
    /// The demand as a sentence: `DNAT works only in the nat table's PREROUTING and OUTPUT chains`.
    pub fn sentence(&self) -> String {
        let Limit { with, unless, tables, hooks, protocols, .. } = self.limit;
        let name = match (self.target, with) {
            (true, "") => self.spec.name.to_owned(),
            (true, with) => format!("{} {with}", self.spec.name),
            (false, "") => format!("-m {}", self.spec.name),
            (false, with) => format!("-m {} {with}", self.spec.name),
        };
        if self.part == Part::Never {
            return format!(
                "the kernel does not take {name}{}",
                if self.limit.families.is_empty() { "" } else { " in this family" }
            );
        }
        let beside = if unless.is_empty() { String::new() } else { format!(" without {unless}") };
        let chains: Vec<&str> = hooks.iter().map(|h| h.chain()).collect();
        let place = match (tables, chains.as_slice()) {
            ([], []) => String::new(),
            ([], [one]) => format!("in {one} chains"),
            ([], chains) => format!("in {} chains", list(chains, "and")),
            ([table], []) => format!("in the {table} table"),
            ([table], [one]) => format!("in the {table} table's {one} chain"),
            ([table], chains) => format!("in the {table} table's {} chains", list(chains, "and")),
            (tables, []) => format!("in the {} tables", list(tables, "and")),
            (tables, chains) => format!("in {} of the {} tables", list(chains, "and"), list(tables, "and")),
        };
        let names: Vec<String> = protocols.iter().map(|p| protocol_name(*p)).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        match (place.is_empty(), names.is_empty()) {
            (false, true) => format!("{name}{beside} works only {place}"),
            (true, _) => format!("{name}{beside} works only with -p {}", list(&names, "or")),
            (false, false) => format!("{name}{beside} works only {place}, with -p {}", list(&names, "or")),
        }
    }
}

/// The name of a protocol as it is written behind `-p`.
fn protocol_name(number: u8) -> String {
    match number {
        33 => "dccp".into(),
        108 => "ipcomp".into(),
        _ => builtin_protocol_name(number).map_or_else(|| number.to_string(), str::to_owned),
    }
}

/// `a`, `a and b`, `a, b and c`.
pub fn list(words: &[&str], and: &str) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} {and} {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::builtin_protocol;

    /// The place of [`Spec::sample`].
    fn sample_place(spec: &Spec) -> (&[u8], Vec<Hook>, Option<(u8, bool)>) {
        let words: Vec<&str> = spec.sample.split(' ').collect();
        let at = words.iter().find_map(|w| w.strip_prefix('@')?.split_once('/'));
        let (table, chain) = at.unwrap_or(("filter", "FORWARD"));
        let number = |name: &str| builtin_protocol(name.as_bytes()).or_else(|| name.parse().ok());
        let protocol = words.windows(2).find(|w| w[0] == "-p").and_then(|w| number(w[1]));
        let hooks = Hook::from_chain(chain.as_bytes()).into_iter().collect();
        (table.as_bytes(), hooks, protocol.map(|p| (p, false)))
    }

    #[test]
    fn every_sample_is_inside_its_limits() {
        for spec in Match::ALL.iter().chain(Target::ALL) {
            let (table, hooks, protocol) = sample_place(spec);
            let place = Place { table, hooks: &hooks, protocol };
            for limit in spec.limits.iter().filter(|l| !l.never) {
                assert_eq!(limit.broken(&place), None, "{}: {limit:?}", spec.name);
            }
        }
    }
}

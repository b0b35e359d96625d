//! What the demo prints: the map of its world, a line for each case, a summary, and the listing with counters.
//!
//! Colour only on a terminal that is not dumb and where `NO_COLOR` is not set (no-color.org). Broken pipes are no errors.

use std::env;
use std::io::{self, IsTerminal, Write};
use std::net::IpAddr;
use std::time::Duration;

use super::super::sandbox::Failure;
use super::super::{Form, Request, show};
use super::cases::{Case, Outcome, What};
use super::{CASES, Judged};
use crate::kernel::Session;
use crate::text::list::Style;
use crate::types::{Family, NoNames};

/// A line wider than this puts its rule on a line of its own. Unlimited where the output is no terminal.
const NO_WIDTH: usize = usize::MAX;

/// The hosts; [`super::hosts::Who::address`] has the addresses.
const MAP: &str = "  \
  laptop ────── eth1 server eth0 ────── internet ───┬─── client
  10.3.0.20          198.51.100.1    198.51.100.254 │    203.0.113.10
                                                    └─── stranger
                                                         203.0.113.66
";

pub(super) struct Report {
    colour: bool,
    width: usize,
    /// What went wrong, for the summary.
    faults: Vec<String>,
    family: Family,
}

/// The looks of a word (SGR parameters, ECMA-48 §8.3.117).
#[derive(Clone, Copy)]
enum Look {
    Bold,
    Dim,
    Good,
    Bad,
    Warn,
}

impl Look {
    fn sgr(self) -> &'static str {
        match self {
            Self::Bold => "1",
            Self::Dim => "2",
            Self::Good => "32",
            Self::Bad => "31",
            Self::Warn => "33",
        }
    }

    fn of(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Through => Self::Good,
            Outcome::Rejected => Self::Warn,
            Outcome::Dropped => Self::Bad,
        }
    }
}

impl Report {
    pub(super) fn new() -> Self {
        let terminal = io::stdout().is_terminal();
        let plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || env::var_os("TERM").is_some_and(|term| term == "dumb");
        let width = if terminal {
            rustix::termios::tcgetwinsize(io::stdout()).map_or(80, |size| usize::from(size.ws_col).max(40))
        } else {
            NO_WIDTH
        };
        Self { colour: terminal && !plain, width, faults: Vec::new(), family: Family::V4 }
    }

    /// The map of the world.
    pub(super) fn intro(&self) {
        let title = self.look(Look::Bold, "A firewall in the real kernel, with real packets, in a network of its own");
        let note =
            self.look(Look::Dim, "The rules are the server's. Nothing outside these five namespaces is touched.");
        print(&format!("{title}\n\n{MAP}\n{note}\n"));
    }

    /// The head of a family's table.
    pub(super) fn family(&mut self, family: Family) {
        self.family = family;
        let head = format!(
            "{:>4}  {:<28} {:<20}   {:<13} {:<13}",
            family.to_string(),
            "packet",
            "from → to",
            "kernel",
            "simulator"
        );
        let head = if self.width == NO_WIDTH { format!("{head} decided by") } else { head };
        print(&format!("\n{}\n", self.look(Look::Bold, head.trim_end())));
    }

    /// A case; returns whether all is as it has to be.
    pub(super) fn case(&mut self, number: u16, judged: &Judged) -> bool {
        let Judged { case, seen, kernel, predicted } = judged;
        let faults = faults(judged, self.family);
        let mark = if faults.is_empty() { self.look(Look::Good, "✓") } else { self.look(Look::Bad, "✗") };
        let said = |outcome: Option<Outcome>| match outcome {
            Some(outcome) => self.look(Look::of(outcome), &format!("{:<13}", outcome.word())),
            None => format!("{:<13}", "cannot tell"),
        };
        let mut line = format!(
            "{number:>4} {mark} {:<27} {:<22} {} {}",
            case.title,
            route(case),
            said(Some(seen.outcome)),
            said(predicted.outcome)
        );
        let mut rule = kernel.decider.text.clone();
        if kernel.logged {
            rule.push_str("  (logged)");
        }
        if let Some(source) = seen.source {
            rule = format!("{rule}  (arrived as from {source})");
        }
        if self.width == NO_WIDTH {
            line = format!("{line} {rule}");
        } else {
            line = format!("{line}\n       {}", self.look(Look::Dim, &rule));
        }
        print(&format!("{line}\n"));
        let fine = faults.is_empty();
        self.faults
            .extend(faults.into_iter().map(|fault| format!("{} {number}, {}: {fault}", self.family, case.title)));
        fine
    }

    /// How it went.
    pub(super) fn summary(&self, wrong: usize, took: Duration, no_ipv6: bool) {
        let sent = CASES.len() * if no_ipv6 { 1 } else { 2 };
        let seconds = took.as_secs_f32();
        if wrong == 0 {
            let text =
                format!("{sent} packets and conversations in {seconds:.1} s: the kernel did what the rules say.");
            print(&format!("\n{}\n", self.look(Look::Good, &text)));
        } else {
            let text =
                format!("{wrong} of {sent} packets and conversations did not go as they should ({seconds:.1} s):");
            print(&format!("\n{}\n", self.look(Look::Bad, &text)));
            for fault in &self.faults {
                print(&format!("  {fault}\n"));
            }
        }
        if no_ipv6 {
            let text =
                "This kernel has no IPv6 (CONFIG_IPV6), or it is switched off (ipv6.disable=1): its half was left out.";
            print(&format!("{}\n", self.look(Look::Warn, text)));
        }
    }

    /// The rules with their counters, as `iptables -L -n -v` lists them.
    pub(super) fn listing(&self, session: &mut Session, family: Family) -> Result<(), Failure> {
        let (name, tables): (_, &[&str]) = match family {
            Family::V4 => ("iptables", &["filter", "nat"]),
            Family::V6 => ("ip6tables", &["filter"]),
        };
        for table in tables {
            let request = Request { family, table: table.as_bytes(), chain: None, number: None, names: &NoNames };
            let style =
                Style { family, names: &NoNames, numeric: true, verbose: true, exact: false, line_numbers: false };
            let (_, text) =
                show(session, &request, Form::List(style)).map_err(|failure| Failure::not_listed(name, &failure))?;
            print(&format!("\n{}\n", self.look(Look::Bold, &format!("# {name} -t {table} -L -n -v"))));
            text.iter().for_each(|piece| print(&String::from_utf8_lossy(piece.as_bytes())));
        }
        Ok(())
    }

    fn look(&self, look: Look, text: &str) -> String {
        if self.colour { format!("\x1b[{}m{text}\x1b[0m", look.sgr()) } else { text.to_owned() }
    }
}

/// What is not as it has to be.
fn faults(judged: &Judged, family: Family) -> Vec<String> {
    let Judged { case, seen, kernel, predicted } = judged;
    let mut faults = Vec::new();
    if seen.outcome != case.expect {
        faults.push(format!("it {}, and should have {}", did(seen.outcome), done(case.expect)));
    }
    let from = |source: Option<IpAddr>| source.map_or("its own address".to_owned(), |source| source.to_string());
    let source = case.source(family);
    if seen.outcome == Outcome::Through && seen.source != source {
        faults.push(format!("it arrived as from {}, and should have as from {}", from(seen.source), from(source)));
    }
    let log = |logged: bool| if logged { "logged" } else { "not logged" };
    if kernel.logged != case.logged {
        faults.push(format!("it was {}, and should have been {}", log(kernel.logged), log(case.logged)));
    }
    if predicted.outcome != Some(seen.outcome) {
        let said = predicted.outcome.map_or("could not tell", Outcome::word);
        faults.push(format!("the kernel says \"{}\", the simulator \"{said}\"", seen.outcome.word()));
        return faults;
    }
    if predicted.decider.as_ref().is_some_and(|decider| *decider != kernel.decider) {
        let said = predicted.decider.as_ref().map_or("", |decider| &decider.text);
        faults.push(format!("the kernel's counters name `{}`, the simulator `{said}`", kernel.decider.text));
    }
    if seen.source != predicted.source {
        let (seen, said) = (from(seen.source), from(predicted.source));
        faults.push(format!("it arrived as from {seen}, the simulator says as from {said}"));
    }
    if kernel.logged != predicted.logged {
        faults.push(format!("it was {}, the simulator says {}", log(kernel.logged), log(predicted.logged)));
    }
    faults
}

fn did(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Through => "came through",
        Outcome::Rejected => "was refused",
        Outcome::Dropped => "was dropped",
    }
}

fn done(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Through => "come through",
        Outcome::Rejected => "been refused",
        Outcome::Dropped => "been dropped",
    }
}

/// `client → server:22`.
fn route(case: &Case) -> String {
    let port = match (case.port(), case.what) {
        (Some(port), What::Udp(_)) => format!(":{port}/udp"),
        (Some(port), _) => format!(":{port}"),
        (None, _) => String::new(),
    };
    format!("{} → {}{port}", case.from.name(), case.to.name())
}

/// A closed pipe is no error: who reads it has seen enough.
fn print(text: &str) {
    let _ = io::stdout().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::super::hosts::Who;
    use super::*;

    #[test]
    fn the_map_has_every_host_and_its_address() {
        for who in Who::ALL {
            assert!(MAP.contains(who.name()), "{}", who.name());
            assert!(MAP.contains(&who.address(Family::V4).to_string()), "{}", who.name());
        }
    }
}

//! `oxtables demo`: a firewall loaded into the real kernel, real packets sent at it, and what became of them.
//!
//! Everything happens in network namespaces made for it ([`hosts`]); the host's own network is not touched. Each case is
//! judged three ways, which must agree: what was seen on the wire ([`observe`]) with the rule that the kernel's counters name,
//! what the simulator says of the same packet over the same rules as read back from the kernel ([`predict`]), and what was
//! written down beforehand ([`cases`]). Exit code 0 if all agree, 1 if not, 3 if the kernel lacks something.

mod cases;
mod hosts;
mod observe;
mod predict;
mod report;

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Instant;

use clap::Parser;

use self::cases::{CASES, Case};
use self::hosts::{Hosts, Who};
use self::observe::{Seen, Services};
use self::predict::{Counted, Predictor};
use super::exit;
use super::sandbox::{self, Failure};
use crate::ext::needs::Needs;
use crate::kernel::{self, Session, netns};
use crate::types::Family;

const RULES: &[u8] = include_bytes!("demo.rules");
const RULES6: &[u8] = include_bytes!("demo6.rules");

/// For the hosts around the server: they send single packets by hand, of which their kernels know nothing and would reset the
/// answers, which the server's rules would then count as well.
const NO_RESETS: &[u8] = b"*filter\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -p tcp --tcp-flags RST RST -j DROP\nCOMMIT\n";

/// See a firewall at work: real kernel, real packets, in a network of its own.
///
/// Builds five hosts as network namespaces, loads a typical firewall on one of them, sends it ssh, http, mysql, pings and more,
/// and shows what came through, which rule decided, and whether the simulator says the same. Nothing outside is touched.
#[derive(Debug, Parser)]
#[command(name = "oxtables demo")]
struct Args {
    /// Rules to use instead of the built-in ones for IPv4 (iptables-save format).
    #[arg(long, value_name = "FILE")]
    rules: Option<PathBuf>,
    /// Rules to use instead of the built-in ones for IPv6.
    #[arg(long, value_name = "FILE")]
    rules6: Option<PathBuf>,
    /// Print the built-in rules for IPv4 and do nothing else: something to start from with --rules.
    #[arg(long)]
    print_rules: bool,
}

/// One case with all that was found out about it.
struct Judged {
    case: &'static Case,
    seen: Seen,
    /// What happened in the kernel, by its counters.
    kernel: Counted,
    predicted: predict::Prediction,
}

/// Runs the verb with the words behind `oxtables demo` and returns the exit code.
pub fn run(words: &[OsString]) -> u8 {
    let name = OsString::from("oxtables demo");
    let args = match Args::try_parse_from(std::iter::once(&name).chain(words)) {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(exit::USAGE);
        }
    };
    if args.print_rules {
        return if io::stdout().write_all(RULES).is_ok() { 0 } else { exit::OTHER };
    }
    demo(&args).unwrap_or_else(|failure| {
        let _ = writeln!(io::stderr(), "oxtables demo: {}", failure.text);
        failure.code
    })
}

fn demo(args: &Args) -> Result<u8, Failure> {
    let begun = Instant::now();
    let read = |path: &Option<PathBuf>, own: &[u8]| match path {
        None => Ok(own.to_vec()),
        Some(path) => fs::read(path).map_err(|error| Failure::other(format!("cannot read {}", path.display()), &error)),
    };
    let rules = [(Family::V4, read(&args.rules, RULES)?), (Family::V6, read(&args.rules6, RULES6)?)];
    netns::enter()?;
    let hosts = Hosts::new()?;
    observe::warm_up(&hosts)?;
    let services = Services::open(&hosts)?;
    for (family, text) in &rules {
        if hosts.families().contains(family) {
            load(&hosts, *family, text)?;
        }
    }
    let mut report = report::Report::new();
    report.intro();
    let mut wrong = 0;
    let mut session = Session::open()?;
    for family in hosts.families() {
        report.family(*family);
        let mut predictor = Predictor::new();
        for (number, case) in (1..).zip(CASES) {
            let judged = judge(&hosts, &services, &mut session, &mut predictor, *family, case, number)?;
            wrong += usize::from(!report.case(number, &judged));
        }
    }
    let missing = hosts.families().len() < 2;
    report.summary(wrong, begun.elapsed(), missing);
    for family in hosts.families() {
        report.listing(&mut session, *family)?;
    }
    Ok(match (wrong, missing) {
        (0, false) => 0,
        (0, true) => exit::VERSION,
        _ => exit::OTHER,
    })
}

/// Sends one case, and asks counters and simulator about it.
fn judge(
    hosts: &Hosts,
    services: &Services,
    session: &mut Session,
    predictor: &mut Predictor,
    family: Family,
    case: &'static Case,
    number: u16,
) -> Result<Judged, Failure> {
    let before = kernel::ruleset(session, family)?;
    let predicted = predictor.predict(&before, case, family, number)?;
    let seen = observe::observe(hosts, services, case, family, number)?;
    let after = kernel::ruleset(session, family)?;
    let kernel = predict::counted(&before, &after, case, predicted.decider.as_ref());
    Ok(Judged { case, seen, kernel, predicted })
}

/// Loads the rules under test on the server, and on the others what keeps their kernels quiet.
fn load(hosts: &Hosts, family: Family, text: &[u8]) -> Result<(), Failure> {
    for who in Who::ALL {
        let (name, text) = match who {
            Who::Server => (format!("the {family} firewall"), text),
            _ => (format!("the {family} rule of host {}", who.name()), NO_RESETS),
        };
        hosts.get(who).run(|| sandbox::restore(family, text))?.map_err(|failure| match &failure {
            super::Failure::Refused { missing, .. } if !missing.is_empty() => Failure {
                text: format!(
                    "{name} was not loaded: {}",
                    missing.iter().map(|ext| Needs::advice(ext)).collect::<Vec<_>>().join("; ")
                ),
                code: exit::VERSION,
            },
            super::Failure::Kernel(kernel::Error::NoNfTables) => {
                Failure { code: exit::VERSION, ..Failure::not_loaded(&name, &failure) }
            }
            _ => Failure::not_loaded(&name, &failure),
        })?;
    }
    Ok(())
}

impl From<kernel::Error> for Failure {
    fn from(error: kernel::Error) -> Self {
        let code = if matches!(error, kernel::Error::NoNfTables) { exit::VERSION } else { exit::RESOURCE };
        Self { text: error.to_string(), code }
    }
}

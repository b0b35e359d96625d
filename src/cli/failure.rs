//! Failures of the drop-in programs: which text, with which prefix, and which exit code.
//!
//! The first line on standard error is stock's, because programs parse it. A second part for people follows only on a terminal.

use super::exit;
use crate::ext::needs::Needs;
use crate::kernel::{self, CommitError, Refusal, errno_text};
use crate::text;
use crate::types::Out;

/// Why a command was not carried out; the ruleset is as it was.
#[derive(Clone, Debug)]
pub enum Failure {
    /// The command line (or a line of a file) cannot be understood.
    Usage(text::Error),
    /// An object is missing or there already: `program: TEXT.`, exit code 1.
    Object(&'static str),
    /// `program vVERSION (nf_tables): TEXT` with this exit code.
    Plain(u8, Vec<u8>),
    /// `program: TEXT` with this exit code.
    Named(u8, Vec<u8>),
    /// An unknown table or a ruleset that cannot be read: the text, then the line about upgrading; exit code 3.
    Version(Vec<u8>),
    /// Operations that the kernel refused, with the extensions that it lacks.
    #[expect(missing_docs, reason = "the words say it")]
    Refused { refusals: Vec<Refusal>, missing: Vec<String> },
    /// The kernel could not be asked.
    Kernel(kernel::Error),
    /// Another program changed the ruleset meanwhile: plan again. Never shown.
    Stale,
    /// A rule of this batch is referred to: plan again with ids. Never shown.
    NeedIds,
}

/// No such chain.
pub const NO_CHAIN: Failure = Failure::Object("No chain/target/match by that name");
/// No such rule.
pub const BAD_RULE: Failure = Failure::Object("Bad rule (does a matching rule exist in that chain?)");

impl From<text::Error> for Failure {
    fn from(e: text::Error) -> Self {
        Self::Usage(e)
    }
}

impl From<kernel::Error> for Failure {
    fn from(e: kernel::Error) -> Self {
        Self::Kernel(e)
    }
}

impl From<CommitError> for Failure {
    fn from(e: CommitError) -> Self {
        match e {
            CommitError::Stale => Self::Stale,
            CommitError::Refused(refusals) | CommitError::Overrun(refusals) => {
                Self::Refused { refusals, missing: Vec::new() }
            }
            CommitError::Kernel(e) => Self::Kernel(e),
        }
    }
}

/// The program as it was called, for the texts.
#[derive(Clone, Copy, Debug)]
pub struct Program<'a> {
    /// Its name: `iptables` or `ip6tables` however it was called, for the others `argv[0]` without directories.
    pub name: &'a str,
    /// `argv[0]`, with which getopt(3) begins its errors.
    pub called: &'a str,
}

impl<'a> Program<'a> {
    /// A program called by its bare name.
    pub fn of(name: &'a str) -> Self {
        Self { name, called: name }
    }

    /// `NAME v1.8.9 (nf_tables)`: what `-V` prints and errors begin with.
    pub fn version(&self) -> String {
        format!("{} v{} (nf_tables)", self.name, super::STOCK_VERSION)
    }

    /// The hint behind every usage error.
    pub fn hint(&self) -> String {
        format!("Try `{0} -h' or '{0} --help' for more information.", self.name)
    }
}

impl Failure {
    /// The exit code.
    pub fn exit(&self) -> u8 {
        match self {
            Self::Usage(e) => e.exit,
            Self::Object(_) => exit::OTHER,
            Self::Plain(code, _) | Self::Named(code, _) => *code,
            Self::Version(_) => exit::VERSION,
            Self::Refused { .. } | Self::Kernel(_) | Self::Stale | Self::NeedIds => exit::RESOURCE,
        }
    }

    /// Prints it. `line` is the line of the restore file that it is about.
    pub fn print(&self, program: Program<'_>, line: Option<u32>, err: &mut Out) {
        let prefix = program.version();
        match self {
            Self::Usage(e) => {
                if e.prefixed && !e.text.is_empty() {
                    write!(err, "{prefix}: ");
                }
                if !e.text.is_empty() {
                    err.bytes(&e.text);
                    err.byte(b'\n');
                }
                if let Some(line) = line {
                    writeln!(err, "Error occurred at line: {line}");
                }
                if e.exit == exit::USAGE {
                    writeln!(err, "{}", program.hint());
                }
            }
            Self::Object(text) => match line {
                Some(line) => writeln!(err, "{}: line {line} failed: {text}.", program.name),
                None => writeln!(err, "{}: {text}.", program.name),
            },
            Self::Plain(_, text) => {
                write!(err, "{prefix}: ");
                err.bytes(text);
                err.byte(b'\n');
            }
            Self::Named(_, text) => {
                write!(err, "{}: ", program.name);
                err.bytes(text);
                err.byte(b'\n');
            }
            Self::Version(text) => {
                write!(err, "{prefix}: ");
                err.bytes(text);
                writeln!(err, "\nPerhaps {} or your kernel needs to be upgraded.", program.name);
            }
            Self::Refused { refusals, missing } => print_refusals(refusals, missing, &prefix, line.is_some(), err),
            Self::Kernel(kernel::Error::PermissionDenied) => {
                writeln!(err, "{prefix}: Could not fetch rule set generation id: Permission denied (you must be root)");
            }
            Self::Kernel(e) => writeln!(err, "{prefix}: {e}"),
            Self::Stale | Self::NeedIds => {
                writeln!(err, "{prefix}: the ruleset keeps changing; try again");
            }
        }
    }

    /// What a person may do about it, beside the text that programs parse.
    pub fn advice(&self) -> Option<String> {
        match self {
            Self::Usage(e) => e.advice.clone(),
            Self::Refused { refusals, missing } => refusals.first().map(|r| advice_on(r, missing)),
            Self::Kernel(kernel::Error::PermissionDenied) => {
                Some("this needs CAP_NET_ADMIN: run it with sudo, or try it out with `oxtables sandbox`".into())
            }
            Self::Kernel(kernel::Error::NoNfTables) => Some(
                "the kernel needs CONFIG_NF_TABLES and CONFIG_NFT_COMPAT (modules nf_tables and nft_compat)".into(),
            ),
            _ => None,
        }
    }
}

/// What stock says when it loads an extension that the kernel does not have.
pub(super) fn warn_of_missing(name: &str, err: &mut Out) {
    writeln!(err, "Warning: Extension {name} revision 0 not supported, missing kernel module?");
}

fn print_refusals(refusals: &[Refusal], missing: &[String], prefix: &str, restore: bool, err: &mut Out) {
    // To stock QUEUE is no extension.
    for name in missing.iter().filter(|name| *name != "QUEUE") {
        warn_of_missing(name, err);
    }
    if restore {
        writeln!(err, "{prefix}: ");
    }
    // A single command complains once, whatever the kernel says to each of its rules.
    for refusal in refusals.iter().take(if restore { usize::MAX } else { 1 }) {
        if restore {
            write!(err, "line {}: ", refusal.op.line);
        } else {
            write!(err, "{prefix}:  ");
        }
        write!(err, "{} failed ({}): ", refusal.op.kind, errno_text(refusal.errno));
        err.bytes(&refusal.op.what.text());
        err.byte(b'\n');
    }
}

fn advice_on(refusal: &Refusal, missing: &[String]) -> String {
    if let Some(name) = missing.first() {
        return Needs::advice(name);
    }
    if let Some(message) = refusal.message.as_deref().filter(|m| !m.is_empty()) {
        return format!("the kernel says: {}", String::from_utf8_lossy(message));
    }
    match errno_text(refusal.errno).as_str() {
        // What a limit of an extension explains has been told before (see explain/ruleset.rs).
        "Invalid argument" => {
            "a value or a combination of options in this rule is not one that this kernel takes; it does not say which"
                .into()
        }
        "No such file or directory" => {
            "the kernel does not know something that this rule names: a security context, a connection tracking helper \
             or timeout policy, an accounting object"
                .into()
        }
        "Too many links" => "the jumps of these chains go round in a circle".into(),
        "Device or resource busy" => {
            "the chain still has rules, or rules lead to it; -F it and delete the jumps first".into()
        }
        "Operation not supported" => {
            "built-in chains cannot be jumped to, and their hook and priority are fixed".into()
        }
        other => other.to_owned(),
    }
}

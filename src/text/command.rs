//! The command line of iptables and ip6tables, and the lines of a restore file, which are command lines too.
//!
//! One pass over the words in their order, as stock reads them: extensions are loaded as `-m`, `-j` and `-p` name them, options are
//! looked up among those loaded so far. Then the checks over the whole. Sources: iptables(8); fact sheet 2.2, 5; measured.

mod checks;
mod parser;

use self::parser::Parser;
use super::Error;
use super::rule::RuleSpec;
use crate::ext::{Action, Spec, Target};
use crate::types::{CHAIN_NAME_MAX, Family, Names};

/// What a command does. Rule numbers count from 1.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "fields are the arguments of iptables(8), COMMANDS")]
pub enum CommandKind {
    Append {
        chain: Vec<u8>,
    },
    Check {
        chain: Vec<u8>,
    },
    Delete {
        chain: Vec<u8>,
    },
    DeleteNumber {
        chain: Vec<u8>,
        number: u32,
    },
    Insert {
        chain: Vec<u8>,
        number: u32,
    },
    Replace {
        chain: Vec<u8>,
        number: u32,
    },
    /// `zero`: `-Z` stands beside it.
    List {
        chain: Option<Vec<u8>>,
        number: Option<u32>,
        zero: bool,
    },
    ListRules {
        chain: Option<Vec<u8>>,
        number: Option<u32>,
        zero: bool,
    },
    Flush {
        chain: Option<Vec<u8>>,
    },
    Zero {
        chain: Option<Vec<u8>>,
        number: Option<u32>,
    },
    NewChain {
        chain: Vec<u8>,
    },
    DeleteChain {
        chain: Option<Vec<u8>>,
    },
    RenameChain {
        chain: Vec<u8>,
        new: Vec<u8>,
    },
    Policy {
        chain: Vec<u8>,
        policy: Vec<u8>,
    },
    /// `-V`; `!` stood before it.
    Version {
        negated: bool,
    },
    /// `-h`, with the extensions named before it.
    Help {
        extensions: Vec<&'static Spec>,
    },
    /// A line that is for the other family (`-4`, `-6` in a restore file).
    OtherFamily,
}

/// A command that has been read.
#[derive(Clone, Debug)]
pub struct Command {
    /// What it does.
    pub kind: CommandKind,
    /// `-t`, if given.
    pub table: Option<Vec<u8>>,
    /// The rule of `-A -C -D -I -R`.
    pub rule: RuleSpec,
    /// How many `-v`.
    pub verbose: u32,
    /// `-n`.
    pub numeric: bool,
    /// `-x`.
    pub exact: bool,
    /// `--line-numbers`.
    pub line_numbers: bool,
    /// What is wrong with the rule as a whole; said when it is about to be used.
    pub late: Option<Error>,
}

/// Where a command stands.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The family of the program's name.
    pub family: Family,
    /// Where names are looked up.
    pub names: &'a dyn Names,
    /// Whether it is a line of a restore file.
    pub restore: bool,
    /// The table that is meant without `-t`.
    pub table: &'a [u8],
    /// Whether the program itself has `-v`, which stands before a restore line's words.
    pub verbose: bool,
}

/// Reads a command; `warnings` gets the lines that stock prints on standard error while it reads, without their newline.
pub fn parse(args: &[&[u8]], cx: &Context<'_>, warnings: &mut Vec<Vec<u8>>) -> Result<Command, Error> {
    Parser::new(args, cx, warnings).run()
}

fn too_long(chain: &[u8]) -> Error {
    Error::usage([b"chain name `", chain, b"' too long (must be under 29 chars)"].concat())
}

/// The checks on the name of a new chain (iptables(8), -N; fact sheet 5).
pub fn check_new_chain(name: &[u8], family: Family) -> Result<(), Error> {
    if name.len() > CHAIN_NAME_MAX {
        return Err(too_long(name));
    }
    if let Some(first @ (b'-' | b'!')) = name.first() {
        return Err(Error::usage(format!("chain name not allowed to start with `{}'", char::from(*first))));
    }
    let clash =
        name.is_empty() || Action::verdict(name).is_some() || name == b"QUEUE" || Target::new(name, family).is_some();
    if clash {
        return Err(Error::usage("chain name may not clash with target name"));
    }
    if name.iter().any(is_space) {
        return Err(Error::usage([b"Invalid chain name `", name, b"'"].concat()));
    }
    Ok(())
}

/// The checks on the name in a `:CHAIN` line of a restore file: those of [`check_new_chain`], but names of extensions pass.
pub fn check_restored_chain(name: &[u8]) -> Result<(), Error> {
    if name.len() > CHAIN_NAME_MAX {
        return Err(too_long(name));
    }
    if let Some(first @ (b'-' | b'!')) = name.first() {
        return Err(Error::usage(format!("chain name not allowed to start with `{}'", char::from(*first))));
    }
    if Action::verdict(name).is_some() || name == b"QUEUE" {
        return Err(Error::usage("chain name may not clash with target name"));
    }
    if name.iter().any(is_space) {
        return Err(Error::usage([b"Invalid chain name `", name, b"'"].concat()));
    }
    Ok(())
}

/// isspace(3) in the C locale.
fn is_space(b: &u8) -> bool {
    matches!(b, b' ' | b'\t'..=b'\r')
}

fn check_target_name(name: &[u8]) -> Result<(), Error> {
    if name.is_empty() {
        return Err(Error::usage("Invalid target name (too short)"));
    }
    if name.len() > CHAIN_NAME_MAX {
        return Err(Error::usage([b"Invalid target name `", name, b"' (28 chars max)"].concat()));
    }
    if name.iter().any(is_space) {
        return Err(Error::usage([b"Invalid target name `", name, b"'"].concat()));
    }
    Ok(())
}

/// What stands before the first word: the program's usual name or, in a file, what stock puts there, which its errors show.
pub(crate) fn word_before<'a>(cx: &Context<'a>) -> &'a [u8] {
    match (cx.restore, cx.verbose) {
        (true, true) => b"-v",
        (true, false) => cx.table,
        _ => program_name(cx).as_bytes(),
    }
}

/// The program's usual name.
pub(crate) fn program_name(cx: &Context<'_>) -> &'static str {
    match (cx.family, cx.restore) {
        (Family::V4, false) => "iptables",
        (Family::V6, false) => "ip6tables",
        (Family::V4, true) => "iptables-restore",
        (Family::V6, true) => "ip6tables-restore",
    }
}

/// The decimal number at the head of a text and what stands behind it, as scanf(3) reads `%llu`: blanks before it, a sign (negative wraps
/// around), the largest number if it is larger.
pub fn leading_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let text = text.trim_ascii_start();
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let (digits, rest) = text.split_at_checked(digits).filter(|(d, _)| !d.is_empty())?;
    let value = digits.iter().try_fold(0u64, |n, d| n.checked_mul(10)?.checked_add(u64::from(d - b'0')));
    Some((value.map_or(u64::MAX, |n| if negative { n.wrapping_neg() } else { n }), rest))
}

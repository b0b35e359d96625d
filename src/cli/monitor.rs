//! `xtables-monitor`: changes of the ruleset, and the way of traced packets, as they happen.
//!
//! The lines are stock's. Where stock gives up (a native rule of IPv6 with ports, an expression that it does not know, events that come too
//! fast) the rule is described, or the loss is said, and the watch goes on. Sources: xtables-monitor(8); observed.

mod events;
mod trace;

use super::plain_getopt::{PlainGetopt, Table, Takes};
use super::{Streams, exit};
use crate::cli::failure::Program;
use crate::compile::{Raised, describe};
use crate::ext::PrintCx;
use crate::kernel::monitor::{Heard, Monitor};
use crate::kernel::names::SystemNames;
use crate::kernel::{self, RuleReader};
use crate::types::{Family, Out};
use crate::wire::consts::NFT_MSG_TRACE;
use crate::wire::msg::RuleMsg;
use std::io::{self, Write};

/// The options of xtables-monitor(8).
#[derive(Clone, Copy, Debug, Default)]
struct Options {
    events: bool,
    traces: bool,
    counters: bool,
    /// `NFPROTO_*` to which the output is limited.
    only: Option<u8>,
}

static OPTIONS: Table = Table {
    short: &[
        (b'c', Takes::Nothing),
        (b't', Takes::Nothing),
        (b'e', Takes::Nothing),
        (b'4', Takes::Nothing),
        (b'6', Takes::Nothing),
        (b'V', Takes::Nothing),
        (b'h', Takes::Nothing),
    ],
    long: &[
        ("counters", b'c', Takes::Nothing),
        ("trace", b't', Takes::Nothing),
        ("event", b'e', Takes::Nothing),
        ("ipv4", b'4', Takes::Nothing),
        ("ipv6", b'6', Takes::Nothing),
        ("version", b'V', Takes::Nothing),
        ("help", b'h', Takes::Nothing),
    ],
};

/// Runs it until somebody ends it, or nobody reads it any more, and says its exit code.
pub fn run(program: Program<'_>, args: &[&[u8]]) -> u8 {
    let mut io = Streams::default();
    let options = match parse(program, args, &mut io) {
        Ok(options) => options,
        Err(code) => {
            io.flush();
            return code;
        }
    };
    let mut monitor = match Monitor::open(options.events, options.traces) {
        Ok(monitor) => monitor,
        Err(e) => {
            let why = e.errno().map_or_else(|| e.to_string(), kernel::errno_text);
            writeln!(io.err, "cannot bind to nfnetlink socket: {why}");
            io.flush();
            return exit::OTHER;
        }
    };
    let mut watcher = Watcher::new(options);
    let mut stdout = io::stdout().lock();
    let heard = monitor.listen(&mut |heard| {
        watcher.out.clear();
        match heard {
            Heard::Message { kind, family, attrs } => watcher.message(kind, family, attrs),
            Heard::Lost => {
                let text = format!("{}: events were lost: they come faster than they can be shown\n", program.name);
                let _ = io::stderr().write_all(text.as_bytes());
            }
        }
        stdout.write_all(watcher.out.as_bytes()).and_then(|()| stdout.flush()).is_ok()
    });
    if let Err(e) = heard {
        writeln!(io.err, "cannot receive from nfnetlink socket: {e}");
        io.flush();
        return exit::OTHER;
    }
    exit::OK
}

/// Reads the command line; else the exit code, when everything has been said.
fn parse(program: Program<'_>, args: &[&[u8]], io: &mut Streams) -> Result<Options, u8> {
    let mut options = Options::default();
    let mut getopt = PlainGetopt::new(&OPTIONS, args);
    loop {
        match getopt.next() {
            Ok(None) => break,
            Ok(Some(found)) => match found.letter {
                b'c' => options.counters = true,
                b't' => options.traces = true,
                b'e' => options.events = true,
                b'4' => options.only = Some(Family::V4.nfproto()),
                b'6' => options.only = Some(Family::V6.nfproto()),
                b'V' => {
                    writeln!(io.out, "{} {}", program.name, super::STOCK_VERSION);
                    return Err(exit::OK);
                }
                _ => {
                    help(program, &mut io.out);
                    return Err(exit::OTHER);
                }
            },
            Err(_) => {
                writeln!(io.err, "{} {}: Bad argument.", program.name, super::STOCK_VERSION);
                writeln!(io.err, "Try `{} -h' for more information.", program.name);
                return Err(exit::USAGE);
            }
        }
    }
    if !options.events && !options.traces {
        help(program, &mut io.out);
        return Err(exit::OTHER);
    }
    Ok(options)
}

fn help(program: Program<'_>, out: &mut Out) {
    writeln!(out, "{} {} (nf_tables)", program.name, super::STOCK_VERSION);
    writeln!(out, "Usage: {} [ -t | -e ]", program.name);
    out.str("        --trace    -t    the way of packets that a rule with -j TRACE has marked\n");
    out.str("        --event    -e    changes of the ruleset\n");
    out.str("Optional arguments:\n");
    out.str("        --ipv4     -4    IPv4 only\n");
    out.str("        --ipv6     -6    IPv6 only\n");
    out.str("        --counters -c    rules with their counters\n");
}

/// What turns messages into lines.
struct Watcher {
    options: Options,
    out: Out,
    names: SystemNames,
    readers: [RuleReader; 2],
    /// For the rules that traces name; opened when it is needed.
    session: Option<kernel::Session>,
}

impl Watcher {
    fn new(options: Options) -> Self {
        let readers = [Family::V4, Family::V6].map(RuleReader::new);
        Self { options, out: Out::new(), names: SystemNames::default(), readers, session: None }
    }

    /// Prints one message. One that cannot be read is passed over: the kernel has told it nobody else either.
    fn message(&mut self, kind: u16, family: u8, attrs: &[u8]) {
        let hidden = self.options.only.is_some_and(|only| only != family);
        if kind == NFT_MSG_TRACE {
            if !hidden {
                let _ = self.trace(family, attrs);
            }
        } else {
            let _ = self.event(kind, family, attrs, hidden);
        }
    }

    /// Prints a rule as a command of its family, without a newline: `-4 -t filter -A INPUT -j ACCEPT`; one that iptables has no words for as a
    /// description. Nothing for other families.
    fn rule(&mut self, nfproto: u8, command: &str, rule: &RuleMsg<'_>) {
        let Some(family) = family_of(nfproto) else { return };
        let reader = match (family, &mut self.readers) {
            (Family::V4, [v4, _]) => v4,
            (Family::V6, [_, v6]) => v6,
        };
        let out = &mut self.out;
        match reader.raise(rule.table, rule.exprs, rule.userdata) {
            Raised::Rule(body, counters) => {
                table_words(family, rule.table, out);
                if self.options.counters {
                    write!(out, "[{}:{}] ", counters.packets, counters.bytes);
                }
                out.str(command);
                out.word(rule.chain);
                body.save(out, &PrintCx { family, numeric: true, names: &self.names, protocol: None }, None);
            }
            Raised::Opaque(_) => {
                let deleted = if command == "-D" { "deleted " } else { "" };
                write!(out, "# nft: {deleted}{} ", family_name(nfproto));
                out.bytes(rule.table);
                out.byte(b' ');
                out.bytes(rule.chain);
                write!(out, " handle {} ", rule.handle);
                describe(family, rule.exprs, rule.userdata, out);
            }
        }
    }
}

/// `-4 -t filter `.
fn table_words(family: Family, table: &[u8], out: &mut Out) {
    out.str(if family == Family::V4 { "-4 -t " } else { "-6 -t " });
    out.bytes(table);
    out.byte(b' ');
}

fn family_of(nfproto: u8) -> Option<Family> {
    [Family::V4, Family::V6].into_iter().find(|family| family.nfproto() == nfproto)
}

/// The name of a family in nft(8) (`NFPROTO_*`, `linux/netfilter.h`).
fn family_name(nfproto: u8) -> &'static str {
    match nfproto {
        1 => "inet",
        2 => "ip",
        3 => "arp",
        5 => "netdev",
        7 => "bridge",
        10 => "ip6",
        _ => "unknown",
    }
}

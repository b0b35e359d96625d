//! The extensions: one file each under `matches/` and `targets/`, one contract for all, and the one list of them.
//!
//! An extension knows its options, both print forms, its bytes in the kernel and its meaning for a packet. It knows nothing of other
//! extensions, of commands, of chains or of the operating system: names, clock and state are handed in.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::disallowed_methods)]

pub mod base;
mod body;
pub mod dscp_values;
mod jhash;
pub mod limits;
mod list;
pub mod matches;
pub mod needs;
pub mod nft;
pub mod options;
pub mod resolve;
pub mod set_use;
pub mod strtod;
pub mod targets;

pub use base::Base;
pub use body::{Action, Body, Encoding};
pub use list::{Match, Target};
pub use options::{Given, Kind, Opt, UsageError, Value};

use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Names, Out, Tri};
use crate::wire::cond::Item;
use crate::wire::{BlobWriter, ExprWriter};
use std::borrow::Cow;

/// What an extension says of itself.
#[derive(Debug)]
pub struct Spec {
    /// Its name behind `-m` or `-j`.
    pub name: &'static str,
    /// Other names for it.
    pub aliases: &'static [&'static str],
    /// The families that have it.
    pub families: &'static [Family],
    /// The protocol numbers for which `-p` loads it by itself when one of its options is met; empty for most.
    pub implied_by: &'static [u8],
    /// Its name in the kernel's xt tables.
    pub wire: &'static str,
    /// The revision that stock 1.8.9 writes; where it depends on the family, see [`Extension::revision`].
    pub revision: u32,
    /// Its options in the order of its help.
    pub options: &'static [Opt],
    /// It words errors about repetition, inversion and missing options itself; [`options::give`] then leaves them to it.
    pub own_checks: bool,
    /// What [`Extension::finish`] finds is about the rule as a whole: it is said after all other errors of the command line and of its table,
    /// and not at all by a command that takes no rule.
    pub late: bool,
    /// Looking at a packet changes something: a token is taken, an address noted. What stands before it in a rule must stay before it.
    pub stateful: bool,
    /// What a rule needs to be valid with it, for the test generators: generic options such as `-p tcp`, and `@table/CHAIN` where it is
    /// limited to one, e.g. `@nat/POSTROUTING`.
    pub sample: &'static str,
    /// Where the kernel takes it: nothing here asks for more than its sample meets.
    pub limits: &'static [limits::Limit],
    /// One sentence for the help.
    pub summary: &'static str,
    /// What else the help lists in a family, below the options: values by name, each with a phrase. Without a phrase a name that ends in `:`
    /// is a heading.
    pub notes: fn(Family) -> &'static [(&'static str, &'static str)],
}

impl Spec {
    /// A spec without options; fill in the rest with `..Spec::new(…)`.
    pub const fn new(name: &'static str, revision: u32, summary: &'static str) -> Self {
        Self {
            name,
            aliases: &[],
            families: &[Family::V4, Family::V6],
            implied_by: &[],
            wire: name,
            revision,
            options: &[],
            own_checks: false,
            late: false,
            stateful: false,
            sample: "",
            limits: &[],
            summary,
            notes: |_| &[],
        }
    }

    /// Whether it is meant by this name in this family.
    pub fn is(&self, name: &[u8], family: Family) -> bool {
        self.families.contains(&family)
            && (self.name.as_bytes() == name || self.aliases.iter().any(|a| a.as_bytes() == name))
    }
}

/// What is known while options are read.
#[derive(Clone, Copy)]
pub struct ParseCx<'a> {
    /// The family of the command.
    pub family: Family,
    /// Where names are looked up.
    pub names: &'a dyn Names,
    /// The protocol of `-p` as far as it has been read, and whether `!` stood before it.
    pub protocol: Option<(u8, bool)>,
}

/// How to print.
#[derive(Clone, Copy)]
pub struct PrintCx<'a> {
    /// The family of the rule.
    pub family: Family,
    /// `-n`: numbers instead of names. Always set for `-S` and `iptables-save`.
    pub numeric: bool,
    /// Where names are looked up if `numeric` is not set.
    pub names: &'a dyn Names,
    /// The protocol of the rule's `-p`, for service names.
    pub protocol: Option<u8>,
}

/// What is known of the rule around it while native expressions are written.
#[derive(Clone, Copy, Debug)]
pub struct NativeCx {
    /// The family of the rule.
    pub family: Family,
    /// The protocol of `-p`, and whether `!` stands before it.
    pub protocol: Option<(u8, bool)>,
}

/// The part of the contract that matches and targets share. All methods are total.
pub trait Extension: Sized + Clone + PartialEq + std::fmt::Debug {
    /// What it says of itself.
    const SPEC: Spec;

    /// The value before any option.
    fn new(family: Family) -> Self;

    /// The revision that stock 1.8.9 writes in a family.
    fn revision(_family: Family) -> u32 {
        Self::SPEC.revision
    }

    /// The line, without its newline, that stock prints on standard error when it reads this option, whether or not it then takes it.
    fn warning(_given: &Given<'_>, _cx: &ParseCx<'_>) -> Option<Cow<'static, str>> {
        None
    }

    /// The line that stock prints on standard error when the rule has been read, whether or not it then takes it.
    fn last_warning(_seen: u32) -> Option<&'static str> {
        None
    }

    /// Takes one option; the kind of its value and the checks of its row have passed (unless [`Spec::own_checks`]).
    fn set(&mut self, given: &Given<'_>, cx: &ParseCx<'_>) -> Result<(), UsageError>;

    /// Checks and completes the whole, when the rule has been read; `seen` has a bit for each option id given. Options that are missing or
    /// exclude each other are reported after this, from the table.
    fn finish(&mut self, _seen: u32, _cx: &ParseCx<'_>) -> Result<(), UsageError> {
        Ok(())
    }

    /// Prints the options as `-S` does, each with a blank in front: ` --dport 22`.
    fn save(&self, out: &mut Out, cx: &PrintCx<'_>);

    /// Prints the `-L` column, with its blank in front: ` tcp dpt:22`. Stock's odd spacing is kept.
    fn list(&self, out: &mut Out, cx: &PrintCx<'_>);

    /// Writes its xt struct (the UAPI header's, without the padding at the end).
    fn blob(&self, family: Family, blob: &mut BlobWriter<'_>);

    /// Reads its xt struct, of [`Spec::wire`] and [`Extension::revision`]; `None` if the bytes say something that the value cannot.
    /// Whoever calls compares [`Extension::blob`] of the result with the bytes, so that bits left unread are noticed.
    fn decode(info: &[u8], family: Family) -> Option<Self>;

    /// Whether its save form is taken in a rule with this `-p` (the number, and whether `!` stands before it): a rule that another program
    /// wrote and that could not be loaded again is not one that iptables can say.
    fn sayable(&self, _protocol: Option<(u8, bool)>) -> bool {
        true
    }

    /// Writes native expressions that decide every packet as its xt form does; writes nothing and says false if there are none for this
    /// value. The expressions may use registers 1 to 4 (`NFT_REG32_00` onwards, 16 words) and keep nothing in them for what comes after.
    fn native(&self, _cx: &NativeCx, _x: &mut ExprWriter<'_>) -> bool {
        false
    }

    /// Prints it in the words of nft(8) as `iptables-translate` of stock 1.8.9 does, with no blank before or behind (but a target whose words
    /// stand apart from a comment by two blanks in stock has one behind); says false if there is no translation. What it means for nft(8)
    /// must be what it means here (see [`nft`] for what translations share).
    fn translate(&self, _cx: &PrintCx<'_>, _out: &mut Out) -> bool {
        false
    }

    /// Clears the bytes of a dumped struct that mean nothing (behind the NUL of a name, private to the kernel) before that comparison.
    fn scrub(_info: &mut [u8]) {}
}

/// A match.
pub trait MatchExt: Extension {
    /// Writes the expressions that stock 1.8.9 writes.
    fn encode(&self, family: Family, x: &mut ExprWriter<'_>) {
        x.xt_match(Self::SPEC.wire, Self::revision(family), |b| self.blob(family, b));
    }

    /// Claims a native condition or expression found in the kernel: adds to `body` what it means and says true, or leaves `body` alone.
    /// It may complete the *last* match of `body` instead of adding one, never an earlier one: what stands between may have side effects.
    fn raise(_item: &Item<'_>, _body: &mut Body) -> bool {
        false
    }

    /// Whether the packet matches. Matches that keep state change it in `env`.
    fn eval(&self, packet: &Packet, env: &mut Env<'_>) -> Tri;
}

/// A target.
pub trait TargetExt: Extension {
    /// Writes the expressions that stock 1.8.9 writes.
    fn encode(&self, family: Family, x: &mut ExprWriter<'_>) {
        x.xt_target(Self::SPEC.wire, Self::revision(family), |b| self.blob(family, b));
    }

    /// Claims a native expression found in the kernel: sets `body.action` and says true, or leaves `body` alone.
    fn raise(_item: &Item<'_>, _body: &mut Body) -> bool {
        false
    }

    /// What it does with the packet.
    fn apply(&self, packet: &mut Packet, env: &mut Env<'_>) -> Effect;
}

/// What a target does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The walk goes on with the next rule.
    Continue,
    /// The packet is accepted by this chain's table.
    Accept,
    /// The packet is dropped.
    Drop,
    /// The packet is dropped and answered; the text is the `--reject-with` name.
    Reject(&'static str),
    /// The packet is handed to a program.
    Queue(Queues),
    /// The kernel keeps the packet and does with it what the words say.
    Taken(&'static str),
    /// The packet is given to the local socket that listens there, and accepted; without one it is dropped.
    Proxy(Proxy),
    /// The connection is rewritten and accepted by this chain's table.
    Nat(Nat),
    /// The packet is logged, and the walk goes on with the next rule.
    #[expect(missing_docs, reason = "the words say it")]
    Log { prefix: Vec<u8>, sink: LogSink },
    /// What becomes of the packet depends on something that is not known here.
    Unknown,
}

/// The queues of nfnetlink_queue to which packets are handed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Queues {
    /// The first queue's number.
    pub first: u16,
    /// How many queues share the packets; at least 1.
    pub count: u16,
    /// Where no program listens: the packet is accepted (true) or dropped.
    pub bypass: bool,
}

/// The local socket that TPROXY looks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// Its address; `None` for one of the interface that the packet came in by.
    pub addr: Option<std::net::IpAddr>,
    /// Its port in host order; `None` for the packet's own.
    pub port: Option<u16>,
}

/// Where a log line goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogSink {
    /// The kernel's log: syslog(3) level 0 to 7, and `XT_LOG_*` flags (`linux/netfilter/xt_LOG.h`).
    #[expect(missing_docs, reason = "the words say it")]
    Kernel { level: u8, flags: u8 },
    /// The listeners of an nfnetlink_log group.
    Group(u16),
    /// The audit system.
    Audit,
}

/// How a NAT target rewrites a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nat {
    /// Whether the source (SNAT, MASQUERADE) or the destination (DNAT, REDIRECT) is rewritten.
    pub source: bool,
    /// The new address.
    pub addr: NatAddr,
    /// The range of new ports in host order, both ends included; `None` if the port stays where that is possible.
    pub ports: Option<(u16, u16)>,
    /// The old port, in host order, that becomes the first of `ports`; those behind it follow in order. `None`: any of `ports`.
    pub port_base: Option<u16>,
}

/// The address that NAT puts in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NatAddr {
    /// As it was.
    Unchanged,
    /// The host's own: of the outgoing interface (MASQUERADE), of the incoming interface or the loopback (REDIRECT).
    Own,
    /// One of a range, both ends included.
    Range(std::net::IpAddr, std::net::IpAddr),
    /// The bits of the old one behind so many of a network's.
    Network(std::net::IpAddr, u8),
}

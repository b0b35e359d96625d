//! Random rules, commands and restore files, valid for the most part.
//!
//! Everything follows from the generator's seed, so a failure is repeated by its seed alone.

pub mod commands;
pub mod corpus;
pub mod extension;
pub mod mutate;
pub mod options;
pub mod specs;
pub mod values;

use options::{Extension, Family, MATCHES, Opt, TARGETS};
use values::Value;

use std::sync::OnceLock;

use crate::oracle::Call;
use crate::random::Random;

/// The tables with their builtin chains, in hook order.
pub const TABLES: [(&str, &[&str]); 5] = [
    ("filter", &["INPUT", "FORWARD", "OUTPUT"]),
    ("nat", &["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"]),
    ("mangle", &["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"]),
    ("raw", &["PREROUTING", "OUTPUT"]),
    ("security", &["INPUT", "FORWARD", "OUTPUT"]),
];
/// The user chains that every generated table has. The last two are never jumped to, the first two only from builtin chains.
pub const USER_CHAINS: [&str; 4] = ["one", "TWO-2", "three.3", "f2b-4"];

/// A rule, not yet put into a command.
#[derive(Clone, Debug)]
pub struct Rule {
    /// True for IPv6.
    pub v6: bool,
    /// The table.
    pub table: String,
    /// The chain.
    pub chain: String,
    /// The words behind `-A CHAIN`.
    pub words: Vec<Vec<u8>>,
}

impl Rule {
    /// A random rule for this family and table.
    pub fn random(random: &mut Random, v6: bool, table: usize) -> Self {
        let (table, builtin) = TABLES[table];
        let chain = if random.percent(75) { random.word(builtin) } else { random.word(&USER_CHAINS) };
        let mut parts = Parts { random, v6, table, chain, protocol: None, pieces: Vec::new(), used: Vec::new() };
        parts.fill();
        let words = parts.assemble();
        Self { v6, table: table.to_owned(), chain: chain.to_owned(), words }
    }

    /// How many rules of the kernel this becomes: one for each pair of a source and a destination.
    #[must_use]
    pub fn expansion(&self) -> usize {
        let named = |names: &[&[u8]]| {
            let at = self.words.iter().position(|word| names.contains(&word.as_slice()));
            let list = at.and_then(|at| self.words.get(at + 1));
            list.map_or(1, |list| 1 + list.iter().filter(|byte| **byte == b',').count())
        };
        named(&[b"-s", b"--source", b"--src"]) * named(&[b"-d", b"--destination", b"--dst"])
    }

    /// The rule behind another command than `-A` (`command` with all its words, the table aside).
    #[must_use]
    pub fn call(&self, command: &[&[u8]]) -> Call {
        let program: &[u8] = if self.v6 { b"ip6tables" } else { b"iptables" };
        let head = [program, b"-t", self.table.as_bytes()];
        Call::new(head.into_iter().chain(command.iter().copied()).chain(self.words.iter().map(Vec::as_slice)))
    }

    /// `-A CHAIN …`.
    #[must_use]
    pub fn append(&self) -> Call {
        self.call(&[b"-A", self.chain.as_bytes()])
    }

    /// The line for a restore file, without its newline; `None` if the words cannot stand in one (newlines).
    #[must_use]
    pub fn line(&self) -> Option<Vec<u8>> {
        let mut line = format!("-A {}", self.chain).into_bytes();
        for word in &self.words {
            if word.iter().any(|byte| matches!(byte, b'\n' | 0)) {
                return None;
            }
            line.push(b' ');
            line.extend(quoted(word));
        }
        Some(line)
    }
}

/// A word as a restore file wants it.
#[must_use]
pub fn quoted(word: &[u8]) -> Vec<u8> {
    let tame = !word.is_empty() && !word.iter().any(|byte| b" \t\"\\'".contains(byte));
    if tame {
        return word.to_vec();
    }
    let mut out = vec![b'"'];
    for byte in word {
        if b"\"\\".contains(byte) {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out.push(b'"');
    out
}

/// Whether an extension may be used: all, or those that `OXTABLES_LAB_ONLY` names (`mark,length,MARK`) while others are unfinished.
#[must_use]
pub fn wanted(name: &str) -> bool {
    static ONLY: OnceLock<Option<String>> = OnceLock::new();
    let only = ONLY.get_or_init(|| std::env::var("OXTABLES_LAB_ONLY").ok());
    only.as_deref().is_none_or(|list| list.split(',').any(|word| word == name))
}

/// A rule in the making.
struct Parts<'r> {
    random: &'r mut Random,
    v6: bool,
    table: &'static str,
    chain: &'static str,
    protocol: Option<String>,
    pieces: Vec<Vec<Vec<u8>>>,
    /// The matches that are in it.
    used: Vec<String>,
}

impl Parts<'_> {
    fn fill(&mut self) {
        let by_spec =
            if self.random.percent(35) { specs::any(self.random, self.v6, self.table, self.chain) } else { None };
        let generic = by_spec.map(|(spec, _)| specs::generic(spec)).unwrap_or_default();
        self.used.extend(by_spec.map(|(spec, _)| spec.name.to_owned()));
        if let Some(at) = generic.iter().position(|word| word == b"-p") {
            self.protocol = generic.get(at + 1).map(|word| String::from_utf8_lossy(word).into_owned());
        }
        if !generic.is_empty() {
            self.pieces.push(generic);
        } else if self.random.percent(55) {
            let names: &[&str] = match (self.random.below(10), self.v6) {
                (0..=4, _) => &["tcp"],
                (5 | 6, _) => &["udp"],
                (7, false) => &["icmp"],
                (7, true) => &["ipv6-icmp", "icmpv6", "icmp6"],
                _ => &["sctp", "udplite", "dccp", "TCP", "6", "17", "esp", "gre", "all", "47", "255", "ah", "0"],
            };
            let name = self.random.word(names).to_owned();
            let invert = self.random.percent(4);
            self.generic(&["-p", "--protocol", "--proto"], name.clone(), invert);
            self.protocol = (!invert).then_some(name);
        }
        self.addresses();
        let input = matches!(self.chain, "PREROUTING" | "INPUT" | "FORWARD") || USER_CHAINS.contains(&self.chain);
        let output = matches!(self.chain, "POSTROUTING" | "OUTPUT" | "FORWARD") || USER_CHAINS.contains(&self.chain);
        for (allowed, names) in [(input, &["-i", "--in-interface"]), (output, &["-o", "--out-interface"])] {
            if self.random.percent(if allowed { 20 } else { 1 }) {
                let name =
                    String::from_utf8(Value::Interface.words(self.random, self.v6).remove(0)).unwrap_or_default();
                let invert = self.random.percent(20);
                self.generic(names, name, invert);
            }
        }
        if self.random.percent(if self.v6 { 1 } else { 4 }) {
            let name = self.random.word(&["-f", "--fragment"]).as_bytes().to_vec();
            let piece = if self.random.percent(40) { vec![b"!".to_vec(), name] } else { vec![name] };
            self.pieces.push(piece);
        }
        for _ in 0..[0, 1, 1, 1, 2, 2, 3][self.random.below(7)] {
            let found = (0..20).find_map(|_| {
                let extension = self.random.pick(MATCHES);
                self.fits(extension).then_some(extension)
            });
            if let Some(extension) = found {
                self.a_match(extension);
            }
        }
        match by_spec {
            Some((spec, true)) => self.pieces.push(specs::words(self.random, spec, true, self.v6)),
            Some((spec, false)) => {
                self.pieces.push(specs::words(self.random, spec, false, self.v6));
                self.target();
            }
            None => self.target(),
        }
    }

    fn addresses(&mut self) {
        let (mut lists, mut inverted) = (false, false);
        for names in [&["-s", "--source", "--src"], &["-d", "--destination", "--dst"]] {
            if self.random.percent(30) {
                let list = self.random.percent(6) && !inverted;
                let one = |parts: &mut Self| Value::Network.words(parts.random, parts.v6).remove(0);
                let mut value = one(self);
                if list {
                    for _ in 0..=self.random.below(2) {
                        value.push(b',');
                        value.extend(one(self));
                    }
                }
                let invert = !list && !lists && self.random.percent(15);
                lists |= list;
                inverted |= invert;
                let value = String::from_utf8(value).unwrap_or_default();
                self.generic(names, value, invert);
            }
        }
    }

    fn generic(&mut self, names: &[&str], value: String, invert: bool) {
        let name = if self.random.percent(80) { names[0] } else { self.random.word(names) };
        let mut piece = vec![name.as_bytes().to_vec(), value.into_bytes()];
        if invert {
            piece.insert(0, b"!".to_vec());
        }
        self.pieces.push(piece);
    }

    /// Whether the extension can stand in this rule; rarely says yes to one that cannot.
    fn fits(&mut self, extension: &Extension) -> bool {
        // Stock lists two matches of one protocol as one, whatever they say.
        let again = ["tcp", "udp"].contains(&extension.name) && self.has(extension.name);
        if !wanted(extension.name) || again {
            return false;
        }
        let family = match extension.family {
            Family::Both => true,
            Family::V4 => !self.v6,
            Family::V6 => self.v6,
        };
        let protocol = extension.protocols.is_empty()
            || self.protocol.as_deref().is_some_and(|p| extension.protocols.contains(&p));
        let table = extension.tables.is_empty() || extension.tables.contains(&self.table);
        let chain = extension.chains.is_empty()
            || extension.chains.contains(&self.chain)
            || USER_CHAINS[2..].contains(&self.chain);
        family && ((protocol && table && chain) || self.random.percent(1))
    }

    /// Whether the match is in the rule already.
    fn has(&self, name: &str) -> bool {
        let named = |piece: &Vec<Vec<u8>>| piece.get(1).is_some_and(|word| word == name.as_bytes());
        self.used.contains(&name.to_owned()) || self.pieces.iter().any(named)
    }

    fn a_match(&mut self, extension: &Extension) {
        let options = self.options(extension);
        // A protocol's own match is loaded by its options, so its -m may be missing.
        let implied =
            !options.is_empty() && self.protocol.as_deref() == Some(extension.name) && self.random.percent(60);
        self.used.push(extension.name.to_owned());
        let name = if self.random.percent(90) { "-m" } else { "--match" };
        let mut piece = if implied { Vec::new() } else { vec![name.into(), extension.name.into()] };
        piece.extend(options);
        self.pieces.push(piece);
    }

    fn target(&mut self) {
        let jump = if self.random.percent(90) { "-j" } else { "--jump" };
        let mut piece: Vec<Vec<u8>> = match self.random.below(20) {
            0 => return,
            1..=6 => vec![jump.into(), self.random.word(&["ACCEPT", "DROP", "RETURN"]).into()],
            7 if self.random.percent(10) => vec![jump.into(), "QUEUE".into()],
            7 | 8 => {
                let chains = if USER_CHAINS.contains(&self.chain) { &USER_CHAINS[2..] } else { &USER_CHAINS[..2] };
                let name = if self.random.percent(70) { jump } else { self.random.word(&["-g", "--goto"]) };
                vec![name.into(), self.random.word(chains).into()]
            }
            _ => {
                let found = (0..40).find_map(|_| {
                    let extension = self.random.pick(TARGETS);
                    self.fits(extension).then_some(extension)
                });
                let Some(extension) = found else { return };
                let mut piece = vec![jump.into(), extension.name.into()];
                piece.extend(self.options(extension));
                piece
            }
        };
        // Stock 1.8.9 loses the counters of an IPv6 rule.
        if !self.v6 && self.random.percent(2) {
            piece.extend([
                b"-c".to_vec(),
                self.random.below(1000).to_string().into(),
                self.random.below(99999).to_string().into(),
            ]);
        }
        self.pieces.push(piece);
    }

    /// Random options of an extension with their values.
    fn options(&mut self, extension: &Extension) -> Vec<Vec<u8>> {
        let mut chosen: Vec<&Opt> = Vec::new();
        let group: Vec<&Opt> = extension.options.iter().filter(|opt| opt.group != 0).collect();
        if !group.is_empty() && self.random.percent(98) {
            chosen.push(*self.random.pick(&group));
        }
        // A rule rarely uses all of an extension's options at once.
        let sparse = if self.random.percent(70) { 2 } else { 1 };
        for opt in extension.options.iter().filter(|opt| opt.group == 0) {
            let chance = if chosen.len() >= 2 { opt.chance / sparse } else { opt.chance };
            if self.random.percent(chance) {
                chosen.push(opt);
            }
        }
        // Most extensions want at least one of their main options.
        if chosen.is_empty() && self.random.percent(95) {
            let main: Vec<&Opt> = extension.options.iter().filter(|opt| opt.chance >= 50).collect();
            chosen.extend((!main.is_empty()).then(|| *self.random.pick(&main)));
        }
        self.random.shuffle(&mut chosen);
        chosen.into_iter().flat_map(|opt| self.option(opt)).collect()
    }

    fn option(&mut self, opt: &Opt) -> Vec<Vec<u8>> {
        let mut words = Vec::new();
        if opt.invert && self.random.percent(20) || self.random.below(400) == 0 {
            words.push(b"!".to_vec());
        }
        let mut name = self.random.word(opt.names).as_bytes().to_vec();
        if self.random.percent(4) {
            name.truncate(name.len() - self.random.below(name.len() - 2));
        }
        let values = opt.value.map(|value| value.words(self.random, self.v6)).unwrap_or_default();
        if values.len() == 1 && self.random.percent(3) {
            name.push(b'=');
            name.extend(&values[0]);
            words.push(name);
        } else {
            words.push(name);
            words.extend(values);
        }
        words
    }

    /// The pieces in an order that stock takes: mostly as usual, sometimes shuffled.
    fn assemble(mut self) -> Vec<Vec<u8>> {
        if self.random.percent(25) {
            self.random.shuffle(&mut self.pieces);
        }
        self.pieces.concat()
    }
}

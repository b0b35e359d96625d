//! What the kernel holds, as text: every table, chain and rule with all attribute bytes, handles excepted.
//!
//! Numbers of attributes stand for themselves (`linux/netfilter/nf_tables.h`); only nests are known here, so an attribute
//! that this file never heard of is still shown, as hex. Tables and chains are sorted by name (their order cannot be seen
//! by iptables), rules keep the kernel's order.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;

use crate::netlink::{Attributes, GET_CHAIN, GET_RULE, GET_TABLE, Netlink, UNSPEC};

/// A chain: its attributes but handle and names, and its rules.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Chain {
    /// Hook, policy, type, counters, flags, use, userdata: as `number=hex`.
    pub attributes: String,
    /// One text per rule, in order.
    pub rules: Vec<String>,
    /// The kernel's handle of each rule; not part of equality in [`Dump::lines`].
    pub handles: Vec<u64>,
}

/// A table: its attributes but handle and name, and its chains by name.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Table {
    /// Flags, use, userdata, owner: as `number=hex`.
    pub attributes: String,
    /// The chains, sorted by name.
    pub chains: BTreeMap<String, Chain>,
}

/// All tables by family number and name.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Dump {
    /// The tables, sorted.
    pub tables: BTreeMap<(u8, String), Table>,
}

impl Dump {
    /// Reads the namespace in which `netlink` was opened.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn read(netlink: &mut Netlink) -> io::Result<Self> {
        let mut dump = Self::default();
        netlink.dump(GET_TABLE, UNSPEC, &[], |family, attributes| {
            let name = text(attributes, 1);
            let attributes = plain(attributes, &[1, 4, 5]);
            dump.tables.insert((family, name), Table { attributes, chains: BTreeMap::new() });
        })?;
        netlink.dump(GET_CHAIN, UNSPEC, &[], |family, attributes| {
            let table = dump.tables.entry((family, text(attributes, 1))).or_default();
            let chain = table.chains.entry(text(attributes, 3)).or_default();
            chain.attributes = plain(attributes, &[1, 2, 3, 9, 11]);
        })?;
        netlink.dump(GET_RULE, UNSPEC, &[], |family, attributes| {
            let table = dump.tables.entry((family, text(attributes, 1))).or_default();
            let chain = table.chains.entry(text(attributes, 2)).or_default();
            chain.rules.push(rule(attributes));
            chain.handles.push(number(attributes, 3));
        })?;
        Ok(dump)
    }

    /// The whole as lines, for comparing and showing.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for ((family, name), table) in &self.tables {
            lines.push(format!("table {family} {name} {}", table.attributes));
            for (name, chain) in &table.chains {
                lines.push(format!("  chain {name} {}", chain.attributes));
                lines.extend(chain.rules.iter().map(|rule| format!("    {rule}")));
            }
        }
        lines
    }

    /// How many rules there are in all tables.
    #[must_use]
    pub fn rule_count(&self) -> usize {
        self.tables.values().flat_map(|t| t.chains.values()).map(|c| c.rules.len()).sum()
    }
}

/// A rule's text: its expressions with all their attributes, then whatever else it carries.
fn rule(attributes: &[u8]) -> String {
    let mut out = String::new();
    for (kind, payload) in Attributes(attributes) {
        match kind {
            // NFTA_RULE_TABLE, _CHAIN, _HANDLE, _POSITION, _PAD
            1..=3 | 6 | 8 => {}
            // NFTA_RULE_EXPRESSIONS
            4 => Attributes(payload).for_each(|(_, element)| expression(&mut out, element)),
            _ => write_attribute(&mut out, kind, payload),
        }
    }
    out.trim_end().to_owned()
}

fn expression(out: &mut String, element: &[u8]) {
    let name = text(element, 1);
    let _ = write!(out, "[{name}");
    for (_, data) in Attributes(element).filter(|(kind, _)| *kind == 2) {
        for (kind, payload) in Attributes(data) {
            out.push(' ');
            let payload =
                if (name.as_str(), kind) == ("match", 3) { tidy_recent(data, payload) } else { payload.to_vec() };
            expression_attribute(out, &name, kind, &payload);
        }
    }
    out.push_str("] ");
}

/// `xt_recent` names may carry old bytes of the writing program behind their NUL: cuts them off.
fn tidy_recent(data: &[u8], info: &[u8]) -> Vec<u8> {
    let mut info = info.to_vec();
    // struct xt_recent_mtinfo_v1: u32 seconds, u32 hit_count, u8 check_set, u8 invert, char name[200], u8 side, mask
    if text(data, 1) == "recent"
        && let Some(name) = info.get_mut(10..210)
        && let Some(end) = name.iter().position(|byte| *byte == 0)
    {
        name[end..].fill(0);
    }
    info
}

fn expression_attribute(out: &mut String, name: &str, kind: u16, payload: &[u8]) {
    let data = matches!((name, kind), ("cmp" | "range", 3 | 4) | ("bitwise", 4 | 5 | 7) | ("immediate", 2));
    match (name, kind) {
        ("match" | "target", 1) | ("lookup" | "dynset", 1) | ("objref", 2 | 4) => {
            let _ = write!(out, "{kind}={}", string(payload));
        }
        ("cmp", 3) | (_, 4 | 5 | 7 | 2 | 3) if data => {
            let _ = write!(out, "{kind}{{");
            for (kind, payload) in Attributes(payload) {
                // NFTA_DATA_VERDICT holds code and chain
                if kind == 2 {
                    Attributes(payload).for_each(|(kind, payload)| write_attribute(out, 100 + kind, payload));
                } else {
                    write_attribute(out, kind, payload);
                }
            }
            if out.ends_with(' ') {
                out.pop();
            }
            out.push('}');
        }
        _ => {
            write_attribute(out, kind, payload);
            out.pop();
        }
    }
}

fn plain(attributes: &[u8], without: &[u16]) -> String {
    let mut out = String::new();
    for (kind, payload) in Attributes(attributes).filter(|(kind, _)| !without.contains(kind)) {
        write_attribute(&mut out, kind, payload);
    }
    out.trim_end().to_owned()
}

fn write_attribute(out: &mut String, kind: u16, payload: &[u8]) {
    let _ = write!(out, "{kind}=");
    for byte in payload {
        let _ = write!(out, "{byte:02x}");
    }
    out.push(' ');
}

fn text(attributes: &[u8], kind: u16) -> String {
    Attributes(attributes).find(|(k, _)| *k == kind).map(|(_, payload)| string(payload)).unwrap_or_default()
}

fn number(attributes: &[u8], kind: u16) -> u64 {
    let payload = Attributes(attributes).find(|(k, _)| *k == kind).map_or(&[][..], |(_, payload)| payload);
    payload.first_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

fn string(payload: &[u8]) -> String {
    let end = payload.iter().position(|byte| *byte == 0).unwrap_or(payload.len());
    payload.get(..end).unwrap_or_default().escape_ascii().to_string()
}

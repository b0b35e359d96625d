//! Rules as JSON: what `--json` prints and `oxtables restore --json` reads.
//!
//! The form is documented in `docs/json.md` and, for machines, in `docs/rules.schema.json`; both change together with [`SCHEMA`]. A rule's
//! `text` is the truth; its `parts` are the same, taken apart, and a document in which the two differ is refused. Texts are bytes: what is
//! not UTF-8 is written as `{"hex": "…"}`. Sources: iptables-save(8) for what a listing holds; RFC 8259.

mod build;
mod parts;
pub mod restore;

pub use build::{Asked, document};
pub use parts::Parts;

use crate::types::{Counters, Family};
use serde::{Deserialize, Serialize};

/// The name and version of the form. A number is added to it when a reader of the old form would misread the new one.
pub const SCHEMA: &str = "oxtables-rules/1";

/// One family's rules, or a part of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// [`SCHEMA`].
    pub schema: String,
    /// The program that wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generator: Option<String>,
    /// The family of all of it.
    pub family: FamilyName,
    /// The tables in the order of iptables-save.
    pub tables: Vec<Table>,
}

/// A family by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum FamilyName {
    Ipv4,
    Ipv6,
}

/// A table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Its name.
    pub name: Text,
    /// Whether all its chains with all their rules are here: one that is not can only be restored beside what is there.
    pub whole: bool,
    /// The built-in chains in the order of their hooks, then the others by name.
    pub chains: Vec<Chain>,
    /// Base chains of other programs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub foreign_chains: Vec<ForeignChain>,
}

/// A chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Chain {
    /// Its name.
    pub name: Text,
    /// What becomes of packets that no rule decided on; only a built-in chain has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Policy>,
    /// How many packets that were, and their bytes; only of a built-in chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counters: Option<CountersOf>,
    /// How many rules lead to it; only of a user's chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub references: Option<u32>,
    /// The kernel's handle, unique in the table; absent while the kernel does not have the chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle: Option<u64>,
    /// Its rules in order.
    pub rules: Vec<Rule>,
}

/// The policies of built-in chains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Policy {
    Accept,
    Drop,
}

/// Packets and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the names say it")]
pub struct CountersOf {
    pub packets: u64,
    pub bytes: u64,
}

/// A rule: either `text` (and `parts`), or `opaque`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its number in the chain, from 1; a document may leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
    /// The kernel's handle, unique in the table; not read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handle: Option<u64>,
    /// Packets that met it, and their bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counters: Option<CountersOf>,
    /// The rule as `-S` prints it, from `-A` on. A document may have `parts` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Text>,
    /// The rule taken apart. A document may have `text` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<Parts>,
    /// In place of both: what nft(8) would call a rule that iptables has no words for. It cannot be restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opaque: Option<Text>,
}

/// A base chain that is not iptables'.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForeignChain {
    /// Its name.
    pub name: Text,
    /// Its type: `filter`, `nat` or `route`.
    #[serde(rename = "type")]
    pub kind: Text,
    /// Its hook, as nft(8) calls it, or its number.
    pub hook: String,
    /// Its priority; lower runs earlier.
    pub priority: i32,
    /// What becomes of packets that no rule decided on.
    pub policy: Policy,
    /// Its rules in words.
    pub rules: Vec<Text>,
}

/// Bytes as JSON: a string if they are UTF-8, else their hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Text {
    Plain(String),
    Hex { hex: String },
}

impl Text {
    /// Of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Self::Plain(text.to_owned()),
            Err(_) => Self::Hex { hex: bytes.iter().map(|b| format!("{b:02x}")).collect() },
        }
    }

    /// The bytes; `None` if the digits are not pairs of hexadecimal ones, or if a NUL is among them, which no argument can hold.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        let bytes = match self {
            Self::Plain(text) => text.as_bytes().to_vec(),
            Self::Hex { hex } => {
                let digit = |b: u8| char::from(b).to_digit(16).and_then(|n| u8::try_from(n).ok());
                let pair = |pair: &[u8]| match *pair {
                    [high, low] => Some(digit(high)? << 4 | digit(low)?),
                    _ => None,
                };
                hex.as_bytes().chunks(2).map(pair).collect::<Option<_>>()?
            }
        };
        (!bytes.contains(&0)).then_some(bytes)
    }
}

impl From<Family> for FamilyName {
    fn from(family: Family) -> Self {
        match family {
            Family::V4 => Self::Ipv4,
            Family::V6 => Self::Ipv6,
        }
    }
}

impl From<FamilyName> for Family {
    fn from(name: FamilyName) -> Self {
        match name {
            FamilyName::Ipv4 => Self::V4,
            FamilyName::Ipv6 => Self::V6,
        }
    }
}

impl From<Counters> for CountersOf {
    fn from(c: Counters) -> Self {
        Self { packets: c.packets, bytes: c.bytes }
    }
}

impl Document {
    /// The document as text, with a newline at its end.
    pub fn print(&self) -> Vec<u8> {
        // Nothing in it can fail to be written: its keys are strings, and it is written to memory.
        let mut text = serde_json::to_vec_pretty(self).unwrap_or_default();
        text.push(b'\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_text_come_back() {
        for bytes in [&b"a b"[..], b"", b"\xff\x80x", "é".as_bytes(), b"\n"] {
            let json = serde_json::to_string(&Text::of(bytes)).unwrap();
            assert_eq!(serde_json::from_str::<Text>(&json).unwrap().bytes().as_deref(), Some(bytes), "{json}");
        }
        assert_eq!(serde_json::to_string(&Text::of(b"\xff")).unwrap(), r#"{"hex":"ff"}"#);
        for wrong in ["f", "0g", "00"] {
            assert_eq!(Text::Hex { hex: wrong.to_owned() }.bytes(), None, "{wrong}");
        }
        assert_eq!(Text::Plain("a\0".to_owned()).bytes(), None);
    }
}

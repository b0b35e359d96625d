//! The operations of a batch, in the words of stock's error texts (fact sheet 1.6).

use std::fmt;

/// What a message does, in the words of stock's error texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OpKind {
    /// A table is created.
    TableAdd,
    /// A table is deleted with all that is in it (a restore without `-n`).
    TableFlush,
    /// A base chain is created.
    ChainAdd,
    /// A chain is deleted.
    ChainDel,
    /// A chain is renamed.
    ChainRename,
    /// A base chain's policy is set.
    ChainUpdate,
    /// A user chain is created.
    ChainUserAdd,
    /// A user chain's rules are deleted (a restore with `-n`).
    ChainUserFlush,
    /// A base chain's counters are zeroed.
    ChainZero,
    /// A rule is appended.
    RuleAppend,
    /// A rule is inserted.
    RuleInsert,
    /// A rule is replaced.
    RuleReplace,
    /// A rule is deleted.
    RuleDelete,
    /// All rules of a chain or of a table are deleted.
    RuleFlush,
    /// A set is created.
    SetAdd,
}

impl OpKind {
    /// Stock's word for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TableAdd => "TABLE_ADD",
            Self::TableFlush => "TABLE_FLUSH",
            Self::ChainAdd => "CHAIN_ADD",
            Self::ChainDel => "CHAIN_DEL",
            Self::ChainRename => "CHAIN_RENAME",
            Self::ChainUpdate => "CHAIN_UPDATE",
            Self::ChainUserAdd => "CHAIN_USER_ADD",
            Self::ChainUserFlush => "CHAIN_USER_FLUSH",
            Self::ChainZero => "CHAIN_ZERO",
            Self::RuleAppend => "RULE_APPEND",
            Self::RuleInsert => "RULE_INSERT",
            Self::RuleReplace => "RULE_REPLACE",
            Self::RuleDelete => "RULE_DELETE",
            Self::RuleFlush => "RULE_FLUSH",
            Self::SetAdd => "SET_ADD",
        }
    }
}

impl fmt::Display for OpKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an operation is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A table.
    Table(Vec<u8>),
    /// A chain.
    Chain(Vec<u8>),
    /// A rule in this chain.
    RuleIn(Vec<u8>),
    /// A set.
    Set(Vec<u8>),
}

impl What {
    /// Stock's words: `rule in chain X`, `chain X`, `table X`, `set X`.
    pub fn text(&self) -> Vec<u8> {
        let (kind, name): (&[u8], _) = match self {
            Self::Table(name) => (b"table ", name),
            Self::Chain(name) => (b"chain ", name),
            Self::RuleIn(name) => (b"rule in chain ", name),
            Self::Set(name) => (b"set ", name),
        };
        [kind, name].concat()
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.text()))
    }
}

/// An operation of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Op {
    /// The line of the restore file that asked for it; 0 if there is no file.
    pub line: u32,
    /// What it does.
    pub kind: OpKind,
    /// What it does it to.
    pub what: What,
}

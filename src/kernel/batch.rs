//! A batch: the changes of one transaction as a value.
//!
//! The messages lie encoded one after another; beside each stands a record of 16 bytes that says which operation of which line it is.
//! Message `i` has sequence number `i + 2`, as `BATCH_BEGIN` has 1; begin and end are added by whoever sends, because the generation id is
//! known only then. Encoding a rule allocates nothing but the buffer's growth. Sources: fact sheet 1.4, 1.6, 2.6.

use super::error::{ENOENT, Refusal};
use super::native::Lowered;
use super::op::{Op, OpKind, What};
use crate::compile::describe;
use crate::model::BuiltinChain;
use crate::types::{Counters, Family, Out};
use crate::wire::consts::*;
use crate::wire::{ExprWriter, Header, Mark, MessageIter, Writer};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

/// Where a new rule goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RulePlace {
    /// At the end of the chain.
    Append,
    /// At its start.
    First,
    /// Before the rule with this handle.
    Before(u64),
    /// Before the rule of this batch with this id ([`Batch::set_rule_id`]).
    BeforeId(u32),
    /// In place of the rule with this handle, which it takes over.
    Replace(u64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WhatKind {
    Table,
    Chain,
    RuleIn,
    /// A set that a rule of this chain brings with it: it is refused as its rule is.
    SetFor,
}

/// The record of one message.
#[derive(Clone, Copy, Debug)]
struct Record {
    /// Where its message starts, in bytes.
    at: u32,
    line: u32,
    /// Index into the interned names.
    name: u32,
    kind: OpKind,
    what: WhatKind,
}

/// Names, each once; the last one is found without a search.
#[derive(Clone, Debug, Default)]
struct Interner {
    names: Vec<Box<[u8]>>,
    index: BTreeMap<Box<[u8]>, u32>,
    last: u32,
}

impl Interner {
    fn intern(&mut self, name: &[u8]) -> u32 {
        if self.get(self.last) == Some(name) {
            return self.last;
        }
        self.last = if let Some(known) = self.index.get(name) {
            *known
        } else {
            let new = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
            self.names.push(name.into());
            self.index.insert(name.into(), new);
            new
        };
        self.last
    }

    fn get(&self, index: u32) -> Option<&[u8]> {
        self.names.get(usize::try_from(index).ok()?).map(AsRef::as_ref)
    }
}

/// The changes of one transaction.
#[derive(Clone, Debug)]
pub struct Batch {
    family: Family,
    w: Writer,
    records: Vec<Record>,
    names: Interner,
    line: u32,
    rule_id: Option<u32>,
    /// The id of the next set.
    next_set: u32,
    /// Indices of rules over [`LISTABLE_MAX`].
    unlistable: Vec<usize>,
}

/// How far a batch had got.
#[derive(Clone, Copy, Debug)]
pub struct BatchMark {
    messages: usize,
    bytes: usize,
    overflowed: bool,
}

/// The sequence number of the first message.
const FIRST_SEQ: u32 = 2;

/// The longest message in bytes that may make a rule. The kernel takes longer ones, but a dump ends in silence before a rule that does not
/// fit one of its buffers (32,448 bytes, tried on 6.18), and a dumped rule is longer than what made it: handles, `NFTA_BITWISE_OP`.
const LISTABLE_MAX: usize = 31 * 1024;

impl Batch {
    /// An empty batch for a family's tables.
    pub fn new(family: Family) -> Self {
        Self {
            family,
            w: Writer::new(),
            records: Vec::new(),
            names: Interner::default(),
            line: 0,
            rule_id: None,
            next_set: 1,
            unlistable: Vec::new(),
        }
    }

    /// The messages that follow are about another family's tables; all are one transaction.
    pub fn set_family(&mut self, family: Family) {
        self.family = family;
    }

    /// The family that the next message is about.
    pub fn family(&self) -> Family {
        self.family
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// How many messages there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// The messages, without `BATCH_BEGIN` and `BATCH_END`.
    pub fn as_bytes(&self) -> &[u8] {
        self.w.as_bytes()
    }

    /// Whether some length did not fit its field; such a batch cannot be sent.
    pub fn overflowed(&self) -> bool {
        self.w.overflowed()
    }

    /// The line that the following messages belong to.
    pub fn set_line(&mut self, line: u32) {
        self.line = line;
    }

    /// The line that the next message belongs to.
    pub fn line(&self) -> u32 {
        self.line
    }

    /// The refusal of an operation that cannot even be asked for, because what it is about is not known to the kernel yet.
    pub fn refused(&self, kind: OpKind, chain: &[u8]) -> Refusal {
        let op = Op { line: self.line, kind, what: What::Chain(chain.to_vec()) };
        Refusal { op, errno: ENOENT, message: None }
    }

    /// Gives the next rule an id by which later messages of this batch name it.
    pub fn set_rule_id(&mut self, id: u32) {
        self.rule_id = Some(id);
    }

    /// The place up to which [`Batch::undo`] takes back.
    pub fn mark(&self) -> BatchMark {
        BatchMark { messages: self.records.len(), bytes: self.w.len(), overflowed: self.w.overflowed() }
    }

    /// Takes back every message since `mark`.
    pub fn undo(&mut self, mark: BatchMark) {
        self.records.truncate(mark.messages);
        self.w.rewind(mark.bytes, mark.overflowed);
        self.unlistable.retain(|i| *i < mark.messages);
        self.rule_id = None;
    }

    /// Empties it and keeps its room.
    pub fn clear(&mut self) {
        self.w.clear();
        self.records.clear();
        self.names = Interner::default();
        self.line = 0;
        self.rule_id = None;
        self.unlistable.clear();
    }

    /// The operation of message `i`.
    pub fn op(&self, i: usize) -> Option<Op> {
        let record = self.records.get(i)?;
        let name = self.names.get(record.name).unwrap_or_default().to_vec();
        let what = match record.what {
            WhatKind::Table => What::Table(name),
            WhatKind::Chain => What::Chain(name),
            WhatKind::RuleIn | WhatKind::SetFor => What::RuleIn(name),
        };
        Some(Op { line: record.line, kind: record.kind, what })
    }

    /// The operations whose rules are so large that no program could list them, and with them the rest of their chain.
    pub fn unlistable(&self) -> impl Iterator<Item = Op> {
        self.unlistable.iter().filter_map(|i| self.op(*i))
    }

    /// The operation that a sequence number stands for.
    pub fn op_of_seq(&self, seq: u32) -> Option<Op> {
        self.op(usize::try_from(seq.checked_sub(FIRST_SEQ)?).ok()?)
    }

    fn begin(&mut self, ty: u16, flags: u16, kind: OpKind, what: WhatKind, name: &[u8]) -> Mark {
        let at = u32::try_from(self.w.len()).unwrap_or(u32::MAX);
        let seq = u32::try_from(self.records.len()).unwrap_or(u32::MAX).saturating_add(FIRST_SEQ);
        let name = self.names.intern(name);
        self.records.push(Record { at, line: self.line, name, kind, what });
        self.w.begin((NFNL_SUBSYS_NFTABLES << 8) | ty, NLM_F_REQUEST | flags, seq, self.family.nfproto(), 0)
    }

    /// Creates a table, unless it is there.
    pub fn add_table(&mut self, name: &[u8]) {
        let m = self.begin(NFT_MSG_NEWTABLE, NLM_F_CREATE, OpKind::TableAdd, WhatKind::Table, name);
        self.w.text(NFTA_TABLE_NAME, name);
        self.w.end(m);
    }

    /// Deletes a table with all that is in it.
    pub fn delete_table(&mut self, name: &[u8]) {
        let m = self.begin(NFT_MSG_DELTABLE, 0, OpKind::TableFlush, WhatKind::Table, name);
        self.w.text(NFTA_TABLE_NAME, name);
        self.w.end(m);
    }

    /// Creates a base chain or, if it is there, changes its policy (`NF_ACCEPT`, `NF_DROP`) and sets its counters, as far as given.
    /// `kind` is [`OpKind::ChainAdd`], [`OpKind::ChainUpdate`] or [`OpKind::ChainZero`].
    pub fn add_base_chain(
        &mut self,
        table: &[u8],
        chain: &BuiltinChain,
        policy: Option<u32>,
        counters: Option<Counters>,
        kind: OpKind,
    ) {
        let flags = if kind == OpKind::ChainUpdate { 0 } else { NLM_F_CREATE };
        let m = self.begin(NFT_MSG_NEWCHAIN, flags, kind, WhatKind::Chain, chain.name);
        self.w.text(NFTA_CHAIN_TABLE, table);
        self.w.text(NFTA_CHAIN_NAME, chain.name);
        let hook = self.w.nest(NFTA_CHAIN_HOOK);
        self.w.u32(NFTA_HOOK_HOOKNUM, chain.hook.num());
        self.w.u32(NFTA_HOOK_PRIORITY, chain.priority.cast_unsigned());
        self.w.close(hook);
        if let Some(policy) = policy {
            self.w.u32(NFTA_CHAIN_POLICY, policy);
        }
        if let Some(Counters { packets, bytes }) = counters {
            let nest = self.w.nest(NFTA_CHAIN_COUNTERS);
            self.w.u64(NFTA_COUNTER_PACKETS, packets);
            self.w.u64(NFTA_COUNTER_BYTES, bytes);
            self.w.close(nest);
        }
        self.w.text(NFTA_CHAIN_TYPE, chain.ty);
        self.w.end(m);
    }

    /// Creates a user chain; `exclusive` makes it an error if it is there.
    pub fn add_chain(&mut self, table: &[u8], name: &[u8], exclusive: bool) {
        let flags = if exclusive { NLM_F_EXCL } else { NLM_F_CREATE };
        let m = self.begin(NFT_MSG_NEWCHAIN, flags, OpKind::ChainUserAdd, WhatKind::Chain, name);
        self.w.text(NFTA_CHAIN_TABLE, table);
        self.w.text(NFTA_CHAIN_NAME, name);
        self.w.end(m);
    }

    /// Deletes a chain; the kernel refuses if it has rules or is jumped to.
    pub fn delete_chain(&mut self, table: &[u8], name: &[u8]) {
        let m = self.begin(NFT_MSG_DELCHAIN, NLM_F_NONREC, OpKind::ChainDel, WhatKind::Chain, name);
        self.w.text(NFTA_CHAIN_TABLE, table);
        self.w.text(NFTA_CHAIN_NAME, name);
        self.w.end(m);
    }

    /// Renames the chain with this handle.
    pub fn rename_chain(&mut self, table: &[u8], handle: u64, new: &[u8]) {
        let m = self.begin(NFT_MSG_NEWCHAIN, 0, OpKind::ChainRename, WhatKind::Chain, new);
        self.w.text(NFTA_CHAIN_TABLE, table);
        self.w.text(NFTA_CHAIN_NAME, new);
        self.w.u64(NFTA_CHAIN_HANDLE, handle);
        self.w.end(m);
    }

    /// Deletes all rules of a chain; `kind` is [`OpKind::RuleFlush`] or [`OpKind::ChainUserFlush`].
    pub fn flush_chain(&mut self, table: &[u8], chain: &[u8], kind: OpKind) {
        let what = if kind == OpKind::ChainUserFlush { WhatKind::Chain } else { WhatKind::RuleIn };
        let m = self.begin(NFT_MSG_DELRULE, 0, kind, what, chain);
        self.w.text(NFTA_RULE_TABLE, table);
        self.w.text(NFTA_RULE_CHAIN, chain);
        self.w.end(m);
    }

    /// Deletes all rules of all chains of a table.
    pub fn flush_table(&mut self, table: &[u8]) {
        let m = self.begin(NFT_MSG_DELRULE, 0, OpKind::RuleFlush, WhatKind::Table, table);
        self.w.text(NFTA_RULE_TABLE, table);
        self.w.end(m);
    }

    /// Adds a rule whose expressions `exprs` writes. `compat` is the protocol of `-p` and `NFT_RULE_COMPAT_F_*`.
    pub fn rule(
        &mut self,
        table: &[u8],
        chain: &[u8],
        place: RulePlace,
        compat: Option<(u32, u32)>,
        userdata: Option<&[u8]>,
        exprs: impl FnOnce(&mut ExprWriter<'_>),
    ) {
        self.new_rule(table, chain, place, compat, userdata, |w| exprs(&mut ExprWriter::new(w)));
    }

    /// Adds a rule whose expressions are already encoded: the payload of `NFTA_RULE_EXPRESSIONS` as it was dumped.
    pub fn raw_rule(
        &mut self,
        table: &[u8],
        chain: &[u8],
        place: RulePlace,
        compat: Option<(u32, u32)>,
        userdata: Option<&[u8]>,
        exprs: &[u8],
    ) {
        self.new_rule(table, chain, place, compat, userdata, |w| w.raw(exprs));
    }

    /// Adds a rule in native expressions, after the sets that it looks into. Its ids of sets begin at [`Batch::next_set`].
    pub fn native_rule(
        &mut self,
        table: &[u8],
        chain: &[u8],
        place: RulePlace,
        compat: Option<(u32, u32)>,
        rule: &Lowered,
    ) {
        let (_, kind) = flags_and_kind(place);
        for (id, set) in &rule.sets {
            let m = self.begin(NFT_MSG_NEWSET, NLM_F_CREATE, kind, WhatKind::SetFor, chain);
            set.write_set(&mut self.w, table, *id);
            self.w.end(m);
            let m = self.begin(NFT_MSG_NEWSETELEM, NLM_F_CREATE, kind, WhatKind::SetFor, chain);
            set.write_elements(&mut self.w, table, *id);
            self.w.end(m);
            self.next_set = self.next_set.max(id.saturating_add(1));
        }
        let userdata = Some(rule.userdata.as_slice()).filter(|u| !u.is_empty());
        self.raw_rule(table, chain, place, compat.filter(|_| rule.xt), userdata, &rule.exprs);
    }

    /// The id that the next set of this batch gets.
    pub fn next_set(&self) -> u32 {
        self.next_set
    }

    fn new_rule(
        &mut self,
        table: &[u8],
        chain: &[u8],
        place: RulePlace,
        compat: Option<(u32, u32)>,
        userdata: Option<&[u8]>,
        exprs: impl FnOnce(&mut Writer),
    ) {
        let (flags, kind) = flags_and_kind(place);
        let start = self.w.len();
        let m = self.begin(NFT_MSG_NEWRULE, flags, kind, WhatKind::RuleIn, chain);
        let w = &mut self.w;
        w.text(NFTA_RULE_TABLE, table);
        w.text(NFTA_RULE_CHAIN, chain);
        if let RulePlace::Replace(handle) = place {
            w.u64(NFTA_RULE_HANDLE, handle);
        }
        let list = w.nest(NFTA_RULE_EXPRESSIONS);
        exprs(w);
        w.close(list);
        if let Some((protocol, flags)) = compat {
            let nest = w.nest(NFTA_RULE_COMPAT);
            w.u32(NFTA_RULE_COMPAT_PROTO, protocol);
            w.u32(NFTA_RULE_COMPAT_FLAGS, flags);
            w.close(nest);
        }
        match place {
            RulePlace::Before(handle) => w.u64(NFTA_RULE_POSITION, handle),
            RulePlace::BeforeId(id) => w.u32(NFTA_RULE_POSITION_ID, id),
            RulePlace::Append | RulePlace::First | RulePlace::Replace(_) => {}
        }
        if let Some(data) = userdata {
            w.attr(NFTA_RULE_USERDATA, data);
        }
        if let Some(id) = self.rule_id.take() {
            w.u32(NFTA_RULE_ID, id);
        }
        w.end(m);
        if w.len() - start > LISTABLE_MAX {
            self.unlistable.push(self.records.len() - 1);
        }
    }

    /// Deletes the rule with this handle.
    pub fn delete_rule(&mut self, table: &[u8], chain: &[u8], handle: u64) {
        let m = self.begin(NFT_MSG_DELRULE, 0, OpKind::RuleDelete, WhatKind::RuleIn, chain);
        self.w.text(NFTA_RULE_TABLE, table);
        self.w.text(NFTA_RULE_CHAIN, chain);
        self.w.u64(NFTA_RULE_HANDLE, handle);
        self.w.end(m);
    }

    /// Deletes the rule of this batch that was given this id.
    pub fn delete_rule_id(&mut self, table: &[u8], chain: &[u8], id: u32) {
        let m = self.begin(NFT_MSG_DELRULE, 0, OpKind::RuleDelete, WhatKind::RuleIn, chain);
        self.w.text(NFTA_RULE_TABLE, table);
        self.w.text(NFTA_RULE_CHAIN, chain);
        self.w.u32(NFTA_RULE_ID, id);
        self.w.end(m);
    }

    /// Message `i`, decoded.
    pub fn message(&self, i: usize) -> Option<Header<'_>> {
        let at = usize::try_from(self.records.get(i)?.at).ok()?;
        MessageIter::new(self.as_bytes().get(at..)?).next()?.ok()
    }

    /// Where the expressions of message `i` lie in [`Batch::as_bytes`]: the payload of its `NFTA_RULE_EXPRESSIONS`.
    pub fn rules_range(&self, i: usize) -> Option<Range<usize>> {
        self.attribute_range(i, NFTA_RULE_EXPRESSIONS)
    }

    /// The userdata of the rule that message `i` makes.
    pub fn userdata(&self, i: usize) -> Option<&[u8]> {
        self.as_bytes().get(self.attribute_range(i, NFTA_RULE_USERDATA)?)
    }

    fn attribute_range(&self, i: usize, ty: u16) -> Option<Range<usize>> {
        let record = self.records.get(i)?;
        // The same number is another attribute in messages of other types.
        if !matches!(record.kind, OpKind::RuleAppend | OpKind::RuleInsert | OpKind::RuleReplace)
            || record.what == WhatKind::SetFor
        {
            return None;
        }
        let message_at = usize::try_from(record.at).ok()?;
        let (_, attrs) = self.message(i)?.nfgen().ok()?;
        for attr in crate::wire::Attrs::new(attrs) {
            let attr = attr.ok()?;
            if attr.ty == ty {
                // Headers before the payload: nlmsghdr, nfgenmsg, nlattr.
                let from = message_at + crate::wire::NLMSG_HEADER_LEN + 4 + attr.at + 4;
                return Some(from..from + attr.payload.len());
            }
        }
        None
    }
}

impl Batch {
    /// The expressions of message `i`, to change bytes of them in place.
    pub fn rules_mut(&mut self, i: usize) -> Option<&mut [u8]> {
        let range = self.rules_range(i)?;
        self.w.as_bytes_mut().get_mut(range)
    }
}

/// The flags of the message that makes a rule in a place, and what it is called.
fn flags_and_kind(place: RulePlace) -> (u16, OpKind) {
    match place {
        RulePlace::Append => (NLM_F_CREATE | NLM_F_APPEND, OpKind::RuleAppend),
        RulePlace::First | RulePlace::Before(_) | RulePlace::BeforeId(_) => (NLM_F_CREATE, OpKind::RuleInsert),
        RulePlace::Replace(_) => (NLM_F_CREATE | NLM_F_REPLACE, OpKind::RuleReplace),
    }
}

/// One line a message: the line that asked for it, the operation, and for a rule what it says.
impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Out::new();
        for (i, op) in (0..self.len()).filter_map(|i| Some((i, self.op(i)?))) {
            if op.line != 0 {
                write!(f, "line {}: ", op.line)?;
            }
            write!(f, "{} {}", op.kind, op.what)?;
            if let Some(exprs) = self.rules_range(i).and_then(|range| self.as_bytes().get(range)) {
                text.clear();
                describe(self.family, exprs, None, &mut text);
                write!(f, ": {}", String::from_utf8_lossy(text.as_bytes()))?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::builtins;
    use crate::wire::Exprs;
    use crate::wire::msg::{ChainMsg, RuleMsg};

    #[test]
    fn every_message_maps_back_to_its_operation() {
        let mut b = Batch::new(Family::V4);
        b.set_line(3);
        b.add_table(b"filter");
        b.set_line(4);
        b.rule(b"filter", b"INPUT", RulePlace::Append, Some((6, 0)), None, |x| x.counter(1, 2));
        b.delete_rule(b"filter", b"OUTPUT", 7);
        assert_eq!(b.len(), 3);
        let op = b.op_of_seq(3).unwrap();
        assert_eq!((op.line, op.kind.name(), op.what.text()), (4, "RULE_APPEND", b"rule in chain INPUT".to_vec()));
        assert_eq!(b.op_of_seq(1), None);
        assert_eq!(b.op_of_seq(5), None);
        let exprs = &b.as_bytes()[b.rules_range(1).unwrap()];
        assert_eq!(Exprs::new(exprs).count(), 1);
        assert_eq!(b.rules_range(0), None);
        let seqs: Vec<u32> = MessageIter::new(b.as_bytes()).map(|m| m.unwrap().seq).collect();
        assert_eq!(seqs, [2, 3, 4]);
    }

    #[test]
    fn chains_and_rules_read_back() {
        let mut b = Batch::new(Family::V6);
        let input = &builtins(Family::V6, b"mangle").unwrap()[3];
        b.add_base_chain(b"mangle", input, Some(1), Some(Counters { packets: 5, bytes: 6 }), OpKind::ChainAdd);
        b.set_rule_id(9);
        b.raw_rule(b"t", b"c", RulePlace::Replace(8), None, Some(b"ab"), &[]);
        let (family, attrs) = b.message(0).unwrap().nfgen().unwrap();
        let chain = ChainMsg::decode(attrs).unwrap();
        assert_eq!(family, 10);
        assert_eq!((chain.name, chain.policy, chain.counters), (&b"OUTPUT"[..], Some(1), Some((5, 6))));
        assert_eq!(chain.hook.unwrap().priority, -150);
        let (_, attrs) = b.message(1).unwrap().nfgen().unwrap();
        let rule = RuleMsg::decode(attrs).unwrap();
        assert_eq!((rule.handle, rule.userdata), (8, Some(&b"ab"[..])));
    }
}

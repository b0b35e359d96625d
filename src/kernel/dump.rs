//! Dumps: lists of objects, read whole or not at all.
//!
//! A dump during which the ruleset changed (`NLM_F_DUMP_INTR`), or that overran the socket, is begun again. A dump that the caller leaves
//! early is not read to its end: the socket is replaced instead, because each part of a long chain's dump costs the kernel a walk to it.

use super::error::*;
use super::session::{Chain, Session, Table, nft};
use crate::types::Family;
use crate::wire::consts::*;
use crate::wire::msg::{ChainMsg, ErrorMsg, RuleMsg, SetMsg, TableMsg};
use crate::wire::set::Dumped;
use crate::wire::{AnonSet, Attrs, Header, MessageIter, Writer};
use rustix::net::RecvFlags;
use std::ops::ControlFlow;

/// What a dump of rules says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// The next rule of the chain.
    Rule(&'a RuleMsg<'a>),
    /// The ruleset changed meanwhile: forget all rules seen so far, the dump begins again.
    Restart,
}

enum Part<'a> {
    Attrs(&'a [u8]),
    Restart,
}

/// How one attempt at a dump ended.
enum End {
    Whole,
    Left,
    Interrupted,
}

impl Session {
    /// All tables of a family.
    pub fn tables(&mut self, family: Family) -> Result<Vec<Table>, Error> {
        self.list(NFT_MSG_GETTABLE, family, |_| (), |attrs| Ok(Some(Table::from_msg(&TableMsg::decode(attrs)?))))
    }

    /// The chains of a table, or of all, in the kernel's order.
    pub fn chains(&mut self, family: Family, table: Option<&[u8]>) -> Result<Vec<Chain>, Error> {
        let filter = |w: &mut Writer| {
            if let Some(table) = table {
                w.text(NFTA_CHAIN_TABLE, table);
            }
        };
        // The kernel may list the chains of all tables whatever it is asked for.
        self.list(NFT_MSG_GETCHAIN, family, filter, |attrs| {
            let chain = ChainMsg::decode(attrs)?;
            Ok(table.is_none_or(|t| t == chain.table).then(|| Chain::from_msg(&chain)))
        })
    }

    /// Names and `NFT_SET_*` flags of the sets and maps of a table.
    pub fn sets(&mut self, family: Family, table: &[u8]) -> Result<Vec<(Vec<u8>, u32)>, Error> {
        let filter = |w: &mut Writer| w.text(NFTA_SET_TABLE, table);
        let sets = self.list(NFT_MSG_GETSET, family, filter, |attrs| {
            let set = SetMsg::decode(attrs)?;
            Ok((set.table == table).then(|| (set.name.to_vec(), set.flags)))
        });
        absent_is_empty(sets)
    }

    /// Whether a set of a table is of the same kind and holds just the same keys; false if there is no such set.
    pub fn set_is(&mut self, family: Family, table: &[u8], name: &[u8], wanted: &AnonSet) -> Result<bool, Error> {
        let Some(flags) = self.set_flags(family, table, name)? else { return Ok(false) };
        let filter = |w: &mut Writer| {
            w.text(NFTA_SET_ELEM_LIST_TABLE, table);
            w.text(NFTA_SET_ELEM_LIST_SET, name);
        };
        let (mut elements, mut plain) = (Dumped::default(), true);
        let dumped = self.dump(NFT_MSG_GETSETELEM, family, filter, &mut |part| {
            match part {
                Part::Attrs(attrs) => plain &= AnonSet::read_elements(attrs, &mut elements)?.is_some(),
                Part::Restart => (elements, plain) = (Dumped::default(), true),
            }
            Ok(ControlFlow::Continue(()))
        });
        match dumped {
            Err(Error::Netlink(ENOENT)) => Ok(false),
            Err(e) => Err(e),
            Ok(()) => Ok(plain && wanted.is_dumped(flags, &elements)),
        }
    }

    /// Whether the table has stateful objects (named counters, quotas …) or flowtables.
    pub fn has_objects(&mut self, family: Family, table: &[u8]) -> Result<bool, Error> {
        // NFTA_OBJ_TABLE and NFTA_FLOWTABLE_TABLE are both 1, as NFTA_SET_TABLE is.
        for message in [NFT_MSG_GETOBJ, NFT_MSG_GETFLOWTABLE] {
            let found = self.list(
                message,
                family,
                |w| w.text(NFTA_SET_TABLE, table),
                |attrs| {
                    let owner = Attrs::new(attrs).map_while(Result::ok).find(|a| a.ty == NFTA_SET_TABLE);
                    Ok(owner.is_some_and(|a| a.text() == table).then_some(()))
                },
            );
            match absent_is_empty(found) {
                Ok(found) if found.is_empty() => {}
                Ok(_) => return Ok(true),
                // The kernel has no such kind of object.
                Err(Error::Netlink(EOPNOTSUPP | EINVAL)) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(false)
    }

    /// The rules of one chain in order; `each` may break off. A chain that does not exist has no rules.
    pub fn rules(
        &mut self,
        family: Family,
        table: &[u8],
        chain: &[u8],
        each: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let filter = |w: &mut Writer| {
            w.text(NFTA_RULE_TABLE, table);
            w.text(NFTA_RULE_CHAIN, chain);
        };
        self.dump(NFT_MSG_GETRULE, family, filter, &mut |part| match part {
            Part::Attrs(attrs) => {
                let rule = RuleMsg::decode(attrs)?;
                Ok(if rule.chain == chain && rule.table == table {
                    each(Event::Rule(&rule))
                } else {
                    ControlFlow::Continue(())
                })
            }
            Part::Restart => Ok(each(Event::Restart)),
        })
    }

    fn list<T>(
        &mut self,
        message: u16,
        family: Family,
        filter: impl Fn(&mut Writer),
        decode: impl Fn(&[u8]) -> Result<Option<T>, Error>,
    ) -> Result<Vec<T>, Error> {
        let mut list = Vec::new();
        self.dump(message, family, filter, &mut |part| {
            match part {
                Part::Attrs(attrs) => list.extend(decode(attrs)?),
                Part::Restart => list.clear(),
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(list)
    }

    fn dump(
        &mut self,
        message: u16,
        family: Family,
        filter: impl Fn(&mut Writer),
        each: &mut dyn FnMut(Part<'_>) -> Result<ControlFlow<()>, Error>,
    ) -> Result<(), Error> {
        loop {
            self.prime()?;
            let seq = self.ask(nft(message), NLM_F_DUMP, family.nfproto(), &filter)?;
            // Until its end has been read, the dump occupies the socket.
            self.abandoned = true;
            match self.read_dump(seq, each)? {
                End::Whole => {
                    self.abandoned = false;
                    return Ok(());
                }
                End::Left => return Ok(()),
                End::Interrupted => {
                    if each(Part::Restart)?.is_break() {
                        return Ok(());
                    }
                }
            }
        }
    }

    fn read_dump(
        &mut self,
        seq: u32,
        each: &mut dyn FnMut(Part<'_>) -> Result<ControlFlow<()>, Error>,
    ) -> Result<End, Error> {
        loop {
            match self.receive(RecvFlags::empty()) {
                Err(Error::Netlink(ENOBUFS)) => return Ok(End::Interrupted),
                other => other?,
            }
            for message in MessageIter::new(&self.buf) {
                let message = message?;
                if message.seq != seq {
                    continue;
                }
                if message.flags & NLM_F_DUMP_INTR != 0 {
                    return Ok(End::Interrupted);
                }
                match message.ty {
                    NLMSG_DONE => return done(&message),
                    NLMSG_OVERRUN => return Ok(End::Interrupted),
                    NLMSG_ERROR => return Err(Error::from_errno(ErrorMsg::decode(&message)?.errno)),
                    _ => {
                        if each(Part::Attrs(message.nfgen()?.1))?.is_break() {
                            return Ok(End::Left);
                        }
                    }
                }
            }
        }
    }
}

/// The end of a dump carries its result: a negative error number, or not.
fn done(message: &Header<'_>) -> Result<End, Error> {
    let result = message.payload.first_chunk().map_or(0, |b| i32::from_ne_bytes(*b));
    match result.saturating_neg() {
        errno if errno <= 0 => Ok(End::Whole),
        EINTR | EAGAIN => Ok(End::Interrupted),
        errno => Err(Error::from_errno(errno)),
    }
}

/// A table that does not exist has nothing in it.
fn absent_is_empty<T>(list: Result<Vec<T>, Error>) -> Result<Vec<T>, Error> {
    match list {
        Err(Error::Netlink(ENOENT)) => Ok(Vec::new()),
        other => other,
    }
}

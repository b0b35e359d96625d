//! The nf_tables session: requests, answers, and the commit of a batch.
//!
//! One socket. It is connected to the kernel, so that no other process can put messages into it, and asks for extended acks without a
//! copy of the request in them. The kernel works in our own system call: when `send` returns, the answer (or the first part of a dump) is queued.
//! Sources: netlink(7), `linux/netfilter/nfnetlink.h`, fact sheet 1.4, 1.5; flat-cost.md §7 for buffer sizes.

use super::batch::Batch;
use super::error::*;
use crate::types::{Counters, Family};
use crate::wire::consts::*;
use crate::wire::msg::{ChainMsg, ErrorMsg, SetMsg, TableMsg, decode_generation};
use crate::wire::{DecodeError, Expr, Exprs, MessageIter, Writer};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, sockopt};
use std::cell::Cell;
use std::io::IoSlice;

/// Room for one answer in bytes. The kernel's dump buffers are at most 32 KiB, but it fills them only if the reader offers as much.
const ANSWER_MAX: usize = 64 * 1024;

/// What netlink_sendmsg() wants free in the send buffer beside the message, in bytes.
const SEND_OVERHEAD: usize = 64;

/// The sequence number of `BATCH_BEGIN`.
const BEGIN_SEQ: u32 = 1;

/// A table as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Name.
    pub name: Vec<u8>,
    /// `NFT_TABLE_F_*`.
    pub flags: u32,
    /// Number of chains, sets and objects inside.
    pub uses: u32,
}

/// What only a base chain has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseChain {
    /// `NF_INET_*`.
    pub hook: u32,
    /// Priority; lower runs earlier.
    pub priority: i32,
    /// `filter`, `nat` or `route`.
    pub ty: Vec<u8>,
    /// `NF_ACCEPT` or `NF_DROP`.
    pub policy: u32,
}

/// A chain as the kernel has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Table.
    pub table: Vec<u8>,
    /// Name.
    pub name: Vec<u8>,
    /// Handle, unique in the table.
    pub handle: u64,
    /// Present if it hangs at a hook.
    pub base: Option<BaseChain>,
    /// Policy counters, if it counts.
    pub counters: Option<Counters>,
    /// Rules in it plus jumps to it.
    pub uses: u32,
}

impl Chain {
    pub(super) fn from_msg(m: &ChainMsg<'_>) -> Self {
        let base = m.hook.map(|hook| BaseChain {
            hook: hook.num,
            priority: hook.priority,
            ty: m.ty.unwrap_or_default().to_vec(),
            policy: m.policy.unwrap_or(NF_ACCEPT.cast_unsigned()),
        });
        let counters = m.counters.map(|(packets, bytes)| Counters { packets, bytes });
        Self { table: m.table.to_vec(), name: m.name.to_vec(), handle: m.handle, base, counters, uses: m.uses }
    }
}

impl Chain {
    /// Whether these can be all of its rules. The kernel cuts a listing short in silence before a rule that does not fit its buffer
    /// (32 KiB); in a base chain, which nothing can jump to, the number of rules tells.
    pub fn can_have(&self, rules: u32) -> bool {
        if self.base.is_some() { rules == self.uses } else { rules <= self.uses }
    }
}

impl Table {
    pub(super) fn from_msg(m: &TableMsg<'_>) -> Self {
        Self { name: m.name.to_vec(), flags: m.flags, uses: m.uses }
    }
}

/// A connection to nf_tables in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Session {
    socket: Socket,
    /// Room for one answer; taken out while it is read.
    pub(super) buf: Vec<u8>,
    request: Writer,
    seq: u32,
    /// A dump was left half read: the socket is replaced before its next use.
    pub(super) abandoned: bool,
    /// An answer was received on this socket, so the kernel knows that we take long ones (see [`Session::prime`]).
    primed: bool,
    /// xt extensions that this session acts as if the kernel did not have.
    without: &'static [&'static str],
}

thread_local! {
    static WITHOUT: Cell<&'static [&'static str]> = const { Cell::new(&[]) };
}

/// Runs `work` with sessions that act as if the kernel lacked these xt extensions, for tests of what is done then: every kernel that they
/// run on has them.
pub fn as_if_without<T>(extensions: &'static [&'static str], work: impl FnOnce() -> T) -> T {
    let before = WITHOUT.replace(extensions);
    let done = work();
    WITHOUT.set(before);
    done
}

fn open_socket() -> Result<Socket, Error> {
    let errno = |e: std::io::Error| match e.raw_os_error().unwrap_or(EINVAL) {
        EPROTONOSUPPORT | EAFNOSUPPORT => Error::NoNfTables,
        other => Error::from_errno(other),
    };
    let socket = Socket::new(NETLINK_NETFILTER).map_err(errno)?;
    socket.connect(&SocketAddr::new(0, 0)).map_err(errno)?;
    // Without these two, errors come without words and with a copy of the request: worse, but right.
    let _ = socket.set_ext_ack(true);
    let _ = socket.set_cap_ack(true);
    Ok(socket)
}

impl Session {
    /// Opens a session; this alone needs no permission.
    pub fn open() -> Result<Self, Error> {
        let socket = open_socket()?;
        let buf = Vec::with_capacity(ANSWER_MAX);
        Ok(Self {
            socket,
            buf,
            request: Writer::new(),
            seq: 0,
            abandoned: false,
            primed: false,
            without: WITHOUT.get(),
        })
    }

    /// The id of the ruleset's generation; every commit of anybody changes it.
    pub fn generation(&mut self) -> Result<u32, Error> {
        let got = self.get(nft(NFT_MSG_GETGEN), 0, |_| (), decode_generation);
        match got {
            Ok(Some(id)) => Ok(id),
            // Nothing is there to be absent or wrong in this request: nobody has registered for the subsystem.
            Ok(None) | Err(Error::Netlink(EINVAL | EOPNOTSUPP)) => Err(Error::NoNfTables),
            Err(e) => Err(e),
        }
    }

    /// A table by name.
    pub fn table(&mut self, family: Family, name: &[u8]) -> Result<Option<Table>, Error> {
        self.get(
            nft(NFT_MSG_GETTABLE),
            family.nfproto(),
            |w| w.text(NFTA_TABLE_NAME, name),
            |attrs| Ok(Table::from_msg(&TableMsg::decode(attrs)?)),
        )
    }

    /// A chain by name.
    pub fn chain(&mut self, family: Family, table: &[u8], name: &[u8]) -> Result<Option<Chain>, Error> {
        self.get(
            nft(NFT_MSG_GETCHAIN),
            family.nfproto(),
            |w| {
                w.text(NFTA_CHAIN_TABLE, table);
                w.text(NFTA_CHAIN_NAME, name);
            },
            |attrs| Ok(Chain::from_msg(&ChainMsg::decode(attrs)?)),
        )
    }

    /// `NFT_SET_*` of a set by name.
    pub(super) fn set_flags(&mut self, family: Family, table: &[u8], name: &[u8]) -> Result<Option<u32>, Error> {
        self.get(
            nft(NFT_MSG_GETSET),
            family.nfproto(),
            |w| {
                w.text(NFTA_SET_TABLE, table);
                w.text(NFTA_SET_NAME, name);
            },
            |attrs| Ok(SetMsg::decode(attrs)?.flags),
        )
    }

    /// Sets the counters (and quotas) of a rule to nought in place, without a transaction; false if the kernel (before 6.2) cannot.
    pub fn reset_rule(&mut self, family: Family, table: &[u8], chain: &[u8], handle: u64) -> Result<bool, Error> {
        let got = self.get(
            nft(NFT_MSG_GETRULE_RESET),
            family.nfproto(),
            |w| {
                w.text(NFTA_RULE_TABLE, table);
                w.text(NFTA_RULE_CHAIN, chain);
                w.u64(NFTA_RULE_HANDLE, handle);
            },
            |_| Ok(()),
        );
        match got {
            Ok(_) => Ok(true),
            Err(Error::Netlink(EINVAL | EOPNOTSUPP)) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Whether the kernel has this revision of an xt match or, with `target`, target.
    pub fn supports(&mut self, name: &str, revision: u32, target: bool, family: Family) -> Result<bool, Error> {
        if self.without.contains(&name) {
            return Ok(false);
        }
        let ty = (NFNL_SUBSYS_NFT_COMPAT << 8) | NFNL_MSG_COMPAT_GET;
        let got = self.get(
            ty,
            family.nfproto(),
            |w| {
                w.text(NFTA_COMPAT_NAME, name.as_bytes());
                w.u32(NFTA_COMPAT_REV, revision);
                w.u32(NFTA_COMPAT_TYPE, u32::from(target));
            },
            |_| Ok(()),
        );
        match got {
            Ok(found) => Ok(found.is_some()),
            // The name exists without that revision; or there is no nft_compat at all.
            Err(Error::Netlink(EPROTONOSUPPORT | EINVAL | EOPNOTSUPP)) => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Applies a batch as one transaction, if the ruleset is still of this generation (any, if none is given). An empty batch only checks that.
    pub fn commit(&mut self, batch: &Batch, generation: Option<u32>) -> Result<(), CommitError> {
        if batch.is_empty() && generation.is_none() {
            return Ok(());
        }
        if batch.overflowed() || u32::try_from(batch.as_bytes().len()).is_err() {
            return Err(Error::TooLarge.into());
        }
        let unlistable: Vec<_> = batch.unlistable().map(Refusal::unlistable).collect();
        if !unlistable.is_empty() {
            return Err(CommitError::Refused(unlistable));
        }
        let lacked = self.lacked(batch);
        if !lacked.is_empty() {
            return Err(CommitError::Refused(lacked));
        }
        self.ready()?;
        let mut begin = Writer::new();
        let m = begin.begin(NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST, BEGIN_SEQ, 0, NFNL_SUBSYS_NFTABLES);
        if let Some(id) = generation {
            begin.u32(NFNL_BATCH_GENID, id);
        }
        begin.end(m);
        let mut end = Writer::new();
        let m = end.begin(NFNL_MSG_BATCH_END, NLM_F_REQUEST, 0, 0, NFNL_SUBSYS_NFTABLES);
        end.end(m);
        self.make_room_for_answers(batch.len());
        self.send_all(&[begin.as_bytes(), batch.as_bytes(), end.as_bytes()])?;
        self.outcome(batch)
    }

    /// What a kernel without the xt extensions that are played to be missing would refuse.
    fn lacked(&self, batch: &Batch) -> Vec<Refusal> {
        let exprs = |i| batch.rules_range(i).and_then(|range| batch.as_bytes().get(range)).unwrap_or_default();
        let lacks = |i: &usize| {
            Exprs::new(exprs(*i)).flatten().any(|expr| match expr {
                Expr::Match { name, .. } | Expr::Target { name, .. } => {
                    self.without.iter().any(|w| w.as_bytes() == name)
                }
                _ => false,
            })
        };
        let messages = if self.without.is_empty() { 0..0 } else { 0..batch.len() };
        let ops = messages.filter(lacks).filter_map(|i| batch.op(i));
        ops.map(|op| Refusal { op, errno: ENOENT, message: None }).collect()
    }

    /// Refusals come one message each, all before `send` returns; a small batch fits the default buffer.
    fn make_room_for_answers(&self, messages: usize) {
        const FEW: usize = 128;
        const ANSWER: usize = 1024;
        if messages > FEW {
            let size = messages.saturating_mul(ANSWER).min(1 << 28);
            // If neither works, refusals may be lost, and `outcome` says so.
            if sockopt::set_socket_recv_buffer_size_force(&self.socket, size).is_err() {
                let _ = sockopt::set_socket_recv_buffer_size(&self.socket, size);
            }
        }
    }

    fn send_all(&self, parts: &[&[u8]; 3]) -> Result<(), Error> {
        match self.send_parts(parts) {
            Err(Errno::MSGSIZE) => {
                let len: usize = parts.iter().map(|p| p.len()).sum();
                self.raise_send_buffer(len.saturating_add(SEND_OVERHEAD))?;
                Ok(self.send_parts(parts)?)
            }
            other => Ok(other?),
        }
    }

    fn send_parts(&self, parts: &[&[u8]; 3]) -> Result<(), Errno> {
        let slices = parts.map(IoSlice::new);
        let mut control = SendAncillaryBuffer::default();
        rustix::io::retry_on_intr(|| rustix::net::sendmsg(&self.socket, &slices, &mut control, SendFlags::empty()))?;
        Ok(())
    }

    /// Makes the send buffer `needed` bytes large; the kernel doubles what it is asked for.
    fn raise_send_buffer(&self, needed: usize) -> Result<(), Error> {
        let ask = needed.div_ceil(2);
        let enough = || sockopt::socket_send_buffer_size(&self.socket).is_ok_and(|size| size >= needed);
        let forced = sockopt::set_socket_send_buffer_size_force(&self.socket, ask).is_ok();
        if !(forced && enough()) {
            sockopt::set_socket_send_buffer_size(&self.socket, ask)?;
        }
        if enough() {
            return Ok(());
        }
        let limit = sockopt::socket_send_buffer_size(&self.socket)?;
        Err(Error::BufferTooSmall { needed, limit })
    }

    /// Reads what the kernel said to a batch: nothing, if it was applied.
    fn outcome(&mut self, batch: &Batch) -> Result<(), CommitError> {
        let (mut refusals, mut whole, mut overrun) = (Vec::new(), None, false);
        loop {
            match self.receive(RecvFlags::DONTWAIT) {
                Ok(()) => {}
                Err(Error::Netlink(EAGAIN)) => break,
                Err(Error::Netlink(ENOBUFS)) => {
                    overrun = true;
                    continue;
                }
                Err(e) => return Err(e.into()),
            }
            for message in MessageIter::new(&self.buf) {
                let message = message.map_err(Error::from)?;
                if message.ty != NLMSG_ERROR {
                    continue;
                }
                let error = ErrorMsg::decode(&message).map_err(Error::from)?;
                if error.errno == 0 {
                    continue;
                }
                match batch.op_of_seq(error.seq) {
                    Some(op) => {
                        let message = error.message.map(<[u8]>::to_vec);
                        refusals.push(Refusal { op, errno: error.errno, message });
                    }
                    None => whole = whole.or(Some(error.errno)),
                }
            }
        }
        match whole {
            Some(ERESTART) => return Err(CommitError::Stale),
            Some(EOPNOTSUPP) => return Err(Error::NoNfTables.into()),
            Some(errno) if refusals.is_empty() => return Err(Error::from_errno(errno).into()),
            _ => {}
        }
        match (refusals.is_empty(), overrun) {
            (true, false) => Ok(()),
            (_, true) => Err(CommitError::Overrun(refusals)),
            (false, false) => Err(CommitError::Refused(refusals)),
        }
    }

    /// Replaces the socket if a dump was left half read on it.
    pub(super) fn ready(&mut self) -> Result<(), Error> {
        if self.abandoned {
            self.socket = open_socket()?;
            self.abandoned = false;
            self.primed = false;
        }
        Ok(())
    }

    /// Makes the kernel use long buffers for the dump to come. It takes their length from the longest answer that was received on the socket;
    /// on a fresh one it would begin with a short buffer, and end the dump in silence before a rule that does not fit.
    pub(super) fn prime(&mut self) -> Result<(), Error> {
        self.ready()?;
        if !self.primed {
            self.generation()?;
        }
        Ok(())
    }

    /// Sends a request of one message; returns its sequence number.
    pub(super) fn ask(
        &mut self,
        ty: u16,
        flags: u16,
        family: u8,
        fill: impl FnOnce(&mut Writer),
    ) -> Result<u32, Error> {
        self.ready()?;
        self.seq = self.seq.wrapping_add(1);
        let w = &mut self.request;
        w.clear();
        let m = w.begin(ty, NLM_F_REQUEST | flags, self.seq, family, 0);
        fill(w);
        w.end(m);
        if w.overflowed() {
            return Err(Error::TooLarge);
        }
        let bytes = self.request.as_bytes();
        rustix::io::retry_on_intr(|| rustix::net::send(&self.socket, bytes, SendFlags::empty()))?;
        Ok(self.seq)
    }

    /// Receives one datagram into the buffer.
    pub(super) fn receive(&mut self, flags: RecvFlags) -> Result<(), Error> {
        self.buf.clear();
        let flags = flags | RecvFlags::TRUNC;
        let (_, len) = loop {
            match rustix::net::recv(&self.socket, spare_capacity(&mut self.buf), flags) {
                Err(Errno::INTR) => {}
                other => break other?,
            }
        };
        self.primed = true;
        if len > self.buf.len() { Err(Error::Truncated(ANSWER_MAX)) } else { Ok(()) }
    }

    /// Asks for one object; `None` if there is no such.
    fn get<T>(
        &mut self,
        ty: u16,
        family: u8,
        fill: impl FnOnce(&mut Writer),
        decode: impl FnOnce(&[u8]) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, Error> {
        let seq = self.ask(ty, 0, family, fill)?;
        loop {
            self.receive(RecvFlags::empty())?;
            for message in MessageIter::new(&self.buf) {
                let message = message?;
                if message.seq != seq {
                    continue;
                }
                if message.ty != NLMSG_ERROR {
                    let (_, attrs) = message.nfgen()?;
                    return Ok(Some(decode(attrs)?));
                }
                return match ErrorMsg::decode(&message)?.errno {
                    // A name that is too long to exist does not exist.
                    0 | ENOENT | ERANGE => Ok(None),
                    errno => Err(Error::from_errno(errno)),
                };
            }
        }
    }
}

/// The message type of an nf_tables message.
pub(super) const fn nft(message: u16) -> u16 {
    (NFNL_SUBSYS_NFTABLES << 8) | message
}

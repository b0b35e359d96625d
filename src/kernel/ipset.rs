//! The kernel's ipset: a set's index by its name, its name by its index, and the making of simple sets for sandboxes and tests.
//!
//! Rules refer to a set by its index, people by its name. iptables asks with a socket option, for which a program needs code that the compiler
//! cannot check; the same questions are answered over nfnetlink. Each request is one message and one answer.
//! Sources: `linux/netfilter/ipset/ip_set.h` (IPSET_CMD_GET_BYNAME and _GET_BYINDEX, protocol 7), `linux/netfilter/nfnetlink.h`.

use crate::types::{Family, SetAnswer, SetFamily};
use crate::wire::consts::{NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NLMSG_ERROR};
use crate::wire::{Attrs, Header, MessageIter, Writer};
use netlink_sys::{Socket, protocols::NETLINK_NETFILTER};
use rustix::io::Errno;
use std::io;

/// linux/netfilter/nfnetlink.h
const NFNL_SUBSYS_IPSET: u16 = 6;
// linux/netfilter/ipset/ip_set.h
const PROTOCOL: u8 = 7;
const CMD_CREATE: u16 = 2;
const CMD_GET_BYNAME: u16 = 14;
const CMD_GET_BYINDEX: u16 = 15;
const ATTR_PROTOCOL: u16 = 1;
const ATTR_SETNAME: u16 = 2;
const ATTR_TYPENAME: u16 = 3;
const ATTR_REVISION: u16 = 4;
const ATTR_FAMILY: u16 = 5;
const ATTR_DATA: u16 = 7;
const ATTR_INDEX: u16 = 11;
/// Inside `ATTR_DATA`: what the entries of a set carry beside their key.
const ATTR_CADT_FLAGS: u16 = 8;
const ATTR_TIMEOUT: u16 = 6;
/// In an attribute's type: the value is in network order.
const NLA_F_NET_BYTEORDER: u16 = 1 << 14;
const NFPROTO_UNSPEC: u8 = 0;
const NFPROTO_IPV4: u8 = 2;
const NFPROTO_IPV6: u8 = 10;

/// A socket for the ipset of the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Ipset {
    socket: Socket,
    seq: u32,
}

/// What the entries of a new set may carry (`IPSET_FLAG_WITH_*`, and a timeout).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Carries {
    /// Packets and bytes.
    pub counters: bool,
    /// A mark, a priority and a queue for `-j SET --map-set`.
    pub skbinfo: bool,
    /// Seconds after which an entry is forgotten.
    pub timeout: Option<u32>,
}

impl Ipset {
    /// Opens the socket.
    ///
    /// # Errors
    /// That of `socket(2)` or `bind(2)`.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_NETFILTER)?;
        socket.bind_auto()?;
        Ok(Self { socket, seq: 0 })
    }

    /// Looks a set up by its name, of at most 31 bytes.
    pub fn by_name(&mut self, name: &[u8]) -> SetAnswer {
        let mut found = None;
        let asked = self.request(CMD_GET_BYNAME, 0, |w| w.text(ATTR_SETNAME, name), |reply| found = answer(reply));
        match asked {
            Ok(()) => found.unwrap_or_else(|| SetAnswer::Failed("its answer says nothing".into())),
            Err(error) => refusal(&error),
        }
    }

    /// The name of the set with this index; `None` if there is none or it cannot be asked for.
    pub fn by_index(&mut self, index: u16) -> Option<Vec<u8>> {
        let mut name = None;
        let ask = |w: &mut Writer| w.u16(ATTR_INDEX | NLA_F_NET_BYTEORDER, index);
        self.request(CMD_GET_BYINDEX, 0, ask, |reply| name = attr(reply, ATTR_SETNAME).map(|a| text(a).to_vec()))
            .ok()?;
        name
    }

    /// Makes a set of a type such as `hash:ip`, `hash:ip,port` or `list:set`.
    ///
    /// # Errors
    /// Those of the kernel: EEXIST, ENOENT for a type that it has not, EPERM.
    pub fn create(&mut self, name: &[u8], kind: &[u8], family: Family, carries: Carries) -> io::Result<()> {
        const WITH_COUNTERS: u32 = 1 << 3;
        const WITH_SKBINFO: u32 = 1 << 6;
        // The revisions that brought skbinfo; every later kernel has them.
        let revision = if kind == b"list:set" { 3 } else { 4 };
        let ask = |w: &mut Writer| {
            w.text(ATTR_SETNAME, name);
            w.text(ATTR_TYPENAME, kind);
            w.u8(ATTR_REVISION, revision);
            w.u8(ATTR_FAMILY, family.nfproto());
            let data = w.nest(ATTR_DATA);
            let flags =
                if carries.counters { WITH_COUNTERS } else { 0 } | if carries.skbinfo { WITH_SKBINFO } else { 0 };
            if flags != 0 {
                w.u32(ATTR_CADT_FLAGS | NLA_F_NET_BYTEORDER, flags);
            }
            if let Some(seconds) = carries.timeout {
                w.u32(ATTR_TIMEOUT | NLA_F_NET_BYTEORDER, seconds);
            }
            w.close(data);
        };
        self.request(CMD_CREATE, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, ask, |_| ())
    }

    /// Makes a `list:set`, which holds sets of every family.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn create_list(&mut self, name: &[u8]) -> io::Result<()> {
        let ask = |w: &mut Writer| {
            w.text(ATTR_SETNAME, name);
            w.text(ATTR_TYPENAME, b"list:set");
            w.u8(ATTR_REVISION, 0);
            w.u8(ATTR_FAMILY, NFPROTO_UNSPEC);
            let data = w.nest(ATTR_DATA);
            w.close(data);
        };
        self.request(CMD_CREATE, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, ask, |_| ())
    }

    /// Sends one request and hands over the answer that is no error.
    fn request(
        &mut self,
        command: u16,
        flags: u16,
        fill: impl FnOnce(&mut Writer),
        mut reply: impl FnMut(&Header<'_>),
    ) -> io::Result<()> {
        self.seq += 1;
        let mut w = Writer::new();
        let mark = w.begin(NFNL_SUBSYS_IPSET << 8 | command, NLM_F_REQUEST | flags, self.seq, NFPROTO_UNSPEC, 0);
        w.u8(ATTR_PROTOCOL, PROTOCOL);
        fill(&mut w);
        w.end(mark);
        if w.overflowed() {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        self.socket.send(w.as_bytes(), 0)?;
        loop {
            let (bytes, _) = self.socket.recv_from_full()?;
            if let Some(message) = MessageIter::new(&bytes).map_while(Result::ok).find(|m| m.seq == self.seq) {
                if message.ty == NLMSG_ERROR {
                    let errno = message.payload.first_chunk().map_or(0, |e| i32::from_ne_bytes(*e).wrapping_neg());
                    return if errno == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(errno)) };
                }
                reply(&message);
                return Ok(());
            }
        }
    }
}

fn answer(reply: &Header<'_>) -> Option<SetAnswer> {
    let index = u16::from_be_bytes(attr(reply, ATTR_INDEX)?.try_into().ok()?);
    let members = match attr(reply, ATTR_FAMILY)? {
        [NFPROTO_IPV4] => SetFamily::Ip(Family::V4),
        [NFPROTO_IPV6] => SetFamily::Ip(Family::V6),
        _ => SetFamily::Any,
    };
    Some(SetAnswer::Found { index, members })
}

/// The payload of an attribute behind `nfgenmsg`.
fn attr<'a>(reply: &Header<'a>, ty: u16) -> Option<&'a [u8]> {
    let attrs = Attrs::new(reply.payload.get(4..)?);
    attrs.map_while(Result::ok).find(|a| a.ty == ty).map(|a| a.payload)
}

/// A string up to its NUL.
fn text(payload: &[u8]) -> &[u8] {
    payload.split(|b| *b == 0).next().unwrap_or_default()
}

/// What an error in place of the answer means.
fn refusal(error: &io::Error) -> SetAnswer {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOENT) => SetAnswer::Missing,
        Some(Errno::PERM | Errno::ACCESS) => SetAnswer::Forbidden,
        // nfnetlink knows no such subsystem, or ipset no such command (before Linux 5.0).
        Some(Errno::INVAL | Errno::OPNOTSUPP | Errno::PROTONOSUPPORT) => SetAnswer::Unsupported,
        _ => SetAnswer::Failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(fill: impl FnOnce(&mut Writer)) -> Option<SetAnswer> {
        let mut w = Writer::new();
        let mark = w.begin(NFNL_SUBSYS_IPSET << 8 | CMD_GET_BYNAME, 0, 1, NFPROTO_UNSPEC, 0);
        fill(&mut w);
        w.end(mark);
        let message = MessageIter::new(w.as_bytes()).next()?.ok()?;
        answer(&message)
    }

    #[test]
    fn an_answer_is_read_whole_or_not_at_all() {
        let full = |family| {
            reply(|w| {
                w.u8(ATTR_PROTOCOL, PROTOCOL);
                w.u8(ATTR_FAMILY, family);
                w.u16(ATTR_INDEX | NLA_F_NET_BYTEORDER, 258);
            })
        };
        assert_eq!(full(2), Some(SetAnswer::Found { index: 258, members: SetFamily::Ip(Family::V4) }));
        assert_eq!(full(10), Some(SetAnswer::Found { index: 258, members: SetFamily::Ip(Family::V6) }));
        assert_eq!(full(0), Some(SetAnswer::Found { index: 258, members: SetFamily::Any }));
        assert_eq!(reply(|w| w.u8(ATTR_FAMILY, 2)), None);
        assert_eq!(reply(|w| w.attr(ATTR_INDEX, &[1])), None);
    }

    #[test]
    fn errors_have_meanings() {
        let meaning = |errno: Errno| refusal(&io::Error::from(errno));
        assert_eq!(meaning(Errno::NOENT), SetAnswer::Missing);
        assert_eq!(meaning(Errno::PERM), SetAnswer::Forbidden);
        assert_eq!(meaning(Errno::INVAL), SetAnswer::Unsupported);
        assert!(matches!(meaning(Errno::NOBUFS), SetAnswer::Failed(_)));
    }
}

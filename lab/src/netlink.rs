//! The lab's own reader of netlink: a socket, dumps, the attribute walk, and "flush everything".
//!
//! It shares no code with oxtables' codec, so that an error there cannot hide itself here.
//! Sources: `netlink(7)`, `linux/netfilter/nfnetlink.h`, `linux/netfilter/nf_tables.h`.

use std::io;
use std::os::fd::OwnedFd;

use rustix::net::netlink::{NETFILTER, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with};

/// `NFNL_SUBSYS_NFTABLES` in the high byte of a message type.
const NFTABLES: u16 = 10 << 8;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const NFT_MSG_DELTABLE: u16 = 2;
/// `NFNL_SUBSYS_ACCT`, and in it `NFNL_MSG_ACCT_NEW`.
const ACCT_NEW: u16 = 7 << 8;
const NFACCT_NAME: u16 = 1;
const NLM_F_CREATE: u16 = 0x400;
/// Length of `nlmsghdr`, and of it with `nfgenmsg`.
const HEADER: usize = 16;
const GENERIC: usize = 20;

/// `NFPROTO_UNSPEC`, `NFPROTO_IPV4`, `NFPROTO_IPV6`.
pub const UNSPEC: u8 = 0;
/// See [`UNSPEC`].
pub const IPV4: u8 = 2;
/// See [`UNSPEC`].
pub const IPV6: u8 = 10;
/// `NFT_MSG_GETTABLE`.
pub const GET_TABLE: u16 = 1;
/// `NFT_MSG_GETCHAIN`.
pub const GET_CHAIN: u16 = 4;
/// `NFT_MSG_GETRULE`.
pub const GET_RULE: u16 = 7;

/// A netfilter socket in the namespace where it was opened.
#[derive(Debug)]
pub struct Netlink {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

impl Netlink {
    /// Opens a socket in the calling thread's namespace, with a receive buffer of `size` bytes.
    ///
    /// # Errors
    /// What `socket(2)` and `bind(2)` say.
    pub fn open(size: usize) -> io::Result<Self> {
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, Some(NETFILTER))?;
        bind(&socket, &SocketAddrNetlink::new(0, 0))?;
        Ok(Self { socket, buffer: vec![0; size] })
    }

    /// Asks for all objects of a kind (`GET_…`) and gives each one's attributes, in the kernel's order.
    /// The first attribute bytes follow `nfgenmsg`, whose family is the first argument of `each`.
    ///
    /// # Errors
    /// What the kernel answers; a dump that was interrupted by a change is asked again.
    pub fn dump(
        &mut self,
        kind: u16,
        family: u8,
        attributes: &[u8],
        mut each: impl FnMut(u8, &[u8]),
    ) -> io::Result<()> {
        let mut answers: Vec<(u8, Vec<u8>)> = Vec::new();
        loop {
            answers.clear();
            if self.dump_once(kind, family, attributes, |f, a| answers.push((f, a.to_vec())))? {
                answers.iter().for_each(|(f, a)| each(*f, a));
                return Ok(());
            }
        }
    }

    /// As [`Self::dump`], without keeping anything: for measuring the kernel. False if the dump was interrupted.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn dump_once(
        &mut self,
        kind: u16,
        family: u8,
        attributes: &[u8],
        mut each: impl FnMut(u8, &[u8]),
    ) -> io::Result<bool> {
        let mut request = Vec::new();
        message(&mut request, NFTABLES | kind, NLM_F_REQUEST | NLM_F_DUMP, family, 0, attributes);
        send(&self.socket, &request, SendFlags::empty())?;
        let mut whole = true;
        loop {
            let (length, _) = recv(&self.socket, &mut self.buffer[..], RecvFlags::empty())?;
            for (kind, flags, body) in Messages(&self.buffer[..length]) {
                // NLM_F_DUMP_INTR
                whole &= flags & 0x10 == 0;
                match kind {
                    NLMSG_DONE => return Ok(whole),
                    NLMSG_ERROR => return error(body).map(|()| whole),
                    _ => each(body.first().copied().unwrap_or(0), body.get(4..).unwrap_or(&[])),
                }
            }
        }
    }

    /// Deletes every table of every family, as `nft flush ruleset` does.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn flush(&mut self) -> io::Result<()> {
        let mut batch = Vec::new();
        message(&mut batch, BATCH_BEGIN, NLM_F_REQUEST, UNSPEC, 10, &[]);
        message(&mut batch, NFTABLES | NFT_MSG_DELTABLE, NLM_F_REQUEST | NLM_F_ACK, UNSPEC, 0, &[]);
        message(&mut batch, BATCH_END, NLM_F_REQUEST, UNSPEC, 10, &[]);
        send(&self.socket, &batch, SendFlags::empty())?;
        let (length, _) = recv(&self.socket, &mut self.buffer[..], RecvFlags::empty())?;
        Messages(&self.buffer[..length]).filter(|m| m.0 == NLMSG_ERROR).try_for_each(|m| error(m.2))
    }

    /// Makes an accounting object, as `nfacct add` does.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn account(&mut self, name: &[u8]) -> io::Result<()> {
        let (mut request, mut attributes) = (Vec::new(), Vec::new());
        push_string(&mut attributes, NFACCT_NAME, name);
        message(&mut request, ACCT_NEW, NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE, UNSPEC, 0, &attributes);
        send(&self.socket, &request, SendFlags::empty())?;
        let (length, _) = recv(&self.socket, &mut self.buffer[..], RecvFlags::empty())?;
        Messages(&self.buffer[..length]).filter(|m| m.0 == NLMSG_ERROR).try_for_each(|m| error(m.2))
    }
}

impl Netlink {
    /// Has conntrack forget every connection, as `conntrack -F` does.
    ///
    /// # Errors
    /// What the kernel answers.
    pub fn forget_connections(&mut self) -> io::Result<()> {
        /// `NFNL_SUBSYS_CTNETLINK` in the high byte, and `IPCTNL_MSG_CT_DELETE`.
        const FORGET: u16 = (1 << 8) | 2;
        let mut request = Vec::new();
        message(&mut request, FORGET, NLM_F_REQUEST | NLM_F_ACK, UNSPEC, 0, &[]);
        send(&self.socket, &request, SendFlags::empty())?;
        let (length, _) = recv(&self.socket, &mut self.buffer[..], RecvFlags::empty())?;
        Messages(&self.buffer[..length]).filter(|m| m.0 == NLMSG_ERROR).try_for_each(|m| error(m.2))
    }
}

/// Appends one attribute whose payload is a NUL-terminated string.
pub fn push_string(out: &mut Vec<u8>, kind: u16, text: &[u8]) {
    let length = u16::try_from(text.len() + 5).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_ne_bytes());
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(text);
    out.push(0);
    out.resize(out.len().next_multiple_of(4), 0);
}

/// Walks attributes: number (flags removed) and payload. Stops at the first malformed one.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a>(pub &'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let head = self.0.first_chunk::<4>()?;
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let kind = u16::from_ne_bytes([head[2], head[3]]) & 0x3fff;
        let payload = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, payload))
    }
}

/// Walks the messages of one read: type, flags, body (from `nfgenmsg` on).
struct Messages<'a>(&'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = (u16, u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let head = self.0.first_chunk::<HEADER>()?;
        let length = usize::try_from(u32::from_ne_bytes([head[0], head[1], head[2], head[3]])).ok()?;
        let body = self.0.get(HEADER..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((u16::from_ne_bytes([head[4], head[5]]), u16::from_ne_bytes([head[6], head[7]]), body))
    }
}

/// The errno of an `NLMSG_ERROR` body; 0 is an acknowledgement.
fn error(body: &[u8]) -> io::Result<()> {
    match body.first_chunk::<4>().map_or(0, |b| i32::from_ne_bytes(*b)) {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(-errno)),
    }
}

fn message(out: &mut Vec<u8>, kind: u16, flags: u16, family: u8, resource: u16, attributes: &[u8]) {
    let length = u32::try_from(GENERIC + attributes.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_ne_bytes());
    out.extend_from_slice(&kind.to_ne_bytes());
    out.extend_from_slice(&flags.to_ne_bytes());
    out.extend_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0, family, 0]);
    out.extend_from_slice(&resource.to_be_bytes());
    out.extend_from_slice(attributes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_attribute_reads_back() {
        let mut out = Vec::new();
        push_string(&mut out, 7, b"INPUT");
        push_string(&mut out, 8, b"x");
        let read: Vec<_> = Attributes(&out).collect();
        assert_eq!(read, [(7, &b"INPUT\0"[..]), (8, &b"x\0"[..])]);
    }

    #[test]
    fn a_cut_attribute_ends_the_walk() {
        assert_eq!(Attributes(&[9, 0, 1, 0, 1]).count(), 0);
        assert_eq!(Attributes(&[4, 0]).count(), 0);
    }
}

//! What the kernel tells everybody who listens: changes of the ruleset, and traces of packets.
//!
//! The kernel does not wait for listeners. What a listener is too slow for is lost, and it is told that something is
//! ([`Heard::Lost`]). Sources: netlink(7); `linux/netfilter/nfnetlink.h` (`NFNLGRP_*`); observed.

use super::error::*;
use crate::wire::MessageIter;
use crate::wire::consts::*;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};

/// Room for one message; those of rules are as long as a rule may be.
const MESSAGE_MAX: usize = 1 << 16;
/// What the socket is to hold while the listener is busy, in bytes.
const BACKLOG: usize = 8 << 20;

/// A socket that hears of nf_tables in the namespace of the thread that opened it.
#[derive(Debug)]
pub struct Monitor {
    socket: Socket,
    buf: Vec<u8>,
}

/// What was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard<'a> {
    /// A message of nf_tables: `NFT_MSG_*`, `NFPROTO_*` of `nfgenmsg`, and the attributes behind it.
    #[expect(missing_docs, reason = "the words say it")]
    Message { kind: u16, family: u8, attrs: &'a [u8] },
    /// Messages were lost, because they came faster than they were read.
    Lost,
}

impl Monitor {
    /// Listens for changes, for traces, or for both.
    ///
    /// # Errors
    /// [`Error::PermissionDenied`] without CAP_NET_ADMIN.
    pub fn open(changes: bool, traces: bool) -> Result<Self, Error> {
        let errno = |e: std::io::Error| Error::from_errno(e.raw_os_error().unwrap_or(EINVAL));
        let mut socket = Socket::new(NETLINK_NETFILTER).map_err(errno)?;
        socket.bind(&SocketAddr::new(0, 0)).map_err(errno)?;
        // The limit of the system is what it may refuse; listening works with less.
        let _ = rustix::net::sockopt::set_socket_recv_buffer_size(&socket, BACKLOG);
        for (wanted, group) in [(changes, NFNLGRP_NFTABLES), (traces, NFNLGRP_NFTRACE)] {
            if wanted {
                socket.add_membership(group).map_err(errno)?;
            }
        }
        Ok(Self { socket, buf: Vec::with_capacity(MESSAGE_MAX) })
    }

    /// Waits for the next messages and hands them on, as long as the caller wants more.
    ///
    /// # Errors
    /// What recv(2) says, and messages that make no sense.
    pub fn listen(&mut self, each: &mut dyn FnMut(Heard<'_>) -> bool) -> Result<(), Error> {
        loop {
            self.buf.clear();
            match self.socket.recv(&mut self.buf, 0) {
                Ok(_) => {}
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(e) if e.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error()) => {
                    if !each(Heard::Lost) {
                        return Ok(());
                    }
                    continue;
                }
                Err(e) => return Err(Error::from_errno(e.raw_os_error().unwrap_or(EINVAL))),
            }
            for message in MessageIter::new(&self.buf) {
                let message = message?;
                let ([family, _, _, _], Some(attrs)) =
                    (message.payload.first_chunk().copied().unwrap_or_default(), message.payload.get(4..))
                else {
                    continue;
                };
                if message.ty >> 8 != NFNL_SUBSYS_NFTABLES {
                    continue;
                }
                if !each(Heard::Message { kind: message.ty & 0xff, family, attrs }) {
                    return Ok(());
                }
            }
        }
    }

    /// The name of an interface; `None` if there is none of this number (any more).
    pub fn interface(index: u32) -> Option<String> {
        let any = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None).ok()?;
        rustix::net::netdevice::index_to_name(&any, index).ok()
    }
}

//! Real packets: sending the exact bytes of a [`Packet`], and seeing the exact bytes that arrive.
//!
//! Both need the right to raw sockets (`CAP_NET_RAW`) in the namespace of the calling thread, and are meant for namespaces that
//! the program made itself. Sources: `raw(7)`, `packet(7)`.

use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};

use crate::packet::Packet;
use crate::types::Family;

/// `IPPROTO_RAW`: the program writes the network header itself.
const IPPROTO_RAW: NonZeroU32 = NonZeroU32::new(255).unwrap();
/// `ETH_P_ALL` (3) in network order, as `packet(7)` wants it.
const ETH_P_ALL: NonZeroU32 = NonZeroU32::new(3_u16.to_be() as u32).unwrap();

/// Sends the packet as it is, from the calling thread's namespace, over the route to its destination.
///
/// The kernel sends the bytes as given; for IPv4 it fills in an identification of 0 and corrects header checksum and length.
///
/// # Errors
/// That of the kernel. EPERM is what hook OUTPUT answers when a rule drops or rejects the packet.
pub fn send(packet: &Packet) -> io::Result<()> {
    let family = match packet.family() {
        Family::V4 => AddressFamily::INET,
        Family::V6 => AddressFamily::INET6,
    };
    let protocol = Protocol::from_raw(IPPROTO_RAW);
    let socket = socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, Some(protocol))?;
    sendto(&socket, packet.bytes(), SendFlags::empty(), &SocketAddr::new(packet.dst(), 0))?;
    Ok(())
}

/// Sees every packet that comes into, or leaves by, any interface of one namespace, from the moment it is opened.
#[derive(Debug)]
pub struct Tap {
    socket: OwnedFd,
}

impl Tap {
    /// Opens it in the calling thread's namespace; it may be read from any thread.
    ///
    /// # Errors
    /// That of `socket(2)`: EPERM without the right, EAFNOSUPPORT if the kernel was built without packet sockets.
    pub fn open() -> io::Result<Self> {
        let protocol = Protocol::from_raw(ETH_P_ALL);
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        Ok(Self { socket: socket_with(AddressFamily::PACKET, SocketType::DGRAM, flags, Some(protocol))? })
    }

    /// Waits for the first packet for which `wanted` holds; `None` if none came before `timeout` was over. What is not an IP
    /// packet, and what `wanted` refuses, is thrown away.
    ///
    /// # Errors
    /// That of `poll(2)` or `recv(2)`.
    pub fn find(&self, timeout: Duration, wanted: impl Fn(&Packet) -> bool) -> io::Result<Option<Packet>> {
        let end = Instant::now() + timeout;
        let mut buffer = vec![0_u8; 65_536];
        loop {
            match recv(&self.socket, &mut buffer[..], RecvFlags::empty()) {
                Ok((length, _)) => {
                    let bytes = buffer.get(..length).unwrap_or_default().to_vec();
                    if let Some(packet) = Packet::new(bytes).ok().filter(&wanted) {
                        return Ok(Some(packet));
                    }
                }
                Err(rustix::io::Errno::AGAIN) => {
                    let Some(left) = end.checked_duration_since(Instant::now()) else { return Ok(None) };
                    let left = Timespec::try_from(left).map_err(io::Error::other)?;
                    match poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&left)) {
                        Ok(_) | Err(rustix::io::Errno::INTR) => {}
                        Err(errno) => return Err(errno.into()),
                    }
                }
                // A link that goes down leaves ENETDOWN behind once; the socket stays good.
                Err(rustix::io::Errno::INTR | rustix::io::Errno::NETDOWN) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

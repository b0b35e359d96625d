//! Links, addresses and routes by rtnetlink: the few requests that building a small network takes.
//!
//! Each request is one message with an acknowledgement. Attributes of rtnetlink are in host byte order, addresses in network
//! order. Sources: `rtnetlink(7)`, `linux/rtnetlink.h`, `linux/if_link.h`, `linux/if_addr.h`, `linux/veth.h`.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_sys::{Socket, protocols::NETLINK_ROUTE};

use crate::types::Family;
use crate::wire::consts::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE, NLM_F_REQUEST, NLMSG_ERROR, NLMSGERR_ATTR_MSG,
};
use crate::wire::{Attrs, Header, MessageIter, Writer};

// linux/rtnetlink.h: message types
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
// linux/if_link.h
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
/// linux/veth.h
const VETH_INFO_PEER: u16 = 1;
// linux/if_addr.h
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_FLAGS: u16 = 8;
/// No duplicate address detection: the address can be used at once.
const IFA_F_NODAD: u32 = 0x02;
// linux/rtnetlink.h: routes
const RTA_DST: u16 = 1;
const RTA_GATEWAY: u16 = 5;
const RT_TABLE_MAIN: u8 = 254;
const RTPROT_STATIC: u8 = 4;
const RT_SCOPE_UNIVERSE: u8 = 0;
const RTN_UNICAST: u8 = 1;
/// linux/if.h: the interface is switched on.
const IFF_UP: u32 = 1;
/// linux/if.h: it is up and so is the other end.
const IFF_RUNNING: u32 = 0x40;
const AF_UNSPEC: u8 = 0;

/// Length of `nlmsgerr` before the request that it quotes: the errno.
const ERRNO_LEN: usize = 4;

/// What is known of an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Its index in its namespace.
    pub index: u32,
    /// Whether it is up and has a carrier: packets go through.
    pub running: bool,
    /// Its Ethernet address, if it has one.
    pub mac: Option<[u8; 6]>,
}

impl Link {
    /// Reads the answer to `RTM_GETLINK`: `struct ifinfomsg` (family, padding, type, index, flags, mask), then attributes.
    fn of(payload: &[u8]) -> Option<Self> {
        let ([_, _, _, _, i0, i1, i2, i3, f0, f1, f2, f3, _, _, _, _], attributes) = payload.split_first_chunk()?;
        let address = Attrs::new(attributes).map_while(Result::ok).find(|attribute| attribute.ty == IFLA_ADDRESS);
        Some(Self {
            index: u32::from_ne_bytes([*i0, *i1, *i2, *i3]),
            running: u32::from_ne_bytes([*f0, *f1, *f2, *f3]) & IFF_RUNNING != 0,
            mac: address.and_then(|attribute| attribute.payload.try_into().ok()),
        })
    }
}

/// A socket for rtnetlink in the namespace of the thread that opened it.
#[derive(Debug)]
pub struct Rtnl {
    socket: Socket,
    seq: u32,
}

impl Rtnl {
    /// Opens the socket in the calling thread's namespace.
    ///
    /// # Errors
    /// That of `socket(2)` or `bind(2)`.
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        // An error's reason in words is welcome, not needed: kernels before 4.12 have none.
        let _ = socket.set_ext_ack(true);
        Ok(Self { socket, seq: 0 })
    }

    /// The interface of that name.
    ///
    /// # Errors
    /// ENODEV if there is none.
    pub fn link(&mut self, name: &str) -> io::Result<Link> {
        let mut link = None;
        self.request(
            RTM_GETLINK,
            0,
            |w| {
                ifinfomsg(w, 0, 0, 0);
                w.text(IFLA_IFNAME, name.as_bytes());
            },
            |reply| link = Link::of(reply.payload),
        )?;
        link.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    /// Switches an interface on.
    ///
    /// # Errors
    /// Those of the kernel, ENODEV among them.
    pub fn set_up(&mut self, index: u32) -> io::Result<()> {
        self.change(RTM_NEWLINK, 0, |w| ifinfomsg(w, index, IFF_UP, IFF_UP))
    }

    /// Makes a pair of joined Ethernet interfaces: `here` in this namespace, `there` in the one that `namespace` is open on.
    ///
    /// # Errors
    /// Those of the kernel: EEXIST for a name in use, EOPNOTSUPP if it was built without veth.
    pub fn add_veth(&mut self, here: &str, there: &str, namespace: BorrowedFd<'_>) -> io::Result<()> {
        self.change(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, |w| {
            ifinfomsg(w, 0, 0, 0);
            w.text(IFLA_IFNAME, here.as_bytes());
            let info = w.nest(IFLA_LINKINFO);
            w.text(IFLA_INFO_KIND, b"veth");
            let data = w.nest(IFLA_INFO_DATA);
            let peer = w.nest(VETH_INFO_PEER);
            ifinfomsg(w, 0, 0, 0);
            w.text(IFLA_IFNAME, there.as_bytes());
            w.attr(IFLA_NET_NS_FD, &namespace.as_raw_fd().to_ne_bytes());
            w.close(peer);
            w.close(data);
            w.close(info);
        })
    }

    /// Gives an interface an address with the prefix length of its network, without duplicate address detection.
    ///
    /// # Errors
    /// Those of the kernel: EEXIST if it has the address, EOPNOTSUPP or EACCES where the family is switched off.
    pub fn add_address(&mut self, index: u32, address: IpAddr, prefix_len: u8) -> io::Result<()> {
        self.change(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, |w| {
            // struct ifaddrmsg: family, prefix length, flags, scope, index
            let mut head = vec![address_family(address), prefix_len, 0, RT_SCOPE_UNIVERSE];
            head.extend(index.to_ne_bytes());
            w.raw(&head);
            address_attr(w, IFA_LOCAL, address);
            address_attr(w, IFA_ADDRESS, address);
            if Family::of(address) == Family::V6 {
                w.attr(IFA_FLAGS, &IFA_F_NODAD.to_ne_bytes());
            }
        })
    }

    /// Routes a network (`0.0.0.0/0` and `::/0` for all) over a gateway.
    ///
    /// # Errors
    /// Those of the kernel: ENETUNREACH if the gateway is on no attached network.
    pub fn add_route(&mut self, network: (IpAddr, u8), gateway: IpAddr) -> io::Result<()> {
        let (destination, prefix_len) = network;
        self.change(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, |w| {
            // struct rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type, flags
            let mut head = vec![address_family(destination), prefix_len, 0, 0];
            head.extend([RT_TABLE_MAIN, RTPROT_STATIC, RT_SCOPE_UNIVERSE, RTN_UNICAST]);
            head.extend(0_u32.to_ne_bytes());
            w.raw(&head);
            if prefix_len > 0 {
                address_attr(w, RTA_DST, destination);
            }
            address_attr(w, RTA_GATEWAY, gateway);
        })
    }

    fn change(&mut self, ty: u16, flags: u16, body: impl FnOnce(&mut Writer)) -> io::Result<()> {
        self.request(ty, flags, body, |_| {})
    }

    /// Sends one message and reads up to its acknowledgement; other replies go to `each`.
    fn request(
        &mut self,
        ty: u16,
        flags: u16,
        body: impl FnOnce(&mut Writer),
        mut each: impl FnMut(&Header<'_>),
    ) -> io::Result<()> {
        self.seq = self.seq.wrapping_add(1);
        let mut w = Writer::new();
        let mark = w.begin_raw(ty, flags | NLM_F_REQUEST | NLM_F_ACK, self.seq);
        body(&mut w);
        w.end(mark);
        if w.overflowed() {
            return Err(io::Error::from(io::ErrorKind::InvalidInput));
        }
        retry(|| self.socket.send(w.as_bytes(), 0))?;
        loop {
            let (datagram, _) = retry(|| self.socket.recv_from_full())?;
            for message in MessageIter::new(&datagram) {
                let message = message.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
                match message {
                    Header { seq, .. } if seq != self.seq => {}
                    Header { ty: NLMSG_ERROR, .. } => return acknowledgement(&message),
                    _ => each(&message),
                }
            }
        }
    }
}

/// Repeats a call that a signal interrupted.
fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Reads `nlmsgerr`: errno 0 is success; else the kernel's own words stand in the attributes if it has any.
fn acknowledgement(message: &Header<'_>) -> io::Result<()> {
    let Some((errno, quoted)) = message.payload.split_first_chunk::<ERRNO_LEN>() else {
        return Err(io::Error::from(io::ErrorKind::InvalidData));
    };
    let errno = i32::from_ne_bytes(*errno).wrapping_neg();
    if errno == 0 {
        return Ok(());
    }
    let error = io::Error::from_raw_os_error(errno);
    // Behind the errno stands the whole request (its length first), then the attributes.
    let length = quoted.first_chunk::<4>().map_or(0, |l| u32::from_ne_bytes(*l));
    let attributes = usize::try_from(length).ok().and_then(|l| quoted.get(l.next_multiple_of(4)..));
    let words = Attrs::new(attributes.unwrap_or_default())
        .map_while(Result::ok)
        .find(|attribute| attribute.ty == NLMSGERR_ATTR_MSG)
        .map(|attribute| String::from_utf8_lossy(attribute.text()).into_owned());
    Err(match words {
        Some(words) => io::Error::new(error.kind(), format!("{error}: {words}")),
        None => error,
    })
}

/// `struct ifinfomsg`: family, padding, type, index, flags, mask of the flags to change.
fn ifinfomsg(w: &mut Writer, index: u32, flags: u32, change: u32) {
    let mut head = vec![AF_UNSPEC, 0, 0, 0];
    head.extend(index.to_ne_bytes());
    head.extend(flags.to_ne_bytes());
    head.extend(change.to_ne_bytes());
    w.raw(&head);
}

fn address_family(address: IpAddr) -> u8 {
    Family::of(address).nfproto()
}

fn address_attr(w: &mut Writer, ty: u16, address: IpAddr) {
    match address {
        IpAddr::V4(address) => w.attr(ty, &address.octets()),
        IpAddr::V6(address) => w.attr(ty, &address.octets()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(errno: i32, behind: &[u8]) -> Vec<u8> {
        let mut w = Writer::new();
        let mark = w.begin_raw(NLMSG_ERROR, 0x200, 1);
        w.raw(&(-errno).to_ne_bytes());
        w.raw(behind);
        w.end(mark);
        w.into_bytes()
    }

    fn judged(bytes: &[u8]) -> Option<io::Result<()>> {
        MessageIter::new(bytes).next()?.ok().map(|message| acknowledgement(&message))
    }

    #[test]
    fn errno_nought_is_success() {
        assert!(judged(&reply(0, &[0; 16])).is_some_and(|r| r.is_ok()));
    }

    #[test]
    fn the_words_of_the_kernel_are_quoted() {
        let mut behind = Writer::new();
        let mark = behind.begin_raw(RTM_NEWLINK, 0, 1);
        behind.end(mark);
        behind.text(NLMSGERR_ATTR_MSG, b"Unknown device type");
        let error = judged(&reply(95, behind.as_bytes())).and_then(Result::err).map(|e| e.to_string());
        assert_eq!(error.as_deref(), Some("Operation not supported (os error 95): Unknown device type"));
    }

    #[test]
    fn an_error_that_is_cut_off_is_no_panic() {
        assert!(judged(&reply(1, &[])).is_some_and(|r| r.is_err()));
        assert!(judged(&reply(1, &[0xff; 7])).is_some_and(|r| r.is_err()));
    }
}

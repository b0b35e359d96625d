//! `-m socket`: whether this host has a socket for the packet.
//!
//! # Matches
//! TCP and UDP packets for which a lookup finds a socket of this host, and ICMP errors about such packets. A listening socket that is bound to
//! any address does not count.
//! # Options
//! `--nowildcard`: it does; `--transparent`: only sockets with `IP_TRANSPARENT` count; `--restore-skmark`: the packet gets the mark of the socket.
//! Hooks PREROUTING and INPUT.
//! # Wire
//! xt `socket` revision 3: `struct xt_socket_mtinfo3 { u8 flags; }`.
//! Native: none, because the xt match also makes the kernel put fragments together, takes sockets that are no longer or not yet whole for bound
//! ones, and can set the mark of a packet to that of its socket.
//! # Evaluates
//! False for other protocols, else Unknown.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "socket"; `linux/netfilter/xt_socket.h`.

use crate::ext::limits::Limit;
use crate::ext::options::{Given, Opt, UsageError};
use crate::ext::{Extension, MatchExt, ParseCx, PrintCx, Spec};
use crate::packet::env::Env;
use crate::packet::{Packet, protocol};
use crate::types::{Family, Hook, Out, Tri};
use crate::wire::BlobWriter;

/// The conditions, as `XT_SOCKET_*` bits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Socket {
    flags: u8,
}

/// The words of the bits, from bit 0: `XT_SOCKET_TRANSPARENT`, `NOWILDCARD`, `RESTORESKMARK`.
const WORDS: [&str; 3] = ["transparent", "nowildcard", "restore-skmark"];

const OPTIONS: &[Opt] = &[
    Opt::flag("nowildcard", 1, "listening sockets bound to any address count too"),
    Opt::flag("transparent", 0, "only transparent sockets count"),
    Opt::flag("restore-skmark", 2, "give the packet the mark of the socket"),
];

impl Extension for Socket {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        stateful: true,
        sample: "@/PREROUTING @/INPUT",
        limits: &[Limit::hooks(&[Hook::Prerouting, Hook::Input])],
        ..Spec::new("socket", 3, "matches packets for which there is a socket")
    };

    fn new(_: Family) -> Self {
        Self { flags: 0 }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        self.flags |= 1 << (given.id() & 3);
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        for (_, word) in WORDS.iter().enumerate().filter(|(bit, _)| self.flags & 1 << bit != 0) {
            out.str(" --");
            out.str(word);
        }
    }

    fn list(&self, out: &mut Out, cx: &PrintCx<'_>) {
        out.str(" socket");
        self.save(out, cx);
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.u8(self.flags);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let flags = *info.first()?;
        (flags < 1 << WORDS.len()).then_some(Self { flags })
    }
}

impl MatchExt for Socket {
    fn eval(&self, packet: &Packet, _: &mut Env<'_>) -> Tri {
        let icmp = match packet.family() {
            Family::V4 => protocol::ICMP,
            Family::V6 => protocol::ICMPV6,
        };
        match packet.protocol() {
            Some(protocol::TCP | protocol::UDP) => Tri::Unknown,
            Some(other) if other == icmp => Tri::Unknown,
            _ => Tri::False,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{error, raised_text, read, row};
    use crate::packet::build::{Ipv4, Raw, Tcp};
    use crate::types::Family::{V4, V6};

    #[test]
    fn what_stock_writes_and_prints() {
        for family in [V4, V6] {
            for (args, save, flags) in [
                ("", "", 0),
                (" --transparent", " --transparent", 1),
                (" --nowildcard", " --nowildcard", 2),
                (" --restore-skmark", " --restore-skmark", 4),
                (" --restore-skmark --nowildcard --transparent", " --transparent --nowildcard --restore-skmark", 7),
            ] {
                let wire = format!("match socket 3 0{flags}00000000000000");
                row(family, None, &format!("socket{args}"), save, &format!(" socket{save}"), &wire);
            }
        }
        assert_eq!(raised_text(V4, None, |x| x.xt_match("socket", 3, |b| b.u8(8))), "opaque");
        let inverted = "socket: option \"--transparent\" cannot be inverted.\n";
        assert_eq!(error(V4, None, "socket ! --transparent"), inverted);
        let twice = "socket: option \"--nowildcard\" can only be used once.\n";
        assert_eq!(error(V4, None, "socket --nowildcard --nowildcard"), twice);
        assert_eq!(read(V4, None, "socket").unwrap().translation(), None);
    }

    #[test]
    fn packets() {
        let socket = read(V4, None, "socket").unwrap();
        assert_eq!(socket.matches(&(Ipv4::default() / Raw { protocol: 47, payload: vec![0; 8] })), Tri::False);
        assert_eq!(socket.matches(&(Ipv4::default() / Tcp::default())), Tri::Unknown);
    }
}

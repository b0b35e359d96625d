//! `-j SYNPROXY`: answers TCP connections with SYN cookies and opens them to the server only when the client has replied.
//!
//! # Options
//! `--sack-perm`, `--timestamp`, `--wscale n`, `--mss n`, `--ecn`.
//! # Wire
//! xt `SYNPROXY` revision 0: `struct xt_synproxy_info { u8 options, wscale; u16 mss; }`, host order; options 1 MSS, 2 window scale, 4 SACK, 8
//! timestamp, 0x10 ECN. Native: none, because `synproxy` takes a SYN with an ACK for the first packet of a connection, and does not know
//! ECN.
//! # Evaluates
//! The kernel keeps SYN packets and answers them; of packets with ACK alone it tests the cookie and keeps or drops them. All others go on.
//! # Differs
//! An MSS over 65535 or a window scale over 255 is refused; stock takes it modulo 65536 or 256. There is no translation,
//! for the same reasons as there is no native form.
//! # Sources
//! iptables-extensions(8) "SYNPROXY"; `linux/netfilter/xt_SYNPROXY.h`; nft(8) SYNPROXY STATEMENT; measured.

use crate::ext::limits::Limit;
use crate::ext::options::{Given, Kind, Opt, UsageError};
use crate::ext::{Effect, Extension, ParseCx, PrintCx, Spec, TargetExt};
use crate::packet::env::Env;
use crate::packet::{Packet, protocol, tcp};
use crate::types::{Family, Hook, Out};
use crate::usage;
use crate::wire::BlobWriter;

/// The TCP options that are answered with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SynProxy {
    sack: bool,
    timestamp: bool,
    wscale: Option<u8>,
    mss: Option<u16>,
    ecn: bool,
}

/// `XT_SYNPROXY_OPT_MSS`.
const OPT_MSS: u8 = 1;
/// `XT_SYNPROXY_OPT_WSCALE`.
const OPT_WSCALE: u8 = 2;
/// `XT_SYNPROXY_OPT_SACK_PERM`.
const OPT_SACK: u8 = 4;
/// `XT_SYNPROXY_OPT_TIMESTAMP`.
const OPT_TIMESTAMP: u8 = 8;
/// `XT_SYNPROXY_OPT_ECN`.
const OPT_ECN: u8 = 0x10;

const SACK: u8 = 0;
const TIMESTAMP: u8 = 1;
const WSCALE: u8 = 2;
const MSS: u8 = 3;
const ECN: u8 = 4;

const U32: Kind = Kind::Number { min: 0, max: u32::MAX as u64 };

const OPTIONS: &[Opt] = &[
    Opt::flag("sack-perm", SACK, "offer selective acknowledgements"),
    Opt::flag("timestamp", TIMESTAMP, "offer timestamps"),
    Opt::value("wscale", WSCALE, U32, "shift", "offer this window scale, 0 to 14")
        .examples(&["0", "1", "7", "0xa", "14"]),
    Opt::value("mss", MSS, U32, "bytes", "offer this maximum segment size")
        .examples(&["0", "536", "1440", "1460", "65535"]),
    Opt::flag("ecn", ECN, "offer explicit congestion notification"),
];

impl Extension for SynProxy {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        sample: "-p tcp @filter/INPUT",
        limits: &[Limit::hooks(&[Hook::Input, Hook::Forward]), Limit::protocols(&[6])],
        ..Spec::new("SYNPROXY", 0, "answers TCP connections with SYN cookies")
    };

    fn new(_: Family) -> Self {
        Self::default()
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        let too_big =
            |max: u32| usage!("SYNPROXY: bad value for option \"--{}\", or out of range (0-{max}).\n", given.opt.name);
        match given.id() {
            SACK => self.sack = true,
            TIMESTAMP => self.timestamp = true,
            WSCALE => self.wscale = Some(u8::try_from(given.number()).map_err(|_| too_big(255))?),
            MSS => self.mss = Some(u16::try_from(given.number()).map_err(|_| too_big(65535))?),
            _ => self.ecn = true,
        }
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        self.print(out, " --");
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" SYNPROXY");
        self.print(out, " ");
        out.byte(b' ');
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.u8(self.flags());
        b.u8(self.wscale.unwrap_or(0));
        b.u16(self.mss.unwrap_or(0));
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let [flags, wscale, a, b, ..] = *info else { return None };
        let has = |bit| flags & bit != 0;
        Some(Self {
            sack: has(OPT_SACK),
            timestamp: has(OPT_TIMESTAMP),
            wscale: has(OPT_WSCALE).then_some(wscale),
            mss: has(OPT_MSS).then_some(u16::from_ne_bytes([a, b])),
            ecn: has(OPT_ECN),
        })
    }
}

impl SynProxy {
    fn flags(&self) -> u8 {
        let set = |given: bool, bit: u8| if given { bit } else { 0 };
        set(self.sack, OPT_SACK)
            | set(self.timestamp, OPT_TIMESTAMP)
            | set(self.wscale.is_some(), OPT_WSCALE)
            | set(self.mss.is_some(), OPT_MSS)
            | set(self.ecn, OPT_ECN)
    }

    fn print(&self, out: &mut Out, before: &str) {
        if self.sack {
            write!(out, "{before}sack-perm");
        }
        if self.timestamp {
            write!(out, "{before}timestamp");
        }
        if let Some(wscale) = self.wscale {
            write!(out, "{before}wscale {wscale}");
        }
        if let Some(mss) = self.mss {
            write!(out, "{before}mss {mss}");
        }
        if self.ecn {
            write!(out, "{before}ecn");
        }
    }
}

impl TargetExt for SynProxy {
    fn apply(&self, packet: &mut Packet, _: &mut Env<'_>) -> Effect {
        if packet.protocol() != Some(protocol::TCP) {
            // The kernel takes no rule that such a packet comes to.
            return Effect::Continue;
        }
        if packet.is_fragment_tail() {
            // The kernel takes data for the header here.
            return Effect::Unknown;
        }
        let Some(header) = packet.tcp() else { return Effect::Drop };
        let flags = header.flags();
        let has = |bit| flags & bit != 0;
        if has(tcp::SYN) && flags & (tcp::ACK | tcp::FIN | tcp::RST) == 0 {
            Effect::Taken("answered with a SYN cookie")
        } else if has(tcp::ACK) && flags & (tcp::FIN | tcp::RST | tcp::SYN) == 0 {
            Effect::Taken("tested for the SYN cookie that opens the connection")
        } else {
            Effect::Continue
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::ext::Effect;
    use crate::ext::targets::testing::{TCP, effect, error, row, ways};
    use crate::packet::build::{Ipv4, Tcp};
    use crate::packet::tcp;
    use crate::types::Family::{V4, V6};

    #[test]
    fn what_stock_writes_and_prints() {
        for (words, save, hex) in [
            ("", "", "00000000"),
            ("--mss 0", "--mss 0", "01000000"),
            ("--mss 65535 --wscale 14", "--wscale 14 --mss 65535", "030effff"),
            (
                "--wscale 7 --mss 1460 --timestamp --sack-perm",
                "--sack-perm --timestamp --wscale 7 --mss 1460",
                "0f07b405",
            ),
            ("--sack-perm --timestamp --ecn", "--sack-perm --timestamp --ecn", "1c000000"),
        ] {
            for family in [V4, V6] {
                let words = format!("SYNPROXY {words}");
                let plain = save.replace("--", "");
                let list = if save.is_empty() { " SYNPROXY ".into() } else { format!(" SYNPROXY {plain} ") };
                row(family, TCP, &words, save, &list, &format!("{hex}00000000"));
                ways(family, TCP, &words, None, None);
            }
        }
        let range =
            |name, max: u32| format!("SYNPROXY: bad value for option \"--{name}\", or out of range (0-{max}).\n");
        error(V4, TCP, "SYNPROXY --mss x", &range("mss", u32::MAX));
        error(V4, TCP, "SYNPROXY --mss 65536", &range("mss", 65535));
        error(V4, TCP, "SYNPROXY --wscale 256", &range("wscale", 255));
    }

    #[test]
    fn the_handshake_is_kept() {
        let mut packet = Ipv4::default() / Tcp { flags: tcp::SYN, ..Tcp::default() };
        assert!(matches!(effect(V4, TCP, "SYNPROXY", &mut packet), Effect::Taken(_)));
        let mut packet = Ipv4::default() / Tcp { flags: tcp::ACK, ..Tcp::default() };
        assert!(matches!(effect(V4, TCP, "SYNPROXY", &mut packet), Effect::Taken(_)));
        let mut packet = Ipv4::default() / Tcp { flags: tcp::SYN | tcp::ACK, ..Tcp::default() };
        assert_eq!(effect(V4, TCP, "SYNPROXY", &mut packet), Effect::Continue);
    }
}

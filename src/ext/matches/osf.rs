//! `-m osf`: which operating system sent the packet, by its fingerprint. IPv4 only.
//!
//! # Matches
//! TCP SYN packets that look as the fingerprints of this system do that were loaded into the kernel (nfnl_osf(8)); others never match. `!` is
//! handed to the kernel, which does not ask for it.
//! # Options
//! `[!] --genre NAME`, cut to 31 bytes in silence; `--ttl {0|1|2}`: how the packet's TTL is compared; `--log {0|1|2}`: what is written to the
//! kernel's log. With `-p tcp`, hooks PREROUTING, INPUT and FORWARD.
//! # Wire
//! xt `osf` revision 0: `struct xt_osf_info { char genre[32]; u32 len, flags, loglevel, ttl; }`, host order, 48 bytes. `len` is that of the name.
//! Native: none, because nf_tables asks for the first fingerprint that fits, and xt for any of this system.
//! # Evaluates
//! False for what is no SYN; else Unknown.
//! # Differs
//! Names with blanks are printed in quotes, so that `-restore` reads the same rule.
//! # Sources
//! iptables-extensions(8) "osf"; `linux/netfilter/xt_osf.h`, `nfnetlink_osf.h`; fact sheet 3.2, 3.4.

use crate::ext::limits::{INCOMING, Limit};
use crate::ext::options::{Given, Kind, Opt, UsageError};
use crate::ext::{Extension, MatchExt, ParseCx, PrintCx, Spec};
use crate::packet::env::Env;
use crate::packet::{Packet, protocol, tcp};
use crate::types::{Family, Out, Tri};
use crate::wire::BlobWriter;

/// The name of a system: at most 31 bytes without NUL; and what goes with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Osf {
    genre: Box<[u8]>,
    invert: bool,
    ttl: Option<u8>,
    log: Option<u8>,
}

/// `MAXGENRELEN`: the name and its NUL.
const SIZE: usize = 32;

const GENRE: u8 = 0;
const TTL: u8 = 1;
const LOG: u8 = 2;

// NF_OSF_* (nfnetlink_osf.h). The bit of the name itself, 1, is not set by stock.
const FLAG_TTL: u32 = 2;
const FLAG_LOG: u32 = 4;
const FLAG_INVERT: u32 = 8;

const LEVEL: Kind = Kind::Number { min: 0, max: 2 };

const OPTIONS: &[Opt] = &[
    Opt::value("genre", GENRE, Kind::Raw, "string", "name of the system").invertible().mandatory().examples(&[
        "Linux",
        "Windows",
        "FreeBSD",
        "unknown",
        "linux",
        "Mac-OS_9",
        "01234567890123456789012345678901",
    ]),
    Opt::value("ttl", TTL, LEVEL, "level", "0: same TTL as the fingerprint, 1: at most that, 2: any")
        .examples(&["0", "1", "2"]),
    Opt::value("log", LOG, LEVEL, "level", "log 0: all, 1: the first, 2: all known ones").examples(&["0", "1", "2"]),
];

impl Extension for Osf {
    const SPEC: Spec = Spec {
        families: &[Family::V4],
        options: OPTIONS,
        sample: "-p tcp @/PREROUTING @/INPUT @/FORWARD",
        limits: &[Limit::protocols(&[protocol::TCP]).at(INCOMING)],
        ..Spec::new("osf", 0, "matches the operating system that sent a SYN")
    };

    fn new(_: Family) -> Self {
        Self { genre: Box::default(), invert: false, ttl: None, log: None }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        match given.id() {
            TTL => self.ttl = Some(given.u8()),
            LOG => self.log = Some(given.u8()),
            _ => {
                let text = given.bytes().split(|b| *b == 0).next().unwrap_or_default();
                self.genre = text.get(..SIZE - 1).unwrap_or(text).into();
                self.invert = given.negated;
            }
        }
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(if self.invert { " ! --genre" } else { " --genre" });
        out.word(&self.genre);
        for (name, level) in [(" --ttl ", self.ttl), (" --log ", self.log)] {
            if let Some(level) = level {
                out.str(name);
                out.dec(u64::from(level));
            }
        }
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(if self.invert { " OS fingerprint match ! " } else { " OS fingerprint match " });
        out.bytes(&self.genre);
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        let flag = |set: bool, bit: u32| if set { bit } else { 0 };
        b.fixed(&self.genre, SIZE);
        b.u32(self.genre.len() as u32);
        b.u32(flag(self.ttl.is_some(), FLAG_TTL) | flag(self.log.is_some(), FLAG_LOG) | flag(self.invert, FLAG_INVERT));
        b.u32(self.log.map_or(0, u32::from));
        b.u32(self.ttl.map_or(0, u32::from));
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let end = info.get(..SIZE)?.iter().position(|b| *b == 0)?;
        let u32_at = |at: usize| info.get(at..)?.first_chunk().map(|b| u32::from_ne_bytes(*b));
        let flags = u32_at(36)?;
        let level = |flag: u32, at: usize| {
            let level = u8::try_from(u32_at(at)?).ok().filter(|level| *level <= 2)?;
            Some((flags & flag != 0).then_some(level))
        };
        let (log, ttl) = (level(FLAG_LOG, 40)?, level(FLAG_TTL, 44)?);
        Some(Self { genre: info.get(..end)?.into(), invert: flags & FLAG_INVERT != 0, ttl, log })
    }

    fn scrub(info: &mut [u8]) {
        let name = info.get_mut(..SIZE).unwrap_or_default();
        let end = name.iter().position(|b| *b == 0).unwrap_or(name.len());
        name.get_mut(end..).unwrap_or_default().fill(0);
    }
}

impl MatchExt for Osf {
    fn eval(&self, packet: &Packet, _: &mut Env<'_>) -> Tri {
        match packet.tcp() {
            Some(tcp) if tcp.flags() & tcp::SYN != 0 => Tri::Unknown,
            _ => Tri::False,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{TCP, error, raised_text, read, row};
    use crate::packet::build::{Ipv4, Tcp, Udp};
    use crate::types::Family::{V4, V6};

    #[test]
    fn what_stock_writes_and_prints() {
        let one = |args: &str, name: &str, rest: &str| {
            let not = if args.starts_with('!') { "! " } else { "" };
            let hex: String = name.bytes().map(|b| format!("{b:02x}")).collect();
            let (save, list) = (format!(" {args}"), format!(" OS fingerprint match {not}{name}"));
            row(V4, TCP, &format!("osf {args}"), &save, &list, &format!("match osf 0 {hex:0<64}{rest:0<32}"));
        };
        one("--genre Linux", "Linux", "05");
        one("! --genre Linux --ttl 1 --log 2", "Linux", "050000000e0000000200000001000000");
        one("--genre Linux --ttl 0 --log 0", "Linux", "0500000006");
        one("--genre Linux --ttl 2", "Linux", "05000000020000000000000002000000");
        let cut = "0123456789012345678901234567890";
        assert_eq!(read(V4, TCP, &format!("osf --genre {cut}1")).unwrap().save(), format!(" --genre {cut}"));
        let odd = |len: u32, flags: u32, log: u32| {
            raised_text(V4, TCP, |x| {
                x.xt_match("osf", 0, |b| {
                    b.fixed(b"a b", SIZE);
                    [len, flags, log, 0].iter().for_each(|n| b.u32(*n));
                });
            })
        };
        assert_eq!(odd(3, 4, 1), " -m osf --genre \"a b\" --log 1");
        assert_eq!([odd(2, 0, 0), odd(3, 1, 0), odd(3, 0, 1), odd(3, 4, 3)], ["opaque"; 4]);
    }

    #[test]
    fn stocks_words_for_what_it_does_not_take() {
        for (args, text) in [
            ("--ttl 1", "osf: option \"--genre\" must be specified\n"),
            ("--genre a --ttl 3", "osf: bad value for option \"--ttl\", or out of range (0-2).\n"),
            ("--genre a --log 3", "osf: bad value for option \"--log\", or out of range (0-2).\n"),
            ("--genre a ! --ttl 1", "osf: option \"--ttl\" cannot be inverted.\n"),
            ("--genre a --genre b", "osf: option \"--genre\" can only be used once.\n"),
        ] {
            assert_eq!(error(V4, TCP, &format!("osf {args}")), text, "{args}");
        }
        assert_eq!(error(V6, TCP, "osf --genre a"), "no such match");
    }

    #[test]
    fn packets() {
        let judge = |packet: &Packet| read(V4, TCP, "osf ! --genre Linux").unwrap().matches(packet);
        assert_eq!(judge(&(Ipv4::default() / Udp::default())), Tri::False);
        assert_eq!(judge(&(Ipv4::default() / Tcp { flags: tcp::ACK, ..Tcp::default() })), Tri::False);
        assert_eq!(judge(&(Ipv4::default() / Tcp { flags: tcp::SYN, ..Tcp::default() })), Tri::Unknown);
    }
}

//! `-j CT`: says how conntrack is to treat the packet's connection; for the raw table.
//!
//! # Options
//! `--notrack`, `--helper NAME` (cut to 15 bytes), `--timeout NAME` (cut to 31), `--ctevents LIST`, `--expevents LIST`, `--zone`, `--zone-orig`,
//! `--zone-reply`, each `ID` or `mark`.
//! # Wire
//! xt `CT` revision 2: `struct xt_ct_target_info_v1 { u16 flags, zone; u32 ct_events, exp_events; char helper[16], timeout[32]; ptr; }`.
//! Native: `notrack` and `ct set zone`. Not for helpers, timeouts and events, which nf_tables has as objects of their own or not at all, nor for
//! `--zone mark`, which reads the mark only when the connection is looked up.
//! # Evaluates
//! `--notrack` makes the packet untracked; the walk goes on. The rest does not show in a packet.
//! # Differs
//! Nothing known. As in stock, names are printed without quotes, a zone 0 is not printed, and `--zone-orig` beside `--zone-reply` is
//! printed as `--zone`. Kernels give the timeout's name back cut to 4 bytes (6.18).
//! # Sources
//! iptables-extensions(8) "CT"; `linux/netfilter/xt_CT.h`; fact sheet 3.4; measured.

use crate::ext::limits::Limit;
use crate::ext::options::{Given, Kind, Opt, UsageError, number, usage_bytes};
use crate::ext::{Effect, Extension, NativeCx, ParseCx, PrintCx, Spec, TargetExt};
use crate::packet::Conntrack;
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Hook, Out};
use crate::wire::consts::*;
use crate::wire::{BlobWriter, ExprWriter};

/// `XT_CT_*` flags, zone, event masks, and names without their NULs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ct {
    flags: u16,
    zone: u16,
    ct_events: u32,
    exp_events: u32,
    helper: Box<[u8]>,
    timeout: Box<[u8]>,
}

const NOTRACK: u8 = 0;
const HELPER: u8 = 1;
const TIMEOUT: u8 = 2;
const CTEVENTS: u8 = 3;
const EXPEVENTS: u8 = 4;
const ZONE: u8 = 5;
const ZONE_ORIG: u8 = 6;
const ZONE_REPLY: u8 = 7;

/// `XT_CT_NOTRACK`.
pub(super) const FLAG_NOTRACK: u16 = 0x01;
/// `XT_CT_NOTRACK_ALIAS`: the rule was written `-j NOTRACK`.
pub(super) const FLAG_ALIAS: u16 = 0x02;
/// `XT_CT_ZONE_DIR_ORIG`.
const FLAG_ORIG: u16 = 0x04;
/// `XT_CT_ZONE_DIR_REPL`.
const FLAG_REPLY: u16 = 0x08;
/// `XT_CT_ZONE_MARK`.
const FLAG_MARK: u16 = 0x10;

/// Room for the helper's name with its NUL.
const HELPER_ROOM: usize = 16;
/// Room for the timeout policy's name with its NUL.
const TIMEOUT_ROOM: usize = 32;

/// The events of a connection, in the order of their bits (`enum ip_conntrack_events`).
const CT_EVENTS: &[&str] =
    &["new", "related", "destroy", "reply", "assured", "protoinfo", "helper", "mark", "natseqinfo", "secmark"];
/// The events of an expectation (`enum ip_conntrack_expect_events`).
const EXP_EVENTS: &[&str] = &["new"];

const TEXT: Kind = Kind::Text { min: 0, max: usize::MAX };

const OPTIONS: &[Opt] = &[
    Opt::flag("notrack", NOTRACK, "do not track the connection"),
    Opt::value("helper", HELPER, TEXT, "name", "let this helper look at the connection").examples(&["ftp", ""]),
    Opt::value("timeout", TIMEOUT, TEXT, "name", "take the timeouts from this policy").examples(&[""]),
    Opt::value("ctevents", CTEVENTS, Kind::Raw, "event[,event...]", "report only these events of the connection")
        .examples(&["new", "destroy,new", "related,reply,assured,protoinfo,helper,mark,natseqinfo,secmark"]),
    Opt::value("expevents", EXPEVENTS, Kind::Raw, "event[,event...]", "report only these events of expectations")
        .examples(&["new"]),
    Opt::value("zone", ZONE, Kind::Raw, "id|mark", "the zone of the connection, or the packet's mark for it")
        .examples(&["0", "5", "65535", "mark"]),
    Opt::value("zone-orig", ZONE_ORIG, Kind::Raw, "id|mark", "the same, for the original direction only")
        .examples(&["5", "mark"]),
    Opt::value("zone-reply", ZONE_REPLY, Kind::Raw, "id|mark", "the same, for the reply direction only")
        .examples(&["0x10", "mark"]),
];

impl Extension for Ct {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        sample: "-p tcp @raw/PREROUTING",
        notes: |_| {
            &[
                (
                    "Events of a connection:",
                    "new related destroy reply assured protoinfo helper mark natseqinfo secmark",
                ),
                ("Events of an expectation:", "new"),
            ]
        },
        limits: &[Limit::tables(&["raw"]).at(&[Hook::Prerouting, Hook::Output])],
        ..Spec::new("CT", 2, "says how conntrack is to treat the connection")
    };

    fn new(_: Family) -> Self {
        Self::default()
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        match given.id() {
            NOTRACK => self.flags |= FLAG_NOTRACK,
            HELPER => self.helper = cut(given.bytes(), HELPER_ROOM - 1),
            TIMEOUT => self.timeout = cut(given.bytes(), TIMEOUT_ROOM - 1),
            CTEVENTS => self.ct_events = events(given.bytes(), CT_EVENTS)?,
            EXPEVENTS => self.exp_events = events(given.bytes(), EXP_EVENTS)?,
            ZONE => self.set_zone(given.bytes())?,
            ZONE_ORIG => {
                self.set_zone(given.bytes())?;
                self.flags |= FLAG_ORIG;
            }
            _ => {
                self.set_zone(given.bytes())?;
                self.flags |= FLAG_REPLY;
            }
        }
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        self.print(out, "--");
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" CT");
        self.print(out, "");
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        // The kernel does not look at anything beside `--notrack`.
        out.str("notrack");
        self.flags & FLAG_NOTRACK != 0
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.u16(self.flags);
        b.u16(self.zone);
        b.u32(self.ct_events);
        b.u32(self.exp_events);
        b.fixed(&self.helper, HELPER_ROOM);
        b.fixed(&self.timeout, TIMEOUT_ROOM);
        b.align(8);
        b.u64(0);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let [f0, f1, z0, z1, c0, c1, c2, c3, e0, e1, e2, e3, names @ ..] = info else { return None };
        let (helper, rest) = names.split_at_checked(HELPER_ROOM)?;
        let ct = Self {
            flags: u16::from_ne_bytes([*f0, *f1]),
            zone: u16::from_ne_bytes([*z0, *z1]),
            ct_events: u32::from_ne_bytes([*c0, *c1, *c2, *c3]),
            exp_events: u32::from_ne_bytes([*e0, *e1, *e2, *e3]),
            helper: name(helper)?,
            timeout: name(rest.get(..TIMEOUT_ROOM)?)?,
        };
        let known = ct.flags & !(FLAG_NOTRACK | FLAG_ORIG | FLAG_REPLY | FLAG_MARK) == 0
            && ct.ct_events >> CT_EVENTS.len() == 0
            && ct.exp_events >> EXP_EVENTS.len() == 0;
        known.then_some(ct)
    }

    fn scrub(info: &mut [u8]) {
        for (from, to) in [(12, 12 + HELPER_ROOM), (12 + HELPER_ROOM, 12 + HELPER_ROOM + TIMEOUT_ROOM)] {
            let Some(text) = info.get_mut(from..to) else { return };
            let end = text.iter().position(|b| *b == 0).unwrap_or(text.len());
            text.iter_mut().skip(end).for_each(|b| *b = 0);
        }
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        if self.ct_events != 0 || self.exp_events != 0 || !self.helper.is_empty() || !self.timeout.is_empty() {
            return false;
        }
        let reply = match self.flags {
            FLAG_NOTRACK if self.zone == 0 => {
                x.notrack();
                return true;
            }
            0 => None,
            FLAG_ORIG => Some(false),
            FLAG_REPLY => Some(true),
            _ => return false,
        };
        x.immediate(NFT_REG_1, &self.zone.to_ne_bytes());
        x.ct_set(NFT_CT_ZONE, reply);
        true
    }
}

impl Ct {
    fn set_zone(&mut self, text: &[u8]) -> Result<(), UsageError> {
        let zone = number(text, 0, u64::from(u16::MAX)).and_then(|n| u16::try_from(n).ok());
        let mark = text.eq_ignore_ascii_case(b"mark");
        if zone.is_none() && !mark {
            return Err(usage_bytes("Cannot parse ", text, " as a zone ID"));
        }
        self.zone = zone.unwrap_or(0);
        self.flags |= if mark { FLAG_MARK } else { 0 };
        Ok(())
    }

    fn print(&self, out: &mut Out, dashes: &str) {
        if self.flags & FLAG_NOTRACK != 0 {
            write!(out, " {dashes}notrack");
        }
        for (option, name) in [("helper", &self.helper), ("timeout", &self.timeout)] {
            if !name.is_empty() {
                write!(out, " {dashes}{option}");
                out.word(name);
            }
        }
        for (option, mask, names) in
            [("ctevents", self.ct_events, CT_EVENTS), ("expevents", self.exp_events, EXP_EVENTS)]
        {
            if mask != 0 {
                let set = names.iter().enumerate().filter(|(bit, _)| mask >> bit & 1 != 0).map(|(_, name)| *name);
                write!(out, " {dashes}{option} {}", set.collect::<Vec<_>>().join(","));
            }
        }
        let zone = match self.flags & (FLAG_ORIG | FLAG_REPLY) {
            FLAG_ORIG => "zone-orig",
            FLAG_REPLY => "zone-reply",
            _ => "zone",
        };
        if self.flags & FLAG_MARK != 0 {
            write!(out, " {dashes}{zone} mark");
        } else if self.zone != 0 {
            write!(out, " {dashes}{zone} {}", self.zone);
        }
    }
}

/// The bits of a list of event names.
fn events(text: &[u8], names: &[&str]) -> Result<u32, UsageError> {
    text.split(|b| *b == b',').try_fold(0, |mask, event| {
        let bit = names.iter().position(|name| name.as_bytes() == event);
        bit.map(|bit| mask | 1 << bit).ok_or_else(|| usage_bytes("Unknown event type \"", event, "\""))
    })
}

fn cut(text: &[u8], max: usize) -> Box<[u8]> {
    text.get(..max).unwrap_or(text).into()
}

/// The text up to the NUL, which must be there.
fn name(field: &[u8]) -> Option<Box<[u8]>> {
    let end = field.iter().position(|b| *b == 0)?;
    Some(field.get(..end)?.into())
}

impl TargetExt for Ct {
    fn apply(&self, packet: &mut Packet, _: &mut Env<'_>) -> Effect {
        if self.flags & FLAG_NOTRACK != 0 {
            packet.meta.ct = Some(Conntrack::UNTRACKED);
        }
        Effect::Continue
    }
}

#[cfg(test)]
mod tests {
    use crate::ext::Effect;
    use crate::ext::targets::testing::{TCP, effect, error, row};
    use crate::packet::Conntrack;
    use crate::packet::build::{Ipv4, Udp};
    use crate::types::Family::{V4, V6};

    #[test]
    fn what_stock_writes_and_prints() {
        for (words, printed, hex) in [
            ("", "", "00"),
            ("--notrack --zone 1", "notrack zone 1", "01000100"),
            ("--zone 0x10", "zone 16", "00001000"),
            ("--zone MARK", "zone mark", "10"),
            ("--zone-orig 0", "", "04"),
            ("--zone-orig mark", "zone-orig mark", "14"),
            ("--zone-reply 1 --zone 2", "zone-reply 2", "08000200"),
            ("--zone-orig 1 --zone-reply 2", "zone 2", "0c000200"),
            ("--zone mark --zone-orig 2", "zone-orig mark", "14000200"),
            ("--zone 2 --zone-orig mark", "zone-orig mark", "14000000"),
            ("--ctevents destroy,new,natseqinfo", "ctevents new,destroy,natseqinfo", "0000000005010000"),
            ("--expevents new,new", "expevents new", "000000000000000001"),
            ("--helper ftp --timeout a.b", "helper ftp timeout a.b", &format!("{:024}{:0<32}612e62", 0, "667470")),
            (
                "--helper 1234567890123456",
                "helper 123456789012345",
                &format!("{:024}313233343536373839303132333435", 0),
            ),
        ] {
            const NAMES: [&str; 8] =
                ["notrack", "zone", "zone-orig", "zone-reply", "ctevents", "expevents", "helper", "timeout"];
            let dashed = |w: &str| if NAMES.contains(&w) { format!("--{w}") } else { w.into() };
            let save = printed.split(' ').map(dashed).collect::<Vec<_>>().join(" ");
            for family in [V4, V6] {
                let list = if printed.is_empty() { " CT".into() } else { format!(" CT {printed}") };
                row(family, TCP, &format!("CT {words}"), &save, &list, &format!("{hex:0<144}"));
            }
        }
    }

    #[test]
    fn wrong_options() {
        error(V4, None, "CT --zone 65536", "Cannot parse 65536 as a zone ID");
        error(V4, None, "CT --zone-reply \"\"", "Cannot parse  as a zone ID");
        error(V4, None, "CT --ctevents new,", "Unknown event type \"\"");
        error(V4, None, "CT --ctevents NEW", "Unknown event type \"NEW\"");
        error(V4, None, "CT --expevents destroy", "Unknown event type \"destroy\"");
    }

    #[test]
    fn notrack_takes_the_packet_out_of_conntrack() {
        let mut packet = Ipv4::default() / Udp::default();
        assert_eq!(effect(V4, None, "CT --zone 1", &mut packet), Effect::Continue);
        assert_eq!(packet.meta.ct, None);
        assert_eq!(effect(V4, None, "CT --notrack", &mut packet), Effect::Continue);
        assert_eq!(packet.meta.ct, Some(Conntrack::UNTRACKED));
    }
}

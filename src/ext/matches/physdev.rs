//! `-m physdev`: the bridge ports of a packet that crosses a bridge.
//!
//! # Matches
//! Packets by the bridge port that they came in by or go out by, and by whether they are bridged at all.
//! # Options
//! `[!] --physdev-in NAME`, `[!] --physdev-out NAME` (`+` at the end for a prefix), `[!] --physdev-is-in`, `[!] --physdev-is-out`,
//! `[!] --physdev-is-bridged`; at least one.
//! # Wire
//! xt `physdev` revision 0: `struct xt_physdev_info { char physindev[16]; char in_mask[16]; char physoutdev[16]; char out_mask[16];
//! u8 invert; u8 bitmask; }`; a mask byte is 0xff for each byte compared, the NUL included, and a `+` stays in the name.
//! Native: none, because nf_tables knows the bridge of a packet, not the bridge's port.
//! # Evaluates
//! Unknown: a packet does not carry its bridge ports here.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "physdev"; `linux/netfilter/xt_physdev.h`.

use crate::ext::limits::Limit;
use crate::ext::options::{Given, Kind, Opt, UsageError, usage_bytes};
use crate::ext::{Extension, MatchExt, ParseCx, PrintCx, Spec};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Hook, IFNAMSIZ, Out, Tri};
use crate::usage;
use crate::wire::BlobWriter;
use std::borrow::Cow;

/// The ports as written, and which conditions are asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Physdev {
    input: Port,
    output: Port,
    /// `XT_PHYSDEV_OP_*`.
    asked: u8,
    /// Which of them are inverted.
    invert: u8,
}

/// A port's name with its `+`, filled with NULs.
type Port = [u8; IFNAMSIZ];

// XT_PHYSDEV_OP_* are 1 << id.
const IN: u8 = 0;
const OUT: u8 = 1;
const BRIDGED: u8 = 2;
const IS_IN: u8 = 3;
const IS_OUT: u8 = 4;

const NAMES: &[&str] = &["eth0", "veth+", "br-lan.10"];

/// Where the kernel knows the port on the way out.
const NOT_OUTPUT: &[Hook] = &[Hook::Prerouting, Hook::Input, Hook::Forward, Hook::Postrouting];

const OPTIONS: &[Opt] = &[
    Opt::value("physdev-in", IN, Kind::Raw, "port", "bridge port that the packet came in by")
        .invertible()
        .examples(NAMES),
    Opt::value("physdev-out", OUT, Kind::Raw, "port", "bridge port that it goes out by").invertible().examples(NAMES),
    Opt::flag("physdev-is-bridged", BRIDGED, "it is bridged, not routed").invertible(),
    Opt::flag("physdev-is-in", IS_IN, "it came in by a bridge port").invertible(),
    Opt::flag("physdev-is-out", IS_OUT, "it goes out by a bridge port").invertible(),
];

impl Extension for Physdev {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        sample: "@filter/FORWARD",
        limits: &[
            Limit::hooks(NOT_OUTPUT).with("--physdev-out").unless("--physdev-is-bridged"),
            Limit::hooks(NOT_OUTPUT).with("--physdev-is-out").unless("--physdev-is-bridged"),
        ],
        ..Spec::new("physdev", 0, "matches the ports of a bridge")
    };

    fn new(_: Family) -> Self {
        Self { input: [0; IFNAMSIZ], output: [0; IFNAMSIZ], asked: 0, invert: 0 }
    }

    fn warning(given: &Given<'_>, _: &ParseCx<'_>) -> Option<Cow<'static, str>> {
        let name = given.bytes();
        let weird = name.iter().any(|b| *b == b'/' || b.is_ascii_whitespace() || *b == 0x0b);
        (weird && name.len() < IFNAMSIZ).then(|| {
            let name = String::from_utf8_lossy(name);
            format!("Warning: weird character in interface `{name}' ('/' and ' ' are not allowed by the kernel).")
                .into()
        })
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        match given.id() {
            IN => self.input = port(given.bytes())?,
            OUT => self.output = port(given.bytes())?,
            _ => {}
        }
        let flag = 1 << given.id();
        self.asked |= flag;
        self.invert |= if given.negated { flag } else { 0 };
        Ok(())
    }

    fn finish(&mut self, seen: u32, _: &ParseCx<'_>) -> Result<(), UsageError> {
        if seen == 0 {
            return Err(usage!("PHYSDEV: no physdev option specified"));
        }
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        for (id, name) in
            [(IS_IN, None), (IN, Some(&self.input)), (IS_OUT, None), (OUT, Some(&self.output)), (BRIDGED, None)]
        {
            if self.asked & (1 << id) == 0 {
                continue;
            }
            out.str(if self.invert & (1 << id) != 0 { " ! --" } else { " --" });
            out.str(OPTIONS.iter().find(|o| o.id == id).map_or("", |o| o.name));
            if let Some(name) = name {
                out.word(text(name));
            }
        }
    }

    fn list(&self, out: &mut Out, cx: &PrintCx<'_>) {
        out.str(" PHYSDEV match");
        self.save(out, cx);
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        for port in [&self.input, &self.output] {
            b.bytes(port);
            b.bytes(&mask(port));
        }
        b.u8(self.invert);
        b.u8(self.asked);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let (input, rest) = info.split_first_chunk()?;
        let (_, rest) = rest.split_first_chunk::<IFNAMSIZ>()?;
        let (output, rest) = rest.split_first_chunk()?;
        let (_, rest) = rest.split_first_chunk::<IFNAMSIZ>()?;
        let [invert, asked, ..] = *rest else { return None };
        let known = asked < 1 << OPTIONS.len() && asked != 0 && invert & !asked == 0;
        // A name that is not asked for, or bytes behind its NUL, would be lost in print; one without a NUL cannot be written.
        let plain = [(input, IN), (output, OUT)].into_iter().all(|(name, id)| {
            let len = if asked & (1 << id) == 0 { 0 } else { text(name).len() };
            len < IFNAMSIZ && name.iter().skip(len).all(|b| *b == 0)
        });
        (known && plain).then_some(Self { input: *input, output: *output, asked, invert })
    }
}

fn port(name: &[u8]) -> Result<Port, UsageError> {
    let mut port = [0; IFNAMSIZ];
    match port.get_mut(..name.len()) {
        Some(room) if name.len() < IFNAMSIZ => room.copy_from_slice(name),
        _ => return Err(usage_bytes("interface name `", name, "' must be shorter than IFNAMSIZ (15)")),
    }
    Ok(port)
}

fn text(port: &Port) -> &[u8] {
    port.split(|b| *b == 0).next().unwrap_or_default()
}

/// Which bytes of a port's name are compared: none of an empty one, those before a `+`, else all with the NUL.
fn mask(port: &Port) -> Port {
    let name = text(port);
    let len = match name.split_last() {
        None => 0,
        Some((b'+', prefix)) => prefix.len(),
        Some(_) => name.len() + 1,
    };
    let mut mask = [0; IFNAMSIZ];
    mask.iter_mut().take(len).for_each(|b| *b = 0xff);
    mask
}

impl MatchExt for Physdev {
    fn eval(&self, _: &Packet, _: &mut Env<'_>) -> Tri {
        Tri::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::{mask, port};
    use crate::ext::matches::testing::{error, read};
    use crate::types::Family;

    #[test]
    fn options_in_stocks_order() {
        let line = "physdev ! --physdev-is-bridged --physdev-out veth+ ! --physdev-in eth0 --physdev-is-in";
        let read = read(Family::V4, None, line).unwrap();
        let text = " --physdev-is-in ! --physdev-in eth0 --physdev-out veth+ ! --physdev-is-bridged";
        assert_eq!(read.save(), text);
        assert_eq!(read.list(true), format!(" PHYSDEV match{text}"));
        assert_eq!(error(Family::V4, None, "physdev"), "PHYSDEV: no physdev option specified");
    }

    #[test]
    fn masks_cover_what_is_compared() {
        let ones = |name: &[u8]| mask(&port(name).unwrap()).iter().filter(|b| **b == 0xff).count();
        assert_eq!((ones(b"eth0"), ones(b"eth+"), ones(b"+"), ones(b"")), (5, 3, 0, 0));
    }
}

//! `-j LED`: switches a light on when a packet comes.
//!
//! # Options
//! `--led-trigger-id name` (up to 16 bytes), `--led-delay milliseconds` or `inf`, `--led-always-blink`.
//! # Wire
//! xt `LED` revision 0: `struct xt_led_info { char id[27]; u8 always_blink; u32 delay; void *internal_data; }`, host order; the id begins with
//! `netfilter-`, a delay of all ones is for ever; the pointer is the kernel's. Native: none, because nf_tables has no lights.
//! # Evaluates
//! Nothing happens to the packet; the walk goes on.
//! # Differs
//! A delay without end is printed `inf`, as it must be written; stock prints `-1`, which it cannot read.
//! # Sources
//! iptables-extensions(8) "LED"; `linux/netfilter/xt_LED.h`; measured (on a kernel without it, from rules of another target put in its place).

use crate::ext::options::{Given, Kind, Opt, UsageError, number};
use crate::ext::{Effect, Extension, ParseCx, PrintCx, Spec, TargetExt};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out};
use crate::usage;
use crate::wire::BlobWriter;

/// A light.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Led {
    /// What stands behind [`PREFIX`]: up to 16 bytes.
    id: Box<[u8]>,
    /// In milliseconds; all ones is for ever.
    delay: u32,
    blink: bool,
}

const PREFIX: &[u8] = b"netfilter-";

/// Length of `id` in bytes.
const ID_LEN: usize = 27;

const ID: u8 = 0;
const DELAY: u8 = 1;
const BLINK: u8 = 2;

const OPTIONS: &[Opt] = &[
    Opt::value("led-trigger-id", ID, Kind::Text { min: 0, max: 16 }, "name", "the trigger's name behind `netfilter-`")
        .mandatory()
        .examples(&["x", "ssh", "1234567890123456", "a b", "eth0-rx"]),
    Opt::value("led-delay", DELAY, Kind::Raw, "ms|inf", "how long the light stays on, in milliseconds").examples(&[
        "0",
        "100",
        "0x10",
        "inf",
        "INF",
        "4294967295",
    ]),
    Opt::flag("led-always-blink", BLINK, "blink with each packet, even if the light is on"),
];

impl Extension for Led {
    const SPEC: Spec = Spec { options: OPTIONS, ..Spec::new("LED", 0, "switches a light on when a packet comes") };

    fn new(_: Family) -> Self {
        Self { id: Box::default(), delay: 0, blink: false }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        match given.id() {
            ID => self.id = given.bytes().into(),
            // What stands behind it is not looked at by stock.
            DELAY if given.bytes().get(..3).is_some_and(|word| word.eq_ignore_ascii_case(b"inf")) => {
                self.delay = u32::MAX;
            }
            DELAY => {
                let delay = number(given.bytes(), 0, u64::from(u32::MAX)).and_then(|n| u32::try_from(n).ok());
                self.delay = delay.ok_or_else(|| usage!("Delay value must be within range 0..4294967295"))?;
            }
            _ => self.blink = true,
        }
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" --led-trigger-id \"");
        for b in &self.id {
            if matches!(b, b'"' | b'\\' | b'\'') {
                out.byte(b'\\');
            }
            out.byte(*b);
        }
        out.byte(b'"');
        match self.delay {
            0 => {}
            u32::MAX => out.str(" --led-delay inf"),
            ms => write!(out, " --led-delay {ms}"),
        }
        out.str(if self.blink { " --led-always-blink" } else { "" });
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" led-trigger-id:\"");
        out.bytes(&self.id);
        match self.delay {
            u32::MAX => out.str("\" led-delay:inf"),
            ms => write!(out, "\" led-delay:{ms}ms"),
        }
        out.str(if self.blink { " led-always-blink" } else { "" });
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.fixed(&[PREFIX, &self.id].concat(), ID_LEN);
        b.u8(u8::from(self.blink));
        b.u32(self.delay);
        b.zeros(8);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let (id, rest) = info.split_at_checked(ID_LEN)?;
        let len = id.iter().position(|b| *b == 0)?;
        let id = id.get(..len)?.strip_prefix(PREFIX)?;
        let [blink @ (0 | 1), a, b, c, d, ..] = *rest else { return None };
        Some(Self { id: id.into(), delay: u32::from_ne_bytes([a, b, c, d]), blink: blink == 1 })
    }

    fn scrub(info: &mut [u8]) {
        let id = info.get_mut(..ID_LEN).unwrap_or_default();
        let end = id.iter().position(|b| *b == 0).unwrap_or(id.len());
        id.iter_mut().skip(end).for_each(|b| *b = 0);
        info.get_mut(32..40).unwrap_or_default().fill(0);
    }
}

impl TargetExt for Led {
    fn apply(&self, _: &mut Packet, _: &mut Env<'_>) -> Effect {
        Effect::Continue
    }
}

#[cfg(test)]
mod tests {
    use crate::ext::targets::testing::{error, row};
    use crate::types::Family::{V4, V6};

    #[test]
    fn what_stock_writes_and_prints() {
        let prefix = "6e657466696c7465722d";
        for (words, save, list, id, rest) in [
            ("--led-trigger-id x", "\"x\"", "\"x\" led-delay:0ms", "78", "0000000000"),
            (
                "--led-trigger-id x --led-delay 100 --led-always-blink",
                "\"x\" --led-delay 100 --led-always-blink",
                "\"x\" led-delay:100ms led-always-blink",
                "78",
                "0164000000",
            ),
            (
                "--led-trigger-id \"a b\" --led-delay INFinite",
                "\"a b\" --led-delay inf",
                "\"a b\" led-delay:inf",
                "612062",
                "00ffffffff",
            ),
        ] {
            let (save, list) = (format!("--led-trigger-id {save}"), format!(" led-trigger-id:{list}"));
            let hex = format!("{:0<80}", format!("{:0<54}{rest}", format!("{prefix}{id}")));
            row(V4, None, &format!("LED {words}"), &save, &list, &hex);
            row(V6, None, &format!("LED {words}"), &save, &list, &hex);
        }
        error(V4, None, "LED", "LED: option \"--led-trigger-id\" must be specified\n");
        let long = "Argument must have a maximum length of 16 characters\n";
        error(V4, None, "LED --led-trigger-id 12345678901234567", long);
        for delay in ["-1", "x", "5x", "4294967296"] {
            let words = format!("LED --led-trigger-id x --led-delay {delay}");
            error(V4, None, &words, "Delay value must be within range 0..4294967295");
        }
    }
}

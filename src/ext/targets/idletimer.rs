//! `-j IDLETIMER`: reports when no packet has come for a while; each label has a timer of its own.
//!
//! # Options
//! `--timeout seconds`, `--label name` (cut at 27 bytes), `--alarm`.
//! # Wire
//! xt `IDLETIMER` revision 1: `struct idletimer_tg_info_v1 { u32 timeout; char label[28]; u8 send_nl_msg, timer_type; struct idletimer_tg
//! *timer; }`, host order; timer type 1 is an alarm; the pointer is the kernel's. Native: none, because nf_tables has no such timers.
//! # Evaluates
//! Nothing happens to the packet; the walk goes on.
//! # Differs
//! A label with blanks or quotes is printed in double quotes, as it must be written; stock prints it bare.
//! # Sources
//! iptables-extensions(8) "IDLETIMER"; `linux/netfilter/xt_IDLETIMER.h`; measured (the kernel takes 1 to 2147482 seconds, and labels that can
//! be names of files in `/sys/class/xt_idletimer/timers`).

use crate::ext::limits::Limit;
use crate::ext::options::{Given, Kind, Opt, UsageError};
use crate::ext::{Effect, Extension, ParseCx, PrintCx, Spec, TargetExt};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out};
use crate::wire::BlobWriter;

/// A timer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct IdleTimer {
    seconds: u32,
    /// Up to 27 bytes.
    label: Box<[u8]>,
    alarm: bool,
}

/// `MAX_IDLETIMER_LABEL_SIZE`: with the NUL.
const LABEL_MAX: usize = 28;

const TIMEOUT: u8 = 0;
const LABEL: u8 = 1;
const ALARM: u8 = 2;

const OPTIONS: &[Opt] = &[
    Opt::value(
        "timeout",
        TIMEOUT,
        Kind::Number { min: 0, max: u32::MAX as u64 },
        "seconds",
        "how long no packet may come",
    )
    .mandatory()
    .examples(&["1", "10", "0x10", "010", "60", "3600", "86400", "1000000", "2147482"]),
    Opt::value("label", LABEL, Kind::Raw, "name", "the timer's name").mandatory().examples(&[
        "lab1",
        "eth0_rx",
        "a.b-c",
        "T",
        "123456789012345678901234567",
        "123456789012345678901234567890",
    ]),
    Opt::flag("alarm", ALARM, "a timer that also runs while the machine sleeps"),
];

impl Extension for IdleTimer {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        limits: &[Limit::never("--timeout 0")],
        ..Spec::new("IDLETIMER", 1, "reports when no packet has come for a while")
    };

    fn new(_: Family) -> Self {
        Self { seconds: 0, label: Box::default(), alarm: false }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        match given.id() {
            TIMEOUT => self.seconds = given.u32(),
            LABEL => self.label = given.bytes().get(..LABEL_MAX - 1).unwrap_or(given.bytes()).into(),
            _ => self.alarm = true,
        }
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        write!(out, " --timeout {} --label", self.seconds);
        out.word(&self.label);
        out.str(if self.alarm { " --alarm" } else { "" });
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        write!(out, " timeout:{} label:", self.seconds);
        out.bytes(&self.label);
        out.str(if self.alarm { " alarm" } else { "" });
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.u32(self.seconds);
        b.fixed(&self.label, LABEL_MAX);
        b.u8(0);
        b.u8(u8::from(self.alarm));
        b.align(8);
        b.zeros(8);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let (seconds, rest) = info.split_first_chunk()?;
        let (label, rest) = rest.split_at_checked(LABEL_MAX)?;
        let len = label.iter().position(|b| *b == 0)?;
        let [0, alarm @ (0 | 1), ..] = *rest else { return None };
        Some(Self { seconds: u32::from_ne_bytes(*seconds), label: label.get(..len)?.into(), alarm: alarm == 1 })
    }

    fn scrub(info: &mut [u8]) {
        let label = info.get_mut(4..4 + LABEL_MAX).unwrap_or_default();
        let end = label.iter().position(|b| *b == 0).unwrap_or(label.len());
        label.iter_mut().skip(end).for_each(|b| *b = 0);
        info.get_mut(40..48).unwrap_or_default().fill(0);
    }
}

impl TargetExt for IdleTimer {
    fn apply(&self, _: &mut Packet, _: &mut Env<'_>) -> Effect {
        Effect::Continue
    }
}

#[cfg(test)]
mod tests {
    use crate::ext::targets::testing::{error, row, ways};
    use crate::types::Family::{V4, V6};

    #[test]
    fn what_stock_writes_and_prints() {
        for family in [V4, V6] {
            let words = "--timeout 10 --label lab1";
            let hex = format!("{:0<96}", "0a0000006c616231");
            row(family, None, &format!("IDLETIMER {words}"), words, " timeout:10 label:lab1", &hex);
            let words = "--timeout 10 --label lab2 --alarm";
            let hex = format!("{:0<96}", format!("{:0<66}01", "0a0000006c616232"));
            row(family, None, &format!("IDLETIMER {words}"), words, " timeout:10 label:lab2 alarm", &hex);
            ways(family, None, &format!("IDLETIMER {words}"), None, None);
        }
        let long = "1234567890123456789012345678";
        let cut = &long[..27];
        row(
            V4,
            None,
            &format!("IDLETIMER --timeout 0x10 --label {long}"),
            &format!("--timeout 16 --label {cut}"),
            &format!(" timeout:16 label:{cut}"),
            &format!("{:0<96}", format!("10000000{}", cut.bytes().map(|b| format!("{b:02x}")).collect::<String>())),
        );
        error(V4, None, "IDLETIMER", "IDLETIMER: option \"--timeout\" must be specified\n");
        error(V4, None, "IDLETIMER --timeout 1", "IDLETIMER: option \"--label\" must be specified\n");
        let range = "IDLETIMER: bad value for option \"--timeout\", or out of range (0-4294967295).\n";
        error(V4, None, "IDLETIMER --timeout 4294967296 --label a", range);
    }
}

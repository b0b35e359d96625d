//! `-j RATEEST`: estimates the rate of the packets that come to the rule, for `-m rateest`.
//!
//! # Options
//! `--rateest-name NAME`, `--rateest-interval TIME` (rounded up to 250 ms, 500 ms, 1 s, … 8 s), `--rateest-ewmalog TIME` (the constant of the
//! running average, rounded to a power of two of the interval); a time is `N[s|ms|us]`, microseconds without a unit.
//! # Wire
//! xt `RATEEST` revision 0, `struct xt_rateest_target_info` (32 bytes): the name, and the binary logarithms of the interval in seconds and of
//! the constant in intervals. Native: none, because nf_tables has no estimators.
//! # Evaluates
//! The walk goes on.
//! # Differs
//! A name with white space in it, or none, is printed in quotes by `-S`. Stock takes times over 4294 seconds modulo 2³² microseconds.
//! # Sources
//! iptables-extensions(8) "RATEEST"; `linux/netfilter/xt_RATEEST.h`, `linux/gen_stats.h`; fact sheet 3.4; observed with stock 1.8.9.

use crate::ext::options::{Given, Kind, Opt, UsageError, usage_bytes};
use crate::ext::{Effect, Extension, ParseCx, PrintCx, Spec, TargetExt, strtod};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out};
use crate::usage;
use crate::wire::BlobWriter;

/// A name for the estimate, and how it is made.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RateEst {
    /// At most 15 bytes without NUL.
    name: Box<[u8]>,
    /// From -2 (250 ms) to 3 (8 s).
    interval_log: i8,
    /// From 1 to 30.
    average_log: u8,
    /// What was asked for, in microseconds; 0 as soon as the two above are known.
    interval_us: u64,
    average_us: u64,
}

/// `IFNAMSIZ`.
const NAME_SIZE: usize = 16;
/// The shortest interval in microseconds, and its logarithm.
const SHORTEST_US: u32 = 250_000;
const SHORTEST_LOG: i8 = -2;
const LONGEST_LOG: i8 = 3;

const NAME: u8 = 0;
const INTERVAL: u8 = 1;

const OPTIONS: &[Opt] = &[
    Opt::value("rateest-name", NAME, Kind::Raw, "name", "the estimate's name")
        .mandatory()
        .examples(&["re1", "uplink", "a-b"]),
    Opt::value("rateest-interval", INTERVAL, Kind::Raw, "time", "how often the rate is measured, from 250ms to 8s")
        .mandatory()
        .examples(&["250ms", "500msec", "1s", "2secs", "4s", "8000000us", "250000", "0.6s"]),
    Opt::value("rateest-ewmalog", 2, Kind::Raw, "time", "time constant of the running average")
        .mandatory()
        .examples(&["16s", "32s", "64.5s", "128000ms", "1000s", "20sec"]),
];

impl Extension for RateEst {
    const SPEC: Spec = Spec { options: OPTIONS, ..Spec::new("RATEEST", 0, "estimates a rate for -m rateest") };

    fn new(_: Family) -> Self {
        Self { name: Box::default(), interval_log: 0, average_log: 0, interval_us: 0, average_us: 0 }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        let text = given.bytes();
        let bad = |what: &str| usage_bytes(&format!("RATEEST: bad {what} value \""), text, "\"");
        match given.id() {
            NAME => self.name = text.get(..NAME_SIZE - 1).unwrap_or(text).into(),
            INTERVAL => self.interval_us = microseconds(text).ok_or_else(|| bad("interval"))?,
            _ => self.average_us = microseconds(text).ok_or_else(|| bad("ewmalog"))?,
        }
        Ok(())
    }

    fn finish(&mut self, _: u32, _: &ParseCx<'_>) -> Result<(), UsageError> {
        let fits = |log: &i8| self.interval_us <= u64::from(SHORTEST_US) << (log - SHORTEST_LOG);
        let interval = (SHORTEST_LOG..=LONGEST_LOG).find(fits);
        self.interval_log = interval.ok_or_else(|| usage!("RATEEST: interval value is too large"))?;
        // A new value counts for 1/2ⁿ of the average, which is a time constant of so many intervals.
        let constant = |log: u8| -1.0 / (1.0 - 0.5f64.powi(log.into())).ln();
        // Far below 2⁵³, or of no account.
        let (interval, average) = (self.interval_us as f64, self.average_us as f64);
        let reaches = |log: &u8| interval * constant(*log) <= average;
        self.average_log = match (1..=31).take_while(reaches).last() {
            Some(log @ 1..=30) => log,
            _ => return Err(usage!("RATEEST: ewmalog value is out of range")),
        };
        (self.interval_us, self.average_us) = (0, 0);
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" --rateest-name");
        out.word(&self.name);
        self.print_times(out, " --rateest-interval ", " --rateest-ewmalog ");
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" name ");
        out.bytes(&self.name);
        self.print_times(out, " interval ", " ewmalog ");
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.fixed(&self.name, NAME_SIZE);
        b.u8(self.interval_log.cast_unsigned());
        b.u8(self.average_log);
        b.align(8);
        b.zeros(8);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let (name, rest) = info.split_at_checked(NAME_SIZE)?;
        let name = name.get(..name.iter().position(|b| *b == 0)?)?;
        let [interval, average_log, ..] = *rest else { return None };
        let interval_log = interval.cast_signed();
        let found = Self { name: name.into(), interval_log, average_log, interval_us: 0, average_us: 0 };
        let times = (SHORTEST_LOG..=LONGEST_LOG).contains(&interval_log) && (1..=30).contains(&average_log);
        times.then_some(found)
    }

    fn scrub(info: &mut [u8]) {
        if let Some(private) = info.get_mut(24..) {
            private.fill(0);
        }
    }
}

impl RateEst {
    /// The interval in microseconds.
    fn interval(&self) -> u64 {
        let log = u32::try_from(self.interval_log.saturating_sub(SHORTEST_LOG)).unwrap_or(0);
        u64::from(SHORTEST_US) << log.min(16)
    }

    /// The time constant in microseconds.
    fn average(&self) -> u64 {
        self.interval() << self.average_log.min(31)
    }

    fn print_times(&self, out: &mut Out, interval: &str, average: &str) {
        for (word, us) in [(interval, self.interval()), (average, self.average())] {
            // Less than 2⁵³ microseconds, which a float says exactly.
            match us {
                1_000_000.. => write!(out, "{word}{:.1}s", us as f64 / 1e6),
                1000.. => write!(out, "{word}{:.1}ms", us as f64 / 1e3),
                _ => write!(out, "{word}{us}us"),
            }
        }
    }
}

/// A time in microseconds; one below 0 is one beyond all limits, and one far beyond them 0, as with stock.
fn microseconds(text: &[u8]) -> Option<u64> {
    let (n, unit) = strtod::leading(text)?;
    let is = |names: [&str; 3]| names.iter().any(|name| name.as_bytes().eq_ignore_ascii_case(unit));
    let factor = match unit {
        [] => 1.0,
        _ if is(["s", "sec", "secs"]) => 1e6,
        _ if is(["ms", "msec", "msecs"]) => 1e3,
        _ if is(["us", "usec", "usecs"]) => 1.0,
        _ => return None,
    };
    let n = n * factor;
    Some(if n.abs() < 2f64.powi(63) { (n as i64).cast_unsigned() } else { 0 })
}

impl TargetExt for RateEst {
    fn apply(&self, _: &mut Packet, _: &mut Env<'_>) -> Effect {
        Effect::Continue
    }
}

#[cfg(test)]
mod tests {
    use crate::ext::Target;
    use crate::ext::targets::testing::{parse, row};
    use crate::types::Family::{V4, V6};

    #[test]
    fn what_stock_writes_and_prints() {
        for (interval, average, said, times) in [
            ("250ms", "0.5s", "250.0ms ewmalog 500.0ms", "fe01"),
            ("250000", "1000000", "250.0ms ewmalog 1.0s", "fe02"),
            ("100ms", "1s", "250.0ms ewmalog 2.0s", "fe03"),
            ("600ms", "2S", "1.0s ewmalog 2.0s", "0001"),
            ("1.5s", "8secs", "2.0s ewmalog 8.0s", "0102"),
            ("3s", "64s", "4.0s ewmalog 64.0s", "0204"),
            ("8s", "1000s", "8.0s ewmalog 512.0s", "0306"),
            ("8s", "1023s", "8.0s ewmalog 1024.0s", "0307"),
            ("8s", "255s", "8.0s ewmalog 256.0s", "0305"),
            ("8s", "33s", "8.0s ewmalog 32.0s", "0302"),
            ("250ms", "10000s", "250.0ms ewmalog 8192.0s", "fe0f"),
            ("16422", "1000s", "250.0ms ewmalog 8192.0s", "fe0f"),
        ] {
            for family in [V4, V6] {
                let words =
                    format!("RATEEST --rateest-name re1 --rateest-interval {interval} --rateest-ewmalog {average}");
                let save =
                    format!("--rateest-name re1 --rateest-interval {}", said.replace("ewmalog", "--rateest-ewmalog"));
                let hex = format!("726531{}{times}{}", "00".repeat(13), "00".repeat(14));
                row(family, None, &words, &save, &format!(" name re1 interval {said}"), &hex);
            }
        }
    }

    #[test]
    fn what_stock_refuses() {
        let range = "RATEEST: ewmalog value is out of range";
        for (words, text) in [
            ("", range),
            (" --rateest-name x --rateest-interval 250ms", range),
            (" --rateest-name x --rateest-interval 250ms --rateest-ewmalog 250ms", range),
            (" --rateest-name x --rateest-interval 0 --rateest-ewmalog 1s", range),
            (" --rateest-name x --rateest-interval 16s --rateest-ewmalog 64s", "RATEEST: interval value is too large"),
            (" --rateest-name x --rateest-interval -1s --rateest-ewmalog 64s", "RATEEST: interval value is too large"),
            (" --rateest-interval 1min", "RATEEST: bad interval value \"1min\""),
            (" --rateest-ewmalog x", "RATEEST: bad ewmalog value \"x\""),
            (" --rateest-interval 1s --rateest-ewmalog 4s", "RATEEST: option \"--rateest-name\" must be specified\n"),
        ] {
            assert_eq!(parse(V4, None, &format!("RATEEST{words}")).map(|_| ()), Err(text.to_owned()), "{words}");
        }
    }

    #[test]
    fn what_other_programs_wrote() {
        let read = |interval: u8, average: u8, private: u8| {
            let mut info = [0; 32];
            info[0] = b'x';
            (info[16], info[17]) = (interval, average);
            info[24..].fill(private);
            Target::decode(b"RATEEST", 0, &info, V4, &mut Vec::new()).is_some()
        };
        assert!(read(3, 8, 0xee) && read(0xfe, 1, 0));
        assert!(!read(4, 1, 0) && !read(0xfd, 1, 0) && !read(0, 0, 0) && !read(0, 31, 0));
    }
}

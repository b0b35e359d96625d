//! The rates and bursts of `-m hashlimit`, in packets or bytes, as they are written, kept and printed.
//!
//! Packets: the kernel keeps the time for one packet in 1/1000000 seconds. Bytes: it keeps what 16 bytes cost, where a second is worth
//! 2³² − 1, so that a rate is a multiple of 16 bytes give or take the rounding. Printing takes the unit that says just what is kept.
//! Sources: iptables-extensions(8) "hashlimit"; `linux/netfilter/xt_hashlimit.h`; observed with stock 1.8.9.

use crate::ext::options::{leading_number, skip_space};
use crate::types::Out;

/// Parts of a second (`XT_HASHLIMIT_SCALE_v2`).
pub const SCALE: u64 = 1_000_000;
/// Bytes are counted in steps of `1 << BYTE_SHIFT` (`XT_HASHLIMIT_BYTE_SHIFT`).
pub const BYTE_SHIFT: u32 = 4;

/// Units of time: length in seconds, the name it is printed by, and the name it is read by.
pub const UNITS: [(u64, &str, &str); 4] =
    [(86400, "day", "day"), (3600, "hour", "hour"), (60, "min", "minute"), (1, "sec", "second")];

/// Units of bytes.
const BYTE_UNITS: [(u64, &str); 3] = [(1 << 20, "mb"), (1 << 10, "kb"), (1, "b")];

/// A rate as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// What is kept: 1/1000000 seconds for a packet, or the cost of 16 bytes.
    pub avg: u64,
    /// Seconds in the unit it was written with.
    pub unit: u64,
    /// Whether it counts bytes.
    pub bytes: bool,
}

/// Why a rate is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// It says nothing, or 0.
    Value,
    /// More than the kernel can count.
    TooFast,
}

impl Rate {
    /// `N[/unit]` in packets, or `N[k|m]b/s` in bytes. What stands between the number and its unit is ignored.
    pub fn parse(text: &[u8]) -> Result<Self, Bad> {
        let n = leading_int(text);
        if let Some(at) = text.windows(3).position(|w| w == b"b/s") {
            let factor = match at.checked_sub(1).and_then(|i| text.get(i)) {
                Some(b'k') => 1 << 10,
                Some(b'm') => 1 << 20,
                _ => 1,
            };
            let n = u64::try_from(n).map_err(|_| Bad::TooFast)?;
            let bytes = n.checked_mul(factor).ok_or(Bad::TooFast)?;
            if n == 0 {
                return Err(Bad::Value);
            }
            return Ok(Self { avg: cost_of(bytes).ok_or(Bad::TooFast)?, unit: 1, bytes: true });
        }
        let mut parts = text.splitn(2, |b| *b == b'/').skip(1);
        let unit = match parts.next() {
            None => 1,
            Some(unit) => {
                let is = |name: &str| {
                    let start = name.as_bytes().get(..unit.len());
                    !unit.is_empty() && start.is_some_and(|s| s.eq_ignore_ascii_case(unit))
                };
                UNITS.iter().find(|(_, _, name)| is(name)).ok_or(Bad::Value)?.0
            }
        };
        // A number below 0 is one above all limits, as unsigned.
        match (SCALE * unit).checked_div(n.cast_unsigned()) {
            None => Err(Bad::Value),
            Some(0) => Err(Bad::TooFast),
            Some(avg) => Ok(Self { avg, unit, bytes: false }),
        }
    }
}

/// Prints packets in a unit, for a period in 1/1000000 seconds; says how many seconds the unit has.
pub fn print_packets(period: u64, out: &mut Out) -> u64 {
    let (n, unit, name) = packets(period);
    write!(out, "{n}/{name}");
    unit
}

/// The packets in a unit, its seconds and its name: the unit is as small as still says the period well.
pub fn packets(period: u64) -> (u64, u64, &'static str) {
    let too_small = |(seconds, ..): &(u64, &str, &str)| {
        let whole = SCALE * seconds;
        period > whole || period == 0 || whole / period < whole % period
    };
    let at = UNITS.iter().skip(1).position(too_small).unwrap_or(UNITS.len() - 1);
    let (seconds, name, _) = UNITS.get(at).copied().unwrap_or((1, "sec", "second"));
    ((SCALE * seconds).checked_div(period).unwrap_or(0), seconds, name)
}

/// What 16 bytes cost at so many bytes a second; `None` where the kernel's arithmetic ends.
pub fn cost_of(bytes: u64) -> Option<u64> {
    let steps = u32::try_from(bytes >> BYTE_SHIFT).ok()?;
    Some(u64::from(u32::MAX.checked_div(steps.checked_add(1)?)?)).filter(|cost| *cost != 0)
}

/// The bytes a second at which 16 bytes cost so much.
pub fn bytes_of(cost: u64) -> u64 {
    let steps = u64::from(u32::MAX).checked_div(cost).unwrap_or(0);
    steps.saturating_sub(1) << BYTE_SHIFT
}

/// Prints a rate in bytes a second.
pub fn print_byte_rate(cost: u64, out: &mut Out) {
    let (n, name) = byte_rate(cost);
    write!(out, "{n}{name}/s");
}

/// A rate in bytes a second and its unit: the largest that is read back as the same.
pub fn byte_rate(cost: u64) -> (u64, &'static str) {
    let bytes = bytes_of(cost);
    let says = |n: u64| u32::try_from(n).ok().and_then(|n| cost_of(u64::from(n))) == Some(cost);
    let exact = BYTE_UNITS.iter().find(|(unit, _)| bytes >= *unit && says(bytes / unit * unit));
    exact.map_or((bytes, "b"), |(unit, name)| (bytes / unit, name))
}

/// A burst in bytes and its unit, `bursts` seconds' worth of the rate: the largest unit that is read back as the same.
pub fn byte_burst(cost: u64, bursts: u64) -> (u64, &'static str) {
    let step = bytes_of(cost);
    let bytes = step.saturating_mul(bursts).min(u64::from(u32::MAX));
    let says = |n: u64| step != 0 && n >= step && n.div_ceil(step) == bursts;
    let exact = BYTE_UNITS.iter().find(|(unit, _)| says(bytes / unit * unit));
    exact.map_or((bytes, "b"), |(unit, name)| (bytes / unit, name))
}

/// A burst as it is written: a number, which `k` (or `kb`) and `m` (`mb`) behind it multiply; anything else there is ignored.
pub fn burst(text: &[u8]) -> Option<u64> {
    let (n, rest) = leading_number(text)?;
    let factor = match rest.first() {
        Some(b'k') => 1 << 10,
        Some(b'm') => 1 << 20,
        _ => 1,
    };
    n.checked_mul(factor).filter(|n| *n <= u64::from(u32::MAX))
}

/// The decimal number at the front, as strtoll(3) with base 10 reads it, saturating.
pub fn leading_int(text: &[u8]) -> i64 {
    let text = skip_space(text);
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let digits = digits.iter().take_while(|b| b.is_ascii_digit());
    let n = digits.fold(0i64, |n, b| n.saturating_mul(10).saturating_add(i64::from(b - b'0')));
    if negative { -n } else { n }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(avg: u64, bytes: bool) -> String {
        let mut out = Out::new();
        if bytes {
            print_byte_rate(avg, &mut out);
        } else {
            print_packets(avg, &mut out);
        }
        String::from_utf8_lossy(out.as_bytes()).into_owned()
    }

    /// Observed with stock 1.8.9.
    #[test]
    fn rates() {
        for (written, printed) in [
            ("5", "5/sec"),
            ("5kb/S", "5/sec"),
            ("5kb/min", "5/min"),
            ("5KB/s", "5/sec"),
            (" 5/s", "5/sec"),
            ("5x/S", "5/sec"),
            ("120/min", "2/sec"),
            ("300/s", "300/sec"),
            ("999999/s", "1000000/sec"),
            ("1000000/min", "16666/sec"),
            ("77777/day", "77777/day"),
            ("4294967297/day", "50000/sec"),
            ("2000000000/day", "23255/sec"),
            ("1kb/s", "1kb/s"),
            ("5kb/second", "5kb/s"),
            ("5mkb/s", "5kb/s"),
            ("100b/s", "96b/s"),
            ("1000b/s", "992b/s"),
            ("1041b/s", "1040b/s"),
            ("2000b/s", "2000b/s"),
            ("1024kb/s", "1mb/s"),
            ("1536kb/s", "1536kb/s"),
            ("3000kb/s", "3000kb/s"),
            ("10mb/s", "10mb/s"),
            ("1000mb/s", "1008mb/s"),
            ("1000000kb/s", "978mb/s"),
            ("4000mb/s", "4095mb/s"),
            ("4200mb/s", "4581298432b/s"),
            ("10000mb/s", "11453246096b/s"),
            ("5kbb/s", "0b/s"),
            ("3gb/s", "0b/s"),
        ] {
            let rate = Rate::parse(written.as_bytes()).unwrap_or_else(|e| panic!("{written}: {e:?}"));
            assert_eq!(text(rate.avg, rate.bytes), printed, "{written}");
        }
        for wrong in ["0", "0b/s", "x", "", "5/", "5/x", "5/minutes", "0x5/s", "kb/s"] {
            assert_eq!(Rate::parse(wrong.as_bytes()), Err(Bad::Value), "{wrong}");
        }
        for fast in ["-5/s", "1000001/sec", "60000001/min", "99999999999999999999b/s", "65536mb/s", "-5kb/s"] {
            assert_eq!(Rate::parse(fast.as_bytes()), Err(Bad::TooFast), "{fast}");
        }
    }

    #[test]
    fn what_is_printed_reads_back() {
        for n in (1..5000).chain((5000..1_000_000).step_by(97)) {
            for unit in ["second", "minute", "hour", "day"] {
                let rate = Rate::parse(format!("{n}/{unit}").as_bytes()).unwrap();
                let again = Rate::parse(text(rate.avg, false).as_bytes()).unwrap();
                assert!(again.avg - rate.avg <= 1, "{n}/{unit}: {} {}", rate.avg, again.avg);
            }
            let rate = Rate::parse(format!("{}b/s", n * 16).as_bytes()).unwrap();
            assert_eq!(Rate::parse(text(rate.avg, true).as_bytes()), Ok(rate), "{n}");
        }
    }

    #[test]
    fn bursts() {
        for (written, read) in [
            ("5", Some(5)),
            ("5kb", Some(5120)),
            ("5k", Some(5120)),
            ("1mbx", Some(1 << 20)),
            ("1gb", Some(1)),
            ("5x", Some(5)),
            ("0x10", Some(16)),
            (" 010", Some(8)),
            ("-1", None),
            ("x", None),
            ("", None),
            ("99999999999999999999kb", None),
            ("4096mb", None),
        ] {
            assert_eq!(burst(written.as_bytes()), read, "{written}");
        }
        let kilobyte = cost_of(1024).unwrap();
        for (bursts, printed) in [(1, (1, "kb")), (2, (2, "kb")), (2047, (2047, "kb")), (3072, (3, "mb"))] {
            assert_eq!(byte_burst(kilobyte, bursts), printed);
        }
        assert_eq!(byte_burst(cost_of(2 << 20).unwrap(), 2048), (4095, "mb"));
        assert_eq!(byte_burst(cost_of(3000).unwrap(), 2_000_000), (4_294_967_295, "b"));
        assert_eq!(byte_burst(cost_of(96).unwrap(), 11), (1, "kb"));
        assert_eq!(byte_burst(cost_of(96).unwrap(), 2), (192, "b"));
    }
}

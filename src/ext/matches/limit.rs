//! `-m limit`: a token bucket for the whole rule.
//!
//! # Matches
//! Packets while there are tokens. The bucket starts full with `--limit-burst` tokens and gets one each `unit/rate` seconds.
//! # Options
//! `--limit N[/second|/minute|/hour|/day]` (units may be cut short; default 3/hour; at most 10000/second), `--limit-burst N` (0 to 10000,
//! default 5; 0 is the default too).
//! # Wire
//! Native: `limit rate/unit burst`, in packets. A rate is first cut to a period of whole 1/10000 seconds and then written as a number per
//! second, minute, hour or day, as stock does: 300/s becomes 303/sec, 120/min 2/sec. Also read: xt `limit` revision 0,
//! `struct xt_rateinfo { u32 avg; u32 burst; … }`, avg in 1/10000 seconds, the rest private to the kernel.
//! # Evaluates
//! Always known, from the clock and what the rule let pass before: the kernel's nft_limit.
//! # Differs
//! A limit that another program wrote is taken only if a `--limit` has just its period: stock prints `limit rate 300/second` as 303/sec.
//! # Sources
//! iptables-extensions(8) "limit"; `linux/netfilter/xt_limit.h`, `nf_tables.h` (NFTA_LIMIT_*); fact sheet 2.4.

use crate::ext::list::Match;
use crate::ext::options::{Given, Kind, Opt, UsageError, skip_space, usage_bytes};
use crate::ext::{Body, Extension, MatchExt, ParseCx, PrintCx, Spec};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out, Tri};
use crate::wire::cond::Item;
use crate::wire::consts::NFT_LIMIT_PKTS;
use crate::wire::expr::Expr;
use crate::wire::{BlobWriter, ExprWriter};

/// A rate and a burst, in packets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Limit {
    rate: Rate,
    /// 0 to 10000; 0 means the default.
    burst: u32,
}

/// `n` per unit, as it is written and printed: 1 to 10000 a second, or as much in the larger units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Rate {
    n: u32,
    /// Index into [`UNITS`].
    unit: usize,
}

/// Units: length in seconds, the name it is printed by, and the name it is read by.
const UNITS: [(u32, &str, &str); 4] =
    [(86400, "day", "day"), (3600, "hour", "hour"), (60, "min", "minute"), (1, "sec", "second")];

/// Parts of a second in which periods are counted (`XT_LIMIT_SCALE`).
const SCALE: u32 = 10000;
const DEFAULT_BURST: u32 = 5;
const MAX_BURST: u32 = 10000;

const LIMIT: u8 = 0;
const BURST: u8 = 1;

const OPTIONS: &[Opt] = &[
    Opt::value("limit", LIMIT, Kind::Raw, "rate[/unit]", "average number of packets in a second, minute, hour or day")
        .examples(&["5", "5/s", "10/minute", "120/min", "3/hour", "7/day", "300/s", "10000/second", "864000000/day"]),
    Opt::value(
        "limit-burst",
        BURST,
        Kind::Number { min: 0, max: MAX_BURST as u64 },
        "number",
        "packets let through at first",
    )
    .examples(&["0", "1", "5", "7", "10000"]),
];

impl Extension for Limit {
    const SPEC: Spec = Spec { options: OPTIONS, stateful: true, ..Spec::new("limit", 0, "matches at a limited rate") };

    fn new(_: Family) -> Self {
        Self { rate: Rate { n: 3, unit: 1 }, burst: DEFAULT_BURST }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        match given.id() {
            LIMIT => self.rate = Rate::parse(given.bytes())?,
            _ => self.burst = given.u32(),
        }
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" --limit ");
        self.rate.print(out);
        if self.burst() != DEFAULT_BURST {
            out.str(" --limit-burst ");
            out.dec(u64::from(self.burst));
        }
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" limit: avg ");
        self.rate.print(out);
        out.str(" burst ");
        out.dec(u64::from(self.burst()));
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        let unit = UNITS.get(self.rate.unit).map_or("", |(_, _, name)| name);
        write!(out, "limit rate {}/{unit}", self.rate.n);
        if self.burst != 0 {
            write!(out, " burst {} packets", self.burst);
        }
        true
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.u32(self.rate.period());
        b.u32(self.burst);
        b.zeros(32);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let [a0, a1, a2, a3, b0, b1, b2, b3, ..] = *info else { return None };
        let burst = u32::from_ne_bytes([b0, b1, b2, b3]);
        let rate = Rate::of_period(u32::from_ne_bytes([a0, a1, a2, a3]))?;
        (1..=MAX_BURST).contains(&burst).then_some(Self { rate, burst })
    }

    fn scrub(info: &mut [u8]) {
        if let Some(private) = info.get_mut(8..) {
            private.fill(0);
        }
    }
}

impl Limit {
    /// The burst that counts.
    fn burst(&self) -> u32 {
        if self.burst == 0 { DEFAULT_BURST } else { self.burst }
    }
}

impl Rate {
    /// `N[/unit]`. N is the number at the front, read like atoi(3): what stands between it and the slash is ignored.
    fn parse(text: &[u8]) -> Result<Self, UsageError> {
        let bad = || usage_bytes("bad rate \"", text, "\"'");
        let mut parts = text.splitn(2, |b| *b == b'/');
        let n = leading_int(parts.next().unwrap_or_default());
        let seconds = match parts.next() {
            None => 1,
            Some(unit) => {
                let is = |name: &str| {
                    let start = name.as_bytes().get(..unit.len());
                    !unit.is_empty() && start.is_some_and(|s| s.eq_ignore_ascii_case(unit))
                };
                UNITS.iter().find(|(_, _, name)| is(name)).ok_or_else(bad)?.0
            }
        };
        let period = (SCALE * seconds).checked_div(n).ok_or_else(bad)?;
        Self::of_period(period).ok_or_else(|| usage_bytes("Rate too fast \"", text, "\""))
    }

    /// The rate that is written for a period in 1/10000 seconds: per unit as small as still says it well.
    fn of_period(period: u32) -> Option<Self> {
        let per = |seconds: u32| (SCALE * seconds).checked_div(period);
        let too_small = |(seconds, ..): &(u32, &str, &str)| {
            let whole = SCALE * seconds;
            period > whole || per(*seconds).is_none_or(|n| n < whole % period)
        };
        let unit = UNITS.iter().skip(1).position(too_small).unwrap_or(UNITS.len() - 1);
        let (seconds, ..) = *UNITS.get(unit)?;
        Some(Self { n: per(seconds).filter(|n| *n != 0)?, unit })
    }

    fn seconds(self) -> u32 {
        UNITS.get(self.unit).map_or(1, |(seconds, ..)| *seconds)
    }

    /// The period in 1/10000 seconds.
    fn period(self) -> u32 {
        (SCALE * self.seconds()).checked_div(self.n).unwrap_or(0)
    }

    /// Nanoseconds for a packet, as the kernel reckons.
    fn cost(self) -> u64 {
        cost(u64::from(self.n), u64::from(self.seconds())).unwrap_or(0)
    }

    fn print(self, out: &mut Out) {
        out.dec(u64::from(self.n));
        out.byte(b'/');
        out.str(UNITS.get(self.unit).map_or("", |(_, name, _)| name));
    }
}

/// Nanoseconds for a packet at `rate` packets in `unit` seconds.
fn cost(rate: u64, unit: u64) -> Option<u64> {
    unit.checked_mul(1_000_000_000)?.checked_div(rate)
}

/// The decimal number at the front, cut to 32 bits: atoi(3) as unsigned.
fn leading_int(text: &[u8]) -> u32 {
    let text = skip_space(text);
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let digits = digits.iter().take_while(|b| b.is_ascii_digit());
    let n = digits.fold(0u64, |n, b| n.saturating_mul(10).saturating_add(u64::from(b - b'0')));
    let n = i64::try_from(n).unwrap_or(i64::MAX);
    let [a, b, c, d, ..] = (if negative { -n } else { n }).to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// The bucket of one rule, in nanoseconds: `nft_limit` of the kernel.
#[derive(Debug)]
struct Bucket {
    tokens: u64,
    last_ns: u64,
}

impl MatchExt for Limit {
    fn encode(&self, _: Family, x: &mut ExprWriter<'_>) {
        x.limit(u64::from(self.rate.n), u64::from(self.rate.seconds()), self.burst);
    }

    fn raise(item: &Item<'_>, body: &mut Body) -> bool {
        let Item::Expr(Expr::Limit { rate, unit, burst, ty: NFT_LIMIT_PKTS, flags: 0 }) = item else { return false };
        let (Some(period), Some(cost)) = (unit.saturating_mul(u64::from(SCALE)).checked_div(*rate), cost(*rate, *unit))
        else {
            return false;
        };
        let Some(ours) = u32::try_from(period).ok().and_then(Rate::of_period) else { return false };
        if ours.cost() != cost || *burst > MAX_BURST {
            return false;
        }
        // The kernel puts its own default where a rule was written with 0; it never shows one.
        let burst = if *burst == 0 { DEFAULT_BURST } else { *burst };
        body.matches.push(Match::Limit(Self { rate: ours, burst }));
        true
    }

    fn eval(&self, _: &Packet, env: &mut Env<'_>) -> Tri {
        let cost = self.rate.cost();
        let max = cost * u64::from(self.burst());
        let cell = env.state.cell::<Option<Bucket>>("limit", &env.place.key());
        let bucket = cell.get_or_insert(Bucket { tokens: max, last_ns: env.now_ns });
        let passed_ns = env.now_ns.saturating_sub(bucket.last_ns);
        bucket.tokens = bucket.tokens.saturating_add(passed_ns).min(max);
        bucket.last_ns = env.now_ns;
        match bucket.tokens.checked_sub(cost) {
            Some(left) => {
                bucket.tokens = left;
                Tri::True
            }
            None => Tri::False,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{error, raised_text, read, row, with_env};
    use crate::packet::build::{Ipv4, Udp};
    use crate::packet::env::UnknownHost;
    use crate::types::Family::{V4, V6};
    use crate::types::Hook;

    #[test]
    fn what_stock_writes_and_prints() {
        for family in [V4, V6] {
            let row = |line: &str, save: &str, list: &str, (rate, unit, burst): (u64, u64, u32)| {
                let wire = format!("Limit {{ rate: {rate}, unit: {unit}, burst: {burst}, ty: 0, flags: 0 }}");
                row(family, None, &format!("limit{line}"), save, list, &wire);
            };
            row("", " --limit 3/hour", " limit: avg 3/hour burst 5", (3, 3600, 5));
            row(" --limit 5/min", " --limit 5/min", " limit: avg 5/min burst 5", (5, 60, 5));
            let burst = " --limit 5/sec --limit-burst 10000";
            row(burst, burst, " limit: avg 5/sec burst 10000", (5, 1, 10000));
            // A burst of 0 is written as it is; the kernel makes the default of it.
            let zero = read(family, None, "limit --limit-burst 0").unwrap();
            assert_eq!((zero.save(), zero.list(true)), (" --limit 3/hour".into(), " limit: avg 3/hour burst 5".into()));
            assert!(zero.wire().contains("burst: 0"), "{}", zero.wire());
            assert_eq!(raised_text(family, None, |x| x.limit(3, 3600, 0)), " -m limit --limit 3/hour");
        }
    }

    /// Observed: what is asked for, and what comes out.
    #[test]
    fn rates() {
        for (text, expected) in [
            ("5", "5/sec"),
            ("5/S", "5/sec"),
            ("5/mi", "5/min"),
            ("5x/s", "5/sec"),
            (" +5.7/d", "5/day"),
            ("10000/s", "10000/sec"),
            ("5001/s", "10000/sec"),
            ("300/s", "303/sec"),
            ("120/minute", "2/sec"),
            ("13/min", "13/min"),
            ("600000/min", "10000/sec"),
            ("7199/hour", "2/sec"),
            ("3601/hour", "3601/hour"),
            ("123456/hour", "2061/min"),
            ("24/day", "1/hour"),
            ("77777/day", "77781/day"),
            ("123456/day", "5144/hour"),
            ("864000000/day", "10000/sec"),
            ("4294967297/day", "1/day"),
        ] {
            let rate = Rate::parse(text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e:?}"));
            let mut out = Out::new();
            rate.print(&mut out);
            assert_eq!(String::from_utf8_lossy(out.as_bytes()), expected, "{text}");
        }
        for text in ["0", "", "x", "/s", "5/", "5/days", "5/s/s", "5/fortnight", "0x5/s", "4294967296/s"] {
            let line = format!("limit --limit {text}");
            assert_eq!(error(V4, None, &line), format!("bad rate \"{text}\"'"));
        }
        for text in ["10001/s", "600001/min", "36000001/hour", "864000001/day", "-1/s", "99999999999/day"] {
            assert_eq!(error(V4, None, &format!("limit --limit {text}")), format!("Rate too fast \"{text}\""));
        }
        let burst = "limit: bad value for option \"--limit-burst\", or out of range (0-10000).\n";
        assert_eq!(error(V4, None, "limit --limit-burst 10001"), burst);
    }

    #[test]
    fn what_is_printed_reads_back_as_the_same() {
        for n in (1..20000).chain((20000..864_000_000).step_by(7919)) {
            for unit in ["second", "minute", "hour", "day"] {
                let Ok(rate) = Rate::parse(format!("{n}/{unit}").as_bytes()) else { continue };
                let mut out = Out::new();
                rate.print(&mut out);
                assert_eq!(Rate::parse(out.as_bytes()), Ok(rate), "{n}/{unit}");
            }
        }
    }

    #[test]
    fn limits_of_other_programs() {
        let native = |rate, unit, burst| raised_text(V4, None, |x| x.limit(rate, unit, burst));
        assert_eq!(native(120, 60, 7), " -m limit --limit 2/sec --limit-burst 7");
        assert_eq!(native(14, 604_800, 5), " -m limit --limit 2/day");
        for (rate, unit, burst) in
            [(300, 1, 5), (10, 604_800, 5), (20000, 1, 5), (1, 1, 10001), (0, 1, 5), (1, 0, 5), (1, u64::MAX, 5)]
        {
            assert_eq!(native(rate, unit, burst), "opaque", "{rate}/{unit} burst {burst}");
        }
        let other = |ty, flags| {
            let item = Item::Expr(Expr::Limit { rate: 5, unit: 1, burst: 5, ty, flags });
            Limit::raise(&item, &mut Body::default())
        };
        assert!(other(NFT_LIMIT_PKTS, 0) && !other(1, 0) && !other(NFT_LIMIT_PKTS, 1));
        let compat = |avg: u32, burst: u32, private: u8| {
            let info = [&avg.to_ne_bytes()[..], &burst.to_ne_bytes(), &[private; 32]].concat();
            raised_text(V4, None, |x| x.xt_match("limit", 0, |b| b.bytes(&info)))
        };
        assert_eq!(compat(46153, 5, 0), " -m limit --limit 13/min");
        assert_eq!(compat(2000, 9, 0xee), " -m limit --limit 5/sec --limit-burst 9");
        assert_eq!(compat(46152, 5, 0), "opaque");
        assert_eq!(compat(0, 5, 0), "opaque");
        assert_eq!(compat(2000, 0, 0), "opaque");
    }

    /// As observed with real packets on Linux 6.18: the bucket starts full and fills with time.
    #[test]
    fn what_it_means() {
        let packet = Ipv4::default() / Udp::default();
        with_env(Hook::Input, &UnknownHost, |env| {
            let mut passed = |line: &str, rule: u64, now_ns: u64, packets: u32| {
                let limit = read(V4, None, line).unwrap().ext;
                (env.place.rule, env.now_ns) = (rule, now_ns);
                (0..packets).filter(|_| limit.eval(&packet, env) == Tri::True).count()
            };
            assert_eq!(passed("limit --limit 1/hour --limit-burst 3", 1, 1_000, 10), 3);
            assert_eq!(passed("limit --limit 1/hour --limit-burst 3", 2, 1_000, 1), 1, "each rule has its own bucket");
            assert_eq!(passed("limit --limit-burst 0", 3, 0, 10), 5);
            assert_eq!(passed("limit --limit 100/s --limit-burst 1", 4, 0, 10), 1);
            assert_eq!(passed("limit --limit 100/s --limit-burst 1", 4, 9_999_999, 10), 0);
            assert_eq!(passed("limit --limit 100/s --limit-burst 1", 4, 10_000_000, 10), 1);
            assert_eq!(passed("limit --limit 100/s --limit-burst 1", 4, 90_000_000, 10), 1, "no more than the burst");
        });
    }
}

//! `-m time`: when the packet comes.
//!
//! # Matches
//! Packets that come between two dates, between two times of the day, on some days of the month and of the week; all of these together.
//! # Options
//! `--datestart`, `--datestop YYYY[-MM[-DD[Thh[:mm[:ss]]]]]`, `--timestart`, `--timestop hh:mm[:ss]`, `[!] --monthdays 1,…,31`,
//! `[!] --weekdays Mon,…,Sun` (or 1 to 7), `--kerneltz` (also `--localtz`, deprecated) or `--utc` (default), `--contiguous`.
//! # Wire
//! xt `time` revision 0, `struct xt_time_info` (24 bytes, host order): seconds since 1970, seconds of the day, bits for the days. Native:
//! `meta time`, `meta hour`, `meta day`; none for days of the month, the kernel's time zone, and one stretch of time over midnight.
//! # Evaluates
//! Known from the clock; with the kernel's time zone, which is not known, it is Unknown.
//! # Differs
//! No day at all is printed by `-S` as `""`, or `0`, and `--datestop 1970` as such: what stock prints there it does not read back. No translation of
//! the kernel's time zone (nft has none), of `--contiguous`, of no weekday, of two dates or times the wrong way round or of equal times: nft
//! refuses stock's words or they mean something else. Those words hold for an nft(8) that runs in UTC.
//! A date before 1970 is refused without the line of mktime(3) that stock prints first.
//! # Sources
//! iptables-extensions(8) "time"; `linux/netfilter/xt_time.h`; fact sheet 3.4; observed with stock 1.8.9 and Linux 6.18.

use crate::ext::options::{Given, Kind, Opt, UsageError, bit, skip_space, usage_bytes};
use crate::ext::{Extension, MatchExt, NativeCx, ParseCx, PrintCx, Spec};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out, Tri};
use crate::usage;
use crate::wire::consts::{NFT_META_TIME_DAY, NFT_META_TIME_HOUR, NFT_META_TIME_NS};
use crate::wire::set::{AnonSet, Key};
use crate::wire::{BlobWriter, ExprWriter};
use std::borrow::Cow;

/// Dates in seconds since 1970, times in seconds of the day, both ends included.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Time {
    date_start: u32,
    date_stop: u32,
    day_start: u32,
    day_stop: u32,
    /// Bit n: the nth, from 1; bit 0 means nothing.
    month_days: u32,
    /// Bit n: the nth day of the week, from 1, which is Monday; bit 0 means nothing.
    week_days: u8,
    /// `XT_TIME_LOCAL_TZ`, `XT_TIME_CONTIGUOUS`.
    flags: u8,
}

const LOCAL_TZ: u8 = 1;
const CONTIGUOUS_FLAG: u8 = 2;
const LAST_DATE: u32 = i32::MAX.unsigned_abs();
const DAY: u32 = 86400;
const ALL_MONTH_DAYS: u32 = 0xffff_fffe;
const ALL_WEEK_DAYS: u8 = 0xfe;

const WEEK: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

const CONTIGUOUS: u8 = 0;
const DATESTART: u8 = 1;
const DATESTOP: u8 = 2;
const KERNELTZ: u8 = 3;
const LOCALTZ: u8 = 4;
const MONTHDAYS: u8 = 5;
const TIMESTART: u8 = 6;
const TIMESTOP: u8 = 7;
const UTC: u8 = 8;
const WEEKDAYS: u8 = 9;

const DATES: &[&str] = &[
    "1970",
    "2020",
    "2021-05",
    "2020-02-30",
    "2020-05-06T07",
    "2020-5-6T7:8:9",
    "2038-01-19T03:14:07",
    "2038-12-31T23:59:59",
    "2024-02-29",
];
const TIMES: &[&str] = &["00:00", "08:00", "8:5", "17:00:30", "23:59:59", "12:30", "1:2:3", "22:15"];

const OPTIONS: &[Opt] = &[
    Opt::flag("contiguous", CONTIGUOUS, "a time over midnight is one stretch, that of the day on which it began"),
    Opt::value("datestart", DATESTART, Kind::Raw, "time", "first date, YYYY[-MM[-DD[Thh[:mm[:ss]]]]]").examples(DATES),
    Opt::value("datestop", DATESTOP, Kind::Raw, "time", "last date, likewise").examples(DATES),
    Opt::flag("kerneltz", KERNELTZ, "times are those of the kernel's time zone instead of UTC"),
    Opt::flag("localtz", LOCALTZ, "the same as --kerneltz (deprecated)").excluding(bit(UTC)),
    Opt::value("monthdays", MONTHDAYS, Kind::Raw, "value", "days of the month, 1 to 31, with commas; all if not given")
        .invertible()
        .examples(&["1", "1,2,31", "5,12,19", "29,30,31", "1,11,21"]),
    Opt::value("timestart", TIMESTART, Kind::Raw, "time", "from this time of the day, hh:mm[:ss]").examples(TIMES),
    Opt::value("timestop", TIMESTOP, Kind::Raw, "time", "to this time of the day").examples(TIMES),
    Opt::flag("utc", UTC, "times are UTC (default)").excluding(bit(KERNELTZ)),
    Opt::value(
        "weekdays",
        WEEKDAYS,
        Kind::Raw,
        "value",
        "days of the week, Mon to Sun or 1 to 7, with commas; all if not given",
    )
    .invertible()
    .examples(&["Mon", "Sat,Sun", "1,2,3,4,5", "7", "Tue,5", "1,2,3,4,5,6,7"]),
];

impl Extension for Time {
    const SPEC: Spec = Spec { options: OPTIONS, ..Spec::new("time", 0, "matches by date, time of day, and day") };

    fn new(_: Family) -> Self {
        Self {
            date_start: 0,
            date_stop: LAST_DATE,
            day_start: 0,
            day_stop: DAY - 1,
            month_days: ALL_MONTH_DAYS,
            week_days: ALL_WEEK_DAYS,
            flags: 0,
        }
    }

    fn warning(given: &Given<'_>, _: &ParseCx<'_>) -> Option<Cow<'static, str>> {
        (given.id() == LOCALTZ).then_some(
            "WARNING: --localtz is being replaced by --kerneltz, since \"local\" is ambiguous. Note the kernel timezone has caveats - see \
             manpage for details."
                .into(),
        )
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        let text = given.bytes();
        match given.id() {
            CONTIGUOUS => self.flags |= CONTIGUOUS_FLAG,
            DATESTART => self.date_start = date(text)?,
            DATESTOP => self.date_stop = date(text)?,
            KERNELTZ | LOCALTZ => self.flags |= LOCAL_TZ,
            MONTHDAYS => {
                let days = month_days(text)?;
                self.month_days = if given.negated { days ^ ALL_MONTH_DAYS } else { days };
            }
            TIMESTART => self.day_start = time_of_day(text)?,
            TIMESTOP => self.day_stop = time_of_day(text)?,
            UTC => self.flags &= !LOCAL_TZ,
            _ => {
                let days = week_days(text)?;
                self.week_days = if given.negated { days ^ ALL_WEEK_DAYS } else { days };
            }
        }
        Ok(())
    }

    fn finish(&mut self, _: u32, _: &ParseCx<'_>) -> Result<(), UsageError> {
        if self.flags & CONTIGUOUS_FLAG != 0 && self.day_start < self.day_stop {
            return Err(usage!("time: --contiguous only makes sense when stoptime is smaller than starttime"));
        }
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        if self.has_times() {
            print_time(out, " --timestart ", self.day_start);
            print_time(out, " --timestop ", self.day_stop);
        }
        if self.month_days != ALL_MONTH_DAYS {
            out.str(" --monthdays ");
            self.print_month_days(out, |_| "");
            out.str(empty(self.month_days, self.month_days & ALL_MONTH_DAYS));
        }
        if self.week_days != ALL_WEEK_DAYS {
            out.str(" --weekdays ");
            self.print_week_days(out);
            out.str(empty(0, u32::from(self.week_days & ALL_WEEK_DAYS)));
        }
        if self.date_start != 0 {
            print_date(out, " --datestart ", self.date_start, 'T');
        }
        print_date(out, " --datestop ", self.date_stop, 'T');
        out.str(if self.flags & LOCAL_TZ != 0 { " --kerneltz" } else { "" });
        out.str(if self.flags & CONTIGUOUS_FLAG != 0 { " --contiguous" } else { "" });
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" TIME");
        if self.has_times() {
            print_time(out, " from ", self.day_start);
            print_time(out, " to ", self.day_stop);
        }
        if self.week_days != ALL_WEEK_DAYS {
            out.str(" on ");
            self.print_week_days(out);
        }
        if self.month_days != ALL_MONTH_DAYS {
            out.str(" on ");
            self.print_month_days(out, |day| match day % 10 {
                1 => "st",
                2 => "nd",
                3 => "rd",
                _ => "th",
            });
        }
        if self.date_start != 0 {
            print_date(out, " starting from ", self.date_start, ' ');
        }
        if self.date_stop != LAST_DATE {
            print_date(out, " until date ", self.date_stop, ' ');
        }
        out.str(if self.flags & LOCAL_TZ == 0 { " UTC" } else { "" });
        out.str(if self.flags & CONTIGUOUS_FLAG != 0 { " contiguous" } else { "" });
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        for field in [self.date_start, self.date_stop, self.day_start, self.day_stop, self.month_days] {
            b.u32(field);
        }
        b.u8(self.week_days);
        b.u8(self.flags);
        b.align(4);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let mut rest = info;
        let mut fields = [0; 5];
        for field in &mut fields {
            let (bytes, behind) = rest.split_first_chunk()?;
            (*field, rest) = (u32::from_ne_bytes(*bytes), behind);
        }
        let [date_start, date_stop, day_start, day_stop, month_days] = fields;
        let [week_days, flags, ..] = *rest else { return None };
        let found = Self { date_start, date_stop, day_start, day_stop, month_days, week_days, flags };
        let times = day_start < DAY && day_stop < DAY && (flags & CONTIGUOUS_FLAG == 0 || day_start >= day_stop);
        // Dates are said up to the end of 2038.
        let dates = date_start.max(date_stop) <= END_OF_2038;
        // All days and day 0, which there is not: no words bring that back.
        let days = month_days != u32::MAX && week_days != u8::MAX;
        (times && dates && days && flags & !(LOCAL_TZ | CONTIGUOUS_FLAG) == 0).then_some(found)
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        if self.flags != 0 || self.month_days != ALL_MONTH_DAYS {
            return false;
        }
        let ns = |seconds: u32, part: u64| (u64::from(seconds) * 1_000_000_000 + part).to_be_bytes();
        if self.date_start > self.date_stop || self.week_days & ALL_WEEK_DAYS == 0 {
            x.never();
            return true;
        }
        x.meta(NFT_META_TIME_NS);
        x.hton(8, 8);
        x.range(false, &ns(self.date_start, 0), &ns(self.date_stop, 999_999_999));
        // Times in order, or those between them the wrong way round; all of them if there is nothing between.
        let (from, to, not) = match self.day_start < self.day_stop {
            true => (self.day_start, self.day_stop, false),
            false => (self.day_stop + 1, self.day_start.saturating_sub(1), true),
        };
        if self.has_times() && from <= to {
            x.meta(NFT_META_TIME_HOUR);
            x.hton(4, 4);
            x.within(not, &from.to_be_bytes(), &to.to_be_bytes());
        }
        if self.week_days & ALL_WEEK_DAYS != ALL_WEEK_DAYS {
            let mut days = AnonSet::new(&[Key::Number(1)]);
            for day in (1..=7).filter(|day| self.week_days & 1 << day != 0) {
                days.value(&[&[day % 7]]);
            }
            x.meta(NFT_META_TIME_DAY);
            x.lookup(false, days);
        }
        true
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        let days: Vec<String> =
            (1..=7u8).filter(|day| self.week_days & 1 << day != 0).map(|day| (day % 7).to_string()).collect();
        let odd = self.date_start > self.date_stop || self.day_start >= self.day_stop || days.is_empty();
        let always = Self { flags: self.flags, ..Self::new(Family::V4) };
        if (self.flags != 0 && *self != always) || self.month_days != ALL_MONTH_DAYS || odd {
            return false;
        }
        if self.date_start != 0 || self.date_stop != LAST_DATE {
            print_date(out, "meta time \"", self.date_start, ' ');
            print_date(out, "\"-\"", self.date_stop, ' ');
            out.byte(b'"');
        }
        if self.has_times() {
            print_time(out, " meta hour \"", self.day_start);
            print_time(out, "\"-\"", self.day_stop);
            out.byte(b'"');
        }
        match days.as_slice() {
            _ if self.week_days & ALL_WEEK_DAYS == ALL_WEEK_DAYS => {}
            [day] => write!(out, " meta day {day}"),
            days => write!(out, " meta day {{ {} }}", days.join(", ")),
        }
        true
    }
}

/// What stands for a list of days without a day: `0` has been asked for, or nothing.
fn empty(all: u32, days: u32) -> &'static str {
    match (days, all) {
        (0, 0) => "\"\"",
        (0, _) => "0",
        _ => "",
    }
}

/// The second that ends what can be written.
const END_OF_2038: u32 = 2_177_452_799;

/// The decimal number at the front as strtoul(3) reads it, cut to 32 bits, and what stands behind it; nothing is 0.
fn leading(text: &[u8]) -> (u32, &[u8]) {
    let trimmed = skip_space(text);
    let (negative, digits) = match trimmed {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, trimmed),
    };
    let len = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    let Some((digits, rest)) = digits.split_at_checked(len).filter(|_| len > 0) else { return (0, text) };
    let n = digits.iter().try_fold(0u64, |n, b| n.checked_mul(10)?.checked_add(u64::from(b - b'0')));
    let n = match (n, negative) {
        (None, _) => u64::MAX,
        (Some(n), true) => n.wrapping_neg(),
        (Some(n), false) => n,
    };
    (u32::try_from(n & u64::from(u32::MAX)).unwrap_or(u32::MAX), rest)
}

/// `hh:mm[:ss]`, in seconds.
fn time_of_day(text: &[u8]) -> Result<u32, UsageError> {
    let bad = |text: &[u8]| {
        usage_bytes("invalid time \"", text, "\" specified, should be hh:mm[:ss] format and within the boundaries")
    };
    let (hours, [b':', minutes_text @ ..]) = leading(text) else { return Err(bad(text)) };
    if hours > 23 {
        return Err(bad(text));
    }
    let (minutes, rest) = leading(minutes_text);
    let seconds = match rest {
        _ if minutes > 59 => None,
        [] => Some(0),
        [b':', seconds @ ..] => match leading(seconds) {
            (n @ 0..=59, []) => Some(n),
            _ => return Err(bad(seconds)),
        },
        _ => None,
    };
    seconds.map(|s| hours * 3600 + minutes * 60 + s).ok_or_else(|| bad(minutes_text))
}

/// `YYYY[-MM[-DD[Thh[:mm[:ss]]]]]`, in seconds since 1970. A day that its month has not is one of the next, and month or day 0 of the one before.
fn date(text: &[u8]) -> Result<u32, UsageError> {
    let fields = date_fields(text)
        .ok_or_else(|| usage_bytes("Invalid date \"", text, "\" specified. Should be YYYY[-MM[-DD[Thh[:mm[:ss]]]]]"))?;
    let [year, month, day, hour, minute, second] = fields.map(i64::from);
    let (year, month) = if month == 0 { (year - 1, 12) } else { (year, month) };
    let seconds = (days_before(year, month) + day - 1) * i64::from(DAY) + hour * 3600 + minute * 60 + second;
    u32::try_from(seconds).map_err(|_| UsageError(b"mktime returned an error".to_vec(), 1))
}

fn date_fields(text: &[u8]) -> Option<[u32; 6]> {
    let mut fields = [0, 1, 1, 0, 0, 0];
    let limits = [(1970, 2038), (0, 12), (0, 31), (0, 23), (0, 59), (0, 59)];
    let mut rest = text;
    for ((field, (min, max)), behind) in fields.iter_mut().zip(limits).zip([b'-', b'-', b'T', b':', b':', 0]) {
        let (n, after) = leading(rest);
        if n < min || n > max {
            return None;
        }
        *field = n;
        rest = match after {
            [] => return Some(fields),
            [sign, after @ ..] if *sign == behind && behind != 0 => after,
            _ => return None,
        };
    }
    None
}

/// Days from 1970-01-01 to the first of a month (1 to 12) of the Gregorian calendar.
fn days_before(year: i64, month: i64) -> i64 {
    // Years that begin in March have the day that is not always there at their end.
    let year = if month <= 2 { year - 1 } else { year };
    let months = (month + 9) % 12;
    let days = 365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (153 * months + 2) / 5;
    days - 719_468
}

/// Year, month (from 1) and day (from 1) of a day since 1970.
fn civil(days: i64) -> (i64, i64, i64) {
    let mut year = 1970 + days / 366;
    while days_before(year + 1, 1) <= days {
        year += 1;
    }
    let month = (1..=12).rev().find(|month| days_before(year, *month) <= days).unwrap_or(1);
    (year, month, days - days_before(year, month) + 1)
}

/// Numbers with commas, of which two characters each are looked at.
fn month_days(text: &[u8]) -> Result<u32, UsageError> {
    let mut days = 0;
    let list = text.strip_suffix(b",").unwrap_or(text);
    for part in list.split(|b| *b == b',').filter(|_| !text.is_empty()) {
        let part = part.get(..2).unwrap_or(part);
        match strtoul(part) {
            Some(day @ 0..=31) => days |= 1 << day,
            _ => return Err(usage_bytes("", part, " is not a valid day for --monthdays")),
        }
    }
    Ok(days)
}

/// Names, of which the first two letters count, or numbers, with commas; of each, three characters are looked at. Of a number beyond the week
/// stock takes the last five bits.
fn week_days(text: &[u8]) -> Result<u8, UsageError> {
    let mut days = 0u32;
    let list = text.strip_suffix(b",").unwrap_or(text);
    for part in list.split(|b| *b == b',').filter(|_| !text.is_empty()) {
        let part = part.get(..3).unwrap_or(part);
        let named = (1u32..).zip(WEEK).find(|(_, name)| part.get(..2).is_some_and(|p| name.as_bytes().starts_with(p)));
        let day = match (named, strtoul(part)) {
            (Some((day, _)), _) => day,
            (None, Some(0)) => return Err(usage!("No, the week does NOT begin with Sunday.")),
            (None, Some(n)) => n,
            (None, None) => return Err(usage_bytes("", part, " is not a valid day specifier")),
        };
        days |= 1u32.wrapping_shl(day);
    }
    let [low, ..] = days.to_le_bytes();
    Ok(low)
}

/// A number of any base as strtoul(3) with base 0 reads it, a sign included, cut to 32 bits; nothing is 0; `None` if something is left over.
fn strtoul(text: &[u8]) -> Option<u32> {
    if text.is_empty() {
        return Some(0);
    }
    let text = skip_space(text);
    let (negative, digits) = match text {
        [b'-', digit, ..] if digit.is_ascii_digit() => (true, text.get(1..)?),
        _ => (false, text),
    };
    let (n, rest) = crate::ext::options::leading_number(digits)?;
    let n = if negative { n.wrapping_neg() } else { n };
    rest.is_empty().then(|| u32::try_from(n & u64::from(u32::MAX)).unwrap_or(u32::MAX))
}

fn print_time(out: &mut Out, before: &str, time: u32) {
    write!(out, "{before}{:02}:{:02}:{:02}", time / 3600, time / 60 % 60, time % 60);
}

fn print_date(out: &mut Out, before: &str, date: u32, between: char) {
    let (year, month, day) = civil(i64::from(date / DAY));
    write!(out, "{before}{year}-{month:02}-{day:02}");
    print_time(out, between.encode_utf8(&mut [0; 4]), date % DAY);
}

impl Time {
    fn has_times(&self) -> bool {
        self.day_start != 0 || self.day_stop != DAY - 1
    }

    fn print_week_days(&self, out: &mut Out) {
        let mut before = "";
        for (_, name) in (1u8..).zip(WEEK).filter(|(day, _)| self.week_days & 1 << day != 0) {
            write!(out, "{before}{name}");
            before = ",";
        }
    }

    fn print_month_days(&self, out: &mut Out, behind: impl Fn(u32) -> &'static str) {
        let mut before = "";
        for day in (1..=31).filter(|day| self.month_days & 1 << day != 0) {
            write!(out, "{before}{day}{}", behind(day));
            before = ",";
        }
    }

    /// Whether it is one of its moments, in seconds since 1970 of its time zone.
    fn holds(&self, now: i64) -> bool {
        let day = i64::from(DAY);
        let time = now.rem_euclid(day);
        let (start, stop) = (i64::from(self.day_start), i64::from(self.day_stop));
        let in_time = if start < stop { (start..=stop).contains(&time) } else { time >= start || time <= stop };
        // What is left of a stretch over midnight belongs to the day before.
        let belongs = self.flags & CONTIGUOUS_FLAG != 0 && start >= stop && time < stop;
        let days = now.div_euclid(day) - i64::from(belongs);
        // 1970-01-01 was a Thursday.
        let week_day = (days + 3).rem_euclid(7) + 1;
        let (_, _, month_day) = civil(days.max(0));
        (i64::from(self.date_start)..=i64::from(self.date_stop)).contains(&now)
            && in_time
            && u32::from(self.week_days) >> week_day & 1 != 0
            && self.month_days >> month_day & 1 != 0
    }
}

impl MatchExt for Time {
    fn eval(&self, _: &Packet, env: &mut Env<'_>) -> Tri {
        let always = Self { flags: LOCAL_TZ, ..Self::new(Family::V4) };
        if self.flags & LOCAL_TZ != 0 && *self != always {
            return Tri::Unknown;
        }
        let now = i64::try_from(env.now_ns / 1_000_000_000).unwrap_or(i64::MAX);
        Tri::from(self.holds(now))
    }
}

#[cfg(test)]
#[path = "time_tests.rs"]
mod tests;

//! Tests of `-m time`: what stock 1.8.9 wrote, printed and refused, and what the kernel did with packets.

use super::*;
use crate::ext::matches::testing::{error, raised_text, read, row, with_env};
use crate::packet::build::{Ipv4, Udp};
use crate::packet::env::UnknownHost;
use crate::types::Family::{V4, V6};
use crate::types::Hook;

#[test]
fn what_stock_writes_and_prints() {
    const STOP: &str = " --datestop 2038-01-19T03:14:07";
    let from_13th =
        "11st,12nd,13rd,14th,15th,16th,17th,18th,19th,20th,21st,22nd,23rd,24th,25th,26th,27th,28th,29th,30th,31st";
    for family in [V4, V6] {
        let row = |line: &str, save: &str, list: &str, wire: &str| {
            let save = save.replace("DS", STOP);
            let list = format!(" TIME{list}");
            row(family, None, &format!("time{line}"), &save, &list, &format!("match time 0 {wire}0000"));
        };
        row("", "DS", " UTC", "00000000ffffff7f000000007f510100fefffffffe00");
        row(
            " --timestart 08:00 --timestop 17:0:30",
            " --timestart 08:00:00 --timestop 17:00:30DS",
            " from 08:00:00 to 17:00:30 UTC",
            "00000000ffffff7f807000002eef0000fefffffffe00",
        );
        row(
            " --weekdays Mon,2,7 --kerneltz",
            " --weekdays Mon,Tue,SunDS --kerneltz",
            " on Mon,Tue,Sun",
            "00000000ffffff7f000000007f510100feffffff8601",
        );
        row(
            " ! --weekdays Sat --monthdays 1,2,31 --utc",
            " --monthdays 1,2,31 --weekdays Mon,Tue,Wed,Thu,Fri,SunDS",
            " on Mon,Tue,Wed,Thu,Fri,Sun on 1st,2nd,31st UTC",
            "00000000ffffff7f000000007f51010006000080be00",
        );
        row(
            " ! --monthdays 1,2,3,4,5,6,7,8,9,10",
            " --monthdays 11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31DS",
            &format!(" on {from_13th} UTC"),
            "00000000ffffff7f000000007f51010000f8fffffe00",
        );
        row(
            " --datestart 2020-01-02T03:04:05 --datestop 2021",
            " --datestart 2020-01-02T03:04:05 --datestop 2021-01-01T00:00:00",
            " starting from 2020-01-02 03:04:05 until date 2021-01-01 00:00:00 UTC",
            "a55d0d5e0066ee5f000000007f510100fefffffffe00",
        );
        row(
            " --timestart 23:00 --timestop 01:00 --contiguous --localtz",
            " --timestart 23:00:00 --timestop 01:00:00DS --kerneltz --contiguous",
            " from 23:00:00 to 01:00:00 contiguous",
            "00000000ffffff7f70430100100e0000fefffffffe03",
        );
        row(
            " --monthdays 0 ! --weekdays 1,2,3,4,5,6,7",
            " --monthdays 0 --weekdays \"\"DS",
            " on  on  UTC",
            "00000000ffffff7f000000007f510100010000000000",
        );
    }
}

#[test]
fn dates_and_times() {
    for (text, written) in [
        ("1970", "1970-01-01 00:00:00"),
        ("2020-05-06T7:8", "2020-05-06 07:08:00"),
        ("2020-5-6T7::9", "2020-05-06 07:00:09"),
        ("2020-00", "2019-12-01 00:00:00"),
        ("2020-02-30", "2020-03-01 00:00:00"),
        ("2021-02-31", "2021-03-03 00:00:00"),
        ("2020-02-00", "2020-01-31 00:00:00"),
        ("2020-010", "2020-10-01 00:00:00"),
        ("+2020- 5-", "2020-04-30 00:00:00"),
        ("2024-02-29", "2024-02-29 00:00:00"),
        ("2038-12-31T23:59:59", "2038-12-31 23:59:59"),
        ("4294969316", "2020-01-01 00:00:00"),
    ] {
        let mut out = Out::new();
        print_date(&mut out, "", date(text.as_bytes()).unwrap(), ' ');
        assert_eq!(String::from_utf8_lossy(out.as_bytes()), written, "{text}");
    }
    for day in (0..25_203).step_by(7) {
        let (year, month, dom) = civil(day);
        assert_eq!(days_before(year, month) + dom - 1, day);
    }
    for text in [
        "1969",
        "2039",
        "2020-13",
        "2020-01-32",
        "2020-01-01T24",
        "2020T",
        "2020-05-06t07",
        "2020-05-06T7:8:9:",
        "x",
        "",
    ] {
        let wrong = format!("Invalid date \"{text}\" specified. Should be YYYY[-MM[-DD[Thh[:mm[:ss]]]]]");
        assert_eq!(error(V4, None, &format!("time --datestart {text}")), wrong);
    }
    assert_eq!(date(b"1970-00"), Err(UsageError(b"mktime returned an error".to_vec(), 1)));
    for (text, seconds) in [("8:", 28800), (":5", 300), ("8::5", 28805), ("4294967304:000", 28800), ("+8: 5:+7", 29107)]
    {
        assert_eq!(time_of_day(text.as_bytes()), Ok(seconds), "{text}");
    }
    for (text, said) in [
        ("8", "8"),
        ("24:00", "24:00"),
        ("-1:00", "-1:00"),
        ("0x8:00", "0x8:00"),
        ("23:60", "60"),
        ("8:5x:3", "5x:3"),
        ("8:00:00:00", "00:00"),
        ("23:59:60", "60"),
    ] {
        let wrong = format!("invalid time \"{said}\" specified, should be hh:mm[:ss] format and within the boundaries");
        assert_eq!(error(V4, None, &format!("time --timestop {text}")), wrong);
    }
}

#[test]
fn days() {
    for (text, days) in [("5,,6", 0x61), ("010", 2), (",1", 3), ("+5", 32), ("", 0), ("1,", 2)] {
        assert_eq!(month_days(text.as_bytes()), Ok(days), "{text}");
    }
    for (text, said) in
        [("32", "32"), ("1-5", "1-"), ("4294967297", "42"), ("08", "08"), ("5,x", "x"), ("-5", "-5"), ("0x5", "0x")]
    {
        assert_eq!(
            error(V4, None, &format!("time --monthdays {text}")),
            format!("{said} is not a valid day for --monthdays")
        );
    }
    for (text, days) in [
        ("Mondog,Tu", 6),
        ("256.1", 1),
        ("4294967297", 0),
        ("0x1,07", 0x82),
        ("8", 0),
        ("99", 8),
        ("-1", 0),
        ("Sun,", 0x80),
    ] {
        assert_eq!(week_days(text.as_bytes()), Ok(days), "{text}");
    }
    for text in ["mon", "M", "1x", "1.5", "x", "_"] {
        assert_eq!(error(V4, None, &format!("time --weekdays {text}")), format!("{text} is not a valid day specifier"));
    }
    assert_eq!(error(V4, None, "time --weekdays Mon,,Tue"), "No, the week does NOT begin with Sunday.");
}

#[test]
fn what_goes_not_together() {
    let together = |a: &str, b: &str| format!("time: option \"--{a}\" cannot be used together with \"--{b}\".\n");
    assert_eq!(error(V4, None, "time --utc --kerneltz"), together("utc", "kerneltz"));
    assert_eq!(error(V4, None, "time --utc --localtz"), together("localtz", "utc"));
    let contiguous = "time: --contiguous only makes sense when stoptime is smaller than starttime";
    assert_eq!(error(V4, None, "time --contiguous"), contiguous);
    let warned = read(V4, None, "time --localtz --kerneltz").unwrap().warnings;
    assert!(
        warned[0].starts_with("WARNING: --localtz is being replaced by --kerneltz, since \"local\" is ambiguous. Note")
    );
}

#[test]
fn what_other_programs_wrote() {
    let text = |fields: [u32; 5], days: u8, flags: u8| {
        let mut info = fields.map(u32::to_ne_bytes).concat();
        info.extend([days, flags, 0, 0]);
        raised_text(V4, None, |x| x.xt_match("time", 0, |b| b.bytes(&info)))
    };
    let all = [0, 5, 0, 86399, ALL_MONTH_DAYS];
    assert_eq!(text(all, 0xfe, 1), " -m time --datestop 1970-01-01T00:00:05 --kerneltz");
    assert_eq!(text(all, 0xfe, 4), "opaque");
    assert_eq!(text([0, u32::MAX, 0, 86399, ALL_MONTH_DAYS], 0xfe, 0), "opaque");
    assert_eq!(text([0, 5, 0, 86400, ALL_MONTH_DAYS], 0xfe, 0), "opaque");
    assert_eq!(text(all, 0xfe, 2), "opaque");
}

#[test]
fn natively_and_in_the_words_of_nft() {
    let said = |line: &str| {
        let read = read(V4, None, &format!("time {line}")).unwrap();
        (read.native().is_some(), read.translation().unwrap_or_default())
    };
    let hours = " meta hour \"08:00:00\"-\"23:59:59\"";
    assert_eq!(said("--timestart 08:00"), (true, hours.into()));
    let dates = "meta time \"2020-01-01 00:00:00\"-\"2038-01-19 03:14:07\"";
    let all = format!("{dates}{hours} meta day {{ 1, 6, 0 }}");
    assert_eq!(said("--datestart 2020 --weekdays Sun,Sat,Mon --timestart 8:00"), (true, all));
    assert_eq!(said("--utc"), (true, String::new()));
    assert_eq!(said("--weekdays 3"), (true, " meta day 3".into()));
    for line in ["--timestart 23:00 --timestop 1:00", "--timestart 5:00 --timestop 5:00", "! --weekdays 1,2,3,4,5,6,7"]
    {
        assert_eq!(said(line), (true, String::new()), "{line}");
    }
    for line in ["--kerneltz", "--monthdays 1", "--contiguous --timestart 23:00 --timestop 1:00"] {
        assert_eq!(said(line), (false, String::new()), "{line}");
    }
}

/// As observed with packets on Saturday 2026-11-21, 04:13 UTC, on Linux 6.18.
#[test]
fn what_it_means() {
    let now = date(b"2026-11-21T04:13").unwrap();
    let packet = Ipv4::default() / Udp::default();
    for (line, matches) in [
        ("--timestart 10:00 --timestop 10:00", Tri::True),
        ("--weekdays Sat", Tri::True),
        ("! --weekdays Sat", Tri::False),
        ("--monthdays 21", Tri::True),
        ("! --monthdays 21", Tri::False),
        ("--timestart 23:59 --timestop 23:58", Tri::True),
        ("--timestart 23:59 --timestop 00:01", Tri::False),
        ("--contiguous --timestart 23:00 --timestop 22:00 --weekdays Sat", Tri::False),
        ("--contiguous --timestart 23:00 --timestop 22:00 ! --weekdays Sat", Tri::True),
        ("--timestart 23:00 --timestop 22:00 --weekdays Sat", Tri::True),
        ("--timestart 04:13 --timestop 04:14", Tri::True),
        ("--timestart 04:14", Tri::False),
        ("--datestart 2020", Tri::True),
        ("--datestop 2020", Tri::False),
        ("--datestart 2020 --datestop 2019", Tri::False),
        ("--monthdays 0", Tri::False),
        ("--weekdays 8", Tri::False),
        ("--kerneltz", Tri::True),
        ("--kerneltz --weekdays Sat", Tri::Unknown),
    ] {
        with_env(Hook::Input, &UnknownHost, |env| {
            env.now_ns = u64::from(now) * 1_000_000_000;
            let time = read(V4, None, &format!("time {line}")).unwrap().ext;
            assert_eq!(time.eval(&packet, env), matches, "{line}");
        });
    }
}

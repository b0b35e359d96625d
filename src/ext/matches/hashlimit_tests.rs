//! Tests of `-m hashlimit`: what stock 1.8.9 wrote, printed and refused, and what the kernel did with packets.

use super::*;
use crate::ext::matches::testing::{error, raised_text, read, row, with_env};
use crate::packet::build::{Ipv4, Udp};
use crate::packet::env::UnknownHost;
use crate::types::Family::{V4, V6};
use crate::types::{Hook, NoNames};

/// The struct in hex: name, rate, burst, then the six fields and the prefix lengths.
fn wire(name: &str, avg: u64, burst: u64, fields: [u32; 6], lens: [u8; 2]) -> String {
    let hex = |b: &[u8]| b.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let mut name = name.as_bytes().to_vec();
    name.resize(256, 0);
    let fields: String = fields.iter().map(|f| hex(&f.to_ne_bytes())).collect();
    format!(
        "match hashlimit 3 {}{}{}{fields}{}{}",
        hex(&name),
        hex(&avg.to_ne_bytes()),
        hex(&burst.to_ne_bytes()),
        hex(&lens),
        "00".repeat(14)
    )
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_stock_writes_and_prints() {
    for family in [V4, V6] {
        let bits = family.addr_bits();
        let row = |line: &str, save: &str, list: &str, avg, burst, fields, lens: [u8; 2]| {
            let line = line.replace("-H", "--hashlimit");
            let save = save.replace("-H", "--hashlimit");
            row(family, None, &format!("hashlimit {line}"), &save, list, &wire("a1", avg, burst, fields, lens));
        };
        let plain = |mode, expire| [mode, 0, 0, 1000, expire, 0];
        let both = [bits, bits];
        row(
            "-H-upto 5/sec -H-name a1",
            " -H-upto 5/sec -H-burst 5 -H-name a1",
            " limit: up to 5/sec burst 5",
            200_000,
            5,
            plain(0, 1000),
            both,
        );
        row(
            "-H 5/min -H-mode srcip, -H-name a1",
            " -H-upto 5/min -H-burst 5 -H-mode srcip -H-name a1",
            " limit: up to 5/min burst 5 mode srcip",
            12_000_000,
            5,
            plain(SIP, 60_000),
            both,
        );
        row(
            "-H-above 5/sec -H-burst 8 -H-mode srcip,dstip,srcport,dstport -H-name a1 -H-htable-size 1024 -H-htable-max 2048 \
             -H-htable-expire 1000 -H-htable-gcinterval 2000 -H-srcmask 24 -H-dstmask 28",
            " -H-above 5/sec -H-burst 8 -H-mode srcip,srcport,dstip,dstport -H-name a1 -H-htable-size 1024 -H-htable-max 2048 \
             -H-htable-gcinterval 2000 -H-srcmask 24 -H-dstmask 28",
            " limit: above 5/sec burst 8 mode srcip-srcport-dstip-dstport htable-size 1024 htable-max 2048 htable-gcinterval 2000 \
             srcmask 24 dstmask 28",
            200_000,
            8,
            [0x1f, 1024, 2048, 2000, 1000, 0],
            [24, 28],
        );
        row(
            "! -H-above 512kb/s -H-burst 1mb -H-mode dstip -H-name a1",
            " -H-upto 512kb/s -H-burst 1mb -H-mode dstip -H-name a1",
            " limit: up to 512kb/s burst 1mb mode dstip",
            0x1fffc,
            2,
            plain(BYTES | DIP, 60_000),
            both,
        );
        row(
            "-H-upto 1b/s -H-name a1",
            " -H-upto 1b/s -H-name a1",
            " limit: up to 0b/s",
            0xffff_ffff,
            0,
            plain(BYTES, 15_000),
            both,
        );
        row(
            "-H-upto 1kb/s -H-burst 2047kb -H-name a1 -H-htable-expire 100",
            " -H-upto 1kb/s -H-burst 2047kb -H-name a1 -H-htable-expire 100",
            " limit: up to 1kb/s burst 2047kb htable-expire 100",
            0x3f0_3f03,
            2047,
            plain(BYTES, 100),
            both,
        );
        row(
            "-H-above 10/sec -H-mode srcip -H-name a1 -H-rate-match -H-rate-interval 3",
            " -H-above 10/sec -H-burst 5 -H-mode srcip -H-name a1 -H-rate-match -H-rate-interval 3",
            " limit: above 200/min burst 5 mode srcip htable-expire 1000 rate-match rate-interval 3",
            100_000,
            5,
            [INVERT | SIP | RATE_MATCH, 0, 0, 1000, 1000, 3],
            both,
        );
        row(
            "-H-upto 5/day -H-name a1 -H-rate-match",
            " -H-upto 5/sec -H-burst 5 -H-name a1 -H-htable-expire 86400000 -H-rate-match -H-rate-interval 86400",
            " limit: up to 5/day burst 5 rate-match rate-interval 86400",
            200_000,
            5,
            [RATE_MATCH, 0, 0, 1000, 86_400_000, 86400],
            both,
        );
        row(
            "-H-upto 5/day -H-name a1 -H-rate-interval 10",
            " -H-upto 5/day -H-burst 5 -H-name a1",
            " limit: up to 0/day burst 5",
            17_280_000_000,
            5,
            [0, 0, 0, 1000, 86_400_000, 10],
            both,
        );
    }
}

#[test]
fn what_stock_refuses() {
    let value =
        |option: &str, text: &str| format!("hashlimit: Bad value for \"--hashlimit-{option}\" option: \"{text}\"");
    let burst = "bad value for option \"--hashlimit-burst\", or out of range (1-1000000).";
    for (line, text) in [
        ("--hashlimit-name a", "You have to specify --hashlimit"),
        ("--hashlimit 0 --hashlimit-name a", &value("upto", "0")),
        ("--hashlimit-above 5/ --hashlimit-name a", &value("above", "5/")),
        ("--hashlimit-upto 1000001/sec", "Rate too fast \"1000001/sec\""),
        ("--hashlimit-upto 5 --hashlimit-mode srcip,foo", &value("mode", "srcip,foo")),
        ("--hashlimit-upto 5 --hashlimit-rate-interval 0x10", &value("rate-interval", "0x10")),
        ("--hashlimit-upto 5 --hashlimit-rate-interval 2147483648", &value("rate-interval", "2147483648")),
        ("--hashlimit-upto 5 --hashlimit-name a --hashlimit-burst 0", burst),
        ("--hashlimit-upto 5 --hashlimit-name a --hashlimit-burst 977kb", burst),
        ("--hashlimit-burst 4kb --hashlimit-upto 5kb/s --hashlimit-name a", "burst cannot be smaller than 5120b"),
        ("--hashlimit-name ", "Argument must have a minimum length of 1 characters\n"),
        ("--hashlimit-upto 5", "hashlimit: option \"--hashlimit-name\" must be specified\n"),
        ("--hashlimit 5 --hashlimit-upto 5", "hashlimit: option \"--hashlimit-upto\" can only be used once.\n"),
        (
            "--hashlimit-upto 5 --hashlimit-above 5 --hashlimit-name a",
            "hashlimit: option \"--hashlimit-upto\" cannot be used together with \"--hashlimit-above\".\n",
        ),
        (
            "--hashlimit-upto 5 --hashlimit-srcmask x",
            "hashlimit: bad value for option \"--hashlimit-srcmask\", neither a valid network mask nor valid CIDR (0-32).\n",
        ),
    ] {
        assert_eq!(error(V4, None, &format!("hashlimit {line}")), text, "{line}");
    }
}

#[test]
fn what_other_programs_wrote() {
    let text = |avg: u64, burst: u64, mode: u32, interval: u32, len: u8, private: u8| {
        let mut info = vec![0; 256];
        info[0] = b'x';
        info.extend([&avg.to_ne_bytes()[..], &burst.to_ne_bytes()].concat());
        info.extend([mode, 0, 0, 1000, 1000, interval].map(u32::to_ne_bytes).concat());
        info.extend([len, 32]);
        info.extend([private; 14]);
        raised_text(V4, None, |x| x.xt_match("hashlimit", 3, |b| b.bytes(&info)))
    };
    let said = " -m hashlimit --hashlimit-upto 5/sec --hashlimit-burst 5 --hashlimit-name x";
    assert_eq!(text(200_000, 5, 0, 0, 32, 0xee), said);
    for (avg, burst, mode, interval, len) in [
        (0, 5, 0, 0, 32),
        (200_000, 0, 0, 0, 32),
        (200_000, 5, 0x80, 0, 32),
        (200_000, 5, 0, 0, 33),
        (200_000, 5, RATE_MATCH, 0, 32),
        (u64::MAX, 5, 0, 0, 32),
        (u64::MAX, 5, BYTES, 0, 32),
        (0xffff_fffe, 0, BYTES, 0, 32),
        (2_000_000, 5, RATE_MATCH, 7, 32),
    ] {
        assert_eq!(text(avg, burst, mode, interval, len, 0), "opaque", "{avg} {burst} {mode:x} {interval} {len}");
    }
}

#[test]
fn in_the_words_of_nft() {
    let words = |family, protocol, line: &str| {
        let read = read(family, None, &format!("hashlimit --hashlimit-name a {line}")).unwrap();
        let mut out = Out::new();
        let cx = PrintCx { family, numeric: true, names: &NoNames, protocol };
        let said = read.ext.translate(&cx, &mut out);
        assert_eq!(said, !out.is_empty());
        String::from_utf8_lossy(out.as_bytes()).into_owned()
    };
    for (family, line, nft) in [
        (V4, "--hashlimit-upto 5/day --hashlimit-mode srcip", "meter a { ip saddr timeout 86400s limit rate 5/day }"),
        (
            V6,
            "--hashlimit-above 5/s --hashlimit-mode srcip --hashlimit-srcmask 24",
            "meter a { ip6 saddr and ffff:ff00:0000:0000:0000:0000:0000:0000 limit rate over 5/second }",
        ),
        (
            V4,
            "--hashlimit-upto 2mb/s --hashlimit-burst 3mb --hashlimit-mode dstip,srcip --hashlimit-dstmask 24",
            "meter a { ip daddr and 255.255.255.0 . ip saddr timeout 60s limit rate 2 mbytes/second burst 4 mbytes }",
        ),
        (
            V4,
            "--hashlimit-upto 5/s --hashlimit-mode srcip --hashlimit-burst 1",
            "meter a { ip saddr limit rate 5/second burst 1 packets }",
        ),
        (V4, "--hashlimit-upto 5/s", ""),
        (V4, "--hashlimit-upto 1b/s --hashlimit-mode srcip", ""),
        (V4, "--hashlimit-upto 5/s --hashlimit-mode srcip --hashlimit-rate-match", ""),
    ] {
        assert_eq!(words(family, None, line), nft, "{line}");
    }
    let ports = "--hashlimit-upto 5/s --hashlimit-mode dstport,srcport,dstip,srcip";
    let nft = "meter a { ip daddr . tcp dport . ip saddr . tcp sport limit rate 5/second }";
    assert_eq!(words(V4, Some(6), ports), nft);
    assert_eq!((words(V4, Some(17), ports), words(V4, None, ports)), (String::new(), String::new()));
}

/// Which packets, `(time in ms, last byte of the source)`, match.
fn matching(line: &str, packets: &[(u64, u8)]) -> Vec<bool> {
    let read = read(V4, None, &format!("hashlimit --hashlimit-name a {line}")).unwrap();
    with_env(Hook::Input, &UnknownHost, |env| {
        let judge = |(ms, last): &(u64, u8)| {
            env.now_ns = ms * 1_000_000;
            let packet = Ipv4 { src: [192, 0, 2, *last].into(), ..Ipv4::default() } / Udp::default();
            read.ext.eval(&packet, env) == Tri::True
        };
        packets.iter().map(judge).collect()
    })
}

#[test]
fn what_it_means() {
    let many = [(0, 1); 8];
    let count = |line: &str, packets: &[(u64, u8)]| matching(line, packets).iter().filter(|m| **m).count();
    assert_eq!(count("--hashlimit-upto 1/min", &many), 5);
    assert_eq!(count("--hashlimit-above 1/min --hashlimit-burst 3", &many), 5);
    let two = [(0, 1), (0, 1), (0, 2), (0, 2), (0, 129)];
    assert_eq!(
        matching("--hashlimit-upto 1/s --hashlimit-burst 1 --hashlimit-mode srcip", &two),
        [true, false, true, false, true]
    );
    let masked = "--hashlimit-upto 1/s --hashlimit-burst 1 --hashlimit-mode srcip --hashlimit-srcmask 25";
    assert_eq!(matching(masked, &two), [true, false, false, false, true]);
    let later = [(0, 1), (500, 1), (1000, 1), (1500, 1), (2500, 1)];
    let slow = "--hashlimit-upto 1/s --hashlimit-burst 1 --hashlimit-htable-expire 60000";
    assert_eq!(matching(slow, &later), [true, false, true, false, true]);
    // A packet of 28 bytes is two steps of 16; a second is worth 64 of them and one more.
    assert_eq!(count("--hashlimit-upto 1kb/s", &[(0, 1); 100]), 32);
    assert_eq!(count("--hashlimit-upto 1kb/s --hashlimit-burst 1kb", &[(0, 1); 100]), 64);
    // The first flow fills the table.
    assert_eq!(
        matching("--hashlimit-upto 5/s --hashlimit-htable-max 1 --hashlimit-mode srcip", &[(0, 1), (0, 2)]),
        [true, false]
    );
    let fast = [(0, 1), (1, 1), (2, 1), (1001, 1), (2500, 1)];
    let rate = "--hashlimit-upto 2/s --hashlimit-rate-match --hashlimit-htable-expire 60000";
    assert_eq!(matching(rate, &fast), [true, true, false, false, true]);
}

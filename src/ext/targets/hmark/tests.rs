//! Tests of `-j HMARK`.

use super::Hmark;
use crate::ext::targets::testing::{TCP, effect, error, row, ways};
use crate::ext::{Effect, Extension};
use crate::packet::build::{Icmp, Ipv4, Ipv6, Udp};
use crate::types::Family::{V4, V6};
use std::net::Ipv6Addr;

/// Parts of the struct: source mask, destination mask, ports' mask, ports, flags, protocol's mask, seed, modulus, offset.
fn hex(parts: [&str; 9]) -> String {
    let widths = [32, 32, 8, 8, 8, 8, 8, 8, 16];
    parts.iter().zip(widths).map(|(part, width)| format!("{part:0<width$}")).collect()
}

#[test]
fn what_stock_writes_and_prints() {
    let all = "f".repeat(32);
    let all = all.as_str();
    for (words, save, list, info) in [
        (
            "--hmark-tuple src --hmark-mod 10 --hmark-rnd 0",
            "--hmark-src-prefix 32 --hmark-rnd 0x00000000 --hmark-mod 10",
            "mod 10 src-prefix 32 rnd 0x0",
            [all, "", "", "", "0106", "", "", "0a", ""],
        ),
        (
            "--hmark-src-prefix 24 --hmark-dst-prefix 32 --hmark-mod 10 --hmark-rnd 1 --hmark-proto-mask 0xff",
            "--hmark-src-prefix 24 --hmark-dst-prefix 32 --hmark-proto-mask 0xff --hmark-rnd 0x00000001 --hmark-mod 10",
            "mod 10 src-prefix 24 dst-prefix 32 proto-mask 0xff rnd 0x1",
            ["ffffff", "ffffffff", "", "", "0307", "ff", "01", "0a", ""],
        ),
        (
            "--hmark-src-prefix 255.0.255.0 --hmark-mod 1 --hmark-offset 0 --hmark-rnd 5",
            "--hmark-src-prefix 32 --hmark-rnd 0x00000005 --hmark-mod 1 --hmark-offset 0",
            "mod 1 + 0x0 src-prefix 32 rnd 0x5",
            [all, "", "", "", "010e", "", "05", "01", ""],
        ),
        (
            "--hmark-sport-mask 1 --hmark-dport-mask 2 --hmark-sport 3 --hmark-dport 4 --hmark-mod 10 --hmark-rnd 1 \
             --hmark-tuple src,dst,proto,ct --hmark-offset 5",
            "--hmark-src-prefix 32 --hmark-dst-prefix 32 --hmark-sport-mask 0x0001 --hmark-dport-mask 0x0002 --hmark-sport \
             0x0003 --hmark-dport 0x0004 --hmark-proto-mask 0xffff --hmark-rnd 0x00000001 --hmark-mod 10 --hmark-offset 5 \
             --hmark-tuple ct",
            "mod 10 + 0x5 ct, src-prefix 32 dst-prefix 32 sport-mask 0x1 dport-mask 0x2 sport 0x3 dport 0x4 proto-mask 0xffff \
             rnd 0x1",
            [all, all, "00010002", "00030004", "f31f", "ffff", "01", "0a", "05"],
        ),
        (
            "--hmark-spi-mask 7 --hmark-sport 1 --hmark-mod 10 --hmark-rnd 1",
            "--hmark-spi-mask 0x00000007 --hmark-sport 0x0001 --hmark-rnd 0x00000001 --hmark-mod 10",
            "mod 10 spi-mask 0x7 sport 0x1 rnd 0x1",
            ["", "", "00000007", "0001", "1806", "", "01", "0a", ""],
        ),
    ] {
        row(V4, TCP, &format!("HMARK {words}"), save, &format!(" HMARK {list} "), &hex(info));
    }
    let info = ["ffffffffffffffff", all, "", "", "0306", "", "05", "01", ""];
    let words = "--hmark-src-prefix 64 --hmark-dst-prefix 128 --hmark-rnd 0x00000005 --hmark-mod 1";
    let list = " HMARK mod 1 src-prefix 64 dst-prefix  rnd 0x5 ";
    row(V6, None, &format!("HMARK {words}"), words, list, &hex(info));
    ways(V6, None, &format!("HMARK {words}"), None, None);
}

#[test]
fn stocks_words_for_what_it_does_not_take() {
    let list = "\"--hmark-tuple\" requires a list of types with no spaces, e.g. src,dst,sport,dport,proto";
    let once = |name| format!("HMARK: option \"--hmark-{name}\" can only be used once.\n");
    let enough = "--hmark-mod 10 --hmark-rnd 1";
    for (words, text) in [
        ("".to_owned(), "--hmark-mod is mandatory".to_owned()),
        ("--hmark-tuple src --hmark-mod 10".to_owned(), "--hmark-rnd is mandatory".to_owned()),
        (enough.to_owned(), "you have to specify --hmark-tuple at least".to_owned()),
        (format!("{enough} --hmark-offset 1"), "you have to specify --hmark-tuple at least".to_owned()),
        ("--hmark-tuple \"\"".to_owned(), list.to_owned()),
        ("--hmark-tuple src,".to_owned(), list.to_owned()),
        ("--hmark-tuple src,,dst".to_owned(), "Bad type \",dst\"".to_owned()),
        ("--hmark-tuple srcx,dst".to_owned(), "Bad type \"srcx,dst\"".to_owned()),
        ("--hmark-tuple src --hmark-src-prefix 24".to_owned(), once("src-prefix")),
        ("--hmark-tuple proto --hmark-proto-mask 3".to_owned(), once("proto-mask")),
        (
            format!("{enough} --hmark-tuple spi,sport"),
            "you cannot use --hmark-spi-mask and --hmark-?port-mask,at the same time".to_owned(),
        ),
        (
            "--hmark-mod 0".to_owned(),
            "HMARK: bad value for option \"--hmark-mod\", or out of range (1-4294967295).\n".to_owned(),
        ),
        (
            "--hmark-src-prefix /8".to_owned(),
            "HMARK: bad value for option \"--hmark-src-prefix\", neither a valid network mask nor valid CIDR (0-32).\n"
                .to_owned(),
        ),
    ] {
        error(V4, TCP, &format!("HMARK {words}"), &text);
    }
}

#[test]
fn bytes_that_no_option_sets_are_not_read() {
    let mut info = [0; 64];
    (info[41], info[52]) = (6, 1);
    info[40] = 1;
    assert!(Hmark::decode(&info, V4).is_some());
    for at in [16, 32, 36, 44, 56] {
        let mut odd = info;
        odd[at] = 1;
        assert!(Hmark::decode(&odd, V4).is_none(), "byte {at}");
    }
}

#[test]
fn icmp_errors_are_not_known() {
    let words = "HMARK --hmark-tuple src,dst,sport,dport,proto --hmark-mod 4294967295 --hmark-rnd 7";
    let mut packet = Ipv4::default() / Icmp { kind: 3, ..Icmp::default() };
    assert_eq!(effect(V4, None, words, &mut packet), Effect::Unknown);
    let mut packet = Ipv4::default() / Udp::default();
    assert_eq!(effect(V4, None, words, &mut packet), Effect::Continue);
}

/// Marks that Linux 6.18 gave to datagrams from 127.0.0.1 to 127.0.0.2 and from ::1 to ::1, from port 40000 to port 53.
#[test]
fn the_kernels_marks() {
    let datagram = || Udp { src_port: 40000, dst_port: 53, ..Udp::default() };
    let v4 = || Ipv4 { src: [127, 0, 0, 1].into(), dst: [127, 0, 0, 2].into(), ..Ipv4::default() } / datagram();
    let v6 = || Ipv6 { src: Ipv6Addr::LOCALHOST, dst: Ipv6Addr::LOCALHOST, ..Ipv6::default() } / datagram();
    let detail = "--hmark-src-prefix 24 --hmark-dst-prefix 8 --hmark-sport-mask 0xff00 --hmark-dport 0x1234 \
                  --hmark-proto-mask 0xff";
    for (words, marks) in [
        ("--hmark-tuple src,dst", [0x18ba_ba9d, 0xe79e_e213]),
        ("--hmark-tuple src,dst,sport,dport", [0xbc92_0049, 0x1046_b1f8]),
        ("--hmark-tuple src,dst,sport,dport,proto", [0xbc92_0058, 0x1046_b1e9]),
        (detail, [0xdb91_d0fa, 0xdd71_96e2]),
    ] {
        let words = format!("HMARK {words} --hmark-mod 0xffffffff --hmark-rnd 0xfeedcafe --hmark-offset 7");
        for (family, mut packet, mark) in [(V4, v4(), marks[0]), (V6, v6(), marks[1])] {
            assert_eq!(effect(family, None, &words, &mut packet), Effect::Continue);
            assert_eq!(packet.meta.mark, mark, "{words}");
        }
    }
}

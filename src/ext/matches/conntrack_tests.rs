//! The tests of the match `conntrack`.

use super::*;
use crate::ext::matches::testing::{error, raised_text, read, row};
use crate::packet::build::{Ipv4, Udp};
use crate::packet::{CtTuple, Meta};
use crate::types::Family::{V4, V6};

/// The struct in hex, in which runs of zero bytes are written as `(n)`.
fn wire(text: &str) -> String {
    let parts = text.split(['(', ')']).enumerate();
    let part = |(i, part): (usize, &str)| if i % 2 == 0 { part.to_owned() } else { "00".repeat(part.parse().unwrap()) };
    format!("match conntrack 3 {}", parts.map(part).collect::<String>())
}

#[test]
fn what_stock_writes_and_prints() {
    let row = |family, line: &str, list: &str, hex: &str| {
        row(family, None, &format!("conntrack{line}"), line, list, &wire(hex));
    };
    for family in [V4, V6] {
        row(family, " --ctstate NEW,ESTABLISHED", " ctstate NEW,ESTABLISHED", "(146)010000000a(17)");
        row(family, " ! --ctstate INVALID", " ! ctstate INVALID", "(146)0100010001(17)");
        let all = "INVALID,NEW,RELATED,ESTABLISHED,UNTRACKED,SNAT,DNAT";
        row(family, &format!(" --ctstate {all}"), &format!(" ctstate {all}"), "(146)01000000cf01(16)");
        row(family, " ! --ctproto 6", " ! ctproto 6", "(136)06(9)020002(19)");
        row(family, " --ctstatus NONE", " ctstatus NONE", "(146)40(21)");
        row(family, " --ctstatus EXPECTED,ASSURED", " ctstatus EXPECTED,ASSURED", "(146)40000000000005(15)");
        row(family, " --ctexpire 10", " ctexpire 10", "(128)0a0000000a(13)80(21)");
        row(family, " ! --ctexpire 5:4", " ! ctexpire 5:4", "(128)0500000004(13)80008000(18)");
        row(family, " --ctdir ORIGINAL", " ctdir ORIGINAL", "(147)10(20)");
        row(family, " --ctdir REPLY", " ctdir REPLY", "(147)100010(18)");
    }
    let ports = " --ctproto 17 --ctorigsrcport 1:5 ! --ctorigdstport 53 --ctreplsrcport 7 --ctrepldstport 8:9";
    let hex = "(136)11000100350007000800020f0002(4)0500350007000900(6)";
    row(V4, ports, &ports.replace("--", ""), hex);
    let host = "(12)ffffffffffffffffffffffffffffffff";
    row(V4, " --ctorigsrc 1.2.3.4", " ctorigsrc 1.2.3.4", &format!("01020304{host}(114)04(21)"));
    row(V4, " --ctorigsrc 1.2.3.4/24", " ctorigsrc 1.2.3.4/24", "01020304(12)ffffff(127)04(21)");
    row(V4, " --ctorigsrc 0.0.0.0/0", " ctorigsrc 0.0.0.0/0", "(146)04(21)");
    row(V4, " --ctorigsrc 1.2.3.4/255.0.255.0", " ctorigsrc 1.2.3.4/255.0.255.0", "01020304(12)ff00ff(127)04(21)");
    let v6 = " --ctorigsrc 2001:db8::1 ! --ctrepldst 2001:db8::/32";
    let hex = "20010db8(11)01ffffffffffffffffffffffffffffffff(64)20010db8(12)ffffffff(30)240020(19)";
    row(V6, v6, &v6.replace("--", ""), hex);
}

#[test]
fn other_spellings() {
    let save = |family, line: &str| {
        read(family, None, &format!("conntrack {line}")).map(|r| r.save()).unwrap_or_else(|e| format!("error: {e}"))
    };
    for (line, expected) in [
        ("--ctstate dnat,e,N", " --ctstate NEW,ESTABLISHED,DNAT"),
        ("--ctstatus EXPECTED,NONE", " --ctstatus EXPECTED"),
        ("--ctstatus s", " --ctstatus SEEN_REPLY"),
        ("--ctproto all", " --ctproto 0"),
        ("--ctproto 010", " --ctproto 8"),
        ("--ctorigsrc 10.1/16", " --ctorigsrc 10.0.0.1/16"),
        ("--ctorigsrc 1.2.3.4/255.255.255.255", " --ctorigsrc 1.2.3.4"),
        ("--ctorigdstport tftp", " --ctorigdstport 69"),
        ("--ctorigdstport ssh:", " --ctorigdstport 22:65535"),
        ("--ctorigdstport ", " --ctorigdstport 0"),
        ("--ctexpire :", " --ctexpire 0:4294967295"),
        ("--ctdir reply", " --ctdir REPLY"),
    ] {
        assert_eq!(save(V4, line), expected, "{line}");
    }
    assert_eq!(save(V6, "--ctorigsrc ::1.2.3.4/::"), " --ctorigsrc ::1.2.3.4/0");
    let anywhere = read(V4, None, "conntrack --ctorigsrc 0/8").unwrap();
    assert_eq!(anywhere.list(false), " ctorigsrc anywhere");
}

#[test]
fn what_stock_refuses() {
    let twice = "conntrack: option \"--ctproto\" can only be used once.\n";
    for (line, text) in [
        ("", "conntrack: At least one option is required"),
        (" --ctstate NEW,BOGUS", "Bad ctstate \"BOGUS\""),
        (" --ctstate NEW,", "Bad ctstate \"\""),
        (" --ctstate ,", "Bad ctstate \",\""),
        (" --ctstate NEWX", "Bad ctstate \"NEWX\""),
        (" --ctstatus ,ASSURED", "Bad ctstatus \",ASSURED\""),
        (" --ctdir REP", "conntrack: Bad value for \"--ctdir\" option: \"REP\""),
        (" ! --ctdir REPLY", "conntrack: option \"--ctdir\" cannot be inverted.\n"),
        (" --ctproto 6 --ctproto 7", twice),
        (" --ctproto 256", "unknown protocol \"256\" specified"),
        (" --ctorigsrc ::1", "getaddrinfo: Address family for hostname not supported\n"),
    ] {
        assert_eq!(error(V4, None, &format!("conntrack{line}")), text, "{line}");
    }
}

#[test]
fn bytes_that_no_option_says_are_not_read() {
    let text = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut info = vec![0; 168];
        (info[146], info[150]) = (1, 8);
        change(&mut info);
        raised_text(V4, None, |x| x.xt_match("conntrack", 3, |b| b.bytes(&info)))
    };
    assert_eq!(text(&|_| {}), " -m conntrack --ctstate NEW");
    assert_eq!(text(&|info| info[147] = 0x20), " -m state --state NEW");
    for (at, value) in
        [(0, 1), (16, 0xff), (128, 1), (136, 6), (138, 1), (148, 2), (150, 0), (151, 2), (152, 1), (154, 1)]
    {
        assert_eq!(text(&|info| info[at] = value), "opaque", "byte {at}");
    }
    assert_eq!(text(&|info| info[147] = 0x40), "opaque");
    assert_eq!(text(&|info| (info[147], info[150]) = (0x20, 0x40)), "opaque");
}

fn entry(status: u32) -> CtEntry {
    let (src, dst) = ([192, 0, 2, 1].into(), [198, 51, 100, 9].into());
    let original = CtTuple { src, dst, protocol: 17, src_port: 40000, dst_port: 53 };
    CtEntry {
        status,
        original,
        reply: original.reversed(),
        expires: 29,
        mark: 0,
        facts: crate::packet::CtFacts::default(),
    }
}

fn judge(ct: Option<PacketCt>, line: &str) -> Tri {
    let packet = (Ipv4::default() / Udp::default()).with_meta(Meta { ct, ..Meta::default() });
    read(V4, None, line).unwrap_or_else(|e| panic!("{line}: {e}")).matches(&packet)
}

/// As observed with real packets on Linux 6.18.
#[test]
fn what_it_means() {
    let known =
        PacketCt::tracked(CtState::New, CtDirection::Original, entry(ct_status::CONFIRMED | ct_status::DST_NAT));
    for (line, expected) in [
        ("--ctstate NEW", true),
        ("--ctstate DNAT", true),
        ("! --ctstate SNAT", true),
        ("--ctorigsrc 192.0.2.77/24", true),
        ("! --ctorigsrc 192.0.2.77/24", false),
        ("--ctreplsrc 198.51.100.9 --ctrepldst 192.0.2.1", true),
        ("--ctproto 17 --ctorigdstport 53 --ctreplsrcport 53", true),
        ("--ctproto 0", false),
        ("--ctorigdstport 60:50", false),
        ("! --ctorigdstport 60:50", true),
        ("--ctstatus NONE", false),
        ("! --ctstatus NONE", true),
        ("! --ctstatus ASSURED", true),
        ("--ctexpire 29", true),
        ("--ctexpire 30:", false),
        ("--ctdir ORIGINAL", true),
        ("--ctdir REPLY", false),
        ("--ctstate NEW --ctproto 6", false),
    ] {
        assert_eq!(judge(Some(known.clone()), &format!("conntrack {line}")), Tri::from(expected), "{line}");
    }
    for (line, expected) in [
        ("--ctstate UNTRACKED --ctproto 6", true),
        ("--ctproto 17", false),
        ("! --ctproto 6", false),
        ("! --ctstate NEW --ctdir REPLY", true),
        ("--ctdir ORIGINAL", false),
        ("! --ctstate SNAT", true),
    ] {
        let ct = Some(PacketCt::UNTRACKED);
        assert_eq!(judge(ct, &format!("conntrack {line}")), Tri::from(expected), "untracked, {line}");
    }
    let state = Some(PacketCt::of_state(CtState::Established));
    for (line, expected) in [
        ("--ctstate ESTABLISHED,SNAT", Tri::True),
        ("--ctstate SNAT", Tri::Unknown),
        ("--ctproto 6", Tri::Unknown),
        ("--ctstate NEW --ctproto 6", Tri::False),
        ("--ctdir REPLY", Tri::False),
    ] {
        assert_eq!(judge(state.clone(), &format!("conntrack {line}")), expected, "state only, {line}");
    }
    assert_eq!(judge(None, "conntrack --ctstate NEW"), Tri::Unknown);
}

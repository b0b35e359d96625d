//! Random rules: small pools of values, from which the packets are drawn too.

use std::fmt::Write;

use oxtables::types::Family;

use crate::random::Random;

/// The matches that are drawn, beside the generic options.
const MATCHES: &[&str] = &[
    "tcp",
    "udp",
    "icmp",
    "multiport",
    "length",
    "mark",
    "state",
    "conntrack",
    "limit",
    "recent",
    "iprange",
    "addrtype",
    "tcpmss",
    "comment",
    "mac",
    "owner",
];

/// The user chains; each may lead to those behind it.
const CHAINS: [&str; 4] = ["ONE", "TWO", "THREE", "FOUR"];

/// A ruleset of table filter, in the format of iptables-save: for packets from elsewhere, or (`local`) for the router's own.
pub(super) fn rules(random: &mut Random, family: Family, number: usize, mac: [u8; 6], local: bool) -> String {
    let bases: &[&str] = if local { &["OUTPUT"] } else { &["INPUT", "FORWARD"] };
    let mut text = String::from("*filter\n");
    for chain in ["INPUT", "FORWARD", "OUTPUT"] {
        // Nothing else may pass: answers would be counted too.
        let policy = if bases.contains(&chain) { random.word(&["ACCEPT", "DROP"]) } else { "DROP" };
        let _ = writeln!(text, ":{chain} {policy} [0:0]");
    }
    CHAINS.iter().for_each(|chain| {
        let _ = writeln!(text, ":{chain} - [0:0]");
    });
    bases.iter().for_each(|chain| {
        let _ = writeln!(text, "-A {chain}");
    });
    let tracked = random.percent(50);
    let fits = |name: &str| match name {
        "state" | "conntrack" => tracked,
        "mac" => !local,
        "owner" => local,
        _ => true,
    };
    let matches: Vec<&str> = MATCHES.iter().copied().filter(|name| fits(name)).collect();
    let cx = Cx { family, number, matches: &matches, local };
    for chain in bases {
        rules_of(random, &cx, chain, &CHAINS, &mut text);
    }
    for (place, chain) in (1..).zip(CHAINS) {
        rules_of(random, &cx, chain, CHAINS.get(place..).unwrap_or_default(), &mut text);
    }
    text.push_str("COMMIT\n");
    let [a, b, c, d, e, f] = mac;
    text.replace("SENDER", &format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}"))
}

/// What the rules of one ruleset have in common.
struct Cx<'a> {
    family: Family,
    number: usize,
    matches: &'a [&'a str],
    local: bool,
}

fn rules_of(random: &mut Random, cx: &Cx<'_>, chain: &str, onward: &[&str], text: &mut String) {
    for _ in 0..3 + random.below(6) {
        let rule = rule(random, cx, onward);
        let _ = writeln!(text, "-A {chain}{rule}");
    }
}

fn rule(random: &mut Random, cx: &Cx<'_>, onward: &[&str]) -> String {
    let Cx { family, number, matches, local } = *cx;
    let mut words = String::new();
    let not = |random: &mut Random| if random.percent(20) { " !" } else { "" };
    if random.percent(25) {
        let _ = write!(words, "{} -s {}", not(random), network(random, family, true));
    }
    if random.percent(25) {
        let _ = write!(words, "{} -d {}", not(random), network(random, family, false));
    }
    if random.percent(15) {
        let side = if local { "-o" } else { "-i" };
        let _ = write!(words, "{} {side} {}", not(random), random.word(&["eth0", "eth+", "eth1", "lo"]));
    }
    let protocol = match random.below(10) {
        0..3 => Some("tcp"),
        3..5 => Some("udp"),
        5 => Some(if family == Family::V4 { "icmp" } else { "ipv6-icmp" }),
        _ => None,
    };
    if let Some(protocol) = protocol {
        let _ = write!(words, " -p {protocol}");
    } else if random.percent(10) {
        let _ = write!(words, " ! -p {}", random.word(&["tcp", "udp", "47"]));
    }
    if family == Family::V4 && random.percent(5) {
        let _ = write!(words, "{} -f", not(random));
    }
    for _ in 0..random.below(3) {
        // The matches of the protocol are about what the packet is; the others go with any.
        let of_protocol = ["tcp", "udp", "icmp", "multiport", "tcpmss"];
        let name =
            if protocol.is_some() && random.percent(40) { random.word(&of_protocol) } else { random.word(matches) };
        if let Some(text) = one_match(random, family, number, protocol, name) {
            let _ = write!(words, " {text}");
        }
    }
    let target = match random.below(20) {
        0..3 => "-j ACCEPT".to_owned(),
        3..5 => "-j DROP".to_owned(),
        5 => "-j RETURN".to_owned(),
        // Its answer would pass OUTPUT as well.
        6 if !local => "-j REJECT".to_owned(),
        7 => "-j LOG".to_owned(),
        8..10 => format!(
            "-j MARK --set-xmark {}/{}",
            random.word(&["0x1", "0x2", "0x3"]),
            random.word(&["0x1", "0xff", "0xffffffff"])
        ),
        10..15 if !onward.is_empty() => format!("-j {}", random.word(onward)),
        15 if !onward.is_empty() => format!("-g {}", random.word(onward)),
        _ => String::new(),
    };
    format!("{words} {target}")
}

fn network(random: &mut Random, family: Family, source: bool) -> String {
    match (family, source) {
        (Family::V4, true) => random.word(&[
            "198.18.0.0/17",
            "198.18.128.0/17",
            "198.18.0.1/255.255.0.1",
            "198.0.0.0/8",
            "192.0.2.0/24",
            "198.18.64.0/18",
        ]),
        (Family::V4, false) => random.word(&[
            "192.0.2.1",
            "192.0.2.2",
            "203.0.113.0/24",
            "203.0.113.5",
            "198.51.100.2/31",
            "192.0.2.2/31",
            "0.0.0.2/0.0.0.2",
        ]),
        (Family::V6, true) => random.word(&[
            "2001:db8:100::/49",
            "2001:db8:100:8000::/49",
            "2001:db8::/32",
            "2001:db8:100::/48",
            "::2/::f",
        ]),
        (Family::V6, false) => random.word(&[
            "2001:db8:1::1",
            "2001:db8:1::2",
            "2001:db8:2::/64",
            "2001:db8:2::5",
            "2001:db8:3::2/127",
            "::2/::2",
        ]),
    }
    .to_owned()
}

/// The words of a match; `None` if it does not go with the protocol.
fn one_match(random: &mut Random, family: Family, number: usize, protocol: Option<&str>, name: &str) -> Option<String> {
    let not = if random.percent(25) { "! " } else { "" };
    let ports = ["22", "80", "443", "0:79", "80:", ":1023", "22:80", "3306", "65535"];
    let port = random.word(&ports);
    Some(match (name, protocol) {
        ("tcp", Some("tcp")) => match random.below(5) {
            0 => format!("-m tcp {not}--dport {port}"),
            1 => format!("-m tcp {not}--sport {port}"),
            2 => format!(
                "-m tcp {not}--tcp-flags {}",
                random.word(&["SYN,ACK,FIN,RST SYN", "ALL NONE", "ACK ACK", "FIN,PSH,URG FIN,PSH,URG"])
            ),
            3 => format!("-m tcp {not}--syn --dport {port}"),
            _ => format!("-m tcp {not}--tcp-option {}", random.word(&["2", "3", "4", "9"])),
        },
        ("udp", Some("udp")) => format!("-m udp {not}--{} {port}", random.word(&["dport", "sport"])),
        ("icmp", Some("icmp")) => {
            format!("-m icmp {not}--icmp-type {}", random.word(&["8", "0", "echo-request", "any", "8/0", "13"]))
        }
        ("icmp", Some("ipv6-icmp")) => {
            format!("-m icmp6 {not}--icmpv6-type {}", random.word(&["128", "129", "echo-request", "128/0"]))
        }
        ("multiport", Some("tcp" | "udp")) => {
            format!(
                "-m multiport {not}--{} {}",
                random.word(&["dports", "sports", "ports"]),
                random.word(&["22,80,443", "0:100", "53,3306,60000:65535", "23"])
            )
        }
        ("tcpmss", Some("tcp")) => {
            format!("-m tcpmss {not}--mss {}", random.word(&["1460", "500:600", "0:65535", "536"]))
        }
        ("length", _) => format!("-m length {not}--length {}", random.word(&["40", "0:60", "100:", "44:1000", "90"])),
        ("mark", _) => format!("-m mark {not}--mark {}", random.word(&["0", "0x1", "0x2/0x2", "0x3/0xff"])),
        ("state", _) => {
            format!("-m state {not}--state {}", random.word(&["NEW", "INVALID", "ESTABLISHED,RELATED", "NEW,INVALID"]))
        }
        ("conntrack", _) => conntrack_words(random, family, not),
        ("limit", _) => format!("-m limit --limit 1/day --limit-burst {}", 1 + random.below(4)),
        ("recent", _) => recent_words(random, family, number, not),
        ("iprange", _) => {
            let range = match family {
                Family::V4 => random.word(&[
                    "--src-range 198.18.0.0-198.18.99.255",
                    "--dst-range 192.0.2.1-192.0.2.2",
                    "--src-range 198.18.100.0-198.20.0.0",
                ]),
                Family::V6 => random.word(&[
                    "--src-range 2001:db8:100::-2001:db8:100:7000::",
                    "--dst-range 2001:db8:1::1-2001:db8:1::2",
                ]),
            };
            format!("-m iprange {not}{range}")
        }
        ("addrtype", _) => format!(
            "-m addrtype {not}--{} {}",
            random.word(&["dst-type", "src-type"]),
            random.word(&[
                "LOCAL",
                "UNICAST",
                "LOCAL,MULTICAST",
                if family == Family::V4 { "BROADCAST" } else { "MULTICAST" }
            ])
        ),
        ("comment", _) => "-m comment --comment \"a comment\"".to_owned(),
        ("owner", _) => {
            let whom = random.word(&["--uid-owner 0", "--uid-owner 1000-2000", "--gid-owner 0-10", "--socket-exists"]);
            format!("-m owner {not}{whom}")
        }
        ("mac", _) => format!("-m mac {not}--mac-source {}", random.word(&["SENDER", "02:00:00:00:00:01"])),
        _ => return None,
    })
}

fn conntrack_words(random: &mut Random, family: Family, not: &str) -> String {
    match random.below(6) {
        0 | 1 => format!(
            "-m conntrack {not}--ctstate {}",
            random.word(&["NEW", "INVALID", "ESTABLISHED,RELATED", "NEW,UNTRACKED"])
        ),
        2 => format!("-m conntrack {not}--ctproto {}", random.word(&["tcp", "udp"])),
        3 => format!("-m conntrack --ctstate NEW {not}--ctorigsrc {}", network(random, family, true)),
        4 => format!("-m conntrack {not}--ctorigdstport {}", random.word(&["22", "80:443", "0:65535", "3306"])),
        _ => format!("-m conntrack --ctdir {}", random.word(&["ORIGINAL", "REPLY"])),
    }
}

/// The lists of a ruleset are its own: the kernel keeps one as long as a rule names it.
fn recent_words(random: &mut Random, family: Family, number: usize, not: &str) -> String {
    let list = format!("--name walk{number}x{}", random.below(2));
    let mask = match family {
        Family::V4 => " --mask 255.255.0.1",
        Family::V6 => " --mask ffff:ffff:ffff::f",
    };
    match random.below(6) {
        0 | 1 => format!("-m recent {not}--set {list}{mask}"),
        2 => format!("-m recent {not}--rcheck --seconds 1000 --hitcount {} {list}{mask}", 1 + random.below(4)),
        3 => format!("-m recent {not}--update --hitcount {} {list}{mask}", 1 + random.below(3)),
        4 => format!("-m recent {not}--rcheck --rttl {list}{mask}"),
        _ => format!("-m recent {not}--remove {list}{mask}"),
    }
}

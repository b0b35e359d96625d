//! Rules that other programs made: each listed exactly or as opaque, none lost, none misread; `-save` says so and fails.

use lab::netns::Netns;
use lab::oracle::{Call, Outcome, Programs};
use lab::root::test_as_root;
use lab::side::Side;

const AS_ROOT: &str = env!("CARGO_BIN_EXE_lab-as-root");

/// A native rule and where it goes.
struct Foreign {
    family: &'static str,
    table: &'static str,
    chain: &'static str,
    /// The rule in nft's words.
    rule: &'static str,
    /// The one way to say it in iptables' words, if there is one; listing it as opaque is right as well.
    means: Option<&'static str>,
}

const fn input(rule: &'static str) -> Foreign {
    Foreign { family: "ip", table: "filter", chain: "INPUT", rule, means: None }
}

const fn means(rule: &'static str, means: &'static str) -> Foreign {
    Foreign { means: Some(means), ..input(rule) }
}

const fn at(family: &'static str, table: &'static str, chain: &'static str, rule: &'static str) -> Foreign {
    Foreign { family, table, chain, rule, means: None }
}

/// Objects that the rules below refer to.
const OBJECTS: [&str; 8] = [
    "add set ip filter named { type ipv4_addr; flags interval; elements = { 10.0.0.0/8 } }",
    "add set ip filter seen { type ipv4_addr; flags dynamic,timeout; timeout 1m; }",
    "add map ip filter marks { type inet_service : mark; elements = { 22 : 1 } }",
    "add counter ip filter cnt",
    "add quota ip filter big { over 10 mbytes }",
    "add limit ip filter slow { rate 5/second }",
    "add chain ip filter other",
    "add table ip nat",
];

const FOREIGN: &[Foreign] = &[
    // sets, ranges, concatenations, maps
    input("ip saddr { 192.0.2.1, 192.0.2.2 } accept"),
    input("ip saddr != { 192.0.2.1, 192.0.2.2 } accept"),
    input("ip saddr @named drop"),
    means("ip saddr 10.0.0.0-10.0.0.7 drop", "-m iprange --src-range 10.0.0.0-10.0.0.7 -j DROP"),
    means("ip saddr != 10.0.0.0-10.0.0.7 drop", "-m iprange ! --src-range 10.0.0.0-10.0.0.7 -j DROP"),
    input("iifname { \"lo\", \"eth0\" } accept"),
    input("tcp dport { 22, 443 } accept"),
    input("tcp dport { 22, 1000-2000 } counter accept"),
    input("ip saddr . tcp dport { 192.0.2.1 . 22 } accept"),
    input("ip protocol . th dport { tcp . 22, udp . 53 } accept"),
    input("ip saddr vmap { 192.0.2.1 : drop, 192.0.2.2 : jump other }"),
    input("meta mark set tcp dport map @marks"),
    input("meta l4proto { tcp, udp } drop"),
    // conntrack
    means("ct state new accept", "-m conntrack --ctstate NEW -j ACCEPT"),
    means("ct state established,related accept", "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"),
    means("ct state != invalid drop", "-m conntrack ! --ctstate INVALID -j DROP"),
    means("ct state ! invalid,untracked drop", "-m conntrack ! --ctstate INVALID,UNTRACKED -j DROP"),
    means("ct state == new drop", "-m conntrack --ctstate NEW -j DROP"),
    input("ct state vmap { established : accept, invalid : drop }"),
    input("ct mark 5 accept"),
    input("ct mark set 7"),
    input("ct status dnat accept"),
    input("ct direction reply accept"),
    input("ct original ip saddr 192.0.2.1 accept"),
    input("ct expiration > 30s accept"),
    input("ct bytes > 100000 drop"),
    input("ct count over 20 drop"),
    // meta
    input("fib daddr type local accept"),
    input("fib saddr . iif oif missing drop"),
    means("meta pkttype broadcast drop", "-m pkttype --pkt-type broadcast -j DROP"),
    input("meta length 40-100 drop"),
    input("meta skuid 1000 drop"),
    input("meta cgroup 5 drop"),
    input("meta priority set 1:2"),
    means("meta mark set 0x1", "-j MARK --set-xmark 0x1/0xffffffff"),
    means("meta mark and 0xff == 0x10 accept", "-m mark --mark 0x10/0xff -j ACCEPT"),
    input("meta time \"2030-01-01 00:00:00\" drop"),
    input("meta hour \"10:00\"-\"12:00\" drop"),
    input("iif \"lo\" accept"),
    input("iifgroup 5 accept"),
    input("rt classid 5 accept"),
    input("socket transparent 1 accept"),
    // payload
    input("ip dscp 8 accept"),
    input("ip length 40-100 drop"),
    means("ip ttl < 5 drop", "-m ttl --ttl-lt 5 -j DROP"),
    input("ip id 7 drop"),
    means("ip frag-off & 0x1fff != 0 drop", "-f -j DROP"),
    means("ip saddr 192.0.2.1 ip daddr 192.0.2.2 drop", "-s 192.0.2.1/32 -d 192.0.2.2/32 -j DROP"),
    means("tcp sport 22 tcp dport 23 drop", "-p tcp -m tcp --sport 22 --dport 23 -j DROP"),
    means("tcp flags syn drop", "-p tcp -m tcp ! --tcp-flags SYN NONE -j DROP"),
    input("tcp flags == syn drop"),
    input("tcp flags != syn,ack drop"),
    means("tcp flags & (syn | ack) == syn drop", "-p tcp -m tcp --tcp-flags SYN,ACK SYN -j DROP"),
    means("tcp flags syn / syn,ack drop", "-p tcp -m tcp --tcp-flags SYN,ACK SYN -j DROP"),
    input("tcp window 0 drop"),
    input("tcp option maxseg size 500 drop"),
    input("udp length 8 drop"),
    means("udp dport 53 drop", "-p udp -m udp --dport 53 -j DROP"),
    means("icmp type echo-request accept", "-p icmp -m icmp --icmp-type 8 -j ACCEPT"),
    means("icmp type != echo-request accept", "-p icmp -m icmp ! --icmp-type 8 -j ACCEPT"),
    input("icmp type { echo-request, echo-reply } accept"),
    input("icmp code 1-3 accept"),
    input("sctp dport 5 accept"),
    input("dccp dport 5 accept"),
    input("esp spi 5 accept"),
    input("ah spi 5 accept"),
    input("@th,0,16 22 drop"),
    means("@nh,72,8 6 drop", "-p tcp -j DROP"),
    input("ether saddr 00:11:22:33:44:55 drop"),
    input("vlan id 5 drop"),
    // statements
    input("limit rate over 5/second drop"),
    means("limit rate 7/week accept", "-m limit --limit 1/day -j ACCEPT"),
    input("limit rate 10 kbytes/second accept"),
    input("limit name \"slow\" accept"),
    means("log", "-j LOG"),
    means("log prefix \"x: \" level warn", "-j LOG --log-prefix \"x: \""),
    means(
        "log prefix \"x\" level err flags all",
        "-j LOG --log-prefix x --log-level 3 --log-tcp-sequence --log-tcp-options --log-ip-options --log-uid --log-macdecode",
    ),
    input("log prefix \"a prefix that is longer than twenty-nine bytes\""),
    input("log accept"),
    means(
        "ip daddr >= 10.0.0.9 ip saddr < 10.0.0.5 drop",
        "-m iprange --dst-range 10.0.0.9-255.255.255.255 -m iprange --src-range 0.0.0.0-10.0.0.4 -j DROP",
    ),
    means("ip ttl >= 5 ip ttl != 9 drop", "-m ttl --ttl-gt 4 -m ttl ! --ttl-eq 9 -j DROP"),
    means(
        "log group 3 prefix \"x\" queue-threshold 5",
        "-j NFLOG --nflog-prefix x --nflog-group 3 --nflog-threshold 5",
    ),
    input("queue num 3 bypass"),
    input("reject"),
    input("reject with icmp type admin-prohibited"),
    input("meta l4proto tcp reject with tcp reset"),
    input("quota over 1 mbytes drop"),
    input("quota name \"big\" drop"),
    input("counter name \"cnt\""),
    input("numgen random mod 10 < 3 drop"),
    input("numgen inc mod 10 0 drop"),
    input("jhash ip saddr mod 16 3 drop"),
    input("symhash mod 16 3 drop"),
    input("add @seen { ip saddr }"),
    input("update @seen { ip saddr limit rate over 5/minute } drop"),
    input("tcp flags syn synproxy mss 1460 wscale 7"),
    means("meta nftrace set 1", "-j TRACE"),
    input("dup to 192.0.2.9"),
    means(
        "counter packets 5 bytes 600 accept comment \"made by nft\"",
        "-m comment --comment \"made by nft\" -j ACCEPT",
    ),
    input("notrack"),
    // exactly sayable
    means("ip saddr 192.0.2.0/24 counter drop", "-s 192.0.2.0/24 -j DROP"),
    means("tcp dport 22 accept", "-p tcp -m tcp --dport 22 -j ACCEPT"),
    means("tcp dport 1000-2000 accept", "-p tcp -m tcp --dport 1000:2000 -j ACCEPT"),
    means("iifname \"eth0\" counter accept", "-i eth0 -j ACCEPT"),
    means("meta mark 5 drop", "-m mark --mark 0x5 -j DROP"),
    means("jump other", "-j other"),
    means("counter goto other", "-g other"),
    // other tables and families
    at("ip", "nat", "PREROUTING", "tcp dport 80 dnat to 192.0.2.7:8080"),
    at("ip", "nat", "PREROUTING", "tcp dport 80 redirect to :8080"),
    at("ip", "nat", "PREROUTING", "dnat to numgen inc mod 2 map { 0 : 192.0.2.7, 1 : 192.0.2.8 }"),
    Foreign { means: Some("-o eth0 -j MASQUERADE"), ..at("ip", "nat", "POSTROUTING", "oifname \"eth0\" masquerade") },
    Foreign {
        means: Some("-j MASQUERADE --random --random-fully"),
        ..at("ip6", "nat", "POSTROUTING", "masquerade random,fully-random")
    },
    at("ip", "nat", "POSTROUTING", "masquerade persistent"),
    at("ip", "nat", "POSTROUTING", "meta l4proto tcp masquerade to :1000-2000"),
    Foreign { means: Some("-j REDIRECT --random"), ..at("ip", "nat", "PREROUTING", "redirect random") },
    at("ip", "nat", "POSTROUTING", "snat to 198.51.100.1-198.51.100.4 persistent"),
    at("ip", "raw", "PREROUTING", "notrack"),
    at("ip", "mangle", "PREROUTING", "meta l4proto udp tproxy to :5000"),
    at("ip6", "filter", "INPUT", "ip6 saddr { 2001:db8::1, 2001:db8::2 } accept"),
    at("ip6", "filter", "INPUT", "ip6 nexthdr tcp accept"),
    at("ip6", "filter", "INPUT", "exthdr hbh exists drop"),
    at("ip6", "filter", "INPUT", "frag id 5 drop"),
    at("ip6", "filter", "INPUT", "rt type 0 drop"),
    Foreign {
        means: Some("-p ipv6-icmp -m icmp6 --icmpv6-type 135 -j ACCEPT"),
        ..at("ip6", "filter", "INPUT", "icmpv6 type nd-neighbor-solicit accept")
    },
    at("ip6", "filter", "INPUT", "ip6 flowlabel 5 drop"),
    Foreign { means: Some("-m hl --hl-eq 255 -j ACCEPT"), ..at("ip6", "filter", "INPUT", "ip6 hoplimit 255 accept") },
    Foreign {
        means: Some("-m iprange --src-range 2001:db8::1-2001:db8::9 -j DROP"),
        ..at("ip6", "filter", "INPUT", "ip6 saddr 2001:db8::1-2001:db8::9 drop")
    },
];

/// Runs nft in the side's namespace.
fn nft(netns: &Netns, words: &str) -> Result<String, String> {
    let _inside = netns.enter().expect("namespace");
    let output = std::process::Command::new("nft").arg(words).output().expect("nft: apt-get install -y nftables");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// Puts the rule between two rules of stock's; false if this kernel or nft cannot make it.
fn build(side: &Side, stock: &Programs, foreign: &Foreign) -> Result<(), String> {
    let program = if foreign.family == "ip" { "iptables" } else { "ip6tables" };
    let own = |rule: &[&str]| {
        let words = [&[program, "-t", foreign.table, "-A", foreign.chain][..], rule].concat();
        assert_eq!(side.run_other(stock, &Call::new(words)).expect("runs").code, 0);
    };
    own(&["-p", "tcp", "-m", "tcp", "--dport", "21", "-j", "ACCEPT"]);
    if (foreign.family, foreign.table) == ("ip", "filter") {
        OBJECTS.iter().try_for_each(|object| nft(&side.netns, object).map(drop))?;
    }
    nft(&side.netns, &format!("add rule {} {} {} {}", foreign.family, foreign.table, foreign.chain, foreign.rule))?;
    own(&["-p", "udp", "-m", "udp", "--dport", "53", "-j", "ACCEPT"]);
    Ok(())
}

fn call(side: &Side, words: &[&str]) -> Outcome {
    side.run(&Call::new(words)).expect("runs")
}

/// What is wrong with the way the program under test treats the rule.
fn complaints(side: &mut Side, foreign: &Foreign) -> Vec<String> {
    let before = (nft(&side.netns, "list ruleset").expect("nft lists"), side.dump().expect("dump"));
    let (program, save) =
        if foreign.family == "ip" { ("iptables", "iptables-save") } else { ("ip6tables", "ip6tables-save") };
    let table = foreign.table;
    let mut wrong = Vec::new();
    let (first, last) = (
        format!("-A {} -p tcp -m tcp --dport 21 -j ACCEPT", foreign.chain),
        format!("-A {} -p udp -m udp --dport 53 -j ACCEPT", foreign.chain),
    );
    let listed = call(side, &[program, "-t", table, "-S", foreign.chain]);
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    let lines: Vec<_> = text.lines().skip_while(|line| **line != first).collect();
    let opaque = match lines[..] {
        [_, middle, end] if end == last => {
            let exact = foreign.means.is_some_and(|means| middle == format!("-A {} {means}", foreign.chain));
            if !exact && !middle.starts_with('#') {
                wrong.push(format!("-S misreads it: {middle}"));
            }
            !exact
        }
        _ => {
            wrong.push(format!("-S does not show it between the other two (exit {}): {text}", listed.code));
            true
        }
    };
    let table_of = |flags: &[&str]| call(side, &[&[program, "-t", table, "-L", foreign.chain], flags].concat());
    for flags in [&["-n"][..], &[], &["-n", "-v"], &["-n", "-v", "-x", "--line-numbers"]] {
        let outcome = table_of(flags);
        let text = String::from_utf8_lossy(&outcome.stdout);
        let rules = text.lines().skip(2).filter(|line| !line.is_empty()).count();
        if rules != 3 || outcome.code != 0 {
            wrong.push(format!("-L {flags:?} shows {rules} rules, exit {}: {text}", outcome.code));
        }
    }
    for flags in [&[][..], &["-c"], &["-t", table]] {
        let outcome = call(side, &[&[save], flags].concat());
        match (opaque, outcome.code, outcome.complaint().is_empty()) {
            (true, 0, _) => wrong.push(format!("save {flags:?} exits 0 though it cannot say the rule")),
            (true, _, true) => wrong.push(format!("save {flags:?} does not say why it fails")),
            (false, code, _) if code != 0 => wrong.push(format!("save {flags:?} exits {code}")),
            _ => {}
        }
    }
    // changing the chain leaves the foreign rule alone
    for words in
        [&["-A", foreign.chain, "-m", "mark", "--mark", "9"][..], &["-D", foreign.chain, "-m", "mark", "--mark", "9"]]
    {
        let outcome = call(side, &[&[program, "-t", table], words].concat());
        if outcome.code != 0 {
            wrong.push(format!("{words:?} fails: {}", String::from_utf8_lossy(outcome.complaint())));
        }
    }
    let after = (nft(&side.netns, "list ruleset").expect("nft lists"), side.dump().expect("dump"));
    if before != after {
        wrong.push("the ruleset is not what it was".to_owned());
    }
    wrong
}

#[test]
fn native_rules_are_listed_exactly_or_as_opaque_and_never_lost() {
    test_as_root("native_rules_are_listed_exactly_or_as_opaque_and_never_lost", AS_ROOT, || {
        let stock = Programs::theirs();
        let (mut report, mut made) = (Vec::new(), 0);
        let mut side = Side::new(Programs::ours()).expect("namespace");
        for foreign in FOREIGN {
            side.flush().expect("flush");
            if let Err(reason) = build(&side, &stock, foreign) {
                println!("cannot be made here: {}: {}", foreign.rule, reason.lines().next().unwrap_or_default());
                continue;
            }
            made += 1;
            let wrong = complaints(&mut side, foreign);
            report.extend(wrong.into_iter().map(|text| format!("{} {}: {text}", foreign.family, foreign.rule)));
        }
        println!("{made} kinds of native rules");
        assert!(made >= 80, "only {made} kinds could be made");
        assert!(report.is_empty(), "{} complaints\n{}", report.len(), report.join("\n"));
    });
}

//! Rules as stock iptables 1.8.9 wrote them and the kernel dumped them, against their `-S` text.
//!
//! `golden/stock.txt` has one rule a line, fields between tabs: `ip` or `ip6`, the table, the text that stock's `-S` prints behind the chain, the
//! payload of `NFTA_RULE_EXPRESSIONS` in hex, where `(N)` stands for N zero bytes. The numbers of `counter` are zero. Captured on Linux 6.18 from
//! commands of our own; `UPDATE=1 cargo test --test golden` (as root, with stock iptables in PATH) captures the listed rules again.

mod common;

use std::fmt::Write as _;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::process::Command;

use oxtables::compile::{Raised, Raiser, describe};
use oxtables::ext::{Body, Match, PrintCx, Target};
use oxtables::kernel::netns::Namespace;
use oxtables::kernel::{Event, Session};
use oxtables::text::command::{Context, parse};
use oxtables::text::lexer::Words;
use oxtables::types::{Family, Names, NoNames, NumberList, Out};
use oxtables::wire::{Expr, ExprWriter, Exprs, Writer};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/stock.txt");

/// The protocols that stock's rules here name and that are not built in (protocols(5)).
const PROTOCOLS: [(u8, &str); 10] = [
    (2, "igmp"),
    (33, "dccp"),
    (41, "ipv6"),
    (43, "ipv6-route"),
    (44, "ipv6-frag"),
    (47, "gre"),
    (59, "ipv6-nonxt"),
    (60, "ipv6-opts"),
    (89, "ospf"),
    (108, "ipcomp"),
];

/// The names that iproute2's files have.
const NUMBERS: [(NumberList, &[u8], u32); 2] =
    [(NumberList::Realms, b"cosmos", 0), (NumberList::DeviceGroups, b"default", 0)];

/// Knows [`PROTOCOLS`] and [`NUMBERS`] and nothing else.
struct Protocols;

impl Names for Protocols {
    fn protocol(&self, name: &[u8]) -> Option<u8> {
        PROTOCOLS.iter().find(|p| p.1.as_bytes() == name).map(|p| p.0)
    }
    fn protocol_name(&self, number: u8) -> Option<Vec<u8>> {
        PROTOCOLS.iter().find(|p| p.0 == number).map(|p| p.1.into())
    }
    fn port(&self, name: &[u8], protocol: Option<u8>) -> Option<u16> {
        NoNames.port(name, protocol)
    }
    fn service(&self, port: u16, protocol: Option<u8>) -> Option<Vec<u8>> {
        NoNames.service(port, protocol)
    }
    fn hosts(&self, name: &[u8], family: Family) -> Vec<IpAddr> {
        NoNames.hosts(name, family)
    }
    fn host_name(&self, addr: IpAddr) -> Option<Vec<u8>> {
        NoNames.host_name(addr)
    }
    fn network(&self, name: &[u8]) -> Option<IpAddr> {
        NoNames.network(name)
    }
    fn network_name(&self, addr: IpAddr) -> Option<Vec<u8>> {
        NoNames.network_name(addr)
    }
    fn uid(&self, name: &[u8]) -> Option<u32> {
        NoNames.uid(name)
    }
    fn gid(&self, name: &[u8]) -> Option<u32> {
        NoNames.gid(name)
    }
    fn user_name(&self, uid: u32) -> Option<Vec<u8>> {
        NoNames.user_name(uid)
    }
    fn group_name(&self, gid: u32) -> Option<Vec<u8>> {
        NoNames.group_name(gid)
    }
    fn number(&self, list: NumberList, name: &[u8]) -> Option<u32> {
        NUMBERS.iter().find(|n| (n.0, n.1) == (list, name)).map(|n| n.2)
    }
    fn number_name(&self, list: NumberList, number: u32) -> Option<Vec<u8>> {
        NUMBERS.iter().find(|n| (n.0, n.2) == (list, number)).map(|n| n.1.to_vec())
    }
    fn number_list_error(&self, _: NumberList) -> Option<String> {
        None
    }
}

struct Line {
    family: Family,
    table: String,
    text: String,
    exprs: Vec<u8>,
}

fn lines() -> Vec<Line> {
    let file = std::fs::read_to_string(FILE).unwrap();
    file.lines()
        .filter(|l| !l.starts_with('#'))
        .map(|line| {
            let [family, table, text, hex] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
            let family = if family == "ip" { Family::V4 } else { Family::V6 };
            Line { family, table: table.to_owned(), text: text.to_owned(), exprs: unhex(hex) }
        })
        .collect()
}

fn unhex(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some((zeros, behind)) = rest.strip_prefix('(').and_then(|r| r.split_once(')')) {
            bytes.resize(bytes.len() + zeros.parse::<usize>().unwrap(), 0);
            rest = behind;
        } else {
            let (byte, behind) = rest.split_at(2);
            bytes.push(u8::from_str_radix(byte, 16).unwrap());
            rest = behind;
        }
    }
    bytes
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::new();
    let mut rest = bytes;
    while let Some((first, behind)) = rest.split_first() {
        let zeros = rest.iter().take_while(|b| **b == 0).count();
        if zeros > 2 {
            write!(out, "({zeros})").unwrap();
            rest = &rest[zeros..];
        } else {
            write!(out, "{first:02x}").unwrap();
            rest = behind;
        }
    }
    out
}

/// Whether every extension that the text names is one of ours.
fn is_known(line: &Line) -> bool {
    let words: Vec<_> = line.text.split(' ').collect();
    words.windows(2).all(|pair| match *pair {
        ["-m", name] => Match::new(name.as_bytes(), line.family).is_some(),
        ["-j", "ACCEPT" | "DROP" | "RETURN" | "user"] => true,
        ["-j", name] => Target::new(name.as_bytes(), line.family).is_some(),
        _ => true,
    })
}

fn printed(family: Family, body: &Body) -> String {
    let mut out = Out::new();
    body.save(&mut out, &PrintCx { family, numeric: true, names: &Protocols, protocol: None }, None);
    String::from_utf8_lossy(out.as_bytes()).trim_start().to_owned()
}

fn body_of(line: &Line) -> Option<Body> {
    let mut words = Words::default();
    words.split(line.text.as_bytes()).ok()?;
    let args: Vec<&[u8]> = [&b"-A"[..], b"chain"].into_iter().chain(words.iter()).collect();
    let cx =
        Context { family: line.family, names: &Protocols, restore: true, table: line.table.as_bytes(), verbose: false };
    let mut command = parse(&args, &cx, &mut Vec::new()).ok()?;
    let mut body = None;
    let _: Result<(), ()> = command.rule.for_each(|b| {
        body = Some(b.clone());
        Ok(())
    });
    body
}

/// The expressions one by one; `NFTA_BITWISE_OP`, which the kernel adds, is not in them.
fn expressions(bytes: &[u8]) -> Vec<Expr<'_>> {
    Exprs::new(bytes).map(Result::unwrap).collect()
}

#[test]
fn rules_of_stock_read_as_stock_prints_them() {
    let (mut known, mut wrong) = (0, Vec::new());
    for line in lines() {
        let raised = Raiser::new(line.family).raise(&line.exprs, None);
        let mut words = Out::new();
        describe(line.family, &line.exprs, None, &mut words);
        let got = match &raised {
            Raised::Rule(body, _) => printed(line.family, body),
            Raised::Opaque(_) if !is_known(&line) => continue,
            Raised::Opaque(_) => format!("opaque: {}", String::from_utf8_lossy(words.as_bytes())),
        };
        known += 1;
        if got != line.text {
            wrong.push(format!("{:?}: {}\n   is read as {got}", line.family, line.text));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(known > 250, "only {known} rules are of extensions that we know");
}

#[test]
fn rules_are_written_as_stock_writes_them() {
    let (mut known, mut wrong) = (0, Vec::new());
    for line in lines().iter().filter(|l| is_known(l)) {
        let Some(body) = body_of(line) else {
            wrong.push(format!("{:?}: {} is not taken", line.family, line.text));
            continue;
        };
        known += 1;
        let mut w = Writer::new();
        body.encode(line.family, 0, 0, &mut ExprWriter::new(&mut w));
        let (ours, stock) = (expressions(w.as_bytes()), expressions(&line.exprs));
        if ours != stock {
            wrong.push(format!("{:?}: {}\n ours  {ours:?}\n stock {stock:?}", line.family, line.text));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(known > 250, "only {known} rules are of extensions that we know");
}

#[test]
fn hex_with_runs_of_zeros_reads_back() {
    for bytes in [&b""[..], b"\0", b"\0\0\0", b"a\0\0\0\0b\0\0c", &[0; 300]] {
        assert_eq!(unhex(&hex(bytes)), bytes);
    }
    assert_eq!(hex(b"a\0\0\0\0b\0"), "61(4)6200");
}

/// Captures the rules of the file again, if `UPDATE` is set.
#[test]
fn update() {
    if std::env::var_os("UPDATE").is_none() {
        return;
    }
    common::with_namespaces("update", || {
        let mut file = std::fs::read_to_string(FILE).unwrap();
        let keep = file.lines().take_while(|l| l.starts_with('#')).fold(String::new(), |all, l| all + l + "\n");
        file = lines()
            .iter()
            .filter_map(|line| Namespace::new().unwrap().run(|| capture(line)).unwrap())
            .fold(keep, |all, l| all + &l);
        std::fs::write(FILE, file).unwrap();
    });
}

/// The line with what stock and the kernel make of it now; `None` if stock does not take the rule.
fn capture(line: &Line) -> Option<String> {
    let program = if line.family == Family::V4 { "iptables" } else { "ip6tables" };
    let mut words = Words::default();
    words.split(line.text.as_bytes()).ok()?;
    let words: Vec<String> = words.iter().map(|w| String::from_utf8_lossy(w).into_owned()).collect();
    // In a chain of its own every hook is allowed.
    let run = |args: &[&str]| Command::new(program).args(["-t", &line.table]).args(args).output().unwrap();
    run(&["-N", "chain"]);
    run(&["-N", "user"]);
    let rule: Vec<&str> = ["-A", "chain"].into_iter().chain(words.iter().map(String::as_str)).collect();
    if !run(&rule).status.success() {
        return None;
    }
    let listed = String::from_utf8_lossy(&run(&["-S", "chain"]).stdout).into_owned();
    let text = listed.lines().find_map(|l| l.strip_prefix("-A chain")).unwrap().trim_start().to_owned();
    let mut exprs = Vec::new();
    let mut each = |event: Event<'_>| {
        if let Event::Rule(rule) = event {
            exprs = rule.exprs.to_vec();
        }
        ControlFlow::Continue(())
    };
    Session::open().unwrap().rules(line.family, line.table.as_bytes(), b"chain", &mut each).unwrap();
    let family = if line.family == Family::V4 { "ip" } else { "ip6" };
    Some(format!("{family}\t{}\t{text}\t{}\n", line.table, hex(&exprs)))
}

// --- rules of nft -------------------------------------------------------------------------------------------------------------------

const FOREIGN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/foreign.txt");

/// The ruleset in which nft's rules stand, for each family (`ip`, `ip6`).
const NFT: &str = "table FAMILY t {
    counter cnt { }
    set blocked { type ADDR; flags dynamic; }
    map verdicts { type ADDR . inet_service : verdict; }
    chain user { }
    chain INPUT { type filter hook input priority 0; }
    chain PREROUTING { type nat hook prerouting priority -100; }
    chain POSTROUTING { type nat hook postrouting priority 100; }
    chain RAW { type filter hook prerouting priority -300; }
}
";

/// What we make of a rule: the text behind `-A CHAIN`, or `#` and its description.
fn made_of(family: Family, exprs: &[u8], userdata: Option<&[u8]>) -> String {
    match Raiser::new(family).raise(exprs, userdata) {
        Raised::Rule(body, _) => printed(family, &body),
        Raised::Opaque(_) => {
            let mut out = Out::new();
            describe(family, exprs, userdata, &mut out);
            format!("# {}", String::from_utf8_lossy(out.as_bytes()))
        }
    }
}

/// Rules that nft wrote: each is read exactly or described. Fields: family, chain, nft's text, expressions, userdata, what we make of it.
/// `UPDATE=1` has nft write them again and takes our reading as the right one: look at the difference.
#[test]
fn rules_of_nft_are_read_exactly_or_described() {
    let file = std::fs::read_to_string(FOREIGN).unwrap();
    let update = std::env::var_os("UPDATE").is_some();
    let (mut again, mut wrong, mut rules) = (String::new(), Vec::new(), 0);
    for line in file.lines() {
        let fields: Vec<_> = line.split('\t').collect();
        let [family, chain, text, ..] = fields[..] else {
            again += &format!("{line}\n");
            continue;
        };
        let number = if family == "ip" { Family::V4 } else { Family::V6 };
        if update {
            let written = Namespace::new().unwrap().run(|| written_by_nft(number, family, chain, text)).unwrap();
            let Some((exprs, userdata)) = written else { continue };
            let made = made_of(number, &exprs, Some(&userdata).filter(|u| !u.is_empty()).map(Vec::as_slice));
            again += &format!("{family}\t{chain}\t{text}\t{}\t{}\t{made}\n", hex(&exprs), hex(&userdata));
            continue;
        }
        rules += 1;
        let [_, _, _, exprs, userdata, wanted] = fields[..] else { panic!("{text}: not captured") };
        let (exprs, userdata) = (unhex(exprs), unhex(userdata));
        let made = made_of(number, &exprs, Some(&userdata).filter(|u| !u.is_empty()).map(Vec::as_slice));
        if made != wanted {
            wrong.push(format!("{family} {text}\n   is read as {made}\n   and not as {wanted}"));
        }
    }
    if update {
        std::fs::write(FOREIGN, again).unwrap();
        return;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(rules > 100, "only {rules} rules");
}

/// Expressions and userdata of a rule as nft writes it; `None` if this nft or this kernel does not take it.
fn written_by_nft(number: Family, family: &str, chain: &str, text: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let address = if number == Family::V4 { "ipv4_addr" } else { "ipv6_addr" };
    let script = NFT.replace("FAMILY", family).replace("ADDR", address);
    let script = format!("{script}\nadd rule {family} t {chain} {text}\n");
    let mut nft = Command::new("nft").args(["-f", "-"]).stdin(std::process::Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(nft.stdin.as_mut().unwrap(), script.as_bytes()).unwrap();
    if !nft.wait().unwrap().success() {
        return None;
    }
    let mut found = (Vec::new(), Vec::new());
    let mut each = |event: Event<'_>| {
        if let Event::Rule(rule) = event {
            found = (rule.exprs.to_vec(), rule.userdata.unwrap_or_default().to_vec());
        }
        ControlFlow::Continue(())
    };
    Session::open().unwrap().rules(number, b"t", chain.as_bytes(), &mut each).unwrap();
    Some(found)
}

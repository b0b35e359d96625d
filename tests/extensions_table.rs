//! `docs/extensions.md`: every extension of iptables-extensions(8) 1.8.9 and what of it is there, each cell found out by running the code.
//!
//! `UPDATE=1 cargo test --test extensions_table` writes the file again. The sample rules are made from the extensions' own option tables;
//! why a cell is empty is said in the extension's file: `Native: none, because …` in its section *Wire*, and its section *Evaluates*.
//! Sources: the headings of iptables-extensions(8), and the libraries of Debian's iptables 1.8.9.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Mutex;

use oxtables::compile::{Raised, Raiser};
use oxtables::ext::options::bit;
use oxtables::ext::{Action, Body, Effect, Kind, Match, Opt, PrintCx, Spec, Target};
use oxtables::kernel::native::lower;
use oxtables::packet::build::{Icmp, Icmp6, Ipv4, Ipv6, Raw, Tcp, Udp};
use oxtables::packet::env::{AddrType, Env, Host, Place, State};
use oxtables::packet::{Conntrack, CtDirection, CtEntry, CtFacts, CtState, CtTuple, Meta, Packet};
use oxtables::text::lexer::Words;
use oxtables::text::{Context, parse};
use oxtables::types::{Counters, Family, Hook, Names, NoNames, Out, SetAnswer, SetFamily, Tri};
use oxtables::wire::{Expr, ExprWriter, Exprs, Writer};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/extensions.md");
const BOTH: &[Family] = &[Family::V4, Family::V6];
const V4: &[Family] = &[Family::V4];
const V6: &[Family] = &[Family::V6];

/// The matches of iptables-extensions(8), and those for which stock has a library without a word there (`ipcomp`, `srh`).
const MATCHES: &[(&str, &[Family])] = &[
    ("addrtype", BOTH),
    ("ah", BOTH),
    ("bpf", BOTH),
    ("cgroup", BOTH),
    ("cluster", BOTH),
    ("comment", BOTH),
    ("connbytes", BOTH),
    ("connlabel", BOTH),
    ("connlimit", BOTH),
    ("connmark", BOTH),
    ("conntrack", BOTH),
    ("cpu", BOTH),
    ("dccp", BOTH),
    ("devgroup", BOTH),
    ("dscp", BOTH),
    ("dst", V6),
    ("ecn", BOTH),
    ("esp", BOTH),
    ("eui64", V6),
    ("frag", V6),
    ("hashlimit", BOTH),
    ("hbh", V6),
    ("helper", BOTH),
    ("hl", V6),
    ("icmp", V4),
    ("icmp6", V6),
    ("ipcomp", BOTH),
    ("iprange", BOTH),
    ("ipv6header", V6),
    ("ipvs", BOTH),
    ("length", BOTH),
    ("limit", BOTH),
    ("mac", BOTH),
    ("mark", BOTH),
    ("mh", V6),
    ("multiport", BOTH),
    ("nfacct", BOTH),
    ("osf", V4),
    ("owner", BOTH),
    ("physdev", BOTH),
    ("pkttype", BOTH),
    ("policy", BOTH),
    ("quota", BOTH),
    ("rateest", BOTH),
    ("realm", V4),
    ("recent", BOTH),
    ("rpfilter", BOTH),
    ("rt", V6),
    ("sctp", BOTH),
    ("set", BOTH),
    ("socket", BOTH),
    ("srh", V6),
    ("state", BOTH),
    ("statistic", BOTH),
    ("string", BOTH),
    ("tcp", BOTH),
    ("tcpmss", BOTH),
    ("time", BOTH),
    ("tos", BOTH),
    ("ttl", V4),
    ("u32", BOTH),
    ("udp", BOTH),
];

/// The targets of iptables-extensions(8), and `QUEUE` of iptables(8).
const TARGETS: &[(&str, &[Family])] = &[
    ("AUDIT", BOTH),
    ("CHECKSUM", BOTH),
    ("CLASSIFY", BOTH),
    ("CLUSTERIP", V4),
    ("CONNMARK", BOTH),
    ("CONNSECMARK", BOTH),
    ("CT", BOTH),
    ("DNAT", BOTH),
    ("DNPT", V6),
    ("DSCP", BOTH),
    ("ECN", V4),
    ("HL", V6),
    ("HMARK", BOTH),
    ("IDLETIMER", BOTH),
    ("LED", BOTH),
    ("LOG", BOTH),
    ("MARK", BOTH),
    ("MASQUERADE", BOTH),
    ("NETMAP", BOTH),
    ("NFLOG", BOTH),
    ("NFQUEUE", BOTH),
    ("NOTRACK", BOTH),
    ("QUEUE", BOTH),
    ("RATEEST", BOTH),
    ("REDIRECT", BOTH),
    ("REJECT", BOTH),
    ("SECMARK", BOTH),
    ("SET", BOTH),
    ("SNAT", BOTH),
    ("SNPT", V6),
    ("SYNPROXY", BOTH),
    ("TCPMSS", BOTH),
    ("TCPOPTSTRIP", BOTH),
    ("TEE", BOTH),
    ("TOS", BOTH),
    ("TPROXY", BOTH),
    ("TRACE", BOTH),
    ("TTL", V4),
    ("ULOG", V4),
];

/// Names that are met in scripts and old manuals, and that stock 1.8.9 does not know either.
const UNKNOWN: &[(&str, &str, &str)] = &[
    (
        "-m",
        "l2tp",
        "stock 1.8.9 has no library for it, and its manual does not name it: “Couldn't load match”, exit code 2, here too",
    ),
    (
        "-m",
        "udplite",
        "stock has no library for it (`-p udplite -m multiport` is how its ports are matched): exit code 2, here too",
    ),
    ("-m", "unclean", "went out of the kernel in 2004, and stock has no library for it: exit code 2, here too"),
    ("-m", "icmpv6", "another name of `icmp6`, taken as stock takes it"),
    ("-j", "MIRROR", "went out of the kernel in 2004, and stock has no library for it: exit code 2, here too"),
    ("-j", "SAME", "went out of the kernel in 2008; `SNAT --persistent` is what it was: exit code 2, here too"),
];

const INTRODUCTION: &str = "\
# The extensions

<!-- Written by `UPDATE=1 cargo test --test extensions_table`; a test fails when it is out of date. Do not edit. -->

Every match and target of `man iptables-extensions` 1.8.9, and what oxtables does with it. Each cell is found out by running code over sample
rules that are made from the extension's table of options: each value that it names as an example, with what it needs beside it.

| column | says |
|---|---|
| *parse* | the samples are taken |
| *-S* | what `-S` prints is read back as the same rule |
| *-L* | it is listed, with and without `-n` |
| *stock* | what is written into the kernel by default, as stock 1.8.9 writes it, and read back as the same rule: `xt` for the kernel's module of that name behind the compatibility expressions, `nft` for native expressions |
| *native* | whether there are native expressions that decide every packet as the xt module does (`OXTABLES_ENCODING=native`, or a kernel without the module) |
| *evaluation* | whether the simulator knows the answer for a packet of which everything is known that the simulator can be told |
| *translate* | whether `iptables-translate` has words of nft(8) for it, as stock's has |

`yes` is all samples, `3/7` three of seven, `–` none. `4` is IPv4, `6` is IPv6; both stand in one row where nothing differs.
";

/// A match or a target in one family.
struct Row {
    spec: Option<&'static Spec>,
    target: bool,
    name: &'static str,
    family: Family,
    has: bool,
}

/// A sample rule.
struct Sample {
    words: Vec<String>,
    body: Body,
    table: String,
}

#[test]
fn the_table_is_up_to_date() {
    let made = table();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(FILE, made).unwrap();
        return;
    }
    let file = std::fs::read_to_string(FILE).unwrap_or_default();
    let differing = made.lines().zip(file.lines().chain(std::iter::repeat(""))).find(|(a, b)| a != b);
    assert!(made == file, "out of date: UPDATE=1 cargo test --test extensions_table\n{differing:#?}");
}

#[test]
fn every_extension_that_is_there_has_a_row() {
    for (specs, names) in [(Match::ALL, MATCHES), (Target::ALL, TARGETS)] {
        for spec in specs {
            let row = names.iter().find(|(name, _)| *name == spec.name);
            let (_, families) = row.unwrap_or_else(|| panic!("{} is not in the list of names", spec.name));
            // Some have one form for each family.
            let same = specs.iter().filter(|s| s.name == spec.name);
            let ours: BTreeSet<_> = same.flat_map(|s| s.families).map(|f| mark(*f)).collect();
            assert_eq!(ours, families.iter().map(|f| mark(*f)).collect(), "families of {}", spec.name);
        }
    }
}

/// The whole file.
fn table() -> String {
    let mut out = INTRODUCTION.to_owned();
    for (heading, names, target) in [("Matches", MATCHES, false), ("Targets", TARGETS, true)] {
        write!(out, "\n## {heading}\n\n").unwrap();
        out += "| name | family | parse | -S | -L | stock | native | evaluation | translate | where a cell is empty, why |\n";
        out += "|---|---|---|---|---|---|---|---|---|---|\n";
        for (name, families) in names {
            let cells = [Family::V4, Family::V6].map(|family| {
                let all = if target { Target::ALL } else { Match::ALL };
                let spec = all.iter().copied().find(|s| s.name == *name && s.families.contains(&family));
                row(&Row { spec, target, name, family, has: families.contains(&family) })
            });
            let flag = if target { "-j" } else { "-m" };
            if cells[0] == cells[1] {
                writeln!(out, "| `{flag} {name}` | 4 6 | {} |", cells[0]).unwrap();
            } else {
                writeln!(out, "| `{flag} {name}` | 4 | {} |\n| | 6 | {} |", cells[0], cells[1]).unwrap();
            }
        }
    }
    out += "\n## Names that stock does not know\n\n| name | what becomes of it |\n|---|---|\n";
    for (flag, name, why) in UNKNOWN {
        writeln!(out, "| `{flag} {name}` | {why} |").unwrap();
    }
    out
}

/// The cells of a row, from *parse* on.
fn row(row: &Row) -> String {
    let none = |why: &str| format!("– | – | – | – | – | – | – | {why}");
    if !row.has {
        let other = if row.family == Family::V4 { "IPv6" } else { "IPv4" };
        return none(&format!("{other} only, as in stock"));
    }
    let Some(spec) = row.spec else { return none("not built yet") };
    let (samples, untaken) = samples(row, spec);
    let count = |f: &dyn Fn(&Sample) -> bool| samples.iter().filter(|s| f(s)).count();
    let all = samples.len();
    let mut whys: Vec<String> = Vec::new();
    let parsed = if untaken.is_empty() { cell(all, all) } else { format!("{all}/{}", all + untaken.len()) };
    if !untaken.is_empty() {
        whys.push(format!("no sample with {}", untaken.join(", ")));
    }
    let same = |s: &Sample, body: Option<Body>| {
        body.is_some_and(|b| saved_text(row.family, &b).as_bytes() == saved_text(row.family, &s.body).as_bytes())
    };
    let saved = count(&|s| same(s, reread(row.family, s)));
    let listed = count(&|s| [true, false].into_iter().all(|numeric| lists(row, s, numeric)));
    let written = count(&|s| same(s, raised(row.family, &s.body)));
    let xt = samples.iter().filter(|s| writes_xt(row, s)).count();
    let how = match (xt, written) {
        (_, 0) => String::new(),
        (0, _) => " nft".to_owned(),
        (xt, _) if xt == all => format!(" xt `{}`", spec.wire),
        _ => format!(" xt `{}`, nft", spec.wire),
    };
    let native = count(&|s| is_native(row.family, s));
    let known = count(&|s| evaluates(row, s));
    let translated = count(&|s| translates(row, s));
    let doc = doc_of(spec, row.target);
    if saved < all {
        let bad = samples.iter().find(|s| !same(s, reread(row.family, s)));
        let words = bad.map(|s| s.words.get(2..).unwrap_or_default().join(" ")).unwrap_or_default();
        whys.push(format!("-S: `{words}` is printed so that it reads as another rule, as by stock"));
    }
    if native < all {
        let why = behind(&doc, &["Native: none, because ", "Native: ", "Natively, "]);
        whys.push(format!("native: {}", why.unwrap_or("not yet".into())));
    }
    if known < all {
        whys.push(format!("evaluation: {}", section(&doc, "# Evaluates").unwrap_or("not known".into())));
    }
    if translated < all {
        let why = sentence_with(&doc, "translation").unwrap_or("where stock has no words for it either".into());
        whys.push(format!("translate: {why}"));
    }
    format!(
        "{parsed} | {} | {} | {}{how} | {} | {} | {} | {}",
        cell(saved, all),
        cell(listed, all),
        cell(written, all),
        cell(native, all),
        cell(known, all),
        cell(translated, all),
        whys.join("; ").replace('|', "\\|")
    )
}

fn cell(some: usize, all: usize) -> String {
    match some {
        0 => "–".to_owned(),
        some if some == all => "yes".to_owned(),
        some => format!("{some}/{all}"),
    }
}

const fn mark(family: Family) -> u8 {
    match family {
        Family::V4 => 4,
        Family::V6 => 6,
    }
}

/// Knows every set of ipset that it is asked for; of other names as many as [`NoNames`].
struct SomeNames;

/// The sets that were asked for; their place is their index.
static SETS: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

impl Names for SomeNames {
    fn set(&self, name: &[u8]) -> SetAnswer {
        let mut sets = SETS.lock().unwrap();
        let at = sets.iter().position(|set| set == name).unwrap_or_else(|| {
            sets.push(name.to_vec());
            sets.len() - 1
        });
        SetAnswer::Found { index: u16::try_from(at).unwrap(), members: SetFamily::Any }
    }
    fn set_name(&self, index: u16) -> Option<Vec<u8>> {
        SETS.lock().unwrap().get(usize::from(index)).cloned()
    }
    fn port(&self, name: &[u8], protocol: Option<u8>) -> Option<u16> {
        NoNames.port(name, protocol)
    }
    fn service(&self, port: u16, protocol: Option<u8>) -> Option<Vec<u8>> {
        NoNames.service(port, protocol)
    }
    fn protocol(&self, name: &[u8]) -> Option<u8> {
        NoNames.protocol(name)
    }
    fn protocol_name(&self, number: u8) -> Option<Vec<u8>> {
        NoNames.protocol_name(number)
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
}

// --- samples ------------------------------------------------------------------------------------------------------------------------

/// A rule for each example of each option, and the options for which none of them is taken.
fn samples(row: &Row, spec: &'static Spec) -> (Vec<Sample>, Vec<String>) {
    let (mut found, mut untaken) = (Vec::new(), Vec::new());
    if !spec.options.iter().any(|opt| opt.required) {
        // Some are refused by the kernel without any option.
        found.extend(taken(row, spec, &[]).filter(|sample| raised(row.family, &sample.body).is_some()));
    }
    for opt in spec.options {
        let before = found.len();
        for example in opt.examples_for(row.family) {
            let first = (opt, example);
            let needed = spec.options.iter().filter(|o| o.id != opt.id && (o.required || opt.needs & bit(o.id) != 0));
            let mut done = 0;
            let mut list = vec![first];
            for other in needed {
                if done & bit(other.id) == 0 {
                    done |= bit(other.id);
                    list.push((other, other.examples_for(row.family).first().copied().unwrap_or_default()));
                }
            }
            found.extend(completed(row, spec, &list));
        }
        if found.len() == before && opt.kind != Kind::Flag {
            untaken.push(format!("`--{}`", opt.name));
        }
    }
    let mut seen = BTreeSet::new();
    found.retain(|sample: &Sample| seen.insert(sample.words.clone()));
    (found, untaken)
}

/// The rule with these options, or with more of them: what an option needs is not always in the table.
fn completed(row: &Row, spec: &'static Spec, list: &[(&'static Opt, &str)]) -> Option<Sample> {
    let others = spec.options.iter().filter(|o| !list.iter().any(|(given, _)| given.id == o.id));
    let examples = |o: &'static Opt| o.examples_for(row.family).into_iter().take(4).map(move |e| (o, e));
    let more: Vec<(&'static Opt, &str)> = others.clone().flat_map(examples).collect();
    // Some must stand behind what they need.
    let with = |more: &[(&'static Opt, &str)]| {
        taken(row, spec, &[list, more].concat()).or_else(|| taken(row, spec, &[more, list].concat()))
    };
    with(&[])
        .or_else(|| more.iter().find_map(|one| with(&[*one])))
        .or_else(|| more.iter().find_map(|a| more.iter().find_map(|b| with(&[*a, *b]))))
        .or_else(|| {
            let mut seen = list.iter().fold(0, |all, (o, _)| all | bit(o.id));
            let firsts = others.filter(|o| {
                let new = seen & bit(o.id) == 0;
                seen |= bit(o.id);
                new
            });
            let all: Vec<_> = firsts.filter_map(|o| examples(o).next()).collect();
            // and without those that exclude each other
            with(&all).or_else(|| (0..all.len()).find_map(|at| with(&[&all[..at], &all[at + 1..]].concat())))
        })
}

/// The rule with these options, if it is taken.
fn taken(row: &Row, spec: &Spec, list: &[(&'static Opt, &str)]) -> Option<Sample> {
    let place = spec.sample.split(' ').find_map(|word| word.strip_prefix('@')).unwrap_or("filter/INPUT");
    let (table, chain) = place.split_once('/').unwrap_or(("filter", "INPUT"));
    let mut words = vec!["-A".to_owned(), chain.to_owned()];
    words.extend(spec.sample.split_whitespace().filter(|word| !word.starts_with('@')).map(str::to_owned));
    words.extend([if row.target { "-j" } else { "-m" }.to_owned(), spec.name.to_owned()]);
    for (opt, example) in list {
        words.push(format!("--{}", opt.name));
        match (opt.kind, example.split_once(' ')) {
            (Kind::Flag, _) => {}
            (Kind::Pair, Some((a, b))) => words.extend([a.to_owned(), b.to_owned()]),
            _ => words.push((*example).to_owned()),
        }
    }
    let body = read(row.family, table, &words)?;
    Some(Sample { words, body, table: table.to_owned() })
}

fn read(family: Family, table: &str, words: &[String]) -> Option<Body> {
    let args: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
    let cx = Context { family, names: &SomeNames, restore: true, table: table.as_bytes(), verbose: false };
    let mut command = parse(&args, &cx, &mut Vec::new()).ok()?;
    let mut body = None;
    let _: Result<(), ()> = command.rule.for_each(|b| {
        body = Some(b.clone());
        Ok(())
    });
    body
}

// --- cells --------------------------------------------------------------------------------------------------------------------------

fn print_cx(family: Family, body: &Body, numeric: bool) -> PrintCx<'static> {
    let protocol = body.base.protocol.filter(|(_, not)| !not).map(|(p, _)| p);
    PrintCx { family, numeric, names: &SomeNames, protocol }
}

/// What `-S` prints.
fn saved_text(family: Family, body: &Body) -> Out {
    let mut out = Out::new();
    out.str("-A chain");
    body.save(&mut out, &print_cx(family, body, true), None);
    out
}

/// The rule as its `-S` text is read back.
fn reread(family: Family, sample: &Sample) -> Option<Body> {
    let out = saved_text(family, &sample.body);
    let mut words = Words::default();
    words.split(out.as_bytes()).ok()?;
    let words: Vec<String> = words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect();
    read(family, &sample.table, &words)
}

/// The extension that the row is about, in the rule.
enum Part<'b> {
    Match(&'b Match),
    Target(&'b Target),
}

fn part<'b>(row: &Row, body: &'b Body) -> Option<Part<'b>> {
    match &body.action {
        Action::Target(target) if row.target => Some(Part::Target(target)),
        _ => body.matches.iter().find(|m| m.spec().name == row.name).map(Part::Match),
    }
}

/// Whether its column is printed without an extension that is missing.
fn lists(row: &Row, sample: &Sample, numeric: bool) -> bool {
    let (mut out, cx) = (Out::new(), print_cx(row.family, &sample.body, numeric));
    match part(row, &sample.body) {
        Some(Part::Match(m)) => m.list(&mut out, &cx),
        Some(Part::Target(t)) => t.list(&mut out, &cx),
        None => return false,
    }
    !out.as_bytes().contains(&b'\n')
}

/// The rule that is read from its expressions.
fn raised(family: Family, body: &Body) -> Option<Body> {
    let mut w = Writer::new();
    body.encode(family, 0, 0, &mut ExprWriter::new(&mut w));
    match Raiser::new(family).raise(w.as_bytes(), None) {
        Raised::Rule(body, _) => Some(body),
        Raised::Opaque(_) => None,
    }
}

/// Whether stock's form of it needs the kernel's xt module.
fn writes_xt(row: &Row, sample: &Sample) -> bool {
    let mut w = Writer::new();
    let mut x = ExprWriter::new(&mut w);
    match part(row, &sample.body) {
        Some(Part::Match(m)) => m.encode(row.family, &mut x),
        Some(Part::Target(t)) => t.encode(row.family, &mut x),
        None => return true,
    }
    Exprs::new(w.as_bytes()).any(|expr| matches!(expr, Ok(Expr::Match { .. } | Expr::Target { .. })))
}

/// Whether the rule, all of it, has a form without a module of xt that is read back as the rule.
fn is_native(family: Family, sample: &Sample) -> bool {
    let Some(body) = raised(family, &sample.body) else { return false };
    lower(&body, family, sample.table.as_bytes(), Counters::default(), 1).is_some_and(|lowered| !lowered.xt)
}

fn translates(row: &Row, sample: &Sample) -> bool {
    let (mut out, cx) = (Out::new(), print_cx(row.family, &sample.body, true));
    match part(row, &sample.body) {
        Some(Part::Match(m)) => m.translate(&cx, &mut out),
        Some(Part::Target(t)) => t.translate(&cx, &mut out),
        None => false,
    }
}

/// Whether the simulator has an answer for each packet of a few that meet its generic part.
fn evaluates(row: &Row, sample: &Sample) -> bool {
    let chain = sample.words.get(1).map_or("", String::as_str);
    let hook = match chain {
        "PREROUTING" => Hook::Prerouting,
        "FORWARD" => Hook::Forward,
        "OUTPUT" => Hook::Output,
        "POSTROUTING" => Hook::Postrouting,
        _ => Hook::Input,
    };
    let (mut state, mut random) = (State::default(), || 7);
    let mut env = Env {
        hook,
        now_ns: 1_700_000_000_000_000_000,
        host: &EveryHost,
        state: &mut state,
        random: &mut random,
        place: Place::default(),
        hotdrop: false,
    };
    packets(row.family).into_iter().all(|mut packet| match part(row, &sample.body) {
        Some(Part::Match(m)) => m.eval(&packet, &mut env) != Tri::Unknown,
        Some(Part::Target(t)) => t.apply(&mut packet, &mut env) != Effect::Unknown,
        None => false,
    })
}

/// A host that knows every address.
struct EveryHost;

impl Host for EveryHost {
    fn addr_type(&self, _: IpAddr, _: Option<&[u8]>) -> Option<AddrType> {
        Some(AddrType::Unicast)
    }
}

/// A packet of each protocol that has a view, all of it known.
fn packets(family: Family) -> Vec<Packet> {
    let raw = |protocol: u8| Raw { protocol, payload: vec![0; 64] };
    let list: Vec<Packet> = match family {
        Family::V4 => {
            let ip = Ipv4::default;
            let mut list = vec![ip() / Tcp::default(), ip() / Udp::default(), ip() / Icmp::default()];
            list.extend([33, 50, 51, 108, 132].map(|protocol| ip() / raw(protocol)));
            list
        }
        Family::V6 => {
            let ip = Ipv6::default;
            let mut list = vec![ip() / Tcp::default(), ip() / Udp::default(), ip() / Icmp6::default()];
            list.extend([33, 50, 108, 132, 135].map(|protocol| ip() / raw(protocol)));
            list
        }
    };
    list.into_iter().map(known).collect()
}

/// The packet with everything known of it that can be said.
fn known(packet: Packet) -> Packet {
    let (src, dst) = (packet.src(), packet.dst());
    let original = CtTuple { src, dst, protocol: packet.protocol().unwrap_or(0), src_port: 40000, dst_port: 80 };
    let facts = CtFacts { labels: Some(0), counters: Some([(3, 180), (2, 120)]), master: None };
    let entry = CtEntry { status: 0, original, reply: original.reversed(), expires: 29, mark: 0, facts };
    let meta = Meta {
        iif: b"eth0".to_vec(),
        oif: b"eth1".to_vec(),
        mac_src: Some([2, 0, 0, 0, 0, 1]),
        ct: Some(Conntrack::tracked(CtState::Established, CtDirection::Original, entry)),
        uid: Some(0),
        gid: Some(0),
        cpu: Some(0),
        realm: Some(0),
        iif_group: Some(0),
        oif_group: Some(0),
        cgroup_classid: Some(0),
        ..Meta::default()
    };
    packet.with_meta(meta)
}

// --- reasons ------------------------------------------------------------------------------------------------------------------------

/// The words of the extension's module doc, its lines joined; a line break is kept before a heading.
fn doc_of(spec: &Spec, target: bool) -> String {
    let directory = if target { "src/ext/targets" } else { "src/ext/matches" };
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let flag = if target { "-j" } else { "-m" };
    let mut doc = String::new();
    for entry in std::fs::read_dir(directory).expect("the extensions") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = std::fs::read_to_string(path).expect("a source file");
        if text.lines().next().unwrap_or_default().contains(&format!("`{flag} {}`", spec.name)) {
            let lines = text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim);
            doc += &lines.fold(String::new(), |all, line| {
                let heading = line.starts_with('#') || all.lines().last().is_some_and(|l| l.starts_with('#'));
                all + if heading { "\n" } else { " " } + line
            });
            doc.push('\n');
        }
    }
    assert!(!doc.is_empty(), "no file begins with //! `{flag} {}`", spec.name);
    doc
}

/// What stands behind the last place of one of these beginnings, up to the end of the section.
fn behind(doc: &str, beginnings: &[&str]) -> Option<String> {
    let (at, text) = beginnings.iter().filter_map(|text| doc.rfind(text).map(|at| (at, *text))).max()?;
    let rest = doc.get(at + text.len()..)?;
    Some(rest.lines().next()?.trim().trim_end_matches('.').to_owned())
}

/// The first sentence of the doc with this word.
fn sentence_with(doc: &str, word: &str) -> Option<String> {
    let line = doc.lines().find(|line| line.contains(word))?;
    let sentence = line.split(". ").find(|sentence| sentence.contains(word))?;
    Some(sentence.trim().trim_end_matches('.').to_owned())
}

/// A section of the doc.
fn section(doc: &str, heading: &str) -> Option<String> {
    let mut lines = doc.lines().skip_while(|line| *line != heading).skip(1);
    lines.next().map(|line| line.trim().trim_end_matches('.').to_owned())
}

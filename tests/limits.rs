//! The limits of the extensions against the running kernel: what they forbid is refused, and nothing else is.

mod common;

use common::with_namespaces;
use oxtables::ext::limits::{self, Broken, Place};
use oxtables::ext::{Action, Body, Match, Spec, Target};
use oxtables::kernel::netns::Namespace;
use oxtables::kernel::{Batch, CommitError, OpKind, RulePlace, Session};
use oxtables::model::{TABLES, builtins};
use oxtables::text::{Context, parse};
use oxtables::types::{Family, Hook, NoNames};
use oxtables::wire::consts::NFT_RULE_COMPAT_F_INV;

/// The command lines of an extension: alone and with each example of each option, with the protocol of its sample, with UDP and without.
fn rules(spec: &Spec, flag: &str, family: Family) -> Vec<Vec<String>> {
    let protocol = spec.sample.split("-p ").nth(1).and_then(|rest| rest.split(' ').next());
    let mut rules = Vec::new();
    for protocol in [None, protocol, Some("udp")] {
        let base: Vec<String> = protocol.into_iter().flat_map(|p| ["-p", p]).map(str::to_owned).collect();
        let base = [base, vec![flag.to_owned(), spec.name.to_owned()]].concat();
        // The kernel refuses cgroup without any option, wherever it is.
        if spec.name != "cgroup" {
            rules.push(base.clone());
        }
        // How many hits recent can count is a parameter of its module.
        for option in spec.options.iter().filter(|o| o.name != "hitcount") {
            for example in option.examples_for(family) {
                let value = if option.takes_value() { example.split(' ').collect() } else { Vec::new() };
                let words = [vec![format!("--{}", option.name)], value.into_iter().map(str::to_owned).collect()];
                let extra: &[&str] = match spec.name {
                    "policy" => &["--pol", "none"],
                    "addrtype" if option.name.starts_with("limit") => &["--src-type", "LOCAL"],
                    "recent" => &["--set", "--name", "limits"],
                    _ => &[],
                };
                let extra: Vec<String> = extra.iter().map(|w| (*w).to_owned()).collect();
                rules.push([base.clone(), words.concat(), extra].concat());
            }
        }
    }
    rules
}

/// A rule in a place, and where its words come from.
struct Case {
    family: Family,
    table: &'static [u8],
    hook: Hook,
    body: Body,
    words: String,
}

/// The error numbers with which the kernel refuses each case; 0 if it takes it. The last operation always fails, so that nothing is applied.
fn refusals(session: &mut Session, family: Family, cases: &[Case]) -> Vec<i32> {
    let mut batch = Batch::new(family);
    for table in TABLES {
        batch.add_table(table);
        for chain in builtins(family, table).unwrap_or_default() {
            batch.add_base_chain(table, chain, None, None, OpKind::ChainAdd);
        }
    }
    for (line, case) in (1..).zip(cases) {
        let protocol = case.body.base.protocol;
        let compat = protocol.map_or((0, 0), |(p, not)| (p.into(), if not { NFT_RULE_COMPAT_F_INV } else { 0 }));
        batch.set_line(line);
        let chain = case.hook.chain().as_bytes();
        batch.rule(case.table, chain, RulePlace::Append, Some(compat), None, |x| case.body.encode(family, 0, 0, x));
    }
    batch.set_line(0);
    batch.delete_chain(b"filter", b"no such chain");
    let Err(CommitError::Refused(refused)) = session.commit(&batch, None) else { panic!("the batch was not refused") };
    let mut errnos = vec![0; cases.len()];
    for refusal in refused.iter().filter(|r| r.op.line > 0) {
        errnos[refusal.op.line as usize - 1] = refusal.errno;
    }
    errnos
}

/// A rule that nft's own expressions can say needs no xt extension, and those have no limits.
fn is_native(body: &Body, family: Family) -> bool {
    let mut batch = Batch::new(family);
    batch.rule(b"", b"", RulePlace::Append, None, None, |x| body.encode(family, 0, 0, x));
    let bytes = batch.as_bytes();
    !bytes.windows(6).any(|w| w == b"match\0") && !bytes.windows(7).any(|w| w == b"target\0")
}

#[test]
fn the_kernel_refuses_what_the_limits_forbid_and_nothing_else() {
    with_namespaces("the_kernel_refuses_what_the_limits_forbid_and_nothing_else", || {
        let namespace = Namespace::new().expect("a namespace");
        let wrong = namespace.run(check_all).expect("the namespace can be entered");
        assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    });
}

/// Whether every user and group id means something here; in a user namespace the kernel refuses those that are not mapped.
fn all_ids_are_mapped() -> bool {
    std::fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| map.split_whitespace().last() == Some("4294967295"))
}

fn check_all() -> Vec<String> {
    const AT_ONCE: usize = 2_000;
    let all_ids = all_ids_are_mapped();
    let mut session = Session::open().expect("a session");
    let (mut wrong, mut tried) = (Vec::new(), 0);
    for family in [Family::V4, Family::V6] {
        let mut cases = cases(family);
        cases.retain(|case| all_ids || !case.words.contains("-owner"));
        for cases in cases.chunks(AT_ONCE) {
            let errnos = refusals(&mut session, family, cases);
            // A kernel without the extension says ENOENT; other errors are not about places.
            for (case, errno) in cases.iter().zip(errnos).filter(|(_, errno)| matches!(errno, 0 | 22)) {
                tried += 1;
                let broken = broken(case);
                if (errno == 0) != broken.is_none() {
                    let ours = broken.map_or_else(|| "nothing".into(), |b| b.sentence());
                    let at = format!("{} {}", String::from_utf8_lossy(case.table), case.hook.chain());
                    wrong.push(format!("{family} {at} {}: errno {errno}, limits say {ours}", case.words));
                }
            }
        }
    }
    assert!(tried > 2_000, "only {tried} rules were tried");
    wrong
}

fn cases(family: Family) -> Vec<Case> {
    let mut cases = Vec::new();
    // Stock leaves it to the kernel to refuse a comparison of estimates that is not complete, so that EINVAL does not speak of places.
    let matches = Match::ALL.iter().filter(|s| s.name != "rateest");
    let specs = matches.map(|s| (*s, "-m")).chain(Target::ALL.iter().map(|s| (*s, "-j")));
    for words in specs.flat_map(|(spec, flag)| rules(spec, flag, family)) {
        let args = [vec!["-A".to_owned(), "X".to_owned()], words.clone()].concat();
        let args: Vec<&[u8]> = args.iter().map(|w| w.as_bytes()).collect();
        let cx = Context { family, names: &NoNames, restore: false, table: b"mangle", verbose: false };
        let Ok(command) = parse(&args, &cx, &mut Vec::new()) else { continue };
        let body = command.rule.body;
        if is_native(&body, family) {
            continue;
        }
        for table in TABLES {
            for chain in builtins(family, table).unwrap_or_default() {
                cases.push(Case { family, table, hook: chain.hook, body: body.clone(), words: words.join(" ") });
            }
        }
    }
    cases
}

fn broken(case: &Case) -> Option<Broken> {
    let Case { family, table, hook, body, .. } = case;
    let place = Place { table, hooks: &[*hook], protocol: body.base.protocol };
    let of_matches = body.matches.iter().find_map(|m| limits::of_match(m, *family, &place));
    of_matches.or_else(|| match &body.action {
        Action::Target(t) => limits::of_target(t, *family, &place),
        _ => None,
    })
}

fn sentence(words: &str, family: Family, table: &str, hooks: &[Hook], protocol: Option<(u8, bool)>) -> String {
    let words: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
    let cx = Context { family, names: &NoNames, restore: false, table: table.as_bytes(), verbose: false };
    let rule = parse(&words, &cx, &mut Vec::new()).expect("a rule").rule;
    let place = Place { table: table.as_bytes(), hooks, protocol };
    let of_matches = rule.body.matches.iter().find_map(|m| limits::of_match(m, family, &place));
    let of_action = || match &rule.body.action {
        Action::Target(t) => limits::of_target(t, family, &place),
        _ => None,
    };
    of_matches.or_else(of_action).map_or_else(String::new, |b| b.sentence())
}

#[test]
fn sentences() {
    use Hook::{Forward, Output};
    for (words, table, hooks, said) in [
        (
            "-A X -j DNAT --to 192.0.2.1",
            "filter",
            &[][..],
            "DNAT works only in the nat table's PREROUTING and OUTPUT chains",
        ),
        ("-A X -j DNAT --to 192.0.2.1", "nat", &[], ""),
        ("-A X -j MASQUERADE", "nat", &[Output], "MASQUERADE works only in the nat table's POSTROUTING chain"),
        ("-A X -m policy --dir out --pol none", "filter", &[Forward, Output], ""),
        (
            "-A X -m policy --dir in --pol none",
            "filter",
            &[Forward, Output],
            "-m policy --dir in works only in PREROUTING, INPUT and FORWARD chains",
        ),
        ("-A X -m rpfilter", "filter", &[], "-m rpfilter works only in PREROUTING of the mangle and raw tables"),
        ("-A X -m physdev --physdev-out e0 --physdev-is-bridged", "filter", &[Output], ""),
        (
            "-A X -m physdev --physdev-out e0",
            "filter",
            &[Output],
            "-m physdev --physdev-out without --physdev-is-bridged works only in PREROUTING, INPUT, FORWARD and POSTROUTING chains",
        ),
        ("-A X -m tcpmss --mss 1", "filter", &[], "-m tcpmss works only with -p tcp"),
    ] {
        assert_eq!(sentence(words, Family::V4, table, hooks, None), said, "{words}");
    }
    let said = sentence("-A X -m addrtype --src-type LOCAL,PROHIBIT", Family::V6, "filter", &[], None);
    assert_eq!(said, "the kernel does not take -m addrtype PROHIBIT in this family");
}

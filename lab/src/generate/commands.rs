//! Random sequences of commands over one table, and random ways to list it.

use super::{Rule, TABLES, USER_CHAINS};
use crate::oracle::Call;
use crate::random::Random;

/// A sequence of commands that builds, changes and lists a table of one family.
pub fn sequence(random: &mut Random, v6: bool, length: usize) -> Vec<Call> {
    let table = random.below(TABLES.len());
    let mut out = Vec::new();
    for chain in USER_CHAINS {
        out.push(short(v6, table, &["-N", chain]));
    }
    let mut rules: Vec<Rule> = Vec::new();
    while out.len() < length {
        out.push(step(random, v6, table, &mut rules));
    }
    out
}

/// Every way to list that a byte-for-byte comparison covers, for one table.
#[must_use]
pub fn listings(v6: bool, table: &str) -> Vec<Call> {
    let (program, save) = if v6 { ("ip6tables", "ip6tables-save") } else { ("iptables", "iptables-save") };
    let forms: [&[&str]; 6] =
        [&["-S"], &["-L"], &["-L", "-n"], &["-L", "-v"], &["-L", "-v", "-n", "-x", "--line-numbers"], &["-S", "-v"]];
    let listed =
        forms.into_iter().map(|form| Call::new([program, "-t", table].into_iter().chain(form.iter().copied())));
    let saved = [Call::new([save, "-t", table]), Call::new([save, "-c", "-t", table])];
    listed.chain(saved).collect()
}

/// A random listing command.
pub fn listing(random: &mut Random, v6: bool, table: usize) -> Call {
    let (name, builtin) = TABLES[table];
    if random.percent(15) {
        let save = if v6 { "ip6tables-save" } else { "iptables-save" };
        let mut words = vec![save];
        if random.percent(50) {
            words.push("-c");
        }
        if random.percent(50) {
            words.extend(["-t", name]);
        }
        return Call::new(words);
    }
    let mut words = vec![random.word(&["-L", "-S", "--list", "--list-rules"])];
    let number;
    if random.percent(50) {
        words.push(if random.percent(60) { random.word(builtin) } else { random.word(&USER_CHAINS) });
        if random.percent(40) {
            number = random.below(8).to_string();
            words.push(&number);
        }
    }
    for (flag, chance) in [("-v", 50), ("-n", 60), ("-x", 30), ("--line-numbers", 40), ("--exact", 5), ("--numeric", 5)]
    {
        let listing = words[0].starts_with("-L") || words[0] == "--list";
        if random.percent(if listing || flag == "-v" { chance } else { 2 }) {
            words.push(flag);
        }
    }
    short(v6, table, &words)
}

/// A command of plain words on a table.
#[must_use]
pub fn short(v6: bool, table: usize, words: &[&str]) -> Call {
    let program = if v6 { "ip6tables" } else { "iptables" };
    let table = TABLES[table].0;
    // filter is the default, so its -t may be left out
    let head: &[&str] = if table == "filter" && words.len() % 2 == 1 { &[program] } else { &[program, "-t", table] };
    Call::new(head.iter().chain(words).copied())
}

fn step(random: &mut Random, v6: bool, table: usize, rules: &mut Vec<Rule>) -> Call {
    let builtin = TABLES[table].1;
    let any_chain =
        |random: &mut Random| if random.percent(60) { random.word(builtin) } else { random.word(&USER_CHAINS) };
    let number = |random: &mut Random| random.below(7).to_string();
    match random.below(30) {
        0..=7 => {
            let rule = Rule::random(random, v6, table);
            rules.push(rule.clone());
            rule.append()
        }
        8..=10 => {
            let rule = Rule::random(random, v6, table);
            rules.push(rule.clone());
            let number = number(random);
            match random.below(2) {
                0 => rule.call(&[b"-I", rule.chain.as_bytes()]),
                _ => rule.call(&[b"-I", rule.chain.as_bytes(), number.as_bytes()]),
            }
        }
        11 | 12 => {
            let rule = Rule::random(random, v6, table);
            rule.call(&[b"-R", rule.chain.as_bytes(), number(random).as_bytes()])
        }
        13..=16 if !rules.is_empty() => {
            let rule = random.pick(rules).clone();
            rule.call(&[if random.percent(50) { b"-C" } else { b"-D" }, rule.chain.as_bytes()])
        }
        17 => short(v6, table, &["-D", any_chain(random), &number(random)]),
        18 => short(v6, table, &["-P", random.word(builtin), random.word(&["ACCEPT", "DROP"])]),
        19 => short(v6, table, &["-E", random.word(&USER_CHAINS), random.word(&["renamed", "one", "x"])]),
        20 => short(v6, table, &["-X", random.word(&["one", "renamed", "f2b-4", "x", "TWO-2"])]),
        21 => short(v6, table, &["-N", random.word(&["renamed", "one", "x", "three.3"])]),
        22 if random.percent(40) => short(v6, table, &["-F"]),
        22 => short(v6, table, &["-F", any_chain(random)]),
        23 if random.percent(30) => short(v6, table, &["-X"]),
        23 | 24 => match random.below(3) {
            0 => short(v6, table, &["-Z"]),
            1 => short(v6, table, &["-Z", any_chain(random)]),
            _ => short(v6, table, &["-Z", any_chain(random), &number(random)]),
        },
        _ => listing(random, v6, table),
    }
}

//! Wrong commands and wrong restore files: valid ones with one to three things broken.

use super::{Rule, TABLES, USER_CHAINS, commands, values};
use crate::oracle::Call;
use crate::random::Random;

/// Words that are put where they do not belong.
const ODD_WORDS: [&str; 58] = [
    "",
    "!",
    "-",
    "--",
    "---",
    "-j",
    "-m",
    "-p",
    "-s",
    "-d",
    "-i",
    "-o",
    "-t",
    "-A",
    "-D",
    "-I",
    "-L",
    "-n",
    "-v",
    "-x",
    "-f",
    "-w",
    "-c",
    "-g",
    "-4",
    "-6",
    "--dport",
    "--sport",
    "--bogus",
    "--to-destination",
    "--state",
    "--set-mark",
    "--line-numbers",
    "-1",
    "0",
    "65536",
    "4294967296",
    "18446744073709551616",
    "99999999999999999999999",
    "0x",
    "0xg",
    "1e5",
    "80:22",
    "1:2:3",
    "NOSUCH",
    "nosuch",
    "INPUT",
    "ACCEPT",
    "256.1.1.1",
    "1.2.3.4/33",
    "::1/129",
    "fe80::1",
    "10.0.0.1",
    "tcp",
    "nat",
    "no.such.host.invalid",
    "a b",
    "%s%n",
];

/// A command that is most likely wrong.
pub fn wrong(random: &mut Random, v6: bool) -> Call {
    let table = random.below(TABLES.len());
    let mut call = match random.below(10) {
        0..=6 => Rule::random(random, v6, table).append(),
        7 => commands::listing(random, v6, table),
        _ => other(random, v6, table),
    };
    if random.percent(10) {
        // the command's letter alone
        let letters: [&[u8]; 9] = [b"-C", b"-D", b"-I", b"-R", b"-N", b"-X", b"-F", b"-L", b"-E"];
        if let Some(word) = call.argv.iter_mut().find(|word| word.as_slice() == b"-A") {
            *word = random.pick(&letters).to_vec();
        }
    }
    for _ in 0..[1, 1, 1, 1, 2, 2, 3][random.below(7)] {
        mutate(random, &mut call.argv);
    }
    call.argv.retain(|word| !attached(word));
    call
}

/// Stock 1.8.9 takes the *next* word for an argument that is attached to one of these options; oxtables does not copy that.
pub fn attached(word: &[u8]) -> bool {
    let short = matches!(word, [b'-', b's' | b'd' | b'p' | b'i' | b'o' | b'j' | b'g' | b'm', _, ..]);
    let long = word.starts_with(b"--") && word.contains(&b'=') && {
        let name = word.split(|byte| *byte == b'=').next().unwrap_or_default();
        let names: [&[u8]; 8] = [
            b"--source",
            b"--src",
            b"--destination",
            b"--dst",
            b"--protocol",
            b"--in-interface",
            b"--out-interface",
            b"--i",
        ];
        names.iter().any(|full| full.starts_with(name))
    };
    short || long
}

/// Breaks one thing in the words behind the program's name.
pub fn mutate(random: &mut Random, words: &mut Vec<Vec<u8>>) {
    if words.len() < 2 {
        words.push(odd_word(random));
        return;
    }
    let values: Vec<usize> =
        (2..words.len()).filter(|i| words[i - 1].starts_with(b"-") && !words[*i].starts_with(b"-")).collect();
    if !values.is_empty() && random.percent(45) {
        let at = *random.pick(&values);
        return mutate_value(random, &mut words[at]);
    }
    let at = 1 + random.below(words.len() - 1);
    let other = 1 + random.below(words.len() - 1);
    match random.below(16) {
        0 | 1 => drop(words.remove(at)),
        2 => {
            let word = words[at].clone();
            words.insert(other, word);
        }
        3 => words.swap(at, other),
        4..=6 => words[at] = odd_word(random),
        7 | 8 => words.insert(at, odd_word(random)),
        9 => words.insert(at, b"!".to_vec()),
        10 => words.truncate(at + 1),
        11 => words[at].extend(odd_word(random)),
        12 => {
            let keep = random.below(words[at].len() + 1);
            words[at].truncate(keep);
        }
        13 => mutate_byte(random, &mut words[at]),
        14 => words[at] = random.word(&["a", "9", "-", "x,", "1:"]).repeat(1 + random.below(300)).into_bytes(),
        _ => words[at] = values::text(random, 40).into_iter().filter(|byte| *byte != 0).collect(),
    }
}

/// Breaks the value of an option: that is where the messages differ most.
fn mutate_value(random: &mut Random, word: &mut Vec<u8>) {
    match random.below(8) {
        0 => *word = odd_word(random),
        1 => word.extend([&b","[..], b"/", b":", b"-", b" ", b"/99", b":99999", b"-1", b",x"][random.below(9)]),
        2 => word.insert(0, [b'-', b',', b'/', b':', b' ', b'0', b'x'][random.below(7)]),
        3 => word.truncate(random.below(word.len() + 1)),
        4 => word.clear(),
        _ => (0..=random.below(2)).for_each(|_| mutate_byte(random, word)),
    }
}

fn mutate_byte(random: &mut Random, word: &mut Vec<u8>) {
    let position = random.below(word.len().max(1));
    let any = u8::try_from(random.between(1, 255)).unwrap_or(b'?');
    let byte = [any, b'-', b',', b'/', b':', b'!', b'0', b'9', b'A', b'x'][random.below(10)];
    match word.get_mut(position) {
        Some(place) if random.percent(60) => *place = byte,
        _ => word.insert(position.min(word.len()), byte),
    }
}

/// A restore file for one family, right or wrong, with the words of the command that reads it.
pub fn restore(random: &mut Random, v6: bool) -> Call {
    let mut file = Vec::new();
    for _ in 0..[1, 1, 1, 2][random.below(4)] {
        a_table(random, v6, &mut file);
    }
    let program = if v6 { "ip6tables-restore" } else { "iptables-restore" };
    let mut argv = vec![program];
    let flags: [(&[&str], usize); 9] = [
        (&["-n"], 30),
        (&["--noflush"], 5),
        (&["-c"], 30),
        (&["-v"], 8),
        (&["-t"], 5),
        (&["-w"], 3),
        (&["-w", "5"], 3),
        (&["-T", "filter"], 3),
        (&["-x"], 1),
    ];
    for (words, chance) in flags {
        if random.percent(chance) {
            argv.extend(words);
        }
    }
    if random.percent(45) {
        break_file(random, &mut file);
    }
    let mut lines = file.join(&b"\n"[..]);
    if random.percent(95) {
        lines.push(b'\n');
    }
    if random.percent(5) {
        lines.truncate(random.below(lines.len() + 1));
    }
    Call::new(argv).reading(lines)
}

fn other(random: &mut Random, v6: bool, table: usize) -> Call {
    let builtin = TABLES[table].1;
    let chain = |random: &mut Random| if random.percent(70) { random.word(builtin) } else { random.word(&USER_CHAINS) };
    let number = random.below(6).to_string();
    let (a, b) = (chain(random), chain(random));
    let forms: [&[&str]; 16] = [
        &["-P", a, "DROP"],
        &["-P", a, "ACCEPT"],
        &["-N", "fresh"],
        &["-X", "one"],
        &["-E", "one", "eins"],
        &["-F", a],
        &["-Z", a],
        &["-D", a, &number],
        &["-R", a, &number, "-j", "DROP"],
        &["-I", a, &number, "-j", b],
        &["-S", a, &number],
        &["-L", a, "-n", "-v"],
        &["-V"],
        &["-Z", a, &number],
        &["-N", b],
        &["-h"],
    ];
    commands::short(v6, table, forms[random.below(forms.len())])
}

fn odd_word(random: &mut Random) -> Vec<u8> {
    match random.below(12) {
        0 => values::text(random, 20),
        1 => "\u{2013}dport".into(),
        2 => vec![0xff, 0xfe, 0x80],
        3 => vec![b'x'; 29],
        _ => random.word(&ODD_WORDS).into(),
    }
}

fn a_table(random: &mut Random, v6: bool, file: &mut Vec<Vec<u8>>) {
    let table = random.below(TABLES.len());
    let (name, builtin) = TABLES[table];
    if random.percent(30) {
        file.push(b"# a comment".to_vec());
    }
    file.push(format!("*{name}").into_bytes());
    for chain in builtin.iter().filter(|_| random.below(4) > 0).collect::<Vec<_>>() {
        let policy = if name == "nat" || random.percent(60) { "ACCEPT" } else { "DROP" };
        let counters = if random.percent(80) {
            format!(" [{}:{}]", random.below(9999), random.below(99999))
        } else {
            String::new()
        };
        file.push(format!(":{chain} {policy}{counters}").into_bytes());
    }
    for chain in USER_CHAINS {
        file.push(format!(":{chain} - [0:0]").into_bytes());
    }
    let mut rules: Vec<Rule> = Vec::new();
    for _ in 0..random.below(5) {
        let rule = if random.percent(80) || rules.is_empty() {
            Rule::random(random, v6, table)
        } else {
            random.pick(&rules).clone()
        };
        let Some(line) = rule.line() else { continue };
        let number = random.below(5);
        let line = match random.below(20) {
            0 => replaced(&line, &rule, "-D"),
            1 => replaced(&line, &rule, "-I"),
            2 => replaced(&line, &rule, "-C"),
            3 => format!("-D {} {number}", rule.chain).into_bytes(),
            4 => format!("-I {} {number} -j ACCEPT", rule.chain).into_bytes(),
            5 => format!("-R {} {number} -j DROP", rule.chain).into_bytes(),
            6 => format!("-F {}", rule.chain).into_bytes(),
            7 => format!("-N new{number}").into_bytes(),
            8 => format!("-X new{number}").into_bytes(),
            9 => format!("-P {} DROP", random.word(builtin)).into_bytes(),
            10 => format!("-Z {}", rule.chain).into_bytes(),
            11 if !v6 => [format!("[{}:{}] ", random.below(99), random.below(9999)).into_bytes(), line].concat(),
            12 => [&b"-4 "[..], &line].concat(),
            13 => [&b"-6 "[..], &line].concat(),
            _ => line,
        };
        file.push(line);
        rules.push(rule);
    }
    file.push(b"COMMIT".to_vec());
}

/// The line with another command letter.
fn replaced(line: &[u8], rule: &Rule, command: &str) -> Vec<u8> {
    let head = format!("-A {}", rule.chain);
    let rest = line.get(head.len()..).unwrap_or_default();
    [format!("{command} {}", rule.chain).as_bytes(), rest].concat()
}

fn break_file(random: &mut Random, file: &mut Vec<Vec<u8>>) {
    let at = random.below(file.len());
    match random.below(10) {
        0 => drop(file.remove(at)),
        1 => {
            let line = file[at].clone();
            file.insert(at, line);
        }
        2 => {
            let other = random.below(file.len());
            file.swap(at, other);
        }
        3 | 4 => {
            let lines: [&[u8]; 19] = [
                b"junk",
                b"COMMIT",
                b"*filter",
                b"*nosuch",
                b":INPUT REJECT [0:0]",
                b":NEW",
                b":x -",
                b"-A nowhere -j ACCEPT",
                b"-A INPUT -j NOSUCH",
                b"[1:2",
                b"[a:b] -A INPUT",
                b"-A INPUT \"unterminated",
                b"-t nat -A INPUT",
                b" ",
                b"\t# not a comment",
                b"-A INPUT\r",
                b"COMMIT ",
                b"-A INPUT -w",
                b"-A INPUT -j DNAT --to-destination 1.1.1.1",
            ];
            file.insert(at, random.pick(&lines).to_vec());
        }
        _ => {
            let mut words: Vec<Vec<u8>> = std::iter::once(b"-".to_vec())
                .chain(file[at].split(|byte| *byte == b' ').map(<[u8]>::to_vec))
                .collect();
            mutate(random, &mut words);
            words.remove(0);
            words.iter_mut().for_each(|word| word.retain(|byte| *byte != b'\n'));
            file[at] = words.join(&b' ');
        }
    }
}

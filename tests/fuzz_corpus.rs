//! The fuzz targets' bodies over their seeds (`fuzz/corpus`), as ordinary tests. `UPDATE=1` writes the generated seeds anew.
//!
//! The seeds are made from the extensions' own option tables: a file of every extension's valid options, and what they are in the kernel.

#[path = "../fuzz/src/bodies/mod.rs"]
mod bodies;

use bodies::blob::{Any, tag};
use bodies::{bodies_of, encoded};
use oxtables::ext::{Match, Opt, Spec, Target};
use oxtables::text::{Command, Context, parse};
use oxtables::types::{Counters, Family, NoNames};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Once;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

fn run_seeds(target: &str, body: fn(&[u8])) {
    static UPDATED: Once = Once::new();
    UPDATED.call_once(|| {
        if std::env::var_os("UPDATE").is_some() {
            update();
        }
    });
    let mut seeds: Vec<_> =
        fs::read_dir(corpus(target)).expect("a corpus").map(|e| e.expect("an entry").path()).collect();
    seeds.sort();
    assert!(seeds.len() > 20, "{target}: only {} seeds", seeds.len());
    let mut failed = Vec::new();
    for seed in seeds {
        let data = fs::read(&seed).expect("a seed");
        if std::panic::catch_unwind(|| body(&data)).is_err() {
            failed.push(seed);
        }
    }
    assert!(failed.is_empty(), "their panics stand above: {failed:?}");
}

#[test]
fn netlink_seeds() {
    run_seeds("netlink", bodies::netlink::run);
}

#[test]
fn blob_seeds() {
    run_seeds("blob", bodies::blob::run);
}

#[test]
fn restore_seeds() {
    run_seeds("restore", bodies::restore::run);
}

#[test]
fn argv_seeds() {
    run_seeds("argv", bodies::argv::run);
}

type Words = Vec<String>;

fn read(words: &[String], family: Family) -> Option<Command> {
    let args: Vec<&[u8]> = words.iter().map(String::as_bytes).collect();
    parse(&args, &Context { family, names: &NoNames, restore: true, table: b"raw", verbose: false }, &mut Vec::new())
        .ok()
}

/// The words of an option with its `n`th example.
fn option_words(opt: &Opt, n: usize, family: Family) -> Option<Words> {
    let examples = opt.examples_for(family);
    let text = *examples.get(n)?;
    let values = text.split(' ').filter(|_| opt.takes_value()).map(String::from);
    Some([format!("--{}", opt.name)].into_iter().chain(values).collect())
}

/// Commands with this extension: one with as many of its options as go together, and one for each option with two of its examples.
fn commands(spec: &Spec, is_match: bool, family: Family) -> Vec<Words> {
    let mut start: Words = vec!["-A".into(), "CHAIN".into()];
    let wanted = if family == Family::V6 { spec.sample.replace("-p icmp ", "-p icmpv6 ") } else { spec.sample.into() };
    start.extend(wanted.split(' ').filter(|w| !w.is_empty() && !w.starts_with('@')).map(String::from));
    start.extend([if is_match { "-m" } else { "-j" }.into(), spec.name.into()]);
    let mut found = Vec::new();
    let mut all = start.clone();
    let required = spec.options.iter().filter(|o| o.required).filter_map(|o| option_words(o, 0, family)).flatten();
    let start: Words = start.into_iter().chain(required).collect();
    for opt in spec.options {
        for n in 0..2 {
            let Some(words) = option_words(opt, n, family) else { continue };
            let longer: Words = all.iter().chain(&words).cloned().collect();
            if n == 0 && read(&longer, family).is_some() {
                all = longer;
            }
            let needed = spec.options.iter().filter(|o| opt.needs & (1 << o.id) != 0);
            let needed = needed.filter_map(|o| option_words(o, 0, family)).flatten();
            let base = if opt.required { &all[..4.min(all.len())] } else { &start[..] };
            let one: Words = base.iter().cloned().chain(needed).chain(words).collect();
            if read(&one, family).is_some() {
                found.push(one);
            }
        }
    }
    if read(&all, family).is_some() {
        found.insert(0, all);
    }
    found
}

fn quoted(word: &str) -> String {
    let plain = !word.is_empty() && word.bytes().all(|b| !b" \t\"\\".contains(&b));
    if plain { word.into() } else { format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\"")) }
}

fn write(target: &str, name: &str, bytes: &[u8]) {
    fs::write(corpus(target).join(name), bytes).expect("a writable corpus");
}

/// The words that mean something, in libFuzzer's dictionary format.
fn dictionary() -> String {
    let mut words: Vec<String> = [
        "-A",
        "-p",
        "-s",
        "-d",
        "-i",
        "-o",
        "-j",
        "-g",
        "-m",
        "-c",
        "-f",
        "!",
        "\\\"",
        "\\\\",
        "0",
        "1",
        "1:2",
        "0:1",
        "65535",
        "65536",
        "4294967295",
    ]
    .map(Into::into)
    .into();
    for spec in Match::ALL.iter().chain(Target::ALL) {
        words.push(spec.name.into());
        for opt in spec.options {
            words.push(format!("--{}", opt.name));
            let values = [Family::V4, Family::V6].into_iter().flat_map(|f| opt.examples_for(f));
            words.extend(values.filter(|v| (1..32).contains(&v.len())).map(escaped));
        }
    }
    words.sort();
    words.dedup();
    words.iter().map(|w| format!("\"{w}\"\n")).collect()
}

/// A word as libFuzzer's dictionary takes it: `\"`, `\\`, and everything that is not ASCII text as `\xNN`.
fn escaped(word: &str) -> String {
    let byte = |b: u8| match b {
        b'"' | b'\\' => format!("\\{}", char::from(b)),
        b' '..=b'~' => char::from(b).to_string(),
        other => format!("\\x{other:02x}"),
    };
    word.bytes().map(byte).collect()
}

/// Writes the generated seeds and the dictionary.
fn update() {
    fs::write(corpus("../words.dict"), dictionary()).expect("a writable dictionary");
    let kinds = [("match", true, Match::ALL), ("target", false, Target::ALL)];
    for (kind, is_match, specs) in kinds {
        for (spec, (family, v)) in specs.iter().flat_map(|s| [(s, (Family::V4, 4u8)), (s, (Family::V6, 6))]) {
            let commands = commands(spec, is_match, family);
            let Some(fullest) = commands.first() else { continue };
            let name = format!("{kind}-{}-v{v}", spec.name);
            let lines: Vec<String> =
                commands.iter().map(|c| c.iter().map(|w| quoted(w)).collect::<Vec<_>>().join(" ")).collect();
            for (i, lines) in lines.chunks(6).enumerate() {
                let text = format!("{v}*filter\n:CHAIN - [0:0]\n{}\nCOMMIT\n", lines.join("\n"));
                write("restore", &format!("{name}-{}", i + 1), text.as_bytes());
            }
            write("argv", &name, &[&[u8::from(v == 6), 0], fullest.join("\0").as_bytes()].concat());
            let Some(mut command) = read(fullest, family) else { continue };
            let Some(body) = bodies_of(&mut command).pop() else { continue };
            let exprs = encoded(&body, family, Counters::default()).expect("a rule that fits");
            write("netlink", &name, &[&[u8::from(v == 6), 1], exprs.as_slice()].concat());
            let value = match body.action {
                oxtables::ext::Action::Target(t) => Any::Target(t),
                _ => Any::Match(body.matches.into_iter().next_back().expect("its match")),
            };
            let [a, b] = tag(kind.as_bytes()[0], spec.name);
            write("blob", &name, &[&[u8::from(v == 6), a, b, 0], value.blob(family).as_slice()].concat());
        }
    }
}

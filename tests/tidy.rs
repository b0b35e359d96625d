//! The conventions that a machine can check: module docs, the order of layers, the shape of extension files, where the system is touched.
//!
//! What each test forbids is stated in ARCHITECTURE.md and CONTRIBUTING.md; a message here names the file and what to do.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The layers, low to high. Those of one row do not know each other.
const LAYERS: &[&[&str]] =
    &[&["types"], &["packet", "wire"], &["ext"], &["model"], &["text", "compile", "sim"], &["kernel"], &["cli"]];

/// The most lines of a file.
const LINES_MAX: usize = 900;

/// A source file.
struct Source {
    /// From the repository's root.
    path: PathBuf,
    text: String,
}

impl Source {
    /// Its layer, if it is a file of the crate.
    fn layer(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src").ok()?;
        inside.components().next()?.as_os_str().to_str().filter(|l| rank(l).is_some())
    }

    /// Its lines that are not comments, with their numbers.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.text.lines().enumerate();
        lines.map(|(i, l)| (i + 1, l.trim())).filter(|(_, l)| !l.starts_with("//"))
    }
}

fn rank(layer: &str) -> Option<usize> {
    LAYERS.iter().position(|row| row.contains(&layer))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file that we wrote.
fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    for dir in ["src", "tests", "benches", "lab/src", "lab/tests", "lab/benches", "fuzz/src", "fuzz/targets"] {
        collect(&root().join(dir), &mut found);
    }
    assert!(found.len() > 100, "only {} files found", found.len());
    found
}

fn collect(dir: &Path, found: &mut Vec<Source>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).expect("a readable file");
            found.push(Source { path: path.strip_prefix(root()).expect("inside").into(), text });
        }
    }
}

/// Fails with every complaint at once.
fn report(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// The identifiers that stand directly behind `prefix` in a line.
fn behind<'a>(line: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    line.match_indices(prefix).map(move |(at, _)| {
        let rest = &line[at + prefix.len()..];
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        if end == 0 { &rest[..rest.len().min(1)] } else { &rest[..end] }
    })
}

#[test]
fn every_file_says_what_it_is() {
    let silent = sources().into_iter().filter(|s| !s.text.starts_with("//! "));
    report(&silent.map(|s| format!("{}: begin with a `//!` sentence", s.path.display())).collect::<Vec<_>>());
}

#[test]
fn no_layer_uses_a_higher_one() {
    let mut complaints = Vec::new();
    for source in sources() {
        let Some(layer) = source.layer() else { continue };
        // Tests at the foot of a file may reach for what makes them short.
        for (n, line) in source.code().take_while(|(_, l)| *l != "#[cfg(test)]") {
            for used in behind(line, "crate::") {
                let allowed = used == layer || rank(used).is_none_or(|r| Some(r) < rank(layer)) && used != "{";
                if !allowed {
                    complaints.push(format!("{}:{n}: {layer} must not use {used}", source.path.display()));
                }
            }
        }
    }
    report(&complaints);
}

/// Paths and names by which the system would be touched, outside of `kernel` and `cli`.
const SYSTEM: &[&str] = &[
    "std::fs",
    "std::env",
    "std::process",
    "std::io",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::os",
    "rustix::",
    "netlink_sys::",
    "nix::",
    "dns_lookup::",
];
/// What of `std::net` is only a value.
const PLAIN_NET: &[&str] = &["IpAddr", "Ipv4Addr", "Ipv6Addr", "{"];

#[test]
fn only_kernel_and_cli_touch_the_system() {
    let mut complaints = Vec::new();
    for source in sources() {
        let Some(layer) = source.layer().filter(|l| !matches!(*l, "kernel" | "cli")) else { continue };
        for (n, line) in source.code() {
            let net = behind(line, "std::net::").any(|word| !PLAIN_NET.contains(&word));
            if net || SYSTEM.iter().any(|path| line.contains(path)) {
                complaints.push(format!("{}:{n}: {layer} must not touch the system: {line}", source.path.display()));
            }
        }
    }
    report(&complaints);
}

#[test]
fn nothing_is_unsafe_unfinished_or_skipped() {
    let words = ["unsafe", "todo!", "unimplemented!", "#[ignore"];
    let mut complaints = Vec::new();
    for source in sources().iter().filter(|s| s.path != Path::new("tests/tidy.rs")) {
        for (n, line) in source.code() {
            let line = line.replace("unsafe_code", "").replace("unsafe_op_in_unsafe_fn", "");
            if words.iter().any(|w| line.contains(w)) {
                complaints.push(format!("{}:{n}: {line}", source.path.display()));
            }
        }
    }
    let lib = fs::read_to_string(root().join("src/lib.rs")).expect("lib.rs");
    assert!(lib.contains("#![forbid(unsafe_code)]"), "src/lib.rs must forbid unsafe code");
    report(&complaints);
}

#[test]
fn no_file_is_too_long() {
    let long = sources().into_iter().map(|s| (s.text.lines().count(), s.path)).filter(|(n, _)| *n > LINES_MAX);
    report(&long.map(|(n, path)| format!("{}: {n} lines; divide it", path.display())).collect::<Vec<_>>());
}

/// The files that hold an extension, as `matches::NAME`.
fn extension_files() -> impl Iterator<Item = (String, Source)> {
    let of_crate = sources().into_iter().filter(|s| s.layer() == Some("ext"));
    of_crate.filter(|s| s.text.contains("impl Extension for ")).map(|s| {
        let kind = s.path.parent().and_then(Path::file_name).expect("a directory").to_string_lossy().into_owned();
        let name = s.path.file_stem().expect("a name").to_string_lossy().into_owned();
        (format!("{kind}::{name}"), s)
    })
}

#[test]
fn the_list_names_every_extension() {
    let list = fs::read_to_string(root().join("src/ext/list.rs")).expect("the list");
    let listed: BTreeSet<String> = ["matches", "targets"]
        .iter()
        .flat_map(|kind| {
            behind(&list, if *kind == "matches" { "(matches::" } else { "(targets::" })
                .map(move |n| format!("{kind}::{n}"))
        })
        .collect();
    let there: BTreeSet<String> = extension_files().map(|(name, _)| name).collect();
    assert!(there.len() > 30, "only {} extensions found", there.len());
    assert_eq!(listed, there, "src/ext/list.rs and the directories do not name the same extensions");
}

#[test]
fn every_extension_has_its_headings() {
    let mut complaints = Vec::new();
    for (name, source) in extension_files() {
        let found: Vec<&str> = source.text.lines().filter_map(|l| l.strip_prefix("//! # ")).collect();
        let first: &[&str] = if name.starts_with("matches") { &["Matches"] } else { &[] };
        let expected: Vec<&str> =
            first.iter().copied().chain(["Options", "Wire", "Evaluates", "Differs", "Sources"]).collect();
        if found != expected {
            complaints.push(format!("{}: headings {found:?}, expected {expected:?}", source.path.display()));
        }
    }
    report(&complaints);
}

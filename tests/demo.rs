//! `oxtables demo` as the README shows it. Needs root or user namespaces; without both every test here fails and says why.

use std::process::{Command, Output};

fn demo(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_oxtables")).arg("demo").args(words).output().expect("the demo runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn the_kernel_does_what_the_rules_say() {
    let output = demo(&[]);
    let shown = text(&output.stdout);
    assert!(output.status.success(), "{shown}\n{}", text(&output.stderr));
    assert!(shown.lines().filter(|line| line.contains(" ✓ ")).count() >= 12, "{shown}");
    assert!(!shown.contains('\x1b'), "colour without a terminal");
    // Each with the rule that decided, and the counters at the end.
    for part in [
        "-A MYSQL_WHITELIST -s 203.0.113.10/32 -j ACCEPT",
        "-P FORWARD DROP",
        "arrived as from 198.51.100.1",
        "Chain INPUT (policy DROP",
    ] {
        assert!(shown.contains(part), "{part} is not in:\n{shown}");
    }
}

/// What the demo says of its own rules without the line that contains `words`.
fn without(words: &str) -> Output {
    let rules = text(&demo(&["--print-rules"]).stdout);
    let broken: String = rules.split_inclusive('\n').filter(|line| !line.contains(words)).collect();
    assert_eq!(rules.lines().count(), broken.lines().count() + 1, "{words}");
    let name = format!("oxtables-test-{}-{}", std::process::id(), words.len());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, broken).expect("the test's directory can be written");
    let output = demo(&["--rules", &path.to_string_lossy()]);
    let _ = std::fs::remove_file(&path);
    output
}

#[test]
fn a_rule_that_is_broken_on_purpose_is_found() {
    let broken = [
        ("--dport 22 -m state --state NEW -j ACCEPT", "2, ssh, 1st try: it was refused, and should have come through"),
        ("INPUT -i lo", "22, a program of its own: it was refused, and should have come through"),
        ("INPUT -j LOGGING", "14, telnet: it was not logged, and should have been logged"),
        (
            "-j MASQUERADE",
            "18, http, office to internet: it arrived as from its own address, and should have as from 198.51.100.1",
        ),
        ("FORWARD -m conntrack", "21, a web page, from the office: it was dropped, and should have come through"),
    ];
    std::thread::scope(|scope| {
        for (words, fault) in broken {
            scope.spawn(move || {
                let output = without(words);
                let shown = text(&output.stdout);
                assert_eq!(output.status.code(), Some(1), "{words}: {shown}\n{}", text(&output.stderr));
                assert!(shown.contains(&format!("IPv4 {fault}")), "{words}: {shown}");
                assert!(!shown.contains("  IPv6 "), "{words}: {shown}");
            });
        }
    });
}

#[test]
fn rules_that_are_no_rules_are_refused() {
    let output = demo(&["--rules", "/no/such/file"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("cannot read /no/such/file"), "{}", text(&output.stderr));
}

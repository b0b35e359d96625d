//! The second part of errors that the ruleset explains, in namespaces of their own: the advice, the marked word, and the first part left as it is.

use std::process::Command;

/// Runs a script in a namespace after `setup`, without and with explanations; the second part, once the first and the exit code are the same.
fn explained(setup: &str, script: &str) -> String {
    let run = |explain: &str| {
        let script = format!("export OXTABLES_EXPLAIN=never\n{setup}\nexport OXTABLES_EXPLAIN={explain}\n{script}");
        let words = ["sandbox", "--", "bash", "-c", &script];
        let output = Command::new(env!("CARGO_BIN_EXE_oxtables")).args(words).output().expect("the sandbox runs");
        assert!(output.stdout.is_empty(), "{script}: {}", String::from_utf8_lossy(&output.stdout));
        (output.status.code(), String::from_utf8(output.stderr).expect("text"))
    };
    let ((code, plain), (same_code, full)) = (run("never"), run("always"));
    assert_eq!(code, same_code, "{script}");
    let second =
        full.strip_prefix(&plain).unwrap_or_else(|| panic!("{script}: {full:?} does not begin with {plain:?}"));
    second.to_owned()
}

/// The word above the carets.
fn marked(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let Some(pair) = lines.windows(2).find(|pair| pair[1].contains('^')) else { return String::new() };
    let (from, count) = (pair[1].find('^').unwrap_or(0), pair[1].matches('^').count());
    pair[0].chars().skip(from).take(count).collect()
}

const SETUP: &str = "
iptables -N A; iptables -N B; iptables -A A -j B; iptables -N OWN; iptables -A OWN -m owner --uid-owner 0
iptables -A INPUT -j A
iptables -A INPUT -p tcp --dport 22 -m conntrack --ctstate NEW -j ACCEPT
iptables -t nat -N NATTY; iptables -t nat -A OUTPUT -j NATTY";

#[test]
fn commands() {
    for (command, word, said) in [
        ("iptables -A INPUT -p tcp --dport 22 -s -j ACCEPT", "-s", "-s took -j as its value"),
        ("iptables -A OUPUT -j ACCEPT", "OUPUT", "did you mean OUTPUT?"),
        ("iptables -A NATTY -j ACCEPT", "NATTY", "table nat has a chain of that name"),
        ("iptables -A INPUT -j LOGG", "LOGG", "did you mean LOG?"),
        ("iptables -t fliter -L", "fliter", "did you mean filter?"),
        ("iptables -A B -j A", "A", "B → A → B"),
        (
            "iptables -D INPUT -p tcp -m conntrack --ctstate NEW --dport 22 -j ACCEPT",
            "INPUT",
            "in another order): -A INPUT -p tcp",
        ),
        ("iptables -D INPUT -p tcp --dport 22 -m conntrack --ctstate NEW -j DROP", "INPUT", "the nearest is rule 2"),
        ("iptables -C FORWARD -j DROP", "FORWARD", "has no rules"),
        ("iptables -D INPUT 9", "9", "has 2 rules"),
        ("iptables -X B", "B", "to it leads A rule 1"),
        ("iptables -A INPUT -j MASQUERADE", "MASQUERADE", "only in the nat table's POSTROUTING chain"),
        ("iptables -t nat -A NATTY -j MASQUERADE", "MASQUERADE", "packets come here by OUTPUT → NATTY"),
        ("iptables -A INPUT -j OWN", "OWN", "this jump leads from INPUT to rule 1 of OWN, but -m owner works only in"),
        ("iptables -A B -j INPUT", "INPUT", "nothing can jump to one"),
        ("iptables -P INPUT REJECT", "REJECT", "ACCEPT or DROP"),
    ] {
        let text = explained(SETUP, command);
        assert!(text.contains(said) && marked(&text) == word, "{command}: marked {:?}\n{text}", marked(&text));
    }
}

#[test]
fn files() {
    for (file, word, line, said) in [
        (
            r#"*filter\n-A INPUT\n[1:2] -A INPUT -m comment --comment \"a b\" -j MASQUERADE\nCOMMIT\n"#,
            "MASQUERADE",
            3,
            "only in the nat",
        ),
        (r"*filter\n:X - [0:0]\n:Y - [0:0]\n-A INPUT -j X\n-A X -j Y\n-A Y -j X\nCOMMIT\n", "", 0, "→"),
        (
            r#"*filter\n[1:2] -A INPUT -m comment --comment \"a b\" --dprot 22\nCOMMIT\n"#,
            "--dprot",
            2,
            "did you mean --dport?",
        ),
        (r"*filter\n-A INPTU -j ACCEPT\nCOMMIT\n", "INPTU", 2, "did you mean INPUT?"),
        (r"*filter\n-A INPUT -j NOWHERE\nCOMMIT\n", "NOWHERE", 2, "no target and no chain NOWHERE"),
        (r"-A INPUT\n*filter\nCOMMIT\n", "-A INPUT", 1, "between *TABLE and COMMIT"),
        (r"*filter\n[12 -A INPUT\nCOMMIT\n", "[12 -A INPUT", 2, "[PACKETS:BYTES]"),
        (r"*filter\n-A INPUT\n", "", 0, "ends with a line COMMIT"),
        (r"*filter\n-A INPUT -s \033[31m\nCOMMIT\n", r"\u{1b}[31m", 2, "an address is written as"),
    ] {
        let text = explained("", &format!("printf -- \"{file}\" | iptables-restore"));
        let numbered = line == 0 || text.contains(&format!("\n{line} | "));
        let placed = word.is_empty() || marked(&text) == word;
        assert!(text.contains(said) && numbered && placed, "{file}: marked {:?}\n{text}", marked(&text));
    }
}

#[test]
fn a_line_of_ten_megabytes_is_cut() {
    let text = explained(
        "",
        "(printf '*filter\\n-A INPUT -m comment --comment '; head -c 10000000 /dev/zero | tr '\\0' x; echo; echo COMMIT) | iptables-restore",
    );
    assert!(text.contains("at most 10,239 bytes") && text.len() < 2_000, "{} bytes: {text:.500}", text.len());
}

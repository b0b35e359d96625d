//! `--json` and `oxtables restore --json` at their edges: bytes that are no text, line feeds, rules that are not iptables', parts of a
//! table, documents that contradict themselves. (The lab takes whole rulesets there and back.)

mod common;
#[path = "../lab/src/schema.rs"]
mod schema;

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Output, Stdio};

use common::with_namespaces;
use oxtables::kernel::netns::Namespace;
use oxtables::kernel::{Batch, RulePlace, Session};
use oxtables::types::Family;
use serde_json::{Value, json};

/// Runs the test in a namespace of its own.
fn inside(name: &str, test: impl FnOnce() + Send) {
    with_namespaces(name, || Namespace::new().unwrap().run(test).unwrap());
}

fn run(words: &[&[u8]], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_oxtables"))
        .args(words.iter().map(|word| OsStr::from_bytes(word)))
        .env("OXTABLES_EXPLAIN", "never")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may end before it has read all.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

/// A command of words without blanks that must succeed.
fn good(line: &str) -> String {
    let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
    let output = run(&words, b"");
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The document that a command prints, which is as the schema says.
fn document(line: &str) -> Value {
    let value = serde_json::from_str(&good(line)).unwrap();
    assert_eq!(schema::check(&schema::of_rules(), &value), [""; 0], "{line}");
    value
}

/// Restores a document: the exit code and what is said.
fn restore(document: &Value, options: &str) -> (i32, String) {
    let words = ["restore", "--json"].into_iter().chain(options.split_ascii_whitespace());
    let words: Vec<&[u8]> = words.map(str::as_bytes).collect();
    let output = run(&words, document.to_string().as_bytes());
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn bytes_and_line_feeds_come_back() {
    inside("bytes_and_line_feeds_come_back", || {
        for comment in [&b"a\nb"[..], b"\xff\xfe", b"--json", b"", b"\"quoted\" \\"] {
            let words = [&b"iptables"[..], b"-A", b"INPUT", b"-m", b"comment", b"--comment", comment];
            assert!(run(&words, b"").status.success());
        }
        let before = document("iptables-save --json");
        let listed = good("iptables -S");
        good("iptables -F");
        assert_eq!(restore(&before, ""), (0, String::new()));
        assert_eq!(good("iptables -S"), listed);
        let rules = &before["tables"][0]["chains"][0]["rules"];
        assert_eq!(rules[0]["parts"]["matches"][0]["options"][0]["values"], json!(["a\nb"]));
        assert_eq!(rules[1]["parts"]["matches"][0]["options"][0]["values"], json!([{ "hex": "fffe" }]));
    });
}

#[test]
fn counters_and_policies_come_back_if_asked_for() {
    inside("counters_and_policies_come_back_if_asked_for", || {
        let file = "*filter\n:INPUT DROP [7:700]\n:c - [0:0]\n[3:180] -A INPUT -s 192.0.2.1 -j c\nCOMMIT\n";
        assert!(run(&[b"iptables-restore", b"-c"], file.as_bytes()).status.success());
        let before = document("iptables -S --json");
        let input = &before["tables"][0]["chains"][0];
        assert_eq!(input["policy"], "DROP");
        assert_eq!(input["counters"], json!({ "packets": 7, "bytes": 700 }));
        assert_eq!(input["rules"][0]["counters"], json!({ "packets": 3, "bytes": 180 }));
        assert_eq!(input["rules"][0]["parts"]["target"], json!({ "kind": "jump", "name": "c" }));
        assert_eq!(before["tables"][0]["chains"][3]["references"], 1);
        assert_eq!(restore(&before, ""), (0, String::new()));
        assert!(good("iptables -S -v").contains("-P INPUT DROP -c 0 0"));
        assert_eq!(restore(&before, "-c"), (0, String::new()));
        assert!(good("iptables -S -v").contains("-P INPUT DROP -c 7 700\n"));
        let again = document("iptables -L INPUT 1 --json -v -n");
        let [one] = again["tables"][0]["chains"].as_array().unwrap().as_slice() else { panic!("{again}") };
        assert_eq!((&one["rules"][0]["parts"], &one["rules"][1]), (&input["rules"][0]["parts"], &Value::Null));
    });
}

#[test]
fn rules_that_are_not_iptables_are_shown_and_not_restored() {
    inside("rules_that_are_not_iptables_are_shown_and_not_restored", || {
        good("iptables -A INPUT -j ACCEPT");
        let mut batch = Batch::new(Family::V4);
        batch.rule(b"filter", b"INPUT", RulePlace::Append, None, None, |x| {
            // the packet's priority, which no match of iptables looks at
            x.meta(2);
            x.cmp_eq(false, &[0, 0, 0, 5]);
        });
        Session::open().unwrap().commit(&batch, None).unwrap();
        let output = run(&[b"iptables-save", b"--json"], b"");
        assert_eq!(output.status.code(), Some(1), "it is not whole");
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(schema::check(&schema::of_rules(), &found), [""; 0]);
        let rule = &found["tables"][0]["chains"][0]["rules"][1];
        assert!(rule["opaque"].is_string() && rule["text"].is_null(), "{rule}");
        let (code, said) = restore(&found, "");
        assert_eq!(code, 2);
        assert!(said.contains("rule 2 of chain INPUT in table filter: it is not iptables'"), "{said}");
    });
}

#[test]
fn documents_that_would_be_misread_are_refused() {
    inside("documents_that_would_be_misread_are_refused", || {
        good("iptables -A INPUT -p tcp -m tcp --dport 22 -j ACCEPT");
        good("iptables -N c");
        let whole = document("iptables -S --json");
        let before = good("iptables -S");
        let change = |path: &str, value: Value| {
            let mut changed = whole.clone();
            *changed.pointer_mut(path).unwrap() = value;
            changed
        };
        let rule = "/tables/0/chains/0/rules/0";
        for (document, words) in [
            (change("/schema", json!("oxtables-rules/9")), "is known here"),
            (change("/tables/0/name", json!("nosuch")), "there is no table nosuch"),
            (change("/tables/0/chains/0/policy", Value::Null), "built-in chain INPUT has no policy"),
            (change("/tables/0/chains/3/name", json!("a b")), "cannot be the name"),
            (change(&format!("{rule}/text"), json!("-A c -j DROP")), "say different things"),
            (change(&format!("{rule}/parts/target/name"), json!("DROP")), "say different things"),
            (change(rule, json!({ "text": "-A c -j DROP" })), "not a rule of this chain"),
            (change(rule, json!({ "text": "-F" })), "not a rule of this chain"),
            (change(rule, json!({ "text": { "hex": "00" } })), "without a NUL"),
            (change(rule, json!({})), "neither text nor parts"),
            (change(rule, json!({ "text": "-A INPUT -j ACCEPT", "more": 1 })), "unknown field"),
            (change(rule, json!({ "text": "-A INPUT --dport 22" })), "rule 1 of chain INPUT in table filter"),
            (change(rule, json!({ "text": "-A INPUT -j nowhere" })), "rule 1 of chain INPUT in table filter"),
            (document("iptables -S INPUT --json"), "not here as a whole"),
            (json!([]), "not a document"),
        ] {
            let (code, said) = restore(&document, "");
            assert!(code != 0 && said.contains(words), "{document}\n{code} {said}");
            assert_eq!(good("iptables -S"), before);
        }
        // a part of a table is added to what is there
        assert_eq!(restore(&document("iptables -S INPUT --json"), "--noflush"), (0, String::new()));
        assert_eq!(good("iptables -S").matches("--dport 22").count(), 2);
        // parts alone are enough
        let mut parts = whole.clone();
        parts.pointer_mut(rule).unwrap().as_object_mut().unwrap().remove("text");
        assert_eq!(restore(&parts, ""), (0, String::new()));
        assert_eq!(good("iptables -S"), before);
    });
}

#[test]
fn elsewhere_it_is_a_word_like_any_other() {
    inside("elsewhere_it_is_a_word_like_any_other", || {
        for line in ["iptables -A INPUT --json", "iptables -F --json", "iptables-restore --json", "iptables -L --jso"] {
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            let output = run(&words, b"");
            assert!(!output.status.success(), "{line}");
        }
        let output = run(&[b"iptables", b"-S", b"nosuch", b"--json"], b"");
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).contains("chain `nosuch' in table `filter' is incompatible"));
    });
}

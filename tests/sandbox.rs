//! `oxtables sandbox` as its users call it. Needs root or user namespaces; without both every test here fails and says why.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

fn sandbox(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_oxtables")).arg("sandbox").args(words).output().expect("the sandbox runs")
}

/// What the shell script printed inside, with these words before it; the sandbox must succeed.
fn inside(words: &[&str], script: &str) -> String {
    let output = sandbox(&[words, &["--", "sh", "-c", script]].concat());
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// A file of rules that only this test uses; removed when it is dropped.
struct Rules(PathBuf);

impl Rules {
    fn path(&self) -> std::borrow::Cow<'_, str> {
        self.0.to_string_lossy()
    }
}

impl Drop for Rules {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn rules(name: &str, text: &str) -> Rules {
    let path = std::env::temp_dir().join(format!("oxtables-test-{}-{name}", std::process::id()));
    fs::write(&path, text).expect("the test's directory can be written");
    Rules(path)
}

#[test]
fn the_exit_code_is_the_commands() {
    assert_eq!(sandbox(&["--", "sh", "-c", "exit 7"]).status.code(), Some(7));
    assert_eq!(sandbox(&["--", "sh", "-c", "kill -9 $$"]).status.code(), Some(137));
    assert_eq!(sandbox(&["--", "/no/such/program"]).status.code(), Some(127));
    assert_eq!(sandbox(&["--", "/dev/null"]).status.code(), Some(126));
    assert_eq!(sandbox(&["--no-such-option"]).status.code(), Some(2));
}

#[test]
fn the_network_is_another_and_has_a_loopback_only() {
    let outside = fs::read_link("/proc/self/ns/net").expect("/proc is mounted");
    let there = inside(&[], "readlink /proc/self/ns/net; cat /proc/net/dev");
    assert!(there.starts_with("net:["), "{there}");
    assert!(!there.contains(&*outside.to_string_lossy()), "{there}");
    let interfaces: Vec<_> =
        there.lines().filter_map(|line| line.split_once(':')).skip(1).map(|(name, _)| name.trim()).collect();
    assert_eq!(interfaces, ["lo"]);
}

#[test]
fn the_names_of_iptables_are_ours_and_their_directory_is_removed() {
    let names =
        inside(&[], "command -v iptables; command -v ip6tables-restore; iptables -V; dirname $(command -v iptables)");
    let lines: Vec<_> = names.lines().collect();
    assert_eq!(lines[2], "iptables v1.8.9 (nf_tables)");
    assert!(lines[1].ends_with("/ip6tables-restore"), "{names}");
    assert!(lines[3].contains("oxtables-sandbox"), "{names}");
    assert!(!PathBuf::from(lines[3]).exists(), "{} is left behind", lines[3]);
}

#[test]
fn rules_of_both_families_are_loaded_before_the_command() {
    let v4 = rules("rules.v4", "*filter\n:INPUT DROP [0:0]\n-A INPUT -s 192.0.2.1 -j ACCEPT\nCOMMIT\n");
    let v6 = rules("rules.v6", "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -s 2001:db8::1 -j DROP\nCOMMIT\n");
    let listing = inside(&[&v4.path(), &v6.path()], "iptables -S INPUT; ip6tables -S INPUT");
    assert_eq!(
        listing,
        "-P INPUT DROP\n-A INPUT -s 192.0.2.1/32 -j ACCEPT\n-P INPUT ACCEPT\n-A INPUT -s 2001:db8::1/128 -j DROP\n"
    );
}

#[test]
fn rules_come_from_standard_input_too() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_oxtables"))
        .args(["sandbox", "-6", "-", "--", "ip6tables", "-S", "FORWARD"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the sandbox runs");
    let text = b"*filter\n:FORWARD DROP [0:0]\nCOMMIT\n";
    child.stdin.take().expect("a pipe").write_all(text).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "-P FORWARD DROP\n");
}

#[test]
fn a_file_that_is_wrong_or_missing_stops_it_before_the_command() {
    let wrong = rules("wrong", "*filter\n-A INPUT --nonsense\nCOMMIT\n");
    for (path, code) in [(wrong.path(), 2), ("/no/such/file".into(), 1)] {
        let output = sandbox(&[&path, "--", "echo", "it ran"]);
        assert_eq!(output.status.code(), Some(code), "{path}");
        assert!(output.stdout.is_empty());
        assert!(String::from_utf8_lossy(&output.stderr).contains(&*path), "{output:?}");
    }
}

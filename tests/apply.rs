//! `oxtables apply` as its user meets it: real rules, real processes that are killed, and what is there afterwards.

mod common;

use common::with_namespaces;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const OLD: &str = "*filter\n:INPUT ACCEPT [0:0]\n:mine - [0:0]\n[7:420] -A INPUT -i lo -j ACCEPT\n[5:300] -A INPUT -p tcp -j mine\n\
[3:180] -A mine -s 192.0.2.1/32 -j DROP\nCOMMIT\n";
const OLD6: &str =
    "*filter\n:INPUT ACCEPT [0:0]\n[9:540] -A INPUT -i lo -j ACCEPT\n[1:80] -A INPUT -p udp -j DROP\nCOMMIT\n";
/// For both families.
const NEW: &str = "*filter\n:INPUT DROP [0:0]\n:ssh - [0:0]\n-A INPUT -i lo -j ACCEPT\n-A INPUT -p tcp -m tcp --dport 22 -j ssh\n\
-A ssh -j ACCEPT\nCOMMIT\n";

/// A host with the old rules, and a directory for its files.
struct Host {
    directory: PathBuf,
}

impl Host {
    fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("oxtables-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir(&directory).unwrap();
        for (name, text) in [("old.v4", OLD), ("old.v6", OLD6), ("new", NEW)] {
            fs::write(directory.join(name), text).unwrap();
        }
        let host = Self { directory };
        host.restore();
        host
    }

    fn restore(&self) {
        for (program, file) in [("iptables-restore", "old.v4"), ("ip6tables-restore", "old.v6")] {
            assert!(self.run(&[program, "-c", file]).status.success());
        }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oxtables"));
        command.args(words).current_dir(&self.directory).env("OXTABLES_RUN", self.directory.join("run"));
        command.env("OXTABLES_ROOT", &self.directory);
        command.env_remove("SSH_CONNECTION").stdin(Stdio::null());
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    fn says(&self, words: &[&str]) -> (i32, String) {
        let output = self.run(words);
        let text = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(text).unwrap())
    }

    /// An apply that waits.
    fn waiting(&self, words: &[&str]) -> Child {
        let words = [&["apply"], words].concat();
        let child = self.command(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        self.until("the new rules are there", || self.is_new() == [true; 2]);
        child
    }

    fn until(&self, what: &str, condition: impl Fn() -> bool) {
        let started = Instant::now();
        while !condition() {
            assert!(
                started.elapsed() < Duration::from_secs(20),
                "{what}: not within 20 s\n{}",
                self.rules().join("\n")
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The rules of both families, with their counters.
    fn rules(&self) -> [String; 2] {
        ["iptables-save", "ip6tables-save"].map(|program| {
            let text = String::from_utf8(self.run(&[program, "-c"]).stdout).unwrap();
            text.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect()
        })
    }

    /// Whether each family has the new rules.
    fn is_new(&self) -> [bool; 2] {
        self.rules().map(|text| text.contains(":INPUT DROP"))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// Kills a process and everything in its session but the guard, which has one of its own.
fn kill(child: &mut Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Kills the guards that this host's directory names in their environment.
fn kill_guards(host: &Host) {
    let run = format!("OXTABLES_RUN={}", host.directory.join("run").display());
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let path = entry.path();
        let read = |name: &str| fs::read(path.join(name)).unwrap_or_default();
        let has = |text: Vec<u8>, word: &str| text.split(|b| *b == 0).any(|w| w == word.as_bytes());
        if has(read("cmdline"), "apply-guard") && has(read("environ"), &run) {
            let id = path.file_name().unwrap().to_string_lossy().into_owned();
            Command::new("kill").args(["-9", &id]).status().unwrap();
        }
    }
}

#[test]
fn without_a_confirmation_everything_is_as_it_was() {
    with_namespaces("without_a_confirmation_everything_is_as_it_was", || {
        let host = Host::new("unconfirmed");
        let before = host.rules();
        let (code, text) = host.says(&["apply", "new", "--within", "1s"]);
        assert_eq!(code, 3, "{text}");
        assert!(text.contains("the old rules are back: nobody confirmed in time"), "{text}");
        assert_eq!(host.rules(), before);
        let (code, text) = host.says(&["confirm"]);
        assert_eq!(code, 1);
        assert!(text.contains("the old rules are back (nobody confirmed in time)"), "{text}");
    });
}

#[test]
fn confirmed_rules_are_kept_and_only_what_differs_changes() {
    with_namespaces("confirmed_rules_are_kept_and_only_what_differs_changes", || {
        let host = Host::new("confirmed");
        let mut apply = host.waiting(&["new", "--within", "30s"]);
        let (code, text) = host.says(&["status"]);
        assert_eq!(code, 0);
        assert!(text.contains("waits to be confirmed"), "{text}");
        let (code, text) = host.says(&["apply", "old.v4", "--within", "30s"]);
        assert_eq!(code, 1);
        assert!(text.contains("another apply waits"), "{text}");
        assert_eq!(host.says(&["confirm"]), (0, "the new rules are kept\n".to_owned()));
        assert_eq!(apply.wait().unwrap().code(), Some(0));
        let [v4, v6] = host.rules();
        assert!(v4.contains("[7:420] -A INPUT -i lo -j ACCEPT\n"), "{v4}");
        assert!(v6.contains("[9:540] -A INPUT -i lo -j ACCEPT\n"), "{v6}");
        assert!(!host.directory.join("etc/iptables/rules.v4").exists(), "nothing was saved before");
        assert_eq!(host.says(&["save"]).0, 0);
        let (code, text) = host.says(&["apply", "new"]);
        assert_eq!((code, text.as_str()), (0, "IPv4: nothing changes\nIPv6: nothing changes\n"));
    });
}

#[test]
fn saved_rules_follow_a_confirmation_only() {
    with_namespaces("saved_rules_follow_a_confirmation_only", || {
        let host = Host::new("saved");
        let saved = || fs::read_to_string(host.directory.join("etc/iptables/rules.v4")).unwrap();
        assert_eq!(host.says(&["save"]).0, 0);
        assert_eq!(host.says(&["apply", "new", "--within", "1s"]).0, 3);
        assert!(saved().contains(":INPUT ACCEPT"));
        let mut apply = host.waiting(&["new", "--within", "30s"]);
        assert!(saved().contains(":INPUT ACCEPT"));
        assert_eq!(host.says(&["confirm"]).0, 0);
        assert_eq!(apply.wait().unwrap().code(), Some(0));
        assert!(saved().contains(":INPUT DROP"));
    });
}

#[test]
fn the_history_leads_back() {
    with_namespaces("the_history_leads_back", || {
        let host = Host::new("history");
        let before = host.rules();
        assert_eq!(host.says(&["apply", "new", "--yes"]).0, 0);
        let new = host.rules();
        assert_eq!(host.says(&["apply", "-4", "old.v4", "--within", "1s"]).0, 3);
        let (code, text) = host.says(&["history"]);
        assert_eq!(code, 0);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[0].contains("at once") && lines[0].ends_with("oxtables apply new --yes"), "{text}");
        assert!(lines[1].contains("rolled back") && lines[1].contains("+2 -2"), "{text}");
        let (_, text) = host.says(&["history", "1"]);
        assert!(text.contains("! -P INPUT DROP\n"), "{text}");
        assert_eq!(host.says(&["restore-from", "1", "--before", "--yes"]).0, 0);
        let plain = |rules: [String; 2]| {
            rules.map(|text| text.lines().map(|l| l.rsplit("] ").next().unwrap().to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(plain(host.rules()), plain(before));
        assert_eq!(host.says(&["restore-from", "1", "--yes"]).0, 0);
        assert_eq!(plain(host.rules()), plain(new));
        assert_eq!(host.says(&["restore-from", "99"]).0, 1);
        assert_eq!(host.says(&["restore-from"]).0, 2);
    });
}

#[test]
fn a_session_that_dies_is_rolled_back() {
    with_namespaces("a_session_that_dies_is_rolled_back", || {
        let host = Host::new("killed");
        let before = host.rules();
        for _ in 0..3 {
            let mut apply = host.waiting(&["new", "--within", "1s"]);
            kill(&mut apply);
            host.until("the old rules are back", || host.is_new() == [false; 2]);
            assert_eq!(host.rules(), before);
        }
    });
}

#[test]
fn a_guard_that_is_killed_is_replaced() {
    with_namespaces("a_guard_that_is_killed_is_replaced", || {
        let host = Host::new("guard");
        let before = host.rules();
        let mut apply = host.waiting(&["new", "--within", "60s"]);
        kill_guards(&host);
        assert_eq!(apply.wait().unwrap().code(), Some(3));
        assert_eq!(host.rules(), before);
    });
}

#[test]
fn rollback_on_request_leaves_what_others_did() {
    with_namespaces("rollback_on_request_leaves_what_others_did", || {
        let host = Host::new("others");
        let before = host.rules();
        let mut apply = host.waiting(&["new", "--within", "60s"]);
        assert!(host.run(&["iptables", "-I", "INPUT", "-s", "198.51.100.7", "-j", "DROP"]).status.success());
        let (code, text) = host.says(&["rollback"]);
        assert_eq!(code, 0);
        assert!(text.contains("IPv4 filter chain INPUT: rules that another program added meanwhile stay"), "{text}");
        assert_eq!(apply.wait().unwrap().code(), Some(3));
        let [v4, v6] = host.rules();
        assert_eq!(v4.replacen("[0:0] -A INPUT -s 198.51.100.7/32 -j DROP\n", "", 1), before[0]);
        assert_eq!(v6, before[1]);
    });
}

#[test]
fn bad_files_change_nothing() {
    with_namespaces("bad_files_change_nothing", || {
        let host = Host::new("bad");
        let before = host.rules();
        fs::write(host.directory.join("bad"), format!("{NEW}*nat\n-A OUTPUT -j REJECT\nCOMMIT\n")).unwrap();
        let (code, text) = host.says(&["apply", "bad"]);
        assert_eq!(code, 1);
        assert!(text.contains("bad:9: error: "), "{text}");
        assert!(text.contains("REJECT works only in the filter table's INPUT, FORWARD and OUTPUT chains"), "{text}");
        assert_eq!(host.says(&["apply", "none"]).0, 1);
        assert_eq!(host.says(&["apply"]).0, 1);
        assert_eq!(host.says(&["apply", "new", "--within", "never"]).0, 1);
        let cut =
            host.command(&["apply", "new"]).env("SSH_CONNECTION", "203.0.113.5 50000 192.0.2.1 2222").output().unwrap();
        let text = String::from_utf8(cut.stderr).unwrap();
        assert!(text.contains("would cut off this SSH connection from 203.0.113.5 to port 2222"), "{text}");
        assert!(text.contains("the policy is -P INPUT DROP"), "{text}");
        assert_eq!(host.rules(), before);
    });
}

#[test]
fn never_one_family_new_and_the_other_old() {
    with_namespaces("never_one_family_new_and_the_other_old", || {
        let host = Host::new("both");
        // How long it takes here until the new rules are there.
        let started = Instant::now();
        let mut apply = host.waiting(&["new", "--within", "60s"]);
        let usual = started.elapsed();
        assert_eq!(host.says(&["rollback"]).0, 0);
        apply.wait().unwrap();
        host.restore();
        let (mut old, mut new) = (0, 0);
        let times: u32 = std::env::var("OXTABLES_KILLS").map_or(16, |n| n.parse().unwrap());
        for n in 0..times {
            let mut command = host.command(&["apply", "new", "--within", "60s"]);
            let mut apply = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            std::thread::sleep(usual * 3 * n / times / 2);
            kill(&mut apply);
            kill_guards(&host);
            match host.is_new() {
                [false, false] => old += 1,
                [true, true] => new += 1,
                mixed => panic!("kill {n}: {mixed:?}"),
            }
            host.restore();
        }
        assert!(old > 0 && new > 0, "{old} times old, {new} times new: the kills did not fall around the change");
    });
}

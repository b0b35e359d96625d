//! Saved rules on the real kernel: there and back, former versions, broken files, boots; each in a namespace and below a root of its own.

mod common;

use common::with_namespaces;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

const RULES: &str = "*filter\n:INPUT DROP [0:0]\n-A INPUT -i lo -j ACCEPT\n-A INPUT -p udp -j ACCEPT\nCOMMIT\n";

struct Host(tempfile::TempDir);

impl Host {
    fn new() -> Self {
        let host = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(host.path("etc/init.d")).unwrap();
        host
    }

    fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    fn run(&self, words: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oxtables"));
        command.args(words).env("OXTABLES_ROOT", self.0.path()).current_dir(self.0.path()).output().unwrap()
    }

    /// The exit code and standard error.
    fn says(&self, words: &[&str]) -> (i32, String) {
        let output = self.run(words);
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    }

    fn ok(&self, words: &[&str]) {
        let (code, text) = self.says(words);
        assert_eq!(code, 0, "{words:?}: {text}");
    }

    fn rules(&self) -> [String; 2] {
        ["iptables", "ip6tables"].map(|program| String::from_utf8(self.run(&[program, "-S"]).stdout).unwrap())
    }

    /// Live rules in both families.
    fn with_rules(self) -> Self {
        fs::write(self.path("rules"), RULES).unwrap();
        self.ok(&["iptables-restore", "rules"]);
        self.ok(&["ip6tables-restore", "rules"]);
        self
    }

    fn emptied(&self) {
        self.ok(&["netfilter-persistent", "flush"]);
    }
}

#[test]
fn there_and_back() {
    with_namespaces("there_and_back", || {
        let host = Host::new().with_rules();
        let before = host.rules();
        host.ok(&["save"]);
        host.emptied();
        assert_eq!(
            host.rules(),
            [
                "-P INPUT ACCEPT\n-P FORWARD ACCEPT\n-P OUTPUT ACCEPT\n".to_owned(),
                "-P INPUT ACCEPT\n-P FORWARD ACCEPT\n-P OUTPUT ACCEPT\n".to_owned()
            ]
        );
        host.ok(&["load"]);
        assert_eq!(host.rules(), before);
        host.ok(&["ip6tables", "-A", "INPUT", "-j", "DROP"]);
        host.ok(&["netfilter-persistent", "save"]);
        host.ok(&["load", "--previous"]);
        assert_eq!(host.rules()[1], before[1]);
        host.ok(&["netfilter-persistent", "start"]);
        assert!(host.rules()[1].ends_with("-A INPUT -j DROP\n"));
    });
}

#[test]
fn a_broken_file_fails_closed_at_boot_and_changes_nothing_later() {
    with_namespaces("a_broken_file_fails_closed_at_boot_and_changes_nothing_later", || {
        let host = Host::new().with_rules();
        host.ok(&["save"]);
        let whole = fs::read(host.path("etc/iptables/rules.v4")).unwrap();
        for broken in [
            whole[..whole.len() / 2].to_vec(),
            Vec::new(),
            [b"<<<<<<< ours\n", whole.as_slice()].concat(),
            b"*filter\n-A INPUT -j NOSUCH\nCOMMIT\n".to_vec(),
        ] {
            fs::write(host.path("etc/iptables/rules.v4"), &broken).unwrap();
            let before = host.rules();
            let (code, text) = host.says(&["load"]);
            assert_eq!(code, 1, "{text}");
            assert!(text.contains("etc/iptables/rules.v4"), "{text}");
            assert!(text.contains("the rules that are in place stay"), "{text}");
            assert_eq!(host.rules(), before);
            host.emptied();
            let (code, text) = host.says(&["load"]);
            assert_eq!(code, 1);
            assert!(text.contains("safe rules stand"), "{text}");
            let [v4, v6] = host.rules();
            assert!(v4.starts_with("-P INPUT DROP\n") && v4.contains("--dport 22 -j ACCEPT"), "{v4}");
            assert_eq!(v6, before[1], "the other family's file is not broken");
        }
    });
}

#[test]
fn nothing_saved_is_no_error() {
    with_namespaces("nothing_saved_is_no_error", || {
        let host = Host::new();
        let (code, text) = host.says(&["load"]);
        assert_eq!((code, text.as_str()), (0, "IPv4: no rules are saved\nIPv6: no rules are saved\n"));
        host.ok(&["save"]);
        assert!(!fs::read(host.path("etc/iptables/rules.v4")).unwrap().is_empty());
        let (code, text) = host.says(&["load"]);
        assert_eq!(code, 0, "{text}");
    });
}

#[test]
fn a_save_that_fails_leaves_the_files() {
    with_namespaces("a_save_that_fails_leaves_the_files", || {
        let host = Host::new().with_rules();
        host.ok(&["save"]);
        let before = fs::read(host.path("etc/iptables/rules.v4")).unwrap();
        host.ok(&["iptables", "-A", "INPUT", "-j", "DROP"]);
        // The second family's file cannot be replaced, and the message says what that means for the first.
        fs::remove_file(host.path("etc/iptables/rules.v6")).unwrap();
        fs::create_dir(host.path("etc/iptables/rules.v6")).unwrap();
        fs::write(host.path("etc/iptables/rules.v6/x"), "").unwrap();
        let (code, text) = host.says(&["save"]);
        assert_eq!(code, 1);
        assert!(text.contains("rules.v6"), "{text}");
        assert!(text.contains("rules.v4 is saved"), "{text}");
        assert_ne!(fs::read(host.path("etc/iptables/rules.v4")).unwrap(), before);
        // A directory where nothing can be written: nothing is changed.
        fs::remove_dir_all(host.path("etc/iptables")).unwrap();
        fs::write(host.path("etc/iptables"), "").unwrap();
        let (code, text) = host.says(&["save"]);
        assert_eq!(code, 1);
        assert!(text.contains("the saved rules are as they were"), "{text}");
    });
}

#[test]
fn other_plugins_are_run_and_their_failure_counts() {
    with_namespaces("other_plugins_are_run_and_their_failure_counts", || {
        use std::os::unix::fs::PermissionsExt;
        let host = Host::new().with_rules();
        let plugins = host.path("usr/share/netfilter-persistent/plugins.d");
        fs::create_dir_all(&plugins).unwrap();
        for (name, code) in [("10-ipset", 0), ("15-ip4tables", 9), ("40-other", 3), ("README.txt", 9)] {
            let path = plugins.join(name);
            fs::write(&path, format!("#!/bin/sh\necho {name} $1 >> {}\nexit {code}\n", host.path("log").display()))
                .unwrap();
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        assert_eq!(host.says(&["netfilter-persistent", "save"]).0, 3);
        assert_eq!(fs::read_to_string(host.path("log")).unwrap(), "10-ipset save\n40-other save\n");
        assert!(host.path("etc/iptables/rules.v4").exists());
        assert_eq!(host.says(&["netfilter-persistent", "nonsense"]).0, 1);
    });
}

#[test]
fn enabled_and_disabled() {
    let host = Host::new();
    host.ok(&["enable"]);
    assert!(host.path("etc/init.d/oxtables").exists());
    host.ok(&["disable"]);
    assert!(!host.path("etc/init.d/oxtables").exists());
}

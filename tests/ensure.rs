//! `oxtables ensure`: idempotent, in both families, and with several programs at once.

mod common;

use common::with_namespaces;
use std::process::{Command, Stdio};

/// The exit code and standard output.
fn oxtables(words: &str) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_oxtables"));
    let output = command.args(words.split_whitespace()).stderr(Stdio::null()).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

fn rules(program: &str) -> String {
    oxtables(&format!("{program} -S INPUT")).1
}

#[test]
fn a_rule_comes_once_and_goes_whole() {
    with_namespaces("a_rule_comes_once_and_goes_whole", || {
        let rule = "-A INPUT -p tcp --dport 22 -j ACCEPT";
        assert_eq!(oxtables(&format!("ensure {rule}")), (0, "IPv4: changed\nIPv6: changed\n".into()));
        assert_eq!(oxtables(&format!("ensure {rule}")), (0, "IPv4: unchanged\nIPv6: unchanged\n".into()));
        let both = ["iptables", "ip6tables"].map(rules);
        assert_eq!(both, [(); 2].map(|()| "-P INPUT ACCEPT\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n".to_owned()));
        oxtables(&format!("iptables {rule}"));
        assert_eq!(oxtables(&format!("ensure --absent {rule}")), (0, "IPv4: changed\nIPv6: changed\n".into()));
        assert_eq!(rules("iptables"), "-P INPUT ACCEPT\n", "both of them");
        assert_eq!(oxtables(&format!("ensure --absent {rule}")), (0, "IPv4: unchanged\nIPv6: unchanged\n".into()));
    });
}

#[test]
fn families_places_and_lists() {
    with_namespaces("families_places_and_lists", || {
        assert_eq!(oxtables("ensure -A INPUT -s 192.0.2.1,192.0.2.2 -j DROP").1, "IPv4: changed\n");
        assert_eq!(oxtables("ensure -I INPUT 1 -s 192.0.2.3,192.0.2.2 -j DROP").1, "IPv4: changed\n");
        let text = rules("iptables");
        assert_eq!(text.matches("192.0.2.2").count(), 1, "{text}");
        assert!(text.starts_with("-P INPUT ACCEPT\n-A INPUT -s 192.0.2.3/32 -j DROP\n"), "{text}");
        assert_eq!(oxtables("ensure -6 -A INPUT -i lo -j ACCEPT").1, "IPv6: changed\n");
        assert_eq!(oxtables("ensure -A INPUT -p ipv6-icmp -j ACCEPT").1, "IPv6: changed\n");
        assert_eq!(oxtables("ensure -N mine").1, "IPv4: changed\nIPv6: changed\n");
        assert_eq!(oxtables("ensure -N mine").1, "IPv4: unchanged\nIPv6: unchanged\n");
        for (wrong, code) in [("-A NOPE -j DROP", 1), ("-F", 2), ("-A INPUT --nonsense", 2), ("-A INPUT -j NOPE", 2)] {
            assert_eq!(oxtables(&format!("ensure {wrong}")), (code, String::new()), "{wrong}");
        }
    });
}

#[test]
fn programs_that_ensure_the_same_add_it_once() {
    with_namespaces("programs_that_ensure_the_same_add_it_once", || {
        let start = || {
            let mut command = Command::new(env!("CARGO_BIN_EXE_oxtables"));
            command.args(["ensure", "-A", "INPUT", "-p", "udp", "-j", "DROP"]).stdout(Stdio::null()).spawn().unwrap()
        };
        let running: Vec<_> = (0..12).map(|_| start()).collect();
        for mut child in running {
            assert!(child.wait().unwrap().success());
        }
        for program in ["iptables", "ip6tables"] {
            assert_eq!(rules(program), "-P INPUT ACCEPT\n-A INPUT -p udp -j DROP\n");
        }
    });
}

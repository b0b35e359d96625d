//! The contract with the programs that call iptables, without stock: one test for each of its rows, with the texts that programs look for.
//!
//! `lab/tests/contract.rs` holds the same rows beside stock, byte by byte. What is here is what programs depend on by name: who does, stands
//! at each test. Each command runs in a sandbox of its own, behind the commands that set it up.

use std::process::{Command, Stdio};

/// What a caller sees.
#[derive(Debug, PartialEq)]
struct Seen {
    code: i32,
    out: String,
    error: String,
}

/// Runs `command` behind `setup` (which must be silent) in a sandbox.
fn run(setup: &str, command: &str) -> Seen {
    let script = format!("set -e\n{setup}\nset +e\n{command}");
    let output = Command::new(env!("CARGO_BIN_EXE_oxtables"))
        .args(["sandbox", "--", "bash", "-c", &script])
        .stdin(Stdio::null())
        .output()
        .expect("the sandbox runs");
    let [out, error] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).expect("text"));
    Seen { code: output.status.code().unwrap_or(-1), out, error }
}

/// A command that must succeed without a word, and then one whose output is wanted.
fn out_of(setup: &str, command: &str) -> String {
    let seen = run(setup, command);
    assert!(seen.code == 0 && seen.error.is_empty(), "{command}: {seen:?}");
    seen.out
}

/// A command of IPv4 as IPv6 has it.
fn v6(command: &str) -> String {
    command.replace("iptables", "ip6tables")
}

/// Both families of a command.
fn both(command: &str) -> [String; 2] {
    [command.to_owned(), v6(command)]
}

/// go-iptables, kube-proxy, istio, ansible, ufw, rust-iptables, facter and sshguard read the version.
#[test]
fn version() {
    for words in ["--version", "-V", "-w -V", "-w 5 --version", "-V -t nat"] {
        for name in ["iptables", "ip6tables", "iptables-nft", "ip6tables-nft"] {
            let out = out_of("", &format!("{name} {words}"));
            let said = name.trim_end_matches("-nft");
            assert_eq!(out, format!("{said} v1.8.9 (nf_tables)\n"), "{name} {words}");
            // ansible splits at the first letter v; others take the second word
            assert_eq!(out.split('v').nth(1).map(|rest| rest.starts_with("1.8.9")), Some(true));
            assert_eq!(out.split_whitespace().nth(1), Some("v1.8.9"));
        }
    }
    // by its path it says its name alone
    assert_eq!(out_of("", "\"$(command -v iptables)\" --version"), "iptables v1.8.9 (nf_tables)\n");
}

/// istio asks -save, kube-proxy -restore, and both look for `nf_tables`; -restore must not wait for input.
#[test]
fn version_of_save_and_restore() {
    for name in ["iptables-save", "ip6tables-save", "iptables-restore", "ip6tables-restore", "iptables-nft-save"] {
        for option in ["--version", "-V"] {
            assert_eq!(out_of("", &format!("{name} {option}")), format!("{name} v1.8.9 (nf_tables)\n"));
        }
    }
    // a pipe at whose other end nobody writes
    let open = "d=$(mktemp -d); mkfifo $d/pipe; exec 9<>$d/pipe; rm -r $d";
    let out = out_of(open, "timeout 20 iptables-restore --version <&9");
    assert_eq!(out, "iptables-restore v1.8.9 (nf_tables)\n");
}

/// istio tries the -nft names before the plain ones, linkerd calls them alone.
#[test]
fn names() {
    for name in ["iptables", "ip6tables"] {
        let out = out_of(
            &format!("{name}-nft -t nat -N X; echo '*nat\n-A X -j RETURN\nCOMMIT' | {name}-nft-restore -n"),
            &format!("{name}-nft-save -t nat | grep X; {name}-nft -t nat -S X; {name} -t nat -S X"),
        );
        assert_eq!(out, ":X - [0:0]\n-A X -j RETURN\n-N X\n-A X -j RETURN\n-N X\n-A X -j RETURN\n");
    }
}

const THERE: &str = "iptables -N FOO; iptables -N BAR; iptables -A BAR -j FOO; ip6tables -N FOO; ip6tables -N BAR; ip6tables -A BAR -j FOO";

/// kube-proxy takes 1 for "not there" and 4 for "try again", go-iptables 1, CNI ignores 2 when it deletes.
#[test]
fn exit_codes() {
    for (code, commands) in [
        (0, &["iptables -C BAR -j FOO", "iptables -L BAR", "iptables -S BAR 1", "iptables -D BAR 1"][..]),
        (1, &["iptables -N FOO", "iptables -C INPUT -j DROP", "iptables -D INPUT -j DROP", "iptables -D INPUT 44"]),
        (1, &["iptables -I INPUT 44 -j DROP", "iptables -R INPUT 44 -j DROP", "iptables -F NOPE", "iptables -X NOPE"]),
        (1, &["iptables -E NOPE X", "iptables -E FOO FOO", "iptables -L NOPE", "iptables -S NOPE", "iptables -Z NOPE"]),
        (1, &["iptables -A NOPE -j DROP", "iptables -P FOO DROP", "iptables -P INPUT REJECT"]),
        (2, &["iptables", "iptables -A INPUT --bogus", "iptables -A INPUT -j NOSUCH", "iptables -A INPUT -m nosuch"]),
        (2, &["iptables -A INPUT --dport 22", "iptables -A INPUT -p tcp --dport x", "iptables -A INPUT -s a.invalid."]),
        (2, &["iptables -N averyveryveryverylongchainname", "iptables -A INPUT -m state --state NOPE", "iptables -A"]),
        (3, &["iptables -t foo -L", "iptables -t foo -A INPUT -j DROP"]),
        (4, &["iptables -A INPUT -j MASQUERADE", "iptables -t nat -A PREROUTING -j REJECT", "iptables -X FOO"]),
    ] {
        for command in commands.iter().flat_map(|command| both(command)) {
            let seen = run(THERE, &command);
            assert_eq!(seen.code, code, "{command}: {seen:?}");
            assert_eq!(code == 0, seen.error.is_empty(), "{command}: {seen:?}");
        }
    }
}

/// go-iptables' `IsNotExist`, kube-proxy's `IsNotFoundError` and CNI compare these, the newline included.
#[test]
fn error_texts() {
    const BAD_RULE: &str = "Bad rule (does a matching rule exist in that chain?).\n";
    const NO_CHAIN: &str = "No chain/target/match by that name.\n";
    for (command, text) in [
        ("iptables -C INPUT -j ACCEPT", BAD_RULE),
        ("iptables -t nat -D POSTROUTING -s 10.0.0.1 -j ACCEPT --wait", BAD_RULE),
        ("iptables -t nat -C POSTROUTING -j ACCEPT --wait", BAD_RULE),
        ("iptables -t nat -F CNI-nope --wait", NO_CHAIN),
        ("iptables -t nat -X CNI-nope --wait", NO_CHAIN),
        ("iptables -t nat -A CNI-nope -j ACCEPT --wait", NO_CHAIN),
        ("iptables -N FOO", "Chain already exists.\n"),
    ] {
        let seen = run(THERE, command);
        assert_eq!((seen.code, seen.error.as_str()), (1, format!("iptables: {text}").as_str()), "{command}");
    }
    for (command, part) in [
        ("iptables -A INPUT -m nosuch", "No such file or directory"),
        ("iptables -A INPUT -j NOSUCH", "does not exist"),
        ("iptables -C INPUT -j CNI-nope", "does not exist"),
        ("iptables -t nosuch -S", "does not exist"),
        ("iptables -S KUBE-PROXY-CANARY -t mangle", "incompatible"),
    ] {
        let error = run("", command).error;
        assert!(error.contains(part), "{command}: {error}");
    }
}

/// kube-proxy and Calico's Felix look for `line (\d+) failed`; kube-proxy splits the text at `:` and wants two parts.
#[test]
fn restore_errors() {
    let restore = |lines: &str| run("", &format!("printf '{lines}' | iptables-restore --noflush --counters"));
    for (lines, code, text) in [
        ("*filter\\n:A - [0:0]\\ngarbage\\nCOMMIT\\n", 2, None),
        ("garbage\\n", 1, Some("iptables-restore: line 1 failed\n")),
        ("*filter\\nCOMMIT\\n*filter\\n-A NOPE -j ACCEPT\\nCOMMIT\\n", 1, None),
        ("*filter\\n-D INPUT -j ACCEPT\\nCOMMIT\\n", 1, None),
        ("*filter\\n-A INPUT -j MASQUERADE\\nCOMMIT\\n", 4, None),
    ] {
        let seen = restore(lines);
        assert_eq!(seen.code, code, "{lines}: {seen:?}");
        if let Some(text) = text {
            assert_eq!(seen.error, text);
        }
    }
    let parts = restore("*filter\\n:A - [0:0]\\n-D A -j ACCEPT\\nCOMMIT\\n").error;
    assert!(parts.starts_with("iptables-restore: line 3 failed: Bad rule"), "{parts}");
    let refused = restore("*filter\\n-A INPUT -j MASQUERADE\\nCOMMIT\\n").error;
    assert!(refused.contains("line 2: RULE_APPEND failed (Invalid argument): rule in chain INPUT"), "{refused}");
    // stock looks for the chain when the table is done, so it names the line of COMMIT
    let jump = restore("*filter\\n-A INPUT -j ACCEPT\\n-A INPUT -j NOSUCH\\nCOMMIT\\n").error;
    assert!(jump.contains("Chain 'NOSUCH' does not exist") && jump.contains("Error occurred at line: 4"), "{jump}");
}

/// Docker takes any output of a command for its failure; shorewall tests that a restore of nothing says nothing.
#[test]
fn silence_on_success() {
    let commands = [
        "iptables --wait -t nat -N DOCKER",
        "iptables --wait -t nat -A DOCKER -i docker0 -j RETURN",
        "iptables --wait -t nat -I DOCKER -p tcp --dport 80 -j REDIRECT --to-ports 8080",
        "iptables --wait -t nat -C DOCKER -i docker0 -j RETURN",
        "iptables --wait -t nat -D DOCKER -i docker0 -j RETURN",
        "iptables --wait -t nat -R DOCKER 1 -j ACCEPT",
        "iptables --wait -t nat -D DOCKER 1",
        "iptables --wait -t nat -E DOCKER OTHER",
        "iptables --wait -t nat -F OTHER",
        "iptables --wait -t nat -Z OTHER",
        "iptables --wait -t nat -X OTHER",
        "iptables --wait -P FORWARD DROP",
        "iptables --wait -F",
        "iptables --wait -X",
        "iptables-restore --wait </dev/null",
        "printf '#foo' | iptables-restore -w",
        "printf '*filter\\n:INPUT ACCEPT [0:0]\\n-A INPUT -j ACCEPT\\nCOMMIT\\n' | iptables-restore -w -n",
    ];
    for family in [commands.join(" && "), v6(&commands.join(" && "))] {
        assert_eq!(run("", &family), Seen { code: 0, out: String::new(), error: String::new() });
    }
}

/// istio takes three lines of a save for rules that are there; looking makes nothing.
#[test]
fn an_empty_namespace() {
    for name in ["iptables", "ip6tables"] {
        let look = format!(
            "{name} -S; {name} -L -n; {name} -t nat -L -n -v; {name} -t mangle -S; {name} -C INPUT -j DROP 2>&1"
        );
        assert_eq!(out_of(&format!("({look}) >/dev/null || true"), &format!("{name}-save")), "");
        let nat = out_of("", &format!("{name}-save -t nat"));
        let lines: Vec<&str> = nat.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(lines[0], "*nat");
        assert_eq!(lines[1..5].iter().filter(|line| line.ends_with("ACCEPT [0:0]")).count(), 4, "{nat}");
        assert_eq!(lines[5], "COMMIT");
        assert_eq!(out_of(&format!("{name}-save -t nat >/dev/null"), &format!("{name}-save")), "");
    }
}

/// go-iptables, CNI, libvirt, rust-iptables and tailscale read -S line by line, and stop where a line is not what they wait for.
#[test]
fn list_rules() {
    let setup = "iptables -N KUBE; iptables -A FORWARD -j KUBE; iptables -N CNI; iptables -I KUBE -j CNI; iptables -A CNI -j RETURN";
    let order = |line: &str| u8::from(line.starts_with("-A "));
    for list in ["iptables -S", "iptables -w --table filter --list-rules", "iptables -t filter -S --wait"] {
        let out = out_of(setup, list);
        assert!(out.lines().map(order).is_sorted(), "{out}");
        assert_eq!(
            out,
            "-P INPUT ACCEPT\n-P FORWARD ACCEPT\n-P OUTPUT ACCEPT\n-N CNI\n-N KUBE\n-A FORWARD -j KUBE\n-A CNI -j RETURN\n-A KUBE -j CNI\n"
        );
    }
    assert_eq!(out_of(setup, "iptables -S KUBE"), "-N KUBE\n-A KUBE -j CNI\n");
    assert_eq!(out_of(setup, "iptables -S KUBE 1"), "-A KUBE -j CNI\n");
    assert_eq!(out_of(setup, "iptables -v -S KUBE"), "-N KUBE\n-A KUBE -c 0 0 -j CNI\n");
    assert_eq!(run(setup, "iptables -S NOPE 1").code, 1);
}

/// Docker's `HasPolicy` (which does not say -n), ansible, go-iptables' `Stats` and jc read -L.
#[test]
fn listing() {
    let setup = "iptables -P FORWARD DROP; iptables -N U; iptables -A FORWARD -j U; iptables -A INPUT -i lo -p tcp -s 10.0.0.0/8 --dport 22 -j ACCEPT";
    assert!(out_of(setup, "iptables -L FORWARD").starts_with("Chain FORWARD (policy DROP)\n"));
    assert!(out_of(setup, "iptables -n -L U").starts_with("Chain U (1 references)\n"));
    let out = out_of(setup, "iptables -L INPUT -n -v -x --wait");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], "Chain INPUT (policy ACCEPT 0 packets, 0 bytes)");
    let columns: Vec<&str> = lines[1].split_whitespace().collect();
    assert_eq!(columns, ["pkts", "bytes", "target", "prot", "opt", "in", "out", "source", "destination"]);
    let fields: Vec<&str> = lines[2].split_whitespace().collect();
    assert_eq!(fields, ["0", "0", "ACCEPT", "6", "--", "lo", "*", "10.0.0.0/8", "0.0.0.0/0", "tcp", "dpt:22"]);
    let six = out_of("ip6tables -A INPUT -j DROP", "ip6tables -L INPUT -n -v -x");
    let fields: Vec<&str> = six.lines().last().unwrap_or_default().split_whitespace().collect();
    // the column opt may be blank here
    assert_eq!(
        fields.iter().filter(|f| **f != "--").copied().collect::<Vec<_>>(),
        ["0", "0", "DROP", "0", "*", "*", "::/0", "::/0"]
    );
}

/// Everybody waits, each in a spelling and at a place of its own; istio names the lock's file too.
#[test]
fn waiting() {
    for words in ["-w", "-w5", "-w10", "-w 5", "--wait", "--wait=2", "--wait=30", "-w -W 100000", "-w 5 -W 100000"] {
        for command in [format!("iptables {words} -A INPUT -j DROP"), format!("iptables -A INPUT -j DROP {words}")] {
            let seen = run("", &format!("XTABLES_LOCKFILE=/nonexistent/lock {command}"));
            assert!(seen.code == 0 && seen.out.is_empty(), "{command}: {seen:?}");
            assert!(words.contains("-W") || seen.error.is_empty(), "{command}: {seen:?}");
        }
    }
    for words in ["-w", "-w 5", "--wait", "--wait=30", "--wait 10 --wait-interval 100000", "-w 5 -W 100000"] {
        let seen = run("", &format!("iptables-restore {words} --noflush </dev/null"));
        assert_eq!(seen, Seen { code: 0, out: String::new(), error: String::new() }, "{words}");
    }
}

/// kube-proxy puts the command before the table, libvirt writes all names out, CNI has `!` in front and the comment last.
#[test]
fn option_order_and_long_names() {
    for (command, rule) in [
        (
            "iptables --table filter --insert INPUT --in-interface virbr0 --protocol tcp --destination-port 53 --jump ACCEPT",
            "-A INPUT -i virbr0 -p tcp -m tcp --dport 53 -j ACCEPT",
        ),
        (
            "iptables -A INPUT -p tcp -m tcp --dport 22 -j ACCEPT -m comment --comment 'a b'",
            "-A INPUT -p tcp -m tcp --dport 22 -m comment --comment \"a b\" -j ACCEPT",
        ),
        ("iptables -j DROP -p udp -A INPUT ! --sport 53", "-A INPUT -p udp -m udp ! --sport 53 -j DROP"),
        (
            "iptables -A INPUT --match multiport -p tcp --destination-ports 80,443 ! --in-interface lo --jump DROP",
            "-A INPUT ! -i lo -p tcp -m multiport --dports 80,443 -j DROP",
        ),
        ("iptables -A INPUT ! -d 224.0.0.0/4 -j DROP", "-A INPUT ! -d 224.0.0.0/4 -j DROP"),
    ] {
        assert_eq!(out_of(command, "iptables -S INPUT 1"), format!("{rule}\n"), "{command}");
    }
    assert_eq!(
        out_of("iptables -N X -t nat; iptables -A X -t nat -j RETURN", "iptables -S X -t nat"),
        "-N X\n-A X -j RETURN\n"
    );
}

/// kube-proxy, Calico, ufw, firewalld and ferm feed restore: `:CHAIN` empties a chain under --noflush and leaves the others.
#[test]
fn restore_input() {
    let setup = "iptables -N K; iptables -A K -j ACCEPT; iptables -N O; iptables -A O -j DROP; iptables -A INPUT -j O";
    let file = "# one\\n*filter\\n:K - [0:0]\\n:NEW - [0:0]\\n[3:180] -A K -j NEW\\nCOMMIT\\n# two\\n\\n*nat\\n:X - [0:0]\\n-A X -j RETURN\\nCOMMIT\\n";
    let out = out_of(
        setup,
        &format!("printf '{file}' | iptables-restore --noflush --counters; iptables-save -c | grep -v '^#'"),
    );
    let rules: Vec<&str> = out.lines().filter(|line| line.contains("-A ")).collect();
    assert_eq!(
        rules,
        ["[0:0] -A INPUT -j O", "[3:180] -A K -j NEW", "[0:0] -A O -j DROP", "[0:0] -A X -j RETURN"],
        "{out}"
    );
    let inside =
        "*filter\\n-D INPUT 1\\n-I INPUT 1 -i lo -j ACCEPT\\n-F O\\n-F K\\n-X O\\n--delete-chain K\\nCOMMIT\\n";
    let out = out_of(setup, &format!("printf '{inside}' | iptables-restore -n; iptables -S | grep -v '^-P'"));
    assert_eq!(out, "-A INPUT -i lo -j ACCEPT\n");
    let one = "*filter\\n-A INPUT -j DROP\\nCOMMIT\\n*nat\\n-A PREROUTING -j ACCEPT\\nCOMMIT\\n";
    let out = out_of("", &format!("printf '{one}' | iptables-restore -T nat; iptables-save | grep '^-A'"));
    assert_eq!(out, "-A PREROUTING -j ACCEPT\n");
    let talk = "*filter\\n:cali - -\\n-A cali -m comment --comment cali:x -j RETURN\\nCOMMIT\\n";
    let talk =
        run("", &format!("printf '{talk}' | iptables-restore --noflush --verbose --wait 10 --wait-interval 100000"));
    assert!(talk.code == 0 && talk.error.is_empty(), "{talk:?}");
}

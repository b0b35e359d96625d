//! `xtables-monitor` beside stock's: both listen in one namespace while rules change and packets are traced, and print the same.

use std::io::{BufRead, BufReader};
use std::net::{TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use lab::netns::Netns;
use lab::oracle::{Call, Programs};
use lab::root::test_as_root;

const AS_ROOT: &str = env!("CARGO_BIN_EXE_lab-as-root");
/// Longer than any event takes to be shown.
const PATIENCE: Duration = Duration::from_secs(20);

/// A monitor that runs in the calling thread's namespace, and its lines.
struct Watch {
    child: Child,
    lines: Receiver<String>,
}

impl Watch {
    fn new(programs: &Programs, options: &[&str]) -> Self {
        // Stock keeps what it prints into a pipe until it has a good deal of it.
        let mut child = Command::new("stdbuf")
            .arg("-oL")
            .arg(programs.directory().join("xtables-monitor"))
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("stdbuf of coreutils");
        let out = child.stdout.take().expect("piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).split(b'\n') {
                let Ok(line) = line else { return };
                if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// Its lines up to one that contains `end`, that one included; what there is if it does not come.
    fn until(&self, end: &str) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            lines.push(line);
            if lines.last().is_some_and(|line| line.contains(end)) {
                break;
            }
        }
        lines
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command line of stock, or of another program, in the calling thread's namespace.
fn run(stock: &Programs, line: &str) {
    let words = lab::article::split(line);
    let name = words[0].as_str();
    if name.starts_with("ip6tables") || name.starts_with("iptables") {
        let outcome = stock.run(&Call::new(&words)).expect("runs");
        assert_eq!(outcome.code, 0, "{line}: {}", String::from_utf8_lossy(&outcome.stderr));
        return;
    }
    let status = Command::new(name).args(&words[1..]).status().unwrap_or_else(|e| panic!("{line}: {e}"));
    assert!(status.success(), "{line}");
}

/// Both monitors with these options, while `act` does something; their lines up to the one that is about the chain `the-end`.
fn both(options: &[&str], before: &[&str], act: impl FnOnce(&Programs)) -> [Vec<String>; 2] {
    let (stock, ours) = (Programs::theirs(), Programs::ours());
    let namespace = Netns::new().expect("a namespace");
    let _inside = namespace.enter().expect("inside");
    run(&stock, "ip link set lo up");
    before.iter().for_each(|line| run(&stock, line));
    let watches = [Watch::new(&stock, options), Watch::new(&ours, options)];
    // There is no sign by which one could see that they listen.
    std::thread::sleep(Duration::from_millis(500));
    act(&stock);
    run(&stock, "iptables -t mangle -N the-end");
    watches.map(|watch| watch.until("the-end"))
}

fn equal(lines: &[Vec<String>; 2], least: usize) {
    let [theirs, ours] = lines;
    let at = theirs.iter().zip(ours).position(|(a, b)| a != b).unwrap_or(theirs.len().min(ours.len()));
    assert_eq!(theirs.get(at), ours.get(at), "line {at} of {} and {}", theirs.len(), ours.len());
    assert!(theirs.len() >= least, "{theirs:#?}");
}

const CHANGES: &[&str] = &[
    "iptables -A INPUT -p tcp --dport 22 -j ACCEPT",
    "iptables -A INPUT -p tcp --dport 22 -j ACCEPT -c 5 7",
    "iptables -N foo",
    "iptables -A foo -s 1.2.3.4 -i lo ! -o eth0 -m mark --mark 1 -m comment --comment \"a b\" -j LOG --log-prefix \"x y\"",
    "iptables -I INPUT -j foo",
    "iptables -P FORWARD DROP",
    "iptables -R INPUT 1 -m conntrack --ctstate NEW -g foo",
    "iptables -Z",
    "iptables -D INPUT 1",
    "iptables -F",
    "iptables -E foo bar",
    "iptables -X bar",
    "iptables -t nat -A POSTROUTING -d 10.0.0.0/8 -j MASQUERADE",
    "ip6tables -A INPUT -s ::1 -j ACCEPT",
    "ip6tables -N six",
    "ip6tables -A six -m limit --limit 5/min -j LOG",
    "ip6tables -t raw -A PREROUTING -p icmpv6 -j NOTRACK",
    "nft add table ip t",
    "nft add chain ip t c",
    "nft add rule ip t c counter accept",
    "nft add chain ip filter hooked { type filter hook input priority 5; policy drop; }",
    "nft delete chain ip filter hooked",
    "nft add table inet it",
    "nft add chain inet it c",
    "nft add set ip filter s { type ipv4_addr; }",
    "nft flush ruleset",
];

#[test]
fn changes_are_told_as_stock_tells_them() {
    test_as_root("changes_are_told_as_stock_tells_them", AS_ROOT, || {
        for (options, least) in
            [(&["-e"][..], 60), (&["-e", "-c"], 60), (&["-e", "-4"], 40), (&["--event", "--ipv4"], 40)]
        {
            let lines = both(options, &[], |stock| CHANGES.iter().for_each(|line| run(stock, line)));
            equal(&lines, least);
        }
    });
}

/// Rules that lead packets through every sort of verdict.
const TRACED: &[&str] = &[
    "iptables -t raw -A PREROUTING -j TRACE",
    "iptables -t raw -A OUTPUT -j TRACE",
    "iptables -N foo",
    "iptables -N goo",
    "iptables -A INPUT -p icmp -j foo",
    "iptables -A INPUT -p udp -g goo",
    "iptables -A INPUT -p tcp -j REJECT --reject-with tcp-reset",
    "iptables -A foo -m length --length 1:90 -m comment --comment \"hello there\"",
    "iptables -A foo -j RETURN",
    "iptables -A goo -j MARK --set-mark 5",
    "iptables -A goo -p udp -m udp --dport 9 -j ACCEPT",
    "iptables -A goo -j DROP",
    "iptables -t mangle -A OUTPUT -p udp -j MARK --set-mark 0x10",
    "iptables -P INPUT DROP",
    "ip6tables -t raw -A OUTPUT -p udp -j TRACE",
    "ip6tables -A OUTPUT -m length --length 1:100 -j ACCEPT",
    "nft add table inet it",
    "nft add chain inet it out { type filter hook output priority 60; policy accept; }",
    "nft add rule inet it out meta l4proto udp counter accept",
];

/// Sends packets of several sorts over the loopback, slowly enough for stock.
fn send() {
    let pause = || std::thread::sleep(Duration::from_millis(30));
    let v4 = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    for (port, size) in [(9, 1), (8, 100), (9, 1400)] {
        let _ = v4.send_to(&vec![0x55; size], ("127.0.0.1", port));
        pause();
    }
    v4.set_ttl(7).expect("ttl");
    let _ = v4.send_to(b"x", "127.0.0.1:9");
    pause();
    // Nobody listens, and the answer is dropped: one segment and its repetition, if the patience lasted.
    let _ = TcpStream::connect_timeout(&"127.0.0.1:81".parse().expect("an address"), Duration::from_millis(40));
    pause();
    let v6 = UdpSocket::bind("[::1]:0").expect("a socket");
    for size in [1, 500] {
        let _ = v6.send_to(&vec![0x55; size], "[::1]:9");
        pause();
    }
}

#[test]
fn packets_are_traced_as_stock_traces_them() {
    test_as_root("packets_are_traced_as_stock_traces_them", AS_ROOT, || {
        for options in [&["-t", "-e"][..], &["-t", "-e", "-c"], &["-e", "-t", "-4"]] {
            let lines = both(options, TRACED, |_| send());
            for word in
                ["PACKET: 2 ", "rule:0x", "JUMP:foo", "GOTO:goo", "policy:DROP", "LOOPBACK", "MARK=0x10", "0xfffffffb"]
            {
                assert!(lines[0].iter().any(|line| line.contains(word)), "no {word} in {:#?}", lines[0]);
            }
            equal(&lines, 40);
        }
    });
}

#[test]
fn it_goes_on_where_stock_gives_up() {
    test_as_root("it_goes_on_where_stock_gives_up", AS_ROOT, || {
        let ours = Programs::ours();
        let namespace = Netns::new().expect("a namespace");
        let _inside = namespace.enter().expect("inside");
        let watch = Watch::new(&ours, &["-e"]);
        std::thread::sleep(Duration::from_millis(300));
        for line in [
            "ip6tables -A INPUT -p tcp -m tcp --dport 22 -j ACCEPT",
            "iptables -A INPUT -j ACCEPT",
            "nft add rule ip filter INPUT ct state new accept",
            "nft add rule ip filter INPUT ip saddr { 192.0.2.1, 192.0.2.2 } accept",
            "iptables -t mangle -N the-end",
        ] {
            run(&Programs::theirs(), line);
        }
        let lines = watch.until("the-end");
        let has = |text: &str| assert!(lines.iter().any(|line| line.contains(text)), "no {text} in {lines:#?}");
        has(" EVENT: -6 -t filter -A INPUT -p tcp -m tcp --dport 22 -j ACCEPT");
        has(" EVENT: # nft: ip filter INPUT handle ");
        assert!(!lines.iter().any(|line| line.ends_with("-A INPUT")), "{lines:#?}");
    });
}

#[test]
fn its_command_line_is_stocks() {
    test_as_root("its_command_line_is_stocks", AS_ROOT, || {
        let namespace = Netns::new().expect("a namespace");
        let _inside = namespace.enter().expect("inside");
        for words in [
            "-V",
            "--version",
            "-e -V",
            "-x",
            "--nosuch",
            "-e -x",
            "--i",
            "-h",
            "",
            "-4",
            "-c -6",
            "-e -h",
            "--counters --ver",
        ] {
            let call = Call::new(["xtables-monitor"].into_iter().chain(words.split_ascii_whitespace()));
            let (theirs, ours) =
                (Programs::theirs().run(&call).expect("runs"), Programs::ours().run(&call).expect("runs"));
            assert_eq!((theirs.code, &theirs.stderr), (ours.code, &ours.stderr), "{words}");
            // The help is in our own words, but names the same options.
            let lines = |text: &[u8]| text.iter().filter(|b| **b == b'\n').count();
            let help = lines(&theirs.stdout) > 1;
            assert!(
                if help { lines(&theirs.stdout) == lines(&ours.stdout) } else { theirs.stdout == ours.stdout },
                "{words}"
            );
        }
    });
}

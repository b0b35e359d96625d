//! Many programs at once, and one that is killed: nothing is lost, nothing is half done.
//!
//! A small sample by default; `OXTABLES_LAB_FULL=1` runs sixteen processes with 200 rules each, and 200 kills of a restore of
//! 10,000 rules.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use lab::oracle::{Call, Programs};
use lab::random::Random;
use lab::root::test_as_root;
use lab::side::Side;

const AS_ROOT: &str = env!("CARGO_BIN_EXE_lab-as-root");
const WRITERS: usize = 16;

fn full() -> bool {
    std::env::var_os("OXTABLES_LAB_FULL").is_some()
}

/// One writer's commands: adds all its rules, deletes every third again. The rules that must be there, in order.
fn write(side: &SharedSide<'_>, writer: usize, count: usize) -> Vec<String> {
    let _inside = side.netns.enter().expect("namespace");
    let run = |letter: &str, address: &str| {
        let outcome =
            side.programs.run(&Call::new(["iptables", letter, "INPUT", "-s", address, "-j", "DROP"])).expect("runs");
        let text = String::from_utf8_lossy(&outcome.stderr).into_owned();
        (outcome.code, text)
    };
    let mut kept = Vec::new();
    for number in 0..count {
        let address = format!("10.{writer}.{}.{}/32", number / 250, number % 250);
        let (code, text) = run("-A", &address);
        assert_eq!(code, 0, "-A of writer {writer} failed: {text}");
        if number % 3 == 2 {
            let (code, text) = run("-D", &address);
            assert_eq!(code, 0, "-D of writer {writer} failed: {text}");
        } else {
            kept.push(address);
        }
    }
    kept
}

/// The parts of a side that threads may share.
struct SharedSide<'s> {
    programs: &'s Programs,
    netns: &'s lab::netns::Netns,
}

#[test]
fn rules_of_sixteen_writers_are_all_there_once_and_in_order() {
    test_as_root("rules_of_sixteen_writers_are_all_there_once_and_in_order", AS_ROOT, || {
        let side = Side::new(Programs::ours()).expect("namespace");
        let shared = SharedSide { programs: &side.programs, netns: &side.netns };
        let count = if full() { 200 } else { 15 };
        let kept: Vec<Vec<String>> = std::thread::scope(|scope| {
            let shared = &shared;
            let threads: Vec<_> =
                (0..WRITERS).map(|writer| scope.spawn(move || write(shared, writer, count))).collect();
            threads.into_iter().map(|thread| thread.join().expect("writer")).collect()
        });
        let listed = side.run_other(&Programs::theirs(), &Call::new(["iptables", "-S", "INPUT"])).expect("runs");
        let text = String::from_utf8_lossy(&listed.stdout).into_owned();
        let mut found: BTreeMap<usize, Vec<String>> = BTreeMap::new();
        for address in text.lines().filter_map(|line| line.strip_prefix("-A INPUT -s ")?.strip_suffix(" -j DROP")) {
            let writer = address.split('.').nth(1).and_then(|part| part.parse().ok()).expect("a writer's address");
            found.entry(writer).or_default().push(address.to_owned());
        }
        for (writer, kept) in kept.iter().enumerate() {
            assert_eq!(found.get(&writer), Some(kept), "rules of writer {writer}");
        }
    });
}

fn ruleset(count: usize, net: u8) -> Vec<u8> {
    let mut text =
        "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:many - [0:0]\n".to_owned();
    for n in 0..count {
        let _ = writeln!(
            text,
            "-A many -s {net}.{}.{}.{}/32 -p tcp -m tcp --dport {} -j DROP",
            n >> 16,
            (n >> 8) & 255,
            n & 255,
            n % 60000
        );
    }
    text.push_str("-A INPUT -j many\nCOMMIT\n");
    text.into_bytes()
}

#[test]
fn a_killed_restore_leaves_the_old_ruleset_or_the_new_one() {
    test_as_root("a_killed_restore_leaves_the_old_ruleset_or_the_new_one", AS_ROOT, || {
        let (kills, rules) = if full() { (200, 10_000) } else { (12, 3_000) };
        let mut side = Side::new(Programs::ours()).expect("namespace");
        let restore = |text: Vec<u8>| Call::new(["iptables-restore"]).reading(text);
        let (old, new) = (restore(ruleset(50, 10)), restore(ruleset(rules, 11)));
        let start = Instant::now();
        assert_eq!(side.run(&new).expect("runs").code, 0);
        let whole = start.elapsed();
        let new_dump = side.dump().expect("dump");
        assert_eq!(side.run(&old).expect("runs").code, 0);
        let old_dump = side.dump().expect("dump");
        let (mut random, mut kept, mut swapped) = (Random::new(9), 0, 0);
        for _ in 0..kills {
            let moment =
                Duration::from_micros(random.between(0, u64::try_from(whole.as_micros()).unwrap_or(1) * 11 / 10));
            killed_after(&side, &new, moment);
            let dump = side.dump().expect("dump");
            if dump == old_dump || dump.lines() == old_dump.lines() {
                kept += 1;
            } else {
                assert_eq!(dump.rule_count(), new_dump.rule_count(), "killed after {moment:?}: neither old nor new");
                assert!(dump.lines() == new_dump.lines(), "killed after {moment:?}: not quite the new ruleset");
                swapped += 1;
                assert_eq!(side.run(&old).expect("runs").code, 0);
            }
        }
        println!("{kills} kills within {whole:?}: {kept} times the old ruleset, {swapped} times the new one");
    });
}

/// Starts the restore and kills it after so long.
fn killed_after(side: &Side, call: &Call, moment: Duration) {
    let path = std::env::temp_dir().join(format!("oxtables-lab-restore-{}", std::process::id()));
    std::fs::write(&path, call.input.as_deref().unwrap_or_default()).expect("file");
    let mut child = {
        let _inside = side.netns.enter().expect("namespace");
        let mut command = side.programs.command(&call.argv);
        command.stdin(std::fs::File::open(&path).expect("file")).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("starts")
    };
    std::thread::sleep(moment);
    let _ = child.kill();
    child.wait().expect("waits");
    let _ = std::fs::remove_file(path);
}

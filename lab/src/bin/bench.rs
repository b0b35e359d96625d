//! `bench [--sizes 10,1000,10000,100000] [--only WORD] [--check]`: what commands cost with ours and with stock, in turn.
//!
//! Prints medians and the ratios ours/stock; `--check` exits 1 if a bound of the project is not kept. Ours must be a release
//! build. One chain holds all rules unless the row says 50 chains; the last rows are the kernel's own dump, undecoded.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program for people")]

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use lab::measure::{self, Cost, cost};
use lab::netlink::{GET_RULE, IPV4, Netlink, push_string};
use lab::oracle::Call;
use lab::side::{Pair, Side};

/// Empties a side and waits until the kernel has taken down what was there, which it does behind the commit: else the next one pays for it.
fn emptied(side: &mut Side) -> io::Result<()> {
    side.flush()?;
    std::thread::sleep(Duration::from_millis(500));
    Ok(())
}

/// Upper bounds for the ratio of wall time (and memory, 0: none) by row.
const BOUNDS: [(&str, f64, f64); 5] = [
    ("-A 10", 0.7, 0.0),
    ("restore 100000", 0.5, 0.4),
    ("save 100000 in 50 chains", 0.15, 0.0),
    ("-S INPUT 1 100000", 0.05, 0.0),
    ("restore 100000 in 50 chains", 0.5, 0.4),
];

struct Bench {
    pair: Pair,
    only: Option<String>,
    broken: Vec<String>,
    directory: PathBuf,
}

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1).peekable();
    if words.peek().is_some_and(|word| word == measure::HELPER) {
        return match measure::helper(words.skip(1)) {
            Ok(line) => {
                println!("{line}");
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        };
    }
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> io::Result<bool> {
    lab::root::become_root()?;
    let (mut sizes, mut only, mut check) = (vec![10, 1000, 10_000, 100_000], None, false);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| io::Error::other(format!("{word} needs a value")));
        match word.as_str() {
            "--sizes" => sizes = value()?.split(',').filter_map(|size| size.parse().ok()).collect(),
            "--only" => only = Some(value()?),
            "--check" => check = true,
            _ => return Err(io::Error::other(format!("unknown word {word}"))),
        }
    }
    let directory = std::env::temp_dir().join(format!("oxtables-bench-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let mut bench = Bench { pair: Pair::new()?, only, broken: Vec::new(), directory: directory.clone() };
    println!(
        "{:<28} {:>10} {:>10} {:>6} {:>6} {:>9} {:>9} {:>6}",
        "", "theirs ms", "ours ms", "wall", "user", "their KiB", "our KiB", "memory"
    );
    for size in sizes {
        bench.size(size, 1)?;
        if size >= 1000 {
            bench.size(size, 50)?;
        }
    }
    std::fs::remove_dir_all(directory)?;
    for text in &bench.broken {
        println!("not kept: {text}");
    }
    Ok(!check || bench.broken.is_empty())
}

impl Bench {
    /// All rows for one size of ruleset.
    fn size(&mut self, size: usize, chains: usize) -> io::Result<()> {
        let file = self.directory.join("rules");
        std::fs::write(&file, ruleset(size, chains))?;
        let turns =
            [(10_000, 5), (1000, 15), (0, 40)].iter().find(|(least, _)| size > *least).map_or(40, |(_, turns)| *turns);
        let tag = if chains == 1 { size.to_string() } else { format!("{size} in {chains} chains") };
        let words = |text: &str| Call::new(text.split(' '));
        self.row(&format!("restore {tag}"), turns.min(7), &words("iptables-restore"), Some(&file), emptied)?;
        self.load(&file)?;
        self.row(&format!("save {tag}"), turns, &words("iptables-save"), None, nothing)?;
        if chains == 1 {
            let last = rule(size - 1, "INPUT");
            for command in ["-L -n", "-S INPUT 1", "-L INPUT 1 -n"] {
                self.row(&format!("{command} {tag}"), turns, &words(&format!("iptables {command}")), None, nothing)?;
            }
            self.row(&format!("-C last {tag}"), turns, &words(&format!("iptables -C {last}")), None, nothing)?;
            let extra = "INPUT -s 192.0.2.1/32 -j DROP";
            self.pairwise(&tag, turns, ["-A", "-D"], extra)?;
            self.pairwise(&tag, turns, ["-I", "-D"], "INPUT 1 -s 192.0.2.1/32 -j DROP")?;
        }
        self.kernel(&tag, turns.min(5), chains)
    }

    fn wanted(&self, name: &str) -> bool {
        self.only.as_deref().is_none_or(|word| name.contains(word))
    }

    /// The same ruleset on both sides, written by stock.
    fn load(&mut self, file: &Path) -> io::Result<()> {
        self.pair.flush()?;
        let call = Call::new(["iptables-restore"]).reading(std::fs::read(file)?);
        let theirs = self.pair.theirs.programs.clone();
        for side in [&self.pair.theirs, &self.pair.ours] {
            let outcome = side.run_other(&theirs, &call)?;
            if outcome.code != 0 {
                return Err(io::Error::other(format!("stock refuses the ruleset: {outcome:?}")));
            }
        }
        Ok(())
    }

    /// Measures one command on both sides in turn.
    fn row(
        &mut self,
        name: &str,
        turns: usize,
        call: &Call,
        input: Option<&Path>,
        prepare: impl Fn(&mut Side) -> io::Result<()>,
    ) -> io::Result<()> {
        if !self.wanted(name) {
            return Ok(());
        }
        let (mut theirs, mut ours) = (Vec::new(), Vec::new());
        for _ in 0..turns {
            for (side, costs) in [(&mut self.pair.theirs, &mut theirs), (&mut self.pair.ours, &mut ours)] {
                prepare(side)?;
                costs.push(once(side, call, input)?);
            }
        }
        self.print(name, &theirs, &ours);
        Ok(())
    }

    /// Measures a command that adds a rule and the one that takes it away again, in turn.
    fn pairwise(&mut self, tag: &str, turns: usize, letters: [&str; 2], extra: &str) -> io::Result<()> {
        let names = letters.map(|letter| format!("{letter}{} {tag}", if extra.contains(" 1 -s") { " 1" } else { "" }));
        if !names.iter().any(|name| self.wanted(name)) {
            return Ok(());
        }
        let add = Call::new(format!("iptables {} {extra}", letters[0]).split(' '));
        let remove = Call::new(format!("iptables -D {}", extra.replace("INPUT 1 ", "INPUT ")).split(' '));
        let mut costs = [const { Vec::new() }; 4];
        for _ in 0..turns {
            for (index, side) in [&self.pair.theirs, &self.pair.ours].into_iter().enumerate() {
                costs[index].push(once(side, &add, None)?);
                costs[2 + index].push(once(side, &remove, None)?);
            }
        }
        let [add_theirs, add_ours, remove_theirs, remove_ours] = &costs;
        self.print(&names[0], add_theirs, add_ours);
        let place = if extra.contains(" 1 -s") { "first" } else { "last" };
        self.print(&format!("-D {place} {tag}"), remove_theirs, remove_ours);
        Ok(())
    }

    /// The kernel's own part of a listing: the dump, read into a large buffer and thrown away; in turn with our save of the same.
    fn kernel(&self, tag: &str, turns: usize, chains: usize) -> io::Result<()> {
        if !self.wanted("kernel") {
            return Ok(());
        }
        let save = Call::new(["iptables-save"]);
        let _inside = self.pair.ours.netns.enter()?;
        let mut netlink = Netlink::open(1 << 18)?;
        let (mut dumps, mut saves) = (Vec::new(), Vec::new());
        for _ in 0..turns {
            let start = Instant::now();
            for chain in 0..chains {
                let mut attributes = Vec::new();
                push_string(&mut attributes, 1, b"filter");
                push_string(&mut attributes, 2, chain_name(chain, chains).as_bytes());
                netlink.dump_once(GET_RULE, IPV4, &attributes, |_, _| {})?;
            }
            dumps.push(Cost { wall: start.elapsed(), ..Cost::default() });
            saves.push(once(&self.pair.ours, &save, None)?);
        }
        let (dump, save) = (millis(median(&dumps).wall), millis(median(&saves).wall));
        println!(
            "{:<28} {dump:>10.2} {save:>10.2} {:>6.2}  (theirs: the bare dump; ours: save)",
            format!("kernel {tag}"),
            save / dump
        );
        Ok(())
    }

    fn print(&mut self, name: &str, theirs: &[Cost], ours: &[Cost]) {
        let (t, o) = (median(theirs), median(ours));
        let ratio = |ours: f64, theirs: f64| ours / theirs.max(f64::MIN_POSITIVE);
        let wall = ratio(millis(o.wall), millis(t.wall));
        let user = ratio(millis(o.user), millis(t.user));
        let memory = ratio(o.memory as f64, t.memory as f64);
        println!(
            "{name:<28} {:>10.2} {:>10.2} {wall:>6.2} {user:>6.2} {:>9} {:>9} {memory:>6.2}",
            millis(t.wall),
            millis(o.wall),
            t.memory,
            o.memory
        );
        for (_, wall_bound, memory_bound) in BOUNDS.iter().filter(|(row, ..)| *row == name) {
            if wall > *wall_bound {
                self.broken.push(format!("{name}: wall {wall:.3}, bound {wall_bound}"));
            }
            if *memory_bound > 0.0 && memory > *memory_bound {
                self.broken.push(format!("{name}: memory {memory:.3}, bound {memory_bound}"));
            }
        }
    }
}

fn nothing(_: &mut Side) -> io::Result<()> {
    Ok(())
}

fn once(side: &Side, call: &Call, input: Option<&Path>) -> io::Result<Cost> {
    let _inside = side.netns.enter()?;
    let cost = cost(&side.programs, call, input)?;
    if cost.code == 0 { Ok(cost) } else { Err(io::Error::other(format!("{} exits {}", call.shell(), cost.code))) }
}

/// The median of each figure on its own; the largest memory.
fn median(costs: &[Cost]) -> Cost {
    let middle = |figure: fn(&Cost) -> Duration| {
        let mut all: Vec<_> = costs.iter().map(figure).collect();
        all.sort();
        all.get(all.len() / 2).copied().unwrap_or_default()
    };
    let memory = costs.iter().map(|cost| cost.memory).max().unwrap_or(0);
    Cost { wall: middle(|c| c.wall), user: middle(|c| c.user), system: middle(|c| c.system), memory, code: 0 }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn chain_name(chain: usize, chains: usize) -> String {
    if chains == 1 { "INPUT".to_owned() } else { format!("chain{chain}") }
}

fn rule(number: usize, chain: &str) -> String {
    let (a, b, c) = (number >> 16, (number >> 8) & 255, number & 255);
    format!("{chain} -s 10.{a}.{b}.{c}/32 -p tcp -m tcp --dport {} -j ACCEPT", 1 + number % 60000)
}

fn ruleset(size: usize, chains: usize) -> String {
    let mut text = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n".to_owned();
    for chain in (0..chains).filter(|_| chains > 1) {
        let _ = writeln!(text, ":{} - [0:0]", chain_name(chain, chains));
    }
    for number in 0..size {
        let _ = writeln!(text, "-A {}", rule(number, &chain_name(number * chains / size, chains)));
    }
    text.push_str("COMMIT\n");
    text
}

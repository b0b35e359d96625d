//! The help texts: usage lines, commands and options of the drop-in programs, and behind them the extensions named on the command line,
//! whose part is made from their option tables.
//!
//! The order of the parts, the usage lines and the headings (`tcp match options:`) are stock's, because scripts look into them to learn
//! what is there; the sentences are our own. Sources: iptables(8), iptables-restore(8); observed.

use crate::ext::{Match, Opt, Spec};
use crate::types::{Family, Out};

/// The column at which descriptions begin, and the width of the text, both in bytes.
const COLUMN: usize = 32;
const WIDTH: usize = 100;

/// The help of iptables and ip6tables; then the extensions named before `-h`, in this order.
pub fn iptables(program: &str, family: Family, extensions: &[&'static Spec], out: &mut Out) {
    writeln!(out, "{program} v1.8.9 (nf_tables)\n");
    for (i, line) in USAGE.iter().enumerate() {
        writeln!(out, "{} {program} {line}", if i == 0 { "Usage:" } else { "      " });
    }
    out.str("\nCommands:\nEither long or short options are allowed.\n");
    for (left, text) in COMMANDS {
        entry("  ", left, text, out);
    }
    out.str("\nOptions:\n");
    for option in OPTIONS.iter().filter(|o| o.families.contains(&family)) {
        entry(if option.invert { "[!] " } else { "    " }, option.left, option.text, out);
    }
    for spec in extensions {
        out.byte(b'\n');
        extension(spec, family, out);
    }
}

/// The help of iptables-restore and ip6tables-restore.
pub fn restore(program: &str, out: &mut Out) {
    writeln!(out, "Usage: {program} [-c] [-v] [-V] [-t] [-h] [-n] [-T table] [-M command] [-4] [-6] [file]");
    for (left, text) in RESTORE {
        entry("  ", left, text, out);
    }
}

/// The help of one extension.
pub fn extension(spec: &Spec, family: Family, out: &mut Out) {
    let kind = if Match::ALL.iter().any(|m| m.name == spec.name) { "match" } else { "target" };
    if spec.options.is_empty() {
        writeln!(out, "{} {kind} has no options: {}", spec.name, spec.summary);
    } else {
        writeln!(out, "{} {kind} options: ({})", spec.name, spec.summary);
    }
    for (i, opt) in spec.options.iter().enumerate() {
        // Other names of an option stand beside the first.
        let same = |o: &&Opt| o.id == opt.id && o.kind == opt.kind;
        if spec.options.iter().take(i).any(|o| same(&o)) {
            continue;
        }
        let names: Vec<_> = spec.options.iter().filter(same).map(|o| format!("--{}", o.name)).collect();
        let left = format!("{} {}", names.join(", "), opt.metavar);
        let needed = if opt.required { " (needed)" } else { "" };
        entry(if opt.invert { "[!] " } else { "    " }, left.trim_end(), &format!("{}{needed}", opt.help), out);
    }
    for (name, text) in (spec.notes)(family) {
        match text.is_empty() {
            true if name.ends_with(':') => writeln!(out, "{name}"),
            true => writeln!(out, "    {name}"),
            false => entry("    ", name, text, out),
        }
    }
}

/// One line: what is written, and at [`COLUMN`] what it means, folded at [`WIDTH`]. On a line of its own if there is no room beside it.
fn entry(before: &str, left: &str, text: &str, out: &mut Out) {
    let start = out.len();
    write!(out, "{before}{left}");
    let mut column = out.len() - start;
    if column + 1 > COLUMN {
        out.byte(b'\n');
        column = 0;
    }
    for word in text.split(' ') {
        if column >= COLUMN && column + 1 + word.len() > WIDTH {
            out.byte(b'\n');
            column = 0;
        }
        let blanks = if column < COLUMN { COLUMN - column } else { 1 };
        write!(out, "{:blanks$}{word}", "");
        column += blanks + word.len();
    }
    out.byte(b'\n');
}

const USAGE: &[&str] = &[
    "-[ACD] chain rule-specification [options]",
    "-I chain [rulenum] rule-specification [options]",
    "-R chain rulenum rule-specification [options]",
    "-D chain rulenum [options]",
    "-[LS] [chain [rulenum]] [options]",
    "-[FZ] [chain] [options]",
    "-[NX] chain",
    "-E old-chain-name new-chain-name",
    "-P chain target [options]",
    "-h (print this help information)",
];

const COMMANDS: &[(&str, &str)] = &[
    ("--append  -A chain", "put a rule at the end of the chain"),
    ("--check   -C chain", "say by the exit code whether the chain has such a rule"),
    ("--delete  -D chain", "take out the first rule that is the same"),
    ("--delete  -D chain rulenum", "take out the rule of this number (the first is 1)"),
    ("--insert  -I chain [rulenum]", "put a rule before the one of this number (by default the first)"),
    ("--replace -R chain rulenum", "put a rule in the place of the one of this number"),
    ("--list    -L [chain [rulenum]]", "show the rules of a chain, or of all, as a table"),
    ("--list-rules -S [chain [rulenum]]", "print the rules of a chain, or of all, as commands"),
    ("--flush   -F [chain]", "take out all rules of a chain, or of all chains"),
    ("--zero    -Z [chain [rulenum]]", "set the counters of a rule, a chain or all chains to zero"),
    ("--new     -N chain", "make a chain (also --new-chain)"),
    ("--delete-chain -X [chain]", "remove an empty chain of one's own, or all of them"),
    ("--policy  -P chain target", "set what becomes of packets at the end of a built-in chain: ACCEPT or DROP"),
    ("--rename-chain -E old-chain new-chain", "give a chain another name; jumps to it follow"),
];

/// A row of the part "Options".
#[derive(Clone, Copy)]
struct Row {
    families: &'static [Family],
    invert: bool,
    left: &'static str,
    text: &'static str,
}

const fn row(left: &'static str, text: &'static str) -> Row {
    Row { families: &[Family::V4, Family::V6], invert: false, left, text }
}

const fn inverted(left: &'static str, text: &'static str) -> Row {
    Row { invert: true, ..row(left, text) }
}

const fn only(family: &'static [Family], row: Row) -> Row {
    Row { families: family, ..row }
}

const V4: &[Family] = &[Family::V4];
const V6: &[Family] = &[Family::V6];

const OPTIONS: &[Row] = &[
    only(V4, row("--ipv4 -4", "no effect; ip6tables-restore passes over lines that have it")),
    only(V4, row("--ipv6 -6", "an error; iptables-restore passes over lines that have it")),
    only(V6, row("--ipv4 -4", "an error; ip6tables-restore passes over lines that have it")),
    only(V6, row("--ipv6 -6", "no effect; iptables-restore passes over lines that have it")),
    inverted("--protocol -p proto", "protocol, by number or name; all for any"),
    inverted("--source -s address[/mask][,...]", "source address or network (also --src)"),
    inverted("--destination -d address[/mask][,...]", "destination address or network (also --dst)"),
    inverted("--in-interface -i name[+]", "interface it came in by; + at the end stands for any ending"),
    row("--jump -j target", "what to do with the packet: ACCEPT, DROP, RETURN, a chain, or an extension's target"),
    row("--goto -g chain", "go on in a chain and do not come back to this one"),
    row("--match -m match", "load a match, whose options may follow"),
    row("--numeric -n", "list addresses and ports as numbers"),
    inverted("--out-interface -o name[+]", "interface it goes out by; + at the end stands for any ending"),
    row("--table -t table", "the table: filter (by default), nat, mangle, raw or security"),
    row("--verbose -v", "say more; list counters and interfaces too"),
    row("--wait -w [seconds]", "no effect here: there is no lock to wait for"),
    row("--wait-interval -W microseconds", "no effect, and only beside --wait"),
    row("--line-numbers", "put its number before each rule listed"),
    row("--json", "list as JSON (not stock's; see docs/json.md)"),
    row("--exact -x", "list counters in full"),
    only(V4, inverted("--fragments -f", "fragments of a packet other than the first")),
    row("--modprobe=command -M command", "no effect: the kernel loads its modules by itself"),
    row("--set-counters -c packets bytes", "what the counters of a new rule start with"),
    row("--help -h", "print this help; extensions named before it print theirs"),
    inverted("--version -V", "print the version"),
];

const RESTORE: &[(&str, &str)] = &[
    ("-c, --counters", "take the counters from the file too"),
    ("-v, --verbose", "say what is done"),
    ("-V, --version", "print the version"),
    ("-t, --test", "read and check the file, and change nothing"),
    ("-h, --help", "print this help"),
    ("-n, --noflush", "keep the rules that are there"),
    ("-T, --table=table", "take only this table from the file"),
    ("-M, --modprobe=command", "no effect: the kernel loads its modules by itself"),
    ("-w, --wait[=seconds]", "no effect: there is no lock to wait for"),
    ("-W, --wait-interval=microseconds", "no effect"),
    ("-4, --ipv4", "the file is for IPv4"),
    ("-6, --ipv6", "the file is for IPv6"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::Target;
    use crate::text::getopt::LONG;

    fn text(family: Family, extensions: &[&'static Spec]) -> String {
        let mut out = Out::new();
        iptables("iptables", family, extensions, &mut out);
        String::from_utf8(out.into_bytes()).unwrap()
    }

    #[test]
    fn every_option_of_every_extension_is_in_it() {
        for family in [Family::V4, Family::V6] {
            let all: Vec<_> = Match::ALL.iter().chain(Target::ALL).copied().collect();
            let help = text(family, &all);
            for (long, letter) in LONG.iter().filter(|(_, letter)| family == Family::V4 || *letter != b'f') {
                let rows = help.lines().filter(|line| line.contains(&format!("--{long}")));
                let short = format!(" -{}", char::from(*letter));
                assert!(rows.into_iter().any(|l| *letter == b'0' || long.len() == 3 || l.contains(&short)), "--{long}");
            }
            for spec in all {
                for opt in spec.options {
                    assert!(help.contains(&format!("--{}", opt.name)), "{}: --{}", spec.name, opt.name);
                }
            }
            assert!(help.lines().all(|l| l.len() <= WIDTH), "a line is too long");
        }
    }

    #[test]
    fn the_head_is_as_programs_know_it() {
        let help = text(Family::V4, &[]);
        assert!(
            help.starts_with(
                "iptables v1.8.9 (nf_tables)\n\nUsage: iptables -[ACD] chain rule-specification [options]\n"
            )
        );
        assert!(help.contains("\n       iptables -P chain target [options]\n"));
        assert!(help.contains("--fragments") && !text(Family::V6, &[]).contains("--fragments"));
    }

    #[test]
    fn an_extension_has_its_heading_and_its_synonyms_in_one_line() {
        let log = Target::ALL.iter().find(|s| s.name == "LOG").copied().unwrap();
        let help = text(Family::V4, &[log]);
        assert!(help.contains("\nLOG target options: "));
        assert!(help.contains("    --log-prefix prefix "));
        let mut out = Out::new();
        entry("[!] ", "--name value-that-is-rather-long-is-it", "text", &mut out);
        assert_eq!(out.as_bytes(), format!("[!] --name value-that-is-rather-long-is-it\n{:32}text\n", "").as_bytes());
    }
}

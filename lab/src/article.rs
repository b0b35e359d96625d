//! Case files: commands in order (the articles' own, and what programs call), for both families.
//!
//! A case file holds one command a line, words parted by blanks with the shell's double quotes; `#` starts a comment line.
//! `@listings` stands for all forms of listing, `@fresh` for an empty kernel. A last word `<TEXT` is what the command reads, with
//! `|` for each newline; a last word `<<` says that it reads the lines below, up to a line `<<`, as they are. A line `6: COMMAND` is for IPv6 only, `4: COMMAND` for IPv4 only; any other is turned into IPv6 by
//! [`to_v6`].

use crate::compare::{Difference, What, outcomes, parting};
use crate::generate::commands;
use crate::oracle::Call;
use crate::side::Pair;

/// The commands of a case file for one family; a new list begins at each `@fresh`.
///
/// # Panics
/// When a line is not a command of the drop-in.
#[must_use]
pub fn read(text: &str, v6: bool) -> Vec<Vec<Call>> {
    let parts = text.split("\n@fresh\n");
    parts.map(|part| part_of(part, v6)).collect()
}

fn part_of(text: &str, v6: bool) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // before the line may be left out: what it reads goes with it
        let below: Option<String> = line
            .ends_with(" <<")
            .then(|| lines.by_ref().take_while(|line| *line != "<<").map(|line| format!("{line}\n")).collect());
        let (line, only) = match (line.strip_prefix("4: "), line.strip_prefix("6: ")) {
            (Some(rest), _) => (rest, Some(false)),
            (_, Some(rest)) => (rest, Some(true)),
            _ => (line, None),
        };
        if only.is_some_and(|only| only != v6) {
            continue;
        }
        if line == "@listings" {
            calls.extend(listings(v6));
            continue;
        }
        let mut words = split(line);
        let input = words.pop_if(|word| word.starts_with('<'));
        assert!(words[0].starts_with("iptables") || words[0].starts_with("ip6tables"), "not a command: {line}");
        let words = if v6 && only.is_none() { words.iter().map(|word| to_v6(word)).collect() } else { words };
        let call = Call::new(words);
        calls.push(match input {
            Some(_) if below.is_some() => call.reading(below.unwrap_or_default()),
            Some(text) => call.reading(text[1..].replace('|', "\n")),
            None => call,
        });
    }
    calls
}

/// Runs a list of commands on both sides, and compares what each says and what the kernel holds behind it.
///
/// # Panics
/// When a command cannot be started or the kernel cannot be read.
pub fn compare(pair: &mut Pair, calls: &[Call]) -> Vec<Difference> {
    let mut found = Vec::new();
    for end in 1..=calls.len() {
        let (theirs, ours) = pair.run(&calls[end - 1]).expect("runs");
        // listings change nothing, so only the commands before them are needed to repeat
        let history: Vec<Call> =
            calls[..end - 1].iter().filter(|call| !lists(call)).chain([&calls[end - 1]]).cloned().collect();
        found.extend(outcomes(&history, &theirs, &ours));
        let (theirs, ours) = (pair.theirs.dump().expect("dump"), pair.ours.dump().expect("dump"));
        if let Some((theirs, ours)) = parting(&theirs.lines(), &ours.lines()) {
            found.push(Difference { what: What::Kernel, commands: history, theirs, ours });
            break;
        }
    }
    found
}

fn lists(call: &Call) -> bool {
    call.argv[0].ends_with(b"-save") || call.argv.iter().any(|word| word == b"-L" || word == b"-S")
}

/// All forms of listing the tables that the articles use, and both saves.
#[must_use]
pub fn listings(v6: bool) -> Vec<Call> {
    let mut calls: Vec<Call> = commands::listings(v6, "filter").into_iter().map(without_table).collect();
    calls.extend(commands::listings(v6, "nat"));
    calls
}

/// The filter table is what is listed when no table is named; `-save` then shows all.
fn without_table(mut call: Call) -> Call {
    if let Some(at) = call.argv.iter().position(|word| word == b"-t") {
        call.argv.drain(at..at + 2);
    }
    call
}

/// Splits a line into words at blanks, double quotes removed; inside them a backslash takes the next letter as it is.
#[must_use]
pub fn split(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut open) = (Vec::new(), String::new(), false, false);
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if quoted => word.extend(letters.next()),
            '"' => {
                quoted = !quoted;
                open = true;
            }
            ' ' if !quoted => {
                if open {
                    words.push(std::mem::take(&mut word));
                }
                open = false;
            }
            _ => {
                word.push(letter);
                open = true;
            }
        }
    }
    if open {
        words.push(word);
    }
    words
}

/// The IPv6 form of an IPv4 word: program names, documentation addresses for addresses, `ipv6-icmp` for `icmp`.
fn to_v6(word: &str) -> String {
    if let Some(rest) = word.strip_prefix("iptables") {
        return format!("ip6tables{rest}");
    }
    if word == "icmp" {
        return "ipv6-icmp".to_owned();
    }
    let (address, length) = word.split_once('/').unwrap_or((word, ""));
    let Ok(address) = address.parse::<std::net::Ipv4Addr>() else { return word.to_owned() };
    let [a, b, c, d] = address.octets();
    let address = std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, a.into(), b.into(), c.into(), d.into());
    match length.parse::<u8>() {
        Ok(length) => format!("{address}/{}", 64 + u32::from(length) * 2),
        Err(_) => address.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_becomes_a_command_of_either_family() {
        let text = "iptables -A INPUT -s 10.3.0.0/16 -j LOG --log-prefix \"a b \"\n4: iptables -F\n";
        let [four, flush] = &read(text, false)[0][..] else { panic!() };
        assert_eq!(four.shell(), "iptables -A INPUT -s 10.3.0.0/16 -j LOG --log-prefix 'a b '");
        assert_eq!(flush.shell(), "iptables -F");
        let [six] = &read(text, true)[0][..] else { panic!() };
        assert_eq!(
            read("iptables -F\n@fresh\niptables-restore \"<*nat|COMMIT|\"", false)[1][0].input.as_deref(),
            Some(&b"*nat\nCOMMIT\n"[..])
        );
        assert_eq!(six.argv[4], b"2001:db8::a:3:0:0/96");
    }
}

//! One file for both families: which lines are IPv4's and which IPv6's.
//!
//! A line goes to the family whose program takes it: it names an address, an option or an extension that only this one has, or stands behind
//! `-4` or `-6`, or is about a protocol that only this one has (`icmp`, `ipv6-icmp`). Every other line goes to both, and one that neither
//! takes as well, so that it is not lost but complained of. Lines keep their numbers. Source: design §6.

use super::lexer::{Words, counters_prefix, lines};
use super::{CommandKind, Context, parse};
use crate::types::{Family, Names};

/// ICMP and IGMP.
const ONLY_V4: [u8; 2] = [1, 2];
/// ICMPv6.
const ONLY_V6: [u8; 1] = [58];

/// A text in the save format, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Families {
    /// What is IPv4's; the other lines are empty.
    pub v4: Vec<u8>,
    /// What is IPv6's.
    pub v6: Vec<u8>,
}

impl Families {
    /// Takes a text apart. Hosts that are named are looked up.
    pub fn split(text: &[u8], names: &dyn Names) -> Self {
        let mut families = Self::default();
        let mut table = b"filter".to_vec();
        for line in lines(text) {
            if let Some(name) = line.strip_prefix(b"*") {
                table = name.trim_ascii().to_vec();
            }
            let (v4, v6) = match line.first() {
                Some(b'-' | b'[') => {
                    let takes = |family| takes(line, family, &table, names);
                    match (takes(Family::V4), takes(Family::V6)) {
                        (false, false) => (true, true),
                        some => some,
                    }
                }
                _ => (true, true),
            };
            families.v4.extend_from_slice(if v4 { line } else { b"\n" });
            families.v6.extend_from_slice(if v6 { line } else { b"\n" });
        }
        families
    }

    /// The text of one family.
    pub fn of(&self, family: Family) -> &[u8] {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }
}

/// The families whose programs take a command, and that it is about: none, one or both.
pub fn families_of(words: &[&[u8]], names: &dyn Names) -> Vec<Family> {
    let takes = |family: &Family| takes_words(words, *family, b"filter", false, names);
    [Family::V4, Family::V6].into_iter().filter(takes).collect()
}

/// Whether a family's program takes a line, and it is about a protocol of this family.
fn takes(line: &[u8], family: Family, table: &[u8], names: &dyn Names) -> bool {
    let rest = counters_prefix(line).map_or(line, |(_, _, rest)| rest);
    let mut words = Words::default();
    if words.split(rest).is_err() {
        return false;
    }
    let words: Vec<&[u8]> = words.iter().collect();
    takes_words(&words, family, table, true, names)
}

fn takes_words(words: &[&[u8]], family: Family, table: &[u8], restore: bool, names: &dyn Names) -> bool {
    let cx = Context { family, names, restore, table, verbose: false };
    let Ok(command) = parse(words, &cx, &mut Vec::new()) else { return false };
    let foreign: &[u8] = if family == Family::V4 { &ONLY_V6 } else { &ONLY_V4 };
    let protocol = command.rule.body.base.protocol;
    command.late.is_none()
        && !matches!(command.kind, CommandKind::OtherFamily)
        && !protocol.is_some_and(|(protocol, not)| !not && foreign.contains(&protocol))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::NoNames;

    #[test]
    fn each_line_goes_where_it_belongs() {
        let text = b"*filter\n:INPUT DROP [0:0]\n-A INPUT -i lo -j ACCEPT\n-A INPUT -s 192.0.2.1 -j ACCEPT\n\
-A INPUT -s 2001:db8::/32 -j DROP\n-A INPUT -p icmp -j ACCEPT\n-A INPUT -p ipv6-icmp -j ACCEPT\n\
[5:6] -A INPUT -p icmpv6 -m icmp6 --icmpv6-type 128 -j ACCEPT\n-4 -A INPUT -p tcp -j DROP\n-6 -A INPUT -p udp -j DROP\n\
-A INPUT -j REJECT\n-A INPUT -j REJECT --reject-with icmp6-adm-prohibited\n-A INPUT --nonsense\nCOMMIT\n";
        let families = Families::split(text, &NoNames);
        let numbers = |text: &[u8]| -> Vec<usize> {
            (1..).zip(lines(text)).filter(|(_, line)| *line != b"\n").map(|(n, _)| n).collect()
        };
        assert_eq!(numbers(&families.v4), [1, 2, 3, 4, 6, 9, 11, 13, 14]);
        assert_eq!(numbers(&families.v6), [1, 2, 3, 5, 7, 8, 10, 11, 12, 13, 14]);
        assert_eq!(families.of(Family::V4), families.v4);
    }
}

//! A rule in the words of nft(8), as `iptables-translate` of stock 1.8.9 prints it: the generic part, the order of the parts, and what the
//! extensions' translations share.
//!
//! A rule is translated as a whole or not at all: what nft(8) would not read, or would read as another rule, has no translation
//! (docs/behaviour.md lists where stock prints one all the same).
//!
//! Sources: iptables-translate(8), nft(8); measured against stock and nft 1.0.6.

use super::base::print_protocol;
use super::{Action, Base, Body, Match, PrintCx};
use crate::types::{Family, IfacePattern, Network, Out};

/// The longest comment of a rule in bytes (nft(8), RULES).
const COMMENT_MAX: usize = 128;

/// Words that nft(8) reads as its own wherever the name of a chain or table is expected, in alphabetical order. Measured: each was tried as one.
const RESERVED: &str = "\
    accept add ah all and arp auto-merge bridge cgroup chain comment comp constant continue counter cpu create ct day dccp define \
    delete describe device devices dnat drop dst dup dynamic ecn element elements eq esp ether exists expires export exthdr fib \
    flags flow flowtable flush frag fwd gc-interval ge get goto gt handle hbh hook hour ibriport ibrname icmp icmpv6 igmp iif \
    iifgroup iifname iiftype import include index inet insert interval ip ip6 ipsec jhash jump le limit list log lshift lt map mark \
    masquerade meta meter mh missing monitor ne netdev nftrace not notrack numgen obriport obrname offload oif oifgroup oifname \
    oiftype or osf pkttype policy position priority queue quota random redefine redirect reject rename replace reset return rshift \
    rt rt0 rt2 rtclassid rule ruleset sctp secmark set size skgid skuid snat socket srh symhash synproxy table tcp th time timeout \
    tproxy type typeof udp udplite undefine update vlan vmap xor xt";

impl Body {
    /// Prints what stands behind `add rule FAMILY TABLE CHAIN`, with no blank before or behind; what is left behind of a rule that has no
    /// translation (false) means nothing.
    pub fn translate(&self, cx: &PrintCx<'_>, out: &mut Out) -> bool {
        let begin = out.len();
        let protocol = self.base.protocol.filter(|(_, not)| !not).map(|(p, _)| p);
        let cx = &PrintCx { protocol, ..*cx };
        let implied_by = self.implies_protocol(cx);
        if !self.base.translate(implied_by.is_some(), cx, out) {
            return false;
        }
        let (mut note, mut words, mut named) = (None, Out::new(), implied_by.is_none());
        for m in &self.matches {
            if let Match::Comment(comment) = m {
                note = Some(comment.text());
                continue;
            }
            words.clear();
            // The ports of a connection are of a protocol that has been named before.
            let unnamed = PrintCx { protocol: None, ..*cx };
            let cx = if named || !matches!(m, Match::Conntrack(_)) { cx } else { &unnamed };
            named |= m.spec().name == "multiport" || implied_by == Some(m.spec().name);
            if !m.translate(cx, &mut words) {
                return false;
            }
            let text = words.as_bytes().trim_ascii();
            if text.is_empty() {
                // Of a match that is always true nothing is printed; if stock leaves `-p` to it, another one has to say the protocol.
                let said = |m: &Match| matches!(m, Match::Multiport(_) | Match::TcpMss(_));
                if implied_by == Some(m.spec().name) && !self.matches.iter().any(said) {
                    return false;
                }
                continue;
            }
            // The words of `time` begin with a blank, as in stock: behind others it is the one between them.
            separate(out, begin);
            out.bytes(if out.len() == begin { words.as_bytes().trim_ascii_end() } else { text });
        }
        if neighbours_merged(out.as_bytes().get(begin..).unwrap_or_default()) {
            return false;
        }
        separate(out, begin);
        out.str("counter");
        words.clear();
        if !self.action.translate(cx, &mut words) {
            return false;
        }
        out.str(if words.is_empty() { "" } else { " " });
        out.bytes(words.as_bytes());
        match note {
            Some(text) => comment(text, out),
            None => {
                // Two targets end in a blank.
                out.truncate(out.as_bytes().trim_ascii_end().len());
                true
            }
        }
    }

    /// The match to which stock leaves `-p`: one of the protocol's name. If it was inverted, nothing would be left of the `!`.
    fn implies_protocol(&self, cx: &PrintCx<'_>) -> Option<&'static str> {
        let (protocol, _) = self.base.protocol?;
        let mut name = Out::new();
        print_protocol(&mut name, protocol, cx);
        self.matches.iter().map(|m| m.spec().name).find(|n| n.as_bytes() == name.as_bytes())
    }
}

/// Whether nft 1.0.6 reads two of these conditions as one: of `tcp sport != 1 … tcp dport != 2` it makes one comparison of both ports
/// together, which is true where one of them differs; the same of `ip protocol` and `ip ttl`. Measured; ranges and sets are compared alone.
fn neighbours_merged(text: &[u8]) -> bool {
    let words: Vec<&[u8]> = text.split(|b| *b == b' ').collect();
    let mut seen: Vec<(&[u8], &[u8])> = Vec::new();
    for four in words.windows(4) {
        let [header, field, b"!=", value] = *four else { continue };
        let neighbour: &[u8] = match field {
            b"sport" => b"dport",
            b"dport" => b"sport",
            b"protocol" => b"ttl",
            b"ttl" => b"protocol",
            _ => continue,
        };
        if field != b"protocol" && !value.iter().all(u8::is_ascii_digit) {
            continue;
        }
        if seen.contains(&(header, neighbour)) {
            return true;
        }
        seen.push((header, field));
    }
    false
}

impl Base {
    /// Prints the generic part; `implied` if a match says the protocol.
    fn translate(&self, implied: bool, cx: &PrintCx<'_>, out: &mut Out) -> bool {
        let begin = out.len();
        for (key, iface) in [("iifname", &self.iif), ("oifname", &self.oif)] {
            let Some((pattern, not)) = iface.filter(|(pattern, not)| *not || !pattern.is_any()) else { continue };
            separate(out, begin);
            if !interface(key, &pattern, not, out) {
                return false;
            }
        }
        if let Some(not) = self.fragment {
            separate(out, begin);
            out.str(if not { "ip frag-off & 0x1fff 0" } else { "ip frag-off & 0x1fff != 0" });
        }
        match self.protocol {
            Some((_, true)) if implied => return false,
            Some(_) if implied => {}
            Some((protocol, not)) => {
                separate(out, begin);
                let key = if cx.family == Family::V4 { "ip protocol " } else { "meta l4proto " };
                out.str(key);
                out.str(if not { "!= " } else { "" });
                print_protocol(out, protocol, cx);
            }
            None => {}
        }
        for (key, address) in [("saddr", self.src), ("daddr", self.dst)] {
            if let Some((net, not)) = address {
                separate(out, begin);
                out.str(nft_family(cx.family));
                write!(out, " {key} ");
                network(&net, not, out);
            }
        }
        true
    }
}

impl Action {
    fn translate(&self, cx: &PrintCx<'_>, out: &mut Out) -> bool {
        let chain = |word: &str, name: &[u8], out: &mut Out| {
            out.str(word);
            out.bytes(name);
            is_name(name)
        };
        match self {
            Self::None => {}
            Self::Accept => out.str("accept"),
            Self::Drop => out.str("drop"),
            Self::Return => out.str("return"),
            Self::Jump(name) => return chain("jump ", name, out),
            Self::Goto(name) => return chain("goto ", name, out),
            Self::Target(target) => return target.translate(cx, out),
        }
        true
    }
}

/// The family as nft(8) calls it.
pub fn nft_family(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    }
}

/// Whether nft(8) takes it for the name of a chain or a table.
pub fn is_name(name: &[u8]) -> bool {
    let letters = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'/');
    let begins = match name {
        [b'.', next, ..] => letters(next),
        [first, ..] => first.is_ascii_alphabetic() || *first == b'_',
        [] => false,
    };
    begins && name.iter().all(letters) && !RESERVED.split(' ').any(|word| word.as_bytes() == name)
}

/// Prints a text in double quotes, and says whether nft(8) reads it back: there is no way to write a quote in it.
pub fn text(text: &[u8], out: &mut Out) -> bool {
    out.byte(b'"');
    out.bytes(text);
    out.byte(b'"');
    !text.iter().any(|b| matches!(b, b'"' | b'\n' | 0))
}

/// The prefix of a log line: as [`text`], but `$` begins a variable in it.
pub fn prefix(words: &[u8], out: &mut Out) -> bool {
    out.str("prefix ");
    text(words, out) && !words.contains(&b'$')
}

/// Prints `5`, or `5-9`, and says whether nft(8) takes it: a range must not be empty.
pub fn range(low: impl Into<u64>, high: impl Into<u64>, out: &mut Out) -> bool {
    let (low, high) = (low.into(), high.into());
    out.dec(low);
    if low != high {
        out.byte(b'-');
        out.dec(high);
    }
    low <= high
}

/// Prints a blank if anything stands behind `begin`.
pub fn separate(out: &mut Out, begin: usize) {
    if out.len() > begin {
        out.byte(b' ');
    }
}

/// Prints `!= ` where `!` stands.
pub fn unless(not: bool, out: &mut Out) {
    out.str(if not { "!= " } else { "" });
}

/// The address, `address/length`, or `& mask == address`, behind the name of a field.
fn network(net: &Network, not: bool, out: &mut Out) {
    match net.prefix_len() {
        Some(len) => {
            unless(not, out);
            out.addr(net.addr());
            if len != net.family().addr_bits() {
                write!(out, "/{len}");
            }
        }
        None => {
            out.str("& ");
            out.addr(net.mask());
            out.str(if not { " != " } else { " == " });
            out.addr(net.addr());
        }
    }
}

/// The name of an interface; nft(8) takes `*` at its end for any rest, unless a backslash stands before it.
fn interface(key: &str, pattern: &IfacePattern, not: bool, out: &mut Out) -> bool {
    /// With its backslash or star nft(8) takes a name of at most as many bytes.
    const ROOM: usize = 15;
    out.str(key);
    out.byte(b' ');
    if pattern.is_any() {
        // A name that no interface has.
        out.str("\"INVAL/D\"");
        return true;
    }
    unless(not, out);
    let name = pattern.name();
    let starred = !pattern.is_wild() && name.ends_with(b"*");
    out.byte(b'"');
    out.bytes(name.get(..name.len() - usize::from(starred)).unwrap_or(name));
    out.str(match (pattern.is_wild(), starred) {
        (true, _) => "*\"",
        (_, true) => "\\*\"",
        _ => "\"",
    });
    !name.iter().any(|b| matches!(b, b'"' | b'\\' | b'\n' | 0)) && name.len() + usize::from(starred) <= ROOM
}

fn comment(words: &[u8], out: &mut Out) -> bool {
    out.str(" comment ");
    text(words, out) && words.len() <= COMMENT_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in ["f2b-sshd", "_x", ".a", "a/b", "DOCKER-USER", "INPUT", "a1"] {
            assert!(is_name(name.as_bytes()), "{name}");
        }
        for name in ["", ".", "1a", "a:b", "log", "accept", "xt", "a b", "a;b", "a#b", "é"] {
            assert!(!is_name(name.as_bytes()), "{name}");
        }
    }
    #[test]
    fn what_nft_makes_one_comparison_of() {
        for (text, merged) in [
            ("tcp sport != 1 tcp dport != 2", true),
            ("tcp dport != 2 meta mark 1 tcp sport != 1", true),
            ("tcp sport != 1-2 tcp dport != 2", false),
            ("tcp sport != 1 tcp dport 2", false),
            ("ip protocol != icmp ip ttl != 5", true),
            ("ip saddr != 1.1.1.1 ip daddr != 1.1.1.2", false),
            ("", false),
        ] {
            assert_eq!(neighbours_merged(text.as_bytes()), merged, "{text}");
        }
    }
}

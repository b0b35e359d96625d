//! The `-L` form: headers, columns, abbreviated counters. Widths and blanks are stock's (fact sheet 4.1).

use super::Command;
use crate::ext::base::print_protocol;
use crate::ext::{Action, Base, Body, PrintCx};
use crate::types::{Counters, Family, IfacePattern, Names, Network, NoNames, Out};
use std::net::IpAddr;

/// How a listing is printed.
#[derive(Clone, Copy)]
pub struct Style<'a> {
    /// The family.
    pub family: Family,
    /// `-n`.
    pub numeric: bool,
    /// `-v`: counters and interfaces.
    pub verbose: bool,
    /// `-x`: counters in full.
    pub exact: bool,
    /// `--line-numbers`.
    pub line_numbers: bool,
    /// Where names are looked up without `-n`.
    pub names: &'a dyn Names,
}

impl<'a> Style<'a> {
    /// As the options of a command say.
    pub fn of(command: &Command, family: Family, names: &'a dyn Names) -> Self {
        Self {
            family,
            numeric: command.numeric,
            verbose: command.verbose > 0,
            exact: command.exact,
            line_numbers: command.line_numbers,
            names,
        }
    }
}

/// What stands in the line of a chain.
#[derive(Clone, Copy, Debug)]
pub enum ChainKind {
    /// A built-in chain with its policy and counters.
    #[expect(missing_docs, reason = "the words say it")]
    Builtin { drop: bool, counters: Counters },
    /// A user chain with the number of rules that lead to it.
    #[expect(missing_docs, reason = "the words say it")]
    User { references: u32 },
}

/// Prints the line of a chain and the header of its columns.
pub fn chain(name: &[u8], kind: ChainKind, style: &Style<'_>, out: &mut Out) {
    out.str("Chain ");
    out.bytes(name);
    match kind {
        ChainKind::Builtin { drop, counters } => {
            out.str(if drop { " (policy DROP" } else { " (policy ACCEPT" });
            if style.verbose {
                out.byte(b' ');
                abbreviated(counters.packets, style.exact, 0, out);
                out.str(" packets, ");
                abbreviated(counters.bytes, style.exact, 0, out);
                out.str(" bytes");
            }
            out.str(")\n");
        }
        ChainKind::User { references } => writeln!(out, " ({references} references)"),
    }
    if style.line_numbers {
        out.str("num  ");
    }
    match (style.verbose, style.exact) {
        (false, _) => out.str("target     prot opt source               destination         \n"),
        (true, false) => {
            out.str(" pkts bytes target     prot opt in     out     source               destination         \n");
        }
        (true, true) => {
            out.str(
                "    pkts      bytes target     prot opt in     out     source               destination         \n",
            );
        }
    }
}

/// Prints the line of a rule.
pub fn rule(number: u32, body: &Body, counters: Counters, style: &Style<'_>, out: &mut Out) {
    if style.line_numbers {
        let from = out.len();
        out.dec(u64::from(number));
        out.pad_from(from, 4);
        out.byte(b' ');
    }
    if style.verbose {
        let width = if style.exact { 8 } else { 5 };
        abbreviated(counters.packets, style.exact, width, out);
        out.byte(b' ');
        abbreviated(counters.bytes, style.exact, width, out);
        out.byte(b' ');
    }
    let from = out.len();
    out.bytes(body.action.column());
    out.pad_from(from, 9);
    out.byte(b' ');
    protocol(&body.base, style, out);
    out.str(fragment_text(&body.base));
    out.byte(b' ');
    if style.verbose {
        out.byte(b' ');
        interface(body.base.iif.as_ref(), style, out);
        out.byte(b' ');
        interface(body.base.oif.as_ref(), style, out);
        out.byte(b' ');
    }
    address(body.base.src.as_ref(), style, out);
    address(body.base.dst.as_ref(), style, out);
    if matches!(body.action, Action::Goto(_)) {
        out.str("[goto] ");
    }
    parts(body, style, out);
    out.byte(b'\n');
}

/// Prints the columns of the matches and of the target.
fn parts(body: &Body, style: &Style<'_>, out: &mut Out) {
    let protocol = body.base.protocol.filter(|(_, not)| !not).map(|(p, _)| p);
    let cx = PrintCx { family: style.family, numeric: style.numeric, names: style.names, protocol };
    for m in &body.matches {
        m.list(out, &cx);
    }
    if let Action::Target(target) = &body.action {
        target.list(out, &cx);
    }
}

/// Prints the line that `-v` gives with `-A`, `-I`, `-D`, `-C` and `-R`, always numeric.
pub fn verbose_rule(body: &Body, family: Family, names: &dyn Names, out: &mut Out) {
    let style = &Style { family, numeric: true, verbose: true, exact: false, line_numbers: false, names };
    out.bytes(body.action.column());
    let (protocol, not) = body.base.protocol.unwrap_or((0, false));
    out.str(if not { " !" } else { "  " });
    // Only the names that are built in: stock does not ask the database here.
    let cx = PrintCx { family, numeric: true, names: &NoNames, protocol: None };
    if protocol == 0 {
        out.str("all");
    } else {
        print_protocol(out, protocol, &cx);
    }
    out.str(" opt ");
    out.str(fragment_text(&body.base));
    for (word, iface) in [(" in ", &body.base.iif), (" out ", &body.base.oif)] {
        out.str(word);
        interface_text(iface.as_ref(), style, out);
    }
    for (arrow, net) in [("", &body.base.src), ("-> ", &body.base.dst)] {
        out.str(if net.is_some_and(|(_, not)| not) { " !" } else { "  " });
        out.str(arrow);
        bare_address(net.as_ref(), style, out);
    }
    out.str("  ");
    if matches!(body.action, Action::Goto(_)) {
        out.str("[goto] ");
    }
    parts(body, style, out);
    out.byte(b'\n');
}

fn protocol(base: &Base, style: &Style<'_>, out: &mut Out) {
    let (protocol, not) = base.protocol.unwrap_or((0, false));
    out.byte(if not { b'!' } else { b' ' });
    let from = out.len();
    if style.numeric {
        out.dec(u64::from(protocol));
    } else if protocol == 0 {
        out.str("all");
    } else {
        let cx = PrintCx { family: style.family, numeric: false, names: style.names, protocol: None };
        print_protocol(out, protocol, &cx);
    }
    out.pad_from(from, 4);
    out.byte(b' ');
}

fn fragment_text(base: &Base) -> &'static str {
    match base.fragment {
        Some(false) => "-f",
        Some(true) => "!f",
        None => "--",
    }
}

fn interface(iface: Option<&(IfacePattern, bool)>, style: &Style<'_>, out: &mut Out) {
    let from = out.len();
    interface_text(iface, style, out);
    out.pad_from(from, 6);
}

fn interface_text(iface: Option<&(IfacePattern, bool)>, style: &Style<'_>, out: &mut Out) {
    match iface {
        Some((pattern, not)) if *not || !pattern.is_any() => {
            out.str(if *not { "!" } else { "" });
            pattern.print(out);
        }
        _ => out.str(if style.numeric { "*" } else { "any" }),
    }
}

fn address(net: Option<&(Network, bool)>, style: &Style<'_>, out: &mut Out) {
    let not = net.is_some_and(|(_, not)| *not);
    out.byte(if not { b'!' } else { b' ' });
    let from = out.len();
    bare_address(net, style, out);
    out.pad_from(from, 19);
    out.byte(b' ');
}

fn bare_address(net: Option<&(Network, bool)>, style: &Style<'_>, out: &mut Out) {
    let Some((net, _)) = net.filter(|(n, not)| *not || !n.is_any()) else {
        out.str(match (style.numeric, style.family) {
            (false, _) => "anywhere",
            (true, Family::V4) => "0.0.0.0/0",
            (true, Family::V6) => "::/0",
        });
        return;
    };
    // Stock asks for the mask only after it has looked whether an IPv6 address is all zero.
    if style.family == Family::V6 && !style.numeric && net.addr().is_unspecified() {
        out.str("anywhere");
        return;
    }
    let full = net.prefix_len() == Some(style.family.addr_bits());
    match name_of(net.addr(), full, style) {
        Some(name) => out.bytes(&name),
        None => out.addr(net.addr()),
    }
    if full {
        return;
    }
    match net.prefix_len() {
        Some(len) => write!(out, "/{len}"),
        None => write!(out, "/{}", net.mask()),
    }
}

/// The name of an address: a host's by reverse lookup, or a network's. Networks of IPv6 have no names.
fn name_of(addr: IpAddr, full: bool, style: &Style<'_>) -> Option<Vec<u8>> {
    if style.numeric {
        return None;
    }
    if style.family == Family::V4
        && let Some(name) = style.names.network_name(addr)
    {
        return Some(name);
    }
    if full || style.family == Family::V4 { style.names.host_name(addr) } else { None }
}

/// Prints a counter, right-aligned: in full if `exact` or up to 99999, else rounded to thousands `K`, and so on to `T`.
fn abbreviated(n: u64, exact: bool, width: usize, out: &mut Out) {
    let mut text = Out::new();
    if exact || n <= 99_999 {
        text.dec(n);
    } else {
        let mut value = n;
        for unit in [b'K', b'M', b'G', b'T'] {
            value = value.wrapping_add(500) / 1000;
            if value <= 9999 || unit == b'T' {
                text.dec(value);
                text.byte(unit);
                break;
            }
        }
    }
    for _ in text.len()..width {
        out.byte(b' ');
    }
    out.bytes(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_rounded_step_by_step() {
        let text = |n| {
            let mut out = Out::new();
            abbreviated(n, false, 0, &mut out);
            String::from_utf8(out.into_bytes()).unwrap()
        };
        for (n, expected) in [
            (99_999, "99999"),
            (100_000, "100K"),
            (100_500, "101K"),
            (9_999_499, "9999K"),
            (9_999_500, "10M"),
            (9_999_999_999, "10G"),
            (12_345_678_901_234_567, "12346T"),
            (u64::MAX, "0K"),
        ] {
            assert_eq!(text(n), expected);
        }
    }
}

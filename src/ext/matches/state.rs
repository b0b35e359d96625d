//! `-m state`: the state that connection tracking gives the packet; the older, smaller form of [`super::conntrack`].
//!
//! # Matches
//! Packets whose state is one of those named; `!` all others.
//! # Options
//! `[!] --state {INVALID|NEW|RELATED|ESTABLISHED|UNTRACKED}[,...]`; names may be cut short, case does not matter.
//! # Wire
//! xt `conntrack` revision 3 with `XT_CONNTRACK_STATE_ALIAS` (0x2000) in its match flags, by which the two are told apart.
//! Native: `ct load state`, `bitwise`, `cmp`.
//! # Evaluates
//! Unknown if the packet's conntrack state is not known.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "state"; `linux/netfilter/xt_conntrack.h`.

use super::conntrack::{SIZE, STATE_ALIAS, STATES, bits, native_states, print_bits, state_bit, translate_bits};
use crate::ext::options::{Given, Kind, Opt, UsageError, usage_bytes};
use crate::ext::{Extension, MatchExt, NativeCx, ParseCx, PrintCx, Spec};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out, Tri};
use crate::usage;
use crate::wire::{BlobWriter, ExprWriter};

/// The states, as bits of `XT_CONNTRACK_STATE_*`; at least one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    states: u16,
    invert: bool,
}

const STATE: u8 = 0;
/// `XT_CONNTRACK_STATE`.
const FLAG: u16 = 1;

const OPTIONS: &[Opt] =
    &[Opt::value("state", STATE, Kind::Raw, "state[,...]", "INVALID, NEW, RELATED, ESTABLISHED or UNTRACKED")
        .invertible()
        .mandatory()
        .examples(&["NEW", "ESTABLISHED,RELATED", "invalid", "NEW,UNTRACKED", "r,e,n,i,u"])];

impl Extension for State {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        wire: "conntrack",
        ..Spec::new("state", 3, "matches the state that conntrack gives the packet")
    };

    fn new(_: Family) -> Self {
        Self { states: 0, invert: false }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        self.states = bits(given.bytes(), &[STATES]).map_err(|at| match at {
            [] => usage!("\"--state\" requires a list of states with no spaces, e.g. ESTABLISHED,RELATED"),
            _ => usage_bytes("Bad state \"", at, "\""),
        })?;
        self.invert = given.negated;
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(if self.invert { " ! --state " } else { " --state " });
        print_bits(out, self.states, &[STATES]);
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(if self.invert { " ! state " } else { " state " });
        print_bits(out, self.states, &[STATES]);
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        out.str(if self.invert { "ct state ! " } else { "ct state " });
        translate_bits(out, self.states, STATES);
        true
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.zeros(146);
        b.u16(FLAG | STATE_ALIAS);
        b.u16(if self.invert { FLAG } else { 0 });
        b.u16(self.states);
        b.zeros(SIZE - 152);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let u16_at = |at: usize| info.get(at..)?.first_chunk().map(|b| u16::from_ne_bytes(*b));
        let states = u16_at(150)?;
        let unnamed = STATES.iter().fold(states, |left, (_, bit)| left & !bit);
        let ours = u16_at(146)? == FLAG | STATE_ALIAS && states != 0 && unnamed == 0;
        ours.then_some(Self { states, invert: u16_at(148)? == FLAG })
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        native_states(self.states, self.invert, x);
        true
    }
}

impl MatchExt for State {
    fn eval(&self, packet: &Packet, _: &mut Env<'_>) -> Tri {
        match &packet.meta.ct {
            Some(ct) => Tri::from(self.states & state_bit(ct.state) != 0).xor(self.invert),
            None => Tri::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::ext::matches::testing::{error, read, row};
    use crate::packet::build::{Ipv4, Udp};
    use crate::packet::{Conntrack, CtState, Meta};
    use crate::types::Family::{V4, V6};
    use crate::types::Tri;

    #[test]
    fn what_stock_writes_and_prints() {
        for family in [V4, V6] {
            let row = |line: &str, save: &str, tail: &str| {
                let wire =
                    format!("match conntrack 3 {}{tail}{}", "00".repeat(146), "00".repeat(168 - 146 - tail.len() / 2));
                row(family, None, &format!("state {line}"), save, &save.replace("--", ""), &wire);
            };
            row("--state new", " --state NEW", "0120000008");
            row("--state ESTABLISHED,RELATED", " --state RELATED,ESTABLISHED", "0120000006");
            row("! --state INVALID,UNTRACKED", " ! --state INVALID,UNTRACKED", "012001000101");
            row("--state r,e,n,i,u", " --state INVALID,NEW,RELATED,ESTABLISHED,UNTRACKED", "012000000f01");
        }
    }

    #[test]
    fn what_stock_refuses() {
        let list = "\"--state\" requires a list of states with no spaces, e.g. ESTABLISHED,RELATED";
        for (line, text) in [
            ("state", "state: option \"--state\" must be specified\n"),
            ("state --state ", list),
            ("state --state NEW,", list),
            ("state --state ,NEW", "Bad state \",NEW\""),
            ("state --state BOGUS,NEW", "Bad state \"BOGUS,NEW\""),
            ("state --state SNAT", "Bad state \"SNAT\""),
            ("state --state NEW --state NEW", "state: option \"--state\" can only be used once.\n"),
        ] {
            assert_eq!(error(V4, None, line), text, "{line}");
        }
    }

    #[test]
    fn what_it_means() {
        let packet = |ct| (Ipv4::default() / Udp::default()).with_meta(Meta { ct, ..Meta::default() });
        let judge = |line: &str, ct| read(V4, None, line).unwrap().matches(&packet(ct));
        let new = || Some(Conntrack::of_state(CtState::New));
        assert_eq!(judge("state --state NEW,INVALID", new()), Tri::True);
        assert_eq!(judge("state ! --state NEW", new()), Tri::False);
        assert_eq!(judge("state --state UNTRACKED", Some(Conntrack::UNTRACKED)), Tri::True);
        assert_eq!(judge("state --state NEW", None), Tri::Unknown);
    }
}

//! `-m rpfilter`: the reverse path filter.
//!
//! # Matches
//! Packets to whose source a reply would leave by the interface that they came in by.
//! # Options
//! `--loose`: by any interface; `--validmark`: the packet's mark counts in the route lookup; `--accept-local`: local source addresses are
//! accepted; `--invert`: matches what would fail.
//! # Wire
//! xt `rpfilter` revision 0: `struct xt_rpfilter_info { u8 flags; }`, `XT_RPFILTER_*`.
//! Native: none, because `fib` takes a broadcast or multicast address that has a route for a source that could be answered, and knows no
//! `--accept-local`.
//! # Evaluates
//! Unknown: it asks the routing table.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "rpfilter"; `linux/netfilter/xt_rpfilter.h`.

use crate::ext::limits::Limit;
use crate::ext::options::{Given, Opt, UsageError};
use crate::ext::{Extension, MatchExt, ParseCx, PrintCx, Spec};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Hook, Out, Tri};
use crate::wire::BlobWriter;

/// The conditions, as `XT_RPFILTER_*` bits.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RpFilter {
    flags: u8,
}

/// The words of the bits, from bit 0: `XT_RPFILTER_LOOSE`, `VALID_MARK`, `ACCEPT_LOCAL`, `INVERT`.
const WORDS: [&str; 4] = ["loose", "validmark", "accept-local", "invert"];

const OPTIONS: &[Opt] = &[
    Opt::flag("loose", 0, "the reply may leave by any interface"),
    Opt::flag("validmark", 1, "the mark counts in the route lookup"),
    Opt::flag("accept-local", 2, "accept packets from local addresses"),
    Opt::flag("invert", 3, "match packets that fail the test"),
];

impl Extension for RpFilter {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        sample: "@raw/PREROUTING",
        limits: &[Limit::tables(&["mangle", "raw"]).at(&[Hook::Prerouting])],
        ..Spec::new("rpfilter", 0, "tests the reverse path")
    };

    fn new(_: Family) -> Self {
        Self { flags: 0 }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        self.flags |= 1 << (given.id() & 3);
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        self.words(" --", out);
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" rpfilter");
        self.words(" ", out);
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        let has = |word: &str| WORDS.iter().position(|w| *w == word).is_some_and(|bit| self.flags & (1 << bit) != 0);
        if has("accept-local") {
            // Only the inverted test can be said: it is the joint failure of both.
            if !has("invert") {
                return false;
            }
            out.str("fib saddr type != local ");
        }
        out.str("fib saddr");
        out.str(if has("validmark") { " . mark" } else { "" });
        out.str(if has("loose") { "" } else { " . iif" });
        out.str(if has("invert") { " oif 0" } else { " oif != 0" });
        true
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.u8(self.flags);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let [flags, ..] = *info else { return None };
        (flags < 1 << WORDS.len()).then_some(Self { flags })
    }
}

impl RpFilter {
    fn words(&self, before: &str, out: &mut Out) {
        for (bit, word) in WORDS.iter().enumerate() {
            if self.flags & (1 << bit) != 0 {
                out.str(before);
                out.str(word);
            }
        }
    }
}

impl MatchExt for RpFilter {
    fn eval(&self, _: &Packet, _: &mut Env<'_>) -> Tri {
        Tri::Unknown
    }
}

#[cfg(test)]
mod tests {
    use crate::ext::matches::testing::{error, read};
    use crate::types::Family;

    #[test]
    fn words_in_the_order_of_the_bits() {
        let read = read(Family::V6, None, "rpfilter --invert --loose").unwrap();
        assert_eq!(read.save(), " --loose --invert");
        assert_eq!(read.list(true), " rpfilter loose invert");
        assert!(error(Family::V6, None, "rpfilter --loose --loose").contains("can only be used once"));
    }
}

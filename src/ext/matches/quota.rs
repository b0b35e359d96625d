//! `-m quota`: a number of bytes for the whole rule.
//!
//! # Matches
//! Packets while the bytes left are enough for them; the first for which they are not uses up the rest. `!` turns the answer round.
//! # Options
//! `[!] --quota BYTES`.
//! # Wire
//! xt `quota` revision 0, `struct xt_quota_info { u32 flags; u64 quota; pointer }` (24 bytes, host order). Native: `quota`, `over` if inverted,
//! up to 2⁶³ − 1 bytes; the same boundary, observed with packets.
//! # Evaluates
//! Always known, from what the rule let pass before. The kernel counts the bytes from the network header on.
//! # Differs
//! No translation above 2⁶³ − 1 bytes, which nft does not take. `-L` shows no `!`, as with stock.
//! # Sources
//! iptables-extensions(8) "quota"; `linux/netfilter/xt_quota.h`; fact sheet 3.4; observed with stock 1.8.9 and Linux 6.18.

use crate::ext::options::{Given, Kind, Opt, UsageError};
use crate::ext::{Extension, MatchExt, NativeCx, ParseCx, PrintCx, Spec};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out, Tri};
use crate::wire::consts::NFT_QUOTA_F_INV;
use crate::wire::{BlobWriter, ExprWriter};

/// Bytes, and whether the rule is for what goes beyond.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Quota {
    bytes: u64,
    invert: bool,
}

/// What nf_tables can count.
const NATIVE_MAX: u64 = i64::MAX.unsigned_abs();

const OPTIONS: &[Opt] =
    &[Opt::value("quota", 0, Kind::Number { min: 0, max: u64::MAX }, "bytes", "bytes that may pass")
        .invertible()
        .mandatory()
        .examples(&["0", "1", "1500", "0x100", "010", "1000000000", "9223372036854775808", "18446744073709551615"])];

impl Extension for Quota {
    const SPEC: Spec =
        Spec { options: OPTIONS, stateful: true, ..Spec::new("quota", 0, "matches until so many bytes have passed") };

    fn new(_: Family) -> Self {
        Self { bytes: 0, invert: false }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        self.bytes = given.number();
        self.invert = given.negated;
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        write!(out, "{} --quota {}", if self.invert { " !" } else { "" }, self.bytes);
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        write!(out, " quota: {} bytes", self.bytes);
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.u32(u32::from(self.invert));
        b.align(8);
        b.u64(self.bytes);
        b.zeros(8);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let flags = u32::from_ne_bytes(*info.first_chunk()?);
        let bytes = u64::from_ne_bytes(*info.get(8..)?.first_chunk()?);
        (flags <= 1).then_some(Self { bytes, invert: flags != 0 })
    }

    fn scrub(info: &mut [u8]) {
        if let Some(private) = info.get_mut(16..) {
            private.fill(0);
        }
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        if self.bytes > NATIVE_MAX {
            return false;
        }
        x.quota(self.bytes, if self.invert { NFT_QUOTA_F_INV } else { 0 });
        true
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        if self.bytes > NATIVE_MAX {
            return false;
        }
        write!(out, "quota {}{} bytes", if self.invert { "over " } else { "" }, self.bytes);
        true
    }
}

impl MatchExt for Quota {
    fn eval(&self, packet: &Packet, env: &mut Env<'_>) -> Tri {
        let left = env.state.cell::<Option<u64>>("quota", &env.place.key()).get_or_insert(self.bytes);
        let enough = left.checked_sub(packet.total_len() as u64);
        *left = enough.unwrap_or(0);
        Tri::from(enough.is_some() != self.invert)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{error, raised_text, read, row, with_env};
    use crate::packet::build::{Ipv4, Udp};
    use crate::packet::env::UnknownHost;
    use crate::types::Family::{V4, V6};
    use crate::types::Hook;

    #[test]
    fn what_stock_writes_and_prints() {
        for family in [V4, V6] {
            let row = |line: &str, save: &str, list: &str, wire: &str| {
                let wire = format!("match quota 0 {wire}{}", "00".repeat(8));
                row(family, None, &format!("quota {line}"), save, list, &wire);
            };
            row("--quota 5", " --quota 5", " quota: 5 bytes", "00000000000000000500000000000000");
            row("! --quota 0x10", " ! --quota 16", " quota: 16 bytes", "01000000000000001000000000000000");
            row(
                "--quota 18446744073709551615",
                " --quota 18446744073709551615",
                " quota: 18446744073709551615 bytes",
                "0000000000000000ffffffffffffffff",
            );
            let range = "quota: bad value for option \"--quota\", or out of range (0-18446744073709551615).\n";
            for text in ["18446744073709551616", "x", "5k", "-1", ""] {
                assert_eq!(error(family, None, &format!("quota --quota {text}")), range);
            }
        }
        assert_eq!(error(V4, None, "quota"), "quota: option \"--quota\" must be specified\n");
        let twice = "quota: option \"--quota\" can only be used once.\n";
        assert_eq!(error(V4, None, "quota --quota 5 --quota 6"), twice);
    }

    #[test]
    fn what_other_programs_wrote() {
        let text = |flags: u8, private: u8| {
            let mut info = [private; 24];
            info[..16].copy_from_slice(&[flags, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0]);
            raised_text(V4, None, |x| x.xt_match("quota", 0, |b| b.bytes(&info)))
        };
        assert_eq!(text(1, 0xee), " -m quota ! --quota 5");
        assert_eq!(text(2, 0), "opaque");
    }

    #[test]
    fn natively_and_in_the_words_of_nft() {
        let said = |line: &str| {
            let read = read(V4, None, &format!("quota {line}")).unwrap();
            (read.native().is_some(), read.translation().unwrap_or_default())
        };
        assert_eq!(said("--quota 5"), (true, "quota 5 bytes".into()));
        assert_eq!(said("! --quota 5"), (true, "quota over 5 bytes".into()));
        assert_eq!(said("--quota 9223372036854775808"), (false, String::new()));
    }

    /// As observed with packets of 100, 100, 100 and 29 bytes on Linux 6.18.
    #[test]
    fn what_it_means() {
        for (quota, packets) in [(199, 1), (200, 2), (201, 2), (299, 2), (300, 3)] {
            with_env(Hook::Input, &UnknownHost, |env| {
                let quota = read(V4, None, &format!("quota --quota {quota}")).unwrap().ext;
                let sizes = [72, 72, 72, 1];
                let mut judge = |payload: &usize| {
                    let packet = Ipv4::default() / Udp { payload: vec![0; *payload], ..Udp::default() };
                    quota.eval(&packet, env) == Tri::True
                };
                assert_eq!(sizes.iter().filter(|s| judge(s)).count(), packets);
            });
        }
    }
}

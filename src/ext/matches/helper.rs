//! `-m helper`: the conntrack helper that expected the packet's connection.
//!
//! # Matches
//! Packets of a connection that the named helper expected (the data connection of FTP, say); the empty name means any helper. The kernel
//! compares as far as the helper's own name goes, so that `ftp-2121` means the helper `ftp` as well. `!` matches every other packet, those
//! without a connection included.
//! # Options
//! `[!] --helper NAME`; cut to 29 bytes in silence.
//! # Wire
//! xt `helper` revision 0: `struct xt_helper_info { int invert; char name[30]; }`, host order.
//! Native: `ct load helper`, then a lookup among the beginnings of the name, or `cmp neq` with nothing for the empty name. Not for `!`: native
//! expressions cannot match a packet that has no helper.
//! # Evaluates
//! Unknown if the packet has no conntrack state or no entry where it should, or if the entry was expected and its master is not known.
//! # Differs
//! `iptables-translate` has no translation for `!` (in nft it would pass over connections without a helper), for a name that nft does not take,
//! and for one that begins with the name of another helper and a `-`.
//! # Sources
//! iptables-extensions(8) "helper"; `linux/netfilter/xt_helper.h`; fact sheet 3.5.

use crate::ext::options::{Given, Kind, Opt, UsageError};
use crate::ext::{Extension, MatchExt, NativeCx, ParseCx, PrintCx, Spec};
use crate::packet::env::Env;
use crate::packet::{CtState, Packet, ct_status};
use crate::types::{Family, Out, Tri};
use crate::wire::consts::NFT_CT_HELPER;
use crate::wire::{AnonSet, BlobWriter, ExprWriter, Key};

/// The name of a helper: at most 29 bytes without NUL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Helper {
    name: Box<[u8]>,
    invert: bool,
}

/// The size of `xt_helper_info::name`, its NUL included.
const SIZE: usize = 30;
/// `NF_CT_HELPER_NAME_LEN`: the size of a helper's own name, its NUL included.
const KERNEL_SIZE: usize = 16;

const HELPER: u8 = 0;

const OPTIONS: &[Opt] =
    &[Opt::value("helper", HELPER, Kind::Raw, "string", "name of the helper, with -PORT if it is not the usual one")
        .invertible()
        .mandatory()
        .examples(&[
            "ftp",
            "ftp-2121",
            "irc",
            "sip",
            "tftp-69",
            "netbios-ns",
            "RAS",
            "Q.931",
            "",
            "two words",
            "it's \"one\"",
            "12345678901234567890123456789012",
        ])];

impl Extension for Helper {
    const SPEC: Spec =
        Spec { options: OPTIONS, ..Spec::new("helper", 0, "matches connections that a conntrack helper expected") };

    fn new(_: Family) -> Self {
        Self { name: Box::default(), invert: false }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        let text = given.bytes().split(|b| *b == 0).next().unwrap_or_default();
        self.name = text.get(..SIZE - 1).unwrap_or(text).into();
        self.invert = given.negated;
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(if self.invert { " ! --helper" } else { " --helper" });
        out.quoted(&self.name);
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(if self.invert { " helper match ! \"" } else { " helper match \"" });
        out.bytes(&self.name);
        out.byte(b'"');
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.u32(u32::from(self.invert));
        b.fixed(&self.name, SIZE);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let (invert, name) = info.split_first_chunk::<4>()?;
        let end = name.get(..SIZE)?.iter().position(|b| *b == 0)?;
        Some(Self { name: name.get(..end)?.into(), invert: u32::from_ne_bytes(*invert) != 0 })
    }

    fn scrub(info: &mut [u8]) {
        let name = info.get_mut(4..).unwrap_or_default();
        let end = name.iter().position(|b| *b == 0).unwrap_or(name.len());
        name.get_mut(end..).unwrap_or_default().fill(0);
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        let padded = |name: &[u8]| {
            let mut key = [0; KERNEL_SIZE];
            key.iter_mut().zip(name).for_each(|(to, from)| *to = *from);
            key
        };
        if self.invert {
            return false;
        }
        x.ct(NFT_CT_HELPER, None);
        if self.name.is_empty() {
            x.cmp_eq(true, &padded(b""));
            return true;
        }
        let mut set = AnonSet::new(&[Key::Number(KERNEL_SIZE as u8)]);
        for len in 1..=self.name.len().min(KERNEL_SIZE - 1) {
            set.value(&[&padded(self.name.get(..len).unwrap_or_default())]);
        }
        x.lookup(false, set);
        true
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        let sayable = (1..KERNEL_SIZE).contains(&self.name.len())
            && self.name.iter().all(|b| b.is_ascii_alphanumeric() || b"-_. ".contains(b));
        let ported = self.name.iter().rposition(|b| *b == b'-').is_some_and(|at| {
            let port = self.name.get(at + 1..).unwrap_or_default();
            !port.is_empty() && port.iter().all(u8::is_ascii_digit)
        });
        if self.invert || !sayable || ported {
            return false;
        }
        out.str("ct helper \"");
        out.bytes(&self.name);
        out.byte(b'"');
        true
    }
}

impl MatchExt for Helper {
    fn eval(&self, packet: &Packet, _: &mut Env<'_>) -> Tri {
        let Some(ct) = &packet.meta.ct else { return Tri::Unknown };
        let found = match &ct.entry {
            Some(entry) if entry.status & ct_status::EXPECTED == 0 => Tri::False,
            Some(entry) => match &entry.facts.master {
                Some((helper, _)) => {
                    Tri::from(!helper.is_empty() && (self.name.is_empty() || self.name.starts_with(helper)))
                }
                None => Tri::Unknown,
            },
            None if matches!(ct.state, CtState::Invalid | CtState::Untracked) => Tri::False,
            None => Tri::Unknown,
        };
        found.xor(self.invert)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{entry, error, read, row};
    use crate::packet::Conntrack;
    use crate::packet::build::{Ipv4, Tcp};
    use crate::types::Family::{V4, V6};
    use std::net::IpAddr;

    fn hex(text: &str) -> String {
        let text: String = text.bytes().map(|b| format!("{b:02x}")).collect();
        format!("{text:0<72}")
    }

    #[test]
    fn what_stock_writes_and_prints() {
        for family in [V4, V6] {
            let row = |args: &str, save: &str, list: &str, invert: u8, name: &str| {
                let wire = format!("match helper 0 0{invert}000000{}", hex(name));
                row(family, None, &format!("helper {args}"), &format!(" {save}"), &format!(" {list}"), &wire);
            };
            row("--helper ftp", "--helper ftp", "helper match \"ftp\"", 0, "ftp");
            row("! --helper ftp-21", "! --helper ftp-21", "helper match ! \"ftp-21\"", 1, "ftp-21");
            row("--helper ", "--helper \"\"", "helper match \"\"", 0, "");
            row("--helper a\"b\\c", "--helper \"a\\\"b\\\\c\"", "helper match \"a\"b\\c\"", 0, "a\"b\\c");
            row("--helper a=b", "--helper \"a=b\"", "helper match \"a=b\"", 0, "a=b");
            let cut = "01234567890123456789012345678";
            row(&format!("--helper {cut}9"), &format!("--helper {cut}"), &format!("helper match \"{cut}\""), 0, cut);
        }
        assert_eq!(error(V4, None, "helper"), "helper: option \"--helper\" must be specified\n");
    }

    #[test]
    fn its_words_for_nft() {
        let words = |args: &str| read(V4, None, &format!("helper {args}")).unwrap().translation();
        assert_eq!(words("--helper netbios-ns").as_deref(), Some("ct helper \"netbios-ns\""));
        for args in ["! --helper ftp", "--helper ftp-21", "--helper ", "--helper a\"b", "--helper 0123456789abcdef"] {
            assert_eq!(words(args), None, "{args}");
        }
        let native = |args: &str| read(V4, None, &format!("helper {args}")).unwrap().native();
        assert_eq!(native("--helper ").unwrap(), format!("ct 2=00000006 1=00000001; != {}", "00".repeat(16)));
        assert!(native("--helper ftp").unwrap().contains("lookup"));
        assert_eq!(native("! --helper ftp"), None);
    }

    #[test]
    fn packets() {
        let mut packet = Ipv4::default() / Tcp::default();
        let judge = |packet: &Packet, args: &str| {
            let one = |not: &str| read(V4, None, &format!("helper {not}--helper {args}")).unwrap().matches(packet);
            assert_eq!(one("! "), one("").xor(true), "{args}");
            one("")
        };
        assert_eq!(judge(&packet, "ftp"), Tri::Unknown);
        packet.meta.ct = Some(Conntrack::UNTRACKED);
        assert_eq!(judge(&packet, "ftp"), Tri::False);
        packet.meta.ct = Some(entry(|_| ()));
        assert_eq!(judge(&packet, "ftp"), Tri::False);
        packet.meta.ct = Some(entry(|e| e.status = ct_status::EXPECTED));
        assert_eq!(judge(&packet, "ftp"), Tri::Unknown);
        packet.meta.ct = Some(entry(|e| {
            e.status = ct_status::EXPECTED;
            e.facts.master = Some((b"ftp".to_vec(), IpAddr::from([192, 0, 2, 9])));
        }));
        for (name, expected) in [("ftp", true), ("ftp-2121", true), ("ft", false), ("irc", false), ("", true)] {
            assert_eq!(judge(&packet, name), Tri::from(expected), "{name}");
        }
    }
}

//! `-m owner`: who sends the packet.
//!
//! # Matches
//! Packets of a local socket by the user and group that it was made as. All that is given must hold. A packet without a socket (forwarded
//! ones) matches only if every condition is inverted; the kernel's own answers have a socket that nobody owns.
//! # Options
//! `[!] --uid-owner USER[-USER]`, `[!] --gid-owner GROUP[-GROUP]` (a name, or numbers with `-` or `:` between), `--suppl-groups` behind
//! `--gid-owner`: a supplementary group will do, `[!] --socket-exists`; at least one of the other three. Hooks OUTPUT and POSTROUTING.
//! # Wire
//! xt `owner` revision 1: `struct xt_owner_match_info { u32 uid_min, uid_max, gid_min, gid_max; u8 match, invert; }`, host order.
//! Native: `meta load skuid` and `skgid`, turned to network order, `cmp` or `range`. Not for `!`, because packets without a socket match then
//! and the load ends the rule for them; not for `--socket-exists` and `--suppl-groups`, which no expression asks.
//! # Evaluates
//! Unknown with `--suppl-groups` if the socket's own group does not match, for its other groups are not known; and for packets of this host
//! that no user sends where it matters whether the kernel has a socket for them.
//! # Differs
//! A number is an id, even where a user or group has it as its name; stock asks for a name first, over the network if need be.
//! # Sources
//! iptables-extensions(8) "owner"; `linux/netfilter/xt_owner.h`.

use crate::ext::limits::Limit;
use crate::ext::options::{Given, Kind, Opt, UsageError, bit, leading_number, usage_bytes};
use crate::ext::{Extension, MatchExt, NativeCx, ParseCx, PrintCx, Spec, nft};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Hook, Names, Out, Tri};
use crate::usage;
use crate::wire::consts::*;
use crate::wire::{BlobWriter, ExprWriter};

/// Ranges of ids, both ends included; 0 where the condition is not asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    uid: (u32, u32),
    gid: (u32, u32),
    /// What is asked: `XT_OWNER_*`.
    flags: u8,
    /// What is inverted; a part of `flags`.
    invert: u8,
}

// The ids are the bit numbers of XT_OWNER_* (xt_owner.h).
const UID: u8 = 0;
const GID: u8 = 1;
const SOCKET: u8 = 2;
const SUPPL_GROUPS: u8 = 3;

const OPTIONS: &[Opt] = &[
    Opt::value("uid-owner", UID, Kind::Raw, "userid[-userid]", "user of the socket, by name or number")
        .invertible()
        .examples(&["0", "1000", "10-20", "5:7", "0x10", "0-4294967294"]),
    Opt::value("gid-owner", GID, Kind::Raw, "groupid[-groupid]", "group of the socket, by name or number")
        .invertible()
        .examples(&["0", "100", "3-4", "4294967294"]),
    Opt::flag("socket-exists", SOCKET, "whether there is a socket").invertible(),
    Opt {
        needs: bit(GID),
        ..Opt::flag("suppl-groups", SUPPL_GROUPS, "match supplementary groups with --gid-owner too")
    },
];

impl Extension for Owner {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        sample: "@filter/OUTPUT",
        limits: &[Limit::hooks(&[Hook::Output, Hook::Postrouting])],
        ..Spec::new("owner", 1, "matches the user and group of the sending socket")
    };

    fn new(_: Family) -> Self {
        Self { uid: (0, 0), gid: (0, 0), flags: 0, invert: 0 }
    }

    fn set(&mut self, given: &Given<'_>, cx: &ParseCx<'_>) -> Result<(), UsageError> {
        let bad =
            |text: &[u8]| usage_bytes(&format!("owner: Bad value for \"--{}\" option: \"", given.opt.name), text, "\"");
        match given.id() {
            UID => self.uid = ids(given.bytes(), |name| cx.names.uid(name)).ok_or_else(|| bad(given.bytes()))?,
            GID => self.gid = ids(given.bytes(), |name| cx.names.gid(name)).ok_or_else(|| bad(given.bytes()))?,
            SUPPL_GROUPS if self.flags & flag(GID) == 0 => return Err(bad(b"you need to use --gid-owner first")),
            _ => {}
        }
        self.flags |= flag(given.id());
        if given.negated {
            self.invert |= flag(given.id());
        }
        Ok(())
    }

    fn finish(&mut self, seen: u32, _: &ParseCx<'_>) -> Result<(), UsageError> {
        match seen {
            0 => Err(usage!("owner: At least one of --uid-owner, --gid-owner or --socket-exists is required")),
            _ => Ok(()),
        }
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        if self.begin(out, SOCKET) {
            out.str("--socket-exists");
        }
        for (id, name, range) in [(UID, "--uid-owner ", self.uid), (GID, "--gid-owner ", self.gid)] {
            if self.begin(out, id) {
                out.str(name);
                print_range(out, range);
            }
        }
        if self.begin(out, SUPPL_GROUPS) {
            out.str("--suppl-groups");
        }
    }

    fn list(&self, out: &mut Out, cx: &PrintCx<'_>) {
        type Lookup = fn(&dyn Names, u32) -> Option<Vec<u8>>;
        if self.begin(out, SOCKET) {
            out.str("owner socket exists");
        }
        let user: Lookup = |names, id| names.user_name(id);
        let group: Lookup = |names, id| names.group_name(id);
        for (id, title, range, name) in [(UID, "UID", self.uid, user), (GID, "GID", self.gid, group)] {
            if self.begin(out, id) {
                write!(out, "owner {title} match ");
                let single = range.0 == range.1 && !cx.numeric;
                match if single { name(cx.names, range.0) } else { None } {
                    Some(name) => out.bytes(&name),
                    None => print_range(out, range),
                }
            }
        }
        if self.begin(out, SUPPL_GROUPS) {
            out.str("incl. suppl. groups");
        }
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        let (name, (low, high)) = match self.flags {
            f if f == flag(UID) => ("skuid ", self.uid),
            f if f == flag(GID) => ("skgid ", self.gid),
            _ => return false,
        };
        out.str(name);
        nft::unless(self.invert != 0, out);
        // `!` matches packets without a socket too, which `!=` does not.
        nft::range(low, high, out) && self.invert == 0
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        for id in [self.uid.0, self.uid.1, self.gid.0, self.gid.1] {
            b.u32(id);
        }
        b.u8(self.flags);
        b.u8(self.invert);
        b.zeros(2);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let u32_at = |at: usize| info.get(at..)?.first_chunk().map(|b| u32::from_ne_bytes(*b));
        let (uid, gid) = ((u32_at(0)?, u32_at(4)?), (u32_at(8)?, u32_at(12)?));
        let [flags, invert] = *info.get(16..)?.first_chunk()?;
        let said = |id: u8, range: (u32, u32)| flags & flag(id) != 0 || range == (0, 0);
        let groups = flags & flag(SUPPL_GROUPS) == 0 || flags & flag(GID) != 0;
        let known = flags != 0 && flags & 0xf0 == 0 && invert & !(flags & !flag(SUPPL_GROUPS)) == 0;
        let max = [uid.0, uid.1, gid.0, gid.1].iter().all(|id| *id <= MAX_ID);
        (said(UID, uid) && said(GID, gid) && groups && known && max).then_some(Self { uid, gid, flags, invert })
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        // The kernel refuses a range that ends before it begins.
        let empty = self.uid.0 > self.uid.1 || self.gid.0 > self.gid.1;
        if self.invert != 0 || self.flags & !(flag(UID) | flag(GID)) != 0 || empty {
            return false;
        }
        for (id, key, (min, max)) in [(UID, NFT_META_SKUID, self.uid), (GID, NFT_META_SKGID, self.gid)] {
            if self.flags & flag(id) != 0 {
                x.meta(key);
                x.hton(4, 4);
                x.within(false, &min.to_be_bytes(), &max.to_be_bytes());
            }
        }
        true
    }
}

impl Owner {
    /// Starts the text of a condition, if it is asked for.
    fn begin(&self, out: &mut Out, id: u8) -> bool {
        let asked = self.flags & flag(id) != 0;
        if asked {
            out.str(if self.invert & flag(id) != 0 { " ! " } else { " " });
        }
        asked
    }
}

impl MatchExt for Owner {
    fn eval(&self, packet: &Packet, _: &mut Env<'_>) -> Tri {
        let (Some(uid), Some(gid)) = (packet.meta.uid, packet.meta.gid) else { return self.eval_without_owner(packet) };
        let test = |id: u8, holds: Tri| {
            if self.flags & flag(id) != 0 { holds.xor(self.invert & flag(id) != 0) } else { Tri::True }
        };
        let inside = |(min, max): (u32, u32), id: u32| (min..=max).contains(&id);
        let group = match inside(self.gid, gid) {
            false if self.flags & flag(SUPPL_GROUPS) != 0 => Tri::Unknown,
            own => Tri::from(own),
        };
        test(SOCKET, Tri::True).and(test(UID, Tri::from(inside(self.uid, uid)))).and(test(GID, group))
    }
}

impl Owner {
    /// For a packet that no user sends: it has no socket, or one of the kernel's own, which nobody owns (as echo replies have).
    fn eval_without_owner(&self, packet: &Packet) -> Tri {
        let wrong = self.flags ^ self.invert;
        let no_socket = wrong == 0;
        let kernel_socket = self.invert & flag(SOCKET) == 0 && wrong & (flag(UID) | flag(GID)) == 0;
        let forwarded = !packet.meta.iif.is_empty();
        if forwarded || no_socket == kernel_socket { Tri::from(no_socket) } else { Tri::Unknown }
    }
}

const fn flag(id: u8) -> u8 {
    1 << id
}

/// The highest id; the one above means "none".
const MAX_ID: u32 = u32::MAX - 1;

/// An id or a range of ids with `-` or `:` between, else a name. The first may be greater; the kernel then refuses it.
fn ids(text: &[u8], name: impl FnOnce(&[u8]) -> Option<u32>) -> Option<(u32, u32)> {
    let id = |text| {
        let (n, rest) = leading_number(text)?;
        Some((u32::try_from(n).ok().filter(|n| *n <= MAX_ID)?, rest))
    };
    let range = || {
        let (min, rest) = id(text)?;
        match rest {
            [] => Some((min, min)),
            [b'-' | b':', rest @ ..] => id(rest).filter(|(_, rest)| rest.is_empty()).map(|(max, _)| (min, max)),
            _ => None,
        }
    };
    range().or_else(|| name(text).map(|id| (id, id)))
}

fn print_range(out: &mut Out, (min, max): (u32, u32)) {
    out.dec(u64::from(min));
    if min != max {
        out.byte(b'-');
        out.dec(u64::from(max));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{error, raised_text, read, row};
    use crate::packet::Meta;
    use crate::packet::build::{Ipv4, Udp};
    use crate::types::Family::{V4, V6};

    #[test]
    fn what_stock_writes_and_prints() {
        for family in [V4, V6] {
            let row = |line: &str, list: &str, hex: &str| {
                row(family, None, &format!("owner{line}"), line, list, &format!("match owner 1 {hex}"));
            };
            let zero = "00000000";
            let uids = " ! --uid-owner 10-20";
            row(uids, " ! owner UID match 10-20", &format!("0a00000014000000{zero}{zero}0101000000000000"));
            row(" --gid-owner 5", " owner GID match 5", &format!("{zero}{zero}05000000050000000200000000000000"));
            row(" ! --socket-exists", " ! owner socket exists", &format!("{}0404000000000000", zero.repeat(4)));
            let groups = " ! --gid-owner 0 --suppl-groups";
            row(groups, " ! owner GID match 0 incl. suppl. groups", &format!("{}0a02000000000000", zero.repeat(4)));
            row(
                " --socket-exists --uid-owner 1 --gid-owner 3-4",
                " owner socket exists owner UID match 1 owner GID match 3-4",
                "010000000100000003000000040000000700000000000000",
            );
        }
    }

    #[test]
    fn ids_and_names() {
        let save = |value: &str| {
            read(V4, None, &format!("owner --uid-owner {value}")).map_or_else(|e| e, |owner| owner.save())
        };
        for (value, expected) in [
            ("root", "0"),
            ("1-1", "1"),
            ("1:2", "1-2"),
            ("5-1", "5-1"),
            ("0x10", "16"),
            ("+5-+6", "5-6"),
            ("0-4294967294", "0-4294967294"),
        ] {
            assert_eq!(save(value), format!(" --uid-owner {expected}"), "{value}");
        }
        for value in
            ["nosuch", "", "-1", "1-", "1-2-3", "1,2", "08", "4294967295", "0-4294967295", "root-root", "5x-6", "5-6x"]
        {
            assert_eq!(save(value), format!("owner: Bad value for \"--uid-owner\" option: \"{value}\""));
        }
        let named = read(V4, None, "owner --uid-owner 0 ! --gid-owner 5").unwrap();
        assert_eq!(named.list(false), " owner UID match root ! owner GID match tty");
        let unnamed = read(V4, None, "owner --uid-owner 7 --gid-owner 5-6").unwrap();
        assert_eq!(unnamed.list(false), " owner UID match 7 owner GID match 5-6");
    }

    #[test]
    fn what_stock_refuses() {
        let first = "owner: Bad value for \"--suppl-groups\" option: \"you need to use --gid-owner first\"";
        let none = "owner: At least one of --uid-owner, --gid-owner or --socket-exists is required";
        for (line, text) in [
            ("owner", none),
            ("owner --suppl-groups --gid-owner 0", first),
            ("owner --uid-owner 0 --suppl-groups", first),
            ("owner --gid-owner 0 ! --suppl-groups", "owner: option \"--suppl-groups\" cannot be inverted.\n"),
            ("owner --uid-owner 0 --uid-owner 1", "owner: option \"--uid-owner\" can only be used once.\n"),
        ] {
            assert_eq!(error(V4, None, line), text, "{line}");
        }
    }

    #[test]
    fn bytes_that_no_option_says_are_not_read() {
        let text = |at: usize, value: u8| {
            let mut info = [0; 24];
            (info[0], info[4], info[16]) = (7, 7, 1);
            info[at] = value;
            raised_text(V4, None, |x| x.xt_match("owner", 1, |b| b.bytes(&info)))
        };
        assert_eq!(text(16, 1), " -m owner --uid-owner 7");
        for (at, value) in [(8, 1), (16, 0), (16, 0x11), (16, 9), (17, 2), (18, 1)] {
            assert_eq!(text(at, value), "opaque", "byte {at} {value}");
        }
    }

    /// As observed with real packets on Linux 6.18.
    #[test]
    fn what_it_means() {
        let judge = |meta: &Meta, line: &str| {
            let packet = (Ipv4::default() / Udp::default()).with_meta(meta.clone());
            read(V4, None, &format!("owner {line}")).unwrap().matches(&packet)
        };
        let root = Meta { uid: Some(0), gid: Some(0), ..Meta::default() };
        for (line, expected) in [
            ("--uid-owner 0-5 --gid-owner 0-5", Tri::True),
            ("! --uid-owner 0", Tri::False),
            ("--socket-exists", Tri::True),
            ("! --socket-exists --uid-owner 1", Tri::False),
            ("--gid-owner 7", Tri::False),
            ("--gid-owner 7 --suppl-groups", Tri::Unknown),
            ("--gid-owner 0 --suppl-groups", Tri::True),
        ] {
            assert_eq!(judge(&root, line), expected, "{line}");
        }
        let forwarded = Meta { iif: b"eth0".to_vec(), oif: b"eth1".to_vec(), ..Meta::default() };
        for (line, of_kernel, of_nobody) in [
            ("--uid-owner 0", Tri::False, Tri::False),
            ("! --uid-owner 0", Tri::True, Tri::True),
            ("--socket-exists", Tri::Unknown, Tri::False),
            ("! --socket-exists", Tri::Unknown, Tri::True),
            ("! --uid-owner 0 ! --gid-owner 0", Tri::True, Tri::True),
            ("! --gid-owner 0 --suppl-groups", Tri::Unknown, Tri::False),
        ] {
            assert_eq!(judge(&Meta::default(), line), of_kernel, "{line}");
            assert_eq!(judge(&forwarded, line), of_nobody, "{line}, forwarded");
        }
    }
}

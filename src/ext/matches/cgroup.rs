//! `-m cgroup`: the control group of the packet's socket.
//!
//! # Matches
//! Packets of a socket that was made in the group of the path or below it (cgroup v2), or in a group with the classid (net_cls of cgroup v1);
//! `!` of other sockets. A packet without a whole socket never matches, inverted or not: forwarded ones, most incoming ones, and the first
//! answer to a connection.
//! # Options
//! `[!] --path PATH` below the root of the hierarchy, cut to 511 bytes in silence, or `[!] --cgroup CLASSID`, u32; the kernel takes just one of
//! them, and only a path that exists. Hooks INPUT, OUTPUT and POSTROUTING.
//! # Wire
//! xt `cgroup` revision 2: `struct xt_cgroup_info_v2 { u8 has_path, has_classid, invert_path, invert_classid; union { char path[512];
//! u32 classid; }; void *priv; }`, host order, 528 bytes.
//! Native: none, because `meta cgroup` takes the listening socket for the first answer to a connection, which has no socket of its own.
//! # Evaluates
//! Unknown if the classid of the socket's group is not known; with a path other than the root always.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "cgroup"; `linux/netfilter/xt_cgroup.h`; fact sheet 3.2; decided as observed on Linux 6.18.

use crate::ext::limits::Limit;
use crate::ext::options::{Given, Kind, Opt, UsageError};
use crate::ext::{Extension, MatchExt, ParseCx, PrintCx, Spec};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Hook, Out, Tri};
use crate::wire::BlobWriter;

/// A group by its path or by its classid; `true` is inverted. The kernel refuses both and neither.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cgroup {
    /// At most 511 bytes without NUL.
    path: Option<(Box<[u8]>, bool)>,
    classid: Option<(u32, bool)>,
}

const PATH: u8 = 0;
const CLASSID: u8 = 1;

/// `XT_CGROUP_PATH_MAX`: the path and its NUL.
const SIZE: usize = 512;

const OPTIONS: &[Opt] = &[
    Opt::value("path", PATH, Kind::Raw, "path", "a group below the root of cgroup v2, or one below that")
        .invertible()
        .examples(&["/", "", "//", "///"]),
    Opt::value("cgroup", CLASSID, Kind::Number { min: 0, max: u32::MAX as u64 }, "classid", "classid of net_cls")
        .invertible()
        .examples(&["0", "1", "0x10001", "1048577", "010", "4294967295"]),
];

impl Extension for Cgroup {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        sample: "@/INPUT @/OUTPUT @/POSTROUTING",
        limits: &[Limit::hooks(&[Hook::Input, Hook::Output, Hook::Postrouting])],
        ..Spec::new("cgroup", 2, "matches the control group of the packet's socket")
    };

    fn new(_: Family) -> Self {
        Self { path: None, classid: None }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        if given.id() == CLASSID {
            self.classid = Some((given.u32(), given.negated));
            return Ok(());
        }
        let text = given.bytes().split(|b| *b == 0).next().unwrap_or_default();
        self.path = Some((text.get(..SIZE - 1).unwrap_or(text).into(), given.negated));
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        if let Some((path, invert)) = &self.path {
            out.str(if *invert { " ! --path" } else { " --path" });
            out.quoted(path);
        }
        if let Some((classid, invert)) = self.classid {
            out.str(if invert { " ! --cgroup " } else { " --cgroup " });
            out.dec(u64::from(classid));
        }
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        let name = |invert| if invert { " cgroup ! " } else { " cgroup " };
        if let Some((path, invert)) = &self.path {
            out.str(name(*invert));
            out.bytes(path);
        }
        if let Some((classid, invert)) = self.classid {
            out.str(name(invert));
            out.dec(u64::from(classid));
        }
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        let bit = |side: Option<bool>| [u8::from(side.is_some()), u8::from(side == Some(true))];
        let [has_path, invert_path] = bit(self.path.as_ref().map(|(_, invert)| *invert));
        let [has_classid, invert_classid] = bit(self.classid.map(|(_, invert)| invert));
        b.bytes(&[has_path, has_classid, invert_path, invert_classid]);
        match (&self.path, self.classid) {
            (Some((path, _)), _) => b.fixed(path, SIZE),
            (None, classid) => {
                b.u32(classid.map_or(0, |(id, _)| id));
                b.zeros(SIZE - 4);
            }
        }
        b.align(8);
        b.zeros(8);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let ([has_path, has_classid, invert_path, invert_classid], union) = info.split_first_chunk::<4>()?;
        let end = union.get(..SIZE)?.iter().position(|b| *b == 0);
        match (has_path, has_classid) {
            (1, 0) => Some(Self { path: Some((union.get(..end?)?.into(), *invert_path != 0)), classid: None }),
            (0, 1) => {
                let classid = u32::from_ne_bytes(*union.first_chunk()?);
                Some(Self { path: None, classid: Some((classid, *invert_classid != 0)) })
            }
            _ => None,
        }
    }

    fn scrub(info: &mut [u8]) {
        if info.first() == Some(&1) {
            let path = info.get_mut(4..4 + SIZE).unwrap_or_default();
            let end = path.iter().position(|b| *b == 0).unwrap_or(path.len());
            path.get_mut(end..).unwrap_or_default().fill(0);
        }
        // The kernel's own pointer.
        info.get_mut(4 + SIZE..).unwrap_or_default().fill(0);
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        let (None, Some((classid, invert))) = (&self.path, self.classid) else { return false };
        out.str(if invert { "meta cgroup != " } else { "meta cgroup " });
        out.dec(u64::from(classid));
        true
    }
}

impl MatchExt for Cgroup {
    fn eval(&self, packet: &Packet, _: &mut Env<'_>) -> Tri {
        let forwarded = !packet.meta.iif.is_empty() && !packet.meta.oif.is_empty();
        if forwarded {
            return Tri::False;
        }
        match (&self.path, self.classid, packet.meta.cgroup_classid) {
            (None, Some((classid, invert)), Some(id)) => Tri::from(id == classid).xor(invert),
            (Some((path, invert)), None, _) if path.iter().all(|b| *b == b'/') && packet.meta.uid.is_some() => {
                Tri::True.xor(*invert)
            }
            _ => Tri::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{error, raised_text, read, row};
    use crate::packet::Meta;
    use crate::packet::build::{Ipv4, Udp};
    use crate::types::Family::{V4, V6};

    fn wire(head: &str) -> String {
        format!("match cgroup 2 {head:0<1056}")
    }

    #[test]
    fn what_stock_writes_and_prints() {
        for family in [V4, V6] {
            for (args, save, list, hex) in [
                ("--cgroup 1234", "--cgroup 1234", "1234", "00010000d2040000"),
                ("! --cgroup 0x10001", "! --cgroup 65537", "! 65537", "0001000101000100"),
                ("--path /", "--path \"/\"", "/", "010000002f"),
                ("! --path a/b", "! --path \"a/b\"", "! a/b", "01000100612f62"),
                ("--path plain", "--path plain", "plain", "01000000706c61696e"),
                ("--path ", "--path \"\"", "", "01000000"),
                ("--path a\"b", "--path \"a\\\"b\"", "a\"b", "01000000612262"),
            ] {
                let (line, save, list) = (format!("cgroup {args}"), format!(" {save}"), format!(" cgroup {list}"));
                row(family, None, &line, &save, &list, &wire(hex));
            }
        }
        // What the kernel refuses is written all the same.
        assert_eq!(read(V4, None, "cgroup").unwrap().wire(), wire(""));
        assert_eq!(read(V4, None, "cgroup --cgroup 1 --path /").unwrap().wire(), wire("010100002f"));
        let long = read(V4, None, &format!("cgroup --path {}", "/".repeat(600))).unwrap();
        assert_eq!(long.save(), format!(" --path \"{}\"", "/".repeat(511)));
        assert_eq!(raised_text(V4, None, |x| x.xt_match("cgroup", 2, |b| b.zeros(528))), "opaque");
    }

    #[test]
    fn stocks_words_for_what_it_does_not_take() {
        let bad = "cgroup: bad value for option \"--cgroup\", or out of range (0-4294967295).\n";
        for (args, text) in [
            ("--cgroup 4294967296", bad),
            ("--cgroup 1:2", bad),
            ("--cgroup 1 --cgroup 1", "cgroup: option \"--cgroup\" can only be used once.\n"),
            ("--path / --path /", "cgroup: option \"--path\" can only be used once.\n"),
        ] {
            assert_eq!(error(V4, None, &format!("cgroup {args}")), text, "{args}");
        }
        let words = |args: &str| read(V4, None, &format!("cgroup {args}")).unwrap().translation();
        assert_eq!(words("! --cgroup 1").as_deref(), Some("meta cgroup != 1"));
        assert_eq!(words("--path /"), None);
    }

    #[test]
    fn packets() {
        let judge = |meta: Meta, args: &str| {
            let packet = (Ipv4::default() / Udp::default()).with_meta(meta);
            read(V4, None, &format!("cgroup {args}")).unwrap().matches(&packet)
        };
        let forwarded = Meta { iif: b"a".to_vec(), oif: b"b".to_vec(), ..Meta::default() };
        assert_eq!(judge(forwarded, "! --cgroup 1"), Tri::False);
        assert_eq!(judge(Meta::default(), "--cgroup 1"), Tri::Unknown);
        let known = Meta { uid: Some(0), cgroup_classid: Some(7), ..Meta::default() };
        for (args, expected) in [
            ("--cgroup 7", Tri::True),
            ("! --cgroup 7", Tri::False),
            ("! --cgroup 8", Tri::True),
            ("--path /", Tri::True),
            ("! --path //", Tri::False),
            ("--path /x", Tri::Unknown),
        ] {
            assert_eq!(judge(known.clone(), args), expected, "{args}");
        }
    }
}

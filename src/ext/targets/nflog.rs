//! `-j NFLOG`: hands the packet to the listeners of an nfnetlink_log group; the walk goes on.
//!
//! # Options
//! `--nflog-group`, `--nflog-prefix` (cut to 127 bytes), `--nflog-size`, `--nflog-threshold`; `--nflog-range` has no effect.
//! # Wire
//! Native: `log group [prefix] [snaplen] [qthreshold]`; snaplen only if a size was given, qthreshold only if it is not 0. Also read: xt
//! `NFLOG` revision 0, `struct xt_nflog_info { u32 len; u16 group, threshold, flags, pad; char prefix[64]; }`, flag 1 with a size.
//! # Evaluates
//! A log line.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "NFLOG"; `linux/netfilter/xt_NFLOG.h`; fact sheet 2.4; measured.

use crate::ext::options::{Given, Kind, Opt, UsageError, bit};
use crate::ext::{Action, Body, Effect, Extension, LogSink, ParseCx, PrintCx, Spec, Target, TargetExt, nft};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out};
use crate::wire::cond::Item;
use crate::wire::expr::Expr;
use crate::wire::{BlobWriter, ExprWriter};

/// Group, size in bytes and threshold in packets (0: none given), and a prefix of at most 127 bytes, none of them 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Nflog {
    group: u16,
    size: Option<u32>,
    threshold: u16,
    prefix: Box<[u8]>,
}

const GROUP: u8 = 0;
const RANGE: u8 = 1;
const SIZE: u8 = 2;
const THRESHOLD: u8 = 3;
const PREFIX: u8 = 4;

/// The longest prefix, in bytes: `NF_LOG_PREFIXLEN` of the kernel without the NUL.
const PREFIX_MAX: usize = 127;
/// The room for it in the xt struct.
const PREFIX_ROOM: usize = 64;

const U16: Kind = Kind::Number { min: 0, max: u16::MAX as u64 };
const U32: Kind = Kind::Number { min: 0, max: u32::MAX as u64 };

const OPTIONS: &[Opt] = &[
    Opt::value("nflog-group", GROUP, U16, "group", "number of the netlink group").examples(&["0", "1", "65535"]),
    Opt::value("nflog-range", RANGE, U32, "bytes", "has no effect; see --nflog-size")
        .excluding(bit(SIZE))
        .examples(&["256"]),
    Opt::value("nflog-size", SIZE, U32, "bytes", "how much of the packet to copy").examples(&["0", "256"]),
    Opt::value("nflog-threshold", THRESHOLD, U16, "packets", "how many packets to collect before sending them")
        .examples(&["1", "8", "0"]),
    Opt::value("nflog-prefix", PREFIX, Kind::Text { min: 1, max: usize::MAX }, "prefix", "text to send along")
        .examples(&["abc", "a b", "it's \"x\""]),
];

impl Extension for Nflog {
    const SPEC: Spec =
        Spec { options: OPTIONS, ..Spec::new("NFLOG", 0, "logs the packet to the listeners of a netlink group") };

    fn new(_: Family) -> Self {
        Self { group: 0, size: None, threshold: 0, prefix: Box::default() }
    }

    fn last_warning(seen: u32) -> Option<&'static str> {
        (seen & bit(RANGE) != 0).then_some(
            "warn: --nflog-range has never worked and is no longer supported, please use --nflog-size instead",
        )
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        match given.id() {
            GROUP => self.group = given.u16(),
            SIZE => self.size = Some(given.u32()),
            THRESHOLD => self.threshold = given.u16(),
            PREFIX => self.prefix = given.bytes().get(..PREFIX_MAX).unwrap_or(given.bytes()).into(),
            _ => {}
        }
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        self.print(out, "--");
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        self.print(out, "");
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        /// The longest prefix that stock prints; what it writes is longer.
        const SHOWN: usize = 63;
        out.str("log ");
        let mut sayable = true;
        if !self.prefix.is_empty() {
            sayable = nft::prefix(&self.prefix, out) && self.prefix.len() <= SHOWN;
            out.byte(b' ');
        }
        if let Some(size) = self.size {
            write!(out, "snaplen {size} ");
        }
        if self.threshold != 0 {
            write!(out, "queue-threshold {} ", self.threshold);
        }
        // With stock's blank, which shows in front of a comment.
        write!(out, "group {} ", self.group);
        sayable
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.u32(self.size.unwrap_or(0));
        b.u16(self.group);
        b.u16(self.threshold);
        b.u16(u16::from(self.size.is_some()));
        b.u16(0);
        b.fixed(&self.prefix, PREFIX_ROOM);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let [l0, l1, l2, l3, g0, g1, t0, t1, f0, f1, _, _, prefix @ ..] = info else { return None };
        let prefix = prefix.get(..PREFIX_ROOM)?;
        let end = prefix.iter().position(|b| *b == 0)?;
        let sized = u16::from_ne_bytes([*f0, *f1]) == 1;
        Some(Self {
            group: u16::from_ne_bytes([*g0, *g1]),
            size: sized.then_some(u32::from_ne_bytes([*l0, *l1, *l2, *l3])),
            threshold: u16::from_ne_bytes([*t0, *t1]),
            prefix: prefix.get(..end)?.into(),
        })
    }
}

impl Nflog {
    fn print(&self, out: &mut Out, dashes: &str) {
        if !self.prefix.is_empty() {
            write!(out, " {dashes}nflog-prefix");
            out.quoted(&self.prefix);
        }
        if self.group != 0 {
            write!(out, " {dashes}nflog-group {}", self.group);
        }
        if let Some(size) = self.size {
            write!(out, " {dashes}nflog-size {size}");
        }
        if self.threshold != 0 {
            write!(out, " {dashes}nflog-threshold {}", self.threshold);
        }
    }
}

impl TargetExt for Nflog {
    fn encode(&self, _: Family, x: &mut ExprWriter<'_>) {
        let prefix = (!self.prefix.is_empty()).then_some(&*self.prefix);
        x.log(self.group, prefix, self.size, (self.threshold != 0).then_some(self.threshold));
    }

    fn raise(item: &Item<'_>, body: &mut Body) -> bool {
        let Item::Expr(Expr::Log { group: Some(group), prefix, snaplen, qthreshold, level: None, flags: None }) = item
        else {
            return false;
        };
        if body.action != Action::None || prefix.is_some_and(|p| p.len() > PREFIX_MAX) {
            return false;
        }
        body.action = Action::Target(Target::Nflog(Self {
            group: *group,
            size: *snaplen,
            threshold: qthreshold.unwrap_or(0),
            prefix: prefix.unwrap_or_default().into(),
        }));
        true
    }

    fn apply(&self, _: &mut Packet, _: &mut Env<'_>) -> Effect {
        Effect::Log { prefix: self.prefix.to_vec(), sink: LogSink::Group(self.group) }
    }
}

#[cfg(test)]
mod tests {
    use crate::ext::Target;
    use crate::ext::targets::testing::{encoded, error, parse, prints, raised};
    use crate::types::Family::{V4, V6};
    use crate::wire::BlobWriter;
    use crate::wire::expr::{Expr, Exprs};

    #[test]
    fn what_stock_writes_and_prints() {
        let words = "NFLOG --nflog-group 1 --nflog-threshold 2 --nflog-size 3 --nflog-prefix \"it's x\"";
        let nflog = parse(V6, None, words).unwrap();
        let list = "nflog-prefix \"it\\'s x\" nflog-group 1 nflog-size 3 nflog-threshold 2";
        let save = "--nflog-prefix \"it\\'s x\" --nflog-group 1 --nflog-size 3 --nflog-threshold 2";
        prints(V6, &nflog, save, &format!(" {list}"));
        let exprs = encoded(V6, &nflog);
        let log = Expr::Log {
            group: Some(1),
            prefix: Some(b"it's x"),
            snaplen: Some(3),
            qthreshold: Some(2),
            level: None,
            flags: None,
        };
        assert_eq!(Exprs::new(&exprs).next(), Some(Ok(log)));
        assert_eq!(raised(V6, &nflog), Some(nflog));

        let bare = parse(V4, None, "NFLOG --nflog-group 0 --nflog-threshold 0 --nflog-range 9").unwrap();
        prints(V4, &bare, "", "");
        assert_eq!(raised(V4, &bare), Some(bare));
    }

    #[test]
    fn the_xt_form_is_the_same() {
        let nflog = parse(V4, None, "NFLOG --nflog-group 7 --nflog-size 0 --nflog-prefix x").unwrap();
        let mut info = Vec::new();
        let mut b = BlobWriter::new(&mut info);
        b.u32(0);
        b.u16(7);
        b.u16(0);
        b.u16(1);
        b.u16(0);
        b.fixed(b"x", 64);
        b.align(8);
        assert_eq!(Target::decode(b"NFLOG", 0, &info, V4, &mut Vec::new()), Some(nflog));
    }

    #[test]
    fn wrong_options() {
        let range = "NFLOG: bad value for option \"--nflog-group\", or out of range (0-65535).\n";
        error(V4, None, "NFLOG --nflog-group 65536", range);
        let together = "NFLOG: option \"--nflog-range\" cannot be used together with \"--nflog-size\".\n";
        error(V4, None, "NFLOG --nflog-size 1 --nflog-range 3", together);
    }
}

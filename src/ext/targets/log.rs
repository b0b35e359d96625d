//! `-j LOG`: writes about the packet in the kernel's log; the walk goes on.
//!
//! # Options
//! `--log-level`, `--log-prefix` (cut to 29 bytes), `--log-tcp-sequence`, `--log-tcp-options`, `--log-ip-options`, `--log-uid`,
//! `--log-macdecode`.
//! # Wire
//! xt `LOG` revision 0: `struct xt_log_info { u8 level, logflags; char prefix[30]; }`.
//! Native: `log` with prefix, level and flags.
//! # Evaluates
//! A log line.
//! # Differs
//! Nothing known. As in stock, some levels are listed by other names than they are given by (`error` as `err`).
//! # Sources
//! iptables-extensions(8) "LOG"; `linux/netfilter/xt_LOG.h`; fact sheet 3.4; measured.

use crate::ext::options::{Given, Kind, Opt, SYSLOG_LEVELS, UsageError};
use crate::ext::{Action, Body, Effect, Extension, LogSink, NativeCx, ParseCx, PrintCx, Spec, Target, TargetExt, nft};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out};
use crate::wire::cond::Item;
use crate::wire::{BlobWriter, Expr, ExprWriter};

/// Level (0 to 7), `XT_LOG_*` flags, and a prefix of at most 29 bytes, none of them 0.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Log {
    level: u8,
    flags: u8,
    prefix: Box<[u8]>,
}

const LEVEL: u8 = 0;
const PREFIX: u8 = 1;
const TCP_SEQUENCE: u8 = 2;
const TCP_OPTIONS: u8 = 3;
const IP_OPTIONS: u8 = 4;
const UID: u8 = 5;
const MACDECODE: u8 = 6;

/// The longest prefix, in bytes.
const PREFIX_MAX: usize = 29;
/// `LOGLEVEL_WARNING`, which stock does not print.
const DEFAULT_LEVEL: u8 = 4;
/// The flags with what they are called behind `--log-` and in `-L`.
const FLAGS: [(u8, u8, &str); 5] = [
    (TCP_SEQUENCE, 0x01, "tcp-sequence"),
    (TCP_OPTIONS, 0x02, "tcp-options"),
    (IP_OPTIONS, 0x04, "ip-options"),
    (UID, 0x08, "uid"),
    (MACDECODE, 0x20, "macdecode"),
];

const OPTIONS: &[Opt] = &[
    Opt::value("log-level", LEVEL, Kind::SyslogLevel, "level", "syslog level, by number or name")
        .examples(&["0", "4", "7", "emerg", "panic", "alert", "crit", "error", "warning", "notice", "info", "debug"]),
    Opt::value("log-prefix", PREFIX, Kind::Text { min: 1, max: usize::MAX }, "prefix", "text in front of the line")
        .examples(&["abc", "dropped: ", "it's \"x\" \\", "a-prefix-of-more-than-29-bytes-is-cut"]),
    Opt::flag("log-tcp-sequence", TCP_SEQUENCE, "log TCP sequence numbers"),
    Opt::flag("log-tcp-options", TCP_OPTIONS, "log TCP options"),
    Opt::flag("log-ip-options", IP_OPTIONS, "log IP options"),
    Opt::flag("log-uid", UID, "log the user id of the sending socket"),
    Opt::flag("log-macdecode", MACDECODE, "log MAC addresses and link-layer protocol apart"),
];

impl Extension for Log {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        notes: |_| {
            &[("Levels:", "emerg 0, alert 1, crit 2, error 3, warning 4 (the default), notice 5, info 6, debug 7")]
        },
        ..Spec::new("LOG", 0, "writes about the packet in the kernel's log")
    };

    fn new(_: Family) -> Self {
        Self { level: DEFAULT_LEVEL, flags: 0, prefix: Box::default() }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        match given.id() {
            LEVEL => self.level = given.u8(),
            PREFIX => self.prefix = given.bytes().get(..PREFIX_MAX).unwrap_or(given.bytes()).into(),
            id => self.flags |= FLAGS.iter().find(|f| f.0 == id).map_or(0, |f| f.1),
        }
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        if !self.prefix.is_empty() {
            out.str(" --log-prefix");
            out.quoted(&self.prefix);
        }
        if self.level != DEFAULT_LEVEL {
            write!(out, " --log-level {}", self.level);
        }
        self.flags(out, "--log-");
    }

    fn list(&self, out: &mut Out, cx: &PrintCx<'_>) {
        if cx.numeric {
            write!(out, " LOG flags {} level {}", self.flags, self.level);
        } else {
            let level = SYSLOG_LEVELS.get(usize::from(self.level)).copied().unwrap_or_default();
            write!(out, " LOG level {level}");
            self.flags(out, "");
        }
        if !self.prefix.is_empty() {
            out.str(" prefix \"");
            out.bytes(&self.prefix);
            out.byte(b'"');
        }
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        /// What nft(8) calls the flags, in the order of printing; those of TCP stand together.
        const WORDS: [(u8, &str); 3] = [(IP_OPTIONS, "ip options"), (UID, "skuid"), (MACDECODE, "ether")];
        let has = |id: u8| FLAGS.iter().any(|(known, bit, _)| *known == id && self.flags & bit != 0);
        out.str("log");
        let mut sayable = true;
        if !self.prefix.is_empty() {
            out.byte(b' ');
            sayable = nft::prefix(&self.prefix, out);
        }
        if self.level != DEFAULT_LEVEL {
            let level = SYSLOG_LEVELS.get(usize::from(self.level)).copied().unwrap_or_default();
            write!(out, " level {level}");
        }
        if FLAGS.iter().all(|(id, ..)| has(*id)) {
            out.str(" flags all");
            return sayable;
        }
        out.str(match (has(TCP_SEQUENCE), has(TCP_OPTIONS)) {
            (true, true) => " flags tcp sequence,options",
            (true, false) => " flags tcp sequence",
            (false, true) => " flags tcp options",
            (false, false) => "",
        });
        for (_, word) in WORDS.iter().filter(|(id, _)| has(*id)) {
            write!(out, " flags {word}");
        }
        sayable
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.u8(self.level);
        b.u8(self.flags);
        b.fixed(&self.prefix, PREFIX_MAX + 1);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let [level @ 0..=7, flags, prefix @ ..] = info else { return None };
        let prefix = prefix.get(..=PREFIX_MAX)?;
        let end = prefix.iter().position(|b| *b == 0)?;
        let known = FLAGS.iter().fold(0, |all, f| all | f.1);
        let prefix = prefix.get(..end)?.into();
        (flags & !known == 0).then_some(Self { level: *level, flags: *flags, prefix })
    }

    fn scrub(info: &mut [u8]) {
        let Some(prefix) = info.get_mut(2..32) else { return };
        if let Some(end) = prefix.iter().position(|b| *b == 0) {
            prefix.iter_mut().skip(end).for_each(|b| *b = 0);
        }
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        let prefix = (!self.prefix.is_empty()).then_some(&*self.prefix);
        x.syslog(prefix, u32::from(self.level), u32::from(self.flags));
        true
    }
}

impl Log {
    fn flags(&self, out: &mut Out, before: &str) {
        for (_, bit, name) in FLAGS {
            if self.flags & bit != 0 {
                write!(out, " {before}{name}");
            }
        }
    }
}

impl TargetExt for Log {
    fn raise(item: &Item<'_>, body: &mut Body) -> bool {
        let Item::Expr(Expr::Log { group: None, prefix, snaplen: None, qthreshold: None, level, flags }) = item else {
            return false;
        };
        let level = u8::try_from(level.unwrap_or(u32::from(DEFAULT_LEVEL))).ok();
        let Some(level) = level.filter(|level| usize::from(*level) < SYSLOG_LEVELS.len()) else { return false };
        let known = FLAGS.iter().fold(0, |all, (_, bit, _)| all | bit);
        let Some(flags) = u8::try_from(flags.unwrap_or(0)).ok().filter(|flags| flags & !known == 0) else {
            return false;
        };
        let prefix = prefix.unwrap_or_default();
        if body.action != Action::None || prefix.len() > PREFIX_MAX {
            return false;
        }
        body.action = Action::Target(Target::Log(Self { level, flags, prefix: prefix.into() }));
        true
    }

    fn apply(&self, _: &mut Packet, _: &mut Env<'_>) -> Effect {
        Effect::Log { prefix: self.prefix.to_vec(), sink: LogSink::Kernel { level: self.level, flags: self.flags } }
    }
}

#[cfg(test)]
mod tests {
    use crate::ext::targets::testing::{effect, error, hex_of, parse, row};
    use crate::ext::{Effect, LogSink, PrintCx, Target};
    use crate::packet::build::{Ipv4, Udp};
    use crate::types::Family::{V4, V6};
    use crate::types::{NoNames, Out};

    /// The struct's hex: level and flags, then the prefix filled up with zeros.
    fn hex(start: &str, prefix: &str) -> String {
        format!("{start}{:0<60}", hex_of(prefix.as_bytes()))
    }

    #[test]
    fn what_stock_writes_and_prints() {
        row(V4, None, "LOG --log-level warning", "", " LOG flags 0 level 4", &hex("0400", ""));
        row(
            V6,
            None,
            "LOG --log-macdecode --log-level 0 --log-prefix foo: --log-tcp-sequence",
            "--log-prefix \"foo:\" --log-level 0 --log-tcp-sequence --log-macdecode",
            " LOG flags 33 level 0 prefix \"foo:\"",
            &hex("0021", "foo:"),
        );
        row(
            V4,
            None,
            "LOG --log-prefix \"a 'b' 234567890123456789012345\"",
            "--log-prefix \"a \\'b\\' 23456789012345678901234\"",
            " LOG flags 0 level 4 prefix \"a 'b' 23456789012345678901234\"",
            &hex("0400", "a 'b' 23456789012345678901234"),
        );
    }

    #[test]
    fn levels_are_listed_by_name() {
        for (given, listed) in [("panic", "emerg"), ("error", "err"), ("warning", "warn"), ("7", "debug")] {
            let log = parse(V4, None, &format!("LOG --log-level {given} --log-uid --log-ip-options")).unwrap();
            let mut out = Out::new();
            log.list(&mut out, &PrintCx { family: V4, numeric: false, names: &NoNames, protocol: None });
            assert_eq!(out.as_bytes(), format!(" LOG level {listed} ip-options uid").as_bytes());
        }
        error(V4, None, "LOG --log-level warn", "log level \"warn\" unknown\n");
        error(V4, None, "LOG --log-prefix \"\"", "Argument must have a minimum length of 1 characters\n");
    }

    #[test]
    fn what_others_wrote() {
        let decode = |info: &[u8]| Target::decode(b"LOG", 0, info, V4, &mut Vec::new());
        let mut info = [0u8; 32];
        info[0] = 4;
        info[2] = b'x';
        info[5] = b'y';
        assert_eq!(decode(&info), parse(V4, None, "LOG --log-prefix x").ok());
        info[1] = 0x10;
        assert_eq!(decode(&info), None);
        assert_eq!(decode(&[8; 32]), None);
        assert_eq!(decode(&[4, 0]), None);
    }

    #[test]
    fn it_logs() {
        let mut packet = Ipv4::default() / Udp::default();
        let sink = LogSink::Kernel { level: 6, flags: 8 };
        let log = Effect::Log { prefix: b"a b".to_vec(), sink };
        assert_eq!(effect(V4, None, "LOG --log-prefix \"a b\" --log-level info --log-uid", &mut packet), log);
    }
}

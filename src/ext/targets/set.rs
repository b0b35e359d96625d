//! `-j SET`: entries put into, taken out of, or read from sets of ipset.
//!
//! # Options
//! At least one of `--add-set NAME src|dst,…` (with `--exist`, `--timeout SECONDS`), `--del-set NAME …` and `--map-set NAME …` (with at least
//! one of `--map-mark`, `--map-prio`, `--map-queue`). `!` in front of any is taken and means nothing.
//! # Wire
//! xt `SET` revision 3, `struct xt_set_info_target_v3` (20 bytes and padding, host order). Native: none, because nf_tables does not write to
//! an ipset.
//! # Evaluates
//! The packet's addresses, ports, … become an entry of one set, and no longer are one of another; from a third its entry's mark, priority and
//! queue are taken over.
//! The walk goes on; the sets are the kernel's, so that what `--map-set` sets is not known and left as it was.
//! # Differs
//! A name with white space in it is printed in quotes by `-S`.
//! # Sources
//! iptables-extensions(8) "SET"; `linux/netfilter/xt_set.h`, `linux/netfilter/ipset/ip_set.h`; fact sheet 3.4; observed with stock 1.8.9.

use crate::ext::limits::{Limit, OUTGOING};
use crate::ext::options::{Given, Kind, Opt, UsageError, number};
use crate::ext::set_use::SetUse;
use crate::ext::{Effect, Extension, ParseCx, PrintCx, Spec, TargetExt};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out};
use crate::usage;
use crate::wire::BlobWriter;

/// What is done with which sets.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Set {
    add: Option<SetUse>,
    del: Option<SetUse>,
    map: Option<SetUse>,
    /// `IPSET_FLAG_EXIST`, `IPSET_FLAG_MAP_*`.
    flags: u32,
    /// In seconds; [`NO_TIMEOUT`] if it is the set's own.
    timeout: u32,
}

const EXIST_FLAG: u32 = 1;
const MARK_FLAG: u32 = 1 << 8;
const PRIO_FLAG: u32 = 1 << 9;
const QUEUE_FLAG: u32 = 1 << 10;
const MAP_FLAGS: u32 = MARK_FLAG | PRIO_FLAG | QUEUE_FLAG;
const NO_TIMEOUT: u32 = u32::MAX;

const ADD: u8 = 0;
const DEL: u8 = 1;
const MAP: u8 = 2;
const EXIST: u8 = 3;
const TIMEOUT: u8 = 4;
const MARK: u8 = 5;
const PRIO: u8 = 6;
const QUEUE: u8 = 7;

/// Sets of these names are made by the lab.
const SETS: &[&str] =
    &["v4:lab4 src", "v4:lab4 dst", "v6:lab6 src", "v4:labp4 src,dst", "v6:labp6 dst,dst", "v4:labp4 src,src,dst"];

const fn free(opt: Opt) -> Opt {
    Opt { many: true, invert: true, ..opt }
}

const OPTIONS: &[Opt] =
    &[
        Opt::value(
            "add-set",
            ADD,
            Kind::Pair,
            "name flags",
            "puts an entry into this set, of the sides src or dst, with commas",
        )
        .examples(SETS),
        Opt::value("del-set", DEL, Kind::Pair, "name flags", "takes the entry out of this set").examples(SETS),
        Opt {
            needs: bits_of_map(),
            ..Opt::value("map-set", MAP, Kind::Pair, "name flags", "takes over what the entry in this set carries")
                .examples(&["v4:labskb4 src", "v6:labskb6 dst"])
        },
        free(Opt { needs: 1 << ADD, ..Opt::flag("exist", EXIST, "an entry that is there gets a new timeout") }),
        Opt {
            needs: 1 << ADD,
            ..free(Opt::value("timeout", TIMEOUT, Kind::Raw, "seconds", "after which the entry is forgotten"))
                .examples(&["0", "60", "0x10", "4294967294"])
        },
        free(Opt { needs: 1 << MAP, ..Opt::flag("map-mark", MARK, "takes over the mark") }),
        free(Opt { needs: 1 << MAP, ..Opt::flag("map-prio", PRIO, "takes over the priority") }),
        free(Opt { needs: 1 << MAP, ..Opt::flag("map-queue", QUEUE, "takes over the hardware queue") }),
    ];

/// What stands for the flags that `--map-set` needs, in the tests' generators; the checks are this file's own.
const fn bits_of_map() -> u32 {
    1 << MARK
}

impl Extension for Set {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        own_checks: true,
        sample: "@mangle/FORWARD",
        limits: &[
            Limit::tables(&["mangle"]).with("--map-set"),
            Limit::hooks(OUTGOING).with("--map-prio"),
            Limit::hooks(OUTGOING).with("--map-queue"),
        ],
        ..Spec::new("SET", 3, "adds entries to sets of ipset, or deletes them")
    };

    fn new(_: Family) -> Self {
        Self { add: None, del: None, map: None, flags: 0, timeout: NO_TIMEOUT }
    }

    fn set(&mut self, given: &Given<'_>, cx: &ParseCx<'_>) -> Result<(), UsageError> {
        let (slot, option) = match given.id() {
            ADD => (&mut self.add, "add-set"),
            DEL => (&mut self.del, "del-set"),
            MAP => (&mut self.map, "map-set"),
            TIMEOUT => {
                let seconds = number(given.bytes(), 0, u64::from(NO_TIMEOUT - 1)).and_then(|n| u32::try_from(n).ok());
                self.timeout =
                    seconds.ok_or_else(|| usage!("Invalid value for option --timeout or out of range 0-4294967294"))?;
                return Ok(());
            }
            flag => {
                self.flags |= match flag {
                    EXIST => EXIST_FLAG,
                    MARK => MARK_FLAG,
                    PRIO => PRIO_FLAG,
                    _ => QUEUE_FLAG,
                };
                return Ok(());
            }
        };
        if slot.is_some() {
            return Err(usage!("--{option} can be specified only once"));
        }
        *slot = Some(SetUse::read(given, option, cx)?);
        Ok(())
    }

    fn finish(&mut self, _: u32, _: &ParseCx<'_>) -> Result<(), UsageError> {
        if self.add.is_none() && self.del.is_none() && self.map.is_none() {
            return Err(usage!("You must specify either `--add-set' or `--del-set' or `--map-set'"));
        }
        if self.add.is_none() && self.flags & EXIST_FLAG != 0 {
            return Err(usage!("Flag `--exist' can be used with `--add-set' only"));
        }
        if self.add.is_none() && self.timeout != NO_TIMEOUT {
            return Err(usage!("Option `--timeout' can be used with `--add-set' only"));
        }
        for (flag, word) in [(MARK_FLAG, "mark"), (PRIO_FLAG, "prio"), (QUEUE_FLAG, "queue")] {
            if self.map.is_none() && self.flags & flag != 0 {
                return Err(usage!("Flag `--map-{word}' can be used with `--map-set' only"));
            }
        }
        if self.map.is_some() && self.flags & MAP_FLAGS == 0 {
            return Err(usage!("You must specify flags `--map-mark' or '--map-prio` or `--map-queue'"));
        }
        Ok(())
    }

    fn save(&self, out: &mut Out, cx: &PrintCx<'_>) {
        self.print(out, cx, "--");
    }

    fn list(&self, out: &mut Out, cx: &PrintCx<'_>) {
        self.print(out, cx, "");
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        for set in [&self.add, &self.del, &self.map] {
            SetUse::blob(set.as_ref(), false, b);
        }
        b.u32(self.flags);
        b.u32(self.timeout);
    }

    fn decode(info: &[u8], family: Family) -> Option<Self> {
        let set = |at: usize| match SetUse::decode(*info.get(at..)?.first_chunk()?)? {
            (set, false) => Some(set),
            _ => None,
        };
        let field = |at: usize| Some(u32::from_ne_bytes(*info.get(at..)?.first_chunk()?));
        let found = Self { add: set(0)?, del: set(4)?, map: set(8)?, flags: field(12)?, timeout: field(16)? };
        let cx = ParseCx { family, names: &crate::types::NoNames, protocol: None };
        let says = found.flags & !(EXIST_FLAG | MAP_FLAGS) == 0 && found.clone().finish(0, &cx).is_ok();
        says.then_some(found)
    }
}

impl Set {
    fn print(&self, out: &mut Out, cx: &PrintCx<'_>, dashes: &str) {
        let flags = |out: &mut Out, known: &[(u32, &str)]| {
            for (_, word) in known.iter().filter(|(flag, _)| self.flags & flag != 0) {
                write!(out, " {dashes}{word}");
            }
        };
        if let Some(add) = &self.add {
            write!(out, " {dashes}add-set");
            add.print(out, cx);
            flags(out, &[(EXIST_FLAG, "exist")]);
            if self.timeout != NO_TIMEOUT {
                write!(out, " {dashes}timeout {}", self.timeout);
            }
        }
        if let Some(del) = &self.del {
            write!(out, " {dashes}del-set");
            del.print(out, cx);
        }
        if let Some(map) = &self.map {
            write!(out, " {dashes}map-set");
            map.print(out, cx);
            flags(out, &[(MARK_FLAG, "map-mark"), (PRIO_FLAG, "map-prio"), (QUEUE_FLAG, "map-queue")]);
        }
    }
}

impl TargetExt for Set {
    fn apply(&self, _: &mut Packet, _: &mut Env<'_>) -> Effect {
        Effect::Continue
    }
}

#[cfg(test)]
mod tests {
    use crate::ext::Target;
    use crate::ext::targets::testing::{parse, row};
    use crate::types::Family::{V4, V6};

    const NONE: &str = "ffff0000";

    #[test]
    fn what_stock_writes_and_prints() {
        let same = |family, said: &str, hex: &str| {
            row(family, None, &format!("SET{said}"), said.trim_start(), &said.replace("--", ""), hex);
        };
        same(V4, " --add-set s4 src", &format!("00000102{NONE}{NONE}00000000ffffffff00000000"));
        same(V6, " --add-set s6 src,dst", &format!("03000202{NONE}{NONE}00000000ffffffff00000000"));
        same(V4, " --add-set s4 src --exist --timeout 60", &format!("00000102{NONE}{NONE}010000003c00000000000000"));
        same(V4, " --del-set s4 dst", &format!("{NONE}00000100{NONE}00000000ffffffff00000000"));
        same(
            V4,
            " --add-set s4 src --timeout 0 --del-set list src --map-set s4 dst --map-mark --map-prio --map-queue",
            "000001020800010200000100000700000000000000000000",
        );
        row(
            V4,
            None,
            "SET ! --exist --timeout 5 --timeout 0x6 ! --add-set s4 src",
            "--add-set s4 src --exist --timeout 6",
            " add-set s4 src exist timeout 6",
            &format!("00000102{NONE}{NONE}010000000600000000000000"),
        );
    }

    #[test]
    fn what_stock_refuses() {
        for (words, text) in [
            ("", "You must specify either `--add-set' or `--del-set' or `--map-set'"),
            (" --exist", "You must specify either `--add-set' or `--del-set' or `--map-set'"),
            (" --add-set s4", "--add-set requires two args."),
            (" --add-set nosuch src", "Set nosuch doesn't exist.\n"),
            (" --add-set s4 src --add-set s4 dst", "--add-set can be specified only once"),
            (" --del-set s6 src", "The protocol family of set s6 is IPv6, which is not applicable.\n"),
            (" --del-set s4 src --timeout 5 --exist", "Flag `--exist' can be used with `--add-set' only"),
            (" --del-set s4 src --timeout 5", "Option `--timeout' can be used with `--add-set' only"),
            (" --add-set s4 src --map-queue --map-mark", "Flag `--map-mark' can be used with `--map-set' only"),
            (" --map-set s4 src", "You must specify flags `--map-mark' or '--map-prio` or `--map-queue'"),
            (" --timeout 4294967295", "Invalid value for option --timeout or out of range 0-4294967294"),
        ] {
            assert_eq!(parse(V4, None, &format!("SET{words}")).map(|_| ()), Err(text.to_owned()), "{words}");
        }
    }

    #[test]
    fn what_other_programs_wrote() {
        let decode = |flags: u8, timeout: u8| {
            let mut info = [0xff; 24];
            info[..12].copy_from_slice(&[0xff, 0xff, 0, 0, 5, 0, 1, 2, 0xff, 0xff, 0, 0]);
            info[12..16].copy_from_slice(&[flags, 0, 0, 0]);
            info[16] = timeout;
            info[20..].fill(0);
            Target::decode(b"SET", 3, &info, V4, &mut Vec::new()).is_some()
        };
        assert!(decode(0, 0xff));
        assert!(!decode(1, 0xff) && !decode(2, 0xff) && !decode(0, 0));
    }
}

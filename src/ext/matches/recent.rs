//! `-m recent`: lists of addresses that were seen lately.
//!
//! # Matches
//! `--set` puts the packet's address on a list and matches. `--rcheck` matches if it is there, `--update` too and notes the time, `--remove`
//! too and takes it off. `--seconds` asks for a note no older than that, `--hitcount` for as many of them, `--rttl` for the same TTL. `!`
//! turns the answer round.
//! # Options
//! One of `[!] --set`, `[!] --rcheck`, `[!] --update`, `[!] --remove`; `--seconds N`, `--reap` (drop what is older), `--hitcount N`, `--rttl`,
//! `--name NAME` (DEFAULT), `--mask ADDR`, `--rsource` (default) or `--rdest`, of which the last counts.
//! # Wire
//! xt `recent` revision 1, `struct xt_recent_mtinfo_v1` (228 bytes, host order; the mask in network order, filling 4 bytes of 16 if an IPv4
//! one was given). Stock writes a name over the default one, so that `foo` goes out as `foo\0ULT`; what is behind the NUL means nothing.
//! Native: none, because the lists are the module's own, in /proc/net/xt_recent.
//! # Evaluates
//! Always known, from the clock and what was evaluated before. The kernel's default size of a list, 100 addresses, is taken. Of several rules
//! with one list the kernel takes the mask of the first that was loaded; here it is the first that a packet meets.
//! # Differs
//! A name with white space or a double quote in it is printed in quotes by `-S`, and 4294967295 seconds are printed so: stock prints
//! `--name a b` and `--seconds -1`, which neither program reads back.
//! # Sources
//! iptables-extensions(8) "recent"; `linux/netfilter/xt_recent.h`; fact sheet 3.2, 3.4.

use crate::ext::limits::Limit;
use crate::ext::options::{Given, Kind, Opt, UsageError, bit};
use crate::ext::{Extension, MatchExt, ParseCx, PrintCx, Spec};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out, Tri, prefix_mask};
use crate::usage;
use crate::wire::BlobWriter;
use std::collections::VecDeque;
use std::net::IpAddr;

/// What is done with which list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Recent {
    command: Command,
    invert: bool,
    /// 0: of any age.
    seconds: u32,
    /// 0 and 1: one will do.
    hits: u32,
    ttl: bool,
    reap: bool,
    /// At most 199 bytes without NUL.
    name: Box<[u8]>,
    /// The destination address instead of the source.
    dest: bool,
    /// `None`: the whole of an IPv4 address, by default; that mask is written in another form.
    mask: Option<IpAddr>,
}

/// `XT_RECENT_CHECK`, `_SET`, `_UPDATE`, `_REMOVE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Command {
    Check = 1,
    Set = 2,
    Update = 4,
    Remove = 8,
}

const FLAG_TTL: u8 = 0x10;
const FLAG_REAP: u8 = 0x20;

const SET: u8 = 0;
const RCHECK: u8 = 1;
const UPDATE: u8 = 2;
const SECONDS: u8 = 3;
const HITCOUNT: u8 = 4;
const REMOVE: u8 = 5;
const RTTL: u8 = 6;
const NAME: u8 = 7;
const RSOURCE: u8 = 8;
const RDEST: u8 = 9;
const MASK: u8 = 10;
const REAP: u8 = 11;
const COMMANDS: u32 = bit(SET) | bit(RCHECK) | bit(UPDATE) | bit(REMOVE);

const DEFAULT_NAME: &[u8] = b"DEFAULT";
/// `XT_RECENT_NAME_LEN`: the name and its NUL.
const NAME_SIZE: usize = 200;
/// Where the name stands in the struct.
const NAME_AT: usize = 10;

const OPTIONS: &[Opt] = &[
    Opt::flag("set", SET, "put the address on the list, or note it again; always matches")
        .invertible()
        .excluding(COMMANDS),
    Opt::flag("rcheck", RCHECK, "match if the address is on the list").invertible().excluding(COMMANDS),
    Opt::flag("update", UPDATE, "as --rcheck, and note the address again").invertible().excluding(COMMANDS),
    Opt::value(
        "seconds",
        SECONDS,
        Kind::Number { min: 1, max: u32::MAX as u64 },
        "seconds",
        "seen within so many seconds",
    )
    .examples(&["1", "60", "0xe10"]),
    Opt { needs: bit(SECONDS), ..Opt::flag("reap", REAP, "drop entries that are older than --seconds") },
    Opt::value("hitcount", HITCOUNT, Kind::Number { min: 0, max: u32::MAX as u64 }, "hits", "seen so many times")
        .examples(&["0", "1", "4", "20", "255"]),
    Opt::flag("remove", REMOVE, "match if the address is on the list, and take it off")
        .invertible()
        .excluding(COMMANDS),
    // Before --rttl: stock reports what is wrong with several options in the order of its table.
    Opt { needs: bit(SECONDS), ..Opt::flag("reap", REAP, "drop entries that are older than --seconds") },
    Opt::flag("rttl", RTTL, "the TTL must be that of the noted packet").excluding(bit(SET) | bit(REMOVE)),
    Opt::value("name", NAME, Kind::Raw, "name", "name of the list; DEFAULT if not given")
        .examples(&["ssh", "DEFAULT", "a.b-c_d"]),
    Opt::flag("rsource", RSOURCE, "the source address (default)"),
    Opt::flag("rdest", RDEST, "the destination address"),
    Opt::value("mask", MASK, Kind::Host, "netmask", "mask for the addresses of the list").examples(&[
        "v4:255.255.255.0",
        "v4:255.255.255.255",
        "v4:0.0.0.0",
        "v4:255.0.255.0",
        "v6:ffff:ffff::",
        "v6:::",
    ]),
];

impl Extension for Recent {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        stateful: true,
        limits: &[Limit::never("--set --seconds"), Limit::never("--set --hitcount")],
        ..Spec::new("recent", 1, "keeps lists of addresses and matches against them")
    };

    fn new(family: Family) -> Self {
        Self {
            command: Command::Check,
            invert: false,
            seconds: 0,
            hits: 0,
            ttl: false,
            reap: false,
            name: DEFAULT_NAME.into(),
            dest: false,
            mask: default_mask(family),
        }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        let command = match given.id() {
            SET => Command::Set,
            RCHECK => Command::Check,
            UPDATE => Command::Update,
            REMOVE => Command::Remove,
            other => {
                match other {
                    SECONDS => self.seconds = given.u32(),
                    HITCOUNT => self.hits = given.u32(),
                    RTTL => self.ttl = true,
                    REAP => self.reap = true,
                    NAME => {
                        let name = given.bytes();
                        self.name = name.get(..NAME_SIZE - 1).unwrap_or(name).into();
                    }
                    MASK => self.mask = given.host(),
                    _ => self.dest = given.id() == RDEST,
                }
                return Ok(());
            }
        };
        self.command = command;
        self.invert = given.negated;
        Ok(())
    }

    fn finish(&mut self, seen: u32, _: &ParseCx<'_>) -> Result<(), UsageError> {
        if seen & COMMANDS == 0 {
            return Err(usage!("recent: you must specify one of `--set', `--rcheck' `--update' or `--remove'"));
        }
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(if self.invert { " ! " } else { " " });
        out.str(match self.command {
            Command::Set => "--set",
            Command::Check => "--rcheck",
            Command::Update => "--update",
            Command::Remove => "--remove",
        });
        self.print_terms(out, [" --seconds ", " --reap", " --hitcount ", " --rttl"]);
        out.str(" --name");
        out.word(&self.name);
        out.str(" --mask ");
        out.addr(self.mask());
        out.str(if self.dest { " --rdest" } else { " --rsource" });
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(if self.invert { " ! recent: " } else { " recent: " });
        out.str(match self.command {
            Command::Set => "SET",
            Command::Check => "CHECK",
            Command::Update => "UPDATE",
            Command::Remove => "REMOVE",
        });
        self.print_terms(out, [" seconds: ", " reap", " hit_count: ", " TTL-Match"]);
        out.str(" name: ");
        out.bytes(&self.name);
        out.str(if self.dest { " side: dest mask: " } else { " side: source mask: " });
        out.addr(self.mask());
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.u32(self.seconds);
        b.u32(self.hits);
        let ttl = if self.ttl { FLAG_TTL } else { 0 };
        let reap = if self.reap { FLAG_REAP } else { 0 };
        b.u8(self.command as u8 | ttl | reap);
        b.u8(u8::from(self.invert));
        b.bytes(&self.name);
        b.u8(0);
        let behind = NAME_SIZE.saturating_sub(self.name.len() + 1);
        b.fixed(DEFAULT_NAME.get(self.name.len() + 1..).unwrap_or_default(), behind);
        b.u8(u8::from(self.dest));
        b.align(4);
        b.bytes(&self.mask_octets());
    }

    fn decode(info: &[u8], family: Family) -> Option<Self> {
        let (seconds, rest) = info.split_first_chunk()?;
        let (hits, rest) = rest.split_first_chunk()?;
        let [flags, invert] = *rest.first_chunk()?;
        let name = info.get(NAME_AT..NAME_AT + NAME_SIZE)?;
        let name = name.get(..name.iter().position(|b| *b == 0)?)?;
        let octets = info.get(NAME_AT + NAME_SIZE + 2..)?.first_chunk()?;
        // Neither the kernel nor the command line takes these together.
        let lonely_reap = flags & FLAG_REAP != 0 && *seconds == [0; 4];
        let useless_ttl = flags & FLAG_TTL != 0 && matches!(flags & !(FLAG_TTL | FLAG_REAP), 2 | 8);
        if lonely_reap || useless_ttl {
            return None;
        }
        Some(Self {
            command: match flags & !(FLAG_TTL | FLAG_REAP) {
                1 => Command::Check,
                2 => Command::Set,
                4 => Command::Update,
                8 => Command::Remove,
                _ => return None,
            },
            invert: invert != 0,
            seconds: u32::from_ne_bytes(*seconds),
            hits: u32::from_ne_bytes(*hits),
            ttl: flags & FLAG_TTL != 0,
            reap: flags & FLAG_REAP != 0,
            name: name.into(),
            dest: *info.get(NAME_AT + NAME_SIZE)? != 0,
            mask: mask_of(octets, family)?,
        })
    }

    fn scrub(info: &mut [u8]) {
        let Some(name) = info.get_mut(NAME_AT..NAME_AT + NAME_SIZE) else { return };
        let end = name.iter().position(|b| *b == 0).unwrap_or(NAME_SIZE);
        for (i, byte) in name.iter_mut().enumerate().skip(end + 1) {
            *byte = DEFAULT_NAME.get(i).copied().unwrap_or(0);
        }
    }
}

/// The mask of a rule that names none, in the form in which it is kept.
fn default_mask(family: Family) -> Option<IpAddr> {
    match family {
        Family::V4 => None,
        Family::V6 => Some(prefix_mask(family, 128)),
    }
}

/// The mask of 16 bytes: of IPv4 either all ones or the first four and zeros.
fn mask_of(octets: &[u8; 16], family: Family) -> Option<Option<IpAddr>> {
    match (family, octets) {
        (Family::V6, _) => Some(Some(IpAddr::from(*octets))),
        (Family::V4, [0xff, 0xff, 0xff, 0xff, 0xff, ..]) if *octets == [0xff; 16] => Some(None),
        (Family::V4, [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]) => Some(Some(IpAddr::from([*a, *b, *c, *d]))),
        _ => None,
    }
}

impl Recent {
    fn mask(&self) -> IpAddr {
        self.mask.unwrap_or_else(|| prefix_mask(Family::V4, 32))
    }

    fn mask_octets(&self) -> [u8; 16] {
        self.mask.map_or([0xff; 16], octets)
    }

    fn print_terms(&self, out: &mut Out, [seconds, reap, hits, ttl]: [&str; 4]) {
        if self.seconds != 0 {
            out.str(seconds);
            out.dec(u64::from(self.seconds));
        }
        if self.reap {
            out.str(reap);
        }
        if self.hits != 0 {
            out.str(hits);
            out.dec(u64::from(self.hits));
        }
        if self.ttl {
            out.str(ttl);
        }
    }
}

/// A list of addresses.
#[derive(Debug, Default)]
struct Table {
    /// The mask of the rule that made it.
    mask: Option<[u8; 16]>,
    /// In the order in which they were put on the list; at most [`TABLE_MAX`].
    entries: Vec<Entry>,
    /// Counts notes, to tell which entry was noted longest ago.
    notes: u64,
}

#[derive(Debug)]
struct Entry {
    family: Family,
    /// Under the table's mask, in network order; IPv4 in the first four bytes.
    addr: [u8; 16],
    ttl: u8,
    /// The times at which it was noted, in nanoseconds, the latest last; at most [`STAMPS_MAX`].
    stamps: VecDeque<u64>,
    last_note: u64,
}

/// Addresses on a list (the kernel module's parameter `ip_list_tot`, by default).
const TABLE_MAX: usize = 100;
/// Notes of an address (`XT_RECENT_MAX_NSTAMPS`). The kernel keeps fewer where no rule counts that far, which no rule can tell.
const STAMPS_MAX: usize = 65536;

impl MatchExt for Recent {
    fn eval(&self, packet: &Packet, env: &mut Env<'_>) -> Tri {
        let now = env.now_ns;
        let addr = if self.dest { packet.dst() } else { packet.src() };
        let family = packet.family();
        let ttl = seen_ttl(packet);
        let table = env.state.cell::<Table>("recent", &self.name);
        let mask = *table.mask.get_or_insert(self.mask_octets());
        let addr: [u8; 16] = std::array::from_fn(|i| {
            let at = |octets: [u8; 16]| octets.get(i).copied().unwrap_or(0);
            at(octets(addr)) & at(mask)
        });
        let wanted_ttl = if self.ttl { ttl } else { 0 };
        let found = table.find(family, addr, wanted_ttl);
        Tri::from(self.act(table, found, now, ttl, Entry::new(family, addr, ttl)) != self.invert)
    }
}

impl Recent {
    /// Does what the option says to the entry that was found, and says whether it matches; `new` is the entry to be if there is none.
    fn act(&self, table: &mut Table, found: Option<usize>, now: u64, ttl: u8, new: Entry) -> bool {
        let Some(at) = found else {
            if self.command == Command::Set {
                table.add(new, now);
            }
            return self.command == Command::Set;
        };
        match self.command {
            Command::Set => table.note(at, now, ttl),
            Command::Remove => {
                table.entries.remove(at);
            }
            Command::Check | Command::Update => {
                let oldest = now.saturating_sub(u64::from(self.seconds) * 1_000_000_000);
                let counts = |stamp: &&u64| self.seconds == 0 || **stamp >= oldest;
                let entry = table.entries.get(at);
                let hits = entry.map_or(0, |e| e.stamps.iter().filter(counts).take(STAMPS_MAX).count());
                let matches = hits >= usize::try_from(self.hits.max(1)).unwrap_or(usize::MAX);
                // The kernel looks at the answer after `!` here.
                let update = self.command == Command::Update && matches != self.invert;
                let spared = update && table.longest_ago() == Some(at);
                if update {
                    table.note(at, now, ttl);
                }
                if self.reap && !spared {
                    table.reap(oldest);
                }
                return matches;
            }
        }
        true
    }
}

impl Table {
    /// The first entry of the address; a TTL of 0, here or there, is any.
    fn find(&self, family: Family, addr: [u8; 16], ttl: u8) -> Option<usize> {
        let same_ttl = |e: &Entry| ttl == 0 || e.ttl == 0 || e.ttl == ttl;
        self.entries.iter().position(|e| e.family == family && e.addr == addr && same_ttl(e))
    }

    fn add(&mut self, entry: Entry, now: u64) {
        if self.entries.len() >= TABLE_MAX
            && let Some(oldest) = self.longest_ago()
        {
            self.entries.remove(oldest);
        }
        let ttl = entry.ttl;
        self.entries.push(entry);
        self.note(self.entries.len() - 1, now, ttl);
    }

    fn note(&mut self, at: usize, now: u64, ttl: u8) {
        self.notes += 1;
        let Some(entry) = self.entries.get_mut(at) else { return };
        if entry.stamps.len() >= STAMPS_MAX {
            entry.stamps.pop_front();
        }
        entry.stamps.push_back(now);
        entry.ttl = ttl;
        entry.last_note = self.notes;
    }

    fn longest_ago(&self) -> Option<usize> {
        (0..self.entries.len()).min_by_key(|i| self.entries.get(*i).map_or(0, |e| e.last_note))
    }

    /// Takes the entry that was noted longest ago off the list, if that was before `oldest`.
    fn reap(&mut self, oldest: u64) {
        let old = |at: &usize| self.entries.get(*at).and_then(|e| e.stamps.back()).is_some_and(|last| *last < oldest);
        if let Some(at) = self.longest_ago().filter(old) {
            self.entries.remove(at);
        }
    }
}

impl Entry {
    fn new(family: Family, addr: [u8; 16], ttl: u8) -> Self {
        Self { family, addr, ttl, stamps: VecDeque::new(), last_note: 0 }
    }
}

/// The TTL or hop limit that the packet came in with: forwarding has taken one off.
fn seen_ttl(packet: &Packet) -> u8 {
    let ttl = match (packet.ipv4(), packet.ipv6()) {
        (Some(ip), _) => ip.ttl(),
        (_, Some(ip)) => ip.hop_limit(),
        _ => 0,
    };
    let forwarded = !packet.meta.oif.is_empty() && packet.meta.uid.is_none();
    if forwarded { ttl.wrapping_add(1) } else { ttl }
}

/// The address in network order, IPv4 in the first four bytes.
fn octets(addr: IpAddr) -> [u8; 16] {
    let mut octets = [0; 16];
    match addr {
        IpAddr::V4(a) => octets.iter_mut().zip(a.octets()).for_each(|(to, from)| *to = from),
        IpAddr::V6(a) => octets = a.octets(),
    }
    octets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{error, raised_text, read, row, with_env};
    use crate::packet::build::{Ipv4, Udp};
    use crate::packet::env::UnknownHost;
    use crate::types::Family::{V4, V6};
    use crate::types::Hook;

    /// The struct in hex from its parts; the name's with what stock leaves behind its NUL.
    fn wire(head: &str, name: &str, side: &str, mask: &str) -> String {
        let name = format!("{name}{}", "00".repeat(NAME_SIZE - name.len() / 2));
        let mask = format!("{mask}{}", "00".repeat(20 - mask.len() / 2));
        format!("match recent 1 {head}{name}{side}00{mask}")
    }

    #[test]
    fn what_stock_writes_and_prints() {
        let all = "ff".repeat(16);
        for (family, mask) in [(V4, "255.255.255.255"), (V6, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")] {
            let row = |line: &str, save: &str, list: &str, wire: &str| {
                row(
                    family,
                    None,
                    &format!("recent {line}"),
                    &save.replace("MASK", mask),
                    &list.replace("MASK", mask),
                    wire,
                );
            };
            row(
                "--set",
                " --set --name DEFAULT --mask MASK --rsource",
                " recent: SET name: DEFAULT side: source mask: MASK",
                &wire("00000000000000000200", "44454641554c54", "00", &all),
            );
            row(
                "! --remove --rsource --rdest --name foo",
                " ! --remove --name foo --mask MASK --rdest",
                " ! recent: REMOVE name: foo side: dest mask: MASK",
                &wire("00000000000000000801", "666f6f00554c54", "01", &all),
            );
            row(
                "--update --rttl --hitcount 4 --reap --seconds 0x3c --name a/b.cdefg",
                " --update --seconds 60 --reap --hitcount 4 --rttl --name a/b.cdefg --mask MASK --rsource",
                " recent: UPDATE seconds: 60 reap hit_count: 4 TTL-Match name: a/b.cdefg side: source mask: MASK",
                &wire("3c000000040000003400", "612f622e6364656667", "00", &all),
            );
            row(
                "--rcheck --seconds 4294967295",
                " --rcheck --seconds 4294967295 --name DEFAULT --mask MASK --rsource",
                " recent: CHECK seconds: 4294967295 name: DEFAULT side: source mask: MASK",
                &wire("ffffffff000000000100", "44454641554c54", "00", &all),
            );
        }
        row(
            V4,
            None,
            "recent --rcheck --mask 255.255.255.255 --hitcount 0",
            " --rcheck --name DEFAULT --mask 255.255.255.255 --rsource",
            " recent: CHECK name: DEFAULT side: source mask: 255.255.255.255",
            &wire("00000000000000000100", "44454641554c54", "00", "ffffffff"),
        );
        row(
            V6,
            None,
            "recent --rcheck --mask ffff::",
            " --rcheck --name DEFAULT --mask ffff:: --rsource",
            " recent: CHECK name: DEFAULT side: source mask: ffff::",
            &wire("00000000000000000100", "44454641554c54", "00", "ffff"),
        );
    }

    #[test]
    fn odd_names() {
        let long = "x".repeat(250);
        let cut = read(V4, None, &format!("recent --set --name {long}")).unwrap();
        assert_eq!(cut.save(), format!(" --set --name {} --mask 255.255.255.255 --rsource", "x".repeat(199)));
        let text = |name: &[u8], behind: u8| {
            let mut info = vec![behind; 232];
            info[..NAME_AT].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
            info[NAME_AT..NAME_AT + name.len()].copy_from_slice(name);
            info[210..].fill(0);
            raised_text(V4, None, |x| x.xt_match("recent", 1, |b| b.bytes(&info)))
        };
        let tail = "--mask 0.0.0.0 --rsource";
        assert_eq!(text(b"a b\0", b'z'), format!(" -m recent --rcheck --name \"a b\" {tail}"));
        assert_eq!(text(b"foo\0", 0), format!(" -m recent --rcheck --name foo {tail}"));
        assert_eq!(text(b"", b'z'), "opaque");
    }

    #[test]
    fn what_stock_refuses() {
        let together = |a: &str, b: &str| format!("recent: option \"--{a}\" cannot be used together with \"--{b}\".\n");
        for (line, text) in [
            ("", "recent: you must specify one of `--set', `--rcheck' `--update' or `--remove'"),
            (" --name foo", "recent: you must specify one of `--set', `--rcheck' `--update' or `--remove'"),
            (" --rcheck --set", &together("set", "rcheck")),
            (" --remove --update", &together("update", "remove")),
            (" --set --rttl", &together("rttl", "set")),
            (" --set --rttl --reap", "recent: option \"--reap\" also requires \"--seconds\".\n"),
            (" --set --reap", "recent: option \"--reap\" also requires \"--seconds\".\n"),
            (" --rcheck --seconds 0", "recent: bad value for option \"--seconds\", or out of range (1-4294967295).\n"),
            (" --rcheck ! --rsource", "recent: option \"--rsource\" cannot be inverted.\n"),
            (" --set --mask ffff::", "getaddrinfo: Address family for hostname not supported\n"),
        ] {
            assert_eq!(error(V4, None, &format!("recent{line}")), text, "{line}");
        }
    }

    /// Counts, rule by rule, which of the packets match; each packet is `(time in ms, last byte of the source, TTL)`.
    fn counts<const N: usize>(rules: [&str; N], packets: &[(u64, u8, u8)]) -> [u32; N] {
        let mut counts = [0; N];
        with_env(Hook::Input, &UnknownHost, |env| {
            for (ms, last, ttl) in packets {
                let packet = Ipv4 { src: [192, 0, 2, *last].into(), ttl: *ttl, ..Ipv4::default() } / Udp::default();
                env.now_ns = ms * 1_000_000;
                for (rule, count) in rules.iter().zip(&mut counts) {
                    let recent = read(V4, None, &format!("recent {rule}")).unwrap().ext;
                    *count += u32::from(recent.eval(&packet, env) == Tri::True);
                }
            }
        });
        counts
    }

    /// As observed with real packets on Linux 6.18.
    #[test]
    fn what_it_means() {
        let four = [(0, 1, 64); 4];
        let rules = [
            "--rcheck --name a",
            "! --rcheck --name a",
            "--set --name a",
            "--rcheck --name a --hitcount 3",
            "--update",
        ];
        assert_eq!(counts(rules, &four), [3, 1, 4, 2, 0]);
        let rules = ["! --set --name c", "--rcheck --name c --hitcount 4", "--remove --name d", "! --remove --name d"];
        assert_eq!(counts(rules, &four), [0, 1, 0, 4]);
        assert_eq!(counts(["--set", "--remove", "--rcheck"], &four), [4, 4, 0]);
        let rules = ["--set", "! --update --hitcount 3", "--rcheck --hitcount 5"];
        assert_eq!(counts(rules, &[(0, 1, 64); 6]), [6, 1, 3]);
        let ttls = [(0, 1, 64), (0, 1, 60), (0, 1, 60)];
        assert_eq!(counts(["--rcheck --rttl", "--rcheck", "--set"], &ttls), [1, 2, 3]);
        assert_eq!(counts(["--rcheck --hitcount 40", "--set"], &[(0, 1, 64); 50]), [10, 50]);
    }

    #[test]
    fn time_masks_and_reaping() {
        let ssh = ["--set --name ssh", "--update --name ssh --seconds 60 --hitcount 3"];
        let tries = [(0, 1, 64), (1000, 1, 64), (59_000, 2, 64), (62_000, 1, 64), (121_500, 1, 64)];
        assert_eq!(counts(ssh, &tries), [5, 0]);
        assert_eq!(counts(ssh, &[(0, 1, 64), (30_000, 1, 64), (60_000, 1, 64)]), [3, 1]);
        let masked = ["--set --mask 255.255.255.0", "--rcheck --mask 255.255.255.255", "--rcheck --rdest"];
        assert_eq!(counts(masked, &[(0, 1, 64), (0, 2, 64)]), [2, 2, 0], "the first rule's mask counts");
        // Only the entry that was noted longest ago is dropped.
        let reap = ["--update --seconds 1 --reap", "--set", "--rcheck"];
        let packets = [(0, 2, 64), (0, 3, 64), (2200, 4, 64), (2200, 4, 64)];
        assert_eq!(counts(reap, &packets), [1, 4, 4]);
        let probe = |last| {
            let mut all = packets.to_vec();
            all.push((2300, last, 64));
            counts(["--rcheck", "--update --seconds 1 --reap", "--set"], &all)[0]
        };
        assert_eq!((probe(2), probe(3)), (1, 2));
    }

    #[test]
    fn a_full_list_forgets_the_longest_unseen() {
        let mut packets: Vec<_> = (0..100).map(|last| (0, last, 64)).collect();
        packets.extend([(0, 0, 64), (0, 200, 64), (0, 1, 64), (0, 0, 64)]);
        // Address 0 was seen again and stays, 200 is new and pushes out 1, which pushes out 2.
        assert_eq!(counts(["--rcheck", "--set"], &packets), [2, 104]);
    }
}

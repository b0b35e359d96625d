//! `-m sctp`: ports and chunks of SCTP.
//!
//! # Matches
//! SCTP packets by their ports and by the types, and some flags, of the chunks that they carry. A fragment without the header does not match.
//! # Options
//! `[!] --source-port`, `--sport PORT[:PORT]`; `[!] --destination-port`, `--dport`; `[!] --chunk-types all|any|only LIST`, the list of chunk
//! names with commas, each with `:` and flag letters (capital: set, small: clear) if wanted, or `ALL`, or `NONE`.
//! # Wire
//! xt `sctp` revision 0: `struct xt_sctp_info`, host order; the destination's ports stand first, unused ports are 0.
//! Native: the twelfth byte must be there; `payload load` of a port, `cmp` or `range`. Not for `--chunk-types`: one expression tells one chunk
//! type, and not its flags.
//! # Evaluates
//! Always known. A packet with less than twelve bytes of SCTP is dropped at once, as is one whose chunks are asked for and do not fill it.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "sctp"; `linux/netfilter/xt_sctp.h`; RFC 9260 §3; fact sheet 3.4.

use super::headers;
use crate::ext::limits::Limit;
use crate::ext::matches::ports::{self, Ports, print_port};
use crate::ext::options::{Given, Kind, Opt, UsageError, bit, port_range, usage_bytes};
use crate::ext::{Extension, MatchExt, NativeCx, ParseCx, PrintCx, Spec, nft};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out, Tri};
use crate::usage;
use crate::wire::consts::*;
use crate::wire::{BlobWriter, ExprWriter};

/// The conditions; absent ones are not asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sctp {
    src: Option<Ports>,
    dst: Option<Ports>,
    chunks: Option<Box<Chunks>>,
}

/// The chunks asked for.
#[derive(Clone, Debug)]
struct Chunks {
    invert: bool,
    /// `SCTP_CHUNK_MATCH_*`: 1 any, 2 all, 4 only.
    how: u32,
    /// A bit for each chunk type.
    map: [u32; 8],
    /// Flags that must stand so: chunk type, flags, mask. At most four.
    flags: Vec<[u8; 3]>,
}

const SPORT: u8 = 0;
const DPORT: u8 = 1;
const CHUNKS: u8 = 2;
/// The protocol number of SCTP.
const PROTOCOL: u8 = 132;
/// How many chunk types may have flags (`XT_NUM_SCTP_FLAGS`).
const FLAGS_MAX: usize = 4;
/// An unused place of `flag_info`.
const UNUSED: [u8; 3] = [0xff, 0, 0];

/// The names of the chunks with their numbers, and the letters of their flags from bit 7 to bit 0 (RFC 9260 §3.2).
const CHUNK_NAMES: &[(&str, u8, &str)] = &[
    ("DATA", 0, "----IUBE"),
    ("INIT", 1, ""),
    ("INIT_ACK", 2, ""),
    ("SACK", 3, ""),
    ("HEARTBEAT", 4, ""),
    ("HEARTBEAT_ACK", 5, ""),
    ("ABORT", 6, "-------T"),
    ("SHUTDOWN", 7, ""),
    ("SHUTDOWN_ACK", 8, ""),
    ("ERROR", 9, ""),
    ("COOKIE_ECHO", 10, ""),
    ("COOKIE_ACK", 11, ""),
    ("ECN_ECNE", 12, ""),
    ("ECN_CWR", 13, ""),
    ("SHUTDOWN_COMPLETE", 14, "-------T"),
    ("I_DATA", 64, ""),
    ("ASCONF_ACK", 128, ""),
    ("RE_CONFIG", 130, ""),
    ("PAD", 132, ""),
    ("FORWARD_TSN", 192, ""),
    ("ASCONF", 193, ""),
    ("I_FORWARD_TSN", 194, ""),
];

const PORT_EXAMPLES: &[&str] = &["0", "5000", "65535", "1024:2048", ":1023", "1024:"];

const OPTIONS: &[Opt] = &[
    Opt::value("source-port", SPORT, Kind::Raw, "port[:port]", "source port").invertible().examples(PORT_EXAMPLES),
    Opt::value("sport", SPORT, Kind::Raw, "port[:port]", "the same").invertible().examples(PORT_EXAMPLES),
    Opt::value("destination-port", DPORT, Kind::Raw, "port[:port]", "destination port")
        .invertible()
        .examples(PORT_EXAMPLES),
    Opt::value("dport", DPORT, Kind::Raw, "port[:port]", "the same").invertible().examples(PORT_EXAMPLES),
    Opt::value("chunk-types", CHUNKS, Kind::Pair, "all|any|only types", "chunks in the packet").invertible().examples(
        &[
            "all INIT,DATA:Be",
            "any DATA:IUbe,ABORT:T",
            "only SACK",
            "any ALL",
            "any NONE",
            "all ASCONF,ASCONF_ACK,FORWARD_TSN",
            "all I_DATA,RE_CONFIG,PAD",
        ],
    ),
];

impl Extension for Sctp {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        implied_by: &[PROTOCOL],
        own_checks: true,
        sample: "-p sctp",
        limits: &[Limit::protocols(&[PROTOCOL])],
        ..Spec::new("sctp", 0, "matches ports and chunks of SCTP")
    };

    fn new(_: Family) -> Self {
        Self { src: None, dst: None, chunks: None }
    }

    fn set(&mut self, given: &Given<'_>, cx: &ParseCx<'_>) -> Result<(), UsageError> {
        if given.again() {
            let name = OPTIONS.iter().find(|o| o.id == given.id()).map_or("", |o| o.name);
            return Err(usage!("Only one `--{name}' allowed"));
        }
        if given.id() == CHUNKS {
            self.chunks = Some(Box::new(chunks(given)?));
            return Ok(());
        }
        let (min, max) = port_range(given.bytes(), cx)?;
        let ports = Some(Ports { min, max, invert: given.negated });
        if given.id() == SPORT {
            self.src = ports;
        } else {
            self.dst = ports;
        }
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        for (name, ports) in [("sport", self.src), ("dport", self.dst)] {
            let Some(Ports { min, max, invert }) = ports else { continue };
            write!(out, "{} --{name} {min}", if invert { " !" } else { "" });
            if min != max {
                write!(out, ":{max}");
            }
        }
        if let Some(chunks) = &self.chunks {
            out.str(if chunks.invert { " ! --chunk-types " } else { " --chunk-types " });
            chunks.print(false, out);
        }
    }

    fn list(&self, out: &mut Out, cx: &PrintCx<'_>) {
        out.str(" sctp");
        for (name, ports) in [("sp", self.src), ("dp", self.dst)] {
            let Some(Ports { min, max, invert }) = ports.filter(|p| !p.is_any()) else { continue };
            write!(out, " {name}t{}:{}", if min == max { "" } else { "s" }, if invert { "!" } else { "" });
            print_port(min, Some(PROTOCOL), out, cx);
            if min != max {
                out.byte(b':');
                print_port(max, Some(PROTOCOL), out, cx);
            }
        }
        if let Some(chunks) = &self.chunks {
            out.str(if chunks.invert { " ! " } else { " " });
            chunks.print(cx.numeric, out);
        }
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        let begin = out.len();
        for (name, ports) in [("sport", self.src), ("dport", self.dst)] {
            let Some(Ports { min, max, invert }) = ports else { continue };
            nft::separate(out, begin);
            write!(out, "sctp {name} ");
            nft::unless(invert, out);
            nft::range(min, max, out);
        }
        self.chunks.as_ref().is_none_or(|chunks| chunks.translate(begin, out))
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        for ports in [self.dst, self.src] {
            let ports = ports.unwrap_or(Ports { min: 0, max: 0, invert: false });
            b.u16(ports.min);
            b.u16(ports.max);
        }
        let none = Chunks { invert: false, how: 0, map: [0; 8], flags: Vec::new() };
        let chunks = self.chunks.as_deref().unwrap_or(&none);
        // struct: u32 chunkmap[256 / sizeof(u32)], of which 256 bits are used.
        for word in chunks.map {
            b.u32(word);
        }
        let spread = if chunks.map == [u32::MAX; 8] { 0xff } else { 0 };
        for _ in 0..(256 - 32) {
            b.u8(spread);
        }
        b.u32(chunks.how);
        for i in 0..FLAGS_MAX {
            b.bytes(chunks.flags.get(i).unwrap_or(&UNUSED));
        }
        b.u32(chunks.flags.len() as u32);
        let bits = |ask: &dyn Fn(bool) -> bool| {
            (u32::from(self.src.is_some_and(|p| ask(p.invert))) * bit(SPORT))
                | (u32::from(self.dst.is_some_and(|p| ask(p.invert))) * bit(DPORT))
                | (u32::from(self.chunks.as_ref().is_some_and(|c| ask(c.invert))) * bit(CHUNKS))
        };
        b.u32(bits(&|_| true));
        b.u32(bits(&|invert| invert));
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let u16_at = |at: usize| info.get(at..)?.first_chunk().map(|b| u16::from_ne_bytes(*b));
        let u32_at = |at: usize| info.get(at..)?.first_chunk().map(|b| u32::from_ne_bytes(*b));
        let (flags, invert) = (u32_at(284)?, u32_at(288)?);
        let ports = |at: usize, id: u8| {
            let (min, max) = (u16_at(at)?, u16_at(at + 2)?);
            if min > max && flags & bit(id) != 0 {
                return None;
            }
            Some((flags & bit(id) != 0).then_some(Ports { min, max, invert: invert & bit(id) != 0 }))
        };
        let mut map = [0; 8];
        for (i, word) in map.iter_mut().enumerate() {
            *word = u32_at(8 + 4 * i)?;
        }
        let count = usize::try_from(u32_at(280)?).ok().filter(|n| *n <= FLAGS_MAX)?;
        let flag_info = info.get(268..268 + 3 * count)?.chunks_exact(3);
        let flag_info = flag_info.filter_map(|c| c.first_chunk::<3>().copied()).collect();
        let chunks = Chunks { invert: invert & bit(CHUNKS) != 0, how: u32_at(264)?, map, flags: flag_info };
        let known = matches!(chunks.how, 1 | 2 | 4);
        let asked = flags & bit(CHUNKS) != 0;
        if asked && !(known && chunks.can_be_said()) {
            return None;
        }
        Some(Self { src: ports(4, SPORT)?, dst: ports(0, DPORT)?, chunks: asked.then(|| Box::new(chunks)) })
    }

    fn native(&self, _: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        if self.chunks.is_some() {
            return false;
        }
        x.whole(NFT_PAYLOAD_TRANSPORT_HEADER, 12);
        ports::native(self.src.unwrap_or(Ports::ANY), self.dst.unwrap_or(Ports::ANY), x);
        true
    }
}

/// Reads `all|any|only` and the list.
fn chunks(given: &Given<'_>) -> Result<Chunks, UsageError> {
    let how = match given.text.to_ascii_lowercase().as_slice() {
        b"any" => 1,
        b"all" => 2,
        b"only" => 4,
        _ => return Err(usage!("Match type has to be one of \"ALL\", \"ANY\" or \"ONLY\"")),
    };
    let mut chunks = Chunks { invert: given.negated, how, map: [0; 8], flags: Vec::new() };
    match given.second().map_err(|_| usage!("--chunk-types requires two args"))? {
        word if word.eq_ignore_ascii_case(b"ALL") => chunks.map = [u32::MAX; 8],
        word if word.eq_ignore_ascii_case(b"NONE") => {}
        list => {
            for item in list.split(|b| *b == b',').filter(|i| !i.is_empty()) {
                chunks.add(item)?;
            }
        }
    }
    Ok(chunks)
}

/// The order of the flags means nothing.
impl PartialEq for Chunks {
    fn eq(&self, other: &Self) -> bool {
        let sorted = |c: &Self| {
            let mut flags = c.flags.clone();
            flags.sort_unstable();
            flags
        };
        (self.invert, self.how, self.map) == (other.invert, other.how, other.map) && sorted(self) == sorted(other)
    }
}

impl Eq for Chunks {}

impl Chunks {
    /// Whether the command line has words for it: chunks with names, each with flags at most once, and only such as have letters.
    fn can_be_said(&self) -> bool {
        let named = |number: u8| CHUNK_NAMES.iter().find(|(_, n, _)| *n == number);
        if self.map == [u32::MAX; 8] {
            return self.flags.is_empty();
        }
        let flags_fit = self.flags.iter().all(|[number, set, mask]| {
            let letters = named(*number).map_or("", |(_, _, letters)| letters);
            let lettered = letters.bytes().enumerate().filter(|(_, l)| *l != b'-');
            let lettered = lettered.fold(0u8, |bits, (place, _)| bits | 0x80 >> place);
            let once = self.flags.iter().filter(|[n, ..]| n == number).count() == 1;
            once && self.has(*number) && mask & !lettered == 0 && set & !mask == 0 && !letters.is_empty()
        });
        flags_fit && (0..=u8::MAX).all(|n| !self.has(n) || named(n).is_some())
    }

    /// Prints `all` in the words of nft(8), which has none for the other two.
    fn translate(&self, begin: usize, out: &mut Out) -> bool {
        /// What it calls the chunks that it knows, in stock's order.
        const WORDS: &[(u8, &str)] = &[
            (0, "data"),
            (1, "init"),
            (2, "init-ack"),
            (3, "sack"),
            (4, "heartbeat"),
            (5, "heartbeat-ack"),
            (6, "abort"),
            (7, "shutdown"),
            (8, "shutdown-ack"),
            (9, "error"),
            (10, "cookie-echo"),
            (11, "cookie-ack"),
            (12, "ecne"),
            (13, "cwr"),
            (14, "shutdown-complete"),
            (193, "asconf"),
            (128, "asconf-ack"),
            (192, "forward-tsn"),
        ];
        let asked = (0..=u8::MAX).filter(|number| self.has(*number)).count();
        let mut said = 0;
        for (number, name) in WORDS.iter().filter(|(number, _)| self.has(*number)) {
            nft::separate(out, begin);
            write!(out, "sctp chunk {name} ");
            match self.flags.iter().find(|[n, ..]| n == number) {
                Some([_, set, mask]) => write!(out, "flags & {mask:#x} == {set:#x}"),
                None => out.str(if self.invert { "missing" } else { "exists" }),
            }
            said += 1;
        }
        // Of several, `!` asks whether any is missing.
        let inverted = self.invert && (asked > 1 || !self.flags.is_empty());
        self.how == 2 && said == asked && asked != 0 && !inverted
    }

    fn add(&mut self, item: &[u8]) -> Result<(), UsageError> {
        let mut parts = item.splitn(2, |b| *b == b':');
        let (name, letters) = (parts.next().unwrap_or_default(), parts.next());
        let found = CHUNK_NAMES.iter().find(|(n, ..)| n.as_bytes().eq_ignore_ascii_case(name));
        let Some((_, number, valid)) = found else { return Err(usage_bytes("Unknown sctp chunk `", name, "'")) };
        if let Some(word) = self.map.get_mut(usize::from(number / 32)) {
            *word |= 1 << (number % 32);
        }
        let Some(letters) = letters else { return Ok(()) };
        let mut entry = [*number, 0, 0];
        for letter in letters {
            let place = valid.bytes().position(|v| v == letter.to_ascii_uppercase());
            let Some(place) = place.filter(|_| *letter != b'-') else {
                // Stock counts the names of its own list.
                let at = match number {
                    64 => 15,
                    130 => 16,
                    132 => 17,
                    193 => 18,
                    128 => 19,
                    192 => 20,
                    194 => 21,
                    number => *number,
                };
                return Err(usage!("Invalid flags for chunk type {at}"));
            };
            let flag = 0x80u8 >> place;
            let [_, set, mask] = &mut entry;
            *set |= if letter.is_ascii_uppercase() { flag } else { 0 };
            *mask |= flag;
        }
        match self.flags.iter_mut().find(|[n, ..]| n == number) {
            Some([_, set, mask]) => {
                *set |= entry[1];
                *mask |= entry[2];
            }
            None => self.flags.push(entry),
        }
        Ok(())
    }

    fn has(&self, number: u8) -> bool {
        self.map.get(usize::from(number / 32)).is_some_and(|word| word & (1 << (number % 32)) != 0)
    }

    fn print(&self, numeric: bool, out: &mut Out) {
        out.str(match self.how {
            1 => "any ",
            2 => "all ",
            _ => "only ",
        });
        if self.map == [u32::MAX; 8] {
            return out.str("ALL");
        }
        if self.map == [0; 8] {
            return out.str("NONE");
        }
        let mut first = true;
        for number in (0..=u8::MAX).filter(|n| self.has(*n)) {
            out.str(if first { "" } else { "," });
            first = false;
            let known = CHUNK_NAMES.iter().find(|(_, n, _)| *n == number);
            match known {
                Some((name, ..)) if !numeric => out.str(name),
                _ => write!(out, "0x{number:04X}"),
            }
            let Some([_, set, mask]) = self.flags.iter().find(|[n, ..]| *n == number) else { continue };
            out.byte(b':');
            let letters = known.map_or("", |(_, _, letters)| letters);
            for (place, letter) in letters.bytes().enumerate() {
                let flag = 0x80u8 >> place;
                if mask & flag != 0 {
                    out.byte(if set & flag != 0 { letter } else { letter.to_ascii_lowercase() });
                }
            }
        }
    }

    /// Whether a chunk is one of those asked for, its flags included.
    fn wants(&self, number: u8, flags: u8) -> bool {
        let flags_fit =
            self.flags.iter().find(|[n, ..]| *n == number).is_none_or(|[_, set, mask]| flags & mask == *set);
        self.has(number) && flags_fit
    }

    /// Whether the chunks of a packet are as asked; `None` if a chunk is malformed, for which the kernel drops the packet.
    fn eval(&self, transport: &[u8]) -> Option<bool> {
        let mut rest = transport.get(12..)?;
        let mut missing = self.map;
        loop {
            let [number, flags, l0, l1, ..] = *rest else { return None };
            let len = usize::from(u16::from_be_bytes([l0, l1]));
            if len == 0 {
                return None;
            }
            match (self.how, self.wants(number, flags)) {
                (1, true) => return Some(true),
                (2, true) => {
                    if let Some(word) = missing.get_mut(usize::from(number / 32)) {
                        *word &= !(1 << (number % 32));
                    }
                }
                (4, false) => return Some(false),
                _ => {}
            }
            rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
        }
        Some(match self.how {
            1 => false,
            2 => missing == [0; 8],
            _ => true,
        })
    }
}

impl MatchExt for Sctp {
    fn eval(&self, packet: &Packet, env: &mut Env<'_>) -> Tri {
        let Some(transport) = headers::transport(packet, 12, env) else { return Tri::False };
        let port = |at: usize| transport.get(at..).and_then(|t| t.first_chunk()).map(|b| u16::from_be_bytes(*b));
        let ports = |asked: Option<Ports>, at: usize| asked.is_none_or(|p| port(at).is_some_and(|n| p.contains(n)));
        let fits = ports(self.src, 0) && ports(self.dst, 2);
        let Some(chunks) = self.chunks.as_ref().filter(|_| fits) else { return Tri::from(fits) };
        let found = chunks.eval(transport);
        env.hotdrop |= found.is_none();
        Tri::from(found.is_some_and(|found| found != chunks.invert))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{error, read};

    const SCTP: Option<(u8, bool)> = Some((PROTOCOL, false));

    #[test]
    fn chunks_are_printed_by_number() {
        let read = read(Family::V4, SCTP, "sctp ! --sport 7 --dport 1:5 --chunk-types all INIT,DATA:BeU").unwrap();
        assert_eq!(read.save(), " ! --sport 7 --dport 1:5 --chunk-types all DATA:UBe,INIT");
        assert_eq!(read.list(true), " sctp spt:!7 dpts:1:5 all 0x0000:UBe,0x0001");
        assert_eq!(error(Family::V4, SCTP, "sctp --chunk-types any INIT:B"), "Invalid flags for chunk type 1");
        assert_eq!(error(Family::V4, SCTP, "sctp --sport 1 --sport 2"), "Only one `--source-port' allowed");
    }

    /// A common header and two chunks: DATA with the flags B and E, SACK.
    fn packet() -> Vec<u8> {
        let mut bytes = vec![0; 12];
        bytes.extend([0, 3, 0, 6, 1, 2, 0, 0]);
        bytes.extend([3, 0, 0, 4]);
        bytes
    }

    #[test]
    fn chunks_any_all_only() {
        let chunks = |how, list: &[(u8, Option<(u8, u8)>)]| {
            let mut c = Chunks { invert: false, how, map: [0; 8], flags: Vec::new() };
            for (number, flags) in list {
                c.map[usize::from(number / 32)] |= 1 << (number % 32);
                c.flags.extend(flags.map(|(set, mask)| [*number, set, mask]));
            }
            c.eval(&packet())
        };
        assert_eq!(chunks(1, &[(3, None), (9, None)]), Some(true));
        assert_eq!(chunks(1, &[(0, Some((0, 1)))]), Some(false));
        assert_eq!(chunks(2, &[(0, Some((3, 3))), (3, None)]), Some(true));
        assert_eq!(chunks(2, &[(0, None), (9, None)]), Some(false));
        assert_eq!(chunks(4, &[(0, None)]), Some(false));
        assert_eq!(chunks(4, &[(0, None), (3, None), (9, None)]), Some(true));
    }
}

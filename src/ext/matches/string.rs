//! `-m string`: a string somewhere in the packet.
//!
//! # Matches
//! Packets that contain the string, whole, between two offsets from the start of the network header. `!` turns the answer round.
//! # Options
//! `[!] --string TEXT` or `[!] --hex-string TEXT` (`|4a 4b|` is hexadecimal there, `\` takes the next character as it is); `--algo bm|kmp`,
//! `--from OFFSET` (default 0), `--to OFFSET` (of the first byte that is not searched), `--icase`.
//! # Wire
//! xt `string` revision 1, `struct xt_string_info` (160 bytes, host order). Native: none, because nf_tables does not search.
//! # Evaluates
//! Always known. With `--icase` letters are those of ISO 8859-1, as the kernel's toupper() takes them.
//! # Differs
//! A `--hex-string` of just 128 bytes may end in a closing bar: stock does not take back what its own `-S` prints for such a string.
//! # Sources
//! iptables-extensions(8) "string"; `linux/netfilter/xt_string.h`; fact sheet 3.4; observed with stock 1.8.9 and Linux 6.18.

use crate::ext::options::{Given, Kind, Opt, UsageError, bit, usage_bytes};
use crate::ext::{Extension, MatchExt, ParseCx, PrintCx, Spec};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out, Tri};
use crate::usage;
use crate::wire::BlobWriter;

/// What is looked for, where and how.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Search {
    /// In bytes from the network header; the second is that of the first byte which is not looked at.
    from: u16,
    to: u16,
    /// At most 15 bytes without NUL.
    algo: Box<[u8]>,
    /// At most 128 bytes.
    pattern: Box<[u8]>,
    invert: bool,
    ignore_case: bool,
}

/// `XT_STRING_MAX_PATTERN_SIZE` and `XT_STRING_MAX_ALGO_NAME_SIZE`.
const PATTERN_SIZE: usize = 128;
const ALGO_SIZE: usize = 16;
/// Where the fields stand in the struct, and where the kernel's own begin.
const ALGO_AT: usize = 4;
const PATTERN_AT: usize = 20;
const LENGTH_AT: usize = 148;
const PRIVATE_AT: usize = 152;

const INVERT: u8 = 1;
const IGNORE_CASE: u8 = 2;

const FROM: u8 = 0;
const TO: u8 = 1;
const ALGO: u8 = 2;
const STRING: u8 = 3;
const HEX: u8 = 4;
const ICASE: u8 = 5;

const OFFSET: Kind = Kind::Number { min: 0, max: u16::MAX as u64 };

const OPTIONS: &[Opt] = &[
    Opt::value("from", FROM, OFFSET, "offset", "first byte to look at, from the start of the packet")
        .examples(&["0", "1", "28", "0x10"]),
    Opt::value("to", TO, OFFSET, "offset", "first byte not to look at")
        .examples(&["64", "100", "1500", "65534", "65535"]),
    Opt::value("algo", ALGO, Kind::Raw, "name", "how to search: bm (Boyer-Moore) or kmp (Knuth-Morris-Pratt)")
        .mandatory()
        .examples(&["bm", "kmp"]),
    Opt::value("string", STRING, Kind::Raw, "text", "the string").invertible().excluding(bit(HEX)).examples(&[
        "foo",
        "GET /",
        "it's",
        "a\"b\\c",
        "|41|",
        "a|b",
        " ",
        "é",
        "BitTorrent protocol",
        "/announce",
        "--x",
        "a\\",
    ]),
    Opt::value("hex-string", HEX, Kind::Raw, "text", "the string, with hexadecimal numbers between vertical bars")
        .invertible()
        .excluding(bit(STRING))
        .examples(&[
            "|41|",
            "|de ad|be|ef|x",
            "abc",
            "|0d0a|",
            "a\\|b",
            "|00|",
            "|41||42|",
            "|  7f ff|",
            "x|616200|y",
            "\\\\",
            "|41|\\",
        ]),
    Opt::flag("icase", ICASE, "capital and small letters are the same"),
];

impl Extension for Search {
    const SPEC: Spec = Spec { options: OPTIONS, ..Spec::new("string", 1, "matches a string in the packet") };

    fn new(_: Family) -> Self {
        Self { from: 0, to: u16::MAX, algo: Box::default(), pattern: Box::default(), invert: false, ignore_case: false }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        let text = given.bytes();
        match given.id() {
            FROM => self.from = given.u16(),
            TO => self.to = given.u16(),
            ALGO => self.algo = text.get(..ALGO_SIZE - 1).unwrap_or(text).into(),
            ICASE => self.ignore_case = true,
            id => {
                self.invert = given.negated;
                self.pattern = match id {
                    STRING if text.len() > PATTERN_SIZE => return Err(usage_bytes("STRING too long \"", text, "\"")),
                    STRING => text.into(),
                    _ => with_hex(text)?.into(),
                };
            }
        }
        Ok(())
    }

    fn finish(&mut self, seen: u32, _: &ParseCx<'_>) -> Result<(), UsageError> {
        if seen & (bit(STRING) | bit(HEX)) == 0 {
            return Err(usage!("STRING match: You must specify `--string' or `--hex-string'"));
        }
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(if self.invert { " !" } else { "" });
        out.str(if self.is_hex() { " --hex-string " } else { " --string " });
        self.print_pattern(out);
        self.print_rest(out, [" --algo", " --from ", " --to ", " --icase"]);
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(if self.invert { " STRING match ! " } else { " STRING match  " });
        self.print_pattern(out);
        self.print_rest(out, [" ALGO name", " FROM ", " TO ", " ICASE"]);
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.u16(self.from);
        b.u16(self.to);
        b.fixed(&self.algo, ALGO_SIZE);
        b.fixed(&self.pattern, PATTERN_SIZE);
        b.u8(u8::try_from(self.pattern.len()).unwrap_or(0));
        b.u8(if self.invert { INVERT } else { 0 } | if self.ignore_case { IGNORE_CASE } else { 0 });
        b.align(8);
        b.zeros(8);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let [f0, f1, t0, t1, ..] = *info else { return None };
        let algo = info.get(ALGO_AT..PATTERN_AT)?;
        let algo = algo.get(..algo.iter().position(|b| *b == 0)?)?;
        let [len, flags, ..] = *info.get(LENGTH_AT..)? else { return None };
        let pattern = info.get(PATTERN_AT..LENGTH_AT)?.get(..usize::from(len))?;
        (flags & !(INVERT | IGNORE_CASE) == 0).then(|| Self {
            from: u16::from_ne_bytes([f0, f1]),
            to: u16::from_ne_bytes([t0, t1]),
            algo: algo.into(),
            pattern: pattern.into(),
            invert: flags & INVERT != 0,
            ignore_case: flags & IGNORE_CASE != 0,
        })
    }

    fn scrub(info: &mut [u8]) {
        if let Some(private) = info.get_mut(PRIVATE_AT..) {
            private.fill(0);
        }
    }
}

/// A string in which `|4a 4b|` is hexadecimal; behind a closing bar the next character stands for itself, even `|` or `\`.
fn with_hex(text: &[u8]) -> Result<Vec<u8>, UsageError> {
    if text.is_empty() {
        return Err(usage!("STRING must contain at least one char"));
    }
    let (mut out, mut hex, mut rest) = (Vec::new(), false, text);
    while let [first, behind @ ..] = rest {
        if out.len() >= PATTERN_SIZE && !(hex && rest == b"|") {
            return Err(usage_bytes("STRING too long \"", text, "\""));
        }
        let mut literal = false;
        match first {
            b'\\' if hex => return Err(usage!("Cannot include literals in hex data")),
            b'\\' if behind.is_empty() => return Err(usage!("Bad literal placement at end of string")),
            b'\\' => (literal, rest) = (true, behind),
            b'|' => {
                hex = !hex;
                rest = if hex { behind.trim_ascii_start() } else { behind };
            }
            _ => {}
        }
        rest = match rest {
            [] => break,
            [byte, behind @ ..] if literal || !hex => {
                out.push(*byte);
                behind
            }
            _ => hex_pair(rest, &mut out)?,
        };
    }
    Ok(out)
}

/// Two hexadecimal digits, behind which at least one more character must stand; a blank there is skipped.
fn hex_pair<'t>(text: &'t [u8], out: &mut Vec<u8>) -> Result<&'t [u8], UsageError> {
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let digit = |c: u8| digit(c).ok_or_else(|| usage_bytes("Invalid hex char '", &[c], "'"));
    match text {
        [] | [_] => Err(usage!("Odd number of hex digits")),
        [_, _] => Err(usage!("Invalid hex block")),
        [high, low, behind @ ..] => {
            out.push(digit(*high)? << 4 | digit(*low)?);
            Ok(behind.strip_prefix(b" ").unwrap_or(behind))
        }
    }
}

impl Search {
    /// Whether it is printed in hexadecimal: it has a byte that is no printable ASCII, or ends in a backslash.
    fn is_hex(&self) -> bool {
        self.pattern.last() == Some(&b'\\') || !self.pattern.iter().all(|b| matches!(b, b' '..=b'~'))
    }

    fn print_pattern(&self, out: &mut Out) {
        let hex = self.is_hex();
        out.str(if hex { "\"|" } else { "\"" });
        for &byte in &self.pattern {
            match byte {
                _ if hex => write!(out, "{byte:02x}"),
                b'"' | b'\\' => out.bytes(&[b'\\', byte]),
                _ => out.byte(byte),
            }
        }
        out.str(if hex { "|\"" } else { "\"" });
    }

    fn print_rest(&self, out: &mut Out, [algo, from, to, icase]: [&str; 4]) {
        out.str(algo);
        out.word(&self.algo);
        if self.from != 0 {
            write!(out, "{from}{}", self.from);
        }
        if self.to != u16::MAX {
            write!(out, "{to}{}", self.to);
        }
        if self.ignore_case {
            out.str(icase);
        }
    }
}

/// The capital of a letter in ISO 8859-1; `ß` has one there for the kernel, and `ÿ` too.
fn capital(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' | 0xdf..=0xf6 | 0xf8..=0xff => byte - 0x20,
        _ => byte,
    }
}

impl MatchExt for Search {
    fn eval(&self, packet: &Packet, _: &mut Env<'_>) -> Tri {
        let bytes = packet.bytes();
        let end = usize::from(self.to).min(bytes.len());
        let text = bytes.get(usize::from(self.from)..end).unwrap_or_default();
        let same = |window: &[u8]| match self.ignore_case {
            true => window.iter().zip(&self.pattern).all(|(a, b)| capital(*a) == capital(*b)),
            false => *window == *self.pattern,
        };
        // The kernel takes no rule with an empty string.
        let found = text.windows(self.pattern.len().max(1)).any(same);
        Tri::from(found != self.invert)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{error, raised_text, read, row};
    use crate::packet::build::{Ipv4, Udp};
    use crate::types::Family::{V4, V6};

    fn wire(head: &str, algo: &str, pattern: &str, len: u8, flags: u8) -> String {
        format!("match string 1 {head}{algo:0<32}{pattern:0<256}{len:02x}{flags:02x}{}", "00".repeat(10))
    }

    #[test]
    fn what_stock_writes_and_prints() {
        for family in [V4, V6] {
            // The words of a test line are divided at single blanks, so that none can stand in a value.
            let row = |line: &str, save: &str, list: &str, wire: &str| {
                row(family, None, &format!("string {line}"), save, list, wire);
            };
            row(
                "--algo bm --string foo",
                " --string \"foo\" --algo bm",
                " STRING match  \"foo\" ALGO name bm",
                &wire("0000ffff", "626d", "666f6f", 3, 0),
            );
            row(
                "--algo kmp ! --string foo_bar --from 5 --to 0x64 --icase",
                " ! --string \"foo_bar\" --algo kmp --from 5 --to 100 --icase",
                " STRING match ! \"foo_bar\" ALGO name kmp FROM 5 TO 100 ICASE",
                &wire("05006400", "6b6d70", "666f6f5f626172", 7, 3),
            );
            row(
                "--algo bm --hex-string |dead|be|ef|x",
                " --hex-string \"|dead6265ef78|\" --algo bm",
                " STRING match  \"|dead6265ef78|\" ALGO name bm",
                &wire("0000ffff", "626d", "dead6265ef78", 6, 0),
            );
            row(
                "--algo bm --string a\"b\\c",
                " --string \"a\\\"b\\\\c\" --algo bm",
                " STRING match  \"a\\\"b\\\\c\" ALGO name bm",
                &wire("0000ffff", "626d", "6122625c63", 5, 0),
            );
        }
    }

    #[test]
    fn strings_with_hexadecimal() {
        for (text, bytes) in [
            ("| 41 42 |", &b"AB"[..]),
            ("|  41|", b"A"),
            ("|4142|x|43|", b"ABxC"),
            ("|41 |b", b"Ab"),
            ("|41| b", b"A b"),
            ("|41 ", b"A"),
            ("a\\|b", b"a|b"),
            ("a\\b", b"ab"),
            ("\\\\\\|", b"\\|"),
            ("\\|41|", b"|41"),
            ("|41||42|", b"A|42"),
            ("|41|\\", b"A\\"),
            ("|41|\\x", b"A\\x"),
            ("|41|b|", b"Ab"),
            ("|", b""),
            ("| ", b""),
        ] {
            assert_eq!(with_hex(text.as_bytes()).as_deref(), Ok(bytes), "{text}");
        }
        for (text, words) in [
            ("", "STRING must contain at least one char"),
            ("|41", "Invalid hex block"),
            ("|4|", "Invalid hex block"),
            ("|41 4|", "Invalid hex block"),
            ("|41  |", "Invalid hex block"),
            ("|4", "Odd number of hex digits"),
            ("||", "Odd number of hex digits"),
            ("| |", "Odd number of hex digits"),
            ("|41|\\|b", "Odd number of hex digits"),
            ("|4 1|", "Invalid hex char ' '"),
            ("|61  62|", "Invalid hex char ' '"),
            ("|0x41|", "Invalid hex char 'x'"),
            ("|41\\42|", "Cannot include literals in hex data"),
            ("a\\", "Bad literal placement at end of string"),
        ] {
            assert_eq!(with_hex(text.as_bytes()), Err(UsageError::new(words)), "{text}");
        }
    }

    #[test]
    fn a_string_of_128_bytes_can_be_written_in_hexadecimal() {
        let hex = |n: usize| with_hex(format!("|{}|", "61".repeat(n)).as_bytes()).map(|out| out.len());
        assert_eq!(hex(128), Ok(128));
        assert!(hex(129).is_err());
        assert!(with_hex("a".repeat(129).as_bytes()).is_err());
    }

    #[test]
    fn what_stock_refuses() {
        let long = "a".repeat(129);
        for (line, text) in [
            (" --algo bm", "STRING match: You must specify `--string' or `--hex-string'"),
            (" --string foo", "string: option \"--algo\" must be specified\n"),
            (
                " --algo bm --string a --hex-string b",
                "string: option \"--string\" cannot be used together with \"--hex-string\".\n",
            ),
            (" --from 65536", "string: bad value for option \"--from\", or out of range (0-65535).\n"),
            (&format!(" --string {long}"), &format!("STRING too long \"{long}\"")),
            (&format!(" --hex-string {long}"), &format!("STRING too long \"{long}\"")),
        ] {
            assert_eq!(error(V4, None, &format!("string{line}")), text, "{line}");
        }
    }

    #[test]
    fn what_other_programs_wrote() {
        let text = |len: u8, flags: u8, algo: &[u8], private: u8| {
            let mut info = [0; 160];
            info[2..4].copy_from_slice(&[0xff, 0xff]);
            info[4..4 + algo.len()].copy_from_slice(algo);
            info[20..23].copy_from_slice(b"foo");
            (info[148], info[149]) = (len, flags);
            info[152..].fill(private);
            raised_text(V4, None, |x| x.xt_match("string", 1, |b| b.bytes(&info)))
        };
        assert_eq!(text(3, 2, b"bm", 0xee), " -m string --string \"foo\" --algo bm --icase");
        assert_eq!(text(129, 0, b"bm", 0), "opaque");
        assert_eq!(text(2, 0, b"bm", 0), "opaque");
        assert_eq!(text(3, 4, b"bm", 0), "opaque");
        assert_eq!(text(3, 0, &[b'x'; 16], 0), "opaque");
    }

    /// As observed with packets on Linux 6.18: the string begins at offset 38.
    #[test]
    fn what_it_means() {
        let payload = [b"x".repeat(10), b"foo\xca\xcb".to_vec(), b"y".repeat(10)].concat();
        let packet = Ipv4::default() / Udp { payload, ..Udp::default() };
        for (line, matches) in [
            ("--string foo", true),
            ("! --string foo", false),
            ("--string FOO", false),
            ("--string FOO --icase", true),
            ("--hex-string |eaeb|", false),
            ("--hex-string |eaeb| --icase", true),
            ("--string foo --from 38", true),
            ("--string foo --from 39", false),
            ("--string foo --to 40", false),
            ("--string foo --to 41", true),
            ("--string foo --from 38 --to 38", false),
            ("--string foo --from 1000", false),
            ("! --string foo --from 1000", true),
        ] {
            let read = read(V4, None, &format!("string --algo bm {line}")).unwrap();
            assert_eq!(read.matches(&packet), Tri::from(matches), "{line}");
        }
    }
}

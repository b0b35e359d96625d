//! Headers with options in IPv6: what the matches `dst` (destination options) and `hbh` (hop-by-hop options) share.
//!
//! A header is as the kernel reads it: it must be whole (else the packet is dropped at once), and the options asked for must stand at its front, one behind the other.
//! Sources: observed with stock 1.8.9; `linux/netfilter_ipv6/ip6t_opts.h`; RFC 8200 §4.2.

use super::headers::{self, load_extension};
use crate::ext::options::{Given, Kind, Opt, UsageError, leading_number, skip_space, usage_bytes};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Out, Tri};
use crate::usage;
use crate::wire::{BlobWriter, ExprWriter};

/// What is asked of the header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The header's length in bytes, and whether another is meant.
    len: Option<(u32, bool)>,
    /// The options: type, and length of the data in bytes, 255 for any.
    options: Option<Vec<(u8, u8)>>,
}

/// The option `--X-len`.
pub const LEN: u8 = 0;
/// The option `--X-opts`.
pub const OPTS: u8 = 1;

const ANY_LEN: u8 = 255;
/// The one option that has neither length nor data.
const PAD1: u8 = 0;
/// `IP6T_OPTS_OPTSNR`.
const OPTIONS_MAX: usize = 16;

const FLAG_LEN: u8 = 1;
const FLAG_OPTS: u8 = 2;

/// The option `--X-len`.
pub const fn len_option(name: &'static str) -> Opt {
    let kind = Kind::Number { min: 0, max: u32::MAX as u64 };
    Opt::value(name, LEN, kind, "length", "length of the header in bytes").invertible().examples(&[
        "0",
        "8",
        "0x10",
        "16",
        "24",
        "2048",
        "9",
        "4294967295",
    ])
}

/// The option `--X-opts`.
pub const fn opts_option(name: &'static str) -> Opt {
    Opt::value(name, OPTS, Kind::Raw, "type[:len][,type[:len]...]", "options at the front of the header, at most 16")
        .examples(&[
            "0",
            "1",
            "1:4",
            "1:0,5:2",
            "0,0,0",
            "0x05:0x02,1",
            "194:4",
            "1:2,3",
            "255:254",
            "1:255,2",
            "4,5,6,7",
            "0,1:12",
            "38:10,1:2",
            "201:16",
            "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16",
        ])
}

impl Options {
    /// Takes an option. `ext` is the extension's name and `padded` stock's words for a length of Pad1.
    pub fn set(&mut self, given: &Given<'_>, ext: &str, padded: &str) -> Result<(), UsageError> {
        match given.id() {
            LEN => self.len = Some((given.u32(), given.negated)),
            _ => self.options = Some(parse(given.bytes(), ext, padded)?),
        }
        Ok(())
    }

    /// Prints ` --NAME-len 8 --NAME-opts 1:2,3`.
    pub fn save(&self, name: &str, out: &mut Out) {
        if let Some((len, not)) = self.len {
            write!(out, "{} --{name}-len {len}", if not { " !" } else { "" });
        }
        if self.options.is_some() {
            write!(out, " --{name}-opts ");
            self.print(out);
        }
    }

    /// Prints ` NAME length:!8 opts 1:2,3`.
    pub fn list(&self, name: &str, out: &mut Out) {
        write!(out, " {name}");
        if let Some((len, not)) = self.len {
            write!(out, " length:{}{len}", if not { "!" } else { "" });
        }
        if self.options.is_some() {
            out.str(" opts ");
            self.print(out);
        }
    }

    fn print(&self, out: &mut Out) {
        for (i, (kind, len)) in self.options.iter().flatten().enumerate() {
            out.str(if i == 0 { "" } else { "," });
            out.dec(u64::from(*kind));
            if *len != ANY_LEN {
                out.byte(b':');
                out.dec(u64::from(*len));
            }
        }
    }

    /// Writes `struct ip6t_opts`.
    pub fn blob(&self, b: &mut BlobWriter<'_>) {
        let (len, not) = self.len.unwrap_or_default();
        let options = self.options.as_deref().unwrap_or_default();
        b.u32(len);
        b.u8((u8::from(self.len.is_some()) * FLAG_LEN) | (u8::from(self.options.is_some()) * FLAG_OPTS));
        b.u8(u8::from(not));
        for at in 0..OPTIONS_MAX {
            let (kind, len) = options.get(at).copied().unwrap_or_default();
            b.u16(u16::from_be_bytes([kind, len]));
        }
        b.u8(options.len() as u8);
        b.align(4);
    }

    /// Reads the same.
    pub fn decode(info: &[u8]) -> Option<Self> {
        let [a, b, c, d, flags, invert] = *info.first_chunk()?;
        let (pairs, number) = (info.get(6..38)?, usize::from(*info.get(38)?));
        let options = pairs.as_chunks::<2>().0.iter().map(|pair| u16::from_ne_bytes(*pair).to_be_bytes());
        let options: Vec<_> = options.take(number).map(|[kind, len]| (kind, len)).collect();
        let sayable = flags & !(FLAG_LEN | FLAG_OPTS) == 0
            && (flags & FLAG_OPTS != 0) != options.is_empty()
            && options.iter().all(|(kind, len)| *kind != PAD1 || *len == ANY_LEN);
        sayable.then_some(Self {
            len: (flags & FLAG_LEN != 0).then_some((u32::from_ne_bytes([a, b, c, d]), invert != 0)),
            options: (flags & FLAG_OPTS != 0).then_some(options),
        })
    }

    /// Whether a packet has such a header of this kind.
    pub fn eval(&self, kind: u8, packet: &Packet, env: &mut Env<'_>) -> Tri {
        let Some(header) = headers::extension(packet, kind, 2, env) else { return Tri::False };
        let len = header.get(1).map_or(0, |words| (usize::from(*words) + 1) * 8);
        let Some(whole) = header.get(..len) else {
            env.hotdrop = true;
            return Tri::False;
        };
        let fits = self.len.is_none_or(|(asked, not)| (asked as usize == len) != not);
        Tri::from(fits && self.options_match(whole.get(2..).unwrap_or_default()))
    }

    fn options_match(&self, mut rest: &[u8]) -> bool {
        let options = self.options.as_deref().unwrap_or_default();
        for (i, (kind, len)) in options.iter().enumerate() {
            let size = match rest {
                [found, ..] if found != kind => return false,
                [PAD1, ..] => 1,
                [_, found, ..] if [ANY_LEN, *found].contains(len) => usize::from(*found) + 2,
                _ => return false,
            };
            // The data of the last may reach beyond the header.
            match rest.get(size..) {
                Some(behind) => rest = behind,
                None if i + 1 < options.len() => return false,
                None => {}
            }
        }
        true
    }

    /// Writes loads and compares, if the header's length is known, so that its last byte must be there, and with it where each option stands.
    pub fn native(&self, kind: u8, x: &mut ExprWriter<'_>) -> bool {
        let Some((len @ 8..=256, false)) = self.len.filter(|(len, _)| len.is_multiple_of(8)) else { return false };
        let options = self.options.as_deref().unwrap_or_default();
        let mut at = 2;
        for (i, (option, data)) in options.iter().enumerate() {
            let (last, fixed) = (i + 1 == options.len(), *option == PAD1 || *data != ANY_LEN);
            let size = if *option == PAD1 { 1 } else { 2 + u32::from(*data) };
            // An option that would not fit in makes a rule that never matches: xt says that better.
            if !last && (!fixed || at + size > len) || at + u32::from(*option != PAD1) >= len {
                return false;
            }
            at += size;
        }
        load_extension(kind, len - 1, 1, x);
        load_extension(kind, 1, 1, x);
        x.cmp_eq(false, &[(len / 8 - 1) as u8]);
        at = 2;
        for (option, data) in options {
            load_extension(kind, at, 1, x);
            x.cmp_eq(false, &[*option]);
            if *option != PAD1 && *data != ANY_LEN {
                load_extension(kind, at + 1, 1, x);
                x.cmp_eq(false, &[*data]);
            }
            at += if *option == PAD1 { 1 } else { 2 + u32::from(*data) };
        }
        true
    }
}

/// `type[:len]` with commas between, 0 to 255 each. Stock takes greater numbers modulo 256, and negative ones.
fn parse(text: &[u8], ext: &str, padded: &str) -> Result<Vec<(u8, u8)>, UsageError> {
    let mut options = Vec::new();
    for part in text.split(|b| *b == b',') {
        if options.len() == OPTIONS_MAX {
            return Err(usage!("too many addresses specified"));
        }
        let colon = part.iter().position(|b| *b == b':');
        let kind = byte(part.get(..colon.unwrap_or(part.len())).unwrap_or_default(), ext, "opt")?;
        if kind == PAD1 && colon.is_some() {
            return Err(usage!("{padded}"));
        }
        let len = colon.and_then(|at| part.get(at + 1..));
        options.push((kind, len.map_or(Ok(ANY_LEN), |len| byte(len, ext, "length"))?));
    }
    Ok(options)
}

fn byte(text: &[u8], ext: &str, what: &str) -> Result<u8, UsageError> {
    let text_of = skip_space(text);
    let (number, negative) = text_of.strip_prefix(b"-").map_or((text_of, false), |digits| (digits, true));
    let big = || usage_bytes(&format!("{what} `"), text, "' specified too big: would overflow");
    match leading_number(number) {
        Some((n, [])) if !negative => u8::try_from(n).map_err(|_| big()),
        Some((_, [_, ..])) => Err(usage_bytes(&format!("{ext}: error parsing {what} `"), text, "'")),
        None if !number
            .trim_ascii_start()
            .strip_prefix(b"+")
            .unwrap_or(number)
            .first()
            .is_some_and(u8::is_ascii_digit) =>
        {
            Err(usage_bytes(&format!("{ext}: no valid digits in {what} `"), text, "'"))
        }
        _ => Err(big()),
    }
}

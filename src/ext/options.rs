//! Options as data: the table from which an extension's parsing, help and generated tests derive.

use super::{ParseCx, resolve};
use crate::types::{Family, Network, Out, builtin_protocol};
use std::net::IpAddr;

/// One option of an extension.
#[derive(Clone, Copy, Debug)]
pub struct Opt {
    /// The long name, without dashes. Other names for the same option stand in rows of their own with the same `id`.
    pub name: &'static str,
    /// Which option it is, for [`Given::id`]; below 32.
    pub id: u8,
    /// What value it takes.
    pub kind: Kind,
    /// `!` may stand before it.
    pub invert: bool,
    /// It may be given more than once.
    pub many: bool,
    /// It must be given.
    pub required: bool,
    /// Bits `1 << id` of the options that cannot stand beside it.
    pub excludes: u32,
    /// Bits of the options that it needs beside it.
    pub needs: u32,
    /// The value's name in the help.
    pub metavar: &'static str,
    /// What it does: one phrase for the help.
    pub help: &'static str,
    /// Values that are valid for it in a rule with the protocol of [`super::Spec::sample`]; the test generators draw from them.
    pub examples: &'static [&'static str],
}

impl Opt {
    /// An option that takes no value, may be given once and not be inverted; change the rest with `..Opt::flag(…)`.
    pub const fn flag(name: &'static str, id: u8, help: &'static str) -> Self {
        Self {
            name,
            id,
            kind: Kind::Flag,
            invert: false,
            many: false,
            required: false,
            excludes: 0,
            needs: 0,
            metavar: "",
            help,
            examples: &[],
        }
    }

    /// An option with a value.
    pub const fn value(name: &'static str, id: u8, kind: Kind, metavar: &'static str, help: &'static str) -> Self {
        Self { kind, metavar, ..Self::flag(name, id, help) }
    }

    /// The same with `!` allowed.
    #[must_use]
    pub const fn invertible(self) -> Self {
        Self { invert: true, ..self }
    }

    /// The same, but it must be given.
    #[must_use]
    pub const fn mandatory(self) -> Self {
        Self { required: true, ..self }
    }

    /// The same with values for the test generators.
    #[must_use]
    pub const fn examples(self, examples: &'static [&'static str]) -> Self {
        Self { examples, ..self }
    }

    /// The same, excluding other options (bits `1 << id`).
    #[must_use]
    pub const fn excluding(self, excludes: u32) -> Self {
        Self { excludes, ..self }
    }

    /// The examples that are valid in a family: `v4:` or `v6:` in front limits one to a family and is not part of it. A flag has one, empty.
    pub fn examples_for(&self, family: Family) -> Vec<&'static str> {
        let (ours, others) = match family {
            Family::V4 => ("v4:", "v6:"),
            Family::V6 => ("v6:", "v4:"),
        };
        if self.kind == Kind::Flag {
            return vec![""];
        }
        let fitting = self.examples.iter().filter(|e| !e.starts_with(others));
        fitting.map(|e| e.strip_prefix(ours).unwrap_or(e)).collect()
    }

    /// Whether a word must follow.
    pub const fn takes_value(&self) -> bool {
        !matches!(self.kind, Kind::Flag | Kind::Optional)
    }
}

/// The kinds of values. Numbers are written in decimal, `0x` hexadecimal or `0` octal, as strtoul(3) with base 0 reads them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No value.
    Flag,
    /// A number, both ends included.
    #[expect(missing_docs, reason = "the words say it")]
    Number { min: u64, max: u64 },
    /// `a` or `a:b`, open ends filled with the limits; nothing makes sure that `a <= b`.
    #[expect(missing_docs, reason = "the words say it")]
    Range { min: u64, max: u64 },
    /// Text of `min` to `max` bytes. Where stock cuts longer text in silence, `max` is `usize::MAX` and the extension cuts.
    #[expect(missing_docs, reason = "the words say it")]
    Text { min: usize, max: usize },
    /// A port: number or service name, as getaddrinfo(3) reads it (see [`resolve::port`]).
    Port,
    /// `a` or `a:b` in such ports, open ends filled with 0 and 65535; nothing makes sure that `a <= b`.
    PortRange,
    /// One address or host name, as getaddrinfo(3) reads it (see [`resolve::host`]).
    Host,
    /// `value[/mask]`, both u32; the mask is all ones if absent.
    MarkMask,
    /// A syslog level: 0 to 7 or its name.
    SyslogLevel,
    /// `xx:xx:xx:xx:xx:xx`.
    Mac,
    /// A protocol: number or name.
    Protocol,
    /// The extension reads the text itself.
    Raw,
    /// A word that may be left out, which the extension reads itself: [`Given::word`]. It begins neither with `-` nor with `!`.
    Optional,
    /// Two words, which the extension reads itself: [`Given::text`] and [`Given::second`]. In the examples a blank stands between them.
    Pair,
}

/// A value, read as its option's kind says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is named as its kind")]
pub enum Value<'a> {
    None,
    Number(u64),
    Range(u64, u64),
    Text(&'a [u8]),
    Host(IpAddr),
    Mark { value: u32, mask: u32 },
    Mac([u8; 6]),
}

/// One option as it was given.
#[derive(Clone, Debug)]
pub struct Given<'a> {
    /// The option's row.
    pub opt: &'static Opt,
    /// Whether `!` stood before it.
    pub negated: bool,
    /// Bits of the options given before it, this one included if it was there already.
    pub seen: u32,
    /// The word as written; empty for a flag.
    pub text: &'a [u8],
    second: Option<&'a [u8]>,
    value: Value<'a>,
}

impl<'a> Given<'a> {
    /// Which option it is.
    pub fn id(&self) -> u8 {
        self.opt.id
    }

    /// Whether the same option was given before.
    pub fn again(&self) -> bool {
        self.seen & bit(self.opt.id) != 0
    }

    /// The number of a [`Kind::Number`], [`Kind::Port`], [`Kind::SyslogLevel`] or [`Kind::Protocol`].
    pub fn number(&self) -> u64 {
        match self.value {
            Value::Number(n) => n,
            _ => self.wrong_kind(0),
        }
    }

    /// The number as u8; the option's kind has checked the range.
    pub fn u8(&self) -> u8 {
        u8::try_from(self.number()).unwrap_or(u8::MAX)
    }

    /// The number as u16, likewise.
    pub fn u16(&self) -> u16 {
        u16::try_from(self.number()).unwrap_or(u16::MAX)
    }

    /// The number as u32, likewise.
    pub fn u32(&self) -> u32 {
        u32::try_from(self.number()).unwrap_or(u32::MAX)
    }

    /// Both ends of a [`Kind::Range`].
    pub fn range(&self) -> (u64, u64) {
        match self.value {
            Value::Range(a, b) => (a, b),
            _ => self.wrong_kind((0, 0)),
        }
    }

    /// Both ends of a [`Kind::PortRange`], in host order.
    pub fn ports(&self) -> (u16, u16) {
        let (a, b) = self.range();
        (u16::try_from(a).unwrap_or(u16::MAX), u16::try_from(b).unwrap_or(u16::MAX))
    }

    /// The second word of a [`Kind::Pair`], which must be there and begin neither with `-` nor with `!`.
    pub fn second(&self) -> Result<&'a [u8], UsageError> {
        self.second.ok_or_else(|| UsageError::new(format!("--{} requires two args.", self.opt.name)))
    }

    /// The word of a [`Kind::Optional`], if there is one.
    pub fn word(&self) -> Option<&'a [u8]> {
        self.second
    }

    /// The same with its second word, if there is one.
    #[must_use]
    pub fn with_second(self, word: Option<&'a [u8]>) -> Self {
        Self { second: word, ..self }
    }

    /// The bytes of a [`Kind::Text`] or [`Kind::Raw`].
    pub fn bytes(&self) -> &'a [u8] {
        self.text
    }

    /// The address of a [`Kind::Host`].
    pub fn host(&self) -> Option<IpAddr> {
        match self.value {
            Value::Host(addr) => Some(addr),
            _ => self.wrong_kind(None),
        }
    }

    /// Value and mask of a [`Kind::MarkMask`].
    pub fn mark(&self) -> (u32, u32) {
        match self.value {
            Value::Mark { value, mask } => (value, mask),
            _ => self.wrong_kind((0, 0)),
        }
    }

    /// The address of a [`Kind::Mac`].
    pub fn mac(&self) -> [u8; 6] {
        match self.value {
            Value::Mac(mac) => mac,
            _ => self.wrong_kind([0; 6]),
        }
    }

    /// A value was asked for that the option's table does not declare: a mistake in the extension's file, which its tests catch.
    fn wrong_kind<T>(&self, fallback: T) -> T {
        debug_assert!(false, "--{} is not of the kind that was asked for", self.opt.name);
        fallback
    }
}

/// The bit of an option id in the masks of [`Opt`].
pub const fn bit(id: u8) -> u32 {
    1 << (id & 31)
}

/// Why an option or a set of options cannot be accepted: the text behind `prog vVER: `, usually one line. A text that ends in a newline
/// leaves the empty line that stock prints before its hint. Behind it the exit code; the hint is only given with 2, that of wrong parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageError(pub Vec<u8>, pub u8);

impl UsageError {
    /// An error with this text.
    pub fn new(text: impl Into<Vec<u8>>) -> Self {
        Self(text.into(), 2)
    }
}

impl From<Out> for UsageError {
    fn from(out: Out) -> Self {
        Self(out.into_bytes(), 2)
    }
}

/// Formats a [`UsageError`]; bytes of the user's own text go in through `escape_ascii`-free [`Out`].
#[macro_export]
macro_rules! usage {
    ($($arg:tt)*) => { $crate::ext::options::UsageError::new(format!($($arg)*)) };
}

/// An error text with the user's bytes between two pieces of ours.
pub fn usage_bytes(before: &str, bytes: &[u8], after: &str) -> UsageError {
    UsageError::new([before.as_bytes(), bytes, after.as_bytes()].concat())
}

/// Reads the value of `opt` and does the checks that its row declares, unless the extension words them itself (`own_checks`).
pub fn give<'a>(
    ext: &super::Spec,
    opt: &'static Opt,
    negated: bool,
    seen: u32,
    text: &'a [u8],
    cx: &ParseCx<'_>,
) -> Result<Given<'a>, UsageError> {
    // Of several names for one option, stock's texts have the first of the table.
    let name = ext.options.iter().find(|o| o.id == opt.id).map_or(opt.name, |o| o.name);
    if !ext.own_checks {
        if seen & bit(opt.id) != 0 && !opt.many {
            return Err(usage!("{}: option \"--{name}\" can only be used once.\n", ext.name));
        }
        if negated && !opt.invert {
            return Err(usage!("{}: option \"--{name}\" cannot be inverted.\n", ext.name));
        }
    }
    let value = read(ext.name, name, opt.kind, text, cx)?;
    Ok(Given { opt, negated, seen, text, second: None, value })
}

/// The checks over all options of one extension, when the rule has been read.
pub fn check_together(ext: &super::Spec, seen: u32) -> Result<(), UsageError> {
    if ext.own_checks {
        return Ok(());
    }
    let given = |opt: &Opt| seen & bit(opt.id) != 0;
    for opt in ext.options {
        if !given(opt) && opt.required {
            return Err(usage!("{}: option \"--{}\" must be specified\n", ext.name, opt.name));
        }
        if !given(opt) {
            continue;
        }
        let among = |bits: u32, wanted: bool| {
            ext.options.iter().find(|other| other.id != opt.id && bits & bit(other.id) != 0 && given(other) == wanted)
        };
        if let Some(other) = among(opt.needs, false) {
            return Err(usage!("{}: option \"--{}\" also requires \"--{}\".\n", ext.name, opt.name, other.name));
        }
        if let Some(other) = among(opt.excludes, true) {
            let (a, b) = (opt.name, other.name);
            return Err(usage!("{}: option \"--{a}\" cannot be used together with \"--{b}\".\n", ext.name));
        }
    }
    Ok(())
}

/// Reads a value; `ext` and `name` are the extension's and the option's for the error texts.
fn read<'a>(ext: &str, name: &str, kind: Kind, text: &'a [u8], cx: &ParseCx<'_>) -> Result<Value<'a>, UsageError> {
    Ok(match kind {
        Kind::Flag | Kind::Optional => Value::None,
        Kind::Number { min, max } => {
            let bad = || usage!("{ext}: bad value for option \"--{name}\", or out of range ({min}-{max}).\n");
            Value::Number(number(text, min, max).ok_or_else(bad)?)
        }
        Kind::Range { min, max } => {
            let (a, b) = range(ext, name, text, min, max)?;
            Value::Range(a, b)
        }
        Kind::Text { min, .. } if text.len() < min => {
            return Err(usage!("Argument must have a minimum length of {min} characters\n"));
        }
        Kind::Text { max, .. } if text.len() > max => {
            return Err(usage!("Argument must have a maximum length of {max} characters\n"));
        }
        Kind::Text { .. } => Value::Text(text),
        Kind::Raw | Kind::Pair => Value::Text(text),
        Kind::Port => Value::Number(u64::from(resolve::port(text, cx)?)),
        Kind::PortRange => {
            let (a, b) = resolve::ports(text, cx, ext, name)?;
            Value::Range(u64::from(a), u64::from(b))
        }
        Kind::Host => Value::Host(resolve::host(text, cx)?),
        Kind::MarkMask => {
            let (value, mask) = mark_mask(ext, name, text)?;
            Value::Mark { value, mask }
        }
        Kind::SyslogLevel => Value::Number(u64::from(syslog_level(text)?)),
        Kind::Mac => Value::Mac(mac(text).ok_or_else(|| usage!("Invalid MAC address specified."))?),
        Kind::Protocol => Value::Number(u64::from(protocol(text, cx)?)),
    })
}

/// `value[/mask]`, u32 each.
fn mark_mask(ext: &str, name: &str, text: &[u8]) -> Result<(u32, u32), UsageError> {
    let part = |text| {
        let (n, rest) = leading_number(text)?;
        Some((u32::try_from(n).ok()?, rest))
    };
    let bad = || usage!("{ext}: bad integer value for option \"--{name}\", or out of range.\n");
    let (value, rest) = part(text).ok_or_else(bad)?;
    let (mask, rest) = match rest {
        [b'/', mask @ ..] => part(mask).ok_or_else(bad)?,
        _ => (u32::MAX, rest),
    };
    if !rest.is_empty() {
        return Err(usage!("{ext}: trailing garbage after value for option \"--{name}\".\n"));
    }
    Ok((value, mask))
}

/// The number at the front of a text and what stands behind it, as strtoul(3) with base 0 reads it: leading blanks and a `+` are skipped, a
/// `-` is refused. `None` if there is no digit or it does not fit.
pub fn leading_number(text: &[u8]) -> Option<(u64, &[u8])> {
    let text = skip_space(text);
    let text = text.strip_prefix(b"+").unwrap_or(text);
    let (digits, radix) = match text {
        [b'0', b'x' | b'X', digit, ..] if digit.is_ascii_hexdigit() => (text.get(2..)?, 16),
        [b'0', ..] => (text, 8),
        _ => (text, 10),
    };
    let len = digits.iter().take_while(|b| char::from(**b).is_digit(radix)).count();
    let (digits, rest) = digits.split_at_checked(len)?;
    let n = u64::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()?;
    Some((n, rest))
}

/// The text without the white space of isspace(3) in front.
pub fn skip_space(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|b| !matches!(b, b' ' | b'\t'..=b'\r')).unwrap_or(text.len());
    text.get(start..).unwrap_or_default()
}

/// A whole number within limits, written as [`leading_number`] takes it, and nothing behind it.
pub fn number(text: &[u8], min: u64, max: u64) -> Option<u64> {
    let (n, rest) = leading_number(text)?;
    (rest.is_empty() && (min..=max).contains(&n)).then_some(n)
}

/// `a` or `a:b`; an end left out is the limit. `a` may be greater than `b`.
fn range<'t>(ext: &str, name: &str, text: &'t [u8], min: u64, max: u64) -> Result<(u64, u64), UsageError> {
    let end = |text: &'t [u8], open: u64| match text {
        [] | [b':', ..] => Ok((open, text)),
        _ => {
            let before = format!("{ext}: bad value for option \"--{name}\" near \"");
            let after = format!("\", or out of range ({min}-{max}).\n");
            let read = leading_number(text).filter(|(n, _)| (min..=max).contains(n));
            read.ok_or_else(|| usage_bytes(&before, text, &after))
        }
    };
    let (a, rest) = end(text, min)?;
    let (b, rest) = match rest {
        [b':', second @ ..] => end(second, max)?,
        _ => (a, rest),
    };
    match rest {
        [] => Ok((a, b)),
        [b':', ..] => Err(usage!("{ext}: Too many components for option \"--{name}\" (max: 2)\n")),
        _ => {
            let before = format!("{ext}: Argument to \"--{name}\" has unexpected characters near \"");
            Err(usage_bytes(&before, rest, "\".\n"))
        }
    }
}

/// A port number or service name, in host order.
pub fn port(text: &[u8], cx: &ParseCx<'_>) -> Result<u16, UsageError> {
    number(text, 0, 0xffff)
        .and_then(|n| u16::try_from(n).ok())
        .or_else(|| cx.names.port(text, cx.protocol.map(|(p, _)| p)))
        .ok_or_else(|| usage_bytes("invalid port/service `", text, "' specified"))
}

/// `a` or `a:b` in ports; open ends are 0 and 65535.
pub fn port_range(text: &[u8], cx: &ParseCx<'_>) -> Result<(u16, u16), UsageError> {
    let Some(colon) = text.iter().position(|b| *b == b':') else {
        let p = port(text, cx)?;
        return Ok((p, p));
    };
    let (first, second) = (text.get(..colon).unwrap_or_default(), text.get(colon + 1..).unwrap_or_default());
    let a = if first.is_empty() { 0 } else { port(first, cx)? };
    let b = if second.is_empty() { u16::MAX } else { port(second, cx)? };
    if a > b {
        return Err(usage!("invalid portrange (min > max)"));
    }
    Ok((a, b))
}

/// A numeric address of the family; shortened IPv4 addresses are filled with zeros at the end (`10.1` is 10.1.0.0).
pub fn numeric_host(text: &[u8], family: Family) -> Option<IpAddr> {
    let s = std::str::from_utf8(text).ok()?;
    match family {
        Family::V6 => s.parse().ok().map(IpAddr::V6),
        Family::V4 => {
            let mut octets = [0u8; 4];
            let mut parts = s.split('.');
            for octet in &mut octets {
                let Some(part) = parts.next() else { break };
                *octet = u8::try_from(number(part.as_bytes(), 0, 255)?).ok()?;
            }
            parts.next().is_none().then(|| IpAddr::V4(octets.into()))
        }
    }
}

/// A network `address[/mask]` with a numeric address.
pub fn numeric_network(text: &[u8], family: Family) -> Option<Network> {
    let mut parts = text.splitn(2, |b| *b == b'/');
    let addr = numeric_host(parts.next()?, family)?;
    let mask = match parts.next() {
        None => crate::types::prefix_mask(family, family.addr_bits()),
        Some(mask) => super::base::mask(mask, family)?,
    };
    Network::new(addr, mask)
}

/// A protocol number or name. Case matters; `-p` makes its word lower-case first.
pub fn protocol(text: &[u8], cx: &ParseCx<'_>) -> Result<u8, UsageError> {
    number(text, 0, 255)
        .and_then(|n| u8::try_from(n).ok())
        .or_else(|| builtin_protocol(text))
        .or_else(|| cx.names.protocol(text))
        .ok_or_else(|| usage_bytes("unknown protocol \"", text, "\" specified"))
}

/// The syslog(3) levels as they are listed, in the order of their numbers.
pub const SYSLOG_LEVELS: [&str; 8] = ["emerg", "alert", "crit", "err", "warn", "notice", "info", "debug"];

/// A level by its number, or by the name that stock takes: not always the one that it lists.
fn syslog_level(text: &[u8]) -> Result<u8, UsageError> {
    if let Some(n) = number(text, 0, 7).and_then(|n| u8::try_from(n).ok()) {
        return Ok(n);
    }
    Ok(match text {
        b"emerg" | b"panic" => 0,
        b"alert" => 1,
        b"crit" => 2,
        b"error" => 3,
        b"warning" => 4,
        b"notice" => 5,
        b"info" => 6,
        b"debug" => 7,
        _ => return Err(usage_bytes("log level \"", text, "\" unknown\n")),
    })
}

/// Six hexadecimal bytes with colons between, each of at most two characters as strtoul(3) takes them: a blank or a sign may be one of
/// them, and nothing at all is 0.
pub fn mac(text: &[u8]) -> Option<[u8; 6]> {
    let mut out = [0; 6];
    let mut parts = text.split(|b| *b == b':');
    for byte in &mut out {
        let part = parts.next().filter(|p| p.len() <= 2)?;
        *byte = match *part {
            [] => 0,
            [b' ' | b'\t'..=b'\r' | b'+', digit] | [digit] => hex(digit)?,
            [b'-', digit] => hex(digit)?.wrapping_neg(),
            [high, low, ..] => hex(high)? << 4 | hex(low)?,
        };
    }
    parts.next().is_none().then_some(out)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|n| u8::try_from(n).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_strtoul_reads_them() {
        assert_eq!(number(b"0x1F", 0, 255), Some(31));
        assert_eq!(number(b"010", 0, 255), Some(8));
        assert_eq!(number(b"08", 0, 255), None);
        assert_eq!(number(b"256", 0, 255), None);
        assert_eq!(number(b" +1", 0, 255), Some(1));
        assert_eq!(number(b"-1", 0, 255), None);
        assert_eq!(number(b"1 ", 0, 255), None);
        assert_eq!(number(b"", 0, 255), None);
        assert_eq!(leading_number(b"0x"), Some((0, &b"x"[..])));
        assert_eq!(leading_number(b"08"), Some((0, &b"8"[..])));
        assert_eq!(leading_number(b"18446744073709551616"), None);
    }

    #[test]
    fn ranges_and_masks_with_stocks_words() {
        let range = |text: &str| range("length", "length", text.as_bytes(), 0, 9);
        let error = |text: &str| range(text).map_err(|e| String::from_utf8(e.0));
        assert_eq!(range(":5"), Ok((0, 5)));
        assert_eq!(range("5:"), Ok((5, 9)));
        assert_eq!(range(""), Ok((0, 0)));
        assert_eq!(range("6:5"), Ok((6, 5)));
        let near = "length: bad value for option \"--length\" near \"x:1\", or out of range (0-9).\n";
        assert_eq!(error("x:1"), Err(Ok(near.into())));
        let behind = "length: Argument to \"--length\" has unexpected characters near \"x\".\n";
        assert_eq!(error("1:2x"), Err(Ok(behind.into())));
        assert_eq!(error("1:2:"), Err(Ok("length: Too many components for option \"--length\" (max: 2)\n".into())));
        assert_eq!(mark_mask("mark", "mark", b"0x10/ 3"), Ok((16, 3)));
        assert_eq!(mark_mask("mark", "mark", b"7"), Ok((7, u32::MAX)));
        let garbage = usage!("mark: trailing garbage after value for option \"--mark\".\n");
        assert_eq!(mark_mask("mark", "mark", b"1/2/3"), Err(garbage));
    }

    #[test]
    fn mac_addresses_as_stock_reads_them() {
        assert_eq!(mac(b"Aa:b:0C:+d: e:-1"), Some([0xaa, 0x0b, 0x0c, 0x0d, 0x0e, 0xff]));
        assert_eq!(mac(b"aa:bb:cc:dd:ee:"), Some([0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0]));
        for wrong in [
            "",
            "aa:bb:cc:dd:ee",
            "aa:bb:cc:dd:ee:ff:",
            "aa:bb:cc:dd:ee:fg",
            "0aa:b:c:d:e:f",
            "-:b:c:d:e:f",
            "0x:b:c:d:e:f",
        ] {
            assert_eq!(mac(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn short_ipv4_addresses() {
        let v4 = |s: &str| numeric_host(s.as_bytes(), Family::V4).map(|a| a.to_string());
        assert_eq!(v4("10.1").as_deref(), Some("10.1.0.0"));
        assert_eq!(v4("1.2.3.4.5"), None);
        assert_eq!(v4("1..2"), None);
    }
}

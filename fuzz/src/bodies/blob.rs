//! The xt struct of a `match` or `target` expression, as the kernel dumps it.
//!
//! Promises, for each extension by its name in the kernel, its revision and its family: no bytes make the decoder panic. What is decoded is
//! exact: written again, it gives the same bytes, those aside that mean nothing. It can be printed in every form, what `-S` prints of
//! it reads back as the same value, and it is the same value after the kernel.
//! The input: family, extension (2 bytes), form. Form 0: the rest is the struct. Else: the struct of the extension without options, with bytes changed.

use super::{Cursor, check_rule, judge_all, print_all, with_match};
use oxtables::ext::{Action, Body, Match, Spec, Target};
use oxtables::types::Family;
use oxtables::wire::BlobWriter;

/// An extension of either kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Any {
    /// A match.
    Match(Match),
    /// A target.
    Target(Target),
}

impl Any {
    /// The one that two bytes of the input mean, without options: by its [`tag`], so that seeds outlive changes of the list; else by counting.
    pub fn pick(input: &mut Cursor<'_>, family: Family) -> Option<Self> {
        let wanted = [input.byte(), input.byte()];
        let (matches, targets) = (Match::ALL, Target::ALL);
        let tagged = |kind: u8, specs: &[&Spec]| specs.iter().position(|s| tag(kind, s.name) == wanted);
        let index = match (tagged(b'm', matches), tagged(b't', targets)) {
            (Some(n), _) => n,
            (None, Some(n)) => matches.len() + n,
            (None, None) => usize::from(u16::from_be_bytes(wanted)) % (matches.len() + targets.len()),
        };
        match index {
            n if n < matches.len() => Match::new(matches[n].name.as_bytes(), family).map(Self::Match),
            n => Target::new(targets[n - matches.len()].name.as_bytes(), family).map(Self::Target),
        }
    }

    /// What it says of itself.
    pub fn spec(&self) -> &'static Spec {
        match self {
            Self::Match(m) => m.spec(),
            Self::Target(t) => t.spec(),
        }
    }

    /// Its revision in a family.
    pub fn revision(&self, family: Family) -> u32 {
        match self {
            Self::Match(m) => m.revision(family),
            Self::Target(t) => t.revision(family),
        }
    }

    /// Reads a struct of its kind; several extensions may share one.
    pub fn decode(&self, info: &[u8], family: Family) -> Option<Self> {
        let (wire, revision) = (self.spec().wire.as_bytes(), self.revision(family));
        let mut scratch = Vec::new();
        match self {
            Self::Match(_) => Match::decode(wire, revision, info, family, &mut scratch).map(Self::Match),
            Self::Target(_) => Target::decode(wire, revision, info, family, &mut scratch).map(Self::Target),
        }
    }

    /// Its struct, padded.
    pub fn blob(&self, family: Family) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut blob = BlobWriter::new(&mut bytes);
        match self {
            Self::Match(m) => m.blob(family, &mut blob),
            Self::Target(t) => t.blob(family, &mut blob),
        }
        blob.align(8);
        bytes
    }

    fn scrub(&self, info: &mut [u8]) {
        match self {
            Self::Match(m) => m.scrub(info),
            Self::Target(t) => t.scrub(info),
        }
    }

    /// A rule that has it and nothing else but the protocol that it needs.
    pub fn rule(self) -> Body {
        let spec = self.spec();
        let of_sample = match () {
            () if spec.sample.contains("-p tcp") => Some(6),
            () if spec.sample.contains("-p udp") => Some(17),
            () => None,
        };
        let protocol = spec.implied_by.first().copied().or(of_sample);
        match self {
            Self::Match(m) => with_match(m, protocol),
            Self::Target(t) => {
                let mut body = Body { action: Action::Target(t), ..Body::default() };
                body.base.protocol = protocol.map(|p| (p, false));
                body
            }
        }
    }
}

/// Two bytes for a name and its kind (`m`atch or `t`arget): FNV-1a, folded.
pub fn tag(kind: u8, name: &str) -> [u8; 2] {
    let hash = name.bytes().chain([kind]).fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
    let [a, b, c, d] = hash.to_be_bytes();
    [a ^ c, b ^ d]
}

/// Changes bytes of a struct as the input says: pairs of position (2 bytes) and value; at most 64.
pub fn edit(info: &mut [u8], input: &mut Cursor<'_>) {
    for _ in 0..64 {
        if input.0.is_empty() || info.is_empty() {
            return;
        }
        let at = usize::from(input.byte()) << 8 | usize::from(input.byte());
        let at = at % info.len();
        info[at] = input.byte();
    }
}

/// Runs the body.
pub fn run(data: &[u8]) {
    let mut input = Cursor(data);
    let family = input.family();
    let Some(fresh) = Any::pick(&mut input, family) else { return };
    let mut info = fresh.blob(family);
    if input.byte() == 0 {
        info = input.0.to_vec();
    } else {
        edit(&mut info, &mut input);
    }
    let Some(value) = fresh.decode(&info, family) else { return };
    let mut expected = info.clone();
    expected.resize(info.len().next_multiple_of(8), 0);
    value.scrub(&mut expected);
    let again = value.blob(family);
    assert!(again == expected, "{value:?}\nread from {info:02x?}\nwritten as {again:02x?}");
    assert_eq!(value.decode(&again, family).as_ref(), Some(&value), "from {again:02x?}");
    let body = value.rule();
    print_all(&body, family);
    judge_all(&body, family);
    check_rule(&body, family);
}

//! `-m comment`: a note on the rule.
//!
//! # Matches
//! Every packet.
//! # Options
//! `--comment TEXT`; longer text is cut to 255 bytes in silence.
//! # Wire
//! xt `comment` revision 0: `struct xt_comment_info { char comment[256]; }`. Stock reads comments in a rule's userdata too, and shows them as
//! this match behind all others: see [`Comment::from_text`].
//! # Evaluates
//! Always true.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "comment"; `linux/netfilter/xt_comment.h`; fact sheet 2.7, 3.5.

use crate::ext::options::{Given, Kind, Opt, UsageError};
use crate::ext::{Extension, MatchExt, ParseCx, PrintCx, Spec};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out, Tri};
use crate::wire::BlobWriter;

/// A text of at most 255 bytes without NUL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Comment(Box<[u8]>);

/// `XT_MAX_COMMENT_LEN`: the text and its NUL.
const SIZE: usize = 256;

const COMMENT: u8 = 0;

const OPTIONS: &[Opt] =
    &[Opt::value("comment", COMMENT, Kind::Raw, "text", "a note on the rule, of at most 255 bytes")
        .mandatory()
        .examples(&[
            "hello",
            "two words",
            "it's \"quoted\"",
            "back\\slash",
            "tab\there",
            "",
            "-x",
            "# é",
            "rule 4711",
            "v1.2.3",
            "10:20 on 2026-11-21, a/b",
        ])];

impl Comment {
    /// The comment with this text, cut at its first NUL or to 255 bytes.
    pub fn from_text(text: &[u8]) -> Self {
        let text = text.split(|b| *b == 0).next().unwrap_or_default();
        Self(text.get(..SIZE - 1).unwrap_or(text).into())
    }

    /// The text.
    pub fn text(&self) -> &[u8] {
        &self.0
    }
}

impl Extension for Comment {
    const SPEC: Spec = Spec { options: OPTIONS, ..Spec::new("comment", 0, "carries a note and matches every packet") };

    fn new(_: Family) -> Self {
        Self(Box::default())
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        *self = Self::from_text(given.bytes());
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" --comment");
        out.quoted(&self.0);
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" /* ");
        out.bytes(&self.0);
        out.str(" */");
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.fixed(&self.0, SIZE);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let end = info.get(..SIZE)?.iter().position(|b| *b == 0)?;
        Some(Self(info.get(..end)?.into()))
    }

    fn scrub(info: &mut [u8]) {
        let end = info.iter().position(|b| *b == 0).unwrap_or(info.len());
        if let Some(behind) = info.get_mut(end..) {
            behind.fill(0);
        }
    }
}

impl MatchExt for Comment {
    fn eval(&self, _: &Packet, _: &mut Env<'_>) -> Tri {
        Tri::True
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{error, raised_text, row};
    use crate::types::Family::{V4, V6};
    use crate::types::NoNames;

    #[test]
    fn what_stock_writes_and_prints() {
        for family in [V4, V6] {
            let wire = |hex: &str| format!("match comment 0 {hex}{}", "00".repeat(256 - hex.len() / 2));
            row(family, None, "comment --comment a_b-9", " --comment a_b-9", " /* a_b-9 */", &wire("615f622d39"));
            row(family, None, "comment --comment it's", " --comment \"it\\'s\"", " /* it's */", &wire("69742773"));
            row(family, None, "comment --comment ", " --comment \"\"", " /*  */", &wire(""));
            let long = "x".repeat(300);
            let cut = "x".repeat(255);
            let (save, list) = (format!(" --comment {cut}"), format!(" /* {cut} */"));
            row(family, None, &format!("comment --comment {long}"), &save, &list, &wire(&"78".repeat(255)));
        }
    }

    #[test]
    fn texts_need_not_be_utf8_and_are_quoted() {
        let save = |text: &[u8]| {
            let mut out = Out::new();
            let cx = PrintCx { family: V4, numeric: true, names: &NoNames, protocol: None };
            Comment::from_text(text).save(&mut out, &cx);
            out.into_bytes()
        };
        assert_eq!(save(b"two words"), b" --comment \"two words\"");
        assert_eq!(save(b"a\"b\\c\xff"), b" --comment \"a\\\"b\\\\c\xff\"".as_slice());
        assert_eq!(Comment::from_text(b"from userdata\0\0").text(), b"from userdata");
    }

    #[test]
    fn what_stands_behind_the_nul_means_nothing() {
        let text = |info: [u8; 256]| raised_text(V4, None, |x| x.xt_match("comment", 0, |b| b.bytes(&info)));
        let mut info = [b'z'; 256];
        assert_eq!(text(info), "opaque");
        info[2] = 0;
        assert_eq!(text(info), " -m comment --comment zz");
    }

    #[test]
    fn what_stock_refuses() {
        assert_eq!(error(V4, None, "comment"), "comment: option \"--comment\" must be specified\n");
        let inverted = "comment: option \"--comment\" cannot be inverted.\n";
        assert_eq!(error(V4, None, "comment ! --comment a"), inverted);
    }
}

//! A rule taken apart: its generic conditions, its matches and its target, each option with its values.
//!
//! Made from what `-S` prints, so that no extension needs a word for it, and turned back into words. The words decide: what an option takes
//! is asked of its extension's table.

use super::Text;
use crate::ext::{Action, Body, Kind, PrintCx, Spec};
use crate::text::lexer::Words;
use crate::types::{Family, Names, Out};
use serde::{Deserialize, Serialize};

/// The parts of a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parts {
    /// `-p`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<Condition>,
    /// `-s`, with its mask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Condition>,
    /// `-d`, with its mask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<Condition>,
    /// `-i`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_interface: Option<Condition>,
    /// `-o`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out_interface: Option<Condition>,
    /// `-f` (true), `! -f` (false).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fragment: Option<bool>,
    /// The matches in their order.
    #[serde(default)]
    pub matches: Vec<Part>,
    /// What it does; absent if it only counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetPart>,
}

/// A generic condition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// The value as `-S` prints it.
    pub value: Text,
    /// Whether `!` stands before it.
    #[serde(default)]
    pub not: bool,
}

/// A match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Its name behind `-m`.
    pub name: String,
    /// Its options in the order in which `-S` prints them.
    #[serde(default)]
    pub options: Vec<OptionPart>,
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetPart {
    /// What sort of name it is.
    pub kind: TargetKind,
    /// The word behind `-j` or `-g`.
    pub name: Text,
    /// The options of an extension.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<OptionPart>,
}

/// The sorts of targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetKind {
    /// `ACCEPT`, `DROP`, `RETURN`.
    Verdict,
    /// A chain, with the way back.
    Jump,
    /// A chain, without (`-g`).
    Goto,
    /// A target extension.
    Extension,
}

/// An option of an extension.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptionPart {
    /// Its name, without dashes.
    pub name: String,
    /// Whether `!` stands before it.
    #[serde(default)]
    pub not: bool,
    /// Its values: none for a flag, mostly one.
    #[serde(default)]
    pub values: Vec<Text>,
}

impl Parts {
    /// Of a rule; `None` if its words cannot be told apart (one is longer than a line of a file may have).
    pub fn of(body: &Body, family: Family, names: &dyn Names) -> Option<Self> {
        let protocol = body.base.protocol.filter(|(_, not)| !not).map(|(p, _)| p);
        let cx = PrintCx { family, numeric: true, names, protocol };
        let mut parts = Self::default();
        let words = words_of(|out| body.base.save(out, &cx))?;
        parts.generic(&words)?;
        for m in &body.matches {
            let spec = m.spec();
            let options = options(&words_of(|out| m.save(out, &cx))?, spec);
            parts.matches.push(Part { name: spec.name.to_owned(), options });
        }
        let (kind, found) = match &body.action {
            Action::None => return Some(parts),
            Action::Accept | Action::Drop | Action::Return => (TargetKind::Verdict, Vec::new()),
            Action::Jump(_) => (TargetKind::Jump, Vec::new()),
            Action::Goto(_) => (TargetKind::Goto, Vec::new()),
            Action::Target(t) => (TargetKind::Extension, options(&words_of(|out| t.save(out, &cx))?, t.spec())),
        };
        parts.target = Some(TargetPart { kind, name: Text::of(body.action.name()), options: found });
        Some(parts)
    }

    /// Reads the words of the generic part; `None` if they are not what they should be.
    fn generic(&mut self, words: &[Vec<u8>]) -> Option<()> {
        let mut words = words.iter();
        let mut not = false;
        while let Some(word) = words.next() {
            let place = match word.as_slice() {
                b"!" => {
                    not = true;
                    continue;
                }
                b"-f" => {
                    self.fragment = Some(!not);
                    not = false;
                    continue;
                }
                b"-s" => &mut self.source,
                b"-d" => &mut self.destination,
                b"-i" => &mut self.in_interface,
                b"-o" => &mut self.out_interface,
                b"-p" => &mut self.protocol,
                _ => return None,
            };
            *place = Some(Condition { value: Text::of(words.next()?), not });
            not = false;
        }
        Some(())
    }

    /// The words behind `-A CHAIN`; `None` if a text in it is none.
    pub fn words(&self) -> Option<Vec<Vec<u8>>> {
        let mut out = Vec::new();
        let generic = [
            ("-s", &self.source),
            ("-d", &self.destination),
            ("-i", &self.in_interface),
            ("-o", &self.out_interface),
            ("-p", &self.protocol),
        ];
        for (flag, condition) in generic {
            let Some(condition) = condition else { continue };
            out.extend(condition.not.then(|| b"!".to_vec()));
            out.extend([flag.into(), condition.value.bytes()?]);
        }
        if let Some(fragment) = self.fragment {
            out.extend((!fragment).then(|| b"!".to_vec()));
            out.push(b"-f".to_vec());
        }
        for part in &self.matches {
            out.extend([b"-m".to_vec(), part.name.clone().into_bytes()]);
            option_words(&part.options, &mut out)?;
        }
        if let Some(target) = &self.target {
            let flag: &[u8] = if target.kind == TargetKind::Goto { b"-g" } else { b"-j" };
            out.extend([flag.to_vec(), target.name.bytes()?]);
            option_words(&target.options, &mut out)?;
        }
        Some(out)
    }
}

fn option_words(options: &[OptionPart], out: &mut Vec<Vec<u8>>) -> Option<()> {
    for option in options {
        out.extend(option.not.then(|| b"!".to_vec()));
        out.push(format!("--{}", option.name).into_bytes());
        for value in &option.values {
            out.push(value.bytes()?);
        }
    }
    Some(())
}

/// What is printed, as words.
fn words_of(print: impl FnOnce(&mut Out)) -> Option<Vec<Vec<u8>>> {
    let (mut out, mut words) = (Out::new(), Words::default());
    print(&mut out);
    words.split(out.as_bytes()).ok()?;
    Some(words.iter().map(<[u8]>::to_vec).collect())
}

/// The options of an extension in its words. One that is not in its table has all the words up to the next option.
fn options(words: &[Vec<u8>], spec: &Spec) -> Vec<OptionPart> {
    let mut out: Vec<OptionPart> = Vec::new();
    let (mut not, mut left) = (false, Some(0));
    for word in words {
        let takes = left != Some(0) && !out.is_empty();
        match (word.strip_prefix(b"--"), out.last_mut()) {
            (name, Some(option)) if takes && (left.is_some() || (name.is_none() && word != b"!")) => {
                option.values.push(Text::of(word));
                left = left.map(|n| n - 1);
            }
            (Some(name), _) => {
                let known = spec.options.iter().find(|o| o.name.as_bytes() == name);
                left = known.and_then(|opt| match opt.kind {
                    Kind::Flag => Some(0),
                    Kind::Optional => None,
                    Kind::Pair => Some(2),
                    _ => Some(1),
                });
                let name = String::from_utf8_lossy(name).into_owned();
                out.push(OptionPart { name, not: std::mem::take(&mut not), values: Vec::new() });
            }
            _ => not = true,
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{Context, parse};
    use crate::types::NoNames;

    fn body(words: &[&[u8]]) -> Body {
        let cx = Context { family: Family::V4, names: &NoNames, restore: true, table: b"filter", verbose: false };
        let args: Vec<&[u8]> = [&b"-A"[..], b"c"].into_iter().chain(words.iter().copied()).collect();
        let mut command = parse(&args, &cx, &mut Vec::new()).unwrap();
        let mut body = None;
        let _: Result<(), ()> = command.rule.for_each(|b| {
            body = Some(b.clone());
            Ok(())
        });
        body.unwrap()
    }

    #[test]
    fn parts_are_turned_back_into_the_same_rule() {
        for line in [
            "! -s 10.0.0.0/8 -i eth+ -p tcp -m tcp ! --dport 22:23 --tcp-flags SYN,ACK SYN -j ACCEPT",
            "! -f -m comment --comment -x -g c",
            "-m recent --update --seconds 60 --name SSH --mask 255.255.255.255 -j REJECT --reject-with tcp-reset",
            "-p udp -j LOG --log-prefix ! --log-uid",
            "-j other",
            "",
        ] {
            let words: Vec<&[u8]> = line.split_ascii_whitespace().map(str::as_bytes).collect();
            let body = body(&words);
            let parts = Parts::of(&body, Family::V4, &NoNames).unwrap();
            let back = parts.words().unwrap();
            let back: Vec<&[u8]> = back.iter().map(Vec::as_slice).collect();
            assert_eq!(self::body(&back), body, "{line}: {parts:?}");
        }
    }

    #[test]
    fn each_part_in_its_place() {
        let parts = Parts::of(
            &body(&[b"-p", b"tcp", b"-m", b"tcp", b"!", b"--dport", b"22", b"-j", b"DROP"]),
            Family::V4,
            &NoNames,
        );
        let json = serde_json::to_string(&parts).unwrap();
        assert_eq!(
            json,
            concat!(
                r#"{"protocol":{"value":"tcp","not":false},"matches":[{"name":"tcp","options":"#,
                r#"[{"name":"dport","not":true,"values":["22"]}]}],"target":{"kind":"verdict","name":"DROP"}}"#
            )
        );
    }
}

//! Kernel expressions to rules: exactly, or not at all.
//!
//! Every expression of a rule is claimed by the generic part or by an extension, or the rule is [`Raised::Opaque`]; none is skipped, none is
//! read as something near it. Order is meaning where an expression has a side effect (`limit` takes a token, `recent` notes an address): what
//! would have to be printed before such a match, but stands behind it, makes the rule opaque.
//! Sources: fact sheet 2.7, 2.8 (what stock's reader takes, and where it misreads).

use super::shape::Shapes;
use crate::ext::matches::comment::Comment;
use crate::ext::matches::{conntrack, iprange};
use crate::ext::{Action, Body, Match, Target};
use crate::types::{CHAIN_NAME_MAX, Counters, Family};
use crate::wire::cond::{Cond, Item, Test};
use crate::wire::{Expr, Verdict};

/// What a list of expressions is.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly every one is a rule, and none is kept")]
pub enum Raised {
    /// A rule that iptables can say.
    Rule(Body, Counters),
    /// Something else; its expressions stay with the caller. The counters are those of its last `counter`.
    Opaque(Counters),
}

/// Reads rules; keeps its scratch room, and the shapes that it has seen, from rule to rule.
#[derive(Debug)]
pub struct Raiser {
    family: Family,
    scratch: Vec<u8>,
    shapes: Shapes,
}

impl Raiser {
    /// A reader of rules of this family's tables.
    pub fn new(family: Family) -> Self {
        Self { family, scratch: Vec::new(), shapes: Shapes::default() }
    }

    /// Reads the payload of `NFTA_RULE_EXPRESSIONS` and of `NFTA_RULE_USERDATA`.
    pub fn raise(&mut self, exprs: &[u8], userdata: Option<&[u8]>) -> Raised {
        let mut rule = Raising {
            family: self.family,
            scratch: &mut self.scratch,
            body: Body::default(),
            counters: Counters::default(),
            barrier: None,
            protocols: None,
            exact: true,
        };
        let whole = self.shapes.items(exprs, &mut |item| rule.item(&item));
        rule.exact &= whole;
        if let Some(comment) = userdata.and_then(comment_of) {
            rule.comment(comment);
        }
        let exact = rule.exact && rule.protocol_fits() && rule.is_sayable();
        let Raising { body, counters, .. } = rule;
        if exact { Raised::Rule(body, counters) } else { Raised::Opaque(counters) }
    }
}

/// A rule half read.
struct Raising<'s> {
    family: Family,
    scratch: &'s mut Vec<u8>,
    body: Body,
    counters: Counters,
    /// How many matches there were when one that has side effects was read.
    barrier: Option<usize>,
    /// The protocols that an xt match insists on.
    protocols: Option<&'static [u8]>,
    /// False as soon as something was met that the rule cannot say.
    exact: bool,
}

impl Raising<'_> {
    fn item(&mut self, item: &Item<'_>) {
        let claimed = match item {
            Item::Expr(Expr::Counter { packets, bytes }) => {
                self.counters = Counters { packets: *packets, bytes: *bytes };
                true
            }
            // It tests nothing, so it does not matter where it stands; it is noticed when its register is used again.
            Item::Cond(cond @ Cond { test: Test::Loaded, .. }) => self.body.base.raise(cond, self.family),
            // Behind a verdict or a target there is nothing that a rule could say.
            _ if !matches!(self.body.action, Action::None) => false,
            Item::Cond(cond) => {
                if self.barrier.is_none() && self.body.base.raise(cond, self.family) {
                    true
                } else {
                    self.condition(item)
                }
            }
            Item::MetaSet { .. } => Target::raise(item, self.family, &mut self.body),
            Item::Expr(Expr::Verdict(verdict)) => self.verdict(verdict),
            Item::Expr(Expr::Match { name, revision, info }) => self.xt_match(name, *revision, info),
            Item::Expr(Expr::Target { name, revision, info }) => self.xt_target(name, *revision, info),
            Item::Expr(_) => self.native(item),
        };
        self.exact &= claimed;
    }

    /// A condition of a match; it may complete the match before it, but not one that stands before a side effect.
    fn condition(&mut self, item: &Item<'_>) -> bool {
        let before = self.body.matches.len();
        let (family, body) = (self.family, &mut self.body);
        let claimed = Match::raise(item, family, body)
            || matches!(item, Item::Cond(cond) if iprange::raise(cond, family, body) || conntrack::raise(cond, family, body));
        let completed = claimed && self.body.matches.len() == before;
        claimed && !(completed && self.barrier.is_some_and(|b| before <= b))
    }

    fn native(&mut self, item: &Item<'_>) -> bool {
        if Match::raise(item, self.family, &mut self.body) {
            self.barrier = Some(self.body.matches.len());
            return true;
        }
        Target::raise(item, self.family, &mut self.body)
    }

    fn xt_match(&mut self, name: &[u8], revision: u32, info: &[u8]) -> bool {
        let Some(m) = Match::decode(name, revision, info, self.family, self.scratch) else { return false };
        // An Authentication Header may stand before any protocol.
        let bound = m.spec().limits.iter().any(|limit| !limit.protocols.is_empty());
        let protocols = if bound { m.spec().implied_by } else { &[] };
        if !protocols.is_empty() && *self.protocols.get_or_insert(protocols) != protocols {
            return false;
        }
        let stateful = m.spec().stateful;
        self.body.matches.push(m);
        if stateful {
            self.barrier = Some(self.body.matches.len());
        }
        true
    }

    fn xt_target(&mut self, name: &[u8], revision: u32, info: &[u8]) -> bool {
        let Some(t) = Target::decode(name, revision, info, self.family, self.scratch) else { return false };
        self.body.action = Action::Target(t);
        true
    }

    fn verdict(&mut self, verdict: &Verdict<'_>) -> bool {
        self.body.action = match *verdict {
            Verdict::Accept => Action::Accept,
            Verdict::Drop => Action::Drop,
            Verdict::Return => Action::Return,
            Verdict::Jump(chain) if is_word(chain) && means_chain(chain, self.family) => Action::Jump(chain.into()),
            Verdict::Goto(chain) if is_word(chain) => Action::Goto(chain.into()),
            // The verdict that every rule begins with: nothing happens.
            Verdict::Continue => return true,
            Verdict::Jump(_) | Verdict::Goto(_) | Verdict::Other(_) => return false,
        };
        true
    }

    fn is_sayable(&self) -> bool {
        let protocol = self.body.base.protocol;
        let target = match &self.body.action {
            Action::Target(target) => target.sayable(protocol),
            _ => true,
        };
        target && self.body.matches.iter().all(|m| m.sayable(protocol))
    }

    /// The kernel knows for itself for which protocol an xt match was made (`NFTA_RULE_COMPAT`, which it does not show); a rule that does
    /// not also test it cannot be said.
    fn protocol_fits(&self) -> bool {
        self.protocols.is_none_or(
            |protocols| matches!(self.body.base.protocol, Some((protocol, false)) if protocols.contains(&protocol)),
        )
    }

    /// A comment in the userdata reads as a match behind all others.
    fn comment(&mut self, text: &[u8]) {
        self.body.matches.push(Match::Comment(Comment::from_text(text)));
    }
}

/// Whether a chain's name can stand behind `-j` or `-g`: `text::command` takes it.
fn is_word(name: &[u8]) -> bool {
    (1..=CHAIN_NAME_MAX).contains(&name.len()) && !name.iter().any(|b| matches!(b, b' ' | b'\t'..=b'\r'))
}

/// Whether a name behind `-j` means a chain, not a verdict or a target.
fn means_chain(name: &[u8], family: Family) -> bool {
    Action::verdict(name).is_none() && Target::new(name, family).is_none()
}

/// The comment in a rule's userdata: a list of type (1 byte), length (1 byte), value; type 0 is a text that ends in NUL.
pub(super) fn comment_of(mut userdata: &[u8]) -> Option<&[u8]> {
    while let [ty, len, rest @ ..] = userdata {
        let value = rest.get(..usize::from(*len))?;
        if let (0, [text @ .., 0]) = (*ty, value) {
            return text.split(|b| *b == 0).next();
        }
        userdata = rest.get(usize::from(*len)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::PrintCx;
    use crate::types::{NoNames, Out};
    use crate::wire::consts::*;
    use crate::wire::{ExprWriter, Writer};

    /// The rule as `-S` prints it with its counters, or `opaque`.
    fn read(userdata: Option<&[u8]>, write: impl FnOnce(&mut ExprWriter<'_>)) -> String {
        let mut w = Writer::new();
        write(&mut ExprWriter::new(&mut w));
        match Raiser::new(Family::V4).raise(w.as_bytes(), userdata) {
            Raised::Opaque(_) => "opaque".to_owned(),
            Raised::Rule(body, counters) => {
                let mut out = Out::new();
                let cx = PrintCx { family: Family::V4, numeric: true, names: &NoNames, protocol: None };
                body.save(&mut out, &cx, Some(counters));
                String::from_utf8(out.into_bytes()).unwrap()
            }
        }
    }

    fn source(x: &mut ExprWriter<'_>) {
        x.payload(NFT_PAYLOAD_NETWORK_HEADER, 12, 1);
        x.cmp_eq(false, &[10]);
    }

    fn tcp_port(x: &mut ExprWriter<'_>) {
        x.meta(NFT_META_L4PROTO);
        x.cmp_eq(false, &[6]);
        x.payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2);
        x.cmp_eq(false, &[0, 22]);
    }

    #[test]
    fn counters_may_stand_anywhere_and_the_last_one_is_shown() {
        assert_eq!(read(None, source), " -s 10.0.0.0/8 -c 0 0");
        let two = |x: &mut ExprWriter<'_>| {
            x.counter(1, 2);
            source(x);
            x.verdict(Verdict::Accept);
            x.counter(3, 4);
        };
        assert_eq!(read(None, two), " -s 10.0.0.0/8 -c 3 4 -j ACCEPT");
    }

    #[test]
    fn nothing_but_a_counter_stands_behind_an_action() {
        let behind = |f: fn(&mut ExprWriter<'_>)| {
            read(None, |x| {
                x.verdict(Verdict::Drop);
                f(x);
            })
        };
        assert_eq!(behind(|x| x.verdict(Verdict::Accept)), "opaque");
        assert_eq!(behind(source), "opaque");
        assert_eq!(behind(|x| x.xt_target("MARK", 2, |b| b.zeros(8))), "opaque");
        assert_eq!(behind(|x| x.xt_match("comment", 0, |b| b.zeros(256))), "opaque");
        assert_eq!(behind(|x| x.meta(NFT_META_IIFNAME)), " -c 0 0 -j DROP");
        let target_first = |x: &mut ExprWriter<'_>| {
            x.xt_target("MARK", 2, |b| b.zeros(8));
            x.verdict(Verdict::Accept);
        };
        assert_eq!(read(None, target_first), "opaque");
    }

    #[test]
    fn what_would_move_before_a_side_effect_is_opaque() {
        let limit = |x: &mut ExprWriter<'_>| x.limit(5, 60, 5);
        assert_eq!(
            read(None, |x| {
                source(x);
                limit(x);
            }),
            " -s 10.0.0.0/8 -m limit --limit 5/min -c 0 0"
        );
        assert_eq!(
            read(None, |x| {
                limit(x);
                source(x);
            }),
            "opaque"
        );
        let between = |x: &mut ExprWriter<'_>| {
            tcp_port(x);
            limit(x);
            x.payload(NFT_PAYLOAD_TRANSPORT_HEADER, 0, 2);
            x.cmp_eq(false, &[0, 80]);
        };
        assert_eq!(read(None, between), " -p tcp -m tcp --dport 22 -m limit --limit 5/min -m tcp --sport 80 -c 0 0");
    }

    #[test]
    fn every_expression_counts() {
        assert_eq!(read(None, |x| x.meta_set(NFT_META_MARK, NFT_REG_1)), "opaque");
        assert_eq!(read(None, |x| x.range(false, &[1], &[2])), "opaque");
        assert_eq!(
            read(None, |x| {
                source(x);
                source(x);
            }),
            "opaque"
        );
        assert_eq!(read(None, |x| x.xt_match("nosuch", 0, |b| b.zeros(8))), "opaque");
        assert_eq!(read(None, |x| x.xt_match("comment", 1, |b| b.zeros(256))), "opaque");
        assert_eq!(read(None, |x| x.verdict(Verdict::Other(3))), "opaque");
        assert_eq!(read(None, |x| x.verdict(Verdict::Continue)), " -c 0 0");
        assert_eq!(Raiser::new(Family::V4).raise(&[1, 2, 3], None), Raised::Opaque(Counters::default()));
        let everything = |x: &mut ExprWriter<'_>| {
            x.payload(NFT_PAYLOAD_NETWORK_HEADER, 12, 4);
            x.mask(&[0; 4]);
            x.cmp_eq(false, &[0; 4]);
        };
        assert_eq!(read(None, everything), "opaque");
    }

    #[test]
    fn a_chain_must_be_sayable() {
        let jump = |chain: &'static [u8]| read(None, |x| x.verdict(Verdict::Jump(chain)));
        assert_eq!(jump(b"user"), " -c 0 0 -j user");
        assert_eq!(jump(b"a\"b"), " -c 0 0 -j \"a\\\"b\"");
        // `-j LOG` is the target; nft can make a chain of that name.
        for chain in [&b""[..], b"a b", b"ACCEPT", b"QUEUE", b"LOG", b"a\nb", &[b'x'; 29]] {
            assert_eq!(jump(chain), "opaque");
        }
    }

    #[test]
    fn an_xt_match_needs_its_protocol() {
        let bare =
            |x: &mut ExprWriter<'_>| x.xt_match("tcp", 0, |b| b.bytes(b"\0\0\xff\xff\0\0\xff\xff\0\0\0\0\0\0\0\0"));
        let protocol = |x: &mut ExprWriter<'_>, not| {
            x.meta(NFT_META_L4PROTO);
            x.cmp_eq(not, &[6]);
        };
        assert_eq!(read(None, bare), "opaque");
        assert_eq!(
            read(None, |x| {
                protocol(x, false);
                bare(x);
            }),
            " -p tcp -m tcp -c 0 0"
        );
        assert_eq!(
            read(None, |x| {
                protocol(x, true);
                bare(x);
            }),
            "opaque"
        );
    }

    #[test]
    fn a_comment_in_the_userdata_stands_last() {
        let accept = |x: &mut ExprWriter<'_>| x.verdict(Verdict::Accept);
        let commented = |userdata: &[u8]| read(Some(userdata), accept);
        assert_eq!(commented(b"\x07\x02ab\0\x05a b \0"), " -m comment --comment \"a b \" -c 0 0 -j ACCEPT");
        for ignored in [&b""[..], b"\0", b"\0\x03abc", b"\0\x09a\0", b"\x01\x02a\0"] {
            assert_eq!(commented(ignored), " -c 0 0 -j ACCEPT");
        }
    }
}

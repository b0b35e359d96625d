//! Kernel expressions to rules: exactly, or not at all.
//!
//! Every expression of a rule is claimed by the generic part or by an extension, or the rule is [`Raised::Opaque`]; none is skipped, none is
//! read as something near it. Order is meaning where an expression has a side effect (`limit` takes a token, `recent` notes an address): what
//! would have to be printed before such a match, but stands behind it, makes the rule opaque.
//! Sources: fact sheet 2.7, 2.8 (what stock's reader takes, and where it misreads).

use crate::ext::matches::comment::Comment;
use crate::ext::{Action, Body, Match, Target};
use crate::types::{Counters, Family};
use crate::wire::cond::{Cond, Fold, Item, Test};
use crate::wire::{Expr, Exprs, Verdict};

/// What a list of expressions is.
#[derive(Clone, Debug, PartialEq)]
pub enum Raised {
    /// A rule that iptables can say.
    Rule(Body, Counters),
    /// Something else; its expressions stay with the caller. The counters are those of its last `counter`.
    Opaque(Counters),
}

/// Reads rules; keeps its scratch room from rule to rule.
#[derive(Debug)]
pub struct Raiser {
    family: Family,
    scratch: Vec<u8>,
}

impl Raiser {
    /// A reader of rules of this family's tables.
    pub fn new(family: Family) -> Self {
        Self { family, scratch: Vec::new() }
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
        let mut fold = Fold::new();
        for expr in Exprs::new(exprs) {
            match expr {
                Ok(expr) => fold.push(expr, &mut |item| rule.item(&item)),
                Err(_) => rule.exact = false,
            }
        }
        fold.finish(&mut |item| rule.item(&item));
        if let Some(comment) = userdata.and_then(comment_of) {
            rule.comment(comment);
        }
        let exact = rule.exact && rule.protocol_fits();
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
    /// How many matches there were when one that may have side effects was read.
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
            _ if self.body.action != Action::None => false,
            Item::Cond(cond) => {
                if self.barrier.is_none() && self.body.base.raise(cond, self.family) {
                    true
                } else {
                    self.condition(item)
                }
            }
            Item::MetaSet { .. } => Target::raise(item, &mut self.body),
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
        let claimed = Match::raise(item, &mut self.body);
        let completed = claimed && self.body.matches.len() == before;
        claimed && !(completed && self.barrier.is_some_and(|b| before <= b))
    }

    fn native(&mut self, item: &Item<'_>) -> bool {
        if Match::raise(item, &mut self.body) {
            self.barrier = Some(self.body.matches.len());
            return true;
        }
        Target::raise(item, &mut self.body)
    }

    fn xt_match(&mut self, name: &[u8], revision: u32, info: &[u8]) -> bool {
        let Some(m) = Match::decode(name, revision, info, self.family, self.scratch) else { return false };
        let protocols = m.spec().implied_by;
        if !protocols.is_empty() && *self.protocols.get_or_insert(protocols) != protocols {
            return false;
        }
        self.body.matches.push(m);
        self.barrier = Some(self.body.matches.len());
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
            Verdict::Jump(chain) if is_word(chain) => Action::Jump(chain.into()),
            Verdict::Goto(chain) if is_word(chain) => Action::Goto(chain.into()),
            // The verdict that every rule begins with: nothing happens.
            Verdict::Continue => return true,
            Verdict::Jump(_) | Verdict::Goto(_) | Verdict::Other(_) => return false,
        };
        true
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

/// Whether a chain's name can stand behind `-j` and mean the chain: a word, and not a verdict's name.
fn is_word(name: &[u8]) -> bool {
    let plain = |b: &u8| !b.is_ascii_whitespace() && !b.is_ascii_control();
    !name.is_empty()
        && name.iter().all(plain)
        && !matches!(name, [b'-' | b'!', ..] | b"ACCEPT" | b"DROP" | b"RETURN" | b"QUEUE")
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

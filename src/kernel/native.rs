//! Rules in native expressions: what is written beside them, and how they are read back.
//!
//! A rule of which the expressions alone would not say what iptables says carries its text (the save form) in its userdata. On reading, the
//! text is parsed and written again; only if the kernel has just these expressions, and sets with just these keys, the rule is what the text
//! says. Otherwise it is what its expressions say. So a text can be lost or wrong, but it cannot lie.
//!
//! What stock iptables would misread stands beside a *marker*: an expression that changes nothing and that every version of it refuses loudly
//! (fact sheet 2.8: lookups are dropped from its listings in silence). Sources: design §4; `linux/netfilter/nf_tables.h`; the userdata's form
//! as nft writes it (type and length, one byte each, value).

use super::{Error, Session};
use crate::compile::same::same;
use crate::compile::{Raised, Raiser};
use crate::ext::limits::{self, Place};
use crate::ext::matches::comment::Comment;
use crate::ext::{Action, Body, Encoding, Match, PrintCx};
use crate::text::lexer::Words;
use crate::text::{CommandKind, Context, parse};
use crate::types::{Counters, Family, Hook, NoNames, Out};
use crate::wire::consts::*;
use crate::wire::{AnonSet, Expr, ExprWriter, Exprs, Writer};
use std::convert::Infallible;

/// The type of the text in the userdata: nft passes over what it does not know.
const TEXT: u8 = 0x80;

/// The type of nft's comment, whose value ends in a NUL.
const COMMENT: u8 = 0;

/// The most bytes of userdata that the kernel takes (`NFT_USERDATA_MAXLEN`).
const USERDATA_MAX: usize = 256;

/// The longest comment that nft shows, in bytes, without its NUL.
const COMMENT_MAX: usize = 127;

/// Expressions that every stock version reports as incompatible (fact sheet 2.8).
const LOUD: &[&[u8]] = &[
    b"byteorder",
    b"connlimit",
    b"ct",
    b"exthdr",
    b"fib",
    b"masq",
    b"nat",
    b"numgen",
    b"queue",
    b"quota",
    b"redir",
    b"reject",
    b"rt",
    b"socket",
];

/// A rule in native expressions.
#[derive(Clone, Debug)]
pub struct Lowered {
    /// The payload of `NFTA_RULE_EXPRESSIONS`.
    pub exprs: Vec<u8>,
    /// The sets that it looks into, with the ids by which it names them.
    pub sets: Vec<(u32, AnonSet)>,
    /// `NFTA_RULE_USERDATA`; empty if there is none.
    pub userdata: Vec<u8>,
    /// Whether an xt expression is left, so that `NFTA_RULE_COMPAT` is needed.
    pub xt: bool,
}

/// Writes a rule natively, with everything that it takes to read it back. `body` is as the kernel's expressions are raised; ids of sets begin
/// at `first_set`. `None` if the rule would not be read back as it is (its text is too long, or says less than the rule), or if
/// it is one that the xt extensions do not take in this table or with this protocol.
pub fn lower(body: &Body, family: Family, table: &[u8], counters: Counters, first_set: u32) -> Option<Lowered> {
    if !is_taken(body, family, table, &[]) {
        return None;
    }
    let plain = write(body, Encoding::Native, family, counters, first_set, false);
    let stock = write(&without_comments(body), Encoding::Stock, family, counters, first_set, false);
    let comment = body.matches.iter().find_map(|m| match m {
        Match::Comment(comment) => Some(comment),
        _ => None,
    });
    let as_stock = plain.exprs == stock.exprs;
    let mut lowered = plain;
    if as_stock {
        let userdata = comment.map_or_else(Vec::new, |c| userdata(Some(c), None));
        let raised = Raiser::new(family).raise(&lowered.exprs, Some(&userdata));
        if userdata.len() <= USERDATA_MAX && matches!(&raised, Raised::Rule(read, _) if read == body) {
            lowered.userdata = userdata;
            return Some(lowered);
        }
    } else if !is_loud(&lowered.exprs) {
        lowered = write(body, Encoding::Native, family, counters, first_set, true);
    }
    let text = text_of(body, family);
    if text.len() > usize::from(u8::MAX) || body_of(&text, family, table).as_ref() != Some(body) {
        return None;
    }
    let both = userdata(comment, Some(&text));
    lowered.userdata = if both.len() <= USERDATA_MAX { both } else { userdata(None, Some(&text)) };
    (lowered.userdata.len() <= USERDATA_MAX).then_some(lowered)
}

/// Whether the xt extensions would take a rule of a table, at these hooks: in native expressions the kernel asks less, and a rule that stock could
/// not load is not loaded.
pub fn is_taken(body: &Body, family: Family, table: &[u8], hooks: &[Hook]) -> bool {
    let place = Place { table, hooks, protocol: body.base.protocol };
    let target = match &body.action {
        Action::Target(target) => limits::of_target(target, family, &place),
        _ => None,
    };
    target.is_none() && body.matches.iter().all(|m| limits::of_match(m, family, &place).is_none())
}

fn without_comments(body: &Body) -> Body {
    let mut body = body.clone();
    body.matches.retain(|m| !matches!(m, Match::Comment(_)));
    body
}

/// `marked`: the marker stands before everything else.
fn write(body: &Body, as_: Encoding, family: Family, counters: Counters, first_set: u32, marked: bool) -> Lowered {
    let mut w = Writer::new();
    let mut x = ExprWriter::with_set_ids(&mut w, first_set);
    if marked {
        marker(&mut x);
    }
    body.encode_as(as_, family, counters.packets, counters.bytes, &mut x);
    let (sets, xt) = (x.take_sets(), x.xt_count() > 0);
    Lowered { exprs: w.into_bytes(), sets, userdata: Vec::new(), xt }
}

/// A number is put into a register and its bytes are turned round: nobody reads it.
fn marker(x: &mut ExprWriter<'_>) {
    x.immediate(NFT_REG_1, &[0; 4]);
    x.hton(4, 4);
}

fn is_loud(exprs: &[u8]) -> bool {
    Exprs::new(exprs).flatten().any(|e| match e {
        Expr::Other { name, .. } => LOUD.contains(&name),
        Expr::Log { group, .. } => group.is_none(),
        _ => false,
    })
}

/// The save form behind `-A CHAIN`, without a blank before it.
fn text_of(body: &Body, family: Family) -> Vec<u8> {
    let mut out = Out::new();
    body.save(&mut out, &PrintCx { family, numeric: true, names: &NoNames, protocol: None }, None);
    out.as_bytes().trim_ascii_start().to_vec()
}

/// What a text says in a table.
fn body_of(text: &[u8], family: Family, table: &[u8]) -> Option<Body> {
    let mut words = Words::default();
    words.split(text).ok()?;
    let mut args: Vec<&[u8]> = vec![b"-A", b"chain"];
    args.extend(words.iter());
    let cx = Context { family, names: &NoNames, restore: true, table, verbose: false };
    let mut command = parse(&args, &cx, &mut Vec::new()).ok()?;
    if !matches!(command.kind, CommandKind::Append { .. }) || command.rule.len() != 1 {
        return None;
    }
    let mut body = None;
    let _ = command.rule.for_each(|b| {
        body = Some(b.clone());
        Ok::<(), Infallible>(())
    });
    body
}

fn userdata(comment: Option<&Comment>, text: Option<&[u8]>) -> Vec<u8> {
    let mut data = Vec::new();
    let mut entry = |ty: u8, value: &[u8]| {
        if let Ok(len) = u8::try_from(value.len()) {
            data.extend_from_slice(&[ty, len]);
            data.extend_from_slice(value);
        }
    };
    if let Some(comment) = comment.map(Comment::text).filter(|c| text.is_none() || c.len() <= COMMENT_MAX) {
        entry(COMMENT, &[comment, &[0]].concat());
    }
    if let Some(text) = text {
        entry(TEXT, text);
    }
    data
}

/// The text in a rule's userdata.
fn text_in(mut userdata: &[u8]) -> Option<&[u8]> {
    while let [ty, len, rest @ ..] = userdata {
        let value = rest.get(..usize::from(*len))?;
        if *ty == TEXT {
            return Some(value);
        }
        userdata = rest.get(usize::from(*len)..)?;
    }
    None
}

/// Reads the kernel's rules, those in native expressions too; keeps its room from rule to rule.
#[derive(Debug)]
pub struct RuleReader {
    family: Family,
    raiser: Raiser,
    /// For the elements of sets: the session that lists rules is busy with it. Opened when it is needed, in the namespace of the thread.
    session: Option<Session>,
}

impl RuleReader {
    /// A reader of rules of this family's tables.
    pub fn new(family: Family) -> Self {
        Self { family, raiser: Raiser::new(family), session: None }
    }

    /// Reads a rule of a table while rules are being listed: the payloads of `NFTA_RULE_EXPRESSIONS` and of `NFTA_RULE_USERDATA`. Sets are read
    /// in the namespace of the calling thread.
    pub fn raise(&mut self, table: &[u8], exprs: &[u8], userdata: Option<&[u8]>) -> Raised {
        let mut own = self.session.take();
        let family = self.family;
        let raised = self.raise_by(table, exprs, userdata, &mut |name, set| {
            let session = match &mut own {
                Some(session) => session,
                none => none.insert(Session::open()?),
            };
            session.set_is(family, table, name, set)
        });
        self.session = own;
        raised
    }

    /// The same when no listing is under way: sets are read by this session.
    pub fn raise_beside(
        &mut self,
        session: &mut Session,
        table: &[u8],
        exprs: &[u8],
        userdata: Option<&[u8]>,
    ) -> Raised {
        let family = self.family;
        self.raise_by(table, exprs, userdata, &mut |name, set| session.set_is(family, table, name, set))
    }

    fn raise_by(&mut self, table: &[u8], exprs: &[u8], userdata: Option<&[u8]>, holds: &mut Holds<'_>) -> Raised {
        let raised = self.raiser.raise(exprs, userdata);
        let Some(text) = userdata.and_then(text_in) else { return raised };
        let counters = match raised {
            Raised::Rule(_, counters) | Raised::Opaque(counters) => counters,
        };
        match verified(text, self.family, table, exprs, holds) {
            Some(body) => Raised::Rule(body, counters),
            None => raised,
        }
    }

    /// A rule as it would come back from the kernel: what is merged or written in another form there compares equal then.
    pub fn canonical(&mut self, body: &Body) -> Body {
        let mut w = Writer::new();
        body.encode(self.family, 0, 0, &mut ExprWriter::new(&mut w));
        match self.raiser.raise(w.as_bytes(), None) {
            Raised::Rule(body, _) => body,
            Raised::Opaque(_) => body.clone(),
        }
    }
}

/// Whether the set of that name holds just these keys.
type Holds<'h> = dyn FnMut(&[u8], &AnonSet) -> Result<bool, Error> + 'h;

/// What the text says, if the kernel has just that.
fn verified(text: &[u8], family: Family, table: &[u8], exprs: &[u8], holds: &mut Holds<'_>) -> Option<Body> {
    let body = body_of(text, family, table)?;
    let fits = [false, true].into_iter().any(|marked| {
        let ours = write(&body, Encoding::Native, family, Counters::default(), 1, marked);
        let holds = &mut |name: &[u8], set: &AnonSet| holds(name, set).unwrap_or(false);
        same(&ours.exprs, &ours.sets, exprs, family, holds)
    });
    fits.then_some(body)
}

/// Whether a rule's userdata holds a text, so that sets may have to be read for it.
pub fn has_text(userdata: Option<&[u8]>) -> bool {
    userdata.and_then(text_in).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compile::describe;

    /// The native expressions of a rule in words, or `-` if it is written in stock's.
    fn native(family: Family, table: &str, text: &str) -> String {
        let body = body_of(text.as_bytes(), family, table.as_bytes()).unwrap_or_else(|| panic!("not a rule: {text}"));
        let body = RuleReader::new(family).canonical(&body);
        let Some(lowered) = lower(&body, family, table.as_bytes(), Counters::default(), 1) else { return "-".into() };
        let read = RuleReader::new(family).raise(table.as_bytes(), &lowered.exprs, Some(&lowered.userdata));
        assert!(matches!(&read, Raised::Rule(b, _) if *b == body), "{text}: {read:?}");
        assert!(lowered.userdata.len() <= USERDATA_MAX);
        let mut out = Out::new();
        describe(family, &lowered.exprs, None, &mut out);
        let said = String::from_utf8_lossy(out.as_bytes()).replace("counter packets 0 bytes 0", "");
        // Of xt structs only the name.
        let words = said.split(' ').filter(|w| !w.is_empty()).scan(0, |behind_xt, word| {
            *behind_xt = if word == "xt" { 6 } else { i32::max(0, *behind_xt - 1) };
            Some(if (1..=3).contains(behind_xt) { "" } else { word })
        });
        words.filter(|w| !w.is_empty()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn rules_in_native_expressions() {
        for (table, text, expected) in [
            ("filter", "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT", "ct state established,related accept"),
            ("filter", "-m conntrack ! --ctstate NEW --ctproto 6", "xt match \"conntrack\""),
            ("filter", "-m state --state NEW,UNTRACKED", "ct state new,untracked"),
            (
                "filter",
                "-p tcp -m multiport --dports 22,80:90",
                "0x00000000 meta l4proto tcp @th,8,24 tcp dport @__set%d",
            ),
            ("filter", "-p tcp -m multiport --dports 22", "0x00000000 meta l4proto tcp @th,8,24 tcp dport 22"),
            ("filter", "-p icmp -m icmp --icmp-type 3/1", "0x00000000 meta l4proto icmp @th,40,24 @th,0,16 0x0301"),
            ("filter", "-m addrtype --dst-type LOCAL", "fib daddr type 2"),
            ("filter", "-m iprange ! --src-range 10.0.0.1-10.0.0.9", "0x00000000 ip saddr != 10.0.0.1-10.0.0.9"),
            ("filter", "-m length --length 40:100", "meta length 40-100"),
            ("filter", "-m owner --uid-owner 7", "meta skuid 7"),
            ("filter", "-m owner ! --uid-owner 7", "xt match \"owner\""),
            ("filter", "-m comment --comment hello -j DROP", "drop"),
            ("filter", "-j LOG --log-prefix \"a b\" --log-level 5", "log prefix \"a b\" level 5"),
            ("filter", "-j REJECT --reject-with icmp-host-prohibited", "reject with icmp code 10"),
            ("nat", "-p tcp -j DNAT --to-destination 10.0.0.1:80-90", "meta l4proto tcp dnat to 10.0.0.1 port 80-90"),
            ("nat", "-j MASQUERADE --random", "[ masq: 1=00000004 ]"),
            ("mangle", "-j MARK --set-xmark 0x5/0xf", "0x00000000 meta mark set meta mark ^ 0x05000000 & 0xf0ffffff"),
            ("raw", "-j CT --zone 5", "ct zone set 5"),
            ("raw", "-j CT --helper ftp", "xt target \"CT\""),
        ] {
            assert_eq!(native(Family::V4, table, text), expected, "{text}");
        }
    }
}

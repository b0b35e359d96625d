//! Whether two lists of expressions are the same: what is written against what the kernel shows of it.
//!
//! The kernel adds attributes that say nothing (a zero) and changes their order; counters count, quotas are used up, xt structs have bytes
//! that are the kernel's own, and an anonymous set gets a name. Nothing else may differ.

use crate::ext::{Match, Target};
use crate::types::Family;
use crate::wire::consts::*;
use crate::wire::{AnonSet, Attr, Attrs, Expr};

/// What a lookup of our own writing looks into.
pub type Sets = [(u32, AnonSet)];

/// The name of a set that has not been created yet: both lists are of the same batch then.
const UNNAMED: &[u8] = b"__set%d";

/// Whether `theirs`, a dumped `NFTA_RULE_EXPRESSIONS`, is what became of `ours` with its `sets`; `holds` says whether the set of that name
/// has just these keys.
pub fn same(
    ours: &[u8],
    sets: &Sets,
    theirs: &[u8],
    family: Family,
    holds: &mut dyn FnMut(&[u8], &AnonSet) -> bool,
) -> bool {
    let (mut a, mut b) = (Attrs::new(ours), Attrs::new(theirs));
    loop {
        match (a.next(), b.next()) {
            (None, None) => return true,
            (Some(Ok(a)), Some(Ok(b))) => {
                let (Ok(a), Ok(b)) = (Written::new(&a), Written::new(&b)) else { return false };
                if !a.became(&b, sets, family, holds) {
                    return false;
                }
            }
            _ => return false,
        }
    }
}

/// An expression and the payload of its `NFTA_EXPR_DATA`.
struct Written<'a> {
    name: &'a [u8],
    data: &'a [u8],
    expr: Expr<'a>,
}

impl<'a> Written<'a> {
    fn new(elem: &Attr<'a>) -> Result<Self, crate::wire::DecodeError> {
        let (mut name, mut data) = (&b""[..], &b""[..]);
        for part in elem.nested() {
            let part = part?;
            match part.ty {
                NFTA_EXPR_NAME => name = part.text(),
                NFTA_EXPR_DATA => data = part.payload,
                _ => {}
            }
        }
        Ok(Self { name, data, expr: Expr::decode(elem)? })
    }

    fn became(&self, b: &Self, sets: &Sets, family: Family, holds: &mut dyn FnMut(&[u8], &AnonSet) -> bool) -> bool {
        if self.name != b.name {
            return false;
        }
        match (&self.expr, &b.expr) {
            (Expr::Counter { .. }, Expr::Counter { .. }) => true,
            (Expr::Match { .. }, Expr::Match { .. }) | (Expr::Target { .. }, Expr::Target { .. }) => {
                xt_same(&self.expr, &b.expr, family)
            }
            (a, b) if a == b => true,
            _ if self.name == b"lookup" => self.lookup_became(b, sets, holds),
            _ => {
                if self.name == b"quota" {
                    let flags = |data| attribute(data, NFTA_QUOTA_FLAGS).and_then(|a| a.u32("quota flags").ok());
                    let said = |data| flags(data).unwrap_or(0) & !NFT_QUOTA_F_DEPLETED;
                    return said(self.data) == said(b.data)
                        && attributes_same(self.data, b.data, &[NFTA_QUOTA_CONSUMED, NFTA_QUOTA_FLAGS]);
                }
                attributes_same(self.data, b.data, &[])
            }
        }
    }

    fn lookup_became(&self, b: &Self, sets: &Sets, holds: &mut dyn FnMut(&[u8], &AnonSet) -> bool) -> bool {
        if !attributes_same(self.data, b.data, &[NFTA_LOOKUP_SET, NFTA_LOOKUP_SET_ID]) {
            return false;
        }
        let id = attribute(self.data, NFTA_LOOKUP_SET_ID).and_then(|a| a.u32("set id").ok());
        let name = attribute(b.data, NFTA_LOOKUP_SET).map(|a| a.text());
        let set = sets.iter().find(|(known, _)| Some(*known) == id).map(|(_, set)| set);
        match (set, name) {
            (Some(_), Some(UNNAMED)) => true,
            (Some(set), Some(name)) => holds(name, set),
            _ => false,
        }
    }
}

fn attribute(data: &[u8], ty: u16) -> Option<Attr<'_>> {
    Attrs::new(data).map_while(Result::ok).find(|a| a.ty == ty)
}

/// Whether the attributes are the same in any order, those that are all zeros being as good as absent.
fn attributes_same(a: &[u8], b: &[u8], passed_over: &[u16]) -> bool {
    let within = |a: &[u8], b: &[u8]| {
        Attrs::new(a).all(|attr| match attr {
            Err(_) => false,
            Ok(attr) if passed_over.contains(&attr.ty) => true,
            Ok(attr) => match attribute(b, attr.ty) {
                Some(other) => other.payload == attr.payload,
                None => attr.payload.iter().all(|byte| *byte == 0),
            },
        })
    };
    within(a, b) && within(b, a)
}

/// xt expressions are the same if they say the same, whatever the kernel keeps in their structs.
fn xt_same(a: &Expr<'_>, b: &Expr<'_>, family: Family) -> bool {
    let scratch = &mut Vec::new();
    match (a, b) {
        (Expr::Match { name, revision, info }, Expr::Match { name: name_b, revision: revision_b, info: info_b }) => {
            let of = |scratch: &mut Vec<u8>, name, rev: &u32, info| Match::decode(name, *rev, info, family, scratch);
            a == b
                || of(scratch, name, revision, info).is_some_and(|m| Some(m) == of(scratch, name_b, revision_b, info_b))
        }
        (Expr::Target { name, revision, info }, Expr::Target { name: name_b, revision: revision_b, info: info_b }) => {
            let of = |scratch: &mut Vec<u8>, name, rev: &u32, info| Target::decode(name, *rev, info, family, scratch);
            a == b
                || of(scratch, name, revision, info).is_some_and(|t| Some(t) == of(scratch, name_b, revision_b, info_b))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{ExprWriter, Key, Writer};

    fn written(write: impl FnOnce(&mut ExprWriter<'_>)) -> (Vec<u8>, Vec<(u32, AnonSet)>) {
        let mut w = Writer::new();
        let mut x = ExprWriter::new(&mut w);
        write(&mut x);
        let sets = x.take_sets();
        (w.into_bytes(), sets)
    }

    fn port(x: &mut ExprWriter<'_>, port: u8) {
        let mut set = AnonSet::new(&[Key::Port]);
        set.value(&[&[0, port]]);
        x.lookup(false, set);
    }

    #[test]
    fn counters_and_set_names_do_not_count() {
        let (a, sets) = written(|x| (port(x, 1), x.counter(1, 2)).1);
        let (b, _) = written(|x| (port(x, 2), x.counter(5, 6)).1);
        assert!(same(&a, &sets, &b, Family::V4, &mut |_, _| false), "of one batch");
        let kernel = |name: &[u8], flags: u32| {
            let mut w = Writer::new();
            let elem = w.nest(NFTA_LIST_ELEM);
            w.text(NFTA_EXPR_NAME, b"lookup");
            let data = w.nest(NFTA_EXPR_DATA);
            w.text(NFTA_LOOKUP_SET, name);
            w.u32(NFTA_LOOKUP_SREG, NFT_REG_1);
            w.u32(NFTA_LOOKUP_FLAGS, flags);
            w.close(data);
            w.close(elem);
            ExprWriter::new(&mut w).counter(7, 8);
            w.into_bytes()
        };
        let mut asked = Vec::new();
        assert!(same(&a, &sets, &kernel(b"__set3", 0), Family::V4, &mut |name, _| {
            asked = name.to_vec();
            true
        }));
        assert_eq!(asked, b"__set3");
        assert!(!same(&a, &sets, &kernel(b"__set3", 0), Family::V4, &mut |_, _| false));
        assert!(!same(&a, &sets, &kernel(b"__set3", 1), Family::V4, &mut |_, _| true), "negated");
    }

    #[test]
    fn anything_else_does() {
        let (a, _) = written(|x| x.ct(NFT_CT_STATE, None));
        let (b, _) = written(|x| x.ct(NFT_CT_MARK, None));
        let (c, _) = written(|x| (x.ct(NFT_CT_STATE, None), x.counter(0, 0)).1);
        let no_set = &mut |_: &[u8], _: &AnonSet| false;
        assert!(same(&a, &[], &a, Family::V4, no_set));
        assert!(!same(&a, &[], &b, Family::V4, no_set));
        assert!(!same(&a, &[], &c, Family::V4, no_set));
        let (log, _) = written(|x| x.syslog(None, 4, 0));
        let (log_5, _) = written(|x| x.syslog(None, 5, 0));
        assert!(!same(&log, &[], &log_5, Family::V4, no_set));
    }
}

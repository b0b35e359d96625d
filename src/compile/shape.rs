//! The shapes of the rules read last, so that the next rule of the same shape is not taken apart again.
//!
//! A ruleset repeats itself: a thousand rules may differ in an address or a port only. A [`Shape`] keeps the bytes of one rule's expressions,
//! which of them are values, and the items that they fold to. Expressions whose other bytes are all the same fold to the same items with other
//! values, because a byte counts as a value only if nothing but its own item depends on it: the data of a `cmp` for `==` or `!=`, and what an
//! expression without registers (`counter`, `match`, …) holds.

use crate::wire::cond::{Cond, Data, Fold, Item, Test};
use crate::wire::consts::{
    NFT_CMP_EQ, NFT_CMP_NEQ, NFTA_COUNTER_BYTES, NFTA_COUNTER_PACKETS, NFTA_EXPR_DATA, NFTA_EXPR_NAME,
};
use crate::wire::{Attr, Attrs, Expr, Verdict};
use std::ops::Range;

/// How many shapes are kept: of those that alternate in a chain, most.
const SHAPES: usize = 4;

/// The shapes read last.
#[derive(Debug, Default)]
pub(super) struct Shapes {
    known: [Shape; SHAPES],
    /// The lengths of the rules that had none of them. A shape is learned when a length is met again.
    missed: [usize; SHAPES],
    /// Which shape goes next.
    oldest: usize,
}

/// The shape of one rule's expressions.
#[derive(Debug, Default)]
struct Shape {
    /// The payload of `NFTA_RULE_EXPRESSIONS`.
    bytes: Vec<u8>,
    /// As long: `0xff` where a byte must be the same, 0 where it is a value.
    fixed: Vec<u8>,
    /// What they fold to.
    pieces: Vec<Piece>,
}

/// An item, and where its values stand, in bytes.
#[derive(Debug)]
enum Piece {
    Cond(Cond, Option<Range<usize>>),
    MetaSet {
        key: u32,
        value: Data,
    },
    /// `counter`, as the kernel writes it.
    Counter {
        packets: Range<usize>,
        bytes: Range<usize>,
    },
    /// A verdict without a chain.
    Verdict(Verdict<'static>),
    /// The payload of the `NFTA_LIST_ELEM` that is decoded again.
    Expr(Range<usize>),
}

impl Shapes {
    /// Hands the items of a rule's expressions to `emit`, in order; false if they are malformed.
    pub fn items<'a>(&mut self, exprs: &'a [u8], emit: &mut impl FnMut(Item<'a>)) -> bool {
        if let Some(shape) = self.known.iter().find(|shape| shape.is_of(exprs)) {
            return shape.replay(exprs, emit);
        }
        if !self.missed.contains(&exprs.len()) {
            if let Some(place) = self.missed.get_mut(self.oldest) {
                *place = exprs.len();
            }
            self.oldest = (self.oldest + 1) % SHAPES;
            return fold(exprs, &mut |item, _, _| emit(item));
        }
        let mut shape = Shape { bytes: exprs.to_vec(), fixed: vec![0xff; exprs.len()], pieces: Vec::new() };
        let whole = fold(exprs, &mut |item, elem, expr| {
            shape.learn(exprs, &item, elem, expr);
            emit(item);
        });
        if let (true, Some(place)) = (whole, self.known.get_mut(self.oldest)) {
            *place = shape;
            self.oldest = (self.oldest + 1) % SHAPES;
        }
        whole
    }
}

/// Decodes and folds; `emit` is also told the element and the expression that completed the item, if one did. False if something is malformed.
fn fold<'a>(exprs: &'a [u8], emit: &mut impl FnMut(Item<'a>, Option<&Attr<'a>>, Option<&Expr<'a>>)) -> bool {
    let (mut fold, mut whole) = (Fold::new(), true);
    for elem in Attrs::new(exprs) {
        match elem.and_then(|elem| Expr::decode(&elem).map(|expr| (elem, expr))) {
            Ok((elem, expr)) => fold.push(expr, &mut |item| emit(item, Some(&elem), Some(&expr))),
            Err(_) => whole = false,
        }
    }
    fold.finish(&mut |item| emit(item, None, None));
    whole
}

impl Shape {
    /// Whether these expressions have it.
    fn is_of(&self, exprs: &[u8]) -> bool {
        let unlike = |(a, (b, fixed)): (&u8, (&u8, &u8))| (a ^ b) & fixed;
        exprs.len() == self.bytes.len()
            && !exprs.is_empty()
            && exprs.iter().zip(self.bytes.iter().zip(&self.fixed)).map(unlike).fold(0, |a, b| a | b) == 0
    }

    fn learn(&mut self, exprs: &[u8], item: &Item<'_>, elem: Option<&Attr<'_>>, expr: Option<&Expr<'_>>) {
        let piece = match (*item, elem, expr) {
            (Item::Cond(cond), _, Some(Expr::Cmp { data, op: NFT_CMP_EQ | NFT_CMP_NEQ, .. }))
                if matches!(cond.test, Test::Cmp { .. }) =>
            {
                let value = place(exprs, data);
                self.is_value(value.clone());
                Piece::Cond(cond, value)
            }
            (Item::Cond(cond), ..) => Piece::Cond(cond, None),
            (Item::MetaSet { key, value }, ..) => Piece::MetaSet { key, value },
            (Item::Expr(Expr::Verdict(Verdict::Accept)), ..) => Piece::Verdict(Verdict::Accept),
            (Item::Expr(Expr::Verdict(Verdict::Drop)), ..) => Piece::Verdict(Verdict::Drop),
            (Item::Expr(Expr::Verdict(Verdict::Return)), ..) => Piece::Verdict(Verdict::Return),
            (Item::Expr(expr), Some(elem), _) => {
                let data = data_of(elem).filter(|_| is_without_registers(&expr));
                match data.filter(|_| matches!(expr, Expr::Counter { .. })).and_then(|data| counters(exprs, data)) {
                    Some((packets, bytes)) => {
                        self.is_value(Some(packets.clone()));
                        self.is_value(Some(bytes.clone()));
                        Piece::Counter { packets, bytes }
                    }
                    None => {
                        self.is_value(data.and_then(|data| place(exprs, data)));
                        let Some(elem) = place(exprs, elem.payload) else { return };
                        Piece::Expr(elem)
                    }
                }
            }
            // `Fold::finish` emits nothing but conditions.
            (Item::Expr(_), None, _) => return,
        };
        self.pieces.push(piece);
    }

    fn is_value(&mut self, place: Option<Range<usize>>) {
        if let Some(fixed) = place.and_then(|place| self.fixed.get_mut(place)) {
            fixed.fill(0);
        }
    }

    /// Hands out the items of expressions that have this shape.
    fn replay<'a>(&self, exprs: &'a [u8], emit: &mut impl FnMut(Item<'a>)) -> bool {
        let mut whole = true;
        for piece in &self.pieces {
            match piece {
                Piece::Cond(cond, None) => emit(Item::Cond(*cond)),
                Piece::Cond(cond, Some(value)) => {
                    let mut cond = *cond;
                    if let (Test::Cmp { data, .. }, Some(new)) =
                        (&mut cond.test, exprs.get(value.clone()).and_then(Data::new))
                    {
                        *data = new;
                    }
                    emit(Item::Cond(cond));
                }
                Piece::MetaSet { key, value } => emit(Item::MetaSet { key: *key, value: *value }),
                Piece::Counter { packets, bytes } => {
                    emit(Item::Expr(Expr::Counter { packets: long(exprs, packets), bytes: long(exprs, bytes) }));
                }
                Piece::Verdict(verdict) => emit(Item::Expr(Expr::Verdict(*verdict))),
                Piece::Expr(elem) => {
                    let payload = exprs.get(elem.clone()).unwrap_or_default();
                    match Expr::decode(&Attr { ty: 0, payload, at: elem.start }) {
                        Ok(expr) => emit(Item::Expr(expr)),
                        Err(_) => whole = false,
                    }
                }
            }
        }
        whole
    }
}

/// Whether it neither loads, tests nor sets a register, whatever its data are.
fn is_without_registers(expr: &Expr<'_>) -> bool {
    matches!(
        expr,
        Expr::Counter { .. } | Expr::Match { .. } | Expr::Target { .. } | Expr::Limit { .. } | Expr::Log { .. }
    )
}

/// The payload of `NFTA_EXPR_DATA`, if the element is a name and that.
fn data_of<'a>(elem: &Attr<'a>) -> Option<&'a [u8]> {
    let mut attrs = elem.nested();
    match (attrs.next()?.ok()?, attrs.next()?.ok()?, attrs.next()) {
        (Attr { ty: NFTA_EXPR_NAME, .. }, Attr { ty: NFTA_EXPR_DATA, payload, .. }, None) => Some(payload),
        _ => None,
    }
}

/// Where the numbers of a `counter` stand: packets and bytes, big-endian u64 each.
fn counters(exprs: &[u8], data: &[u8]) -> Option<(Range<usize>, Range<usize>)> {
    let number = |ty| Attrs::new(data).flatten().find(|a| a.ty == ty && a.payload.len() == 8).map(|a| a.payload);
    Some((place(exprs, number(NFTA_COUNTER_PACKETS)?)?, place(exprs, number(NFTA_COUNTER_BYTES)?)?))
}

fn long(exprs: &[u8], place: &Range<usize>) -> u64 {
    exprs.get(place.clone()).and_then(|b| b.try_into().ok()).map_or(0, u64::from_be_bytes)
}

/// Where a part of the expressions stands in them.
fn place(exprs: &[u8], part: &[u8]) -> Option<Range<usize>> {
    let start = part.as_ptr().addr().checked_sub(exprs.as_ptr().addr())?;
    let end = start.checked_add(part.len())?;
    (end <= exprs.len()).then_some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::consts::{NFT_META_MARK, NFT_PAYLOAD_NETWORK_HEADER};
    use crate::wire::{ExprWriter, Writer};

    fn exprs(write: impl FnOnce(&mut ExprWriter<'_>)) -> Vec<u8> {
        let mut w = Writer::new();
        write(&mut ExprWriter::new(&mut w));
        w.into_bytes()
    }

    fn rule(address: [u8; 4], mask: [u8; 4], packets: u64, mark: u8) -> Vec<u8> {
        exprs(|x| {
            x.payload(NFT_PAYLOAD_NETWORK_HEADER, 12, 4);
            x.mask(&mask);
            x.cmp_eq(true, &address);
            x.xt_match("mark", 1, |b| b.fixed(&[mark], 12));
            x.counter(packets, 7);
            x.meta(NFT_META_MARK);
            x.verdict(Verdict::Drop);
        })
    }

    fn items(shapes: &mut Shapes, exprs: &[u8]) -> String {
        let mut text = String::new();
        assert!(shapes.items(exprs, &mut |item| text.push_str(&format!("{item:?}\n"))));
        text
    }

    #[test]
    fn values_may_differ_and_nothing_else() {
        let mut shapes = Shapes::default();
        let first = rule([10, 0, 0, 1], [255, 0, 0, 255], 1, 2);
        for _ in 0..2 {
            assert!(!shapes.known.iter().any(|s| s.is_of(&first)));
            items(&mut shapes, &first);
        }
        for (other, same) in [
            (first.clone(), true),
            (rule([10, 9, 8, 7], [255, 0, 0, 255], 1, 2), true),
            (rule([10, 0, 0, 1], [255, 0, 0, 255], u64::MAX, 2), true),
            (rule([10, 0, 0, 1], [255, 0, 0, 255], 1, 200), true),
            (rule([10, 0, 0, 1], [255, 255, 0, 255], 1, 2), false),
        ] {
            assert_eq!(shapes.known.iter().any(|s| s.is_of(&other)), same);
            assert_eq!(items(&mut shapes, &other), items(&mut Shapes::default(), &other));
        }
    }

    #[test]
    fn a_malformed_rule_is_no_shape() {
        let mut shapes = Shapes::default();
        let mut broken = rule([1; 4], [255; 4], 1, 1);
        let len = broken.len();
        broken[len - 60] ^= 0x40;
        broken.truncate(len - 9);
        for _ in 0..3 {
            assert!(!shapes.items(&broken, &mut |_| ()));
        }
        assert!(shapes.items(&[], &mut |_| unreachable!("there is nothing in it")));
    }
}

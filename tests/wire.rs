//! The codec: what is written reads back, lengths that do not fit are noticed, and no bytes make it panic.

use oxtables::kernel::{Batch, OpKind, RulePlace};
use oxtables::model::{TABLES, builtins};
use oxtables::types::{Counters, Family};
use oxtables::wire::consts::*;
use oxtables::wire::msg::{ChainMsg, ErrorMsg, RuleMsg, SetMsg, TableMsg, decode_generation};
use oxtables::wire::{Attrs, DecodeErrorKind, Expr, ExprWriter, Exprs, MessageIter, Verdict, Writer};
use proptest::prelude::*;
use proptest::sample::Index;

fn config() -> ProptestConfig {
    ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() }
}

/// Everything that reads bytes of the kernel.
fn read_all(bytes: &[u8]) {
    for message in MessageIter::new(bytes).map_while(Result::ok) {
        let _ = ErrorMsg::decode(&message);
        if let Ok((_, attrs)) = message.nfgen() {
            read_attributes(attrs);
        }
    }
    read_attributes(bytes);
}

fn read_attributes(attrs: &[u8]) {
    let _ = (TableMsg::decode(attrs), ChainMsg::decode(attrs), SetMsg::decode(attrs), decode_generation(attrs));
    if let Ok(rule) = RuleMsg::decode(attrs) {
        let _ = rule.expressions().count();
    }
    let mut covered = 0;
    for attr in Attrs::new(attrs) {
        match attr {
            Ok(attr) => {
                assert_eq!(attr.at, covered, "attributes lie one behind another");
                covered += (attr.payload.len() + 4).next_multiple_of(4);
            }
            Err(e) => assert_eq!(e.at, covered),
        }
    }
    assert!(Exprs::new(attrs).filter(Result::is_err).count() <= attrs.len());
}

/// A batch with one of every message.
fn every_message() -> Batch {
    let mut b = Batch::new(Family::V6);
    b.add_table(b"filter");
    let chain = &builtins(Family::V6, b"filter").unwrap()[0];
    b.add_base_chain(b"filter", chain, Some(0), Some(Counters { packets: 1, bytes: 2 }), OpKind::ChainUpdate);
    b.add_chain(b"filter", b"user", true);
    b.set_rule_id(4);
    b.rule(b"filter", b"user", RulePlace::First, Some((6, 2)), Some(b"\0\x02a\0"), |x| {
        x.xt_match("comment", 0, |b| b.fixed(b"hi", 256));
        x.log(2, Some(b"p "), None, Some(3));
        x.limit(5, 60, 7);
        x.counter(u64::MAX, 1);
        x.verdict(Verdict::Goto(b"user"));
    });
    b.delete_rule_id(b"filter", b"user", 4);
    b.rename_chain(b"filter", 9, b"other");
    b.flush_chain(b"filter", b"user", OpKind::ChainUserFlush);
    b.flush_table(b"filter");
    b.delete_chain(b"filter", b"user");
    b.delete_table(b"filter");
    b
}

#[test]
fn every_message_is_whole() {
    let batch = every_message();
    assert!(!batch.overflowed());
    let messages: Vec<_> = MessageIter::new(batch.as_bytes()).map(Result::unwrap).collect();
    assert_eq!(messages.len(), batch.len());
    for (i, message) in messages.iter().enumerate() {
        assert_eq!(batch.message(i).as_ref(), Some(message));
        assert_eq!(batch.op_of_seq(message.seq), batch.op(i));
        assert_eq!(message.nfgen().unwrap().0, 10);
    }
    let rule = RuleMsg::decode(messages[3].nfgen().unwrap().1);
    assert_eq!(rule.unwrap_err().kind, DecodeErrorKind::Missing, "a new rule has no handle yet");
    let text = batch.to_string();
    assert_eq!(text.lines().count(), batch.len());
    assert!(
        text.starts_with("TABLE_ADD table filter\nCHAIN_UPDATE chain INPUT\nCHAIN_USER_ADD chain user\n"),
        "{text}"
    );
}

#[test]
fn a_batch_can_be_used_again() {
    let mut batch = every_message();
    let before = batch.as_bytes().to_vec();
    batch.clear();
    assert!(batch.is_empty() && batch.as_bytes().is_empty() && batch.op(0).is_none());
    for table in TABLES {
        batch.add_table(table);
    }
    assert_eq!(batch.len(), 5);
    assert_ne!(batch.as_bytes(), before);
}

#[test]
fn a_length_that_does_not_fit_is_noticed() {
    let long = vec![b'x'; 70_000];
    let overflows = |write: &dyn Fn(&mut Writer)| {
        let mut w = Writer::new();
        write(&mut w);
        w.overflowed()
    };
    assert!(overflows(&|w| w.attr(1, &long)));
    assert!(overflows(&|w| w.text(1, &long)));
    assert!(overflows(&|w| w.text(1, &long[..65_531])));
    assert!(!overflows(&|w| w.text(1, &long[..65_530])));
    assert!(overflows(&|w| {
        let nest = w.nest(1);
        w.attr(1, &long[..60_000]);
        w.attr(1, &long[..60_000]);
        w.close(nest);
    }));
    let mut batch = Batch::new(Family::V4);
    batch.add_table(b"t");
    let mark = batch.mark();
    batch.raw_rule(b"t", b"c", RulePlace::Append, None, None, &long);
    assert!(batch.overflowed() && batch.unlistable().count() == 1);
    batch.undo(mark);
    assert!(!batch.overflowed() && batch.unlistable().count() == 0 && batch.len() == 1);
    batch.raw_rule(b"t", b"c", RulePlace::Append, None, None, &long);
    batch.clear();
    assert!(!batch.overflowed());
}

#[test]
fn an_error_is_read_with_and_without_its_words() {
    let mut w = Writer::new();
    let message = w.begin_raw(NLMSG_ERROR, NLM_F_CAPPED | NLM_F_ACK_TLVS, 7);
    w.raw(&(-16i32).to_ne_bytes());
    let _original = w.begin_raw(2567, 5, 9);
    w.attr(NLMSGERR_ATTR_OFFS, &[1, 0, 0, 0]);
    w.text(NLMSGERR_ATTR_MSG, b"chain is in use");
    w.end(message);
    let read = |bytes: &[u8]| {
        let message = MessageIter::new(bytes).next().unwrap().unwrap();
        ErrorMsg::decode(&message).map(|e| (e.errno, e.seq, e.message.map(<[u8]>::to_vec)))
    };
    assert_eq!(read(w.as_bytes()), Ok((16, 9, Some(b"chain is in use".to_vec()))));
    // Without NLM_F_CAPPED the request stands in full before the words.
    let mut w = Writer::new();
    let message = w.begin_raw(NLMSG_ERROR, NLM_F_ACK_TLVS, 7);
    w.raw(&(-2i32).to_ne_bytes());
    let original = w.begin_raw(2567, 5, 10);
    w.attr(1, b"filter\0");
    w.end(original);
    w.text(NLMSGERR_ATTR_MSG, b"no");
    w.end(message);
    assert_eq!(read(w.as_bytes()), Ok((2, 10, Some(b"no".to_vec()))));
    let mut w = Writer::new();
    let message = w.begin_raw(NLMSG_ERROR, 0, 7);
    w.raw(&i32::MIN.to_ne_bytes());
    w.end(message);
    assert!(read(w.as_bytes()).is_err());
}

#[test]
fn an_expression_of_an_odd_shape_is_kept_as_it_is() {
    let odd = |write: &dyn Fn(&mut Writer)| {
        let mut w = Writer::new();
        let elem = w.nest(NFTA_LIST_ELEM);
        w.text(NFTA_EXPR_NAME, b"meta");
        let data = w.nest(NFTA_EXPR_DATA);
        write(&mut w);
        w.close(data);
        w.close(elem);
        matches!(Exprs::new(w.as_bytes()).next(), Some(Ok(Expr::Other { name: b"meta", .. })))
    };
    let key = |w: &mut Writer| w.u32(NFTA_META_KEY, 3);
    let dreg = |w: &mut Writer| w.u32(NFTA_META_DREG, 1);
    assert!(!odd(&|w| {
        key(w);
        dreg(w);
    }));
    assert!(!odd(&|w| {
        dreg(w);
        key(w);
    }));
    assert!(odd(&|w| {
        key(w);
        dreg(w);
        dreg(w);
    }));
    assert!(odd(&|w| {
        key(w);
        dreg(w);
        w.u32(NFTA_META_SREG, 1);
    }));
    assert!(odd(&|w| {
        key(w);
        dreg(w);
        w.u32(9, 1);
    }));
    assert!(odd(&|w| {
        key(w);
        w.u16(NFTA_META_DREG, 1);
    }));
    assert!(odd(&key));
    assert!(odd(&|w| {
        key(w);
        dreg(w);
        w.raw(&[1, 0]);
    }));
}

/// An expression with everything it takes to write it.
#[derive(Clone, Debug)]
enum Written {
    Meta(u32),
    Payload(u32, u32, u32),
    Cmp(u32, Vec<u8>),
    Mask(Vec<u8>),
    Range(bool, Vec<u8>, u8),
    Immediate(u32, Vec<u8>),
    Verdict(u8, Vec<u8>),
    Counter(u64, u64),
    Limit(u64, u64, u32),
    Log(u16, Option<Vec<u8>>, Option<u32>, Option<u16>),
    Xt(bool, u32, Vec<u8>),
}

fn written() -> impl Strategy<Value = Written> {
    let data = |max| prop::collection::vec(any::<u8>(), 1..max);
    let name = || prop::collection::vec(1u8.., 1..40);
    prop_oneof![
        any::<u32>().prop_map(Written::Meta),
        any::<(u32, u32, u32)>().prop_map(|(a, b, c)| Written::Payload(a, b, c)),
        (any::<u32>(), data(17)).prop_map(|(a, b)| Written::Cmp(a, b)),
        data(17).prop_map(Written::Mask),
        (any::<bool>(), data(17), any::<u8>()).prop_map(|(a, b, c)| Written::Range(a, b, c)),
        (1u32.., data(17)).prop_map(|(a, b)| Written::Immediate(a, b)),
        (0u8..5, name()).prop_map(|(a, b)| Written::Verdict(a, b)),
        any::<(u64, u64)>().prop_map(|(a, b)| Written::Counter(a, b)),
        any::<(u64, u64, u32)>().prop_map(|(a, b, c)| Written::Limit(a, b, c)),
        (any::<u16>(), prop::option::of(name()), any::<Option<u32>>(), any::<Option<u16>>())
            .prop_map(|(a, b, c, d)| Written::Log(a, b, c, d)),
        (any::<bool>(), any::<u32>(), data(300)).prop_map(|(a, b, c)| Written::Xt(a, b, c)),
    ]
}

impl Written {
    fn verdict(kind: u8, chain: &[u8]) -> Verdict<'_> {
        match kind {
            0 => Verdict::Accept,
            1 => Verdict::Drop,
            2 => Verdict::Return,
            3 => Verdict::Jump(chain),
            _ => Verdict::Goto(chain),
        }
    }

    fn write(&self, x: &mut ExprWriter<'_>) {
        match self {
            Self::Meta(key) => x.meta(*key),
            Self::Payload(base, offset, len) => x.payload(*base, *offset, *len),
            Self::Cmp(op, data) => x.cmp(*op, data),
            Self::Mask(mask) => x.mask(mask),
            Self::Range(not, from, to) => x.range(*not, from, &vec![*to; from.len()]),
            Self::Immediate(reg, data) => x.immediate(*reg, data),
            Self::Verdict(kind, chain) => x.verdict(Self::verdict(*kind, chain)),
            Self::Counter(packets, bytes) => x.counter(*packets, *bytes),
            Self::Limit(rate, unit, burst) => x.limit(*rate, *unit, *burst),
            Self::Log(group, prefix, size, threshold) => x.log(*group, prefix.as_deref(), *size, *threshold),
            Self::Xt(false, revision, info) => x.xt_match("m", *revision, |b| b.bytes(info)),
            Self::Xt(true, revision, info) => x.xt_target("t", *revision, |b| b.bytes(info)),
        }
    }

    fn is(&self, expr: &Expr<'_>) -> bool {
        let padded = |info: &[u8], wire: &[u8]| {
            wire.len() == info.len().next_multiple_of(8)
                && wire.starts_with(info)
                && wire[info.len()..].iter().all(|b| *b == 0)
        };
        match (self, expr) {
            (Self::Xt(false, revision, info), Expr::Match { name: b"m", revision: r, info: i })
            | (Self::Xt(true, revision, info), Expr::Target { name: b"t", revision: r, info: i }) => {
                revision == r && padded(info, i)
            }
            (Self::Meta(key), e) => *e == Expr::Meta { key: *key, dreg: 1 },
            (Self::Payload(base, offset, len), e) => {
                *e == Expr::Payload { base: *base, offset: *offset, len: *len, dreg: 1 }
            }
            (Self::Cmp(op, data), e) => *e == Expr::Cmp { op: *op, sreg: 1, data },
            (Self::Mask(mask), e) => {
                let (len, xor) = (mask.len() as u32, vec![0; mask.len()]);
                *e == Expr::Bitwise { sreg: 1, dreg: 1, len, mask, xor: &xor }
            }
            (Self::Range(not, from, to), e) => {
                *e == Expr::Range { op: u32::from(*not), sreg: 1, from, to: &vec![*to; from.len()] }
            }
            (Self::Immediate(reg, data), e) => *e == Expr::Immediate { dreg: *reg, data },
            (Self::Verdict(kind, chain), e) => *e == Expr::Verdict(Self::verdict(*kind, chain)),
            (Self::Counter(packets, bytes), e) => *e == Expr::Counter { packets: *packets, bytes: *bytes },
            (Self::Limit(rate, unit, burst), e) => {
                *e == Expr::Limit { rate: *rate, unit: *unit, burst: *burst, ty: 0, flags: 0 }
            }
            (Self::Log(group, prefix, snaplen, qthreshold), e) => {
                let (group, prefix, snaplen, qthreshold) = (Some(*group), prefix.as_deref(), *snaplen, *qthreshold);
                *e == Expr::Log { group, prefix, snaplen, qthreshold, level: None, flags: None }
            }
            _ => false,
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_is_written_reads_back(exprs in prop::collection::vec(written(), 0..20)) {
        let mut w = Writer::new();
        exprs.iter().for_each(|e| e.write(&mut ExprWriter::new(&mut w)));
        prop_assert!(!w.overflowed() && w.len().is_multiple_of(4));
        let read: Vec<_> = Exprs::new(w.as_bytes()).collect::<Result<_, _>>().unwrap();
        prop_assert_eq!(read.len(), exprs.len());
        for (read, written) in read.iter().zip(&exprs) {
            prop_assert!(written.is(read), "{:?} read as {:?}", written, read);
        }
    }

    #[test]
    fn random_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        read_all(&bytes);
    }

    #[test]
    fn damaged_messages_do_not_panic(
        damage in prop::collection::vec((any::<Index>(), any::<u8>()), 1..6),
        cut in any::<Index>(),
    ) {
        let mut bytes = every_message().as_bytes().to_vec();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        read_all(&bytes);
        read_all(&bytes[..cut.index(bytes.len())]);
    }
}

//! Netlink messages as the kernel sends them, and the expressions of their rules.
//!
//! Promises: no bytes make a decoder, the description or the reading of a rule panic. A rule that is read is saved as a line that reads
//! back as the same rule, and it is the same rule after the kernel: what is not exactly a rule must be opaque.
//! The input: family, form. Form 0: a datagram. Form 1: the payload of `NFTA_RULE_EXPRESSIONS`. Else: a programme of expressions.

use super::blob::{Any, edit};
use super::{Cursor, check_rule, judge_all, print_all};
use oxtables::compile::describe::describe;
use oxtables::compile::raise::{Raised, Raiser};
use oxtables::types::{Family, Out};
use oxtables::wire::consts::*;
use oxtables::wire::msg::{ChainMsg, ErrorMsg, RuleMsg, SetMsg, TableMsg, decode_generation};
use oxtables::wire::{Attrs, ExprWriter, MessageIter, Verdict, Writer};

/// Runs the body.
pub fn run(data: &[u8]) {
    let mut input = Cursor(data);
    let family = input.family();
    match input.byte() {
        0 => datagram(input.0, family),
        1 => rule(input.0, None, family),
        _ => {
            let mut w = Writer::new();
            let list = w.nest(NFTA_RULE_EXPRESSIONS);
            let userdata = programme(&mut input, family, &mut w);
            w.close(list);
            if w.overflowed() {
                return;
            }
            let list = Attrs::new(w.as_bytes()).next().expect("an attribute").expect("a whole attribute");
            rule(list.payload, userdata.as_deref(), family);
        }
    }
}

fn datagram(data: &[u8], family: Family) {
    for header in MessageIter::new(data) {
        let Ok(header) = header else { return };
        let _ = ErrorMsg::decode(&header);
        let Ok((_, attrs)) = header.nfgen() else { continue };
        let _ = TableMsg::decode(attrs);
        let _ = ChainMsg::decode(attrs);
        let _ = SetMsg::decode(attrs);
        let _ = decode_generation(attrs);
        if let Ok(msg) = RuleMsg::decode(attrs) {
            rule(msg.exprs, msg.userdata, family);
        }
    }
}

fn rule(exprs: &[u8], userdata: Option<&[u8]>, family: Family) {
    let mut out = Out::new();
    describe(family, exprs, userdata, &mut out);
    let Raised::Rule(body, _) = Raiser::new(family).raise(exprs, userdata) else { return };
    print_all(&body, family);
    judge_all(&body, family);
    check_rule(&body, family);
}

const KEYS: [u32; 9] = [
    NFT_META_L4PROTO,
    NFT_META_IIFNAME,
    NFT_META_OIFNAME,
    NFT_META_MARK,
    NFT_META_PKTTYPE,
    NFT_META_LEN,
    NFT_META_SKUID,
    NFT_META_PROTOCOL,
    NFT_META_CPU,
];
const OPS: [u32; 6] = [NFT_CMP_EQ, NFT_CMP_NEQ, NFT_CMP_LT, NFT_CMP_LTE, NFT_CMP_GT, NFT_CMP_GTE];
const BASES: [u32; 3] = [NFT_PAYLOAD_LL_HEADER, NFT_PAYLOAD_NETWORK_HEADER, NFT_PAYLOAD_TRANSPORT_HEADER];
const PLACES: [(u32, u32); 14] = [
    (0, 1),
    (0, 2),
    (2, 2),
    (0, 4),
    (6, 2),
    (8, 1),
    (9, 1),
    (12, 4),
    (16, 4),
    (12, 8),
    (8, 16),
    (24, 16),
    (13, 1),
    (2, 1),
];

/// Writes expressions as the input says; returns the userdata if it has some.
fn programme(input: &mut Cursor<'_>, family: Family, w: &mut Writer) -> Option<Vec<u8>> {
    let mut userdata = None;
    for _ in 0..24 {
        if input.0.is_empty() {
            break;
        }
        let mut x = ExprWriter::new(w);
        match input.byte() % 18 {
            0 => x.meta(input.pick(&KEYS)),
            1 => x.meta(u32::from(input.byte())),
            2 => {
                let (base, (offset, len)) = (input.pick(&BASES), input.pick(&PLACES));
                x.payload(base, offset, len);
            }
            3 => x.payload(u32::from(input.byte()), u32::from(input.byte()), u32::from(input.byte())),
            4 => {
                let op = input.pick(&OPS);
                let len = input.pick(&[1, 2, 4, 16, 3, 8]);
                x.cmp(op, input.bytes(len));
            }
            5 => x.cmp(input.u32(), input.chunk()),
            6 => {
                let len = input.pick(&[1, 2, 4, 16, 3, 8]);
                x.mask(input.bytes(len));
            }
            7 => {
                let len = input.pick(&[1, 2, 4, 16]);
                x.range(input.byte() & 1 == 1, input.bytes(len), input.bytes(len));
            }
            8 => x.counter(u64::from(input.u32()), u64::from(input.u32())),
            9 => x.limit(u64::from(input.u32()), u64::from(input.u32()), input.u32()),
            10 => x.limit(u64::from(input.byte()), input.pick(&[1, 60, 3600, 86400]), u32::from(input.byte())),
            11 => log(input, &mut x),
            12 => verdict(input, &mut x),
            13 => x.immediate(u32::from(input.byte()), input.chunk()),
            14 => x.meta_set(input.pick(&KEYS), u32::from(input.byte())),
            15 => {
                x.meta(NFT_META_L4PROTO);
                x.cmp_eq(input.byte() & 1 == 1, &[input.pick(&[6, 17, 1, 58, 132, 136])]);
            }
            16 => userdata = Some(comment(input)),
            _ => compat(input, family, &mut x),
        }
    }
    userdata
}

fn log(input: &mut Cursor<'_>, x: &mut ExprWriter<'_>) {
    let some = input.byte();
    let prefix = (some & 1 != 0).then(|| input.chunk());
    let snaplen = (some & 2 != 0).then(|| input.u32());
    let qthreshold = (some & 4 != 0).then(|| u16::from(input.byte()));
    x.log(u16::from(input.byte()), prefix, snaplen, qthreshold);
}

fn verdict(input: &mut Cursor<'_>, x: &mut ExprWriter<'_>) {
    x.verdict(match input.byte() % 8 {
        0 => Verdict::Accept,
        1 => Verdict::Drop,
        2 => Verdict::Return,
        3 => Verdict::Continue,
        4 => Verdict::Jump(input.chunk()),
        5 => Verdict::Goto(input.chunk()),
        6 => Verdict::Jump(b"CHAIN2"),
        _ => Verdict::Other(input.u32().cast_signed()),
    });
}

/// Userdata: raw bytes, or a comment with its type, its length and its NUL.
fn comment(input: &mut Cursor<'_>) -> Vec<u8> {
    let raw = input.byte() & 3 == 0;
    let text = input.chunk();
    let Ok(len) = u8::try_from(text.len() + 1) else { return text.to_vec() };
    if raw { text.to_vec() } else { [&[0, len], text, &[0]].concat() }
}

/// An xt match or target: one of ours with bytes changed, at times under another name or revision.
fn compat(input: &mut Cursor<'_>, family: Family, x: &mut ExprWriter<'_>) {
    let odd = input.byte();
    let Some(fresh) = Any::pick(input, family) else { return };
    let mut info = fresh.blob(family);
    let edits = usize::from(input.byte() % 16) * 3;
    edit(&mut info, &mut Cursor(input.bytes(edits)));
    let name = if odd == 1 { "unheard-of" } else { fresh.spec().wire };
    let revision = fresh.revision(family) + u32::from(odd == 2);
    match fresh {
        Any::Match(_) => x.xt_match(name, revision, |b| b.bytes(&info)),
        Any::Target(_) => x.xt_target(name, revision, |b| b.bytes(&info)),
    }
}

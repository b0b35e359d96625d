//! nf_tables expressions: borrowed decode of those that iptables' rules are made of, and their encoding.
//!
//! An expression that has another name, an unknown attribute or an odd shape decodes to [`Expr::Other`] with its bytes: it is
//! never skipped and never half read.

use super::consts::*;
use super::reader::{Attr, Attrs, NLA_TYPE_MASK};
use super::set::AnonSet;
use super::writer::{BlobWriter, Writer};
use super::{DecodeError, DecodeErrorKind};

pub mod native;

/// A verdict register value (`enum nft_verdicts`, `linux/netfilter.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// `NF_ACCEPT`.
    Accept,
    /// `NF_DROP`.
    Drop,
    /// `NFT_RETURN`.
    Return,
    /// `NFT_CONTINUE`.
    Continue,
    /// `NFT_JUMP` to a chain.
    Jump(&'a [u8]),
    /// `NFT_GOTO` a chain.
    Goto(&'a [u8]),
    /// Any other code.
    Other(i32),
}

/// One expression of a rule. Registers are as on the wire (`enum nft_registers`); data are the register's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "fields bear the names of their attributes in linux/netfilter/nf_tables.h")]
pub enum Expr<'a> {
    /// `meta` load.
    Meta { key: u32, dreg: u32 },
    /// `meta` set.
    MetaSet { key: u32, sreg: u32 },
    /// `payload` load; offset and length in bytes.
    Payload { base: u32, offset: u32, len: u32, dreg: u32 },
    /// `cmp`.
    Cmp { op: u32, sreg: u32, data: &'a [u8] },
    /// `bitwise`: `dreg = (sreg & mask) ^ xor`.
    Bitwise { sreg: u32, dreg: u32, len: u32, mask: &'a [u8], xor: &'a [u8] },
    /// `range`.
    Range { op: u32, sreg: u32, from: &'a [u8], to: &'a [u8] },
    /// `immediate` data.
    Immediate { dreg: u32, data: &'a [u8] },
    /// `immediate` verdict.
    Verdict(Verdict<'a>),
    /// `counter`.
    Counter { packets: u64, bytes: u64 },
    /// `limit`: `rate` per `unit` seconds.
    Limit { rate: u64, unit: u64, burst: u32, ty: u32, flags: u32 },
    /// `log` to a netlink group.
    Log {
        group: Option<u16>,
        prefix: Option<&'a [u8]>,
        snaplen: Option<u32>,
        qthreshold: Option<u16>,
        level: Option<u32>,
        flags: Option<u32>,
    },
    /// An xt match (`linux/netfilter/nf_tables_compat.h`).
    Match { name: &'a [u8], revision: u32, info: &'a [u8] },
    /// An xt target.
    Target { name: &'a [u8], revision: u32, info: &'a [u8] },
    /// Anything else: its name and the payload of `NFTA_EXPR_DATA`.
    Other { name: &'a [u8], data: &'a [u8] },
}

/// Iterates over the expressions of a rule; a malformed list yields an error and ends.
#[derive(Clone, Copy, Debug)]
pub struct Exprs<'a>(Attrs<'a>);

impl<'a> Exprs<'a> {
    /// The expressions in the payload of `NFTA_RULE_EXPRESSIONS`.
    pub fn new(payload: &'a [u8]) -> Self {
        Self(Attrs::new(payload))
    }
}

impl<'a> Iterator for Exprs<'a> {
    type Item = Result<Expr<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.0.next()?.and_then(|elem| Expr::decode(&elem)))
    }
}

impl<'a> Expr<'a> {
    /// Decodes one `NFTA_LIST_ELEM`.
    pub fn decode(elem: &Attr<'a>) -> Result<Self, DecodeError> {
        let (mut name, mut data) = (&b""[..], &b""[..]);
        let mut rest = elem.payload;
        while !rest.is_empty() {
            match split(rest) {
                Some((NFTA_EXPR_NAME, payload, behind)) => (name, rest) = (text(payload), behind),
                Some((NFTA_EXPR_DATA, payload, behind)) => (data, rest) = (payload, behind),
                _ => {
                    let at = elem.payload.len() - rest.len();
                    return Err(DecodeError { at, what: "expression attribute", kind: DecodeErrorKind::BadValue });
                }
            }
        }
        let known = match name {
            b"meta" => meta(data),
            b"payload" => payload(data),
            b"cmp" => cmp(data),
            b"bitwise" => bitwise(data),
            b"range" => range(data),
            b"immediate" => immediate(data),
            b"counter" => counter(data),
            b"limit" => limit(data),
            b"log" => log(data),
            b"match" => compat(data).map(|(name, revision, info)| Expr::Match { name, revision, info }),
            b"target" => compat(data).map(|(name, revision, info)| Expr::Target { name, revision, info }),
            _ => None,
        };
        match known {
            Some(known) => Ok(known),
            None => Ok(Expr::Other { name, data }),
        }
    }
}

// Rules are read by the hundred thousand and nearly all of the time goes into the attributes of expressions, so these are taken apart here by
// plain slices; `Attrs`, which says where and what an error is, takes about twice as long.

/// The first attribute of a run: type without flags, payload, what is behind it.
fn split(buf: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let [l0, l1, t0, t1, ..] = *buf else { return None };
    let len = usize::from(u16::from_ne_bytes([l0, l1]));
    let payload = buf.get(4..len)?;
    Some((u16::from_ne_bytes([t0, t1]) & NLA_TYPE_MASK, payload, buf.get((len + 3) & !3..).unwrap_or_default()))
}

/// A string up to its NUL.
fn text(payload: &[u8]) -> &[u8] {
    match payload {
        [text @ .., 0] if !text.contains(&0) => text,
        other => other.split(|b| *b == 0).next().unwrap_or_default(),
    }
}

/// The payloads of an expression's attributes by type; `None` if one is malformed, unknown (over `N - 1`) or there twice.
fn by_type<const N: usize>(mut data: &[u8]) -> Option<[Option<&[u8]>; N]> {
    let mut found = [None; N];
    while !data.is_empty() {
        let (ty, payload, rest) = split(data)?;
        let slot = found.get_mut(usize::from(ty))?;
        if slot.replace(payload).is_some() {
            return None;
        }
        data = rest;
    }
    Some(found)
}

fn num(payload: Option<&[u8]>) -> Option<u32> {
    payload?.try_into().ok().map(u32::from_be_bytes)
}

fn long(payload: Option<&[u8]>) -> Option<u64> {
    payload?.try_into().ok().map(u64::from_be_bytes)
}

/// `NFTA_DATA_VALUE` inside an attribute, and nothing else.
fn value(payload: Option<&[u8]>) -> Option<&[u8]> {
    match split(payload?)? {
        (NFTA_DATA_VALUE, value, []) => Some(value),
        _ => None,
    }
}

/// A number of four bytes, if the first attribute is of this type and holds one; and what is behind it. The kernel writes an expression's
/// attributes always in one order, which the decoders below try before they look for them in any.
fn first_num(data: &[u8], ty: u16) -> Option<(u32, &[u8])> {
    let [l0, l1, t0, t1, a, b, c, d, rest @ ..] = data else { return None };
    let is = u16::from_ne_bytes([*l0, *l1]) == 8 && u16::from_ne_bytes([*t0, *t1]) == ty;
    is.then(|| (u32::from_be_bytes([*a, *b, *c, *d]), rest))
}

fn meta_ordered(data: &[u8]) -> Option<Expr<'_>> {
    let (key, data) = first_num(data, NFTA_META_KEY)?;
    let (dreg, rest) = first_num(data, NFTA_META_DREG)?;
    rest.is_empty().then_some(Expr::Meta { key, dreg })
}

fn payload_ordered(data: &[u8]) -> Option<Expr<'_>> {
    let (dreg, data) = first_num(data, NFTA_PAYLOAD_DREG)?;
    let (base, data) = first_num(data, NFTA_PAYLOAD_BASE)?;
    let (offset, data) = first_num(data, NFTA_PAYLOAD_OFFSET)?;
    let (len, rest) = first_num(data, NFTA_PAYLOAD_LEN)?;
    rest.is_empty().then_some(Expr::Payload { base, offset, len, dreg })
}

fn cmp_ordered(data: &[u8]) -> Option<Expr<'_>> {
    let (sreg, data) = first_num(data, NFTA_CMP_SREG)?;
    let (op, data) = first_num(data, NFTA_CMP_OP)?;
    match split(data)? {
        (NFTA_CMP_DATA, data, []) => Some(Expr::Cmp { op, sreg, data: value(Some(data))? }),
        _ => None,
    }
}

fn meta(data: &[u8]) -> Option<Expr<'_>> {
    if let Some(known) = meta_ordered(data) {
        return Some(known);
    }
    let [_, dreg, key, sreg] = by_type(data)?;
    let key = num(key)?;
    match (dreg, sreg) {
        (Some(_), None) => Some(Expr::Meta { key, dreg: num(dreg)? }),
        (None, Some(_)) => Some(Expr::MetaSet { key, sreg: num(sreg)? }),
        _ => None,
    }
}

fn payload(data: &[u8]) -> Option<Expr<'_>> {
    if let Some(known) = payload_ordered(data) {
        return Some(known);
    }
    let [_, dreg, base, offset, len] = by_type(data)?;
    Some(Expr::Payload { base: num(base)?, offset: num(offset)?, len: num(len)?, dreg: num(dreg)? })
}

fn cmp(data: &[u8]) -> Option<Expr<'_>> {
    if let Some(known) = cmp_ordered(data) {
        return Some(known);
    }
    let [_, sreg, op, data] = by_type(data)?;
    Some(Expr::Cmp { op: num(op)?, sreg: num(sreg)?, data: value(data)? })
}

fn bitwise(data: &[u8]) -> Option<Expr<'_>> {
    let [_, sreg, dreg, len, mask, xor, op] = by_type(data)?;
    if op.is_some() && num(op)? != NFT_BITWISE_MASK_XOR {
        return None;
    }
    let (len, mask, xor) = (num(len)?, value(mask)?, value(xor)?);
    let fits = mask.len() == xor.len() && u32::try_from(mask.len()) == Ok(len);
    fits.then_some(Expr::Bitwise { sreg: num(sreg)?, dreg: num(dreg)?, len, mask, xor })
}

fn range(data: &[u8]) -> Option<Expr<'_>> {
    let [_, sreg, op, from, to] = by_type(data)?;
    let (from, to) = (value(from)?, value(to)?);
    (from.len() == to.len()).then_some(Expr::Range { op: num(op)?, sreg: num(sreg)?, from, to })
}

fn immediate(data: &[u8]) -> Option<Expr<'_>> {
    let [_, dreg, data] = by_type(data)?;
    let dreg = num(dreg)?;
    match (split(data?)?, dreg) {
        ((NFTA_DATA_VALUE, data, []), _) => Some(Expr::Immediate { dreg, data }),
        ((NFTA_DATA_VERDICT, data, []), NFT_REG_VERDICT) => verdict(data).map(Expr::Verdict),
        _ => None,
    }
}

fn verdict(data: &[u8]) -> Option<Verdict<'_>> {
    let [_, code, chain] = by_type(data)?;
    Some(match (num(code)?.cast_signed(), chain.map(text)) {
        (NF_ACCEPT, None) => Verdict::Accept,
        (NF_DROP, None) => Verdict::Drop,
        (NFT_RETURN, None) => Verdict::Return,
        (NFT_CONTINUE, None) => Verdict::Continue,
        (NFT_JUMP, Some(chain)) => Verdict::Jump(chain),
        (NFT_GOTO, Some(chain)) => Verdict::Goto(chain),
        (other, None) => Verdict::Other(other),
        _ => return None,
    })
}

fn counter(data: &[u8]) -> Option<Expr<'_>> {
    let [_, bytes, packets, _pad] = by_type(data)?;
    let or_zero = |payload: Option<&[u8]>| if payload.is_some() { long(payload) } else { Some(0) };
    Some(Expr::Counter { packets: or_zero(packets)?, bytes: or_zero(bytes)? })
}

fn limit(data: &[u8]) -> Option<Expr<'_>> {
    let [_, rate, unit, burst, ty, flags, _pad] = by_type(data)?;
    let or_zero = |payload: Option<&[u8]>| if payload.is_some() { num(payload) } else { Some(0) };
    Some(Expr::Limit {
        rate: long(rate)?,
        unit: long(unit)?,
        burst: or_zero(burst)?,
        ty: or_zero(ty)?,
        flags: or_zero(flags)?,
    })
}

fn log(data: &[u8]) -> Option<Expr<'_>> {
    let [_, group, prefix, snaplen, qthreshold, level, flags] = by_type(data)?;
    // An attribute of a wrong length is not this shape.
    let whole = |p: Option<&[u8]>| if p.is_some() { num(p).map(Some) } else { Some(None) };
    let half = |p: Option<&[u8]>| match p {
        Some(p) => p.try_into().ok().map(|b| Some(u16::from_be_bytes(b))),
        None => Some(None),
    };
    Some(Expr::Log {
        group: half(group)?,
        prefix: prefix.map(text),
        snaplen: whole(snaplen)?,
        qthreshold: half(qthreshold)?,
        level: whole(level)?,
        flags: whole(flags)?,
    })
}

fn compat(data: &[u8]) -> Option<(&[u8], u32, &[u8])> {
    let [_, name, revision, info] = by_type(data)?;
    Some((text(name?), num(revision)?, info?))
}

/// Writes the expressions of one rule; each method is one expression. Everything is loaded into `NFT_REG_1`, as stock does, unless
/// [`ExprWriter::at`] names another register for the next expression. What only the native encoding needs is in [`native`].
#[derive(Debug)]
pub struct ExprWriter<'w> {
    w: &'w mut Writer,
    /// The register of the next expression.
    reg: u32,
    /// The id in the batch of the first set; the others follow it.
    first_set: u32,
    sets: Vec<AnonSet>,
    /// How many xt expressions were written.
    xt: u32,
}

impl<'w> ExprWriter<'w> {
    /// Writes into `writer`, inside an open `NFTA_RULE_EXPRESSIONS`.
    pub fn new(writer: &'w mut Writer) -> Self {
        Self::with_set_ids(writer, 1)
    }

    /// The same, where sets that the rule looks into get ids from `first_set` on.
    pub fn with_set_ids(writer: &'w mut Writer, first_set: u32) -> Self {
        Self { w: writer, reg: NFT_REG_1, first_set, sets: Vec::new(), xt: 0 }
    }

    /// The register that the next expression loads into, changes or compares: `NFT_REG_*` or `NFT_REG32_*`.
    pub fn at(&mut self, reg: u32) -> &mut Self {
        self.reg = register(reg);
        self
    }

    fn expr(&mut self, name: &str, f: impl FnOnce(&mut Writer, u32)) {
        let reg = std::mem::replace(&mut self.reg, NFT_REG_1);
        let elem = self.w.nest(NFTA_LIST_ELEM);
        self.w.text(NFTA_EXPR_NAME, name.as_bytes());
        let data = self.w.nest(NFTA_EXPR_DATA);
        f(self.w, reg);
        self.w.close(data);
        self.w.close(elem);
    }

    /// `meta load key => reg 1`.
    pub fn meta(&mut self, key: u32) {
        self.expr("meta", |w, reg| {
            w.u32(NFTA_META_KEY, key);
            w.u32(NFTA_META_DREG, reg);
        });
    }

    /// `meta set key with reg`.
    pub fn meta_set(&mut self, key: u32, sreg: u32) {
        self.expr("meta", |w, _| {
            w.u32(NFTA_META_KEY, key);
            w.u32(NFTA_META_SREG, sreg);
        });
    }

    /// `payload load len bytes @ base + offset => reg 1`.
    pub fn payload(&mut self, base: u32, offset: u32, len: u32) {
        self.expr("payload", |w, reg| {
            w.u32(NFTA_PAYLOAD_DREG, reg);
            w.u32(NFTA_PAYLOAD_BASE, base);
            w.u32(NFTA_PAYLOAD_OFFSET, offset);
            w.u32(NFTA_PAYLOAD_LEN, len);
        });
    }

    /// `cmp op reg 1 data`; `op` is `NFT_CMP_*`.
    pub fn cmp(&mut self, op: u32, data: &[u8]) {
        self.expr("cmp", |w, reg| {
            w.u32(NFTA_CMP_SREG, reg);
            w.u32(NFTA_CMP_OP, op);
            write_value(w, NFTA_CMP_DATA, data);
        });
    }

    /// `cmp eq` or, negated, `cmp neq`.
    pub fn cmp_eq(&mut self, negated: bool, data: &[u8]) {
        self.cmp(if negated { NFT_CMP_NEQ } else { NFT_CMP_EQ }, data);
    }

    /// `bitwise reg 1 = reg 1 & mask`; the mask is as long as the loaded value.
    pub fn mask(&mut self, mask: &[u8]) {
        const ZEROS: [u8; 16] = [0; 16];
        let zeros = ZEROS.get(..mask.len()).unwrap_or(&ZEROS);
        self.expr("bitwise", |w, reg| {
            w.u32(NFTA_BITWISE_SREG, reg);
            w.u32(NFTA_BITWISE_DREG, reg);
            w.u32(NFTA_BITWISE_LEN, mask.len().min(16) as u32);
            write_value(w, NFTA_BITWISE_MASK, mask);
            write_value(w, NFTA_BITWISE_XOR, zeros);
        });
    }

    /// `range eq|neq reg 1 from to`.
    pub fn range(&mut self, negated: bool, from: &[u8], to: &[u8]) {
        self.expr("range", |w, reg| {
            w.u32(NFTA_RANGE_SREG, reg);
            w.u32(NFTA_RANGE_OP, if negated { NFT_RANGE_NEQ } else { NFT_RANGE_EQ });
            write_value(w, NFTA_RANGE_FROM_DATA, from);
            write_value(w, NFTA_RANGE_TO_DATA, to);
        });
    }

    /// `immediate reg = data`.
    pub fn immediate(&mut self, dreg: u32, data: &[u8]) {
        self.expr("immediate", |w, _| {
            w.u32(NFTA_IMMEDIATE_DREG, dreg);
            write_value(w, NFTA_IMMEDIATE_DATA, data);
        });
    }

    /// `immediate verdict`.
    pub fn verdict(&mut self, verdict: Verdict<'_>) {
        let (code, chain) = match verdict {
            Verdict::Accept => (NF_ACCEPT, None),
            Verdict::Drop => (NF_DROP, None),
            Verdict::Return => (NFT_RETURN, None),
            Verdict::Continue => (NFT_CONTINUE, None),
            Verdict::Jump(chain) => (NFT_JUMP, Some(chain)),
            Verdict::Goto(chain) => (NFT_GOTO, Some(chain)),
            Verdict::Other(code) => (code, None),
        };
        self.expr("immediate", |w, _| {
            w.u32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
            let data = w.nest(NFTA_IMMEDIATE_DATA);
            let verdict = w.nest(NFTA_DATA_VERDICT);
            w.u32(NFTA_VERDICT_CODE, code.cast_unsigned());
            if let Some(chain) = chain {
                w.text(NFTA_VERDICT_CHAIN, chain);
            }
            w.close(verdict);
            w.close(data);
        });
    }

    /// `counter`.
    pub fn counter(&mut self, packets: u64, bytes: u64) {
        self.expr("counter", |w, _| {
            w.u64(NFTA_COUNTER_BYTES, bytes);
            w.u64(NFTA_COUNTER_PACKETS, packets);
        });
    }

    /// `limit rate/unit burst n`, in packets; `unit` in seconds.
    pub fn limit(&mut self, rate: u64, unit: u64, burst: u32) {
        self.expr("limit", |w, _| {
            w.u64(NFTA_LIMIT_RATE, rate);
            w.u64(NFTA_LIMIT_UNIT, unit);
            w.u32(NFTA_LIMIT_BURST, burst);
            w.u32(NFTA_LIMIT_TYPE, NFT_LIMIT_PKTS);
            w.u32(NFTA_LIMIT_FLAGS, 0);
        });
    }

    /// `log` to an nfnetlink group; `snaplen` in bytes, `qthreshold` in packets.
    pub fn log(&mut self, group: u16, prefix: Option<&[u8]>, snaplen: Option<u32>, qthreshold: Option<u16>) {
        self.expr("log", |w, _| {
            if let Some(prefix) = prefix {
                w.text(NFTA_LOG_PREFIX, prefix);
            }
            w.u16(NFTA_LOG_GROUP, group);
            if let Some(snaplen) = snaplen {
                w.u32(NFTA_LOG_SNAPLEN, snaplen);
            }
            if let Some(qthreshold) = qthreshold {
                w.u16(NFTA_LOG_QTHRESHOLD, qthreshold);
            }
        });
    }

    /// An xt match whose struct `fill` writes; it is padded to a multiple of 8 bytes.
    pub fn xt_match(&mut self, name: &str, revision: u32, fill: impl FnOnce(&mut BlobWriter<'_>)) {
        self.compat("match", [NFTA_MATCH_NAME, NFTA_MATCH_REV, NFTA_MATCH_INFO], name, revision, fill);
    }

    /// An xt target, likewise.
    pub fn xt_target(&mut self, name: &str, revision: u32, fill: impl FnOnce(&mut BlobWriter<'_>)) {
        self.compat("target", [NFTA_TARGET_NAME, NFTA_TARGET_REV, NFTA_TARGET_INFO], name, revision, fill);
    }

    fn compat(&mut self, kind: &str, attrs: [u16; 3], name: &str, rev: u32, fill: impl FnOnce(&mut BlobWriter<'_>)) {
        let [name_attr, rev_attr, info_attr] = attrs;
        self.xt += 1;
        self.expr(kind, |w, _| {
            w.text(name_attr, name.as_bytes());
            w.u32(rev_attr, rev);
            let info = w.open(info_attr);
            let mut blob = w.blob();
            fill(&mut blob);
            blob.align(8);
            w.close(info);
        });
    }
}

/// A register by the number under which the kernel shows it: the first word of each long one bears the number of that.
fn register(reg: u32) -> u32 {
    match reg {
        NFT_REG32_00 => NFT_REG_1,
        NFT_REG32_04 => NFT_REG_2,
        NFT_REG32_08 => NFT_REG_3,
        NFT_REG32_12 => NFT_REG_4,
        other => other,
    }
}

fn write_value(w: &mut Writer, ty: u16, data: &[u8]) {
    let nest = w.nest(ty);
    w.attr(NFTA_DATA_VALUE, data);
    w.close(nest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_written_expression_reads_back() {
        let mut w = Writer::new();
        let list = w.nest(NFTA_RULE_EXPRESSIONS);
        let mut x = ExprWriter::new(&mut w);
        x.meta(NFT_META_L4PROTO);
        x.cmp_eq(true, &[6]);
        x.payload(NFT_PAYLOAD_NETWORK_HEADER, 12, 4);
        x.mask(&[255, 0, 255, 0]);
        x.range(false, &[0, 1], &[0, 9]);
        x.counter(3, 4);
        x.limit(5, 60, 7);
        x.log(2, Some(b"p "), Some(64), None);
        x.xt_match("comment", 0, |b| b.fixed(b"hello", 256));
        x.xt_target("MARK", 2, |b| b.u32(1));
        x.verdict(Verdict::Jump(b"foo"));
        w.close(list);
        assert!(!w.overflowed());
        let list = Attrs::new(w.as_bytes()).next().unwrap().unwrap();
        let got: Vec<_> = Exprs::new(list.payload).map(Result::unwrap).collect();
        assert_eq!(got[1], Expr::Cmp { op: NFT_CMP_NEQ, sreg: NFT_REG_1, data: &[6] });
        assert_eq!(got[5], Expr::Counter { packets: 3, bytes: 4 });
        assert!(matches!(got[8], Expr::Match { name: b"comment", revision: 0, info } if info.len() == 256));
        assert!(matches!(got[9], Expr::Target { name: b"MARK", revision: 2, info } if info.len() == 8));
        assert_eq!(got[10], Expr::Verdict(Verdict::Jump(b"foo")));
        assert!(!got.iter().any(|e| matches!(e, Expr::Other { .. })));
    }
}

//! Expressions as one line of readable text, for rules that iptables cannot say.
//!
//! Registers are followed, so that a load and its test read as nft would write them (`ip saddr 10.0.0.0/8`, `ct state new`,
//! `ip saddr @blocked`). What is not known is written by name and attributes in hex (`[ name: 1=00000001 … ]`); nothing is left out, and the
//! line has no control characters. It is for people: it is not read back.

mod names;
mod values;

use crate::types::{Family, Out};
use crate::wire::consts::*;
use crate::wire::{Attr, Attrs, Expr, Exprs, Verdict};
use names::{Kind, Named};
use values::{hex, hex_text, mask_text, network, value, value_text};

/// Appends a description of the payload of `NFTA_RULE_EXPRESSIONS` and, in hex, of `NFTA_RULE_USERDATA`.
pub fn describe(family: Family, exprs: &[u8], userdata: Option<&[u8]>, out: &mut Out) {
    let mut d = Describer { family, out, first: true, registers: Vec::new(), protocol: None };
    for expr in Exprs::new(exprs) {
        match expr {
            Ok(expr) => d.expression(&expr),
            Err(_) => d.word().str("[ malformed ]"),
        }
    }
    d.leftovers(|_| true);
    if let Some(userdata) = userdata {
        let comment = super::raise::comment_of(userdata);
        if let Some(text) = comment {
            write!(d.word(), "comment \"{}\"", text.escape_ascii());
        }
        // Type, length and NUL beside the text: then the comment was all.
        if comment.is_none_or(|text| text.len() + 3 != userdata.len()) {
            let out = d.word();
            out.str("userdata 0x");
            hex(userdata, out);
        }
    }
}

/// What a register holds.
#[derive(Clone, Debug)]
struct Register {
    /// First 32-bit slot.
    slot: u32,
    /// Length in bytes.
    len: u32,
    /// What was loaded, in words.
    text: Vec<u8>,
    kind: Kind,
    /// `&` this.
    mask: Option<Vec<u8>>,
    /// The bytes, if they are a constant.
    value: Option<Vec<u8>>,
    /// Whether something has looked at it.
    read: bool,
}

struct Describer<'o> {
    family: Family,
    out: &'o mut Out,
    first: bool,
    registers: Vec<Register>,
    /// The transport protocol that the rule has tested.
    protocol: Option<u8>,
}

/// The first 32-bit slot of a register; `NFT_REG_1` is the same storage as `NFT_REG32_00`.
fn slot_of(reg: u32) -> u32 {
    match reg {
        NFT_REG_1..=NFT_REG_4 => (reg - 1) * 4,
        other => other.wrapping_sub(NFT_REG32_00),
    }
}

impl<'o> Describer<'o> {
    /// The text, with a blank behind what stands there.
    fn word(&mut self) -> &mut Out {
        if !std::mem::take(&mut self.first) {
            self.out.byte(b' ');
        }
        self.out
    }

    /// A word that is all there is to say.
    fn say(&mut self, word: &str) -> Option<()> {
        self.word().str(word);
        Some(())
    }

    fn expression(&mut self, expr: &Expr<'_>) {
        match *expr {
            Expr::Meta { key, dreg } => match names::meta(key) {
                Some((name, len, kind)) => self.load(dreg, len, kind, name.into()),
                None => self.load(dreg, 4, Kind::Hex, format!("meta key {key}").into()),
            },
            Expr::Payload { base, offset, len, dreg } => {
                match names::field(self.family, self.protocol, base, offset, len) {
                    Some((name, len, kind)) => self.load(dreg, len, kind, name.into()),
                    None => {
                        let (base, bits) = (names::base(base), u64::from(offset) * 8);
                        self.load(dreg, len, Kind::Hex, format!("@{base},{bits},{}", u64::from(len) * 8).into());
                    }
                }
            }
            Expr::Immediate { dreg, data } => {
                let len = u32::try_from(data.len()).unwrap_or(u32::MAX);
                self.load(dreg, len, Kind::Hex, hex_text(data));
                if let Some(register) = self.find(dreg) {
                    register.value = Some(data.to_vec());
                }
            }
            Expr::Bitwise { sreg, dreg, len, mask, xor } => self.bitwise(sreg, dreg, len, mask, xor),
            Expr::Cmp { op, sreg, data } => self.compare(op, sreg, data),
            Expr::Range { op, sreg, from, to } => {
                let (text, kind) = self.take(sreg);
                let out = self.word();
                out.bytes(&text);
                out.str(if op == NFT_RANGE_EQ { " " } else { " != " });
                value(kind, from, out);
                out.byte(b'-');
                value(kind, to, out);
            }
            Expr::MetaSet { key, sreg } => {
                let (name, kind) = names::meta(key).map_or(("meta", Kind::Hex), |(name, _, kind)| (name, kind));
                let text = self.constant(sreg, kind);
                let out = self.word();
                write!(out, "{name} set ");
                out.bytes(&text);
            }
            Expr::Other { name, data } => self.other(name, data),
            ref known => plain(known, self.word()),
        }
    }

    fn load(&mut self, reg: u32, len: u32, kind: Kind, text: Vec<u8>) {
        let slot = slot_of(reg);
        let words = |len: u32| len.div_ceil(4).max(1);
        self.leftovers(|r| r.slot < slot.saturating_add(words(len)) && slot < r.slot.saturating_add(words(r.len)));
        self.registers.push(Register { slot, len, text, kind, mask: None, value: None, read: false });
    }

    /// Forgets the registers that `gone` picks, and writes those that nothing has looked at.
    fn leftovers(&mut self, gone: impl Fn(&Register) -> bool) {
        let (old, kept) = std::mem::take(&mut self.registers).into_iter().partition(gone);
        self.registers = kept;
        for register in old {
            let register: Register = register;
            if !register.read {
                self.word().bytes(&register.words());
            }
        }
    }

    fn find(&mut self, reg: u32) -> Option<&mut Register> {
        let slot = slot_of(reg);
        self.registers.iter_mut().find(|r| r.slot == slot)
    }

    /// The words for a register that is now looked at, and the kind of its value.
    fn take(&mut self, reg: u32) -> (Vec<u8>, Kind) {
        match self.find(reg) {
            Some(register) => {
                register.read = true;
                (register.words(), register.kind)
            }
            None => (format!("reg {reg}").into(), Kind::Hex),
        }
    }

    /// A register's constant in the form of `kind`, or the words for what it holds.
    fn constant(&mut self, reg: u32, kind: Kind) -> Vec<u8> {
        let text = self.take(reg).0;
        match self.find(reg).and_then(|r| r.value.clone()) {
            Some(bytes) => value_text(kind, &bytes),
            None => text,
        }
    }

    /// The words for a key that lies in registers from `reg` on: everything that was loaded there without a gap.
    fn key(&mut self, reg: u32) -> Vec<u8> {
        let mut slot = slot_of(reg);
        let mut parts = Vec::new();
        while let Some(register) = self.registers.iter_mut().find(|r| r.slot == slot && (!r.read || parts.is_empty())) {
            register.read = true;
            parts.push(register.words());
            slot = slot.saturating_add(register.len.div_ceil(4).max(1));
        }
        if parts.is_empty() { format!("reg {reg}").into() } else { parts.join(&b" . "[..]) }
    }

    fn bitwise(&mut self, sreg: u32, dreg: u32, len: u32, mask: &[u8], xor: &[u8]) {
        let source = self.find(sreg).map(|r| {
            r.read = true;
            r.clone()
        });
        let Some(source) = source.filter(|s| s.mask.is_none() && s.value.is_none()) else {
            let text = self.take(sreg).0;
            return self.load(
                dreg,
                len,
                Kind::Hex,
                [b"(", &text[..], b") & ", &hex_text(mask), b" ^ ", &hex_text(xor)].concat(),
            );
        };
        let plain = xor.iter().all(|b| *b == 0);
        let text = if plain { source.text } else { [&source.words()[..], b" ^ ", &hex_text(xor)].concat() };
        let kind = if plain { source.kind } else { Kind::Hex };
        self.load(dreg, len, kind, text);
        if let Some(register) = self.find(dreg) {
            register.mask = Some(mask.to_vec());
        }
    }

    fn compare(&mut self, op: u32, sreg: u32, data: &[u8]) {
        let register = self.find(sreg).map(|r| {
            r.read = true;
            r.clone()
        });
        let Some(r) = register else {
            let out = self.word();
            write!(out, "reg {sreg} {}", names::cmp(op));
            return value(Kind::Hex, data, out);
        };
        if let (Kind::Proto, NFT_CMP_EQ, [protocol], None) = (r.kind, op, data, &r.mask) {
            self.protocol = Some(*protocol);
        }
        let zero = data.iter().all(|b| *b == 0);
        let out = self.word();
        match (&r.mask, r.kind) {
            (Some(mask), Kind::CtState) if op == NFT_CMP_NEQ && zero => {
                out.bytes(&r.text);
                out.byte(b' ');
                value(Kind::CtState, mask, out);
            }
            (Some(mask), Kind::Addr) if matches!(op, NFT_CMP_EQ | NFT_CMP_NEQ) => {
                out.bytes(&r.text);
                write!(out, " {}", names::cmp(op));
                network(data, mask, r.address_len(), out);
            }
            (None, Kind::Addr) if data.len() < r.address_len() => {
                out.bytes(&r.text);
                write!(out, " {}", names::cmp(op));
                network(data, &vec![0xff; data.len()], r.address_len(), out);
            }
            _ => {
                out.bytes(&r.words());
                // Behind a mask nft writes the sign that it leaves out elsewhere.
                let sign = if r.mask.is_some() && op == NFT_CMP_EQ { "== " } else { names::cmp(op) };
                write!(out, " {sign}");
                value(r.kind, data, out);
            }
        }
    }

    /// An expression that rules of iptables never have.
    fn other(&mut self, name: &[u8], data: &[u8]) {
        let a = Numbers(data);
        let done = match name {
            b"lookup" => self.lookup(&a),
            b"ct" => self.conntrack(&a),
            b"fib" => self.fib(&a),
            b"rt" => a.load(1, 2).map(|(dreg, key)| self.known(dreg, names::rt(key), "rt key", key)),
            b"socket" => a.load(2, 1).map(|(dreg, key)| self.known(dreg, names::socket(key), "socket key", key)),
            b"numgen" => a.load(1, 2).map(|(dreg, modulus)| {
                let kind = if a.number(3) == Some(1) { "random" } else { "inc" };
                let offset = a.number(4).unwrap_or(0);
                self.load(dreg, 4, Kind::Host, format!("numgen {kind} mod {modulus} offset {offset}").into());
            }),
            b"byteorder" => self.byteorder(&a),
            b"nat" => self.nat(&a),
            b"masq" if data.is_empty() => self.say("masquerade"),
            b"redir" if data.is_empty() => self.say("redirect"),
            b"redir" => self.redirect(&a),
            b"reject" => self.reject(&a),
            b"objref" => self.objref(&a),
            b"notrack" if data.is_empty() => self.say("notrack"),
            _ => None,
        };
        if done.is_none() {
            // It may read and write any register.
            self.leftovers(|_| true);
            dump(name, data, self.word());
        }
    }

    fn known(&mut self, dreg: u32, named: Option<Named>, unknown: &str, key: u32) {
        match named {
            Some((name, len, kind)) => self.load(dreg, len, kind, name.into()),
            None => self.load(dreg, 4, Kind::Hex, format!("{unknown} {key}").into()),
        }
    }

    fn lookup(&mut self, a: &Numbers<'_>) -> Option<()> {
        let set = a.find(NFTA_LOOKUP_SET)?.text();
        let key = self.key(a.number(NFTA_LOOKUP_SREG)?);
        let not: &[u8] = if a.number(NFTA_LOOKUP_FLAGS).unwrap_or(0) & 1 != 0 { b"!= " } else { b"" };
        let set = set.escape_ascii().to_string();
        match a.number(NFTA_LOOKUP_DREG) {
            Some(NFT_REG_VERDICT) => {
                let out = self.word();
                out.bytes(&key);
                write!(out, " vmap @{set}");
            }
            Some(dreg) => self.load(dreg, 4, Kind::Hex, [&key[..], b" map @", set.as_bytes()].concat()),
            None => {
                let out = self.word();
                out.bytes(&key);
                out.byte(b' ');
                out.bytes(not);
                write!(out, "@{set}");
            }
        }
        Some(())
    }

    fn conntrack(&mut self, a: &Numbers<'_>) -> Option<()> {
        let key = a.number(2)?;
        let (name, len, kind) = names::ct(key, self.family)?;
        let direction = match a.find(3).map(|d| d.payload) {
            None => "",
            Some([0]) => "original ",
            Some([1]) => "reply ",
            Some(_) => return None,
        };
        match (a.number(1), a.number(4)) {
            (Some(dreg), None) => self.load(dreg, len, kind, format!("ct {direction}{name}").into()),
            (None, Some(sreg)) => {
                let text = self.constant(sreg, kind);
                let out = self.word();
                write!(out, "ct {direction}{name} set ");
                out.bytes(&text);
            }
            _ => return None,
        }
        Some(())
    }

    fn fib(&mut self, a: &Numbers<'_>) -> Option<()> {
        let (dreg, result) = a.load(1, 2)?;
        let (name, len, kind) = names::fib_result(result)?;
        let flags = a.number(3)?;
        let words: Vec<_> = names::FIB_FLAGS.iter().filter(|(bit, _)| flags & bit != 0).map(|f| f.1).collect();
        self.load(dreg, len, kind, format!("fib {} {name}", words.join(" . ")).into());
        Some(())
    }

    fn byteorder(&mut self, a: &Numbers<'_>) -> Option<()> {
        let (sreg, dreg) = a.load(1, 2)?;
        let (to_network, len) = (a.number(3)? == 1, a.number(4)?);
        let (text, kind) = self.take(sreg);
        let kind = match kind {
            Kind::Host | Kind::HostHex if to_network => Kind::Be,
            Kind::Be if !to_network => Kind::Host,
            _ => Kind::Hex,
        };
        self.load(dreg, len, kind, text);
        Some(())
    }

    fn redirect(&mut self, a: &Numbers<'_>) -> Option<()> {
        let min = a.number(1)?;
        let mut text = self.constant(min, Kind::Be);
        if let Some(max) = a.number(2).filter(|max| *max != min) {
            text.push(b'-');
            text.extend(self.constant(max, Kind::Be));
        }
        let out = self.word();
        out.str("redirect to :");
        out.bytes(&text);
        if let Some(flags) = a.number(3).filter(|f| f & !2 != 0) {
            write!(out, " flags {flags:#x}");
        }
        Some(())
    }

    fn reject(&mut self, a: &Numbers<'_>) -> Option<()> {
        let (ty, code) = (a.number(1)?, a.find(2).and_then(|a| a.u8("").ok()));
        let out = self.word();
        match (ty, code) {
            (0, Some(code)) => write!(out, "reject with icmp code {code}"),
            (1, _) => out.str("reject with tcp reset"),
            (2, Some(code)) => write!(out, "reject with icmpx code {code}"),
            (ty, _) => write!(out, "reject type {ty}"),
        }
        Some(())
    }

    fn nat(&mut self, a: &Numbers<'_>) -> Option<()> {
        let word = match a.number(1)? {
            0 => "snat",
            1 => "dnat",
            _ => return None,
        };
        let mut text = word.as_bytes().to_vec();
        for (sign, from, to, kind) in [(&b" to "[..], 3, 4, Kind::Addr), (b" port ", 5, 6, Kind::Be)] {
            let Some(min) = a.number(from) else { continue };
            text.extend_from_slice(sign);
            text.extend(self.constant(min, kind));
            if let Some(max) = a.number(to).filter(|max| *max != min) {
                text.push(b'-');
                text.extend(self.constant(max, kind));
            }
        }
        let out = self.word();
        out.bytes(&text);
        if let Some(flags) = a.number(7).filter(|f| f & !3 != 0) {
            write!(out, " flags {flags:#x}");
        }
        Some(())
    }

    fn objref(&mut self, a: &Numbers<'_>) -> Option<()> {
        let (ty, name) = (a.number(1)?, a.find(2)?.text());
        let word = match ty {
            1 => "counter",
            2 => "quota",
            3 => "ct helper",
            4 => "limit",
            _ => "object",
        };
        write!(self.word(), "{word} name \"{}\"", name.escape_ascii());
        Some(())
    }
}

impl Register {
    /// Length in bytes of the address that it holds, or holds the beginning of.
    fn address_len(&self) -> usize {
        if self.len > 4 || self.text.windows(3).any(|w| w == b"ip6") { 16 } else { 4 }
    }

    fn words(&self) -> Vec<u8> {
        match &self.mask {
            Some(mask) => [&self.text[..], b" & ", &mask_text(self.kind, mask)].concat(),
            None => self.text.clone(),
        }
    }
}

/// The attributes of an expression, by type.
struct Numbers<'a>(&'a [u8]);

impl<'a> Numbers<'a> {
    fn find(&self, ty: u16) -> Option<Attr<'a>> {
        Attrs::new(self.0).map_while(Result::ok).find(|a| a.ty == ty)
    }

    fn number(&self, ty: u16) -> Option<u32> {
        self.find(ty)?.u32("").ok()
    }

    /// Destination register and key.
    fn load(&self, dreg: u16, key: u16) -> Option<(u32, u32)> {
        Some((self.number(dreg)?, self.number(key)?))
    }
}

/// Expressions that touch no register.
fn plain(expr: &Expr<'_>, out: &mut Out) {
    match *expr {
        Expr::Counter { packets, bytes } => write!(out, "counter packets {packets} bytes {bytes}"),
        Expr::Verdict(verdict) => match verdict {
            Verdict::Accept => out.str("accept"),
            Verdict::Drop => out.str("drop"),
            Verdict::Return => out.str("return"),
            Verdict::Continue => out.str("continue"),
            Verdict::Jump(chain) => write!(out, "jump {}", chain.escape_ascii()),
            Verdict::Goto(chain) => write!(out, "goto {}", chain.escape_ascii()),
            Verdict::Other(code) => write!(out, "verdict {code}"),
        },
        Expr::Limit { rate, unit, burst, ty, flags } => {
            out.str(if flags & 1 != 0 { "limit rate over " } else { "limit rate " });
            write!(out, "{rate}{}", if ty == NFT_LIMIT_PKT_BYTES { " bytes/" } else { "/" });
            match unit {
                1 => out.str("second"),
                60 => out.str("minute"),
                3600 => out.str("hour"),
                86400 => out.str("day"),
                604_800 => out.str("week"),
                other => write!(out, "{other}s"),
            }
            write!(out, " burst {burst}");
        }
        Expr::Log { group, prefix, snaplen, qthreshold, level, flags } => {
            out.str("log");
            if let Some(prefix) = prefix {
                write!(out, " prefix \"{}\"", prefix.escape_ascii());
            }
            let short = |n: Option<u16>| n.map(u32::from);
            for (word, number) in [
                ("group", short(group)),
                ("snaplen", snaplen),
                ("queue-threshold", short(qthreshold)),
                ("level", level),
                ("flags", flags),
            ] {
                if let Some(number) = number {
                    write!(out, " {word} {number}");
                }
            }
        }
        Expr::Match { name, revision, info } | Expr::Target { name, revision, info } => {
            let word = if matches!(expr, Expr::Match { .. }) { "match" } else { "target" };
            write!(out, "xt {word} \"{}\" rev {revision} 0x", name.escape_ascii());
            hex(info, out);
        }
        _ => out.str("[ unknown ]"),
    }
}

/// An expression by name, and its attributes by type in hex.
fn dump(name: &[u8], data: &[u8], out: &mut Out) {
    write!(out, "[ {}", name.escape_ascii());
    for (i, attr) in Attrs::new(data).enumerate() {
        out.byte(if i == 0 { b':' } else { b',' });
        match attr {
            Ok(attr) => {
                write!(out, " {}=", attr.ty);
                hex(attr.payload, out);
            }
            Err(_) => out.str(" malformed"),
        }
    }
    out.str(" ]");
}

#[cfg(test)]
mod tests;

//! Expressions as one line of readable text, for rules that iptables cannot say.
//!
//! What folds into a condition is written as nft would; what does not is written by name and attributes in hex. Nothing is left out.

use crate::types::{Family, Out};
use crate::wire::cond::{Cond, Data, Field, Fold, Item, Test};
use crate::wire::consts::*;
use crate::wire::{Attrs, Expr, Exprs, Verdict};

/// Appends a description of the payload of `NFTA_RULE_EXPRESSIONS`; the userdata is added in hex if it is there.
pub fn describe(_family: Family, exprs: &[u8], userdata: Option<&[u8]>, out: &mut Out) {
    let start = out.len();
    let mut fold = Fold::new();
    let mut text = Out::new();
    for expr in Exprs::new(exprs) {
        match expr {
            Ok(expr) => fold.push(expr, &mut |i| item(&i, &mut text)),
            Err(_) => text.str("[ malformed ] "),
        }
    }
    fold.finish(&mut |i| item(&i, &mut text));
    let words = text.as_bytes();
    out.bytes(words.strip_suffix(b" ").unwrap_or(words));
    if let Some(userdata) = userdata {
        out.str(if out.len() > start { " userdata 0x" } else { "userdata 0x" });
        hex(userdata, out);
    }
}

fn item(item: &Item<'_>, out: &mut Out) {
    match item {
        Item::Cond(c) => cond(c, out),
        Item::MetaSet { key, value } => {
            write!(out, "meta {} set 0x", meta_name(*key));
            hex(value.as_bytes(), out);
        }
        Item::Expr(expr) => expression(expr, out),
    }
    out.byte(b' ');
}

fn cond(c: &Cond, out: &mut Out) {
    match c.field {
        Field::Meta(key) => write!(out, "meta {}", meta_name(key)),
        Field::Payload { base, offset, len } => write!(out, "@{},{offset},{len}", base_name(base)),
    }
    if let Some(mask) = &c.mask {
        out.str(" & 0x");
        hex(mask.as_bytes(), out);
    }
    match &c.test {
        Test::Cmp { op, data } => value(cmp_name(*op), data, out),
        Test::Range { negated, from, to } => {
            value(if *negated { "!=" } else { "" }, from, out);
            out.str("-0x");
            hex(to.as_bytes(), out);
        }
        Test::Loaded => {}
    }
}

fn value(op: &str, data: &Data, out: &mut Out) {
    out.byte(b' ');
    if !op.is_empty() {
        out.str(op);
        out.byte(b' ');
    }
    out.str("0x");
    hex(data.as_bytes(), out);
}

fn expression(expr: &Expr<'_>, out: &mut Out) {
    match *expr {
        Expr::Counter { packets, bytes } => write!(out, "counter packets {packets} bytes {bytes}"),
        Expr::Verdict(verdict) => match verdict {
            Verdict::Accept => out.str("accept"),
            Verdict::Drop => out.str("drop"),
            Verdict::Return => out.str("return"),
            Verdict::Continue => out.str("continue"),
            Verdict::Jump(chain) => named("jump", chain, out),
            Verdict::Goto(chain) => named("goto", chain, out),
            Verdict::Other(code) => write!(out, "verdict {code}"),
        },
        Expr::Match { name, revision, info } | Expr::Target { name, revision, info } => {
            out.str(if matches!(expr, Expr::Match { .. }) { "[ match " } else { "[ target " });
            printable(name, out);
            write!(out, " rev {revision} 0x");
            hex(info, out);
            out.str(" ]");
        }
        Expr::Other { name, data } => {
            out.str("[ ");
            printable(name, out);
            for attr in Attrs::new(data) {
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
        ref other => write!(out, "[ {other:?} ]"),
    }
}

fn named(word: &str, name: &[u8], out: &mut Out) {
    out.str(word);
    out.byte(b' ');
    printable(name, out);
}

/// A name of the kernel's, with everything escaped that could break the line or the terminal.
fn printable(name: &[u8], out: &mut Out) {
    write!(out, "{}", name.escape_ascii());
}

fn hex(bytes: &[u8], out: &mut Out) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for b in bytes {
        for nibble in [b >> 4, b & 0xf] {
            out.byte(DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'?'));
        }
    }
}

fn base_name(base: u32) -> &'static str {
    match base {
        NFT_PAYLOAD_LL_HEADER => "ll",
        NFT_PAYLOAD_NETWORK_HEADER => "nh",
        NFT_PAYLOAD_TRANSPORT_HEADER => "th",
        _ => "ih",
    }
}

fn cmp_name(op: u32) -> &'static str {
    match op {
        NFT_CMP_EQ => "",
        NFT_CMP_NEQ => "!=",
        NFT_CMP_LT => "<",
        NFT_CMP_LTE => "<=",
        NFT_CMP_GT => ">",
        NFT_CMP_GTE => ">=",
        _ => "?",
    }
}

fn meta_name(key: u32) -> &'static str {
    match key {
        NFT_META_LEN => "length",
        NFT_META_PROTOCOL => "protocol",
        NFT_META_PRIORITY => "priority",
        NFT_META_MARK => "mark",
        NFT_META_IIF => "iif",
        NFT_META_OIF => "oif",
        NFT_META_IIFNAME => "iifname",
        NFT_META_OIFNAME => "oifname",
        NFT_META_NFTRACE => "nftrace",
        NFT_META_L4PROTO => "l4proto",
        NFT_META_PKTTYPE => "pkttype",
        _ => "other",
    }
}

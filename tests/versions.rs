//! What stock 1.8.9 and 1.8.11 write is read exactly: `versions.txt` has a row for each rule that they were seen to write in their own way
//! (family, what `-S` says of it behind `-A CHAIN`, its expressions, xt structs in hex with `{00*9}` for nine bytes of 00).
//! Where the text is not stock 1.8.9's: protocols and groups have numbers, because no database is asked; sets have their index; `! --ahspi` and
//! `! --dport` of all numbers, and a hashlimit of nothing, are printed so that they can be read back.

use oxtables::compile::raise::{Raised, Raiser};
use oxtables::ext::PrintCx;
use oxtables::types::{Family, NoNames, Out};
use oxtables::wire::consts::*;
use oxtables::wire::expr::native::NatRegs;
use oxtables::wire::{Attrs, ExprWriter, Verdict, Writer};

const ROWS: &str = include_str!("versions.txt");

#[test]
fn every_row_is_read_as_stock_lists_it() {
    let mut wrong = Vec::new();
    for row in ROWS.lines() {
        let parts: Vec<&str> = row.splitn(3, " | ").collect();
        let [family, save, exprs] = parts[..] else { panic!("{row}") };
        let family = if family == "ip" { Family::V4 } else { Family::V6 };
        let read = raised(family, exprs);
        if read != save {
            wrong.push(format!("{row}\n  read as {read}"));
        }
    }
    assert!(ROWS.lines().count() > 500);
    assert!(wrong.is_empty(), "{} rows\n{}", wrong.len(), wrong.join("\n"));
}

/// What nft 1.0.6 writes of what iptables can say; and some that it cannot say.
const OF_NFT: &[(&str, &str, &str)] = &[
    ("ip", "-p tcp", "payload load 1b @ nh + 9 => reg1; cmp eq reg1 0x06"),
    ("ip", "-i eth0", "meta load iifname => reg1; cmp eq reg1 0x65746830000000000000000000000000"),
    ("ip", "-m iprange --src-range 10.0.0.1-10.0.0.9", "SRC; cmp gte reg1 0x0a000001; cmp lte reg1 0x0a000009"),
    ("ip", "-m iprange ! --src-range 10.0.0.1-10.0.0.9", "SRC; range neq reg1 0x0a000001 0x0a000009"),
    ("ip", "-m iprange --src-range 10.0.0.1-10.0.0.9", "SRC; range eq reg1 0x0a000001 0x0a000009"),
    ("ip", "-m iprange --src-range 10.0.0.1-255.255.255.255", "SRC; cmp gt reg1 0x0a000000"),
    ("ip", "-m iprange --src-range 0.0.0.0-9.255.255.255", "SRC; cmp lt reg1 0x0a000000"),
    ("ip", "opaque", "SRC; cmp lt reg1 0x00000000"),
    ("ip", "opaque", "SRC; range eq reg1 0x0a000009 0x0a000001"),
    ("ip6", "opaque", "SRC; cmp gte reg1 0x0a000001"),
    ("ip", "-m ttl --ttl-lt 5", "payload load 1b @ nh + 8 => reg1; cmp lt reg1 0x05"),
    ("ip", "-m ttl --ttl-gt 4", "payload load 1b @ nh + 8 => reg1; cmp gte reg1 0x05"),
    ("ip", "opaque", "payload load 1b @ nh + 8 => reg1; cmp lte reg1 0xff"),
    ("ip6", "opaque", "payload load 1b @ nh + 8 => reg1; cmp lt reg1 0x05"),
    ("ip6", "-m hl ! --hl-eq 64", "payload load 1b @ nh + 7 => reg1; cmp neq reg1 0x40"),
    ("ip6", "-m pkttype ! --pkt-type multicast", "meta load pkttype => reg1; cmp neq reg1 0x02"),
    ("ip", "opaque", "meta load pkttype => reg1; cmp eq reg1 0x05"),
    ("ip", "-m conntrack --ctstate RELATED,ESTABLISHED", "CT 6; cmp neq reg1 0x00000000"),
    ("ip6", "-m conntrack ! --ctstate INVALID,UNTRACKED", "CT 65; cmp eq reg1 0x00000000"),
    ("ip", "-m conntrack --ctstate NEW", "ct state; cmp eq reg1 HOST8"),
    ("ip", "-m conntrack ! --ctstate NEW", "ct state; cmp neq reg1 HOST8"),
    ("ip", "opaque", "CT 128; cmp neq reg1 0x00000000"),
    ("ip", "opaque", "CT 6; cmp eq reg1 HOST8"),
    ("ip", "opaque", "ct state"),
    ("ip", "-j LOG --log-prefix \"x: \" --log-level 7 --log-tcp-sequence --log-macdecode", "syslog 7 33"),
    ("ip6", "-j LOG --log-prefix \"x: \"", "syslog 4 0"),
    ("ip", "opaque", "syslog 8 0"),
    ("ip", "opaque", "syslog 4 16"),
    ("ip", "opaque", "syslog 4 0; immediate verdict accept"),
    ("ip", "-j MASQUERADE --random-fully", "masq 16"),
    ("ip6", "-j MASQUERADE", "masq 0"),
    ("ip", "opaque", "masq 8"),
    ("ip", "-j REDIRECT --random", "redir 4"),
];

#[test]
fn what_nft_writes_is_read_exactly_or_not_at_all() {
    for (family, save, exprs) in OF_NFT {
        let exprs = exprs.replace("SRC", "payload load 4b @ nh + 12 => reg1").replace("CT ", "ct state; and ");
        let eight: String = 8u32.to_ne_bytes().iter().map(|b| format!("{b:02x}")).collect();
        let exprs = exprs.replace("HOST8", &eight);
        let family = if *family == "ip" { Family::V4 } else { Family::V6 };
        assert_eq!(raised(family, &exprs), *save, "{exprs}");
    }
}

/// What a rule of these expressions is listed as.
fn raised(family: Family, exprs: &str) -> String {
    let mut writer = Writer::new();
    let list = writer.nest(1);
    let mut x = ExprWriter::new(&mut writer);
    exprs.split("; ").filter(|e| !e.is_empty()).for_each(|expr| write(expr, &mut x));
    writer.close(list);
    let attr = Attrs::new(writer.as_bytes()).next().expect("a list").expect("well-formed");
    match Raiser::new(family).raise(attr.payload, None) {
        Raised::Rule(body, _) => {
            let mut out = Out::new();
            body.save(&mut out, &PrintCx { family, numeric: true, names: &NoNames, protocol: None }, None);
            String::from_utf8_lossy(out.as_bytes()).trim_start().to_owned()
        }
        Raised::Opaque(_) => "opaque".to_owned(),
    }
}

fn write(expr: &str, x: &mut ExprWriter<'_>) {
    let words: Vec<&str> = expr.split(' ').collect();
    let number = |text: &str| text.trim_matches(|c: char| !c.is_ascii_digit()).parse::<u32>().expect(expr);
    match words[..] {
        ["meta", "load", key, ..] => x.meta(meta_key(key)),
        ["meta", "set", key, ..] => x.meta_set(meta_key(key), NFT_REG32_01),
        ["payload", "load", len, "@", base, "+", offset, ..] => {
            let base = if base == "nh" { NFT_PAYLOAD_NETWORK_HEADER } else { NFT_PAYLOAD_TRANSPORT_HEADER };
            x.payload(base, number(offset), number(len));
        }
        ["bitwise", _, "=", _, "&", mask, ..] => x.mask(&bytes(mask.trim_end_matches(')'))),
        ["cmp", op, _, data] => {
            let op = match op {
                "eq" => NFT_CMP_EQ,
                "neq" => NFT_CMP_NEQ,
                "lt" => NFT_CMP_LT,
                "gt" => NFT_CMP_GT,
                "gte" => NFT_CMP_GTE,
                _ => NFT_CMP_LTE,
            };
            x.cmp(op, &bytes(data));
        }
        ["range", op, _, from, to] => x.range(op == "neq", &bytes(from), &bytes(to)),
        ["immediate", "verdict", "accept"] => x.verdict(Verdict::Accept),
        ["immediate", "verdict", "drop"] => x.verdict(Verdict::Drop),
        ["immediate", "verdict", "return"] => x.verdict(Verdict::Return),
        ["immediate", "verdict", "jump", "->", chain] => x.verdict(Verdict::Jump(chain.as_bytes())),
        ["immediate", "verdict", "goto", "->", chain] => x.verdict(Verdict::Goto(chain.as_bytes())),
        ["immediate", _, data] => x.immediate(NFT_REG32_01, &bytes(data)),
        ["limit", "rate", rate, "burst", burst, ..] => {
            let (rate, unit) = rate.split_once('/').expect(expr);
            x.limit(rate.parse().expect(expr), unit.parse().expect(expr), number(burst));
        }
        ["log", "prefix", ..] => log(expr, x),
        ["ct", "state"] => x.ct(NFT_CT_STATE, None),
        ["and", mask] => x.mask(&number(mask).to_ne_bytes()),
        ["syslog", level, flags] => x.syslog(Some(b"x: "), number(level), number(flags)),
        ["masq", modes] => x.masq(NatRegs { flags: number(modes), ..NatRegs::default() }),
        ["redir", modes] => x.redir(NatRegs { flags: number(modes), ..NatRegs::default() }),
        ["match", name, revision, ref info @ ..] => {
            x.xt_match(name, number(revision), |b| b.bytes(&struct_of(info)));
        }
        ["target", name, revision, ref info @ ..] => {
            x.xt_target(name, number(revision), |b| b.bytes(&struct_of(info)));
        }
        _ => panic!("{expr}"),
    }
}

fn log(expr: &str, x: &mut ExprWriter<'_>) {
    let after = |word: &str| expr.split_once(&format!(" {word} ")).expect(expr).1.split(' ').next().expect(expr);
    let prefix = expr.split('\'').nth(1).filter(|_| expr.contains("prefix '"));
    let optional = |word: &str| u32::from_str_radix(after(word), if word == "snaplen" { 10 } else { 16 }).ok();
    let group = u16::from_str_radix(after("group"), 16).expect(expr);
    let threshold = optional("qthr").and_then(|n| u16::try_from(n).ok());
    x.log(group, prefix.map(str::as_bytes), optional("snaplen"), threshold);
}

fn meta_key(name: &str) -> u32 {
    match name {
        "iifname" => NFT_META_IIFNAME,
        "oifname" => NFT_META_OIFNAME,
        "l4proto" => NFT_META_L4PROTO,
        "mark" => NFT_META_MARK,
        "nftrace" => NFT_META_NFTRACE,
        "pkttype" => NFT_META_PKTTYPE,
        _ => panic!("{name}"),
    }
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.strip_prefix("0x").unwrap_or(hex);
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect(hex);
    (0..digits.len() / 2).map(|i| byte(2 * i)).collect()
}

/// A struct in hex, with runs in braces.
fn struct_of(info: &[&str]) -> Vec<u8> {
    let mut all = Vec::new();
    for part in info.iter().flat_map(|text| text.split(['{', '}'])) {
        match part.split_once('*') {
            Some((byte, times)) => all.extend(bytes(byte).repeat(times.parse().expect("a number"))),
            None => all.extend(bytes(part)),
        }
    }
    all
}

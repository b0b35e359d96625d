//! Tests of the description: each kind of expression in its words, and nothing left out.

use super::*;
use crate::wire::{ExprWriter, Writer};

fn text(family: Family, write: impl FnOnce(&mut ExprWriter<'_>)) -> String {
    let mut w = Writer::new();
    write(&mut ExprWriter::new(&mut w));
    let mut out = Out::new();
    describe(family, w.as_bytes(), None, &mut out);
    String::from_utf8(out.into_bytes()).unwrap()
}

/// One expression by name, with attributes of four big-endian bytes or of raw bytes.
fn other(w: &mut Writer, name: &str, attrs: &[(u16, &[u8])]) {
    let elem = w.nest(NFTA_LIST_ELEM);
    w.text(NFTA_EXPR_NAME, name.as_bytes());
    let data = w.nest(NFTA_EXPR_DATA);
    for (ty, payload) in attrs {
        w.attr(*ty, payload);
    }
    w.close(data);
    w.close(elem);
}

#[test]
fn loads_and_tests_read_as_nft_writes_them() {
    let v4 = |f: fn(&mut ExprWriter<'_>)| text(Family::V4, f);
    let address = |x: &mut ExprWriter<'_>| {
        x.payload(NFT_PAYLOAD_NETWORK_HEADER, 12, 1);
        x.cmp_eq(false, &[10]);
        x.payload(NFT_PAYLOAD_NETWORK_HEADER, 16, 4);
        x.mask(&[255, 255, 255, 128]);
        x.cmp_eq(true, &[1, 2, 3, 128]);
        x.counter(1, 2);
        x.verdict(Verdict::Jump(b"a\nb"));
    };
    assert_eq!(v4(address), "ip saddr 10.0.0.0/8 ip daddr != 1.2.3.128/25 counter packets 1 bytes 2 jump a\\nb");
    let ports = |x: &mut ExprWriter<'_>| {
        x.meta(NFT_META_L4PROTO);
        x.cmp_eq(false, &[17]);
        x.payload(NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2);
        x.range(true, &[0, 53], &[1, 0]);
        x.meta(NFT_META_IIFNAME);
        x.cmp_eq(false, b"eth");
        x.meta(NFT_META_OIFNAME);
    };
    assert_eq!(v4(ports), "meta l4proto udp udp dport != 53-256 iifname \"eth*\" oifname");
    let v6 = |x: &mut ExprWriter<'_>| {
        x.payload(NFT_PAYLOAD_NETWORK_HEADER, 8, 4);
        x.cmp_eq(false, &[0x20, 1, 0xd, 0xb8]);
        x.payload(NFT_PAYLOAD_NETWORK_HEADER, 1, 3);
        x.cmp(NFT_CMP_GTE, &[1, 2, 3]);
    };
    assert_eq!(text(Family::V6, v6), "ip6 saddr 2001:db8::/32 @nh,8,24 >= 0x010203");
    let marks = |x: &mut ExprWriter<'_>| {
        x.meta(NFT_META_MARK);
        x.mask(&0xffu32.to_ne_bytes());
        x.cmp_eq(false, &5u32.to_ne_bytes());
        x.immediate(NFT_REG32_01, &[1]);
        x.meta_set(NFT_META_NFTRACE, NFT_REG32_01);
        x.xt_match("comment", 0, |b| b.bytes(b"hi"));
    };
    assert_eq!(v4(marks), "meta mark & 0xff == 0x5 meta nftrace set 1 xt match \"comment\" rev 0 0x6869000000000000");
}

#[test]
fn what_iptables_never_writes_is_described_too() {
    const REG1: &[u8] = &[0, 0, 0, 1];
    let mut w = Writer::new();
    other(&mut w, "ct", &[(1, REG1), (2, &[0; 4])]);
    ExprWriter::new(&mut w).mask(&0xau32.to_ne_bytes());
    ExprWriter::new(&mut w).cmp_eq(true, &[0; 4]);
    ExprWriter::new(&mut w).payload(NFT_PAYLOAD_NETWORK_HEADER, 12, 4);
    other(&mut w, "lookup", &[(1, b"bad guys\0"), (2, REG1), (5, &[0, 0, 0, 1])]);
    ExprWriter::new(&mut w).payload(NFT_PAYLOAD_NETWORK_HEADER, 12, 4);
    other(&mut w, "mystery", &[(7, &[1, 2]), (9, &[])]);
    ExprWriter::new(&mut w).cmp_eq(false, &[3]);
    let mut out = Out::new();
    describe(Family::V4, w.as_bytes(), Some(b"\0\x03hi\0"), &mut out);
    assert_eq!(
        String::from_utf8(out.into_bytes()).unwrap(),
        "ct state established,new ip saddr != @bad guys ip saddr [ mystery: 7=0102, 9= ] reg 1 0x03 comment \"hi\""
    );
}

#[test]
fn malformed_lists_are_said_to_be() {
    let mut out = Out::new();
    describe(Family::V4, &[1, 2, 3], Some(&[9, 9]), &mut out);
    assert_eq!(out.as_bytes(), b"[ malformed ] userdata 0x0909");
}

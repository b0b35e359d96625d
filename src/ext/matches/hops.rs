//! How many hops a packet may still go: what the matches `ttl` (IPv4) and `hl` (IPv6) share.
//!
//! Sources: observed with stock 1.8.9; `linux/netfilter_ipv4/ipt_ttl.h`, `linux/netfilter_ipv6/ip6t_hl.h`.

use crate::ext::options::{Given, Kind, Opt, bit};
use crate::types::Out;
use crate::wire::cond::{Cond, Field, Test as CondTest};
use crate::wire::consts::*;
use crate::wire::{BlobWriter, ExprWriter};

/// A number and how the packet's is compared with it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hops {
    test: Test,
    value: u8,
}

/// In the order of the kernel's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Test {
    Equal,
    Different,
    Less,
    Greater,
}

/// The option `--X-eq`, and its short form `--X`.
pub const EQ: u8 = 0;
/// The option `--X-lt`.
pub const LT: u8 = 1;
/// The option `--X-gt`.
pub const GT: u8 = 2;

/// Values for the tests and generators.
pub const EXAMPLES: &[&str] = &["0", "1", "2", "63", "64", "0x80", "128", "254", "255", "010"];

/// One of the options.
pub const fn option(name: &'static str, id: u8, help: &'static str) -> Opt {
    let others = match id {
        EQ => 0,
        _ => (bit(EQ) | bit(LT) | bit(GT)) & !bit(id),
    };
    let opt = Opt::value(name, id, Kind::Number { min: 0, max: 255 }, "value", help);
    Opt { invert: id == EQ, ..opt.excluding(others).examples(EXAMPLES) }
}

impl Hops {
    /// Before an option is read.
    pub const NEW: Self = Self { test: Test::Equal, value: 0 };

    /// Takes an option.
    pub fn set(&mut self, given: &Given<'_>) {
        self.value = given.u8();
        self.test = match (given.id(), given.negated) {
            (LT, _) => Test::Less,
            (GT, _) => Test::Greater,
            (_, true) => Test::Different,
            (_, false) => Test::Equal,
        };
    }

    /// The test that a native condition on the byte at an offset of the network header says.
    pub fn raise(cond: &Cond, at: u32) -> Option<Self> {
        let Field::Payload { base: NFT_PAYLOAD_NETWORK_HEADER, offset, len: 1 } = cond.field else { return None };
        let (true, None, CondTest::Cmp { op, data }) = (offset == at, &cond.mask, &cond.test) else { return None };
        let value = data.u8()?;
        let (test, value) = match *op {
            NFT_CMP_EQ => (Test::Equal, value),
            NFT_CMP_NEQ => (Test::Different, value),
            NFT_CMP_LT => (Test::Less, value),
            NFT_CMP_GT => (Test::Greater, value),
            NFT_CMP_LTE => (Test::Less, value.checked_add(1)?),
            NFT_CMP_GTE => (Test::Greater, value.checked_sub(1)?),
            _ => return None,
        };
        Some(Self { test, value })
    }

    /// Prints ` --NAME-eq 64`.
    pub fn save(&self, name: &str, out: &mut Out) {
        let word = match self.test {
            Test::Equal | Test::Different => "eq",
            Test::Less => "lt",
            Test::Greater => "gt",
        };
        let not = if self.test == Test::Different { " !" } else { "" };
        write!(out, "{not} --{name}-{word} {}", self.value);
    }

    /// Prints ` TTL match TTL == 64`.
    pub fn list(&self, name: &str, out: &mut Out) {
        let sign = match self.test {
            Test::Equal => "==",
            Test::Different => "!=",
            Test::Less => "<",
            Test::Greater => ">",
        };
        write!(out, " {name} match {name} {sign} {}", self.value);
    }

    /// Writes `struct ipt_ttl_info` or `struct ip6t_hl_info`.
    pub fn blob(&self, b: &mut BlobWriter<'_>) {
        b.bytes(&[self.test as u8, self.value]);
    }

    /// Reads the same.
    pub fn decode(info: &[u8]) -> Option<Self> {
        let [test, value, ..] = *info else { return None };
        let test = match test {
            0 => Test::Equal,
            1 => Test::Different,
            2 => Test::Less,
            3 => Test::Greater,
            _ => return None,
        };
        Some(Self { test, value })
    }

    /// Compares the byte at an offset of the network header.
    pub fn native(&self, offset: u32, x: &mut ExprWriter<'_>) {
        let op = match self.test {
            Test::Equal => NFT_CMP_EQ,
            Test::Different => NFT_CMP_NEQ,
            Test::Less => NFT_CMP_LT,
            Test::Greater => NFT_CMP_GT,
        };
        x.payload(NFT_PAYLOAD_NETWORK_HEADER, offset, 1);
        x.cmp(op, &[self.value]);
    }

    /// Prints `FIELD gt 64` in nft's words.
    pub fn translate(&self, field: &str, out: &mut Out) {
        let word = match self.test {
            Test::Equal => "",
            Test::Different => "!= ",
            Test::Less => "lt ",
            Test::Greater => "gt ",
        };
        write!(out, "{field} {word}{}", self.value);
    }

    /// Whether a packet's number is meant.
    pub fn contains(&self, hops: u8) -> bool {
        match self.test {
            Test::Equal => hops == self.value,
            Test::Different => hops != self.value,
            Test::Less => hops < self.value,
            Test::Greater => hops > self.value,
        }
    }
}

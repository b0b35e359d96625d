//! Anonymous constant sets: what a rule looks a key up in, written with the rule and gone with it.
//!
//! A set is in its normal form as soon as it is asked for its elements: sorted, without doubles, and with neighbouring ranges of a single
//! field joined; so two sets that hold the same keys are equal, whoever wrote them. Sources: `linux/netfilter/nf_tables.h`
//! (`nft_set_flags`, `nft_set_attributes`, `nft_set_elem_attributes`); the numbers of key types are nft's, seen in what it sends (the kernel
//! only keeps them, nft cannot list a set without).

use super::consts::*;
use super::reader::Attrs;
use super::writer::Writer;
use super::{DecodeError, Mark};

/// One field of a key: its length in bytes, and how nft shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// An IPv4 address.
    V4,
    /// An IPv6 address.
    V6,
    /// A hardware address.
    Ether,
    /// A protocol number.
    Protocol,
    /// A port, big-endian.
    Port,
    /// An ICMP type.
    IcmpType,
    /// An ICMP code.
    IcmpCode,
    /// An ICMPv6 type.
    Icmp6Type,
    /// An ICMPv6 code.
    Icmp6Code,
    /// A packet mark, in host order.
    Mark,
    /// An address type of fib, in host order.
    AddrType,
    /// Any number of this many bytes, big-endian where ranges of it are asked for.
    Number(u8),
}

impl Key {
    /// Length in bytes.
    pub fn len(self) -> usize {
        match self {
            Self::Protocol | Self::IcmpType | Self::IcmpCode | Self::Icmp6Type | Self::Icmp6Code => 1,
            Self::Port => 2,
            Self::V4 | Self::Mark | Self::AddrType => 4,
            Self::Ether => 6,
            Self::V6 => 16,
            Self::Number(len) => usize::from(len),
        }
    }

    /// Never: for clippy.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The type as a field of a concatenation: nft ends with a failed assertion where it finds a plain number there.
    fn ty_in_concatenation(self) -> u32 {
        match self {
            Self::Number(1) => Self::Protocol.ty(),
            Self::Number(2) => Self::Port.ty(),
            Self::Number(4) => Self::Mark.ty(),
            Self::Number(6) => Self::Ether.ty(),
            Self::Number(16) => Self::V6.ty(),
            other => other.ty(),
        }
    }

    fn ty(self) -> u32 {
        match self {
            Self::Number(_) => 4,
            Self::V4 => 7,
            Self::V6 => 8,
            Self::Ether => 9,
            Self::Protocol => 12,
            Self::Port => 13,
            Self::IcmpType => 14,
            Self::Mark => 19,
            Self::Icmp6Type => 29,
            Self::IcmpCode => 32,
            Self::Icmp6Code => 33,
            Self::AddrType => 38,
        }
    }
}

/// First and last key of an element, both in it; equal for a single key. Fields of a concatenation are filled up to words of 4 bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Element {
    /// The first key.
    pub from: Vec<u8>,
    /// The last key.
    pub to: Vec<u8>,
}

/// A set that a rule brings with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnonSet {
    fields: Vec<Key>,
    elements: Vec<Element>,
}

/// The name by which the kernel is asked for a name of its own.
const ANY_NAME: &[u8] = b"__set%d";

/// How many bits a field's type has in the type of a concatenation.
const TYPE_BITS: u32 = 6;

impl AnonSet {
    /// An empty set of keys of these fields; of a concatenation, each is loaded from a register word of its own on (`NFT_REG32_00`, and as
    /// many words further as the fields before it fill).
    pub fn new(fields: &[Key]) -> Self {
        Self { fields: fields.to_vec(), elements: Vec::new() }
    }

    /// Takes in one key: a value for each field.
    pub fn value(&mut self, values: &[&[u8]]) {
        let pairs: Vec<_> = values.iter().map(|v| (*v, *v)).collect();
        self.range(&pairs);
    }

    /// Takes in all keys of which each field is in its range, both ends included; compared as big-endian bytes. Of a concatenation, no two
    /// elements may have a key in common.
    pub fn range(&mut self, ranges: &[(&[u8], &[u8])]) {
        let mut element = Element { from: Vec::new(), to: Vec::new() };
        for (from, to) in ranges {
            element.from.extend_from_slice(from);
            element.to.extend_from_slice(to);
            if self.fields.len() > 1 {
                element.from.resize(element.from.len().next_multiple_of(4), 0);
                element.to.resize(element.to.len().next_multiple_of(4), 0);
            }
        }
        self.elements.push(element);
    }

    /// Whether nothing is in it: no kernel makes such a set.
    pub fn is_empty(&self) -> bool {
        self.elements.is_empty()
    }

    /// The elements in their normal form.
    pub fn elements(&self) -> Vec<Element> {
        let mut sorted = self.elements.clone();
        sorted.sort();
        sorted.dedup();
        if self.fields.len() > 1 || !self.is_interval() {
            return sorted;
        }
        let mut joined: Vec<Element> = Vec::new();
        for element in sorted {
            match joined.last_mut() {
                Some(last) if after(&last.to).is_none_or(|next| element.from <= next) => {
                    last.to = last.to.clone().max(element.to);
                }
                _ => joined.push(element),
            }
        }
        joined
    }

    /// Whether there is more in it than single keys.
    fn is_interval(&self) -> bool {
        self.elements.iter().any(|e| e.from != e.to)
    }

    fn key_len(&self) -> usize {
        match self.fields.as_slice() {
            [one] => one.len(),
            many => many.iter().map(|f| f.len().next_multiple_of(4)).sum(),
        }
    }

    /// `NFT_SET_*`.
    pub fn flags(&self) -> u32 {
        let interval = if self.is_interval() { NFT_SET_INTERVAL } else { 0 };
        let concat = if self.fields.len() > 1 && interval != 0 { NFT_SET_CONCAT } else { 0 };
        NFT_SET_ANONYMOUS | NFT_SET_CONSTANT | interval | concat
    }

    /// The attributes of `NFT_MSG_NEWSET`.
    pub fn write_set(&self, w: &mut Writer, table: &[u8], id: u32) {
        let ty = match self.fields.as_slice() {
            [one] => one.ty(),
            many => many.iter().fold(0, |ty: u32, field| (ty << TYPE_BITS) | field.ty_in_concatenation()),
        };
        w.text(NFTA_SET_TABLE, table);
        w.text(NFTA_SET_NAME, ANY_NAME);
        w.u32(NFTA_SET_FLAGS, self.flags());
        w.u32(NFTA_SET_KEY_TYPE, ty);
        w.u32(NFTA_SET_KEY_LEN, number(self.key_len()));
        w.u32(NFTA_SET_ID, id);
        let desc = w.nest(NFTA_SET_DESC);
        w.u32(NFTA_SET_DESC_SIZE, number(self.elements().len()));
        if self.fields.len() > 1 && self.is_interval() {
            let concat = w.nest(NFTA_SET_DESC_CONCAT);
            for field in &self.fields {
                let elem = w.nest(NFTA_LIST_ELEM);
                w.u32(NFTA_SET_FIELD_LEN, number(field.len()));
                w.close(elem);
            }
            w.close(concat);
        }
        w.close(desc);
    }

    /// The attributes of `NFT_MSG_NEWSETELEM`.
    pub fn write_elements(&self, w: &mut Writer, table: &[u8], id: u32) {
        w.text(NFTA_SET_ELEM_LIST_TABLE, table);
        w.text(NFTA_SET_ELEM_LIST_SET, ANY_NAME);
        w.u32(NFTA_SET_ELEM_LIST_SET_ID, id);
        let list = w.nest(NFTA_SET_ELEM_LIST_ELEMENTS);
        let (interval, concat) = (self.is_interval(), self.fields.len() > 1);
        for element in self.elements() {
            let elem = w.nest(NFTA_LIST_ELEM);
            write_key(w, NFTA_SET_ELEM_KEY, &element.from);
            if interval && concat {
                write_key(w, NFTA_SET_ELEM_KEY_END, &element.to);
            }
            w.close(elem);
            if let (true, Some(end)) = (interval && !concat, after(&element.to)) {
                let elem = w.nest(NFTA_LIST_ELEM);
                write_key(w, NFTA_SET_ELEM_KEY, &end);
                w.u32(NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
                w.close(elem);
            }
        }
        w.close(list);
    }

    /// Reads the elements of one `NFT_MSG_NEWSETELEM` of a dump, as far as they are plain keys: `None` if there is anything else to them.
    pub fn read_elements(attrs: &[u8], into: &mut Dumped) -> Result<Option<()>, DecodeError> {
        for attr in Attrs::new(attrs) {
            let attr = attr?;
            if attr.ty != NFTA_SET_ELEM_LIST_ELEMENTS {
                continue;
            }
            for elem in attr.nested() {
                let (mut key, mut end, mut flags) = (None, None, 0);
                for part in elem?.nested() {
                    let part = part?;
                    match part.ty {
                        NFTA_SET_ELEM_KEY => key = read_key(&part)?,
                        NFTA_SET_ELEM_KEY_END => end = read_key(&part)?,
                        NFTA_SET_ELEM_FLAGS => flags = part.u32("set element flags")?,
                        _ => return Ok(None),
                    }
                }
                match (key, flags) {
                    (Some(from), 0) => into.starts.push(Element { to: end.unwrap_or_else(|| from.clone()), from }),
                    (Some(end), NFT_SET_ELEM_INTERVAL_END) => into.ends.push(end),
                    _ => return Ok(None),
                }
            }
        }
        Ok(Some(()))
    }

    /// Whether a dumped set holds just these keys; `flags` are the `NFT_SET_*` that it has.
    pub fn is_dumped(&self, flags: u32, dumped: &Dumped) -> bool {
        // Newer kernels may set more flags than they were given, but none that changes what is in it.
        let kind =
            NFT_SET_ANONYMOUS | NFT_SET_CONSTANT | NFT_SET_INTERVAL | NFT_SET_MAP | NFT_SET_TIMEOUT | NFT_SET_EVAL;
        (flags & kind) == (self.flags() & kind)
            && dumped.elements(self.is_interval() && self.fields.len() == 1) == self.elements()
    }
}

/// What a dump says of a set's elements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dumped {
    starts: Vec<Element>,
    ends: Vec<Vec<u8>>,
}

impl Dumped {
    /// The elements in order; `ranges`: each starts at its key and goes up to the next end.
    fn elements(&self, ranges: bool) -> Vec<Element> {
        let mut elements = self.starts.clone();
        elements.sort();
        if !ranges {
            return elements;
        }
        let mut ends = self.ends.clone();
        ends.sort();
        for element in &mut elements {
            let end = ends.iter().find(|end| **end > element.from);
            element.to = end.map_or_else(|| vec![0xff; element.from.len()], |end| before(end));
        }
        elements
    }
}

/// The key behind the last one of a range; `None` if there is none.
fn after(key: &[u8]) -> Option<Vec<u8>> {
    let mut next = key.to_vec();
    for byte in next.iter_mut().rev() {
        *byte = byte.wrapping_add(1);
        if *byte != 0 {
            return Some(next);
        }
    }
    None
}

fn before(key: &[u8]) -> Vec<u8> {
    let mut last = key.to_vec();
    for byte in last.iter_mut().rev() {
        let borrow = *byte == 0;
        *byte = byte.wrapping_sub(1);
        if !borrow {
            break;
        }
    }
    last
}

fn write_key(w: &mut Writer, ty: u16, key: &[u8]) {
    let nest: Mark = w.nest(ty);
    w.attr(NFTA_DATA_VALUE, key);
    w.close(nest);
}

fn read_key(attr: &super::Attr<'_>) -> Result<Option<Vec<u8>>, DecodeError> {
    for part in attr.nested() {
        let part = part?;
        if part.ty == NFTA_DATA_VALUE {
            return Ok(Some(part.payload.to_vec()));
        }
    }
    Ok(None)
}

fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ports(ranges: &[(u16, u16)]) -> AnonSet {
        let mut set = AnonSet::new(&[Key::Port]);
        for (from, to) in ranges {
            set.range(&[(&from.to_be_bytes(), &to.to_be_bytes())]);
        }
        set
    }

    fn dumped(set: &AnonSet) -> Dumped {
        let mut w = Writer::new();
        set.write_elements(&mut w, b"t", 1);
        let mut dumped = Dumped::default();
        AnonSet::read_elements(w.as_bytes(), &mut dumped).unwrap().unwrap();
        dumped
    }

    #[test]
    fn the_same_keys_are_the_same_set() {
        let (a, b) = (ports(&[(5, 9), (1, 1), (10, 12), (65000, 65535)]), ports(&[(1, 1), (5, 12), (65000, 65535)]));
        assert_eq!(a.elements(), b.elements());
        assert!(a.is_dumped(7, &dumped(&b)));
        assert!(!a.is_dumped(3, &dumped(&b)));
        assert!(!a.is_dumped(7, &dumped(&ports(&[(1, 1), (5, 13), (65000, 65535)]))));
        assert!(ports(&[(3, 3), (1, 1)]).is_dumped(3, &dumped(&ports(&[(1, 1), (3, 3), (3, 3)]))));
    }

    #[test]
    fn fields_of_a_concatenation_fill_words() {
        let mut set = AnonSet::new(&[Key::IcmpType, Key::Port]);
        set.range(&[(&[8], &[8]), (&[0, 1], &[0, 9])]);
        assert_eq!(set.elements()[0].to, [8, 0, 0, 0, 0, 9, 0, 0]);
        assert_eq!(set.flags(), 0x87);
        assert!(set.is_dumped(set.flags(), &dumped(&set)));
    }
}

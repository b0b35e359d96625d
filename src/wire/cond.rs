//! Folds the register flow of a rule into conditions: `payload load … ; bitwise … ; cmp …` becomes "field & mask op value".
//!
//! A fold is exact or it is not made: a register that is read without having been loaded here, a xor that is not zero, a length that does
//! not fit yield [`Item::Expr`] with the expression as it is, which nobody then claims.

use super::Attrs;
use super::consts::*;
use super::expr::Expr;

/// The longest value that a condition compares, in bytes.
pub const DATA_MAX: usize = 16;

/// Up to 16 bytes of register data, inline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data {
    bytes: [u8; DATA_MAX],
    len: u8,
}

impl Data {
    /// The data, if they are at most 16 bytes.
    pub fn new(data: &[u8]) -> Option<Self> {
        // By length, so that the common ones are one load each and no call of memcpy.
        let bytes = match *data {
            [a] => u128::from(a).to_le_bytes(),
            [a, b] => u128::from(u16::from_le_bytes([a, b])).to_le_bytes(),
            [a, b, c, d] => u128::from(u32::from_le_bytes([a, b, c, d])).to_le_bytes(),
            _ => match <[u8; DATA_MAX]>::try_from(data) {
                Ok(whole) => whole,
                Err(_) => {
                    let mut bytes = [0; DATA_MAX];
                    bytes.get_mut(..data.len())?.copy_from_slice(data);
                    bytes
                }
            },
        };
        Some(Self { bytes, len: u8::try_from(data.len()).ok()? })
    }

    /// The bytes as in the register: packet fields in network order, `meta mark`, ids and lengths in host order.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The bytes, with zeros behind them.
    pub fn padded(&self) -> [u8; DATA_MAX] {
        self.bytes
    }

    /// One byte.
    pub fn u8(&self) -> Option<u8> {
        self.array::<1>().map(|[b]| b)
    }

    /// A big-endian u16: ports, packet lengths.
    pub fn be16(&self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// A host-order u32: marks, ids.
    pub fn ne32(&self) -> Option<u32> {
        self.array().map(u32::from_ne_bytes)
    }

    /// The bytes as an array, if they are just as many.
    pub fn array<const N: usize>(&self) -> Option<[u8; N]> {
        self.as_bytes().try_into().ok()
    }

    fn slice(&self, from: usize, len: usize) -> Option<Self> {
        Self::new(self.as_bytes().get(from..from.checked_add(len)?)?)
    }
}

/// What was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `meta KEY`.
    Meta(u32),
    /// `ct KEY`, without a direction.
    Ct(u32),
    /// Packet bytes; `base` is `NFT_PAYLOAD_*`, offset and length in bytes.
    #[expect(missing_docs, reason = "the attributes' names")]
    Payload { base: u32, offset: u32, len: u32 },
}

/// How it is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the attributes' names")]
pub enum Test {
    /// `cmp`; `op` is `NFT_CMP_*`, compared as big-endian bytes.
    Cmp { op: u32, data: Data },
    /// `range`.
    Range { negated: bool, from: Data, to: Data },
    /// The field is loaded and nothing is asked of it: always true, but for the packets that do not have it (stock writes this for `-i +`).
    Loaded,
}

/// One condition: `field & mask TEST`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words say it")]
pub struct Cond {
    pub field: Field,
    /// As long as the field; absent if all bits count.
    pub mask: Option<Data>,
    pub test: Test,
}

impl Cond {
    /// The value of a plain `==` or `!=` without mask, and whether it is negated.
    pub fn equals(&self) -> Option<(bool, &Data)> {
        match (&self.mask, &self.test) {
            (None, Test::Cmp { op: NFT_CMP_EQ, data }) => Some((false, data)),
            (None, Test::Cmp { op: NFT_CMP_NEQ, data }) => Some((true, data)),
            _ => None,
        }
    }
}

/// A step of a rule after folding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A condition.
    Cond(Cond),
    /// `meta set KEY` to a value that was loaded by an `immediate` of this rule.
    #[expect(missing_docs, reason = "the words say it")]
    MetaSet { key: u32, value: Data },
    /// Any other expression.
    Expr(Expr<'a>),
}

/// What a register holds.
#[derive(Clone, Copy, Debug)]
struct Loaded {
    /// First 32-bit slot.
    slot: u32,
    /// Length in bytes.
    len: u32,
    what: Content,
    mask: Option<Data>,
    tested: bool,
}

#[derive(Clone, Copy, Debug)]
enum Content {
    Field(Field),
    Value(Data),
}

/// Registers, followed through the expressions of one rule. At most eight loads are alive at once; more is not folded.
#[derive(Debug, Default)]
pub struct Fold {
    live: [Option<Loaded>; 8],
    /// How many of `live` were ever used.
    used: usize,
}

/// The first 32-bit slot of a register; `NFT_REG_1` is the same storage as `NFT_REG32_00`.
fn slot_of(reg: u32) -> Option<u32> {
    match reg {
        NFT_REG_1..=NFT_REG_4 => Some((reg - 1) * 4),
        NFT_REG32_00..=NFT_REG32_15 => Some(reg - NFT_REG32_00),
        _ => None,
    }
}

/// Length in bytes that `meta` loads, for the keys that are folded.
fn meta_len(key: u32) -> Option<u32> {
    Some(match key {
        NFT_META_IIFNAME | NFT_META_OIFNAME => 16,
        NFT_META_L4PROTO | NFT_META_NFPROTO | NFT_META_PKTTYPE => 1,
        NFT_META_PROTOCOL | NFT_META_IFTYPE => 2,
        NFT_META_MARK | NFT_META_IIF | NFT_META_OIF | NFT_META_LEN | NFT_META_SKUID | NFT_META_SKGID | NFT_META_CPU
        | NFT_META_IIFGROUP | NFT_META_OIFGROUP | NFT_META_CGROUP | NFT_META_RTCLASSID | NFT_META_PRIORITY => 4,
        _ => return None,
    })
}

/// Key, length in bytes and register of a `ct` load, for the keys that are folded.
fn ct_load(data: &[u8]) -> Option<(u32, u32, u32)> {
    let (mut key, mut dreg) = (None, None);
    for attr in Attrs::new(data) {
        let attr = attr.ok()?;
        let number = u32::from_be_bytes(*attr.payload.first_chunk().filter(|_| attr.payload.len() == 4)?);
        match attr.ty {
            NFTA_CT_KEY => key = Some(number),
            NFTA_CT_DREG => dreg = Some(number),
            _ => return None,
        }
    }
    match key? {
        NFT_CT_STATE => Some((NFT_CT_STATE, 4, dreg?)),
        _ => None,
    }
}

impl Fold {
    /// A fold with empty registers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next expression and hands each item that is complete to `emit`, in order.
    pub fn push<'a>(&mut self, expr: Expr<'a>, emit: &mut impl FnMut(Item<'a>)) {
        let done = match expr {
            Expr::Meta { key, dreg } => {
                meta_len(key).and_then(|len| self.load(dreg, len, Content::Field(Field::Meta(key)), emit))
            }
            Expr::Other { name: b"ct", data } => {
                ct_load(data).and_then(|(key, len, dreg)| self.load(dreg, len, Content::Field(Field::Ct(key)), emit))
            }
            Expr::Payload { base, offset, len, dreg } => {
                let field = Field::Payload { base, offset, len };
                (1..=16).contains(&len).then(|| self.load(dreg, len, Content::Field(field), emit)).flatten()
            }
            Expr::Immediate { dreg, data } => Data::new(data).and_then(|value| {
                let len = u32::try_from(data.len()).ok()?;
                self.load(dreg, len, Content::Value(value), emit)
            }),
            Expr::Bitwise { sreg, dreg, mask, xor, .. } => self.bitwise(sreg, dreg, mask, xor, emit),
            Expr::Cmp { op, sreg, data } => self.cmp(op, sreg, data, emit),
            Expr::Range { op, sreg, from, to } => self.range(op, sreg, from, to, emit),
            Expr::MetaSet { key, sreg } => self.meta_set(key, sreg, emit),
            _ => None,
        };
        if done.is_none() {
            emit(Item::Expr(expr));
        }
    }

    /// Ends the rule: loads that nothing looked at become [`Test::Loaded`].
    pub fn finish<'a>(&mut self, emit: &mut impl FnMut(Item<'a>)) {
        for slot in self.live.iter_mut().take(self.used) {
            if let Some(loaded) = slot.take() {
                give_up(&loaded, emit);
            }
        }
    }

    fn load<'a>(&mut self, reg: u32, len: u32, what: Content, emit: &mut impl FnMut(Item<'a>)) -> Option<()> {
        let slot = slot_of(reg)?;
        let words = len.div_ceil(4);
        for old in self.live.iter_mut().take(self.used) {
            if old.is_some_and(|o| o.slot < slot + words && slot < o.slot + o.len.div_ceil(4))
                && let Some(overwritten) = old.take()
            {
                give_up(&overwritten, emit);
            }
        }
        let at = self.live.iter().position(Option::is_none)?;
        self.used = self.used.max(at + 1);
        *self.live.get_mut(at)? = Some(Loaded { slot, len, what, mask: None, tested: false });
        Some(())
    }

    fn find(&mut self, reg: u32) -> Option<&mut Loaded> {
        let slot = slot_of(reg)?;
        self.live.iter_mut().take(self.used).flatten().find(|l| l.slot == slot)
    }

    fn bitwise<'a>(
        &mut self,
        sreg: u32,
        dreg: u32,
        mask: &[u8],
        xor: &[u8],
        emit: &mut impl FnMut(Item<'a>),
    ) -> Option<()> {
        if xor.iter().any(|b| *b != 0) {
            return None;
        }
        let mask = Data::new(mask)?;
        let source = *self.find(sreg)?;
        if source.mask.is_some()
            || source.len as usize != mask.as_bytes().len()
            || !matches!(source.what, Content::Field(_))
        {
            return None;
        }
        self.find(sreg)?.tested = true;
        self.load(dreg, source.len, source.what, emit)?;
        let all = mask.as_bytes().iter().all(|b| *b == 0xff);
        self.find(dreg)?.mask = if all { None } else { Some(mask) };
        Some(())
    }

    fn cmp<'a>(&mut self, op: u32, sreg: u32, data: &[u8], emit: &mut impl FnMut(Item<'a>)) -> Option<()> {
        let loaded = self.find(sreg)?;
        let Content::Field(field) = loaded.what else { return None };
        let data = Data::new(data)?;
        let (len, full) = (data.as_bytes().len(), loaded.len as usize);
        // An interface name may be compared in part: that is its prefix form.
        let is_name = matches!(field, Field::Meta(NFT_META_IIFNAME | NFT_META_OIFNAME));
        if len > full || len == 0 || (len < full && !is_name) {
            return None;
        }
        let all = |value: u8| len == full && data.as_bytes().iter().all(|b| *b == value);
        // True of every value: it says no more than the load itself (nft writes `0-1023` as `>= 0` and `<= 1023`).
        if (op == NFT_CMP_GTE && all(0)) || (op == NFT_CMP_LTE && all(0xff)) {
            return Some(());
        }
        loaded.tested = true;
        emit(Item::Cond(Cond { field, mask: loaded.mask, test: Test::Cmp { op, data } }));
        Some(())
    }

    fn range<'a>(&mut self, op: u32, sreg: u32, from: &[u8], to: &[u8], emit: &mut impl FnMut(Item<'a>)) -> Option<()> {
        let loaded = self.find(sreg)?;
        let Content::Field(field) = loaded.what else { return None };
        let negated = match op {
            NFT_RANGE_EQ => false,
            NFT_RANGE_NEQ => true,
            _ => return None,
        };
        if from.len() != loaded.len as usize || to.len() != from.len() {
            return None;
        }
        let test = Test::Range { negated, from: Data::new(from)?, to: Data::new(to)? };
        let whole = from.iter().all(|b| *b == 0) && to.iter().all(|b| *b == 0xff);
        if whole && !negated {
            return Some(());
        }
        loaded.tested = true;
        emit(Item::Cond(Cond { field, mask: loaded.mask, test }));
        Some(())
    }

    fn meta_set<'a>(&mut self, key: u32, sreg: u32, emit: &mut impl FnMut(Item<'a>)) -> Option<()> {
        let loaded = self.find(sreg)?;
        let Content::Value(value) = loaded.what else { return None };
        loaded.tested = true;
        emit(Item::MetaSet { key, value });
        Some(())
    }
}

/// A load that is overwritten or left at the end: said if nothing has looked at it.
fn give_up<'a>(loaded: &Loaded, emit: &mut impl FnMut(Item<'a>)) {
    if loaded.tested {
        return;
    }
    match loaded.what {
        Content::Field(field) => emit(Item::Cond(Cond { field, mask: loaded.mask, test: Test::Loaded })),
        Content::Value(_) => {}
    }
}

impl Cond {
    /// Cuts an `==` over several adjoining packet fields into one condition a field, each `(offset, len)` in bytes; `None` if it is not such.
    pub fn split(&self, at: u32) -> Option<(Self, Self)> {
        let Field::Payload { base, offset, len } = self.field else { return None };
        let (Test::Cmp { op: NFT_CMP_EQ, data }, true) = (&self.test, at > 0 && at < len) else { return None };
        let part = |from: u32, len: u32| {
            let mask = match &self.mask {
                Some(m) => Some(m.slice(from as usize, len as usize)?),
                None => None,
            };
            let data = data.slice(from as usize, len as usize)?;
            let mask = mask.filter(|m| m.as_bytes().iter().any(|b| *b != 0xff));
            Some(Self {
                field: Field::Payload { base, offset: offset + from, len },
                mask,
                test: Test::Cmp { op: NFT_CMP_EQ, data },
            })
        };
        Some((part(0, at)?, part(at, len - at)?))
    }
}

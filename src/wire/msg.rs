//! The messages of nf_tables as borrowed values: tables, chains, rules, sets, generations.

use super::consts::*;
use super::expr::Exprs;
use super::reader::Attrs;
use super::{DecodeError, DecodeErrorKind};

/// Splits `attrs` into the fields of a message: each known attribute type is decoded, each unknown one noted.
macro_rules! fields {
    ($attrs:expr, $unknown:expr, { $($ty:ident => |$a:ident| $set:expr),* $(,)? }) => {
        for attr in $attrs {
            let attr = attr?;
            match attr.ty {
                $($ty => { let $a = attr; $set })*
                _ => $unknown = true,
            }
        }
    };
}

/// A table (`NFT_MSG_NEWTABLE`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableMsg<'a> {
    /// Name.
    pub name: &'a [u8],
    /// `NFT_TABLE_F_*`.
    pub flags: u32,
    /// Number of chains, sets and objects inside.
    pub uses: u32,
    /// Handle, unique among all tables.
    pub handle: u64,
    /// Whether it carries attributes that this codec does not know.
    pub unknown: bool,
}

impl<'a> TableMsg<'a> {
    /// Decodes the attributes behind `nfgenmsg`.
    pub fn decode(attrs: &'a [u8]) -> Result<Self, DecodeError> {
        let mut t = Self::default();
        fields!(Attrs::new(attrs), t.unknown, {
            NFTA_TABLE_NAME => |a| t.name = a.text(),
            NFTA_TABLE_FLAGS => |a| t.flags = a.u32("NFTA_TABLE_FLAGS")?,
            NFTA_TABLE_USE => |a| t.uses = a.u32("NFTA_TABLE_USE")?,
            NFTA_TABLE_HANDLE => |a| t.handle = a.u64("NFTA_TABLE_HANDLE")?,
            NFTA_TABLE_PAD => |_a| (),
        });
        Ok(t)
    }
}

/// Where a base chain hangs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hook {
    /// `NF_INET_*`.
    pub num: u32,
    /// Priority; lower runs earlier.
    pub priority: i32,
}

/// A chain (`NFT_MSG_NEWCHAIN`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChainMsg<'a> {
    /// Table.
    pub table: &'a [u8],
    /// Name.
    pub name: &'a [u8],
    /// Handle, unique in the table.
    pub handle: u64,
    /// The hook of a base chain.
    pub hook: Option<Hook>,
    /// The policy of a base chain: `NF_ACCEPT` or `NF_DROP`.
    pub policy: Option<u32>,
    /// The type of a base chain: `filter`, `nat` or `route`.
    pub ty: Option<&'a [u8]>,
    /// Policy counters: packets, bytes.
    pub counters: Option<(u64, u64)>,
    /// Rules in it plus jumps to it.
    pub uses: u32,
    /// `NFT_CHAIN_*` flags.
    pub flags: u32,
}

impl<'a> ChainMsg<'a> {
    /// Decodes the attributes behind `nfgenmsg`.
    pub fn decode(attrs: &'a [u8]) -> Result<Self, DecodeError> {
        let mut c = Self::default();
        let mut _unknown = false;
        fields!(Attrs::new(attrs), _unknown, {
            NFTA_CHAIN_TABLE => |a| c.table = a.text(),
            NFTA_CHAIN_NAME => |a| c.name = a.text(),
            NFTA_CHAIN_HANDLE => |a| c.handle = a.u64("NFTA_CHAIN_HANDLE")?,
            NFTA_CHAIN_HOOK => |a| c.hook = Some(decode_hook(a.nested())?),
            NFTA_CHAIN_POLICY => |a| c.policy = Some(a.u32("NFTA_CHAIN_POLICY")?),
            NFTA_CHAIN_TYPE => |a| c.ty = Some(a.text()),
            NFTA_CHAIN_COUNTERS => |a| c.counters = Some(decode_counters(a.nested())?),
            NFTA_CHAIN_USE => |a| c.uses = a.u32("NFTA_CHAIN_USE")?,
            NFTA_CHAIN_FLAGS => |a| c.flags = a.u32("NFTA_CHAIN_FLAGS")?,
        });
        Ok(c)
    }
}

fn decode_hook(attrs: Attrs<'_>) -> Result<Hook, DecodeError> {
    let mut hook = Hook::default();
    let mut _unknown = false;
    fields!(attrs, _unknown, {
        NFTA_HOOK_HOOKNUM => |a| hook.num = a.u32("NFTA_HOOK_HOOKNUM")?,
        NFTA_HOOK_PRIORITY => |a| hook.priority = a.u32("NFTA_HOOK_PRIORITY")?.cast_signed(),
    });
    Ok(hook)
}

/// Packets and bytes of `NFTA_CHAIN_COUNTERS` (the attributes of a `counter` expression).
fn decode_counters(attrs: Attrs<'_>) -> Result<(u64, u64), DecodeError> {
    let (mut packets, mut bytes) = (0, 0);
    let mut _unknown = false;
    fields!(attrs, _unknown, {
        NFTA_COUNTER_PACKETS => |a| packets = a.u64("NFTA_COUNTER_PACKETS")?,
        NFTA_COUNTER_BYTES => |a| bytes = a.u64("NFTA_COUNTER_BYTES")?,
    });
    Ok((packets, bytes))
}

/// A rule (`NFT_MSG_NEWRULE`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RuleMsg<'a> {
    /// Table.
    pub table: &'a [u8],
    /// Chain.
    pub chain: &'a [u8],
    /// Handle, unique in the table; 0 in a request for a new rule.
    pub handle: u64,
    /// The handle of the rule before it (in a dump), or of the one before which it goes (in a request).
    pub position: Option<u64>,
    /// The payload of `NFTA_RULE_EXPRESSIONS`: the expressions as the kernel dumped them.
    pub exprs: &'a [u8],
    /// `NFTA_RULE_USERDATA`.
    pub userdata: Option<&'a [u8]>,
}

impl<'a> RuleMsg<'a> {
    /// Decodes the attributes behind `nfgenmsg`; a rule without a handle is an error.
    pub fn decode(attrs: &'a [u8]) -> Result<Self, DecodeError> {
        let r = Self::decode_request(attrs)?;
        if r.handle == 0 {
            return Err(DecodeError { at: 0, what: "NFTA_RULE_HANDLE", kind: DecodeErrorKind::Missing });
        }
        Ok(r)
    }

    /// Decodes the attributes of a request, in which a new rule has no handle.
    pub fn decode_request(attrs: &'a [u8]) -> Result<Self, DecodeError> {
        let mut r = Self::default();
        let mut _unknown = false;
        fields!(Attrs::new(attrs), _unknown, {
            NFTA_RULE_TABLE => |a| r.table = a.text(),
            NFTA_RULE_CHAIN => |a| r.chain = a.text(),
            NFTA_RULE_HANDLE => |a| r.handle = a.u64("NFTA_RULE_HANDLE")?,
            NFTA_RULE_POSITION => |a| r.position = Some(a.u64("NFTA_RULE_POSITION")?),
            NFTA_RULE_EXPRESSIONS => |a| r.exprs = a.payload,
            NFTA_RULE_USERDATA => |a| r.userdata = Some(a.payload),
        });
        Ok(r)
    }

    /// The expressions, in order.
    pub fn expressions(&self) -> Exprs<'a> {
        Exprs::new(self.exprs)
    }
}

/// A set or map (`NFT_MSG_NEWSET`), as far as telling that it is there needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetMsg<'a> {
    /// Table.
    pub table: &'a [u8],
    /// Name; the kernel makes `__set%d` for anonymous ones.
    pub name: &'a [u8],
    /// `NFT_SET_*`.
    pub flags: u32,
}

impl<'a> SetMsg<'a> {
    /// Decodes the attributes behind `nfgenmsg`.
    pub fn decode(attrs: &'a [u8]) -> Result<Self, DecodeError> {
        let mut s = Self::default();
        let mut _unknown = false;
        fields!(Attrs::new(attrs), _unknown, {
            NFTA_SET_TABLE => |a| s.table = a.text(),
            NFTA_SET_NAME => |a| s.name = a.text(),
            NFTA_SET_FLAGS => |a| s.flags = a.u32("NFTA_SET_FLAGS")?,
        });
        Ok(s)
    }
}

/// The generation id of the ruleset (`NFT_MSG_NEWGEN`).
pub fn decode_generation(attrs: &[u8]) -> Result<u32, DecodeError> {
    let mut id = None;
    let mut _unknown = false;
    fields!(Attrs::new(attrs), _unknown, {
        NFTA_GEN_ID => |a| id = Some(a.u32("NFTA_GEN_ID")?),
    });
    id.ok_or(DecodeError { at: 0, what: "NFTA_GEN_ID", kind: DecodeErrorKind::Missing })
}

/// The kernel's answer to a request that failed, or its acknowledgement (`NLMSG_ERROR`, `struct nlmsgerr`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorMsg<'a> {
    /// A positive error number; 0 if the request was done.
    pub errno: i32,
    /// Sequence number of the request.
    pub seq: u32,
    /// `NLMSGERR_ATTR_MSG`: the reason in words.
    pub message: Option<&'a [u8]>,
}

impl<'a> ErrorMsg<'a> {
    /// Decodes a message of type `NLMSG_ERROR`.
    pub fn decode(header: &super::Header<'a>) -> Result<Self, DecodeError> {
        let truncated = DecodeError { at: 0, what: "nlmsgerr", kind: DecodeErrorKind::Truncated };
        let [e0, e1, e2, e3, original @ ..] = header.payload else { return Err(truncated) };
        let errno = i32::from_ne_bytes([*e0, *e1, *e2, *e3]).saturating_neg();
        let [l0, l1, l2, l3, _, _, _, _, s0, s1, s2, s3, ..] = original else { return Err(truncated) };
        let seq = u32::from_ne_bytes([*s0, *s1, *s2, *s3]);
        let mut message = None;
        if header.flags & NLM_F_ACK_TLVS != 0 {
            let whole = u32::from_ne_bytes([*l0, *l1, *l2, *l3]) as usize;
            let skip =
                if header.flags & NLM_F_CAPPED != 0 { super::NLMSG_HEADER_LEN } else { whole.saturating_add(3) & !3 };
            // A reason that cannot be read is no reason to lose the error itself.
            let found = Attrs::new(original.get(skip..).unwrap_or_default())
                .map_while(Result::ok)
                .find(|a| a.ty == NLMSGERR_ATTR_MSG);
            message = found.map(|a| a.text());
        }
        Ok(Self { errno, seq, message })
    }
}

//! A set of ipset as rules use it: `NAME src,dst,…`, in the kernel an index, and for each dimension whether it is the source.
//!
//! Only an index is kept, as in the kernel, so that rules that name a set by whatever name are the same rule. A rule that is read without a
//! kernel keeps the name. Sources: iptables-extensions(8) "set", "SET"; `linux/netfilter/xt_set.h` (`struct xt_set_info`); fact sheet 3.4.

use super::options::{Given, UsageError};
use super::{ParseCx, PrintCx};
use crate::types::{Family, Out, SetAnswer, SetFamily};
use crate::usage;
use crate::wire::BlobWriter;

/// A set, and which of a packet's sides are looked up in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SetUse {
    set: SetRef,
    /// 1 to 6.
    dims: u8,
    /// Bit `1 << n` for dimension n (from 1) that is the source.
    sources: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum SetRef {
    Index(u16),
    Name(Box<[u8]>),
}

/// `IPSET_INVALID_ID`: no set.
const NO_SET: u16 = u16::MAX;
/// `IPSET_DIM_MAX`.
const DIM_MAX: usize = 6;
/// `IPSET_MAXNAMELEN`, without its NUL.
const NAME_MAX: usize = 31;

impl SetUse {
    /// Reads the two words of an option: a name and the sides. `option` is its name for the errors.
    pub fn read(given: &Given<'_>, option: &str, cx: &ParseCx<'_>) -> Result<Self, UsageError> {
        let name = given.text;
        let sides = given.second().map_err(|_| usage!("--{option} requires two args."))?;
        if name.len() > NAME_MAX {
            let text = [&b"setname `"[..], name, b"' too long, max 31 characters."].concat();
            return Err(UsageError::new(text));
        }
        let set = find(name, cx)?;
        let (mut dims, mut sources) = (0u8, 0u8);
        for (n, side) in sides.split(|b| *b == b',').enumerate() {
            if n == DIM_MAX {
                return Err(usage!("Can't be more src/dst options than {DIM_MAX}."));
            }
            dims += 1;
            match side {
                b"src" => sources |= 1 << dims,
                b"dst" => {}
                _ => return Err(usage!("You must spefify (the comma separated list of) 'src' or 'dst'.")),
            }
        }
        Ok(Self { set, dims, sources })
    }

    /// Prints both words, each with a blank in front. A set whose name cannot be found out is printed as `[INDEX]`.
    pub fn print(&self, out: &mut Out, cx: &PrintCx<'_>) {
        match &self.set {
            SetRef::Name(name) => out.word(name),
            SetRef::Index(index) => match cx.names.set_name(*index) {
                Some(name) => out.word(&name),
                None => write!(out, " [{index}]"),
            },
        }
        for dim in 1..=self.dims {
            out.byte(if dim == 1 { b' ' } else { b',' });
            out.str(if self.sources & 1 << dim != 0 { "src" } else { "dst" });
        }
    }

    /// Writes `struct xt_set_info` (4 bytes); `first_bit` is put in beside the sides (`IPSET_INV_MATCH`).
    pub fn blob(this: Option<&Self>, first_bit: bool, b: &mut BlobWriter<'_>) {
        let index = match this.map(|u| &u.set) {
            Some(SetRef::Index(index)) => *index,
            _ => NO_SET,
        };
        b.u16(index);
        b.u8(this.map_or(0, |u| u.dims));
        b.u8(this.map_or(0, |u| u.sources) | u8::from(first_bit));
    }

    /// Reads `struct xt_set_info`: the set, `Some(None)` if there is none, and the first bit.
    pub fn decode(info: [u8; 4]) -> Option<(Option<Self>, bool)> {
        let [a, b, dims, flags] = info;
        let index = u16::from_ne_bytes([a, b]);
        if index == NO_SET {
            return (dims == 0 && flags == 0).then_some((None, false));
        }
        let sources = flags & !1;
        let known = (1..=DIM_MAX).contains(&usize::from(dims)) && sources >> dims >> 1 == 0;
        known.then_some((Some(Self { set: SetRef::Index(index), dims, sources }), flags & 1 != 0))
    }
}

/// Looks the set up, as stock does while it reads the option.
fn find(name: &[u8], cx: &ParseCx<'_>) -> Result<SetRef, UsageError> {
    let said = |before: &str, after: &str| UsageError::new([before.as_bytes(), name, after.as_bytes()].concat());
    match cx.names.set(name) {
        SetAnswer::Found { members: SetFamily::Ip(family), .. } if family != cx.family => {
            let members = match family {
                Family::V4 => "IPv4",
                Family::V6 => "IPv6",
            };
            Err(said("The protocol family of set ", &format!(" is {members}, which is not applicable.\n")))
        }
        SetAnswer::Found { index, .. } => Ok(SetRef::Index(index)),
        SetAnswer::Unasked => Ok(SetRef::Name(name.into())),
        SetAnswer::Missing => Err(said("Set ", " doesn't exist.\n")),
        SetAnswer::Forbidden => Err(UsageError(b"Can't open socket to ipset.\n".to_vec(), 1)),
        SetAnswer::Unsupported => Err(UsageError(
            b"The kernel has no ipset (CONFIG_IP_SET, module ip_set, Linux 5.0 or later).\n".to_vec(),
            1,
        )),
        SetAnswer::Failed(why) => Err(UsageError(format!("Can't ask for the set: {why}.\n").into_bytes(), 1)),
    }
}

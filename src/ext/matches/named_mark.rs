//! What `realm` and `devgroup` share: a number under a mask, or a name from one of iproute2's files.
//!
//! The text is `value[/mask]`, or a name alone; a number goes before a name. A number without a mask is printed by its name where the file has
//! one, but only if that name means the same number when it is read again. Sources: iptables-extensions(8) "realm", "devgroup"; observed with
//! stock 1.8.9.

use crate::ext::ParseCx;
use crate::ext::options::{UsageError, leading_number, usage_bytes};
use crate::types::{Names, NumberList, Out};
use crate::usage;

/// A number and the mask under which it is compared, host order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NamedMark {
    /// The number.
    pub value: u32,
    /// The mask; all ones if there is none.
    pub mask: u32,
}

impl NamedMark {
    /// Nothing asked.
    pub const ZERO: Self = Self { value: 0, mask: 0 };

    /// Reads the value of option `opt` of extension `ext`, with names from this list.
    pub fn parse(text: &[u8], list: NumberList, cx: &ParseCx<'_>, ext: &str, opt: &str) -> Result<Self, UsageError> {
        let bad = || usage!("{ext}: bad integer value for option \"--{opt}\", or out of range.\n");
        match leading(text) {
            Some((value, [])) => Ok(Self { value, mask: u32::MAX }),
            Some((value, [b'/', mask @ ..])) => match leading(mask).ok_or_else(bad)? {
                (mask, []) => Ok(Self { value, mask }),
                _ => Err(usage!("{ext}: trailing garbage after value for option \"--{opt}\".\n")),
            },
            _ if cx.names.number_list_error(list).is_some() => Err(bad()),
            _ => {
                let value = cx.names.number(list, text).ok_or_else(|| {
                    let before = format!("{ext}: could not map name ");
                    usage_bytes(&before, text, &format!(" to an integer value for option \"--{opt}\".\n"))
                })?;
                Ok(Self { value, mask: u32::MAX })
            }
        }
    }

    /// Prints it; by its name where there is one, unless `numeric`.
    pub fn print(self, out: &mut Out, list: NumberList, names: &dyn Names, numeric: bool) {
        match if numeric { None } else { self.name(list, names) } {
            Some(name) => out.bytes(&name),
            None => write!(out, "{:#x}", self.value),
        }
        if self.mask != u32::MAX {
            write!(out, "/{:#x}", self.mask);
        }
    }

    /// The name by which it can be read again.
    fn name(self, list: NumberList, names: &dyn Names) -> Option<Vec<u8>> {
        let name = names.number_name(list, self.value).filter(|_| self.mask == u32::MAX)?;
        let same = match leading(&name) {
            Some((value, [])) => value == self.value,
            Some((_, [b'/', ..])) => false,
            _ => names.number(list, &name) == Some(self.value),
        };
        (same && Out::is_word(&name)).then_some(name)
    }

    /// Prints the test in the words of nft(8): `KEY VALUE`, `KEY and MASK == VALUE`. A name that nft might read otherwise is a number.
    pub fn translate(self, out: &mut Out, key: &str, negated: bool, list: NumberList, names: &dyn Names) {
        out.str(key);
        if self.mask != u32::MAX {
            write!(out, " and {:#x} {} {:#x}", self.mask, if negated { "!=" } else { "==" }, self.value);
            return;
        }
        out.str(if negated { " != " } else { " " });
        let plain = |name: &[u8]| {
            name.first().is_some_and(u8::is_ascii_alphabetic)
                && name.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        };
        let name = self.name(list, names).is_none_or(|name| plain(&name));
        self.print(out, list, names, !name);
    }
}

/// A u32 at the front of a text and what stands behind it.
fn leading(text: &[u8]) -> Option<(u32, &[u8])> {
    let (n, rest) = leading_number(text)?;
    Some((u32::try_from(n).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::SomeNames;
    use crate::types::{Family, NoNames};

    fn read(text: &str, names: &dyn Names) -> Result<NamedMark, String> {
        let cx = ParseCx { family: Family::V4, names, protocol: None };
        let read = NamedMark::parse(text.as_bytes(), NumberList::DeviceGroups, &cx, "devgroup", "src-group");
        read.map_err(|e| String::from_utf8_lossy(&e.0).into_owned())
    }

    #[test]
    fn values_as_stock_reads_and_prints_them() {
        for (text, save, words) in [
            ("0", "default", "g default"),
            ("lan", "lan", "g lan"),
            ("2", "wan", "g wan"),
            ("7", "0x7", "g 0x7"),
            ("1/3", "0x1/0x3", "g and 0x3 == 0x1"),
            ("0x10/0xffffffff", "0x10", "g 0x10"),
            ("+5", "0x5", "g 0x5"),
        ] {
            let mark = read(text, &SomeNames).unwrap();
            let (mut out, mut nft) = (Out::new(), Out::new());
            mark.print(&mut out, NumberList::DeviceGroups, &SomeNames, false);
            mark.translate(&mut nft, "g", false, NumberList::DeviceGroups, &SomeNames);
            assert_eq!((out.as_bytes(), nft.as_bytes()), (save.as_bytes(), words.as_bytes()), "{text}");
        }
    }

    #[test]
    fn stocks_words_for_what_it_does_not_take() {
        let unmapped =
            |s: &str| format!("devgroup: could not map name {s} to an integer value for option \"--src-group\".\n");
        let bad = "devgroup: bad integer value for option \"--src-group\", or out of range.\n".to_owned();
        for text in ["nosuch", "", "5x", "lan/3", "-1", "4294967296", "/5", "LAN"] {
            assert_eq!(read(text, &SomeNames), Err(unmapped(text)));
        }
        for text in ["5/", "5/x", "5/4294967296"] {
            assert_eq!(read(text, &SomeNames), Err(bad.clone()));
        }
        let garbage = "devgroup: trailing garbage after value for option \"--src-group\".\n";
        assert_eq!(read("5/6/7", &SomeNames), Err(garbage.into()));
        assert_eq!(read("lan", &NoNames), Err(bad), "without the file");
    }
}

//! The values of the byte that IPv4 calls TOS and IPv6 traffic class: DiffServ classes for `dscp` and `DSCP`, names and masks for `tos` and
//! `TOS`. Stock takes the names in any mixture of cases and in full only.
//!
//! Sources: iptables-extensions(8) "dscp", "tos", "DSCP", "TOS"; RFC 2474 §4.2.2 (CSx), RFC 2597 §6 (AFxy), RFC 3246 (EF); measured.

use super::options::{UsageError, leading_number, number, usage_bytes};
use crate::types::Family;
use crate::wire::ExprWriter;
use crate::wire::consts::{NFT_PAYLOAD_CSUM_INET, NFT_PAYLOAD_NETWORK_HEADER};
use crate::wire::native::Checksum;

/// The DiffServ classes: name and codepoint, 0 to 63.
pub const DSCP_CLASSES: &[(&str, u8)] = &[
    ("CS0", 0x00),
    ("CS1", 0x08),
    ("CS2", 0x10),
    ("CS3", 0x18),
    ("CS4", 0x20),
    ("CS5", 0x28),
    ("CS6", 0x30),
    ("CS7", 0x38),
    ("BE", 0x00),
    ("AF11", 0x0a),
    ("AF12", 0x0c),
    ("AF13", 0x0e),
    ("AF21", 0x12),
    ("AF22", 0x14),
    ("AF23", 0x16),
    ("AF31", 0x1a),
    ("AF32", 0x1c),
    ("AF33", 0x1e),
    ("AF41", 0x22),
    ("AF42", 0x24),
    ("AF43", 0x26),
    ("EF", 0x2e),
];

/// Examples of all classes, for the option tables.
pub const DSCP_CLASS_EXAMPLES: &[&str] = &[
    "EF", "be", "CS0", "CS1", "cs2", "CS3", "CS4", "CS5", "CS6", "CS7", "AF11", "af12", "AF13", "AF21", "AF22", "AF23",
    "AF31", "AF32", "AF33", "AF41", "AF42", "AF43",
];

/// The named values of TOS, each under the mask [`TOS_NAME_MASK`]. The `-L` form has the names too.
pub const TOS_NAMES: &[(&str, u8)] = &[
    ("Minimize-Delay", 0x10),
    ("Maximize-Throughput", 0x08),
    ("Maximize-Reliability", 0x04),
    ("Minimize-Cost", 0x02),
    ("Normal-Service", 0x00),
];

/// The mask that goes with a name.
pub const TOS_NAME_MASK: u8 = 0x3f;

/// The names for the help.
pub const TOS_NOTES: &[(&str, &str)] = &[
    ("Minimize-Delay", "16 (0x10) under the mask 0x3f, as all of these"),
    ("Maximize-Throughput", "8 (0x08)"),
    ("Maximize-Reliability", "4 (0x04)"),
    ("Minimize-Cost", "2 (0x02)"),
    ("Normal-Service", "0 (0x00)"),
];

/// The codepoint of a class, 0 to 63.
pub fn dscp_class(text: &[u8]) -> Result<u8, UsageError> {
    let class = DSCP_CLASSES.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(text));
    class.map(|(_, value)| *value).ok_or_else(|| usage_bytes("Invalid DSCP value `", text, "'"))
}

/// `value[/mask]`, 0 to 255 each, or a name; without a mask it is 0xff.
pub fn tos(text: &[u8]) -> Result<(u8, u8), UsageError> {
    let byte = |n: u64| u8::try_from(n).ok();
    let Some((value, rest)) = leading_number(text).and_then(|(n, rest)| Some((byte(n)?, rest))) else {
        let named = TOS_NAMES.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(text));
        return match named {
            Some((_, value)) => Ok((*value, TOS_NAME_MASK)),
            None => Err(usage_bytes("Symbolic name \"", text, "\" is unknown")),
        };
    };
    let mask = match rest {
        [] => Some(0xff),
        [b'/', mask @ ..] => number(mask, 0, 255).and_then(byte),
        _ => None,
    };
    mask.map(|mask| (value, mask)).ok_or_else(|| usage_bytes("Illegal value: \"", text, "\""))
}

/// The name under which a value and mask are listed, if they have one.
pub fn tos_name(value: u8, mask: u8) -> Option<&'static str> {
    TOS_NAMES.iter().find(|(_, named)| mask == TOS_NAME_MASK && *named == value).map(|(name, _)| *name)
}

/// Native expressions for `byte = (byte & !mask) ^ value`, as `DSCP` and `TOS` change it: the two bytes that hold it are loaded, changed and
/// written, in IPv4 with the header's checksum. They decide nothing.
pub fn rewrite(family: Family, mask: u8, value: u8, x: &mut ExprWriter<'_>) {
    let (keep, set, checksum) = match family {
        Family::V4 => ([0xff, !mask], [0, value], Checksum { ty: NFT_PAYLOAD_CSUM_INET, offset: 10, flags: 0 }),
        Family::V6 => ([0xf0 | !mask >> 4, !mask << 4 | 0x0f], [value >> 4, value << 4], Checksum::default()),
    };
    x.payload(NFT_PAYLOAD_NETWORK_HEADER, 0, 2);
    x.bitwise(&keep, &set);
    x.payload_write(NFT_PAYLOAD_NETWORK_HEADER, 0, 2, checksum);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_as_stock_reads_them() {
        assert_eq!(dscp_class(b"aF11"), Ok(10));
        assert_eq!(dscp_class(b"LE"), Err(UsageError::new("Invalid DSCP value `LE'")));
        for (text, value) in [
            ("0x10", (16, 255)),
            (" 1/2", (1, 2)),
            ("0xff/0", (255, 0)),
            ("minimize-COST", (2, 0x3f)),
            ("Normal-Service", (0, 0x3f)),
        ] {
            assert_eq!(tos(text.as_bytes()), Ok(value), "{text}");
        }
        for text in ["0x10/", "1/256", "1/x", "1x", "1/2/3", "08"] {
            assert_eq!(tos(text.as_bytes()), Err(UsageError::new(format!("Illegal value: \"{text}\""))));
        }
        for text in ["", "256", "-1", "MIN", "Minimize-Cost/1"] {
            let error = format!("Symbolic name \"{text}\" is unknown");
            assert_eq!(tos(text.as_bytes()), Err(UsageError::new(error)));
        }
        assert_eq!((tos_name(0x10, 0x3f), tos_name(0x10, 0xff)), (Some("Minimize-Delay"), None));
    }
}

//! Text under construction: bytes, because names, comments and prefixes need not be UTF-8.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// An append-only text buffer; writing to it cannot fail. `write!(out, …)` works and yields `()`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Out(Vec<u8>);

impl Out {
    /// An empty text.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Appends text.
    pub fn str(&mut self, s: &str) {
        self.0.extend_from_slice(s.as_bytes());
    }

    /// Appends bytes as they are.
    pub fn bytes(&mut self, b: &[u8]) {
        self.0.extend_from_slice(b);
    }

    /// Appends one byte.
    pub fn byte(&mut self, b: u8) {
        self.0.push(b);
    }

    /// Appends a decimal number; faster than formatting.
    pub fn dec(&mut self, mut n: u64) {
        let mut digits = [0u8; 20];
        let mut at = digits.len();
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (n % 10) as u8;
            at -= 1;
            n /= 10;
            if n == 0 {
                break;
            }
        }
        self.0.extend_from_slice(digits.get(at..).unwrap_or_default());
    }

    /// Appends an address as inet_ntop(3) of glibc writes it: as Rust does, but `::1.2.3.4` for one whose first 96 bits only are zero.
    pub fn addr(&mut self, addr: IpAddr) {
        match addr {
            IpAddr::V6(v6) => match v6.segments() {
                [0, 0, 0, 0, 0, 0, high, low] if high != 0 => {
                    write!(self, "::{}", Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low)));
                }
                _ => write!(self, "{v6}"),
            },
            IpAddr::V4(v4) => {
                for (i, octet) in v4.octets().into_iter().enumerate() {
                    if i > 0 {
                        self.byte(b'.');
                    }
                    self.dec(octet.into());
                }
            }
        }
    }

    /// Makes `write!(out, …)` work without a result to handle.
    pub fn write_fmt(&mut self, args: fmt::Arguments<'_>) {
        struct Sink<'a>(&'a mut Vec<u8>);
        impl fmt::Write for Sink<'_> {
            fn write_str(&mut self, s: &str) -> fmt::Result {
                self.0.extend_from_slice(s.as_bytes());
                Ok(())
            }
        }
        // The sink never fails; a `Display` that does loses only its own text.
        let _ = fmt::write(&mut Sink(&mut self.0), args);
    }

    /// Appends a string of a rule as `iptables-save` writes it (fact sheet 3.5): bare if every byte is one of
    /// `A-Za-z0-9_-`, else in double quotes with `"`, `\` and `'` escaped by a backslash; everything else is raw.
    /// A blank goes in front.
    pub fn quoted(&mut self, s: &[u8]) {
        self.byte(b' ');
        let bare = !s.is_empty() && s.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_' || *b == b'-');
        if bare {
            self.bytes(s);
            return;
        }
        self.byte(b'"');
        for &b in s {
            if matches!(b, b'"' | b'\\' | b'\'') {
                self.byte(b'\\');
            }
            self.byte(b);
        }
        self.byte(b'"');
    }

    /// Appends a name as it is, with a blank in front; in double quotes only if the save format would not read it as one word otherwise.
    /// (Stock never quotes a name, so that such a rule of its own cannot be loaded again.)
    pub fn word(&mut self, s: &[u8]) {
        if Self::is_word(s) {
            self.byte(b' ');
            self.bytes(s);
        } else {
            self.quoted(s);
        }
    }

    /// Whether the save format reads it as one word if it stands there as it is.
    pub fn is_word(s: &[u8]) -> bool {
        !s.is_empty() && !s.iter().any(|b| b.is_ascii_whitespace() || *b == b'"')
    }

    /// What has been written so far.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Pads with blanks until `width` bytes stand behind `from`.
    pub fn pad_from(&mut self, from: usize, width: usize) {
        while self.0.len() < from.saturating_add(width) {
            self.0.push(b' ');
        }
    }

    /// Empties the text and keeps its room.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Cuts the text back to `len` bytes.
    pub fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    /// The bytes written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::Out;

    #[test]
    fn addresses_as_inet_ntop_writes_them() {
        for addr in
            ["10.0.0.1", "::", "::1", "::80", "::0.1.0.128", "::1.2.3.4", "::ffff:1.2.3.4", "1:0:0:2::", "1:0:2::"]
        {
            let mut out = Out::new();
            out.addr(addr.parse().unwrap());
            assert_eq!(out.as_bytes(), addr.as_bytes());
        }
    }

    #[test]
    fn numbers_and_quotes() {
        let mut out = Out::new();
        out.dec(0);
        out.dec(u64::MAX);
        out.quoted(b"a_b-9");
        out.quoted(b"");
        out.quoted(b"it's \"x\"\\");
        assert_eq!(out.as_bytes(), b"018446744073709551615 a_b-9 \"\" \"it\\'s \\\"x\\\"\\\\\"".as_slice());
    }
}

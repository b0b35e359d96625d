//! Borrowed reading of netlink attributes (`struct nlattr`, `linux/netlink.h`).

use super::error::{DecodeError, DecodeErrorKind};

/// One attribute: its type without the flag bits, and its payload without padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attr<'a> {
    /// Type, `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER` masked off.
    pub ty: u16,
    /// Payload, without header and padding.
    pub payload: &'a [u8],
    /// Offset of the attribute's header in bytes from the start of its parent.
    pub at: usize,
}

pub(super) const NLA_TYPE_MASK: u16 = 0x3fff;
const NLA_HDRLEN: usize = 4;

impl<'a> Attr<'a> {
    fn exactly<const N: usize>(&self, what: &'static str) -> Result<[u8; N], DecodeError> {
        self.payload.try_into().map_err(|_| DecodeError { at: self.at, what, kind: DecodeErrorKind::BadLength })
    }

    /// A one-byte number.
    pub fn u8(&self, what: &'static str) -> Result<u8, DecodeError> {
        self.exactly::<1>(what).map(|[b]| b)
    }

    /// A big-endian u16.
    pub fn u16(&self, what: &'static str) -> Result<u16, DecodeError> {
        self.exactly(what).map(u16::from_be_bytes)
    }

    /// A big-endian u32.
    pub fn u32(&self, what: &'static str) -> Result<u32, DecodeError> {
        self.exactly(what).map(u32::from_be_bytes)
    }

    /// A big-endian u64.
    pub fn u64(&self, what: &'static str) -> Result<u64, DecodeError> {
        self.exactly(what).map(u64::from_be_bytes)
    }

    /// A string up to its NUL (or to the end, if there is none).
    pub fn text(&self) -> &'a [u8] {
        self.payload.split(|b| *b == 0).next().unwrap_or_default()
    }

    /// The attributes inside.
    pub fn nested(&self) -> Attrs<'a> {
        Attrs::new(self.payload)
    }
}

/// Iterates over a run of attributes; ends after the first error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attrs<'a> {
    buf: &'a [u8],
    at: usize,
}

impl<'a> Attrs<'a> {
    /// The attributes of `buf`.
    pub fn new(buf: &'a [u8]) -> Self {
        Self { buf, at: 0 }
    }

    /// The bytes not yet read.
    pub fn rest(&self) -> &'a [u8] {
        self.buf
    }

    fn take(&mut self) -> Result<Attr<'a>, DecodeErrorKind> {
        let [l0, l1, t0, t1, ..] = *self.buf else { return Err(DecodeErrorKind::Truncated) };
        let len = usize::from(u16::from_ne_bytes([l0, l1]));
        let ty = u16::from_ne_bytes([t0, t1]) & NLA_TYPE_MASK;
        if len < NLA_HDRLEN {
            return Err(DecodeErrorKind::BadLength);
        }
        let payload = self.buf.get(NLA_HDRLEN..len).ok_or(DecodeErrorKind::Truncated)?;
        let at = self.at;
        let step = len.next_multiple_of(4).min(self.buf.len());
        self.buf = self.buf.get(step..).unwrap_or_default();
        self.at += step;
        Ok(Attr { ty, payload, at })
    }
}

impl<'a> Iterator for Attrs<'a> {
    type Item = Result<Attr<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.buf.is_empty() {
            return None;
        }
        let at = self.at;
        Some(self.take().map_err(|kind| {
            self.buf = &[];
            DecodeError { at, what: "nlattr", kind }
        }))
    }
}

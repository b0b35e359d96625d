//! Message headers: `struct nlmsghdr` and `struct nfgenmsg`.

use super::error::{DecodeError, DecodeErrorKind};

/// Length of `nlmsghdr` in bytes.
pub const NLMSG_HEADER_LEN: usize = 16;

/// One message of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Message type, host order.
    pub ty: u16,
    /// `NLM_F_*`.
    pub flags: u16,
    /// Sequence number of the request that it answers.
    pub seq: u32,
    /// Port id of the socket that it is for.
    pub port: u32,
    /// Everything behind `nlmsghdr`.
    pub payload: &'a [u8],
}

impl<'a> Header<'a> {
    /// The `nfgenmsg` family and the attributes behind it.
    pub fn nfgen(&self) -> Result<(u8, &'a [u8]), DecodeError> {
        match self.payload {
            [family, _version, _, _, attrs @ ..] => Ok((*family, attrs)),
            _ => Err(DecodeError { at: 0, what: "nfgenmsg", kind: DecodeErrorKind::Truncated }),
        }
    }
}

/// Iterates over the messages of a datagram; ends after the first error.
#[derive(Clone, Debug)]
pub struct MessageIter<'a> {
    buf: &'a [u8],
    at: usize,
}

impl<'a> MessageIter<'a> {
    /// The messages of `buf`.
    pub fn new(buf: &'a [u8]) -> Self {
        Self { buf, at: 0 }
    }

    fn take(&mut self) -> Result<Header<'a>, DecodeErrorKind> {
        let [l0, l1, l2, l3, t0, t1, f0, f1, s0, s1, s2, s3, p0, p1, p2, p3, ..] = *self.buf else {
            return Err(DecodeErrorKind::Truncated);
        };
        let len = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).map_err(|_| DecodeErrorKind::BadLength)?;
        if len < NLMSG_HEADER_LEN {
            return Err(DecodeErrorKind::BadLength);
        }
        let payload = self.buf.get(NLMSG_HEADER_LEN..len).ok_or(DecodeErrorKind::Truncated)?;
        let step = len.next_multiple_of(4).min(self.buf.len());
        self.buf = self.buf.get(step..).unwrap_or_default();
        self.at += step;
        Ok(Header {
            ty: u16::from_ne_bytes([t0, t1]),
            flags: u16::from_ne_bytes([f0, f1]),
            seq: u32::from_ne_bytes([s0, s1, s2, s3]),
            port: u32::from_ne_bytes([p0, p1, p2, p3]),
            payload,
        })
    }
}

impl<'a> Iterator for MessageIter<'a> {
    type Item = Result<Header<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.buf.is_empty() {
            return None;
        }
        let at = self.at;
        Some(self.take().map_err(|kind| {
            self.buf = &[];
            DecodeError { at, what: "nlmsghdr", kind }
        }))
    }
}

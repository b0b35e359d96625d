//! Append-only encoding of netlink messages: lengths are patched when a message or a nest is closed.

use super::consts::{NFNETLINK_V0, NLA_F_NESTED};

/// A place where a length is to be patched.
#[derive(Clone, Copy, Debug)]
#[must_use = "an open message or nest has no length yet"]
pub struct Mark(usize);

/// Writes messages one after another into one buffer. An attribute or nest over 65,535 bytes sets [`Writer::overflowed`],
/// which whoever sends must check.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    buf: Vec<u8>,
    overflowed: bool,
}

impl Writer {
    /// An empty buffer.
    pub const fn new() -> Self {
        Self { buf: Vec::new(), overflowed: false }
    }

    /// What has been written.
    pub fn as_bytes(&self) -> &[u8] {
        &self.buf
    }

    /// What has been written so far, to change bytes in place.
    pub fn as_bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buf
    }

    /// The bytes written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.buf
    }

    /// Length in bytes of what has been written.
    pub fn len(&self) -> usize {
        self.buf.len()
    }

    /// Whether nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.buf.is_empty()
    }

    /// Empties the buffer and keeps its room.
    pub fn clear(&mut self) {
        self.buf.clear();
        self.overflowed = false;
    }

    /// Cuts back to `len` bytes, to undo messages; `overflowed` is what [`Self::overflowed`] said then.
    pub fn rewind(&mut self, len: usize, overflowed: bool) {
        self.buf.truncate(len);
        self.overflowed = overflowed;
    }

    /// Whether some length did not fit its field; the buffer must then not be sent.
    pub fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// Opens a message: `nlmsghdr` alone. `ty`, `flags`, `seq` in host order; the port id is 0 (the kernel's).
    pub fn begin_raw(&mut self, ty: u16, flags: u16, seq: u32) -> Mark {
        let mark = Mark(self.buf.len());
        self.buf.extend_from_slice(&0u32.to_ne_bytes());
        self.buf.extend_from_slice(&ty.to_ne_bytes());
        self.buf.extend_from_slice(&flags.to_ne_bytes());
        self.buf.extend_from_slice(&seq.to_ne_bytes());
        self.buf.extend_from_slice(&0u32.to_ne_bytes());
        mark
    }

    /// Opens an nfnetlink message: `nlmsghdr` and `nfgenmsg` (`res_id` is big-endian on the wire).
    pub fn begin(&mut self, ty: u16, flags: u16, seq: u32, family: u8, res_id: u16) -> Mark {
        let mark = self.begin_raw(ty, flags, seq);
        self.buf.push(family);
        self.buf.push(NFNETLINK_V0);
        self.buf.extend_from_slice(&res_id.to_be_bytes());
        mark
    }

    /// Closes a message: patches its length.
    pub fn end(&mut self, mark: Mark) {
        let len = self.buf.len().saturating_sub(mark.0);
        match (u32::try_from(len), self.buf.get_mut(mark.0..mark.0 + 4)) {
            (Ok(len), Some(field)) => field.copy_from_slice(&len.to_ne_bytes()),
            _ => self.overflowed = true,
        }
    }

    /// Appends bytes as they are (already aligned), such as attributes copied from a dump.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
        self.align();
    }

    /// An attribute with this payload.
    pub fn attr(&mut self, ty: u16, payload: &[u8]) {
        let Ok(len) = u16::try_from(payload.len() + 4) else {
            self.overflowed = true;
            return;
        };
        self.buf.extend_from_slice(&len.to_ne_bytes());
        self.buf.extend_from_slice(&ty.to_ne_bytes());
        self.buf.extend_from_slice(payload);
        self.align();
    }

    /// A one-byte attribute.
    pub fn u8(&mut self, ty: u16, v: u8) {
        self.attr(ty, &[v]);
    }

    /// A big-endian u16 attribute.
    pub fn u16(&mut self, ty: u16, v: u16) {
        self.attr(ty, &v.to_be_bytes());
    }

    /// A big-endian u32 attribute.
    pub fn u32(&mut self, ty: u16, v: u32) {
        self.attr(ty, &v.to_be_bytes());
    }

    /// A big-endian u64 attribute.
    pub fn u64(&mut self, ty: u16, v: u64) {
        self.attr(ty, &v.to_be_bytes());
    }

    /// A string attribute; the NUL is added.
    pub fn text(&mut self, ty: u16, s: &[u8]) {
        let Ok(len) = u16::try_from(s.len() + 5) else {
            self.overflowed = true;
            return;
        };
        self.buf.extend_from_slice(&len.to_ne_bytes());
        self.buf.extend_from_slice(&ty.to_ne_bytes());
        self.buf.extend_from_slice(s);
        self.buf.push(0);
        self.align();
    }

    /// Opens a nested attribute.
    pub fn nest(&mut self, ty: u16) -> Mark {
        let mark = Mark(self.buf.len());
        self.buf.extend_from_slice(&0u16.to_ne_bytes());
        self.buf.extend_from_slice(&(ty | NLA_F_NESTED).to_ne_bytes());
        mark
    }

    /// Opens an attribute whose payload is a blob of host-order fields; see [`BlobWriter`].
    pub fn open(&mut self, ty: u16) -> Mark {
        let mark = Mark(self.buf.len());
        self.buf.extend_from_slice(&0u16.to_ne_bytes());
        self.buf.extend_from_slice(&ty.to_ne_bytes());
        mark
    }

    /// Closes a nested attribute or a blob: patches its length and aligns.
    pub fn close(&mut self, mark: Mark) {
        let len = self.buf.len().saturating_sub(mark.0);
        match (u16::try_from(len), self.buf.get_mut(mark.0..mark.0 + 2)) {
            (Ok(len), Some(field)) => field.copy_from_slice(&len.to_ne_bytes()),
            _ => self.overflowed = true,
        }
        self.align();
    }

    /// A writer of host-order fields at the end of the buffer.
    pub fn blob(&mut self) -> BlobWriter<'_> {
        BlobWriter::new(&mut self.buf)
    }

    fn align(&mut self) {
        while !self.buf.len().is_multiple_of(4) {
            self.buf.push(0);
        }
    }
}

/// Writes the fields of an xt extension's C struct one after another: host byte order, explicit padding, and in the end
/// zeros up to a multiple of 8 (`XT_ALIGN`, `linux/netfilter/x_tables.h`).
#[derive(Debug)]
pub struct BlobWriter<'a> {
    buf: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> BlobWriter<'a> {
    /// Appends to `buf`.
    pub fn new(buf: &'a mut Vec<u8>) -> Self {
        let start = buf.len();
        Self { buf, start }
    }

    /// A byte.
    pub fn u8(&mut self, v: u8) {
        self.buf.push(v);
    }

    /// A host-order u16.
    pub fn u16(&mut self, v: u16) {
        self.buf.extend_from_slice(&v.to_ne_bytes());
    }

    /// A host-order u32.
    pub fn u32(&mut self, v: u32) {
        self.buf.extend_from_slice(&v.to_ne_bytes());
    }

    /// A host-order u64.
    pub fn u64(&mut self, v: u64) {
        self.buf.extend_from_slice(&v.to_ne_bytes());
    }

    /// Bytes as they are: addresses and ports in network order, names.
    pub fn bytes(&mut self, b: &[u8]) {
        self.buf.extend_from_slice(b);
    }

    /// Bytes cut to, or filled with zeros up to, `len` bytes: `char name[len]`.
    pub fn fixed(&mut self, b: &[u8], len: usize) {
        let taken = b.get(..len).unwrap_or(b);
        self.buf.extend_from_slice(taken);
        self.zeros(len - taken.len());
    }

    /// `n` zero bytes: padding, or fields private to the kernel.
    pub fn zeros(&mut self, n: usize) {
        self.buf.resize(self.buf.len() + n, 0);
    }

    /// Zeros up to the next multiple of `n` bytes from the blob's start.
    pub fn align(&mut self, n: usize) {
        let len = (self.buf.len() - self.start).next_multiple_of(n);
        self.buf.resize(self.start + len, 0);
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.buf.len() - self.start
    }

    /// Whether nothing has been written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

//! The message that says how a traced packet went through a chain (`NFT_MSG_TRACE`).
//!
//! Source: `linux/netfilter/nf_tables.h`, `enum nft_trace_attributes`.

use super::consts::*;
use super::{Attrs, DecodeError};

/// A trace message; what it does not carry is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceMsg<'a> {
    /// Table.
    pub table: &'a [u8],
    /// Chain.
    pub chain: &'a [u8],
    /// The rule's handle, where it is about a rule.
    pub handle: u64,
    /// `NFT_TRACETYPE_*`.
    pub kind: u32,
    /// The verdict's code (`NF_ACCEPT`, `NFT_JUMP` as u32 …), and the chain of a jump or goto.
    pub verdict: Option<(u32, &'a [u8])>,
    /// The same for all messages about one packet.
    pub id: u32,
    /// The link layer's header.
    pub link: Option<&'a [u8]>,
    /// The network header, with options and extension headers.
    pub network: Option<&'a [u8]>,
    /// The beginning of the transport header, at most 20 bytes.
    pub transport: Option<&'a [u8]>,
    /// Index of the interface that the packet came in by.
    pub iif: Option<u32>,
    /// Its type (`ARPHRD_*`, `linux/if_arp.h`).
    pub iif_type: Option<u16>,
    /// Index of the interface that it goes out by.
    pub oif: Option<u32>,
    /// Its mark.
    pub mark: Option<u32>,
    /// `NFPROTO_*` of the packet, where that of the table does not say it.
    pub nfproto: Option<u32>,
    /// The policy that decided (`NF_ACCEPT`, `NF_DROP`).
    pub policy: Option<u32>,
}

impl<'a> TraceMsg<'a> {
    /// Decodes the attributes behind `nfgenmsg`.
    ///
    /// # Errors
    /// When an attribute is cut off or has another length than it should.
    pub fn decode(attrs: &'a [u8]) -> Result<Self, DecodeError> {
        let mut t = Self::default();
        for attr in Attrs::new(attrs) {
            let a = attr?;
            match a.ty {
                NFTA_TRACE_TABLE => t.table = a.text(),
                NFTA_TRACE_CHAIN => t.chain = a.text(),
                NFTA_TRACE_RULE_HANDLE => t.handle = a.u64("NFTA_TRACE_RULE_HANDLE")?,
                NFTA_TRACE_TYPE => t.kind = a.u32("NFTA_TRACE_TYPE")?,
                NFTA_TRACE_VERDICT => t.verdict = Some(verdict(a.nested())?),
                NFTA_TRACE_ID => t.id = a.u32("NFTA_TRACE_ID")?,
                NFTA_TRACE_LL_HEADER => t.link = Some(a.payload),
                NFTA_TRACE_NETWORK_HEADER => t.network = Some(a.payload),
                NFTA_TRACE_TRANSPORT_HEADER => t.transport = Some(a.payload),
                NFTA_TRACE_IIF => t.iif = Some(a.u32("NFTA_TRACE_IIF")?),
                NFTA_TRACE_IIFTYPE => t.iif_type = Some(a.u16("NFTA_TRACE_IIFTYPE")?),
                NFTA_TRACE_OIF => t.oif = Some(a.u32("NFTA_TRACE_OIF")?),
                NFTA_TRACE_MARK => t.mark = Some(a.u32("NFTA_TRACE_MARK")?),
                NFTA_TRACE_NFPROTO => t.nfproto = Some(a.u32("NFTA_TRACE_NFPROTO")?),
                NFTA_TRACE_POLICY => t.policy = Some(a.u32("NFTA_TRACE_POLICY")?),
                _ => {}
            }
        }
        Ok(t)
    }
}

fn verdict(attrs: Attrs<'_>) -> Result<(u32, &[u8]), DecodeError> {
    let (mut code, mut chain) = (0, &[][..]);
    for attr in attrs {
        let a = attr?;
        match a.ty {
            NFTA_VERDICT_CODE => code = a.u32("NFTA_VERDICT_CODE")?,
            NFTA_VERDICT_CHAIN => chain = a.text(),
            _ => {}
        }
    }
    Ok((code, chain))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Writer;

    #[test]
    fn a_message_reads_back() {
        let mut w = Writer::new();
        w.text(NFTA_TRACE_TABLE, b"raw");
        w.u32(NFTA_TRACE_TYPE, NFT_TRACETYPE_RULE);
        w.u64(NFTA_TRACE_RULE_HANDLE, 4);
        let verdict = w.nest(NFTA_TRACE_VERDICT);
        w.u32(NFTA_VERDICT_CODE, 0xffff_fffd);
        w.text(NFTA_VERDICT_CHAIN, b"foo");
        w.close(verdict);
        w.text(NFTA_TRACE_NETWORK_HEADER, &[0x45]);
        let t = TraceMsg::decode(w.as_bytes()).unwrap();
        assert_eq!((t.table, t.kind, t.handle), (&b"raw"[..], NFT_TRACETYPE_RULE, 4));
        assert_eq!(t.verdict, Some((0xffff_fffd, &b"foo"[..])));
        assert_eq!(t.network, Some(&[0x45, 0][..]));
        assert!(TraceMsg::decode(&[9, 0, 6, 0, 1, 2, 3, 4, 5]).is_err());
    }
}

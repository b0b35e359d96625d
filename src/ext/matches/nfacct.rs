//! `-m nfacct`: counts the packet in an accounting object of the kernel.
//!
//! # Matches
//! Every packet, which is counted; if the object has a quota, only those beyond it.
//! # Options
//! `--nfacct-name NAME`, of an object that exists (nfacct(8)); cut to 31 bytes in silence.
//! # Wire
//! xt `nfacct` revision 1: `struct xt_nfacct_match_info_v1 { char name[32]; struct nf_acct *nfacct; }`, 40 bytes.
//! Native: none, because the counters and quotas of nf_tables are objects of another kind, of their table.
//! # Evaluates
//! Unknown: nothing tells whether the object has a quota.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "nfacct"; `linux/netfilter/xt_nfacct.h`, `nfnetlink_acct.h`; fact sheet 3.2.

use crate::ext::options::{Given, Kind, Opt, UsageError};
use crate::ext::{Extension, MatchExt, ParseCx, PrintCx, Spec};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out, Tri};
use crate::wire::BlobWriter;

/// The name of an object: at most 31 bytes without NUL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NfAcct(Box<[u8]>);

/// `NFACCT_NAME_MAX`: the name and its NUL.
const SIZE: usize = 32;

const NAME: u8 = 0;

const OPTIONS: &[Opt] =
    &[Opt::value("nfacct-name", NAME, Kind::Text { min: 1, max: usize::MAX }, "name", "name of the accounting object")
        .mandatory()
        .examples(&[
            "http-traffic",
            "acct1",
            "two words",
            "it's \"one\"",
            "back\\slash",
            "0123456789012345678901234567890123",
        ])];

impl Extension for NfAcct {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        stateful: true,
        ..Spec::new("nfacct", 1, "counts the packet in an accounting object")
    };

    fn new(_: Family) -> Self {
        Self(Box::default())
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        let text = given.bytes().split(|b| *b == 0).next().unwrap_or_default();
        self.0 = text.get(..SIZE - 1).unwrap_or(text).into();
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" --nfacct-name ");
        out.quoted(&self.0);
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" nfacct-name ");
        out.quoted(&self.0);
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.fixed(&self.0, SIZE);
        b.zeros(8);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let end = info.get(..SIZE)?.iter().position(|b| *b == 0)?;
        (end > 0).then_some(Self(info.get(..end)?.into()))
    }

    fn scrub(info: &mut [u8]) {
        let end = info.iter().take(SIZE).position(|b| *b == 0).unwrap_or(SIZE);
        // What is behind the name, and the kernel's own pointer.
        info.get_mut(end..).unwrap_or_default().fill(0);
    }
}

impl MatchExt for NfAcct {
    fn eval(&self, _: &Packet, _: &mut Env<'_>) -> Tri {
        Tri::Unknown
    }
}

#[cfg(test)]
mod tests {
    use crate::ext::matches::testing::{error, read, row};
    use crate::types::Family::{V4, V6};

    #[test]
    fn what_stock_writes_and_prints() {
        let long = "0123456789012345678901234567890";
        for family in [V4, V6] {
            for (name, shown) in
                [("acct1", "acct1"), ("q\"x", "\"q\\\"x\""), ("it's", "\"it\\'s\""), ("back\\s", "\"back\\\\s\"")]
            {
                let hex: String = name.bytes().map(|b| format!("{b:02x}")).collect();
                row(
                    family,
                    None,
                    &format!("nfacct --nfacct-name {name}"),
                    &format!(" --nfacct-name  {shown}"),
                    &format!(" nfacct-name  {shown}"),
                    &format!("match nfacct 1 {hex:0<80}"),
                );
            }
            let cut = read(family, None, &format!("nfacct --nfacct-name {long}12")).unwrap();
            assert_eq!(cut.save(), format!(" --nfacct-name  {long}"));
        }
    }

    #[test]
    fn stocks_words_for_what_it_does_not_take() {
        for (args, text) in [
            ("", "nfacct: option \"--nfacct-name\" must be specified\n"),
            (" --nfacct-name ", "Argument must have a minimum length of 1 characters\n"),
            (" ! --nfacct-name a", "nfacct: option \"--nfacct-name\" cannot be inverted.\n"),
            (" --nfacct-name a --nfacct-name b", "nfacct: option \"--nfacct-name\" can only be used once.\n"),
        ] {
            assert_eq!(error(V4, None, &format!("nfacct{args}")), text, "{args}");
        }
    }
}

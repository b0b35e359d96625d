//! Lines about changes: ` EVENT: …`, and `NEWGEN: …` behind the changes of one transaction.

use super::{Watcher, family_name, family_of, table_words};
use crate::types::Out;
use crate::wire::consts::*;
use crate::wire::msg::{ChainMsg, RuleMsg, TableMsg};
use crate::wire::{Attrs, DecodeError};

impl Watcher {
    /// Prints a change; of those in a hidden family only the end of the transaction.
    pub(super) fn event(&mut self, kind: u16, family: u8, attrs: &[u8], hidden: bool) -> Result<(), DecodeError> {
        match kind {
            NFT_MSG_NEWGEN => return generation(attrs, &mut self.out),
            _ if hidden => return Ok(()),
            NFT_MSG_NEWTABLE => table("NEW", family, &TableMsg::decode(attrs)?, &mut self.out),
            NFT_MSG_DELTABLE => table("DEL", family, &TableMsg::decode(attrs)?, &mut self.out),
            NFT_MSG_NEWCHAIN => chain("-N", family, &ChainMsg::decode(attrs)?, &mut self.out),
            NFT_MSG_DELCHAIN => chain("-X", family, &ChainMsg::decode(attrs)?, &mut self.out),
            NFT_MSG_NEWRULE | NFT_MSG_DELRULE => {
                let rule = RuleMsg::decode(attrs)?;
                self.out.str(" EVENT: ");
                self.rule(family, if kind == NFT_MSG_NEWRULE { "-A" } else { "-D" }, &rule);
            }
            // Sets, objects and flow tables are not iptables'.
            _ => return Ok(()),
        }
        self.out.byte(b'\n');
        Ok(())
    }
}

fn generation(attrs: &[u8], out: &mut Out) -> Result<(), DecodeError> {
    let (mut id, mut pid, mut name) = (0, 0, &[][..]);
    for attr in Attrs::new(attrs) {
        let a = attr?;
        match a.ty {
            NFTA_GEN_ID => id = a.u32("NFTA_GEN_ID")?,
            NFTA_GEN_PROC_PID => pid = a.u32("NFTA_GEN_PROC_PID")?,
            NFTA_GEN_PROC_NAME => name = a.text(),
            _ => {}
        }
    }
    write!(out, "NEWGEN: GENID={id} PID={pid} NAME=");
    out.bytes(name);
    out.byte(b'\n');
    Ok(())
}

fn table(what: &str, family: u8, t: &TableMsg<'_>, out: &mut Out) {
    write!(out, " EVENT: nft: {what} table: table ");
    out.bytes(t.name);
    write!(out, " {} flags {:x} use {} handle {}", family_name(family), t.flags, t.uses, t.handle);
}

/// A user's chain of the families of iptables as its command, any other as nft(8) might call it.
fn chain(command: &str, nfproto: u8, c: &ChainMsg<'_>, out: &mut Out) {
    out.str(" EVENT: ");
    if let (Some(family), None) = (family_of(nfproto), c.hook) {
        table_words(family, c.table, out);
        out.str(command);
        out.byte(b' ');
        out.bytes(c.name);
        return;
    }
    write!(out, "# nft: {} ", family_name(nfproto));
    out.bytes(c.table);
    out.byte(b' ');
    out.bytes(c.name);
    write!(out, " use {}", c.uses);
    let Some(hook) = c.hook else { return };
    out.str(" type ");
    out.bytes(c.ty.unwrap_or(b"unknown"));
    let policy = if c.policy == Some(NF_DROP.cast_unsigned()) { "drop" } else { "accept" };
    let (packets, bytes) = c.counters.unwrap_or_default();
    let name = hook_name(nfproto, hook.num);
    write!(out, " hook {name} prio {} policy {policy} packets {packets} bytes {bytes}", hook.priority);
    if c.flags != 0 {
        write!(out, " flags {:x}", c.flags);
    }
}

/// The name of a hook of a family (`NF_INET_*`, `NF_ARP_*`, `NF_NETDEV_*`).
fn hook_name(nfproto: u8, hook: u32) -> &'static str {
    const INET: [&str; 6] = ["prerouting", "input", "forward", "output", "postrouting", "ingress"];
    const ARP: [&str; 3] = ["input", "output", "forward"];
    const NETDEV: [&str; 2] = ["ingress", "egress"];
    let names: &[&str] = match nfproto {
        3 => &ARP,
        5 => &NETDEV,
        _ => &INET,
    };
    usize::try_from(hook).ok().and_then(|hook| names.get(hook)).copied().unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::msg::Hook;

    fn text(print: impl FnOnce(&mut Out)) -> String {
        let mut out = Out::new();
        print(&mut out);
        String::from_utf8_lossy(out.as_bytes()).into_owned()
    }

    #[test]
    fn tables_and_chains_as_stock_prints_them() {
        let t = TableMsg { name: b"filter", uses: 1, handle: 3, ..TableMsg::default() };
        assert_eq!(text(|o| table("NEW", 2, &t, o)), " EVENT: nft: NEW table: table filter ip flags 0 use 1 handle 3");
        let user = ChainMsg { table: b"filter", name: b"foo", ..ChainMsg::default() };
        assert_eq!(text(|o| chain("-N", 10, &user, o)), " EVENT: -6 -t filter -N foo");
        assert_eq!(text(|o| chain("-X", 1, &user, o)), " EVENT: # nft: inet filter foo use 0");
        let hook = Some(Hook { num: 2, priority: -150 });
        let (ty, policy) = (Some(&b"filter"[..]), Some(NF_DROP.cast_unsigned()));
        let base = ChainMsg { hook, ty, policy, counters: Some((5, 6)), uses: 2, flags: 1, ..user };
        let wanted = " EVENT: # nft: ip filter foo use 2 type filter hook forward prio -150 policy drop packets 5 bytes 6 flags 1";
        assert_eq!(text(|o| chain("-N", 2, &base, o)), wanted);
    }
}

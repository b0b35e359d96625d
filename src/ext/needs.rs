//! What of the kernel an xt extension needs: its module and the option that builds it.
//!
//! Most follow from the name in the kernel: match `length` is module `xt_length`, option `CONFIG_NETFILTER_XT_MATCH_LENGTH`; target `AUDIT` is
//! `xt_AUDIT` and `CONFIG_NETFILTER_XT_TARGET_AUDIT`. The others are a table. Sources: the options of Linux 6.18 (`/proc/config.gz`);
//! `modinfo -F alias`.

use std::borrow::Cow;

/// What an extension needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Needs {
    /// The module that has it; where the families have modules of their own, both.
    pub module: Cow<'static, str>,
    /// The option of the kernel's configuration, likewise.
    pub option: Cow<'static, str>,
    /// The release of Linux that took it out, and what does the same today.
    pub gone: Option<(&'static str, &'static str)>,
}

/// Names in the kernel, module, option.
const ODD: &[(&[&str], &str, &str)] = &[
    (&["tcp", "udp", "udplite", "icmp", "icmp6"], "xt_tcpudp", "CONFIG_NETFILTER_XTABLES"),
    (&["mark", "MARK"], "xt_mark", "CONFIG_NETFILTER_XT_MARK"),
    (&["connmark", "CONNMARK"], "xt_connmark", "CONFIG_NETFILTER_XT_CONNMARK"),
    (&["set", "SET"], "xt_set", "CONFIG_NETFILTER_XT_SET"),
    (&["tos", "dscp"], "xt_dscp", "CONFIG_NETFILTER_XT_MATCH_DSCP"),
    (&["TOS", "DSCP"], "xt_DSCP", "CONFIG_NETFILTER_XT_TARGET_DSCP"),
    (&["ttl", "hl"], "xt_hl", "CONFIG_NETFILTER_XT_MATCH_HL"),
    (&["TTL", "HL"], "xt_HL", "CONFIG_NETFILTER_XT_TARGET_HL"),
    (&["SNAT", "DNAT"], "xt_nat", "CONFIG_NETFILTER_XT_NAT"),
    (&["ah"], "ipt_ah or ip6t_ah", "CONFIG_IP_NF_MATCH_AH or CONFIG_IP6_NF_MATCH_AH"),
    (&["rpfilter"], "ipt_rpfilter or ip6t_rpfilter", "CONFIG_IP_NF_MATCH_RPFILTER or CONFIG_IP6_NF_MATCH_RPFILTER"),
    (&["ECN"], "ipt_ECN", "CONFIG_IP_NF_TARGET_ECN"),
    (&["REJECT"], "ipt_REJECT or ip6t_REJECT", "CONFIG_IP_NF_TARGET_REJECT or CONFIG_IP6_NF_TARGET_REJECT"),
    (&["SYNPROXY"], "ipt_SYNPROXY or ip6t_SYNPROXY", "CONFIG_IP_NF_TARGET_SYNPROXY or CONFIG_IP6_NF_TARGET_SYNPROXY"),
    (&["SNPT", "DNPT"], "ip6t_NPT", "CONFIG_IP6_NF_TARGET_NPT"),
    (&["hbh", "dst"], "ip6t_hbh", "CONFIG_IP6_NF_MATCH_OPTS"),
    (&["eui64"], "ip6t_eui64", "CONFIG_IP6_NF_MATCH_EUI64"),
    (&["frag"], "ip6t_frag", "CONFIG_IP6_NF_MATCH_FRAG"),
    (&["ipv6header"], "ip6t_ipv6header", "CONFIG_IP6_NF_MATCH_IPV6HEADER"),
    (&["mh"], "ip6t_mh", "CONFIG_IP6_NF_MATCH_MH"),
    (&["rt"], "ip6t_rt", "CONFIG_IP6_NF_MATCH_RT"),
    (&["srh"], "ip6t_srh", "CONFIG_IP6_NF_MATCH_SRH"),
    (&["CLUSTERIP"], "ipt_CLUSTERIP", "CONFIG_IP_NF_TARGET_CLUSTERIP"),
    (&["ULOG"], "ipt_ULOG", "CONFIG_IP_NF_TARGET_ULOG"),
];

/// Names in the kernel of what newer kernels have no more, the release, what to take instead.
const GONE: &[(&str, &str, &str)] = &[
    ("CLUSTERIP", "6.3", "-m cluster, with the address on every machine and ARP kept apart"),
    ("ULOG", "3.17", "-j NFLOG"),
    ("QUEUE", "3.5", "-j NFQUEUE --queue-num N"),
    ("unclean", "2.6", "-m conntrack --ctstate INVALID"),
];

impl Needs {
    /// What the extension of this name in the kernel needs. Targets are written in capitals, matches are not.
    pub fn of(wire: &str) -> Self {
        let gone = GONE.iter().find(|(name, ..)| *name == wire).map(|(_, release, instead)| (*release, *instead));
        if let Some((_, module, option)) = ODD.iter().find(|(names, ..)| names.contains(&wire)) {
            return Self { module: (*module).into(), option: (*option).into(), gone };
        }
        let kind = if wire.starts_with(|c: char| c.is_ascii_uppercase()) { "TARGET" } else { "MATCH" };
        let option = format!("CONFIG_NETFILTER_XT_{kind}_{}", wire.to_ascii_uppercase());
        Self { module: format!("xt_{wire}").into(), option: option.into(), gone }
    }

    /// What a person can do where the kernel has no extension of this name: a sentence for the advice behind an error.
    pub fn advice(wire: &str) -> String {
        let Self { module, option, gone } = Self::of(wire);
        match gone {
            Some((release, instead)) => {
                format!("Linux has no {wire} since {release} ({option}, module {module}); its successor is {instead}")
            }
            None => format!("this kernel has no xt extension {wire}: load module {module}, or build one with {option}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::{Match, Target};

    #[test]
    fn modules_and_options_by_name() {
        for (name, module, option) in [
            ("length", "xt_length", "CONFIG_NETFILTER_XT_MATCH_LENGTH"),
            ("AUDIT", "xt_AUDIT", "CONFIG_NETFILTER_XT_TARGET_AUDIT"),
            ("TTL", "xt_HL", "CONFIG_NETFILTER_XT_TARGET_HL"),
            ("mark", "xt_mark", "CONFIG_NETFILTER_XT_MARK"),
            ("SNPT", "ip6t_NPT", "CONFIG_IP6_NF_TARGET_NPT"),
        ] {
            assert_eq!(Needs::of(name), Needs { module: module.into(), option: option.into(), gone: None });
        }
        let said =
            "this kernel has no xt extension LED: load module xt_LED, or build one with CONFIG_NETFILTER_XT_TARGET_LED";
        assert_eq!(Needs::advice("LED"), said);
        assert!(Needs::advice("ULOG").contains("since 3.17") && Needs::advice("ULOG").contains("NFLOG"));
    }

    #[test]
    fn targets_are_in_capitals_and_matches_are_not() {
        let upper = |name: &str| name.starts_with(|c: char| c.is_ascii_uppercase());
        assert!(Match::ALL.iter().all(|spec| !upper(spec.wire)) && Target::ALL.iter().all(|spec| upper(spec.wire)));
    }
}

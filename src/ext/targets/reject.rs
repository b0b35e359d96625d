//! `-j REJECT`: drops the packet and answers with an error.
//!
//! # Options
//! `--reject-with TYPE`: a name or its alias, in any case, or the beginning of one; the first that fits is taken. Without it: port
//! unreachable.
//! # Wire
//! xt `REJECT` revision 0: `struct ipt_reject_info` and `struct ip6t_reject_info`, both `{ u32 with; }`, numbered differently.
//! Native: `reject` with an ICMP code or with a reset.
//! # Evaluates
//! The packet is dropped and answered.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "REJECT"; `linux/netfilter_ipv4/ipt_REJECT.h`, `linux/netfilter_ipv6/ip6t_REJECT.h`; fact sheet 3.4; measured.

use crate::ext::limits::Limit;
use crate::ext::options::{Given, Kind, Opt, UsageError, usage_bytes};
use crate::ext::{Effect, Extension, NativeCx, ParseCx, PrintCx, Spec, TargetExt};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Hook, Out};
use crate::wire::consts::*;
use crate::wire::{BlobWriter, ExprWriter};
use std::borrow::Cow;

/// The kind of the answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reject {
    with: Type,
}

/// One `--reject-with` type: its name, its alias, and its number in the struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Type {
    name: &'static str,
    alias: &'static str,
    number: u32,
}

const fn kind(name: &'static str, alias: &'static str, number: u32) -> Type {
    Type { name, alias, number }
}

const TYPES_V4: &[Type] = &[
    kind("icmp-net-unreachable", "net-unreach", 0),
    kind("icmp-host-unreachable", "host-unreach", 1),
    kind("icmp-proto-unreachable", "proto-unreach", 2),
    kind("icmp-port-unreachable", "port-unreach", 3),
    kind("icmp-net-prohibited", "net-prohib", 5),
    kind("icmp-host-prohibited", "host-prohib", 6),
    kind("tcp-reset", "tcp-rst", 7),
    kind("icmp-admin-prohibited", "admin-prohib", 8),
];

const TYPES_V6: &[Type] = &[
    kind("icmp6-no-route", "no-route", 0),
    kind("icmp6-adm-prohibited", "adm-prohibited", 1),
    kind("icmp6-addr-unreachable", "addr-unreach", 3),
    kind("icmp6-port-unreachable", "port-unreach", 4),
    kind("tcp-reset", "tcp-reset", 6),
    kind("icmp6-policy-fail", "policy-fail", 7),
    kind("icmp6-reject-route", "reject-route", 8),
];

const NOTES_V4: &[(&str, &str)] = &[
    ("Types:", "(short forms)"),
    ("icmp-net-unreachable", "net-unreach: no way to the network"),
    ("icmp-host-unreachable", "host-unreach: no way to the host"),
    ("icmp-proto-unreachable", "proto-unreach: nobody takes this protocol"),
    ("icmp-port-unreachable", "port-unreach: nobody listens at the port (this is the default)"),
    ("icmp-net-prohibited", "net-prohib: the network is forbidden"),
    ("icmp-host-prohibited", "host-prohib: the host is forbidden"),
    ("icmp-admin-prohibited", "admin-prohib: forbidden by a filter"),
    ("tcp-reset", "tcp-rst: a TCP RST, as if nobody listened; with -p tcp only"),
];

const NOTES_V6: &[(&str, &str)] = &[
    ("Types:", "(short forms)"),
    ("icmp6-no-route", "no-route: no way to the destination"),
    ("icmp6-adm-prohibited", "adm-prohibited: forbidden by a filter"),
    ("icmp6-addr-unreachable", "addr-unreach: no way to the host"),
    ("icmp6-port-unreachable", "port-unreach: nobody listens at the port (this is the default)"),
    ("icmp6-policy-fail", "policy-fail: the source address is not allowed"),
    ("icmp6-reject-route", "reject-route: the route says so"),
    ("tcp-reset", "a TCP RST, as if nobody listened; with -p tcp only"),
];

const WITH: u8 = 0;

const OPTIONS: &[Opt] = &[Opt::value("reject-with", WITH, Kind::Raw, "type", "what to answer with").examples(&[
    "v4:icmp-net-unreachable",
    "v4:icmp-host-unreachable",
    "v4:icmp-proto-unreachable",
    "v4:icmp-port-unreachable",
    "v4:icmp-net-prohibited",
    "v4:icmp-host-prohibited",
    "v4:icmp-admin-prohibited",
    "v4:host-unreach",
    "v6:icmp6-no-route",
    "v6:icmp6-adm-prohibited",
    "v6:icmp6-addr-unreachable",
    "v6:icmp6-port-unreachable",
    "v6:icmp6-policy-fail",
    "v6:icmp6-reject-route",
    "v6:no-route",
    "tcp-reset",
])];

impl Extension for Reject {
    const SPEC: Spec = Spec {
        options: OPTIONS,
        sample: "-p tcp @filter/INPUT",
        notes: |family| match family {
            Family::V4 => NOTES_V4,
            Family::V6 => NOTES_V6,
        },
        limits: &[
            Limit::tables(&["filter"]).at(&[Hook::Input, Hook::Forward, Hook::Output]),
            Limit::protocols(&[6]).with("--reject-with tcp-reset"),
        ],
        ..Spec::new("REJECT", 0, "drops the packet and answers with an error")
    };

    fn new(family: Family) -> Self {
        let default = kind("icmp-port-unreachable", "port-unreach", 3);
        Self { with: types(family).iter().find(|t| t.alias == "port-unreach").copied().unwrap_or(default) }
    }

    fn warning(given: &Given<'_>, cx: &ParseCx<'_>) -> Option<Cow<'static, str>> {
        let old = [&b"echo-reply"[..], b"echoreply"].into_iter().any(|name| begins(name, given.bytes()));
        let v4_only = cx.family == Family::V4 && !TYPES_V4.iter().any(|t| t.is_meant_by(given.bytes()));
        (old && v4_only).then_some("--reject-with echo-reply no longer supported".into())
    }

    fn set(&mut self, given: &Given<'_>, cx: &ParseCx<'_>) -> Result<(), UsageError> {
        let text = given.bytes();
        let found = types(cx.family).iter().find(|t| t.is_meant_by(text)).copied();
        self.with = found.ok_or_else(|| usage_bytes("unknown reject type \"", text, "\""))?;
        Ok(())
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" --reject-with ");
        out.str(self.with.name);
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        out.str(" reject-with ");
        out.str(self.with.name);
    }

    fn translate(&self, _: &PrintCx<'_>, out: &mut Out) -> bool {
        out.str("reject");
        match self.with.name {
            "icmp-port-unreachable" | "icmp6-port-unreachable" => {}
            "tcp-reset" => out.str(" with tcp reset"),
            name => {
                let (protocol, kind) = name.split_once('-').unwrap_or_default();
                let kind = match kind {
                    "proto-unreachable" => "prot-unreachable",
                    "adm-prohibited" => "admin-prohibited",
                    other => other,
                };
                write!(out, " with {} type {kind}", if protocol == "icmp6" { "icmpv6" } else { protocol });
            }
        }
        true
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.u32(self.with.number);
    }

    fn decode(info: &[u8], family: Family) -> Option<Self> {
        let number = u32::from_ne_bytes(*info.first_chunk()?);
        let with = types(family).iter().find(|t| t.number == number).copied()?;
        Some(Self { with })
    }

    fn native(&self, cx: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        let code = match (cx.family, self.with.number) {
            (Family::V4, 7) | (Family::V6, 6) => {
                // The xt target is only taken so in a rule for TCP.
                let tcp = matches!(cx.protocol, Some((6, false)));
                if tcp {
                    x.reject(NFT_REJECT_TCP_RST, None);
                }
                return tcp;
            }
            (Family::V4, number) => [0u8, 1, 2, 3, 0, 9, 10, 0, 13].get(number as usize).copied(),
            (Family::V6, number) => [0u8, 1, 2, 3, 4, 0, 0, 5, 6].get(number as usize).copied(),
        };
        let Some(code) = code else { return false };
        x.reject(NFT_REJECT_ICMP_UNREACH, Some(code));
        true
    }
}

fn types(family: Family) -> &'static [Type] {
    match family {
        Family::V4 => TYPES_V4,
        Family::V6 => TYPES_V6,
    }
}

/// Whether `name` begins with `text`, in any case.
fn begins(name: &[u8], text: &[u8]) -> bool {
    name.get(..text.len()).is_some_and(|head| head.eq_ignore_ascii_case(text))
}

impl Type {
    fn is_meant_by(&self, text: &[u8]) -> bool {
        begins(self.name.as_bytes(), text) || begins(self.alias.as_bytes(), text)
    }
}

impl TargetExt for Reject {
    fn apply(&self, _: &mut Packet, _: &mut Env<'_>) -> Effect {
        Effect::Reject(self.with.name)
    }
}

#[cfg(test)]
mod tests {
    use crate::ext::Effect;
    use crate::ext::targets::testing::{TCP, effect, error, parse, prints, row};
    use crate::packet::build::{Ipv4, Udp};
    use crate::types::Family::{V4, V6};

    #[test]
    fn names_numbers_and_abbreviations() {
        for (family, words, name, number) in [
            (V4, "REJECT", "icmp-port-unreachable", "03"),
            (V4, "REJECT --reject-with net-prohib", "icmp-net-prohibited", "05"),
            (V4, "REJECT --reject-with tcp-rst", "tcp-reset", "07"),
            (V4, "REJECT --reject-with admin", "icmp-admin-prohibited", "08"),
            (V4, "REJECT --reject-with icmp-p", "icmp-proto-unreachable", "02"),
            (V4, "REJECT --reject-with ICMP-Host-p", "icmp-host-prohibited", "06"),
            (V4, "REJECT --reject-with \"\"", "icmp-net-unreachable", "00"),
            (V6, "REJECT", "icmp6-port-unreachable", "04"),
            (V6, "REJECT --reject-with adm-prohibited", "icmp6-adm-prohibited", "01"),
            (V6, "REJECT --reject-with t", "tcp-reset", "06"),
            (V6, "REJECT --reject-with reject-route", "icmp6-reject-route", "08"),
        ] {
            let text = format!("reject-with {name}");
            row(family, TCP, words, &format!("--{text}"), &format!(" {text}"), &format!("{number}00000000000000"));
        }
        error(V4, TCP, "REJECT --reject-with host-unreachable", "unknown reject type \"host-unreachable\"");
        error(V6, TCP, "REJECT --reject-with tcp-rst", "unknown reject type \"tcp-rst\"");
    }

    #[test]
    fn it_drops_and_answers() {
        let mut packet = Ipv4::default() / Udp::default();
        assert_eq!(effect(V4, None, "REJECT", &mut packet), Effect::Reject("icmp-port-unreachable"));
        let default = parse(V6, None, "REJECT").unwrap();
        prints(V6, &default, "--reject-with icmp6-port-unreachable", " reject-with icmp6-port-unreachable");
    }
}

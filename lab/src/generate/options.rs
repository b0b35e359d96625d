//! The extensions of issue 2 as the generator sees them: names, options, what they take, where they are allowed.
//!
//! Written from `iptables-extensions(8)`, independently of oxtables' own option tables, so that an option missing there is
//! found here.

use super::values::Value;

/// A match or target.
#[derive(Clone, Copy, Debug)]
pub struct Extension {
    /// Its name behind `-m` or `-j`.
    pub name: &'static str,
    /// Which families have it.
    pub family: Family,
    /// One of these protocols must be given; none: any.
    pub protocols: &'static [&'static str],
    /// The tables in which it works; none: all.
    pub tables: &'static [&'static str],
    /// The builtin chains in which it works; none: all.
    pub chains: &'static [&'static str],
    /// Its options.
    pub options: &'static [Opt],
}

/// Families of an extension.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Family {
    /// Both.
    Both,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

/// An option of an extension.
#[derive(Clone, Copy, Debug)]
pub struct Opt {
    /// Its spellings, with their dashes.
    pub names: &'static [&'static str],
    /// What it takes; none: nothing.
    pub value: Option<Value>,
    /// Whether `!` is allowed before it.
    pub invert: bool,
    /// Options of one group other than 0 exclude each other, and one of them is needed.
    pub group: u8,
    /// How often it is taken, in a hundred (of a group: its weight).
    pub chance: usize,
}

const fn opt(names: &'static [&'static str], value: Option<Value>, invert: bool, group: u8, chance: usize) -> Opt {
    Opt { names, value, invert, group, chance }
}

const fn extension(name: &'static str, family: Family, options: &'static [Opt]) -> Extension {
    Extension { name, family, protocols: &[], tables: &[], chains: &[], options }
}

const STATES: &[&str] = &["INVALID", "NEW", "ESTABLISHED", "RELATED", "UNTRACKED"];
const CT_STATES: &[&str] = &["INVALID", "NEW", "ESTABLISHED", "RELATED", "UNTRACKED", "SNAT", "DNAT"];
const CT_STATUS: &[&str] = &["NONE", "EXPECTED", "SEEN_REPLY", "ASSURED", "CONFIRMED"];
const TCP_FLAGS: &[&str] = &["SYN", "ACK", "FIN", "RST", "URG", "PSH"];
const ADDRESS_TYPES: &[&str] = &[
    "UNSPEC",
    "UNICAST",
    "LOCAL",
    "BROADCAST",
    "ANYCAST",
    "MULTICAST",
    "BLACKHOLE",
    "UNREACHABLE",
    "PROHIBIT",
    "THROW",
    "NAT",
    "XRESOLVE",
];
const ICMP: &[&str] = &[
    "any",
    "echo-reply",
    "pong",
    "destination-unreachable",
    "network-unreachable",
    "host-unreachable",
    "protocol-unreachable",
    "port-unreachable",
    "fragmentation-needed",
    "source-route-failed",
    "network-unknown",
    "host-unknown",
    "network-prohibited",
    "host-prohibited",
    "TOS-network-unreachable",
    "TOS-host-unreachable",
    "communication-prohibited",
    "host-precedence-violation",
    "precedence-cutoff",
    "source-quench",
    "redirect",
    "network-redirect",
    "host-redirect",
    "TOS-network-redirect",
    "TOS-host-redirect",
    "echo-request",
    "ping",
    "router-advertisement",
    "router-solicitation",
    "time-exceeded",
    "ttl-exceeded",
    "ttl-zero-during-transit",
    "ttl-zero-during-reassembly",
    "parameter-problem",
    "ip-header-bad",
    "required-option-missing",
    "timestamp-request",
    "timestamp-reply",
    "address-mask-request",
    "address-mask-reply",
];
const ICMP6: &[&str] = &[
    "destination-unreachable",
    "no-route",
    "communication-prohibited",
    "beyond-scope",
    "address-unreachable",
    "port-unreachable",
    "failed-policy",
    "reject-route",
    "packet-too-big",
    "time-exceeded",
    "ttl-exceeded",
    "ttl-zero-during-transit",
    "ttl-zero-during-reassembly",
    "parameter-problem",
    "bad-header",
    "unknown-header-type",
    "unknown-option",
    "echo-request",
    "ping",
    "echo-reply",
    "pong",
    "router-solicitation",
    "router-advertisement",
    "neighbour-solicitation",
    "neighbor-solicitation",
    "neighbour-advertisement",
    "neighbor-advertisement",
    "redirect",
];
const REJECT4: &[&str] = &[
    "icmp-net-unreachable",
    "icmp-host-unreachable",
    "icmp-port-unreachable",
    "icmp-proto-unreachable",
    "icmp-net-prohibited",
    "icmp-host-prohibited",
    "icmp-admin-prohibited",
    "net-unreach",
    "host-unreach",
    "proto-unreach",
    "port-unreach",
    "net-prohib",
    "host-prohib",
    "admin-prohib",
    "tcp-reset",
    "tcp-rst",
];
const REJECT6: &[&str] = &[
    "icmp6-no-route",
    "no-route",
    "icmp6-adm-prohibited",
    "adm-prohibited",
    "icmp6-addr-unreachable",
    "addr-unreach",
    "icmp6-port-unreachable",
    "port-unreach",
    "tcp-reset",
    "icmp6-policy-fail",
    "policy-fail",
    "icmp6-reject-route",
    "reject-route",
];
const LEVELS: &[&str] =
    &["emerg", "panic", "alert", "crit", "error", "warning", "notice", "info", "debug", "0", "4", "7"];
const CT_EVENTS: &[&str] =
    &["new", "related", "destroy", "reply", "assured", "protoinfo", "helper", "mark", "natseqinfo", "secmark"];

/// Ports of `tcp` and `udp`.
const SPORT: Opt = opt(&["--sport", "--source-port"], Some(Value::Ports), true, 0, 40);
const DPORT: Opt = opt(&["--dport", "--destination-port"], Some(Value::Ports), true, 0, 60);
const RANDOM: Opt = opt(&["--random"], None, false, 0, 15);
const RANDOM_FULLY: Opt = opt(&["--random-fully"], None, false, 0, 10);
const PERSISTENT: Opt = opt(&["--persistent"], None, false, 0, 15);

/// The matches.
pub const MATCHES: &[Extension] = &[
    Extension {
        protocols: &["tcp"],
        ..extension(
            "tcp",
            Family::Both,
            &[
                SPORT,
                DPORT,
                opt(&["--tcp-flags"], Some(Value::TwoLists(TCP_FLAGS)), true, 0, 20),
                opt(&["--syn"], None, true, 0, 10),
                opt(&["--tcp-option"], Some(Value::Number(255)), true, 0, 10),
            ],
        )
    },
    Extension { protocols: &["udp"], ..extension("udp", Family::Both, &[SPORT, DPORT]) },
    Extension {
        protocols: &["icmp"],
        ..extension("icmp", Family::V4, &[opt(&["--icmp-type"], Some(Value::Icmp(ICMP)), true, 1, 1)])
    },
    Extension {
        protocols: &["ipv6-icmp", "icmpv6"],
        ..extension("icmp6", Family::V6, &[opt(&["--icmpv6-type"], Some(Value::Icmp(ICMP6)), true, 1, 1)])
    },
    extension("state", Family::Both, &[opt(&["--state"], Some(Value::Words(STATES)), true, 1, 1)]),
    extension(
        "conntrack",
        Family::Both,
        &[
            opt(&["--ctstate"], Some(Value::Words(CT_STATES)), true, 0, 70),
            opt(&["--ctproto"], Some(Value::Protocol), true, 0, 12),
            opt(&["--ctorigsrc"], Some(Value::Prefix), true, 0, 12),
            opt(&["--ctorigdst"], Some(Value::Prefix), true, 0, 12),
            opt(&["--ctreplsrc"], Some(Value::Prefix), true, 0, 12),
            opt(&["--ctrepldst"], Some(Value::Prefix), true, 0, 12),
            opt(&["--ctorigsrcport"], Some(Value::Ports), true, 0, 12),
            opt(&["--ctorigdstport"], Some(Value::Ports), true, 0, 12),
            opt(&["--ctreplsrcport"], Some(Value::Ports), true, 0, 12),
            opt(&["--ctrepldstport"], Some(Value::Ports), true, 0, 12),
            opt(&["--ctstatus"], Some(Value::Words(CT_STATUS)), true, 0, 15),
            opt(&["--ctexpire"], Some(Value::Range(4_294_967_295, ':')), true, 0, 15),
            opt(&["--ctdir"], Some(Value::Word(&["ORIGINAL", "REPLY"])), false, 0, 15),
        ],
    ),
    Extension {
        protocols: &["tcp", "udp", "udplite", "sctp", "dccp"],
        ..extension(
            "multiport",
            Family::Both,
            &[
                opt(&["--sports", "--source-ports"], Some(Value::PortList), true, 1, 30),
                opt(&["--dports", "--destination-ports"], Some(Value::PortList), true, 1, 50),
                opt(&["--ports"], Some(Value::PortList), true, 1, 20),
            ],
        )
    },
    extension(
        "limit",
        Family::Both,
        &[
            opt(&["--limit"], Some(Value::Rate), false, 0, 85),
            opt(&["--limit-burst"], Some(Value::Number(10000)), false, 0, 50),
        ],
    ),
    extension(
        "recent",
        Family::Both,
        &[
            opt(&["--set"], None, true, 1, 25),
            opt(&["--rcheck"], None, true, 1, 25),
            opt(&["--update"], None, true, 1, 25),
            opt(&["--remove"], None, true, 1, 25),
            opt(&["--seconds"], Some(Value::Number(86400)), false, 0, 40),
            opt(&["--reap"], None, false, 0, 10),
            opt(&["--hitcount"], Some(Value::Number(20)), false, 0, 30),
            opt(&["--rttl"], None, false, 0, 20),
            opt(&["--name"], Some(Value::Word(&["ssh", "DEFAULT", "list1", "a_b-c.d", "web"])), false, 0, 60),
            opt(&["--rsource"], None, false, 0, 20),
            opt(&["--rdest"], None, false, 0, 20),
            opt(&["--mask"], Some(Value::Mask), false, 0, 10),
        ],
    ),
    extension("comment", Family::Both, &[opt(&["--comment"], Some(Value::Text(256)), false, 1, 1)]),
    Extension {
        chains: &["PREROUTING", "INPUT", "FORWARD"],
        ..extension("mac", Family::Both, &[opt(&["--mac-source"], Some(Value::Mac), true, 1, 1)])
    },
    extension("mark", Family::Both, &[opt(&["--mark"], Some(Value::Masked), true, 1, 1)]),
    extension(
        "iprange",
        Family::Both,
        &[
            opt(&["--src-range"], Some(Value::AddressRange), true, 0, 60),
            opt(&["--dst-range"], Some(Value::AddressRange), true, 0, 60),
        ],
    ),
    extension(
        "addrtype",
        Family::Both,
        &[
            opt(&["--src-type"], Some(Value::Words(ADDRESS_TYPES)), true, 0, 60),
            opt(&["--dst-type"], Some(Value::Words(ADDRESS_TYPES)), true, 0, 60),
            opt(&["--limit-iface-in"], None, false, 0, 8),
            opt(&["--limit-iface-out"], None, false, 0, 8),
        ],
    ),
    Extension {
        chains: &["OUTPUT", "POSTROUTING"],
        ..extension(
            "owner",
            Family::Both,
            &[
                opt(&["--uid-owner"], Some(Value::Ids), true, 0, 60),
                opt(&["--gid-owner"], Some(Value::Ids), true, 0, 40),
                opt(&["--socket-exists"], None, true, 0, 20),
                opt(&["--suppl-groups"], None, false, 0, 15),
            ],
        )
    },
    Extension {
        protocols: &["tcp"],
        ..extension("tcpmss", Family::Both, &[opt(&["--mss"], Some(Value::Range(65535, ':')), true, 1, 1)])
    },
    extension("length", Family::Both, &[opt(&["--length"], Some(Value::Range(65535, ':')), true, 1, 1)]),
];

/// The targets with their options; verdicts and user chains are the generator's own affair.
pub const TARGETS: &[Extension] = &[
    Extension {
        tables: &["filter"],
        ..extension("REJECT", Family::V4, &[opt(&["--reject-with"], Some(Value::Word(REJECT4)), false, 0, 70)])
    },
    Extension {
        tables: &["filter"],
        ..extension("REJECT", Family::V6, &[opt(&["--reject-with"], Some(Value::Word(REJECT6)), false, 0, 70)])
    },
    extension(
        "LOG",
        Family::Both,
        &[
            opt(&["--log-level"], Some(Value::Word(LEVELS)), false, 0, 40),
            opt(&["--log-prefix"], Some(Value::Text(29)), false, 0, 60),
            opt(&["--log-tcp-sequence"], None, false, 0, 20),
            opt(&["--log-tcp-options"], None, false, 0, 20),
            opt(&["--log-ip-options"], None, false, 0, 20),
            opt(&["--log-uid"], None, false, 0, 20),
            opt(&["--log-macdecode"], None, false, 0, 20),
        ],
    ),
    Extension {
        tables: &["nat"],
        chains: &["POSTROUTING"],
        ..extension(
            "MASQUERADE",
            Family::Both,
            &[opt(&["--to-ports"], Some(Value::NatPorts), false, 0, 40), RANDOM, RANDOM_FULLY],
        )
    },
    Extension {
        tables: &["nat"],
        chains: &["INPUT", "POSTROUTING"],
        ..extension(
            "SNAT",
            Family::Both,
            &[opt(&["--to-source"], Some(Value::NatTarget), false, 1, 1), RANDOM, RANDOM_FULLY, PERSISTENT],
        )
    },
    Extension {
        tables: &["nat"],
        chains: &["PREROUTING", "OUTPUT"],
        ..extension(
            "DNAT",
            Family::Both,
            &[opt(&["--to-destination"], Some(Value::NatTarget), false, 1, 1), RANDOM, PERSISTENT],
        )
    },
    Extension {
        tables: &["nat"],
        chains: &["PREROUTING", "OUTPUT"],
        ..extension("REDIRECT", Family::Both, &[opt(&["--to-ports"], Some(Value::NatPorts), false, 0, 70), RANDOM])
    },
    extension(
        "MARK",
        Family::Both,
        &[
            opt(&["--set-mark"], Some(Value::Masked), false, 1, 30),
            opt(&["--set-xmark"], Some(Value::Masked), false, 1, 30),
            opt(&["--and-mark"], Some(Value::Number(4_294_967_295)), false, 1, 10),
            opt(&["--or-mark"], Some(Value::Number(4_294_967_295)), false, 1, 10),
            opt(&["--xor-mark"], Some(Value::Number(4_294_967_295)), false, 1, 10),
        ],
    ),
    extension(
        "NFLOG",
        Family::Both,
        &[
            opt(&["--nflog-group"], Some(Value::Number(65535)), false, 0, 50),
            opt(&["--nflog-prefix"], Some(Value::Text(64)), false, 0, 50),
            opt(&["--nflog-range"], Some(Value::Number(65535)), false, 0, 15),
            opt(&["--nflog-size"], Some(Value::Number(65535)), false, 0, 20),
            opt(&["--nflog-threshold"], Some(Value::Number(65535)), false, 0, 20),
        ],
    ),
    Extension {
        tables: &["raw"],
        chains: &["PREROUTING", "OUTPUT"],
        ..extension(
            "CT",
            Family::Both,
            &[
                opt(&["--notrack"], None, false, 0, 30),
                opt(&["--helper"], Some(Value::Word(&["ftp", "sip", "tftp"])), false, 0, 5),
                opt(&["--ctevents"], Some(Value::Words(CT_EVENTS)), false, 0, 25),
                opt(&["--expevents"], Some(Value::Words(&["new"])), false, 0, 10),
                opt(&["--zone"], Some(Value::Number(65535)), false, 0, 20),
                opt(&["--zone-orig"], Some(Value::Word(&["5", "mark", "0x10"])), false, 0, 10),
                opt(&["--zone-reply"], Some(Value::Word(&["6", "mark", "65535"])), false, 0, 10),
                opt(&["--timeout"], Some(Value::Name), false, 0, 2),
            ],
        )
    },
    Extension { tables: &["raw"], chains: &["PREROUTING", "OUTPUT"], ..extension("NOTRACK", Family::Both, &[]) },
    extension("TRACE", Family::Both, &[]),
];

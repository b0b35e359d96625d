//! `-m ipvs`: the IPVS connection of the packet.
//!
//! # Matches
//! Packets of a connection that the IP virtual server balances, by protocol, address and port of the virtual service, direction, method of
//! forwarding, and port of the controlling connection (FTP's, for its data connection). All that is given must hold.
//! # Options
//! `[!] --ipvs`, which all others imply; `[!] --vproto PROTO`, `[!] --vaddr ADDR[/MASK]`, `[!] --vport PORT`, `--vdir {ORIGINAL|REPLY}`,
//! `[!] --vmethod {GATE|IPIP|MASQ}`, `[!] --vportctl PORT`; at least one. `! --ipvs` stands alone.
//! # Wire
//! xt `ipvs` revision 0: `struct xt_ipvs_mtinfo { union nf_inet_addr vaddr, vmask; be16 vport; u8 l4proto, fwd_method; be16 vportctl; u8 invert,
//! bitmask; }`, 40 bytes. `--vdir REPLY` is direction, inverted. A mask that was given for an IPv4 address fills 4 of its 16 bytes, the default
//! all 16.
//! Native: none, because nf_tables knows nothing of IPVS.
//! # Evaluates
//! Unknown: nothing tells whether IPVS has the packet's connection.
//! # Differs
//! Masks that are no prefix are kept and ports over 65535 refused, as of conntrack. (The kernel that this was tried on has no IPVS: what stock
//! prints was seen with `-v`, what it writes in what it sends.)
//! # Sources
//! iptables-extensions(8) "ipvs"; `linux/netfilter/xt_ipvs.h`, `linux/ip_vs.h` (`IP_VS_CONN_F_*`).

use super::conntrack::Addr;
use crate::ext::options::{Given, Kind, Opt, UsageError, bit, usage_bytes};
use crate::ext::{Extension, MatchExt, ParseCx, PrintCx, Spec, resolve};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out, Tri};
use crate::usage;
use crate::wire::BlobWriter;

/// The conditions; fields that are not asked for are zero.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ipvs {
    vaddr: Addr,
    /// Host order.
    vport: u16,
    protocol: u8,
    /// `IP_VS_CONN_F_*`.
    method: u8,
    /// Host order.
    vportctl: u16,
    /// Bits `1 << option id`, which are those of the kernel; for the direction: REPLY.
    invert: u8,
    /// Likewise: what is asked.
    asked: u8,
}

// The ids are the bit numbers of XT_IPVS_* (xt_ipvs.h).
const IPVS: u8 = 0;
const PROTO: u8 = 1;
const VADDR: u8 = 2;
const VPORT: u8 = 3;
const DIR: u8 = 4;
const METHOD: u8 = 5;
const VPORTCTL: u8 = 6;

/// The methods with their `IP_VS_CONN_F_*`.
const METHODS: [(&str, u8); 3] = [("GATE", 3), ("IPIP", 2), ("MASQ", 0)];

const OPTIONS: &[Opt] = &[
    Opt::flag("ipvs", IPVS, "the packet belongs to an IPVS connection").invertible(),
    Opt::value("vproto", PROTO, Kind::Protocol, "protocol", "protocol of the virtual service, by number or name")
        .invertible()
        .examples(&["tcp", "17", "sctp", "0", "255"]),
    Opt::value("vaddr", VADDR, Kind::Raw, "address[/mask]", "address of the virtual service").invertible().examples(&[
        "v4:192.0.2.1",
        "v4:10.0.0.0/8",
        "v4:10.1",
        "v4:192.0.2.1/32",
        "v4:0/0",
        "v6:2001:db8::1",
        "v6:2001:db8::/32",
        "v6:::/0",
    ]),
    Opt::value("vport", VPORT, Kind::Raw, "port", "port of the virtual service, by number or name")
        .invertible()
        .examples(&["80", "0", "65535", ""]),
    Opt::value("vdir", DIR, Kind::Raw, "ORIGINAL|REPLY", "direction of the packet")
        .examples(&["ORIGINAL", "REPLY", "reply"]),
    Opt::value("vmethod", METHOD, Kind::Raw, "GATE|IPIP|MASQ", "how the connection is forwarded")
        .invertible()
        .examples(&["GATE", "IPIP", "MASQ", "masq"]),
    Opt::value("vportctl", VPORTCTL, Kind::Raw, "port", "port of the controlling connection, 21 for FTP")
        .invertible()
        .examples(&["21", "5060", "65535"]),
];

impl Extension for Ipvs {
    const SPEC: Spec = Spec { options: OPTIONS, ..Spec::new("ipvs", 0, "matches the IPVS connection of the packet") };

    fn new(family: Family) -> Self {
        let vaddr = Addr { addr: family.unspecified(), mask: Some(family.unspecified()) };
        Self { vaddr, vport: 0, protocol: 0, method: 0, vportctl: 0, invert: 0, asked: 0 }
    }

    fn set(&mut self, given: &Given<'_>, cx: &ParseCx<'_>) -> Result<(), UsageError> {
        let text = given.bytes();
        let port = || resolve::ports(text, cx, "ipvs", given.opt.name).map(|(port, _)| port);
        let bad = || usage_bytes(&format!("ipvs: Bad value for \"--{}\" option: \"", given.opt.name), text, "\"");
        let mut inverted = given.negated;
        match given.id() {
            PROTO => self.protocol = given.u8(),
            VADDR => self.vaddr = Addr::parse(text, cx, "ipvs", given.opt.name)?,
            VPORT => self.vport = one_port(text, port)?,
            VPORTCTL => self.vportctl = one_port(text, port)?,
            DIR if text.eq_ignore_ascii_case(b"ORIGINAL") => inverted = false,
            DIR if text.eq_ignore_ascii_case(b"REPLY") => inverted = true,
            DIR => return Err(bad()),
            METHOD => {
                let method = METHODS.iter().find(|(name, _)| text.eq_ignore_ascii_case(name.as_bytes()));
                self.method = method.ok_or_else(bad)?.1;
            }
            _ => {}
        }
        self.asked |= 1 << IPVS | 1 << (given.id() & 7);
        self.invert |= u8::from(inverted) << (given.id() & 7);
        Ok(())
    }

    fn finish(&mut self, seen: u32, _: &ParseCx<'_>) -> Result<(), UsageError> {
        if seen == 0 {
            return Err(usage!("IPVS: At least one option is required"));
        }
        if self.inverted(IPVS) && seen != bit(IPVS) {
            return Err(usage!("! --ipvs cannot be together with other options"));
        }
        Ok(())
    }

    fn save(&self, out: &mut Out, cx: &PrintCx<'_>) {
        self.print(out, cx, "--");
    }

    fn list(&self, out: &mut Out, cx: &PrintCx<'_>) {
        self.print(out, cx, "");
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        self.vaddr.blob(b);
        b.bytes(&self.vport.to_be_bytes());
        b.u8(self.protocol);
        b.u8(self.method);
        b.bytes(&self.vportctl.to_be_bytes());
        b.u8(self.invert);
        b.u8(self.asked);
    }

    fn decode(info: &[u8], family: Family) -> Option<Self> {
        let [p0, p1, protocol, method, c0, c1, invert, asked] = *info.get(32..)?.first_chunk()?;
        let (vport, vportctl) = (u16::from_be_bytes([p0, p1]), u16::from_be_bytes([c0, c1]));
        let vaddr = Self::new(family).vaddr;
        let mut made = Self { vaddr, vport, protocol, method, vportctl, invert, asked };
        if made.asks(VADDR) {
            made.vaddr = Addr::decode(info, family)?;
        }
        made.is_sayable().then_some(made)
    }
}

/// A single port; nothing is 0.
fn one_port(text: &[u8], port: impl FnOnce() -> Result<u16, UsageError>) -> Result<u16, UsageError> {
    if text.contains(&b':') {
        return Err(usage_bytes("Port \"", text, "\" does not resolve to anything.\n"));
    }
    port()
}

impl Ipvs {
    fn asks(&self, id: u8) -> bool {
        self.asked & 1 << id != 0
    }

    fn inverted(&self, id: u8) -> bool {
        self.invert & 1 << id != 0
    }

    /// Whether the options say all of it: nothing inverted or filled in that is not asked, no bit or method without a name.
    fn is_sayable(&self) -> bool {
        self.asks(IPVS)
            && self.asked < 1 << (VPORTCTL + 1)
            && self.invert & !self.asked == 0
            && (!self.inverted(IPVS) || self.asked == 1 << IPVS)
            && (self.asks(PROTO) || self.protocol == 0)
            && (self.asks(VPORT) || self.vport == 0)
            && (self.asks(VPORTCTL) || self.vportctl == 0)
            && (self.asks(METHOD) || self.method == 0)
            && METHODS.iter().any(|(_, method)| *method == self.method)
    }

    fn print(&self, out: &mut Out, cx: &PrintCx<'_>, dashes: &str) {
        // Prints the option's name, if it was given.
        let given = |out: &mut Out, id: u8, name: &str| {
            if self.asks(id) {
                out.str(if self.inverted(id) && id != DIR { " ! " } else { " " });
                out.str(dashes);
                out.str(name);
            }
            self.asks(id)
        };
        if self.asked == 1 << IPVS {
            given(out, IPVS, "ipvs");
        }
        if given(out, PROTO, "vproto ") {
            out.dec(u64::from(self.protocol));
        }
        if given(out, VADDR, "vaddr ") {
            self.vaddr.print(out, cx);
        }
        if given(out, VPORT, "vport ") {
            out.dec(u64::from(self.vport));
        }
        if given(out, DIR, "vdir ") {
            out.str(if self.inverted(DIR) { "REPLY" } else { "ORIGINAL" });
        }
        if given(out, METHOD, "vmethod ") {
            out.str(METHODS.iter().find(|(_, method)| *method == self.method).map_or("", |(name, _)| name));
        }
        if given(out, VPORTCTL, "vportctl ") {
            out.dec(u64::from(self.vportctl));
        }
    }
}

impl MatchExt for Ipvs {
    fn eval(&self, _: &Packet, _: &mut Env<'_>) -> Tri {
        Tri::Unknown
    }
}

#[cfg(test)]
mod tests {
    use crate::ext::matches::testing::{error, raised_text, read, row};
    use crate::types::Family::{V4, V6};

    fn wire(vaddr: &str, vmask: &str, rest: &str) -> String {
        format!("match ipvs 0 {vaddr:0<32}{vmask:0<32}{rest}")
    }

    #[test]
    fn what_stock_writes_and_prints() {
        let full = "f".repeat(32);
        let one = |family, args: &str, save: &str, wire: &str| {
            let list = save.replace("--", "");
            row(family, None, &format!("ipvs {args}"), &format!(" {save}"), &format!(" {list}"), wire);
        };
        for family in [V4, V6] {
            for (args, save, rest) in [
                ("--ipvs", "--ipvs", "0000000000000001"),
                ("! --ipvs", "! --ipvs", "0000000000000101"),
                ("--vproto tcp", "--vproto 6", "0000060000000003"),
                ("! --vproto 0 --ipvs", "! --vproto 0", "0000000000000203"),
                ("! --vport 80", "! --vport 80", "0050000000000809"),
                ("--vport ", "--vport 0", "0000000000000009"),
                ("--vdir ORIGINAL", "--vdir ORIGINAL", "0000000000000011"),
                ("--vdir reply", "--vdir REPLY", "0000000000001011"),
                ("--vmethod gate", "--vmethod GATE", "0000000300000021"),
                ("--vmethod IPIP", "--vmethod IPIP", "0000000200000021"),
                ("! --vmethod MASQ", "! --vmethod MASQ", "0000000000002021"),
                ("! --vportctl 21", "! --vportctl 21", "0000000000154041"),
            ] {
                one(family, args, save, &wire("", "", rest));
            }
        }
        let rest = "0000000000000005";
        one(V4, "--vaddr 1.2.3.4", "--vaddr 1.2.3.4", &wire("01020304", &full, rest));
        one(V4, "--vaddr 1.2.3.4/32", "--vaddr 1.2.3.4", &wire("01020304", "ffffffff", rest));
        let inverted = "! --vaddr 1.2.3.4/24";
        one(V4, inverted, inverted, &wire("01020304", "ffffff", "0000000000000405"));
        one(V6, "--vaddr 2001:db8::/32", "--vaddr 2001:db8::/32", &wire("20010db8", "ffffffff", rest));
        let all = "--vportctl 21 --vmethod MASQ --vdir REPLY --vport 80 --vaddr 1.2.3.4 --vproto udp --ipvs";
        let save = "--vproto 17 --vaddr 1.2.3.4 --vport 80 --vdir REPLY --vmethod MASQ --vportctl 21";
        one(V4, all, save, &wire("01020304", &full, "005011000015107f"));
    }

    #[test]
    fn bytes_that_no_option_says_are_not_read() {
        let text = |rest: [u8; 8]| {
            raised_text(V4, None, |x| {
                x.xt_match("ipvs", 0, |b| {
                    b.zeros(32);
                    b.bytes(&rest);
                });
            })
        };
        assert_eq!(text([0, 0, 6, 0, 0, 0, 0, 3]), " -m ipvs --vproto 6");
        for rest in [
            [0, 0, 0, 0, 0, 0, 0, 0],
            [0, 0, 6, 0, 0, 0, 0, 1],
            [0, 0, 0, 1, 0, 0, 0, 0x21],
            [0, 0, 0, 0, 0, 0, 1, 3],
            [0, 0, 0, 0, 0, 0, 4, 3],
            [0, 0, 0, 0, 0, 0, 0, 0x81],
        ] {
            assert_eq!(text(rest), "opaque", "{rest:?}");
        }
    }

    #[test]
    fn stocks_words_for_what_it_does_not_take() {
        let bad = |o: &str, s: &str| format!("ipvs: Bad value for \"--{o}\" option: \"{s}\"");
        let port = |s: &str| format!("Port \"{s}\" does not resolve to anything.\n");
        for (args, text) in [
            ("", "IPVS: At least one option is required".to_owned()),
            (" --vproto nosuch", "unknown protocol \"nosuch\" specified".to_owned()),
            (" --vaddr ::1", "getaddrinfo: Address family for hostname not supported\n".to_owned()),
            (" --vport 1:2", port("1:2")),
            (" --vportctl x", port("x")),
            (" --vdir Orig", bad("vdir", "Orig")),
            (" --vmethod TUN", bad("vmethod", "TUN")),
            (" ! --vdir REPLY", "ipvs: option \"--vdir\" cannot be inverted.\n".to_owned()),
            (" --ipvs --ipvs", "ipvs: option \"--ipvs\" can only be used once.\n".to_owned()),
            (" ! --ipvs --vport 80", "! --ipvs cannot be together with other options".to_owned()),
        ] {
            assert_eq!(error(V4, None, &format!("ipvs{args}")), text, "{args}");
        }
        assert_eq!(read(V4, None, "ipvs --ipvs").unwrap().translation(), None);
    }
}

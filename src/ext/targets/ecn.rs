//! `-j ECN`: changes the ECN bits of TCP and IPv4 headers.
//!
//! # Options
//! `--ecn-tcp-remove`, or any of `--ecn-tcp-cwr 0|1`, `--ecn-tcp-ece 0|1`; `--ecn-ip-ect 0..3`. Only the first is in stock's help and man page.
//! # Wire
//! xt `ECN` revision 0: `struct ipt_ECN_info { u8 operation, ip_ect; u8 tcp; }`; operations 1 IP, 0x10 ECE, 0x20 CWR; in `tcp` bit 0 is ECE
//! and bit 1 CWR. `--ecn-tcp-remove` puts its operations in the place of those before it. Native: only what changes the IP header alone,
//! because the xt form looks for the TCP header in fragments too.
//! # Evaluates
//! The bits are changed; the walk goes on. A packet without a whole TCP header is dropped.
//! # Differs
//! Nothing known.
//! # Sources
//! iptables-extensions(8) "ECN"; `linux/netfilter_ipv4/ipt_ECN.h`; RFC 3168 §6; measured.

use crate::ext::dscp_values::rewrite;
use crate::ext::limits::Limit;
use crate::ext::options::{Given, Kind, Opt, UsageError, bit};
use crate::ext::{Effect, Extension, NativeCx, ParseCx, PrintCx, Spec, TargetExt};
use crate::packet::env::Env;
use crate::packet::{Packet, protocol};
use crate::types::{Family, Out};
use crate::usage;
use crate::wire::{BlobWriter, ExprWriter};

/// The struct as it is; where an operation is missing, its bits mean nothing and are kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ecn {
    operation: u8,
    /// The codepoint, 0 to 3.
    ip_ect: u8,
    /// [`TCP_ECE`] and [`TCP_CWR`].
    tcp: u8,
}

/// `IPT_ECN_OP_SET_IP`.
const OP_IP: u8 = 0x01;
/// `IPT_ECN_OP_SET_ECE`.
const OP_ECE: u8 = 0x10;
/// `IPT_ECN_OP_SET_CWR`.
const OP_CWR: u8 = 0x20;

const TCP_ECE: u8 = 1;
const TCP_CWR: u8 = 2;

/// The flags in the 16 bits at byte 12 of the TCP header.
const HEADER_ECE: u16 = 0x40;
const HEADER_CWR: u16 = 0x80;

const REMOVE: u8 = 0;
const CWR: u8 = 1;
const ECE: u8 = 2;
const ECT: u8 = 3;

const ONE_BIT: Kind = Kind::Number { min: 0, max: 1 };

const OPTIONS: &[Opt] = &[
    Opt::flag("ecn-tcp-remove", REMOVE, "clear ECE and CWR in the TCP header").excluding(bit(CWR) | bit(ECE)),
    Opt::value("ecn-tcp-cwr", CWR, ONE_BIT, "0|1", "set CWR in the TCP header")
        .excluding(bit(REMOVE))
        .examples(&["0", "1"]),
    Opt::value("ecn-tcp-ece", ECE, ONE_BIT, "0|1", "set ECE in the TCP header")
        .excluding(bit(REMOVE))
        .examples(&["0", "1"]),
    Opt::value("ecn-ip-ect", ECT, Kind::Number { min: 0, max: 3 }, "codepoint", "set the codepoint in the IP header")
        .examples(&["0", "1", "2", "3"]),
];

impl Extension for Ecn {
    const SPEC: Spec = Spec {
        families: &[Family::V4],
        options: OPTIONS,
        sample: "-p tcp @mangle/PREROUTING",
        limits: &[
            Limit::tables(&["mangle"]),
            Limit::protocols(&[6]).with("--ecn-tcp-remove"),
            Limit::protocols(&[6]).with("--ecn-tcp-ece"),
            Limit::protocols(&[6]).with("--ecn-tcp-cwr"),
        ],
        ..Spec::new("ECN", 0, "changes the bits of explicit congestion notification")
    };

    fn new(_: Family) -> Self {
        Self { operation: 0, ip_ect: 0, tcp: 0 }
    }

    fn set(&mut self, given: &Given<'_>, _: &ParseCx<'_>) -> Result<(), UsageError> {
        match given.id() {
            REMOVE => (self.operation, self.tcp) = (OP_ECE | OP_CWR, 0),
            CWR => {
                self.operation |= OP_CWR;
                self.tcp = self.tcp & !TCP_CWR | if given.u8() == 1 { TCP_CWR } else { 0 };
            }
            ECE => {
                self.operation |= OP_ECE;
                self.tcp = self.tcp & !TCP_ECE | given.u8();
            }
            _ => {
                self.operation |= OP_IP;
                self.ip_ect = given.u8();
            }
        }
        Ok(())
    }

    fn finish(&mut self, seen: u32, _: &ParseCx<'_>) -> Result<(), UsageError> {
        if seen == 0 { Err(usage!("ECN target: An operation is required")) } else { Ok(()) }
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        if self.removes() {
            out.str(" --ecn-tcp-remove");
            return;
        }
        self.print(out, [" --ecn-tcp-ece ", " --ecn-tcp-cwr ", " --ecn-ip-ect "]);
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        if self.removes() {
            out.str(" ECN TCP remove");
            return;
        }
        out.str(" ECN");
        self.print(out, [" ECE=", " CWR=", " ECT codepoint="]);
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        b.u8(self.operation);
        b.u8(self.ip_ect);
        b.u8(self.tcp);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let [operation, ip_ect, tcp, ..] = *info else { return None };
        let known = operation != 0 && operation & !(OP_IP | OP_ECE | OP_CWR) == 0 && ip_ect <= 3;
        (known && tcp & !(TCP_ECE | TCP_CWR) == 0).then_some(Self { operation, ip_ect, tcp })
    }

    fn native(&self, cx: &NativeCx, x: &mut ExprWriter<'_>) -> bool {
        let exact = self.operation == OP_IP;
        if exact {
            rewrite(cx.family, 0x03, self.ip_ect, x);
        }
        exact
    }
}

impl Ecn {
    fn removes(&self) -> bool {
        self.operation == OP_ECE | OP_CWR && self.tcp == 0
    }

    fn print(&self, out: &mut Out, [ece, cwr, ect]: [&str; 3]) {
        let bit_of = |bit: u8| u64::from(self.tcp & bit != 0);
        for (op, word, value) in
            [(OP_ECE, ece, bit_of(TCP_ECE)), (OP_CWR, cwr, bit_of(TCP_CWR)), (OP_IP, ect, u64::from(self.ip_ect))]
        {
            if self.operation & op != 0 {
                out.str(word);
                out.dec(value);
            }
        }
    }
}

impl TargetExt for Ecn {
    fn apply(&self, packet: &mut Packet, _: &mut Env<'_>) -> Effect {
        if self.operation & OP_IP != 0 {
            packet.set_ds_field(packet.ds_field() & !3 | self.ip_ect);
        }
        if self.operation & (OP_ECE | OP_CWR) == 0 || packet.protocol() != Some(protocol::TCP) {
            return Effect::Continue;
        }
        if packet.is_fragment_tail() {
            // The kernel takes data for the header here.
            return Effect::Unknown;
        }
        let pick = |op: u8, bit: u8, flag: u16| {
            let mask = if self.operation & op != 0 { flag } else { 0 };
            (mask, if self.tcp & bit != 0 { mask } else { 0 })
        };
        let ((ece_mask, ece), (cwr_mask, cwr)) = (pick(OP_ECE, TCP_ECE, HEADER_ECE), pick(OP_CWR, TCP_CWR, HEADER_CWR));
        let whole = packet.change_tcp(12, |flags| flags & !(ece_mask | cwr_mask) | ece | cwr);
        if whole { Effect::Continue } else { Effect::Drop }
    }
}

#[cfg(test)]
mod tests {
    use crate::ext::Effect;
    use crate::ext::targets::testing::{TCP, effect, error, row, ways};
    use crate::packet::build::{Ipv4, Tcp};
    use crate::types::Family::V4;

    #[test]
    fn what_stock_writes_and_prints() {
        for (words, save, list, hex) in [
            ("--ecn-tcp-remove", "", "TCP remove", "300000"),
            ("--ecn-tcp-ece 0 --ecn-tcp-cwr 0", "--ecn-tcp-remove", "TCP remove", "300000"),
            ("--ecn-tcp-cwr 1", "", "CWR=1", "200002"),
            ("--ecn-tcp-cwr 1 --ecn-tcp-ece 0", "--ecn-tcp-ece 0 --ecn-tcp-cwr 1", "ECE=0 CWR=1", "300002"),
            ("--ecn-ip-ect 2", "", "ECT codepoint=2", "010200"),
            ("--ecn-ip-ect 2 --ecn-tcp-remove", "--ecn-tcp-remove", "TCP remove", "300200"),
            (
                "--ecn-tcp-remove --ecn-ip-ect 2",
                "--ecn-tcp-ece 0 --ecn-tcp-cwr 0 --ecn-ip-ect 2",
                "ECE=0 CWR=0 ECT codepoint=2",
                "310200",
            ),
        ] {
            let save = if save.is_empty() { words } else { save };
            row(V4, TCP, &format!("ECN {words}"), save, &format!(" ECN {list}"), &format!("{hex}0000000000"));
        }
        error(V4, TCP, "ECN", "ECN target: An operation is required");
        let together = "ECN: option \"--ecn-tcp-remove\" cannot be used together with \"--ecn-tcp-cwr\".\n";
        error(V4, TCP, "ECN --ecn-tcp-ece 1 --ecn-tcp-cwr 1 --ecn-tcp-remove", together);
        let range = "ECN: bad value for option \"--ecn-ip-ect\", or out of range (0-3).\n";
        error(V4, TCP, "ECN --ecn-ip-ect 4", range);
    }

    #[test]
    fn natively_the_ip_header_alone() {
        let native =
            "nh+0,2; & fffc; payload 5=00000001 2=00000001 3=00000000 4=00000002 6=00000001 7=0000000a 8=00000000";
        ways(V4, None, "ECN --ecn-ip-ect 2", Some(native), None);
        ways(V4, TCP, "ECN --ecn-tcp-remove", None, None);
    }

    #[test]
    fn the_bits_change() {
        let mut packet = Ipv4 { tos: 0xff, ..Ipv4::default() } / Tcp { flags: 0xc2, ..Tcp::default() };
        assert_eq!(effect(V4, TCP, "ECN --ecn-tcp-ece 0 --ecn-ip-ect 1", &mut packet), Effect::Continue);
        assert_eq!(packet, Ipv4 { tos: 0xfd, ..Ipv4::default() } / Tcp { flags: 0x82, ..Tcp::default() });
        effect(V4, TCP, "ECN --ecn-tcp-remove", &mut packet);
        assert_eq!(packet.tcp().map(|tcp| tcp.flags()), Some(0x02));
    }
}

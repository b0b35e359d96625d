//! `-m bpf`: a BPF program decides.
//!
//! # Matches
//! Packets for which the program returns something else than 0. It sees the packet from its network header on.
//! # Options
//! `--bytecode "N,code jt jf k,…"`, a classic program of 1 to 64 instructions, in decimal, or `--object-pinned PATH`, an eBPF program that is
//! pinned in a BPF file system.
//! # Wire
//! xt `bpf` revision 1: `struct xt_bpf_info_v1 { u16 mode, bpf_program_num_elem; s32 fd; union { struct sock_filter bpf_program[64]; char
//! path[512]; }; struct bpf_prog *filter; }`, host order, 528 bytes. The kernel opens the path itself and does not look at `fd`, for which stock
//! writes the number that it had; here it is 0.
//! Native: none, because nf_tables runs no BPF.
//! # Evaluates
//! A classic program is run; Unknown if it asks for what is not known (`SKF_AD_*`), and for a pinned one.
//! # Differs
//! Numbers that do not fit their field, and anything behind an instruction, are refused: stock takes the rest modulo, or leaves it out, and
//! filters by another program. A path is printed in quotes where `-restore` would read another one otherwise. As in stock, a NUL ends the program
//! in the `-L` form.
//! # Sources
//! iptables-extensions(8) "bpf"; `linux/netfilter/xt_bpf.h`, `linux/filter.h`, bpf(2).

use super::bpf_program::{self, Insn};
use crate::ext::options::{Given, Kind, Opt, UsageError, bit};
use crate::ext::{Extension, MatchExt, ParseCx, PrintCx, Spec};
use crate::packet::Packet;
use crate::packet::env::Env;
use crate::types::{Family, Out, Tri};
use crate::usage;
use crate::wire::BlobWriter;

/// A program.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Bpf {
    /// 1 to 64 instructions; none before the option has been read.
    Classic(Box<[Insn]>),
    /// The path of a pinned one: at most 511 bytes without NUL.
    Pinned(Box<[u8]>),
}

const BYTECODE: u8 = 0;
const PINNED: u8 = 1;

/// `XT_BPF_PATH_MAX`: the size of the instructions or the path, its NUL included.
const SIZE: usize = 512;

// enum xt_bpf_modes (xt_bpf.h).
const MODE_BYTECODE: u16 = 0;
const MODE_PINNED: u16 = 1;

const OPTIONS: &[Opt] = &[
    Opt::value(
        "bytecode",
        BYTECODE,
        Kind::Raw,
        "program",
        "a program as `nfbpf_compile RAW` or `tcpdump -ddd` gives it",
    )
    .examples(&[
        "4,48 0 0 9,21 0 1 6,6 0 0 1,6 0 0 0",
        "1,6 0 0 0",
        "1,6 0 0 4294967295",
        "1,6 0 0 65535,",
        "2,48 0 0 0,6 0 0 1",
        "2,128 0 0 0,22 0 0 0",
        "3,177 0 0 0,72 0 0 2,22 0 0 0",
        "5,0 0 0 7,2 0 0 3,96 0 0 3,148 0 0 4,22 0 0 0",
        " 1, 6  0 0 0 ",
        "2,32 0 0 4294963200,22 0 0 0",
        "6,48 0 0 9,21 0 3 17,40 0 0 6,69 1 0 8191,6 0 0 65535,6 0 0 0",
        "8,48 0 0 9,21 0 5 6,177 0 0 0,72 0 0 2,21 1 0 22,21 0 1 80,6 0 0 1,6 0 0 0",
        "4,32 0 0 12,53 0 1 167772160,6 0 0 1,6 0 0 0",
        "5,32 0 0 16,84 0 0 4294967040,21 0 1 3221225984,6 0 0 1,6 0 0 0",
        "4,128 0 0 0,37 0 1 1000,6 0 0 1,6 0 0 0",
        "5,40 0 0 2,116 0 0 2,20 0 0 1,100 0 0 3,22 0 0 0",
        "4,1 0 0 5,80 0 0 3,164 0 0 255,22 0 0 0",
        "3,5 0 0 1,6 0 0 1,6 0 0 2",
        "2,0 0 0 100,22 0 0 0",
        "4,129 0 0 0,135 0 0 0,68 0 0 1,22 0 0 0",
    ]),
    Opt::value("object-pinned", PINNED, Kind::Raw, "path", "path of a program that is pinned in a BPF file system")
        .examples(&["/sys/fs/bpf/nosuch"]),
];

impl Extension for Bpf {
    const SPEC: Spec = Spec { options: OPTIONS, ..Spec::new("bpf", 1, "lets a BPF program decide") };

    fn new(_: Family) -> Self {
        Self::Classic(Box::default())
    }

    fn set(&mut self, given: &Given<'_>, cx: &ParseCx<'_>) -> Result<(), UsageError> {
        let text = given.bytes();
        if given.id() == BYTECODE {
            *self = Self::Classic(bpf_program::parse(text)?.into());
            return Ok(());
        }
        let short = text.split(|b| *b == 0).next().filter(|path| path.len() < SIZE);
        let path = short.filter(|path| cx.names.is_bpf_object(path));
        *self = Self::Pinned(path.ok_or_else(|| usage!("bpf: failed to get bpf object"))?.into());
        Ok(())
    }

    fn finish(&mut self, seen: u32, _: &ParseCx<'_>) -> Result<(), UsageError> {
        match seen == bit(BYTECODE) || seen == bit(PINNED) {
            true => Ok(()),
            false => Err(usage!("bpf: one of --bytecode or --pinned is required")),
        }
    }

    fn save(&self, out: &mut Out, _: &PrintCx<'_>) {
        match self {
            Self::Classic(program) => {
                write!(out, " --bytecode \"{},", program.len());
                bpf_program::print(program, out);
                out.byte(b'"');
            }
            Self::Pinned(path) => {
                out.str(" --object-pinned");
                out.word(path);
            }
        }
    }

    fn list(&self, out: &mut Out, _: &PrintCx<'_>) {
        match self {
            Self::Classic(program) => {
                out.str("match bpf ");
                bpf_program::print(program, out);
                out.byte(0);
            }
            Self::Pinned(path) => {
                out.str("match bpf pinned ");
                out.bytes(path);
            }
        }
    }

    fn blob(&self, _: Family, b: &mut BlobWriter<'_>) {
        let (mode, count) = match self {
            Self::Classic(program) => (MODE_BYTECODE, u16::try_from(program.len()).unwrap_or(u16::MAX)),
            Self::Pinned(_) => (MODE_PINNED, 0),
        };
        b.u16(mode);
        b.u16(count);
        b.u32(0);
        match self {
            Self::Classic(program) => {
                for insn in program {
                    b.u16(insn.code);
                    b.u8(insn.jt);
                    b.u8(insn.jf);
                    b.u32(insn.k);
                }
                b.zeros(SIZE.saturating_sub(program.len() * 8));
            }
            Self::Pinned(path) => b.fixed(path, SIZE),
        }
        b.zeros(8);
    }

    fn decode(info: &[u8], _: Family) -> Option<Self> {
        let ([m0, m1, n0, n1, ..], union) = info.split_first_chunk::<8>()?;
        let (mode, count) = (u16::from_ne_bytes([*m0, *m1]), usize::from(u16::from_ne_bytes([*n0, *n1])));
        let union = union.get(..SIZE)?;
        match mode {
            MODE_BYTECODE if (1..=bpf_program::MAX).contains(&count) => {
                let insns = union.get(..8 * count)?.chunks_exact(8).filter_map(|insn| {
                    let [c0, c1, jt, jf, k0, k1, k2, k3] = *insn.first_chunk()?;
                    let (code, k) = (u16::from_ne_bytes([c0, c1]), u32::from_ne_bytes([k0, k1, k2, k3]));
                    Some(Insn { code, jt, jf, k })
                });
                Some(Self::Classic(insns.collect()))
            }
            MODE_PINNED => {
                let end = union.iter().position(|b| *b == 0)?;
                Some(Self::Pinned(union.get(..end)?.into()))
            }
            _ => None,
        }
    }

    fn scrub(info: &mut [u8]) {
        if info.first_chunk() == Some(&MODE_PINNED.to_ne_bytes()) {
            // The number of a file of whoever wrote it; what is behind the path.
            info.get_mut(4..8).unwrap_or_default().fill(0);
            let path = info.get_mut(8..8 + SIZE).unwrap_or_default();
            let end = path.iter().position(|b| *b == 0).unwrap_or(path.len());
            path.get_mut(end..).unwrap_or_default().fill(0);
        }
        // The kernel's own pointer.
        info.get_mut(8 + SIZE..).unwrap_or_default().fill(0);
    }
}

impl MatchExt for Bpf {
    fn eval(&self, packet: &Packet, _: &mut Env<'_>) -> Tri {
        match self {
            Self::Classic(program) => bpf_program::run(program, packet).map_or(Tri::Unknown, |n| Tri::from(n != 0)),
            Self::Pinned(_) => Tri::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::matches::testing::{error, raised_text, read, row};
    use crate::packet::build::{Ipv4, Tcp, Udp};
    use crate::types::Family::{V4, V6};

    #[test]
    fn what_stock_writes_and_prints() {
        // The words of a test line are divided at blanks; a tab is one for the program as well.
        for family in [V4, V6] {
            row(
                family,
                None,
                "bpf --bytecode 2,48\t0\t0\t9,6\t1\t2\t65536,",
                " --bytecode \"2,48 0 0 9,6 1 2 65536\"",
                "match bpf 48 0 0 9,6 1 2 65536\0",
                &format!("match bpf 1 {:0<1056}", "000002000000000030000000090000000600010200000100"),
            );
        }
        let pinned = |fd: u32, rest: &[u8]| {
            raised_text(V4, None, |x| {
                x.xt_match("bpf", 1, |b| {
                    b.u16(1);
                    b.u16(0);
                    b.u32(fd);
                    b.fixed(b"/sys/fs/bpf/a b", 512);
                    b.bytes(rest);
                });
            })
        };
        assert_eq!(pinned(4, &[1; 8]), " -m bpf --object-pinned \"/sys/fs/bpf/a b\"");
        let path = Bpf::Pinned(b"/sys/fs/bpf/x"[..].into());
        let (mut save, mut list) = (Out::new(), Out::new());
        let cx = PrintCx { family: V4, numeric: true, names: &crate::types::NoNames, protocol: None };
        path.save(&mut save, &cx);
        path.list(&mut list, &cx);
        assert_eq!(
            (save.as_bytes(), list.as_bytes()),
            (&b" --object-pinned /sys/fs/bpf/x"[..], &b"match bpf pinned /sys/fs/bpf/x"[..])
        );
    }

    #[test]
    fn bytes_that_no_option_says_are_not_read() {
        let text = |head: [u8; 8], insn: [u8; 16]| {
            raised_text(V4, None, |x| {
                x.xt_match("bpf", 1, |b| {
                    b.bytes(&head);
                    b.fixed(&insn, 512);
                    b.zeros(8);
                });
            })
        };
        let (mut one, mut two) = ([0; 16], [0; 16]);
        (one[0], two[0], two[8]) = (6, 6, 6);
        assert_eq!(text([0, 0, 1, 0, 0, 0, 0, 0], one), " -m bpf --bytecode \"1,6 0 0 0\"");
        for (head, insn) in [
            ([0, 0, 1, 0, 0, 0, 0, 0], two),
            ([0, 0, 0, 0, 0, 0, 0, 0], [0; 16]),
            ([0, 0, 65, 0, 0, 0, 0, 0], one),
            ([0, 0, 1, 0, 1, 0, 0, 0], one),
            ([2, 0, 0, 0, 3, 0, 0, 0], [0; 16]),
        ] {
            assert_eq!(text(head, insn), "opaque", "{head:?}");
        }
    }

    #[test]
    fn stocks_words_for_what_it_does_not_take() {
        let required = "bpf: one of --bytecode or --pinned is required";
        for (args, text) in [
            ("", required),
            (" --bytecode 1,6\t0\t0\t0 --object-pinned /x", required),
            (" --bytecode x", "bpf: error parsing program length"),
            (" ! --bytecode 1,6\t0\t0\t0", "bpf: option \"--bytecode\" cannot be inverted.\n"),
            (" --bytecode 1,6\t0\t0\t0 --bytecode 1,6\t0\t0\t0", "bpf: option \"--bytecode\" can only be used once.\n"),
        ] {
            assert_eq!(error(V4, None, &format!("bpf{args}")), text, "{args}");
        }
        let long = format!("bpf --object-pinned {}", "x".repeat(512));
        assert_eq!(error(V4, None, &long), "bpf: failed to get bpf object");
    }

    #[test]
    fn packets() {
        let tcp = read(V4, None, "bpf --bytecode 4,48\t0\t0\t9,21\t0\t1\t6,6\t0\t0\t1,6\t0\t0\t0").unwrap();
        assert_eq!(tcp.matches(&(Ipv4::default() / Tcp::default())), Tri::True);
        assert_eq!(tcp.matches(&(Ipv4::default() / Udp::default())), Tri::False);
        let ifindex = read(V4, None, "bpf --bytecode 2,32\t0\t0\t4294963208,22\t0\t0\t0").unwrap();
        assert_eq!(ifindex.matches(&(Ipv4::default() / Udp::default())), Tri::Unknown);
    }
}

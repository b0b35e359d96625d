//! Classic BPF: the programs of `bpf --bytecode`, as text, as bytes, and as they run.
//!
//! A program runs as in the kernel: over the packet from its network header on; a load behind its end, and a division by zero, end it with 0. What
//! it asks of the packet's surroundings (`SKF_AD_*`) is known in part, else the result is Unknown. A program that the kernel would not take gives
//! no result either. Jumps go forward only, so that every run ends.
//! Sources: `linux/filter.h`, `linux/bpf_common.h`; iptables-extensions(8) "bpf" for the text; decided as observed on Linux 6.18.

use crate::packet::Packet;
use crate::types::{Family, Out};
use crate::usage;

use crate::ext::options::UsageError;

/// One instruction: `struct sock_filter`, host order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the fields' names in linux/filter.h")]
pub struct Insn {
    pub code: u16,
    pub jt: u8,
    pub jf: u8,
    pub k: u32,
}

/// `XT_BPF_MAX_NUM_INSTR`.
pub const MAX: usize = 64;

/// Reads `N,code jt jf k,code jt jf k,…`, all in decimal; one comma may stand at the end.
pub fn parse(text: &[u8]) -> Result<Vec<Insn>, UsageError> {
    let unread = || usage!("bpf: error parsing program length");
    let (count, rest) = decimal(text).ok_or_else(unread)?;
    let [b',', rest @ ..] = rest else { return Err(unread()) };
    let count = match usize::try_from(count) {
        Ok(0) => return Err(usage!("bpf: illegal zero length program")),
        Ok(count) if count <= MAX => count,
        _ => return Err(usage!("bpf: number of instructions exceeds maximum")),
    };
    let mut program = Vec::with_capacity(count);
    let mut left = rest;
    while !left.is_empty() {
        if program.len() == count {
            return Err(usage!("bpf: real program length exceeds the encoded length parameter"));
        }
        let end = left.iter().position(|b| *b == b',').unwrap_or(left.len());
        let (one, behind) = left.split_at_checked(end).unwrap_or((left, b""));
        program.push(instruction(one).ok_or_else(|| usage!("bpf: error at instr {}", program.len()))?);
        left = behind.get(1..).unwrap_or_default();
    }
    if program.len() < count {
        return Err(usage!("bpf: parsed program length is less than the encoded length parameter"));
    }
    Ok(program)
}

/// `code jt jf k` with nothing behind it but blanks; `k` may be negative.
fn instruction(text: &[u8]) -> Option<Insn> {
    let (code, rest) = decimal(text)?;
    let (jt, rest) = decimal(apart(rest)?)?;
    let (jf, rest) = decimal(apart(rest)?)?;
    let (k, rest) = decimal(apart(rest)?)?;
    let k = u32::try_from(k).ok().or_else(|| i32::try_from(k).ok().map(i32::cast_unsigned))?;
    let whole = rest.iter().all(u8::is_ascii_whitespace);
    whole.then_some(Insn { code: u16::try_from(code).ok()?, jt: u8::try_from(jt).ok()?, jf: u8::try_from(jf).ok()?, k })
}

/// The text, if it begins with a blank.
fn apart(text: &[u8]) -> Option<&[u8]> {
    text.first().filter(|b| b.is_ascii_whitespace()).map(|_| text)
}

/// A decimal number at the front, behind blanks and a sign, and what stands behind it.
fn decimal(text: &[u8]) -> Option<(i64, &[u8])> {
    let text = text.trim_ascii_start();
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let len = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let (digits, rest) = text.split_at_checked(len)?;
    let n: i64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((if negative { -n } else { n }, rest))
}

/// Prints the instructions, without their number: `code jt jf k,…`.
pub fn print(program: &[Insn], out: &mut Out) {
    for (i, Insn { code, jt, jf, k }) in program.iter().enumerate() {
        write!(out, "{}{code} {jt} {jf} {k}", if i > 0 { "," } else { "" });
    }
}

// The parts of an instruction's code (linux/bpf_common.h).
const LD: u16 = 0x00;
const LDX: u16 = 0x01;
const ST: u16 = 0x02;
const STX: u16 = 0x03;
const ALU: u16 = 0x04;
const JMP: u16 = 0x05;
const RET: u16 = 0x06;
const MISC: u16 = 0x07;
/// `BPF_X`: the operand is the index register.
const X: u16 = 0x08;

/// The first offsets that mean something else than bytes of the packet: `SKF_AD_OFF`, `SKF_NET_OFF`, `SKF_LL_OFF`.
const AD_OFF: u32 = 0xffff_f000;
const NET_OFF: u32 = 0xfff0_0000;
const LL_OFF: u32 = 0xffe0_0000;

/// Why a program stops before its `ret`.
enum Stop {
    /// It read what is not there: the kernel then takes 0 as its result.
    Outside,
    /// It asks for what is not known, or the kernel would not run it.
    Unknown,
}

/// The registers and the scratch memory.
struct Machine<'p> {
    packet: &'p Packet,
    a: u32,
    x: u32,
    memory: [u32; 16],
}

/// What a program returns for a packet; `None` if that is not known.
pub fn run(program: &[Insn], packet: &Packet) -> Option<u32> {
    let mut machine = Machine { packet, a: 0, x: 0, memory: [0; 16] };
    let mut at = 0;
    loop {
        let insn = *program.get(at)?;
        at += 1;
        let skip = match insn.code & 7 {
            RET => {
                return match insn.code {
                    0x06 => Some(insn.k),
                    0x16 => Some(machine.a),
                    _ => None,
                };
            }
            JMP => Ok(machine.jump(insn)?),
            _ => machine.step(insn).map(|()| 0),
        };
        match skip {
            Ok(skip) => at = at.checked_add(usize::try_from(skip).ok()?)?,
            Err(Stop::Outside) => return Some(0),
            Err(Stop::Unknown) => return None,
        }
    }
}

impl Machine<'_> {
    /// How many instructions are skipped.
    fn jump(&self, insn: Insn) -> Option<u32> {
        let operand = if insn.code & X != 0 { self.x } else { insn.k };
        let holds = match insn.code & 0xf7 {
            0x05 => return Some(insn.k),
            0x15 => self.a == operand,
            0x25 => self.a > operand,
            0x35 => self.a >= operand,
            0x45 => self.a & operand != 0,
            _ => return None,
        };
        Some(u32::from(if holds { insn.jt } else { insn.jf }))
    }

    fn step(&mut self, insn: Insn) -> Result<(), Stop> {
        let Insn { code, k, .. } = insn;
        let cell = usize::try_from(k).unwrap_or(usize::MAX);
        match code & 7 {
            LD => self.a = self.load(code, k)?,
            LDX => {
                self.x = match code {
                    0x01 => k,
                    0x61 => *self.memory.get(cell).ok_or(Stop::Unknown)?,
                    0x81 => self.len(),
                    // The length of an IPv4 header from its first byte.
                    0xb1 => 4 * (self.bytes(k, 1)? & 0xf),
                    _ => return Err(Stop::Unknown),
                }
            }
            ST if code == ST => *self.memory.get_mut(cell).ok_or(Stop::Unknown)? = self.a,
            STX if code == STX => *self.memory.get_mut(cell).ok_or(Stop::Unknown)? = self.x,
            ALU => self.a = self.calculate(code, if code & X != 0 { self.x } else { k })?,
            MISC if code == 0x07 => self.x = self.a,
            MISC if code == 0x87 => self.a = self.x,
            _ => return Err(Stop::Unknown),
        }
        Ok(())
    }

    fn load(&self, code: u16, k: u32) -> Result<u32, Stop> {
        match code {
            0x00 => Ok(k),
            0x20 => self.bytes(k, 4),
            0x28 => self.bytes(k, 2),
            0x30 => self.bytes(k, 1),
            0x40 => self.bytes(self.x.wrapping_add(k), 4),
            0x48 => self.bytes(self.x.wrapping_add(k), 2),
            0x50 => self.bytes(self.x.wrapping_add(k), 1),
            0x60 => usize::try_from(k).ok().and_then(|k| self.memory.get(k)).copied().ok_or(Stop::Unknown),
            0x80 => Ok(self.len()),
            _ => Err(Stop::Unknown),
        }
    }

    fn len(&self) -> u32 {
        u32::try_from(self.packet.total_len()).unwrap_or(u32::MAX)
    }

    /// A number of the packet, in network order, or one of those that stand for its surroundings.
    fn bytes(&self, offset: u32, len: usize) -> Result<u32, Stop> {
        let offset = match offset {
            AD_OFF.. => return self.ancillary(offset - AD_OFF).ok_or(Stop::Unknown),
            NET_OFF.. => offset - NET_OFF,
            LL_OFF.. => return Err(Stop::Unknown),
            _ => offset,
        };
        let start = usize::try_from(offset).map_err(|_| Stop::Outside)?;
        let end = start.checked_add(len).ok_or(Stop::Outside)?;
        let bytes = self.packet.bytes().get(start..end).ok_or(Stop::Outside)?;
        Ok(bytes.iter().fold(0, |n, b| n << 8 | u32::from(*b)))
    }

    /// `SKF_AD_*`: what is known of them.
    fn ancillary(&self, what: u32) -> Option<u32> {
        match what {
            // SKF_AD_PROTOCOL, SKF_AD_MARK, SKF_AD_CPU
            0 => Some(if self.packet.family() == Family::V4 { 0x0800 } else { 0x86dd }),
            20 => Some(self.packet.meta.mark),
            36 => self.packet.meta.cpu,
            _ => None,
        }
    }

    fn calculate(&self, code: u16, operand: u32) -> Result<u32, Stop> {
        let a = self.a;
        Ok(match code & 0xf7 {
            0x04 => a.wrapping_add(operand),
            0x14 => a.wrapping_sub(operand),
            0x24 => a.wrapping_mul(operand),
            0x34 => a.checked_div(operand).ok_or(Stop::Outside)?,
            0x44 => a | operand,
            0x54 => a & operand,
            0x64 => a.wrapping_shl(operand),
            0x74 => a.wrapping_shr(operand),
            0x84 => a.wrapping_neg(),
            0x94 => a.checked_rem(operand).ok_or(Stop::Outside)?,
            0xa4 => a ^ operand,
            _ => return Err(Stop::Unknown),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::build::{Ipv4, Udp};

    fn shown(text: &str) -> String {
        match parse(text.as_bytes()) {
            Ok(program) => {
                let mut out = Out::new();
                print(&program, &mut out);
                format!("{}: {}", program.len(), String::from_utf8_lossy(out.as_bytes()))
            }
            Err(e) => String::from_utf8_lossy(&e.0).into_owned(),
        }
    }

    #[test]
    fn texts_as_stock_reads_them() {
        let zero = "1: 6 0 0 0";
        for (text, expected) in [
            ("4,48 0 0 9,21 0 1 6,6 0 0 1,6 0 0 0", "4: 48 0 0 9,21 0 1 6,6 0 0 1,6 0 0 0"),
            ("1,6 0 0 0,", zero),
            (" +01, 06  0\t0 00 ", zero),
            ("1,6 0 0 4294967295", "1: 6 0 0 4294967295"),
            ("1,6 0 0 -1", "1: 6 0 0 4294967295"),
            ("", "bpf: error parsing program length"),
            ("1", "bpf: error parsing program length"),
            ("1 ,6 0 0 0", "bpf: error parsing program length"),
            ("0,", "bpf: illegal zero length program"),
            ("65,6 0 0 0", "bpf: number of instructions exceeds maximum"),
            ("-1,6 0 0 0", "bpf: number of instructions exceeds maximum"),
            ("2,6 0 0 0", "bpf: parsed program length is less than the encoded length parameter"),
            ("1,", "bpf: parsed program length is less than the encoded length parameter"),
            ("1,6 0 0 0,6 0 0 0", "bpf: real program length exceeds the encoded length parameter"),
            ("1,6 0 0 0,,", "bpf: real program length exceeds the encoded length parameter"),
            ("2,6 0 0 0,,6 0 0 0", "bpf: error at instr 1"),
            ("1,6 0 0", "bpf: error at instr 0"),
            ("1,x", "bpf: error at instr 0"),
            ("1,0x6 0 0 0", "bpf: error at instr 0"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
        // Where stock takes something else than what stands there.
        for text in ["1,65542 0 0 0", "1,6 256 0 0", "1,6 0 0 4294967296", "1,6 0 0 0x10", "1,6 0 0 0 x", "1,-6 0 0 0"]
        {
            assert_eq!(shown(text), "bpf: error at instr 0", "{text}");
        }
        assert_eq!(shown("65537,6 0 0 0"), "bpf: number of instructions exceeds maximum");
    }

    /// As observed with real packets on Linux 6.18: UDP from 127.0.0.1 to port 9 with one byte behind the header.
    #[test]
    fn programs() {
        let mut packet = Ipv4 { src: [127, 0, 0, 1].into(), dst: [127, 0, 0, 1].into(), ..Ipv4::default() }
            / Udp { src_port: 5, dst_port: 9, payload: b"x".to_vec() };
        packet.meta.mark = 7;
        for (text, expected) in [
            ("4,48 0 0 9,21 0 1 17,6 0 0 1,6 0 0 0", Some(1)),
            ("4,48 0 0 9,21 0 1 6,6 0 0 1,6 0 0 0", Some(0)),
            ("2,128 0 0 0,22 0 0 0", Some(29)),
            ("3,177 0 0 0,72 0 0 2,22 0 0 0", Some(9)),
            ("2,48 0 0 28,22 0 0 0", Some(120)),
            ("2,48 0 0 29,6 0 0 1", Some(0)),
            ("2,40 0 0 28,6 0 0 1", Some(0)),
            ("2,32 0 0 4294963200,22 0 0 0", Some(0x800)),
            ("2,32 0 0 4294963220,22 0 0 0", Some(7)),
            ("2,48 0 0 4293918729,22 0 0 0", Some(17)),
            ("2,32 0 0 4294963208,22 0 0 0", None),
            ("4,0 0 0 7,2 0 0 3,96 0 0 3,22 0 0 0", Some(7)),
            ("4,0 0 0 7,7 0 0 0,12 0 0 0,22 0 0 0", Some(14)),
            ("3,0 0 0 7,60 0 0 0,6 0 0 1", Some(0)),
            ("3,0 0 0 7,148 0 0 4,22 0 0 0", Some(3)),
            ("3,0 0 0 7,132 0 0 0,22 0 0 0", Some(0xffff_fff9)),
            ("3,5 0 0 1,6 0 0 1,6 0 0 2", Some(2)),
            ("1,5 0 0 1", None),
            ("1,255 0 0 0", None),
        ] {
            assert_eq!(run(&parse(text.as_bytes()).unwrap(), &packet), expected, "{text}");
        }
    }
}

//! Numbers with a fraction as strtod(3) reads them, in the C locale: decimal or, behind `0x`, hexadecimal, each with an exponent.
//!
//! `inf` and `nan` are not read: no option has a use for them.

use super::options::skip_space;

/// The number at the front of a text, behind white space, and what stands behind it; `None` if there is none.
pub fn leading(text: &[u8]) -> Option<(f64, &[u8])> {
    let text = skip_space(text);
    let (negative, unsigned) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let (n, rest) = match unsigned {
        [b'0', b'x' | b'X', digits @ ..] => hexadecimal(digits).or_else(|| Some((0.0, unsigned.get(1..)?)))?,
        _ => decimal(unsigned)?,
    };
    Some((if negative { -n } else { n }, rest))
}

/// How many digits stand at the front.
fn digits(text: &[u8], radix: u32) -> usize {
    text.iter().take_while(|b| char::from(**b).is_digit(radix)).count()
}

/// Length of `digits[.digits]`, with a digit somewhere.
fn mantissa(text: &[u8], radix: u32) -> Option<usize> {
    let whole = digits(text, radix);
    let part = match text.get(whole..)? {
        [b'.', rest @ ..] => Some(digits(rest, radix)),
        _ => None,
    };
    let any = whole + part.unwrap_or(0) > 0;
    any.then(|| whole + part.map_or(0, |n| n + 1))
}

/// The exponent behind one of these letters and its length with the letter; 0 and 0 if there is none.
fn exponent(text: &[u8], letters: &[u8]) -> (i32, usize) {
    let Some((letter, rest)) = text.split_first() else { return (0, 0) };
    let sign = rest.iter().take(1).filter(|b| matches!(b, b'+' | b'-')).count();
    let len = rest.get(sign..).map_or(0, |rest| digits(rest, 10));
    if !letters.contains(letter) || len == 0 {
        return (0, 0);
    }
    let number = rest.get(..sign + len).and_then(|n| std::str::from_utf8(n).ok()).unwrap_or_default();
    let far = if number.starts_with('-') { -9999 } else { 9999 };
    (number.parse().unwrap_or(far).clamp(-9999, 9999), 1 + sign + len)
}

fn decimal(text: &[u8]) -> Option<(f64, &[u8])> {
    let len = mantissa(text, 10)?;
    let (_, more) = exponent(text.get(len..)?, b"eE");
    let (number, rest) = text.split_at_checked(len + more)?;
    Some((std::str::from_utf8(number).ok()?.parse().ok()?, rest))
}

/// What stands behind `0x`.
fn hexadecimal(text: &[u8]) -> Option<(f64, &[u8])> {
    let len = mantissa(text, 16)?;
    let (number, rest) = text.split_at_checked(len)?;
    let (power, more) = exponent(rest, b"pP");
    let value = number.iter().filter_map(|b| char::from(*b).to_digit(16)).fold(0.0, |n, d| n * 16.0 + f64::from(d));
    let part = number.iter().position(|b| *b == b'.').map_or(0, |dot| number.len() - dot - 1);
    let shift = power - i32::try_from(4 * part).unwrap_or(i32::MAX / 2);
    Some((value * 2f64.powi(shift), rest.get(more..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_as_strtod_reads_them() {
        for (text, n, rest) in [
            ("1.5kbit", 1.5, "kbit"),
            (" +.5", 0.5, ""),
            ("-2.x", -2.0, "x"),
            ("1e3bit", 1000.0, "bit"),
            ("1e", 1.0, "e"),
            ("1e+x", 1.0, "e+x"),
            ("0x10kbit", 16.0, "kbit"),
            ("0x.8p1", 1.0, ""),
            ("0x1p-2", 0.25, ""),
            ("0x1p", 1.0, "p"),
            ("0xg", 0.0, "xg"),
            ("1e99999", f64::INFINITY, ""),
            ("0,5", 0.0, ",5"),
        ] {
            assert_eq!(leading(text.as_bytes()), Some((n, rest.as_bytes())), "{text}");
        }
        for text in ["", "x", ".", "-", "inf", "nan", " "] {
            assert_eq!(leading(text.as_bytes()), None, "{text}");
        }
    }
}

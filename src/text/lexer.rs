//! The words of a line of the save format, as iptables-restore splits them (fact sheet 4.3): blanks and tabs separate, double quotes hold
//! together, a backslash inside quotes takes the next byte as it is.

/// The longest line in bytes: what is longer counts as several lines, as it does for stock.
const LINE_MAX: usize = 10_239;

/// The lines of a save file, each with its newline. A NUL ends a line as it ends a string in C: what stands behind it is passed over, as by stock.
pub fn lines(text: &[u8]) -> Lines<'_> {
    Lines { rest: text }
}

/// The lines of a text.
#[derive(Clone, Copy, Debug)]
pub struct Lines<'t> {
    rest: &'t [u8],
}

impl<'t> Iterator for Lines<'t> {
    type Item = &'t [u8];

    fn next(&mut self) -> Option<&'t [u8]> {
        if self.rest.is_empty() {
            return None;
        }
        let most = self.rest.get(..LINE_MAX).unwrap_or(self.rest);
        let stop = most.iter().position(|b| matches!(b, b'\n' | 0));
        let (shown, end) = match stop {
            None => (most.len(), most.len()),
            Some(at) if most.get(at) == Some(&b'\n') => (at + 1, at + 1),
            Some(nul) => (nul, most.iter().position(|b| *b == b'\n').map_or(most.len(), |at| at + 1)),
        };
        self.rest = self.rest.get(end..).unwrap_or_default();
        most.get(..shown)
    }
}

/// The parts of a line that begins with counters, `[packets:bytes] …`: both as they are written, and the rest. `None` if it has no such
/// beginning. They are found as strtok(3) finds them.
pub fn counters_prefix(line: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let inner = line.strip_prefix(b"[")?;
    let packets_from = inner.iter().position(|b| *b != b':')?;
    let after = inner.get(packets_from..)?;
    let colon = after.iter().position(|b| *b == b':')?;
    let bytes = after.get(colon + 1..)?;
    let close = bytes.iter().position(|b| *b == b']')?;
    // The bracket that ends the numbers must be the first of the line.
    let whole = after.get(..colon)?;
    if whole.contains(&b']') {
        return None;
    }
    Some((whole, bytes.get(..close)?, bytes.get(close + 1..)?))
}

/// Splits a line into words; `words` is cleared first and gets `(start, end)` ranges of `bytes`, where the unquoted text is put.
#[derive(Clone, Debug, Default)]
pub struct Words {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    quoted: Vec<bool>,
}

/// Why a line cannot be split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LexError {
    /// A word of more than 1,023 bytes.
    TooLong,
    /// More words than a line may have.
    TooMany,
}

/// The longest word in bytes, and the most words of a line (measured).
const WORD_MAX: usize = 1023;
pub(crate) const WORDS_MAX: usize = 251;

impl Words {
    /// Splits `line` (with or without its newline).
    pub fn split(&mut self, line: &[u8]) -> Result<(), LexError> {
        self.split_into(line, WORDS_MAX)
    }

    /// Splits `line` into at most `most` words.
    pub fn split_into(&mut self, line: &[u8], most: usize) -> Result<(), LexError> {
        self.bytes.clear();
        self.ends.clear();
        self.quoted.clear();
        let (mut start, mut quoted, mut escaped, mut any) = (0, false, false, false);
        for &b in line {
            match b {
                _ if escaped => {
                    self.bytes.push(b);
                    escaped = false;
                }
                b'\\' if quoted => escaped = true,
                b'"' if quoted => {
                    // A closing quote ends the word; an opening one in its middle does not.
                    quoted = false;
                    self.end(&mut start, true, most)?;
                    any = false;
                }
                b'"' => (quoted, any) = (true, true),
                b' ' | b'\t' | b'\n' if !quoted => {
                    if any {
                        self.end(&mut start, false, most)?;
                        any = false;
                    }
                }
                _ => {
                    self.bytes.push(b);
                    any = true;
                }
            }
            if self.bytes.len() - start > WORD_MAX {
                return Err(LexError::TooLong);
            }
        }
        // An unterminated quote has swallowed the rest of the line; if there was none, it is no word.
        if any && !(quoted && self.bytes.len() == start) {
            let blank = self.bytes.get(start..).is_some_and(|word| word.contains(&b' '));
            self.end(&mut start, quoted && blank, most)?;
        }
        Ok(())
    }

    fn end(&mut self, start: &mut usize, quoted: bool, most: usize) -> Result<(), LexError> {
        if self.ends.len() >= most {
            return Err(LexError::TooMany);
        }
        self.ends.push(self.bytes.len());
        self.quoted.push(quoted);
        *start = self.bytes.len();
        Ok(())
    }

    /// How many words there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Of each word whether it stood in quotes; one whose quote does not end counts if a blank is in it, as for stock's `iptables-xml`.
    pub fn quoted(&self) -> &[bool] {
        &self.quoted
    }

    /// The words in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.ends.iter().scan(0, |from, to| {
            let word = self.bytes.get(*from..*to).unwrap_or_default();
            *from = *to;
            Some(word)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        let mut w = Words::default();
        w.split(line.as_bytes()).unwrap();
        w.iter().map(|w| String::from_utf8_lossy(w).into_owned()).collect()
    }

    #[test]
    fn counters_before_a_line() {
        let prefix = |text: &'static str| {
            let parts = counters_prefix(text.as_bytes())?;
            Some((parts.0.to_vec(), parts.1.to_vec(), parts.2.to_vec()))
        };
        let parts = |p: &str, b: &str, r: &str| Some((p.into(), b.into(), r.into()));
        assert_eq!(prefix("[1:2] -A"), parts("1", "2", " -A"));
        assert_eq!(prefix("[1:2:3]-A"), parts("1", "2:3", "-A"));
        for text in ["[1:2 -A", "[1] -A", "[]", "[:]", "[:5] -A", "-A"] {
            assert_eq!(prefix(text), None, "{text}");
        }
    }

    #[test]
    fn a_nul_ends_a_line() {
        let found: Vec<_> = lines(b"a\nb\0c\n\n\0d\ne").collect();
        assert_eq!(found, [&b"a\n"[..], b"b", b"\n", b"", b"e"]);
    }

    #[test]
    fn a_line_may_be_long_and_a_word_may_not() {
        let line = format!("-A{}INPUT {}", " ".repeat(20_000), "x".repeat(WORD_MAX));
        assert_eq!(words(&line).len(), 3);
        assert_eq!(Words::default().split(format!("{line}x").as_bytes()), Err(LexError::TooLong));
        assert_eq!(Words::default().split("a ".repeat(WORDS_MAX + 1).as_bytes()), Err(LexError::TooMany));
    }

    #[test]
    fn quotes_and_blanks() {
        assert_eq!(words("-A INPUT\t-j  LOG\n"), ["-A", "INPUT", "-j", "LOG"]);
        assert_eq!(words(r#"--comment "a \"b\" c" -j X"#), ["--comment", "a \"b\" c", "-j", "X"]);
        assert_eq!(words(r#"--comment "" x"#), ["--comment", "", "x"]);
        assert_eq!(words(r#"ab"c d"e ""f"#), ["abc d", "e", "", "f"]);
        assert_eq!(words("a \"b c"), ["a", "b c"]);
        assert_eq!(words("a \""), ["a"]);
        assert_eq!(words(r"a\ b 'c d'"), ["a\\", "b", "'c", "d'"]);
    }

    #[test]
    fn long_lines_are_several() {
        let long = vec![b'x'; 2 * LINE_MAX + 1];
        assert_eq!(lines(&long).map(<[u8]>::len).collect::<Vec<_>>(), [LINE_MAX, LINE_MAX, 1]);
    }

    #[test]
    fn limits() {
        let mut w = Words::default();
        assert_eq!(w.split_into(&[b'x'; WORD_MAX], 1), Ok(()));
        assert_eq!(w.split_into(&[b'x'; WORD_MAX + 1], 1), Err(LexError::TooLong));
        assert_eq!(w.split_into(b"a b\n", 2), Ok(()));
        assert_eq!(w.split_into(b"a b c\n", 2), Err(LexError::TooMany));
    }
}

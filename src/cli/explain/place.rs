//! Where a word stands in a line, and the piece of the line around it that can be shown.

use std::ops::Range;

/// A line as it is shown, with the place that is marked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    /// Control characters and what is not UTF-8 are escaped.
    pub(super) line: String,
    /// Bytes of `line`.
    pub(super) place: Option<Range<usize>>,
}

/// How many bytes are shown before the place, of it, and behind it.
const BEFORE: usize = 160;
const OF_IT: usize = 120;
const BEHIND: usize = 160;

impl Shown {
    /// Cuts a line around a place in it.
    pub(super) fn cut(line: &[u8], place: Option<Range<usize>>) -> Self {
        let at = place.clone().unwrap_or(0..line.len());
        let (start, end) = (at.start.min(line.len()), at.end.min(line.len()));
        let from = start.saturating_sub(BEFORE);
        let (word_end, to) = (end.min(start + OF_IT), line.len().min(end + BEHIND));
        let piece = |a: usize, b: usize| visible(line.get(a..b).unwrap_or_default());
        let mut shown = String::new();
        shown.push_str(if from > 0 { "…" } else { "" });
        shown.push_str(&piece(from, start));
        let begin = shown.len();
        shown.push_str(&piece(start, word_end));
        shown.push_str(if word_end < end { "…" } else { "" });
        let stop = shown.len();
        shown.push_str(&piece(end, to));
        shown.push_str(if to < line.len() { "…" } else { "" });
        Self { line: shown, place: place.map(|_| begin..stop) }
    }
}

fn visible(bytes: &[u8]) -> String {
    let mut shown = String::new();
    for c in String::from_utf8_lossy(bytes).chars() {
        match c {
            '\t' => shown.push(' '),
            c if c.is_control() => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    shown
}

/// Words as one line, with the place of each; a word with blanks is put in quotes.
pub(super) fn join(args: &[&[u8]]) -> (Vec<u8>, Vec<Range<usize>>) {
    let (mut line, mut places) = (Vec::new(), Vec::new());
    for arg in args {
        if !line.is_empty() {
            line.push(b' ');
        }
        let from = line.len();
        let quote: &[u8] = if arg.is_empty() || arg.iter().any(u8::is_ascii_whitespace) { b"'" } else { b"" };
        line.extend([quote, arg, quote].concat());
        places.push(from..line.len());
    }
    (line, places)
}

/// Where word `n` of a line of a restore file stands, its quotes included; the words are those of [`crate::text::lexer`].
pub(super) fn word_place(line: &[u8], n: usize) -> Option<Range<usize>> {
    let (mut start, mut quoted, mut escaped, mut seen) = (None, false, false, 0);
    for (at, b) in line.iter().enumerate() {
        let ended = match b {
            _ if escaped => {
                escaped = false;
                None
            }
            b'\\' if quoted => {
                escaped = true;
                None
            }
            b'"' if quoted => {
                quoted = false;
                Some(at + 1)
            }
            b' ' | b'\t' | b'\n' if !quoted => Some(at),
            _ => {
                quoted |= *b == b'"';
                start.get_or_insert(at);
                None
            }
        };
        if let (Some(end), Some(from)) = (ended, start) {
            if seen == n {
                return Some(from..end);
            }
            seen += 1;
            start = None;
        }
    }
    start.filter(|_| seen == n).map(|from| from..line.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_line() {
        let line = br#"-A X  --comment "a \" b"c -j"#;
        let word = |n| word_place(line, n).map(|p| &line[p]);
        let expected: [&[u8]; 6] = [b"-A", b"X", b"--comment", br#""a \" b""#, b"c", b"-j"];
        for (n, text) in expected.into_iter().enumerate() {
            assert_eq!(word(n), Some(text));
        }
        assert_eq!(word(6), None);
    }

    #[test]
    fn long_lines_are_cut_around_the_place() {
        let mut line = vec![b'a'; 10 << 20];
        line.splice(5000..5000, *b" \x1bx\xff ");
        let shown = Shown::cut(&line, Some(5001..5004));
        assert!(shown.line.len() < 500);
        assert_eq!(&shown.line[shown.place.unwrap()], "\\u{1b}x\u{fffd}");
        let whole = Shown::cut(&line, Some(0..line.len()));
        assert!(whole.line.len() < 500 && whole.line.ends_with('…'));
        let (line, places) = join(&[b"-A", b"a b", b""]);
        assert_eq!((line.as_slice(), places[2].clone()), (b"-A 'a b' ''".as_slice(), 9..11));
    }
}

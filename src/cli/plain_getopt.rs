//! getopt_long(3) for the small front ends (`-save`, `-restore`): a fixed set of options, operands anywhere, errors in getopt's words.
//!
//! Options come one by one in the order of the words, so that a front end can end at `-V` before it sees what is wrong behind it.

/// Whether an option takes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// None.
    Nothing,
    /// One, attached or in the next word.
    Value,
    /// One, only if attached.
    Attached,
}

/// The options of a front end.
#[derive(Clone, Copy, Debug)]
pub struct Table {
    /// The letters.
    pub short: &'static [(u8, Takes)],
    /// The long names, each with the letter that stands for it.
    pub long: &'static [(&'static str, u8, Takes)],
}

/// An option that was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found<'a> {
    /// Its letter.
    pub letter: u8,
    /// Its value.
    pub value: Option<&'a [u8]>,
}

/// The reading position.
#[derive(Debug)]
pub struct PlainGetopt<'a> {
    table: &'static Table,
    args: &'a [&'a [u8]],
    /// The next word.
    at: usize,
    /// What is left of a cluster of letters.
    cluster: &'a [u8],
    /// The words that are no options, so far.
    operands: Vec<&'a [u8]>,
}

impl<'a> PlainGetopt<'a> {
    /// Reads `args`, the program's name not included.
    pub fn new(table: &'static Table, args: &'a [&'a [u8]]) -> Self {
        Self { table, args, at: 0, cluster: &[], operands: Vec::new() }
    }

    /// The next option; `None` behind the last. An error is the text behind `program: `.
    pub fn next(&mut self) -> Result<Option<Found<'a>>, Vec<u8>> {
        while self.cluster.is_empty() {
            let Some(word) = self.word() else { return Ok(None) };
            match word {
                b"--" => {
                    self.operands.extend(self.args.get(self.at..).unwrap_or_default());
                    self.at = self.args.len();
                }
                [b'-', b'-', name @ ..] => return self.long(word, name).map(Some),
                [b'-', cluster @ ..] if !cluster.is_empty() => self.cluster = cluster,
                _ => self.operands.push(word),
            }
        }
        self.short().map(Some)
    }

    /// Takes the next word if it does not begin with `-` or `!`: the form in which `-w` and `-W` have a value.
    pub fn plain_word(&mut self) -> Option<&'a [u8]> {
        let next = *self.args.get(self.at)?;
        if !self.cluster.is_empty() || matches!(next, [b'-' | b'!', ..]) {
            return None;
        }
        self.word()
    }

    /// The words that are no options; complete when [`Self::next`] has given `None`.
    pub fn operands(&self) -> &[&'a [u8]] {
        &self.operands
    }

    fn word(&mut self) -> Option<&'a [u8]> {
        let word = *self.args.get(self.at)?;
        self.at += 1;
        Some(word)
    }

    fn short(&mut self) -> Result<Found<'a>, Vec<u8>> {
        let (letter, rest) = self.cluster.split_at_checked(1).unwrap_or_default();
        self.cluster = rest;
        let Some((known, takes)) = self.table.short.iter().find(|(l, _)| letter == [*l]) else {
            return Err([b"invalid option -- '", letter, b"'"].concat());
        };
        let value = match takes {
            Takes::Nothing => None,
            _ if !rest.is_empty() => {
                self.cluster = &[];
                Some(rest)
            }
            Takes::Attached => None,
            Takes::Value => match self.word() {
                None => return Err([b"option requires an argument -- '", letter, b"'"].concat()),
                value => value,
            },
        };
        Ok(Found { letter: *known, value })
    }

    fn long(&mut self, word: &'a [u8], name: &'a [u8]) -> Result<Found<'a>, Vec<u8>> {
        let equals = name.iter().position(|b| *b == b'=');
        let key = name.get(..equals.unwrap_or(name.len())).unwrap_or(name);
        let attached = equals.and_then(|at| name.get(at + 1..));
        let (full, letter, takes) = self.find(word, key)?;
        let value = match (takes, attached) {
            (Takes::Nothing, Some(_)) => {
                return Err(format!("option '--{full}' doesn't allow an argument").into_bytes());
            }
            (Takes::Value, None) => match self.word() {
                None => return Err(format!("option '--{full}' requires an argument").into_bytes()),
                value => value,
            },
            (_, attached) => attached,
        };
        Ok(Found { letter, value })
    }

    /// A long option by its name or by the beginning of it that only it has.
    fn find(&self, word: &[u8], key: &[u8]) -> Result<(&'static str, u8, Takes), Vec<u8>> {
        let all = self.table.long.iter();
        let candidates: Vec<_> = all.filter(|(name, ..)| name.as_bytes().starts_with(key)).collect();
        let exact = candidates.iter().find(|(name, ..)| name.len() == key.len());
        match (exact, candidates.as_slice()) {
            (Some(option), _) | (None, [option]) => Ok(**option),
            (None, []) => Err([b"unrecognized option '", word, b"'"].concat()),
            (None, several) => {
                let mut text = [b"option '", word, b"' is ambiguous; possibilities:"].concat();
                several.iter().for_each(|(name, ..)| text.extend_from_slice(format!(" '--{name}'").as_bytes()));
                Err(text)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Table = Table {
        short: &[(b'c', Takes::Nothing), (b't', Takes::Value), (b'w', Takes::Nothing)],
        long: &[
            ("counters", b'c', Takes::Nothing),
            ("table", b't', Takes::Value),
            ("wait", b'w', Takes::Attached),
            ("wait-interval", b'W', Takes::Attached),
        ],
    };

    fn read(words: &[&str]) -> (String, Vec<String>) {
        let args: Vec<&[u8]> = words.iter().map(|w| w.as_bytes()).collect();
        let mut getopt = PlainGetopt::new(&TABLE, &args);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let mut seen = String::new();
        loop {
            match getopt.next() {
                Ok(Some(f)) => {
                    seen.push(char::from(f.letter));
                    seen.push_str(&f.value.map(|v| format!("={}", text(v))).unwrap_or_default());
                    if f.letter == b'w' {
                        seen.push_str(&getopt.plain_word().map(|v| format!("+{}", text(v))).unwrap_or_default());
                    }
                    seen.push(' ');
                }
                Ok(None) => return (seen, getopt.operands().iter().map(|o| text(o)).collect()),
                Err(e) => return (seen + &text(&e), Vec::new()),
            }
        }
    }

    #[test]
    fn options_and_operands_in_any_order() {
        assert_eq!(
            read(&["x", "-ct", "nat", "y", "--", "-c"]),
            ("c t=nat ".into(), vec!["x".into(), "y".into(), "-c".into()])
        );
        assert_eq!(read(&["-tnat", "--table=raw", "--tab", "mangle"]).0, "t=nat t=raw t=mangle ");
        assert_eq!(read(&["-w", "5", "--wait=3", "-wc", "-w"]).0, "w+5 w=3 w c w ");
        assert_eq!(read(&["-w", "5", "6"]), ("w+5 ".into(), vec!["6".into()]));
    }

    #[test]
    fn errors_in_the_words_of_getopt() {
        assert_eq!(read(&["-cx"]).0, "c invalid option -- 'x'");
        assert_eq!(read(&["-t"]).0, "option requires an argument -- 't'");
        assert_eq!(read(&["--table"]).0, "option '--table' requires an argument");
        assert_eq!(read(&["--counters=1"]).0, "option '--counters' doesn't allow an argument");
        assert_eq!(read(&["--bogus=1"]).0, "unrecognized option '--bogus=1'");
        assert_eq!(read(&["--wai"]).0, "option '--wai' is ambiguous; possibilities: '--wait' '--wait-interval'");
    }
}

//! Reading a command line as getopt_long(3) does with `-` at the head of its option string: words in order, clusters of short options,
//! long options by unique prefix, values attached or in the next word.

use crate::ext::{Opt, Spec};

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

/// The short options of iptables(8) with what they take.
const SHORT: &[(u8, Takes)] = &[
    (b'A', Takes::Value),
    (b'C', Takes::Value),
    (b'D', Takes::Value),
    (b'R', Takes::Value),
    (b'I', Takes::Value),
    (b'L', Takes::Attached),
    (b'S', Takes::Attached),
    (b'M', Takes::Value),
    (b'F', Takes::Attached),
    (b'Z', Takes::Attached),
    (b'N', Takes::Value),
    (b'X', Takes::Attached),
    (b'E', Takes::Value),
    (b'P', Takes::Value),
    (b'V', Takes::Nothing),
    (b'h', Takes::Attached),
    (b'o', Takes::Value),
    (b'p', Takes::Value),
    (b's', Takes::Value),
    (b'd', Takes::Value),
    (b'j', Takes::Value),
    (b'i', Takes::Value),
    (b'f', Takes::Nothing),
    (b'v', Takes::Nothing),
    (b'w', Takes::Attached),
    (b'W', Takes::Attached),
    (b'n', Takes::Nothing),
    (b't', Takes::Value),
    (b'm', Takes::Value),
    (b'x', Takes::Nothing),
    (b'c', Takes::Value),
    (b'g', Takes::Value),
    (b'4', Takes::Nothing),
    (b'6', Takes::Nothing),
];

/// The long names of the same options; `0` is `--line-numbers`, which has no short one.
pub const LONG: &[(&str, u8)] = &[
    ("append", b'A'),
    ("delete", b'D'),
    ("check", b'C'),
    ("insert", b'I'),
    ("replace", b'R'),
    ("list", b'L'),
    ("list-rules", b'S'),
    ("flush", b'F'),
    ("zero", b'Z'),
    ("new-chain", b'N'),
    ("delete-chain", b'X'),
    ("rename-chain", b'E'),
    ("policy", b'P'),
    ("source", b's'),
    ("destination", b'd'),
    ("src", b's'),
    ("dst", b'd'),
    ("protocol", b'p'),
    ("in-interface", b'i'),
    ("jump", b'j'),
    ("table", b't'),
    ("match", b'm'),
    ("numeric", b'n'),
    ("out-interface", b'o'),
    ("verbose", b'v'),
    ("wait", b'w'),
    ("wait-interval", b'W'),
    ("exact", b'x'),
    ("fragments", b'f'),
    ("version", b'V'),
    ("help", b'h'),
    ("line-numbers", b'0'),
    ("modprobe", b'M'),
    ("set-counters", b'c'),
    ("goto", b'g'),
    ("ipv4", b'4'),
    ("ipv6", b'6'),
];

/// What a word or a piece of a cluster is.
#[derive(Clone, Copy, Debug)]
pub enum Token<'a> {
    /// A generic option by its short letter.
    Generic { letter: u8, value: Option<&'a [u8]> },
    /// An option of the extension at this place in the order of loading.
    Extension { index: usize, opt: &'static Opt, value: &'a [u8] },
    /// A word that is no option.
    Word(&'a [u8]),
    /// An option that nobody has (or a prefix that several have).
    Unknown(&'a [u8]),
    /// An option whose value is missing.
    NoValue(&'a [u8]),
    /// A lone `--`: what follows is not looked at.
    End,
}

/// The reading position.
#[derive(Clone, Copy, Debug)]
pub struct Getopt<'a> {
    args: &'a [&'a [u8]],
    /// The word before them.
    before: &'a [u8],
    /// The next word.
    at: usize,
    /// How many bytes of the cluster at `at - 1` have been read; 0 if none is open.
    cluster: usize,
}

impl<'a> Getopt<'a> {
    /// Reads `args`, which stand behind the word `before`, the program's name.
    pub fn new(args: &'a [&'a [u8]], before: &'a [u8]) -> Self {
        Self { args, before, at: 0, cluster: 0 }
    }

    /// Goes to the word at `at`, to read it (again).
    pub fn seek(&mut self, at: usize) {
        (self.at, self.cluster) = (at, 0);
    }

    /// The index of the word read last.
    pub fn word(&self) -> usize {
        self.at.saturating_sub(1)
    }

    /// Whether words are left.
    pub fn has_more(&self) -> bool {
        self.at < self.args.len()
    }

    /// The next word if it does not begin with `-` or `!`: the form in which commands take further arguments.
    pub fn plain_word(&mut self) -> Option<&'a [u8]> {
        let next = *self.args.get(self.at)?;
        if self.cluster != 0 || next.first().is_some_and(|b| matches!(b, b'-' | b'!')) {
            return None;
        }
        self.at += 1;
        Some(next)
    }

    /// The next token; `loaded` are the extensions in the order of loading.
    pub fn next(&mut self, loaded: &[&'static Spec]) -> Option<Token<'a>> {
        if self.cluster != 0 {
            return Some(self.short());
        }
        let word = *self.args.get(self.at)?;
        self.at += 1;
        Some(match word {
            b"--" => Token::End,
            [b'-', b'-', long @ ..] => self.long(word, long, loaded),
            [b'-', _, ..] => {
                self.cluster = 1;
                self.short()
            }
            _ => Token::Word(word),
        })
    }

    fn short(&mut self) -> Token<'a> {
        let word = self.args.get(self.word()).copied().unwrap_or_default();
        let letter = word.get(self.cluster).copied().unwrap_or_default();
        let rest = word.get(self.cluster + 1..).unwrap_or_default();
        self.cluster = if rest.is_empty() { 0 } else { self.cluster + 1 };
        let Some((_, takes)) = SHORT.iter().find(|(l, _)| *l == letter) else {
            // getopt has not gone on to the next word when letters of this one are left, and stock names the word before that.
            let named = match (self.cluster, self.word().checked_sub(1)) {
                (0, _) => word,
                (_, Some(before)) => self.args.get(before).copied().unwrap_or_default(),
                (_, None) => self.before,
            };
            self.cluster = 0;
            return Token::Unknown(named);
        };
        let value = match takes {
            Takes::Nothing => return Token::Generic { letter, value: None },
            _ if !rest.is_empty() => Some(rest),
            Takes::Attached => None,
            Takes::Value => match self.args.get(self.at) {
                Some(next) => {
                    self.at += 1;
                    Some(*next)
                }
                None => return Token::NoValue(word),
            },
        };
        self.cluster = 0;
        Token::Generic { letter, value }
    }

    fn long(&mut self, word: &'a [u8], long: &'a [u8], loaded: &[&'static Spec]) -> Token<'a> {
        let equals = long.iter().position(|b| *b == b'=');
        let name = long.get(..equals.unwrap_or(long.len())).unwrap_or(long);
        let attached = equals.and_then(|at| long.get(at + 1..));
        let Some(found) = find(name, loaded) else { return Token::Unknown(word) };
        let takes = match found {
            Found::Generic(letter) => SHORT.iter().find(|(l, _)| *l == letter).map_or(Takes::Nothing, |(_, t)| *t),
            Found::Extension(_, opt) if opt.takes_value() => Takes::Value,
            Found::Extension(..) => Takes::Nothing,
        };
        let value = match (takes, attached) {
            (Takes::Nothing, Some(_)) => return Token::Unknown(word),
            (Takes::Nothing | Takes::Attached, None) => None,
            (_, Some(value)) => Some(value),
            (Takes::Value, None) => match self.args.get(self.at) {
                Some(next) => {
                    self.at += 1;
                    Some(*next)
                }
                None => return Token::NoValue(word),
            },
        };
        match found {
            Found::Generic(letter) => Token::Generic { letter, value },
            Found::Extension(index, opt) => Token::Extension { index, opt, value: value.unwrap_or_default() },
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Found {
    Generic(u8),
    Extension(usize, &'static Opt),
}

impl Found {
    /// Whether two names stand for one option, so that a common prefix is not ambiguous.
    fn same(self, other: Self) -> bool {
        match (self, other) {
            (Self::Generic(a), Self::Generic(b)) => a == b,
            (Self::Extension(i, a), Self::Extension(j, b)) => i == j && a.id == b.id && a.kind == b.kind,
            _ => false,
        }
    }
}

/// The extensions in the order in which stock's option table has them behind the generic options: the newest first. One that is loaded again
/// keeps its place, and its options go to the one loaded last.
fn table_order<'l>(loaded: &'l [&'static Spec]) -> impl Iterator<Item = (usize, &'static Spec)> + 'l {
    let first = |at: usize, spec: &Spec| loaded.iter().position(|s| s.name == spec.name) == Some(at);
    let last = |spec: &Spec| loaded.iter().rposition(|s| s.name == spec.name).unwrap_or_default();
    let firsts = loaded.iter().enumerate().rev().filter(move |(at, spec)| first(*at, spec));
    firsts.map(move |(_, spec)| (last(spec), *spec))
}

/// Whether a word that is an option still is one when another extension is loaded (or the same once more): an abbreviation may then be
/// ambiguous.
pub fn is_known(word: &[u8], loaded: &[&'static Spec], another: Option<&'static Spec>) -> bool {
    let (Some(name), Some(another)) = (word.strip_prefix(b"--"), another) else { return true };
    let exact = |long: &str| long.as_bytes() == name;
    let whole = LONG.iter().any(|(long, _)| exact(long))
        || loaded.iter().chain([&another]).any(|spec| spec.options.iter().any(|o| exact(o.name)));
    whole || !another.options.iter().any(|o| o.name.as_bytes().starts_with(name))
}

/// Finds a long option in stock's table: exactly, else by a prefix that only one has.
fn find(name: &[u8], loaded: &[&'static Spec]) -> Option<Found> {
    let generic = LONG.iter().map(|(long, letter)| (*long, Found::Generic(*letter)));
    let extensions = table_order(loaded);
    let theirs = extensions.flat_map(|(i, spec)| spec.options.iter().map(move |o| (o.name, Found::Extension(i, o))));
    let mut candidate: Option<Found> = None;
    let mut ambiguous = false;
    for (long, found) in generic.chain(theirs) {
        if long.as_bytes() == name {
            return Some(found);
        }
        if long.as_bytes().starts_with(name) {
            ambiguous |= candidate.is_some_and(|other| !found.same(other));
            candidate.get_or_insert(found);
        }
    }
    candidate.filter(|_| !ambiguous)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::Match;
    use crate::types::Family;

    /// Observed with stock 1.8.9: which of the loaded matches gets an option that several have.
    #[test]
    fn the_order_of_the_option_table() {
        let asked = |loaded: &[&str], name: &str| {
            let specs: Vec<_> =
                loaded.iter().filter_map(|n| Match::new(n.as_bytes(), Family::V4)).map(|m| m.spec()).collect();
            match find(name.as_bytes(), &specs) {
                Some(Found::Extension(at, _)) => format!("{} {at}", loaded[at]),
                other => format!("{other:?}"),
            }
        };
        assert_eq!(asked(&["udp", "tcp"], "sport"), "tcp 1");
        assert_eq!(asked(&["tcp", "udp"], "sport"), "udp 1");
        assert_eq!(asked(&["tcp", "multiport"], "sport"), "tcp 0", "to multiport it is an abbreviation");
        assert_eq!(asked(&["multiport"], "sport"), "multiport 0");
        assert_eq!(asked(&["tcp", "multiport", "tcp"], "sport"), "tcp 2");
        assert_eq!(asked(&["udp", "tcp", "udp"], "sport"), "tcp 1");
        assert_eq!(asked(&["tcp", "multiport"], "sports"), "multiport 1");
        assert_eq!(asked(&["tcp", "tcp"], "dp"), "tcp 1");
        assert_eq!(asked(&["tcp", "multiport"], "dpo"), "None");
        assert_eq!(asked(&["udp", "tcp"], "dp"), "None");
        assert_eq!(asked(&["tcp"], "s"), "None");
    }
}

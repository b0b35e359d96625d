//! What is wrong with a command line.

use crate::ext::UsageError;

/// A command that cannot be understood: the text that stock prints, the exit code, and what a person may want to know beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// The exit code: 2 for wrong parameters, 1 and 3 as the text's kind demands.
    pub exit: u8,
    /// The text; a newline at its end leaves an empty line before the hint.
    pub text: Vec<u8>,
    /// `program vVERSION (nf_tables): ` stands before the text.
    pub prefixed: bool,
    /// The argument that it is about, counted from 0 without the program's name.
    pub word: Option<usize>,
    /// What to do about it, for a person at a terminal.
    pub advice: Option<String>,
    /// The extensions that were loaded before: name and revision in the kernel's xt tables, and whether it is a target.
    pub loaded: Vec<(&'static str, u32, bool)>,
}

impl Error {
    /// A usage error (exit code 2).
    pub fn usage(text: impl Into<Vec<u8>>) -> Self {
        Self { exit: 2, text: text.into(), prefixed: true, word: None, advice: None, loaded: Vec::new() }
    }

    /// A word that is neither an option nor the value of one.
    pub fn bad_argument(word: &[u8]) -> Self {
        Self { prefixed: false, ..Self::usage([b"Bad argument `", word, b"'"].concat()) }
    }

    /// The same error, about this argument.
    #[must_use]
    pub fn at(mut self, word: usize) -> Self {
        self.word.get_or_insert(word);
        self
    }

    /// The same error with advice.
    #[must_use]
    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice.get_or_insert(advice.into());
        self
    }
}

impl From<UsageError> for Error {
    fn from(e: UsageError) -> Self {
        Self { exit: e.1, ..Self::usage(e.0) }
    }
}

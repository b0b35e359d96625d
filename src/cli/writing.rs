//! In which expressions rules are written: stock's, unless it is asked for otherwise or the kernel lacks what they need.

use super::failure::Failure;
use crate::ext::{Action, Body, Encoding};
use crate::kernel::Refusal;
use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;

/// The variable that chooses.
const VARIABLE: &str = "OXTABLES_ENCODING";

/// How the rules of a transaction are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Writing {
    /// What the environment asks for.
    chosen: Option<Encoding>,
    /// xt extensions (their names in the kernel) that the kernel is known to lack: rules with them are written natively.
    lacking: Vec<String>,
    /// Lines whose native rules the kernel has refused: they are written in stock's expressions, and what is wrong then is said as stock says it.
    refused: BTreeSet<u32>,
}

impl Writing {
    /// As `OXTABLES_ENCODING` says.
    ///
    /// # Errors
    /// If it has a value that is none.
    pub fn from_environment() -> Result<Self, Failure> {
        let value = std::env::var_os(VARIABLE);
        Self::chosen_by(value.as_ref().map(|v| v.as_bytes()))
    }

    /// As this value of the variable says; empty or absent: by itself.
    pub fn chosen_by(value: Option<&[u8]>) -> Result<Self, Failure> {
        let chosen = match value {
            None | Some(b"") => None,
            Some(b"stock") => Some(Encoding::Stock),
            Some(b"native") => Some(Encoding::Native),
            Some(other) => {
                let text = [VARIABLE.as_bytes(), b" is `", other, b"': it must be stock or native"].concat();
                return Err(crate::text::Error::usage(text).into());
            }
        };
        Ok(Self { chosen, ..Self::default() })
    }

    /// Notes what the kernel lacks; says whether this changes how rules are written, so that it is worth trying again.
    pub fn lacks(&mut self, extensions: &[String]) -> bool {
        if self.chosen.is_some() {
            return false;
        }
        let before = self.lacking.len();
        for name in extensions {
            if !self.lacking.contains(name) {
                self.lacking.push(name.clone());
            }
        }
        self.lacking.len() > before
    }

    /// Notes that the kernel has refused rules; says whether some of them were native only by choice, so that stock's expressions are tried.
    pub fn is_refused(&mut self, refusals: &[Refusal]) -> bool {
        if self.chosen != Some(Encoding::Native) {
            return false;
        }
        let before = self.refused.len();
        self.refused.extend(refusals.iter().map(|r| r.op.line));
        self.refused.len() > before
    }

    /// Whether a rule that stands in no file is written in native expressions.
    pub fn natively(&self, body: &Body) -> bool {
        self.natively_at(body, 0)
    }

    /// Whether a rule of this line is written in native expressions.
    pub fn natively_at(&self, body: &Body, line: u32) -> bool {
        match self.chosen {
            _ if self.refused.contains(&line) => false,
            Some(chosen) => chosen == Encoding::Native,
            None => !self.lacking.is_empty() && self.has_lacking(body),
        }
    }

    fn has_lacking(&self, body: &Body) -> bool {
        let lacking = |name: &str| self.lacking.iter().any(|l| l == name);
        let target = match &body.action {
            Action::Target(target) => lacking(target.spec().wire),
            _ => false,
        };
        target || body.matches.iter().any(|m| lacking(m.spec().wire))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::Match;
    use crate::types::Family;

    #[test]
    fn the_variable_names_an_encoding() {
        for (value, native) in [(None, false), (Some("stock"), false), (Some(""), false), (Some("native"), true)] {
            let writing = Writing::chosen_by(value.map(str::as_bytes)).expect("a value");
            assert_eq!(writing.natively(&Body::default()), native);
        }
        assert!(matches!(Writing::chosen_by(Some(b"Native")), Err(Failure::Usage(_))));
    }

    #[test]
    fn what_the_kernel_lacks_is_written_natively_unless_stock_is_asked_for() {
        let with =
            |name: &[u8]| Body { matches: Match::new(name, Family::V4).into_iter().collect(), ..Body::default() };
        let mut writing = Writing::default();
        assert!(!writing.natively(&with(b"conntrack")));
        assert!(writing.lacks(&["conntrack".to_owned()]));
        assert!(!writing.lacks(&["conntrack".to_owned()]), "it has been tried");
        assert!(writing.natively(&with(b"conntrack")));
        assert!(!writing.natively(&with(b"length")));
        let mut stock = Writing::chosen_by(Some(b"stock")).expect("a value");
        assert!(!stock.lacks(&["conntrack".to_owned()]));
    }
}

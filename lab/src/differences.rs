//! The departures from stock that are meant: `lab/differences.toml`, one reason each. An entry that never matches is stale.
//!
//! The file is read by a parser of its own, which takes tables `[[difference]]` with `key = "text"` lines only.

use std::sync::atomic::{AtomicUsize, Ordering};

/// One meant departure.
#[derive(Debug)]
pub struct Entry {
    /// A short name.
    pub key: String,
    /// The runs it belongs to, separated by blanks (`articles`, `rules`, `wrong` …).
    pub runs: String,
    /// What a difference's text must contain, in this order, the parts separated by `*`.
    pub pattern: String,
    /// Why ours differs, and where that is written down.
    pub reason: String,
    hits: AtomicUsize,
}

/// All meant departures of one run.
#[derive(Debug, Default)]
pub struct Differences {
    entries: Vec<Entry>,
}

impl Differences {
    /// Those of `lab/differences.toml` that belong to `run`.
    ///
    /// # Panics
    /// When the file is malformed: it is part of the source.
    #[must_use]
    pub fn of(run: &str) -> Self {
        let mut all = Self::parse(include_str!("../differences.toml")).expect("differences.toml");
        all.entries.retain(|entry| entry.runs.split(' ').any(|word| word == run));
        all
    }

    /// Reads the file's text.
    ///
    /// # Errors
    /// Names the first line that is not understood, or the entry that lacks something.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut entries: Vec<Entry> = Vec::new();
        for (number, line) in text.lines().map(str::trim).enumerate() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if line == "[[difference]]" {
                let [key, runs, pattern, reason] = [const { String::new() }; 4];
                entries.push(Entry { key, runs, pattern, reason, hits: AtomicUsize::new(0) });
                continue;
            }
            let wrong = || format!("line {}: not understood: {line}", number + 1);
            let (name, value) = line.split_once('=').ok_or_else(wrong)?;
            let value = value.trim();
            let value = ['"', '\''].iter().find_map(|q| value.strip_prefix(*q)?.strip_suffix(*q)).ok_or_else(wrong)?;
            let entry = entries.last_mut().ok_or_else(wrong)?;
            let field = match name.trim() {
                "key" => &mut entry.key,
                "runs" => &mut entry.runs,
                "pattern" => &mut entry.pattern,
                "reason" => &mut entry.reason,
                _ => return Err(wrong()),
            };
            // A lost heading would let one entry write over another.
            if !field.is_empty() {
                return Err(wrong());
            }
            value.clone_into(field);
        }
        match entries.iter().find(|e| [&e.key, &e.runs, &e.pattern, &e.reason].iter().any(|field| field.is_empty())) {
            Some(entry) => Err(format!("entry {:?} is not complete", entry.key)),
            None => Ok(Self { entries }),
        }
    }

    /// The entry that allows the difference with this text; counts as a use of it.
    pub fn allow(&self, text: &str) -> Option<&Entry> {
        let entry = self.entries.iter().find(|entry| in_order(text, &entry.pattern))?;
        entry.hits.fetch_add(1, Ordering::Relaxed);
        Some(entry)
    }

    /// Keys of the entries that allowed nothing so far.
    #[must_use]
    pub fn stale(&self) -> Vec<&str> {
        let unused = |entry: &&Entry| entry.hits.load(Ordering::Relaxed) == 0;
        self.entries.iter().filter(unused).map(|entry| entry.key.as_str()).collect()
    }
}

fn in_order(text: &str, pattern: &str) -> bool {
    let mut rest = text;
    pattern.split('*').all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "[[difference]]\nkey = \"k\"\nruns = \"a b\"\npattern = '-p6*tcp'\nreason = \"r\"\n";

    #[test]
    fn an_entry_allows_what_it_matches_and_is_stale_before() {
        let all = Differences::parse(ONE).unwrap();
        assert_eq!(all.stale(), ["k"]);
        assert!(all.allow("-A INPUT -p udp").is_none());
        assert!(all.allow("tcp -p6").is_none());
        assert!(all.allow("-A INPUT -p6 -m tcp").is_some());
        assert!(all.stale().is_empty());
    }

    #[test]
    fn an_incomplete_entry_is_refused() {
        assert!(Differences::parse("[[difference]]\nkey = \"k\"\n").is_err());
        assert!(Differences::parse("key = \"k\"\n").is_err());
        assert!(Differences::parse(&ONE.replace("runs", "key")).is_err());
    }

    #[test]
    fn the_file_itself_is_well_formed() {
        let _ = Differences::of("articles");
    }
}

//! Rules files as `check`, `plan` and `apply` take them: of one family, or one for both; and what they mean to this kernel.
//!
//! A file is read by loading it: into a network namespace of its own, where nothing sees it, and back from there. So what is planned is what
//! the kernel would have, and what is wrong is what the kernel finds wrong.

use super::failure::{Failure, Program};
use super::restore::{Wrong, restore_what_can_be};
use super::{Streams, explain};
use crate::kernel::mirror::Sets;
use crate::kernel::names::SystemNames;
use crate::kernel::netns::{Namespace, NetnsError};
use crate::kernel::{self, Session};
use crate::model::Ruleset;
use crate::text::Context;
use crate::text::families::Families;
use crate::text::lexer::{Words, lines};
use crate::types::{Family, Names, Out};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A rules file.
#[derive(Debug)]
pub struct RulesFile {
    /// How it is named in messages.
    pub name: String,
    /// What is in it for each family; `None` if it is not about this family at all.
    texts: [Option<Vec<u8>>; 2],
}

/// Something wrong with a file.
#[derive(Debug)]
pub struct Problem {
    /// The file's name.
    pub file: String,
    /// The line, from 1; `None` if it is about the whole.
    pub line: Option<u32>,
    /// For which families; both if they say the same.
    pub families: Vec<Family>,
    /// What is wrong, in one line.
    pub reason: String,
    /// The line with a caret, and what to do: as printed below an error.
    pub explanation: String,
}

/// The files that a command is about.
#[derive(Debug, clap::Args)]
pub struct Files {
    /// Rules files: for one family if iptables-save or ip6tables-save wrote them or their name ends in v4 or v6, else for both. `-` is
    /// standard input.
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// A file for IPv4 only.
    #[arg(short = '4', value_name = "FILE")]
    pub ipv4: Vec<PathBuf>,
    /// A file for IPv6 only.
    #[arg(short = '6', value_name = "FILE")]
    pub ipv6: Vec<PathBuf>,
}

impl Files {
    /// Reads them all.
    ///
    /// # Errors
    /// In words: there is none, or one cannot be read.
    pub fn read(&self, names: &dyn Names) -> Result<Vec<RulesFile>, String> {
        let both = self.files.iter().map(|path| (path, None));
        let v4 = self.ipv4.iter().map(|path| (path, Some(Family::V4)));
        let v6 = self.ipv6.iter().map(|path| (path, Some(Family::V6)));
        let read = |(path, family): (&PathBuf, _)| {
            RulesFile::read(path, family, names).map_err(|error| format!("cannot read {}: {error}", path.display()))
        };
        let files = both.chain(v4).chain(v6).map(read).collect::<Result<Vec<_>, _>>()?;
        if files.is_empty() { Err("name a file, or two: rules.v4 rules.v6".to_owned()) } else { Ok(files) }
    }
}

/// An error about namespaces, with what helps.
pub fn with_remedy(error: &NetnsError) -> String {
    match error.remedy() {
        Some(remedy) => format!("{error}\n{remedy}"),
        None => error.to_string(),
    }
}

/// Both families.
pub const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

impl RulesFile {
    /// Reads a file; `-` is standard input. If the family is not told, a file is one family's if iptables-save or ip6tables-save wrote it or
    /// if its name ends in `v4` or `v6`, else it is for both.
    ///
    /// # Errors
    /// That of reading it.
    pub fn read(path: &Path, family: Option<Family>, names: &dyn Names) -> io::Result<Self> {
        let stdin = path.as_os_str() == "-";
        let mut text = Vec::new();
        if stdin {
            io::stdin().read_to_end(&mut text)?;
        } else {
            text = fs::read(path)?;
        }
        let name = if stdin { "standard input".to_owned() } else { path.display().to_string() };
        let family = family.or_else(|| one_family(path, &text));
        Ok(Self::new(name, text, family, names))
    }

    /// A file of this name and text, for one family or (`None`) for both.
    pub fn new(name: String, text: Vec<u8>, family: Option<Family>, names: &dyn Names) -> Self {
        let texts = match family {
            Some(Family::V4) => [Some(text), None],
            Some(Family::V6) => [None, Some(text)],
            None => {
                let Families { v4, v6 } = Families::split(&text, names);
                [Some(v4), Some(v6)]
            }
        };
        Self { name, texts }
    }

    /// What is in it for a family; `None` if it is not about this family.
    pub fn text(&self, family: Family) -> Option<&[u8]> {
        let [v4, v6] = &self.texts;
        if family == Family::V4 { v4.as_deref() } else { v6.as_deref() }
    }

    /// The sets of ipset that its rules name, as they are in the namespace of the calling thread.
    ///
    /// # Errors
    /// In words: the kernel could not be asked.
    pub fn sets(&self) -> Result<Sets, String> {
        Sets::look_up(&self.set_names()).map_err(|error| format!("cannot ask for the sets of {}: {error}", self.name))
    }

    fn set_names(&self) -> Vec<Vec<u8>> {
        const OPTIONS: [&[u8]; 4] = [b"--match-set", b"--add-set", b"--del-set", b"--map-set"];
        let (mut all, mut words) = (Vec::new(), Words::default());
        let with_set = |line: &&[u8]| line.windows(5).any(|w| w == b"-set ");
        for line in self.texts.iter().flatten().flat_map(|text| lines(text)).filter(with_set) {
            if words.split(line).is_err() {
                continue;
            }
            let line: Vec<&[u8]> = words.iter().collect();
            for pair in line.windows(2) {
                if let [option, name] = pair
                    && OPTIONS.contains(option)
                    && !all.iter().any(|known: &Vec<u8>| known == name)
                {
                    all.push(name.to_vec());
                }
            }
        }
        all
    }

    /// Loads it in a namespace of its own, with these sets, and reads back what it means there, a ruleset for each family that it is about.
    ///
    /// # Errors
    /// All that is wrong with it, in the order of the lines.
    pub fn load(&self, sets: &Sets) -> Result<Vec<Ruleset>, Vec<Problem>> {
        let whole = |reason: String| {
            let families = FAMILIES.into_iter().filter(|family| self.text(*family).is_some()).collect();
            vec![Problem { file: self.name.clone(), line: None, families, reason, explanation: String::new() }]
        };
        let namespace = Namespace::new().map_err(|error| whole(with_remedy(&error)))?;
        let loaded = namespace.run(|| {
            sets.make().map_err(|error| whole(format!("cannot make sets to try the rules with: {error}")))?;
            self.load_here()
        });
        loaded.map_err(|error| whole(with_remedy(&error)))?
    }

    /// Loads it into the namespace of the calling thread, which must be an empty one.
    fn load_here(&self) -> Result<Vec<Ruleset>, Vec<Problem>> {
        let (names, mut problems, mut rulesets) = (SystemNames::default(), Vec::new(), Vec::new());
        for family in FAMILIES {
            let Some(text) = self.text(family) else { continue };
            for wrong in restore_what_can_be(family, &names, text) {
                self.note(&mut problems, family, wrong, &names);
            }
            if problems.is_empty() {
                match Session::open().and_then(|mut session| kernel::ruleset(&mut session, family)) {
                    Ok(ruleset) => rulesets.push(ruleset),
                    Err(error) => self.note(&mut problems, family, (None, error.into()), &names),
                }
            }
        }
        problems.sort_by_key(|problem| problem.line.unwrap_or(u32::MAX));
        if problems.is_empty() { Ok(rulesets) } else { Err(problems) }
    }

    fn note(&self, problems: &mut Vec<Problem>, family: Family, (line, failure): Wrong, names: &dyn Names) {
        let reason = reason(&failure);
        if let Some(same) = problems.iter_mut().find(|p| p.line == line && p.reason == reason) {
            same.families.push(family);
            return;
        }
        let mut io = Streams { explain: true, ..Streams::default() };
        let cx = Context { family, names, restore: true, table: b"filter", verbose: false };
        explain::explain_line(&failure, &cx, self.text(family).unwrap_or_default(), line, false, &mut io);
        let explanation = String::from_utf8_lossy(io.err.as_bytes()).trim_end().to_owned();
        problems.push(Problem { file: self.name.clone(), line, families: vec![family], reason, explanation });
    }
}

impl Problem {
    /// Prints it: `FILE:LINE: error: REASON`, then the place and the remedy.
    pub fn print(&self, out: &mut Out) {
        out.str(&self.file);
        if let Some(line) = self.line {
            write!(out, ":{line}");
        }
        out.str(": error: ");
        match self.families.as_slice() {
            [Family::V4] => out.str("IPv4: "),
            [Family::V6] => out.str("IPv6: "),
            _ => {}
        }
        out.str(&self.reason);
        out.byte(b'\n');
        if !self.explanation.is_empty() {
            out.str(&self.explanation);
            out.byte(b'\n');
        }
    }
}

/// What is wrong, in one line and without the program's name, which is not the one that the user called.
pub fn reason(failure: &Failure) -> String {
    let mut text = Out::new();
    failure.print(Program::of("oxtables"), None, &mut text);
    let text = String::from_utf8_lossy(text.as_bytes()).into_owned();
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let line = line.strip_prefix(&Program::of("oxtables").version()).unwrap_or(line);
    let line = line.strip_prefix("oxtables").unwrap_or(line).trim_start_matches([':', ' ']);
    // The line is named beside the file.
    let line =
        line.strip_prefix("oxtables: line ").and_then(|rest| rest.split_once(' ')).map_or(line, |(_, rest)| rest);
    line.trim_end().to_owned()
}

/// The one family that a file is for, by what wrote it or by its name.
fn one_family(path: &Path, text: &[u8]) -> Option<Family> {
    let header = lines(text).next().and_then(|line| line.strip_prefix(b"# Generated by "));
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    match header {
        Some(header) if header.starts_with(b"ip6tables") => Some(Family::V6),
        Some(header) if header.starts_with(b"iptables") => Some(Family::V4),
        _ if name.ends_with(b"v6") => Some(Family::V6),
        _ if name.ends_with(b"v4") => Some(Family::V4),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_a_file_is() {
        for (path, text, family) in [
            ("rules.v4", "*filter\n", Some(Family::V4)),
            ("/etc/iptables/rules.v6", "*filter\n", Some(Family::V6)),
            ("x", "# Generated by ip6tables-save v1.8.9 (nf_tables)\n", Some(Family::V6)),
            ("x.v6", "# Generated by iptables-save v1.8.9\n", Some(Family::V4)),
            ("firewall", "*filter\n", None),
        ] {
            assert_eq!(one_family(Path::new(path), text.as_bytes()), family, "{path}");
        }
    }

    #[test]
    fn reasons_are_one_line_without_a_program() {
        let usage = Failure::Usage(crate::text::Error::usage("unknown option \"--x\""));
        assert_eq!(reason(&usage), "unknown option \"--x\"");
        assert_eq!(reason(&Failure::Object("Index of deletion too big")), "Index of deletion too big.");
    }
}

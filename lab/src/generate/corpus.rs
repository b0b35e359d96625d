//! Lines of whole rulesets (our own, and those of the directory `OXTABLES_CORPUS`), as they are or with a value broken.

use std::path::{Path, PathBuf};

use super::{Rule, mutate};
use crate::article::split;
use crate::random::Random;

/// Part of a table of a ruleset.
#[derive(Clone, Debug)]
pub struct Block {
    /// True for IPv6.
    pub v6: bool,
    /// The table's name.
    pub table: String,
    /// The `*` and `:` lines.
    pub head: String,
    /// Some of its rules.
    pub rules: Vec<Rule>,
}

/// The rulesets there are, sorted.
#[must_use]
pub fn files() -> Vec<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/rulesets");
    let more = std::env::var_os("OXTABLES_CORPUS").map(PathBuf::from);
    let list =
        |directory: PathBuf| std::fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let all = list(own).chain(more.into_iter().flat_map(list));
    let mut files: Vec<_> = all.filter(|path| path.extension().is_some_and(|e| e == "rules")).collect();
    files.sort();
    files
}

/// Whether a ruleset is one of IPv6, by its name.
#[must_use]
pub fn is_v6(path: &Path) -> bool {
    let name = path.to_string_lossy();
    name.contains("ip6") || name.contains("rules.v6")
}

/// A random run of up to `most` rules of one table of one ruleset; every fourth rule has something broken.
pub fn block(random: &mut Random, most: usize) -> Option<Block> {
    let files = files();
    let path = files.get(random.below(files.len()))?;
    let text = String::from_utf8_lossy(&std::fs::read(path).ok()?).into_owned();
    let tables: Vec<&str> = text.split("\n*").filter(|part| part.contains("\n-A ") || part.contains("] -A ")).collect();
    if tables.is_empty() {
        return None;
    }
    let table = random.word(&tables);
    let (mut name, mut head, mut lines) = (String::new(), String::new(), Vec::new());
    for line in table.lines().map(str::trim_end) {
        if name.is_empty() && !line.is_empty() && !line.starts_with('#') {
            line.trim_start_matches('*').clone_into(&mut name);
        } else if line.starts_with(':') {
            head.push_str(&format!("{line}\n"));
        } else if let Some(at) = line.find("-A ") {
            lines.push(&line[at..]);
        }
    }
    let v6 = is_v6(path);
    let start = random.below(lines.len().saturating_sub(most) + 1);
    let mut rules = Vec::new();
    for line in lines.iter().skip(start).take(most) {
        let mut words = split(line).into_iter().skip(1);
        let Some(chain) = words.next() else { continue };
        let mut words: Vec<Vec<u8>> = words.map(String::into_bytes).collect();
        if random.percent(25) {
            words.insert(0, Vec::new());
            mutate::mutate(random, &mut words);
            words.remove(0);
        }
        rules.push(Rule { v6, table: name.clone(), chain, words });
    }
    Some(Block { v6, head: format!("*{name}\n{head}"), table: name, rules })
}

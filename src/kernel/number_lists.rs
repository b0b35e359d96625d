//! The files that give names to numbers: realms and device groups of iproute2, labels of connections.
//!
//! Each file is read once, when it is first asked. A line that is not of the form is passed over. Sources: tc(8) and ip-link(8) "group" for the
//! numbers' use, iptables-extensions(8) "connlabel"; the forms as observed with stock 1.8.9: `NUMBER NAME …` with numbers to 255 in iproute2's
//! files, and `NUMBER NAME WITH BLANKS` of letters, digits, `-` and blanks in connlabel.conf, where a second line for a name or number is void.

use crate::ext::options::leading_number;
use crate::types::NumberList;
use std::cell::OnceCell;
use std::io;
use std::path::Path;

/// The lists that have been read.
#[derive(Debug, Default)]
pub struct NumberLists {
    realms: OnceCell<Content>,
    device_groups: OnceCell<Content>,
    conn_labels: OnceCell<Content>,
}

/// The entries in the order of the file, or why it cannot be read.
type Content = Result<Entries, String>;

/// Numbers and names, in the order of the file.
type Entries = Vec<(u32, Vec<u8>)>;

/// The highest number in iproute2's files.
const MAX_ID: u32 = 255;

impl NumberLists {
    /// The entries of a list below this directory, or why it cannot be read.
    pub fn entries(&self, dir: &Path, list: NumberList) -> Result<&[(u32, Vec<u8>)], &str> {
        let (cell, entries): (_, fn(&[u8]) -> Entries) = match list {
            NumberList::Realms => (&self.realms, ids),
            NumberList::DeviceGroups => (&self.device_groups, ids),
            NumberList::ConnLabels => (&self.conn_labels, labels),
        };
        let content = cell.get_or_init(|| match std::fs::read(dir.join(list.file())) {
            Ok(text) => Ok(entries(&text)),
            Err(e) => Err(words(&e)),
        });
        content.as_deref().map_err(String::as_str)
    }
}

/// The system's words for an error, without Rust's addition.
fn words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// The numbered lines of a file: the number, and what stands behind it and at least one blank.
fn numbered(text: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    text.split(|b| *b == b'\n').filter_map(|line| {
        let (number, rest) = leading_number(line)?;
        let behind = rest.trim_ascii_start();
        let apart = behind.len() < rest.len() && !behind.is_empty();
        apart.then_some((u32::try_from(number).ok()?, behind))
    })
}

fn ids(text: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let word = |text: &[u8]| text.split(u8::is_ascii_whitespace).next().unwrap_or_default().to_vec();
    numbered(text).filter(|(id, _)| *id <= MAX_ID).map(|(id, rest)| (id, word(rest))).collect()
}

fn labels(text: &[u8]) -> Vec<(u32, Vec<u8>)> {
    let mut found: Vec<(u32, Vec<u8>)> = Vec::new();
    for (bit, name) in numbered(text) {
        let name = name.trim_ascii_end();
        let legal = name.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b' '));
        if legal && bit <= u32::from(u16::MAX) && !found.iter().any(|(b, n)| *b == bit || n == name) {
            found.push((bit, name.to_vec()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(entries: &[(u32, Vec<u8>)]) -> String {
        let text = entries.iter().map(|(n, name)| format!("{n}={}", String::from_utf8_lossy(name)));
        text.collect::<Vec<_>>().join(",")
    }

    #[test]
    fn files_as_stock_reads_them() {
        let text = b"# groups\n0\tdefault\n0x10 hexg\n 3\tlead x\n4 four#x\n10name\n11\t-dash\n255 last\n256 over\n12\n 7 a\r\n";
        assert_eq!(shown(&ids(text)), "0=default,16=hexg,3=lead,4=four#x,11=-dash,255=last,7=a");
        let text = b"# labels\n0\teth0-in\n5 interactive\n5 second\n7\ta b  \n9 q\"uote\n10 x # y\n010 oct\n15 eth0-in\n3 v\tt\n-8 neg\n200 big\n6 5\r";
        assert_eq!(shown(&labels(text)), "0=eth0-in,5=interactive,7=a b,8=oct,200=big,6=5");
    }

    #[test]
    fn a_file_that_is_missing_says_so() {
        let lists = NumberLists::default();
        let missing = lists.entries(Path::new("/nonexistent"), NumberList::ConnLabels);
        assert_eq!(missing, Err("No such file or directory"));
    }
}

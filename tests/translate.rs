//! Translations into the words of nft(8), each as it was seen of stock 1.8.9 (`translations.txt`: family, command `=>` what it prints
//! behind `nft`, or `#` for none; where that is a departure from stock the lab's cases say so).

use oxtables::ext::{Body, PrintCx, nft};
use oxtables::text::{CommandKind, Context, parse};
use oxtables::types::{Family, NoNames, Out};

const ROWS: &str = include_str!("translations.txt");

#[test]
fn rules_are_translated_as_observed() {
    for row in ROWS.lines() {
        let (words, expected) = row.split_once(" => ").expect("two halves");
        let (family, words) = words.split_once(' ').expect("a family");
        let family = if family == "4" { Family::V4 } else { Family::V6 };
        assert_eq!(translated(family, &shell(words)), expected, "{row}");
    }
    assert!(ROWS.lines().count() > 300);
}

/// Splits at blanks; quotes of either kind hold together.
fn shell(line: &str) -> Vec<Vec<u8>> {
    let (mut words, mut word, mut quote, mut any) = (Vec::new(), Vec::new(), None, false);
    for letter in line.bytes() {
        match (quote, letter) {
            (None, b'\'' | b'"') => (quote, any) = (Some(letter), true),
            (Some(q), _) if q == letter => quote = None,
            (None, b' ') => {
                if std::mem::take(&mut any) {
                    words.push(std::mem::take(&mut word));
                }
            }
            _ => {
                word.push(letter);
                any = true;
            }
        }
    }
    if any {
        words.push(word);
    }
    words
}

/// What the command says in the words of nft, its rule being one.
fn translated(family: Family, words: &[Vec<u8>]) -> String {
    let args: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    let cx = Context { family, names: &NoNames, restore: false, table: b"filter", verbose: false };
    let mut command = parse(&args, &cx, &mut Vec::new()).unwrap_or_else(|e| panic!("{words:?}: {e:?}"));
    let (verb, chain) = match &command.kind {
        CommandKind::Append { chain } => ("add", chain.clone()),
        CommandKind::Insert { chain, .. } => ("insert", chain.clone()),
        other => panic!("{other:?}"),
    };
    let table = command.table.clone().unwrap_or_else(|| b"filter".to_vec());
    let mut out = Out::new();
    write!(out, "{verb} rule {} ", nft::nft_family(family));
    out.bytes(&[table.as_slice(), b" ", &chain, b" "].concat());
    let print = PrintCx { family, numeric: true, names: &NoNames, protocol: None };
    // A command that breaks the shell's quotes, or is wrong as a whole, has none either (cli/translate.rs).
    let mut good = command.late.is_none() || command.rule.body.base.protocol.is_none();
    let each = |body: &Body| {
        good &= body.translate(&print, &mut out);
        Ok::<(), ()>(())
    };
    command.rule.for_each(each).expect("no error");
    if good && !out.as_bytes().contains(&b'\'') {
        String::from_utf8_lossy(out.as_bytes()).into_owned()
    } else {
        "#".into()
    }
}

//! A restore file, line by line.
//!
//! Promises: no text makes the reader panic. Each rule that is taken is saved as a line that reads back as the same rule, and is the
//! same rule after the kernel. The input is the text of a file; the first byte is for the family.

use super::{Cursor, FewNames, bodies_of, check_command, judge_all, print_all};
use oxtables::text::lexer::{Words, lines};
use oxtables::text::{Context, parse};

/// Runs the body.
pub fn run(data: &[u8]) {
    let mut input = Cursor(data);
    let family = if input.byte() == b'6' { oxtables::types::Family::V6 } else { oxtables::types::Family::V4 };
    let cx = Context { family, names: &FewNames, restore: true, table: b"filter", verbose: false };
    let mut words = Words::default();
    for line in lines(input.0).take(64) {
        if matches!(line.first(), Some(b'#' | b'*' | b':' | b'\n')) || words.split(line).is_err() {
            continue;
        }
        let args: Vec<&[u8]> = words.iter().skip_while(|w| w.first() == Some(&b'[')).collect();
        let Ok(mut command) = parse(&args, &cx, &mut Vec::new()) else { continue };
        for body in bodies_of(&mut command) {
            print_all(&body, family);
            judge_all(&body, family);
            check_command(&body, family);
        }
    }
}

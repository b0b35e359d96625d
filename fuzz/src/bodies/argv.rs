//! The words of a command line.
//!
//! Promises: no words make the parser panic. A rule that is taken can be printed in every form; what `-S` prints of it reads back as the
//! same rule (print∘parse is a fixed point); written into the kernel and dumped, it is the same rule.
//! The input: a byte for family and program, then the words, each ended by a NUL.

use super::{Cursor, FewNames, bodies_of, check_command, judge_all, print_all};
use oxtables::text::{Context, parse};

/// Runs the body.
pub fn run(data: &[u8]) {
    let mut input = Cursor(data);
    let family = input.family();
    let restore = input.byte() & 1 == 1;
    let words: Vec<&[u8]> = input.0.split(|b| *b == 0).collect();
    let cx = Context { family, names: &FewNames, restore, table: b"filter", verbose: false };
    let mut warnings = Vec::new();
    let Ok(mut command) = parse(&words, &cx, &mut warnings) else { return };
    for body in bodies_of(&mut command) {
        print_all(&body, family);
        judge_all(&body, family);
        check_command(&body, family);
    }
}

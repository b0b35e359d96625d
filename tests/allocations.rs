//! Encoding a rule allocates nothing but the buffer's growth: with a buffer that has grown, every extension's rules allocate nothing at all.
//!
//! One test alone in its binary, because it counts for the whole process.

use oxtables::text::lexer::{Words, lines};
use oxtables::text::{Context, parse};
use oxtables::types::{Family, NoNames};
use oxtables::wire::{ExprWriter, Writer};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn encoding_allocates_nothing() {
    let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/corpus/restore");
    let (mut words, mut w, mut tried) = (Words::default(), Writer::new(), 0);
    for seed in std::fs::read_dir(dir).expect("the seeds") {
        let seed = seed.expect("a seed").path();
        let text = std::fs::read(&seed).expect("a seed");
        let family = if text.starts_with(b"6") { Family::V6 } else { Family::V4 };
        for line in lines(&text).filter(|l| l.starts_with(b"-A")) {
            words.split(line).expect("words");
            let args: Vec<&[u8]> = words.iter().collect();
            let cx = Context { family, names: &NoNames, restore: true, table: b"raw", verbose: false };
            let Ok(mut command) = parse(&args, &cx, &mut Vec::new()) else { continue };
            let _: Result<(), ()> = command.rule.for_each(|body| {
                body.encode(family, 1, 2, &mut ExprWriter::new(&mut w));
                // The test harness has threads of its own, which may allocate meanwhile, but not every time.
                let fewest = (0..5).map(|_| {
                    w.clear();
                    let region = Region::new(ALLOCATOR);
                    body.encode(family, 1, 2, &mut ExprWriter::new(&mut w));
                    let change = region.change();
                    change.allocations + change.reallocations
                });
                let fewest = fewest.min().unwrap_or(0);
                assert_eq!(fewest, 0, "{}: {}", seed.display(), String::from_utf8_lossy(line));
                tried += 1;
                Ok(())
            });
        }
    }
    assert!(tried > 300, "only {tried} rules");
}

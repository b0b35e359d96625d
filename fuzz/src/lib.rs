//! The bodies of the fuzz targets: bytes in, a panic if a promise is broken.
//!
//! They are ordinary functions: the targets call them under libFuzzer, `tests/corpus.rs` calls them over the seeds. Nothing here opens
//! a socket or a file. What each one promises stands at its head; how each was seen to fail stands in README.md.

#[path = "bodies/mod.rs"]
pub mod bodies;

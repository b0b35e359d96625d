//! The one binary behind every name.
fn main() {}

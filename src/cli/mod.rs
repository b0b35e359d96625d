//! The front ends: which one a call means, by the name it was called by or by its first word.

pub mod demo;
pub mod sandbox;

use std::env;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

/// Runs the front end that the process was called for.
pub fn main() -> ExitCode {
    let words: Vec<OsString> = env::args_os().skip(1).collect();
    let code = match words.split_first() {
        Some((verb, rest)) if verb == "sandbox" => sandbox::run(rest),
        Some((verb, rest)) if verb == "demo" => demo::run(rest),
        _ => {
            let _ = writeln!(io::stderr(), "ERROR: No valid subcommand given.");
            1
        }
    };
    ExitCode::from(code)
}

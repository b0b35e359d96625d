//! Runs a program as root of a new user namespace: `lab-as-root PROGRAM ARGUMENT…`.
#![forbid(unsafe_code)]

use std::os::unix::process::CommandExt;
use std::process::Command;

fn main() -> std::io::Result<()> {
    lab::root::become_root()?;
    let mut words = std::env::args_os().skip(1);
    let program = words.next().ok_or_else(|| std::io::Error::other("usage: lab-as-root PROGRAM ARGUMENT…"))?;
    Err(Command::new(program).args(words).exec())
}

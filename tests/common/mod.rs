//! What tests need that make network namespaces.

use std::env;
use std::process::Command;

use oxtables::kernel::netns::Namespace;

/// Runs a test in a network namespace of its own, where more can be made: here if this process may, else once more, alone, inside
/// `oxtables sandbox`. Never in the machine's own network: a rule of a test would be a rule of the machine.
///
/// `name` is the test's own name. Panics with the sandbox's words if there can be no user namespace: such a test must not pass.
pub fn with_namespaces(name: &str, test: impl FnOnce() + Send) {
    if let Ok(namespace) = Namespace::new() {
        return namespace.run(test).expect("a new namespace can be entered");
    }
    let this = env::current_exe().expect("a test knows its own file");
    let output = Command::new(env!("CARGO_BIN_EXE_oxtables"))
        .args(["sandbox", "--"])
        .arg(this)
        .args(["--exact", name, "--nocapture"])
        .output()
        .expect("oxtables was built for this test");
    assert!(
        output.status.success(),
        "{name} failed as an ordinary user in a user namespace:\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

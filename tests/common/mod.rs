//! What tests need that make network namespaces.

use std::env;
use std::process::Command;

use oxtables::kernel::netns::Namespace;

/// Runs a test where namespaces can be made: here if this process may, else once more, alone, inside `oxtables sandbox`.
///
/// `name` is the test's own name. Panics with the sandbox's words if there can be no user namespace: such a test must not pass.
pub fn with_namespaces(name: &str, test: impl FnOnce()) {
    if env::var_os("OXTABLES_SANDBOX").is_some() || Namespace::new().is_ok() {
        return test();
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

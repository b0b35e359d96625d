//! The names under which oxtables can be called without being what is meant: it says so and does nothing.

use std::os::unix::process::CommandExt;
use std::process::Command;

#[test]
fn arptables_and_ebtables_are_not_provided() {
    for name in
        ["arptables", "arptables-nft", "arptables-save", "arptables-nft-restore", "ebtables", "ebtables-nft-save"]
    {
        for by_name in [true, false] {
            let mut command = Command::new(env!("CARGO_BIN_EXE_oxtables"));
            if by_name {
                command.arg0(format!("/usr/sbin/{name}"));
            } else {
                command.arg(name);
            }
            let output = command.args(["-A", "INPUT", "-j", "ACCEPT"]).output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{name}");
            assert!(output.stdout.is_empty());
            let said = String::from_utf8_lossy(&output.stderr);
            let family = if name.starts_with('a') { "arptables" } else { "ebtables" };
            assert!(said.starts_with(&format!("{name}: oxtables does not provide {family}")), "{said}");
            assert_eq!(said.lines().count(), 1);
        }
    }
}

//! Links the program without shared libraries where the C library allows it.
//!
//! A firewall tool is started thousands of times by scripts; loading libc and libgcc_s is a third of the time of one `iptables -A`. rustc
//! offers `+crt-static` for a whole build only, which forbids procedural macros, so the linker is told here, for the program alone: the
//! names under which rustc asks for the shared libraries lead to their static archives. `OXTABLES_LINK=dynamic` leaves all that out.

use std::path::Path;
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=OXTABLES_LINK");
    println!("cargo::rustc-check-cfg=cfg(static_glibc)");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|v| v == value);
    if !is("CARGO_CFG_TARGET_OS", "linux") || !is("CARGO_CFG_TARGET_ENV", "gnu") || is("OXTABLES_LINK", "dynamic") {
        return;
    }
    // Cross-compilation and hosts without the static archives (glibc-static, libc6-dev) keep the shared libraries.
    if env::var("HOST") != env::var("TARGET") || !["libc.a", "libgcc_eh.a"].into_iter().all(has_archive) {
        return;
    }
    let Ok(out) = env::var("OUT_DIR") else { return };
    let names = [
        ("libgcc_s.so", "INPUT(-l:libgcc_eh.a -l:libgcc.a)"),
        ("libc.so", "INPUT(-l:libc.a)"),
        ("libm.so", "INPUT(-l:libm.a)"),
    ];
    for (name, script) in names {
        if fs::write(Path::new(&out).join(name), script).is_err() {
            return;
        }
    }
    println!("cargo::rustc-link-arg-bins=-L{out}");
    println!("cargo::rustc-link-arg-bins=-static-pie");
    // Name services: see src/kernel/nss.rs.
    println!("cargo::rustc-cfg=static_glibc");
}

/// Whether the C compiler finds a static archive: it prints a path then, else the bare name.
fn has_archive(name: &str) -> bool {
    let Ok(found) = Command::new("cc").arg(format!("-print-file-name={name}")).output() else { return false };
    String::from_utf8_lossy(&found.stdout).trim().starts_with('/')
}

//! `oxtables enable` and `disable`: the saved rules are loaded at boot, before any interface is up.
//!
//! With systemd a unit ordered before network-pre.target (systemd.special(7)); where there is no systemd, a script for ifupdown
//! (interfaces(5), `if-pre-up.d`), whose failure keeps the interface down, and one for init (insserv(8), Debian Policy §9.3). Invariant: only
//! files with our mark in them are replaced or deleted.

use super::files::{Files, root};
use crate::cli::{Streams, exit};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// In each file that is written here.
const MARK: &str = "# Written by `oxtables enable`; `oxtables disable` takes it away.";

/// One file of the boot's.
struct Script {
    path: PathBuf,
    text: String,
    mode: u32,
    /// Links that lead to it.
    links: Vec<PathBuf>,
}

/// `oxtables enable`.
pub fn enable() -> u8 {
    let mut io = Streams::default();
    let code = match install(&root(), &program()) {
        Ok(paths) => {
            paths.iter().for_each(|path| writeln!(io.out, "{}", path.display()));
            reload();
            if !Files::of_host().any() {
                writeln!(io.err, "no rules are saved yet: `oxtables save` saves those that are in place");
            }
            exit::OK
        }
        Err(error) => {
            writeln!(io.err, "oxtables enable: {error}");
            exit::OTHER
        }
    };
    io.flush();
    code
}

/// `oxtables disable`: the rules that are in place and those that are saved stay as they are.
pub fn disable() -> u8 {
    let mut io = Streams::default();
    let code = match remove(&root()) {
        Ok(paths) if paths.is_empty() => {
            writeln!(io.err, "oxtables disable: nothing was enabled");
            exit::OK
        }
        Ok(paths) => {
            paths.iter().for_each(|path| writeln!(io.out, "{} is gone", path.display()));
            reload();
            exit::OK
        }
        Err(error) => {
            writeln!(io.err, "oxtables disable: {error}");
            exit::OTHER
        }
    };
    io.flush();
    code
}

/// The program that boots are to call: this one, where it lies.
fn program() -> String {
    std::env::current_exe().map_or_else(|_| "/usr/sbin/oxtables".to_owned(), |path| path.display().to_string())
}

/// Tells systemd, if it runs, that units have changed.
fn reload() {
    if Path::new("/run/systemd/system").is_dir() {
        let _ = Command::new("systemctl").arg("daemon-reload").stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

/// All that a boot may need below a root, and whether it is there for this host's way of booting.
fn scripts(root: &Path, program: &str) -> Vec<(bool, Script)> {
    let systemd =
        ["run/systemd/system", "lib/systemd/systemd", "usr/lib/systemd/systemd"].iter().any(|p| root.join(p).exists());
    let unit = Script {
        path: root.join("etc/systemd/system/oxtables.service"),
        text: format!(
            "{MARK}\n[Unit]\nDescription=packet filter rules (oxtables)\nDefaultDependencies=no\n\
             Wants=network-pre.target\nBefore=network-pre.target shutdown.target\n\
             After=local-fs.target systemd-modules-load.service systemd-sysctl.service\nConflicts=shutdown.target\n\n\
             [Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart={program} load\nExecReload={program} load\n\n\
             [Install]\nWantedBy=multi-user.target\n"
        ),
        mode: 0o644,
        links: vec![root.join("etc/systemd/system/multi-user.target.wants/oxtables.service")],
    };
    let pre_up = Script {
        path: root.join("etc/network/if-pre-up.d/oxtables"),
        text: format!(
            "#!/bin/sh\n{MARK}\n# Once a boot, before the first interface; a failure keeps the interface down.\n\
             [ -e /run/oxtables/loaded ] && exit 0\n{program} load || exit 1\nmkdir -p /run/oxtables && : > /run/oxtables/loaded\n"
        ),
        mode: 0o755,
        links: Vec::new(),
    };
    let init = Script {
        path: root.join("etc/init.d/oxtables"),
        text: format!(
            "#!/bin/sh\n{MARK}\n### BEGIN INIT INFO\n# Provides:          oxtables\n# Required-Start:    mountkernfs $local_fs\n\
             # Required-Stop:     $local_fs\n# X-Start-Before:    $network\n# Default-Start:     S\n# Default-Stop:\n\
             # Short-Description: packet filter rules\n### END INIT INFO\n\
             case \"$1\" in\nstart|restart|reload|force-reload) exec {program} load ;;\nstop) exit 0 ;;\n\
             *) echo \"usage: $0 start|restart|reload|force-reload|stop\" >&2; exit 2 ;;\nesac\n"
        ),
        mode: 0o755,
        links: vec![root.join("etc/rcS.d/S03oxtables")],
    };
    vec![
        (systemd, unit),
        (!systemd && root.join("etc/network").is_dir(), pre_up),
        (!systemd && root.join("etc/init.d").is_dir(), init),
    ]
}

fn install(root: &Path, program: &str) -> Result<Vec<PathBuf>, String> {
    let mut done = Vec::new();
    for (_, script) in scripts(root, program).into_iter().filter(|(here, _)| *here) {
        write(&script).map_err(|error| format!("cannot write {}: {error}", script.path.display()))?;
        done.push(script.path);
        done.extend(script.links);
    }
    if done.is_empty() {
        return Err("this host boots neither with systemd nor with ifupdown or init scripts; call `oxtables load` before the network \
                    comes up"
            .to_owned());
    }
    Ok(done)
}

fn write(script: &Script) -> io::Result<()> {
    if script.path.exists() && !is_ours(&script.path) {
        return Err(io::Error::other("there is a file that `oxtables enable` has not written"));
    }
    for directory in script.links.iter().chain([&script.path]).filter_map(|path| path.parent()) {
        fs::create_dir_all(directory)?;
    }
    let directory = script.path.parent().unwrap_or(Path::new("/"));
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    io::Write::write_all(&mut file, script.text.as_bytes())?;
    file.as_file().set_permissions(Permissions::from_mode(script.mode))?;
    file.as_file().sync_all()?;
    file.persist(&script.path).map_err(|error| error.error)?;
    for link in &script.links {
        match fs::remove_file(link) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // As seen from the host itself.
        let name = script.path.file_name().unwrap_or_default();
        let directory = script.path.parent().and_then(Path::file_name).unwrap_or_default();
        let target = if link.parent().and_then(Path::parent) == script.path.parent() {
            Path::new("..").join(name)
        } else {
            Path::new("..").join(directory).join(name)
        };
        symlink(target, link)?;
    }
    Ok(())
}

fn is_ours(path: &Path) -> bool {
    fs::read_to_string(path).is_ok_and(|text| text.contains(MARK))
}

fn remove(root: &Path) -> Result<Vec<PathBuf>, String> {
    let mut gone = Vec::new();
    for (_, script) in scripts(root, "") {
        if !is_ours(&script.path) {
            continue;
        }
        for path in script.links.into_iter().chain([script.path]) {
            match fs::remove_file(&path) {
                Ok(()) => gone.push(path),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(format!("cannot remove {}: {error}", path.display())),
            }
        }
    }
    Ok(gone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_host_gets_its_own() {
        for (directories, paths) in [
            (&["run/systemd/system", "etc/init.d"][..], &["etc/systemd/system/oxtables.service"][..]),
            (
                &["etc/network", "etc/init.d"],
                &["etc/network/if-pre-up.d/oxtables", "etc/init.d/oxtables", "etc/rcS.d/S03oxtables"],
            ),
        ] {
            let root = tempfile::tempdir().unwrap();
            directories.iter().for_each(|d| fs::create_dir_all(root.path().join(d)).unwrap());
            for _ in 0..2 {
                install(root.path(), "/usr/sbin/oxtables").unwrap();
            }
            for path in paths {
                let text = fs::read_to_string(root.path().join(path)).unwrap();
                assert!(text.contains("/usr/sbin/oxtables load"), "{path}");
            }
            assert!(!remove(root.path()).unwrap().is_empty());
            assert!(remove(root.path()).unwrap().is_empty());
            assert!(paths.iter().all(|path| !root.path().join(path).exists()));
        }
        assert!(install(tempfile::tempdir().unwrap().path(), "x").is_err());
    }

    #[test]
    fn somebody_elses_file_is_left() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("etc/init.d")).unwrap();
        let path = root.path().join("etc/init.d/oxtables");
        fs::write(&path, "#!/bin/sh\n").unwrap();
        assert!(install(root.path(), "x").is_err());
        assert_eq!(remove(root.path()), Ok(Vec::new()));
        assert_eq!(fs::read_to_string(path).unwrap(), "#!/bin/sh\n");
    }
}

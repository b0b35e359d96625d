//! The saved files and their former versions.

use crate::types::Family;
use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// What iptables-persistent gives its files.
const MODE: u32 = 0o640;

/// How many former versions of a file are kept.
const VERSIONS: usize = 10;

/// Where the saved rules of a host are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    v4: PathBuf,
    v6: PathBuf,
    versions: PathBuf,
}

impl Files {
    /// Those of this host. `OXTABLES_ROOT` puts another directory in the place of `/`: for tests and images.
    pub fn of_host() -> Self {
        Self::below(&root())
    }

    /// Those of the host whose `/` is this directory.
    pub fn below(root: &Path) -> Self {
        let sysconfig = root.join("etc/sysconfig");
        let (v4, v6) = if sysconfig.join("iptables").exists() || sysconfig.join("ip6tables").exists() {
            (sysconfig.join("iptables"), sysconfig.join("ip6tables"))
        } else {
            (root.join("etc/iptables/rules.v4"), root.join("etc/iptables/rules.v6"))
        };
        Self { v4, v6, versions: root.join("var/lib/oxtables/versions") }
    }

    /// The file of a family.
    pub fn of(&self, family: Family) -> &Path {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }

    /// Whether any rules are saved.
    pub fn any(&self) -> bool {
        self.v4.exists() || self.v6.exists()
    }

    /// Puts new texts in the place of the saved ones: all are written and synced before the first is moved into its place. What was there is
    /// kept as a version, if it was something else.
    ///
    /// # Errors
    /// In words, with the file: nothing is changed then, unless the last of the moves fails, which is said too.
    pub fn replace(&self, texts: &[(Family, Vec<u8>)]) -> Result<(), String> {
        let at = |path: &Path, error: &io::Error| {
            format!("cannot save to {}: {error}; the saved rules are as they were", path.display())
        };
        let mut ready = Vec::new();
        for (family, text) in texts {
            let path = self.of(*family);
            ready.push((path, *family, written(path, text).map_err(|e| at(path, &e))?, text));
        }
        for (path, family, _, text) in &ready {
            let unlike = |old: &Vec<u8>| without_dates(old) != without_dates(text);
            if let Some(old) = fs::read(path).ok().filter(unlike) {
                self.keep(*family, path, &old).map_err(|e| at(&self.versions, &e))?;
            }
        }
        let mut moved: Option<&Path> = None;
        for (path, _, file, _) in ready {
            file.persist(path).map_err(|e| match moved {
                None => at(path, &e.error),
                Some(other) => format!("cannot save to {}: {}; {} is saved", path.display(), e.error, other.display()),
            })?;
            moved = Some(path);
            synced_directory(path)
                .map_err(|e| format!("{} is saved, but may not be on the disk yet: {e}", path.display()))?;
        }
        Ok(())
    }

    /// Keeps a former version under the time at which it was saved.
    fn keep(&self, family: Family, path: &Path, old: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.versions)?;
        fs::set_permissions(&self.versions, Permissions::from_mode(0o700))?;
        let saved = fs::metadata(path)?;
        let name = format!("{}.{:010}.{:09}", suffix(family), saved.mtime(), saved.mtime_nsec());
        let path = self.versions.join(name);
        written(&path, old)?.persist(&path)?;
        synced_directory(&path)?;
        let all = self.versions_of(family);
        for path in all.iter().take(all.len().saturating_sub(VERSIONS)) {
            fs::remove_file(path)?;
        }
        Ok(())
    }

    /// The former versions of a family's file, the oldest first.
    pub fn versions_of(&self, family: Family) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.versions).into_iter().flatten().flatten().map(|entry| entry.path());
        let ours = |path: &PathBuf| {
            path.file_name()
                .is_some_and(|name| name.as_encoded_bytes().starts_with(format!("{}.", suffix(family)).as_bytes()))
        };
        let mut all: Vec<PathBuf> = entries.filter(ours).collect();
        all.sort();
        all
    }
}

/// The directory that stands for `/`.
pub fn root() -> PathBuf {
    std::env::var_os("OXTABLES_ROOT").map_or_else(|| PathBuf::from("/"), PathBuf::from)
}

fn suffix(family: Family) -> &'static str {
    match family {
        Family::V4 => "v4",
        Family::V6 => "v6",
    }
}

/// A new file beside `path`, with this text in it and on the disk, and with the owner and mode of what is there.
fn written(path: &Path, text: &[u8]) -> io::Result<NamedTempFile> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(directory)?;
    let mut file = NamedTempFile::new_in(directory)?;
    file.write_all(text)?;
    let old = fs::metadata(path).ok();
    let mode = old.as_ref().map_or(MODE, |old| old.mode() & 0o777);
    if let Some(old) = &old {
        // Who may not give files away keeps it.
        let _ = std::os::unix::fs::fchown(file.as_file(), Some(old.uid()), Some(old.gid()));
    }
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    Ok(file)
}

fn synced_directory(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

/// A save without its comment lines, which say when it was made.
fn without_dates(text: &[u8]) -> Vec<&[u8]> {
    text.split(|b| *b == b'\n')
        .filter(|line| !line.starts_with(b"# Generated by") && !line.starts_with(b"# Completed on"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn a_host_with_sysconfig_keeps_its_files() {
        let root = directory();
        assert_eq!(Files::below(root.path()).of(Family::V6), root.path().join("etc/iptables/rules.v6"));
        fs::create_dir_all(root.path().join("etc/sysconfig")).unwrap();
        fs::write(root.path().join("etc/sysconfig/iptables"), "").unwrap();
        assert_eq!(Files::below(root.path()).of(Family::V6), root.path().join("etc/sysconfig/ip6tables"));
    }

    #[test]
    fn ten_versions_are_kept() {
        let root = directory();
        let files = Files::below(root.path());
        assert!(!files.any());
        for n in 0..13 {
            let text = format!("# Generated by iptables-save on {n}\n*filter\n# {}\nCOMMIT\n", n / 2 * 2);
            files.replace(&[(Family::V4, text.into_bytes())]).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        let versions = files.versions_of(Family::V4);
        assert_eq!(versions.len(), 6, "those that differ in their dates only are not kept");
        for n in 0..20 {
            files.replace(&[(Family::V4, format!("{n}").into_bytes())]).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        let versions = files.versions_of(Family::V4);
        let texts: Vec<String> = versions.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
        assert_eq!(texts, (9..19).map(|n| n.to_string()).collect::<Vec<_>>());
        assert_eq!(fs::metadata(files.of(Family::V4)).unwrap().mode() & 0o777, 0o640);
        assert_eq!(files.versions_of(Family::V6), Vec::<PathBuf>::new());
    }

    #[test]
    fn mode_of_the_old_file_stays() {
        let root = directory();
        let files = Files::below(root.path());
        files.replace(&[(Family::V6, b"a".to_vec())]).unwrap();
        fs::set_permissions(files.of(Family::V6), Permissions::from_mode(0o600)).unwrap();
        files.replace(&[(Family::V6, b"b".to_vec())]).unwrap();
        assert_eq!(fs::metadata(files.of(Family::V6)).unwrap().mode() & 0o777, 0o600);
    }
}

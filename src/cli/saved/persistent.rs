//! The name `netfilter-persistent`: Debian's verbs, configuration and plugins, with the exit codes that they ought to have.
//!
//! The plugins for iptables and ip6tables are ours: both families are saved and loaded together, nothing is truncated before it is written, and
//! a file that cannot be loaded is an error. Other packages' plugins (ipset-persistent's) are run before and after, by their names' order, as
//! run-parts(8) orders them. Source: netfilter-persistent(8); client contract, "netfilter-persistent".

use super::files::root;
use super::load::load_families;
use super::save_live;
use crate::cli::restore::{Input, Options, restore};
use crate::cli::rules_file::FAMILIES;
use crate::cli::show::existing_tables;
use crate::cli::{Program, Streams, exit};
use crate::kernel::Session;
use crate::kernel::names::SystemNames;
use crate::text::Context;
use crate::types::Family;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

/// The plugins that are ours here.
const OURS: [&str; 2] = ["15-ip4tables", "25-ip6tables"];

/// `/etc/default/netfilter-persistent`.
#[derive(Debug, Default, PartialEq, Eq)]
struct Configuration {
    flush_on_stop: bool,
    skip_save: Vec<Family>,
    noflush: Vec<Family>,
}

/// Runs the program with the words behind its name.
pub fn netfilter_persistent(words: &[OsString]) -> u8 {
    let mut io = Streams::default();
    let verb = words.first().map(|w| w.to_string_lossy().into_owned()).unwrap_or_default();
    let text = fs::read_to_string(root().join("etc/default/netfilter-persistent")).unwrap_or_default();
    let configuration = Configuration::read(&text);
    let code = match verb.as_str() {
        "start" | "save" | "flush" => run(&verb, &configuration, &mut io),
        "reload" | "restart" => run("start", &configuration, &mut io),
        "stop" if configuration.flush_on_stop => run("flush", &configuration, &mut io),
        "stop" => {
            writeln!(io.out, "Automatic flush disabled; use 'netfilter-persistent flush'");
            exit::OK
        }
        _ => {
            writeln!(io.err, "Usage: netfilter-persistent (start|stop|restart|reload|flush|save)");
            exit::OTHER
        }
    };
    io.flush();
    code
}

/// Ours and all other plugins; the first that fails gives the exit code, and the others are run all the same.
fn run(verb: &str, configuration: &Configuration, io: &mut Streams) -> u8 {
    let (mut code, mut done) = (exit::OK, false);
    let mut note = |failed: u8| {
        if code == exit::OK {
            code = failed;
        }
    };
    for plugin in plugins() {
        let name = plugin.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !done && name.as_str() >= OURS[0] {
            note(ours(verb, configuration, io));
            done = true;
        }
        if OURS.contains(&name.as_str()) {
            continue;
        }
        io.flush();
        *io = Streams::default();
        let status = Command::new(&plugin).arg(verb).status();
        match status {
            Ok(status) if status.success() => {}
            Ok(status) => {
                writeln!(io.err, "netfilter-persistent: {} {verb}: {status}", plugin.display());
                note(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(exit::OTHER));
            }
            Err(error) => {
                writeln!(io.err, "netfilter-persistent: cannot run {}: {error}", plugin.display());
                note(exit::OTHER);
            }
        }
    }
    if !done {
        note(ours(verb, configuration, io));
    }
    code
}

/// The plugins as run-parts(8) finds them: executable files whose names are letters, digits, `-` and `_`, in the order of their names.
fn plugins() -> Vec<PathBuf> {
    let directory = root().join("usr/share/netfilter-persistent/plugins.d");
    let mut all: Vec<PathBuf> = fs::read_dir(directory).into_iter().flatten().flatten().map(|e| e.path()).collect();
    all.retain(|path| {
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        let plain = name.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
        plain && fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    });
    all.sort();
    all
}

fn ours(verb: &str, configuration: &Configuration, io: &mut Streams) -> u8 {
    match verb {
        "save" => {
            let families: Vec<Family> =
                FAMILIES.into_iter().filter(|family| !configuration.skip_save.contains(family)).collect();
            match save_live(&families, false, &mut io.err) {
                Ok(true) => exit::OK,
                Ok(false) => exit::OTHER,
                Err(text) => {
                    writeln!(io.err, "netfilter-persistent: {text}");
                    exit::OTHER
                }
            }
        }
        "flush" => flush(io),
        _ => {
            let (adding, replacing): (Vec<_>, Vec<_>) =
                FAMILIES.into_iter().partition(|family| configuration.noflush.contains(family));
            let mut code = if replacing.is_empty() { exit::OK } else { load_families(&replacing, false, &mut io.err) };
            for family in adding {
                code = code.max(add(family, io));
            }
            code
        }
    }
}

/// Adds the saved rules to those that are there.
fn add(family: Family, io: &mut Streams) -> u8 {
    let files = super::Files::of_host();
    let Ok(text) = fs::read(files.of(family)) else {
        writeln!(io.err, "{family}: no rules are saved");
        return exit::OK;
    };
    restored(family, &text, true, io)
}

/// Takes all rules and chains away and lets everything through; the tables of each family in one transaction.
fn flush(io: &mut Streams) -> u8 {
    let mut code = exit::OK;
    for family in FAMILIES {
        let tables = Session::open().map_err(Into::into).and_then(|mut session| existing_tables(&mut session, family));
        match tables {
            Ok(tables) => {
                let text: Vec<u8> = tables.iter().flat_map(|table| [b"*", *table, b"\nCOMMIT\n"].concat()).collect();
                code = code.max(restored(family, &text, false, io));
            }
            Err(failure) => {
                failure.print(Program::of("netfilter-persistent"), None, &mut io.err);
                code = failure.exit();
            }
        }
    }
    code
}

fn restored(family: Family, text: &[u8], noflush: bool, io: &mut Streams) -> u8 {
    let names = SystemNames::default();
    let cx = Context { family, names: &names, restore: true, table: b"filter", verbose: false };
    let program = Program::of("netfilter-persistent");
    let options = Options { noflush, ..Options::default() };
    match restore(program, &cx, &options, Input::Text(text), io) {
        Ok(()) => exit::OK,
        Err(stopped) => {
            stopped.failure.print(program, stopped.reported, &mut io.err);
            stopped.failure.exit()
        }
    }
}

impl Configuration {
    /// Reads the shell assignments that the file has; other lines are passed over.
    fn read(text: &str) -> Self {
        let mut configuration = Self::default();
        for line in text.lines() {
            let Some((name, value)) = line.trim().split_once('=') else { continue };
            let value = value.trim_matches(['"', '\'']);
            let yes = value == "yes";
            match name {
                "FLUSH_ON_STOP" => configuration.flush_on_stop = value.parse().is_ok_and(|n: i32| n > 0),
                "IPTABLES_SKIP_SAVE" if yes => configuration.skip_save.push(Family::V4),
                "IP6TABLES_SKIP_SAVE" if yes => configuration.skip_save.push(Family::V6),
                "IPTABLES_RESTORE_NOFLUSH" if yes => configuration.noflush.push(Family::V4),
                "IP6TABLES_RESTORE_NOFLUSH" if yes => configuration.noflush.push(Family::V6),
                _ => {}
            }
        }
        configuration
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_file() {
        let text = "# comment\nFLUSH_ON_STOP=1\nIPTABLES_SKIP_SAVE=yes\n# IP6TABLES_SKIP_SAVE=yes\nIP6TABLES_RESTORE_NOFLUSH=\"yes\"\n";
        let expected = Configuration { flush_on_stop: true, skip_save: vec![Family::V4], noflush: vec![Family::V6] };
        assert_eq!(Configuration::read(text), expected);
        assert_eq!(Configuration::read(""), Configuration::default());
    }
}

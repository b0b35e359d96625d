//! The help texts.

use crate::ext::Spec;
use crate::types::{Family, Out};

/// The help of iptables and ip6tables, then that of the extensions named before `-h`.
pub fn iptables(program: &str, _family: Family, extensions: &[&'static Spec], out: &mut Out) {
    writeln!(out, "{program} v1.8.9\n\nUsage: {program} -[ACD] chain rule-specification [options]");
    for spec in extensions {
        writeln!(out, "\n{}: {}", spec.name, spec.summary);
    }
}

/// The help of iptables-restore and ip6tables-restore.
pub fn restore(program: &str, out: &mut Out) {
    writeln!(
        out,
        "Usage: {program} [-c] [-v] [-V] [-t] [-h] [-n] [-T table] [-M command] [-w [seconds]] [-W microseconds] [file]"
    );
}

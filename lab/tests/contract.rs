//! The contract with the programs that call iptables, beside stock: one test for each of its rows, and replays of what programs call.
//!
//! Every command's exit code, standard output, whole standard error and the kernel behind it must be equal, for both families.
//! `tests/contract.rs` of the root crate has the same rows without stock, with the texts that programs look for.

use lab::article;
use lab::compare::{Difference, Findings, What};
use lab::root::test_as_root;
use lab::side::Pair;

const AS_ROOT: &str = env!("CARGO_BIN_EXE_lab-as-root");

/// Runs a case file for both families.
fn same(test: &str, cases: &str) {
    test_as_root(test, AS_ROOT, || {
        let findings = Findings::of("rows");
        let mut pair = Pair::new().expect("namespaces");
        for calls in [false, true].into_iter().flat_map(|v6| article::read(cases, v6)) {
            pair.flush().expect("flush");
            findings.add(article::compare(&mut pair, &calls));
            findings.add(words(&mut pair, &calls));
        }
        findings.assert_none(false);
    });
}

/// The commands once more, for standard error to its last byte.
fn words(pair: &mut Pair, calls: &[lab::oracle::Call]) -> Vec<Difference> {
    pair.flush().expect("flush");
    let mut found = Vec::new();
    for call in calls {
        let (theirs, ours) = pair.run(call).expect("runs");
        if theirs.stderr != ours.stderr {
            let [theirs, ours] = [theirs, ours].map(|outcome| outcome.stderr.escape_ascii().to_string());
            found.push(Difference { what: What::Complaint, commands: vec![call.clone()], theirs, ours });
        }
    }
    found
}

macro_rules! rows {
    ($($name:ident $file:literal)*) => {
        $(#[test] fn $name() { same(stringify!($name), include_str!(concat!("../cases/contract/", $file, ".cases"))); })*
    };
}

rows! {
    row_version "rows/version"
    row_version_of_save_and_restore "rows/version-of-save-and-restore"
    row_names "rows/names"
    row_exit_codes "rows/exit-codes"
    row_error_texts "rows/error-texts"
    row_restore_errors "rows/restore-errors"
    row_silence_on_success "rows/silence"
    row_empty_namespace "rows/empty-namespace"
    row_list_rules "rows/list-rules"
    row_listing "rows/listing"
    row_waiting "rows/waiting"
    row_option_order_and_long_names "rows/option-order"
    row_restore_input "rows/restore-input"
    replay_calico "replays/calico"
    replay_go_iptables "replays/go-iptables"
    replay_istio "replays/istio"
    replay_kube_proxy "replays/kube-proxy"
    replay_linkerd "replays/linkerd"
    replay_shell_clients "replays/shell-clients"
    replay_tailscale "replays/tailscale"
}

//! Extensions that the running kernel does not have, and the warnings that stock prints of them.
//!
//! Stock asks the kernel for each extension when it loads it, before it reads its options. Here nothing is asked as long as nothing fails.

use super::failure::{Failure, warn_of_missing};
use crate::ext::{Action, Body};
use crate::kernel::{Refusal, Session, errno_text};
use crate::types::{Family, Out};

/// The xt extensions of a refused rule that the running kernel does not have: their names there.
pub(super) fn missing_extensions(
    session: &mut Session,
    family: Family,
    body: &Body,
    refusals: &[Refusal],
) -> Result<Vec<String>, Failure> {
    let mut missing = Vec::new();
    if !refusals.iter().any(|r| errno_text(r.errno) == "No such file or directory") {
        return Ok(missing);
    }
    // Stock takes QUEUE for a verdict until the kernel refuses it, and does not ask for it.
    for (name, revision, is_target) in extensions(body, family).into_iter().filter(|(name, ..)| *name != "QUEUE") {
        if !session.supports(name, revision, is_target, family)? {
            missing.push(name.to_owned());
        }
    }
    Ok(missing)
}

/// Says of each extension that a command has loaded, and that the kernel lacks, that it does, if the command failed before the kernel saw its
/// rule: stock asks as it loads them. `body` is the command's rule, if it could be read. Whoever may not ask is told nothing.
pub(super) fn warn_of_loaded(failure: &Failure, body: Option<&Body>, family: Family, err: &mut Out) {
    let loaded = match (failure, body) {
        (Failure::Usage(e), _) => e.loaded.clone(),
        (Failure::Object(_) | Failure::Version(_), Some(body)) => extensions(body, family),
        _ => return,
    };
    if loaded.is_empty() {
        return;
    }
    let Ok(mut session) = Session::open() else { return };
    for (name, revision, is_target) in loaded {
        if name != "QUEUE" && session.supports(name, revision, is_target, family) == Ok(false) {
            warn_of_missing(name, err);
        }
    }
}

/// The extensions of a rule: the name in the kernel, the revision, whether it is a target.
fn extensions(body: &Body, family: Family) -> Vec<(&'static str, u32, bool)> {
    let matches = body.matches.iter().map(|m| (m.spec().wire, m.revision(family), false));
    let target = match &body.action {
        Action::Target(target) => Some((target.spec().wire, target.revision(family), true)),
        _ => None,
    };
    matches.chain(target).collect()
}

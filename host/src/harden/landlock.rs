//! No files, no ports, no signals to others (`landlock(7)`).

use landlock::{ABI, Access, AccessFs, AccessNet, Ruleset, RulesetAttr, RulesetStatus, Scope};

use super::enforcement::{Held, Why};

/// The interface that all of this takes: scopes came with the sixth. What later ones add (such as rules for
/// how denials are logged) takes nothing more from a worker.
const WANTED: ABI = ABI::V6;

/// Denies this thread, and all that it makes, everything that Landlock can deny. Nothing is allowed: what a
/// worker needs is open already, or comes by a descriptor.
pub(super) fn restrict() -> Held {
    let restricted = Ruleset::default()
        .handle_access(AccessFs::from_all(WANTED))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(WANTED)))
        .and_then(|rules| rules.scope(Scope::from_all(WANTED)))
        .and_then(Ruleset::create)
        .and_then(landlock::RulesetCreated::restrict_self);
    match restricted.map(|status| status.ruleset) {
        Ok(RulesetStatus::FullyEnforced) => Held::ENFORCED,
        Ok(RulesetStatus::PartiallyEnforced) => Held::partial(Why::OldInterface),
        Ok(RulesetStatus::NotEnforced) | Err(_) => Held::unavailable(Why::Refused(why_not())),
    }
}

/// The error number with which the kernel refuses Landlock altogether.
fn why_not() -> i32 {
    let asked = crate::sys::probes::landlock_abi();
    asked
        .err()
        .and_then(|error| error.raw_os_error())
        .unwrap_or(libc::EPERM)
}

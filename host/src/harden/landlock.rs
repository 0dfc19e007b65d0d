//! No files but those that were granted, no ports, no signals to others (`landlock(7)`).

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, PathBeneath, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, make_bitflags,
};

use super::enforcement::{Held, Why};
use crate::folder::{FolderAccess, Grant, Grants};

/// The interface that all of this takes: scopes came with the sixth. What later ones add (such as rules for
/// how denials are logged) takes nothing more from a worker.
const WANTED: ABI = ABI::V6;

/// What may be done beneath a folder. No program is run from it, and no device, pipe or socket is made.
fn rights(access: FolderAccess) -> BitFlags<AccessFs> {
    let reading = make_bitflags!(AccessFs::{ReadFile | ReadDir});
    match access {
        FolderAccess::ReadOnly => reading,
        FolderAccess::ReadWrite => {
            reading
                | make_bitflags!(AccessFs::{
                    WriteFile | Truncate | MakeReg | MakeDir | MakeSym | RemoveFile | RemoveDir | Refer
                })
        }
    }
}

fn rule(grant: &Grant) -> Result<PathBeneath<std::os::fd::BorrowedFd<'_>>, RulesetError> {
    Ok(PathBeneath::new(grant.handle(), rights(grant.place.access)))
}

/// Denies this thread, and all that it makes, everything that Landlock can deny, but for what was granted beneath
/// folders. Nothing else is allowed: what a worker needs is open already, or comes by a descriptor.
pub(super) fn restrict(folders: &Grants) -> Held {
    let restricted = Ruleset::default()
        .handle_access(AccessFs::from_all(WANTED))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(WANTED)))
        .and_then(|rules| rules.scope(Scope::from_all(WANTED)))
        .and_then(Ruleset::create)
        .and_then(|rules| rules.add_rules(folders.as_slice().iter().map(rule)))
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

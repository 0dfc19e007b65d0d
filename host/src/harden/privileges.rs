//! Rights of the process as a whole: being traced, the powers of root, new rights.

use std::io;

use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

use super::Legibility;
use super::enforcement::{Held, Why};

/// Makes the process one that leaves no core and that others of the same user cannot trace or read
/// (`PR_SET_DUMPABLE`, see `prctl(2)` and the access checks of `ptrace(2)`).
pub(super) fn forbid_tracing(legibility: Legibility) -> Held {
    if legibility == Legibility::Open {
        return Held::unavailable(Why::Measured);
    }
    let forbidden = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    Held::from(&forbidden.map_err(io::Error::from))
}

/// Gives up all capabilities, and the way to get them back (`capabilities(7)`).
pub(super) fn drop_capabilities() -> Held {
    // The bounding set says what executing a program could give. Without CAP_SETPCAP it stays as it is, and
    // `no_new_privs` stands before it.
    for capability in CapabilitySet::all().iter() {
        let _ = remove_capability_from_bounding_set(capability);
    }
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    // Kernels before 4.3 have no ambient set.
    let _ = clear_ambient_capability_set();
    Held::from(&set_capabilities(None, none).map_err(io::Error::from))
}

/// No program that is executed gives more rights than there are (`PR_SET_NO_NEW_PRIVS`).
pub(super) fn forbid_new() -> Held {
    Held::from(&set_no_new_privs(true).map_err(io::Error::from))
}

//! Bounds that the kernel keeps (`setrlimit(2)`).

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

use super::enforcement::Held;
use crate::job::Limits;
use crate::units::ByteSize;

/// Descriptors that a process may have: the standard ones, those that come with a request to fork, and
/// those that are open while it sets itself up.
const DESCRIPTORS: u64 = 32;

/// Private memory that a worker needs beside what its jobs may take: the program's data, two stacks, the
/// allocator's arenas, the tables of the engine. Measured at 5 MiB; the rest is for what comes in bursts.
const OWN_NEED: ByteSize = ByteSize::from_mib(64);

fn exactly(most: u64) -> Rlimit {
    Rlimit {
        current: Some(most),
        maximum: Some(most),
    }
}

/// No core, no files that grow, few descriptors, and no more private memory than jobs may take.
///
/// The bound on memory is on data (`RLIMIT_DATA`) and not on addresses, of which the engine reserves
/// gigabytes that it never touches. It stands behind the engine's own limiter: a guest that grows its memory
/// is refused by that one first, and lives.
pub(super) fn limit(limits: &Limits) -> Held {
    let data = [
        limits.memory,
        limits.stack,
        limits.input,
        limits.output,
        limits.output,
        OWN_NEED,
    ]
    .iter()
    .fold(0, |sum: u64, size| sum.saturating_add(size.bytes()));
    let wanted = [
        (Resource::Core, 0),
        (Resource::Fsize, 0),
        (Resource::Nofile, DESCRIPTORS),
        (Resource::Data, data),
    ];
    let limited: io::Result<()> = wanted
        .into_iter()
        .try_for_each(|(resource, most)| Ok(setrlimit(resource, exactly(most))?));
    Held::from(&limited)
}

/// From now on no descriptor can be made.
pub(super) fn no_more_descriptors() -> io::Result<()> {
    Ok(setrlimit(Resource::Nofile, exactly(0))?)
}

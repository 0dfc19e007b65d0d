//! Bounds that the kernel keeps (`setrlimit(2)`).

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

use super::enforcement::Held;
use crate::folder::{FolderAccess, Grants};
use crate::job::Limits;
use crate::runtime::MOST_OPEN;
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
///
/// Who was granted a folder may have as many descriptors more as a job may open, and what is open for a moment. Who may
/// write in one is bound to the size of files that its host is bound to.
pub(super) fn limit(limits: &Limits, folders: &Grants) -> Held {
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
        (Resource::Nofile, DESCRIPTORS + of_files(folders)),
        (Resource::Data, data),
    ];
    let no_files = match folders.widest() {
        None | Some(FolderAccess::ReadOnly) => Some((Resource::Fsize, 0)),
        Some(FolderAccess::ReadWrite) => None,
    };
    let limited: io::Result<()> = wanted
        .into_iter()
        .chain(no_files)
        .try_for_each(|(resource, most)| Ok(setrlimit(resource, exactly(most))?));
    Held::from(&limited)
}

/// Descriptors that jobs may make: each granted folder is there itself, and once more for who lists it.
fn of_files(folders: &Grants) -> u64 {
    /// For a moment: the folders of two paths, and what is looked at before it is opened.
    const PASSING: usize = 4;
    match folders.as_slice().len() {
        0 => 0,
        granted => (2 * granted + MOST_OPEN + PASSING) as u64,
    }
}

/// From now on no descriptor can be made.
pub(super) fn no_more_descriptors() -> io::Result<()> {
    Ok(setrlimit(Resource::Nofile, exactly(0))?)
}

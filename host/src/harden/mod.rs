//! What a worker process gives up before it runs a guest, in order, and what of that really held.
//!
//! The sandbox of wasm is the first wall. Should a guest get out of it, it runs native code with whatever
//! rights its process has; so the process has next to none. Each [`Layer`] is tried, and what came of it is
//! a value ([`Enforcement`]) that travels to the host with the word that the worker is ready: nothing is
//! claimed that was not seen to hold.
//!
//! Everything but the filter of system calls is taken off by [`enter`], by the first thread, while it is
//! alone, and before the guest's code is loaded. The filter comes last ([`confine`]), when all is there that
//! wants a system call. A process that is forked into workers does both once, and its workers inherit them;
//! each of these then gives up what the server still needed ([`Seal`]).
//!
//! Where folders were granted, three layers are wider by that and no more: Landlock by rules for these folders, the
//! filter by the calls on files (those that change something only where something may be changed), the resources by a
//! number of descriptors, and by the size of files where they may be written to.

mod enforcement;
mod landlock;
mod privileges;
mod resources;
mod seccomp;
#[cfg(test)]
mod tests;

use std::io;

use crate::folder::{FolderAccess, Grants};
use crate::link::protocol::{Role, Setup};
use crate::options::Hardening;

pub use enforcement::{Enforcement, Layer, Standing};

use enforcement::{Held, Why};

/// Who may look at a worker process from outside, as far as it is up to that process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Legibility {
    /// Nobody without the right to trace everything.
    Closed,
    /// Whoever is the same user: the experiments measure its memory.
    Open,
}

/// Gives up what a worker does not need, but for system calls; of all files it keeps those in the folders that were
/// granted. `strays` is what came of closing descriptors that came by accident, which is done before there are others.
/// Called by the first thread, of `threads`.
pub(crate) fn enter(
    setup: &Setup,
    folders: &Grants,
    strays: &io::Result<()>,
    threads: usize,
) -> Enforcement {
    let mut enforcement = Enforcement::default();
    enforcement.note(Layer::Descriptors, strays.into());
    if setup.hardening == Hardening::Off {
        return enforcement;
    }
    enforcement.note(Layer::Tracing, privileges::forbid_tracing(setup.legibility));
    enforcement.note(Layer::Resources, resources::limit(&setup.limits, folders));
    let by_thread = [
        (Layer::Capabilities, privileges::drop_capabilities()),
        (Layer::NewPrivileges, privileges::forbid_new()),
        (Layer::Landlock, landlock::restrict(folders)),
    ];
    for (layer, held) in by_thread {
        // Threads that the program made before keep what they have.
        let held = match held.standing {
            Standing::Enforced if threads > 1 => Held::partial(Why::OtherThreads),
            _ => held,
        };
        enforcement.note(layer, held);
    }
    enforcement
}

/// Gives up all system calls but those that running a guest takes, in every thread of this process, and new
/// descriptors where nothing wants one any more: only who was granted a folder opens files.
pub(crate) fn confine(setup: &Setup, enforcement: &mut Enforcement) {
    if setup.hardening == Hardening::Off {
        return;
    }
    let opens_files = setup.reach().is_some();
    let is_done = setup.role != Role::ForkServer && !opens_files;
    if is_done && enforcement.holds(Layer::Resources) {
        let none = resources::no_more_descriptors();
        enforcement.note(Layer::Resources, Held::from(&none));
    }
    enforcement.note(
        Layer::SystemCalls,
        Held::from(&seccomp::confine(setup.role, setup.reach())),
    );
}

/// Why a worker does not start that cannot be hardened as required.
pub(crate) fn too_little(enforcement: &Enforcement) -> String {
    format!(
        "hardening is required, and not all of it holds here: {} (with `best-effort` it starts all the same)",
        enforcement.shortcomings()
    )
}

/// What a forked worker gives up that its server needed: new processes, and new descriptors where no folder was granted.
/// Made by the server, used by what it forks.
pub(crate) struct Seal {
    calls: Option<seccomp::Seal>,
    descriptors: bool,
}

impl Seal {
    /// For the workers of a server in which so much holds, and that may do so much with files.
    ///
    /// # Errors
    /// None where the server's own filter could be made.
    pub(crate) fn of(enforcement: &Enforcement, reach: Option<FolderAccess>) -> io::Result<Self> {
        let calls = enforcement
            .holds(Layer::SystemCalls)
            .then(seccomp::Seal::new);
        Ok(Self {
            calls: calls.transpose()?,
            descriptors: enforcement.holds(Layer::Resources) && reach.is_none(),
        })
    }

    /// Puts it on, in a new process.
    ///
    /// # Errors
    /// Where the server's filter holds, this one does too; only a lack of memory is in its way.
    pub(crate) fn put_on(self) -> io::Result<()> {
        if self.descriptors {
            resources::no_more_descriptors()?;
        }
        self.calls.map_or(Ok(()), seccomp::Seal::put_on)
    }
}

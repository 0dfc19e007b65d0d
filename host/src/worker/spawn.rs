//! The worker program is spawned, told what to be, and waited for: a worker, or a fork server.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use super::nursery::{self, Child};
use super::{Recipe, serve};
use crate::folder::Grant;
use crate::harden::{self, Enforcement};
use crate::job::Death;
use crate::link::pipe::Pipe;
use crate::link::protocol::{Birth, FromWorker, Role, Setup};
use crate::link::{Link, LinkError};
use crate::options::{Hardening, StartMethod, WaitPolicy};
use crate::region::Region;
use crate::sys::child::Exit;
use crate::sys::descriptors;

/// From spawning to READY. Loading a module takes milliseconds; ten seconds pass only where the
/// machine is in deep trouble.
pub(super) const START_PATIENCE: Duration = Duration::from_secs(10);

/// From hanging up to being reaped: the kernel is quick, unless memory is to be freed by gigabytes.
pub(super) const REAP_PATIENCE: Duration = Duration::from_secs(5);

const KILLED: i32 = 9;

/// Spawns the worker program, and gives the host's end of the socket that is its stdin.
pub(super) fn program(program: &Path, role: Role) -> Result<(Arc<Child>, UnixStream), Death> {
    let failed = |error: std::io::Error| Death::SpawnFailed(error.to_string());
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    let mut command = Command::new(program);
    command
        .env_clear()
        .env(serve::MARK, std::process::id().to_string())
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .current_dir("/")
        // A group of its own, so that Ctrl-C in the terminal reaches the host alone, which then
        // decides. Without `pre_exec` the standard library uses `posix_spawn`.
        .process_group(0);
    let child = nursery::spawn(command, role)
        .map_err(|error| Death::SpawnFailed(format!("{}: {error}", program.display())))?;
    Ok((child, ours))
}

/// Tells a process that was spawned what to be. With the artifact, the region if there is one, and the folders that
/// were granted, it gets these descriptors.
pub(super) fn tell(
    link: &mut Pipe,
    recipe: &Recipe,
    role: Role,
    ends: &[OwnedFd],
) -> Result<(), LinkError> {
    let mut sent = vec![recipe.artifact.image().as_fd()];
    let region = recipe.region.as_ref();
    sent.extend(region.map(Region::memory));
    sent.extend(recipe.folders.as_slice().iter().map(Grant::handle));
    sent.extend(ends.iter().map(AsFd::as_fd));
    descriptors::send(link.stream(), &sent)?;
    let setup = Setup {
        role,
        fingerprint: recipe.artifact.fingerprint().to_owned(),
        settings: recipe.artifact.settings(),
        limits: recipe.limits,
        instance: recipe.instance,
        world: recipe.world.clone(),
        drill: recipe.drill,
        region: region.map(Region::extent),
        folders: recipe.folders.places(),
        link: recipe.link,
        wait: match (recipe.start.method(), recipe.wait) {
            // Workers in a stock would keep as many CPUs busy, with nothing to do.
            (StartMethod::Spare, WaitPolicy::Spin) => WaitPolicy::Auto,
            (_, wait) => wait,
        },
        crowd: recipe.crowd,
        hardening: recipe.hardening,
        legibility: recipe.legibility,
    };
    setup.send(link)
}

/// Waits for the word that a process is ready.
pub(super) fn ready(link: &mut dyn Link) -> Result<(Birth, Option<Enforcement>), LinkError> {
    match FromWorker::decode(link.receive()?)? {
        FromWorker::Ready(birth, enforcement) => Ok((birth, enforcement)),
        FromWorker::Failed(why) => Err(LinkError::Garbled(why)),
        _ => Err(LinkError::Garbled(
            "it spoke before it was ready".to_owned(),
        )),
    }
}

/// What holds of the hardening, as a process says it that was spawned. One that says nothing of it, or less
/// than was required, is none of ours.
pub(super) fn acceptable(
    policy: Hardening,
    said: Option<Enforcement>,
) -> Result<Enforcement, LinkError> {
    let enforcement =
        said.ok_or_else(|| LinkError::Garbled("it said nothing of its hardening".to_owned()))?;
    match policy {
        Hardening::Required if !enforcement.is_as_required() => {
            Err(LinkError::Garbled(harden::too_little(&enforcement)))
        }
        Hardening::Off | Hardening::BestEffort | Hardening::Required => Ok(enforcement),
    }
}

/// Ends a process that never became ready, and says why, with its last words.
pub(super) fn stillborn(child: &Child, error: &LinkError) -> Death {
    child.kill();
    let exit = child.wait(REAP_PATIENCE);
    let mut why = match (error, exit) {
        (LinkError::Closed, Some(Exit::Code(code))) => format!("it exited with code {code}"),
        (LinkError::Closed, Some(Exit::Signal(signal))) if signal != KILLED => {
            format!("it was killed by signal {signal}")
        }
        (LinkError::Closed, Some(Exit::OutOfMemory)) => "the system had no memory left".to_owned(),
        (LinkError::TimedOut, _) => {
            format!("it was not ready within {} s", START_PATIENCE.as_secs())
        }
        (error, _) => error.to_string(),
    };
    let words = child.last_words();
    if !words.is_empty() {
        why = format!("{why}; it said: {words}");
    }
    Death::SpawnFailed(why)
}

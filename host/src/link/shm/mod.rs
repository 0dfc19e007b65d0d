//! Frames through memory that host and worker share: no system call while both are busy, and one copy
//! each way.
//!
//! There is one memfd for each direction, and each side writes to its own alone:
//!
//! ```text
//! control page: tail, head, waiting │ ring 64 KiB │ zone for payloads │ zone for talk
//! ```
//! [`ring`](super::ring) is the arithmetic of the ring and says where a body lies, [`signal`](super::signal)
//! how one side wakes the other. Sizes follow from the limits, which both sides know; the memory is sparse,
//! so that what is not used costs nothing.
//!
//! What the other side says is doubted: its words are read once and checked against what this side knows
//! itself, its bytes are copied before they are looked at, and the first contradiction ends the link.

mod end;

#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::process::getppid;

use super::ring::{Bounds, Zone};
use super::signal::Word;
use crate::job::{Job, Limits};
use crate::sys::futex::Life;
use crate::sys::shm::{self, Mapping, OwnMapping};
use crate::wait::Patience;

pub(crate) use end::End;
use end::{Sides, Watch};

/// How much memory each direction has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    to_worker: Layout,
    to_host: Layout,
}

impl Geometry {
    /// What jobs under these limits need.
    pub(crate) fn of(limits: &Limits) -> Self {
        // A frame's length has 32 bits; more than that never comes.
        let zone = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX);
        let output = limits.output.bytes();
        let layout = |zones| {
            Layout(Bounds {
                capacity: RING,
                zones,
            })
        };
        Self {
            to_worker: layout([zone(limits.input.bytes()), zone(Job::MAX_MESSAGE.bytes())]),
            to_host: layout([zone(output), zone(output.max(LEAST_TALK))]),
        }
    }
}

/// Many small messages, and few enough pages that they stay in a cache.
const RING: u32 = 64 << 10;

/// What a worker says of itself, such as the message of a panic, fits whatever the guest's limits are.
const LEAST_TALK: u64 = 64 << 10;

const PAGE: usize = 4 << 10;

/// Words of different purpose do not share what a CPU fetches at once: two cache lines.
const WORD_SPACING: usize = 128;

/// Where the parts of one direction's memory lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout(Bounds);

impl Layout {
    const RING: usize = PAGE;

    const fn word(word: Word) -> usize {
        word as usize * WORD_SPACING
    }

    fn zone(&self, zone: Zone) -> usize {
        let ring = Self::RING + self.0.capacity as usize;
        let before = Zone::ALL.into_iter().take(zone as usize);
        ring + before.map(|zone| self.room(zone)).sum::<usize>()
    }

    fn room(&self, zone: Zone) -> usize {
        (self.0.zones[zone as usize] as usize).next_multiple_of(PAGE)
    }

    fn length(&self) -> usize {
        self.zone(Zone::Talk) + self.room(Zone::Talk)
    }
}

/// The memory of a link whose worker may not have been born.
#[derive(Debug)]
pub(crate) struct Memory {
    geometry: Geometry,
    sides: Sides,
}

/// Makes the memory of a link: the host's half of it, and what the worker needs for the other one, in
/// the order in which [`attach`] takes it.
pub(crate) fn create(geometry: Geometry) -> io::Result<(Memory, [OwnedFd; 2])> {
    let (mine, ours) = shm::outgoing(geometry.to_worker.length())?;
    let (theirs, yours) = shm::incoming(geometry.to_host.length())?;
    // Its words are written without a further look.
    mine.back(0, PAGE)?;
    let sides = Sides::new(mine, theirs);
    Ok((Memory { geometry, sides }, [ours, yours]))
}

impl Memory {
    /// The host's end of the link to a worker: when the life of its process ends, so does every wait.
    pub(crate) fn end(self, patience: Patience, life: Arc<Life>) -> End {
        let Geometry { to_worker, to_host } = self.geometry;
        End::new(
            self.sides,
            to_worker,
            to_host,
            patience,
            Watch::Worker(life),
        )
    }
}

/// The worker's end of a link that its host made. It ends with the process that is the parent now.
pub(crate) fn attach(
    [theirs, mine]: [OwnedFd; 2],
    geometry: Geometry,
    patience: Patience,
) -> io::Result<End> {
    let Geometry { to_worker, to_host } = geometry;
    let theirs = Mapping::of(theirs, to_worker.length())?;
    let mine = OwnMapping::of(mine, to_host.length())?;
    mine.back(0, PAGE)?;
    let sides = Sides::new(mine, theirs);
    let watch = Watch::Host { parent: getppid() };
    Ok(End::new(sides, to_host, to_worker, patience, watch))
}

//! What this process holds of the system, and whether it has grown.

use std::fmt;
use std::fs;
use std::time::Duration;

use cofferdam_benches::Failure;
use cofferdam_benches::arms::until;
use cofferdam_benches::proc::{Child, State, children, memory};

/// By so much the host's resident memory may have grown: 16 MiB. A place for an instance keeps up to 4 MiB of what a job
/// wrote there, and each of some places may come to do so at any time; the allocator's arenas fill up as well. A leak
/// of 32 bytes a job passes it in an hour of a soak.
const GROWTH: f64 = 16_777_216.0;

/// So many looks without a change are quiet: 20 ms lie between two, and making a spare worker takes less.
const QUIET_LOOKS: u32 = 10;

/// What this process holds of the system.
#[derive(Clone, Copy)]
pub(crate) struct Footprint {
    descriptors: usize,
    maps: usize,
    children: usize,
    zombies: usize,
    resident: f64,
}

impl Footprint {
    /// When nothing has come or gone for a while: the last worker may still be reaped, and the next spare
    /// one made.
    pub(crate) fn settled() -> Result<Self, Failure> {
        let mut same = 0;
        let mut last = Self::now()?;
        until("processes or descriptors come and go without end", || {
            std::thread::sleep(Duration::from_millis(20));
            let now = Self::now()?;
            same = if now.held() == last.held() {
                same + 1
            } else {
                0
            };
            last = now;
            Ok((same >= QUIET_LOOKS).then_some(()))
        })?;
        trim();
        Self::now()
    }

    fn held(&self) -> [usize; 3] {
        [self.zombies, self.children, self.descriptors]
    }

    fn now() -> Result<Self, Failure> {
        let family = children()?;
        let is_zombie = |child: &&Child| child.state == State::Zombie;
        Ok(Self {
            descriptors: fs::read_dir("/proc/self/fd")?.count(),
            maps: fs::read_to_string("/proc/self/maps")?.lines().count(),
            children: family.len(),
            zombies: family.iter().filter(is_zombie).count(),
            resident: own_resident()?,
        })
    }

    /// # Errors
    /// What has grown since then.
    pub(crate) fn check(&self, after: &Self) -> Result<(), String> {
        let grown = |what: &str, before: usize, after: usize, slack: usize| {
            if after > before + slack {
                return Err(format!("{what} grew from {before} to {after}"));
            }
            Ok(())
        };
        grown("descriptors", self.descriptors, after.descriptors, 0)?;
        // The allocator may map another arena at any time.
        grown("maps", self.maps, after.maps, 4)?;
        grown("children", self.children, after.children, 0)?;
        grown("zombies", 0, after.zombies, 0)?;
        if after.resident > self.resident + GROWTH {
            return Err(format!(
                "resident memory grew from {:.0} to {:.0} KiB",
                self.resident / 1024.0,
                after.resident / 1024.0
            ));
        }
        Ok(())
    }
}

impl fmt::Display for Footprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} descriptors, {} maps, {} children, {} zombies, {:.0} KiB of its own resident",
            self.descriptors,
            self.maps,
            self.children,
            self.zombies,
            self.resident / 1024.0
        )
    }
}

/// Resident memory but for what is shared: pages of the links to the workers that live now. Those are bounded by the
/// limits, come and go with the workers, and are many after a job that said as much as it may.
fn own_resident() -> Result<f64, Failure> {
    let status = fs::read_to_string("/proc/self/status")?;
    let shared = status
        .lines()
        .find_map(|line| line.strip_prefix("RssShmem:"));
    let kib = shared.and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    let kib = kib.ok_or("/proc/self/status does not say how much of the memory is shared")?;
    Ok(memory(std::process::id())?.resident - kib * 1024.0)
}

/// Has the allocator give back what it keeps for the next time: some MiB for each of its arenas, now more
/// and now less, behind which a leak could hide.
#[expect(unsafe_code, reason = "no library wraps the call")]
fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it may be called at any time, and touches nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}

//! A clock that two processes read alike.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The system's monotonic clock (`CLOCK_MONOTONIC`): the time since some point before the machine's
/// last start, the same point for every process.
pub(crate) fn monotonic() -> Duration {
    let now = clock_gettime(ClockId::Monotonic);
    Duration::new(
        u64::try_from(now.tv_sec).unwrap_or_default(),
        u32::try_from(now.tv_nsec).unwrap_or_default(),
    )
}

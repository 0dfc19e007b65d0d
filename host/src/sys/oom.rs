//! Was it the kernel's out-of-memory killer? A process that it ends has the same signal as one that anybody
//! ends, and the wait status does not tell; the kernel's log does, where it may be read.

use std::fs;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

/// The kernel's count of its out-of-memory kills when somebody looked last.
static SEEN: AtomicU64 = AtomicU64::new(u64::MAX);

/// Remembers how many such kills there were, so that older ones are not taken for new ones.
pub(crate) fn begin() {
    SEEN.store(kills().unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// Whether a process that ended by `SIGKILL` was killed for want of memory. `false` too where the system does
/// not say: without a new kill in the kernel's count nobody looks, and the count alone names no process.
pub(crate) fn killed(pid: u32) -> bool {
    let Some(now) = kills() else {
        return false;
    };
    if SEEN.swap(now, Ordering::Relaxed) >= now {
        return false;
    }
    log().is_ok_and(|log| names(&log, pid))
}

/// `oom_kill` of `/proc/vmstat`: kills of the whole system, those in a memory cgroup included.
fn kills() -> Option<u64> {
    count(&fs::read_to_string("/proc/vmstat").ok()?)
}

fn count(vmstat: &str) -> Option<u64> {
    let line = vmstat
        .lines()
        .find_map(|line| line.strip_prefix("oom_kill "))?;
    line.trim().parse().ok()
}

/// Whether the kernel's log tells of the death of this process: `Out of memory: Killed process 42 (name)`, or
/// `Memory cgroup out of memory: …` (`mm/oom_kill.c`). Process numbers come again: the last line counts.
fn names(log: &str, pid: u32) -> bool {
    let of_it = format!("Killed process {pid} ");
    log.lines()
        .any(|line| line.contains("ut of memory: ") && line.contains(&of_it))
}

/// The kernel's log (`syslog(2)`).
#[expect(unsafe_code, reason = "rustix does not wrap this call")]
fn log() -> io::Result<String> {
    const SYSLOG_ACTION_READ_ALL: libc::c_int = 3;
    /// The end of the log is enough: the kill was a moment ago.
    const BYTES: usize = 64 << 10;
    let mut buffer = vec![0_u8; BYTES];
    let length = libc::c_int::try_from(BYTES).map_err(io::Error::other)?;
    // SAFETY: the kernel writes at most `length` bytes behind the pointer, which is what the buffer has.
    let read = unsafe { libc::klogctl(SYSLOG_ACTION_READ_ALL, buffer.as_mut_ptr().cast(), length) };
    let read = usize::try_from(read).map_err(|_| io::Error::last_os_error())?;
    buffer.truncate(read);
    Ok(String::from_utf8_lossy(&buffer).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_is_told_by_the_line_that_names_the_process() {
        let log = "\
<3>[  12.1] Out of memory: Killed process 4711 (cofferdam) total-vm:123kB, anon-rss:45kB
<3>[  12.2] Memory cgroup out of memory: Killed process 4712 (cofferdam) total-vm:123kB
<6>[  12.3] oom_reaper: reaped process 4713 (cofferdam), now anon-rss:0kB
<6>[  12.4] audit: Killed process 4714 (by hand)
";
        assert!(names(log, 4711));
        assert!(names(log, 4712));
        for other in [471, 4713, 4714, 12] {
            assert!(!names(log, other), "{other}");
        }
    }

    #[test]
    fn the_kernels_count_is_found_among_the_others() {
        assert_eq!(count("pgfault 12\noom_kill 3\noom_kill_other 4\n"), Some(3));
        assert_eq!(count("pgfault 12\n"), None);
    }

    #[test]
    fn without_a_new_kill_nobody_was_killed() {
        begin();
        assert!(!killed(std::process::id()));
    }
}

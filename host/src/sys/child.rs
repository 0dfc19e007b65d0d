//! Processes as descriptors: a pidfd never points at a stranger who got the same number.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, getpgid, getppid, kill_process_group,
    pidfd_open, pidfd_send_signal, set_parent_process_death_signal, waitid,
};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// By the kernel, for want of memory.
    OutOfMemory,
}

/// Opens a child of this process that has not been reaped.
pub(crate) fn open(pid: u32) -> io::Result<OwnedFd> {
    let raw = i32::try_from(pid).map_err(io::Error::other)?;
    let pid = Pid::from_raw(raw).ok_or_else(|| io::Error::other("process 0 is no child"))?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

/// Ends a process at once. One that has already ended is no error.
pub(crate) fn kill(pidfd: impl AsFd) -> io::Result<()> {
    match pidfd_send_signal(pidfd, Signal::KILL) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Ends every process of a group, which is named by one that was not reaped yet. One that has ended is no error.
pub(crate) fn kill_group(leader: u32) {
    if let Some(leader) = i32::try_from(leader).ok().and_then(Pid::from_raw) {
        // Refused only where nobody of it is left.
        let _ = kill_process_group(leader, Signal::KILL);
    }
}

/// Whether a child has ended; it stays to be reaped.
pub(crate) fn has_ended(pidfd: impl AsFd) -> bool {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let status = rustix::io::retry_on_intr(|| waitid(WaitId::PidFd(pidfd.as_fd()), options));
    matches!(status, Ok(Some(_)))
}

/// Whether a process is a child of this one, ended or not.
pub(crate) fn is_ours(pidfd: impl AsFd) -> io::Result<bool> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    match rustix::io::retry_on_intr(|| waitid(WaitId::PidFd(pidfd.as_fd()), options)) {
        Ok(_) => Ok(true),
        Err(rustix::io::Errno::CHILD) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The children of the calling thread, as `proc_pid_task(5)` lists them.
pub(crate) fn of_this_thread() -> io::Result<Vec<u32>> {
    let this = rustix::thread::gettid().as_raw_nonzero();
    let list = fs::read_to_string(format!("/proc/self/task/{this}/children"))?;
    Ok(list
        .split_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect())
}

/// How many threads this process has.
pub(crate) fn threads() -> io::Result<usize> {
    Ok(fs::read_dir("/proc/self/task")?.count())
}

/// The process group of a process; `None` if it is gone.
pub(crate) fn group(pid: u32) -> Option<u32> {
    let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
    u32::try_from(getpgid(Some(pid)).ok()?.as_raw_nonzero().get()).ok()
}

/// Reaps a child if it has ended.
pub(crate) fn reap(pidfd: impl AsFd) -> io::Result<Option<Exit>> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let status = rustix::io::retry_on_intr(|| waitid(WaitId::PidFd(pidfd.as_fd()), options))?;
    Ok(status.map(
        |status| match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, Some(signal)) => Exit::Signal(signal),
            (None, None) => Exit::Code(-1),
        },
    ))
}

/// Whether a process is stopped (by `SIGSTOP`, or by a debugger), as `proc_pid_stat(5)` tells.
pub(crate) fn is_stopped(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    // The state follows the name, which stands in parentheses and may itself contain some.
    let state = stat
        .rsplit_once(") ")
        .and_then(|(_, rest)| rest.chars().next());
    matches!(state, Some('T' | 't'))
}

/// Whether a child is stopped (by `SIGSTOP` and its like) at this moment: one that was continued is not.
///
/// One that somebody else's debugger holds is not seen: the kernel tells that to the debugger alone.
/// [`is_stopped`] sees it, and takes twenty times as long.
pub(crate) fn stands_still(pidfd: impl AsFd) -> bool {
    // Left as it is for the next who asks.
    let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let status = rustix::io::retry_on_intr(|| waitid(WaitId::PidFd(pidfd.as_fd()), options));
    matches!(status, Ok(Some(status)) if status.stopped())
}

/// Asks the kernel to kill this process when the thread that spawned it ends.
///
/// # Errors
/// `NotFound` if the parent is gone already: the request came too late to be heard.
pub(crate) fn die_with(parent: u32) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let now = getppid().map_or(0, |pid| pid.as_raw_nonzero().get());
    if u32::try_from(now) == Ok(parent) {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::NotFound, "the host is gone"))
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::*;

    fn reaped(pidfd: &OwnedFd) -> Exit {
        let patience = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(exit) = reap(pidfd).unwrap() {
                return exit;
            }
            assert!(Instant::now() < patience, "the child does not end");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    #[expect(clippy::zombie_processes, reason = "it is reaped by its descriptor")]
    fn a_killed_child_is_told_from_one_that_exits() {
        let sleeper = Command::new("sleep").arg("60").spawn().unwrap();
        let pidfd = open(sleeper.id()).unwrap();
        assert_eq!(reap(&pidfd).unwrap(), None);
        kill(&pidfd).unwrap();
        assert_eq!(reaped(&pidfd), Exit::Signal(9));
        kill(&pidfd).unwrap();

        let failing = Command::new("sh").args(["-c", "exit 7"]).spawn().unwrap();
        assert_eq!(reaped(&open(failing.id()).unwrap()), Exit::Code(7));
    }

    fn told(pidfd: &OwnedFd, signal: Signal, stopped: bool) {
        pidfd_send_signal(pidfd, signal).unwrap();
        let patience = Instant::now() + Duration::from_secs(10);
        while stands_still(pidfd) != stopped {
            assert!(Instant::now() < patience, "{signal:?} has no effect");
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_process_that_runs_is_not_stopped() {
        assert!(!is_stopped(std::process::id()));
        assert!(!is_stopped(u32::MAX));
    }

    #[test]
    #[expect(clippy::zombie_processes, reason = "it is reaped by its descriptor")]
    fn a_stopped_child_is_told_from_one_that_runs_was_continued_or_has_ended() {
        let sleeper = Command::new("sleep").arg("60").spawn().unwrap();
        let pidfd = open(sleeper.id()).unwrap();
        assert!(!stands_still(&pidfd));
        for _ in 0..2 {
            told(&pidfd, Signal::STOP, true);
            assert!(stands_still(&pidfd), "the question changes nothing");
            assert_eq!(reap(&pidfd).unwrap(), None);
            told(&pidfd, Signal::CONT, false);
        }
        told(&pidfd, Signal::STOP, true);
        kill(&pidfd).unwrap();
        assert_eq!(reaped(&pidfd), Exit::Signal(9));
        assert!(!stands_still(&pidfd));
    }
}

//! Does the kernel have it? Calls that try one thing and leave nothing behind.
//!
//! Most of them are made with `libc`, since `rustix` does not wrap them.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr;

use rustix::io::Errno;
use rustix::thread::{UnshareFlags, unshare_unsafe};

/// What a system call of `libc` returned, as a result.
fn outcome(returned: libc::c_long) -> io::Result<libc::c_long> {
    if returned < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(returned)
    }
}

/// The version of Landlock's interface (`landlock_create_ruleset(2)`).
#[expect(unsafe_code, reason = "rustix does not wrap this call")]
pub(crate) fn landlock_abi() -> io::Result<i32> {
    /// `LANDLOCK_CREATE_RULESET_VERSION`, which asks for the version and makes no ruleset.
    const VERSION: libc::c_uint = 1;
    // SAFETY: with this flag the kernel reads no memory of ours: the attributes are null and their
    // size is zero, as the manual wants it.
    let returned = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            ptr::null::<libc::c_void>(),
            0_usize,
            VERSION,
        )
    };
    i32::try_from(outcome(returned)?).map_err(io::Error::other)
}

/// Whether a seccomp filter may kill its process (`seccomp(2)`, `SECCOMP_GET_ACTION_AVAIL`).
#[expect(unsafe_code, reason = "rustix does not wrap this call")]
pub(crate) fn seccomp_can_kill() -> io::Result<()> {
    let action: libc::c_uint = libc::SECCOMP_RET_KILL_PROCESS;
    // SAFETY: the kernel reads one `u32` behind the pointer, which is there for the whole call.
    let returned = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_GET_ACTION_AVAIL,
            0 as libc::c_uint,
            ptr::from_ref(&action),
        )
    };
    outcome(returned).map(drop)
}

/// Takes a memory protection key and gives it back (`pkey_alloc(2)`).
#[expect(unsafe_code, reason = "rustix does not wrap these calls")]
pub(crate) fn protection_key() -> io::Result<()> {
    // SAFETY: two numbers go in. The key that comes out restricts no page until one is given it.
    let key = outcome(unsafe { libc::syscall(libc::SYS_pkey_alloc, 0_usize, 0_usize) })?;
    // SAFETY: the key was allocated above, and no page has it.
    outcome(unsafe { libc::syscall(libc::SYS_pkey_free, key) }).map(drop)
}

/// The first version of the kernel's `struct perf_event_attr`; what later ones have more is zero.
#[repr(C)]
#[derive(Default)]
struct PerfEvent {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    breakpoint_type: u32,
    breakpoint_address: u64,
}

/// Opens a hardware counter of this thread's instructions, those of the kernel left out, and closes it
/// (`perf_event_open(2)`).
#[expect(unsafe_code, reason = "rustix does not wrap this call")]
pub(crate) fn hardware_counter() -> io::Result<()> {
    const HARDWARE: u32 = 0; // PERF_TYPE_HARDWARE
    const INSTRUCTIONS: u64 = 1; // PERF_COUNT_HW_INSTRUCTIONS
    const DISABLED: u64 = 1;
    const EXCLUDE_KERNEL: u64 = 1 << 5;
    const EXCLUDE_HYPERVISOR: u64 = 1 << 6;
    const CLOSE_ON_EXEC: libc::c_ulong = 8; // PERF_FLAG_FD_CLOEXEC
    let mut event = PerfEvent {
        kind: HARDWARE,
        size: 64,
        config: INSTRUCTIONS,
        flags: DISABLED | EXCLUDE_KERNEL | EXCLUDE_HYPERVISOR,
        ..PerfEvent::default()
    };
    let (this_thread, any_cpu, no_group): (libc::pid_t, libc::c_int, libc::c_int) = (0, -1, -1);
    // SAFETY: the kernel reads `size` bytes behind the pointer, which is what the structure has. If it
    // wants another size it writes that there; nobody else has the variable.
    let returned = unsafe {
        libc::syscall(
            libc::SYS_perf_event_open,
            ptr::from_mut(&mut event),
            this_thread,
            any_cpu,
            no_group,
            CLOSE_ON_EXEC,
        )
    };
    let raw = RawFd::try_from(outcome(returned)?).map_err(io::Error::other)?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows it.
    drop(unsafe { OwnedFd::from_raw_fd(raw) });
    Ok(())
}

/// Makes a user namespace, and in it the others, in a throw-away child of this process.
///
/// The child is a fork that never becomes another program: it makes the system calls, says how they
/// ended and exits. So nothing has to be installed, and nothing of this process changes.
#[expect(
    unsafe_code,
    reason = "only a fork can try this without leaving a trace"
)]
pub(crate) fn user_namespace(others: UnshareFlags) -> io::Result<()> {
    /// What the child says when all went well; it has to fail to be kept from `exec`.
    const WENT_WELL: Errno = Errno::CANCELED;
    let attempt = move || {
        // SAFETY: the flags share no descriptors and no memory anew, only namespaces.
        unsafe { unshare_unsafe(UnshareFlags::NEWUSER) }?;
        if !others.is_empty() {
            // SAFETY: as above; the callers are in this crate, and name namespaces.
            unsafe { unshare_unsafe(others) }?;
        }
        Err(WENT_WELL.into())
    };
    // A folder, which could not be executed even if it came to that.
    let mut command = Command::new("/");
    // SAFETY: between fork and exit the closure makes system calls and nothing else: it takes no lock
    // and allocates nothing, which another thread of this process might have left half done.
    unsafe { command.pre_exec(attempt) };
    match command.spawn() {
        Err(error) if error.raw_os_error() == Some(WENT_WELL.raw_os_error()) => Ok(()),
        Err(error) => Err(error),
        Ok(mut child) => {
            child.kill()?;
            child.wait()?;
            Err(io::Error::other("the trial child ran on"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_layout_is_that_of_the_kernel() {
        assert_eq!(size_of::<PerfEvent>(), 64);
        assert_eq!(std::mem::offset_of!(PerfEvent, flags), 40);
    }

    #[test]
    fn a_kernel_without_it_says_so_by_an_error() {
        // Whatever this machine has: an answer, and no crash.
        if let Ok(abi) = landlock_abi() {
            assert!(abi >= 1, "{abi}");
        }
        for answer in [seccomp_can_kill(), protection_key(), hardware_counter()] {
            if let Err(error) = answer {
                assert!(error.raw_os_error().is_some(), "{error}");
            }
        }
    }

    #[test]
    fn a_trial_of_namespaces_changes_nothing_here() {
        let namespace = || std::fs::read_link("/proc/self/ns/user").unwrap();
        let before = namespace();
        if let Err(error) = user_namespace(UnshareFlags::NEWNET) {
            assert!(error.raw_os_error().is_some(), "{error}");
        }
        assert_eq!(namespace(), before);
    }
}

//! What a process does between its fork and the program that it executes.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::set_no_new_privs;

use super::{child, limits};

/// Has a command begin with bounds that it cannot lift: so many bytes of private memory, no core file, no rights by
/// executing, no descriptors of this process but its standard ones; and with its end tied to that of the thread that
/// spawns it.
#[expect(
    unsafe_code,
    reason = "the standard library cannot promise for what runs after a fork"
)]
pub(crate) fn bounded(command: &mut Command, data: u64) {
    let host = std::process::id();
    // A tighter bound that is there already holds, and nobody may raise it.
    let data = limits::data().map_or(data, |has| has.min(data));
    let exactly = |most| Rlimit {
        current: Some(most),
        maximum: Some(most),
    };
    let begin = move || -> io::Result<()> {
        child::die_with(host)?;
        set_no_new_privs(true)?;
        setrlimit(Resource::Core, exactly(0))?;
        setrlimit(Resource::Data, exactly(data))?;
        close_on_exec(3)
    };
    // SAFETY: after the fork of a process with threads, only what is async-signal-safe may run. `begin` makes bare
    // system calls through `rustix` and `libc`, and neither allocates nor locks: errors are made of error numbers and
    // of constants.
    unsafe { command.pre_exec(begin) };
}

/// Has every descriptor from `first` on closed when a program is executed (`close_range(2)`).
#[expect(
    unsafe_code,
    reason = "no library wraps `close_range(2)` with its flag"
)]
fn close_on_exec(first: u32) -> io::Result<()> {
    let flags = libc::CLOSE_RANGE_CLOEXEC.cast_signed();
    // SAFETY: it sets a flag of descriptors, and closes none.
    match unsafe { libc::close_range(first, u32::MAX, flags) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

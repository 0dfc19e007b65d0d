//! A fork whose child is not ours but our parent's.

use std::io;

/// Which of the two this is, after a fork.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The one that forked; the new process has this id.
    Forker(u32),
    /// The new process.
    New,
}

/// Forks this process. The new one is a child of *our parent* (`CLONE_PARENT`, see `clone(2)`): whoever
/// asked for it reaps it, hears of its real end, and loses nothing when the forker dies.
///
/// This is the bare system call: handlers of `pthread_atfork` do not run. Whoever calls this has made
/// sure that no handler matters, and that no other thread of this process was doing anything: what another
/// thread has locked stays locked in the new process for ever.
#[expect(unsafe_code, reason = "no library wraps a fork with CLONE_PARENT")]
pub(crate) fn sibling() -> io::Result<Side> {
    const FLAGS: libc::c_int = libc::CLONE_PARENT | libc::SIGCHLD;
    // SAFETY: without CLONE_VM this is a fork: the new process has a copy of all memory and goes on on a
    // copy of this very stack (the stack argument is null). No pointer is given to the kernel. The C
    // library keeps the thread's id in its own structure, where it is now that of the forker; it asks the
    // kernel anew wherever it signals the calling thread itself, and nothing here signals another one.
    let returned =
        unsafe { libc::syscall(libc::SYS_clone, FLAGS, 0_usize, 0_usize, 0_usize, 0_usize) };
    match returned {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(Side::New),
        pid => Ok(Side::Forker(u32::try_from(pid).map_err(io::Error::other)?)),
    }
}

/// Ends this process at once, without the handlers that its forker registered for its own end.
#[expect(
    unsafe_code,
    reason = "the standard library's exit runs handlers that are not ours"
)]
pub(crate) fn leave(code: i32) -> ! {
    // SAFETY: `_exit` may be called at any time; it does not return.
    unsafe { libc::_exit(code) }
}

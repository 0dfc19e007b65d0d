//! The allocator of the C library, as far as it has to be told something.

/// Has all threads of this process use one heap, that of the first thread.
///
/// The C library of GNU gives each further thread a heap of its own. Before it gives memory of such a heap
/// back it opens a file (`/proc/sys/vm/overcommit_memory`), which a hardened worker dies of. Besides, a worker
/// process has one thread that works, and a second heap is only more for a fork to copy.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "no library wraps `mallopt(3)`")]
pub(crate) fn keep_one() {
    // SAFETY: two numbers go in. That it is called while no other thread allocates is what the C library
    // wants; where it is called there is no other thread yet, or it sleeps.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}

/// Other C libraries need not be told.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn keep_one() {}

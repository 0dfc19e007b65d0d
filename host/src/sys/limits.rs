//! What the system lets this process have.

use std::io;
use std::sync::{Arc, OnceLock};

/// How many bytes of addresses this process may have (`ulimit -v`); `None` where that is not limited, or where
/// the system does not say.
pub(crate) fn address_space() -> Option<u64> {
    limit_of(libc::RLIMIT_AS)
}

/// A limit; `None` where there is none, or where the system does not say.
///
/// `rustix` takes it that the question cannot fail, and panics where a filter of system calls forbids it, as in
/// some containers.
#[expect(
    unsafe_code,
    reason = "no library wraps `getrlimit(2)` so that it may fail"
)]
fn limit_of(resource: libc::__rlimit_resource_t) -> Option<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: it writes to the one structure that it is given, which outlives the call.
    let answer = unsafe { libc::getrlimit(resource, &raw mut limit) };
    (answer == 0 && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
}

/// How many bytes of private memory this process may have (`ulimit -d`); `None` where that is not limited.
pub(crate) fn data() -> Option<u64> {
    limit_of(libc::RLIMIT_DATA)
}

/// Has a write past the largest size that a file may have (`ulimit -f`) end as an error, where it would end this
/// process: the system signals it beside. Nothing is changed where there is no such bound, or a second time.
///
/// # Errors
/// What the system says of a handler.
pub(crate) fn outlive_too_large_files() -> io::Result<()> {
    static DONE: OnceLock<()> = OnceLock::new();
    if limit_of(libc::RLIMIT_FSIZE).is_some() && DONE.get().is_none() {
        // Whether it happened nobody asks; that there is a handler is enough.
        signal_hook::flag::register(libc::SIGXFSZ, Arc::default())?;
        let _ = DONE.set(());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_the_system_tells_of_this_process() {
        let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
        let line = limits
            .lines()
            .find_map(|line| line.strip_prefix("Max address space"));
        let soft = line.unwrap().split_whitespace().next().unwrap();
        assert_eq!(address_space(), soft.parse().ok());
    }
}

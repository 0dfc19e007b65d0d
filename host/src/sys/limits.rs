//! What the system lets this process have.

/// How many bytes of addresses this process may have (`ulimit -v`); `None` where that is not limited, or where
/// the system does not say.
///
/// `rustix` takes it that the question cannot fail, and panics where a filter of system calls forbids it, as in
/// some containers.
#[expect(
    unsafe_code,
    reason = "no library wraps `getrlimit(2)` so that it may fail"
)]
pub(crate) fn address_space() -> Option<u64> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: it writes to the one structure that it is given, which outlives the call.
    let answer = unsafe { libc::getrlimit(libc::RLIMIT_AS, &raw mut limit) };
    (answer == 0 && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
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

//! Where the CPUs' time went: the first line of `/proc/stat` (`proc_stat(5)`).

use std::fs;

/// Time of all CPUs, in ticks of `1 / sysconf(_SC_CLK_TCK)` seconds, since the machine's start or
/// between two looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ticks {
    /// Of every kind: work, idleness, and what follows.
    all: u64,
    /// Idle while a disk was waited for.
    iowait: u64,
    /// Wanted, and given to others by the hypervisor.
    steal: u64,
}

impl Ticks {
    /// The ticks since the machine's start; `None` where the system does not tell.
    pub(crate) fn now() -> Option<Self> {
        Self::parse(&fs::read_to_string("/proc/stat").ok()?)
    }

    /// The text of `/proc/stat`. Kernels may add kinds at the end of the line; the two behind `steal`
    /// (guest time) are contained in others.
    fn parse(stat: &str) -> Option<Self> {
        let line = stat.lines().next()?.strip_prefix("cpu ")?;
        let numbers = line.split_whitespace().take(8).map(str::parse);
        let kinds: Vec<u64> = numbers.collect::<Result<_, _>>().ok()?;
        let &[_user, _nice, _system, _idle, iowait, _irq, _softirq, steal] = kinds.as_slice()
        else {
            return None;
        };
        Some(Self {
            all: kinds.iter().sum(),
            iowait,
            steal,
        })
    }

    /// What was added since an earlier look. Single kinds have been seen to step back (`iowait` may, as
    /// the manual says); then nothing was.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            all: self.all.saturating_sub(earlier.all),
            iowait: self.iowait.saturating_sub(earlier.iowait),
            steal: self.steal.saturating_sub(earlier.steal),
        }
    }

    /// The stolen share, from 0 to 1; `None` if no tick went by.
    pub(crate) fn steal(self) -> Option<f64> {
        self.share(self.steal)
    }

    /// The share spent idle while a disk was waited for, from 0 to 1; `None` if no tick went by.
    pub(crate) fn iowait(self) -> Option<f64> {
        self.share(self.iowait)
    }

    #[expect(clippy::cast_precision_loss, reason = "2^52 ticks are a million years")]
    fn share(self, kind: u64) -> Option<f64> {
        (self.all > 0).then(|| kind as f64 / self.all as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_that_of_all_cpus() {
        let stat = "cpu  10 0 10 60 5 0 5 10 7 7\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
        let ticks = Ticks::parse(stat).unwrap();
        assert_eq!(ticks.steal(), Some(0.1));
        assert_eq!(ticks.iowait(), Some(0.05));
    }

    #[test]
    fn two_looks_give_what_lies_between_them() {
        let look = |text| Ticks::parse(text).unwrap();
        let before = look("cpu  10 0 10 60 5 0 5 10");
        let after = look("cpu  20 0 10 140 5 0 5 20");
        let between = after.since(before);
        assert_eq!(between.steal(), Some(0.1));
        assert_eq!(between.iowait(), Some(0.0));
        assert_eq!(before.since(before).steal(), None);
        assert_eq!(before.since(after), Ticks::default());
    }

    #[test]
    fn other_texts_are_no_ticks() {
        for text in [
            "",
            "cpu0 1 2 3 4 5 6 7 8",
            "cpu  1 2 3 4",
            "cpu  1 2 3 4 5 6 7 x",
        ] {
            assert_eq!(Ticks::parse(text), None, "{text}");
        }
    }
}

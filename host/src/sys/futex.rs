//! Waiting on a word of memory (`futex(2)`), within one process or between two.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rustix::io::Errno;
use rustix::thread::ClockId;
use rustix::thread::futex::{self, Flags, Timespec, Wait, WaitFlags, WaitPtr, WaitvFlags};

use super::clock;

/// Why a wait on a word is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Woken {
    /// Somebody woke it, or the word had changed before, or nothing at all happened: look again.
    Perhaps,
    /// The time is up.
    TimedOut,
}

/// How long a wait may last where the kernel cannot wait for two words at once (before Linux 5.16): so
/// late at the most is the second one noticed.
const SHORT: Duration = Duration::from_millis(1);

/// Waits while the word, which other processes may map too, has the value that was seen.
pub(crate) fn wait(word: &AtomicU32, seen: u32, patience: Duration) -> Woken {
    let timeout = timespec(patience);
    judge(futex::wait(word, Flags::empty(), seen, Some(&timeout)))
}

/// Wakes everybody who waits for a word that other processes may map too.
pub(crate) fn wake(word: &AtomicU32) {
    // It fails for an address that is not mapped or not aligned, which a reference never is.
    let _ = futex::wake(word, Flags::empty(), EVERYBODY);
}

/// As many as there may be; the kernel takes it for a signed number.
const EVERYBODY: u32 = i32::MAX.unsigned_abs();

/// A word of this process that changes once: when that which it stands for has ended.
#[derive(Debug, Default)]
pub(crate) struct Life(AtomicU32);

const ENDED: u32 = 1;

impl Life {
    /// It has ended: everybody who waits is woken.
    pub(crate) fn end(&self) {
        self.0.store(ENDED, Ordering::Release);
        let _ = futex::wake(&self.0, Flags::PRIVATE, EVERYBODY);
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.0.load(Ordering::Acquire) == ENDED
    }

    /// The same as [`wait`], and over at once when the life ends.
    pub(crate) fn wait_beside(&self, word: &AtomicU32, seen: u32, patience: Duration) -> Woken {
        let entry = |word: &AtomicU32, value: u32, flags: WaitFlags| {
            let mut entry = Wait::new();
            entry.val = u64::from(value);
            entry.uaddr = WaitPtr::new(word.as_ptr().cast());
            entry.flags = WaitFlags::SIZE_U32 | flags;
            entry
        };
        let words = [
            entry(word, seen, WaitFlags::empty()),
            entry(&self.0, 0, WaitFlags::PRIVATE),
        ];
        // This call alone takes the moment, not the span.
        let until = timespec(clock::monotonic().saturating_add(patience));
        let woken = futex::waitv(
            &words,
            WaitvFlags::empty(),
            Some(&until),
            ClockId::Monotonic,
        );
        match woken {
            Err(Errno::NOSYS | Errno::PERM) => wait(word, seen, patience.min(SHORT)),
            woken => judge(woken.map(drop)),
        }
    }
}

/// The word had changed (`EAGAIN`) and a signal came (`EINTR`) are reasons to look again, as any other
/// answer is: whoever waits has to look anyway.
fn judge(woken: Result<(), Errno>) -> Woken {
    match woken {
        Err(Errno::TIMEDOUT) => Woken::TimedOut,
        _ => Woken::Perhaps,
    }
}

fn timespec(span: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: span.subsec_nanos().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn a_word_that_has_changed_is_not_waited_for() {
        let word = AtomicU32::new(7);
        assert_eq!(wait(&word, 6, LONG), Woken::Perhaps);
        assert_eq!(Life::default().wait_beside(&word, 6, LONG), Woken::Perhaps);
    }

    #[test]
    fn a_word_that_does_not_change_is_waited_for_in_vain() {
        let word = AtomicU32::new(7);
        let brief = Duration::from_millis(1);
        assert_eq!(wait(&word, 7, brief), Woken::TimedOut);
        assert_eq!(
            Life::default().wait_beside(&word, 7, brief),
            Woken::TimedOut
        );
    }

    #[test]
    fn a_change_wakes_whoever_waits() {
        let (word, life) = (AtomicU32::new(0), Life::default());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while word.load(Ordering::Acquire) == 0 {
                    life.wait_beside(&word, 0, LONG);
                }
            });
            scope.spawn(|| {
                while word.load(Ordering::Acquire) == 0 {
                    wait(&word, 0, LONG);
                }
            });
            word.store(1, Ordering::Release);
            wake(&word);
        });
    }

    #[test]
    fn the_end_of_a_life_wakes_whoever_waits_for_something_else() {
        let (word, life) = (AtomicU32::new(0), Life::default());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !life.has_ended() {
                    life.wait_beside(&word, 0, LONG);
                }
            });
            life.end();
        });
    }
}

//! How many workers are worth while for a batch of jobs that take next to no time.
//!
//! A worker process and the thread that drives it talk quickest when both look for each other's words all the
//! time: that takes two CPUs. A second such pair on the same two CPUs makes everybody sleep and be woken for
//! each job, which costs many times what an empty job does, and two workers then do less than one. So a slot
//! that is called to a batch while as many pairs work on it as there are CPUs for first sees how fast they go.
//! Where a job takes about as long as waking somebody, or longer, it takes part.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::options::WaitPolicy;

/// A job that is over before somebody could be woken and be back asleep: about the four switches that two pairs on
/// the CPUs of one cost each other for it.
const BRISK: Duration = Duration::from_micros(20);

/// How long a slot that is called first leaves the others alone. What it costs where they do need help.
const FIRST_DOZE: Duration = Duration::from_micros(50);

/// The longest that it does so at a time; it doubles until then. Whoever hands in something else meanwhile waits for
/// this at the most.
const LONGEST_DOZE: Duration = Duration::from_micros(400);

/// How many work, and at what pace.
#[derive(Debug)]
pub(super) struct Pace {
    /// As many as may work on brisk jobs.
    room: usize,
    working: AtomicUsize,
    /// Whether the last job was one, as far as is known.
    brisk: AtomicBool,
}

/// A place among those who work. Given back when it is dropped.
#[derive(Debug)]
pub(super) struct Seat(Arc<Pace>);

impl Pace {
    /// For workers that wait by this policy. Where they are `lent`, each is one of a pair.
    pub(super) fn new(policy: WaitPolicy, are_pairs: bool, cpus: usize) -> Self {
        let looks = match policy {
            WaitPolicy::Spin | WaitPolicy::Auto => true,
            // Of a pair that sleeps and wakes each other one works at a time.
            WaitPolicy::Park => false,
        };
        Self {
            room: match are_pairs && looks {
                true => (cpus / 2).max(1),
                false => usize::MAX,
            },
            working: AtomicUsize::new(0),
            brisk: AtomicBool::new(true),
        }
    }

    /// Takes a seat, if there is one, or if jobs are long.
    pub(super) fn sit(self: &Arc<Self>) -> Option<Seat> {
        let before = self.working.fetch_add(1, Ordering::Relaxed);
        // Given back at once if it was one too many.
        let seat = Seat(Arc::clone(self));
        (before < self.room || !self.brisk.load(Ordering::Relaxed)).then_some(seat)
    }

    /// Takes a seat, whether there is one or not.
    pub(super) fn squeeze_in(self: &Arc<Self>) -> Seat {
        self.working.fetch_add(1, Ordering::Relaxed);
        Seat(Arc::clone(self))
    }

    /// Takes notice of how long a job took.
    pub(super) fn note(&self, wall: Duration) {
        let brisk = wall < BRISK;
        // All of them read it; only a change is written.
        if self.brisk.load(Ordering::Relaxed) != brisk {
            self.brisk.store(brisk, Ordering::Relaxed);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.working.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What is seen of a batch: which it is, and how many of its jobs have been taken.
pub(super) type Progress = (usize, usize);

/// Leaves a batch to those who work on it for as long as they are faster than help would be. `doze` is given how long
/// to look away, and then tells what is to be seen; `None` if there is nothing to do, or something else.
pub(super) fn hold_back(mut seen: Progress, mut doze: impl FnMut(Duration) -> Option<Progress>) {
    let mut span = FIRST_DOZE;
    while let Some(now) = doze(span) {
        let (batch, taken) = seen;
        let jobs = now.1.saturating_sub(taken);
        if now.0 == batch && BRISK * u32::try_from(jobs).unwrap_or(u32::MAX) < span {
            return;
        }
        seen = now;
        span = (2 * span).min(LONGEST_DOZE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_pairs_work_on_brisk_jobs_as_there_are_two_cpus_for_each() {
        let pace = Arc::new(Pace::new(WaitPolicy::Auto, true, 4));
        let seats: Vec<Option<Seat>> = (0..3).map(|_| pace.sit()).collect();
        let taken: Vec<bool> = seats.iter().map(Option::is_some).collect();
        assert_eq!(taken, [true, true, false]);
        drop(seats);
        assert!(pace.sit().is_some());
        assert_eq!(pace.working.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn where_there_are_too_few_cpus_for_one_pair_one_works() {
        let pace = Arc::new(Pace::new(WaitPolicy::Spin, true, 1));
        let _one = pace.sit().unwrap();
        assert!(pace.sit().is_none());
    }

    #[test]
    fn whoever_parks_and_whoever_is_no_pair_has_a_seat() {
        for (policy, are_pairs) in [(WaitPolicy::Park, true), (WaitPolicy::Auto, false)] {
            let pace = Arc::new(Pace::new(policy, are_pairs, 1));
            let seats: Vec<Seat> = (0..100).filter_map(|_| pace.sit()).collect();
            assert_eq!(seats.len(), 100);
        }
    }

    #[test]
    fn where_jobs_are_long_everybody_has_a_seat() {
        let pace = Arc::new(Pace::new(WaitPolicy::Auto, true, 2));
        let _one = pace.sit().unwrap();
        pace.note(BRISK);
        let _two = pace.sit().unwrap();
        pace.note(BRISK / 2);
        assert!(pace.sit().is_none());
        let _three = pace.squeeze_in();
        assert_eq!(pace.working.load(Ordering::Relaxed), 3);
    }

    fn dozes(seen: Progress, sights: &[Option<Progress>]) -> Vec<Duration> {
        let mut sights = sights.iter();
        let mut spans = Vec::new();
        hold_back(seen, |span| {
            spans.push(span);
            *sights.next().expect("it is enough")
        });
        spans
    }

    const MICROS: fn(u64) -> Duration = Duration::from_micros;

    #[test]
    fn those_who_are_fast_are_left_alone_longer_and_longer() {
        let sights = [10, 100, 1000, 2000, 2100].map(|taken| Some((7, taken)));
        let spans = dozes((7, 0), &[&sights[..], &[None]].concat());
        assert_eq!(spans, [50, 100, 200, 400, 400, 400].map(MICROS));
    }

    #[test]
    fn those_who_are_slow_are_helped_at_once() {
        assert_eq!(dozes((7, 5), &[Some((7, 5))]), [MICROS(50)]);
        assert_eq!(dozes((7, 5), &[Some((7, 7))]), [MICROS(50)]);
        let slowing_down = [Some((7, 100)), Some((7, 104))];
        assert_eq!(dozes((7, 5), &slowing_down), [MICROS(50), MICROS(100)]);
    }

    #[test]
    fn of_another_batch_nothing_is_known_yet() {
        let sights = [Some((8, 1)), Some((8, 2))];
        assert_eq!(dozes((7, 90), &sights), [MICROS(50), MICROS(100)]);
    }
}

//! When a worker that does not start is tried again, and when no more. Pure: the clock is given.
//!
//! Only failed *starts* count. A worker that dies over a job has consumed that job (or one of its
//! retries), so such deaths are bounded by the work; a worker that dies before it was ready would be
//! spawned for ever.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How often and how fast a slot tries to start a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartPolicy {
    /// The pause after the first failed start; it doubles with each further one.
    pub first_pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
    /// So many failed starts within [`RestartPolicy::window`] close the slot.
    pub quarantine_after: usize,
    /// The span in which they are counted.
    pub window: Duration,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            first_pause: Duration::from_millis(50),
            longest_pause: Duration::from_secs(2),
            quarantine_after: 5,
            window: Duration::from_secs(10),
        }
    }
}

/// What to do after a failed start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    TryAgainAfter(Duration),
    Quarantine,
}

/// The failed starts of one slot since its last good one.
#[derive(Debug)]
pub(super) struct StartRecord {
    policy: RestartPolicy,
    failures: VecDeque<Instant>,
    /// What the failed starts themselves took.
    spent: Duration,
}

impl StartRecord {
    pub(super) fn new(policy: RestartPolicy) -> Self {
        Self {
            policy,
            failures: VecDeque::new(),
            spent: Duration::ZERO,
        }
    }

    pub(super) fn started(&mut self) {
        self.failures.clear();
        self.spent = Duration::ZERO;
    }

    /// Judges a start that `took` so long until it failed. That time counts for nothing: five that hang as
    /// long as they are let are as bad as five that fail at once, however long the window is.
    pub(super) fn failed(&mut self, now: Instant, took: Duration) -> Next {
        let window = self.policy.window;
        self.spent += took;
        let now = now.checked_sub(self.spent).unwrap_or(now);
        self.failures
            .retain(|&failure| now.saturating_duration_since(failure) < window);
        self.failures.push_back(now);
        let count = self.failures.len();
        if count >= self.policy.quarantine_after {
            return Next::Quarantine;
        }
        let doublings = u32::try_from(count - 1).unwrap_or(u32::MAX).min(20);
        let pause = self.policy.first_pause.saturating_mul(1 << doublings);
        Next::TryAgainAfter(pause.min(self.policy.longest_pause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn pauses_double_and_the_fifth_failure_is_the_last() {
        let mut record = StartRecord::new(RestartPolicy::default());
        let start = Instant::now();
        let answers: Vec<Next> = (0..5)
            .map(|n| record.failed(start + MS(100 * n), Duration::ZERO))
            .collect();
        let again = |millis| Next::TryAgainAfter(MS(millis));
        assert_eq!(
            answers,
            [
                again(50),
                again(100),
                again(200),
                again(400),
                Next::Quarantine
            ]
        );
    }

    #[test]
    fn a_good_start_forgives_all_failures() {
        let mut record = StartRecord::new(RestartPolicy::default());
        let start = Instant::now();
        for _ in 0..4 {
            record.failed(start, Duration::ZERO);
        }
        record.started();
        let next = record.failed(start, Duration::ZERO);
        assert_eq!(next, Next::TryAgainAfter(MS(50)));
    }

    #[test]
    fn failures_that_are_long_ago_do_not_count() {
        let mut record = StartRecord::new(RestartPolicy::default());
        let start = Instant::now();
        for n in 0..100 {
            let answer = record.failed(start + Duration::from_secs(11 * n), Duration::ZERO);
            assert_eq!(answer, Next::TryAgainAfter(MS(50)));
        }
    }

    #[test]
    fn starts_that_hang_for_longer_than_the_window_count_as_those_that_fail_at_once() {
        let mut record = StartRecord::new(RestartPolicy::default());
        let start = Instant::now();
        let hang = Duration::from_secs(60);
        let answers: Vec<Next> = (1..=5)
            .map(|n| record.failed(start + n * hang, hang))
            .collect();
        assert_eq!(answers[3], Next::TryAgainAfter(MS(400)));
        assert_eq!(answers[4], Next::Quarantine);
    }

    #[test]
    fn no_pause_is_longer_than_the_longest() {
        let policy = RestartPolicy {
            quarantine_after: 100,
            ..RestartPolicy::default()
        };
        let mut record = StartRecord::new(policy);
        let start = Instant::now();
        let pauses = (0..99).map(|n| record.failed(start + MS(n), Duration::ZERO));
        assert!(pauses.last() == Some(Next::TryAgainAfter(Duration::from_secs(2))));
    }
}

//! How much one trial does, given how long a job takes.

use serde::{Deserialize, Serialize};

use super::Budget;
use crate::options::Hardening;
use crate::runtime::InstancePolicy;

/// What all trials of a comparison have in common. Every arm does the same.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Effort {
    /// Seconds that a job takes in a thread, roughly.
    pub job: f64,
    /// Seconds from handing in a job in a thread until its reply is there, roughly.
    pub trip: f64,
    /// How much time there is.
    pub budget: Budget,
    /// The same in seconds, for all parts together.
    pub time: f64,
    /// CPUs that loads are sized by.
    pub cpus: usize,
    /// Bytes of linear memory that an instance has after a job; 0 where none ended well.
    pub linear_memory: u64,
    /// Bytes of memory that this machine could give when the measuring began.
    pub free_memory: u64,
    /// What the user wants of instances.
    pub instance: InstancePolicy,
    /// What worker processes give up.
    pub hardening: Hardening,
    /// Whether the guest does its jobs at all. What needs no job of it goes on without.
    pub works: bool,
}

impl Default for Effort {
    fn default() -> Self {
        Self {
            job: 0.001,
            trip: 0.001,
            budget: Budget::Default,
            time: 54.0,
            cpus: 2,
            linear_memory: 0,
            free_memory: 4 << 30,
            instance: InstancePolicy::Fresh,
            hardening: Hardening::default(),
            works: true,
        }
    }
}

impl Effort {
    /// How many pieces of so many seconds fit into a series' share of an arm's round.
    #[must_use]
    pub fn fit(&self, seconds: f64, least: usize, most: usize) -> usize {
        let share = self.budget.pick([0.05, 0.12, 0.4]);
        pieces(share, seconds).clamp(least, most)
    }

    /// How many jobs of the guest make a segment: a millisecond's worth. Where the neighbours of a
    /// virtual machine slow it down for some milliseconds and then let go, turns of ten milliseconds
    /// meet different machines: the ratio of two equal arms strayed by 6.5 % from round to round here,
    /// with turns of one millisecond by 2 %.
    #[must_use]
    pub fn jobs_in_a_row(&self) -> usize {
        pieces(0.001, self.job).clamp(1, 20)
    }

    /// Segments of so many jobs.
    #[must_use]
    pub fn segments(&self, jobs: usize) -> usize {
        #[expect(clippy::cast_precision_loss, reason = "a handful of jobs")]
        self.fit(self.job * jobs as f64, 1, 60)
    }

    /// Whether a job is so short that what the first one of a worker finds cold shows in it.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.job < 0.005
    }

    /// The policy that the user did not choose.
    #[must_use]
    pub fn other_instance(&self) -> InstancePolicy {
        match self.instance {
            InstancePolicy::Fresh => InstancePolicy::Reused,
            InstancePolicy::Reused => InstancePolicy::Fresh,
        }
    }
}

/// How many whole pieces of so many seconds there are in a span.
fn pieces(span: f64, seconds: f64) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and a float saturates"
    )]
    let pieces = (span / seconds.max(1e-9)) as usize;
    pieces
}

/// The name of a policy as a parameter of rows.
pub(super) fn policy_name(policy: InstancePolicy) -> &'static str {
    match policy {
        InstancePolicy::Fresh => "fresh",
        InstancePolicy::Reused => "reused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_job(job: f64) -> Effort {
        Effort {
            job,
            ..Effort::default()
        }
    }

    #[test]
    fn slow_jobs_are_run_a_few_times_and_quick_ones_often() {
        let slow = with_job(10.0);
        assert_eq!((slow.jobs_in_a_row(), slow.segments(1)), (1, 1));
        let quick = with_job(1e-7);
        assert_eq!((quick.jobs_in_a_row(), quick.segments(20)), (20, 60));
        let middle = with_job(0.04);
        assert_eq!((middle.jobs_in_a_row(), middle.segments(1)), (1, 3));
    }
}

//! Where a case is run.

use std::fmt;

use crate::guest::Guest;
use crate::options::Isolation;
use crate::runtime::InstancePolicy;

/// Where a guest's jobs are run, and on what instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where the worker lives.
    pub isolation: Isolation,
    /// What each job finds.
    pub instance: InstancePolicy,
}

impl Place {
    /// With a new instance for each job.
    pub(super) const fn fresh(isolation: Isolation) -> Self {
        Self {
            isolation,
            instance: InstancePolicy::Fresh,
        }
    }

    /// All that there are for this guest, the plainest first.
    pub(super) fn all(guest: &Guest) -> Vec<Self> {
        let may_be = |policy: &InstancePolicy| match policy {
            InstancePolicy::Fresh => true,
            InstancePolicy::Reused => guest.entry().may_be_reused(),
        };
        let policies: Vec<InstancePolicy> =
            InstancePolicy::ALL.into_iter().filter(may_be).collect();
        let isolations = Isolation::ALL.into_iter();
        isolations
            .flat_map(|isolation| {
                policies.iter().map(move |&instance| Self {
                    isolation,
                    instance,
                })
            })
            .collect()
    }

    /// The options of `cofferdam run` that mean it.
    pub(super) fn options(self) -> String {
        let instance = match self.instance {
            InstancePolicy::Fresh => "",
            InstancePolicy::Reused => " --instance reused",
        };
        format!("--isolation {}{instance}", self.isolation)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instance = match self.instance {
            InstancePolicy::Fresh => "fresh",
            InstancePolicy::Reused => "reused",
        };
        write!(f, "{}, {instance}", self.isolation)
    }
}

//! How a program ends that made a comparison.

use super::{Comparison, ContainmentRow};
use crate::Exit;

/// How a comparison ends that nobody stopped and whose bounds all hold: 1 where a trial failed, or where a
/// fault went otherwise than it must, since a build that goes on after that has not been told.
#[must_use]
pub fn ending(comparison: &Comparison) -> Exit {
    let as_expected = comparison
        .containment
        .iter()
        .all(ContainmentRow::as_expected);
    if comparison.failures.is_empty() && as_expected {
        Exit::Done
    } else {
        Exit::JobFailed
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::sample;
    use super::*;
    use crate::experiment::Fate;

    /// The sample, in which all went well.
    fn well() -> Comparison {
        let mut comparison = sample();
        comparison.failures.clear();
        for row in &mut comparison.containment {
            row.observed = row.expected;
        }
        assert!(!comparison.containment.is_empty());
        comparison
    }

    #[test]
    fn where_all_went_well_it_is_done() {
        assert_eq!(ending(&well()), Exit::Done);
    }

    #[test]
    fn a_failed_trial_is_no_success() {
        let mut comparison = well();
        comparison.failures = sample().failures;
        assert_eq!(ending(&comparison), Exit::JobFailed);
    }

    #[test]
    fn a_fault_that_went_otherwise_is_no_success() {
        let mut comparison = well();
        comparison.containment[0].expected = Fate::Contained;
        comparison.containment[0].observed = Fate::Spread;
        assert_eq!(ending(&comparison), Exit::JobFailed);
        // Milder than expected is not as expected either.
        comparison.containment[0].expected = Fate::HostDied;
        comparison.containment[0].observed = Fate::Contained;
        assert_eq!(ending(&comparison), Exit::JobFailed);
    }
}

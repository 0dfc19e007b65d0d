//! Who has been answered: each job once, none left out.

use std::collections::BTreeSet;

/// The numbers of a pool's jobs that were answered.
#[derive(Default)]
pub(crate) struct Roll {
    /// All below this were.
    complete: u64,
    /// And these.
    ahead: BTreeSet<u64>,
}

impl Roll {
    /// # Errors
    /// If the job was answered before.
    pub(crate) fn answered(&mut self, job: u64) -> Result<(), String> {
        if job < self.complete || !self.ahead.insert(job) {
            return Err(format!("job {job} was answered twice"));
        }
        while self.ahead.remove(&self.complete) {
            self.complete += 1;
        }
        Ok(())
    }

    /// How many were answered.
    ///
    /// # Errors
    /// The first that was not, if one that was handed in after it was.
    pub(crate) fn count(&self) -> Result<u64, String> {
        if self.ahead.is_empty() {
            return Ok(self.complete);
        }
        Err(format!("job {} was never answered", self.complete))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_in_any_order_are_counted() {
        let mut roll = Roll::default();
        for job in [2, 0, 1, 3] {
            roll.answered(job).unwrap();
        }
        assert_eq!(roll.count(), Ok(4));
    }

    #[test]
    fn a_job_that_is_answered_twice_is_noticed_early_and_late() {
        let mut roll = Roll::default();
        roll.answered(1).unwrap();
        assert!(roll.answered(1).is_err());
        roll.answered(0).unwrap();
        assert!(roll.answered(0).is_err());
    }

    #[test]
    fn a_job_that_is_missing_is_named() {
        let mut roll = Roll::default();
        roll.answered(0).unwrap();
        roll.answered(2).unwrap();
        assert_eq!(roll.count(), Err("job 1 was never answered".to_owned()));
    }
}

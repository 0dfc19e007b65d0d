//! What was found out about a goal, and whether it is met.

use cofferdam::stats::Interval;

use super::turns::{Column, Times};
use crate::Failure;

/// What a goal asks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// Not more than this.
    AtMost(f64),
    /// Not less than this.
    AtLeast(f64),
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Nothing: a ratio.
    Ratio,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
}

/// How a goal stands. The order is that of how much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// All of the interval is on the right side.
    Met,
    /// Something that it speaks of is not on this machine.
    NotMeasured,
    /// The interval contains the goal, or too few rounds were done for one that means something.
    Open,
    /// All of the interval is on the wrong side.
    Missed,
    /// Something broke.
    Failed,
}

/// What was measured, or why nothing was.
#[derive(Clone, Debug, PartialEq)]
pub enum Measured {
    /// A median and its interval.
    Interval(Interval),
    /// One number that stands for itself, such as the worst of all.
    Single(f64),
    /// What it takes is not here.
    Missing(String),
}

/// One thing that a goal asks.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// What is measured, in a few words.
    pub what: String,
    /// What is asked of it.
    pub bound: Bound,
    /// What it counts.
    pub unit: Unit,
    /// What it is.
    pub measured: Measured,
}

/// Below it nothing is decided: five rounds give 0.94, six are enough.
const LEAST_CONFIDENCE: f64 = 0.95;

impl Part {
    /// How this part stands.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let (low, high) = match &self.measured {
            Measured::Missing(_) => return Verdict::NotMeasured,
            Measured::Interval(interval) if interval.confidence < LEAST_CONFIDENCE => {
                return Verdict::Open;
            }
            Measured::Interval(interval) => (interval.low, interval.high),
            Measured::Single(value) => (*value, *value),
        };
        let (met, missed) = match self.bound {
            Bound::AtMost(most) => (high <= most, low > most),
            Bound::AtLeast(least) => (low >= least, high < least),
        };
        match (met, missed) {
            (true, _) => Verdict::Met,
            (_, true) => Verdict::Missed,
            (false, false) => Verdict::Open,
        }
    }

    /// How far it is from the goal: above 1 on the wrong side.
    fn strain(&self) -> f64 {
        let value = match &self.measured {
            Measured::Interval(interval) => interval.median,
            Measured::Single(value) => *value,
            Measured::Missing(_) => return 0.0,
        };
        match self.bound {
            Bound::AtMost(most) => value / most,
            Bound::AtLeast(least) => least / value,
        }
    }
}

/// What one arm took, for the table.
#[derive(Clone, Debug)]
pub struct ArmRow {
    /// The arm and its rounds.
    pub column: Column,
    /// What its numbers count.
    pub unit: Unit,
}

/// All that was found out about one goal.
#[derive(Clone, Debug, Default)]
pub struct Finding {
    /// What was asked.
    pub parts: Vec<Part>,
    /// What the arms took, the null arms among them.
    pub arms: Vec<ArmRow>,
    /// An arm over itself, for each run of arms by turns: the name of that arm, and the ratio.
    pub controls: Vec<(String, Interval)>,
    /// What one has to know to read the numbers.
    pub notes: Vec<String>,
}

impl Finding {
    /// The part that stands worst; of several the one that is farthest from its goal.
    #[must_use]
    pub fn worst(&self) -> Option<&Part> {
        let by_verdict = |a: &&Part, b: &&Part| {
            let verdicts = a.verdict().cmp(&b.verdict());
            verdicts.then(a.strain().total_cmp(&b.strain()))
        };
        self.parts.iter().max_by(by_verdict)
    }

    /// Adds a ratio of two arms.
    ///
    /// # Errors
    /// If there is no such arm.
    pub fn ratio(
        &mut self,
        times: &Times,
        (above, below): (&str, &str),
        bound: Bound,
    ) -> Result<(), Failure> {
        self.ratio_called(&format!("{above} / {below}"), times, (above, below), bound)
    }

    /// Adds a ratio of two arms whose names would be too long for a line.
    ///
    /// # Errors
    /// If there is no such arm.
    pub fn ratio_called(
        &mut self,
        what: &str,
        times: &Times,
        (above, below): (&str, &str),
        bound: Bound,
    ) -> Result<(), Failure> {
        self.parts.push(Part {
            what: what.to_owned(),
            bound,
            unit: Unit::Ratio,
            measured: Measured::Interval(times.ratio(above, below)?),
        });
        Ok(())
    }

    /// Adds the time of an arm.
    ///
    /// # Errors
    /// If there is no such arm.
    pub fn seconds(&mut self, times: &Times, arm: &str, bound: Bound) -> Result<(), Failure> {
        self.parts.push(Part {
            what: arm.to_owned(),
            bound,
            unit: Unit::Seconds,
            measured: Measured::Interval(times.seconds(arm)?),
        });
        Ok(())
    }

    /// Adds a part that could not be measured.
    pub fn missing(&mut self, what: impl Into<String>, bound: Bound, why: impl Into<String>) {
        self.parts.push(Part {
            what: what.into(),
            bound,
            unit: Unit::Ratio,
            measured: Measured::Missing(why.into()),
        });
    }

    /// Adds something that one has to know.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Takes over the arms' own numbers, when all parts have been read from them.
    ///
    /// # Errors
    /// If there were no rounds.
    pub fn arms(&mut self, times: Times) -> Result<(), Failure> {
        let control = times.control()?;
        let columns = times.into_columns();
        if let Some(first) = columns.first() {
            self.controls.push((first.name.clone(), control));
        }
        let row = |column| ArmRow {
            column,
            unit: Unit::Seconds,
        };
        self.arms.extend(columns.into_iter().map(row));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(bound: Bound, low: f64, high: f64) -> Part {
        Part {
            what: format!("{low} to {high}"),
            bound,
            unit: Unit::Ratio,
            measured: Measured::Interval(Interval {
                median: f64::midpoint(low, high),
                low,
                high,
                confidence: 0.95,
            }),
        }
    }

    fn of(parts: Vec<Part>) -> Finding {
        Finding {
            parts,
            ..Finding::default()
        }
    }

    #[test]
    fn a_goal_is_met_or_missed_only_by_a_whole_interval() {
        let most = |low, high| part(Bound::AtMost(2.0), low, high).verdict();
        assert_eq!(most(1.0, 2.0), Verdict::Met);
        assert_eq!(most(1.0, 2.1), Verdict::Open);
        assert_eq!(most(2.1, 3.0), Verdict::Missed);
        let least = |low, high| part(Bound::AtLeast(2.0), low, high).verdict();
        assert_eq!(least(2.0, 3.0), Verdict::Met);
        assert_eq!(least(1.9, 3.0), Verdict::Open);
        assert_eq!(least(1.0, 1.9), Verdict::Missed);
    }

    #[test]
    fn too_few_rounds_decide_nothing() {
        let mut few = part(Bound::AtMost(2.0), 1.0, 1.1);
        if let Measured::Interval(interval) = &mut few.measured {
            interval.confidence = 0.9375;
        }
        assert_eq!(few.verdict(), Verdict::Open);
    }

    #[test]
    fn the_worst_part_speaks_for_the_goal() {
        let mut finding = of(vec![
            part(Bound::AtMost(2.0), 1.0, 1.1),
            part(Bound::AtMost(2.0), 2.2, 2.3),
            part(Bound::AtLeast(50.0), 10.0, 11.0),
            part(Bound::AtMost(2.0), 1.9, 9.0),
        ]);
        assert_eq!(finding.worst().unwrap().what, "10 to 11");
        finding.parts.drain(1..3);
        assert_eq!(finding.worst().unwrap().verdict(), Verdict::Open);
    }

    #[test]
    fn a_goal_with_a_part_that_was_not_measured_is_not_met() {
        let mut finding = of(vec![part(Bound::AtMost(2.0), 1.0, 1.1)]);
        finding.missing("a peer", Bound::AtLeast(5.0), "it is not here");
        assert_eq!(finding.worst().unwrap().verdict(), Verdict::NotMeasured);
    }
}

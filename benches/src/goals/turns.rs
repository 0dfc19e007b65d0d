//! Any number of arms by turns, so that what happens to the machine happens to all of them.

use std::time::Duration;

use cofferdam::stats::{Interval, median, median_interval};

use crate::Failure;
use crate::arms::Once;

/// One way of doing the work, in segments.
pub struct Arm<'a> {
    /// How it is called in the table.
    pub name: String,
    segment: Segment<'a>,
}

type Segment<'a> = Box<dyn FnMut() -> Result<Vec<Duration>, Failure> + 'a>;

impl<'a> Arm<'a> {
    /// An arm that gives the times of one segment, however it comes by them. One that is busy while it
    /// waits has to make and drop its workers in here: nobody else could be measured beside it.
    pub fn new(
        name: impl Into<String>,
        segment: impl FnMut() -> Result<Vec<Duration>, Failure> + 'a,
    ) -> Self {
        Self {
            name: name.into(),
            segment: Box::new(segment),
        }
    }

    /// An arm whose workers are there all the time and sleep while others work. A segment does the work
    /// `count` times, and as a beginning once without counting, to wake up.
    pub fn standing(name: impl Into<String>, count: usize, mut once: impl Once + 'a) -> Self {
        Self::new(name, move || {
            once()?;
            repeated(&mut once, count)
        })
    }

    /// An arm without anything that sleeps between its turns: each time it does the work is like the first.
    pub fn each(name: impl Into<String>, count: usize, mut once: impl Once + 'a) -> Self {
        Self::new(name, move || repeated(&mut once, count))
    }
}

/// The work so many times.
///
/// # Errors
/// The first failure.
pub fn repeated(once: &mut impl Once, count: usize) -> Result<Vec<Duration>, Failure> {
    (0..count).map(|_| once()).collect()
}

/// How many rounds, in which order, and who is told about it.
#[derive(Clone, Copy)]
pub struct Turns<'a> {
    /// Rounds that count.
    pub rounds: usize,
    /// Decides the order of the arms.
    pub seed: u64,
    /// Is told how many rounds of how many are done.
    pub progress: &'a dyn Fn(usize, usize),
}

/// Segments of each arm before anything is counted: they pay for caches, page tables and branch
/// predictors.
const WARM_UP: usize = 2;

/// What the arms took.
#[derive(Clone, Debug)]
pub struct Times {
    arms: Vec<Column>,
}

/// What one arm took: for each round the median of its times, in seconds.
#[derive(Clone, Debug)]
pub struct Column {
    /// The arm's name.
    pub name: String,
    /// One value a round.
    pub rounds: Vec<f64>,
    /// The longest single time of all.
    pub max: f64,
    /// Single times in a round.
    pub samples: usize,
}

/// The first arm once more: what this machine makes of no difference.
pub const CONTROL: &str = "control";

impl Turns<'_> {
    /// Runs the arms in rounds. In each they all have their turn in a random order and once more in the
    /// reverse order, so that a steady drift within the round falls on all alike. The first arm has two
    /// places in the order: the second one is the control.
    ///
    /// # Errors
    /// The first failure of an arm, with its name.
    pub fn run(self, mut arms: Vec<Arm<'_>>) -> Result<Times, Failure> {
        for _ in 0..WARM_UP {
            for arm in &mut arms {
                arm.run()?;
            }
        }
        let mut times = Times::of(&arms);
        let mut order: Vec<usize> = (0..times.arms.len()).collect();
        let mut rng = fastrand::Rng::with_seed(self.seed);
        for round in 0..self.rounds {
            (self.progress)(round, self.rounds);
            let mut seen = vec![Vec::new(); order.len()];
            rng.shuffle(&mut order);
            for &place in order.iter().chain(order.iter().rev()) {
                // The place behind the last arm is the control's.
                let arm = place % arms.len();
                seen[place].extend(arms[arm].run()?);
            }
            times.add(&seen)?;
        }
        Ok(times)
    }
}

impl Arm<'_> {
    fn run(&mut self) -> Result<Vec<Duration>, Failure> {
        (self.segment)().map_err(|error| format!("{}: {error}", self.name).into())
    }
}

impl Times {
    fn of(arms: &[Arm<'_>]) -> Self {
        let names = arms.iter().map(|arm| arm.name.as_str()).chain([CONTROL]);
        let column = |name: &str| Column {
            name: name.to_owned(),
            rounds: Vec::new(),
            max: 0.0,
            samples: 0,
        };
        Self {
            arms: names.map(column).collect(),
        }
    }

    fn add(&mut self, seen: &[Vec<Duration>]) -> Result<(), Failure> {
        for (column, times) in self.arms.iter_mut().zip(seen) {
            let times: Vec<f64> = times.iter().map(Duration::as_secs_f64).collect();
            let middle = median(&times).ok_or_else(|| format!("{}: no times", column.name))?;
            column.rounds.push(middle);
            column.max = times.iter().copied().fold(column.max, f64::max);
            column.samples = times.len();
        }
        Ok(())
    }

    /// What an arm took.
    ///
    /// # Errors
    /// If there was no such arm.
    pub fn column(&self, name: &str) -> Result<&Column, Failure> {
        let found = self.arms.iter().find(|column| column.name == name);
        found.ok_or_else(|| format!("there is no arm {name:?}").into())
    }

    /// The median of an arm's rounds, in seconds.
    ///
    /// # Errors
    /// If there was no such arm, or no round.
    pub fn seconds(&self, name: &str) -> Result<Interval, Failure> {
        interval(&self.column(name)?.rounds)
    }

    /// The median of the rounds' ratios, above over below.
    ///
    /// # Errors
    /// If there was no such arm, or no round.
    pub fn ratio(&self, above: &str, below: &str) -> Result<Interval, Failure> {
        let (above, below) = (self.column(above)?, self.column(below)?);
        let pairs = above.rounds.iter().zip(&below.rounds);
        interval(
            &pairs
                .map(|(above, below)| above / below)
                .collect::<Vec<_>>(),
        )
    }

    /// The first arm over itself.
    ///
    /// # Errors
    /// If there was no round.
    pub fn control(&self) -> Result<Interval, Failure> {
        let first = self.arms.first().ok_or("there are no arms")?;
        self.ratio(CONTROL, &first.name)
    }

    /// Times that were measured elsewhere; the last column is the control's.
    #[must_use]
    pub fn of_columns(columns: Vec<Column>) -> Self {
        Self { arms: columns }
    }

    /// All arms, and the control at the end.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.arms
    }

    /// The same under other names; the control keeps its own.
    #[must_use]
    pub fn renamed(mut self, name: impl Fn(&str) -> String) -> Self {
        for column in &mut self.arms {
            if column.name != CONTROL {
                column.name = name(&column.name);
            }
        }
        self
    }

    /// All arms but the control.
    #[must_use]
    pub fn into_columns(mut self) -> Vec<Column> {
        self.arms.pop();
        self.arms
    }
}

fn interval(values: &[f64]) -> Result<Interval, Failure> {
    median_interval(values).ok_or_else(|| "there were no rounds".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    fn turns(rounds: usize) -> Turns<'static> {
        Turns {
            rounds,
            seed: 1,
            progress: &|_, _| (),
        }
    }

    #[test]
    fn every_round_has_each_arm_twice_the_first_four_times_and_the_same_backwards() {
        let order = RefCell::new(String::new());
        let arm = |name: &'static str| {
            let order = &order;
            Arm::new(name, move || {
                order.borrow_mut().push_str(name);
                Ok(vec![Duration::from_nanos(1)])
            })
        };
        turns(8).run(vec![arm("a"), arm("b"), arm("c")]).unwrap();
        let order = order.into_inner();
        let (warm, rounds) = order.split_at(6);
        assert_eq!(warm, "abcabc");
        for round in rounds.as_bytes().chunks(8) {
            let backwards: Vec<u8> = round.iter().rev().copied().collect();
            assert_eq!(round, backwards);
            let count = |name| round.iter().filter(|&&arm| arm == name).count();
            assert_eq!((count(b'a'), count(b'b'), count(b'c')), (4, 2, 2));
        }
    }

    #[test]
    fn a_steady_drift_falls_on_all_arms_alike() {
        let clock = RefCell::new(0);
        let arm = |name: &'static str| {
            let clock = &clock;
            Arm::new(name, move || {
                *clock.borrow_mut() += 1;
                Ok(vec![Duration::from_secs(*clock.borrow())])
            })
        };
        let times = turns(6).run(vec![arm("a"), arm("b")]).unwrap();
        let ratio = times.ratio("a", "b").unwrap();
        assert!((ratio.low, ratio.high) == (1.0, 1.0), "{ratio:?}");
        assert!(times.control().unwrap().median == 1.0);
    }

    #[test]
    fn an_arm_that_takes_twice_as_long_has_twice_the_time() {
        let arm = |name, millis| Arm::each(name, 3, move || Ok(Duration::from_millis(millis)));
        let times = turns(6).run(vec![arm("a", 10), arm("b", 20)]).unwrap();
        assert!((times.ratio("b", "a").unwrap().median - 2.0).abs() < 1e-9);
        let column = times.column("b").unwrap();
        assert_eq!((column.rounds.len(), column.samples), (6, 6));
        assert!((column.max - 0.02).abs() < 1e-9);
        assert!(times.column("c").is_err());
    }

    #[test]
    fn a_failure_names_its_arm() {
        let bad = Arm::new("the bad one", || Err("no".into()));
        let error = turns(1).run(vec![bad]).unwrap_err();
        assert_eq!(error.to_string(), "the bad one: no");
    }
}

//! Two arms by turns, so that what happens to the machine happens to both.

use std::time::Duration;

use crate::Failure;

/// One side of a comparison: it runs a segment of jobs and says how long they took.
pub struct Arm<'a> {
    /// How it is named where it fails.
    pub name: &'static str,
    /// Runs one segment, checks its replies, and gives back the time that is to be compared.
    pub segment: Box<dyn FnMut() -> Result<Duration, Failure> + 'a>,
}

impl<'a> Arm<'a> {
    /// An arm of this name.
    pub fn new(
        name: &'static str,
        segment: impl FnMut() -> Result<Duration, Failure> + 'a,
    ) -> Self {
        Self {
            name,
            segment: Box::new(segment),
        }
    }

    fn run(&mut self) -> Result<Duration, Failure> {
        (self.segment)().map_err(|error| format!("{}: {error}", self.name).into())
    }
}

/// What both arms took in one round: two segments each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Round {
    /// The first arm.
    pub a: Duration,
    /// The second.
    pub b: Duration,
}

/// All rounds of a comparison.
#[derive(Clone, Debug, Default)]
pub struct Rounds(pub Vec<Round>);

impl Rounds {
    /// For each round, the time of the first arm over that of the second.
    #[must_use]
    pub fn ratios(&self) -> Vec<f64> {
        let rounds = self.0.iter();
        rounds
            .map(|round| round.a.as_secs_f64() / round.b.as_secs_f64())
            .collect()
    }
}

/// Segments of each arm before anything is counted: they pay for caches, page tables and branch
/// predictors, and for the pool's first worker.
const WARM_UP: usize = 2;

/// Runs both arms ABBA, the next round BAAB, and so on.
///
/// Within a round a linear drift of the machine (a core that warms up, a neighbour that comes) falls
/// on both arms alike; from round to round the order is turned over, so that neither arm is always
/// the one that follows itself.
///
/// # Errors
/// The first failure of an arm.
pub fn run_rounds<'a>(mut a: Arm<'a>, mut b: Arm<'a>, rounds: usize) -> Result<Rounds, Failure> {
    for _ in 0..WARM_UP {
        a.run()?;
        b.run()?;
    }
    let mut done = Rounds::default();
    for round in 0..rounds {
        let (first, second) = if round % 2 == 0 {
            (&mut a, &mut b)
        } else {
            (&mut b, &mut a)
        };
        let mut outer = first.run()?;
        let inner = second.run()? + second.run()?;
        outer += first.run()?;
        done.0.push(if round % 2 == 0 {
            Round { a: outer, b: inner }
        } else {
            Round { a: inner, b: outer }
        });
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn the_order_is_turned_over_from_round_to_round() {
        let order = RefCell::new(String::new());
        let arm = |name: &'static str| {
            let order = &order;
            Arm::new(name, move || {
                order.borrow_mut().push_str(name);
                Ok(Duration::from_nanos(1))
            })
        };
        run_rounds(arm("A"), arm("B"), 3).unwrap();
        assert_eq!(order.into_inner(), "ABAB ABBA BAAB ABBA".replace(' ', ""));
    }

    #[test]
    fn a_linear_drift_falls_on_both_arms_alike() {
        let clock = RefCell::new(0);
        let arm = |name| {
            let clock = &clock;
            Arm::new(name, move || {
                *clock.borrow_mut() += 1;
                Ok(Duration::from_secs(*clock.borrow()))
            })
        };
        let rounds = run_rounds(arm("A"), arm("B"), 4).unwrap();
        assert_eq!(rounds.ratios(), [1.0; 4]);
    }

    #[test]
    fn a_failure_names_its_arm() {
        let bad = Arm::new("the bad one", || Err("no".into()));
        let good = Arm::new("the good one", || Ok(Duration::from_nanos(1)));
        let error = run_rounds(good, bad, 1).unwrap_err();
        assert_eq!(error.to_string(), "the bad one: no");
    }
}

//! How many threads does one address space bear?
//!
//! Threads that make and drop instances wait for each other in the kernel, since they share an address
//! space. The *knee* is the largest number of threads in one process at which more got done than with the
//! number before: where the whole interval of the growth lies above the margin. Beyond the number of CPUs nothing
//! grows in either isolation, so the knee of processes of one thread each stands beside it: where threads stop
//! before processes do, it is the address space that stops them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::result::{Comparison, Row};
use super::rounds::by_rounds;
use super::words::{digits, sure};
use crate::experiment::{Arm, Param};
use crate::stats::{Better, Call, Interval, Margin, judge, median_interval};

/// Where the threads of one process, and processes of one thread each, stop getting more done for one guest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Knee {
    /// The guest, as the rows of `scaling` name it: `own` or `echo`.
    pub guest: String,
    /// The largest number of threads in one process at which their throughput still grew; `null` where
    /// there were too few rounds to say so.
    pub threads: Option<u64>,
    /// The same of processes with one thread each.
    pub processes: Option<u64>,
    /// What that rests on: from each number of workers to the next.
    pub steps: Vec<Step>,
}

/// From one number of workers to the next.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// Workers before.
    pub from: u64,
    /// Workers after.
    pub to: u64,
    /// The factor that a growth has to pass: the larger of both rows' margins.
    pub margin: Margin,
    /// Throughput after ÷ before, of threads in one process, by rounds.
    pub threads: Option<Interval>,
    /// The same of processes with one thread each.
    pub processes: Option<Interval>,
}

/// The knee of each guest of `scaling`. None of a guest with fewer than two numbers of workers.
pub(super) fn knees(comparison: &Comparison) -> Vec<Knee> {
    let guests = ["own", "echo"].into_iter();
    guests.filter_map(|guest| knee(comparison, guest)).collect()
}

fn knee(comparison: &Comparison, guest: &str) -> Option<Knee> {
    let mut rows: Vec<(u64, &Row)> = comparison
        .rows
        .iter()
        .filter(|row| row.experiment == "scaling" && row.metric == "jobs")
        // Those with a number of processes are the ways between.
        .filter(|row| row.params.len() == 2)
        .filter(|row| row.params.get("guest") == Some(&Param::from(guest)))
        .filter_map(|row| Some((row.number("workers")?, row)))
        .collect();
    rows.sort_by_key(|(workers, _)| *workers);
    let steps: Vec<Step> = rows
        .windows(2)
        .map(|pair| step(comparison, pair[0], pair[1]))
        .collect();
    if steps.is_empty() {
        return None;
    }
    Some(Knee {
        guest: guest.to_owned(),
        threads: last(&steps, |step| step.threads),
        processes: last(&steps, |step| step.processes),
        steps,
    })
}

fn step(comparison: &Comparison, before: (u64, &Row), after: (u64, &Row)) -> Step {
    let growth = |arm| {
        let (few, many) = (
            by_rounds(comparison, before.1, arm),
            by_rounds(comparison, after.1, arm),
        );
        let rounds = few.iter().zip(&many);
        let growths: Vec<f64> = rounds
            .filter_map(|(few, many)| Some((*many)? / (*few)?))
            .filter(|growth| growth.is_finite() && *growth > 0.0)
            .collect();
        median_interval(&growths)
    };
    let (one, other) = (before.1.margin, after.1.margin);
    Step {
        from: before.0,
        to: after.0,
        margin: if other > one { other } else { one },
        threads: growth(Arm::Thread),
        processes: growth(Arm::Process),
    }
}

/// The last number of workers up to which every step grew.
fn last(steps: &[Step], of: impl Fn(&Step) -> Option<Interval>) -> Option<u64> {
    let mut reached = steps.first()?.from;
    for step in steps {
        match judge(of(step)?, step.margin, Better::Higher) {
            Call::Above => reached = step.to,
            Call::Below | Call::NoDifferenceSeen => break,
            Call::TooFewRounds => return None,
        }
    }
    Some(reached)
}

impl Knee {
    /// What the reader wants to know, and the steps that it rests on: the last that grew, and the next one.
    pub(super) fn sentence(&self) -> String {
        let guest = match self.guest.as_str() {
            "own" => "This guest",
            _ => "@echo",
        };
        let most = self.steps.last().map(|step| step.to);
        let told =
            |knee: Option<u64>, [one, many]: [&str; 2], of: fn(&Step) -> Option<Interval>| {
                let Some(knee) = knee else {
                    return format!("an unknown number of {many} (too few rounds)");
                };
                let what = if knee == 1 { one } else { many };
                let decides = |step: &&Step| step.to == knee || step.from == knee;
                let steps = self.steps.iter().filter(decides);
                let steps: Vec<String> = steps.filter_map(|step| growth(step, of)).collect();
                let reached = match most {
                    Some(most) if most == knee => ", the most that were measured,",
                    _ => "",
                };
                format!("up to {knee} {what}{reached} ({})", steps.join("; "))
            };
        format!(
            "{guest}: more gets done with {}, and with {}.",
            told(self.threads, ["thread", "threads of one process"], |step| {
                step.threads
            }),
            told(self.processes, ["process", "processes"], |step| {
                step.processes
            })
        )
    }
}

/// `1 to 2: × 1.91 [1.88, 1.93]`
fn growth(step: &Step, of: fn(&Step) -> Option<Interval>) -> Option<String> {
    let growth = of(step)?;
    Some(format!(
        "{} to {}: × {} [{}, {}]{}",
        step.from,
        step.to,
        digits(growth.median),
        digits(growth.low),
        digits(growth.high),
        sure(growth)
    ))
}

#[cfg(test)]
mod tests {
    use super::super::sample::sample;
    use super::*;

    const ROUNDS: usize = 8;

    /// The sample, with these jobs a second of @echo by workers: in threads, and in processes.
    fn with(rates: &[(u64, f64, f64)], rounds: usize) -> Comparison {
        let mut comparison = sample();
        let model = comparison
            .rows
            .iter()
            .find(|row| row.experiment == "scaling")
            .unwrap()
            .clone();
        comparison.rows.clear();
        for &(workers, thread, process) in rates {
            let series = format!("scaling.echo.{workers}");
            let mut row = model.clone();
            row.params = [
                ("guest".to_owned(), Param::from("echo")),
                ("workers".to_owned(), Param::from(workers)),
            ]
            .into();
            row.series.clone_from(&series);
            row.margin = Margin::from_control(None);
            comparison.rows.push(row);
            let arms = [(Arm::Thread, thread), (Arm::Process, process)];
            let arms = arms.map(|(arm, rate)| (arm, vec![vec![rate]; rounds]));
            comparison.series.insert(series, arms.into());
        }
        comparison
    }

    fn found(rates: &[(u64, f64, f64)]) -> Knee {
        let [knee] = &knees(&with(rates, ROUNDS))[..] else {
            panic!("one guest has one knee")
        };
        knee.clone()
    }

    #[test]
    fn the_knee_is_the_last_number_up_to_which_every_step_grew() {
        let knee = found(&[
            (1, 100.0, 90.0),
            (2, 180.0, 180.0),
            (4, 175.0, 350.0),
            // After a stop it does not count any more.
            (8, 300.0, 351.0),
        ]);
        assert_eq!((knee.threads, knee.processes), (Some(2), Some(4)));
        let step = &knee.steps[1];
        assert_eq!((step.from, step.to), (2, 4));
        assert_eq!(step.margin.factor(), 1.02);
        let growth = step.threads.unwrap();
        assert!((growth.median - 175.0 / 180.0).abs() < 1e-12);
        assert_eq!(
            knee.sentence(),
            "@echo: more gets done with up to 2 threads of one process (1 to 2: × 1.80 [1.80, 1.80]; 2 to 4: \
             × 0.97 [0.97, 0.97]), and with up to 4 processes (2 to 4: × 1.94 [1.94, 1.94]; 4 to 8: × 1.00 \
             [1.00, 1.00])."
        );
    }

    #[test]
    fn growth_within_the_margin_is_none() {
        let knee = found(&[(1, 100.0, 100.0), (2, 101.0, 103.0)]);
        assert_eq!((knee.threads, knee.processes), (Some(1), Some(2)));
        let text = knee.sentence();
        assert!(
            text.contains("with up to 1 thread (1 to 2: × 1.01"),
            "{text}"
        );
        let most = "with up to 2 processes, the most that were measured, (1 to 2: × 1.03";
        assert!(text.contains(most), "{text}");
    }

    #[test]
    fn too_few_rounds_are_said() {
        let comparison = with(&[(1, 100.0, 100.0), (2, 200.0, 200.0)], 5);
        let [knee] = &knees(&comparison)[..] else {
            panic!("one guest has one knee")
        };
        assert_eq!((knee.threads, knee.processes), (None, None));
        assert!(knee.sentence().contains("too few rounds"));
    }

    #[test]
    fn ways_between_are_no_step_and_one_number_is_no_knee() {
        let mut comparison = with(&[(4, 100.0, 100.0)], ROUNDS);
        assert_eq!(knees(&comparison), []);
        let mut between = comparison.rows[0].clone();
        between.params.insert("workers".to_owned(), Param::from(8));
        between
            .params
            .insert("processes".to_owned(), Param::from(2));
        comparison.rows.push(between);
        assert_eq!(knees(&comparison), []);
    }
}

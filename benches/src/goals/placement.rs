//! Where the threads of a round trip run, decided by us.
//!
//! Two threads that wake each other take some microseconds on one CPU and some tens across two that go to
//! sleep. Left alone, the kernel puts each pair on either side by chance and keeps it there, and a ratio
//! of two arms is then one of two placements. Here all arms have the same one.
//!
//! It is done in a process of its own: threads and workers inherit the CPUs of whoever makes them, and
//! whatever is measured later would keep them.

use std::process::{Command, Stdio};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde_json::{Value, json};

use super::turns::{Column, Times, Turns};
use crate::Failure;

/// Where the two sides run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placement {
    /// Both on one CPU.
    OneCpu,
    /// Whoever hands in on one, all others on another one.
    TwoCpus,
}

impl Placement {
    pub(super) const ALL: [Self; 2] = [Self::OneCpu, Self::TwoCpus];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::OneCpu => "1-cpu",
            Self::TwoCpus => "2-cpus",
        }
    }

    /// The placement of this name.
    pub(super) fn named(name: &str) -> Result<Self, Failure> {
        let found = Self::ALL
            .into_iter()
            .find(|placement| placement.name() == name);
        found.ok_or_else(|| format!("there is no placement {name:?}").into())
    }

    /// Where whoever hands in runs, and where all others do; or why they cannot.
    fn cpus(self) -> Result<(usize, usize), String> {
        let allowed = sched_getaffinity(None).map_err(|error| error.to_string())?;
        let mut cpus = (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu));
        let first = cpus.next().ok_or("there is no CPU")?;
        match (self, cpus.next()) {
            (Self::OneCpu, _) => Ok((first, first)),
            (Self::TwoCpus, Some(second)) => Ok((first, second)),
            (Self::TwoCpus, None) => Err("there is one CPU".to_owned()),
        }
    }

    /// Whether this machine has it; or why not.
    pub(super) fn is_here(self) -> Result<(), String> {
        self.cpus().map(drop)
    }

    /// Makes what is measured where the others are to run, and then goes to where this side runs.
    pub(super) fn made<T>(self, make: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        let (here, there) = self.cpus()?;
        run_on(there)?;
        let made = make()?;
        run_on(here)?;
        Ok(made)
    }

    /// Has a goal's arms measured in a process of its own: this very program, told to.
    pub(super) fn measured(self, turns: &Turns<'_>) -> Result<Times, Failure> {
        let output = Command::new("/proc/self/exe")
            .args(["--placed", self.name()])
            .args(["--rounds", &turns.rounds.to_string()])
            .args(["--seed", &turns.seed.to_string()])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()?;
        if !output.status.success() {
            return Err(format!("{}: {}", self.name(), output.status).into());
        }
        read(&serde_json::from_slice(&output.stdout)?)
            .ok_or_else(|| "what was measured cannot be read".into())
    }
}

/// This thread, and whatever it makes from now on.
fn run_on(cpu: usize) -> Result<(), Failure> {
    let mut only = CpuSet::new();
    only.set(cpu);
    Ok(sched_setaffinity(None, &only)?)
}

/// The times as a line for [`read`].
pub(super) fn written(times: &Times) -> String {
    let column = |column: &Column| {
        json!({
            "name": column.name,
            "rounds": column.rounds,
            "max": column.max,
            "samples": column.samples,
        })
    };
    let columns: Vec<Value> = times.columns().iter().map(column).collect();
    Value::from(columns).to_string()
}

fn read(columns: &Value) -> Option<Times> {
    let column = |column: &Value| {
        let rounds = column["rounds"].as_array()?.iter().map(Value::as_f64);
        Some(Column {
            name: column["name"].as_str()?.to_owned(),
            rounds: rounds.collect::<Option<_>>()?,
            max: column["max"].as_f64()?,
            samples: usize::try_from(column["samples"].as_u64()?).ok()?,
        })
    };
    let columns: Option<Vec<Column>> = columns.as_array()?.iter().map(column).collect();
    Some(Times::of_columns(columns?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goals::Arm;
    use std::time::Duration;

    #[test]
    fn times_are_read_as_they_were_written() {
        let arm = |name, nanos| Arm::each(name, 1, move || Ok(Duration::from_nanos(nanos)));
        let turns = Turns {
            rounds: 6,
            seed: 1,
            progress: &|_, _| (),
        };
        let times = turns.run(vec![arm("a", 123), arm("b", 3)]).unwrap();
        let again = read(&serde_json::from_str(&written(&times)).unwrap()).unwrap();
        assert_eq!(
            again.ratio("a", "b").unwrap(),
            times.ratio("a", "b").unwrap()
        );
        assert_eq!(again.columns().len(), 3);
    }

    #[test]
    fn what_is_made_runs_where_it_was_put() {
        // A thread of its own, whose CPUs nobody else inherits.
        let seen = std::thread::spawn(|| {
            let cpu_of_another = || {
                let thread = std::thread::spawn(|| sched_getaffinity(None).unwrap());
                Ok(thread.join().unwrap())
            };
            let (here, there) = Placement::OneCpu.cpus().unwrap();
            let made = Placement::OneCpu.made(cpu_of_another).unwrap();
            let own = sched_getaffinity(None).unwrap();
            (
                made.count(),
                made.is_set(there),
                own.count(),
                own.is_set(here),
            )
        });
        assert_eq!(seen.join().unwrap(), (1, true, 1, true));
    }
}

//! Where does one address space stop scaling?
//!
//! *Arms*: so many workers as threads of one process, as processes of one thread each, and, with --rigorous,
//! in every way between: as many processes as divide their number, with as many threads each. Each worker is a bare loop of jobs with a fresh instance for
//! each: no pool, no queue, no link, and the same code without checks everywhere. *Stopwatch*: each thread for
//! itself, from its first job to the end of its last, after a fixed time; the sum of their jobs per
//! second. *Expectation*: to make and drop an instance means to map and unmap memory, for
//! which the kernel locks the address space; threads of one process wait for each other there, processes do
//! not. A guest with long jobs does not care. Beyond the number of CPUs nothing grows, in neither: where one
//! address space stops is read beside the processes (`report::knee`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::conversation::{Conversation, Nothing};
use super::throughput::widths;
use super::trial::{Bench, Order, Said, Work, built_in, good};
use super::{Arm, Budget, Effort, Part, PartWork, Reason, RowSpec, Samples, Stage, Unit};
use crate::guest::Guest;
use crate::job::Job;
use crate::options::Isolation;
use crate::runtime::{InstancePolicy, mix};
use crate::worker::Recipe;

pub(super) static SCALING: Part = Part {
    experiment: "scaling",
    name: "grid",
    question: "Where does one address space stop scaling?",
    arms: |budget| match budget {
        Budget::Quick | Budget::Default => &[Arm::Thread, Arm::Process, Arm::Control],
        Budget::Rigorous => &[Arm::Thread, Arm::Process, Arm::Control, Arm::Mixed],
    },
    twin: Arm::Thread,
    weight: 2.0,
    core: 0,
    most: [6, 20, 60],
    rows,
    left_out,
    work: PartWork::Staged {
        segments: |effort| places(effort).len(),
        prepare,
    },
};

const GUESTS: [&str; 2] = ["own", "echo"];

/// A place of the grid, at which each arm does its own, if it has any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    guest: &'static str,
    workers: usize,
    /// Processes that the workers are spread over; `None` where they are all threads of one, or each has
    /// its own.
    between: Option<usize>,
}

/// Numbers of processes over which so many workers are spread evenly, but for one process and for as many
/// as there are workers.
fn between(workers: usize) -> impl Iterator<Item = usize> {
    (2..workers).filter(move |&processes| workers.is_multiple_of(processes))
}

fn places(effort: &Effort) -> Vec<Place> {
    let mut places = Vec::new();
    for guest in GUESTS {
        for workers in widths(effort.cpus) {
            let place = |between| Place {
                guest,
                workers,
                between,
            };
            places.push(place(None));
            if effort.budget == Budget::Rigorous {
                places.extend(between(workers).map(|processes| place(Some(processes))));
            }
        }
    }
    places
}

impl Place {
    fn series(&self) -> String {
        let Self { guest, workers, .. } = self;
        match self.between {
            None => format!("{guest}.{workers}"),
            Some(processes) => format!("{guest}.{workers}.{processes}"),
        }
    }

    /// How an arm spreads the workers: processes, and threads of each; `None` where that is not its place.
    fn spread(&self, arm: Arm) -> Option<(usize, usize)> {
        match (arm, self.between) {
            (Arm::Mixed, None) => None,
            (Arm::Mixed, Some(processes)) => Some((processes, self.workers / processes)),
            (_, Some(_)) => None,
            (other, None) => Some(match other.isolation() {
                Isolation::Thread => (1, self.workers),
                Isolation::Process => (self.workers, 1),
            }),
        }
    }

    fn row(&self) -> RowSpec {
        let name = match self.guest {
            "own" => "this guest",
            _ => "@echo",
        };
        let Self { guest, workers, .. } = *self;
        let title = match self.between {
            None => format!("{name}, {workers} at once"),
            Some(processes) => format!(
                "{name}, {workers} at once, {processes} processes of {}",
                workers / processes
            ),
        };
        let row = RowSpec::rate("jobs", title, self.series(), Unit::JobsPerSecond)
            .at("guest", guest)
            .at("workers", workers as u64);
        match self.between {
            None => row,
            Some(processes) => row
                .at("processes", processes as u64)
                .comparing(Arm::Mixed, Arm::Thread),
        }
    }
}

fn rows(effort: &Effort) -> Vec<RowSpec> {
    places(effort).iter().map(Place::row).collect()
}

fn left_out(effort: &Effort) -> Vec<(String, Reason)> {
    let any = widths(effort.cpus)
        .into_iter()
        .any(|workers| between(workers).next().is_some());
    let from = Budget::Rigorous;
    let what = "several processes of several threads each".to_owned();
    match effort.budget {
        Budget::Quick | Budget::Default if any => vec![(what, Reason::Budget { from })],
        _ => Vec::new(),
    }
}

/// One process of a grid: so many threads, for so long.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Cell {
    threads: usize,
    seconds: f64,
    /// Jobs that warm it up, and are not counted.
    before: usize,
}

struct Grid<'b> {
    bench: &'b Bench,
    echo: Guest,
    samples: Samples,
}

fn prepare(bench: &Bench) -> Result<Box<dyn Stage + '_>, String> {
    Ok(Box::new(Grid {
        bench,
        echo: built_in("echo")?,
        samples: Samples::default(),
    }))
}

impl Stage for Grid<'_> {
    fn segment(&mut self, place: usize) -> Result<(), String> {
        let effort = self.bench.effort();
        let places = places(&effort);
        let here = places[place % places.len()];
        let guest = here.guest;
        if guest == "own" && !effort.works {
            return Ok(());
        }
        let Some((processes, threads)) = here.spread(self.bench.order.arm) else {
            return Ok(());
        };
        let cell = Cell {
            threads,
            seconds: effort.budget.pick([0.03, 0.05, 0.2]),
            // What the first of a worker finds cold does not show in a long job.
            before: usize::from(guest == "echo" || effort.is_short()),
        };
        let mut hosts: Vec<Conversation> = (0..processes)
            .map(|_| self.host(guest, cell))
            .collect::<Result<_, _>>()
            .map_err(said)?;
        let patience = patience(effort.job);
        for host in &mut hosts {
            match host.hear(patience, None).map_err(said)? {
                Said::Ready => {}
                other => return Err(format!("a host of the grid said {other:?}")),
            }
        }
        for host in &mut hosts {
            host.go();
        }
        let mut sum = 0.0;
        for host in &mut hosts {
            let samples = host.measured(patience, None).map_err(said)?;
            sum += samples.series.values().flatten().sum::<f64>();
        }
        let sum = sum / (1.0 + self.bench.order.delay);
        self.samples.add(&here.series(), sum);
        // What lies between is compared with the same workers in one process.
        let beside = places.iter().filter(|other| {
            here.between.is_none()
                && other.between.is_some()
                && (other.guest, other.workers) == (guest, here.workers)
        });
        for other in beside {
            self.samples.add(&other.series(), sum);
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Samples, String> {
        Ok(self.samples)
    }
}

fn patience(job: f64) -> Duration {
    Duration::from_secs(60) + Duration::from_secs_f64(20.0 * job)
}

fn said(nothing: Nothing) -> String {
    nothing
        .failure()
        .unwrap_or_else(|_| "a host of the grid was stopped".to_owned())
}

impl Grid<'_> {
    fn host(&self, guest: &str, cell: Cell) -> Result<Conversation, Nothing> {
        let (guest, inputs) = match guest {
            "own" => (&self.bench.guest, self.bench.inputs.clone()),
            _ => (&self.echo, vec![vec![7; 64]]),
        };
        let order = Order {
            work: Work::Cell(cell),
            // Threads of that process, all with the same code.
            arm: Arm::Unmetered,
            is_control: false,
            delay: 0.0,
            parent: std::process::id(),
            guest_name: guest.name().to_owned(),
            guest_bytes: guest.wasm().len(),
            input_bytes: inputs.iter().map(Vec::len).collect(),
            ..self.bench.order.clone()
        };
        let mut bytes = vec![guest.wasm()];
        bytes.extend(inputs.iter().map(Vec::as_slice));
        Conversation::begin(&order, &bytes)
    }
}

/// A process of the grid, ready to begin.
pub(super) struct ReadyCell<'b> {
    bench: &'b Bench,
    recipe: Arc<Recipe>,
    cell: Cell,
}

/// Loads the guest, and runs the jobs that warm it up.
pub(super) fn prepare_cell<'b>(bench: &'b Bench, cell: &Cell) -> Result<ReadyCell<'b>, String> {
    let ready = ReadyCell {
        bench,
        recipe: bench.recipe(&bench.guest, InstancePolicy::Fresh)?,
        cell: *cell,
    };
    for _ in 0..cell.before {
        ready.work(&AtomicBool::new(true))?;
    }
    Ok(ready)
}

impl ReadyCell<'_> {
    /// Jobs a second of all its threads together.
    pub(super) fn run(&self) -> Result<Samples, String> {
        let stop = AtomicBool::new(false);
        let rates: Vec<Result<f64, String>> = std::thread::scope(|scope| {
            let begin = || {
                std::thread::Builder::new()
                    .stack_size(self.bench.stack())
                    .spawn_scoped(scope, || self.work(&stop))
            };
            let threads: Vec<_> = (0..self.cell.threads).map(|_| begin()).collect();
            std::thread::sleep(Duration::from_secs_f64(self.cell.seconds));
            stop.store(true, Ordering::Relaxed);
            let join = |thread: std::io::Result<std::thread::ScopedJoinHandle<'_, _>>| {
                let thread = thread.map_err(|error| error.to_string())?;
                thread
                    .join()
                    .unwrap_or_else(|_| Err("a thread of the grid panicked".to_owned()))
            };
            threads.into_iter().map(join).collect()
        });
        let mut samples = Samples::default();
        for rate in rates {
            samples.add("rate", rate?);
        }
        Ok(samples)
    }

    /// Runs jobs until it is told to stop, but at least one: jobs a second.
    fn work(&self, stop: &AtomicBool) -> Result<f64, String> {
        let mut worker = self.recipe.make(0).map_err(|death| death.to_string())?;
        let start = Instant::now();
        let mut jobs: u32 = 0;
        loop {
            let input = &self.bench.inputs[jobs as usize % self.bench.inputs.len()];
            let seed = Some(mix(self.bench.order.seed));
            let job = Job::new(input.clone()).numbered(jobs.into(), seed);
            good(worker.run(&job).map_err(|death| death.to_string())?)?;
            jobs += 1;
            if stop.load(Ordering::Relaxed) {
                return Ok(f64::from(jobs) / start.elapsed().as_secs_f64());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_six(between: Option<usize>) -> Place {
        Place {
            guest: "own",
            workers: 6,
            between,
        }
    }

    #[test]
    fn arms_spread_their_workers() {
        let all = in_six(None);
        assert_eq!(all.spread(Arm::Thread), Some((1, 6)));
        assert_eq!(all.spread(Arm::Control), Some((1, 6)));
        assert_eq!(all.spread(Arm::Process), Some((6, 1)));
        assert_eq!(all.spread(Arm::Mixed), None);
        let some = in_six(Some(2));
        assert_eq!(some.spread(Arm::Mixed), Some((2, 3)));
        assert_eq!(some.spread(Arm::Thread), None);
    }

    #[test]
    fn every_divisor_has_its_place_where_there_is_time() {
        let of = |budget| {
            let effort = Effort {
                budget,
                cpus: 6,
                ..Effort::default()
            };
            let places = places(&effort).into_iter();
            let own = places.filter(|place| place.guest == "own");
            let spreads = own.filter_map(|place| place.spread(Arm::Mixed));
            (spreads.collect::<Vec<_>>(), left_out(&effort).len())
        };
        assert_eq!(of(Budget::Default), (vec![], 1));
        // Of 1, 2, 4, 6 and 12 workers.
        let all = vec![(2, 2), (2, 3), (3, 2), (2, 6), (3, 4), (4, 3), (6, 2)];
        assert_eq!(of(Budget::Rigorous), (all, 0));
    }
}

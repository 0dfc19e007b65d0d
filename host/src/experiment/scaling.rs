//! Where does one address space stop scaling?
//!
//! *Arms*: so many workers as threads of one process, as processes of one thread each, and, from four on,
//! as two processes with half of them each. Each worker is a bare loop of jobs with a fresh instance for
//! each: no pool, no queue, no link, and the same code without checks everywhere. *Stopwatch*: each thread for
//! itself, from its first job to the end of its last, after a fixed time; the sum of their jobs per
//! second. *Expectation*: to make and drop an instance means to map and unmap memory, for
//! which the kernel locks the address space; threads of one process wait for each other there, processes do
//! not. A guest with long jobs does not care.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::conversation::{Conversation, Nothing};
use super::throughput::widths;
use super::trial::{Bench, Order, Said, Work, built_in, good};
use super::{Arm, Effort, Part, PartWork, RowSpec, Samples, Stage, Unit};
use crate::guest::Guest;
use crate::job::Job;
use crate::options::Isolation;
use crate::runtime::{InstancePolicy, mix};
use crate::worker::Recipe;

pub(super) static SCALING: Part = Part {
    experiment: "scaling",
    name: "grid",
    question: "Where does one address space stop scaling?",
    arms: |_| &[Arm::Thread, Arm::Process, Arm::Control, Arm::Mixed],
    twin: Arm::Thread,
    weight: 1.5,
    core: 0,
    most: [6, 20, 60],
    rows,
    work: PartWork::Staged {
        segments: |effort| 2 * widths(effort.cpus).len(),
        prepare,
    },
};

const GUESTS: [&str; 2] = ["own", "echo"];

fn rows(effort: &Effort) -> Vec<RowSpec> {
    let mut rows = Vec::new();
    for guest in GUESTS {
        for workers in widths(effort.cpus) {
            let name = match guest {
                "own" => "this guest",
                _ => "@echo",
            };
            let title = format!("{name}, {workers} at once");
            let series = format!("{guest}.{workers}");
            let row = RowSpec::rate("jobs", title, series, Unit::JobsPerSecond);
            rows.push(row.at("guest", guest).at("workers", workers as u64));
        }
    }
    rows
}

/// One process of a grid: so many threads, for so long.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Cell {
    threads: usize,
    seconds: f64,
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

/// How an arm spreads so many workers: processes, and threads of each.
fn spread(arm: Arm, workers: usize) -> Option<(usize, usize)> {
    match arm {
        Arm::Mixed if workers >= 4 && workers.is_multiple_of(2) => Some((2, workers / 2)),
        Arm::Mixed => None,
        other => Some(match other.isolation() {
            Isolation::Thread => (1, workers),
            Isolation::Process => (workers, 1),
        }),
    }
}

impl Stage for Grid<'_> {
    fn segment(&mut self, place: usize) -> Result<(), String> {
        let effort = self.bench.effort();
        let widths = widths(effort.cpus);
        let guest = GUESTS[place / widths.len() % GUESTS.len()];
        if guest == "own" && !effort.works {
            return Ok(());
        }
        let workers = widths[place % widths.len()];
        let Some((processes, threads)) = spread(self.bench.order.arm, workers) else {
            return Ok(());
        };
        let cell = Cell {
            threads,
            seconds: effort.budget.pick([0.03, 0.05, 0.2]),
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
        self.samples.add(&format!("{guest}.{workers}"), sum);
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

/// Loads the guest, and runs one job to warm up.
pub(super) fn prepare_cell<'b>(bench: &'b Bench, cell: &Cell) -> Result<ReadyCell<'b>, String> {
    let ready = ReadyCell {
        bench,
        recipe: bench.recipe(&bench.guest, InstancePolicy::Fresh)?,
        cell: *cell,
    };
    let stop = AtomicBool::new(true);
    ready.work(&stop)?;
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

    #[test]
    fn arms_spread_their_workers() {
        assert_eq!(spread(Arm::Thread, 4), Some((1, 4)));
        assert_eq!(spread(Arm::Process, 4), Some((4, 1)));
        assert_eq!(spread(Arm::Mixed, 4), Some((2, 2)));
        assert_eq!(spread(Arm::Mixed, 2), None);
    }
}

//! How much memory does one more worker take?
//!
//! *Arms*: workers that have done one job each and wait for the next. *Measured*: the proportional
//! set size (PSS) of the trial and of all its children, from `/proc/PID/smaps_rollup`
//! (`proc_pid_smaps(5)`), with one worker and with several more: the slope. PSS shares out pages that
//! several processes map, so nothing is counted twice. *Expectation*: a thread costs its stack and
//! its share of the heap; a process costs the private pages of a whole program.

use std::fs;
use std::sync::Arc;

use super::trial::{Bench, Checked, good};
use super::{Experiment, Metric, Samples, Unit};
use crate::job::Reply;
use crate::runtime::mix;
use crate::stats::Better;
use crate::worker::{Maker, Recipe};

pub(super) static MEMORY: Experiment = Experiment {
    name: "memory",
    question: "How much memory does one more worker take?",
    metrics: &[Metric {
        name: "pss_per_worker",
        title: "PSS per idle worker",
        unit: Unit::Bytes,
        better: Better::Lower,
        series: "pss",
        quantile: 0.5,
    }],
    measure,
};

/// The least that a worker can take: one page. A slope below it is noise of the allocator.
const PAGE: f64 = 4096.0;

/// A worker that did its job and waits, in a thread that holds it.
struct Idle {
    pid: Option<u32>,
    reply: Reply,
    /// Dropped to let it go.
    _leash: crossbeam_channel::Sender<()>,
}

fn measure(bench: &Bench) -> Result<Samples, String> {
    let recipe = bench.recipe(&bench.guest)?;
    let mut checked = Checked::default();
    let mut idle = vec![hire(bench, &recipe, 0)?];
    let one = pss_of_all(&idle)?;
    for place in 1..=bench.effort.memory_workers {
        idle.push(hire(bench, &recipe, place)?);
    }
    let all = pss_of_all(&idle)?;
    for worker in &idle {
        checked.reply(&worker.reply);
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "no machine has 2^52 bytes, nor so many workers"
    )]
    let slope = (all as f64 - one as f64) / bench.effort.memory_workers as f64;
    Ok(Samples::with(
        [("pss", vec![slope.max(PAGE)])],
        checked.digest(),
    ))
}

fn hire(bench: &Bench, recipe: &Arc<Recipe>, place: usize) -> Result<Idle, String> {
    let job = bench
        .job(place)
        .numbered(place as u64, Some(mix(bench.seed)));
    let recipe = Arc::clone(recipe);
    let (sender, receiver) = crossbeam_channel::bounded(1);
    let (leash, held) = crossbeam_channel::bounded(0);
    std::thread::Builder::new()
        .stack_size(bench.stack())
        .spawn(move || {
            let made = recipe.make(place).and_then(|mut worker| {
                let reply = worker.run(&job)?;
                Ok((worker, reply))
            });
            drop(job);
            match made {
                Ok((worker, reply)) => {
                    let _ = sender.send(Ok((worker.pid(), reply)));
                    let _ = held.recv();
                }
                Err(death) => drop(sender.send(Err(death))),
            }
        })
        .map_err(|error| error.to_string())?;
    let hired = receiver
        .recv()
        .map_err(|_| "the worker's thread panicked".to_owned())?;
    let (pid, reply) = hired.map_err(|death| death.to_string())?;
    Ok(Idle {
        pid,
        reply: good(reply)?,
        _leash: leash,
    })
}

fn pss_of_all(idle: &[Idle]) -> Result<u64, String> {
    let own = std::process::id();
    let pids = std::iter::once(own).chain(idle.iter().filter_map(|worker| worker.pid));
    pids.map(pss).sum()
}

fn pss(pid: u32) -> Result<u64, String> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    pss_in(&text).ok_or_else(|| format!("{path} has no line Pss"))
}

fn pss_in(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proportional_size_is_found_in_the_kernels_text() {
        let text = "55d0-7ffe ---p 00000000 00:00 0   [rollup]\nRss:   884 kB\nPss:   385 kB\nPss_Dirty: 5 kB\n";
        assert_eq!(pss_in(text), Some(385 * 1024));
        assert_eq!(pss_in("Rss: 1 kB"), None);
    }

    #[test]
    fn this_process_takes_memory() {
        assert!(pss(std::process::id()).unwrap() > 100 * 1024);
    }
}

//! How many jobs a second, on one worker, on all CPUs, and on twice as many?
//!
//! *Arms*: a warm pool of so many workers, in threads, in processes, and (with --rigorous) in threads without
//! the checks that make them interruptible; and with the other choice of instances: on all CPUs, with --rigorous on each
//! number of workers. *Stopwatch*: the
//! trial's main thread, from handing in the first of a fixed number of jobs until it holds the last reply;
//! the queue is never empty in between. *Expectation*: CPU-bound guests run equally fast, and twice as fast
//! on two CPUs; with tiny jobs the thread wins on one worker, and fresh instances on several threads get in
//! each other's way, since they share an address space.

use std::collections::VecDeque;
use std::time::Instant;

use super::effort::policy_name;
use super::trial::{Bench, Checked, reply_of, staffed};
use super::{Arm, Budget, Effort, Part, PartWork, Reason, RowSpec, Samples, Stage, Unit};
use crate::pool::{Pool, Ticket};
use crate::runtime::InstancePolicy;

pub(super) static THROUGHPUT: Part = Part {
    experiment: "job",
    name: "throughput",
    question: "How many jobs a second, by the number of workers?",
    arms: |budget| match budget {
        Budget::Quick | Budget::Default => &[Arm::Thread, Arm::Process, Arm::Control],
        Budget::Rigorous => &[Arm::Thread, Arm::Process, Arm::Control, Arm::Unmetered],
    },
    twin: Arm::Thread,
    weight: 4.0,
    core: 6,
    most: [12, 40, 100],
    rows,
    left_out,
    work: PartWork::Staged {
        segments: |effort| loads(effort).len(),
        prepare,
    },
};

/// 1, 2, 4, … up to the number of CPUs, that itself, and twice that.
pub(super) fn widths(cpus: usize) -> Vec<usize> {
    let powers = std::iter::successors(Some(1), |width| Some(2 * width));
    let mut widths: Vec<usize> = powers.take_while(|&width| width < cpus).collect();
    widths.extend([cpus, 2 * cpus]);
    widths
}

/// Workers, and whether with the user's choice of instances.
fn loads(effort: &Effort) -> Vec<(usize, bool)> {
    if effort.budget == Budget::Quick {
        let mut widths = vec![(1, true), (effort.cpus, true)];
        widths.dedup();
        return widths;
    }
    let widths = widths(effort.cpus);
    let own = widths.iter().map(|&width| (width, true));
    let other: &[usize] = match effort.budget {
        Budget::Rigorous => &widths,
        Budget::Quick | Budget::Default => &[effort.cpus],
    };
    own.chain(other.iter().map(|&width| (width, false)))
        .collect()
}

/// What is left to those who give more time.
fn left_out(effort: &Effort) -> Vec<(String, Reason)> {
    let other = policy_name(effort.other_instance());
    let (what, from) = match effort.budget {
        Budget::Quick => (
            format!("throughput on twice the CPUs, and with {other} instances"),
            Budget::Default,
        ),
        Budget::Default => (
            format!(
                "throughput without checks, and with {other} instances on other numbers of workers than the CPUs"
            ),
            Budget::Rigorous,
        ),
        Budget::Rigorous => return Vec::new(),
    };
    vec![(what, Reason::Budget { from })]
}

fn series((workers, own): (usize, bool)) -> String {
    let policy = if own { "own" } else { "other" };
    format!("throughput.{policy}.{workers}")
}

fn rows(effort: &Effort) -> Vec<RowSpec> {
    let other = policy_name(effort.other_instance());
    let row = |(workers, own): (usize, bool)| {
        let plural = if workers == 1 { "worker" } else { "workers" };
        let mut title = format!("throughput, {workers} {plural}");
        if !own {
            title = format!("{title}, {other} instances");
        }
        let series = series((workers, own));
        let row = RowSpec::rate("throughput", title, series, Unit::JobsPerSecond)
            .at("workers", workers as u64);
        if own { row } else { row.at("instance", other) }
    };
    loads(effort).into_iter().map(row).collect()
}

struct Throughput<'b> {
    bench: &'b Bench,
    pools: Vec<((usize, bool), Pool)>,
    checked: Checked,
    samples: Samples,
}

fn prepare(bench: &Bench) -> Result<Box<dyn Stage + '_>, String> {
    let effort = bench.effort();
    let mut pools = Vec::new();
    for load in loads(&effort) {
        let policy = policy(&effort, load.1);
        let builder = bench.builder(&bench.guest, load.0).instance(policy);
        let pool = builder.build().map_err(|error| error.to_string())?;
        pools.push((load, pool));
    }
    let mut warm: Vec<Ticket> = Vec::new();
    for ((workers, own), pool) in &pools {
        // All have started, so that each takes its share of what follows.
        staffed(pool, *workers)?;
        let jobs = match policy(&effort, *own) {
            _ if effort.is_short() => 2 * workers,
            // Workers that keep their instance each make it first.
            InstancePolicy::Reused => *workers,
            InstancePolicy::Fresh => 0,
        };
        for place in 0..jobs {
            let ticket = pool.submit(bench.job(place));
            warm.push(ticket.map_err(|error| error.to_string())?);
        }
    }
    for ticket in warm {
        reply_of(ticket.wait())?;
    }
    Ok(Box::new(Throughput {
        bench,
        pools,
        checked: Checked::default(),
        samples: Samples::default(),
    }))
}

fn policy(effort: &Effort, own: bool) -> InstancePolicy {
    match own {
        true => effort.instance,
        false => effort.other_instance(),
    }
}

/// Replies that may wait to be looked at, for each worker: enough that none ever waits for the main
/// thread.
const WINDOW: usize = 4;

impl Stage for Throughput<'_> {
    fn segment(&mut self, place: usize) -> Result<(), String> {
        let effort = self.bench.effort();
        let (load, pool) = &self.pools[place % self.pools.len()];
        // As many jobs for each CPU that works, or the last ones of a load would run alone.
        let each = effort.fit(1.5 * effort.job, 2, 1000);
        let jobs = (each * load.0.min(effort.cpus)).next_multiple_of(load.0);
        let window = (WINDOW * load.0).max(64);
        let submit = |place| {
            pool.submit(self.bench.job(place))
                .map_err(|error| error.to_string())
        };
        let mut replies = Vec::with_capacity(jobs);
        let mut waiting = VecDeque::with_capacity(window);
        let start = Instant::now();
        for place in 0..jobs {
            if waiting.len() == window {
                replies.extend(waiting.pop_front().map(Ticket::wait));
            }
            waiting.push_back(submit(load.0 + place)?);
        }
        replies.extend(waiting.into_iter().map(Ticket::wait));
        let seconds = self.bench.stop(start);
        // Where several workers keep their instances, it is chance which of them gives a reply.
        let is_chance = load.0 > 1 && policy(&effort, load.1) == InstancePolicy::Reused;
        for completion in replies {
            let reply = reply_of(completion)?;
            if !is_chance {
                self.checked.reply("throughput", &reply);
            }
        }
        #[expect(clippy::cast_precision_loss, reason = "fewer than 2^52 jobs")]
        self.samples.add(&series(*load), jobs as f64 / seconds);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Samples, String> {
        Ok(Samples {
            replies: self.checked.digests(),
            ..self.samples
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_go_up_to_twice_the_cpus() {
        assert_eq!(widths(1), [1, 2]);
        assert_eq!(widths(2), [1, 2, 4]);
        assert_eq!(widths(6), [1, 2, 4, 6, 12]);
    }

    #[test]
    fn both_kinds_of_instances_are_seen_on_all_numbers_of_workers_by_who_has_the_time() {
        let of = |budget| {
            let effort = Effort {
                budget,
                ..Effort::default()
            };
            loads(&effort)
        };
        let own = [(1, true), (2, true), (4, true)];
        assert_eq!(of(Budget::Quick), own[..2]);
        assert_eq!(of(Budget::Default), [&own[..], &[(2, false)]].concat());
        let other = [(1, false), (2, false), (4, false)];
        assert_eq!(of(Budget::Rigorous), [own, other].concat());
    }
}

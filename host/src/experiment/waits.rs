//! What do the link, and the way of waiting, make of a message?
//!
//! *Arms*: a warm pool of one worker that runs `@echo` with a reused instance, in a thread and in a process;
//! both sides look for each other all the time (spin), or are woken (park); and a process that is reached
//! over a socket pair instead of shared memory. *Stopwatch*: the trial's main thread, from handing in 64 B (with
//! --rigorous also nothing, and up to 1 MiB) until it holds the reply, one at a time. Each reply is compared with its payload, outside of the timed
//! span. *Expectation*: who looks all the time is answered within a microsecond or two, in both isolations,
//! as long as every one that looks has a CPU of its own; who is woken pays for the waking, which is the same
//! for a thread and a process.
//!
//! A worker that looks keeps a CPU busy also while it has nothing to do, so each arm is measured while no
//! other one is there.

use std::time::Instant;

use super::message::{payload, same};
use super::trial::{Bench, built_in, reply_of};
use super::{Arm, Budget, Effort, Part, PartWork, Reason, RowSpec, Samples, Stage};
use crate::job::Job;
use crate::pool::Pool;
use crate::runtime::InstancePolicy;
use crate::units::ByteSize;

pub(super) static WAITS: Part = Part {
    experiment: "message",
    name: "waits",
    question: "What do the link, and the way of waiting, make of a message?",
    arms: |_| {
        &[
            Arm::ThreadPark,
            Arm::ProcessPark,
            Arm::Control,
            Arm::ThreadSpin,
            Arm::ProcessSpin,
            Arm::Pipe,
        ]
    },
    twin: Arm::ThreadPark,
    weight: 0.7,
    core: 6,
    most: [8, 20, 60],
    rows,
    left_out,
    work: PartWork::Alone { prepare },
};

/// The message that everybody looks at.
const BYTES: usize = 64;

/// Bytes there and back, and how many round trips are counted in a round.
const SHORT: [(usize, usize); 1] = [(BYTES, 400)];

/// The same where there is time. Every rung takes some tens of milliseconds.
const LADDER: [(usize, usize); 5] = [
    (0, 400),
    (BYTES, 400),
    (4 << 10, 400),
    (64 << 10, 200),
    (1 << 20, 40),
];

fn ladder(effort: &Effort) -> &'static [(usize, usize)] {
    match effort.budget {
        Budget::Quick | Budget::Default => &SHORT,
        Budget::Rigorous => &LADDER,
    }
}

/// One round trip of so many is made before, for caches that are cold.
const BEFORE: usize = 8;

fn series(bytes: usize) -> String {
    format!("short.{bytes}")
}

fn rows(effort: &Effort) -> Vec<RowSpec> {
    let mut rows = Vec::new();
    for &(bytes, _) in ladder(effort) {
        let size = ByteSize::from_bytes(bytes as u64);
        let row = |wait: &'static str, words: &str, above, below| {
            let title = format!("{size}, {words}");
            RowSpec::seconds("short_trip", title, series(bytes))
                .at("payload", bytes as u64)
                .at("wait", wait)
                .comparing(above, below)
        };
        rows.extend([
            row("park", "woken", Arm::ProcessPark, Arm::ThreadPark),
            row("spin", "looking", Arm::ProcessSpin, Arm::ThreadSpin),
            row("park", "woken, by pipe", Arm::Pipe, Arm::ThreadPark).at("link", "pipe"),
        ]);
    }
    rows
}

fn left_out(effort: &Effort) -> Vec<(String, Reason)> {
    let from = Budget::Rigorous;
    let what = "other messages than of 64 B, looking and woken".to_owned();
    match effort.budget {
        Budget::Quick | Budget::Default => vec![(what, Reason::Budget { from })],
        Budget::Rigorous => Vec::new(),
    }
}

struct Waits<'b> {
    bench: &'b Bench,
    pool: Pool,
    samples: Samples,
}

fn prepare(bench: &Bench) -> Result<Box<dyn Stage + '_>, String> {
    let builder = bench
        .builder(&built_in("echo")?, 1)
        .limits(bench.roomy())
        .instance(InstancePolicy::Reused);
    let stage = Waits {
        bench,
        pool: builder.build().map_err(|error| error.to_string())?,
        samples: Samples::default(),
    };
    stage.trip(BYTES)?;
    Ok(Box::new(stage))
}

impl Waits<'_> {
    fn trip(&self, bytes: usize) -> Result<f64, String> {
        let job = Job::new(payload(bytes));
        let kept = job.clone();
        let start = Instant::now();
        let completion = self.pool.call(job).map_err(|error| error.to_string())?;
        let seconds = self.bench.stop(start);
        same(reply_of(completion)?.output.as_slice(), kept.input())?;
        Ok(seconds)
    }
}

impl Stage for Waits<'_> {
    fn segment(&mut self, _: usize) -> Result<(), String> {
        for &(bytes, counted) in ladder(&self.bench.effort()) {
            for _ in 0..counted.div_ceil(BEFORE) {
                self.trip(bytes)?;
            }
            for _ in 0..counted {
                let seconds = self.trip(bytes)?;
                self.samples.add(&series(bytes), seconds);
            }
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Samples, String> {
        Ok(self.samples)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_sizes_are_for_those_who_have_the_time() {
        let payloads = |budget| {
            let effort = Effort {
                budget,
                ..Effort::default()
            };
            let ladder = ladder(&effort).iter().map(|&(bytes, _)| bytes);
            (ladder.collect::<Vec<_>>(), left_out(&effort).len())
        };
        assert_eq!(payloads(Budget::Default), (vec![64], 1));
        let all = vec![0, 64, 4096, 65536, 1 << 20];
        assert_eq!(payloads(Budget::Rigorous), (all, 0));
    }
}

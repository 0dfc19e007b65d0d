//! What do the link, and the way of waiting, make of a short message?
//!
//! *Arms*: a warm pool of one worker that runs `@echo` with a reused instance, in a thread and in a process;
//! both sides look for each other all the time (spin), or are woken (park); and a process that is reached
//! over a socket pair instead of shared memory. *Stopwatch*: the trial's main thread, from handing in 64 B
//! until it holds the reply, one at a time. Each reply is compared with its payload, outside of the timed
//! span. *Expectation*: who looks all the time is answered within a microsecond or two, in both isolations,
//! as long as every one that looks has a CPU of its own; who is woken pays for the waking, which is the same
//! for a thread and a process.
//!
//! A worker that looks keeps a CPU busy also while it has nothing to do, so each arm is measured while no
//! other one is there.

use std::time::Instant;

use super::message::{payload, same};
use super::trial::{Bench, built_in, reply_of};
use super::{Arm, Effort, Part, PartWork, RowSpec, Samples, Stage};
use crate::job::Job;
use crate::pool::Pool;
use crate::runtime::InstancePolicy;

pub(super) static WAITS: Part = Part {
    experiment: "message",
    name: "waits",
    question: "What do the link, and the way of waiting, make of a short message?",
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
    work: PartWork::Alone { prepare },
};

const BYTES: usize = 64;

/// Round trips that are counted in a round, and those before them, which find cold caches.
const TRIPS: (usize, usize) = (400, 50);

fn rows(_: &Effort) -> Vec<RowSpec> {
    let row = |wait: &'static str, title: &str, above, below| {
        RowSpec::seconds("short_trip", title, "short")
            .at("payload", BYTES as u64)
            .at("wait", wait)
            .comparing(above, below)
    };
    vec![
        row("park", "64 B, woken", Arm::ProcessPark, Arm::ThreadPark),
        row("spin", "64 B, looking", Arm::ProcessSpin, Arm::ThreadSpin),
        row("park", "64 B, woken, by pipe", Arm::Pipe, Arm::ThreadPark).at("link", "pipe"),
    ]
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
    stage.trip()?;
    Ok(Box::new(stage))
}

impl Waits<'_> {
    fn trip(&self) -> Result<f64, String> {
        let job = Job::new(payload(BYTES));
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
        let (counted, before) = TRIPS;
        for _ in 0..before {
            self.trip()?;
        }
        for _ in 0..counted {
            let seconds = self.trip()?;
            self.samples.add("short", seconds);
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Samples, String> {
        Ok(self.samples)
    }
}

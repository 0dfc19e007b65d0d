//! What does it cost to talk to a worker, by the size of what is said?
//!
//! *Arms*: a warm pool of one worker that runs `@echo`, which copies its input to its reply. *Stopwatch*:
//! the trial's main thread, from handing in the payload until it holds the reply, one at a time; and, with
//! many in flight, from the first until the last. Each reply is compared with its payload, outside of the
//! timed span. *Expectation*: a process adds the waking of another process and two more copies of the
//! payload: tens of microseconds, and for megabytes the copies. One at a time, the payload is handed in by
//! [`Pool::call`]: in a process the main thread itself writes to the child and reads its reply, so that
//! both isolations hand over once in each direction. Both wait by the usual policy; what others make of it is
//! the question of `waits`.
//!
//! What the way costs for an empty guest, it costs for every guest: `crossover` is computed from these
//! rows.

use std::collections::VecDeque;
use std::time::Instant;

use super::left_out::nothing;
use super::trial::{Bench, built_in, reply_of};
use super::{Arm, Effort, Part, PartWork, RowSpec, Samples, Stage, Unit};
use crate::job::Job;
use crate::pool::{Pool, Ticket};
use crate::units::ByteSize;

pub(super) static TRIPS: Part = Part {
    experiment: "message",
    name: "trips",
    question: "What does it cost to talk to a worker, by the size of what is said?",
    arms: |_| &[Arm::Thread, Arm::Process, Arm::Control],
    twin: Arm::Thread,
    weight: 2.0,
    core: 6,
    most: [12, 40, 100],
    rows,
    left_out: nothing,
    work: PartWork::Staged {
        segments: |effort| (LADDER.len() + 1) * effort.budget.pick([4, 6, 16]),
        prepare,
    },
};

/// Bytes there and back, and how often in a segment.
const LADDER: [(usize, usize); 6] = [
    (0, 6),
    (64, 6),
    (4 << 10, 6),
    (64 << 10, 4),
    (1 << 20, 2),
    (16 << 20, 1),
];

/// Payloads from here on are tried once a round.
const LARGE: usize = 16 << 20;

fn rows(_: &Effort) -> Vec<RowSpec> {
    let mut rows: Vec<RowSpec> = LADDER
        .iter()
        .map(|&(bytes, _)| {
            let size = ByteSize::from_bytes(bytes as u64);
            RowSpec::seconds("round_trip", format!("round trip of {size}"), series(bytes))
                .at("payload", bytes as u64)
        })
        .collect();
    let jobs = RowSpec::rate(
        "jobs",
        "64 B, many in flight",
        "in_flight",
        Unit::JobsPerSecond,
    );
    rows.push(jobs.at("payload", 64));
    rows
}

fn series(bytes: usize) -> String {
    format!("trip.{bytes}")
}

/// Round trips in flight at once, and of a segment.
const IN_FLIGHT: (usize, usize) = (32, 100);

struct Trips<'b> {
    bench: &'b Bench,
    pool: Pool,
    samples: Samples,
}

fn prepare(bench: &Bench) -> Result<Box<dyn Stage + '_>, String> {
    let builder = bench.builder(&built_in("echo")?, 1).limits(bench.roomy());
    let mut stage = Trips {
        bench,
        pool: builder.build().map_err(|error| error.to_string())?,
        samples: Samples::default(),
    };
    stage.trip(64)?;
    stage.samples = Samples::default();
    Ok(Box::new(stage))
}

/// Bytes that are not all alike, so that a reply that is shifted is no match.
pub(super) fn payload(bytes: usize) -> Vec<u8> {
    (0..251).cycle().take(bytes).collect()
}

impl Trips<'_> {
    fn trip(&mut self, bytes: usize) -> Result<f64, String> {
        let job = Job::new(payload(bytes));
        let kept = job.clone();
        let start = Instant::now();
        let completion = self.pool.call(job).map_err(|error| error.to_string())?;
        let seconds = self.bench.stop(start);
        same(reply_of(completion)?.output.as_slice(), kept.input())?;
        Ok(seconds)
    }

    fn in_flight(&mut self) -> Result<(), String> {
        let (window, jobs) = IN_FLIGHT;
        let job = Job::new(payload(64));
        let mut done = Vec::with_capacity(jobs);
        let mut waiting = VecDeque::with_capacity(window);
        let start = Instant::now();
        for _ in 0..jobs {
            if waiting.len() == window {
                done.extend(waiting.pop_front().map(Ticket::wait));
            }
            let ticket = self.pool.submit(job.clone());
            waiting.push_back(ticket.map_err(|error| error.to_string())?);
        }
        done.extend(waiting.into_iter().map(Ticket::wait));
        let seconds = self.bench.stop(start);
        for completion in done {
            same(&reply_of(completion)?.output, job.input())?;
        }
        #[expect(clippy::cast_precision_loss, reason = "hundreds of jobs")]
        self.samples.add("in_flight", jobs as f64 / seconds);
        Ok(())
    }
}

pub(super) fn same(reply: &[u8], payload: &[u8]) -> Result<(), String> {
    if reply == payload {
        return Ok(());
    }
    Err(format!(
        "an echo of {} bytes is not what was sent ({} bytes)",
        reply.len(),
        payload.len()
    ))
}

impl Stage for Trips<'_> {
    fn segment(&mut self, place: usize) -> Result<(), String> {
        let rungs = LADDER.len() + 1;
        let Some(&(bytes, trips)) = LADDER.get(place % rungs) else {
            return self.in_flight();
        };
        if bytes >= LARGE && place >= rungs {
            return Ok(());
        }
        // The first after the other arms' turns finds cold caches, and is not counted.
        if bytes < LARGE {
            self.trip(bytes)?;
        }
        for _ in 0..trips {
            let seconds = self.trip(bytes)?;
            self.samples.add(&series(bytes), seconds);
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Samples, String> {
        Ok(self.samples)
    }
}

//! How long does a job take, alone, and where does the time go?
//!
//! *Arms*: a warm pool of one worker in a thread and in a process, as they are used, with the user's
//! choice of instances and with the other one; and a thread without the checks that make it
//! interruptible. *Stopwatch*: the trial's main thread, around [`Pool::call`]: until it holds the reply;
//! the next job comes only then (a closed loop: what queueing adds under load is another part). The
//! phases are told by the worker in readings of the system's monotonic clock. *Expectation*: a process
//! adds the waking of another process and two more copies of the payload, tens of microseconds; its
//! guest runs without the checks, which can win some of it back.

use std::time::{Duration, Instant};

use super::effort::policy_name;
use super::left_out::nothing;
use super::trial::{Bench, Checked, reply_of, staffed};
use super::{Arm, Budget, Effort, Part, PartWork, RowSpec, Samples, Stage};
use crate::pool::Pool;
use crate::runtime::InstancePolicy;
use crate::sys::clock;

pub(super) static LATENCY: Part = Part {
    experiment: "job",
    name: "latency",
    question: "How long does a job take, alone, and where does the time go?",
    arms: |budget| match budget {
        Budget::Quick => &[Arm::Thread, Arm::Process, Arm::Control],
        Budget::Default | Budget::Rigorous => {
            &[Arm::Thread, Arm::Process, Arm::Control, Arm::Unmetered]
        }
    },
    twin: Arm::Thread,
    weight: 4.0,
    core: 6,
    most: [16, 60, 200],
    rows,
    left_out: nothing,
    work: PartWork::Staged {
        segments: |effort| effort.segments(2 * effort.jobs_in_a_row()),
        prepare,
    },
};

/// Where the time of a job goes, in order.
///
/// `queue` is the pool's queue with the wake-up of the thread that takes the job, which in a process is the
/// caller's own: nothing is handed over there; `copy-in` and `copy-out` are the way to the worker and back,
/// its wake-up included; `instantiate` and `release` are what of that is left to the job, nothing where both
/// are done between the jobs; `wake` is the wake-up of whoever waits for the reply, which in a process has
/// happened within `copy-out`.
const PHASES: [&str; 7] = [
    "queue",
    "copy-in",
    "instantiate",
    "call",
    "release",
    "copy-out",
    "wake",
];

fn rows(effort: &Effort) -> Vec<RowSpec> {
    let other = policy_name(effort.other_instance());
    let mut rows = vec![RowSpec::seconds("p50", "job, p50", "own")];
    // A quantile far out needs samples beyond it.
    let samples = effort.jobs_in_a_row() * effort.segments(2 * effort.jobs_in_a_row());
    if samples >= 10 {
        rows.push(RowSpec::seconds("p90", "job, p90", "own").quantile(0.9));
    }
    if samples >= 100 {
        rows.push(RowSpec::seconds("p99", "job, p99", "own").quantile(0.99));
    }
    let unmetered = RowSpec::seconds("unmetered", "job, no checks in either", "own");
    if LATENCY.arms(effort.budget).contains(&Arm::Unmetered) {
        rows.push(unmetered.comparing(Arm::Process, Arm::Unmetered));
    }
    rows.push(
        RowSpec::seconds("p50", format!("job, p50, {other} instance"), "other")
            .at("instance", other),
    );
    rows.extend(PHASES.map(|phase| {
        let title = format!("of a job: {phase}");
        RowSpec::seconds("phase", title, format!("phase.{phase}")).at("phase", phase)
    }));
    rows
}

struct Latency<'b> {
    bench: &'b Bench,
    own: Pool,
    other: Pool,
    jobs: usize,
    checked: Checked,
    samples: Samples,
}

fn prepare(bench: &Bench) -> Result<Box<dyn Stage + '_>, String> {
    let other = bench.builder(&bench.guest, 1);
    let other = other.instance(bench.effort().other_instance()).build();
    let mut stage = Latency {
        bench,
        own: bench.pool(&bench.guest, 1)?,
        other: other.map_err(|error| error.to_string())?,
        jobs: bench.effort().jobs_in_a_row(),
        checked: Checked::default(),
        samples: Samples::default(),
    };
    // What waits for a worker to start, or makes an instance that is kept, is not counted.
    staffed(&stage.own, 1)?;
    staffed(&stage.other, 1)?;
    let short = bench.effort().is_short();
    if short || bench.effort().instance == InstancePolicy::Reused {
        stage.own(0)?;
    }
    if short || bench.effort().instance == InstancePolicy::Fresh {
        stage.other(0)?;
    }
    stage.samples = Samples::default();
    Ok(Box::new(stage))
}

impl Latency<'_> {
    fn own(&mut self, place: usize) -> Result<(), String> {
        let job = self.bench.job(place);
        let submitted = clock::monotonic();
        let start = Instant::now();
        let completion = self.own.call(job).map_err(|error| error.to_string())?;
        let seconds = self.bench.stop(start);
        self.samples.add("own", seconds);
        let taken_up = submitted + completion.queued;
        let ended = taken_up + completion.wall;
        let reply = reply_of(completion)?;
        let phases = reply.phases;
        let guest = phases.instantiate + phases.call + phases.release;
        let back = seconds - (ended - submitted).as_secs_f64();
        let seconds = [
            taken_up - submitted,
            phases.received.saturating_sub(taken_up),
            phases.instantiate,
            phases.call,
            phases.release,
            ended.saturating_sub(phases.received + guest),
        ];
        let seconds = seconds
            .iter()
            .map(Duration::as_secs_f64)
            .chain([back.max(0.0)]);
        for (phase, seconds) in PHASES.iter().zip(seconds) {
            self.samples.add(&format!("phase.{phase}"), seconds);
        }
        self.checked.reply("own", &reply);
        Ok(())
    }

    fn other(&mut self, place: usize) -> Result<(), String> {
        let job = self.bench.job(place);
        let start = Instant::now();
        let completion = self.other.call(job).map_err(|error| error.to_string())?;
        let seconds = self.bench.stop(start);
        self.samples.add("other", seconds);
        self.checked.reply("other", &reply_of(completion)?);
        Ok(())
    }
}

impl Stage for Latency<'_> {
    fn segment(&mut self, place: usize) -> Result<(), String> {
        for job in 0..self.jobs {
            self.own(1 + place * self.jobs + job)?;
        }
        for job in 0..self.jobs {
            self.other(1 + place * self.jobs + job)?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Samples, String> {
        Ok(Samples {
            replies: self.checked.digests(),
            ..self.samples
        })
    }
}

//! How long does a job take when jobs keep coming?
//!
//! *Arms*: a warm pool of one worker, to which jobs come by a fixed schedule, at 50, 80 and 95 %
//! of what one caller and one thread worker can do together, one job after the other, as the first jobs
//! showed; the schedule is the same for every arm. *Stopwatch*: the trial's main
//! thread, which sends a job when it is due, or as soon as the one before is answered. The *corrected*
//! latency counts from when the job was due; the *uncorrected* one from when it was sent, and so forgets
//! what it kept waiting: coordinated omission (Tene, "How NOT to measure latency", 2013). With one worker
//! that takes jobs in order, the corrected latency is that of an open loop. *Expectation*: as for a job
//! alone, until a hiccup makes others wait; then the two ways of counting differ, in both isolations.

use std::time::{Duration, Instant};

use super::left_out::nothing;
use super::trial::{Bench, Checked, reply_of};
use super::{Arm, Effort, Part, PartWork, RowSpec, Samples, Stage};
use crate::pool::Pool;

pub(super) static LOAD: Part = Part {
    experiment: "job",
    name: "load",
    question: "How long does a job take when jobs keep coming?",
    arms: |_| &[Arm::Thread, Arm::Process, Arm::Control],
    twin: Arm::Thread,
    weight: 1.5,
    core: 0,
    most: [6, 12, 40],
    rows,
    left_out: nothing,
    work: PartWork::Staged {
        segments: |_| RATES.len(),
        prepare,
    },
};

/// Per cent of what one thread worker can do alone.
const RATES: [u64; 3] = [50, 80, 95];

fn rows(effort: &Effort) -> Vec<RowSpec> {
    let mut rows = Vec::new();
    for rate in RATES {
        for (metric, quantile) in [("load_p50", 0.5), ("load_p99", 0.99)] {
            // A quantile far out needs samples beyond it.
            if quantile > 0.9 && jobs(effort, rate) < 100 {
                continue;
            }
            for timing in ["corrected", "uncorrected"] {
                let short = metric.trim_start_matches("load_");
                let title = format!("at {rate} % load, {short}, {timing}");
                let row = RowSpec::seconds(metric, title, format!("load.{rate}.{timing}"));
                rows.push(row.at("load", rate).at("timing", timing).quantile(quantile));
            }
        }
    }
    rows
}

/// Seconds from one job to the next.
fn gap(effort: &Effort, rate: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "per cent")]
    let rate = rate as f64;
    100.0 * effort.trip / rate
}

/// Jobs of one schedule.
fn jobs(effort: &Effort, rate: u64) -> usize {
    // With jobs so long that a schedule has few of them, three rates of five jobs each are a second.
    let least = effort.budget.pick([3, 3, 5]);
    effort.fit(0.5 * gap(effort, rate), least, 500)
}

struct Load<'b> {
    bench: &'b Bench,
    pool: Pool,
    checked: Checked,
    samples: Samples,
}

fn prepare(bench: &Bench) -> Result<Box<dyn Stage + '_>, String> {
    let pool = bench.pool(&bench.guest, 1)?;
    let mut checked = Checked::default();
    let first = pool
        .submit(bench.job(0))
        .map_err(|error| error.to_string())?;
    checked.reply("load", &reply_of(first.wait())?);
    Ok(Box::new(Load {
        bench,
        pool,
        checked,
        samples: Samples::default(),
    }))
}

/// Below this the scheduler of the system is too coarse to sleep.
const COARSE: Duration = Duration::from_micros(200);

fn wait_until(due: Instant) {
    loop {
        match due.saturating_duration_since(Instant::now()) {
            Duration::ZERO => return,
            left if left > COARSE => std::thread::sleep(left - COARSE),
            _ => std::hint::spin_loop(),
        }
    }
}

impl Stage for Load<'_> {
    fn segment(&mut self, place: usize) -> Result<(), String> {
        let effort = self.bench.effort();
        let rate = RATES[place % RATES.len()];
        let gap = Duration::from_secs_f64(gap(&effort, rate));
        let jobs = jobs(&effort, rate);
        let mut replies = Vec::with_capacity(jobs);
        let begin = Instant::now();
        let mut due = begin;
        for place in 0..jobs {
            due += gap;
            wait_until(due);
            let job = self.bench.job(place);
            let sent = Instant::now();
            let ticket = self.pool.submit(job).map_err(|error| error.to_string())?;
            replies.push(ticket.wait());
            let uncorrected = self.bench.stop(sent);
            let late = sent.saturating_duration_since(due).as_secs_f64();
            self.samples
                .add(&format!("load.{rate}.uncorrected"), uncorrected);
            self.samples
                .add(&format!("load.{rate}.corrected"), late + uncorrected);
        }
        for completion in replies {
            self.checked.reply("load", &reply_of(completion)?);
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

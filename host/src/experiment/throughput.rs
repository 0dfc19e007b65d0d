//! How many jobs a second, on one worker and on all CPUs?
//!
//! *Arms*: a warm pool of one worker, and one of as many workers as there are CPUs. *Stopwatch*: the
//! trial's main thread, from handing in the first of a fixed number of jobs until it holds the last
//! reply; the queue is never empty in between. *Expectation*: CPU-bound guests run equally fast;
//! with tiny jobs the thread wins.

use std::collections::VecDeque;
use std::time::Instant;

use super::trial::{Bench, Checked, reply_of};
use super::{Experiment, Metric, Samples, Unit};
use crate::stats::Better;

pub(super) static THROUGHPUT: Experiment = Experiment {
    name: "throughput",
    question: "How many jobs a second, on one worker and on all CPUs?",
    metrics: &[
        Metric {
            name: "jobs_one_worker",
            title: "throughput, 1 worker",
            unit: Unit::JobsPerSecond,
            better: Better::Higher,
            series: "one",
            quantile: 0.5,
        },
        Metric {
            name: "jobs_all_cpus",
            title: "throughput, all CPUs",
            unit: Unit::JobsPerSecond,
            better: Better::Higher,
            series: "all",
            quantile: 0.5,
        },
    ],
    measure,
};

fn measure(bench: &Bench) -> Result<Samples, String> {
    let mut checked = Checked::default();
    let one = load(bench, 1, bench.effort.load_jobs, &mut checked)?;
    let all = load(
        bench,
        bench.effort.cpus,
        bench.effort.load_jobs_all,
        &mut checked,
    )?;
    Ok(Samples::with(
        [("one", vec![one]), ("all", vec![all])],
        checked.digest(),
    ))
}

/// Replies that may wait to be looked at: enough that no worker ever waits for the main thread.
const WINDOW: usize = 64;

fn load(bench: &Bench, workers: usize, jobs: usize, checked: &mut Checked) -> Result<f64, String> {
    let pool = bench.pool(&bench.guest, workers)?;
    let submit = |place| {
        pool.submit(bench.job(place))
            .map_err(|error| error.to_string())
    };
    // One job for each worker first, so that all have started.
    let warm: Vec<_> = (0..workers).map(submit).collect::<Result<_, _>>()?;
    for ticket in warm {
        checked.reply(&reply_of(ticket.wait())?);
    }
    let mut replies = Vec::with_capacity(jobs);
    let mut waiting = VecDeque::with_capacity(WINDOW);
    let start = Instant::now();
    for place in 0..jobs {
        if waiting.len() == WINDOW {
            replies.extend(waiting.pop_front().map(crate::pool::Ticket::wait));
        }
        waiting.push_back(submit(workers + place)?);
    }
    replies.extend(waiting.into_iter().map(crate::pool::Ticket::wait));
    let taken = start.elapsed();
    for completion in replies {
        checked.reply(&reply_of(completion)?);
    }
    #[expect(clippy::cast_precision_loss, reason = "fewer than 2^52 jobs")]
    Ok(jobs as f64 / taken.as_secs_f64())
}

//! How long does a job take, alone?
//!
//! *Arms*: a pool of one worker that is already warm. *Stopwatch*: the trial's main thread, from
//! handing in a job until it holds the reply; the next job comes only then (a closed loop: what
//! queueing adds under load is another question). *Expectation*: a process adds two passages through
//! the kernel and two more copies of the payload, tens of microseconds; its guest runs without the
//! checks that make a thread interruptible, which can win some of it back.

use std::time::Instant;

use super::trial::{Bench, Checked, reply_of};
use super::{Experiment, Metric, Samples, Unit};
use crate::guest::Guest;
use crate::job::Job;
use crate::stats::Better;

pub(super) static LATENCY: Experiment = Experiment {
    name: "latency",
    question: "How long does a job take, alone?",
    metrics: &[
        row("job_p50", "job latency, p50", "job", 0.5),
        row("job_p90", "job latency, p90", "job", 0.9),
        row("job_p99", "job latency, p99", "job", 0.99),
        row("echo_p50", "round trip of 64 B", "echo", 0.5),
    ],
    measure,
};

const fn row(
    name: &'static str,
    title: &'static str,
    series: &'static str,
    quantile: f64,
) -> Metric {
    Metric {
        name,
        title,
        unit: Unit::Seconds,
        better: Better::Lower,
        series,
        quantile,
    }
}

fn measure(bench: &Bench) -> Result<Samples, String> {
    let mut checked = Checked::default();
    let own = series(
        bench,
        &bench.guest,
        bench.effort.latency_jobs,
        &mut checked,
        |place| bench.job(place),
    )?;
    let echo = Guest::embedded("echo").map_err(|error| error.to_string())?;
    let payload = |_| Job::new(echo.sample().unwrap_or_default());
    let echo = series(bench, &echo, bench.effort.echo_jobs, &mut checked, payload)?;
    Ok(Samples::with(
        [("job", own), ("echo", echo)],
        checked.digest(),
    ))
}

fn series(
    bench: &Bench,
    guest: &Guest,
    jobs: usize,
    checked: &mut Checked,
    job: impl Fn(usize) -> Job,
) -> Result<Vec<f64>, String> {
    let pool = bench.pool(guest, 1)?;
    let mut seconds = Vec::with_capacity(jobs);
    // The first job waits for the worker to start, and is not counted.
    for place in 0..=jobs {
        let job = job(place);
        let start = Instant::now();
        let completion = pool.submit(job).map_err(|error| error.to_string())?.wait();
        let taken = start.elapsed();
        checked.reply(&reply_of(completion)?);
        if place > 0 {
            seconds.push(taken.as_secs_f64());
        }
    }
    Ok(seconds)
}

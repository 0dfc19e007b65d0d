//! How long until a new worker has given its first correct reply?
//!
//! *Arms*: a thread that is spawned, instantiates and runs the job; a process that is spawned,
//! loads, instantiates and runs the job. The compiled guest is at hand in both: who starts a second
//! worker does not compile again. *Stopwatch*: the trial's main thread, from asking for the worker
//! until it holds the reply. *Expectation*: a process costs the spawning of a program (about a
//! millisecond) more; for a guest with long jobs that drowns.
//!
//! The echo rows leave the guest's own work out.

use std::time::Instant;

use super::trial::{Bench, Checked, good};
use super::{Experiment, Metric, Samples, Unit};
use crate::guest::Guest;
use crate::job::{Job, Reply};
use crate::options::Isolation;
use crate::runtime::mix;
use crate::stats::Better;
use crate::worker::Maker;

pub(super) static START: Experiment = Experiment {
    name: "start",
    question: "How long until a new worker has given its first correct reply?",
    metrics: &[
        Metric {
            name: "first_reply",
            title: "start to first reply",
            unit: Unit::Seconds,
            better: Better::Lower,
            series: "first_reply",
            quantile: 0.5,
        },
        Metric {
            name: "first_echo",
            title: "start of @echo",
            unit: Unit::Seconds,
            better: Better::Lower,
            series: "first_echo",
            quantile: 0.5,
        },
    ],
    measure,
};

fn measure(bench: &Bench) -> Result<Samples, String> {
    let mut checked = Checked::default();
    let own = series(
        bench,
        &bench.guest,
        bench.effort.starts,
        &mut checked,
        |place| bench.job(place),
    )?;
    let echo = Guest::embedded("echo").map_err(|error| error.to_string())?;
    let payload = |_| Job::new(echo.sample().unwrap_or_default());
    let echo = series(
        bench,
        &echo,
        bench.effort.echo_starts,
        &mut checked,
        payload,
    )?;
    Ok(Samples::with(
        [("first_reply", own), ("first_echo", echo)],
        checked.digest(),
    ))
}

fn series(
    bench: &Bench,
    guest: &Guest,
    starts: usize,
    checked: &mut Checked,
    job: impl Fn(usize) -> Job,
) -> Result<Vec<f64>, String> {
    let recipe = bench.recipe(guest)?;
    let mut seconds = Vec::with_capacity(starts);
    // The first start warms the files and the code of both arms alike, and is not counted.
    for place in 0..=starts {
        let job = job(place).numbered(place as u64, Some(mix(bench.seed)));
        let start = Instant::now();
        let reply = match bench.isolation {
            Isolation::Thread => in_a_thread(bench, &recipe, job)?,
            Isolation::Process => recipe
                .make(place)
                .and_then(|mut worker| worker.run(&job))
                .map_err(|death| death.to_string())?,
        };
        let taken = start.elapsed();
        checked.reply(&good(reply)?);
        if place > 0 {
            seconds.push(taken.as_secs_f64());
        }
    }
    Ok(seconds)
}

fn in_a_thread(
    bench: &Bench,
    recipe: &std::sync::Arc<crate::worker::Recipe>,
    job: Job,
) -> Result<Reply, String> {
    let recipe = std::sync::Arc::clone(recipe);
    let (sender, receiver) = crossbeam_channel::bounded(1);
    std::thread::Builder::new()
        .stack_size(bench.stack())
        .spawn(move || {
            let reply = recipe.make(0).and_then(|mut worker| worker.run(&job));
            // The trial waits for it, unless it is dying.
            let _ = sender.send(reply);
        })
        .map_err(|error| error.to_string())?;
    let reply = receiver
        .recv()
        .map_err(|_| "the worker's thread panicked".to_owned())?;
    reply.map_err(|death| death.to_string())
}

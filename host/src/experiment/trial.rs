//! One fresh process that measures one arm once: `cofferdam __trial`.
//!
//! Its standard input is one line of JSON, the [`Order`], and then the bytes of the guest and of the
//! inputs. Its standard output is lines of JSON: [`Said::Progress`] while it works (containment), and
//! at the end what it measured, or why it could not.

use std::io::{self, BufRead, Read, Write};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::containment::{self, Fault, Sighting};
use super::{Arm, EXPERIMENTS, Samples};
use crate::exit_code::Exit;
use crate::guest::Guest;
use crate::job::{Job, Limits, Outcome, Reply};
use crate::options::{Isolation, LinkKind, StartMethod};
use crate::pool::{Completion, Pool};
use crate::runtime::{Artifact, Cache, InstancePolicy, Metering, Settings};
use crate::sys::child;
use crate::units::hex;
use crate::worker::{Recipe, Wishes};

/// How many jobs, starts and workers a trial uses. Both arms do the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Effort {
    /// Jobs of the closed loop.
    pub(crate) latency_jobs: usize,
    /// Echo jobs of the closed loop.
    pub(crate) echo_jobs: usize,
    /// Jobs of the load on one worker.
    pub(crate) load_jobs: usize,
    /// Jobs of the load on all CPUs.
    pub(crate) load_jobs_all: usize,
    /// Workers started, one after another.
    pub(crate) starts: usize,
    /// Workers started for the echo guest.
    pub(crate) echo_starts: usize,
    /// Workers alive at once beyond the first, for their memory.
    pub(crate) memory_workers: usize,
    /// Workers of the load on all CPUs.
    pub(crate) cpus: usize,
}

/// What the trial is to measure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Work {
    /// How long a job takes, roughly.
    Calibrate,
    /// An experiment, by its name.
    Experiment(String),
    /// What a fault does to everybody else.
    Inject(Fault),
}

/// Everything but the bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) work: Work,
    pub(super) arm: Arm,
    pub(super) effort: Effort,
    pub(super) seed: u64,
    pub(super) limits: Limits,
    pub(super) instance: InstancePolicy,
    pub(super) cache: Cache,
    /// The process that wants to know.
    pub(super) parent: u32,
    pub(super) guest_name: String,
    pub(super) guest_bytes: usize,
    pub(super) input_bytes: Vec<usize>,
}

/// A line of the trial's output.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Said {
    Progress(Sighting),
    Measured(Samples),
    Calibrated(f64),
    Failed(String),
}

/// What an experiment has to work with.
pub(super) struct Bench {
    pub(super) guest: Guest,
    pub(super) inputs: Vec<Vec<u8>>,
    pub(super) isolation: Isolation,
    pub(super) effort: Effort,
    pub(super) seed: u64,
    limits: Limits,
    instance: InstancePolicy,
    cache: Cache,
}

/// Serves as a trial: the hidden subcommand `__trial` is this function.
#[must_use]
pub fn serve_trial() -> Exit {
    let said = match listen().and_then(|(bench, order)| {
        child::die_with(order.parent).map_err(|error| error.to_string())?;
        bench.work(&order.work)
    }) {
        Ok(said) => said,
        Err(why) => Said::Failed(why),
    };
    match say(&said) {
        Ok(()) => Exit::Done,
        Err(_) => Exit::Internal,
    }
}

/// Says a line to whoever ordered the trial.
pub(super) fn say(said: &Said) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, said)?;
    out.write_all(b"\n")?;
    out.flush()
}

fn listen() -> Result<(Bench, Order), String> {
    let mut stdin = io::stdin().lock();
    let mut line = String::new();
    stdin
        .read_line(&mut line)
        .map_err(|error| error.to_string())?;
    let order: Order = serde_json::from_str(&line)
        .map_err(|error| format!("this command is cofferdam's own ({error})"))?;
    let mut take = |count: usize| {
        let mut bytes = vec![0; count];
        stdin
            .read_exact(&mut bytes)
            .map(|()| bytes)
            .map_err(|error| error.to_string())
    };
    let wasm = take(order.guest_bytes)?;
    let inputs = order
        .input_bytes
        .iter()
        .map(|&count| take(count))
        .collect::<Result<_, _>>()?;
    let bench = Bench {
        guest: Guest::from_bytes(&order.guest_name, &wasm).map_err(|error| error.to_string())?,
        inputs,
        isolation: order.arm.isolation(),
        effort: order.effort,
        seed: order.seed,
        limits: order.limits,
        instance: order.instance,
        cache: order.cache.clone(),
    };
    Ok((bench, order))
}

impl Bench {
    fn work(&self, work: &Work) -> Result<Said, String> {
        match work {
            Work::Calibrate => self.calibrate().map(Said::Calibrated),
            Work::Experiment(name) => {
                let experiment = EXPERIMENTS
                    .iter()
                    .find(|experiment| experiment.name == *name);
                let experiment =
                    experiment.ok_or_else(|| format!("no experiment is called {name}"))?;
                (experiment.measure)(self).map(Said::Measured)
            }
            Work::Inject(fault) => {
                containment::inject(self, *fault)?;
                Ok(Said::Measured(Samples::default()))
            }
        }
    }

    /// Seconds that a job takes: the quicker of two, or one alone if that took long.
    fn calibrate(&self) -> Result<f64, String> {
        let pool = self.pool(&self.guest, 1)?;
        let mut fastest = f64::INFINITY;
        for place in 0..3 {
            let completion = pool
                .submit(self.job(place))
                .map_err(|error| error.to_string())?
                .wait();
            let seconds = completion.wall.as_secs_f64();
            reply_of(completion)?;
            fastest = fastest.min(seconds);
            if seconds > 2.0 {
                break;
            }
        }
        Ok(fastest)
    }

    /// The input of the job at this place.
    pub(super) fn job(&self, place: usize) -> Job {
        Job::new(self.inputs[place % self.inputs.len()].clone())
    }

    /// A pool of this trial's isolation for any guest.
    pub(super) fn pool(&self, guest: &Guest, workers: usize) -> Result<Pool, String> {
        Pool::builder(guest.clone())
            .isolation(self.isolation)
            .workers(workers)
            .queue(workers.max(64))
            .limits(self.limits)
            .instance(self.instance)
            .seed(Some(self.seed))
            .cache(self.cache.clone())
            .build()
            .map_err(|error| error.to_string())
    }

    /// Everything that workers of this trial's isolation have in common, without a pool around.
    pub(super) fn recipe(&self, guest: &Guest) -> Result<Arc<Recipe>, String> {
        let metering = Metering::usual(self.isolation);
        let settings = Settings::new(&self.limits, metering);
        let artifact =
            Artifact::prepare(guest, settings, &self.cache).map_err(|error| error.to_string())?;
        let wishes = Wishes {
            isolation: self.isolation,
            start: StartMethod::default(),
            link: LinkKind::default(),
            limits: self.limits,
            instance: self.instance,
            worker_program: Wishes::own_program(),
        };
        Recipe::new(artifact, wishes)
            .map(Arc::new)
            .map_err(|error| error.to_string())
    }

    pub(super) fn stack(&self) -> usize {
        self.limits
            .stack
            .as_len()
            .saturating_add(crate::worker::HOST_STACK)
    }
}

/// The reply of a job that ended well; anything else fails the trial.
pub(super) fn reply_of(completion: Completion) -> Result<Reply, String> {
    good(completion.result.map_err(|lost| lost.to_string())?)
}

/// The same, of a worker without a pool.
pub(super) fn good(reply: Reply) -> Result<Reply, String> {
    match &reply.outcome {
        Outcome::Output => Ok(reply),
        outcome => Err(outcome.to_string()),
    }
}

/// Digests replies in the order of their jobs, outside of every timed span.
#[derive(Default)]
pub(super) struct Checked(Sha256);

impl Checked {
    pub(super) fn reply(&mut self, reply: &Reply) {
        self.0.update((reply.output.len() as u64).to_le_bytes());
        self.0.update(&reply.output);
    }

    pub(super) fn digest(self) -> String {
        hex(&self.0.finalize())
    }
}

/// How long a trial may take before it is taken to be stuck: many times what it was planned for.
pub(super) fn patience(job: Duration, effort: &Effort) -> Duration {
    let jobs = effort.latency_jobs + effort.load_jobs + effort.load_jobs_all + 2 * effort.starts;
    let jobs = u32::try_from(jobs + 4 * effort.memory_workers).unwrap_or(u32::MAX);
    Duration::from_secs(30) + job.saturating_mul(jobs).saturating_mul(5)
}

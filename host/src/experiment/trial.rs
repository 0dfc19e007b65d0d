//! One fresh process that measures one arm for one round: `cofferdam __trial`.
//!
//! Its standard input is one line of JSON, the [`Order`], then the bytes of the guest and of the
//! inputs; then a newline for each segment that it may do, and the end of the file when it is to
//! finish. Its standard output is lines of JSON, [`Said`]: that it is ready, that a segment is done, and
//! at the end what it measured, or why it could not.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::containment::{self, Sighting};
use super::scaling::{self, Cell};
use super::{Arm, Effort, Fault, PARTS, PartWork, Samples};
use crate::exit_code::Exit;
use crate::guest::{Entry, Guest};
use crate::harden::Legibility;
use crate::job::{Job, Limits, Outcome, Reply};
use crate::options::Isolation;
use crate::pool::{Completion, Pool, PoolBuilder, Surroundings};
use crate::runtime::{
    Artifact, Cache, Demand, Drill, InstancePolicy, Metering, Origin, Settings, Weight,
};
use crate::stats::median;
use crate::sys::child;
use crate::units::{ByteSize, hex};
use crate::worker::{Recipe, Wishes};

/// What the trial is to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Work {
    /// Say how long a job takes, roughly.
    Calibrate,
    /// A part, by its place in [`PARTS`].
    Part(usize),
    /// See what a fault does to everybody else.
    Inject(Fault),
    /// One cell of the scaling grid: threads of one process, without any pool.
    Cell(Cell),
}

/// Everything but the bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) work: Work,
    /// What is measured: never [`Arm::Control`], which is some other arm once more.
    pub(super) arm: Arm,
    /// Whether it is measured as the control.
    pub(super) is_control: bool,
    /// The share by which every timed span is drawn out; 0 in every honest comparison.
    pub(super) delay: f64,
    pub(super) effort: Effort,
    pub(super) seed: u64,
    pub(super) limits: Limits,
    pub(super) cache: Cache,
    /// The process that wants to know.
    pub(super) parent: u32,
    /// How a job enters the guest.
    pub(super) entry: Entry,
    pub(super) surroundings: Surroundings,
    pub(super) guest_name: String,
    pub(super) guest_bytes: usize,
    pub(super) input_bytes: Vec<usize>,
}

/// A line of the trial's output.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Said {
    /// Everything is set up; segments may begin.
    Ready,
    /// A segment is done.
    Done,
    Progress(Sighting),
    Measured(Samples),
    Calibrated(Calibration),
    Failed(String),
}

/// What the first jobs tell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Calibration {
    /// Seconds that a job takes its worker: the median; `None` if no job ended well.
    pub(super) job: Option<f64>,
    /// Seconds from handing in a job until its reply is there: the median.
    pub(super) trip: Option<f64>,
    /// Bytes of linear memory that an instance has after a job; `None` if none ended well.
    pub(super) linear_memory: Option<u64>,
    /// Inputs with which the guest failed, by their places, and how.
    pub(super) failing: Vec<(usize, String)>,
    /// Seconds that all these jobs took together, for their caller.
    pub(super) jobs: f64,
    /// Seconds that the trial took beside them: what any trial costs. Whoever ordered it knows.
    pub(super) around: f64,
}

/// Jobs of the calibration, where there are fewer inputs.
const FEW: usize = 9;
/// Workers that a trial makes without a pool around them, at the same time: more than it does.
const MOST_WORKERS: usize = 64;
/// The calibration's jobs end after this time.
const LOOK: Duration = Duration::from_secs(1);

/// What an experiment has to work with.
pub(super) struct Bench {
    pub(super) guest: Guest,
    pub(super) inputs: Vec<Vec<u8>>,
    pub(super) isolation: Isolation,
    /// The order itself, for trials that order trials.
    pub(super) order: Order,
}

/// Serves as a trial: the hidden subcommand `__trial` is this function.
#[must_use]
pub fn serve_trial() -> Exit {
    let mut stdin = io::stdin().lock();
    let said = match listen(&mut stdin).and_then(|bench| {
        child::die_with(bench.order.parent).map_err(|error| error.to_string())?;
        bench.work(&mut stdin)
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

fn listen(stdin: &mut impl BufRead) -> Result<Bench, String> {
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
    Ok(Bench {
        guest: Guest::with_entry(&order.guest_name, &wasm, order.entry.clone())
            .map_err(|error| error.to_string())?,
        inputs,
        isolation: order.arm.isolation(),
        order,
    })
}

/// Waits for leave to do the next segment; `false` when there is to be none.
fn may_go_on(stdin: &mut impl BufRead) -> Result<bool, String> {
    let mut line = String::new();
    let read = stdin.read_line(&mut line);
    read.map(|count| count > 0)
        .map_err(|error| error.to_string())
}

impl Bench {
    fn work(&self, stdin: &mut impl BufRead) -> Result<Said, String> {
        let tell = |said: &Said| say(said).map_err(|error| error.to_string());
        match &self.order.work {
            Work::Calibrate => self.calibrate().map(Said::Calibrated),
            Work::Part(place) => {
                let part = PARTS.get(*place).ok_or("no such part")?;
                let prepare = match &part.work {
                    PartWork::Staged { prepare, .. } | PartWork::Alone { prepare } => prepare,
                    PartWork::Faults => return Err(format!("{part:?} has no stages")),
                };
                let mut stage = prepare(self)?;
                tell(&Said::Ready)?;
                let mut place = 0;
                while may_go_on(stdin)? {
                    stage.segment(place)?;
                    tell(&Said::Done)?;
                    place += 1;
                }
                stage.finish().map(Said::Measured)
            }
            Work::Inject(fault) => {
                containment::inject(self, *fault)?;
                Ok(Said::Measured(Samples::default()))
            }
            Work::Cell(cell) => {
                let ready = scaling::prepare_cell(self, cell)?;
                tell(&Said::Ready)?;
                may_go_on(stdin)?;
                ready.run().map(Said::Measured)
            }
        }
    }

    /// Runs each input once, and a few jobs more, as far as the time goes.
    fn calibrate(&self) -> Result<Calibration, String> {
        let builder = self.builder(&self.guest, 1).drill(Some(Drill::Weigh));
        let pool = builder.build().map_err(|error| error.to_string())?;
        let scales = Scales::default();
        let began = Instant::now();
        let (mut jobs, mut trips) = (Vec::new(), Vec::new());
        let mut failing = Vec::new();
        let mut together = 0.0;
        let least = self.inputs.len().max(FEW);
        for place in 0..least {
            if place > 0 && began.elapsed() > LOOK {
                break;
            }
            let job = match place {
                // It is not timed as a trip.
                0 => scales.under(self.job(0)),
                _ => self.job(place),
            };
            let start = Instant::now();
            let ticket = pool.submit(job);
            let completion = ticket.map_err(|error| error.to_string())?.wait();
            let trip = start.elapsed().as_secs_f64();
            together += trip;
            let job = completion.wall.as_secs_f64();
            match reply_of(completion) {
                Ok(_) => {
                    jobs.push(job);
                    // The first waits for the worker to start.
                    if place > 0 || least == 1 {
                        trips.push(trip);
                    }
                }
                Err(why) if place < self.inputs.len() => failing.push((place, why)),
                Err(_) => {}
            }
        }
        let job = median(&jobs);
        Ok(Calibration {
            job,
            trip: median(&trips).or(job),
            linear_memory: scales.weight().map(|weight| weight.after),
            failing,
            jobs: together,
            around: 0.0,
        })
    }

    pub(super) fn effort(&self) -> Effort {
        self.order.effort
    }

    /// The input of the job at this place.
    pub(super) fn job(&self, place: usize) -> Job {
        Job::new(self.inputs[place % self.inputs.len()].clone())
    }

    /// The time since `start`, which ends here.
    pub(super) fn stop(&self, start: Instant) -> f64 {
        let taken = start.elapsed();
        if self.order.delay == 0.0 {
            return taken.as_secs_f64();
        }
        let until = taken.mul_f64(1.0 + self.order.delay);
        while start.elapsed() < until {
            std::hint::spin_loop();
        }
        start.elapsed().as_secs_f64()
    }

    pub(super) fn metering(&self) -> Metering {
        match self.order.arm {
            Arm::Unmetered | Arm::Fuel => Metering::Unmetered,
            _ => Metering::usual(self.isolation),
        }
    }

    /// The user's limits, with fuel where the arm counts it.
    pub(super) fn limits(&self) -> Limits {
        let mut limits = self.order.limits;
        if self.order.arm == Arm::Fuel {
            // More than any job burns, so that it is counted and never runs out.
            limits.fuel = limits.fuel.or(Some(u64::MAX / 2));
        }
        limits
    }

    /// Limits for the built-in guests, whose messages may be larger than what the user allows.
    pub(super) fn roomy(&self) -> Limits {
        Limits {
            memory: self.order.limits.memory.max(ByteSize::from_mib(64)),
            output: ByteSize::from_mib(64),
            input: ByteSize::from_mib(64),
            timeout: Some(Duration::from_secs(60)),
            // What the user grants his own guest is not measured by these.
            fuel: self.limits().fuel.filter(|_| self.order.arm == Arm::Fuel),
            ..self.limits()
        }
    }

    /// Whether it is the guest that is compared, and none of the experiments' own.
    fn is_own(&self, guest: &Guest) -> bool {
        std::ptr::eq(guest.wasm(), self.guest.wasm())
    }

    /// A pool of this trial's arm for any guest, to be changed further.
    pub(super) fn builder(&self, guest: &Guest, workers: usize) -> PoolBuilder {
        let way = self.order.arm.way();
        let builder = Pool::builder(guest.clone());
        let builder = match self.is_own(guest) {
            true => builder.surroundings(self.order.surroundings.clone()),
            false => builder,
        };
        builder
            .isolation(way.isolation)
            .start(way.start)
            .link(way.link)
            .wait(way.wait)
            .metering(self.metering())
            .workers(workers)
            .queue((4 * workers).max(64))
            .limits(self.limits())
            .instance(self.order.effort.instance)
            .hardening(self.order.effort.hardening)
            // Whoever is not root may measure only what lets him.
            .legibility(Legibility::Open)
            .seed(Some(self.order.seed))
            .cache(self.order.cache.clone())
    }

    /// A pool of this trial's arm for any guest.
    pub(super) fn pool(&self, guest: &Guest, workers: usize) -> Result<Pool, String> {
        let builder = self.builder(guest, workers);
        builder.build().map_err(|error| error.to_string())
    }

    /// Everything that workers of this trial's arm have in common, without a pool around.
    pub(super) fn recipe(
        &self,
        guest: &Guest,
        instance: InstancePolicy,
    ) -> Result<Arc<Recipe>, String> {
        self.recipe_from(guest, instance, &self.order.cache, None)
    }

    /// The same, with another cache and what host code is to do besides.
    pub(super) fn recipe_from(
        &self,
        guest: &Guest,
        instance: InstancePolicy,
        cache: &Cache,
        drill: Option<Drill>,
    ) -> Result<Arc<Recipe>, String> {
        let limits = self.limits();
        let demand = Demand::of(guest, self.isolation, MOST_WORKERS);
        let settings = Settings::new(&limits, self.metering(), demand);
        let artifact = Artifact::prepare(guest, settings, cache, Origin::Own)
            .map_err(|error| error.to_string())?;
        let way = self.order.arm.way();
        let builder = self.builder(guest, 1);
        let asked = |error: crate::pool::BuildError| error.to_string();
        let wishes = Wishes {
            world: builder.world(guest).map_err(asked)?,
            isolation: way.isolation,
            start: crate::worker::Start::Only(way.start),
            link: way.link,
            wait: way.wait,
            workers: 1,
            spares: 1,
            limits,
            instance,
            drill,
            region: None,
            folders: builder.folders(guest).map_err(|error| error.to_string())?,
            hardening: self.order.effort.hardening,
            legibility: Legibility::Open,
            worker_program: Wishes::own_program(),
        };
        Recipe::new(artifact, wishes).map_err(|error| error.to_string())
    }

    pub(super) fn stack(&self) -> usize {
        self.order
            .limits
            .stack
            .as_len()
            .saturating_add(crate::worker::HOST_STACK)
    }
}

/// Waits until a pool has all its workers.
pub(super) fn staffed(pool: &Pool, workers: usize) -> Result<(), String> {
    let patience = Instant::now() + Duration::from_secs(30);
    while pool.workers().len() < workers {
        if Instant::now() > patience {
            return Err(format!("{workers} workers did not start within 30 s"));
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    Ok(())
}

/// What a worker that was made with [`Drill::Weigh`] says of its instance.
#[derive(Clone, Default)]
pub(super) struct Scales(Arc<Mutex<Option<Weight>>>);

impl Scales {
    /// The job, whose messages are listened to: the last one is the worker's own.
    pub(super) fn under(&self, job: Job) -> Job {
        let Self(last) = self.clone();
        job.on_post(move |_, message| {
            *last.lock().unwrap_or_else(PoisonError::into_inner) = Weight::from_bytes(message);
        })
    }

    pub(super) fn weight(&self) -> Option<Weight> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of the built-in guests.
pub(super) fn built_in(name: &str) -> Result<Guest, String> {
    Guest::embedded(name).map_err(|error| error.to_string())
}

/// One of the experiments' own guests.
pub(super) fn own_guest(name: &str, text: &str) -> Result<Guest, String> {
    Guest::from_bytes(name, text.as_bytes()).map_err(|error| error.to_string())
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

/// Digests the replies of each series in the order of their jobs, outside of every timed span.
#[derive(Default)]
pub(super) struct Checked(BTreeMap<&'static str, Sha256>);

impl Checked {
    pub(super) fn reply(&mut self, series: &'static str, reply: &Reply) {
        let digest = self.0.entry(series).or_default();
        digest.update((reply.output.len() as u64).to_le_bytes());
        digest.update(&reply.output);
    }

    pub(super) fn digests(self) -> BTreeMap<String, String> {
        let digests = self.0.into_iter();
        digests
            .map(|(series, digest)| (series.to_owned(), hex(&digest.finalize())))
            .collect()
    }
}

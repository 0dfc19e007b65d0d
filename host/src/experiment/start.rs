//! How long until a new worker has given its first correct reply, and where does the time go?
//!
//! *Arms*: a thread that is spawned, instantiates and runs the job; a process that is forked from one that
//! has the guest loaded, and runs the job; a process that is spawned, loads, instantiates and runs the job;
//! and one that is taken from a stock of processes which were forked ahead. With a warm cache the compiled
//! guest is at hand: who starts a second worker does not compile again. *Cold* means that there is no compiled
//! guest: it is compiled first, and nothing else differs. The page cache is warm in both: the files were
//! read a moment ago, and a first start after a boot takes longer than anything here.
//! *Stopwatch*: the trial's main thread, from asking for the worker until it holds the reply; the phases
//! are told by the worker in readings of the system's monotonic clock, which both sides share.
//! *Expectation*: a process by fork costs about as much again as a thread; by exec, the spawning of a program
//! (a millisecond and more) on top; from the stock, a wake-up. For a guest with long jobs, and beside a
//! compilation, that drowns.
//!
//! The echo rows leave the guest's own work out. The process that is forked is started before the clock
//! runs, once for all workers of a pool: what it costs is what `exec` costs. A stock is full when the clock
//! starts.

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::left_out::nothing;
use super::trial::{Bench, Checked, built_in, good};
use super::{Arm, Effort, Part, PartWork, RowSpec, Samples, Stage};
use crate::job::{Job, Reply};
use crate::options::{Isolation, StartMethod};
use crate::runtime::{Cache, mix};
use crate::sys::clock;
use crate::worker::{Recipe, Worker};

pub(super) static START: Part = Part {
    experiment: "start",
    name: "first-reply",
    question: "How long until a new worker has given its first correct reply?",
    arms: |_| {
        &[
            Arm::Thread,
            Arm::Process,
            Arm::Exec,
            Arm::Spare,
            Arm::Control,
        ]
    },
    twin: Arm::Thread,
    weight: 2.5,
    core: 6,
    most: [12, 40, 100],
    rows,
    left_out: nothing,
    work: PartWork::Staged {
        segments: |effort| effort.fit(effort.job + 0.005, 2, 12),
        prepare,
    },
};

/// Where the time of a start goes, in order.
///
/// `spawn` ends when the worker's first code runs; `load` is its engine and the guest's code together, which
/// threads share, and a worker tells only the end of both; `instantiate` is what of that is left to the job: a worker may make its first instance before that
/// comes, a thread within `rest`, a process while the job is on its way; `rest` is the hand-over of the
/// guest and of the job, and wake-ups.
const PHASES: [&str; 5] = ["spawn", "load", "instantiate", "call", "rest"];

fn rows(_: &Effort) -> Vec<RowSpec> {
    let mut rows = vec![
        RowSpec::seconds("first_reply", "first reply, warm cache", "warm").at("cache", "warm"),
        RowSpec::seconds("first_reply", "first reply, cold cache", "cold").at("cache", "cold"),
        RowSpec::seconds("first_echo", "first reply of @echo", "echo"),
    ];
    for arm in [Arm::Exec, Arm::Spare] {
        let title = format!("first reply, warm cache, by {arm}");
        let own = RowSpec::seconds("first_reply", title, "warm").at("cache", "warm");
        let title = format!("first reply of @echo, by {arm}");
        let echo = RowSpec::seconds("first_echo", title, "echo");
        let of_arm = |row: RowSpec| row.at("start", arm.name()).comparing(arm, Arm::Thread);
        rows.extend([own, echo].map(of_arm));
    }
    rows.extend(PHASES.map(|phase| {
        let title = format!("of the start of @echo: {phase}");
        RowSpec::seconds("phase", title, format!("phase.{phase}")).at("phase", phase)
    }));
    rows
}

/// Echo starts of a segment.
const ECHOES: usize = 2;

struct Starts<'b> {
    bench: &'b Bench,
    own: Arc<Recipe>,
    echo: Arc<Recipe>,
    payload: Vec<u8>,
    checked: Checked,
    samples: Samples,
}

fn prepare(bench: &Bench) -> Result<Box<dyn Stage + '_>, String> {
    let echo = built_in("echo")?;
    let instance = bench.effort().instance;
    let mut stage = Starts {
        bench,
        own: bench.recipe(&bench.guest, instance)?,
        payload: echo.sample().unwrap_or_default().to_vec(),
        echo: bench.recipe(&echo, instance)?,
        checked: Checked::default(),
        samples: Samples::default(),
    };
    // The first starts warm the files and the code of both arms alike, and are not counted.
    if bench.effort().works && bench.effort().is_short() {
        let own = Arc::clone(&stage.own);
        stage.started("warm", &own, bench.job(0))?;
    }
    stage.echo()?;
    stage.samples = Samples::default();
    Ok(Box::new(stage))
}

impl Starts<'_> {
    fn started(
        &mut self,
        series: &'static str,
        recipe: &Arc<Recipe>,
        job: Job,
    ) -> Result<Started, String> {
        let job = job.numbered(0, Some(mix(self.bench.order.seed)));
        recipe.settle();
        let asked = clock::monotonic();
        let start = Instant::now();
        let FirstReply {
            reply,
            began,
            loaded,
            worker,
        } = match self.bench.isolation {
            Isolation::Thread => in_a_thread(self.bench.stack(), recipe, job)?,
            Isolation::Process => in_a_process(recipe, &job)?,
        };
        let seconds = self.bench.stop(start);
        // The worker ends outside of this span, and before the next.
        worker.end();
        let reply = good(reply)?;
        self.checked.reply(series, &reply);
        Ok(Started {
            seconds,
            asked,
            began,
            loaded,
            reply,
        })
    }

    fn echo(&mut self) -> Result<(), String> {
        let recipe = Arc::clone(&self.echo);
        let started = self.started("echo", &recipe, Job::new(self.payload.clone()))?;
        self.samples.add("echo", started.seconds);
        let phases = started.reply.phases;
        let parts = [
            started.began.saturating_sub(started.asked),
            started.loaded.saturating_sub(started.began),
            phases.instantiate,
            phases.call,
        ];
        let rest = started.seconds - parts.iter().map(Duration::as_secs_f64).sum::<f64>();
        let seconds = parts
            .iter()
            .map(Duration::as_secs_f64)
            .chain([rest.max(0.0)]);
        for (phase, seconds) in PHASES.iter().zip(seconds) {
            self.samples.add(&format!("phase.{phase}"), seconds);
        }
        Ok(())
    }

    fn cold(&mut self) -> Result<(), String> {
        let bench = self.bench;
        let start = Instant::now();
        let instance = bench.effort().instance;
        let recipe = bench.recipe_from(&bench.guest, instance, &Cache::off(), None)?;
        let prepared = start.elapsed().as_secs_f64();
        let started = self.started("cold", &recipe, bench.job(0))?;
        self.samples.add("cold", prepared + started.seconds);
        Ok(())
    }
}

impl Stage for Starts<'_> {
    fn segment(&mut self, place: usize) -> Result<(), String> {
        for _ in 0..ECHOES {
            self.echo()?;
        }
        let usual = self.bench.order.arm.way().start == StartMethod::default();
        // The others are seen once a round: they are rows beside.
        if !self.bench.effort().works || (place > 0 && !usual) {
            return Ok(());
        }
        let own = Arc::clone(&self.own);
        // Replies are compared over the same jobs in every arm.
        let checked = if place == 0 { "warm" } else { "more" };
        let started = self.started(checked, &own, self.bench.job(place))?;
        self.samples.add("warm", started.seconds);
        // They differ in nothing that comes before there is a compiled guest.
        if place == 0 && usual {
            self.cold()?;
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

/// A worker that gave its first reply. The moments are readings of the system's monotonic clock.
struct Started {
    seconds: f64,
    asked: Duration,
    began: Duration,
    loaded: Duration,
    reply: Reply,
}

/// What a new worker gave first, and the worker itself.
struct FirstReply {
    reply: Reply,
    began: Duration,
    loaded: Duration,
    worker: Leaving,
}

/// A worker that has nothing more to do.
enum Leaving {
    Thread(JoinHandle<()>),
    Process(Box<dyn Worker>),
}

impl Leaving {
    /// Waits until it is gone.
    fn end(self) {
        match self {
            // It was heard out before, whatever became of it.
            Self::Thread(thread) => drop(thread.join()),
            Self::Process(worker) => {
                let pid = worker.pid();
                drop(worker);
                let patience = Instant::now() + Duration::from_secs(1);
                let is_there =
                    || pid.is_some_and(|pid| Path::new(&format!("/proc/{pid}")).exists());
                while is_there() && Instant::now() < patience {
                    std::thread::sleep(Duration::from_micros(50));
                }
            }
        }
    }
}

fn in_a_process(recipe: &Recipe, job: &Job) -> Result<FirstReply, String> {
    let mut worker = recipe.make(0).map_err(|death| death.to_string())?;
    let reply = worker.run(job).map_err(|death| death.to_string())?;
    let birth = worker.birth().unwrap_or_default();
    Ok(FirstReply {
        reply,
        began: birth.began,
        loaded: birth.loaded,
        worker: Leaving::Process(worker),
    })
}

fn in_a_thread(stack: usize, recipe: &Arc<Recipe>, job: Job) -> Result<FirstReply, String> {
    let recipe = Arc::clone(recipe);
    let (sender, receiver) = crossbeam_channel::bounded(1);
    let thread = std::thread::Builder::new()
        .stack_size(stack)
        .spawn(move || {
            let began = clock::monotonic();
            let made = recipe.make(0).and_then(|mut worker| {
                let reply = worker.run(&job)?;
                Ok((worker, reply))
            });
            // The trial waits for it, unless it is dying. The worker is dropped after it was told.
            let _worker = match made {
                Ok((worker, reply)) => {
                    let _ = sender.send(Ok((reply, began)));
                    Some(worker)
                }
                Err(death) => {
                    let _ = sender.send(Err(death));
                    None
                }
            };
        })
        .map_err(|error| error.to_string())?;
    let told = receiver
        .recv()
        .map_err(|_| "the worker's thread panicked".to_owned())?;
    let (reply, began) = told.map_err(|death| death.to_string())?;
    Ok(FirstReply {
        reply,
        began,
        // Its guest was loaded before: threads share it.
        loaded: began,
        worker: Leaving::Thread(thread),
    })
}

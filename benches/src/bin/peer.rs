//! `peer`: cofferdam's own arms in `benches/peers/run`, and those of wasmtime's API.
//!
//! It is driven by `benches/peers/arms.py`: a new start method, link or instance policy is an entry in
//! one of the lists here, and a line there.

use std::collections::{BTreeSet, VecDeque};
use std::fmt::Display;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand, ValueEnum};
use cofferdam::{
    Guest, InstancePolicy, Isolation, Job, LinkKind, Metering, Pool, PoolBuilder, Reply,
    StartMethod,
};
use cofferdam_benches::{ByHand, Failure, Measure, Task, answer, check, reply_in, reply_of};

/// One arm among cofferdam's peers; `benches/peers/run` is who calls this
#[derive(Debug, Parser)]
#[command(name = "peer")]
struct Order {
    #[command(subcommand)]
    arm: Arm,
}

#[derive(Debug, Subcommand)]
enum Arm {
    /// A pool of cofferdam's. What is not told is what the library does by default
    Cofferdam {
        #[command(flatten)]
        wishes: Wishes,
        #[command(flatten)]
        task: Task,
    },
    /// Wasmtime's own API: a fresh instance of the guest for each message, and no pool
    Wasmtime {
        /// On whose thread
        #[arg(long, value_enum)]
        place: Place,
        #[command(flatten)]
        task: Task,
    },
}

#[derive(Debug, Args)]
struct Wishes {
    /// Where workers live
    #[arg(long, value_parser = |typed: &str| named(typed, &[Isolation::Thread, Isolation::Process]))]
    isolation: Isolation,
    /// How process workers come to be
    #[arg(long, value_parser = |typed: &str| named(typed, &[StartMethod::Exec, StartMethod::Fork, StartMethod::Spare]))]
    start: Option<StartMethod>,
    /// How process workers are reached
    #[arg(long, value_parser = |typed: &str| named(typed, &[LinkKind::Pipe, LinkKind::Shm]))]
    link: Option<LinkKind>,
    /// Whether a message finds what the one before it left behind
    #[arg(long, value_enum)]
    instance: Option<Instance>,
    /// Which part of a start is counted
    #[arg(long, value_enum, default_value_t = Counted::Whole)]
    counted: Counted,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Instance {
    /// A new instance for each
    Fresh,
    /// One instance for all
    Reused,
}

/// Which part of a pool's start is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Counted {
    /// From the builder to the first reply
    Whole,
    /// Without what a pool does once for all its workers: setting up the compiler, and fetching the
    /// compiled guest from the cache
    Prepared,
}

/// Where wasmtime runs the guest.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Place {
    /// On the thread that wants the reply
    Here,
    /// On a new thread for each
    NewThread,
}

fn main() -> ExitCode {
    if let Some(code) = cofferdam::serve_if_worker() {
        return code;
    }
    match Order::parse().arm {
        Arm::Cofferdam { wishes, task } => answer("cofferdam", cofferdam(&wishes, &task)),
        Arm::Wasmtime { place, task } => answer("wasmtime", wasmtime(place, &task)),
    }
}

/// The choice of this name. The options' own words are the names: a choice that the library learns needs
/// one entry in a list.
fn named<T: Copy + Display>(typed: &str, choices: &[T]) -> Result<T, String> {
    let found = choices.iter().find(|choice| choice.to_string() == typed);
    found.copied().ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(ToString::to_string).collect();
        format!("there is: {}", names.join(", "))
    })
}

fn cofferdam(wishes: &Wishes, task: &Task) -> Result<Vec<Duration>, Failure> {
    let guest = Guest::embedded("echo")?;
    match task.measure {
        Measure::Start => start(&guest, wishes, task),
        Measure::Echo => echo(&guest, wishes, task),
        Measure::Throughput => throughput(&guest, wishes, task),
        Measure::Hold => hold(&guest, wishes, task),
    }
}

impl Wishes {
    fn builder(&self, guest: &Guest) -> PoolBuilder {
        let mut builder = Pool::builder(guest.clone()).isolation(self.isolation);
        if let Some(start) = self.start {
            builder = builder.start(start);
        }
        if let Some(link) = self.link {
            builder = builder.link(link);
        }
        if let Some(instance) = self.instance {
            builder = builder.instance(match instance {
                Instance::Fresh => InstancePolicy::Fresh,
                Instance::Reused => InstancePolicy::Reused,
            });
        }
        builder
    }
}

/// One message there and back: all that is timed of an echo.
fn round_trip(pool: &Pool, job: Job) -> Result<Reply, Failure> {
    reply_in(pool.call(job)?)
}

/// The pool is torn down outside the timed span.
fn start(guest: &Guest, wishes: &Wishes, task: &Task) -> Result<Vec<Duration>, Failure> {
    let payload = task.payload();
    let prepared = wishes.builder(guest).prepare()?;
    // With `fork` the process that is forked is there from now on.
    round_trip(&prepared.start()?, Job::new(payload.clone()))?;
    task.sample(|| {
        let (builder, job) = (wishes.builder(guest), Job::new(payload.clone()));
        let start = Instant::now();
        let pool = match wishes.counted {
            Counted::Whole => builder.build()?,
            Counted::Prepared => prepared.start()?,
        };
        let reply = round_trip(&pool, job)?;
        let took = start.elapsed();
        check(&payload, &reply.output)?;
        Ok(took)
    })
}

fn echo(guest: &Guest, wishes: &Wishes, task: &Task) -> Result<Vec<Duration>, Failure> {
    let pool = wishes.builder(guest).build()?;
    let job = Job::new(task.payload());
    task.echo(|| Ok(round_trip(&pool, job.clone())?.output))
}

/// As many messages on their way as were told; the replies are kept, and checked after the span.
fn throughput(guest: &Guest, wishes: &Wishes, task: &Task) -> Result<Vec<Duration>, Failure> {
    let builder = wishes.builder(guest).workers(task.workers);
    let pool = builder.queue(task.in_flight).build()?;
    let payload = task.payload();
    let job = Job::new(payload.clone());
    task.sample(|| {
        let mut tickets = VecDeque::with_capacity(task.in_flight);
        let mut replies = Vec::with_capacity(task.batch);
        let start = Instant::now();
        for _ in 0..task.batch {
            if tickets.len() >= task.in_flight
                && let Some(oldest) = tickets.pop_front()
            {
                replies.push(reply_of(oldest)?);
            }
            tickets.push_back(pool.submit(job.clone())?);
        }
        for ticket in tickets {
            replies.push(reply_of(ticket)?);
        }
        let took = start.elapsed();
        for reply in &replies {
            check(&payload, &reply.output)?;
        }
        Ok(took / u32::try_from(task.batch)?)
    })
}

/// Patience with a queue that leaves a worker out: so many jobs for each worker.
const JOBS_FOR_EACH: usize = 10_000;

/// Every worker has done a job before anybody looks at its memory.
fn hold(guest: &Guest, wishes: &Wishes, task: &Task) -> Result<Vec<Duration>, Failure> {
    let pool = wishes.builder(guest).workers(task.workers).build()?;
    let job = Job::new(task.payload());
    let mut served = BTreeSet::new();
    let mut jobs = 0;
    while served.len() < task.workers {
        let tickets: Result<Vec<_>, _> = (0..task.workers)
            .map(|_| pool.submit(job.clone()))
            .collect();
        for ticket in tickets? {
            let done = ticket.wait();
            done.result?;
            served.insert(done.worker);
        }
        jobs += task.workers;
        if jobs > JOBS_FOR_EACH * task.workers {
            return Err(format!("{} of {} workers took a job", served.len(), task.workers).into());
        }
    }
    task.hold()?;
    Ok(Vec::new())
}

/// The module is compiled and linked: what remains is a store, an instance and a call.
fn wasmtime(place: Place, task: &Task) -> Result<Vec<Duration>, Failure> {
    if !matches!(task.measure, Measure::Start | Measure::Echo) {
        return Err(task.refused());
    }
    // As a thread worker's guest is.
    let by_hand = ByHand::new(Guest::embedded("echo")?.wasm(), Metering::Interruptible)?;
    let input: Arc<[u8]> = task.payload().into();
    task.echo(|| match place {
        Place::Here => Ok(by_hand.run(&input)?.output),
        Place::NewThread => std::thread::scope(|scope| {
            let run = scope.spawn(|| by_hand.run(&input));
            let run = run.join().map_err(|_| "the thread panicked")??;
            Ok(run.output)
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_go_by_the_names_that_the_library_gives_them() {
        let choices = [Isolation::Thread, Isolation::Process];
        assert_eq!(named("process", &choices), Ok(Isolation::Process));
        assert_eq!(
            named("fiber", &choices),
            Err("there is: thread, process".to_owned())
        );
    }

    #[test]
    fn every_arm_in_this_process_echoes() {
        for arm in [
            "cofferdam --isolation thread --measure start",
            "cofferdam --isolation thread --measure echo --instance reused --bytes 65536",
            "cofferdam --isolation thread --measure throughput --workers 2",
            "wasmtime --place here --measure start",
            "wasmtime --place new-thread --measure echo",
        ] {
            let words = ["peer"].into_iter().chain(arm.split(' '));
            let brief = ["--samples", "3", "--budget", "0", "--warm-up", "0"];
            let samples = match Order::parse_from(words.chain(brief)).arm {
                Arm::Cofferdam { wishes, task } => cofferdam(&wishes, &task),
                Arm::Wasmtime { place, task } => wasmtime(place, &task),
            };
            let samples = samples.unwrap();
            assert_eq!(samples.len(), 3, "{arm}");
            assert!(samples.iter().all(|sample| !sample.is_zero()), "{arm}");
        }
    }
}

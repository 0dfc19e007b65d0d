//! `endure`: what must hold however long it goes on. No job is lost, doubled or misattributed; and what
//! comes and goes leaves nothing behind.
//!
//! These are proofs and no benchmarks: the times that they print are those of a machine that does nothing
//! else, and say nothing beside another arm.

mod fault;
mod faults;
mod footprint;
mod inject;
mod recovery;
mod roll;
mod soak;
#[path = "../../../../host/tests/differential/trial/mod.rs"]
mod trial;

use std::ops::Range;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, Parser, Subcommand};
use cofferdam::{
    Guest, InstancePolicy, Isolation, Job, LinkKind, Outcome, Pool, PoolBuilder, StartMethod,
    WaitPolicy,
};
use cofferdam_benches::arms::{kill, until};
use cofferdam_benches::{Failure, LINKS};

use footprint::Footprint;

/// Prove what must hold however long it goes on
#[derive(Debug, Parser)]
#[command(name = "endure")]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Run jobs through two workers in every combination of options, and check each reply
    Jobs(Jobs),
    /// Kill the worker and use its successor, over and over, and look for what stays behind
    Cycles(Cycles),
    /// Run random modules in threads, in processes and by wasmtime alone, and compare all that can be seen
    Differential(Differential),
    /// Run jobs of which one in a hundred comes to a bad end, and check that only that one does
    Faults(faults::Faults),
    /// Keep pools of both isolations under load with one fault a second, and look for what goes wrong or
    /// stays behind
    Soak(soak::Soak),
    /// Make faults of the catalogue happen at random, and see who survives
    Inject(inject::Inject),
    /// Measure how long it takes until all is well again after a fault, and how late a hang is noticed
    Recovery(recovery::Recovery),
    #[command(hide = true)]
    Sacrifice(inject::Sacrifice),
}

#[derive(Debug, Args)]
struct Differential {
    /// Modules
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    count: u64,
    /// The first module; the others follow
    #[arg(long, value_name = "N", default_value_t = 0)]
    seed: u64,
}

#[derive(Debug, Args)]
struct Jobs {
    /// Jobs for each combination
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    count: u64,
    /// Only combinations whose name contains this
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
}

#[derive(Debug, Args)]
struct Cycles {
    /// Kills for each combination
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    count: u64,
    /// Only combinations whose name contains this
    #[arg(long, value_name = "TEXT", default_value = "")]
    only: String,
}

/// One combination of options.
#[derive(Clone, Copy)]
struct Combination {
    isolation: Isolation,
    /// Start method and link, where the workers are processes.
    way: Option<(StartMethod, LinkKind)>,
    wait: WaitPolicy,
    instance: InstancePolicy,
}

impl Combination {
    fn all() -> Vec<Self> {
        let starts = [StartMethod::Exec, StartMethod::Fork, StartMethod::Spare];
        let ways = starts
            .into_iter()
            .flat_map(|start| LINKS.map(|link| (Isolation::Process, Some((start, link)))));
        let mut all = Vec::new();
        for (isolation, way) in std::iter::once((Isolation::Thread, None)).chain(ways) {
            for wait in [WaitPolicy::Auto, WaitPolicy::Park, WaitPolicy::Spin] {
                for instance in [InstancePolicy::Fresh, InstancePolicy::Reused] {
                    all.push(Self {
                        isolation,
                        way,
                        wait,
                        instance,
                    });
                }
            }
        }
        all
    }

    fn name(&self) -> String {
        let way = self
            .way
            .map_or(String::new(), |(start, link)| format!(" {start} {link}"));
        let instance = match self.instance {
            InstancePolicy::Fresh => "fresh",
            InstancePolicy::Reused => "reused",
        };
        format!("{}{way} {} {instance}", self.isolation, self.wait)
    }

    fn pool(&self, workers: usize) -> Result<Pool, Failure> {
        let mut builder: PoolBuilder = Pool::builder(Guest::embedded("echo")?)
            .isolation(self.isolation)
            .wait(self.wait)
            .instance(self.instance)
            .workers(workers);
        if let Some((start, link)) = self.way {
            builder = builder.start(start).link(link);
        }
        Ok(builder.build()?)
    }
}

fn main() -> ExitCode {
    if let Some(code) = inject::serve_if_rogue() {
        return code;
    }
    if let Some(code) = cofferdam::serve_if_worker() {
        return code;
    }
    let done = match Cli::parse().what {
        What::Jobs(args) => jobs(&args),
        What::Cycles(args) => cycles(&args),
        What::Differential(args) => differential(&args),
        What::Faults(args) => faults::faults(&args),
        What::Soak(args) => soak::soak(&args),
        What::Inject(args) => inject::inject(&args),
        What::Recovery(args) => recovery::measure(&args),
        What::Sacrifice(args) => return args.serve(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln(&format!("endure: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn differential(args: &Differential) -> Result<(), Failure> {
    let start = Instant::now();
    let tally = trial::compare(args.seed..args.seed + args.count, None);
    let seconds = start.elapsed().as_secs_f64();
    println(&format!("{tally} ({seconds:.0} s)"));
    Ok(tally.verdict()?)
}

/// Jobs that are handed in at once.
const CHUNK: u64 = 10_000;

fn jobs(args: &Jobs) -> Result<(), Failure> {
    every(&chosen(&args.only, |_| true)?, |combination| {
        let pool = combination.pool(2)?;
        let start = Instant::now();
        let mut next = 0;
        while next < args.count {
            let end = args.count.min(next + CHUNK);
            chunk(&pool, next..end)?;
            next = end;
        }
        let health = pool.drain();
        if (health.answered, health.died, health.failed_starts) != (args.count, 0, 0) {
            return Err(format!("{health:?}").into());
        }
        Ok(format!(
            "{} jobs, each answered once, in order, with its own reply ({:.1} s)",
            args.count,
            start.elapsed().as_secs_f64()
        ))
    })
}

/// Hands in the jobs of these numbers, and wants each one's own reply, in order.
fn chunk(pool: &Pool, numbers: Range<u64>) -> Result<(), Failure> {
    let input = |number: u64| mixed(number).to_le_bytes().to_vec();
    let batch = pool.submit_many(numbers.clone().map(|number| Job::new(input(number))))?;
    let mut expected = numbers.start;
    for completion in batch.ordered() {
        if completion.job != expected {
            return Err(format!("job {} in place of {expected}", completion.job).into());
        }
        let reply = completion.result?;
        if reply.outcome != Outcome::Output || reply.output != input(expected) {
            return Err(format!("job {expected} has another's reply, or none").into());
        }
        expected += 1;
    }
    if expected != numbers.end {
        return Err(format!("{} jobs were not answered", numbers.end - expected).into());
    }
    Ok(())
}

/// Proves something of each combination, and tells how it went. One that fails does not keep the others
/// from being looked at.
fn every(
    combinations: &[Combination],
    prove: impl Fn(&Combination) -> Result<String, Failure>,
) -> Result<(), Failure> {
    let mut failed = 0;
    for combination in combinations {
        match prove(combination) {
            Ok(proof) => println(&format!("{}: {proof}", combination.name())),
            Err(error) => {
                failed += 1;
                println(&format!("{}: FAILED: {error}", combination.name()));
            }
        }
    }
    match failed {
        0 => Ok(()),
        failed => Err(format!("{failed} of {} combinations failed", combinations.len()).into()),
    }
}

/// A number that its neighbours do not look like (Steele, Lea, Flood: `SplitMix64`, OOPSLA 2014).
fn mixed(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Cycles before the first look: caches and the allocator's arenas have their size by then.
const WARM_UP: u64 = 200;

fn cycles(args: &Cycles) -> Result<(), Failure> {
    let killable = |combination: &Combination| {
        combination.way.is_some()
            && combination.instance == InstancePolicy::Fresh
            && combination.wait == WaitPolicy::Auto
    };
    every(&chosen(&args.only, killable)?, |combination| {
        let pool = combination.pool(1)?;
        cycle(&pool, WARM_UP)?;
        let before = Footprint::settled()?;
        let start = Instant::now();
        cycle(&pool, args.count)?;
        let seconds = start.elapsed().as_secs_f64();
        let after = Footprint::settled()?;
        let looks = format!("\n  before {before}\n  after  {after}");
        match before.check(&after) {
            Ok(()) => Ok(format!("{} kills ({seconds:.1} s){looks}", args.count)),
            Err(what) => Err(format!("{what}{looks}").into()),
        }
    })
}

fn cycle(pool: &Pool, count: u64) -> Result<(), Failure> {
    for number in 0..count {
        let input = number.to_le_bytes();
        let completion = pool.submit(Job::new(input.to_vec()))?.wait();
        if completion.result?.output != input {
            return Err(format!("cycle {number} has another reply").into());
        }
        let pid = worker_of(pool)?;
        kill(pid)?;
        until("no worker came after the last one", || {
            let workers = pool.workers();
            let now = workers.first().and_then(|worker| worker.pid);
            Ok(now.filter(|&now| now != pid))
        })?;
    }
    Ok(())
}

fn worker_of(pool: &Pool) -> Result<u32, Failure> {
    let workers = pool.workers();
    let worker = workers.first().ok_or("there is no worker")?;
    Ok(worker.pid.ok_or("the worker has no process of its own")?)
}

fn chosen(only: &str, kind: impl Fn(&Combination) -> bool) -> Result<Vec<Combination>, Failure> {
    let mut all = Combination::all();
    all.retain(|combination| kind(combination) && combination.name().contains(only));
    if all.is_empty() {
        return Err(format!("no combination is called {only:?}").into());
    }
    Ok(all)
}

fn println(line: &str) {
    use std::io::Write;
    // Whoever reads may have had enough; the exit code still tells.
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn eprintln(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{line}");
}

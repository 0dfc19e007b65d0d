//! `endure faults`: so many jobs, one in a hundred of which comes to a bad end. None is lost, doubled or
//! misattributed, and the others do not notice.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::{Duration, Instant};

use clap::Args;
use cofferdam::{Completion, Isolation, Job, Outcome, Pool};
use cofferdam_benches::Failure;

use super::fault::{self, Fault};
use super::footprint::Footprint;
use super::roll::Roll;
use super::{mixed, println};

#[derive(Debug, Args)]
pub(crate) struct Faults {
    /// Jobs in each isolation
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    jobs: u64,
    /// Only this isolation
    #[arg(long, value_name = "thread|process", value_parser = isolation)]
    only: Option<Isolation>,
}

fn isolation(text: &str) -> Result<Isolation, String> {
    let both = [Isolation::Thread, Isolation::Process];
    let found = both
        .into_iter()
        .find(|isolation| isolation.to_string() == text);
    found.ok_or_else(|| "there are thread and process".to_owned())
}

/// One job in so many comes to a bad end.
const RARITY: u64 = 100;

/// Jobs that are handed in at once.
const CHUNK: u64 = 1000;

/// A job that has not ended by then is lost.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a job of this number comes to.
fn fate(number: u64, isolation: Isolation) -> Option<Fault> {
    let lot = mixed(number);
    let all = Fault::all(isolation);
    let which = usize::try_from(lot / RARITY % all.len() as u64).unwrap_or_default();
    lot.is_multiple_of(RARITY).then(|| all[which])
}

/// What a job has to give back that comes to nothing bad: some bytes that are its own.
fn own_bytes(number: u64) -> Vec<u8> {
    let length = usize::try_from(mixed(number ^ 1) % 40).unwrap_or_default();
    mixed(number).to_le_bytes().repeat(1 + length)
}

fn job(number: u64, isolation: Isolation) -> Job {
    match fate(number, isolation) {
        Some(fault) => fault.job(),
        None => Job::new([b"e".as_slice(), &own_bytes(number)].concat()),
    }
}

#[derive(Default)]
struct Tally {
    roll: Roll,
    good: u64,
    faults: BTreeMap<Fault, u64>,
    overrun: Duration,
}

impl Tally {
    fn judge(
        &mut self,
        number: u64,
        isolation: Isolation,
        completion: &Completion,
    ) -> Result<(), Failure> {
        if completion.job != number {
            return Err(format!("job {} in place of {number}", completion.job).into());
        }
        self.roll.answered(number)?;
        let Some(fault) = fate(number, isolation) else {
            return match &completion.result {
                Ok(reply)
                    if reply.outcome == Outcome::Output && reply.output == own_bytes(number) =>
                {
                    self.good += 1;
                    Ok(())
                }
                other => Err(format!(
                    "job {number}, to which nothing was done, ended with {other:.300?} by {:?}",
                    completion.worker
                )
                .into()),
            };
        };
        fault.check(completion)?;
        *self.faults.entry(fault).or_default() += 1;
        self.overrun = self.overrun.max(fault.overrun(completion));
        Ok(())
    }
}

pub(crate) fn faults(args: &Faults) -> Result<(), Failure> {
    fault::hush_panics_on_purpose();
    let both = [Isolation::Thread, Isolation::Process];
    for isolation in both
        .into_iter()
        .filter(|it| args.only.is_none_or(|only| only == *it))
    {
        let pool = fault::builder(fault::guest()?, isolation)
            .workers(2)
            .build()?;
        let mut tally = Tally::default();
        // Caches and the allocator's arenas have their size by then.
        let warm_up = CHUNK.min(args.jobs);
        run(&pool, isolation, 0..warm_up, &mut tally)?;
        let before = Footprint::settled()?;
        let start = Instant::now();
        run(&pool, isolation, warm_up..args.jobs, &mut tally)?;
        let seconds = start.elapsed().as_secs_f64();
        let after = Footprint::settled()?;
        let health = pool.drain();
        let answered = tally.roll.count()?;
        if (answered, health.answered) != (args.jobs, args.jobs) {
            return Err(
                format!("{answered} of {} jobs were answered: {health:?}", args.jobs).into(),
            );
        }
        let faults: Vec<_> = tally
            .faults
            .iter()
            .map(|(fault, count)| format!("{count} to {fault}"))
            .collect();
        println(&format!(
            "{isolation}: {answered} jobs, each answered once with what is its own: {} as if nothing had happened, \
             {} as they had to ({}); the longest overrun of a deadline: {} ms; {} workers died \
             ({seconds:.1} s)\n  before {before}\n  after  {after}",
            tally.good,
            tally.faults.values().sum::<u64>(),
            faults.join(", "),
            tally.overrun.as_millis(),
            health.died,
        ));
        before.check(&after)?;
    }
    Ok(())
}

fn run(
    pool: &Pool,
    isolation: Isolation,
    numbers: Range<u64>,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let mut next = numbers.start;
    while next < numbers.end {
        let end = numbers.end.min(next + CHUNK);
        chunk(pool, isolation, next..end, tally)?;
        next = end;
    }
    Ok(())
}

/// Hands in some jobs, in one of the ways by turns.
fn chunk(
    pool: &Pool,
    isolation: Isolation,
    numbers: Range<u64>,
    tally: &mut Tally,
) -> Result<(), Failure> {
    let make = |number| job(number, isolation);
    match numbers.start / CHUNK % 4 {
        0 => {
            let batch = pool.submit_many(numbers.clone().map(make))?;
            for (number, completion) in numbers.zip(batch.ordered()) {
                tally.judge(number, isolation, &completion)?;
            }
        }
        1 => {
            let submit = |number| Ok((number, pool.submit(make(number))?));
            let tickets: Result<Vec<_>, Failure> = numbers.map(submit).collect();
            for (number, ticket) in tickets? {
                let completion = ticket.wait_for(PATIENCE);
                let completion = completion.map_err(|_| format!("job {number} is lost"))?;
                tally.judge(number, isolation, &completion)?;
            }
        }
        2 => {
            let (sender, completions) = crossbeam_channel::unbounded();
            for number in numbers.clone() {
                let sender = sender.clone();
                // Nobody listens any more where this run has failed.
                let done = move |completion| drop(sender.send((number, completion)));
                pool.submit_with(make(number), done)?;
            }
            drop(sender);
            for _ in numbers {
                let (number, completion) = completions.recv_timeout(PATIENCE)?;
                tally.judge(number, isolation, &completion)?;
            }
            // One that is answered twice would be heard of here.
            if completions.try_recv().is_ok() {
                return Err("a job was answered twice".into());
            }
        }
        _ => {
            for number in numbers {
                let completion = pool.call(make(number))?;
                tally.judge(number, isolation, &completion)?;
            }
        }
    }
    Ok(())
}

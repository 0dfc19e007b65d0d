//! P10 and P12: many jobs at once.
//!
//! How many empty jobs a second can be handed out; and what a second worker gains where the jobs compute.
//! The null arms are bare crossbeam channels with as many threads, and native code in as many threads.

mod common;

use std::process::ExitCode;
use std::time::Instant;

use cofferdam::{Guest, InstancePolicy, Isolation, Job, Pool, Ticket};
use cofferdam_benches::arms::{
    Hash, Once, bare_threads, batch, crossbeam_batch, empty, guest_threads, native_batch,
};
use cofferdam_benches::{ECHO, pool_for, prepared_echo, reply_in};
use common::{bench, bench_alone};
use criterion::{Criterion, Throughput};

const EMPTY: usize = 1000;
const BUSY: usize = 8;
const WORK: Hash = Hash {
    memory: 256,
    passes: 16,
};

fn main() -> ExitCode {
    common::main(|criterion| {
        two_cores(criterion);
        for workers in [1, 2] {
            empty_jobs(criterion, workers);
        }
    })
}

fn two_cores(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("p10_two_cores");
    group.throughput(Throughput::Elements(BUSY as u64));
    for workers in [1, 2] {
        let name = format!("null/native-{workers}");
        bench_alone(&mut group, name, || native_batch(WORK, workers, BUSY));
        for isolation in [Isolation::Thread, Isolation::Process] {
            let make = || {
                let guest = Guest::embedded("argon2")?;
                let pool = pool_for(guest, isolation, |builder| {
                    builder.workers(workers).instance(InstancePolicy::Reused)
                })?;
                Ok((pool, WORK.job()))
            };
            bench(
                &mut group,
                format!("{isolation}-{workers}"),
                make,
                |(pool, job)| {
                    Box::new(batch(pool, job, BUSY, |reply| {
                        WORK.check("cofferdam", reply)
                    }))
                },
            );
        }
    }
    group.finish();
}

fn empty_jobs(criterion: &mut Criterion, workers: usize) {
    let mut group = criterion.benchmark_group(format!("p12_dispatch/{workers}"));
    group.throughput(Throughput::Elements(EMPTY as u64));
    let threads = || Ok(bare_threads(workers, EMPTY));
    bench(&mut group, "null/crossbeam", threads, |threads| {
        Box::new(crossbeam_batch(threads, EMPTY as u64))
    });
    let with_guest = || guest_threads(&ECHO, workers, EMPTY);
    bench(&mut group, "null/crossbeam-guest", with_guest, |threads| {
        Box::new(crossbeam_batch(threads, EMPTY as u64))
    });
    for isolation in [Isolation::Thread, Isolation::Process] {
        for (policy, instance) in [
            ("reused", InstancePolicy::Reused),
            ("fresh", InstancePolicy::Fresh),
        ] {
            let make = || {
                let change =
                    |builder: cofferdam::PoolBuilder| builder.workers(workers).instance(instance);
                Ok((prepared_echo(isolation, change)?.start()?, Job::new("")))
            };
            let name = |way| format!("{isolation}-{policy}-{way}");
            bench(&mut group, name("batch"), make, |(pool, job)| {
                Box::new(batch(pool, job, EMPTY, empty))
            });
            bench(&mut group, name("one-by-one"), make, |(pool, job)| {
                Box::new(one_by_one(pool, job))
            });
        }
    }
    group.finish();
}

/// Each job handed in for itself, then all replies taken.
fn one_by_one<'a>(pool: &'a Pool, job: &'a Job) -> impl Once + 'a {
    move || {
        let start = Instant::now();
        let tickets: Result<Vec<_>, _> = (0..EMPTY).map(|_| pool.submit(job.clone())).collect();
        let done: Vec<_> = tickets?.into_iter().map(Ticket::wait).collect();
        let took = start.elapsed();
        for completion in done {
            empty(&reply_in(completion)?.output)?;
        }
        Ok(took)
    }
}

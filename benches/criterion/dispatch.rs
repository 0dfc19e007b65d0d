//! How many jobs a second can be handed out, where the jobs themselves are nothing?
//!
//! Batches of empty echo jobs: all handed in, then all replies taken. The null arm is a bounded
//! crossbeam channel with the pool's own capacity, as many threads that take from it, and an unbounded
//! channel back.

use std::process::ExitCode;
use std::time::Duration;

use cofferdam::{Guest, InstancePolicy, Isolation, Job, Ticket};
use cofferdam_benches::{main_of_a_bench, pool_for, reply_of};
use criterion::{BenchmarkId, Criterion, Throughput};
use crossbeam_channel::{bounded, unbounded};

const BATCH: u64 = 1000;

fn main() -> ExitCode {
    main_of_a_bench(|| {
        let mut criterion = Criterion::default()
            .sample_size(20)
            .warm_up_time(Duration::from_secs(1))
            .measurement_time(Duration::from_secs(3))
            .configure_from_args();
        for workers in [1, 2] {
            dispatch(&mut criterion, workers);
        }
        criterion.final_summary();
    })
}

fn dispatch(criterion: &mut Criterion, workers: usize) {
    let mut group = criterion.benchmark_group("dispatch");
    group.throughput(Throughput::Elements(BATCH));
    group.bench_function(BenchmarkId::new("null-crossbeam", workers), |bencher| {
        let (jobs, queue) = bounded::<u64>(4 * workers);
        let (done, replies) = unbounded();
        std::thread::scope(|scope| {
            for _ in 0..workers {
                let (queue, done) = (queue.clone(), done.clone());
                scope.spawn(move || {
                    for job in queue {
                        done.send(job).unwrap();
                    }
                });
            }
            bencher.iter(|| {
                for job in 0..BATCH {
                    jobs.send(job).unwrap();
                }
                let sum: u64 = (0..BATCH).map(|_| replies.recv().unwrap()).sum();
                assert_eq!(sum, BATCH * (BATCH - 1) / 2);
            });
            // Hangs up, or the threads would wait for ever.
            drop(jobs);
        });
    });
    for isolation in [Isolation::Thread, Isolation::Process] {
        for (name, instance) in [
            ("fresh", InstancePolicy::Fresh),
            ("reused", InstancePolicy::Reused),
        ] {
            let id = BenchmarkId::new(format!("cofferdam-{isolation}-{name}"), workers);
            group.bench_function(id, |bencher| {
                let guest = Guest::embedded("echo").unwrap();
                let with =
                    |builder: cofferdam::PoolBuilder| builder.workers(workers).instance(instance);
                let pool = pool_for(guest, isolation, with).unwrap();
                let job = Job::new("");
                bencher.iter(|| {
                    let tickets: Vec<Ticket> = (0..BATCH)
                        .map(|_| pool.submit(job.clone()).unwrap())
                        .collect();
                    for ticket in tickets {
                        reply_of(ticket).unwrap();
                    }
                });
            });
        }
    }
    group.finish();
}

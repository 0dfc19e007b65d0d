//! Does a guest compute as fast in cofferdam as through wasmtime's own API?
//!
//! `call` is the time inside the guest's `handle`, by the stopwatch next to it; `whole` is the time
//! from handing a job in to holding its reply. A fresh instance for each job, one job at a time.
//! Criterion runs one arm after the other; for a ratio to cite there is the `ratio` command, which
//! runs them by turns.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cofferdam::{Isolation, Job, Metering};
use cofferdam_benches::{
    Aside, ByHand, SUBJECTS, Subject, main_of_a_bench, metering_name, pool_for, reply_of,
};
use criterion::{BenchmarkId, Criterion};

fn main() -> ExitCode {
    main_of_a_bench(|| {
        let mut criterion = Criterion::default()
            .sample_size(20)
            .warm_up_time(Duration::from_secs(1))
            .measurement_time(Duration::from_secs(3))
            .configure_from_args();
        for subject in SUBJECTS {
            for metering in [Metering::Interruptible, Metering::Unmetered] {
                call(&mut criterion, &subject, metering);
                whole(&mut criterion, &subject, metering);
            }
        }
        criterion.final_summary();
    })
}

/// Who can run a guest with this metering: in a process, metering would only cost.
fn isolations(metering: Metering) -> &'static [Isolation] {
    match metering {
        Metering::Interruptible => &[Isolation::Thread],
        Metering::Unmetered => &[Isolation::Thread, Isolation::Process],
    }
}

fn call(criterion: &mut Criterion, subject: &Subject, metering: Metering) {
    let guest = subject.guest().unwrap();
    let name = format!("guest_speed/{}/call", subject.name);
    let mut group = criterion.benchmark_group(name);
    for &isolation in isolations(metering) {
        let id = BenchmarkId::new(format!("cofferdam-{isolation}"), metering_name(metering));
        group.bench_function(id, |bencher| {
            let with = |builder: cofferdam::PoolBuilder| builder.metering(metering);
            let pool = pool_for(guest.clone(), isolation, with).unwrap();
            let job = Job::new(subject.input());
            bencher.iter_custom(|count| {
                let mut sum = Duration::ZERO;
                for _ in 0..count {
                    let reply = reply_of(pool.submit(job.clone()).unwrap()).unwrap();
                    subject.check("cofferdam", &reply.output).unwrap();
                    sum += reply.phases.call;
                }
                sum
            });
        });
    }
    let id = BenchmarkId::new("wasmtime-aside", metering_name(metering));
    group.bench_function(id, |bencher| {
        let aside = Aside::new(ByHand::new(guest.wasm(), metering).unwrap()).unwrap();
        let input: Arc<[u8]> = subject.input().into();
        bencher.iter_custom(|count| {
            let mut sum = Duration::ZERO;
            for _ in 0..count {
                let run = aside.run(&input).unwrap();
                subject.check("wasmtime", &run.output).unwrap();
                sum += run.call;
            }
            sum
        });
    });
    group.finish();
}

fn whole(criterion: &mut Criterion, subject: &Subject, metering: Metering) {
    let guest = subject.guest().unwrap();
    let name = format!("guest_speed/{}/whole", subject.name);
    let mut group = criterion.benchmark_group(name);
    for &isolation in isolations(metering) {
        let id = BenchmarkId::new(format!("cofferdam-{isolation}"), metering_name(metering));
        group.bench_function(id, |bencher| {
            let with = |builder: cofferdam::PoolBuilder| builder.metering(metering);
            let pool = pool_for(guest.clone(), isolation, with).unwrap();
            let job = Job::new(subject.input());
            bencher.iter_custom(|count| {
                let mut sum = Duration::ZERO;
                for _ in 0..count {
                    let job = job.clone();
                    let start = Instant::now();
                    let reply = reply_of(pool.submit(job).unwrap()).unwrap();
                    sum += start.elapsed();
                    subject.check("cofferdam", &reply.output).unwrap();
                }
                sum
            });
        });
    }
    let id = BenchmarkId::new("wasmtime-in-place", metering_name(metering));
    group.bench_function(id, |bencher| {
        let by_hand = ByHand::new(guest.wasm(), metering).unwrap();
        let input: Arc<[u8]> = subject.input().into();
        bencher.iter_custom(|count| {
            let mut sum = Duration::ZERO;
            for _ in 0..count {
                let start = Instant::now();
                let run = by_hand.run(&input).unwrap();
                sum += start.elapsed();
                subject.check("wasmtime", &run.output).unwrap();
            }
            sum
        });
    });
    group.finish();
}

//! How long from nothing to the first reply?
//!
//! "Ready" means that the host holds the first correct reply. The guest's compiled code is in the
//! cache. The pool is torn down outside the timed span; so are the null arms' engines.

use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cofferdam::{Isolation, Job, Metering};
use cofferdam_benches::{ByHand, SUBJECTS, Subject, main_of_a_bench, pool_for, reply_of};
use criterion::{Bencher, Criterion};

fn main() -> ExitCode {
    main_of_a_bench(|| {
        let [_, _, echo] = SUBJECTS;
        let mut criterion = Criterion::default()
            .sample_size(30)
            .warm_up_time(Duration::from_secs(1))
            .measurement_time(Duration::from_secs(3))
            .configure_from_args();
        let mut group = criterion.benchmark_group("start");
        group.bench_function("null/thread-spawn-join", |bencher| {
            bencher.iter(|| std::thread::spawn(|| ()).join().unwrap());
        });
        group.bench_function("null/posix-spawn-true-wait", |bencher| {
            bencher.iter(|| {
                let status = Command::new("/bin/true").stdin(Stdio::null()).status();
                assert!(status.unwrap().success());
            });
        });
        group.bench_function("null/wasmtime-instantiate-call", |bencher| {
            instantiate_and_call(bencher, &echo);
        });
        group.bench_function("null/thread-spawn-wasmtime-instantiate-call-join", |b| {
            spawn_instantiate_and_call(b, &echo);
        });
        for isolation in [Isolation::Thread, Isolation::Process] {
            group.bench_function(format!("cofferdam-{isolation}/whole"), |bencher| {
                first_reply(bencher, &echo, isolation, Counted::Everything);
            });
            group.bench_function(format!("cofferdam-{isolation}/prepared"), |bencher| {
                first_reply(bencher, &echo, isolation, Counted::PastPreparation);
            });
        }
        group.finish();
        criterion.final_summary();
    })
}

/// Which part of a pool's start is counted.
#[derive(Clone, Copy)]
enum Counted {
    /// From the builder to the reply.
    Everything,
    /// Without `Pool::prepared_in`: setting up the compiler and fetching the code from the cache, which
    /// a pool does once for all its workers.
    PastPreparation,
}

fn first_reply(bencher: &mut Bencher<'_>, echo: &Subject, isolation: Isolation, counted: Counted) {
    let guest = echo.guest().unwrap();
    let first = || {
        let (guest, job) = (guest.clone(), Job::new(echo.input()));
        let start = Instant::now();
        let pool = pool_for(guest, isolation, |builder| builder).unwrap();
        let reply = reply_of(pool.submit(job).unwrap()).unwrap();
        let took = start.elapsed();
        echo.check("cofferdam", &reply.output).unwrap();
        match counted {
            Counted::Everything => took,
            Counted::PastPreparation => took.saturating_sub(pool.prepared_in()),
        }
    };
    // The first one may have to compile.
    first();
    bencher.iter_custom(|count| (0..count).map(|_| first()).sum());
}

fn instantiate_and_call(bencher: &mut Bencher<'_>, echo: &Subject) {
    let by_hand = ByHand::new(echo.guest().unwrap().wasm(), Metering::Interruptible).unwrap();
    let input: Arc<[u8]> = echo.input().into();
    bencher.iter(|| by_hand.run(&input).unwrap());
}

fn spawn_instantiate_and_call(bencher: &mut Bencher<'_>, echo: &Subject) {
    let by_hand = ByHand::new(echo.guest().unwrap().wasm(), Metering::Interruptible).unwrap();
    let input: Arc<[u8]> = echo.input().into();
    bencher.iter(|| {
        std::thread::scope(|scope| {
            let run = scope.spawn(|| by_hand.run(&input).unwrap());
            run.join().unwrap()
        })
    });
}

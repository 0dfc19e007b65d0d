//! How long does a message take to a worker and back?
//!
//! One echo job at a time through a pool of one worker, a fresh instance for each. The null arms hand
//! the same bytes to a bare thread and back, once by channels and once through the kernel.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use cofferdam::{Guest, InstancePolicy, Isolation, Job};
use cofferdam_benches::{CrossbeamPong, SocketPong, main_of_a_bench, pool_for, reply_of};
use criterion::{BenchmarkId, Criterion, Throughput};

/// A small message, what a pipe holds, and what no cache near the core holds.
const SIZES: [(&str, usize); 3] = [("64B", 64), ("64KiB", 64 << 10), ("1MiB", 1 << 20)];

fn main() -> ExitCode {
    main_of_a_bench(|| {
        let mut criterion = Criterion::default()
            .sample_size(30)
            .warm_up_time(Duration::from_secs(1))
            .measurement_time(Duration::from_secs(3))
            .configure_from_args();
        for (size, length) in SIZES {
            round_trip(&mut criterion, size, length);
        }
        criterion.final_summary();
    })
}

fn round_trip(criterion: &mut Criterion, size: &str, length: usize) {
    let payload: Vec<u8> = (0..=u8::MAX).cycle().take(length).collect();
    let mut group = criterion.benchmark_group("round_trip");
    group.throughput(Throughput::Bytes(length as u64));
    group.bench_function(BenchmarkId::new("null-crossbeam", size), |bencher| {
        let pong = CrossbeamPong::new();
        let bytes: Arc<[u8]> = payload.as_slice().into();
        assert_eq!(pong.ping(&bytes).unwrap(), payload);
        bencher.iter(|| pong.ping(&bytes).unwrap());
    });
    group.bench_function(BenchmarkId::new("null-socketpair", size), |bencher| {
        let mut pong = SocketPong::new(length).unwrap();
        assert_eq!(pong.ping(&payload).unwrap(), payload);
        bencher.iter(|| pong.ping(&payload).unwrap().len());
    });
    for isolation in [Isolation::Thread, Isolation::Process] {
        for (name, instance) in [
            ("fresh", InstancePolicy::Fresh),
            ("reused", InstancePolicy::Reused),
        ] {
            let id = BenchmarkId::new(format!("cofferdam-{isolation}-{name}"), size);
            group.bench_function(id, |bencher| {
                let guest = Guest::embedded("echo").unwrap();
                let with = |builder: cofferdam::PoolBuilder| builder.instance(instance);
                let pool = pool_for(guest, isolation, with).unwrap();
                let job = Job::new(payload.clone());
                let ping = || reply_of(pool.submit(job.clone()).unwrap()).unwrap();
                assert_eq!(ping().output, payload);
                bencher.iter(|| ping().output.len());
            });
        }
    }
    group.finish();
}

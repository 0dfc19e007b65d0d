//! P11 and P13: what it takes to be rid of a worker that died, and of a guest that never returns.

mod common;

use std::process::ExitCode;
use std::time::Duration;

use cofferdam::{Guest, Isolation, Pool, StartMethod, WaitPolicy};
use cofferdam_benches::arms::{call, late, recovery, sleeper};
use cofferdam_benches::{ECHO, Failure, pool_for, prepared_echo};
use common::{bench, bench_alone};
use criterion::Criterion;

const DEADLINE: Duration = Duration::from_millis(20);

fn main() -> ExitCode {
    common::main(|criterion| {
        killed(criterion);
        runaway(criterion);
    })
}

fn killed(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("p11_killed_to_next_reply");
    let pool = |start| -> Result<Pool, Failure> {
        let change = |builder: cofferdam::PoolBuilder| builder.start(start).wait(WaitPolicy::Park);
        Ok(prepared_echo(Isolation::Process, change)?.start()?)
    };
    let warm = || pool(StartMethod::Fork);
    bench(&mut group, "null/warm-round-trip", warm, |pool| {
        Box::new(call(pool, &ECHO))
    });
    for start in [StartMethod::Spare, StartMethod::Fork, StartMethod::Exec] {
        bench(
            &mut group,
            start.to_string(),
            || pool(start),
            |pool| Box::new(recovery(pool, start, &ECHO)),
        );
    }
    group.finish();
}

/// How late the end of the job comes, after its deadline.
fn runaway(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("p13_runaway_late_by");
    bench_alone(&mut group, "null/sleep", || sleeper(DEADLINE));
    for isolation in [Isolation::Thread, Isolation::Process] {
        let make = || pool_for(Guest::embedded("spin")?, isolation, |builder| builder);
        bench(&mut group, isolation.to_string(), make, |pool| {
            Box::new(late(pool, DEADLINE))
        });
    }
    group.finish();
}

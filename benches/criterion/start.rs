//! P1 to P3: how long from nothing to the first reply?
//!
//! "Ready" means that the host holds the first correct reply. The guest is prepared, and the fork server
//! runs. `whole` is what a program pays that makes one pool: it begins with the builder, the compiled
//! code being in the cache.

mod common;

use std::cell::RefCell;
use std::process::ExitCode;
use std::time::Instant;

use cofferdam::{Isolation, Job, Metering, Prepared, StartMethod};
use cofferdam_benches::arms::{
    Forker, Node, NodeWorker, Once, Spares, first_reply, in_a_new_thread, instantiate_and_call,
    leave, spawn_true, thread_spawn_join,
};
use cofferdam_benches::{ByHand, ECHO, Failure, pool_for, prepared_echo, reply_in};
use common::{Arm, Group, bench, bench_alone};
use criterion::Criterion;

fn main() -> ExitCode {
    common::main(|criterion| {
        thread(criterion);
        process(criterion);
        spare(criterion);
    })
}

fn thread(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("p1_thread_to_first_reply");
    bench_alone(&mut group, "null/thread-spawn-join", thread_spawn_join);
    bench(
        &mut group,
        "null/wasmtime-instantiate-call",
        by_hand,
        |by_hand| Box::new(instantiate_and_call(by_hand, &ECHO)),
    );
    bench(
        &mut group,
        "null/thread-spawn-wasmtime-join",
        by_hand,
        |by_hand| Box::new(in_a_new_thread(by_hand, &ECHO)),
    );
    of_thread(&mut group);
    whole(&mut group, Isolation::Thread);
    group.finish();
}

fn process(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("p2_process_to_first_reply");
    bench_alone(&mut group, "null/posix-spawn-true-wait", spawn_true);
    let forker = || Ok(RefCell::new(Forker::new()?));
    bench(&mut group, "null/fork-exit-wait-by-sh", forker, |forker| {
        Box::new(|| forker.borrow_mut().fork())
    });
    of_thread(&mut group);
    for start in [StartMethod::Fork, StartMethod::Exec] {
        let make = || prepared_echo(Isolation::Process, |builder| builder.start(start));
        bench(&mut group, start.to_string(), make, started);
    }
    whole(&mut group, Isolation::Process);
    if Node::new().is_ok() {
        let node = || Ok(RefCell::new(Node::new()?));
        bench(&mut group, "node-fork", node, |node| {
            Box::new(|| {
                let times = node.borrow_mut().start(NodeWorker::Fork, 1)?;
                times
                    .first()
                    .copied()
                    .ok_or_else(|| "Node gave no time".into())
            })
        });
    }
    group.finish();
}

fn spare(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("p3_spare_to_first_reply");
    of_thread(&mut group);
    let make = || {
        prepared_echo(Isolation::Process, |builder| {
            builder.start(StartMethod::Spare)
        })
    };
    bench(&mut group, "spare", make, |prepared| spares(prepared));
    group.finish();
}

fn spares(prepared: &Prepared) -> Arm<'_> {
    let mut spares = Spares::new(prepared, &ECHO);
    Box::new(move || match &mut spares {
        Ok(spares) => spares.first_reply(),
        Err(error) => Err(error.to_string().into()),
    })
}

fn of_thread(group: &mut Group<'_>) {
    let make = || prepared_echo(Isolation::Thread, |builder| builder);
    bench(group, "thread", make, started);
}

fn started(prepared: &Prepared) -> Arm<'_> {
    Box::new(first_reply(prepared, &ECHO))
}

fn by_hand() -> Result<ByHand, Failure> {
    ByHand::new(ECHO.guest()?.wasm(), Metering::Interruptible)
}

fn whole(group: &mut Group<'_>, isolation: Isolation) {
    bench_alone(group, "whole", || everything(isolation));
}

/// From the builder to the reply.
fn everything(isolation: Isolation) -> impl Once {
    move || {
        let (guest, job) = (ECHO.guest()?, Job::new(ECHO.input()));
        let start = Instant::now();
        let pool = pool_for(guest, isolation, |builder| builder)?;
        let completion = pool.call(job)?;
        let took = start.elapsed();
        ECHO.check("cofferdam", &reply_in(completion)?.output)?;
        leave(pool)?;
        Ok(took)
    }
}

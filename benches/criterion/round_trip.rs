//! P4 to P6: how long does a message take to a worker and back?
//!
//! One echo job at a time by `Pool::call`. The null arms hand the same bytes to a bare thread and back, or
//! nothing at all.

mod common;

use std::cell::RefCell;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use cofferdam::{InstancePolicy, Isolation, LinkKind, Pool, WaitPolicy};
use cofferdam_benches::arms::{
    MIB, Node, NodeWorker, Once, ParkPong, PipePong, SpinPong, memcpy, payload, ping, round_trip,
};
use cofferdam_benches::{CrossbeamPong, Failure, LINKS, SocketPong, prepared_echo};
use common::{Group, bench, bench_alone};
use criterion::{Criterion, Throughput};

const SMALL: usize = 64;
/// What a pipe holds.
const MIDDLE: usize = 64 << 10;

fn main() -> ExitCode {
    common::main(|criterion| {
        spinning(criterion);
        parked(criterion);
        by_size(criterion, "round_trip_64_kib", MIDDLE);
        by_size(criterion, "p6_round_trip_1_mib", MIB);
    })
}

fn spinning(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("p4_round_trip_64_b_spinning");
    let pong = || Ok(SpinPong::new());
    bench(&mut group, "null/spin-no-bytes", pong, |pong| {
        Box::new(|| {
            let start = Instant::now();
            pong.ping();
            Ok(start.elapsed())
        })
    });
    both(&mut group, SMALL, WaitPolicy::Spin, InstancePolicy::Reused);
    node(&mut group, SMALL);
    group.finish();
}

fn parked(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("p5_round_trip_64_b_parked");
    let pong = || Ok(ParkPong::new());
    bench(&mut group, "null/futex-no-bytes", pong, |pong| {
        Box::new(|| {
            let start = Instant::now();
            pong.ping()?;
            Ok(start.elapsed())
        })
    });
    nulls(&mut group, SMALL);
    both(&mut group, SMALL, WaitPolicy::Park, InstancePolicy::Reused);
    group.finish();
}

/// With the usual wait policy.
fn by_size(criterion: &mut Criterion, name: &str, bytes: usize) {
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Bytes(bytes as u64));
    for copies in [2, 4] {
        let name = format!("null/memcpy-{copies}");
        bench_alone(&mut group, name, || memcpy(payload(bytes), copies));
    }
    nulls(&mut group, bytes);
    for instance in [InstancePolicy::Reused, InstancePolicy::Fresh] {
        both(&mut group, bytes, WaitPolicy::default(), instance);
    }
    node(&mut group, bytes);
    group.finish();
}

fn both(group: &mut Group<'_>, bytes: usize, wait: WaitPolicy, instance: InstancePolicy) {
    let policy = match instance {
        InstancePolicy::Fresh => "fresh",
        InstancePolicy::Reused => "reused",
    };
    let processes = LINKS.map(|link| (Isolation::Process, link, format!("process-{link}")));
    let thread = (Isolation::Thread, LinkKind::default(), "thread".to_owned());
    for (isolation, link, name) in std::iter::once(thread).chain(processes) {
        let make = || -> Result<Pool, Failure> {
            let change =
                |builder: cofferdam::PoolBuilder| builder.link(link).wait(wait).instance(instance);
            Ok(prepared_echo(isolation, change)?.start()?)
        };
        bench(group, format!("{name}-{policy}"), make, |pool| {
            Box::new(round_trip(pool, payload(bytes)))
        });
    }
}

fn nulls(group: &mut Group<'_>, bytes: usize) {
    let crossbeam = || Ok((CrossbeamPong::new(), Arc::<[u8]>::from(payload(bytes))));
    bench(group, "null/crossbeam", crossbeam, |(pong, shared)| {
        Box::new(ping(payload(bytes), |_| pong.ping(shared)))
    });
    let pipes = || Ok(RefCell::new(PipePong::new(bytes)?));
    bench(group, "null/pipes", pipes, |pong| {
        Box::new(ping(payload(bytes), |sent| {
            Ok(pong.borrow_mut().ping(sent)?.to_vec())
        }))
    });
    let sockets = || Ok(RefCell::new(SocketPong::new(bytes)?));
    bench(group, "null/socket-pair", sockets, |pong| {
        Box::new(ping(payload(bytes), |sent| {
            Ok(pong.borrow_mut().ping(sent)?.to_vec())
        }))
    });
}

/// Node's own workers, where there is a Node.
fn node(group: &mut Group<'_>, bytes: usize) {
    if Node::new().is_err() {
        return;
    }
    let make = || Ok(RefCell::new(Node::new()?));
    for (name, worker) in [
        ("node-thread", NodeWorker::Thread),
        ("node-fork", NodeWorker::Fork),
    ] {
        bench(group, name, make, |node| {
            Box::new(echo(node, worker, bytes))
        });
    }
}

fn echo(node: &RefCell<Node>, worker: NodeWorker, bytes: usize) -> impl Once {
    move || {
        let times = node.borrow_mut().echo(worker, bytes, 1)?;
        let time = times.first().copied();
        time.ok_or_else(|| "Node gave no time".into())
    }
}

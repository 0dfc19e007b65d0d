//! P4: a small message there and back, where both sides look all the time.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use cofferdam::{InstancePolicy, Isolation, Prepared, WaitPolicy};

use super::{Arm, Bound, Finding, Goal, Setting, Usual, repeated};
use crate::arms::{Node, NodeWorker, SpinPong, leave, payload, round_trip};
use crate::{Failure, prepared_echo};

pub(super) const GOAL: Goal = Goal {
    id: "P4",
    title: "round trip 64 B, spinning",
    usual: Usual::Always,
    measure,
};

const BYTES: usize = 64;
/// Round trips before those that count: the worker's start, its first instance, the caches.
const WARM: usize = 200;
const COUNT: usize = 500;
const MOST: Bound = Bound::AtMost(1e-6);
const BESIDE_NODE: Bound = Bound::AtLeast(50.0);

fn measure(setting: &Setting<'_>) -> Result<Finding, Failure> {
    let spinning = |isolation| {
        prepared_echo(isolation, |builder| {
            let builder = builder.instance(InstancePolicy::Reused);
            builder.wait(WaitPolicy::Spin)
        })
    };
    let (thread, process) = (spinning(Isolation::Thread)?, spinning(Isolation::Process)?);
    let node = Node::new().map(RefCell::new);
    let mut arms = vec![
        Arm::new("thread", || segment(&thread)),
        Arm::new("process", || segment(&process)),
        Arm::new("null: spin, no bytes", || Ok(null())),
    ];
    if let Ok(node) = &node {
        for (name, worker) in [NODE_THREAD, NODE_FORK] {
            arms.push(Arm::new(name, move || {
                let mut node = node.borrow_mut();
                node.echo(worker, BYTES, 5)?;
                node.echo(worker, BYTES, 20)
            }));
        }
    }
    let times = setting.turns(60).run(arms)?;
    let mut finding = Finding::default();
    finding.ratio(&times, ("process", "thread"), Bound::AtMost(1.5))?;
    finding.seconds(&times, "process", MOST)?;
    finding.seconds(&times, "thread", MOST)?;
    for (name, _) in [NODE_THREAD, NODE_FORK] {
        match &node {
            Ok(_) => finding.ratio(&times, (name, "process"), BESIDE_NODE)?,
            Err(why) => finding.missing(format!("{name} / process"), BESIDE_NODE, why),
        }
    }
    finding.note("The workers that spin are made for each segment, and gone at its end.");
    finding.arms(times)?;
    Ok(finding)
}

const NODE_THREAD: (&str, NodeWorker) = ("Node thread", NodeWorker::Thread);
const NODE_FORK: (&str, NodeWorker) = ("Node fork", NodeWorker::Fork);

fn segment(prepared: &Prepared) -> Result<Vec<Duration>, Failure> {
    let pool = prepared.start()?;
    let mut once = round_trip(&pool, payload(BYTES));
    repeated(&mut once, WARM)?;
    let times = repeated(&mut once, COUNT);
    drop(once);
    leave(pool)?;
    times
}

fn null() -> Vec<Duration> {
    let pong = SpinPong::new();
    (0..WARM).for_each(|_| pong.ping());
    let once = |_| {
        let start = Instant::now();
        pong.ping();
        start.elapsed()
    };
    (0..COUNT).map(once).collect()
}

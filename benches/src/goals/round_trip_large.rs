//! P6: a large message there and back.

use std::cell::RefCell;

use cofferdam::{InstancePolicy, Isolation};

use super::{Arm, Bound, Finding, Goal, Setting, Usual};
use crate::arms::{IpcChannel, MIB, Node, NodeWorker, memcpy, payload, round_trip};
use crate::{Failure, prepared_echo};

pub(super) const GOAL: Goal = Goal {
    id: "P6",
    title: "round trip 1 MiB",
    usual: Usual::Always,
    measure,
};

/// Into what both processes share, into the guest's memory, out of that, and to the caller.
const COPIES_OF_A_PROCESS: usize = 4;
/// Into the guest's memory and out of it.
const COPIES_OF_A_THREAD: usize = 2;
const COUNT: usize = 8;
const BESIDE_COPIES: Bound = Bound::AtMost(3.0);
const BESIDE_NODE: Bound = Bound::AtLeast(5.0);
const BESIDE_IPC: Bound = Bound::AtLeast(1.0);
const FOUR_COPIES: &str = "4 memcpy";
const TWO_COPIES: &str = "2 memcpy";
const IPC: &str = "ipc-channel";
const NODE: [(&str, NodeWorker); 2] = [
    ("Node thread", NodeWorker::Thread),
    ("Node fork", NodeWorker::Fork),
];

fn measure(setting: &Setting<'_>) -> Result<Finding, Failure> {
    let pool = |isolation| {
        let prepared = prepared_echo(isolation, |builder| {
            builder.instance(InstancePolicy::Reused)
        })?;
        Ok::<_, Failure>(prepared.start()?)
    };
    let (thread, process) = (pool(Isolation::Thread)?, pool(Isolation::Process)?);
    let (node, ipc) = (Node::new().map(RefCell::new), IpcChannel::new());
    let copies = |count| memcpy(payload(MIB), count);
    let mut arms = vec![
        Arm::standing(FOUR_COPIES, COUNT, copies(COPIES_OF_A_PROCESS)),
        Arm::standing(TWO_COPIES, COUNT, copies(COPIES_OF_A_THREAD)),
        Arm::standing("process", COUNT, round_trip(&process, payload(MIB))),
        Arm::standing("thread", COUNT, round_trip(&thread, payload(MIB))),
    ];
    if let Ok(node) = &node {
        for (name, worker) in NODE {
            arms.push(Arm::new(name, move || {
                node.borrow_mut().echo(worker, MIB, 4)
            }));
        }
    }
    if let Ok(ipc) = &ipc {
        arms.push(Arm::new(IPC, || ipc.echo(MIB, COUNT)));
    }
    let times = setting.turns(80).run(arms)?;
    let mut finding = Finding::default();
    finding.ratio(&times, ("process", FOUR_COPIES), BESIDE_COPIES)?;
    finding.ratio(&times, ("thread", TWO_COPIES), BESIDE_COPIES)?;
    for (name, _) in NODE {
        match &node {
            Ok(_) => finding.ratio(&times, (name, "process"), BESIDE_NODE)?,
            Err(why) => finding.missing(format!("{name} / process"), BESIDE_NODE, why),
        }
    }
    match &ipc {
        Ok(_) => finding.ratio(&times, (IPC, "process"), BESIDE_IPC)?,
        Err(why) => finding.missing(format!("{IPC} / process"), BESIDE_IPC, why),
    }
    finding.note(
        "A process needs 4 copies: into what both share, into the guest, out of it, to the caller; \
         a thread 2. The null arm's places are mapped before.",
    );
    finding.arms(times)?;
    Ok(finding)
}

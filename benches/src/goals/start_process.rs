//! P2: a new worker in a process, forked, to its first reply.

use cofferdam::{Isolation, StartMethod};

use super::{Arm, Bound, Finding, Goal, Setting, Usual};
use crate::arms::{Forker, Node, NodeWorker, first_reply, spawn_true};
use crate::{ECHO, Failure, prepared_echo};

pub(super) const GOAL: Goal = Goal {
    id: "P2",
    title: "process worker, fork",
    usual: Usual::Always,
    measure,
};

const BESIDE_NODE: Bound = Bound::AtLeast(300.0);

fn measure(setting: &Setting<'_>) -> Result<Finding, Failure> {
    let process = |start| prepared_echo(Isolation::Process, |builder| builder.start(start));
    let thread = prepared_echo(Isolation::Thread, |builder| builder)?;
    let (fork, exec) = (process(StartMethod::Fork)?, process(StartMethod::Exec)?);
    let (mut node, mut forker) = (Node::new(), Forker::new()?);
    let mut arms = vec![
        Arm::each("fork", 4, first_reply(&fork, &ECHO)),
        Arm::each("thread", 4, first_reply(&thread, &ECHO)),
        Arm::each("exec", 2, first_reply(&exec, &ECHO)),
        Arm::each("null: sh's fork, exit, wait", 1, || forker.fork()),
        Arm::each("null: posix_spawn /bin/true", 2, spawn_true()),
    ];
    if let Ok(node) = &mut node {
        arms.push(Arm::new("Node fork", || node.start(NodeWorker::Fork, 1)));
    }
    let times = setting.turns(60).run(arms)?;
    let mut finding = Finding::default();
    finding.ratio(&times, ("fork", "thread"), Bound::AtMost(2.0))?;
    finding.ratio(&times, ("fork", "exec"), Bound::AtMost(0.15))?;
    match node {
        Ok(_) => finding.ratio(&times, ("Node fork", "fork"), BESIDE_NODE)?,
        Err(why) => finding.missing("Node fork / fork", BESIDE_NODE, why),
    }
    finding
        .note("Each start is that of a whole pool of a prepared guest, the fork server running.");
    finding.arms(times)?;
    Ok(finding)
}

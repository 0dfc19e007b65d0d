//! P7: a guest that computes, in a process without checks and in a thread with and without them.

use cofferdam::{Guest, InstancePolicy, Isolation, Metering, Pool};

use super::{Arm, Bound, Finding, Goal, Setting, Usual};
use crate::arms::{Hash, native_argon2};
use crate::{Failure, pool_for};

pub(super) const GOAL: Goal = Goal {
    id: "P7",
    title: "CPU-bound guest",
    usual: Usual::Always,
    measure,
};

const WORK: Hash = Hash::IN_CACHE;

fn measure(setting: &Setting<'_>) -> Result<Finding, Failure> {
    let process = pool(Isolation::Process, Metering::Unmetered)?;
    let unmetered = pool(Isolation::Thread, Metering::Unmetered)?;
    let metered = pool(Isolation::Thread, Metering::Interruptible)?;
    let times = setting.turns(80).run(vec![
        Arm::each("thread, unmetered", 1, WORK.through(&unmetered)),
        Arm::each("process", 1, WORK.through(&process)),
        Arm::each("thread, metered", 1, WORK.through(&metered)),
        Arm::each("null: native", 1, native_argon2(WORK)),
    ])?;
    let mut finding = Finding::default();
    let most = Bound::AtMost;
    finding.ratio(&times, ("process", "thread, unmetered"), most(1.02))?;
    finding.ratio(&times, ("process", "thread, metered"), most(1.0))?;
    let Hash { memory, passes } = WORK;
    finding.note(format!(
        "@argon2 over {memory} KiB, {passes} passes, reused; from handing in to holding the reply."
    ));
    finding.arms(times)?;
    Ok(finding)
}

fn pool(isolation: Isolation, metering: Metering) -> Result<Pool, Failure> {
    pool_for(Guest::embedded("argon2")?, isolation, |builder| {
        builder.metering(metering).instance(InstancePolicy::Reused)
    })
}

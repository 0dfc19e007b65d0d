//! P3: a worker that waits ready, to its first reply.

use cofferdam::{Isolation, StartMethod};

use super::{Arm, Bound, Finding, Goal, Setting, Usual};
use crate::arms::{Spares, first_reply};
use crate::{ECHO, Failure, prepared_echo};

pub(super) const GOAL: Goal = Goal {
    id: "P3",
    title: "process worker, spare",
    usual: Usual::Always,
    measure,
};

fn measure(setting: &Setting<'_>) -> Result<Finding, Failure> {
    let thread = prepared_echo(Isolation::Thread, |builder| builder)?;
    let spare = prepared_echo(Isolation::Process, |builder| {
        builder.start(StartMethod::Spare)
    })?;
    let mut spares = Spares::new(&spare, &ECHO)?;
    let times = setting.turns(150).run(vec![
        Arm::each("thread", 4, first_reply(&thread, &ECHO)),
        Arm::each("spare", 4, || spares.first_reply()),
    ])?;
    let mut finding = Finding::default();
    finding.ratio(&times, ("spare", "thread"), Bound::AtMost(1.0))?;
    finding
        .note("The stock is full when the stopwatch starts; refilling it is outside of the span.");
    finding.arms(times)?;
    Ok(finding)
}

//! P11: a worker is killed; how long until there is a good reply again?

use cofferdam::{Isolation, StartMethod, WaitPolicy};

use super::{Arm, Bound, Finding, Goal, Setting, Usual};
use crate::arms::{call, first_reply, recovery};
use crate::{ECHO, Failure, prepared_echo};

pub(super) const GOAL: Goal = Goal {
    id: "P11",
    title: "SIGKILL to next good reply",
    usual: Usual::Always,
    measure,
};

fn measure(setting: &Setting<'_>) -> Result<Finding, Failure> {
    let by = |start| {
        prepared_echo(Isolation::Process, |builder| {
            builder.start(start).wait(WaitPolicy::Park)
        })
    };
    let (spare, fork) = (by(StartMethod::Spare)?, by(StartMethod::Fork)?);
    let (warm, by_spare, by_fork) = (fork.start()?, spare.start()?, fork.start()?);
    let times = setting.turns(150).run(vec![
        Arm::standing("warm round trip", 10, call(&warm, &ECHO)),
        Arm::standing(
            "killed, spare",
            2,
            recovery(&by_spare, StartMethod::Spare, &ECHO),
        ),
        Arm::standing(
            "killed, fork",
            2,
            recovery(&by_fork, StartMethod::Fork, &ECHO),
        ),
        Arm::each("start, fork", 3, first_reply(&fork, &ECHO)),
    ])?;
    let mut finding = Finding::default();
    finding.ratio(
        &times,
        ("killed, spare", "warm round trip"),
        Bound::AtMost(3.0),
    )?;
    finding.ratio(&times, ("killed, fork", "start, fork"), Bound::AtMost(1.5))?;
    finding.note("The worker is killed while it waits; the sending of the signal is in the span.");
    finding.arms(times)?;
    Ok(finding)
}

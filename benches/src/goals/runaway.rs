//! P13: a guest that never returns is stopped; how late after its deadline is that?

use std::time::Duration;

use cofferdam::{Guest, Isolation};

use super::{Arm, Bound, Finding, Goal, Measured, Part, Setting, Times, Unit, Usual};
use crate::arms::{late, sleeper};
use crate::{Failure, pool_for};

pub(super) const GOAL: Goal = Goal {
    id: "P13",
    title: "runaway guest stopped",
    usual: Usual::Always,
    measure,
};

/// Long beside what starting the job takes, short beside the patience of whoever measures.
const DEADLINE: Duration = Duration::from_millis(20);
const COUNT: usize = 2;

fn measure(setting: &Setting<'_>) -> Result<Finding, Failure> {
    let pool = |isolation| pool_for(Guest::embedded("spin")?, isolation, |builder| builder);
    let (thread, process) = (pool(Isolation::Thread)?, pool(Isolation::Process)?);
    let times = setting.turns(30).run(vec![
        Arm::each("thread", COUNT, late(&thread, DEADLINE)),
        Arm::each("process", COUNT, late(&process, DEADLINE)),
        Arm::each("null: sleep", COUNT, sleeper(DEADLINE)),
    ])?;
    let mut finding = Finding::default();
    for (arm, most) in [("thread", 10e-3), ("process", 2e-3)] {
        finding.parts.push(worst(&times, arm, Bound::AtMost(most))?);
        finding.parts.push(Part {
            what: format!("{arm}, median"),
            measured: Measured::Interval(times.seconds(arm)?),
            ..worst(&times, arm, Bound::AtMost(most))?
        });
    }
    let slept = times.column("null: sleep")?.max;
    finding.note(format!(
        "How late after a deadline of 20 ms: the worst of all, and the median of the rounds. Who only \
         sleeps until then was {} late at the worst.",
        cofferdam::units::seconds(slept)
    ));
    finding.arms(times)?;
    Ok(finding)
}

/// The goal is about every runaway, and the worst of them decides.
fn worst(times: &Times, arm: &str, bound: Bound) -> Result<Part, Failure> {
    let column = times.column(arm)?;
    Ok(Part {
        what: format!("{arm}, worst of {}", column.samples * column.rounds.len()),
        bound,
        unit: Unit::Seconds,
        measured: Measured::Single(column.max),
    })
}

//! P1: a new worker in a thread, to its first reply.

use cofferdam::{Isolation, Metering};

use super::{Arm, Bound, Finding, Goal, Setting, Usual};
use crate::arms::{first_reply, in_a_new_thread, instantiate_and_call, thread_spawn_join};
use crate::{ByHand, ECHO, Failure, prepared_echo};

pub(super) const GOAL: Goal = Goal {
    id: "P1",
    title: "thread worker to first reply",
    usual: Usual::Always,
    measure,
};

fn measure(setting: &Setting<'_>) -> Result<Finding, Failure> {
    let thread = prepared_echo(Isolation::Thread, |builder| builder)?;
    let by_hand = ByHand::new(ECHO.guest()?.wasm(), Metering::Interruptible)?;
    let times = setting.turns(300).run(vec![
        Arm::each("spawn + wasmtime", 4, in_a_new_thread(&by_hand, &ECHO)),
        Arm::each("thread", 4, first_reply(&thread, &ECHO)),
        Arm::each(
            "null: wasmtime in place",
            8,
            instantiate_and_call(&by_hand, &ECHO),
        ),
        Arm::each("null: thread spawn + join", 8, thread_spawn_join()),
    ])?;
    let mut finding = Finding::default();
    finding.ratio(&times, ("thread", "spawn + wasmtime"), Bound::AtMost(1.3))?;
    finding.note(
        "`thread` starts a whole pool of a prepared guest: its supervisor's thread is in the span.",
    );
    finding.arms(times)?;
    Ok(finding)
}

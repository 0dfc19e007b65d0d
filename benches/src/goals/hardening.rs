//! What hardening costs: nothing of a job, and little of a start.

use cofferdam::{Hardening, InstancePolicy, Isolation, Pool, StartMethod, WaitPolicy};

use super::{Arm, Bound, Finding, Goal, Setting, Usual};
use crate::arms::{first_reply, payload, round_trip};
use crate::{ECHO, Failure, prepared_echo};

pub(super) const GOAL: Goal = Goal {
    id: "hardening",
    title: "start of a hardened worker, beside none",
    usual: Usual::Always,
    measure,
};

const START: Bound = Bound::AtMost(1.1);
const TRIP: Bound = Bound::AtMost(1.05);

fn measure(setting: &Setting<'_>) -> Result<Finding, Failure> {
    let process = |start, hardening| {
        prepared_echo(Isolation::Process, |builder| {
            builder
                .start(start)
                .hardening(hardening)
                .instance(InstancePolicy::Reused)
                .wait(WaitPolicy::Park)
        })
    };
    let fork = |hardening| process(StartMethod::Fork, hardening);
    let (bare, hard) = (fork(Hardening::Off)?, fork(Hardening::Required)?);
    let exec = |hardening| process(StartMethod::Exec, hardening);
    let (bare_exec, hard_exec) = (exec(Hardening::Off)?, exec(Hardening::Required)?);
    let pool = |prepared: &cofferdam::Prepared| -> Result<Pool, Failure> { Ok(prepared.start()?) };
    let (bare_pool, hard_pool) = (pool(&bare)?, pool(&hard)?);
    let arms = vec![
        Arm::each("fork, off", 4, first_reply(&bare, &ECHO)),
        Arm::each("fork, required", 4, first_reply(&hard, &ECHO)),
        Arm::each("exec, off", 2, first_reply(&bare_exec, &ECHO)),
        Arm::each("exec, required", 2, first_reply(&hard_exec, &ECHO)),
        Arm::each("trip, off", 40, round_trip(&bare_pool, payload(64))),
        Arm::each("trip, required", 40, round_trip(&hard_pool, payload(64))),
    ];
    let times = setting.turns(100).run(arms)?;
    let mut finding = Finding::default();
    finding.ratio(&times, ("fork, required", "fork, off"), START)?;
    finding.ratio(&times, ("exec, required", "exec, off"), START)?;
    finding.ratio(&times, ("trip, required", "trip, off"), TRIP)?;
    finding.note(
        "All layers must hold, or the arm fails. A trip is of 64 B, parked, instance reused.",
    );
    finding.arms(times)?;
    Ok(finding)
}

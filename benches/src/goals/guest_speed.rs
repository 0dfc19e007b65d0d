//! P8: a guest in cofferdam beside the same module through wasmtime's own API, and beside native code.

use cofferdam::{Guest, InstancePolicy, Isolation, Metering};

use super::{Arm, Bound, Finding, Goal, Setting, Usual};
use crate::arms::{Hash, Once, aside, called, native_argon2};
use crate::{Aside, ByHand, Failure, SUBJECTS, Subject, metering_name, pool_for};

pub(super) const GOAL: Goal = Goal {
    id: "P8",
    title: "guest speed",
    usual: Usual::Always,
    measure,
};

const BESIDE_WASMTIME: Bound = Bound::AtMost(1.05);
const BESIDE_NATIVE: Bound = Bound::AtMost(1.6);

fn measure(setting: &Setting<'_>) -> Result<Finding, Failure> {
    let mut finding = Finding::default();
    for subject in SUBJECTS {
        for metering in [Metering::Interruptible, Metering::Unmetered] {
            beside_wasmtime(setting, &subject, metering, &mut finding)?;
        }
    }
    beside_native(setting, &mut finding)?;
    finding.note(
        "Over the same through wasmtime's own API, inside the guest's `handle`, by the stopwatch next to it; \
         fresh instances unless told.",
    );
    Ok(finding)
}

/// Who can run a guest with this metering: in a process, metering would only cost.
fn isolations(metering: Metering) -> &'static [Isolation] {
    match metering {
        Metering::Interruptible => &[Isolation::Thread],
        Metering::Unmetered => &[Isolation::Thread, Isolation::Process],
    }
}

fn beside_wasmtime(
    setting: &Setting<'_>,
    subject: &Subject,
    metering: Metering,
    finding: &mut Finding,
) -> Result<(), Failure> {
    let guest = subject.guest()?;
    let name = |who: &str| format!("{} {}, {who}", subject.name, metering_name(metering));
    let null = Aside::new(ByHand::new(guest.wasm(), metering)?)?;
    let pools = isolations(metering).iter().map(|&isolation| {
        let pool = pool_for(guest.clone(), isolation, |builder| {
            builder.metering(metering)
        })?;
        Ok((name(&isolation.to_string()), pool))
    });
    let pools = pools.collect::<Result<Vec<_>, Failure>>()?;
    let jobs = subject.jobs as usize;
    let mut arms = vec![of(name("wasmtime"), jobs, aside(&null, subject))];
    for (name, pool) in &pools {
        arms.push(of(name.clone(), jobs, called(pool, subject)));
    }
    // One of @argon2 takes a quarter of a second.
    let rounds = if subject.name == "argon2" { 30 } else { 100 };
    let times = setting.turns(rounds).run(arms)?;
    for (above, _) in &pools {
        finding.ratio_called(above, &times, (above, &name("wasmtime")), BESIDE_WASMTIME)?;
    }
    finding.arms(times)
}

/// Where one job is the whole segment it is also long enough not to need another one before it.
fn of<'a>(name: String, jobs: usize, once: impl Once + 'a) -> Arm<'a> {
    match jobs {
        1 => Arm::each(name, 1, once),
        jobs => Arm::standing(name, jobs, once),
    }
}

fn beside_native(setting: &Setting<'_>, finding: &mut Finding) -> Result<(), Failure> {
    let reused = pool_for(Guest::embedded("argon2")?, Isolation::Process, |builder| {
        builder.instance(InstancePolicy::Reused)
    })?;
    let work = Hash::USUAL;
    let times = setting.turns(40).run(vec![
        Arm::each("argon2 native", 1, native_argon2(work)),
        Arm::each("argon2 process, reused", 1, work.inside(&reused)),
    ])?;
    let arms = ("argon2 process, reused", "argon2 native");
    finding.ratio_called("argon2, process / native", &times, arms, BESIDE_NATIVE)?;
    finding.arms(times)
}

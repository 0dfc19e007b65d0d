//! P12: how many jobs a second, where the jobs themselves are nothing?

use cofferdam::{InstancePolicy, Isolation, Job, Pool};

use super::{Arm, Bound, Finding, Goal, Setting, Usual};
use crate::arms::{bare_threads, batch, crossbeam_batch, empty, guest_threads};
use crate::{ECHO, Failure, prepared_echo};

pub(super) const GOAL: Goal = Goal {
    id: "P12",
    title: "no-op jobs, batch submit",
    usual: Usual::Always,
    measure,
};

const JOBS: usize = 1000;

fn measure(setting: &Setting<'_>) -> Result<Finding, Failure> {
    let mut finding = Finding::default();
    for workers in [1, 2] {
        with_workers(setting, workers, &mut finding)?;
    }
    finding.note(format!(
        "Ratios of the times for {JOBS} empty jobs of @echo, reused."
    ));
    Ok(finding)
}

fn with_workers(
    setting: &Setting<'_>,
    workers: usize,
    finding: &mut Finding,
) -> Result<(), Failure> {
    let (thread, process) = (
        pool(Isolation::Thread, workers)?,
        pool(Isolation::Process, workers)?,
    );
    let threads = bare_threads(workers, JOBS);
    let with_guest = guest_threads(&ECHO, workers, JOBS)?;
    let job = Job::new("");
    let name = |who: &str| format!("{who} {workers}");
    let through = |pool| batch(pool, &job, JOBS, empty);
    let times = setting.turns(200).run(vec![
        Arm::each(name("crossbeam"), 1, crossbeam_batch(&threads, JOBS as u64)),
        Arm::each(
            name("null: crossbeam + guest"),
            1,
            crossbeam_batch(&with_guest, JOBS as u64),
        ),
        Arm::each(name("thread"), 1, through(&thread)),
        Arm::each(name("process"), 1, through(&process)),
    ])?;
    let [crossbeam, thread, process] = ["crossbeam", "thread", "process"].map(name);
    finding.ratio(&times, (&crossbeam, &thread), Bound::AtLeast(0.7))?;
    finding.ratio(&times, (&thread, &process), Bound::AtLeast(0.5))?;
    finding.arms(times)
}

fn pool(isolation: Isolation, workers: usize) -> Result<Pool, Failure> {
    let prepared = prepared_echo(isolation, |builder| {
        builder.workers(workers).instance(InstancePolicy::Reused)
    })?;
    Ok(prepared.start()?)
}

//! `auto`: looking before parking, also where every CPU is wanted by somebody else.

use cofferdam::{InstancePolicy, Isolation, Job, Pool, WaitPolicy};

use super::{Arm, Bound, Finding, Goal, Setting, Usual};
use crate::arms::{batch, empty};
use crate::{Failure, prepared_echo};

pub(super) const GOAL: Goal = Goal {
    id: "auto",
    title: "wait auto beside park, in a crowd",
    usual: Usual::Always,
    measure,
};

const JOBS: usize = 1000;
const PRICE: Bound = Bound::AtMost(1.05);

fn measure(setting: &Setting<'_>) -> Result<Finding, Failure> {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let mut finding = Finding::default();
    for isolation in [Isolation::Thread, Isolation::Process] {
        for workers in [1, cpus, 4 * cpus] {
            let job = Job::new("");
            let policies = [WaitPolicy::Park, WaitPolicy::Auto];
            let pools = policies
                .into_iter()
                .map(|wait| {
                    Ok((
                        name(isolation, workers, wait),
                        pool(isolation, workers, wait)?,
                    ))
                })
                .collect::<Result<Vec<_>, Failure>>()?;
            let arms = pools
                .iter()
                .map(|(name, pool)| Arm::each(name, 1, batch(pool, &job, JOBS, empty)))
                .collect();
            let times = setting.turns(100).run(arms)?;
            let [park, auto] = policies.map(|wait| name(isolation, workers, wait));
            finding.ratio(&times, (&auto, &park), PRICE)?;
            finding.arms(times)?;
        }
    }
    finding.note(format!(
        "Times for {JOBS} empty jobs of @echo, reused, handed in as one batch."
    ));
    Ok(finding)
}

fn name(isolation: Isolation, workers: usize, wait: WaitPolicy) -> String {
    format!("{isolation} {workers} {wait}")
}

fn pool(isolation: Isolation, workers: usize, wait: WaitPolicy) -> Result<Pool, Failure> {
    let prepared = prepared_echo(isolation, |builder| {
        builder
            .workers(workers)
            .wait(wait)
            .instance(InstancePolicy::Reused)
    })?;
    Ok(prepared.start()?)
}

//! P10: two workers beside one.

use cofferdam::{Guest, InstancePolicy, Isolation, Pool};

use super::{Arm, Bound, Finding, Goal, Setting, Usual};
use crate::arms::{Hash, batch, native_batch};
use crate::{Failure, pool_for};

pub(super) const GOAL: Goal = Goal {
    id: "P10",
    title: "two workers beside one",
    usual: Usual::Always,
    measure,
};

const WORK: Hash = Hash {
    memory: 256,
    passes: 16,
};
/// Both workers have the same number; their last ones end at about the same time.
const JOBS: usize = 8;
const GAIN: Bound = Bound::AtLeast(1.9);

fn measure(setting: &Setting<'_>) -> Result<Finding, Failure> {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    let mut finding = Finding::default();
    if cpus < 2 {
        finding.missing("two workers", GAIN, "there is one CPU");
        return Ok(finding);
    }
    let job = WORK.job();
    let pools = [Isolation::Thread, Isolation::Process]
        .into_iter()
        .flat_map(|isolation| [1, 2].map(|workers| (isolation, workers)))
        .map(|(isolation, workers)| Ok((name(isolation, workers), pool(isolation, workers)?)))
        .collect::<Result<Vec<_>, Failure>>()?;
    let mut arms: Vec<_> = pools
        .iter()
        .map(|(name, pool)| {
            let check = |reply: &[u8]| WORK.check("cofferdam", reply);
            Arm::each(name, 1, batch(pool, &job, JOBS, check))
        })
        .collect();
    arms.push(Arm::each(
        "null: native, 1 thread",
        1,
        native_batch(WORK, 1, JOBS),
    ));
    arms.push(Arm::each(
        "null: native, 2 threads",
        1,
        native_batch(WORK, 2, JOBS),
    ));
    let times = setting.turns(60).run(arms)?;
    for isolation in [Isolation::Thread, Isolation::Process] {
        let (one, two) = (name(isolation, 1), name(isolation, 2));
        finding.ratio(&times, (&one, &two), GAIN)?;
    }
    let native = times.ratio("null: native, 1 thread", "null: native, 2 threads")?;
    finding.note(format!(
        "Ratios of times for {JOBS} jobs. Two native threads gain {:.2} on this machine.",
        native.median
    ));
    finding.arms(times)?;
    Ok(finding)
}

fn name(isolation: Isolation, workers: usize) -> String {
    format!("{isolation} {workers}")
}

fn pool(isolation: Isolation, workers: usize) -> Result<Pool, Failure> {
    pool_for(Guest::embedded("argon2")?, isolation, |builder| {
        builder.workers(workers).instance(InstancePolicy::Reused)
    })
}

//! Growth: does a pool become slower, or larger, by what it has done?

use cofferdam::{Isolation, Job, Pool};

use super::{
    Arm, ArmRow, Bound, Column, Effort, Finding, Goal, Measured, Part, Setting, Unit, Usual,
    repeated,
};
use crate::arms::batch;
use crate::proc::memory;
use crate::{ECHO, Failure, prepared_echo};

pub(super) const GOAL: Goal = Goal {
    id: "growth",
    title: "cost and memory over 10^6 jobs",
    usual: Usual::ByName,
    measure,
};

/// Jobs of a batch.
const BATCH: usize = 1000;
/// Batches before the first look, and before the second.
const YOUNG: usize = 1;
const OLD: usize = 1000;
/// Batches after which the allocator's arenas and the caches have their size.
const SETTLED: usize = 10;
/// A twentieth more is a trend; less cannot be told from the machine.
const FLAT: Bound = Bound::AtMost(1.05);
/// What flat memory is: as much as `endure` and `flat-memory` allow.
const MOST_BYTES: f64 = (2 << 20) as f64;

fn measure(setting: &Setting<'_>) -> Result<Finding, Failure> {
    let mut finding = Finding::default();
    for isolation in [Isolation::Thread, Isolation::Process] {
        of(setting, isolation, &mut finding)?;
    }
    finding.note(format!(
        "A pool that has done {} jobs beside one that had done {} before the first round, by turns, batches \
         of {BATCH}.",
        batches_before(setting) * BATCH,
        YOUNG * BATCH
    ));
    Ok(finding)
}

/// Batches of the old pool before the first round.
fn batches_before(setting: &Setting<'_>) -> usize {
    match setting.effort {
        Effort::Quick => OLD / 10,
        Effort::Full | Effort::Rounds(_) => OLD,
    }
}

fn of(setting: &Setting<'_>, isolation: Isolation, finding: &mut Finding) -> Result<(), Failure> {
    let job = Job::new(ECHO.input());
    let prepared = prepared_echo(isolation, |builder| builder)?;
    let (old, young) = (prepared.start()?, prepared.start()?);
    let work = |pool: &Pool, batches: usize| {
        let check = |reply: &[u8]| ECHO.check("cofferdam", reply);
        repeated(&mut batch(pool, &job, BATCH, check), batches).map(drop)
    };
    work(&young, YOUNG)?;
    let batches = batches_before(setting);
    let mut resident = Vec::new();
    for done in 0..batches {
        if done == SETTLED {
            resident.push(memory(std::process::id())?.resident);
        }
        (setting.progress)(done, batches);
        work(&old, 1)?;
    }
    resident.push(memory(std::process::id())?.resident);
    let (name_old, name_young) = (format!("{isolation}, old"), format!("{isolation}, young"));
    let check = |reply: &[u8]| ECHO.check("cofferdam", reply);
    let times = setting.turns(30).run(vec![
        Arm::each(&name_young, 1, batch(&young, &job, BATCH, check)),
        Arm::each(&name_old, 1, batch(&old, &job, BATCH, check)),
    ])?;
    finding.ratio(&times, (&name_old, &name_young), FLAT)?;
    finding.arms(times)?;
    let grown = resident.last().unwrap_or(&0.0) - resident.first().unwrap_or(&0.0);
    finding.parts.push(Part {
        what: format!("{isolation}, host's memory grew by"),
        bound: Bound::AtMost(MOST_BYTES),
        unit: Unit::Bytes,
        measured: Measured::Single(grown),
    });
    let max = resident.iter().copied().fold(0.0, f64::max);
    finding.arms.push(ArmRow {
        column: Column {
            name: format!("{isolation}, host's RSS"),
            rounds: resident,
            max,
            samples: 1,
        },
        unit: Unit::Bytes,
    });
    Ok(())
}

//! P9: what one more worker takes that waits.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::Duration;

use cofferdam::stats::median_interval;
use cofferdam::{Isolation, Job, Pool};

use super::{ArmRow, Bound, Column, Finding, Goal, Measured, Part, Setting, Unit, Usual};
use crate::arms::until;
use crate::proc::{children, memory};
use crate::{ECHO, Failure, pool_for, reply_in};

pub(super) const GOAL: Goal = Goal {
    id: "P9",
    title: "memory of an idle worker",
    usual: Usual::Always,
    measure,
};

/// The slope is that from one worker to this many more.
const MORE: usize = 64;

const KIB: f64 = 1024.0;

fn measure(setting: &Setting<'_>) -> Result<Finding, Failure> {
    let rounds = setting.turns(12).rounds;
    let mut slopes =
        [Isolation::Thread, Isolation::Process].map(|isolation| (isolation, Vec::new()));
    for round in 0..rounds {
        (setting.progress)(round, rounds);
        for (isolation, slopes) in &mut slopes {
            let (one, many) = (held(*isolation, 1)?, held(*isolation, 1 + MORE)?);
            slopes.push(many.less(one));
        }
    }
    let mut finding = Finding::default();
    for (isolation, slopes) in slopes {
        let most = match isolation {
            Isolation::Thread => 64.0 * KIB,
            Isolation::Process => 128.0 * KIB,
        };
        let pss: Vec<f64> = slopes.iter().map(|slope| slope.pss).collect();
        let private = slopes.iter().map(|slope| slope.private).collect();
        finding.parts.push(Part {
            what: format!("{isolation}, PSS each"),
            bound: Bound::AtMost(most),
            unit: Unit::Bytes,
            measured: Measured::Interval(median_interval(&pss).ok_or("no rounds")?),
        });
        finding.arms.push(row(format!("{isolation}, PSS"), pss));
        finding
            .arms
            .push(row(format!("{isolation}, private"), private));
    }
    finding.note(format!(
        "Of a host with {} workers of @echo less one with 1, children included, divided by {MORE}; each \
         worker has done a job. Each host is a process of its own.",
        MORE + 1
    ));
    Ok(finding)
}

fn row(name: String, rounds: Vec<f64>) -> ArmRow {
    let max = rounds.iter().copied().fold(0.0, f64::max);
    ArmRow {
        column: Column {
            name,
            rounds,
            max,
            samples: 1,
        },
        unit: Unit::Bytes,
    }
}

/// Bytes of some processes together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Look {
    pss: f64,
    private: f64,
}

impl Look {
    fn less(self, one: Self) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "dozens")]
        let more = MORE as f64;
        Self {
            pss: (self.pss - one.pss) / more,
            private: (self.private - one.private) / more,
        }
    }

    /// This process and its children. What the parent shares with them (it maps the same program) is
    /// counted in: left out, the share that they pay would grow with their number.
    fn of_family() -> Result<Self, Failure> {
        let parent = memory(std::os::unix::process::parent_id())?;
        let mut sum = Self {
            pss: parent.proportional - parent.private,
            private: 0.0,
        };
        let children = children()?.into_iter().map(|child| child.pid);
        for pid in children.chain([std::process::id()]) {
            let memory = memory(pid)?;
            sum.pss += memory.proportional;
            sum.private += memory.private;
        }
        Ok(sum)
    }
}

/// What a host takes that is a process of its own: this very program, told to [`hold`].
fn held(isolation: Isolation, workers: usize) -> Result<Look, Failure> {
    let output = Command::new("/proc/self/exe")
        .arg("--hold")
        .arg(format!("{isolation}:{workers}"))
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let numbers: Option<Vec<f64>> = text
        .split_whitespace()
        .map(|word| word.parse().ok())
        .collect();
    match numbers.as_deref() {
        Some(&[pss, private]) if output.status.success() => Ok(Look { pss, private }),
        _ => Err(format!(
            "a host of {workers} {isolation} workers gave {text:?}, {}",
            output.status
        )
        .into()),
    }
}

/// Holds some workers that have done a job each, and tells what that takes: `ISOLATION:WORKERS`.
///
/// # Errors
/// If the workers do not work.
pub fn hold(what: &str) -> Result<String, Failure> {
    let (isolation, workers) = what.split_once(':').ok_or("--hold ISOLATION:WORKERS")?;
    let isolation = match isolation {
        "thread" => Isolation::Thread,
        "process" => Isolation::Process,
        other => return Err(format!("--hold {other}: there is thread and process").into()),
    };
    let workers: usize = workers.parse()?;
    let pool = pool_for(ECHO.guest()?, isolation, |builder| builder.workers(workers))?;
    until("not all workers came", || {
        Ok((pool.workers().len() == workers).then_some(()))
    })?;
    each_works(&pool, workers)?;
    // Who parks after the last reply does so about now; the kernel's counts of shared pages follow.
    std::thread::sleep(Duration::from_millis(50));
    let look = Look::of_family()?;
    Ok(format!("{} {}", look.pss, look.private))
}

/// Hands in jobs until each worker has done one.
fn each_works(pool: &Pool, workers: usize) -> Result<(), Failure> {
    let mut seen = BTreeSet::new();
    until("not all workers took a job", || {
        let batch = pool.submit_many(vec![Job::new(ECHO.input()); 4 * workers])?;
        for completion in batch.unordered() {
            seen.insert(completion.worker.to_string());
            ECHO.check("cofferdam", &reply_in(completion)?.output)?;
        }
        Ok((seen.len() >= workers).then_some(()))
    })
}

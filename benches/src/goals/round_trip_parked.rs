//! P5: a small message there and back, where whoever waits sleeps.

use std::sync::Arc;
use std::time::Instant;

use cofferdam::{InstancePolicy, Isolation, Pool, WaitPolicy};

use super::placement::{Placement, written};
use super::{Arm, Bound, Finding, Goal, Setting, Usual};
use crate::arms::{ParkPong, PipePong, payload, ping, round_trip};
use crate::{CrossbeamPong, Failure, SocketPong, prepared_echo};

pub(super) const GOAL: Goal = Goal {
    id: "P5",
    title: "round trip 64 B, parked",
    usual: Usual::Always,
    measure,
};

const BYTES: usize = 64;
const COUNT: usize = 30;

const BESIDE_THREAD: Bound = Bound::AtMost(1.5);
const BESIDE_CROSSBEAM: Bound = Bound::AtMost(1.2);

fn measure(setting: &Setting<'_>) -> Result<Finding, Failure> {
    let mut finding = Finding::default();
    let turns = setting.turns(300);
    for (done, placement) in Placement::ALL.into_iter().enumerate() {
        (setting.progress)(done, Placement::ALL.len());
        let name = |arm: &str| format!("{}, {arm}", placement.name());
        let pairs = [
            ("process", "thread", BESIDE_THREAD),
            ("thread", "crossbeam", BESIDE_CROSSBEAM),
        ];
        if let Err(why) = placement.is_here() {
            for (above, below, bound) in pairs {
                finding.missing(name(&format!("{above} / {below}")), bound, &why);
            }
            continue;
        }
        let times = placement.measured(&turns)?;
        for (above, below, bound) in pairs {
            let what = name(&format!("{above} / {below}"));
            finding.ratio_called(&what, &times, (above, below), bound)?;
        }
        finding.arms(times.renamed(name))?;
    }
    finding.note(
        "1-cpu: both sides on one CPU. 2-cpus: whoever hands in on one, all others on another one, \
         which sleeps when it has nothing to do. The null arms are between two threads.",
    );
    Ok(finding)
}

/// Measures the arms in one placement, and tells the times to whoever ordered that.
///
/// # Errors
/// If something does not work.
pub fn placed(placement: &str, setting: &Setting<'_>) -> Result<String, Failure> {
    let placement = Placement::named(placement)?;
    let Everybody {
        crossbeam,
        thread,
        process,
        futex,
        mut pipe,
        mut socket,
    } = placement.made(Everybody::new)?;
    let shared: Arc<[u8]> = payload(BYTES).into();
    let times = setting.turns(0).run(vec![
        Arm::standing(
            "crossbeam",
            COUNT,
            ping(payload(BYTES), |_| crossbeam.ping(&shared)),
        ),
        Arm::standing("thread", COUNT, round_trip(&thread, payload(BYTES))),
        Arm::standing("process", COUNT, round_trip(&process, payload(BYTES))),
        Arm::standing("null: futex, no bytes", COUNT, || {
            let start = Instant::now();
            futex.ping()?;
            Ok(start.elapsed())
        }),
        Arm::standing(
            "null: pipes",
            COUNT,
            ping(payload(BYTES), |bytes| Ok(pipe.ping(bytes)?.to_vec())),
        ),
        Arm::standing(
            "null: socket pair",
            COUNT,
            ping(payload(BYTES), |bytes| Ok(socket.ping(bytes)?.to_vec())),
        ),
    ])?;
    Ok(written(&times))
}

/// All who answer, asleep.
struct Everybody {
    crossbeam: CrossbeamPong,
    thread: Pool,
    process: Pool,
    futex: ParkPong,
    pipe: PipePong,
    socket: SocketPong,
}

impl Everybody {
    fn new() -> Result<Self, Failure> {
        Ok(Self {
            crossbeam: CrossbeamPong::new(),
            thread: parked(Isolation::Thread)?,
            process: parked(Isolation::Process)?,
            futex: ParkPong::new(),
            pipe: PipePong::new(BYTES)?,
            socket: SocketPong::new(BYTES)?,
        })
    }
}

/// A pool that has answered once: whatever it needs is there.
fn parked(isolation: Isolation) -> Result<Pool, Failure> {
    let prepared = prepared_echo(isolation, |builder| {
        let builder = builder.instance(InstancePolicy::Reused);
        builder.wait(WaitPolicy::Park)
    })?;
    let pool = prepared.start()?;
    round_trip(&pool, payload(BYTES))()?;
    Ok(pool)
}

//! What does a fault do to everybody else, and how long until all is well again?
//!
//! *Arms*: fault × isolation, each in a sacrificial host of its own, so that the host's death is a result.
//! The host runs two pools of that isolation: *bystanders*, two workers of `@echo` that are kept busy all
//! the time, and the *victim*, one worker of the guest that misbehaves, or of the user's guest where
//! something is done to the worker itself. *Stopwatch*: the sacrificial host; bystanders' latencies before
//! the fault and from it on; recovery from the fault until the victim's pool has given a good reply (of a
//! guest that always misbehaves: until every worker that was lost has been replaced by one that is
//! ready). *Expectation*: the table [`expected`], made before anything is run.
//!
//! A thread has no signals of its own: what kills or stops it, kills or stops its process.
//!
//! [`expected`]: super::expected

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use super::identity::CALLER;
use super::left_out::nothing;
use super::trial::{Bench, Said, built_in, own_guest, say, staffed};
use super::{Arm, Fault, Part, PartWork};
use crate::guest::Guest;
use crate::job::{Job, Limits, Outcome};
use crate::options::Isolation;
use crate::pool::{Completion, Health, Pool};
use crate::runtime::Drill;
use crate::sys::child;
use crate::units::ByteSize;

pub(super) static CONTAINMENT: Part = Part {
    experiment: "containment",
    name: "faults",
    question: "What does a fault do to everybody else, and how long until all is well again?",
    arms: |_| &[Arm::Thread, Arm::Process],
    twin: Arm::Thread,
    weight: 1.0,
    core: 1,
    most: [1, 3, 10],
    rows: |_| Vec::new(),
    left_out: nothing,
    work: PartWork::Faults,
};

/// What the sacrificial host tells before it may die.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Sighting {
    /// Bystanders run, and the fault comes next.
    Injecting,
    /// How the job that met the fault ended, in words, and whether that was the fault that was meant.
    Victim { ended: String, as_meant: bool },
    /// All is over, and the host lives.
    Survived(Aftermath),
}

/// What the sacrificial host counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Aftermath {
    /// Jobs of bystanders, from the fault on.
    pub(crate) bystanders: u64,
    /// Of these, jobs that did not end well.
    pub(crate) bystanders_lost: u64,
    /// Workers of the victim's pool that died or were given up.
    pub(crate) workers_lost: u64,
    /// Bystanders' latencies before the fault, and from it on.
    pub(crate) before: Kept,
    pub(crate) after: Kept,
    /// Seconds from the fault until the victim's pool was well again.
    pub(crate) recovery: Option<f64>,
}

/// Latencies that are kept of one side of a fault.
pub(crate) const KEPT: usize = 1000;

/// Latencies of bystanders, in the order in which they were seen, worker by worker: seconds. Of more than
/// [`KEPT`] jobs, every so-many-th.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) seconds: Vec<f64>,
    /// Jobs that they were taken from.
    pub(crate) of: u64,
}

impl Kept {
    fn of(all: &[f64]) -> Self {
        let kept = all.len().min(KEPT);
        Self {
            // Evenly spread over all of them.
            seconds: (0..kept).map(|at| all[at * all.len() / kept]).collect(),
            of: all.len() as u64,
        }
    }
}

/// How long a job of a victim may take: long enough for any that behaves.
fn limits(bench: &Bench, fault: Fault) -> Limits {
    let usual = bench.limits();
    let job = Duration::from_secs_f64(bench.effort().job);
    let timeout = match fault {
        Fault::Loop | Fault::Wait => bench.effort().budget.pick([50, 100, 100]),
        // It is the deadline that finds out a worker that stands still.
        Fault::Stop => 300 + 20 * u64::try_from(job.as_millis()).unwrap_or(10_000),
        _ => 30_000,
    };
    let small = ByteSize::from_mib(64);
    Limits {
        timeout: Some(Duration::from_millis(timeout)),
        memory: match fault {
            Fault::Grow => small.min(usual.memory),
            _ => usual.memory,
        },
        // The built-in guests are to meet their faults, not the user's limit.
        fuel: None,
        ..usual
    }
}

/// The guest that is the victim, and what host code does to it.
fn victim(bench: &Bench, fault: Fault) -> Result<(Guest, Option<Drill>), String> {
    let caller = |drill| Ok((own_guest("caller", CALLER)?, Some(drill)));
    let guest = |name| Ok((built_in(name)?, None));
    match fault {
        Fault::Trap => guest("trap"),
        Fault::Recursion => guest("deep"),
        Fault::Loop => guest("spin"),
        Fault::Wait => guest("sleep"),
        Fault::Grow => guest("grow"),
        Fault::Flood => guest("flood"),
        Fault::Lie => guest("liar"),
        Fault::HostPanic => caller(Drill::Panic),
        Fault::HostAbort => caller(Drill::Abort),
        Fault::HostSegfault => caller(Drill::Segfault),
        Fault::Kill | Fault::Stop if bench.effort().works => Ok((bench.guest.clone(), None)),
        Fault::Kill | Fault::Stop => guest("echo"),
    }
}

/// Whether the victim's job ended as this fault makes it end.
fn as_meant(fault: Fault, completion: &Completion) -> bool {
    match (fault, &completion.result) {
        (Fault::Trap | Fault::Recursion, Ok(reply)) => {
            matches!(reply.outcome, Outcome::Trapped { .. })
        }
        (Fault::Loop | Fault::Wait, Ok(reply)) => reply.outcome == Outcome::Deadline,
        (Fault::Grow, Ok(reply)) => reply.outcome == Outcome::MemoryLimit,
        (Fault::Flood, Ok(reply)) => reply.outcome == Outcome::OutputLimit,
        (Fault::Lie, Ok(reply)) => matches!(reply.outcome, Outcome::InterfaceViolation(_)),
        (Fault::HostPanic | Fault::HostAbort | Fault::HostSegfault, result) => result.is_err(),
        // Told by the pool's count of deaths.
        (Fault::Kill | Fault::Stop, _) | (_, Err(_)) => false,
    }
}

/// Runs the sacrificial host. It may not return.
pub(super) fn inject(bench: &Bench, fault: Fault) -> Result<(), String> {
    let tell = |sighting| say(&Said::Progress(sighting)).map_err(|error| error.to_string());
    let crowd = Crowd::gather(bench)?;
    let (guest, drill) = victim(bench, fault)?;
    let limits = limits(bench, fault);
    let builder = bench.builder(&guest, 1).limits(limits).drill(drill);
    let pool = builder.build().map_err(|error| error.to_string())?;
    // Everybody has started before anything happens.
    staffed(&pool, 1)?;
    staffed(&crowd.pool, 2)?;
    if matches!(fault, Fault::Kill | Fault::Stop) {
        let warm = pool
            .submit(bench.job(0))
            .map_err(|error| error.to_string())?;
        warm.wait().result.map_err(|lost| lost.to_string())?;
    }
    let span = Duration::from_millis(bench.effort().budget.pick([15, 40, 150]));
    let after = AtomicBool::new(false);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = || scope.spawn(|| crowd.keep_busy(&after, &stop));
        let watchers = [watch(), watch()];
        std::thread::sleep(span);
        let told = (|| {
            tell(Sighting::Injecting)?;
            let health = pool.health();
            after.store(true, Ordering::SeqCst);
            let (injected, victim) = provoke(bench, &pool, fault)?;
            tell(victim)?;
            let recovered = recover(bench, &pool, fault, &health)?;
            let recovery = recovered.then(|| injected.elapsed().as_secs_f64());
            // What the fault left behind has some time to show.
            std::thread::sleep(span);
            let now = pool.health();
            Ok::<_, String>((
                recovery,
                now.died + now.abandoned - health.died - health.abandoned,
            ))
        })();
        stop.store(true, Ordering::SeqCst);
        let mut seen = Seen::default();
        for watcher in watchers {
            seen.add(watcher.join().map_err(|_| "a bystander panicked")??);
        }
        let (recovery, workers_lost) = told?;
        tell(Sighting::Survived(Aftermath {
            bystanders: seen.after.len() as u64 + seen.lost,
            bystanders_lost: seen.lost,
            workers_lost,
            before: Kept::of(&seen.before),
            after: Kept::of(&seen.after),
            recovery,
        }))
    })
}

/// Makes the fault happen, and waits for the end of the job that met it. Tells when the fault came: the
/// moment of the signal, or of handing in the job.
fn provoke(bench: &Bench, pool: &Pool, fault: Fault) -> Result<(Instant, Sighting), String> {
    let submit = |job| pool.submit(job).map_err(|error| error.to_string());
    let ended = |completion: &Completion| match &completion.result {
        Ok(reply) => reply.outcome.to_string(),
        Err(lost) => lost.to_string(),
    };
    let signal = match fault {
        Fault::Kill => Signal::KILL,
        Fault::Stop => Signal::STOP,
        _ => {
            let injected = Instant::now();
            let completion = submit(Job::new(""))?.wait();
            let victim = Sighting::Victim {
                ended: ended(&completion),
                as_meant: as_meant(fault, &completion),
            };
            return Ok((injected, victim));
        }
    };
    let deaths = pool.health().died;
    let ticket = submit(bench.job(1))?;
    // Into the middle of the job, if it is long enough to have one.
    std::thread::sleep(Duration::from_secs_f64(bench.effort().job / 2.0));
    let target = match bench.isolation {
        Isolation::Thread => std::process::id(),
        Isolation::Process => {
            let worker = pool.workers().into_iter().find_map(|worker| worker.pid);
            worker.ok_or("no worker has a process")?
        }
    };
    let injected = Instant::now();
    send(target, signal)?;
    // A busy machine takes its time to stop a process, and until then it goes on with its work.
    let patience = injected + Duration::from_secs(5);
    while fault == Fault::Stop && !child::is_stopped(target) && Instant::now() < patience {
        std::thread::sleep(Duration::from_micros(50));
    }
    let mut completion = ticket.wait();
    // A job that was quicker than the signal did not meet the fault. The next one may, unless the
    // death of its worker was noticed before, and nobody's job was lost.
    if completion.result.is_ok() {
        completion = submit(bench.job(1))?.wait();
    }
    let as_meant = pool.health().died > deaths;
    let ended = match completion.result.is_ok() {
        true => "the worker died between two jobs".to_owned(),
        false => ended(&completion),
    };
    Ok((injected, Sighting::Victim { ended, as_meant }))
}

/// Waits until the victim's pool does its work again.
fn recover(bench: &Bench, pool: &Pool, fault: Fault, before: &Health) -> Result<bool, String> {
    match fault {
        Fault::Kill | Fault::Stop => {
            let ticket = pool
                .submit(bench.job(2))
                .map_err(|error| error.to_string())?;
            let reply = ticket.wait().result.map_err(|lost| lost.to_string())?;
            match reply.outcome {
                Outcome::Output => Ok(true),
                outcome => Err(format!("the job after the fault: {outcome}")),
            }
        }
        // The same guest would do the same again: as many workers as were lost are ready for that.
        _ => {
            let patience = Instant::now() + Duration::from_secs(10);
            let replaced = || {
                let now = pool.health();
                let lost = now.died + now.abandoned - before.died - before.abandoned;
                now.started - before.started >= lost && !pool.workers().is_empty()
            };
            while !replaced() {
                if Instant::now() > patience {
                    return Ok(false);
                }
                std::thread::sleep(Duration::from_micros(50));
            }
            Ok(true)
        }
    }
}

fn send(pid: u32, signal: Signal) -> Result<(), String> {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or("that is no process")?;
    kill_process(pid, signal).map_err(|error| error.to_string())
}

/// The bystanders.
struct Crowd {
    pool: Pool,
    payload: Vec<u8>,
}

/// What bystanders saw: seconds of each job, before the fault and from it on.
#[derive(Default)]
struct Seen {
    before: Vec<f64>,
    after: Vec<f64>,
    lost: u64,
}

impl Seen {
    fn add(&mut self, other: Self) {
        self.before.extend(other.before);
        self.after.extend(other.after);
        self.lost += other.lost;
    }
}

impl Crowd {
    fn gather(bench: &Bench) -> Result<Self, String> {
        let builder = bench.builder(&built_in("echo")?, 2).limits(bench.roomy());
        Ok(Self {
            pool: builder.build().map_err(|error| error.to_string())?,
            payload: vec![7; 64],
        })
    }

    /// Sends one job after another, until it is told to stop.
    fn keep_busy(&self, after: &AtomicBool, stop: &AtomicBool) -> Result<Seen, String> {
        let mut seen = Seen::default();
        while !stop.load(Ordering::SeqCst) {
            let start = Instant::now();
            let ticket = self.pool.submit(Job::new(self.payload.clone()));
            let completion = ticket.map_err(|error| error.to_string())?.wait();
            let seconds = start.elapsed().as_secs_f64();
            let well = completion.result.is_ok_and(|reply| {
                reply.outcome == Outcome::Output && reply.output == self.payload
            });
            // A job that was under way when the fault came belongs to what came after.
            match (well, after.load(Ordering::SeqCst)) {
                (true, false) => seen.before.push(seconds),
                (true, true) => seen.after.push(seconds),
                (false, true) => seen.lost += 1,
                (false, false) => return Err("a bystander was lost before the fault".to_owned()),
            }
        }
        Ok(seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_latencies_some_are_kept_evenly() {
        let all: Vec<f64> = (0..3500u16).map(f64::from).collect();
        let kept = Kept::of(&all);
        assert_eq!((kept.seconds.len(), kept.of), (KEPT, 3500));
        assert_eq!(kept.seconds[..4], [0.0, 3.0, 7.0, 10.0]);
        assert_eq!(kept.seconds[KEPT - 1], 3496.0);
    }

    #[test]
    fn few_latencies_are_kept_as_they_are() {
        assert_eq!(Kept::of(&[3.0, 1.0, 2.0]).seconds, [3.0, 1.0, 2.0]);
        assert_eq!(Kept::of(&[]), Kept::default());
    }
}

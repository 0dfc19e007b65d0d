//! What do a trap and a SIGKILL of one worker do to everybody else?
//!
//! *Arms*: fault × isolation, each in a sacrificial host of its own, so that the host's death is a
//! result. The host runs a pool of two workers on the user's guest, whose jobs are the bystanders.
//! In the middle of them the fault is injected: a trap by a second pool of the same isolation that
//! runs `@trap`; a SIGKILL to one worker of the first pool. A thread has no signals of its own, so
//! for a thread worker the SIGKILL goes where it would come from: to its process. *Stopwatch*: the
//! sacrificial host, from the injection until the pool is at full strength again, its new worker
//! ready. *Expectation*: a table, [`expected`], made before anything is run.

use std::fmt;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::trial::{Bench, Said, reply_of, say};
use crate::guest::Guest;
use crate::job::{Job, Outcome};
use crate::options::Isolation;
use crate::pool::{Pool, Ticket};

/// What is done to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Its guest traps.
    Trap,
    /// It is killed by SIGKILL, as a crash in native code would end it.
    Kill,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 2] = [Self::Trap, Self::Kill];
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trap => "a guest traps",
            Self::Kill => "a worker is killed (SIGKILL)",
        })
    }
}

/// How far a fault went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Containment {
    /// The fault's own job at the most was lost; everybody else noticed nothing.
    Contained,
    /// Other jobs were lost too, but the host lived.
    Spread,
    /// The host died, and every job with it.
    HostDied,
}

impl fmt::Display for Containment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Contained => "contained",
            Self::Spread => "spread to other jobs",
            Self::HostDied => "took down the host",
        })
    }
}

/// What must happen: `FAULTS.md`, G1 and W1, and H4 for a thread.
#[must_use]
pub fn expected(fault: Fault, isolation: Isolation) -> Containment {
    match (fault, isolation) {
        (Fault::Trap, Isolation::Thread | Isolation::Process) => Containment::Contained,
        (Fault::Kill, Isolation::Process) => Containment::Contained,
        (Fault::Kill, Isolation::Thread) => Containment::HostDied,
    }
}

/// What the sacrificial host tells before it may die.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) enum Sighting {
    /// It handed in so many bystanders, and injects the fault next.
    Injecting { bystanders: u64 },
    /// The victim's own job ended as it should; nothing is said where the victim had no job.
    Victim { as_expected: bool },
    /// Bystanders that were answered well, and jobs that ended with their worker.
    Answered { well: u64, with_the_worker: u64 },
    /// The killed worker was replaced by one that is ready, so many seconds after the injection.
    Recovered { seconds: f64 },
}

/// Bystanders: enough that both workers are busy when the fault comes, and others wait.
const BYSTANDERS: usize = 8;

/// Runs the sacrificial host. It may not return.
pub(super) fn inject(bench: &Bench, fault: Fault) -> Result<(), String> {
    let tell = |sighting| say(&Said::Progress(sighting)).map_err(|error| error.to_string());
    let pool = bench.pool(&bench.guest, 2)?;
    let submit = |place| {
        pool.submit(bench.job(place))
            .map_err(|error| error.to_string())
    };
    let trap = Guest::embedded("trap").map_err(|error| error.to_string())?;
    let victims = bench.pool(&trap, 1)?;
    // Everybody has started before anything happens.
    let warm: Vec<_> = (0..2).map(submit).collect::<Result<_, _>>()?;
    let mut job = Duration::MAX;
    for ticket in warm {
        let completion = ticket.wait();
        job = job.min(completion.wall);
        reply_of(completion)?;
    }
    while pool.workers().len() < 2 {
        std::thread::yield_now();
    }

    let bystanders: Vec<Ticket> = (0..BYSTANDERS).map(submit).collect::<Result<_, _>>()?;
    tell(Sighting::Injecting {
        bystanders: BYSTANDERS as u64,
    })?;
    // Into the middle of the first jobs.
    std::thread::sleep(job / 2);
    match (fault, bench.isolation) {
        (Fault::Trap, _) => {
            let completion = victims
                .submit(Job::new(""))
                .map_err(|error| error.to_string())?
                .wait();
            let outcome = completion.result.map(|reply| reply.outcome);
            let as_expected = matches!(outcome, Ok(Outcome::Trapped { .. }));
            tell(Sighting::Victim { as_expected })?;
        }
        (Fault::Kill, Isolation::Process) => {
            let worker = pool.workers().into_iter().find_map(|worker| worker.pid);
            let seconds = kill_and_recover(&pool, worker.ok_or("no worker has a process")?)?;
            tell(Sighting::Recovered { seconds })?;
        }
        (Fault::Kill, Isolation::Thread) => kill(std::process::id())?,
    }
    let mut well = 0;
    let mut with_the_worker = 0;
    for ticket in bystanders {
        match ticket.wait().result {
            Ok(reply) if reply.outcome == Outcome::Output => well += 1,
            _ => with_the_worker += 1,
        }
    }
    tell(Sighting::Answered {
        well,
        with_the_worker,
    })?;
    // The pool still does its work.
    reply_of(submit(BYSTANDERS)?.wait()).map(drop)
}

/// Kills a worker, and waits until another one has taken its place.
fn kill_and_recover(pool: &Pool, pid: u32) -> Result<f64, String> {
    let injected = Instant::now();
    kill(pid)?;
    while injected.elapsed() < Duration::from_secs(10) {
        let workers = pool.workers();
        if workers.len() == 2 && workers.iter().all(|worker| worker.pid != Some(pid)) {
            return Ok(injected.elapsed().as_secs_f64());
        }
        // Fine enough for a millisecond, and too little to disturb the bystanders.
        std::thread::sleep(Duration::from_micros(50));
    }
    Err("the killed worker was not replaced within 10 s".to_owned())
}

fn kill(pid: u32) -> Result<(), String> {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or("that is no process")?;
    kill_process(pid, Signal::KILL).map_err(|error| error.to_string())
}

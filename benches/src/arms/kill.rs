//! A worker is killed: how long until there is a good reply again?

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use cofferdam::{Job, Outcome, Pool, StartMethod};
use rustix::process::{Pid, Signal, kill_process};

use super::start::TRIES;
use super::{Once, until};
use crate::proc::{State, children};
use crate::{Failure, Subject};

/// Kills a process with SIGKILL.
///
/// # Errors
/// If it is gone, or not ours.
pub fn kill(pid: u32) -> Result<(), Failure> {
    let pid = Pid::from_raw(i32::try_from(pid)?).ok_or("process 0")?;
    Ok(kill_process(pid, Signal::KILL)?)
}

/// The only worker of a pool is killed while it waits: from just before the signal until the caller, who
/// asks again and again, holds a good reply. With spares, only recoveries by a spare count.
pub fn recovery<'a>(pool: &'a Pool, start: StartMethod, subject: &'a Subject) -> impl Once + 'a {
    move || {
        for _ in 0..TRIES {
            let before: BTreeSet<u32> = children()?.iter().map(|child| child.pid).collect();
            let (took, successor) = recover(pool, subject)?;
            if start != StartMethod::Spare {
                return Ok(took);
            }
            refilled(&before, successor)?;
            if before.contains(&successor) {
                return Ok(took);
            }
        }
        Err("the stock of spare workers is always empty".into())
    }
}

/// How long a recovery took, and who is the worker now.
fn recover(pool: &Pool, subject: &Subject) -> Result<(Duration, u32), Failure> {
    let job = Job::new(subject.input());
    let victim = worker(pool)?;
    let begin = Instant::now();
    kill(victim)?;
    let (took, output) = loop {
        // The job may still have gone to the dying worker: then it is lost, and the next one counts.
        if let Ok(reply) = pool.call(job.clone())?.result
            && reply.outcome == Outcome::Output
        {
            break (begin.elapsed(), reply.output);
        }
        if begin.elapsed() > Duration::from_secs(30) {
            return Err("no good reply came after the worker was killed".into());
        }
    };
    subject.check("cofferdam", &output)?;
    match worker(pool)? {
        successor if successor == victim => Err("the worker that was killed is still there".into()),
        successor => Ok((took, successor)),
    }
}

fn worker(pool: &Pool) -> Result<u32, Failure> {
    until("there is no worker", || {
        Ok(pool.workers().first().and_then(|worker| worker.pid))
    })
}

/// Waits until another spare has taken the place of the one that was used.
pub(super) fn refilled(before: &BTreeSet<u32>, successor: u32) -> Result<(), Failure> {
    until("no spare worker came", || {
        let now = children()?;
        let is_new = |pid| pid != successor && !before.contains(&pid);
        let ready = now
            .iter()
            .any(|child| is_new(child.pid) && child.state == State::Sleeps);
        Ok(ready.then_some(()))
    })?;
    // It sleeps; whoever made it puts it into the stock about now.
    std::thread::sleep(Duration::from_millis(2));
    Ok(())
}

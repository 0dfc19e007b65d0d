//! A guest that never returns: how long after its deadline does the host know?

use std::time::{Duration, Instant};

use cofferdam::{Job, Outcome, Pool};

use super::{Once, until};

/// How late the end of a runaway job comes. Its deadline counts from when a worker takes it up, and the
/// stopwatch from just before: what is told is a little too much.
pub fn late(pool: &Pool, deadline: Duration) -> impl Once {
    move || {
        // A process worker was replaced since the last time. That is not what is asked.
        until("no worker came", || {
            Ok((!pool.workers().is_empty()).then_some(()))
        })?;
        let job = Job::new("").timeout(deadline);
        let start = Instant::now();
        let completion = pool.call(job)?;
        let took = start.elapsed();
        match completion.result?.outcome {
            Outcome::Deadline => Ok(took.saturating_sub(deadline)),
            other => Err(format!("a runaway guest ended with {other}").into()),
        }
    }
}

/// How late somebody wakes up who only sleeps until the deadline: this machine's own part.
pub fn sleeper(deadline: Duration) -> impl Once {
    move || {
        let start = Instant::now();
        std::thread::sleep(deadline);
        Ok(start.elapsed().saturating_sub(deadline))
    }
}

//! What is done to jobs and workers, and how each such job has to end.

use std::fmt;
use std::time::Duration;

use cofferdam::{
    ByteSize, Completion, Death, Guest, Isolation, Job, Limits, Lost, Outcome, Pool, PoolBuilder,
    RestartPolicy, Sender, TrapKind,
};
use cofferdam_benches::Failure;
use rustix::process::{Pid, Signal, kill_process};

/// A fault within one job. The job is the only victim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// The guest traps.
    Trap,
    /// The guest loops until its deadline.
    Loop,
    /// The guest takes memory until it is denied.
    Bomb,
    /// The guest writes more than it may.
    Flood,
    /// The host's own handler of a message panics.
    Panic,
    /// The worker's process is killed while it runs the job.
    Kill,
    /// The worker's process is stopped while it runs the job, and hangs until its deadline.
    Stop,
}

/// The time limit of a guest that loops.
const SHORT: Duration = Duration::from_millis(50);

/// The time limit of a worker that is stopped. The signal has to come before it.
const LONGER: Duration = Duration::from_millis(500);

/// What a handler says that panics on purpose: such panics are not shown.
pub(crate) const ON_PURPOSE: &str = "endure: a handler panics";

impl Fault {
    const IN_A_THREAD: [Self; 5] = [Self::Trap, Self::Loop, Self::Bomb, Self::Flood, Self::Panic];
    const IN_A_PROCESS: [Self; 7] = [
        Self::Trap,
        Self::Loop,
        Self::Bomb,
        Self::Flood,
        Self::Panic,
        Self::Kill,
        Self::Stop,
    ];

    /// Those that a host survives in this isolation.
    pub(crate) fn all(isolation: Isolation) -> &'static [Self] {
        match isolation {
            Isolation::Thread => &Self::IN_A_THREAD,
            Isolation::Process => &Self::IN_A_PROCESS,
        }
    }

    /// A job that comes to it.
    pub(crate) fn job(self) -> Job {
        match self {
            Self::Trap => Job::new("t"),
            Self::Loop => Job::new("l").timeout(SHORT),
            Self::Bomb => Job::new("g"),
            Self::Flood => Job::new("f"),
            Self::Panic => Job::new("p").on_post(|_, _| panic!("{ON_PURPOSE}")),
            Self::Kill => Job::new("k").on_post(|sender, _| signal(sender, Signal::KILL)),
            Self::Stop => {
                let job = Job::new("k").timeout(LONGER);
                job.on_post(|sender, _| signal(sender, Signal::STOP))
            }
        }
    }

    /// # Errors
    /// How the job ended, if that is not how it has to.
    pub(crate) fn check(self, completion: &Completion) -> Result<(), String> {
        let good = match (self, &completion.result) {
            (Self::Trap, Ok(reply)) => matches!(
                reply.outcome,
                Outcome::Trapped {
                    kind: TrapKind::Unreachable,
                    ..
                }
            ),
            (Self::Loop, Ok(reply)) => reply.outcome == Outcome::Deadline,
            (Self::Bomb, Ok(reply)) => reply.outcome == Outcome::MemoryLimit,
            (Self::Flood, Ok(reply)) => reply.outcome == Outcome::OutputLimit,
            (Self::Panic, Err(Lost::Worker(Death::Panicked(why)))) => why == ON_PURPOSE,
            (Self::Kill, Err(Lost::Worker(Death::Signalled(9)))) => true,
            (Self::Stop, Err(Lost::Worker(Death::Hung { .. }))) => true,
            _ => false,
        };
        if good {
            return Ok(());
        }
        Err(format!(
            "job {}, which was to {self}, ended with {:?} by {:?}",
            completion.job, completion.result, completion.worker
        ))
    }

    /// By how much the job outlived its time limit.
    pub(crate) fn overrun(self, completion: &Completion) -> Duration {
        match self {
            Self::Loop => completion.wall.saturating_sub(SHORT),
            Self::Stop => completion.wall.saturating_sub(LONGER),
            _ => Duration::ZERO,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trap => "trap",
            Self::Loop => "loop for ever",
            Self::Bomb => "take all memory",
            Self::Flood => "flood the output",
            Self::Panic => "panic in a handler",
            Self::Kill => "have its worker killed",
            Self::Stop => "have its worker stopped",
        })
    }
}

/// Sends a signal to the process of a worker, which its label names.
fn signal(sender: &Sender<'_>, signal: Signal) {
    let pid = pid_of(sender.worker).and_then(Pid::from_raw);
    let _ = kill_process(
        pid.expect("a worker process has a pid in its label"),
        signal,
    );
}

/// The process that a worker's label names.
pub(crate) fn pid_of(label: &str) -> Option<i32> {
    label.rsplit_once("pid ")?.1.trim().parse().ok()
}

/// The guest that does everything.
pub(crate) fn guest() -> Result<Guest, Failure> {
    Ok(Guest::from_bytes("mixed", include_bytes!("mixed.wat"))?)
}

/// A pool of it, or of another guest, whose limits make bombs and floods short.
pub(crate) fn builder(guest: Guest, isolation: Isolation) -> PoolBuilder {
    Pool::builder(guest)
        .isolation(isolation)
        .limits(Limits {
            memory: ByteSize::from_mib(64),
            output: ByteSize::from_mib(1),
            timeout: Some(Duration::from_secs(60)),
            ..Limits::default()
        })
        .restart(RestartPolicy {
            // A worker that is killed before its first job counts as a start that failed, and here that is
            // somebody's doing.
            first_pause: Duration::from_millis(1),
            longest_pause: Duration::from_millis(10),
            quarantine_after: usize::MAX,
            ..RestartPolicy::default()
        })
}

/// Keeps panics that happen on purpose from being shown.
pub(crate) fn hush_panics_on_purpose() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let said = info.payload_as_str();
        if said != Some(ON_PURPOSE) {
            usual(info);
        }
    }));
}

//! One piece of work and how it ended.
//!
//! Two endings are told apart everywhere: an [`Outcome`] is how the *guest* ended, and the worker
//! that ran it lives on; a [`Death`] is how the *worker* ended, and says nothing about the guest.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cofferdam_guest::abi::Level;
use crossbeam_channel::Receiver;
use serde::{Deserialize, Serialize};

use crate::mail::{LogHandler, Mail, Mailbox, PostHandler, printable};
use crate::payload::Input;
use crate::units::ByteSize;

/// Bytes in; a [`Reply`] out. Cloning is cheap: the input is shared.
#[derive(Clone)]
pub struct Job {
    input: Input,
    number: u64,
    seed: Option<u64>,
    timeout: Option<Duration>,
    /// `None` where nobody is to be written to: most jobs then move and clone as a few words.
    mailbox: Option<Arc<Mailbox>>,
}

impl Job {
    /// The largest message that the host posts to a guest, whatever the other limits are.
    pub const MAX_MESSAGE: ByteSize = ByteSize::from_mib(64);

    /// A job with this input, without messages, under the limits of its pool.
    #[must_use]
    pub fn new(input: impl Into<Vec<u8>>) -> Self {
        Self {
            input: input.into().into(),
            number: 0,
            seed: None,
            timeout: None,
            mailbox: None,
        }
    }

    /// Its mailbox, to be changed.
    fn own_mailbox(&mut self) -> &mut Mailbox {
        Arc::make_mut(self.mailbox.get_or_insert_default())
    }

    /// Calls `handler` with each message that the guest posts, in order, before the reply arrives.
    ///
    /// It runs on the worker's thread, or on that of a caller (see [`Pool::call`](crate::Pool::call)): while
    /// it blocks, the guest waits in its `post`.
    #[must_use]
    pub fn on_post(mut self, handler: impl Fn(&Sender<'_>, &[u8]) + Send + Sync + 'static) -> Self {
        self.own_mailbox().on_post = Some(Arc::new(handler) as PostHandler);
        self
    }

    /// Calls `handler` with each line that the guest logs, with control characters already escaped.
    #[must_use]
    pub fn on_log(
        mut self,
        handler: impl Fn(&Sender<'_>, Level, &str) + Send + Sync + 'static,
    ) -> Self {
        self.own_mailbox().on_log = Some(Arc::new(handler) as LogHandler);
        self
    }

    /// Opens the way from the host to the guest: what is sent through the [`Outbox`], the guest
    /// takes with `recv`, also while the job runs. Dropping it closes the way. A job whose guest has
    /// taken a message is not run again when its worker dies: the message is gone.
    #[must_use]
    pub fn with_inbox(mut self) -> (Self, Outbox) {
        let (sender, receiver) = crossbeam_channel::bounded(Outbox::CAPACITY);
        self.own_mailbox().inbox = Some(Inbox {
            messages: receiver,
            taken: Arc::default(),
        });
        (self, Outbox(sender))
    }

    /// Gives this job its own time limit in place of the pool's.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout.min(LONGEST));
        self
    }

    /// The bytes that the guest reads.
    #[must_use]
    pub fn input(&self) -> &[u8] {
        self.input.owned()
    }

    /// The same, wherever they lie.
    pub(crate) fn payload(&self) -> &Input {
        &self.input
    }

    /// The job's place in its pool's order of submission, from 0.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// What makes `random` and `clock` reproducible in this job, if anything does.
    #[must_use]
    pub fn seed(&self) -> Option<u64> {
        self.seed
    }

    /// Whether a second run would find what the first one found.
    pub(crate) fn can_be_repeated(&self) -> bool {
        let mailbox = self.mailbox.as_deref();
        let inbox = mailbox.and_then(|mailbox| mailbox.inbox.as_ref());
        inbox.is_none_or(|inbox| !inbox.taken.load(Ordering::SeqCst))
    }

    pub(crate) fn own_timeout(&self) -> Option<Duration> {
        self.timeout
    }

    pub(crate) fn mail(&self) -> &dyn Mail {
        self.mailbox.as_deref().unwrap_or(Mailbox::none())
    }

    /// Gives it its place in its pool.
    pub(crate) fn set_number(&mut self, number: u64, seed: Option<u64>) {
        self.number = number;
        self.seed = seed;
    }

    pub(crate) fn numbered(mut self, number: u64, seed: Option<u64>) -> Self {
        self.set_number(number, seed);
        self
    }

    /// The same job in the hands of a worker, which signs the guest's messages.
    pub(crate) fn signed(&self, worker: &Arc<str>) -> Self {
        let mut job = self.clone();
        let mailbox = self.mailbox.as_deref();
        if mailbox.is_some_and(Mailbox::has_handlers) {
            job.own_mailbox().signature = Some((Arc::clone(worker), self.number));
        }
        job
    }

    /// A job as the child's side sees it: its messages travel over the link.
    pub(crate) fn received(
        number: u64,
        seed: Option<u64>,
        input: Input,
        mailbox: &Arc<Mailbox>,
    ) -> Self {
        Self {
            input,
            number,
            seed,
            timeout: None,
            mailbox: Some(Arc::clone(mailbox)),
        }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("number", &self.number)
            .field("input_bytes", &self.input.len())
            .field("seed", &self.seed)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// The host's end of a job's inbox, made by [`Job::with_inbox`].
#[derive(Clone, Debug)]
pub struct Outbox(crossbeam_channel::Sender<Vec<u8>>);

/// The guest's end of a job's inbox.
#[derive(Clone, Debug)]
pub(crate) struct Inbox {
    pub(crate) messages: Receiver<Vec<u8>>,
    /// Whether the guest has taken any: they cannot be given to it a second time.
    pub(crate) taken: Arc<AtomicBool>,
}

/// Who posts or logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sender<'a> {
    /// The label of the worker.
    pub worker: &'a str,
    /// The job's number.
    pub job: u64,
}

/// Why a message was not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PostError {
    /// Nobody takes its messages any more.
    #[error("the job has ended")]
    JobEnded,
    /// It is larger than any message may be.
    #[error("a message of {size} is larger than the {limit} that a message may have")]
    TooLarge {
        /// What it has.
        size: ByteSize,
        /// What it may have.
        limit: ByteSize,
    },
}

impl Outbox {
    /// Messages that may wait before [`Outbox::post`] blocks: enough to keep a guest busy, and a
    /// bound on what a guest that never reads can make the host hold.
    pub const CAPACITY: usize = 256;

    /// Posts a message to the guest. Waits while [`Outbox::CAPACITY`] messages are not yet taken.
    ///
    /// # Errors
    /// [`PostError::JobEnded`] when the job has ended, also while this call waits;
    /// [`PostError::TooLarge`] past [`Job::MAX_MESSAGE`].
    pub fn post(&self, message: impl Into<Vec<u8>>) -> Result<(), PostError> {
        let message = message.into();
        if message.len() as u64 > Job::MAX_MESSAGE.bytes() {
            let size = ByteSize::from_bytes(message.len() as u64);
            return Err(PostError::TooLarge {
                size,
                limit: Job::MAX_MESSAGE,
            });
        }
        self.0.send(message).map_err(|_| PostError::JobEnded)
    }
}

/// A century: what is longer means the same, and must not overflow the clock.
pub(crate) const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// What a job may use. One value serves a whole pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of linear memory and tables, summed over the instance. A table element counts 8 bytes.
    pub memory: ByteSize,
    /// Bytes of stack for wasm code. The worker's thread gets this and the host's own need.
    pub stack: ByteSize,
    /// Units of wasm work (about one each instruction); `None` counts nothing and costs nothing.
    pub fuel: Option<u64>,
    /// Bytes that a job may say: its reply, its posted messages and the requests that a plugin sends together.
    pub output: ByteSize,
    /// Bytes that a job may be given. Checked when it is submitted.
    pub input: ByteSize,
    /// From the moment when a worker takes the job up to its reply; `None` waits for ever.
    pub timeout: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: ByteSize::from_mib(256),
            stack: ByteSize::from_kib(512),
            fuel: None,
            output: ByteSize::from_mib(16),
            input: ByteSize::from_mib(64),
            timeout: Some(Duration::from_secs(30)),
        }
    }
}

/// How a guest ended. The worker lives on, except where the deadline had to be enforced from
/// outside.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// `handle` returned 0, or a command exited with code 0: the reply's output is the answer.
    Output,
    /// `handle` returned something else: the guest says no. Not a fault.
    Refused {
        /// What `handle` returned.
        code: i32,
        /// What the guest gave to `fail`; empty if it gave nothing.
        reason: String,
    },
    /// A command ended by itself with another exit code than 0. Not a fault.
    Exited(i32),
    /// The guest did what wasm forbids, or gave up by `unreachable`.
    Trapped {
        /// What it did.
        kind: TrapKind,
        /// What the guest gave to `fail` before, such as a panic's message; empty if nothing.
        reason: String,
    },
    /// The time limit passed before `handle` returned.
    Deadline,
    /// The fuel ran out before `handle` returned.
    OutOfFuel,
    /// The guest trapped or could not start after it was denied memory. Growth that is denied and
    /// survived by the guest is no ending: `memory.grow` gives -1.
    MemoryLimit,
    /// The guest said more than [`Limits::output`].
    OutputLimit,
    /// The guest passed a range outside its memory to a host function, spoke of its job in a start
    /// function, when there is none yet, or asked for what it was not allowed.
    InterfaceViolation(String),
    /// The guest could not be instantiated: nothing of the job ran.
    InvalidGuest(String),
}

/// What a trapped guest did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TrapKind {
    /// It executed `unreachable`; panics and aborts compile to this.
    Unreachable,
    /// It called deeper than [`Limits::stack`] allows.
    StackOverflow,
    /// It touched linear memory out of bounds.
    MemoryOutOfBounds,
    /// It touched a table out of bounds.
    TableOutOfBounds,
    /// It called through a null element of a table.
    NullCall,
    /// It called through a table with the wrong signature.
    BadSignature,
    /// A signed division or a conversion overflowed.
    IntegerOverflow,
    /// It divided by zero.
    DivisionByZero,
    /// It converted a NaN or a number out of range to an integer.
    BadConversion,
    /// Any other trap of the engine, or a plugin's request that got no answer.
    Other,
    /// It threw an exception that nobody caught.
    UncaughtException,
}

impl TrapKind {
    /// Every kind, in the order of the wire's numbers.
    pub(crate) const ALL: [TrapKind; 11] = [
        Self::Unreachable,
        Self::StackOverflow,
        Self::MemoryOutOfBounds,
        Self::TableOutOfBounds,
        Self::NullCall,
        Self::BadSignature,
        Self::IntegerOverflow,
        Self::DivisionByZero,
        Self::BadConversion,
        Self::Other,
        Self::UncaughtException,
    ];
}

impl fmt::Display for TrapKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "unreachable executed",
            Self::StackOverflow => "call stack exhausted",
            Self::MemoryOutOfBounds => "memory access out of bounds",
            Self::TableOutOfBounds => "table access out of bounds",
            Self::NullCall => "call through a null table element",
            Self::BadSignature => "indirect call with the wrong signature",
            Self::IntegerOverflow => "integer overflow",
            Self::DivisionByZero => "division by zero",
            Self::BadConversion => "invalid conversion to integer",
            Self::Other => "trap",
            Self::UncaughtException => "an exception was not caught",
        })
    }
}

impl Outcome {
    /// Every name that [`Outcome::name`] gives.
    pub(crate) const NAMES: [&str; 10] = [
        "output",
        "refused",
        "exited",
        "trapped",
        "deadline",
        "out-of-fuel",
        "memory-limit",
        "output-limit",
        "interface-violation",
        "invalid-guest",
    ];

    /// The outcome in one word, as `run --format json` spells it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Output => "output",
            Self::Refused { .. } => "refused",
            Self::Exited(_) => "exited",
            Self::Trapped { .. } => "trapped",
            Self::Deadline => "deadline",
            Self::OutOfFuel => "out-of-fuel",
            Self::MemoryLimit => "memory-limit",
            Self::OutputLimit => "output-limit",
            Self::InterfaceViolation(_) => "interface-violation",
            Self::InvalidGuest(_) => "invalid-guest",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let with = |f: &mut fmt::Formatter<'_>, reason: &str| match reason {
            "" => Ok(()),
            reason => write!(f, ": {}", printable(reason)),
        };
        match self {
            Self::Output => f.write_str("done"),
            Self::Refused { code, reason } => {
                write!(f, "the guest refused with code {code}")?;
                with(f, reason)
            }
            Self::Exited(code) => write!(f, "the guest exited with code {code}"),
            Self::Trapped { kind, reason } => {
                write!(f, "the guest trapped ({kind})")?;
                with(f, reason)
            }
            Self::Deadline => f.write_str("the deadline passed"),
            Self::OutOfFuel => f.write_str("the guest ran out of fuel"),
            Self::MemoryLimit => f.write_str("the guest ended after it was denied memory"),
            Self::OutputLimit => f.write_str("the guest said more than the output limit"),
            Self::InterfaceViolation(what) => write!(f, "the guest broke the interface: {what}"),
            Self::InvalidGuest(why) => write!(f, "the guest cannot be instantiated: {why}"),
        }
    }
}

/// How a worker ended. Nothing about the guest follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Death {
    /// Its process ended by itself in the middle of its work.
    Exited(i32),
    /// Its process was ended by a signal that cofferdam did not send.
    Signalled(i32),
    /// Its process was ended by the kernel, for want of memory. Known only where the kernel's log says so
    /// and may be read; else it is [`Death::Signalled`] with signal 9.
    OutOfMemory,
    /// It did not come back at the deadline: a process that was stopped, a thread that is stuck in
    /// host code. The process is killed; the thread can only be abandoned.
    Hung {
        /// How long it had been given.
        after: Duration,
    },
    /// Host code in the worker panicked.
    Panicked(String),
    /// What it said over the link breaks the protocol. The process is killed at once.
    Garbled(String),
    /// It never became ready.
    SpawnFailed(String),
}

impl Death {
    /// The death in one word, as `run --format json` spells it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Exited(_) => "exited",
            Self::Signalled(_) => "signalled",
            Self::OutOfMemory => "out-of-memory",
            Self::Hung { .. } => "hung",
            Self::Panicked(_) => "panicked",
            Self::Garbled(_) => "garbled",
            Self::SpawnFailed(_) => "spawn-failed",
        }
    }
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "the worker exited with code {code}"),
            Self::Signalled(signal) => write!(f, "the worker was killed by signal {signal}"),
            Self::OutOfMemory => {
                f.write_str("the worker was killed by the kernel, which had no memory left")
            }
            Self::Hung { after } => {
                write!(
                    f,
                    "the worker hung: it did not come back within {}",
                    crate::units::TimeSpan::new(*after)
                )
            }
            Self::Panicked(message) => write!(f, "the worker panicked: {}", printable(message)),
            Self::Garbled(why) => write!(f, "the worker broke the protocol: {why}"),
            Self::SpawnFailed(why) => write!(f, "the worker could not be started: {why}"),
        }
    }
}

/// Where a job's time went inside its worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// From taking up the job to a ready instance. Zero when one was at hand: kept from the job before,
    /// or made ahead, between the jobs. What is done there no job waits for, unless the next one is
    /// already there; a worker's jobs a second include it.
    pub instantiate: Duration,
    /// `handle`, with every host call that it made.
    pub call: Duration,
    /// Giving back the instance's memory before the reply is handed on. Zero as workers are now: they
    /// do it after that, between the jobs.
    pub release: Duration,
    /// When the worker had the job, its input included: a reading of the system's monotonic clock
    /// (`CLOCK_MONOTONIC`), which all processes of a machine share. As true as the worker is.
    pub received: Duration,
}

/// What a worker gives back for a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// How the guest ended.
    pub outcome: Outcome,
    /// What the guest wrote, complete if the outcome is [`Outcome::Output`], else up to its end.
    pub output: Vec<u8>,
    /// Log lines that were dropped because the job logged more than its share.
    pub dropped_logs: u64,
    /// Where the time went.
    pub phases: Phases,
}

impl Reply {
    /// A reply without output.
    #[must_use]
    pub fn without_output(outcome: Outcome) -> Self {
        Self {
            outcome,
            output: Vec::new(),
            dropped_logs: 0,
            phases: Phases::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guests_words_are_escaped_before_they_reach_a_terminal() {
        let outcome = Outcome::Refused {
            code: 1,
            reason: "\x1b[31mred".into(),
        };
        assert_eq!(
            outcome.to_string(),
            r"the guest refused with code 1: \u{1b}[31mred"
        );
    }

    #[test]
    fn every_outcome_has_its_name_in_the_list() {
        let reason = String::new;
        let outcomes = [
            Outcome::Output,
            Outcome::Refused {
                code: 1,
                reason: reason(),
            },
            Outcome::Exited(1),
            Outcome::Trapped {
                kind: TrapKind::Other,
                reason: reason(),
            },
            Outcome::Deadline,
            Outcome::OutOfFuel,
            Outcome::MemoryLimit,
            Outcome::OutputLimit,
            Outcome::InterfaceViolation(reason()),
            Outcome::InvalidGuest(reason()),
        ];
        assert_eq!(outcomes.map(|outcome| outcome.name()), Outcome::NAMES);
    }

    #[test]
    fn posting_to_a_job_that_ended_says_so() {
        let (job, outbox) = Job::new("").with_inbox();
        assert_eq!(outbox.post("first"), Ok(()));
        drop(job);
        assert_eq!(outbox.post("second"), Err(PostError::JobEnded));
    }

    #[test]
    fn clones_of_a_job_share_their_input() {
        let job = Job::new(vec![0; 1024]);
        assert!(std::ptr::eq(job.input(), job.clone().input()));
    }
}

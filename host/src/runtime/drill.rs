//! What host code in a worker is told to do wrong, to see who notices; and to tell what only it sees.
//!
//! A bug in a host function is the fault that the wasm sandbox does not stop. The experiments need it
//! on demand, in both isolations: a drill is acted out by the host function `log`, in a worker that was
//! made for it. What an instance has of linear memory nobody sees from outside, and no reply says it: one
//! drill has it posted at the end of each job, and two record and replay what a guest is told. A program that embeds
//! this crate reaches drills by [`Injector`](crate::experiment::Injector) and [`check`](crate::check) alone, which make
//! pools of their own for them; no guest can begin one, and a worker that was made without has no way to.

use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::mail::Mail;
use crate::sys::escape::{self, Act};
use crate::sys::fault;

/// What host code does beside or in place of its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Drill {
    /// Leaves a mark in a global variable, and posts who it is: process id and thread id, little endian.
    Identify,
    /// Panics.
    Panic,
    /// Aborts the process.
    Abort,
    /// Touches memory that is not there.
    Segfault,
    /// Recurses without end on the native stack.
    Overflow,
    /// Exits with this code.
    Exit(i32),
    /// Panics while it panics.
    DoublePanic,
    /// Takes memory that there cannot be, and does not look whether it got it.
    Allocate,
    /// Sleeps for so many milliseconds, whoever wants it to come back.
    Sleep(u32),
    /// Keeps a CPU busy for so many milliseconds, whoever wants it to come back.
    Spin(u32),
    /// Posts where the line to be logged lies in this process: an address of 8 bytes, little endian.
    Show,
    /// Tries what a guest must not, and posts how far it came: nothing if it could, else the error number
    /// of 4 bytes, little endian. The second is the host's process id.
    Escape(Act, u32),
    /// Posts so many bytes from an address of this process.
    Peek(u64, u32),
    /// Posts the [`Weight`] of the instance at the end of each job, after all that the guest posted; `log`
    /// works as ever.
    Weigh,
    /// Posts what the guest is told and another run may not be: see [`tape`](super::tape).
    Record,
    /// Tells the guest what the job's inbox has of a record, and nothing else.
    Replay,
}

/// What an instance has and a job took, as only the worker sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Weight {
    /// Bytes of all linear memories of the instance when its job begins, as `memory.size` says, touched or not; of a
    /// new instance, what its module asks for.
    pub(crate) before: u64,
    /// The same when its job has ended.
    pub(crate) after: u64,
    /// What counts towards [`Limits::memory`](crate::Limits::memory) then: tables and what the host keeps, too.
    pub(crate) charged: u64,
    /// Fuel that the job took; 0 where none is counted.
    pub(crate) work: u64,
    /// What the job took of [`Limits::output`](crate::Limits::output): what it replied and posted, and what it sent to
    /// other hosts.
    pub(crate) said: u64,
}

/// How it begins as a message, so that nothing else that is posted is taken for it.
const WEIGHT: &[u8; 8] = b"\0weight:";

impl Weight {
    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = WEIGHT.to_vec();
        for number in [self.before, self.after, self.charged, self.work, self.said] {
            bytes.extend(number.to_le_bytes());
        }
        bytes
    }

    /// What was posted; `None` if that is no weight.
    pub(crate) fn from_bytes(message: &[u8]) -> Option<Self> {
        let (numbers, []) = message.strip_prefix(WEIGHT)?.as_chunks() else {
            return None;
        };
        let [before, after, charged, work, said] = *<&[[u8; 8]; 5]>::try_from(numbers).ok()?;
        Some(Self {
            before: u64::from_le_bytes(before),
            after: u64::from_le_bytes(after),
            charged: u64::from_le_bytes(charged),
            work: u64::from_le_bytes(work),
            said: u64::from_le_bytes(said),
        })
    }
}

/// A global variable of the program, which threads share and processes do not.
static MARK: AtomicU32 = AtomicU32::new(0);

impl Drill {
    /// Whether somebody in this process has identified himself.
    pub(crate) fn mark_is_seen() -> bool {
        MARK.load(Ordering::SeqCst) != 0
    }

    /// Whether it takes the place of a line in the log.
    pub(super) fn is_in_log(self) -> bool {
        match self {
            Self::Weigh | Self::Record | Self::Replay => false,
            Self::Identify
            | Self::Panic
            | Self::Abort
            | Self::Segfault
            | Self::Overflow
            | Self::Exit(_)
            | Self::DoublePanic
            | Self::Allocate
            | Self::Sleep(_)
            | Self::Spin(_)
            | Self::Show
            | Self::Escape(..)
            | Self::Peek(..) => true,
        }
    }

    /// Does what is to be done at the end of a job.
    pub(super) fn at_the_end(self, weight: Weight, mail: &dyn Mail) {
        if self == Self::Weigh {
            mail.post(&weight.to_bytes());
        }
    }

    /// Does what is to be done in place of a line in the log; `line` is what the guest wanted logged.
    pub(super) fn act(self, mail: &dyn Mail, line: &[u8]) {
        match self {
            Self::Weigh | Self::Record | Self::Replay => {}
            Self::Identify => {
                let pid = process::id();
                MARK.store(pid, Ordering::SeqCst);
                let thread = rustix::thread::gettid()
                    .as_raw_nonzero()
                    .get()
                    .cast_unsigned();
                let mut who = pid.to_le_bytes().to_vec();
                who.extend_from_slice(&thread.to_le_bytes());
                mail.post(&who);
            }
            Self::Panic => panic!("a drill: the host function panics"),
            Self::Abort => process::abort(),
            Self::Segfault => fault::segfault(),
            Self::Overflow => fault::overflow(),
            Self::Exit(code) => fault::exit(code),
            Self::DoublePanic => fault::double_panic(),
            Self::Allocate => fault::allocate(),
            Self::Sleep(span) => std::thread::sleep(milliseconds(span)),
            Self::Spin(span) => {
                let until = Instant::now() + milliseconds(span);
                while Instant::now() < until {
                    std::hint::spin_loop();
                }
            }
            Self::Show => {
                let address = line.as_ptr().expose_provenance() as u64;
                mail.post(&address.to_le_bytes());
            }
            Self::Escape(act, host) => {
                let said = match act.attempt(host) {
                    Ok(()) => Vec::new(),
                    Err(error) => error.raw_os_error().unwrap_or(-1).to_le_bytes().to_vec(),
                };
                mail.post(&said);
            }
            Self::Peek(address, length) => {
                mail.post(&escape::peek(address, length));
            }
        }
    }
}

fn milliseconds(span: u32) -> Duration {
    Duration::from_millis(span.into())
}

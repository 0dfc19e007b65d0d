//! Where does a worker live, and who sees what it writes?
//!
//! *Arms*: thread and process. Host code in the worker leaves a mark in a global variable of the program,
//! and posts its own process and thread id; the host compares them with what it believes, and looks for
//! the mark. Then an ordinary command of the system is asked for a word. No stopwatch. *Expectation*: a thread worker has the host's process id and a thread id of its
//! own, and its mark is seen; a process worker has a process id of its own, the one that the host knows it
//! by, and its mark is not. A command answers in a process, and is refused in a thread.

use std::sync::{Arc, Mutex, PoisonError};

use super::left_out::nothing;
use super::trial::{Bench, own_guest, reply_of};
use super::{Arm, Identity, Part, PartWork, Samples, Stage};
use crate::job::Job;
use crate::native::Native;
use crate::options::Isolation;
use crate::pool::{BuildError, Pool};
use crate::runtime::Drill;

pub(super) static IDENTITY: Part = Part {
    experiment: "identity",
    name: "worker",
    question: "Where does a worker live, and who sees what it writes?",
    arms: |_| &[Arm::Thread, Arm::Process],
    twin: Arm::Thread,
    weight: 1.0,
    core: 1,
    most: [1, 1, 1],
    rows: |_| Vec::new(),
    left_out: nothing,
    work: PartWork::Staged {
        segments: |_| 1,
        prepare,
    },
};

/// A guest that calls the host function in which drills are acted out.
pub(super) const CALLER: &str = include_str!("guests/caller.wat");

struct Who<'b> {
    bench: &'b Bench,
    identity: Option<Identity>,
}

fn prepare(bench: &Bench) -> Result<Box<dyn Stage + '_>, String> {
    let identity = None;
    Ok(Box::new(Who { bench, identity }))
}

/// Whether a command says what it is told to; `None` where the system has no such command.
fn runs_commands(isolation: Isolation) -> Result<Option<bool>, String> {
    const WORD: &str = "here";
    let echo = Native::new("echo").args([WORD]);
    let pool = match Pool::native(echo).isolation(isolation).build() {
        Ok(pool) => pool,
        Err(BuildError::NativeInThread) => return Ok(Some(false)),
        Err(BuildError::Native(_)) => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let ticket = pool
        .submit(Job::new(""))
        .map_err(|error| error.to_string())?;
    let reply = reply_of(ticket.wait())?;
    Ok(Some(reply.output.trim_ascii() == WORD.as_bytes()))
}

impl Stage for Who<'_> {
    fn segment(&mut self, _: usize) -> Result<(), String> {
        let caller = own_guest("caller", CALLER)?;
        let builder = self.bench.builder(&caller, 1).drill(Some(Drill::Identify));
        let pool = builder.build().map_err(|error| error.to_string())?;
        let posted = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&posted);
        let job = Job::new("").on_post(move |_, message| {
            sink.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .extend_from_slice(message);
        });
        let ticket = pool.submit(job).map_err(|error| error.to_string())?;
        reply_of(ticket.wait())?;
        let posted = posted.lock().unwrap_or_else(PoisonError::into_inner);
        let word = |at: usize| -> Result<u32, String> {
            let bytes = posted
                .get(at..at + 4)
                .and_then(|bytes| bytes.try_into().ok());
            bytes
                .map(u32::from_le_bytes)
                .ok_or_else(|| "the worker did not say who it is".to_owned())
        };
        let workers = pool.workers();
        self.identity = Some(Identity {
            isolation: self.bench.isolation,
            host_pid: std::process::id(),
            host_tid: rustix::thread::gettid()
                .as_raw_nonzero()
                .get()
                .cast_unsigned(),
            worker_pid_by_host: workers.first().and_then(|worker| worker.pid),
            worker_pid: word(0)?,
            worker_tid: word(4)?,
            write_visible: Drill::mark_is_seen(),
            runs_commands: runs_commands(self.bench.isolation)?,
        });
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Samples, String> {
        Ok(Samples {
            identity: self.identity,
            ..Samples::default()
        })
    }
}

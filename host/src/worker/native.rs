//! A worker that runs an ordinary program, a new process for each job: the job's input is its standard input, its
//! standard output is the reply, and lines on its standard error are log lines, as a WASI command has them.
//!
//! The program is in a process group of its own, which ends as a whole: with the job, at its deadline, or when it has
//! said too much. What leaves that group on purpose (`setsid`) is out of reach.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cofferdam_guest::abi;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::nursery::{self, Child};
use super::{Kill, KillSwitch, Maker, Thrown, Worker};
use crate::job::{Death, Job, Limits, Outcome, Phases, Reply};
use crate::native::Resolved;
use crate::sys::child::Exit;
use crate::sys::{clock, exec};

/// What is read or written at once.
const GULP: usize = 64 << 10;

/// As many of them as the largest pipe holds that an ordinary user may make (1 MiB, `pipe(7)`).
const MOST_GULPS: usize = 16;

/// How long the output of a program is waited for that has ended: whoever holds it open has left the group.
const AFTERMATH: Duration = Duration::from_millis(200);

/// From being killed to being reaped.
const REAP_PATIENCE: Duration = Duration::from_secs(5);

/// Makes the workers of a pool of native commands.
#[derive(Clone)]
pub(crate) struct NativeStaff {
    pub(crate) command: Arc<Resolved>,
    pub(crate) limits: Limits,
}

impl Maker for NativeStaff {
    fn make(&self, slot: usize) -> Result<Box<dyn Worker>, Death> {
        Ok(Box::new(NativeWorker {
            label: format!("native-{}", slot + 1),
            command: Arc::clone(&self.command),
            limits: self.limits,
            running: Arc::default(),
        }))
    }
}

struct NativeWorker {
    label: String,
    command: Arc<Resolved>,
    limits: Limits,
    running: Arc<Running>,
}

/// The process of the job that runs now.
#[derive(Default)]
struct Running {
    child: Mutex<Option<Arc<Child>>>,
    /// The job is to end: thrown before there was a process, it ends that as soon as it is there.
    thrown: AtomicBool,
}

impl Running {
    fn child(&self) -> Option<Arc<Child>> {
        self.slot().clone()
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<Arc<Child>>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pool's handle on [`Running`].
struct Switch(Arc<Running>);

impl Kill for Switch {
    fn rearm(&self) {
        self.0.thrown.store(false, Ordering::SeqCst);
    }

    fn throw(&self) -> Thrown {
        self.0.thrown.store(true, Ordering::SeqCst);
        let child = self.0.child();
        let was_stopped = child.as_ref().is_some_and(|child| child.is_stopped());
        if let Some(child) = child {
            child.kill_group();
        }
        Thrown::Killed { was_stopped }
    }
}

impl Worker for NativeWorker {
    fn run(&mut self, job: &Job) -> Result<Reply, Death> {
        let received = clock::monotonic();
        let mut streams = self.spawn()?;
        let spawned = clock::monotonic();
        let conversed = streams.converse(job, self.limits.output.as_len());
        let ending = match conversed {
            Ok(Conversed::Ended) => ending(&streams.child),
            Ok(Conversed::SaidTooMuch) => {
                streams.child.kill_group();
                streams.child.wait(REAP_PATIENCE);
                Ok(Outcome::OutputLimit)
            }
            Err(error) => {
                streams.child.kill_group();
                streams.child.wait(REAP_PATIENCE);
                Err(Death::Garbled(format!(
                    "its output cannot be read: {error}"
                )))
            }
        };
        *self.running.slot() = None;
        let outcome = ending?;
        Ok(Reply {
            output: streams.output,
            dropped_logs: streams.log.dropped,
            phases: Phases {
                instantiate: spawned - received,
                call: clock::monotonic() - spawned,
                release: Duration::ZERO,
                received,
            },
            ..Reply::without_output(outcome)
        })
    }

    fn kill_switch(&self) -> KillSwitch {
        KillSwitch::new(Switch(Arc::clone(&self.running)))
    }

    fn label(&self) -> &str {
        &self.label
    }
}

impl NativeWorker {
    fn spawn(&self) -> Result<Streams, Death> {
        let failed = |error: io::Error| {
            Death::SpawnFailed(format!("{}: {error}", self.command.program.display()))
        };
        let pipes = || -> io::Result<_> { Ok((io::pipe()?, io::pipe()?, io::pipe()?)) };
        let ((input, ours), (output, out), (errors, err)) = pipes().map_err(failed)?;
        let mut command = Command::new(&self.command.program);
        command
            .args(&self.command.args)
            .env_clear()
            .envs(self.command.env.iter().cloned())
            .stdin(Stdio::from(input))
            .stdout(Stdio::from(out))
            .stderr(Stdio::from(err))
            .process_group(0);
        exec::bounded(&mut command, self.limits.memory.bytes());
        let child = nursery::spawn_group(command).map_err(failed)?;
        *self.running.slot() = Some(Arc::clone(&child));
        if self.running.thrown.load(Ordering::SeqCst) {
            child.kill_group();
        }
        let streams = Streams {
            child,
            input: Some(ours),
            written: 0,
            outputs: [Some(output), Some(errors)],
            output: Vec::new(),
            log: Log::new(),
        };
        let ready = streams.never_block();
        match ready {
            Ok(()) => Ok(streams),
            Err(error) => {
                streams.child.kill_group();
                Err(failed(error))
            }
        }
    }
}

/// What the end of a program means. One that has closed its output may go on: the rest of its time is the deadline's
/// business.
fn ending(child: &Child) -> Result<Outcome, Death> {
    const LONG: Duration = Duration::from_secs(3600);
    loop {
        return match child.wait(LONG) {
            None => continue,
            Some(Exit::Code(0)) => Ok(Outcome::Output),
            Some(Exit::Code(code)) => Ok(Outcome::Exited(code)),
            Some(Exit::Signal(signal)) => Err(Death::Signalled(signal)),
            Some(Exit::OutOfMemory) => Err(Death::OutOfMemory),
        };
    }
}

/// How a conversation came to its end.
enum Conversed {
    /// There is nothing more to be read.
    Ended,
    SaidTooMuch,
}

/// A program and the ends of its standard streams.
struct Streams {
    child: Arc<Child>,
    /// Gone when all of the input is written, or when nobody reads it.
    input: Option<io::PipeWriter>,
    written: usize,
    /// Standard output and standard error, until they end.
    outputs: [Option<io::PipeReader>; 2],
    output: Vec<u8>,
    log: Log,
}

impl Streams {
    fn never_block(&self) -> io::Result<()> {
        if let Some(input) = &self.input {
            rustix::io::ioctl_fionbio(input, true)?;
        }
        for output in self.outputs.iter().flatten() {
            rustix::io::ioctl_fionbio(output, true)?;
        }
        Ok(())
    }

    /// Writes the input and reads both outputs, until these end.
    fn converse(&mut self, job: &Job, most: usize) -> io::Result<Conversed> {
        let mut buffer = vec![0; GULP];
        let mut ended = None;
        // One that has closed its outputs may still read.
        while self.outputs.iter().any(Option::is_some) || (self.input.is_some() && ended.is_none())
        {
            let left = ended.map(|at: Instant| AFTERMATH.saturating_sub(at.elapsed()));
            self.wait(ended.is_none(), left)?;
            self.feed(job, &mut buffer)?;
            for stream in 0..self.outputs.len() {
                // Whoever writes all the time must not keep the other streams, and the end, from being looked at.
                for _ in 0..MOST_GULPS {
                    let Some(count) = self.hear(stream, &mut buffer)? else {
                        break;
                    };
                    let bytes = &buffer[..count];
                    if stream == 1 {
                        self.log.hear(job, bytes);
                        continue;
                    }
                    let room = most - self.output.len();
                    self.output.extend_from_slice(&bytes[..count.min(room)]);
                    if count > room {
                        self.log.end(job);
                        return Ok(Conversed::SaidTooMuch);
                    }
                }
            }
            // Not before a whole round after its end: what it wrote last is in the pipes.
            if left.is_some_and(|left| left.is_zero()) {
                break;
            }
            if ended.is_none() && self.child.has_ended() {
                ended = Some(Instant::now());
            }
        }
        self.input = None;
        self.log.end(job);
        Ok(Conversed::Ended)
    }

    /// Until something can be read or written, or the program has ended.
    fn wait(&self, watch_the_end: bool, most: Option<Duration>) -> io::Result<()> {
        let reads = self.outputs.iter().flatten();
        let mut watched: Vec<PollFd<'_>> = reads
            .map(|output| PollFd::new(output, PollFlags::IN))
            .collect();
        watched.extend(
            self.input
                .iter()
                .map(|input| PollFd::new(input, PollFlags::OUT)),
        );
        let pidfd: BorrowedFd<'_> = self.child.pidfd();
        if watch_the_end {
            watched.push(PollFd::from_borrowed_fd(pidfd.as_fd(), PollFlags::IN));
        }
        let most = most.map(Timespec::try_from).transpose();
        let most = most.map_err(io::Error::other)?;
        match poll(&mut watched, most.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes as much of the input as is taken now. One that reads no further is no error.
    fn feed(&mut self, job: &Job, buffer: &mut [u8]) -> io::Result<()> {
        let payload = job.payload();
        while let Some(input) = &mut self.input {
            let count = (payload.len() - self.written).min(buffer.len());
            if count == 0 {
                self.input = None;
                break;
            }
            payload.copy_to(self.written, &mut buffer[..count]);
            match input.write(&buffer[..count]) {
                Ok(count) => self.written += count,
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => break,
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::BrokenPipe => self.input = None,
                    _ => return Err(error),
                },
            }
        }
        Ok(())
    }

    /// Reads what is there; `None` if nothing is for now, or ever again.
    fn hear(&mut self, stream: usize, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let Some(pipe) = &mut self.outputs[stream] else {
            return Ok(None);
        };
        loop {
            match pipe.read(buffer) {
                Ok(0) => {
                    self.outputs[stream] = None;
                    return Ok(None);
                }
                Ok(count) => return Ok(Some(count)),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(None),
                    io::ErrorKind::Interrupted => {}
                    _ => return Err(error),
                },
            }
        }
    }
}

/// Lines of standard error, within what a job may log.
struct Log {
    line: Vec<u8>,
    allowance: usize,
    dropped: u64,
}

impl Log {
    fn new() -> Self {
        Self {
            line: Vec::new(),
            allowance: abi::MAX_LOG_PER_JOB,
            dropped: 0,
        }
    }

    fn hear(&mut self, job: &Job, bytes: &[u8]) {
        for &byte in bytes {
            if byte == b'\n' || self.line.len() == abi::MAX_LOG_LINE {
                self.say(job);
            }
            if byte != b'\n' {
                self.line.push(byte);
            }
        }
    }

    fn end(&mut self, job: &Job) {
        if !self.line.is_empty() {
            self.say(job);
        }
    }

    fn say(&mut self, job: &Job) {
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        match self.allowance.checked_sub(line.len().max(1)) {
            None => self.dropped += 1,
            Some(rest) => {
                self.allowance = rest;
                let line = String::from_utf8_lossy(line);
                job.mail().log(abi::Level::Info, &line);
            }
        }
    }
}

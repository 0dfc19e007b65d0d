//! A worker that does what a test tells it to: for the pool and its supervisor.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};

use super::{Kill, KillSwitch, Maker, Thrown, Worker};
use crate::job::{Death, Job, Outcome, Phases, Reply};
use crate::mail::Wait;

/// What happens to a job, looked up by the job's input.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Reply with the input, after this long.
    EchoAfter(Duration),
    /// Die so often, then echo.
    DieTimes(usize, Death),
    /// Block until the kill switch is thrown; then die as a killed process does.
    BlockUntilKilled { was_stopped: bool },
    /// Block until the kill switch is thrown; then end the job, as a guest in a thread does.
    BlockUntilAsked,
    /// Block until [`Script::release`], whatever the kill switch does.
    BlockStubbornly,
    /// Panic.
    Panic,
    /// Take a message that the host posted, and die.
    TakeMailAndDie,
    /// Turn out to have died before the job came, so often; then echo.
    MissTimes(usize),
}

/// The maker of scripted workers; clones share the script.
#[derive(Clone)]
pub(crate) struct Script {
    acts: Arc<HashMap<&'static str, Act>>,
    /// Which starts fail, counted from 0.
    failing_starts: Range<usize>,
    /// How many workers die before they get a job, from the first.
    sickly: usize,
    pub(crate) starts: Arc<AtomicUsize>,
    deaths: Arc<Mutex<HashMap<Vec<u8>, usize>>>,
    gate: (Sender<()>, Receiver<()>),
}

impl Script {
    /// Jobs that are not named are echoed.
    pub(crate) fn new(acts: impl IntoIterator<Item = (&'static str, Act)>) -> Self {
        Self {
            acts: Arc::new(acts.into_iter().collect()),
            failing_starts: 0..0,
            sickly: 0,
            starts: Arc::default(),
            deaths: Arc::default(),
            gate: crossbeam_channel::unbounded(),
        }
    }

    /// The same, but these starts fail, counted from 0.
    pub(crate) fn failing_starts(self, failing_starts: Range<usize>) -> Self {
        Self {
            failing_starts,
            ..self
        }
    }

    /// The same, but the first so many workers die as soon as they are ready.
    pub(crate) fn sickly(self, sickly: usize) -> Self {
        Self { sickly, ..self }
    }

    pub(crate) fn release(&self) {
        self.gate.0.send(()).unwrap();
    }
}

impl Maker for Script {
    fn make(&self, slot: usize) -> Result<Box<dyn Worker>, Death> {
        let start = self.starts.fetch_add(1, Ordering::SeqCst);
        if self.failing_starts.contains(&start) {
            return Err(Death::SpawnFailed("the script says so".to_owned()));
        }
        let (bell, heard) = crossbeam_channel::bounded(1);
        let label = format!("scripted-{}", slot + 1);
        Ok(Box::new(Scripted {
            label,
            script: self.clone(),
            bell,
            heard,
            stopped: Arc::default(),
            missed: false,
            // Hung up: dead.
            vitals: (start < self.sickly).then(|| crossbeam_channel::bounded(0).1),
        }))
    }
}

struct Scripted {
    label: String,
    script: Script,
    bell: Sender<()>,
    heard: Receiver<()>,
    /// Whether a throw kills (`Some(was_stopped)`) or only asks.
    stopped: Arc<Mutex<Option<bool>>>,
    missed: bool,
    vitals: Option<Receiver<()>>,
}

impl Scripted {
    fn echo(job: &Job) -> Reply {
        Reply {
            outcome: Outcome::Output,
            output: job.input().to_vec(),
            dropped_logs: 0,
            phases: Phases::default(),
        }
    }
}

impl Worker for Scripted {
    fn run(&mut self, job: &Job) -> Result<Reply, Death> {
        let name = std::str::from_utf8(job.input()).unwrap_or_default();
        match self.script.acts.get(name) {
            None => Ok(Self::echo(job)),
            Some(Act::EchoAfter(span)) => {
                std::thread::sleep(*span);
                Ok(Self::echo(job))
            }
            Some(Act::DieTimes(times, death)) => {
                let mut deaths = self.script.deaths.lock().unwrap();
                let died = deaths.entry(job.input().to_vec()).or_default();
                if *died < *times {
                    *died += 1;
                    return Err(death.clone());
                }
                Ok(Self::echo(job))
            }
            Some(Act::BlockUntilKilled { was_stopped }) => {
                *self.stopped.lock().unwrap() = Some(*was_stopped);
                self.heard.recv().unwrap();
                Err(Death::Signalled(9))
            }
            Some(Act::BlockUntilAsked) => {
                self.heard.recv().unwrap();
                Ok(Reply::without_output(Outcome::Deadline))
            }
            Some(Act::BlockStubbornly) => {
                self.script.gate.1.recv().unwrap();
                Ok(Self::echo(job))
            }
            Some(Act::MissTimes(times)) => {
                let mut deaths = self.script.deaths.lock().unwrap();
                let missed = deaths.entry(job.input().to_vec()).or_default();
                self.missed = *missed < *times;
                if self.missed {
                    *missed += 1;
                    return Err(Death::Signalled(9));
                }
                Ok(Self::echo(job))
            }
            Some(Act::Panic) => panic!("the script says so"),
            Some(Act::TakeMailAndDie) => {
                job.mail().recv(Wait::Forever, &self.heard);
                Err(Death::Exited(3))
            }
        }
    }

    fn kill_switch(&self) -> KillSwitch {
        KillSwitch::new(Wire {
            bell: self.bell.clone(),
            stopped: Arc::clone(&self.stopped),
        })
    }

    fn label(&self) -> &str {
        &self.label
    }

    fn missed_job(&self) -> bool {
        self.missed
    }

    fn vitals(&self) -> Option<&Receiver<()>> {
        self.vitals.as_ref()
    }

    fn post_mortem(&self) -> Option<Death> {
        self.vitals.as_ref().map(|_| Death::Signalled(9))
    }
}

struct Wire {
    bell: Sender<()>,
    stopped: Arc<Mutex<Option<bool>>>,
}

impl Kill for Wire {
    fn rearm(&self) {}

    fn throw(&self) -> Thrown {
        let _ = self.bell.try_send(());
        match *self.stopped.lock().unwrap() {
            Some(was_stopped) => Thrown::Killed { was_stopped },
            None => Thrown::Asked,
        }
    }
}

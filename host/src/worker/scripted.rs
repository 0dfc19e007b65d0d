//! A worker that does what a test tells it to: for the pool and its supervisor.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::ThreadId;
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
    /// Echo, and panic over what is done after that.
    EchoThenPanic,
    /// Take a message that the host posted, and die.
    TakeMailAndDie,
    /// Post the input, then echo.
    Post,
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
    /// Whether its workers may be driven by any thread.
    lends: bool,
    /// Whether its workers never say that they are ready.
    unborn: bool,
    /// Who lives, by slot. Kept only where workers can be killed.
    hearts: Option<Hearts>,
    /// The threads that drove a worker, in order.
    pub(crate) drivers: Arc<Mutex<Vec<ThreadId>>>,
    deaths: Arc<Mutex<HashMap<Vec<u8>, usize>>>,
    gate: (Sender<()>, Receiver<()>),
}

type Hearts = Arc<Mutex<HashMap<usize, Heart>>>;

/// Hangs up on a worker's vitals when it goes.
struct Heart {
    _beat: Sender<()>,
    dead: Arc<AtomicBool>,
}

impl Drop for Heart {
    fn drop(&mut self) {
        self.dead.store(true, Ordering::SeqCst);
    }
}

impl Script {
    /// Jobs that are not named are echoed.
    pub(crate) fn new(acts: impl IntoIterator<Item = (&'static str, Act)>) -> Self {
        Self {
            acts: Arc::new(acts.into_iter().collect()),
            failing_starts: 0..0,
            sickly: 0,
            lends: false,
            unborn: false,
            hearts: None,
            drivers: Arc::default(),
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

    /// The same, but its workers may be driven by any thread.
    pub(crate) fn lending(self) -> Self {
        Self {
            lends: true,
            ..self
        }
    }

    /// The same, but its workers are processes that never say that they are ready, and can be killed.
    pub(crate) fn unborn(self) -> Self {
        Self {
            unborn: true,
            ..self.mortal()
        }
    }

    /// The same, but its workers can be killed.
    pub(crate) fn mortal(self) -> Self {
        Self {
            hearts: Some(Arc::default()),
            ..self
        }
    }

    /// Kills the worker of a slot, as the kernel does: at any time. `false` if it had none.
    pub(crate) fn kill(&self, slot: usize) -> bool {
        let hearts = self.hearts.as_ref().expect("the workers are mortal");
        hearts.lock().unwrap().remove(&slot).is_some()
    }

    pub(crate) fn release(&self) {
        self.gate.0.send(()).unwrap();
    }
}

impl Maker for Script {
    fn lends(&self) -> bool {
        self.lends
    }

    fn make(&self, slot: usize) -> Result<Box<dyn Worker>, Death> {
        let start = self.starts.fetch_add(1, Ordering::SeqCst);
        if self.failing_starts.contains(&start) {
            return Err(Death::SpawnFailed("the script says so".to_owned()));
        }
        let (bell, heard) = crossbeam_channel::bounded(1);
        let label = format!("scripted-{}", slot + 1);
        let dead = Arc::new(AtomicBool::new(start < self.sickly));
        let (beat, vitals) = crossbeam_channel::bounded(0);
        if let Some(hearts) = &self.hearts {
            let heart = Heart {
                _beat: beat,
                dead: Arc::clone(&dead),
            };
            hearts.lock().unwrap().insert(slot, heart);
        }
        Ok(Box::new(Scripted {
            label,
            script: self.clone(),
            bell,
            heard,
            stopped: Arc::default(),
            missed: false,
            is_shaken: false,
            // Without a heart it has hung up: dead.
            vitals: (start < self.sickly || self.hearts.is_some()).then_some(vitals),
            dead,
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
    /// Whether it panics when it prepares.
    is_shaken: bool,
    vitals: Option<Receiver<()>>,
    dead: Arc<AtomicBool>,
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
        let driver = std::thread::current().id();
        self.script.drivers.lock().unwrap().push(driver);
        self.missed = self.dead.load(Ordering::SeqCst);
        if self.missed {
            return Err(Death::Signalled(9));
        }
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
                self.dead.store(true, Ordering::SeqCst);
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
            Some(Act::Post) => {
                job.mail().post(job.input());
                Ok(Self::echo(job))
            }
            Some(Act::EchoThenPanic) => {
                self.is_shaken = true;
                Ok(Self::echo(job))
            }
            Some(Act::Panic) => panic!("the script says so"),
            Some(Act::TakeMailAndDie) => {
                job.mail().recv(Wait::Forever, &self.heard);
                Err(Death::Exited(3))
            }
        }
    }

    fn prepare(&mut self) {
        assert!(!self.is_shaken, "the script says so");
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

    fn pid(&self) -> Option<u32> {
        self.script.unborn.then(std::process::id)
    }

    fn missed_job(&self) -> bool {
        self.missed
    }

    fn vitals(&self) -> Option<&Receiver<()>> {
        self.vitals.as_ref()
    }

    fn post_mortem(&self) -> Option<Death> {
        let dead = self.dead.load(Ordering::SeqCst);
        dead.then_some(Death::Signalled(9))
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

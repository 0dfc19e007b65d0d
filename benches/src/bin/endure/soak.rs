//! `endure soak`: mixed load on pools of both isolations, with one fault a second, for as long as told.
//!
//! Whatever is done to one job or one worker, every other job ends as if nothing had happened; each is
//! answered once; and what this process holds of the system stays as it was.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use cofferdam::{Completion, Death, Guest, Isolation, Job, Lost, Outcome, Pool};
use cofferdam_benches::{ARGON2, Failure};
use fastrand::Rng;
use rustix::process::{Pid, Signal, kill_process};
use sha2::{Digest, Sha256};

use super::fault::{self, Fault, pid_of};
use super::footprint::Footprint;
use super::println;
use super::roll::Roll;

#[derive(Debug, Args)]
pub(crate) struct Soak {
    /// How long
    #[arg(long, value_name = "N", default_value_t = 60.0)]
    minutes: f64,
    /// What decides who does what, and what befalls whom
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// Threads that hand in jobs.
const CLIENTS: u64 = 4;

/// From one fault to the next.
const BETWEEN_FAULTS: Duration = Duration::from_secs(1);

/// The same before the first look.
const BETWEEN_FIRST_FAULTS: Duration = Duration::from_millis(100);

/// From one look at what is held to the next.
const BETWEEN_LOOKS: Duration = Duration::from_secs(60);

/// Until the first look, with more faults than later ([`BETWEEN_FIRST_FAULTS`]): by then each worker in a thread has
/// had those that take memory, some MiB of which stay with its place, and caches, stacks and the allocator's arenas
/// have their size.
const WARM_UP: Duration = Duration::from_secs(20);

/// A job that has not ended by then is lost.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a pool's guest does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    Argon2,
    Sha256,
    Mixed,
}

/// A pool under load.
struct Place {
    isolation: Isolation,
    work: Work,
    pool: Pool,
    roll: Mutex<Roll>,
}

/// All that the threads of a soak share.
struct World {
    places: Vec<Place>,
    gate: Gate,
    over: AtomicBool,
    warm: AtomicBool,
    jobs: AtomicU64,
    /// Jobs that went down with a worker that was killed at a random moment.
    victims: AtomicU64,
    faults: Mutex<BTreeMap<String, u64>>,
    overrun: Mutex<Duration>,
    /// Workers that were killed at a random moment, and whether a job has gone down with them.
    killed: Mutex<BTreeMap<i32, bool>>,
    violations: Mutex<Vec<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lets everybody through, or nobody.
#[derive(Default)]
struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Default)]
struct GateState {
    closed: bool,
    inside: u64,
}

impl Gate {
    fn enter(&self) {
        let mut state = lock(&self.state);
        while state.closed {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.inside += 1;
    }

    fn leave(&self) {
        lock(&self.state).inside -= 1;
        self.changed.notify_all();
    }

    /// Closes it, and waits until nobody is inside.
    fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        while state.inside > 0 {
            state = self
                .changed
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn open(&self) {
        lock(&self.state).closed = false;
        self.changed.notify_all();
    }
}

pub(crate) fn soak(args: &Soak) -> Result<(), Failure> {
    fault::hush_panics_on_purpose();
    let world = World::new()?;
    let end = Instant::now() + Duration::from_secs_f64(args.minutes * 60.0);
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let rng = Rng::with_seed(args.seed.wrapping_mul(CLIENTS).wrapping_add(client));
            let world = &world;
            scope.spawn(move || world.be_client(rng));
        }
        let rng = Rng::with_seed(!args.seed);
        scope.spawn(|| world.be_fate(rng));
        let watched = world.watch(end);
        world.over.store(true, Ordering::SeqCst);
        watched
    })?;
    world.conclude()
}

impl World {
    fn new() -> Result<Self, Failure> {
        let mut places = Vec::new();
        for isolation in [Isolation::Thread, Isolation::Process] {
            for (work, guest, workers) in [
                (Work::Argon2, ARGON2.guest()?, 1),
                (Work::Sha256, Guest::embedded("sha256")?, 1),
                (Work::Mixed, fault::guest()?, 2),
            ] {
                places.push(Place {
                    isolation,
                    work,
                    pool: fault::builder(guest, isolation).workers(workers).build()?,
                    roll: Mutex::default(),
                });
            }
        }
        Ok(Self {
            places,
            gate: Gate::default(),
            over: AtomicBool::new(false),
            warm: AtomicBool::new(false),
            jobs: AtomicU64::new(0),
            victims: AtomicU64::new(0),
            faults: Mutex::default(),
            overrun: Mutex::default(),
            killed: Mutex::default(),
            violations: Mutex::default(),
        })
    }

    /// Looks once a minute at what this process holds, and says how it goes.
    fn watch(&self, end: Instant) -> Result<(), Failure> {
        let pause = |span: Duration| {
            thread::sleep(span.min(end.saturating_duration_since(Instant::now())));
        };
        pause(WARM_UP);
        self.warm.store(true, Ordering::SeqCst);
        let before = self.look()?;
        println(&format!("at the beginning: {before}"));
        let start = Instant::now();
        loop {
            pause(BETWEEN_LOOKS);
            let now = self.look()?;
            println(&format!(
                "{:.0} s: {}; {now}",
                start.elapsed().as_secs_f64(),
                self.count()
            ));
            if let Err(what) = before.check(&now) {
                self.violation(what);
            }
            if Instant::now() >= end || !lock(&self.violations).is_empty() {
                return Ok(());
            }
        }
    }

    /// What is held while nobody works.
    fn look(&self) -> Result<Footprint, Failure> {
        self.gate.close();
        let footprint = Footprint::settled();
        self.gate.open();
        footprint
    }

    fn count(&self) -> String {
        let faults = lock(&self.faults);
        format!(
            "{} jobs as if nothing had happened, {} faults within jobs and kills between them, {} jobs lost with \
             workers that were killed, {} violations",
            self.jobs.load(Ordering::SeqCst),
            faults.values().sum::<u64>(),
            self.victims.load(Ordering::SeqCst),
            lock(&self.violations).len()
        )
    }

    fn violation(&self, what: String) {
        lock(&self.violations).push(what);
    }

    fn conclude(self) -> Result<(), Failure> {
        for (fault, count) in lock(&self.faults).iter() {
            println(&format!("{count:>8}  {fault}"));
        }
        println(&format!(
            "{}; the longest overrun of a deadline: {} ms",
            self.count(),
            lock(&self.overrun).as_millis()
        ));
        let mut violations = std::mem::take(&mut *lock(&self.violations));
        for place in self.places {
            let name = place.name();
            let health = place.pool.drain();
            match lock(&place.roll).count() {
                Ok(count) if count == health.answered => println(&format!(
                    "{name}: {count} jobs answered, each once; {} workers started, {} died, {} threads given up",
                    health.started, health.died, health.abandoned
                )),
                Ok(count) => violations.push(format!("{name}: {count} answers, and {health:?}")),
                Err(what) => violations.push(format!("{name}: {what}")),
            }
            if health.abandoned > 0 {
                violations.push(format!(
                    "{name}: {} threads were given up",
                    health.abandoned
                ));
            }
        }
        if violations.is_empty() {
            return Ok(());
        }
        let first: Vec<_> = violations.iter().take(20).cloned().collect();
        Err(format!("{} violations:\n  {}", violations.len(), first.join("\n  ")).into())
    }

    fn be_client(&self, mut rng: Rng) {
        while !self.over.load(Ordering::SeqCst) {
            self.gate.enter();
            let place = &self.places[rng.usize(0..self.places.len())];
            let done = match place.work {
                Work::Argon2 => self.hash_a_password(place, &mut rng),
                Work::Sha256 => self.digest(place, &mut rng),
                Work::Mixed => match rng.u32(0..4) {
                    0 => self.converse(place, &mut rng),
                    1 => self.hand_in_a_batch(place, &mut rng),
                    _ => self.echo(place, &mut rng),
                },
            };
            self.gate.leave();
            if let Err(what) = done {
                self.violation(format!("{}: {what}", place.name()));
            }
        }
    }

    /// Does something to a job or a worker, once a second.
    fn be_fate(&self, mut rng: Rng) {
        let mut next = Instant::now();
        while !self.over.load(Ordering::SeqCst) {
            next = match self.warm.load(Ordering::SeqCst) {
                true => next + BETWEEN_FAULTS,
                // One may take longer than that; nothing has to be caught up on.
                false => Instant::now() + BETWEEN_FIRST_FAULTS,
            };
            thread::sleep(next.saturating_duration_since(Instant::now()));
            self.gate.enter();
            let done = if rng.u32(0..4) == 0 {
                self.kill_somebody(&mut rng)
            } else {
                self.do_wrong(&mut rng)
            };
            self.gate.leave();
            if let Err(what) = done {
                self.violation(what.to_string());
            }
        }
    }

    /// Kills a worker at a random moment: a job may go down with it.
    fn kill_somebody(&self, rng: &mut Rng) -> Result<(), Failure> {
        let places = self.places.iter();
        let processes: Vec<_> = places
            .filter(|it| it.isolation == Isolation::Process)
            .collect();
        let place = processes[rng.usize(0..processes.len())];
        let workers = place.pool.workers();
        let pids = workers.iter().filter_map(|worker| worker.pid);
        let pids: Vec<i32> = pids.filter_map(|pid| pid.try_into().ok()).collect();
        // None is alive at this very moment.
        let Some(&pid) = rng.choice(&pids) else {
            return Ok(());
        };
        let mut killed = lock(&self.killed);
        // Those of long ago have nobody left who could go down with them.
        while killed.len() > 100 {
            killed.pop_first();
        }
        killed.insert(pid, false);
        drop(killed);
        // It may have ended meanwhile.
        let _ = kill_process(Pid::from_raw(pid).ok_or("process 0")?, Signal::KILL);
        self.note(format!(
            "{}: a worker is killed at a random moment",
            place.name()
        ));
        Ok(())
    }

    /// Hands in a job that comes to a bad end.
    fn do_wrong(&self, rng: &mut Rng) -> Result<(), Failure> {
        let mixed: Vec<_> = self
            .places
            .iter()
            .filter(|it| it.work == Work::Mixed)
            .collect();
        let place = mixed[rng.usize(0..mixed.len())];
        let all = Fault::all(place.isolation);
        let fault = all[rng.usize(0..all.len())];
        let completion = place.submit(fault.job(), rng)?;
        place.enrol(&completion)?;
        // It may be hit by somebody's kill before it does its own harm.
        if !self.is_victim(&completion) {
            fault.check(&completion)?;
        }
        let mut overrun = lock(&self.overrun);
        *overrun = overrun.max(fault.overrun(&completion));
        drop(overrun);
        self.note(format!("{}: a job is to {fault}", place.name()));
        Ok(())
    }

    fn note(&self, fault: String) {
        *lock(&self.faults).entry(fault).or_default() += 1;
    }

    /// Whether a job went down with a worker that was killed at a random moment: one for each.
    fn is_victim(&self, completion: &Completion) -> bool {
        let is_killed = completion.result == Err(Lost::Worker(Death::Signalled(9)));
        let mut killed = lock(&self.killed);
        let taken = pid_of(&completion.worker).and_then(|pid| killed.get_mut(&pid));
        match taken {
            Some(taken) if is_killed && !*taken => {
                *taken = true;
                true
            }
            _ => false,
        }
    }

    /// Checks one of the jobs to which nothing is done.
    fn judge(
        &self,
        place: &Place,
        completion: &Completion,
        is_right: impl FnOnce(&[u8]) -> bool,
    ) -> Result<(), Failure> {
        place.enrol(completion)?;
        match &completion.result {
            Ok(reply) if reply.outcome == Outcome::Output && is_right(&reply.output) => {
                self.jobs.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
            _ if self.is_victim(completion) => {
                self.victims.fetch_add(1, Ordering::SeqCst);
                Ok(())
            }
            other => Err(format!(
                "job {}, to which nothing was done, ended with {other:.300?} by {:?}",
                completion.job, completion.worker
            )
            .into()),
        }
    }

    fn hash_a_password(&self, place: &Place, rng: &mut Rng) -> Result<(), Failure> {
        let completion = place.submit(Job::new(ARGON2.input()), rng)?;
        self.judge(place, &completion, |output| {
            ARGON2.check("a pool", output).is_ok()
        })
    }

    fn digest(&self, place: &Place, rng: &mut Rng) -> Result<(), Failure> {
        let input = some_bytes(rng, 20_000);
        let digest: String = Sha256::digest(&input)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let completion = place.submit(Job::new(input), rng)?;
        self.judge(place, &completion, |output| output == digest.as_bytes())
    }

    fn echo(&self, place: &Place, rng: &mut Rng) -> Result<(), Failure> {
        let bytes = some_bytes(rng, 60_000);
        let completion = place.submit(echoing(&bytes), rng)?;
        self.judge(place, &completion, |output| output == bytes)
    }

    fn hand_in_a_batch(&self, place: &Place, rng: &mut Rng) -> Result<(), Failure> {
        let inputs: Vec<_> = (0..rng.usize(1..40))
            .map(|_| some_bytes(rng, 500))
            .collect();
        let batch = place
            .pool
            .submit_many(inputs.iter().map(|bytes| echoing(bytes)))?;
        let first = batch.first_job();
        for ((bytes, number), completion) in inputs.iter().zip(first..).zip(batch.ordered()) {
            if completion.job != number {
                return Err(format!("job {} in place of {number}", completion.job).into());
            }
            self.judge(place, &completion, |output| output == bytes)?;
        }
        Ok(())
    }

    /// Messages both ways.
    fn converse(&self, place: &Place, rng: &mut Rng) -> Result<(), Failure> {
        let said = some_bytes(rng, 2000);
        let heard: Arc<Mutex<Vec<u8>>> = Arc::default();
        let ears = Arc::clone(&heard);
        let (job, outbox) = Job::new([b"m".as_slice(), &said].concat())
            .on_post(move |_, message| lock(&ears).extend_from_slice(message))
            .with_inbox();
        let ticket = place.pool.submit(job)?;
        let messages: Vec<_> = (0..rng.usize(0..10))
            .map(|_| some_bytes(rng, 3000))
            .collect();
        for message in &messages {
            // The job ends early where its worker is killed.
            let _ = outbox.post(message.clone());
        }
        drop(outbox);
        let completion = ticket
            .wait_for(PATIENCE)
            .map_err(|_| "a conversation is lost")?;
        let heard = lock(&heard).clone();
        self.judge(place, &completion, |output| {
            output == messages.concat() && heard == said
        })
    }
}

impl Place {
    fn name(&self) -> String {
        let work = match self.work {
            Work::Argon2 => "argon2",
            Work::Sha256 => "sha256",
            Work::Mixed => "mixed",
        };
        format!("{work} in a {}", self.isolation)
    }

    /// Hands in a job in one of the ways that there are, and waits for its end.
    fn submit(&self, job: Job, rng: &mut Rng) -> Result<Completion, Failure> {
        match rng.u32(0..3) {
            0 => Ok(self.pool.call(job)?),
            1 => {
                let (sender, completions) = crossbeam_channel::unbounded();
                // Nobody listens any more where the job was given up as lost.
                let done = move |completion| drop(sender.send(completion));
                self.pool.submit_with(job, done)?;
                let completion = completions.recv_timeout(PATIENCE)?;
                // The callback is gone with its call, so that a second one would have to be another's.
                match completions.recv_timeout(PATIENCE) {
                    Ok(_) => Err("a job was answered twice".into()),
                    Err(_) => Ok(completion),
                }
            }
            _ => {
                let ticket = self.pool.submit(job)?;
                Ok(ticket.wait_for(PATIENCE).map_err(|_| "a job is lost")?)
            }
        }
    }

    fn enrol(&self, completion: &Completion) -> Result<(), Failure> {
        Ok(lock(&self.roll).answered(completion.job)?)
    }
}

fn echoing(bytes: &[u8]) -> Job {
    Job::new([b"e".as_slice(), bytes].concat())
}

fn some_bytes(rng: &mut Rng, most: usize) -> Vec<u8> {
    let mut bytes = vec![0; rng.usize(0..most)];
    rng.fill(&mut bytes);
    bytes
}

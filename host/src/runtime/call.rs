//! One job through one instance.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use cofferdam_guest::abi;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wasmtime::{
    Engine, GcHeapOutOfMemory, PoolConcurrencyLimitError, Store, ThrownException, Trap,
    UpdateDeadline,
};

use super::allocation::Moment;
use super::entry::Door;
use super::limiter::Limiter;
use super::program::Linked;
use super::state::{JobState, StoreState};
use super::{Interrupt, Metering, Program, Weight, chain, traps, wasi2};
use crate::guest::Entry;
use crate::job::{Job, Outcome, Phases, Reply, TrapKind};
use crate::payload::Output;
use crate::sys::clock;

/// Whether a job finds what the job before it left behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum InstancePolicy {
    /// A new instance for each job: nothing leaks from one to the next.
    #[default]
    Fresh,
    /// One instance for many jobs, until one of them ends badly.
    Reused,
}

impl InstancePolicy {
    /// Everything that there is, in the order in which it is told of.
    pub const ALL: [Self; 2] = [Self::Fresh, Self::Reused];
}

/// A worker's own way to a [`Program`].
pub(crate) struct Session {
    program: Arc<Program>,
    policy: InstancePolicy,
    interrupt: Interrupt,
    held: Held,
    /// What an instance that has no job is given in its place.
    idle: Job,
}

/// What a session has at hand between two jobs.
enum Held {
    Nothing,
    /// An instance that the next job will run in: made ahead, or kept.
    Ready(Live),
    /// One that has run its last job, and is not yet given back.
    Spent(Live),
}

struct Live {
    store: Store<StoreState>,
    door: Door,
}

/// Every place for an instance is taken: threads that were given up still hold theirs.
#[derive(Debug, thiserror::Error)]
#[error(
    "there is no place for another instance ({0}): threads that were given up hold theirs until they end"
)]
pub(crate) struct NoRoom(String);

/// Why there is no instance.
enum Unmade {
    /// The guest's own ending.
    Ended(Box<(Reply, Output)>),
    NoRoom(NoRoom),
}

impl Session {
    pub(crate) fn new(program: Arc<Program>, policy: InstancePolicy) -> Self {
        Self {
            policy,
            interrupt: program.interrupt(),
            held: Held::Nothing,
            idle: Job::new([]),
            program,
        }
    }

    pub(crate) fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// Gives back the instance of the last job, and makes that of the next one, where that may be done
    /// ahead. To be called between jobs, on the thread that runs them.
    ///
    /// # Errors
    /// [`NoRoom`]; what the guest is to blame for, its next job is told.
    pub(crate) fn prepare(&mut self) -> Result<(), NoRoom> {
        match mem::replace(&mut self.held, Held::Nothing) {
            Held::Ready(live) => {
                self.held = Held::Ready(live);
                return Ok(());
            }
            // Before the next one is made: in a process there is one place.
            Held::Spent(live) => drop(live),
            Held::Nothing => {}
        }
        match self.program.moment {
            Moment::Ahead => {}
            Moment::WithinItsJob => return Ok(()),
        }
        Engine::tls_eager_initialize();
        match self.instantiate(&self.idle) {
            Ok(live) => self.held = Held::Ready(live),
            // It will fail within the next job as well, whose ending that is.
            Err(Unmade::Ended(_)) => {}
            Err(Unmade::NoRoom(error)) => return Err(error),
        }
        Ok(())
    }

    /// Runs one job to its end. Every ending of the guest is an outcome.
    ///
    /// # Errors
    /// [`NoRoom`]: nothing of the job ran.
    pub(crate) fn run(&mut self, job: &Job) -> Result<Reply, NoRoom> {
        let (reply, output) = self.run_in_place(job)?;
        Ok(Reply {
            output: output.into_vec(),
            ..reply
        })
    }

    /// The same, but the output stays where the job wanted it, and the reply has none.
    ///
    /// # Errors
    /// [`NoRoom`]: nothing of the job ran.
    pub(crate) fn run_in_place(&mut self, job: &Job) -> Result<(Reply, Output), NoRoom> {
        let received = clock::monotonic();
        let held = mem::replace(&mut self.held, Held::Nothing);
        let was_ready = matches!(held, Held::Ready(_));
        let mut live = match self.take_up(held, job) {
            Ok(live) => live,
            Err(Unmade::Ended(ended)) => return Ok(*ended),
            Err(Unmade::NoRoom(error)) => return Err(error),
        };
        let before = live.store.data().limiter.memories();
        let ready = clock::monotonic();
        let result = if self.interrupt.is_raised() {
            // Raised before the epoch was looked at: the guest would never notice.
            live.store.data_mut().job.ending = Some(Outcome::Deadline);
            Ok(0)
        } else {
            live.door.enter(&mut live.store)
        };
        let called = clock::monotonic();
        live.store.data_mut().job.flush();
        let (mut reply, output) = conclude(live.store.data_mut(), result);
        reply.phases = Phases {
            instantiate: if was_ready {
                Duration::ZERO
            } else {
                ready - received
            },
            call: called - ready,
            release: Duration::ZERO,
            received,
        };
        if let Some(drill) = self.program.drill {
            let weight = self.weight(before, &live.store);
            drill.at_the_end(weight, live.store.data().job.job.mail());
        }
        let may_go_on = self.program.world.entry.may_be_reused()
            && !live.store.data().job.streams.exited
            && matches!(reply.outcome, Outcome::Output | Outcome::Refused { .. });
        live.store.data_mut().job.let_go(&self.idle);
        self.held = match self.policy {
            InstancePolicy::Reused if may_go_on => Held::Ready(live),
            InstancePolicy::Reused | InstancePolicy::Fresh => Held::Spent(live),
        };
        Ok((reply, output))
    }

    fn weight(&self, before: usize, store: &Store<StoreState>) -> Weight {
        let limiter = &store.data().limiter;
        let left = store.get_fuel().unwrap_or_default();
        let work = self.program.limits.fuel;
        Weight {
            before: before as u64,
            after: limiter.memories() as u64,
            charged: limiter.used() as u64,
            work: work.map_or(0, |fuel| fuel.saturating_sub(left)),
            said: (self.program.limits.output.as_len() - store.data().job.allowance) as u64,
        }
    }

    /// An instance with this job: the one at hand, or a new one.
    fn take_up(&self, held: Held, job: &Job) -> Result<Live, Unmade> {
        let Held::Ready(mut live) = held else {
            drop(held);
            return self.instantiate(job);
        };
        let state = live.store.data_mut();
        state.job = JobState::new(job, self.program.limits.output.as_len(), self.program.drill);
        state.limiter.forget_denials();
        self.refill(&mut live.store);
        Ok(live)
    }

    fn instantiate(&self, job: &Job) -> Result<Live, Unmade> {
        let limits = &self.program.limits;
        let mut store = Store::new(
            &self.program.engine,
            StoreState {
                limiter: Limiter::new(limits.memory.as_len()),
                memory: None,
                ready: false,
                interrupt: self.interrupt.clone(),
                drill: self.program.drill,
                region: self.program.region.clone(),
                grants: self.program.grants.clone(),
                world: Arc::clone(&self.program.world),
                plugin: None,
                awaited: wasi2::awaited(),
                numbers: wasi2::Numbers::new(),
                job: JobState::new(job, limits.output.as_len(), self.program.drill),
            },
        );
        store.limiter(|state| &mut state.limiter);
        if self.program.settings.metering == Metering::Interruptible {
            store.epoch_deadline_callback(|mut context| {
                let state = context.data_mut();
                if state.interrupt.is_raised() {
                    state.job.ending.get_or_insert(Outcome::Deadline);
                    return Ok(UpdateDeadline::Interrupt);
                }
                Ok(UpdateDeadline::Continue(1))
            });
        }
        self.refill(&mut store);
        match self.link(&mut store) {
            Ok(door) => Ok(Live { store, door }),
            Err(error) if error.is::<PoolConcurrencyLimitError>() => {
                Err(Unmade::NoRoom(NoRoom(chain(&error))))
            }
            Err(error) => {
                let state = store.data_mut();
                state.job.flush();
                if !is_of_guest(&error) && state.job.ending.is_none() {
                    state.job.ending = Some(if state.limiter.denied() {
                        Outcome::MemoryLimit
                    } else {
                        Outcome::InvalidGuest(chain(&error))
                    });
                }
                Err(Unmade::Ended(Box::new(conclude(state, Err(error)))))
            }
        }
    }

    fn link(&self, store: &mut Store<StoreState>) -> wasmtime::Result<Door> {
        if self.program.begins_too_large {
            store.data_mut().limiter.deny();
            return Err(wasmtime::Error::msg(
                "it begins with more memory than it may have",
            ));
        }
        let instance = match &self.program.linked {
            Linked::Module(module) => module.instantiate(&mut *store)?,
            Linked::Component(component) => {
                let door = component.open(store, &self.program.limits)?;
                store.data_mut().ready = true;
                return Ok(Door::Component(door));
            }
        };
        store.data_mut().memory = instance.get_memory(&mut *store, abi::MEMORY);
        let entry = &self.program.world.entry;
        let initialize = match entry {
            // A command has `_start` for that.
            Entry::Start | Entry::Run | Entry::Worker => None,
            Entry::Extism { .. } => super::entry::extism_runtime(&instance, store)?,
            Entry::Handle | Entry::Function { .. } | Entry::Packed(_) => {
                instance.get_func(&mut *store, abi::INITIALIZE)
            }
        };
        if let Some(initialize) = initialize {
            initialize.typed::<(), ()>(&*store)?.call(&mut *store, ())?;
        }
        store.data_mut().ready = true;
        Door::find(entry, &instance, store)
    }

    fn refill(&self, store: &mut Store<StoreState>) {
        if self.program.settings.metering == Metering::Interruptible {
            store.set_epoch_deadline(1);
        }
        if let Some(fuel) = self.program.limits.fuel {
            store
                .set_fuel(fuel)
                .expect("the engine was configured to count fuel");
        }
    }
}

/// Whether it is something that guest code did, be it while its instance was made.
fn is_of_guest(error: &wasmtime::Error) -> bool {
    error.is::<Trap>() || error.is::<ThrownException>() || error.is::<GcHeapOutOfMemory<()>>()
}

/// Reads the ending out of what the call returned and what the host functions noted.
fn conclude(state: &mut StoreState, result: wasmtime::Result<i32>) -> (Reply, Output) {
    let reason = mem::take(&mut state.job.reason);
    let outcome = match (state.job.ending.take(), result) {
        (Some(ending), _) => ending,
        (None, Ok(0)) => Outcome::Output,
        (None, Ok(code)) => Outcome::Refused { code, reason },
        (None, Err(error)) => match error.downcast_ref::<Trap>() {
            // How a failed allocation ends: an abort, or a write past what was not granted.
            Some(Trap::UnreachableCodeReached | Trap::MemoryOutOfBounds)
                if state.limiter.denied() =>
            {
                Outcome::MemoryLimit
            }
            Some(trap) => traps::outcome(*trap, reason),
            // So does C++ say that there is no memory.
            None if error.is::<ThrownException>() && state.limiter.denied() => Outcome::MemoryLimit,
            None if error.is::<ThrownException>() => Outcome::Trapped {
                kind: TrapKind::UncaughtException,
                reason,
            },
            None if error.is::<GcHeapOutOfMemory<()>>() => Outcome::MemoryLimit,
            None => Outcome::InterfaceViolation(chain(&error)),
        },
    };
    let reply = Reply {
        dropped_logs: state.job.dropped_logs,
        ..Reply::without_output(outcome)
    };
    (reply, mem::take(&mut state.job.output))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::Guest;
    use crate::job::Limits;
    use crate::options::Isolation;
    use crate::runtime::{Artifact, Cache, Demand, Drill, Settings, World};
    use crate::units::ByteSize;

    const METERINGS: [Metering; 2] = [Metering::Interruptible, Metering::Unmetered];

    fn guest(body: &str) -> Guest {
        let text = format!(
            r#"(module
                (import "cofferdam" "output_write" (func $output_write (param i32 i32)))
                (import "cofferdam" "random" (func $random (param i32 i32)))
                (func (export "cofferdam_abi_1"))
                {body})"#
        );
        Guest::from_bytes("a guest of the tests", text.as_bytes()).unwrap()
    }

    fn program(guest: &Guest, limits: Limits, metering: Metering) -> Arc<Program> {
        program_for(
            guest,
            limits,
            metering,
            Demand::of(guest, Isolation::Process, 1),
        )
    }

    fn program_for(
        guest: &Guest,
        limits: Limits,
        metering: Metering,
        demand: Demand,
    ) -> Arc<Program> {
        let settings = Settings::new(&limits, metering, demand);
        let artifact =
            Artifact::prepare(guest, settings, &Cache::off(), crate::runtime::Origin::Own).unwrap();
        Arc::new(Program::load(&artifact, limits, World::default()).unwrap())
    }

    fn session(guest: &Guest, limits: Limits, policy: InstancePolicy) -> Session {
        Session::new(program(guest, limits, Metering::Interruptible), policy)
    }

    fn fresh(guest: &Guest) -> Session {
        session(guest, Limits::default(), InstancePolicy::Fresh)
    }

    fn is_pooled(session: &Session) -> bool {
        let engine = &session.program.engine;
        engine.pooling_allocator_metrics().is_some()
    }

    /// A guest whose `handle` refuses with 1 if it is not as its module says, and then spoils all that
    /// an instance has: its memory, also what it grew, a global, a table, and its passive segments.
    fn spoiler(pages: u32, more: u32) -> Guest {
        guest(&format!(
            r#"(memory (export "memory") {pages})
            (data (i32.const 65530) "as new")
            (data $passive "kept")
            (global $global (mut i32) (i32.const 5))
            (table $table 3 3 funcref)
            (elem (i32.const 0) $spoil)
            (func $is_new (result i32) (local $at i32)
                (if (i32.ne (memory.size) (i32.const {pages})) (then (return (i32.const 0))))
                (if (i32.ne (global.get $global) (i32.const 5)) (then (return (i32.const 0))))
                (if (ref.is_null (table.get $table (i32.const 0))) (then (return (i32.const 0))))
                (if (i32.eqz (ref.is_null (table.get $table (i32.const 2)))) (then (return (i32.const 0))))
                (if (i64.ne (i64.load (i32.const 65528)) (i64.const 0x77656e2073610000)) (then (return (i32.const 0))))
                ;; It traps where the segment was dropped.
                (memory.init $passive (i32.const 0) (i32.const 0) (i32.const 4))
                (i32.store (i32.const 0) (i32.const 0))
                (call $is_empty))
            (func $is_empty (result i32) (local $at i32)
                (loop $next
                    (if (i32.ne (local.get $at) (i32.const 65528))
                        (then (if (i64.ne (i64.load (local.get $at)) (i64.const 0)) (then (return (i32.const 0))))))
                    (local.set $at (i32.add (local.get $at) (i32.const 8)))
                    (br_if $next (i32.lt_u (local.get $at) (i32.mul (memory.size) (i32.const 65536)))))
                (i32.const 1))
            (func $spoil
                (drop (memory.grow (i32.const {more})))
                (memory.fill (i32.const 0) (i32.const 0xaa) (i32.mul (memory.size) (i32.const 65536)))
                (global.set $global (i32.const 6))
                (table.set $table (i32.const 2) (table.get $table (i32.const 0)))
                (table.set $table (i32.const 0) (ref.null func))
                (data.drop $passive))
            (func (export "handle") (result i32)
                (if (i32.eqz (call $is_new)) (then (return (i32.const 1))))
                (call $spoil)
                (i32.const 0))"#
        ))
    }

    #[test]
    fn a_fresh_instance_is_as_new_whatever_the_one_before_it_did() {
        // All of it stays with its place; it is given back from 4 MiB on; it is given back at all.
        for (pages, more) in [(2, 16), (2, 100), (40, 8)] {
            let guest = spoiler(pages, more);
            for metering in METERINGS {
                let program = program(&guest, Limits::default(), metering);
                let mut session = Session::new(program, InstancePolicy::Fresh);
                assert!(is_pooled(&session));
                for _ in 0..3 {
                    session.prepare().unwrap();
                    let reply = session.run(&Job::new("")).unwrap();
                    assert_eq!(reply.outcome, Outcome::Output, "{pages} and {more} pages");
                }
            }
        }
    }

    #[test]
    fn the_guest_of_that_test_sees_what_another_job_left() {
        let mut session = session(&spoiler(2, 1), Limits::default(), InstancePolicy::Reused);
        let outcomes = [(); 2].map(|()| session.run(&Job::new("")).unwrap().outcome);
        assert_eq!(outcomes[0], Outcome::Output);
        assert!(matches!(outcomes[1], Outcome::Refused { code: 1, .. }));
    }

    #[test]
    fn memory_that_is_grown_is_empty_although_another_instance_wrote_there() {
        let guest = guest(
            r#"(memory (export "memory") 1)
            (func (export "handle") (result i32) (local $at i32)
                (drop (memory.grow (i32.const 16)))
                (loop $next
                    (if (i64.ne (i64.load (local.get $at)) (i64.const 0)) (then (return (i32.const 1))))
                    (local.set $at (i32.add (local.get $at) (i32.const 8)))
                    (br_if $next (i32.lt_u (local.get $at) (i32.mul (memory.size) (i32.const 65536)))))
                (memory.fill (i32.const 0) (i32.const 0xaa) (i32.mul (memory.size) (i32.const 65536)))
                (i32.const 0))"#,
        );
        let mut session = fresh(&guest);
        for _ in 0..3 {
            session.prepare().unwrap();
            assert_eq!(session.run(&Job::new("")).unwrap().outcome, Outcome::Output);
        }
    }

    /// Replies with random bytes that were drawn when its instance was made, and others.
    fn drawer(start: &str) -> Guest {
        guest(&format!(
            r#"(memory (export "memory") 1)
            (func $begin {start} (call $random (i32.const 0) (i32.const 16)))
            (func (export "handle") (result i32)
                (call $random (i32.const 16) (i32.const 16))
                (call $output_write (i32.const 0) (i32.const 32))
                (i32.const 0))"#
        ))
    }

    #[test]
    fn guest_code_that_runs_while_an_instance_is_made_has_the_seed_of_its_own_job() {
        let initialize = drawer(r#"(export "_initialize")"#);
        let start = guest(
            r#"(memory (export "memory") 1)
            (func $begin (call $random (i32.const 0) (i32.const 16)))
            (start $begin)
            (func (export "handle") (result i32)
                (call $random (i32.const 16) (i32.const 16))
                (call $output_write (i32.const 0) (i32.const 32))
                (i32.const 0))"#,
        );
        for guest in [initialize, start] {
            let ask = |session: &mut Session, number| {
                let job = Job::new("").numbered(number, Some(7));
                session.run(&job).unwrap()
            };
            let alone = [3, 4].map(|number| ask(&mut fresh(&guest), number).output);
            assert_ne!(alone[0], alone[1]);
            let mut session = fresh(&guest);
            let prepared = [3, 4].map(|number| {
                session.prepare().unwrap();
                let reply = ask(&mut session, number);
                assert!(!reply.phases.instantiate.is_zero(), "it belongs to the job");
                reply.output
            });
            assert_eq!(prepared, alone);
        }
    }

    #[test]
    fn an_instance_that_was_made_ahead_has_the_seed_of_the_job_that_takes_it() {
        let guest = drawer("");
        let job = Job::new("").numbered(3, Some(7));
        let alone = fresh(&guest).run(&job).unwrap();
        assert!(!alone.phases.instantiate.is_zero());
        let mut session = fresh(&guest);
        session.prepare().unwrap();
        let prepared = session.run(&job).unwrap();
        assert!(prepared.phases.instantiate.is_zero());
        assert_eq!(prepared.output, alone.output);
    }

    #[test]
    fn an_instance_that_was_made_ahead_has_all_the_fuel_of_its_job() {
        let guest = guest(
            r#"(memory (export "memory") 1)
            (func (export "handle") (result i32) (local $i i32)
                (loop $next
                    (local.set $i (i32.add (local.get $i) (i32.const 1)))
                    (br_if $next (i32.lt_u (local.get $i) (i32.const 1000))))
                (i32.const 0))"#,
        );
        let outcome = |fuel| {
            let limits = Limits {
                fuel: Some(fuel),
                ..Limits::default()
            };
            let mut session = session(&guest, limits, InstancePolicy::Fresh);
            [(); 3].map(|()| {
                session.prepare().unwrap();
                session.run(&Job::new("")).unwrap().outcome
            })
        };
        assert_eq!(outcome(10_000), [(); 3].map(|()| Outcome::Output));
        assert_eq!(outcome(1000), [(); 3].map(|()| Outcome::OutOfFuel));
    }

    #[test]
    fn an_epoch_that_passes_between_two_jobs_ends_neither() {
        let guest = guest(
            r#"(memory (export "memory") 1) (func (export "handle") (result i32) i32.const 0)"#,
        );
        let mut session = fresh(&guest);
        session.prepare().unwrap();
        session.interrupt().raise();
        session.interrupt().lower();
        let reply = session.run(&Job::new("")).unwrap();
        assert_eq!(reply.outcome, Outcome::Output);
    }

    #[test]
    fn a_guest_in_an_instance_that_was_made_ahead_can_be_stopped() {
        let guest = guest(
            r#"(memory (export "memory") 1)
            (func (export "handle") (result i32)
                (call $output_write (i32.const 0) (i32.const 1))
                (loop $forever (br $forever)) unreachable)"#,
        );
        let mut session = fresh(&guest);
        for _ in 0..2 {
            session.prepare().unwrap();
            let interrupt = session.interrupt().clone();
            let stopper = std::thread::spawn(move || interrupt.raise());
            let reply = session.run(&Job::new("")).unwrap();
            assert_eq!(reply.outcome, Outcome::Deadline);
            stopper.join().unwrap();
            session.interrupt().lower();
        }
    }

    #[test]
    fn a_memory_that_begins_past_the_limit_ends_each_job_with_or_without_a_pool() {
        for memories in [
            r#"(memory (export "memory") 20)"#,
            r#"(memory (export "memory") 1) (memory 20)"#,
        ] {
            let guest = guest(&format!(
                r#"{memories} (func (export "handle") (result i32) i32.const 0)"#
            ));
            let limits = Limits {
                memory: ByteSize::from_mib(1),
                ..Limits::default()
            };
            let mut session = session(&guest, limits, InstancePolicy::Fresh);
            for _ in 0..3 {
                session.prepare().unwrap();
                let reply = session.run(&Job::new("")).unwrap();
                assert_eq!(reply.outcome, Outcome::MemoryLimit);
            }
        }
    }

    #[test]
    fn growth_is_denied_at_the_limit_in_a_pool_and_without_one() {
        // The limit is 1 MiB: 16 pages, or 15 and 8192 elements.
        let one = r#"(memory (export "memory") 1)"#;
        let two = r#"(memory (export "memory") 1) (memory 0)"#;
        let small = "(table $table 0 8192 funcref)";
        let large = "(table $table 0 funcref)";
        let mut seen = Vec::new();
        for (memory, table) in [(one, small), (two, small), (one, large)] {
            let guest = guest(&format!(
                r#"{memory} {table}
                (func (export "handle") (result i32)
                    (if (i32.ne (memory.grow (i32.const 14)) (i32.const 1)) (then (return (i32.const 1))))
                    (if (i32.ne (table.grow $table (ref.null func) (i32.const 8192)) (i32.const 0))
                        (then (return (i32.const 2))))
                    (if (i32.ne (memory.grow (i32.const 1)) (i32.const -1)) (then (return (i32.const 3))))
                    (if (i32.ne (table.grow $table (ref.null func) (i32.const 1)) (i32.const -1))
                        (then (return (i32.const 4))))
                    unreachable)"#
            ));
            let limits = Limits {
                memory: ByteSize::from_mib(1),
                ..Limits::default()
            };
            let mut session = session(&guest, limits, InstancePolicy::Fresh);
            for _ in 0..3 {
                session.prepare().unwrap();
                let reply = session.run(&Job::new("")).unwrap();
                assert_eq!(reply.outcome, Outcome::MemoryLimit);
            }
            seen.push(is_pooled(&session));
        }
        assert_eq!(seen, [true, false, false]);
    }

    #[test]
    fn an_instance_that_cannot_be_made_is_the_guests_ending_each_time() {
        let guest = guest(
            r#"(memory (export "memory") 1) (data (i32.const 65536) "x")
            (func (export "handle") (result i32) i32.const 0)"#,
        );
        let mut session = fresh(&guest);
        for _ in 0..3 {
            session.prepare().unwrap();
            let reply = session.run(&Job::new("")).unwrap();
            let Outcome::Trapped { kind, .. } = reply.outcome else {
                panic!("{:?}", reply.outcome)
            };
            assert_eq!(kind, TrapKind::MemoryOutOfBounds);
        }
    }

    #[test]
    fn a_session_without_a_place_says_so_and_blames_no_guest() {
        let guest = Guest::embedded("echo").unwrap();
        let demand = Demand::of(&guest, Isolation::Thread, 1).with_instances(1);
        let limits = Limits::default();
        let program = program_for(&guest, limits, Metering::Interruptible, demand);
        let mut first = Session::new(Arc::clone(&program), InstancePolicy::Fresh);
        let mut second = Session::new(program, InstancePolicy::Fresh);
        first.prepare().unwrap();
        let refused = second.run(&Job::new("in")).unwrap_err();
        assert!(refused.to_string().contains("no place"), "{refused}");
        assert!(second.prepare().is_err());
        // The place is free again when its holder has gone.
        drop(first);
        assert_eq!(second.run(&Job::new("in")).unwrap().output, b"in");
    }

    #[test]
    fn a_worker_that_weighs_tells_the_linear_memory_of_its_instance_and_works_as_ever() {
        // The guest logs as well: the drill leaves that alone.
        let text = r#"(module
            (import "cofferdam" "log" (func $log (param i32 i32 i32)))
            (func (export "cofferdam_abi_1"))
            (memory (export "memory") 2) (table 5 funcref)
            (func (export "handle") (result i32)
                (drop (memory.grow (i32.const 3)))
                (call $log (i32.const 0) (i32.const 0) (i32.const 1))
                (i32.const 0)))"#;
        let guest = Guest::from_bytes("a guest that grows", text.as_bytes()).unwrap();
        let limits = Limits::default();
        let demand = Demand::of(&guest, Isolation::Process, 1);
        let settings = Settings::new(&limits, Metering::Interruptible, demand);
        let artifact =
            Artifact::prepare(&guest, settings, &Cache::off(), crate::runtime::Origin::Own)
                .unwrap();
        let program = Program::load(&artifact, limits, World::default()).unwrap();
        let program = Arc::new(program.with_drill(Some(Drill::Weigh)));
        let mut session = Session::new(program, InstancePolicy::Reused);
        let (sender, posted) = crossbeam_channel::unbounded();
        let (logger, logged) = crossbeam_channel::unbounded();
        let job = Job::new("")
            .on_post(move |_, message| sender.send(Weight::from_bytes(message)).unwrap())
            .on_log(move |_, _, line| logger.send(line.len()).unwrap());
        session.run(&job).unwrap();
        session.run(&job).unwrap();
        let weight = |before: u64, after: u64| {
            Some(Weight {
                before: before << 16,
                after: after << 16,
                // The table has five elements.
                charged: (after << 16) + 40,
                work: 0,
                said: 0,
            })
        };
        let posted: Vec<_> = posted.try_iter().collect();
        assert_eq!(posted, [weight(2, 5), weight(5, 8)]);
        assert_eq!(logged.try_iter().count(), 2);
    }

    #[test]
    fn a_spent_instance_holds_nothing_of_its_job() {
        let (job, outbox) = Job::new("in").with_inbox();
        let mut session = fresh(&Guest::embedded("echo").unwrap());
        session.run(&job).unwrap();
        drop(job);
        assert!(outbox.post("late").is_err());
    }
}

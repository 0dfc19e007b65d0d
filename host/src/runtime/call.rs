//! One job through one instance.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cofferdam_guest::abi;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wasmtime::{Store, Trap, TypedFunc, UpdateDeadline};

use super::limiter::Limiter;
use super::state::{JobState, StoreState};
use super::{Interrupt, Metering, Program, chain, traps};
use crate::job::{Job, Outcome, Phases, Reply};

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

/// A worker's own way to a [`Program`].
pub(crate) struct Session {
    program: Arc<Program>,
    policy: InstancePolicy,
    interrupt: Interrupt,
    kept: Option<Live>,
}

struct Live {
    store: Store<StoreState>,
    handle: TypedFunc<(), i32>,
}

impl Session {
    pub(crate) fn new(program: Arc<Program>, policy: InstancePolicy) -> Self {
        let interrupt = program.interrupt();
        Self {
            program,
            policy,
            interrupt,
            kept: None,
        }
    }

    pub(crate) fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// Runs one job to its end. Every ending of the guest is an outcome.
    pub(crate) fn run(&mut self, job: &Job) -> Reply {
        let start = Instant::now();
        let kept = self.kept.take();
        let reused = kept.is_some();
        let mut live =
            match kept.map_or_else(|| self.instantiate(job), |live| self.take_up(live, job)) {
                Ok(live) => live,
                Err(reply) => return reply,
            };
        let ready = Instant::now();
        let result = if self.interrupt.is_raised() {
            // Raised before the epoch was looked at: the guest would never notice.
            live.store.data_mut().job.ending = Some(Outcome::Deadline);
            Ok(0)
        } else {
            live.handle.call(&mut live.store, ())
        };
        let called = Instant::now();
        let mut reply = conclude(live.store.data_mut(), result);
        reply.phases = Phases {
            instantiate: if reused {
                Duration::ZERO
            } else {
                ready - start
            },
            call: called - ready,
        };
        if self.policy == InstancePolicy::Reused
            && matches!(reply.outcome, Outcome::Output | Outcome::Refused { .. })
        {
            // Without its job: whoever posts to that has to hear that it ended.
            live.store.data_mut().job = JobState::new(&Job::new([]), 0);
            self.kept = Some(live);
        }
        reply
    }

    fn instantiate(&self, job: &Job) -> Result<Live, Reply> {
        let limits = &self.program.limits;
        let mut store = Store::new(
            &self.program.engine,
            StoreState {
                limiter: Limiter::new(limits.memory.as_len()),
                memory: None,
                ready: false,
                interrupt: self.interrupt.clone(),
                job: JobState::new(job, limits.output.as_len()),
            },
        );
        store.limiter(|state| &mut state.limiter);
        if self.program.settings.metering == Metering::Interruptible {
            store.epoch_deadline_callback(|mut context| {
                let state = context.data_mut();
                if state.interrupt.is_raised() {
                    state.job.ending = Some(Outcome::Deadline);
                    return Ok(UpdateDeadline::Interrupt);
                }
                Ok(UpdateDeadline::Continue(1))
            });
        }
        self.refill(&mut store);
        match self.link(&mut store) {
            Ok(handle) => Ok(Live { store, handle }),
            Err(error) => {
                let state = store.data_mut();
                if error.downcast_ref::<Trap>().is_none() && state.job.ending.is_none() {
                    state.job.ending = Some(if state.limiter.denied() {
                        Outcome::MemoryLimit
                    } else {
                        Outcome::InvalidGuest(chain(&error))
                    });
                }
                Err(conclude(state, Err(error)))
            }
        }
    }

    fn link(&self, store: &mut Store<StoreState>) -> wasmtime::Result<TypedFunc<(), i32>> {
        let instance = self.program.instance.instantiate(&mut *store)?;
        store.data_mut().memory = instance.get_memory(&mut *store, abi::MEMORY);
        if let Some(initialize) = instance.get_func(&mut *store, abi::INITIALIZE) {
            initialize.typed::<(), ()>(&*store)?.call(&mut *store, ())?;
        }
        store.data_mut().ready = true;
        instance.get_typed_func(&mut *store, abi::ENTRY)
    }

    fn take_up(&self, mut live: Live, job: &Job) -> Result<Live, Reply> {
        let state = live.store.data_mut();
        state.job = JobState::new(job, self.program.limits.output.as_len());
        state.limiter.forget_denials();
        self.refill(&mut live.store);
        Ok(live)
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

/// Reads the ending out of what the call returned and what the host functions noted.
fn conclude(state: &mut StoreState, result: wasmtime::Result<i32>) -> Reply {
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
            None => Outcome::InterfaceViolation(chain(&error)),
        },
    };
    Reply {
        outcome,
        output: mem::take(&mut state.job.output),
        dropped_logs: state.job.dropped_logs,
        phases: Phases::default(),
    }
}

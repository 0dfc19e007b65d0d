//! The null arm of the guest's speed: the same module through wasmtime's own API, by hand.
//!
//! It is what somebody would write who needs no pool, no isolation and no limits: an engine, a
//! linker, and for each job a store and an instance. The settings that decide what machine code a
//! guest becomes are those of cofferdam, written down here a second time on purpose: a benchmark that
//! took them from the host would follow it into a mistake.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cofferdam::Metering;
use crossbeam_channel::{Receiver, Sender, bounded};
use wasmtime::{
    Caller, Config, Engine, InstancePre, Linker, Memory, Module, PoolingAllocationConfig, Result,
    Store, TypedFunc,
};

use crate::Failure;

/// A module, compiled and linked, ready to be instantiated.
pub struct ByHand {
    engine: Engine,
    instance: InstancePre<State>,
    metering: Metering,
}

/// An instance that is kept from one job to the next.
pub struct Kept {
    store: Store<State>,
    handle: TypedFunc<(), i32>,
}

/// What one job left behind.
#[derive(Debug)]
pub struct Run {
    /// The guest's reply.
    pub output: Vec<u8>,
    /// Inside `handle`, host calls included: what cofferdam's `Phases::call` is.
    pub call: Duration,
}

struct State {
    input: Arc<[u8]>,
    output: Vec<u8>,
    memory: Option<Memory>,
}

impl ByHand {
    /// Compiles and links a module in its binary form.
    ///
    /// # Errors
    /// If it is no module, or imports what none of the measured guests imports.
    pub fn new(wasm: &[u8], metering: Metering) -> std::result::Result<Self, Failure> {
        let engine = Engine::new(&config(metering))?;
        let module = Module::new(&engine, wasm)?;
        let mut linker = Linker::new(&engine);
        define(&mut linker)?;
        let instance = linker.instantiate_pre(&module)?;
        Ok(Self {
            engine,
            instance,
            metering,
        })
    }

    /// Runs one job in a fresh instance, on the calling thread. The instance is gone on return.
    ///
    /// # Errors
    /// If the guest traps or refuses.
    pub fn run(&self, input: &Arc<[u8]>) -> std::result::Result<Run, Failure> {
        self.keep()?.run(input)
    }

    /// An instance for any number of jobs, one after another.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn keep(&self) -> std::result::Result<Kept, Failure> {
        let mut store = Store::new(
            &self.engine,
            State {
                input: Arc::default(),
                output: Vec::new(),
                memory: None,
            },
        );
        if self.metering == Metering::Interruptible {
            // The next epoch, which never comes: the guest checks and goes on.
            store.set_epoch_deadline(1);
        }
        let instance = self.instance.instantiate(&mut store)?;
        store.data_mut().memory = instance.get_memory(&mut store, "memory");
        let handle = instance.get_typed_func::<(), i32>(&mut store, "handle")?;
        Ok(Kept { store, handle })
    }
}

impl Kept {
    /// Runs one job.
    ///
    /// # Errors
    /// If the guest traps or refuses.
    pub fn run(&mut self, input: &Arc<[u8]>) -> std::result::Result<Run, Failure> {
        self.store.data_mut().input = Arc::clone(input);
        let start = Instant::now();
        let code = self.handle.call(&mut self.store, ())?;
        let call = start.elapsed();
        if code != 0 {
            return Err(format!("the guest refused with code {code}").into());
        }
        let output = std::mem::take(&mut self.store.data_mut().output);
        Ok(Run { output, call })
    }
}

fn config(metering: Metering) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(metering == Metering::Interruptible)
        .max_wasm_stack(512 << 10)
        .wasm_memory64(false)
        .relaxed_simd_deterministic(true)
        .native_unwind_info(false)
        .generate_address_map(false)
        .allocation_strategy(places());
    config
}

/// Wasmtime's own advice on instantiating fast: memories that stay mapped, and are zeroed by hand.
/// Its default, a new mapping for each instance, would be a null arm that is easily beaten.
fn places() -> PoolingAllocationConfig {
    let mut places = PoolingAllocationConfig::new();
    places
        // One thread at a time uses it.
        .total_core_instances(1)
        .total_memories(1)
        .total_tables(1)
        .linear_memory_keep_resident(4 << 20)
        .table_keep_resident(64 << 10);
    places
}

/// The imports of the measured guests, without the limits that a host for strangers' guests needs.
fn define(linker: &mut Linker<State>) -> Result<()> {
    let of = "cofferdam";
    linker.func_wrap(of, "input_len", |guest: Caller<'_, State>| {
        Ok(i32::try_from(guest.data().input.len())?)
    })?;
    linker.func_wrap(
        of,
        "input_read",
        |mut guest: Caller<'_, State>, dst: u32, offset: u32, len: u32| {
            let (memory, state) = open(&mut guest)?;
            let rest = state.input.get(offset as usize..).unwrap_or_default();
            let part = &rest[..rest.len().min(len as usize)];
            slice(memory, dst, part.len())?.copy_from_slice(part);
            Ok(i32::try_from(part.len())?)
        },
    )?;
    linker.func_wrap(
        of,
        "output_write",
        |mut guest: Caller<'_, State>, src: u32, len: u32| {
            let (memory, state) = open(&mut guest)?;
            let part = slice(memory, src, len as usize)?;
            state.output.extend_from_slice(part);
            Ok(())
        },
    )?;
    linker.func_wrap(
        of,
        "fail",
        |mut guest: Caller<'_, State>, src: u32, len: u32| {
            let (memory, _) = open(&mut guest)?;
            let reason = slice(memory, src, len as usize)?;
            // None of the measured jobs gets here.
            Err::<(), _>(wasmtime::Error::msg(
                String::from_utf8_lossy(reason).into_owned(),
            ))
        },
    )?;
    linker.func_wrap(
        of,
        "random",
        |mut guest: Caller<'_, State>, dst: u32, len: u32| {
            let (memory, _) = open(&mut guest)?;
            fastrand::fill(slice(memory, dst, len as usize)?);
            Ok(())
        },
    )?;
    Ok(())
}

fn open<'a>(guest: &'a mut Caller<'_, State>) -> Result<(&'a mut [u8], &'a mut State)> {
    let memory = guest.data().memory;
    let memory = memory.ok_or_else(|| wasmtime::Error::msg("no memory"))?;
    Ok(memory.data_and_store_mut(guest))
}

fn slice(memory: &mut [u8], ptr: u32, len: usize) -> Result<&mut [u8]> {
    let range = ptr as usize..ptr as usize + len;
    let found = memory.get_mut(range);
    found.ok_or_else(|| wasmtime::Error::msg("a range outside the memory"))
}

/// [`ByHand`] in a thread of its own, reached by bare channels of one place.
///
/// A pool's worker has slept before each job, and the caches and the core's clock show it. Where
/// only the guest's own speed is asked for, the null arm has to wake up in the same way.
pub struct Aside {
    jobs: Option<Sender<Arc<[u8]>>>,
    runs: Receiver<std::result::Result<Run, Failure>>,
    thread: Option<JoinHandle<()>>,
}

impl Aside {
    /// Starts the thread. It has the stack that a pool's worker has.
    ///
    /// # Errors
    /// If the system has no more threads.
    pub fn new(by_hand: ByHand) -> std::result::Result<Self, Failure> {
        let (jobs, taken) = bounded::<Arc<[u8]>>(1);
        let (done, runs) = bounded(1);
        let thread = std::thread::Builder::new()
            .name("by-hand".to_owned())
            .stack_size((512 << 10) + (1 << 20))
            .spawn(move || {
                // As a pool's worker does it: the instance is there before its job.
                let mut made = by_hand.keep();
                for input in taken {
                    let run = made.and_then(|mut made| made.run(&input));
                    if done.send(run).is_err() {
                        return;
                    }
                    made = by_hand.keep();
                }
            })?;
        Ok(Self {
            jobs: Some(jobs),
            runs,
            thread: Some(thread),
        })
    }

    /// Runs one job there and waits for its end.
    ///
    /// # Errors
    /// As [`ByHand::run`].
    pub fn run(&self, input: &Arc<[u8]>) -> std::result::Result<Run, Failure> {
        let jobs = self.jobs.as_ref().ok_or("the thread has ended")?;
        jobs.send(Arc::clone(input))?;
        self.runs.recv()?
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic was printed where it happened.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SUBJECTS;

    #[test]
    fn every_subject_gives_the_right_reply_by_hand() {
        for subject in SUBJECTS {
            let guest = subject.guest().unwrap();
            for metering in [Metering::Interruptible, Metering::Unmetered] {
                let run = ByHand::new(guest.wasm(), metering)
                    .unwrap()
                    .run(&subject.input().into())
                    .unwrap();
                subject.check("wasmtime by hand", &run.output).unwrap();
                assert!(run.call > Duration::ZERO);
            }
        }
    }

    #[test]
    fn an_instance_that_is_kept_gives_the_same_reply_again() {
        let [_, sha256, _] = SUBJECTS;
        let guest = sha256.guest().unwrap();
        let by_hand = ByHand::new(guest.wasm(), Metering::Interruptible).unwrap();
        let input = sha256.input().into();
        let mut kept = by_hand.keep().unwrap();
        for _ in 0..3 {
            sha256
                .check("wasmtime, kept", &kept.run(&input).unwrap().output)
                .unwrap();
        }
    }

    #[test]
    fn a_thread_aside_gives_the_same_reply() {
        let [_, sha256, _] = SUBJECTS;
        let guest = sha256.guest().unwrap();
        let by_hand = ByHand::new(guest.wasm(), Metering::Unmetered).unwrap();
        let aside = Aside::new(by_hand).unwrap();
        for _ in 0..3 {
            let run = aside.run(&sha256.input().into()).unwrap();
            sha256.check("wasmtime aside", &run.output).unwrap();
        }
    }
}

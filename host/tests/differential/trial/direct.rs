//! The third opinion: a guest of interface 1 run by wasmtime's own API, without cofferdam.
//!
//! The host functions are written from `guest/INTERFACE.md`, and share nothing with the host's. What the
//! contract leaves open (how a seed becomes random bytes) is written down here a second time.

use fastrand::Rng;
use wasmtime::{
    Caller, Config, Engine, Error, Extern, Linker, Memory, Module, ResourceLimiter, Result, Store,
    Trap,
};

use super::ending::{Ending, Kind};
use super::{FUEL, MEMORY, OUTPUT, SEED, STACK};
use cofferdam::TrapKind;

/// An engine for any number of modules.
pub(crate) struct Direct {
    engine: Engine,
    linker: Linker<State>,
}

/// What came of a run.
pub(crate) struct Run {
    pub(crate) ending: Ending,
    /// Whether the instance could be made, so that `handle` was called.
    pub(crate) reached_handle: bool,
}

struct State {
    input: Vec<u8>,
    output: Vec<u8>,
    posts: Vec<Vec<u8>>,
    reason: String,
    /// Bytes that may still be said.
    allowance: usize,
    log_allowance: usize,
    dropped_logs: u64,
    rng: Rng,
    ticks: i64,
    purse: Purse,
    /// Whether the instance is made, and the job has begun.
    begun: bool,
    ended: Option<Kind>,
}

/// What all memories and tables may have together.
#[derive(Default)]
struct Purse {
    used: usize,
    denied: bool,
}

impl Purse {
    fn pay(&mut self, bytes: usize) -> bool {
        let fits = self.used + bytes <= MEMORY;
        if fits {
            self.used += bytes;
        }
        self.denied |= !fits;
        fits
    }
}

impl ResourceLimiter for Purse {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        Ok(self.pay(desired - current))
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        Ok(self.pay((desired - current) * 8))
    }
}

type Guest<'a> = Caller<'a, State>;

impl Direct {
    /// # Panics
    /// If wasmtime does not start.
    pub(crate) fn new() -> Self {
        let mut config = Config::new();
        config
            .consume_fuel(true)
            .max_wasm_stack(STACK)
            .wasm_memory64(false)
            .relaxed_simd_deterministic(true);
        let engine = Engine::new(&config).expect("wasmtime starts");
        let mut linker = Linker::new(&engine);
        define(&mut linker).expect("no import has two definitions");
        Self { engine, linker }
    }

    /// Runs one job in an instance of its own.
    pub(crate) fn run(&self, wasm: &[u8], input: &[u8]) -> Run {
        let Ok(module) = Module::new(&self.engine, wasm) else {
            return Run {
                ending: Ending::bare(Kind::NotCompiled),
                reached_handle: false,
            };
        };
        let state = State {
            input: input.to_vec(),
            output: Vec::new(),
            posts: Vec::new(),
            reason: String::new(),
            allowance: OUTPUT,
            log_allowance: 64 << 10,
            dropped_logs: 0,
            // Of the first job of its pool: its number is 0, whose mixture is 0.
            rng: Rng::with_seed(mixed(SEED)),
            ticks: 0,
            purse: Purse::default(),
            begun: false,
            ended: None,
        };
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.purse);
        store.set_fuel(FUEL).expect("fuel is counted");
        let result = self.call(&mut store, &module);
        let reached_handle = store.data().begun;
        Run {
            ending: conclude(store.into_data(), result),
            reached_handle,
        }
    }

    fn call(&self, store: &mut Store<State>, module: &Module) -> Result<i32> {
        let instance = self.linker.instantiate(&mut *store, module)?;
        let handle = instance.get_typed_func::<(), i32>(&mut *store, "handle")?;
        store.data_mut().begun = true;
        handle.call(store, ())
    }
}

fn conclude(state: State, result: Result<i32>) -> Ending {
    let (denied, reason) = (state.purse.denied, state.reason);
    let kind = match (state.ended, result) {
        (Some(kind), _) => kind,
        (None, Ok(0)) => Kind::Output,
        (None, Ok(code)) => Kind::Refused { code, reason },
        (None, Err(error)) => match error.downcast_ref::<Trap>() {
            Some(Trap::UnreachableCodeReached | Trap::MemoryOutOfBounds) if denied => {
                Kind::MemoryLimit
            }
            Some(Trap::OutOfFuel) => Kind::OutOfFuel,
            Some(&trap) => Kind::Trapped {
                kind: kind_of(trap),
                reason,
            },
            None if !state.begun && denied => Kind::MemoryLimit,
            None if !state.begun => Kind::InvalidGuest,
            None => Kind::Unexpected(format!("{error:#}")),
        },
    };
    Ending {
        kind,
        output: state.output,
        posts: state.posts,
        dropped_logs: state.dropped_logs,
    }
}

fn kind_of(trap: Trap) -> TrapKind {
    match trap {
        Trap::UnreachableCodeReached => TrapKind::Unreachable,
        Trap::StackOverflow => TrapKind::StackOverflow,
        Trap::MemoryOutOfBounds => TrapKind::MemoryOutOfBounds,
        Trap::TableOutOfBounds => TrapKind::TableOutOfBounds,
        Trap::IndirectCallToNull => TrapKind::NullCall,
        Trap::BadSignature => TrapKind::BadSignature,
        Trap::IntegerOverflow => TrapKind::IntegerOverflow,
        Trap::IntegerDivisionByZero => TrapKind::DivisionByZero,
        Trap::BadConversionToInteger => TrapKind::BadConversion,
        _ => TrapKind::Other,
    }
}

/// The finaliser of `SplitMix64`, by which a job's seed is made of its pool's.
fn mixed(z: u64) -> u64 {
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn end<T>(state: &mut State, kind: Kind) -> Result<T> {
    state.ended = Some(kind);
    Err(Error::msg("the job has ended"))
}

/// Only `log`, `random` and `clock` may be called while the instance is made.
fn needs_a_job(guest: &mut Guest<'_>) -> Result<()> {
    if guest.data().begun {
        return Ok(());
    }
    end(guest.data_mut(), Kind::InterfaceViolation)
}

/// The bytes of a range that a guest named, and the state beside them.
fn range<'a>(guest: &'a mut Guest<'_>, at: u32, len: u32) -> Result<(&'a mut [u8], &'a mut State)> {
    let memory: Option<Memory> = guest.get_export("memory").and_then(Extern::into_memory);
    let memory = memory.ok_or_else(|| Error::msg("no memory"))?;
    let (bytes, state) = memory.data_and_store_mut(guest);
    let end_of_range = u64::from(at) + u64::from(len);
    if end_of_range > bytes.len() as u64 {
        return end(state, Kind::InterfaceViolation);
    }
    let (at, len) = (at as usize, len as usize);
    Ok((&mut bytes[at..at + len], state))
}

fn spend(state: &mut State, bytes: usize) -> Result<()> {
    if bytes > state.allowance {
        return end(state, Kind::OutputLimit);
    }
    state.allowance -= bytes;
    Ok(())
}

fn define(linker: &mut Linker<State>) -> Result<()> {
    let of = "cofferdam";
    linker
        .func_wrap(of, "input_len", |mut guest: Guest<'_>| {
            needs_a_job(&mut guest)?;
            Ok(i32::try_from(guest.data().input.len())?)
        })?
        .func_wrap(
            of,
            "input_read",
            |mut guest: Guest<'_>, dst: u32, offset: u32, len: u32| {
                needs_a_job(&mut guest)?;
                let (into, state) = range(&mut guest, dst, len)?;
                let rest = state.input.get(offset as usize..).unwrap_or_default();
                let count = rest.len().min(into.len());
                into[..count].copy_from_slice(&rest[..count]);
                Ok(i32::try_from(count)?)
            },
        )?
        .func_wrap(
            of,
            "output_write",
            |mut guest: Guest<'_>, src: u32, len: u32| {
                needs_a_job(&mut guest)?;
                let (bytes, state) = range(&mut guest, src, len)?;
                spend(state, bytes.len())?;
                state.output.extend_from_slice(bytes);
                Ok(())
            },
        )?
        .func_wrap(of, "fail", |mut guest: Guest<'_>, src: u32, len: u32| {
            needs_a_job(&mut guest)?;
            let (bytes, state) = range(&mut guest, src, len)?;
            let kept = &bytes[..bytes.len().min(4096)];
            state.reason = String::from_utf8_lossy(kept).into_owned();
            Ok(())
        })?
        .func_wrap(of, "post", |mut guest: Guest<'_>, src: u32, len: u32| {
            needs_a_job(&mut guest)?;
            let (bytes, state) = range(&mut guest, src, len)?;
            spend(state, bytes.len())?;
            state.posts.push(bytes.to_vec());
            Ok(())
        })?
        .func_wrap(
            of,
            "recv",
            |mut guest: Guest<'_>, dst: u32, cap: u32, _: i32| {
                needs_a_job(&mut guest)?;
                range(&mut guest, dst, cap)?;
                // Nobody posts: the inbox is closed from the start.
                Ok(-2)
            },
        )?
        .func_wrap(
            of,
            "log",
            |mut guest: Guest<'_>, _: i32, src: u32, len: u32| {
                let (bytes, state) = range(&mut guest, src, len)?;
                let cost = bytes.len().clamp(1, 4096);
                match state.log_allowance.checked_sub(cost) {
                    Some(rest) => state.log_allowance = rest,
                    None => state.dropped_logs += 1,
                }
                Ok(())
            },
        )?
        .func_wrap(of, "random", |mut guest: Guest<'_>, dst: u32, len: u32| {
            let (bytes, state) = range(&mut guest, dst, len)?;
            state.rng.fill(bytes);
            Ok(())
        })?
        .func_wrap(of, "clock", |mut guest: Guest<'_>| {
            let state = guest.data_mut();
            state.ticks += 1000;
            state.ticks
        })?;
    define_regions(linker)
}

/// There is no region: every call but that for its length breaks the interface.
fn define_regions(linker: &mut Linker<State>) -> Result<()> {
    fn none<T>(guest: &mut Guest<'_>) -> Result<T> {
        end(guest.data_mut(), Kind::InterfaceViolation)
    }
    let of = "cofferdam";
    linker
        .func_wrap(of, "region_len", |mut guest: Guest<'_>| {
            needs_a_job(&mut guest)?;
            Ok(-1i64)
        })?
        .func_wrap(
            of,
            "region_read",
            |mut guest: Guest<'_>, _: u32, _: i64, _: u32| none::<()>(&mut guest),
        )?
        .func_wrap(
            of,
            "region_write",
            |mut guest: Guest<'_>, _: u32, _: i64, _: u32| none::<()>(&mut guest),
        )?
        .func_wrap(of, "region_load", |mut guest: Guest<'_>, _: i64| {
            none::<i64>(&mut guest)
        })?
        .func_wrap(
            of,
            "region_store",
            |mut guest: Guest<'_>, _: i64, _: i64| none::<()>(&mut guest),
        )?
        .func_wrap(of, "region_add", |mut guest: Guest<'_>, _: i64, _: i64| {
            none::<i64>(&mut guest)
        })?
        .func_wrap(
            of,
            "region_compare_exchange",
            |mut guest: Guest<'_>, _: i64, _: i64, _: i64| none::<i64>(&mut guest),
        )?;
    Ok(())
}

//! The host functions of interface 1.
//!
//! Each pointer and length is checked in the very call that uses it. What breaks the rules ends the
//! job: the function notes the [`Outcome`] in the job's state and returns an error, which unwinds
//! the guest.

use std::ops::Range;
use std::time::Duration;

use cofferdam_guest::abi;
use wasmtime::{Caller, Extern, Linker, Memory, Result};

use super::region;
use super::state::StoreState;
use crate::job::Outcome;
use crate::mail::{Received, Wait};
use crate::payload::Full;

pub(super) type Guest<'a> = Caller<'a, StoreState>;

/// Offers every import of interface 1.
pub(super) fn define(linker: &mut Linker<StoreState>) -> Result<()> {
    use abi::import;
    linker
        .func_wrap(abi::MODULE, import::INPUT_LEN, input_len)?
        .func_wrap(abi::MODULE, import::INPUT_READ, input_read)?
        .func_wrap(abi::MODULE, import::OUTPUT_WRITE, output_write)?
        .func_wrap(abi::MODULE, import::FAIL, fail)?
        .func_wrap(abi::MODULE, import::POST, post)?
        .func_wrap(abi::MODULE, import::RECV, recv)?
        .func_wrap(abi::MODULE, import::LOG, log)?
        .func_wrap(abi::MODULE, import::RANDOM, random)?
        .func_wrap(abi::MODULE, import::CLOCK, clock)?;
    region::define(linker)
}

fn input_len(mut guest: Guest<'_>) -> Result<i32> {
    needs_a_job(guest.data_mut(), "input_len")?;
    let length = guest.data().job.job.payload().len();
    // The pool refuses inputs past `Limits::input`; a limit past 2 GiB is the user's own choice.
    i32::try_from(length).map_err(|_| wasmtime::Error::msg("an input of more than 2 GiB"))
}

fn input_read(mut guest: Guest<'_>, dst: u32, offset: u32, len: u32) -> Result<i32> {
    let (memory, state) = open_job(&mut guest, "input_read")?;
    let length = state.job.job.payload().len();
    let offset = (offset as usize).min(length);
    let count = (len as usize).min(length - offset);
    // The guest answers for the whole range that it named, not only for the part that is used.
    let range = check(memory, state, "input_read", dst, len)?;
    let into = &mut memory[range.start..range.start + count];
    state.job.job.payload().copy_to(offset, into);
    Ok(i32::try_from(count).unwrap_or(i32::MAX))
}

fn output_write(mut guest: Guest<'_>, src: u32, len: u32) -> Result<()> {
    let (memory, state) = open_job(&mut guest, "output_write")?;
    let range = check(memory, state, "output_write", src, len)?;
    say(state, &memory[range])
}

/// Appends to the job's output, within what it may say.
pub(super) fn say(state: &mut StoreState, bytes: &[u8]) -> Result<()> {
    spend(state, bytes.len())?;
    match state.job.output.append(bytes) {
        Ok(()) => Ok(()),
        Err(Full) => end(state, Outcome::OutputLimit),
    }
}

fn fail(mut guest: Guest<'_>, src: u32, len: u32) -> Result<()> {
    let (memory, state) = open_job(&mut guest, "fail")?;
    let range = check(memory, state, "fail", src, len)?;
    let end = range.end.min(range.start + abi::MAX_REASON);
    state.job.reason = String::from_utf8_lossy(&memory[range.start..end]).into_owned();
    Ok(())
}

fn post(mut guest: Guest<'_>, src: u32, len: u32) -> Result<()> {
    let (memory, state) = open_job(&mut guest, "post")?;
    let range = check(memory, state, "post", src, len)?;
    spend(state, range.len())?;
    if state.job.job.mail().post(&memory[range]) {
        Ok(())
    } else {
        Err(wasmtime::Error::msg("the host is gone"))
    }
}

fn recv(mut guest: Guest<'_>, dst: u32, cap: u32, timeout_ms: i32) -> Result<i32> {
    let (memory, state) = open_job(&mut guest, "recv")?;
    let range = check(memory, state, "recv", dst, cap)?;
    let wait = match u64::try_from(timeout_ms) {
        Ok(0) => Wait::Poll,
        Ok(span) => Wait::For(Duration::from_millis(span)),
        Err(_) => Wait::Forever,
    };
    let message = match state.job.pending.take() {
        Some(message) => message,
        None => match state.job.hear(wait, state.interrupt.bell())? {
            Received::Message(message) => message,
            Received::TimedOut => return Ok(abi::RECV_NONE),
            Received::Closed => return Ok(abi::RECV_CLOSED),
            Received::Interrupted => return end(state, Outcome::Deadline),
        },
    };
    let length = i32::try_from(message.len()).unwrap_or(i32::MAX);
    if message.len() <= range.len() {
        memory[range.start..range.start + message.len()].copy_from_slice(&message);
    } else {
        state.job.pending = Some(message);
    }
    Ok(length)
}

fn log(mut guest: Guest<'_>, level: i32, src: u32, len: u32) -> Result<()> {
    let (memory, state) = open(&mut guest)?;
    let range = check(memory, state, "log", src, len)?;
    if let Some(drill) = state.drill.filter(|drill| drill.is_in_log()) {
        drill.act(state.job.job.mail(), &memory[range]);
        return Ok(());
    }
    let kept = range.len().min(abi::MAX_LOG_LINE);
    let line = &memory[range.start..range.start + kept];
    state.job.log(abi::Level::from_i32(level), line);
    Ok(())
}

fn random(mut guest: Guest<'_>, dst: u32, len: u32) -> Result<()> {
    let (memory, state) = open(&mut guest)?;
    let range = check(memory, state, "random", dst, len)?;
    Ok(state.job.fill_random(&mut memory[range])?)
}

fn clock(mut guest: Guest<'_>) -> Result<i64> {
    Ok(guest.data_mut().job.clock()?)
}

/// The same as [`open`], for what makes sense only while there is a job.
pub(super) fn open_job<'a>(
    guest: &'a mut Guest<'_>,
    call: &str,
) -> Result<(&'a mut [u8], &'a mut StoreState)> {
    needs_a_job(guest.data_mut(), call)?;
    open(guest)
}

/// Ends a job whose guest speaks of it while its instance is still being made. Where instances are
/// made ahead there is no job yet, so such a guest must not work anywhere.
pub(super) fn needs_a_job(state: &mut StoreState, call: &str) -> Result<()> {
    if state.ready {
        return Ok(());
    }
    end(
        state,
        Outcome::InterfaceViolation(format!(
            "{call} was called before the job began: in a start function and in `_initialize`, only \
             log, random and clock may be called"
        )),
    )
}

/// The guest's memory and the host's state, side by side.
pub(super) fn open<'a>(guest: &'a mut Guest<'_>) -> Result<(&'a mut [u8], &'a mut StoreState)> {
    let memory = match guest.data().memory {
        Some(memory) => memory,
        None => exported_memory(guest)?,
    };
    Ok(memory.data_and_store_mut(guest))
}

fn exported_memory(guest: &mut Guest<'_>) -> Result<Memory> {
    guest
        .get_export(abi::MEMORY)
        .and_then(Extern::into_memory)
        .ok_or_else(|| wasmtime::Error::msg("the guest's memory is not there yet"))
}

/// Turns a pointer and a length into a range of the guest's memory, or ends the job.
pub(super) fn check(
    memory: &[u8],
    state: &mut StoreState,
    call: &str,
    ptr: u32,
    len: u32,
) -> Result<Range<usize>> {
    let start = ptr as usize;
    match start.checked_add(len as usize) {
        Some(stop) if stop <= memory.len() => Ok(start..stop),
        _ => end(
            state,
            Outcome::InterfaceViolation(format!(
                "{call} was given {len} bytes at {ptr:#x}, but its memory has {} bytes",
                memory.len()
            )),
        ),
    }
}

/// Takes bytes from what the job may say, or ends it.
pub(super) fn spend(state: &mut StoreState, bytes: usize) -> Result<()> {
    match state.job.allowance.checked_sub(bytes) {
        Some(rest) => {
            state.job.allowance = rest;
            Ok(())
        }
        None => end(state, Outcome::OutputLimit),
    }
}

pub(super) fn end<T>(state: &mut StoreState, outcome: Outcome) -> Result<T> {
    state.job.ending = Some(outcome);
    Err(wasmtime::Error::msg("the host ended the job"))
}

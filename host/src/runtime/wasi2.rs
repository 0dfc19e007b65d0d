//! WASI preview 2, for commands that are components and for the libraries of workers.
//!
//! As with preview 1 ([`super::wasi`]), the job's input is standard input, its output is standard output, and lines on
//! standard error are log lines; every wait can be interrupted. Files are those in the folders that were granted, and
//! sockets are refused by [`super::component`]. Most resources are small numbers with a meaning of their own, for which
//! the host keeps nothing. It keeps the times for which a guest waits, and what is open beneath folders ([`table`]).

mod codes;
mod files;
mod streams;
mod table;

use std::time::Duration;

use crossbeam_channel::RecvTimeoutError;
use wasmtime::component::{
    ComponentType, Lift, Linker, Lower, Resource, ResourceTable, ResourceType,
};
use wasmtime::{Error, Result};

use super::component::Host;
use super::state::StoreState;
use super::{component, imports, opened, wasi};
use crate::guest::component::EDITION;
use crate::job::Outcome;

pub(super) use table::{Numbers, Table};

/// A stream that is read: standard input, or one of a file.
enum Input {}
/// A stream that is written: its number says which.
enum Output {}
/// What a stream failed with: its number is that of the code.
enum Complaint {}
/// A terminal: there is none.
enum Terminal {}

const STDIN: u32 = 0;
const STDOUT: u32 = 1;
const STDERR: u32 = 2;

/// What a guest waits for: a time by the job's clock, or something that is always there.
pub(super) struct Awaited {
    until: Option<u64>,
}

/// The most things that a guest may wait for at a time.
const MOST_AWAITED: usize = 4096;

/// The most random bytes in one call.
const MOST_RANDOM: u64 = 16 << 20;

/// An empty table for what is waited for.
pub(super) fn awaited() -> ResourceTable {
    let mut table = ResourceTable::new();
    table.set_max_capacity(MOST_AWAITED);
    table
}

#[derive(Clone, Copy, ComponentType, Lift, Lower)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

/// Offers what preview 2 has, without sockets.
pub(super) fn define(linker: &mut Linker<StoreState>) -> Result<()> {
    let at = |name: &str| format!("wasi:{name}@{EDITION}");
    io(linker, at)?;
    cli(linker, at)?;
    files::define(linker, at)?;
    let mut clock = linker.instance(&at("clocks/monotonic-clock"))?;
    clock.func_wrap("now", |mut store: Host<'_>, (): ()| Ok((now(&mut store)?,)))?;
    clock.func_wrap("resolution", |_: Host<'_>, (): ()| Ok((1u64,)))?;
    clock.func_wrap(
        "subscribe-instant",
        |mut store: Host<'_>, (when,): (u64,)| await_until(&mut store, Some(when)),
    )?;
    clock.func_wrap(
        "subscribe-duration",
        |mut store: Host<'_>, (span,): (u64,)| {
            let when = now(&mut store)?.saturating_add(span);
            await_until(&mut store, Some(when))
        },
    )?;
    let mut clock = linker.instance(&at("clocks/wall-clock"))?;
    clock.func_wrap("now", |mut store: Host<'_>, (): ()| {
        let since = store.data_mut().job.time_of_day()?;
        let since = Duration::from_nanos(u64::try_from(since).unwrap_or_default());
        Ok((Datetime {
            seconds: since.as_secs(),
            nanoseconds: since.subsec_nanos(),
        },))
    })?;
    clock.func_wrap("resolution", |_: Host<'_>, (): ()| {
        Ok((Datetime {
            seconds: 0,
            nanoseconds: 1,
        },))
    })?;
    let number = |mut store: Host<'_>, (): ()| Ok((random_number(&mut store)?,));
    let bytes = |mut store: Host<'_>, (length,): (u64,)| random(&mut store, length);
    let mut chance = linker.instance(&at("random/random"))?;
    chance.func_wrap("get-random-bytes", bytes)?;
    chance.func_wrap("get-random-u64", number)?;
    let mut chance = linker.instance(&at("random/insecure"))?;
    chance.func_wrap("get-insecure-random-bytes", bytes)?;
    chance.func_wrap("get-insecure-random-u64", number)?;
    let mut chance = linker.instance(&at("random/insecure-seed"))?;
    chance.func_wrap("insecure-seed", |mut store: Host<'_>, (): ()| {
        Ok(((random_number(&mut store)?, random_number(&mut store)?),))
    })
}

fn cli(linker: &mut Linker<StoreState>, at: impl Fn(&str) -> String) -> Result<()> {
    let mut told = linker.instance(&at("cli/environment"))?;
    told.func_wrap("get-environment", |store: Host<'_>, (): ()| {
        Ok((store.data().world.env.clone(),))
    })?;
    told.func_wrap("get-arguments", |store: Host<'_>, (): ()| {
        Ok((store.data().world.args.clone(),))
    })?;
    told.func_wrap("initial-cwd", |_: Host<'_>, (): ()| Ok((None::<String>,)))?;
    let mut ending = linker.instance(&at("cli/exit"))?;
    ending.func_wrap(
        "exit",
        |mut store: Host<'_>, (status,): (std::result::Result<(), ()>,)| {
            exit(&mut store, status.is_err().into())
        },
    )?;
    ending.func_wrap("exit-with-code", |mut store: Host<'_>, (code,): (u8,)| {
        exit(&mut store, code.into())
    })?;
    linker
        .instance(&at("cli/stdin"))?
        .func_wrap("get-stdin", |_: Host<'_>, (): ()| {
            Ok((Resource::<Input>::new_own(STDIN),))
        })?;
    linker
        .instance(&at("cli/stdout"))?
        .func_wrap("get-stdout", |_: Host<'_>, (): ()| {
            Ok((Resource::<Output>::new_own(STDOUT),))
        })?;
    linker
        .instance(&at("cli/stderr"))?
        .func_wrap("get-stderr", |_: Host<'_>, (): ()| {
            Ok((Resource::<Output>::new_own(STDERR),))
        })?;
    for (name, resource) in [
        ("cli/terminal-input", "terminal-input"),
        ("cli/terminal-output", "terminal-output"),
    ] {
        linker.instance(&at(name))?.resource(
            resource,
            ResourceType::host::<Terminal>(),
            |_, _| Ok(()),
        )?;
    }
    for stream in ["stdin", "stdout", "stderr"] {
        linker
            .instance(&at(&format!("cli/terminal-{stream}")))?
            .func_wrap(&format!("get-terminal-{stream}"), |_: Host<'_>, (): ()| {
                Ok((None::<Resource<Terminal>>,))
            })?;
    }
    Ok(())
}

fn io(linker: &mut Linker<StoreState>, at: impl Fn(&str) -> String) -> Result<()> {
    let mut errors = linker.instance(&at("io/error"))?;
    errors.resource("error", ResourceType::host::<Complaint>(), |_, _| Ok(()))?;
    errors.func_wrap(
        "[method]error.to-debug-string",
        |_: Host<'_>, (one,): (Resource<Complaint>,)| Ok((codes::words_of(one.rep()),)),
    )?;
    let mut poll = linker.instance(&at("io/poll"))?;
    poll.resource(
        "pollable",
        ResourceType::host::<Awaited>(),
        |mut store, number| {
            store
                .data_mut()
                .awaited
                .delete(Resource::<Awaited>::new_own(number))?;
            Ok(())
        },
    )?;
    poll.func_wrap(
        "[method]pollable.ready",
        |mut store: Host<'_>, (one,): (Resource<Awaited>,)| {
            let until = store.data().awaited.get(&one)?.until;
            Ok((match until {
                None => true,
                Some(until) => until <= now(&mut store)?,
            },))
        },
    )?;
    poll.func_wrap(
        "[method]pollable.block",
        |mut store: Host<'_>, (one,): (Resource<Awaited>,)| wait(&mut store, &[one]).map(|_| ()),
    )?;
    poll.func_wrap(
        "poll",
        |mut store: Host<'_>, (all,): (Vec<Resource<Awaited>>,)| {
            if all.is_empty() {
                return imports::end(
                    store.data_mut(),
                    Outcome::InterfaceViolation("poll was given nothing to wait for".to_owned()),
                );
            }
            Ok((wait(&mut store, &all)?,))
        },
    )?;
    streams::define(&mut linker.instance(&at("io/streams"))?)
}

fn exit(store: &mut Host<'_>, code: i32) -> Result<()> {
    let state = store.data_mut();
    state.job.streams.exited = true;
    // What is no command was to return.
    let is_command = state.world.entry.is_command();
    imports::end(
        state,
        match code {
            0 if is_command => Outcome::Output,
            code => Outcome::Exited(code),
        },
    )
}

fn now(store: &mut Host<'_>) -> Result<u64> {
    Ok(store.data_mut().job.clock()?.cast_unsigned())
}

fn await_until(store: &mut Host<'_>, until: Option<u64>) -> Result<(Resource<Awaited>,)> {
    Ok((store.data_mut().awaited.push(Awaited { until })?,))
}

/// Waits until one of these is there, and says which are.
fn wait(store: &mut Host<'_>, all: &[Resource<Awaited>]) -> Result<Vec<u32>> {
    let times = all
        .iter()
        .map(|one| Ok(store.data().awaited.get(one)?.until.unwrap_or(0)))
        .collect::<Result<Vec<u64>>>()?;
    let first = times.iter().min().copied().unwrap_or(0);
    // Time that was slept past is past, whatever the clock's grain.
    let reached = now(store)?.max(first);
    let span = Duration::from_nanos(first.saturating_sub(now(store)?));
    if !span.is_zero() {
        let state = store.data_mut();
        if !state.job.skip(span) {
            let waited = span.min(crate::job::LONGEST);
            match state.interrupt.bell().recv_timeout(waited) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                    return imports::end(state, Outcome::Deadline);
                }
            }
        }
    }
    let there = (0u32..).zip(&times).filter(|(_, time)| **time <= reached);
    Ok(there.map(|(number, _)| number).collect())
}

/// Random bytes, as the job has them.
pub(super) fn random(store: &mut Host<'_>, length: u64) -> Result<(Vec<u8>,)> {
    let length = match usize::try_from(length) {
        Ok(fits) if length <= MOST_RANDOM => fits,
        _ => {
            return imports::end(
                store.data_mut(),
                Outcome::InterfaceViolation(format!(
                    "{length} random bytes were asked for at once, and {MOST_RANDOM} are the most"
                )),
            );
        }
    };
    let mut bytes = vec![0; length];
    store
        .data_mut()
        .job
        .fill_random(&mut bytes)
        .map_err(Error::from)?;
    Ok((bytes,))
}

fn random_number(store: &mut Host<'_>) -> Result<u64> {
    let mut bytes = [0; 8];
    store.data_mut().job.fill_random(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

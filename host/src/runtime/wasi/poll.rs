//! The clocks, and waiting: for a moment to come, or for a stream.

use std::time::Duration;

use crossbeam_channel::RecvTimeoutError;
use wasmtime::Result;

use super::super::state::JobState;
use super::imports::{Guest, check, end, open};
use super::opened::What;
use super::streams::{STDIN, unread};
use super::{MOST_AT_ONCE, StoreState, errno, needs_streams, put, u32_at, u64_at};
use crate::guest::wasi::Edition;
use crate::job::Outcome;

const REALTIME: i32 = 0;
const MONOTONIC: i32 = 1;

pub(super) fn clock_res_get(mut guest: Guest<'_>, clock: i32, into: u32) -> Result<i32> {
    if !matches!(clock, REALTIME | MONOTONIC) {
        return Ok(errno::INVAL);
    }
    let (memory, state) = open(&mut guest)?;
    put(memory, state, "clock_res_get", into, &1u64.to_le_bytes())?;
    Ok(errno::SUCCESS)
}

pub(super) fn clock_time_get(
    mut guest: Guest<'_>,
    clock: i32,
    _precision: i64,
    into: u32,
) -> Result<i32> {
    let (memory, state) = open(&mut guest)?;
    let Some(now) = time_of(state, clock)? else {
        return Ok(errno::INVAL);
    };
    put(memory, state, "clock_time_get", into, &now.to_le_bytes())?;
    Ok(errno::SUCCESS)
}

/// Nanoseconds by one of the two clocks. Those of the CPU's time are not offered: a worker's other jobs would show.
fn time_of(state: &mut StoreState, clock: i32) -> Result<Option<i64>> {
    Ok(match clock {
        REALTIME => Some(state.job.time_of_day()?),
        MONOTONIC => Some(state.job.clock()?),
        _ => None,
    })
}

/// Something that a guest waits for.
struct Subscription {
    userdata: u64,
    event: Awaited,
}

#[derive(Clone, Copy)]
enum Awaited {
    /// So long from now.
    Clock(Duration),
    Read(i32),
    Write(i32),
    Wrong,
}

impl Subscription {
    /// Userdata 8 │ tag 1 │ – │ from 16 on: clock 4 │ – 4 │ timeout 8 │ precision 8 │ flags 2, or descriptor 4.
    /// The older edition has 8 more bytes before the clock.
    fn size(edition: Edition) -> u32 {
        match edition {
            Edition::Unstable => 56,
            Edition::Preview1 => 48,
        }
    }

    fn read(bytes: &[u8], state: &mut StoreState, edition: Edition) -> Result<Self> {
        const ABSOLUTE: u8 = 1;
        let clock = match edition {
            Edition::Unstable => 24,
            Edition::Preview1 => 16,
        };
        let descriptor = u32_at(bytes, 16).cast_signed();
        let event = match bytes[8] {
            0 => {
                let timeout = u64_at(bytes, clock + 8);
                match time_of(state, u32_at(bytes, clock).cast_signed())? {
                    None => Awaited::Wrong,
                    Some(now) if bytes[clock + 24] & ABSOLUTE != 0 => Awaited::Clock(
                        Duration::from_nanos(timeout.saturating_sub(now.cast_unsigned())),
                    ),
                    Some(_) => Awaited::Clock(Duration::from_nanos(timeout)),
                }
            }
            1 => Awaited::Read(descriptor),
            2 => Awaited::Write(descriptor),
            _ => Awaited::Wrong,
        };
        Ok(Self {
            userdata: u64_at(bytes, 0),
            event,
        })
    }

    /// What is to be told when `waited` has passed: error, type, bytes there, flags; `None` if it has not happened.
    fn outcome(&self, state: &StoreState, waited: Duration) -> Option<(i32, u8, u64, u16)> {
        const HANGUP: u16 = 1;
        let streams = &state.job.streams;
        match self.event {
            Awaited::Clock(span) => (span <= waited).then_some((errno::SUCCESS, 0, 0, 0)),
            Awaited::Read(fd) if fd == STDIN && streams.is_open(fd) => {
                let left = unread(state).1 as u64;
                Some((errno::SUCCESS, 1, left, if left == 0 { HANGUP } else { 0 }))
            }
            Awaited::Write(fd) if fd != STDIN && streams.is_open(fd) => {
                Some((errno::SUCCESS, 2, 1, 0))
            }
            // A file is always ready.
            Awaited::Read(fd) if state.job.has_file(fd) => Some((errno::SUCCESS, 1, 1, 0)),
            Awaited::Write(fd) if state.job.has_file(fd) => Some((errno::SUCCESS, 2, 1, 0)),
            Awaited::Read(_) => Some((errno::BADF, 1, 0, 0)),
            Awaited::Write(_) => Some((errno::BADF, 2, 0, 0)),
            Awaited::Wrong => Some((errno::INVAL, 0, 0, 0)),
        }
    }
}

/// Userdata 8 │ error 2 │ type 1 │ – 5 │ bytes there 8 │ flags 2 │ – 6
const EVENT: u32 = 32;

pub(super) fn poll_oneoff(
    mut guest: Guest<'_>,
    edition: Edition,
    list: u32,
    events: u32,
    count: u32,
    into: u32,
) -> Result<i32> {
    const CALL: &str = "poll_oneoff";
    needs_streams(guest.data_mut(), CALL)?;
    let (memory, state) = open(&mut guest)?;
    if count == 0 || count > MOST_AT_ONCE {
        return Ok(errno::INVAL);
    }
    let size = Subscription::size(edition);
    let list = check(memory, state, CALL, list, count.saturating_mul(size))?;
    let room = check(memory, state, CALL, events, count.saturating_mul(EVENT))?;
    let subscriptions = memory[list]
        .chunks_exact(size as usize)
        .map(|bytes| Subscription::read(bytes, state, edition))
        .collect::<Result<Vec<_>>>()?;
    let is_ready = |state: &StoreState, waited| {
        subscriptions
            .iter()
            .any(|subscription| subscription.outcome(state, waited).is_some())
    };
    let mut waited = Duration::ZERO;
    if !is_ready(state, waited) {
        // Only clocks are left; the first to go off ends the wait.
        let spans = subscriptions
            .iter()
            .filter_map(|subscription| match subscription.event {
                Awaited::Clock(span) => Some(span),
                Awaited::Read(_) | Awaited::Write(_) | Awaited::Wrong => None,
            });
        waited = spans.min().unwrap_or_default();
        if !state.job.skip(waited) {
            match state
                .interrupt
                .bell()
                .recv_timeout(waited.min(crate::job::LONGEST))
            {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                    return end(state, Outcome::Deadline);
                }
            }
        }
    }
    let mut told = 0u32;
    for subscription in &subscriptions {
        let Some((error, kind, bytes, flags)) = subscription.outcome(state, waited) else {
            continue;
        };
        let mut event = [0; EVENT as usize];
        event[..8].copy_from_slice(&subscription.userdata.to_le_bytes());
        event[8] = u8::try_from(error).unwrap_or(u8::MAX);
        event[10] = kind;
        event[16..24].copy_from_slice(&bytes.to_le_bytes());
        event[24..26].copy_from_slice(&flags.to_le_bytes());
        let at = room.start + (told * EVENT) as usize;
        memory[at..at + event.len()].copy_from_slice(&event);
        told += 1;
    }
    put(memory, state, CALL, into, &told.to_le_bytes())?;
    Ok(errno::SUCCESS)
}

impl JobState {
    /// Whether this is a file that is open.
    fn has_file(&self, fd: i32) -> bool {
        let there = self.files.as_ref().map(|files| files.look(fd));
        matches!(there, Some(Ok(descriptor)) if matches!(descriptor.what, What::File(_)))
    }
}

//! Streams: standard input and output, which are the job's, and those of files.

use wasmtime::Result;
use wasmtime::component::{
    ComponentType, Lift, LinkerInstance, Lower, Resource, ResourceType, WasmList,
};

use super::StoreState;
use super::codes::ErrorCode;
use super::component::{Host, taken};
use super::table::{Broken, Table};
use super::{Complaint, Input, Output, STDERR, STDIN, STDOUT, await_until, imports, wasi};
use crate::job::Outcome;

/// The most bytes that are read or written in one call.
const MOST_AT_ONCE: u64 = wasi::MOST_LINES as u64;

#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum StreamError {
    #[component(name = "last-operation-failed")]
    LastOperationFailed(Resource<Complaint>),
    #[component(name = "closed")]
    Closed,
}

type Streamed<T> = Result<(std::result::Result<T, StreamError>,)>;

impl From<Broken> for StreamError {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Closed => Self::Closed,
            Broken::Failed(error) => {
                Self::LastOperationFailed(Resource::new_own(ErrorCode::of(error).number()))
            }
        }
    }
}

pub(super) fn define(streams: &mut LinkerInstance<'_, StoreState>) -> Result<()> {
    inputs(streams)?;
    outputs(streams)
}

fn inputs(streams: &mut LinkerInstance<'_, StoreState>) -> Result<()> {
    streams.resource(
        "input-stream",
        ResourceType::host::<Input>(),
        |mut store, number| {
            Table::forget(store.data_mut(), number);
            Ok(())
        },
    )?;
    for name in ["read", "blocking-read"] {
        streams.func_wrap(
            &format!("[method]input-stream.{name}"),
            |mut store: Host<'_>, (from, most): (Resource<Input>, u64)| -> Streamed<Vec<u8>> {
                Ok((read(store.data_mut(), &from, most),))
            },
        )?;
    }
    for name in ["skip", "blocking-skip"] {
        streams.func_wrap(
            &format!("[method]input-stream.{name}"),
            |mut store: Host<'_>, (from, most): (Resource<Input>, u64)| -> Streamed<u64> {
                let state = store.data_mut();
                let skipped = match from.rep() {
                    STDIN => next(state, most)
                        .map(|(_, length)| length)
                        .ok_or(StreamError::Closed),
                    _ => read(state, &from, most).map(|bytes| bytes.len()),
                };
                Ok((skipped.map(|length| length as u64),))
            },
        )?;
    }
    streams.func_wrap(
        "[method]input-stream.subscribe",
        |mut store: Host<'_>, (_,): (Resource<Input>,)| await_until(&mut store, None),
    )
}

/// Reads up to so many bytes.
fn read(
    state: &mut StoreState,
    from: &Resource<Input>,
    most: u64,
) -> std::result::Result<Vec<u8>, StreamError> {
    if from.rep() != STDIN {
        let most = usize::try_from(most.min(MOST_AT_ONCE)).unwrap_or(usize::MAX);
        let (table, _) = Table::of(state).map_err(|_| StreamError::Closed)?;
        return Ok(table.read(from.rep(), most)?);
    }
    let (from, length) = next(state, most).ok_or(StreamError::Closed)?;
    let mut bytes = vec![0; length];
    state.job.job.payload().copy_to(from, &mut bytes);
    Ok(bytes)
}

/// Takes up to so many bytes of standard input: from where, and how many. `None` at its end.
fn next(state: &mut StoreState, most: u64) -> Option<(usize, usize)> {
    let (from, left) = wasi::unread(state);
    if left == 0 {
        return None;
    }
    let most = usize::try_from(most.min(MOST_AT_ONCE)).unwrap_or(usize::MAX);
    let length = left.min(most);
    state.job.streams.read += length;
    Some((from, length))
}

fn outputs(streams: &mut LinkerInstance<'_, StoreState>) -> Result<()> {
    streams.resource(
        "output-stream",
        ResourceType::host::<Output>(),
        |mut store, number| {
            Table::forget(store.data_mut(), number);
            Ok(())
        },
    )?;
    streams.func_wrap(
        "[method]output-stream.check-write",
        |mut store: Host<'_>, (to,): (Resource<Output>,)| -> Streamed<u64> {
            Ok((takes(store.data_mut(), &to).map(|()| MOST_AT_ONCE),))
        },
    )?;
    for name in ["write", "blocking-write-and-flush"] {
        streams.func_wrap(
            &format!("[method]output-stream.{name}"),
            |mut store: Host<'_>, (to, bytes): (Resource<Output>, WasmList<u8>)| -> Streamed<()> {
                permit(&mut store, bytes.len() as u64)?;
                let bytes = match to.rep() {
                    STDOUT => taken(&mut store, &bytes)?,
                    _ => bytes.as_le_slice(&store).to_vec(),
                };
                write(&mut store, &to, &bytes)
            },
        )?;
    }
    for name in ["write-zeroes", "blocking-write-zeroes-and-flush"] {
        streams.func_wrap(
            &format!("[method]output-stream.{name}"),
            |mut store: Host<'_>, (to, length): (Resource<Output>, u64)| -> Streamed<()> {
                let length = permit(&mut store, length)?;
                write(&mut store, &to, &vec![0; length])
            },
        )?;
    }
    for name in ["flush", "blocking-flush"] {
        streams.func_wrap(
            &format!("[method]output-stream.{name}"),
            // Nothing is kept back.
            |mut store: Host<'_>, (to,): (Resource<Output>,)| -> Streamed<()> {
                Ok((takes(store.data_mut(), &to),))
            },
        )?;
    }
    for name in ["splice", "blocking-splice"] {
        streams.func_wrap(
            &format!("[method]output-stream.{name}"),
            |mut store: Host<'_>,
             (to, from, most): (Resource<Output>, Resource<Input>, u64)|
             -> Streamed<u64> {
                let state = store.data_mut();
                let bytes = match takes(state, &to).and_then(|()| read(state, &from, most)) {
                    Ok(bytes) => bytes,
                    Err(error) => return Ok((Err(error),)),
                };
                let (written,) = write(&mut store, &to, &bytes)?;
                Ok((written.map(|()| bytes.len() as u64),))
            },
        )?;
    }
    streams.func_wrap(
        "[method]output-stream.subscribe",
        |mut store: Host<'_>, (_,): (Resource<Output>,)| await_until(&mut store, None),
    )
}

/// Whether so much may be written in one call: what is more than `check-write` said ends the guest, as the contract has it.
fn permit(store: &mut Host<'_>, length: u64) -> Result<usize> {
    match usize::try_from(length) {
        Ok(length) if length as u64 <= MOST_AT_ONCE => Ok(length),
        _ => imports::end(
            store.data_mut(),
            Outcome::InterfaceViolation(format!(
                "{length} bytes were written at once, where check-write permits {MOST_AT_ONCE}"
            )),
        ),
    }
}

/// Whether a stream is there to be written to.
fn takes(state: &mut StoreState, to: &Resource<Output>) -> std::result::Result<(), StreamError> {
    if matches!(to.rep(), STDOUT | STDERR) {
        return Ok(());
    }
    let (table, _) = Table::of(state).map_err(|_| StreamError::Closed)?;
    Ok(table.takes(to.rep())?)
}

fn write(store: &mut Host<'_>, to: &Resource<Output>, bytes: &[u8]) -> Streamed<()> {
    let state = store.data_mut();
    if !matches!(to.rep(), STDOUT | STDERR) {
        let written = Table::of(state)
            .map_err(|_| Broken::Closed)
            .and_then(|(table, _)| table.write(to.rep(), bytes));
        return Ok((written.map_err(StreamError::from),));
    }
    let is_output = to.rep() == STDOUT && state.world.entry.is_command();
    if is_output {
        imports::say(state, bytes)?;
    } else {
        state.job.say_lines(usize::from(to.rep() == STDOUT), bytes);
    }
    Ok((Ok(()),))
}

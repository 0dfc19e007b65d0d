//! The host functions of Extism, for plugins that are called by name.
//!
//! A plugin pulls its input and pushes its output by numbers of blocks in a [`Heap`] of the host's, which counts as
//! the guest's memory: what it takes is paid from the same purse. The heap is empty when a job begins; variables live
//! as long as the instance does, so with a fresh one for each job they are gone.
//!
//! Where Extism's own host answers a wrong number with zero, so does this one; where it gives up, the job ends as a
//! violation of the interface. What it fetches, the host's process fetches, from the hosts that were allowed (`fetch/`);
//! where that is refused or fails the job ends, as it does there.
//!
//! The contract: <https://extism.org/docs/concepts/pdk>, and the functions of its kernel and of its host.

use std::collections::BTreeMap;

use cofferdam_guest::abi;
use wasmtime::{Linker, Result, Store};

use super::heap::Heap;
use super::imports::{self, Guest, end};
use super::state::StoreState;
use crate::fetch::{Answer, Fetched, MOST_ANSWER, MOST_HEAD, Wanted};
use crate::guest::extism::{MODULE, OLDER_MODULE, OLDER_PREFIX};
use crate::job::{Outcome, TrapKind};
use crate::units::ByteSize;

/// What the host keeps for a plugin, as long as its instance lives.
#[derive(Debug, Default)]
pub(super) struct Plugin {
    heap: Heap,
    vars: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Where the output begins, and how long it is.
    output: (u64, u64),
    /// The block that says what went wrong; 0 if nothing did.
    error: u64,
    /// What the job fetched last: the body is a block of the heap.
    answer: Option<Answer>,
}

/// The most bytes of variables, names included, as Extism has it where nobody says otherwise.
const MOST_VARS: usize = 1 << 20;

/// The most bytes of a key: a longer one could not be kept, and is not that of a setting.
const MOST_KEY: usize = MOST_VARS + 1;

/// What a variable costs beside its bytes.
const VAR: usize = 48;

/// Offers every function, under both of its names.
pub(super) fn define(linker: &mut Linker<StoreState>) -> Result<()> {
    for (module, prefix) in [(MODULE, ""), (OLDER_MODULE, OLDER_PREFIX)] {
        let name = |name: &str| format!("{prefix}{name}");
        linker
            .func_wrap(module, &name("alloc"), alloc)?
            .func_wrap(module, &name("free"), |mut guest: Guest<'_>, at: u64| {
                plugin(&mut guest).heap.free(at);
            })?
            .func_wrap(module, &name("length"), length)?
            .func_wrap(module, &name("length_unsafe"), length)?
            .func_wrap(
                module,
                &name("memory_bytes"),
                |mut guest: Guest<'_>| -> u64 { plugin(&mut guest).heap.size() },
            )?
            .func_wrap(module, &name("reset"), |mut guest: Guest<'_>| {
                plugin(&mut guest).begin();
            })?
            .func_wrap(
                module,
                &name("load_u8"),
                |mut guest: Guest<'_>, at: u64| -> u32 { u32::from(load::<1>(&mut guest, at)[0]) },
            )?
            .func_wrap(
                module,
                &name("load_u64"),
                |mut guest: Guest<'_>, at: u64| -> u64 { u64::from_le_bytes(load(&mut guest, at)) },
            )?
            .func_wrap(
                module,
                &name("store_u8"),
                |mut guest: Guest<'_>, at: u64, value: u32| {
                    store(&mut guest, at, &value.to_le_bytes()[..1]);
                },
            )?
            .func_wrap(
                module,
                &name("store_u64"),
                |mut guest: Guest<'_>, at: u64, value: u64| {
                    store(&mut guest, at, &value.to_le_bytes());
                },
            )?
            .func_wrap(module, &name("input_length"), |guest: Guest<'_>| -> u64 {
                guest.data().job.job.payload().len() as u64
            })?
            .func_wrap(
                module,
                &name("input_load_u8"),
                |guest: Guest<'_>, at: u64| -> u32 { u32::from(input::<1>(&guest, at)[0]) },
            )?
            .func_wrap(
                module,
                &name("input_load_u64"),
                |guest: Guest<'_>, at: u64| -> u64 { u64::from_le_bytes(input(&guest, at)) },
            )?
            .func_wrap(
                module,
                &name("output_set"),
                |mut guest: Guest<'_>, at: u64, length: u64| {
                    plugin(&mut guest).output = (at, length);
                },
            )?
            .func_wrap(
                module,
                &name("error_set"),
                |mut guest: Guest<'_>, at: u64| {
                    plugin(&mut guest).error = at;
                },
            )?
            .func_wrap(module, &name("config_get"), config_get)?
            .func_wrap(module, &name("var_get"), var_get)?
            .func_wrap(module, &name("var_set"), var_set)?
            .func_wrap(module, &name("http_request"), http_request)?
            .func_wrap(
                module,
                &name("http_status_code"),
                |mut guest: Guest<'_>| -> i32 {
                    let answer = &plugin(&mut guest).answer;
                    answer.as_ref().map_or(0, |answer| answer.status.into())
                },
            )?
            .func_wrap(module, &name("http_headers"), http_headers)?
            // Every line is taken, within what a job may log; which of them are shown is the host's business.
            .func_wrap(module, &name("get_log_level"), || EVERYTHING)?;
        for (call, level) in [
            ("log_error", abi::Level::Error),
            ("log_warn", abi::Level::Warn),
            ("log_info", abi::Level::Info),
            ("log_debug", abi::Level::Debug),
            ("log_trace", abi::Level::Trace),
        ] {
            linker.func_wrap(
                module,
                &name(call),
                move |mut guest: Guest<'_>, line: u64| log(&mut guest, call, level, line),
            )?;
        }
    }
    Ok(())
}

/// The number of Extism's level "trace".
const EVERYTHING: i32 = 0;

impl Plugin {
    /// Forgets the job before: its memory, its output, its error and what it fetched.
    fn begin(&mut self) {
        self.heap.reset();
        self.output = (0, 0);
        self.error = 0;
        self.answer = None;
    }

    /// What was said to have gone wrong.
    fn error(&self) -> Option<&[u8]> {
        self.heap.block(self.error).filter(|text| !text.is_empty())
    }
}

/// Makes an instance ready for its next job.
pub(super) fn begin(store: &mut Store<StoreState>) {
    if let Some(plugin) = &mut store.data_mut().plugin {
        plugin.begin();
    }
}

/// What a job of such a plugin comes to: its output is said where it ends well.
///
/// # Errors
/// Where it says too much.
pub(super) fn conclude(store: &mut Store<StoreState>, code: i32) -> Result<i32> {
    let state = store.data_mut();
    note_error(state);
    if !state.job.reason.is_empty() {
        return Ok(if code == 0 { FAILED } else { code });
    }
    let Some(plugin) = state.plugin.take() else {
        return Ok(code);
    };
    let (at, length) = plugin.output;
    let said = match plugin.heap.bytes(at, length) {
        Some(bytes) if code == 0 => imports::say(state, bytes),
        _ => Ok(()),
    };
    state.plugin = Some(plugin);
    said.map(|()| code)
}

/// Takes what went wrong, in the plugin's own words, for the job's reason.
pub(super) fn note_error(state: &mut StoreState) {
    if let Some(text) = state.plugin.as_deref().and_then(Plugin::error) {
        let kept = text.len().min(abi::MAX_REASON);
        state.job.reason = String::from_utf8_lossy(&text[..kept]).into_owned();
    }
}

/// The code of a job whose plugin said what went wrong and returned 0 all the same.
const FAILED: i32 = 1;

fn plugin<'a>(guest: &'a mut Guest<'_>) -> &'a mut Plugin {
    guest.data_mut().plugin.get_or_insert_default()
}

fn length(mut guest: Guest<'_>, at: u64) -> u64 {
    plugin(&mut guest).heap.length(at)
}

fn alloc(mut guest: Guest<'_>, length: u64) -> Result<u64> {
    // As Extism has it: nothing is at 0.
    match length {
        0 => Ok(0),
        length => place(guest.data_mut(), length),
    }
}

/// A block of so many bytes. Past the guest's limit the job ends, as it does in Extism's own host: its kits do not look
/// whether they were given any.
fn place(state: &mut StoreState, length: u64) -> Result<u64> {
    let StoreState {
        plugin, limiter, ..
    } = state;
    let heap = &mut plugin.get_or_insert_default().heap;
    match heap.alloc(length, |more| limiter.take(more)) {
        Some(at) => Ok(at),
        None => end(state, Outcome::MemoryLimit),
    }
}

/// A new block with these bytes.
fn hand_over(state: &mut StoreState, bytes: &[u8]) -> Result<u64> {
    let length = bytes.len() as u64;
    let at = place(state, length)?;
    let heap = &mut state.plugin.get_or_insert_default().heap;
    if let Some(place) = heap.bytes_mut(at, length) {
        place.copy_from_slice(bytes);
    }
    Ok(at)
}

fn load<const N: usize>(guest: &mut Guest<'_>, at: u64) -> [u8; N] {
    let bytes = plugin(guest).heap.bytes(at, N as u64);
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .unwrap_or([0; N])
}

fn store(guest: &mut Guest<'_>, at: u64, bytes: &[u8]) {
    if let Some(place) = plugin(guest).heap.bytes_mut(at, bytes.len() as u64) {
        place.copy_from_slice(bytes);
    }
}

/// A few bytes of the input, or zeros where it has not all of them.
fn input<const N: usize>(guest: &Guest<'_>, at: u64) -> [u8; N] {
    let payload = guest.data().job.job.payload();
    let mut bytes = [0; N];
    if let Ok(at) = usize::try_from(at)
        && at.checked_add(N).is_some_and(|end| end <= payload.len())
    {
        payload.copy_to(at, &mut bytes);
    }
    bytes
}

/// Takes up to so many bytes of a block that is handed to the host: it is freed. What nobody looks at is not copied.
fn take(state: &mut StoreState, call: &str, at: u64, most: usize) -> Result<Vec<u8>> {
    let heap = &mut state.plugin.get_or_insert_default().heap;
    let block = heap
        .block(at)
        .map(|bytes| bytes[..bytes.len().min(most)].to_vec());
    let Some(bytes) = block else {
        return end(
            state,
            Outcome::InterfaceViolation(format!(
                "{call} was given {at:#x}, where no block of memory begins"
            )),
        );
    };
    heap.free(at);
    Ok(bytes)
}

fn config_get(mut guest: Guest<'_>, key: u64) -> Result<u64> {
    let state = guest.data_mut();
    let key = take(state, "config_get", key, MOST_KEY)?;
    let world = std::sync::Arc::clone(&state.world);
    let mut settings = world.config.iter();
    match settings.find(|(name, _)| name.as_bytes() == key) {
        Some((_, value)) => hand_over(state, value.as_bytes()),
        None => Ok(0),
    }
}

fn var_get(mut guest: Guest<'_>, key: u64) -> Result<u64> {
    let state = guest.data_mut();
    let key = take(state, "var_get", key, MOST_KEY)?;
    let vars = &state.plugin.get_or_insert_default().vars;
    match vars.get(&key).cloned() {
        Some(value) => hand_over(state, &value),
        None => Ok(0),
    }
}

fn var_set(mut guest: Guest<'_>, key: u64, value: u64) -> Result<()> {
    const CALL: &str = "var_set";
    let state = guest.data_mut();
    let key = take(state, CALL, key, MOST_KEY)?;
    if value == 0 {
        state.plugin.get_or_insert_default().vars.remove(&key);
        return Ok(());
    }
    let value = take(state, CALL, value, MOST_VARS + 1)?;
    let vars = &mut state.plugin.get_or_insert_default().vars;
    let cost = |key: &[u8], value: &[u8]| key.len() + value.len() + VAR;
    let kept = vars.iter().filter(|(name, _)| **name != key);
    let kept: usize = kept.map(|(key, value)| cost(key, value)).sum();
    if kept + cost(&key, &value) > MOST_VARS {
        return end(
            state,
            Outcome::InterfaceViolation(format!(
                "var_set would keep more than {} KiB of variables",
                MOST_VARS >> 10
            )),
        );
    }
    vars.insert(key, value);
    Ok(())
}

fn http_request(mut guest: Guest<'_>, request: u64, body: u64) -> Result<u64> {
    const CALL: &str = "http_request";
    let state = guest.data_mut();
    let head = take(state, CALL, request, MOST_HEAD + 1)?;
    if head.len() > MOST_HEAD {
        return end(
            state,
            Outcome::InterfaceViolation(format!(
                "{CALL} was given a request whose address, method and headers have more than {} KiB",
                MOST_HEAD >> 10
            )),
        );
    }
    // One byte more than it may say is enough to end it.
    let most = state.job.allowance.saturating_add(1);
    let body = match body {
        0 => Vec::new(),
        body => take(state, CALL, body, most)?,
    };
    // What goes out is said, whoever it is said to.
    let length = head.len().saturating_add(body.len());
    imports::spend(state, length)?;
    let plugin = state.plugin.get_or_insert_default();
    plugin.answer = None;
    // What of its memory is free can be used again.
    let most = (state.limiter.left() as u64).saturating_add(plugin.heap.size());
    let wanted = Wanted { head, body, most };
    let mail = state.job.job.mail();
    match mail.fetch(wanted, &state.world.hosts, &state.interrupt) {
        Fetched::Answer(answer) => hand_answer(state, answer),
        Fetched::Refused(why) => end(state, Outcome::InterfaceViolation(why)),
        Fetched::Failed(reason) => end(state, gave_up(reason)),
        Fetched::TooLarge if most < MOST_ANSWER => end(state, Outcome::MemoryLimit),
        Fetched::TooLarge => {
            let most = ByteSize::from_bytes(MOST_ANSWER);
            let reason = format!("{CALL} got an answer of more than {most}");
            end(state, gave_up(reason))
        }
        Fetched::Interrupted => end(state, Outcome::Deadline),
    }
}

/// Where Extism's host functions give up, the plugin traps.
fn gave_up(reason: String) -> Outcome {
    Outcome::Trapped {
        kind: TrapKind::Other,
        reason,
    }
}

fn hand_answer(state: &mut StoreState, answer: Answer) -> Result<u64> {
    // As Extism has it: nothing is at 0.
    let at = match answer.body.as_slice() {
        [] => 0,
        body => hand_over(state, body)?,
    };
    let plugin = state.plugin.get_or_insert_default();
    plugin.answer = Some(Answer {
        body: Vec::new(),
        ..answer
    });
    Ok(at)
}

fn http_headers(mut guest: Guest<'_>) -> Result<u64> {
    let state = guest.data_mut();
    let plugin = state.plugin.get_or_insert_default();
    match plugin.answer.take() {
        Some(answer) => {
            let at = hand_over(state, answer.headers.as_bytes())?;
            state.plugin.get_or_insert_default().answer = Some(answer);
            Ok(at)
        }
        None => Ok(0),
    }
}

fn log(guest: &mut Guest<'_>, call: &str, level: abi::Level, line: u64) -> Result<()> {
    let state = guest.data_mut();
    let line = take(state, call, line, abi::MAX_LOG_LINE)?;
    state.job.log(level, &line);
    Ok(())
}

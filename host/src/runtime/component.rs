//! Guests that are components: how one is linked, and how a job goes through it.
//!
//! The canonical ABI moves the bytes, so that nothing here sees a pointer. What it moves from a guest to the host is
//! allocated by the host, and what it keeps for a guest, handles above all, lies with the host as well: both are
//! bounded for each store ([`bound`]).

use cofferdam_guest::abi;
use wasmtime::component::types::{ComponentFunc, ComponentItem, Type};
use wasmtime::component::{
    Component, ComponentType, InstancePre, Lift, Linker, LinkerInstance, Lower, Resource,
    ResourceType, TypedFunc, Val, WasmList, WasmStr,
};
use wasmtime::{Engine, Error, Result, Store, StoreContextMut};

use super::state::StoreState;
use super::{imports, opened, wasi2};
use crate::guest::Entry;
use crate::guest::component::{HANDLE, HOST, is_refused, is_run};
use crate::job::{Limits, Outcome};
use crate::mail::{Received, Wait};

pub(super) type Host<'a> = StoreContextMut<'a, StoreState>;

/// The most handles to resources that an instance may hold at a time. wasmtime keeps some bytes for each, and guest
/// code makes them without a host function that could count.
const MOST_HANDLES: usize = 10_000;

/// What may be moved from the guest in one call beside its output: a reason, names, and the lists of what it waits for.
const BESIDE_OUTPUT: usize = 64 << 10;

/// A component with all its imports.
pub(super) struct Linked {
    instance: InstancePre<StoreState>,
    /// The name of the entry of a command, with its version.
    run: Option<String>,
}

/// What is called for a job, found in an instance once.
pub(super) enum Door {
    Run(TypedFunc<(), (Result<(), ()>,)>),
    Worker(TypedFunc<(Vec<u8>,), (Handled,)>),
}

/// What comes of a worker's job.
type Handled = Result<Vec<u8>, Refusal>;

/// Why a worker refuses its job.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct Refusal {
    code: i32,
    reason: String,
}

impl Linked {
    /// Gives a component what it imports.
    ///
    /// # Errors
    /// What it wants otherwise than it is offered, or exports otherwise than it is to be.
    pub(super) fn new(engine: &Engine, component: &Component, entry: &Entry) -> Result<Self> {
        let mut linker = Linker::new(engine);
        wasi2::define(&mut linker)?;
        define_host(&mut linker)?;
        refuse_the_rest(&mut linker, engine, component)?;
        let ty = component.component_type();
        let run = ty
            .exports(engine)
            .map(|(name, _)| name)
            .find(|name| is_run(name));
        if *entry == Entry::Worker {
            let wants = || {
                Error::msg(
                    "its `handle` is not func(input: list<u8>) -> result<list<u8>, refusal> (guest/wit/worker.wit)",
                )
            };
            let Some((ComponentItem::ComponentFunc(handle), _)) =
                component.get_export(None, HANDLE)
            else {
                return Err(wants());
            };
            handle
                .typecheck::<(Vec<u8>,), (Handled,)>(&ty.instance_type())
                .map_err(|_| wants())?;
        }
        Ok(Self {
            run: run.map(str::to_owned),
            instance: linker.instantiate_pre(component)?,
        })
    }

    /// Makes an instance.
    ///
    /// # Errors
    /// How making it ended, where it did not end well.
    pub(super) fn open(&self, store: &mut Store<StoreState>, limits: &Limits) -> Result<Door> {
        bound(store, limits);
        let instance = self.instance.instantiate(&mut *store)?;
        let missing = || Error::msg("its entry is not there");
        match &self.run {
            Some(run) if store.data().world.entry == Entry::Run => {
                let interface = instance
                    .get_export_index(&mut *store, None, run)
                    .ok_or_else(missing)?;
                let run = instance
                    .get_export_index(&mut *store, Some(&interface), "run")
                    .ok_or_else(missing)?;
                Ok(Door::Run(instance.get_typed_func(&mut *store, run)?))
            }
            _ => Ok(Door::Worker(instance.get_typed_func(&mut *store, HANDLE)?)),
        }
    }
}

/// Bounds what the host keeps for a guest, and what it takes from it in one call. What is written to a file does not
/// count towards the output, so that no small limit on that may stand in its way.
fn bound(store: &mut Store<StoreState>, limits: &Limits) {
    store.set_max_component_handles(MOST_HANDLES);
    let most = match &store.data().grants {
        None => limits.output.as_len(),
        Some(_) => limits.output.as_len().max(opened::MOST_BYTES),
    };
    store.set_hostcall_fuel(most.saturating_add(BESIDE_OUTPUT));
}

impl Door {
    /// Runs the job that the store has: 0, or the code with which the guest refuses.
    ///
    /// # Errors
    /// How the guest ended, where it did not return.
    pub(super) fn enter(&self, store: &mut Store<StoreState>) -> Result<i32> {
        match self {
            Self::Run(run) => match run.call(&mut *store, ())? {
                (Ok(()),) => Ok(0),
                // A command that says no more than that it failed.
                (Err(()),) => imports::end(store.data_mut(), Outcome::Exited(1)),
            },
            Self::Worker(handle) => {
                let payload = store.data().job.job.payload();
                let mut input = vec![0; payload.len()];
                payload.copy_to(0, &mut input);
                let (answer,) = match handle.call(&mut *store, (input,)) {
                    Ok(answer) => answer,
                    Err(error) if is_too_much(&error) => {
                        return imports::end(store.data_mut(), Outcome::OutputLimit);
                    }
                    Err(error) => return Err(error),
                };
                match answer {
                    Ok(output) => imports::say(store.data_mut(), &output).map(|()| 0),
                    Err(Refusal { code: 0, .. }) => imports::end(
                        store.data_mut(),
                        Outcome::InterfaceViolation(
                            "it refused with code 0, which stands for success".to_owned(),
                        ),
                    ),
                    Err(Refusal { code, reason }) => {
                        store.data_mut().job.reason = cut(reason, abi::MAX_REASON);
                        Ok(code)
                    }
                }
            }
        }
    }
}

/// Whether a guest wanted to hand over more than it may. wasmtime has a type for that, which nobody outside of it can
/// name.
fn is_too_much(error: &Error) -> bool {
    error
        .chain()
        .any(|cause| cause.to_string().contains("fuel allocated for hostcalls"))
}

/// A text of no more than so many bytes.
fn cut(mut text: String, most: usize) -> String {
    text.truncate(text.floor_char_boundary(most));
    text
}

#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "values come from guests")]
enum Level {
    #[component(name = "error")]
    Error,
    #[component(name = "warn")]
    Warn,
    #[component(name = "info")]
    Info,
    #[component(name = "debug")]
    Debug,
    #[component(name = "trace")]
    Trace,
}

impl From<Level> for abi::Level {
    fn from(level: Level) -> Self {
        match level {
            Level::Error => Self::Error,
            Level::Warn => Self::Warn,
            Level::Info => Self::Info,
            Level::Debug => Self::Debug,
            Level::Trace => Self::Trace,
        }
    }
}

#[derive(ComponentType, Lower)]
#[component(variant)]
enum Heard {
    #[component(name = "message")]
    Message(Vec<u8>),
    #[component(name = "nothing")]
    Nothing,
    #[component(name = "closed")]
    Closed,
}

/// Offers the interface `host` of `guest/wit/worker.wit`.
fn define_host(linker: &mut Linker<StoreState>) -> Result<()> {
    let mut host = linker.instance(HOST)?;
    host.func_wrap(
        "post",
        |mut store: Host<'_>, (message,): (WasmList<u8>,)| {
            let message = taken(&mut store, &message)?;
            let state = store.data_mut();
            imports::spend(state, message.len())?;
            match state.job.job.mail().post(&message) {
                true => Ok(()),
                false => Err(Error::msg("the host is gone")),
            }
        },
    )?;
    host.func_wrap(
        "recv",
        |mut store: Host<'_>, (timeout_ms,): (Option<u32>,)| {
            let wait = match timeout_ms {
                None => Wait::Forever,
                Some(0) => Wait::Poll,
                Some(span) => Wait::For(std::time::Duration::from_millis(span.into())),
            };
            let state = store.data_mut();
            match state.job.hear(wait, state.interrupt.bell())? {
                Received::Message(message) => Ok((Heard::Message(message),)),
                Received::TimedOut => Ok((Heard::Nothing,)),
                Received::Closed => Ok((Heard::Closed,)),
                Received::Interrupted => imports::end(state, Outcome::Deadline),
            }
        },
    )?;
    host.func_wrap(
        "log",
        |mut store: Host<'_>, (level, line): (Level, WasmStr)| {
            let line = line.to_str(&store)?;
            let line = line.as_ref()[..line.floor_char_boundary(abi::MAX_LOG_LINE)].to_owned();
            store.data_mut().job.log(level.into(), line.as_bytes());
            Ok(())
        },
    )?;
    host.func_wrap("random", |mut store: Host<'_>, (length,): (u32,)| {
        wasi2::random(&mut store, length.into())
    })?;
    host.func_wrap("clock", |mut store: Host<'_>, (): ()| {
        Ok((store.data_mut().job.clock()?.cast_unsigned(),))
    })
}

/// The bytes of a list that is no longer than what the job may still say.
pub(super) fn taken(store: &mut Host<'_>, bytes: &WasmList<u8>) -> Result<Vec<u8>> {
    if bytes.len() > store.data().job.allowance {
        return imports::end(store.data_mut(), Outcome::OutputLimit);
    }
    Ok(bytes.as_le_slice(&*store).to_vec())
}

/// What is not granted to anybody, and so is never there.
pub(super) enum Denied {}

/// The resources of WASI preview 2 that no guest is given.
const DENIED: [(&str, &[&str]); 4] = [
    ("wasi:sockets/network", &["network"]),
    ("wasi:sockets/tcp", &["tcp-socket"]),
    (
        "wasi:sockets/udp",
        &[
            "udp-socket",
            "incoming-datagram-stream",
            "outgoing-datagram-stream",
        ],
    ),
    ("wasi:sockets/ip-name-lookup", &["resolve-address-stream"]),
];

/// Answers each function of sockets that this component imports with a refusal, in the words of its type.
fn refuse_the_rest(
    linker: &mut Linker<StoreState>,
    engine: &Engine,
    component: &Component,
) -> Result<()> {
    for (import, item) in component.component_type().imports(engine) {
        let interface = import.split('@').next().unwrap_or(import);
        let ComponentItem::ComponentInstance(instance) = item.ty else {
            continue;
        };
        if !is_refused(interface) {
            continue;
        }
        let mut offered = linker.instance(import)?;
        let resources = DENIED.iter().filter(|(of, _)| *of == interface);
        for resource in resources.flat_map(|(_, resources)| *resources) {
            offered.resource(resource, ResourceType::host::<Denied>(), |_, _| Ok(()))?;
        }
        for (name, item) in instance.exports(engine) {
            if let ComponentItem::ComponentFunc(function) = item.ty {
                refuse(&mut offered, import, name, &function)?;
            }
        }
    }
    Ok(())
}

/// The name of the only network: that none can be reached is said by what is asked of it.
const NETWORK: u32 = 0;

fn refuse(
    offered: &mut LinkerInstance<'_, StoreState>,
    interface: &str,
    name: &str,
    function: &ComponentFunc,
) -> Result<()> {
    if name == "instance-network" {
        return offered.func_wrap(name, |_: Host<'_>, (): ()| {
            Ok((Resource::<Denied>::new_own(NETWORK),))
        });
    }
    let mut results = function.results();
    let answer = results.next().as_ref().and_then(refusal);
    drop(results);
    let called = format!("{interface}#{name}");
    offered.func_new(name, move |_, _, _, results| {
        match (results, &answer) {
            ([result], Some(answer)) => *result = answer.clone(),
            _ => {
                return Err(Error::msg(format!(
                    "{called} was called, and nothing was granted that it could be called with"
                )));
            }
        }
        Ok(())
    })
}

/// What says of a type that there is nothing, or that it may not be had.
fn refusal(ty: &Type) -> Option<Val> {
    match ty {
        Type::List(_) => Some(Val::List(Vec::new())),
        Type::Option(_) => Some(Val::Option(None)),
        Type::Result(result) => {
            let Some(Type::Enum(codes)) = result.err() else {
                return None;
            };
            let code = codes
                .names()
                .find(|name| matches!(*name, "access" | "access-denied"))?;
            Some(Val::Result(Err(Some(Box::new(Val::Enum(code.to_owned()))))))
        }
        _ => None,
    }
}

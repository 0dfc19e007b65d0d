//! A guest that is loaded and linked, ready to be instantiated any number of times.

use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use wasmtime::component::Component;
use wasmtime::{Engine, InstancePre, Linker, Module};

use super::allocation::Moment;
use super::config::fingerprint;
use super::state::StoreState;
use super::{
    Artifact, Drill, Interrupt, RuntimeError, World, chain, component, extism, imports, wasi,
};
use crate::folder::{FolderAccess, Grants};
use crate::guest::Entry;
use crate::job::Limits;
use crate::region::Shared;
use crate::sys::limits::{address_space, outlive_too_large_files};

/// Loaded once per process; its workers share it.
pub(crate) struct Program {
    pub(super) engine: Engine,
    pub(super) linked: Linked,
    pub(super) limits: Limits,
    pub(super) settings: super::Settings,
    pub(super) drill: Option<Drill>,
    pub(super) world: Arc<World>,
    /// When its instances are made.
    pub(super) moment: Moment,
    pub(super) region: Option<Arc<Shared>>,
    pub(super) grants: Option<Grants>,
    /// Whether one of its memories alone begins with more than an instance may have.
    pub(super) begins_too_large: bool,
}

/// A guest with all its imports.
pub(super) enum Linked {
    Module(InstancePre<StoreState>),
    Component(component::Linked),
}

/// Bytes of a page of wasm.
const PAGE: u64 = 64 << 10;

impl Program {
    /// Maps the artifact's code and links it.
    ///
    /// # Errors
    /// [`RuntimeError::Fingerprint`] if it was compiled for an engine that is not this one.
    pub(crate) fn load(
        artifact: &Artifact,
        limits: Limits,
        world: World,
    ) -> Result<Self, RuntimeError> {
        let settings = artifact.settings();
        let engine = settings.runner()?;
        let ours = fingerprint(&engine);
        if ours != artifact.fingerprint() {
            let theirs = artifact.fingerprint().to_owned();
            return Err(RuntimeError::Fingerprint { ours, theirs });
        }
        let load = |error: wasmtime::Error| RuntimeError::Load(chain(&error));
        let (linked, begins_too_large) = match settings.demand.is_component() {
            true => {
                let component = map_component(&engine, artifact).map_err(load)?;
                let linked = component::Linked::new(&engine, &component, &world.entry);
                // Without a pool, the limiter is asked first.
                (Linked::Component(linked.map_err(load)?), false)
            }
            false => Self::link(&engine, artifact, &limits, &world)?,
        };
        let is_pooled = engine.pooling_allocator_metrics().is_some();
        Ok(Self {
            moment: settings.demand.moment(is_pooled, address_space()),
            engine,
            linked,
            limits,
            settings,
            drill: None,
            world: Arc::new(world),
            region: None,
            grants: None,
            begins_too_large,
        })
    }

    fn link(
        engine: &Engine,
        artifact: &Artifact,
        limits: &Limits,
        world: &World,
    ) -> Result<(Linked, bool), RuntimeError> {
        let load = |error: wasmtime::Error| RuntimeError::Load(chain(&error));
        let module = map(engine, artifact).map_err(load)?;
        let mut linker = Linker::new(engine);
        match &world.entry {
            Entry::Run | Entry::Worker => Err(wasmtime::Error::msg("it is a core module")),
            Entry::Extism { .. } => {
                extism::define(&mut linker).and_then(|()| wasi::define(&mut linker, &module))
            }
            Entry::Handle => imports::define(&mut linker),
            Entry::Start | Entry::Function { .. } | Entry::Packed(_) => {
                wasi::define(&mut linker, &module)
            }
        }
        .map_err(load)?;
        let instance = linker.instantiate_pre(&module).map_err(load)?;
        // A pool of instances maps the memory before it asks the limiter, and the system's own bound on a
        // process may stand in the way of that: then nobody would know what was wrong.
        let largest = module.resources_required().max_initial_memory_size;
        let begins_too_large =
            largest.is_some_and(|pages| pages.saturating_mul(PAGE) > limits.memory.bytes());
        Ok((Linked::Module(instance), begins_too_large))
    }

    /// The same program with a host function that does wrong.
    pub(crate) fn with_drill(self, drill: Option<Drill>) -> Self {
        Self { drill, ..self }
    }

    /// The same program with memory that it shares with others.
    pub(crate) fn with_region(self, region: Option<Arc<Shared>>) -> Self {
        Self { region, ..self }
    }

    /// The same program with folders that it may use.
    ///
    /// # Errors
    /// [`RuntimeError::Engine`] where the system refuses a handler of signals.
    pub(crate) fn with_folders(self, grants: &Grants) -> Result<Self, RuntimeError> {
        if grants.widest() == Some(FolderAccess::ReadWrite) {
            outlive_too_large_files().map_err(|error| RuntimeError::Engine(error.to_string()))?;
        }
        let grants = (!grants.as_slice().is_empty()).then(|| grants.clone());
        Ok(Self { grants, ..self })
    }

    /// A flag by which a session of this program can be stopped.
    pub(crate) fn interrupt(&self) -> Interrupt {
        Interrupt::new(&self.engine)
    }
}

/// Here, and for components below, compiled code becomes executable; nowhere else.
#[expect(
    unsafe_code,
    reason = "wasmtime cannot check native code; the argument is made here, once"
)]
fn map(engine: &Engine, artifact: &Artifact) -> wasmtime::Result<Module> {
    let image = artifact.image().try_clone()?;
    // SAFETY: the image was made by `precompile_module` of an engine with the same fingerprint
    // (compared by the caller), in this process or in the parent that spawned it, which this process
    // has to trust anyway. It lies in a memfd whose seals forbid every later change. Where it came
    // from the cache, it was written by the same user and its digest was checked on these very bytes.
    unsafe { Module::deserialize_open_file(engine, image) }
}

/// The same for a component. wasmtime maps one by its path only; where there is no `/proc`, its bytes are copied.
#[expect(
    unsafe_code,
    reason = "wasmtime cannot check native code; the argument is made at `map`"
)]
fn map_component(engine: &Engine, artifact: &Artifact) -> wasmtime::Result<Component> {
    let image = artifact.image();
    let path = format!("/proc/self/fd/{}", image.as_raw_fd());
    // SAFETY: as at `map`; the path is that of the sealed memfd itself.
    if let Ok(component) = unsafe { Component::deserialize_file(engine, path) } {
        return Ok(component);
    }
    let length = usize::try_from(image.metadata()?.len())?;
    let mut code = vec![0; length];
    image.read_exact_at(&mut code, 0)?;
    // SAFETY: as at `map`; these are the bytes of the sealed memfd.
    unsafe { Component::deserialize(engine, code) }
}

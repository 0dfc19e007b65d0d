//! How guests are compiled and run: one function for both sides.

use std::hash::{DefaultHasher, Hash, Hasher};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wasmtime::{Config, Engine};

use super::allocation::{Allocation, Demand};
use super::{RuntimeError, chain};
use crate::job::Limits;
use crate::options::Isolation;
use crate::sys::limits::address_space;

/// What guest code carries so that it can be stopped from within its own thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Metering {
    /// A check at each loop and call: a thread has no other way to be stopped.
    Interruptible,
    /// No checks. The guest can only be stopped together with its process.
    Unmetered,
}

impl Metering {
    /// What workers of this isolation need so that a runaway guest can be stopped.
    pub(crate) fn usual(isolation: Isolation) -> Self {
        match isolation {
            Isolation::Thread => Self::Interruptible,
            Isolation::Process => Self::Unmetered,
        }
    }
}

/// Everything that decides how a guest is compiled and what its engine allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// Whether guest code can be interrupted.
    pub(crate) metering: Metering,
    /// Whether guest code counts fuel.
    pub(crate) fuel: bool,
    /// Bytes of stack for guest code.
    pub(crate) stack: usize,
    /// What instances will need. It decides how they get their memory, and of their code only whether it may be a
    /// component, and whether it has a garbage collector.
    pub(crate) demand: Demand,
}

impl Settings {
    /// The settings for these limits.
    #[must_use]
    pub(crate) fn new(limits: &Limits, metering: Metering, demand: Demand) -> Self {
        Self {
            metering,
            fuel: limits.fuel.is_some(),
            stack: limits.stack.as_len(),
            demand,
        }
    }

    /// The same with a garbage collector; `None` if there is one.
    pub(super) fn with_collector(self) -> Option<Self> {
        let demand = self.demand.with_collector()?;
        Some(Self { demand, ..self })
    }

    fn config(self) -> Config {
        let mut config = Config::new();
        let managed = self.demand.is_managed();
        config
            .epoch_interruption(self.metering == Metering::Interruptible)
            .consume_fuel(self.fuel)
            .max_wasm_stack(self.stack)
            // Interface 1 has 32-bit pointers; what a guest cannot use, it cannot attack.
            .wasm_memory64(false)
            // An engine for modules takes no component, and neither fingerprint is the other's.
            .wasm_component_model(self.demand.is_component())
            // An engine for guests that need no collector has none, and refuses those that do.
            .gc_support(managed)
            .wasm_function_references(managed)
            .wasm_gc(managed)
            .wasm_exceptions(managed)
            // The same bits on every machine, so that both isolations agree byte for byte.
            .relaxed_simd_deterministic(true)
            // Nobody here walks native stacks through guest code.
            .native_unwind_info(false)
            .generate_address_map(false);
        config
    }

    /// An engine that compiles.
    pub(super) fn compiler(self) -> Result<Engine, RuntimeError> {
        Engine::new(&self.config()).map_err(|error| RuntimeError::Engine(chain(&error)))
    }

    /// An engine that runs what [`Settings::compiler`] compiled.
    pub(super) fn runner(self) -> Result<Engine, RuntimeError> {
        let Allocation::Pool(places) = Allocation::choose(self.demand, address_space()) else {
            return self.compiler();
        };
        let mut config = self.config();
        config.allocation_strategy(places.config());
        // The system may refuse so many addresses for a reason of its own; guests run without.
        Engine::new(&config).or_else(|_| self.compiler())
    }
}

/// Names everything that must agree before one process may load what another compiled: the
/// engine's version, the target, its flags, and our settings.
pub(super) fn fingerprint(engine: &Engine) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    env!("CARGO_PKG_VERSION").hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// What an engine of these settings calls itself.
pub(crate) fn fingerprint_of(settings: Settings) -> Result<String, RuntimeError> {
    Ok(fingerprint(&settings.compiler()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::Guest;

    fn settings(metering: Metering, fuel: bool) -> Settings {
        let guest = Guest::embedded("echo").unwrap();
        Settings {
            metering,
            fuel,
            stack: 1 << 19,
            demand: Demand::of(&guest, Isolation::Process, 1),
        }
    }

    fn print(metering: Metering, fuel: bool) -> String {
        fingerprint(&settings(metering, fuel).compiler().unwrap())
    }

    #[test]
    fn who_runs_and_who_compiles_agree_about_the_code() {
        let settings = settings(Metering::Unmetered, false);
        let runner = settings.runner().unwrap();
        assert!(runner.pooling_allocator_metrics().is_some());
        let compiler = settings.compiler().unwrap();
        assert!(compiler.pooling_allocator_metrics().is_none());
        assert_eq!(fingerprint(&runner), fingerprint(&compiler));
    }

    #[test]
    fn equal_settings_have_equal_fingerprints() {
        assert_eq!(
            print(Metering::Unmetered, false),
            print(Metering::Unmetered, false)
        );
    }

    #[test]
    fn what_changes_the_compiled_code_changes_the_fingerprint() {
        let prints = [
            print(Metering::Unmetered, false),
            print(Metering::Interruptible, false),
            print(Metering::Unmetered, true),
            print(Metering::Interruptible, true),
        ];
        let distinct: std::collections::HashSet<_> = prints.iter().collect();
        assert_eq!(distinct.len(), prints.len());
    }
}

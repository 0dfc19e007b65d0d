//! How guests are compiled and run: one function for both sides.

use std::hash::{DefaultHasher, Hash, Hasher};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use wasmtime::{Config, Engine};

use super::{RuntimeError, chain};
use crate::job::Limits;
use crate::options::Isolation;

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
}

impl Settings {
    /// The settings for these limits.
    #[must_use]
    pub(crate) fn new(limits: &Limits, metering: Metering) -> Self {
        Self {
            metering,
            fuel: limits.fuel.is_some(),
            stack: limits.stack.as_len(),
        }
    }

    fn config(self) -> Config {
        let mut config = Config::new();
        config
            .epoch_interruption(self.metering == Metering::Interruptible)
            .consume_fuel(self.fuel)
            .max_wasm_stack(self.stack)
            // Interface 1 has 32-bit pointers; what a guest cannot use, it cannot attack.
            .wasm_memory64(false)
            // The same bits on every machine, so that both isolations agree byte for byte.
            .relaxed_simd_deterministic(true)
            // Nobody here walks native stacks through guest code.
            .native_unwind_info(false)
            .generate_address_map(false);
        config
    }

    pub(super) fn engine(self) -> Result<Engine, RuntimeError> {
        Engine::new(&self.config()).map_err(|error| RuntimeError::Engine(chain(&error)))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn print(metering: Metering, fuel: bool) -> String {
        fingerprint(
            &Settings {
                metering,
                fuel,
                stack: 1 << 19,
            }
            .engine()
            .unwrap(),
        )
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

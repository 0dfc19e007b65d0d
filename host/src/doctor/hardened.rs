//! What of the hardening holds here: a worker process is started, and says it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::guest::Guest;
use crate::harden::{Enforcement, Layer, Standing};
use crate::job::Job;
use crate::options::Isolation;
use crate::pool::Pool;
use crate::runtime::Cache;

/// How one layer stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HardenedLayer {
    /// Which layer.
    pub layer: Layer,
    /// Whether it held.
    pub standing: Standing,
    /// Why it did not, or not in full; `null` if it did.
    pub reason: Option<String>,
}

/// Starts a worker as `run` does, and asks.
pub(super) fn layers() -> Vec<HardenedLayer> {
    let held = Guest::embedded("echo").ok().and_then(|echo| {
        let builder = Pool::builder(echo).isolation(Isolation::Process);
        let pool = builder.cache(Cache::off()).build().ok()?;
        pool.call(Job::new("")).ok()?;
        pool.enforcement()
    });
    held.as_ref().map(told).unwrap_or_default()
}

fn told(held: &Enforcement) -> Vec<HardenedLayer> {
    let layer = |layer| {
        let reason = held.reason(layer);
        HardenedLayer {
            layer,
            standing: held.standing(layer),
            reason: (!reason.is_empty()).then_some(reason),
        }
    };
    Layer::ALL.map(layer).into()
}

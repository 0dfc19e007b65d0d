//! What is this machine good for? How noisy it is, what it has to wall off workers with, and what to
//! do about the noise.
//!
//! ```no_run
//! let report = cofferdam::doctor::examine(|what| eprintln!("{what} …"));
//! for trouble in &report.troubles {
//!     println!("{trouble} To do: {}", trouble.remedy());
//! }
//! ```

mod advice;
mod features;
mod hardened;
mod noise;
mod text;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::machine::Machine;

pub use advice::{Trouble, troubles};
pub use features::{Feature, FeatureState, features};
pub use hardened::HardenedLayer;
pub use noise::{Clock, Noise, Spread, WakeUp};
pub use text::render;

/// Everything that was found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// The machine, as it was before anything was measured.
    pub machine: Machine,
    /// How noisy it is.
    pub noise: Noise,
    /// What it has to wall off workers with, in a fixed order.
    pub features: Vec<Feature>,
    /// What of the hardening holds in a worker process that was started to see it; empty if none could be.
    pub layers: Vec<HardenedLayer>,
    /// What is wrong with it for measuring, the outer causes first.
    pub troubles: Vec<Trouble>,
}

/// Examines this machine, for about two seconds in which it uses all CPUs. `progress` is told what
/// comes next.
pub fn examine(mut progress: impl FnMut(&str)) -> Report {
    // First of all: the load is to be that of others.
    let machine = Machine::here();
    progress("isolation features");
    let features = features();
    progress("a hardened worker");
    let layers = hardened::layers();
    let noise = noise::measure(progress);
    let troubles = troubles(&machine, &noise);
    Report {
        machine,
        noise,
        features,
        layers,
        troubles,
    }
}

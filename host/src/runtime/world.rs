//! What a guest finds around it: how it is entered, and what it is told beside its input.

use serde::{Deserialize, Serialize};

use crate::guest::{Entry, Guest};
use crate::hosts::Hosts;

/// The same for all jobs of a pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct World {
    /// What is called for a job.
    pub(crate) entry: Entry,
    /// A command's arguments, its own name first.
    pub(crate) args: Vec<String>,
    /// A command's environment.
    pub(crate) env: Vec<(String, String)>,
    /// A plugin's settings.
    pub(crate) config: Vec<(String, String)>,
    /// What a plugin may fetch from. A worker process is not told: its host fetches, and knows.
    #[serde(skip)]
    pub(crate) hosts: Hosts,
}

impl World {
    /// The most bytes of arguments, environment and settings together: they are handed to each worker in the one frame
    /// that sets it up.
    pub(crate) const MOST: usize = 32 << 10;

    /// That of a guest that is told nothing but its own name.
    pub(crate) fn of(guest: &Guest) -> Self {
        Self {
            entry: guest.entry().clone(),
            args: vec![guest.name().replace('\0', "")],
            env: Vec::new(),
            config: Vec::new(),
            hosts: Hosts::default(),
        }
    }

    /// Bytes of it in that frame.
    pub(crate) fn told(&self) -> usize {
        serde_json::to_vec(self).map_or(usize::MAX, |frame| frame.len())
    }
}

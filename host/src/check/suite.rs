//! A guest with its cases.

use super::Case;
use crate::folder::Folder;
use crate::guest::Guest;

/// A guest with its cases, and what it is told beside their inputs.
#[derive(Clone, Debug)]
pub struct Suite {
    /// The guest.
    pub guest: Guest,
    /// Its cases, in the order in which they were written.
    pub cases: Vec<Case>,
    /// A command's arguments.
    pub args: Vec<String>,
    /// A command's environment.
    pub env: Vec<(String, String)>,
    /// An Extism plugin's settings.
    pub config: Vec<(String, String)>,
    /// Folders that it may use. What a run writes there, the next one finds.
    pub dirs: Vec<Folder>,
    /// What makes the guest's random bytes and clock reproducible, if anything does.
    pub seed: Option<u64>,
}

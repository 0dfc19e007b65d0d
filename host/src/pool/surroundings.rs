//! What a guest finds around it, beside the inputs of its jobs.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::folder::Folder;
use crate::hosts::AllowedHost;
use crate::mail::printable;

/// What a guest finds around it, beside the inputs of its jobs: nothing, unless it is given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surroundings {
    /// A command's arguments, after its own name.
    pub args: Vec<String>,
    /// A command's environment.
    pub env: Vec<(String, String)>,
    /// An Extism plugin's settings.
    pub config: Vec<(String, String)>,
    /// Folders that it may use. What one job writes there, the next one finds.
    pub dirs: Vec<Folder>,
    /// Hosts that an Extism plugin may fetch from. They are asked as often as its jobs run.
    pub hosts: Vec<AllowedHost>,
}

/// In words; nothing where there is nothing.
impl fmt::Display for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if !self.args.is_empty() {
            parts.push(format!("arguments {}", printable(&self.args.join(" "))));
        }
        for (what, pairs) in [("variable", &self.env), ("setting", &self.config)] {
            // Results are passed on; a value may be a secret.
            let names = pairs.iter().map(|(key, _)| printable(key));
            parts.extend(names.map(|name| format!("{what} {name}")));
        }
        parts.extend(self.dirs.iter().map(|folder| format!("folder {folder}")));
        parts.extend(self.hosts.iter().map(|host| format!("host {host}")));
        f.write_str(&parts.join(", "))
    }
}

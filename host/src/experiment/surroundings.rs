//! What the guest that is compared finds around it, beside its inputs.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::folder::{Folder, FolderError, Grants};
use crate::guest::Guest;
use crate::hosts::{AllowedHost, Hosts};
use crate::mail::printable;
use crate::pool::PoolBuilder;
use crate::runtime::World;

/// What the guest that is compared finds around it, beside its inputs: the same in every trial.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surroundings {
    /// A command's arguments, after its own name.
    pub args: Vec<String>,
    /// A command's environment.
    pub env: Vec<(String, String)>,
    /// An Extism plugin's settings.
    pub config: Vec<(String, String)>,
    /// Folders that it may use. What one trial writes there, the next one finds.
    pub dirs: Vec<Folder>,
    /// Hosts that an Extism plugin may fetch from. What they answer is part of what is measured.
    pub hosts: Vec<AllowedHost>,
}

impl Surroundings {
    /// A pool of workers that find all this.
    pub fn around(&self, builder: PoolBuilder) -> PoolBuilder {
        let mut builder = builder.args(self.args.iter().cloned());
        for (key, value) in &self.env {
            builder = builder.env(key, value);
        }
        for (key, value) in &self.config {
            builder = builder.config(key, value);
        }
        for folder in &self.dirs {
            builder = builder.dir(folder.clone());
        }
        for host in &self.hosts {
            builder = builder.allow_host(host.clone());
        }
        builder
    }

    /// The same for a worker without a pool.
    pub(super) fn world(&self, guest: &Guest) -> World {
        let mut world = World::of(guest);
        world.args.extend(self.args.iter().cloned());
        world.env.clone_from(&self.env);
        world.config.clone_from(&self.config);
        world.hosts = Hosts::from(&*self.hosts);
        world
    }

    /// The folders, opened.
    pub(super) fn grants(&self) -> Result<Grants, FolderError> {
        Grants::open(&self.dirs)
    }
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

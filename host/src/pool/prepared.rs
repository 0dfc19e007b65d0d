//! A guest that is ready for pools: compiled once, however many pools run it.

use std::sync::Arc;
use std::time::Duration;

use super::Pool;
use super::builder::{BuildError, PoolBuilder};
use crate::worker::{Maker, NativeStaff, Recipe, Staff};

/// All that can be done before there are workers, done; see [`PoolBuilder::prepare`].
///
/// Pools that come from one value share what they can share: the compiled code, and with
/// [`StartMethod::Fork`](crate::StartMethod::Fork) the process that is forked. A pool for each tenant then
/// costs little more than its workers.
///
/// ```
/// use cofferdam::{Guest, Isolation, Job, Pool};
///
/// # fn demo() -> Result<(), Box<dyn std::error::Error>> {
/// let echo = Guest::embedded("echo")?;
/// let prepared = Pool::builder(echo).isolation(Isolation::Thread).prepare()?;
/// for tenant in ["one", "two"] {
///     let pool = prepared.start()?;
///     let reply = pool.submit(Job::new(tenant))?.wait().result?;
///     assert_eq!(reply.output, tenant.as_bytes());
/// }
/// # Ok(())
/// # }
/// # demo().unwrap();
/// ```
pub struct Prepared {
    pub(super) builder: PoolBuilder,
    pub(super) made: Made,
    pub(super) took: Duration,
    pub(super) artifact_bytes: usize,
    pub(super) cached: bool,
    pub(super) cache_trouble: Option<String>,
}

/// What its workers come from.
pub(super) enum Made {
    Recipe(Arc<Recipe>),
    Native(NativeStaff),
}

impl Prepared {
    /// Starts a pool; it does not wait for its workers.
    ///
    /// # Errors
    /// [`BuildError`] names the setting that is at fault.
    pub fn start(&self) -> Result<Pool, BuildError> {
        let staff: Box<dyn Maker> = match &self.made {
            Made::Native(staff) => Box::new(staff.clone()),
            Made::Recipe(recipe) => {
                let staff = Staff::of(recipe).map_err(|error| BuildError::Guest {
                    guest: self.builder.name(),
                    error,
                })?;
                Box::new(staff)
            }
        };
        let mut pool = self.builder.clone().open(staff)?;
        pool.prepared = self.took;
        pool.artifact_bytes = self.artifact_bytes;
        pool.cached = self.cached;
        pool.cache_trouble.clone_from(&self.cache_trouble);
        Ok(pool)
    }
}

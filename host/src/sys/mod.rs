//! System calls, thin, and nothing else.
//!
//! This is where `unsafe` may live. `rustix` wraps most calls safely; what it does not wrap stands in
//! `probes`, `shm` is memory of a link and `mapping` memory of a region, which others write to at the same time,
//! `fault` commits a fault on purpose, and `escape` tries what a guest must not.

pub(crate) mod beneath;
pub(crate) mod child;
pub(crate) mod clock;
pub(crate) mod descriptors;
pub(crate) mod escape;
pub(crate) mod exec;
pub(crate) mod fault;
pub(crate) mod fork;
pub(crate) mod futex;
pub(crate) mod heap;
pub(crate) mod heritage;
pub(crate) mod limits;
pub(crate) mod mapping;
pub(crate) mod oom;
pub(crate) mod probes;
pub(crate) mod shm;

//! System calls, thin, and nothing else.
//!
//! This is where `unsafe` may live. So far none is needed: `rustix` wraps every call that is made
//! here safely.

pub(crate) mod child;
pub(crate) mod descriptors;

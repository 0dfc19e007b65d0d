//! The SDK for authors of cofferdam guests.
//!
//! A guest is a WebAssembly module that takes one job at a time: bytes in, bytes out, and messages on the way. The
//! interface between it and the host (`INTERFACE.md`) is a handful of imports over raw memory; this crate makes safe Rust of
//! them. One macro makes a guest:
// The example needs the stand-in host.
#![cfg_attr(feature = "std", doc = "```")]
#![cfg_attr(not(feature = "std"), doc = "```ignore")]
//! // src/lib.rs, of a crate with `crate-type = ["cdylib", "rlib"]`
//! cofferdam_guest::handler!(|context, input| -> Result<String, String> {
//!     let name = std::str::from_utf8(input).map_err(|error| error.to_string())?;
//!     context.post("on my way");
//!     Ok(format!("Hello, {name}!"))
//! });
//!
//! // Natively it runs against a stand-in host:
//! let ending = cofferdam_guest::testing::Job::new("Ada").run(handler);
//! assert_eq!(ending.output, b"Hello, Ada!");
//! assert_eq!(ending.posted, [b"on my way"]);
//!
//! let ending = cofferdam_guest::testing::Job::new(b"\xff").run(handler);
//! assert_eq!(ending.code, 1);
//! assert!(ending.reason.unwrap().starts_with("invalid utf-8"));
//! ```
//!
//! - [`handler!`]: the whole input in, the whole reply out. [`entry!`]: for guests that stream, or have no allocator.
//! - [`Context`]: messages, log, random bytes, the clock. [`Region`]: memory that workers share. [`Refusal`]: an error
//!   with a code.
//! - [`getrandom_backend!`] and [`fill_random`]: random bytes for crates that want them on their own.
//! - [`testing`]: the stand-in host. [`abi`]: the names and numbers of the interface, which the host uses, too.
//!
//! # Features
//! - `std` (default): a panic's message and place reach the host by themselves; natively there is [`testing`].
//! - `alloc` (part of `std`): [`handler!`], [`Refusal`] and whatever hands out a `Vec`. A guest that has `alloc` and
//!   not `std` brings its own allocator.
//! - neither: [`entry!`], and a [`Context`] that works on the caller's buffers. See [`panic_handler!`].
#![no_std]

#[cfg(feature = "alloc")]
extern crate alloc;
#[cfg(any(feature = "std", test))]
extern crate std;

pub mod abi;
mod context;
mod entry;
mod imports;
mod region;
#[cfg(feature = "alloc")]
mod reply;
#[cfg(all(feature = "std", not(target_family = "wasm")))]
pub mod testing;
mod text;

pub use abi::Level;
#[cfg(feature = "alloc")]
pub use context::Received;
pub use context::{Context, ReceivedInto, Wait, fill_random};
pub use region::Region;
#[cfg(feature = "alloc")]
pub use reply::{Refusal, Reply};

/// What the macros expand to. No part of the API.
#[doc(hidden)]
pub mod __private {
    #[cfg(feature = "alloc")]
    pub use crate::entry::answer;
    #[cfg(target_family = "wasm")]
    pub use crate::entry::die;
    pub use crate::entry::enter;
    #[cfg(target_family = "wasm")]
    pub use crate::imports::fill_random_raw;
}

//! Which program is this, and can it be a guest at all?
//!
//! Everything here is decided from the bytes alone, before anything is compiled: where they come
//! from ([`source`]), what they are ([`form`]), what the module looks like from outside ([`anatomy`]), and
//! how a job can enter it ([`entry`]): by [`interface`] 1, as a command of [`wasi`], by what a [`component`]
//! exports, or by a name that somebody gives. A guest that passes is a [`Guest`].

mod anatomy;
pub(crate) mod component;
mod embedded;
mod entry;
mod error;
pub(crate) mod extism;
mod footprint;
mod form;
mod interface;
mod served;
mod source;
pub(crate) mod wasi;

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

pub use anatomy::{Anatomy, Extern, Memory};
pub use embedded::{EMBEDDED, Embedded};
pub use entry::{Entry, Packed};
pub use error::GuestError;
pub(crate) use footprint::{Footprint, Making};
pub use source::{GuestSource, LoadError};

/// A module that can be run: its name, its bytes, their digest, and how a job enters it. Cloning is cheap.
#[derive(Clone)]
pub struct Guest {
    name: Arc<str>,
    wasm: Arc<[u8]>,
    sha256: [u8; 32],
    sample: Option<&'static [u8]>,
    built_in: bool,
    footprint: Footprint,
    entry: Entry,
}

impl Guest {
    /// Loads a guest from where `source` points: a path, `-`, or `@name`.
    ///
    /// # Errors
    /// [`LoadError`] when it cannot be read, or is neither a guest of interface 1 nor a WASI command.
    pub fn load(source: &GuestSource) -> Result<Self, LoadError> {
        Self::load_with(source, None)
    }

    /// The same, but jobs enter it as they are told to, where that is possible at all.
    ///
    /// # Errors
    /// [`LoadError`] when it cannot be read, or cannot be entered so.
    pub fn load_with(source: &GuestSource, entry: Option<Entry>) -> Result<Self, LoadError> {
        let (name, bytes, sample) = source.read()?;
        let made = Self::made(&name, &bytes, entry);
        let guest = made.map_err(|error| LoadError::NotAGuest {
            name: name.clone(),
            error,
        })?;
        let built_in = matches!(source, GuestSource::Embedded(_));
        Ok(Self {
            sample,
            built_in,
            ..guest
        })
    }

    /// Takes wasm in its binary or its text form, and finds out how a job enters it.
    ///
    /// # Errors
    /// [`GuestError`] says what keeps these bytes from being a guest of interface 1 or a WASI command.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, GuestError> {
        Self::made(name, bytes, None)
    }

    /// Takes wasm in its binary or its text form; jobs enter it as they are told to.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use cofferdam::{Entry, Guest, Isolation, Job, Pool};
    ///
    /// let text = r#"(module (func (export "add") (param i32 i32) (result i32)
    ///     (i32.add (local.get 0) (local.get 1))))"#;
    /// let add = Guest::with_entry("add", text.as_bytes(), Entry::Function { name: "add".into() })?;
    /// let pool = Pool::builder(add).isolation(Isolation::Thread).build()?;
    /// assert_eq!(pool.call(Job::new("3 4"))?.result?.output, b"7");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`GuestError`] says what keeps these bytes from being entered so.
    pub fn with_entry(name: &str, bytes: &[u8], entry: Entry) -> Result<Self, GuestError> {
        Self::made(name, bytes, Some(entry))
    }

    fn made(name: &str, bytes: &[u8], entry: Option<Entry>) -> Result<Self, GuestError> {
        let wasm = form::to_binary(bytes)?;
        let anatomy = Anatomy::read(&wasm)?;
        let entry = match entry {
            None => Entry::detect(&anatomy)?,
            Some(entry) => {
                entry.check(&anatomy)?;
                entry
            }
        };
        Ok(Self {
            name: name.into(),
            sha256: Sha256::digest(&wasm).into(),
            wasm: wasm.into(),
            sample: None,
            built_in: false,
            footprint: Footprint::of(&anatomy),
            entry,
        })
    }

    /// One of the guests that are built into this program, such as `argon2`.
    ///
    /// # Errors
    /// [`LoadError::NoSuchEmbedded`] lists the names that exist.
    pub fn embedded(name: &str) -> Result<Self, LoadError> {
        Self::load(&GuestSource::Embedded(name.to_owned()))
    }

    /// The name under which the guest was asked for.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The module in its binary form.
    #[must_use]
    pub fn wasm(&self) -> &[u8] {
        &self.wasm
    }

    /// The SHA-256 digest of [`Guest::wasm`] in hexadecimal.
    #[must_use]
    pub fn sha256(&self) -> String {
        crate::units::hex(&self.sha256)
    }

    /// How a job enters it.
    #[must_use]
    pub fn entry(&self) -> &Entry {
        &self.entry
    }

    /// Whether it came with this program.
    pub(crate) fn is_built_in(&self) -> bool {
        self.built_in
    }

    /// What an instance of it takes.
    pub(crate) fn footprint(&self) -> Footprint {
        self.footprint
    }

    /// An input on which this guest does typical work, for those that are built in.
    #[must_use]
    pub fn sample(&self) -> Option<&'static [u8]> {
        self.sample
    }
}

impl fmt::Debug for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guest")
            .field("name", &self.name)
            .field("bytes", &self.wasm.len())
            .field("sha256", &self.sha256())
            .finish()
    }
}

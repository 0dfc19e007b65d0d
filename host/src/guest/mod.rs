//! Which program is this, and can it be a guest at all?
//!
//! Everything here is decided from the bytes alone, before anything is compiled: where they come
//! from ([`source`]), what they are ([`kind`]), and whether they fit the interface
//! ([`interface`]). A guest that passes is a [`Guest`].

mod embedded;
mod footprint;
mod interface;
mod kind;
mod source;

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

pub use embedded::{EMBEDDED, Embedded};
pub(crate) use footprint::{Footprint, Making};
pub use interface::{Anatomy, Extern, GuestError, Memory};
pub use source::{GuestSource, LoadError};

/// A module that fits interface 1: its name, its bytes, and their digest. Cloning is cheap.
#[derive(Clone)]
pub struct Guest {
    name: Arc<str>,
    wasm: Arc<[u8]>,
    sha256: [u8; 32],
    sample: Option<&'static [u8]>,
    built_in: bool,
    footprint: Footprint,
}

impl Guest {
    /// Loads a guest from where `source` points: a path, `-`, or `@name`.
    ///
    /// # Errors
    /// [`LoadError`] when it cannot be read, or is no guest of interface 1.
    pub fn load(source: &GuestSource) -> Result<Self, LoadError> {
        let (name, bytes, sample) = source.read()?;
        let guest = Self::from_bytes(&name, &bytes).map_err(|error| LoadError::NotAGuest {
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

    /// Takes wasm in its binary or its text form.
    ///
    /// # Errors
    /// [`GuestError`] says what keeps these bytes from being a guest of interface 1.
    pub fn from_bytes(name: &str, bytes: &[u8]) -> Result<Self, GuestError> {
        let wasm = kind::to_binary(bytes)?;
        let anatomy = Anatomy::read(&wasm)?;
        interface::check(&anatomy)?;
        Ok(Self {
            name: name.into(),
            sha256: Sha256::digest(&wasm).into(),
            wasm: wasm.into(),
            sample: None,
            built_in: false,
            footprint: Footprint::of(&anatomy),
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

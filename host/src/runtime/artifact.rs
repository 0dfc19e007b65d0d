//! A compiled guest, in a form that can be handed to another process.
//!
//! The code lies in a sealed memfd. Whoever maps it, maps bytes that were checked before the seal
//! and cannot change after it; a file on disk could be swapped between check and use.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{Seek, Write};
use std::time::{Duration, Instant};

use wasmtime::Engine;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

use super::cache::{Cache, CacheError};
use super::config::fingerprint;
use super::{RuntimeError, Settings, chain};
use crate::guest::Guest;

/// Compiled code and what it was compiled for.
#[derive(Debug)]
pub(crate) struct Artifact {
    image: File,
    bytes: usize,
    settings: Settings,
    fingerprint: String,
    provenance: Provenance,
    took: Duration,
}

/// Where an artifact came from.
#[derive(Debug)]
pub(crate) enum Provenance {
    /// It was found in the cache, whole.
    Cached,
    /// It was compiled; the cache could not be used for the reason given, if there is one.
    Compiled {
        /// Why the cache did not have it or does not keep it, beyond "not compiled before".
        cache_trouble: Option<CacheError>,
    },
}

/// Compiles a guest in another process, by these settings.
pub(crate) type Apart<'a> = &'a dyn Fn(Settings) -> Result<Vec<u8>, RuntimeError>;

/// Who compiles a guest, and so who may map what comes out.
///
/// Compiled code is native code: a compiler that was taken over by the module that it compiled could make it
/// say anything. So what a process made that is trusted less than this one is never mapped here, and does not
/// come here by way of the cache, either: it has a key of its own.
#[derive(Clone, Copy)]
pub(crate) enum Origin<'a> {
    /// This process. Everybody may map it.
    Own,
    /// Another process. Only worker processes map it, which are trusted no more than that one.
    Apart(Apart<'a>),
    /// This process, after another one has shown that it can be done within the limits.
    Vetted(Apart<'a>),
}

impl Origin<'_> {
    /// Under what it is kept.
    fn key(self, fingerprint: &str) -> String {
        match self {
            Self::Own | Self::Vetted(_) => fingerprint.to_owned(),
            Self::Apart(_) => apart_key(fingerprint),
        }
    }
}

/// A key as long as a fingerprint, and never the same.
fn apart_key(fingerprint: &str) -> String {
    let mut hasher = DefaultHasher::new();
    ("compiled apart", fingerprint).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// Compiles a module in this process.
///
/// # Errors
/// [`RuntimeError::Invalid`] if it does not compile; [`RuntimeError::Fingerprint`] if this is another build
/// than the one that wants it.
pub(crate) fn compile(
    wasm: &[u8],
    settings: Settings,
    theirs: &str,
    set_up: impl FnOnce(),
) -> Result<Vec<u8>, RuntimeError> {
    let engine = settings.compiler()?;
    let ours = fingerprint(&engine);
    if ours != theirs {
        let theirs = theirs.to_owned();
        return Err(RuntimeError::Fingerprint { ours, theirs });
    }
    // The compiler's threads are there after this.
    compiled(&engine, SMALLEST)?;
    set_up();
    compiled(&engine, wasm)
}

/// A module of nothing.
const SMALLEST: &[u8] = b"\0asm\x01\0\0\0";

fn compiled(engine: &Engine, wasm: &[u8]) -> Result<Vec<u8>, RuntimeError> {
    match wasm.get(6) {
        // The layer: see `guest/form.rs`.
        Some(1) => engine.precompile_component(wasm),
        _ => engine.precompile_module(wasm),
    }
    .map_err(|error| RuntimeError::Invalid(chain(&error)))
}

impl Artifact {
    /// Compiles a guest, or takes it from the cache.
    ///
    /// Trouble with the cache is no error: the guest is compiled anew, and [`Artifact::provenance`]
    /// tells what was wrong.
    ///
    /// # Errors
    /// [`RuntimeError::Invalid`] if the module does not compile, or what compiling it apart ended with.
    pub(crate) fn prepare(
        guest: &Guest,
        settings: Settings,
        cache: &Cache,
        origin: Origin<'_>,
    ) -> Result<Self, RuntimeError> {
        let plain = Self::prepare_by(guest, settings, cache, origin);
        match (plain, settings.with_collector()) {
            // What its sections do not show, its instructions may want: a null of another type, a handler of whatever
            // exception. The compiler knows, and to ask it twice costs nobody anything whose module is sound.
            (Err(RuntimeError::Invalid(why)), Some(settings)) => {
                Self::prepare_by(guest, settings, cache, origin)
                    .map_err(|_| RuntimeError::Invalid(why))
            }
            (plain, _) => plain,
        }
    }

    fn prepare_by(
        guest: &Guest,
        settings: Settings,
        cache: &Cache,
        origin: Origin<'_>,
    ) -> Result<Self, RuntimeError> {
        let start = Instant::now();
        let engine = settings.compiler()?;
        let fingerprint = fingerprint(&engine);
        let key = origin.key(&fingerprint);
        let found = cache.get(guest, &key);
        let (code, provenance) = match found {
            Ok(Some(code)) => (code, Provenance::Cached),
            Ok(None) | Err(_) => {
                let code = match origin {
                    Origin::Own => compiled(&engine, guest.wasm())?,
                    Origin::Apart(apart) => apart(settings)?,
                    Origin::Vetted(apart) => {
                        drop(apart(settings)?);
                        compiled(&engine, guest.wasm())?
                    }
                };
                let kept = cache.put(guest, &key, &code);
                (
                    code,
                    Provenance::Compiled {
                        cache_trouble: found.err().or(kept.err()),
                    },
                )
            }
        };
        Ok(Self {
            image: sealed(&code)?,
            bytes: code.len(),
            settings,
            fingerprint,
            provenance,
            took: start.elapsed(),
        })
    }

    /// An artifact that another process prepared and sent.
    pub(crate) fn received(image: File, settings: Settings, fingerprint: String) -> Self {
        Self {
            image,
            bytes: 0,
            settings,
            fingerprint,
            provenance: Provenance::Cached,
            took: Duration::ZERO,
        }
    }

    /// Bytes of compiled code.
    #[must_use]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What it was compiled for.
    #[must_use]
    pub(crate) fn settings(&self) -> Settings {
        self.settings
    }

    /// Names what a process must agree with before it may load this.
    #[must_use]
    pub(crate) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Where it came from.
    #[must_use]
    pub(crate) fn provenance(&self) -> &Provenance {
        &self.provenance
    }

    /// How long it took to compile, or to find.
    #[must_use]
    pub(crate) fn took(&self) -> Duration {
        self.took
    }

    pub(crate) fn image(&self) -> &File {
        &self.image
    }
}

/// Bytes in memory that nobody can change any more, behind a descriptor.
pub(crate) fn sealed(code: &[u8]) -> Result<File, RuntimeError> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file =
        File::from(memfd_create("cofferdam-artifact", flags).map_err(std::io::Error::from)?);
    file.write_all(code)?;
    file.rewind()?;
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
    fcntl_add_seals(&file, seals).map_err(std::io::Error::from)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Limits;
    use crate::options::Isolation;
    use crate::runtime::{Demand, Metering};

    #[test]
    fn a_sealed_image_can_be_neither_written_nor_truncated() {
        let mut image = sealed(b"code").unwrap();
        assert!(image.write_all(b"x").is_err());
        assert!(image.set_len(1).is_err());
    }

    #[test]
    fn a_module_that_does_not_validate_is_refused_by_name() {
        // `handle` promises an i32 and leaves nothing: the sections are well-formed, the body is not.
        let text = r#"(module (memory (export "memory") 1) (func (export "cofferdam_abi_1"))
            (func (export "handle") (result i32)))"#;
        let guest = Guest::from_bytes("broken", text.as_bytes()).unwrap();
        let demand = Demand::of(&guest, Isolation::Process, 1);
        let settings = Settings::new(&Limits::default(), Metering::Unmetered, demand);
        let error = Artifact::prepare(&guest, settings, &Cache::off(), Origin::Own).unwrap_err();
        assert!(matches!(error, RuntimeError::Invalid(_)), "{error}");
    }
}

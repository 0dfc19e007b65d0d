//! A guest is compiled in a process of its own: that process's half.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::time::Duration;

use crate::folder::Grants;
use crate::harden;
use crate::link::LinkError;
use crate::link::pipe::Pipe;
use crate::link::protocol::{self, Birth, FromWorker, Setup};
use crate::options::Hardening;
use crate::runtime::{self, RuntimeError};
use crate::sys::clock;

/// Compiles the one module that came, and says what became of it.
pub(super) fn serve_compiler(
    mut module: File,
    mut pipe: Pipe,
    setup: &Setup,
    began: Duration,
    strays: &io::Result<()>,
    threads: usize,
) -> Result<(), LinkError> {
    let mut wasm = Vec::new();
    module.rewind()?;
    module.read_to_end(&mut wasm)?;
    drop(module);
    let mut enforcement = harden::enter(setup, &Grants::default(), strays, threads);
    let mut ready = Ok(());
    let compiled = runtime::compile(&wasm, setup.settings, &setup.fingerprint, || {
        harden::confine(setup, &mut enforcement);
        ready = match setup.hardening {
            Hardening::Required if !enforcement.is_as_required() => {
                Err(LinkError::Garbled(harden::too_little(&enforcement)))
            }
            Hardening::Off | Hardening::BestEffort | Hardening::Required => {
                let loaded = clock::monotonic();
                let birth = Birth { began, loaded };
                FromWorker::Ready(birth, Some(enforcement)).send(&mut pipe, 0)
            }
        };
    });
    ready?;
    match compiled {
        Ok(code) => protocol::send_post(&mut pipe, 0, &code),
        Err(RuntimeError::Invalid(why)) => FromWorker::Failed(why).send(&mut pipe, 0),
        Err(error) => Err(LinkError::Garbled(error.to_string())),
    }
}

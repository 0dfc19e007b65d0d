//! A guest is compiled in a process of its own: the host's half.
//!
//! What comes back is native code made by a process that has read a stranger's module, so it is trusted as
//! little as that module: see [`Origin`](crate::runtime::Origin) for who may map it.

use std::os::fd::AsFd;
use std::path::Path;

use super::nursery::Child;
use super::spawn;
use crate::guest::Guest;
use crate::harden::Legibility;
use crate::job::{Death, Limits};
use crate::link::pipe::Pipe;
use crate::link::protocol::{FromWorker, Role, Setup};
use crate::link::{Link, LinkError};
use crate::options::{CompileLimits, Hardening, LinkKind, WaitPolicy};
use crate::runtime::{self, InstancePolicy, RuntimeError, Settings, World};
use crate::sys::child::Exit;
use crate::sys::descriptors;
use crate::units::{ByteSize, TimeSpan};

/// More compiled code than any module has whose source is bounded as ours is.
const MAX_CODE: usize = 1 << 30;

/// What the C library's allocator leaves behind when it ends a program: Rust says this of a failed allocation.
const OUT_OF_MEMORY: &str = "memory allocation of";

/// How a guest is compiled apart.
pub(crate) struct Compiler<'a> {
    pub(crate) program: &'a Path,
    pub(crate) limits: CompileLimits,
    pub(crate) hardening: Hardening,
}

impl Compiler<'_> {
    /// Compiles a guest for these settings, in a process that is gone afterwards.
    ///
    /// # Errors
    /// What is wrong with the module, or which limit it met.
    pub(crate) fn compile(
        &self,
        guest: &Guest,
        settings: Settings,
    ) -> Result<Vec<u8>, RuntimeError> {
        let unborn = |death: Death| RuntimeError::NoCompiler(death.to_string());
        let (child, stream) = spawn::program(self.program, Role::Compiler).map_err(unborn)?;
        let mut pipe = Pipe::new(stream, MAX_CODE);
        let (done, ended) = crossbeam_channel::bounded(1);
        let compiled = std::thread::scope(|scope| {
            let talk = || {
                let _ = done.send(self.talk(&mut pipe, guest, settings));
            };
            let talking = std::thread::Builder::new()
                .name("cofferdam-compiling".to_owned())
                .spawn_scoped(scope, talk)?;
            let compiled = ended.recv_timeout(self.limits.timeout);
            // Whatever it is doing, it is done; and whoever waits for it hears that.
            child.kill();
            drop(talking.join());
            Ok::<_, std::io::Error>(compiled)
        })?;
        match compiled {
            Ok(Ok(Told::Code(code))) => Ok(code),
            Ok(Ok(Told::Refused(why))) => Err(RuntimeError::Invalid(why)),
            Ok(Err(error)) => Err(self.post_mortem(&child, &error)),
            Err(_) => Err(RuntimeError::CompileTimeout {
                limit: TimeSpan::new(self.limits.timeout),
            }),
        }
    }

    fn talk(&self, pipe: &mut Pipe, guest: &Guest, settings: Settings) -> Result<Told, LinkError> {
        let module = runtime::sealed(guest.wasm()).map_err(|error| garbled(&error))?;
        descriptors::send(pipe.stream(), &[module.as_fd()])?;
        let fingerprint = runtime::fingerprint_of(settings).map_err(|error| garbled(&error))?;
        let setup = Setup {
            role: Role::Compiler,
            fingerprint,
            settings,
            limits: Limits {
                memory: self.limits.memory,
                stack: NOTHING,
                fuel: None,
                output: NOTHING,
                input: NOTHING,
                timeout: None,
            },
            instance: InstancePolicy::default(),
            world: World::default(),
            drill: None,
            region: None,
            folders: Vec::new(),
            link: LinkKind::Pipe,
            wait: WaitPolicy::Park,
            crowd: 1,
            hardening: self.hardening,
            legibility: Legibility::Closed,
        };
        setup.send(pipe)?;
        let (_, said) = spawn::ready(pipe)?;
        let _ = spawn::acceptable(self.hardening, said)?;
        match FromWorker::decode(pipe.receive()?)? {
            FromWorker::Post(code) => Ok(Told::Code(code)),
            FromWorker::Failed(why) => Ok(Told::Refused(why)),
            _ => Err(LinkError::Garbled("it said something else".to_owned())),
        }
    }

    /// Why a compiler ended without a result.
    fn post_mortem(&self, child: &Child, error: &LinkError) -> RuntimeError {
        let exit = child.wait(spawn::REAP_PATIENCE);
        let words = child.last_words();
        if words.contains(OUT_OF_MEMORY) {
            return RuntimeError::CompileMemory {
                limit: self.limits.memory,
            };
        }
        let how = match (error, exit) {
            (LinkError::Closed, Some(Exit::Code(code))) => format!("it exited with code {code}"),
            (LinkError::Closed, Some(Exit::Signal(signal))) => {
                format!("it was killed by signal {signal}")
            }
            (error, _) => error.to_string(),
        };
        RuntimeError::CompilerDied(match words.as_str() {
            "" => how,
            words => format!("{how}; it said: {words}"),
        })
    }
}

const NOTHING: ByteSize = ByteSize::from_bytes(0);

/// What a compiler says in the end.
enum Told {
    Code(Vec<u8>),
    Refused(String),
}

fn garbled(error: &RuntimeError) -> LinkError {
    LinkError::Garbled(error.to_string())
}

//! How far does code come that got out of the wasm sandbox?
//!
//! *Arms*: the isolations. *What is done*: each [`Deed`] once, by a host function of a worker that was made
//! for it (`runtime/drill.rs`), with the rights that the worker has: native code in a guest's place. The host
//! is a trial, which is thrown away afterwards. *Stopwatch*: none. *Expectation*: in a thread it can do what the
//! host can, so the first wall is all that there is; in a hardened process it can do nothing of this, mostly
//! by dying of it. Where the user himself may not do a thing, nobody reaches it from a thread either.

use std::fs::File;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{MemfdFlags, memfd_create};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::identity::CALLER;
use super::left_out::nothing;
use super::trial::{Bench, own_guest};
use super::{Arm, Part, PartWork, Samples, Stage};
use crate::guest::Guest;
use crate::harden::Legibility;
use crate::job::{Death, Job, Outbox};
use crate::options::Isolation;
use crate::pool::{Lost, Pool, Ticket};
use crate::runtime::{Cache, Drill};
use crate::sys::escape::{self, Act};

pub(super) static ESCAPE: Part = Part {
    experiment: "containment",
    name: "escape",
    question: "How far does code come that got out of the wasm sandbox?",
    arms: |_| &[Arm::Thread, Arm::Process],
    twin: Arm::Thread,
    weight: 0.2,
    core: 1,
    most: [1, 1, 1],
    rows: |_| Vec::new(),
    left_out: nothing,
    work: PartWork::Alone { prepare },
};

/// What is reached for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Deed {
    /// Bytes that only the host knows, in its memory.
    HostSecret,
    /// Bytes in the linear memory of another guest, while that runs.
    NeighbourMemory,
    /// A system call or two.
    Act(Act),
}

impl Deed {
    /// Everything that is tried, in the order of the report.
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::HostSecret, Self::NeighbourMemory]
            .into_iter()
            .chain(Act::ALL.into_iter().map(Self::Act))
    }

    /// What is done, as the report says it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::HostSecret => "reads a secret of the host",
            Self::NeighbourMemory => "reads another guest's memory",
            Self::Act(act) => act.title(),
        }
    }
}

/// How far one deed came in one isolation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reach {
    /// What was tried.
    pub deed: Deed,
    /// Where.
    pub isolation: Isolation,
    /// What stopped it, in words; `null` if nothing did.
    pub stopped_by: Option<String>,
}

struct Escape<'b> {
    bench: &'b Bench,
    reached: Vec<Reach>,
}

fn prepare(bench: &Bench) -> Result<Box<dyn Stage + '_>, String> {
    let reached = Vec::new();
    Ok(Box::new(Escape { bench, reached }))
}

impl Stage for Escape<'_> {
    fn segment(&mut self, _: usize) -> Result<(), String> {
        let _stray = left_open().map_err(|error| error.to_string())?;
        let secret = secret();
        for deed in Deed::all() {
            let stopped_by = match deed {
                Deed::HostSecret => self.peek(&secret, address_of(&secret))?,
                Deed::NeighbourMemory => {
                    let neighbour = Neighbour::settle(self.bench)?;
                    self.peek(&neighbour.secret, neighbour.address)?
                }
                Deed::Act(act) => self.act(act)?,
            };
            self.reached.push(Reach {
                deed,
                isolation: self.bench.isolation,
                stopped_by,
            });
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Samples, String> {
        Ok(Samples {
            reached: self.reached,
            ..Samples::default()
        })
    }
}

impl Escape<'_> {
    /// Whether what lies at an address of this process can be read there by native code in a worker.
    fn peek(&self, secret: &[u8], address: u64) -> Result<Option<String>, String> {
        let length = u32::try_from(secret.len()).map_err(|error| error.to_string())?;
        Ok(match self.drilled(Drill::Peek(address, length))? {
            Seen::Posted(bytes) if bytes == secret => None,
            Seen::Posted(_) => Some("other bytes are there".to_owned()),
            Seen::Died(how) => Some(how),
        })
    }

    fn act(&self, act: Act) -> Result<Option<String>, String> {
        Ok(
            match self.drilled(Drill::Escape(act, std::process::id()))? {
                Seen::Posted(bytes) => match <[u8; 4]>::try_from(bytes) {
                    Ok(error) => {
                        let error = i32::from_le_bytes(error);
                        Some(std::io::Error::from_raw_os_error(error).to_string())
                    }
                    Err(_) => None,
                },
                Seen::Died(how) => Some(how),
            },
        )
    }

    fn drilled(&self, drill: Drill) -> Result<Seen, String> {
        let pool = self.pool(&own_guest("caller", CALLER)?, drill)?;
        let (ticket, posted) = submit(&pool, Job::new(""))?;
        match ticket.wait().result {
            Ok(_) => Ok(Seen::Posted(
                posted
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take()
                    .ok_or("the drill said nothing")?,
            )),
            Err(Lost::Worker(death)) => Ok(Seen::Died(how(&death))),
            Err(lost) => Err(lost.to_string()),
        }
    }

    fn pool(&self, guest: &Guest, drill: Drill) -> Result<Pool, String> {
        // As workers are where nobody wants to measure them.
        let builder = self
            .bench
            .builder(guest, 1)
            .legibility(Legibility::Closed)
            .drill(Some(drill));
        builder.build().map_err(|error| error.to_string())
    }
}

/// What is seen of a drill.
enum Seen {
    Posted(Vec<u8>),
    Died(String),
}

type Posted = Arc<Mutex<Option<Vec<u8>>>>;

fn submit(pool: &Pool, job: Job) -> Result<(Ticket, Posted), String> {
    let posted = Posted::default();
    let sink = Arc::clone(&posted);
    let job = job.on_post(move |_, message| {
        *sink.lock().unwrap_or_else(PoisonError::into_inner) = Some(message.to_vec());
    });
    let ticket = pool.submit(job).map_err(|error| error.to_string())?;
    Ok((ticket, posted))
}

fn how(death: &Death) -> String {
    match death {
        Death::Signalled(libc::SIGSYS) => "killed by the filter of system calls".to_owned(),
        Death::Signalled(libc::SIGSEGV) => "nothing is mapped there".to_owned(),
        death => death.to_string(),
    }
}

/// Thirty-two bytes that nobody else has.
fn secret() -> Vec<u8> {
    let mut bytes = vec![0; 32];
    fastrand::fill(&mut bytes);
    bytes
}

fn address_of(bytes: &[u8]) -> u64 {
    bytes.as_ptr().expose_provenance() as u64
}

/// A descriptor that children inherit, as a careless program leaves one.
fn left_open() -> std::io::Result<File> {
    let mut file = File::from(memfd_create("cofferdam-stray", MemfdFlags::empty())?);
    file.write_all(escape::STRAY)?;
    Ok(file)
}

/// Another guest, which holds a secret in its memory and runs until this is dropped.
struct Neighbour {
    secret: Vec<u8>,
    /// Where the secret lies in the neighbour's process.
    address: u64,
    _outbox: Outbox,
    _pool: Pool,
}

impl Neighbour {
    fn settle(bench: &Bench) -> Result<Self, String> {
        let secret = secret();
        let text: String = secret.iter().map(|byte| format!("\\{byte:02x}")).collect();
        let wat =
            include_str!("guests/neighbour.wat").replacen("\"SECRET\"", &format!("\"{text}\""), 1);
        let guest = own_guest("neighbour", &wat)?;
        let builder = bench.builder(&guest, 1).drill(Some(Drill::Show));
        // Each run has another one, and nobody wants it a second time.
        let pool = builder
            .cache(Cache::off())
            .build()
            .map_err(|error| error.to_string())?;
        let (job, outbox) = Job::new("").with_inbox();
        let (_ticket, posted) = submit(&pool, job)?;
        let patience = Instant::now() + Duration::from_secs(10);
        loop {
            let shown = posted
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take()
                .and_then(|bytes| <[u8; 8]>::try_from(bytes).ok());
            if let Some(bytes) = shown {
                return Ok(Self {
                    secret,
                    address: u64::from_le_bytes(bytes),
                    _outbox: outbox,
                    _pool: pool,
                });
            }
            if Instant::now() > patience {
                return Err("the neighbour did not show itself".to_owned());
            }
            std::thread::sleep(Duration::from_micros(100));
        }
    }
}

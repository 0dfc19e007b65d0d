//! One module, three ways: in a thread, in a process, and by wasmtime's own API. All that can be seen of
//! its job has to be the same.
//!
//! `host/tests/differential` and `endure differential` of the benches are two callers of this code.

pub(crate) mod direct;
pub(crate) mod ending;
pub(crate) mod smith;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cofferdam::{
    BuildError, ByteSize, Cache, Guest, Isolation, Job, Limits, Pool, RuntimeError, StartMethod,
};

use direct::{Direct, Run};
use ending::{Ending, Kind};

/// Units of work for a job. None runs for long, and one that only calls itself runs out of stack before.
pub(crate) const FUEL: u64 = 500_000;

/// Bytes of stack for guest code.
pub(crate) const STACK: usize = 512 << 10;

/// Bytes that a guest's memories and tables may have together: a few modules grow past it.
pub(crate) const MEMORY: usize = 1 << 20;

/// Bytes that a job may say: the memory, and a little more.
pub(crate) const OUTPUT: usize = 1 << 20;

/// The seed of random bytes and of the clock.
pub(crate) const SEED: u64 = 0x5eed;

/// Fuel ends every job; whoever reaches this has hung. Other work may have the machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// Both isolations, by name.
const ISOLATIONS: [(Isolation, &str); 2] = [
    (Isolation::Thread, "thread"),
    (Isolation::Process, "process"),
];

/// What came of many modules.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) modules: u64,
    pub(crate) reached_handle: u64,
    /// How often each kind of ending was seen.
    pub(crate) endings: BTreeMap<String, u64>,
    /// How often one way ran out of stack where another one ran out of fuel.
    pub(crate) depths: u64,
    /// What differed, with the module's name.
    pub(crate) differences: Vec<String>,
}

impl Tally {
    /// Counts a module, and notes it if not all ways agree.
    pub(crate) fn add(&mut self, name: &str, direct: &Run, pools: &[(&str, Ending)]) {
        self.modules += 1;
        self.reached_handle += u64::from(direct.reached_handle);
        *self
            .endings
            .entry(direct.ending.kind.to_string())
            .or_default() += 1;
        for (isolation, ending) in pools {
            if direct.ending.is_as_deep_as(ending) {
                self.depths += 1;
            } else if let Some(what) = direct.ending.difference(ending) {
                self.differences
                    .push(format!("{name}: wasmtime and {isolation}: {what}"));
            }
        }
        if let Kind::Unexpected(what) = &direct.ending.kind {
            self.differences.push(format!("{name}: {what}"));
        }
    }

    fn merge(&mut self, other: Self) {
        self.modules += other.modules;
        self.reached_handle += other.reached_handle;
        for (kind, count) in other.endings {
            *self.endings.entry(kind).or_default() += count;
        }
        self.depths += other.depths;
        self.differences.extend(other.differences);
    }

    /// # Errors
    /// What differed; or that too few modules got as far as to prove anything.
    pub(crate) fn verdict(&self) -> Result<(), String> {
        if !self.differences.is_empty() {
            let first: Vec<_> = self.differences.iter().take(20).cloned().collect();
            return Err(format!(
                "{} differences, the first of them:\n  {}",
                self.differences.len(),
                first.join("\n  ")
            ));
        }
        if self.depths * 50 > self.modules {
            return Err(format!(
                "{} of {} modules ended by their depth, each way at another one: they prove little",
                self.depths, self.modules
            ));
        }
        let ended = |kind: &str| self.endings.get(kind).copied().unwrap_or_default();
        let done = ended("output") + ended("refused");
        if self.reached_handle * 10 < self.modules * 8 || done * 10 < self.modules * 3 {
            return Err(format!(
                "of {} modules only {} reached `handle`, and {done} returned from it: they prove little",
                self.modules, self.reached_handle
            ));
        }
        Ok(())
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, count) in &self.endings {
            writeln!(f, "{count:>8}  {kind}")?;
        }
        write!(
            f,
            "{} modules, of which {} reached `handle`; {} met the end of the stack in one way and that of the fuel in \
             another; {} differences between wasmtime, threads and processes",
            self.modules,
            self.reached_handle,
            self.depths,
            self.differences.len()
        )
    }
}

/// Runs the modules of these seeds, as many at a time as there are CPUs.
///
/// `program` is the worker program; `None` is this very one.
pub(crate) fn compare(seeds: std::ops::Range<u64>, program: Option<&Path>) -> Tally {
    let next = AtomicU64::new(seeds.start);
    let tally = Mutex::new(Tally::default());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let direct = Direct::new();
                let mut own = Tally::default();
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    let module = smith::smith(seed);
                    let name = format!("module {seed}");
                    let run = direct.run(&module.wasm, &module.input);
                    let pools = in_pools(&name, &module.wasm, &module.input, program);
                    own.add(&name, &run, &pools);
                }
                let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
                tally.merge(own);
            });
        }
    });
    tally.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Runs one job of a module in both isolations.
pub(crate) fn in_pools(
    name: &str,
    wasm: &[u8],
    input: &[u8],
    program: Option<&Path>,
) -> [(&'static str, Ending); 2] {
    ISOLATIONS.map(|(isolation, word)| (word, in_pool(name, wasm, input, isolation, program)))
}

fn in_pool(
    name: &str,
    wasm: &[u8],
    input: &[u8],
    isolation: Isolation,
    program: Option<&Path>,
) -> Ending {
    let unexpected = |what: String| Ending::bare(Kind::Unexpected(what));
    let guest = match Guest::from_bytes(name, wasm) {
        Ok(guest) => guest,
        Err(error) => return unexpected(error.to_string()),
    };
    let mut builder = Pool::builder(guest)
        .isolation(isolation)
        // A fork server would serve one job.
        .start(StartMethod::Exec)
        .cache(Cache::off())
        .seed(Some(SEED))
        .limits(Limits {
            memory: ByteSize::from_bytes(MEMORY as u64),
            stack: ByteSize::from_bytes(STACK as u64),
            fuel: Some(FUEL),
            output: ByteSize::from_bytes(OUTPUT as u64),
            timeout: Some(PATIENCE),
            ..Limits::default()
        });
    if let Some(program) = program {
        builder = builder.worker_program(program);
    }
    let pool = match builder.build() {
        Ok(pool) => pool,
        Err(BuildError::Guest {
            error: RuntimeError::Invalid(_),
            ..
        }) => return Ending::bare(Kind::NotCompiled),
        Err(error) => return unexpected(error.to_string()),
    };
    let posts: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
    let heard = Arc::clone(&posts);
    let job = Job::new(input).on_post(move |_, message| {
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.push(message.to_vec());
    });
    let completion = match pool.call(job) {
        Ok(completion) => completion,
        Err(error) => return unexpected(error.to_string()),
    };
    let posts = std::mem::take(&mut *posts.lock().unwrap_or_else(PoisonError::into_inner));
    Ending::of(completion.result, posts)
}

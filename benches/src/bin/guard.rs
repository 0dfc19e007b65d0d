//! `guard`: the work that `benches/guards` counts. It times nothing, and tells only what the kernel has
//! counted for a worker (`hold`), and how often memory was allocated (`allocate`).
//!
//! Each command does a piece of work N times. What one piece takes is the difference between two runs,
//! of few and of many, so that setting up and tearing down cancel out.

use std::alloc::{GlobalAlloc, Layout, System};
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::{Args, Parser, Subcommand, ValueEnum};
use cofferdam::{
    Guest, InstancePolicy, Isolation, Job, Pool, PoolBuilder, StartMethod, WaitPolicy,
};
use cofferdam_benches::{Failure, reply_in};

/// Do a piece of work N times, for others to count
#[derive(Debug, Parser)]
#[command(name = "guard")]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Call a worker with 64 bytes, one call after another
    Call(Calls),
    /// Hand in empty jobs, all at once, and take their replies
    Dispatch(Calls),
    /// Start workers, one after another, and take the first reply of each
    Start(Starts),
    /// As `start`, and tell what each worker holds when it sleeps after its reply
    Hold(Starts),
    /// Tell how often this process allocates memory for one call, and for one job of a batch
    Allocate(Calls),
}

#[derive(Debug, Args)]
struct Calls {
    /// How many
    count: u32,
    /// Where the worker lives
    #[arg(long, default_value = "thread")]
    isolation: Where,
    /// How both sides wait
    #[arg(long, default_value = "park")]
    wait: Wait,
    /// When the next call is made
    #[arg(long, default_value = "at-once")]
    pace: Pace,
}

#[derive(Debug, Args)]
struct Starts {
    /// How many
    count: u32,
    /// How they come to be
    #[arg(long, default_value = "fork")]
    start: Start,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Where {
    Thread,
    Process,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Wait {
    Spin,
    Park,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Pace {
    /// When the last one is answered.
    AtOnce,
    /// When the worker sleeps: each call has to wake it, whatever slows it down.
    Asleep,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Start {
    Fork,
    Spare,
}

fn main() -> ExitCode {
    if let Some(code) = cofferdam::serve_if_worker() {
        return code;
    }
    let done = match Cli::parse().what {
        What::Call(args) => call(&args),
        What::Dispatch(args) => dispatch(&args),
        What::Start(args) => start(&args, |_| Ok(())),
        What::Hold(args) => start(&args, tell),
        What::Allocate(args) => allocate(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "guard: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One worker that keeps its instance: what is left is the way to it and back.
fn builder(isolation: Isolation, wait: WaitPolicy) -> Result<PoolBuilder, Failure> {
    Ok(Pool::builder(Guest::embedded("echo")?)
        .isolation(isolation)
        .instance(InstancePolicy::Reused)
        .wait(wait))
}

fn pool(args: &Calls) -> Result<Pool, Failure> {
    let isolation = match args.isolation {
        Where::Thread => Isolation::Thread,
        Where::Process => Isolation::Process,
    };
    let wait = match args.wait {
        Wait::Spin => WaitPolicy::Spin,
        Wait::Park => WaitPolicy::Park,
    };
    let pool = builder(isolation, wait)?.build()?;
    answer(&pool, b"is anybody there?")?;
    Ok(pool)
}

fn answer(pool: &Pool, input: &[u8]) -> Result<(), Failure> {
    same(&reply_in(pool.call(Job::new(input))?)?.output, input)
}

/// What is counted is of no worth if it is not the work.
fn same(output: &[u8], input: &[u8]) -> Result<(), Failure> {
    if output == input {
        return Ok(());
    }
    Err(format!("{} bytes came back changed", input.len()).into())
}

fn call(args: &Calls) -> Result<(), Failure> {
    let pool = pool(args)?;
    let bed = match args.pace {
        Pace::AtOnce => None,
        Pace::Asleep => Some(Bed::of_worker(&pool)?),
    };
    let input = [0x5a; 64];
    for _ in 0..args.count {
        if let Some(bed) = &bed {
            bed.await_sleep()?;
        }
        answer(&pool, &input)?;
    }
    Ok(())
}

/// Where it is seen whether a worker sleeps.
struct Bed(File);

impl Bed {
    fn of_worker(pool: &Pool) -> Result<Self, Failure> {
        let stat = match pid(pool)? {
            Some(pid) => format!("/proc/{pid}/stat").into(),
            None => slot_thread()?.join("stat"),
        };
        Ok(Self(File::open(stat)?))
    }

    /// Makes no system calls but `pread64` and `sched_yield`: those are not counted.
    fn await_sleep(&self) -> Result<(), Failure> {
        let mut stat = [0; 512];
        loop {
            let length = self.0.read_at(&mut stat, 0)?;
            if field(std::str::from_utf8(&stat[..length])?, STATE)? == "S" {
                return Ok(());
            }
            std::thread::yield_now();
        }
    }
}

fn pid(pool: &Pool) -> Result<Option<u32>, Failure> {
    let worker = pool.workers().into_iter().next();
    Ok(worker.ok_or("there is no worker")?.pid)
}

/// The thread that runs the jobs of a worker without a process of its own.
fn slot_thread() -> Result<PathBuf, Failure> {
    for entry in fs::read_dir("/proc/self/task")? {
        let task = entry?.path();
        if fs::read_to_string(task.join("comm"))?.starts_with("cofferdam-slot") {
            return Ok(task);
        }
    }
    Err("no thread has the name of a slot's".into())
}

fn dispatch(args: &Calls) -> Result<(), Failure> {
    let pool = pool(args)?;
    let job = Job::new("");
    let batch = pool.submit_many((0..args.count).map(|_| job.clone()))?;
    let mut answered = 0;
    for completion in batch.ordered() {
        same(&reply_in(completion)?.output, b"")?;
        answered += 1;
    }
    if answered != args.count {
        return Err(format!("{answered} of {} jobs were answered", args.count).into());
    }
    Ok(())
}

/// The system's allocator, which counts how often it is asked for memory, by any thread.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

#[global_allocator]
static COUNTING: Counting = Counting;

#[expect(unsafe_code, reason = "an allocator is unsafe by its nature")]
// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: whoever calls keeps the promises that this one wants.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(place, layout, size) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(place, layout) };
    }
}

/// What was allocated meanwhile.
fn allocated(work: impl FnOnce() -> Result<(), Failure>) -> Result<u64, Failure> {
    let before = ALLOCATIONS.load(Ordering::SeqCst);
    work()?;
    Ok(ALLOCATIONS.load(Ordering::SeqCst) - before)
}

/// A line of names and numbers. Of an isolation by processes it is the host's side alone: each process
/// counts for itself.
fn allocate(args: &Calls) -> Result<(), Failure> {
    let pool = pool(args)?;
    let input = [0x5a; 64];
    let count = args.count;
    let calls = |count: u32| (0..count).try_for_each(|_| answer(&pool, &input));
    let batch = |count: u32| {
        let job = Job::new("");
        let jobs = (0..count).map(|_| job.clone());
        let batch = pool.submit_many(jobs)?;
        for completion in batch.unordered() {
            same(&reply_in(completion)?.output, b"")?;
        }
        Ok(())
    };
    // What is made once, at the first use, is not counted.
    calls(10)?;
    batch(10)?;
    // The difference of few and of many: what a batch takes as a whole cancels out.
    let called = allocated(|| calls(2 * count))? as f64 - allocated(|| calls(count))? as f64;
    let batched = allocated(|| batch(2 * count))? as f64 - allocated(|| batch(count))? as f64;
    let each = f64::from(count);
    let (call, job) = (called / each, batched / each);
    Ok(writeln!(io::stdout(), "call {call:.3} job {job:.3}")?)
}

fn start(args: &Starts, look: fn(&Pool) -> Result<(), Failure>) -> Result<(), Failure> {
    let method = match args.start {
        Start::Fork => StartMethod::Fork,
        Start::Spare => StartMethod::Spare,
    };
    let prepared = builder(Isolation::Process, WaitPolicy::Park)?
        .start(method)
        .prepare()?;
    // The first start makes what all share.
    answer(&prepared.start()?, b"first")?;
    for _ in 0..args.count {
        let pool = prepared.start()?;
        answer(&pool, &[0x5a; 64])?;
        look(&pool)?;
    }
    Ok(())
}

/// A line for the worker, of names and numbers.
fn tell(pool: &Pool) -> Result<(), Failure> {
    let pid = pid(pool)?.ok_or("the worker has no process of its own")?;
    // It goes on for a while when its reply is there, and has faults in that, too.
    Bed::of_worker(pool)?.await_sleep()?;
    Ok(writeln!(io::stdout(), "{}", Taken::by(pid)?)?)
}

/// What a process holds, and what it had to wait for the kernel for.
struct Taken {
    faults: u64,
    private_kib: u64,
    mappings: usize,
    descriptors: usize,
}

impl Taken {
    fn by(pid: u32) -> Result<Self, Failure> {
        // The faults first: looking at the rest must not be able to cause any.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
        Ok(Self {
            faults: field(&stat, MINOR_FAULTS)?.parse()?,
            private_kib: private_dirty(&rollup)?,
            mappings: fs::read_to_string(format!("/proc/{pid}/maps"))?
                .lines()
                .count(),
            descriptors: fs::read_dir(format!("/proc/{pid}/fd"))?.count(),
        })
    }
}

impl std::fmt::Display for Taken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "faults {} private_kib {} mappings {} descriptors {}",
            self.faults, self.private_kib, self.mappings, self.descriptors
        )
    }
}

/// Fields of a process's or a thread's `stat`, counted as in `proc_pid_stat(5)`.
const STATE: usize = 3;
const MINOR_FAULTS: usize = 10;

/// A field behind the name, which stands in parentheses and may contain some.
fn field(stat: &str, number: usize) -> Result<&str, Failure> {
    let found = stat
        .rsplit_once(") ")
        .and_then(|(_, rest)| rest.split(' ').nth(number - STATE));
    Ok(found.ok_or_else(|| format!("the kernel does not tell field {number} of {stat:?}"))?)
}

fn private_dirty(rollup: &str) -> Result<u64, Failure> {
    let kib = rollup
        .lines()
        .find_map(|line| line.strip_prefix("Private_Dirty:"))
        .and_then(|rest| rest.trim().strip_suffix(" kB"))
        .ok_or("the kernel does not tell private pages")?;
    Ok(kib.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_from_behind_a_name_with_parentheses() {
        let stat = "42 (a) (b) c) S 1 2 3 4 5 6 1234 7 8 9 10";
        assert_eq!(field(stat, STATE).unwrap(), "S");
        assert_eq!(field(stat, MINOR_FAULTS).unwrap(), "1234");
        assert!(field("42 (short) S 1", MINOR_FAULTS).is_err());
    }

    #[test]
    fn private_pages_are_found_by_their_name() {
        let rollup = "Shared_Dirty:        8 kB\nPrivate_Dirty:      36 kB\n";
        assert_eq!(private_dirty(rollup).unwrap(), 36);
        assert!(private_dirty("").is_err());
    }
}

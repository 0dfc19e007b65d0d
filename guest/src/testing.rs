//! A host that stands in for the real one, so that a guest can be tested natively.
//!
//! It has no limits and no deadline, waits for nobody, and is reproducible as the real one is with a seed: the random
//! bytes are the same in each job, and the clock advances by a microsecond per call.
//!
//! ```
//! use cofferdam_guest::testing::Job;
//!
//! let ending = Job::new(b"wasm").run(|context, input| -> Result<Vec<u8>, String> {
//!     context.post("working");
//!     Ok([b"Hello, ", input].concat())
//! });
//! assert_eq!(ending.output, b"Hello, wasm");
//! assert_eq!(ending.posted, [b"working"]);
//! ```

use crate::abi::{self, Level};
use crate::{Context, Reply};
use core::mem::MaybeUninit;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::string::String;
use std::vec::Vec;

/// A job to run a handler on.
#[derive(Debug, Clone, Default)]
pub struct Job {
    input: Vec<u8>,
    inbox: VecDeque<Vec<u8>>,
    stays_open: bool,
    region: Option<Region>,
}

/// What stands in for memory that others see.
#[derive(Debug, Clone)]
struct Region {
    bytes: Vec<u8>,
    access: Access,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    ReadOnly,
    ReadWrite,
}

/// How a job went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ending {
    /// What `handle` returned: 0 for done.
    pub code: i32,
    /// The reason given last, decoded as the host would, whatever the code.
    pub reason: Option<String>,
    /// The reply, as far as it was written.
    pub output: Vec<u8>,
    /// The messages to the host.
    pub posted: Vec<Vec<u8>>,
    /// The lines of the log.
    pub log: Vec<(Level, String)>,
    /// The region as the job left it, if it was given one.
    pub region: Option<Vec<u8>>,
}

impl Job {
    /// A job with this input, and a closed, empty inbox.
    pub fn new(input: impl Into<Vec<u8>>) -> Self {
        Self {
            input: input.into(),
            ..Self::default()
        }
    }

    /// The same with one more message for the guest.
    #[must_use]
    pub fn with_message(mut self, message: impl Into<Vec<u8>>) -> Self {
        self.inbox.push_back(message.into());
        self
    }

    /// The same, but after its messages the inbox is empty and not closed. Every wait passes at once; one without end
    /// panics, as it would hang.
    #[must_use]
    pub fn with_open_inbox(mut self) -> Self {
        self.stays_open = true;
        self
    }

    /// The same with a region of this content, which the guest may write to.
    #[must_use]
    pub fn with_region(self, content: impl Into<Vec<u8>>) -> Self {
        self.sharing(content.into(), Access::ReadWrite)
    }

    /// The same with a region of this content, which the guest may only read.
    #[must_use]
    pub fn with_read_only_region(self, content: impl Into<Vec<u8>>) -> Self {
        self.sharing(content.into(), Access::ReadOnly)
    }

    fn sharing(mut self, bytes: Vec<u8>, access: Access) -> Self {
        assert!(!bytes.is_empty(), "a region has at least one byte");
        self.region = Some(Region { bytes, access });
        self
    }

    /// Runs a handler, as [`handler!`](crate::handler) would.
    pub fn run<R: Reply>(self, handler: impl FnOnce(&Context, &[u8]) -> R) -> Ending {
        self.run_entry(|context| handler(context, &context.input()).hand_in(context))
    }

    /// Runs an entry, as [`entry!`](crate::entry) would.
    pub fn run_entry(self, entry: impl FnOnce(&Context) -> i32) -> Ending {
        let host = Host {
            job: self,
            ending: Ending::default(),
            calls_of_clock: 0,
            random_state: 0,
        };
        let outer = HOST.replace(Some(host));
        let guard = Restore(outer);
        let code = entry(&Context::new());
        let host = HOST.take();
        drop(guard);
        let mut host = host.expect("the host of this job is still there");
        Ending {
            code,
            region: host.job.region.take().map(|region| region.bytes),
            ..host.ending
        }
    }
}

/// Puts back what was there before the job, also when the handler panics.
struct Restore(Option<Host>);

impl Drop for Restore {
    fn drop(&mut self) {
        HOST.set(self.0.take());
    }
}

#[derive(Debug)]
struct Host {
    job: Job,
    ending: Ending,
    calls_of_clock: i64,
    random_state: u64,
}

std::thread_local! {
    static HOST: RefCell<Option<Host>> = const { RefCell::new(None) };
}

fn with_host<T>(call: impl FnOnce(&mut Host) -> T) -> T {
    HOST.with_borrow_mut(|host| {
        let host = host
            .as_mut()
            .expect("outside WebAssembly a guest has a host only within `cofferdam_guest::testing::Job::run`");
        call(host)
    })
}

fn len_i32(len: usize) -> i32 {
    i32::try_from(len).expect("a test's buffer of 2 GiB or more")
}

pub(crate) fn input_len() -> i32 {
    with_host(|host| len_i32(host.job.input.len()))
}

pub(crate) fn input_read(dst: &mut [MaybeUninit<u8>], offset: u32) -> i32 {
    with_host(|host| {
        let rest = host.job.input.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(dst.len());
        dst[..len].write_copy_of_slice(&rest[..len]);
        len_i32(len)
    })
}

pub(crate) fn output_write(bytes: &[u8]) {
    with_host(|host| host.ending.output.extend_from_slice(bytes));
}

pub(crate) fn fail(reason: &[u8]) {
    let kept = &reason[..reason.len().min(abi::MAX_REASON)];
    with_host(|host| host.ending.reason = Some(String::from_utf8_lossy(kept).into_owned()));
}

pub(crate) fn post(message: &[u8]) {
    with_host(|host| host.ending.posted.push(message.to_vec()));
}

pub(crate) fn recv(dst: &mut [MaybeUninit<u8>], timeout_ms: i32) -> i32 {
    with_host(|host| match host.job.inbox.front() {
        Some(message) => {
            let len = message.len();
            if let Some(room) = dst.get_mut(..len) {
                room.write_copy_of_slice(message);
                host.job.inbox.pop_front();
            }
            len_i32(len)
        }
        None if !host.job.stays_open => abi::RECV_CLOSED,
        None if timeout_ms >= 0 => abi::RECV_NONE,
        None => panic!("the guest waits for ever on an inbox that stays open and gets no message"),
    })
}

pub(crate) fn log(level: i32, line: &[u8]) {
    let kept = &line[..line.len().min(abi::MAX_LOG_LINE)];
    let line = (
        Level::from_i32(level),
        String::from_utf8_lossy(kept).into_owned(),
    );
    with_host(|host| host.ending.log.push(line));
}

pub(crate) fn random(dst: &mut [MaybeUninit<u8>]) {
    with_host(|host| {
        for byte in dst {
            // SplitMix64, https://prng.di.unimi.it/splitmix64.c.
            host.random_state = host.random_state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = host.random_state;
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            byte.write(mixed.to_le_bytes()[7]);
        }
    });
}

pub(crate) fn clock() -> i64 {
    with_host(|host| {
        host.calls_of_clock += 1;
        host.calls_of_clock * 1000
    })
}

pub(crate) fn region_len() -> i64 {
    with_host(|host| match &host.job.region {
        Some(region) => region
            .bytes
            .len()
            .try_into()
            .expect("no test has so much memory"),
        None => abi::NO_REGION,
    })
}

pub(crate) fn region_read(dst: &mut [MaybeUninit<u8>], offset: u64) {
    with_region(|region| {
        dst.write_copy_of_slice(region.range(offset, dst.len()));
    });
}

pub(crate) fn region_write(bytes: &[u8], offset: u64) {
    with_region(|region| {
        region.for_writing();
        region.range(offset, bytes.len()).copy_from_slice(bytes);
    });
}

pub(crate) fn region_load(offset: u64) -> i64 {
    with_region(|region| region.word(offset))
}

/// Puts what `change` makes of a word in its place, and returns what it was before.
pub(crate) fn region_change(offset: u64, change: impl FnOnce(i64) -> i64) -> i64 {
    with_region(|region| {
        region.for_writing();
        let before = region.word(offset);
        let word = region.range(offset, 8);
        word.copy_from_slice(&change(before).to_le_bytes());
        before
    })
}

/// Where the real host ends the job with an interface violation, this panics.
fn with_region<T>(act: impl FnOnce(&mut Region) -> T) -> T {
    with_host(|host| {
        let region = host.job.region.as_mut();
        act(region.expect("interface violation: the job has no region"))
    })
}

impl Region {
    fn for_writing(&self) {
        let may_write = self.access == Access::ReadWrite;
        assert!(
            may_write,
            "interface violation: the region may only be read"
        );
    }

    fn range(&mut self, offset: u64, len: usize) -> &mut [u8] {
        let size = self.bytes.len();
        let range = usize::try_from(offset).ok().and_then(|start| {
            let end = start.checked_add(len)?;
            self.bytes.get_mut(start..end)
        });
        range.unwrap_or_else(|| {
            panic!("interface violation: {len} bytes at {offset} of a region of {size} bytes")
        })
    }

    fn word(&mut self, offset: u64) -> i64 {
        let aligned = offset.is_multiple_of(8);
        assert!(aligned, "interface violation: {offset} is no multiple of 8");
        let bytes = self.range(offset, 8);
        i64::from_le_bytes(bytes.try_into().expect("a word has eight bytes"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    #[test]
    fn a_panic_in_a_job_leaves_no_host_behind() {
        let job = AssertUnwindSafe(|| Job::new("").run_entry(|_| panic!("on purpose")));
        catch_unwind(job).unwrap_err();
        assert!(HOST.take().is_none());
    }

    #[test]
    fn a_job_within_a_job_has_a_host_of_its_own() {
        let outer = Job::new("outer").run_entry(|context| {
            let inner = Job::new("inner").run_entry(|context| {
                context.write(&context.input());
                0
            });
            assert_eq!(inner.output, b"inner");
            context.write(&context.input());
            0
        });
        assert_eq!(outer.output, b"outer");
    }

    #[test]
    fn the_same_job_twice_draws_the_same_random_bytes() {
        let draw = || {
            Job::new("").run_entry(|context| {
                context.write(&context.random_array::<32>());
                0
            })
        };
        assert_eq!(draw(), draw());
    }
}

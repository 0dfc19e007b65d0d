//! What a handler may ask of its host.

use crate::abi::{self, Level};
use crate::imports;
use crate::region::Region;
use crate::text::Text;
use core::fmt;
use core::mem::MaybeUninit;
use core::time::Duration;

/// The host of the running job, as the handler sees it.
///
/// It holds nothing: copy it, and hand it down to whatever needs it.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    // Only the entry makes one, so that a signature with `Context` says "this runs inside a job".
    _private: (),
}

/// How long [`Context::recv`] waits for a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Takes what is there.
    Poll,
    /// At most this long, rounded up to milliseconds; what exceeds `i32::MAX` of them (24 days) waits so long.
    UpTo(Duration),
    /// Until a message comes, the host closes the inbox, or the job's deadline passes.
    Forever,
}

impl Wait {
    fn as_millis(self) -> i32 {
        match self {
            Self::Poll => 0,
            Self::UpTo(time) => {
                i32::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
            }
            Self::Forever => -1,
        }
    }
}

/// What [`Context::recv`] found.
#[cfg(feature = "alloc")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A message, now taken.
    Message(alloc::vec::Vec<u8>),
    /// None came in time; a later one may.
    Empty,
    /// None will come any more.
    Closed,
}

/// What [`Context::recv_into`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum ReceivedInto<'a> {
    /// A message, now taken: the part of the buffer that holds it.
    Message(&'a [u8]),
    /// A message of this length waits, and the buffer is too small: nothing was taken.
    TooLarge(usize),
    /// None came in time; a later one may.
    Empty,
    /// None will come any more.
    Closed,
}

/// Most messages are short; a longer one costs a second call and a second allocation, never a loss.
#[cfg(feature = "alloc")]
const FIRST_RECV_CAPACITY: usize = 256;

impl Context {
    pub(crate) const fn new() -> Self {
        Self { _private: () }
    }

    /// Bytes of this job's input.
    #[must_use]
    pub fn input_len(self) -> usize {
        imports::input_len()
    }

    /// Copies input from `offset` on into `buffer` and returns the part that was filled: less than the whole only at
    /// the input's end, and empty from there on.
    pub fn read_input(self, offset: usize, buffer: &mut [u8]) -> &mut [u8] {
        imports::input_read_over(offset, buffer)
    }

    /// [`Context::read_input`] for a buffer that nobody cleared before.
    pub fn read_input_uninit(self, offset: usize, buffer: &mut [MaybeUninit<u8>]) -> &mut [u8] {
        imports::input_read(offset, buffer)
    }

    /// Appends to the reply. Past the output limit the job ends here.
    pub fn write(self, bytes: &[u8]) {
        imports::output_write(bytes);
    }

    /// Sets the reason that goes with a refusal or a trap, at most [`abi::MAX_REASON`] bytes; the last one counts.
    /// It ends nothing by itself.
    pub fn fail(self, reason: impl fmt::Display) {
        imports::fail(Text::<{ abi::MAX_REASON }>::of(&reason).as_bytes());
    }

    /// Sends a message to the host now, before the reply. It counts towards the output limit.
    pub fn post(self, message: impl AsRef<[u8]>) {
        imports::post(message.as_ref());
    }

    /// Takes the next message that the host posted to this job, into a buffer of the caller.
    pub fn recv_into(self, buffer: &mut [u8], wait: Wait) -> ReceivedInto<'_> {
        let answer = imports::recv_over(buffer, wait.as_millis());
        match usize::try_from(answer) {
            Ok(len) if len <= buffer.len() => ReceivedInto::Message(&buffer[..len]),
            Ok(len) => ReceivedInto::TooLarge(len),
            Err(_) if answer == abi::RECV_NONE => ReceivedInto::Empty,
            Err(_) => ReceivedInto::Closed,
        }
    }

    /// Writes a line to the host's log, at most [`abi::MAX_LOG_LINE`] bytes of it: a text, or `format_args!(…)`.
    pub fn log(self, level: Level, line: impl fmt::Display) {
        imports::log(
            level.as_i32(),
            Text::<{ abi::MAX_LOG_LINE }>::of(&line).as_bytes(),
        );
    }

    /// Fills `buffer` with random bytes: the operating system's, or reproducible ones when the host runs with a seed.
    pub fn random(self, buffer: &mut [u8]) {
        imports::random(buffer);
    }

    /// `N` random bytes, for a salt or a nonce.
    #[must_use]
    pub fn random_array<const N: usize>(self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random(&mut bytes);
        bytes
    }

    /// The time since an arbitrary moment; it never goes back.
    #[must_use]
    pub fn clock(self) -> Duration {
        Duration::from_nanos(imports::clock().cast_unsigned())
    }

    /// The memory that the host shares between its workers, if there is any.
    #[must_use]
    pub fn region(self) -> Option<Region> {
        Region::of_this_job()
    }
}

/// Fills `buffer` as [`Context::random`] does, for hooks of other crates, which are handed no context: getrandom 0.2's
/// `register_custom_getrandom!`, a hasher's seed. For getrandom 0.3 and 0.4 there is
/// [`getrandom_backend!`](crate::getrandom_backend).
pub fn fill_random(buffer: &mut [u8]) {
    Context::new().random(buffer);
}

/// What needs an allocator.
#[cfg(feature = "alloc")]
impl Context {
    /// The whole input, in one allocation and one copy.
    #[must_use]
    pub fn input(self) -> alloc::vec::Vec<u8> {
        imports::input()
    }

    /// Takes the next message that the host posted to this job.
    #[must_use]
    pub fn recv(self, wait: Wait) -> Received {
        match imports::recv_vec(FIRST_RECV_CAPACITY, wait.as_millis()) {
            Ok(message) => Received::Message(message),
            Err(abi::RECV_NONE) => Received::Empty,
            Err(_) => Received::Closed,
        }
    }
}

#[cfg(all(test, feature = "std", not(target_family = "wasm")))]
mod tests {
    use super::*;
    use crate::testing::Job;
    use std::vec;
    use std::vec::Vec;

    /// What a job finds out, by any way.
    fn found<T>(job: Job, find: impl FnOnce(Context) -> T) -> T {
        let mut found = None;
        job.run_entry(|context| {
            found = Some(find(*context));
            0
        });
        found.unwrap()
    }

    #[test]
    fn the_input_is_read_whole_or_in_parts() {
        found(Job::new("abcdef"), |context| {
            assert_eq!(
                (context.input_len(), context.input()),
                (6, b"abcdef".to_vec())
            );
            let mut buffer = [0; 4];
            assert_eq!(context.read_input(0, &mut buffer), b"abcd");
            assert_eq!(context.read_input(4, &mut buffer), b"ef");
            assert_eq!(context.read_input(6, &mut buffer), b"");
            assert_eq!(context.read_input(usize::MAX, &mut buffer), b"");
            assert_eq!(context.read_input(0, &mut []), b"");
        });
    }

    #[test]
    fn an_empty_input_is_empty() {
        assert_eq!(found(Job::new(""), Context::input), b"");
    }

    #[test]
    fn messages_come_in_order_and_whole_until_the_inbox_is_closed() {
        let long = vec![7; 10 * FIRST_RECV_CAPACITY];
        let job = Job::new("")
            .with_message("a")
            .with_message("")
            .with_message(long.clone());
        let received: Vec<_> = found(job, |context| {
            (0..4).map(|_| context.recv(Wait::Poll)).collect()
        });
        assert_eq!(
            received,
            [
                Received::Message(b"a".to_vec()),
                Received::Message(vec![]),
                Received::Message(long),
                Received::Closed,
            ]
        );
    }

    #[test]
    fn an_open_inbox_is_empty_and_not_closed() {
        let wait = Wait::UpTo(Duration::from_millis(5));
        let job = Job::new("").with_open_inbox();
        assert_eq!(found(job, |context| context.recv(wait)), Received::Empty);
    }

    #[test]
    fn a_message_that_does_not_fit_stays() {
        let job = Job::new("").with_message("four");
        found(job, |context| {
            assert_eq!(
                context.recv_into(&mut [0; 3], Wait::Poll),
                ReceivedInto::TooLarge(4)
            );
            assert_eq!(
                context.recv_into(&mut [0; 4], Wait::Poll),
                ReceivedInto::Message(b"four")
            );
            assert_eq!(
                context.recv_into(&mut [0; 4], Wait::Forever),
                ReceivedInto::Closed
            );
        });
    }

    #[test]
    fn a_wait_is_rounded_up_and_never_becomes_endless() {
        let millis = |time| Wait::UpTo(time).as_millis();
        assert_eq!(millis(Duration::ZERO), 0);
        assert_eq!(millis(Duration::from_nanos(1)), 1);
        assert_eq!(millis(Duration::from_millis(20)), 20);
        assert_eq!(millis(Duration::MAX), i32::MAX);
        assert_eq!(Wait::Forever.as_millis(), -1);
    }

    #[test]
    fn a_long_line_and_a_long_reason_are_cut() {
        let ending = Job::new("").run_entry(|context| {
            let long = "ä".repeat(abi::MAX_REASON);
            context.log(Level::Warn, &long);
            context.fail(&long);
            7
        });
        assert_eq!(ending.code, 7);
        assert_eq!(ending.reason.unwrap().len(), abi::MAX_REASON);
        assert_eq!(ending.log[0].0, Level::Warn);
        assert_eq!(ending.log[0].1.len(), abi::MAX_LOG_LINE);
    }

    #[test]
    fn random_bytes_are_filled_in_and_the_clock_advances() {
        found(Job::new(""), |context| {
            let (first, second) = (context.random_array::<16>(), context.random_array::<16>());
            assert_ne!(first, second);
            assert_ne!(first, [0; 16]);
            assert!(context.clock() < context.clock());
        });
    }
}

//! The names and numbers of guest interface 1, written down once for both sides.
//!
//! The host links this module natively and without default features; the rest of the crate is for guests.
//! What each of them means is told in `INTERFACE.md`.

/// The version of the interface that this module describes.
pub const VERSION: u32 = 1;

/// The import module of every host function.
pub const MODULE: &str = "cofferdam";

/// The exported function without parameters, results or effect that marks a guest of this interface.
pub const MARKER: &str = "cofferdam_abi_1";

/// What the marker's name begins with in every version, so that a guest of a later one can be told from a stranger.
pub const MARKER_PREFIX: &str = "cofferdam_abi_";

/// The exported function `() -> i32` that does one job: 0 means done, anything else refused with that code.
pub const ENTRY: &str = "handle";

/// The exported linear memory into which all pointers point.
pub const MEMORY: &str = "memory";

/// The optional export that the host calls once per instance, before the first job.
pub const INITIALIZE: &str = "_initialize";

/// The names of the imports, each in [`MODULE`].
pub mod import {
    /// `input_len() -> i32`
    pub const INPUT_LEN: &str = "input_len";
    /// `input_read(dst: i32, offset: i32, len: i32) -> i32`
    pub const INPUT_READ: &str = "input_read";
    /// `output_write(src: i32, len: i32)`
    pub const OUTPUT_WRITE: &str = "output_write";
    /// `fail(src: i32, len: i32)`
    pub const FAIL: &str = "fail";
    /// `post(src: i32, len: i32)`
    pub const POST: &str = "post";
    /// `recv(dst: i32, cap: i32, timeout_ms: i32) -> i32`
    pub const RECV: &str = "recv";
    /// `log(level: i32, src: i32, len: i32)`
    pub const LOG: &str = "log";
    /// `random(dst: i32, len: i32)`
    pub const RANDOM: &str = "random";
    /// `clock() -> i64`
    pub const CLOCK: &str = "clock";
    /// `region_len() -> i64`
    pub const REGION_LEN: &str = "region_len";
    /// `region_read(dst: i32, offset: i64, len: i32)`
    pub const REGION_READ: &str = "region_read";
    /// `region_write(src: i32, offset: i64, len: i32)`
    pub const REGION_WRITE: &str = "region_write";
    /// `region_load(offset: i64) -> i64`
    pub const REGION_LOAD: &str = "region_load";
    /// `region_store(offset: i64, value: i64)`
    pub const REGION_STORE: &str = "region_store";
    /// `region_add(offset: i64, value: i64) -> i64`
    pub const REGION_ADD: &str = "region_add";
    /// `region_compare_exchange(offset: i64, expected: i64, new: i64) -> i64`
    pub const REGION_COMPARE_EXCHANGE: &str = "region_compare_exchange";

    /// All of them.
    pub const ALL: [&str; 16] = [
        INPUT_LEN,
        INPUT_READ,
        OUTPUT_WRITE,
        FAIL,
        POST,
        RECV,
        LOG,
        RANDOM,
        CLOCK,
        REGION_LEN,
        REGION_READ,
        REGION_WRITE,
        REGION_LOAD,
        REGION_STORE,
        REGION_ADD,
        REGION_COMPARE_EXCHANGE,
    ];
}

/// `recv`: no message came within the time.
pub const RECV_NONE: i32 = -1;

/// `recv`: no message will come any more.
pub const RECV_CLOSED: i32 = -2;

/// `region_len`: the job has no region.
pub const NO_REGION: i64 = -1;

/// The most bytes of a reason that the host keeps: enough for a message and a location, too few to flood a terminal.
pub const MAX_REASON: usize = 4096;

/// The most bytes of one log line that the host keeps; the rest of the line is dropped.
pub const MAX_LOG_LINE: usize = 4096;

/// The most bytes of log that the host keeps for one job; further lines are counted and dropped.
pub const MAX_LOG_PER_JOB: usize = 64 * 1024;

/// How much a log line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub enum Level {
    /// Something failed.
    Error = 0,
    /// Something is odd, and the job goes on.
    Warn = 1,
    /// What an operator wants to know.
    Info = 2,
    /// What the guest's author wants to know.
    Debug = 3,
    /// Everything.
    Trace = 4,
}

impl Level {
    /// Every level, the gravest first.
    pub const ALL: [Self; 5] = [
        Self::Error,
        Self::Warn,
        Self::Info,
        Self::Debug,
        Self::Trace,
    ];

    /// The level that a guest's number means; a number that is no level means [`Level::Trace`].
    #[must_use]
    pub const fn from_i32(level: i32) -> Self {
        match level {
            0 => Self::Error,
            1 => Self::Warn,
            2 => Self::Info,
            3 => Self::Debug,
            _ => Self::Trace,
        }
    }

    /// The number that crosses the interface.
    #[must_use]
    pub const fn as_i32(self) -> i32 {
        self as i32
    }

    /// The level's lower-case name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_level_survives_the_way_through_its_number() {
        assert_eq!(
            Level::ALL.map(|level| Level::from_i32(level.as_i32())),
            Level::ALL
        );
    }

    #[test]
    fn a_number_that_is_no_level_means_trace() {
        assert_eq!(
            [5, -1, i32::MIN, i32::MAX].map(Level::from_i32),
            [Level::Trace; 4]
        );
    }

    #[test]
    fn the_marker_is_the_prefix_and_the_version() {
        let (prefix, version) = MARKER.split_at(MARKER_PREFIX.len());
        assert_eq!((prefix, version.parse()), (MARKER_PREFIX, Ok(VERSION)));
    }
}

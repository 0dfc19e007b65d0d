//! A job's standard streams: its input, its output, and lines for its log.

use std::ops::Range;

use cofferdam_guest::abi;
use wasmtime::Result;

use super::super::state::JobState;
use super::StoreState;
use super::imports;
use crate::guest::Entry;

/// A job's standard streams.
#[derive(Debug, Default)]
pub(in crate::runtime) struct Streams {
    /// Bytes of the input that were read.
    pub(in crate::runtime) read: usize,
    /// Which of the three were closed, a bit each.
    closed: u8,
    /// The beginning of a line on standard error, and on the standard output of what is no command. Most jobs have
    /// neither.
    lines: Option<Box<[Vec<u8>; 2]>>,
    /// Whether the guest ended itself: its instance is of no more use.
    pub(in crate::runtime) exited: bool,
}

pub(super) const STDIN: i32 = 0;
pub(super) const STDOUT: i32 = 1;
pub(super) const STDERR: i32 = 2;

impl Streams {
    pub(super) fn is_open(&self, fd: i32) -> bool {
        (STDIN..=STDERR).contains(&fd) && self.closed & (1 << fd) == 0
    }

    /// Whether it was open until now.
    pub(super) fn close(&mut self, fd: i32) -> bool {
        let was_open = self.is_open(fd);
        if was_open {
            self.closed |= 1 << fd;
        }
        was_open
    }
}

impl JobState {
    /// Logs what was begun of a line when the guest ended.
    pub(in crate::runtime) fn flush(&mut self) {
        let Some(lines) = self.streams.lines.take() else {
            return;
        };
        for line in lines.iter().filter(|line| !line.is_empty()) {
            self.log(abi::Level::Info, line);
        }
    }

    /// What was begun of a line.
    fn line(&mut self, stream: usize) -> &mut Vec<u8> {
        &mut self.streams.lines.get_or_insert_default()[stream]
    }

    /// Logs each line of what a guest says; what has no end yet waits for it. A line that is too long is cut
    /// into several.
    pub(in crate::runtime) fn say_lines(&mut self, stream: usize, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match part.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (part, false),
            };
            let mut rest = text;
            loop {
                let line = self.line(stream);
                let room = abi::MAX_LOG_LINE - line.len();
                if rest.len() <= room {
                    line.extend_from_slice(rest);
                    break;
                }
                let (now, later) = rest.split_at(room);
                line.extend_from_slice(now);
                rest = later;
                let line = std::mem::take(line);
                self.log(abi::Level::Info, &line);
            }
            if ends {
                let line = std::mem::take(self.line(stream));
                let line = line.strip_suffix(b"\r").unwrap_or(&line);
                self.log(abi::Level::Info, line);
            }
        }
    }
}

/// Where the rest of standard input begins, and how long it is. Only a command has any: what else is called got its
/// input already.
pub(in crate::runtime) fn unread(state: &StoreState) -> (usize, usize) {
    let read = state.job.streams.read;
    match state.world.entry {
        Entry::Start | Entry::Run => (read, state.job.job.payload().len() - read),
        Entry::Handle
        | Entry::Function { .. }
        | Entry::Packed(_)
        | Entry::Extism { .. }
        | Entry::Worker => (0, 0),
    }
}

/// Reads from standard input into one buffer after the other.
pub(super) fn read_into(
    memory: &mut [u8],
    state: &mut StoreState,
    ranges: Vec<Range<usize>>,
) -> usize {
    let mut read = 0;
    for range in ranges {
        let (from, left) = unread(state);
        let count = range.len().min(left);
        let buffer = &mut memory[range.start..range.start + count];
        // What a function was called with is in its arguments already.
        state.job.job.payload().copy_to(from, buffer);
        state.job.streams.read += count;
        read += count;
    }
    read
}

/// The most bytes of lines that are taken in one call.
pub(in crate::runtime) const MOST_LINES: usize = 64 << 10;

/// Writes to one of the other two.
///
/// # Errors
/// Past the output limit the job ends.
pub(super) fn write_from(
    memory: &[u8],
    state: &mut StoreState,
    fd: i32,
    ranges: Vec<Range<usize>>,
) -> Result<usize> {
    let is_output = fd == STDOUT && state.world.entry.is_command();
    let mut written = 0;
    for range in ranges {
        if is_output {
            imports::say(state, &memory[range.clone()])?;
            written += range.len();
            continue;
        }
        // Lines cost the job nothing but its share of the log, so that one call must not say all too many. Whoever
        // writes less than was asked for is called again, and can be stopped in between.
        let taken = range.len().min(MOST_LINES - written);
        let said = range.start..range.start + taken;
        state
            .job
            .say_lines(usize::from(fd == STDOUT), &memory[said]);
        written += taken;
        if written == MOST_LINES {
            break;
        }
    }
    Ok(written)
}

//! WASI preview 1, for commands and for modules whose functions are called by name.
//!
//! A job's input is standard input, and its output is standard output; lines on standard error are log lines.
//! Nothing else is there but the folders that were granted ([`table`], [`files`], [`paths`]); without one every path is
//! refused. Sockets do not exist. Arguments and environment are those of the pool. Every wait can be interrupted at the
//! deadline.
//!
//! It is our own and not `wasmtime-wasi`: that one needs an executor with threads of its own, which a process that
//! is to be forked must not have and a hardened one may not, and its sleeps cannot be interrupted from outside.
//!
//! The contract: <https://github.com/WebAssembly/WASI/blob/wasi-0.1/preview1/docs.md>. A pointer outside of the
//! memory ends the job, as it does in interface 1, where others return `fault`.

mod errno;
mod files;
mod paths;
mod table;

use std::time::Duration;

use cofferdam_guest::abi;
use crossbeam_channel::RecvTimeoutError;
use rustix::io::Errno;
use wasmtime::{Linker, Module, Result};

use super::imports::{self, Guest, check, end, open};
use super::state::{JobState, StoreState};
use crate::guest::Entry;
use crate::guest::wasi::Edition;
use crate::job::Outcome;
use files::Way;
use paths::{From, How};

pub(crate) use table::MOST_OPEN;
pub(super) use table::Table;

/// A job's standard streams.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// Bytes of the input that were read.
    read: usize,
    /// Which of the three were closed, a bit each.
    closed: u8,
    /// The beginning of a line on standard error, and on the standard output of what is no command. Most jobs have
    /// neither.
    lines: Option<Box<[Vec<u8>; 2]>>,
    /// Whether the guest ended itself: its instance is of no more use.
    pub(super) exited: bool,
}

const STDIN: i32 = 0;
const STDOUT: i32 = 1;
const STDERR: i32 = 2;

/// Offers every function of the editions that a guest imports from.
pub(super) fn define(linker: &mut Linker<StoreState>, guest: &Module) -> Result<()> {
    let is_wanted = |edition: &Edition| {
        let mut imports = guest.imports();
        imports.any(|import| import.module() == edition.module())
    };
    for edition in Edition::ALL.into_iter().filter(is_wanted) {
        let module = edition.module();
        linker
            .func_wrap(module, "args_get", args_get)?
            .func_wrap(module, "args_sizes_get", args_sizes_get)?
            .func_wrap(module, "environ_get", environ_get)?
            .func_wrap(module, "environ_sizes_get", environ_sizes_get)?
            .func_wrap(module, "clock_res_get", clock_res_get)?
            .func_wrap(module, "clock_time_get", clock_time_get)?
            .func_wrap(module, "fd_close", fd_close)?
            .func_wrap(module, "fd_fdstat_get", fd_fdstat_get)?
            .func_wrap(
                module,
                "fd_filestat_get",
                move |guest: Guest<'_>, fd: i32, into: u32| {
                    fd_filestat_get(guest, edition, fd, into)
                },
            )?
            .func_wrap(module, "fd_read", fd_read)?
            .func_wrap(module, "fd_write", fd_write)?
            .func_wrap(
                module,
                "poll_oneoff",
                move |guest: Guest<'_>, subscriptions: u32, events: u32, count: u32, into: u32| {
                    poll_oneoff(guest, edition, subscriptions, events, count, into)
                },
            )?
            .func_wrap(module, "proc_exit", proc_exit)?
            .func_wrap(module, "proc_raise", |_: i32| errno::NOSYS)?
            .func_wrap(module, "random_get", random_get)?
            .func_wrap(module, "sched_yield", || errno::SUCCESS)?;
        files_of(linker, edition)?;
        paths_of(linker, edition)?;
        linker
            .func_wrap(
                module,
                "sock_accept",
                |g: Guest<'_>, fd: i32, _: i32, _: i32| known(&g, fd, errno::NOTSOCK),
            )?
            .func_wrap(
                module,
                "sock_recv",
                |g: Guest<'_>, fd: i32, _: i32, _: i32, _: i32, _: i32, _: i32| {
                    known(&g, fd, errno::NOTSOCK)
                },
            )?
            .func_wrap(
                module,
                "sock_send",
                |g: Guest<'_>, fd: i32, _: i32, _: i32, _: i32, _: i32| {
                    known(&g, fd, errno::NOTSOCK)
                },
            )?
            .func_wrap(module, "sock_shutdown", |g: Guest<'_>, fd: i32, _: i32| {
                known(&g, fd, errno::NOTSOCK)
            })?;
    }
    Ok(())
}

/// The functions on what is open. A stream that is no file has no place and no size, and nothing is kept of it.
fn files_of(linker: &mut Linker<StoreState>, edition: Edition) -> Result<()> {
    let module = edition.module();
    linker
        .func_wrap(
            module,
            "fd_advise",
            |mut g: Guest<'_>, fd: i32, at: i64, size: i64, advice: i32| {
                or_file(&mut g, "fd_advise", fd, errno::SPIPE, |it| {
                    files::fd_advise(it, at, size, advice)
                })
            },
        )?
        .func_wrap(
            module,
            "fd_allocate",
            |mut g: Guest<'_>, fd: i32, at: i64, size: i64| {
                or_file(&mut g, "fd_allocate", fd, errno::SPIPE, |it| {
                    files::fd_allocate(it, at, size)
                })
            },
        )?
        .func_wrap(module, "fd_datasync", |mut g: Guest<'_>, fd: i32| {
            or_file(&mut g, "fd_datasync", fd, errno::INVAL, |it| {
                files::sync(it, false)
            })
        })?
        .func_wrap(module, "fd_sync", |mut g: Guest<'_>, fd: i32| {
            or_file(&mut g, "fd_sync", fd, errno::INVAL, |it| {
                files::sync(it, true)
            })
        })?
        .func_wrap(
            module,
            "fd_fdstat_set_flags",
            |mut g: Guest<'_>, fd: i32, flags: i32| {
                or_file(&mut g, "fd_fdstat_set_flags", fd, errno::SUCCESS, |it| {
                    files::set_flags(it, flags)
                })
            },
        )?
        // Rights are what a file was opened for; nothing here could be taken from them later.
        .func_wrap(
            module,
            "fd_fdstat_set_rights",
            |mut g: Guest<'_>, fd: i32, _: i64, _: i64| {
                or_file(&mut g, "fd_fdstat_set_rights", fd, errno::SUCCESS, |_| {
                    Err(Errno::NOTSUP)
                })
            },
        )?
        .func_wrap(
            module,
            "fd_filestat_set_size",
            |mut g: Guest<'_>, fd: i32, size: i64| {
                or_file(&mut g, "fd_filestat_set_size", fd, errno::INVAL, |it| {
                    files::fd_filestat_set_size(it, size)
                })
            },
        )?
        .func_wrap(
            module,
            "fd_filestat_set_times",
            |mut g: Guest<'_>, fd: i32, read: i64, written: i64, which: i32| {
                or_file(&mut g, "fd_filestat_set_times", fd, errno::INVAL, |it| {
                    files::fd_filestat_set_times(it, &files::times(read, written, which)?)
                })
            },
        )?
        .func_wrap(
            module,
            "fd_pread",
            |g: Guest<'_>, fd: i32, list: u32, count: u32, at: i64, into: u32| {
                files::move_at(g, Way::In, fd, [list, count], at, into)
            },
        )?
        .func_wrap(
            module,
            "fd_pwrite",
            |g: Guest<'_>, fd: i32, list: u32, count: u32, at: i64, into: u32| {
                files::move_at(g, Way::Out, fd, [list, count], at, into)
            },
        )?
        .func_wrap(module, "fd_renumber", fd_renumber)?
        .func_wrap(
            module,
            "fd_seek",
            move |g: Guest<'_>, fd: i32, offset: i64, from: i32, into: u32| {
                files::fd_seek(g, edition, fd, offset, from, into)
            },
        )?
        .func_wrap(module, "fd_tell", files::fd_tell)?
        .func_wrap(module, "fd_prestat_get", files::fd_prestat_get)?
        .func_wrap(module, "fd_prestat_dir_name", files::fd_prestat_dir_name)?
        .func_wrap(module, "fd_readdir", files::fd_readdir)?;
    Ok(())
}

/// The functions on paths.
fn paths_of(linker: &mut Linker<StoreState>, edition: Edition) -> Result<()> {
    let module = edition.module();
    let from = |fd, path, length| From { fd, path, length };
    linker
        .func_wrap(
            module,
            "path_create_directory",
            move |g: Guest<'_>, fd: i32, path: u32, length: u32| {
                paths::path_create_directory(g, from(fd, path, length))
            },
        )?
        .func_wrap(
            module,
            "path_filestat_get",
            move |g: Guest<'_>, fd: i32, lookup: i32, path: u32, length: u32, into: u32| {
                paths::path_filestat_get(g, edition, lookup, from(fd, path, length), into)
            },
        )?
        .func_wrap(
            module,
            "path_filestat_set_times",
            move |g: Guest<'_>,
                  fd: i32,
                  lookup: i32,
                  path: u32,
                  length: u32,
                  read: i64,
                  written: i64,
                  which: i32| {
                let times = [read, written];
                paths::path_filestat_set_times(g, lookup, from(fd, path, length), times, which)
            },
        )?
        .func_wrap(
            module,
            "path_link",
            move |g: Guest<'_>,
                  fd: i32,
                  lookup: i32,
                  path: u32,
                  length: u32,
                  to: i32,
                  new: u32,
                  room: u32| {
                paths::path_link(g, lookup, [from(fd, path, length), from(to, new, room)])
            },
        )?
        .func_wrap(
            module,
            "path_open",
            move |g: Guest<'_>,
                  fd: i32,
                  lookup: i32,
                  path: u32,
                  length: u32,
                  open: i32,
                  rights: i64,
                  _: i64,
                  flags: i32,
                  into: u32| {
                let how = How {
                    lookup,
                    open,
                    rights,
                    flags,
                };
                paths::path_open(g, from(fd, path, length), how, into)
            },
        )?
        .func_wrap(
            module,
            "path_readlink",
            move |g: Guest<'_>,
                  fd: i32,
                  path: u32,
                  length: u32,
                  into: u32,
                  room: u32,
                  told: u32| {
                paths::path_readlink(g, from(fd, path, length), [into, room], told)
            },
        )?
        .func_wrap(
            module,
            "path_remove_directory",
            move |g: Guest<'_>, fd: i32, path: u32, length: u32| {
                paths::path_remove_directory(g, from(fd, path, length))
            },
        )?
        .func_wrap(
            module,
            "path_rename",
            move |g: Guest<'_>, fd: i32, path: u32, length: u32, to: i32, new: u32, room: u32| {
                paths::path_rename(g, [from(fd, path, length), from(to, new, room)])
            },
        )?
        .func_wrap(
            module,
            "path_symlink",
            move |g: Guest<'_>, target: u32, size: u32, fd: i32, path: u32, length: u32| {
                paths::path_symlink(g, [target, size], from(fd, path, length))
            },
        )?
        .func_wrap(
            module,
            "path_unlink_file",
            move |g: Guest<'_>, fd: i32, path: u32, length: u32| {
                paths::path_unlink_file(g, from(fd, path, length))
            },
        )?;
    Ok(())
}

impl Streams {
    fn is_open(&self, fd: i32) -> bool {
        (STDIN..=STDERR).contains(&fd) && self.closed & (1 << fd) == 0
    }
}

impl JobState {
    /// Whether this is a file that is open.
    fn has_file(&self, fd: i32) -> bool {
        let there = self.files.as_ref().map(|files| files.look(fd));
        matches!(there, Some(Ok(descriptor)) if matches!(descriptor.what, table::What::File(_)))
    }

    /// Logs what was begun of a line when the guest ended.
    pub(super) fn flush(&mut self) {
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
    fn say_lines(&mut self, stream: usize, bytes: &[u8]) {
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

/// What a stream answers, if it is one.
fn known(guest: &Guest<'_>, fd: i32, answer: i32) -> i32 {
    match guest.data().job.streams.is_open(fd) {
        true => answer,
        false => errno::BADF,
    }
}

/// The same, and what something else that is open answers.
fn or_file(
    guest: &mut Guest<'_>,
    call: &str,
    fd: i32,
    stream: i32,
    act: impl FnOnce(&mut table::Descriptor) -> std::result::Result<(), Errno>,
) -> Result<i32> {
    match guest.data().job.streams.is_open(fd) {
        true => Ok(stream),
        false => files::with(guest, call, fd, act),
    }
}

/// Whether there can be anything but streams: then there has to be a job, whose it is.
fn has_files(guest: &mut Guest<'_>, call: &str) -> Result<bool> {
    if guest.data().grants.is_none() {
        return Ok(false);
    }
    imports::needs_a_job(guest.data_mut(), call)?;
    Ok(true)
}

/// The number of what became of a call.
fn answer(result: std::result::Result<(), Errno>) -> Result<i32> {
    Ok(match result {
        Ok(()) => errno::SUCCESS,
        Err(error) => errno::of(error),
    })
}

/// Writes at a place of the guest's memory.
fn put(memory: &mut [u8], state: &mut StoreState, call: &str, at: u32, bytes: &[u8]) -> Result<()> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let range = check(memory, state, call, at, length)?;
    memory[range].copy_from_slice(bytes);
    Ok(())
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(number)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// Strings as the guest is told them, each with a zero behind it.
type Strings = Vec<Vec<u8>>;

fn args(state: &StoreState) -> Strings {
    let ended = |arg: &String| [arg.as_bytes(), b"\0"].concat();
    state.world.args.iter().map(ended).collect()
}

fn environ(state: &StoreState) -> Strings {
    let ended = |(key, value): &(String, String)| format!("{key}={value}\0").into_bytes();
    state.world.env.iter().map(ended).collect()
}

fn args_get(guest: Guest<'_>, pointers: u32, bytes: u32) -> Result<i32> {
    strings_get(guest, "args_get", args, pointers, bytes)
}

fn args_sizes_get(guest: Guest<'_>, count: u32, size: u32) -> Result<i32> {
    strings_sizes_get(guest, "args_sizes_get", args, count, size)
}

fn environ_get(guest: Guest<'_>, pointers: u32, bytes: u32) -> Result<i32> {
    strings_get(guest, "environ_get", environ, pointers, bytes)
}

fn environ_sizes_get(guest: Guest<'_>, count: u32, size: u32) -> Result<i32> {
    strings_sizes_get(guest, "environ_sizes_get", environ, count, size)
}

fn strings_get(
    mut guest: Guest<'_>,
    call: &str,
    of: fn(&StoreState) -> Strings,
    mut pointers: u32,
    mut bytes: u32,
) -> Result<i32> {
    let (memory, state) = open(&mut guest)?;
    for string in of(state) {
        put(memory, state, call, pointers, &bytes.to_le_bytes())?;
        put(memory, state, call, bytes, &string)?;
        // What was just written ends within the memory, so neither passes 32 bits but at its very end.
        pointers = pointers.wrapping_add(4);
        bytes = bytes.wrapping_add(u32::try_from(string.len()).unwrap_or(u32::MAX));
    }
    Ok(errno::SUCCESS)
}

fn strings_sizes_get(
    mut guest: Guest<'_>,
    call: &str,
    of: fn(&StoreState) -> Strings,
    count: u32,
    size: u32,
) -> Result<i32> {
    let (memory, state) = open(&mut guest)?;
    let strings = of(state);
    let number = |length: usize| u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
    put(memory, state, call, count, &number(strings.len()))?;
    put(
        memory,
        state,
        call,
        size,
        &number(strings.iter().map(Vec::len).sum()),
    )?;
    Ok(errno::SUCCESS)
}

const REALTIME: i32 = 0;
const MONOTONIC: i32 = 1;

fn clock_res_get(mut guest: Guest<'_>, clock: i32, into: u32) -> Result<i32> {
    if !matches!(clock, REALTIME | MONOTONIC) {
        return Ok(errno::INVAL);
    }
    let (memory, state) = open(&mut guest)?;
    put(memory, state, "clock_res_get", into, &1u64.to_le_bytes())?;
    Ok(errno::SUCCESS)
}

fn clock_time_get(mut guest: Guest<'_>, clock: i32, _precision: i64, into: u32) -> Result<i32> {
    let (memory, state) = open(&mut guest)?;
    let Some(now) = time_of(state, clock) else {
        return Ok(errno::INVAL);
    };
    put(memory, state, "clock_time_get", into, &now.to_le_bytes())?;
    Ok(errno::SUCCESS)
}

/// Nanoseconds by one of the two clocks. Those of the CPU's time are not offered: a worker's other jobs would show.
fn time_of(state: &mut StoreState, clock: i32) -> Option<i64> {
    match clock {
        REALTIME => Some(state.job.time_of_day()),
        MONOTONIC => Some(state.job.clock()),
        _ => None,
    }
}

fn random_get(mut guest: Guest<'_>, at: u32, length: u32) -> Result<i32> {
    let (memory, state) = open(&mut guest)?;
    let range = check(memory, state, "random_get", at, length)?;
    state.job.fill_random(&mut memory[range])?;
    Ok(errno::SUCCESS)
}

fn proc_exit(mut guest: Guest<'_>, code: i32) -> Result<()> {
    let state = guest.data_mut();
    imports::needs_a_job(state, "proc_exit")?;
    state.job.streams.exited = true;
    // What is no command was to return.
    let is_command = state.world.entry == Entry::Start;
    end(
        state,
        match code {
            0 if is_command => Outcome::Output,
            code => Outcome::Exited(code),
        },
    )
}

fn fd_close(mut guest: Guest<'_>, fd: i32) -> i32 {
    let state = guest.data_mut();
    if state.job.streams.is_open(fd) {
        state.job.streams.closed |= 1 << fd;
        return errno::SUCCESS;
    }
    match Table::of(state)
        .ok_or(Errno::BADF)
        .and_then(|table| table.close(fd))
    {
        Ok(()) => errno::SUCCESS,
        Err(error) => errno::of(error),
    }
}

/// A stream keeps its number: it is the way by which the job is heard.
fn fd_renumber(mut guest: Guest<'_>, fd: i32, to: i32) -> i32 {
    let state = guest.data_mut();
    if state.job.streams.is_open(fd) {
        return errno::INVAL;
    }
    let is_stream = state.job.streams.is_open(to);
    let renumbered = Table::of(state)
        .ok_or(Errno::BADF)
        .and_then(|table| match is_stream {
            true => table.get(fd).map(drop).and(Err(Errno::INVAL)),
            false => table.renumber(fd, to),
        });
    match renumbered {
        Ok(()) => errno::SUCCESS,
        Err(error) => errno::of(error),
    }
}

/// Of a kind that is not said, as a pipe's end is: whoever asks finds that it is no terminal.
const UNKNOWN: u8 = 0;

/// Type 1 │ – 1 │ flags 2 │ – 4 │ rights 8 │ rights of what is opened by it 8
fn fd_fdstat_get(mut guest: Guest<'_>, fd: i32, into: u32) -> Result<i32> {
    use files::rights::{POLL, READ, WRITE};
    let (memory, state) = open(&mut guest)?;
    let (kind, flags, base, inheriting) = if state.job.streams.is_open(fd) {
        let rights = POLL | if fd == STDIN { READ } else { WRITE };
        (UNKNOWN, 0, rights, 0)
    } else {
        match files::find(state, fd) {
            Ok(descriptor) => files::status(descriptor),
            Err(error) => return Ok(errno::of(error)),
        }
    };
    let mut stat = [0; 24];
    stat[0] = kind;
    stat[2..4].copy_from_slice(&flags.to_le_bytes());
    stat[8..16].copy_from_slice(&base.to_le_bytes());
    stat[16..].copy_from_slice(&inheriting.to_le_bytes());
    put(memory, state, "fd_fdstat_get", into, &stat)?;
    Ok(errno::SUCCESS)
}

/// Of a stream nothing is known but its type.
fn fd_filestat_get(mut guest: Guest<'_>, edition: Edition, fd: i32, into: u32) -> Result<i32> {
    let (memory, state) = open(&mut guest)?;
    let stat = if state.job.streams.is_open(fd) {
        let length = match edition {
            Edition::Unstable => 56,
            Edition::Preview1 => 64,
        };
        vec![0; length]
    } else {
        match files::stat_of(state, fd) {
            Ok(stat) => files::filestat(&stat, edition),
            Err(error) => return Ok(errno::of(error)),
        }
    };
    put(memory, state, "fd_filestat_get", into, &stat)?;
    Ok(errno::SUCCESS)
}

/// The most buffers that one call may name, and the most subscriptions: as many as `IOV_MAX` of Linux. The host makes
/// something for each.
const MOST_AT_ONCE: u32 = 1024;

/// The ranges of a list of buffers: pointer 4 │ length 4, each.
fn buffers(
    memory: &[u8],
    state: &mut StoreState,
    call: &str,
    list: u32,
    count: u32,
) -> Result<Vec<std::ops::Range<usize>>> {
    let list = check(memory, state, call, list, count.saturating_mul(8))?;
    let mut ranges = Vec::new();
    for entry in memory[list].chunks_exact(8) {
        ranges.push(check(
            memory,
            state,
            call,
            u32_at(entry, 0),
            u32_at(entry, 4),
        )?);
    }
    Ok(ranges)
}

fn fd_read(mut guest: Guest<'_>, fd: i32, list: u32, count: u32, into: u32) -> Result<i32> {
    imports::needs_a_job(guest.data_mut(), "fd_read")?;
    let (memory, state) = open(&mut guest)?;
    let is_stream = state.job.streams.is_open(fd);
    if is_stream && fd != STDIN {
        return Ok(errno::BADF);
    }
    if !is_stream && let Err(error) = files::find(state, fd) {
        return Ok(errno::of(error));
    }
    if count > MOST_AT_ONCE {
        return Ok(errno::INVAL);
    }
    if !is_stream {
        let ranges = buffers(memory, state, "fd_read", list, count)?;
        let read = files::read_into(memory, state, fd, ranges, None);
        return files::tell_count(memory, state, "fd_read", read, into);
    }
    let mut read = 0;
    for range in buffers(memory, state, "fd_read", list, count)? {
        let (from, left) = unread(state);
        let count = range.len().min(left);
        let buffer = &mut memory[range.start..range.start + count];
        // What a function was called with is in its arguments already.
        state.job.job.payload().copy_to(from, buffer);
        state.job.streams.read += count;
        read += count;
    }
    let read = u32::try_from(read).unwrap_or(u32::MAX);
    put(memory, state, "fd_read", into, &read.to_le_bytes())?;
    Ok(errno::SUCCESS)
}

/// Where the rest of standard input begins, and how long it is. Only a command has any: what else is called got its
/// input already.
fn unread(state: &StoreState) -> (usize, usize) {
    let read = state.job.streams.read;
    match state.world.entry {
        Entry::Start => (read, state.job.job.payload().len() - read),
        Entry::Handle | Entry::Function { .. } | Entry::Packed(_) | Entry::Extism { .. } => (0, 0),
    }
}

/// The most bytes of lines that are taken in one call.
const MOST_LINES: usize = 64 << 10;

fn fd_write(mut guest: Guest<'_>, fd: i32, list: u32, count: u32, into: u32) -> Result<i32> {
    imports::needs_a_job(guest.data_mut(), "fd_write")?;
    let (memory, state) = open(&mut guest)?;
    let is_stream = state.job.streams.is_open(fd);
    if is_stream && fd == STDIN {
        return Ok(errno::BADF);
    }
    if !is_stream && let Err(error) = files::find(state, fd) {
        return Ok(errno::of(error));
    }
    if count > MOST_AT_ONCE {
        return Ok(errno::INVAL);
    }
    if !is_stream {
        let ranges = buffers(memory, state, "fd_write", list, count)?;
        let written = files::write_from(memory, state, fd, ranges, None);
        return files::tell_count(memory, state, "fd_write", written, into);
    }
    let is_output = fd == STDOUT && state.world.entry == Entry::Start;
    let mut written = 0;
    for range in buffers(memory, state, "fd_write", list, count)? {
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
    let written = u32::try_from(written).unwrap_or(u32::MAX);
    put(memory, state, "fd_write", into, &written.to_le_bytes())?;
    Ok(errno::SUCCESS)
}

/// Something that a guest waits for.
struct Subscription {
    userdata: u64,
    event: Awaited,
}

#[derive(Clone, Copy)]
enum Awaited {
    /// So long from now.
    Clock(Duration),
    Read(i32),
    Write(i32),
    Wrong,
}

impl Subscription {
    /// Userdata 8 │ tag 1 │ – │ from 16 on: clock 4 │ – 4 │ timeout 8 │ precision 8 │ flags 2, or descriptor 4.
    /// The older edition has 8 more bytes before the clock.
    fn size(edition: Edition) -> u32 {
        match edition {
            Edition::Unstable => 56,
            Edition::Preview1 => 48,
        }
    }

    fn read(bytes: &[u8], state: &mut StoreState, edition: Edition) -> Self {
        const ABSOLUTE: u8 = 1;
        let clock = match edition {
            Edition::Unstable => 24,
            Edition::Preview1 => 16,
        };
        let descriptor = u32_at(bytes, 16).cast_signed();
        let event = match bytes[8] {
            0 => {
                let timeout = u64_at(bytes, clock + 8);
                match time_of(state, u32_at(bytes, clock).cast_signed()) {
                    None => Awaited::Wrong,
                    Some(now) if bytes[clock + 24] & ABSOLUTE != 0 => Awaited::Clock(
                        Duration::from_nanos(timeout.saturating_sub(now.cast_unsigned())),
                    ),
                    Some(_) => Awaited::Clock(Duration::from_nanos(timeout)),
                }
            }
            1 => Awaited::Read(descriptor),
            2 => Awaited::Write(descriptor),
            _ => Awaited::Wrong,
        };
        Self {
            userdata: u64_at(bytes, 0),
            event,
        }
    }

    /// What is to be told when `waited` has passed: error, type, bytes there, flags; `None` if it has not happened.
    fn outcome(&self, state: &StoreState, waited: Duration) -> Option<(i32, u8, u64, u16)> {
        const HANGUP: u16 = 1;
        let streams = &state.job.streams;
        match self.event {
            Awaited::Clock(span) => (span <= waited).then_some((errno::SUCCESS, 0, 0, 0)),
            Awaited::Read(fd) if fd == STDIN && streams.is_open(fd) => {
                let left = unread(state).1 as u64;
                Some((errno::SUCCESS, 1, left, if left == 0 { HANGUP } else { 0 }))
            }
            Awaited::Write(fd) if fd != STDIN && streams.is_open(fd) => {
                Some((errno::SUCCESS, 2, 1, 0))
            }
            // A file is always ready.
            Awaited::Read(fd) if state.job.has_file(fd) => Some((errno::SUCCESS, 1, 1, 0)),
            Awaited::Write(fd) if state.job.has_file(fd) => Some((errno::SUCCESS, 2, 1, 0)),
            Awaited::Read(_) => Some((errno::BADF, 1, 0, 0)),
            Awaited::Write(_) => Some((errno::BADF, 2, 0, 0)),
            Awaited::Wrong => Some((errno::INVAL, 0, 0, 0)),
        }
    }
}

/// Userdata 8 │ error 2 │ type 1 │ – 5 │ bytes there 8 │ flags 2 │ – 6
const EVENT: u32 = 32;

fn poll_oneoff(
    mut guest: Guest<'_>,
    edition: Edition,
    list: u32,
    events: u32,
    count: u32,
    into: u32,
) -> Result<i32> {
    const CALL: &str = "poll_oneoff";
    imports::needs_a_job(guest.data_mut(), CALL)?;
    let (memory, state) = open(&mut guest)?;
    if count == 0 || count > MOST_AT_ONCE {
        return Ok(errno::INVAL);
    }
    let size = Subscription::size(edition);
    let list = check(memory, state, CALL, list, count.saturating_mul(size))?;
    let room = check(memory, state, CALL, events, count.saturating_mul(EVENT))?;
    let subscriptions: Vec<Subscription> = memory[list]
        .chunks_exact(size as usize)
        .map(|bytes| Subscription::read(bytes, state, edition))
        .collect();
    let is_ready = |state: &StoreState, waited| {
        subscriptions
            .iter()
            .any(|subscription| subscription.outcome(state, waited).is_some())
    };
    let mut waited = Duration::ZERO;
    if !is_ready(state, waited) {
        // Only clocks are left; the first to go off ends the wait.
        let spans = subscriptions
            .iter()
            .filter_map(|subscription| match subscription.event {
                Awaited::Clock(span) => Some(span),
                Awaited::Read(_) | Awaited::Write(_) | Awaited::Wrong => None,
            });
        waited = spans.min().unwrap_or_default();
        if !state.job.skip(waited) {
            match state
                .interrupt
                .bell()
                .recv_timeout(waited.min(crate::job::LONGEST))
            {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                    return end(state, Outcome::Deadline);
                }
            }
        }
    }
    let mut told = 0u32;
    for subscription in &subscriptions {
        let Some((error, kind, bytes, flags)) = subscription.outcome(state, waited) else {
            continue;
        };
        let mut event = [0; EVENT as usize];
        event[..8].copy_from_slice(&subscription.userdata.to_le_bytes());
        event[8] = u8::try_from(error).unwrap_or(u8::MAX);
        event[10] = kind;
        event[16..24].copy_from_slice(&bytes.to_le_bytes());
        event[24..26].copy_from_slice(&flags.to_le_bytes());
        let at = room.start + (told * EVENT) as usize;
        memory[at..at + event.len()].copy_from_slice(&event);
        told += 1;
    }
    put(memory, state, CALL, into, &told.to_le_bytes())?;
    Ok(errno::SUCCESS)
}

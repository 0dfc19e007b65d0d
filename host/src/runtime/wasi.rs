//! WASI preview 1, for commands and for modules whose functions are called by name.
//!
//! A job's input is standard input, and its output is standard output; lines on standard error are log lines.
//! Nothing else is there but the folders that were granted; without one every path is refused. Sockets do not exist.
//! Arguments and environment are those of the pool. Every wait can be interrupted at the deadline.
//!
//! It is our own and not `wasmtime-wasi`: that one needs an executor with threads of its own, which a process that
//! is to be forked must not have and a hardened one may not, and its sleeps cannot be interrupted from outside.
//!
//! The contract: <https://github.com/WebAssembly/WASI/blob/wasi-0.1/preview1/docs.md>. A pointer outside of the
//! memory ends the job, as it does in interface 1, where others return `fault`.

mod errno;
mod files;
mod paths;
mod poll;
mod streams;
mod table;

use rustix::io::Errno;
use wasmtime::{Linker, Module, Result};

use super::imports::{self, Guest, check, end, open};
use super::opened::{self, Descriptor, How, rights};
use super::state::StoreState;
use crate::guest::wasi::Edition;
use crate::job::Outcome;
use files::Way;
use paths::Spot;
use poll::{clock_res_get, clock_time_get, poll_oneoff};
use streams::STDIN;

pub(super) use streams::{MOST_LINES, Streams, unread};
pub(super) use table::Table;

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
            or_file(&mut g, "fd_datasync", fd, errno::INVAL, |it| it.sync(false))
        })?
        .func_wrap(module, "fd_sync", |mut g: Guest<'_>, fd: i32| {
            or_file(&mut g, "fd_sync", fd, errno::INVAL, |it| it.sync(true))
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
                    it.set_times(&files::times(read, written, which)?)
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
    let from = |fd, path, length| Spot { fd, path, length };
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
    act: impl FnOnce(&mut Descriptor) -> std::result::Result<(), Errno>,
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

/// Ends a job whose guest uses its standard streams before it began, where they are the job's: a command's. What is
/// called by name got its input otherwise, and what it prints are lines of the log, which a beginning may write: in it
/// constructors complain, and Go's runtime sleeps and gives up.
fn needs_streams(state: &mut StoreState, call: &str) -> Result<()> {
    match state.world.entry.is_command() {
        true => imports::needs_a_job(state, call),
        false => Ok(()),
    }
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

fn random_get(mut guest: Guest<'_>, at: u32, length: u32) -> Result<i32> {
    let (memory, state) = open(&mut guest)?;
    let range = check(memory, state, "random_get", at, length)?;
    state.job.fill_random(&mut memory[range])?;
    Ok(errno::SUCCESS)
}

fn proc_exit(mut guest: Guest<'_>, code: i32) -> Result<()> {
    let state = guest.data_mut();
    needs_streams(state, "proc_exit")?;
    state.job.streams.exited = true;
    // What is no command was to return.
    let is_command = state.world.entry.is_command();
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
    if state.job.streams.close(fd) {
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
    use rights::{POLL, READ, WRITE};
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
        match files::find(state, fd).and_then(|descriptor| descriptor.stat()) {
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
    needs_streams(guest.data_mut(), "fd_read")?;
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
    let ranges = buffers(memory, state, "fd_read", list, count)?;
    let read = match is_stream {
        true => Ok(streams::read_into(memory, state, ranges)),
        false => files::read_into(memory, state, fd, ranges, None),
    };
    files::tell_count(memory, state, "fd_read", read, into)
}

fn fd_write(mut guest: Guest<'_>, fd: i32, list: u32, count: u32, into: u32) -> Result<i32> {
    needs_streams(guest.data_mut(), "fd_write")?;
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
    let ranges = buffers(memory, state, "fd_write", list, count)?;
    let written = match is_stream {
        true => Ok(streams::write_from(memory, state, fd, ranges)?),
        false => files::write_from(memory, state, fd, ranges, None),
    };
    files::tell_count(memory, state, "fd_write", written, into)
}

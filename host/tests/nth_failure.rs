//! Every system call on the way of a job is made to fail in turn: when something is spawned, sent, received or
//! kept in the cache. Whatever fails, a run ends in time, with what is right or with an error that says what
//! is wrong: no reply of another kind, no panic, and no worker that outlives its host.
//!
//! The failures come from outside, to the program as it is. For the *n*-th call in each thread `strace` makes
//! them (Debian package `strace`; without it that test says so and is skipped), for all calls of a kind a
//! filter of system calls. The usual test run tries a sample; `COFFERDAM_NTH=all` tries everything: some
//! two thousand runs.
//!
//! Workers are not hardened in the runs under `strace`: it makes a call fail by giving it a number that there
//! is not, of which a hardened worker dies before it can fail.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

use common::{
    COFFERDAM, Ended, Host, PATIENCE, command, is_alive, wait_until, workers_marked_with,
};

/// A run with a time limit of two seconds for its jobs has ended by then, on the busiest machine: a start that
/// is not ready counts as failed after ten seconds, and three are tried.
const LIMIT: Duration = Duration::from_secs(90);

/// What the jobs say, and have to get back.
const LINES: [&str; 3] = ["one", "two", "three"];

/// How a run may end besides well or with an error of cofferdam's own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum May {
    /// In no other way.
    NotElse,
    /// The standard library or the allocator aborts or panics over it, in whatever thread is hit.
    Abort,
}

/// A system call, in which part of the way it is, and the errors that it is made to fail with.
struct Victim {
    part: &'static str,
    call: &'static str,
    errors: &'static [&'static str],
    may: May,
}

const fn victim(part: &'static str, call: &'static str, errors: &'static [&'static str]) -> Victim {
    Victim {
        part,
        call,
        errors,
        may: May::NotElse,
    }
}

const fn fatal(part: &'static str, call: &'static str, errors: &'static [&'static str]) -> Victim {
    Victim {
        part,
        call,
        errors,
        may: May::Abort,
    }
}

/// Who fails how. The calls are those that `strace -f -c` counts in such a run. `futex` is not among them: with
/// it somebody is woken, too, which in no kernel fails so, and a wake-up that is left out is one that is lost.
const VICTIMS: [Victim; 32] = [
    victim("spawn", "clone3", &["EAGAIN", "ENOMEM"]),
    victim("spawn", "clone", &["EAGAIN", "ENOMEM"]),
    victim("spawn", "socketpair", &["EMFILE", "ENOMEM"]),
    victim("spawn", "memfd_create", &["EMFILE", "ENOMEM"]),
    victim("spawn", "pipe2", &["EMFILE", "ENOMEM"]),
    victim("spawn", "ftruncate", &["EINTR", "ENOSPC"]),
    victim("spawn", "fcntl", &["EINTR", "EMFILE", "ENOMEM"]),
    victim("spawn", "pidfd_open", &["EMFILE", "ENOMEM"]),
    victim("spawn", "pidfd_send_signal", &["EPERM"]),
    victim("spawn", "waitid", &["EINTR"]),
    victim("spawn", "dup2", &["EINTR", "EMFILE"]),
    victim("spawn", "setpgid", &["EPERM"]),
    victim("spawn", "prctl", &["EINVAL"]),
    victim("spawn", "close_range", &["EINTR"]),
    victim("spawn", "setsockopt", &["ENOMEM"]),
    fatal("spawn", "mmap", &["ENOMEM"]),
    fatal("spawn", "mprotect", &["ENOMEM"]),
    victim("send", "sendmsg", &["EINTR", "EAGAIN", "ENOMEM"]),
    victim("send", "sendto", &["EINTR", "EAGAIN", "ENOMEM"]),
    victim("send", "write", &["EINTR", "EAGAIN", "ENOSPC"]),
    victim("send", "writev", &["EINTR", "EAGAIN", "ENOMEM"]),
    victim("receive", "recvmsg", &["EINTR", "EAGAIN", "ENOMEM"]),
    victim("receive", "recvfrom", &["EINTR", "EAGAIN", "ENOMEM"]),
    victim("receive", "read", &["EINTR", "EAGAIN", "EIO"]),
    victim("receive", "ppoll", &["EINTR", "ENOMEM"]),
    victim("receive", "futex_waitv", &["EINTR", "EAGAIN", "ENOMEM"]),
    victim("cache", "openat", &["EINTR", "EMFILE", "ENOMEM", "ENOSPC"]),
    victim("cache", "fsync", &["EINTR", "ENOSPC", "EIO"]),
    victim("cache", "rename", &["ENOSPC"]),
    victim("cache", "mkdir", &["ENOSPC"]),
    victim("cache", "getdents64", &["ENOMEM"]),
    victim("cache", "statx", &["ENOMEM"]),
];

/// How a run reaches its workers, and how they come to be.
const WAYS: [[&str; 2]; 3] = [
    ["--link=pipe", "--start=exec"],
    ["--link=shm", "--start=fork"],
    ["--link=shm", "--start=spare"],
];

/// One failure.
struct Trial {
    victim: &'static Victim,
    error: &'static str,
    nth: u32,
    way: [&'static str; 2],
}

/// Everything, or what a test run for every day has time for: each call once, with its errors, places and ways
/// by turns.
fn trials() -> Vec<Trial> {
    let all = std::env::var("COFFERDAM_NTH").is_ok_and(|wish| wish == "all");
    let mut trials = Vec::new();
    for (index, victim) in VICTIMS.iter().enumerate() {
        if all {
            for error in victim.errors {
                for nth in 1..=12 {
                    let ways = WAYS.iter();
                    trials.extend(ways.map(|&way| Trial {
                        victim,
                        error,
                        nth,
                        way,
                    }));
                }
            }
        } else {
            trials.push(Trial {
                victim,
                error: victim.errors[index % victim.errors.len()],
                nth: [1, 2, 5][index % 3],
                way: WAYS[index / 3 % WAYS.len()],
            });
        }
    }
    trials
}

/// The guest and the jobs of all runs.
struct Stage {
    folder: tempfile::TempDir,
    runs: AtomicUsize,
}

impl Stage {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        // Not one that is built in: those are compiled where nothing is spawned.
        let guest = r#"(module
            (import "cofferdam" "input_read" (func $input_read (param i32 i32 i32) (result i32)))
            (import "cofferdam" "output_write" (func $output_write (param i32 i32)))
            (memory (export "memory") 1)
            (func (export "cofferdam_abi_1"))
            (func (export "handle") (result i32)
                (call $output_write (i32.const 0)
                    (call $input_read (i32.const 0) (i32.const 0) (i32.const 65536)))
                (i32.const 0)))"#;
        fs::write(folder.path().join("echo.wat"), guest).expect("it is written");
        fs::write(folder.path().join("lines"), LINES.join("\n")).expect("it is written");
        Self {
            folder,
            runs: AtomicUsize::new(0),
        }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// A name of a file that no other run has.
    fn fresh(&self, name: &str) -> String {
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        self.path(&format!("{name}-{run}"))
    }

    fn arguments(&self, more: &[&str]) -> Vec<String> {
        let usual = ["run", "--workers=2", "--timeout=2s"];
        let mut arguments: Vec<String> =
            usual.iter().chain(more).map(|&it| it.to_owned()).collect();
        arguments.extend([
            "--lines".to_owned(),
            self.path("lines"),
            self.path("echo.wat"),
        ]);
        arguments
    }
}

/// What came of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// Every reply, and nothing to say.
    Well,
    /// Every reply, after something had to be told.
    WellAfterTrouble,
    /// Some jobs failed, and it says so.
    SomeJobsFailed,
    /// An error of its own.
    Error,
    /// The program was not even loaded.
    NotLoaded,
    /// It was aborted, where the standard library leaves no choice.
    Aborted,
}

/// Checks a run, and says how it ended.
///
/// # Errors
/// What is wrong with it.
fn judge(ended: &Ended, may: May) -> Result<End, String> {
    let said = ended.stderr.as_str();
    let complain = |what: &str| {
        let stdout = String::from_utf8_lossy(&ended.stdout);
        Err(format!("{what}: {}, {stdout:?}, {said}", ended.status))
    };
    let stdout = String::from_utf8_lossy(&ended.stdout).into_owned();
    // Each line is the reply to its own job, or empty where that failed. A run that ends early ends anywhere.
    let lines: Vec<_> = stdout.split('\n').collect();
    let is_right = |(line, right): (&&str, &&str)| line.is_empty() || line == right;
    let cut = lines.len().saturating_sub(1);
    let complete = lines[..cut].iter().zip(&LINES).all(is_right) && cut <= LINES.len();
    let rest = lines.last().copied().unwrap_or_default();
    if !complete
        || !LINES
            .get(cut)
            .copied()
            .unwrap_or_default()
            .starts_with(rest)
    {
        return complain("a wrong reply");
    }
    let all = stdout == format!("{}\n", LINES.join("\n"));
    if may == May::NotElse && (said.contains("panicked at") || said.contains("RUST_BACKTRACE")) {
        return complain("a panic");
    }
    match ended.status.code() {
        Some(0) if !all => complain("success without every reply"),
        Some(0) if said.is_empty() => Ok(End::Well),
        Some(0) => Ok(End::WellAfterTrouble),
        Some(1) if said.contains("jobs failed") => Ok(End::SomeJobsFailed),
        // What `run` says when it fails as a whole. Where stdout or stderr itself fails nothing can be said.
        Some(125 | 126) => Ok(End::Error),
        Some(127) if said.contains("error while loading shared libraries") => Ok(End::NotLoaded),
        Some(127) if said.contains("cofferdam: error: no guest at") => Ok(End::Error),
        Some(101 | 134) | None if may == May::Abort => Ok(End::Aborted),
        _ if may == May::Abort && said.contains("panicked at") => Ok(End::Aborted),
        _ => complain("another end"),
    }
}

/// Waits until none of the workers of a host that has ended is left.
fn see_no_orphan(host: u32) {
    wait_until("the workers of a host that has ended to end", || {
        workers_marked_with(host).is_empty()
    });
}

/// One run, in which the n-th call of a kind fails in each thread. How it ended, and how many calls failed.
fn fail_nth(stage: &Stage, trial: &Trial) -> Result<(End, usize), String> {
    let log = stage.fresh("log");
    let Trial {
        victim,
        error,
        nth,
        way,
    } = trial;
    let mut command = Command::new("strace");
    command
        .args([
            "--follow-forks",
            "--quiet=attach,exit",
            "--signal=none",
            "--output",
            &log,
        ])
        .arg(format!("--trace=execve,{}", victim.call))
        .arg(format!("--inject={}:error={error}:when={nth}", victim.call))
        .arg(COFFERDAM)
        .args(stage.arguments(&[way[0], way[1], "--hardening=off"]))
        .env("COFFERDAM_CACHE_DIR", stage.fresh("cache"))
        .stdin(Stdio::null());
    let ended = ends_in_time(Host::spawn(command))?;
    let log = fs::read_to_string(&log).unwrap_or_default();
    let host = log.split(' ').next().and_then(|pid| pid.parse().ok());
    see_no_orphan(host.ok_or("strace has seen nothing")?);
    Ok((
        judge(&ended, victim.may)?,
        log.matches("(INJECTED)").count(),
    ))
}

/// The end of a run; a run that takes too long is killed, and strace with it.
fn ends_in_time(host: Host) -> Result<Ended, String> {
    let pid = host.pid();
    let (sent, heard) = crossbeam_channel::bounded(1);
    let waiting = thread::spawn(move || sent.send(host.end()));
    let start = Instant::now();
    match heard.recv_timeout(LIMIT) {
        Ok(ended) => {
            let _ = waiting.join();
            Ok(ended)
        }
        Err(_) => {
            assert!(is_alive(pid), "it has ended, and its pipes are still open");
            // The tracer lets its tracees go when it dies; theirs do not outlive it for long.
            common::send(pid, rustix::process::Signal::KILL);
            Err(format!("it hangs: {} s", start.elapsed().as_secs()))
        }
    }
}

#[derive(Default)]
struct Tally {
    runs: usize,
    injected: usize,
    missed: usize,
    ends: BTreeMap<(&'static str, End), usize>,
    wrong: Vec<String>,
}

impl Tally {
    fn tell(&self) {
        let mut text = String::new();
        for ((part, end), count) in &self.ends {
            text += &format!("{count:>6}  {part}: {end:?}\n");
        }
        let _ = writeln!(
            std::io::stdout(),
            "{text}{} runs, {} calls that failed in them ({} runs had no such call); {} ended as they may not",
            self.runs,
            self.injected,
            self.missed,
            self.wrong.len()
        );
        for wrong in &self.wrong {
            let _ = writeln!(std::io::stdout(), "{wrong}");
        }
    }
}

/// Why strace cannot be used here, if it cannot.
fn strace_is_missing() -> Option<String> {
    let mut command = Command::new("strace");
    command.args([
        "--follow-forks",
        "--output=/dev/null",
        "--inject=getppid:error=EPERM",
        "true",
    ]);
    match command.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).into_owned()),
        Err(error) => Some(error.to_string()),
    }
}

#[test]
fn a_run_in_which_any_one_system_call_fails_ends_well_or_with_a_typed_error() {
    if let Some(why) = strace_is_missing() {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: strace does not work here ({}): no n-th call was made to fail",
            why.trim()
        );
        return;
    }
    let stage = Stage::new();
    let trials = trials();
    let tally = Mutex::new(Tally::default());
    let next = AtomicUsize::new(0);
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(trial) = trials.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = fail_nth(&stage, trial);
                    let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
                    tally.runs += 1;
                    match result {
                        Ok((end, injected)) => {
                            tally.injected += injected;
                            tally.missed += usize::from(injected == 0);
                            *tally.ends.entry((trial.victim.part, end)).or_default() += 1;
                        }
                        Err(what) => {
                            let Trial {
                                victim,
                                error,
                                nth,
                                way,
                            } = trial;
                            let call = victim.call;
                            tally
                                .wrong
                                .push(format!("{call} {error} {nth} {way:?}: {what}"));
                        }
                    }
                }
            });
        }
    });
    let tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    tally.tell();
    assert_eq!(tally.wrong, Vec::<String>::new());
    assert_eq!(tally.runs, trials.len());
    // Else the table names calls that nobody makes.
    assert!(
        tally.missed * 2 < tally.runs,
        "{} of {}",
        tally.missed,
        tally.runs
    );
}

/// Calls that are not needed to load a program and to begin it, and with what all of them fail.
fn for_good() -> Vec<(i64, i32)> {
    let mut all = vec![
        (libc::SYS_memfd_create, libc::EMFILE),
        (libc::SYS_memfd_create, libc::ENOMEM),
        (libc::SYS_memfd_create, libc::ENOSYS),
        (libc::SYS_ftruncate, libc::ENOSPC),
        (libc::SYS_sendmsg, libc::ENOMEM),
        (libc::SYS_sendmsg, libc::EPIPE),
        (libc::SYS_recvmsg, libc::ENOMEM),
        (libc::SYS_recvfrom, libc::ENOMEM),
        (libc::SYS_writev, libc::ENOSPC),
        (libc::SYS_ppoll, libc::ENOMEM),
        (libc::SYS_waitid, libc::EINVAL),
        (libc::SYS_pidfd_send_signal, libc::EPERM),
        (libc::SYS_futex_waitv, libc::ENOSYS),
        (libc::SYS_fsync, libc::ENOSPC),
        (libc::SYS_fsync, libc::EIO),
        (libc::SYS_getdents64, libc::ENOMEM),
        (libc::SYS_close_range, libc::ENOSYS),
        (libc::SYS_seccomp, libc::EINVAL),
        (libc::SYS_prlimit64, libc::EPERM),
        (libc::SYS_setsockopt, libc::ENOMEM),
    ];
    // Others have only the calls that take a folder's descriptor, by which much else is done.
    #[cfg(target_arch = "x86_64")]
    all.extend([
        (libc::SYS_rename, libc::ENOSPC),
        (libc::SYS_mkdir, libc::ENOSPC),
    ]);
    all
}

/// Spawns the program in a world in which this call always fails.
fn spawn_without(call: i64, error: i32, command: Command) -> Host {
    let rules: BTreeMap<_, _> = [(call, Vec::new())].into();
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(error.cast_unsigned()),
        std::env::consts::ARCH
            .try_into()
            .expect("a known processor"),
    );
    let program: BpfProgram = filter
        .and_then(TryInto::try_into)
        .expect("a filter that can be compiled");
    // What a thread gives up, the programs that it runs never had.
    let host = thread::spawn(move || {
        apply_filter(&program).expect("a filter that the kernel takes");
        Host::spawn(command)
    });
    host.join().expect("it is spawned")
}

#[test]
fn a_run_in_which_a_system_call_always_fails_ends_well_or_with_a_typed_error() {
    let stage = Stage::new();
    let mut tally = Tally::default();
    for (index, (call, error)) in for_good().into_iter().enumerate() {
        let way = WAYS[index % WAYS.len()];
        let mut command = command(stage.arguments(&way));
        command.env("COFFERDAM_CACHE_DIR", stage.fresh("cache"));
        let host = spawn_without(call, error, command);
        let pid = host.pid();
        let result = ends_in_time(host).and_then(|ended| judge(&ended, May::NotElse));
        see_no_orphan(pid);
        tally.runs += 1;
        match result {
            Ok(end) => *tally.ends.entry(("for good", end)).or_default() += 1,
            Err(what) => tally
                .wrong
                .push(format!("call {call}, error {error}, {way:?}: {what}")),
        }
    }
    tally.injected = tally.runs;
    tally.tell();
    assert_eq!(tally.wrong, Vec::<String>::new());
}

/// A run whose files may not become larger than this: writes are short, and then fail.
fn run_with_small_files(stage: &Stage, blocks: u32) -> Ended {
    let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command
        .args(["-c", &script, COFFERDAM])
        .args(stage.arguments(&["--link=pipe", "--start=exec"]))
        .env("COFFERDAM_CACHE_DIR", stage.fresh("cache"))
        .stdin(Stdio::null());
    ends_in_time(Host::spawn(command)).unwrap_or_else(|what| panic!("{what}"))
}

#[test]
fn writes_that_are_short_and_then_fail_end_a_run_well_or_with_a_typed_error() {
    let stage = Stage::new();
    // Blocks of 512 bytes: nothing, less than a compiled guest, and enough for all of it.
    let ends: Vec<_> = [0, 1, 2, 8, 1 << 20]
        .into_iter()
        .map(|blocks| {
            let ended = run_with_small_files(&stage, blocks);
            judge(&ended, May::NotElse).unwrap_or_else(|what| panic!("{blocks} blocks: {what}"))
        })
        .collect();
    assert!(ends[..3].iter().all(|end| *end != End::Well), "{ends:?}");
    assert_eq!(ends.last(), Some(&End::Well));
}

#[test]
fn a_cache_on_a_full_disk_is_told_of_and_the_guest_runs() {
    // It has no room for anything, and cannot be filled: every write to it fails with ENOSPC.
    assert!(Path::new("/dev/full").exists());
    let stage = Stage::new();
    let mut command = command(stage.arguments(&["--link=pipe", "--start=exec"]));
    command.env("COFFERDAM_CACHE_DIR", "/dev/full");
    let ended = ends_in_time(Host::spawn(command)).expect("it ends");
    assert_eq!(judge(&ended, May::NotElse), Ok(End::WellAfterTrouble));
    assert!(ended.stderr.contains("/dev/full"), "{}", ended.stderr);
}

/// The ends of runs that [`judge`] has to tell apart.
fn ended(code: i32, stdout: &str, stderr: &str) -> Ended {
    use std::os::unix::process::ExitStatusExt;
    Ended {
        status: std::process::ExitStatus::from_raw(code << 8),
        stdout: stdout.as_bytes().to_vec(),
        stderr: stderr.to_owned(),
    }
}

#[test]
fn a_wrong_reply_a_missing_one_and_a_panic_are_noticed() {
    let judged = |code, stdout, stderr| judge(&ended(code, stdout, stderr), May::NotElse);
    assert_eq!(judged(0, "one\ntwo\nthree\n", ""), Ok(End::Well));
    assert_eq!(
        judged(1, "one\n\nthree\n", "1 of 3 jobs failed"),
        Ok(End::SomeJobsFailed)
    );
    assert_eq!(judged(125, "one\ntw", "cofferdam: error"), Ok(End::Error));
    assert!(
        judged(0, "one\ntwo\n", "")
            .unwrap_err()
            .starts_with("success without")
    );
    assert!(
        judged(0, "two\none\nthree\n", "")
            .unwrap_err()
            .starts_with("a wrong reply")
    );
    assert!(
        judged(125, "one\nthree", "")
            .unwrap_err()
            .starts_with("a wrong reply")
    );
    let panicked = judged(125, "", "thread 'main' panicked at host/src/x.rs");
    assert!(panicked.unwrap_err().starts_with("a panic"));
    assert!(judged(101, "", "").unwrap_err().starts_with("another end"));
    assert!(PATIENCE > LIMIT);
}

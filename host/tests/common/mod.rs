//! What the integration tests have in common: patience, guests in a few lines, and a look at
//! processes from outside.

#![allow(dead_code, reason = "each test file uses another part of it")]

pub(crate) mod everywhere;
pub(crate) mod kit;
pub(crate) mod preview2;

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cofferdam::{
    Cache, Completion, Guest, InstancePolicy, Isolation, Job, Limits, LinkKind, Pool, PoolBuilder,
    Reply, StartMethod, WaitPolicy,
};
use rustix::process::{Pid, Signal, kill_process};

/// So long a test waits for what must happen at once, before it calls it missing. Generous: other
/// builds may have the machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) const MS: fn(u64) -> Duration = Duration::from_millis;

/// The binary under test, which also serves as the worker program.
pub(crate) const COFFERDAM: &str = env!("CARGO_BIN_EXE_cofferdam");

/// How a process worker comes to be, is reached and waits, and whether its instance lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Way {
    pub(crate) start: StartMethod,
    pub(crate) link: LinkKind,
    pub(crate) wait: WaitPolicy,
    pub(crate) instance: InstancePolicy,
}

/// How any worker waits, and whether its instance lasts.
pub(crate) fn habits() -> impl Iterator<Item = (WaitPolicy, InstancePolicy)> {
    let with = |wait| InstancePolicy::ALL.map(|instance| (wait, instance));
    WaitPolicy::ALL.into_iter().flat_map(with)
}

/// How a worker process comes to be and is reached.
fn roads() -> impl Iterator<Item = (StartMethod, LinkKind)> {
    let with = |start| LinkKind::ALL.map(|link| (start, link));
    StartMethod::ALL.into_iter().flat_map(with)
}

/// Everything that there is.
pub(crate) fn ways() -> impl Iterator<Item = Way> {
    roads().flat_map(|(start, link)| {
        habits().map(move |(wait, instance)| Way {
            start,
            link,
            wait,
            instance,
        })
    })
}

/// A third of everything that there is, for tests that take long: every start method with every link, each
/// with one way of waiting and both instance policies; the next seed takes the next way of waiting. With
/// `COFFERDAM_ALL_WAYS` set it is everything.
pub(crate) fn some_ways() -> Vec<Way> {
    if std::env::var_os("COFFERDAM_ALL_WAYS").is_some() {
        return ways().collect();
    }
    a_third_of_all_ways(seed()).collect()
}

/// The ways that this seed chooses.
pub(crate) fn a_third_of_all_ways(seed: usize) -> impl Iterator<Item = Way> {
    roads()
        .enumerate()
        .flat_map(move |(number, (start, link))| {
            let wait = WaitPolicy::ALL[(seed + number) % WaitPolicy::ALL.len()];
            InstancePolicy::ALL.map(|instance| Way {
                start,
                link,
                wait,
                instance,
            })
        })
}

/// Which third of all ways it is this time: `COFFERDAM_SEED`, or as the clock has it. It is printed.
fn seed() -> usize {
    static SEED: OnceLock<usize> = OnceLock::new();
    *SEED.get_or_init(|| {
        let wish = std::env::var("COFFERDAM_SEED").ok();
        let by_clock = || {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            usize::try_from(now.map_or(0, |now| now.as_secs()) % 1000).unwrap_or_default()
        };
        let seed = wish.map_or_else(by_clock, |seed| {
            seed.parse().expect("COFFERDAM_SEED is a number")
        });
        let _ = writeln!(
            std::io::stderr(),
            "a third of all ways: COFFERDAM_SEED={seed}"
        );
        seed
    })
}

impl Way {
    /// A builder of pools whose workers are processes of this way.
    pub(crate) fn builder(self, guest: &Guest) -> PoolBuilder {
        self.choose(builder(guest, Isolation::Process))
    }

    /// The same for the command line.
    pub(crate) fn arguments(self) -> [String; 4] {
        let instance = match self.instance {
            InstancePolicy::Fresh => "fresh",
            InstancePolicy::Reused => "reused",
        };
        [
            format!("--start={}", self.start),
            format!("--link={}", self.link),
            format!("--wait={}", self.wait),
            format!("--instance={instance}"),
        ]
    }

    /// Asks for this way.
    pub(crate) fn choose(self, builder: PoolBuilder) -> PoolBuilder {
        builder
            .start(self.start)
            .link(self.link)
            .wait(self.wait)
            .instance(self.instance)
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [start, link, wait, instance] = self.arguments();
        write!(f, "{start} {link} {wait} {instance}")
    }
}

/// Runs a test with every one of these, and says with which it failed.
pub(crate) fn for_each<T: Copy + fmt::Display>(
    all: impl IntoIterator<Item = T>,
    mut test: impl FnMut(T),
) {
    struct Witness<T: fmt::Display>(T);
    impl<T: fmt::Display> Drop for Witness<T> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                let _ = writeln!(std::io::stderr(), "it failed with: {}", self.0);
            }
        }
    }
    for one in all {
        let witness = Witness(one);
        test(witness.0);
    }
}

/// Waits until something is so.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    wait_for(what, || is_so().then_some(()));
}

/// Waits until there is something.
pub(crate) fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < until, "still waiting for: {what}");
        std::thread::sleep(MS(1));
    }
}

/// A pool builder that touches nothing outside the test: no cache, and the worker program of this
/// build.
pub(crate) fn builder(guest: &Guest, isolation: Isolation) -> PoolBuilder {
    Pool::builder(guest.clone())
        .isolation(isolation)
        .cache(Cache::off())
        .worker_program(COFFERDAM)
        .limits(limits(Some(PATIENCE)))
}

/// The usual limits with another time limit.
pub(crate) fn limits(timeout: Option<Duration>) -> Limits {
    Limits {
        timeout,
        ..Limits::default()
    }
}

/// Hands in a job and waits for its end.
pub(crate) fn complete(pool: &Pool, job: Job) -> Completion {
    let ticket = pool.submit(job).expect("the job is taken");
    ticket.wait_for(PATIENCE).expect("the job ends")
}

/// The reply to a job whose worker survives it.
pub(crate) fn reply(pool: &Pool, job: Job) -> Reply {
    complete(pool, job).result.expect("the worker survives")
}

/// One of the built-in guests.
pub(crate) fn embedded(name: &str) -> Guest {
    Guest::embedded(name).expect("it is built in")
}

/// Every import of the interface, each under its own name.
const IMPORTS: &str = r#"
    (import "cofferdam" "input_len" (func $input_len (result i32)))
    (import "cofferdam" "input_read" (func $input_read (param i32 i32 i32) (result i32)))
    (import "cofferdam" "output_write" (func $output_write (param i32 i32)))
    (import "cofferdam" "fail" (func $fail (param i32 i32)))
    (import "cofferdam" "post" (func $post (param i32 i32)))
    (import "cofferdam" "recv" (func $recv (param i32 i32 i32) (result i32)))
    (import "cofferdam" "log" (func $log (param i32 i32 i32)))
    (import "cofferdam" "random" (func $random (param i32 i32)))
    (import "cofferdam" "clock" (func $clock (result i64)))
    (import "cofferdam" "region_len" (func $region_len (result i64)))
    (import "cofferdam" "region_read" (func $region_read (param i32 i64 i32)))
    (import "cofferdam" "region_write" (func $region_write (param i32 i64 i32)))
    (import "cofferdam" "region_load" (func $region_load (param i64) (result i64)))
    (import "cofferdam" "region_store" (func $region_store (param i64 i64)))
    (import "cofferdam" "region_add" (func $region_add (param i64 i64) (result i64)))
    (import "cofferdam" "region_compare_exchange"
        (func $region_compare_exchange (param i64 i64 i64) (result i64)))"#;

/// The text of a guest with every import, one page of memory that cannot grow, the marker, and this.
pub(crate) fn wat(rest: &str) -> String {
    format!(
        r#"(module {IMPORTS}
            (memory (export "memory") 1 1)
            (func (export "cofferdam_abi_1"))
            {rest})"#
    )
}

/// The text of a guest whose `handle` is this body.
pub(crate) fn wat_handle(body: &str) -> String {
    wat(&format!(
        r#"(func (export "handle") (result i32) {LOCALS} {body})"#
    ))
}

/// Variables that a body may use.
const LOCALS: &str = "(local $i i32) (local $n i32) (local $t i64)";

/// A guest from its text.
pub(crate) fn guest(text: &str) -> Guest {
    Guest::from_bytes("a guest of the tests", text.as_bytes())
        .unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// A guest whose `handle` is this body; see [`wat_handle`].
pub(crate) fn handle(body: &str) -> Guest {
    guest(&wat_handle(body))
}

/// Replies with its input, after so many hundredths of a second as the input's first byte says, an
/// ASCII digit; never if that is `!`. Before that it posts "begun".
pub(crate) fn dawdler() -> String {
    wat(r#"
        (data (i32.const 60000) "begun")
        (func (export "handle") (result i32)
            (local $until i64)
            (call $post (i32.const 60000) (i32.const 5))
            (i32.store8 (i32.const 0) (i32.const 0x30))
            (drop (call $input_read (i32.const 0) (i32.const 0) (i32.const 50000)))
            (if (i32.eq (i32.load8_u (i32.const 0)) (i32.const 0x21))
                (then (loop $forever (br $forever))))
            (local.set $until (i64.add (call $clock)
                (i64.mul (i64.const 10000000)
                    (i64.sub (i64.load8_u (i32.const 0)) (i64.const 0x30)))))
            (loop $wait (br_if $wait (i64.lt_u (call $clock) (local.get $until))))
            (call $output_write (i32.const 0) (call $input_len))
            (i32.const 0))"#)
}

/// Posts "begun", then never returns.
pub(crate) fn spinner() -> String {
    wat(r#"
        (data (i32.const 0) "begun")
        (func (export "handle") (result i32)
            (call $post (i32.const 0) (i32.const 5))
            (loop $forever (br $forever))
            unreachable)"#)
}

/// A process, seen in `/proc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    pub(crate) state: char,
}

/// A process; `None` once it is gone and was reaped.
pub(crate) fn see(pid: u32) -> Option<Seen> {
    let (state, parent) = stat(Path::new(&format!("/proc/{pid}")))?;
    Some(Seen { pid, parent, state })
}

/// State and parent of a process or of a thread, as `proc_pid_stat(5)` has them.
fn stat(folder: &Path) -> Option<(char, u32)> {
    let stat = fs::read_to_string(folder.join("stat")).ok()?;
    // The name stands in parentheses, and may itself contain some.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    Some((state, fields.next()?.parse().ok()?))
}

/// Every process of this machine, as far as this one may see them.
pub(crate) fn processes() -> Vec<Seen> {
    let entries = fs::read_dir("/proc").expect("/proc is mounted");
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(see)
        .collect()
}

/// The children of a process, zombies included.
pub(crate) fn children_of(pid: u32) -> Vec<Seen> {
    let mut all = processes();
    all.retain(|process| process.parent == pid);
    all
}

/// Whether a process still runs, or could run: one of its threads is there and no zombie. Its first
/// thread alone does not tell; the others may end later, and hold its descriptors until then.
pub(crate) fn is_alive(pid: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return false;
    };
    let mut stats = threads.filter_map(|thread| stat(&thread.ok()?.path()));
    stats.any(|(state, _)| !matches!(state, 'Z' | 'X'))
}

/// Processes that were spawned as workers of this host, wherever they hang in the tree by now.
pub(crate) fn workers_marked_with(host: u32) -> Vec<u32> {
    let mark = format!("COFFERDAM_WORKER={host}").into_bytes();
    let alive = processes().into_iter().filter(|seen| is_alive(seen.pid));
    alive
        .map(|seen| seen.pid)
        .filter(|pid| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment
                .split(|&byte| byte == 0)
                .any(|line| line == mark)
        })
        .collect()
}

/// Sends a signal; a process that is gone is no error.
pub(crate) fn send(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let _ = kill_process(pid.expect("a process id"), signal);
}

/// The `cofferdam` binary with these arguments, and a cache of the tests' own.
pub(crate) fn command<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(COFFERDAM);
    command
        .args(arguments)
        .env("COFFERDAM_CACHE_DIR", cache_folder())
        .env_remove("NO_COLOR")
        .stdin(Stdio::null());
    command
}

/// What `.ci/toolchains` has installed, beside what is built.
pub(crate) fn toolchains() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
    target.expect("a target folder").join("toolchains")
}

/// A folder for compiled guests that lasts from one test run to the next.
fn cache_folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("cofferdam-cache")
}

/// How a run of the binary ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Ended {
    /// The exit code, where the process was not killed.
    pub(crate) fn code(&self) -> i32 {
        self.status
            .code()
            .unwrap_or_else(|| panic!("killed: {self:?}"))
    }

    /// Standard output, which has to be text.
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("stdout is text")
    }

    /// Checks the exit code, and shows everything if it is another one.
    #[track_caller]
    pub(crate) fn exits_with(self, code: i32) -> Self {
        assert_eq!(
            self.status.code(),
            Some(code),
            "{}\nstdout: {}\nstderr: {}",
            self.status,
            String::from_utf8_lossy(&self.stdout),
            self.stderr
        );
        self
    }

    /// Checks that stderr says something.
    #[track_caller]
    pub(crate) fn says(self, words: &str) -> Self {
        assert!(
            self.stderr.contains(words),
            "it does not say {words:?}: {}",
            self.stderr
        );
        self
    }
}

/// Runs the binary to its end.
pub(crate) fn run<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Ended {
    run_with(arguments, b"")
}

/// Runs the binary to its end, with this on standard input.
pub(crate) fn run_with<S: AsRef<OsStr>>(
    arguments: impl IntoIterator<Item = S>,
    input: &[u8],
) -> Ended {
    let mut command = command(arguments);
    command.stdin(Stdio::piped());
    let mut host = Host::spawn(command);
    let mut stdin = host.stdin();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // One that ends early does not read everything.
            let _ = stdin.write_all(input);
        });
        host.end()
    })
}

/// A running `cofferdam`, killed when it is dropped. Its stderr is read line by line, its stdout to
/// the end.
pub(crate) struct Host {
    child: Child,
    lines: crossbeam_channel::Receiver<String>,
    heard: Vec<String>,
    stdout: Option<JoinHandle<Vec<u8>>>,
}

impl Host {
    /// Spawns with stdout and stderr captured.
    pub(crate) fn spawn(mut command: Command) -> Self {
        command.stdout(Stdio::piped());
        let mut host = Self::spawn_keeping_stdout(command);
        let mut stdout = host.child.stdout.take().expect("stdout is piped");
        host.stdout = Some(std::thread::spawn(move || {
            let mut bytes = Vec::new();
            stdout.read_to_end(&mut bytes).expect("a pipe can be read");
            bytes
        }));
        host
    }

    /// Spawns with stderr captured and stdout as the command has it.
    pub(crate) fn spawn_keeping_stdout(mut command: Command) -> Self {
        let mut child = command
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary is built");
        let stderr = child.stderr.take().expect("stderr is piped");
        let (sender, lines) = crossbeam_channel::unbounded();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                if sender
                    .send(String::from_utf8_lossy(&line).into_owned())
                    .is_err()
                {
                    return;
                }
            }
        });
        Self {
            child,
            lines,
            heard: Vec::new(),
            stdout: None,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn stdin(&mut self) -> std::process::ChildStdin {
        self.child.stdin.take().expect("stdin is piped")
    }

    pub(crate) fn stdout(&mut self) -> std::process::ChildStdout {
        self.child.stdout.take().expect("stdout is piped")
    }

    pub(crate) fn signal(&self, signal: Signal) {
        send(self.pid(), signal);
    }

    /// Waits for a line on stderr that contains these words, and gives it back.
    #[track_caller]
    pub(crate) fn hear(&mut self, words: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_deadline(until) {
                Ok(line) => {
                    self.heard.push(line.clone());
                    if line.contains(words) {
                        return line;
                    }
                }
                Err(error) => panic!("it does not say {words:?} ({error}): {:?}", self.heard),
            }
        }
    }

    /// The lines that have come on stderr since the last look.
    pub(crate) fn news(&mut self) -> Vec<String> {
        let news: Vec<_> = self.lines.try_iter().collect();
        self.heard.extend_from_slice(&news);
        news
    }

    /// Waits for the end.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ended {
        let status = wait_for("the end of the program", || {
            self.child.try_wait().expect("it is our child")
        });
        self.heard.extend(self.lines.iter());
        let stdout = self.stdout.take();
        Ended {
            status,
            stdout: stdout.map_or_else(Vec::new, |reader| reader.join().expect("it reads")),
            stderr: self.heard.join("\n"),
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The process id in a worker's label, `process-1 pid 4242`.
pub(crate) fn pid_in(label: &str) -> u32 {
    let (_, rest) = label
        .split_once(" pid ")
        .expect("a label of a process worker");
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a process id")
}

/// The same numbers each time, and none of them alike: a linear congruential generator, Knuth's MMIX.
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    /// The next number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

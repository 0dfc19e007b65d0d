//! The host under attack: jobs for hostile workers in every way of handing them in, with a look at each
//! end, at a pool beside them, and at what they leave behind.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cofferdam::{
    ByteSize, Cache, Compile, Completion, Death, Guest, Isolation, Job, Limits, LinkKind, Lost,
    Outbox, Outcome, Pool, PoolBuilder, Prepared, RestartPolicy, StartMethod, WaitPolicy,
};

use crate::attack::{Attack, Claim, Ending};
use crate::common::{PATIENCE, builder, children_of, embedded, limits};
use crate::wire::OUTPUT;

/// Hostile workers at once.
const WORKERS: usize = 2;

/// How many bytes follow the nine that say what to do: nothing, some in the ring, and enough for a zone.
const PADDINGS: [usize; 3] = [0, 500, 5000];

/// How jobs are handed in.
#[derive(Clone, Copy, Debug)]
enum Handing {
    Call,
    Submit,
    Many,
}

/// What came of all attacks so far.
#[derive(Default)]
pub(crate) struct Tally {
    ends: BTreeMap<(Attack, Ending), u64>,
    pub(crate) jobs: u64,
    pub(crate) started: u64,
    pub(crate) died: u64,
    pub(crate) overrun: Duration,
}

/// Panics of any thread of this process, caught or not.
pub(crate) static PANICS: AtomicU64 = AtomicU64::new(0);

/// What hostile workers said to handlers: bytes of messages, and of lines.
static HEARD: AtomicU64 = AtomicU64::new(0);

/// A builder of pools whose workers are this very program, or another name of it.
pub(crate) fn hostile(program: &Path, wait: WaitPolicy) -> PoolBuilder {
    besieged(Pool::builder(embedded("echo")), program, wait)
}

fn besieged(builder: PoolBuilder, program: &Path, wait: WaitPolicy) -> PoolBuilder {
    let patient = RestartPolicy {
        first_pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(1),
        quarantine_after: usize::MAX,
        ..RestartPolicy::default()
    };
    builder
        .isolation(Isolation::Process)
        // A fork server is a program of the host's own choice as well, and makes the same link.
        .start(StartMethod::Exec)
        .link(LinkKind::Shm)
        .wait(wait)
        .cache(Cache::off())
        .worker_program(program)
        .workers(WORKERS)
        .restart(patient)
        .limits(Limits {
            output: ByteSize::from_bytes(OUTPUT.into()),
            input: ByteSize::from_mib(1),
            timeout: Some(PATIENCE),
            ..Limits::default()
        })
}

/// A server that says where it was asked to send a request on to, if anywhere, and counts.
pub(crate) struct Counting {
    pub(crate) address: SocketAddr,
    requests: Arc<AtomicUsize>,
}

impl Counting {
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

pub(crate) fn counting_server() -> Counting {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("it has an address");
    let requests = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&requests);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            seen.fetch_add(1, Ordering::SeqCst);
            let mut line = String::new();
            let mut lines = BufReader::new(&stream);
            // To the end of the head: what was sent and not read would make the end of the connection a reset.
            let _ = lines.read_line(&mut line);
            while lines
                .read_line(&mut String::new())
                .is_ok_and(|length| length > 2)
            {}
            let elsewhere = line.split(' ').nth(1).unwrap_or("/");
            let answer = match elsewhere.trim_start_matches('/') {
                "" => "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned(),
                place => format!(
                    "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: http://{place}/\r\n\r\n"
                ),
            };
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    Counting { address, requests }
}

/// A pool whose guest may fetch from one place, and whose workers are such a program.
pub(crate) fn fetching(program: &Path, allowed: SocketAddr) -> Pool {
    let text = r#"(module
        (import "extism:host/env" "http_request" (func (param i64 i64) (result i64)))
        (func (export "fetch")))"#;
    let guest = Guest::from_bytes("a plugin", text.as_bytes()).expect("it is a plugin");
    let host = allowed.to_string().parse().expect("it is a host");
    besieged(Pool::builder(guest), program, WaitPolicy::Auto)
        // This program is no compiler.
        .compile(Compile::Inline)
        .workers(1)
        .allow_host(host)
        .build()
        .expect("the pool is built")
}

/// Has a worker ask for something; says how the answer begins that it had.
pub(crate) fn fetched(pool: &Pool, url: &str) -> u8 {
    let completion = pool.call(Job::new(url)).expect("it is taken");
    let reply = completion.result.expect("its worker lives");
    reply.output[0]
}

/// All that is needed to besiege this process.
pub(crate) struct Siege {
    prepared: Vec<Prepared>,
}

impl Siege {
    pub(crate) fn new() -> Self {
        let this = std::env::current_exe().expect("this program has a name");
        let waits = [WaitPolicy::Auto, WaitPolicy::Park, WaitPolicy::Spin];
        let prepared = waits.map(|wait| hostile(&this, wait).prepare().expect("it compiles"));
        Self {
            prepared: prepared.into(),
        }
    }

    /// Has jobs attacked, so many in each way of handing in and of waiting.
    pub(crate) fn attack(&self, attack: Attack, seed: u64, count: u64, tally: &mut Tally) {
        let mut seeds = seed..;
        for prepared in &self.prepared {
            let pool = prepared.start().expect("the pool is built");
            for handing in [Handing::Call, Handing::Submit, Handing::Many] {
                let seeds: Vec<u64> = seeds
                    .by_ref()
                    .take(usize::try_from(count).expect("few"))
                    .collect();
                handing.hand_in(&pool, attack, &seeds, tally);
            }
            let health = pool.health();
            assert_eq!(health.abandoned, 0, "{attack}: a thread did not come back");
            assert_eq!(health.quarantined, 0, "{attack}: a slot was closed");
            drop(pool);
            tally.started += health.started;
            tally.died += health.died;
        }
    }
}

/// A job that is attacked.
struct Victim {
    job: Job,
    input: Vec<u8>,
    attack: Attack,
    seed: u64,
    limit: Duration,
    /// Open as long as the job runs, where that cannot keep a worker waiting beyond its deadline.
    _outbox: Option<Outbox>,
}

impl Victim {
    fn new(attack: Attack, seed: u64) -> Self {
        let padding = match attack {
            // What it lies about matters only to jobs that need a zone.
            Attack::Heads => 5000,
            _ => PADDINGS[usize::try_from(seed % 3).expect("below 3")],
        };
        let input = attack.input(seed, padding);
        let limit = attack.limit();
        let mut job = Job::new(input.clone()).timeout(limit);
        if seed.is_multiple_of(2) {
            job = job.on_post(|_, message| {
                assert!(message.len() <= OUTPUT as usize);
                HEARD.fetch_add(message.len() as u64, Ordering::Relaxed);
            });
            job = job.on_log(|_, _, line| {
                HEARD.fetch_add(line.len() as u64, Ordering::Relaxed);
            });
        }
        let mut kept = None;
        if seed % 4 < 2 {
            let (with_inbox, outbox) = job.with_inbox();
            job = with_inbox;
            kept = attack.outlasts_its_deadline().then_some(outbox);
        }
        Self {
            job,
            input,
            attack,
            seed,
            limit,
            _outbox: kept,
        }
    }

    /// Checks that it ended as it may.
    fn judge(&self, completion: &Completion, tally: &mut Tally) {
        let (attack, seed) = (self.attack, self.seed);
        let ending = ending_of(completion)
            .unwrap_or_else(|why| panic!("--attack {attack} --seed {seed}: {why}"));
        assert!(
            attack.endings().contains(&ending),
            "--attack {attack} --seed {seed}: {:?} by {}",
            completion.result,
            completion.worker,
        );
        if let (Ending::Output, Ok(reply)) = (ending, &completion.result) {
            let output = &reply.output;
            let holds = match attack.claim() {
                Claim::Input => *output == self.input,
                Claim::Nothing => output.is_empty(),
                Claim::Limit => output.len() <= OUTPUT as usize,
            };
            assert!(
                holds,
                "--attack {attack} --seed {seed}: {} bytes of output, beginning with {:?}",
                output.len(),
                String::from_utf8_lossy(&output[..output.len().min(200)]),
            );
        }
        *tally.ends.entry((attack, ending)).or_default() += 1;
        tally.jobs += 1;
        let over = completion.wall.saturating_sub(self.limit);
        tally.overrun = tally.overrun.max(over);
    }
}

fn ending_of(completion: &Completion) -> Result<Ending, String> {
    match &completion.result {
        Ok(reply) => Ok(match reply.outcome {
            Outcome::Output => Ending::Output,
            Outcome::Deadline => Ending::Deadline,
            _ => Ending::Other,
        }),
        Err(Lost::Worker(Death::Garbled(_))) => Ok(Ending::Garbled),
        Err(Lost::Worker(Death::Exited(_) | Death::Signalled(_))) => Ok(Ending::Died),
        Err(Lost::Worker(Death::Hung { .. })) => Ok(Ending::Hung),
        Err(Lost::Worker(Death::Panicked(_))) => Ok(Ending::Panicked),
        Err(other) => Err(other.to_string()),
    }
}

impl Handing {
    fn hand_in(self, pool: &Pool, attack: Attack, seeds: &[u64], tally: &mut Tally) {
        let victims: Vec<Victim> = seeds
            .iter()
            .map(|&seed| Victim::new(attack, seed))
            .collect();
        let completions = match self {
            Self::Call => called(pool, &victims),
            Self::Submit => {
                let submit =
                    |victim: &Victim| pool.submit(victim.job.clone()).expect("it is taken");
                let tickets: Vec<_> = victims.iter().map(submit).collect();
                let wait = |ticket: cofferdam::Ticket| ticket.wait_for(2 * PATIENCE);
                let ends = tickets.into_iter().map(wait);
                ends.map(|end| end.unwrap_or_else(|_| panic!("{attack}: a job does not end")))
                    .collect()
            }
            Self::Many => {
                let jobs = victims.iter().map(|victim| victim.job.clone());
                pool.submit_many(jobs)
                    .expect("they are taken")
                    .ordered()
                    .collect()
            }
        };
        assert_eq!(
            completions.len(),
            victims.len(),
            "{attack}: each job ends once"
        );
        for (victim, completion) in victims.iter().zip(&completions) {
            victim.judge(completion, tally);
        }
    }
}

/// Calls for every job, from as many threads as there are workers.
fn called(pool: &Pool, victims: &[Victim]) -> Vec<Completion> {
    let share = victims.len().div_ceil(WORKERS).max(1);
    thread::scope(|scope| {
        let call = |victim: &Victim| pool.call(victim.job.clone()).expect("it is taken");
        let callers: Vec<_> = victims
            .chunks(share)
            .map(|share| scope.spawn(move || share.iter().map(call).collect::<Vec<_>>()))
            .collect();
        let ends = callers
            .into_iter()
            .map(|caller| caller.join().expect("a caller comes back"));
        ends.flatten().collect()
    })
}

impl Tally {
    fn of(&self, attack: Attack, ending: Ending) -> u64 {
        self.ends
            .get(&(attack, ending))
            .copied()
            .unwrap_or_default()
    }

    /// Checks that every attack did what it is there for.
    pub(crate) fn check(&self, attacks: &[Attack]) {
        for &attack in attacks {
            let first = attack.endings()[0];
            assert!(
                self.of(attack, first) > 0,
                "{attack} never ended as {first:?}: it proves nothing"
            );
        }
        assert_eq!(
            PANICS.load(Ordering::SeqCst),
            0,
            "a thread of the host panicked"
        );
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for attack in Attack::ALL {
            let of_this = self.ends.iter().filter(|((of, _), _)| *of == attack);
            let ends: Vec<String> = of_this
                .clone()
                .map(|((_, ending), count)| format!("{count} {ending:?}").to_lowercase())
                .collect();
            let sum: u64 = of_this.map(|(_, count)| count).sum();
            if sum > 0 {
                writeln!(
                    f,
                    "{:>12}  {sum:>8}  {}",
                    attack.to_string(),
                    ends.join(", ")
                )?;
            }
        }
        write!(
            f,
            "{} jobs answered, {} workers started, {} died or were killed; the longest overrun of a deadline: {} ms; \
             {} bytes heard by handlers",
            self.jobs,
            self.started,
            self.died,
            self.overrun.as_millis(),
            HEARD.load(Ordering::Relaxed),
        )
    }
}

/// Uses a pool of good workers until it is told to stop; each reply has to be right. Says how many were.
pub(crate) fn stand_by(pool: &Pool, stop: &AtomicBool) -> u64 {
    let mut rng = fastrand::Rng::with_seed(1);
    let mut replies = 0;
    while !stop.load(Ordering::Relaxed) {
        let mut input = vec![0; rng.usize(0..20_000)];
        rng.fill(&mut input);
        let completion = pool.call(Job::new(input.clone())).expect("it is taken");
        let reply = completion.result.expect("a bystander's worker lives");
        assert!(reply.output == input, "a bystander's reply is another's");
        replies += 1;
        // The attackers are to have the machine.
        thread::sleep(Duration::from_millis(2));
    }
    replies
}

/// The pool of the bystander, whose workers are this program.
pub(crate) fn bystanders(program: &Path) -> Pool {
    builder(&embedded("echo"), Isolation::Process)
        .worker_program(program)
        .link(LinkKind::Shm)
        .build()
        .expect("the pool is built")
}

/// What this process holds of the system.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Footprint {
    pub(crate) descriptors: usize,
    pub(crate) maps: usize,
    pub(crate) children: usize,
    pub(crate) threads: usize,
    /// Of its own, and of files.
    pub(crate) resident: u64,
    /// What it shares with workers: pages of a link that a large payload has touched stay until its worker ends.
    pub(crate) linked: u64,
}

/// By so much the host's memory may have grown.
const GROWTH: u64 = 2 << 20;

/// What the links of the workers that are alive may keep, and no more: the limits of input and output of each.
const LINKS: u64 = 2 * (64 << 20) + 2 * (16 << 20);

/// Has all threads use one arena: what lies on top of another one, the allocator never gives back when asked.
#[expect(unsafe_code, reason = "no library wraps the call")]
pub(crate) fn share_one_arena() {
    #[cfg(target_env = "gnu")]
    // SAFETY: two numbers go in, before there is a second thread.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
}

/// Has the allocator give back what it keeps for the next time: some MiB for each of its arenas, now more
/// and now less, behind which a leak could hide.
#[expect(unsafe_code, reason = "no library wraps the call")]
fn trim() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it may be called at any time, and touches nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}

impl Footprint {
    pub(crate) fn now() -> Self {
        trim();
        let count = |folder: &str| fs::read_dir(folder).expect("/proc is mounted").count();
        let status = fs::read_to_string("/proc/self/status").expect("the kernel tells");
        let bytes = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
            kib.expect("a number of KiB") << 10
        };
        let maps = fs::read_to_string("/proc/self/maps").expect("the kernel tells");
        Self {
            descriptors: count("/proc/self/fd"),
            maps: maps.lines().count(),
            children: children_of(std::process::id()).len(),
            threads: count("/proc/self/task"),
            resident: bytes("RssAnon:") + bytes("RssFile:"),
            linked: bytes("RssShmem:"),
        }
    }

    fn is_within(&self, before: &Self) -> bool {
        // The allocator may map another arena at any time.
        self.descriptors <= before.descriptors
            && self.maps <= before.maps + 8
            && self.children <= before.children
            && self.threads <= before.threads
            && self.resident <= before.resident + GROWTH
            && self.linked <= LINKS
    }

    /// Waits until everything is as it was.
    pub(crate) fn await_return(&self) -> Self {
        let until = Instant::now() + PATIENCE;
        loop {
            let now = Self::now();
            if now.is_within(self) {
                return now;
            }
            assert!(Instant::now() < until, "what was {self} is {now}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl fmt::Display for Footprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} descriptors, {} maps, {} children, {} threads, {} KiB resident and {} KiB shared with workers",
            self.descriptors,
            self.maps,
            self.children,
            self.threads,
            self.resident >> 10,
            self.linked >> 10
        )
    }
}

/// Lets a program that attacks before it is ready fail to start so many times.
pub(crate) fn besiege_starts(program: &Path, failures: u64) {
    let pool = hostile(program, WaitPolicy::Auto)
        .build()
        .expect("the pool is built");
    let submit = || pool.submit(Job::new("for nobody")).expect("it is taken");
    let mut ticket = submit();
    while pool.health().failed_starts < failures {
        // Some say that they are ready, and more: those take a job along.
        ticket = match ticket.wait_for(Duration::from_millis(1)) {
            Ok(end) => {
                let ending = ending_of(&end);
                assert_eq!(ending, Ok(Ending::Garbled), "{:?}", end.result);
                submit()
            }
            Err(ticket) => ticket,
        };
    }
    assert_eq!(pool.health().abandoned, 0);
    pool.stopper().stop();
    let end = ticket.wait_for(PATIENCE).expect("it ends");
    assert!(end.result.is_err(), "{:?}", end.result);
}

/// Hands in a job whose worker is forked and never says anything: not the guest is to be blamed.
pub(crate) fn await_the_mute(
    program: &Path,
    link: LinkKind,
    limit: Option<Duration>,
    input: Vec<u8>,
) {
    let once = RestartPolicy {
        quarantine_after: 1,
        ..RestartPolicy::default()
    };
    let pool = builder(&embedded("echo"), Isolation::Process)
        .start(StartMethod::Fork)
        .link(link)
        .worker_program(program)
        .restart(once)
        .limits(limits(limit))
        .build()
        .expect("the pool is built");
    let ticket = pool.submit(Job::new(input)).expect("it is not known yet");
    let completion = ticket.wait_for(PATIENCE).expect("the start has an end");
    let Err(Lost::NoWorkers(why)) = completion.result else {
        panic!("{link}, {limit:?}: {completion:?}")
    };
    assert!(why.contains("it was not ready within 10 s"), "{why}");
    let health = pool.health();
    assert_eq!((health.failed_starts, health.died), (1, 1));
    assert_eq!((health.abandoned, health.quarantined), (0, 1));
}

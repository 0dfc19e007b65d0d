//! A hostile worker on the link through shared memory: it writes what it likes where it likes, whenever it
//! likes. It may cost its host the job that it was given, and nothing else.
//!
//! This program is its own worker, so it has a `main` of its own: spawned by a pool it attacks
//! ([`worker`]), else it is the host under attack ([`siege`]). Without arguments it runs its tests.
//! `--minutes N` goes on for so long and tells what was counted (`benches/evidence/hostile-child`); `--attack NAME --seed N` repeats one.

#[path = "../common/mod.rs"]
mod common;

mod attack;
mod siege;
mod wire;
mod worker;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use attack::Attack;
use cofferdam::LinkKind;
use common::COFFERDAM;
use siege::{Footprint, PANICS, Siege, Tally};

/// Jobs for each attack, way of handing in and way of waiting: some hundreds of each attack together.
const COUNT: u64 = 23;

/// The same in a long run, whose rounds are to be short.
const LONG_COUNT: u64 = 12;

/// Failed starts that a test waits for.
const STARTS: u64 = 100;

/// A test and its name.
type Test = (&'static str, fn());

const TESTS: [Test; 4] = [
    (
        "a_worker_that_never_says_that_it_is_ready_has_failed_to_start",
        a_worker_that_never_says_that_it_is_ready_has_failed_to_start,
    ),
    (
        "a_hostile_worker_costs_nobody_but_the_job_that_it_was_given",
        a_hostile_worker_costs_nobody_but_the_job_that_it_was_given,
    ),
    (
        "a_worker_that_attacks_before_it_is_ready_is_no_worker",
        a_worker_that_attacks_before_it_is_ready_is_no_worker,
    ),
    (
        "a_hostile_worker_fetches_from_no_other_host_than_those_that_were_allowed",
        a_hostile_worker_fetches_from_no_other_host_than_those_that_were_allowed,
    ),
];

fn main() -> ExitCode {
    if std::env::var_os("COFFERDAM_WORKER").is_some() {
        return worker::serve().unwrap_or_else(|error| {
            say(&error.to_string());
            ExitCode::FAILURE
        });
    }
    siege::share_one_arena();
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.fetch_add(1, Ordering::SeqCst);
        told(panic);
    }));
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let number = |name: &str| value(name).map(|value| value.parse().expect("a number"));
    let seed = number("--seed").unwrap_or(1);
    if let Some(minutes) = number("--minutes") {
        let bystander = value("--bystander").unwrap_or_else(|| COFFERDAM.to_owned());
        besiege_for(Duration::from_secs(60 * minutes), seed, bystander.as_ref());
    } else if let Some(name) = value("--attack") {
        let attack = Attack::named(&name).expect("the name of an attack");
        let mut tally = Tally::default();
        Siege::new().attack(attack, seed, number("--count").unwrap_or(1), &mut tally);
        say(&tally.to_string());
    } else {
        run_tests(&arguments);
    }
    ExitCode::SUCCESS
}

/// Does what the usual test harness does with the arguments that people use.
fn run_tests(arguments: &[String]) {
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let mut filters = arguments
        .iter()
        .filter(|argument| !argument.starts_with('-'));
    let filter = filters.next().cloned().unwrap_or_default();
    let chosen = TESTS
        .iter()
        .filter(|(name, _)| name.contains(&filter) && !has("--ignored"));
    for (name, test) in chosen {
        if has("--list") {
            say(&format!("{name}: test"));
        } else {
            // A failure is a panic, and ends the process with another code than 0.
            test();
            say(&format!("test {name} ... ok"));
        }
    }
}

fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Does something while a good pool is used beside it.
fn beside_bystanders(program: &Path, work: impl FnOnce()) -> u64 {
    let pool = siege::bystanders(program);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let bystander = scope.spawn(|| siege::stand_by(&pool, &stop));
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        stop.store(true, Ordering::Relaxed);
        let replies = bystander.join().expect("the bystander is not disturbed");
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        replies
    })
}

fn round(siege: &Siege, seed: u64, count: u64, tally: &mut Tally) {
    for attack in Attack::ALL {
        siege.attack(attack, seed, count, tally);
    }
}

fn a_hostile_worker_costs_nobody_but_the_job_that_it_was_given() {
    let siege = Siege::new();
    let mut tally = Tally::default();
    let replies = beside_bystanders(COFFERDAM.as_ref(), || {
        // Threads, caches and the allocator's arenas are there after this.
        round(&siege, 1 << 32, 3, &mut Tally::default());
        let before = Footprint::now();
        round(&siege, 1, COUNT, &mut tally);
        let after = before.await_return();
        say(&format!("before {before}\nafter  {after}"));
    });
    assert!(replies > 0, "the bystander was not there");
    tally.check(&Attack::ALL);
    say(&tally.to_string());
}

/// This program under another name, for as long as the folder is there.
fn named(name: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join(name);
    let this = std::env::current_exe().expect("this program has a name");
    std::os::unix::fs::symlink(this, &program).expect("a second name");
    (folder, program)
}

fn a_worker_that_never_says_that_it_is_ready_has_failed_to_start() {
    let (_folder, program) = named(worker::MUTE);
    // With a time limit and without, however its first job is brought to it; all at once, since each takes as
    // long as a start may take.
    let cases = LinkKind::ALL.into_iter().flat_map(|link| {
        let limits = [None, Some(Duration::from_millis(100))];
        limits.map(|limit| (link, limit))
    });
    thread::scope(|scope| {
        for (number, (link, limit)) in cases.enumerate() {
            let program = &program;
            scope.spawn(move || {
                // More than a socket takes that nobody reads.
                let input = vec![0; number * (1 << 20)];
                siege::await_the_mute(program, link, limit, input);
            });
        }
    });
}

fn a_worker_that_attacks_before_it_is_ready_is_no_worker() {
    let (_folder, program) = named(worker::UNREADY);
    beside_bystanders(COFFERDAM.as_ref(), || {
        siege::besiege_starts(&program, STARTS / 10);
        let before = Footprint::now();
        siege::besiege_starts(&program, STARTS);
        before.await_return();
    });
    assert_eq!(PANICS.load(Ordering::SeqCst), 0);
}

/// With a server that is allowed, and one beside it that is not. What the worker asks for, the job's input says.
fn a_hostile_worker_fetches_from_no_other_host_than_those_that_were_allowed() {
    let (_folder, program) = named(worker::FETCHING);
    let (allowed, other) = (siege::counting_server(), siege::counting_server());
    let pool = siege::fetching(&program, allowed.address);
    let asked = |url: &str| siege::fetched(&pool, url);
    for round in 1..=20 {
        assert_eq!(
            asked(&format!("http://{}/", allowed.address)),
            0,
            "answered"
        );
        assert_eq!(asked(&format!("http://{}/", other.address)), 1, "refused");
        let around = format!("http://{}@{}/", allowed.address, other.address);
        assert_eq!(asked(&around), 1, "refused");
        let sent_on = format!("http://{}/{}", allowed.address, other.address);
        assert_eq!(asked(&sent_on), 1, "refused");
        assert_eq!(allowed.requests(), 2 * round);
    }
    assert_eq!(other.requests(), 0);
    assert_eq!(pool.health().died, 0);
    assert_eq!(PANICS.load(Ordering::SeqCst), 0);
}

/// Attacks for so long, and tells what was counted.
fn besiege_for(span: Duration, mut seed: u64, bystander: &Path) {
    let siege = Siege::new();
    let mut tally = Tally::default();
    let start = Instant::now();
    let mut footprints = None;
    let replies = beside_bystanders(bystander, || {
        round(&siege, seed, LONG_COUNT, &mut tally);
        let before = Footprint::now();
        let mut told = Instant::now();
        while start.elapsed() < span {
            seed += 1 << 20;
            round(&siege, seed, LONG_COUNT, &mut tally);
            if told.elapsed() > Duration::from_secs(60) {
                told = Instant::now();
                let seconds = start.elapsed().as_secs();
                say(&format!(
                    "after {seconds} s: {} jobs; {}",
                    tally.jobs,
                    Footprint::now()
                ));
            }
        }
        footprints = Some((before, before.await_return()));
    });
    tally.check(&Attack::ALL);
    say(&tally.to_string());
    if let Some((before, after)) = footprints {
        say(&format!("before {before}\nafter  {after}"));
    }
    say(&format!(
        "{replies} right replies of the bystander, no panic, {:.0} s",
        start.elapsed().as_secs_f64()
    ));
}

//! A program that embeds cofferdam is its own worker program, and not each can be forked: one that has a
//! thread before it calls `serve_if_worker` cannot. Its workers are then started in another way, if nobody
//! insisted on this one.
//!
//! This program is such an embedder, by the name under which it is started.

#[path = "common/mod.rs"]
mod common;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::thread;

use cofferdam::{
    Cache, Completion, Incident, Job, Lost, Pool, PoolBuilder, RestartPolicy, StartMethod,
};

use common::{MS, PATIENCE, embedded, reply};

/// The name under which this program has a thread before it serves.
const THREADED: &str = "threaded";

/// A test and its name.
type Test = (&'static str, fn());

const TESTS: [Test; 4] = [
    (
        "a_program_without_threads_is_forked_and_nothing_is_said",
        a_program_without_threads_is_forked_and_nothing_is_said,
    ),
    (
        "a_program_that_cannot_be_forked_is_spawned_and_that_is_said_once",
        a_program_that_cannot_be_forked_is_spawned_and_that_is_said_once,
    ),
    (
        "whoever_insists_on_forks_is_told_why_there_are_none",
        whoever_insists_on_forks_is_told_why_there_are_none,
    ),
    (
        "a_program_that_cannot_be_spawned_either_is_no_reason_to_fall_back",
        a_program_that_cannot_be_spawned_either_is_no_reason_to_fall_back,
    ),
];

fn main() -> ExitCode {
    let name = std::env::args().next().unwrap_or_default();
    if name.ends_with(THREADED) {
        thread::spawn(|| {
            loop {
                thread::park();
            }
        });
    }
    if let Some(code) = cofferdam::serve_if_worker() {
        return code;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let filter = arguments
        .iter()
        .find(|argument| !argument.starts_with('-'))
        .cloned()
        .unwrap_or_default();
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
    ExitCode::SUCCESS
}

fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// This program under another name, for as long as the folder is there.
fn named(name: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join(name);
    let this = std::env::current_exe().expect("this program has a name");
    std::os::unix::fs::symlink(this, &program).expect("a second name");
    (folder, program)
}

/// What was told of starts, in words.
type Told = Arc<Mutex<Vec<String>>>;

/// A builder of pools whose workers are this program, with the usual start method, and what is told.
fn pool_of(program: &Path) -> (PoolBuilder, Told) {
    let told = Told::default();
    let ears = Arc::clone(&told);
    let builder = Pool::builder(embedded("echo"))
        .cache(Cache::off())
        .worker_program(program)
        .workers(2)
        .limits(common::limits(Some(PATIENCE)))
        .restart(RestartPolicy {
            first_pause: MS(1),
            ..RestartPolicy::default()
        })
        .on_incident(move |incident| {
            let words = match incident {
                Incident::FellBack { to, why } => format!("fell back to {to}: {why}"),
                other => format!("{other:?}"),
            };
            ears.lock().expect("nobody panics").push(words);
        });
    (builder, told)
}

fn heard(told: &Told) -> Vec<String> {
    told.lock().expect("nobody panics").clone()
}

fn a_program_without_threads_is_forked_and_nothing_is_said() {
    let (_folder, program) = named("plain");
    let (builder, told) = pool_of(&program);
    let pool = builder.build().expect("the pool is built");
    assert_eq!(reply(&pool, Job::new("forked")).output, b"forked");
    assert_eq!(pool.start_method(), Some(StartMethod::Fork));
    assert_eq!(heard(&told), [""; 0]);
}

fn a_program_that_cannot_be_forked_is_spawned_and_that_is_said_once() {
    let (_folder, program) = named(THREADED);
    let (builder, told) = pool_of(&program);
    let prepared = builder.prepare().expect("it compiles");
    let pool = prepared.start().expect("the pool is built");
    for number in 0..20 {
        let input = format!("job {number}");
        assert_eq!(
            reply(&pool, Job::new(input.clone())).output,
            input.as_bytes()
        );
    }
    assert_eq!(pool.start_method(), Some(StartMethod::Exec));
    let said = heard(&told);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].starts_with("fell back to exec: "), "{said:?}");
    assert!(
        said[0].contains("threads before `serve_if_worker`"),
        "{said:?}"
    );
    let health = pool.drain();
    assert_eq!((health.failed_starts, health.quarantined), (0, 0));
    // It is known of the recipe, so that no server is tried again; each pool's owner is told.
    let second = prepared.start().expect("the pool is built");
    assert_eq!(second.start_method(), Some(StartMethod::Exec));
    assert_eq!(reply(&second, Job::new("again")).output, b"again");
    assert_eq!(heard(&told).len(), 2);
}

fn no_workers(completion: &Completion) -> &str {
    match &completion.result {
        Err(Lost::NoWorkers(why)) => why,
        other => panic!("{other:?}"),
    }
}

fn whoever_insists_on_forks_is_told_why_there_are_none() {
    for start in [StartMethod::Fork, StartMethod::Spare] {
        let (_folder, program) = named(THREADED);
        let (builder, told) = pool_of(&program);
        let pool = builder.start(start).build().expect("the pool is built");
        let ticket = pool.submit(Job::new("")).expect("it is not known yet");
        let completion = ticket.wait_for(PATIENCE).expect("it ends");
        let why = no_workers(&completion);
        assert!(why.contains("threads before `serve_if_worker`"), "{why}");
        assert_eq!(pool.start_method(), Some(start));
        assert!(!heard(&told).iter().any(|words| words.starts_with("fell")));
        assert_eq!(pool.drain().quarantined, 2);
    }
}

fn a_program_that_cannot_be_spawned_either_is_no_reason_to_fall_back() {
    let (builder, told) = pool_of(Path::new("/nowhere/at/all"));
    let pool = builder.build().expect("the pool is built");
    let ticket = pool.submit(Job::new("")).expect("it is not known yet");
    let completion = ticket.wait_for(PATIENCE).expect("it ends");
    let why = no_workers(&completion);
    assert!(why.contains("/nowhere/at/all"), "{why}");
    assert_eq!(pool.start_method(), Some(StartMethod::Fork));
    assert!(!heard(&told).iter().any(|words| words.starts_with("fell")));
}

//! What dies, dies alone: workers that are killed, stopped and abandoned, and hosts that are.
//!
//! Each fault meets every way in which a worker process comes to be, is reached, waits and keeps its instance; where
//! that would take minutes, another third of them each time (`COFFERDAM_SEED`), or all with `COFFERDAM_ALL_WAYS` set.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cofferdam::{Death, Guest, Incident, Isolation, Job, Lost, Outcome, Pool, PoolBuilder};
use rustix::process::Signal;

use common::{
    Host, MS, Numbers, PATIENCE, Way, builder, children_of, command, complete, dawdler, embedded,
    for_each, guest, handle, is_alive, limits, pid_in, reply, see, send, some_ways, spinner,
    wait_until, ways, workers_marked_with,
};

/// The tests of this file look at the descriptors and the children of their process, so one runs at a
/// time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn process_pool(way: Way, guest: &Guest) -> Pool {
    way.builder(guest).build().expect("the pool is built")
}

/// The process of the only worker, once it is there.
fn worker_of(pool: &Pool) -> u32 {
    common::wait_for("a worker", || pool.workers().first()?.pid)
}

/// Sends a signal until the process has felt it. A first SIGSEGV is taken by the handlers of wasmtime
/// and of the standard library, which find no fault of theirs and give the second one free.
fn kill_with(signal: Signal, pid: u32) {
    wait_until("the worker dies", || {
        send(pid, signal);
        !is_alive(pid)
    });
}

/// A job that says when its guest has begun.
fn telling(input: &str) -> (Job, crossbeam_channel::Receiver<()>) {
    let (begun, hear) = crossbeam_channel::unbounded();
    let job = Job::new(input).on_post(move |_, _| begun.send(()).unwrap_or_default());
    (job, hear)
}

// ---------------------------------------------------------------------------------------------
// A worker dies over a job
// ---------------------------------------------------------------------------------------------

#[test]
fn the_job_in_flight_gets_the_real_cause_and_the_next_one_is_served() {
    let _alone = alone();
    for_each(ways(), |way| {
        let pool = way
            .builder(&guest(&dawdler()))
            .build()
            .expect("the pool is built");
        for signal in [
            Signal::KILL,
            Signal::SEGV,
            Signal::ABORT,
            Signal::BUS,
            Signal::SYS,
            Signal::TERM,
        ] {
            let (job, begun) = telling("!");
            let ticket = pool
                .submit(job.timeout(PATIENCE))
                .expect("the job is taken");
            let pid = common::wait_for("the job begins", || {
                begun.try_recv().ok().and_then(|()| pool.workers()[0].pid)
            });
            kill_with(signal, pid);
            let completion = ticket.wait_for(PATIENCE).expect("it ends");
            let death = Death::Signalled(signal.as_raw());
            assert_eq!(completion.result, Err(Lost::Worker(death)), "{signal:?}");
            assert_eq!(
                pid_in(&completion.worker),
                pid,
                "the label names the one that died"
            );
            assert_eq!(reply(&pool, Job::new("0 next")).output, b"0 next");
            assert_ne!(worker_of(&pool), pid);
        }
        assert_eq!(pool.drain().died, 6);
    });
}

#[test]
fn a_worker_killed_at_any_moment_costs_at_most_the_job_that_it_ran() {
    let _alone = alone();
    for_each(some_ways(), |way| {
        let pool = process_pool(way, &guest(&dawdler()));
        let mut numbers = Numbers(1);
        let mut lost = 0;
        for round in 0..40 {
            let input = format!("1 round {round}");
            let pid = worker_of(&pool);
            let ticket = pool
                .submit(Job::new(input.clone()))
                .expect("the job is taken");
            std::thread::sleep(Duration::from_micros(numbers.below(12_000)));
            send(pid, Signal::KILL);
            let completion = ticket.wait_for(PATIENCE).expect("it ends");
            match completion.result {
                Ok(reply) => assert_eq!(reply.output, input.as_bytes()),
                Err(cause) => {
                    assert_eq!(cause, Lost::Worker(Death::Signalled(9)));
                    lost += 1;
                }
            }
            wait_until("the worker dies", || !is_alive(pid));
        }
        assert!(lost > 0, "no kill hit a job: the test proves nothing");
        assert_eq!(reply(&pool, Job::new("0 after all")).output, b"0 after all");
        assert_eq!(pool.drain().answered, 41);
    });
}

#[test]
fn a_worker_that_is_stopped_hangs_and_is_replaced() {
    let _alone = alone();
    // The kernel calls a process stopped when its last thread is, which has to have a CPU for that.
    let long = MS(1000);
    for_each(some_ways(), |way| {
        let pool = way
            .builder(&guest(&dawdler()))
            .limits(limits(Some(long)))
            .build()
            .expect("the pool is built");
        let (job, begun) = telling("!");
        let ticket = pool.submit(job).expect("the job is taken");
        begun.recv_timeout(PATIENCE).expect("it begins");
        let pid = worker_of(&pool);
        send(pid, Signal::STOP);
        let completion = ticket.wait_for(PATIENCE).expect("it ends");
        let death = Death::Hung { after: long };
        assert_eq!(completion.result, Err(Lost::Worker(death)));
        assert!(!is_alive(pid));
        assert_eq!(reply(&pool, Job::new("0 next")).output, b"0 next");
    });
}

#[test]
fn a_worker_that_was_stopped_before_its_job_hangs_too() {
    let _alone = alone();
    for_each(ways(), |way| {
        let pool = way
            .builder(&embedded("echo"))
            .limits(limits(Some(MS(300))))
            .build()
            .expect("the pool is built");
        reply(&pool, Job::new("first"));
        let pid = worker_of(&pool);
        send(pid, Signal::STOP);
        wait_until("every thread of it stands still", || {
            let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("it lives");
            threads.flatten().all(|thread| {
                let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
                stat.contains(") T ")
            })
        });
        let death = Death::Hung { after: MS(300) };
        // More than fits into the socket's buffer: the host must not hang in writing either.
        let completion = complete(&pool, Job::new(vec![0; 4 << 20]));
        assert_eq!(completion.result, Err(Lost::Worker(death)));
        assert_eq!(reply(&pool, Job::new("next")).output, b"next");
    });
}

#[test]
fn a_job_whose_worker_dies_is_retried_as_often_as_allowed() {
    let _alone = alone();
    for_each(ways(), |way| {
        let pool = way
            .builder(&guest(&spinner()))
            .retries(2)
            .build()
            .expect("the pool is built");
        let (job, begun) = telling("");
        let ticket = pool.submit(job).expect("the job is taken");
        for _ in 0..3 {
            begun.recv_timeout(PATIENCE).expect("it begins");
            send(worker_of(&pool), Signal::KILL);
        }
        let completion = ticket.wait_for(PATIENCE).expect("it ends");
        assert_eq!(completion.attempts, 3);
        assert_eq!(completion.result, Err(Lost::Worker(Death::Signalled(9))));
    });
}

#[test]
fn bystanders_do_not_notice_that_another_worker_dies() {
    let _alone = alone();
    for_each(ways(), |way| {
        let pool = way
            .builder(&guest(&dawdler()))
            .workers(3)
            .queue(8)
            .build()
            .expect("the pool is built");
        let label = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&label);
        let victim = Job::new("! the victim").on_post(move |from, _| {
            from.worker.clone_into(&mut kept.lock().unwrap());
        });
        let victim = pool.submit(victim).expect("the job is taken");
        wait_until("the victim begins", || !label.lock().unwrap().is_empty());
        let bystanders: Vec<_> = (0..6)
            .map(|number| {
                pool.submit(Job::new(format!("5 bystander {number}")))
                    .expect("taken")
            })
            .collect();
        send(pid_in(&label.lock().unwrap()), Signal::KILL);
        let completion = victim.wait_for(PATIENCE).expect("it ends");
        assert_eq!(completion.result, Err(Lost::Worker(Death::Signalled(9))));
        for (number, ticket) in bystanders.into_iter().enumerate() {
            let completion = ticket.wait_for(PATIENCE).expect("it ends");
            let output = completion.result.expect("it is no victim").output;
            assert_eq!(output, format!("5 bystander {number}").into_bytes());
        }
        assert_eq!(pool.drain().died, 1);
    });
}

#[test]
fn no_job_of_a_batch_begins_twice_whenever_its_worker_dies() {
    const JOBS: usize = 3000;
    let _alone = alone();
    for_each(some_ways(), |way| {
        let pool = way
            .builder(&guest(&dawdler()))
            .build()
            .expect("the pool is built");
        let begun: Arc<Mutex<Vec<u32>>> = Arc::new(Mutex::new(vec![0; JOBS]));
        let jobs = (0..JOBS).map(|number| {
            let begun = Arc::clone(&begun);
            let input = format!("0 quick {number}");
            Job::new(input).on_post(move |_, _| begun.lock().unwrap()[number] += 1)
        });
        let batch = pool.submit_many(jobs).expect("they are taken");
        let over = AtomicBool::new(false);
        let mut numbers = Numbers(3);
        let mut lost = 0;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_micros(2_000 + numbers.below(6_000)));
                    if let Some(pid) = pool.workers().first().and_then(|worker| worker.pid) {
                        send(pid, Signal::KILL);
                    }
                }
            });
            for (number, completion) in batch.ordered().enumerate() {
                match completion.result {
                    Ok(reply) => assert_eq!(reply.output, format!("0 quick {number}").as_bytes()),
                    Err(Lost::Worker(Death::Signalled(9))) => lost += 1,
                    Err(other) => panic!("{number}: {other}"),
                }
            }
            over.store(true, Ordering::SeqCst);
        });
        let begun = begun.lock().unwrap();
        assert!(begun.iter().all(|&times| times <= 1), "{begun:?}");
        // A worker takes at the most the job that it runs.
        let died = usize::try_from(pool.health().died).expect("a small number");
        assert!(lost <= died, "{lost} jobs are lost with {died} workers");
    });
}

#[test]
fn a_job_that_began_is_no_missed_one_though_its_worker_did_not_take_the_last_answer() {
    let _alone = alone();
    let waiting = handle(
        "(call $post (i32.const 0) (i32.const 1)) (drop (call $recv (i32.const 0) (i32.const 9) (i32.const -1))) \
         (i32.const 0)",
    );
    for_each(ways(), |way| {
        let pool = way.builder(&waiting).build().expect("the pool is built");
        let (begun, hear) = crossbeam_channel::unbounded();
        let (job, outbox) = Job::new("").with_inbox();
        let job = job.on_post(move |_, _| begun.send(()).unwrap_or_default());
        let ticket = pool.submit(job).expect("the job is taken");
        wait_until("the guest begins", || hear.try_recv().is_ok());
        let pid = worker_of(&pool);
        send(pid, Signal::STOP);
        wait_until("its worker stands still", || {
            see(pid).is_some_and(|seen| seen.state == 'T')
        });
        outbox.post("an answer").expect("the job runs");
        // The host has sent it on when its own thread waits for the worker again; if that comes later, the
        // death is noticed without it, and the test says nothing.
        std::thread::sleep(MS(20));
        send(pid, Signal::KILL);
        let completion = ticket.wait_for(PATIENCE).expect("it ends");
        assert_eq!(completion.result, Err(Lost::Worker(Death::Signalled(9))));
        assert!(hear.try_recv().is_err(), "it began twice");
    });
}

#[test]
fn incidents_name_the_worker_its_death_and_its_job() {
    let _alone = alone();
    for_each(ways(), |way| {
        let told = Arc::new(Mutex::new(Vec::new()));
        let ears = Arc::clone(&told);
        let pool = way
            .builder(&guest(&spinner()))
            .on_incident(move |incident| {
                if let Incident::Died {
                    worker, death, job, ..
                } = incident
                {
                    ears.lock()
                        .unwrap()
                        .push((pid_in(worker), (*death).clone(), *job));
                }
            })
            .build()
            .expect("the pool is built");
        let (job, begun) = telling("");
        let ticket = pool.submit(job).expect("the job is taken");
        begun.recv_timeout(PATIENCE).expect("it begins");
        let pid = worker_of(&pool);
        send(pid, Signal::KILL);
        assert!(ticket.wait_for(PATIENCE).is_ok());
        assert_eq!(*told.lock().unwrap(), [(pid, Death::Signalled(9), Some(0))]);
    });
}

#[test]
fn workers_that_are_killed_under_callers_lose_and_confuse_no_job() {
    let _alone = alone();
    let pool = builder(&embedded("echo"), Isolation::Process)
        .workers(2)
        .retries(1000)
        .build()
        .expect("the pool is built");
    const KILLS: u64 = 30;
    let done = AtomicBool::new(false);
    let answered = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..3)
            .map(|caller| {
                let (pool, done) = (&pool, &done);
                scope.spawn(move || {
                    let mut number = 0;
                    while !done.load(Ordering::SeqCst) {
                        let input = format!("caller {caller}, job {number}");
                        let completion = pool.call(Job::new(input.clone())).expect("it is taken");
                        let reply = completion.result.expect("it is run again");
                        assert_eq!(reply.output, input.into_bytes());
                        number += 1;
                    }
                    number
                })
            })
            .collect();
        for kill in 0..KILLS {
            let victim = common::wait_for("a worker", || {
                let workers = pool.workers();
                workers.get(usize::try_from(kill).ok()? % 2)?.pid
            });
            send(victim, Signal::KILL);
            wait_until("the death is noticed", || pool.health().died > kill);
        }
        done.store(true, Ordering::SeqCst);
        callers
            .into_iter()
            .map(|caller| caller.join().unwrap())
            .sum::<u64>()
    });
    let health = pool.drain();
    assert_eq!((health.answered, health.died), (answered, KILLS));
}

// ---------------------------------------------------------------------------------------------
// A worker dies between jobs
// ---------------------------------------------------------------------------------------------

#[test]
fn a_worker_killed_while_idle_costs_no_job() {
    let _alone = alone();
    for_each(some_ways(), |way| {
        let pool = process_pool(way, &embedded("echo"));
        for round in 0..30 {
            // An empty job first: a worker that never served one is taken for one that does not start.
            assert!(reply(&pool, Job::new("")).output.is_empty());
            let pid = worker_of(&pool);
            send(pid, Signal::KILL);
            wait_until("the worker is dead", || !is_alive(pid));
            // It is dead; whether the host has noticed by now is a matter of luck, and must not matter.
            let completion = complete(&pool, Job::new(format!("round {round}")));
            assert_eq!(completion.attempts, 1);
            assert_eq!(
                completion.result.expect("no job is lost").output,
                format!("round {round}").into_bytes()
            );
        }
        let health = pool.drain();
        assert_eq!((health.answered, health.died, health.retried), (60, 30, 0));
    });
}

#[test]
fn a_worker_killed_while_idle_is_replaced_without_a_job() {
    let _alone = alone();
    for_each(ways(), |way| {
        let pool = process_pool(way, &embedded("echo"));
        reply(&pool, Job::new(""));
        let pid = worker_of(&pool);
        send(pid, Signal::KILL);
        let replaced = || {
            pool.workers()
                .first()
                .is_some_and(|worker| worker.pid != Some(pid))
        };
        wait_until("another worker", replaced);
        assert!(is_alive(worker_of(&pool)));
    });
}

#[test]
fn a_worker_program_that_does_not_serve_is_given_up_with_its_last_words() {
    let _alone = alone();
    for_each(ways(), |way| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let program = folder.path().join("worker");
        fs::write(&program, "#!/bin/sh\necho I am no worker >&2\nexit 3\n").expect("a file");
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&program, executable).expect("our own file");
        let restart = cofferdam::RestartPolicy {
            first_pause: MS(1),
            ..cofferdam::RestartPolicy::default()
        };
        let pool = way
            .builder(&embedded("echo"))
            .worker_program(&program)
            .restart(restart)
            .build()
            .expect("the pool is built");
        let ticket = pool.submit(Job::new("")).expect("it is not known yet");
        let completion = ticket.wait_for(PATIENCE).expect("it ends");
        let Err(Lost::NoWorkers(why)) = completion.result else {
            panic!("{completion:?}")
        };
        assert!(why.contains("I am no worker"), "{why}");
        assert!(pool.submit(Job::new("")).is_err());
        assert_eq!(pool.drain().quarantined, 1);
    });
}

// ---------------------------------------------------------------------------------------------
// Nothing is left behind
// ---------------------------------------------------------------------------------------------

fn open_descriptors() -> usize {
    fs::read_dir("/proc/self/fd")
        .expect("/proc is mounted")
        .count()
}

fn zombies() -> Vec<common::Seen> {
    let mut children = children_of(std::process::id());
    children.retain(|child| child.state == 'Z');
    children
}

/// Descriptors when none has come or gone for a while: the server and the first spare may still be on their way.
fn settled_descriptors() -> usize {
    const QUIET: Duration = Duration::from_millis(300);
    let (mut last, mut since) = (open_descriptors(), Instant::now());
    wait_until("descriptors have settled", || {
        let now = open_descriptors();
        if now != last {
            (last, since) = (now, Instant::now());
        }
        since.elapsed() > QUIET
    });
    last
}

#[test]
fn two_hundred_kills_leave_no_zombie_and_no_descriptor() {
    let _alone = alone();
    for_each(some_ways(), |way| {
        let pool = process_pool(way, &embedded("echo"));
        reply(&pool, Job::new(""));
        let before = settled_descriptors();
        let mut pids = BTreeSet::new();
        for _ in 0..200 {
            let pid = worker_of(&pool);
            pids.insert(pid);
            send(pid, Signal::KILL);
            wait_until("the worker is gone", || see(pid).is_none());
            assert_eq!(reply(&pool, Job::new("x")).output, b"x");
        }
        assert_eq!(pids.len(), 200, "each kill hit another worker");
        assert_eq!(zombies(), []);
        wait_until("the descriptors are back", || open_descriptors() <= before);
        drop(pool);
        wait_until("the last worker is gone", || {
            children_of(std::process::id()).is_empty()
        });
    });
}

#[test]
fn pools_that_come_and_go_leave_nothing() {
    let _alone = alone();
    for_each(some_ways(), |way| {
        let _ = process_pool(way, &embedded("echo")).drain();
    });
    wait_until("the first pool is gone", || {
        children_of(std::process::id()).is_empty()
    });
    let before = open_descriptors();
    let come_and_go = |builder: &dyn Fn() -> PoolBuilder| {
        for _ in 0..20 {
            let pool = builder().workers(2).build().expect("the pool is built");
            assert_eq!(reply(&pool, Job::new("x")).output, b"x");
        }
    };
    come_and_go(&|| builder(&embedded("echo"), Isolation::Thread));
    for_each(some_ways(), |way| {
        come_and_go(&|| way.builder(&embedded("echo")));
    });
    wait_until("the workers are gone", || {
        children_of(std::process::id()).is_empty()
    });
    wait_until("the descriptors are back", || open_descriptors() <= before);
}

// ---------------------------------------------------------------------------------------------
// A run goes on whatever dies
// ---------------------------------------------------------------------------------------------

#[test]
fn a_run_whose_workers_are_killed_all_the_time_answers_each_line_once_and_in_order() {
    let _alone = alone();
    for_each(some_ways(), |way| {
        const KILLS: usize = 40;
        let mut command = command(["run"]);
        command.args(way.arguments()).args([
            "--workers",
            "2",
            "--retries",
            "3",
            "--lines",
            "-",
            "@hello",
        ]);
        command.stdin(Stdio::piped());
        let mut host = Host::spawn(command);
        let mut stdin = host.stdin();
        let enough = Arc::new(AtomicBool::new(false));
        let feeder = std::thread::spawn({
            let enough = Arc::clone(&enough);
            move || {
                let lines = (0..).take_while(|_| !enough.load(Ordering::SeqCst));
                lines
                    .inspect(|line| writeln!(stdin, "{line}").expect("it reads"))
                    .count()
            }
        });
        let mut killed = BTreeSet::new();
        let mut jobs = BTreeMap::<u32, usize>::new();
        while killed.len() < KILLS {
            std::thread::sleep(MS(50));
            let victim = common::wait_for("a worker that serves", || {
                for line in host.news() {
                    if line.contains("posts: Hi from worker!") {
                        *jobs.entry(pid_in(&line)).or_default() += 1;
                    }
                }
                // The first job of a new worker is the one that the last worker died over. So that none
                // meets with this four times, a worker dies over its second job or a later one.
                let mut experienced = jobs.iter().filter(|(_, jobs)| **jobs > 1);
                experienced.find_map(|(&pid, _)| (!killed.contains(&pid)).then_some(pid))
            });
            send(victim, Signal::KILL);
            killed.insert(victim);
        }
        enough.store(true, Ordering::SeqCst);
        let lines = feeder.join().expect("it reads to the end");
        let ended = host.end().exits_with(0);
        let expected: String = (0..lines).map(|line| format!("Hello, {line}!\n")).collect();
        assert!(
            ended.text() == expected,
            "replies are lost, doubled or misplaced"
        );
        assert!(lines > KILLS);
        // The last one may find the run at its end.
        let deaths = ended.stderr.matches("was killed by signal 9").count();
        assert!((KILLS - 1..=KILLS).contains(&deaths), "{deaths} deaths");
    });
}

// ---------------------------------------------------------------------------------------------
// The host dies
// ---------------------------------------------------------------------------------------------

/// How often the host is killed; `COFFERDAM_KILLS=200` for a longer look.
fn kills() -> u64 {
    let wish = std::env::var("COFFERDAM_KILLS").ok();
    wish.map_or(20, |kills| {
        kills.parse().expect("COFFERDAM_KILLS is a number")
    })
}

#[test]
fn no_worker_outlives_a_host_that_is_killed_by_a_second() {
    let _alone = alone();
    for_each(some_ways(), |way| {
        let mut numbers = Numbers(3);
        let mut orphans_to_be = 0;
        for round in 0..kills() {
            // A worker that talks to its host finds it gone; one that spins never looks.
            let guest = ["@sha256", "@spin"][usize::try_from(round % 2).expect("0 or 1")];
            let arguments = ["--timeout", "none", "--workers", "2", "--lines", "-", guest];
            let mut command = command(["run"]);
            command.args(way.arguments()).args(arguments);
            command.stdin(Stdio::piped()).stdout(Stdio::null());
            let mut host = Host::spawn_keeping_stdout(command);
            let pid = host.pid();
            let mut stdin = host.stdin();
            // A stream that ends with its reader, and never before.
            let feeder = std::thread::spawn(move || {
                let line = [b"a line of the stream\n".as_slice(); 50].concat();
                while stdin.write_all(&line).is_ok() {}
            });
            // From before the first worker is spawned to long after the last one is ready.
            std::thread::sleep(Duration::from_micros(numbers.below(150_000)));
            let mut workers: BTreeSet<_> = children_of(pid)
                .into_iter()
                .map(|child| child.pid)
                .collect();
            host.signal(Signal::KILL);
            let killed = Instant::now();
            host.end();
            workers.extend(workers_marked_with(pid));
            orphans_to_be += workers.len();
            let left = || {
                let known = workers.iter().copied().filter(|&worker| is_alive(worker));
                known
                    .chain(workers_marked_with(pid))
                    .collect::<BTreeSet<_>>()
            };
            let mut alive = left();
            while !alive.is_empty() && killed.elapsed() < Duration::from_secs(1) {
                std::thread::sleep(MS(1));
                alive = left();
            }
            // Nobody else would end them.
            for &orphan in &alive {
                send(orphan, Signal::KILL);
            }
            assert_eq!(alive, BTreeSet::new(), "in round {round}");
            feeder.join().expect("the stream ends with its reader");
        }
        assert!(
            orphans_to_be > 0,
            "no worker was ever there: the test proves nothing"
        );
    });
}

#[test]
fn a_pool_that_is_dropped_takes_its_workers_with_it() {
    let _alone = alone();
    for_each(ways(), |way| {
        let pool = way
            .builder(&guest(&spinner()))
            .workers(2)
            .build()
            .expect("the pool is built");
        let (job, begun) = telling("");
        let ticket = pool.submit(job).expect("the job is taken");
        begun.recv_timeout(PATIENCE).expect("it begins");
        wait_until("both workers", || pool.workers().len() == 2);
        let workers = pool.workers();
        drop(pool);
        assert_eq!(
            ticket.wait_for(PATIENCE).expect("it resolves").result,
            Err(Lost::Cancelled)
        );
        for worker in workers {
            let pid = worker.pid.expect("a process worker");
            wait_until("the worker is gone", || see(pid).is_none());
        }
    });
}

// ---------------------------------------------------------------------------------------------
// Host code misbehaves
// ---------------------------------------------------------------------------------------------

#[test]
fn a_handler_that_panics_costs_its_worker_and_nothing_else() {
    let _alone = alone();
    for isolation in Isolation::ALL {
        let pool = builder(&embedded("hello"), isolation)
            .build()
            .expect("the pool is built");
        let job = Job::new("").on_post(|_, _| panic!("the handler says so"));
        let completion = complete(&pool, job);
        let death = Death::Panicked("the handler says so".to_owned());
        assert_eq!(completion.result, Err(Lost::Worker(death)), "{isolation}");
        assert_eq!(reply(&pool, Job::new("Ada")).output, b"Hello, Ada!");
        let health = pool.drain();
        assert_eq!(
            (health.answered, health.died, health.started),
            (2, 1, 2),
            "{isolation}"
        );
    }
}

#[test]
fn jobs_between_panicking_ones_are_all_answered() {
    let _alone = alone();
    for isolation in Isolation::ALL {
        let pool = builder(&embedded("hello"), isolation)
            .build()
            .expect("the pool is built");
        let (done, ends) = crossbeam_channel::unbounded();
        for number in 0..10 {
            let done = done.clone();
            let job = match number % 2 {
                0 => Job::new("").on_post(|_, _| panic!("the handler says so")),
                _ => Job::new(""),
            };
            pool.submit_with(job, move |completion| drop(done.send(completion)))
                .expect("taken");
        }
        drop(done);
        let good = ends
            .iter()
            .filter(|completion| completion.result.is_ok())
            .count();
        assert_eq!(good, 5, "{isolation}");
    }
}

#[test]
fn a_thread_stuck_in_host_code_is_abandoned_and_its_job_hung() {
    let _alone = alone();
    let pool = builder(&embedded("hello"), Isolation::Thread)
        .limits(limits(Some(MS(100))))
        .build()
        .expect("the pool is built");
    let (release, gate) = crossbeam_channel::bounded::<()>(0);
    let job = Job::new("").on_post(move |_, _| gate.recv().unwrap_or_default());
    let completion = complete(&pool, job);
    let Err(Lost::Worker(Death::Hung { after })) = completion.result else {
        panic!("{completion:?}")
    };
    assert!(after >= MS(100), "{after:?}");
    assert!(completion.wall >= after, "{completion:?}");
    assert_eq!(pool.health().abandoned, 1);
    // Its place is taken while it is still stuck.
    let next = Job::new("Ada").timeout(PATIENCE);
    assert_eq!(reply(&pool, next).output, b"Hello, Ada!");
    drop(release);
    let last = Job::new("Grace").timeout(PATIENCE);
    assert_eq!(reply(&pool, last).output, b"Hello, Grace!");
    let health = pool.drain();
    assert_eq!(
        (health.answered, health.started, health.abandoned),
        (3, 2, 1)
    );
}

#[test]
fn a_guest_that_spins_through_the_host_is_stopped_too() {
    let _alone = alone();
    // An endless loop of host calls, which never returns to a check of its own for long.
    let guest = handle(
        "(loop $forever (call $random (i32.const 0) (i32.const 65536)) (br $forever)) unreachable",
    );
    for isolation in Isolation::ALL {
        let pool = builder(&guest, isolation)
            .limits(limits(Some(MS(100))))
            .build()
            .expect("the pool is built");
        assert_eq!(
            reply(&pool, Job::new("")).outcome,
            Outcome::Deadline,
            "{isolation}"
        );
    }
}

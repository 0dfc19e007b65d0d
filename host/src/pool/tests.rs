//! The pool and its supervisor over scripted workers: no wasm, no processes.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::*;
use crate::job::{Death, Limits, Outcome};
use crate::options::Isolation;
use crate::worker::scripted::{Act, Script};

pub(super) const MS: fn(u64) -> Duration = Duration::from_millis;

pub(super) fn builder() -> PoolBuilder {
    Pool::builder(Guest::embedded("trap").unwrap()).workers(1)
}

pub(super) fn open(builder: PoolBuilder, script: &Script) -> Pool {
    builder.open(Box::new(script.clone())).unwrap()
}

pub(super) fn with_timeout(timeout: Option<Duration>) -> Limits {
    Limits {
        timeout,
        ..Limits::default()
    }
}

pub(super) fn output(completion: Completion) -> Vec<u8> {
    completion.result.unwrap().output
}

#[test]
fn many_jobs_through_many_workers_are_each_answered_with_their_own_reply() {
    let pool = open(builder().workers(4), &Script::new([]));
    let tickets: Vec<_> = (0..1000)
        .map(|n| pool.submit(Job::new(format!("job {n}"))).unwrap())
        .collect();
    for (n, ticket) in tickets.into_iter().enumerate() {
        let completion = ticket.wait();
        assert_eq!(completion.job, n as u64);
        assert_eq!(output(completion), format!("job {n}").into_bytes());
    }
    assert_eq!(pool.drain().answered, 1000);
}

#[test]
fn completions_on_a_channel_come_in_the_order_of_their_ends() {
    let script = Script::new([("slow", Act::EchoAfter(MS(200)))]);
    let pool = open(builder().workers(2), &script);
    let (sender, completions) = crossbeam_channel::unbounded();
    for name in ["slow", "quick"] {
        let sender = sender.clone();
        let done = move |completion| sender.send(completion).unwrap();
        pool.submit_with(Job::new(name), done).unwrap();
    }
    let order: Vec<_> = completions.iter().take(2).map(output).collect();
    assert_eq!(order, [b"quick".to_vec(), b"slow".to_vec()]);
}

#[test]
fn a_full_queue_makes_submit_wait() {
    let script = Script::new([("block", Act::BlockStubbornly)]);
    let pool = open(builder().queue(1), &script);
    let blocked = pool.submit(Job::new("block")).unwrap();
    let waiting = pool.submit(Job::new("waits in the queue")).unwrap();
    std::thread::scope(|scope| {
        let third = scope.spawn(|| pool.submit(Job::new("third")).unwrap().wait());
        // The first may still be on its way to its worker, but two cannot wait in a queue of one.
        std::thread::sleep(MS(50));
        assert!(!third.is_finished());
        script.release();
        assert_eq!(output(third.join().unwrap()), b"third");
    });
    assert_eq!(output(blocked.wait()), b"block");
    assert_eq!(output(waiting.wait()), b"waits in the queue");
}

#[test]
fn a_job_that_waits_too_long_expires_and_is_not_run() {
    let script = Script::new([("slow", Act::EchoAfter(MS(200)))]);
    let pool = open(builder().queue_timeout(Some(MS(50))), &script);
    let slow = pool.submit(Job::new("slow")).unwrap();
    let late = pool.submit(Job::new("late")).unwrap();
    let batch = pool.submit_many([Job::new("late too")]).unwrap();
    assert_eq!(output(slow.wait()), b"slow");
    let expired = Err(Lost::Expired { after: MS(50) });
    let late = late.wait();
    assert_eq!((late.result, late.attempts), (expired.clone(), 0));
    let late: Vec<_> = batch.ordered().map(|late| late.result).collect();
    assert_eq!(late, [expired]);
    // Nobody waits any more, so nothing expires.
    assert_eq!(
        output(pool.submit(Job::new("in time")).unwrap().wait()),
        b"in time"
    );
    let health = pool.drain();
    assert_eq!((health.expired, health.answered), (2, 4));
}

#[test]
fn a_job_that_is_run_again_does_not_expire() {
    let script = Script::new([("stuck", Act::BlockStubbornly)]);
    let limits = with_timeout(Some(MS(50)));
    let patient = builder()
        .limits(limits)
        .retries(1)
        .queue_timeout(Some(MS(10)));
    let pool = open(patient, &script);
    let completion = pool.submit(Job::new("stuck")).unwrap().wait();
    assert_eq!(completion.attempts, 2);
    assert!(matches!(
        completion.result,
        Err(Lost::Worker(Death::Hung { .. }))
    ));
    script.release();
}

#[test]
fn a_death_is_told_and_the_next_job_gets_a_new_worker() {
    let script = Script::new([("die", Act::DieTimes(1, Death::Signalled(11)))]);
    let pool = open(builder(), &script);
    let died = pool.submit(Job::new("die")).unwrap().wait();
    assert_eq!(died.result, Err(Lost::Worker(Death::Signalled(11))));
    assert_eq!(
        output(pool.submit(Job::new("next")).unwrap().wait()),
        b"next"
    );
    assert_eq!(script.starts.load(Ordering::SeqCst), 2);
}

#[test]
fn retries_run_a_job_again_as_often_as_allowed_and_no_more() {
    let script = Script::new([
        ("twice", Act::DieTimes(2, Death::Exited(3))),
        ("thrice", Act::DieTimes(3, Death::Exited(3))),
    ]);
    let pool = open(builder().retries(2), &script);
    let saved = pool.submit(Job::new("twice")).unwrap().wait();
    assert_eq!(saved.attempts, 3);
    assert_eq!(output(saved), b"twice");
    let lost = pool.submit(Job::new("thrice")).unwrap().wait();
    assert_eq!(
        (lost.attempts, lost.result),
        (3, Err(Lost::Worker(Death::Exited(3))))
    );
    assert_eq!(pool.health().retried, 4);
}

#[test]
fn by_default_nothing_is_retried() {
    let script = Script::new([("die", Act::DieTimes(1, Death::Exited(3)))]);
    let completion = open(builder(), &script)
        .submit(Job::new("die"))
        .unwrap()
        .wait();
    assert_eq!(completion.attempts, 1);
    assert!(completion.result.is_err());
}

#[test]
fn a_panic_in_a_worker_is_a_death_and_nothing_more() {
    let pool = open(builder(), &Script::new([("panic", Act::Panic)]));
    let completion = pool.submit(Job::new("panic")).unwrap().wait();
    let why = Death::Panicked("the script says so".to_owned());
    assert_eq!(completion.result, Err(Lost::Worker(why)));
    assert_eq!(
        output(pool.submit(Job::new("next")).unwrap().wait()),
        b"next"
    );
}

#[test]
fn at_the_deadline_a_process_is_killed_and_the_guest_is_to_blame() {
    let script = Script::new([("spin", Act::BlockUntilKilled { was_stopped: false })]);
    let pool = open(builder().limits(with_timeout(Some(MS(50)))), &script);
    let completion = pool.submit(Job::new("spin")).unwrap().wait();
    assert_eq!(completion.result.unwrap().outcome, Outcome::Deadline);
    assert!(completion.wall >= MS(50), "{:?}", completion.wall);
    assert_eq!(pool.health().died, 1);
}

#[test]
fn a_process_that_was_stopped_from_outside_hung() {
    let script = Script::new([("stop", Act::BlockUntilKilled { was_stopped: true })]);
    let pool = open(builder().limits(with_timeout(Some(MS(50)))), &script);
    let completion = pool.submit(Job::new("stop")).unwrap().wait();
    assert_eq!(
        completion.result,
        Err(Lost::Worker(Death::Hung { after: MS(50) }))
    );
}

#[test]
fn a_guest_in_a_thread_hears_the_deadline_and_its_worker_lives() {
    let script = Script::new([("spin", Act::BlockUntilAsked)]);
    let pool = open(builder().limits(with_timeout(Some(MS(50)))), &script);
    let completion = pool.submit(Job::new("spin")).unwrap().wait();
    assert_eq!(completion.result.unwrap().outcome, Outcome::Deadline);
    assert_eq!(
        pool.health(),
        Health {
            answered: 1,
            started: 1,
            ..Health::default()
        }
    );
}

#[test]
fn a_worker_that_panics_between_two_jobs_costs_neither() {
    let script = Script::new([("last", Act::EchoThenPanic)]);
    let pool = open(builder(), &script);
    for input in ["last", "next"] {
        let completion = pool.submit(Job::new(input)).unwrap().wait();
        assert_eq!(completion.attempts, 1);
        assert_eq!(output(completion), input.as_bytes());
    }
    let health = pool.drain();
    assert_eq!((health.answered, health.died, health.started), (2, 1, 2));
}

#[test]
fn a_thread_that_does_not_listen_is_abandoned_and_replaced() {
    let script = Script::new([("stuck", Act::BlockStubbornly)]);
    let pool = open(builder().limits(with_timeout(Some(MS(50)))), &script);
    let stuck = pool.submit(Job::new("stuck")).unwrap();
    let next = pool.submit(Job::new("next")).unwrap();
    let completion = stuck.wait();
    assert!(matches!(
        completion.result,
        Err(Lost::Worker(Death::Hung { .. }))
    ));
    assert_eq!(output(next.wait()), b"next");
    // The thread comes back after its place was taken: nobody is answered twice.
    script.release();
    assert_eq!(
        output(pool.submit(Job::new("last")).unwrap().wait()),
        b"last"
    );
    let health = pool.drain();
    assert_eq!((health.abandoned, health.answered), (1, 3));
}

#[test]
fn a_job_that_hung_is_retried_too() {
    let script = Script::new([("stuck", Act::BlockStubbornly)]);
    let pool = open(
        builder().limits(with_timeout(Some(MS(50)))).retries(1),
        &script,
    );
    let completion = pool.submit(Job::new("stuck")).unwrap().wait();
    assert_eq!(completion.attempts, 2);
    assert_eq!(pool.health().abandoned, 2);
}

#[test]
fn a_jobs_own_time_limit_goes_before_the_pools() {
    let script = Script::new([("spin", Act::BlockUntilAsked)]);
    let pool = open(
        builder().limits(with_timeout(Some(Duration::from_secs(60)))),
        &script,
    );
    // Let the supervisor fall asleep for a minute first.
    std::thread::sleep(MS(20));
    let start = Instant::now();
    let completion = pool
        .submit(Job::new("spin").timeout(MS(50)))
        .unwrap()
        .wait();
    assert_eq!(completion.result.unwrap().outcome, Outcome::Deadline);
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_worker_that_never_starts_is_given_up_and_every_job_is_told_why() {
    let script = Script::new([]).failing_starts(0..usize::MAX);
    let restart = RestartPolicy {
        first_pause: MS(1),
        ..RestartPolicy::default()
    };
    let pool = open(builder().restart(restart), &script);
    let tickets: Vec<_> = (0..3).map(|_| pool.submit(Job::new("")).unwrap()).collect();
    for ticket in tickets {
        let Err(Lost::NoWorkers(why)) = ticket.wait().result else {
            panic!("a reply from nowhere")
        };
        assert!(why.contains("the script says so"), "{why}");
    }
    assert!(matches!(
        pool.submit(Job::new("")),
        Err(SubmitError::NoWorkers(_))
    ));
    assert_eq!(
        script.starts.load(Ordering::SeqCst),
        5,
        "five starts, then quarantine"
    );
}

#[test]
fn a_few_failed_starts_are_survived() {
    let script = Script::new([]).failing_starts(0..3);
    let restart = RestartPolicy {
        first_pause: MS(1),
        ..RestartPolicy::default()
    };
    let pool = open(builder().restart(restart), &script);
    assert_eq!(
        output(pool.submit(Job::new("late")).unwrap().wait()),
        b"late"
    );
    assert_eq!(pool.health().failed_starts, 3);
}

#[test]
fn a_worker_that_dies_before_its_first_job_counts_as_one_that_does_not_start() {
    let script = Script::new([]).sickly(usize::MAX);
    let restart = RestartPolicy {
        first_pause: MS(1),
        ..RestartPolicy::default()
    };
    let pool = open(builder().restart(restart), &script);
    let completion = pool.submit(Job::new("")).unwrap().wait();
    assert!(matches!(completion.result, Err(Lost::NoWorkers(_))));
    assert_eq!(script.starts.load(Ordering::SeqCst), 5);
}

#[test]
fn a_few_that_die_before_their_first_job_are_survived() {
    let script = Script::new([]).sickly(3);
    let restart = RestartPolicy {
        first_pause: MS(1),
        ..RestartPolicy::default()
    };
    let pool = open(builder().restart(restart), &script);
    assert_eq!(
        output(pool.submit(Job::new("late")).unwrap().wait()),
        b"late"
    );
    assert_eq!(pool.health().died, 3);
}

#[test]
fn a_job_that_never_reached_its_worker_is_no_attempt_and_goes_to_the_next() {
    let script = Script::new([("missed", Act::MissTimes(3))]);
    let pool = open(builder(), &script);
    let completion = pool.submit(Job::new("missed")).unwrap().wait();
    assert_eq!(completion.attempts, 1);
    assert_eq!(output(completion), b"missed");
    let health = pool.drain();
    assert_eq!((health.died, health.retried), (3, 0));
}

#[test]
fn a_job_that_no_worker_lives_to_take_is_given_up() {
    let script = Script::new([("poison", Act::MissTimes(usize::MAX))]);
    let pool = open(builder(), &script);
    let completion = pool.submit(Job::new("poison")).unwrap().wait();
    assert_eq!(
        (completion.attempts, completion.result),
        (1, Err(Lost::Worker(Death::Signalled(9))))
    );
    assert_eq!(pool.health().died, 4);
}

/// A pool whose only worker died over a job that is to be retried, and does not start again for long.
fn in_a_long_pause(script: &Script) -> (Pool, Ticket) {
    let restart = RestartPolicy {
        first_pause: Duration::from_secs(600),
        longest_pause: Duration::from_secs(600),
        ..RestartPolicy::default()
    };
    let pool = open(builder().retries(1).restart(restart), script);
    let ticket = pool.submit(Job::new("die")).unwrap();
    while pool.health().failed_starts == 0 {
        std::thread::sleep(MS(1));
    }
    (pool, ticket)
}

#[test]
fn stopping_answers_a_job_that_waits_for_a_worker_to_start_again() {
    let script =
        Script::new([("die", Act::DieTimes(1, Death::Exited(3)))]).failing_starts(1..usize::MAX);
    let (pool, ticket) = in_a_long_pause(&script);
    pool.stopper().stop();
    let completion = ticket.wait();
    assert_eq!(
        (completion.attempts, completion.result),
        (1, Err(Lost::Cancelled))
    );
    assert_eq!(pool.drain().answered, 1);
}

#[test]
fn jobs_that_wait_in_the_queue_of_a_stopped_pool_are_answered_and_counted() {
    let script = Script::new([("stuck", Act::BlockUntilAsked)]);
    let pool = open(builder().queue(8).limits(with_timeout(None)), &script);
    let tickets: Vec<_> = (0..8)
        .map(|_| pool.submit(Job::new("stuck")).unwrap())
        .collect();
    pool.stopper().stop();
    for ticket in tickets {
        assert_eq!(ticket.wait().result, Err(Lost::Cancelled));
    }
    assert_eq!(pool.drain().answered, 8);
}

#[test]
fn what_waits_in_a_pool_that_is_stopped_before_its_first_worker_is_answered() {
    // Whether the slot ends before the supervisor hears of the stop is chance; some of these do.
    for _ in 0..200 {
        let script = Script::new([]);
        let pool = open(builder().queue(8), &script);
        let tickets: Vec<_> = (0..8)
            .map(|_| pool.submit(Job::new("x")).unwrap())
            .collect();
        pool.stopper().stop();
        for ticket in tickets {
            let patience = Duration::from_secs(60);
            assert!(
                ticket.wait_for(patience).is_ok(),
                "a ticket is not answered"
            );
        }
        assert_eq!(pool.drain().answered, 8);
    }
}

#[test]
fn draining_does_not_wait_for_a_worker_that_nobody_needs() {
    let script = Script::new([]).failing_starts(0..usize::MAX);
    let restart = RestartPolicy {
        first_pause: Duration::from_secs(600),
        longest_pause: Duration::from_secs(600),
        ..RestartPolicy::default()
    };
    let pool = open(builder().restart(restart), &script);
    let (drained, done) = crossbeam_channel::bounded(1);
    std::thread::spawn(move || drained.send(pool.drain()));
    let health = done.recv_timeout(Duration::from_secs(60));
    assert_eq!(health.unwrap().answered, 0);
}

#[test]
fn draining_still_retries_what_was_taken() {
    let script = Script::new([("die", Act::DieTimes(1, Death::Exited(3)))]).failing_starts(1..2);
    let restart = RestartPolicy {
        first_pause: MS(50),
        ..RestartPolicy::default()
    };
    let pool = open(builder().retries(1).restart(restart), &script);
    let ticket = pool.submit(Job::new("die")).unwrap();
    assert_eq!(pool.drain().answered, 1);
    assert_eq!(output(ticket.wait()), b"die");
}

#[test]
fn draining_finishes_what_was_taken() {
    let script = Script::new([("slow", Act::EchoAfter(MS(20)))]);
    let pool = open(builder().queue(16), &script);
    let tickets: Vec<_> = (0..8)
        .map(|_| pool.submit(Job::new("slow")).unwrap())
        .collect();
    assert_eq!(pool.drain().answered, 8);
    for ticket in tickets {
        assert_eq!(output(ticket.wait()), b"slow");
    }
}

#[test]
fn stopping_cancels_what_runs_and_what_waits() {
    let script = Script::new([("spin", Act::BlockUntilAsked)]);
    let pool = open(builder().queue(16).limits(with_timeout(None)), &script);
    let tickets: Vec<_> = (0..8)
        .map(|_| pool.submit(Job::new("spin")).unwrap())
        .collect();
    std::thread::sleep(MS(20));
    pool.stopper().stop();
    for ticket in tickets {
        assert_eq!(ticket.wait().result, Err(Lost::Cancelled));
    }
}

#[test]
fn a_worker_that_is_stopped_before_it_was_ready_is_no_failed_start() {
    let script = Script::new([("stuck", Act::BlockUntilKilled { was_stopped: false })]).unborn();
    let told = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&told);
    let pool = open(
        builder().on_incident(move |incident| {
            listener.lock().unwrap().push(format!("{incident:?}"));
        }),
        &script,
    );
    let ticket = pool.submit(Job::new("stuck")).unwrap();
    std::thread::sleep(MS(20));
    pool.stopper().stop();
    assert_eq!(ticket.wait().result, Err(Lost::Cancelled));
    assert_eq!(pool.drain().failed_starts, 0);
    assert_eq!(*told.lock().unwrap(), Vec::<String>::new());
}

#[test]
fn dropping_a_pool_resolves_every_ticket_even_of_a_thread_that_is_stuck() {
    let script = Script::new([("stuck", Act::BlockStubbornly)]);
    let pool = open(builder().limits(with_timeout(None)), &script);
    let ticket = pool.submit(Job::new("stuck")).unwrap();
    std::thread::sleep(MS(20));
    drop(pool);
    assert_eq!(ticket.wait().result, Err(Lost::Cancelled));
    script.release();
}

#[test]
fn an_input_past_the_limit_is_refused_with_both_sizes() {
    let limits = Limits {
        input: ByteSize::from_bytes(4),
        ..Limits::default()
    };
    let pool = open(builder().limits(limits), &Script::new([]));
    assert_eq!(
        output(pool.submit(Job::new("four")).unwrap().wait()),
        b"four"
    );
    let error = pool.submit(Job::new("five!")).unwrap_err().to_string();
    assert_eq!(error, "the input has 5 B, and the limit is 4 B");
}

#[test]
fn zero_workers_and_far_too_many_are_refused() {
    let build = |workers| {
        builder()
            .workers(workers)
            .open(Box::new(Script::new([])))
            .map(drop)
    };
    assert!(matches!(build(0), Err(BuildError::NoWorkers)));
    assert!(matches!(
        build(1_000_000),
        Err(BuildError::TooManyWorkers { .. })
    ));
}

#[test]
fn incidents_name_the_worker_and_the_job() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let ears = Arc::clone(&told);
    let script = Script::new([("die", Act::DieTimes(1, Death::Exited(3)))]);
    let builder =
        builder().on_incident(move |incident| ears.lock().unwrap().push(format!("{incident:?}")));
    let pool = open(builder, &script);
    let _ = pool.submit(Job::new("die")).unwrap().wait();
    pool.drain();
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 1);
    assert!(
        told[0].contains(r#"worker: "scripted-1", death: Exited(3), job: Some(0)"#),
        "{told:?}"
    );
}

#[test]
fn a_callback_that_panics_ends_neither_its_worker_nor_the_pool() {
    let script = Script::new([("die", Act::DieTimes(1, Death::Exited(3)))]);
    let builder = builder().on_incident(|_| panic!("a listener's own fault"));
    let pool = open(builder, &script);
    let done = |_| panic!("a callback's own fault");
    pool.submit_with(Job::new("die"), done).unwrap();
    assert_eq!(
        output(pool.submit(Job::new("next")).unwrap().wait()),
        b"next"
    );
    assert_eq!(pool.drain().answered, 2);
}

#[test]
fn a_time_limit_past_all_clocks_is_as_good_as_none() {
    let pool = open(
        builder().limits(with_timeout(Some(Duration::MAX))),
        &Script::new([]),
    );
    let ticket = pool.submit(Job::new("own").timeout(Duration::MAX)).unwrap();
    assert_eq!(output(ticket.wait_for(Duration::MAX).unwrap()), b"own");
}

#[test]
fn a_job_whose_guest_took_a_message_is_not_run_again() {
    let script = Script::new([("die", Act::TakeMailAndDie)]);
    let pool = open(builder().retries(3), &script);
    let (job, outbox) = Job::new("die").with_inbox();
    outbox.post("once").unwrap();
    let completion = pool.submit(job).unwrap().wait();
    assert_eq!(
        (completion.attempts, completion.result),
        (1, Err(Lost::Worker(Death::Exited(3))))
    );
}

#[test]
fn a_stopped_pool_takes_no_more_jobs() {
    let pool = open(builder(), &Script::new([]));
    pool.stopper().stop();
    assert!(matches!(
        pool.submit(Job::new("")),
        Err(SubmitError::Stopped)
    ));
}

#[test]
fn any_number_of_pools_of_a_prepared_guest_live_side_by_side() {
    let guest = Guest::embedded("echo").unwrap();
    let builder = Pool::builder(guest).isolation(Isolation::Thread);
    let prepared = builder.workers(20).prepare().unwrap();
    // More workers than the places of one pool: twenty and those of threads that are given up.
    let pools: Vec<_> = (0..6).map(|_| prepared.start().unwrap()).collect();
    for pool in &pools {
        let jobs = (0..100).map(|number| Job::new(format!("{number}")));
        for (number, completion) in pool.submit_many(jobs).unwrap().ordered().enumerate() {
            assert_eq!(
                completion.result.unwrap().output,
                format!("{number}").as_bytes()
            );
        }
        assert_eq!(pool.health().failed_starts, 0);
    }
}

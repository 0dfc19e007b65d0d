//! Calls: a worker in the hands of whoever waits for its reply.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::tests::{MS, builder, open, output, with_timeout};
use super::*;
use crate::job::{Death, Outcome};
use crate::options::WaitPolicy;
use crate::worker::scripted::{Act, Script};

/// Waits until so many slots of a pool have nothing to do.
fn idle(pool: &Pool, slots: usize) {
    while pool.shared.idle.count() != slots {
        thread::sleep(MS(1));
    }
}

/// A pool whose workers may be lent and are all idle.
fn lending(builder: PoolBuilder, workers: usize, script: &Script) -> Pool {
    let pool = open(builder.workers(workers), script);
    idle(&pool, workers);
    pool
}

fn call(pool: &Pool, input: &str) -> Completion {
    pool.call(Job::new(input)).unwrap()
}

#[test]
fn a_caller_drives_an_idle_worker_himself_and_brings_it_back() {
    let script = Script::new([]).lending();
    let pool = lending(builder(), 1, &script);
    for number in 0..3 {
        let completion = call(&pool, "job");
        assert_eq!(&*completion.worker, "scripted-1");
        assert_eq!((completion.job, completion.attempts), (number, 1));
        assert_eq!(output(completion), b"job");
        // Back before the reply is: nobody else had to be waited for.
        assert_eq!(pool.shared.idle.count(), 1);
    }
    let caller = thread::current().id();
    assert_eq!(*script.drivers.lock().unwrap(), [caller; 3]);
    assert_eq!(pool.drain().answered, 3);
}

#[test]
fn a_worker_that_may_not_be_lent_is_driven_by_its_own_thread() {
    for policy in [WaitPolicy::Spin, WaitPolicy::Park, WaitPolicy::Auto] {
        let script = Script::new([]);
        let pool = lending(builder().wait(policy), 1, &script);
        assert_eq!(output(call(&pool, "job")), b"job");
        let drivers = script.drivers.lock().unwrap();
        assert_eq!(drivers.len(), 1);
        assert_ne!(drivers[0], thread::current().id());
    }
}

#[test]
fn a_call_that_finds_no_idle_worker_waits_for_one() {
    let script = Script::new([("block", Act::BlockStubbornly)]).lending();
    let pool = lending(builder(), 1, &script);
    thread::scope(|scope| {
        let blocked = scope.spawn(|| call(&pool, "block"));
        idle(&pool, 0);
        let second = scope.spawn(|| call(&pool, "second"));
        while pool.queue().is_empty() {
            thread::sleep(MS(1));
        }
        script.release();
        assert_eq!(output(blocked.join().unwrap()), b"block");
        assert_eq!(output(second.join().unwrap()), b"second");
    });
    let drivers = script.drivers.lock().unwrap();
    assert_ne!(drivers[0], drivers[1], "the second came from the queue");
}

#[test]
fn a_job_from_the_queue_goes_past_a_lent_worker_to_an_idle_one() {
    let script = Script::new([("block", Act::BlockStubbornly)]).lending();
    let pool = lending(builder(), 2, &script);
    thread::scope(|scope| {
        let blocked = scope.spawn(|| call(&pool, "block"));
        idle(&pool, 1);
        for _ in 0..10 {
            let completion = pool.submit(Job::new("next")).unwrap().wait();
            assert_eq!(&*completion.worker, "scripted-2");
        }
        script.release();
        assert_eq!(&*blocked.join().unwrap().worker, "scripted-1");
    });
}

#[test]
fn a_batch_that_is_handed_in_while_the_worker_is_lent_is_begun_when_it_comes_back() {
    let script = Script::new([("block", Act::BlockStubbornly)]).lending();
    let pool = lending(builder(), 1, &script);
    thread::scope(|scope| {
        let blocked = scope.spawn(|| call(&pool, "block"));
        idle(&pool, 0);
        let batch = pool.submit_many((0..3).map(|_| Job::new("job"))).unwrap();
        script.release();
        assert_eq!(output(blocked.join().unwrap()), b"block");
        assert!(batch.ordered().map(output).eq([b"job"; 3]));
    });
}

#[test]
fn a_worker_that_dies_in_the_hands_of_a_caller_is_judged_and_replaced_by_its_slot() {
    let script = Script::new([("die", Act::DieTimes(1, Death::Signalled(11)))]).lending();
    let pool = lending(builder(), 1, &script);
    let died = call(&pool, "die");
    assert_eq!(died.result, Err(Lost::Worker(Death::Signalled(11))));
    assert_eq!(output(call(&pool, "next")), b"next");
    assert_eq!(script.starts.load(Ordering::SeqCst), 2);
    assert_eq!(pool.health().died, 1);
}

#[test]
fn a_call_is_retried_as_any_other_job() {
    let script = Script::new([("twice", Act::DieTimes(2, Death::Exited(3)))]).lending();
    let pool = lending(builder().retries(2), 1, &script);
    let saved = call(&pool, "twice");
    assert_eq!(saved.attempts, 3);
    assert_eq!(output(saved), b"twice");
    assert_eq!(pool.health().retried, 2);
}

#[test]
fn a_call_that_never_reached_its_worker_is_no_attempt() {
    let script = Script::new([("missed", Act::MissTimes(3))]).lending();
    let pool = lending(builder(), 1, &script);
    let completion = call(&pool, "missed");
    assert_eq!(completion.attempts, 1);
    assert_eq!(output(completion), b"missed");
}

#[test]
fn at_the_deadline_of_a_call_the_process_is_killed_and_the_guest_is_to_blame() {
    let script = Script::new([("spin", Act::BlockUntilKilled { was_stopped: false })]).lending();
    let limits = with_timeout(Some(MS(50)));
    let pool = lending(builder().limits(limits), 1, &script);
    let completion = call(&pool, "spin");
    assert_eq!(completion.result.unwrap().outcome, Outcome::Deadline);
    assert_eq!(output(call(&pool, "next")), b"next");
    assert_eq!(pool.health().died, 1);
}

#[test]
fn a_panic_in_a_lent_worker_does_not_reach_the_caller() {
    let script = Script::new([("panic", Act::Panic)]).lending();
    let pool = lending(builder(), 1, &script);
    let why = Death::Panicked("the script says so".to_owned());
    assert_eq!(call(&pool, "panic").result, Err(Lost::Worker(why)));
    assert_eq!(output(call(&pool, "next")), b"next");
}

#[test]
fn a_handler_runs_on_the_callers_thread_and_its_panic_is_the_workers() {
    let script = Script::new([("post", Act::Post)]).lending();
    let pool = lending(builder(), 1, &script);
    let (sender, heard) = crossbeam_channel::unbounded();
    let job = Job::new("post").on_post(move |from, message| {
        let from = (from.worker.to_owned(), from.job);
        let said = (from, message.to_vec(), thread::current().id());
        sender.send(said).unwrap();
    });
    assert_eq!(output(pool.call(job).unwrap()), b"post");
    let from = ("scripted-1".to_owned(), 0);
    let expected = (from, b"post".to_vec(), thread::current().id());
    assert_eq!(heard.recv().unwrap(), expected);

    let job = Job::new("post").on_post(|_, _| panic!("a handler's own fault"));
    let why = Death::Panicked("a handler's own fault".to_owned());
    let completion = pool.call(job).unwrap();
    assert_eq!(completion.result, Err(Lost::Worker(why)));
    assert_eq!(output(call(&pool, "next")), b"next");
}

#[test]
fn stopping_a_pool_cancels_a_call() {
    for act in [
        Act::BlockUntilAsked,
        Act::BlockUntilKilled { was_stopped: false },
    ] {
        let script = Script::new([("spin", act)]).lending();
        let pool = lending(builder().limits(with_timeout(None)), 1, &script);
        thread::scope(|scope| {
            let spinning = scope.spawn(|| call(&pool, "spin"));
            idle(&pool, 0);
            pool.stopper().stop();
            let completion = spinning.join().unwrap();
            assert_eq!(completion.result, Err(Lost::Cancelled));
        });
        assert!(matches!(pool.call(Job::new("")), Err(SubmitError::Stopped)));
        assert_eq!(pool.drain().answered, 1);
    }
}

#[test]
fn a_caller_who_does_not_come_back_is_given_up_and_his_slot_gets_a_new_worker() {
    let script = Script::new([("stuck", Act::BlockStubbornly)]).lending();
    let limits = with_timeout(Some(MS(50)));
    let pool = lending(builder().limits(limits), 1, &script);
    thread::scope(|scope| {
        let stuck = scope.spawn(|| call(&pool, "stuck"));
        idle(&pool, 0);
        // Only the new worker can take it.
        assert_eq!(
            output(pool.submit(Job::new("next")).unwrap().wait()),
            b"next"
        );
        assert_eq!(script.starts.load(Ordering::SeqCst), 2);
        idle(&pool, 1);
        script.release();
        let completion = stuck.join().unwrap();
        assert!(matches!(
            completion.result,
            Err(Lost::Worker(Death::Hung { .. }))
        ));
    });
    // He came back too late to disturb his successor.
    assert_eq!(output(call(&pool, "last")), b"last");
    let health = pool.drain();
    assert_eq!((health.answered, health.died, health.abandoned), (3, 1, 0));
}

#[test]
fn a_call_that_hung_is_retried_and_answered_to_the_caller_when_he_comes_back() {
    let script = Script::new([("stuck", Act::BlockStubbornly)]).lending();
    let limits = with_timeout(Some(MS(50)));
    let pool = lending(builder().limits(limits).retries(1), 1, &script);
    thread::scope(|scope| {
        let stuck = scope.spawn(|| call(&pool, "stuck"));
        // The retry is driven by the slot, and hangs as well.
        while pool.health().abandoned == 0 {
            thread::sleep(MS(1));
        }
        script.release();
        script.release();
        assert_eq!(stuck.join().unwrap().attempts, 2);
    });
    assert_eq!(pool.drain().answered, 1);
}

#[test]
fn a_worker_that_dies_between_calls_is_replaced_without_a_job() {
    let script = Script::new([]).lending().mortal();
    let pool = lending(builder(), 1, &script);
    for round in 1..=50 {
        let completion = call(&pool, "job");
        assert_eq!(completion.attempts, 1);
        assert_eq!(output(completion), b"job");
        assert!(script.kill(0));
        while pool.health().died < round {
            thread::sleep(MS(1));
        }
    }
    // It had served, so that none of the deaths counts as a failed start.
    assert_eq!(pool.health().failed_starts, 0);
}

#[test]
fn a_worker_that_dies_lent_and_idle_after_its_reply_is_replaced() {
    let script = Script::new([("block", Act::BlockStubbornly)])
        .lending()
        .mortal();
    let pool = lending(builder(), 1, &script);
    thread::scope(|scope| {
        let blocked = scope.spawn(|| call(&pool, "block"));
        idle(&pool, 0);
        assert!(script.kill(0));
        script.release();
        // The script lets it reply all the same: a reply that was on its way.
        assert_eq!(output(blocked.join().unwrap()), b"block");
    });
    assert_eq!(output(call(&pool, "next")), b"next");
    assert_eq!(script.starts.load(Ordering::SeqCst), 2);
}

#[test]
fn many_callers_and_submitters_on_few_workers_that_are_killed_at_random_get_each_his_own() {
    const EACH: u64 = 300;
    const MOST_KILLS: u64 = 2000;
    let script = Script::new([]).lending().mortal();
    // A worker that is killed before its first job counts as one that did not start; here that is no
    // reason to close its slot.
    let restart = RestartPolicy {
        first_pause: MS(1),
        longest_pause: MS(1),
        quarantine_after: usize::MAX,
        ..RestartPolicy::default()
    };
    let builder = builder().workers(3).retries(1000).restart(restart);
    let pool = open(builder, &script);
    let done = AtomicBool::new(false);
    /// Ends the killer, also where a caller has failed.
    struct Done<'d>(&'d AtomicBool);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    thread::scope(|scope| {
        let callers: Vec<_> = (0..4)
            .map(|caller| {
                let pool = &pool;
                scope.spawn(move || {
                    let name = |n| format!("caller {caller} job {n}");
                    let own = |completion: Completion, n| {
                        assert_eq!(output(completion), name(n).into_bytes());
                    };
                    for n in 0..EACH {
                        match n % 3 {
                            0 => own(pool.submit(Job::new(name(n))).unwrap().wait(), n),
                            1 => own(call(pool, &name(n)), n),
                            _ => {
                                let jobs = (0..5).map(|_| Job::new(name(n)));
                                let batch = pool.submit_many(jobs).unwrap();
                                batch.ordered().for_each(|completion| own(completion, n));
                            }
                        }
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            let mut chance = fastrand::Rng::with_seed(7);
            let mut kills = 0;
            while !done.load(Ordering::SeqCst) && kills < MOST_KILLS {
                kills += u64::from(script.kill(chance.usize(..3)));
                thread::yield_now();
            }
        });
        let _done = Done(&done);
        for caller in callers {
            caller.join().unwrap();
        }
    });
    assert_eq!(pool.drain().answered, 4 * (EACH / 3) * 7);
}

//! Batches: many jobs, handed in at once.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::thread;

use super::tests::{MS, builder, open, output, with_timeout};
use super::*;
use crate::job::{Death, Limits, Outcome};
use crate::options::WaitPolicy;
use crate::worker::scripted::{Act, Script};

fn jobs(count: usize) -> impl Iterator<Item = Job> {
    (0..count).map(|n| Job::new(format!("job {n}")))
}

fn name(n: usize) -> Vec<u8> {
    format!("job {n}").into_bytes()
}

#[test]
fn an_ordered_batch_has_the_completions_in_the_order_of_the_jobs() {
    for policy in [WaitPolicy::Spin, WaitPolicy::Park, WaitPolicy::Auto] {
        let script = Script::new([("job 0", Act::EchoAfter(MS(50)))]);
        let pool = open(builder().workers(3).wait(policy), &script);
        let before = pool.submit(Job::new("before")).unwrap();
        let batch = pool.submit_many(jobs(100)).unwrap();
        assert_eq!((batch.len(), batch.first_job()), (100, 1));
        let mut completions = batch.ordered();
        for n in 0..100 {
            assert_eq!(completions.len(), 100 - n);
            let completion = completions.next().unwrap();
            assert_eq!(completion.job, 1 + n as u64);
            assert_eq!(output(completion), name(n));
        }
        assert_eq!(completions.next(), None);
        assert_eq!(output(before.wait()), b"before");
        assert_eq!(pool.drain().answered, 101);
    }
}

#[test]
fn an_unordered_batch_has_each_completion_once_as_it_comes() {
    let script = Script::new([("job 0", Act::BlockStubbornly)]);
    let pool = open(builder().workers(2), &script);
    let mut completions = pool.submit_many(jobs(100)).unwrap().unordered();
    // The other worker does all the rest: none waits behind the one that is stuck.
    let others: BTreeSet<_> = completions.by_ref().take(99).map(output).collect();
    assert_eq!(others, (1..100).map(name).collect());
    assert_eq!(completions.len(), 1);
    script.release();
    assert_eq!(completions.next().map(output), Some(name(0)));
    assert_eq!(completions.next(), None);
}

#[test]
fn a_batch_of_nothing_is_over_at_once() {
    let pool = open(builder(), &Script::new([]));
    let batch = pool.submit_many([]).unwrap();
    assert!(batch.is_empty());
    assert_eq!(batch.ordered().count(), 0);
    assert_eq!(pool.submit_many([]).unwrap().unordered().count(), 0);
    assert_eq!(pool.drain().answered, 0);
}

#[test]
fn a_batch_that_is_dropped_runs_all_the_same() {
    let pool = open(builder().workers(2), &Script::new([]));
    drop(pool.submit_many(jobs(50)).unwrap());
    let mut begun = pool.submit_many(jobs(50)).unwrap().unordered();
    assert!(begun.next().is_some());
    drop(begun);
    assert_eq!(pool.drain().answered, 100);
}

#[test]
fn draining_finishes_a_batch_even_of_a_pool_that_starts_late() {
    let script = Script::new([]).failing_starts(0..2);
    let restart = RestartPolicy {
        first_pause: MS(20),
        ..RestartPolicy::default()
    };
    let pool = open(builder().restart(restart), &script);
    let batch = pool.submit_many(jobs(10)).unwrap();
    assert_eq!(pool.drain().answered, 10);
    assert!(batch.ordered().map(output).eq((0..10).map(name)));
}

#[test]
fn deaths_in_a_batch_cost_their_own_jobs_and_no_others() {
    let script = Script::new([
        ("job 3", Act::DieTimes(1, Death::Signalled(11))),
        ("job 5", Act::Panic),
    ]);
    let pool = open(builder().workers(2), &script);
    let completions: Vec<_> = pool.submit_many(jobs(20)).unwrap().ordered().collect();
    for (n, completion) in completions.into_iter().enumerate() {
        match n {
            3 | 5 => assert!(matches!(completion.result, Err(Lost::Worker(_)))),
            _ => assert_eq!(output(completion), name(n)),
        }
    }
}

#[test]
fn a_batch_outlives_a_thread_that_hangs_over_one_of_its_jobs() {
    let script = Script::new([("job 2", Act::BlockStubbornly)]);
    let pool = open(builder().limits(with_timeout(Some(MS(50)))), &script);
    let completions: Vec<_> = pool.submit_many(jobs(5)).unwrap().ordered().collect();
    let hung = Death::Hung {
        after: MS(50) + flight::GRACE,
    };
    assert_eq!(completions[2].result, Err(Lost::Worker(hung)));
    for n in [0, 1, 3, 4] {
        assert_eq!(output(completions[n].clone()), name(n));
    }
    script.release();
}

#[test]
fn each_job_of_a_batch_has_its_own_deadline() {
    let script = Script::new([
        ("job 1", Act::BlockUntilAsked),
        ("job 2", Act::BlockUntilAsked),
    ]);
    let pool = open(builder().limits(with_timeout(Some(MS(50)))), &script);
    let outcomes = pool.submit_many(jobs(4)).unwrap().ordered();
    let outcomes: Vec<_> = outcomes.map(|done| done.result.unwrap().outcome).collect();
    use Outcome::{Deadline, Output};
    assert_eq!(outcomes, [Output, Deadline, Deadline, Output]);
}

#[test]
fn stopping_cancels_what_of_a_batch_is_not_done() {
    let script = Script::new([("job 1", Act::BlockUntilAsked)]);
    let pool = open(builder().limits(with_timeout(None)), &script);
    let mut completions = pool.submit_many(jobs(100)).unwrap().ordered();
    assert_eq!(completions.next().map(output), Some(name(0)));
    pool.stopper().stop();
    assert!(completions.all(|done| done.result == Err(Lost::Cancelled)));
    assert!(matches!(
        pool.submit_many(jobs(3)),
        Err(SubmitError::Stopped)
    ));
    assert_eq!(pool.drain().answered, 100);
}

#[test]
fn a_batch_resolves_when_its_pool_is_dropped() {
    let script = Script::new([("job 0", Act::BlockUntilAsked)]);
    let pool = open(builder().limits(with_timeout(None)), &script);
    let batch = pool.submit_many(jobs(10)).unwrap();
    drop(pool);
    assert!(
        batch
            .unordered()
            .all(|done| done.result == Err(Lost::Cancelled))
    );
}

#[test]
fn stopping_races_with_batches_and_every_one_resolves() {
    for _ in 0..200 {
        let pool = open(builder().workers(2), &Script::new([]));
        let stopper = pool.stopper();
        thread::scope(|scope| {
            scope.spawn(move || stopper.stop());
            while let Ok(batch) = pool.submit_many(jobs(10)) {
                assert_eq!(batch.unordered().count(), 10);
            }
        });
    }
}

#[test]
fn a_batch_of_a_pool_without_workers_is_told_why() {
    let script = Script::new([]).failing_starts(0..usize::MAX);
    let restart = RestartPolicy {
        first_pause: MS(1),
        ..RestartPolicy::default()
    };
    let pool = open(builder().workers(2).restart(restart), &script);
    let batch = pool.submit_many(jobs(10)).unwrap();
    let all_told = batch
        .unordered()
        .all(|done| matches!(done.result, Err(Lost::NoWorkers(_))));
    assert!(all_told);
}

#[test]
fn jobs_that_come_alone_take_turns_with_those_of_a_batch() {
    let script = Script::new([("first", Act::BlockStubbornly)]);
    let pool = open(builder().queue(8), &script);
    let first = pool.submit(Job::new("first")).unwrap();
    while !pool.queue().is_empty() {
        thread::sleep(MS(1));
    }
    let order = Arc::new(Mutex::new(Vec::new()));
    let batch = pool.submit_many(jobs(4)).unwrap();
    for name in ["second", "third"] {
        let order = Arc::clone(&order);
        let done = move |completion: Completion| order.lock().unwrap().push(completion.job);
        pool.submit_with(Job::new(name), done).unwrap();
    }
    script.release();
    assert_eq!(output(first.wait()), b"first");
    assert!(batch.ordered().map(output).eq((0..4).map(name)));
    // When the last of the batch was done, both that came alone had been, the worker being one.
    assert_eq!(*order.lock().unwrap(), [5, 6]);
    assert_eq!(pool.drain().answered, 7);
}

#[test]
fn one_input_that_is_too_large_refuses_the_batch() {
    let limits = Limits {
        input: ByteSize::from_bytes(4),
        ..Limits::default()
    };
    let pool = open(builder().limits(limits), &Script::new([]));
    let mixed = ["four", "five!"].map(Job::new);
    assert!(matches!(
        pool.submit_many(mixed),
        Err(SubmitError::InputTooLarge { .. })
    ));
    assert_eq!(pool.drain().answered, 0);
}

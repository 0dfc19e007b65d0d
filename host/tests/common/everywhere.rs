//! The same job everywhere: in each isolation, start method and link, with fresh and with reused instances.

use std::sync::{Arc, Mutex};

use cofferdam::{
    Guest, InstancePolicy, Isolation, Job, LinkKind, Outcome, Pool, PoolBuilder, StartMethod,
};

/// Where a worker lives and how it comes to be.
pub(crate) fn places(guest: &Guest) -> Vec<(String, PoolBuilder)> {
    let mut places = vec![(
        "thread".to_owned(),
        super::builder(guest, Isolation::Thread),
    )];
    for start in StartMethod::ALL {
        for link in LinkKind::ALL {
            let builder = super::builder(guest, Isolation::Process)
                .start(start)
                .link(link);
            places.push((format!("process, {start}, {link}"), builder));
        }
    }
    places
}

pub(crate) fn build(builder: PoolBuilder) -> Pool {
    builder.build().expect("the pool is built")
}

/// What a job comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) outcome: Outcome,
    pub(crate) output: Vec<u8>,
    pub(crate) lines: Vec<String>,
}

pub(crate) fn ending(pool: &Pool, input: &[u8]) -> Ending {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&lines);
    let job = Job::new(input).on_log(move |_, _, line| heard.lock().unwrap().push(line.to_owned()));
    let reply = super::reply(pool, job);
    let lines = lines.lock().unwrap().clone();
    Ending {
        outcome: reply.outcome,
        output: reply.output,
        lines,
    }
}

/// Runs the same job everywhere, more than once, with fresh and with reused instances.
pub(crate) fn everywhere(
    guest: &Guest,
    set_up: impl Fn(PoolBuilder) -> PoolBuilder,
    input: &[u8],
    expected: &Ending,
) {
    for (place, builder) in places(guest) {
        for instance in InstancePolicy::ALL {
            let pool = build(set_up(builder.clone().instance(instance)));
            for turn in 0..2 {
                let seen = ending(&pool, input);
                assert_eq!(seen, *expected, "{place}, {instance:?}, job {turn}");
            }
        }
    }
}

pub(crate) fn output(text: &str) -> Ending {
    Ending {
        outcome: Outcome::Output,
        output: text.into(),
        lines: Vec::new(),
    }
}

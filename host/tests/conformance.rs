//! One suite over every isolation, start method, link, way of waiting and instance policy: the same job gives the
//! same outcome in all of them, and what may differ is listed in [`DIFFERENCES`].

mod common;

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex};

use cofferdam::{
    ByteSize, Death, EMBEDDED, Guest, InstancePolicy, Isolation, Job, Level, Limits, LinkKind,
    Lost, Outbox, Outcome, Pool, PoolBuilder, PostError, Region, RegionAccess, Reply, StartMethod,
    TrapKind, WaitPolicy,
};

use common::{
    MS, PATIENCE, Way, complete, embedded, for_each, guest, habits, handle, limits, reply,
    wait_until, wat, ways,
};

/// One row of the table of everything that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Configuration {
    /// A thread neither comes to be nor is reached in ways of its own.
    Thread(WaitPolicy, InstancePolicy),
    Process(Way),
}

fn configurations() -> Vec<Configuration> {
    let of = |isolation| -> Vec<Configuration> {
        match isolation {
            Isolation::Thread => habits()
                .map(|(wait, instance)| Configuration::Thread(wait, instance))
                .collect(),
            Isolation::Process => ways().map(Configuration::Process).collect(),
        }
    };
    Isolation::ALL.into_iter().flat_map(of).collect()
}

impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Thread(wait, instance) => write!(f, "thread, {wait}, {instance:?}"),
            Self::Process(way) => write!(f, "process, {way}"),
        }
    }
}

impl Configuration {
    fn isolation(&self) -> Isolation {
        match self {
            Self::Thread(..) => Isolation::Thread,
            Self::Process(_) => Isolation::Process,
        }
    }

    fn instance(&self) -> InstancePolicy {
        match self {
            Self::Thread(_, instance) => *instance,
            Self::Process(way) => way.instance,
        }
    }

    fn builder(&self, guest: &Guest) -> PoolBuilder {
        let builder = common::builder(guest, self.isolation());
        match self {
            Self::Thread(wait, instance) => builder.wait(*wait).instance(*instance),
            Self::Process(way) => way.choose(builder),
        }
    }

    fn pool(&self, guest: &Guest) -> Pool {
        self.builder(guest).build().expect("the pool is built")
    }

    fn pool_with(&self, guest: &Guest, limits: Limits) -> Pool {
        self.builder(guest)
            .limits(limits)
            .build()
            .expect("the pool is built")
    }

    /// The reply to one job with this input.
    fn ask(&self, guest: &Guest, input: &[u8]) -> Reply {
        reply(&self.pool(guest), Job::new(input))
    }

    fn outcome(&self, guest: &Guest, input: &[u8]) -> Outcome {
        self.ask(guest, input).outcome
    }
}

/// Runs a test in every configuration, and says in which one it failed.
fn everywhere(mut test: impl FnMut(&Configuration)) {
    for_each(configurations(), |configuration| test(&configuration));
}

fn trapped(kind: TrapKind) -> Outcome {
    Outcome::Trapped {
        kind,
        reason: String::new(),
    }
}

fn violation(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::InterfaceViolation(what) => what,
        other => panic!("no violation: {other:?}"),
    }
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Bytes that are not the same at any two places near each other.
fn bytes(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}

// ---------------------------------------------------------------------------------------------
// What differs, and nothing else
// ---------------------------------------------------------------------------------------------

/// Something that a thread worker and a process worker do in their own ways.
struct Difference {
    name: &'static str,
    thread: &'static str,
    process: &'static str,
    observe: fn(&Configuration) -> String,
}

/// Everything in which the isolations may differ, apart from time.
const DIFFERENCES: [Difference; 7] = [
    Difference {
        name: "a worker's label",
        thread: "thread-N",
        process: "process-N pid N",
        observe: |configuration| {
            let pool = configuration.pool(&embedded("echo"));
            let label = complete(&pool, Job::new("")).worker;
            without_numbers(&label)
        },
    },
    Difference {
        name: "the process that it names",
        thread: "none",
        process: "another one",
        observe: |configuration| {
            let pool = configuration.pool(&embedded("echo"));
            reply(&pool, Job::new(""));
            match pool.workers()[0].pid {
                None => "none".to_owned(),
                Some(pid) if pid == std::process::id() => "this one".to_owned(),
                Some(_) => "another one".to_owned(),
            }
        },
    },
    Difference {
        name: "output that was written before the deadline",
        thread: "kept",
        process: "lost with the process",
        observe: |configuration| {
            let guest = handle(
                "(call $output_write (i32.const 0) (i32.const 4)) (loop (br 0)) unreachable",
            );
            let pool = configuration.pool_with(&guest, limits(Some(MS(100))));
            let reply = reply(&pool, Job::new(""));
            assert_eq!(reply.outcome, Outcome::Deadline);
            match reply.output.len() {
                4 => "kept".to_owned(),
                0 => "lost with the process".to_owned(),
                other => format!("{other} bytes"),
            }
        },
    },
    Difference {
        name: "the worker after a deadline",
        thread: "goes on",
        process: "is replaced",
        observe: |configuration| {
            let pool = configuration.pool(&embedded("spin"));
            for _ in 0..2 {
                let job = Job::new("").timeout(MS(100));
                assert_eq!(reply(&pool, job).outcome, Outcome::Deadline);
            }
            match pool.health().started {
                1 => "goes on".to_owned(),
                // The second deadline's replacement may be there already.
                2 | 3 => "is replaced".to_owned(),
                other => format!("{other} were started"),
            }
        },
    },
    Difference {
        name: "a handler of the host's that blocks past the deadline",
        thread: "its thread is given up, and the job's worker hung",
        process: "it is waited for, and then the deadline has passed",
        observe: |configuration| {
            let pool = configuration.pool_with(&embedded("hello"), limits(Some(MS(100))));
            let (release, gate) = crossbeam_channel::bounded::<()>(0);
            let job = Job::new("").on_post(move |_, _| gate.recv().unwrap_or_default());
            let ticket = pool.submit(job).expect("the job is taken");
            let hung = "its thread is given up, and the job's worker hung";
            match ticket.wait_for(MS(1500)) {
                Ok(completion) => {
                    let Err(Lost::Worker(Death::Hung { .. })) = completion.result else {
                        panic!("{completion:?}")
                    };
                    assert_eq!(pool.health().abandoned, 1);
                    hung.to_owned()
                }
                Err(ticket) => {
                    drop(release);
                    let completion = ticket.wait_for(PATIENCE).expect("it ends");
                    let reply = completion.result.expect("the guest is to blame");
                    assert_eq!(reply.outcome, Outcome::Deadline);
                    "it is waited for, and then the deadline has passed".to_owned()
                }
            }
        },
    },
    Difference {
        name: "how the guest was compiled",
        thread: "with checks that can interrupt it",
        process: "without them",
        observe: |configuration| {
            // The checks are code: a loop that is checked is longer than one that is not.
            let guest = embedded("spin");
            let usual = configuration.pool(&guest).code_size();
            let checked = configuration
                .builder(&guest)
                .metering(cofferdam::Metering::Interruptible)
                .build()
                .expect("the pool is built")
                .code_size();
            if usual == checked {
                "with checks that can interrupt it".to_owned()
            } else {
                "without them".to_owned()
            }
        },
    },
    Difference {
        name: "the thread that runs the handlers of a job that is called",
        thread: "the worker's",
        process: "the caller's, where a worker is idle",
        observe: |configuration| {
            let pool = configuration.pool(&embedded("hello"));
            let caller = std::thread::current().id();
            let (sender, heard) = crossbeam_channel::unbounded();
            let is_the_callers = |_| {
                let sender = sender.clone();
                let job = Job::new("").on_post(move |_, _| {
                    sender.send(std::thread::current().id()).unwrap();
                });
                pool.call(job).expect("the job is taken");
                // A worker that has just answered a ticket is not idle yet.
                std::thread::sleep(MS(2));
                heard.try_iter().last() == Some(caller)
            };
            if (0..100).any(is_the_callers) {
                "the caller's, where a worker is idle".to_owned()
            } else {
                "the worker's".to_owned()
            }
        },
    },
];

fn without_numbers(label: &str) -> String {
    let mut text = String::new();
    for c in label.chars() {
        match c {
            '0'..='9' if text.ends_with('N') => {}
            '0'..='9' => text.push('N'),
            other => text.push(other),
        }
    }
    text
}

#[test]
fn what_differs_between_isolations_is_what_the_list_says() {
    everywhere(|configuration| {
        for difference in &DIFFERENCES {
            let expected = match configuration.isolation() {
                Isolation::Thread => difference.thread,
                Isolation::Process => difference.process,
            };
            assert_eq!(
                (difference.observe)(configuration),
                expected,
                "{}",
                difference.name
            );
        }
    });
}

#[test]
fn a_worker_is_reached_the_way_that_was_asked_for() {
    everywhere(|configuration| {
        let pool = configuration.pool(&embedded("echo"));
        reply(&pool, Job::new(""));
        let Some(pid) = pool.workers()[0].pid else {
            assert_eq!(configuration.isolation(), Isolation::Thread);
            return;
        };
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).expect("our own child");
        // One memory for each direction.
        let shared = maps.matches("memfd:cofferdam-link").count();
        let expected = match configuration {
            Configuration::Process(way) if way.link == LinkKind::Shm => 2,
            _ => 0,
        };
        assert_eq!(shared, expected);
    });
}

#[test]
fn the_table_has_every_combination_of_all_choices_once() {
    let table = configurations();
    let rows: HashSet<String> = table.iter().map(ToString::to_string).collect();
    assert_eq!(rows.len(), table.len(), "a row is there twice");
    let habits = WaitPolicy::ALL.len() * InstancePolicy::ALL.len();
    let processes = StartMethod::ALL.len() * LinkKind::ALL.len() * habits;
    assert_eq!(table.len(), habits + processes);
}

#[test]
fn three_seeds_in_a_row_choose_every_way_once() {
    let chosen: Vec<Way> = (5..8).flat_map(common::a_third_of_all_ways).collect();
    assert_eq!(chosen.len(), ways().count());
    assert!(ways().all(|way| chosen.contains(&way)));
}

// ---------------------------------------------------------------------------------------------
// Bytes in, bytes out
// ---------------------------------------------------------------------------------------------

#[test]
fn inputs_of_every_size_come_back_whole() {
    everywhere(|configuration| {
        let pool = configuration.pool(&embedded("echo"));
        let sizes = [
            0,
            1,
            63,
            64 * KIB - 1,
            64 * KIB,
            64 * KIB + 1,
            MIB,
            16 * MIB,
        ];
        for size in sizes {
            let input = bytes(size);
            let reply = reply(&pool, Job::new(input.clone()));
            assert_eq!(reply.outcome, Outcome::Output, "{size} bytes");
            assert!(reply.output == input, "{size} bytes came back changed");
        }
    });
}

#[test]
fn one_byte_more_than_the_output_limit_ends_the_job_and_not_the_worker() {
    everywhere(|configuration| {
        let pool = configuration.pool(&embedded("echo"));
        let over = reply(&pool, Job::new(bytes(16 * MIB + 1)));
        assert_eq!(over.outcome, Outcome::OutputLimit);
        assert!(over.output.len() <= 16 * MIB);
        assert_eq!(reply(&pool, Job::new("next")).output, b"next");
        assert_eq!(pool.health().died, 0);
    });
}

#[test]
fn posted_messages_count_towards_the_output_limit() {
    // Posts 6 bytes, then writes as many as the input has.
    let guest = handle(
        "(call $post (i32.const 0) (i32.const 6))
         (call $output_write (i32.const 0) (call $input_len)) (i32.const 0)",
    );
    let limits = Limits {
        output: ByteSize::from_bytes(10),
        ..limits(Some(PATIENCE))
    };
    everywhere(|configuration| {
        let pool = configuration.pool_with(&guest, limits);
        assert_eq!(reply(&pool, Job::new("four")).outcome, Outcome::Output);
        assert_eq!(
            reply(&pool, Job::new("five!")).outcome,
            Outcome::OutputLimit
        );
    });
}

#[test]
fn input_can_be_read_in_any_order_and_past_its_end() {
    // Reads from the offset that the input's first byte says, six bytes at the most, and writes them.
    let guest = handle(
        "(drop (call $input_read (i32.const 0) (i32.const 0) (i32.const 1)))
         (call $output_write (i32.const 100)
             (call $input_read (i32.const 100) (i32.load8_u (i32.const 0)) (i32.const 6)))
         (i32.const 0)",
    );
    everywhere(|configuration| {
        let pool = configuration.pool(&guest);
        let mut cases = vec![("\x00abcdefgh", "\0abcde"), ("\x03abcdefgh", "cdefgh")];
        cases.extend([
            ("\x05abcdefgh", "efgh"),
            ("\x09abcdefgh", ""),
            ("\x7fabc", ""),
        ]);
        for (input, read) in cases {
            assert_eq!(
                reply(&pool, Job::new(input)).output,
                read.as_bytes(),
                "{input:?}"
            );
        }
    });
}

#[test]
fn an_input_past_the_limit_is_refused_before_it_becomes_a_job() {
    let limits = Limits {
        input: ByteSize::from_bytes(4),
        ..limits(Some(PATIENCE))
    };
    everywhere(|configuration| {
        let pool = configuration.pool_with(&embedded("echo"), limits);
        assert!(pool.submit(Job::new("five!")).is_err());
        let completion = complete(&pool, Job::new("four"));
        assert_eq!(completion.job, 0, "a refused input takes no number");
    });
}

#[test]
fn the_complete_guest_of_the_interface_document_does_what_the_document_says() {
    let document = include_str!("../../guest/INTERFACE.md");
    let (_, after) = document
        .split_once("```wat\n")
        .expect("it has a guest in WAT");
    let (text, _) = after.split_once("```").expect("the guest ends");
    let guest = guest(text);
    everywhere(|configuration| {
        let pool = configuration.pool(&guest);
        let loud = reply(&pool, Job::new("Hello, World: zZ aA @[`{"));
        assert_eq!(loud.output, b"HELLO, WORLD: ZZ AA @[`{");
        assert_eq!(
            reply(&pool, Job::new(vec![b'x'; 60_000])).output,
            vec![b'X'; 60_000]
        );
        let refused = Outcome::Refused {
            code: 2,
            reason: "more than 60000 bytes".to_owned(),
        };
        assert_eq!(reply(&pool, Job::new(vec![0; 60_001])).outcome, refused);
    });
}

// ---------------------------------------------------------------------------------------------
// Endings
// ---------------------------------------------------------------------------------------------

#[test]
fn every_misbehaving_guest_ends_as_its_text_says() {
    let expected = |name: &str| match name {
        "trap" => Outcome::Trapped {
            kind: TrapKind::Unreachable,
            reason: "trapped on purpose".to_owned(),
        },
        "spin" | "sleep" => Outcome::Deadline,
        "grow" => Outcome::MemoryLimit,
        "deep" => trapped(TrapKind::StackOverflow),
        "flood" => Outcome::OutputLimit,
        "liar" => Outcome::InterfaceViolation(
            "output_write was given 32 bytes at 0xfffffff0, but its memory has 65536 bytes"
                .to_owned(),
        ),
        other => panic!("@{other} misbehaves in a way that this test does not know"),
    };
    let limits = Limits {
        memory: ByteSize::from_mib(16),
        output: ByteSize::from_mib(1),
        ..Limits::default()
    };
    everywhere(|configuration| {
        for misbehaving in EMBEDDED.iter().filter(|guest| guest.misbehaves) {
            let expected = expected(misbehaving.name);
            let timeout = match expected {
                Outcome::Deadline => MS(200),
                _ => PATIENCE,
            };
            let pool = configuration.pool_with(&embedded(misbehaving.name), limits);
            let job = Job::new("").timeout(timeout);
            assert_eq!(reply(&pool, job).outcome, expected, "@{}", misbehaving.name);
        }
    });
}

#[test]
fn every_lie_of_the_liar_is_caught_in_the_call_that_told_it() {
    let calls = [
        "output_write",
        "output_write",
        "output_write",
        "output_write",
        "input_read",
        "fail",
        "post",
        "recv",
        "log",
        "random",
    ];
    everywhere(|configuration| {
        let pool = configuration.pool(&embedded("liar"));
        for (lie, call) in calls.iter().enumerate() {
            let outcome = reply(&pool, Job::new(lie.to_string())).outcome;
            let what = violation(&outcome);
            assert!(
                what.starts_with(&format!("{call} was given")),
                "lie {lie}: {what}"
            );
        }
        let honest = Outcome::Refused {
            code: 78,
            reason: String::new(),
        };
        assert_eq!(reply(&pool, Job::new("x")).outcome, honest);
    });
}

#[test]
fn a_guest_that_waits_for_a_message_hears_the_deadline() {
    everywhere(|configuration| {
        let pool = configuration.pool(&embedded("sleep"));
        let (job, outbox) = Job::new("").timeout(MS(200)).with_inbox();
        assert_eq!(reply(&pool, job).outcome, Outcome::Deadline);
        wait_until("the inbox of a job that ended is closed", || {
            outbox.post("").is_err()
        });
    });
}

#[test]
fn what_was_written_before_a_trap_is_kept_and_is_no_output() {
    everywhere(|configuration| {
        let reply = configuration.ask(&embedded("trap"), b"");
        assert!(matches!(reply.outcome, Outcome::Trapped { .. }));
        assert_eq!(reply.output, b"partial");
    });
}

#[test]
fn a_refusal_carries_its_code_and_its_reason() {
    let guest = guest(&wat(r#"(data (i32.const 8) "no, thanks: \c3\a9 \ff")
           (func (export "handle") (result i32)
               (call $fail (i32.const 8) (i32.const 2))
               (call $fail (i32.const 8) (i32.const 16))
               (i32.const -7))"#));
    everywhere(|configuration| {
        let refused = Outcome::Refused {
            code: -7,
            reason: "no, thanks: é \u{fffd}".to_owned(),
        };
        assert_eq!(configuration.outcome(&guest, b""), refused);
    });
}

#[test]
fn a_reason_is_cut_at_four_kibibytes_and_forgotten_by_the_next_job() {
    // Gives a reason of 5000 bytes when there is input, and none when there is none.
    let guest = handle(
        "(memory.fill (i32.const 0) (i32.const 0x61) (i32.const 5000))
         (if (call $input_len) (then (call $fail (i32.const 0) (i32.const 5000))))
         (i32.const 1)",
    );
    everywhere(|configuration| {
        let pool = configuration.pool(&guest);
        for (input, length) in [("x", 4096), ("", 0)] {
            let refused = Outcome::Refused {
                code: 1,
                reason: "a".repeat(length),
            };
            assert_eq!(reply(&pool, Job::new(input)).outcome, refused);
        }
    });
}

#[test]
fn every_kind_of_trap_is_told_by_its_name() {
    let cases = [
        (TrapKind::Unreachable, "unreachable"),
        (
            TrapKind::DivisionByZero,
            "(i32.div_u (i32.const 1) (call $input_len))",
        ),
        (
            TrapKind::IntegerOverflow,
            "(i32.div_s (i32.const 0x80000000) (i32.sub (call $input_len) (i32.const 1)))",
        ),
        (TrapKind::BadConversion, "(i32.trunc_f32_s (f32.const nan))"),
        (
            TrapKind::IntegerOverflow,
            "(i32.trunc_f64_u (f64.const 1e300))",
        ),
        (TrapKind::MemoryOutOfBounds, "(i32.load (i32.const 65533))"),
        (TrapKind::MemoryOutOfBounds, "(i32.load (i32.const -4))"),
        (
            TrapKind::MemoryOutOfBounds,
            "(memory.fill (i32.const 1) (i32.const 0) (i32.const 65536)) (i32.const 0)",
        ),
        (
            TrapKind::TableOutOfBounds,
            "(call_indirect (result i32) (i32.const 3))",
        ),
        (
            TrapKind::TableOutOfBounds,
            "(table.set (i32.const 3) (ref.null func)) (i32.const 0)",
        ),
        (
            TrapKind::NullCall,
            "(call_indirect (result i32) (i32.const 2))",
        ),
        (
            TrapKind::BadSignature,
            "(call_indirect (result i32) (i32.const 1))",
        ),
        (TrapKind::StackOverflow, "(call $deeper (i32.const 0))"),
    ];
    let guests = cases.map(|(kind, body)| {
        let text = wat(&format!(
            r#"(table 3 funcref) (elem (i32.const 0) $fine $other)
               (func $fine (result i32) (i32.const 0))
               (func $other (param i64))
               (func $deeper (param i32) (result i32)
                   (i32.add (call $deeper (i32.add (local.get 0) (i32.const 1))) (local.get 0)))
               (func (export "handle") (result i32) {body})"#
        ));
        (kind, body, guest(&text))
    });
    everywhere(|configuration| {
        for (kind, body, guest) in &guests {
            assert_eq!(configuration.outcome(guest, b""), trapped(*kind), "{body}");
        }
    });
}

#[test]
fn a_worker_serves_on_after_a_trap() {
    // Overflows its stack, or touches what it must not, as the input says; else returns.
    let guest = guest(&wat(r#"(func $deeper (param i32) (result i32)
               (i32.add (call $deeper (i32.add (local.get 0) (i32.const 1))) (local.get 0)))
           (func (export "handle") (result i32)
               (if (i32.eq (call $input_len) (i32.const 1))
                   (then (drop (call $deeper (i32.const 0)))))
               (if (i32.eq (call $input_len) (i32.const 2))
                   (then (drop (i32.load (i32.const 0x7fffffff)))))
               (i32.const 0))"#));
    everywhere(|configuration| {
        let pool = configuration.pool(&guest);
        for _ in 0..20 {
            assert_eq!(
                reply(&pool, Job::new("1")).outcome,
                trapped(TrapKind::StackOverflow)
            );
            assert_eq!(
                reply(&pool, Job::new("22")).outcome,
                trapped(TrapKind::MemoryOutOfBounds)
            );
            assert_eq!(reply(&pool, Job::new("")).outcome, Outcome::Output);
        }
        assert_eq!(pool.health().started, 1);
    });
}

#[test]
fn a_job_without_fuel_ends_and_the_next_one_has_its_own() {
    let guest = handle(
        "(local.set $n (call $input_len))
         (loop $more (br_if $more
             (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n))))
         (i32.const 0)",
    );
    let limits = Limits {
        fuel: Some(10_000),
        ..limits(Some(PATIENCE))
    };
    everywhere(|configuration| {
        let pool = configuration.pool_with(&guest, limits);
        for _ in 0..3 {
            assert_eq!(reply(&pool, Job::new(bytes(100))).outcome, Outcome::Output);
            assert_eq!(
                reply(&pool, Job::new(bytes(10_000))).outcome,
                Outcome::OutOfFuel
            );
        }
    });
}

#[test]
fn a_jobs_own_time_limit_goes_before_the_pools() {
    everywhere(|configuration| {
        let pool = configuration.pool_with(&embedded("spin"), limits(None));
        let completion = complete(&pool, Job::new("").timeout(MS(150)));
        assert!(completion.wall >= MS(150), "{:?}", completion.wall);
        assert_eq!(
            completion.result.expect("a reply").outcome,
            Outcome::Deadline
        );
    });
}

#[test]
fn jobs_that_run_out_of_time_together_each_hear_it() {
    // A guest that is interrupted on another's behalf must not miss its own call.
    everywhere(|configuration| {
        let pool = configuration
            .builder(&embedded("spin"))
            .workers(3)
            .limits(limits(Some(MS(20))))
            .build()
            .expect("the pool is built");
        for _ in 0..5 {
            let tickets: Vec<_> = (0..3)
                .map(|_| pool.submit(Job::new("")).expect("the job is taken"))
                .collect();
            for ticket in tickets {
                let completion = ticket.wait_for(PATIENCE).expect("it ends");
                let outcome = completion.result.map(|reply| reply.outcome);
                assert_eq!(outcome, Ok(Outcome::Deadline));
            }
        }
    });
}

// ---------------------------------------------------------------------------------------------
// Memory
// ---------------------------------------------------------------------------------------------

/// A guest with other memories and tables than the usual ones.
fn with_memories(memories: &str, body: &str) -> Guest {
    guest(&format!(
        r#"(module {memories} (func (export "cofferdam_abi_1"))
            (func (export "handle") (result i32) {body}))"#
    ))
}

fn megabyte() -> Limits {
    Limits {
        memory: ByteSize::from_mib(1),
        ..limits(Some(PATIENCE))
    }
}

#[test]
fn a_memory_that_begins_too_large_is_denied() {
    let fits = with_memories(r#"(memory (export "memory") 16)"#, "(i32.const 0)");
    let exceeds = with_memories(r#"(memory (export "memory") 17)"#, "(i32.const 0)");
    let huge = with_memories(r#"(memory (export "memory") 65536)"#, "(i32.const 0)");
    everywhere(|configuration| {
        for (guest, outcome) in [
            (&fits, Outcome::Output),
            (&exceeds, Outcome::MemoryLimit),
            (&huge, Outcome::MemoryLimit),
        ] {
            let pool = configuration.pool_with(guest, megabyte());
            assert_eq!(reply(&pool, Job::new("")).outcome, outcome);
        }
    });
}

#[test]
fn memories_and_tables_are_summed() {
    let memory = r#"(memory (export "memory") 8)"#;
    let cases = [
        ("(memory 8)", Outcome::Output),
        ("(memory 9)", Outcome::MemoryLimit),
        ("(memory 4) (memory 4)", Outcome::Output),
        ("(memory 4) (memory 5)", Outcome::MemoryLimit),
        ("(table 65536 funcref)", Outcome::Output),
        ("(table 65537 funcref)", Outcome::MemoryLimit),
        ("(memory 4) (table 32768 funcref)", Outcome::Output),
        ("(memory 5) (table 32768 funcref)", Outcome::MemoryLimit),
    ];
    let guests = cases.map(|(more, outcome)| {
        let guest = with_memories(&format!("{memory} {more}"), "(i32.const 0)");
        (guest, more, outcome)
    });
    everywhere(|configuration| {
        for (guest, more, outcome) in &guests {
            let pool = configuration.pool_with(guest, megabyte());
            assert_eq!(reply(&pool, Job::new("")).outcome, *outcome, "{more}");
        }
    });
}

#[test]
fn a_guest_that_copes_with_denied_memory_goes_on() {
    // Refuses with what `memory.grow` gives back, plus 100.
    let guest = with_memories(
        r#"(memory (export "memory") 10)"#,
        "(drop (memory.grow (i32.const 7)))
         (i32.add (memory.grow (i32.const 7)) (i32.const 100))",
    );
    everywhere(|configuration| {
        let pool = configuration.pool_with(&guest, megabyte());
        let refused = Outcome::Refused {
            code: 99,
            reason: String::new(),
        };
        assert_eq!(reply(&pool, Job::new("")).outcome, refused);
    });
}

#[test]
fn a_data_segment_outside_the_memory_traps_before_the_job() {
    let guest = with_memories(
        r#"(memory (export "memory") 1) (data (i32.const 65536) "x")"#,
        "(i32.const 0)",
    );
    everywhere(|configuration| {
        let outcome = configuration.outcome(&guest, b"");
        assert_eq!(outcome, trapped(TrapKind::MemoryOutOfBounds));
    });
}

// ---------------------------------------------------------------------------------------------
// Instances
// ---------------------------------------------------------------------------------------------

/// Counts its jobs in a global and in its memory, and replies with both counts as two bytes. Traps
/// on "t", refuses "r".
const COUNTER: &str = r#"
    (global $count (mut i32) (i32.const 0))
    (func (export "handle") (result i32)
        (global.set $count (i32.add (global.get $count) (i32.const 1)))
        (i32.store (i32.const 4) (i32.add (i32.load (i32.const 4)) (i32.const 1)))
        (i32.store8 (i32.const 0) (i32.const 0))
        (drop (call $input_read (i32.const 0) (i32.const 0) (i32.const 1)))
        (if (i32.eq (i32.load8_u (i32.const 0)) (i32.const 0x74)) (then unreachable))
        (if (i32.eq (i32.load8_u (i32.const 0)) (i32.const 0x72)) (then (return (i32.const 1))))
        (if (i32.eq (i32.load8_u (i32.const 0)) (i32.const 0x73)) (then (loop $forever (br $forever))))
        (i32.store8 (i32.const 8) (global.get $count))
        (i32.store8 (i32.const 9) (i32.load (i32.const 4)))
        (call $output_write (i32.const 8) (i32.const 2))
        (i32.const 0))"#;

/// What the counter says when it has counted so many jobs.
fn counted(jobs: u8) -> Vec<u8> {
    vec![jobs, jobs]
}

#[test]
fn a_fresh_instance_finds_nothing_and_a_reused_one_finds_what_was_left() {
    let guest = guest(&wat(COUNTER));
    everywhere(|configuration| {
        let pool = configuration.pool(&guest);
        let counts = [1, 2, 3].map(|jobs| match configuration.instance() {
            InstancePolicy::Fresh => counted(1),
            InstancePolicy::Reused => counted(jobs),
        });
        for count in counts {
            assert_eq!(reply(&pool, Job::new("")).output, count);
        }
    });
}

#[test]
fn a_reused_instance_survives_a_refusal_and_is_discarded_after_anything_worse() {
    let guest = guest(&wat(COUNTER));
    everywhere(|configuration| {
        let pool = configuration.pool(&guest);
        let reused = configuration.instance() == InstancePolicy::Reused;
        reply(&pool, Job::new(""));
        assert!(matches!(
            reply(&pool, Job::new("r")).outcome,
            Outcome::Refused { code: 1, .. }
        ));
        let count = counted(if reused { 3 } else { 1 });
        assert_eq!(reply(&pool, Job::new("")).output, count, "after a refusal");
        for (input, outcome) in [
            ("t", trapped(TrapKind::Unreachable)),
            ("s", Outcome::Deadline),
        ] {
            let timeout = if input == "s" { MS(150) } else { PATIENCE };
            assert_eq!(
                reply(&pool, Job::new(input).timeout(timeout)).outcome,
                outcome
            );
            assert_eq!(
                reply(&pool, Job::new("")).output,
                counted(1),
                "after {input}"
            );
            reply(&pool, Job::new(""));
        }
    });
}

#[test]
fn initialize_runs_once_for_each_instance() {
    let guest = guest(&wat(r#"(func (export "_initialize")
               (i32.store8 (i32.const 0) (i32.add (i32.load8_u (i32.const 0)) (i32.const 1))))
           (func (export "handle") (result i32)
               (call $output_write (i32.const 0) (i32.const 1)) (i32.const 0))"#));
    everywhere(|configuration| {
        let pool = configuration.pool(&guest);
        for _ in 0..3 {
            assert_eq!(reply(&pool, Job::new("")).output, [1]);
        }
    });
}

// ---------------------------------------------------------------------------------------------
// Before the job: start functions and `_initialize`
// ---------------------------------------------------------------------------------------------

/// Two guests that do this before their first job: one in a start function, one in `_initialize`.
fn beginnings(body: &str) -> [Guest; 2] {
    let handle = r#"(func (export "handle") (result i32) (i32.const 0))"#;
    [
        format!("(start $begin) (func $begin {body}) {handle}"),
        format!(r#"(func (export "_initialize") {body}) {handle}"#),
    ]
    .map(|text| guest(&wat(&text)))
}

#[test]
fn a_beginning_that_never_ends_ends_at_the_deadline() {
    let guests = beginnings("(loop $forever (br $forever))");
    everywhere(|configuration| {
        for guest in &guests {
            let pool = configuration.pool_with(guest, limits(Some(MS(150))));
            for _ in 0..2 {
                assert_eq!(reply(&pool, Job::new("")).outcome, Outcome::Deadline);
            }
        }
    });
}

#[test]
fn a_beginning_that_traps_ends_each_job_in_that_trap() {
    let guests = beginnings("unreachable");
    everywhere(|configuration| {
        for guest in &guests {
            let pool = configuration.pool(guest);
            for _ in 0..2 {
                let outcome = reply(&pool, Job::new("")).outcome;
                assert_eq!(outcome, trapped(TrapKind::Unreachable));
            }
        }
    });
}

#[test]
fn a_beginning_spends_the_jobs_fuel() {
    let guests = beginnings("(loop $forever (br $forever))");
    let limits = Limits {
        fuel: Some(10_000),
        ..limits(Some(PATIENCE))
    };
    everywhere(|configuration| {
        for guest in &guests {
            let pool = configuration.pool_with(guest, limits);
            assert_eq!(reply(&pool, Job::new("")).outcome, Outcome::OutOfFuel);
        }
    });
}

#[test]
fn a_beginning_may_log_take_random_bytes_and_read_the_clock() {
    let guests = beginnings(
        "(drop (call $clock))
         (call $random (i32.const 0) (i32.const 8))
         (if (i64.eqz (i64.load (i32.const 0))) (then unreachable))
         (i32.store8 (i32.const 0) (i32.const 0x68))
         (i32.store8 (i32.const 1) (i32.const 0x69))
         (call $log (i32.const 2) (i32.const 0) (i32.const 2))",
    );
    everywhere(|configuration| {
        for guest in &guests {
            let pool = configuration.pool(guest);
            let (logged, lines) = crossbeam_channel::unbounded();
            let job = Job::new("").on_log(move |_, _, line| logged.send(line.to_owned()).unwrap());
            assert_eq!(reply(&pool, job).outcome, Outcome::Output);
            assert_eq!(lines.try_iter().collect::<Vec<_>>(), ["hi"]);
        }
    });
}

#[test]
fn a_range_outside_the_memory_is_a_violation_before_the_job_too() {
    let guests = beginnings("(call $random (i32.const 65536) (i32.const 1))");
    everywhere(|configuration| {
        for guest in &guests {
            let outcome = configuration.outcome(guest, b"");
            assert!(violation(&outcome).starts_with("random was given 1 bytes"));
        }
    });
}

#[test]
fn a_beginning_must_not_speak_of_a_job_that_is_not_there() {
    let (zero, long) = ("(i32.const 0)", "(i64.const 0)");
    let calls = [
        ("input_len", "(drop (call $input_len))".to_owned()),
        (
            "input_read",
            format!("(drop (call $input_read {zero} {zero} {zero}))"),
        ),
        (
            "output_write",
            format!("(call $output_write {zero} {zero})"),
        ),
        ("fail", format!("(call $fail {zero} {zero})")),
        ("post", format!("(call $post {zero} {zero})")),
        ("recv", format!("(drop (call $recv {zero} {zero} {zero}))")),
        ("region_len", "(drop (call $region_len))".to_owned()),
        (
            "region_read",
            format!("(call $region_read {zero} {long} {zero})"),
        ),
        (
            "region_write",
            format!("(call $region_write {zero} {long} {zero})"),
        ),
        ("region_load", format!("(drop (call $region_load {long}))")),
        (
            "region_store",
            format!("(call $region_store {long} {long})"),
        ),
        (
            "region_add",
            format!("(drop (call $region_add {long} {long}))"),
        ),
        (
            "region_compare_exchange",
            format!("(drop (call $region_compare_exchange {long} {long} {long}))"),
        ),
    ];
    let guests = calls.map(|(call, body)| (call, beginnings(&body)));
    everywhere(|configuration| {
        for (call, guests) in &guests {
            for guest in guests {
                let (posted, posts) = crossbeam_channel::unbounded();
                let job = Job::new("input").on_post(move |_, _| posted.send(()).unwrap());
                let reply = reply(&configuration.pool(guest), job);
                let what = violation(&reply.outcome);
                assert!(
                    what.starts_with(&format!("{call} was called before the job began")),
                    "{what}"
                );
                assert!(
                    what.ends_with("only log, random and clock may be called"),
                    "{what}"
                );
                assert_eq!(posts.len(), 0);
            }
        }
    });
}

// ---------------------------------------------------------------------------------------------
// Ranges
// ---------------------------------------------------------------------------------------------

/// Calls the import that the input chooses with the range that it gives: three 32-bit numbers. What
/// reads a range writes nothing, and what fills one has nothing to fill it with, except `random`.
const RANGES: &str = r#"
    (func (export "handle") (result i32)
        (local $ptr i32) (local $len i32)
        (drop (call $input_read (i32.const 0) (i32.const 0) (i32.const 12)))
        (local.set $ptr (i32.load (i32.const 4)))
        (local.set $len (i32.load (i32.const 8)))
        (block $6 (block $5 (block $4 (block $3 (block $2 (block $1 (block $0
            (br_table $0 $1 $2 $3 $4 $5 $6 (i32.load (i32.const 0))))
            (drop (call $input_read (local.get $ptr) (i32.const 12) (local.get $len)))
            (return (i32.const 0)))
            (call $output_write (local.get $ptr) (local.get $len)) (return (i32.const 0)))
            (call $fail (local.get $ptr) (local.get $len)) (return (i32.const 0)))
            (call $post (local.get $ptr) (local.get $len)) (return (i32.const 0)))
            (drop (call $recv (local.get $ptr) (local.get $len) (i32.const 0)))
            (return (i32.const 0)))
            (call $log (i32.const 2) (local.get $ptr) (local.get $len)) (return (i32.const 0)))
        (call $random (local.get $ptr) (local.get $len))
        (i32.const 0))"#;

#[test]
fn a_range_may_touch_the_end_of_the_memory_and_not_pass_it() {
    const CALLS: [&str; 7] = [
        "input_read",
        "output_write",
        "fail",
        "post",
        "recv",
        "log",
        "random",
    ];
    const PAGE: u32 = 65536;
    let fine = [
        (0, 0),
        (0, PAGE),
        (PAGE, 0),
        (PAGE - 1, 1),
        (PAGE - 1, 0),
        (1, PAGE - 1),
    ];
    let outside = [
        (PAGE + 1, 0),
        (PAGE, 1),
        (PAGE - 1, 2),
        (0, PAGE + 1),
        (1, PAGE),
        (u32::MAX, 0),
        (u32::MAX, 1),
        (0, u32::MAX),
        (u32::MAX, u32::MAX),
        (1, u32::MAX),
        (0x8000_0000, 0x8000_0000),
        (0xffff_0000, 0x0001_0001),
    ];
    let guest = guest(&wat(RANGES));
    everywhere(|configuration| {
        let pool = configuration.pool(&guest);
        let ask = |call: usize, ptr: u32, len: u32| {
            let call = u32::try_from(call).expect("a small number");
            let input = [call, ptr, len].map(u32::to_le_bytes).concat();
            reply(&pool, Job::new(input)).outcome
        };
        for (number, name) in CALLS.iter().enumerate() {
            for (ptr, len) in fine {
                let outcome = ask(number, ptr, len);
                assert_eq!(outcome, Outcome::Output, "{name}({ptr}, {len})");
            }
            for (ptr, len) in outside {
                let outcome = ask(number, ptr, len);
                let expected = format!(
                    "{name} was given {len} bytes at {ptr:#x}, but its memory has 65536 bytes"
                );
                assert_eq!(violation(&outcome), expected);
            }
        }
        assert_eq!(pool.health().died, 0);
    });
}

// ---------------------------------------------------------------------------------------------
// Shared regions
// ---------------------------------------------------------------------------------------------

/// Calls what the first byte of the input names on the region, with the numbers that follow, 64 bits
/// each: `l`en, `r`ead, `w`rite (what follows the numbers), `g`et (load), `s`tore, `a`dd,
/// `c`ompare-exchange. Replies with what it got.
const REGIONS: &str = r#"
    (func $is (param $letter i32) (result i32)
        (i32.eq (i32.load8_u (i32.const 0)) (local.get $letter)))
    (func $number (param $place i32) (result i64)
        (i64.load (i32.add (i32.const 1) (i32.shl (local.get $place) (i32.const 3)))))
    (func $answer (param $value i64) (result i32)
        (i64.store (i32.const 0) (local.get $value))
        (call $output_write (i32.const 0) (i32.const 8))
        (i32.const 0))
    (func (export "handle") (result i32)
        (drop (call $input_read (i32.const 0) (i32.const 0) (i32.const 1024)))
        (if (call $is (i32.const 0x6c))
            (then (return (call $answer (call $region_len)))))
        (if (call $is (i32.const 0x72)) (then
            (call $region_read (i32.const 2048) (call $number (i32.const 0))
                (i32.wrap_i64 (call $number (i32.const 1))))
            (call $output_write (i32.const 2048) (i32.wrap_i64 (call $number (i32.const 1))))
            (return (i32.const 0))))
        (if (call $is (i32.const 0x77)) (then
            (call $region_write (i32.const 9) (call $number (i32.const 0))
                (i32.sub (call $input_len) (i32.const 9)))
            (return (i32.const 0))))
        (if (call $is (i32.const 0x67))
            (then (return (call $answer (call $region_load (call $number (i32.const 0)))))))
        (if (call $is (i32.const 0x73)) (then
            (call $region_store (call $number (i32.const 0)) (call $number (i32.const 1)))
            (return (i32.const 0))))
        (if (call $is (i32.const 0x61))
            (then (return (call $answer
                (call $region_add (call $number (i32.const 0)) (call $number (i32.const 1)))))))
        (if (call $is (i32.const 0x63))
            (then (return (call $answer
                (call $region_compare_exchange (call $number (i32.const 0))
                    (call $number (i32.const 1)) (call $number (i32.const 2)))))))
        unreachable)"#;

/// A job of [`REGIONS`].
fn on_region(call: char, numbers: &[i64], bytes: &[u8]) -> Job {
    let mut input = call.to_string().into_bytes();
    input.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    input.extend_from_slice(bytes);
    Job::new(input)
}

/// The bytes that a job replied.
fn answer(pool: &Pool, job: Job) -> Vec<u8> {
    let reply = reply(pool, job);
    assert_eq!(reply.outcome, Outcome::Output);
    reply.output
}

/// The number that a job replied.
fn number(pool: &Pool, job: Job) -> i64 {
    i64::from_le_bytes(answer(pool, job).try_into().expect("eight bytes"))
}

fn region(bytes: u64, access: RegionAccess) -> Region {
    Region::new(ByteSize::from_bytes(bytes), access).expect("the region is made")
}

#[test]
fn host_and_guests_see_what_the_other_writes() {
    let guest = guest(&wat(REGIONS));
    everywhere(|configuration| {
        let region = region(1001, RegionAccess::ReadWrite);
        region.write(3, b"from the host").expect("in range");
        let pool = configuration
            .builder(&guest)
            .region(&region)
            .build()
            .expect("the pool is built");
        assert_eq!(number(&pool, on_region('l', &[], b"")), 1001);
        let read = answer(&pool, on_region('r', &[2, 15], b""));
        assert_eq!(read, b"\0from the host\0");
        answer(&pool, on_region('w', &[989], b"from a guest"));
        let mut found = [0; 13];
        region.read(988, &mut found).expect("in range");
        assert_eq!(&found, b"\0from a guest");
        // While workers run, too.
        region.store(8, -7).expect("aligned");
        assert_eq!(number(&pool, on_region('g', &[8], b"")), -7);
        assert_eq!(number(&pool, on_region('a', &[8, 9], b"")), -7);
        assert_eq!(number(&pool, on_region('c', &[8, 3, 50], b"")), 2);
        assert_eq!(number(&pool, on_region('c', &[8, 2, 50], b"")), 2);
        assert_eq!(region.load(8), Ok(50));
        answer(&pool, on_region('s', &[8, i64::MIN], b""));
        assert_eq!(region.load(8), Ok(i64::MIN));
        assert_eq!(pool.health().started, 1);
    });
}

#[test]
fn what_may_only_be_read_is_read_and_never_written_by_a_guest() {
    let guest = guest(&wat(REGIONS));
    everywhere(|configuration| {
        let region = region(64, RegionAccess::ReadOnly);
        region.store(8, 5).expect("the host may write");
        let pool = configuration
            .builder(&guest)
            .region(&region)
            .build()
            .expect("the pool is built");
        assert_eq!(number(&pool, on_region('g', &[8], b"")), 5);
        for (call, job) in [
            ("region_write", on_region('w', &[0], b"x")),
            ("region_store", on_region('s', &[8, 1], b"")),
            ("region_add", on_region('a', &[8, 1], b"")),
            ("region_compare_exchange", on_region('c', &[8, 5, 1], b"")),
        ] {
            let outcome = reply(&pool, job).outcome;
            let expected = format!("{call} was refused: the region may only be read");
            assert_eq!(violation(&outcome), expected);
        }
        region.store(16, 6).expect("the host may write");
        assert_eq!(number(&pool, on_region('g', &[8], b"")), 5);
        assert_eq!(number(&pool, on_region('g', &[16], b"")), 6);
        assert_eq!(pool.health().died, 0);
    });
}

#[test]
fn a_range_may_touch_the_end_of_the_region_and_not_pass_it() {
    let guest = guest(&wat(REGIONS));
    everywhere(|configuration| {
        let region = region(21, RegionAccess::ReadWrite);
        let pool = configuration
            .builder(&guest)
            .region(&region)
            .build()
            .expect("the pool is built");
        assert_eq!(answer(&pool, on_region('r', &[0, 21], b"")).len(), 21);
        assert_eq!(answer(&pool, on_region('r', &[21, 0], b"")).len(), 0);
        answer(&pool, on_region('w', &[20], b"!"));
        assert_eq!(number(&pool, on_region('g', &[8], b"")), 0);
        let outside = |job: Job, offset: u64, bytes: u64| {
            let outcome = reply(&pool, job).outcome;
            let expected =
                format!("it was given {bytes} bytes at {offset}, but the region has 21 bytes");
            assert!(violation(&outcome).ends_with(&expected), "{outcome:?}");
        };
        outside(on_region('r', &[0, 22], b""), 0, 22);
        outside(on_region('r', &[22, 0], b""), 22, 0);
        outside(on_region('r', &[-1, 1], b""), u64::MAX, 1);
        outside(on_region('w', &[20], b"??"), 20, 2);
        outside(on_region('w', &[i64::MIN], b"?"), 1 << 63, 1);
        for call in ['g', 's', 'a', 'c'] {
            outside(on_region(call, &[16, 0, 0], b""), 16, 8);
            outside(on_region(call, &[-8, 0, 0], b""), u64::MAX - 7, 8);
            let outcome = reply(&pool, on_region(call, &[4, 0, 0], b"")).outcome;
            let expected = "it was given the offset 4, which is no multiple of 8";
            assert!(violation(&outcome).ends_with(expected), "{outcome:?}");
        }
        let mut whole = [0; 21];
        region.read(0, &mut whole).expect("in range");
        let mut expected = [0; 21];
        expected[20] = b'!';
        assert_eq!(whole, expected);
        assert_eq!(pool.health().died, 0);
    });
}

#[test]
fn a_range_of_the_guest_is_checked_as_for_any_other_call() {
    let bodies = [
        "(call $region_read (i32.const 65530) (i64.const 0) (i32.const 8)) (i32.const 0)",
        "(call $region_write (i32.const 65530) (i64.const 0) (i32.const 8)) (i32.const 0)",
    ];
    let guests = bodies.map(handle);
    everywhere(|configuration| {
        for guest in &guests {
            let region = region(64, RegionAccess::ReadWrite);
            let pool = configuration
                .builder(guest)
                .region(&region)
                .build()
                .expect("the pool is built");
            let outcome = reply(&pool, Job::new("")).outcome;
            let expected = "was given 8 bytes at 0xfffa, but its memory has 65536 bytes";
            assert!(violation(&outcome).ends_with(expected), "{outcome:?}");
        }
    });
}

#[test]
fn without_a_region_its_length_says_so_and_nothing_else_is_allowed() {
    let guest = guest(&wat(REGIONS));
    everywhere(|configuration| {
        let pool = configuration.pool(&guest);
        assert_eq!(number(&pool, on_region('l', &[], b"")), -1);
        for call in ['r', 'w', 'g', 's', 'a', 'c'] {
            let outcome = reply(&pool, on_region(call, &[0, 0, 0], b"")).outcome;
            let expected = "was refused: the host gave it no region";
            assert!(violation(&outcome).ends_with(expected), "{outcome:?}");
        }
    });
}

#[test]
fn what_workers_of_several_pools_add_at_the_same_time_sums_up_exactly() {
    // Adds 1 to the first word, and by compare-exchange 1 to the second, a thousand times.
    let guest = handle(
        "(loop $again
             (drop (call $region_add (i64.const 0) (i64.const 1)))
             (local.set $t (call $region_load (i64.const 8)))
             (loop $until_it_holds
                 (if (i64.ne (local.get $t) (call $region_compare_exchange
                         (i64.const 8) (local.get $t) (i64.add (local.get $t) (i64.const 1))))
                     (then
                         (local.set $t (call $region_load (i64.const 8)))
                         (br $until_it_holds))))
             (br_if $again (i32.lt_u
                 (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 1000))))
         (i32.const 0)",
    );
    everywhere(|configuration| {
        let region = region(16, RegionAccess::ReadWrite);
        let pools = [2, 2].map(|workers| {
            let builder = configuration.builder(&guest).workers(workers);
            builder.region(&region).build().expect("the pool is built")
        });
        let tickets: Vec<_> = (0..5)
            .flat_map(|_| &pools)
            .map(|pool| pool.submit(Job::new("")).expect("the job is taken"))
            .collect();
        for ticket in tickets {
            let completion = ticket.wait_for(PATIENCE).expect("the job ends");
            assert_eq!(completion.result.expect("a reply").outcome, Outcome::Output);
        }
        assert_eq!([region.load(0), region.load(8)], [Ok(10_000); 2]);
    });
}

#[test]
fn a_worker_that_is_ended_in_the_middle_of_a_write_leaves_the_region_to_the_others() {
    // Without input it fills the region with ever other words of eight equal bytes, 4 KiB at a
    // time, for ever.
    let body = r#"
        (func $fill (param $word i64)
            (local $at i32)
            (loop $next
                (i64.store (i32.add (i32.const 4096) (local.get $at)) (local.get $word))
                (br_if $next (i32.lt_u
                    (local.tee $at (i32.add (local.get $at) (i32.const 8))) (i32.const 4096)))))
        (func (export "handle") (result i32)
            (local $byte i64)
            (if (call $input_len) (then
                (i64.store (i32.const 0) (call $region_load (i64.const 0)))
                (call $output_write (i32.const 0) (i32.const 8))
                (return (i32.const 0))))
            (loop $for_ever
                (local.set $byte
                    (i64.and (i64.add (local.get $byte) (i64.const 1)) (i64.const 0xff)))
                (call $fill
                    (i64.mul (local.get $byte) (i64.const 0x0101010101010101)))
                (call $region_write (i32.const 4096) (i64.const 0) (i32.const 4096))
                (br $for_ever))
            unreachable)"#;
    let guest = guest(&wat(body));
    everywhere(|configuration| {
        let region = region(4096, RegionAccess::ReadWrite);
        let pool = configuration
            .builder(&guest)
            .region(&region)
            .build()
            .expect("the pool is built");
        let job = || pool.submit(Job::new("").timeout(MS(300)));
        let ticket = job().expect("the job is taken");
        wait_until("the guest writes", || region.load(0) != Ok(0));
        let completion = ticket.wait_for(PATIENCE).expect("the job ends");
        let reply = completion.result.expect("a reply");
        assert_eq!(reply.outcome, Outcome::Deadline);
        // No word of it is half of one and half of another, and the next worker has the same.
        let mut whole = vec![0; 4096];
        region.read(0, &mut whole).expect("in range");
        for word in whole.chunks(8) {
            assert_eq!(word, [word[0]; 8]);
        }
        assert_eq!(Ok(number(&pool, Job::new("read"))), region.load(0));
        region.store(0, 77).expect("aligned");
        assert_eq!(number(&pool, Job::new("read")), 77);
    });
}

#[test]
fn a_region_lives_as_long_as_a_pool_that_has_it() {
    let guest = guest(&wat(REGIONS));
    everywhere(|configuration| {
        let region = region(64, RegionAccess::ReadWrite);
        region.store(8, 5).expect("aligned");
        let pool = configuration
            .builder(&guest)
            .region(&region)
            .build()
            .expect("the pool is built");
        drop(region);
        assert_eq!(number(&pool, on_region('a', &[8, 1], b"")), 5);
        assert_eq!(number(&pool, on_region('g', &[8], b"")), 6);
    });
}

// ---------------------------------------------------------------------------------------------
// Messages
// ---------------------------------------------------------------------------------------------

#[test]
fn posts_arrive_in_order_whole_signed_and_before_the_completion() {
    // Posts ever longer messages, the first one empty, each filled with its number.
    let guest = handle(
        "(loop $more
             (memory.fill (i32.const 0) (local.get $i) (i32.const 60000))
             (call $post (i32.const 0) (i32.mul (local.get $i) (i32.const 600)))
             (br_if $more (i32.lt_u
                 (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 100))))
         (i32.const 0)",
    );
    everywhere(|configuration| {
        let pool = configuration.pool(&guest);
        reply(&pool, Job::new("so that the next job has number 1"));
        let posts = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&posts);
        let job = Job::new("").on_post(move |from, message| {
            kept.lock()
                .unwrap()
                .push((from.worker.to_owned(), from.job, message.to_vec()));
        });
        let (sender, ends) = crossbeam_channel::bounded(1);
        let seen = Arc::clone(&posts);
        pool.submit_with(job, move |completion| {
            sender
                .send((completion, seen.lock().unwrap().len()))
                .unwrap();
        })
        .expect("the job is taken");
        let (completion, before) = ends.recv_timeout(PATIENCE).expect("it ends");
        assert_eq!(completion.result.as_ref().unwrap().outcome, Outcome::Output);
        assert_eq!(before, 100, "posts that came before the completion");
        for (number, (worker, job, message)) in (0u8..).zip(posts.lock().unwrap().iter()) {
            assert_eq!((&**worker, *job), (&*completion.worker, 1));
            assert_eq!(*message, vec![number; usize::from(number) * 600]);
        }
    });
}

#[test]
fn posts_of_a_job_that_then_traps_have_arrived() {
    let guest = handle("(call $post (i32.const 0) (i32.const 3)) unreachable");
    everywhere(|configuration| {
        let (posted, posts) = crossbeam_channel::unbounded();
        let job = Job::new("").on_post(move |_, message| posted.send(message.to_vec()).unwrap());
        let reply = reply(&configuration.pool(&guest), job);
        assert_eq!(reply.outcome, trapped(TrapKind::Unreachable));
        assert_eq!(posts.try_iter().collect::<Vec<_>>(), [vec![0; 3]]);
    });
}

/// For each record of 8 bytes in its input, a buffer's size and a time in milliseconds, it calls
/// `recv` once, and writes what that returned (4 bytes), and the message if one was taken.
const RECEIVER: &str = r#"
    (func (export "handle") (result i32)
        (local $at i32) (local $got i32)
        (call $post (i32.const 0) (i32.const 0))
        (loop $next
            (if (i32.ge_u (local.get $at) (call $input_len)) (then (return (i32.const 0))))
            (drop (call $input_read (i32.const 0) (local.get $at) (i32.const 8)))
            (local.set $got
                (call $recv (i32.const 1024) (i32.load (i32.const 0)) (i32.load (i32.const 4))))
            (i32.store (i32.const 8) (local.get $got))
            (call $output_write (i32.const 8) (i32.const 4))
            (if (i32.and (i32.ge_s (local.get $got) (i32.const 0))
                    (i32.le_u (local.get $got) (i32.load (i32.const 0))))
                (then (call $output_write (i32.const 1024) (local.get $got))))
            (local.set $at (i32.add (local.get $at) (i32.const 8)))
            (br $next))
        unreachable)"#;

/// The input that makes the receiver call `recv` with these buffer sizes and times.
fn calls<const N: usize>(calls: [(i32, i32); N]) -> Vec<u8> {
    calls
        .iter()
        .flat_map(|(cap, time)| [cap.to_le_bytes(), time.to_le_bytes()].concat())
        .collect()
}

/// What the receiver replies when `recv` returned these numbers and messages.
fn got<const N: usize>(answers: [(i32, &str); N]) -> Vec<u8> {
    answers
        .iter()
        .flat_map(|(number, message)| [&number.to_le_bytes(), message.as_bytes()].concat())
        .collect()
}

const FOR_EVER: i32 = -1;

#[test]
fn without_an_inbox_the_way_is_closed_at_once() {
    let guest = guest(&wat(RECEIVER));
    everywhere(|configuration| {
        let waits = calls([(100, 0), (100, 60_000), (100, FOR_EVER)]);
        let answers = got([(-2, ""), (-2, ""), (-2, "")]);
        assert_eq!(configuration.ask(&guest, &waits).output, answers);
    });
}

#[test]
fn an_open_inbox_without_messages_lets_the_wait_time_out() {
    let guest = guest(&wat(RECEIVER));
    everywhere(|configuration| {
        let pool = configuration.pool(&guest);
        let (job, _outbox) = Job::new(calls([(100, 0), (100, 60)])).with_inbox();
        let reply = reply(&pool, job);
        assert_eq!(reply.output, got([(-1, ""), (-1, "")]));
        assert!(reply.phases.call >= MS(60), "{:?}", reply.phases);
    });
}

#[test]
fn messages_are_taken_in_order_and_then_the_close_is_told() {
    let guest = guest(&wat(RECEIVER));
    everywhere(|configuration| {
        let waits = calls([
            (100, 0),
            (100, FOR_EVER),
            (100, 60_000),
            (100, 0),
            (100, FOR_EVER),
        ]);
        let (job, outbox) = Job::new(waits).with_inbox();
        for message in ["one", "", "three"] {
            outbox.post(message).expect("there is room");
        }
        drop(outbox);
        let reply = reply(&configuration.pool(&guest), job);
        let answers = [(3, "one"), (0, ""), (5, "three"), (-2, ""), (-2, "")];
        assert_eq!(reply.output, got(answers));
    });
}

#[test]
fn a_message_larger_than_the_buffer_stays_until_there_is_room() {
    let guest = guest(&wat(RECEIVER));
    everywhere(|configuration| {
        let waits = calls([(2, 0), (0, FOR_EVER), (5, 0), (0, 0), (0, 0)]);
        let (job, outbox) = Job::new(waits).with_inbox();
        outbox.post("hello").expect("there is room");
        outbox.post("").expect("there is room");
        drop(outbox);
        let reply = reply(&configuration.pool(&guest), job);
        let answers = [(5, ""), (5, ""), (5, "hello"), (0, ""), (-2, "")];
        assert_eq!(reply.output, got(answers));
    });
}

#[test]
fn a_message_that_one_job_left_is_not_found_by_the_next() {
    let guest = guest(&wat(RECEIVER));
    everywhere(|configuration| {
        let pool = configuration.pool(&guest);
        let (job, outbox) = Job::new(calls([(2, 0)])).with_inbox();
        outbox.post("left behind").expect("there is room");
        assert_eq!(reply(&pool, job).output, got([(11, "")]));
        let next = reply(&pool, Job::new(calls([(100, 0)])));
        assert_eq!(next.output, got([(-2, "")]));
    });
}

#[test]
fn a_waiting_guest_is_woken_by_a_message_and_by_the_close() {
    let guest = guest(&wat(RECEIVER));
    everywhere(|configuration| {
        let pool = configuration.pool(&guest);
        let (job, outbox) = Job::new(calls([(100, FOR_EVER), (100, FOR_EVER)])).with_inbox();
        let (begun, hear) = crossbeam_channel::unbounded();
        let job = job.on_post(move |_, _| begun.send(()).unwrap());
        let ticket = pool.submit(job).expect("the job is taken");
        hear.recv_timeout(PATIENCE).expect("it begins");
        // Long enough that it waits by now; if it does not, the test proves less and still holds.
        std::thread::sleep(MS(30));
        outbox.post("at last").expect("the job runs");
        std::thread::sleep(MS(30));
        drop(outbox);
        let completion = ticket.wait_for(PATIENCE).expect("it ends");
        let output = completion.result.expect("a reply").output;
        assert_eq!(output, got([(7, "at last"), (-2, "")]));
    });
}

#[test]
fn a_large_message_arrives_whole() {
    // Takes one message of up to 60 000 bytes after it has asked for its length, and replies with it.
    let guest = handle(
        "(local.set $n (call $recv (i32.const 0) (i32.const 0) (i32.const -1)))
         (drop (call $recv (i32.const 0) (local.get $n) (i32.const 0)))
         (call $output_write (i32.const 0) (local.get $n)) (i32.const 0)",
    );
    everywhere(|configuration| {
        let (job, outbox) = Job::new("").with_inbox();
        outbox.post(bytes(60_000)).expect("there is room");
        let reply = reply(&configuration.pool(&guest), job);
        assert!(reply.output == bytes(60_000));
    });
}

#[test]
fn a_thousand_messages_go_back_and_forth_while_the_job_runs() {
    // Posts a number, takes the answer, which has to be the number after it, and goes on with that.
    let guest = handle(
        "(loop $more
             (i32.store (i32.const 0) (local.get $i))
             (call $post (i32.const 0) (i32.const 4))
             (if (i32.ne (call $recv (i32.const 0) (i32.const 4) (i32.const -1)) (i32.const 4))
                 (then (return (i32.const 1))))
             (local.set $i (i32.add (local.get $i) (i32.const 1)))
             (if (i32.ne (i32.load (i32.const 0)) (local.get $i)) (then (return (i32.const 2))))
             (br_if $more (i32.lt_u (local.get $i) (i32.const 1000))))
         (call $output_write (i32.const 0) (i32.const 4))
         (i32.const 0)",
    );
    everywhere(|configuration| {
        let (job, outbox) = Job::new("").with_inbox();
        let job = job.on_post(move |_, message| {
            let number = u32::from_le_bytes(message.try_into().expect("four bytes"));
            outbox
                .post((number + 1).to_le_bytes())
                .expect("the job runs");
        });
        let reply = reply(&configuration.pool(&guest), job);
        assert_eq!(reply.outcome, Outcome::Output);
        assert_eq!(reply.output, 1000u32.to_le_bytes());
    });
}

#[test]
fn posting_to_a_guest_that_takes_nothing_ends_with_the_job() {
    everywhere(|configuration| {
        let pool = configuration.pool(&embedded("spin"));
        let (job, outbox) = Job::new("").timeout(MS(200)).with_inbox();
        for _ in 0..Outbox::CAPACITY {
            outbox.post("more").expect("there is room");
        }
        let ticket = pool.submit(job).expect("the job is taken");
        // This one waits for room that never comes.
        assert_eq!(outbox.post("one too many"), Err(PostError::JobEnded));
        assert!(ticket.wait_for(PATIENCE).is_ok());
    });
}

#[test]
fn posting_to_a_job_that_has_ended_says_so_however_it_ended() {
    // Ends in output, a refusal or a trap, as the input's length says.
    let guest = handle(
        "(if (i32.eq (call $input_len) (i32.const 2)) (then unreachable))
         (call $input_len)",
    );
    everywhere(|configuration| {
        let pool = configuration.pool(&guest);
        for input in ["", "1", "22"] {
            let (job, outbox) = Job::new(input).with_inbox();
            outbox.post("before").expect("there is room");
            reply(&pool, job);
            // The completion may come a moment before the worker has let go of the job; but then
            // long before the outbox is full, and waits for ever.
            let refusal = (0..Outbox::CAPACITY / 2).find_map(|_| {
                std::thread::sleep(MS(5));
                outbox.post("after").err()
            });
            assert_eq!(refusal, Some(PostError::JobEnded));
        }
    });
}

// ---------------------------------------------------------------------------------------------
// Log lines
// ---------------------------------------------------------------------------------------------

/// The lines that a job logs, and its reply.
fn logged(pool: &Pool, job: Job) -> (Vec<(Level, String)>, Reply) {
    let (sender, lines) = crossbeam_channel::unbounded();
    let job = job.on_log(move |_, level, line| sender.send((level, line.to_owned())).unwrap());
    let reply = reply(pool, job);
    (lines.try_iter().collect(), reply)
}

#[test]
fn a_flood_of_log_lines_is_cut_at_the_jobs_share_and_the_rest_is_counted() {
    // Logs a hundred lines of as many bytes as the input has.
    let guest = handle(
        "(loop $more
             (call $log (i32.const 1) (i32.const 0) (call $input_len))
             (br_if $more (i32.lt_u
                 (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 100))))
         (i32.const 0)",
    );
    // Length of a line, lines that arrive, bytes of each.
    let cases = [
        (1000, 65, 1000),
        (655, 100, 655),
        (4096, 16, 4096),
        (5000, 16, 4096),
        (65536, 16, 4096),
        (0, 100, 0),
    ];
    everywhere(|configuration| {
        let pool = configuration.pool(&guest);
        for (length, arrive, kept) in cases {
            let (lines, reply) = logged(&pool, Job::new(vec![0; length]));
            assert_eq!(reply.outcome, Outcome::Output);
            assert_eq!(lines.len(), arrive, "lines of {length} bytes");
            assert_eq!(
                reply.dropped_logs,
                100 - arrive as u64,
                "lines of {length} bytes"
            );
            // Each byte is a NUL, which is shown as `\u{0}`.
            assert!(
                lines
                    .iter()
                    .all(|(_, line)| line.len() == kept * r"\u{0}".len())
            );
        }
    });
}

#[test]
fn log_lines_come_with_their_level_and_without_control_characters() {
    let guest = guest(&wat(
        r#"(data (i32.const 0) "\1b[2Jred\0d\0a\c2\9b?\ff\09.")
           (func (export "handle") (result i32)
               (local $level i32)
               (local.set $level (i32.const -1))
               (loop $more
                   (call $log (local.get $level) (i32.const 0) (i32.const 15))
                   (br_if $more (i32.lt_s
                       (local.tee $level (i32.add (local.get $level) (i32.const 1)))
                       (i32.const 7))))
               (i32.const 0))"#,
    ));
    everywhere(|configuration| {
        let (lines, _) = logged(&configuration.pool(&guest), Job::new(""));
        let levels: Vec<_> = lines.iter().map(|(level, _)| *level).collect();
        let [error, warn, info, debug, trace] = Level::ALL;
        assert_eq!(
            levels,
            [trace, error, warn, info, debug, trace, trace, trace]
        );
        for (_, line) in lines {
            assert_eq!(line, "\\u{1b}[2Jred\\r\\n\\u{9b}?\u{fffd}\t.");
        }
    });
}

// ---------------------------------------------------------------------------------------------
// Chance and time
// ---------------------------------------------------------------------------------------------

/// Replies with 40 random bytes in two pieces, and three readings of the clock.
const CHANCE: &str = "
    (call $random (i32.const 0) (i32.const 33))
    (call $random (i32.const 33) (i32.const 7))
    (i64.store (i32.const 40) (call $clock))
    (i64.store (i32.const 48) (call $clock))
    (i64.store (i32.const 56) (call $clock))
    (call $output_write (i32.const 0) (i32.const 64)) (i32.const 0)";

fn chances(configuration: &Configuration, guest: &Guest, seed: Option<u64>) -> Vec<Vec<u8>> {
    let pool = configuration
        .builder(guest)
        .seed(seed)
        .build()
        .expect("the pool is built");
    (0..4).map(|_| reply(&pool, Job::new("")).output).collect()
}

#[test]
fn a_seed_gives_the_same_chance_in_every_configuration() {
    let guest = handle(CHANCE);
    let all: Vec<_> = configurations()
        .iter()
        .map(|configuration| chances(configuration, &guest, Some(7)))
        .collect();
    assert!(all.len() > 1);
    for replies in &all {
        assert_eq!(replies, &all[0]);
    }
    let clock = [1000i64, 2000, 3000].map(i64::to_le_bytes).concat();
    for (number, reply) in all[0].iter().enumerate() {
        assert_eq!(reply[40..], clock, "job {number}");
        let alike = |other: &&Vec<u8>| other[..40] == reply[..40];
        assert_eq!(
            all[0].iter().filter(alike).count(),
            1,
            "job {number} is like another"
        );
    }
}

#[test]
fn another_seed_gives_other_chances_and_none_gives_new_ones_each_time() {
    let guest = handle(CHANCE);
    everywhere(|configuration| {
        let runs = [Some(7), Some(8), None, None]
            .map(|seed| chances(configuration, &guest, seed)[0][..40].to_vec());
        for (number, run) in runs.iter().enumerate() {
            let alike = runs.iter().filter(|other| *other == run).count();
            assert_eq!(alike, 1, "run {number} is like another");
        }
    });
}

#[test]
fn without_a_seed_the_clock_never_goes_back_and_does_go_on() {
    // Reads the clock until it has changed; traps if it goes back.
    let guest = handle(
        "(local.set $t (call $clock))
         (loop $more
             (if (i64.lt_s (call $clock) (local.get $t)) (then unreachable))
             (br_if $more (i64.eq (call $clock) (local.get $t))))
         (i32.const 0)",
    );
    everywhere(|configuration| {
        assert_eq!(configuration.outcome(&guest, b""), Outcome::Output);
    });
}

// ---------------------------------------------------------------------------------------------
// The pool, whatever its workers are
// ---------------------------------------------------------------------------------------------

#[test]
fn many_workers_answer_each_job_with_its_own_reply() {
    everywhere(|configuration| {
        let pool = configuration
            .builder(&embedded("echo"))
            .workers(3)
            .queue(64)
            .build()
            .expect("the pool is built");
        let tickets: Vec<_> = (0..300)
            .map(|number| {
                pool.submit(Job::new(format!("job {number}")))
                    .expect("it is taken")
            })
            .collect();
        for (number, ticket) in tickets.into_iter().enumerate() {
            let completion = ticket.wait_for(PATIENCE).expect("it ends");
            assert_eq!(completion.job, number as u64);
            assert_eq!(completion.attempts, 1);
            assert_eq!(
                completion.result.unwrap().output,
                format!("job {number}").into_bytes()
            );
        }
        let health = pool.drain();
        assert_eq!((health.answered, health.died), (300, 0));
    });
}

#[test]
fn phases_say_how_long_the_call_took_and_what_was_made_ahead_is_no_part_of_a_job() {
    let guest = guest(&common::dawdler());
    everywhere(|configuration| {
        let pool = configuration.pool(&guest);
        reply(&pool, Job::new("0"));
        let completion = complete(&pool, Job::new("5"));
        let phases = completion.result.expect("a reply").phases;
        assert!(phases.call >= MS(50), "{phases:?}");
        assert!(phases.call <= completion.wall, "{phases:?}");
        assert!(phases.instantiate.is_zero(), "{phases:?}");
    });
}

#[test]
fn an_instance_whose_making_runs_guest_code_is_made_within_its_job() {
    let guest = guest(&wat(r#"
        (func $begin (call $random (i32.const 0) (i32.const 8)))
        (start $begin)
        (func (export "handle") (result i32)
            (call $output_write (i32.const 0) (i32.const 8))
            (i32.const 0))"#));
    let mut seen = Vec::new();
    everywhere(|configuration| {
        let pool = configuration
            .builder(&guest)
            .seed(Some(7))
            .build()
            .expect("the pool is built");
        let replies = [(); 3].map(|()| reply(&pool, Job::new("")));
        let reused = configuration.instance() == InstancePolicy::Reused;
        let made = replies
            .each_ref()
            .map(|reply| !reply.phases.instantiate.is_zero());
        assert_eq!(made, [true, !reused, !reused]);
        if !reused {
            seen.push(replies.map(|reply| reply.output));
        }
    });
    // The random bytes of each job are its own, and the same in every isolation.
    let [one, two, three] = &seen[0];
    assert!(one != two && two != three && one != three);
    assert!(seen.iter().all(|replies| *replies == seen[0]), "{seen:?}");
}

#[test]
fn stopping_a_pool_cancels_what_runs_and_what_waits() {
    everywhere(|configuration| {
        let pool = configuration
            .builder(&guest(&common::spinner()))
            .queue(8)
            .limits(limits(None))
            .build()
            .expect("the pool is built");
        let (begun, hear) = crossbeam_channel::unbounded();
        let job = Job::new("").on_post(move |_, _| begun.send(()).unwrap());
        let tickets: Vec<_> = (0..4)
            .map(|_| pool.submit(job.clone()).expect("it is taken"))
            .collect();
        hear.recv_timeout(PATIENCE).expect("one job runs");
        pool.stopper().stop();
        for ticket in tickets {
            let completion = ticket.wait_for(PATIENCE).expect("every ticket resolves");
            assert_eq!(completion.result, Err(Lost::Cancelled));
        }
        assert_eq!(pool.drain().answered, 4);
    });
}

// ---------------------------------------------------------------------------------------------
// Calls and batches
// ---------------------------------------------------------------------------------------------

#[test]
fn a_call_ends_as_a_ticket_does() {
    everywhere(|configuration| {
        for guest in EMBEDDED {
            let builder = configuration.builder(&embedded(guest.name));
            let pool = builder.seed(Some(7)).build().expect("the pool is built");
            // Only of these two it is known that no machine is too slow for the time that they get.
            let endless = ["spin", "sleep"].contains(&guest.name);
            let patience = if endless { MS(100) } else { PATIENCE };
            let job = || Job::new(guest.sample).timeout(patience);
            let handed_in = complete(&pool, job()).result;
            let called = (0..3).map(|_| pool.call(job()).expect("it is taken").result);
            let outcome = |result: Result<Reply, Lost>| result.map(|reply| reply.outcome);
            let expected = outcome(handed_in);
            for called in called {
                assert_eq!(outcome(called), expected, "{}", guest.name);
            }
        }
    });
}

#[test]
fn callers_on_fewer_workers_each_get_their_own_reply() {
    everywhere(|configuration| {
        let builder = configuration.builder(&embedded("echo")).workers(2);
        let pool = builder.build().expect("the pool is built");
        std::thread::scope(|scope| {
            for caller in 0..4 {
                let pool = &pool;
                scope.spawn(move || {
                    for number in 0..100 {
                        let input = format!("caller {caller}, job {number}");
                        let completion = pool.call(Job::new(input.clone())).expect("it is taken");
                        assert_eq!(completion.attempts, 1);
                        assert_eq!(completion.result.unwrap().output, input.into_bytes());
                    }
                });
            }
        });
        let health = pool.drain();
        assert_eq!((health.answered, health.died), (400, 0));
    });
}

#[test]
fn stopping_a_pool_cancels_a_call() {
    everywhere(|configuration| {
        let pool = configuration.pool_with(&guest(&common::spinner()), limits(None));
        let (begun, hear) = crossbeam_channel::unbounded();
        let job = Job::new("").on_post(move |_, _| begun.send(()).unwrap());
        // Until the worker has started a call is no other than a ticket.
        wait_until("the worker starts", || !pool.workers().is_empty());
        std::thread::scope(|scope| {
            let called = scope.spawn(|| pool.call(job).expect("it is taken"));
            hear.recv_timeout(PATIENCE).expect("it runs");
            pool.stopper().stop();
            let completion = called.join().unwrap();
            assert_eq!(completion.result, Err(Lost::Cancelled));
        });
        assert_eq!(pool.drain().answered, 1);
    });
}

#[test]
fn a_batch_is_answered_in_order_and_each_job_once() {
    everywhere(|configuration| {
        let builder = configuration.builder(&embedded("echo")).workers(2);
        let pool = builder.build().expect("the pool is built");
        let input = |number: usize| format!("job {number}");
        let jobs = || (0..300).map(|number| Job::new(input(number)));
        let ordered = pool.submit_many(jobs()).expect("it is taken").ordered();
        for (number, completion) in ordered.enumerate() {
            assert_eq!(completion.job, number as u64);
            let output = completion.result.unwrap().output;
            assert_eq!(output, input(number).into_bytes());
        }
        let unordered = pool.submit_many(jobs()).expect("it is taken").unordered();
        let mut numbers: Vec<_> = unordered.map(|completion| completion.job).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (300..600).collect::<Vec<_>>());
        let health = pool.drain();
        assert_eq!((health.answered, health.died), (600, 0));
    });
}

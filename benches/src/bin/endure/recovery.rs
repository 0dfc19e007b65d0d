//! How long until all is well again, and how late a guest is stopped that never returns: a table with the goals beside.

use std::time::{Duration, Instant};

use clap::Args;
use cofferdam::stats::{median, quantile};
use cofferdam::units::seconds;
use cofferdam::{Guest, Isolation, Job, Outcome, Pool, StartMethod, WaitPolicy};
use cofferdam_benches::arms::{Once, call, first_reply, late, recovery, sleeper};
use cofferdam_benches::{ECHO, Failure, pool_for, prepared_echo};

use crate::println;

#[derive(Debug, Args)]
pub(crate) struct Recovery {
    /// Times for each row
    #[arg(long, value_name = "N", default_value_t = 300)]
    count: usize,
}

/// Traps when its input begins with `!`, and replies with its own first byte else.
const MOODY: &str = r#"(module
    (import "cofferdam" "input_read" (func $input_read (param i32 i32 i32) (result i32)))
    (import "cofferdam" "output_write" (func $output_write (param i32 i32)))
    (memory (export "memory") 1 1)
    (func (export "cofferdam_abi_1"))
    (func (export "handle") (result i32)
        (drop (call $input_read (i32.const 0) (i32.const 0) (i32.const 1)))
        (if (i32.eq (i32.load8_u (i32.const 0)) (i32.const 0x21)) (then unreachable))
        (call $output_write (i32.const 0) (i32.const 1))
        (i32.const 0)))"#;

/// The deadline of jobs that never end: long beside what starting one takes.
const DEADLINE: Duration = Duration::from_millis(20);

/// What a row is to reach.
#[derive(Clone, Copy)]
enum Goal {
    /// It is there to be compared with.
    None,
    /// So many times another row, by the medians.
    Times(f64, &'static str),
    /// The worst of all is not more than this many seconds.
    Worst(f64),
}

/// One row: what is done, and how long it took each time.
struct Row<'a> {
    name: &'static str,
    goal: Goal,
    once: Box<dyn FnMut() -> Result<Duration, Failure> + 'a>,
    took: Vec<f64>,
}

impl<'a> Row<'a> {
    fn new(name: &'static str, goal: Goal, once: impl Once + 'a) -> Self {
        Self {
            name,
            goal,
            once: Box::new(once),
            took: Vec::new(),
        }
    }
}

/// Times of each row before any is counted.
const WARM_UP: usize = 5;

const TRIP: &str = "round trip, thread";
const TRIP_OF_PROCESS: &str = "round trip, process";
const BY_FORK: &str = "start of a pool, fork";
const BY_EXEC: &str = "start of a pool, exec";

pub(crate) fn measure(args: &Recovery) -> Result<(), Failure> {
    let prepared = |start| {
        prepared_echo(Isolation::Process, |builder| {
            builder.start(start).wait(WaitPolicy::Park)
        })
    };
    let (exec, fork, spare) = (
        prepared(StartMethod::Exec)?,
        prepared(StartMethod::Fork)?,
        prepared(StartMethod::Spare)?,
    );
    let (by_exec, by_fork, by_spare) = (exec.start()?, fork.start()?, spare.start()?);
    let warm = fork.start()?;
    let in_thread = pool_for(ECHO.guest()?, Isolation::Thread, |builder| {
        builder.wait(WaitPolicy::Park)
    })?;
    let moody = Guest::from_bytes("moody", MOODY.as_bytes())?;
    let moody = pool_for(moody, Isolation::Thread, |builder| {
        builder.wait(WaitPolicy::Park)
    })?;
    let spin = |isolation| pool_for(Guest::embedded("spin")?, isolation, |builder| builder);
    let (thread, process) = (spin(Isolation::Thread)?, spin(Isolation::Process)?);
    let killed = |name, goal, pool, start| Row::new(name, goal, recovery(pool, start, &ECHO));
    let mut rows = vec![
        Row::new(TRIP, Goal::None, call(&in_thread, &ECHO)),
        Row::new(TRIP_OF_PROCESS, Goal::None, call(&warm, &ECHO)),
        Row::new(BY_EXEC, Goal::None, first_reply(&exec, &ECHO)),
        Row::new(BY_FORK, Goal::None, first_reply(&fork, &ECHO)),
        Row::new(
            "trap in a thread",
            Goal::Times(3.0, TRIP),
            after_a_trap(&moody),
        ),
        killed(
            "SIGKILL, exec",
            Goal::Times(1.5, BY_EXEC),
            &by_exec,
            StartMethod::Exec,
        ),
        killed(
            "SIGKILL, fork",
            Goal::Times(1.5, BY_FORK),
            &by_fork,
            StartMethod::Fork,
        ),
        killed(
            "SIGKILL, spare",
            Goal::Times(3.0, TRIP_OF_PROCESS),
            &by_spare,
            StartMethod::Spare,
        ),
        Row::new("who only sleeps", Goal::None, sleeper(DEADLINE)),
        Row::new("hang, thread", Goal::Worst(10e-3), late(&thread, DEADLINE)),
        Row::new(
            "hang, process",
            Goal::Worst(50e-3),
            late(&process, DEADLINE),
        ),
    ];
    for round in 0..WARM_UP + args.count {
        for row in &mut rows {
            let took = (row.once)().map_err(|error| format!("{}: {error}", row.name))?;
            if round >= WARM_UP {
                row.took.push(took.as_secs_f64());
            }
        }
    }
    print(&rows, args.count)
}

/// From handing in a job that traps until the next job's good reply is there.
fn after_a_trap(pool: &Pool) -> impl Once {
    move || {
        let (bad, good) = (Job::new("!"), Job::new("g"));
        let start = Instant::now();
        let trapped = pool.call(bad)?;
        let replied = pool.call(good)?;
        let took = start.elapsed();
        if !matches!(trapped.result?.outcome, Outcome::Trapped { .. }) {
            return Err("the job that was to trap did not".into());
        }
        match replied.result?.output.as_slice() {
            b"g" => Ok(took),
            _ => Err("the reply after the trap is wrong".into()),
        }
    }
}

fn print(rows: &[Row<'_>], count: usize) -> Result<(), Failure> {
    println(&format!(
        "{count} of each by turns. After a fault: until the next good reply is there, of a worker that was killed while it \
         waited, from just before the signal. A hang: how late after a deadline of {} its end is known.\n",
        seconds(DEADLINE.as_secs_f64())
    ));
    let line = |cells: [&str; 6]| {
        let [name, p50, p99, worst, goal, met] = cells;
        println(format!("{name:<22} {p50:>9} {p99:>9} {worst:>9}  {goal:<32} {met}").trim_end());
    };
    line(["", "p50", "p99", "worst", "goal", ""]);
    let middle = |row: &Row<'_>| median(&row.took).ok_or("nothing was measured");
    let mut missed = Vec::new();
    for row in rows {
        let worst = row.took.iter().copied().fold(0.0, f64::max);
        let (goal, is_met) = match row.goal {
            Goal::None => (String::new(), None),
            Goal::Worst(most) => (format!("worst ≤ {}", seconds(most)), Some(worst <= most)),
            Goal::Times(most, other) => {
                let below = rows.iter().find(|row| row.name == other);
                let ratio = middle(row)? / middle(below.ok_or("there is no such row")?)?;
                (
                    format!("{ratio:.2} ≤ {most} × {other}"),
                    Some(ratio <= most),
                )
            }
        };
        let met = is_met.map_or("", |is_met| if is_met { "met" } else { "MISSED" });
        if is_met == Some(false) {
            missed.push(row.name);
        }
        let p99 = quantile(&row.took, 0.99).ok_or("nothing was measured")?;
        line([
            row.name,
            &seconds(middle(row)?),
            &seconds(p99),
            &seconds(worst),
            &goal,
            met,
        ]);
    }
    match missed.as_slice() {
        [] => Ok(()),
        missed => Err(format!("missed: {}", missed.join(", ")).into()),
    }
}

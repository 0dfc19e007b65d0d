//! Many jobs and much data: nothing is lost, nothing is doubled, and memory stays flat.
//!
//! The sizes are those of a test run; `COFFERDAM_JOBS=1000000` and `COFFERDAM_INPUT_MIB=1024` make a
//! day's work of them.

mod common;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cofferdam::{ByteSize, Isolation, Job, Pool};

use common::{Host, Numbers, PATIENCE, builder, command, embedded, handle};

/// The tests of this file look at the memory of their process, so one runs at a time.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wish(variable: &str, usual: u64) -> u64 {
    let wish = std::env::var(variable).ok();
    wish.map_or(usual, |wish| {
        wish.parse()
            .unwrap_or_else(|_| panic!("{variable} is a number, not {wish:?}"))
    })
}

/// Bytes of this process that are in memory, as `proc_pid_statm(5)` tells.
fn resident() -> ByteSize {
    let statm = fs::read_to_string("/proc/self/statm").expect("/proc is mounted");
    let pages: u64 = statm
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .expect("the second field is a number");
    ByteSize::from_bytes(pages * rustix::param::page_size() as u64)
}

/// The most that a process had in memory so far, as `proc_pid_status(5)` tells.
fn peak_of(pid: u32) -> ByteSize {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it still runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    ByteSize::from_kib(kib.expect("a number of KiB"))
}

fn pool(guest: &cofferdam::Guest, isolation: Isolation) -> Pool {
    builder(guest, isolation)
        .workers(2)
        .queue(64)
        .seed(Some(1))
        .build()
        .expect("the pool is built")
}

/// Hands in so many jobs, never more than a few ahead, and gives their outputs to `check` in order.
fn through(
    pool: &Pool,
    count: u64,
    input: impl Fn(u64) -> Vec<u8>,
    mut check: impl FnMut(u64, &[u8]),
) {
    let mut waiting = std::collections::VecDeque::new();
    for number in 0..count + 64 {
        if number < count {
            waiting.push_back(
                pool.submit(Job::new(input(number)))
                    .expect("the job is taken"),
            );
        }
        if number >= 64 {
            let ticket = waiting.pop_front().expect("one for each job");
            let completion = ticket.wait_for(PATIENCE).expect("it ends");
            let output = completion.result.expect("its worker lives").output;
            check(number - 64, &output);
        }
    }
    assert!(waiting.is_empty());
}

/// Between nothing and two kilobytes of something.
fn some_bytes(number: u64) -> Vec<u8> {
    let mut numbers = Numbers(number);
    let length = numbers.below(2000);
    let mut byte = || u8::try_from(numbers.below(256)).expect("below 256");
    (0..length).map(|_| byte()).collect()
}

#[test]
fn ten_thousand_digests_are_complete_in_order_and_alike_in_both_isolations() {
    use sha2::{Digest, Sha256};
    let _alone = alone();
    const JOBS: u64 = 10_000;
    for isolation in Isolation::ALL {
        let pool = pool(&embedded("sha256"), isolation);
        let mut checked = 0;
        through(&pool, JOBS, some_bytes, |number, output| {
            let digest = cofferdam::units::hex(&Sha256::digest(some_bytes(number)));
            assert_eq!(output, digest.as_bytes(), "{isolation}: job {number}");
            checked += 1;
        });
        assert_eq!(checked, JOBS);
        let health = pool.drain();
        assert_eq!((health.answered, health.died), (JOBS, 0), "{isolation}");
    }
}

#[test]
fn two_thousand_seeded_jobs_draw_the_same_lots_in_both_isolations() {
    let _alone = alone();
    let guest = handle(
        "(call $random (i32.const 0) (i32.const 32)) (i64.store (i32.const 32) (call $clock))
         (call $output_write (i32.const 0) (i32.const 40)) (i32.const 0)",
    );
    let lots = Isolation::ALL.map(|isolation| {
        let mut lots = Vec::new();
        let pool = pool(&guest, isolation);
        through(
            &pool,
            2000,
            |_| Vec::new(),
            |_, output| lots.push(output.to_vec()),
        );
        lots
    });
    assert!(lots[0] == lots[1]);
    let distinct: std::collections::HashSet<_> = lots[0].iter().collect();
    assert_eq!(distinct.len(), 2000);
}

#[test]
fn the_hosts_memory_stays_flat_over_many_jobs() {
    let _alone = alone();
    let jobs = wish("COFFERDAM_JOBS", 20_000);
    let input = |number| vec![b'x'; usize::try_from(number % 3000).expect("small")];
    for isolation in Isolation::ALL {
        let pool = pool(&embedded("echo"), isolation);
        let mut bytes = 0;
        let mut check = |_, output: &[u8]| bytes += output.len() as u64;
        through(&pool, jobs / 4, input, &mut check);
        let before = resident();
        through(&pool, jobs - jobs / 4, input, &mut check);
        let after = resident();
        let sum = |jobs: u64| (0..jobs).map(|number| number % 3000).sum::<u64>();
        assert_eq!(bytes, sum(jobs / 4) + sum(jobs - jobs / 4));
        let growth = after.bytes().saturating_sub(before.bytes());
        assert!(
            growth < ByteSize::from_mib(4).bytes(),
            "{isolation}: {before} became {after}"
        );
    }
}

#[test]
fn a_long_stream_of_lines_passes_through_in_bounded_memory() {
    let _alone = alone();
    let mib = wish("COFFERDAM_INPUT_MIB", 64);
    // Lines of 1 KiB each, and each of another kind.
    let line = |number: u64| {
        let mut line = format!("{number} ").into_bytes();
        line.resize(1023, b'a' + u8::try_from(number % 26).expect("below 26"));
        line.push(b'\n');
        line
    };
    let lines = mib * 1024;
    for isolation in ["thread", "process"] {
        let mut command = command([
            "run",
            "--workers",
            "2",
            "--isolation",
            isolation,
            "--lines",
            "-",
            "@echo",
        ]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut host = Host::spawn_keeping_stdout(command);
        let mut stdin = host.stdin();
        let (finish, finished) = crossbeam_channel::bounded::<()>(0);
        let feeder = std::thread::spawn(move || {
            for number in 0..lines {
                stdin.write_all(&line(number)).expect("it reads");
            }
            // Its peak can be read only while it runs, and it runs while its input is open.
            let _ = finished.recv();
        });
        let mut stdout = BufReader::new(host.stdout());
        let mut reply = Vec::new();
        for number in 0..lines {
            reply.clear();
            stdout
                .read_until(b'\n', &mut reply)
                .expect("a pipe can be read");
            assert!(reply == line(number), "{isolation}: line {number}");
        }
        let peak = peak_of(host.pid());
        drop(finish);
        feeder.join().expect("it feeds");
        assert_eq!(host.end().exits_with(0).stderr, "");
        assert!(peak < ByteSize::from_mib(200), "{isolation}: {peak}");
    }
}

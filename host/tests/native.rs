//! Native commands: pooled, limited and supervised like guests, and ended with all that they have started.

mod common;

use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use cofferdam::{
    BuildError, ByteSize, Death, Hardening, Isolation, Job, Limits, Lost, Native, NativeError,
    Outcome, Pool,
};

use common::{COFFERDAM, MS, PATIENCE, complete, limits, reply};

fn pool(command: Native, limits: Limits) -> Pool {
    let builder = Pool::native(command).limits(limits);
    builder.build().expect("the pool is built")
}

fn script(text: &str) -> Pool {
    pool(Native::shell(text), Limits::default())
}

#[test]
fn input_output_and_lines_go_as_they_do_for_a_command_of_wasi() {
    let lines = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&lines);
    let job =
        Job::new("quiet").on_log(move |_, _, line| heard.lock().unwrap().push(line.to_owned()));
    let pool = script("tr a-z A-Z; echo one >&2; printf two >&2");
    let reply = reply(&pool, job);
    assert_eq!(reply.outcome, Outcome::Output);
    assert_eq!(reply.output, b"QUIET");
    assert_eq!(*lines.lock().unwrap(), ["one", "two"]);
}

#[test]
fn arguments_stand_as_they_are_and_no_shell_sees_them() {
    let command = Native::new("printf").args(["%s|", "$HOME", "a  b", ";", "*"]);
    let reply = reply(&pool(command, Limits::default()), Job::new(""));
    assert_eq!(reply.output, b"$HOME|a  b|;|*|");
}

#[test]
fn its_environment_is_what_it_was_given() {
    let command = Native::new("env").env("GIVEN", "yes");
    let reply = reply(&pool(command, Limits::default()), Job::new(""));
    let text = String::from_utf8(reply.output).unwrap();
    let names: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split_once('=').map(|(name, _)| name))
        .collect();
    assert_eq!(names, ["GIVEN", "PATH"], "{text}");
}

#[test]
fn much_goes_both_ways_at_once() {
    let input: Vec<u8> = (0..3_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    let reply = reply(
        &pool(Native::new("cat"), Limits::default()),
        Job::new(input.clone()),
    );
    assert!(reply.output == input);
}

#[test]
fn one_that_closes_its_outputs_is_given_all_of_its_input() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("kept");
    let text = format!("exec >&- 2>&-; cat > {}", file.display());
    let input = vec![7; 1 << 20];
    let reply = reply(&script(&text), Job::new(input.clone()));
    assert_eq!(reply.outcome, Outcome::Output);
    assert!(std::fs::read(file).unwrap() == input);
}

#[test]
fn input_that_nobody_reads_is_no_error() {
    let reply = reply(
        &pool(Native::new("true"), Limits::default()),
        Job::new(vec![0; 1 << 20]),
    );
    assert_eq!(reply.outcome, Outcome::Output);
}

#[test]
fn an_exit_code_is_an_outcome_and_a_signal_is_a_death() {
    let left = reply(&script("echo said; exit 7"), Job::new(""));
    assert_eq!(left.outcome, Outcome::Exited(7));
    assert_eq!(left.output, b"said\n");
    let killed = complete(&script("kill -SEGV $$"), Job::new(""));
    let death = killed.result.expect_err("it died");
    assert!(
        matches!(death, Lost::Worker(Death::Signalled(11))),
        "{death:?}"
    );
}

#[test]
fn at_the_deadline_all_that_it_has_started_ends() {
    let marks = tempfile::tempdir().unwrap();
    let mark = marks.path().join("alive");
    // The one in the background would write its mark, had it the time.
    let text = format!("(sleep 2; echo alive > {}) & sleep 60", mark.display());
    let began = Instant::now();
    let pool = pool(Native::shell(text), limits(Some(MS(300))));
    assert_eq!(reply(&pool, Job::new("")).outcome, Outcome::Deadline);
    assert!(began.elapsed() < PATIENCE);
    // The pool lives on.
    assert_eq!(reply(&pool, Job::new("")).outcome, Outcome::Deadline);
    std::thread::sleep(MS(2500));
    assert!(!mark.exists(), "it lived on");
}

#[test]
fn what_is_left_in_the_background_ends_with_the_job() {
    let marks = tempfile::tempdir().unwrap();
    let mark = marks.path().join("alive");
    let text = format!("(sleep 1; echo alive > {}) & echo done", mark.display());
    let reply = reply(&script(&text), Job::new(""));
    assert_eq!(
        (reply.outcome, reply.output.as_slice()),
        (Outcome::Output, &b"done\n"[..])
    );
    std::thread::sleep(MS(1500));
    assert!(!mark.exists(), "it lived on");
}

#[test]
fn whoever_leaves_the_group_does_not_hold_up_the_reply() {
    let began = Instant::now();
    let reply = reply(&script("setsid sleep 20 & echo done"), Job::new(""));
    assert_eq!(reply.output, b"done\n");
    assert!(began.elapsed() < MS(15_000), "{:?}", began.elapsed());
}

#[test]
fn output_and_memory_are_bounded() {
    let small = Limits {
        output: ByteSize::from_kib(1),
        ..Limits::default()
    };
    let flood = reply(&pool(Native::new("yes"), small), Job::new(""));
    assert_eq!(flood.outcome, Outcome::OutputLimit);
    assert_eq!(flood.output.len(), 1024);
    let just = reply(
        &pool(Native::shell("head -c 1024 /dev/zero"), small),
        Job::new(""),
    );
    assert_eq!(just.outcome, Outcome::Output);
    let little = Limits {
        memory: ByteSize::from_mib(16),
        ..Limits::default()
    };
    // `dd` has a buffer of one block.
    let text = "dd if=/dev/zero of=/dev/null bs=64M count=1 2> /dev/null && echo fits; ulimit -d";
    for (limits, expected) in [(little, "16384\n"), (Limits::default(), "fits\n262144\n")] {
        let said = reply(&pool(Native::shell(text), limits), Job::new("")).output;
        assert_eq!(String::from_utf8_lossy(&said), expected, "the bound in KiB");
    }
}

#[test]
fn nothing_of_the_host_is_open_but_the_standard_streams() {
    // Left open on purpose, as an embedder's library may.
    let file = std::fs::File::open("/dev/null").unwrap();
    rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::empty()).unwrap();
    let reply = reply(&script("ls /proc/self/fd | wc -l"), Job::new(""));
    // The three, and that of `ls` itself.
    assert_eq!(String::from_utf8_lossy(&reply.output).trim(), "4");
}

#[test]
fn no_rights_are_gained_by_executing() {
    let reply = reply(
        &pool(
            Native::new("cat").args(["/proc/self/status"]),
            Limits::default(),
        ),
        Job::new(""),
    );
    let status = String::from_utf8(reply.output).unwrap();
    assert!(status.contains("NoNewPrivs:\t1"), "{status}");
}

#[test]
fn many_jobs_leave_nothing_behind() {
    let pool = Pool::native(Native::new("cat")).workers(2).build().unwrap();
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let round = |from: u32| {
        let jobs = (from..from + 50).map(|n| Job::new(n.to_string()));
        let tickets: Vec<_> = jobs.map(|job| pool.submit(job).unwrap()).collect();
        for (n, ticket) in (from..).zip(tickets) {
            let output = ticket.wait().result.unwrap().output;
            assert_eq!(output, n.to_string().into_bytes());
        }
    };
    round(0);
    let before = descriptors();
    round(50);
    // Other tests of this program open some as well.
    assert!(descriptors() < before + 50);
}

#[test]
fn where_it_cannot_be_is_told_with_the_way_out() {
    let thread = Pool::native(Native::new("true")).isolation(Isolation::Thread);
    let error = thread.build().map(|_| ()).unwrap_err();
    assert!(matches!(error, BuildError::NativeInThread), "{error}");
    assert!(error.to_string().contains("wasm32-wasip1"), "{error}");
    let required = Pool::native(Native::new("true")).hardening(Hardening::Required);
    let error = required.build().map(|_| ()).unwrap_err();
    assert!(matches!(error, BuildError::NativeHardened), "{error}");
    let nowhere = Pool::native(Native::new("no-such-program")).build();
    let error = nowhere.map(|_| ()).unwrap_err();
    assert!(
        matches!(error, BuildError::Native(NativeError::NotFound(_))),
        "{error}"
    );
}

fn run(args: &[&str]) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(COFFERDAM)
        .arg("run")
        .args(args)
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (status.code().unwrap(), text(stdout), text(stderr))
}

#[test]
fn the_command_line_passes_codes_through_and_refuses_with_reasons() {
    let (code, out, err) = run(&[
        "--native",
        "--",
        "sh",
        "-c",
        "echo out; echo err >&2; exit 9",
    ]);
    assert_eq!((code, out.as_str(), err.as_str()), (9, "out\n", "err\n"));
    let (code, out, _) = run(&["--native", "--shell", "--", "echo a b | wc -w"]);
    assert_eq!((code, out.trim()), (0, "2"));
    for (args, expected, hint) in [
        (
            &["--isolation", "thread", "--native", "--", "ls"][..],
            2,
            "wasm32-wasip1",
        ),
        (
            &["--hardening", "required", "--native", "--", "ls"],
            2,
            "has your rights",
        ),
        (&["--native"], 2, "give the command after `--`"),
        (
            &["--native", "--shell", "--", "ls", "-l"],
            2,
            "one word, the whole script",
        ),
        (&["--native", "--fuel", "5", "--", "ls"], 2, "--fuel"),
        (&["--native", "--", "no-such-program"], 127, "PATH"),
        (&["--native", "--", "/etc/passwd"], 126, "/etc/passwd"),
        (
            &["--native", "--timeout", "200ms", "--", "sleep", "60"],
            124,
            "deadline",
        ),
    ] {
        let (code, _, err) = run(args);
        assert_eq!(code, expected, "{args:?}: {err}");
        assert!(err.contains(hint), "{args:?}: {err}");
    }
}

#[test]
fn a_killed_host_takes_its_command_with_it() {
    let marks = tempfile::tempdir().unwrap();
    let (begun, lived) = (marks.path().join("begun"), marks.path().join("lived"));
    let text = format!(
        "echo > {}; sleep 2; echo > {}",
        begun.display(),
        lived.display()
    );
    let mut host = Command::new(COFFERDAM)
        .args(["run", "--native", "--shell", "--", &text])
        .spawn()
        .unwrap();
    let until = Instant::now() + PATIENCE;
    while !begun.exists() {
        assert!(Instant::now() < until, "it never began");
        std::thread::sleep(MS(5));
    }
    host.kill().unwrap();
    host.wait().unwrap();
    std::thread::sleep(MS(2500));
    assert!(!lived.exists(), "the shell outlived its host");
}

//! `cofferdam check`: a planted bug of each sort is found, and a guest without one passes without noise.

mod common;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use common::{Ended, command};

/// A folder with a guest and a manifest, in which `check` is run.
struct Project(TempDir);

impl Project {
    fn new(guest: &str, manifest: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("guest.wat"), guest).expect("a file");
        let manifest = format!("guest = \"guest.wat\"\n{manifest}");
        fs::write(folder.path().join("cofferdam.toml"), manifest).expect("a file");
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn check(&self, arguments: &[&str]) -> Ended {
        let mut command = command(["check"]);
        command.args(arguments).current_dir(self.0.path());
        ended(command)
    }
}

/// A guest of interface 1 whose `handle` does this.
fn guest(body: &str) -> String {
    format!(
        r#"(module
        (import "cofferdam" "input_len" (func $input_len (result i32)))
        (import "cofferdam" "input_read" (func $input_read (param i32 i32 i32) (result i32)))
        (import "cofferdam" "output_write" (func $output_write (param i32 i32)))
        (import "cofferdam" "random" (func $random (param i32 i32)))
        (memory (export "memory") 1 16)
        (global $count (mut i32) (i32.const 0))
        (func (export "cofferdam_abi_1"))
        {body})"#
    )
}

/// Replies with its input.
fn echo(before: &str) -> String {
    guest(&format!(
        r#"(func (export "handle") (result i32)
            {before}
            (drop (call $input_read (i32.const 1024) (i32.const 0) (call $input_len)))
            (call $output_write (i32.const 1024) (call $input_len))
            (i32.const 0))"#
    ))
}

/// Runs a command to its end.
fn ended(mut command: Command) -> Ended {
    let output = command.output().expect("it can be started");
    Ended {
        status: output.status,
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

const TWO_CASES: &str = r#"
[[case]]
name = "one"
input = "uno"
output = "uno"
[[case]]
name = "two"
input = "dos"
"#;

fn stdout(ended: &Ended) -> String {
    String::from_utf8(ended.stdout.clone()).expect("text")
}

/// Small, so that the suite is quick: what is planted shows at once.
const QUICK: [&str; 4] = ["--calls", "20", "--random", "8"];

#[test]
fn a_guest_without_a_bug_passes_without_noise() {
    // A large input does not fit its memory: it says so, the same way everywhere.
    let sound =
        echo("(if (i32.gt_u (call $input_len) (i32.const 60000)) (then (return (i32.const 1))))");
    let project = Project::new(&sound, TWO_CASES);
    let ended = project.check(&["--calls", "50"]).exits_with(0);
    assert_eq!(ended.stderr, "");
    let told = stdout(&ended);
    assert!(
        told.contains("ok    one") && told.contains("ok    two"),
        "{told}"
    );
    assert!(
        told.contains("random inputs  50 in both isolations"),
        "{told}"
    );
    assert!(told.ends_with("2 cases: 2 well, 0 not\n"), "{told}");
}

#[test]
fn state_that_leaks_from_one_call_to_the_next_is_found() {
    let leak = echo(
        "(global.set $count (i32.add (global.get $count) (i32.const 1)))
        (if (i32.gt_u (global.get $count) (i32.const 5)) (then (return (i32.const 3))))",
    );
    let project = Project::new(&leak, TWO_CASES);
    let told = stdout(&project.check(&QUICK).exits_with(100));
    assert!(told.contains("in a thread, reused, call 6:"), "{told}");
    assert!(told.contains("in a process, reused, call 6:"), "{told}");
    assert!(told.contains("leaves something behind"), "{told}");
    assert!(
        told.contains("-done") && told.contains("+the guest refused with code 3"),
        "{told}"
    );
    assert!(
        told.contains("cofferdam run --isolation thread --instance reused --workers 1 --repeat 6 --input 'uno' guest.wat"),
        "{told}"
    );
}

#[test]
fn state_that_one_case_leaves_to_another_is_found() {
    // `dos` makes every later `uno` fail, and nothing else shows.
    let leak = guest(
        r#"(func (export "handle") (result i32)
            (drop (call $input_read (i32.const 1024) (i32.const 0) (i32.const 3)))
            (if (i32.eq (i32.load8_u (i32.const 1024)) (i32.const 100))
                (then (global.set $count (i32.const 1)))
                (else (if (global.get $count) (then (return (i32.const 3))))))
            (call $output_write (i32.const 1024) (call $input_len))
            (i32.const 0))"#,
    );
    let project = Project::new(&leak, TWO_CASES);
    let told = stdout(
        &project
            .check(&["--calls", "20", "--random", "0"])
            .exits_with(100),
    );
    assert!(
        told.contains("FAIL  one") && told.contains("ok    two"),
        "{told}"
    );
    assert!(
        told.contains("case `two` leaves something behind")
            || told.contains("others run beside it"),
        "{told}"
    );
}

#[test]
fn what_is_not_deterministic_is_found_with_what_decides() {
    let random = guest(
        r#"(func (export "handle") (result i32)
            (call $random (i32.const 0) (i32.const 8))
            (call $output_write (i32.const 0) (i32.const 8))
            (i32.const 0))"#,
    );
    let project = Project::new(&random, "[[case]]\nname = \"draw\"\n");
    let told = stdout(&project.check(&QUICK).exits_with(100));
    assert_eq!(told.matches("it is not deterministic").count(), 1, "{told}");
    assert!(
        told.contains("its random bytes or its clock decide"),
        "{told}"
    );
    let seeded = Project::new(&random, "seed = 7\n[[case]]\nname = \"draw\"\n");
    seeded.check(&QUICK).exits_with(0);
}

#[test]
fn a_difference_between_the_isolations_is_found() {
    // Goes so deep that the stack is enough in a process, whose frames are smaller, and not in a thread.
    let deep = |depth: u32| {
        guest(&format!(
            r#"(func $down (param i32) (result i32)
                (if (result i32) (i32.eqz (local.get 0))
                    (then (i32.const 0))
                    (else (i32.add (i32.const 1) (call $down (i32.sub (local.get 0) (i32.const 1)))))))
            (func (export "handle") (result i32)
                (drop (call $down (i32.const {depth}))) (i32.const 0))"#
        ))
    };
    let outcome = |depth: u32, isolation: &str| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep.wat");
        fs::write(&path, deep(depth)).unwrap();
        let path = path.to_str().unwrap().to_owned();
        let ended = ended(command([
            "run",
            "--isolation",
            isolation,
            "--compile",
            "inline",
            &path,
        ]));
        ended.code() == 0
    };
    // The depth at which a thread fails.
    let (mut well, mut fails) = (1000, 100_000);
    assert!(outcome(well, "thread") && !outcome(fails, "thread"));
    while fails - well > 1 {
        let middle = well.midpoint(fails);
        match outcome(middle, "thread") {
            true => well = middle,
            false => fails = middle,
        }
    }
    assert!(
        outcome(fails + 10, "process"),
        "frames are as large without checks"
    );
    let project = Project::new(
        &deep(fails + 10),
        "[[case]]\nname = \"deep\"\noutput = \"\"\n",
    );
    let told = stdout(&project.check(&QUICK).exits_with(100));
    assert!(
        told.contains("the isolations differ: in a thread (-), in a process (+)"),
        "{told}"
    );
    assert!(
        told.contains("-the guest trapped (call stack exhausted)"),
        "{told}"
    );
}

#[test]
fn a_guest_that_breaks_on_an_input_that_nobody_thought_of_is_found() {
    // It reads to a place that a large input does not fit.
    let project = Project::new(&echo(""), TWO_CASES);
    let told = stdout(&project.check(&QUICK).exits_with(100));
    assert!(told.contains("FAIL  random inputs"), "{told}");
    assert!(told.contains("random input 1 of seed 1"), "{told}");
    assert!(told.contains("input_read was given"), "{told}");
}

/// Says `t` if it could have eleven pages, else `f`; it never takes more.
fn adapts() -> String {
    guest(
        r#"(func (export "handle") (result i32)
            (i32.store8 (i32.const 0) (i32.const 116))
            (if (i32.lt_u (memory.size) (i32.const 11))
                (then (if (i32.eq (memory.grow (i32.const 10)) (i32.const -1))
                    (then (i32.store8 (i32.const 0) (i32.const 102))))))
            (call $output_write (i32.const 0) (i32.const 1))
            (i32.const 0))"#,
    )
}

#[test]
fn a_limit_that_changes_the_answer_in_silence_is_found() {
    let project = Project::new(
        &adapts(),
        "[[case]]\nname = \"small\"\nmemory = \"512KiB\"\n",
    );
    let arguments = ["--calls", "2", "--random", "0"];
    let told = stdout(&project.check(&arguments).exits_with(100));
    assert!(told.contains("first call under wide limits:"), "{told}");
    assert!(told.contains("-f") && told.contains("+t"), "{told}");
}

#[test]
fn a_limit_that_suffices_or_that_the_outcome_tells_is_no_finding() {
    let arguments = ["--calls", "2", "--random", "0"];
    let manifest = "[[case]]\nname = \"large\"\noutput = \"t\"\ndepends_on_limits = true\n";
    Project::new(&adapts(), manifest)
        .check(&arguments)
        .exits_with(0);
    let manifest = "[[case]]\nname = \"too long\"\ninput = \"abc\"\nmax_output = \"2B\"\noutcome = \"output-limit\"\n";
    Project::new(&echo(""), manifest)
        .check(&arguments)
        .exits_with(0);
}

#[test]
fn every_expectation_that_is_missed_is_told_with_both_sides() {
    let cases = r#"
[[case]]
name = "exact"
input = "seen\nsame"
output = "wanted\nsame"
[[case]]
name = "json"
input = "{\"a\": 1}"
output_json = '{"a": 2}'
[[case]]
name = "regex"
input = "abc"
output_regex = "^[0-9]+$"
[[case]]
name = "outcome"
input = "abc"
outcome = "refused"
code = 4
"#;
    let project = Project::new(&echo(""), cases);
    let ended = project
        .check(&["--random", "0", "--calls", "2", "--format", "json"])
        .exits_with(100);
    let found: Value = serde_json::from_slice(&ended.stdout).unwrap();
    let what = |case: usize| {
        found["cases"][case]["findings"][0]["what"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(what(0), "the output differs\n-wanted\n+seen\n same");
    assert!(
        what(1).contains("another value") && what(1).contains("\"a\": 2"),
        "{}",
        what(1)
    );
    assert!(what(2).contains("does not match `^[0-9]+$`"), "{}", what(2));
    assert!(
        what(3).contains("to be refused, and is output"),
        "{}",
        what(3)
    );
    for case in 0..4 {
        assert_eq!(found["cases"][case]["ok"], false);
    }
}

#[test]
fn a_command_is_checked_with_its_exit_code_and_its_arguments() {
    let exits = r#"(module
        (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1)
        (func (export "_start")
            (drop (call $sizes (i32.const 0) (i32.const 4)))
            (call $exit (i32.load (i32.const 0)))))"#;
    let manifest =
        "args = [\"a\", \"b\"]\n[[case]]\nname = \"counts\"\noutcome = \"exited\"\ncode = 3\n";
    let told = stdout(&Project::new(exits, manifest).check(&QUICK).exits_with(0));
    assert!(told.contains("a WASI preview 1 command"), "{told}");
}

#[test]
fn a_function_that_refuses_what_are_no_numbers_passes() {
    let add = r#"(module (func (export "add") (param i32) (result i32) (i32.add (local.get 0) (i32.const 1))))"#;
    let manifest = "invoke = \"add\"\n[[case]]\nname = \"adds\"\ninput = \"4\"\noutput = \"5\"\n";
    let told = stdout(&Project::new(add, manifest).check(&QUICK).exits_with(0));
    assert!(told.contains("8 in both isolations"), "{told}");
}

#[test]
fn update_leaves_what_it_cannot_mend() {
    let manifest =
        "[[case]]\nname = \"one\"\ninput = \"uno\"\noutput = \"old\"\nposts = [\"never\"]\n";
    let project = Project::new(&echo(""), manifest);
    let arguments = ["--calls", "2", "--random", "0", "--update"];
    let told = stdout(&project.check(&arguments).exits_with(100));
    assert!(told.contains("one: cannot be written anew"), "{told}");
    let after = fs::read_to_string(project.path("cofferdam.toml")).unwrap();
    assert!(after.contains("output = \"old\""), "{after}");
}

#[test]
fn update_writes_what_was_seen_and_shows_it_and_then_all_is_well() {
    let project = Project::new(
        &echo(""),
        "# a comment stays\n[[case]]\nname = \"one\"\ninput = \"uno\"\noutput = \"old\"\n",
    );
    fs::create_dir(project.path("cases")).unwrap();
    fs::write(project.path("cases/two.in"), "dos").unwrap();
    let quick = ["--calls", "2", "--random", "0"];
    project.check(&quick).exits_with(100);
    let told = stdout(
        &project
            .check(&[&quick[..], &["--update"]].concat())
            .exits_with(0),
    );
    assert!(
        told.contains("-old\n+uno") && told.contains("two: written anew\n+dos"),
        "{told}"
    );
    let manifest = fs::read_to_string(project.path("cofferdam.toml")).unwrap();
    assert!(
        manifest.contains("# a comment stays") && manifest.contains("output = \"uno\""),
        "{manifest}"
    );
    assert_eq!(fs::read(project.path("cases/two.out")).unwrap(), b"dos");
    project.check(&quick).exits_with(0);
}

#[test]
fn formats_are_those_of_their_tools() {
    let project = Project::new(
        &echo(""),
        "[[case]]\nname = \"a, b: 1\"\ninput = \"x\"\noutput = \"y\"\n",
    );
    let of = |format| {
        let arguments = ["--calls", "2", "--random", "0", "--format", format];
        stdout(&project.check(&arguments).exits_with(100))
    };
    assert!(
        of("tap").starts_with("TAP version 14\n1..1\nnot ok 1 - a, b: 1\n# in a thread, fresh")
    );
    let junit = of("junit");
    assert!(
        junit.contains(r#"failures="1""#) && junit.contains(r#"<testcase name="a, b: 1""#),
        "{junit}"
    );
    assert!(of("github").starts_with("::error title=a%2C b%3A 1::in a thread, fresh"));
}

#[test]
fn what_cannot_be_checked_is_told_with_the_way_out() {
    let project = Project::new(&echo(""), TWO_CASES);
    project
        .check(&["--filter", "nobody"])
        .exits_with(4)
        .says("--list shows them");
    assert_eq!(
        stdout(&project.check(&["--list"]).exits_with(0)),
        "one\ntwo\n"
    );
    project
        .check(&["no/such.wasm"])
        .exits_with(127)
        .says("no guest at");
    project
        .check(&["--manifest", "no/such.toml"])
        .exits_with(127)
        .says("no/such.toml");
    for (manifest, says) in [
        ("[[case]]\nname = \"a\"\nouput = \"b\"\n", "ouput"),
        (
            "[[case]]\nname = \"a\"\n[[case]]\nname = \"a\"\n",
            "another one has this name",
        ),
        (
            "[[case]]\nname = \"a\"\noutcome = \"happy\"\n",
            "there are output, refused",
        ),
        ("[[case]]\nname = \"a\"\ncode = 2\n", "`code` goes with"),
        ("[[case]]\nname = \"a\"\ntimeout = \"5\"\n", "timeout"),
        (
            "[[case]]\nname = \"a\"\noutput = \"\"\noutput_regex = \"(\"\n",
            "give one of",
        ),
        (
            "invoke = \"f\"\npacked = \"g\"\n[[case]]\nname = \"a\"\n",
            "exclude each other",
        ),
    ] {
        Project::new(&echo(""), manifest)
            .check(&[])
            .exits_with(2)
            .says(says);
    }
    let empty = tempfile::tempdir().unwrap();
    let mut command = command(["check"]);
    command.current_dir(empty.path());
    ended(command).exits_with(2).says("no guest is named");
}

#[test]
fn a_guest_that_answers_otherwise_with_less_memory_is_found() {
    let project = Project::new(&adapts(), "[[case]]\nname = \"large\"\noutput = \"t\"\n");
    let arguments = ["--calls", "2", "--random", "0"];
    let told = stdout(&project.check(&arguments).exits_with(100));
    assert!(
        told.contains("in a thread, fresh, first call with a page of memory less than it took:"),
        "{told}"
    );
    assert!(told.contains("-t") && told.contains("+f"), "{told}");
}

#[test]
fn a_guest_that_says_that_it_was_denied_memory_passes() {
    // It needs ten pages more, and refuses or traps without them.
    for denied in ["(return (i32.const 7))", "(unreachable)"] {
        let guest = echo(&format!(
            "(if (i32.lt_u (memory.size) (i32.const 11))
                (then (if (i32.eq (memory.grow (i32.const 10)) (i32.const -1)) (then {denied}))))"
        ));
        let project = Project::new(&guest, TWO_CASES);
        project
            .check(&["--calls", "2", "--random", "0"])
            .exits_with(0);
    }
}

#[test]
fn memory_that_grows_with_the_calls_is_found() {
    // A page every fourth call, up to sixteen: the limit of the module, long after what is looked at.
    let leaks = echo(
        "(global.set $count (i32.add (global.get $count) (i32.const 1)))
        (if (i32.eqz (i32.and (global.get $count) (i32.const 3))) (then (drop (memory.grow (i32.const 1)))))",
    );
    let project = Project::new(&leaks, TWO_CASES);
    let arguments = ["--calls", "12", "--random", "0"];
    let told = stdout(&project.check(&arguments).exits_with(100));
    assert!(told.contains("in a thread, reused, call 48:"), "{told}");
    assert!(
        told.contains("does not come to an end: 64 KiB after call 1, "),
        "{told}"
    );
    // One that warms up does not.
    let warms_up = leaks.replace(
        "(then (drop (memory.grow (i32.const 1))))",
        "(then (if (i32.lt_u (memory.size) (i32.const 4)) (then (drop (memory.grow (i32.const 1))))))",
    );
    assert_ne!(leaks, warms_up);
    Project::new(&warms_up, TWO_CASES)
        .check(&arguments)
        .exits_with(0);
}

#[test]
fn memory_that_grows_up_to_the_limit_is_called_growth_too() {
    let leaks =
        echo("(if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then (unreachable)))");
    let leaks = leaks.replace("1 16)", "1)");
    let manifest = "[[case]]\nname = \"one\"\nmemory = \"1MiB\"\n";
    let project = Project::new(&leaks, manifest);
    let told = stdout(&project.check(&QUICK).exits_with(100));
    assert!(told.contains("in a thread, reused, call 16:"), "{told}");
    assert!(told.contains("grows with the calls"), "{told}");
    assert!(
        told.contains("up to the limit: 128 KiB after call 1,"),
        "{told}"
    );
}

#[test]
fn what_a_stopped_call_leaves_behind_is_found() {
    // A command that counts its runs in a file, and takes its time to write it back: the number is lost where it is
    // stopped, and what is printed after that is another.
    let command = r#"(module
        (import "wasi_snapshot_preview1" "path_open" (func $open
            (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
        (memory (export "memory") 1)
        (data (i32.const 64) "mark")
        (data (i32.const 80) "first\n")
        (data (i32.const 96) "again\n")
        (func (export "_start") (local $count i64)
            (i32.store (i32.const 0) (i32.const 80)) (i32.store (i32.const 4) (i32.const 6))
            ;; O_CREAT | O_EXCL: it is made, and taken away again below, unless somebody was stopped in between.
            (if (i32.ne (call $open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 4) (i32.const 5)
                    (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 16)) (i32.const 0))
                (then (i32.store (i32.const 0) (i32.const 96))))
            (loop $wait
                (local.set $count (i64.add (local.get $count) (i64.const 1)))
                (br_if $wait (i64.lt_u (local.get $count) (i64.const 200000000))))
            (drop (call $unlink (i32.const 3) (i32.const 64) (i32.const 4)))
            (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))))"#;
    let command = command.replace(
        "(memory (export",
        r#"(import "wasi_snapshot_preview1" "path_unlink_file" (func $unlink (param i32 i32 i32) (result i32)))
        (memory (export"#,
    );
    let manifest = "dirs = [\"state::/state\"]\n[[case]]\nname = \"one\"\noutput = \"first\\n\"\n";
    let project = Project::new(&command, manifest);
    fs::create_dir(project.path("state")).expect("a folder");
    let told = stdout(
        &project
            .check(&["--calls", "2", "--random", "0", "--patience", "60s"])
            .exits_with(100),
    );
    assert!(
        told.contains("first call after a call that was stopped at its deadline"),
        "{told}"
    );
    assert!(told.contains("-first") && told.contains("+again"), "{told}");
}

#[test]
fn a_case_that_takes_more_than_it_took_once_is_found() {
    let busy = |rounds: u32| {
        echo(&format!(
            "(local $n i32) (loop $l (local.set $n (i32.add (local.get $n) (i32.const 1)))
                (br_if $l (i32.lt_u (local.get $n) (i32.const {rounds}))))"
        ))
    };
    let arguments = |more: &[&'static str]| {
        let mut all = vec!["--calls", "20", "--random", "0"];
        all.extend(more);
        all
    };
    let project = Project::new(&busy(1000), TWO_CASES);
    let saved = project.check(&arguments(&["--save-baseline", "base.json"]));
    assert!(saved.exits_with(0).stderr.contains("base.json"));
    let compare = arguments(&["--baseline", "base.json", "--max-time", "1000x"]);
    assert_eq!(project.check(&compare).exits_with(0).stderr, "");

    fs::write(project.path("guest.wat"), busy(2000)).expect("a file");
    let told = stdout(&project.check(&compare).exits_with(100));
    assert!(told.contains("against the baseline:"), "{told}");
    assert!(
        told.contains("2.00 times the work that it took: 8009 before, 16009 now"),
        "{told}"
    );
    assert!(
        told.contains("cofferdam check --filter one --baseline base.json"),
        "{told}"
    );
    let wide = arguments(&[
        "--baseline",
        "base.json",
        "--max-time",
        "1000x",
        "--max-work",
        "2.5x",
    ]);
    project.check(&wide).exits_with(0);

    fs::write(
        project.path("guest.wat"),
        busy(1000).replace("1 16)", "3 16)"),
    )
    .expect("a file");
    let told = stdout(&project.check(&compare).exits_with(100));
    assert!(
        told.contains("3.00 times the memory that it took: 64 KiB before, 192 KiB now"),
        "{told}"
    );
    // What is not well is no baseline.
    let manifest = format!(
        "guest = \"guest.wat\"\n{}",
        TWO_CASES.replace("\"uno\"\noutput", "\"x\"\noutput")
    );
    fs::write(project.path("cofferdam.toml"), manifest).expect("a file");
    let refused = project.check(&arguments(&["--save-baseline", "other.json"]));
    assert!(refused.exits_with(100).stderr.contains("is not written"));
    assert!(!project.path("other.json").exists());
    let no_baseline = project
        .check(&["--baseline", "cofferdam.toml"])
        .exits_with(2);
    assert!(
        no_baseline.stderr.contains("it is no baseline"),
        "{}",
        no_baseline.stderr
    );
}

/// Replies with eight random bytes, a clock, and a message if one comes.
fn chancy() -> String {
    guest(
        r#"(func (export "handle") (result i32) (local $length i32)
            (call $random (i32.const 0) (i32.const 8))
            (i64.store (i32.const 8) (call $clock))
            (local.set $length (call $recv (i32.const 16) (i32.const 100) (i32.const 0)))
            (if (i32.lt_s (local.get $length) (i32.const 0)) (then (local.set $length (i32.const 0))))
            (call $post (i32.const 0) (i32.const 8))
            (call $output_write (i32.const 0) (i32.add (i32.const 16) (local.get $length)))
            (i32.const 0))"#,
    )
    .replace(
        "(memory (export",
        r#"(import "cofferdam" "clock" (func $clock (result i64)))
        (import "cofferdam" "recv" (func $recv (param i32 i32 i32) (result i32)))
        (import "cofferdam" "post" (func $post (param i32 i32)))
        (memory (export"#,
    )
}

#[test]
fn what_was_recorded_is_told_again_in_both_isolations() {
    let project = Project::new(
        &chancy(),
        "[[case]]\nname = \"dice\"\npost = [\"a message\"]\n",
    );
    // By itself it is something else each time.
    let told = stdout(&project.check(&QUICK).exits_with(100));
    assert!(told.contains("not deterministic"), "{told}");
    let told = stdout(&project.check(&["--record", "calls.jsonl"]).exits_with(0));
    assert_eq!(
        told,
        "1 case and 3 answers of the host are in calls.jsonl\n"
    );
    let record = fs::read_to_string(project.path("calls.jsonl")).expect("it was written");
    let calls: Vec<String> = record
        .lines()
        .skip(1)
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["call"].to_string())
        .collect();
    let expected = ["input", "random", "clock", "received", "posted", "ended"];
    assert_eq!(calls, expected.map(|call| format!("\"{call}\"")));
    let told = stdout(&project.check(&["--replay", "calls.jsonl"]).exits_with(0));
    assert!(told.contains("ok    dice"), "{told}");

    // A guest that asks for something else, or that answers otherwise, is found.
    let other = chancy().replace(
        "(i32.const 0) (i32.const 8))\n            (i64",
        "(i32.const 0) (i32.const 7))\n            (i64",
    );
    assert_ne!(other, chancy());
    fs::write(project.path("guest.wat"), other).expect("a file");
    let told = stdout(&project.check(&["--replay", "calls.jsonl"]).exits_with(100));
    assert!(
        told.contains(
            "replayed, the guest asks for random bytes, and the record has 8 random bytes"
        ),
        "{told}"
    );
    assert!(
        told.contains("cofferdam check --replay calls.jsonl --filter dice"),
        "{told}"
    );
    let other = chancy().replace("(i32.add (i32.const 16)", "(i32.add (i32.const 15)");
    fs::write(project.path("guest.wat"), other).expect("a file");
    let told = stdout(&project.check(&["--replay", "calls.jsonl"]).exits_with(100));
    assert!(told.contains("it says something else"), "{told}");
    let refused = project.check(&["--replay", "cofferdam.toml"]).exits_with(2);
    assert!(refused.stderr.contains("line 1:"), "{}", refused.stderr);
}

#[test]
fn ctrl_c_shows_what_there_is() {
    // Each of its cases takes as long as it may.
    let slow = echo("(loop $forever (br $forever))");
    let cases: String = (0..20)
        .map(|number| {
            format!("[[case]]\nname = \"{number}\"\noutcome = \"deadline\"\ntimeout = \"200ms\"\n")
        })
        .collect();
    let project = Project::new(&slow, &cases);
    let mut command = command(["check"]);
    command.current_dir(project.0.path());
    command.stdout(std::process::Stdio::piped());
    command.stderr(std::process::Stdio::piped());
    let child = command.spawn().expect("it can be started");
    std::thread::sleep(Duration::from_secs(3));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it lives");
    let output = child.wait_with_output().expect("it ends");
    let told = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{told}{said}");
    assert!(
        said.contains("stopped after ") && said.contains(" of 20 cases"),
        "{said}"
    );
}

#[test]
fn a_leak_that_meets_its_limit_late_is_growth_too() {
    // 300 pages are there, and 2000 calls want 4000: in the first thousand nothing is denied. One guest traps where it
    // is denied, the other one goes on.
    for denied in ["(unreachable)", "(nop)"] {
        let leaks = echo(&format!(
            "(global.set $count (i32.add (global.get $count) (i32.const 1)))
            (if (i32.eqz (i32.rem_u (global.get $count) (i32.const 4))) (then
                (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then {denied}))))"
        ))
        .replace("1 16)", "1)");
        // 20 calls and 5 pages of 16: the limit is met at call 60.
        let project = Project::new(&leaks, "[[case]]\nname = \"one\"\nmemory = \"1MiB\"\n");
        let told = stdout(
            &project
                .check(&["--calls", "20", "--random", "0"])
                .exits_with(100),
        );
        assert!(
            told.contains("up to the limit: 64 KiB after call 1, "),
            "{denied}: {told}"
        );
        assert!(
            told.contains("again: cofferdam check --filter one"),
            "{told}"
        );
    }
}

#[test]
fn a_guest_that_posts_more_than_is_kept_passes() {
    let many = guest(
        r#"(func (export "handle") (result i32) (local $count i32)
            (loop $more
                (call $post (i32.const 0) (i32.const 1))
                (local.set $count (i32.add (local.get $count) (i32.const 1)))
                (br_if $more (i32.lt_u (local.get $count) (i32.const 10100))))
            (i32.const 0))"#,
    )
    .replace(
        "(memory (export",
        r#"(import "cofferdam" "post" (func $post (param i32 i32)))
        (memory (export"#,
    );
    let project = Project::new(&many, "[[case]]\nname = \"many\"\n");
    project
        .check(&["--calls", "2", "--random", "0"])
        .exits_with(0);
}

#[test]
fn a_replayed_guest_that_asks_for_more_is_ended_with_what_it_asked() {
    // Waits until the clock says an even number of microseconds… or for ever.
    let polls = |limit: u32| {
        chancy().replace(
            "(i64.store (i32.const 8) (call $clock))",
            &format!(
                "(loop $more
                    (drop (call $clock))
                    (global.set $count (i32.add (global.get $count) (i32.const 1)))
                    (br_if $more (i32.lt_u (global.get $count) (i32.const {limit}))))"
            ),
        )
    };
    let project = Project::new(&polls(3), "[[case]]\nname = \"polls\"\n");
    project.check(&["--record", "calls.jsonl"]).exits_with(0);
    fs::write(project.path("guest.wat"), polls(u32::MAX)).expect("a file");
    let told = stdout(&project.check(&["--replay", "calls.jsonl"]).exits_with(100));
    assert!(
        told.contains("replayed, the guest asks for the clock, and the record has a message"),
        "{told}"
    );
}

#[test]
fn a_record_that_would_have_no_end_is_cut_and_not_replayed() {
    let polls = chancy().replace(
        "(i64.store (i32.const 8) (call $clock))",
        "(loop $more (drop (call $clock)) (br $more))",
    );
    let manifest = "[[case]]\nname = \"polls\"\ntimeout = \"2s\"\n";
    let project = Project::new(&polls, manifest);
    project.check(&["--record", "calls.jsonl"]).exits_with(0);
    let record = fs::read_to_string(project.path("calls.jsonl")).expect("it was written");
    assert!(
        record.lines().count() <= 100_010,
        "{}",
        record.lines().count()
    );
    let told = stdout(&project.check(&["--replay", "calls.jsonl"]).exits_with(100));
    assert!(
        told.contains("its record was cut after 100000 events"),
        "{told}"
    );
}

#[test]
fn a_guest_with_a_collector_passes_without_noise() {
    let sound = echo("(drop (struct.new $cell (i32.const 1) (ref.null $cell)))").replace(
        "(module",
        "(module (type $cell (struct (field (mut i32)) (field (mut (ref null $cell)))))",
    );
    let sound = sound.replace(
        "(func (export \"handle\") (result i32)",
        "(func (export \"handle\") (result i32)
            (if (i32.gt_u (call $input_len) (i32.const 60000)) (then (return (i32.const 1))))",
    );
    let project = Project::new(&sound, TWO_CASES);
    let ended = project.check(&["--calls", "50"]).exits_with(0);
    assert_eq!(ended.stderr, "");
}

#[test]
fn options_that_would_do_nothing_are_refused() {
    let project = Project::new(&echo(""), TWO_CASES);
    for arguments in [
        &["--update", "--save-baseline", "x.json"][..],
        &["--update", "--baseline", "x.json"],
        &["--filter", "one", "--save-baseline", "x.json"],
        &["--max-work", "2x"],
        &["--watch", "--record", "x.jsonl"],
    ] {
        project.check(arguments).exits_with(2);
    }
}

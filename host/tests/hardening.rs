//! What worker processes give up, and that it is told when they cannot.

mod common;

use std::collections::BTreeMap;

use cofferdam::{Hardening, Job, Layer, Standing};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};
use serde_json::Value;

use common::{Ended, Host, Way, command, embedded, for_each, reply, run, ways};

fn summary(text: &str) -> Value {
    let last = text.lines().last().expect("a summary");
    serde_json::from_str(last).expect("an object")
}

/// Runs the command in a world in which the kernel does not know these system calls.
fn run_without(calls: &[i64], arguments: &[&str]) -> Ended {
    let rules: BTreeMap<_, _> = calls.iter().map(|&call| (call, Vec::new())).collect();
    let unknown = SeccompAction::Errno(libc::ENOSYS.cast_unsigned());
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        unknown,
        std::env::consts::ARCH
            .try_into()
            .expect("a known processor"),
    );
    let program: BpfProgram = filter
        .and_then(TryInto::try_into)
        .expect("a filter that can be compiled");
    let command = command(arguments);
    // What a thread gives up, the programs that it runs never had.
    let host = std::thread::spawn(move || {
        apply_filter(&program).expect("a filter that the kernel takes");
        Host::spawn(command)
    });
    host.join().expect("it is spawned").end()
}

const LANDLOCK: [i64; 1] = [libc::SYS_landlock_create_ruleset];

fn status_of(pid: u32, field: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.expect("the field is there").trim().to_owned()
}

#[test]
fn every_layer_holds_in_every_kind_of_worker_and_the_kernel_says_so() {
    for_each(ways(), |way: Way| {
        let pool = way
            .builder(&embedded("echo"))
            .hardening(Hardening::Required)
            .build()
            .expect("the pool is built");
        assert_eq!(reply(&pool, Job::new("x")).output, b"x");
        let worker = pool.workers().remove(0);
        let held = worker.enforcement.expect("a worker process");
        for layer in Layer::ALL {
            assert_eq!(held.standing(layer), Standing::Enforced, "{layer}");
            assert_eq!(held.reason(layer), "", "{layer}");
        }
        assert_eq!(pool.enforcement(), Some(held));
        let pid = worker.pid.expect("a worker process");
        assert_eq!(status_of(pid, "Seccomp:"), "2");
        assert_eq!(status_of(pid, "NoNewPrivs:"), "1");
        for capabilities in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
            assert_eq!(status_of(pid, capabilities), "0000000000000000");
        }
        let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("it lives");
        for none in ["Max core file size", "Max file size", "Max open files"] {
            let line = limits.lines().find(|line| line.starts_with(none));
            let numbers: Vec<_> = line.expect(none)[none.len()..]
                .split_whitespace()
                .take(2)
                .collect();
            assert_eq!(numbers, ["0", "0"], "{none}");
        }
    });
}

#[test]
fn nothing_is_given_up_where_nobody_asks_for_it() {
    for_each(ways(), |way: Way| {
        let pool = way
            .builder(&embedded("echo"))
            .hardening(Hardening::Off)
            .build()
            .expect("the pool is built");
        assert_eq!(reply(&pool, Job::new("x")).output, b"x");
        let worker = pool.workers().remove(0);
        let held = worker.enforcement.expect("a worker process");
        // Descriptors that came by accident are of no use to anybody.
        for layer in Layer::ALL.into_iter().skip(1) {
            assert_eq!(held.standing(layer), Standing::Off, "{layer}");
        }
        assert_eq!(status_of(worker.pid.expect("a process"), "Seccomp:"), "0");
    });
}

#[test]
fn what_the_kernel_does_not_have_is_told_with_the_reason_and_the_rest_holds() {
    for start in ["exec", "fork", "spare"] {
        let arguments = [
            "run", "--start", start, "--format", "json", "--input", "x", "@echo",
        ];
        let ended = run_without(&LANDLOCK, &arguments).exits_with(0);
        assert!(
            ended.stderr.contains(
                "workers were not hardened in full: landlock unavailable: the kernel is older"
            ),
            "{}",
            ended.stderr
        );
        let layers = &summary(ended.text())["hardening"]["layers"];
        assert_eq!(layers["landlock"]["standing"], "unavailable");
        assert_eq!(layers["system-calls"]["standing"], "enforced");
        assert_eq!(layers["system-calls"]["reason"], Value::Null);
    }
}

#[test]
fn a_worker_that_cannot_be_hardened_as_required_does_not_start() {
    for start in ["exec", "fork", "spare"] {
        let arguments = [
            "run",
            "--start",
            start,
            "--hardening",
            "required",
            "--input",
            "x",
            "@echo",
        ];
        let ended = run_without(&LANDLOCK, &arguments).exits_with(125);
        assert!(
            ended.stderr.contains("hardening is required"),
            "{}",
            ended.stderr
        );
        assert!(
            ended.stderr.contains("landlock unavailable"),
            "{}",
            ended.stderr
        );
        assert!(ended.stderr.contains("best-effort"), "{}", ended.stderr);
    }
}

/// Makes a folder in the first one that was granted, and exits with the number of what came of it.
const MAKES_A_FOLDER: &str = r#"(module
    (import "wasi_snapshot_preview1" "path_create_directory" (func $make (param i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "made")
    (func (export "_start") (call $exit (call $make (i32.const 3) (i32.const 0) (i32.const 4)))))"#;

#[test]
fn where_landlock_is_missing_a_folder_can_be_used_and_it_is_told_or_no_worker_starts() {
    for start in ["exec", "fork"] {
        let room = tempfile::tempdir().expect("a folder");
        let folder = format!("{}::/data", room.path().display());
        let run = |hardening| {
            let arguments = [
                "run",
                // Or its compiler would be the first that cannot be hardened.
                "--compile",
                "inline",
                "--start",
                start,
                "--hardening",
                hardening,
                "--dir",
                &folder,
                "--wat",
                MAKES_A_FOLDER,
            ];
            run_without(&LANDLOCK, &arguments)
        };
        run("required").exits_with(125).says("landlock unavailable");
        assert!(!room.path().join("made").exists());
        run("best-effort")
            .exits_with(0)
            .says("landlock unavailable");
        assert!(room.path().join("made").is_dir());
    }
}

#[test]
fn the_summary_names_every_layer() {
    let ended = run(["run", "--format", "json", "--input", "x", "@echo"]).exits_with(0);
    let summary = summary(ended.text());
    let layers = summary["hardening"]["layers"].as_object().expect("layers");
    assert_eq!(layers.len(), Layer::ALL.len());
    for layer in Layer::ALL {
        assert_eq!(
            layers[&layer.to_string()]["standing"],
            "enforced",
            "{layer}"
        );
    }
    assert_eq!(ended.stderr, "");
}

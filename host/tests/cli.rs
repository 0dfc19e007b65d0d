//! The command line, from outside: what it prints, where, and with which exit code it ends.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use common::{
    Host, command, dawdler, embedded, is_alive, pid_in, run, run_with, spinner, wat, wat_handle,
};

/// A folder of files for one test.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file and gives back its path.
    fn with(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, content).expect("a file");
        path.into_os_string()
            .into_string()
            .expect("a path in UTF-8")
    }

    fn named(&self, name: &str) -> String {
        self.path(name)
            .into_os_string()
            .into_string()
            .expect("a path in UTF-8")
    }
}

/// The objects about jobs: all but the last one, which sums up.
fn json_lines(stdout: &str) -> Vec<Value> {
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let objects = stdout.lines().map(parse);
    objects
        .filter(|object: &Value| object["event"] != "summary")
        .collect()
}

// ---------------------------------------------------------------------------------------------
// Exit codes
// ---------------------------------------------------------------------------------------------

#[test]
fn a_small_address_space_runs_the_same_guests_as_a_large_one() {
    // Room for one memory with its guard, and not for a pool of them.
    let files = Files::new();
    let limited = r#"ulimit -v 7000000 && exec "$0" "$@""#;
    for isolation in ["thread", "process"] {
        let ended = Command::new("sh")
            .args(["-c", limited, common::COFFERDAM, "run", "@echo"])
            .args([
                "--isolation",
                isolation,
                "--workers",
                "2",
                "--input",
                "hello",
            ])
            .env("COFFERDAM_CACHE_DIR", files.named("cache"))
            .stdin(Stdio::null())
            .output()
            .expect("there is a shell");
        let stderr = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(0), "{isolation}: {stderr}");
        assert_eq!(ended.stdout, b"hello");
    }
}

#[test]
fn a_job_that_is_done_exits_with_0_and_its_reply_is_all_of_stdout() {
    for isolation in ["thread", "process"] {
        let ended = run(["run", "--isolation", isolation, "--input", "hello", "@echo"]);
        let ended = ended.exits_with(0);
        assert_eq!((ended.text(), &*ended.stderr), ("hello", ""));
    }
}

#[test]
fn a_job_that_is_refused_exits_with_1() {
    let ended = run(["run", "--input", "too short for a key", "@encrypt"]).exits_with(1);
    assert_eq!(ended.text(), "");
    ended
        .says("the guest refused with code")
        .says("must begin with a key of 32 bytes");
}

#[test]
fn a_single_job_that_misbehaves_exits_with_1_and_says_how() {
    for (guest, words) in [
        ("@grow", "denied memory"),
        ("@flood", "more than the output limit"),
        (
            "@liar",
            "broke the interface: output_write was given 32 bytes",
        ),
    ] {
        run(["run", "--memory", "8MiB", "--max-output", "1MiB", guest])
            .exits_with(1)
            .says(words);
    }
    run(["run", "--fuel", "1000", "@spin"])
        .exits_with(1)
        .says("ran out of fuel");
}

#[test]
fn one_failed_job_of_many_exits_with_1_and_leaves_an_empty_line() {
    let files = Files::new();
    let key = "0".repeat(64);
    let lines = files.with("lines", format!("{key} a\nno key\n{key} b\n"));
    let ended = run(["run", "--seed", "1", "--lines", &lines, "@encrypt"]).exits_with(1);
    let lines: Vec<_> = ended.text().split('\n').collect();
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert!(!lines[0].is_empty() && lines[1].is_empty() && !lines[2].is_empty());
    ended
        .says("line 2: the guest refused")
        .says("1 of 3 jobs failed");
}

#[test]
fn a_command_line_that_is_not_understood_exits_with_2() {
    for arguments in [
        &["run"][..],
        &["run", "--no-such-option", "@echo"],
        &["run", "--input", "a", "--lines", "b", "@echo"],
        &["run", "--output-dir", "x", "@echo"],
        &["run", "--isolation", "fork", "@echo"],
        &["run", "--repeat", "0", "@echo"],
        &["no-such-command"],
        &["man", "no-such-command"],
        &["completions", "no-such-shell"],
        &["run", "--stack", "1KiB", "@echo"],
        &["run", "--timeout", "0s", "@echo"],
        &[],
    ] {
        let ended = run(arguments).exits_with(2);
        assert_eq!(ended.text(), "", "{arguments:?}");
        assert!(!ended.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_deadline_exits_with_124() {
    for isolation in ["thread", "process"] {
        run([
            "run",
            "--isolation",
            isolation,
            "--timeout",
            "200ms",
            "@spin",
        ])
        .exits_with(124)
        .says("the deadline passed");
    }
}

#[test]
fn a_host_whose_workers_cannot_start_exits_with_125() {
    // A copy of the program may no longer be executed when it comes to spawn itself: it waits for the
    // guest on standard input until then.
    let files = Files::new();
    let program = files.path("cofferdam");
    // Not by this process: a child of another test might hold the copy open for writing, and then it
    // cannot be executed.
    let copied = Command::new("cp")
        .arg(common::COFFERDAM)
        .arg(&program)
        .status();
    assert!(copied.expect("there is a cp").success());
    let mut command = Command::new(&program);
    command
        .args(["run", "--no-cache", "--compile", "inline", "-"])
        .stdin(Stdio::piped());
    let mut host = Host::spawn(command);
    fs::set_permissions(&program, fs::Permissions::from_mode(0o000)).expect("our own file");
    let mut stdin = host.stdin();
    stdin
        .write_all(embedded("echo").wasm())
        .expect("it reads its guest");
    drop(stdin);
    host.end()
        .exits_with(125)
        .says("the worker could not be started")
        .says("trying again in")
        .says("is given up")
        .says("no worker is left");
}

#[test]
fn what_is_no_guest_exits_with_126_and_is_called_by_its_name() {
    let files = Files::new();
    let echo = embedded("echo");
    let truncated = &echo.wasm()[..echo.wasm().len() / 2];
    let elf = fs::read("/proc/self/exe").expect("this very program");
    let marker = r#"(func (export "cofferdam_abi_1"))"#;
    let memory = r#"(memory (export "memory") 1)"#;
    let handle = r#"(func (export "handle") (result i32) (i32.const 0))"#;
    let cases: [(&str, &[u8], &str); 12] = [
        ("text", b"hello", "text of another kind"),
        ("empty", b"", "the file is empty"),
        ("elf", &elf[..4096], "a native ELF program"),
        ("script", b"#!/bin/sh\n", "a script"),
        ("truncated", truncated, "not a valid module"),
        ("component", b"\0asm\x0d\0\x01\0", "a WebAssembly component"),
        ("typo.wat", b"(module (func nonsense))", "its text is not valid"),
        (
            "unmarked.wat",
            format!("(module {memory} {handle})").into_bytes().leak(),
            "does not export the function `cofferdam_abi_1`",
        ),
        (
            "no-handle.wat",
            format!("(module {memory} {marker})").into_bytes().leak(),
            "does not export the function `handle`",
        ),
        (
            "no-memory.wat",
            format!("(module {marker} {handle})").into_bytes().leak(),
            "does not export its `memory`",
        ),
        (
            "wasi.wat",
            format!(r#"(module (import "wasi_snapshot_preview1" "fd_write" (func)) {memory} (func (export "_start")))"#)
                .into_bytes()
                .leak(),
            "wasi_snapshot_preview1.fd_write func (), which is offered as func (i32, i32, i32, i32) -> i32",
        ),
        (
            "body.wat",
            format!(r#"(module {memory} {marker} (func (export "handle") (result i32)))"#)
                .into_bytes()
                .leak(),
            "not a valid module",
        ),
    ];
    for (name, content, words) in cases {
        let path = files.with(name, content);
        for isolation in ["thread", "process"] {
            let ended = run(["run", "--isolation", isolation, &path]).exits_with(126);
            assert!(ended.stderr.contains(&path), "{}", ended.stderr);
            ended.says("cannot be run").says(words);
        }
    }
}

#[test]
fn imports_that_do_not_fit_are_named_with_what_is_offered() {
    let files = Files::new();
    let path = files.with(
        "imports.wat",
        r#"(module
            (import "env" "print" (func (param i32)))
            (import "cofferdam" "post" (func (param i64)))
            (import "cofferdam" "teleport" (func))
            (memory (export "memory") 1) (func (export "cofferdam_abi_1"))
            (func (export "handle") (result i32) (i32.const 0)))"#,
    );
    run(["run", &path])
        .exits_with(126)
        .says("env.print func (i32)")
        .says("cofferdam.post func (i64), which is offered as func (i32, i32)")
        .says("cofferdam.teleport func ()")
        .says("Offered: input_len, input_read, output_write");
}

#[test]
fn a_folder_in_place_of_the_guest_exits_with_126() {
    let files = Files::new();
    run(["run", &files.named("")])
        .exits_with(126)
        .says("cannot read the guest");
}

#[test]
fn a_files_content_is_what_every_worker_finds_in_its_region() {
    let files = Files::new();
    // Replies with the bytes of the region from where the input's length says on, to its end.
    let guest = files.with(
        "tail.wat",
        wat_handle(
            "(local.set $i (call $input_len))
             (local.set $n (i32.sub (i32.wrap_i64 (call $region_len)) (local.get $i)))
             (call $region_read (i32.const 0) (i64.extend_i32_u (local.get $i)) (local.get $n))
             (call $output_write (i32.const 0) (local.get $n))
             (i32.const 0)",
        ),
    );
    let content = files.with("words.txt", "shared by all");
    let lines = files.with("lines.txt", "1234567\n1234567890\n");
    for isolation in ["thread", "process"] {
        let arguments = [
            "run",
            "--isolation",
            isolation,
            "--workers",
            "2",
            "--region",
            &content,
            "--lines",
            &lines,
            &guest,
        ];
        let done = run(arguments).exits_with(0);
        assert_eq!(done.stdout, b"by all\nall\n", "{isolation}");
    }
    let empty = files.with("empty.txt", "");
    run(["run", "--region", &empty, "--input", "", &guest])
        .exits_with(2)
        .says("empty.txt: a region cannot have 0 B: give a file with content");
    run([
        "run",
        "--region",
        &files.named("none.txt"),
        "--input",
        "",
        &guest,
    ])
    .exits_with(127)
    .says("none.txt: No such file");
}

#[test]
fn what_is_not_there_exits_with_127_and_is_named() {
    for (arguments, words) in [
        (
            &["run", "/no/such/guest.wasm"][..],
            "no guest at /no/such/guest.wasm",
        ),
        (
            &["run", "@nobody"],
            "no built-in guest @nobody: there are @argon2",
        ),
        (
            &["run", "--lines", "/no/such/lines", "@echo"],
            "--lines /no/such/lines",
        ),
        (
            &["run", "--input-file", "/no/such/file", "@echo"],
            "--input-file /no/such/file",
        ),
        (
            &["run", "--input-dir", "/no/such/folder", "@echo"],
            "--input-dir /no/such/folder",
        ),
        (
            &["inspect", "/no/such/guest.wasm"],
            "no guest at /no/such/guest.wasm",
        ),
    ] {
        run(arguments).exits_with(127).says(words);
    }
}

#[test]
fn a_trap_exits_with_134_and_its_partial_output_is_no_reply() {
    for isolation in ["thread", "process"] {
        let ended = run(["run", "--isolation", isolation, "@trap"]).exits_with(134);
        assert_eq!(ended.text(), "");
        ended.says("the guest trapped (unreachable executed): trapped on purpose");
    }
}

#[test]
fn a_worker_killed_over_the_only_job_exits_with_128_and_the_signal() {
    let files = Files::new();
    let guest = files.with("spinner.wat", spinner());
    for (signal, code) in [
        (Signal::KILL, 137),
        (Signal::TERM, 143),
        (Signal::ABORT, 134),
    ] {
        let mut host = Host::spawn(command(["run", "--timeout", "none", &guest]));
        let worker = pid_in(&host.hear("posts: begun"));
        common::send(worker, signal);
        host.end()
            .exits_with(code)
            .says(&format!("the worker was killed by signal {}", code - 128));
    }
}

#[test]
fn a_worker_killed_over_one_of_many_jobs_exits_with_1() {
    let files = Files::new();
    let guest = files.with("spinner.wat", spinner());
    let mut host = Host::spawn(command([
        "run",
        "--workers",
        "1",
        "--timeout",
        "none",
        "--repeat",
        "2",
        &guest,
    ]));
    for _ in 0..2 {
        let worker = pid_in(&host.hear("posts: begun"));
        common::send(worker, Signal::KILL);
    }
    host.end().exits_with(1).says("2 of 2 jobs failed");
}

// ---------------------------------------------------------------------------------------------
// What was typed wrong
// ---------------------------------------------------------------------------------------------

#[test]
fn zero_workers_and_far_too_many_are_usage_errors() {
    for workers in ["0", "5000", "-1", "two"] {
        let argument = format!("--workers={workers}");
        run(["run", &argument, "@echo"])
            .exits_with(2)
            .says("--workers");
    }
}

#[test]
fn a_bare_number_is_answered_with_the_spelling_that_works() {
    for (flag, value, words) in [
        ("--timeout", "100", "write 100ms or 100s"),
        ("--memory", "64", "write 64MiB, 64KiB or 64B"),
        ("--stack", "512", "write 512MiB, 512KiB or 512B"),
        ("--max-output", "1", "write 1MiB, 1KiB or 1B"),
        ("--max-input", "2.5", "write 2.5MiB, 2.5KiB or 2.5B"),
    ] {
        run(["run", flag, value, "@echo"])
            .exits_with(2)
            .says(flag)
            .says(words);
    }
    for (flag, value) in [
        ("--timeout", "100ms"),
        ("--memory", "64MiB"),
        ("--timeout", "none"),
    ] {
        run(["run", flag, value, "--input", "x", "@echo"]).exits_with(0);
    }
}

#[test]
fn a_folder_in_place_of_a_file_is_an_error_that_names_it() {
    let files = Files::new();
    let folder = files.named("");
    for flag in ["--input-file", "--lines"] {
        run(["run", flag, &folder, "@echo"])
            .exits_with(125)
            .says(flag)
            .says("it is a folder");
    }
    let file = files.with("file", "x");
    run(["run", "--input-dir", &file, "@echo"])
        .exits_with(125)
        .says("--input-dir");
}

#[test]
fn an_input_that_cannot_be_read_is_an_error_that_names_it() {
    // It can be opened, by root too, and reading its first page fails.
    for flag in ["--input-file", "--lines"] {
        run(["run", flag, "/proc/self/mem", "@echo"])
            .exits_with(125)
            .says(&format!("{flag} /proc/self/mem"));
    }
}

#[test]
fn no_lines_and_no_files_are_no_jobs() {
    let files = Files::new();
    let empty = files.with("empty", "");
    run(["run", "--lines", &empty, "@echo"])
        .exits_with(2)
        .says("there is no job to run");
    fs::create_dir(files.path("folder")).expect("a folder");
    let folder = files.named("folder");
    run(["run", "--input-dir", &folder, "@echo"])
        .exits_with(2)
        .says("it holds no files");
    run_with(["run", "--lines", "-", "@echo"], b"")
        .exits_with(2)
        .says("there is no job to run");
}

#[test]
fn replies_are_not_written_over_their_inputs() {
    let files = Files::new();
    files.with("a.txt", "precious");
    let folder = files.named(".");
    run([
        "run",
        "--input-dir",
        &folder,
        "--output-dir",
        &folder,
        "@sha256",
    ])
    .exits_with(2)
    .says("would overwrite the inputs");
    assert_eq!(fs::read_to_string(files.path("a.txt")).unwrap(), "precious");
}

#[test]
fn a_cache_folder_that_holds_other_files_keeps_them() {
    let files = Files::new();
    files.with("notes.txt", "mine");
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(100_000);
    let notes = fs::File::open(files.path("notes.txt")).unwrap();
    notes.set_modified(long_ago).unwrap();
    let folder = files.named(".");
    run(["run", "--cache-dir", &folder, "--input", "x", "@echo"]).exits_with(0);
    assert_eq!(fs::read_to_string(files.path("notes.txt")).unwrap(), "mine");
}

#[test]
fn large_replies_and_messages_do_not_tear_each_others_lines() {
    // Posts twice, and replies with 200 kB: more than any buffer on the way.
    let chatty = r#"(module
        (import "cofferdam" "post" (func $post (param i32 i32)))
        (import "cofferdam" "output_write" (func $write (param i32 i32)))
        (memory (export "memory") 4) (func (export "cofferdam_abi_1"))
        (func (export "handle") (result i32)
            (memory.fill (i32.const 0) (i32.const 97) (i32.const 200000))
            (call $post (i32.const 0) (i32.const 3000)) (call $post (i32.const 0) (i32.const 3000))
            (call $write (i32.const 0) (i32.const 200000))
            i32.const 0))"#;
    let files = Files::new();
    let guest = files.with("chatty.wat", chatty);
    let ended = run([
        "run",
        "--isolation",
        "thread",
        "--workers",
        "4",
        "--repeat",
        "100",
        "--format",
        "json",
        &guest,
    ])
    .exits_with(0);
    let text = ended.text();
    assert_eq!(json_lines(text).len(), 300);
}

#[test]
fn an_empty_input_file_is_an_empty_job() {
    let files = Files::new();
    let empty = files.with("empty", "");
    let ended = run(["run", "--input-file", &empty, "@sha256"]).exits_with(0);
    assert!(ended.text().starts_with("e3b0c44298fc1c14"));
}

#[test]
fn standard_input_cannot_be_both_guest_and_input() {
    for flag in ["--lines", "--input-file"] {
        run_with(["run", flag, "-", "-"], embedded("echo").wasm())
            .exits_with(2)
            .says("standard input");
    }
}

#[test]
fn a_line_that_is_too_long_fails_alone() {
    let files = Files::new();
    let lines = files.with("lines", "short\nmuch too long\n\nlast");
    let ended = run(["run", "--max-input", "5B", "--lines", &lines, "@echo"]).exits_with(1);
    assert_eq!(ended.text(), "short\n\n\nlast\n");
    ended
        .says("line 2: the line is longer than --max-input 5 B")
        .says("1 of 4 jobs failed");
}

#[test]
fn an_input_file_that_is_too_large_is_a_usage_error() {
    let files = Files::new();
    let file = files.with("file", "six by");
    run(["run", "--max-input", "5B", "--input-file", &file, "@echo"])
        .exits_with(2)
        .says("larger than --max-input 5 B");
}

#[test]
fn a_cache_that_cannot_be_used_is_a_warning_and_no_more() {
    let files = Files::new();
    let file = files.with("file", "");
    for folder in [format!("{file}/cache"), "/proc/no-such-cache".to_owned()] {
        let ended = run(["run", "--cache-dir", &folder, "--input", "x", "@echo"]).exits_with(0);
        assert_eq!(ended.text(), "x");
        ended.says("warning: the cache folder").says(&folder);
    }
    let open = files.path("open");
    fs::create_dir(&open).expect("a folder");
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).expect("our own folder");
    run([
        "run",
        "--cache-dir",
        &files.named("open"),
        "--input",
        "x",
        "@echo",
    ])
    .exits_with(0)
    .says("others may write it");
}

#[test]
fn a_damaged_cache_entry_is_made_anew_with_a_warning() {
    let files = Files::new();
    let cache = files.named("cache");
    let once = || run(["run", "--cache-dir", &cache, "--input", "x", "@echo"]).exits_with(0);
    assert_eq!(once().stderr, "");
    let entry = fs::read_dir(&cache)
        .expect("it was made")
        .next()
        .expect("an entry");
    let path = entry.expect("it can be read").path();
    let whole = fs::read(&path).expect("an entry");
    fs::write(&path, &whole[..whole.len() / 2]).expect("our own file");
    once().says("is damaged");
    assert_eq!(once().stderr, "");
    assert_eq!(fs::read(&path).expect("an entry").len(), whole.len());
}

#[test]
fn an_output_folder_that_cannot_be_written_is_an_error_that_names_it() {
    let files = Files::new();
    let file = files.with("file", "");
    fs::create_dir(files.path("in")).expect("a folder");
    files.with("in/a", "a");
    let (from, to) = (files.named("in"), format!("{file}/out"));
    run(["run", "--input-dir", &from, "--output-dir", &to, "@echo"])
        .exits_with(125)
        .says(&format!("--output-dir {to}"));
}

#[test]
fn a_reply_that_cannot_be_written_fails_alone() {
    let files = Files::new();
    for folder in ["in", "out", "out/b"] {
        fs::create_dir(files.path(folder)).expect("a folder");
    }
    for name in ["in/a", "in/b", "in/c"] {
        files.with(name, name);
    }
    let (from, to) = (files.named("in"), files.named("out"));
    run(["run", "--input-dir", &from, "--output-dir", &to, "@echo"])
        .exits_with(1)
        .says("out/b")
        .says("1 of 3 jobs failed");
    assert_eq!(fs::read(files.path("out/a")).expect("a reply"), b"in/a");
    assert_eq!(fs::read(files.path("out/c")).expect("a reply"), b"in/c");
}

// ---------------------------------------------------------------------------------------------
// Input and output
// ---------------------------------------------------------------------------------------------

#[test]
fn a_guest_can_be_a_text_a_binary_or_standard_input() {
    let files = Files::new();
    let text = files.with(
        "guest.wat",
        wat_handle("(call $output_write (i32.const 0) (i32.const 0)) (i32.const 0)"),
    );
    run(["run", &text]).exits_with(0);
    let binary = files.with("guest.wasm", embedded("echo").wasm());
    let ended = run(["run", "--input", "binary", &binary]).exits_with(0);
    assert_eq!(ended.text(), "binary");
    let piped = run_with(["run", "--input", "piped", "-"], embedded("echo").wasm()).exits_with(0);
    assert_eq!(piped.text(), "piped");
}

#[test]
fn standard_input_gives_one_job_or_one_a_line() {
    let bytes = b"one\ntwo\r\n\n\xff last".as_slice();
    let one = run_with(["run", "--input-file", "-", "@echo"], bytes).exits_with(0);
    assert_eq!(one.stdout, bytes);
    let lines = run_with(["run", "--lines", "-", "@echo"], bytes).exits_with(0);
    assert_eq!(lines.stdout, b"one\ntwo\n\n\xff last\n");
}

#[test]
fn replies_go_to_files_of_the_same_names() {
    let files = Files::new();
    fs::create_dir(files.path("in")).expect("a folder");
    fs::create_dir(files.path("in/a folder is no input")).expect("a folder");
    let contents = [("b.txt", &b"b"[..]), ("a ä", b"\0\xff\n"), ("empty", b"")];
    let mut names = contents.map(|(name, content)| {
        files.with(&format!("in/{name}"), content);
        name
    });
    let (from, to) = (files.named("in"), files.named("new/out"));
    let ended = run(["run", "--input-dir", &from, "--output-dir", &to, "@echo"]).exits_with(0);
    assert_eq!(ended.text(), "");
    let out: BTreeSet<_> = fs::read_dir(files.path("new/out"))
        .expect("it was made")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    names.sort_unstable();
    assert_eq!(
        out.iter()
            .map(|name| name.to_str().unwrap())
            .collect::<Vec<_>>(),
        names
    );
    for (name, content) in contents {
        assert_eq!(
            fs::read(files.path("new/out").join(name)).expect("a reply"),
            content
        );
    }
}

#[test]
fn each_job_is_repeated_as_often_as_asked() {
    let files = Files::new();
    let lines = files.with("lines", "a\nb\n");
    let ended = run(["run", "--repeat", "3", "--lines", &lines, "@echo"]).exits_with(0);
    assert_eq!(ended.text(), "a\na\na\nb\nb\nb\n");
    let one = run(["run", "--repeat", "2", "--input", "x", "@echo"]).exits_with(0);
    assert_eq!(one.text(), "x\nx\n");
}

/// Lines whose jobs take from nothing up to 40 ms, so that they end in another order.
fn uneven() -> String {
    (0..60)
        .map(|line| format!("{} line {line}\n", [4, 0, 1, 0, 0, 2, 0][line % 7]))
        .collect()
}

#[test]
fn replies_come_in_the_order_of_the_input_however_the_jobs_end() {
    let files = Files::new();
    let guest = files.with("dawdler.wat", dawdler());
    let lines = files.with("lines", uneven());
    for isolation in ["thread", "process"] {
        let arguments = [
            "run",
            "--isolation",
            isolation,
            "--workers",
            "4",
            "--lines",
            &lines,
            &guest,
        ];
        let ended = run(arguments).exits_with(0);
        assert_eq!(ended.text(), uneven());
    }
}

#[test]
fn unordered_replies_are_the_same_ones() {
    let files = Files::new();
    let guest = files.with("dawdler.wat", dawdler());
    let lines = files.with("lines", format!("9 the slowest\n{}", uneven()));
    let ended = run([
        "run",
        "--unordered",
        "--workers",
        "4",
        "--lines",
        &lines,
        &guest,
    ]);
    let ended = ended.exits_with(0);
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    let expected = format!("9 the slowest\n{}", uneven());
    assert_eq!(sorted(ended.text()), sorted(&expected));
    assert_ne!(
        ended.text().lines().next(),
        Some("9 the slowest"),
        "the quick ones go before"
    );
}

#[test]
fn a_seed_makes_runs_alike() {
    let key = "0".repeat(64);
    let once = |seed: &str, isolation: &str| {
        let text = format!("{key} secret");
        let arguments = [
            "run",
            "--seed",
            seed,
            "--isolation",
            isolation,
            "--repeat",
            "3",
            "--input",
            &text,
            "@encrypt",
        ];
        run(arguments).exits_with(0).stdout
    };
    assert_eq!(once("1", "thread"), once("1", "process"));
    assert_ne!(once("1", "thread"), once("2", "thread"));
}

#[test]
fn json_lines_have_the_fields_of_the_design() {
    let files = Files::new();
    let lines = files.with("lines", b"text\n\xff\xfe\nmuch too long\n");
    let arguments = [
        "run",
        "--format",
        "json",
        "--max-input",
        "5B",
        "--lines",
        &lines,
        "@echo",
    ];
    let ended = run(arguments).exits_with(1);
    let objects = json_lines(ended.text());
    assert_eq!(objects.len(), 3);
    for (number, object) in objects.iter().enumerate() {
        assert_eq!(object["event"], "reply");
        assert_eq!(object["job"], number);
        assert_eq!(object["input"], format!("line {}", number + 1));
    }
    for object in &objects[..2] {
        assert_eq!(object["outcome"], "output");
        assert!(object["worker"].as_str().unwrap().starts_with("process-"));
        assert_eq!(object["attempts"], 1);
        for time in ["queued_s", "wall_s", "instantiate_s", "call_s"] {
            assert!(object[time].as_f64().unwrap() >= 0.0, "{time}");
        }
        assert!(object["wall_s"].as_f64() > object["call_s"].as_f64());
        assert!(object.get("error").is_none());
    }
    assert_eq!(
        (&objects[0]["output"], &objects[0]["output_base64"]),
        (&"text".into(), &Value::Null)
    );
    assert_eq!(
        (&objects[1]["output"], &objects[1]["output_base64"]),
        (&Value::Null, &"//4=".into())
    );
    assert_eq!(objects[2]["outcome"], Value::Null);
    assert!(
        objects[2]["error"]
            .as_str()
            .unwrap()
            .contains("longer than --max-input")
    );
}

#[test]
fn json_ends_with_what_became_of_the_workers() {
    let files = Files::new();
    let lines = files.with("lines", b"a\nb\nc\n");
    for isolation in ["thread", "process"] {
        let ended = run([
            "run",
            "--isolation",
            isolation,
            "--workers",
            "1",
            "--format",
            "json",
            "--lines",
            &lines,
            "@echo",
        ])
        .exits_with(0);
        let last = ended.text().lines().last().expect("a summary");
        let summary: Value = serde_json::from_str(last).expect("an object");
        assert_eq!(summary["event"], "summary");
        let health = &summary["health"];
        let counts = ["answered", "started", "died", "abandoned", "retried"];
        let counts = counts.map(|count| health[count].as_u64());
        assert_eq!(counts, [Some(3), Some(1), Some(0), Some(0), Some(0)]);
        assert_eq!(summary["hardening"]["policy"], "best-effort");
        assert_eq!(
            summary["hardening"]["layers"].is_null(),
            isolation == "thread"
        );
    }
}

#[test]
fn json_tells_outcomes_and_deaths_apart() {
    let ended = run(["run", "--format", "json", "@trap"]).exits_with(134);
    let [trap] = &json_lines(ended.text())[..] else {
        panic!("{ended:?}")
    };
    assert_eq!(
        (&trap["outcome"], &trap["output"]),
        (&"trapped".into(), &"partial".into())
    );
    assert!(
        trap["error"]
            .as_str()
            .unwrap()
            .contains("trapped on purpose")
    );
    assert!(trap.get("death").is_none());

    let files = Files::new();
    let guest = files.with("spinner.wat", spinner());
    let mut command = command(["run", "--format", "json", "--timeout", "none", &guest]);
    command.stdout(Stdio::piped());
    let mut host = Host::spawn_keeping_stdout(command);
    let mut stdout = std::io::BufReader::new(host.stdout());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut stdout, &mut line).expect("the post");
    let post = &json_lines(&line)[0];
    common::send(pid_in(post["worker"].as_str().unwrap()), Signal::KILL);
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).expect("the reply");
    host.end().exits_with(137);
    let [reply] = &json_lines(&rest)[..] else {
        panic!("{rest}")
    };
    assert_eq!(
        (&reply["outcome"], &reply["death"]),
        (&Value::Null, &"signalled".into())
    );
    assert_eq!(reply["worker"], post["worker"]);
}

#[test]
fn what_a_guest_posts_goes_to_stderr_with_its_workers_label() {
    for (isolation, label) in [
        ("thread", "cofferdam: thread-1 posts: "),
        ("process", "cofferdam: process-1 pid "),
    ] {
        let ended =
            run(["run", "--isolation", isolation, "--input", "Ada", "@hello"]).exits_with(0);
        assert_eq!(ended.text(), "Hello, Ada!");
        ended.says(label).says("posts: Hi from worker!");
    }
}

#[test]
fn messages_are_posted_to_each_job() {
    let files = Files::new();
    let lines = files.with("lines", "Ada\nGrace\n");
    let arguments = [
        "run", "--post", "one", "--post", "two", "--format", "json", "--lines", &lines, "@hello",
    ];
    let ended = run(arguments).exits_with(0);
    let replies: Vec<_> = json_lines(ended.text())
        .into_iter()
        .filter(|object| object["event"] == "reply")
        .map(|object| object["output"].as_str().unwrap().to_owned())
        .collect();
    let greeting = |name| format!("Hello, {name}!\nheard: one\nheard: two");
    assert_eq!(replies, [greeting("Ada"), greeting("Grace")]);
}

#[test]
fn in_json_posts_and_log_lines_are_objects_that_name_their_job() {
    let files = Files::new();
    // Posts its input and two bytes that are no text, and logs it.
    let guest = files.with(
        "guest.wat",
        wat_handle(
            "(drop (call $input_read (i32.const 0) (i32.const 0) (i32.const 100)))
             (i32.store16 (i32.const 200) (i32.const 0xfeff))
             (call $post (i32.const 0) (call $input_len))
             (call $post (i32.const 200) (i32.const 2))
             (call $log (i32.const 1) (i32.const 0) (call $input_len)) (i32.const 0)",
        ),
    );
    // The first line never becomes a job, and must not shift the numbers of the others.
    let lines = files.with("lines", "much too long\none\ntwo\n");
    let arguments = [
        "run",
        "--workers",
        "1",
        "--max-input",
        "5B",
        "--format",
        "json",
        "--lines",
        &lines,
        &guest,
    ];
    let ended = run(arguments).exits_with(1);
    let objects = json_lines(ended.text());
    for (job, text) in [(1, "one"), (2, "two")] {
        let of_job: Vec<_> = objects
            .iter()
            .filter(|object| object["job"] == job)
            .collect();
        let [post, bytes, log, reply] = of_job[..] else {
            panic!("job {job}: {objects:?}")
        };
        assert_eq!(
            (&post["event"], &post["message"]),
            (&"post".into(), &text.into())
        );
        assert_eq!(
            (&bytes["message"], &bytes["message_base64"]),
            (&Value::Null, &"//4=".into())
        );
        assert_eq!(
            (&log["event"], &log["level"], &log["line"]),
            (&"log".into(), &"warn".into(), &text.into())
        );
        assert_eq!(reply["event"], "reply");
        assert_eq!(post["worker"], reply["worker"]);
    }
}

#[test]
fn no_control_character_of_a_guest_reaches_the_terminal() {
    let files = Files::new();
    let guest = files.with(
        "guest.wat",
        wat(r#"(data (i32.const 0) "\1b]0;owned\07\0d\c2\9b2J")
            (func (export "handle") (result i32)
                (call $post (i32.const 0) (i32.const 15))
                (call $log (i32.const 0) (i32.const 0) (i32.const 15))
                (call $fail (i32.const 0) (i32.const 15))
                (i32.const 1))"#),
    );
    for isolation in ["thread", "process"] {
        let ended = run(["run", "--isolation", isolation, &guest]).exits_with(1);
        let steering = |c: &char| c.is_control() && *c != '\n';
        assert_eq!(
            ended.stderr.chars().find(steering),
            None,
            "{:?}",
            ended.stderr
        );
        assert_eq!(
            ended
                .stderr
                .matches(r"\u{1b}]0;owned\u{7}\r\u{9b}2J")
                .count(),
            3,
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn no_control_character_of_a_module_reaches_the_terminal() {
    let files = Files::new();
    let evil = r#""\1b]0;owned\07""#;
    let body = r#"(memory (export "memory") 1) (func (export "cofferdam_abi_1"))
        (func (export "handle") (result i32) (i32.const 0))"#;
    let modules = [
        format!("(module (import {evil} {evil} (func)) {body})"),
        format!("(module (@custom {evil} \"\") (func (export {evil})) {body})"),
        format!("(module (func (export {evil})) (func (export {evil})) {body})"),
        "(module (func \u{1b}]0;owned\u{7}))".to_owned(),
    ];
    for (number, module) in modules.iter().enumerate() {
        let path = files.with(&format!("{number}.wat"), module);
        for command in ["inspect", "run"] {
            let ended = run([command, &path]);
            let shown = format!("{}{}", ended.text(), ended.stderr);
            // The second one runs in silence.
            let is_named = shown.contains(r"\u{1b}]0;owned\u{7}");
            assert_eq!(
                is_named,
                (number, command) != (1, "run"),
                "{command}: {shown:?}"
            );
            let steering = |c: &char| c.is_control() && *c != '\n';
            assert_eq!(shown.chars().find(steering), None, "{command}: {shown:?}");
        }
    }
}

#[test]
fn a_reader_that_has_enough_of_the_output_is_no_error() {
    let files = Files::new();
    let lines = files.with(
        "lines",
        "a line of some length, so that a pipe is full soon\n".repeat(20_000),
    );
    for arguments in [
        &["run", "--lines", &lines, "@echo"][..],
        &["run", "--format", "json", "--lines", &lines, "@echo"],
    ] {
        let mut command = command(arguments);
        command.stdout(Stdio::piped());
        let mut host = Host::spawn_keeping_stdout(command);
        let mut stdout = host.stdout();
        stdout.read_exact(&mut [0; 100]).expect("it begins");
        drop(stdout);
        let ended = host.end().exits_with(0);
        assert_eq!(ended.stderr, "");
    }
    for arguments in [
        &["guests"][..],
        &["inspect", "@argon2"],
        &["man", "run"],
        &["completions", "bash"],
        &["--help"],
    ] {
        let mut command = command(arguments);
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        command.stdout(writer);
        let ended = Host::spawn_keeping_stdout(command).end();
        assert!(
            !ended.stderr.contains("panicked"),
            "{arguments:?}: {}",
            ended.stderr
        );
        ended.exits_with(0);
    }
}

// ---------------------------------------------------------------------------------------------
// Stopping
// ---------------------------------------------------------------------------------------------

#[test]
fn the_first_signal_finishes_the_jobs_that_have_begun() {
    let files = Files::new();
    let guest = files.with("dawdler.wat", dawdler());
    for isolation in ["thread", "process"] {
        for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
            let mut command = command([
                "run",
                "--isolation",
                isolation,
                "--workers",
                "3",
                "--lines",
                "-",
                &guest,
            ]);
            command.stdin(Stdio::piped());
            let mut host = Host::spawn(command);
            let mut stdin = host.stdin();
            stdin.write_all(b"9 a\n9 b\n9 c\n").expect("it reads");
            for _ in 0..3 {
                host.hear("posts: begun");
            }
            host.signal(signal);
            // Standard input stays open: it must not be waited for.
            let ended = host.end().exits_with(code);
            assert_eq!(ended.text(), "9 a\n9 b\n9 c\n");
            ended.says("stopping: ");
            drop(stdin);
        }
    }
}

#[test]
fn the_second_signal_kills_the_jobs_that_run() {
    let files = Files::new();
    let guest = files.with("spinner.wat", spinner());
    for isolation in ["thread", "process"] {
        let mut host = Host::spawn(command([
            "run",
            "--isolation",
            isolation,
            "--timeout",
            "none",
            "--workers",
            "1",
            "--repeat",
            "3",
            &guest,
        ]));
        let begun = host.hear("posts: begun");
        host.signal(Signal::INT);
        host.hear("stopping: ");
        host.signal(Signal::INT);
        host.end()
            .exits_with(130)
            .says("cancelled: the pool was stopped");
        if isolation == "process" {
            let worker = pid_in(&begun);
            common::wait_until("the worker's end", || !is_alive(worker));
        }
    }
}

#[test]
fn a_signal_while_nothing_comes_ends_the_program() {
    let mut command = command(["run", "--workers", "1", "--lines", "-", "@echo"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut host = Host::spawn_keeping_stdout(command);
    let mut stdin = host.stdin();
    stdin.write_all(b"one\n").expect("it reads");
    let mut reply = [0; 4];
    host.stdout().read_exact(&mut reply).expect("the reply");
    assert_eq!(&reply, b"one\n");
    host.signal(Signal::TERM);
    host.end().exits_with(143).says("stopping: 0 jobs");
    drop(stdin);
}

// ---------------------------------------------------------------------------------------------
// The other commands
// ---------------------------------------------------------------------------------------------

/// The names under "Commands:" in the help.
fn commands() -> Vec<String> {
    let help = run(["--help"]).exits_with(0);
    let (_, list) = help
        .text()
        .split_once("Commands:\n")
        .expect("a list of commands");
    let lines = list.lines().take_while(|line| line.starts_with("  "));
    // A description that is wrapped goes on further to the right.
    let names = lines.filter(|line| !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names.map(str::to_owned).collect()
}

#[test]
fn every_command_has_help_with_its_usage() {
    let commands = commands();
    for expected in [
        "run",
        "compare",
        "inspect",
        "guests",
        "doctor",
        "completions",
        "man",
        "help",
    ] {
        assert!(
            commands.iter().any(|name| name == expected),
            "{expected}: {commands:?}"
        );
    }
    for name in commands.iter().filter(|name| *name != "help") {
        let help = run([name, "--help"]).exits_with(0);
        assert!(
            help.text().contains(&format!("Usage: cofferdam {name}")),
            "{}",
            help.text()
        );
        assert_eq!(help.stderr, "");
        let short = run([name, "-h"]).exits_with(0);
        assert!(short.text().contains("Usage: "));
    }
}

#[test]
fn the_help_names_every_exit_code() {
    let help = run(["--help"]).exits_with(0);
    for code in [
        "0 done",
        "1 some job failed",
        "2 usage",
        "124 deadline",
        "125 ",
        "126 ",
        "127 not found",
        "134 trap",
        "128+n",
    ] {
        assert!(help.text().contains(code), "{code}: {}", help.text());
    }
}

#[test]
fn every_shell_gets_a_completion_script_that_names_the_commands() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = run(["completions", shell]).exits_with(0);
        for word in ["inspect", "isolation", "timeout"] {
            assert!(script.text().contains(word), "{shell}: {word}");
        }
        assert!(
            !script.text().contains("__trial"),
            "{shell} shows a hidden command"
        );
    }
}

#[test]
fn there_is_a_manual_page_for_each_command() {
    let whole = run(["man"]).exits_with(0);
    assert!(whole.text().contains(".TH cofferdam 1"), "{}", whole.text());
    for name in commands().iter().filter(|name| *name != "help") {
        let page = run(["man", name]).exits_with(0);
        assert!(
            page.text().contains(&format!(".TH cofferdam-{name} 1")),
            "{}",
            page.text()
        );
    }
    run(["man", "__trial"])
        .exits_with(2)
        .says("no command __trial");
}

#[test]
fn the_version_is_that_of_the_package() {
    let version = run(["--version"]).exits_with(0);
    assert_eq!(
        version.text(),
        format!("cofferdam {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn guests_lists_every_built_in_guest() {
    for arguments in [&["guests"][..], &["guests", "--long"]] {
        let list = run(arguments).exits_with(0);
        for guest in cofferdam::EMBEDDED {
            assert!(
                list.text().contains(&format!("@{} ", guest.name)),
                "{}",
                list.text()
            );
            assert!(list.text().contains(guest.summary));
        }
    }
}

#[test]
fn inspect_shows_what_a_module_is_and_exits_with_126_for_a_stranger() {
    let files = Files::new();
    let ended = run(["inspect", "@echo"]).exits_with(0);
    for words in [
        "a guest of interface 1",
        "cofferdam.input_read func (i32, i32, i32) -> i32",
        "handle func () -> i32",
        &embedded("echo").sha256(),
    ] {
        assert!(ended.text().contains(words), "{words}: {}", ended.text());
    }
    let json = run(["inspect", "--format", "json", "@echo"]).exits_with(0);
    let object: Value = serde_json::from_str(json.text()).expect("an object");
    assert_eq!(
        (&object["runs"], &object["kind"]),
        (&true.into(), &"interface-1".into())
    );
    let stranger = files.with("stranger.wat", r#"(module (import "env" "f" (func)))"#);
    let ended = run(["inspect", &stranger]).exits_with(126);
    assert!(ended.text().contains("not a guest"), "{}", ended.text());
    let text = files.with("text", "hello");
    run(["inspect", &text])
        .exits_with(126)
        .says("text of another kind");
}

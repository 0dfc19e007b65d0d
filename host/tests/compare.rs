//! `cofferdam compare` and `cofferdam report`, as a user runs them.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/compare-2.json");

fn cofferdam(cache: &Path, subcommand: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cofferdam"));
    command
        .env("COFFERDAM_CACHE_DIR", cache.join("cache"))
        .env_remove("NO_COLOR")
        .arg(subcommand);
    command
}

fn compare(cache: &Path) -> Command {
    cofferdam(cache, "compare")
}

/// With its result in a file.
fn compare_into(cache: &Path, file: &Path, args: &[&str]) -> Command {
    let mut command = compare(cache);
    command.args(args).arg("--export-json").arg(file);
    command
}

fn read(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn assert_valid(result: &Value) {
    let schema: Value = serde_json::from_str(&fs::read_to_string(SCHEMA).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(result)
        .map(|error| format!("{} at {}", error, error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
}

fn floats(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|number| number.as_f64().unwrap())
        .collect()
}

fn row<'r>(result: &'r Value, experiment: &str, metric: &str) -> &'r Value {
    let rows = result["rows"].as_array().unwrap();
    rows.iter()
        .find(|row| row["experiment"] == experiment && row["metric"] == metric)
        .unwrap_or_else(|| panic!("there is no row {experiment}.{metric}"))
}

/// What must happen: written down here once more, so that no slip in the program's own table passes.
const FATES: [(&str, &str, &str); 12] = [
    ("trap", "contained", "contained"),
    ("recursion", "contained", "contained"),
    ("loop", "contained", "worker-lost"),
    ("wait", "contained", "worker-lost"),
    ("grow", "contained", "contained"),
    ("flood", "contained", "contained"),
    ("lie", "contained", "contained"),
    ("host-panic", "worker-lost", "worker-lost"),
    ("host-abort", "host-died", "worker-lost"),
    ("host-segfault", "host-died", "worker-lost"),
    ("kill", "host-died", "worker-lost"),
    ("stop", "host-stopped", "worker-lost"),
];

#[test]
fn the_published_schema_is_that_of_the_types() {
    let generated = serde_json::to_string_pretty(&cofferdam::report::json_schema()).unwrap() + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        fs::write(SCHEMA, &generated).unwrap();
    }
    let published = fs::read_to_string(SCHEMA).unwrap_or_default();
    assert!(
        published == generated,
        "host/schema is out of date: run this test with UPDATE_SCHEMA=1"
    );
}

#[test]
fn a_quick_comparison_judges_every_claim_and_every_form_is_made_from_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let output = compare(folder.path())
        // A build without optimisation beside other tests takes its time for six rounds.
        .args(["--quick", "--time-budget", "30s", "@echo"])
        .args(["--export-json".as_ref(), at("a.json").as_os_str()])
        .args(["--export-csv".as_ref(), at("a.csv").as_os_str()])
        .args(["--export-markdown".as_ref(), at("a.md").as_os_str()])
        .args(["--report".as_ref(), at("a.html").as_os_str()])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}{errors}");
    let wide = text.lines().find(|line| line.chars().count() > 80);
    assert_eq!(wide, None, "wider than a terminal");
    assert!(!text.contains('\u{1b}'), "colour in a pipe");

    let result = read(&at("a.json"));
    assert_valid(&result);
    assert_eq!(result["complete"], true);
    assert_eq!(result["failures"], Value::Array(vec![]));
    assert_eq!(result["settings"]["rigged"], Value::Null);
    // Its own time, but for the machine that is busy with other tests.
    let experiments = ["start", "message", "job", "memory"];
    for experiment in experiments {
        let rows = result["rows"].as_array().unwrap().iter();
        let rows: Vec<_> = rows.filter(|row| row["experiment"] == experiment).collect();
        assert!(rows.len() >= 4, "{experiment}");
        for row in rows {
            let series = &result["series"][row["series"].as_str().unwrap()];
            for arm in row["arms"].as_object().unwrap().keys() {
                let rounds = series[arm].as_array().unwrap();
                let samples = rounds.iter().flat_map(floats);
                assert!(samples.count() > 0, "{} {arm}", row["metric"]);
            }
        }
    }

    // The middle ratio follows from the samples alone.
    let echo = row(&result, "start", "first_echo");
    let values = |arm: &str| -> Vec<f64> {
        let rounds = &result["series"][echo["series"].as_str().unwrap()][arm];
        let rounds = rounds.as_array().unwrap().iter();
        rounds
            .map(|round| cofferdam::stats::median(&floats(round)).unwrap())
            .collect()
    };
    let (process, thread, control) = (values("process"), values("thread"), values("control"));
    let ratios: Vec<f64> = (0..process.len())
        .map(|round| process[round] / (thread[round] * control[round]).sqrt())
        .collect();
    let stated = echo["ratio"]["median"].as_f64().unwrap();
    assert!((cofferdam::stats::median(&ratios).unwrap() / stated - 1.0).abs() < 1e-9);
    // A program takes longer to spawn than a thread, on any machine and however busy. A fork need not, where
    // whoever waits for a CPU waits longer than either takes.
    let rows = result["rows"].as_array().unwrap().iter();
    let by_exec = rows
        .filter(|row| row["metric"] == "first_echo")
        .find(|row| row["compared"][0] == "exec")
        .unwrap();
    let slower = by_exec["ratio"]["median"].as_f64().unwrap();
    assert!(slower > 1.0, "{slower}");

    // The guest's own memory is the same wherever it lives, and comes in pages of wasm.
    let linear = row(&result, "memory", "linear_memory");
    let bytes = |arm: &str| linear["arms"][arm]["value"].as_f64().unwrap();
    assert!(bytes("thread") >= 65536.0 && bytes("thread") % 65536.0 == 0.0);
    assert_eq!(bytes("thread"), bytes("process"));
    // What a quick look has no time for is said.
    let left_out = result["left_out"].as_array().unwrap();
    assert!(
        left_out
            .iter()
            .any(|one| one["what"] == "32 workers at work")
    );

    let containment = result["containment"].as_array().unwrap();
    assert_eq!(containment.len(), 2 * FATES.len());
    for (fault, in_thread, in_process) in FATES {
        for (isolation, fate) in [("thread", in_thread), ("process", in_process)] {
            let row = containment
                .iter()
                .find(|row| row["fault"] == fault && row["isolation"] == isolation)
                .unwrap();
            assert_eq!(row["observed"], fate, "{row}");
            assert_eq!(row["expected"], fate, "{row}");
            assert_eq!(row["bystanders_lost"], 0, "{row}");
        }
    }

    let claims = result["claims"].as_array().unwrap();
    let ids: Vec<&str> = claims
        .iter()
        .map(|claim| claim["id"].as_str().unwrap())
        .collect();
    let all = [
        "type",
        "memory",
        "communication",
        "start-up",
        "latency",
        "cpu",
        "parallelism",
        "crash",
        "shell",
        "sharing",
    ];
    assert_eq!(ids, all);
    for claim in claims {
        assert_ne!(claim["verdict"], "not-measured", "{claim}");
        assert!(!claim["evidence"].as_str().unwrap().is_empty(), "{claim}");
    }
    let verdict = |id: &str| &claims[all.iter().position(|known| *known == id).unwrap()]["verdict"];
    for certain in ["type", "memory", "crash", "shell"] {
        assert_eq!(verdict(certain), "confirmed", "{certain}");
    }
    for certain in ["sharing", "communication"] {
        assert_eq!(verdict(certain), "refuted", "{certain}");
    }

    // Everything again, from the file alone.
    let report = |args: &[&str]| {
        let output = cofferdam(folder.path(), "report")
            .arg(at("a.json"))
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    assert_eq!(String::from_utf8(report(&[])).unwrap(), text);
    for (form, file) in [
        ("html", "a.html"),
        ("csv", "a.csv"),
        ("markdown", "a.md"),
        ("json", "a.json"),
    ] {
        assert!(
            report(&["--format", form]) == fs::read(at(file)).unwrap(),
            "{form}"
        );
    }
    let page = fs::read_to_string(at("a.html")).unwrap();
    for outside in ["http://", "https://", "src=", "@import", "<script", "url("] {
        let found = page.find(outside).map(|place| &page[place..place + 60]);
        let known = found.is_none_or(|text| text.starts_with("http://www.w3.org/2000/svg"));
        assert!(known, "{found:?}");
    }
    let twice = report(&[at("a.json").to_str().unwrap(), "--format", "json"]);
    let twice: Value = serde_json::from_slice(&twice).unwrap();
    let rows = twice["rows"].as_array().unwrap();
    assert_eq!(rows.len(), result["rows"].as_array().unwrap().len());
    for row in rows {
        for arm in row["arms"].as_array().unwrap() {
            let factor = arm["factor"]["median"].as_f64().unwrap_or(1.0);
            assert!(
                (factor - 1.0).abs() < 1e-9,
                "{arm}: a result differs from itself"
            );
            assert_eq!(arm["seen"], false, "{arm}");
        }
    }

    // A bound that it keeps, and one that it does not.
    let gate = |bound: &str| {
        let output = cofferdam(folder.path(), "report")
            .arg(at("a.json"))
            .args(["--fail-if", bound, "--baseline"])
            .arg(at("a.json"))
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, told) = gate("process.job.p50 > 1.10x");
    assert_eq!(code, Some(0), "{told}");
    // A job does not take a hundredth of the time anywhere.
    let (code, told) = gate("process.job.p50 > 0.01x thread.job.p50");
    assert_eq!(code, Some(101), "{told}");
    assert!(told.contains("job.p50") && told.contains("0.01"), "{told}");
    let (code, told) = gate("process.job.p5 > 1.10x");
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("job.p50"), "{told}");
}

#[test]
fn ctrl_c_keeps_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("result.json");
    let mut child = compare_into(folder.path(), &file, &["--rigorous", "@echo"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for_rows(&file);
    common::send(child.id(), Signal::INT);
    let text = output_of(&mut child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(text.contains("INTERRUPTED"), "{text}");
    let result = read(&file);
    assert_valid(&result);
    assert_eq!(result["complete"], false);
}

#[test]
fn a_trial_that_is_killed_is_a_failure_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("result.json");
    let mut child = compare_into(
        folder.path(),
        &file,
        &[
            "@echo",
            "--experiments",
            "job,identity",
            "--time-budget",
            "20s",
        ],
    )
    .stdout(Stdio::piped())
    .stderr(Stdio::null())
    .spawn()
    .unwrap();
    wait_for_rows(&file);
    let trial = common::wait_for("a trial", || {
        let trials = common::children_of(child.id());
        trials.first().map(|trial| trial.pid)
    });
    common::send(trial, Signal::KILL);
    let text = output_of(&mut child);
    assert_eq!(child.wait().unwrap().code(), Some(1), "{text}");
    assert!(text.contains("signal: 9"), "{text}");
    let result = read(&file);
    assert_valid(&result);
    assert_eq!(result["complete"], true);
    assert_eq!(result["failures"].as_array().unwrap().len(), 1);
    assert!(row(&result, "job", "p50")["verdict"].is_string());
}

/// The trials that a process has ordered and that run by now. A child that does not run this program
/// yet still has the command line of its parent.
fn trials_of(parent: u32) -> Vec<u32> {
    let is_trial = |pid: &u32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|&byte| byte == 0).nth(1) == Some(b"__trial")
    };
    let children = common::children_of(parent).into_iter();
    children.map(|seen| seen.pid).filter(is_trial).collect()
}

fn first_trial(host: u32) -> Option<u32> {
    trials_of(host).first().copied()
}

/// A trial after the one that times the first jobs.
fn later_trial(host: u32) -> Option<u32> {
    let first = common::wait_for("the first trial", || first_trial(host));
    common::wait_until("its end", || !trials_of(host).contains(&first));
    common::wait_for("another trial", || first_trial(host)).into()
}

/// A trial that a trial has ordered.
fn trial_of_a_trial(host: u32) -> Option<u32> {
    trials_of(host).into_iter().find_map(first_trial)
}

/// The sacrificial host of a worker that stands still: the fault has been injected.
fn host_of_a_stopped_worker(host: u32) -> Option<u32> {
    let all = common::processes();
    let parent = |pid: u32| {
        all.iter()
            .find(|seen| seen.pid == pid)
            .map(|seen| seen.parent)
    };
    let trials = trials_of(host);
    let stopped = all.iter().filter(|seen| seen.state == 'T');
    stopped
        .filter_map(|seen| {
            let above = std::iter::successors(parent(seen.pid), |&pid| parent(pid));
            above.take(4).find(|pid| trials.contains(pid))
        })
        .next()
}

/// Compares until the end, but kills the trial that `find` finds: the exit code, the text and the result.
fn with_one_killed(args: &[&str], find: fn(u32) -> Option<u32>) -> (Option<i32>, String, Value) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("result.json");
    let mut child = compare_into(folder.path(), &file, args)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let trial = common::wait_for("the trial to kill", || find(child.id()));
    common::send(trial, Signal::KILL);
    let text = output_of(&mut child);
    let code = child.wait().unwrap().code();
    let result = read(&file);
    assert_valid(&result);
    (code, text, result)
}

#[test]
fn whichever_trial_is_killed_it_is_a_failure_of_its_own_and_the_other_rows_are_there() {
    type Find = fn(u32) -> Option<u32>;
    // Of a slow guest the first trial, which times its jobs, is there long enough to be hit.
    let cases: [(&str, &str, Find, &str, &str); 5] = [
        ("@argon2", "job", first_trial, "calibration", "job.p50"),
        ("@echo", "job", later_trial, "", "job.p50"),
        ("@echo", "memory", later_trial, "", "memory."),
        (
            "@echo",
            "identity,message",
            later_trial,
            "",
            "message.round_trip",
        ),
        ("@echo", "scaling", trial_of_a_trial, "grid", "scaling."),
    ];
    for (guest, experiments, find, part, row) in cases {
        let args = [guest, "--time-budget", "12s", "--experiments", experiments];
        let (code, text, result) = with_one_killed(&args, find);
        let failures = result["failures"].as_array().unwrap();
        assert_eq!(failures.len(), 1, "{experiments}: {failures:?}");
        let (named, error) = (&failures[0]["part"], &failures[0]["error"]);
        assert!(named.as_str().unwrap().contains(part), "{failures:?}");
        assert!(error.as_str().unwrap().contains("signal: 9"), "{error}");
        assert!(!text.contains("first input"), "{experiments}: {text}");
        assert_eq!(code, Some(1), "{experiments}: {text}");
        assert_eq!(result["complete"], true);
        let rows = result["rows"].as_array().unwrap().iter();
        let names = rows.map(|row| {
            format!(
                "{}.{}",
                row["experiment"].as_str().unwrap(),
                row["metric"].as_str().unwrap()
            )
        });
        let named = names.filter(|name| name.starts_with(row)).count();
        assert!(named > 0, "{experiments}");
    }
}

#[test]
fn a_sacrificial_host_that_somebody_else_kills_has_no_fate_and_is_tried_again() {
    for find in [later_trial, host_of_a_stopped_worker] {
        let args = ["@echo", "--quick", "--experiments", "containment"];
        let (code, text, result) = with_one_killed(&args, find);
        assert_eq!(code, Some(1), "{text}");
        let failures = result["failures"].as_array().unwrap();
        assert_eq!(failures.len(), 1, "{failures:?}");
        let error = failures[0]["error"].as_str().unwrap();
        assert!(error.contains("signal: 9"), "{error}");
        assert!(error.contains("tried once more"), "{error}");
        // Every fault has its row, and each went as it must.
        let containment = result["containment"].as_array().unwrap();
        assert_eq!(containment.len(), 2 * FATES.len());
        for row in containment {
            assert_eq!(row["observed"], row["expected"], "{row}");
        }
        let claims = result["claims"].as_array().unwrap();
        let crash = claims.iter().find(|claim| claim["id"] == "crash").unwrap();
        assert_eq!(crash["verdict"], "confirmed", "{crash}");
    }
}

#[test]
fn a_trial_that_is_stuck_is_given_up_after_a_short_budget_and_the_time_is_told_to_be_short() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("result.json");
    let args = ["@echo", "--time-budget", "2s"];
    let child = compare_into(folder.path(), &file, &args)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stuck = common::wait_for("the trial to stop", || later_trial(child.id()));
    common::send(stuck, Signal::STOP);
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        errors.contains("the rounds that a verdict needs"),
        "{errors}"
    );
    let result = read(&file);
    assert_valid(&result);
    let failures = result["failures"].as_array().unwrap();
    assert_eq!(failures.len(), 1, "{failures:?}");
    let error = failures[0]["error"].as_str().unwrap();
    assert!(error.contains("killed after 10 s"), "{error}");
    let warnings = result["warnings"].as_array().unwrap();
    let short = warnings
        .iter()
        .find(|warning| warning["kind"] == "short-time");
    assert_eq!(short.unwrap()["given_s"], 2.0);
}

/// Waits until something has been measured and saved.
fn wait_for_rows(file: &Path) {
    common::wait_until("a first row", || {
        file.exists() && !read(file)["rows"].as_array().unwrap().is_empty()
    });
}

fn output_of(child: &mut Child) -> String {
    let mut text = String::new();
    std::io::Read::read_to_string(&mut child.stdout.take().unwrap(), &mut text).unwrap();
    text
}

#[test]
fn bad_input_is_found_before_anything_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("no").join("such").join("folder.json");
    let nowhere = nowhere.to_str().unwrap();
    let cases: [(&[&str], i32, &str); 18] = [
        (&["@echo", "--export-json", nowhere], 125, "--export-json"),
        (&["@echo", "--report", nowhere], 125, "--report"),
        (
            &[
                "@echo",
                "--export-csv",
                "/dev/null",
                "--report",
                "/dev/null",
            ],
            2,
            "both name /dev/null",
        ),
        (
            &["@echo", "--experiments", "speed"],
            2,
            "no experiment `speed`",
        ),
        (&["@echo", "--time-budget", "1s"], 2, "less than 2.00 s"),
        (&["@echo", "--time-budget", "7"], 2, "7s"),
        (
            &["@echo", "--fail-if", "process.job.p50 > 1.10x"],
            2,
            "--baseline",
        ),
        (
            &["@echo", "--fail-if", "process.job.p50 is slow"],
            2,
            "--fail-if",
        ),
        (
            &[
                "@echo",
                "--baseline",
                nowhere,
                "--fail-if",
                "process.job.p50 > 1.10x",
            ],
            127,
            "--baseline",
        ),
        (
            &["@echo", "--fail-if", "process.job.p5 > 50ms"],
            2,
            "the plan has no row job.p5; the nearest are job.p50",
        ),
        (
            &[
                "@echo",
                "--experiments",
                "message",
                "--fail-if",
                "process.job.p50 > 50ms",
            ],
            2,
            "add it to --experiments",
        ),
        (
            &["@echo", "--fail-if", "exec.job.p50 > 50ms"],
            2,
            "the plan has no exec in job.p50",
        ),
        (&["@echo", "--baseline", "/dev/null"], 2, "--baseline"),
        (
            &["@echo", "--lines", "/no/such/file"],
            127,
            "--lines /no/such/file",
        ),
        (
            &["@echo", "--lines", "/dev/null"],
            2,
            "it is empty, so there is no job to run",
        ),
        (&["@nobody"], 127, "no built-in guest @nobody"),
        (
            &["@echo", "--quick", "--rigorous"],
            2,
            "cannot be used with",
        ),
        (&["@echo", "--trust", "me"], 2, "third-party"),
    ];
    for (args, code, message) in cases {
        let output = compare(folder.path()).args(args).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {errors}");
        assert!(errors.contains(message), "{args:?}: {errors}");
    }
}

#[test]
fn what_sharing_costs_is_measured_when_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("result.json");
    let args = [
        "@echo",
        "--quick",
        "--experiments",
        "sharing",
        "--time-budget",
        "5s",
    ];
    let output = compare_into(folder.path(), &file, &args).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let result = read(&file);
    assert_valid(&result);
    assert_eq!(result["failures"], Value::Array(vec![]));

    // Both isolations: seen by the other worker, by the host, and no addition is lost.
    let sharing = result["sharing"].as_array().unwrap();
    let isolations: Vec<&Value> = sharing
        .iter()
        .map(|sharing| &sharing["isolation"])
        .collect();
    assert!(isolations.contains(&&Value::from("thread")));
    assert!(isolations.contains(&&Value::from("process")));
    for sharing in sharing {
        assert_eq!(sharing["write_visible"], true, "{sharing}");
        assert_eq!(sharing["host_sees_write"], true, "{sharing}");
        assert_eq!(sharing["additions"], sharing["counted"], "{sharing}");
        let pids = [&sharing["writer_pid"], &sharing["reader_pid"]];
        match sharing["isolation"].as_str() {
            Some("thread") => assert_eq!(pids, [&Value::Null; 2]),
            _ => assert!(pids[0].is_u64() && pids[1].is_u64() && pids[0] != pids[1]),
        }
    }

    // A worker that is sent the data holds it; one that has the region does not.
    let size = f64::from(16 << 20);
    let held = |way: &str, arm: &str| {
        let rows = result["rows"].as_array().unwrap().iter();
        let row = rows
            .filter(|row| row["metric"] == "pss_per_worker")
            .find(|row| row["params"]["way"] == way)
            .unwrap();
        row["arms"][arm]["value"].as_f64().unwrap()
    };
    // A page that others map too counts in part, and they come and go: so the numbers are near, and not exact.
    for arm in ["thread", "process"] {
        assert!(held("message", arm) > 0.9 * size, "{arm}");
        assert!(held("region", arm) < size / 2.0, "{arm}");
    }
    let claim = result["claims"].as_array().unwrap().iter();
    let claim = claim
        .clone()
        .find(|claim| claim["id"] == "sharing")
        .unwrap();
    assert_eq!(claim["verdict"], "refuted", "{claim}");
    let rests_on: Vec<&Value> = claim["rows"].as_array().unwrap().iter().collect();
    assert!(rests_on.contains(&&Value::from("sharing.pss_per_worker[way=region]")));
}

#[test]
fn a_guest_that_fails_is_a_row_with_its_error_and_the_rest_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("result.json");
    let output = compare_into(
        folder.path(),
        &file,
        &[
            "@trap",
            "--experiments",
            "job,message,identity",
            "--time-budget",
            "5s",
        ],
    )
    .output()
    .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(
        errors.contains("@trap fails on its first input"),
        "{errors}"
    );
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("trapped on purpose"), "{text}");
    let result = read(&file);
    assert_valid(&result);
    assert!(row(&result, "message", "round_trip")["verdict"].is_string());
}

#[test]
fn a_rigged_comparison_says_so_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("result.json");
    let output = compare_into(
        folder.path(),
        &file,
        &[
            "@echo",
            "--rig",
            "1000",
            "--experiments",
            "job",
            "--time-budget",
            "6s",
        ],
    )
    .output()
    .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("slowed down by 1000 %"), "{text}");
    let result = read(&file);
    assert_valid(&result);
    assert!(result["settings"]["rigged"].is_string());
    // Eleven times as long is seen on any machine, whatever else it does.
    let ratio = row(&result, "job", "p50")["ratio"]["median"]
        .as_f64()
        .unwrap();
    assert!(ratio > 2.0, "{ratio}");
}

#[test]
fn files_that_are_no_results_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let cases = [
        ("", 2, "cut off"),
        ("{\"schema\":\"cofferdam.compare/2\",\"comp", 2, "cut off"),
        ("hello", 2, "not JSON"),
        ("{}", 2, "schema"),
        ("{\"schema\":\"cofferdam.compare/1\"}", 2, "earlier version"),
        ("{\"schema\":\"cofferdam.compare/99\"}", 2, "newer"),
        ("{\"schema\":\"else/1\"}", 2, "else/1"),
        ("{\"schema\":\"cofferdam.compare/2\"}", 2, "complete"),
    ];
    for (text, code, message) in cases {
        let file = folder.path().join("bad.json");
        fs::write(&file, text).unwrap();
        let output = cofferdam(folder.path(), "report")
            .arg(&file)
            .output()
            .unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{text}: {errors}");
        assert!(errors.contains(message), "{text}: {errors}");
        assert!(errors.contains("bad.json"), "{text}: {errors}");
    }
    let output = cofferdam(folder.path(), "report")
        .arg("/no/such.json")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(127));
}

#[test]
fn what_is_read_is_never_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.json");
    let done = compare_into(
        folder.path(),
        &file,
        &["@echo", "--experiments", "identity", "--time-budget", "2s"],
    )
    .output()
    .unwrap();
    assert!(done.status.success(), "{done:?}");
    let result = read(&file);
    assert_valid(&result);
    let identities = result["identities"].as_array().unwrap();
    assert_eq!(identities.len(), 2, "{identities:?}");
    let before = fs::read(&file).unwrap();
    // The same file by another way.
    let other = folder.path().join(".").join("a.json");
    let output = cofferdam(folder.path(), "report")
        .arg(&file)
        .arg("--export-csv")
        .arg(&other)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let output = compare(folder.path())
        .args(["@echo", "--fail-if", "process.job.p50 > 1.1x", "--baseline"])
        .arg(&file)
        .arg("--export-json")
        .arg(&other)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(fs::read(&file).unwrap() == before);
}

/// A comparison that would write over what it reads; `args` come before `--export-json FILE`.
fn refused(folder: &Path, args: &[&str], file: &Path, stdin: Stdio) {
    let mut command = compare_into(folder, file, &["--experiments", "identity"]);
    let output = command.args(args).stdin(stdin).output().unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{args:?}: {errors}");
    assert!(
        errors.contains("that is read, and would be lost"),
        "{args:?}: {errors}"
    );
}

#[test]
fn no_input_is_overwritten_by_whatever_name() {
    let folder = tempfile::tempdir().unwrap();
    let inputs = folder.path().join("inputs");
    fs::create_dir(&inputs).unwrap();
    let data = inputs.join("data.txt");
    fs::write(&data, "one\ntwo\n").unwrap();
    let link = folder.path().join("link.txt");
    std::os::unix::fs::symlink(&data, &link).unwrap();
    let plain = data.to_str().unwrap();
    let linked = link.to_str().unwrap();
    let inside = inputs.to_str().unwrap();
    let opened = || Stdio::from(fs::File::open(&data).unwrap());
    for (given, file) in [
        (["--lines", plain, "@echo"], &data),
        (["--lines", plain, "@echo"], &link),
        (["--lines", linked, "@echo"], &data),
        (["--input-file", plain, "@echo"], &data),
        (["--input-file", linked, "@echo"], &link),
        (["--input-dir", inside, "@echo"], &data),
        (["--input-dir", inside, "@echo"], &link),
    ] {
        refused(folder.path(), &given, file, Stdio::null());
    }
    // Standard input is a file too, where the shell makes it one.
    refused(folder.path(), &["--lines", "-", "@echo"], &data, opened());
    refused(
        folder.path(),
        &["--input-file", "-", "@echo"],
        &data,
        opened(),
    );
    assert_eq!(fs::read_to_string(&data).unwrap(), "one\ntwo\n");
    assert!(link.is_symlink());
}

#[test]
fn a_guest_from_standard_input_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let guest = folder.path().join("guest.wat");
    let text = common::wat(
        r#"
        (func (export "handle") (result i32) (i32.const 0))"#,
    );
    fs::write(&guest, &text).unwrap();
    let opened = Stdio::from(fs::File::open(&guest).unwrap());
    refused(folder.path(), &["-"], &guest, opened);
    assert_eq!(fs::read_to_string(&guest).unwrap(), text);
}

#[test]
fn an_input_keeps_its_content_under_its_other_names() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data.txt");
    fs::write(&data, "one\ntwo\n").unwrap();
    let other = folder.path().join("result.json");
    fs::hard_link(&data, &other).unwrap();
    let lines = data.to_str().unwrap();
    let args = ["--experiments", "identity", "--time-budget", "2s"];
    let mut command = compare_into(folder.path(), &other, &args);
    let given = ["--lines", lines, "@echo"];
    let output = command.args(given).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(fs::read_to_string(&data).unwrap(), "one\ntwo\n");
    assert_valid(&read(&other));
}

#[test]
fn a_folder_that_goes_away_costs_the_file_and_not_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let gone = folder.path().join("gone");
    fs::create_dir(&gone).unwrap();
    let mut child = compare_into(
        folder.path(),
        &gone.join("a.json"),
        &["@echo", "--experiments", "message", "--time-budget", "4s"],
    )
    .stdout(Stdio::piped())
    .stderr(Stdio::null())
    .spawn()
    .unwrap();
    wait_for_rows(&gone.join("a.json"));
    fs::remove_dir_all(&gone).unwrap();
    let text = output_of(&mut child);
    assert_eq!(child.wait().unwrap().code(), Some(125));
    assert!(text.contains("round trip"), "{text}");
}

#[test]
fn an_input_with_which_the_guest_fails_is_left_out_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("result.json");
    let lines = folder.path().join("lines");
    // Thirty-two bytes are a key; fewer are refused.
    fs::write(
        &lines,
        format!("{}\nshort\n{}\n", "k".repeat(40), "q".repeat(50)),
    )
    .unwrap();
    let output = compare(folder.path())
        .args([
            "@encrypt",
            "--experiments",
            "job",
            "--time-budget",
            "6s",
            "--lines",
        ])
        .arg(&lines)
        .arg("--export-json")
        .arg(&file)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let result = read(&file);
    assert_valid(&result);
    let failures = result["failures"].as_array().unwrap();
    assert_eq!(failures.len(), 1, "{failures:?}");
    let error = failures[0]["error"].as_str().unwrap();
    assert!(error.starts_with("input 2 of 3: "), "{error}");
    assert!(row(&result, "job", "p50")["verdict"].is_string());
}

#[test]
fn the_hidden_subcommand_says_that_it_is_not_for_people() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cofferdam"));
    let output = command
        .arg("__trial")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("this command is cofferdam's own")
    );
}

#[test]
fn a_guest_of_any_kind_is_compared_as_it_is_run() {
    let folder = tempfile::tempdir().unwrap();
    // A command that writes what it is told: its last argument and a file of its folder decide it.
    let command = r#"(module
        (import "wasi_snapshot_preview1" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "path_open" (func $open
            (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
        (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 1)
        (data (i32.const 64) "mark")
        (func (export "_start")
            (drop (call $sizes (i32.const 0) (i32.const 4)))
            (if (i32.ne (i32.load (i32.const 0)) (i32.const 3)) (then (call $exit (i32.const 3))))
            (if (call $open (i32.const 3) (i32.const 0) (i32.const 64) (i32.const 4) (i32.const 0)
                    (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16))
                (then (call $exit (i32.const 4))))))"#;
    fs::write(folder.path().join("command.wat"), command).unwrap();
    let add = r#"(module (func (export "add") (param i32 i32) (result i32)
        (if (i32.ne (local.get 0) (i32.const 3)) (then unreachable))
        (i32.add (local.get 0) (local.get 1))))"#;
    fs::write(folder.path().join("add.wat"), add).unwrap();
    fs::create_dir(folder.path().join("state")).unwrap();
    fs::write(folder.path().join("state/mark"), "").unwrap();
    let measured = |arguments: &[&str]| {
        let file = folder.path().join("result.json");
        let mut command = compare(folder.path());
        command
            .args([
                "--experiments",
                "job",
                "--time-budget",
                "4s",
                "--export-json",
            ])
            .arg(&file)
            .args(arguments);
        let output = command.current_dir(folder.path()).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        let result = read(&file);
        assert_valid(&result);
        assert_eq!(
            result["failures"].as_array().map(Vec::len),
            Some(0),
            "{result:#}"
        );
        let told = String::from_utf8(output.stdout).unwrap();
        (result, told)
    };
    let (result, told) = measured(&["--dir", "state::/state:ro", "command.wat", "--", "a", "b"]);
    let called = "arguments a b, folder state::/state:ro";
    assert_eq!(result["guest"]["called"], called);
    assert!(told.contains(&format!("\nas {called}\n")), "{told}");
    let (result, _) = measured(&["--invoke", "add", "add.wat", "--", "3", "4"]);
    assert!(
        result["guest"]["called"].as_str().unwrap().contains("add"),
        "{result:#}"
    );
    // Another function would be other work.
    let output = compare(folder.path())
        .args([
            "--invoke", "add", "--input", "3 4", "add.wat", "--", "3", "4",
        ])
        .current_dir(folder.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("the input of the only job"));
}

//! `cofferdam compare`, as a user runs it.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/compare-1.json");

fn compare(cache: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cofferdam"));
    command
        .env("COFFERDAM_CACHE_DIR", cache.join("cache"))
        .arg("compare");
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
fn a_quick_comparison_fills_every_row_and_its_file_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("result.json");
    let output = compare(folder.path())
        .args(["--quick", "@echo", "--export-json"])
        .arg(&file)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}{errors}");
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );

    let result = read(&file);
    assert_valid(&result);
    assert_eq!(result["schema"], "cofferdam.compare/1");
    assert_eq!(result["complete"], true);
    assert_eq!(result["failures"], Value::Array(vec![]));
    let rows = result["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 9);
    let rounds = usize::try_from(result["rounds"].as_u64().unwrap()).unwrap();
    assert!(rounds >= 3);
    for row in rows {
        for arm in ["thread", "process", "control"] {
            let samples = row["arms"][arm]["samples"].as_array().unwrap();
            assert_eq!(samples.len(), rounds, "{}", row["metric"]);
            assert!(
                samples
                    .iter()
                    .all(|round| floats(round).iter().all(|&sample| sample > 0.0))
            );
        }
        assert!(row["verdict"].is_string(), "{}", row["metric"]);
    }

    // The middle ratio follows from the samples alone.
    let row = rows
        .iter()
        .find(|row| row["metric"] == "first_echo")
        .unwrap();
    let values = |arm: &str| -> Vec<f64> {
        let rounds = row["arms"][arm]["samples"].as_array().unwrap();
        rounds
            .iter()
            .map(|round| cofferdam::stats::median(&floats(round)).unwrap())
            .collect()
    };
    let ratios: Vec<f64> = values("process")
        .iter()
        .zip(values("thread"))
        .map(|(p, t)| p / t)
        .collect();
    let stated = row["ratio"]["median"].as_f64().unwrap();
    assert!((cofferdam::stats::median(&ratios).unwrap() - stated).abs() < 1e-9);
    // A program takes longer to spawn than a thread, on any machine.
    // (Whether the interval says so too depends on how busy this machine is.)
    assert!(stated > 1.0, "{stated}");

    let containment = result["containment"].as_array().unwrap();
    assert_eq!(containment.len(), 4);
    for row in containment {
        assert_eq!(row["expected"], row["observed"], "{row}");
    }
}

#[test]
fn ctrl_c_keeps_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("result.json");
    let mut child = compare(folder.path())
        .args(["--rigorous", "@echo", "--export-json"])
        .arg(&file)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Until a first trial has been measured.
    let measured = || {
        file.exists()
            && read(&file)["rows"][0]["arms"]
                .as_object()
                .is_some_and(|arms| !arms.is_empty())
    };
    for _ in 0..600 {
        if measured() {
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(measured(), "nothing was saved within a minute");
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let mut text = String::new();
    std::io::Read::read_to_string(&mut child.stdout.take().unwrap(), &mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(text.contains("INTERRUPTED"), "{text}");
    let result = read(&file);
    assert_valid(&result);
    assert_eq!(result["complete"], false);
}

#[test]
fn bad_input_is_found_before_anything_is_measured() {
    let folder = tempfile::tempdir().unwrap();
    let trap = folder.path().join("no").join("such").join("folder.json");
    let cases: [(&[&str], i32, &str); 6] = [
        (
            &["@echo", "--export-json", trap.to_str().unwrap()],
            125,
            "--export-json",
        ),
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
        (&["@trap"], 1, "fails on its first input"),
    ];
    for (args, code, message) in cases {
        let output = compare(folder.path()).args(args).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{args:?}: {errors}");
        assert!(errors.contains(message), "{args:?}: {errors}");
    }
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

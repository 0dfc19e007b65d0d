//! `cofferdam doctor`, from outside. What it finds depends on the machine; the form does not.

mod common;

use common::{Host, command, run};
use serde_json::Value;

#[test]
fn the_text_fits_a_terminal_and_has_every_section() {
    let ended = run(["doctor"]).exits_with(0);
    assert_eq!(ended.stderr, "", "progress is for terminals");
    for line in ended.text().lines() {
        assert!(line.chars().count() <= 80, "{line}\n{}", ended.text());
    }
    for title in ["Machine", "Noise", "Isolation features"] {
        let found = ended.text().lines().any(|line| line.starts_with(title));
        assert!(found, "{title}\n{}", ended.text());
    }
    let mut ends = ["What to do\n", "Nothing to do: "].iter();
    assert!(
        ends.any(|end| ended.text().contains(end)),
        "{}",
        ended.text()
    );
}

#[test]
fn a_worker_is_started_to_see_what_of_the_hardening_holds() {
    let ended = run(["doctor", "--format", "json"]).exits_with(0);
    let report: Value = serde_json::from_slice(&ended.stdout).expect("one JSON value");
    let layers = report["layers"].as_array().expect("a list of layers");
    assert_eq!(layers.len(), cofferdam::Layer::ALL.len());
    for layer in layers {
        let holds = layer["standing"] == "enforced";
        assert_eq!(holds, layer["reason"].is_null(), "{layer}");
    }
}

#[test]
fn the_json_has_every_feature_with_a_state() {
    let ended = run(["doctor", "--format", "json"]).exits_with(0);
    let report: Value = serde_json::from_slice(&ended.stdout).expect("one JSON value");
    let features = report["features"].as_array().expect("a list of features");
    assert!(features.len() >= 11, "{features:?}");
    for feature in features {
        let text = |key: &str| {
            feature[key]
                .as_str()
                .unwrap_or_else(|| panic!("{key}: {feature}"))
        };
        assert!(
            !text("name").is_empty() && !text("what_for").is_empty(),
            "{feature}"
        );
        let detail = text("detail");
        match text("state") {
            "available" => {}
            "unavailable" | "partial" => assert!(!detail.is_empty(), "{feature}"),
            other => panic!("{other}: {feature}"),
        }
    }
    assert!(report["machine"]["cpus"].as_u64() >= Some(1), "{report:#}");
    let noise = &report["noise"];
    for figure in [
        &noise["alone"]["p50_s"],
        &noise["all_cpus"]["p50_s"],
        &noise["wake_up"]["p50_s"],
        &noise["slowdown"],
    ] {
        assert!(figure.as_f64() > Some(0.0), "{noise:#}");
    }
    for trouble in report["troubles"].as_array().expect("a list of troubles") {
        assert!(trouble["kind"].is_string(), "{trouble}");
    }
    // It can be read back as what it is, by a program that embeds cofferdam.
    serde_json::from_value::<cofferdam::doctor::Report>(report).expect("a report");
}

#[test]
fn a_command_line_that_it_does_not_know_is_a_usage_error() {
    for arguments in [&["doctor", "extra-arg"][..], &["doctor", "--format", "xml"]] {
        let ended = run(arguments).exits_with(2);
        assert!(ended.stdout.is_empty());
    }
}

#[test]
fn its_help_has_examples_and_exit_codes() {
    let help = run(["doctor", "--help"]).exits_with(0);
    for words in ["Examples:", "Exit codes: 0 done", "--format"] {
        assert!(help.text().contains(words), "{words}: {}", help.text());
    }
}

#[test]
fn a_reader_that_is_gone_is_no_failure() {
    for arguments in [&["doctor"][..], &["doctor", "--format", "json"]] {
        let mut command = command(arguments);
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        command.stdout(writer);
        let ended = Host::spawn_keeping_stdout(command).end().exits_with(0);
        assert_eq!(ended.stderr, "");
    }
}

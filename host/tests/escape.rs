//! Native code in a guest's place: what it reaches in a thread, it does not reach in a process.

mod common;

use serde_json::Value;

use common::run;

/// What came of each deed: its name, the isolation, and whether it came through.
fn tried(hardening: &str) -> Vec<(String, String, bool)> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("result.json");
    let arguments = [
        "compare",
        "--quick",
        "--experiments",
        "containment",
        "--hardening",
        hardening,
        "--export-json",
        file.to_str().expect("a path in UTF-8"),
        "@echo",
    ];
    run(arguments).exits_with(0);
    let text = std::fs::read_to_string(&file).expect("the result");
    let result: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(result["settings"]["hardening"], hardening);
    let reach = result["reach"].as_array().expect("a list");
    reach
        .iter()
        .map(|reach| {
            let deed = match &reach["deed"] {
                Value::String(name) => name.clone(),
                act => act["act"].as_str().expect("an act").to_owned(),
            };
            let isolation = reach["isolation"].as_str().expect("a word").to_owned();
            (deed, isolation, reach["stopped_by"].is_null())
        })
        .collect()
}

fn through<'t>(tried: &'t [(String, String, bool)], isolation: &str) -> Vec<&'t str> {
    let of_it = tried.iter().filter(|(_, place, _)| place == isolation);
    of_it
        .filter(|(.., came_through)| *came_through)
        .map(|(deed, ..)| deed.as_str())
        .collect()
}

fn count(tried: &[(String, String, bool)], isolation: &str) -> usize {
    let of_it = tried.iter().filter(|(_, place, _)| place == isolation);
    of_it.count()
}

/// What everybody can do who is not walled in, root or not.
const EVERYBODY_CAN: [&str; 12] = [
    "host-secret",
    "neighbour-memory",
    "read-file",
    "list-folder",
    "read-environment",
    "socket",
    "connect",
    "run-program",
    "start-thread",
    "signal-host",
    "make-code",
    "stray-descriptor",
];

#[test]
fn a_hardened_process_denies_every_act_and_a_thread_hardly_any() {
    let tried = tried("required");
    assert!(count(&tried, "process") >= 30);
    assert_eq!(count(&tried, "thread"), count(&tried, "process"));
    assert_eq!(through(&tried, "process"), Vec::<&str>::new());
    let in_a_thread = through(&tried, "thread");
    for deed in EVERYBODY_CAN {
        assert!(in_a_thread.contains(&deed), "{deed}: {in_a_thread:?}");
    }
}

#[test]
fn a_process_that_gives_nothing_up_is_no_wall_but_for_memory() {
    let tried = tried("off");
    let in_a_process = through(&tried, "process");
    // Whose memory it is, is another process's business even so; and stray descriptors are always closed.
    let never = ["host-secret", "neighbour-memory", "stray-descriptor"];
    for deed in EVERYBODY_CAN {
        assert_eq!(
            in_a_process.contains(&deed),
            !never.contains(&deed),
            "{deed}: {in_a_process:?}"
        );
    }
}

//! A deployment as Rust code for the library.

use std::fmt::Write;
use std::time::Duration;

use super::result::Settings;
use crate::job::Limits;
use crate::options::{Isolation, LinkKind, StartMethod};
use crate::runtime::InstancePolicy;
use crate::units::ByteSize;

/// What whoever copies the code of processes has to know.
const NOTE: &str = "\
// A process worker is this program, spawned anew: `main` has to call
// `cofferdam::serve_if_worker()` before anything else.
";

/// The builder's calls for these choices (a way only for processes), with the limits and as many workers as were measured. It
/// stands in a function that returns a `Result`, where `guest` is a `cofferdam::Guest`.
pub(super) fn snippet(
    settings: &Settings,
    isolation: Isolation,
    way: Option<(StartMethod, LinkKind)>,
    instance: InstancePolicy,
) -> String {
    let limits = limits(settings);
    let has_size = limits.iter().any(|limit| limit.value.contains("ByteSize"));
    let names: Vec<&str> = [
        ("ByteSize", has_size),
        ("InstancePolicy", true),
        ("Isolation", true),
        ("Limits", !limits.is_empty()),
        ("Pool", true),
    ]
    .into_iter()
    .filter_map(|(name, is_used)| is_used.then_some(name))
    .collect();
    // On a line of their own: a terminal may be narrow.
    let more = match way {
        Some(_) => "use cofferdam::{LinkKind, StartMethod};\n",
        None => "",
    };
    let note = match isolation {
        Isolation::Thread => "",
        Isolation::Process => NOTE,
    };
    let mut text = format!(
        "use cofferdam::{{{}}};\n{more}\n{note}let pool = Pool::builder(guest)\n",
        names.join(", ")
    );
    for call in calls(settings, isolation, way, instance, &limits) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "    {call}");
    }
    text
}

fn calls(
    settings: &Settings,
    isolation: Isolation,
    way: Option<(StartMethod, LinkKind)>,
    instance: InstancePolicy,
    limits: &[Limit],
) -> Vec<String> {
    let mut calls = Vec::new();
    calls.push(match isolation {
        Isolation::Thread => ".isolation(Isolation::Thread)".to_owned(),
        Isolation::Process => ".isolation(Isolation::Process)".to_owned(),
    });
    if let Some((start, link)) = way {
        let start = match start {
            StartMethod::Exec => "Exec",
            StartMethod::Fork => "Fork",
            StartMethod::Spare => "Spare",
        };
        let link = match link {
            LinkKind::Pipe => "Pipe",
            LinkKind::Shm => "Shm",
        };
        calls.push(format!(".start(StartMethod::{start})"));
        calls.push(format!(".link(LinkKind::{link})"));
    }
    let instance = match instance {
        InstancePolicy::Fresh => "Fresh",
        InstancePolicy::Reused => "Reused",
    };
    calls.push(format!(".instance(InstancePolicy::{instance})"));
    calls.push(format!(".workers({})", settings.cpus.max(1)));
    if !limits.is_empty() {
        calls.push(".limits(Limits {".to_owned());
        calls.extend(
            limits
                .iter()
                .map(|limit| format!("    {}: {},", limit.field, limit.value)),
        );
        if limits.len() < FIELDS {
            calls.push("    ..Limits::default()".to_owned());
        }
        calls.push("})".to_owned());
    }
    calls.push(".build()?;".to_owned());
    calls
}

/// Fields of [`Limits`].
const FIELDS: usize = 6;

/// A field of [`Limits`] as code.
struct Limit {
    field: &'static str,
    value: String,
}

/// The limits that are not the usual ones.
fn limits(settings: &Settings) -> Vec<Limit> {
    let Limits {
        memory,
        stack,
        fuel,
        output,
        input,
        timeout,
    } = Limits::default();
    let bytes = |limit: u64, usual: ByteSize| (limit != usual.bytes()).then(|| size(limit));
    let usual_timeout = timeout.map(|timeout| timeout.as_secs_f64());
    let fields: [(&'static str, Option<String>); FIELDS] = [
        ("memory", bytes(settings.memory_limit, memory)),
        ("stack", bytes(settings.stack_limit, stack)),
        (
            "fuel",
            (settings.fuel != fuel).then(|| format!("{:?}", settings.fuel)),
        ),
        ("output", bytes(settings.output_limit, output)),
        ("input", bytes(settings.input_limit, input)),
        (
            "timeout",
            (settings.timeout_s != usual_timeout).then(|| span(settings.timeout_s)),
        ),
    ];
    fields
        .into_iter()
        .filter_map(|(field, value)| {
            Some(Limit {
                field,
                value: value?,
            })
        })
        .collect()
}

fn span(limit: Option<f64>) -> String {
    match limit.filter(|&limit| Duration::try_from_secs_f64(limit).is_ok()) {
        // `{:?}` keeps the point that makes a literal a float.
        Some(limit) => format!("Some(std::time::Duration::from_secs_f64({limit:?}))"),
        None => "None".to_owned(),
    }
}

fn size(bytes: u64) -> String {
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    if bytes == 0 {
        "ByteSize::from_bytes(0)".to_owned()
    } else if bytes.is_multiple_of(MIB) {
        format!("ByteSize::from_mib({})", bytes / MIB)
    } else if bytes.is_multiple_of(KIB) {
        format!("ByteSize::from_kib({})", bytes / KIB)
    } else {
        format!("ByteSize::from_bytes({bytes})")
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::sample;
    use super::*;

    #[test]
    fn a_process_is_deployed_with_its_start_and_its_link() {
        let mut settings = sample().settings;
        settings.timeout_s = Some(2.5);
        assert_eq!(
            snippet(
                &settings,
                Isolation::Process,
                Some((StartMethod::Exec, LinkKind::Pipe)),
                InstancePolicy::Fresh
            ),
            r"use cofferdam::{ByteSize, InstancePolicy, Isolation, Limits, Pool};
use cofferdam::{LinkKind, StartMethod};

// A process worker is this program, spawned anew: `main` has to call
// `cofferdam::serve_if_worker()` before anything else.
let pool = Pool::builder(guest)
    .isolation(Isolation::Process)
    .start(StartMethod::Exec)
    .link(LinkKind::Pipe)
    .instance(InstancePolicy::Fresh)
    .workers(2)
    .limits(Limits {
        memory: ByteSize::from_mib(64),
        timeout: Some(std::time::Duration::from_secs_f64(2.5)),
        ..Limits::default()
    })
    .build()?;
"
        );
    }

    #[test]
    fn a_thread_has_neither_start_nor_link() {
        let mut settings = sample().settings;
        settings.cpus = 0;
        settings.memory_limit = 1000;
        assert_eq!(
            snippet(&settings, Isolation::Thread, None, InstancePolicy::Reused),
            r"use cofferdam::{ByteSize, InstancePolicy, Isolation, Limits, Pool};

let pool = Pool::builder(guest)
    .isolation(Isolation::Thread)
    .instance(InstancePolicy::Reused)
    .workers(1)
    .limits(Limits {
        memory: ByteSize::from_bytes(1000),
        timeout: None,
        ..Limits::default()
    })
    .build()?;
"
        );
    }

    /// The sample's settings with the usual limits.
    fn usual() -> Settings {
        Settings {
            memory_limit: 256 << 20,
            timeout_s: Some(30.0),
            ..sample().settings
        }
    }

    #[test]
    fn the_usual_limits_are_left_out() {
        assert_eq!(
            snippet(&usual(), Isolation::Thread, None, InstancePolicy::Fresh),
            r"use cofferdam::{InstancePolicy, Isolation, Pool};

let pool = Pool::builder(guest)
    .isolation(Isolation::Thread)
    .instance(InstancePolicy::Fresh)
    .workers(2)
    .build()?;
"
        );
    }

    #[test]
    fn each_limit_that_was_used_is_kept() {
        let fuel = Settings {
            fuel: Some(1_000_000),
            ..usual()
        };
        let text = snippet(&fuel, Isolation::Thread, None, InstancePolicy::Fresh);
        assert!(
            text.starts_with("use cofferdam::{InstancePolicy, Isolation, Limits, Pool};\n"),
            "{text}"
        );
        assert!(
            text.contains("    .limits(Limits {\n        fuel: Some(1000000),\n        ..Limits::default()\n    })\n"),
            "{text}"
        );
        let all = Settings {
            memory_limit: 1 << 20,
            stack_limit: 64 << 10,
            fuel: Some(7),
            output_limit: 0,
            input_limit: 1000,
            timeout_s: None,
            ..usual()
        };
        let text = snippet(&all, Isolation::Thread, None, InstancePolicy::Fresh);
        assert!(
            text.contains(
                "    .limits(Limits {
        memory: ByteSize::from_mib(1),
        stack: ByteSize::from_kib(64),
        fuel: Some(7),
        output: ByteSize::from_bytes(0),
        input: ByteSize::from_bytes(1000),
        timeout: None,
    })
"
            ),
            "{text}"
        );
    }

    #[test]
    fn a_limit_that_is_no_time_is_none() {
        for limit in [f64::NAN, f64::INFINITY, -1.0] {
            assert_eq!(span(Some(limit)), "None");
        }
        assert_eq!(
            span(Some(0.1)),
            "Some(std::time::Duration::from_secs_f64(0.1))"
        );
    }
}

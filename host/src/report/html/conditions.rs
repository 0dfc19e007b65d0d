//! Under what conditions it was measured, and how to do it again.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::element::{Source, escape, pairs, table};
use crate::report::result::{Comparison, PartInfo};
use crate::report::words::{
    NONE, REFERENCE, RULE, digits, ended, instance, metering, percent, utc,
};
use crate::units::{ByteSize, seconds};

/// What makes the numbers less sure than they look.
pub(super) fn warnings(comparison: &Comparison) -> String {
    if comparison.warnings.is_empty() {
        return "<p>None.</p>\n".to_owned();
    }
    let warnings: Vec<String> = comparison
        .warnings
        .iter()
        .map(|warning| {
            format!(
                "<dt>▲ {}</dt><dd>What to do: {}.</dd>\n",
                escape(&warning.to_string()),
                with_code(warning.remedy())
            )
        })
        .collect();
    format!("<dl class=\"warnings\">\n{}</dl>\n", warnings.concat())
}

/// Text in which code stands between backticks.
fn with_code(text: &str) -> String {
    let parts = text.split('`').enumerate().map(|(number, part)| {
        let part = escape(part);
        if number % 2 == 0 {
            part
        } else {
            format!("<code>{part}</code>")
        }
    });
    parts.collect()
}

/// Trials that gave no samples.
pub(super) fn failures(comparison: &Comparison) -> String {
    if comparison.failures.is_empty() {
        return "<p>No trial failed.</p>\n".to_owned();
    }
    let head = ["trial", "round", "arm", "error"].map(str::to_owned);
    let rows: Vec<String> = comparison
        .failures
        .iter()
        .enumerate()
        .map(|(number, failure)| {
            format!(
                "<tr><th scope=\"row\">{}: {}</th><td data-label=\"round\">{}</td>\
                 <td data-label=\"arm\">{}</td><td data-label=\"error\">{}</td></tr>\n",
                escape(&failure.experiment),
                escape(&failure.part),
                round(number, failure.round),
                failure.arm,
                escape(&failure.error)
            )
        })
        .collect();
    table("stack", "Trials that gave no samples", &head, &rows)
}

/// The round of a failed trial, which is counted from 0 in the result and from 1 on the page.
fn round(number: usize, round: usize) -> String {
    let shown = round.saturating_add(1).to_string();
    #[expect(clippy::cast_precision_loss, reason = "a few rounds")]
    Source::Result.number(&format!("failures.{number}.round"), round as f64, &shown)
}

fn text(value: Option<&String>) -> String {
    value.map_or(NONE.to_owned(), |value| escape(value))
}

/// A field of the result that counts something.
fn count(field: &str, value: u64) -> String {
    Source::Result.whole(field, value)
}

/// A field of the result in bytes.
pub(super) fn bytes(field: &str, value: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown in three digits")]
    let full = value as f64;
    Source::Result.number(field, full, &ByteSize::from_bytes(value).to_string())
}

/// A field of the result in seconds.
pub(super) fn span(field: &str, value: f64) -> String {
    Source::Result.number(field, value, &seconds(value))
}

fn size(field: &str, value: Option<u64>) -> String {
    value.map_or(NONE.to_owned(), |value| bytes(field, value))
}

fn yes_or_no(value: Option<bool>) -> String {
    match value {
        Some(true) => "yes".to_owned(),
        Some(false) => "no".to_owned(),
        None => NONE.to_owned(),
    }
}

/// The machine and the guest.
pub(super) fn machine(comparison: &Comparison) -> String {
    let machine = &comparison.machine;
    let guest = &comparison.guest;
    let number = |field: &str, value: Option<f64>| {
        value.map_or(NONE.to_owned(), |value| {
            Source::Result.number(field, value, &digits(value))
        })
    };
    let rows = [
        ("guest", escape(&guest.name)),
        ("module", bytes("guest.bytes", guest.bytes)),
        (
            "SHA-256 of the module",
            format!("<code>{}</code>", escape(&guest.sha256)),
        ),
        ("called as, and told", text(guest.called.as_ref())),
        ("inputs", count("guest.inputs", guest.inputs as u64)),
        ("CPUs", count("machine.cpus", machine.cpus as u64)),
        ("processor", text(machine.model.as_ref())),
        (
            "threads of one core seen as CPUs (SMT)",
            yes_or_no(machine.smt),
        ),
        ("kernel", escape(&machine.kernel)),
        ("target", escape(&machine.target)),
        ("memory", size("machine.memory", machine.memory)),
        (
            "memory available before the measuring",
            size("machine.memory_available", machine.memory_available),
        ),
        ("swap", size("machine.swap", machine.swap)),
        (
            "swap in use before the measuring",
            size("machine.swap_used", machine.swap_used),
        ),
        ("frequency governor", text(machine.governor.as_ref())),
        ("clock source", text(machine.clocksource.as_ref())),
        (
            "memory allocator of cofferdam",
            text(machine.allocator.as_ref()),
        ),
        (
            "transparent huge pages",
            text(machine.transparent_huge_pages.as_ref()),
        ),
        (
            "guest_halt_poll_ns",
            machine.guest_halt_poll_ns.map_or(NONE.to_owned(), |ns| {
                count("machine.guest_halt_poll_ns", ns)
            }),
        ),
        ("virtual machine", yes_or_no(machine.virtual_machine)),
        (
            "time that the hypervisor took away since boot (steal)",
            machine.steal.map_or(NONE.to_owned(), |share| {
                Source::Result.number("machine.steal", share, &percent(share))
            }),
        ),
        (
            "load before the measuring",
            number("machine.load", machine.load),
        ),
        (
            "CPU pressure before the measuring",
            machine.cpu_pressure.map_or(NONE.to_owned(), |per_cent| {
                let shown = format!("{} %", digits(per_cent));
                Source::Result.number("machine.cpu_pressure", per_cent, &shown)
            }),
        ),
        ("cofferdam", escape(&machine.cofferdam)),
        ("wasmtime", escape(&machine.wasmtime)),
    ];
    pairs("Guest and machine", &named(rows))
}

/// What was the same in both isolations, and what was not.
pub(super) fn settings(comparison: &Comparison) -> String {
    let settings = &comparison.settings;
    let rows = [
        (
            "time budget",
            span("settings.time_budget_s", settings.time_budget_s),
        ),
        ("time taken", span("took_s", comparison.took_s)),
        ("begun", utc(comparison.unix_time)),
        ("seed", count("seed", comparison.seed)),
        ("instances", instance(settings.instance).to_owned()),
        ("processes are started by", settings.start.to_string()),
        ("processes are reached over", settings.link.to_string()),
        ("workers and callers wait", settings.wait.to_string()),
        (
            "guest code in threads",
            metering(settings.thread_metering).to_owned(),
        ),
        (
            "guest code in processes",
            metering(settings.process_metering).to_owned(),
        ),
        (
            "time limit of a job",
            settings
                .timeout_s
                .map_or("none".to_owned(), |limit| span("settings.timeout_s", limit)),
        ),
        (
            "memory limit of a job",
            bytes("settings.memory_limit", settings.memory_limit),
        ),
        (
            "stack limit of a job",
            bytes("settings.stack_limit", settings.stack_limit),
        ),
        (
            "limits of a job's input and output",
            format!(
                "{} and {}",
                bytes("settings.input_limit", settings.input_limit),
                bytes("settings.output_limit", settings.output_limit)
            ),
        ),
        (
            "fuel of a job",
            settings.fuel.map_or("not counted".to_owned(), |fuel| {
                count("settings.fuel", fuel)
            }),
        ),
        (
            "CPUs that loads are sized by",
            count("settings.cpus", settings.cpus as u64),
        ),
    ];
    let mut text = pairs("Settings", &named(rows));
    text.push_str(&identities(comparison));
    text.push_str(&sharing(comparison));
    text.push_str(&parts(&comparison.parts));
    text
}

fn named<const N: usize>(rows: [(&str, String); N]) -> Vec<(String, String)> {
    rows.map(|(name, value)| (name.to_owned(), value)).into()
}

fn identities(comparison: &Comparison) -> String {
    if comparison.identities.is_empty() {
        return String::new();
    }
    let head = [
        "worker in a",
        "host process",
        "worker process, says the host",
        "worker process, says the worker",
        "worker thread",
        "host sees its writes",
        "runs ordinary commands",
    ]
    .map(str::to_owned);
    let rows: Vec<String> = comparison
        .identities
        .iter()
        .enumerate()
        .map(|(place, identity)| {
            let id = |field: &str, id: u32| count(&format!("identities.{place}.{field}"), id.into());
            format!(
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                identity.isolation,
                id("host_pid", identity.host_pid),
                identity
                    .worker_pid_by_host
                    .map_or("none".to_owned(), |pid| id("worker_pid_by_host", pid)),
                id("worker_pid", identity.worker_pid),
                id("worker_tid", identity.worker_tid),
                yes_or_no(Some(identity.write_visible)),
                yes_or_no(identity.runs_commands)
            )
        })
        .collect();
    table(
        "figures",
        "Where workers live, as both sides see it",
        &head,
        &rows,
    )
}

fn sharing(comparison: &Comparison) -> String {
    if comparison.sharing.is_empty() {
        return String::new();
    }
    let head = [
        "workers in a",
        "host process",
        "process of the one that wrote",
        "process of the one that read",
        "it read what the other wrote",
        "the host read it, too",
        "additions of both to one word",
        "what it came to",
    ]
    .map(str::to_owned);
    let rows: Vec<String> = comparison
        .sharing
        .iter()
        .enumerate()
        .map(|(place, sharing)| {
            let of = |field: &str, value: u64| count(&format!("sharing.{place}.{field}"), value);
            let id = |field: &str, pid: Option<u32>| {
                pid.map_or("none of its own".to_owned(), |pid| of(field, pid.into()))
            };
            format!(
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                sharing.isolation,
                of("host_pid", sharing.host_pid.into()),
                id("writer_pid", sharing.writer_pid),
                id("reader_pid", sharing.reader_pid),
                yes_or_no(Some(sharing.write_visible)),
                yes_or_no(Some(sharing.host_sees_write)),
                of("additions", sharing.additions),
                u64::try_from(sharing.counted).map_or_else(
                    |_| sharing.counted.to_string(),
                    |counted| of("counted", counted)
                )
            )
        })
        .collect();
    table(
        "figures",
        "What two workers and their host see of each other in a region",
        &head,
        &rows,
    )
}

fn parts(parts: &[PartInfo]) -> String {
    if parts.is_empty() {
        return String::new();
    }
    let head = ["part", "rounds", "took", "no more rounds because"].map(str::to_owned);
    let rows: Vec<String> = parts
        .iter()
        .enumerate()
        .map(|(place, part)| {
            format!(
                "<tr><th scope=\"row\">{}: {}</th><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                escape(&part.experiment),
                escape(&part.part),
                count(&format!("parts.{place}.rounds"), part.rounds as u64),
                span(&format!("parts.{place}.took_s"), part.took_s),
                ended(part.ended)
            )
        })
        .collect();
    table("figures", "What was done", &head, &rows)
}

/// How the numbers came to be.
pub(super) fn method(comparison: &Comparison) -> String {
    let control = comparison.control.map_or(String::new(), |control| {
        // It is that of this row, if the row is there.
        let own = comparison.rows.iter().any(|row| row.id() == "job.p50");
        let figure = |field: &str, value: f64| {
            if own {
                Source::Row("job.p50").number(field, value, &digits(value))
            } else {
                digits(value)
            }
        };
        format!(
            " Of a job's p50, the same arm against itself (A/A control) differed by a factor of {} [{}, {}]{}.",
            figure("control.median", control.ratio),
            figure("control.low", control.low),
            figure("control.high", control.high),
            if control.reliable {
                ""
            } else {
                ": <strong>too noisy to see differences of 10 %</strong>"
            }
        )
    });
    format!(
        "<p>A round runs every arm once, interleaved in a seeded random order, each in a fresh \
         process of its own. A ratio is the median of the rounds' ratios. Its interval, in square \
         brackets, is that of Hettmansperger and Sheather (1986), at 95 % unless another confidence \
         stands beside it. {REFERENCE} {RULE} The smallest difference that would show is what had to be \
         there to be called.{control}</p>\n"
    )
}

/// The whole result as a file to keep, packed: samples are most of a page. A comparison that cannot be
/// written as JSON has none.
pub(super) fn download(comparison: &Comparison) -> String {
    let Ok(json) = serde_json::to_string(comparison) else {
        return String::new();
    };
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let written = encoder.write_all(json.as_bytes());
    let Ok(packed) = written.and_then(|()| encoder.finish()) else {
        return String::new();
    };
    let name: String = comparison
        .guest
        .name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        .take(40)
        .collect();
    let size = ByteSize::from_bytes(u64::try_from(json.len()).unwrap_or(u64::MAX));
    format!(
        "<p class=\"download\"><a download=\"cofferdam-{name}.json.gz\" \
         href=\"data:application/gzip;base64,{}\">Download all samples ({size} of JSON, packed by \
         gzip)</a></p>\n",
        STANDARD.encode(packed)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;

    #[test]
    fn each_warning_has_its_remedy() {
        let comparison = sample();
        let text = warnings(&comparison);
        assert_eq!(text.matches("<dt>").count(), comparison.warnings.len());
        assert_eq!(
            text.matches("What to do: ").count(),
            comparison.warnings.len()
        );
    }

    #[test]
    fn code_in_a_sentence_is_code() {
        assert_eq!(
            with_code("see `a<b`, or c"),
            "see <code>a&lt;b</code>, or c"
        );
        assert_eq!(with_code("an odd ` one"), "an odd <code> one</code>");
    }

    #[test]
    fn errors_cannot_become_markup() {
        let text = failures(&sample());
        assert!(text.contains("said &lt;nothing&gt; within"));
        assert!(text.contains("data-field=\"failures.0.round\">6</data></td>"));
    }

    #[test]
    fn the_file_to_keep_is_the_comparison() {
        let comparison = sample();
        let text = download(&comparison);
        let encoded = text.split("base64,").nth(1).unwrap();
        let packed = STANDARD.decode(encoded.split('"').next().unwrap()).unwrap();
        let decoder = flate2::read::GzDecoder::new(packed.as_slice());
        let found: Comparison = serde_json::from_reader(decoder).unwrap();
        assert_eq!(found, comparison);
        assert!(text.contains("download=\"cofferdam-argon2.json.gz\""));
    }

    #[test]
    fn the_method_says_what_a_ratio_is_to_and_when_there_is_a_verdict() {
        let text = method(&sample());
        for sentence in [
            REFERENCE,
            RULE,
            "Of a job's p50, the same arm against itself (A/A control) differed by a factor of <data",
        ] {
            assert_eq!(text.matches(sentence).count(), 1, "{sentence}");
        }
    }

    #[test]
    fn a_noisy_machine_is_said_to_be_one() {
        let mut comparison = sample();
        assert!(!method(&comparison).contains("too noisy"));
        let control = comparison.control.as_mut().unwrap();
        control.reliable = false;
        assert!(method(&comparison).contains("too noisy"));
    }
}

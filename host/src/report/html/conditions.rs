//! Under what conditions it was measured, and how to do it again.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::element::{Source, escape, pairs, table};
use crate::report::result::{Comparison, PartInfo};
use crate::report::words::{NONE, REFERENCE, RULE, digits, ended, instance, metering, utc};
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
        .map(|failure| {
            format!(
                "<tr><th scope=\"row\">{}: {}</th><td data-label=\"round\">{}</td>\
                 <td data-label=\"arm\">{}</td><td data-label=\"error\">{}</td></tr>\n",
                escape(&failure.experiment),
                escape(&failure.part),
                failure.round.saturating_add(1),
                failure.arm,
                escape(&failure.error)
            )
        })
        .collect();
    table("stack", "Trials that gave no samples", &head, &rows)
}

fn text(value: Option<&String>) -> String {
    value.map_or(NONE.to_owned(), |value| escape(value))
}

fn size(value: Option<u64>) -> String {
    value.map_or(NONE.to_owned(), |bytes| {
        ByteSize::from_bytes(bytes).to_string()
    })
}

/// The machine and the guest.
pub(super) fn machine(comparison: &Comparison) -> String {
    let machine = &comparison.machine;
    let guest = &comparison.guest;
    let rows = [
        ("guest", escape(&guest.name)),
        ("module", ByteSize::from_bytes(guest.bytes).to_string()),
        (
            "SHA-256 of the module",
            format!("<code>{}</code>", escape(&guest.sha256)),
        ),
        ("inputs", guest.inputs.to_string()),
        ("CPUs", machine.cpus.to_string()),
        ("processor", text(machine.model.as_ref())),
        ("kernel", escape(&machine.kernel)),
        ("target", escape(&machine.target)),
        ("memory", size(machine.memory)),
        ("swap", size(machine.swap)),
        ("frequency governor", text(machine.governor.as_ref())),
        (
            "transparent huge pages",
            text(machine.transparent_huge_pages.as_ref()),
        ),
        (
            "guest_halt_poll_ns",
            machine
                .guest_halt_poll_ns
                .map_or(NONE.to_owned(), |ns| ns.to_string()),
        ),
        (
            "virtual machine",
            match machine.virtual_machine {
                Some(true) => "yes".to_owned(),
                Some(false) => "no".to_owned(),
                None => NONE.to_owned(),
            },
        ),
        (
            "load before the measuring",
            machine.load.map_or(NONE.to_owned(), digits),
        ),
        (
            "CPU pressure before the measuring",
            machine.cpu_pressure.map_or(NONE.to_owned(), |per_cent| {
                format!("{} %", digits(per_cent))
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
    let timeout = settings.timeout_s.map_or("none".to_owned(), seconds);
    let rows = [
        ("time budget", seconds(settings.time_budget_s)),
        ("time taken", seconds(comparison.took_s)),
        ("begun", utc(comparison.unix_time)),
        ("seed", comparison.seed.to_string()),
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
        ("time limit of a job", timeout),
        (
            "memory limit of a job",
            ByteSize::from_bytes(settings.memory_limit).to_string(),
        ),
        (
            "stack limit of a job",
            ByteSize::from_bytes(settings.stack_limit).to_string(),
        ),
        (
            "limits of a job's input and output",
            format!(
                "{} and {}",
                ByteSize::from_bytes(settings.input_limit),
                ByteSize::from_bytes(settings.output_limit)
            ),
        ),
        (
            "fuel of a job",
            settings
                .fuel
                .map_or("not counted".to_owned(), |fuel| fuel.to_string()),
        ),
        ("CPUs that loads are sized by", settings.cpus.to_string()),
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
    ]
    .map(str::to_owned);
    let rows: Vec<String> = comparison
        .identities
        .iter()
        .map(|identity| {
            let by_host = identity.worker_pid_by_host.map_or("none".to_owned(), |pid| pid.to_string());
            format!(
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{by_host}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                identity.isolation,
                identity.host_pid,
                identity.worker_pid,
                identity.worker_tid,
                if identity.write_visible { "yes" } else { "no" }
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
    let id = |pid: Option<u32>| pid.map_or("none of its own".to_owned(), |pid| pid.to_string());
    let yes = |is_so: bool| if is_so { "yes" } else { "no" };
    let rows: Vec<String> = comparison
        .sharing
        .iter()
        .map(|sharing| {
            format!(
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                sharing.isolation,
                sharing.host_pid,
                id(sharing.writer_pid),
                id(sharing.reader_pid),
                yes(sharing.write_visible),
                yes(sharing.host_sees_write),
                sharing.additions,
                sharing.counted
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
        .map(|part| {
            format!(
                "<tr><th scope=\"row\">{}: {}</th><td>{}</td><td>{}</td><td>{}</td></tr>\n",
                escape(&part.experiment),
                escape(&part.part),
                part.rounds,
                seconds(part.took_s),
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

/// The whole result as a file to keep. A comparison that cannot be written as JSON has none.
pub(super) fn download(comparison: &Comparison) -> String {
    let Ok(json) = serde_json::to_string(comparison) else {
        return String::new();
    };
    let name: String = comparison
        .guest
        .name
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        .take(40)
        .collect();
    let name = format!("cofferdam-{name}.json");
    let size = ByteSize::from_bytes(u64::try_from(json.len()).unwrap_or(u64::MAX));
    format!(
        "<p class=\"download\"><a download=\"{name}\" href=\"data:application/json;base64,{}\">Download \
         all samples ({size} of JSON)</a></p>\n",
        STANDARD.encode(json)
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
        assert!(text.contains("<td data-label=\"round\">6</td>"));
    }

    #[test]
    fn the_file_to_keep_is_the_comparison() {
        let comparison = sample();
        let text = download(&comparison);
        let encoded = text.split("base64,").nth(1).unwrap();
        let encoded = encoded.split('"').next().unwrap();
        let json = STANDARD.decode(encoded).unwrap();
        let found: Comparison = serde_json::from_slice(&json).unwrap();
        assert_eq!(found, comparison);
        assert!(text.contains("download=\"cofferdam-argon2.json\""));
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

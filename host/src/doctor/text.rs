//! A report as text for a terminal of 80 columns or more.

use std::fmt::Write;
use std::time::Duration;

use comfy_table::{ContentArrangement, LineStyle, Table, presets};

use super::{FeatureState, Noise, Report, Spread, Trouble};
use crate::machine::Machine;
use crate::units::{ByteSize, TimeSpan, seconds, three_digits};

/// Renders a report in so many columns.
#[must_use]
pub fn render(report: &Report, width: u16) -> String {
    let mut text = String::new();
    pairs(&mut text, "Machine", &machine(&report.machine), width);
    pairs(&mut text, "Noise", &noise(&report.noise), width);
    wrap(&mut text, LEGEND, width);
    text.push('\n');
    features(&mut text, report, width);
    layers(&mut text, report, width);
    troubles(&mut text, &report.troubles, width);
    text
}

/// What the words of the second table mean.
const LEGEND: &str = "Work of about 1 ms, again and again. Lost is what it took beyond the \
    fastest run. The A/A control is that work against itself, with a 95 % interval.";

fn pairs(text: &mut String, title: &str, rows: &[(&str, String)], width: u16) {
    let mut table = table(width, &[title, ""]);
    for (name, value) in rows {
        table.add_row([name, value.as_str()]);
    }
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{}\n", table.trim_fmt());
}

const UNKNOWN: &str = "not told";

fn or_unknown(value: Option<String>) -> String {
    value.unwrap_or_else(|| UNKNOWN.to_owned())
}

fn percent(share: f64) -> String {
    format!("{} %", three_digits(100.0 * share))
}

fn machine(machine: &Machine) -> Vec<(&'static str, String)> {
    let size = |bytes| ByteSize::from_bytes(bytes).to_string();
    let mut cpus = format!(
        "{}, {}",
        machine.cpus,
        machine.model.as_deref().unwrap_or("unknown processor")
    );
    if machine.virtual_machine == Some(true) {
        cpus.push_str(", virtual machine");
    }
    cpus.push_str(match machine.smt {
        Some(true) => ", SMT on",
        Some(false) => ", SMT off",
        None => "",
    });
    let swap = match (machine.swap, machine.swap_used) {
        (Some(0), _) => "none".to_owned(),
        (Some(all), Some(used)) => format!("{} of {} used", size(used), size(all)),
        (Some(all), None) => size(all),
        (None, _) => UNKNOWN.to_owned(),
    };
    let mut memory = or_unknown(machine.memory.map(size));
    if let Some(available) = machine.memory_available {
        let _ = write!(memory, ", {} available", size(available));
    }
    let pressure = machine.cpu_pressure.map(|percent| {
        format!(
            "; {} % of the time some process waited for a CPU",
            three_digits(percent)
        )
    });
    let load = machine
        .load
        .map(|load| three_digits(load) + pressure.as_deref().unwrap_or_default());
    let polling = machine
        .guest_halt_poll_ns
        .map(|nanoseconds| match nanoseconds {
            0 => "off".to_owned(),
            nanoseconds => TimeSpan::new(Duration::from_nanos(nanoseconds)).to_string(),
        });
    vec![
        ("CPUs", cpus),
        ("kernel", format!("{}, {}", machine.kernel, machine.target)),
        ("memory", memory),
        ("swap", swap),
        ("load", or_unknown(load)),
        (
            "stolen since the start",
            or_unknown(machine.steal.map(percent)),
        ),
        ("clock frequency", or_unknown(machine.governor.clone())),
        (
            "huge pages by itself",
            or_unknown(machine.transparent_huge_pages.clone()),
        ),
        ("halt polling", or_unknown(polling)),
        ("clock source", or_unknown(machine.clocksource.clone())),
        ("allocator", or_unknown(machine.allocator.clone())),
        (
            "versions",
            format!(
                "cofferdam {}, wasmtime {}",
                machine.cofferdam, machine.wasmtime
            ),
        ),
    ]
}

fn noise(noise: &Noise) -> Vec<(&'static str, String)> {
    const UNMEASURED: &str = "not measured";
    let or_unmeasured = |value: Option<String>| value.unwrap_or_else(|| UNMEASURED.to_owned());
    let spread = |spread: Option<Spread>| {
        or_unmeasured(spread.map(|spread| {
            format!(
                "{}; p99 {} ×, longest {} × that; {} lost",
                seconds(spread.p50_s),
                three_digits(spread.p99_ratio),
                three_digits(spread.max_ratio),
                percent(spread.lost)
            )
        }))
    };
    let wake_up = noise
        .wake_up
        .map(|wake_up| format!("{}; p99 {}", seconds(wake_up.p50_s), seconds(wake_up.p99_s)));
    let control = noise.control.map(|control| {
        let [ratio, low, high] = [control.median, control.low, control.high].map(three_digits);
        format!("{ratio} [{low}, {high}]")
    });
    let others = noise.steal.zip(noise.iowait).map(|(steal, iowait)| {
        format!(
            "{} stolen, {} idle for disks",
            percent(steal),
            percent(iowait)
        )
    });
    vec![
        ("work in one thread", spread(noise.alone)),
        ("work on all CPUs", spread(noise.all_cpus)),
        (
            "all CPUs ÷ one thread",
            or_unmeasured(noise.slowdown.map(three_digits)),
        ),
        ("A/A control", or_unmeasured(control)),
        ("waking a thread", or_unmeasured(wake_up)),
        (
            "looking at the clock",
            format!(
                "{}; its steps are {}",
                seconds(noise.clock.cost_s),
                seconds(noise.clock.step_s)
            ),
        ),
        ("CPU time meanwhile", or_unmeasured(others)),
    ]
}

fn layers(text: &mut String, report: &Report, width: u16) {
    if report.layers.is_empty() {
        let _ = writeln!(
            text,
            "No worker process could be started, so nothing is known of hardening.\n"
        );
        return;
    }
    let mut table = table(width, &["A worker process gives up", "", "which is"]);
    for held in &report.layers {
        let standing = match &held.reason {
            Some(reason) => format!("{}: {reason}", held.standing),
            None => held.standing.to_string(),
        };
        table.add_row([
            held.layer.to_string().as_str(),
            &standing,
            held.layer.what(),
        ]);
    }
    let _ = writeln!(text, "{}\n", table.trim_fmt());
}

fn features(text: &mut String, report: &Report, width: u16) {
    let mut table = table(width, &["Isolation features", "", "good for"]);
    for feature in &report.features {
        let (word, detail) = match &feature.state {
            FeatureState::Available(detail) => ("yes", detail),
            FeatureState::Unavailable(detail) => ("no", detail),
            FeatureState::Partial(detail) => ("in part", detail),
        };
        let state = if detail.is_empty() {
            word.to_owned()
        } else {
            format!("{word}: {detail}")
        };
        table.add_row([feature.name.as_str(), &state, &feature.what_for]);
    }
    let _ = writeln!(text, "{}\n", table.trim_fmt());
}

fn troubles(text: &mut String, troubles: &[Trouble], width: u16) {
    const INDENT: u16 = 2;
    if troubles.is_empty() {
        wrap(
            text,
            "Nothing to do: this machine is quiet enough to measure on.",
            width,
        );
        return;
    }
    text.push_str("What to do\n");
    for trouble in troubles {
        wrap(text, &trouble.to_string(), width);
        let mut remedy = String::new();
        wrap(&mut remedy, trouble.remedy(), width.saturating_sub(INDENT));
        for line in remedy.lines() {
            let _ = writeln!(text, "{:1$}{line}", "", usize::from(INDENT));
        }
    }
}

fn table(width: u16, head: &[&str]) -> Table {
    let mut table = Table::new();
    let line = LineStyle::none().fill('─').junction('─');
    table.load_style(presets::NOTHING.header_separator(line).bottom_border(line));
    table.set_width(width).set_header(head.to_vec());
    table.set_content_arrangement(ContentArrangement::Dynamic);
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    table
}

/// Breaks a sentence between words.
fn wrap(text: &mut String, sentence: &str, width: u16) {
    let mut used = 0;
    for word in sentence.split_whitespace() {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > usize::from(width) {
            text.push('\n');
            used = 0;
        }
        if used > 0 {
            text.push(' ');
            used += 1;
        }
        text.push_str(word);
        used += length;
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::super::{Feature, HardenedLayer, troubles};
    use super::*;
    use crate::harden::{Layer, Standing};

    fn report(noise: Noise, machine: Machine) -> Report {
        let troubles = troubles(&machine, &noise);
        Report {
            machine,
            noise,
            layers: vec![
                HardenedLayer {
                    layer: Layer::SystemCalls,
                    standing: Standing::Enforced,
                    reason: None,
                },
                HardenedLayer {
                    layer: Layer::Landlock,
                    standing: Standing::Unavailable,
                    reason: Some("the kernel is older than 5.13, or built without it".to_owned()),
                },
            ],
            features: vec![
                Feature {
                    name: "Landlock".to_owned(),
                    state: FeatureState::Unavailable("a reason of many words ".repeat(5)),
                    what_for: "walls that are worth many words".to_owned(),
                },
                Feature {
                    name: "pidfd".to_owned(),
                    state: FeatureState::Available(String::new()),
                    what_for: "to kill".to_owned(),
                },
            ],
            troubles,
        }
    }

    /// As bad as it gets: every trouble, and long names.
    fn bad() -> Report {
        let machine = Machine {
            cpus: 1,
            model: Some("A Processor With A Name That Its Makers Never Wanted To End ".repeat(2)),
            swap: Some(1 << 40),
            swap_used: Some(1 << 39),
            governor: Some("powersave".to_owned()),
            transparent_huge_pages: Some("always".to_owned()),
            guest_halt_poll_ns: Some(200_000),
            virtual_machine: Some(true),
            steal: Some(0.123_45),
            load: Some(123.4),
            cpu_pressure: Some(99.99),
            ..Machine::here()
        };
        let spread = Some(Spread {
            runs: 600,
            p50_s: 0.123_456,
            p99_ratio: 123.4,
            max_ratio: 12_345.6,
            lost: 0.987_65,
        });
        let noise = Noise {
            alone: spread,
            all_cpus: spread,
            slowdown: Some(123.4),
            steal: Some(0.999),
            iowait: Some(0.999),
            ..Noise::default()
        };
        report(noise, machine)
    }

    #[test]
    fn no_line_is_wider_than_asked_for() {
        let report = bad();
        assert!(report.troubles.len() >= 9, "{:?}", report.troubles);
        for width in [80, 100] {
            let text = render(&report, width);
            for line in text.lines() {
                assert!(line.chars().count() <= usize::from(width), "{line}\n{text}");
            }
        }
    }

    #[test]
    fn a_command_to_type_is_not_broken_over_lines() {
        let text = render(&bad(), 80);
        for trouble in &bad().troubles {
            for command in trouble.remedy().split('`').skip(1).step_by(2) {
                assert!(text.contains(command), "{command}\n{text}");
            }
        }
    }

    #[test]
    fn every_section_is_there() {
        let text = render(&bad(), 80);
        for title in [
            "Machine",
            "Noise",
            "Isolation features",
            "A worker process gives up",
            "What to do",
        ] {
            assert!(
                text.lines().any(|line| line.starts_with(title)),
                "{title}\n{text}"
            );
        }
        assert!(text.contains("not measured"), "{text}");
    }

    #[test]
    fn a_quiet_machine_is_told_so() {
        let mut quiet = bad();
        quiet.troubles.clear();
        let text = render(&quiet, 80);
        assert!(text.ends_with("Nothing to do: this machine is quiet enough to measure on.\n"));
        assert!(!text.contains("What to do"));
    }
}

use super::*;
use crate::experiment::Arm;
use crate::report::result::{Control, Row, Verdict};
use crate::report::sample::sample;
use crate::stats::{Interval, Margin};

/// What a terminal shows, without its colours.
fn stripped(text: &str) -> String {
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        plain.push_str(before);
        rest = after.split_once('m').unwrap().1;
    }
    plain.push_str(rest);
    let lines: Vec<&str> = plain.lines().map(str::trim_end).collect();
    lines.join("\n") + "\n"
}

fn fits(text: &str, width: usize) {
    for line in text.lines() {
        assert!(
            width_of(line) <= width,
            "{} > {width}: {line}",
            width_of(line)
        );
    }
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let comparison = sample();
    for width in [80_u16, 81, 93, 99, 100, 120, 200] {
        fits(&render(&comparison, width, Colour::Plain), width.into());
    }
    fits(&render(&comparison, 20, Colour::Plain), 80);
}

#[test]
fn the_whole_result_can_be_scanned() {
    let lines = render(&sample(), 80, Colour::Plain).lines().count();
    assert!(lines <= 240, "{lines} lines");
}

#[test]
fn colours_change_nothing_but_colours() {
    for width in [80, 120] {
        let coloured = render(&sample(), width, Colour::Ansi);
        assert!(coloured.contains("\u{1b}["));
        let plain = render(&sample(), width, Colour::Plain);
        assert!(!plain.contains('\u{1b}'));
        assert_eq!(stripped(&coloured), plain);
    }
}

#[test]
fn it_begins_with_the_guest_and_ends_with_the_command() {
    let text = render(&sample(), 80, Colour::Plain);
    assert!(text.starts_with("@argon2 (47.1 KiB, a job takes about 12.1 ms, 3 inputs)\n"));
    assert!(text.ends_with("\n\nAgain: cofferdam compare --seed 7 --trust third-party @argon2\n"));
    assert!(!text.contains("INTERRUPTED") && !text.contains("RIGGED"));
}

#[test]
fn what_is_not_an_honest_whole_comparison_is_loud() {
    let mut comparison = sample();
    comparison.complete = false;
    comparison.settings.rigged = Some("the second arm sleeps 5 %".to_owned());
    let text = render(&comparison, 80, Colour::Plain);
    assert!(text.contains("\nINTERRUPTED: what follows rests on the rounds that were done\n"));
    assert!(text.contains("\nRIGGED: the second arm sleeps 5 %. These numbers say nothing about"));
}

#[test]
fn every_row_has_its_value_and_its_ratio_on_a_line() {
    let comparison = sample();
    let text = render(&comparison, 80, Colour::Plain);
    for row in &comparison.rows {
        if row.params.contains_key("phase") {
            continue;
        }
        let value = show(row.value(row.compared.0).unwrap(), row.unit);
        let ratio = row.ratio.map_or(NONE.to_owned(), factor);
        let is_its = |line: &str| line.contains(&value) && line.contains(&ratio);
        assert!(text.lines().any(is_its), "{}: {value} {ratio}", row.id());
    }
}

#[test]
fn units_are_shown_as_people_write_them() {
    assert_eq!(show(0.001_13, Unit::Seconds), "1.13 ms");
    assert_eq!(show(1234.0, Unit::JobsPerSecond), "1234 /s");
    assert_eq!(show(1.5, Unit::MessagesPerSecond), "1.50 /s");
    assert_eq!(show(3.0 * 1_048_576.0, Unit::BytesPerSecond), "3 MiB/s");
    assert_eq!(show(1536.0, Unit::Bytes), "1.50 KiB");
    assert_eq!(show(-1536.4, Unit::Bytes), "-1.50 KiB");
    assert_eq!(show(-0.2, Unit::Bytes), "0 B");
    assert_eq!(show(3.0, Unit::Count), "3");
    assert_eq!(show(2.5, Unit::Count), "2.50");
    assert_eq!(show(0.026_53, Unit::JobsPerSecond), "0.0265 /s");
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(show(value, Unit::Bytes), "–");
    }
}

/// Everything that may be missing, is.
#[test]
fn an_empty_result_is_its_header_and_its_command() {
    let mut comparison = sample();
    comparison.parts.clear();
    comparison.control = None;
    comparison.rows.clear();
    comparison.series.clear();
    comparison.containment.clear();
    comparison.identities.clear();
    comparison.reach.clear();
    comparison.crossover = None;
    comparison.knees.clear();
    comparison.claims.clear();
    comparison.warnings.clear();
    comparison.failures.clear();
    comparison.advice.sentences.clear();
    comparison.advice.deployment = None;
    let text = render(&comparison, 80, Colour::Plain);
    assert_eq!(
        text,
        "@argon2 (47.1 KiB, a job takes about 12.1 ms, 3 inputs)\n\
         2 CPUs (Example CPU @ 2.10GHz, virtual machine), Linux 6.18.2\n\
         no rounds in 57.4 s, seed 7; fresh instances; processes by exec over pipe; wait\n\
         auto; guest code is interruptible in threads and unmetered in processes; memory\n\
         limit 64 MiB\n\
         \n\
         Again: cofferdam compare --seed 7 --trust third-party @argon2\n"
    );
}

#[test]
fn missing_arms_and_numbers_that_are_none_do_no_harm() {
    let mut comparison = sample();
    for (i, row) in comparison.rows.iter_mut().enumerate() {
        match i % 5 {
            0 => row.arms.clear(),
            1 => {
                row.arms.remove(&row.compared.0);
                row.ratio = None;
                row.verdict = None;
            }
            2 => {
                for arm in row.arms.values_mut() {
                    arm.value = f64::NAN;
                }
                if let Some(ratio) = &mut row.ratio {
                    ratio.high = f64::INFINITY;
                }
                row.detectable = Some(f64::NAN);
            }
            3 => {
                for arm in row.arms.values_mut() {
                    arm.value = 1e300;
                }
            }
            _ => row.title = "世界 ".repeat(40),
        }
    }
    comparison.took_s = f64::NAN;
    comparison.guest.job_s = f64::INFINITY;
    comparison.guest.name = "x".repeat(300);
    let samples = comparison.series.get_mut("job.latency").unwrap();
    samples.get_mut(&Arm::Thread).unwrap()[0][0] = f64::NAN;
    if let Some(crossover) = &mut comparison.crossover {
        crossover.job_s = f64::NAN;
        crossover.points[0].call_s.median = f64::INFINITY;
    }
    for width in [80_u16, 110] {
        let text = render(&comparison, width, Colour::Plain);
        fits(&text, width.into());
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    }
    comparison.series.clear();
    fits(
        &render(&comparison, 80, Colour::Ansi).replace('\u{1b}', ""),
        2000,
    );
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let mut comparison = sample();
    let evil = "\u{1b}]0;x\u{7}\r\n".to_owned();
    comparison.guest.name.push_str(&evil);
    comparison.command.push_str(&evil);
    comparison.machine.model = Some(evil.clone());
    comparison.settings.rigged = Some(evil.clone());
    comparison.failures[0].error.push_str(&evil);
    comparison.claims[0].evidence.push_str(&evil);
    comparison.claims[0].id.push_str(&evil);
    comparison.advice.sentences.push(evil.clone());
    comparison.parts[0].question.push_str(&evil);
    comparison.rows[0].title.push_str(&evil);
    comparison.rows[3].experiment.push_str(&evil);
    if let Some(deployment) = &mut comparison.advice.deployment {
        deployment.snippet.push_str(&evil);
    }
    let text = render(&comparison, 80, Colour::Plain);
    let is_foul = |c: char| c.is_control() && c != '\n';
    assert_eq!(text.find(is_foul), None);
}

/// A row of the sample with numbers that are easy to read.
fn plain(of: &str, title: &str, values: [f64; 2], ratio: f64, verdict: Verdict) -> Row {
    let rows = sample().rows;
    let mut row = rows.into_iter().find(|row| row.id() == of).unwrap();
    title.clone_into(&mut row.title);
    for (arm, value) in [Arm::Thread, Arm::Process].into_iter().zip(values) {
        row.arms.get_mut(&arm).unwrap().value = value;
    }
    row.ratio = Some(Interval {
        median: ratio,
        low: ratio - 0.25,
        high: ratio + 0.25,
        confidence: 0.95,
    });
    row.verdict = Some(verdict);
    row.detectable = Some(0.0625);
    row
}

#[test]
fn an_experiment_is_a_question_and_a_table_of_rows() {
    let mut comparison = sample();
    let thread = Verdict::Better(Arm::Thread);
    let unseen = Verdict::NoDifferenceSeen;
    let post = "message.post[payload=64]";
    comparison.rows = vec![
        plain(
            "message.round_trip[payload=0]",
            "round trip of 0 B",
            [1e-6, 1e-5],
            10.0,
            thread,
        ),
        plain(
            "message.round_trip[payload=64]",
            "round trip of 64 B",
            [1e-5, 1e-4],
            10.0,
            thread,
        ),
        plain(
            "message.round_trip[payload=4096]",
            "round trip of 4 KiB",
            [1e-4, 1e-3],
            1.0,
            unseen,
        ),
        plain(
            post,
            "messages from a guest to its host",
            [2e6, 1e6],
            0.5,
            thread,
        ),
    ];
    comparison.control = None;
    let text = render(&comparison, 80, Colour::Plain);
    let table = "\
message: What does talking to a worker cost? (8 rounds)
                             thread    process process ÷ thread  verdict
round trip of                   ▁▃▆        ▃▆█
  0 B                       1.00 µs    10.0 µs 10.0 [9.75, 10.2] thread faster
  64 B                      10.0 µs     100 µs 10.0 [9.75, 10.2] thread faster
  4 KiB                      100 µs    1.00 ms 1.00 [0.75, 1.25] none ≥ 7 % seen
messages from a guest to 2000000 /s 1000000 /s 0.50 [0.25, 0.75] thread faster
  its host

Values are medians over rounds, ratios medians of the rounds' ratios with their
95 % intervals. The arm below is measured twice (the second time as the
control); the ratio is to the geometric mean of both. \"none ≥ 7 % seen\": no
difference ≥ 7 % seen; there may be a smaller one. Blocks above rows draw their
values, both arms on one log scale.
";
    let start = text.find("message: ").unwrap();
    let end = text.find("\nfaults: ").unwrap();
    assert_eq!(&text[start..end], table);
}

#[test]
fn what_lies_within_the_noise_is_told_with_its_factor_and_explained() {
    let mut comparison = sample();
    let of = "message.post[payload=64]";
    let unseen = Verdict::NoDifferenceSeen;
    let mut row = plain(of, "messages", [1e6, 1e6], 2.0, unseen);
    let (median, low, high) = (2.35, 1.0 / 2.35, 2.35);
    row.margin = Margin::from_control(Some(Interval {
        median,
        low,
        high,
        confidence: 0.95,
    }));
    row.ratio = Some(Interval {
        median: 0.026_53,
        low: 0.026_1,
        high: 0.027,
        confidence: 0.95,
    });
    comparison.rows = vec![row];
    let text = render(&comparison, 80, Colour::Plain);
    let line = "1000000 /s 1000000 /s 0.0265 [0.0261, 0.0270] within noise × 2.35\n";
    assert!(text.contains(line), "{text}");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let legend = "\"within noise × 2.35\": the interval excludes 1, but not the factor 2.35 by which \
                  arms that are the same may differ here.";
    assert!(text.contains(legend), "{text}");
    assert!(!text.contains("none ≥"), "{text}");
    comparison.rows[0].verdict = Some(Verdict::Better(Arm::Thread));
    let text = render(&comparison, 80, Colour::Plain);
    assert!(!text.contains("within noise"), "{text}");
}

#[test]
fn nobody_counts_the_jobs_of_a_host_that_died() {
    let text = render(&sample(), 80, Colour::Plain);
    assert!(!text.contains("0/0"), "{text}");
    assert_eq!(text.matches("every job of").count(), 4, "{text}");
}

#[test]
fn the_control_of_the_legend_is_that_of_a_jobs_latency() {
    let mut comparison = sample();
    comparison.control = Some(Control {
        ratio: 1.0,
        low: 0.98,
        high: 1.01,
        reliable: true,
    });
    let text = render(&comparison, 80, Colour::Plain);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let legend = "An arm against itself (A/A control, of a job's p50): 1.00 [0.98, 1.01].";
    assert!(text.contains(legend), "{text}");
}

#[test]
fn what_a_ladder_has_in_common_stands_on_one_line() {
    let mut comparison = sample();
    let thread = Verdict::Better(Arm::Thread);
    comparison.rows = [0, 64, 4096]
        .map(|payload| {
            let id = format!("message.round_trip[payload={payload}]");
            let title = format!("round trip of so many bytes: {payload}");
            let mut row = plain(&id, &title, [1e-6, 1e-5], 0.026, thread);
            row.ratio = row.ratio.map(|ratio| Interval {
                low: 0.025,
                high: 0.027,
                ..ratio
            });
            row
        })
        .to_vec();
    let text = render(&comparison, 80, Colour::Plain);
    let table = "
round trip of so many bytes
                               ▁▁▁     ███
  0                        1.00 µs 10.0 µs 0.0260 [0.0250, 0.0270] thread faster
";
    assert!(text.contains(table), "{text}");
}

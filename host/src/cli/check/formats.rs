//! What a check found, in the forms that people and their tools read.

use std::fmt::Write;

use cofferdam::check::{Checked, Finding, Fuzzed, Report, Suite};
use cofferdam::{ByteSize, InstancePolicy, TimeSpan, printable};
use quick_junit::{NonSuccessKind, Report as JunitReport, TestCase, TestCaseStatus, TestSuite};
use serde_json::{Value, json};

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(super) enum Format {
    Text,
    Json,
    Junit,
    Tap,
    Github,
}

/// The name under which random inputs are told of.
const RANDOM: &str = "random inputs";

impl Format {
    pub(super) fn of(self, suite: &Suite, report: &Report) -> String {
        let (checked, fuzzed) = (report.cases.as_slice(), &report.random);
        match self {
            Self::Text => text(suite, checked, fuzzed),
            Self::Json => format!("{:#}\n", object(suite, report)),
            Self::Junit => junit(suite, checked, fuzzed),
            Self::Tap => tap(report),
            Self::Github => github(checked, fuzzed),
        }
    }
}

/// A finding in some lines, each after so many blanks.
fn lines_of(finding: &Finding, indent: usize) -> String {
    let whole = format!(
        "{}:\n{}\nagain: {}",
        finding.at(),
        finding.what,
        finding.again
    );
    let mut text = String::new();
    for line in whole.lines() {
        let _ = writeln!(text, "{:indent$}{line}", "");
    }
    text
}

/// What a case takes, in words.
fn costs(case: &Checked) -> String {
    let mut parts = vec![case.calls.to_string()];
    parts.extend(case.seen.memory().map(|memory| memory.to_string()));
    let fresh = case
        .costs
        .iter()
        .filter(|cost| cost.place.instance == InstancePolicy::Fresh);
    let times: Vec<String> = fresh
        .map(|cost| TimeSpan::new(cost.wall).to_string())
        .collect();
    parts.push(times.join(" / "));
    if case.hurried {
        parts.push("not all limits were tried (--patience)".to_owned());
    }
    parts.join(", ")
}

fn text(suite: &Suite, checked: &[Checked], fuzzed: &Fuzzed) -> String {
    let mut text = format!("{}, {}\n", suite.guest.name(), suite.guest.entry());
    let legend = "calls in each place, memory, a call's time in a thread / in a process";
    let _ = writeln!(text, "each case: {legend}");
    let width = checked
        .iter()
        .map(|case| printable(&case.name).chars().count())
        .max()
        .unwrap_or(0);
    let width = width.clamp(RANDOM.len(), 40);
    for case in checked {
        let name = printable(&case.name);
        let verdict = if case.findings.is_empty() {
            "ok  "
        } else {
            "FAIL"
        };
        let _ = writeln!(text, "  {verdict}  {name:width$}  {}", costs(case));
        for finding in &case.findings {
            text += &lines_of(finding, 8);
        }
    }
    if fuzzed.inputs > 0 {
        let verdict = if fuzzed.findings.is_empty() {
            "ok  "
        } else {
            "FAIL"
        };
        let trapped = match fuzzed.trapped {
            0 => String::new(),
            trapped => format!(", the guest traps on {trapped}"),
        };
        let _ = writeln!(
            text,
            "  {verdict}  {RANDOM:width$}  {} in both isolations{trapped}",
            fuzzed.inputs
        );
        for finding in &fuzzed.findings {
            text += &lines_of(finding, 8);
        }
    }
    let failed = checked
        .iter()
        .filter(|case| !case.findings.is_empty())
        .count();
    let plural = if checked.len() == 1 { "case" } else { "cases" };
    let _ = writeln!(
        text,
        "{} {plural}: {} well, {failed} not{}",
        checked.len(),
        checked.len() - failed,
        match fuzzed.findings.is_empty() {
            true => "",
            false => "; random inputs: not well",
        }
    );
    text
}

fn object(suite: &Suite, report: &Report) -> Value {
    let (checked, fuzzed) = (report.cases.as_slice(), &report.random);
    let finding = |finding: &Finding| json!({"case": finding.case, "at": finding.at(), "what": finding.what, "again": finding.again});
    let findings = |all: &[Finding]| all.iter().map(finding).collect::<Vec<_>>();
    let cases: Vec<Value> = checked
        .iter()
        .map(|case| {
            json!({
                "name": case.name,
                "ok": case.findings.is_empty(),
                "ending": case.seen.ending_in_words(),
                "calls": case.calls,
                "jobs": case.jobs,
                "took_s": case.took.as_secs_f64(),
                "memory_bytes": case.seen.memory().map(ByteSize::bytes),
                "work": case.work,
                "call_s": case.costs.iter().map(|cost| (cost.place.to_string(), json!(cost.wall.as_secs_f64()))).collect::<serde_json::Map<_, _>>(),
                "all_limits_tried": !case.hurried,
                "findings": findings(&case.findings),
            })
        })
        .collect();
    json!({
        "guest": suite.guest.name(),
        "sha256": suite.guest.sha256(),
        "entry": suite.guest.entry(),
        "interrupted_by": report.interrupted_by,
        "cases": cases,
        "random": {"inputs": fuzzed.inputs, "trapped": fuzzed.trapped, "findings": findings(&fuzzed.findings)},
    })
}

/// All that is told of as a test: its name, how long it took, and what was found.
fn tests<'a>(
    checked: &'a [Checked],
    fuzzed: &'a Fuzzed,
) -> Vec<(&'a str, Option<std::time::Duration>, &'a [Finding])> {
    let mut tests: Vec<_> = checked
        .iter()
        .map(|case| {
            (
                case.name.as_str(),
                Some(case.took),
                case.findings.as_slice(),
            )
        })
        .collect();
    if fuzzed.inputs > 0 {
        tests.push((RANDOM, None, &fuzzed.findings));
    }
    tests
}

fn junit(suite: &Suite, checked: &[Checked], fuzzed: &Fuzzed) -> String {
    let mut tests_of_guest = TestSuite::new(suite.guest.name());
    for (name, took, findings) in tests(checked, fuzzed) {
        let status = match findings {
            [] => TestCaseStatus::success(),
            [first, ..] => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_message(first.at());
                status.set_description(
                    findings
                        .iter()
                        .map(|finding| lines_of(finding, 0))
                        .collect::<String>(),
                );
                status
            }
        };
        let mut test = TestCase::new(name, status);
        if let Some(took) = took {
            test.set_time(took);
        }
        tests_of_guest.add_test_case(test);
    }
    let mut report = JunitReport::new("cofferdam check");
    report.add_test_suite(tests_of_guest);
    report
        .to_string()
        .unwrap_or_else(|error| format!("<!-- {error} -->\n"))
}

/// Test Anything Protocol 14: <https://testanything.org/tap-version-14-specification.html>.
fn tap(report: &Report) -> String {
    let tests = tests(&report.cases, &report.random);
    let mut text = format!("TAP version 14\n1..{}\n", tests.len());
    for (number, (name, _, findings)) in tests.iter().enumerate() {
        let verdict = if findings.is_empty() { "ok" } else { "not ok" };
        // A sharp sign would begin a directive.
        let name = printable(name).replace('\\', "\\\\").replace('#', "\\#");
        let _ = writeln!(text, "{verdict} {} - {name}", number + 1);
        for finding in *findings {
            for line in lines_of(finding, 0).lines() {
                let _ = writeln!(text, "# {line}");
            }
        }
    }
    if let Some(signal) = report.interrupted_by {
        let _ = writeln!(text, "Bail out! stopped by signal {signal}");
    }
    text
}

/// Workflow commands: <https://docs.github.com/actions/reference/workflow-commands-for-github-actions>.
fn github(checked: &[Checked], fuzzed: &Fuzzed) -> String {
    let data = |text: &str| {
        text.replace('%', "%25")
            .replace('\r', "%0D")
            .replace('\n', "%0A")
    };
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let mut text = String::new();
    for (name, _, findings) in tests(checked, fuzzed) {
        for finding in findings {
            let _ = writeln!(
                text,
                "::error title={}::{}",
                property(name),
                data(lines_of(finding, 0).trim_end())
            );
        }
    }
    text
}

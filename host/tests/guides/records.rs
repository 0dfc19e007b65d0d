//! The records of `benches/records`, and how each kind of them is shown.
//!
//! - A result of `compare` is shown by `cofferdam report --format html`, in whose page each number says what it is:
//!   `<data data-row="start.first_echo" data-field="arms.thread.value">`. A subject is `row:start.first_echo`, and in place of
//!   `row` whatever the page has. `thread` is short for `arms.thread.value`, and `ratio` for a median and its interval.
//!   `reach:ISOLATION` counts what escaped code came to, which the page tells in words.
//! - Of the table of the peers, a subject is `MEASURE/ARM`, and a field `value` or `ratio to ARM`.
//! - Of the text of the goals, a subject is `GOAL/ROW`, and a field `result`, `p50` or `rounds`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use cofferdam::stats::{Interval, median, median_interval};
use cofferdam::units::{seconds, three_digits};
use serde_json::Value;

use crate::figures::Records;

/// A record of some kind.
enum Record {
    Compare {
        shown: BTreeMap<(String, String), Vec<String>>,
        result: Value,
    },
    Peers(Value),
    Goals(String),
}

/// All records that a page may name, by what it calls them.
pub(crate) struct Shelf(BTreeMap<&'static str, Record>);

impl Shelf {
    /// Reads records, each by its name and its file in `folder`.
    pub(crate) fn read(program: &Path, folder: &Path, files: &[(&'static str, &str)]) -> Self {
        let read = |&(name, file): &(&'static str, &str)| {
            let path = folder.join(file);
            let text = std::fs::read_to_string(&path)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let json = || serde_json::from_str(&text).expect("a record is JSON");
            let record = if file.ends_with("goals.txt") {
                Record::Goals(text)
            } else if file.ends_with("peers.json") {
                Record::Peers(json())
            } else {
                let result = json();
                let shown = numbers(&web_page(program, &path));
                Record::Compare { shown, result }
            };
            (name, record)
        };
        Self(files.iter().map(read).collect())
    }
}

impl Records for Shelf {
    fn shown(&self, record: &str, subject: &str, field: &str) -> Result<String, String> {
        match self.0.get(record) {
            Some(Record::Compare { shown, result }) => of_compare(shown, result, subject, field),
            Some(Record::Peers(table)) => of_peers(table, subject, field),
            Some(Record::Goals(text)) => of_goals(text, subject, field),
            None => Err("no such record".to_owned()),
        }
    }
}

fn web_page(program: &Path, result: &Path) -> String {
    let output = Command::new(program)
        .args(["report", "--format", "html"])
        .arg(result)
        .output()
        .expect("the binary runs");
    assert!(output.status.success(), "{}", result.display());
    String::from_utf8(output.stdout).expect("a page is text")
}

/// Whatever says what it is, `KIND:NAME` and its field, with the texts under which it is shown.
fn numbers(page: &str) -> BTreeMap<(String, String), Vec<String>> {
    let mut numbers: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for element in page.split('<') {
        let Some((tag, text)) = element.split_once('>') else {
            continue;
        };
        if !(tag.starts_with("data ") || tag.starts_with("span data-")) {
            continue;
        }
        let mut subject = None;
        let mut field = None;
        // NAME="VALUE", and no quote in a value: it is escaped.
        let parts: Vec<&str> = tag.split('"').collect();
        for pair in parts.chunks_exact(2) {
            let kind = pair[0].rsplit("data-").next().unwrap_or_default();
            let kind = kind.trim_end_matches('=');
            match kind {
                "field" => field = Some(pair[1].to_owned()),
                _ if pair[0].contains("data-") => subject = Some(format!("{kind}:{}", pair[1])),
                _ => {}
            }
        }
        if let (Some(subject), Some(field)) = (subject, field) {
            let texts = numbers.entry((subject, field)).or_default();
            if !texts.iter().any(|known| known == text) {
                texts.push(text.to_owned());
            }
        }
    }
    numbers
}

fn of_compare(
    shown: &BTreeMap<(String, String), Vec<String>>,
    result: &Value,
    subject: &str,
    field: &str,
) -> Result<String, String> {
    if let Some(isolation) = subject.strip_prefix("reach:") {
        let tried = result["reach"].as_array().ok_or("nothing escaped")?;
        let here = tried.iter().filter(|deed| deed["isolation"] == isolation);
        return match field {
            "came through" => Ok(here
                .filter(|deed| deed["stopped_by"].is_null())
                .count()
                .to_string()),
            "tried" => Ok(here.count().to_string()),
            _ => Err("no such field".to_owned()),
        };
    }
    let one = |field: &str| {
        let texts = shown.get(&(subject.to_owned(), field.to_owned()));
        match texts.map(Vec::as_slice) {
            Some([text]) => Ok(text.clone()),
            Some(several) => Err(format!("it is shown in several ways: {several:?}")),
            None => Err("the page of the report does not show it".to_owned()),
        }
    };
    let interval = |prefix: &str| {
        let [median, low, high] =
            ["median", "low", "high"].map(|part| one(&format!("{prefix}{part}")));
        Ok(format!("{} [{}, {}]", median?, low?, high?))
    };
    match field {
        "ratio" if subject.starts_with("row:") => interval("ratio."),
        "ratio" => interval(""),
        "control" | "overhead_s" | "call_s" => interval(&format!("{field}.")),
        _ if field.contains('.') => one(field),
        _ => one(field).or_else(|_| one(&format!("arms.{field}.value"))),
    }
}

/// As `benches/peers/table.py` has it: a round's value is a trial's median, and a ratio that of a round.
fn of_peers(table: &Value, subject: &str, field: &str) -> Result<String, String> {
    let (measure, arm) = subject.split_once('/').ok_or("MEASURE/ARM is a subject")?;
    let rounds_of = |arm: &str| -> BTreeMap<u64, f64> {
        let trials = table["trials"].as_array().into_iter().flatten();
        trials
            .filter(|trial| trial["measure"] == measure && trial["arm"] == arm)
            .filter_map(|trial| Some((trial["round"].as_u64()?, trial["p50"].as_f64()?)))
            .collect()
    };
    let rounds = rounds_of(arm);
    let missing = || format!("no trial of `{arm}` in `{measure}`");
    if let Some(reference) = field.strip_prefix("ratio to ") {
        let below = rounds_of(reference);
        let ratio =
            |(round, value): (&u64, &f64)| Some(value / below.get(round).filter(|&&v| v > 0.0)?);
        let ratios: Vec<f64> = rounds.iter().filter_map(ratio).collect();
        let Interval {
            median, low, high, ..
        } = median_interval(&ratios).ok_or_else(missing)?;
        return Ok(format!(
            "{} [{}, {}]",
            digits(median),
            digits(low),
            digits(high)
        ));
    }
    let values: Vec<f64> = rounds.into_values().collect();
    let value = median(&values).ok_or_else(missing)?;
    let unit = table["measures"]
        .as_array()
        .and_then(|all| all.iter().find(|one| one["name"] == measure))
        .and_then(|one| one["unit"].as_str());
    match (field, unit) {
        ("rounds", _) => Ok(values.len().to_string()),
        ("value", Some("s")) => Ok(seconds(value)),
        ("value", Some("B")) if value >= 1024.0 * 1024.0 => {
            Ok(format!("{} MiB", digits(value / (1024.0 * 1024.0))))
        }
        ("value", Some("B")) => Ok(format!("{} KiB", digits(value / 1024.0))),
        _ => Err("no such field".to_owned()),
    }
}

/// Three digits, also of what is below a tenth.
fn digits(value: f64) -> String {
    if value.abs() >= 0.0995 {
        three_digits(value)
    } else {
        format!("{value:.3}")
    }
}

/// A line of a goal's own section: `  fork / thread   <= 2.00  1.56 (1.48 to 1.70)   met`, or `    fork   p50 388 µs, 60 rounds of 8`.
fn of_goals(text: &str, subject: &str, field: &str) -> Result<String, String> {
    let (goal, row) = subject.split_once('/').ok_or("GOAL/ROW is a subject")?;
    let of_goal = |line: &&str| {
        let rest = line
            .strip_prefix(goal)
            .and_then(|rest| rest.strip_prefix("  "));
        // In the table at the head there are more blanks.
        rest.is_some_and(|title| !title.starts_with(' '))
    };
    let mut lines = text.lines().skip_while(|line| !of_goal(line)).skip(1);
    let section = lines
        .by_ref()
        .take_while(|line| line.is_empty() || line.starts_with(' '));
    let mut rows = section.filter_map(|line| {
        let rest = line.trim_start().strip_prefix(row)?;
        rest.starts_with("  ").then_some(rest.trim_start())
    });
    let found = rows.next().ok_or("no such line")?;
    match field {
        "result" if found.starts_with(['<', '>']) => {
            let columns: Vec<&str> = found.split("  ").filter(|part| !part.is_empty()).collect();
            let result = columns.get(1).ok_or("no result")?.trim();
            Ok(result
                .replace(" (", " [")
                .replace(" to ", ", ")
                .replace(')', "]"))
        }
        "p50" => {
            let p50 = found
                .strip_prefix("p50 ")
                .and_then(|rest| rest.split(',').next());
            Ok(p50.ok_or("no p50")?.to_owned())
        }
        _ => Err("no such field".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_says_what_its_numbers_are() {
        let page = r#"<p><data value="1.5" data-row="a.b[c=1]" data-field="ratio.low">1.50</data> and
            <span data-row="a.b[c=1]" data-field="verdict">thread better</span><span data-prose>5</span>"#;
        let numbers = numbers(page);
        let of = |field: &str| numbers[&("row:a.b[c=1]".to_owned(), field.to_owned())].clone();
        assert_eq!(of("ratio.low"), ["1.50"]);
        assert_eq!(of("verdict"), ["thread better"]);
        assert_eq!(numbers.len(), 2);
    }

    #[test]
    fn a_goal_is_found_in_its_section() {
        let text = "P1     a            <= 1.00  9.99 (1 to 2)  met\n\nP1  a\n  x / y      <= 2.00  1.56 (1.48 to 1.70)   met\n    x    p50 3.0 µs, 60 rounds of 8\n\nP2  b\n    z    p50 4.0 µs, 60 rounds of 8\n";
        assert_eq!(
            of_goals(text, "P1/x / y", "result").unwrap(),
            "1.56 [1.48, 1.70]"
        );
        assert_eq!(of_goals(text, "P1/x", "p50").unwrap(), "3.0 µs");
        assert_eq!(of_goals(text, "P2/z", "p50").unwrap(), "4.0 µs");
        of_goals(text, "P1/z", "p50").unwrap_err();
        of_goals(text, "P3/z", "p50").unwrap_err();
        of_goals(text, "P1/x", "result").unwrap_err();
    }

    #[test]
    fn peers_are_compared_round_by_round() {
        let trial = |round: u32, arm: &str, p50: f64| serde_json::json!({"round": round, "measure": "echo", "arm": arm, "p50": p50});
        let table = serde_json::json!({
            "measures": [{"name": "echo", "unit": "s"}],
            "trials": [trial(0, "a", 2e-6), trial(0, "b", 1e-6), trial(1, "a", 6e-6), trial(1, "b", 2e-6)],
        });
        assert_eq!(of_peers(&table, "echo/a", "value").unwrap(), "4.00 µs");
        assert_eq!(
            of_peers(&table, "echo/a", "ratio to b").unwrap(),
            "2.50 [2.00, 3.00]"
        );
        of_peers(&table, "echo/c", "value").unwrap_err();
        of_peers(&table, "start/a", "value").unwrap_err();
    }
}

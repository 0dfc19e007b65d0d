//! The rows as CSV, for spreadsheets and scripts: a line for each row and arm, numbers in full.

use super::result::{ArmSummary, Comparison, Row};
use crate::experiment::{Arm, Param, Unit};

/// The first line.
const HEAD: [&str; 19] = [
    "experiment",
    "metric",
    "params",
    "unit",
    "arm",
    "value",
    "p50",
    "p90",
    "p99",
    "n",
    "above",
    "below",
    "ratio",
    "ratio_low",
    "ratio_high",
    "confidence",
    "margin",
    "detectable",
    "verdict",
];

/// Renders the rows of a comparison as CSV. What a row compares stands on the line of each of its arms;
/// what is missing, or no number, is an empty field. `params` are `name=value`, with `;` between them.
#[must_use]
pub fn csv(comparison: &Comparison) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // Writing to a Vec cannot fail, and every line has the fields of the first.
    let _ = writer.write_record(HEAD);
    for row in &comparison.rows {
        for (arm, summary) in &row.arms {
            let _ = writer.write_record(line(row, *arm, summary));
        }
    }
    let bytes = writer.into_inner().unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default()
}

fn line(row: &Row, arm: Arm, summary: &ArmSummary) -> [String; 19] {
    let ratio = |part: fn(&crate::stats::Interval) -> f64| {
        row.ratio
            .as_ref()
            .map_or(String::new(), |ratio| number(part(ratio)))
    };
    [
        cell(&row.experiment),
        cell(&row.metric),
        cell(&params(row)),
        unit(row.unit).to_owned(),
        arm.to_string(),
        number(summary.value),
        number(summary.p50),
        number(summary.p90),
        number(summary.p99),
        summary.n.to_string(),
        row.compared.0.to_string(),
        row.compared.1.to_string(),
        ratio(|ratio| ratio.median),
        ratio(|ratio| ratio.low),
        ratio(|ratio| ratio.high),
        ratio(|ratio| ratio.confidence),
        number(row.margin.factor()),
        row.detectable.map_or(String::new(), number),
        row.verdict.map_or(String::new(), String::from),
    ]
}

fn params(row: &Row) -> String {
    let params: Vec<String> = row
        .params
        .iter()
        .map(|(name, value): (&String, &Param)| format!("{name}={value}"))
        .collect();
    params.join(";")
}

/// The shortest text that gives the same number back.
fn number(value: f64) -> String {
    if value.is_finite() {
        value.to_string()
    } else {
        String::new()
    }
}

/// Text without control characters, and never taken for a formula by a spreadsheet.
fn cell(text: &str) -> String {
    let safe = crate::mail::printable(text);
    if safe.starts_with(['=', '+', '-', '@', '\t']) {
        format!("'{safe}")
    } else {
        safe
    }
}

/// As in the result file.
fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Seconds => "s",
        Unit::JobsPerSecond => "jobs/s",
        Unit::MessagesPerSecond => "messages/s",
        Unit::BytesPerSecond => "B/s",
        Unit::Bytes => "B",
        Unit::Count => "1",
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample::sample;
    use super::*;

    fn lines(text: &str) -> Vec<csv::StringRecord> {
        csv::Reader::from_reader(text.as_bytes())
            .records()
            .map(Result::unwrap)
            .collect()
    }

    #[test]
    fn there_is_a_line_for_each_row_and_arm() {
        let comparison = sample();
        let text = csv(&comparison);
        let expected: usize = comparison.rows.iter().map(|row| row.arms.len()).sum();
        assert_eq!(lines(&text).len(), expected);
        assert!(
            text.starts_with("experiment,metric,params,unit,arm,value,p50,p90,p99,n,above,below,")
        );
    }

    #[test]
    fn numbers_come_back_as_they_were() {
        let comparison = sample();
        let row = &comparison.rows[0];
        let text = csv(&comparison);
        let line = lines(&text)
            .into_iter()
            .find(|line| &line[4] == "process")
            .unwrap();
        assert_eq!(&line[0], "start");
        assert_eq!(&line[2], "cache=warm");
        assert_eq!(line[5].parse(), Ok(row.arms[&Arm::Process].value));
        assert_eq!(line[12].parse(), Ok(row.ratio.unwrap().median));
        assert_eq!(&line[18], "thread better");
    }

    #[test]
    fn what_is_missing_is_an_empty_field() {
        let mut comparison = sample();
        comparison.rows.truncate(1);
        let row = &mut comparison.rows[0];
        (row.ratio, row.detectable, row.verdict) = (None, None, None);
        row.arms.get_mut(&Arm::Thread).unwrap().p99 = f64::NAN;
        let line = &lines(&csv(&comparison))[0];
        let empty: Vec<usize> = (0..19).filter(|&field| line[field].is_empty()).collect();
        assert_eq!(empty, [8, 12, 13, 14, 15, 17, 18]);
    }

    #[test]
    fn text_is_quoted_and_no_formula() {
        let mut comparison = sample();
        comparison.rows.truncate(1);
        comparison.rows[0].experiment = "=1+\"2\",\u{7}".to_owned();
        let text = csv(&comparison);
        assert!(text.contains("\"'=1+\"\"2\"\",\\u{7}\""));
    }

    #[test]
    fn without_rows_only_the_head_stands() {
        let mut comparison = sample();
        comparison.rows.clear();
        assert_eq!(csv(&comparison).lines().count(), 1);
    }

    #[test]
    fn units_are_those_of_the_result_file() {
        let all = [
            Unit::Seconds,
            Unit::JobsPerSecond,
            Unit::MessagesPerSecond,
            Unit::BytesPerSecond,
            Unit::Bytes,
            Unit::Count,
        ];
        for one in all {
            assert_eq!(serde_json::to_value(one).unwrap(), unit(one));
        }
    }
}

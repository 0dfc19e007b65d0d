//! The record of a run: every round, so that anybody can compute the table again.

use cofferdam::machine::Machine;
use cofferdam::stats::Interval;
use cofferdam::{LinkKind, StartMethod, WaitPolicy};
use serde_json::{Value, json};

use super::finding::{Bound, Finding, Measured, Part, Unit, Verdict};
use super::{Goal, Setting};
use crate::Failure;

/// What this file is, and which version of it.
const SCHEMA: &str = "cofferdam.goals/1";

/// All that was measured. Seconds and bytes.
#[must_use]
pub fn record(
    machine: &Machine,
    setting: &Setting<'_>,
    goals: &[(Goal, Result<&Finding, &Failure>)],
) -> Value {
    json!({
        "schema": SCHEMA,
        "machine": serde_json::to_value(machine).unwrap_or_default(),
        "settings": {
            "seed": setting.seed,
            "start": StartMethod::default().to_string(),
            "link": LinkKind::default().to_string(),
            "wait": WaitPolicy::default().to_string(),
        },
        "goals": goals.iter().map(|(goal, result)| of_goal(goal, *result)).collect::<Vec<_>>(),
    })
}

fn of_goal(goal: &Goal, result: Result<&Finding, &Failure>) -> Value {
    match result {
        Err(error) => json!({
            "id": goal.id,
            "title": goal.title,
            "verdict": name(Verdict::Failed),
            "error": error.to_string(),
        }),
        Ok(finding) => json!({
            "id": goal.id,
            "title": goal.title,
            "verdict": finding.worst().map(|part| name(part.verdict())),
            "parts": finding.parts.iter().map(of_part).collect::<Vec<_>>(),
            "arms": finding.arms.iter().map(|row| json!({
                "name": row.column.name,
                "unit": unit(row.unit),
                "samples_in_a_round": row.column.samples,
                "max": row.column.max,
                "rounds": row.column.rounds,
            })).collect::<Vec<_>>(),
            "controls": finding.controls.iter().map(|(name, ratio)| json!({
                "arm": name,
                "ratio": interval(ratio),
            })).collect::<Vec<_>>(),
            "notes": finding.notes,
        }),
    }
}

fn of_part(part: &Part) -> Value {
    let (bound, limit) = match part.bound {
        Bound::AtMost(most) => ("at most", most),
        Bound::AtLeast(least) => ("at least", least),
    };
    let measured = match &part.measured {
        Measured::Interval(found) => interval(found),
        Measured::Single(value) => json!({ "value": value }),
        Measured::Missing(why) => json!({ "not_measured": why }),
    };
    json!({
        "what": part.what,
        "unit": unit(part.unit),
        "bound": bound,
        "limit": limit,
        "measured": measured,
        "verdict": name(part.verdict()),
    })
}

fn interval(found: &Interval) -> Value {
    serde_json::to_value(found).unwrap_or_default()
}

fn unit(unit: Unit) -> Option<&'static str> {
    match unit {
        Unit::Ratio => None,
        Unit::Seconds => Some("s"),
        Unit::Bytes => Some("B"),
    }
}

fn name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Met => "met",
        Verdict::NotMeasured => "not measured",
        Verdict::Open => "open",
        Verdict::Missed => "missed",
        Verdict::Failed => "failed",
    }
}

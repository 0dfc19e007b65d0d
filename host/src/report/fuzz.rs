//! The reader of result files against damaged ones; see `fuzz.rs` at the top.
//!
//! A file is read that was good and of which a few things were changed: bytes of its text, or values of its
//! JSON. It must never panic. What it refuses it has to refuse with a place that exists, in words that do not
//! steer a terminal; what it accepts it has to write back so that nothing which it understood has changed.

use fastrand::Rng;
use serde_json::{Map, Value};

use super::file::{ReadError, parse, to_json};
use super::result::Comparison;
use super::sample::sample;
use crate::fuzz::{try_out, try_out_wished};

/// Files in a test run for every day.
const FEW: u64 = 5_000;

/// A good result that is as short as one of each part can be.
fn short() -> Comparison {
    let mut short = sample();
    short.rows.truncate(1);
    short.parts.truncate(1);
    short.containment.truncate(1);
    short.identities.truncate(1);
    short.sharing.truncate(1);
    short.claims.truncate(1);
    short.warnings.truncate(1);
    let kept: Vec<_> = short.rows.iter().map(|row| row.series.clone()).collect();
    short.series.retain(|name, _| kept.contains(name));
    let samples = short.series.values_mut().flat_map(|arms| arms.values_mut());
    for rounds in samples {
        rounds.truncate(2);
        rounds.iter_mut().for_each(|round| round.truncate(2));
    }
    short
}

/// Changes bytes of a text.
fn damage(text: &mut Vec<u8>, rng: &mut Rng) {
    // What means something in JSON is more likely to be understood wrongly.
    const SIGNS: &[u8] = b"{}[]\",:0123456789.-+eE\\untf \n\x00\x1b\xff";
    let sign = |rng: &mut Rng| SIGNS[rng.usize(0..SIGNS.len())];
    let at = rng.usize(0..text.len().max(1)).min(text.len());
    match rng.u32(0..8) {
        0 => text.truncate(at),
        1 => text.insert(at, sign(rng)),
        2 if at < text.len() => drop(text.remove(at)),
        3 if at < text.len() => text[at] ^= 1 << rng.u32(0..8),
        4 => {
            let end = (at + rng.usize(0..40)).min(text.len());
            let again = text[at..end].to_vec();
            drop(text.splice(at..at, again));
        }
        5 => {
            let end = (at + rng.usize(0..40)).min(text.len());
            text.drain(at..end);
        }
        6 => drop(text.splice(at..at, [b' ', b'\n', b'\t', b'\r'].repeat(2))),
        _ if at < text.len() => text[at] = sign(rng),
        _ => text.clear(),
    }
}

/// Changes one value somewhere in a tree.
fn distort(value: &mut Value, rng: &mut Rng) {
    match value {
        Value::Object(fields) if !fields.is_empty() && rng.u32(0..8) > 0 => {
            let key = fields.keys().nth(rng.usize(0..fields.len())).cloned();
            let key = key.expect("it is not empty");
            match rng.u32(0..24) {
                0 => drop(fields.remove(&key)),
                1 => {
                    let kept = fields.remove(&key).expect("it was there");
                    fields.insert(format!("{key}x"), kept);
                }
                2 => drop(fields.insert("later".to_owned(), stranger(rng))),
                _ => distort(&mut fields[&key], rng),
            }
        }
        Value::Array(items) if !items.is_empty() && rng.u32(0..8) > 0 => {
            let at = rng.usize(0..items.len());
            match rng.u32(0..12) {
                0 => drop(items.remove(at)),
                1 => items.push(items[at].clone()),
                _ => distort(&mut items[at], rng),
            }
        }
        other => *other = stranger(rng),
    }
}

/// Any value, small or absurd.
fn stranger(rng: &mut Rng) -> Value {
    match rng.u32(0..16) {
        0 => Value::Null,
        1 => Value::Bool(rng.bool()),
        2 => (rng.u64(..) >> rng.u32(0..64)).into(),
        3 => rng.i64(..).into(),
        4 => f64::from_bits(rng.u64(..)).into(),
        5 => 1e308.into(),
        6 => u64::MAX.into(),
        7 => "\u{1b}[2J\u{0}\u{202e}".into(),
        8 => "thread".into(),
        9 => "x".repeat(rng.usize(0..40)).into(),
        10 => Value::Array(Vec::new()),
        11 => Value::Object(Map::new()),
        12 => Value::Array(vec![0.5.into(), Value::Null]),
        13 => (-1).into(),
        14 => 0.into(),
        _ => rng.f64().into(),
    }
}

/// Whether all that was written stood in what was read, or stands for what was not there.
fn stood_there(written: &Value, read: Option<&Value>) -> bool {
    match (written, read) {
        (Value::Object(fields), Some(Value::Object(found))) => fields
            .iter()
            .all(|(key, value)| stood_there(value, found.get(key))),
        (Value::Array(items), Some(Value::Array(found))) => {
            items.len() == found.len()
                && items
                    .iter()
                    .zip(found)
                    .all(|(item, found)| stood_there(item, Some(found)))
        }
        // A whole number is read where one with a fraction may stand.
        (Value::Number(number), Some(Value::Number(found))) => {
            number == found || number.as_f64() == found.as_f64()
        }
        (written, Some(found)) => written == found,
        // What a file of an earlier version does not have.
        (Value::Object(fields), None) => fields.values().all(|value| stood_there(value, None)),
        (Value::Null | Value::Bool(false), None) => true,
        (Value::Array(items), None) => items.is_empty(),
        (Value::String(_) | Value::Number(_) | Value::Bool(true), None) => true,
    }
}

/// Whether the place that an error names is there.
fn names_a_place(error: &ReadError, text: &[u8]) -> bool {
    let lines = text.split(|&byte| byte == b'\n').count();
    let is_there = |line: usize| (1..=lines).contains(&line);
    match error {
        ReadError::CutOff { line, column } | ReadError::NotJson { line, column, .. } => {
            is_there(*line) && *column <= text.len()
        }
        ReadError::Layout { path, why } => !path.is_empty() && !why.is_empty(),
        // These are about the file as a whole, and say what it says of itself.
        ReadError::NoSchema
        | ReadError::OtherSchema(_)
        | ReadError::Older(_)
        | ReadError::Newer(_) => true,
        ReadError::Unreadable(_) => false,
    }
}

fn files() -> impl FnMut(&mut Rng) -> bool {
    let good = to_json(&short());
    let tree: Value = serde_json::from_slice(&good).unwrap();
    move |rng| {
        let mut text = if rng.bool() {
            good.clone()
        } else {
            let mut tree = tree.clone();
            (0..rng.u32(0..3)).for_each(|_| distort(&mut tree, rng));
            serde_json::to_vec(&tree).unwrap()
        };
        if rng.bool() {
            (0..rng.u32(1..4)).for_each(|_| damage(&mut text, rng));
        }
        judge(&text)
    }
}

fn judge(text: &[u8]) -> bool {
    let show = || String::from_utf8_lossy(text).into_owned();
    match parse(text) {
        Ok(comparison) => {
            let written = to_json(&comparison);
            let again = parse(&written).unwrap_or_else(|error| panic!("{error}: {}", show()));
            assert!(
                to_json(&again) == written,
                "it changes when it is written: {}",
                show()
            );
            let read: Value = serde_json::from_slice(text).unwrap();
            let written: Value = serde_json::from_slice(&written).unwrap();
            assert!(
                stood_there(&written, Some(&read)),
                "{written}\nof {}",
                show()
            );
            true
        }
        Err(error) => {
            let said = error.to_string();
            assert!(names_a_place(&error, text), "{said}: {}", show());
            // A tab is quoted as it stands: it steers no terminal.
            let steers = |c: char| c.is_control() && c != '\t';
            assert!(!said.chars().any(steers), "{said:?}: {}", show());
            false
        }
    }
}

#[test]
fn a_few_damaged_files_are_refused_with_a_place_or_read_as_they_stand() {
    try_out(FEW, 2, files());
}

#[test]
#[ignore = "takes hours, and a release build"]
fn all_damaged_files_are_refused_with_a_place_or_read_as_they_stand() {
    try_out_wished("result files", files());
}

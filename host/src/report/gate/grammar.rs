//! How a gate is written.

use std::collections::BTreeMap;
use std::str::FromStr;

use super::{Bound, Gate, Operator, ParseGateError, Place};
use crate::experiment::{Arm, Unit};
use crate::units::{ByteSize, TimeSpan, UnitError};

/// A gate as it should be.
pub(super) const EXAMPLE: &str = "process.job.p50 > 1.10x";

impl FromStr for Gate {
    type Err = ParseGateError;

    fn from_str(text: &str) -> Result<Self, ParseGateError> {
        let text = text.trim();
        let missing = || ParseGateError::NoOperator(text.to_owned());
        let at = text.find(['<', '>']).ok_or_else(missing)?;
        let (place, rest) = text.split_at(at);
        let operators = [
            (">=", Operator::AtLeast),
            ("<=", Operator::AtMost),
            (">", Operator::Above),
            ("<", Operator::Below),
        ];
        let found = operators
            .into_iter()
            .find_map(|(word, operator)| Some((operator, rest.strip_prefix(word)?)));
        let (operator, bound) = found.ok_or_else(missing)?;
        Ok(Self {
            text: text.to_owned(),
            place: place.parse()?,
            operator,
            bound: bound.parse()?,
        })
    }
}

impl FromStr for Place {
    type Err = ParseGateError;

    fn from_str(text: &str) -> Result<Self, ParseGateError> {
        let text = text.trim();
        let malformed = || ParseGateError::Place(text.to_owned());
        let (names, params) = match text.split_once('[') {
            Some((names, params)) => (names, params.strip_suffix(']').ok_or_else(malformed)?),
            None => (text, ""),
        };
        let names: Vec<&str> = names.split('.').map(str::trim).collect();
        let [arm, experiment, metric] = names[..] else {
            return Err(malformed());
        };
        let is_name = |name: &str| {
            let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            !name.is_empty() && name.chars().all(is_part)
        };
        if !is_name(experiment) || !is_name(metric) {
            return Err(malformed());
        }
        let mut pairs = BTreeMap::new();
        for pair in params.split(',').filter(|pair| !pair.trim().is_empty()) {
            let (name, value) = pair.split_once('=').ok_or_else(malformed)?;
            let (name, value) = (name.trim().to_owned(), value.trim().to_owned());
            if pairs.insert(name, value).is_some() {
                return Err(malformed());
            }
        }
        let known = Arm::ALL.into_iter().find(|known| known.name() == arm);
        Ok(Self {
            arm: known.ok_or_else(|| ParseGateError::Arm(arm.to_owned()))?,
            experiment: experiment.to_owned(),
            metric: metric.to_owned(),
            params: pairs,
        })
    }
}

impl FromStr for Bound {
    type Err = ParseGateError;

    fn from_str(text: &str) -> Result<Self, ParseGateError> {
        let text = text.trim();
        let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.'));
        let (number, unit) = text.split_at(end.unwrap_or(text.len()));
        let malformed = || ParseGateError::Bound(text.to_owned());
        let number: f64 = number.parse().map_err(|_| malformed())?;
        let unit = unit.trim();
        if let Some(rest) = unit.strip_prefix('x').or_else(|| unit.strip_prefix('×')) {
            if number <= 0.0 || !number.is_finite() {
                return Err(malformed());
            }
            if rest.is_empty() {
                return Ok(Self::Baseline(number));
            }
            return Ok(Self::Arm(number, rest.parse()?));
        }
        if let Some(of) = unit.strip_suffix("/s") {
            return Ok(match of.trim() {
                "" => Self::Value(number, &[Unit::JobsPerSecond, Unit::MessagesPerSecond]),
                "jobs" => Self::Value(number, &[Unit::JobsPerSecond]),
                "messages" => Self::Value(number, &[Unit::MessagesPerSecond]),
                _ => Self::Value(size(text.trim_end_matches("/s"))?, &[Unit::BytesPerSecond]),
            });
        }
        if unit.is_empty() {
            return Ok(Self::Value(number, &[Unit::Count]));
        }
        match text.parse::<TimeSpan>() {
            Ok(span) => Ok(Self::Value(span.duration().as_secs_f64(), &[Unit::Seconds])),
            Err(UnitError::Unknown { .. }) => match size(text) {
                Ok(bytes) => Ok(Self::Value(bytes, &[Unit::Bytes])),
                // Neither a time nor a size.
                Err(ParseGateError::Unit(UnitError::Unknown { .. })) => Err(malformed()),
                Err(error) => Err(error),
            },
            Err(error) => Err(error.into()),
        }
    }
}

fn size(text: &str) -> Result<f64, ParseGateError> {
    let size: ByteSize = text.parse()?;
    #[expect(clippy::cast_precision_loss, reason = "at most 9e15, which is exact")]
    Ok(size.bytes() as f64)
}

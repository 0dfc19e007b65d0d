//! Rows that differ in one thing only, told without saying the rest again and again.

use std::collections::BTreeMap;

use crate::experiment::{Arm, Param};
use crate::printable;
use crate::report::chart::{LogScale, spark};
use crate::report::result::Row;

/// Rows that follow each other, and the words that all of their titles begin with.
pub(super) struct Ladder<'r> {
    /// What the titles have in common; empty for a row that stands alone.
    pub(super) common: String,
    /// The rows, and what their titles say beyond that.
    pub(super) rungs: Vec<(&'r Row, String)>,
}

impl<'r> Ladder<'r> {
    /// Groups rows by metric and by the names of their parameters, in the order in which these come
    /// first, and by the first two words of their titles within.
    pub(super) fn all(rows: &[&'r Row]) -> Vec<Self> {
        let mut groups: Vec<Vec<&'r Row>> = Vec::new();
        for row in rows {
            let is_alike = |other: &Row| {
                other.metric == row.metric && other.params.keys().eq(row.params.keys())
            };
            match groups.iter_mut().find(|group| is_alike(group[0])) {
                Some(group) => group.push(row),
                None => groups.push(vec![row]),
            }
        }
        groups.iter().flat_map(|group| split(group)).collect()
    }

    /// A curve for each of two arms over three rows or more that differ in one number only.
    pub(super) fn curves(&self, arms: [Arm; 2]) -> Option<[String; 2]> {
        if self.rungs.len() < 3 || !self.differs_in_a_number() {
            return None;
        }
        let of = |arm| self.rungs.iter().map(move |(row, _)| row.value(arm));
        let scale = LogScale::of(arms.into_iter().flat_map(of).flatten())?;
        Some(arms.map(|arm| spark(of(arm), scale)))
    }

    fn differs_in_a_number(&self) -> bool {
        let mut values: BTreeMap<&str, Vec<&Param>> = BTreeMap::new();
        for (name, value) in self.rungs.iter().flat_map(|(row, _)| &row.params) {
            values.entry(name).or_default().push(value);
        }
        values.retain(|_, values| values.windows(2).any(|pair| pair[0] != pair[1]));
        let mut differing = values.values();
        let is_number = |value: &&Param| matches!(value, Param::Number(_));
        matches!((differing.next(), differing.next()), (Some(only), None) if only.iter().all(is_number))
    }
}

fn split<'r>(rows: &[&'r Row]) -> Vec<Ladder<'r>> {
    let titles: Vec<String> = rows.iter().map(|row| printable(&row.title)).collect();
    let words: Vec<Vec<&str>> = titles
        .iter()
        .map(|title| title.split_whitespace().collect())
        .collect();
    let mut ladders = Vec::new();
    let mut start = 0;
    while start < rows.len() {
        // The last word of each stays, so that it has something of its own.
        let mut common = words[start].len().saturating_sub(1);
        let mut end = start + 1;
        while end < rows.len() {
            let most = common.min(words[end].len().saturating_sub(1));
            let pairs = words[start].iter().zip(&words[end]).take(most);
            let shared = pairs.take_while(|(one, other)| one == other).count();
            if shared < 2 {
                break;
            }
            common = shared;
            end += 1;
        }
        if end == start + 1 {
            common = 0;
        }
        let lead = words[start][..common].join(" ");
        let rung = |at: usize| (rows[at], words[at][common..].join(" "));
        ladders.push(Ladder {
            common: lead.trim_end_matches([',', ':', ';']).to_owned(),
            rungs: (start..end).map(rung).collect(),
        });
        start = end;
    }
    ladders
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;

    fn ladders(experiment: &str, look: impl FnOnce(Vec<Ladder<'_>>)) {
        let comparison = sample();
        let of_it = |row: &&Row| row.experiment == experiment;
        let rows: Vec<&Row> = comparison.rows.iter().filter(of_it).collect();
        look(Ladder::all(&rows));
    }

    #[test]
    fn payloads_are_a_ladder_with_a_curve() {
        ladders("message", |ladders| {
            let first = &ladders[0];
            assert_eq!(first.common, "round trip of");
            let rungs: Vec<&str> = first.rungs.iter().map(|(_, rest)| rest.as_str()).collect();
            assert_eq!(
                rungs,
                [
                    "0 bytes",
                    "64 bytes",
                    "4096 bytes",
                    "65536 bytes",
                    "1048576 bytes",
                    "16777216 bytes"
                ]
            );
            let curves = first.curves([Arm::Thread, Arm::Process]).unwrap();
            assert_eq!(curves, ["▁▁▁▂▅█", "▂▂▃▄▆█"]);
            assert!(ladders[1..].iter().all(|ladder| ladder.rungs.len() == 1));
        });
    }

    #[test]
    fn guests_are_ladders_of_their_own() {
        ladders("scaling", |ladders| {
            let common: Vec<&str> = ladders
                .iter()
                .map(|ladder| ladder.common.as_str())
                .collect();
            assert_eq!(
                common,
                ["own guest, fresh instances", "echo guest, fresh instances"]
            );
            assert!(ladders[0].curves([Arm::Thread, Arm::Process]).is_some());
        });
    }

    #[test]
    fn choices_have_no_curve() {
        ladders("memory", |ladders| {
            let first = &ladders[0];
            assert_eq!(first.common, "memory (PSS) of one more worker");
            assert_eq!(first.rungs[1].1, "held");
            assert_eq!(first.curves([Arm::Thread, Arm::Process]), None);
        });
    }
}

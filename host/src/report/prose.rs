//! Sentences whose numbers know where they come from.
//!
//! Evidence and advice are put together by `format!`, from pieces that know nothing of each other; and
//! whoever recomputes them has to know of each number what it is. So a number is [marked](Source::mark)
//! where it is written: its origin stands before it, between characters for private use that no sentence
//! of ours has. They stay with it wherever the piece goes. [`Prose::read`] takes them out in the end:
//! what remains is the sentence, and a list of its [`Figure`]s.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Before the origin of a number, between the parts of it, after it, and after the number.
const MARKS: [char; 4] = ['\u{e000}', '\u{e001}', '\u{e002}', '\u{e003}'];

/// What a printed number is computed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source<'s> {
    /// A row, by its id.
    Row(&'s str),
    /// A fault in an isolation: `trap/thread`; or all faults in one: `process`; or `all`.
    Containment(&'s str),
    /// A payload in bytes, or `all`.
    Crossover(&'s str),
    /// An arm of a row by an arm of a row, by rounds: `job.p90#process ÷ job.p50#process`.
    Quotient(&'s str),
    /// A claim or a piece of advice, by its name: what it alone computes.
    Finding(&'s str),
    /// The result itself, whose field it is: a setting, a fact.
    Result,
}

/// The kind of a [`Source`], as it is named in files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A row; the name is its id.
    Row,
    /// A fault in an isolation.
    Containment,
    /// A payload, or all of them.
    Crossover,
    /// An arm of a row by an arm of a row, round by round.
    Quotient,
    /// What one claim, or one piece of advice, computes for itself.
    Finding,
    /// A field of the result that is no measurement.
    Result,
}

impl Kind {
    const ALL: [Self; 6] = [
        Self::Row,
        Self::Containment,
        Self::Crossover,
        Self::Quotient,
        Self::Finding,
        Self::Result,
    ];

    /// Its name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Row => "row",
            Self::Containment => "containment",
            Self::Crossover => "crossover",
            Self::Quotient => "quotient",
            Self::Finding => "finding",
            Self::Result => "result",
        }
    }
}

/// A number in a sentence, and what it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Figure {
    /// Where its text begins in the sentence, in bytes of UTF-8.
    pub at: usize,
    /// How many bytes its text has.
    pub bytes: usize,
    /// What it is computed from.
    pub kind: Kind,
    /// Which one of these.
    pub name: String,
    /// Which number of it.
    pub field: String,
    /// The number in full: seconds, bytes, fractions or counts, as the field says.
    pub value: f64,
}

impl Figure {
    /// Its source.
    pub(super) fn source(&self) -> Source<'_> {
        match self.kind {
            Kind::Row => Source::Row(&self.name),
            Kind::Containment => Source::Containment(&self.name),
            Kind::Crossover => Source::Crossover(&self.name),
            Kind::Quotient => Source::Quotient(&self.name),
            Kind::Finding => Source::Finding(&self.name),
            Kind::Result => Source::Result,
        }
    }
}

impl Source<'_> {
    /// Its kind and its name.
    pub(super) fn parts(&self) -> (Kind, &str) {
        match self {
            Self::Row(name) => (Kind::Row, name),
            Self::Containment(name) => (Kind::Containment, name),
            Self::Crossover(name) => (Kind::Crossover, name),
            Self::Quotient(name) => (Kind::Quotient, name),
            Self::Finding(name) => (Kind::Finding, name),
            Self::Result => (Kind::Result, "result"),
        }
    }

    /// A number as it is shown, marked with what it is.
    pub(super) fn mark(self, field: &str, value: f64, shown: &str) -> String {
        let (kind, name) = self.parts();
        let [begin, and, then, end] = MARKS;
        format!(
            "{begin}{}{and}{name}{and}{field}{and}{value}{then}{shown}{end}",
            kind.name()
        )
    }

    /// The same for a count.
    pub(super) fn count(self, field: &str, count: u64) -> String {
        #[expect(clippy::cast_precision_loss, reason = "a count far below 2^53")]
        self.mark(field, count as f64, &count.to_string())
    }
}

/// A sentence and its numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Prose {
    /// The sentence, as it is shown.
    pub(super) text: String,
    /// Its numbers, from left to right.
    pub(super) figures: Vec<Figure>,
}

impl Prose {
    /// Takes the marks out of a text. What is marked by halves is text.
    pub(super) fn read(marked: &str) -> Self {
        let [begin, _, then, end] = MARKS;
        let mut prose = Self::default();
        let mut pieces = marked.split(begin);
        prose.text.push_str(pieces.next().unwrap_or_default());
        for piece in pieces {
            let (origin, rest) = piece.split_once(then).unwrap_or(("", piece));
            let (shown, after) = rest.split_once(end).unwrap_or((rest, ""));
            prose
                .figures
                .extend(origin_of(origin).map(|(kind, name, field, value)| Figure {
                    at: prose.text.len(),
                    bytes: shown.len(),
                    kind,
                    name: name.to_owned(),
                    field: field.to_owned(),
                    value,
                }));
            prose.text.push_str(shown);
            prose.text.push_str(after);
        }
        prose
    }
}

fn origin_of(text: &str) -> Option<(Kind, &str, &str, f64)> {
    let mut parts = text.split(MARKS[1]);
    let kind = parts.next()?;
    let kind = Kind::ALL.into_iter().find(|known| known.name() == kind)?;
    let (name, field) = (parts.next()?, parts.next()?);
    let value: f64 = parts.next()?.parse().ok()?;
    // JSON has no other numbers.
    value.is_finite().then_some((kind, name, field, value))
}

/// A text without its marks.
#[cfg(test)]
pub(super) fn plain(marked: &str) -> String {
    Prose::read(marked).text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_has_its_numbers_with_their_places() {
        let row = Source::Row("job.p50");
        let marked = format!(
            "Täglich {} und {}.",
            row.mark("ratio.median", 1.5, "1.50"),
            Source::Result.count("settings.cpus", 2)
        );
        let prose = Prose::read(&marked);
        assert_eq!(prose.text, "Täglich 1.50 und 2.");
        let shown: Vec<&str> = prose
            .figures
            .iter()
            .map(|figure| &prose.text[figure.at..figure.at + figure.bytes])
            .collect();
        assert_eq!(shown, ["1.50", "2"]);
        let found: Vec<(Source<'_>, &str, f64)> = prose
            .figures
            .iter()
            .map(|figure| (figure.source(), figure.field.as_str(), figure.value))
            .collect();
        assert_eq!(
            found,
            [
                (row, "ratio.median", 1.5),
                (Source::Result, "settings.cpus", 2.0)
            ]
        );
    }

    #[test]
    fn what_is_no_number_has_no_figure() {
        let prose = Prose::read(&Source::Row("a").mark("x", f64::NAN, "–"));
        assert_eq!((prose.text.as_str(), prose.figures.len()), ("–", 0));
    }

    #[test]
    fn half_a_mark_leaves_no_trace_of_itself() {
        let [begin, and, then, end] = MARKS;
        assert_eq!(plain(&format!("a{begin}row{and}b{then}1")), "a1");
        assert_eq!(plain(&format!("a{begin}b")), "ab");
        assert_eq!(plain(&format!("a{begin}{then}b{end}c")), "abc");
    }
}

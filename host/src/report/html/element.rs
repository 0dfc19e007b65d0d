//! Pieces of HTML: escaped text, tables that scroll in their own box, numbers that say where they
//! come from.

use std::fmt::Write;

use crate::mail::printable;
use crate::report::prose::Figure;
use crate::stats::Interval;

/// Text for an element or for an attribute in double quotes.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in printable(text).chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

pub(super) use crate::report::prose::Source;

impl Source<'_> {
    /// A number as it is shown, with its full precision and its origin for whoever recomputes it.
    pub(in crate::report::html) fn number(self, field: &str, value: f64, shown: &str) -> String {
        if !value.is_finite() {
            return super::words::NONE.to_owned();
        }
        let attributes = self.attributes(field);
        format!(
            "<data value=\"{value}\" {attributes}>{}</data>",
            escape(shown)
        )
    }

    /// The same for a word.
    pub(in crate::report::html) fn word(self, field: &str, shown: &str) -> String {
        format!("<span {}>{}</span>", self.attributes(field), escape(shown))
    }

    /// A median and its interval: `1.03 [1.01, 1.05]`; with its confidence if this is not the usual one.
    pub(in crate::report::html) fn interval(
        self,
        field: &str,
        interval: Interval,
        show: impl Fn(f64) -> String,
    ) -> String {
        let part =
            |name: &str, value: f64| self.number(&format!("{field}.{name}"), value, &show(value));
        let mut text = format!(
            "{} <span class=\"interval\">[{}, {}]</span>",
            part("median", interval.median),
            part("low", interval.low),
            part("high", interval.high),
        );
        if interval.confidence.is_finite() && interval.confidence < 0.95 {
            let shown = format!("{:.0} %", 100.0 * interval.confidence);
            let confidence =
                self.number(&format!("{field}.confidence"), interval.confidence, &shown);
            // Writing to a String cannot fail.
            let _ = write!(text, " ({confidence} sure)");
        }
        text
    }

    /// A whole number of something.
    pub(in crate::report::html) fn whole(self, field: &str, count: u64) -> String {
        #[expect(
            clippy::cast_precision_loss,
            reason = "what is counted stays below 2^53"
        )]
        self.number(field, count as f64, &count.to_string())
    }

    fn attributes(self, field: &str) -> String {
        let (kind, name) = self.parts();
        format!(
            "data-{}=\"{}\" data-field=\"{}\"",
            kind.name(),
            escape(name),
            escape(field)
        )
    }
}

/// A sentence whose numbers say where they come from. A file can hold anything: figures that are not in
/// the text, or not in their order, are left out.
pub(super) fn prose(text: &str, figures: &[Figure]) -> String {
    let mut html = String::new();
    let mut at = 0;
    for figure in figures {
        let Some(end) = figure.at.checked_add(figure.bytes) else {
            continue;
        };
        let (Some(before), Some(shown)) = (text.get(at..figure.at), text.get(figure.at..end))
        else {
            continue;
        };
        html.push_str(&escape(before));
        html.push_str(&figure.source().number(&figure.field, figure.value, shown));
        at = end;
    }
    html.push_str(&escape(text.get(at..).unwrap_or_default()));
    format!("<span data-prose>{html}</span>")
}

/// The anchor of a row, from its id.
pub(super) fn anchor(id: &str) -> String {
    let words: Vec<&str> = id
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .collect();
    format!("row-{}", words.join("-"))
}

/// A table in a box of its own, so that a wide one scrolls there and not the page. The caption names
/// the box too, for those who reach it by keyboard. Head cells and rows are HTML; a head cell that begins
/// with `>` stands over numbers, at the right.
pub(super) fn table(class: &str, caption: &str, head: &[String], rows: &[String]) -> String {
    let caption = escape(caption);
    let cell = |cell: &String| match cell.strip_prefix('>') {
        Some(number) => format!("<th scope=\"col\" class=\"number\">{number}</th>"),
        None => format!("<th scope=\"col\">{cell}</th>"),
    };
    let head: String = head.iter().map(cell).collect();
    format!(
        "<div class=\"scroll\" role=\"region\" aria-label=\"{caption}\" tabindex=\"0\">\n\
         <table class=\"{class}\">\n<caption>{caption}</caption>\n<thead><tr>{head}</tr></thead>\n\
         <tbody>\n{}</tbody>\n</table>\n</div>\n",
        rows.concat()
    )
}

/// A table of names and values, both of them HTML.
pub(super) fn pairs(caption: &str, rows: &[(String, String)]) -> String {
    let rows: Vec<String> = rows
        .iter()
        .map(|(name, value)| format!("<tr><th scope=\"row\">{name}</th><td>{value}</td></tr>\n"))
        .collect();
    let head = ["what".to_owned(), "value".to_owned()];
    table("pairs", caption, &head, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup() {
        assert_eq!(
            escape("<b a='1' c=\"2\">&\u{1b}[31m"),
            "&lt;b a=&#39;1&#39; c=&quot;2&quot;&gt;&amp;\\u{1b}[31m"
        );
    }

    #[test]
    fn a_number_says_where_it_comes_from() {
        assert_eq!(
            Source::Row("a.b[c=<1>]").number("ratio.median", 0.5, "0.50"),
            "<data value=\"0.5\" data-row=\"a.b[c=&lt;1&gt;]\" data-field=\"ratio.median\">0.50</data>"
        );
    }

    #[test]
    fn the_numbers_of_a_sentence_say_where_they_come_from() {
        let marked = format!("a < {}.", Source::Row("b").mark("c", 1.5, "1.50"));
        let read = crate::report::prose::Prose::read(&marked);
        let number = "<data value=\"1.5\" data-row=\"b\" data-field=\"c\">1.50</data>";
        let expected = format!("<span data-prose>a &lt; {number}.</span>");
        assert_eq!(prose(&read.text, &read.figures), expected);
    }

    #[test]
    fn figures_that_are_not_in_the_text_are_left_out() {
        let read = crate::report::prose::Prose::read(&Source::Row("b").mark("c", 1.5, "é"));
        let mut figures = read.figures;
        for (at, bytes) in [(1, 1), (0, 1), (9, 1), (usize::MAX, 2)] {
            (figures[0].at, figures[0].bytes) = (at, bytes);
            assert_eq!(prose(&read.text, &figures), "<span data-prose>é</span>");
        }
    }

    #[test]
    fn what_is_no_number_is_a_dash_without_an_origin() {
        assert_eq!(Source::Row("a.b").number("x", f64::NAN, "NaN"), "–");
    }

    #[test]
    fn an_interval_of_few_rounds_says_how_sure_it_is() {
        let interval = Interval {
            median: 2.0,
            low: 1.0,
            high: 3.0,
            confidence: 0.75,
        };
        let text = Source::Row("a.b").interval("ratio", interval, |value| format!("{value}"));
        assert!(text.contains("data-field=\"ratio.confidence\">75 %</data> sure)"));
        let sure = Interval {
            confidence: 0.95,
            ..interval
        };
        let text = Source::Row("a.b").interval("ratio", sure, |value| format!("{value}"));
        assert!(!text.contains("confidence"));
    }

    #[test]
    fn an_anchor_has_nothing_that_a_link_would_have_to_escape() {
        assert_eq!(
            anchor("job.load_p99[load=50,timing=corrected]"),
            "row-job-load_p99-load-50-timing-corrected"
        );
    }
}

//! A page whose numbers come from records: each says which record and which number of it, and is compared with it.
//!
//! The sources of a paragraph, of a list item or of a table row stand at its end, in the order in which its numbers stand in
//! the text, where a reader of the rendered page does not see them:
//!
//! ```text
//! It took 584 µs in a process and 152 µs in a thread.
//! <!-- intel: row:start.first_echo # process, thread -->
//! ```
//!
//! A source is a record, a subject in it and one or more of its fields; several sources are separated by `;`, and one without a
//! record has that of the one before. Between two numbers that have a source no digit may stand, nor a number in words. What
//! stands between backticks is a name and no number; a digit within a word (`argon2`) is a part of the word.

use std::fmt::Write as _;

/// Finds what a record shows under a subject and a field.
pub(crate) trait Records {
    /// What the record shows, as it is printed.
    ///
    /// # Errors
    ///
    /// There is no such thing in it.
    fn shown(&self, record: &str, subject: &str, field: &str) -> Result<String, String>;
}

/// Numbers in words, which would need a source as well and can have none. `One` is mostly none.
const NUMERALS: &str = "two three four five six seven eight nine ten eleven twelve dozen hundred hundreds thousand \
    thousands million twice thrice half double third quarter";

/// Compares every number of a page with its record, and says how many there are.
///
/// # Errors
///
/// A number without a source, a source without its number, or a number that is not what the record shows.
pub(crate) fn verify(page: &str, records: &impl Records) -> Result<usize, String> {
    let mut verified = 0;
    for block in blocks(page)? {
        let mut rest = block.text.as_str();
        for source in &block.sources {
            let Source {
                record,
                subject,
                field,
            } = source;
            let at = |why: &str| {
                format!(
                    "line {}: {record}: {subject} # {field}: {why}\n{}",
                    block.line, block.text
                )
            };
            let shown = records
                .shown(record, subject, field)
                .map_err(|why| at(&why))?;
            let Some((before, after)) = split_at_number(rest, &shown) else {
                return Err(at(&format!("`{shown}` should stand in: {rest}")));
            };
            if let Some(number) = number_in(before) {
                return Err(at(&format!(
                    "`{number}` stands before `{shown}`, and has no source"
                )));
            }
            rest = after;
            verified += 1;
        }
        if let Some(number) = number_in(rest) {
            return Err(format!(
                "line {}: `{number}` has no source\n{}",
                block.line, block.text
            ));
        }
    }
    Ok(verified)
}

struct Source {
    record: String,
    subject: String,
    field: String,
}

/// A paragraph, an item or a row: what is read of it, and where its numbers come from.
struct Block {
    line: usize,
    text: String,
    sources: Vec<Source>,
}

fn blocks(page: &str) -> Result<Vec<Block>, String> {
    let mut blocks: Vec<(usize, String)> = Vec::new();
    let mut begins = true;
    for (line, text) in (1..).zip(page.lines()) {
        let item = ["|", "- ", "#"].iter().any(|sign| text.starts_with(sign));
        if text.is_empty() {
            begins = true;
            continue;
        }
        match blocks.last_mut() {
            Some((_, block)) if !begins && !item => {
                let _ = write!(block, " {text}");
            }
            _ => blocks.push((line, text.to_owned())),
        }
        begins = text.starts_with('#');
    }
    let read = |(line, raw): (usize, String)| {
        block(&raw, line).map_err(|why| format!("line {line}: {why}\n{raw}"))
    };
    blocks.into_iter().map(read).collect()
}

fn block(raw: &str, line: usize) -> Result<Block, String> {
    let mut text = String::new();
    let mut sources = Vec::new();
    let mut rest = raw;
    while let Some((before, comment)) = rest.split_once("<!--") {
        let (comment, after) = comment
            .split_once("-->")
            .ok_or("a comment without its end")?;
        text.push_str(before);
        sources.extend(sources_of(comment)?);
        rest = after;
    }
    text.push_str(rest);
    let text = without_names(&text)?;
    Ok(Block {
        line,
        text,
        sources,
    })
}

fn sources_of(comment: &str) -> Result<Vec<Source>, String> {
    let mut sources = Vec::new();
    let mut record = None;
    for part in comment.split(';') {
        let (head, fields) = part
            .split_once(" # ")
            .ok_or_else(|| format!("`{part}` is no source: RECORD: SUBJECT # FIELD, FIELD"))?;
        let subject = match head.split_once(": ") {
            Some((name, subject)) => {
                record = Some(name.trim().to_owned());
                subject
            }
            None => head,
        };
        let record = record
            .clone()
            .ok_or_else(|| format!("`{part}` names no record"))?;
        for field in fields.split(", ") {
            sources.push(Source {
                record: record.clone(),
                subject: subject.trim().to_owned(),
                field: field.trim().to_owned(),
            });
        }
    }
    Ok(sources)
}

/// The text that is read as text: names between backticks and the targets of links are left out.
fn without_names(text: &str) -> Result<String, String> {
    let mut plain = String::new();
    for (number, piece) in text.split('`').enumerate() {
        if number % 2 == 0 {
            plain.push_str(piece);
        } else {
            plain.push('`');
        }
    }
    if text.matches('`').count() % 2 == 1 {
        return Err("a backtick without its twin".to_owned());
    }
    let mut read = String::new();
    let mut rest = plain.as_str();
    while let Some((before, target)) = rest.split_once("](") {
        let (_, after) = target.split_once(')').ok_or("a link without its end")?;
        read.push_str(before);
        read.push(']');
        rest = after;
    }
    read.push_str(rest);
    Ok(read)
}

/// What stands before and after a number that is no part of a longer one.
fn split_at_number<'t>(text: &'t str, number: &str) -> Option<(&'t str, &'t str)> {
    text.match_indices(number).find_map(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + number.len()..]);
        let goes_on = |c: char| c.is_alphanumeric() || c == '%';
        let mut following = after.chars();
        let is_cut = before.ends_with(|c: char| c.is_alphanumeric() || "-−.,".contains(c))
            || match following.next() {
                Some('.' | ',') => following.next().is_some_and(|c| c.is_ascii_digit()),
                Some(c) => goes_on(c),
                None => false,
            };
        (!is_cut).then_some((before, after))
    })
}

/// The first number in a text, in digits or in words.
fn number_in(text: &str) -> Option<&str> {
    let words = text.split(|c: char| !(c.is_alphanumeric() || "_-".contains(c)));
    words.flat_map(|word| word.split('-')).find(|word| {
        word.starts_with(|c: char| c.is_numeric())
            || NUMERALS
                .split(' ')
                .any(|numeral| numeral == word.to_lowercase())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A record that has a few numbers.
    struct Few;

    impl Records for Few {
        fn shown(&self, record: &str, subject: &str, field: &str) -> Result<String, String> {
            let shown = match (record, subject, field) {
                ("a", "start", "thread") => "152 µs",
                ("a", "start", "process") => "584 µs",
                ("a", "start", "ratio") => "3.68 [2.94, 6.29]",
                ("b", "start", "ratio") => "1.00",
                _ => return Err("no such number".to_owned()),
            };
            Ok(shown.to_owned())
        }
    }

    #[test]
    fn numbers_with_their_sources_are_counted() {
        let page = "# Title\nNo number in argon2 or `--time 10s`.\n\nIt took 152 µs, not\n584 µs: 3.68 [2.94, 6.29] times,\nor 1.00. <!-- a: start # thread, process, ratio; b: start # ratio -->\n";
        assert_eq!(verify(page, &Few), Ok(4));
        let table = "| what | ratio |\n| --- | --- |\n| it | [3.68 [2.94, 6.29]](2026.md) <!-- a: start # ratio --> |\n- 584 µs <!-- a: start # process -->\n";
        assert_eq!(verify(table, &Few), Ok(2));
    }

    #[test]
    fn a_wrong_number_fails() {
        for text in [
            "It took 153 µs.",
            "It took 152 ms.",
            "It took 1152 µs.",
            "It took 152 µs2.",
            "It took -152 µs.",
            "It took long.",
        ] {
            let page = format!("{text} <!-- a: start # thread -->");
            assert!(verify(&page, &Few).is_err(), "{text}");
        }
    }

    #[test]
    fn a_number_without_a_source_fails() {
        for page in [
            "It took 152 µs.",
            "It took 3 times 152 µs. <!-- a: start # thread -->",
            "It took 152 µs, 4 %. <!-- a: start # thread -->",
            "It took 152 µs. <!-- a: start # thread -->\n\nAnd 152 µs again.",
            "- 152 µs <!-- a: start # thread -->\n- 152 µs",
            "| 152 µs <!-- a: start # thread --> |\n| 152 µs |",
            "# 7 claims",
            "It took half of it.",
            "Two workers.",
            "A two-fold gain.",
            "It took [9](link).",
        ] {
            assert!(verify(page, &Few).is_err(), "{page}");
        }
    }

    #[test]
    fn numbers_in_another_order_fail() {
        let page = "584 µs and 152 µs <!-- a: start # thread, process -->";
        verify(page, &Few).unwrap_err();
    }

    #[test]
    fn a_source_that_is_none_fails() {
        for comment in [
            "start # thread",
            "a: start",
            "a: stop # thread",
            "c: start # thread",
            "a",
        ] {
            let page = format!("152 µs <!-- {comment} -->");
            assert!(verify(&page, &Few).is_err(), "{comment}");
        }
        verify("152 µs <!-- a: start # thread", &Few).unwrap_err();
        verify("152 `µs <!-- a: start # thread -->", &Few).unwrap_err();
    }
}

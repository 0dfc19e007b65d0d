//! Text that fits its columns: lines, sentences and tables, in colour or without.

use comfy_table::{
    Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, Table, Width, presets,
};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Whether the text may hold colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Colour {
    /// Nothing but text.
    #[default]
    Plain,
    /// ANSI escape sequences.
    Ansi,
}

/// What a colour means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) enum Paint {
    /// Nothing.
    None,
    /// As one would wish.
    Good,
    /// To be looked at.
    Doubt,
    /// Worse than that.
    Bad,
    /// Where something begins.
    Heading,
}

/// A text that grows by whole lines, none of them wider than its width.
pub(in crate::report) struct Page {
    text: String,
    width: usize,
    colour: Colour,
}

/// One column of a table.
#[derive(Clone, Copy, Debug)]
pub(in crate::report) struct Column {
    /// In characters of a terminal, without the gap to the next one.
    pub(in crate::report) width: usize,
    /// Which side its cells cling to.
    pub(in crate::report) side: Side,
}

/// A side of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::report) enum Side {
    /// For words.
    Left,
    /// For numbers.
    Right,
}

impl Page {
    /// Narrower terminals break the lines themselves.
    const LEAST_WIDTH: u16 = 80;

    /// An empty page of so many columns, 80 at the least.
    pub(in crate::report) fn new(width: u16, colour: Colour) -> Self {
        Self {
            text: String::new(),
            width: usize::from(width.max(Self::LEAST_WIDTH)),
            colour,
        }
    }

    /// Its columns.
    pub(in crate::report) fn width(&self) -> usize {
        self.width
    }

    /// The text, each line ended.
    pub(in crate::report) fn finish(self) -> String {
        self.text
    }

    /// An empty line, unless there is one.
    pub(in crate::report) fn gap(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// A sentence, broken between words.
    pub(in crate::report) fn sentence(&mut self, sentence: &str) {
        self.item("", Paint::None, sentence, 0);
    }

    /// A sentence to be seen.
    pub(in crate::report) fn loud(&mut self, sentence: &str) {
        for line in broken(sentence, 0, 0, self.width) {
            let line = self.painted(&line, Paint::Bad);
            self.line(&line);
        }
    }

    /// What begins a section: a name, and what it is about.
    pub(in crate::report) fn heading(&mut self, name: &str, about: &str) {
        self.gap();
        self.item(name, Paint::Heading, about, 2);
    }

    /// A sentence behind a painted lead; its further lines are indented.
    pub(in crate::report) fn item(&mut self, lead: &str, paint: Paint, rest: &str, indent: usize) {
        let taken = lead.width();
        if taken + 1 > self.width / 2 {
            // A lead of that length is a sentence too.
            let whole = format!("{lead}{rest}");
            for line in broken(&whole, 0, indent, self.width) {
                self.line(&line);
            }
            return;
        }
        let mut lines = broken(rest, taken, indent, self.width).into_iter();
        let lead = self.painted(lead, paint);
        let first = lines.next().unwrap_or_default();
        self.line(&format!("{lead}{first}"));
        for line in lines {
            self.line(&line);
        }
    }

    /// A line as it is, but for what goes beyond the width: that follows below.
    pub(in crate::report) fn exact(&mut self, line: &str) {
        for piece in pieces(line, self.width) {
            self.line(&piece);
        }
    }

    /// Rows of painted cells. Cells are broken where their column is too narrow; what follows in the
    /// first column is indented, so that it is not taken for a row.
    pub(in crate::report) fn table(&mut self, columns: &[Column], rows: Vec<Vec<(String, Paint)>>) {
        if rows.is_empty() {
            return;
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(u16::try_from(self.width).unwrap_or(u16::MAX));
        match self.colour {
            Colour::Plain => table.force_no_tty(),
            Colour::Ansi => table.enforce_styling(),
        };
        for mut row in rows {
            if let (Some((label, _)), Some(column)) = (row.first_mut(), columns.first()) {
                *label = label_lines(label, column.width).join("\n");
            }
            let cells = row.into_iter().map(|(text, paint)| cell(&text, paint));
            table.add_row(cells.collect::<Vec<_>>());
        }
        for (at, (column, shape)) in table.column_iter_mut().zip(columns).enumerate() {
            // Behind the last there is none.
            let gap = u16::from(at + 1 < columns.len());
            let width = u16::try_from(shape.width).unwrap_or(u16::MAX);
            let width = width.saturating_add(gap);
            column
                .set_padding((0, gap))
                .set_constraint(ColumnConstraint::Absolute(Width::Fixed(width)))
                .set_cell_alignment(match shape.side {
                    Side::Left => CellAlignment::Left,
                    Side::Right => CellAlignment::Right,
                });
        }
        for line in table.lines() {
            self.line(&line);
        }
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line.replace(HARD_BLANK, " ").trim_end());
        self.text.push('\n');
    }

    fn painted(&self, text: &str, paint: Paint) -> String {
        let code = match paint {
            Paint::None => "",
            Paint::Good => "32",
            Paint::Doubt => "33",
            Paint::Bad => "1;31",
            Paint::Heading => "1",
        };
        if self.colour == Colour::Plain || code.is_empty() || text.is_empty() {
            return text.to_owned();
        }
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// A blank that is not taken for the end of a word, until it is printed.
const HARD_BLANK: char = '\u{a0}';

/// A label in lines of so many columns, those after the first indented; one that begins with blanks
/// keeps them.
pub(in crate::report) fn label_lines(label: &str, width: usize) -> Vec<String> {
    let text = label.trim_start_matches([' ', HARD_BLANK]);
    let own = width_of(label) - width_of(text);
    let indent = own + 2;
    let lines = broken(text, own, indent, width).into_iter().enumerate();
    lines
        .map(|(at, line)| {
            let blanks = if at == 0 { own } else { indent };
            let hard = HARD_BLANK.to_string().repeat(blanks);
            format!("{hard}{}", line.trim_start())
        })
        .collect()
}

fn cell(text: &str, paint: Paint) -> Cell {
    let cell = Cell::new(text);
    match paint {
        Paint::None => cell,
        Paint::Good => cell.fg(Color::DarkGreen),
        Paint::Doubt => cell.fg(Color::DarkYellow),
        Paint::Bad => cell
            .fg(Color::DarkRed)
            .add_attribute(comfy_table::Attribute::Bold),
        Paint::Heading => cell.add_attribute(comfy_table::Attribute::Bold),
    }
}

/// Units stay in the line of their number.
const UNITS: [&str; 14] = [
    "s", "ms", "µs", "ns", "B", "KiB", "MiB", "GiB", "B/s", "KiB/s", "MiB/s", "GiB/s", "/s", "%",
];

/// The words of a sentence, a number and its unit being one.
fn words(sentence: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in sentence.split_ascii_whitespace() {
        let unit = word.trim_end_matches([',', ';', ':', '.', ')', ']']);
        match words.last_mut() {
            Some(last) if UNITS.contains(&unit) && last.ends_with(|c: char| c.is_ascii_digit()) => {
                last.push(HARD_BLANK);
                last.push_str(word);
            }
            _ => words.push(word.to_owned()),
        }
    }
    words
}

/// Breaks a sentence between words; the first line has so much taken already.
fn broken(sentence: &str, taken: usize, indent: usize, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = taken;
    let mut has_word = false;
    let room = width.saturating_sub(indent);
    for word in words(sentence).iter().flat_map(|word| pieces(word, room)) {
        let length = word.width();
        if used + usize::from(has_word) + length > width {
            lines.push(std::mem::replace(&mut line, " ".repeat(indent)));
            used = indent;
            has_word = false;
        }
        if has_word {
            line.push(' ');
            used += 1;
        }
        line.push_str(&word);
        used += length;
        has_word = true;
    }
    lines.push(line);
    lines
}

/// Cuts a text where it is too wide.
fn pieces(text: &str, width: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let mut used = 0;
    for c in text.chars() {
        let length = c.width().unwrap_or(0);
        if used + length > width && used > 0 {
            pieces.push(String::new());
            used = 0;
        }
        if let Some(piece) = pieces.last_mut() {
            piece.push(c);
        }
        used += length;
    }
    pieces
}

/// A text that is not broken, such as a number and its unit.
pub(in crate::report) fn tied(text: &str) -> String {
    text.replace(' ', &HARD_BLANK.to_string())
}

/// The columns that a text takes.
pub(in crate::report) fn width_of(text: &str) -> usize {
    text.width()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(write: impl FnOnce(&mut Page)) -> String {
        let mut page = Page::new(80, Colour::Plain);
        write(&mut page);
        page.finish()
    }

    #[test]
    fn sentences_break_between_words_and_fit_the_width() {
        assert_eq!(
            broken("one two three four five", 0, 0, 9),
            ["one two", "three", "four five"]
        );
        assert_eq!(
            broken("one two three four five", 4, 2, 9),
            ["one", "  two", "  three", "  four", "  five"]
        );
    }

    #[test]
    fn words_that_are_too_wide_are_cut() {
        assert_eq!(
            broken("abcdefghij kl", 0, 0, 4),
            ["abcd", "efgh", "ij", "kl"]
        );
    }

    #[test]
    fn a_unit_stays_with_its_number() {
        let line = |text: &str| text.replace(HARD_BLANK, " ");
        let lines = broken("it took 12.1 ms, or 5 % of it", 0, 0, 11);
        let lines: Vec<String> = lines.iter().map(|text| line(text)).collect();
        assert_eq!(lines, ["it took", "12.1 ms, or", "5 % of it"]);
        assert_eq!(words("a s B 3 s.").len(), 4);
    }

    #[test]
    fn what_is_tied_stays_together() {
        assert_eq!(broken(&format!("ab {}", tied("1 ms")), 0, 0, 5).len(), 2);
        let text = page(|page| page.sentence(&tied("1 ms")));
        assert_eq!(text, "1 ms\n");
    }

    #[test]
    fn wide_characters_take_two_columns() {
        assert_eq!(broken("世界世界 世", 0, 0, 4), ["世界", "世界", "世"]);
    }

    #[test]
    fn nothing_is_one_empty_line() {
        assert_eq!(broken("", 0, 0, 9), [""]);
        assert_eq!(page(|page| page.sentence("")), "\n");
    }

    #[test]
    fn columns_stand_where_they_were_put() {
        let columns = [
            Column {
                width: 6,
                side: Side::Left,
            },
            Column {
                width: 5,
                side: Side::Right,
            },
        ];
        let cell = |text: &str| (text.to_owned(), Paint::None);
        let rows = vec![
            vec![cell("one"), cell("1")],
            vec![cell("two and more"), cell("22")],
        ];
        let text = page(|page| page.table(&columns, rows));
        assert_eq!(text, "one        1\ntwo       22\n  and\n  more\n");
    }

    #[test]
    fn a_table_may_be_as_wide_as_the_page() {
        let columns = [39, 40].map(|width| Column {
            width,
            side: Side::Left,
        });
        let cells = ["a".to_owned(), "b".repeat(40)].map(|text| (text, Paint::None));
        let text = page(|page| page.table(&columns, vec![cells.to_vec()]));
        assert_eq!(text, format!("a{}{}\n", " ".repeat(39), "b".repeat(40)));
    }

    #[test]
    fn colours_are_there_only_where_they_are_wanted() {
        let mut page = Page::new(80, Colour::Ansi);
        page.item("bad", Paint::Bad, " rest", 0);
        assert_eq!(page.finish(), "\u{1b}[1;31mbad\u{1b}[0mrest\n");
    }
}

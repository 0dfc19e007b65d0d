//! What a guide says: files to make, commands to type, and what they are to say. Pure text; `session` runs it.

/// One thing to do, in the order of the guide.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// A file to make.
    File { name: String, content: String },
    /// A command to type.
    Command(Command),
}

/// A command, and what it is to say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Command {
    /// The line of the guide that it stands in, counted from 1.
    pub(crate) line: usize,
    pub(crate) text: String,
    pub(crate) expected: Vec<String>,
}

/// What stands for any text within a line.
const SOME_TEXT: &str = "…";

/// What stands for any lines, one at the least.
const SOME_LINES: &str = "[…]";

/// Whether a guide's blocks of Rust are executed by somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rust {
    /// They are doc tests of the library.
    IsDocTests,
    /// They would be executed by nobody.
    IsRefused,
}

/// The steps of a guide.
///
/// # Errors
///
/// A block that nobody would run, or that could not fail.
pub(crate) fn steps(guide: &str, rust: Rust) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut lines = guide.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        let fence = line.trim_start();
        if fence.starts_with("~~~") || (fence.starts_with("```") && fence != line) {
            return Err(format!(
                "line {}: a block begins with ``` at the beginning of a line",
                at + 1
            ));
        }
        let Some(info) = line.strip_prefix("```") else {
            continue;
        };
        let mut block = Vec::new();
        loop {
            match lines.next() {
                Some((_, "```")) => break,
                Some((_, line)) => block.push(line),
                None => return Err(format!("line {}: the block has no end", at + 1)),
            }
        }
        let of_block = steps_of_block(info, &block, at + 2, rust)
            .map_err(|why| format!("line {}: {why}", at + 1))?;
        steps.extend(of_block);
    }
    Ok(steps)
}

fn steps_of_block(
    info: &str,
    block: &[&str],
    first_line: usize,
    rust: Rust,
) -> Result<Vec<Step>, String> {
    if info == "console" {
        let commands = commands(block, first_line)?;
        return Ok(commands.into_iter().map(Step::Command).collect());
    }
    if info.split(',').next() == Some("rust") && rust == Rust::IsDocTests {
        return Ok(Vec::new());
    }
    match info.split(' ').collect::<Vec<_>>()[..] {
        [_, name] if is_plain(name) => {
            let content = block.iter().map(|line| format!("{line}\n")).collect();
            let name = name.to_owned();
            Ok(vec![Step::File { name, content }])
        }
        _ => Err(format!(
            "nobody would run a block ```{info}: write ```console, or name the file that it is, ```toml cofferdam.toml"
        )),
    }
}

/// A file within the guide's folder, in letters that a shell leaves alone.
fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    let mut parts = name.split('/');
    name.chars().all(plain) && parts.all(|part| !part.is_empty() && part != "..")
}

fn commands(block: &[&str], first_line: usize) -> Result<Vec<Command>, String> {
    let mut commands: Vec<Command> = Vec::new();
    for (line, &text) in (first_line..).zip(block) {
        if let Some(text) = text.strip_prefix("$ ") {
            commands.push(Command {
                line,
                text: text.to_owned(),
                expected: Vec::new(),
            });
            continue;
        }
        let command = commands
            .last_mut()
            .ok_or("a console begins with a command: $ COMMAND")?;
        match text.strip_prefix("> ") {
            Some(more) if command.expected.is_empty() => {
                command.text.push('\n');
                command.text.push_str(more);
            }
            _ => command.expected.push(text.to_owned()),
        }
    }
    if commands.is_empty() {
        return Err("a console without a command".to_owned());
    }
    for command in &commands {
        let says_nothing = |line: &String| line == SOME_LINES || line == SOME_TEXT;
        if !command.expected.is_empty() && command.expected.iter().all(says_nothing) {
            return Err(format!(
                "`{}`: whatever it says would do; expect a part of it",
                command.text
            ));
        }
    }
    Ok(commands)
}

/// Whether what was seen is what a guide expects.
pub(crate) fn fits(expected: &[String], seen: &[&str]) -> bool {
    let Some((first, rest)) = expected.split_first() else {
        return seen.is_empty();
    };
    if first == SOME_LINES {
        return (1..=seen.len()).any(|skipped| fits(rest, &seen[skipped..]));
    }
    let Some((line, others)) = seen.split_first() else {
        return false;
    };
    line_fits(first, line) && fits(rest, others)
}

/// Blanks at the end of a line cannot be seen, and are not compared.
fn line_fits(expected: &str, seen: &str) -> bool {
    let (expected, seen) = (expected.trim_end(), seen.trim_end());
    let Some((first, rest)) = expected.split_once(SOME_TEXT) else {
        return expected == seen;
    };
    let Some(mut seen) = seen.strip_prefix(first) else {
        return false;
    };
    let (between, last) = rest.rsplit_once(SOME_TEXT).unwrap_or(("", rest));
    for piece in between.split(SOME_TEXT) {
        let Some((_, after)) = seen.split_once(piece) else {
            return false;
        };
        seen = after;
    }
    seen.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(guide: &str) -> Result<Vec<Step>, String> {
        steps(guide, Rust::IsRefused)
    }

    fn fits_text(expected: &str, seen: &str) -> bool {
        let expected: Vec<String> = expected.lines().map(ToOwned::to_owned).collect();
        fits(&expected, &seen.lines().collect::<Vec<_>>())
    }

    #[test]
    fn a_guide_is_files_and_commands_in_their_order() {
        let guide = "Some text.\n```wat a/b.wat\n(module)\n```\n```console\n$ one\nsays\n\n$ two \\\n> three\n```\n";
        let command = |line, text: &str, expected: &[&str]| {
            Step::Command(Command {
                line,
                text: text.to_owned(),
                expected: expected.iter().map(ToString::to_string).collect(),
            })
        };
        let file = Step::File {
            name: "a/b.wat".to_owned(),
            content: "(module)\n".to_owned(),
        };
        let expected = [
            file,
            command(6, "one", &["says", ""]),
            command(9, "two \\\nthree", &[]),
        ];
        assert_eq!(of(guide).unwrap(), expected);
    }

    #[test]
    fn a_block_that_nobody_would_run_is_refused() {
        for block in [
            "```\n$ a\n```",
            "```sh\na\n```",
            "```text\na\n```",
            "```console x\n$ a\n",
            "  ```console\n  $ a\n  ```",
            "~~~console\n$ a\n~~~",
            "```console\n$ a\n",
            "```rust\nfn main() {}\n```",
            "```toml ../a\n```",
            "```toml /a\n```",
            "```toml a$b\n```",
        ] {
            assert!(of(block).is_err(), "{block}");
        }
    }

    #[test]
    fn rust_is_left_to_the_doc_tests_where_they_have_it() {
        let guide = "```rust,no_run\nfn main() {}\n```";
        assert_eq!(steps(guide, Rust::IsDocTests), Ok(Vec::new()));
    }

    #[test]
    fn a_console_that_cannot_fail_is_refused() {
        for block in [
            "```console\n```",
            "```console\nsays\n$ a\n```",
            "```console\n$ a\n[…]\n```",
            "```console\n$ a\n…\n[…]\n```",
        ] {
            assert!(of(block).is_err(), "{block}");
        }
    }

    #[test]
    fn lines_fit_as_they_are() {
        assert!(fits_text("a\n\nb", "a  \n\nb"));
        assert!(!fits_text("a\nb", "a"));
        assert!(!fits_text("a", "a\nb"));
        assert!(!fits_text("a", "b"));
        assert!(!fits_text("", "b"));
        assert!(!fits_text("a", ""));
        assert!(!fits_text("a", "ab"));
    }

    #[test]
    fn an_ellipsis_stands_for_text_within_its_line() {
        assert!(fits_text("pid …: … ms", "pid 12: 3.4 ms"));
        assert!(fits_text("…", "anything"));
        assert!(!fits_text("pid …: … ms", "pid 12: 3.4 s"));
        assert!(!fits_text("a…a", "a"));
        assert!(!fits_text("a…b…c", "a c b"));
        assert!(!fits_text("pid …", "the pid 12"));
        assert!(!fits_text("pid …\nend", "pid 1\n2\nend"));
    }

    #[test]
    fn an_ellipsis_in_brackets_stands_for_lines() {
        assert!(fits_text("a\n[…]\nd", "a\nb\nc\nd"));
        assert!(fits_text("[…]\nd\n[…]", "a\nd\nd\ne"));
        assert!(!fits_text("a\n[…]\nd", "a\nd"));
        assert!(!fits_text("a\n[…]\nd", "a\nb\nc"));
        assert!(!fits_text("a\n[…]", "b\nc"));
    }
}

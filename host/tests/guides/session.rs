//! Runs the steps of a guide, in one shell and one folder, and compares what is said.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command as Program, Stdio};

use crate::console::{Command, Step, fits};

/// So long a guide may take, in seconds. Generous: other builds may have the machine.
const PATIENCE: &str = "600";

/// The byte that begins the line after each command: no command of a guide says it.
const MARK: char = '\u{1e}';

/// What the shell of a guide finds.
pub(crate) struct Surroundings<'a> {
    /// The program that is called `cofferdam`.
    pub(crate) program: &'a Path,
    /// Where compiled guests are kept.
    pub(crate) cache: &'a Path,
    /// What the guide finds in its folder under the name `benches`.
    pub(crate) benches: &'a Path,
}

/// Runs a guide from its beginning to its end.
///
/// # Errors
///
/// What went otherwise than the guide says: command, expected and seen.
pub(crate) fn play(steps: &[Step], surroundings: &Surroundings<'_>) -> Result<(), String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [work, files, bin] = ["work", "files", "bin"].map(|name| folder.path().join(name));
    for made in [&work, &files, &bin] {
        fs::create_dir(made).expect("a folder");
    }
    let link = std::os::unix::fs::symlink::<&Path, _>;
    link(surroundings.program, bin.join("cofferdam")).expect("a link");
    link(surroundings.benches, work.join("benches")).expect("a link");
    for (number, step) in steps.iter().enumerate() {
        if let Step::File { content, .. } = step {
            fs::write(files.join(number.to_string()), content).expect("a file");
        }
    }
    let script = folder.path().join("script");
    fs::write(&script, script_of(steps)).expect("a file");

    let usual = std::env::var("PATH").unwrap_or_default();
    // Its whole process group ends with it, whatever a guide leaves running.
    let output = Program::new("timeout")
        .args(["--kill-after=5", PATIENCE, "sh"])
        .arg(&script)
        .current_dir(&work)
        .env("PATH", format!("{}:{usual}", bin.display()))
        .env("GUIDE_FILES", &files)
        .env("COFFERDAM_CACHE_DIR", surroundings.cache)
        .env("LC_ALL", "C")
        .env_remove("NO_COLOR")
        .stdin(Stdio::null())
        .output()
        .expect("there is a shell");
    if output.status.code() == Some(124) {
        return Err(format!("it took longer than {PATIENCE} s"));
    }
    let said = String::from_utf8_lossy(&output.stdout);
    judge(steps, &said)
}

/// One script, so that a variable, a folder and `$?` live from one block to the next.
fn script_of(steps: &[Step]) -> String {
    let mut script = "exec 2>&1\nguide_code=0\n".to_owned();
    for (number, step) in steps.iter().enumerate() {
        // Writing to a String cannot fail.
        let _ = match step {
            Step::File { name, .. } => writeln!(
                script,
                "mkdir -p \"$(dirname {name})\" && cp \"$GUIDE_FILES/{number}\" {name}"
            ),
            Step::Command(Command { text, .. }) => writeln!(
                script,
                "(exit $guide_code)\n{{\n{text}\n}} < /dev/null\nguide_code=$?\nprintf '\\n\\036%s\\n' $guide_code"
            ),
        };
    }
    script
}

/// Compares what was said with what is expected.
fn judge(steps: &[Step], said: &str) -> Result<(), String> {
    let commands: Vec<&Command> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Command(command) => Some(command),
            Step::File { .. } => None,
        })
        .collect();
    let mut rest = said;
    for (number, command) in commands.iter().enumerate() {
        let ended = rest.split_once(MARK).and_then(|(seen, after)| {
            let (code, after) = after.split_once('\n')?;
            // The line break before the mark is the script's.
            Some((seen.strip_suffix('\n')?, code, after))
        });
        let Some((seen, code, after)) = ended else {
            let text = &command.text;
            return Err(format!(
                "line {}: $ {text}\nwas not run to its end, and nothing after it was; seen:\n{rest}",
                command.line
            ));
        };
        rest = after;
        let lines: Vec<&str> = seen.lines().collect();
        if !fits(&command.expected, &lines) {
            return Err(format!(
                "line {}: $ {}\nexpected:\n{}\nseen:\n{}",
                command.line,
                command.text,
                indented(&command.expected),
                indented(&lines)
            ));
        }
        let is_shown = commands
            .get(number + 1)
            .is_some_and(|next| next.text == "echo $?");
        if code != "0" && !is_shown {
            return Err(format!(
                "line {}: $ {}\nends with {code}, and the guide does not show it: write `$ echo $?` below",
                command.line, command.text
            ));
        }
    }
    if rest.is_empty() {
        return Ok(());
    }
    Err(format!("after the last command:\n{rest}"))
}

fn indented(lines: &[impl AsRef<str>]) -> String {
    let lines: Vec<String> = lines
        .iter()
        .map(|line| format!("  {}", line.as_ref()))
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::{Rust, steps};

    /// Runs a guide in which `cofferdam` is `echo`.
    fn guide(text: &str) -> Result<(), String> {
        let steps = steps(text, Rust::IsRefused).expect("the notation is kept");
        let anywhere = std::env::temp_dir();
        let surroundings = Surroundings {
            program: Path::new("/bin/echo"),
            cache: &anywhere,
            benches: &anywhere,
        };
        play(&steps, &surroundings)
    }

    #[test]
    fn what_is_typed_says_what_is_expected() {
        guide("```txt a/b.txt\nfirst\nsecond\n```\n```console\n$ cat a/b.txt\nfirst\nsecond\n$ cofferdam hello\nhello\n```\n").unwrap();
    }

    #[test]
    fn both_streams_are_seen_and_a_last_line_need_not_end() {
        guide("```console\n$ echo one; echo two >&2; printf three\none\ntwo\nthree\n```\n")
            .unwrap();
    }

    #[test]
    fn variables_folders_and_codes_live_from_block_to_block() {
        guide("```console\n$ a=1; mkdir b; cd b\n$ (exit 3)\n```\n```console\n$ echo $?\n3\n$ echo $a; basename $(pwd)\n1\nb\n```\n").unwrap();
    }

    #[test]
    fn a_wrong_word_shows_command_expected_and_seen() {
        let why = guide("```console\n$ echo one\ntwo\n```\n").unwrap_err();
        assert_eq!(why, "line 2: $ echo one\nexpected:\n  two\nseen:\n  one");
    }

    #[test]
    fn a_line_that_is_missing_or_too_many_fails() {
        guide("```console\n$ echo one\none\ntwo\n```\n").unwrap_err();
        guide("```console\n$ echo one; echo two\none\n```\n").unwrap_err();
        guide("```console\n$ echo one\n```\n").unwrap_err();
    }

    #[test]
    fn a_command_that_is_not_run_fails() {
        for end in ["exit 0", "exit 3", "kill $$", "echo 'no end", "done"] {
            let text = format!("```console\n$ {end}\n$ echo one\none\n```\n");
            let why = guide(&text).unwrap_err();
            assert!(why.contains("was not run to its end"), "{end}: {why}");
        }
    }

    #[test]
    fn a_failure_that_is_not_shown_fails() {
        let why = guide("```console\n$ false\n$ echo one\none\n```\n").unwrap_err();
        assert!(why.contains("ends with 1"), "{why}");
        guide("```console\n$ false\n$ echo $?\n1\n```\n").unwrap();
        guide("```console\n$ false\n$ echo $?\n2\n```\n").unwrap_err();
    }
}

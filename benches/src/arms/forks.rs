//! A bare fork, without a word of unsafe code: the shell's.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;

/// A shell that forks when it is told to.
///
/// A subshell is a fork, an `_exit` and a `wait` (POSIX.1-2024, XCU 2.13), in a small process that has
/// nothing else to do. It is the least that a worker by `fork` could cost.
pub struct Forker {
    shell: Child,
    orders: ChildStdin,
    reports: BufReader<ChildStdout>,
}

/// Forks for as many as it is told in each line, then answers with how many there were.
const SCRIPT: &str = r#"while read -r n; do
  i=0
  while [ "$i" -lt "$n" ]; do (exit 7); [ $? = 7 ] || exit 1; i=$((i + 1)); done
  echo "$i"
done"#;

/// Forks between two looks at the clock: so many that the order and the answer do not count.
const FORKS: u32 = 16;

impl Forker {
    /// Starts the shell.
    ///
    /// # Errors
    /// If there is none.
    pub fn new() -> Result<Self, Failure> {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let orders = shell.stdin.take().ok_or("the shell has no input")?;
        let reports = shell.stdout.take().ok_or("the shell has no output")?;
        Ok(Self {
            shell,
            orders,
            reports: BufReader::new(reports),
        })
    }

    /// What one fork took, of some.
    ///
    /// # Errors
    /// If the shell has ended.
    pub fn fork(&mut self) -> Result<Duration, Failure> {
        let mut report = String::new();
        let start = Instant::now();
        writeln!(self.orders, "{FORKS}")?;
        self.reports.read_line(&mut report)?;
        let took = start.elapsed();
        if report.trim() != FORKS.to_string() {
            return Err(format!("the shell says {report:?}").into());
        }
        Ok(took / FORKS)
    }
}

impl Drop for Forker {
    fn drop(&mut self) {
        // It would end by itself at the end of its input, but that closes only after this.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_forks_as_often_as_it_is_told() {
        let mut forker = Forker::new().unwrap();
        for _ in 0..3 {
            assert!(forker.fork().unwrap() > Duration::ZERO);
        }
    }
}

//! A trial, as seen by whoever ordered it: a process of its own, and what it says.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

use crossbeam_channel::{Receiver, after, never, select};

use super::Samples;
use super::trial::{Order, Said};
use crate::worker::Wishes;

/// A trial that runs.
pub(super) struct Conversation {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<Result<Said, String>>,
    words: Receiver<String>,
}

/// Why a trial said nothing that helps.
#[derive(Debug)]
pub(super) enum Nothing {
    /// It said that it failed, or said nonsense.
    Failed(String),
    /// It ended without an answer, by this signal if by any. That may be somebody else's doing: it says
    /// nothing about the guest until it happens again.
    Died { signal: Option<i32>, told: String },
    /// It did not say anything for too long.
    Silent(Duration),
    /// Somebody stopped the measuring.
    Stopped(i32),
}

impl Nothing {
    /// What to tell about a failed trial; `Err` if it did not fail.
    pub(super) fn failure(self) -> Result<String, i32> {
        match self {
            Self::Failed(why) | Self::Died { told: why, .. } => Ok(why),
            Self::Silent(patience) => Ok(format!(
                "the trial was stuck, and was killed after {} s (if it is only slow, give more time with \
                 --time-budget)",
                patience.as_secs()
            )),
            Self::Stopped(by) => Err(by),
        }
    }
}

impl Conversation {
    /// Starts a trial, and hands it its order.
    pub(super) fn begin(order: &Order, bytes: &[&[u8]]) -> Result<Self, Nothing> {
        let failed =
            |error: io::Error| Nothing::Failed(format!("the trial cannot be run: {error}"));
        let mut child = Command::new(Wishes::own_program())
            .arg("__trial")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C in the terminal is for us, and we decide about the trial.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let lines = lines_of(&mut child).map_err(failed)?;
        let words = last_words_of(&mut child).map_err(failed)?;
        let mut conversation = Self {
            stdin: child.stdin.take(),
            child,
            lines,
            words,
        };
        // A trial that dies early is told by its end, not by our broken pipe.
        let _ = conversation.instruct(order, bytes);
        Ok(conversation)
    }

    fn instruct(&mut self, order: &Order, bytes: &[&[u8]]) -> io::Result<()> {
        let Some(stdin) = &mut self.stdin else {
            return Ok(());
        };
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        stdin.write_all(&line)?;
        bytes.iter().try_for_each(|bytes| stdin.write_all(bytes))
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Lets it do its next segment.
    pub(super) fn go(&mut self) {
        if let Some(stdin) = &mut self.stdin {
            // If it is gone, its silence tells.
            let _ = stdin.write_all(b"\n");
        }
    }

    /// Lets it end.
    pub(super) fn end(&mut self) {
        self.stdin = None;
    }

    /// The next thing that it says. An end without words is `Died`, with how it ended.
    pub(super) fn hear(
        &mut self,
        patience: Duration,
        stop: Option<&Receiver<i32>>,
    ) -> Result<Said, Nothing> {
        let nobody = never();
        let heard = select! {
            recv(self.lines) -> line => line,
            recv(stop.unwrap_or(&nobody)) -> by => return Err(Nothing::Stopped(by.unwrap_or_default())),
            recv(after(patience)) -> _ => return Err(Nothing::Silent(patience)),
        };
        match heard {
            Ok(Ok(Said::Failed(why)) | Err(why)) => Err(Nothing::Failed(why)),
            Ok(Ok(said)) => Ok(said),
            Err(_) => Err(Nothing::Died {
                signal: self.signal(),
                told: self.death(),
            }),
        }
    }

    /// What it measured, after its last segment.
    pub(super) fn measured(
        &mut self,
        patience: Duration,
        stop: Option<&Receiver<i32>>,
    ) -> Result<Samples, Nothing> {
        self.end();
        match self.hear(patience, stop)? {
            Said::Measured(samples) => Ok(samples),
            said => Err(Nothing::Failed(format!(
                "the trial said {said:?} in place of what it measured"
            ))),
        }
    }

    /// How it ended, once it has nothing more to say.
    pub(super) fn status(&mut self) -> Option<ExitStatus> {
        // It has hung up, or is about to: a moment for the rest of its end.
        let deadline = std::time::Instant::now() + Duration::from_secs(5);
        while std::time::Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) => std::thread::sleep(Duration::from_micros(200)),
                Err(_) => return None,
            }
        }
        None
    }

    /// The signal that ended it, if one did, once it has hung up.
    pub(super) fn signal(&mut self) -> Option<i32> {
        self.status().and_then(|status| status.signal())
    }

    /// How it ended, with its last words.
    pub(super) fn death(&mut self) -> String {
        let status = self
            .status()
            .map_or("it hangs".to_owned(), |status| status.to_string());
        let words = self.words.recv_timeout(Duration::from_secs(1));
        let words = words.unwrap_or_default();
        match words.as_str() {
            "" => format!("the trial ended without an answer: {status}"),
            words => format!("the trial ended without an answer: {status}; it said: {words}"),
        }
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        // Its own workers go with it: the kernel kills them when their parent is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines of the trial's output, from a thread, so that we can wait for other things too.
fn lines_of(child: &mut Child) -> io::Result<Receiver<Result<Said, String>>> {
    let (sender, lines) = crossbeam_channel::unbounded();
    if let Some(stdout) = child.stdout.take() {
        std::thread::Builder::new()
            .name("cofferdam-trial".to_owned())
            .spawn(move || {
                for line in BufReader::new(stdout).lines() {
                    let said = line.map_err(|error| error.to_string()).and_then(|line| {
                        serde_json::from_str(&line)
                            .map_err(|error| format!("a trial said nonsense: {error}"))
                    });
                    if sender.send(said).is_err() {
                        return;
                    }
                }
            })?;
    }
    Ok(lines)
}

/// The beginning of what the trial wrote to stderr: a panic, if anything.
fn last_words_of(child: &mut Child) -> io::Result<Receiver<String>> {
    let (sender, words) = crossbeam_channel::bounded(1);
    if let Some(mut stderr) = child.stderr.take() {
        std::thread::Builder::new()
            .name("cofferdam-trial-stderr".to_owned())
            .spawn(move || {
                let mut kept = Vec::new();
                let _ = (&mut stderr).take(4096).read_to_end(&mut kept);
                let _ = io::copy(&mut stderr, &mut io::sink());
                let _ = sender.send(crate::mail::printable(
                    String::from_utf8_lossy(&kept).trim(),
                ));
            })?;
    }
    Ok(words)
}

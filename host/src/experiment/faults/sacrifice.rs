//! A host that is there to be lost.
//!
//! In threads some faults end the host. They are injected in a process of their own, the *sacrificial host*: the same
//! program, or another one, that is told the fault's name and calls [`serve_sacrifice`]. What it says on its
//! stdout, and how it ends, is the observation.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use serde::{Deserialize, Serialize};

use super::expectation::{Ending, Loss};
use super::injector::{Injector, Observation, Programs, Setting};
use super::{CATALOGUE, Entry};
use crate::sys::child;

/// A line of a sacrificial host.
#[derive(Serialize, Deserialize)]
enum Word {
    /// What comes next is the fault.
    Injecting,
    /// The host lives, and this is what it saw.
    Seen(Observation),
    /// The fault did not happen.
    Failed(String),
}

/// So long a sacrificial host may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// Between two looks whether it stands still.
const LOOK: Duration = Duration::from_millis(5);

/// Serves as a sacrificial host for the fault of this name. It may not return.
#[must_use]
pub fn serve_sacrifice(id: &str, setting: Setting, programs: &Programs) -> ExitCode {
    let say = |word: &Word| {
        let mut out = io::stdout().lock();
        let said = serde_json::to_writer(&mut out, word).map_err(io::Error::from);
        said.and_then(|()| out.write_all(b"\n"))
            .and_then(|()| out.flush())
    };
    let injected = CATALOGUE
        .iter()
        .find(|entry| entry.id == id)
        .ok_or_else(|| format!("no fault is called {id}"))
        .and_then(|entry| {
            Injector::new(setting, programs)?.inject(entry, || drop(say(&Word::Injecting)))
        });
    let said = match injected {
        Ok(seen) => say(&Word::Seen(seen)),
        Err(why) => say(&Word::Failed(why)),
    };
    match said {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Runs a command that serves as a sacrificial host, and sees what becomes of it.
///
/// # Errors
/// Why the fault did not happen.
pub fn sacrifice(command: &mut Command, entry: &Entry) -> Result<Observation, String> {
    let host = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // A panic's message is what it is there for, and of no interest.
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("the sacrificial host does not start: {error}"))?;
    let mut host = Sacrificed(host);
    let words = host.words()?;
    let until = Instant::now() + PATIENCE;
    let mut injecting = false;
    let mut seen = None;
    let status = loop {
        match words.recv_timeout(LOOK) {
            Ok(Word::Injecting) => injecting = true,
            Ok(Word::Seen(observation)) => seen = Some(observation),
            Ok(Word::Failed(why)) => return Err(format!("{}: {why}", entry.id)),
            Err(RecvTimeoutError::Disconnected) => break host.wait(until)?,
            Err(RecvTimeoutError::Timeout) => {
                if injecting && child::is_stopped(host.0.id()) {
                    let stopped = (Ending::HostStopped, Loss::HostStopped);
                    return Ok(Observation::of_a_lost_host(stopped.0, stopped.1));
                }
                if Instant::now() > until {
                    return Err(format!(
                        "{}: the sacrificial host goes on for ever",
                        entry.id
                    ));
                }
            }
        }
    };
    match (seen, injecting, status.signal(), status.code()) {
        (_, false, ..) => Err(format!("{}: {status} before the fault", entry.id)),
        (_, true, Some(signal), _) => {
            let ending = Ending::HostDied(signal);
            Ok(Observation::of_a_lost_host(ending, Loss::Host))
        }
        (Some(seen), true, None, Some(0)) => Ok(seen),
        (_, true, None, code) => {
            let ending = Ending::HostExited(code.unwrap_or(-1));
            Ok(Observation::of_a_lost_host(ending, Loss::Host))
        }
    }
}

/// A sacrificial host, which is ended whatever happens.
struct Sacrificed(Child);

impl Sacrificed {
    fn words(&mut self) -> Result<Receiver<Word>, String> {
        let stdout = self.0.stdout.take().ok_or("it has no stdout")?;
        let (sender, words) = crossbeam_channel::unbounded();
        std::thread::Builder::new()
            .spawn(move || {
                let lines = BufReader::new(stdout).lines().map_while(Result::ok);
                // A drill may have written something of its own.
                for word in lines.filter_map(|line| serde_json::from_str(&line).ok()) {
                    if sender.send(word).is_err() {
                        return;
                    }
                }
            })
            .map_err(|error| error.to_string())?;
        Ok(words)
    }

    fn wait(&mut self, until: Instant) -> Result<ExitStatus, String> {
        loop {
            match self.0.try_wait().map_err(|error| error.to_string())? {
                Some(status) => return Ok(status),
                None if Instant::now() > until => return Err("it does not end".to_owned()),
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }
}

impl Drop for Sacrificed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

//! Replies, messages and log lines, as text or as JSON lines.

use std::ffi::OsString;
use std::fs;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write, stdout};
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cofferdam::{
    Completion, Enforcement, Hardening, Health, Job, Layer, Lost, Reply, Sender, printable,
};
use serde_json::{Map, Value, json};

use crate::cli::Failure;
use crate::cli::common::complain;

#[derive(Clone, Copy, Debug, PartialEq, clap::ValueEnum)]
pub(super) enum Format {
    Text,
    Json,
}

/// A job that came to its end.
pub(super) struct Done {
    /// Its place in the input, from 0.
    pub(super) place: u64,
    pub(super) name: String,
    pub(super) file: Option<OsString>,
    /// `Err` if it never became a job.
    pub(super) result: Result<Completion, String>,
}

/// Where replies go.
pub(super) struct Output {
    format: Format,
    folder: Option<PathBuf>,
    single: bool,
    /// Whether jobs are commands: what they wrote counts, however they ended, and their log is their stderr.
    commands: bool,
    stdout: BufWriter<Stdout>,
}

impl Output {
    pub(super) fn open(
        format: Format,
        folder: Option<PathBuf>,
        single: bool,
        commands: bool,
    ) -> Result<Self, Failure> {
        if let Some(folder) = &folder {
            fs::create_dir_all(folder)
                .map_err(|error| anyhow::anyhow!("--output-dir {}: {error}", folder.display()))?;
        }
        Ok(Self {
            format,
            folder,
            single,
            commands,
            stdout: BufWriter::with_capacity(64 << 10, stdout()),
        })
    }

    /// Whether a lone command has this program's streams.
    pub(super) fn is_the_commands(&self) -> bool {
        self.commands && self.single && self.format == Format::Text
    }

    /// Has a job's messages and log lines printed as they come. `place` is its place in the input.
    pub(super) fn listen(&self, job: Job, place: u64) -> Job {
        let event = if self.commands { "stderr" } else { "log" };
        match self.format {
            Format::Text if self.is_the_commands() => job.on_log(|_, _, line| {
                let _ = writeln!(io::stderr(), "{line}");
            }),
            Format::Text if self.commands => {
                job.on_log(|from, _, line| complain(&format!("{}: {line}", from.worker)))
            }
            Format::Text => job
                .on_post(|from, message| {
                    complain(&format!(
                        "{} posts: {}",
                        from.worker,
                        printable(&String::from_utf8_lossy(message))
                    ));
                })
                .on_log(|from, level, line| {
                    complain(&format!("{} {}: {line}", from.worker, level.name()));
                }),
            Format::Json => job
                .on_post(move |from, message| {
                    let (text, base64) = as_text(message);
                    say(
                        from,
                        place,
                        &json!({"event": "post", "message": text, "message_base64": base64}),
                    );
                })
                .on_log(move |from, level, line| {
                    say(
                        from,
                        place,
                        &json!({"event": event, "level": level.name(), "line": line}),
                    );
                }),
        }
    }

    /// Prints one reply; gives back what kept it from being written to its file.
    pub(super) fn print(&mut self, done: &Done) -> Result<Option<String>, Failure> {
        let mut trouble = None;
        if let (Some(folder), Some(file), Some(reply)) = (&self.folder, &done.file, answer(done)) {
            let path = folder.join(file);
            let written = fs::write(&path, &reply.output);
            trouble = written
                .err()
                .map(|error| format!("{}: {error}", path.display()));
        }
        match self.format {
            Format::Json => {
                // Past the buffer, in one piece: workers write events between the replies, and the
                // lock that keeps lines whole is that of stdout.
                let mut line = serde_json::to_vec(&object(done)).map_err(io::Error::from)?;
                line.push(b'\n');
                stdout().lock().write_all(&line)?;
            }
            Format::Text if self.folder.is_some() => {}
            Format::Text => {
                let printed = match self.is_the_commands() {
                    true => reply(done),
                    false => answer(done),
                };
                let output = printed.map_or(&[][..], |reply| &reply.output);
                self.stdout.write_all(output)?;
                // A lone reply is left as it is, except where a prompt would stick to it.
                let wants_end = !self.single || (!output.is_empty() && stdout().is_terminal());
                if wants_end && output.last() != Some(&b'\n') {
                    self.stdout.write_all(b"\n")?;
                }
            }
        }
        let dropped = reply(done).map_or(0, |reply| reply.dropped_logs);
        if self.commands && self.format == Format::Text && dropped > 0 {
            complain(&format!("{dropped} lines on standard error were dropped"));
        }
        Ok(trouble)
    }

    /// Tells, in JSON, what became of the workers: the last object of a run.
    pub(super) fn sum_up(
        &self,
        health: &Health,
        hardening: Hardening,
        enforcement: Option<&Enforcement>,
    ) -> Result<(), Failure> {
        if self.format == Format::Text {
            return Ok(());
        }
        let layers = enforcement.map(|held| {
            let layer = |layer: &Layer| {
                let reason = held.reason(*layer);
                let told = json!({
                    "standing": held.standing(*layer).to_string(),
                    "reason": (!reason.is_empty()).then_some(reason),
                });
                (layer.to_string(), told)
            };
            Layer::ALL.iter().map(layer).collect::<Map<_, _>>()
        });
        let summary = json!({
            "event": "summary",
            "health": health,
            "hardening": {"policy": hardening, "layers": layers},
        });
        writeln!(stdout().lock(), "{summary}")?;
        Ok(())
    }

    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        Ok(self.stdout.flush()?)
    }
}

/// The reply of a job, however its guest ended.
fn reply(done: &Done) -> Option<&Reply> {
    done.result.as_ref().ok()?.result.as_ref().ok()
}

/// The reply of a job that ended well.
fn answer(done: &Done) -> Option<&Reply> {
    reply(done).filter(|reply| reply.outcome == cofferdam::Outcome::Output)
}

/// One line on stdout, at once and whole. If it cannot be written, the replies cannot either, and
/// they will say so.
fn say(from: &Sender<'_>, place: u64, event: &Value) {
    let mut event = event.clone();
    event["job"] = json!(place);
    event["worker"] = json!(from.worker);
    let _ = stdout().lock().write_all(format!("{event}\n").as_bytes());
}

/// Text where the bytes are text, else base64.
fn as_text(bytes: &[u8]) -> (Option<&str>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text), None),
        Err(_) => (None, Some(STANDARD.encode(bytes))),
    }
}

fn object(done: &Done) -> Value {
    let mut object = json!({"event": "reply", "job": done.place, "input": done.name});
    let mut set = |key: &str, value: Value| object[key] = value;
    let completion = match &done.result {
        Ok(completion) => completion,
        Err(why) => {
            set("outcome", Value::Null);
            set("error", json!(why));
            return object;
        }
    };
    set("worker", json!(&*completion.worker));
    set("attempts", json!(completion.attempts));
    set("queued_s", json!(completion.queued.as_secs_f64()));
    set("wall_s", json!(completion.wall.as_secs_f64()));
    match &completion.result {
        Ok(reply) => {
            let (output, output_base64) = as_text(&reply.output);
            set("outcome", json!(reply.outcome.name()));
            if let cofferdam::Outcome::Exited(code) = reply.outcome {
                set("exit_code", json!(code));
            }
            set("output", json!(output));
            set("output_base64", json!(output_base64));
            set(
                "instantiate_s",
                json!(reply.phases.instantiate.as_secs_f64()),
            );
            set("call_s", json!(reply.phases.call.as_secs_f64()));
            if reply.dropped_logs > 0 {
                set("dropped_logs", json!(reply.dropped_logs));
            }
            if reply.outcome != cofferdam::Outcome::Output {
                set("error", json!(reply.outcome.to_string()));
            }
        }
        Err(lost) => {
            set("outcome", Value::Null);
            if let Lost::Worker(death) = lost {
                set("death", json!(death.name()));
            }
            set("error", json!(lost.to_string()));
        }
    }
    object
}

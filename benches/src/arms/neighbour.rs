//! A neighbour in Rust that is a program of its own, built by `benches/peers/run`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::Failure;

/// Where that command builds its programs.
const BUILT: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../target/peers/rust/release/ipc-channel"
);

/// Two processes that talk over `ipc-channel`.
pub struct IpcChannel(PathBuf);

impl IpcChannel {
    /// Finds the program; or says why it cannot be had.
    ///
    /// # Errors
    /// If it was not built.
    pub fn new() -> Result<Self, String> {
        let path = Path::new(BUILT);
        if path.exists() {
            Ok(Self(path.to_owned()))
        } else {
            Err("not built; `benches/peers/run` does it".to_owned())
        }
    }

    /// Messages there and back, in two processes that come and go for it. They hold the stopwatch.
    ///
    /// # Errors
    /// If the program fails.
    pub fn echo(&self, bytes: usize, count: usize) -> Result<Vec<Duration>, Failure> {
        let output = Command::new(&self.0)
            .args([
                "bytes",
                "--measure",
                "echo",
                "--budget",
                "1000",
                "--warm-up",
                "5",
            ])
            .args([
                "--bytes",
                &bytes.to_string(),
                "--samples",
                &count.to_string(),
            ])
            .stdin(Stdio::null())
            .output()?;
        let answer = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            return Err(format!("ipc-channel: {}", words.trim()).into());
        }
        let answer: serde_json::Value = serde_json::from_str(&answer)?;
        let samples = answer["samples_ns"]
            .as_array()
            .ok_or("ipc-channel gives no samples")?;
        let times = samples
            .iter()
            .map(|nanos| nanos.as_u64().map(Duration::from_nanos));
        let times: Option<Vec<Duration>> = times.collect();
        times.ok_or_else(|| "a sample of ipc-channel is no number of nanoseconds".into())
    }
}

//! `ipc-channel`: two processes with its channels of bytes between them.
//!
//! The typed channels encode each message with a serialiser first; channels of bytes are its quickest way
//! for bytes.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use cofferdam_peers::{Failure, Measure, Task, answer, other_side};
use ipc_channel::ipc::{self, IpcBytesReceiver, IpcBytesSender, IpcOneShotServer, IpcSender};

#[derive(Parser)]
struct Args {
    #[arg(value_enum)]
    arm: Arm,
    /// Where the other side finds this one
    #[arg(long, default_value = "", hide = true)]
    server: String,
    #[command(flatten)]
    task: Task,
}

#[derive(Clone, Copy, ValueEnum)]
enum Arm {
    /// Channels of bytes
    Bytes,
    /// The other side
    #[value(hide = true)]
    Serve,
}

/// What the other side hands over when it is ready: where it listens, and where it answers.
type Ends = (IpcBytesSender, IpcBytesReceiver);

fn main() -> ExitCode {
    let args = Args::parse();
    let samples = match (args.arm, args.task.measure) {
        (Arm::Bytes, Measure::Echo) => echo(&args.task),
        (Arm::Serve, Measure::Echo) => serve(args.server).map(|()| Vec::new()),
        _ => Err(args.task.refused()),
    };
    answer("ipc-channel", samples)
}

fn echo(task: &Task) -> Result<Vec<Duration>, Failure> {
    let (server, name) = IpcOneShotServer::<Ends>::new()?;
    let mut child = other_side("serve", task)?
        .args(["--server", &name])
        .spawn()?;
    let (_, (there, back)) = server.accept()?;
    let payload = task.payload();
    let samples = task.echo(|| {
        there.send(&payload)?;
        Ok(back.recv()?)
    });
    // Hangs up, which ends the other side.
    drop(there);
    child.wait()?;
    samples
}

fn serve(server: String) -> Result<(), Failure> {
    let host = IpcSender::<Ends>::connect(server)?;
    let (there, here) = ipc::bytes_channel()?;
    let (answer, back) = ipc::bytes_channel()?;
    host.send((there, back))?;
    while let Ok(message) = here.recv() {
        answer.send(&message)?;
    }
    Ok(())
}

//! `null`: the least that anybody pays. A bare thread, a bare process; a bare channel, pipe or socket pair.

use std::fs::File;
use std::io::{Read, Write, stdin, stdout};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use cofferdam_peers::{CrossbeamPong, Failure, Measure, Task, answer, check, other_side};

#[derive(Parser)]
struct Args {
    #[arg(value_enum)]
    arm: Arm,
    /// What `spawn` runs
    #[arg(long, default_value = "/bin/true")]
    program: String,
    /// An argument for it
    #[arg(long, allow_hyphen_values = true)]
    argument: Vec<String>,
    #[command(flatten)]
    task: Task,
}

#[derive(Clone, Copy, ValueEnum)]
enum Arm {
    /// A thread that does nothing, and its end
    Thread,
    /// A program that does nothing, and its end
    Spawn,
    /// Channels of one place between two threads
    Crossbeam,
    /// Two pipes between two processes
    Pipe,
    /// A Unix socket pair between two processes
    SocketPair,
    /// The other side of the two before
    #[value(hide = true)]
    Serve,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let task = &args.task;
    let samples = match (args.arm, task.measure) {
        (Arm::Thread, Measure::Start) => task.sample(thread),
        (Arm::Spawn, Measure::Start) => task.sample(|| spawn(&args.program, &args.argument)),
        (Arm::Crossbeam, Measure::Echo) => crossbeam(task),
        (Arm::Pipe, Measure::Echo) => pipe(task),
        (Arm::SocketPair, Measure::Echo) => socket_pair(task),
        (Arm::Serve, Measure::Echo) => serve(task.bytes).map(|()| Vec::new()),
        _ => Err(task.refused()),
    };
    answer("null", samples)
}

fn thread() -> Result<Duration, Failure> {
    let start = Instant::now();
    let thread = std::thread::spawn(|| ());
    thread.join().map_err(|_| "the thread panicked")?;
    Ok(start.elapsed())
}

/// The standard library uses `posix_spawn` here, since nothing is to be done in the child before `exec`.
fn spawn(program: &str, arguments: &[String]) -> Result<Duration, Failure> {
    let start = Instant::now();
    let status = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .status()
        .map_err(|error| format!("{program}: {error}"))?;
    let took = start.elapsed();
    if status.success() {
        Ok(took)
    } else {
        Err(format!("{program}: {status}").into())
    }
}

fn crossbeam(task: &Task) -> Result<Vec<Duration>, Failure> {
    let pong = CrossbeamPong::new();
    let payload: Arc<[u8]> = task.payload().into();
    task.echo(|| pong.ping(&payload))
}

fn pipe(task: &Task) -> Result<Vec<Duration>, Failure> {
    let mut child = other_side("serve", task)?.spawn()?;
    let there = child.stdin.take().ok_or("no pipe to the child")?;
    let back = child.stdout.take().ok_or("no pipe from the child")?;
    let samples = ping(task, there, back)?;
    well_ended(child)?;
    Ok(samples)
}

fn socket_pair(task: &Task) -> Result<Vec<Duration>, Failure> {
    let (near, far) = UnixStream::pair()?;
    let far = OwnedFd::from(far);
    let child = other_side("serve", task)?
        .stdin(far.try_clone()?)
        .stdout(far)
        .spawn()?;
    let samples = ping(task, near.try_clone()?, near)?;
    well_ended(child)?;
    Ok(samples)
}

/// Its ends are dropped on return: that ends the child.
fn ping(task: &Task, mut there: impl Write, mut back: impl Read) -> Result<Vec<Duration>, Failure> {
    let payload = task.payload();
    let mut reply = vec![0; payload.len()];
    task.sample(|| {
        reply.fill(0);
        let start = Instant::now();
        there.write_all(&payload)?;
        back.read_exact(&mut reply)?;
        let took = start.elapsed();
        check(&payload, &reply)?;
        Ok(took)
    })
}

/// The whole message first, as a worker needs it; then back. Without buffers in between.
fn serve(bytes: usize) -> Result<(), Failure> {
    let mut here = File::from(stdin().as_fd().try_clone_to_owned()?);
    let mut there = File::from(stdout().as_fd().try_clone_to_owned()?);
    let mut memory = vec![0; bytes];
    while here.read_exact(&mut memory).is_ok() {
        there.write_all(&memory)?;
    }
    Ok(())
}

fn well_ended(mut child: Child) -> Result<(), Failure> {
    let status = child.wait()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("the other side: {status}").into())
    }
}

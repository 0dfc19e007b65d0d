//! `iceoryx2`: two processes with its publish-subscribe services between them, one for each direction.
//!
//! A message is copied into the shared memory and out of it again on each side, as it is with every
//! other link here; iceoryx2 could do without where the sender writes its message in place. `spin`
//! looks for the next sample all the time; `park` waits for an event that goes with each sample.

use std::hint;
use std::io::{Read, Write, stdin, stdout};
use std::mem;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::{Parser, ValueEnum};
use cofferdam_peers::{Failure, Measure, Task, answer, other_side};
use iceoryx2::node::Node;
use iceoryx2::port::listener::Listener;
use iceoryx2::port::notifier::Notifier;
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;

#[derive(Parser)]
struct Args {
    #[arg(value_enum)]
    arm: Wait,
    /// What the services of this pair are called, for the other side
    #[arg(long, hide = true)]
    pair: Option<String>,
    #[command(flatten)]
    task: Task,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Wait {
    /// Look all the time
    Spin,
    /// Be woken
    Park,
}

/// How long a parked side sleeps before it looks whether it is still wanted.
const LOOK_UP: Duration = Duration::from_millis(200);

fn main() -> ExitCode {
    let args = Args::parse();
    let samples = match (&args.pair, args.task.measure) {
        (None, Measure::Echo) => echo(&args.task, args.arm),
        (Some(pair), Measure::Echo) => serve(pair, &args.task, args.arm).map(|()| Vec::new()),
        _ => Err(args.task.refused()),
    };
    answer("iceoryx2", samples)
}

fn echo(task: &Task, wait: Wait) -> Result<Vec<Duration>, Failure> {
    let pair = format!("cofferdam-peers/{}", std::process::id());
    let link = Link::open(&pair, ["there", "back"], task.bytes, wait)?;
    let name = if wait == Wait::Spin { "spin" } else { "park" };
    let mut child = other_side(name, task)?.args(["--pair", &pair]).spawn()?;
    let mut ready = [0];
    let out = child.stdout.as_mut().ok_or("no pipe from the child")?;
    out.read_exact(&mut ready)?;
    let payload = task.payload();
    let mut reply = Vec::new();
    let wanted = AtomicBool::new(true);
    let samples = task.echo(|| {
        link.send(&payload)?;
        link.receive(&mut reply, &wanted)?;
        Ok(mem::take(&mut reply))
    });
    // The end of its standard input ends it.
    drop(child.stdin.take());
    child.wait()?;
    samples
}

fn serve(pair: &str, task: &Task, wait: Wait) -> Result<(), Failure> {
    let link = Link::open(pair, ["back", "there"], task.bytes, wait)?;
    let wanted = Arc::new(AtomicBool::new(true));
    let watch = Arc::clone(&wanted);
    std::thread::spawn(move || {
        let _ = stdin().lock().read_to_end(&mut Vec::new());
        watch.store(false, Ordering::Relaxed);
    });
    let mut out = stdout().lock();
    out.write_all(b"!")?;
    out.flush()?;
    let mut memory = Vec::new();
    while link.receive(&mut memory, &wanted)? {
        link.send(&memory)?;
    }
    Ok(())
}

/// One side of a pair.
struct Link {
    out: Publisher<ipc::Service, [u8], ()>,
    inward: Subscriber<ipc::Service, [u8], ()>,
    bells: Option<Bells>,
    _node: Node<ipc::Service>,
}

struct Bells {
    out: Notifier<ipc::Service>,
    inward: Listener<ipc::Service>,
}

impl Link {
    fn open(
        pair: &str,
        [out, inward]: [&str; 2],
        bytes: usize,
        wait: Wait,
    ) -> Result<Self, Failure> {
        set_log_level(LogLevel::Error);
        let node = NodeBuilder::new()
            .signal_handling_mode(SignalHandlingMode::Disabled)
            .create::<ipc::Service>()?;
        let service = |name: &str| -> Result<_, Failure> {
            let name = ServiceName::new(&format!("{pair}/{name}"))?;
            Ok(node
                .service_builder(&name)
                .publish_subscribe::<[u8]>()
                .open_or_create()?)
        };
        let event = |name: &str| -> Result<_, Failure> {
            let name = ServiceName::new(&format!("{pair}/{name}/bell"))?;
            Ok(node.service_builder(&name).event().open_or_create()?)
        };
        let bells = match wait {
            Wait::Spin => None,
            Wait::Park => Some(Bells {
                out: event(out)?.notifier_builder().create()?,
                inward: event(inward)?.listener_builder().create()?,
            }),
        };
        Ok(Self {
            out: service(out)?
                .publisher_builder()
                .initial_max_slice_len(bytes)
                .create()?,
            inward: service(inward)?.subscriber_builder().create()?,
            bells,
            _node: node,
        })
    }

    fn send(&self, message: &[u8]) -> Result<(), Failure> {
        let sample = self.out.loan_slice_uninit(message.len())?;
        sample.write_from_slice(message).send()?;
        if let Some(bells) = &self.bells {
            bells.out.notify()?;
        }
        Ok(())
    }

    /// False if nobody wants this side to go on.
    fn receive(&self, into: &mut Vec<u8>, wanted: &AtomicBool) -> Result<bool, Failure> {
        loop {
            if let Some(sample) = self.inward.receive()? {
                into.clear();
                into.extend_from_slice(&sample);
                return Ok(true);
            }
            if !wanted.load(Ordering::Relaxed) {
                return Ok(false);
            }
            match &self.bells {
                None => hint::spin_loop(),
                Some(bells) => {
                    bells.inward.timed_wait(|_| (), LOOK_UP)?;
                }
            }
        }
    }
}

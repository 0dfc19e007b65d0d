//! How many messages a second, in one direction?
//!
//! *Arms*: a warm pool of one worker; one job of a guest that posts a fixed number of messages, or takes
//! messages until the host closes the way. *Stopwatch*: guest to host, from the first message that the
//! host's handler has copied until the last; host to guest, the trial's main thread, from its first `post` until
//! it holds the reply, which says how many came. *Expectation*: a thread hands over a pointer or a copy; a
//! process writes a frame for each message, and for each `recv` asks the host and waits for the answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::left_out::nothing;
use super::trial::{Bench, own_guest, reply_of};
use super::{Arm, Effort, Part, PartWork, RowSpec, Samples, Stage, Unit};
use crate::job::Job;
use crate::pool::Pool;
use crate::units::ByteSize;

pub(super) static STREAMS: Part = Part {
    experiment: "message",
    name: "streams",
    question: "How many messages a second, in one direction?",
    arms: |_| &[Arm::Thread, Arm::Process, Arm::Control],
    twin: Arm::Thread,
    weight: 1.0,
    core: 0,
    most: [8, 24, 60],
    rows,
    left_out: nothing,
    work: PartWork::Staged {
        segments: |effort| 4 * effort.budget.pick([1, 1, 4]),
        prepare,
    },
};

const GUEST: &str = include_str!("guests/stream.wat");

/// Bytes of a message, and how many make a stream.
const SMALL: (u32, u32) = (64, 2000);
/// The same for large ones.
const LARGE: (u32, u32) = (64 << 10, 200);

/// A direction, by the metrics that it gives: messages a second, and bytes a second.
const WAYS: [([&str; 2], &str); 2] = [
    (["post", "post_bytes"], "guest to host"),
    (["recv", "recv_bytes"], "host to guest"),
];

fn rows(_: &Effort) -> Vec<RowSpec> {
    let mut rows = Vec::new();
    for ([messages, in_bytes], way) in WAYS {
        for (bytes, _) in [SMALL, LARGE] {
            let size = ByteSize::from_bytes(bytes.into());
            for (metric, what, unit) in [
                (messages, "messages", Unit::MessagesPerSecond),
                (in_bytes, "bytes", Unit::BytesPerSecond),
            ] {
                let title = format!("{way}, {size}, {what}");
                let row = RowSpec::rate(metric, title, series(metric, bytes), unit);
                rows.push(row.at("payload", u64::from(bytes)));
            }
        }
    }
    rows
}

fn series(metric: &str, bytes: u32) -> String {
    format!("{metric}.{bytes}")
}

struct Streams<'b> {
    bench: &'b Bench,
    pool: Pool,
    samples: Samples,
}

fn prepare(bench: &Bench) -> Result<Box<dyn Stage + '_>, String> {
    let guest = own_guest("stream", GUEST)?;
    let builder = bench.builder(&guest, 1).limits(bench.roomy());
    let stage = Streams {
        bench,
        pool: builder.build().map_err(|error| error.to_string())?,
        samples: Samples::default(),
    };
    stage.posts((64, 2))?;
    Ok(Box::new(stage))
}

/// The first message, the last, and how many.
#[derive(Default)]
struct Seen {
    first: Option<Instant>,
    last: Option<Instant>,
    count: u32,
    bytes: u64,
    /// The last message. A handler has to take what it wants to keep; in a thread it is shown the
    /// guest's own memory.
    kept: Vec<u8>,
}

fn input(count: u32, bytes: u32) -> Vec<u8> {
    [count.to_le_bytes(), bytes.to_le_bytes()].concat()
}

impl Streams<'_> {
    /// Messages a second, from the guest.
    fn posts(&self, (bytes, count): (u32, u32)) -> Result<f64, String> {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let sink = Arc::clone(&seen);
        let job = Job::new(input(count, bytes)).on_post(move |_, message| {
            let mut seen = sink.lock().unwrap_or_else(PoisonError::into_inner);
            seen.kept.clear();
            seen.kept.extend_from_slice(message);
            let now = Instant::now();
            seen.first.get_or_insert(now);
            seen.last = Some(now);
            seen.count += 1;
            seen.bytes += message.len() as u64;
        });
        let ticket = self.pool.submit(job).map_err(|error| error.to_string())?;
        reply_of(ticket.wait())?;
        let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let expected = u64::from(bytes) * u64::from(count);
        let (Some(first), Some(last)) = (seen.first, seen.last) else {
            return Err("no message came".to_owned());
        };
        if seen.count != count || seen.bytes != expected {
            return Err(format!(
                "{} messages of {} bytes in all came, not {count} of {expected}",
                seen.count, seen.bytes
            ));
        }
        let seconds = (last - first).as_secs_f64() * (1.0 + self.bench.order.delay);
        Ok(f64::from(count - 1) / seconds.max(1e-9))
    }

    /// Messages a second, to the guest.
    fn takes(&self, (bytes, count): (u32, u32)) -> Result<f64, String> {
        let message = vec![7; bytes as usize];
        let (job, outbox) = Job::new(input(0, bytes)).with_inbox();
        let ticket = self.pool.submit(job).map_err(|error| error.to_string())?;
        let start = Instant::now();
        for _ in 0..count {
            let posted = outbox.post(message.clone());
            posted.map_err(|error| error.to_string())?;
        }
        drop(outbox);
        let completion = ticket.wait();
        let seconds = self.bench.stop(start);
        let reply = reply_of(completion)?;
        if reply.output != count.to_le_bytes() {
            return Err(format!("of {count} messages not all came"));
        }
        Ok(f64::from(count) / seconds)
    }
}

impl Stage for Streams<'_> {
    fn segment(&mut self, place: usize) -> Result<(), String> {
        let size = [SMALL, LARGE][place % 2];
        let ([messages, in_bytes], _) = WAYS[place / 2 % 2];
        let rate = match place / 2 % 2 {
            0 => self.posts(size)?,
            _ => self.takes(size)?,
        };
        self.samples.add(&series(messages, size.0), rate);
        let bytes = f64::from(size.0) * rate;
        self.samples.add(&series(in_bytes, size.0), bytes);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Samples, String> {
        Ok(self.samples)
    }
}

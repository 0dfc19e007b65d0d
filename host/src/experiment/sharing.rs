//! What does it cost to make 16 MiB of data known to n workers: by message, and by a region that all of
//! them see?
//!
//! *Arms*: pools of 1, 2 and 4 workers. By message, each job is made with a copy of the data as its
//! input; by region, the data was put there once, and the job carries nothing. The guest reads the same
//! parts of the data in both cases, a 64th in all, and replies with their sum, which is checked outside
//! of the timed span. *Stopwatch*: the trial's main thread, from before it makes the jobs, one for each
//! worker, until it holds the last reply; and, apart, from asking for a region until the data is in it.
//! *Memory*: the PSS of the trial and of its workers (see `memory`) while every worker is in the
//! middle of a job and holds the data; per worker is the slope from the first to the last. *Facts*: two
//! pools of one worker each have one region; one worker writes random bytes there, the other reads them;
//! both add to one word at the same time. *Expectation*: in both isolations a job by region costs what
//! an empty job costs, and a copy of what it reads; a worker more takes no more memory for it. By message
//! a thread costs a copy of the data, and a process a copy into what both share, and a second one into the guest.
//!
//! Bias: in threads, clones of one job share its input, so that a host that runs the same job n times can
//! save the copy; here each job is made anew, as it would be if the data were part of a larger message.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::left_out::nothing;
use super::memory::pss_of_all;
use super::trial::{Bench, own_guest, reply_of, staffed};
use super::{Arm, Part, PartWork, RowSpec, Samples, Sharing, Stage, Unit};
use crate::guest::Guest;
use crate::job::{Job, Outbox, Reply};
use crate::pool::{Pool, PoolBuilder, Ticket};
use crate::region::{Region, RegionAccess};
use crate::units::ByteSize;

/// Jobs of so many workers, and the making of a region.
pub(super) static READS: Part = Part {
    experiment: "sharing",
    name: "read",
    question: "What does it cost to make 16 MiB known to n workers, by message and by region?",
    arms: |_| &[Arm::Thread, Arm::Process, Arm::Control],
    twin: Arm::Thread,
    weight: 1.0,
    core: 0,
    most: [6, 16, 60],
    rows: |_| {
        let mut rows: Vec<RowSpec> = KINDS.map(|(way, workers)| read_row(way, workers)).into();
        let title = format!("{} put into a region", size());
        rows.push(RowSpec::seconds("make", title, "make"));
        rows
    },
    left_out: nothing,
    work: PartWork::Staged {
        segments: |effort| (KINDS.len() + 1) * effort.budget.pick([1, 1, 4]),
        prepare: |bench| Ok(Box::new(Reads::prepare(bench)?)),
    },
};

/// Memory, while workers hold the data.
pub(super) static HELD: Part = Part {
    experiment: "sharing",
    name: "held",
    question: "What does one more worker take that holds the data?",
    arms: |_| &[Arm::Thread, Arm::Process, Arm::Control],
    twin: Arm::Thread,
    weight: 0.5,
    core: 0,
    most: [6, 8, 20],
    rows: |_| {
        let mut rows = Vec::new();
        for way in Way::ALL {
            let title = format!("PSS per worker that holds {} by {way}", size());
            rows.push(held_row("pss_per_worker", title, way.name()).at("way", way.name()));
        }
        for way in Way::ALL {
            for workers in HOLDERS {
                let title = format!("PSS in all, {workers} hold {} by {way}", size());
                let row = held_row("pss", title, &format!("{way}.{workers}"));
                rows.push(row.at("way", way.name()).at("workers", workers as u64));
            }
        }
        rows
    },
    left_out: nothing,
    work: PartWork::Alone {
        prepare: |bench| Ok(Box::new(Held::prepare(bench)?)),
    },
};

/// Who sees what whom writes.
pub(super) static SEEN: Part = Part {
    experiment: "sharing",
    name: "seen",
    question: "Does one worker see what another writes into a region?",
    arms: |_| &[Arm::Thread, Arm::Process],
    twin: Arm::Thread,
    weight: 1.0,
    core: 1,
    most: [1, 1, 1],
    rows: |_| Vec::new(),
    left_out: nothing,
    work: PartWork::Staged {
        segments: |_| 1,
        prepare: |bench| {
            let seen = None;
            Ok(Box::new(Seen { bench, seen }))
        },
    },
};

const GUEST: &str = include_str!("guests/sharing.wat");

/// Bytes of data, as the claim's sentence has it.
const DATA: usize = 16 << 20;

/// How the data comes to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Message,
    Region,
}

impl Way {
    /// By region first: what messages took of the heap, the process keeps.
    const ALL: [Self; 2] = [Self::Region, Self::Message];

    fn name(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Region => "region",
        }
    }

    /// Jobs by region are short, and so more of them are looked at in a segment.
    fn repeats(self) -> usize {
        match self {
            Self::Message => 1,
            Self::Region => 4,
        }
    }
}

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Numbers of workers.
const WIDTHS: [usize; 3] = [1, 2, 4];

/// What is measured: each way with each number of workers.
const KINDS: [(Way, usize); 6] = [
    (Way::Message, WIDTHS[0]),
    (Way::Message, WIDTHS[1]),
    (Way::Message, WIDTHS[2]),
    (Way::Region, WIDTHS[0]),
    (Way::Region, WIDTHS[1]),
    (Way::Region, WIDTHS[2]),
];

/// Workers that hold the data: enough for a slope.
const HOLDERS: [usize; 2] = [1, 4];

fn size() -> ByteSize {
    ByteSize::from_bytes(DATA as u64)
}

fn read_row(way: Way, workers: usize) -> RowSpec {
    let plural = if workers == 1 { "worker" } else { "workers" };
    let title = format!("{} to {workers} {plural} by {way}", size());
    RowSpec::seconds("read", title, series(way, workers))
        .at("way", way.name())
        .at("workers", workers as u64)
}

fn series(way: Way, workers: usize) -> String {
    format!("read.{way}.{workers}")
}

fn held_row(metric: &'static str, title: String, series: &str) -> RowSpec {
    let unit = Unit::Bytes;
    let row = RowSpec::seconds(metric, title, format!("held.{series}"));
    RowSpec { unit, ..row }
}

/// Bytes of chance, so that a sum tells which were read. The same ones in every trial.
fn data() -> Vec<u8> {
    let mut data = vec![0; DATA];
    fastrand::Rng::with_seed(1).fill(&mut data);
    data
}

/// Pieces that the guest reads, the bytes of one, and from the beginning of one to that of the next.
const PIECES: (usize, usize, usize) = (64, 4096, 262_208);

/// What the guest replies.
fn sum(data: &[u8]) -> u64 {
    let (count, len, stride) = PIECES;
    let pieces = (0..count).map(|piece| &data[piece * stride..][..len]);
    pieces
        .flat_map(|piece| piece.as_chunks::<8>().0)
        .fold(0, |sum, word| sum.wrapping_add(u64::from_le_bytes(*word)))
}

fn region_of(data: &[u8]) -> Result<Region, String> {
    let size = ByteSize::from_bytes(data.len() as u64);
    let region = Region::new(size, RegionAccess::ReadOnly).map_err(|error| error.to_string())?;
    region.write(0, data).map_err(|error| error.to_string())?;
    Ok(region)
}

fn checked(reply: &Reply, expected: u64) -> Result<(), String> {
    if reply.output == expected.to_le_bytes() {
        return Ok(());
    }
    Err("a worker read other data than it was given".to_owned())
}

/// What all parts of the experiment begin with.
fn builder(bench: &Bench, guest: &Guest, workers: usize, region: &Region) -> PoolBuilder {
    bench
        .builder(guest, workers)
        .limits(bench.roomy())
        .region(region)
}

fn built(builder: PoolBuilder) -> Result<Pool, String> {
    builder.build().map_err(|error| error.to_string())
}

fn submitted(pool: &Pool, job: Job) -> Result<Ticket, String> {
    pool.submit(job).map_err(|error| error.to_string())
}

struct Reads<'b> {
    bench: &'b Bench,
    data: Vec<u8>,
    expected: u64,
    pools: BTreeMap<usize, Pool>,
    samples: Samples,
}

impl<'b> Reads<'b> {
    fn prepare(bench: &'b Bench) -> Result<Self, String> {
        let guest = own_guest("sharing", GUEST)?;
        let data = data();
        let region = region_of(&data)?;
        let mut pools = BTreeMap::new();
        for workers in WIDTHS {
            let pool = built(builder(bench, &guest, workers, &region))?;
            staffed(&pool, workers)?;
            pools.insert(workers, pool);
        }
        let stage = Self {
            bench,
            expected: sum(&data),
            data,
            pools,
            samples: Samples::default(),
        };
        // Each worker maps what it reads of the region, and takes memory for a message.
        for (way, workers) in KINDS {
            stage.read(way, workers)?;
        }
        Ok(stage)
    }

    /// Seconds until so many workers have read the data.
    fn read(&self, way: Way, workers: usize) -> Result<f64, String> {
        let pool = &self.pools[&workers];
        let start = Instant::now();
        let mut tickets = Vec::with_capacity(workers);
        for _ in 0..workers {
            let job = match way {
                Way::Message => Job::new(self.data.clone()),
                Way::Region => Job::new([]),
            };
            tickets.push(submitted(pool, job)?);
        }
        let completions: Vec<_> = tickets.into_iter().map(Ticket::wait).collect();
        let seconds = self.bench.stop(start);
        for completion in completions {
            checked(&reply_of(completion)?, self.expected)?;
        }
        Ok(seconds)
    }
}

impl Stage for Reads<'_> {
    fn segment(&mut self, place: usize) -> Result<(), String> {
        let Some(&(way, workers)) = KINDS.get(place % (KINDS.len() + 1)) else {
            let start = Instant::now();
            let region = region_of(&self.data)?;
            let seconds = self.bench.stop(start);
            drop(region);
            self.samples.add("make", seconds);
            return Ok(());
        };
        // The first after the other arms' turns finds cold caches, and is not counted.
        if way == Way::Region {
            self.read(way, workers)?;
        }
        for _ in 0..way.repeats() {
            let seconds = self.read(way, workers)?;
            self.samples.add(&series(way, workers), seconds);
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Samples, String> {
        Ok(self.samples)
    }
}

struct Held<'b> {
    bench: &'b Bench,
    guest: Guest,
    data: Vec<u8>,
    expected: u64,
    samples: Samples,
}

/// So long a worker may take to be in the middle of its job.
const PATIENCE: Duration = Duration::from_secs(60);

impl<'b> Held<'b> {
    fn prepare(bench: &'b Bench) -> Result<Self, String> {
        let data = data();
        Ok(Self {
            bench,
            guest: own_guest("sharing", GUEST)?,
            expected: sum(&data),
            data,
            samples: Samples::default(),
        })
    }

    /// The input of a job that waits while it holds the data.
    fn input(&self, way: Way) -> Vec<u8> {
        match way {
            Way::Message => [self.data.as_slice(), &[0]].concat(),
            Way::Region => vec![0],
        }
    }

    /// The memory of all, while so many workers hold the data.
    fn look(&self, way: Way, workers: usize, region: &Region) -> Result<f64, String> {
        let pool = built(builder(self.bench, &self.guest, workers, region))?;
        staffed(&pool, workers)?;
        let (begun, beginnings) = crossbeam_channel::unbounded();
        let mut holding: Vec<(Ticket, Outbox)> = Vec::with_capacity(workers);
        for _ in 0..workers {
            let begun = begun.clone();
            let (job, outbox) = Job::new(self.input(way))
                .on_post(move |_, _| _ = begun.send(()))
                .with_inbox();
            holding.push((submitted(&pool, job)?, outbox));
        }
        for _ in 0..workers {
            let heard = beginnings.recv_timeout(PATIENCE);
            heard.map_err(|_| "a worker does not come to hold the data".to_owned())?;
        }
        let pids = pool.workers().into_iter().filter_map(|worker| worker.pid);
        let pss = pss_of_all(self.bench.order.parent, pids)?;
        for (ticket, outbox) in holding {
            drop(outbox);
            checked(&reply_of(ticket.wait())?, self.expected)?;
        }
        Ok(pss)
    }
}

impl Stage for Held<'_> {
    fn segment(&mut self, _: usize) -> Result<(), String> {
        let region = region_of(&self.data)?;
        for way in Way::ALL {
            let mut looks = Vec::new();
            for workers in HOLDERS {
                let pss = self.look(way, workers, &region)?;
                self.samples.add(&format!("held.{way}.{workers}"), pss);
                looks.push((workers, pss));
            }
            let (Some(&(few, first)), Some(&(many, last))) = (looks.first(), looks.last()) else {
                continue;
            };
            #[expect(clippy::cast_precision_loss, reason = "a handful of workers")]
            let slope = (last - first) / (many - few) as f64;
            self.samples.add(&format!("held.{way}"), slope);
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Samples, String> {
        Ok(self.samples)
    }
}

/// What the length of the input asks of the guest.
const WRITE: usize = 2;
/// The same.
const READ: usize = 3;
/// The same.
const ADD: usize = 4;
/// How often it adds then.
const ADDITIONS: u64 = 1000;
/// Where the mark stands.
const MARK: u64 = 64;

struct Seen<'b> {
    bench: &'b Bench,
    seen: Option<Sharing>,
}

impl Stage for Seen<'_> {
    fn segment(&mut self, _: usize) -> Result<(), String> {
        let guest = own_guest("sharing", GUEST)?;
        let size = ByteSize::from_kib(4);
        let made = Region::new(size, RegionAccess::ReadWrite);
        let region = made.map_err(|error| error.to_string())?;
        let pool = || built(builder(self.bench, &guest, 1, &region));
        let (writer, reader) = (pool()?, pool()?);
        let ask = |pool: &Pool, what: usize| {
            let reply = reply_of(submitted(pool, Job::new(vec![0; what]))?.wait())?;
            Ok::<_, String>(reply.output)
        };
        let written = ask(&writer, WRITE)?;
        let read = ask(&reader, READ)?;
        let mut by_host = [0; 8];
        let found = region.read(MARK, &mut by_host);
        found.map_err(|error| error.to_string())?;
        let adding = [&writer, &reader]
            .into_iter()
            .map(|pool| submitted(pool, Job::new(vec![0; ADD])))
            .collect::<Result<Vec<_>, _>>()?;
        let additions = ADDITIONS * adding.len() as u64;
        for ticket in adding {
            reply_of(ticket.wait())?;
        }
        let pid = |pool: &Pool| pool.workers().first().and_then(|worker| worker.pid);
        self.seen = Some(Sharing {
            isolation: self.bench.isolation,
            host_pid: std::process::id(),
            writer_pid: pid(&writer),
            reader_pid: pid(&reader),
            write_visible: written != [0; 8] && read == written,
            host_sees_write: written != [0; 8] && by_host.as_slice() == written,
            additions,
            counted: region.load(0).map_err(|error| error.to_string())?,
        });
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Samples, String> {
        Ok(Samples {
            sharing: self.seen,
            ..Samples::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_lie_in_the_data_and_each_of_them_counts() {
        let data = data();
        assert_eq!(data.len(), DATA);
        let whole = sum(&data);
        let (count, len, stride) = PIECES;
        for piece in 0..count {
            let mut changed = data[..].to_vec();
            changed[piece * stride] ^= 1;
            assert_ne!(sum(&changed), whole, "piece {piece}");
            changed = data[..].to_vec();
            changed[piece * stride + len - 1] ^= 1;
            assert_ne!(sum(&changed), whole, "the end of piece {piece}");
        }
    }

    #[test]
    fn lengths_that_ask_for_something_are_no_data() {
        assert!(DATA.is_multiple_of(2) && DATA > ADD);
    }
}

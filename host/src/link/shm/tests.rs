use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::*;
use crate::link::frame::{Frame, HEADER, Header, Kind, Parts};
use crate::link::{Link, LinkError};
use crate::options::WaitPolicy;
use crate::payload::{Body, Output};
use crate::units::ByteSize;

const MIB: usize = 1 << 20;

fn limits() -> Limits {
    Limits {
        input: ByteSize::from_mib(6),
        output: ByteSize::from_mib(6),
        ..Limits::default()
    }
}

const POLICIES: [WaitPolicy; 3] = [WaitPolicy::Spin, WaitPolicy::Park, WaitPolicy::Auto];

struct Pair {
    host: End,
    worker: End,
    life: Arc<Life>,
}

fn pair(wait: WaitPolicy) -> Pair {
    let life = Arc::new(Life::default());
    let geometry = Geometry::of(&limits());
    let patience = || Patience::new(wait, 2);
    let (memory, memories) = create(geometry).unwrap();
    let host = memory.end(patience(), Arc::clone(&life));
    let worker = attach(memories, geometry, patience()).unwrap();
    Pair { host, worker, life }
}

fn parts<'a>(kind: Kind, job: u64, body: &'a [u8], trailer: &'a [u8]) -> Parts<'a> {
    Parts {
        kind,
        job,
        body: body.into(),
        trailer,
    }
}

/// Bytes that tell where they should be, in which frame.
fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; length];
    rng.fill(&mut bytes);
    bytes
}

const SIZES: [usize; 16] = [
    0,
    1,
    63,
    64,
    65,
    1000,
    1023,
    1024,
    1025,
    4095,
    4096,
    4097,
    65_535,
    65_537,
    300_000,
    5 * MIB + 3,
];

#[track_caller]
fn assert_is(frame: Frame, kind: Kind, job: u64, body: &[u8]) {
    assert_eq!((frame.kind, frame.job), (kind, job));
    assert!(frame.body.into_vec() == body, "another body, of {job}");
}

#[test]
fn jobs_and_replies_of_all_sizes_come_through() {
    for wait in POLICIES {
        let Pair {
            mut host,
            mut worker,
            ..
        } = pair(wait);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for _ in SIZES {
                    let job = worker.receive().unwrap();
                    let mut output = Output::new(worker.arena().unwrap());
                    for piece in job.body.into_vec().chunks(1 << 14) {
                        output.append(piece).unwrap();
                    }
                    let reply = Parts {
                        kind: Kind::Reply,
                        job: job.job,
                        body: output.content(),
                        trailer: b"ending",
                    };
                    worker.send(reply).unwrap();
                }
            });
            for (number, size) in (0..).zip(SIZES) {
                let input = bytes(number, size);
                host.send(parts(Kind::Job, number, &input, b"")).unwrap();
                let reply = host.receive().unwrap();
                assert_eq!(&reply.trailer[..], b"ending");
                assert_is(reply, Kind::Reply, number, &input);
            }
        });
    }
}

#[test]
fn a_large_job_is_lent_and_everything_else_is_the_receivers_own() {
    let Pair {
        mut host,
        mut worker,
        ..
    } = pair(WaitPolicy::Park);
    let large = bytes(1, 5000);
    host.send(parts(Kind::Job, 1, &large, b"")).unwrap();
    let job = worker.receive().unwrap();
    assert!(matches!(job.body, Body::Lent(_)), "{job:?}");
    // Mail lies elsewhere, so that the input stays as it is.
    host.send(parts(Kind::Mail, 1, &bytes(2, 5000), b"\0"))
        .unwrap();
    assert!(matches!(worker.receive().unwrap().body, Body::Owned(_)));
    assert_is(job, Kind::Job, 1, &large);
    worker.send(parts(Kind::Reply, 1, &large, b"")).unwrap();
    assert!(matches!(host.receive().unwrap().body, Body::Owned(_)));
}

#[test]
fn streams_both_ways_at_once_stay_whole_over_many_rounds_of_the_ring() {
    const FRAMES: u64 = 4000;
    let length = |number: u64| match number % 50 {
        0 => 200_000,
        other => usize::try_from(other * 97 % 1500).unwrap(),
    };
    let talk = move |end: &mut End, kind: Kind| {
        for number in 0..FRAMES {
            let body = bytes(number, length(number));
            end.send(parts(kind, number, &body, &body[..body.len().min(9)]))
                .unwrap();
        }
    };
    let listen = move |end: &mut End, kind: Kind| {
        for number in 0..FRAMES {
            let body = bytes(number, length(number));
            let frame = end.receive().unwrap();
            assert_eq!(&frame.trailer[..], &body[..body.len().min(9)]);
            assert_is(frame, kind, number, &body);
        }
    };
    for wait in POLICIES {
        for host_talks in [true, false] {
            let Pair {
                mut host,
                mut worker,
                ..
            } = pair(wait);
            std::thread::scope(|scope| {
                scope.spawn(move || match host_talks {
                    true => listen(&mut worker, Kind::Mail),
                    false => talk(&mut worker, Kind::Post),
                });
                match host_talks {
                    true => talk(&mut host, Kind::Mail),
                    false => listen(&mut host, Kind::Post),
                }
            });
        }
    }
}

#[test]
fn a_frame_of_our_own_that_is_too_long_is_refused_before_it_is_written() {
    let Pair {
        mut host,
        mut worker,
        ..
    } = pair(WaitPolicy::Park);
    let input = vec![0; 7 * MIB];
    let refused = host.send(parts(Kind::Job, 1, &input, b""));
    assert!(matches!(refused, Err(LinkError::Garbled(_))), "{refused:?}");
    let trailer = vec![0; usize::from(u16::MAX)];
    let refused = worker.send(parts(Kind::Reply, 1, b"", &trailer));
    assert!(matches!(refused, Err(LinkError::Garbled(_))), "{refused:?}");
}

#[test]
fn the_end_of_the_worker_ends_every_wait_of_the_host() {
    for wait in POLICIES {
        let Pair {
            mut host,
            mut worker,
            life,
        } = pair(wait);
        worker.send(parts(Kind::Post, 1, b"last", b"")).unwrap();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(move || {
                assert_is(host.receive().unwrap(), Kind::Post, 1, b"last");
                assert!(matches!(host.receive(), Err(LinkError::Closed)));
                host
            });
            life.end();
            let mut host = waiting.join().unwrap();
            let sent = host.send(parts(Kind::Job, 2, b"", b""));
            assert!(matches!(sent, Err(LinkError::Closed)));
        });
    }
}

#[test]
fn a_worker_whose_host_is_no_longer_its_parent_stops_waiting() {
    let geometry = Geometry::of(&limits());
    for wait in POLICIES {
        let (_memory, [theirs, mine]) = create(geometry).unwrap();
        let sides = Sides::new(
            OwnMapping::of(mine, geometry.to_host.length()).unwrap(),
            Mapping::of(theirs, geometry.to_worker.length()).unwrap(),
        );
        // Nobody is its own parent.
        let watch = Watch::Host {
            parent: Some(rustix::process::getpid()),
        };
        let patience = Patience::new(wait, 2);
        let Geometry { to_worker, to_host } = geometry;
        let mut worker = End::new(sides, to_host, to_worker, patience, watch);
        assert!(matches!(worker.receive(), Err(LinkError::Closed)));
    }
}

#[test]
fn what_a_dead_worker_never_took_is_told_from_what_it_took() {
    let mut pair = pair(WaitPolicy::Park);
    pair.host.send(parts(Kind::Job, 1, b"one", b"")).unwrap();
    assert!(!pair.host.may_be_taken());
    pair.worker.receive().unwrap();
    assert!(pair.host.may_be_taken());
    pair.host.send(parts(Kind::Job, 2, b"two", b"")).unwrap();
    pair.life.end();
    assert!(matches!(pair.host.receive(), Err(LinkError::Closed)));
    assert!(!pair.host.may_be_taken());
}

#[test]
fn the_end_of_the_worker_ends_a_wait_for_room() {
    for wait in POLICIES {
        let Pair {
            mut host,
            worker,
            life,
        } = pair(wait);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(move || {
                let full = loop {
                    if let Err(error) = host.send(parts(Kind::Mail, 1, &[7; 1000], b"")) {
                        break error;
                    }
                };
                assert!(matches!(full, LinkError::Closed), "{full}");
            });
            life.end();
            waiting.join().unwrap();
        });
        drop(worker);
    }
}

#[test]
fn patience_has_an_end_for_whoever_spins_too() {
    for wait in POLICIES {
        let mut pair = pair(wait);
        let brief = Some(Duration::from_millis(1));
        for end in [&mut pair.host, &mut pair.worker] {
            end.set_patience(brief).unwrap();
            assert!(matches!(end.receive(), Err(LinkError::TimedOut)));
        }
    }
}

#[test]
fn a_limit_has_an_end_whatever_the_policy_and_what_comes_before_it_comes_through() {
    for wait in WaitPolicy::ALL {
        let Pair {
            mut host,
            mut worker,
            life: _life,
        } = pair(wait);
        host.set_limit(Some(Duration::from_millis(20))).unwrap();
        worker.send(parts(Kind::Ready, 0, b"", b"")).unwrap();
        assert_is(host.receive().unwrap(), Kind::Ready, 0, b"");
        let refused = host.receive().unwrap_err();
        assert!(matches!(refused, LinkError::TimedOut), "{refused}");
        host.set_limit(None).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(40));
                worker.send(parts(Kind::Reply, 1, b"late", b"")).unwrap();
            });
            assert_is(host.receive().unwrap(), Kind::Reply, 1, b"late");
        });
    }
}

#[test]
fn a_worker_without_its_memory_is_told() {
    let geometry = Geometry::of(&limits());
    let patience = || Patience::new(WaitPolicy::Park, 2);
    let (_memory, [ours, _]) = create(geometry).unwrap();
    let other = || ours.try_clone().unwrap();
    // The host's own memory in place of the worker's is not there to be written.
    assert!(attach([other(), other()], geometry, patience()).is_err());
    let larger = Geometry::of(&Limits::default());
    let (_memory, memories) = create(geometry).unwrap();
    assert!(attach(memories, larger, patience()).is_err());
}

#[test]
fn zones_lie_behind_the_ring_and_do_not_overlap() {
    let layout = Geometry::of(&Limits {
        output: ByteSize::from_bytes(5000),
        ..Limits::default()
    })
    .to_host;
    assert_eq!(layout.zone(Zone::Payload), PAGE + RING as usize);
    assert_eq!(layout.zone(Zone::Talk), 3 * PAGE + RING as usize);
    assert_eq!(layout.length(), (3 + 16) * PAGE + RING as usize);
    let words = [Word::Tail, Word::Head, Word::Waiting].map(Layout::word);
    assert!(words.iter().all(|word| word + 4 <= PAGE));
}

// ---------------------------------------------------------------------------------------------
// A worker that means harm
// ---------------------------------------------------------------------------------------------

/// Writes to the worker's memory what no worker would.
struct Villain {
    memory: OwnMapping,
    layout: Layout,
    rng: fastrand::Rng,
    tail: u32,
}

impl Villain {
    fn word(&mut self, word: Word, value: u32) {
        self.memory.own_word(Layout::word(word)).store(value);
        self.memory.own_word(Layout::word(word)).wake();
    }

    /// Often near what is right, since that is where checks are weak.
    fn number(&mut self, near: u32) -> u32 {
        match self.rng.u8(..4) {
            0 => self.rng.u32(..),
            1 => near.wrapping_add(self.rng.u32(..200)),
            2 => near.wrapping_sub(self.rng.u32(..200)),
            _ => near,
        }
    }

    fn header(&mut self) -> [u8; HEADER] {
        let kinds = [Kind::Reply, Kind::Post, Kind::Log, Kind::Job];
        let limit = self.layout.0.zones[0];
        let body = match self.rng.u8(..3) {
            0 => self.rng.u32(..1100),
            1 => self.number(limit),
            _ => self.rng.u32(..),
        };
        let header = Header {
            kind: kinds[self.rng.usize(..kinds.len())],
            job: self.rng.u64(..),
            body,
            trailer: self.rng.u16(..),
        };
        let mut bytes = header.encode();
        if self.rng.u8(..8) == 0 {
            bytes[self.rng.usize(..HEADER)] = self.rng.u8(..);
        }
        bytes
    }

    /// A record that may be right, and a tail that may be.
    fn lie(&mut self) {
        let header = self.header();
        let length = match Header::decode(header, usize::MAX).map(|h| self.layout.0.lay(h, 0)) {
            Ok(Ok(record)) => record.next,
            _ => 64,
        };
        let offset = self.tail & (RING - 1);
        self.memory.copy_in(Layout::RING + offset as usize, &header);
        let tail = self.tail.wrapping_add(length);
        self.tail = tail;
        let tail = self.number(tail);
        self.word(Word::Tail, tail);
    }

    /// Anything, anywhere.
    fn scribble(&mut self) {
        let mut bytes = [0; 256];
        self.rng.fill(&mut bytes);
        let place = self.rng.usize(PAGE..self.layout.length() - bytes.len());
        self.memory.copy_in(place, &bytes);
        let (head, waiting) = (self.number(0), self.number(1));
        self.word(Word::Head, head);
        self.word(Word::Waiting, waiting);
    }

    fn rage(&mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            match self.rng.u8(..8) {
                0 => self.scribble(),
                1 => std::thread::yield_now(),
                _ => self.lie(),
            }
        }
    }
}

/// Sends and receives until the link breaks; says how many frames came, and how it broke.
fn withstand(host: &mut End) -> (u32, LinkError) {
    let most = 6 * MIB;
    let mut frames = 0;
    loop {
        if let Err(error) = host.send(parts(Kind::Mail, 1, &[1; 900], b"")) {
            return (frames, error);
        }
        match host.receive() {
            Err(error) => return (frames, error),
            Ok(frame) => {
                frames += 1;
                assert!(frame.trailer.len() <= usize::from(u16::MAX));
                assert!(frame.body.into_vec().len() <= most);
            }
        }
    }
}

#[test]
fn nothing_that_a_worker_writes_does_more_than_to_break_its_link() {
    let geometry = Geometry::of(&limits());
    let mut frames = 0;
    for round in 0..300 {
        let wait = POLICIES[round % POLICIES.len()];
        let patience = Patience::new(wait, 2);
        let (half, [_, memory]) = create(geometry).unwrap();
        let mut host = half.end(patience, Arc::default());
        let mut villain = Villain {
            memory: OwnMapping::of(memory.as_fd(), geometry.to_host.length()).unwrap(),
            layout: geometry.to_host,
            rng: fastrand::Rng::with_seed(round as u64),
            tail: 0,
        };
        let stop = AtomicBool::new(false);
        let stop = &stop;
        std::thread::scope(|scope| {
            scope.spawn(move || villain.rage(stop));
            let (came, error) = withstand(&mut host);
            stop.store(true, Ordering::Relaxed);
            frames += came;
            assert!(matches!(error, LinkError::Garbled(_)), "{error}");
        });
    }
    assert!(
        frames > 0,
        "every lie was found out at once: none was any good"
    );
}

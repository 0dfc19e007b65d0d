//! The decoders of the link against hundreds of millions of inputs; see `fuzz.rs` at the top.
//!
//! The second opinion is written from the layout, in wider numbers, and shares nothing with the code on
//! trial.

use fastrand::Rng;

use super::frame::{Frame, HEADER, Header};
use super::protocol::FromWorker;
use super::ring::{Bounds, Consumer, Place, Zone};
use crate::fuzz::{try_out, try_out_wished};
use crate::payload::Body;

/// Cases in a test run for every day, for each decoder.
const FEW: u64 = 200_000;

/// What the other side may say in one moment.
struct Said {
    header: [u8; HEADER],
    head: u32,
    tail: u32,
    bounds: Bounds,
}

/// What a record is that has to be accepted.
#[derive(Debug, PartialEq, Eq)]
struct Accepted {
    kind: u8,
    job: u64,
    body: u32,
    trailer: u16,
    zone: Option<usize>,
    length: u64,
}

const INLINE: u64 = 1024;

impl Said {
    fn draw(rng: &mut Rng) -> Self {
        let bounds = Bounds {
            capacity: 1 << rng.u32(6..=31),
            zones: [near(rng), near(rng)],
        };
        if rng.bool() {
            Self::random(rng, bounds)
        } else {
            Self::nearly_valid(rng, bounds)
        }
    }

    fn random(rng: &mut Rng, bounds: Bounds) -> Self {
        let mut header = [0; HEADER];
        rng.fill(&mut header);
        // Without its first bytes nothing else of it would ever be looked at.
        if rng.u32(0..4) > 0 {
            header[..5].copy_from_slice(b"cfdm\x01");
        }
        Self {
            header,
            head: rng.u32(..),
            tail: rng.u32(..),
            bounds,
        }
    }

    /// A good record, of which a few things are then changed.
    fn nearly_valid(rng: &mut Rng, bounds: Bounds) -> Self {
        let kind = rng.u8(1..=12);
        let limit = bounds.zones[zone_of(kind)];
        let body = match rng.u32(0..3) {
            0 => rng.u32(0..=1024),
            1 => limit,
            _ => rng.u32(0..=limit),
        };
        let trailer = rng.u16(..) >> rng.u32(0..16);
        let mut header = [0; HEADER];
        header[..5].copy_from_slice(b"cfdm\x01");
        header[5] = kind;
        header[6..8].copy_from_slice(&trailer.to_le_bytes());
        header[8..12].copy_from_slice(&body.to_le_bytes());
        rng.fill(&mut header[12..]);
        let inline = if u64::from(body) <= INLINE { body } else { 0 };
        let length = (20 + u32::from(trailer) + inline).next_multiple_of(64);
        let head = rng.u32(..);
        let mut said = Self {
            header,
            head,
            tail: head.wrapping_add(length),
            bounds,
        };
        for _ in 0..rng.u32(0..3) {
            said.mutate(rng);
        }
        said
    }

    fn mutate(&mut self, rng: &mut Rng) {
        match rng.u32(0..6) {
            0 => self.header[rng.usize(0..HEADER)] ^= 1 << rng.u32(0..8),
            1 => self.header[8..12].copy_from_slice(&near(rng).to_le_bytes()),
            2 => self.header[rng.usize(0..HEADER)] = rng.u8(..),
            3 => self.tail = self.tail.wrapping_add(64),
            4 => self.tail = self.head.wrapping_add(self.bounds.capacity),
            _ => self.tail = self.tail.wrapping_add(near(rng)).wrapping_sub(1),
        }
    }

    fn should_be(&self) -> Option<Accepted> {
        let capacity = u64::from(self.bounds.capacity);
        let available = (u64::from(self.tail) + (1 << 32) - u64::from(self.head)) % (1 << 32);
        if available > capacity || available < 20 {
            return None;
        }
        let record = header_should_be(&self.header, None)?;
        let zone = (u64::from(record.body) > INLINE).then(|| zone_of(record.kind));
        let fits = zone.is_none_or(|zone| record.body <= self.bounds.zones[zone]);
        let inline = zone.map_or(u64::from(record.body), |_| 0);
        let length = (20 + u64::from(record.trailer) + inline).div_ceil(64) * 64;
        (fits && length <= available).then_some(Accepted {
            zone,
            length,
            ..record
        })
    }

    fn is(&self) -> Option<Accepted> {
        let mut consumer = Consumer::at(self.head, self.bounds);
        let record = consumer.decode(self.header, self.tail).ok()?;
        let header = record.header;
        let trailer_ends = record.trailer.wrapping_add(u32::from(header.trailer));
        assert_eq!(record.trailer, self.head.wrapping_add(20));
        let zone = match record.body {
            Place::Ring(at) => {
                assert_eq!(at, trailer_ends);
                None
            }
            Place::Zone(Zone::Payload) => Some(0),
            Place::Zone(Zone::Talk) => Some(1),
        };
        assert_eq!(consumer.advance(&record), record.next);
        assert_eq!(consumer.head(), record.next);
        Some(Accepted {
            kind: header.kind as u8,
            job: header.job,
            body: header.body,
            trailer: header.trailer,
            zone,
            length: u64::from(record.next.wrapping_sub(self.head)),
        })
    }
}

/// Jobs and replies have a zone of their own.
fn zone_of(kind: u8) -> usize {
    usize::from(!matches!(kind, 4 | 5))
}

/// A length at a bound, or any.
fn near(rng: &mut Rng) -> u32 {
    let any = rng.u32(..);
    let edges = [
        0,
        1,
        19,
        20,
        1023,
        1024,
        1025,
        65_535,
        65_536,
        1 << 20,
        1 << 31,
        u32::MAX,
    ];
    match rng.usize(0..2 * edges.len()) {
        edge if edge < edges.len() => edges[edge],
        _ => any >> (any % 32),
    }
}

fn header_should_be(bytes: &[u8; HEADER], limit: Option<u64>) -> Option<Accepted> {
    let number = |from: usize, to: usize| {
        let digits = bytes[from..to].iter().rev();
        digits.fold(0, |sum: u64, digit| sum << 8 | u64::from(*digit))
    };
    let (kind, body) = (bytes[5], number(8, 12));
    let good = bytes[..5] == *b"cfdm\x01" && (1..=12).contains(&kind);
    (good && limit.is_none_or(|limit| body <= limit)).then(|| Accepted {
        kind,
        job: number(12, 20),
        body: u32::try_from(body).expect("four bytes"),
        trailer: u16::try_from(number(6, 8)).expect("two bytes"),
        zone: None,
        length: 0,
    })
}

fn ring_record(rng: &mut Rng) -> bool {
    let said = Said::draw(rng);
    let (is, should_be) = (said.is(), said.should_be());
    assert_eq!(
        is, should_be,
        "{:02x?} from {} to {} within {:?}",
        said.header, said.head, said.tail, said.bounds
    );
    is.is_some()
}

fn frame_header(rng: &mut Rng) -> bool {
    let bytes = Said::draw(rng).header;
    let limit = near(rng);
    let decoded = Header::decode(bytes, limit as usize).ok();
    let should_be = header_should_be(&bytes, Some(limit.into()));
    let is = decoded.map(|header| Accepted {
        kind: header.kind as u8,
        job: header.job,
        body: header.body,
        trailer: header.trailer,
        zone: None,
        length: 0,
    });
    assert_eq!(is, should_be, "{bytes:02x?} within {limit}");
    // What is accepted is written as it was read.
    assert!(decoded.is_none_or(|header| header.encode() == bytes));
    decoded.is_some()
}

/// Text that a worker says is cut after so many bytes, each of which may become a sign of three.
const MOST_TEXT: usize = 3 * (16 << 10);

fn saying(rng: &mut Rng) -> bool {
    let Some(header) = Header::decode(Said::draw(rng).header, usize::MAX).ok() else {
        return false;
    };
    let mut body = [0; 40];
    rng.fill(&mut body);
    let body = &body[..rng.usize(0..=40)];
    let mut trailer = [0; 64];
    rng.fill(&mut trailer);
    // What is expected, or any length.
    let lengths = [0, 4, 8, 16, 46, 58, 64];
    let length = match rng.usize(0..8) {
        7 => rng.usize(0..=64),
        known => lengths[known],
    };
    trailer[0] %= 12;
    trailer[1] %= 12;
    if rng.bool() {
        // What can be said of the hardening.
        for layer in trailer[16..58].chunks_exact_mut(6) {
            layer[0] %= 4;
            layer[1] %= 5;
        }
    }
    let trailer = &trailer[..length];
    let frame = Frame {
        kind: header.kind,
        job: header.job,
        body: Body::Owned(body.to_vec()),
        trailer: trailer.into(),
    };
    let number = header.kind as u8;
    let tag = trailer.first().copied().unwrap_or_default();
    let may_pass = match number {
        2 => match length {
            16 => true,
            58 => trailer[16..]
                .chunks_exact(6)
                .all(|layer| layer[0] < 4 && layer[1] < 5),
            _ => false,
        },
        3 | 6 | 10 => true,
        5 => length >= 46 && tag < 10 && (tag != 2 || trailer[1] < 11),
        7 => length == 8,
        9 => length == 4,
        // How large the answer may be; whatever else it says is looked at where it is fetched.
        11 => length >= 8,
        _ => false,
    };
    let Ok(said) = FromWorker::decode(frame) else {
        assert!(!may_pass, "refused: kind {number}, {trailer:02x?}");
        return false;
    };
    assert!(may_pass, "accepted: kind {number}, {trailer:02x?}");
    match said {
        FromWorker::Reply(reply) => assert_eq!(reply.output, body),
        FromWorker::Post(message) => assert_eq!(message, body),
        FromWorker::Failed(text) | FromWorker::Panicked(text) | FromWorker::Log(_, text) => {
            assert!(text.len() <= MOST_TEXT);
        }
        FromWorker::Fetch(wanted) => {
            assert_eq!((&wanted.head[..], &wanted.body[..]), (&trailer[8..], body));
        }
        FromWorker::Ready(..) | FromWorker::Recv(_) => {}
    }
    true
}

#[test]
fn a_few_ring_records_are_judged_as_by_a_second_opinion() {
    try_out(FEW, 2, ring_record);
}

#[test]
fn a_few_frame_headers_are_judged_as_by_a_second_opinion() {
    try_out(FEW, 2, frame_header);
}

#[test]
fn a_few_sayings_are_judged_as_by_a_second_opinion() {
    try_out(FEW, 2, saying);
}

#[test]
#[ignore = "takes minutes, and a release build"]
fn all_ring_records_are_judged_as_by_a_second_opinion() {
    try_out_wished("ring records", ring_record);
}

#[test]
#[ignore = "takes minutes, and a release build"]
fn all_frame_headers_are_judged_as_by_a_second_opinion() {
    try_out_wished("frame headers", frame_header);
}

#[test]
#[ignore = "takes minutes, and a release build"]
fn all_sayings_are_judged_as_by_a_second_opinion() {
    try_out_wished("sayings of a worker", saying);
}

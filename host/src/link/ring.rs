//! The arithmetic and the records of a byte ring with one producer and one consumer. Nothing here
//! touches memory.
//!
//! Positions count bytes from the beginning of time and wrap at 2³²; the place of a position is its
//! remainder by the capacity, a power of two. The producer owns `tail`, the position after the last byte
//! that it wrote, the consumer `head`, the position after the last that it took. Each side keeps its own
//! in private memory, and what the other one says of its own is checked: where the two are further apart
//! than the capacity, one of them lies.
//!
//! A record is a frame's header, its trailer, and its body if that is small; a large body lies in a zone
//! beside the ring, whole.

use super::frame::{FrameError, HEADER, Header, Kind};

/// A body of up to so many bytes lies in the ring. One that is larger is worth the cache line that a
/// zone costs, and a few of them would fill the ring.
pub(super) const INLINE: u32 = 1 << 10;

/// Records begin at cache lines: the producer never writes to one from which the consumer still reads.
const ALIGNMENT: u32 = 64;

/// What the other side said that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RingError {
    /// More was produced than the ring holds, or less than was consumed.
    #[error("the ring's tail is at {tail}, and its head at {head}")]
    Tail { head: u32, tail: u32 },
    /// More was consumed than was produced, or less than before.
    #[error("the ring's head went from {from} to {to}, and its tail is at {tail}")]
    Head { from: u32, to: u32, tail: u32 },
    /// A record is longer than what was produced.
    #[error("a record has {length} bytes, of which {available} are there")]
    Torn { length: u32, available: u32 },
    /// A body does not fit where it should lie.
    #[error("a {kind} of {length} bytes is announced, and {limit} are allowed")]
    Oversized { kind: Kind, length: u32, limit: u32 },
    /// The header is none.
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// A place for one large body, beside the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Zone {
    /// What a job is given, and what it gives back.
    Payload = 0,
    /// Everything else.
    Talk = 1,
}

impl Zone {
    pub(crate) const ALL: [Zone; 2] = [Self::Payload, Self::Talk];

    fn of(kind: Kind) -> Self {
        match kind {
            Kind::Job | Kind::Reply => Self::Payload,
            _ => Self::Talk,
        }
    }
}

/// How much memory of which kind one direction has. Both sides have the same numbers, from the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Bytes of the ring: a power of two.
    pub(crate) capacity: u32,
    /// Bytes that a body in each zone may have.
    pub(crate) zones: [u32; 2],
}

/// Where a body lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the ring, at this position.
    Ring(u32),
    /// In this zone, from its beginning.
    Zone(Zone),
}

/// Where the parts of a record lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) header: Header,
    /// The position of the trailer.
    pub(crate) trailer: u32,
    pub(crate) body: Place,
    /// The position after the record.
    pub(crate) next: u32,
}

impl Bounds {
    /// Lays a record out at `position`.
    pub(crate) fn lay(&self, header: Header, position: u32) -> Result<Record, RingError> {
        let trailer = position.wrapping_add(HEADER_LENGTH);
        let after = trailer.wrapping_add(u32::from(header.trailer));
        let (body, end) = if header.body <= INLINE {
            (Place::Ring(after), after.wrapping_add(header.body))
        } else {
            let zone = Zone::of(header.kind);
            let limit = self.zones[zone as usize];
            if header.body > limit {
                return Err(RingError::Oversized {
                    kind: header.kind,
                    length: header.body,
                    limit,
                });
            }
            (Place::Zone(zone), after)
        };
        let length = end.wrapping_sub(position).next_multiple_of(ALIGNMENT);
        if length > self.capacity {
            let available = self.capacity;
            return Err(RingError::Torn { length, available });
        }
        Ok(Record {
            header,
            trailer,
            body,
            next: position.wrapping_add(length),
        })
    }

    /// The longest body that any frame may have.
    fn longest(&self) -> usize {
        let [payload, talk] = self.zones;
        payload.max(talk).max(INLINE) as usize
    }
}

/// [`HEADER`], as positions are counted.
const HEADER_LENGTH: u32 = 20;

const _: () = assert!(HEADER_LENGTH as usize == HEADER);

/// The pieces, at the most two, in which `length` bytes from `position` on lie in a ring: offset and
/// length of each.
pub(crate) fn pieces(position: u32, length: u32, capacity: u32) -> [(u32, u32); 2] {
    let offset = position & (capacity - 1);
    let first = length.min(capacity - offset);
    [(offset, first), (0, length - first)]
}

/// The producer's private knowledge.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Producer {
    bounds: Bounds,
    tail: u32,
    /// How far the consumer was when last heard of.
    head: u32,
    /// The position after the record that used each zone last, as long as it may not have been consumed.
    zones: [Option<u32>; 2],
}

impl Producer {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self::at(0, bounds)
    }

    fn at(position: u32, bounds: Bounds) -> Self {
        debug_assert!(bounds.capacity.is_power_of_two());
        Self {
            bounds,
            tail: position,
            head: position,
            zones: [None; 2],
        }
    }

    pub(crate) fn tail(&self) -> u32 {
        self.tail
    }

    /// How far the consumer was when last heard of.
    pub(crate) fn head(&self) -> u32 {
        self.head
    }

    /// Takes notice of how far the consumer says it is.
    pub(crate) fn hear(&mut self, head: u32) -> Result<(), RingError> {
        let unconsumed = self.tail.wrapping_sub(self.head);
        if head.wrapping_sub(self.head) > unconsumed {
            return Err(RingError::Head {
                from: self.head,
                to: head,
                tail: self.tail,
            });
        }
        self.head = head;
        Ok(())
    }

    /// Lays out the next record.
    pub(crate) fn lay(&self, header: Header) -> Result<Record, RingError> {
        self.bounds.lay(header, self.tail)
    }

    /// Whether there is room for a record, and its zone is free.
    pub(crate) fn has_room(&self, record: &Record) -> bool {
        let used = record.next.wrapping_sub(self.head);
        let zone_is_free = match record.body {
            Place::Ring(_) => true,
            Place::Zone(zone) => self.is_free(zone),
        };
        used <= self.bounds.capacity && zone_is_free
    }

    /// Whether the consumer has passed the record that used a zone last.
    pub(crate) fn is_free(&self, zone: Zone) -> bool {
        let unconsumed = self.tail.wrapping_sub(self.head);
        self.zones[zone as usize].is_none_or(|used| unconsumed <= self.tail.wrapping_sub(used))
    }

    /// Takes a record for produced; says the new tail.
    pub(crate) fn advance(&mut self, record: &Record) -> u32 {
        self.tail = record.next;
        for used in &mut self.zones {
            // So far behind, it has been consumed. Forgotten before the positions come round again.
            if used.is_some_and(|used| self.tail.wrapping_sub(used) > self.bounds.capacity) {
                *used = None;
            }
        }
        if let Place::Zone(zone) = record.body {
            self.zones[zone as usize] = Some(self.tail);
        }
        self.tail
    }
}

/// The consumer's private knowledge.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Consumer {
    bounds: Bounds,
    head: u32,
}

impl Consumer {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self::at(0, bounds)
    }

    pub(crate) fn at(head: u32, bounds: Bounds) -> Self {
        Self { bounds, head }
    }

    pub(crate) fn head(&self) -> u32 {
        self.head
    }

    /// How many bytes there are to consume, if the producer says that it is at `tail`.
    pub(crate) fn available(&self, tail: u32) -> Result<u32, RingError> {
        let available = tail.wrapping_sub(self.head);
        if available > self.bounds.capacity {
            let head = self.head;
            return Err(RingError::Tail { head, tail });
        }
        Ok(available)
    }

    /// Judges a record by its header: the whole of what the consumer believes of it. Lengths are checked
    /// here, before anybody allocates for them.
    pub(crate) fn decode(&self, header: [u8; HEADER], tail: u32) -> Result<Record, RingError> {
        let available = self.available(tail)?;
        let torn = |length| RingError::Torn { length, available };
        if available < HEADER_LENGTH {
            return Err(torn(HEADER_LENGTH));
        }
        let header = Header::decode(header, self.bounds.longest())?;
        let record = self.bounds.lay(header, self.head)?;
        let length = record.next.wrapping_sub(self.head);
        if length > available {
            return Err(torn(length));
        }
        Ok(record)
    }

    /// Takes a record for consumed; says the new head.
    pub(crate) fn advance(&mut self, record: &Record) -> u32 {
        self.head = record.next;
        self.head
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SMALL: [u32; 5] = [1, 2, 4, 8, 16];

    fn bounds(capacity: u32) -> Bounds {
        Bounds {
            capacity,
            zones: [5000, 3000],
        }
    }

    fn header(kind: Kind, body: u32, trailer: u16) -> Header {
        Header {
            kind,
            job: 1,
            body,
            trailer,
        }
    }

    /// Positions around the beginning, and around the end of what 32 bits count.
    fn positions(capacity: u32) -> impl Iterator<Item = u32> {
        (0..=3 * capacity).map(move |step| step.wrapping_sub(2 * capacity))
    }

    #[test]
    fn the_pieces_of_every_range_are_its_bytes_in_order() {
        for capacity in SMALL {
            for position in positions(capacity) {
                for length in 0..=capacity {
                    let places: Vec<u32> = pieces(position, length, capacity)
                        .into_iter()
                        .flat_map(|(offset, length)| offset..offset + length)
                        .collect();
                    let expected: Vec<u32> = (0..length)
                        .map(|step| position.wrapping_add(step) % capacity)
                        .collect();
                    assert_eq!(places, expected, "{length} at {position} of {capacity}");
                }
            }
        }
    }

    #[test]
    fn a_consumer_believes_every_tail_within_the_capacity_and_no_other() {
        for capacity in SMALL {
            for head in positions(capacity) {
                let consumer = Consumer::at(head, bounds(capacity));
                for step in 0..=3 * capacity {
                    let tail = head.wrapping_add(step);
                    assert_eq!(
                        consumer.available(tail).ok(),
                        (step <= capacity).then_some(step)
                    );
                    let behind = head.wrapping_sub(step);
                    assert_eq!(consumer.available(behind).is_ok(), step == 0);
                }
            }
        }
    }

    #[test]
    fn a_producer_believes_every_head_between_the_last_one_and_its_tail_and_no_other() {
        for capacity in SMALL {
            for old in positions(capacity) {
                for unconsumed in 0..=capacity {
                    let producer = Producer {
                        tail: old.wrapping_add(unconsumed),
                        ..Producer::at(old, bounds(capacity))
                    };
                    for step in 0..=3 * capacity {
                        let hears = |head| {
                            let mut producer = producer;
                            producer.hear(head).is_ok()
                        };
                        assert_eq!(hears(old.wrapping_add(step)), step <= unconsumed);
                        assert_eq!(hears(old.wrapping_sub(step)), step == 0);
                    }
                }
            }
        }
    }

    #[test]
    fn small_bodies_lie_in_the_ring_and_large_ones_in_the_zone_of_their_kind() {
        let bounds = bounds(1 << 16);
        let place = |kind, body| bounds.lay(header(kind, body, 3), 64).unwrap().body;
        for kind in [Kind::Job, Kind::Reply, Kind::Post, Kind::Log] {
            assert_eq!(place(kind, INLINE), Place::Ring(64 + 20 + 3));
        }
        assert_eq!(place(Kind::Job, INLINE + 1), Place::Zone(Zone::Payload));
        assert_eq!(place(Kind::Reply, 5000), Place::Zone(Zone::Payload));
        assert_eq!(place(Kind::Post, 3000), Place::Zone(Zone::Talk));
    }

    #[test]
    fn a_body_past_its_zone_is_refused_and_so_is_a_record_past_the_ring() {
        let bounds = bounds(1 << 12);
        let oversized = |kind, length, limit| {
            Err(RingError::Oversized {
                kind,
                length,
                limit,
            })
        };
        let lay = |kind, body, trailer| bounds.lay(header(kind, body, trailer), 0);
        assert_eq!(lay(Kind::Job, 5001, 0), oversized(Kind::Job, 5001, 5000));
        assert_eq!(lay(Kind::Post, 3001, 0), oversized(Kind::Post, 3001, 3000));
        assert!(lay(Kind::Post, INLINE, 3052).is_ok());
        assert!(matches!(
            lay(Kind::Post, INLINE, 3053),
            Err(RingError::Torn { .. })
        ));
    }

    #[test]
    fn a_zone_is_free_again_when_its_record_was_consumed() {
        let mut producer = Producer::at(u32::MAX - 63, bounds(1 << 10));
        let large = producer.lay(header(Kind::Job, 4000, 0)).unwrap();
        assert!(producer.has_room(&large));
        let first = producer.advance(&large);
        let small = producer.lay(header(Kind::Mail, 0, 0)).unwrap();
        assert!(producer.has_room(&small));
        producer.advance(&small);
        let next = producer.lay(header(Kind::Job, 4000, 0)).unwrap();
        assert!(!producer.has_room(&next));
        producer.hear(first).unwrap();
        assert!(producer.has_room(&next));
    }

    #[test]
    fn a_zone_that_was_used_long_ago_is_free_though_the_positions_come_round() {
        let mut producer = Producer::new(bounds(1 << 10));
        let large = producer.lay(header(Kind::Job, 4000, 0)).unwrap();
        producer.advance(&large);
        // 2³² / 64 records bring the tail to where it was; each is consumed at once.
        for _ in 0..u32::MAX / 64 {
            producer.hear(producer.tail()).unwrap();
            let small = producer.lay(header(Kind::Mail, 0, 0)).unwrap();
            producer.advance(&small);
        }
        assert_eq!(producer.zones, [None; 2]);
    }

    proptest! {
        /// What a producer lays, a consumer finds, wherever both are.
        #[test]
        fn every_record_is_decoded_as_it_was_laid(
            position: u32, body in 0u32..6000, trailer in 0u16..3000, kind in 0usize..4,
        ) {
            let kind = [Kind::Job, Kind::Reply, Kind::Post, Kind::Mail][kind];
            let position = position / ALIGNMENT * ALIGNMENT;
            let mut producer = Producer::at(position, bounds(1 << 12));
            let mut consumer = Consumer::at(position, bounds(1 << 12));
            let header = header(kind, body, trailer);
            if let Ok(record) = producer.lay(header) {
                prop_assert!(producer.has_room(&record));
                let tail = producer.advance(&record);
                prop_assert_eq!(consumer.decode(header.encode(), tail), Ok(record));
                prop_assert_eq!(consumer.advance(&record), tail);
                prop_assert_eq!(producer.hear(tail), Ok(()));
            }
        }

        /// Whatever the other side says: no panic, and nothing outside the bounds.
        #[test]
        fn no_words_lead_outside_the_bounds(
            bytes: [u8; HEADER], well_formed: bool, body in 0u32..6000, head: u32, tail: u32, near: bool,
        ) {
            let bounds = bounds(1 << 12);
            let bytes = if well_formed { header(Kind::Post, body, 7).encode() } else { bytes };
            let tail = if near { head.wrapping_add(tail % (1 << 13)) } else { tail };
            if let Ok(record) = Consumer::at(head, bounds).decode(bytes, tail) {
                let end = match record.body {
                    Place::Ring(at) => at.wrapping_add(record.header.body).wrapping_sub(head),
                    Place::Zone(zone) => {
                        prop_assert!(record.header.body <= bounds.zones[zone as usize]);
                        record.trailer.wrapping_add(7).wrapping_sub(head)
                    }
                };
                prop_assert!(end <= record.next.wrapping_sub(head));
                prop_assert!(record.next.wrapping_sub(head) <= tail.wrapping_sub(head));
                prop_assert!(tail.wrapping_sub(head) <= bounds.capacity);
            }
        }

        /// The producer never goes where the consumer has not been.
        #[test]
        fn a_producer_with_room_never_overwrites(position: u32, bodies in proptest::collection::vec(0u32..3000, 1..40)) {
            let capacity = 1 << 12;
            let mut producer = Producer::at(position / 64 * 64, bounds(capacity));
            let mut unconsumed = std::collections::VecDeque::new();
            for body in bodies {
                let record = producer.lay(header(Kind::Post, body, 0)).unwrap();
                while !producer.has_room(&record) {
                    let next = unconsumed.pop_front().expect("an empty ring has room");
                    producer.hear(next).unwrap();
                }
                unconsumed.push_back(producer.advance(&record));
                prop_assert!(producer.tail().wrapping_sub(producer.head()) <= capacity);
            }
        }
    }
}

//! One end of a link: sends, receives and waits.

use std::cell::Cell;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, Instant};

use rustix::process::{Pid, getppid};

use super::{Layout, PAGE};
use crate::link::frame::{Frame, HEADER, Kind, Parts, Trailer};
use crate::link::ring::{Consumer, INLINE, Place, Producer, Record, Zone, pieces};
use crate::link::signal::{self, Word, Words};
use crate::link::{Link, LinkError};
use crate::payload::{Body, Content};
use crate::sys::futex::{Life, Woken};
use crate::sys::shm::{self, Arena, Mapping, OwnMapping, Window};
use crate::wait::Patience;

/// The longest that one end sleeps without a look at whether the other one lives. The host is woken by
/// the worker's death and the worker dies with the host; this is for the case that either fails.
const NAP: Duration = Duration::from_secs(1);

/// So many looks at a word, some tens of milliseconds, pass until a worker that spins asks whether its
/// host is still there.
const LOOKS: u32 = 1 << 20;

/// Both memories, as one side has them.
#[derive(Debug)]
pub(super) struct Sides {
    mine: Arc<OwnMapping>,
    theirs: Arc<Mapping>,
}

impl Sides {
    pub(super) fn new(mine: OwnMapping, theirs: Mapping) -> Self {
        Self {
            mine: Arc::new(mine),
            theirs: Arc::new(theirs),
        }
    }

    fn their(&self, word: Word) -> shm::Word<'_> {
        self.theirs.word(Layout::word(word))
    }
}

impl Words for Sides {
    fn set(&self, mine: Word, value: u32) {
        self.mine.own_word(Layout::word(mine)).store(value);
    }

    fn see(&self, theirs: Word) -> u32 {
        self.their(theirs).load()
    }

    fn fence(&self) {
        fence(Ordering::SeqCst);
    }

    fn wake(&self, mine: Word) {
        self.mine.own_word(Layout::word(mine)).wake();
    }
}

/// Who is at the other end, and how its end is noticed.
#[derive(Debug)]
pub(super) enum Watch {
    /// A worker, whose death somebody reports.
    Worker(Arc<Life>),
    /// The host: as long as it lives, or that process which stands for it, it is the parent.
    Host { parent: Option<Pid> },
}

impl Watch {
    /// Whether the other side is gone.
    fn is_over(&self) -> bool {
        match self {
            Self::Worker(life) => life.has_ended(),
            Self::Host { parent } => getppid() != *parent,
        }
    }

    /// The same, as far as it can be known without a system call for each look.
    fn is_over_at(&self, look: u32) -> bool {
        match self {
            Self::Worker(_) => self.is_over(),
            Self::Host { .. } => look.is_multiple_of(LOOKS) && self.is_over(),
        }
    }

    fn nap(&self, word: shm::Word<'_>, seen: u32, span: Duration) -> Woken {
        match self {
            Self::Worker(life) => word.wait_beside(life, seen, span),
            Self::Host { .. } => word.wait(seen, span),
        }
    }
}

/// After so many looks at a word whoever waits for a time looks at the clock, which costs as much.
const CLOCK_EVERY: u32 = 16;

/// When every wait ends, as long as it is set.
#[derive(Clone, Copy, Debug)]
struct Deadline {
    at: Instant,
    manner: Manner,
}

/// How one waits until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// Parked at once: nothing is expected soon.
    Parked,
    /// As always.
    Usual,
}

impl Deadline {
    fn within(patience: Duration, manner: Manner) -> Self {
        Self {
            at: Instant::now() + patience,
            manner,
        }
    }

    fn left(self) -> Duration {
        self.at.saturating_duration_since(Instant::now())
    }
}

/// Up to where the parts of this side's memory have pages, so that writing there cannot fail. It only grows:
/// the seals keep the other side from taking a page away.
#[derive(Debug, Default)]
struct Backed {
    ring: usize,
    zones: [usize; Zone::ALL.len()],
}

impl Backed {
    /// Has `length` bytes of a part backed, from its beginning at `base` on.
    fn up_to(
        reached: &mut usize,
        length: usize,
        base: usize,
        mapping: &OwnMapping,
    ) -> std::io::Result<()> {
        if length > *reached {
            let whole = length.next_multiple_of(PAGE);
            mapping.back(base + *reached, whole - *reached)?;
            *reached = whole;
        }
        Ok(())
    }
}

/// One end of the link.
#[derive(Debug)]
pub(crate) struct End {
    sides: Sides,
    own: Layout,
    their: Layout,
    producer: Producer,
    consumer: Consumer,
    backed: Backed,
    /// The zone in which a reply lies.
    arena: Arc<Arena>,
    patience: Patience,
    watch: Watch,
    deadline: Option<Deadline>,
}

impl End {
    pub(super) fn new(
        sides: Sides,
        own: Layout,
        their: Layout,
        patience: Patience,
        watch: Watch,
    ) -> Self {
        let room = own.0.zones[Zone::Payload as usize] as usize;
        let arena = Arena::new(Arc::clone(&sides.mine), own.zone(Zone::Payload), room);
        Self {
            sides,
            own,
            their,
            producer: Producer::new(own.0),
            consumer: Consumer::new(their.0),
            backed: Backed::default(),
            arena: Arc::new(arena),
            patience,
            watch,
            deadline: None,
        }
    }

    /// Waits until a word of the other side no longer says what was seen.
    fn await_change(&self, word: Word, seen: u32) -> Result<u32, LinkError> {
        let changed = || {
            let value = self.sides.see(word);
            (value != seen).then_some(Ok(value))
        };
        // What it said before its end still counts.
        let last_look = || changed().unwrap_or(Err(LinkError::Closed));
        let looks = Cell::new(0_u32);
        let glance = || {
            changed().or_else(|| {
                looks.set(looks.get().wrapping_add(1));
                let is_over = self.watch.is_over_at(looks.get());
                is_over.then(last_look)
            })
        };
        let late = || {
            let deadline = self.deadline?;
            let is_late = looks.get().is_multiple_of(CLOCK_EVERY) && deadline.left().is_zero();
            is_late.then_some(Err(LinkError::TimedOut))
        };
        let found = match self.deadline.map(|deadline| deadline.manner) {
            Some(Manner::Parked) => glance(),
            Some(Manner::Usual) => self.patience.look(|| glance().or_else(late)),
            None => self.patience.look(glance),
        };
        if let Some(found) = found {
            return found;
        }
        loop {
            let left = self.deadline.map(Deadline::left);
            if left.is_some_and(|left| left.is_zero()) {
                return Err(LinkError::TimedOut);
            }
            let span = left.map_or(NAP, |left| left.min(NAP));
            let nap = || self.watch.nap(self.sides.their(word), seen, span);
            let woken = signal::park(&self.sides, word, seen, nap);
            if let Some(found) = glance() {
                return found;
            }
            if woken == Some(Woken::TimedOut) && self.watch.is_over() {
                return last_look();
            }
        }
    }

    /// Waits until the other side has consumed something more.
    fn await_room(&mut self) -> Result<(), LinkError> {
        let head = self.await_change(Word::Head, self.producer.head())?;
        Ok(self.producer.hear(head)?)
    }

    /// Has all places of a record backed that were never written before.
    fn back(&mut self, record: &Record) -> Result<(), LinkError> {
        let capacity = self.own.0.capacity;
        // The first time around, positions are places; that it is over is seen before they come round again.
        let end = record.next;
        let mine = &self.sides.mine;
        if self.backed.ring < capacity as usize {
            let end = end.min(capacity) as usize;
            Backed::up_to(&mut self.backed.ring, end, Layout::RING, mine)?;
        }
        if let Place::Zone(zone) = record.body {
            let (reached, base) = (&mut self.backed.zones[zone as usize], self.own.zone(zone));
            Backed::up_to(reached, record.header.body as usize, base, mine)?;
        }
        Ok(())
    }

    fn write(&self, position: u32, bytes: &[u8]) {
        let mut rest = bytes;
        // Records were laid out before: their lengths fit the ring.
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        for (offset, length) in pieces(position, length, self.own.0.capacity) {
            let (piece, after) = rest.split_at(length as usize);
            let place = Layout::RING + offset as usize;
            self.sides.mine.copy_in(place, piece);
            rest = after;
        }
    }

    fn read(&self, position: u32, into: &mut [u8]) {
        let mut rest = into;
        let length = u32::try_from(rest.len()).unwrap_or(u32::MAX);
        for (offset, length) in pieces(position, length, self.their.0.capacity) {
            let (piece, after) = rest.split_at_mut(length as usize);
            let place = Layout::RING + offset as usize;
            self.sides.theirs.copy_out(place, piece);
            rest = after;
        }
    }

    fn read_vec(&self, position: u32, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.read(position, &mut bytes);
        bytes
    }

    fn write_body(&self, place: Place, body: Content<'_>) {
        match (place, body) {
            (Place::Ring(at), Content::Bytes(bytes)) => self.write(at, bytes),
            (Place::Ring(at), Content::Placed(arena, length)) => {
                let mut bytes = [0; INLINE as usize];
                arena.read(&mut bytes[..length]);
                self.write(at, &bytes[..length]);
            }
            (Place::Zone(zone), body) => {
                let place = self.own.zone(zone);
                match body {
                    Content::Placed(arena, _) if ptr::eq(arena, Arc::as_ptr(&self.arena)) => {}
                    body => self.sides.mine.copy_in(place, &body.bytes()),
                }
            }
        }
    }

    fn read_body(&self, record: &Record) -> Body {
        let length = record.header.body as usize;
        match (record.body, &self.watch) {
            (Place::Ring(at), _) => Body::Owned(self.read_vec(at, length)),
            // The host sends no other job, and so does not touch this, before it has the reply.
            (Place::Zone(zone), Watch::Host { .. }) if record.header.kind == Kind::Job => {
                let place = self.their.zone(zone);
                Body::Lent(Window::new(Arc::clone(&self.sides.theirs), place, length))
            }
            (Place::Zone(zone), _) => {
                Body::Owned(self.sides.theirs.to_vec(self.their.zone(zone), length))
            }
        }
    }
}

impl Link for End {
    fn send(&mut self, frame: Parts<'_>) -> Result<(), LinkError> {
        // A dead worker takes whatever is written, as memory does; it must not seem that it had it.
        if self.watch.is_over_at(1) {
            return Err(LinkError::Closed);
        }
        let too_long = || LinkError::Garbled("a frame is longer than 4 GiB".to_owned());
        let record = self.producer.lay(frame.header().ok_or_else(too_long)?)?;
        while !self.producer.has_room(&record) {
            self.await_room()?;
        }
        self.back(&record)?;
        self.write_body(record.body, frame.body);
        self.write(self.producer.tail(), &record.header.encode());
        self.write(record.trailer, frame.trailer);
        let tail = self.producer.advance(&record);
        signal::publish(&self.sides, Word::Tail, tail);
        Ok(())
    }

    fn receive(&mut self) -> Result<Frame, LinkError> {
        let tail = self.await_change(Word::Tail, self.consumer.head())?;
        let mut header = [0; HEADER];
        self.read(self.consumer.head(), &mut header);
        let record = self.consumer.decode(header, tail)?;
        let frame = Frame {
            kind: record.header.kind,
            job: record.header.job,
            body: self.read_body(&record),
            trailer: Trailer::filled(usize::from(record.header.trailer), |bytes| {
                self.read(record.trailer, bytes);
                Ok::<_, LinkError>(())
            })?,
        };
        let head = self.consumer.advance(&record);
        signal::publish(&self.sides, Word::Head, head);
        Ok(frame)
    }

    fn set_patience(&mut self, patience: Option<Duration>) -> Result<(), LinkError> {
        self.deadline = patience.map(|patience| Deadline::within(patience, Manner::Parked));
        Ok(())
    }

    fn set_limit(&mut self, limit: Option<Duration>) -> Result<(), LinkError> {
        self.deadline = limit.map(|limit| Deadline::within(limit, Manner::Usual));
        Ok(())
    }

    fn may_be_taken(&self) -> bool {
        self.sides.see(Word::Head) == self.producer.tail()
    }

    fn arena(&mut self) -> Result<Option<Arc<Arena>>, LinkError> {
        while !self.producer.is_free(Zone::Payload) {
            self.await_room()?;
        }
        Ok(Some(Arc::clone(&self.arena)))
    }
}

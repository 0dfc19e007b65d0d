//! The worker's end of a link through shared memory, without any of the care that the real one takes: what
//! an attacker knows of it. It is written from the layout, not from the crate's code, so that a mistake
//! there is not repeated here.

use std::io;
use std::os::fd::AsFd;
use std::process;
use std::slice;
use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::time::Duration;

use rustix::fs::fstat;
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap, mprotect};
use rustix::process::{Pid, getppid};
use rustix::thread::futex::{self, Flags, Timespec};

/// Bytes of a frame's header.
const HEADER: u32 = 20;

/// Records begin at multiples of this.
pub(crate) const ALIGNMENT: u32 = 64;

/// A body of up to so many bytes lies in the ring.
pub(crate) const INLINE: u32 = 1 << 10;

/// Bytes of the ring.
pub(crate) const RING: u32 = 64 << 10;

/// Where the ring begins.
const RING_AT: u32 = 4 << 10;

/// Bytes that a reply may have, under the limits that the hosts of this program set. Whole pages.
pub(crate) const OUTPUT: u32 = 1 << 20;

/// Where the zone for payloads begins.
const PAYLOAD: u32 = RING_AT + RING;

/// Where the zone for everything else begins, in the worker's own memory.
const TALK: u32 = PAYLOAD + OUTPUT;

/// What frames are called on the wire.
pub(crate) mod kind {
    pub(crate) const READY: u8 = 2;
    pub(crate) const FAILED: u8 = 3;
    pub(crate) const REPLY: u8 = 5;
    pub(crate) const POST: u8 = 6;
    pub(crate) const RECV: u8 = 7;
    pub(crate) const LOG: u8 = 9;
    pub(crate) const PANICKED: u8 = 10;
    pub(crate) const FETCH: u8 = 11;
    pub(crate) const FETCHED: u8 = 12;
}

/// A word that each side has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    Tail = 1,
    Head = 2,
    Waiting = 3,
}

impl Word {
    pub(crate) const ALL: [Word; 3] = [Self::Tail, Self::Head, Self::Waiting];
}

/// What precedes a frame's body, whether it makes sense or not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Header {
    pub(crate) kind: u8,
    pub(crate) job: u64,
    pub(crate) body: u32,
    pub(crate) trailer: u16,
}

impl Header {
    pub(crate) fn encode(self) -> Vec<u8> {
        let mut bytes = b"cfdm\x01".to_vec();
        bytes.push(self.kind);
        bytes.extend(self.trailer.to_le_bytes());
        bytes.extend(self.body.to_le_bytes());
        bytes.extend(self.job.to_le_bytes());
        bytes
    }

    /// Bytes of the whole record in the ring.
    pub(crate) fn record(self) -> u32 {
        let inline = if self.body <= INLINE { self.body } else { 0 };
        (HEADER + u32::from(self.trailer) + inline).next_multiple_of(ALIGNMENT)
    }
}

/// Shared memory, as words that anybody may change at any time.
#[derive(Clone, Copy)]
pub(crate) struct Memory(&'static [AtomicU32]);

impl Memory {
    /// Maps all of a memfd, until the process ends.
    #[expect(unsafe_code, reason = "the link's memory is mapped by hand")]
    pub(crate) fn map(memory: impl AsFd, access: ProtFlags) -> io::Result<Self> {
        let length = usize::try_from(fstat(&memory)?.st_size).map_err(io::Error::other)?;
        let nowhere = std::ptr::null_mut();
        // SAFETY: the kernel chooses a place where nothing is.
        let base = unsafe { mmap(nowhere, length, access, MapFlags::SHARED, memory, 0) }?;
        // SAFETY: so many bytes are mapped there, page by page, and nobody unmaps them. Everybody in this
        // process accesses them as atomic words; the host's memory is only ever loaded from.
        Ok(Self(unsafe {
            slice::from_raw_parts(base.cast::<AtomicU32>(), length / 4)
        }))
    }

    /// Asks that what was mapped to be read may be written.
    #[expect(unsafe_code, reason = "the link's memory is mapped by hand")]
    pub(crate) fn make_writable(&self) -> io::Result<()> {
        let (base, length) = (self.0.as_ptr().cast_mut().cast(), size_of_val(self.0));
        // SAFETY: the range is a mapping of this type's own; more access invalidates no reference to it.
        unsafe { mprotect(base, length, MprotectFlags::READ | MprotectFlags::WRITE) }?;
        Ok(())
    }

    fn at(&self, offset: u32) -> &'static AtomicU32 {
        &self.0[offset as usize / 4]
    }

    pub(crate) fn word(&self, word: Word) -> &'static AtomicU32 {
        self.at(word as u32 * 128)
    }

    /// The word of the ring at a position.
    pub(crate) fn ring(&self, position: u32) -> &'static AtomicU32 {
        self.at(RING_AT + position % RING)
    }

    /// A word of the ring or of a zone, for each number.
    pub(crate) fn anywhere(&self, number: u32) -> &'static AtomicU32 {
        let room = TALK + OUTPUT - RING_AT;
        self.at(RING_AT + number % room)
    }

    fn ring_byte(&self, position: u32) -> u8 {
        let bytes = self.ring(position).load(Ordering::Relaxed).to_le_bytes();
        bytes[position as usize % 4]
    }

    fn ring_bytes(&self, position: u32, length: u32) -> Vec<u8> {
        let places = (0..length).map(|step| position.wrapping_add(step));
        places.map(|place| self.ring_byte(place)).collect()
    }
}

fn words(bytes: &[u8]) -> impl Iterator<Item = (u32, u32)> {
    let word = |chunk: &[u8]| {
        let mut word = [0; 4];
        word[..chunk.len()].copy_from_slice(chunk);
        u32::from_le_bytes(word)
    };
    (0..).step_by(4).zip(bytes.chunks(4).map(word))
}

/// A job as it came.
pub(crate) struct Job {
    pub(crate) number: u64,
    pub(crate) input: Vec<u8>,
}

/// Both memories of the link, and where this side is in each.
pub(crate) struct Wire {
    pub(crate) mine: Memory,
    theirs: Memory,
    head: u32,
    tail: u32,
    host: Option<Pid>,
}

impl Wire {
    pub(crate) fn new(mine: Memory, theirs: Memory) -> Self {
        Self {
            mine,
            theirs,
            head: 0,
            tail: 0,
            host: getppid(),
        }
    }

    pub(crate) fn tail(&self) -> u32 {
        self.tail
    }

    pub(crate) fn head(&self) -> u32 {
        self.head
    }

    /// Waits for the next job, and leaves it in the ring.
    pub(crate) fn job(&mut self) -> Job {
        loop {
            self.await_frame();
            let field = |at, length| self.theirs.ring_bytes(self.head.wrapping_add(at), length);
            let kind = field(5, 1)[0];
            let number = |at| u32::from_le_bytes(field(at, 4).try_into().expect("four bytes"));
            let trailer = u16::from_le_bytes(field(6, 2).try_into().expect("two bytes"));
            let body = number(8);
            let job = u64::from(number(12)) | u64::from(number(16)) << 32;
            let input = if body <= INLINE {
                field(HEADER + u32::from(trailer), body)
            } else {
                self.payload(body)
            };
            let header = Header {
                kind,
                job,
                body,
                trailer,
            };
            self.head = self.head.wrapping_add(header.record());
            // Mail is of no interest.
            if kind == 4 {
                return Job { number: job, input };
            }
            self.consume();
        }
    }

    /// Waits for the next frame, whatever it is, and takes it: its kind, and how its trailer begins.
    pub(crate) fn answer(&mut self) -> (u8, u8) {
        self.await_frame();
        let field = |at, length| self.theirs.ring_bytes(self.head.wrapping_add(at), length);
        let header = field(0, HEADER);
        let answer = (header[5], field(HEADER, 1)[0]);
        let header = Header {
            kind: header[5],
            job: 0,
            body: u32::from_le_bytes(header[8..12].try_into().expect("four bytes")),
            trailer: u16::from_le_bytes(header[6..8].try_into().expect("two bytes")),
        };
        self.head = self.head.wrapping_add(header.record());
        self.consume();
        answer
    }

    /// Takes everything that is there, unseen.
    pub(crate) fn take_all(&mut self) {
        self.head = self.theirs.word(Word::Tail).load(Ordering::Acquire);
        self.consume();
    }

    fn payload(&self, length: u32) -> Vec<u8> {
        let words = (0..length.next_multiple_of(4)).step_by(4);
        let mut bytes: Vec<u8> = words
            .flat_map(|at| {
                let word = self.theirs.at(PAYLOAD + at).load(Ordering::Relaxed);
                word.to_le_bytes()
            })
            .collect();
        bytes.truncate(length as usize);
        bytes
    }

    fn await_frame(&self) {
        let tail = self.theirs.word(Word::Tail);
        while tail.load(Ordering::Acquire) == self.head {
            let waiting = self.mine.word(Word::Waiting);
            waiting.store(Word::Tail as u32, Ordering::SeqCst);
            fence(Ordering::SeqCst);
            let nap = Timespec {
                tv_sec: 1,
                tv_nsec: 0,
            };
            let _ = futex::wait(tail, Flags::empty(), self.head, Some(&nap));
            waiting.store(0, Ordering::SeqCst);
            if getppid() != self.host {
                process::exit(0);
            }
        }
    }

    /// Says that the job was taken.
    pub(crate) fn consume(&self) {
        self.say(Word::Head, self.head);
    }

    /// Writes a word and wakes whoever waits for it, asked or not.
    pub(crate) fn say(&self, word: Word, value: u32) {
        let place = self.mine.word(word);
        place.store(value, Ordering::SeqCst);
        let _ = futex::wake(place, Flags::empty(), 1);
    }

    /// Writes bytes where the next record is to lie, and tells nobody.
    pub(crate) fn write(&self, bytes: &[u8]) {
        for (at, word) in words(bytes) {
            let place = self.mine.ring(self.tail.wrapping_add(at));
            place.store(word, Ordering::Relaxed);
        }
    }

    /// Says that so many bytes more were produced.
    pub(crate) fn announce(&mut self, length: u32) {
        self.tail = self.tail.wrapping_add(length);
        self.say(Word::Tail, self.tail);
    }

    /// Sends a frame as it should be, when there is room.
    pub(crate) fn send(&mut self, kind: u8, job: u64, body: &[u8], trailer: &[u8]) {
        let record = self.lay(kind, job, body, trailer);
        self.announce(record);
    }

    /// The same, but for the announcement; says how long the record is.
    pub(crate) fn lay(&mut self, kind: u8, job: u64, body: &[u8], trailer: &[u8]) -> u32 {
        let header = Header {
            kind,
            job,
            body: u32::try_from(body.len()).expect("a small body"),
            trailer: u16::try_from(trailer.len()).expect("a small trailer"),
        };
        let is_large = header.body > INLINE;
        self.await_room(if is_large { RING } else { header.record() });
        let mut record = header.encode();
        record.extend(trailer);
        if is_large {
            let zone = if kind == kind::REPLY { PAYLOAD } else { TALK };
            for (at, word) in words(body) {
                self.mine.at(zone + at).store(word, Ordering::Relaxed);
            }
        } else {
            record.extend(body);
        }
        self.write(&record);
        header.record()
    }

    /// Waits until so many bytes of the ring are free; all of them are when a zone is.
    fn await_room(&self, needed: u32) {
        let head = || self.theirs.word(Word::Head).load(Ordering::Acquire);
        while RING - self.tail.wrapping_sub(head()).min(RING) < needed {
            std::thread::sleep(Duration::from_micros(50));
        }
    }

    /// Sends a reply as it should be.
    pub(crate) fn reply(&mut self, job: u64, output: &[u8]) {
        self.send(kind::REPLY, job, output, &ENDING);
    }
}

/// The trailer of a reply that says "done", and nothing of the time that it took.
pub(crate) const ENDING: [u8; 46] = [0; 46];

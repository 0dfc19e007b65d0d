//! The guest interface and the artifact cache against hostile input; see `fuzz.rs` at the top.
//!
//! **The guest interface.** One guest reads a script from its input and makes the calls that stand there,
//! with whatever pointers and lengths: in range, at each bound, one past it, past all numbers. The second
//! opinion plays the same script on plain vectors, in wider numbers, as `guest/INTERFACE.md` has it: outcome,
//! output, messages, log lines and what is left in the region have to agree to the last byte.
//!
//! **The cache.** Entries that were changed in any way are never accepted.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use cofferdam_guest::abi::Level;
use fastrand::Rng;

use super::cache;
use super::{
    Artifact, Cache, Demand, InstancePolicy, Metering, Origin, Program, Session, Settings, mix,
};
use crate::fuzz::{try_out, try_out_wished};
use crate::guest::Guest;
use crate::job::{Job, Limits, Outcome, TrapKind};
use crate::mail::printable;
use crate::options::Isolation;
use crate::region::{Region, RegionAccess};
use crate::units::ByteSize;

/// Guest scripts in a test run for every day.
const FEW_SCRIPTS: u64 = 10_000;

/// Cache entries in a test run for every day.
const FEW_ENTRIES: u64 = 100_000;

/// Bytes of the guest's memory, which cannot grow.
const MEMORY: usize = 64 << 10;

/// Bytes that a job may say.
const OUTPUT: usize = 4096;

/// Bytes of the region.
const REGION: usize = 4096;

/// Bytes of one call in a script: an operation, three numbers of 32 bits, two of 64.
const RECORD: usize = 32;

/// The calls, by their number in a script, with what the guest does with the arguments.
const OPERATIONS: [&str; 18] = [
    "(i64.extend_i32_s (call $input_len))",
    "(i64.extend_i32_s (call $input_read (local.get $a) (local.get $b) (local.get $c)))",
    "(call $output_write (local.get $a) (local.get $b)) (i64.const 0)",
    "(call $fail (local.get $a) (local.get $b)) (i64.const 0)",
    "(call $post (local.get $a) (local.get $b)) (i64.const 0)",
    "(i64.extend_i32_s (call $recv (local.get $a) (local.get $b) (local.get $c)))",
    "(call $log (local.get $c) (local.get $a) (local.get $b)) (i64.const 0)",
    "(call $random (local.get $a) (local.get $b)) (i64.const 0)",
    "(call $clock)",
    "(call $region_len)",
    "(call $region_read (local.get $a) (local.get $x) (local.get $b)) (i64.const 0)",
    "(call $region_write (local.get $a) (local.get $x) (local.get $b)) (i64.const 0)",
    "(call $region_load (local.get $x))",
    "(call $region_store (local.get $x) (local.get $y)) (i64.const 0)",
    "(call $region_add (local.get $x) (local.get $y))",
    "(call $region_compare_exchange (local.get $x) (local.get $y) (i64.extend_i32_u (local.get $a)))",
    "(return (local.get $a))",
    "(unreachable)",
];

/// The guest that does what its input says.
fn guest() -> Guest {
    let arms: String = OPERATIONS
        .iter()
        .enumerate()
        .map(|(number, does)| {
            format!(
                "(if (i32.eq (local.get $op) (i32.const {number})) (then (local.set $r (block (result i64) {does}))))"
            )
        })
        .collect();
    let text = format!(
        r#"(module
        (import "cofferdam" "input_len" (func $input_len (result i32)))
        (import "cofferdam" "input_read" (func $input_read (param i32 i32 i32) (result i32)))
        (import "cofferdam" "output_write" (func $output_write (param i32 i32)))
        (import "cofferdam" "fail" (func $fail (param i32 i32)))
        (import "cofferdam" "post" (func $post (param i32 i32)))
        (import "cofferdam" "recv" (func $recv (param i32 i32 i32) (result i32)))
        (import "cofferdam" "log" (func $log (param i32 i32 i32)))
        (import "cofferdam" "random" (func $random (param i32 i32)))
        (import "cofferdam" "clock" (func $clock (result i64)))
        (import "cofferdam" "region_len" (func $region_len (result i64)))
        (import "cofferdam" "region_read" (func $region_read (param i32 i64 i32)))
        (import "cofferdam" "region_write" (func $region_write (param i32 i64 i32)))
        (import "cofferdam" "region_load" (func $region_load (param i64) (result i64)))
        (import "cofferdam" "region_store" (func $region_store (param i64 i64)))
        (import "cofferdam" "region_add" (func $region_add (param i64 i64) (result i64)))
        (import "cofferdam" "region_compare_exchange"
            (func $region_compare_exchange (param i64 i64 i64) (result i64)))
        (memory (export "memory") 1 1)
        (func (export "cofferdam_abi_1"))
        (func (export "handle") (result i32)
            (local $i i32) (local $op i32) (local $a i32) (local $b i32) (local $c i32)
            (local $x i64) (local $y i64) (local $r i64)
            (loop $next
                (if (i32.lt_u
                        (call $input_read (i32.const 0) (i32.mul (local.get $i) (i32.const {RECORD})) (i32.const {RECORD}))
                        (i32.const {RECORD}))
                    (then (call $output_write (i32.const 0) (i32.const 128)) (return (i32.const 0))))
                (local.set $op (i32.load (i32.const 0)))
                (local.set $a (i32.load (i32.const 4)))
                (local.set $b (i32.load (i32.const 8)))
                (local.set $c (i32.load (i32.const 12)))
                (local.set $x (i64.load (i32.const 16)))
                (local.set $y (i64.load (i32.const 24)))
                {arms}
                (i64.store
                    (i32.add (i32.const 32) (i32.shl (i32.and (local.get $i) (i32.const 7)) (i32.const 3)))
                    (local.get $r))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br $next))
            unreachable))"#
    );
    Guest::from_bytes("a guest that does what it is told", text.as_bytes()).unwrap()
}

/// One call of a script.
#[derive(Clone, Copy, Debug)]
struct Call {
    op: u32,
    a: u32,
    b: u32,
    c: u32,
    x: u64,
    y: u64,
}

impl Call {
    fn draw(rng: &mut Rng, input: usize) -> Self {
        let op = match rng.usize(0..60) {
            // Endings, which keep the rest of a script from being looked at.
            0 => 16,
            1 => 17,
            // What is seen outside.
            2..12 => 2,
            _ => rng.usize(0..16),
        };
        let (a, b) = range(rng);
        let (b, c) = match op {
            1 => (near(rng, input), b),
            _ => (b, rng.u32(..) >> rng.u32(0..32)),
        };
        let words = rng.u64(0..REGION as u64 / 8);
        let x = match rng.u32(0..24) {
            0 => u64::from(near(rng, REGION)),
            1 => rng.u64(..),
            2 => u64::MAX - rng.u64(0..9),
            3 => REGION as u64 - u64::from(b.min(9)),
            _ if op == 10 || op == 11 => rng.u64(0..=REGION as u64 - 200),
            _ => words * 8,
        };
        Self {
            op: u32::try_from(op).unwrap(),
            a,
            b,
            c,
            x,
            // So that a comparison may come out equal: the region begins with zeros.
            y: if rng.bool() { 0 } else { rng.u64(..) },
        }
    }

    fn encode(&self, into: &mut Vec<u8>) {
        for number in [self.op, self.a, self.b, self.c] {
            into.extend(number.to_le_bytes());
        }
        for number in [self.x, self.y] {
            into.extend(number.to_le_bytes());
        }
    }
}

/// A number at a bound, or any.
fn near(rng: &mut Rng, bound: usize) -> u32 {
    let bound = u32::try_from(bound).unwrap();
    match rng.u32(0..8) {
        0 => bound,
        1 => bound + 1,
        2 => bound.saturating_sub(1),
        3 => u32::MAX - rng.u32(0..3),
        4 => rng.u32(..),
        _ => rng.u32(0..=bound),
    }
}

/// A pointer and a length: most of them good, the others at every bound.
fn range(rng: &mut Rng) -> (u32, u32) {
    let end = u32::try_from(MEMORY).unwrap();
    let small = rng.u32(0..=200);
    match rng.u32(0..200) {
        0 => (end - small + 1, small),
        1 => (end, 1),
        2 => (end + 1, 0),
        3 => (u32::MAX, small),
        4 => (small, u32::MAX),
        5 => (0u32.wrapping_sub(small), small),
        6 => (rng.u32(..), rng.u32(..)),
        7 => (1 << 31, 1 << 31),
        8 => (near(rng, MEMORY), near(rng, MEMORY)),
        9 => (0, end),
        10..20 => (end, 0),
        20..50 => (end - small, small),
        50..60 => (rng.u32(0..1000), rng.u32(0..5000)),
        // Where scripts and results lie.
        60..120 => (rng.u32(0..100), small),
        _ => (rng.u32(0..=end - 200), small),
    }
}

/// How a job has to end.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Expected {
    Output,
    Refused(i32, String),
    Trapped(String),
    OutputLimit,
    Violation,
}

/// What a guest may do with the region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    None,
    Read,
    Write,
}

/// The second opinion: a job on plain vectors.
struct Model {
    memory: Vec<u8>,
    region: Vec<u8>,
    access: Access,
    input: Vec<u8>,
    inbox: VecDeque<Vec<u8>>,
    rng: Rng,
    clock: i64,
    output: Vec<u8>,
    said: usize,
    posts: Vec<Vec<u8>>,
    logs: Vec<(Level, String)>,
    logged: usize,
    dropped: u64,
    reason: String,
}

impl Model {
    /// Plays the job to its end.
    fn play(&mut self) -> Expected {
        let mut at = 0;
        loop {
            let count = self.input.len().saturating_sub(at).min(RECORD);
            self.memory[..count].copy_from_slice(&self.input[self.input.len().min(at)..][..count]);
            if count < RECORD {
                let written = self.output_write(0, 128);
                return written.err().unwrap_or(Expected::Output);
            }
            match self.call() {
                Ok(result) => {
                    let place = 32 + (at / RECORD % 8) * 8;
                    self.memory[place..place + 8].copy_from_slice(&result.to_le_bytes());
                }
                Err(end) => return end,
            }
            at += RECORD;
        }
    }

    fn call(&mut self) -> Result<i64, Expected> {
        let word = |at: usize| u32::from_le_bytes(self.memory[at..at + 4].try_into().unwrap());
        let long = |at: usize| u64::from_le_bytes(self.memory[at..at + 8].try_into().unwrap());
        let (op, a, b, c, x, y) = (word(0), word(4), word(8), word(12), long(16), long(24));
        match op {
            0 => Ok(i64::try_from(self.input.len()).unwrap()),
            1 => {
                let into = self.range(a, c)?;
                let rest = self.input.get(b as usize..).unwrap_or_default();
                let count = rest.len().min(into.len());
                self.memory[into.start..into.start + count].copy_from_slice(&rest[..count]);
                Ok(i64::try_from(count).unwrap())
            }
            2 => self.output_write(a, b),
            3 => {
                let said = self.range(a, b)?;
                let said = &self.memory[said];
                self.reason = String::from_utf8_lossy(&said[..said.len().min(4096)]).into_owned();
                Ok(0)
            }
            4 => {
                let message = self.range(a, b)?;
                self.say(message.len())?;
                self.posts.push(self.memory[message].to_vec());
                Ok(0)
            }
            5 => {
                let into = self.range(a, b)?;
                let Some(message) = self.inbox.front() else {
                    return Ok(-2);
                };
                let length = message.len();
                if length <= into.len() {
                    self.memory[into.start..into.start + length].copy_from_slice(message);
                    self.inbox.pop_front();
                }
                Ok(i64::try_from(length).unwrap())
            }
            6 => {
                let line = self.range(a, b)?;
                let line = &self.memory[line];
                let line = &line[..line.len().min(4096)];
                let cost = line.len().max(1);
                if self.logged + cost > 65_536 {
                    self.dropped += 1;
                } else {
                    self.logged += cost;
                    let level = match c {
                        0 => Level::Error,
                        1 => Level::Warn,
                        2 => Level::Info,
                        3 => Level::Debug,
                        _ => Level::Trace,
                    };
                    self.logs
                        .push((level, printable(&String::from_utf8_lossy(line))));
                }
                Ok(0)
            }
            7 => {
                let into = self.range(a, b)?;
                self.rng.fill(&mut self.memory[into]);
                Ok(0)
            }
            8 => {
                self.clock += 1000;
                Ok(self.clock)
            }
            9 if self.access == Access::None => Ok(-1),
            9 => Ok(i64::try_from(REGION).unwrap()),
            10 => {
                let into = self.range(a, b)?;
                let from = self.in_region(x, b, Access::Read)?;
                self.memory[into].copy_from_slice(&self.region[from]);
                Ok(0)
            }
            11 => {
                let from = self.range(a, b)?;
                let into = self.in_region(x, b, Access::Write)?;
                self.region[into].copy_from_slice(&self.memory[from]);
                Ok(0)
            }
            12 => self.word(x, Access::Read, |value| value),
            13 => {
                self.word(x, Access::Write, |_| y)?;
                Ok(0)
            }
            14 => self.word(x, Access::Write, |value| value.wrapping_add(y)),
            15 => {
                let new = u64::from(a);
                self.word(
                    x,
                    Access::Write,
                    |value| if value == y { new } else { value },
                )
            }
            16 if a == 0 => Err(Expected::Output),
            16 => Err(Expected::Refused(a.cast_signed(), self.reason.clone())),
            17 => Err(Expected::Trapped(self.reason.clone())),
            _ => unreachable!("the generator knows no other"),
        }
    }

    fn output_write(&mut self, at: u32, len: u32) -> Result<i64, Expected> {
        let said = self.range(at, len)?;
        self.say(said.len())?;
        self.output.extend_from_slice(&self.memory[said]);
        Ok(0)
    }

    fn say(&mut self, bytes: usize) -> Result<(), Expected> {
        if self.said + bytes > OUTPUT {
            return Err(Expected::OutputLimit);
        }
        self.said += bytes;
        Ok(())
    }

    fn range(&self, at: u32, len: u32) -> Result<std::ops::Range<usize>, Expected> {
        let end = u64::from(at) + u64::from(len);
        if end > self.memory.len() as u64 {
            return Err(Expected::Violation);
        }
        Ok(at as usize..usize::try_from(end).unwrap())
    }

    fn in_region(
        &self,
        at: u64,
        len: u32,
        wanted: Access,
    ) -> Result<std::ops::Range<usize>, Expected> {
        let may = match wanted {
            Access::Write => self.access == Access::Write,
            Access::Read | Access::None => self.access != Access::None,
        };
        let end = u128::from(at) + u128::from(len);
        if !may || end > REGION as u128 {
            return Err(Expected::Violation);
        }
        Ok(usize::try_from(at).unwrap()..usize::try_from(end).unwrap())
    }

    /// Changes a word of the region, and tells what it was.
    fn word(
        &mut self,
        at: u64,
        wanted: Access,
        change: impl FnOnce(u64) -> u64,
    ) -> Result<i64, Expected> {
        let place = self.in_region(at, 8, wanted)?;
        if !at.is_multiple_of(8) {
            return Err(Expected::Violation);
        }
        let bytes = &mut self.region[place];
        let before = u64::from_le_bytes((&*bytes).try_into().unwrap());
        bytes.copy_from_slice(&change(before).to_le_bytes());
        Ok(before.cast_signed())
    }
}

/// A session of the guest, and what its region holds.
struct Stage {
    session: Session,
    access: Access,
    region: Option<Region>,
    /// What the region should hold.
    should_hold: Vec<u8>,
}

impl Stage {
    fn new(access: Access) -> Self {
        let guest = guest();
        let limits = Limits {
            output: ByteSize::from_bytes(OUTPUT as u64),
            ..Limits::default()
        };
        let demand = Demand::of(&guest, Isolation::Process, 1);
        let settings = Settings::new(&limits, Metering::Unmetered, demand);
        let artifact = Artifact::prepare(&guest, settings, &Cache::off(), Origin::Own).unwrap();
        let make = |access| Region::new(ByteSize::from_bytes(REGION as u64), access).unwrap();
        let region = match access {
            Access::None => None,
            Access::Read => Some(make(RegionAccess::ReadOnly)),
            Access::Write => Some(make(RegionAccess::ReadWrite)),
        };
        let program = Program::load(&artifact, limits, crate::runtime::World::default()).unwrap();
        let program = program.with_region(region.as_ref().map(Region::shared));
        Self {
            session: Session::new(Arc::new(program), InstancePolicy::Fresh),
            access,
            region,
            should_hold: vec![0; REGION],
        }
    }

    fn play(&mut self, rng: &mut Rng) -> bool {
        let tail = rng.usize(0..RECORD);
        let calls = rng.usize(0..12);
        let length = calls * RECORD + tail;
        let calls: Vec<_> = (0..calls).map(|_| Call::draw(rng, length)).collect();
        let mut input = Vec::with_capacity(length);
        calls.iter().for_each(|call| call.encode(&mut input));
        input.extend((0..tail).map(|_| rng.u8(..)));
        let inbox: VecDeque<Vec<u8>> = (0..rng.usize(0..4))
            .map(|_| (0..rng.usize(0..60)).map(|_| rng.u8(..)).collect())
            .collect();
        let (seed, number) = (rng.u64(..), rng.u64(..));

        let heard: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let lines: Arc<Mutex<Vec<(Level, String)>>> = Arc::default();
        let (ears, eyes) = (Arc::clone(&heard), Arc::clone(&lines));
        let (job, outbox) = Job::new(input.clone())
            .on_post(move |_, message| ears.lock().unwrap().push(message.to_vec()))
            .on_log(move |_, level, line| eyes.lock().unwrap().push((level, line.to_owned())))
            .numbered(number, Some(seed))
            .with_inbox();
        for message in &inbox {
            outbox.post(message.clone()).unwrap();
        }
        drop(outbox);
        self.session.prepare().unwrap();
        let reply = self.session.run(&job.signed(&"fuzz".into())).unwrap();

        let mut model = Model {
            memory: vec![0; MEMORY],
            region: std::mem::take(&mut self.should_hold),
            access: self.access,
            input,
            inbox,
            rng: Rng::with_seed(mix(seed ^ mix(number))),
            clock: 0,
            output: Vec::new(),
            said: 0,
            posts: Vec::new(),
            logs: Vec::new(),
            logged: 0,
            dropped: 0,
            reason: String::new(),
        };
        let expected = model.play();
        let is = match reply.outcome {
            Outcome::Output => Expected::Output,
            Outcome::Refused { code, reason } => Expected::Refused(code, reason),
            Outcome::Trapped {
                kind: TrapKind::Unreachable,
                reason,
            } => Expected::Trapped(reason),
            Outcome::OutputLimit => Expected::OutputLimit,
            Outcome::InterfaceViolation(_) => Expected::Violation,
            other => panic!("{other:?} of {calls:?}"),
        };
        assert_eq!(is, expected, "{calls:?}");
        assert!(reply.output == model.output, "another output of {calls:?}");
        assert!(
            *heard.lock().unwrap() == model.posts,
            "other messages of {calls:?}"
        );
        assert!(
            *lines.lock().unwrap() == model.logs,
            "other lines of {calls:?}"
        );
        assert_eq!(reply.dropped_logs, model.dropped, "{calls:?}");
        if let Some(region) = &self.region {
            let mut holds = vec![0; REGION];
            region.read(0, &mut holds).unwrap();
            assert!(holds == model.region, "another region after {calls:?}");
        }
        self.should_hold = model.region;
        matches!(is, Expected::Output | Expected::Refused(..))
    }
}

/// Scripts in turns on guests without a region, with one to read, and with one to write.
fn scripts() -> impl FnMut(&mut Rng) -> bool {
    let mut stages = [Access::None, Access::Read, Access::Write].map(Stage::new);
    move |rng| {
        let stage = rng.choice(0..3).unwrap();
        stages[stage].play(rng)
    }
}

/// An entry of the cache, half of the time changed.
fn cache_entry(rng: &mut Rng) -> bool {
    let code: Vec<u8> = (0..rng.usize(0..200)).map(|_| rng.u8(..)).collect();
    let mut entry = [&cache::header(&code)[..], &code].concat();
    let mut changes = rng.u32(0..3);
    while changes > 0 {
        changes -= 1;
        let at = rng.usize(0..=entry.len());
        match rng.u32(0..8) {
            0 => entry.truncate(at),
            1 => entry.insert(at, rng.u8(..)),
            2 => entry.extend((0..rng.usize(1..64)).map(|_| rng.u8(..))),
            3 if at < entry.len() => drop(entry.remove(at)),
            4 if at < 40.min(entry.len()) => entry[at] = rng.u8(..),
            5 => entry.rotate_left(at),
            // The header of another entry.
            6 if entry.len() >= 40 => {
                let other: Vec<u8> = (0..rng.usize(0..200)).map(|_| rng.u8(..)).collect();
                entry[..40].copy_from_slice(&cache::header(&other));
            }
            _ if at < entry.len() => entry[at] ^= 1 << rng.u32(0..8),
            _ => entry.clear(),
        }
    }
    // Several changes may take each other back, or make another entry: the header of no code, and no code.
    let is_entry = |code: &[u8]| entry == [&cache::header(code)[..], code].concat();
    match cache::decode(&entry) {
        Ok(found) => {
            assert!(is_entry(found), "accepted: {entry:02x?}");
            true
        }
        Err(why) => {
            let rest = entry.get(cache::header(&[]).len()..);
            assert!(!rest.is_some_and(is_entry), "refused, {why}: {entry:02x?}");
            false
        }
    }
}

#[test]
fn a_few_scripts_of_calls_end_as_by_a_second_opinion() {
    try_out(FEW_SCRIPTS, 2, scripts());
}

#[test]
fn a_few_entries_of_the_cache_are_accepted_only_unchanged() {
    try_out(FEW_ENTRIES, 2, cache_entry);
}

#[test]
#[ignore = "takes hours, and a release build"]
fn all_scripts_of_calls_end_as_by_a_second_opinion() {
    try_out_wished("scripts of calls", scripts());
}

#[test]
#[ignore = "takes minutes, and a release build"]
fn all_entries_of_the_cache_are_accepted_only_unchanged() {
    try_out_wished("entries of the cache", cache_entry);
}

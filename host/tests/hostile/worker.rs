//! A worker program that goes through the handshake as any other, and then attacks its host.

use std::fs::File;
use std::io::{self, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{self, ExitCode};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use fastrand::Rng;
use rustix::fs::{FallocateFlags, SealFlags, fallocate, fcntl_add_seals, fstat, ftruncate};
use rustix::mm::ProtFlags;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{Signal, getpid, kill_process, set_parent_process_death_signal};
use rustix::thread::futex::{self, Flags};

use crate::attack::{Attack, TIGHT};
use crate::wire::{ALIGNMENT, ENDING, Header, INLINE, Job, Memory, OUTPUT, RING, Wire, Word, kind};

/// Bytes of the trailer with which a worker says that it is ready: when it came to be, and what holds of its
/// hardening. All zeros: at the beginning of time, and nothing.
const READY: u16 = 16 + 7 * 6;

/// The name under which this program is started to attack before it is ready, too.
pub(crate) const UNREADY: &str = "unready";

/// The name under which this program serves as a fork server whose workers never say anything.
pub(crate) const MUTE: &str = "mute";

/// The name under which this program asks its host to fetch what its job's input says, and replies with how the answer
/// begins.
pub(crate) const FETCHING: &str = "fetching";

/// After an attack that nobody need notice, so long passes until the process ends.
const LINGER: Duration = Duration::from_millis(20);

/// Serves until the host has had enough of it.
pub(crate) fn serve() -> io::Result<ExitCode> {
    // No part of any attack: nobody is to be left behind when a test is broken off.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let mut stdin = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let program = std::env::args().next().unwrap_or_default();
    if program.ends_with(MUTE) {
        return fork_mutes(stdin);
    }
    let [_artifact, theirs, mine] = receive(&stdin)?
        .try_into()
        .map_err(|_| io::Error::other("this is no link through shared memory"))?;
    skip_setup(&mut stdin)?;
    let mut wire = Wire::new(
        Memory::map(&mine, ProtFlags::READ | ProtFlags::WRITE)?,
        Memory::map(&theirs, ProtFlags::READ)?,
    );
    if program.ends_with(UNREADY) {
        let mut rng = Rng::with_seed(u64::from(process::id()));
        break_in(&mut wire, &mut rng);
    }
    wire.send(kind::READY, 0, &[], &[0; READY as usize]);
    if program.ends_with(FETCHING) {
        loop {
            let job = wire.job();
            wire.consume();
            let url = String::from_utf8_lossy(&job.input);
            wire.send(kind::FETCH, job.number, &[], &request(&url));
            let (_, tag) = wire.answer();
            wire.reply(job.number, &[tag]);
        }
    }
    let memories = Memories { mine, theirs };
    loop {
        let job = wire.job();
        let Some((attack, seed)) = Attack::in_input(&job.input) else {
            return Ok(ExitCode::FAILURE);
        };
        attack.commit(&mut wire, &memories, &job, &mut Rng::with_seed(seed));
    }
}

/// Takes what the host says first, and minds none of it.
fn skip_setup(stdin: &mut UnixStream) -> io::Result<()> {
    let mut setup = [0; 20];
    stdin.read_exact(&mut setup)?;
    let length = u32::from_le_bytes([setup[8], setup[9], setup[10], setup[11]]);
    stdin.read_exact(&mut vec![0; length as usize])
}

/// Forks whenever the host asks, as a fork server does; but what is forked only waits.
fn fork_mutes(mut stdin: UnixStream) -> io::Result<ExitCode> {
    receive(&stdin)?;
    skip_setup(&mut stdin)?;
    let ready = Header {
        kind: kind::READY,
        job: 0,
        body: 0,
        trailer: READY,
    };
    let mut frame = ready.encode();
    frame.extend([0; READY as usize]);
    stdin.write_all(&frame)?;
    loop {
        let ends = receive(&stdin)?;
        if ends.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        let pid = sibling()?;
        if pid == 0 {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            hang();
        }
        // The process id, and no error.
        stdin.write_all(&u64::from(pid).to_le_bytes())?;
    }
}

/// Forks this process into a child of its parent; 0 in the child.
#[expect(unsafe_code, reason = "no library wraps a fork with CLONE_PARENT")]
fn sibling() -> io::Result<u32> {
    let flags = libc::CLONE_PARENT | libc::SIGCHLD;
    // SAFETY: without CLONE_VM this is a fork, and the child goes on on a copy of this stack; this process has
    // one thread, and the child does nothing but wait.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, 0_usize, 0_usize, 0_usize, 0_usize) };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    u32::try_from(pid).map_err(io::Error::other)
}

/// The descriptors that come first.
fn receive(socket: &UnixStream) -> io::Result<Vec<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(6))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut token = [0];
    let mut bytes = [IoSliceMut::new(&mut token)];
    recvmsg(socket, &mut bytes, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut all = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            all.extend(descriptors);
        }
    }
    Ok(all)
}

/// What lies behind the mappings.
struct Memories {
    mine: OwnedFd,
    theirs: OwnedFd,
}

/// Does something over and over beside whatever follows, until the next such thing begins: an attack is
/// to take a CPU, not all of them.
fn meanwhile(mut step: impl FnMut() + Send + 'static) {
    static LATEST: AtomicU64 = AtomicU64::new(0);
    let this = LATEST.fetch_add(1, Ordering::SeqCst) + 1;
    thread::spawn(move || {
        while LATEST.load(Ordering::Relaxed) == this {
            step();
        }
    });
}

fn hang() -> ! {
    loop {
        thread::sleep(Duration::from_secs(1));
    }
}

/// Gives the host time to see what was done, and goes.
fn leave() -> ! {
    thread::sleep(LINGER);
    process::exit(9)
}

/// One of these, or any number.
fn near(rng: &mut Rng, edges: &[u32]) -> u32 {
    match rng.u32(0..4) {
        0 => rng.u32(..),
        1 => rng
            .choice(edges)
            .map_or(0, |edge| edge.wrapping_add(rng.u32(0..3)).wrapping_sub(1)),
        _ => rng.choice(edges).copied().unwrap_or_default(),
    }
}

fn bytes(rng: &mut Rng, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    rng.fill(&mut bytes);
    bytes
}

/// Fewer bytes than so many.
fn up_to(rng: &mut Rng, most: usize) -> Vec<u8> {
    let length = rng.usize(0..most);
    bytes(rng, length)
}

/// What may come instead of the word that a worker is ready.
fn break_in(wire: &mut Wire, rng: &mut Rng) -> ! {
    match rng.u32(0..7) {
        0 => process::exit(rng.i32(0..3)),
        1 => wire.send(kind::FAILED, 0, &bytes(rng, 1000), &[]),
        2 => wire.send(kind::READY, 0, &[], &bytes(rng, 15)),
        3 => wire.send(kind::REPLY, 0, &[], &ENDING),
        4 => {
            let garbage = bytes(rng, 4096);
            wire.write(&garbage);
            wire.announce(rng.u32(..));
        }
        5 => {
            let _ = kill_process(getpid(), Signal::KILL);
        }
        _ => {
            wire.send(kind::READY, 0, &[], &[0xff; 16]);
            wire.send(kind::READY, 0, &[], &[0xff; 16]);
        }
    }
    leave()
}

impl Attack {
    fn commit(self, wire: &mut Wire, memories: &Memories, job: &Job, rng: &mut Rng) {
        // It took the job, in all but the cases that are about that.
        if !matches!(self, Self::Heads | Self::Exit | Self::Glutton) {
            wire.consume();
        }
        match self {
            Self::Honest => wire.reply(job.number, &job.input),
            Self::Noise => make_noise(wire, job, rng),
            Self::Words => lie_in_words(wire, rng),
            Self::Heads => lie_about_heads(wire, job, rng),
            Self::Headers => send_headers(wire, rng),
            Self::Lengths => lie_about_lengths(wire, job, rng),
            Self::Zones => fill_zones(wire, job, rng),
            Self::Endings => end_oddly(wire, job, rng),
            Self::Talk => talk(wire, job, rng),
            Self::Impostor => {
                let other = job.number ^ (1 << rng.u32(0..64));
                wire.reply(other, &job.input);
                hang();
            }
            Self::Doubled => {
                wire.reply(job.number, &job.input);
                wire.reply(job.number, &job.input);
            }
            Self::Prophet => {
                for ahead in 0..=3 {
                    wire.reply(job.number + ahead, b"prophecy");
                }
            }
            Self::Late => {
                let about = TIGHT.as_micros().try_into().unwrap_or(u64::MAX);
                thread::sleep(Duration::from_micros(about - 2000 + rng.u64(0..4000)));
                wire.reply(job.number, &job.input);
            }
            Self::Prefix => {
                for _ in 0..rng.u32(0..20) {
                    let body = up_to(rng, 3000);
                    wire.send(kind::POST, job.number, &body, &[]);
                }
                send_headers(wire, rng);
            }
            Self::Wakes => wake_for_ever(wire, rng),
            Self::Seals => {
                let granted = try_the_seals(memories).join(", ");
                wire.reply(job.number, granted.as_bytes());
            }
            Self::Holes => punch_holes(wire, memories, job, rng),
            Self::Afterwards => write_afterwards(wire, job, rng),
            Self::Flips => flip(wire, job, rng),
            Self::Hang => hang(),
            Self::Stop => {
                let _ = kill_process(getpid(), Signal::STOP);
                hang();
            }
            Self::Exit => exit_in_the_middle(wire, job, rng),
            Self::Flood => flood(wire, job, rng),
            Self::Beggar => beg(wire, job, rng),
            Self::Grabber => grab(wire, job, rng),
            Self::Glutton => loop {
                wire.send(kind::RECV, job.number, &[], &(-1_i64).to_le_bytes());
            },
        }
    }
}

fn make_noise(wire: &mut Wire, job: &Job, rng: &mut Rng) {
    for _ in 0..16 {
        let noise = bytes(rng, 64 << 10);
        let _ = io::stdout().write_all(&noise);
        let _ = io::stderr().write_all(&noise);
    }
    wire.reply(job.number, &job.input);
}

fn lie_in_words(wire: &mut Wire, rng: &mut Rng) -> ! {
    let edges = [
        0,
        wire.tail(),
        wire.tail().wrapping_add(ALIGNMENT),
        wire.tail().wrapping_add(RING),
        wire.tail().wrapping_sub(ALIGNMENT),
        wire.head(),
        u32::MAX,
        1 << 31,
    ];
    for _ in 0..rng.u32(1..2000) {
        let word = rng.choice(Word::ALL).unwrap_or(Word::Tail);
        wire.say(word, near(rng, &edges));
    }
    leave()
}

fn lie_about_heads(wire: &mut Wire, job: &Job, rng: &mut Rng) {
    wire.reply(job.number, &job.input);
    let (head, place) = (wire.head(), wire.mine.word(Word::Head));
    let edges = [
        head,
        head.wrapping_add(RING),
        head.wrapping_sub(ALIGNMENT),
        0,
    ];
    let mut theirs = rng.fork();
    meanwhile(move || {
        place.store(near(&mut theirs, &edges), Ordering::SeqCst);
        let _ = futex::wake(place, Flags::empty(), 1);
        thread::sleep(Duration::from_micros(20));
    });
}

fn send_headers(wire: &mut Wire, rng: &mut Rng) -> ! {
    // A good header with a wrong job is no good one either.
    let mut header = Header {
        kind: kind::REPLY,
        job: rng.u64(..) | 1 << 63,
        body: 0,
        trailer: 46,
    }
    .encode();
    let from = rng.choice([0, 4, 5, 6, 8, 12]).unwrap_or_default();
    rng.fill(&mut header[from..12]);
    wire.write(&header);
    wire.announce(rng.u32(1..=RING / ALIGNMENT) * ALIGNMENT);
    hang()
}

fn lie_about_lengths(wire: &mut Wire, job: &Job, rng: &mut Rng) -> ! {
    let edges = [0, INLINE, OUTPUT, RING, u32::MAX, 1 << 31];
    let header = Header {
        kind: rng
            .choice([kind::REPLY, kind::POST, kind::LOG, kind::RECV])
            .unwrap_or(kind::REPLY),
        job: job.number,
        body: near(rng, &edges),
        trailer: rng
            .choice([0, 4, 8, 46, 1000, u16::MAX])
            .unwrap_or_default(),
    };
    let exact = if header.body <= INLINE {
        header.record()
    } else {
        ALIGNMENT
    };
    let garbage = bytes(rng, RING as usize);
    wire.write(&garbage);
    wire.write(&header.encode());
    let tails = [
        exact,
        exact.wrapping_sub(ALIGNMENT),
        exact + ALIGNMENT,
        0,
        RING,
        RING + ALIGNMENT,
    ];
    wire.announce(near(rng, &tails));
    leave()
}

fn fill_zones(wire: &mut Wire, job: &Job, rng: &mut Rng) {
    let past = u32::from(rng.u32(0..4) == 0);
    let zone_kind = rng.choice([kind::REPLY, kind::POST]).unwrap_or(kind::REPLY);
    if past == 1 {
        let header = Header {
            kind: zone_kind,
            job: job.number,
            body: OUTPUT + rng.u32(1..5000),
            trailer: 46,
        };
        wire.write(&header.encode());
        wire.announce(2 * ALIGNMENT);
        hang();
    }
    let any = rng.u32(INLINE..OUTPUT);
    let length = rng.choice([OUTPUT, OUTPUT - 1, INLINE + 1, any]);
    let body = bytes(rng, length.unwrap_or(OUTPUT) as usize);
    if zone_kind == kind::POST {
        wire.send(kind::POST, job.number, &body, &[]);
    }
    wire.reply(job.number, &body);
}

fn end_oddly(wire: &mut Wire, job: &Job, rng: &mut Rng) {
    let mut trailer = up_to(rng, 200);
    if let Some(outcome) = trailer.first_mut() {
        *outcome %= 12;
    }
    if let Some(trap) = trailer.get_mut(1) {
        *trap %= 12;
    }
    let body = up_to(rng, 3000);
    wire.send(kind::REPLY, job.number, &body, &trailer);
}

fn talk(wire: &mut Wire, job: &Job, rng: &mut Rng) -> ! {
    let kinds = [
        kind::POST,
        kind::LOG,
        kind::RECV,
        kind::POST,
        kind::LOG,
        kind::READY,
        kind::PANICKED,
        kind::FETCH,
        kind::FETCHED,
        4,
        8,
        1,
    ];
    for _ in 0..rng.u32(1..30) {
        let kind = rng.choice(kinds).unwrap_or(kind::POST);
        let trailer = match kind {
            kind::LOG => bytes(rng, 4),
            // Not longer than this test can wait, and for ever where nothing can come.
            kind::RECV => rng.i64(-2..3).to_le_bytes().to_vec(),
            _ => up_to(rng, 40),
        };
        let body = up_to(rng, 4000);
        wire.send(kind, job.number, &body, &trailer);
    }
    leave()
}

fn wake_for_ever(wire: &Wire, rng: &mut Rng) -> ! {
    let changes = rng.bool();
    loop {
        for word in [Word::Tail, Word::Head] {
            let _ = futex::wake(wire.mine.word(word), Flags::empty(), 1);
        }
        if changes {
            let waiting = wire.mine.word(Word::Waiting);
            waiting.store(rng.u32(0..4), Ordering::SeqCst);
        }
    }
}

/// Tries everything that must be refused; says what was not.
fn try_the_seals(memories: &Memories) -> Vec<String> {
    let mut granted = Vec::new();
    let mut note = |what: &str, refused: bool| {
        if !refused {
            granted.push(what.to_owned());
        }
    };
    for (whose, memory) in [("mine", &memories.mine), ("theirs", &memories.theirs)] {
        let length = fstat(memory).map_or(0, |stat| stat.st_size.unsigned_abs());
        for other in [0, 4096, length - 1, length + 1, length * 2] {
            note(
                &format!("{whose} to {other}"),
                ftruncate(memory, other).is_err(),
            );
        }
        let grown = fallocate(memory, FallocateFlags::empty(), length, 4096);
        note(&format!("{whose} grown"), grown.is_err());
        for seal in [SealFlags::WRITE, SealFlags::FUTURE_WRITE, SealFlags::EXEC] {
            note(
                &format!("{whose} sealed"),
                fcntl_add_seals(memory, seal).is_err(),
            );
        }
        let path = format!("/proc/self/fd/{}", memory.as_raw_fd());
        note(
            &format!("{whose} opened short"),
            File::create(&path).is_err(),
        );
    }
    let theirs = &memories.theirs;
    let path = format!("/proc/self/fd/{}", theirs.as_raw_fd());
    let anew = File::options().read(true).write(true).open(path);
    let mut ways = vec![theirs.as_fd()];
    ways.extend(anew.as_ref().map(AsFd::as_fd));
    for way in ways {
        note("written", rustix::io::write(way, b"x").is_err());
        note(
            "written inside",
            rustix::io::pwrite(way, b"x", 4096).is_err(),
        );
        let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        note("holed", fallocate(way, hole, 0, 4096).is_err());
        let zeroed = FallocateFlags::ZERO_RANGE;
        note("zeroed", fallocate(way, zeroed, 0, 4096).is_err());
        let writable = Memory::map(way, ProtFlags::READ | ProtFlags::WRITE);
        note("mapped writable", writable.is_err());
        let raised = Memory::map(way, ProtFlags::READ).map(|map| map.make_writable());
        note("made writable", matches!(raised, Ok(Err(_))));
    }
    granted
}

fn punch_holes(wire: &mut Wire, memories: &Memories, job: &Job, rng: &mut Rng) {
    let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    let memory = memories.mine.try_clone().expect("one descriptor more");
    let mut theirs = rng.fork();
    // Not the page of the words, or nothing else would ever be seen.
    let pages = u64::from((RING + 2 * OUTPUT) / 4096);
    meanwhile(move || {
        let page = theirs.u64(1..=pages);
        let _ = fallocate(&memory, hole, page * 4096, theirs.u64(1..64) * 4096);
    });
    let output = up_to(rng, OUTPUT as usize);
    wire.reply(job.number, &output);
    if rng.u32(0..3) == 0 {
        // And now that page as well, for the next job.
        let _ = fallocate(&memories.mine, hole, 0, 4096);
    }
}

fn write_afterwards(wire: &mut Wire, job: &Job, rng: &mut Rng) {
    let mine = wire.mine;
    let mut theirs = rng.fork();
    wire.reply(job.number, &job.input);
    meanwhile(move || {
        let place = mine.anywhere(theirs.u32(..));
        place.store(theirs.u32(..), Ordering::Relaxed);
    });
}

fn flip(wire: &mut Wire, job: &Job, rng: &mut Rng) {
    let length = rng.choice([100, 2000]).unwrap_or_default();
    let output = bytes(rng, length);
    let record = wire.lay(kind::REPLY, job.number, &output, &ENDING);
    // One word of the header, of the ending, or the tail itself: between what it is and what it is not.
    let (place, good) = match rng.u32(0..8) {
        7 => {
            let tail = wire.tail().wrapping_add(record);
            (wire.mine.word(Word::Tail), tail)
        }
        word => {
            let place = wire.mine.ring(wire.tail().wrapping_add(word * 4));
            (place, place.load(Ordering::Relaxed))
        }
    };
    let mut theirs = rng.fork();
    meanwhile(move || {
        let bad = [
            0,
            u32::MAX,
            good ^ 1,
            good.wrapping_add(OUTPUT),
            theirs.u32(..),
        ];
        place.store(theirs.choice(bad).unwrap_or_default(), Ordering::Relaxed);
        place.store(good, Ordering::Relaxed);
    });
    // The other thread is to be at it when the host looks.
    thread::sleep(Duration::from_micros(100));
    wire.announce(record);
}

fn exit_in_the_middle(wire: &mut Wire, job: &Job, rng: &mut Rng) {
    let at = rng.u32(0..5);
    let mut go = |moment: u32| {
        if moment == at {
            let signals = [
                Signal::KILL,
                Signal::SEGV,
                Signal::ABORT,
                Signal::BUS,
                Signal::SYS,
            ];
            if rng.bool() {
                process::exit(rng.i32(0..256));
            }
            let signal = rng.choice(signals).unwrap_or(Signal::KILL);
            loop {
                // The standard library's handler of a SIGSEGV finds no fault, and gives the next one free.
                let _ = kill_process(getpid(), signal);
            }
        }
    };
    go(0);
    wire.consume();
    go(1);
    wire.send(kind::POST, job.number, b"so far", &[]);
    go(2);
    let record = wire.lay(kind::REPLY, job.number, &job.input, &ENDING);
    go(3);
    wire.announce(record);
    go(4);
}

/// The trailer of a request for this address, whose answer may be as long as it likes.
fn request(url: &str) -> Vec<u8> {
    let head = format!(r#"{{"url":"{url}"}}"#);
    [&u64::MAX.to_le_bytes(), head.as_bytes()].concat()
}

fn beg(wire: &mut Wire, job: &Job, rng: &mut Rng) {
    let urls = [
        "http://127.0.0.1:1/",
        "http://[::1]/",
        "https://example.com/",
        "http://169.254.169.254/latest/meta-data/",
        "http://localhost:80@127.0.0.1/",
        "file:///etc/passwd",
        "socks5://127.0.0.1/",
        "",
    ];
    for _ in 0..rng.u32(1..20) {
        let url = rng.choice(urls).unwrap_or_default();
        let body = up_to(rng, 3000);
        wire.send(kind::FETCH, job.number, &body, &request(url));
        let (kind, tag) = wire.answer();
        if (kind, tag) != (kind::FETCHED, 1) {
            wire.reply(job.number, format!("{url}: {tag}").as_bytes());
            return;
        }
    }
    wire.reply(job.number, &job.input);
}

fn grab(wire: &mut Wire, job: &Job, rng: &mut Rng) -> ! {
    // Heads that are none are refused, those that are cut off or too long end the worker.
    for _ in 0..rng.u32(0..20) {
        let trailer = [bytes(rng, 8), up_to(rng, 3000)].concat();
        let body = up_to(rng, 3000);
        wire.send(kind::FETCH, job.number, &body, &trailer);
        wire.take_all();
    }
    let trailer = match rng.bool() {
        true => up_to(rng, 8),
        false => bytes(rng, (32 << 10) + 9),
    };
    wire.send(kind::FETCH, job.number, &[], &trailer);
    hang()
}

fn flood(wire: &mut Wire, job: &Job, rng: &mut Rng) -> ! {
    let begging = request("http://127.0.0.1:1/");
    let (kind, trailer): (u8, &[u8]) = match rng.u32(0..4) {
        0 => (kind::POST, &[]),
        1 => (kind::LOG, &[0; 4]),
        2 => (kind::FETCH, &begging),
        _ => (kind::RECV, &[0; 8]),
    };
    let most = rng.choice([10, 1000, 100_000]).unwrap_or_default();
    loop {
        let body = up_to(rng, most);
        wire.send(kind, job.number, &body, trailer);
        // Mail, if it asked for any; or it would be a glutton.
        wire.take_all();
    }
}

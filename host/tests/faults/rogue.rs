//! A native worker that does wrong over a socket pair: each misdeed once it is told to, and good replies else.
//!
//! It is written from the layout of the frames, not from the crate's code, so that a mistake there is not repeated
//! here.

use std::io::{self, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::{self, ExitCode};
use std::time::Duration;

use cofferdam::experiment::Misdeed;
use rustix::net::{RecvAncillaryBuffer, RecvFlags, recvmsg};
use rustix::process::{Signal, set_parent_process_death_signal};

/// The name under which the program is started to be this worker.
pub(crate) const NAME: &str = "rogue";

/// Bytes of a frame's header.
const HEADER: usize = 20;

const READY: u8 = 2;

/// Bytes with which a worker says that it is ready: when it came to be, and what holds of its hardening (nothing).
const BIRTH: usize = 16 + 7 * 6;
const JOB: u8 = 4;
const REPLY: u8 = 5;
const FETCH: u8 = 11;
const FETCHED: u8 = 12;

/// How the trailer of an answer begins that says that the request is refused.
const REFUSED: u8 = 1;

/// The trailer of a reply that says "done", and nothing of the time that it took.
const ENDING: [u8; 46] = [0; 46];

/// Garbage on stdout and stderr together.
const NOISE: usize = 1 << 30;

/// Serves if this process was spawned to be this worker.
pub(crate) fn serve_if_rogue() -> Option<ExitCode> {
    let program = std::env::args().next().unwrap_or_default();
    let is_worker = std::env::var_os("COFFERDAM_WORKER").is_some();
    if !is_worker || !program.ends_with(NAME) {
        return None;
    }
    Some(match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    })
}

fn serve() -> io::Result<()> {
    // No part of any misdeed: nobody is to be left behind when a test is broken off.
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let mut link = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    receive_artifact(&link)?;
    // How it is to be set up is of no interest.
    receive(&mut link)?;
    link.write_all(&frame(READY, 0, &[], &[0; BIRTH]))?;
    let mut count = 0_u32;
    loop {
        let Frame {
            kind,
            job,
            body: input,
            ..
        } = match receive(&mut link) {
            Ok(frame) => frame,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        };
        if kind != JOB {
            continue;
        }
        count += 1;
        let good = frame(REPLY, job, &count.to_le_bytes(), &ENDING);
        match Misdeed::told_by(&input) {
            Some(misdeed) => commit(misdeed, &mut link, job, good)?,
            None => link.write_all(&good)?,
        }
    }
}

/// Takes the descriptors that come first, and forgets them.
fn receive_artifact(socket: &UnixStream) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(6))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut token = [0];
    let mut bytes = [IoSliceMut::new(&mut token)];
    recvmsg(socket, &mut bytes, &mut control, RecvFlags::CMSG_CLOEXEC)?;
    Ok(())
}

/// A frame as it came.
struct Frame {
    kind: u8,
    job: u64,
    body: Vec<u8>,
    trailer: Vec<u8>,
}

fn receive(link: &mut UnixStream) -> io::Result<Frame> {
    let mut header = [0; HEADER];
    link.read_exact(&mut header)?;
    let four = |at: usize| {
        u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
    };
    let length = u64::from(u16::from_le_bytes([header[6], header[7]]));
    let job = u64::from(four(12)) | u64::from(four(16)) << 32;
    let mut body = Vec::new();
    Read::by_ref(link)
        .take(four(8).into())
        .read_to_end(&mut body)?;
    let mut trailer = Vec::new();
    Read::by_ref(link).take(length).read_to_end(&mut trailer)?;
    Ok(Frame {
        kind: header[5],
        job,
        body,
        trailer,
    })
}

fn frame(kind: u8, job: u64, body: &[u8], trailer: &[u8]) -> Vec<u8> {
    let mut bytes = b"cfdm\x01".to_vec();
    bytes.push(kind);
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
    bytes.extend(&length(trailer)[..2]);
    bytes.extend(length(body));
    bytes.extend(job.to_le_bytes());
    bytes.extend(body);
    bytes.extend(trailer);
    bytes
}

fn commit(misdeed: Misdeed, link: &mut UnixStream, job: u64, good: Vec<u8>) -> io::Result<()> {
    let half = good.len() / 2;
    let changed = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        bytes
    };
    match misdeed {
        Misdeed::ExitEarly => process::exit(0),
        Misdeed::ExitMidReply => {
            link.write_all(&good[..half])?;
            process::exit(9)
        }
        Misdeed::HalfAReply => {
            link.write_all(&good[..half])?;
            hang()
        }
        Misdeed::ByteByByte => {
            for byte in &good {
                link.write_all(&[*byte])?;
                std::thread::sleep(Duration::from_micros(100));
            }
        }
        Misdeed::WrongMagic => link.write_all(&changed(0, b'C'))?,
        Misdeed::WrongVersion => link.write_all(&changed(4, 77))?,
        Misdeed::WrongKind => link.write_all(&changed(5, 77))?,
        Misdeed::WrongJob => link.write_all(&frame(REPLY, job ^ 1, b"", &ENDING))?,
        Misdeed::LengthLie => {
            let mut bytes = good;
            bytes[8..12].fill(0xff);
            link.write_all(&bytes)?;
        }
        Misdeed::ShortTrailer => link.write_all(&frame(REPLY, job, b"", &ENDING[..7]))?,
        Misdeed::DoubleReply => link.write_all(&[good.clone(), good].concat())?,
        Misdeed::ReadyAgain => link.write_all(&frame(READY, 0, &[], &[0; BIRTH]))?,
        Misdeed::LateReply => {
            std::thread::sleep(Duration::from_secs(2));
            link.write_all(&good)?;
        }
        Misdeed::Livelock => loop {
            std::hint::spin_loop();
        },
        Misdeed::Noise => {
            let garbage = vec![0x9b; 1 << 20];
            for _ in 0..NOISE / garbage.len() / 2 {
                io::stdout().write_all(&garbage)?;
                io::stderr().write_all(&garbage)?;
            }
            link.write_all(&good)?;
        }
        Misdeed::AsksForTheNetwork => {
            for url in [
                "http://127.0.0.1:1/",
                "https://example.com/",
                "file:///etc/passwd",
            ] {
                let head = format!(r#"{{"url":"{url}"}}"#);
                let trailer = [&u64::MAX.to_le_bytes(), head.as_bytes()].concat();
                link.write_all(&frame(FETCH, job, b"a body", &trailer))?;
                let answer = receive(link)?;
                if (answer.kind, answer.trailer.first()) != (FETCHED, Some(&REFUSED)) {
                    hang();
                }
            }
            link.write_all(&good)?;
        }
        Misdeed::ShortRequest => link.write_all(&frame(FETCH, job, b"", b"short"))?,
    }
    Ok(())
}

fn hang() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}

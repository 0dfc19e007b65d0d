//! Descriptors from one process to another (`SCM_RIGHTS`, see `unix(7)`).

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use crate::folder::Folder;

/// Travels with the descriptor, since at least one byte has to.
const TOKEN: u8 = b'D';

/// As many descriptors as one message may carry here: those of a worker's set-up, and the folders that it is granted.
const MOST: usize = 6 + Folder::MOST;

/// Sends descriptors over a socket, in one message.
pub(crate) fn send(socket: impl AsFd, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other(
            "no room for so many descriptors in a control message",
        ));
    }
    let bytes = [IoSlice::new(&[TOKEN])];
    rustix::io::retry_on_intr(|| sendmsg(&socket, &bytes, &mut control, SendFlags::NOSIGNAL))?;
    Ok(())
}

/// Receives the descriptors of one message from a socket; they are closed on exec.
///
/// # Errors
/// `UnexpectedEof` if the other side hung up, `InvalidData` if a byte came without a descriptor.
pub(crate) fn receive_all(socket: impl AsFd) -> io::Result<Vec<OwnedFd>> {
    let mut token = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received = {
        let mut bytes = [IoSliceMut::new(&mut token)];
        rustix::io::retry_on_intr(|| {
            recvmsg(&socket, &mut bytes, &mut control, RecvFlags::CMSG_CLOEXEC)
        })?
    };
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut all = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message {
            all.extend(descriptors);
        }
    }
    if all.is_empty() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(all)
}

/// Closes every descriptor of this process from `first` on (`close_range(2)`).
#[expect(unsafe_code, reason = "closing what others may own")]
pub(crate) fn close_from(first: u32) -> io::Result<()> {
    // SAFETY: called in a worker process before it has opened anything, and first thing in `main`: what is
    // open belongs to the program that spawned it, and nobody in this process knows of it.
    let returned = unsafe { libc::close_range(first, u32::MAX, 0) };
    if returned == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn descriptors_arrive_in_order_and_work() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        send(&ours, &[ours.as_fd(), writer.as_fd()]).unwrap();
        drop(writer);
        let mut arrived = receive_all(&theirs).unwrap();
        assert_eq!(arrived.len(), 2);
        let mut last = std::fs::File::from(arrived.pop().unwrap());
        last.write_all(b"through").unwrap();
        drop(last);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
    }

    #[test]
    fn a_byte_without_a_descriptor_is_invalid() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        ours.write_all(b"x").unwrap();
        assert_eq!(
            receive_all(&theirs).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }

    #[test]
    fn a_hang_up_is_an_end_of_file() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(ours);
        assert_eq!(
            receive_all(&theirs).unwrap_err().kind(),
            io::ErrorKind::UnexpectedEof
        );
    }
}

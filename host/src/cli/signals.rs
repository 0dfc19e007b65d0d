//! Ctrl-C and SIGTERM, as events.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;
use signal_hook::low_level::emulate_default_handler;

use super::Failure;

/// From the second signal until the program is ended without more ado, should it be stuck: writing
/// to a pipe that nobody reads, say. An orderly end kills workers and takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// From one look at a signal's pipe to the next, where the system does not let it be read: a moment that
/// nobody notices who has pressed Ctrl-C.
const PAUSE: Duration = Duration::from_millis(10);

/// From now on these signals do not end the program, but arrive here. After the second one it has
/// [`PATIENCE`] to end by itself.
pub(crate) fn signals() -> Result<Receiver<i32>, Failure> {
    let (sender, receiver) = crossbeam_channel::unbounded();
    let (read, write) = UnixStream::pair()?;
    let delivery = SignalDelivery::with_pipe(read, write, SignalOnly, [SIGINT, SIGTERM])?;
    std::thread::Builder::new()
        .name("cofferdam-signals".to_owned())
        .spawn(move || listen(delivery, &sender))?;
    Ok(receiver)
}

/// Passes signals on. The iterator of `signal-hook` would do, but panics when its pipe cannot be read, and
/// from then on nobody would hear of any signal.
fn listen(mut delivery: SignalDelivery<UnixStream, SignalOnly>, sender: &Sender<i32>) {
    let mut count = 0;
    while let Ok(Some(pending)) = delivery.poll_pending(&mut wait_for_one) {
        for signal in pending {
            let _ = sender.send(signal);
            count += 1;
            if count == 2 {
                std::thread::sleep(PATIENCE);
                // The workers go too: the kernel kills them when their parent is gone.
                let _ = emulate_default_handler(signal);
            }
        }
    }
}

/// Waits until a signal has written to the pipe. Whatever keeps it from being read may pass.
fn wait_for_one(pipe: &mut impl Read) -> io::Result<bool> {
    loop {
        match pipe.read(&mut [0]) {
            Ok(count) => return Ok(count > 0),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails in every way before it gives a byte.
    struct Failing(Vec<io::ErrorKind>);

    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            self.0.pop().map_or(Ok(1), |kind| Err(kind.into()))
        }
    }

    #[test]
    fn a_pipe_that_cannot_be_read_for_a_while_is_asked_again() {
        use io::ErrorKind::{Interrupted, OutOfMemory, WouldBlock};
        let mut pipe = Failing(vec![Interrupted, WouldBlock, OutOfMemory]);
        assert!(wait_for_one(&mut pipe).unwrap());
        assert!(pipe.0.is_empty());
    }
}

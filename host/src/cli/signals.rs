//! Ctrl-C and SIGTERM, as events.

use std::time::Duration;

use crossbeam_channel::Receiver;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use super::Failure;

/// From the second signal until the program is ended without more ado, should it be stuck: writing
/// to a pipe that nobody reads, say. An orderly end kills workers and takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);

/// From now on these signals do not end the program, but arrive here. After the second one it has
/// [`PATIENCE`] to end by itself.
pub(crate) fn signals() -> Result<Receiver<i32>, Failure> {
    let (sender, receiver) = crossbeam_channel::unbounded();
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    std::thread::Builder::new()
        .name("cofferdam-signals".to_owned())
        .spawn(move || {
            for (count, signal) in signals.forever().enumerate() {
                let _ = sender.send(signal);
                if count == 1 {
                    std::thread::sleep(PATIENCE);
                    // The workers go too: the kernel kills them when their parent is gone.
                    let _ = emulate_default_handler(signal);
                }
            }
        })?;
    Ok(receiver)
}

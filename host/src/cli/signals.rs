//! Ctrl-C and SIGTERM, as events.

use crossbeam_channel::Receiver;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::Failure;

/// From now on these signals do not end the program, but arrive here.
pub(crate) fn signals() -> Result<Receiver<i32>, Failure> {
    let (sender, receiver) = crossbeam_channel::unbounded();
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    std::thread::Builder::new()
        .name("cofferdam-signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                if sender.send(signal).is_err() {
                    return;
                }
            }
        })?;
    Ok(receiver)
}

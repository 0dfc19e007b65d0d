//! How far code came that got out of the sandbox.

use super::Page;
use crate::options::Isolation;
use crate::report::reach::{Reached, hardening};
use crate::report::result::Comparison;

pub(super) fn reach(page: &mut Page, comparison: &Comparison) {
    let of = |isolation| Reached::of(comparison, isolation);
    let (thread, process) = (of(Isolation::Thread), of(Isolation::Process));
    if thread.is_none() && process.is_none() {
        return;
    }
    page.heading(
        "escape: ",
        "How far does code come that got out of the wasm sandbox?",
    );
    if let Some(thread) = thread {
        page.sentence(&format!("In a thread {}.", thread.sentence()));
    }
    if let Some(process) = process {
        let hardening = match hardening(comparison).as_str() {
            "" => String::new(),
            told => format!(" ({told})"),
        };
        page.sentence(&format!("In a process{hardening} {}.", process.sentence()));
    }
}

#[cfg(test)]
mod tests {
    use crate::report::sample::sample;
    use crate::report::terminal::{Colour, render};

    #[test]
    fn both_isolations_say_what_came_through() {
        let text = render(&sample(), 80, Colour::Plain).replace('\n', " ");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            text.contains("In a thread 45 of 46 came through: reads a secret of the host;"),
            "{text}"
        );
        assert!(
            text.contains("1 of 46 came through: makes a Unix socket."),
            "{text}"
        );
    }
}

//! What a worker process writes to its stdout and stderr: never part of the protocol.
//!
//! It is read, so that the process does not block on a full pipe; counted; and the end of it kept,
//! since the last words of a process often say why it died.

use std::collections::VecDeque;

use crate::mail::printable_lines;

/// Enough for a panic message with its location.
const KEPT: usize = 4 << 10;

#[derive(Debug, Default)]
pub(crate) struct Chatter {
    tail: VecDeque<u8>,
    total: u64,
}

impl Chatter {
    pub(crate) fn hear(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let bytes = &bytes[bytes.len().saturating_sub(KEPT)..];
        let excess = (self.tail.len() + bytes.len()).saturating_sub(KEPT);
        self.tail.drain(..excess);
        self.tail.extend(bytes);
    }

    /// The end of what was heard, safe to print.
    pub(crate) fn last_words(&self) -> String {
        let bytes: Vec<u8> = self.tail.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        let lines = printable_lines(text.trim());
        let left_out = self.total - self.tail.len() as u64;
        match left_out {
            0 => lines,
            bytes => format!("[{bytes} bytes left out] {lines}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept_and_the_rest_is_counted() {
        let mut chatter = Chatter::default();
        chatter.hear(&vec![b'a'; 100_000]);
        chatter.hear(b"\nlast");
        assert_eq!(chatter.tail.len(), KEPT);
        let words = chatter.last_words();
        assert!(words.starts_with("[95909 bytes left out] aaa"), "{words}");
        assert!(words.ends_with("a\nlast"));
    }

    #[test]
    fn escapes_are_made_visible() {
        let mut chatter = Chatter::default();
        chatter.hear(b"\x1b[2Jgone\n");
        assert_eq!(chatter.last_words(), r"\u{1b}[2Jgone");
    }
}

//! Formatting where there may be no allocator, or none that still works: in a panic.

use core::fmt::{self, Write};

/// At most `N` bytes of UTF-8, cut at a character's border.
pub(crate) struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
    full: bool,
}

impl<const N: usize> Text<N> {
    /// The beginning of what `value` displays.
    pub(crate) fn of(value: &dyn fmt::Display) -> Self {
        let mut text = Self {
            bytes: [0; N],
            len: 0,
            full: false,
        };
        // The only error is a `Display` that gives up; what it said before stands.
        let _ = write!(text, "{value}");
        text
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl<const N: usize> Write for Text<N> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        // Once something was cut, a shorter part must not slip in behind the gap.
        if self.full {
            return Ok(());
        }
        let take = part.floor_char_boundary(N - self.len);
        self.full = take < part.len();
        self.bytes[self.len..self.len + take].copy_from_slice(&part.as_bytes()[..take]);
        self.len += take;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_fits_is_kept_whole() {
        assert_eq!(Text::<5>::of(&"héla").as_bytes(), "héla".as_bytes());
    }

    #[test]
    fn a_text_is_cut_at_a_characters_border() {
        assert_eq!(Text::<2>::of(&"hé").as_bytes(), b"h");
    }

    #[test]
    fn nothing_follows_a_cut() {
        assert_eq!(
            Text::<2>::of(&format_args!("{}{}", "hé", "x")).as_bytes(),
            b"h"
        );
    }
}

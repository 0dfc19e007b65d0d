//! Sizes and spans of time as people write them.
//!
//! `--timeout 100` does not say a hundred of what, so a bare number is refused, with the spelling
//! that would have worked. Each unit is a newtype that owns its parsing and its printing, and both
//! directions use the same words.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A number of bytes, written `64MiB`, `16 KiB`, `2GB` or `512B`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ByteSize(u64);

/// A span of time, written `100ms`, `1.5s`, `2min`, `250us` or `10ns`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TimeSpan(Duration);

/// Why a size or a span of time was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// A number without its unit.
    #[error("`{text}` has no unit: write {suggestion}")]
    Bare {
        /// What was written.
        text: String,
        /// The same number with units, as alternatives.
        suggestion: String,
    },
    /// A unit that nobody here knows.
    #[error("`{unit}` is not a unit of {quantity}: use one of {known}")]
    Unknown {
        /// The unit that was written.
        unit: String,
        /// `size` or `time`.
        quantity: &'static str,
        /// The units that are known.
        known: &'static str,
    },
    /// Not a number at all.
    #[error("`{text}` is not a {quantity}: write for example {example}")]
    Malformed {
        /// What was written.
        text: String,
        /// `size` or `span of time`.
        quantity: &'static str,
        /// A value that would be understood.
        example: &'static str,
    },
    /// A number that the type cannot hold.
    #[error("`{text}` is too large")]
    TooLarge {
        /// What was written.
        text: String,
    },
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

impl ByteSize {
    /// So many bytes.
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// So many binary kilobytes.
    #[must_use]
    pub const fn from_kib(kib: u64) -> Self {
        Self(kib * KIB)
    }

    /// So many binary megabytes.
    #[must_use]
    pub const fn from_mib(mib: u64) -> Self {
        Self(mib * MIB)
    }

    /// The number of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The number of bytes as a length in memory; saturates where an address is shorter than 64 bits.
    #[must_use]
    pub fn as_len(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, name) in [(GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")] {
            if self.0 >= unit {
                if self.0.is_multiple_of(unit) {
                    return write!(f, "{} {name}", self.0 / unit);
                }
                #[expect(clippy::cast_precision_loss, reason = "three digits are printed")]
                return write!(f, "{} {name}", three_digits(self.0 as f64 / unit as f64));
            }
        }
        write!(f, "{} B", self.0)
    }
}

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, unit) = split(text, "size", "64MiB")?;
        let scale: f64 = match unit {
            "" => {
                return Err(UnitError::Bare {
                    text: text.to_owned(),
                    suggestion: format!("{number}MiB, {number}KiB or {number}B"),
                });
            }
            "B" => 1.0,
            "KiB" | "K" | "KB" | "kB" => {
                if unit == "KiB" || unit == "K" {
                    1024.0
                } else {
                    1e3
                }
            }
            "MiB" | "M" => 1024.0 * 1024.0,
            "MB" => 1e6,
            "GiB" | "G" => 1024.0 * 1024.0 * 1024.0,
            "GB" => 1e9,
            other => {
                return Err(UnitError::Unknown {
                    unit: other.to_owned(),
                    quantity: "size",
                    known: "B, KiB, MiB, GiB, kB, MB, GB",
                });
            }
        };
        let bytes = number * scale;
        // 2^53: past it a double no longer holds every whole number, and no machine has that much.
        if bytes > 9.0e15 {
            return Err(UnitError::TooLarge {
                text: text.to_owned(),
            });
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked to lie in 0 ..= 9e15"
        )]
        Ok(Self(bytes.round() as u64))
    }
}

impl TimeSpan {
    /// A span from a standard duration.
    #[must_use]
    pub const fn new(duration: Duration) -> Self {
        Self(duration)
    }

    /// The span as a standard duration.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl From<Duration> for TimeSpan {
    fn from(duration: Duration) -> Self {
        Self(duration)
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&seconds(self.0.as_secs_f64()))
    }
}

impl FromStr for TimeSpan {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (number, unit) = split(text, "span of time", "100ms")?;
        let scale = match unit {
            "" => {
                return Err(UnitError::Bare {
                    text: text.to_owned(),
                    suggestion: format!("{number}ms or {number}s"),
                });
            }
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "min" => 60.0,
            "h" => 3600.0,
            other => {
                return Err(UnitError::Unknown {
                    unit: other.to_owned(),
                    quantity: "time",
                    known: "ns, us, ms, s, min, h",
                });
            }
        };
        let span =
            Duration::try_from_secs_f64(number * scale).map_err(|_| UnitError::TooLarge {
                text: text.to_owned(),
            })?;
        // A century: so that `Instant::now() + span` never overflows.
        if span > Duration::from_secs(100 * 365 * 24 * 3600) {
            return Err(UnitError::TooLarge {
                text: text.to_owned(),
            });
        }
        Ok(Self(span))
    }
}

/// Splits `1.5 MiB` into its number and its unit.
fn split<'t>(
    text: &'t str,
    quantity: &'static str,
    example: &'static str,
) -> Result<(f64, &'t str), UnitError> {
    let trimmed = text.trim();
    let end = trimmed
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(end);
    match number.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok((number, unit.trim_start())),
        _ => Err(UnitError::Malformed {
            text: text.to_owned(),
            quantity,
            example,
        }),
    }
}

/// Prints seconds with three significant digits and the unit that suits them: `1.13 ms`, `236 µs`.
#[must_use]
pub fn seconds(value: f64) -> String {
    let size = value.abs();
    let (scale, unit) = if size >= 1.0 {
        (1.0, "s")
    } else if size >= 1e-3 {
        (1e3, "ms")
    } else if size >= 1e-6 {
        (1e6, "µs")
    } else {
        (1e9, "ns")
    };
    format!("{} {unit}", three_digits(value * scale))
}

/// Prints a number with three significant digits, and never in powers of ten: `1.13`, `45.2`, `1234`.
#[must_use]
pub fn three_digits(value: f64) -> String {
    let size = value.abs();
    if size >= 99.95 {
        format!("{value:.0}")
    } else if size >= 9.995 {
        format!("{value:.1}")
    } else {
        format!("{value:.2}")
    }
}

/// Bytes in lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use fmt::Write;
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_binary_and_decimal_units() {
        assert_eq!("64MiB".parse(), Ok(ByteSize::from_mib(64)));
        assert_eq!("16 KiB".parse(), Ok(ByteSize::from_kib(16)));
        assert_eq!("1.5GiB".parse(), Ok(ByteSize::from_mib(1536)));
        assert_eq!("2MB".parse(), Ok(ByteSize::from_bytes(2_000_000)));
        assert_eq!("2kB".parse(), Ok(ByteSize::from_bytes(2_000)));
        assert_eq!("0B".parse(), Ok(ByteSize::from_bytes(0)));
    }

    #[test]
    fn a_bare_number_is_refused_with_the_spelling_that_would_work() {
        let size = "64".parse::<ByteSize>().unwrap_err().to_string();
        assert_eq!(size, "`64` has no unit: write 64MiB, 64KiB or 64B");
        let span = "100".parse::<TimeSpan>().unwrap_err().to_string();
        assert_eq!(span, "`100` has no unit: write 100ms or 100s");
    }

    #[test]
    fn spans_are_read_in_every_unit_they_print() {
        for (text, nanos) in [("10ns", 10), ("250us", 250_000), ("1.5s", 1_500_000_000)] {
            let span: TimeSpan = text.parse().unwrap();
            assert_eq!(span.duration(), Duration::from_nanos(nanos));
            assert_eq!(span.to_string().parse(), Ok(span));
        }
    }

    #[test]
    fn nonsense_and_overflow_are_told_apart() {
        assert!(matches!(
            "many".parse::<ByteSize>(),
            Err(UnitError::Malformed { .. })
        ));
        assert!(matches!(
            "".parse::<TimeSpan>(),
            Err(UnitError::Malformed { .. })
        ));
        assert!(matches!(
            "-1s".parse::<TimeSpan>(),
            Err(UnitError::Malformed { .. })
        ));
        assert!(matches!(
            "1.2.3s".parse::<TimeSpan>(),
            Err(UnitError::Malformed { .. })
        ));
        assert!(matches!(
            "1fortnight".parse::<TimeSpan>(),
            Err(UnitError::Unknown { .. })
        ));
        assert!(matches!(
            "99999999999GiB".parse::<ByteSize>(),
            Err(UnitError::TooLarge { .. })
        ));
        assert!(matches!(
            "99999999999h".parse::<TimeSpan>(),
            Err(UnitError::TooLarge { .. })
        ));
    }

    #[test]
    fn printed_sizes_keep_three_digits() {
        assert_eq!(ByteSize::from_mib(64).to_string(), "64 MiB");
        assert_eq!(ByteSize::from_bytes(1_500).to_string(), "1.46 KiB");
        assert_eq!(ByteSize::from_bytes(7).to_string(), "7 B");
    }

    #[test]
    fn printed_seconds_pick_the_unit_that_suits_them() {
        assert_eq!(seconds(0.001_13), "1.13 ms");
        assert_eq!(seconds(0.000_236), "236 µs");
        assert_eq!(seconds(2.0), "2.00 s");
        assert_eq!(seconds(0.000_000_02), "20.0 ns");
    }
}

//! The guests that are built into this program, so that it has work to do on a fresh machine.
//!
//! The modules come from `guest/prebuilt`, which a script rebuilds byte for byte from the sources
//! under `guest/modules`; the misbehaving ones are small enough to be kept as text.

/// A guest that needs no file.
#[derive(Clone, Copy, Debug)]
pub struct Embedded {
    /// Its name, without the `@`.
    pub name: &'static str,
    /// What it does, in one line.
    pub summary: &'static str,
    /// Whether it exists to misbehave.
    pub misbehaves: bool,
    /// An input on which it does typical work.
    pub sample: &'static [u8],
    /// The module, in binary or text form.
    pub(super) module: &'static [u8],
}

macro_rules! working {
    ($name:literal, $summary:literal, $sample:expr) => {
        Embedded {
            name: $name,
            summary: $summary,
            misbehaves: false,
            sample: $sample,
            module: include_bytes!(concat!("../../../guest/prebuilt/", $name, ".wasm")),
        }
    };
}

macro_rules! misbehaving {
    ($name:literal, $summary:literal) => {
        Embedded {
            name: $name,
            summary: $summary,
            misbehaves: true,
            sample: b"",
            module: include_bytes!(concat!("../../../guest/wat/", $name, ".wat")),
        }
    };
}

/// Every embedded guest, the useful ones first.
pub const EMBEDDED: [Embedded; 13] = [
    working!(
        "argon2",
        "hashes a password with argon2id, 19 MiB and 2 passes",
        b"correct horse battery staple"
    ),
    working!(
        "sha256",
        "gives the SHA-256 digest of the input in hexadecimal",
        &[0x5a; 4096]
    ),
    working!(
        "encrypt",
        "seals with XChaCha20-Poly1305: 32 bytes of key, then the text",
        &[0x42; 32 + 4096]
    ),
    working!(
        "blur",
        "blurs a PNG or JPEG picture; replies with a PNG",
        include_bytes!("../../../guest/modules/blur/sample.png")
    ),
    working!(
        "echo",
        "replies with its input",
        b"sixty-four bytes, the size of a small message between workers..."
    ),
    working!(
        "hello",
        "posts \"Hi from worker!\", hears what is posted to it, and greets",
        b"world"
    ),
    misbehaving!(
        "trap",
        "writes a part of its reply, then executes unreachable"
    ),
    misbehaving!("spin", "never returns"),
    misbehaving!("grow", "takes memory until it gets no more, then traps"),
    misbehaving!("deep", "calls itself without end"),
    misbehaving!("liar", "passes pointers outside its memory to the host"),
    misbehaving!("flood", "writes output without end"),
    misbehaving!("sleep", "waits for a message that never comes"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::Guest;

    #[test]
    fn every_embedded_guest_fits_the_interface() {
        for embedded in EMBEDDED {
            Guest::embedded(embedded.name).unwrap();
        }
    }

    #[test]
    fn the_echo_sample_has_the_size_that_it_speaks_of() {
        let echo = EMBEDDED.iter().find(|guest| guest.name == "echo").unwrap();
        assert_eq!(echo.sample.len(), 64);
    }
}

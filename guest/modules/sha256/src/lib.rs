//! Digests its input. Input: any bytes. Output: their SHA-256 as 64 lower-case hex digits, without a newline.

use sha2::{Digest, Sha256};

/// The digest of these bytes, as text.
#[must_use]
pub fn hex_digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 0xf])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

cofferdam_guest::handler!(|input: &[u8]| -> Result<String, String> { Ok(hex_digest(input)) });

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_guest::testing::Job;

    #[test]
    fn it_agrees_with_the_examples_of_fips_180() {
        // https://csrc.nist.gov/projects/cryptographic-standards-and-guidelines/example-values, SHA-256
        let examples: [(&[u8], &str); 3] = [
            (
                b"",
                "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            ),
            (
                b"abc",
                "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
            ),
            (
                b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
            ),
        ];
        for (input, digest) in examples {
            assert_eq!(hex_digest(input), digest);
        }
    }

    #[test]
    fn the_guest_replies_with_the_digits_alone() {
        assert_eq!(
            Job::new("abc").run(handler).output,
            hex_digest(b"abc").as_bytes()
        );
    }
}

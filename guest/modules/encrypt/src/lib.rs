//! Seals its input with XChaCha20-Poly1305. Input: a 32-byte key, then the plaintext. Output: a random 24-byte nonce, the ciphertext, a 16-byte tag.
//!
//! There is a text form, for lines: an input that begins with 64 hex digits (of either case) and one blank has its key
//! in the digits and its plaintext after the blank, and the reply is the same bytes as lower-case hex digits, without
//! a newline. (A binary key that consists of 32 hex digits, before a plaintext that begins with 32 more and a blank,
//! would be taken for this form; a random key is of that kind once in 10³⁴.)
//!
//! No associated data. An input shorter than a key is refused.

use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};

/// Bytes of a key.
pub const KEY_LEN: usize = 32;
/// Bytes of a nonce: long enough to be chosen at random for each message under one key.
pub const NONCE_LEN: usize = 24;
/// Bytes of an authentication tag.
pub const TAG_LEN: usize = 16;

/// The reply to an input of either form, with this nonce.
///
/// # Errors
/// The input is shorter than a key, or longer than the cipher allows (256 GiB).
pub fn reply(input: &[u8], nonce: &[u8; NONCE_LEN]) -> Result<Vec<u8>, String> {
    if let Some((key, plaintext)) = split_text(input) {
        return Ok(hex(&seal(&key, nonce, plaintext, b"")?).into_bytes());
    }
    let (key, plaintext) = input.split_first_chunk().ok_or_else(|| {
        format!(
            "the input must begin with a key of {KEY_LEN} bytes, and has only {} in all",
            input.len()
        )
    })?;
    seal(key, nonce, plaintext, b"")
}

/// Nonce, ciphertext and tag in one allocation.
fn seal(
    key: &[u8; KEY_LEN],
    nonce: &[u8; NONCE_LEN],
    plaintext: &[u8],
    associated: &[u8],
) -> Result<Vec<u8>, String> {
    let mut sealed = Vec::with_capacity(NONCE_LEN + plaintext.len() + TAG_LEN);
    sealed.extend_from_slice(nonce);
    sealed.extend_from_slice(plaintext);
    let tag = XChaCha20Poly1305::new(key.into())
        .encrypt_inout_detached(
            &XNonce::from(*nonce),
            associated,
            (&mut sealed[NONCE_LEN..]).into(),
        )
        .map_err(|_| format!("a plaintext of {} bytes is too long", plaintext.len()))?;
    sealed.extend_from_slice(&tag);
    Ok(sealed)
}

/// Key and plaintext of the text form, if it is that.
fn split_text(input: &[u8]) -> Option<([u8; KEY_LEN], &[u8])> {
    let (digits, rest) = input.split_first_chunk::<{ 2 * KEY_LEN }>()?;
    let plaintext = rest.strip_prefix(b" ")?;
    let mut key = [0; KEY_LEN];
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some((key, plaintext))
}

/// The value of a hex digit.
fn digit(character: u8) -> Option<u8> {
    let value = char::from(character).to_digit(16)?;
    u8::try_from(value).ok()
}

/// Bytes as lower-case hex digits.
fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 0xf])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

cofferdam_guest::handler!(|context, input| -> Result<Vec<u8>, String> {
    reply(input, &context.random_array())
});

#[cfg(test)]
mod tests {
    use super::*;
    use chacha20poly1305::aead::Aead;
    use cofferdam_guest::testing::Job;

    const KEY: [u8; KEY_LEN] = [0x5a; KEY_LEN];

    fn opened(sealed: &[u8]) -> Vec<u8> {
        let (nonce, ciphertext) = sealed.split_first_chunk::<NONCE_LEN>().unwrap();
        XChaCha20Poly1305::new(&KEY.into())
            .decrypt(&XNonce::from(*nonce), ciphertext)
            .unwrap()
    }

    #[test]
    fn it_agrees_with_the_vector_of_the_draft() {
        // draft-irtf-cfrg-xchacha-03, appendix A.3.1.
        let key: [u8; KEY_LEN] = core::array::from_fn(|i| 0x80 + u8::try_from(i).unwrap());
        let nonce: [u8; NONCE_LEN] = core::array::from_fn(|i| 0x40 + u8::try_from(i).unwrap());
        let associated = [
            0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7,
        ];
        let plaintext = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.";
        let sealed = seal(&key, &nonce, plaintext, &associated).unwrap();
        assert_eq!(sealed[..NONCE_LEN], nonce);
        assert_eq!(
            hex(&sealed[NONCE_LEN..]),
            concat!(
                "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb",
                "731c7f1b0b4aa6440bf3a82f4eda7e39ae64c6708c54c216cb96b72e1213b452",
                "2f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9",
                "21f9664c97637da9768812f615c68b13b52e",
                "c0875924c1c7987947deafd8780acf49"
            )
        );
    }

    #[test]
    fn what_it_seals_can_be_opened() {
        for plaintext in [&b""[..], b"x", &[7; 1000]] {
            let ending = Job::new([&KEY, plaintext].concat()).run(handler);
            assert_eq!(ending.output.len(), NONCE_LEN + plaintext.len() + TAG_LEN);
            assert_eq!(opened(&ending.output), plaintext);
        }
    }

    #[test]
    fn the_text_form_gives_the_same_bytes_in_hex() {
        let digits = "5A".repeat(31) + "5a";
        let binary = Job::new([&KEY, b"hi there".as_slice()].concat()).run(handler);
        let text = Job::new(digits + " hi there").run(handler);
        assert_eq!(text.output, hex(&binary.output).as_bytes());
    }

    #[test]
    fn without_the_blank_it_is_no_text_form() {
        let input = "5a".repeat(32);
        let ending = Job::new(input.as_str()).run(handler);
        assert_eq!(ending.output.len(), NONCE_LEN + 32 + TAG_LEN);
    }

    #[test]
    fn an_input_without_room_for_a_key_is_refused() {
        let ending = Job::new([0; 31]).run(handler);
        assert_eq!(ending.code, 1);
        assert_eq!(
            ending.reason.unwrap(),
            "the input must begin with a key of 32 bytes, and has only 31 in all"
        );
    }
}

//! What kind of file is this? Answered from its first bytes, so that the error can name it.

use super::GuestError;

/// Turns text into binary and passes binary modules and components on.
///
/// # Errors
/// Names what the bytes are instead, where they are something known.
pub(super) fn to_binary(bytes: &[u8]) -> Result<Vec<u8>, GuestError> {
    match bytes {
        [] => Err(GuestError::Empty),
        // Magic, then a version of 16 bits and a layer of 16 bits: 1 and 0 make a core module.
        [0x00, b'a', b's', b'm', 0x01, 0x00, 0x00, 0x00, ..] => Ok(bytes.to_vec()),
        // Layer 1 makes a component, in its one version so far.
        [0x00, b'a', b's', b'm', 0x0d, 0x00, 0x01, 0x00, ..] => Ok(bytes.to_vec()),
        [0x00, b'a', b's', b'm', rest @ ..] if rest.len() < 4 => {
            Err(GuestError::Invalid("it ends within its header".to_owned()))
        }
        [0x00, b'a', b's', b'm', version @ ..] => Err(GuestError::Invalid(format!(
            "its version is {}, and only 1 is known",
            u32::from_le_bytes([version[0], version[1], version[2], version[3]])
        ))),
        [0x7f, b'E', b'L', b'F', ..] => Err(GuestError::NotWasm("a native ELF program")),
        [b'#', b'!', ..] => Err(GuestError::NotWasm("a script")),
        [0x1f, 0x8b, ..] => Err(GuestError::NotWasm("gzip data")),
        _ => text_to_binary(bytes),
    }
}

fn text_to_binary(bytes: &[u8]) -> Result<Vec<u8>, GuestError> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err(GuestError::NotWasm("binary data of another kind"));
    };
    // Text format begins with a parenthesis, after blanks and comments.
    if !text
        .trim_start_matches('\u{feff}')
        .trim_start()
        .starts_with(['(', ';'])
    {
        return Err(GuestError::NotWasm("text of another kind"));
    }
    let wasm = wat::parse_str(text).map_err(|error| GuestError::InvalidText(error.to_string()))?;
    to_binary(&wasm)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wrong_kind_is_called_by_its_name() {
        let cases: [(&[u8], &str); 8] = [
            (b"", "the file is empty"),
            // A component of a version that was never settled.
            (b"\0asm\x0a\0\x01\0", "only 1 is known"),
            (b"\0asm\x01", "ends within its header"),
            (b"\0asm\x02\0\0\0", "its version is 2"),
            (b"\x7fELF\x02", "a native ELF program"),
            (b"#!/bin/sh", "a script"),
            (b"hello", "text of another kind"),
            (b"\xff\xfe\x00", "binary data of another kind"),
        ];
        for (bytes, expected) in cases {
            let error = to_binary(bytes).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn text_becomes_binary() {
        assert_eq!(
            to_binary(b" ;; nothing\n(module)").unwrap(),
            b"\0asm\x01\0\0\0"
        );
    }

    #[test]
    fn a_mistake_in_the_text_is_shown_with_its_line() {
        let error = to_binary(b"(module\n  (func nonsense))")
            .unwrap_err()
            .to_string();
        assert!(error.contains("(func nonsense)"), "{error}");
    }
}

//! Hashes a password with Argon2id. Input: the password, or parameters and the password. Output: a PHC string, without a newline.
//!
//! The parameters are `m=19456,t=2,p=1` (19 MiB, two passes, one lane: the first choice of OWASP's Password Storage
//! Cheat Sheet), a random salt of 16 bytes, and a tag of 32 bytes. An input that begins with `$argon2id$` is read as
//! `$argon2id$v=19$m=M,t=T,p=P$PASSWORD`, and everything after that last `$` is the password. (So a password that
//! itself begins with `$argon2id$` has to be given behind parameters.) An empty password is hashed like any other.
//!
//! M counts KiB and goes from 8 × P to 1048576, T from 1 to 4294967295, P from 1 to 131072.

use argon2::{Algorithm, Argon2, AssociatedData, Params, ParamsBuilder, Version};
use base64ct::{Base64Unpadded, Encoding};

/// What a PHC string of this algorithm begins with.
const IDENT: &str = "$argon2id$";
/// The one version that is not deprecated, 0x13.
const VERSION: &str = "v=19$";

/// Bytes of the salt, as RFC 9106 recommends.
pub const SALT_LEN: usize = 16;
/// Bytes of the tag, as RFC 9106 recommends for the first choice of its parameters.
pub const TAG_LEN: usize = 32;

/// A quarter of what a guest can address; the host's limit is usually lower, and then this one is never reached.
const MAX_MEMORY_KIB: u32 = 1024 * 1024;
/// Each lane needs 8 KiB.
const KIB_PER_LANE: u32 = 8;

/// How much work a hash is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Memory in KiB.
    pub memory: u32,
    /// Passes over it.
    pub time: u32,
    /// Lanes. They change the result, not the number of threads: a guest has one.
    pub lanes: u32,
}

impl Default for Cost {
    fn default() -> Self {
        Self {
            memory: 19_456,
            time: 2,
            lanes: 1,
        }
    }
}

impl Cost {
    /// Reads `m=M,t=T,p=P`.
    fn parse(text: &str) -> Result<Self, String> {
        let mut fields = text.split(',');
        let mut field = |name: &str| {
            fields
                .next()
                .and_then(|field| field.strip_prefix(name)?.strip_prefix('='))
                .ok_or_else(|| {
                    format!("parameters must read m=M,t=T,p=P, not '{text}': no {name}=")
                })
        };
        let (memory, time, lanes) = (field("m")?, field("t")?, field("p")?);
        if fields.next().is_some() {
            return Err(format!(
                "parameters must read m=M,t=T,p=P, not '{text}': something follows p={lanes}"
            ));
        }
        let lanes = number("p", lanes, 1, MAX_MEMORY_KIB / KIB_PER_LANE)?;
        Ok(Self {
            memory: number("m", memory, KIB_PER_LANE * lanes, MAX_MEMORY_KIB)?,
            time: number("t", time, 1, u32::MAX)?,
            lanes,
        })
    }
}

/// A decimal number within limits, in the one spelling that a PHC string allows.
fn number(name: &str, text: &str, least: u32, most: u32) -> Result<u32, String> {
    text.parse()
        .ok()
        .filter(|value: &u32| value.to_string() == text && (least..=most).contains(value))
        .ok_or_else(|| format!("{name} must be a number from {least} to {most}, not '{text}'"))
}

/// Takes an input apart: what to do, and with which password.
///
/// # Errors
/// The input begins like parameters, and they are malformed or out of range; the reason names the parameter, its
/// limits and the given value.
pub fn parse(input: &[u8]) -> Result<(Cost, &[u8]), String> {
    let Some(rest) = input.strip_prefix(IDENT.as_bytes()) else {
        return Ok((Cost::default(), input));
    };
    let expected =
        "an input that begins with $argon2id$ must read $argon2id$v=19$m=M,t=T,p=P$PASSWORD";
    let rest = rest
        .strip_prefix(VERSION.as_bytes())
        .ok_or_else(|| format!("{expected}: no v=19$"))?;
    let end = rest
        .iter()
        .position(|&byte| byte == b'$')
        .ok_or_else(|| format!("{expected}: no $ before the password"))?;
    let cost = Cost::parse(&String::from_utf8_lossy(&rest[..end]))?;
    Ok((cost, &rest[end + 1..]))
}

/// The PHC string for an input, with this salt.
///
/// # Errors
/// The input's parameters are refused, or the memory that they ask for cannot be had.
pub fn hash(input: &[u8], salt: &[u8; SALT_LEN]) -> Result<String, String> {
    let (cost, password) = parse(input)?;
    let tag: [u8; TAG_LEN] = tag(cost, password, salt, b"", b"")?;
    let Cost {
        memory,
        time,
        lanes,
    } = cost;
    let salt = Base64Unpadded::encode_string(salt);
    let tag = Base64Unpadded::encode_string(&tag);
    Ok(format!(
        "{IDENT}{VERSION}m={memory},t={time},p={lanes}${salt}${tag}"
    ))
}

/// Argon2id with all its inputs, RFC 9106 section 3.1: password P, salt S, secret K, associated data X.
fn tag<const LEN: usize>(
    cost: Cost,
    password: &[u8],
    salt: &[u8],
    secret: &[u8],
    associated: &[u8],
) -> Result<[u8; LEN], String> {
    let explain = |error| match error {
        argon2::Error::OutOfMemory => {
            format!("m={}: so many KiB of memory cannot be had", cost.memory)
        }
        other => other.to_string(),
    };
    let params: Params = ParamsBuilder::new()
        .m_cost(cost.memory)
        .t_cost(cost.time)
        .p_cost(cost.lanes)
        .data(AssociatedData::new(associated).map_err(explain)?)
        .output_len(LEN)
        .build()
        .map_err(explain)?;
    let mut tag = [0; LEN];
    Argon2::new_with_secret(secret, Algorithm::Argon2id, Version::V0x13, params)
        .and_then(|argon2| argon2.hash_password_into(password, salt, &mut tag))
        .map_err(explain)?;
    Ok(tag)
}

cofferdam_guest::handler!(|context, input| -> Result<String, String> {
    hash(input, &context.random_array())
});

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_guest::testing::Job;

    /// Fast enough for a test in a debug build.
    const CHEAP: &[u8] = b"$argon2id$v=19$m=64,t=1,p=2$";

    fn reason(input: &str) -> String {
        let ending = Job::new(input).run(handler);
        assert_eq!((ending.code, ending.output), (1, vec![]), "{input}");
        ending.reason.unwrap()
    }

    #[test]
    fn it_agrees_with_the_vector_of_rfc_9106() {
        // Section 5.3.
        let cost = Cost {
            memory: 32,
            time: 3,
            lanes: 4,
        };
        let tag = tag::<32>(cost, &[1; 32], &[2; 16], &[3; 8], &[4; 12]).unwrap();
        assert_eq!(
            tag,
            [
                0x0d, 0x64, 0x0d, 0xf5, 0x8d, 0x78, 0x76, 0x6c, 0x08, 0xc0, 0x37, 0xa3, 0x4a, 0x8b,
                0x53, 0xc9, 0xd0, 0x1e, 0xf0, 0x45, 0x2d, 0x75, 0xb6, 0x5e, 0xb5, 0x25, 0x20, 0xe9,
                0x6b, 0x01, 0xe6, 0x59,
            ]
        );
    }

    #[test]
    fn without_parameters_the_whole_input_is_the_password_at_the_default_cost() {
        for password in ["", "correct horse", "$argon2i$v=19$m=8,t=1,p=1$x"] {
            assert_eq!(
                parse(password.as_bytes()),
                Ok((Cost::default(), password.as_bytes()))
            );
        }
    }

    #[test]
    fn everything_after_the_parameters_is_the_password() {
        let input = b"$argon2id$v=19$m=64,t=3,p=2$pass$word\xff";
        let cost = Cost {
            memory: 64,
            time: 3,
            lanes: 2,
        };
        assert_eq!(parse(input), Ok((cost, b"pass$word\xff".as_slice())));
    }

    #[test]
    fn the_reply_is_a_phc_string_with_the_hosts_random_salt() {
        let reply = |input: &[u8]| String::from_utf8(Job::new(input).run(handler).output).unwrap();
        let phc = reply(CHEAP);
        let fields: Vec<_> = phc.split('$').collect();
        assert_eq!(fields[..4], ["", "argon2id", "v=19", "m=64,t=1,p=2"]);
        assert_eq!(
            (fields[4].len(), fields[5].len(), fields.len()),
            (22, 43, 6)
        );
        assert_eq!(phc, reply(CHEAP), "the stand-in's random bytes repeat");
        assert_ne!(phc, reply(&[CHEAP, b"x"].concat()));
        assert_ne!(hash(CHEAP, &[0; 16]), hash(CHEAP, &[1; 16]));
    }

    #[test]
    fn a_refusal_names_the_parameter_its_limits_and_the_value() {
        let with = |parameters: &str| reason(&format!("$argon2id$v=19${parameters}$password"));
        assert_eq!(
            with("m=15,t=1,p=2"),
            "m must be a number from 16 to 1048576, not '15'"
        );
        assert_eq!(
            with("m=1048577,t=1,p=1"),
            "m must be a number from 8 to 1048576, not '1048577'"
        );
        assert_eq!(
            with("m=64,t=0,p=1"),
            "t must be a number from 1 to 4294967295, not '0'"
        );
        assert_eq!(
            with("m=64,t=1,p=0"),
            "p must be a number from 1 to 131072, not '0'"
        );
        assert_eq!(
            with("m=64,t=1,p=99999999999"),
            "p must be a number from 1 to 131072, not '99999999999'"
        );
        assert_eq!(
            with("m=+64,t=1,p=1"),
            "m must be a number from 8 to 1048576, not '+64'"
        );
        assert_eq!(
            with("m=064,t=1,p=1"),
            "m must be a number from 8 to 1048576, not '064'"
        );
    }

    #[test]
    fn a_refusal_says_what_is_missing() {
        for (input, missing) in [
            ("$argon2id$", "no v=19$"),
            ("$argon2id$v=16$m=8,t=1,p=1$", "no v=19$"),
            ("$argon2id$v=19$m=8,t=1,p=1", "no $ before the password"),
            ("$argon2id$v=19$m=8,p=1$", "no t="),
            ("$argon2id$v=19$m=8,t=1,p=1,x=2$", "something follows p=1"),
        ] {
            assert!(reason(input).ends_with(missing), "{input}");
        }
    }
}

//! What a handler hands back.

use crate::Context;
use alloc::string::{String, ToString};
use core::fmt::Display;

/// Why a guest did not do its job, and the code that says it to a program.
///
/// Anything with `Display` turns into one with code 1, so `?` works on any error. For that reason it has no `Display`
/// of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    code: i32,
    reason: String,
}

impl Refusal {
    /// The code of a refusal that names none.
    pub const DEFAULT_CODE: i32 = 1;

    /// A refusal for this reason, with [`Refusal::DEFAULT_CODE`].
    pub fn new(reason: impl Display) -> Self {
        Self {
            code: Self::DEFAULT_CODE,
            reason: reason.to_string(),
        }
    }

    /// The same with another code. 0 would mean that the job was done, and counts as [`Refusal::DEFAULT_CODE`].
    #[must_use]
    pub fn with_code(self, code: i32) -> Self {
        let code = if code == 0 { Self::DEFAULT_CODE } else { code };
        Self { code, ..self }
    }

    /// The code that `handle` returns, never 0.
    #[must_use]
    pub fn code(&self) -> i32 {
        self.code
    }

    /// The reason that the host reports.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl<E: Display> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::new(error)
    }
}

/// What a handler may return: a reply, or why there is none.
pub trait Reply {
    /// Gives it to the host, and returns the code for it.
    fn hand_in(self, context: &Context) -> i32;
}

impl<T: AsRef<[u8]>, E: Into<Refusal>> Reply for Result<T, E> {
    fn hand_in(self, context: &Context) -> i32 {
        match self {
            Ok(reply) => {
                context.write(reply.as_ref());
                0
            }
            Err(error) => {
                let refusal = error.into();
                context.fail(refusal.reason());
                refusal.code()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_error_becomes_a_refusal_with_its_text() {
        let refusal = Refusal::from("x".parse::<u8>().unwrap_err());
        assert_eq!(
            (refusal.code(), refusal.reason()),
            (1, "invalid digit found in string")
        );
    }

    #[test]
    fn a_code_of_zero_cannot_pass_for_done() {
        assert_eq!(Refusal::new("no").with_code(0).code(), 1);
        assert_eq!(Refusal::new("no").with_code(-7).code(), -7);
    }
}

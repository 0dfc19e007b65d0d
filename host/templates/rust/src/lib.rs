//! Greets. Input: a name in UTF-8, of at most 100 bytes. Output: `Hello, NAME!`.

use cofferdam_guest::Refusal;

/// Bytes of a name.
const LONGEST: usize = 100;

cofferdam_guest::handler!(|_context, input| -> Result<String, Refusal> {
    if input.is_empty() {
        return Err(Refusal::new("nobody to greet").with_code(2));
    }
    if input.len() > LONGEST {
        return Err(Refusal::new("a name has at most 100 bytes").with_code(3));
    }
    let name = std::str::from_utf8(input)?;
    Ok(format!("Hello, {name}!"))
});

#[cfg(test)]
mod tests {
    use super::handler;
    use cofferdam_guest::testing::Job;

    #[test]
    fn it_greets() {
        assert_eq!(Job::new("World").run(handler).output, b"Hello, World!");
    }

    #[test]
    fn it_refuses_nobody() {
        let ending = Job::new("").run(handler);
        assert_eq!(ending.code, 2);
        assert_eq!(ending.reason.as_deref(), Some("nobody to greet"));
    }
}

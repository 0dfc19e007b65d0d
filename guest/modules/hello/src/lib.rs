//! Says hello. Input: a name, or nothing for "world". Output: `Hello, NAME!`, then a line `heard: MESSAGE` for each
//! message that the host posted.
//!
//! The smallest guest that uses both directions of messages: it posts "Hi from worker!" before anything else, then
//! takes what is in its inbox and waits for nothing. Names and messages are bytes, repeated as they came; the reply
//! does not end in a newline.

use cofferdam_guest::{Received, Wait};

/// What the guest posts first.
pub const GREETING: &str = "Hi from worker!";

/// The reply to this name, after these messages.
#[must_use]
pub fn reply(name: &[u8], heard: &[Vec<u8>]) -> Vec<u8> {
    let name = if name.is_empty() { b"world" } else { name };
    let mut reply = [b"Hello, ", name, b"!"].concat();
    for message in heard {
        reply.extend_from_slice(b"\nheard: ");
        reply.extend_from_slice(message);
    }
    reply
}

cofferdam_guest::handler!(|context, input| -> Result<Vec<u8>, String> {
    context.post(GREETING);
    let mut heard = Vec::new();
    while let Received::Message(message) = context.recv(Wait::Poll) {
        heard.push(message);
    }
    Ok(reply(input, &heard))
});

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_guest::testing::Job;

    #[test]
    fn without_a_name_it_greets_the_world() {
        let ending = Job::new("").run(handler);
        assert_eq!(ending.output, b"Hello, world!");
        assert_eq!(ending.posted, [GREETING.as_bytes()]);
    }

    #[test]
    fn it_repeats_every_message_of_a_closed_inbox() {
        let job = Job::new("Ada").with_message("one").with_message("");
        assert_eq!(job.run(handler).output, b"Hello, Ada!\nheard: one\nheard: ");
    }

    #[test]
    fn it_does_not_wait_on_an_inbox_that_stays_open() {
        let job = Job::new("Ada").with_message("one").with_open_inbox();
        assert_eq!(job.run(handler).output, b"Hello, Ada!\nheard: one");
    }

    #[test]
    fn a_message_beyond_the_first_buffer_arrives_whole() {
        let long = vec![b'x'; 100_000];
        let ending = Job::new("Ada").with_message(long.clone()).run(handler);
        assert_eq!(ending.output, reply(b"Ada", &[long]));
    }
}

//! Replies with its input. Input: any bytes. Output: the same bytes.
//!
//! It is the probe for what a round trip costs, so it does nothing else: no allocator, no cleared buffer, one copy in
//! and one out, and two calls to the host for a job that fits one chunk.
#![cfg_attr(target_family = "wasm", no_std)]

use cofferdam_guest::Context;
use core::mem::MaybeUninit;

/// Half of the usual level-1 data cache, so that the copy out finds what the copy in has just brought. It also keeps
/// the guest's whole memory within one page of 64 KiB, where a buffer for the whole input would have to be grown, and
/// faulted in, for each fresh instance.
const CHUNK: usize = 32 * 1024;

/// Streams the input to the reply.
pub fn echo(context: &Context) -> i32 {
    let mut chunk = [const { MaybeUninit::uninit() }; CHUNK];
    let mut offset = 0;
    loop {
        let read = context.read_input_uninit(offset, &mut chunk);
        if read.is_empty() {
            return 0;
        }
        context.write(read);
        // A short chunk is the last: no call is needed to learn that nothing follows.
        if read.len() < CHUNK {
            return 0;
        }
        offset += CHUNK;
    }
}

cofferdam_guest::entry!(echo);

cofferdam_guest::panic_handler!();

#[cfg(test)]
mod tests {
    use super::*;
    use cofferdam_guest::testing::Job;

    fn echoed(input: &[u8]) -> Vec<u8> {
        Job::new(input).run_entry(echo).output
    }

    #[test]
    fn an_empty_input_gives_an_empty_reply() {
        assert_eq!(echoed(b""), b"");
    }

    #[test]
    fn a_short_input_comes_back() {
        assert_eq!(echoed(b"\0\xff64"), b"\0\xff64");
    }

    #[test]
    fn inputs_around_the_chunks_border_come_back() {
        let long: Vec<u8> = (0..=u8::MAX).cycle().take(2 * CHUNK + 1).collect();
        for len in [CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 2 * CHUNK + 1] {
            assert_eq!(echoed(&long[..len]), &long[..len], "{len} bytes");
        }
    }
}

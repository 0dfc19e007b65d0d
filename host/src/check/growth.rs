//! Does an instance that is kept take more and more memory?
//!
//! An allocator takes memory in steps, and a guest that warms up takes some more. So growth is a finding only where it
//! goes on: within the second half of the calls, within as many calls again, and within twice as many after these.
//! Whether what leaks is a little with each call or a list that doubles, it grows in each of them; what was warming up
//! has come to its end.

use super::seen::Seen;
use crate::units::ByteSize;

/// When an instance had more memory than ever before.
#[derive(Clone, Debug)]
pub(super) struct Growth {
    /// Bytes that it may have.
    limit: u64,
    /// The call, and bytes that count towards the limit after it.
    steps: Vec<(usize, u64)>,
}

/// What memory grows by.
const PAGE: u64 = 64 << 10;

/// Fewer calls say nothing.
const FEWEST: usize = 8;

impl Growth {
    /// That of an instance that may have so much.
    pub(super) fn up_to(limit: ByteSize) -> Self {
        Self {
            limit: limit.bytes(),
            steps: Vec::new(),
        }
    }

    /// Notes what the instance has after the n-th call, from 1.
    pub(super) fn weigh(&mut self, call: usize, seen: &Seen) {
        if let Some(weight) = &seen.weight {
            self.note(call, weight.charged);
        }
    }

    fn note(&mut self, call: usize, bytes: u64) {
        match self.steps.last() {
            Some(&(_, most)) if bytes == most => return,
            // Another instance.
            Some(&(_, most)) if bytes < most => self.steps.clear(),
            _ => {}
        }
        self.steps.push((call, bytes));
    }

    fn grew_within(&self, after: usize, up_to: usize) -> bool {
        // The first step is what it began with.
        let mut grown = self.steps.iter().skip(1);
        grown.any(|&(call, _)| call > after && call <= up_to)
    }

    /// Whether it came to its limit by growing: it cannot grow any further, whatever it leaks.
    fn is_full(&self) -> bool {
        let room = |&(_, bytes): &(usize, u64)| self.limit.saturating_sub(bytes);
        self.steps.len() >= 3 && self.steps.last().map(room).is_some_and(|room| room < PAGE)
    }

    /// Whether it takes more calls to tell, when the first part had so many and there were so many in all.
    pub(super) fn is_in_doubt(&self, first: usize, calls: usize) -> bool {
        first >= FEWEST
            && !self.is_full()
            && calls < 4 * first
            && self.grew_within(first / 2, first)
            && (calls < 2 * first || self.grew_within(first, 2 * first))
    }

    /// What to say of it, if it grew in each part.
    pub(super) fn is_endless(&self, first: usize, calls: usize) -> Option<String> {
        if self.is_full() {
            return self.to_the_limit();
        }
        let parts = [(first / 2, first), (first, 2 * first), (2 * first, calls)];
        let went_on = calls >= 4 * first
            && parts
                .iter()
                .all(|&(after, up_to)| self.grew_within(after, up_to));
        let grown = went_on.then(|| self.in_words()).flatten()?;
        Some(format!(
            "its memory grows with the calls on an instance that is kept, and does not come to an end: {grown}"
        ))
    }

    /// What to say of it where it came to its limit; `None` if it did not grow.
    pub(super) fn to_the_limit(&self) -> Option<String> {
        let grown = self.in_words()?;
        Some(format!(
            "its memory grows with the calls on an instance that is kept, up to the limit: {grown}"
        ))
    }

    /// What it had when, if it grew at all.
    fn in_words(&self) -> Option<String> {
        let [first, .., middle, last] = self.steps.as_slice() else {
            return None;
        };
        let [first, middle, last] = [first, middle, last].map(|&(call, bytes)| {
            let bytes = ByteSize::from_bytes(bytes);
            format!("{bytes} after call {call}")
        });
        Some(format!("{first}, {middle}, {last}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs as many calls as it takes, of an instance that has so much after each.
    fn told(first: usize, bytes: impl Fn(usize) -> u64) -> Option<String> {
        let mut growth = Growth::up_to(ByteSize::from_mib(256));
        let mut calls = 0;
        while calls < first || growth.is_in_doubt(first, calls) {
            calls += 1;
            growth.note(calls, bytes(calls));
        }
        growth.is_endless(first, calls)
    }

    #[test]
    fn a_leak_that_the_limit_ends_is_found_wherever_that_is() {
        // 4096 pages are the limit, and who is denied more goes on.
        for pages in [1, 2, 3, 4, 5, 9, 100] {
            let told = told(1000, |calls| (calls as u64 * pages).min(4096) * PAGE);
            assert!(told.is_some(), "{pages} pages a call");
        }
        // One that takes all it may at once does not leak.
        assert_eq!(told(1000, |_| 4096 * PAGE), None);
    }

    #[test]
    fn what_leaks_a_little_with_each_call_is_found() {
        // 200 bytes a call are a page in 328 calls.
        let told = told(1000, |calls| (1 + calls as u64 * 200 / PAGE) * PAGE).unwrap();
        assert!(told.contains("64 KiB after call 1, "), "{told}");
        assert!(told.contains("after call 3933"), "{told}");
    }

    #[test]
    fn a_list_that_doubles_is_found() {
        assert!(told(1000, |calls| calls.next_power_of_two() as u64 * PAGE).is_some());
    }

    #[test]
    fn what_warms_up_is_no_finding() {
        assert_eq!(told(1000, |_| PAGE), None);
        assert_eq!(told(1000, |calls| calls.min(700) as u64 * PAGE), None);
        assert_eq!(told(1000, |calls| calls.min(1500) as u64 * PAGE), None);
        // A step that comes late, and is the last.
        assert_eq!(
            told(1000, |calls| (1 + u64::from(calls > 999)) * PAGE),
            None
        );
    }

    #[test]
    fn an_instance_that_took_the_place_of_another_begins_anew() {
        assert_eq!(told(1000, |calls| (calls % 10) as u64 * PAGE), None);
    }

    #[test]
    fn few_calls_say_nothing() {
        assert_eq!(told(4, |calls| calls as u64 * PAGE), None);
    }
}

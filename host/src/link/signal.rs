//! How one side of a shared-memory link tells the other that something is there, without a system call
//! unless the other one sleeps, and without ever losing a wake-up.
//!
//! Each side writes three words: `tail` and `head`, its positions in the two rings, and `waiting`, which
//! says for which of the other side's words it is parked. Whoever publishes a position looks at `waiting`
//! *after* that, and whoever parks looks at the position *after* saying so. A fence stands between the
//! two steps on both sides, so at least one sees what the other did (Dekker's argument).

/// A word that each side has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Word {
    /// What it has produced.
    Tail = 1,
    /// What it has consumed.
    Head = 2,
    /// For what it is parked.
    Waiting = 3,
}

/// The words of both sides, as one of them has them.
pub(crate) trait Words {
    /// Writes a word of this side; all that was written before is seen by whoever reads it.
    fn set(&self, mine: Word, value: u32);
    /// Reads a word of the other side; all that was written before it is seen from now on.
    fn see(&self, theirs: Word) -> u32;
    /// Keeps what is before it before what is after it, for everybody.
    fn fence(&self);
    /// Wakes the other side if it is parked on this word of ours.
    fn wake(&self, mine: Word);
}

/// Not parked.
const AWAKE: u32 = 0;

/// Publishes a position of this side, and wakes the other one if it is parked for it.
pub(crate) fn publish(words: &impl Words, mine: Word, position: u32) {
    words.set(mine, position);
    words.fence();
    // Nothing but a hint: the worst that a lie does is a system call for nothing.
    // To wake each wait once only, and save the calls that come before the sleeper has come to itself, would
    // be wrong: between the two steps above the other side may have taken this position and be parked for
    // the next one, and the one wake that its wait is allowed would be spent on this.
    if words.see(Word::Waiting) == mine as u32 {
        words.wake(mine);
    }
}

/// Parks, unless a word of the other side no longer says what was seen.
pub(crate) fn park<T>(
    words: &impl Words,
    theirs: Word,
    seen: u32,
    park: impl FnOnce() -> T,
) -> Option<T> {
    words.set(Word::Waiting, theirs as u32);
    words.fence();
    let parked = (words.see(theirs) == seen).then(park);
    words.set(Word::Waiting, AWAKE);
    parked
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use loom::sync::atomic::{AtomicU32, Ordering, fence};
    use loom::sync::{Condvar, Mutex};

    use super::*;
    use crate::link::frame::{Header, Kind};
    use crate::link::ring::{Bounds, Consumer, Producer};

    /// The words of one side, and the kernel's queue of those who wait for one of them.
    struct Side {
        words: [AtomicU32; 4],
        queue: Mutex<()>,
        bell: Condvar,
    }

    impl Side {
        fn new() -> Self {
            Self {
                words: std::array::from_fn(|_| AtomicU32::new(0)),
                queue: Mutex::new(()),
                bell: Condvar::new(),
            }
        }
    }

    /// Both sides as one has them. The model's futex is as reliable as the kernel's and no more: it
    /// compares under the lock that a wake takes, and forgets a wake for which nobody waits.
    struct Model {
        mine: Arc<Side>,
        theirs: Arc<Side>,
    }

    impl Model {
        fn pair() -> (Self, Self) {
            let (one, other) = (Arc::new(Side::new()), Arc::new(Side::new()));
            let model = |mine: &Arc<Side>, theirs: &Arc<Side>| Self {
                mine: Arc::clone(mine),
                theirs: Arc::clone(theirs),
            };
            (model(&one, &other), model(&other, &one))
        }

        fn wait(&self, theirs: Word, seen: u32) {
            let queue = self.theirs.queue.lock().unwrap();
            if self.theirs.words[theirs as usize].load(Ordering::Relaxed) == seen {
                drop(self.theirs.bell.wait(queue).unwrap());
            }
        }

        /// Waits without ever looking before it parks, since that is where wake-ups are lost. If one is,
        /// nobody runs any more, and the model says so.
        fn await_change(&self, theirs: Word, seen: u32) -> u32 {
            loop {
                park(self, theirs, seen, || self.wait(theirs, seen));
                let value = self.see(theirs);
                if value != seen {
                    return value;
                }
            }
        }
    }

    impl Words for Model {
        fn set(&self, mine: Word, value: u32) {
            self.mine.words[mine as usize].store(value, Ordering::Release);
        }

        fn see(&self, theirs: Word) -> u32 {
            self.theirs.words[theirs as usize].load(Ordering::Acquire)
        }

        fn fence(&self) {
            fence(Ordering::SeqCst);
        }

        fn wake(&self, _mine: Word) {
            drop(self.mine.queue.lock().unwrap());
            self.mine.bell.notify_all();
        }
    }

    /// A ring with room for this many records without bodies, each a number in a cell. Nothing but the
    /// words orders what is done to the cells: without them an old number may be read, or a later one.
    struct Cells<const N: usize>([AtomicU32; N]);

    impl<const N: usize> Cells<N> {
        fn new() -> Self {
            Self(std::array::from_fn(|_| AtomicU32::new(0)))
        }

        fn at(&self, position: u32) -> &AtomicU32 {
            &self.0[(position / 64) as usize % N]
        }

        fn write(&self, position: u32, number: u32) {
            self.at(position).store(number, Ordering::Relaxed);
        }

        fn read(&self, position: u32) -> u32 {
            self.at(position).load(Ordering::Relaxed)
        }
    }

    const EMPTY: Header = Header {
        kind: Kind::Post,
        job: 0,
        body: 0,
        trailer: 0,
    };

    fn bounds(records: u32) -> Bounds {
        Bounds {
            capacity: records * 64,
            zones: [0; 2],
        }
    }

    fn produce<const N: usize>(model: &Model, cells: &Cells<N>, records: u32) {
        let mut producer = Producer::new(bounds(u32::try_from(N).unwrap()));
        for number in 1..=records {
            let record = producer.lay(EMPTY).unwrap();
            while !producer.has_room(&record) {
                let head = model.await_change(Word::Head, producer.head());
                producer.hear(head).unwrap();
            }
            cells.write(producer.tail(), number);
            let tail = producer.advance(&record);
            publish(model, Word::Tail, tail);
        }
    }

    fn consume<const N: usize>(model: &Model, cells: &Cells<N>, records: u32) {
        let mut consumer = Consumer::new(bounds(u32::try_from(N).unwrap()));
        let mut number = 0;
        while number < records {
            let tail = model.await_change(Word::Tail, consumer.head());
            while consumer.available(tail).unwrap() > 0 {
                number += 1;
                assert_eq!(cells.read(consumer.head()), number);
                let record = consumer.decode(EMPTY.encode(), tail).unwrap();
                let head = consumer.advance(&record);
                publish(model, Word::Head, head);
            }
        }
    }

    fn check(model: impl Fn() + Sync + Send + 'static) {
        let mut builder = loom::model::Builder::new();
        // More switches than this find nothing new in programs so small, and take for ever.
        builder.preemption_bound = Some(3);
        builder.check(model);
    }

    #[test]
    fn in_a_full_ring_nothing_is_lost_overtaken_or_slept_through() {
        check(|| {
            let (one, other) = Model::pair();
            let cells = Arc::new(Cells::<1>::new());
            let theirs = Arc::clone(&cells);
            let consumer = loom::thread::spawn(move || consume(&other, &theirs, 3));
            produce(&one, &cells, 3);
            consumer.join().unwrap();
        });
    }

    #[test]
    fn in_a_ring_with_room_nothing_is_lost_overtaken_or_slept_through() {
        check(|| {
            let (one, other) = Model::pair();
            let cells = Arc::new(Cells::<2>::new());
            let theirs = Arc::clone(&cells);
            let consumer = loom::thread::spawn(move || consume(&other, &theirs, 3));
            produce(&one, &cells, 3);
            consumer.join().unwrap();
        });
    }

    #[test]
    fn a_question_and_its_answer_wake_both_sides() {
        check(|| {
            let (one, other) = Model::pair();
            let answering = loom::thread::spawn(move || {
                for round in 0..2 {
                    other.await_change(Word::Tail, round);
                    publish(&other, Word::Tail, round + 1);
                }
            });
            for round in 0..2 {
                publish(&one, Word::Tail, round + 1);
                one.await_change(Word::Tail, round);
            }
            answering.join().unwrap();
        });
    }

    /// The same words, without the fence.
    struct Unfenced(Model);

    impl Words for Unfenced {
        fn set(&self, mine: Word, value: u32) {
            self.0.set(mine, value);
        }

        fn see(&self, theirs: Word) -> u32 {
            self.0.see(theirs)
        }

        fn fence(&self) {}

        fn wake(&self, mine: Word) {
            self.0.wake(mine);
        }
    }

    #[test]
    #[should_panic(expected = "deadlock")]
    fn without_the_fence_the_model_finds_the_lost_wake_up() {
        check(|| {
            let (one, other) = Model::pair();
            let publishing = loom::thread::spawn(move || {
                publish(&Unfenced(other), Word::Tail, 1);
            });
            let words = Unfenced(one);
            while words.see(Word::Tail) == 0 {
                // The kernel's own comparison is left out: that of the protocol is on trial.
                park(&words, Word::Tail, 0, || {
                    let queue = words.0.theirs.queue.lock().unwrap();
                    drop(words.0.theirs.bell.wait(queue).unwrap());
                });
            }
            publishing.join().unwrap();
        });
    }
}

//! Inputs that nobody thought of.

use super::Case;
use crate::runtime::mix;

/// The largest of them.
const LARGE: usize = 1 << 20;

/// So many inputs: an empty one, a large one, and then random bytes and cases that were damaged, by turns.
pub(super) fn inputs(cases: &[Case], count: usize, seed: u64, most: usize) -> Vec<Vec<u8>> {
    let mut rng = fastrand::Rng::with_seed(mix(seed));
    let mut inputs = vec![Vec::new(), vec![b'x'; LARGE.min(most)]];
    while inputs.len() < count {
        let of_case = match cases {
            [] => None,
            cases => Some(cases[rng.usize(..cases.len())].input.clone()),
        };
        let damaged_case = of_case.filter(|input| !input.is_empty() && rng.bool());
        let mut input = match damaged_case {
            Some(input) => damaged(input, &mut rng),
            None => {
                let mut bytes = vec![0; 1 << rng.u32(0..12)];
                rng.fill(&mut bytes);
                bytes
            }
        };
        input.truncate(most);
        inputs.push(input);
    }
    inputs.truncate(count);
    inputs
}

fn damaged(mut input: Vec<u8>, rng: &mut fastrand::Rng) -> Vec<u8> {
    let at = rng.usize(..input.len());
    match rng.u8(0..4) {
        0 => input[at] ^= 1 << rng.u32(0..8),
        1 => input.truncate(at),
        2 => input.insert(at, rng.u8(..)),
        _ => {
            let tail = input[at..].to_vec();
            input.extend(tail);
        }
    }
    input
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_decides_them_and_the_first_are_always_there() {
        let some = inputs(&[], 20, 7, 100);
        assert_eq!(some.len(), 20);
        assert_eq!((some[0].len(), some[1].len()), (0, 100));
        assert_eq!(some, inputs(&[], 20, 7, 100));
        assert_ne!(some, inputs(&[], 20, 8, 100));
        assert_eq!(inputs(&[], 1, 7, 100).len(), 1);
    }
}

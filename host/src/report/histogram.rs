//! Latencies under load as HDR histograms, for the tools that read them.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};

use crate::experiment::Arm;

/// Significant digits that a histogram keeps.
const DIGITS: u8 = 3;

/// One histogram for each arm, over all of its rounds: nanoseconds, three significant digits, in the
/// compressed encoding V2 of <https://hdrhistogram.org>, base64.
pub(super) fn histograms(samples: &BTreeMap<Arm, Vec<Vec<f64>>>) -> BTreeMap<Arm, String> {
    let encoded = samples
        .iter()
        .filter_map(|(&arm, rounds)| Some((arm, encode(rounds.iter().flatten().copied())?)));
    encoded.collect()
}

fn encode(seconds: impl Iterator<Item = f64>) -> Option<String> {
    let mut histogram = Histogram::<u64>::new(DIGITS).ok()?;
    for value in seconds {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float saturates"
        )]
        let nanos = (value * 1e9).round() as u64;
        histogram.record(nanos.max(1)).ok()?;
    }
    if histogram.is_empty() {
        return None;
    }
    let mut bytes = Vec::new();
    V2DeflateSerializer::new()
        .serialize(&histogram, &mut bytes)
        .ok()?;
    Some(STANDARD.encode(bytes))
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::Deserializer;

    use super::*;

    #[test]
    fn a_histogram_gives_back_its_quantiles() {
        let seconds = (1..=1000).map(|count| f64::from(count) * 1e-6);
        let text = encode(seconds).unwrap();
        assert!(
            text.starts_with("HISTFAAA"),
            "what every tool looks for: {text}"
        );
        let bytes = STANDARD.decode(text).unwrap();
        let histogram: Histogram<u64> = Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .unwrap();
        assert_eq!(histogram.len(), 1000);
        let p99 = histogram.value_at_quantile(0.99);
        assert!((989_000..=991_500).contains(&p99), "{p99}");
    }

    #[test]
    fn no_samples_are_no_histogram() {
        let samples = BTreeMap::from([(Arm::Thread, vec![vec![]])]);
        assert!(histograms(&samples).is_empty());
    }
}

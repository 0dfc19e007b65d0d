//! Quantiles of a sample.

/// The `q`-quantile, by linear interpolation between order statistics: definition 7 of Hyndman and
/// Fan, "Sample quantiles in statistical packages", The American Statistician 50 (1996), the default
/// of R and numpy. `None` for no values. The values need no order.
///
/// # Panics
/// If `q` is not within 0 and 1, or a value is not a number.
#[must_use]
pub fn quantile(values: &[f64], q: f64) -> Option<f64> {
    assert!((0.0..=1.0).contains(&q), "a quantile is asked for at {q}");
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(|a, b| a.partial_cmp(b).expect("samples are numbers"));
    let last = sorted.len().checked_sub(1)?;
    #[expect(clippy::cast_precision_loss, reason = "no sample has 2^52 values")]
    let place = q * last as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "0 <= place <= last"
    )]
    let below = place.floor() as usize;
    let above = (below + 1).min(last);
    Some(sorted[below] + (sorted[above] - sorted[below]) * (place - place.floor()))
}

/// The middle value, or the mean of the two middle ones.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_agree_with_numpy() {
        // numpy.quantile([7, 1, 5, 3, 100], [0, .25, .5, .9, .99, 1])
        let values = [7.0, 1.0, 5.0, 3.0, 100.0];
        let expected = [
            (0.0, 1.0),
            (0.25, 3.0),
            (0.5, 5.0),
            (0.9, 62.8),
            (0.99, 96.28),
            (1.0, 100.0),
        ];
        for (q, value) in expected {
            let found = quantile(&values, q).unwrap();
            assert!((found - value).abs() < 1e-9, "q {q}: {found}");
        }
    }

    #[test]
    fn an_even_number_of_values_has_a_median_between_them() {
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
    }

    #[test]
    fn no_values_have_no_quantile() {
        assert_eq!(quantile(&[], 0.5), None);
    }
}

//! Charts of one line each, in block characters.

/// The heights that a column can have.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A range of positive values, on which equal factors are equal distances.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LogScale {
    /// The smallest value.
    pub(super) low: f64,
    /// The largest.
    pub(super) high: f64,
}

impl LogScale {
    /// The range of the values that are positive numbers; `None` if none is.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        values.into_iter().filter(|value| is_drawable(*value)).fold(
            None,
            |range: Option<Self>, value| {
                let range = range.unwrap_or(Self {
                    low: value,
                    high: value,
                });
                Some(Self {
                    low: range.low.min(value),
                    high: range.high.max(value),
                })
            },
        )
    }

    /// Which of so many equal steps a value lies in, from 0.
    fn step(self, value: f64, steps: usize) -> usize {
        let span = self.high.ln() - self.low.ln();
        let share = if span > 0.0 {
            (value.ln() - self.low.ln()) / span
        } else {
            0.5
        };
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share of the columns of a terminal; what is below zero or no number becomes 0"
        )]
        let step = (share * steps as f64) as usize;
        step.min(steps.saturating_sub(1))
    }
}

/// One column for each value, the higher the larger it is. Blank where there is none.
pub(super) fn spark(values: impl IntoIterator<Item = Option<f64>>, scale: LogScale) -> String {
    let column = |value: Option<f64>| match value.filter(|value| is_drawable(*value)) {
        Some(value) => BLOCKS[scale.step(value, BLOCKS.len())],
        None => ' ',
    };
    values.into_iter().map(column).collect()
}

/// How samples are spread over a scale, in so many columns: the highest column holds the most of
/// them, and each that holds any is seen. Blanks at the end are left away.
pub(super) fn histogram(
    samples: impl IntoIterator<Item = f64>,
    scale: LogScale,
    columns: usize,
) -> String {
    let mut counts = vec![0_usize; columns];
    for sample in samples.into_iter().filter(|sample| is_drawable(*sample)) {
        if let Some(count) = counts.get_mut(scale.step(sample, columns)) {
            *count += 1;
        }
    }
    let most = counts.iter().copied().max().unwrap_or(0);
    let column = |count: usize| match (count * BLOCKS.len()).div_ceil(most.max(1)) {
        0 => ' ',
        height => BLOCKS[height - 1],
    };
    let text: String = counts.into_iter().map(column).collect();
    text.trim_end().to_owned()
}

fn is_drawable(value: f64) -> bool {
    value.is_finite() && value > 0.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCALE: LogScale = LogScale {
        low: 1.0,
        high: 256.0,
    };

    #[test]
    fn equal_factors_are_equal_steps() {
        let values = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 256.0];
        assert_eq!(spark(values.map(Some), SCALE), "▁▂▃▄▅▆▇█");
    }

    #[test]
    fn what_cannot_be_drawn_is_blank() {
        let values = [
            None,
            Some(f64::NAN),
            Some(0.0),
            Some(-1.0),
            Some(f64::INFINITY),
            Some(1.0),
        ];
        assert_eq!(spark(values, SCALE), "     ▁");
    }

    #[test]
    fn the_range_is_that_of_positive_numbers() {
        let values = [f64::NAN, 3.0, 0.0, -5.0, 0.5, f64::INFINITY];
        assert_eq!(
            LogScale::of(values),
            Some(LogScale {
                low: 0.5,
                high: 3.0
            })
        );
        assert_eq!(LogScale::of([f64::NAN, 0.0]), None);
        assert_eq!(LogScale::of([]), None);
    }

    #[test]
    fn equal_values_lie_in_the_middle() {
        let scale = LogScale::of([7.0, 7.0]).unwrap();
        assert_eq!(spark([Some(7.0)], scale), "▅");
        assert_eq!(histogram([7.0, 7.0], scale, 5), "  █");
    }

    #[test]
    fn a_histogram_shows_a_single_sample_beside_many() {
        let many = std::iter::repeat_n(1.0, 1000);
        assert_eq!(histogram(many.chain([256.0]), SCALE, 8), "█      ▁");
        let spread = [1.0, 1.0, 1.0, 1.0, 8.0, 8.0];
        assert_eq!(histogram(spread, SCALE, 8), "█  ▄");
    }

    #[test]
    fn nothing_is_drawn_of_nothing() {
        assert_eq!(histogram([], SCALE, 8), "");
        assert_eq!(histogram([1.0], SCALE, 0), "");
        assert_eq!(spark([], SCALE), "");
    }
}

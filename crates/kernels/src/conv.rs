//! Causal depthwise convolution over time with a tail that carries a session's last rows.

use crate::simd::{Arithmetic, dispatch};

dispatch! {
    /// `out[t, c] = sum_j taps[j, c] * in[t - (n - 1) + j, c]` over `n` taps and `channels` columns.
    ///
    /// `input` holds T rows, `row_stride` apart, whose first `channels` columns are read; `tail`
    /// `[n - 1, channels]` holds the rows before them, oldest first, and receives the last rows seen;
    /// `out` is `[T, channels]`.
    ///
    /// # Panics
    /// When the lengths do not fit together.
    pub fn causal_conv(
        input: &[f32],
        row_stride: usize,
        taps: &[f32],
        channels: usize,
        tail: &mut [f32],
        out: &mut [f32],
    ) = causal_conv_body
}

#[inline(always)]
fn causal_conv_body<A: Arithmetic>(
    input: &[f32],
    row_stride: usize,
    taps: &[f32],
    channels: usize,
    tail: &mut [f32],
    out: &mut [f32],
) {
    let before = check_lengths(input, row_stride, taps, channels, tail, out);
    let time = out.len() / channels;
    for t in 0..time {
        let row = &mut out[t * channels..][..channels];
        row.fill(0.0);
        for (j, tap) in taps.chunks_exact(channels).enumerate() {
            let source = if t + j < before {
                &tail[(t + j) * channels..][..channels]
            } else {
                &input[(t + j - before) * row_stride..][..channels]
            };
            for ((out, tap), x) in row.iter_mut().zip(tap).zip(source) {
                *out = A::mul_add(*tap, *x, *out);
            }
        }
    }
    let kept = before.saturating_sub(time);
    tail.copy_within((before - kept) * channels.., 0);
    for i in kept..before {
        let from = (time + i - before) * row_stride;
        tail[i * channels..][..channels].copy_from_slice(&input[from..][..channels]);
    }
}

/// [`causal_conv`] from its definition: all rows, the tail first, and a result without state.
///
/// # Panics
/// When the lengths do not fit together.
pub fn causal_conv_reference(rows: &[Vec<f32>], taps: &[f32], channels: usize) -> Vec<f32> {
    let n = taps.len() / channels;
    let mut out = Vec::new();
    for t in 0..rows.len() {
        for c in 0..channels {
            let mut sum = 0.0f64;
            for j in 0..n {
                if t + j + 1 >= n {
                    sum += f64::from(taps[j * channels + c]) * f64::from(rows[t + j + 1 - n][c]);
                }
            }
            out.push(sum as f32);
        }
    }
    out
}

#[inline(always)]
fn check_lengths(
    input: &[f32],
    row_stride: usize,
    taps: &[f32],
    channels: usize,
    tail: &[f32],
    out: &[f32],
) -> usize {
    let n = taps.len() / channels;
    let time = out.len() / channels;
    assert!(
        n >= 1
            && taps.len() == n * channels
            && tail.len() == (n - 1) * channels
            && out.len() == time * channels
            && (time == 0 || input.len() >= (time - 1) * row_stride + channels),
        "convolution of {} elements at stride {row_stride} over {channels} channels: {} taps, {} of tail, {} outputs",
        input.len(),
        taps.len(),
        tail.len(),
        out.len()
    );
    n - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::tests::{noise, relative_error};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn pieces_of_any_length_give_the_whole(
            channels in 1usize..40, taps in 1usize..5, pad in 0usize..3,
            lengths in proptest::collection::vec(0usize..6, 1..6), seed: u64,
        ) {
            let time: usize = lengths.iter().sum();
            let stride = channels + pad;
            let input = noise(seed, time * stride);
            let weights = noise(seed ^ 1, taps * channels);
            let rows: Vec<Vec<f32>> = input.chunks(stride).map(|r| r[..channels].to_vec()).collect();
            let expected = causal_conv_reference(&rows, &weights, channels);

            let mut tail = vec![0.0; (taps - 1) * channels];
            let mut found = Vec::new();
            let mut at = 0;
            for length in lengths {
                let mut out = vec![0.0; length * channels];
                let piece = &input[at * stride..(at + length) * stride];
                causal_conv(piece, stride, &weights, channels, &mut tail, &mut out);
                found.extend(out);
                at += length;
            }
            prop_assert!(relative_error(&found, &expected) < 1e-6);
        }
    }
}

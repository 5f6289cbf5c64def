//! What a gate wants to know of a distribution: entropy, most probable token, its probability.

/// Summary of one dense distribution.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Summary {
    /// In nats, to about 0.001.
    pub entropy: f32,
    /// Probability of the most probable token.
    pub top_probability: f32,
    /// The most probable token; the lowest id of equals.
    pub top: u32,
}

const LANES: usize = 32;

/// Summarises a distribution (`[V]`, sums to 1). Lanes are fixed, so every machine gives the same bits.
pub fn summarise(probabilities: &[f32]) -> Summary {
    pulp::Arch::new().dispatch(Summarise(probabilities))
}

struct Summarise<'a>(&'a [f32]);

impl pulp::NullaryFnOnce for Summarise<'_> {
    type Output = Summary;

    #[inline(always)]
    fn call(self) -> Summary {
        summarise_lanes(self.0)
    }
}

#[inline(always)]
fn summarise_lanes(probabilities: &[f32]) -> Summary {
    let mut entropy = [0.0f32; LANES];
    let mut maximum = [0.0f32; LANES];
    let chunks = probabilities.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for lane in 0..LANES {
            let p = chunk[lane];
            entropy[lane] -= p * fast_log2(p);
            maximum[lane] = if p > maximum[lane] { p } else { maximum[lane] };
        }
    }
    for (lane, &p) in rest.iter().enumerate() {
        entropy[lane] -= p * fast_log2(p);
        maximum[lane] = maximum[lane].max(p);
    }
    let top_probability = maximum.iter().fold(0.0f32, |a, &b| a.max(b));
    let top = first_index_of(probabilities, top_probability);
    Summary {
        entropy: (entropy.iter().sum::<f32>() * std::f32::consts::LN_2).max(0.0),
        top_probability,
        top: top as u32,
    }
}

#[inline(always)]
fn first_index_of(values: &[f32], value: f32) -> usize {
    for (index, chunk) in values.chunks(LANES * 2).enumerate() {
        if chunk.iter().fold(false, |hit, &v| hit | (v == value)) {
            let within = chunk.iter().position(|&v| v == value).unwrap_or(0);
            return index * LANES * 2 + within;
        }
    }
    0
}

/// log2 on [1, 2), interpolated at the Chebyshev nodes of degree 4: off by at most 1.2e-4.
const COEFFICIENTS: [f32; 5] = [
    -2.498_353,
    4.029_211_4,
    -2.078_335_2,
    0.626_032_2,
    -0.078_440_68,
];

/// Binary logarithm from the bits of the float, absolute error below 2e-4 for normal numbers; finite at zero.
#[inline(always)]
fn fast_log2(x: f32) -> f32 {
    let bits = x.to_bits();
    let exponent = (bits as i32 >> 23) as f32;
    let mantissa = f32::from_bits((bits & 0x007f_ffff) | 0x3f80_0000);
    let log2 = COEFFICIENTS
        .iter()
        .rev()
        .fold(0.0, |sum, &coefficient| sum * mantissa + coefficient);
    exponent + (log2 - 127.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fast_logarithm_is_close() {
        for exponent in -30..2 {
            for step in 0..100 {
                let x = 2f32.powi(exponent) * (1.0 + step as f32 / 100.0);
                assert!((fast_log2(x) - x.log2()).abs() < 2e-4, "{x}");
            }
        }
        assert!(fast_log2(0.0).is_finite());
    }

    #[test]
    fn summary_of_uniform_and_of_certain() {
        let uniform = summarise(&[1.0 / 300.0; 300]);
        assert!((uniform.entropy - 300f32.ln()).abs() < 1e-3);
        assert_eq!(uniform.top, 0);
        let mut certain = vec![0.0; 301];
        certain[300] = 1.0;
        let certain = summarise(&certain);
        assert!(certain.entropy < 1e-3);
        assert_eq!((certain.top, certain.top_probability), (300, 1.0));
    }
}

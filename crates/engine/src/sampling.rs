//! Picks a token from a distribution: greedily, or at random with temperature and nucleus.

use crate::EngineError;
use rand::Rng;

/// How tokens are picked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sampling {
    /// The most probable token, the one of the lowest id among equals.
    Greedy,
    /// A random one: probabilities to the power of `1 / temperature`, of these the smallest set that
    /// holds at least `top_p` of the mass.
    Random {
        /// Above 0; 1 leaves the probabilities as they are.
        temperature: f32,
        /// In (0, 1]; 1 keeps every token.
        top_p: f32,
        /// The same seed gives the same tokens.
        seed: u64,
    },
}

impl Sampling {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`EngineError::Request`] that names the field.
    pub fn validate(&self) -> Result<(), EngineError> {
        let Self::Random {
            temperature, top_p, ..
        } = *self
        else {
            return Ok(());
        };
        if !(temperature.is_finite() && temperature > 0.0) {
            let reason = format!("{temperature} is not a positive number");
            return Err(EngineError::Request {
                field: "temperature",
                reason,
            });
        }
        if !(top_p > 0.0 && top_p <= 1.0) {
            let reason = format!("{top_p} is not in (0, 1]");
            return Err(EngineError::Request {
                field: "top_p",
                reason,
            });
        }
        Ok(())
    }

    /// Picks one of the candidates `(token, probability)`, which need not sum to 1; `None` when there
    /// is none of a probability above 0.
    pub(crate) fn pick(&self, candidates: &[(u32, f32)], rng: &mut impl Rng) -> Option<u32> {
        match *self {
            Self::Greedy => most_probable(candidates).map(|(token, _)| token),
            Self::Random {
                temperature, top_p, ..
            } => {
                let weighted = sharpen(candidates, temperature);
                draw(&nucleus(weighted, top_p), rng)
            }
        }
    }
}

fn most_probable(candidates: &[(u32, f32)]) -> Option<(u32, f32)> {
    candidates
        .iter()
        .copied()
        .filter(|(_, p)| *p > 0.0)
        .reduce(|best, next| {
            let wins = next.1 > best.1 || (next.1 == best.1 && next.0 < best.0);
            if wins { next } else { best }
        })
}

/// Probabilities to the power of `1 / temperature`, scaled so that none of the large ones underflows.
fn sharpen(candidates: &[(u32, f32)], temperature: f32) -> Vec<(u32, f32)> {
    let Some((_, best)) = most_probable(candidates) else {
        return Vec::new();
    };
    let power = 1.0 / temperature;
    let scaled = candidates.iter().filter(|(_, p)| *p > 0.0);
    scaled
        .map(|(token, p)| (*token, (p / best).powf(power)))
        .collect()
}

/// The most probable candidates that together hold at least `top_p` of the mass.
fn nucleus(mut candidates: Vec<(u32, f32)>, top_p: f32) -> Vec<(u32, f32)> {
    if top_p >= 1.0 {
        return candidates;
    }
    let total: f32 = candidates.iter().map(|(_, p)| p).sum();
    // All candidates below this hold less than 1 - top_p together, so none is needed.
    let floor = total * (1.0 - top_p) / candidates.len().max(1) as f32;
    candidates.retain(|(_, p)| *p >= floor);
    candidates.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let mut sum = 0.0;
    let needed = candidates.iter().take_while(|(_, p)| {
        let enough = sum >= top_p * total;
        sum += p;
        !enough
    });
    let needed = needed.count();
    candidates.truncate(needed);
    candidates
}

fn draw(candidates: &[(u32, f32)], rng: &mut impl Rng) -> Option<u32> {
    let total: f32 = candidates.iter().map(|(_, p)| p).sum();
    let mut left = rng.random::<f32>() * total;
    for (token, p) in candidates {
        if left < *p {
            return Some(*token);
        }
        left -= p;
    }
    // Rounding can leave a crumb after the last one.
    candidates.last().map(|(token, _)| *token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    const CANDIDATES: [(u32, f32); 4] = [(3, 0.1), (5, 0.4), (7, 0.4), (9, 0.0)];

    fn shares(temperature: f32, top_p: f32) -> [f32; 3] {
        let sampling = Sampling::Random {
            temperature,
            top_p,
            seed: 0,
        };
        let mut rng = StdRng::seed_from_u64(1);
        let mut counts = [0.0; 3];
        for _ in 0..20_000 {
            match sampling.pick(&CANDIDATES, &mut rng) {
                Some(token @ (3 | 5 | 7)) => counts[(token as usize - 3) / 2] += 1.0 / 20_000.0,
                other => panic!("{other:?}"),
            }
        }
        counts
    }

    fn check(found: [f32; 3], expected: [f32; 3]) {
        for (found, expected) in found.into_iter().zip(expected) {
            assert!((found - expected).abs() < 0.02, "{found} for {expected}");
        }
    }

    #[test]
    fn greedy_takes_the_first_of_the_best() {
        let mut rng = StdRng::seed_from_u64(1);
        assert_eq!(Sampling::Greedy.pick(&CANDIDATES, &mut rng), Some(5));
        assert_eq!(Sampling::Greedy.pick(&[(9, 0.0)], &mut rng), None);
        assert_eq!(Sampling::Greedy.pick(&[], &mut rng), None);
    }

    #[test]
    fn shares_follow_the_probabilities() {
        check(shares(1.0, 1.0), [1.0 / 9.0, 4.0 / 9.0, 4.0 / 9.0]);
        check(shares(0.5, 1.0), [1.0 / 33.0, 16.0 / 33.0, 16.0 / 33.0]);
        check(shares(1.0, 0.85), [0.0, 0.5, 0.5]);
        check(shares(1.0, 0.1), [0.0, 1.0, 0.0]);
        check(shares(0.001, 1.0), [0.0, 0.5, 0.5]);
    }

    #[test]
    fn wrong_numbers_are_named() {
        for (temperature, top_p, field) in [
            (0.0, 1.0, "temperature"),
            (f32::NAN, 1.0, "temperature"),
            (1.0, 0.0, "top_p"),
            (1.0, 1.1, "top_p"),
        ] {
            let sampling = Sampling::Random {
                temperature,
                top_p,
                seed: 0,
            };
            let error = sampling.validate().unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
        }
        Sampling::Greedy.validate().unwrap();
    }
}

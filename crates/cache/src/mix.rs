//! The mixture `p = sum(w_i p_i)` of full distributions. It sums to 1 because weights and components do.

/// Mixes `components` (each `[V]`) with `weights` into `out` (`[V]`). Components beyond the weights, and weights beyond the
/// components, are ignored: the caller pairs them.
pub fn mix(components: &[&[f32]], weights: &[f32], out: &mut [f32]) {
    pulp::Arch::new().dispatch(Mix {
        components,
        weights,
        out,
    });
}

struct Mix<'a> {
    components: &'a [&'a [f32]],
    weights: &'a [f32],
    out: &'a mut [f32],
}

impl pulp::NullaryFnOnce for Mix<'_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.out.fill(0.0);
        for (component, &weight) in self.components.iter().zip(self.weights) {
            for (mixed, &p) in self.out.iter_mut().zip(*component) {
                *mixed += weight * p;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn normalise(mut values: Vec<f32>) -> Vec<f32> {
        let total: f32 = values.iter().sum();
        values.iter_mut().for_each(|v| *v /= total);
        values
    }

    proptest! {
        #[test]
        fn a_mixture_of_distributions_sums_to_one(
            raw in prop::collection::vec(prop::collection::vec(0.001f32..1.0, 500), 1..6),
            seed in prop::collection::vec(0.001f32..1.0, 6),
        ) {
            let components: Vec<Vec<f32>> = raw.into_iter().map(normalise).collect();
            let weights = normalise(seed[..components.len()].to_vec());
            let slices: Vec<&[f32]> = components.iter().map(Vec::as_slice).collect();
            let mut mixed = vec![0.0; 500];
            mix(&slices, &weights, &mut mixed);
            let total: f32 = mixed.iter().sum();
            prop_assert!((total - 1.0).abs() < 1e-5, "{}", total);
        }
    }
}

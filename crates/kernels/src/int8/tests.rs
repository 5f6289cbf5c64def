use super::*;
use crate::simd::tests::noise;
use proptest::prelude::*;

fn rows(x: &[f32], inputs: usize) -> CodeRows {
    let mut rows = CodeRows::default();
    rows.set(x, inputs);
    rows
}

fn wide_rows(x: &[f32], inputs: usize) -> CodeRows {
    let mut rows = CodeRows::default();
    rows.set_wide(x, inputs);
    rows
}

/// The product by every set that the processor has.
fn products(x: &CodeRows, w: &Int8Panels, threads: usize) -> Vec<(&'static str, Vec<f32>)> {
    let by = |set: IntegerSet| {
        let mut y = vec![7.0; x.rows() * w.outputs()];
        multiply(x, w, &mut y, threads, set);
        (set.name(), y)
    };
    IntegerSet::available().into_iter().map(by).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn every_instruction_set_gives_the_bits_of_the_reference(
        n in 0usize..20, inputs in 1usize..90, outputs in 0usize..300, threads in 1usize..4,
    ) {
        let x = noise(1, n * inputs);
        let w = Int8Panels::from_rows(&noise(2, inputs * outputs), inputs);
        for coded in [rows, wide_rows] {
            let together = coded(&x, inputs);
            let mut plain = vec![0.0; n * outputs];
            matmul_int8_reference(&together, &w, &mut plain);
            for (set, found) in products(&together, &w, threads) {
                prop_assert_eq!(&found, &plain, "{}", set);
            }
            // Rows together are rows alone.
            let mut alone = vec![0.0; n * outputs];
            for (x, y) in x.chunks_exact(inputs).zip(alone.chunks_exact_mut(outputs.max(1))) {
                matmul_int8(&coded(x, inputs), &w, y, 1);
            }
            prop_assert_eq!(&alone, &plain);
        }
    }

    #[test]
    fn the_product_is_near_that_of_the_numbers(n in 1usize..5, inputs in 16usize..300, outputs in 1usize..40) {
        let (x, w) = (noise(3, n * inputs), noise(4, inputs * outputs));
        let panels = Int8Panels::from_columns(&w, inputs);
        let mut found = vec![0.0; n * outputs];
        matmul_int8(&rows(&x, inputs), &panels, &mut found, 1);
        let mut exact = vec![0.0; n * outputs];
        for (x, y) in x.chunks_exact(inputs).zip(exact.chunks_exact_mut(outputs)) {
            crate::reference::gemv(x, &w, y);
        }
        // Numbers up to 1, each off by at most half of 1/127.
        let within = |found: &[f32], bound: f32| {
            let off = |(found, exact): (&f32, &f32)| (found - exact).abs() <= bound;
            found.iter().zip(&exact).all(off)
        };
        prop_assert!(within(&found, inputs as f32 * 1.01 / 127.0));
        // Two planes leave the rounding of the weights: with weights that are codes already the rest is small.
        let codes: Vec<f32> = w.iter().map(|w| (w * 126.0).round()).collect();
        let mut codes_of_127 = codes.clone();
        codes_of_127[..outputs].fill(127.0);
        let panels = Int8Panels::from_columns(&codes_of_127, inputs);
        matmul_int8(&wide_rows(&x, inputs), &panels, &mut found, 1);
        for (x, y) in x.chunks_exact(inputs).zip(exact.chunks_exact_mut(outputs)) {
            crate::reference::gemv(x, &codes_of_127, y);
        }
        let off = |(found, exact): (&f32, &f32)| (found - exact).abs() <= inputs as f32 * 127.0 * 0.51 / 8128.0;
        prop_assert!(found.iter().zip(&exact).all(off));
    }
}

#[test]
fn the_largest_codes_do_not_saturate() {
    // Pairs of products of the largest codes are where 16-bit sums of unsigned by signed codes would saturate.
    for (x, w) in [(1.0, 1.0), (-1.0, 1.0), (1.0, -1.0), (-1.0, -1.0)] {
        let inputs = 1027;
        let w = Int8Panels::from_rows(&vec![w; inputs * 35], inputs);
        let x = rows(&vec![x; inputs * 7], inputs);
        let mut plain = vec![0.0; 7 * 35];
        matmul_int8_reference(&x, &w, &mut plain);
        assert!((plain[0].abs() - inputs as f32).abs() < 0.01);
        for (set, found) in products(&x, &w, 1) {
            assert_eq!(found, plain, "{set}");
        }
    }
}

#[test]
fn most_wide_inputs_do_not_overflow() {
    let inputs = MAX_WIDE_INPUTS;
    let w = Int8Panels::from_rows(&vec![-1.0; inputs], inputs);
    for (set, found) in products(&wide_rows(&vec![1.0; inputs], inputs), &w, 1) {
        assert!((found[0] / inputs as f32 + 1.0).abs() < 1e-5, "{set}");
    }
}

#[test]
fn most_inputs_do_not_overflow() {
    let inputs = MAX_INT8_INPUTS;
    let w = Int8Panels::from_rows(&vec![-1.0; inputs], inputs);
    for (set, found) in products(&rows(&vec![1.0; inputs], inputs), &w, 1) {
        assert!((found[0] / inputs as f32 + 1.0).abs() < 1e-5, "{set}");
    }
}

#[test]
fn codes_are_rounded_to_nearest_and_kept() {
    let w = Int8Panels::from_rows(&[1.27, -0.014, 0.016, 0.0, 0.0, 0.0], 3);
    let (scale, codes) = w.column(0);
    assert!((scale - 0.01).abs() < 1e-8);
    assert_eq!(codes.collect::<Vec<_>>(), [127, -1, 2]);
    let (scale, codes) = w.column(1);
    assert_eq!((scale, codes.collect::<Vec<_>>()), (0.0, vec![0, 0, 0]));
    assert_eq!(
        w,
        Int8Panels::from_codes(&[127, -1, 2, 0, 0, 0], &[w.column(0).0, 0.0], 3)
    );
}

#[test]
fn buffers_carry_nothing_over() {
    let mut used = rows(&noise(1, 90), 9);
    used.set(&noise(2, 35), 7);
    assert_eq!(used, rows(&noise(2, 35), 7));
    used.set(&[], 7);
    assert_eq!(used.rows(), 0);
}

#[test]
fn what_is_not_a_number_is_not_hidden() {
    let w = Int8Panels::from_rows(&noise(1, 64), 32);
    for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut x = noise(2, 64);
        x[40] = wrong;
        for (set, found) in products(&rows(&x, 32), &w, 1) {
            assert!(found[..2].iter().all(|y| y.is_finite()), "{set}");
            assert!(found[2..].iter().all(|y| y.is_nan()), "{set}");
        }
    }
}

#[test]
#[should_panic(expected = "product of 2 x 2 by 3 x 2 into 2")]
fn shapes_that_do_not_fit_are_named() {
    let w = Int8Panels::from_rows(&[0.0; 6], 3);
    matmul_int8(&rows(&[0.0; 4], 2), &w, &mut [0.0; 2], 1);
}

use super::*;
use crate::int8::{Int8Panels, MAX_INT8_INPUTS, matmul_int8};
use crate::simd::tests::noise;
use proptest::prelude::*;

/// Codes `[O, I]` that groups of numbers of 4 bits make.
fn codes(seed: u64, inputs: usize, outputs: usize) -> Vec<i8> {
    let numbers = noise(seed, inputs * outputs);
    let factors = noise(seed + 1, outputs * inputs.div_ceil(GROUP));
    let code = |(at, number): (usize, &f32)| {
        let (j, i) = (at / inputs, at % inputs);
        let factor = (factors[j * inputs.div_ceil(GROUP) + i / GROUP] * 15.9) as i8;
        (number * 8.0).floor() as i8 * if factor == 0 { 1 } else { factor }
    };
    numbers.iter().enumerate().map(code).collect()
}

fn grouped(x: &[f32], inputs: usize) -> CodeRows {
    let mut rows = CodeRows::default();
    rows.set_grouped(x, inputs);
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn every_way_gives_the_bits_of_the_codes(
        n in 0usize..20, inputs in 1usize..150, outputs in 0usize..300, threads in 1usize..4,
    ) {
        let (codes, scales) = (codes(1, inputs, outputs), noise(3, outputs));
        let wide = Int8Panels::from_codes(&codes, &scales, inputs);
        let narrow = Int4Panels::from_codes(&codes, &scales, inputs).expect("such codes fit");
        for column in 0..outputs {
            let (scale, found) = narrow.column(column);
            prop_assert_eq!(scale, scales[column]);
            let expected = &codes[column * inputs..][..inputs];
            prop_assert_eq!(found.collect::<Vec<_>>(), expected);
        }
        let x = noise(4, n * inputs);
        let rows = grouped(&x, inputs);
        let mut ungrouped = CodeRows::default();
        ungrouped.set(&x, inputs);
        let mut plain = vec![0.0; n * outputs];
        crate::reference::matmul_int8(&rows, &wide, &mut plain);
        for set in IntegerSet::available() {
            for rows in [&rows, &ungrouped] {
                let mut found = vec![7.0; n * outputs];
                multiply(rows, &narrow, &mut found, threads, set);
                prop_assert_eq!(&found, &plain, "{}", set.name());
            }
        }
        let mut found = vec![7.0; n * outputs];
        matmul_int4(&rows, &narrow, &mut found, threads);
        prop_assert_eq!(&found, &plain);
        matmul_int8(&rows, &wide, &mut found, threads);
        prop_assert_eq!(&found, &plain);
    }
}

#[test]
fn the_largest_numbers_do_not_saturate() {
    // Numbers of 4 bits with their 8 are 0 to 15; sixteen products of 15 by 127 are where sums of 16 bits would end.
    for (x, code) in [(1.0, -120), (-1.0, -120), (1.0, 105), (-1.0, 105)] {
        let inputs = 1027;
        let codes = vec![code; inputs * 35];
        let narrow = Int4Panels::from_codes(&codes, &[1.0; 35], inputs).unwrap();
        let rows = grouped(&vec![x; inputs * 7], inputs);
        for set in IntegerSet::available() {
            let mut found = vec![0.0; 7 * 35];
            multiply(&rows, &narrow, &mut found, 1, set);
            let expected = x * f32::from(code) * inputs as f32;
            let near = |y: &f32| (y / expected - 1.0).abs() < 1e-5;
            assert!(found.iter().all(near), "{}: {}", set.name(), found[0]);
        }
    }
}

#[test]
fn most_inputs_do_not_overflow() {
    let inputs = MAX_INT8_INPUTS;
    let narrow = Int4Panels::from_codes(&vec![-120; inputs], &[1.0], inputs).unwrap();
    for set in IntegerSet::available() {
        let mut found = [0.0];
        let rows = grouped(&vec![1.0; inputs], inputs);
        multiply(&rows, &narrow, &mut found, 1, set);
        let expected = -120.0 * inputs as f32;
        assert!((found[0] / expected - 1.0).abs() < 1e-5, "{}", set.name());
    }
}

#[test]
fn codes_that_do_not_fit_are_turned_away() {
    let fits = |codes: &[i8]| Int4Panels::from_codes(codes, &[1.0], codes.len()).is_some();
    assert!(fits(&[7, -8, 0]));
    // The sign of the factor decides which side reaches further.
    assert!(fits(&[8, -7, 0]) && fits(&[120, -105, 15]));
    assert!(!fits(&[8, -8, 1]) && !fits(&[9, 1]) && !fits(&[121, 11]) && !fits(&[127]));
    // Each group has a factor of its own.
    let mut codes = vec![1; 64];
    codes[32..].fill(15);
    assert!(fits(&codes));
    codes[33] = 1;
    codes[34] = 105;
    assert!(!fits(&codes));
}

#[test]
fn what_is_not_a_number_is_not_hidden() {
    let narrow = Int4Panels::from_codes(&codes(1, 32, 2), &[1.0; 2], 32).unwrap();
    let mut x = noise(2, 64);
    x[40] = f32::NAN;
    for set in IntegerSet::available() {
        let mut found = vec![0.0; 4];
        multiply(&grouped(&x, 32), &narrow, &mut found, 1, set);
        assert!(found[..2].iter().all(|y| y.is_finite()), "{}", set.name());
        assert!(found[2..].iter().all(|y| y.is_nan()), "{}", set.name());
    }
}

#[test]
fn weights_come_near_and_codes_come_back() {
    let (inputs, outputs) = (75, 20);
    let w = noise(5, inputs * outputs);
    let narrow = Int4Panels::from_rows(&w, inputs);
    let mut missed = 0.0;
    let mut values = Vec::new();
    for column in 0..outputs {
        let (scale, codes) = narrow.column(column);
        values.extend(codes.map(|code| f32::from(code) * scale));
    }
    for (value, w) in values.iter().zip(&w) {
        missed += (value - w) * (value - w);
    }
    // Evenly spaced numbers of 4 bits between -1 and 1 miss 1/15 over the root of 12; a third of the square is the weights' own.
    assert!((missed / w.len() as f32).sqrt() < 1.1 / 15.0 * 0.58);
    // What is made of such codes again is the same matrix, but for the scale's rounding.
    let again = Int4Panels::from_rows(&values, inputs);
    for column in 0..outputs {
        let (scale, codes) = again.column(column);
        for (code, value) in codes.zip(&values[column * inputs..]) {
            assert!((f32::from(code) * scale - value).abs() < 0.08);
        }
    }
}

#[test]
fn rows_of_nothing_and_of_no_numbers() {
    let mut w = vec![0.0; 128];
    w[64] = f32::NAN;
    w[100] = 1e-38;
    let narrow = Int4Panels::from_rows(&w, 32);
    let scales: Vec<f32> = (0..4).map(|column| narrow.column(column).0).collect();
    assert!(scales[0] == 0.0 && scales[1] == 0.0 && scales[2].is_nan() && scales[3] == 0.0);
    assert_eq!(Int4Panels::from_rows(&[], 0).outputs(), 0);
}

//! Answers against a search in `f64`, the lists behind them, and memories taken apart and saved.

use super::*;
use crate::learn::tests::noise;
use proptest::prelude::*;

const V: usize = 100;
const D: usize = 16;

fn memory(capacity: usize, scan: usize) -> Episodic {
    Episodic::new(EpisodicConfig { capacity, scan }, V, D).unwrap()
}

/// Rows in some dozens of clusters, as the states of code are.
fn clustered(seed: u64, n: usize) -> Vec<f32> {
    let centres = noise(1, 40 * D);
    let picks = noise(seed, n);
    let mut rows = noise(seed + 1000, n * D);
    for (row, pick) in rows.chunks_exact_mut(D).zip(picks) {
        let centre = ((pick + 1.0) * 20.0) as usize % 40;
        for (x, c) in row.iter_mut().zip(&centres[centre * D..]) {
            *x = c + 0.4 * *x;
        }
    }
    rows
}

fn tokens(seed: u64, n: usize) -> Vec<u32> {
    noise(seed, n)
        .iter()
        .map(|x| ((x + 1.0) * 0.5 * V as f32) as u32 % V as u32)
        .collect()
}

fn filled(seed: u64, n: usize, capacity: usize, scan: usize) -> Episodic {
    let mut memory = memory(capacity, scan);
    memory
        .push_batch(&clustered(seed, n), &tokens(seed, n))
        .unwrap();
    memory
}

/// Ids of the nearest rows by cosines in `f64` of the rows themselves.
fn nearest_reference(rows: &[f32], query: &[f32], k: usize) -> Vec<(f64, u64)> {
    let cosine = |a: &[f32], b: &[f32]| -> f64 {
        let dot = |a: &[f32], b: &[f32]| -> f64 {
            a.iter()
                .zip(b)
                .map(|(a, b)| f64::from(*a) * f64::from(*b))
                .sum()
        };
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    };
    let mut all: Vec<(f64, u64)> = rows
        .chunks_exact(D)
        .enumerate()
        .map(|(id, row)| (cosine(row, query), id as u64))
        .collect();
    all.sort_by(|a, b| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)));
    all.truncate(k);
    all
}

fn nearest(memory: &Episodic, query: &[f32], k: usize) -> Vec<Hit> {
    memory.nearest(&Query::new(&direction(query).unwrap()), k, &[])
}

#[test]
fn a_small_memory_finds_what_a_plain_search_finds() {
    let rows = clustered(2, 500);
    let memory = filled(2, 500, 1000, 1000);
    assert!(memory.leaders.scales.is_empty());
    for query in clustered(3, 20).chunks_exact(D) {
        let found = nearest(&memory, query, 10);
        let expected = nearest_reference(&rows, query, 10);
        for (found, (similarity, _)) in found.iter().zip(expected) {
            // Codes of 8 bits: 1/254 of the largest element, averaged over the width.
            assert!((f64::from(found.similarity) - similarity).abs() < 0.01);
        }
    }
    let own = &rows[7 * D..8 * D];
    let found = nearest(&memory, own, 1)[0];
    assert_eq!(found.id, 7);
    assert!((found.similarity - 1.0).abs() < 1e-3);
}

#[test]
fn leaders_find_nearly_what_reading_everything_finds() {
    let fast = filled(4, 3000, 5000, 400);
    let whole = filled(4, 3000, 5000, 5000);
    assert!(!fast.leaders.scales.is_empty());
    let (mut found, mut needed) = (0, 0);
    for query in clustered(5, 40).chunks_exact(D) {
        let ids = |memory| -> Vec<u64> {
            nearest(memory, query, 10)
                .iter()
                .map(|hit| hit.id)
                .collect()
        };
        let fast = ids(&fast);
        needed += 10;
        found += ids(&whole).iter().filter(|id| fast.contains(id)).count();
    }
    assert!(found * 10 >= needed * 9, "{found} of {needed}");
}

#[test]
fn lists_hold_every_state_once() {
    let memory = filled(6, 1500, 700, 100);
    assert_eq!(memory.len(), 700);
    let live = |list: &List| list.ids[list.gone..].to_vec();
    let mut ids: Vec<u64> = memory.lists.iter().flat_map(live).collect();
    ids.sort_unstable();
    assert_eq!(ids, (800..1500).collect::<Vec<u64>>());
    let mut next: Vec<usize> = memory.lists.iter().map(|list| list.gone).collect();
    for (id, list) in (800..).zip(&memory.order) {
        let at = &mut next[*list as usize];
        assert_eq!(memory.lists[*list as usize].ids[*at], id);
        *at += 1;
    }
}

#[test]
fn votes_are_the_softmax_of_similarities() {
    let hit = |similarity, token| Hit {
        similarity,
        id: 0,
        token,
    };
    let hits = [hit(0.9, 5), hit(0.8, 6), hit(0.8, 5), hit(0.1, 7)];
    let found = vote(&hits, 0.1).unwrap();
    let weights = [1.0, (-1.0f64).exp(), (-1.0f64).exp(), (-8.0f64).exp()];
    let sum: f64 = weights.iter().sum();
    let expected = [
        (5, (weights[0] + weights[2]) / sum),
        (6, weights[1] / sum),
        (7, weights[3] / sum),
    ];
    assert_eq!(found.similarity, 0.9);
    for ((token, p), (expected_token, expected)) in found.probs.iter().zip(expected) {
        assert_eq!(*token, expected_token);
        assert!((f64::from(*p) - expected).abs() < 1e-6);
    }
}

#[test]
fn answers_sum_to_one() {
    let memory = filled(7, 800, 1000, 200);
    for answer in memory.query_batch(&clustered(8, 20), 24, 0.05).unwrap() {
        let answer = answer.unwrap();
        let sum: f32 = answer.probs.iter().map(|(_, p)| p).sum();
        assert!((sum - 1.0).abs() < 1e-5);
        assert!(answer.probs.is_sorted_by(|a, b| a.1 >= b.1));
        assert!(answer.similarity <= 1.0 + 1e-5);
    }
}

#[test]
fn of_equally_near_states_the_newest_count() {
    let mut memory = memory(100, 100);
    let row = noise(9, D);
    memory.push_batch(&row.repeat(4), &[1, 2, 3, 4]).unwrap();
    let found = memory.query(&row, 2, 1.0).unwrap().unwrap();
    assert_eq!(found.probs, [(3, 0.5), (4, 0.5)]);
}

#[test]
fn what_is_remembered_is_recalled_and_changes_nothing_before() {
    let mut memory = memory(100, 100);
    let row = noise(10, D);
    assert_eq!(memory.query(&row, 24, 0.1).unwrap(), None);
    let before = memory.clone();
    assert_eq!(memory.push_batch(&row, &[42]).unwrap(), 0..1);
    assert_eq!(before.query(&row, 24, 0.1).unwrap(), None);
    // Only the direction counts.
    let longer: Vec<f32> = row.iter().map(|x| 100.0 * x).collect();
    let found = memory.query(&longer, 24, 0.1).unwrap().unwrap();
    assert_eq!(found.probs, [(42, 1.0)]);
}

#[test]
fn rows_together_are_the_rows_alone() {
    let memory = filled(11, 900, 1000, 150);
    let rows = clustered(12, 2 * BLOCK + 3);
    let together = memory.query_batch(&rows, 5, 0.1).unwrap();
    for (row, answer) in rows.chunks_exact(D).zip(&together) {
        assert_eq!(&memory.query(row, 5, 0.1).unwrap(), answer);
    }
    let mut one_by_one = self::memory(1000, 150);
    let (rows, tokens) = (clustered(11, 900), tokens(11, 900));
    for (row, token) in rows.chunks_exact(D).zip(tokens) {
        one_by_one.push_batch(row, &[token]).unwrap();
    }
    assert_eq!(one_by_one.to_bytes(), memory.to_bytes());
}

#[test]
fn a_file_can_be_taken_out() {
    let mut memory = memory(2000, 300);
    let (first, second) = (clustered(13, 400), clustered(14, 400));
    memory.push_batch(&first, &[1; 400]).unwrap();
    let file = memory.push_batch(&second, &[2; 400]).unwrap();
    memory.push_batch(&first, &[3; 400]).unwrap();
    assert_eq!(memory.forget(|id| file.contains(&id)), 400);
    assert_eq!(memory.forget(|id| file.contains(&id)), 0);
    assert_eq!(memory.len(), 800);
    for answer in memory.query_batch(&second, 24, 1.0).unwrap() {
        assert!(answer.unwrap().probs.iter().all(|(token, _)| *token != 2));
    }
    let next = memory.push_batch(&first[..D], &[4]).unwrap();
    assert_eq!(next, 1200..1201);
    assert_eq!(memory.forget(|_| true), 801);
    assert_eq!(memory.query(&first[..D], 1, 1.0).unwrap(), None);
    memory.push_batch(&first[..D], &[4]).unwrap();
    assert!(memory.query(&first[..D], 1, 1.0).unwrap().is_some());
}

#[test]
fn broken_rows_are_skipped() {
    let mut memory = memory(100, 100);
    let mut rows = noise(15, 5 * D);
    rows[0] = f32::NAN;
    rows[D] = f32::INFINITY;
    rows[2 * D..3 * D].fill(0.0);
    rows[3 * D..4 * D].fill(3e38);
    assert_eq!(memory.push_batch(&rows, &[1, 2, 3, 4, 5]).unwrap(), 0..5);
    assert_eq!(memory.len(), 1);
    let answers = memory.query_batch(&rows, 3, 0.1).unwrap();
    assert_eq!(answers[..4], [const { None }; 4]);
    assert_eq!(answers[4].as_ref().unwrap().probs, [(5, 1.0)]);
}

#[test]
fn saved_is_loaded() {
    let mut memory = filled(16, 900, 600, 150);
    memory.forget(|id| id % 7 == 0);
    let bytes = memory.to_bytes();
    let config = *memory.config();
    let mut loaded = Episodic::from_bytes(config, V, D, &bytes).unwrap();
    assert_eq!(loaded.to_bytes(), bytes);
    let rows = clustered(17, 700);
    for memory in [&mut memory, &mut loaded] {
        memory.push_batch(&rows, &tokens(17, 700)).unwrap();
    }
    assert_eq!(loaded.to_bytes(), memory.to_bytes());
    assert_eq!(
        loaded.query_batch(&rows, 9, 0.1).unwrap(),
        memory.query_batch(&rows, 9, 0.1).unwrap()
    );
    assert!(memory.bytes() > memory.len() * D);

    assert!(Episodic::from_bytes(config, V - 1, D, &bytes).is_err());
    assert!(Episodic::from_bytes(config, V, D - 1, &bytes).is_err());
    let smaller = EpisodicConfig {
        capacity: 50,
        ..config
    };
    let loaded = Episodic::from_bytes(smaller, V, D, &bytes).unwrap();
    assert_eq!(loaded.len(), 50);
    let small = filled(18, 300, 600, 600);
    assert!(small.leaders.scales.is_empty());
    let loaded = Episodic::from_bytes(config, V, D, &small.to_bytes()).unwrap();
    assert_eq!(loaded.len(), 300);
    assert!(!loaded.leaders.scales.is_empty());
}

#[test]
fn wrong_input_is_refused() {
    let mut memory = memory(100, 100);
    let row = noise(18, D);
    assert!(memory.push_batch(&row, &[V as u32]).is_err());
    assert!(memory.push_batch(&row[1..], &[1]).is_err());
    assert_eq!(memory.push_batch(&row, &[1]).unwrap(), 0..1);
    assert!(memory.query(&row[1..], 3, 0.1).is_err());
    assert!(memory.query(&row, 0, 0.1).is_err());
    for temperature in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        assert!(memory.query(&row, 3, temperature).is_err());
    }
    assert_eq!(memory.query_batch(&[], 3, 0.1).unwrap(), []);
    let none = EpisodicConfig {
        capacity: 0,
        scan: 1,
    };
    assert!(Episodic::new(none, V, D).is_err());
    assert!(Episodic::new(EpisodicConfig::default(), V, MAX_WIDTH + 1).is_err());
}

proptest! {
    #[test]
    fn bits_order_as_numbers(a: f32, b: f32) {
        prop_assert_eq!(ordered_bits(a).cmp(&ordered_bits(b)), a.total_cmp(&b));
    }

    #[test]
    fn bodies_of_garbage_are_refused_or_make_sense(
        leaders in 0u32..3,
        states in 0u32..3,
        rest in proptest::collection::vec(any::<u8>(), 0..150),
    ) {
        let mut body = Vec::new();
        body.put_u32s(&[V as u32, 2]);
        body.put_u64s(&[u64::MAX / 2, 3, 1]);
        body.put_u32s(&[leaders]);
        body.put_f32s(&vec![0.5; leaders as usize]);
        body.put_i8s(&vec![1; leaders as usize * 2]);
        body.put_u32s(&[states]);
        body.extend_from_slice(&rest);
        let config = EpisodicConfig::default();
        if let Ok(memory) = Episodic::from_bytes(config, V, 2, &SAVED.seal(&body))
            && let Some(found) = memory.query(&[1.0, 0.5], 3, 0.1).unwrap()
        {
            prop_assert!(found.similarity.is_finite());
        }
        prop_assert!(Episodic::from_bytes(config, V, 2, &rest).is_err());
    }
}

#[test]
fn states_of_a_document_are_found_as_if_they_were_remembered_and_hidden_ones_are_not() {
    let (width, k, temperature) = (8, 5, 0.1);
    let one = std::slice::from_ref::<Range<usize>>;
    let hidden = std::slice::from_ref::<Range<u64>>;
    let row = |seed: usize| -> Vec<f32> {
        (0..width)
            .map(|at| ((at * 5 + seed * 17) % 13) as f32 - 6.0)
            .collect()
    };
    let rows = |seeds: Range<usize>| -> Vec<f32> { seeds.flat_map(row).collect() };
    let tokens = |seeds: Range<usize>| -> Vec<u32> { seeds.map(|s| (s % 20) as u32).collect() };
    let asked = rows(100..112);
    let memory = |seeds: &[Range<usize>]| {
        let mut memory = Episodic::new(EpisodicConfig::default(), 20, width).unwrap();
        for seeds in seeds {
            memory
                .push_batch(&rows(seeds.clone()), &tokens(seeds.clone()))
                .unwrap();
        }
        memory
    };
    let both = memory(&[0..40, 40..60]);
    let expected = both.query_batch(&asked, k, temperature).unwrap();

    let mut document = DocumentStates::new(width);
    document.push(&rows(40..52), &tokens(40..52)).unwrap();
    // What was edited away is not found.
    document.push(&rows(70..90), &tokens(70..90)).unwrap();
    document.truncate(12);
    document.push(&rows(52..60), &tokens(52..60)).unwrap();
    assert_eq!((document.len(), document.bytes()), (20, 20 * (width + 8)));
    let remembered = memory(one(&(0..40)));
    let beside = |hidden: &[Range<u64>], document: &DocumentStates| {
        remembered
            .query_beside(&asked, k, temperature, hidden, document)
            .unwrap()
    };
    assert_eq!(beside(&[], &document), expected);
    let empty = memory(&[]);
    let alone = empty.query_beside(&asked, k, temperature, &[], &document);
    let alone = alone.unwrap();
    assert_eq!(
        alone,
        memory(one(&(40..60)))
            .query_batch(&asked, k, temperature)
            .unwrap()
    );
    assert_eq!(beside(hidden(&(0..40)), &document), alone);
    let hiding = both.query_batch_hiding(&asked, k, temperature, &[0..10, 40..60]);
    let left = memory(one(&(10..40))).query_batch(&asked, k, temperature);
    assert_eq!(hiding.unwrap(), left.unwrap());

    // A row without a direction keeps its place and is never found.
    let mut last = DocumentStates::new(width);
    last.push(&vec![0.0; width], &[3]).unwrap();
    assert_eq!(beside(&[], &last), beside(&[], &DocumentStates::new(width)));
    document.push(&vec![f32::NAN; width], &[3]).unwrap();
    document.keep_last(21);
    assert_eq!(beside(&[], &document), expected);
    document.keep_last(1);
    assert_eq!(beside(&[], &document), beside(&[], &last));
    assert!(document.push(&[1.0], &[3]).is_err());
}

//! The count-only baseline against a count of everything by brute force.

use std::collections::{HashMap, HashSet};

use nestor_bsl::code_tokens::{code_tokens, token_text};
use nestor_eval::ngram::spelling_probability;
use nestor_eval::own_code::Plan;
use nestor_eval::tally::Tally;
use nestor_eval::{Adaptation, NgramBaseline, ProjectFile, rounds};

const TRAIN: &str = "Процедура А()\n\tБ = В.Код;\n\tБ = В.Имя;\nКонецПроцедуры\n";
const FILES: [&str; 2] = [
    "Процедура П()\n\tБ = В.Код;\n\tГ = В.Код + \"текст для людей\";\nКонецПроцедуры\n",
    "Процедура Р()\n\tГ = В.Код;\n\tГ = В.Имя;\nКонецПроцедуры\n",
];

fn words(text: &str) -> Vec<String> {
    code_tokens(text)
        .iter()
        .map(|token| token_text(text, token).into_owned())
        .collect()
}

/// Counts of what followed each context, by scanning.
fn followers(nest: &[Vec<String>], context: &[String], at_start: bool) -> HashMap<String, f64> {
    let mut found = HashMap::new();
    for file in nest {
        for at in 0..file.len() {
            let matches = if at_start {
                at == context.len() && file[..at] == *context
            } else {
                at >= context.len() && file[at - context.len()..at] == *context
            };
            if matches {
                *found.entry(file[at].clone()).or_insert(0.0) += 1.0;
            }
        }
    }
    found
}

/// The mixture's probability of `word` after `before`, over `spelled` below order 0.
fn probability(nests: &[Vec<Vec<String>>], before: &[String], word: &str, spelled: f64) -> f64 {
    let mut p = spelled;
    for order in 0..=6 {
        if order > before.len() + 1 {
            break;
        }
        let at_start = order == before.len() + 1;
        let context = &before[before.len() - order.min(before.len())..];
        for nest in nests {
            let found = followers(nest, context, at_start);
            let (total, distinct) = (found.values().sum::<f64>(), found.len() as f64);
            if total > 0.0 {
                p = (found.get(word).unwrap_or(&0.0) + distinct * p) / (total + distinct);
            }
        }
    }
    p
}

fn brute_force(adaptation: Adaptation) -> (u64, f64) {
    let train = vec![words(TRAIN)];
    let mut project: Vec<Vec<String>> = Vec::new();
    let (mut right, mut bits) = (0, 0.0);
    for file in FILES {
        let file = words(file);
        for at in 0..file.len() {
            let nests = match adaptation {
                Adaptation::None => vec![train.clone()],
                Adaptation::File => vec![train.clone(), vec![file[..at].to_vec()]],
                Adaptation::Dynamic => {
                    vec![train.clone(), project.clone(), vec![file[..at].to_vec()]]
                }
            };
            // Of equals the token that was met first, as its number is smaller.
            let mut best: (f64, Option<&String>) = (0.0, None);
            for word in nests.iter().flatten().flatten() {
                let p = probability(&nests, &file[..at], word, 0.0);
                if p > best.0 {
                    best = (p, Some(word));
                }
            }
            right += u64::from(best.1 == Some(&file[at]));
            bits -= probability(
                &nests,
                &file[..at],
                &file[at],
                spelling_probability(&file[at]),
            )
            .log2();
        }
        project.push(file);
    }
    (right, bits)
}

#[test]
fn the_baseline_equals_a_brute_force_count() {
    let files: Vec<ProjectFile> = FILES
        .iter()
        .enumerate()
        .map(|(i, text)| ProjectFile {
            path: format!("{i}.bsl"),
            text: (*text).to_owned(),
        })
        .collect();
    let mut baseline = NgramBaseline::new();
    baseline.learn_train(&[TRAIN]);
    let none = HashSet::<u64>::new();
    let plan = Plan::new(&files, &none, None);
    let tallies =
        baseline.score_rounds(&files, &rounds::project(2), &plan, &none, &Adaptation::ALL);
    for (adaptation, of_files) in Adaptation::ALL.into_iter().zip(&tallies) {
        let found = Tally::sum(of_files);
        let (right, bits) = brute_force(adaptation);
        assert_eq!(
            found.strict.total as usize,
            FILES.iter().map(|f| words(f).len()).sum::<usize>()
        );
        assert!(
            (found.bits - bits).abs() < 1e-6,
            "{adaptation:?}: {} {bits}",
            found.bits
        );
        // A tie may fall either way in a search over a set; it never moves more than one answer here.
        assert!(
            found.strict.right.abs_diff(right) <= 1,
            "{adaptation:?}: {:?} {right}",
            found.strict
        );
    }
    let bits: Vec<f64> = tallies.iter().map(|files| Tally::sum(files).bits).collect();
    assert!(bits[0] > bits[1] && bits[1] > bits[2], "{bits:?}");
}

#[test]
fn a_method_is_learned_once() {
    let mut baseline = NgramBaseline::new();
    baseline.learn_train(&[TRAIN, TRAIN]);
    let n_tokens = baseline.n_train_tokens();
    baseline.learn_train(&[TRAIN.replace("Б =", "б   =")]);
    assert_eq!(n_tokens, words(TRAIN).len() as u64);
    assert_eq!(
        baseline.n_train_tokens(),
        n_tokens,
        "case and white space make no new method"
    );
    assert_eq!(baseline.train_methods().len(), 1);
}

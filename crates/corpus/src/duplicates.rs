//! Methods that nearly repeat each other, grouped by the signatures of `bsl`.
//!
//! The builder asks for the groups once, over all methods with distinct hashes; sampling keeps a group on one side of a
//! split.

use nestor_bsl::similarity::BANDS;
pub use nestor_bsl::similarity::Signature;
use rayon::prelude::*;

/// The groups that `signatures` fall into: for each, the lowest index of its group. Those without a signature are alone.
pub fn groups(signatures: &[Option<Signature>]) -> Vec<u32> {
    let mut parents: Vec<u32> = (0..signatures.len() as u32).collect();
    for band in 0..BANDS {
        let mut keys: Vec<(u64, u32)> = signatures
            .par_iter()
            .enumerate()
            .filter_map(|(idx, signature)| {
                Some((signature.as_ref()?.band_keys()[band], idx as u32))
            })
            .collect();
        keys.par_sort_unstable();
        for run in keys.chunk_by(|a, b| a.0 == b.0) {
            for pair in run.windows(2) {
                // The first of a run stands for the group, the one before for a chain of small changes.
                for earlier in [run[0].1, pair[0].1] {
                    let [Some(a), Some(b)] =
                        [earlier, pair[1].1].map(|idx| signatures[idx as usize])
                    else {
                        continue;
                    };
                    if a.is_near(&b) {
                        join(&mut parents, earlier, pair[1].1);
                        break;
                    }
                }
            }
        }
    }
    (0..parents.len() as u32)
        .map(|idx| root(&mut parents, idx))
        .collect()
}

fn root(parents: &mut [u32], mut idx: u32) -> u32 {
    while parents[idx as usize] != idx {
        parents[idx as usize] = parents[parents[idx as usize] as usize];
        idx = parents[idx as usize];
    }
    idx
}

fn join(parents: &mut [u32], a: u32, b: u32) {
    let (a, b) = (root(parents, a), root(parents, b));
    parents[a.max(b) as usize] = a.min(b);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn method(names: std::ops::Range<usize>, ending: &str) -> String {
        let lines: Vec<String> = names
            .map(|n| format!("\tПоле{n} = Запрос.Параметр{n} + Сумма{n};"))
            .collect();
        format!(
            "Процедура Заполнить()\n{}\n\t{ending}\nКонецПроцедуры",
            lines.join("\n")
        )
    }

    fn groups_of(texts: &[String]) -> Vec<u32> {
        groups(
            &texts
                .iter()
                .map(|text| Signature::of(text, 1))
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn small_changes_keep_methods_together_and_others_apart() {
        let texts = [
            method(0..30, "Записать();"),
            method(100..130, "Записать();"),
            method(0..30, "Прочитать();"),
            method(0..31, "Записать(); // иначе"),
            method(100..130, "ЗаписатьВсе();"),
            method(200..230, "Записать();"),
        ];
        assert_eq!(groups_of(&texts), [0, 1, 0, 0, 1, 5]);
    }

    #[test]
    fn case_comments_and_white_space_do_not_count() {
        let text = method(0..30, "Записать();");
        assert_eq!(
            Signature::of(&text, 1),
            Signature::of(&text.to_uppercase(), 1)
        );
        assert_eq!(
            Signature::of(&text, 1),
            Signature::of(&text.replace(";\n", "; // Примечание\n\n"), 1)
        );
        assert_ne!(Signature::of(&text, 1), Signature::of(&text, 2));
    }

    #[test]
    fn short_methods_are_alone() {
        let stub = "Процедура ПриОткрытии(Отказ)\n\tОбновить();\nКонецПроцедуры".to_owned();
        assert_eq!(Signature::of(&stub, 1), None);
        assert_eq!(groups_of(&[stub.clone(), stub]), [0, 1]);
        assert!(groups(&[]).is_empty());
    }
}

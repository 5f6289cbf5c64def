//! The memories together: each by itself, forks, what is saved, teaching ahead on any number of threads.

use super::*;
use crate::learn::reading::MAX_SESSION;
use crate::{MemoryStart, NetworkConfig, Session};

fn model() -> Arc<Model> {
    let config = NetworkConfig {
        width: 32,
        stages: 3,
        blocks_per_stage: 2,
        ffn: 48,
        vocab: 60,
        delta_heads: 2,
        key_dim: 8,
        value_dim: 8,
        conv: 4,
        query_heads: 2,
        kv_heads: 1,
        head_dim: 16,
        window: 32,
        rope_theta: 1e4,
        exit_rank: 8,
        norm_eps: 1e-6,
    };
    Model::random(&config, 5).unwrap()
}

fn text(len: usize) -> Vec<u32> {
    (0..len as u32).map(|i| (i * i / 3 + i) % 11 + 20).collect()
}

fn memories(parts: MemoryParts, model: &Model) -> LevelMemories {
    let config = LevelMemoriesConfig {
        parts,
        period: 256,
        ..LevelMemoriesConfig::default()
    };
    LevelMemories::new(config, model).unwrap()
}

/// Mean loss of an exit over a text, in nats.
fn loss(model: &Arc<Model>, memories: &LevelMemories, exit: usize, text: &[u32]) -> f64 {
    let mut reader = DocumentReader::new(Arc::clone(model), &[1, 2], 1).unwrap();
    let rows = reader.read(text).unwrap();
    let probs = memories.exit_probs(model, exit, &rows[exit], 1).unwrap();
    let vocab = model.config().vocab;
    let sum: f64 = text
        .iter()
        .zip(probs.chunks_exact(vocab))
        .map(|(token, probs)| -f64::from(probs[*token as usize]).ln())
        .sum();
    sum / text.len() as f64
}

#[test]
fn a_reader_pairs_rows_with_the_tokens_that_follow_however_it_is_cut() {
    let model = model();
    let text = text(150);
    let mut whole = DocumentReader::new(Arc::clone(&model), &[1, 2, 3], 1).unwrap();
    let expected = whole.read(&text).unwrap();
    let mut session = Session::new(Arc::clone(&model), 3).unwrap();
    let first = session.forward(&[1, 2, 3]).unwrap();
    assert_eq!(expected[2][..32], *first.row(2, 2).unwrap());
    let mut cut = DocumentReader::new(model, &[1, 2, 3], 1).unwrap();
    let mut found = vec![Vec::new(); 3];
    for chunk in text.chunks(7) {
        for (found, rows) in found.iter_mut().zip(cut.read(chunk).unwrap()) {
            found.extend(rows);
        }
    }
    for (expected, found) in expected.iter().flatten().zip(found.iter().flatten()) {
        assert!((expected - found).abs() < 1e-4);
    }
}

#[test]
fn scoring_is_what_was_said_and_then_watched() {
    let model = model();
    let mut memories = memories(MemoryParts::ALL, &model);
    memories
        .learn_document(&model, &[1, 2], &text(300), 1)
        .unwrap();
    let rows = DocumentReader::new(Arc::clone(&model), &[1], 1)
        .unwrap()
        .read(&text(40))
        .unwrap();
    let (mut scored, mut watched) = (memories.clone(), memories.clone());
    for exit in 1..3 {
        assert_eq!(
            scored
                .score_exit(&model, exit, &rows[exit], &text(40), 1)
                .unwrap(),
            memories.exit_probs(&model, exit, &rows[exit], 1).unwrap()
        );
    }
    watched.watch(&model, &rows, &text(40), 1).unwrap();
    assert_eq!(scored.to_bytes(), watched.to_bytes());
    assert_ne!(scored.to_bytes(), memories.to_bytes());
}

#[test]
fn an_outline_becomes_the_memories_again_once_the_texts_were_read() {
    let model = model();
    let config = LevelMemoriesConfig {
        period: 256,
        episodic: EpisodicConfig {
            capacity: 500,
            scan: 60,
        },
        ..LevelMemoriesConfig::default()
    };
    let texts: Vec<Vec<u32>> = (1..7)
        .map(|i| {
            text(150 + 20 * i)
                .into_iter()
                .map(|t| (t + i as u32) % 60)
                .collect()
        })
        .collect();
    let mut memories = LevelMemories::new(config, &model).unwrap();
    for text in &texts {
        memories.learn_document(&model, &[1, 2], text, 1).unwrap();
    }
    let bytes = memories.to_outline_bytes();
    assert!(bytes.len() < memories.to_bytes().len());
    let outline = LevelsOutline::from_bytes(config, &model, &bytes).unwrap();
    assert_eq!(outline.reach(), 500);
    assert!(outline.clone().finish().is_err());
    let silent = outline.clone().without_states();
    assert_eq!(silent.tokens(), memories.tokens());

    let mut whole = outline.clone();
    let mut ends = memories.tokens();
    let mut back = Vec::new();
    for text in texts.iter().rev() {
        if memories.tokens() - ends >= outline.reach() {
            break;
        }
        back.push((text, memories.tokens() - ends));
        ends -= text.len() as u64;
    }
    assert!(back.len() < texts.len());
    for (text, back) in back.iter().rev() {
        whole.read_again(&model, &[1, 2], text, *back, 1).unwrap();
    }
    assert_eq!(whole.finish().unwrap().to_bytes(), memories.to_bytes());

    assert!(LevelsOutline::from_bytes(config, &model, &memories.to_bytes()).is_err());
    for cut in [0, 40, bytes.len() / 2, bytes.len() - 1] {
        assert!(LevelsOutline::from_bytes(config, &model, &bytes[..cut]).is_err());
    }
}

#[test]
fn silent_memories_change_no_bit() {
    let model = model();
    let memories = memories(MemoryParts::ALL, &model);
    let mut reader = DocumentReader::new(Arc::clone(&model), &[1], 1).unwrap();
    let rows = reader.read(&text(5)).unwrap();
    let session = Session::new(Arc::clone(&model), 3).unwrap();
    for (exit, rows) in rows.iter().enumerate() {
        let mut plain = vec![0.0; 5 * 60];
        session.exit_probs(exit, rows, &mut plain).unwrap();
        assert_eq!(memories.exit_probs(&model, exit, rows, 1).unwrap(), plain);
    }
    let nothing = memories.recall(&model, &rows[1]).unwrap();
    assert_eq!(nothing, [1.0 / 60.0; 5 * 60]);
}

#[test]
fn a_model_with_a_start_has_memories_that_begin_and_are_saved_with_it() {
    let mut model = model();
    let before = memories(MemoryParts::ALL, &model);
    let mut taught = before.clone();
    taught.learn_document(&model, &[1], &text(1024), 1).unwrap();
    let start = taught.exit_mlp().unwrap().weights().clone();
    assert_ne!(start.w_b, before.exit_mlp().unwrap().weights().w_b);
    let learned = MemoryStart {
        weights: Arc::new(start.clone()),
        sha256: String::new(),
    };
    assert!(Model::set_memory_start(&mut model, Some(learned)));
    let shared = Arc::clone(&model);
    assert!(!Model::set_memory_start(&mut model, None));
    assert!(shared.memory_start().is_some());

    let begun = memories(MemoryParts::ALL, &model);
    assert_eq!(*begun.exit_mlp().unwrap().weights(), start);
    // The text that it comes from is known better from the beginning, by the third exit alone.
    let other = text(256);
    assert!(loss(&model, &begun, 2, &other) < loss(&model, &before, 2, &other));
    assert_eq!(
        loss(&model, &begun, 1, &other),
        loss(&model, &before, 1, &other)
    );
    let config = *begun.config();
    let again = LevelMemories::from_bytes(config, &model, &begun.to_bytes()).unwrap();
    assert_eq!(*again.exit_mlp().unwrap().weights(), start);

    let narrow = LevelMemoriesConfig {
        mlp: ExitMlpConfig {
            hidden: 8,
            ..ExitMlpConfig::default()
        },
        ..LevelMemoriesConfig::default()
    };
    let message = LevelMemories::new(narrow, &model).unwrap_err().to_string();
    assert!(message.contains("W_a"), "{message}");
}

#[test]
fn every_memory_lowers_the_loss_by_itself_and_only_where_it_belongs() {
    let model = model();
    let text = text(1024);
    let silent = memories(MemoryParts::ALL, &model);
    let off = MemoryParts {
        level2: false,
        level3: false,
        episodic: false,
    };
    for (parts, better) in [
        (
            MemoryParts {
                level2: true,
                ..off
            },
            [false, true, true],
        ),
        (
            MemoryParts {
                level3: true,
                ..off
            },
            [false, false, true],
        ),
        (
            MemoryParts {
                episodic: true,
                ..off
            },
            [false, false, false],
        ),
    ] {
        let mut taught = memories(parts, &model);
        taught.learn_document(&model, &[1, 2], &text, 1).unwrap();
        assert_eq!(taught.tokens(), 1024);
        for (exit, better) in better.into_iter().enumerate() {
            let (before, after) = (
                loss(&model, &silent, exit, &text),
                loss(&model, &taught, exit, &text),
            );
            if better {
                assert!(after < before - 0.01, "{parts:?} {exit}: {before} {after}");
            } else {
                assert_eq!(after, before, "{parts:?} {exit}");
            }
        }
        let mut reader = DocumentReader::new(Arc::clone(&model), &[1, 2], 1).unwrap();
        let rows = reader.read(&text[..64]).unwrap();
        let recalled = taught.recall(&model, &rows[1]).unwrap();
        let is_flat = recalled.iter().all(|p| (p - 1.0 / 60.0).abs() < 1e-6);
        assert_eq!(is_flat, !parts.episodic);
        for probs in recalled.chunks_exact(60) {
            assert!((probs.iter().sum::<f32>() - 1.0).abs() < 1e-4);
        }
    }
}

#[test]
fn memories_of_another_text_cost_next_to_nothing_once_they_are_watched() {
    let model = model();
    let mut taught = memories(MemoryParts::ALL, &model);
    taught.learn_document(&model, &[1], &text(1024), 1).unwrap();
    let silent = memories(MemoryParts::ALL, &model);
    // Of some other texts the one that the memories understand worst.
    let harm = |text: &[u32]| loss(&model, &taught, 2, text) - loss(&model, &silent, 2, text);
    let foreign = (0..8u32)
        .map(|seed| {
            (0..512)
                .map(|i| i * (seed + 2) % 7 + 4 * seed)
                .collect::<Vec<u32>>()
        })
        .max_by(|a, b| harm(a).total_cmp(&harm(b)))
        .unwrap();
    let plain = loss(&model, &silent, 2, &foreign);
    let unwatched = loss(&model, &taught, 2, &foreign);
    assert!(unwatched > plain + 0.05, "{unwatched} {plain}");
    let mut reader = DocumentReader::new(Arc::clone(&model), &[1, 2], 1).unwrap();
    let rows = reader.read(&foreign[..32]).unwrap();
    let before = taught.tokens();
    taught.watch(&model, &rows, &foreign[..32], 1).unwrap();
    assert_eq!(taught.tokens(), before);
    let watched = loss(&model, &taught, 2, &foreign);
    assert!(
        watched < plain + 0.2 * (unwatched - plain),
        "{watched} {unwatched} {plain}"
    );
    // Their own text brings them back.
    let own = text(1100);
    let rows = reader.read(&own[..64]).unwrap();
    taught.watch(&model, &rows, &own[..64], 1).unwrap();
    assert!(loss(&model, &taught, 2, &own) < loss(&model, &silent, 2, &own));
}

#[test]
fn a_fork_learns_for_itself() {
    let model = model();
    let mut project = memories(MemoryParts::ALL, &model);
    project.learn_document(&model, &[1], &text(300), 1).unwrap();
    let before = loss(&model, &project, 2, &text(100));
    let mut fork = project.clone();
    fork.learn_document(&model, &[1], &text(600), 1).unwrap();
    assert_eq!(loss(&model, &project, 2, &text(100)), before);
    assert_ne!(loss(&model, &fork, 2, &text(100)), before);
    project.learn_document(&model, &[1], &text(600), 1).unwrap();
    assert_eq!(
        loss(&model, &project, 2, &text(100)),
        loss(&model, &fork, 2, &text(100))
    );
}

#[test]
fn what_is_saved_is_loaded_and_damage_is_refused() {
    let model = model();
    let mut taught = memories(MemoryParts::ALL, &model);
    taught.learn_document(&model, &[1], &text(700), 1).unwrap();
    let bytes = taught.to_bytes();
    let config = *taught.config();
    let mut loaded = LevelMemories::from_bytes(config, &model, &bytes).unwrap();
    assert_eq!(loaded.to_bytes(), bytes);
    // They also go on alike.
    for memories in [&mut taught, &mut loaded] {
        memories
            .learn_document(&model, &[1], &text(300), 1)
            .unwrap();
    }
    assert_eq!(loaded.to_bytes(), taught.to_bytes());
    for cut in [0, 10, bytes.len() / 2, bytes.len() - 1] {
        assert!(LevelMemories::from_bytes(config, &model, &bytes[..cut]).is_err());
    }
    let mut flipped = bytes;
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    assert!(LevelMemories::from_bytes(config, &model, &flipped).is_err());
}

#[test]
fn documents_teach_alike_on_any_number_of_threads_and_one_by_one() {
    let model = model();
    let texts: Vec<Vec<u32>> = [700, 1, 0, 300, 64, 513]
        .into_iter()
        .map(|len| text(len + 40)[40..].to_vec())
        .collect();
    let documents: Vec<Document<'_>> = texts
        .iter()
        .map(|text| Document {
            strand: None,
            opening: &[1, 2],
            text,
            recalled: true,
        })
        .collect();
    let mut one_by_one = memories(MemoryParts::ALL, &model);
    for text in &texts {
        one_by_one.learn_document(&model, &[1, 2], text, 1).unwrap();
    }
    for threads in [1, 2, 3, 9] {
        let mut together = memories(MemoryParts::ALL, &model);
        let mut seen = Vec::new();
        let learned = together
            .learn_documents(&model, &documents, threads, &mut |memories| {
                seen.push(memories.tokens());
                true
            })
            .unwrap();
        assert_eq!(learned, texts.len());
        assert_eq!(seen, [700, 701, 701, 1001, 1065, 1578]);
        assert_eq!(together.to_bytes(), one_by_one.to_bytes());
        // It stops where it is told to.
        let mut stopped = memories(MemoryParts::ALL, &model);
        let learned = stopped
            .learn_documents(&model, &documents, threads, &mut |memories| {
                memories.tokens() < 1000
            })
            .unwrap();
        assert_eq!((learned, stopped.tokens()), (4, 1001));
    }
}

#[test]
fn a_foreign_token_ends_the_teaching_with_its_name() {
    let model = model();
    let bad = Document {
        strand: None,
        opening: &[1],
        text: &[3, 60, 4],
        recalled: true,
    };
    let good = Document {
        strand: None,
        opening: &[1],
        text: &[3, 4],
        recalled: true,
    };
    let nothing = Document {
        strand: None,
        opening: &[],
        text: &[3, 4],
        recalled: true,
    };
    for threads in [1, 2, 3] {
        for (wrong, is_it) in [
            (
                bad,
                (|error| matches!(error, EngineError::Token { token: 60, .. }))
                    as fn(&EngineError) -> bool,
            ),
            (nothing, |error| matches!(error, EngineError::Empty)),
        ] {
            let mut taught = memories(MemoryParts::ALL, &model);
            let error = taught
                .learn_documents(&model, &[good, wrong, good], threads, &mut |_| true)
                .unwrap_err();
            assert!(is_it(&error), "{error}");
            assert_eq!(taught.tokens(), 2);
        }
    }
}

#[test]
fn a_document_goes_on_alike_however_it_is_cut_and_on_any_number_of_threads() {
    let model = model();
    let text = text(1500);
    let learned = |cuts: &[usize], watched: usize, threads: usize| {
        let mut memories = memories(MemoryParts::ALL, &model);
        let mut reader = DocumentReader::new(Arc::clone(&model), &[1, 2], threads).unwrap();
        let mut from = 0;
        for cut in cuts {
            memories
                .learn_on(&model, &mut reader, &text[from..*cut], watched, threads)
                .unwrap();
            from = *cut;
        }
        memories
    };
    let mut whole = memories(MemoryParts::ALL, &model);
    whole.learn_document(&model, &[1, 2], &text, 1).unwrap();
    let cuts = [64, 64, 128, 832, 1500];
    for threads in [1, 2, 3] {
        assert_eq!(learned(&[1500], 0, threads).to_bytes(), whole.to_bytes());
        assert_eq!(
            learned(&cuts, 100, threads).to_bytes(),
            learned(&cuts, 100, 1).to_bytes()
        );
    }
    assert_eq!(learned(&cuts, 0, 2).tokens(), 1500);
    assert_eq!(learned(&cuts, 0, 2).strand.trust, whole.strand.trust);
    assert_ne!(learned(&cuts, 100, 2).strand.trust, whole.strand.trust);
}

#[test]
fn quiet_lessons_differ_from_watched_ones_in_trust_alone() {
    let model = model();
    let text = text(600);
    let mut quiet = memories(MemoryParts::ALL, &model);
    quiet.learn_document(&model, &[1, 2], &text, 1).unwrap();
    let mut watched = memories(MemoryParts::ALL, &model);
    let mut reader = DocumentReader::new(Arc::clone(&model), &[1, 2], 1).unwrap();
    for chunk in text.chunks(LevelMemories::CHUNK) {
        let rows = reader.read(chunk).unwrap();
        watched.learn(&model, &rows, chunk, 1).unwrap();
    }
    assert_ne!(quiet.strand.trust, watched.strand.trust);
    watched.strand.trust = quiet.strand.trust.clone();
    let rows = reader.read(&text[..64]).unwrap();
    for exit in 0..3 {
        let of =
            |memories: &LevelMemories| memories.exit_probs(&model, exit, &rows[exit], 1).unwrap();
        for (quiet, watched) in of(&quiet).iter().zip(of(&watched)) {
            assert!((quiet - watched).abs() < 1e-4, "{quiet} {watched}");
        }
    }
}

#[test]
fn a_long_document_is_read_to_its_end() {
    let model = model();
    let mut memories = memories(MemoryParts::ALL, &model);
    let text = text(MAX_SESSION + 500);
    memories.learn_document(&model, &[1], &text, 1).unwrap();
    assert_eq!(memories.tokens(), text.len() as u64);
}

#[test]
fn of_many_strands_the_later_ones_are_one() {
    let model = model();
    let mut memories = memories(MemoryParts::ALL, &model);
    let names: Vec<String> = (0..40).map(|root| format!("root{root}")).collect();
    for name in &names {
        let documents = [Document {
            strand: Some(name),
            opening: &[1, 2],
            text: &text(100),
            recalled: true,
        }];
        memories
            .learn_documents(&model, &documents, 1, &mut |_| true)
            .unwrap();
    }
    assert_eq!(memories.strands().count(), MOST_STRANDS + 1);
    assert_eq!(memories.strands().next(), Some(SHARED_STRAND));
    for (name, expected) in [("root2", "root2"), ("root39", SHARED_STRAND)] {
        memories.turn_to(name);
        assert_eq!(memories.strands().next(), Some(expected));
    }
    let loaded = LevelMemories::from_bytes(*memories.config(), &model, &memories.to_bytes());
    assert_eq!(loaded.unwrap().strands().count(), MOST_STRANDS + 1);
}

#[test]
fn states_of_a_document_that_is_not_to_be_recalled_are_passed_over() {
    let model = model();
    let texts = [
        text(300),
        text(500)[200..].to_vec(),
        text(700)[400..].to_vec(),
    ];
    let teach = |recalled: [bool; 3]| {
        let mut memories = memories(MemoryParts::ALL, &model);
        let documents: Vec<Document<'_>> = texts
            .iter()
            .zip(recalled)
            .map(|(text, recalled)| Document {
                strand: None,
                opening: &[1, 2],
                text,
                recalled,
            })
            .collect();
        memories
            .learn_documents(&model, &documents, 2, &mut |_| true)
            .unwrap();
        memories
    };
    let (all, some) = (teach([true; 3]), teach([true, false, true]));
    assert_eq!((all.next_state(), some.next_state()), (900, 900));
    assert_eq!((all.episodic.len(), some.episodic.len()), (900, 600));
    // The rest has learned the same.
    assert_eq!(
        [1, 2].map(|exit| loss(&model, &some, exit, &texts[0]).to_bits()),
        [1, 2].map(|exit| loss(&model, &all, exit, &texts[0]).to_bits())
    );
    // What was not remembered is as if it had been hidden.
    let mut reader = DocumentReader::new(model.clone(), &[1, 2], 1).unwrap();
    let rows = reader.read(&texts[1][..64]).unwrap();
    let hidden = all.hiding(std::iter::once(300..600).collect());
    assert_eq!(
        some.recall(&model, &rows[1]).unwrap(),
        hidden.recall(&model, &rows[1]).unwrap()
    );
    // An outline needs only the texts that left states.
    let bytes = some.to_outline_bytes();
    let mut outline = LevelsOutline::from_bytes(*some.config(), &model, &bytes).unwrap();
    let lacks_nothing = [600, 300, 0].map(|back| outline.lacks_nothing_of(300, back));
    assert_eq!(lacks_nothing, [false, true, false]);
    outline
        .read_again(&model, &[1, 2], &texts[0], 600, 2)
        .unwrap();
    outline
        .read_again(&model, &[1, 2], &texts[2], 0, 2)
        .unwrap();
    assert_eq!(outline.finish().unwrap().to_bytes(), some.to_bytes());
}

#[test]
fn strands_learn_apart_begin_as_forks_and_are_saved() {
    let model = model();
    let threads = 2;
    let own = text(600);
    let other: Vec<u32> = text(600).iter().map(|token| 79 - token).collect();
    let mut memories = memories(MemoryParts::ALL, &model);
    let teach = |memories: &mut LevelMemories, strand, text: &[u32]| {
        let documents = [Document {
            strand: Some(strand),
            opening: &[1, 2],
            text,
            recalled: true,
        }];
        memories
            .learn_documents(&model, &documents, threads, &mut |_| true)
            .unwrap();
    };
    teach(&mut memories, "base", &own);
    let alone = [1, 2].map(|exit| loss(&model, &memories, exit, &own));
    let mut forked = memories.clone();
    forked.turn_to("extension");
    // A new strand begins with what the last one knew.
    assert_eq!([1, 2].map(|exit| loss(&model, &forked, exit, &own)), alone);
    let mut mixed = memories.clone();
    teach(&mut memories, "extension", &other);
    teach(&mut mixed, "base", &other);
    memories.turn_to("base");
    mixed.turn_to("base");
    for exit in [1, 2] {
        let kept = loss(&model, &memories, exit, &own);
        assert_eq!(kept.to_bits(), alone[exit - 1].to_bits(), "exit {exit}");
        assert_ne!(loss(&model, &mixed, exit, &own), kept, "exit {exit}");
    }
    assert_eq!(
        memories.strands().collect::<Vec<_>>(),
        ["base", "extension"]
    );
    memories.turn_to("extension");
    let bytes = memories.to_bytes();
    let mut loaded = LevelMemories::from_bytes(*memories.config(), &model, &bytes).unwrap();
    assert_eq!(loaded.to_bytes(), bytes);
    assert_eq!(loaded.strands().collect::<Vec<_>>(), ["extension", "base"]);
    // What was loaded learns on as if it had never rested.
    for memories in [&mut memories, &mut loaded] {
        teach(memories, "base", &text(100));
        teach(memories, "extension", &other[..100]);
    }
    assert_eq!(loaded.to_bytes(), memories.to_bytes());
    assert_eq!(loaded.tokens(), 1400);
}

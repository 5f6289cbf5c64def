//! Turns a corpus into what the loader works on: which text is trained on, which is held out.
//!
//! Called once by `run`. Methods that the corpus has already had are left out of the training text,
//! so that copies of a library do not weigh double; short ones stay as glue.

use super::documents::Documents;
use super::pieces::Pieces;
use super::rename::{Names, WordCounts};
use crate::{TrainConfig, TrainError};
use nestor_corpus::sample::SampleRef;
use nestor_corpus::{Corpus, FileRecord, Role};
use std::fs;
use std::sync::Arc;

/// A repeated method up to this many tokens is kept.
const GLUE_TOKENS: usize = 24;
/// Words are counted over at most this many tokens.
const COUNTED_TOKENS: u64 = 1 << 26;

/// Everything that a run takes from a corpus.
#[derive(Debug)]
pub struct Material {
    /// Text to train on.
    pub train: Documents,
    /// Text to validate on; empty if the corpus holds nothing back.
    pub held_out: Documents,
    /// The tokenizer, for the loader.
    pub pieces: Arc<Pieces>,
    /// Words that may be renamed.
    pub names: Names,
    /// The tokenizer's file.
    pub tokenizer: Vec<u8>,
    /// Hash of the corpus.
    pub corpus_sha256: String,
    /// Hashes of the training methods, sorted.
    pub methods: Vec<u64>,
}

/// Whole projects: those of role `train` to learn from, the withheld ones to validate on.
///
/// # Errors
/// [`TrainError::Corpus`] if the corpus cannot be read, [`TrainError::Empty`] without training text.
pub fn project_material(config: &TrainConfig) -> Result<Material, TrainError> {
    let corpus = Corpus::open(&config.corpus)?;
    let pieces = Arc::new(pieces_of(&corpus));
    let mut train = Documents::new();
    let mut held_out = Documents::new();
    let mut counts = WordCounts::default();
    let mut counted = 0;
    for project in corpus.projects() {
        let documents = match project.role {
            Role::Train => &mut train,
            Role::Withheld => &mut held_out,
            Role::Dev => continue,
        };
        documents.begin_project(&project.name);
        for index in project.files.clone() {
            let file = corpus.file(index)?;
            let header = pieces.encode(&format!("{}\n", file.header));
            let outline = outline_pieces(&pieces, &file.outline);
            if project.role == Role::Withheld {
                documents.add_file(&header, &outline, &file.tokens)?;
                continue;
            }
            let text = first_occurrences(&file, &pieces);
            if config.loader.rename > 0.0 && counted < COUNTED_TOKENS {
                counted += text.len() as u64;
                counts.add(&String::from_utf8_lossy(&pieces.decode(&text)));
            }
            documents.add_file(&header, &outline, &text)?;
        }
    }
    let names = Names::new(counts, &pieces);
    let methods = corpus.train_method_hashes();
    finish(
        config,
        &corpus,
        Material {
            train,
            held_out,
            pieces,
            names,
            tokenizer: Vec::new(),
            corpus_sha256: String::new(),
            methods,
        },
    )
}

/// Random methods of the training projects, nine in ten to learn from, the rest held out.
///
/// # Errors
/// As [`project_material`]; too few methods are a [`TrainError::Corpus`].
pub fn sample_material(config: &TrainConfig, count: usize) -> Result<Material, TrainError> {
    let corpus = Corpus::open(&config.corpus)?;
    let pieces = Arc::new(pieces_of(&corpus));
    let samples = nestor_corpus::sample(&corpus, count, config.loader.seed)?;
    let documents = |refs: &[SampleRef], name: &str| -> Result<Documents, TrainError> {
        let mut documents = Documents::new();
        documents.begin_project(name);
        // They come in the order of the corpus, so each file is read once.
        for sample in refs {
            let entry = &corpus.files()[sample.file];
            let header = pieces.encode(&format!("{}\n", entry.header));
            let tokens = corpus.tokens(sample.file)?;
            documents.add_file(
                &header,
                &outline_pieces(&pieces, &entry.outline),
                &tokens[entry.methods[sample.method].tokens.clone()],
            )?;
        }
        Ok(documents)
    };
    let (train, held_out) = (
        documents(&samples.train, "train")?,
        documents(&samples.test, "test")?,
    );
    let hash = |sample: &SampleRef| corpus.files()[sample.file].methods[sample.method].hash;
    let mut methods: Vec<u64> = samples.train.iter().map(hash).collect();
    methods.sort_unstable();
    finish(
        config,
        &corpus,
        Material {
            train,
            held_out,
            pieces,
            names: Names::default(),
            tokenizer: Vec::new(),
            corpus_sha256: String::new(),
            methods,
        },
    )
}

/// Fills in what is the same for both and checks that there is something to learn.
fn finish(
    config: &TrainConfig,
    corpus: &Corpus,
    material: Material,
) -> Result<Material, TrainError> {
    let train = material.train.finish();
    if train.projects.is_empty() {
        return Err(TrainError::Empty {
            path: config.corpus.clone(),
            reason: "no project of role `train` with any code in it".into(),
        });
    }
    let path = config.corpus.join("tokenizer.json");
    Ok(Material {
        train,
        held_out: material.held_out.finish(),
        tokenizer: fs::read(&path).map_err(|e| TrainError::file(&path, e))?,
        corpus_sha256: corpus.sha256().to_string(),
        ..material
    })
}

/// A file's tokens without the methods that an earlier file or an earlier part of this one has;
/// nothing if all its methods are such: what is left is only the frame of a copy.
fn first_occurrences(file: &FileRecord, pieces: &Pieces) -> Vec<u32> {
    if !file.methods.is_empty() && file.methods.iter().all(|method| !method.is_first) {
        return Vec::new();
    }
    let mut text = Vec::with_capacity(file.tokens.len());
    let mut from = 0;
    for method in &file.methods {
        if !method.is_first && method.tokens.len() > GLUE_TOKENS && method.tokens.start >= from {
            text.extend_from_slice(&file.tokens[from..method.tokens.start]);
            from = method.tokens.end;
            // The empty lines around the method become one run, as the tokenizer would have it.
            let empty = |token: &u32| pieces.bytes(*token).iter().all(|byte| *byte == b'\n');
            while text.last().is_some_and(|token| pieces.has_newline(*token))
                && file.tokens.get(from).is_some_and(empty)
            {
                from += 1;
            }
        }
    }
    text.extend_from_slice(&file.tokens[from..]);
    text
}

/// The lines of an outline as they follow the header.
fn outline_pieces(pieces: &Pieces, outline: &str) -> Vec<u32> {
    if outline.is_empty() {
        return Vec::new();
    }
    pieces.encode(&format!("{outline}\n"))
}

fn pieces_of(corpus: &Corpus) -> Pieces {
    let tokenizer = Arc::clone(corpus.tokenizer());
    let bytes = (0..tokenizer.vocab_size() as u32)
        .map(|id| tokenizer.piece(id).into())
        .collect();
    Pieces::new(bytes, move |text| tokenizer.encode(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_corpus::build_corpus;
    use crate::{Size, TrainConfig};

    fn all_text(documents: &mut Documents, pieces: &Pieces) -> String {
        let places: Vec<(usize, usize, usize)> = (0..documents.projects.len())
            .flat_map(|project| {
                let files = documents.projects[project].files.iter().enumerate();
                files
                    .map(move |(file, entry)| (project, file, entry.len as usize))
                    .collect::<Vec<_>>()
            })
            .collect();
        let mut text = String::new();
        for (project, file, len) in places {
            let mut tokens = Vec::new();
            documents.read(project, file, 0, len, &mut tokens).unwrap();
            text += &String::from_utf8(pieces.decode(&tokens)).unwrap();
        }
        text
    }

    #[test]
    fn a_repeated_method_is_trained_on_once_and_withheld_text_never() {
        let (_dir, path) = build_corpus();
        let config = TrainConfig::new(path, Size::Nano, 1, "out".into());
        let mut material = project_material(&config).unwrap();
        assert_eq!(material.train.projects.len(), 2);
        let text = all_text(&mut material.train, &material.pieces);
        assert_eq!(text.matches("Функция ОбщаяСумма").count(), 1);
        assert!(text.contains("торговля11Вариант7") && !text.contains("учет"));
        assert!(
            !text.contains("Копия"),
            "a module of repeated methods alone is left out"
        );
        let text = all_text(&mut material.held_out, &material.pieces);
        assert!(text.contains("учет0Вариант0"));
        assert!(material.methods.is_sorted() && material.methods.len() > 100);
    }

    #[test]
    fn renaming_pieces_is_renaming_the_text_and_encoding_it() {
        let (_dir, path) = build_corpus();
        let config = TrainConfig::new(path, Size::Nano, 1, "out".into());
        let mut material = project_material(&config).unwrap();
        let pieces = &material.pieces;
        let text = all_text(&mut material.train, pieces);
        let tokens = pieces.encode(&text);
        assert!(!material.names.is_empty());
        for seed in 0..5 {
            let renamed = material.names.visit(seed).apply(pieces, &tokens);
            let new_text = String::from_utf8(pieces.decode(&renamed)).unwrap();
            assert_ne!(new_text, text);
            assert_eq!(pieces.encode(&new_text), renamed);
        }
    }

    #[test]
    fn samples_are_split_nine_to_one() {
        let (_dir, path) = build_corpus();
        let config = TrainConfig::new(path, Size::Nano, 1, "out".into()).with_samples(100);
        let material = sample_material(&config, 100).unwrap();
        let count = |documents: &Documents| -> usize {
            documents
                .projects
                .iter()
                .map(|project| project.files.len())
                .sum()
        };
        let (train, held_out) = (count(&material.train), count(&material.held_out));
        assert_eq!(train + held_out, 100);
        assert_eq!(material.methods.len(), train);
        assert!(sample_material(&config, 100_000).is_err());
    }

    #[test]
    fn a_folder_that_is_no_corpus_is_named() {
        let config = TrainConfig::new("нет такого".into(), Size::Nano, 1, "out".into());
        let error = project_material(&config).unwrap_err().to_string();
        assert!(error.contains("нет такого"), "{error}");
    }
}

//! Lays out one window of tokens: files of a project one after another, each with its path header,
//! a part of them for filling in the middle, names changed where the visit says so.
//!
//! Called by the loader for every row of a batch. A file's piece is
//! `<file> header outline [<suf> suffix] <pre> text` and ends in `<eof>`, or in `<eom>` where a suffix was given.

use super::documents::Documents;
use super::pieces::{Pieces, special};
use super::rename::Renaming;
use crate::TrainError;
use rand::Rng;
use rand::rngs::StdRng;

/// Longest suffix of a fill-in-the-middle piece.
pub const MAX_SUFFIX: usize = 128;
/// Shortest suffix, where the file goes on that long.
const MIN_SUFFIX: usize = 8;
/// Least room in the window for a fill-in-the-middle piece.
const MIN_MIDDLE_ROOM: usize = 96;
/// The part of a window that an outline takes at most: one in so many.
const OUTLINE_PART: usize = 4;
/// How far back the start of a line is looked for.
const LINE_SEARCH: usize = 64;
/// Share of middles that end at the end of a line.
const ENDS_AT_LINE: f64 = 0.6;
/// A start with less of its file left moves to the next file.
const MIN_REST: usize = 24;

/// Where a window starts: a place in the order of the project's files, and a token in that file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// Index into the pass's order of files.
    pub place: u32,
    /// Token in the file's text.
    pub offset: u32,
}

/// Random parts of a window.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shares {
    /// Share of pieces laid out for filling in the middle.
    pub fill_in_middle: f64,
    /// Share of files without header.
    pub drop_header: f64,
    /// Share of the headers without outline, where there is one.
    pub drop_outline: f64,
}

/// Tokens and the weight of each as a target.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Window {
    /// `seq_len + 1` tokens.
    pub tokens: Vec<u32>,
    /// As many weights.
    pub weights: Vec<f32>,
}

/// What a window is made from.
#[derive(Debug)]
pub struct Source<'a> {
    /// All text.
    pub documents: &'a mut Documents,
    /// The tokenizer.
    pub pieces: &'a Pieces,
    /// The project.
    pub project: usize,
    /// The order of the project's files in this pass.
    pub order: &'a [u32],
    /// New names, if this visit renames.
    pub renaming: Option<&'a Renaming<'a>>,
}

impl Window {
    fn push(&mut self, tokens: &[u32], weight: f32) {
        self.tokens.extend_from_slice(tokens);
        self.weights.resize(self.tokens.len(), weight);
    }

    /// Lays out a window of `length` tokens from `start` on.
    ///
    /// Goes on with the next files in order; what no file is left for is padded.
    ///
    /// # Errors
    /// [`TrainError::File`] if the text cannot be read.
    pub fn lay_out(
        source: &mut Source<'_>,
        start: Start,
        length: usize,
        shares: Shares,
        rng: &mut StdRng,
    ) -> Result<Self, TrainError> {
        let mut window = Self::default();
        let mut at = source.line_start(start)?;
        let mut raw = Vec::new();
        while window.tokens.len() < length && (at.place as usize) < source.order.len() {
            let file = source.order[at.place as usize] as usize;
            let file_len = source.file_len(file);
            let room = length - window.tokens.len();
            let from = at.offset as usize;
            raw.clear();
            source.documents.read(
                source.project,
                file,
                from,
                from + room + MAX_SUFFIX,
                &mut raw,
            )?;
            let reaches_end = from + raw.len() >= file_len;
            let text = match source.renaming {
                Some(renaming) => renaming.apply(source.pieces, &raw),
                None => raw.clone(),
            };
            window.push(&[special::FILE], 0.0);
            if !rng.random_bool(shares.drop_header) {
                window.push(&source.header(file), 0.0);
                // A corpus without outlines gives the same windows as before there were any.
                if source.has_outline(file) && !rng.random_bool(shares.drop_outline) {
                    window.push(&source.outline(file, length / OUTLINE_PART), 0.0);
                }
            }
            let room = length.saturating_sub(window.tokens.len() + 1);
            let cut = if rng.random_bool(shares.fill_in_middle) {
                source.cut(&text, room, rng)
            } else {
                None
            };
            if let Some((middle_end, suffix_end)) = cut {
                window.push(&[special::SUFFIX], 0.0);
                window.push(&text[middle_end..suffix_end], 0.0);
                window.push(&[special::PREFIX], 0.0);
                window.push(&text[..middle_end], 1.0);
                window.push(&[special::END_OF_MIDDLE], 1.0);
                let next = Start {
                    offset: (from + suffix_end) as u32,
                    ..at
                };
                at = if reaches_end && suffix_end + MIN_REST > text.len() {
                    Start {
                        place: at.place + 1,
                        offset: 0,
                    }
                } else {
                    source.line_start(next)?
                };
            } else {
                window.push(&[special::PREFIX], 0.0);
                window.push(&text, 1.0);
                if reaches_end {
                    window.push(&[special::END_OF_FILE], 1.0);
                }
                at = Start {
                    place: at.place + 1,
                    offset: 0,
                };
            }
        }
        window.tokens.resize(length, special::PAD);
        window.weights.resize(length, 0.0);
        Ok(window)
    }
}

impl Source<'_> {
    fn file_len(&self, file: usize) -> usize {
        self.documents.projects[self.project].files[file].len as usize
    }

    fn has_outline(&self, file: usize) -> bool {
        let file = &self.documents.projects[self.project].files[file];
        !file.outline.is_empty()
    }

    /// At most so many pieces of the outline, renamed like the code.
    fn outline(&self, file: usize, most: usize) -> Vec<u32> {
        let outline = &self.documents.projects[self.project].files[file].outline;
        let outline: Vec<u32> = outline.iter().map(|token| u32::from(*token)).collect();
        let mut outline = match self.renaming {
            Some(renaming) => renaming.apply(self.pieces, &outline),
            None => outline,
        };
        outline.truncate(most);
        outline
    }

    /// The header's pieces; the object's name is renamed like the code, the kinds around it are not.
    fn header(&self, file: usize) -> Vec<u32> {
        let header = &self.documents.projects[self.project].files[file].header;
        let header: Vec<u32> = header.iter().map(|token| u32::from(*token)).collect();
        let Some(renaming) = self.renaming else {
            return header;
        };
        let is_dot = |token: &u32| self.pieces.bytes(*token) == b".";
        let (Some(first), Some(last)) = (
            header.iter().position(is_dot),
            header.iter().rposition(is_dot),
        ) else {
            return header;
        };
        let name = renaming.apply(self.pieces, &header[first..last]);
        [&header[..first], &name, &header[last..]].concat()
    }

    /// Moves a start back to the start of its line, or on to the next file if little of this one is left.
    fn line_start(&mut self, start: Start) -> Result<Start, TrainError> {
        let offset = start.offset as usize;
        let Some(file) = self.order.get(start.place as usize) else {
            return Ok(start);
        };
        let file = *file as usize;
        if offset == 0 {
            return Ok(start);
        }
        if offset + MIN_REST > self.file_len(file) {
            return Ok(Start {
                place: start.place + 1,
                offset: 0,
            });
        }
        let from = offset.saturating_sub(LINE_SEARCH);
        let mut before = Vec::with_capacity(LINE_SEARCH);
        self.documents
            .read(self.project, file, from, offset, &mut before)?;
        let line = before
            .iter()
            .rposition(|token| self.pieces.has_newline(*token));
        Ok(match line {
            Some(at) => Start {
                offset: (from + at + 1) as u32,
                ..start
            },
            None if from == 0 => Start { offset: 0, ..start },
            None => start,
        })
    }

    /// Where the middle and the suffix end in a file's text, if both fit into `room`.
    fn cut(&self, text: &[u32], room: usize, rng: &mut StdRng) -> Option<(usize, usize)> {
        if room < MIN_MIDDLE_ROOM {
            return None;
        }
        let suffix = rng.random_range(MIN_SUFFIX..=MAX_SUFFIX.min(room / 2));
        // <suf>, <pre> and <eom> need room too.
        let longest = (room - suffix - 3).min(text.len().saturating_sub(MIN_SUFFIX));
        if longest < MIN_REST {
            return None;
        }
        let mut end = rng.random_range(MIN_REST / 2..=longest);
        if rng.random_bool(ENDS_AT_LINE) {
            let line = text[end..=longest.min(text.len() - 1)]
                .iter()
                .position(|token| self.pieces.has_newline(*token));
            end += line.unwrap_or(0);
        }
        Some((end, (end + suffix).min(text.len())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loader::rename::{Names, WordCounts};
    use rand::SeedableRng;

    fn text(lines: usize) -> String {
        (0..lines)
            .map(|i| format!("Строка{i} = Значение;\n"))
            .collect()
    }

    fn documents(pieces: &Pieces, files: &[&str]) -> Documents {
        let mut documents = Documents::new();
        documents.begin_project("проект");
        for (i, file) in files.iter().enumerate() {
            let header = pieces.encode(&format!("Документ.Файл{i}.Модуль\n"));
            let outline = pieces.encode("Реквизит,Файл,Номер\n");
            documents
                .add_file(&header, &outline, &pieces.encode(file))
                .unwrap();
        }
        documents.finish()
    }

    /// Splits a window into pieces: header, suffix, text, and the token that ends it.
    fn parts(pieces: &Pieces, window: &Window) -> Vec<(String, String, String, u32)> {
        let string = |tokens: &[u32]| String::from_utf8_lossy(&pieces.decode(tokens)).into_owned();
        let mut out = Vec::new();
        for part in window.tokens.split(|token| *token == special::FILE).skip(1) {
            let prefix = part
                .iter()
                .position(|t| *t == special::PREFIX)
                .unwrap_or(part.len());
            let (head, text) = part.split_at(prefix);
            let suffix = head
                .iter()
                .position(|t| *t == special::SUFFIX)
                .unwrap_or(head.len());
            out.push((
                string(&head[..suffix]),
                string(&head[suffix..]),
                string(text),
                *text.last().unwrap_or(&special::PAD),
            ));
        }
        out
    }

    #[test]
    fn files_follow_in_order_with_headers_and_ends() {
        let pieces = Pieces::single_bytes();
        let mut documents = documents(&pieces, &["А = 1;\n", "Б = 2;\n"]);
        let mut source = Source {
            documents: &mut documents,
            pieces: &pieces,
            project: 0,
            order: &[1, 0],
            renaming: None,
        };
        let shares = Shares {
            fill_in_middle: 0.0,
            drop_header: 0.0,
            drop_outline: 1.0,
        };
        let mut rng = StdRng::seed_from_u64(1);
        let start = Start {
            place: 0,
            offset: 0,
        };
        let window = Window::lay_out(&mut source, start, 160, shares, &mut rng).unwrap();
        assert_eq!(window.tokens.len(), 160);
        let parts = parts(&pieces, &window);
        assert_eq!(parts[0].0, "Документ.Файл1.Модуль\n");
        assert_eq!(parts[0].2, "Б = 2;\n");
        assert_eq!(parts[1].2, "А = 1;\n");
        let with_outline = Shares {
            drop_outline: 0.0,
            ..shares
        };
        let window = Window::lay_out(&mut source, start, 160, with_outline, &mut rng).unwrap();
        let outlined = self::parts(&pieces, &window);
        // A quarter of the window, in single bytes.
        let expected = "Документ.Файл1.Модуль\nРеквизит,Файл,Номер\n";
        assert!(expected.starts_with(&outlined[0].0), "{}", outlined[0].0);
        assert!(
            outlined[0]
                .0
                .starts_with("Документ.Файл1.Модуль\nРеквизит,Файл,")
        );
        let text = window
            .tokens
            .iter()
            .position(|token| *token == special::PREFIX);
        assert!(
            window.weights[..=text.unwrap()]
                .iter()
                .all(|weight| *weight == 0.0)
        );
        for (token, weight) in window.tokens.iter().zip(&window.weights) {
            if matches!(*token, special::FILE | special::PREFIX | special::PAD) {
                assert_eq!(*weight, 0.0);
            }
            if *token == special::END_OF_FILE {
                assert_eq!(*weight, 1.0);
            }
        }
    }

    #[test]
    fn a_middle_decodes_back_to_the_file() {
        let pieces = Pieces::single_bytes();
        // Single bytes would cut Cyrillic letters in two.
        let file: String = (0..60).map(|i| format!("Line{i} = Value;\n")).collect();
        let mut documents = documents(&pieces, &[&file]);
        let shares = Shares {
            fill_in_middle: 1.0,
            drop_header: 0.5,
            drop_outline: 1.0,
        };
        let mut middles = 0;
        for seed in 0..60 {
            let mut source = Source {
                documents: &mut documents,
                pieces: &pieces,
                project: 0,
                order: &[0],
                renaming: None,
            };
            let mut rng = StdRng::seed_from_u64(seed);
            let start = Start {
                place: 0,
                offset: (seed as u32 * 37) % 700,
            };
            let window = Window::lay_out(&mut source, start, 512, shares, &mut rng).unwrap();
            for (_, suffix, text, end) in parts(&pieces, &window) {
                if end != special::END_OF_MIDDLE {
                    continue;
                }
                middles += 1;
                assert!(suffix.len() <= MAX_SUFFIX);
                assert!(file.contains(&format!("{text}{suffix}")), "{text}|{suffix}");
            }
            let suffixes: f32 = window
                .tokens
                .split(|token| *token == special::SUFFIX)
                .skip(1)
                .map(|part| {
                    part.iter()
                        .take_while(|token| **token != special::PREFIX)
                        .count()
                })
                .sum::<usize>() as f32;
            assert!(window.weights.iter().sum::<f32>() <= 512.0 - suffixes);
        }
        assert!(middles > 50, "{middles}");
    }

    #[test]
    fn a_window_starts_at_a_line_and_renames_the_header_like_the_code() {
        let pieces = Pieces::single_bytes();
        let file = text(60).replace("Значение", "Файл");
        let mut documents = documents(&pieces, &[&file]);
        let mut counts = WordCounts::default();
        counts.add(&"Файл Дом ".repeat(5));
        let names = Names::new(counts, &pieces);
        let renaming = (0..).map(|seed| names.visit(seed)).find(|renaming| {
            renaming.apply(&pieces, &pieces.encode("Файл")) == pieces.encode("Дом")
        });
        let mut source = Source {
            documents: &mut documents,
            pieces: &pieces,
            project: 0,
            order: &[0],
            renaming: renaming.as_ref(),
        };
        let shares = Shares {
            fill_in_middle: 0.0,
            drop_header: 0.0,
            drop_outline: 0.0,
        };
        let mut rng = StdRng::seed_from_u64(1);
        let start = Start {
            place: 0,
            offset: 100,
        };
        let window = Window::lay_out(&mut source, start, 256, shares, &mut rng).unwrap();
        let parts = parts(&pieces, &window);
        assert_eq!(parts[0].0, "Документ.Дом0.Модуль\nРеквизит,Дом,Номер\n");
        assert!(parts[0].2.starts_with("Строка"), "{}", parts[0].2);
        assert!(parts[0].2.contains("= Дом;"), "{}", parts[0].2);
    }
}

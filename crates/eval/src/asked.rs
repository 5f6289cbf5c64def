//! Asks the model: runs the rounds of a protocol over files and tallies what every level answers.
//!
//! Called by [`crate::evaluate()`]. Files go one after the other because each may be learned before the next; the places
//! within a file are answered in parallel.

use nestor_assist::lookahead::Lookahead;
use nestor_assist::mixture::{LevelRow, Mixer, RowGate};
use nestor_assist::stream::{FileStream, Moment, View};
use nestor_assist::{AssistError, Assistant, GrowingMetadata, MetadataIndex, ProjectMemory};
use nestor_bsl::code_tokens::TokenClass;
use nestor_bsl::lexer::is_name_char;
use rayon::prelude::*;
use rustc_hash::FxHashSet;

use crate::beam::ranking;
use crate::decode::{CodeNames, decoded};
use crate::error::EvalError;
use crate::evaluate::{EvalConfig, Source};
use crate::own_code::{OwnCode, Plan, ProjectFile};
use crate::results::Adaptation;
use crate::rounds::Round;
use crate::strict::{
    Answer, Masks, Position, TokenQuestion, TokenText, answer, positions, questions, verdict,
};
use crate::tally::{Known, Rank, Spoken, Tally};

/// Questions that are answered in one walk: bounds the memory for answers.
const QUESTIONS_AT_ONCE: usize = 4096;

/// Files that are learned together: the network reads ahead within them.
const FILES_AT_ONCE: usize = 256;

/// The model, asked.
pub(crate) struct Asked<'a> {
    pub(crate) assistant: &'a Assistant,
    pub(crate) metadata: Option<&'a MetadataIndex>,
    /// Whether the network may read what the metadata says of a module's object and form.
    pub(crate) outlines: bool,
    pub(crate) rows: Vec<RowGate>,
    pub(crate) masks: Masks,
    pub(crate) config: &'a EvalConfig,
}

impl Asked<'_> {
    /// Tallies by file and, within one, by view and row. `step` is told the tokens of each scored file.
    pub(crate) fn score_rounds(
        &self,
        source: &Source,
        rounds: &[Round],
        plan: &Plan,
        train_methods: &FxHashSet<u64>,
        step: &mut dyn FnMut(u64),
    ) -> Result<Vec<Vec<Tally>>, EvalError> {
        let n_tallies = self.config.adaptations.len() * self.rows.len();
        let mut tallies = vec![vec![Tally::default(); n_tallies]; source.files.len()];
        let learns = self.config.adaptations.contains(&Adaptation::Dynamic);
        let mut n_scored = 0;
        for round in rounds {
            let mut memory = self.assistant.empty_memory()?;
            if let Some(config) = self.config.levels {
                memory.set_levels(Some(self.assistant.empty_levels(config)?));
            }
            let mut facts = self.metadata.filter(|_| learns).map(|index| Facts {
                metadata: GrowingMetadata::new(index.clone()),
                code: CodeNames::default(),
            });
            if learns {
                self.learn_files(source, &round.learn, &mut memory)?;
                if let Some(facts) = &mut facts {
                    for &file in &round.learn {
                        facts.learn(&source.files[file]);
                    }
                }
            }
            for &file_idx in &round.score {
                let file = &source.files[file_idx];
                let learned_after = learns && round.learn_scored;
                // A file outside the subset is only learned, and not even that without a project.
                let code = OwnCode::find(&file.text, train_methods);
                let scored = plan.scored(file_idx, &code);
                let n_tokens = scored.iter().filter(|scored| **scored).count() as u64;
                if n_tokens == 0 && !learned_after {
                    step(0);
                    continue;
                }
                let known = facts.as_mut().filter(|_| self.outlines);
                let outline = known.map_or_else(Vec::new, |facts| {
                    let metadata = facts.metadata.current();
                    self.assistant.outline(Some(metadata), &file.path)
                });
                let stream = self.stream_of(file).with_outline(outline);
                let asked = questions(
                    stream.text(),
                    &code.tokens,
                    &scored,
                    stream.pieces(),
                    &self.masks,
                );
                let mut views = self.views(&file.path, &memory, facts.as_mut())?;
                let exam = Exam {
                    stream: &stream,
                    code: &code,
                    asked: &asked,
                    n_before: n_scored,
                    facts: facts.as_ref(),
                };
                self.score_file(&exam, &mut views, &mut tallies[file_idx])?;
                n_scored += n_tokens;
                if learned_after {
                    // What the file has taught its own fork is what it teaches the project.
                    for view in views.drain(..) {
                        if let Some(levels) = self.assistant.stream().finish(&stream, view)? {
                            memory.set_levels(Some(levels));
                        }
                    }
                    memory.learn(&file.path, stream.tokens())?;
                    if let Some(facts) = &mut facts {
                        facts.learn(file);
                    }
                }
                step(n_tokens);
            }
        }
        Ok(tallies)
    }

    /// Learns files before anything is scored, some hundred at a time.
    fn learn_files(
        &self,
        source: &Source,
        files: &[usize],
        memory: &mut ProjectMemory,
    ) -> Result<(), EvalError> {
        let mut levels = memory.levels().map(|levels| levels.as_ref().clone());
        for files in files.chunks(FILES_AT_ONCE) {
            let streams: Vec<FileStream> = files
                .par_iter()
                .map(|file| self.stream_of(&source.files[*file]))
                .collect();
            if let Some(levels) = &mut levels {
                self.assistant.teach_streams(levels, &streams)?;
            }
            for (file, stream) in files.iter().zip(&streams) {
                memory.learn(&source.files[*file].path, stream.tokens())?;
            }
        }
        memory.set_levels(levels);
        Ok(())
    }

    fn stream_of(&self, file: &ProjectFile) -> FileStream {
        FileStream::new(self.assistant.tokenizer(), &file.path, file.text.clone())
    }

    fn score_file(
        &self,
        exam: &Exam<'_>,
        views: &mut [View],
        tallies: &mut [Tally],
    ) -> Result<(), EvalError> {
        let every = self.config.rank_every;
        let text = exam.stream.text();
        for (chunk_idx, chunk) in exam.asked.chunks(QUESTIONS_AT_ONCE).enumerate() {
            let first = exam.n_before + (chunk_idx * QUESTIONS_AT_ONCE) as u64;
            let looks: Vec<Look<'_>> = (first..)
                .zip(chunk)
                .map(|(idx, question)| {
                    let token = &exam.code.tokens[question.token_idx];
                    Look {
                        question,
                        ranks: every > 0 && idx % every == every / 2,
                        decodes: exam.facts.is_some()
                            && token.class == TokenClass::Identifier
                            && text[..token.scored.start].ends_with('.'),
                    }
                })
                .filter(|look| look.ranks || look.decodes)
                .collect();
            let answers = self.ask(exam, views, chunk, &looks)?;
            for question in chunk {
                let look = looks
                    .binary_search_by_key(&question.token_idx, |look| look.question.token_idx)
                    .map(|idx| &answers.looked[idx])
                    .ok();
                let known = answers.known(question.pieces.start);
                let token = TokenText {
                    text: exam.stream.text(),
                    token: &exam.code.tokens[question.token_idx],
                    pieces: exam.stream.pieces(),
                };
                for (tally_idx, tally) in tallies.iter_mut().enumerate() {
                    let mut verdict = verdict(
                        question,
                        token,
                        self.masks.tokenizer(),
                        |place| answers.at(place, tally_idx),
                        look.and_then(|look| look.ranks.get(tally_idx).copied()),
                    );
                    verdict.known = known;
                    verdict.spoken = look
                        .and_then(|look| look.spoken)
                        .filter(|(of, _)| *of == tally_idx)
                        .map(|(_, spoken)| spoken);
                    tally.add(&verdict);
                }
            }
            answers.count_pieces(tallies);
        }
        Ok(())
    }

    fn views(
        &self,
        path: &str,
        memory: &ProjectMemory,
        facts: Option<&mut Facts>,
    ) -> Result<Vec<View>, AssistError> {
        let metadata = facts.map(|facts| facts.metadata.current());
        self.config
            .adaptations
            .iter()
            .map(|adaptation| {
                Ok(match adaptation {
                    Adaptation::None => View::new(memory.without_project()?, false),
                    Adaptation::File => View::new(memory.without_project()?, true),
                    Adaptation::Dynamic => {
                        let members = self.assistant.members(metadata, path, "");
                        let view = View::new(memory.cache_for(path)?, true).with_members(members);
                        match memory.levels() {
                            Some(levels) => {
                                let view = view.with_memories(levels.as_ref().clone());
                                match self.config.open_file_teaches {
                                    true => view,
                                    false => view
                                        .taught_at_the_end(self.assistant.model().config().width),
                                }
                            }
                            None => view,
                        }
                    }
                })
            })
            .collect()
    }

    fn ask(
        &self,
        exam: &Exam<'_>,
        views: &mut [View],
        asked: &[TokenQuestion],
        looks: &[Look<'_>],
    ) -> Result<Answers, AssistError> {
        let positions = positions(asked, exam.stream.pieces());
        let places: Vec<usize> = positions.iter().map(|item| item.0).collect();
        let looked_places: Vec<usize> = looks
            .iter()
            .map(|look| look.question.pieces.start)
            .collect();
        let n_views = views.len();
        let vocab = self.assistant.model().config().vocab;
        let mut next_look = looks.iter();
        let walked = self.assistant.stream().walk(
            exam.stream,
            views,
            &places,
            &looked_places,
            |moment| {
                // The mark behind a name is at the name's place too.
                let start = exam
                    .stream
                    .pieces()
                    .get(moment.place)
                    .map(|piece| piece.1.start);
                let member = moment.member.filter(|member| Some(member.start) == start);
                let known = member.map(|member| {
                    let rest = &exam.stream.text()[member.start..];
                    let len = rest.find(|c| !is_name_char(c)).unwrap_or(rest.len());
                    Known {
                        offers: member.offers(&rest[..len]),
                        is_closed: !member.is_open(),
                    }
                });
                Ok((self.answer(moment, &positions, vocab)?, known))
            },
            |_, lookahead| match next_look.next() {
                Some(look) => self.look(exam, look, n_views, lookahead),
                None => Ok(Looked::default()),
            },
        )?;
        let mut answers = Answers {
            positions,
            answers: Vec::with_capacity(walked.answers.len()),
            known: Vec::with_capacity(walked.answers.len()),
            looked: walked.ranks,
        };
        for of_views in walked.answers {
            let known = of_views.iter().find_map(|(_, known)| *known);
            answers.known.push(known);
            let of_views = of_views.into_iter().flat_map(|(answers, _)| answers);
            answers.answers.push(of_views.collect());
        }
        Ok(answers)
    }

    /// The answers of all rows in one view.
    fn answer(
        &self,
        moment: &Moment<'_>,
        positions: &[(usize, Position)],
        vocab: usize,
    ) -> Result<Vec<Answer>, AssistError> {
        let at = positions.partition_point(|item| item.0 < moment.place);
        let mut mixer = Mixer::default();
        let mut probs = vec![0.0; vocab];
        self.rows
            .iter()
            .map(|row| {
                mixer.mix(row, &moment.scene(), &mut probs)?;
                Ok(answer(&positions[at].1, &probs))
            })
            .collect()
    }

    /// What is asked of the pieces ahead.
    fn look(
        &self,
        exam: &Exam<'_>,
        look: &Look<'_>,
        n_views: usize,
        lookahead: &mut Lookahead<'_>,
    ) -> Result<Looked, AssistError> {
        let ranks = if look.ranks {
            self.rank(exam, look.question, n_views, lookahead)?
        } else {
            Vec::new()
        };
        let spoken = match exam.facts.filter(|_| look.decodes) {
            Some(facts) => self.speak(exam, facts, look.question, lookahead)?,
            None => None,
        };
        Ok(Looked { ranks, spoken })
    }

    /// The name that the mixture of all exits writes where the metadata knows the receiver, judged; with the index of its tally.
    fn speak(
        &self,
        exam: &Exam<'_>,
        facts: &Facts,
        question: &TokenQuestion,
        lookahead: &mut Lookahead<'_>,
    ) -> Result<Option<(usize, Spoken)>, AssistError> {
        let views = &self.config.adaptations;
        let view_idx = views.iter().position(|view| *view == Adaptation::Dynamic);
        let row_idx = self.rows.iter().position(|row| row.row == LevelRow::All);
        let (Some(view_idx), Some(row_idx)) = (view_idx, row_idx) else {
            return Ok(None);
        };
        let Some(member) = lookahead.member(view_idx).cloned() else {
            return Ok(None);
        };
        let name = decoded(&self.masks, &question.first, |pieces| {
            lookahead.mixture(pieces, view_idx, &self.rows, row_idx)
        })?;
        let is_outside = !member.offers(&name);
        let spoken = Spoken {
            is_outside,
            is_invented: is_outside
                && !facts.metadata.has_name(&name)
                && !facts.code.has(&name)
                && !CodeNames::of(exam.stream.text()).has(&name),
        };
        Ok(Some((view_idx * self.rows.len() + row_idx, spoken)))
    }

    /// The ranks of the true token by view and row.
    fn rank(
        &self,
        exam: &Exam<'_>,
        question: &TokenQuestion,
        n_views: usize,
        lookahead: &mut Lookahead<'_>,
    ) -> Result<Vec<Rank>, AssistError> {
        let scored = exam.code.tokens[question.token_idx].scored.clone();
        let truth = exam.stream.text()[scored].as_bytes().to_vec();
        let mut ranks = Vec::with_capacity(n_views * self.rows.len());
        for view_idx in 0..n_views {
            for row_idx in 0..self.rows.len() {
                let found = ranking(&self.masks, &question.first, |pieces| {
                    lookahead.mixture(pieces, view_idx, &self.rows, row_idx)
                })?;
                ranks.push(Rank::of(&truth, &found));
            }
        }
        Ok(ranks)
    }
}

/// A file with its questions.
struct Exam<'a> {
    stream: &'a FileStream,
    code: &'a OwnCode,
    asked: &'a [TokenQuestion],
    /// Code tokens scored before this file: which tokens get a beam goes on over files.
    n_before: u64,
    facts: Option<&'a Facts>,
}

/// What is known of the source beside the counts: the metadata, and the names in the code that was learned.
struct Facts {
    metadata: GrowingMetadata,
    code: CodeNames,
}

impl Facts {
    fn learn(&mut self, file: &ProjectFile) {
        self.metadata.learn(&file.path, &file.text);
        self.code.read(&file.text);
    }
}

/// A question that needs a look at pieces ahead.
struct Look<'a> {
    question: &'a TokenQuestion,
    ranks: bool,
    decodes: bool,
}

/// What the look found: ranks by view and row, and the name that one of them writes.
#[derive(Default)]
struct Looked {
    ranks: Vec<Rank>,
    spoken: Option<(usize, Spoken)>,
}

/// Answers of a walk: by position, then by view and row.
struct Answers {
    positions: Vec<(usize, Position)>,
    answers: Vec<Vec<Answer>>,
    /// What the metadata knows, by position.
    known: Vec<Option<Known>>,
    looked: Vec<Looked>,
}

impl Answers {
    fn count_pieces(&self, tallies: &mut [Tally]) {
        for ((_, position), answers) in self.positions.iter().zip(&self.answers) {
            if position.counts {
                for (tally, answer) in tallies.iter_mut().zip(answers) {
                    tally.pieces.add(Some(answer.top) == position.truth);
                }
            }
        }
    }

    fn known(&self, place: usize) -> Option<Known> {
        let at = self.positions.partition_point(|item| item.0 < place);
        self.known.get(at).copied().flatten()
    }

    fn at(&self, place: usize, tally_idx: usize) -> &Answer {
        let at = self.positions.partition_point(|item| item.0 < place);
        &self.answers[at][tally_idx]
    }
}

//! Runs a whole file through the network and the cache once and shows what every level would say at chosen places.
//!
//! The evaluation and the fitting of gates call this; completion goes through the engine's predictor, one place at a
//! time. The context of a place is the one a completion would have there: header, outline, `<pre>`, and the text from the anchor on.
//! Several *views* of the cache (nothing learned, the file, the project) share one pass through the network, which is the
//! same for all of them. Nothing here judges right or wrong.
//!
//! Letters: V vocabulary, d width.

use std::ops::Range;
use std::sync::Arc;

use nestor_bsl::pieces::{PRE, Tokenizer};
use nestor_cache::{
    CandidatePlace, ExitDistribution, NestPrediction, NestedCache, Summary, summarise,
};
use nestor_engine::{DocumentReader, DocumentStates, LevelMemories, Model, Session};
use rayon::prelude::*;

use crate::document::{Borders, MIN_CONTEXT, file_pieces, opening_pieces};
use crate::error::AssistError;
use crate::lookahead::Lookahead;
use crate::members::{Member, MemberPlace, MemberReader, name_start};
use crate::mixture::{Scene, SlotTable};
use crate::open::STATES_EXIT;

/// Places whose distributions are computed together.
const BATCH: usize = 64;

/// Text pieces a session sees before it starts again at an anchor.
const MAX_SESSION: usize = 8192;

/// Pieces before a place that tell how far the memories are to be believed there: a trust forgets in about a hundred.
const WATCHED: usize = 256;

/// A file as the network reads it.
#[derive(Clone, Debug)]
pub struct FileStream {
    text: String,
    /// Header, `<pre>`, text, `<eof>`.
    tokens: Vec<u32>,
    n_opening: usize,
    outline: Vec<u32>,
    pieces: Vec<(u32, Range<usize>)>,
    starts: Vec<usize>,
    borders: Borders,
}

impl FileStream {
    /// Cuts a normalised text into pieces.
    #[must_use]
    pub fn new(tokenizer: &Tokenizer, path: &str, text: String) -> Self {
        let pieces = tokenizer.encode_with_spans(&text);
        Self {
            tokens: file_pieces(tokenizer, path, &text),
            n_opening: opening_pieces(tokenizer, path, &[], "").len(),
            outline: Vec::new(),
            starts: pieces.iter().map(|piece| piece.1.start).collect(),
            borders: Borders::of(&text),
            pieces,
            text,
        }
    }

    /// The same file, with an outline (`document::outline_pieces`) behind its header when a place in it is predicted; what is learned of it
    /// stays.
    #[must_use]
    pub fn with_outline(mut self, outline: Vec<u32>) -> Self {
        self.outline = outline;
        self
    }

    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The pieces of the text with the bytes they stand for. Place `i` is the one where piece `i` is predicted; the place
    /// after the last piece is that of `<eof>`.
    #[must_use]
    pub fn pieces(&self) -> &[(u32, Range<usize>)] {
        &self.pieces
    }

    /// The whole stream, as it is learned.
    #[must_use]
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// The piece that is predicted at a place.
    #[must_use]
    pub fn truth(&self, place: usize) -> Option<u32> {
        self.tokens.get(self.n_opening + place).copied()
    }

    /// What the document opens with, and the pieces of its text.
    pub fn opening_and_text(&self) -> (&[u32], &[u32]) {
        let (opening, rest) = self.tokens.split_at(self.n_opening);
        (opening, &rest[..self.pieces.len()])
    }

    fn text_tokens(&self, places: Range<usize>) -> &[u32] {
        &self.tokens[self.n_opening + places.start..self.n_opening + places.end]
    }

    /// What stands before a place, from the file's start.
    pub(crate) fn before(&self, place: usize) -> &[u32] {
        &self.tokens[..self.n_opening + place]
    }

    /// The byte at which the piece of a place begins.
    pub(crate) fn byte(&self, place: usize) -> usize {
        let start = self.starts.get(place);
        start.map_or(self.text.len(), |start| *start)
    }

    /// The place where the context of `place` starts.
    fn anchor(&self, place: usize) -> usize {
        let cursor = self
            .starts
            .get(place)
            .map_or(self.text.len(), |start| *start);
        // A piece may begin inside a character; borders and lines never do.
        let cursor = self.text.floor_char_boundary(cursor);
        let anchor = self.borders.anchor(&self.text, cursor, &self.starts);
        self.starts.partition_point(|start| *start < anchor)
    }
}

/// One state of the cache, and of the memories if there are any, that the file is scored with.
#[derive(Clone, Debug)]
pub struct View {
    pub(crate) cache: NestedCache,
    learns_file: bool,
    n_learned: usize,
    pub(crate) levels: Option<Levels>,
    members: Option<MemberReader>,
}

/// A project's memories, which the open file teaches chunk by chunk.
#[derive(Clone, Debug)]
pub(crate) struct Levels {
    pub(crate) memories: LevelMemories,
    /// Reads the file; made when the first chunk closes.
    reader: Option<DocumentReader>,
    /// Places that were learned: whole chunks until the file ends.
    n_learned: usize,
    /// What completion has, where the file teaches nothing before its end.
    served: Option<Served>,
}

/// Memories that learn nothing of the open file, as completion has them.
#[derive(Clone, Debug)]
struct Served {
    /// As the file found them.
    before: LevelMemories,
    /// States of what completion reads before a place, at least.
    states: Arc<DocumentStates>,
}

impl Levels {
    /// Learns the chunks that close before `place`; at the end of the text, what is left too.
    fn learn_to(
        &mut self,
        model: &Arc<Model>,
        file: &FileStream,
        place: usize,
        threads: usize,
    ) -> Result<(), AssistError> {
        let end = file.pieces.len();
        let whole = place.min(end) / LevelMemories::CHUNK * LevelMemories::CHUNK;
        let next = if place >= end { end } else { whole };
        if next <= self.n_learned {
            return Ok(());
        }
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => none.insert(DocumentReader::new(
                Arc::clone(model),
                &file.tokens[..file.n_opening],
                threads,
            )?),
        };
        let text = file.text_tokens(self.n_learned..next);
        match &mut self.served {
            None => self
                .memories
                .learn_on(model, reader, text, WATCHED, threads)?,
            Some(served) => self.memories = served.read_on(model, reader, text, threads)?,
        }
        self.n_learned = next;
        Ok(())
    }

    /// Everything that the memories know once the whole file is learned.
    fn finish(
        mut self,
        model: &Arc<Model>,
        file: &FileStream,
        threads: usize,
    ) -> Result<LevelMemories, AssistError> {
        match self.served.take() {
            None => self.learn_to(model, file, usize::MAX, threads)?,
            Some(served) => {
                self.memories = served.before;
                let (opening, text) = file.opening_and_text();
                self.memories
                    .learn_document(model, opening, text, threads)?;
            }
        }
        Ok(self.memories)
    }
}

impl Served {
    /// The memories once a text was read: believed as far as its last chunk tells, its states beside them.
    fn read_on(
        &mut self,
        model: &Arc<Model>,
        reader: &mut DocumentReader,
        text: &[u32],
        threads: usize,
    ) -> Result<LevelMemories, AssistError> {
        let states = Arc::make_mut(&mut self.states);
        let (mut rows, mut last) = (Vec::new(), text);
        for chunk in text.chunks(LevelMemories::CHUNK) {
            rows = reader.read(chunk)?;
            last = chunk;
            if let Some(rows) = rows.get(STATES_EXIT) {
                states.push(rows, chunk)?;
            }
        }
        states.keep_last(MIN_CONTEXT);
        let mut memories = self.before.beside(Arc::clone(&self.states));
        memories.watch(model, &rows, last, threads)?;
        Ok(memories)
    }
}

impl View {
    /// A view. `learns_file`: the cache learns the file up to each place before it predicts there.
    #[must_use]
    pub fn new(mut cache: NestedCache, learns_file: bool) -> Self {
        cache.start_file();
        Self {
            cache,
            learns_file,
            n_learned: 0,
            levels: None,
            members: None,
        }
    }

    /// The same view with the names that the metadata offers.
    #[must_use]
    pub fn with_members(mut self, members: Option<MemberReader>) -> Self {
        self.members = members;
        self
    }

    /// The names that can stand at a place, and the place in them.
    pub(crate) fn member(&mut self, file: &FileStream, place: usize) -> Option<MemberPlace> {
        let members = self.members.as_mut()?;
        let at = file.byte(place);
        let member = members.member(&file.text, at, "")?;
        let first = file.starts.partition_point(|start| *start < member.start);
        // The names begin where a piece does; else they cannot be followed piece by piece.
        let begins = file.byte(first) == name_start(&file.text, at);
        let found = begins
            .then(|| CandidatePlace::new(&member.names, file.text_tokens(first..place)))
            .flatten();
        Some((member, found))
    }

    /// The same view with a fork of a project's memories, which the file teaches up to each place.
    #[must_use]
    pub fn with_memories(mut self, memories: LevelMemories) -> Self {
        self.levels = Some(Levels {
            memories,
            reader: None,
            n_learned: 0,
            served: None,
        });
        self
    }

    /// The same view as completion has it: the file teaches the memories nothing before its end, but its states, rows of that width, are
    /// recalled beside theirs.
    #[must_use]
    pub fn taught_at_the_end(mut self, width: usize) -> Self {
        if let Some(levels) = &mut self.levels {
            levels.served = Some(Served {
                before: levels.memories.clone(),
                states: Arc::new(DocumentStates::new(width)),
            });
        }
        self
    }

    fn learn_to(&mut self, before: &[u32]) -> Result<(), AssistError> {
        if self.learns_file && before.len() > self.n_learned {
            self.cache.file_mut().extend(&before[self.n_learned..])?;
            self.n_learned = before.len();
        }
        Ok(())
    }
}

/// The parts of every mixture at one place, for one view.
pub struct Moment<'a> {
    /// The place.
    pub place: usize,
    /// Index of the view.
    pub view_idx: usize,
    /// The exits, first one first.
    pub exits: &'a [ExitDistribution<'a>],
    /// What followed the nearest states, in a view with memories.
    pub nearest: Option<ExitDistribution<'a>>,
    /// The nests.
    pub nests: &'a NestPrediction,
    /// What the gates are told about the place.
    pub slot: u8,
    /// The names that the metadata offers for the name around the place, in a view that knows it.
    pub member: Option<&'a Member>,
    /// The place in them; `None` where no name begins as the text does.
    pub candidates: Option<&'a CandidatePlace>,
}

impl Moment<'_> {
    /// What may be mixed here.
    #[must_use]
    pub fn scene(&self) -> Scene<'_> {
        Scene {
            exits: self.exits,
            nearest: self.nearest,
            nests: self.nests,
            slot: self.slot,
            candidates: self.candidates,
        }
    }
}

/// Runs files through a model.
pub struct Stream<'a> {
    model: &'a Arc<Model>,
    pub(crate) slots: &'a SlotTable,
}

impl<'a> Stream<'a> {
    /// A stream over a model.
    #[must_use]
    pub fn new(model: &'a Arc<Model>, slots: &'a SlotTable) -> Self {
        Self { model, slots }
    }

    /// Visits the places in `wanted` (rising), all views at each, in parallel; and calls `rank` at those in `ranked`
    /// (rising, a part of `wanted`) with a way to look ahead. Answers come back in the order of `wanted`, for each place
    /// in the order of `views`.
    ///
    /// # Errors
    /// The first error of the network, the cache or a callback.
    pub fn walk<A: Send, R>(
        &self,
        file: &FileStream,
        views: &mut [View],
        wanted: &[usize],
        ranked: &[usize],
        visit: impl Fn(&Moment<'_>) -> Result<A, AssistError> + Sync,
        mut rank: impl FnMut(usize, &mut Lookahead<'_>) -> Result<R, AssistError>,
    ) -> Result<Walked<A, R>, AssistError> {
        let mut walked = Walked {
            answers: Vec::with_capacity(wanted.len()),
            ranks: Vec::with_capacity(ranked.len()),
        };
        let mut cursor: Option<Cursor> = None;
        let mut left = wanted;
        let mut ranked = ranked;
        while let Some(&place) = left.first() {
            let at = match cursor.take() {
                Some(mut cursor) if cursor.can_go_to(place) => {
                    cursor.advance(file, place)?;
                    cursor
                }
                _ => Cursor::start(self.model, file, place)?,
            };
            let mut at = at;
            if ranked.first() == Some(&place) {
                ranked = &ranked[1..];
                for view in &mut *views {
                    view.learn_to(file.before(place))?;
                }
                self.teach_levels(file, views, place)?;
                let members = views.iter_mut().map(|view| view.member(file, place));
                let members = members.collect();
                let mut lookahead = Lookahead::new(self, file, &at, views, members);
                walked.ranks.push(rank(place, &mut lookahead)?);
            }
            // A batch lies within a chunk of the memories: what they learn there is used from the next one on.
            let end = (place / BATCH + 1) * BATCH;
            let end = end.min(ranked.first().copied().unwrap_or(usize::MAX));
            let n = left.partition_point(|next| *next < end);
            let (batch, rest) = left.split_at(n);
            left = rest;
            self.batch(file, views, &mut at, batch, &visit, &mut walked.answers)?;
            cursor = Some(at);
        }
        Ok(walked)
    }

    /// Everything that a view's memories know once the whole file is learned; `None` for a view without.
    ///
    /// # Errors
    /// Those of the network.
    pub fn finish(
        &self,
        file: &FileStream,
        view: View,
    ) -> Result<Option<LevelMemories>, AssistError> {
        let threads = rayon::current_num_threads();
        view.levels
            .map(|levels| levels.finish(self.model, file, threads))
            .transpose()
    }

    fn teach_levels(
        &self,
        file: &FileStream,
        views: &mut [View],
        place: usize,
    ) -> Result<(), AssistError> {
        let threads = rayon::current_num_threads();
        for levels in views.iter_mut().filter_map(|view| view.levels.as_mut()) {
            levels.learn_to(self.model, file, place, threads)?;
        }
        Ok(())
    }

    fn batch<A: Send>(
        &self,
        file: &FileStream,
        views: &mut [View],
        cursor: &mut Cursor,
        places: &[usize],
        visit: &(impl Fn(&Moment<'_>) -> Result<A, AssistError> + Sync),
        answers: &mut Vec<Vec<A>>,
    ) -> Result<(), AssistError> {
        self.teach_levels(file, views, places[0])?;
        let rows = cursor.rows_of(file, places)?;
        let exits = ViewExits::new(&cursor.session, &rows, views)?;
        let members: Vec<Vec<Option<MemberPlace>>> = views
            .par_iter_mut()
            .map(|view| places.iter().map(|at| view.member(file, *at)).collect())
            .collect();
        let nests: Vec<Vec<NestPrediction>> = views
            .par_iter_mut()
            .map(|view| {
                places
                    .iter()
                    .map(|place| {
                        let before = file.before(*place);
                        view.learn_to(before)?;
                        let mut nests = NestPrediction::new(view.cache.vocab_size());
                        view.cache.predict(before, &mut nests);
                        Ok(nests)
                    })
                    .collect::<Result<_, AssistError>>()
            })
            .collect::<Result<_, AssistError>>()?;
        let found: Vec<Vec<A>> = places
            .par_iter()
            .enumerate()
            .map(|(idx, place)| {
                let last = file.before(*place).last().copied().unwrap_or(0);
                nests
                    .iter()
                    .enumerate()
                    .map(|(view_idx, nests)| {
                        let exits = exits.of(view_idx);
                        let member = members[view_idx][idx].as_ref();
                        visit(&Moment {
                            place: *place,
                            view_idx,
                            exits: &exits.at(idx),
                            nearest: exits.nearest(idx),
                            nests: &nests[idx],
                            slot: self.slots.after(last),
                            member: member.map(|member| &member.0),
                            candidates: member.and_then(|member| member.1.as_ref()),
                        })
                    })
                    .collect::<Result<_, AssistError>>()
            })
            .collect::<Result<_, AssistError>>()?;
        answers.extend(found);
        Ok(())
    }
}

/// What a walk brought back.
#[derive(Clone, Debug)]
pub struct Walked<A, R> {
    /// One list a place, in it one answer a view.
    pub answers: Vec<Vec<A>>,
    /// One a ranked place.
    pub ranks: Vec<R>,
}

/// A session that stands at a place of a file.
pub(crate) struct Cursor {
    pub(crate) session: Session,
    pub(crate) place: usize,
    /// The exits' rows there, `[exits][d]`.
    pub(crate) rows: Vec<Vec<f32>>,
}

impl Cursor {
    fn start(model: &Arc<Model>, file: &FileStream, place: usize) -> Result<Self, AssistError> {
        let anchor = file.anchor(place);
        let session = Session::new(Arc::clone(model), model.config().stages)?
            .with_threads(rayon::current_num_threads());
        let mut cursor = Self {
            session,
            place: anchor,
            rows: Vec::new(),
        };
        let mut tokens = file.tokens[..file.n_opening - 1].to_vec();
        tokens.extend(&file.outline);
        tokens.push(PRE);
        tokens.extend_from_slice(file.text_tokens(anchor..place));
        cursor.read(&tokens)?;
        cursor.place = place;
        Ok(cursor)
    }

    fn can_go_to(&self, place: usize) -> bool {
        place >= self.place
            && place - self.place <= MIN_CONTEXT
            && self.session.len() <= MAX_SESSION
    }

    fn advance(&mut self, file: &FileStream, place: usize) -> Result<(), AssistError> {
        if place > self.place {
            self.read(file.text_tokens(self.place..place))?;
            self.place = place;
        }
        Ok(())
    }

    fn read(&mut self, tokens: &[u32]) -> Result<(), AssistError> {
        let states = self.session.forward(tokens)?;
        if let Some(last) = tokens.len().checked_sub(1) {
            self.rows = (0..states.exits())
                .map(|exit| states.row(exit, last).unwrap_or_default().to_vec())
                .collect();
        }
        Ok(())
    }

    /// The rows of each exit at the places, `[exits][places * d]`; the first place is the cursor's own, and the cursor
    /// ends at the last.
    fn rows_of(
        &mut self,
        file: &FileStream,
        places: &[usize],
    ) -> Result<Vec<Vec<f32>>, AssistError> {
        let first = self.place;
        let mut rows = std::mem::take(&mut self.rows);
        let last = places.last().copied().unwrap_or(first);
        let states = self.session.forward(file.text_tokens(first..last))?;
        self.place = last;
        for (exit, rows) in rows.iter_mut().enumerate() {
            for place in places.iter().filter(|place| **place > first) {
                rows.extend_from_slice(states.row(exit, place - first - 1).unwrap_or_default());
            }
        }
        let width = self.session.model().config().width;
        self.rows = rows
            .iter()
            .map(|rows| rows[rows.len() - width..].to_vec())
            .collect();
        Ok(rows)
    }
}

/// Distributions of all exits at some places, for each view.
pub(crate) struct ViewExits {
    plain: Exits,
    /// One a view; `None` where the exits are the plain ones.
    changed: Vec<Option<Exits>>,
}

impl ViewExits {
    pub(crate) fn new(
        session: &Session,
        rows: &[Vec<f32>],
        views: &[View],
    ) -> Result<Self, AssistError> {
        let plain = Exits::new(session, rows)?;
        let changed = views
            .iter()
            .map(|view| {
                let levels = view.levels.as_ref();
                levels
                    .map(|levels| Exits::with_memories(session, rows, &levels.memories))
                    .transpose()
            })
            .collect::<Result<_, AssistError>>()?;
        Ok(Self { plain, changed })
    }

    pub(crate) fn of(&self, view_idx: usize) -> &Exits {
        self.changed
            .get(view_idx)
            .and_then(Option::as_ref)
            .unwrap_or(&self.plain)
    }

    pub(crate) fn vocab(&self) -> usize {
        self.plain.vocab
    }
}

/// Distributions of all exits at some places.
pub(crate) struct Exits {
    vocab: usize,
    /// `[exits][places * V]`, and behind them the nearest states where there are memories.
    probs: Vec<Vec<f32>>,
    /// `[exits][places]`, likewise
    summaries: Vec<Vec<Summary>>,
    has_nearest: bool,
}

impl Exits {
    fn new(session: &Session, rows: &[Vec<f32>]) -> Result<Self, AssistError> {
        let config = session.model().config();
        let mut exits = Self::empty(config.vocab);
        for (exit, rows) in rows.iter().enumerate() {
            let mut probs = vec![0.0; rows.len() / config.width * config.vocab];
            session.exit_probs(exit, rows, &mut probs)?;
            exits.push(probs);
        }
        Ok(exits)
    }

    fn with_memories(
        session: &Session,
        rows: &[Vec<f32>],
        memories: &LevelMemories,
    ) -> Result<Self, AssistError> {
        let model = session.model();
        let mut exits = Self::empty(model.config().vocab);
        let threads = rayon::current_num_threads();
        for (exit, rows) in rows.iter().enumerate() {
            exits.push(memories.exit_probs(model, exit, rows, threads)?);
        }
        // The nearest states are those of the second exit.
        if let Some(rows) = rows.get(1) {
            exits.push(memories.recall(model, rows)?);
            exits.has_nearest = true;
        }
        Ok(exits)
    }

    fn empty(vocab: usize) -> Self {
        Self {
            vocab,
            probs: Vec::new(),
            summaries: Vec::new(),
            has_nearest: false,
        }
    }

    fn push(&mut self, probs: Vec<f32>) {
        let summaries = probs.par_chunks(self.vocab).map(summarise).collect();
        self.probs.push(probs);
        self.summaries.push(summaries);
    }

    pub(crate) fn at(&self, idx: usize) -> Vec<ExitDistribution<'_>> {
        let exits = self.probs.len() - usize::from(self.has_nearest);
        (0..exits)
            .map(|exit| self.distribution(exit, idx))
            .collect()
    }

    pub(crate) fn nearest(&self, idx: usize) -> Option<ExitDistribution<'_>> {
        self.has_nearest
            .then(|| self.distribution(self.probs.len() - 1, idx))
    }

    fn distribution(&self, exit: usize, idx: usize) -> ExitDistribution<'_> {
        ExitDistribution {
            probabilities: &self.probs[exit][idx * self.vocab..(idx + 1) * self.vocab],
            summary: self.summaries[exit][idx],
        }
    }
}

//! Which names the metadata offers at a place of a document, as pieces with weights.
//!
//! Behind a dot, in code and in query text, the resolver says what the receiver has; inside a method a few literals name what another
//! place of the method names: parameters of a query, keys, handlers. Only the text that the caller shows is read, so
//! evaluation shows what stands before a place and completion the whole document. Weights come from `marks`; the language and the
//! spelling are those of the text. Called by completion and by the stream of the evaluation; it predicts nothing.

mod around;
mod keys;
mod links;
mod marks;
mod uses;

use std::sync::Arc;

use nestor_bsl::keywords::fold;
use nestor_bsl::lexer::is_name_char;
use nestor_bsl::pieces::Tokenizer;
use nestor_cache::{CandidateNames, CandidatePlace, CandidateTrie};
use nestor_metadata::resolve::{Candidate, Document, Resolver};
use nestor_metadata::{Metadata, View};
use rustc_hash::FxHashSet;

use marks::{Listed, Place};
use uses::Uses;

/// More names than this behind one dot are a list that nobody reads, and slow.
const MOST_NAMES: usize = 20_000;

/// How much a name of the other language counts; fitted with the weights of `marks`.
const OTHER_LANGUAGE: f32 = 0.0567;

/// Bytes that two texts are compared in.
const STRETCH: usize = 4096;

/// What a method of a document takes in memory, about.
const BYTES_OF_METHOD: usize = 512;

/// What a link inside a method is as a kind of names.
const LINK_KIND: u8 = 5;

/// Pieces that begin another token after a name, 1 for each, `[V]`.
#[must_use]
pub fn ends_of_names(tokenizer: &Tokenizer) -> Arc<[f32]> {
    let ids = 0..tokenizer.vocab_size() as u32;
    ids.map(|id| f32::from(u8::from(tokenizer.starts_new_token('а', id))))
        .collect()
}

/// The names that can stand at a place.
#[derive(Clone, Debug)]
pub struct Member {
    /// The byte at which the name begins; the space before it where that belongs to its first piece.
    pub start: usize,
    /// The names, for the mixture.
    pub names: Arc<CandidateNames>,
    /// All of them folded, in both languages.
    offered: Arc<FxHashSet<String>>,
}

impl Member {
    /// Whether `name` is one of them, in either language and any case.
    #[must_use]
    pub fn offers(&self, name: &str) -> bool {
        self.offered.contains(&fold(name))
    }

    /// The first of the names in the order of the alphabet that begin with `typed`, all of it folded: what a plain list would offer.
    #[must_use]
    pub fn first_in_list(&self, typed: &str) -> Option<&str> {
        let fitting = self.offered.iter().filter(|name| name.starts_with(typed));
        fitting.min().map(String::as_str)
    }

    /// Whether other names may stand there too.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.names.is_open()
    }
}

/// The names around a place, and the place in them; none where no name begins as the text does.
pub(crate) type MemberPlace = (Member, Option<CandidatePlace>);

/// Finds the names at places of one document, best in rising order. Kept over edits it finds what a fresh one would: what was read of the
/// document is brought up to date where the text differs.
#[derive(Clone, Debug)]
pub struct MemberReader {
    /// None while the reader rests.
    metadata: Option<Arc<Metadata>>,
    tokenizer: Arc<Tokenizer>,
    ends: Arc<[f32]>,
    /// What stood before the last place, then the suffix of that time.
    document: Document,
    /// Bytes of that suffix.
    n_suffix: usize,
    /// What stands behind all places.
    suffix: String,
    /// The text may be another than the document's.
    is_new: bool,
    /// Those of what stood before the last place.
    uses: Uses,
    last: Option<(usize, Option<Member>)>,
}

impl MemberReader {
    /// A reader of the document at `path` inside the project; `suffix` is what stands behind all places, if it is to be seen.
    /// `None` when the metadata has no root at all.
    #[must_use]
    pub fn new(
        metadata: Arc<Metadata>,
        tokenizer: Arc<Tokenizer>,
        ends: Arc<[f32]>,
        path: &str,
        suffix: &str,
    ) -> Option<Self> {
        let _: View<'_> = metadata.view_of_path(path)?;
        Some(Self {
            metadata: Some(metadata),
            tokenizer,
            ends,
            document: Document::new(path, String::new()),
            n_suffix: 0,
            suffix: suffix.to_owned(),
            is_new: true,
            uses: Uses::default(),
            last: None,
        })
    }

    /// Whether it reads this document, into these pieces.
    #[must_use]
    pub fn is_for(&self, path: &str, tokenizer: &Arc<Tokenizer>) -> bool {
        self.document.path() == path && Arc::ptr_eq(&self.tokenizer, tokenizer)
    }

    /// Begins anew with the document as it is now, which the next call shows, and what the metadata says now. `None` as in
    /// [`MemberReader::new`].
    #[must_use]
    pub fn begin_again(mut self, metadata: &Arc<Metadata>, suffix: &str) -> Option<Self> {
        let _: View<'_> = metadata.view_of_path(self.document.path())?;
        self.metadata = Some(Arc::clone(metadata));
        if self.suffix != suffix {
            suffix.clone_into(&mut self.suffix);
        }
        self.is_new = true;
        self.last = None;
        Some(self)
    }

    /// Lets go of the metadata, which may be changed before the reader begins again; until then it finds nothing.
    pub fn rest(&mut self) {
        self.metadata = None;
        self.last = None;
    }

    /// Resident bytes, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let text = self.document.text().len() + self.suffix.len();
        text + BYTES_OF_METHOD * self.document.methods().len() + self.uses.bytes()
    }

    /// The names that can stand at the byte `at` of `text`, which begins as the text of the last call did since the reader began; only what
    /// stands before `at` is read. `typed` begins a name that was typed in any case.
    pub fn member(&mut self, text: &str, at: usize, typed: &str) -> Option<Member> {
        let alias = links::alias_start(text, at);
        let start = alias.unwrap_or_else(|| name_start(text, at));
        let before = &text[..start];
        if alias.is_none() && !before.ends_with(['.', '"', '&']) && !is_in_list(before) {
            return None;
        }
        if let Some((known, member)) = &self.last
            && *known == start
        {
            return member.clone();
        }
        self.read_to(before);
        let found = self.find(start, alias.is_some(), typed);
        self.last = Some((start, found.clone()));
        found
    }

    /// The place in names at the byte `at` of `text`, of which `read` are the pieces since the name began.
    pub fn place(&mut self, text: &str, at: usize, read: &[u32]) -> Option<CandidatePlace> {
        CandidatePlace::new(&self.member(text, at, "")?.names, read)
    }

    /// Makes the document end, before its suffix, as `before` does.
    fn read_to(&mut self, before: &str) {
        let known = self.document.text().len() - self.n_suffix;
        if self.is_new || before.len() < known || !before.is_char_boundary(known) {
            self.compare(before);
            self.is_new = false;
        } else if before.len() > known {
            self.document.edit(known..known, &before[known..]);
            self.uses.read(before, known);
        }
    }

    /// Changes the document where it is not `before` and the suffix.
    fn compare(&mut self, before: &str) {
        let old = self.document.text();
        let suffix = self.suffix.as_str();
        let (old_len, new_len) = (old.len(), before.len() + suffix.len());
        let known = old_len - self.n_suffix;
        let n_before = common_start(old, before);
        let mut start = n_before;
        if start == before.len() {
            start += common_start(&old.as_bytes()[start..], suffix);
        }
        // In both texts the byte behind decides, and those before it are the same.
        while !old.is_char_boundary(start) {
            start -= 1;
        }
        let old_rest = &old.as_bytes()[start..];
        let suffix_rest = &suffix.as_bytes()[start.saturating_sub(before.len())..];
        let mut end = common_end(old_rest, suffix_rest);
        if end == suffix.len() {
            let before_rest = &before.as_bytes()[start.min(before.len())..];
            end += common_end(&old_rest[..old_rest.len() - end], before_rest);
        }
        while !old.is_char_boundary(old_len - end) {
            end -= 1;
        }
        let new_end = new_len - end;
        let mut middle = before[start.min(before.len())..new_end.min(before.len())].to_owned();
        if new_end > before.len() {
            middle.push_str(&suffix[start.saturating_sub(before.len())..new_end - before.len()]);
        }
        if start < old_len - end || !middle.is_empty() {
            self.document.edit(start..old_len - end, &middle);
        }
        self.n_suffix = suffix.len();
        self.uses.change_to(before, n_before.min(known));
    }

    fn find(&self, start: usize, is_alias: bool, typed: &str) -> Option<Member> {
        let metadata = self.metadata.as_ref()?;
        let resolver = Resolver::new(metadata, &self.document)?;
        let before = &self.document.text()[..start];
        let (candidates, kind, is_open) = if is_alias {
            (links::columns(&self.document, start)?, LINK_KIND, true)
        } else if before.ends_with('.') {
            let found = resolver.at(start)?;
            (found.candidates, kind_of(&found.receiver), found.is_open)
        } else {
            let (names, is_open) = links::names(metadata, &resolver, &self.document, start)?;
            (names, LINK_KIND, is_open)
        };
        if candidates.len() > MOST_NAMES {
            return None;
        }
        let mut offered = FxHashSet::default();
        for candidate in &candidates {
            offered.insert(fold(&candidate.russian));
            offered.insert(fold(&candidate.english));
        }
        let named = self.spelled(&candidates, typed, start);
        // A piece holds the space before a word.
        let space = if is_alias { " " } else { "" };
        let pieces: Vec<(Vec<u32>, f32)> = named
            .into_iter()
            .map(|(name, weight)| (self.tokenizer.encode(&format!("{space}{name}")), weight))
            .collect();
        let trie = CandidateTrie::new(
            pieces
                .iter()
                .map(|(pieces, weight)| (pieces.as_slice(), *weight)),
        );
        let names = CandidateNames::new(trie, Arc::clone(&self.ends), kind, is_open);
        Some(Member {
            start,
            names: Arc::new(names),
            offered: Arc::new(offered),
        })
    }

    /// The names as the text would spell them, with their weights.
    fn spelled(&self, candidates: &[Candidate], typed: &str, at: usize) -> Vec<(String, f32)> {
        let typed_folded = fold(typed);
        let folded: Vec<[String; 2]> = candidates
            .iter()
            .map(|candidate| [fold(&candidate.russian), fold(&candidate.english)])
            .collect();
        let both = |idx: usize| -> [&str; 2] { [&folded[idx][0], &folded[idx][1]] };
        let before = &self.document.text()[..at];
        let place = Place::new(
            &self.uses,
            before,
            &self.document,
            (0..folded.len()).map(both),
        );
        let mut names = Vec::with_capacity(candidates.len());
        for (idx, candidate) in candidates.iter().enumerate() {
            let listed = Listed {
                folded: both(idx),
                is_method: candidate.is_method,
                sort: candidate.sort,
                name: &candidate.russian,
            };
            let weight = place.marks(idx, &listed).weight();
            let is_same = candidate.russian == candidate.english;
            let languages = [(&candidate.russian, false), (&candidate.english, true)];
            for (name, is_english) in languages.into_iter().take(if is_same { 1 } else { 2 }) {
                let folded = listed.folded[usize::from(is_english)];
                if !folded.starts_with(&typed_folded) {
                    continue;
                }
                let other = !is_same && is_english != self.uses.is_english();
                let weight = if other {
                    OTHER_LANGUAGE * weight
                } else {
                    weight
                };
                let spelling = self.uses.spelling(folded);
                let mut name = spelling.map_or_else(|| name.clone(), str::to_owned);
                if !typed.is_empty() && name.is_char_boundary(typed.len()) {
                    name.replace_range(..typed.len(), typed);
                }
                names.push((name, weight));
            }
        }
        names
    }
}

/// Bytes at the start of two texts that are the same; a character may be cut.
fn common_start(one: impl AsRef<[u8]>, other: impl AsRef<[u8]>) -> usize {
    let (one, other) = (one.as_ref(), other.as_ref());
    // Whole stretches first, which are compared at the speed of the memory.
    let stretches = one.chunks(STRETCH).zip(other.chunks(STRETCH));
    let same = stretches.take_while(|(one, other)| one == other);
    let same: usize = same.map(|(one, _)| one.len()).sum();
    let rest = one[same..].iter().zip(&other[same..]);
    same + rest.take_while(|(one, other)| one == other).count()
}

/// Bytes at the end of two texts that are the same; a character may be cut.
fn common_end(one: &[u8], other: &[u8]) -> usize {
    let stretches = one.rchunks(STRETCH).zip(other.rchunks(STRETCH));
    let same = stretches.take_while(|(one, other)| one == other);
    let same: usize = same.map(|(one, _)| one.len()).sum();
    let rest = one[..one.len() - same].iter().rev();
    let rest = rest.zip(other[..other.len() - same].iter().rev());
    same + rest.take_while(|(one, other)| one == other).count()
}

/// Whether the text ends behind a comma in the list of keys of a structure.
fn is_in_list(before: &str) -> bool {
    let list = before.trim_end_matches(' ');
    list.ends_with(',') && {
        let line = &list[list.rfind('\n').map_or(0, |end| end + 1)..];
        let literal = line.rfind("(\"").map(|open| &line[open + 2..]);
        literal.is_some_and(|literal| !literal.contains('"'))
    }
}

/// Where the name that ends at `at`, or is empty there, begins.
#[must_use]
pub fn name_start(text: &str, at: usize) -> usize {
    let before = &text[..text.floor_char_boundary(at)];
    before.trim_end_matches(is_name_char).len()
}

/// What sort of receiver has the names.
fn kind_of(receiver: &[String]) -> u8 {
    let Some(first) = receiver.first() else {
        return LINK_KIND + 1;
    };
    match first.as_str() {
        "query" => 0,
        name if name.starts_with("CommonModule.") => 1,
        name if name.starts_with("Form") => 2,
        name if name.contains('.') => 3,
        _ => 4,
    }
}

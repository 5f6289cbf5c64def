//! What a file's places would be followed by, some pieces ahead: for rankings of whole tokens.
//!
//! The scorer hands one out at a place; the evaluation's beam asks it. Pieces that are tried are read by a copy of the
//! session and learned by nothing.

use std::collections::HashMap;
use std::sync::Arc;

use nestor_cache::NestPrediction;
use nestor_engine::Session;
use rayon::prelude::*;

use crate::error::AssistError;
use crate::members::{Member, MemberPlace};
use crate::mixture::{Mixer, RowGate, Scene};
use crate::stream::{Cursor, FileStream, Stream, View, ViewExits};

/// Looks at what would be predicted after pieces that the file does not have. Nothing is learned from them.
pub struct Lookahead<'a> {
    stream: &'a Stream<'a>,
    views: &'a [View],
    before: &'a [u32],
    base: &'a Cursor,
    /// Names that the metadata offers at the place, by view.
    members: Vec<Option<MemberPlace>>,
    nodes: HashMap<Vec<u32>, Node>,
}

struct Node {
    /// `None` at the place itself, whose session is the cursor's.
    session: Option<Session>,
    exits: ViewExits,
    nests: Vec<NestPrediction>,
    mixed: HashMap<(usize, usize), Arc<[f32]>>,
}

impl<'a> Lookahead<'a> {
    pub(crate) fn new(
        stream: &'a Stream<'a>,
        file: &'a FileStream,
        base: &'a Cursor,
        views: &'a [View],
        members: Vec<Option<MemberPlace>>,
    ) -> Self {
        Self {
            stream,
            views,
            before: file.before(base.place),
            base,
            members,
            nodes: HashMap::new(),
        }
    }

    /// The names that the metadata offers for the name around the place, in a view that knows it.
    #[must_use]
    pub fn member(&self, view_idx: usize) -> Option<&Member> {
        self.members[view_idx].as_ref().map(|member| &member.0)
    }

    /// The mixture of a row (by index, for the memo) in a view after `pieces`.
    ///
    /// # Errors
    /// Those of the network and the cache.
    pub fn mixture(
        &mut self,
        pieces: &[u32],
        view_idx: usize,
        rows: &[RowGate],
        row_idx: usize,
    ) -> Result<Arc<[f32]>, AssistError> {
        self.make(pieces)?;
        let slot = self
            .stream
            .slots
            .after(*pieces.last().or(self.before.last()).unwrap_or(&0));
        let node = self.nodes.get_mut(pieces).expect("made above");
        if let Some(mixed) = node.mixed.get(&(view_idx, row_idx)) {
            return Ok(Arc::clone(mixed));
        }
        let row = &rows[row_idx];
        let mut out = vec![0.0; node.exits.vocab()];
        let exits = node.exits.of(view_idx);
        let candidates = self.members[view_idx]
            .as_ref()
            .and_then(|member| member.1.as_ref()?.after(pieces));
        let scene = Scene {
            exits: &exits.at(0),
            nearest: exits.nearest(0),
            nests: &node.nests[view_idx],
            slot,
            candidates: candidates.as_ref(),
        };
        Mixer::default().mix(row, &scene, &mut out)?;
        let mixed: Arc<[f32]> = out.into();
        node.mixed.insert((view_idx, row_idx), Arc::clone(&mixed));
        Ok(mixed)
    }

    fn make(&mut self, pieces: &[u32]) -> Result<(), AssistError> {
        if self.nodes.contains_key(pieces) {
            return Ok(());
        }
        let (session, exits) = match pieces.split_last() {
            None => (
                None,
                ViewExits::new(&self.base.session, &self.base.rows, self.views)?,
            ),
            Some((last, parent)) => {
                self.make(parent)?;
                let parent = self.nodes[parent].session.as_ref();
                let mut session = parent.unwrap_or(&self.base.session).clone().with_threads(1);
                let states = session.forward(&[*last])?;
                let rows: Vec<Vec<f32>> = (0..states.exits())
                    .map(|exit| states.rows(exit).to_vec())
                    .collect();
                let exits = ViewExits::new(&session, &rows, self.views)?;
                (Some(session), exits)
            }
        };
        let mut context = self.before[self.before.len().saturating_sub(64)..].to_vec();
        context.extend_from_slice(pieces);
        let nests = self
            .views
            .par_iter()
            .map(|view| {
                let mut nests = NestPrediction::new(view.cache.vocab_size());
                view.cache.predict(&context, &mut nests);
                nests
            })
            .collect();
        let node = Node {
            session,
            exits,
            nests,
            mixed: HashMap::new(),
        };
        self.nodes.insert(pieces.to_vec(), node);
        Ok(())
    }
}

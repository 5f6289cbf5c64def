//! Reading documents for the memories: every token with the rows that predict it, ahead of what learns from them.
//!
//! Stages never read a memory, so documents are read on other threads while the memories learn the ones before. Called by the
//! memories, and by whoever scores a document with them. It must not know what is learned.

use crate::session::Session;
use crate::{EngineError, Model};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;

/// Tokens after which a reader's session starts again: the network was trained on shorter windows.
pub(super) const MAX_SESSION: usize = 8192;

/// Tokens that a session which starts again looks back at.
const LOOK_BACK: usize = 1024;

/// Tokens that are read together; a whole number of chunks of the memories.
const BLOCK: usize = 256;

/// Blocks that a thread may be ahead.
const AHEAD: usize = 8;

/// A document to learn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Document<'a> {
    /// The strand of the memories that learns it; `None` for the one at work.
    pub strand: Option<&'a str>,
    /// What it opens with: context that is not learned.
    pub opening: &'a [u32],
    /// What is learned.
    pub text: &'a [u32],
    /// Whether its states are remembered, to be recalled among the nearest ones. Those that are not use up their ids.
    pub recalled: bool,
}

/// Learns a block: for each exit the rows `[n, d]`, and the n tokens that followed.
type Learn<'a> = &'a mut dyn FnMut(Vec<Vec<f32>>, &[u32]) -> Result<(), EngineError>;

/// Some tokens of a document that were read.
#[derive(Debug)]
pub(super) struct Block<'a> {
    /// Those of the document.
    pub strand: Option<&'a str>,
    pub recalled: bool,
    /// For each exit the rows `[n, d]` that predict the targets.
    pub rows: Vec<Vec<f32>>,
    pub targets: &'a [u32],
    pub ends_document: bool,
}

/// Calls `learn` with the blocks of the documents in their order, until it returns false at the end of a document; returns how many
/// documents it has seen whole. All threads but one read ahead, each its share of the documents.
pub(super) fn read_ahead(
    model: &Arc<Model>,
    documents: &[Document<'_>],
    threads: usize,
    learn: &mut dyn FnMut(Block<'_>) -> Result<bool, EngineError>,
) -> Result<usize, EngineError> {
    let readers = threads.saturating_sub(1).min(documents.len());
    if readers == 0 {
        for (seen, document) in documents.iter().enumerate() {
            let mut goes_on = true;
            read_blocks(model, *document, &mut |block| {
                goes_on = learn(block?)?;
                Ok(goes_on)
            })?;
            if !goes_on {
                return Ok(seen + 1);
            }
        }
        return Ok(documents.len());
    }
    std::thread::scope(|scope| {
        let channels: Vec<_> = (0..readers)
            .map(|reader| {
                let (sender, receiver) = sync_channel(AHEAD);
                scope.spawn(move || {
                    for document in documents.iter().skip(reader).step_by(readers) {
                        let mut wanted = true;
                        let read = read_blocks(model, *document, &mut |block| {
                            // The other side has what it wants, or an error.
                            wanted = sender.send(block).is_ok();
                            Ok(wanted)
                        });
                        if !wanted || read.is_err() {
                            break;
                        }
                    }
                });
                receiver
            })
            .collect();
        for seen in 0..documents.len() {
            loop {
                let block = channels[seen % readers].recv();
                let block = block.expect("a reader sends every block or its error")?;
                let ends = block.ends_document;
                if !learn(block)? {
                    return Ok(seen + 1);
                }
                if ends {
                    break;
                }
            }
        }
        Ok(documents.len())
    })
}

/// Reads a document block by block, at least one; `take` gets each, or the error that ends the reading, and ends it by returning
/// false.
fn read_blocks<'a>(
    model: &Arc<Model>,
    document: Document<'a>,
    take: &mut dyn FnMut(Result<Block<'a>, EngineError>) -> Result<bool, EngineError>,
) -> Result<(), EngineError> {
    let mut reader = match DocumentReader::new(Arc::clone(model), document.opening, 1) {
        Ok(reader) => reader,
        Err(error) => return take(Err(error)).map(drop),
    };
    let blocks = document.text.len().div_ceil(BLOCK).max(1);
    for at in 0..blocks {
        let end = document.text.len().min((at + 1) * BLOCK);
        let targets = &document.text[at * BLOCK..end];
        let block = reader.read(targets).map(|rows| Block {
            strand: document.strand,
            recalled: document.recalled,
            rows,
            targets,
            ends_document: at + 1 == blocks,
        });
        let failed = block.is_err();
        if !take(block)? || failed {
            break;
        }
    }
    Ok(())
}

/// Reads a document from its start and pairs every token with the rows that predict it.
#[derive(Debug, Clone)]
pub struct DocumentReader {
    session: Session,
    opening: Vec<u32>,
    /// The last tokens read, for a session that starts again.
    recent: Vec<u32>,
    /// Rows after the last token, by exit.
    last: Vec<Vec<f32>>,
}

impl DocumentReader {
    /// A reader that has read what the document opens with.
    ///
    /// # Errors
    /// [`EngineError::Empty`] for an opening without tokens, [`EngineError::Token`] for one outside the vocabulary.
    pub fn new(model: Arc<Model>, opening: &[u32], threads: usize) -> Result<Self, EngineError> {
        let stages = model.config().stages;
        let mut reader = Self {
            session: Session::new(model, stages)?.with_threads(threads),
            opening: opening.to_vec(),
            recent: Vec::new(),
            last: Vec::new(),
        };
        let states = reader.session.forward(opening)?;
        let at = opening.len().checked_sub(1).ok_or(EngineError::Empty)?;
        reader.last = (0..states.exits())
            .map(|exit| states.row(exit, at).unwrap_or_default().to_vec())
            .collect();
        Ok(reader)
    }

    /// Reads on; returns for each exit the rows `[n, d]` that predict the n tokens.
    ///
    /// # Errors
    /// [`EngineError::Token`] for a token outside the vocabulary.
    pub fn read(&mut self, tokens: &[u32]) -> Result<Vec<Vec<f32>>, EngineError> {
        if tokens.is_empty() {
            return Ok(vec![Vec::new(); self.last.len()]);
        }
        if self.session.len() > MAX_SESSION {
            self.start_again()?;
        }
        let width = self.session.model().config().width;
        let states = self.session.forward(tokens)?;
        let rows = (0..states.exits())
            .map(|exit| {
                let (before, last) = states.rows(exit).split_at((tokens.len() - 1) * width);
                let mut rows = std::mem::replace(&mut self.last[exit], last.to_vec());
                rows.extend_from_slice(before);
                rows
            })
            .collect();
        self.recent.extend_from_slice(tokens);
        let old = self.recent.len().saturating_sub(LOOK_BACK);
        self.recent.drain(..old);
        Ok(rows)
    }

    /// Reads on block by block and hands each to `learn` with its tokens, its rows as of [`DocumentReader::read`]; with more than one thread
    /// the next blocks are read meanwhile.
    pub(super) fn read_on(
        &mut self,
        tokens: &[u32],
        threads: usize,
        learn: Learn<'_>,
    ) -> Result<(), EngineError> {
        if threads < 2 || tokens.len() <= BLOCK {
            return tokens
                .chunks(BLOCK)
                .try_for_each(|block| learn(self.read(block)?, block));
        }
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel(AHEAD);
            scope.spawn(move || {
                for block in tokens.chunks(BLOCK) {
                    let read = self.read(block);
                    let failed = read.is_err();
                    // The other side has an error.
                    if sender.send(read).is_err() || failed {
                        break;
                    }
                }
            });
            for (read, block) in receiver.iter().zip(tokens.chunks(BLOCK)) {
                learn(read?, block)?;
            }
            Ok(())
        })
    }

    fn start_again(&mut self) -> Result<(), EngineError> {
        let model = Arc::clone(self.session.model());
        let stages = model.config().stages;
        let threads = self.session.threads();
        self.session = Session::new(model, stages)?.with_threads(threads);
        self.session.forward(&self.opening)?;
        self.session.forward(&self.recent)?;
        Ok(())
    }
}

//! What levels 2 and 3 gain: teaching memories outside a project, and the loss of the exits on a text that teaches nothing.
//!
//! Called by measurements. Losses are those of the exits alone, without counts and gates, so that they tell what the memories
//! do and nothing else.

use nestor_engine::{Document, DocumentReader, LevelMemories};

use crate::assistant::{Assistant, LearnFile};
use crate::error::AssistError;
use crate::stream::FileStream;

/// Pieces whose distributions exist at once, and after which the memories learn how far they can be believed here.
const CHUNK: usize = 16;

/// Losses of the exits on a text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExitLosses {
    /// Pieces scored.
    pub pieces: u64,
    /// Bits, summed over the pieces, one an exit, the first exit first.
    pub bits: Vec<f64>,
}

impl ExitLosses {
    /// Adds the losses on another text.
    pub fn add(&mut self, other: &Self) {
        self.pieces += other.pieces;
        self.bits.resize(other.bits.len().max(self.bits.len()), 0.0);
        for (sum, bits) in self.bits.iter_mut().zip(&other.bits) {
            *sum += bits;
        }
    }

    /// Bits a piece, one an exit; empty when nothing was scored.
    #[must_use]
    pub fn per_piece(&self) -> Vec<f64> {
        let pieces = self.pieces.max(1) as f64;
        self.bits.iter().map(|bits| bits / pieces).collect()
    }
}

impl Assistant {
    /// Teaches a file to memories; returns its pieces. What is no source text teaches nothing.
    ///
    /// # Errors
    /// Those of the network.
    pub fn teach(
        &self,
        levels: &mut LevelMemories,
        file: &LearnFile,
    ) -> Result<usize, AssistError> {
        let Some(stream) = self.stream_of(file) else {
            return Ok(0);
        };
        let (opening, text) = stream.opening_and_text();
        levels.learn_document(self.model(), opening, text, rayon::current_num_threads())?;
        Ok(text.len())
    }

    /// Teaches files that were cut into pieces, one after another.
    ///
    /// # Errors
    /// Those of the network.
    pub fn teach_streams(
        &self,
        levels: &mut LevelMemories,
        streams: &[FileStream],
    ) -> Result<(), AssistError> {
        let documents: Vec<Document<'_>> = streams
            .iter()
            .map(|stream| {
                let (opening, text) = stream.opening_and_text();
                Document {
                    strand: None,
                    opening,
                    text,
                    recalled: true,
                }
            })
            .collect();
        let threads = rayon::current_num_threads();
        levels.learn_documents(self.model(), &documents, threads, &mut |_| true)?;
        Ok(())
    }

    /// What the exits with these memories lose on a file, which teaches them nothing but how far they are to be believed.
    ///
    /// # Errors
    /// Those of the network.
    pub fn exit_losses(
        &self,
        levels: &LevelMemories,
        file: &LearnFile,
    ) -> Result<ExitLosses, AssistError> {
        let config = self.model().config();
        let mut losses = ExitLosses {
            pieces: 0,
            bits: vec![0.0; config.stages],
        };
        let Some(stream) = self.stream_of(file) else {
            return Ok(losses);
        };
        let threads = rayon::current_num_threads();
        let (opening, text) = stream.opening_and_text();
        let mut reader = DocumentReader::new(self.model().clone(), opening, threads)?;
        let mut levels = levels.clone();
        for chunk in text.chunks(CHUNK) {
            let rows = reader.read(chunk)?;
            for (exit, rows) in rows.iter().enumerate() {
                let probs = levels.exit_probs(self.model(), exit, rows, threads)?;
                let truths = chunk.iter().zip(probs.chunks_exact(config.vocab));
                losses.bits[exit] -= truths
                    .map(|(truth, probs)| f64::from(probs[*truth as usize].max(1e-30)).log2())
                    .sum::<f64>();
            }
            levels.watch(self.model(), &rows, chunk, threads)?;
            losses.pieces += chunk.len() as u64;
        }
        Ok(losses)
    }

    fn stream_of(&self, file: &LearnFile) -> Option<FileStream> {
        let text = nestor_bsl::normalise(file.text.as_bytes()).ok()?.text;
        Some(FileStream::new(self.tokenizer(), &file.path, text))
    }
}

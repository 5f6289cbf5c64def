//! What the exits say with the memories of levels 2 and 3, and how far the memories are believed.
//!
//! Called by `predictor` for each answer and by [`LevelMemories`] while it learns. It must not teach anything.

use super::super::exit_mlp::WeightsIdentity;
use super::super::output_delta::RowsIdentity;
use super::super::{ExitMlp, OutputDelta, check_tokens};
use super::{EPISODIC_EXIT, LevelMemories, MLP_EXIT, MemoryParts, SPREAD};
use crate::session::head_logits;
use crate::{EngineError, Model};
use nestor_kernels::softmax_in_place;

/// Which memories of levels 2 and 3 these are, but for how far they are believed. A place in memory that is remembered here is not used
/// again for others.
#[derive(Debug, Clone)]
pub struct MemoriesIdentity {
    deltas: Vec<RowsIdentity>,
    mlp: Option<WeightsIdentity>,
}

impl PartialEq for MemoriesIdentity {
    fn eq(&self, other: &Self) -> bool {
        let deltas = self.deltas.iter().zip(&other.deltas);
        let mlp = match (&self.mlp, &other.mlp) {
            (Some(one), Some(two)) => one.ptr_eq(two),
            (one, two) => one.is_none() == two.is_none(),
        };
        self.deltas.len() == other.deltas.len()
            && mlp
            && deltas.into_iter().all(|(a, b)| a.ptr_eq(b))
    }
}

/// What an exit gave to a token that followed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evidence {
    plain: f32,
    /// With the memories, where they are not silent.
    changed: Option<f32>,
}

/// What an exit says to some rows.
pub(super) struct Answers {
    /// Without memories, `[n, V]`.
    pub(super) plain: Vec<f32>,
    /// With them, `[n, V]`; `None` where they are silent.
    pub(super) changed: Option<Vec<f32>>,
    /// The rows as the MLP makes them, `[n, d]`; `None` where it is silent.
    pub(super) corrected: Option<Vec<f32>>,
}

impl LevelMemories {
    /// Probabilities that an exit (from 0) gives with its memories, as far as they are believed: `rows` is `[n, d]`, the result
    /// `[n, V]`.
    ///
    /// # Errors
    /// [`EngineError::Length`] for rows of another width, [`EngineError::NotFinite`] for logits that are not numbers.
    pub fn exit_probs(
        &self,
        model: &Model,
        exit: usize,
        rows: &[f32],
        threads: usize,
    ) -> Result<Vec<f32>, EngineError> {
        let answers = self.answers(model, exit, rows, threads)?;
        let Some(mut changed) = answers.changed else {
            return Ok(answers.plain);
        };
        self.strand
            .trust
            .blend(exit - EPISODIC_EXIT, &answers.plain, &mut changed);
        Ok(changed)
    }

    /// [`LevelMemories::exit_probs`] for some exits, each with its rows `[n, d]`: `[all rows, V]`, the bits that it gives one by one, from
    /// one product with the head instead of several.
    ///
    /// # Errors
    /// As [`LevelMemories::exit_probs`].
    pub fn probs_of_exits(
        &self,
        model: &Model,
        rows: &[(usize, &[f32])],
        threads: usize,
    ) -> Result<Vec<f32>, EngineError> {
        let mut probs = Vec::with_capacity(rows.len() * model.config().vocab);
        for ((exit, _), answers) in rows.iter().zip(self.answers_of(model, rows, threads)?) {
            match answers.changed {
                Some(mut changed) => {
                    let at = exit - EPISODIC_EXIT;
                    self.strand.trust.blend(at, &answers.plain, &mut changed);
                    probs.extend(changed);
                }
                None => probs.extend(answers.plain),
            }
        }
        Ok(probs)
    }

    /// Sees how well the memories predict a text, without learning it: only how far they are believed changes. For each
    /// exit its rows `[n, d]`, and the n tokens that followed them.
    ///
    /// # Errors
    /// [`EngineError::Length`] or [`EngineError::Token`] for input that does not fit.
    pub fn watch(
        &mut self,
        model: &Model,
        rows: &[Vec<f32>],
        targets: &[u32],
        threads: usize,
    ) -> Result<(), EngineError> {
        let evidence = self.weigh(model, rows, targets, threads)?;
        self.believe_all(&evidence);
        Ok(())
    }

    /// What the exits gave to the n tokens that followed their rows `[n, d]`, with their memories and without: one list for each exit from
    /// the second on. [`LevelMemories::believe_all`] takes it, as often as one likes: it costs the products, which this needs.
    ///
    /// # Errors
    /// As [`LevelMemories::watch`].
    pub fn weigh(
        &self,
        model: &Model,
        rows: &[Vec<f32>],
        targets: &[u32],
        threads: usize,
    ) -> Result<Vec<Vec<Evidence>>, EngineError> {
        let vocab = model.config().vocab;
        check_tokens(targets, vocab)?;
        let exits = EPISODIC_EXIT..rows.len().min(model.config().stages);
        exits
            .map(|exit| {
                let answers = self.answers(model, exit, &rows[exit], threads)?;
                let given = |probs: &[f32], at: usize| probs[at * vocab + targets[at] as usize];
                let evidence = |at: usize| Evidence {
                    plain: given(&answers.plain, at),
                    changed: answers.changed.as_ref().map(|changed| given(changed, at)),
                };
                Ok((0..targets.len()).map(evidence).collect())
            })
            .collect()
    }

    /// Lets what [`LevelMemories::weigh`] has found decide how far the memories are believed.
    pub fn believe_all(&mut self, evidence: &[Vec<Evidence>]) {
        for (exit, evidence) in evidence.iter().enumerate() {
            for Evidence { plain, changed } in evidence {
                if let Some(changed) = changed {
                    self.strand.trust.see(exit, *plain, *changed);
                }
            }
        }
    }

    /// What tells these memories from others that answer otherwise. Keeps nothing of them alive.
    #[must_use]
    pub fn identity(&self) -> MemoriesIdentity {
        let MemoryParts { level2, level3, .. } = self.config.parts;
        MemoriesIdentity {
            deltas: self
                .strand
                .deltas
                .iter()
                .filter(|_| level2)
                .map(OutputDelta::identity)
                .collect(),
            mlp: self
                .strand
                .mlp
                .as_ref()
                .filter(|_| level3)
                .map(ExitMlp::identity),
        }
    }

    /// [`LevelMemories::exit_probs`], then what [`LevelMemories::watch`] does for this exit: one pass instead of two.
    ///
    /// # Errors
    /// As those two.
    pub fn score_exit(
        &mut self,
        model: &Model,
        exit: usize,
        rows: &[f32],
        targets: &[u32],
        threads: usize,
    ) -> Result<Vec<f32>, EngineError> {
        check_tokens(targets, model.config().vocab)?;
        let mut answers = self.answers(model, exit, rows, threads)?;
        let Some(changed) = answers.changed.take() else {
            return Ok(answers.plain);
        };
        let mut probs = changed.clone();
        self.strand
            .trust
            .blend(exit - EPISODIC_EXIT, &answers.plain, &mut probs);
        answers.changed = Some(changed);
        self.believe(exit, &answers, targets);
        Ok(probs)
    }

    /// What followed the states most like the rows `[n, d]` of the second exit: `[n, V]`, each summing to 1. Without anything
    /// to remember every token is as likely as the next.
    ///
    /// # Errors
    /// [`EngineError::Length`] for rows of another width.
    pub fn recall(&self, model: &Model, rows: &[f32]) -> Result<Vec<f32>, EngineError> {
        let vocab = model.config().vocab;
        let document = self.document.as_deref().filter(|states| !states.is_empty());
        if !self.config.parts.episodic || self.episodic.is_empty() && document.is_none() {
            let n = rows.len() / model.config().width;
            return Ok(vec![1.0 / vocab as f32; n * vocab]);
        }
        let (k, temperature) = (self.config.neighbours, self.config.temperature);
        let hidden = &self.hidden;
        let found = match document {
            Some(document) => self
                .episodic
                .query_beside(rows, k, temperature, hidden, document)?,
            None => self
                .episodic
                .query_batch_hiding(rows, k, temperature, hidden)?,
        };
        let mut probs = vec![1.0 / vocab as f32; found.len() * vocab];
        for (found, probs) in found.iter().zip(probs.chunks_exact_mut(vocab)) {
            if let Some(found) = found {
                probs.fill(SPREAD / vocab as f32);
                for (token, p) in &found.probs {
                    probs[*token as usize] += (1.0 - SPREAD) * p;
                }
            }
        }
        Ok(probs)
    }

    /// The rows that an exit's logits are made of, where the MLP changes them.
    pub(super) fn corrected(
        &self,
        exit: usize,
        rows: &[f32],
        threads: usize,
    ) -> Result<Option<Vec<f32>>, EngineError> {
        match &self.strand.mlp {
            Some(mlp) if exit == MLP_EXIT && self.config.parts.level3 && !mlp.is_silent() => {
                mlp.forward(rows, threads).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The delta of an exit, where it changes anything.
    pub(super) fn delta(&self, exit: usize) -> Option<&OutputDelta> {
        exit.checked_sub(EPISODIC_EXIT)
            .and_then(|at| self.strand.deltas.get(at))
            .filter(|delta| self.config.parts.level2 && !delta.is_empty())
    }

    /// What an exit says with its memories and without.
    pub(super) fn answers(
        &self,
        model: &Model,
        exit: usize,
        rows: &[f32],
        threads: usize,
    ) -> Result<Answers, EngineError> {
        let mut answers = self.answers_of(model, &[(exit, rows)], threads)?;
        Ok(answers.remove(0))
    }

    /// What some exits, each with its rows `[n, d]`, say with their memories and without. All rows go through the head together.
    fn answers_of(
        &self,
        model: &Model,
        rows: &[(usize, &[f32])],
        threads: usize,
    ) -> Result<Vec<Answers>, EngineError> {
        let network = model.config();
        let corrected: Vec<Option<Vec<f32>>> = rows
            .iter()
            .map(|(exit, rows)| self.corrected(*exit, rows, threads))
            .collect::<Result<_, _>>()?;
        let all: Vec<f32> = rows
            .iter()
            .zip(&corrected)
            .flat_map(|((_, rows), corrected)| {
                rows.iter().chain(corrected.iter().flatten()).copied()
            })
            .collect();
        let mut logits = vec![0.0; all.len() / network.width * network.vocab];
        head_logits(model, &all, &mut logits, threads);
        let mut rest = logits.as_slice();
        let mut next = |n: usize| {
            let (own, behind) = rest.split_at(n / network.width * network.vocab);
            rest = behind;
            own.to_vec()
        };
        let mut found = Vec::with_capacity(rows.len());
        for ((exit, rows), corrected) in rows.iter().zip(corrected) {
            let mut plain = next(rows.len());
            let delta = self.delta(*exit);
            let mut changed = match (&corrected, delta) {
                (Some(corrected), _) => Some(next(corrected.len())),
                (None, Some(_)) => Some(plain.clone()),
                (None, None) => None,
            };
            if let Some((logits, delta)) = changed.as_mut().zip(delta) {
                delta.add_logits(corrected.as_deref().unwrap_or(rows), logits, threads)?;
            }
            for logits in std::iter::once(&mut plain).chain(&mut changed) {
                softmax_rows(logits, model, *exit)?;
            }
            found.push(Answers {
                plain,
                changed,
                corrected,
            });
        }
        Ok(found)
    }

    pub(super) fn believe(&mut self, exit: usize, answers: &Answers, targets: &[u32]) {
        if let Some(changed) = &answers.changed {
            self.strand
                .trust
                .update(exit - EPISODIC_EXIT, &answers.plain, changed, targets);
        }
    }
}

pub(super) fn softmax_rows(
    logits: &mut [f32],
    model: &Model,
    exit: usize,
) -> Result<(), EngineError> {
    for (position, row) in logits.chunks_exact_mut(model.config().vocab).enumerate() {
        if !softmax_in_place(row).log_sum.is_finite() {
            return Err(EngineError::NotFinite { exit, position });
        }
    }
    Ok(())
}

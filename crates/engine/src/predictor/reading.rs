//! Taking tokens in: all at once, one by one, and ahead of time where a guess is worth it.

use super::profile::Clock;
use super::{Ahead, Predictor, Ready, WATCHED};
use crate::{EngineError, ExitStates};
use nestor_cache::{Nest, NestPrediction};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

/// A guess is made where the counts of the file, or the names that may stand there, give one token at least this probability.
pub(crate) const WORTH_A_GUESS: f32 = 0.6;

/// Guesses of a first pass. Of a later one: twice as many as of the last if all of those came, else one more than came.
pub(super) const FIRST_GUESSES: usize = 4;

/// Tokens that a session may lag behind before it reads them without guesses.
const MOST_UNREAD: usize = 12;

impl Predictor {
    /// Takes in many tokens at once; the memories see how well they predict the last ones.
    ///
    /// # Errors
    /// [`EngineError::Token`]; the state is then unchanged.
    pub fn prefill(&mut self, tokens: &[u32]) -> Result<(), EngineError> {
        let states = self.take_in(tokens)?;
        let width = self.session.model().config().width;
        let n = tokens.len().saturating_sub(1).min(WATCHED);
        let end = tokens.len().saturating_sub(1);
        let rows: Vec<Vec<f32>> = (0..states.exits())
            .map(|exit| states.rows(exit)[(end - n) * width..end * width].to_vec())
            .collect();
        self.watch(&rows, n)
    }

    /// Takes in tokens; the memories see nothing of it.
    ///
    /// # Errors
    /// [`EngineError::Token`]; the state is then unchanged.
    pub fn read(&mut self, tokens: &[u32]) -> Result<(), EngineError> {
        self.take_in(tokens).map(drop)
    }

    fn take_in(&mut self, tokens: &[u32]) -> Result<ExitStates, EngineError> {
        let started = Instant::now();
        self.catch_up()?;
        self.ready = None;
        let states = self.session.forward(tokens)?;
        if let Some(last) = tokens.len().checked_sub(1) {
            let row = |exit| states.row(exit, last).unwrap_or_default().to_vec();
            self.rows = (0..states.exits()).map(row).collect();
            self.mixed = None;
        }
        let kept = (WATCHED + 1) * self.session.model().config().width;
        if let Some(recent) = &mut self.recent {
            recent.rows.resize(states.exits(), Vec::new());
            for (exit, recent) in recent.rows.iter_mut().enumerate() {
                let rows = states.rows(exit);
                recent.extend_from_slice(&rows[rows.len().saturating_sub(kept)..]);
                let surplus = recent.len().saturating_sub(kept);
                recent.drain(..surplus);
            }
        }
        self.context.extend_from_slice(tokens);
        self.profile.blocks += started.elapsed();
        Ok(states)
    }

    /// The rows `[n, d]` of an exit (from 0) before each of the last `n` tokens that were read, where [`Predictor::keep_recent`] keeps them: at
    /// most as many as the memories are watched for.
    #[must_use]
    pub fn rows_before(&self, exit: usize, n: usize) -> Option<&[f32]> {
        let width = self.session.model().config().width;
        let rows = self.recent.as_ref()?.rows.get(exit)?;
        let first = (rows.len() / width).checked_sub(n + 1)?;
        Some(&rows[first * width..(first + n) * width])
    }

    /// Lets the memories see how well they predict the last tokens read, however many calls brought them. Needs the rows that
    /// [`Predictor::keep_recent`] keeps. What they gave to a token is found once, as long as the memories stay.
    ///
    /// # Errors
    /// What the memories return.
    pub fn watch_recent(&mut self) -> Result<(), EngineError> {
        let width = self.session.model().config().width;
        let (Some(recent), Some(memories)) = (&mut self.recent, &mut self.memories) else {
            return Ok(());
        };
        let n_rows = recent.rows.first().map_or(0, |rows| rows.len() / width);
        let n = n_rows.saturating_sub(1);
        if n == 0 {
            return Ok(());
        }
        let started = Instant::now();
        let end = self.context.len();
        let first = end - n;
        let known = recent.weighed.first().map_or(0, Vec::len);
        let identity = Some(memories.identity());
        if known == 0
            || recent.weighed_by != identity
            || !(first..=end).contains(&recent.weighed_end)
        {
            recent.weighed.clear();
            recent.weighed_end = first;
            recent.weighed_by = identity;
        } else {
            let old = first.saturating_sub(recent.weighed_end - known);
            for list in &mut recent.weighed {
                list.drain(..old.min(list.len()));
            }
        }
        let missing = end - recent.weighed_end;
        if missing > 0 {
            let at = (n - missing) * width..n * width;
            let rows: Vec<Vec<f32>> = recent
                .rows
                .iter()
                .map(|rows| rows[at.clone()].to_vec())
                .collect();
            let (model, threads) = (self.session.model(), self.session.threads());
            let targets = &self.context[recent.weighed_end..];
            let found = memories.weigh(model, &rows, targets, threads)?;
            recent.weighed.resize(found.len(), Vec::new());
            for (list, found) in recent.weighed.iter_mut().zip(found) {
                list.extend(found);
            }
            recent.weighed_end = end;
        }
        Arc::make_mut(memories).believe_all(&recent.weighed);
        self.profile.memories += started.elapsed();
        Ok(())
    }

    /// `rows` are those that predicted the last `n` tokens.
    fn watch(&mut self, rows: &[Vec<f32>], n: usize) -> Result<(), EngineError> {
        let Some(memories) = self.memories.as_mut().filter(|_| n > 0) else {
            return Ok(());
        };
        let started = Instant::now();
        let (model, threads) = (self.session.model(), self.session.threads());
        let targets = &self.context[self.context.len() - n..];
        Arc::make_mut(memories).watch(model, rows, targets, threads)?;
        self.profile.memories += started.elapsed();
        Ok(())
    }

    /// Takes in one token.
    ///
    /// # Errors
    /// [`EngineError::Token`]; the state is then unchanged.
    pub fn accept(&mut self, token: u32) -> Result<(), EngineError> {
        self.prefill(&[token])
    }

    /// Takes in one token, after which up to `guesses` tokens are read ahead where the counts are sure of them. What is predicted is what
    /// [`Predictor::accept`] leaves, bit for bit. The memories see nothing of it; rows of the last tokens are not kept.
    ///
    /// # Errors
    /// [`EngineError::Token`]; the state is then unchanged.
    pub fn accept_guessing(&mut self, token: u32, guesses: usize) -> Result<(), EngineError> {
        self.accept_drafted(token, guesses, &[])
    }

    /// [`Predictor::accept_guessing`] where something else than the counts may know how it goes on: `draft` is guessed where the counts are
    /// not sure of anything.
    ///
    /// # Errors
    /// As [`Predictor::accept_guessing`].
    pub fn accept_drafted(
        &mut self,
        token: u32,
        guesses: usize,
        draft: &[u32],
    ) -> Result<(), EngineError> {
        let vocab = self.session.model().config().vocab;
        if token as usize >= vocab {
            return Err(EngineError::Token {
                token,
                index: 0,
                vocab,
            });
        }
        self.mixed = None;
        self.context.push(token);
        let mut unread = vec![token];
        if let Some(mut ahead) = self.ahead.take() {
            if ahead.tokens.get(ahead.come) == Some(&token) {
                let (rows, ready) = ahead.next.pop_front().expect("rows after every guess");
                ahead.come += 1;
                self.profile.right += 1;
                self.rows = rows;
                self.put_ready(Some(ready));
                self.ahead = Some(ahead);
                return Ok(());
            }
            self.most_guesses = if ahead.come == ahead.tokens.len() {
                2 * ahead.come
            } else {
                ahead.come + 1
            };
            if ahead.come < ahead.tokens.len() {
                // A wrong guess: the session goes back, and what has come since is read with the next guesses.
                self.session = ahead.before;
                ahead.unread.extend(&ahead.tokens[..ahead.come]);
                ahead.unread.push(token);
                unread = ahead.unread;
            }
        }
        let mut clock = Clock::start();
        let guessed = self.guess(guesses.min(self.most_guesses), draft)?;
        clock.lap(&mut self.profile.counts);
        let tokens: Vec<u32> = guessed.iter().filter_map(|(_, token)| *token).collect();
        self.profile.passes += 1;
        self.profile.guessed += tokens.len();
        if unread.len() > MOST_UNREAD {
            let last = unread.pop();
            self.session.forward(&unread)?;
            unread = last.into_iter().collect();
        }
        let before = (!tokens.is_empty()).then(|| self.session.clone());
        let states = self
            .session
            .forward(&[unread.as_slice(), &tokens].concat())?;
        clock.lap(&mut self.profile.blocks);
        let first = unread.len() - 1;
        let rows_after = |at: usize| -> Vec<Vec<f32>> {
            let row = |exit| states.row(exit, first + at).unwrap_or_default().to_vec();
            (0..states.exits()).map(row).collect()
        };
        let rows: Vec<Vec<Vec<f32>>> = (0..=tokens.len()).map(rows_after).collect();
        let mut probs = self.probs_after(&rows)?.into_iter();
        clock.lap(&mut self.profile.head);
        let nests = guessed.into_iter().map(|(nests, _)| nests);
        let mut next: VecDeque<(Vec<Vec<f32>>, Ready)> = rows
            .into_iter()
            .zip(nests)
            .map(|(rows, nests)| {
                let probs = probs.next();
                (rows, Ready { probs, nests })
            })
            .collect();
        match next.pop_front() {
            Some((rows, ready)) => {
                self.rows = rows;
                self.put_ready(Some(ready));
            }
            None => {
                self.rows = rows_after(0);
                self.put_ready(None);
            }
        }
        self.ahead = before.map(|before| {
            Box::new(Ahead {
                tokens,
                come: 0,
                next,
                before,
                unread,
            })
        });
        Ok(())
    }

    /// The counts after the context, and after each of up to `most` tokens that they are sure of or that `draft` goes on with, with that
    /// token; the last has none. Nothing without a cache.
    fn guess(
        &mut self,
        most: usize,
        draft: &[u32],
    ) -> Result<Vec<(NestPrediction, Option<u32>)>, EngineError> {
        let Some(cache) = self.cache.clone() else {
            return Ok(Vec::new());
        };
        let mut context = self.context[self.context.len().saturating_sub(64)..].to_vec();
        let mut found = Vec::new();
        let mut draft = draft.iter().copied();
        loop {
            let mut nests = self.spare_nests();
            cache.predict(&context, &mut nests);
            let top = nests.summary(Nest::File);
            let counted = (top.top_probability >= WORTH_A_GUESS).then_some(top.top);
            let drafted = draft.next();
            let next = counted.or(drafted).filter(|_| found.len() < most);
            found.push((nests, next));
            let Some(next) = next else {
                return Ok(found);
            };
            if drafted != Some(next) {
                draft = [].iter().copied();
            }
            context.push(next);
        }
    }

    pub(super) fn spare_nests(&mut self) -> NestPrediction {
        let vocab = self.session.model().config().vocab;
        let spare = self.spare.0.pop();
        spare.unwrap_or_else(|| NestPrediction::new(vocab))
    }

    /// Replaces the known parts of the mixture; the buffers of the old ones are kept.
    fn put_ready(&mut self, ready: Option<Ready>) {
        if let Some(old) = std::mem::replace(&mut self.ready, ready.map(Box::new)) {
            self.spare.0.push(old.nests);
        }
    }

    /// Distributions of the exits after each of some tokens, from one product with the head; nothing where no exit is mixed.
    fn probs_after(&self, rows: &[Vec<Vec<f32>>]) -> Result<Vec<Vec<f32>>, EngineError> {
        let levels = self.mixture.levels();
        if levels.is_empty() {
            return Ok(Vec::new());
        }
        // The rows of an exit stand together: its memories are read once for all of them.
        let of_exits: Vec<(usize, Vec<f32>)> = levels
            .iter()
            .map(|level| {
                let of_exit = rows.iter().flat_map(|rows| &rows[level - 1]);
                (level - 1, of_exit.copied().collect())
            })
            .collect();
        let of_exits: Vec<(usize, &[f32])> = of_exits
            .iter()
            .map(|(exit, rows)| (*exit, rows.as_slice()))
            .collect();
        let model = self.session.model();
        let probs = match &self.memories {
            Some(memories) => memories.probs_of_exits(model, &of_exits, self.session.threads())?,
            None => self.session.probs_of_exits(&of_exits)?,
        };
        let vocab = model.config().vocab;
        let of_row = |at: usize| -> Vec<f32> {
            let exits = probs.chunks_exact(rows.len() * vocab);
            exits
                .flat_map(|exit| &exit[at * vocab..][..vocab])
                .copied()
                .collect()
        };
        Ok((0..rows.len()).map(of_row).collect())
    }

    /// Brings the session to the end of the context after guesses.
    fn catch_up(&mut self) -> Result<(), EngineError> {
        if let Some(ahead) = self.ahead.take()
            && ahead.come < ahead.tokens.len()
        {
            self.session = ahead.before;
            self.session.forward(&ahead.unread)?;
            self.session.forward(&ahead.tokens[..ahead.come])?;
        }
        Ok(())
    }
}

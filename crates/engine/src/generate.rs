//! Generates tokens after a document: one by one, or as the best few of a beam.
//!
//! A token that is generated is not learned: the cache and the document see it when it is accepted.

use crate::mixture::{Contribution, Mixed};
use crate::predictor::{Clock, Profile, WORTH_A_GUESS};
use crate::sampling::Sampling;
use crate::{EngineError, Predictor};
use nestor_cache::CandidatePlace;
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::time::Duration;

/// The tokens that may follow those generated so far; `None` where every token may.
pub type Allowed<'a> = &'a dyn Fn(&[u32]) -> Option<Vec<u32>>;

/// The names that metadata offers after the tokens generated so far.
pub type Names<'a> = &'a dyn Fn(&[u32]) -> Option<CandidatePlace>;

/// What to generate and where to end. Callbacks see the tokens generated so far.
#[derive(Clone, Copy)]
pub struct GenerateRequest<'a> {
    /// At most so many tokens.
    pub max_tokens: usize,
    /// How tokens are picked.
    pub sampling: Sampling,
    /// Tokens that are never generated, such as the special ones.
    pub banned: &'a [u32],
    /// Restricts the next token, for token healing.
    pub allowed: Option<Allowed<'a>>,
    /// Tokens that may be guessed from the counts and from `names`, and read ahead of each token; what is generated does not depend on it.
    pub guesses: usize,
    /// Asked before every token; without it the predictor's own candidates stand for the first token.
    pub names: Option<Names<'a>>,
    /// Tokens that are listed beside each generated one, the most probable first.
    pub alternatives: usize,
    /// Asked after every token, with the steps that brought the tokens beside them: whether to end here. The last token is kept.
    pub stop: &'a dyn Fn(&[u32], &[Step]) -> bool,
    /// Asked before every token: whether nobody waits for the answer any more.
    pub cancelled: &'a dyn Fn() -> bool,
}

impl Default for GenerateRequest<'_> {
    /// Sixteen tokens, greedily, to the end.
    fn default() -> Self {
        Self {
            max_tokens: 16,
            sampling: Sampling::Greedy,
            banned: &[],
            allowed: None,
            guesses: 0,
            names: None,
            alternatives: 0,
            stop: &|_, _| false,
            cancelled: &|| false,
        }
    }
}

/// Why generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// The stop condition held.
    Stopped,
    /// The most tokens were reached.
    MaxTokens,
    /// No token was allowed.
    NoneAllowed,
    /// The request was cancelled.
    Cancelled,
}

/// One token that was generated.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The token.
    pub token: u32,
    /// Its probability among the tokens that were allowed, before temperature and nucleus.
    pub confidence: f32,
    /// Its probability among all tokens.
    pub prob: f32,
    /// What each part of the mixture added to it.
    pub contributions: Vec<Contribution>,
    /// The most probable tokens in its place, itself among them if it is one, with probabilities that compare to its confidence.
    pub alternatives: Vec<(u32, f32)>,
}

/// What was generated.
#[derive(Debug, Clone, PartialEq)]
pub struct Generated {
    /// The tokens in order.
    pub steps: Vec<Step>,
    /// Why it ended.
    pub finish: Finish,
}

impl Generated {
    /// The tokens.
    pub fn tokens(&self) -> Vec<u32> {
        self.steps.iter().map(|step| step.token).collect()
    }

    /// Probability that all tokens are right: the product of their confidences, 1 for no token.
    pub fn confidence(&self) -> f32 {
        self.steps.iter().map(|step| step.confidence).product()
    }
}

impl Predictor {
    /// Generates after the tokens seen so far; the predictor itself stays where it is.
    ///
    /// # Errors
    /// [`EngineError::Request`] for a wrong request, and what [`Predictor::distribution`] returns.
    pub fn generate(&self, request: &GenerateRequest<'_>) -> Result<Generated, EngineError> {
        self.generate_timed(request, &mut Profile::default())
    }

    /// [`Predictor::generate`], adding the time that its parts took.
    ///
    /// # Errors
    /// As [`Predictor::generate`].
    pub fn generate_timed(
        &self,
        request: &GenerateRequest<'_>,
        profile: &mut Profile,
    ) -> Result<Generated, EngineError> {
        request.sampling.validate()?;
        let seed = match request.sampling {
            Sampling::Random { seed, .. } => seed,
            Sampling::Greedy => 0,
        };
        let mut rng = StdRng::seed_from_u64(seed);
        let mut fork = self.clone();
        fork.take_profile();
        let mut sampling = Duration::ZERO;
        let mut tokens = Vec::new();
        let mut steps = Vec::new();
        let mut place = request.names.and_then(|names| names(&tokens));
        let finish = loop {
            if (request.cancelled)() {
                break Finish::Cancelled;
            }
            if tokens.len() >= request.max_tokens {
                break Finish::MaxTokens;
            }
            if request.names.is_some() || !tokens.is_empty() {
                fork.set_candidates(place.take());
            }
            let mixed = fork.distribution()?;
            let mut clock = Clock::start();
            let allowed = request.allowed.and_then(|allowed| allowed(&tokens));
            let best = match (request.sampling, &allowed) {
                (Sampling::Greedy, None) => best_of_all(mixed, request.banned),
                _ => None,
            };
            let (token, mass) = match best {
                Some(best) => best,
                None => {
                    let candidates = candidates(mixed, allowed.as_deref(), request.banned);
                    let Some(token) = request.sampling.pick(&candidates, &mut rng) else {
                        break Finish::NoneAllowed;
                    };
                    (token, candidates.iter().map(|(_, p)| p).sum())
                }
            };
            let prob = mixed.prob(token);
            let contributions = mixed.contributions(token);
            let alternatives = match request.alternatives {
                0 => Vec::new(),
                n => {
                    let all = candidates(mixed, allowed.as_deref(), request.banned);
                    most_probable(all, n, mass)
                }
            };
            steps.push(Step {
                token,
                confidence: (prob / mass).min(1.0),
                prob,
                contributions,
                alternatives,
            });
            tokens.push(token);
            let stops = (request.stop)(&tokens, &steps);
            clock.lap(&mut sampling);
            if stops {
                break Finish::Stopped;
            }
            if tokens.len() < request.max_tokens {
                let left = request.max_tokens - tokens.len() - 1;
                place = request.names.and_then(|names| names(&tokens));
                match (request.guesses.min(left), &place) {
                    (0, _) => fork.accept(token)?,
                    (guesses, None) => fork.accept_guessing(token, guesses)?,
                    (guesses, Some(place)) => {
                        let draft = place.draft(WORTH_A_GUESS, guesses);
                        fork.accept_drafted(token, guesses, &draft)?;
                    }
                }
            }
        };
        *profile += fork.take_profile();
        profile.sampling += sampling;
        Ok(Generated { steps, finish })
    }
}

/// The first `n` of the candidates by probability, scaled by their mass.
fn most_probable(mut candidates: Vec<(u32, f32)>, n: usize, mass: f32) -> Vec<(u32, f32)> {
    candidates.retain(|(_, prob)| *prob > 0.0);
    candidates.sort_unstable_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    candidates.truncate(n);
    for (_, prob) in &mut candidates {
        *prob = (*prob / mass).min(1.0);
    }
    candidates
}

/// The most probable token, unless it is banned, and the mass of all that are not: the whole sums to 1.
fn best_of_all(mixed: &Mixed, banned: &[u32]) -> Option<(u32, f32)> {
    let (token, prob) = mixed.top();
    let never: f32 = banned.iter().map(|token| mixed.prob(*token)).sum();
    (prob > 0.0 && !banned.contains(&token)).then_some((token, 1.0 - never))
}

/// The tokens that may come next, each once, with their probabilities.
fn candidates(mixed: &Mixed, allowed: Option<&[u32]>, banned: &[u32]) -> Vec<(u32, f32)> {
    let usable = |token: &u32| !banned.contains(token);
    match allowed {
        None => {
            let all = (0..).zip(mixed.probs.iter().copied());
            all.filter(|(token, _)| usable(token)).collect()
        }
        Some(allowed) => {
            let mut tokens: Vec<u32> = allowed.iter().copied().filter(usable).collect();
            tokens.sort_unstable();
            tokens.dedup();
            tokens
                .into_iter()
                .map(|token| (token, mixed.prob(token)))
                .collect()
        }
    }
}

//! Fits how fast the memories of levels 2 and 3 learn and forget, on projects that the weights have not seen.
//!
//! Called once after training; the result is `memories.json` of the model folder. One setting after the other is turned up and down as long as
//! the mixtures get better by it: their loss with everything at work, counts too, since what the counts know already a memory need not
//! learn. The mixtures' gates are fitted anew for each trial, with the memories in action.

use nestor_cache::{FitOptions, memory_component_names};
use nestor_engine::LevelMemoriesConfig;

use crate::assistant::Assistant;
use crate::error::AssistError;
use crate::gates::{CorpusProject, FitProgress, GateFitOptions, collect_taught, fit_all};
use crate::mixture::exits_of;

/// Gates whose loss is judged: those of the two speeds that ask memories.
const JUDGED: [&str; 2] = ["balanced-memory", "accurate-memory"];

/// How rates are fitted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateFitOptions {
    /// Places to visit over all projects in each trial.
    pub max_places: usize,
    /// Pieces of each project that teach its memories in each trial.
    pub max_taught: usize,
    /// The share of the loss that a change must save to be kept: less is noise of the places.
    pub min_gain: f64,
}

impl Default for RateFitOptions {
    fn default() -> Self {
        Self {
            max_places: 8_000,
            max_taught: 60_000,
            min_gain: 0.001,
        }
    }
}

/// A setting that is turned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Knob {
    DeltaRate,
    MlpRate,
    DeltaForgetting,
    MlpDecay,
    Period,
}

const KNOBS: [Knob; 5] = [
    Knob::DeltaRate,
    Knob::MlpRate,
    Knob::DeltaForgetting,
    Knob::MlpDecay,
    Knob::Period,
];

impl Knob {
    /// The factor of one turn.
    fn factor(self) -> f32 {
        match self {
            Self::DeltaRate | Self::MlpRate => 1.5,
            Self::DeltaForgetting | Self::MlpDecay => 4.0,
            Self::Period => 2.0,
        }
    }

    fn turned(self, config: &LevelMemoriesConfig, factor: f32) -> LevelMemoriesConfig {
        let mut config = *config;
        match self {
            Self::DeltaRate => config.delta.rate *= factor,
            Self::MlpRate => config.mlp.rate *= factor,
            Self::DeltaForgetting => {
                config.delta.decay = (1.0 - factor * (1.0 - config.delta.decay)).max(0.5);
            }
            Self::MlpDecay => config.mlp.decay = (config.mlp.decay * factor).min(1.0),
            Self::Period => {
                // Whole chunks, so that a step falls where one closes.
                let chunks = config.period as f32 * factor / CHUNK as f32;
                config.period = (chunks.round().max(1.0) as usize) * CHUNK;
            }
        }
        config
    }
}

const CHUNK: usize = nestor_engine::LevelMemories::CHUNK;

/// One setting that was tried.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateTrial {
    /// How the memories learned.
    pub config: LevelMemoriesConfig,
    /// The mean loss of the mixtures, in nats a piece.
    pub loss: f64,
    /// Whether the search went on from it.
    pub kept: bool,
}

/// What was tried, in order, the start first; `None` when the projects have no code that is new to the model or the model has no memories.
///
/// # Errors
/// Those of the network, the cache and the fit.
pub fn fit_learning_rates(
    assistant: &Assistant,
    projects: &[CorpusProject],
    options: &RateFitOptions,
    progress: &mut dyn FnMut(&RateTrial),
) -> Result<Option<(LevelMemoriesConfig, Vec<RateTrial>)>, AssistError> {
    let start = assistant.level_config();
    let Some(loss) = loss_of(assistant, projects, options, start)? else {
        return Ok(None);
    };
    let mut trials = Vec::new();
    let best = search(
        start,
        loss,
        options.min_gain,
        &mut |config| loss_of(assistant, projects, options, config),
        &mut |trial| {
            progress(&trial);
            trials.push(trial);
        },
    )?;
    Ok(Some((best, trials)))
}

/// Turns one knob after the other, each way as long as it pays.
fn search(
    start: LevelMemoriesConfig,
    loss: f64,
    min_gain: f64,
    loss_of: &mut dyn FnMut(LevelMemoriesConfig) -> Result<Option<f64>, AssistError>,
    tried: &mut dyn FnMut(RateTrial),
) -> Result<LevelMemoriesConfig, AssistError> {
    let (mut best, mut least) = (start, loss);
    tried(RateTrial {
        config: start,
        loss,
        kept: true,
    });
    for knob in KNOBS {
        for factor in [knob.factor(), knob.factor().recip()] {
            let before = best;
            loop {
                let config = knob.turned(&best, factor);
                if config == best || config.delta.validate().and(config.mlp.validate()).is_err() {
                    break;
                }
                let Some(loss) = loss_of(config)? else { break };
                let kept = loss < least * (1.0 - min_gain);
                tried(RateTrial { config, loss, kept });
                if !kept {
                    break;
                }
                (best, least) = (config, loss);
            }
            if best != before {
                break;
            }
        }
    }
    Ok(best)
}

/// The mean loss of the judged mixtures, each with a gate fitted to memories that learn so.
fn loss_of(
    assistant: &Assistant,
    projects: &[CorpusProject],
    options: &RateFitOptions,
    levels: LevelMemoriesConfig,
) -> Result<Option<f64>, AssistError> {
    let stages = assistant.model().config().stages;
    let wanted: Vec<_> = JUDGED
        .into_iter()
        .filter_map(|name| Some((name, exits_of(name, stages)?)))
        .collect();
    let options = GateFitOptions {
        max_places: options.max_places,
        max_taught: options.max_taught,
        levels,
        fit: FitOptions::default(),
    };
    let examples = collect_taught(
        assistant,
        projects,
        &options,
        &wanted,
        &mut |_: FitProgress| {},
    )?;
    if wanted.is_empty() || examples.iter().any(Vec::is_empty) {
        return Ok(None);
    }
    let fitted = fit_all(&wanted, &examples, &memory_component_names, &options.fit)?;
    let losses = fitted.iter().map(|(_, report)| report.loss.loss);
    Ok(Some(losses.sum::<f64>() / fitted.len() as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A loss with its least at a delta rate of about 0.34 and a period of 1,024, whatever the other settings.
    fn bowl(config: LevelMemoriesConfig) -> Result<Option<f64>, AssistError> {
        let rate = f64::from(config.delta.rate / 0.34).ln();
        let period = (config.period as f64 / 1024.0).ln();
        Ok(Some(1.0 + 0.1 * rate * rate + 0.01 * period * period))
    }

    #[test]
    fn each_knob_is_turned_as_long_as_it_pays() {
        let start = LevelMemoriesConfig::default();
        let mut trials = Vec::new();
        let loss = bowl(start).unwrap().unwrap();
        let best = search(start, loss, 0.001, &mut bowl, &mut |trial| {
            trials.push(trial)
        })
        .unwrap();
        assert!((0.3..0.4).contains(&best.delta.rate), "{best:?}");
        assert_eq!(best.period, 1024);
        assert_eq!(best.mlp, start.mlp);
        assert_eq!(best.delta.decay, start.delta.decay);
        assert!(trials.len() < 25, "{}", trials.len());
        let kept: Vec<f64> = trials.iter().filter(|t| t.kept).map(|t| t.loss).collect();
        assert!(kept.is_sorted_by(|before, after| before > after));
    }

    #[test]
    fn a_gain_within_the_noise_changes_nothing() {
        let start = LevelMemoriesConfig::default();
        let mut flat =
            |config: LevelMemoriesConfig| Ok(Some(1.0 - 0.0005 * f64::from(config.delta.rate)));
        let loss = flat(start).unwrap().unwrap();
        let best = search(start, loss, 0.001, &mut flat, &mut |_| ()).unwrap();
        assert_eq!(best, start);
    }

    #[test]
    fn turned_settings_stay_possible() {
        let mut config = LevelMemoriesConfig::default();
        for knob in KNOBS {
            for factor in [1e-6, 0.5, 2.0, 1e6] {
                let turned = knob.turned(&config, factor);
                assert!(turned.delta.decay <= 1.0 && turned.delta.decay >= 0.5);
                assert!((0.0..=1.0).contains(&turned.mlp.decay));
                assert!(turned.period >= CHUNK && turned.period.is_multiple_of(CHUNK));
            }
        }
        config.period = 100;
        assert_eq!(Knob::Period.turned(&config, 1.0).period, 128);
    }
}

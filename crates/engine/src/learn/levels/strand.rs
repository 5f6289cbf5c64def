//! What levels 2 and 3 have learned of one part of a project, apart from its other parts.
//!
//! Called by `levels`, which decides which strand is at work. A clone is a fork: it shares what neither side has changed.

use super::super::frame::{Kind, Put, Reader};
use super::{
    EPISODIC_EXIT, ExitMlp, LevelMemoriesConfig, MLP_EXIT, MlpWeights, OutputDelta, Trust,
};
use crate::{EngineError, NetworkConfig};

/// The learned memories of one part.
#[derive(Debug, Clone)]
pub(super) struct Strand {
    /// Of the exits from the second on.
    pub deltas: Vec<OutputDelta>,
    /// Only a network of three stages has a place for it.
    pub mlp: Option<ExitMlp>,
    /// How far the memories of each exit from the second on are believed.
    pub trust: Trust,
    /// Tokens since the last step of the MLP.
    pub since_step: usize,
}

impl Strand {
    /// One that has learned nothing; without a start its MLP is silent.
    pub fn new(
        config: &LevelMemoriesConfig,
        network: &NetworkConfig,
        start: Option<&MlpWeights>,
    ) -> Result<Self, EngineError> {
        let deltas = (EPISODIC_EXIT..network.stages)
            .map(|_| OutputDelta::new(config.delta, network.vocab, network.width))
            .collect::<Result<Vec<_>, _>>()?;
        let mlp = (network.stages > MLP_EXIT)
            .then(|| match start {
                Some(start) => ExitMlp::from_start(config.mlp, network.width, start.clone()),
                None => ExitMlp::new(config.mlp, network.width, 1),
            })
            .transpose()?;
        Ok(Self {
            trust: Trust::new(deltas.len()),
            deltas,
            mlp,
            since_step: 0,
        })
    }

    /// Resident bytes, shared with forks or not.
    pub fn bytes(&self) -> usize {
        let deltas: usize = self.deltas.iter().map(OutputDelta::bytes).sum();
        deltas + self.mlp.as_ref().map_or(0, ExitMlp::bytes)
    }

    /// The strand as bytes that [`Strand::from_bytes`] reads; what holds them proves that they are whole.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut parts: Vec<Vec<u8>> = self.deltas.iter().map(OutputDelta::to_bytes).collect();
        parts.extend(self.mlp.as_ref().map(ExitMlp::to_bytes));
        let mut body = Vec::new();
        body.put_u64s(&[self.since_step as u64]);
        body.put_f32s(self.trust.shares());
        body.put_u32s(&[parts.len() as u32]);
        for part in &parts {
            body.put_u64s(&[part.len() as u64]);
        }
        parts.iter().for_each(|part| body.extend_from_slice(part));
        body
    }

    /// A strand from its bytes, which stand in a file of `kind`.
    ///
    /// # Errors
    /// [`EngineError::Memory`] for bytes that are damaged or of another network.
    pub fn from_bytes(
        config: &LevelMemoriesConfig,
        network: &NetworkConfig,
        kind: &'static Kind,
        bytes: &[u8],
    ) -> Result<Self, EngineError> {
        let mut strand = Self::new(config, network, None)?;
        let mut reader = Reader::new(kind, bytes);
        strand.since_step = reader.u64()?.min(config.period as u64) as usize;
        strand.trust = Trust::from_shares(reader.f32s(strand.deltas.len())?);
        let n_parts = strand.deltas.len() + usize::from(strand.mlp.is_some());
        reader.expect_size("number of parts", n_parts)?;
        let mut lengths = Vec::with_capacity(n_parts);
        for _ in 0..n_parts {
            lengths.push(reader.length()?);
        }
        let mut lengths = lengths.into_iter();
        for (delta, length) in strand.deltas.iter_mut().zip(lengths.by_ref()) {
            let part = reader.bytes(length)?;
            *delta = OutputDelta::from_bytes(config.delta, network.vocab, network.width, part)?;
        }
        if let Some((mlp, length)) = strand.mlp.as_mut().zip(lengths.next()) {
            *mlp = ExitMlp::from_bytes(config.mlp, network.width, reader.bytes(length)?)?;
        }
        reader.finish()?;
        Ok(strand)
    }
}

//! `segments.N.bin`: the pieces of learned files, one compressed frame each, appended.
//!
//! A frame proves itself and names its record, so that a frame at a wrong place is noticed. No length in it is trusted
//! before its hash is right, and none is taken further than the limits below.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A longer file is not learned: the corpus reads none above 64 MB, and no piece is shorter than a byte.
pub const MAX_PIECES: u32 = 1 << 26;

/// What the file starts with: magic and version.
pub(crate) const FILE_HEADER: [u8; 12] = *b"NestorSG\x01\0\0\0";

/// Sequence number 8, pieces 4, payload length 4, hash 16.
const FRAME_HEADER: usize = 32;
const HASHED: usize = 16;

const COMPRESSION_LEVEL: i32 = 1;

/// Where a frame lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Its first byte.
    pub at: u64,
    /// Its bytes.
    pub len: u32,
}

impl Place {
    /// The byte behind it; `None` past all files.
    pub(crate) fn end(self) -> Option<u64> {
        self.at.checked_add(u64::from(self.len))
    }
}

/// Makes frames; keeps the compressor's tables between them.
pub(crate) struct Packer {
    compressor: zstd::bulk::Compressor<'static>,
}

impl Packer {
    pub(crate) fn new() -> std::io::Result<Self> {
        let compressor = zstd::bulk::Compressor::new(COMPRESSION_LEVEL)?;
        Ok(Self { compressor })
    }

    /// The frame of record `seq`. The caller has checked the number of pieces and that each fits 16 bits.
    pub(crate) fn pack(&mut self, seq: u64, pieces: &[u32]) -> std::io::Result<Vec<u8>> {
        let bytes: Vec<u8> = pieces
            .iter()
            .flat_map(|&piece| (piece as u16).to_le_bytes())
            .collect();
        let payload = self.compressor.compress(&bytes)?;
        let mut frame = Vec::with_capacity(FRAME_HEADER + payload.len());
        frame.extend_from_slice(&seq.to_le_bytes());
        frame.extend_from_slice(&(pieces.len() as u32).to_le_bytes());
        frame.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        let hash = hash(&frame, &payload);
        frame.extend_from_slice(&hash);
        frame.extend_from_slice(&payload);
        Ok(frame)
    }
}

/// Checks the frame of record `seq` and returns its payload.
pub(crate) fn check(frame: &[u8], seq: u64, n_pieces: u32) -> Result<&[u8], String> {
    let (header, payload) = frame
        .split_at_checked(FRAME_HEADER)
        .ok_or("a segment ends inside its header")?;
    if hash(&header[..HASHED], payload) != header[HASHED..] {
        return Err(format!(
            "the hash of segment {seq} does not match its content"
        ));
    }
    let field = |from: usize| u32::from_le_bytes(header[from..from + 4].try_into().expect("four"));
    let found = u64::from_le_bytes(header[..8].try_into().expect("eight bytes"));
    if found != seq || field(8) != n_pieces || field(12) as usize != payload.len() {
        return Err(format!(
            "segment {found} of {} pieces lies where segment {seq} of {n_pieces} pieces should",
            field(8)
        ));
    }
    Ok(payload)
}

/// The pieces in the frame of record `seq`.
pub(crate) fn unpack(
    frame: &[u8],
    seq: u64,
    n_pieces: u32,
    vocabulary: u32,
) -> Result<Vec<u32>, String> {
    if n_pieces > MAX_PIECES {
        return Err(format!("segment {seq} claims {n_pieces} pieces"));
    }
    let n_bytes = n_pieces as usize * 2;
    let bytes = zstd::bulk::decompress(check(frame, seq, n_pieces)?, n_bytes)
        .map_err(|error| format!("segment {seq} does not unpack: {error}"))?;
    if bytes.len() != n_bytes {
        return Err(format!("segment {seq} unpacks to {} bytes", bytes.len()));
    }
    let pieces: Vec<u32> = bytes
        .chunks_exact(2)
        .map(|pair| u32::from(u16::from_le_bytes([pair[0], pair[1]])))
        .collect();
    match pieces.iter().find(|&&piece| piece >= vocabulary) {
        Some(piece) => Err(format!(
            "segment {seq} has piece {piece}, the vocabulary has {vocabulary}"
        )),
        None => Ok(pieces),
    }
}

fn hash(header: &[u8], payload: &[u8]) -> [u8; FRAME_HEADER - HASHED] {
    let digest = Sha256::new()
        .chain_update(header)
        .chain_update(payload)
        .finalize();
    digest[..FRAME_HEADER - HASHED]
        .try_into()
        .expect("SHA-256 is longer")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_come_back_and_a_flipped_bit_is_noticed(pieces in prop::collection::vec(0..500u32, 0..60), at: usize, bit in 0..8u8) {
            let mut frame = Packer::new().unwrap().pack(7, &pieces).unwrap();
            let n = pieces.len() as u32;
            prop_assert_eq!(unpack(&frame, 7, n, 500), Ok(pieces));
            prop_assert!(unpack(&frame, 8, n, 500).is_err());
            prop_assert!(unpack(&frame, 7, n + 1, 500).is_err());
            let at = at % frame.len();
            frame[at] ^= 1 << bit;
            prop_assert!(unpack(&frame, 7, n, 500).is_err());
        }

        #[test]
        fn bytes_from_outside_never_panic(bytes: Vec<u8>, n_pieces: u32) {
            prop_assert!(unpack(&bytes, 0, n_pieces, 500).is_err());
        }
    }

    #[test]
    fn pieces_outside_the_vocabulary_are_refused() {
        let frame = Packer::new().unwrap().pack(1, &[1, 9]).unwrap();
        assert!(unpack(&frame, 1, 2, 9).unwrap_err().contains("piece 9"));
    }
}

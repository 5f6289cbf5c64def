//! What the loader knows of the tokenizer: the bytes of each piece and how to encode a word.

/// Special pieces, as the tokenizer of every corpus numbers them.
pub mod special {
    /// Fills windows that nothing is left for.
    pub const PAD: u32 = 0;
    /// Start of a file.
    pub const FILE: u32 = 1;
    /// Start of the text after the cursor.
    pub const SUFFIX: u32 = 2;
    /// Start of the text itself.
    pub const PREFIX: u32 = 3;
    /// End of a middle.
    pub const END_OF_MIDDLE: u32 = 4;
    /// End of a file.
    pub const END_OF_FILE: u32 = 5;
    /// First piece with bytes.
    pub const FIRST_BYTE: u32 = 8;
}

/// Cuts a text into pieces.
type Encode = Box<dyn Fn(&str) -> Vec<u32> + Send + Sync>;

/// The tokenizer, reduced to what the loader needs.
pub struct Pieces {
    bytes: Vec<Box<[u8]>>,
    encode: Encode,
}

impl std::fmt::Debug for Pieces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pieces")
            .field("count", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

impl Pieces {
    /// Takes the bytes of every piece (special ones: none) and the encoder.
    pub fn new(
        bytes: Vec<Box<[u8]>>,
        encode: impl Fn(&str) -> Vec<u32> + Send + Sync + 'static,
    ) -> Self {
        Self {
            bytes,
            encode: Box::new(encode),
        }
    }

    /// A tokenizer whose only pieces are single bytes.
    #[cfg(test)]
    pub fn single_bytes() -> Self {
        let bytes = (0..special::FIRST_BYTE)
            .map(|_| Box::from([]))
            .chain((0..=255).map(|byte| Box::from([byte])))
            .collect();
        Self::new(bytes, |text| {
            text.bytes()
                .map(|byte| u32::from(byte) + special::FIRST_BYTE)
                .collect()
        })
    }

    /// Number of pieces, special ones included.
    pub fn count(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of a piece; none for a special or unknown one.
    pub fn bytes(&self, id: u32) -> &[u8] {
        self.bytes.get(id as usize).map_or(&[], |bytes| bytes)
    }

    /// Pieces of a text.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        (self.encode)(text)
    }

    /// Whether a line starts after this piece's first newline.
    pub fn has_newline(&self, id: u32) -> bool {
        self.bytes(id).contains(&b'\n')
    }

    /// Bytes of a run of pieces.
    pub fn decode(&self, ids: &[u32]) -> Vec<u8> {
        ids.iter().flat_map(|id| self.bytes(*id)).copied().collect()
    }
}

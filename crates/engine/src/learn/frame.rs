//! The frame around a saved memory: magic, version, SHA-256, body; all numbers little endian.
//!
//! Called by the memories beside it. Reading never trusts a length, never panics, and gives no number
//! that is not finite. The hash finds damage; whether a body makes sense is for its memory to check.

use crate::EngineError;
use sha2::{Digest, Sha256};

/// Magic 8, version 4, SHA-256 of these and the body 32.
const HEADER_LEN: usize = 44;
const HASHED_HEADER: usize = 12;

/// What a saved memory is.
#[derive(Debug)]
pub(super) struct Kind {
    /// The first eight bytes.
    pub magic: &'static [u8; 8],
    pub version: u32,
    /// The words of error messages.
    pub what: &'static str,
}

impl Kind {
    /// The error of a body that makes no sense.
    pub fn wrong(&self, reason: impl Into<String>) -> EngineError {
        EngineError::Memory {
            what: self.what,
            reason: reason.into(),
        }
    }

    /// Puts the frame around a body.
    pub fn seal(&self, body: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_LEN + body.len());
        bytes.extend_from_slice(self.magic);
        bytes.extend_from_slice(&self.version.to_le_bytes());
        let hash = hash(&bytes, body);
        bytes.extend_from_slice(&hash);
        bytes.extend_from_slice(body);
        bytes
    }

    /// Checks the frame and gives the body.
    ///
    /// # Errors
    /// [`EngineError::Memory`] for bytes that are not of this kind and version, or are damaged.
    pub fn open<'a>(&'static self, bytes: &'a [u8]) -> Result<Reader<'a>, EngineError> {
        let Some((header, body)) = bytes.split_at_checked(HEADER_LEN) else {
            return Err(self.wrong("it ends inside its header"));
        };
        let (magic, rest) = header.split_at(self.magic.len());
        if magic != self.magic {
            return Err(self.wrong("it does not start with the magic bytes of its kind"));
        }
        let found = u32::from_le_bytes([rest[0], rest[1], rest[2], rest[3]]);
        if found != self.version {
            let reads = self.version;
            let reason = format!("format version {found} is unknown, this program reads {reads}");
            return Err(self.wrong(reason));
        }
        if hash(&header[..HASHED_HEADER], body) != header[HASHED_HEADER..] {
            return Err(self.wrong("its SHA-256 does not match its content"));
        }
        Ok(Reader { kind: self, body })
    }
}

fn hash(header: &[u8], body: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update(header)
        .chain_update(body)
        .finalize()
        .into()
}

/// Appends numbers to a body.
pub(super) trait Put {
    fn put_u32s(&mut self, values: &[u32]);
    fn put_u64s(&mut self, values: &[u64]);
    fn put_f32s(&mut self, values: &[f32]);
    fn put_i8s(&mut self, values: &[i8]);
}

impl Put for Vec<u8> {
    fn put_u32s(&mut self, values: &[u32]) {
        self.extend(values.iter().flat_map(|x| x.to_le_bytes()));
    }

    fn put_u64s(&mut self, values: &[u64]) {
        self.extend(values.iter().flat_map(|x| x.to_le_bytes()));
    }

    fn put_f32s(&mut self, values: &[f32]) {
        self.extend(values.iter().flat_map(|x| x.to_le_bytes()));
    }

    fn put_i8s(&mut self, values: &[i8]) {
        self.extend(values.iter().map(|x| *x as u8));
    }
}

/// Reads a body from its start.
pub(super) struct Reader<'a> {
    kind: &'static Kind,
    body: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader of bytes inside a body that was opened.
    pub fn new(kind: &'static Kind, body: &'a [u8]) -> Self {
        Self { kind, body }
    }

    fn take(&mut self, count: usize, size: usize) -> Result<&'a [u8], EngineError> {
        let taken = count
            .checked_mul(size)
            .and_then(|len| self.body.split_at_checked(len));
        let Some((taken, rest)) = taken else {
            let left = self.body.len();
            let reason = format!("{count} numbers of {size} bytes expected, {left} bytes are left");
            return Err(self.kind.wrong(reason));
        };
        self.body = rest;
        Ok(taken)
    }

    pub fn u32s(&mut self, count: usize) -> Result<Vec<u32>, EngineError> {
        let bytes = self.take(count, 4)?;
        let of = |b: &[u8]| u32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        Ok(bytes.chunks_exact(4).map(of).collect())
    }

    pub fn u64s(&mut self, count: usize) -> Result<Vec<u64>, EngineError> {
        let bytes = self.take(count, 8)?;
        let of = |b: &[u8]| u64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]);
        Ok(bytes.chunks_exact(8).map(of).collect())
    }

    pub fn f32s(&mut self, count: usize) -> Result<Vec<f32>, EngineError> {
        let bytes = self.take(count, 4)?;
        let of = |b: &[u8]| f32::from_le_bytes([b[0], b[1], b[2], b[3]]);
        let values: Vec<f32> = bytes.chunks_exact(4).map(of).collect();
        match values.iter().find(|x| !x.is_finite()) {
            None => Ok(values),
            Some(value) => Err(self.kind.wrong(format!("it holds the number {value}"))),
        }
    }

    pub fn i8s(&mut self, count: usize) -> Result<Vec<i8>, EngineError> {
        Ok(self.take(count, 1)?.iter().map(|b| *b as i8).collect())
    }

    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], EngineError> {
        self.take(count, 1)
    }

    pub fn u32(&mut self) -> Result<u32, EngineError> {
        Ok(self.u32s(1)?[0])
    }

    pub fn u64(&mut self) -> Result<u64, EngineError> {
        Ok(self.u64s(1)?[0])
    }

    /// A number of bytes; one that this machine cannot count is more than there are.
    pub fn length(&mut self) -> Result<usize, EngineError> {
        Ok(usize::try_from(self.u64()?).unwrap_or(usize::MAX))
    }

    /// A size that must be the one that the caller knows.
    pub fn expect_size(&mut self, what: &str, expected: usize) -> Result<(), EngineError> {
        let found = self.u32()?;
        if found as usize == expected {
            return Ok(());
        }
        let reason = format!("it was made for a {what} of {found}, {expected} is needed");
        Err(self.kind.wrong(reason))
    }

    /// The end of the body.
    pub fn finish(self) -> Result<(), EngineError> {
        match self.body.len() {
            0 => Ok(()),
            left => Err(self
                .kind
                .wrong(format!("{left} bytes are left after its end"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    static KIND: Kind = Kind {
        magic: b"nestor-t",
        version: 3,
        what: "a test",
    };

    #[test]
    fn what_was_put_is_read() {
        let mut body = Vec::new();
        body.put_u32s(&[7, 8, 9]);
        body.put_u64s(&[u64::MAX]);
        body.put_f32s(&[0.5, -1.0]);
        body.put_i8s(&[-128, 127]);
        let bytes = KIND.seal(&body);
        let mut reader = KIND.open(&bytes).unwrap();
        assert_eq!(reader.u32().unwrap(), 7);
        assert_eq!(reader.u32s(2).unwrap(), [8, 9]);
        assert_eq!(reader.u64().unwrap(), u64::MAX);
        assert_eq!(reader.f32s(2).unwrap(), [0.5, -1.0]);
        assert_eq!(reader.i8s(2).unwrap(), [-128, 127]);
        reader.finish().unwrap();
    }

    #[test]
    fn damage_is_named() {
        let bytes = KIND.seal(&[1, 0, 0, 0]);
        let mut other_version = bytes.clone();
        other_version[8] = 4;
        let mut damaged = bytes.clone();
        damaged[HEADER_LEN] = 2;
        for (bytes, named) in [
            (&bytes[..20], "ends inside its header"),
            (&[0; 64][..], "magic"),
            (&other_version, "format version 4 is unknown"),
            (&damaged, "SHA-256"),
        ] {
            let message = KIND.open(bytes).err().unwrap().to_string();
            assert!(
                message.contains(named) && message.contains("a test"),
                "{message}"
            );
        }
        let mut reader = KIND.open(&bytes).unwrap();
        assert!(reader.u32s(usize::MAX).is_err());
        assert!(reader.expect_size("width", 2).is_err());
        let infinite = KIND.seal(&f32::INFINITY.to_le_bytes());
        assert!(KIND.open(&infinite).unwrap().f32s(1).is_err());
        assert!(KIND.open(&infinite).unwrap().finish().is_err());
    }

    proptest! {
        #[test]
        fn garbage_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(KIND.open(&bytes).is_err());
        }
    }
}

//! The byte-level alphabet: how `tokenizer.json` writes bytes as visible characters.
//!
//! The tokenizer reads vocabularies written in it and the trainer writes them. Pieces themselves are bytes.

/// Bytes in the byte-level alphabet, one character a byte, as the vocabulary of `tokenizer.json` is written.
pub fn byte_level(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| byte_char(byte)).collect()
}

/// The 256 characters of the byte-level alphabet, for the trainer.
pub fn byte_level_alphabet() -> impl Iterator<Item = char> {
    (0..=255).map(byte_char)
}

/// The byte-level alphabet of GPT-2: visible Latin-1 characters stand for themselves, the other bytes for U+0100 and on.
fn byte_char(byte: u8) -> char {
    const SHIFTED_LOW: u32 = 0x21; // bytes 0x00..=0x20
    match byte {
        0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF => byte as char,
        0x00..=0x20 => char_of(0x100 + u32::from(byte)),
        0x7F..=0xA0 => char_of(0x100 + SHIFTED_LOW + u32::from(byte) - 0x7F),
        0xAD => char_of(0x100 + SHIFTED_LOW + 0x22),
    }
}

fn char_of(code: u32) -> char {
    char::from_u32(code).expect("U+0100..U+0143 are characters")
}

/// The byte that `c` stands for; `None` for a character outside the alphabet.
pub(super) fn char_byte(c: char) -> Option<u8> {
    let byte = match c as u32 {
        code @ 0..=0xFF => code as u8,
        code @ 0x100..=0x120 => (code - 0x100) as u8,
        code @ 0x121..=0x142 => (code - 0x121 + 0x7F) as u8,
        0x143 => 0xAD,
        _ => return None,
    };
    (byte_char(byte) == c).then_some(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_is_one_to_one() {
        let mut seen: Vec<char> = byte_level_alphabet().collect();
        for (byte, &c) in seen.iter().enumerate() {
            assert_eq!(char_byte(c), Some(byte as u8));
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 256);
        assert_eq!(byte_level("Ф \n".as_bytes()), "Ð¤ĠĊ");
    }
}

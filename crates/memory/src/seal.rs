//! Lines of JSON that prove themselves: the last field, `check`, is a hash of all before it.
//!
//! A line that was torn or changed does not open. Used for the header and for every line of the log.

use sha2::{Digest, Sha256};

const FIELD: &str = ",\"check\":\"";
const CHECK_LEN: usize = 16;
const TAIL_LEN: usize = FIELD.len() + CHECK_LEN + 2;

/// Adds the field `check` to a JSON object with at least one field.
pub(crate) fn seal(json: &str) -> String {
    let body = json.strip_suffix('}').expect("an object ends with a brace");
    format!("{body}{FIELD}{}\"}}", check(json))
}

/// The object without its field `check`; `None` if that is missing or wrong.
pub(crate) fn open(line: &[u8]) -> Option<String> {
    let line = std::str::from_utf8(line).ok()?;
    let at = line.len().checked_sub(TAIL_LEN)?;
    let (body, tail) = line.split_at_checked(at)?;
    let found = tail.strip_prefix(FIELD)?.strip_suffix("\"}")?;
    let json = format!("{body}}}");
    (found == check(&json)).then_some(json)
}

/// 64 bits of SHA-256: enough against accidents, which is what the check is for.
fn check(json: &str) -> String {
    hex(&Sha256::digest(json.as_bytes())[..CHECK_LEN / 2])
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing into a string cannot fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_was_sealed_opens_and_a_flipped_bit_does_not(text in "[а-яa-z\"\\\\🙂]{0,20}", at: usize, bit in 0..8u8) {
            let json = serde_json::json!({ "text": text }).to_string();
            let sealed = seal(&json);
            prop_assert_eq!(open(sealed.as_bytes()), Some(json));
            let mut bytes = sealed.into_bytes();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(open(&bytes), None);
        }

        #[test]
        fn bytes_from_outside_never_panic(bytes: Vec<u8>) {
            open(&bytes);
        }
    }
}

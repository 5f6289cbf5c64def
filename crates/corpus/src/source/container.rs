//! The container that the platform keeps parts of an object in; ordinary forms are dumped as one, `Ext/Form.bin`.
//!
//! Layout, little endian. Header: offset of the first free block, block size, version, reserved (4 bytes each). Then
//! blocks: `\r\n`, three hexadecimal numbers with a space after each (length of the whole document, length of this block,
//! offset of the next block), `\r\n`, data. A document is a chain of blocks. The first document is the table of contents:
//! offset of an entry's header, offset of its data, end mark. An entry's header holds two times, flags and its name in
//! UTF-16. Large containers (8.3.16 and later) have 8-byte offsets and 16-digit numbers behind a longer header.
//! The data may be deflated.

use std::io::Read;
use std::ops::Range;

use thiserror::Error;

/// Why a container gives no module.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ContainerError {
    /// The first bytes are not those of a container.
    #[error("not a 1C container")]
    NotContainer,
    /// An offset or a length points outside, or a block header is garbled.
    #[error("broken 1C container: block at offset {0}")]
    Broken(usize),
    /// No entry named `module`.
    #[error("the form has no module in it")]
    NoModule,
    /// The data unfolds to more than any module has.
    #[error("the form's module is larger than {} MB", MAX_MODULE_BYTES >> 20)]
    TooLarge,
}

/// The bytes of the module inside an ordinary form's `Form.bin`, byte order mark and all.
pub fn form_module(container: &[u8]) -> Result<Vec<u8>, ContainerError> {
    let format = Format::of(container)?;
    let contents = format.document(container, format.header)?;
    for entry in contents.chunks_exact(3 * format.offset) {
        let offset =
            |nth: usize| format.number(&entry[nth * format.offset..(nth + 1) * format.offset]);
        let (Some(header), Some(data)) = (offset(0), offset(1)) else {
            continue;
        };
        if header == 0 || name(&format.document(container, header)?) != "module" {
            continue;
        }
        return inflate(format.document(container, data)?);
    }
    Err(ContainerError::NoModule)
}

const MAX_MODULE_BYTES: usize = 64 << 20;
/// Times and flags before an entry's name.
const NAME_OFFSET: usize = 20;

/// The two widths of a container.
struct Format {
    /// Bytes of the file header.
    header: usize,
    /// Bytes of an offset in the table of contents.
    offset: usize,
    /// Digits of a number in a block header.
    digits: usize,
}

const NARROW: Format = Format {
    header: 16,
    offset: 4,
    digits: 8,
};
const WIDE: Format = Format {
    header: 20,
    offset: 8,
    digits: 16,
};

impl Format {
    fn of(container: &[u8]) -> Result<&'static Format, ContainerError> {
        [&NARROW, &WIDE]
            .into_iter()
            .find(|format| format.block(container, format.header).is_some())
            .ok_or(ContainerError::NotContainer)
    }

    /// Reads a number of the table of contents; `None` for the mark that stands for "none".
    fn number(&self, bytes: &[u8]) -> Option<usize> {
        let value = bytes
            .iter()
            .rev()
            .fold(0u64, |value, &byte| value << 8 | u64::from(byte));
        self.offset_of(value)
    }

    fn offset_of(&self, value: u64) -> Option<usize> {
        let none = if self.offset == 4 {
            0x7FFF_FFFF
        } else {
            u64::MAX
        };
        (value != none).then(|| usize::try_from(value).unwrap_or(usize::MAX))
    }

    /// The block at `at`: length of the document, where the data lie, the next block.
    fn block(&self, container: &[u8], at: usize) -> Option<(usize, Range<usize>, Option<usize>)> {
        let header = container.get(at..at.checked_add(2 + 3 * (self.digits + 1) + 2)?)?;
        let inner = header.strip_prefix(b"\r\n")?.strip_suffix(b"\r\n")?;
        let mut numbers = inner.chunks_exact(self.digits + 1).map(|number| {
            let digits = std::str::from_utf8(number.strip_suffix(b" ")?).ok()?;
            u64::from_str_radix(digits, 16).ok()
        });
        let mut next = || numbers.next().flatten();
        let (document, block, following) = (next()?, next()?, next()?);
        let data = at + header.len();
        let end = data
            .checked_add(usize::try_from(block).ok()?)?
            .min(container.len());
        Some((
            usize::try_from(document).ok()?,
            data..end,
            self.offset_of(following),
        ))
    }

    /// The document whose first block lies at `at`.
    fn document(&self, container: &[u8], at: usize) -> Result<Vec<u8>, ContainerError> {
        let (length, mut data, mut next) = self
            .block(container, at)
            .ok_or(ContainerError::Broken(at))?;
        if length > container.len() {
            return Err(ContainerError::Broken(at));
        }
        let mut document = Vec::with_capacity(length);
        loop {
            let wanted = (length - document.len()).min(data.len());
            document.extend_from_slice(&container[data.start..data.start + wanted]);
            if document.len() == length {
                return Ok(document);
            }
            let following = next.ok_or(ContainerError::Broken(at))?;
            // A block without data could chain in a circle for ever.
            let block = self
                .block(container, following)
                .filter(|(_, data, _)| !data.is_empty());
            (_, data, next) = block.ok_or(ContainerError::Broken(following))?;
        }
    }
}

fn name(header: &[u8]) -> String {
    let units = header
        .get(NAME_OFFSET..)
        .unwrap_or_default()
        .chunks_exact(2)
        .map(|unit| u16::from_le_bytes([unit[0], unit[1]]));
    char::decode_utf16(units.take_while(|&unit| unit != 0))
        .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

/// Plain text stays as it is: with or without its byte order mark, it is no deflate stream that ends where the data end.
fn inflate(data: Vec<u8>) -> Result<Vec<u8>, ContainerError> {
    if data.starts_with(b"\xEF\xBB\xBF") {
        return Ok(data);
    }
    let mut text = Vec::new();
    match flate2::read::DeflateDecoder::new(&data[..])
        .take(MAX_MODULE_BYTES as u64 + 1)
        .read_to_end(&mut text)
    {
        Ok(_) if text.len() > MAX_MODULE_BYTES => Err(ContainerError::TooLarge),
        Ok(_) if !text.is_empty() => Ok(text),
        _ => Ok(data),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use flate2::{Compression, write::DeflateEncoder};
    use proptest::prelude::*;
    use std::io::Write;

    const NONE: usize = 0x7FFF_FFFF;

    /// Writes a container whose documents are cut into blocks of `block` bytes.
    pub(in crate::source) fn container(entries: &[(&str, &[u8])], block: usize) -> Vec<u8> {
        let mut out = vec![0xFF, 0xFF, 0xFF, 0x7F, 0, 2, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
        // The table of contents has one block of fixed length, filled in at the end.
        let table_len = entries.len() * 12;
        push(&mut out, &vec![0; table_len], table_len.max(1));
        let table_at = 16 + 31;
        for (nth, (name, data)) in entries.iter().enumerate() {
            let header_at = out.len();
            let mut header = vec![0; NAME_OFFSET];
            header.extend(name.encode_utf16().flat_map(u16::to_le_bytes));
            header.extend([0; 4]);
            push(&mut out, &header, header.len());
            let data_at = out.len();
            push(&mut out, data, block);
            for (field, value) in [header_at, data_at, NONE].into_iter().enumerate() {
                let at = table_at + nth * 12 + field * 4;
                out[at..at + 4].copy_from_slice(&(value as u32).to_le_bytes());
            }
        }
        out
    }

    fn push(out: &mut Vec<u8>, data: &[u8], block: usize) {
        let mut chunks: Vec<&[u8]> = data.chunks(block).collect();
        if chunks.is_empty() {
            chunks.push(b"");
        }
        for (nth, chunk) in chunks.iter().enumerate() {
            let next = if nth + 1 == chunks.len() {
                NONE
            } else {
                out.len() + 31 + chunk.len()
            };
            let length = if nth == 0 { data.len() } else { 0 };
            out.extend(format!("\r\n{length:08x} {:08x} {next:08x} \r\n", chunk.len()).bytes());
            out.extend_from_slice(chunk);
        }
    }

    fn deflated(data: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn the_module_is_found_plain_or_deflated_in_one_block_or_many() {
        let text = "Процедура Печать()\r\nКонецПроцедуры\r\n".repeat(40);
        let marked = format!("\u{feff}{text}");
        for block in [64, 512, 1 << 20] {
            let check = |data: &[u8], expected: &str| {
                let bytes = container(&[("form", b"{27}"), ("module", data)], block);
                assert_eq!(form_module(&bytes).unwrap(), expected.as_bytes());
            };
            check(marked.as_bytes(), &marked);
            check(text.as_bytes(), &text);
            check(&deflated(marked.as_bytes()), &marked);
            check(b"", "");
        }
    }

    #[test]
    fn what_is_no_form_is_named() {
        assert_eq!(form_module(b""), Err(ContainerError::NotContainer));
        assert_eq!(form_module(b"<Form/>"), Err(ContainerError::NotContainer));
        assert_eq!(
            form_module(&container(&[("form", b"{27}")], 512)),
            Err(ContainerError::NoModule)
        );
        let mut cut = container(
            &[
                ("form", b"{27}"),
                ("module", "Текст".repeat(100).as_bytes()),
            ],
            64,
        );
        cut.truncate(cut.len() - 200);
        assert!(matches!(form_module(&cut), Err(ContainerError::Broken(_))));
    }

    proptest! {
        #[test]
        fn broken_bytes_are_an_error_and_never_a_panic(at in 0usize..1500, byte: u8, cut in 0usize..1500) {
            let mut bytes = container(&[("form", b"{27}"), ("module", &[b'a'; 700])], 100);
            let at = at % bytes.len();
            bytes[at] = byte;
            bytes.truncate(cut.max(1));
            let _ = form_module(&bytes);
        }
    }
}

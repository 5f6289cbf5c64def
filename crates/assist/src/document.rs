//! What the network reads of a document: header, what the metadata says of its object and form, a little of what follows the cursor, and
//! the text before it.
//!
//! Completion and the evaluation's scorer build their context here, so that both measure the same thing. The text
//! before the cursor starts at a deterministic anchor, a method border at least [`MIN_CONTEXT`] pieces back: the same
//! document gives the same context, and a 4 MB module costs no more than a small one. This module knows text and
//! pieces; it must not know the network.

use std::ops::Range;

use nestor_bsl::methods::methods;
use nestor_bsl::module_path::{ModulePath, ObjectType};
use nestor_bsl::pieces::{EOF, FILE, PRE, SUF, Tokenizer};

/// Pieces of text before the cursor that the network reads at least, where the file has them.
pub const MIN_CONTEXT: usize = 1024;

/// Pieces of text before the cursor that it reads at most: in a method longer than this the anchor is a line start.
pub const MAX_CONTEXT: usize = 4096;

/// Pieces after the cursor that it reads at most.
pub const MAX_SUFFIX: usize = 128;

/// Pieces of an outline that it reads at most.
pub const MAX_OUTLINE: usize = 256;

/// `<file>` and the header line of the module at `path`.
#[must_use]
pub fn header_pieces(tokenizer: &Tokenizer, path: &str) -> Vec<u32> {
    let header = ModulePath::from_path(path).header();
    let mut pieces = vec![FILE];
    pieces.extend(tokenizer.encode(&format!("{header}\n")));
    pieces
}

/// The pieces of an outline ([`nestor_metadata::Metadata::outline`]) as they stand behind the header; none for an empty one.
#[must_use]
pub fn outline_pieces(tokenizer: &Tokenizer, outline: &str) -> Vec<u32> {
    if outline.is_empty() {
        return Vec::new();
    }
    let mut pieces = tokenizer.encode(&format!("{outline}\n"));
    pieces.truncate(MAX_OUTLINE);
    pieces
}

/// Header, outline, suffix and `<pre>`: what stands before the text.
#[must_use]
pub fn opening_pieces(
    tokenizer: &Tokenizer,
    path: &str,
    outline: &[u32],
    suffix: &str,
) -> Vec<u32> {
    let mut pieces = header_pieces(tokenizer, path);
    pieces.extend(outline);
    let suffix = suffix_pieces(tokenizer, suffix);
    if !suffix.is_empty() {
        pieces.push(SUF);
        pieces.extend(suffix);
    }
    pieces.push(PRE);
    pieces
}

/// A whole file as counts and memories learn it: without an outline, so that what was learned follows from the text alone.
#[must_use]
pub fn file_pieces(tokenizer: &Tokenizer, path: &str, text: &str) -> Vec<u32> {
    let mut pieces = opening_pieces(tokenizer, path, &[], "");
    pieces.extend(tokenizer.encode(text));
    pieces.push(EOF);
    pieces
}

fn suffix_pieces(tokenizer: &Tokenizer, suffix: &str) -> Vec<u32> {
    // No piece is longer than a word, and no word than 128 bytes; a few kilobytes are always enough.
    let mut end = suffix.len().min(MAX_SUFFIX * 32);
    while !suffix.is_char_boundary(end) {
        end -= 1;
    }
    let mut pieces = tokenizer.encode(&suffix[..end]);
    pieces.truncate(MAX_SUFFIX);
    pieces
}

/// Places where the context of a cursor in this text may start.
#[derive(Clone, Debug)]
pub struct Borders {
    /// Starts of methods, rising.
    methods: Vec<usize>,
}

impl Borders {
    /// The borders of a text.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self {
            methods: methods(text)
                .iter()
                .map(|method| method.span.start)
                .collect(),
        }
    }

    /// Where the last method starts that begins a line of `text`, before the byte `end`; 0 if there is none. What stands before it is cut
    /// into pieces as if it stood alone.
    #[must_use]
    pub fn last_line_start(&self, text: &str, end: usize) -> usize {
        let n_before = self.methods.partition_point(|start| *start < end);
        let starts = self.methods[..n_before].iter().rev().copied();
        let begins_line = |start: &usize| text[..*start].ends_with('\n');
        starts.into_iter().find(begins_line).unwrap_or(0)
    }

    /// Replaces the borders from a method's start (or 0) on by those of `rest`, the text from there.
    pub fn replace_from(&mut self, start: usize, rest: &str) {
        self.methods.retain(|method| *method < start);
        let found = methods(rest);
        self.methods
            .extend(found.iter().map(|method| start + method.span.start));
    }

    /// The byte where the context of a cursor at `cursor` starts. `piece_starts` holds the first byte of every piece of
    /// the text, at least up to the cursor.
    #[must_use]
    pub fn anchor(&self, text: &str, cursor: usize, piece_starts: &[usize]) -> usize {
        let n_before = self.methods.partition_point(|start| *start <= cursor);
        let mut borders = self.methods[..n_before].iter().rev().copied();
        let border = borders
            .find(|border| pieces_in(piece_starts, &(*border..cursor)) >= MIN_CONTEXT)
            .unwrap_or(0);
        if pieces_in(piece_starts, &(border..cursor)) <= MAX_CONTEXT {
            return border;
        }
        // Line starts in steps of MIN_CONTEXT pieces from the border on: the cut stays while the cursor moves on.
        let mut cut = border;
        for (at, _) in text[border..cursor].match_indices('\n') {
            let line_start = border + at + 1;
            if pieces_in(piece_starts, &(line_start..cursor)) < MIN_CONTEXT {
                break;
            }
            if pieces_in(piece_starts, &(cut..line_start)) >= MIN_CONTEXT {
                cut = line_start;
            }
        }
        cut
    }
}

/// Number of pieces that start in a range of the text.
fn pieces_in(piece_starts: &[usize], range: &Range<usize>) -> usize {
    let first = piece_starts.partition_point(|start| *start < range.start);
    let end = piece_starts.partition_point(|start| *start < range.end);
    end - first
}

/// The module folder of a path: the object that the module belongs to with all its forms and commands, or the folder
/// of a file that belongs to none. Files of one module folder share counts.
#[must_use]
pub fn module_folder(path: &str) -> String {
    let module = ModulePath::from_path(path);
    match module.object_type {
        ObjectType::OneScript | ObjectType::Other => path
            .rsplit_once(['/', '\\'])
            .map_or_else(String::new, |(folder, _)| folder.to_owned()),
        known => format!("{}.{}", known.english(), module.object_name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `n` methods of `lines` lines, and a piece every second byte.
    fn module(n: usize, lines: usize) -> (String, Vec<usize>) {
        let body = "\tA = 1;\n".repeat(lines);
        let text = (0..n).fold(String::new(), |text, i| {
            text + &format!("Procedure P{i}()\n{body}EndProcedure\n\n")
        });
        let starts = (0..text.len()).step_by(2).collect();
        (text, starts)
    }

    #[test]
    fn the_anchor_is_a_method_border_far_enough_back() {
        let (text, starts) = module(40, 30);
        let borders = Borders::of(&text);
        for cursor in (0..text.len()).step_by(97) {
            let anchor = borders.anchor(&text, cursor, &starts);
            let n_pieces = pieces_in(&starts, &(anchor..cursor));
            assert!(anchor == 0 || text[anchor..].starts_with("Procedure"));
            assert!(anchor == 0 || n_pieces >= MIN_CONTEXT);
            assert!(n_pieces < MIN_CONTEXT + 300);
        }
    }

    #[test]
    fn a_long_method_is_cut_at_lines_that_stay() {
        let (text, starts) = module(1, 9000);
        let borders = Borders::of(&text);
        let mut anchors = Vec::new();
        for cursor in (0..text.len()).step_by(501) {
            let anchor = borders.anchor(&text, cursor, &starts);
            let n_pieces = pieces_in(&starts, &(anchor..cursor));
            assert!(n_pieces <= MAX_CONTEXT);
            assert!(anchor == 0 || n_pieces >= MIN_CONTEXT);
            assert!(anchor == 0 || text[..anchor].ends_with('\n'));
            anchors.push(anchor);
        }
        assert!(anchors.is_sorted());
        anchors.dedup();
        assert!(anchors.len() <= starts.len() / MIN_CONTEXT + 1);
    }

    #[test]
    fn modules_of_one_object_share_a_folder() {
        let folder = module_folder;
        let of_object = folder("src/cf/Catalogs/Товары/Ext/ObjectModule.bsl");
        assert_eq!(
            of_object,
            folder("src/cf/Catalogs/Товары/Forms/Форма/Ext/Form/Module.bsl")
        );
        assert_ne!(
            of_object,
            folder("src/cf/Catalogs/Услуги/Ext/ObjectModule.bsl")
        );
        assert_eq!(folder("src/Классы/А.os"), "src/Классы");
        assert_eq!(folder("А.os"), "");
    }
}

//! The text of an open module and its methods, kept up to date over edits.
//!
//! An edit looks again at the methods around it only, so that typing in a module of some megabytes costs what the method costs. What is found
//! is what a fresh look at the whole text would find; a test compares the two.

use std::ops::Range;

use nestor_bsl::{Method, ModulePath, methods};

/// An open module. Its text has no byte order mark and `\n` line ends, as `nestor_bsl::normalise` gives it.
#[derive(Debug, Clone)]
pub struct Document {
    path: String,
    place: ModulePath,
    text: String,
    methods: Vec<Method>,
}

impl Document {
    /// The module at `path` with this text. The path says what module it is, and which root it belongs to.
    pub fn new(path: &str, text: String) -> Document {
        Document {
            path: path.replace('\\', "/"),
            place: ModulePath::from_path(path),
            methods: methods(&text),
            text,
        }
    }

    /// The path.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What module the path says it is.
    pub fn place(&self) -> &ModulePath {
        &self.place
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The methods, in order.
    pub fn methods(&self) -> &[Method] {
        &self.methods
    }

    /// The index of the method around the byte `offset`.
    pub fn method_at(&self, offset: usize) -> Option<usize> {
        let idx = self
            .methods
            .partition_point(|method| method.span.start <= offset)
            .checked_sub(1)?;
        (offset <= self.methods[idx].span.end).then_some(idx)
    }

    /// Puts `replacement` in the place of the bytes `range`, which begin and end between characters.
    pub fn edit(&mut self, range: Range<usize>, replacement: &str) {
        // From the method before the edit to the one after it, both included: what is typed between two methods may belong to
        // the comment of either.
        let first = self
            .methods
            .partition_point(|method| method.span.start <= range.start)
            .saturating_sub(1);
        let last = self
            .methods
            .partition_point(|method| method.span.start <= range.end);
        let start = if first == 0 {
            0
        } else {
            self.methods[first].span.start
        };
        let old_end = self
            .methods
            .get(last + 1)
            .map_or(self.text.len(), |method| method.span.start);
        self.text.replace_range(range.clone(), replacement);
        let shift = |at: usize| at + replacement.len() - range.len();
        let end = shift(old_end);
        let mut found = methods(&self.text[start..end]);
        for method in &mut found {
            moved(method, |at| at + start);
        }
        let after = (last + 1).min(self.methods.len());
        for method in &mut self.methods[after..] {
            moved(method, shift);
        }
        self.methods.splice(first..after, found);
    }
}

fn moved(method: &mut Method, to: impl Fn(usize) -> usize) {
    let shift = |range: &mut Range<usize>| *range = to(range.start)..to(range.end);
    shift(&mut method.name_span);
    shift(&mut method.span);
    shift(&mut method.header_span);
    shift(&mut method.body_span);
    method.doc_span.iter_mut().for_each(shift);
    let defaults = method
        .params
        .iter_mut()
        .filter_map(|param| param.default.as_mut());
    defaults.for_each(shift);
    method
        .annotations
        .iter_mut()
        .map(|annotation| &mut annotation.span)
        .for_each(shift);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn edits_find_what_a_fresh_look_finds(
            parts in prop::collection::vec("(// к\n|&НаКлиенте\n|Процедура А(Б, Знач В = 1) Экспорт\n|А = \"стр\n|\\|ещё\";\n|КонецПроцедуры\n|Функция Ф()\n|КонецФункции|\n|;|\\)|\"| 🙂)", 0..30),
            edits in prop::collection::vec((0.0f64..1.0, 0usize..12, "(// к\n|Процедура Н(|КонецПроцедуры\n|\"|\n|Э|Функция|\\)|&После\\(\"А\"\\)\n|)"), 1..6),
        ) {
            let mut document = Document::new("CommonModules/М/Ext/Module.bsl", parts.concat());
            for (at, len, text) in edits {
                let boundary = |at: usize| (at..=document.text.len()).find(|&at| document.text.is_char_boundary(at)).unwrap();
                let start = boundary((at * document.text.len() as f64) as usize);
                let end = boundary((start + len).min(document.text.len()));
                document.edit(start..end, &text);
                prop_assert_eq!(&document.methods, &methods(&document.text));
            }
        }
    }
}

//! Syntax trees, for what the lexer cannot tell: which expression, which block, is this code whole.
//!
//! The assistant and review use them; nothing that must work on every text does. The grammars are `tree-sitter-bsl` for
//! `.bsl` and `tree-sitter-onescript` for `.os`; both know less than the platform (a bare `Raise`, `? (`, `ё` in names and
//! comments between the lines of a string are errors to them), so an error here is never a finding. The tree always covers the
//! whole text.

use std::ops::Range;

use tree_sitter::{InputEdit, Node, Parser, Point, Tree};

/// Which grammar reads a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Modules of 1C:Enterprise, `.bsl`.
    Bsl,
    /// Scripts of OneScript, `.os`.
    OneScript,
}

impl Dialect {
    /// OneScript for `.os`, BSL for everything else.
    pub fn of_path(path: &str) -> Dialect {
        let is_script =
            path.len() >= 3 && path.as_bytes()[path.len() - 3..].eq_ignore_ascii_case(b".os");
        if is_script {
            Dialect::OneScript
        } else {
            Dialect::Bsl
        }
    }
}

/// The syntax tree of one version of a text.
#[derive(Debug, Clone)]
pub struct SyntaxTree {
    tree: Tree,
    dialect: Dialect,
}

/// A replacement of bytes `start..old_end` by what stands at `start..new_end` in the new text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Edit {
    /// First changed byte, the same in both texts.
    pub start: usize,
    /// End of the change in the old text.
    pub old_end: usize,
    /// End of the change in the new text.
    pub new_end: usize,
}

/// Parses `text`. Broken code gives a tree with errors, never a failure.
pub fn parse(text: &str, dialect: Dialect) -> SyntaxTree {
    SyntaxTree {
        tree: parse_with(text, dialect, None),
        dialect,
    }
}

impl SyntaxTree {
    /// The root; its children are methods, declarations and the module's own statements.
    pub fn root(&self) -> Node<'_> {
        self.tree.root_node()
    }

    /// The grammar that made it.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Whether any part of the text did not fit the grammar.
    pub fn has_errors(&self) -> bool {
        self.root().has_error()
    }

    /// The outermost parts of the text that did not fit, in order. A missing word is an empty range.
    pub fn error_ranges(&self) -> Vec<Range<usize>> {
        let mut ranges = Vec::new();
        let mut cursor = self.tree.walk();
        loop {
            let node = cursor.node();
            let is_error = node.is_error() || node.is_missing();
            if is_error {
                ranges.push(node.byte_range());
            }
            if !is_error && node.has_error() && cursor.goto_first_child() {
                continue;
            }
            while !cursor.goto_next_sibling() {
                if !cursor.goto_parent() {
                    return ranges;
                }
            }
        }
    }

    /// The tree of `new_text`, which differs from `old_text` (the text of this tree) by `edit`. Takes the time of the
    /// change, not of the text.
    pub fn reparse(mut self, old_text: &str, new_text: &str, edit: Edit) -> SyntaxTree {
        self.tree.edit(&InputEdit {
            start_byte: edit.start,
            old_end_byte: edit.old_end,
            new_end_byte: edit.new_end,
            start_position: point(old_text, edit.start),
            old_end_position: point(old_text, edit.old_end),
            new_end_position: point(new_text, edit.new_end),
        });
        SyntaxTree {
            tree: parse_with(new_text, self.dialect, Some(&self.tree)),
            dialect: self.dialect,
        }
    }
}

fn parse_with(text: &str, dialect: Dialect, old: Option<&Tree>) -> Tree {
    let language = match dialect {
        Dialect::Bsl => tree_sitter_bsl::LANGUAGE,
        Dialect::OneScript => tree_sitter_onescript::LANGUAGE,
    };
    let mut parser = Parser::new();
    parser
        .set_language(&language.into())
        .expect("the grammars are pinned to versions that tree-sitter reads");
    parser
        .parse(text, old)
        .expect("parsing ends early only by a cancel flag, which is not set")
}

/// Row and column in bytes, as tree-sitter counts.
fn point(text: &str, offset: usize) -> Point {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let row = before.iter().filter(|&&byte| byte == b'\n').count();
    let column = before
        .iter()
        .rev()
        .take_while(|&&byte| byte != b'\n')
        .count();
    Point { row, column }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, dialect: Dialect, errors: &[&str]) {
        let tree = parse(text, dialect);
        let got: Vec<_> = tree
            .error_ranges()
            .into_iter()
            .map(|range| &text[range])
            .collect();
        assert_eq!(got, errors, "{text}\n{}", tree.root().to_sexp());
        assert_eq!(tree.has_errors(), !errors.is_empty());
    }

    #[test]
    fn whole_and_broken_code() {
        let module = "#Область А\n&НаКлиенте\nПроцедура Б(В) Экспорт\n\tЕсли В Then Г(); КонецЕсли;\nКонецПроцедуры\n#КонецОбласти\n";
        check(module, Dialect::Bsl, &[]);
        check("", Dialect::Bsl, &[]);
        check("#Использовать logos\nА = 1;\n", Dialect::OneScript, &[]);
        check("А = (1 + ;\n", Dialect::Bsl, &["А = (1 +"]);
        check(
            "Если А Тогда\n\tБ();\n",
            Dialect::Bsl,
            &["Если А Тогда\n\tБ();"],
        );
        assert!(parse("Процедура А(", Dialect::Bsl).has_errors());
    }

    #[test]
    fn the_file_type_chooses_the_grammar() {
        assert_eq!(Dialect::of_path("a/b.OS"), Dialect::OneScript);
        assert_eq!(Dialect::of_path("a/b.bsl"), Dialect::Bsl);
        assert_eq!(Dialect::of_path(""), Dialect::Bsl);
        assert_eq!(Dialect::of_path("ё"), Dialect::Bsl);
    }

    #[test]
    fn an_edited_tree_is_the_tree_of_the_edited_text() {
        let old = "Процедура А()\n\tБ = 1;\nКонецПроцедуры\n";
        let start = old.find('1').unwrap();
        let new = old.replacen('1', "Ф(\"я\")", 1);
        let edit = Edit {
            start,
            old_end: start + 1,
            new_end: start + "Ф(\"я\")".len(),
        };
        let reparsed = parse(old, Dialect::Bsl).reparse(old, &new, edit);
        assert_eq!(
            reparsed.root().to_sexp(),
            parse(&new, Dialect::Bsl).root().to_sexp()
        );
        assert!(!reparsed.has_errors());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_text_has_a_tree(text in "([а-яА-Я0-9\"'|&#.,;()<>=/ \n🙂]|Если |КонецЕсли|Процедура ){0,40}") {
            for dialect in [Dialect::Bsl, Dialect::OneScript] {
                let tree = parse(&text, dialect);
                prop_assert!(tree.root().end_byte() <= text.len());
                for range in tree.error_ranges() {
                    prop_assert!(range.end <= text.len());
                }
            }
        }
    }
}

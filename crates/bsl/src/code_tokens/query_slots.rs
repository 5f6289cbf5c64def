//! Slots inside query text.

use super::Slot;
use crate::keywords::QueryKeyword;
use crate::query::QueryTokenKind;

/// Follows query text token by token, also over several literals that are added together.
#[derive(Debug, Clone, Default)]
pub(super) struct QuerySlots {
    frame: Frame,
    /// The frames around open parentheses.
    outer: Vec<Frame>,
    previous: Previous,
}

/// Where the text stands within one pair of parentheses.
#[derive(Debug, Clone, Copy, Default)]
struct Frame {
    /// Between `ИЗ` and the next clause: a comma brings another table.
    in_from: bool,
    /// A table path, or what names one, goes on.
    in_table: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Previous {
    #[default]
    Else,
    As,
    Ampersand,
}

impl QuerySlots {
    /// The slot of the next token; `next` is the text of the one after it.
    pub(super) fn take(&mut self, kind: QueryTokenKind, text: &str, next: Option<&str>) -> Slot {
        let previous = std::mem::take(&mut self.previous);
        match kind {
            QueryTokenKind::Identifier if previous == Previous::Ampersand => {
                return Slot::QueryParameter;
            }
            QueryTokenKind::Identifier if self.frame.in_table => return Slot::QueryTable,
            QueryTokenKind::Identifier if previous == Previous::As && self.frame.in_from => {
                return Slot::QueryTable;
            }
            QueryTokenKind::Identifier if next == Some("(") => return Slot::Other,
            QueryTokenKind::Identifier => return Slot::QueryField,
            QueryTokenKind::Keyword(keyword) => self.keyword(keyword),
            QueryTokenKind::Punctuation => self.mark(text),
            QueryTokenKind::Number | QueryTokenKind::String | QueryTokenKind::Comment => {
                self.frame.in_table = false
            }
        }
        Slot::Other
    }

    fn keyword(&mut self, keyword: QueryKeyword) {
        self.frame.in_table = false;
        match keyword {
            QueryKeyword::From => {
                self.frame = Frame {
                    in_from: true,
                    in_table: true,
                }
            }
            // A fragment may begin with its join, so a join alone says that this is the table list.
            QueryKeyword::Join => {
                self.frame = Frame {
                    in_from: true,
                    in_table: true,
                }
            }
            QueryKeyword::Into | QueryKeyword::Drop | QueryKeyword::AddTo => {
                self.frame.in_table = true
            }
            QueryKeyword::As => self.previous = Previous::As,
            QueryKeyword::Select
            | QueryKeyword::Where
            | QueryKeyword::Group
            | QueryKeyword::Having
            | QueryKeyword::Order
            | QueryKeyword::Totals
            | QueryKeyword::Union
            | QueryKeyword::Index
            | QueryKeyword::For => self.frame.in_from = false,
            _ => {}
        }
    }

    fn mark(&mut self, mark: &str) {
        match mark {
            "." => {}
            "&" => self.previous = Previous::Ampersand,
            "(" => {
                self.frame.in_table = false;
                self.outer.push(self.frame);
                self.frame = Frame::default();
            }
            ")" => self.frame = self.outer.pop().unwrap_or_default(),
            "," => self.frame.in_table = self.frame.in_from,
            ";" => {
                self.outer.clear();
                self.frame = Frame::default();
            }
            // `#ИмяТаблицы` and `%1` are filled in later; what follows may still belong to the path.
            "#" | "%" => {}
            _ => self.frame.in_table = false,
        }
    }
}

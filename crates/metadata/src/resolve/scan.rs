//! One method, or the body of the module, as the resolver looks at it: tokens, blocks, and where variables get values.
//!
//! No parse: a pass over the tokens that follows `Если`, loops and `Попытка`. Broken code gives fewer definitions, never wrong
//! ones of another method.

use std::ops::Range;

use nestor_bsl::keywords::{Keyword, fold};
use nestor_bsl::lexer::{Token, TokenKind, lex};

/// The tokens of a piece of code. Spans are in the module's text.
pub(super) struct Scan {
    /// All tokens, white space included.
    pub(super) raw: Vec<Token>,
    /// The tokens that count, by their index in `raw`: no trivia, no preprocessor lines, and of a string of several lines the first.
    pub(super) code: Vec<u32>,
    blocks: Vec<Block>,
    block_of: Vec<u32>,
    definitions: Vec<Definition>,
}

/// A branch, a loop's body, a part of `Попытка`.
struct Block {
    parent: u32,
    /// Branches of one `Если` share a number and exclude each other.
    group: u32,
}

/// A place where a variable gets a value.
pub(super) struct Definition {
    name: String,
    /// The token of its name.
    pub(super) at: usize,
    block: u32,
    pub(super) value: Value,
}

/// What a variable gets.
#[derive(Clone)]
pub(super) enum Value {
    /// The value of the tokens.
    Expression(Range<usize>),
    /// The elements of what the tokens give.
    Each(Range<usize>),
    /// A number.
    Counter,
}

impl Scan {
    /// Looks at the bytes `span` of `text`.
    pub(super) fn new(text: &str, span: Range<usize>) -> Scan {
        let mut raw = lex(&text[span.clone()]);
        for token in &mut raw {
            token.span = token.span.start + span.start..token.span.end + span.start;
        }
        unfinished_chains(text, &mut raw);
        let code = code_tokens(&raw);
        let mut scan = Scan {
            raw,
            code,
            blocks: vec![Block {
                parent: 0,
                group: 0,
            }],
            block_of: Vec::new(),
            definitions: Vec::new(),
        };
        scan.follow(text);
        scan
    }

    pub(super) fn len(&self) -> usize {
        self.code.len()
    }

    pub(super) fn token(&self, idx: usize) -> &Token {
        &self.raw[self.code[idx] as usize]
    }

    pub(super) fn kind(&self, idx: usize) -> Option<TokenKind> {
        (idx < self.len()).then(|| self.token(idx).kind)
    }

    pub(super) fn text<'t>(&self, text: &'t str, idx: usize) -> &'t str {
        if idx < self.len() {
            self.token(idx).text(text)
        } else {
            ""
        }
    }

    /// The last token that starts before the byte `offset`.
    pub(super) fn before(&self, offset: usize) -> Option<usize> {
        self.code
            .partition_point(|&idx| self.raw[idx as usize].span.start < offset)
            .checked_sub(1)
    }

    /// The definitions of `name` that the token `at` may see, the nearest first; `name` is folded. The flag says that one of them is sure
    /// to come before.
    pub(super) fn reaching(&self, name: &str, at: usize) -> (Vec<&Definition>, bool) {
        let here = self.block_of.get(at).copied().unwrap_or(0);
        let mut found = Vec::new();
        for definition in self
            .definitions
            .iter()
            .rev()
            .filter(|definition| definition.name == name && definition.is_before(at))
        {
            match self.relation(definition.block, here) {
                Relation::Around => {
                    found.push(definition);
                    return (found, true);
                }
                Relation::Aside => found.push(definition),
                Relation::Excluded => {}
            }
        }
        (found, false)
    }

    /// Whether the code gives `name` a value anywhere.
    pub(super) fn defines(&self, name: &str) -> bool {
        self.definitions
            .iter()
            .any(|definition| definition.name == name)
    }

    fn path(&self, mut block: u32) -> Vec<u32> {
        let mut path = vec![block];
        while block != 0 {
            block = self.blocks[block as usize].parent;
            path.push(block);
        }
        path.reverse();
        path
    }

    fn relation(&self, definition: u32, here: u32) -> Relation {
        let (definition, here) = (self.path(definition), self.path(here));
        let shared = definition
            .iter()
            .zip(&here)
            .take_while(|(left, right)| left == right)
            .count();
        match (definition.get(shared), here.get(shared)) {
            (None, _) => Relation::Around,
            (Some(&left), Some(&right))
                if self.group(left) != 0 && self.group(left) == self.group(right) =>
            {
                Relation::Excluded
            }
            _ => Relation::Aside,
        }
    }

    fn group(&self, block: u32) -> u32 {
        self.blocks[block as usize].group
    }

    fn open(&mut self, parent: u32, group: u32) -> u32 {
        self.blocks.push(Block { parent, group });
        self.blocks.len() as u32 - 1
    }

    /// Follows the blocks and notes the definitions.
    fn follow(&mut self, text: &str) {
        let mut groups = 0;
        // The blocks around; `Если`'s own entry lies below its branch.
        let mut stack: Vec<u32> = vec![0];
        let mut starts_statement = true;
        let mut idx = 0;
        while idx < self.len() {
            let kind = self.token(idx).kind;
            let here = *stack.last().unwrap_or(&0);
            match kind {
                TokenKind::Keyword(Keyword::If) => {
                    groups += 1;
                    stack.push(self.open(here, groups));
                }
                TokenKind::Keyword(Keyword::ElsIf | Keyword::Else) if stack.len() > 1 => {
                    let branch = stack.pop().unwrap_or(0);
                    let (parent, group) = (self.blocks[branch as usize].parent, self.group(branch));
                    stack.push(self.open(parent, group));
                }
                TokenKind::Keyword(Keyword::For | Keyword::While) => {
                    let block = self.open(here, 0);
                    stack.push(block);
                    self.loop_variable(text, idx, block);
                }
                // What is tried has happened, as far as types go.
                TokenKind::Keyword(Keyword::Try) => stack.push(here),
                TokenKind::Keyword(Keyword::Except) if stack.len() > 1 => {
                    stack.pop();
                    let around = *stack.last().unwrap_or(&0);
                    stack.push(self.open(around, 0));
                }
                TokenKind::Keyword(Keyword::EndIf | Keyword::EndDo | Keyword::EndTry)
                    if stack.len() > 1 =>
                {
                    stack.pop();
                }
                TokenKind::Identifier if starts_statement && self.text(text, idx + 1) == "=" => {
                    let value = idx + 2..self.end_of_statement(text, idx + 2);
                    self.definitions.push(Definition {
                        name: fold(self.text(text, idx)),
                        at: idx,
                        block: here,
                        value: Value::Expression(value),
                    });
                }
                _ => {}
            }
            self.block_of.push(*stack.last().unwrap_or(&0));
            starts_statement = match kind {
                TokenKind::Keyword(
                    Keyword::Then
                    | Keyword::Else
                    | Keyword::Do
                    | Keyword::Try
                    | Keyword::Except
                    | Keyword::EndIf
                    | Keyword::EndDo
                    | Keyword::EndTry
                    | Keyword::EndProcedure
                    | Keyword::EndFunction
                    | Keyword::Export,
                ) => true,
                TokenKind::Punctuation => match self.text(text, idx) {
                    ";" | ":" => true,
                    // The end of a method's header.
                    ")" => self.text(text, idx + 2) == "=" && self.starts_line(text, idx + 1),
                    _ => false,
                },
                _ => false,
            };
            idx += 1;
        }
    }

    fn loop_variable(&mut self, text: &str, idx: usize, block: u32) {
        let is_each = self.kind(idx + 1) == Some(TokenKind::Keyword(Keyword::Each));
        let name_idx = if is_each { idx + 2 } else { idx + 1 };
        if self.kind(name_idx) != Some(TokenKind::Identifier) {
            return;
        }
        let value = if is_each {
            let end = (name_idx..self.len())
                .take_while(|&at| self.text(text, at) != ";")
                .find(|&at| self.token(at).kind == TokenKind::Keyword(Keyword::Do));
            Value::Each(name_idx + 2..end.unwrap_or(name_idx + 2))
        } else if self.text(text, name_idx + 1) == "=" {
            Value::Counter
        } else {
            return;
        };
        self.definitions.push(Definition {
            name: fold(self.text(text, name_idx)),
            at: name_idx,
            block,
            value,
        });
    }

    /// The token that ends the statement which `start` is in.
    pub(super) fn end_of_statement(&self, text: &str, start: usize) -> usize {
        (start..self.len())
            .find(|&idx| match self.token(idx).kind {
                TokenKind::Punctuation => self.text(text, idx) == ";",
                TokenKind::Keyword(keyword) => !matches!(
                    keyword,
                    Keyword::New
                        | Keyword::And
                        | Keyword::Or
                        | Keyword::Not
                        | Keyword::True
                        | Keyword::False
                        | Keyword::Undefined
                        | Keyword::Null
                        | Keyword::Await
                ),
                _ => false,
            })
            .unwrap_or(self.len())
    }

    fn starts_line(&self, text: &str, idx: usize) -> bool {
        idx < self.len() && {
            let start = self.token(idx).span.start;
            let line = text[..start].rfind('\n').map_or(0, |at| at + 1);
            text[line..start].trim().is_empty()
        }
    }

    /// The token of the parenthesis or bracket that closes the one at `open`; `None` when it is not closed.
    pub(super) fn closing(&self, text: &str, open: usize) -> Option<usize> {
        let mut depth = 0usize;
        for idx in open..self.len() {
            match self.text(text, idx) {
                "(" | "[" if self.is_mark(idx) => depth += 1,
                ")" | "]" if self.is_mark(idx) => {
                    depth = depth.checked_sub(1)?;
                    if depth == 0 {
                        return Some(idx);
                    }
                }
                ";" => return None,
                _ => {}
            }
        }
        None
    }

    /// The token of the parenthesis or bracket that opens the one at `close`.
    pub(super) fn opening(&self, text: &str, close: usize) -> Option<usize> {
        let mut depth = 0usize;
        for idx in (0..=close).rev() {
            match self.text(text, idx) {
                ")" | "]" if self.is_mark(idx) => depth += 1,
                "(" | "[" if self.is_mark(idx) => {
                    depth = depth.checked_sub(1)?;
                    if depth == 0 {
                        return Some(idx);
                    }
                }
                ";" => return None,
                _ => {}
            }
        }
        None
    }

    fn is_mark(&self, idx: usize) -> bool {
        self.token(idx).kind == TokenKind::Punctuation
    }

    /// The literals of the sum that the literal at `raw[first]` is a part of, by their index in `raw`: `"ВЫБРАТЬ" + Поля + "ИЗ ..."`. What
    /// stands between them is left out.
    pub(super) fn added_literals(&self, text: &str, first: usize) -> Vec<usize> {
        let Ok(at) = self.code.binary_search(&(first as u32)) else {
            return vec![first];
        };
        let is_string = |idx: usize| {
            let kind = self.kind(idx);
            matches!(kind, Some(TokenKind::String | TokenKind::StringStart))
        };
        let is_plus = |idx: usize| self.text(text, idx) == "+" && self.is_mark(idx);
        // Over one operand and its `+`, to the next operand; a call is one operand.
        let before = |at: usize| {
            let last = at.checked_sub(2).filter(|_| is_plus(at - 1))?;
            if self.text(text, last) != ")" || is_string(last) {
                return Some(last);
            }
            let open = self.opening(text, last)?;
            Some(
                open.checked_sub(1)
                    .filter(|&name| self.kind(name) == Some(TokenKind::Identifier))
                    .unwrap_or(open),
            )
        };
        let behind = |at: usize| {
            let mut end = at + 1;
            if !is_string(at) && self.text(text, end) == "(" {
                end = self.closing(text, end)? + 1;
            }
            (end + 1 < self.len() && is_plus(end)).then_some(end + 1)
        };
        let earlier = std::iter::successors(before(at), |&at| before(at));
        let mut operands: Vec<usize> = earlier.collect();
        operands.reverse();
        operands.push(at);
        operands.extend(std::iter::successors(behind(at), |&at| behind(at)));
        let literals = operands.into_iter().filter(|&operand| is_string(operand));
        literals
            .map(|operand| self.code[operand] as usize)
            .collect()
    }

    /// The arguments between the parentheses at `open` and `close`.
    pub(super) fn arguments(&self, text: &str, open: usize, close: usize) -> Vec<Range<usize>> {
        let mut arguments = Vec::new();
        let mut start = open + 1;
        let mut idx = open + 1;
        while idx < close {
            match self.text(text, idx) {
                "(" | "[" if self.is_mark(idx) => idx = self.closing(text, idx).unwrap_or(close),
                "," if self.is_mark(idx) => {
                    arguments.push(start..idx);
                    start = idx + 1;
                }
                _ => {}
            }
            idx += 1;
        }
        if start < close || !arguments.is_empty() {
            arguments.push(start..close);
        }
        arguments
    }
}

impl Definition {
    /// Whether the variable has this value at the token `at`: it has not while the value is being worked out.
    fn is_before(&self, at: usize) -> bool {
        match &self.value {
            Value::Expression(value) | Value::Each(value) => value.end <= at && self.at < at,
            Value::Counter => self.at < at,
        }
    }
}

enum Relation {
    /// Whoever comes here has passed the definition.
    Around,
    /// Whoever comes here may have passed it.
    Aside,
    /// Nobody passes both.
    Excluded,
}

/// A dot at the end of a line is being typed: a reserved word in the next line is no member, as the lexer takes it to be.
fn unfinished_chains(text: &str, raw: &mut [Token]) {
    let mut after_dot = false;
    let mut has_line_end = false;
    for token in raw {
        match token.kind {
            TokenKind::Newline => has_line_end = true,
            kind if kind.is_trivia() => {}
            TokenKind::Identifier if after_dot && has_line_end => {
                if let Some(keyword) = Keyword::find(token.text(text)) {
                    token.kind = TokenKind::Keyword(keyword);
                }
                after_dot = false;
            }
            kind => {
                after_dot = kind == TokenKind::Punctuation && token.text(text) == ".";
                has_line_end = false;
            }
        }
    }
}

fn code_tokens(raw: &[Token]) -> Vec<u32> {
    let mut code = Vec::with_capacity(raw.len() / 2);
    let mut in_directive = false;
    for (idx, token) in raw.iter().enumerate() {
        match token.kind {
            TokenKind::Newline => in_directive = false,
            TokenKind::Preprocessor(_) => in_directive = true,
            TokenKind::StringPart | TokenKind::StringEnd | TokenKind::Annotation => {}
            kind if kind.is_trivia() || in_directive => {}
            _ => code.push(idx as u32),
        }
    }
    code
}

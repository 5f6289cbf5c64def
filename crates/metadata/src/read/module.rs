//! Modules: what they export, and what extensions do to methods.

use nestor_bsl::keywords::{Directive, Keyword};
use nestor_bsl::lexer::{Lexer, TokenKind};
use nestor_bsl::methods::Annotation;
use nestor_bsl::{Method, TextError, methods, normalise};

use crate::facts::{ExtensionKind, FileFacts, MethodFacts, ModuleFacts, ParamFacts, Trouble};

/// Reads the bytes of a module.
pub(super) fn read(bytes: &[u8]) -> FileFacts {
    match normalise(bytes) {
        Ok(normalised) => FileFacts {
            module: Some(module(&normalised.text)),
            ..FileFacts::default()
        },
        Err(TextError::Binary { .. }) => super::only(Trouble::ProtectedModule),
        Err(error) => super::only(Trouble::NotText {
            reason: error.to_string(),
        }),
    }
}

fn module(text: &str) -> ModuleFacts {
    ModuleFacts {
        variables: exported_variables(text),
        methods: methods(text)
            .iter()
            .filter(|method| !method.name.is_empty())
            .map(|method| method_facts(text, method))
            .collect(),
    }
}

fn method_facts(text: &str, method: &Method) -> MethodFacts {
    let doc = method.doc_span.clone().filter(|_| method.is_export);
    MethodFacts {
        name: method.name.clone(),
        is_function: method.is_function,
        is_export: method.is_export,
        params: method
            .params
            .iter()
            .map(|param| ParamFacts {
                name: param.name.clone(),
                by_value: param.by_value,
                default: param
                    .default
                    .clone()
                    .map_or_else(String::new, |default| text[default].to_owned()),
            })
            .collect(),
        doc: doc.map_or_else(String::new, |doc| without_marks(&text[doc])),
        extends: method
            .annotations
            .iter()
            .find_map(|annotation| extension(text, annotation)),
        offset: u32::try_from(method.name_span.start).unwrap_or(u32::MAX),
    }
}

/// The lines of a doc comment without `//`; the white space behind the marks is kept, for it says what belongs to what.
pub(crate) fn without_marks(doc: &str) -> String {
    let mut out = String::with_capacity(doc.len());
    for line in doc.lines() {
        let line = line.trim();
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(line.trim_start_matches('/').trim_end());
    }
    out
}

/// What `&Вместо("Имя")` and its kin do, and to which method.
fn extension(text: &str, annotation: &Annotation) -> Option<(ExtensionKind, String)> {
    let kind = match annotation.directive? {
        Directive::Before => ExtensionKind::Before,
        Directive::After => ExtensionKind::After,
        Directive::Around => ExtensionKind::Around,
        Directive::ChangeAndValidate => ExtensionKind::ChangeAndValidate,
        _ => return None,
    };
    let written = &text[annotation.span.clone()];
    let name = written.split('"').nth(1)?.trim();
    (!name.is_empty()).then(|| (kind, name.to_owned()))
}

/// Names in `Перем А, Б Экспорт;` before the first method.
fn exported_variables(text: &str) -> Vec<String> {
    let mut exported = Vec::new();
    let mut waiting: Vec<String> = Vec::new();
    let mut declares = false;
    for token in Lexer::new(text).filter(|token| !token.kind.is_trivia()) {
        match token.kind {
            TokenKind::Keyword(Keyword::Procedure | Keyword::Function) => break,
            TokenKind::Keyword(Keyword::Var) => declares = true,
            TokenKind::Keyword(Keyword::Export) if declares => exported.append(&mut waiting),
            TokenKind::Identifier if declares => waiting.push(token.text(text).to_owned()),
            TokenKind::Punctuation if declares => match token.text(text) {
                ";" => {
                    declares = false;
                    waiting.clear();
                }
                // `Экспорт` belongs to the name right before it.
                "," => waiting.clear(),
                _ => {}
            },
            _ => {}
        }
    }
    exported
}

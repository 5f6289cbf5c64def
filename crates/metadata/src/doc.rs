//! Doc comments: the types that they give to parameters and return values.
//!
//! The form is the one of 1C's standards: `Имя - Тип, Тип - что это`, another type in a line of its own behind a dash,
//! fields behind stars (one more star a level deeper), `Массив из Тип`, `см. Модуль.Метод`. The text comes without comment marks. What is not
//! written so gives no types; nothing is guessed from prose.

/// The types of a doc comment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DocComment {
    /// What is said of parameters. Prose may look like an entry, so callers look entries up by the names of the signature.
    pub params: Vec<DocField>,
    /// The types of the return value.
    pub returns: Vec<DocType>,
}

/// A parameter or a field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DocField {
    /// Its name.
    pub name: String,
    /// Its types.
    pub types: Vec<DocType>,
}

/// One type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DocType {
    /// Its name as written; empty where the comment refers to another one.
    pub name: String,
    /// The method or parameter that says the type (`см. Модуль.Метод`).
    pub see: Option<String>,
    /// The types of the elements (`Массив из Строка`).
    pub elements: Vec<DocType>,
    /// The fields of a structure, the columns of a table.
    pub fields: Vec<DocField>,
}

/// Reads a doc comment without its comment marks.
pub fn parse(doc: &str) -> DocComment {
    let mut comment = DocComment::default();
    let mut section = Section::None;
    let lines: Vec<&str> = doc.lines().map(str::trim).collect();
    let mut idx = 0;
    while idx < lines.len() {
        let line = lines[idx];
        if let Some(found) = Section::of(line) {
            section = found;
            idx += 1;
            continue;
        }
        let types = match section {
            Section::Params => comment.params.last_mut().map(|param| &mut param.types),
            Section::Returns => Some(&mut comment.returns),
            Section::None => None,
        };
        match (section, types) {
            (Section::None, _) => {}
            (_, Some(types)) if line.starts_with('*') => {
                let fields = fields(&lines, &mut idx, stars(line));
                attach(types, fields);
                continue;
            }
            (_, Some(types)) if line.starts_with('-') => {
                types.extend(types_of(line[1..].trim_start()))
            }
            (Section::Params, _) => comment.params.extend(entry(line)),
            (_, Some(types)) if types.is_empty() => types.extend(types_of(line)),
            _ => {}
        }
        idx += 1;
    }
    comment
}

#[derive(Clone, Copy)]
enum Section {
    None,
    Params,
    Returns,
}

impl Section {
    /// The section that `line` opens.
    fn of(line: &str) -> Option<Section> {
        let head = line.strip_suffix(':')?.to_lowercase();
        match head.as_str() {
            "параметры" | "parameters" => Some(Section::Params),
            "возвращаемое значение" | "returns" | "return value" | "возвращаемые значения" => {
                Some(Section::Returns)
            }
            "пример" | "примеры" | "example" | "examples" | "варианты вызова" | "call options" => {
                Some(Section::None)
            }
            _ => None,
        }
    }
}

fn stars(line: &str) -> usize {
    line.bytes().take_while(|&byte| byte == b'*').count()
}

/// Reads field lines of `depth` stars and deeper, from line `idx` on.
fn fields(lines: &[&str], idx: &mut usize, depth: usize) -> Vec<DocField> {
    let mut found: Vec<DocField> = Vec::new();
    while let Some(line) = lines.get(*idx) {
        let here = stars(line);
        if here == 0 {
            let is_alternative = line.starts_with('-');
            let ends = line.is_empty()
                || Section::of(line).is_some()
                || !is_alternative && entry(line).is_some();
            match found.last_mut() {
                _ if ends => break,
                Some(field) if is_alternative => {
                    field.types.extend(types_of(line[1..].trim_start()))
                }
                // A description that goes on.
                _ => {}
            }
            *idx += 1;
        } else if here < depth {
            break;
        } else if here > depth {
            let inner = fields(lines, idx, here);
            if let Some(field) = found.last_mut() {
                attach(&mut field.types, inner);
            }
        } else {
            found.extend(entry(line[here..].trim_start()));
            *idx += 1;
        }
    }
    found
}

/// Gives `fields` to the type that can have them: the last one that is no plain value.
fn attach(types: &mut [DocType], fields: Vec<DocField>) {
    const PLAIN: [&str; 10] = [
        "неопределено",
        "undefined",
        "строка",
        "string",
        "число",
        "number",
        "булево",
        "boolean",
        "дата",
        "date",
    ];
    let Some(holder) = types
        .iter_mut()
        .rev()
        .find(|one| !PLAIN.contains(&one.name.to_lowercase().as_str()))
    else {
        return;
    };
    match holder.elements.last_mut() {
        Some(element) => element.fields.extend(fields),
        None => holder.fields.extend(fields),
    }
}

/// `Имя - Тип, Тип - что это`.
fn entry(line: &str) -> Option<DocField> {
    let (name, rest) = split_dash(line)?;
    is_name(name).then(|| DocField {
        name: name.to_owned(),
        types: types_of(rest),
    })
}

/// Splits at the first dash that stands alone.
fn split_dash(line: &str) -> Option<(&str, &str)> {
    let dash = line.char_indices().find(|&(at, c)| {
        matches!(c, '-' | '–' | '—')
            && line[..at].ends_with(char::is_whitespace)
            && line[at + c.len_utf8()..].starts_with(|next: char| next.is_whitespace())
    });
    let at_end = || line.strip_suffix('-').map(|name| (name.trim(), ""));
    match dash {
        Some((at, c)) => Some((line[..at].trim(), line[at + c.len_utf8()..].trim())),
        None => at_end(),
    }
}

/// Reads types up to the dash before their description. Stops at what is no type.
fn types_of(text: &str) -> Vec<DocType> {
    let head = split_dash(text)
        .map_or(text, |(head, _)| head)
        .trim_end_matches([':', '.', ';'])
        .trim();
    let mut types = Vec::new();
    for written in head.split(',') {
        match type_of(written.trim()) {
            Some(one) => types.push(one),
            None => break,
        }
    }
    types
}

fn type_of(written: &str) -> Option<DocType> {
    let written = written.trim_end_matches([':', '.']);
    let mut words = written.split_whitespace();
    let first = words.next()?;
    if ["см.", "see", "see."].contains(&first.to_lowercase().as_str()) {
        let path = words.next()?.trim_end_matches([',', ':', '.', ';']);
        let path = path.split('(').next().unwrap_or(path);
        return is_path(path).then(|| DocType {
            see: Some(path.to_owned()),
            ..DocType::default()
        });
    }
    if !is_path(first) {
        return None;
    }
    let elements = match words.next() {
        None => Vec::new(),
        Some("из" | "of") => type_of(words.next()?).into_iter().collect(),
        Some(_) => return None,
    };
    Some(DocType {
        name: first.to_owned(),
        elements,
        ..DocType::default()
    })
}

fn is_name(text: &str) -> bool {
    text.starts_with(nestor_bsl::lexer::is_name_start)
        && text.chars().all(nestor_bsl::lexer::is_name_char)
}

fn is_path(text: &str) -> bool {
    text.split('.').all(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(types: &[DocType]) -> String {
        let one = |one: &DocType| {
            let mut text = one
                .see
                .as_ref()
                .map_or_else(|| one.name.clone(), |see| format!("->{see}"));
            if !one.elements.is_empty() {
                text += &format!("<{}>", show(&one.elements));
            }
            if !one.fields.is_empty() {
                let fields: Vec<String> = one
                    .fields
                    .iter()
                    .map(|field| format!("{}: {}", field.name, show(&field.types)))
                    .collect();
                text += &format!("{{{}}}", fields.join("; "));
            }
            text
        };
        types.iter().map(one).collect::<Vec<_>>().join("|")
    }

    fn check(doc: &str, params: &[&str], returns: &str) {
        let comment = parse(doc);
        let found: Vec<String> = comment
            .params
            .iter()
            .map(|param| format!("{}: {}", param.name, show(&param.types)))
            .collect();
        assert_eq!(found, params, "{doc}");
        assert_eq!(show(&comment.returns), returns, "{doc}");
    }

    #[test]
    fn parameters_and_return_values_have_types() {
        check(
            " Цена товара.\n\n Параметры:\n  Товар - СправочникСсылка.Товары - товар.\n  Дата  - Дата, Неопределено - на дату;\n        - Строка - или текст.\n\n Возвращаемое значение:\n  Число - цена.\n",
            &[
                "Товар: СправочникСсылка.Товары",
                "Дата: Дата|Неопределено|Строка",
            ],
            "Число",
        );
        check(
            "Parameters:\n Goods - CatalogRef.Goods - goods\nReturns:\n - Structure:\n * Price - Number - price\n * Unit - CatalogRef.Units",
            &["Goods: CatalogRef.Goods"],
            "Structure{Price: Number; Unit: CatalogRef.Units}",
        );
    }

    #[test]
    fn fields_nest_by_stars() {
        check(
            "Возвращаемое значение:\n Структура, Неопределено - данные:\n  * Шапка - Структура:\n   ** Номер - Строка\n   ** Дата - Дата - дата документа,\n     которая может занять две строки.\n  * Строки - Массив из Структура:\n   ** Цена - Число\n          - Неопределено\n  * Итог - Число",
            &[],
            "Структура{Шапка: Структура{Номер: Строка; Дата: Дата}; Строки: Массив<Структура{Цена: Число|Неопределено}>; Итог: Число}|Неопределено",
        );
        check(
            "Параметры:\n Таблица - ТаблицаЗначений:\n * Товар - Строка\n Режим - Число",
            &["Таблица: ТаблицаЗначений{Товар: Строка}", "Режим: Число"],
            "",
        );
    }

    #[test]
    fn references_name_what_says_the_type() {
        check(
            "Параметры:\n Настройки - см. ОбщегоНазначения.НовыеНастройки\nВозвращаемое значение:\n см. НовыеНастройки().",
            &["Настройки: ->ОбщегоНазначения.НовыеНастройки"],
            "->НовыеНастройки",
        );
    }

    #[test]
    fn prose_gives_no_types() {
        check("Просто описание - без разделов.", &[], "");
        check("Параметры:\n Имя - какое-то имя файла", &["Имя: "], "");
        check(
            "Возвращаемое значение:\n Истина, если всё хорошо",
            &[],
            "Истина",
        );
        check("Параметры:\n\nПример:\n А - Число", &[], "");
        check("", &[], "");
    }
}

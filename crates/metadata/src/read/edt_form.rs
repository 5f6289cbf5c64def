//! Managed forms of EDT: `Form.form`.

use super::object::types;
use super::xml::{Element, Xml};
use crate::facts::{
    FormAttributeFacts, FormColumnFacts, FormCommandFacts, FormFacts, HandlerFacts, ItemFacts,
    ItemKind, MemberFacts, MemberKind,
};

/// Reads the form whose root was entered last.
pub(super) fn read(xml: &mut Xml<'_>) -> FormFacts {
    let mut form = FormFacts::default();
    part(xml, None, &mut form);
    form
}

/// Reads what the form and its elements have in common; `item` is the element, none for the form itself.
fn part(xml: &mut Xml<'_>, item: Option<u32>, form: &mut FormFacts) {
    xml.children(|xml, element| match (element.tag(), item) {
        (
            "items"
            | "autoCommandBar"
            | "contextMenu"
            | "extendedTooltip"
            | "searchStringAddition"
            | "viewStatusAddition"
            | "searchControlAddition",
            _,
        ) => child(xml, &element, item, form),
        ("handlers", _) => form.handlers.push(handler(xml, item)),
        // Events that only forms of this kind of object have, or only fields of this look.
        ("extInfo", _) => xml.children(|xml, element| {
            if element.tag() == "handlers" {
                form.handlers.push(handler(xml, item));
            }
        }),
        ("name", Some(idx)) => form.items[idx as usize].name = xml.text(),
        ("dataPath", Some(idx)) => {
            // The same path may stand in both languages; the first is the configuration's own.
            form.items[idx as usize].data_path = xml.texts().into_iter().next().unwrap_or_default();
        }
        ("attributes", None) => form.attributes.push(attribute(xml)),
        ("formCommands", None) => form.commands.push(command(xml)),
        ("parameters", None) => {
            let (name, types) = named(xml);
            form.parameters.push(MemberFacts {
                kind: MemberKind::Attribute,
                name,
                types,
                is_balance: false,
            });
        }
        _ => {}
    });
}

fn child(xml: &mut Xml<'_>, element: &Element<'_>, parent: Option<u32>, form: &mut FormFacts) {
    let idx = u32::try_from(form.items.len()).expect("fewer than 4 billion elements");
    let kind = match element.tag() {
        "items" => match element
            .attribute("type")
            .unwrap_or_default()
            .trim_start_matches("form:")
        {
            "FormField" => ItemKind::Field,
            "Table" => ItemKind::Table,
            "Button" => ItemKind::Button,
            "Decoration" => ItemKind::Decoration,
            kind if kind.ends_with("Addition") => ItemKind::Addition,
            _ => ItemKind::Group,
        },
        "extendedTooltip" => ItemKind::Decoration,
        tag if tag.ends_with("Addition") => ItemKind::Addition,
        _ => ItemKind::Group,
    };
    form.items.push(ItemFacts {
        kind,
        name: String::new(),
        parent,
        data_path: String::new(),
    });
    part(xml, Some(idx), form);
}

fn handler(xml: &mut Xml<'_>, item: Option<u32>) -> HandlerFacts {
    let (mut event, mut method) = (String::new(), String::new());
    xml.children(|xml, element| match element.tag() {
        "event" => event = xml.text(),
        "name" => method = xml.text(),
        _ => {}
    });
    HandlerFacts {
        event,
        method,
        item,
    }
}

fn command(xml: &mut Xml<'_>) -> FormCommandFacts {
    let (mut name, mut action) = (String::new(), String::new());
    xml.children(|xml, element| match element.tag() {
        "name" => name = xml.text(),
        "action" => action = xml.texts().into_iter().next().unwrap_or_default(),
        _ => {}
    });
    FormCommandFacts { name, action }
}

fn attribute(xml: &mut Xml<'_>) -> FormAttributeFacts {
    let mut attribute = FormAttributeFacts::default();
    xml.children(|xml, element| match element.tag() {
        "name" => attribute.name = xml.text(),
        "valueType" => attribute.types = types(xml),
        "main" => attribute.is_main = xml.text() == "true",
        "columns" => {
            let (name, types) = named(xml);
            attribute.columns.push(FormColumnFacts {
                table: String::new(),
                name,
                types,
            });
        }
        "additionalColumns" => additional_columns(xml, &mut attribute),
        "extInfo" => xml.children(|xml, element| match element.tag() {
            "mainTable" => attribute.main_table = xml.text(),
            "queryText" => attribute.query = xml.text(),
            _ => {}
        }),
        _ => {}
    });
    attribute
}

fn additional_columns(xml: &mut Xml<'_>, attribute: &mut FormAttributeFacts) {
    let mut table = String::new();
    let first = attribute.columns.len();
    xml.children(|xml, element| match element.tag() {
        "tablePath" => table = xml.texts().into_iter().next().unwrap_or_default(),
        "columns" => {
            let (name, types) = named(xml);
            attribute.columns.push(FormColumnFacts {
                table: String::new(),
                name,
                types,
            });
        }
        _ => {}
    });
    for column in &mut attribute.columns[first..] {
        column.table.clone_from(&table);
    }
}

fn named(xml: &mut Xml<'_>) -> (String, Vec<String>) {
    let (mut name, mut found) = (String::new(), Vec::new());
    xml.children(|xml, element| match element.tag() {
        "name" => name = xml.text(),
        "valueType" => found = types(xml),
        _ => {}
    });
    (name, found)
}

//! Managed forms of Designer: `Ext/Form.xml`.

use super::object::types;
use super::xml::{Element, Xml};
use crate::facts::{
    FormAttributeFacts, FormColumnFacts, FormCommandFacts, FormFacts, HandlerFacts, ItemFacts,
    ItemKind, MemberFacts, MemberKind,
};

/// Reads the form whose root was entered last.
pub(super) fn read(xml: &mut Xml<'_>) -> FormFacts {
    let mut form = FormFacts::default();
    xml.children(|xml, element| match element.tag() {
        "Attributes" => xml.children(|xml, element| {
            // The form's conditional appearance lies among its attributes.
            if element.tag() == "Attribute" {
                form.attributes.push(attribute(xml, &element));
            }
        }),
        "Commands" => xml.children(|xml, element| {
            let name = element.attribute("name").unwrap_or_default();
            let mut action = String::new();
            xml.children(|xml, element| {
                // An extension has one action for each of `Before`, `After` and `Override`; any of them is a method.
                if element.tag() == "Action" && action.is_empty() {
                    action = xml.text();
                }
            });
            form.commands.push(FormCommandFacts { name, action });
        }),
        "Parameters" => xml.children(|xml, element| {
            let name = element.attribute("name").unwrap_or_default();
            form.parameters.push(MemberFacts {
                kind: MemberKind::Attribute,
                name,
                types: inner_types(xml),
                is_balance: false,
            });
        }),
        "Events" => events(xml, None, &mut form),
        "ChildItems" => items(xml, None, &mut form),
        // The extended form as the extension last saw it; the base's own file says it better.
        "BaseForm" => {}
        _ => item(xml, &element, None, &mut form),
    });
    form
}

fn items(xml: &mut Xml<'_>, parent: Option<u32>, form: &mut FormFacts) {
    xml.children(|xml, element| item(xml, &element, parent, form));
}

/// Reads an element of the form; elements without a name and an id are none.
fn item(xml: &mut Xml<'_>, element: &Element<'_>, parent: Option<u32>, form: &mut FormFacts) {
    let (Some(name), Some(_)) = (element.attribute("name"), element.attribute("id")) else {
        return;
    };
    let idx = u32::try_from(form.items.len()).expect("fewer than 4 billion elements");
    form.items.push(ItemFacts {
        kind: item_kind(element.tag()),
        name,
        parent,
        data_path: String::new(),
    });
    xml.children(|xml, element| match element.tag() {
        "ChildItems" => items(xml, Some(idx), form),
        "Events" => events(xml, Some(idx), form),
        "DataPath" => form.items[idx as usize].data_path = xml.text(),
        "ContextMenu"
        | "AutoCommandBar"
        | "ExtendedTooltip"
        | "SearchStringAddition"
        | "ViewStatusAddition"
        | "SearchControlAddition" => item(xml, &element, Some(idx), form),
        _ => {}
    });
}

fn item_kind(tag: &str) -> ItemKind {
    match tag {
        "Table" => ItemKind::Table,
        "Button" => ItemKind::Button,
        tag if tag.ends_with("Field") => ItemKind::Field,
        tag if tag.ends_with("Decoration") || tag == "ExtendedTooltip" => ItemKind::Decoration,
        tag if tag.ends_with("Addition") => ItemKind::Addition,
        _ => ItemKind::Group,
    }
}

fn events(xml: &mut Xml<'_>, item: Option<u32>, form: &mut FormFacts) {
    xml.children(|xml, element| {
        let event = element.attribute("name").unwrap_or_default();
        let method = xml.text();
        form.handlers.push(HandlerFacts {
            event,
            method,
            item,
        });
    });
}

fn attribute(xml: &mut Xml<'_>, element: &Element<'_>) -> FormAttributeFacts {
    let mut attribute = FormAttributeFacts {
        name: element.attribute("name").unwrap_or_default(),
        ..FormAttributeFacts::default()
    };
    xml.children(|xml, element| match element.tag() {
        "Type" => attribute.types = types(xml),
        "MainAttribute" => attribute.is_main = xml.text() == "true",
        "Columns" => xml.children(|xml, element| match element.tag() {
            "AdditionalColumns" => {
                let table = element.attribute("table").unwrap_or_default();
                xml.children(|xml, element| {
                    attribute.columns.push(column(xml, &element, &table));
                });
            }
            _ => attribute.columns.push(column(xml, &element, "")),
        }),
        "Settings" => xml.children(|xml, element| match element.tag() {
            "MainTable" => attribute.main_table = xml.text(),
            "QueryText" => attribute.query = xml.text(),
            _ => {}
        }),
        _ => {}
    });
    attribute
}

fn column(xml: &mut Xml<'_>, element: &Element<'_>, table: &str) -> FormColumnFacts {
    FormColumnFacts {
        table: table.to_owned(),
        name: element.attribute("name").unwrap_or_default(),
        types: inner_types(xml),
    }
}

fn inner_types(xml: &mut Xml<'_>) -> Vec<String> {
    let mut found = Vec::new();
    xml.children(|xml, element| {
        if element.tag() == "Type" {
            found = types(xml);
        }
    });
    found
}

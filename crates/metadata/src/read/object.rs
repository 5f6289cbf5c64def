//! Objects: Designer's `<MetaDataObject><Catalog>` and EDT's `<mdclass:Catalog>`.
//!
//! Designer wraps properties and parts in `Properties` and `ChildObjects` and writes tags with a capital; EDT lays all of it flat, in
//! the plural, and leaves out values that are defaults. With the wrappers entered and the first letter raised one
//! reader does both.

use super::xml::{Element, Xml};
use crate::facts::{
    ConfigurationFacts, FileFacts, LinkFacts, LinkKind, MemberFacts, MemberKind, ObjectFacts,
    ObjectFlags, SectionFacts, Trouble,
};
use crate::kinds::ObjectKind;

/// Reads the object of the element `element`.
pub(super) fn read<'a>(xml: &mut Xml<'a>, element: &Element<'a>, facts: &mut FileFacts) {
    let Some(kind) = ObjectKind::from_tag(element.tag()) else {
        return;
    };
    let mut object = Object {
        facts: ObjectFacts {
            kind,
            name: String::new(),
            flags: ObjectFlags::default(),
            ext_dimension_count: 0,
            types: Vec::new(),
            members: Vec::new(),
            sections: Vec::new(),
            links: Vec::new(),
        },
        predefined: Vec::new(),
        is_extension: false,
    };
    object.body(xml);
    let Object {
        facts: object,
        predefined,
        is_extension,
    } = object;
    facts.predefined.extend(predefined);
    if object.name.is_empty() {
        facts.troubles.push(Trouble::Nameless);
    } else if kind == ObjectKind::Configuration {
        facts.configuration = Some(ConfigurationFacts {
            name: object.name,
            is_extension: is_extension || object.flags.has(ObjectFlags::ADOPTED),
        });
    } else {
        facts.object = Some(object);
    }
}

/// Names of predefined items inside the element that was entered last, parents before children.
pub(super) fn predefined(xml: &mut Xml<'_>, names: &mut Vec<String>) {
    xml.children(|xml, element| {
        if matches!(
            element.tag(),
            "Item" | "items" | "content" | "ChildItems" | "childItems"
        ) {
            predefined_item(xml, names);
        }
    });
}

fn predefined_item(xml: &mut Xml<'_>, names: &mut Vec<String>) {
    xml.children(|xml, element| match element.tag() {
        "Name" | "name" => {
            let name = xml.text();
            if !name.is_empty() {
                names.push(name);
            }
        }
        "ChildItems" | "childItems" => predefined(xml, names),
        "items" | "content" => predefined_item(xml, names),
        _ => {}
    });
}

/// The types inside the element that was entered last, in the spelling of [`crate::facts`].
pub(super) fn types(xml: &mut Xml<'_>) -> Vec<String> {
    let mut types = Vec::new();
    xml.children(|xml, element| {
        if matches!(element.tag(), "Type" | "TypeSet" | "types") {
            let name = type_name(&xml.text());
            if !name.is_empty() && !types.contains(&name) {
                types.push(name);
            }
        }
    });
    types
}

/// `cfg:CatalogRef.Товары`, `xs:string`, `v8:ValueListType` without what the file format added.
fn type_name(written: &str) -> String {
    let name = written.split_once(':').map_or(written, |(_, name)| name);
    match written {
        "xs:string" => "String",
        "xs:decimal" => "Number",
        "xs:boolean" => "Boolean",
        "xs:dateTime" => "Date",
        "xs:base64Binary" | "xs:hexBinary" => "BinaryData",
        "v8:ValueListType" => "ValueList",
        _ => name,
    }
    .to_owned()
}

struct Object {
    facts: ObjectFacts,
    predefined: Vec<String>,
    is_extension: bool,
}

impl Object {
    fn body(&mut self, xml: &mut Xml<'_>) {
        xml.children(|xml, element| {
            let tag = element.tag();
            if matches!(tag, "Properties" | "ChildObjects") {
                self.body(xml);
            } else if let Some(kind) = member_kind(tag) {
                self.member(xml, kind);
            } else {
                self.property(xml, tag);
            }
        });
    }

    fn member(&mut self, xml: &mut Xml<'_>, kind: MemberKind) {
        let member = member(xml, kind);
        if !member.name.is_empty() {
            self.facts.members.push(member);
        }
    }

    fn property(&mut self, xml: &mut Xml<'_>, tag: &str) {
        match capital(tag).as_str() {
            "Name" => self.facts.name = xml.text(),
            "TabularSection" | "TabularSections" => {
                let section = section(xml);
                if !section.name.is_empty() {
                    self.facts.sections.push(section);
                }
            }
            // `Source`: what an event subscription listens to.
            "Type" | "Source" => self.facts.types = types(xml),
            // In a scheduled job it is a word, and holds no item.
            "Predefined" => predefined(xml, &mut self.predefined),
            "ObjectBelonging" => self.set(ObjectFlags::ADOPTED, xml.text() == "Adopted"),
            "ConfigurationExtensionPurpose" => self.is_extension = !xml.text().is_empty(),
            "MaxExtDimensionCount" => {
                self.facts.ext_dimension_count = xml.text().parse().unwrap_or(0)
            }
            "HierarchyType" => self.set(
                ObjectFlags::WITHOUT_FOLDERS,
                xml.text() == "HierarchyOfItems",
            ),
            "CodeLength" => self.set(ObjectFlags::CODE, xml.text() != "0"),
            "DescriptionLength" => self.set(ObjectFlags::DESCRIPTION, xml.text() != "0"),
            "NumberLength" => self.set(ObjectFlags::NUMBER, xml.text() != "0"),
            "CodeType" | "NumberType" => {
                self.set(ObjectFlags::NUMERIC_CODE, xml.text() == "Number")
            }
            "OrderLength" => self.set(ObjectFlags::ORDER, xml.text() != "0"),
            "InformationRegisterPeriodicity" => {
                self.set(ObjectFlags::PERIODIC, xml.text() != "Nonperiodical")
            }
            "WriteMode" => self.set(
                ObjectFlags::BY_RECORDER,
                xml.text() == "RecorderSubordinate",
            ),
            "RegisterType" => self.set(ObjectFlags::TURNOVERS, xml.text() == "Turnovers"),
            "ReturnValuesReuse" => self.set(ObjectFlags::REUSES_VALUES, xml.text() != "DontUse"),
            "AutoUse" => self.set(ObjectFlags::AUTO_USE, xml.text() == "Use"),
            "Hierarchical" => self.switch(xml, ObjectFlags::HIERARCHICAL),
            "Correspondence" => self.switch(xml, ObjectFlags::CORRESPONDENCE),
            "ActionPeriod" => self.switch(xml, ObjectFlags::ACTION_PERIOD),
            "BasePeriod" => self.switch(xml, ObjectFlags::BASE_PERIOD),
            "DistributedInfoBase" => self.switch(xml, ObjectFlags::DISTRIBUTED),
            "Global" => self.switch(xml, ObjectFlags::GLOBAL),
            "Server" => self.switch(xml, ObjectFlags::SERVER),
            "ClientManagedApplication" => self.switch(xml, ObjectFlags::CLIENT_MANAGED),
            "ClientOrdinaryApplication" => self.switch(xml, ObjectFlags::CLIENT_ORDINARY),
            "ExternalConnection" => self.switch(xml, ObjectFlags::EXTERNAL_CONNECTION),
            "ServerCall" => self.switch(xml, ObjectFlags::SERVER_CALL),
            "Privileged" => self.switch(xml, ObjectFlags::PRIVILEGED),
            "Content" if self.facts.kind == ObjectKind::CommonAttribute => {
                self.common_attribute_use(xml)
            }
            "Content" => self.link(xml, LinkKind::Content),
            "Owners" => self.link(xml, LinkKind::Owner),
            "RegisterRecords" => self.link(xml, LinkKind::RegisterRecords),
            "RegisteredDocuments" => self.link(xml, LinkKind::RegisteredDocument),
            "BasedOn" => self.link(xml, LinkKind::BasedOn),
            "ExtDimensionTypes" => self.link(xml, LinkKind::ExtDimensionTypes),
            "ChartOfAccounts" => self.link(xml, LinkKind::ChartOfAccounts),
            "ChartOfCalculationTypes" => self.link(xml, LinkKind::ChartOfCalculationTypes),
            "Task" => self.link(xml, LinkKind::Task),
            "Handler" | "MethodName" => self.link(xml, LinkKind::Handler),
            "Location" => self.link(xml, LinkKind::Location),
            _ => {}
        }
    }

    fn set(&mut self, flags: ObjectFlags, value: bool) {
        self.facts.flags.set(flags, value);
    }

    fn switch(&mut self, xml: &mut Xml<'_>, flags: ObjectFlags) {
        self.set(flags, xml.text() == "true");
    }

    fn link(&mut self, xml: &mut Xml<'_>, kind: LinkKind) {
        let links = xml
            .texts()
            .into_iter()
            .map(|target| LinkFacts { kind, target });
        self.facts.links.extend(links);
    }

    /// `xr:Item` in Designer's `Content`; EDT's `content` is one item itself.
    fn common_attribute_use(&mut self, xml: &mut Xml<'_>) {
        let (mut target, mut uses) = (String::new(), String::new());
        xml.children(|xml, element| match capital(element.tag()).as_str() {
            "Item" => self.common_attribute_use(xml),
            "Metadata" => target = xml.text(),
            "Use" => uses = xml.text(),
            _ => {}
        });
        let kind = match uses.as_str() {
            "Use" => LinkKind::CommonAttributeUse,
            "DontUse" => LinkKind::CommonAttributeDontUse,
            _ => return,
        };
        self.facts.links.push(LinkFacts { kind, target });
    }
}

fn member_kind(tag: &str) -> Option<MemberKind> {
    Some(match tag {
        "Attribute" | "attributes" => MemberKind::Attribute,
        "Dimension" | "dimensions" => MemberKind::Dimension,
        "Resource" | "resources" => MemberKind::Resource,
        "Column" | "columns" => MemberKind::JournalColumn,
        "EnumValue" | "enumValues" => MemberKind::EnumValue,
        "AddressingAttribute" | "addressingAttributes" => MemberKind::AddressingAttribute,
        "AccountingFlag" | "accountingFlags" => MemberKind::AccountingFlag,
        "ExtDimensionAccountingFlag" | "extDimensionAccountingFlags" => {
            MemberKind::ExtDimensionAccountingFlag
        }
        "Command" | "commands" => MemberKind::Command,
        "Template" | "templates" => MemberKind::Template,
        "Form" | "forms" => MemberKind::Form,
        "Operation" | "operations" => MemberKind::Operation,
        "URLTemplate" | "urlTemplates" => MemberKind::UrlTemplate,
        "Recalculation" | "recalculations" => MemberKind::Recalculation,
        _ => return None,
    })
}

/// A part of an object: a name alone (`<Form>ФормаСписка</Form>`), or an element with a name inside.
fn member(xml: &mut Xml<'_>, kind: MemberKind) -> MemberFacts {
    let mut member = MemberFacts {
        kind,
        name: String::new(),
        types: Vec::new(),
        is_balance: false,
    };
    let text = xml.text_or(|xml, element| member_part(xml, element.tag(), &mut member));
    if member.name.is_empty() {
        member.name = text;
    }
    member
}

fn member_part(xml: &mut Xml<'_>, tag: &str, member: &mut MemberFacts) {
    match tag {
        "Properties" => xml.children(|xml, element| member_part(xml, element.tag(), member)),
        "Name" | "name" => member.name = xml.text(),
        "Type" | "type" => member.types = types(xml),
        "Balance" | "balance" => member.is_balance = xml.text() == "true",
        _ => {}
    }
}

fn section(xml: &mut Xml<'_>) -> SectionFacts {
    fn part(xml: &mut Xml<'_>, section: &mut SectionFacts) {
        xml.children(|xml, element| match element.tag() {
            "Properties" | "ChildObjects" => part(xml, section),
            "Name" | "name" => section.name = xml.text(),
            "Attribute" | "attributes" => {
                let column = member(xml, MemberKind::Attribute);
                if !column.name.is_empty() {
                    section.columns.push(column);
                }
            }
            _ => {}
        });
    }
    let mut section = SectionFacts {
        name: String::new(),
        columns: Vec::new(),
    };
    part(xml, &mut section);
    section
}

/// The tag with its first letter raised.
fn capital(tag: &str) -> String {
    let mut tag = tag.to_owned();
    if let Some(first) = tag.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    tag
}

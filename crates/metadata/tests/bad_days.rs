//! Damaged, foreign and contradictory input: what is readable is used, the rest is named once.

#![allow(
    clippy::unwrap_used,
    reason = "clippy's exception for tests does not know integration tests"
)]

mod support;

use nestor_metadata::facts::Trouble;
use nestor_metadata::{FileHash, Index, IndexError, Metadata, ObjectKind, ProblemKind, fields};
use proptest::prelude::*;
use support::{Project, designer, designer_form, goods_designer, part, view};

fn only_problem(project: &Project) -> (String, ProblemKind) {
    let (_, problems) = project.link();
    let [problem] = &problems[..] else {
        panic!("{problems:?}")
    };
    assert!(problem.to_string().starts_with(&problem.path));
    (problem.path.clone(), problem.kind.clone())
}

/// Whether the catalog `Товары` has the attribute `Первый`.
fn has_first_attribute(metadata: &Metadata) -> bool {
    let object = view(metadata, "x")
        .object(ObjectKind::Catalog, "Товары")
        .unwrap();
    let attributes = fields::attributes(&object);
    attributes.iter().any(|field| field.is_named("Первый"))
}

#[test]
fn a_file_that_ends_in_the_middle_gives_what_it_has() {
    let whole = designer(
        "Catalog",
        "<Name>Товары</Name>",
        &(part("Attribute", "Первый", &["xs:string"])
            + &part("Attribute", "Второй", &["xs:string"])),
    );
    let cut = whole.find("Второй").unwrap();
    let project = Project::new().file("Catalogs/Товары.xml", &whole.as_bytes()[..cut]);
    assert!(matches!(
        only_problem(&project),
        (path, ProblemKind::Unreadable(Trouble::CutShort { .. })) if path == "Catalogs/Товары.xml"
    ));
    let (metadata, _) = project.link();
    assert!(has_first_attribute(&metadata));
}

#[test]
fn another_format_version_is_read_and_named() {
    let project = Project::new().file(
        "Catalogs/Т.xml",
        designer("Catalog", "<Name>Т</Name>", "").replace("\"2.17\"", "\"9.1\""),
    );
    assert_eq!(
        only_problem(&project).1,
        ProblemKind::Unreadable(Trouble::OtherVersion {
            version: "9.1".to_owned()
        })
    );
    assert!(
        view(&project.link().0, "x")
            .object(ObjectKind::Catalog, "Т")
            .is_some()
    );
}

#[test]
fn types_in_a_circle_end() {
    let defined = |name: &str, of: &str| {
        let properties = format!(
            "<Name>{name}</Name><Type><v8:Type>xs:string</v8:Type><v8:TypeSet>cfg:DefinedType.{of}</v8:TypeSet></Type>"
        );
        designer("DefinedType", &properties, "")
    };
    let (metadata, problems) = Project::new()
        .file("DefinedTypes/А.xml", defined("А", "Б"))
        .file("DefinedTypes/Б.xml", defined("Б", "А"))
        .file("DefinedTypes/В.xml", defined("В", "А"))
        .link();
    let named: Vec<&str> = problems
        .iter()
        .map(|problem| match &problem.kind {
            ProblemKind::CyclicType { name } => name.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(named, ["А", "Б"]);
    let view = view(&metadata, "x");
    let types = view.expand(view.object(ObjectKind::DefinedType, "В").unwrap().types());
    let types: Vec<String> = types
        .iter()
        .map(|one| one.english(metadata.names()))
        .collect();
    assert_eq!(types, ["String"]);
}

#[test]
fn of_two_objects_with_one_name_the_first_counts() {
    let object = |attribute: &str| {
        designer(
            "Catalog",
            "<Name>Товары</Name>",
            &part("Attribute", attribute, &["xs:string"]),
        )
    };
    let project = Project::new()
        .file("Catalogs/Б.xml", object("Второй"))
        .file("Catalogs/А.xml", object("Первый"));
    assert_eq!(
        only_problem(&project),
        (
            "Catalogs/Б.xml".to_owned(),
            ProblemKind::SameName {
                kind: ObjectKind::Catalog,
                name: "Товары".to_owned(),
                other: "Catalogs/А.xml".to_owned()
            }
        )
    );
    let (metadata, _) = project.link();
    assert!(has_first_attribute(&metadata));
}

#[test]
fn a_form_without_its_module_is_named() {
    let form = designer_form("<Events><Event name=\"OnOpen\">ПриОткрытии</Event></Events>");
    let project = Project::new()
        .file("Catalogs/Т/Forms/Ф/Ext/Form.xml", &form)
        .file("CommonForms/Общая/Ext/Form.xml", &form)
        .file(
            "CommonForms/Общая/Ext/Form/Module.bsl",
            "Процедура ПриОткрытии()\nКонецПроцедуры",
        );
    assert_eq!(
        only_problem(&project),
        (
            "Catalogs/Т/Forms/Ф/Ext/Form.xml".to_owned(),
            ProblemKind::FormWithoutModule {
                method: "ПриОткрытии".to_owned()
            }
        )
    );
}

#[test]
fn an_extension_without_its_base_still_counts() {
    let adopted = "<ObjectBelonging>Adopted</ObjectBelonging>";
    let project = Project::new()
        .file(
            "Configuration.xml",
            designer(
                "Configuration",
                &format!("{adopted}<Name>Правки</Name>"),
                "",
            ),
        )
        .file(
            "Catalogs/Товары.xml",
            designer(
                "Catalog",
                &format!("{adopted}<Name>Товары</Name>"),
                &part("Attribute", "Вес", &["xs:decimal"]),
            ),
        );
    assert!(
        matches!(only_problem(&project), (_, ProblemKind::MissingBase { extension }) if extension == "Правки")
    );
    let (metadata, _) = project.link();
    let object = view(&metadata, "x")
        .object(ObjectKind::Catalog, "Товары")
        .unwrap();
    assert_eq!(object.flags(), None);
    // What the base might have counts, since nobody can say.
    for name in ["Вес", "Владелец", "Код"] {
        assert!(
            fields::attributes(&object)
                .iter()
                .any(|field| field.is_named(name)),
            "{name}"
        );
    }
}

#[test]
fn protected_and_foreign_files_are_named() {
    let check = |path: &str, bytes: &[u8], expected: fn(&Trouble) -> bool| {
        let (_, kind) = only_problem(&Project::new().file(path, bytes));
        assert!(
            matches!(&kind, ProblemKind::Unreadable(trouble) if expected(trouble)),
            "{path}: {kind:?}"
        );
    };
    check("Catalogs/Т/Ext/ObjectModule.bin", b"\x01\x02", |trouble| {
        *trouble == Trouble::ProtectedModule
    });
    check(
        "CommonModules/Т/Ext/Module.bsl",
        b"\xFF\xFF\xFF\x7F\0\x02",
        |trouble| *trouble == Trouble::ProtectedModule,
    );
    check("Catalogs/Т/Forms/Ф/Ext/Form.bin", b"\x01", |trouble| {
        *trouble == Trouble::OrdinaryForm
    });
    check(
        "CommonModules/Т/Ext/Module.bsl",
        b"\xCF\xF0\xEE",
        |trouble| matches!(trouble, Trouble::NotText { .. }),
    );
    let utf16: Vec<u8> = [0xFF, 0xFE]
        .into_iter()
        .chain(
            designer("Catalog", "<Name>T</Name>", "")
                .encode_utf16()
                .flat_map(u16::to_le_bytes),
        )
        .collect();
    check("Catalogs/T.xml", &utf16, |trouble| {
        matches!(trouble, Trouble::NotText { .. })
    });
    check(
        "Catalogs/T.xml",
        designer("Catalog", "<Name></Name>", "").as_bytes(),
        |trouble| *trouble == Trouble::Nameless,
    );
    check(
        "Catalogs/T.xml",
        b"<MetaDataObject><Catalog></Wrong>",
        |trouble| matches!(trouble, Trouble::NotXml { .. }),
    );
    let deep = format!("<MetaDataObject>{}", "<a>".repeat(100_000));
    check("Catalogs/T.xml", deep.as_bytes(), |trouble| {
        matches!(trouble, Trouble::TooDeep { .. })
    });
    let nested = designer_form(&"<ChildItems><UsualGroup name=\"Г\" id=\"1\">".repeat(50_000));
    check("CommonForms/Ф/Ext/Form.xml", nested.as_bytes(), |trouble| {
        matches!(trouble, Trouble::TooDeep { .. })
    });
}

#[test]
fn files_that_are_no_metadata_say_nothing() {
    let (metadata, problems) = Project::new()
        .file(
            "Catalogs/Т/Templates/М/Ext/Template.xml",
            "<document xmlns=\"m\"/>",
        )
        .file("pom.xml", "<project/>")
        .file("a.xml", "")
        .file("b.xml", "это не XML")
        .file("c.form", "<Form>чужая</Form>")
        .file("README.md", "# Т")
        .link();
    assert_eq!(problems, []);
    assert!(metadata.objects().is_empty() && metadata.forms().is_empty());
}

#[test]
fn an_index_is_brought_up_to_date_by_file() {
    let mut index = goods_designer().index();
    let whole = index.clone();
    let path = "Catalogs/Товары.xml";
    let bytes = &goods_designer()
        .files
        .iter()
        .find(|(known, _)| known == path)
        .unwrap()
        .1
        .clone();
    assert!(index.is_current(path, FileHash::of(bytes)));
    let changed = designer(
        "Catalog",
        "<Name>Товары</Name>",
        &part("Attribute", "Новый", &["xs:string"]),
    );
    assert!(!index.is_current(path, FileHash::of(changed.as_bytes())));
    index.add(path, changed.as_bytes());
    let has = |index: &Index, name: &str| {
        let (metadata, _) = index.link();
        let object = view(&metadata, "x").object(ObjectKind::Catalog, "Товары");
        object.is_some_and(|object| {
            fields::attributes(&object)
                .iter()
                .any(|field| field.is_named(name))
        })
    };
    assert!(has(&index, "Новый") && !has(&index, "Артикул"));
    index.add(path, bytes);
    assert_eq!(index, whole);
    assert!(index.remove(path) && !index.remove(path));
    assert!(!has(&index, "Артикул"));
}

#[test]
fn a_kept_index_is_the_same_or_refused() {
    let index = goods_designer().index();
    let saved = index.save();
    assert_eq!(Index::load(&saved).unwrap(), index);
    assert!(matches!(
        Index::load(b"PK\x03\x04"),
        Err(IndexError::Foreign)
    ));
    let mut other_version = saved.clone();
    other_version[8] = 99;
    assert!(matches!(
        Index::load(&other_version),
        Err(IndexError::Version { found: 99 })
    ));
    for at in [12, 50, saved.len() - 1] {
        let mut damaged = saved.clone();
        damaged[at] ^= 1;
        assert!(
            matches!(Index::load(&damaged), Err(IndexError::Damaged { .. })),
            "byte {at}"
        );
    }
    assert!(matches!(
        Index::load(&saved[..20]),
        Err(IndexError::Damaged { .. })
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn cut_and_damaged_files_never_panic(file in 0usize..11, cut in 0.0f64..1.0, damage in 0.0f64..1.0, byte: u8) {
        let mut project = goods_designer();
        let (_, bytes) = &mut project.files[file];
        let at = (damage * bytes.len() as f64) as usize;
        if let Some(place) = bytes.get_mut(at) {
            *place = byte;
        }
        bytes.truncate((cut * bytes.len() as f64) as usize);
        let index = project.index();
        let (metadata, _) = index.link();
        for (id, _) in metadata.roots() {
            support::describe(&metadata, metadata.view(id));
        }
        prop_assert_eq!(Index::load(&index.save()).unwrap(), index);
    }
}

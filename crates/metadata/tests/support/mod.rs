//! Small configurations for the tests, written here.

#![allow(dead_code, reason = "each test file uses a part")]

use nestor_metadata::{Index, Metadata, Problem, View};

const NAMESPACES: &str = r#"xmlns="http://v8.1c.ru/8.3/MDClasses" xmlns:cfg="http://v8.1c.ru/8.1/data/enterprise/current-config" xmlns:v8="http://v8.1c.ru/8.1/data/core" xmlns:xr="http://v8.1c.ru/8.3/xcf/readable" xmlns:xs="http://www.w3.org/2001/XMLSchema" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance""#;

/// Designer's file of an object.
pub fn designer(tag: &str, properties: &str, children: &str) -> String {
    format!(
        "\u{feff}<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<MetaDataObject {NAMESPACES} version=\"2.17\"><{tag} uuid=\"1\">\
         <InternalInfo/><Properties>{properties}</Properties><ChildObjects>{children}</ChildObjects></{tag}></MetaDataObject>"
    )
}

/// A part of an object in Designer's file: `<Attribute>`, `<Resource>`.
pub fn part(tag: &str, name: &str, types: &[&str]) -> String {
    let types: String = types
        .iter()
        .map(|one| format!("<v8:Type>{one}</v8:Type>"))
        .collect();
    format!(
        "<{tag} uuid=\"2\"><Properties><Name>{name}</Name><Synonym/><Type>{types}</Type></Properties></{tag}>"
    )
}

/// EDT's file of an object.
pub fn edt(tag: &str, body: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<mdclass:{tag} xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" \
         xmlns:mdclass=\"http://g5.1c.ru/v8/dt/metadata/mdclass\" uuid=\"1\">{body}</mdclass:{tag}>"
    )
}

/// A part of an object in EDT's file.
pub fn edt_part(tag: &str, name: &str, types: &[&str]) -> String {
    let types: String = types
        .iter()
        .map(|one| format!("<types>{one}</types>"))
        .collect();
    format!("<{tag} uuid=\"2\"><name>{name}</name><type>{types}</type></{tag}>")
}

/// Designer's file of a managed form.
pub fn designer_form(body: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Form xmlns=\"http://v8.1c.ru/8.3/xcf/logform\" xmlns:cfg=\"c\" \
         xmlns:v8=\"v\" xmlns:xs=\"x\" xmlns:xsi=\"i\" version=\"2.17\">{body}</Form>"
    )
}

/// Files of a project.
#[derive(Default)]
pub struct Project {
    pub files: Vec<(String, Vec<u8>)>,
}

impl Project {
    pub fn new() -> Project {
        Project::default()
    }

    /// The files of a folder of this repository.
    pub fn of_folder(folder: &str) -> Project {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../..")
            .join(folder);
        let mut project = Project::new();
        for entry in walkdir::WalkDir::new(&root).sort_by_file_name() {
            let entry = entry.unwrap();
            if entry.file_type().is_file() {
                let path = entry
                    .path()
                    .strip_prefix(&root)
                    .unwrap()
                    .to_string_lossy()
                    .replace('\\', "/");
                project
                    .files
                    .push((path, std::fs::read(entry.path()).unwrap()));
            }
        }
        assert!(!project.files.is_empty(), "{} is empty", root.display());
        project
    }

    pub fn file(mut self, path: &str, content: impl AsRef<[u8]>) -> Project {
        self.files
            .push((path.to_owned(), content.as_ref().to_owned()));
        self
    }

    pub fn index(&self) -> Index {
        let mut index = Index::new();
        for (path, bytes) in &self.files {
            index.add(path, bytes);
        }
        index
    }

    pub fn link(&self) -> (Metadata, Vec<Problem>) {
        self.index().link()
    }
}

/// What the code of the file at `path` sees.
pub fn view<'a>(metadata: &'a Metadata, path: &str) -> View<'a> {
    metadata.view_of_path(path).unwrap()
}

/// A configuration of a catalog, a document, a register and a form, as Designer writes it.
pub fn goods_designer() -> Project {
    let section = format!(
        "<TabularSection uuid=\"3\"><Properties><Name>Товары</Name></Properties><ChildObjects>{}{}</ChildObjects></TabularSection>",
        part("Attribute", "Товар", &["cfg:CatalogRef.Товары"]),
        part("Attribute", "Цена", &["xs:decimal"])
    );
    Project::new()
        .file(
            "Configuration.xml",
            designer("Configuration", "<Name>Торговля</Name><ScriptVariant>Russian</ScriptVariant>", "<Catalog>Товары</Catalog>"),
        )
        .file(
            "Catalogs/Товары.xml",
            designer(
                "Catalog",
                "<Name>Товары</Name><Hierarchical>true</Hierarchical><HierarchyType>HierarchyFoldersAndItems</HierarchyType>\
                 <CodeLength>9</CodeLength><CodeType>Number</CodeType><DescriptionLength>0</DescriptionLength><Owners/>",
                &(part("Attribute", "Артикул", &["xs:string"]) + &part("Attribute", "Поставщик", &["cfg:CatalogRef.Контрагенты", "xs:string"])
                    + "<Form>ФормаЭлемента</Form><Template>Ценник</Template>"),
            ),
        )
        .file(
            "Catalogs/Товары/Ext/Predefined.xml",
            "<PredefinedData xmlns=\"p\" version=\"2.17\"><Item id=\"1\"><Name>Услуги</Name><ChildItems><Item id=\"2\"><Name>Доставка</Name>\
             </Item></ChildItems></Item></PredefinedData>",
        )
        .file(
            "Documents/Продажа.xml",
            designer(
                "Document",
                "<Name>Продажа</Name><NumberLength>11</NumberLength><RegisterRecords><xr:Item xsi:type=\"xr:MDObjectRef\">\
                 AccumulationRegister.Остатки</xr:Item></RegisterRecords>",
                &(part("Attribute", "Склад", &["cfg:DefinedType.Место"]) + &section),
            ),
        )
        .file(
            "AccumulationRegisters/Остатки.xml",
            designer(
                "AccumulationRegister",
                "<Name>Остатки</Name><RegisterType>Balance</RegisterType>",
                &(part("Dimension", "Товар", &["cfg:CatalogRef.Товары"]) + &part("Resource", "Количество", &["xs:decimal"])),
            ),
        )
        .file(
            "DefinedTypes/Место.xml",
            designer(
                "DefinedType",
                "<Name>Место</Name><Type><v8:Type>cfg:CatalogRef.Товары</v8:Type><v8:TypeSet>cfg:DocumentRef</v8:TypeSet></Type>",
                "",
            ),
        )
        .file(
            "Enums/Виды.xml",
            designer("Enum", "<Name>Виды</Name>", &(part("EnumValue", "Розница", &[]) + &part("EnumValue", "Опт", &[]))),
        )
        .file(
            "Catalogs/Товары/Forms/ФормаЭлемента/Ext/Form.xml",
            designer_form(
                "<AutoCommandBar name=\"ФормаПанель\" id=\"-1\"/><Events><Event name=\"OnCreateAtServer\">ПриСоздании</Event></Events>\
                 <ChildItems><UsualGroup name=\"Шапка\" id=\"1\"><ChildItems><InputField name=\"Артикул\" id=\"2\"><DataPath>Объект.Артикул</DataPath>\
                 <ContextMenu name=\"АртикулМеню\" id=\"3\"/><Events><Event name=\"OnChange\">АртикулПриИзменении</Event></Events></InputField></ChildItems></UsualGroup></ChildItems>\
                 <Attributes><Attribute name=\"Объект\" id=\"1\"><Type><v8:Type>cfg:CatalogObject.Товары</v8:Type></Type><MainAttribute>true</MainAttribute></Attribute>\
                 <Attribute name=\"Цены\" id=\"2\"><Type><v8:Type>v8:ValueTable</v8:Type></Type><Columns><Column name=\"Цена\" id=\"1\"><Type><v8:Type>xs:decimal</v8:Type></Type></Column></Columns></Attribute></Attributes>\
                 <Parameters><Parameter name=\"Ключ\"><Type><v8:Type>cfg:CatalogRef.Товары</v8:Type></Type></Parameter></Parameters>\
                 <Commands><Command name=\"Печать\" id=\"1\"><Action>Печать</Action></Command></Commands>",
            ),
        )
        .file(
            "Catalogs/Товары/Forms/ФормаЭлемента/Ext/Form/Module.bsl",
            "\u{feff}&НаСервере\r\nПроцедура ПриСоздании(Отказ)\r\nКонецПроцедуры\r\n",
        )
        .file("CommonModules/Цены.xml", designer("CommonModule", "<Name>Цены</Name><Server>true</Server><ServerCall>true</ServerCall>", ""))
        .file(
            "CommonModules/Цены/Ext/Module.bsl",
            "Перем Кэш Экспорт, Скрытая;\n\n// Цена товара.\n//\n// Параметры:\n//  Товар - СправочникСсылка.Товары\n//\nФункция Цена(Знач Товар, НаДату = Неопределено) Экспорт\nКонецФункции\n\nПроцедура Внутренняя()\nКонецПроцедуры\n",
        )
}

/// The same configuration as EDT writes it.
pub fn goods_edt() -> Project {
    Project::new()
        .file("src/Configuration/Configuration.mdo", edt("Configuration", "<name>Торговля</name><catalogs>Catalog.Товары</catalogs>"))
        .file(
            "src/Catalogs/Товары/Товары.mdo",
            edt(
                "Catalog",
                &("<name>Товары</name><hierarchical>true</hierarchical><codeLength>9</codeLength><codeType>Number</codeType>".to_owned()
                    + &edt_part("attributes", "Артикул", &["String"])
                    + &edt_part("attributes", "Поставщик", &["CatalogRef.Контрагенты", "String"])
                    + "<forms uuid=\"4\"><name>ФормаЭлемента</name></forms><templates uuid=\"5\"><name>Ценник</name></templates>\
                       <predefined><items id=\"1\"><name>Услуги</name><content id=\"2\"><name>Доставка</name></content></items></predefined>"),
            ),
        )
        .file(
            "src/Documents/Продажа/Продажа.mdo",
            edt(
                "Document",
                &("<name>Продажа</name><numberLength>11</numberLength><registerRecords>AccumulationRegister.Остатки</registerRecords>".to_owned()
                    + &edt_part("attributes", "Склад", &["DefinedType.Место"])
                    + "<tabularSections uuid=\"3\"><name>Товары</name>"
                    + &edt_part("attributes", "Товар", &["CatalogRef.Товары"])
                    + &edt_part("attributes", "Цена", &["Number"])
                    + "</tabularSections>"),
            ),
        )
        .file(
            "src/AccumulationRegisters/Остатки/Остатки.mdo",
            edt(
                "AccumulationRegister",
                &("<name>Остатки</name>".to_owned()
                    + &edt_part("dimensions", "Товар", &["CatalogRef.Товары"])
                    + &edt_part("resources", "Количество", &["Number"])),
            ),
        )
        .file(
            "src/DefinedTypes/Место/Место.mdo",
            edt("DefinedType", "<name>Место</name><type><types>CatalogRef.Товары</types><types>DocumentRef</types></type>"),
        )
        .file(
            "src/Enums/Виды/Виды.mdo",
            edt("Enum", "<name>Виды</name><enumValues uuid=\"1\"><name>Розница</name></enumValues><enumValues uuid=\"2\"><name>Опт</name></enumValues>"),
        )
        .file(
            "src/Catalogs/Товары/Forms/ФормаЭлемента/Form.form",
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><form:Form xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xmlns:form=\"http://g5.1c.ru/v8/dt/form\">\
             <autoCommandBar><name>ФормаПанель</name><id>-1</id></autoCommandBar>\
             <handlers><event>OnCreateAtServer</event><name>ПриСоздании</name></handlers>\
             <items xsi:type=\"form:FormGroup\"><name>Шапка</name><id>1</id><items xsi:type=\"form:FormField\"><name>Артикул</name>\
             <dataPath xsi:type=\"form:DataPath\"><segments>Объект.Артикул</segments></dataPath>\
             <handlers><event>OnChange</event><name>АртикулПриИзменении</name></handlers><contextMenu><name>АртикулМеню</name></contextMenu></items></items>\
             <attributes><name>Объект</name><valueType><types>CatalogObject.Товары</types></valueType><main>true</main></attributes>\
             <attributes><name>Цены</name><valueType><types>ValueTable</types></valueType><columns><name>Цена</name><valueType><types>Number</types></valueType></columns></attributes>\
             <formCommands><name>Печать</name><action xsi:type=\"form:FormCommandHandlerContainer\"><handler><name>Печать</name></handler></action></formCommands>\
             <parameters><name>Ключ</name><valueType><types>CatalogRef.Товары</types></valueType></parameters></form:Form>",
        )
        .file("src/Catalogs/Товары/Forms/ФормаЭлемента/Module.bsl", "&НаСервере\nПроцедура ПриСоздании(Отказ)\nКонецПроцедуры\n")
        .file("src/CommonModules/Цены/Цены.mdo", edt("CommonModule", "<name>Цены</name><server>true</server><serverCall>true</serverCall>"))
        .file(
            "src/CommonModules/Цены/Module.bsl",
            "Перем Кэш Экспорт, Скрытая;\n\n// Цена товара.\n//\n// Параметры:\n//  Товар - СправочникСсылка.Товары\n//\nФункция Цена(Знач Товар, НаДату = Неопределено) Экспорт\nКонецФункции\n\nПроцедура Внутренняя()\nКонецПроцедуры\n",
        )
}

/// Everything that a configuration holds, in words, without ids and paths.
pub fn describe(metadata: &Metadata, view: View<'_>) -> Vec<String> {
    use nestor_metadata::{ObjectKind, fields};
    let types = |types: &[nestor_metadata::TypeRef]| {
        types
            .iter()
            .map(|one| one.english(metadata.names()))
            .collect::<Vec<_>>()
            .join("|")
    };
    let mut out = Vec::new();
    for &kind in ObjectKind::ALL {
        for object in view.objects(kind) {
            let name = format!("{}.{}", kind.english(), object.name());
            out.push(format!("{name} {:?}", object.flags()));
            for field in fields::table_fields(&object) {
                out.push(format!(
                    "{name} {}/{}: {}",
                    field.russian,
                    field.english,
                    types(&field.types)
                ));
            }
            for member in object.members() {
                out.push(format!(
                    "{name} {:?} {}",
                    member.kind,
                    metadata.name(member.name)
                ));
            }
            for (section, _) in fields::sections(&object) {
                for field in fields::section_fields(&object, section).unwrap() {
                    out.push(format!(
                        "{name}.{section} {}: {}",
                        field.russian,
                        types(&field.types)
                    ));
                }
            }
            for table in fields::virtual_tables(&object) {
                for field in table.fields(&object) {
                    out.push(format!(
                        "{name}.{} {}/{}: {}",
                        table.russian(),
                        field.russian,
                        field.english,
                        types(&field.types)
                    ));
                }
            }
        }
    }
    for form in metadata.forms() {
        let name = format!("{}.{}", metadata.name(form.owner), metadata.name(form.name));
        for item in metadata.items(form) {
            let parent = item
                .parent
                .map(|parent| metadata.name(metadata.items(form)[parent as usize].name));
            out.push(format!(
                "{name} {:?} {} in {parent:?} of {}",
                item.kind,
                metadata.name(item.name),
                metadata.name(item.data_path)
            ));
        }
        for attribute in metadata.form_attributes(form) {
            let columns: Vec<&str> = metadata
                .form_columns(attribute)
                .iter()
                .map(|column| metadata.name(column.name))
                .collect();
            out.push(format!(
                "{name} {}: {} {columns:?} {}",
                metadata.name(attribute.name),
                types(metadata.types(attribute.types)),
                attribute.is_main
            ));
        }
        for handler in metadata.handlers(form) {
            let item = handler
                .item
                .map(|item| metadata.name(metadata.items(form)[item as usize].name));
            out.push(format!(
                "{name} {item:?} {} calls {}",
                metadata.name(handler.event),
                metadata.name(handler.method)
            ));
        }
        for command in metadata.form_commands(form) {
            out.push(format!(
                "{name} {} does {}",
                metadata.name(command.name),
                metadata.name(command.action)
            ));
        }
        for parameter in metadata.form_parameters(form) {
            out.push(format!(
                "{name} takes {}: {}",
                metadata.name(parameter.name),
                types(metadata.types(parameter.types))
            ));
        }
    }
    for module in metadata.modules() {
        let name = format!(
            "{:?} {} {:?}",
            module.place.object_kind,
            metadata.names().of_key(module.place.object),
            module.place.module_kind
        );
        for &variable in metadata.variables(module) {
            out.push(format!("{name} has {}", metadata.name(variable)));
        }
        for method in metadata.methods(module) {
            let params: Vec<String> = metadata
                .params(method)
                .iter()
                .map(|param| {
                    format!(
                        "{} {} {}",
                        metadata.name(param.name),
                        param.by_value,
                        metadata.name(param.default)
                    )
                })
                .collect();
            out.push(format!(
                "{name} {} {} {} {params:?} {:?}",
                metadata.name(method.name),
                method.is_function,
                method.is_export,
                metadata.doc(method)
            ));
        }
    }
    // EDT keeps parts in an order of its own.
    out.sort();
    out
}

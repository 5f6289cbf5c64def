//! Methods that a form's events and commands call and its module does not have: their names, where they run, what they take.
//!
//! Callers offer them as skeletons. The signatures of events are the platform's, written by hand; an event that is not in the table is left
//! out rather than guessed.

use nestor_bsl::{Method, ModulePath};

use crate::facts::ItemKind;
use crate::kinds::ObjectKind;
use crate::names::same;
use crate::view::View;

/// A method that is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingHandler {
    /// Its name.
    pub name: String,
    /// Whether it runs at the server; else at the client.
    pub at_server: bool,
    /// Its parameters in Russian and in English.
    pub params: Vec<(&'static str, &'static str)>,
}

/// Events of forms: name, `@` where they run at the server, parameters.
const FORM_EVENTS: &str = "\
OnCreateAtServer@ Отказ/Cancel СтандартнаяОбработка/StandardProcessing
OnReadAtServer@ ТекущийОбъект/CurrentObject
BeforeWriteAtServer@ Отказ/Cancel ТекущийОбъект/CurrentObject ПараметрыЗаписи/WriteParameters
OnWriteAtServer@ Отказ/Cancel ТекущийОбъект/CurrentObject ПараметрыЗаписи/WriteParameters
AfterWriteAtServer@ ТекущийОбъект/CurrentObject ПараметрыЗаписи/WriteParameters
FillCheckProcessingAtServer@ Отказ/Cancel ПроверяемыеРеквизиты/CheckedAttributes
OnLoadDataFromSettingsAtServer@ Настройки/Settings
BeforeLoadDataFromSettingsAtServer@ Настройки/Settings
OnSaveDataInSettingsAtServer@ Настройки/Settings
OnOpen Отказ/Cancel
OnReopen
BeforeClose Отказ/Cancel ЗавершениеРаботы/Exit ТекстПредупреждения/WarningText СтандартнаяОбработка/StandardProcessing
OnClose ЗавершениеРаботы/Exit
BeforeWrite Отказ/Cancel ПараметрыЗаписи/WriteParameters
AfterWrite ПараметрыЗаписи/WriteParameters
NotificationProcessing ИмяСобытия/EventName Параметр/Parameter Источник/Source
ChoiceProcessing ВыбранноеЗначение/SelectedValue ИсточникВыбора/ChoiceSource
NewWriteProcessing НовыйОбъект/NewObject Источник/Source СтандартнаяОбработка/StandardProcessing
ExternalEvent Источник/Source Событие/Event Данные/Data
";

/// Events of elements; all run at the client and take the element first.
const ITEM_EVENTS: &str = "\
OnChange
StartChoice ДанныеВыбора/ChoiceData СтандартнаяОбработка/StandardProcessing
ChoiceProcessing ВыбранноеЗначение/SelectedValue СтандартнаяОбработка/StandardProcessing
Opening СтандартнаяОбработка/StandardProcessing
Clearing СтандартнаяОбработка/StandardProcessing
Selection ВыбраннаяСтрока/RowSelected Поле/Field СтандартнаяОбработка/StandardProcessing
ValueChoice Значение/Value СтандартнаяОбработка/StandardProcessing
OnActivateRow
OnStartEdit НоваяСтрока/NewRow Копирование/Clone
OnEditEnd НоваяСтрока/NewRow ОтменаРедактирования/CancelEdit
BeforeEditEnd НоваяСтрока/NewRow ОтменаРедактирования/CancelEdit Отказ/Cancel
BeforeAddRow Отказ/Cancel Копирование/Clone Родитель/Parent Группа/Folder Параметр/Parameter
BeforeRowChange Отказ/Cancel
BeforeDeleteRow Отказ/Cancel
AfterDeleteRow
AutoComplete Текст/Text ДанныеВыбора/ChoiceData ПараметрыПолученияДанных/DataGetParameters Ожидание/Wait СтандартнаяОбработка/StandardProcessing
TextEditEnd Текст/Text ДанныеВыбора/ChoiceData ПараметрыПолученияДанных/DataGetParameters СтандартнаяОбработка/StandardProcessing
EditTextChange Текст/Text СтандартнаяОбработка/StandardProcessing
OnCurrentPageChange ТекущаяСтраница/CurrentPage
URLProcessing НавигационнаяСсылкаФорматированнойСтроки/FormattedStringURL СтандартнаяОбработка/StandardProcessing
";

/// The methods that the form of the module at `path` calls and that are none of `methods`, in the order of the form's file: its own events,
/// those of its elements, its commands.
pub fn missing_handlers(view: View<'_>, path: &str, methods: &[Method]) -> Vec<MissingHandler> {
    let place = ModulePath::from_path(path);
    let Some(kind) = ObjectKind::from_object_type(place.object_type) else {
        return Vec::new();
    };
    if place.module_kind != nestor_bsl::module_path::ModuleKind::Form {
        return Vec::new();
    }
    let part = place.form.as_deref().unwrap_or(&place.object_name);
    let metadata = view.metadata();
    let mut found: Vec<MissingHandler> = Vec::new();
    let mut add = |name: &str, at_server: bool, params: Vec<(&'static str, &'static str)>| {
        let is_known = methods.iter().any(|method| same(&method.name, name))
            || found.iter().any(|handler| same(&handler.name, name));
        if !is_known && !name.is_empty() {
            found.push(MissingHandler {
                name: name.to_owned(),
                at_server,
                params,
            });
        }
    };
    for form in view.forms(kind, &place.object_name, part) {
        let items = metadata.items(form);
        for handler in metadata.handlers(form) {
            let event = metadata.name(handler.event);
            let item = handler.item.and_then(|item| items.get(item as usize));
            let Some((at_server, params)) = signature(event, item.map(|item| item.kind)) else {
                continue;
            };
            add(metadata.name(handler.method), at_server, params);
        }
        for command in metadata.form_commands(form) {
            add(
                metadata.name(command.action),
                false,
                vec![("Команда", "Command")],
            );
        }
    }
    found
}

/// Where an event's handler runs, and what it takes.
fn signature(
    event: &str,
    item: Option<ItemKind>,
) -> Option<(bool, Vec<(&'static str, &'static str)>)> {
    const STANDARD: (&str, &str) = ("СтандартнаяОбработка", "StandardProcessing");
    let element = ("Элемент", "Item");
    if let (Some(kind), true) = (item, same(event, "Click")) {
        // What a label does has nothing to do with the platform.
        let takes_all = kind != ItemKind::Decoration;
        let params = std::iter::once(element).chain(takes_all.then_some(STANDARD));
        return Some((false, params.collect()));
    }
    let table = if item.is_some() {
        ITEM_EVENTS
    } else {
        FORM_EVENTS
    };
    table.lines().find_map(|line| {
        let mut words = line.split(' ');
        let name = words.next()?;
        let known = name.strip_suffix('@');
        if !same(known.unwrap_or(name), event) {
            return None;
        }
        let params = item.map(|_| element).into_iter();
        let params = params.chain(words.filter_map(|word| word.split_once('/')));
        Some((known.is_some(), params.collect()))
    })
}

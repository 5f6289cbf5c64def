//! Types of the platform and their members, in Russian and English.
//!
//! The table is `platform.txt`, written by hand: the types that configurations use most. It says what a receiver of
//! such a type offers and what a method gives back. What is not in it is unknown, never wrong: a type may have more
//! members than the table lists.
//!
//! Lines of the table: a type at the start of a line, its members behind a tab. `Русское English : Тип` is a property,
//! `Русское() English : Тип` a method; `@Ref` and the like are another type of the same object; `each : Тип` is what a loop
//! yields, `index : Тип` what `[...]` gives. Words before a type's names: `new` (made by `Новый`), `enum` (a global name whose members
//! are its values), `open` (has members that the table cannot know).

use std::sync::LazyLock;

use nestor_bsl::keywords::fold;
use rustc_hash::FxHashMap;

use crate::kinds::Facet;

/// A type of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PlatformType(u16);

/// A member of a type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlatformMember {
    /// Its name in Russian.
    pub russian: &'static str,
    /// Its name in English.
    pub english: &'static str,
    /// A method, not a property.
    pub is_method: bool,
    /// What it is or gives back.
    pub result: PlatformResult,
}

/// What a member is or gives back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PlatformResult {
    /// The table does not say.
    Unknown,
    /// A type of the platform.
    Type(PlatformType),
    /// Another type of the same object (`@Ref`).
    Facet(Facet),
}

struct Entry {
    russian: &'static str,
    english: &'static str,
    is_made_by_new: bool,
    is_enum: bool,
    is_open: bool,
    carries: bool,
    members: Vec<PlatformMember>,
    member_names: FxHashMap<String, u16>,
    each: PlatformResult,
    index: PlatformResult,
}

struct Table {
    types: Vec<Entry>,
    names: FxHashMap<String, PlatformType>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| Table::read(include_str!("platform.txt")));

impl PlatformType {
    /// The type with the name `name`, in Russian or English and any case.
    pub fn find(name: &str) -> Option<PlatformType> {
        TABLE.names.get(&fold(name)).copied()
    }

    /// The type with the English name `name`, which the table is known to have.
    pub(crate) fn known(name: &str) -> PlatformType {
        match Self::find(name) {
            Some(found) => found,
            None => panic!("platform.txt has no {name}"),
        }
    }

    /// Every type.
    pub fn all() -> impl Iterator<Item = PlatformType> {
        (0..TABLE.types.len()).map(|idx| PlatformType(idx as u16))
    }

    /// Its Russian name.
    pub fn russian(self) -> &'static str {
        self.entry().russian
    }

    /// Its English name.
    pub fn english(self) -> &'static str {
        self.entry().english
    }

    /// Whether `Новый` makes it.
    pub fn is_made_by_new(self) -> bool {
        self.entry().is_made_by_new
    }

    /// Whether its name is a global value whose members are its values (`РежимЗаписиДокумента.Проведение`).
    pub fn is_enum(self) -> bool {
        self.entry().is_enum
    }

    /// Whether it has members that the table cannot know: keys of a structure, columns of a table.
    pub fn is_open(self) -> bool {
        self.entry().is_open
    }

    /// Whether its fields or columns are those of what it came from.
    pub fn carries(self) -> bool {
        self.entry().carries
    }

    /// Its members.
    pub fn members(self) -> &'static [PlatformMember] {
        &self.entry().members
    }

    /// The member with the name `name`, in Russian or English and any case.
    pub fn member(self, name: &str) -> Option<&'static PlatformMember> {
        let entry = self.entry();
        let idx = *entry.member_names.get(&fold(name))?;
        Some(&entry.members[usize::from(idx)])
    }

    /// What a loop over it yields.
    pub fn each(self) -> PlatformResult {
        self.entry().each
    }

    /// What `[...]` behind it gives.
    pub fn index(self) -> PlatformResult {
        self.entry().index
    }

    fn entry(self) -> &'static Entry {
        &TABLE.types[usize::from(self.0)]
    }
}

impl Table {
    fn read(text: &'static str) -> Table {
        let mut table = Table {
            types: Vec::new(),
            names: FxHashMap::default(),
        };
        let lines = || {
            text.lines()
                .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        };
        // Members name types that stand further down.
        for line in lines().filter(|line| !line.starts_with('\t')) {
            let words: Vec<&'static str> = line.split_whitespace().collect();
            let (&[.., russian, english], flags) =
                (&words[..], &words[..words.len().saturating_sub(2)])
            else {
                panic!("platform.txt: a type needs two names: {line}");
            };
            let id = PlatformType(table.types.len() as u16);
            for name in [russian, english] {
                let old = table.names.insert(fold(name), id);
                assert!(
                    old.is_none_or(|old| old == id),
                    "platform.txt: {name} is there twice"
                );
            }
            table.types.push(Entry {
                russian,
                english,
                is_made_by_new: flags.contains(&"new"),
                is_enum: flags.contains(&"enum"),
                is_open: flags.contains(&"open"),
                carries: flags.contains(&"carry"),
                members: Vec::new(),
                member_names: FxHashMap::default(),
                each: PlatformResult::Unknown,
                index: PlatformResult::Unknown,
            });
        }
        let mut type_idx = 0;
        for line in lines() {
            match line.strip_prefix('\t') {
                None => type_idx += 1,
                Some(line) => {
                    let (names, result) = line.split_once(" : ").unwrap_or((line, ""));
                    let result = table.result(result.trim());
                    table.types[type_idx - 1].add(names.trim(), result);
                }
            }
        }
        table
    }

    fn result(&self, written: &str) -> PlatformResult {
        match written.strip_prefix('@') {
            _ if written.is_empty() => PlatformResult::Unknown,
            Some(facet) => match Facet::ALL.iter().find(|known| known.english() == facet) {
                Some(&facet) => PlatformResult::Facet(facet),
                None => panic!("platform.txt: no type of an object is called @{facet}"),
            },
            None => match self.names.get(&fold(written)) {
                Some(&found) => PlatformResult::Type(found),
                None => panic!("platform.txt: {written} is used but not described"),
            },
        }
    }
}

impl Entry {
    fn add(&mut self, names: &'static str, result: PlatformResult) {
        let words: Vec<&'static str> = names.split_whitespace().collect();
        match words[..] {
            ["each"] => self.each = result,
            ["index"] => self.index = result,
            [russian, english] => {
                let idx = self.members.len() as u16;
                let name = russian.strip_suffix("()");
                let is_method = name.is_some();
                let russian = name.unwrap_or(russian);
                // A word that both languages share stands twice; two members of one name are a slip of the table.
                for name in [russian, english] {
                    let old = self.member_names.insert(fold(name), idx);
                    assert!(
                        old.is_none_or(|old| old == idx),
                        "platform.txt: {}.{name} is there twice",
                        self.russian
                    );
                }
                self.members.push(PlatformMember {
                    russian,
                    english,
                    is_method,
                    result,
                });
            }
            _ => panic!("platform.txt: a member needs two names: {names}"),
        }
    }
}

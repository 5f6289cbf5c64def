//! Where code is read from: folders, Designer dumps, EDT projects, git repositories.
//!
//! Called by the corpus builder, and directly by the evaluation and by `learn`, which need files in path order and
//! nothing else. A source knows how code is stored; it must not know tokens, duplicates or projects' roles.
//!
//! A file that cannot be read as a module (protected, binary, another encoding) is reported and left out; a source that
//! cannot be read at all is an error.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::OnceLock;

use nestor_bsl::ModulePath;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::CorpusError;

mod changes;
mod container;
mod dump_info;
mod folder;
mod git;
mod history;
mod licence;
mod metadata;
mod objects;
mod origin;
mod replay;
mod roots;
mod support;

pub use changes::{Dumped, FileState, Learned, Outcome, SourceState, SourceStates, Stamp};
pub use container::{ContainerError, form_module};
pub use metadata::{MetadataBytes, MetadataFile};
pub use origin::{Origin, OriginReason};
pub use replay::{Change, Replay, replay};
pub use roots::{Layout, Root, RootRole};
pub use support::{Support, SupportError, SupportRule, VendorConfiguration};

/// How a source is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// A folder with modules, no configuration in it.
    Folder,
    /// A folder with a Designer dump.
    DesignerDump,
    /// A folder with an EDT project.
    EdtProject,
    /// The last commit of a git repository.
    GitRepository,
}

/// How a file holds its module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FileKind {
    /// `.bsl`.
    Bsl,
    /// `.os`.
    OneScript,
    /// The module inside an ordinary form's `Form.bin`.
    OrdinaryForm,
}

/// One module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Its path in the source, with `/` between folders.
    pub path: String,
    /// Its text: no byte order mark, `\n` line ends.
    pub text: String,
    /// How the file holds it.
    pub kind: FileKind,
    /// The innermost of [`Source::roots`] that it lies under.
    pub root: Option<usize>,
}

impl SourceFile {
    /// What the path says about the module.
    pub fn module_path(&self) -> ModulePath {
        module_path(&self.path)
    }
}

/// What the path of a source file says about its module; knows ordinary forms, whose file is no module by name.
pub fn module_path(path: &str) -> ModulePath {
    match path.strip_suffix("Form.bin") {
        Some(folder) => ModulePath::from_path(&format!("{folder}Form/Module.bsl")),
        None => ModulePath::from_path(path),
    }
}

/// A file that is or should be a module, as a source lists it without reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module<'a> {
    /// Its path in the source, with `/` between folders.
    pub path: &'a str,
    /// The innermost of [`Source::roots`] that it lies under.
    pub root: Option<usize>,
    /// Bytes of its file.
    pub bytes: u64,
    /// What tells its version.
    pub stamp: Stamp,
    /// What Designer's dump says of its object, if the file was not changed behind the dump.
    pub dumped: Option<Dumped>,
}

/// A file that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its path in the source.
    pub path: String,
    /// Why, in words.
    pub reason: String,
}

/// What a reading gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadReport {
    /// Modules handed out.
    pub files: usize,
    /// Bytes of their files.
    pub bytes: u64,
    /// Modules without text, which are not handed out: the platform keeps a file for many a module nobody wrote.
    pub empty: usize,
    /// Files left out, in path order.
    pub skipped: Vec<Skipped>,
}

/// Receives one file; [`ControlFlow::Break`] ends the reading.
pub type Visit<'a> = dyn FnMut(SourceFile) -> ControlFlow<()> + 'a;

/// A place that holds modules.
pub trait Source: Send + Sync {
    /// The last part of its path.
    fn name(&self) -> &str;
    /// How it is stored.
    fn kind(&self) -> SourceKind;
    /// The licence that its own licence file names, as an SPDX identifier.
    fn licence(&self) -> Option<&str>;
    /// The commit that is read, for a git repository.
    fn revision(&self) -> Option<&str>;
    /// The configurations, extensions, libraries and external processors in it, in path order.
    fn roots(&self) -> &[Root];
    /// How many module files it lists and their bytes, for progress.
    fn size(&self) -> (usize, u64);
    /// Reads all modules in the order of their paths' bytes.
    fn read(&self, visit: &mut Visit<'_>) -> Result<ReadReport, CorpusError> {
        let all: Vec<usize> = (0..self.size().0).collect();
        self.read_some(&all, visit)
    }
    /// The modules in the order of their paths' bytes.
    fn modules(&self) -> Vec<Module<'_>>;
    /// Reads some of [`Source::modules`], named by their indexes, in the order given.
    fn read_some(
        &self,
        modules: &[usize],
        visit: &mut Visit<'_>,
    ) -> Result<ReadReport, CorpusError>;
    /// For each of some modules, what tells whose code it is. Reads a few small files, no module.
    fn origins(&self, modules: &[usize]) -> Vec<OriginReason>;
    /// Changes when the answers of [`Source::origins`] may change for modules that stay the same.
    fn origin_stamp(&self) -> String;
    /// For each of some modules, when it was last changed, in seconds since 1970: by the commits of the git repository that it
    /// lies in, else by the file system.
    fn changed_at(&self, modules: &[usize]) -> Vec<Option<i64>>;
    /// The files that may say something about metadata, modules among them, in the order of their paths' bytes.
    fn metadata_files(&self) -> Vec<MetadataFile<'_>>;
    /// Reads some of [`Source::metadata_files`], named by their indexes, some hundred at a time. Files that cannot be read are
    /// reported.
    fn read_metadata(
        &self,
        files: &[usize],
        visit: &mut dyn FnMut(Vec<MetadataBytes>),
    ) -> Result<Vec<Skipped>, CorpusError>;
}

/// Opens what lies at `path`.
///
/// A bare git repository is read at its HEAD. So is a folder with `.git` and no modules beside it; with modules beside it,
/// the files of the folder are what is read. A path to one module file is a source of one file.
pub fn open(path: &Path) -> Result<Box<dyn Source>, CorpusError> {
    let metadata = std::fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => CorpusError::Missing(path.to_owned()),
        _ => CorpusError::io(path)(error),
    })?;
    let name = path
        .canonicalize()
        .ok()
        .as_deref()
        .unwrap_or(path)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    if metadata.is_dir() && git::is_repository(path) {
        return Ok(Box::new(Tree::new(path, name, git::Commit::open(path)?)?));
    }
    let files = folder::Folder::open(path)?;
    if metadata.is_dir() && git::is_repository(&path.join(".git")) && !files.paths().any(is_module)
    {
        return Ok(Box::new(Tree::new(
            path,
            name,
            git::Commit::open(&path.join(".git"))?,
        )?));
    }
    Ok(Box::new(Tree::new(path, name, files)?))
}

/// What a kind of storage can do: list files and load one.
trait Files: Send + Sync {
    /// State of one thread that loads.
    type Loader;
    /// The paths of all files, in the order of their bytes.
    fn paths(&self) -> impl Iterator<Item = &str>;
    fn path(&self, file: usize) -> &str;
    fn size(&self, file: usize) -> u64;
    fn loader(&self) -> Self::Loader;
    fn load(&self, loader: &Self::Loader, file: usize) -> Result<Vec<u8>, LoadError>;
    /// The first bytes of a file, at least `len` of them unless it is shorter.
    fn load_head(
        &self,
        loader: &Self::Loader,
        file: usize,
        _len: usize,
    ) -> Result<Vec<u8>, LoadError> {
        self.load(loader, file)
    }
    fn stamp(&self, file: usize) -> Stamp;
    /// The commits that the files come from, where there are some.
    fn history(&self) -> Option<history::History>;
    fn revision(&self) -> Option<&str>;
    fn is_git(&self) -> bool;
}

/// Why one file could not be loaded.
enum LoadError {
    /// This file only: it is skipped.
    Skip(String),
    /// The source is broken.
    Fatal(CorpusError),
}

/// Files loaded together; more would only raise the memory in use.
const BATCH_FILES: usize = 256;
/// Bytes loaded together, before decoding.
const BATCH_BYTES: u64 = 32 << 20;
/// A larger file is no module that a person wrote.
const MAX_FILE_BYTES: u64 = 64 << 20;

/// A source over any storage.
struct Tree<F> {
    name: String,
    kind: SourceKind,
    licence: Option<&'static str>,
    roots: Vec<Root>,
    /// The listed files that are or should be modules, in path order.
    modules: Vec<(usize, Candidate, Option<usize>)>,
    bytes: u64,
    files: F,
    facts: OnceLock<Vec<Option<origin::Facts>>>,
    /// By root.
    dumps: OnceLock<Vec<Option<Dump>>>,
}

/// A dump of Designer that says what it holds.
struct Dump {
    /// What the paths of its files begin with.
    folder: String,
    info: dump_info::DumpInfo,
    /// When it was made, in nanoseconds since 1970.
    dumped_ns: i64,
}

/// What a file's name promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Candidate {
    Text(FileKind),
    Form,
    Protected,
}

impl<F: Files> Tree<F> {
    fn new(path: &Path, name: String, files: F) -> Result<Self, CorpusError> {
        let paths: Vec<&str> = files.paths().collect();
        let loader = files.loader();
        let load_text = |file: usize| {
            files
                .load(&loader, file)
                .ok()
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        };
        let roots = roots::find(&paths, &load_text);
        let licence = licence::find(&paths, &load_text);
        let mut modules: Vec<(usize, Candidate, Option<usize>)> = paths
            .iter()
            .enumerate()
            .filter_map(|(file, path)| {
                Some((file, candidate(path)?, roots::innermost(&roots, path)))
            })
            .collect();
        modules.sort_by_key(|&(file, ..)| paths[file]);
        if !modules
            .iter()
            .any(|&(_, candidate, _)| candidate != Candidate::Protected)
        {
            return Err(CorpusError::NoModules(path.to_owned()));
        }
        let kind = match roots
            .iter()
            .map(|root| root.layout)
            .find(|&layout| layout != Layout::Plain)
        {
            _ if files.is_git() => SourceKind::GitRepository,
            Some(Layout::Designer) => SourceKind::DesignerDump,
            Some(Layout::Edt) => SourceKind::EdtProject,
            _ => SourceKind::Folder,
        };
        let bytes = modules.iter().map(|&(file, ..)| files.size(file)).sum();
        drop(paths);
        Ok(Tree {
            name,
            kind,
            licence,
            roots,
            modules,
            bytes,
            files,
            facts: OnceLock::new(),
            dumps: OnceLock::new(),
        })
    }

    fn path(&self, module: usize) -> &str {
        self.files.path(self.modules[module].0)
    }

    /// The last changes of some modules by git; the flag says whether it matters that people changed them.
    fn last_changes(
        &self,
        wanted: &HashMap<&str, bool>,
    ) -> Option<HashMap<String, history::LastChange>> {
        Some(self.files.history()?.last_changes(wanted))
    }

    /// The dumps of Designer by root.
    fn dumps(&self) -> &[Option<Dump>] {
        self.dumps.get_or_init(|| {
            let paths: Vec<&str> = self.files.paths().collect();
            let loader = self.files.loader();
            let of_root = |root: &Root| {
                let folder = folder_prefix(&root.path);
                let file = paths
                    .binary_search(&format!("{folder}ConfigDumpInfo.xml").as_str())
                    .ok()?;
                let Stamp::Disk { modified_ns, .. } = self.files.stamp(file) else {
                    return None;
                };
                let text = self.files.load(&loader, file).ok()?;
                Some(Dump {
                    info: dump_info::DumpInfo::read(&String::from_utf8_lossy(&text)),
                    dumped_ns: modified_ns?,
                    folder,
                })
            };
            self.roots.iter().map(of_root).collect()
        })
    }

    /// What the dump of a root says of the object that a file belongs to.
    fn dumped(&self, file: usize, root: Option<usize>) -> Option<Dumped> {
        let dump = self.dumps().get(root?)?.as_ref()?;
        let Stamp::Disk { modified_ns, .. } = self.files.stamp(file) else {
            return None;
        };
        // A file that was changed after the dump is not what the dump tells of.
        modified_ns.filter(|modified| *modified <= dump.dumped_ns)?;
        let inside = self.files.path(file).strip_prefix(dump.folder.as_str())?;
        let object = inside.split('/').nth(1)?;
        let object = object.strip_suffix(".xml").unwrap_or(object);
        Some(Dumped {
            version: dump.info.version(object)?,
            dumped_ns: dump.dumped_ns,
        })
    }

    fn decode(&self, bytes: Vec<u8>, candidate: Candidate) -> Result<(String, FileKind), String> {
        let (bytes, kind) = match candidate {
            Candidate::Text(kind) => (bytes, kind),
            Candidate::Form => (
                form_module(&bytes).map_err(|error| error.to_string())?,
                FileKind::OrdinaryForm,
            ),
            Candidate::Protected => return Err("a protected module: it has no text".to_owned()),
        };
        let text = nestor_bsl::normalise(&bytes)
            .map_err(|error| error.to_string())?
            .text;
        Ok((text, kind))
    }
}

impl<F: Files> Source for Tree<F> {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> SourceKind {
        self.kind
    }

    fn licence(&self) -> Option<&str> {
        self.licence
    }

    fn revision(&self) -> Option<&str> {
        self.files.revision()
    }

    fn roots(&self) -> &[Root] {
        &self.roots
    }

    fn size(&self) -> (usize, u64) {
        (self.modules.len(), self.bytes)
    }

    fn modules(&self) -> Vec<Module<'_>> {
        let paths: Vec<&str> = self.files.paths().collect();
        self.modules
            .iter()
            .map(|&(file, _, root)| Module {
                path: paths[file],
                root,
                bytes: self.files.size(file),
                stamp: self.files.stamp(file),
                dumped: self.dumped(file, root),
            })
            .collect()
    }

    fn origins(&self, modules: &[usize]) -> Vec<OriginReason> {
        let paths: Vec<&str> = self.files.paths().collect();
        let facts = self
            .facts
            .get_or_init(|| origin::Facts::read(&self.files, &paths, &self.roots));
        let wanted: Vec<(&str, Option<usize>)> = modules
            .iter()
            .map(|&module| (self.path(module), self.modules[module].2))
            .collect();
        let edited = |unsure: &[&str]| -> HashSet<String> {
            let wanted = unsure.iter().map(|path| (*path, true)).collect();
            let changes = self.last_changes(&wanted).unwrap_or_default();
            let by_hand = changes.into_iter().filter(|(_, change)| change.by_hand);
            by_hand.map(|(path, _)| path).collect()
        };
        origin::find(&self.files, &paths, &self.roots, facts, &wanted, &edited)
    }

    fn origin_stamp(&self) -> String {
        let mut hash = Sha256::new();
        for (file, path) in self.files.paths().enumerate() {
            let name = path.rsplit('/').next().unwrap_or(path);
            let tells = [
                "ParentConfigurations.bin",
                "Configuration.xml",
                "Configuration.mdo",
            ];
            if tells.contains(&name) {
                hash.update(format!("{path}\n{:?}\n", self.files.stamp(file)));
            }
        }
        let digest = hash.finalize();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn changed_at(&self, modules: &[usize]) -> Vec<Option<i64>> {
        let wanted = modules.iter().map(|&module| (self.path(module), false));
        let changes = self.last_changes(&wanted.collect()).unwrap_or_default();
        let of_module = |&module: &usize| {
            let by_git = changes.get(self.path(module)).and_then(|it| it.time_s);
            let by_disk = || match self.files.stamp(self.modules[module].0) {
                Stamp::Disk { modified_ns, .. } => Some(modified_ns?.div_euclid(1_000_000_000)),
                Stamp::Blob(_) => None,
            };
            by_git.or_else(by_disk)
        };
        modules.iter().map(of_module).collect()
    }

    fn metadata_files(&self) -> Vec<MetadataFile<'_>> {
        let dumped = |file| self.dumped(file, roots::innermost(&self.roots, self.files.path(file)));
        metadata::list(&self.files, &dumped)
    }

    fn read_metadata(
        &self,
        files: &[usize],
        visit: &mut dyn FnMut(Vec<MetadataBytes>),
    ) -> Result<Vec<Skipped>, CorpusError> {
        metadata::read(&self.files, files, visit)
    }

    fn read_some(
        &self,
        modules: &[usize],
        visit: &mut Visit<'_>,
    ) -> Result<ReadReport, CorpusError> {
        let paths: Vec<&str> = self.files.paths().collect();
        let mut report = ReadReport::default();
        let chosen: Vec<_> = modules.iter().map(|&module| self.modules[module]).collect();
        let mut rest = &chosen[..];
        while !rest.is_empty() {
            let (batch, tail) = rest.split_at(self.batch_len(rest));
            rest = tail;
            let loaded: Vec<_> = batch
                .par_iter()
                .map_init(
                    || self.files.loader(),
                    |loader, &(file, candidate, root)| {
                        let size = self.files.size(file);
                        if candidate == Candidate::Protected {
                            return self
                                .decode(Vec::new(), candidate)
                                .map(|text| (size, text, root))
                                .map_err(LoadError::Skip);
                        }
                        if size > MAX_FILE_BYTES {
                            return Err(LoadError::Skip(format!(
                                "larger than {} MB",
                                MAX_FILE_BYTES >> 20
                            )));
                        }
                        let bytes = self.files.load(loader, file)?;
                        let size = bytes.len() as u64;
                        let decoded = self.decode(bytes, candidate).map_err(LoadError::Skip)?;
                        Ok((size, decoded, root))
                    },
                )
                .collect();
            for (&(file, ..), loaded) in batch.iter().zip(loaded) {
                let path = paths[file].to_owned();
                match loaded {
                    Ok((_, (text, _), _)) if text.trim().is_empty() => report.empty += 1,
                    Ok((size, (text, kind), root)) => {
                        report.files += 1;
                        report.bytes += size;
                        if visit(SourceFile {
                            path,
                            text,
                            kind,
                            root,
                        })
                        .is_break()
                        {
                            return Ok(report);
                        }
                    }
                    Err(LoadError::Skip(reason)) => report.skipped.push(Skipped { path, reason }),
                    Err(LoadError::Fatal(error)) => return Err(error),
                }
            }
        }
        Ok(report)
    }
}

impl<F: Files> Tree<F> {
    fn batch_len(&self, modules: &[(usize, Candidate, Option<usize>)]) -> usize {
        let mut bytes = 0;
        let fitting = modules.iter().take(BATCH_FILES).take_while(|&&(file, ..)| {
            let fits = bytes < BATCH_BYTES;
            bytes += self.files.size(file);
            fits
        });
        fitting.count().max(1)
    }
}

/// What the paths in a folder begin with.
fn folder_prefix(folder: &str) -> String {
    if folder.is_empty() {
        String::new()
    } else {
        format!("{folder}/")
    }
}

fn candidate(path: &str) -> Option<Candidate> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    let lower = name.to_lowercase();
    match lower.rsplit_once('.')? {
        (_, "bsl") => Some(Candidate::Text(FileKind::Bsl)),
        (_, "os") => Some(Candidate::Text(FileKind::OneScript)),
        ("form", "bin") => Some(Candidate::Form),
        // `Ext/Module.bin`, `Ext/ObjectModule.bin`: what the platform dumps instead of a protected module's text.
        (stem, "bin")
            if stem.ends_with("module") && folder.split('/').any(|part| part == "Ext") =>
        {
            Some(Candidate::Protected)
        }
        _ => None,
    }
}

fn is_module(path: &str) -> bool {
    candidate(path).is_some_and(|candidate| candidate != Candidate::Protected)
}

#[cfg(test)]
mod tests;

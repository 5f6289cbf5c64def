//! A whole project in one file, to carry to another machine: header, log and segments in a frame with one hash.
//!
//! The file holds source text as pieces that any copy of the tokenizer turns back into text; whoever writes one is told. Nothing
//! in a file from outside is trusted: lengths are checked against the file, the hash against the content, and then every line
//! and segment as if the folder had been found on disk.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::error::MemoryError;
use crate::header::{Header, ModelIdentity};
use crate::lock::{Lock, WhenBusy};
use crate::name::ProjectName;
use crate::projects::Projects;
use crate::store::ProjectStore;
use crate::writer::ProjectWriter;
use crate::{files, log};

/// The version of the file that this program reads and writes.
pub const BUNDLE_VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"NestorPM";
/// Magic 8, version 4, lengths of header, packed log and segments 8 each.
const START_LEN: u64 = 36;
const HASH_LEN: u64 = 32;
const MAX_HEADER_LEN: u64 = 1 << 16;
/// A log of a million files has some hundred megabytes.
const MAX_LOG_LEN: u64 = 4 << 30;
const LOG_LEVEL: i32 = 3;

impl ProjectStore {
    /// Writes the project with its history into a new file; returns the file's length.
    ///
    /// # Errors
    /// [`MemoryError::Exists`] when there is such a file; [`MemoryError::Corrupt`] when the project is damaged.
    pub fn export(&self, path: &Path) -> Result<u64, MemoryError> {
        if path.exists() {
            return Err(MemoryError::Exists(path.to_owned()));
        }
        self.verify()?;
        let beside = files::beside(path);
        let mut file = files::create_new(&beside)?;
        let written = self
            .write_bundle(&mut file)
            .and_then(|len| file.sync_all().map(|()| len))
            .and_then(|len| std::fs::rename(&beside, path).map(|()| len));
        written.map_err(|error| {
            // The first error is the one to tell.
            let _ = files::remove(&beside);
            MemoryError::io(path)(error)
        })
    }

    fn write_bundle(&self, file: &mut File) -> io::Result<u64> {
        let header = self.header.to_line();
        let mut lines: String = self.records.iter().map(log::line).collect();
        let time = self.records.last().map_or(self.header.created, |r| r.time);
        lines.push_str(&log::commit_line(self.last_seq(), time));
        let packed = zstd::bulk::compress(lines.as_bytes(), LOG_LEVEL)?;
        let mut out = Hashing::new(io::BufWriter::new(file));
        out.write_all(&MAGIC)?;
        out.write_all(&BUNDLE_VERSION.to_le_bytes())?;
        for len in [header.len() as u64, packed.len() as u64, self.segments_end] {
            out.write_all(&len.to_le_bytes())?;
        }
        out.write_all(header.as_bytes())?;
        out.write_all(&packed)?;
        let mut segments = self.segments.lock().unwrap_or_else(|e| e.into_inner());
        segments.seek(SeekFrom::Start(0))?;
        let copied = io::copy(&mut (&mut *segments).take(self.segments_end), &mut out)?;
        if copied != self.segments_end {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let (mut inner, hash) = out.finish();
        inner.write_all(&hash)?;
        inner.flush()?;
        Ok(START_LEN + header.len() as u64 + packed.len() as u64 + copied + HASH_LEN)
    }
}

impl Projects {
    /// Makes a project of a file that [`ProjectStore::export`] wrote, for a model with the same pieces.
    ///
    /// # Errors
    /// [`MemoryError::Exists`] when there is such a project; [`MemoryError::Corrupt`], [`MemoryError::Version`],
    /// [`MemoryError::Tokenizer`] or [`MemoryError::Vocabulary`] when the file is refused. Nothing is left of it then.
    pub fn import(
        &self,
        name: &ProjectName,
        file: &Path,
        model: &ModelIdentity,
        when_busy: WhenBusy<'_>,
        time: u64,
    ) -> Result<ProjectWriter, MemoryError> {
        // Refused before anything is created, and again under the lock.
        let mut bundle = Bundle::open(file)?;
        bundle.header.check_model(name.as_str(), model)?;
        let lock = Lock::take(&self.dir, name, when_busy)?;
        if self.folder(name).exists() {
            return Err(MemoryError::Exists(self.folder(name)));
        }
        let part = self.part(name)?;
        let checked = bundle.unpack(&part, name, file).and_then(|()| {
            let (store, log) =
                ProjectStore::try_open(&part, name).map_err(|error| in_file(error, file))?;
            if log.torn > 0 || store.cut.segments > 0 {
                return Err(MemoryError::corrupt(
                    file,
                    "there are bytes behind its content",
                ));
            }
            store.verify().map_err(|error| in_file(error, file))
        });
        let placed = checked.and_then(|()| self.put_in_place(&part, name));
        if let Err(error) = placed {
            // The first error is the one to tell; the next import removes what stays.
            let _ = files::remove(&part);
            return Err(error);
        }
        ProjectWriter::open(&self.folder(name), name, lock, time)
    }
}

/// A file to import, opened as far as its header.
struct Bundle {
    file: File,
    header: Header,
    header_len: u64,
    log_len: u64,
    segments_len: u64,
}

impl Bundle {
    fn open(path: &Path) -> Result<Self, MemoryError> {
        let io = || MemoryError::io(path);
        let mut file = File::open(path).map_err(io())?;
        let len = file.metadata().map_err(io())?.len();
        let mut start = [0; START_LEN as usize];
        file.read_exact(&mut start)
            .map_err(|_| MemoryError::corrupt(path, "it ends inside its header"))?;
        if start[..8] != MAGIC {
            return Err(MemoryError::corrupt(path, "it is no exported project"));
        }
        let version = u32::from_le_bytes(start[8..12].try_into().expect("four bytes"));
        if version != BUNDLE_VERSION {
            return Err(MemoryError::Version {
                path: path.to_owned(),
                found: version.to_string(),
                supported: BUNDLE_VERSION,
            });
        }
        let field =
            |at: usize| u64::from_le_bytes(start[at..at + 8].try_into().expect("eight bytes"));
        let (header_len, log_len, segments_len) = (field(12), field(20), field(28));
        let claimed = [header_len, log_len, segments_len, HASH_LEN]
            .iter()
            .try_fold(START_LEN, |sum, part| sum.checked_add(*part));
        if claimed != Some(len) || header_len > MAX_HEADER_LEN || log_len > MAX_LOG_LEN {
            return Err(MemoryError::corrupt(
                path,
                format!("the lengths in it do not fit its {len} bytes"),
            ));
        }
        check_hash(&mut file, len, path)?;
        file.seek(SeekFrom::Start(START_LEN)).map_err(io())?;
        let mut header = vec![0; header_len as usize];
        file.read_exact(&mut header).map_err(io())?;
        Ok(Self {
            header: Header::from_bytes(&header, path)?,
            file,
            header_len,
            log_len,
            segments_len,
        })
    }

    /// Writes the parts into the folder `dir` as a project.
    fn unpack(&mut self, dir: &Path, name: &ProjectName, path: &Path) -> Result<(), MemoryError> {
        let io = || MemoryError::io(path);
        let mut header = self.header.clone();
        header.name = name.to_string();
        header.generation = 1;
        let at = START_LEN + self.header_len;
        self.file.seek(SeekFrom::Start(at)).map_err(io())?;
        let log_path = header.log_path(dir);
        let mut log = files::create(&log_path)?;
        let packed = (&mut self.file).take(self.log_len);
        let lines = zstd::stream::Decoder::new(packed)
            .and_then(|lines| io::copy(&mut lines.take(MAX_LOG_LEN + 1), &mut log))
            .map_err(|error| MemoryError::corrupt(path, format!("its log: {error}")))?;
        if lines > MAX_LOG_LEN {
            return Err(MemoryError::corrupt(path, "its log is too long"));
        }
        log.sync_all().map_err(MemoryError::io(&log_path))?;
        let at = at + self.log_len;
        self.file.seek(SeekFrom::Start(at)).map_err(io())?;
        let segments_path = header.segments_path(dir);
        let mut segments = files::create(&segments_path)?;
        io::copy(&mut (&mut self.file).take(self.segments_len), &mut segments)
            .and_then(|_| segments.sync_all())
            .map_err(MemoryError::io(&segments_path))?;
        header.write(dir)
    }
}

/// Compares the hash at the end of a file of `len` bytes with the content before it.
fn check_hash(file: &mut File, len: u64, path: &Path) -> Result<(), MemoryError> {
    let io = || MemoryError::io(path);
    file.seek(SeekFrom::Start(0)).map_err(io())?;
    let mut hashing = Hashing::new(io::sink());
    io::copy(&mut (&mut *file).take(len - HASH_LEN), &mut hashing).map_err(io())?;
    let mut expected = [0; HASH_LEN as usize];
    file.read_exact(&mut expected).map_err(io())?;
    if hashing.finish().1 != expected {
        return Err(MemoryError::corrupt(
            path,
            "its SHA-256 does not match its content",
        ));
    }
    Ok(())
}

/// Names the file that is imported instead of the folder it is unpacked to.
fn in_file(error: MemoryError, path: &Path) -> MemoryError {
    match error {
        MemoryError::Corrupt { reason, .. } => MemoryError::corrupt(path, reason),
        other => other,
    }
}

/// A writer that hashes what passes through it.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
}

impl<W: Write> Hashing<W> {
    fn new(inner: W) -> Self {
        Self {
            inner,
            hash: Sha256::new(),
        }
    }

    fn finish(self) -> (W, [u8; HASH_LEN as usize]) {
        (self.inner, self.hash.finalize().into())
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.hash.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

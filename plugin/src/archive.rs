//! Source trees as gzip'ed tar archives, read without trust and written without variance.
//!
//! [`unpack`] and [`pack`] are pure; only [`read_folder`] touches files. Reading streams: nothing is allocated for what
//! an archive claims, only for what it holds, and never beyond [`ArchiveLimits`]. The tar dialect is the plain one, ustar
//! regular files and folders (POSIX.1-1988): pax and GNU extension entries are refused, since two readers may disagree
//! about them. Modes, owners and times are ignored.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use flate2::bufread::GzDecoder;
use flate2::{Compression, GzBuilder};
use tar::{EntryType, Header};

use crate::source::{PathError, SourceTree, check_path, folders_of};

/// Size of a tar header and of the unit contents are padded to, in bytes.
const BLOCK: usize = 512;

/// How much an archive may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchiveLimits {
    /// Most entries, files and folders together. Default 1,000.
    pub entries: usize,
    /// Most bytes of one file. Default 4 MiB.
    pub file_bytes: u64,
    /// Most bytes of all files together. Default 32 MiB.
    pub total_bytes: u64,
}

impl Default for ArchiveLimits {
    fn default() -> Self {
        Self { entries: 1_000, file_bytes: 4 << 20, total_bytes: 32 << 20 }
    }
}

/// Why an archive is refused. `entry` is the entry's path as far as it can be shown.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Not gzip, or gzip whose checksum does not hold.
    #[error("the gzip stream is corrupt: {0}")]
    Gzip(io::Error),
    /// The gzip stream or the tar inside it ends early.
    #[error("the archive is cut short")]
    Truncated,
    /// A second gzip member after the first.
    #[error("the archive has more than one gzip member")]
    SecondMember,
    /// Bytes after the gzip member.
    #[error("{0} bytes follow the gzip stream")]
    TrailingBytes(usize),
    /// Something other than zeros after the tar's end marker, or too many zeros.
    #[error("the tar goes on after its end")]
    AfterEnd,
    /// A block that is not a tar header.
    #[error("the tar header at byte {at} is malformed: {cause}")]
    Header {
        /// Offset in the unpacked tar.
        at: u64,
        /// What is wrong.
        cause: &'static str,
    },
    /// A path that is not UTF-8.
    #[error("entry {entry}: the path is not UTF-8")]
    NotUtf8 {
        /// The path, escaped.
        entry: String,
    },
    /// A path that a source tree does not take.
    #[error("entry {entry}: {cause}")]
    Path {
        /// The path, escaped and shortened.
        entry: String,
        /// The rule it breaks.
        cause: PathError,
    },
    /// A hard or symbolic link.
    #[error("entry {entry} is a link")]
    Link {
        /// The path.
        entry: String,
    },
    /// A character or block device.
    #[error("entry {entry} is a device")]
    Device {
        /// The path.
        entry: String,
    },
    /// A FIFO.
    #[error("entry {entry} is a FIFO")]
    Fifo {
        /// The path.
        entry: String,
    },
    /// Any other kind of entry: pax and GNU extensions, sparse files, contiguous files, unknown ones.
    #[error(
        "entry {entry} is of kind {kind:#04x}, only files and folders are taken (write the archive as ustar)"
    )]
    Kind {
        /// The path.
        entry: String,
        /// The header's type flag.
        kind: u8,
    },
    /// More entries than [`ArchiveLimits::entries`].
    #[error("entry {entry} is one more than the limit of {limit} entries")]
    TooManyEntries {
        /// The first path too many.
        entry: String,
        /// The limit.
        limit: usize,
    },
    /// A file larger than [`ArchiveLimits::file_bytes`].
    #[error("entry {entry} has {size} bytes, the limit is {limit}")]
    FileTooLarge {
        /// The path.
        entry: String,
        /// What its header says.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// Files larger together than [`ArchiveLimits::total_bytes`].
    #[error("with entry {entry} the files have more than {limit} bytes together")]
    TotalTooLarge {
        /// The path that went over.
        entry: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// No file in it.
    #[error("the archive has no file in it")]
    Empty,
}

impl ArchiveError {
    /// The limit that was exceeded, if one was: entries, or bytes.
    pub fn limit(&self) -> Option<u64> {
        match self {
            Self::TooManyEntries { limit, .. } => Some(*limit as u64),
            Self::FileTooLarge { limit, .. } | Self::TotalTooLarge { limit, .. } => Some(*limit),
            Self::Path { cause: PathError::TooLong(_), .. } => Some(SourceTree::MAX_PATH_BYTES as u64),
            _ => None,
        }
    }
}

/// Reads a gzip'ed tar into memory.
///
/// Exactly one gzip member with nothing behind it, holding a complete ustar archive of files and folders; folders are
/// checked and forgotten.
///
/// # Errors
/// [`ArchiveError`]; nothing is kept of a refused archive.
pub fn unpack(bytes: &[u8], limits: &ArchiveLimits) -> Result<SourceTree, ArchiveError> {
    let mut stream = TarStream { inner: GzDecoder::new(bytes), at: 0 };
    let mut tree = SourceTree::default();
    let mut folders = Vec::new();
    let (mut entries, mut total) = (0, 0u64);
    while let Some(header) = stream.next_header()? {
        let raw = header.path_bytes();
        let entry = shown(&raw);
        entries += 1;
        if entries > limits.entries {
            return Err(ArchiveError::TooManyEntries { entry, limit: limits.entries });
        }
        let is_folder = is_folder(&header, &entry)?;
        let path = std::str::from_utf8(&raw).map_err(|_| ArchiveError::NotUtf8 { entry: entry.clone() })?;
        // Only a folder's path may end in a slash.
        let path = if is_folder { path.strip_suffix('/').unwrap_or(path) } else { path };
        check_path(path).map_err(|cause| ArchiveError::Path { entry: entry.clone(), cause })?;

        let malformed = |cause| ArchiveError::Header { at: stream.at - BLOCK as u64, cause };
        let size = header.entry_size().map_err(|_| malformed("its size is not a number"))?;
        if is_folder {
            if size != 0 {
                return Err(malformed("a folder has contents"));
            }
            folders.push(path.to_owned());
            continue;
        }
        if size > limits.file_bytes {
            return Err(ArchiveError::FileTooLarge { entry, size, limit: limits.file_bytes });
        }
        total += size;
        if total > limits.total_bytes {
            return Err(ArchiveError::TotalTooLarge { entry, limit: limits.total_bytes });
        }
        let content = stream.content(size)?;
        tree.insert(path, content).map_err(|cause| ArchiveError::Path { entry, cause })?;
    }
    let is_file = |path: &str| tree.get(path).is_some();
    if let Some(folder) = folders.iter().find(|folder| is_file(folder) || folders_of(folder).any(is_file)) {
        return Err(ArchiveError::Path { entry: shown(folder.as_bytes()), cause: PathError::FileAndFolder });
    }
    let rest = stream.finish()?;
    match rest {
        [] if tree.is_empty() => Err(ArchiveError::Empty),
        [] => Ok(tree),
        [0x1f, 0x8b, ..] => Err(ArchiveError::SecondMember),
        _ => Err(ArchiveError::TrailingBytes(rest.len())),
    }
}

/// Whether an entry is a folder (or else a regular file).
fn is_folder(header: &Header, entry: &str) -> Result<bool, ArchiveError> {
    let entry = entry.to_owned();
    match header.entry_type() {
        EntryType::Regular => Ok(false),
        EntryType::Directory => Ok(true),
        EntryType::Link | EntryType::Symlink => Err(ArchiveError::Link { entry }),
        EntryType::Char | EntryType::Block => Err(ArchiveError::Device { entry }),
        EntryType::Fifo => Err(ArchiveError::Fifo { entry }),
        other => Err(ArchiveError::Kind { entry, kind: other.as_byte() }),
    }
}

/// A path for people: escaped, at most 300 characters.
fn shown(path: &[u8]) -> String {
    path.escape_ascii().to_string().chars().take(300).collect()
}

/// The unpacked tar, block by block.
struct TarStream<'a> {
    inner: GzDecoder<&'a [u8]>,
    /// Bytes read so far.
    at: u64,
}

impl<'a> TarStream<'a> {
    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), ArchiveError> {
        self.inner.read_exact(buffer).map_err(cause)?;
        self.at += buffer.len() as u64;
        Ok(())
    }

    /// The next entry's header, or `None` at the end marker, two blocks of zeros.
    fn next_header(&mut self) -> Result<Option<Header>, ArchiveError> {
        let at = self.at;
        let mut header = Header::new_old();
        self.fill(header.as_mut_bytes())?;
        if header.as_bytes().iter().all(|b| *b == 0) {
            let mut second = [0; BLOCK];
            self.fill(&mut second)?;
            let malformed = ArchiveError::Header { at, cause: "one block of zeros" };
            return if second == [0; BLOCK] { Ok(None) } else { Err(malformed) };
        }
        let bytes = header.as_bytes();
        // The checksum is taken with its own field, bytes 148 to 155, as spaces.
        let sum: u32 = bytes.iter().map(|b| u32::from(*b)).sum::<u32>()
            - bytes[148..156].iter().map(|b| u32::from(*b)).sum::<u32>()
            + 8 * u32::from(b' ');
        match header.cksum() {
            Ok(stated) if stated == sum => Ok(Some(header)),
            _ => Err(ArchiveError::Header { at, cause: "its checksum does not hold" }),
        }
    }

    /// A file's bytes; `size` is within the limits.
    fn content(&mut self, size: u64) -> Result<Vec<u8>, ArchiveError> {
        let mut content = Vec::new();
        // `take` and no capacity: what is allocated follows what is there.
        let read = self.inner.by_ref().take(size).read_to_end(&mut content).map_err(cause)? as u64;
        if read < size {
            return Err(ArchiveError::Truncated);
        }
        self.at += size;
        let padding = (BLOCK - content.len() % BLOCK) % BLOCK;
        self.fill(&mut [0; BLOCK][..padding])?;
        Ok(content)
    }

    /// Reads to the end of the gzip member, which checks its checksum, and gives what follows it.
    ///
    /// After its end marker a tar is filled with zeros to a multiple of its record size, 10 KiB unless told otherwise.
    fn finish(mut self) -> Result<&'a [u8], ArchiveError> {
        const MOST_FILLING: u64 = 1 << 20;
        let mut filling = 0;
        loop {
            let mut buffer = [0; 4096];
            let read = self.inner.read(&mut buffer).map_err(cause)?;
            filling += read as u64;
            if read == 0 {
                return Ok(self.inner.into_inner());
            }
            if filling > MOST_FILLING || buffer[..read].iter().any(|b| *b != 0) {
                return Err(ArchiveError::AfterEnd);
            }
        }
    }
}

fn cause(error: io::Error) -> ArchiveError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => ArchiveError::Truncated,
        _ => ArchiveError::Gzip(error),
    }
}

/// Writes a source tree as a gzip'ed ustar archive: one tree, one sequence of bytes.
///
/// Files only, sorted by path, mode 0644, owner 0, time 0, no names of people in it.
///
/// # Errors
/// The path that ustar has no room for: one of over 100 bytes that cannot be split at a `/` into 155 and 100.
pub fn pack(tree: &SourceTree) -> Result<Vec<u8>, PathDoesNotFit> {
    write(tree, Compression::best())
}

/// As [`pack`], but stored and not compressed: for whoever packs many, and does not want to measure that.
///
/// # Errors
/// As [`pack`].
pub fn pack_stored(tree: &SourceTree) -> Result<Vec<u8>, PathDoesNotFit> {
    write(tree, Compression::none())
}

fn write(tree: &SourceTree, compression: Compression) -> Result<Vec<u8>, PathDoesNotFit> {
    let mut gzip = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), compression);
    for (path, content) in tree.files() {
        let mut header = Header::new_ustar();
        header.set_path(path).map_err(|_| PathDoesNotFit(path.to_owned()))?;
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_entry_type(EntryType::Regular);
        header.set_cksum();
        let padding = (BLOCK - content.len() % BLOCK) % BLOCK;
        for part in [header.as_bytes().as_slice(), content, &[0; BLOCK][..padding]] {
            gzip.write_all(part).expect("writing to memory does not fail");
        }
    }
    gzip.write_all(&[0; 2 * BLOCK]).expect("writing to memory does not fail");
    Ok(gzip.finish().expect("writing to memory does not fail"))
}

/// A path that a ustar header has no room for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path {0} does not fit into a tar header: more than 100 bytes, and no / to split it at")]
pub struct PathDoesNotFit(pub String);

/// Why a folder is not a source tree.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// Cannot be read.
    #[error("read {path}: {cause}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        cause: io::Error,
    },
    /// Neither a file nor a folder.
    #[error("{0} is neither a file nor a folder")]
    Kind(PathBuf),
    /// A name that is not UTF-8.
    #[error("{0} is not UTF-8")]
    NotUtf8(PathBuf),
    /// A path that a source tree does not take.
    #[error("{path}: {cause}")]
    Path {
        /// The path below the folder.
        path: String,
        /// The rule it breaks.
        cause: PathError,
    },
    /// More than the limits allow.
    #[error("{path} is over the limit: {limits:?}")]
    OverLimit {
        /// The path that went over.
        path: String,
        /// All limits.
        limits: ArchiveLimits,
    },
}

/// Reads a folder from the disk as a source tree. Links are refused, not followed.
///
/// # Errors
/// [`FolderError`].
pub fn read_folder(folder: &Path, limits: &ArchiveLimits) -> Result<SourceTree, FolderError> {
    let mut tree = SourceTree::default();
    let (mut entries, mut total) = (0, 0);
    let mut open = vec![(folder.to_owned(), String::new())];
    while let Some((folder, prefix)) = open.pop() {
        let io = |cause| FolderError::Io { path: folder.clone(), cause };
        for entry in std::fs::read_dir(&folder).map_err(io)? {
            let entry = entry.map_err(io)?;
            let name = entry.file_name().into_string().map_err(|_| FolderError::NotUtf8(entry.path()))?;
            let path = format!("{prefix}{name}");
            check_path(&path).map_err(|cause| FolderError::Path { path: path.clone(), cause })?;
            entries += 1;
            let kind = entry.file_type().map_err(io)?;
            if kind.is_dir() && entries <= limits.entries {
                open.push((entry.path(), format!("{path}/")));
                continue;
            }
            if !kind.is_dir() && !kind.is_file() {
                return Err(FolderError::Kind(entry.path()));
            }
            let content = read_capped(&entry.path(), limits.file_bytes)
                .map_err(|cause| FolderError::Io { path: entry.path(), cause })?;
            total += content.len() as u64;
            let fits = content.len() as u64 <= limits.file_bytes && total <= limits.total_bytes;
            if entries > limits.entries || !fits {
                return Err(FolderError::OverLimit { path, limits: *limits });
            }
            tree.insert(&path, content).map_err(|cause| FolderError::Path { path, cause })?;
        }
    }
    Ok(tree)
}

/// At most one byte more than `limit`, so that the caller sees that there is more.
fn read_capped(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    io::BufReader::new(std::fs::File::open(path)?).take(limit + 1).read_to_end(&mut content)?;
    Ok(content)
}

//! What a server said that must hold for ever: a file of lines that only grows.
//!
//! The first line is [`HEADER`]. Each other is `receipt` or `checkpoint`, a space, and the base64 of a receipt's
//! COSE_Sign1 or of a signed note, whose signatures make a checksum superfluous.
//!
//! **What counts.** A submission counts as accepted once its line is written (with `sync`, on the disk), and not before:
//! no report has one in it whose line is cut off. So a last line without its end, which was being written when the process
//! was killed or the disk was full, is passed over, and cut off by the next run. The server may have acknowledged that
//! submission: then it is not held to it, and never is it held to anything that it did not sign. Lines are written one
//! at a time, so that is at most one for each end.
//!
//! **After a line that failed** none is written: what came of it is not known, and what followed would stand in one line
//! with its beginning. A line that is there though it was reported as failed (a sync that failed) is as true as any.
//! A whole line that is neither is no run's doing, and the file is refused; so is one that ends within its first line.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// First line of a journal.
pub const HEADER: &str = "pds-hammer-journal-v1";
/// Most bytes of a line: a note of 64 KiB in base64, and the word before it.
const LINE_BYTES: u64 = 128 << 10;

/// A journal that is being written. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Journal {
    lines: Arc<Mutex<Lines>>,
    sync: bool,
}

/// Where lines go, until one fails.
#[derive(Debug)]
struct Lines {
    file: File,
    has_failed: bool,
}

/// One line of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A receipt that was verified: a COSE_Sign1.
    Receipt(Vec<u8>),
    /// A checkpoint that was verified: a note.
    Checkpoint(Vec<u8>),
}

/// Why a file is no journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It cannot be read or written.
    #[error("{}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It begins with something else.
    #[error("{} is no journal of pds hammer: its first line is not {HEADER}", .0.display())]
    Header(PathBuf),
    /// A line in it is none of a journal.
    #[error("{}:{line} is neither a receipt nor a checkpoint in base64", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
}

impl Journal {
    /// Begins a journal, or goes on with one. With `sync`, each line is on the disk before it counts.
    ///
    /// # Errors
    /// [`JournalError`].
    pub fn open(path: &Path, sync: bool) -> Result<Self, JournalError> {
        let io = |source| JournalError::Io { path: path.to_owned(), source };
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = opened.map_err(io)?;
        let lines = whole_lines(&mut file).map_err(io)?;
        if lines == 0 {
            let mut begun = String::new();
            let read = (&file).take(LINE_BYTES).read_to_string(&mut begun);
            if read.is_err() || !HEADER.starts_with(&begun) {
                return Err(JournalError::Header(path.to_owned()));
            }
            file.seek(SeekFrom::Start(0)).map_err(io)?;
            file.write_all(format!("{HEADER}\n").as_bytes()).map_err(io)?;
        } else {
            check_header(path, &mut BufReader::new(&file))?;
            // A line that was being written is cut off, so that the next one stands alone.
            file.set_len(lines).map_err(io)?;
            file.seek(SeekFrom::Start(lines)).map_err(io)?;
        }
        if sync {
            file.sync_all().map_err(io)?;
        }
        Ok(Self::on(file, sync))
    }

    fn on(file: File, sync: bool) -> Self {
        Self { lines: Arc::new(Mutex::new(Lines { file, has_failed: false })), sync }
    }

    /// Writes down an acknowledgement, whose receipt is this base64.
    ///
    /// # Errors
    /// What the system says; then nothing more is written to this journal.
    pub async fn receipt(&self, base64: &str) -> io::Result<()> {
        self.append(format!("receipt {base64}\n")).await
    }

    /// Writes down a checkpoint.
    ///
    /// # Errors
    /// As [`Journal::receipt`].
    pub async fn checkpoint(&self, note: &str) -> io::Result<()> {
        self.append(format!("checkpoint {}\n", STANDARD.encode(note))).await
    }

    async fn append(&self, line: String) -> io::Result<()> {
        if !self.sync {
            return self.lines.lock().unwrap_or_else(PoisonError::into_inner).append(&line, false);
        }
        let lines = Arc::clone(&self.lines);
        let append = move || lines.lock().unwrap_or_else(PoisonError::into_inner).append(&line, true);
        tokio::task::spawn_blocking(append).await.map_err(io::Error::other)?
    }
}

impl Lines {
    fn append(&mut self, line: &str, sync: bool) -> io::Result<()> {
        if self.has_failed {
            return Err(io::Error::other("nothing is written behind a line that failed"));
        }
        let written = self.file.write_all(line.as_bytes());
        let written = if sync { written.and_then(|()| self.file.sync_data()) } else { written };
        self.has_failed = written.is_err();
        written
    }
}

/// All that a journal says.
///
/// # Errors
/// [`JournalError`].
pub fn read(path: &Path) -> Result<Vec<Entry>, JournalError> {
    let file = File::open(path).map_err(|source| JournalError::Io { path: path.to_owned(), source })?;
    read_from(path, file)
}

/// As [`read`], from the open file at `path`.
///
/// # Errors
/// As there.
pub fn read_from(path: &Path, mut file: impl Read + Seek) -> Result<Vec<Entry>, JournalError> {
    let io = |source| JournalError::Io { path: path.to_owned(), source };
    let whole = whole_lines(&mut file).map_err(io)?;
    let mut reader = BufReader::new(file.take(whole));
    check_header(path, &mut reader)?;
    let mut entries = Vec::new();
    for line in 2.. {
        let Some(text) = next_line(&mut reader).map_err(io)? else { break };
        let entry = parse(&text).ok_or_else(|| JournalError::Line { path: path.to_owned(), line })?;
        entries.push(entry);
    }
    Ok(entries)
}

fn parse(line: &str) -> Option<Entry> {
    let (kind, base64) = line.split_once(' ')?;
    let bytes = STANDARD.decode(base64).ok()?;
    match kind {
        "receipt" => Some(Entry::Receipt(bytes)),
        "checkpoint" => Some(Entry::Checkpoint(bytes)),
        _ => None,
    }
}

fn check_header(path: &Path, reader: &mut impl BufRead) -> Result<(), JournalError> {
    let first = next_line(reader).map_err(|source| JournalError::Io { path: path.to_owned(), source })?;
    if first.as_deref() == Some(HEADER) { Ok(()) } else { Err(JournalError::Header(path.to_owned())) }
}

/// A line without its end; an empty one for bytes that are no text, or too long.
fn next_line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    if reader.take(LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    let text = line.strip_suffix(b"\n").and_then(|line| std::str::from_utf8(line).ok());
    Ok(Some(text.unwrap_or_default().to_owned()))
}

/// Bytes up to the end of the last whole line.
fn whole_lines(file: &mut (impl Read + Seek)) -> io::Result<u64> {
    let length = file.seek(SeekFrom::End(0))?;
    let tail = length.min(LINE_BYTES);
    file.seek(SeekFrom::Start(length - tail))?;
    let mut bytes = Vec::new();
    file.take(tail).read_to_end(&mut bytes)?;
    file.seek(SeekFrom::Start(0))?;
    let last = bytes.iter().rposition(|byte| *byte == b'\n');
    Ok(last.map_or(0, |at| length - tail + at as u64 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn journal_is_read_as_written_and_goes_on_behind_a_torn_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let journal = Journal::open(&path, true).unwrap();
        journal.receipt("AQID").await.unwrap();
        journal.checkpoint("a note\n").await.unwrap();
        drop(journal);
        let mut expect = vec![Entry::Receipt(vec![1, 2, 3]), Entry::Checkpoint(b"a note\n".to_vec())];
        assert_eq!(read(&path).unwrap(), expect);

        let mut torn = std::fs::read(&path).unwrap();
        torn.extend(b"receipt AQ");
        std::fs::write(&path, torn).unwrap();
        assert_eq!(read(&path).unwrap(), expect);
        Journal::open(&path, false).unwrap().receipt("BAUG").await.unwrap();
        expect.push(Entry::Receipt(vec![4, 5, 6]));
        assert_eq!(read(&path).unwrap(), expect);
    }

    /// A disk that is full in the middle of a line, and then has room again.
    #[tokio::test]
    async fn nothing_is_written_behind_a_line_that_failed_midway() {
        let (disk, mut rest) = std::os::unix::net::UnixStream::pair().unwrap();
        disk.set_nonblocking(true).unwrap();
        rest.set_nonblocking(true).unwrap();
        let journal = Journal::on(File::from(std::os::fd::OwnedFd::from(disk)), false);
        let line = "A".repeat(100_000);
        while journal.receipt(&line).await.is_ok() {}
        let mut written = Vec::new();
        assert_eq!(rest.read_to_end(&mut written).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let last = written.rsplit(|byte| *byte == b'\n').next().unwrap();
        assert!(last.starts_with(b"receipt A") && last.len() < line.len(), "{} bytes", last.len());
        assert!(journal.receipt("AQID").await.is_err());
        drop(journal);
        assert_eq!(rest.read_to_end(&mut written).unwrap(), 0);
    }

    /// However the last line is cut off.
    #[test]
    fn journal_says_what_its_whole_lines_say() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let whole = format!("{HEADER}\nreceipt AQID\n");
        let last = "checkpoint YSBub3RlCg==\n";
        for cut in 0..last.len() {
            std::fs::write(&path, [&whole, &last[..cut]].concat()).unwrap();
            assert_eq!(read(&path).unwrap(), [Entry::Receipt(vec![1, 2, 3])], "{cut}");
        }
        std::fs::write(&path, [&whole, last].concat()).unwrap();
        assert_eq!(read(&path).unwrap().len(), 2);
    }

    #[test]
    fn file_is_refused_when_it_is_no_journal() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for precious in ["precious\n", "precious", "pds-precious"] {
            std::fs::write(&path, precious).unwrap();
            assert!(matches!(Journal::open(&path, false), Err(JournalError::Header(_))));
            assert!(matches!(read(&path), Err(JournalError::Header(_))));
            assert_eq!(std::fs::read_to_string(&path).unwrap(), precious);
        }
        for line in ["receipt", "receipt !", "promise AQID", "", "receipt AQID "] {
            std::fs::write(&path, format!("{HEADER}\nreceipt AQID\n{line}\n")).unwrap();
            assert!(matches!(read(&path), Err(JournalError::Line { line: 3, .. })), "{line}");
        }
        assert!(matches!(read(folder.path()), Err(JournalError::Io { .. })));
        // Cut off while it was begun.
        std::fs::write(&path, &HEADER[..5]).unwrap();
        drop(Journal::open(&path, false).unwrap());
        assert_eq!(read(&path).unwrap(), []);
    }
}

//! What a server said that must hold for ever: a file of lines that only grows.
//!
//! The first line is [`HEADER`]. Each other is `receipt` or `checkpoint`, a space, and the base64 of a receipt's
//! COSE_Sign1 or of a signed note, whose signatures make a checksum superfluous. A last line without its end was being
//! written when the machine or the process stopped, and says nothing.

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
    file: Arc<Mutex<File>>,
    sync: bool,
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
        let lines = whole_lines(&file).map_err(io)?;
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
        Ok(Self { file: Arc::new(Mutex::new(file)), sync })
    }

    /// Writes down an acknowledgement, whose receipt is this base64.
    ///
    /// # Errors
    /// What the system says.
    pub async fn receipt(&self, base64: &str) -> io::Result<()> {
        self.append(format!("receipt {base64}\n")).await
    }

    /// Writes down a checkpoint.
    ///
    /// # Errors
    /// What the system says.
    pub async fn checkpoint(&self, note: &str) -> io::Result<()> {
        self.append(format!("checkpoint {}\n", STANDARD.encode(note))).await
    }

    async fn append(&self, line: String) -> io::Result<()> {
        if !self.sync {
            return self.file.lock().unwrap_or_else(PoisonError::into_inner).write_all(line.as_bytes());
        }
        let file = Arc::clone(&self.file);
        let written = tokio::task::spawn_blocking(move || {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            file.write_all(line.as_bytes())?;
            file.sync_data()
        });
        written.await.map_err(io::Error::other)?
    }
}

/// All that a journal says.
///
/// # Errors
/// [`JournalError`].
pub fn read(path: &Path) -> Result<Vec<Entry>, JournalError> {
    let io = |source| JournalError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(io)?;
    let whole = whole_lines(&file).map_err(io)?;
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
fn whole_lines(file: &File) -> io::Result<u64> {
    let mut file = file;
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

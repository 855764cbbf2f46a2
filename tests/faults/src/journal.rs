//! What the world was told: kept outside the faulty disk, and never taken back.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::{Context, bail};
use pds_log_server::sequencer::Acknowledged;
use pds_log_server::shared::Published;
use pds_schemas::Digest;

/// A line of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A submission was acknowledged.
    Acknowledged {
        /// SHA-256 of the submission.
        digest: Digest,
        /// Its place in the queue.
        index: u64,
        /// The signed receipt.
        receipt: Vec<u8>,
    },
    /// An epoch was published.
    Head {
        /// Epochs in the log.
        size: u64,
        /// The signed checkpoint.
        checkpoint: Vec<u8>,
        /// The COSE_Sign1 of the last epoch's STR.
        entry: Vec<u8>,
    },
    /// The validator did not start; why.
    Refused(String),
    /// The validator accepts and signs no more; why.
    Halted(String),
    /// A run came to its end.
    Ended,
    /// The validator did what it must not.
    Broken(String),
}

/// A journal that is being written; each line is there once it is said.
#[derive(Debug)]
pub struct Journal {
    file: File,
}

impl Journal {
    /// Goes on with the journal `file`.
    ///
    /// # Errors
    /// The system's.
    pub fn open(file: &Path) -> std::io::Result<Self> {
        Ok(Self { file: File::options().append(true).create(true).open(file)? })
    }

    /// A submission was acknowledged.
    ///
    /// # Errors
    /// The system's.
    pub fn acknowledged(&mut self, digest: &Digest, acknowledged: &Acknowledged) -> std::io::Result<()> {
        let entry = &acknowledged.entry;
        self.line(&format!("acknowledged {digest} {} {}", entry.index, hex::encode(&entry.receipt)))
    }

    /// An epoch was published.
    ///
    /// # Errors
    /// The system's.
    pub fn head(&mut self, published: &Published) -> std::io::Result<()> {
        let (head, entry) = (&published.head, hex::encode(&published.entry));
        self.line(&format!("head {} {} {entry}", head.size.0, hex::encode(head.checkpoint.as_bytes())))
    }

    /// One of the lines that have a text: `refused`, `halted`, `broken`; or `ended`.
    ///
    /// # Errors
    /// The system's.
    pub fn say(&mut self, kind: &str, text: &str) -> std::io::Result<()> {
        self.line(&format!("{kind} {}", text.replace('\n', " ")))
    }

    fn line(&mut self, line: &str) -> std::io::Result<()> {
        self.file.write_all(format!("{line}\n").as_bytes())
    }
}

/// Reads a journal; an empty one if there is no file.
///
/// # Errors
/// When it is malformed or cannot be read.
pub fn read(file: &Path) -> anyhow::Result<Vec<Line>> {
    if !file.exists() {
        return Ok(Vec::new());
    }
    let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    text.lines().map(|line| parse(line).with_context(|| format!("{}: {line}", file.display()))).collect()
}

fn parse(line: &str) -> anyhow::Result<Line> {
    let (kind, rest) = line.split_once(' ').context("a line has a kind")?;
    let words: Vec<&str> = rest.split(' ').collect();
    Ok(match (kind, &words[..]) {
        ("acknowledged", [digest, index, receipt]) => Line::Acknowledged {
            digest: digest.parse()?,
            index: index.parse()?,
            receipt: hex::decode(receipt)?,
        },
        ("head", [size, checkpoint, entry]) => Line::Head {
            size: size.parse()?,
            checkpoint: hex::decode(checkpoint)?,
            entry: hex::decode(entry)?,
        },
        ("refused", _) => Line::Refused(rest.to_owned()),
        ("halted", _) => Line::Halted(rest.to_owned()),
        ("ended", _) => Line::Ended,
        ("broken", _) => Line::Broken(rest.to_owned()),
        _ => bail!("no such line"),
    })
}

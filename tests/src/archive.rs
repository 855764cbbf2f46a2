//! Archives that no honest packer writes.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{EntryType, Header};

/// One entry of a tar, with whatever path it says.
pub struct Entry<'a> {
    /// Written as it is; at most 100 bytes.
    pub path: &'a str,
    /// Kind of entry.
    pub kind: EntryType,
    /// Where a link points.
    pub link: &'a str,
    /// Contents.
    pub content: &'a [u8],
}

/// A regular file.
pub fn file<'a>(path: &'a str, content: &'a [u8]) -> Entry<'a> {
    Entry { path, kind: EntryType::Regular, link: "", content }
}

/// An entry without contents.
pub fn special<'a>(path: &'a str, kind: EntryType, link: &'a str) -> Entry<'a> {
    Entry { path, kind, link, content: &[] }
}

/// A gzip'ed ustar archive of `entries`.
pub fn archive<'a>(entries: impl IntoIterator<Item = Entry<'a>>) -> Vec<u8> {
    let mut tar = Vec::new();
    for entry in entries {
        let mut header = Header::new_ustar();
        header.as_old_mut().name[..entry.path.len()].copy_from_slice(entry.path.as_bytes());
        header.as_old_mut().linkname[..entry.link.len()].copy_from_slice(entry.link.as_bytes());
        header.set_entry_type(entry.kind);
        header.set_size(entry.content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        tar.extend_from_slice(header.as_bytes());
        tar.extend_from_slice(entry.content);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + 1024, 0);
    gzip(&tar)
}

/// `bytes` as one gzip member.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

//! What a developer sends: archives, bytecode, uploads.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::LazyLock;

use flate2::Compression;
use flate2::write::GzEncoder;
use pds_core::cose::{self, CoseError, SigningKey, public_key, signing_key};
use pds_core::hash::sha256;
use pds_log_server::intake;
use pds_plugin::archive::{ArchiveLimits, pack, unpack};
use pds_plugin::manifest::source_of;
use pds_plugin::source::{SourceTree, check_path, source_digest};
use pds_schemas::cose::{CoseSign1, SignedKind};
use pds_schemas::{Artefact, Digest, ObjectMap, OwnerRecord, PluginName, Release, Submission, Upload};
use pds_service::http::Client;
use pds_validator::structure::{StructureLimits, StructureReport, verify};
use tar::Header;

use crate::elf::Elf;
use crate::feed::Feed;
use crate::trees::tree_digest;

/// Small enough that a fuzzer meets them.
const LIMITS: ArchiveLimits = ArchiveLimits { entries: 8, file_bytes: 2048, total_bytes: 4096 };
/// Size of a tar's blocks.
const BLOCK: usize = 512;

/// An archive: as it is, as a tar to be compressed, or as a list of entries.
pub fn archive(bytes: &[u8]) {
    let mut feed = Feed(bytes);
    let archive = match feed.byte() % 4 {
        0 => feed.rest().to_vec(),
        1 => gzip(&with_checksums(feed.rest().to_vec())),
        _ => gzip(&tar_of(&mut feed)),
    };
    let Ok(tree) = unpack(&archive, &LIMITS) else { return };
    let sizes: Vec<u64> = tree.files().map(|(_, content)| content.len() as u64).collect();
    assert!((1..=LIMITS.entries).contains(&tree.len()));
    assert!(sizes.iter().all(|size| *size <= LIMITS.file_bytes));
    assert!(sizes.iter().sum::<u64>() <= LIMITS.total_bytes);
    assert!(tree.files().all(|(path, _)| check_path(path).is_ok() && !tree.is_folder(path)));
    assert_eq!(source_digest(&tree), tree_digest(tree.files()));
    if let Ok(packed) = pack(&tree) {
        assert_eq!(unpack(&packed, &LIMITS).expect("what was packed"), tree);
    }
}

fn gzip(tar: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(tar).expect("writing to memory does not fail");
    gzip.finish().expect("writing to memory does not fail")
}

/// The tar with every header's checksum made right, header by header as far as sizes lead to one.
fn with_checksums(mut tar: Vec<u8>) -> Vec<u8> {
    let mut at = 0;
    while let Some(block) = tar.get_mut(at..at + BLOCK) {
        let mut header = Header::new_old();
        header.as_mut_bytes().copy_from_slice(block);
        if block.iter().any(|byte| *byte != 0) {
            header.set_cksum();
            block.copy_from_slice(header.as_bytes());
        }
        let size = header.entry_size().unwrap_or(0).min(1 << 20);
        at += BLOCK + usize::try_from(size).expect("at most a mebibyte").next_multiple_of(BLOCK);
    }
    tar
}

/// A tar of the entries that the feed describes: kind, path, stated size, contents.
fn tar_of(feed: &mut Feed<'_>) -> Vec<u8> {
    let mut tar = Vec::new();
    for _ in 0..feed.below(12) {
        let kind = feed.byte();
        let mut header = if kind & 0x80 == 0 { Header::new_ustar() } else { Header::new_gnu() };
        let path = feed.chunk();
        let path = &path[..path.len().min(100)];
        header.as_old_mut().name[..path.len()].copy_from_slice(path);
        header.as_old_mut().linkflag = [if kind & 0x40 == 0 { b'0' + (kind & 1) * 5 } else { kind & 0x7f }];
        let prefix = if kind & 0x20 == 0 { &[][..] } else { feed.chunk() };
        if let Some(ustar) = header.as_ustar_mut() {
            let prefix = &prefix[..prefix.len().min(155)];
            ustar.prefix[..prefix.len()].copy_from_slice(prefix);
        }
        let content =
            if kind & 1 == 0 { feed.chunk().repeat(1 + usize::from(kind >> 1 & 15)) } else { Vec::new() };
        header.set_size(content.len() as u64);
        if kind & 0x60 == 0x60 {
            let size = feed.chunk();
            let size = &size[..size.len().min(12)];
            header.as_old_mut().size[..size.len()].copy_from_slice(size);
        }
        header.set_cksum();
        tar.extend_from_slice(header.as_bytes());
        tar.extend_from_slice(&content);
        tar.resize(tar.len().next_multiple_of(BLOCK), 0);
    }
    tar.resize(tar.len() + BLOCK * (2 + feed.below(3)), 0);
    tar.extend_from_slice(feed.rest());
    tar
}

/// An object: as it is, or code, symbols and relocations in a well-formed ELF file.
pub fn structure(bytes: &[u8]) {
    let mut feed = Feed(bytes);
    let limits = StructureLimits::default();
    if feed.byte() % 4 == 0 {
        let object = feed.rest();
        let verdict = verify(object, &limits);
        assert_eq!(verdict, verify(object, &limits));
        return;
    }
    let elf = Elf::of_feed(&mut feed);
    if let Ok(report) = verify(&elf.bytes(), &limits) {
        assert_sound(&elf, &report, &limits);
    }
}

/// That execution, whichever way jumps go, stays inside the code and ends only at an exit.
fn assert_sound(elf: &Elf, report: &StructureReport, limits: &StructureLimits) {
    let slots: Vec<&[u8; 8]> = elf.code.as_chunks().0.iter().collect();
    assert_eq!(report.instructions as usize, slots.len());
    assert!(report.checked_instructions as usize <= limits.checked_slots);
    assert!(i32::from(report.stack_bytes) <= i32::from(limits.stack_bytes));
    let (mut seen, mut open) = (BTreeSet::new(), vec![0]);
    while let Some(at) = open.pop() {
        assert!(at < slots.len(), "execution leaves the code at {at}");
        if !seen.insert(at) {
            continue;
        }
        let opcode = slots[at][0];
        let jump = || {
            let offset = isize::from(i16::from_le_bytes([slots[at][2], slots[at][3]]));
            (at + 1).checked_add_signed(offset).expect("a jump before the code")
        };
        match opcode {
            0x95 => {}
            0x05 => open.push(jump()),
            0x85 => open.push(at + 1),
            0x18 => {
                assert_eq!(slots[at + 1][0], 0, "half a 64-bit load at {at}");
                assert!(!seen.contains(&(at + 1)));
                open.push(at + 2);
            }
            0 => panic!("execution begins in the middle of a 64-bit load at {at}"),
            _ if matches!(opcode & 7, 5 | 6) => open.extend([jump(), at + 1]),
            _ => open.push(at + 1),
        }
    }
}

/// The developer whose uploads are made here.
pub static DEVELOPER: LazyLock<SigningKey> = LazyLock::new(|| signing_key(&[3; 32]));
/// The manifest that edits begin with.
pub const MANIFEST: &[u8] = b"org.example.pacing\nsmooth pre a.o\nlost param 2 replace lib/b.o\n";

/// The body of `POST /submissions`: as it is, or an archive of edited files under a submission signed for it.
pub fn intake(bytes: &[u8]) {
    let mut feed = Feed(bytes);
    let body = if feed.byte() % 4 == 0 { feed.rest().to_vec() } else { upload(&mut feed) };
    let Ok(candidate) = intake::check(&body, Client::Many) else { return };
    let upload = Upload { signed: candidate.signed.clone(), archive: candidate.archive.clone() };
    assert_eq!(upload.to_bytes(), body);
    let signed = CoseSign1::from_bytes(&candidate.signed).expect("it was accepted");
    let opened: Result<Submission, CoseError> =
        cose::open(&candidate.signed, SignedKind::Submission, &signed.key);
    let submission = &candidate.submission;
    assert_eq!(opened.as_ref(), Ok(submission));
    assert!(submission.owner.keys.contains(&signed.key) && submission.owner.name == submission.name);
    assert_eq!(candidate.digest, sha256(&submission.to_bytes()));
    let tree = unpack(&candidate.archive, &ArchiveLimits::default()).expect("it was accepted");
    assert_eq!(Some(submission.source), tree_digest(tree.files()));
    let manifest = tree.get(&submission.manifest).expect("it was accepted");
    assert!(
        manifest.windows(submission.name.as_str().len()).any(|w| w == submission.name.as_str().as_bytes())
    );
}

fn upload(feed: &mut Feed<'_>) -> Vec<u8> {
    let manifest = feed.edit(MANIFEST, 3);
    let choices = feed.byte();
    let mut tree = SourceTree::default();
    let folder = if choices & 1 == 0 { "" } else { "src/" };
    let path = format!("{folder}pacing.plugin");
    let mut files = vec![(path.clone(), manifest)];
    for object in ["a.o", "lib/b.o"] {
        files.push((format!("{folder}{}", source_of(object)), b"int f(void) { return 0; }".to_vec()));
    }
    if let Ok(other) = std::str::from_utf8(feed.chunk()) {
        files.push((other.to_owned(), b"more".to_vec()));
    }
    let first = feed.below(files.len());
    files.rotate_left(first);
    files.truncate(4 - usize::from(choices & 2 != 0));
    for (path, content) in files {
        // A path that a tree does not take is for the target of archives.
        let _ = tree.insert(&path, content);
    }
    let name = PluginName::new("org.example.pacing").expect("a plain name");
    let bytecode = (choices & 4 != 0)
        .then(|| ObjectMap::new(["a.o", "lib/b.o"].map(|object| (object.to_owned(), Digest([4; 32])))));
    let submission = Submission {
        name: name.clone(),
        release: Release(1),
        source: source_digest(&tree).unwrap_or(Digest::ZERO),
        manifest: path,
        bytecode,
        owner: OwnerRecord::first(name, public_key(&DEVELOPER)),
    };
    let edited = Submission::from_bytes(&feed.edit(&submission.to_bytes(), 3)).unwrap_or(submission);
    let signed = cose::sign(SignedKind::Submission, &edited, &DEVELOPER).to_bytes();
    let archive = pack(&tree).expect("short paths");
    let upload = Upload { signed: feed.edit(&signed, 2), archive: feed.edit(&archive, 2) };
    upload.to_bytes()
}

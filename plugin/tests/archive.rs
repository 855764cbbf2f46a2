//! Archives from strangers: every refusal, with tars made by hand where the tar crate would not write them.

#![expect(clippy::unwrap_used, reason = "helpers of tests; clippy exempts only the tests")]

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use pds_plugin::archive::{ArchiveError, ArchiveLimits, FolderError, pack, read_folder, unpack};
use pds_plugin::source::{PathError, SourceTree, source_digest};
use proptest::prelude::*;

/// One tar entry with any name, kind and stated size.
fn entry(name: &[u8], kind: u8, size: u64, content: &[u8]) -> Vec<u8> {
    let mut header = [0u8; 512];
    header[..name.len().min(100)].copy_from_slice(&name[..name.len().min(100)]);
    if name.len() > 100 {
        // ustar keeps the front of a long path in a prefix field, up to a slash.
        let slash = name.len() - 101 + name[name.len() - 101..].iter().position(|b| *b == b'/').unwrap();
        header[..100].fill(0);
        header[..name.len() - slash - 1].copy_from_slice(&name[slash + 1..]);
        header[345..345 + slash].copy_from_slice(&name[..slash]);
    }
    header[100..108].copy_from_slice(b"0000644\0");
    header[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    header[156] = kind;
    header[257..265].copy_from_slice(b"ustar\x0000");
    seal(&mut header);
    let mut bytes = header.to_vec();
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// Writes a header's checksum.
fn seal(header: &mut [u8]) {
    header[148..156].fill(b' ');
    let sum: u32 = header[..512].iter().map(|b| u32::from(*b)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

fn file(name: &str, content: &[u8]) -> Vec<u8> {
    entry(name.as_bytes(), b'0', content.len() as u64, content)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn archive(entries: &[Vec<u8>]) -> Vec<u8> {
    gzip(&[entries.concat(), vec![0; 1024]].concat())
}

fn read(bytes: &[u8]) -> Result<SourceTree, ArchiveError> {
    unpack(bytes, &ArchiveLimits::default())
}

fn refusal(entries: &[Vec<u8>]) -> ArchiveError {
    read(&archive(entries)).expect_err("hostile")
}

#[test]
fn archive_is_read_when_it_has_files_and_folders() {
    let folder = entry(b"a/", b'5', 0, b"");
    let long = format!("{}/{}", "x".repeat(120), "y".repeat(90));
    let old_kind = entry(b"z", 0, 1, b"z");
    let tree = read(&archive(&[folder, file("a/b.c", b"int x;"), file(&long, b""), old_kind])).unwrap();
    let files: Vec<(&str, &[u8])> = tree.files().collect();
    assert_eq!(files, [("a/b.c", b"int x;".as_slice()), (&long, b""), ("z", b"z")]);
}

#[test]
fn archive_of_another_tar_program_is_read() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("p")).unwrap();
    std::fs::write(folder.path().join("p/a.c"), "int a;").unwrap();
    let tar =
        std::process::Command::new("tar").args(["-C"]).arg(folder.path()).args(["-czf", "-", "p"]).output();
    let tree = read(&tar.expect("tar is installed").stdout).unwrap();
    assert_eq!(tree.files().collect::<Vec<_>>(), [("p/a.c", b"int a;".as_slice())]);
}

#[test]
fn path_is_refused_when_it_leaves_the_tree_or_is_ambiguous() {
    let check = |name: &str, expect: PathError| match refusal(&[file(name, b"")]) {
        ArchiveError::Path { cause, .. } => assert_eq!(cause, expect, "{name:?}"),
        other => panic!("{name:?}: {other}"),
    };
    let dot = |text: &str| PathError::DotComponent(text.into());
    check("../evil.c", dot(".."));
    check("a/../../evil.c", dot(".."));
    check("./a.c", dot("."));
    check("/etc/passwd", PathError::Absolute);
    check("a\\..\\b.c", PathError::Backslash);
    check("a\nb.c", PathError::ControlCharacter);
    check("a//b.c", PathError::EmptyComponent);
    check("folder/", PathError::EmptyComponent);
    check("", PathError::Empty);
    check(&["d"; 17].join("/"), PathError::TooDeep(17));
    check(&format!("{}/{}", "x".repeat(155), "y".repeat(95)), PathError::TooLong(251));
    let folder = refusal(&[entry(b"../", b'5', 0, b"")]);
    assert!(matches!(folder, ArchiveError::Path { cause: PathError::DotComponent(_), .. }), "{folder}");
    let binary = refusal(&[entry(b"a\xff.c", b'0', 0, b"")]);
    assert!(matches!(&binary, ArchiveError::NotUtf8 { entry } if entry == "a\\xff.c"), "{binary}");
}

#[test]
fn entry_is_refused_when_it_is_not_a_file_or_folder() {
    for (kind, is_right) in [
        (b'1', (|e| matches!(e, ArchiveError::Link { .. })) as fn(ArchiveError) -> bool),
        (b'2', |e| matches!(e, ArchiveError::Link { .. })),
        (b'3', |e| matches!(e, ArchiveError::Device { .. })),
        (b'4', |e| matches!(e, ArchiveError::Device { .. })),
        (b'6', |e| matches!(e, ArchiveError::Fifo { .. })),
        (b'7', |e| matches!(e, ArchiveError::Kind { kind: b'7', .. })),
        (b'x', |e| matches!(e, ArchiveError::Kind { kind: b'x', .. })),
        (b'g', |e| matches!(e, ArchiveError::Kind { kind: b'g', .. })),
        (b'L', |e| matches!(e, ArchiveError::Kind { kind: b'L', .. })),
        (b'K', |e| matches!(e, ArchiveError::Kind { kind: b'K', .. })),
        (b'S', |e| matches!(e, ArchiveError::Kind { kind: b'S', .. })),
        (b'?', |e| matches!(e, ArchiveError::Kind { kind: b'?', .. })),
    ] {
        assert!(is_right(refusal(&[entry(b"a.c", kind, 0, b"")])), "{}", char::from(kind));
    }
}

#[test]
fn path_is_refused_when_it_occurs_twice_or_as_file_and_folder() {
    let cause = |entries: &[Vec<u8>]| match refusal(entries) {
        ArchiveError::Path { cause, .. } => cause,
        other => panic!("{other}"),
    };
    let folder = |name: &str| entry(name.as_bytes(), b'5', 0, b"");
    assert_eq!(cause(&[file("a", b"1"), file("a", b"2")]), PathError::Duplicate);
    assert_eq!(cause(&[file("a", b"1"), file("a/b", b"2")]), PathError::FileAndFolder);
    assert_eq!(cause(&[file("a/b", b"1"), file("a", b"2")]), PathError::FileAndFolder);
    assert_eq!(cause(&[file("a", b"1"), folder("a/")]), PathError::FileAndFolder);
    assert_eq!(cause(&[folder("a/b"), file("a", b"1")]), PathError::FileAndFolder);
}

#[test]
fn archive_is_refused_when_over_a_limit() {
    let limits = ArchiveLimits { entries: 3, file_bytes: 10, total_bytes: 15 };
    let check = |entries: &[Vec<u8>]| unpack(&archive(entries), &limits);
    let files = |count: usize| (0..count).map(|i| file(&format!("f{i}"), b"12345")).collect::<Vec<_>>();
    assert!(check(&files(3)).is_ok());
    assert!(matches!(
        check(&[file("a", &[0; 11])]),
        Err(ArchiveError::FileTooLarge { size: 11, limit: 10, .. })
    ));
    assert!(matches!(
        check(&[file("a", &[0; 10]), file("b", &[0; 6])]),
        Err(ArchiveError::TotalTooLarge { limit: 15, .. })
    ));
    let folders =
        |count: usize| (0..count).map(|i| entry(format!("d{i}").as_bytes(), b'5', 0, b"")).collect();
    let many: [Vec<Vec<u8>>; 2] = [files(4), folders(4)];
    for entries in many {
        assert!(matches!(check(&entries), Err(ArchiveError::TooManyEntries { limit: 3, .. })));
    }
}

#[test]
fn bomb_is_stopped_before_it_unpacks() {
    // 8 GiB stated; and none of it may be waited for or allocated: the stream has but a few bytes of it.
    let stated = refusal(&[entry(b"bomb", b'0', 8 << 30 >> 1, b"x")]);
    assert!(matches!(stated, ArchiveError::FileTooLarge { .. }), "{stated}");
    // 100 files of 4 MiB of zeros are 400 KiB packed, and over the 32 MiB that may come of them.
    let content = vec![0; 4 << 20];
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for i in 0..100 {
        encoder.write_all(&file(&format!("f{i}"), &content)).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < 4 << 20);
    match read(&bomb) {
        Err(ArchiveError::TotalTooLarge { entry, .. }) => assert_eq!(entry, "f8"),
        other => panic!("{other:?}"),
    }
    // Zeros without end after the end marker.
    let filling = gzip(&[file("a", b""), vec![0; 8 << 20]].concat());
    assert!(matches!(read(&filling), Err(ArchiveError::AfterEnd)));
}

#[test]
fn archive_is_refused_when_cut_short_anywhere() {
    let whole = archive(&[file("a.c", b"int a;"), file("b.c", b"int b;")]);
    assert!(read(&whole).is_ok());
    for length in 0..whole.len() {
        let refused = read(&whole[..length]).expect_err("cut");
        assert!(matches!(refused, ArchiveError::Truncated), "{length}: {refused}");
    }
    // The gzip is whole and the tar is not: inside an entry, and without its end marker.
    let tar = file("a.c", b"int a;");
    for length in [100, 512, 600, 1024, 1536] {
        let mut tar = tar.clone();
        tar.resize(length, 0);
        assert!(matches!(read(&gzip(&tar)), Err(ArchiveError::Truncated)), "{length}");
    }
}

#[test]
fn archive_is_refused_when_something_follows_it() {
    let whole = archive(&[file("a.c", b"int a;")]);
    let followed = |rest: &[u8]| read(&[whole.as_slice(), rest].concat()).expect_err("more");
    assert!(matches!(followed(b"x"), ArchiveError::TrailingBytes(1)));
    assert!(matches!(followed(&[0; 512]), ArchiveError::TrailingBytes(512)));
    assert!(matches!(followed(&whole), ArchiveError::SecondMember));
    assert!(matches!(followed(&gzip(b"")), ArchiveError::SecondMember));
    let inside = gzip(&[file("a.c", b""), vec![0; 1024], file("b.c", b"")].concat());
    assert!(matches!(read(&inside), Err(ArchiveError::AfterEnd)));
}

#[test]
fn archive_is_refused_when_malformed() {
    assert!(matches!(read(b"not gzip at all, really"), Err(ArchiveError::Gzip(_))));
    assert!(matches!(read(&archive(&[])), Err(ArchiveError::Empty)));
    assert!(matches!(read(&archive(&[entry(b"a/", b'5', 0, b"")])), Err(ArchiveError::Empty)));
    let mut checksum = file("a.c", b"");
    checksum[0] ^= 1;
    assert!(matches!(refusal(&[checksum]), ArchiveError::Header { at: 0, .. }));
    let mut size = file("a.c", b"");
    size[124..128].copy_from_slice(b"size");
    seal(&mut size);
    assert!(matches!(refusal(&[size]), ArchiveError::Header { .. }));
    // GNU's binary sizes: 2^63 and more.
    let mut huge = file("a.c", b"");
    huge[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    seal(&mut huge);
    assert!(matches!(refusal(&[huge]), ArchiveError::FileTooLarge { .. } | ArchiveError::Header { .. }));
    assert!(matches!(refusal(&[entry(b"a", b'5', 1, b"x")]), ArchiveError::Header { .. }));
    let half_end = gzip(&[file("a.c", b""), vec![0; 512], file("b.c", b""), vec![0; 1024]].concat());
    assert!(matches!(read(&half_end), Err(ArchiveError::Header { .. })));
    let mut crc = archive(&[file("a.c", b"")]);
    let at = crc.len() - 5;
    crc[at] ^= 1;
    assert!(matches!(read(&crc), Err(ArchiveError::Gzip(_))));
}

#[test]
fn packing_is_deterministic_and_round_trips() {
    let mut tree = SourceTree::default();
    for path in ["b.c", "a/b.h", "a-b"] {
        tree.insert(path, path.repeat(300).into()).unwrap();
    }
    tree.insert(&format!("{}/{}", "x".repeat(150), "y".repeat(99)), vec![]).unwrap();
    let packed = pack(&tree).unwrap();
    assert_eq!(packed, pack(&tree.clone()).unwrap());
    assert_eq!(packed[4..8], [0; 4], "no time");
    let back = read(&packed).unwrap();
    assert_eq!(back, tree);
    assert_eq!(source_digest(&back), source_digest(&tree));
    tree.insert(&"z".repeat(101), vec![]).unwrap();
    assert_eq!(pack(&tree).unwrap_err().0, "z".repeat(101));
}

#[test]
fn folder_is_read_without_following_links() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::create_dir(at("sub")).unwrap();
    std::fs::write(at("sub/a.c"), "int a;").unwrap();
    std::fs::write(at("b.c"), "int b;").unwrap();
    let limits = ArchiveLimits::default();
    let tree = read_folder(folder.path(), &limits).unwrap();
    assert_eq!(tree.files().map(|(path, _)| path).collect::<Vec<_>>(), ["b.c", "sub/a.c"]);
    for tight in [
        ArchiveLimits { entries: 2, ..limits },
        ArchiveLimits { file_bytes: 5, ..limits },
        ArchiveLimits { total_bytes: 11, ..limits },
    ] {
        assert!(
            matches!(read_folder(folder.path(), &tight), Err(FolderError::OverLimit { .. })),
            "{tight:?}"
        );
    }
    std::os::unix::fs::symlink("/etc/passwd", at("link")).unwrap();
    assert!(
        matches!(read_folder(folder.path(), &limits), Err(FolderError::Kind(path)) if path == at("link"))
    );
}

proptest! {
    #[test]
    fn unpack_never_panics_and_flipped_bits_never_change_a_tree(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let whole = archive(&[file("a.c", b"int a;"), file("d/b.c", b"int b;")]);
        let mut flipped = whole.clone();
        flipped[at.index(whole.len())] ^= 1 << bit;
        // gzip's own header (its time, flags) is not part of what is archived.
        if let Ok(tree) = read(&flipped) {
            prop_assert_eq!(tree, read(&whole).unwrap());
        }
    }

    #[test]
    fn unpack_never_panics_on_a_damaged_tar(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        reseal in any::<bool>(),
    ) {
        let mut tar = [file("a.c", b"int a;"), file("d/b.c", b"int b;"), vec![0; 1024]].concat();
        let length = tar.len();
        for (at, byte) in damage {
            tar[at.index(length)] = byte;
        }
        if reseal {
            seal(&mut tar[..512]);
        }
        if let Ok(tree) = read(&gzip(&tar)) {
            for (path, _) in tree.files() {
                prop_assert!(pds_plugin::source::check_path(path).is_ok());
            }
        }
    }
}

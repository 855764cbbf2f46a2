//! A submission's source tree in memory, and the digest that names it.
//!
//! Pure: no I/O. The digest is the RFC 6962 section 2.1 Merkle tree hash over the files sorted by path, never the hash
//! of an archive, whose bytes depend on who packed it. How a tree travels is `archive`.

use std::collections::BTreeMap;

use pds_schemas::Digest;
use rs_merkle::{Hasher, MerkleTree};
use sha2::{Digest as _, Sha256};

/// Regular files by relative path, sorted bytewise.
///
/// Every path is UTF-8 without control characters or backslashes, made of components joined by `/`, none of them empty,
/// `.` or `..`; no path is also the folder of another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceTree {
    files: BTreeMap<String, Vec<u8>>,
}

/// Why a path cannot be in a source tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// No bytes at all.
    #[error("the path is empty")]
    Empty,
    /// More than [`SourceTree::MAX_PATH_BYTES`].
    #[error("the path has {0} bytes, the limit is {max}", max = SourceTree::MAX_PATH_BYTES)]
    TooLong(usize),
    /// More components than [`SourceTree::MAX_PATH_DEPTH`].
    #[error("the path has {0} components, the limit is {max}", max = SourceTree::MAX_PATH_DEPTH)]
    TooDeep(usize),
    /// Begins with `/`.
    #[error("the path is absolute")]
    Absolute,
    /// Has a `\`, which some systems take for a separator.
    #[error("the path has a backslash")]
    Backslash,
    /// Has a control character (Unicode category Cc).
    #[error("the path has a control character")]
    ControlCharacter,
    /// Two separators in a row, or one at the end.
    #[error("the path has an empty component")]
    EmptyComponent,
    /// Has a component `.` or `..`.
    #[error("the path has a component {0:?}")]
    DotComponent(String),
    /// The same path is there already.
    #[error("the path occurs twice")]
    Duplicate,
    /// One path is a file, and the folder of another file.
    #[error("the path is a file and a folder at once")]
    FileAndFolder,
}

impl SourceTree {
    /// Most bytes a path may have.
    pub const MAX_PATH_BYTES: usize = 250;
    /// Most components a path may have.
    pub const MAX_PATH_DEPTH: usize = 16;

    /// Adds one file.
    ///
    /// # Errors
    /// [`PathError`]; the tree is as it was then.
    pub fn insert(&mut self, path: &str, content: Vec<u8>) -> Result<(), PathError> {
        check_path(path)?;
        if self.files.contains_key(path) {
            return Err(PathError::Duplicate);
        }
        if self.is_folder(path) || folders_of(path).any(|folder| self.files.contains_key(folder)) {
            return Err(PathError::FileAndFolder);
        }
        self.files.insert(path.to_owned(), content);
        Ok(())
    }

    /// Whether some file lies under `path`.
    pub fn is_folder(&self, path: &str) -> bool {
        let prefix = format!("{path}/");
        self.files.range(prefix.clone()..).next().is_some_and(|(next, _)| next.starts_with(&prefix))
    }

    /// A file's bytes.
    pub fn get(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(Vec::as_slice)
    }

    /// Paths and contents, sorted bytewise by path.
    pub fn files(&self) -> impl ExactSizeIterator<Item = (&str, &[u8])> {
        self.files.iter().map(|(path, content)| (path.as_str(), content.as_slice()))
    }

    /// Number of files.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether there is no file.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

/// Checks a relative path by the rules of [`SourceTree`].
///
/// # Errors
/// [`PathError`], all but `Duplicate` and `FileAndFolder`.
pub fn check_path(path: &str) -> Result<(), PathError> {
    if path.is_empty() {
        return Err(PathError::Empty);
    }
    if path.len() > SourceTree::MAX_PATH_BYTES {
        return Err(PathError::TooLong(path.len()));
    }
    if path.starts_with('/') {
        return Err(PathError::Absolute);
    }
    if path.contains('\\') {
        return Err(PathError::Backslash);
    }
    if path.chars().any(char::is_control) {
        return Err(PathError::ControlCharacter);
    }
    for component in path.split('/') {
        match component {
            "" => return Err(PathError::EmptyComponent),
            "." | ".." => return Err(PathError::DotComponent(component.to_owned())),
            _ => {}
        }
    }
    let depth = path.split('/').count();
    if depth > SourceTree::MAX_PATH_DEPTH {
        return Err(PathError::TooDeep(depth));
    }
    Ok(())
}

/// `a` and `a/b` of `a/b/c`.
pub(crate) fn folders_of(path: &str) -> impl Iterator<Item = &str> {
    path.match_indices('/').map(|(at, _)| &path[..at])
}

/// The digest that names a source tree: the RFC 6962 section 2.1 root over its files in bytewise order of their paths.
///
/// A file's leaf data is the length of its path in bytes (4 bytes, big-endian), the path, then the content. `None` for
/// a tree without files: nothing can be submitted that has no source, so no digest stands for that.
pub fn source_digest(tree: &SourceTree) -> Option<Digest> {
    let leaves: Vec<[u8; 32]> = tree.files().map(|(path, content)| leaf_hash(path, content)).collect();
    MerkleTree::<Rfc6962>::from_leaves(&leaves).root().map(Digest)
}

fn leaf_hash(path: &str, content: &[u8]) -> [u8; 32] {
    let length = u32::try_from(path.len()).expect("a path has at most 250 bytes");
    Sha256::new()
        .chain_update([0x00])
        .chain_update(length.to_be_bytes())
        .chain_update(path)
        .chain_update(content)
        .finalize()
        .into()
}

/// RFC 6962 for `rs_merkle`: it only ever hashes two children with it, and carries an odd last node up unhashed, which
/// gives the RFC's split at the largest power of two.
#[derive(Clone)]
struct Rfc6962;

impl Hasher for Rfc6962 {
    type Hash = [u8; 32];

    fn hash(children: &[u8]) -> [u8; 32] {
        Sha256::new().chain_update([0x01]).chain_update(children).finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6962 section 2.1 as it is written, to hold `rs_merkle` against.
    fn reference_root(leaves: &[[u8; 32]]) -> [u8; 32] {
        if let [leaf] = leaves {
            return *leaf;
        }
        let split = leaves.len().next_power_of_two() / 2;
        let (left, right) = leaves.split_at(split);
        Rfc6962::hash(&[reference_root(left), reference_root(right)].concat())
    }

    #[test]
    fn digest_equals_rfc_6962_at_every_small_size() {
        let mut tree = SourceTree::default();
        assert_eq!(source_digest(&tree), None);
        let mut leaves = Vec::new();
        for i in 0..130 {
            let (path, content) = (format!("f{i:03}"), vec![i as u8; i]);
            leaves.push(leaf_hash(&path, &content));
            tree.insert(&path, content).unwrap();
            assert_eq!(source_digest(&tree), Some(Digest(reference_root(&leaves))), "{} files", i + 1);
        }
    }

    #[test]
    fn digest_separates_path_from_content() {
        let digest = |path: &str, content: &[u8]| {
            let mut tree = SourceTree::default();
            tree.insert(path, content.to_vec()).unwrap();
            source_digest(&tree).unwrap()
        };
        assert_ne!(digest("ab", b"c"), digest("a", b"bc"));
        assert_ne!(digest("a", b""), digest("a", b"\0"));
        // Leaf of path "a", content "b": sha256(00 00000001 61 62).
        let by_hand: [u8; 32] = Sha256::digest([0, 0, 0, 0, 1, b'a', b'b']).into();
        assert_eq!(digest("a", b"b"), Digest(by_hand));
    }

    #[test]
    fn digest_does_not_depend_on_order_of_insertion() {
        let (mut one, mut two) = (SourceTree::default(), SourceTree::default());
        for path in ["b", "a/x", "a-"] {
            one.insert(path, path.into()).unwrap();
        }
        for path in ["a-", "b", "a/x"] {
            two.insert(path, path.into()).unwrap();
        }
        assert_eq!(source_digest(&one), source_digest(&two));
    }

    #[test]
    fn path_is_refused_with_its_cause() {
        let check = |path: &str, expect| assert_eq!(check_path(path), Err(expect), "{path:?}");
        let dot = |text: &str| PathError::DotComponent(text.to_owned());
        check("", PathError::Empty);
        check("/a", PathError::Absolute);
        check("../a", dot(".."));
        check("a/../b", dot(".."));
        check("./a", dot("."));
        check("a/.", dot("."));
        check("a//b", PathError::EmptyComponent);
        check("a/", PathError::EmptyComponent);
        check("a\\b", PathError::Backslash);
        check("a\nb", PathError::ControlCharacter);
        check("a\u{9b}b", PathError::ControlCharacter);
        check(&"a".repeat(251), PathError::TooLong(251));
        check(&["a"; 17].join("/"), PathError::TooDeep(17));
        for fine in ["a", "a.c", "..a/b..", "é/x", &"a".repeat(250), &["a"; 16].join("/")] {
            assert_eq!(check_path(fine), Ok(()), "{fine:?}");
        }
    }

    #[test]
    fn insert_rejects_a_file_that_is_also_a_folder() {
        let mut tree = SourceTree::default();
        tree.insert("a/b/c", vec![]).unwrap();
        assert_eq!(tree.insert("a/b", vec![]), Err(PathError::FileAndFolder));
        assert_eq!(tree.insert("a/b/c/d", vec![]), Err(PathError::FileAndFolder));
        assert_eq!(tree.insert("a/b/c", vec![]), Err(PathError::Duplicate));
        tree.insert("a/b-", vec![]).unwrap();
        assert_eq!(tree.len(), 2);
    }
}

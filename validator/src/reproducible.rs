//! The property `reproducible`: the same source gives the same bytes again.
//!
//! Pure: compares what was built. The builds themselves are `build`'s.

use std::collections::BTreeMap;

use pds_schemas::Digest;
use sha2::{Digest as _, Sha256};

use crate::program::section_at;

/// Whether a build can be repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reproducible {
    /// Every object came out the same.
    Proved(Against),
    /// Some object did not.
    Refuted(Difference),
}

/// What a build was held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Against {
    /// A second build of ours, in another folder, time zone and locale.
    SecondBuild,
    /// A second build, and the digests of the bytecode that the developer submitted.
    SecondBuildAndSubmission,
}

/// The first object, by name, that is not the same.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Difference {
    /// Two builds of ours differ.
    #[error("{object}: two builds differ, first at byte {offset} of {section}")]
    Builds {
        /// The object.
        object: String,
        /// The section, or `the file` outside any.
        section: String,
        /// Byte in that section, or in the file.
        offset: u64,
    },
    /// The submitted bytecode is not what its source gives.
    #[error("{object}: the source gives {built}, submitted was {submitted}")]
    Submission {
        /// The object.
        object: String,
        /// SHA-256 of what was built.
        built: Digest,
        /// SHA-256 of what was submitted.
        submitted: Digest,
    },
    /// The submission has bytecode for other objects than the manifest names.
    #[error("{object}: named by only one of the manifest and the submitted bytecode")]
    Names {
        /// The object.
        object: String,
    },
}

impl Difference {
    /// The object that differs.
    pub fn object(&self) -> &str {
        match self {
            Self::Builds { object, .. } | Self::Submission { object, .. } | Self::Names { object } => object,
        }
    }
}

/// SHA-256 of an object's bytes.
pub fn object_digest(object: &[u8]) -> Digest {
    Digest(Sha256::digest(object).into())
}

/// Holds a build against a second one and, when the developer submitted bytecode, against its digests.
pub fn compare(
    built: &BTreeMap<String, Vec<u8>>,
    again: &BTreeMap<String, Vec<u8>>,
    submitted: Option<&BTreeMap<String, Digest>>,
) -> Reproducible {
    let difference = differing_builds(built, again);
    match (difference.or_else(|| differing_submission(built, submitted?)), submitted) {
        (Some(difference), _) => Reproducible::Refuted(difference),
        (None, Some(_)) => Reproducible::Proved(Against::SecondBuildAndSubmission),
        (None, None) => Reproducible::Proved(Against::SecondBuild),
    }
}

fn differing_builds(one: &BTreeMap<String, Vec<u8>>, two: &BTreeMap<String, Vec<u8>>) -> Option<Difference> {
    if let Some(object) = lone_name(one, two) {
        return Some(Difference::Names { object });
    }
    for ((object, one), two) in one.iter().zip(two.values()) {
        if one == two {
            continue;
        }
        let shorter = one.len().min(two.len());
        let first = (0..shorter).find(|i| one[*i] != two[*i]).unwrap_or(shorter);
        let (section, offset) = section_at(one, first).unwrap_or(("the file", first as u64));
        return Some(Difference::Builds { object: object.clone(), section: section.to_owned(), offset });
    }
    None
}

fn differing_submission(
    built: &BTreeMap<String, Vec<u8>>,
    submitted: &BTreeMap<String, Digest>,
) -> Option<Difference> {
    if let Some(object) = lone_name(built, submitted) {
        return Some(Difference::Names { object });
    }
    built.iter().zip(submitted.values()).find_map(|((object, bytes), submitted)| {
        let built = object_digest(bytes);
        let difference = Difference::Submission { object: object.clone(), built, submitted: *submitted };
        (built != *submitted).then_some(difference)
    })
}

/// The first name that only one of two maps has.
fn lone_name<A, B>(one: &BTreeMap<String, A>, two: &BTreeMap<String, B>) -> Option<String> {
    let only_one = one.keys().filter(|name| !two.contains_key(*name));
    let only_two = two.keys().filter(|name| !one.contains_key(*name));
    only_one.chain(only_two).min().cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(contents: &[(&str, &[u8])]) -> BTreeMap<String, Vec<u8>> {
        contents.iter().map(|(name, content)| ((*name).to_owned(), content.to_vec())).collect()
    }

    #[test]
    fn equal_builds_are_proved_against_what_was_there() {
        let built = objects(&[("a.o", b"1"), ("b.o", b"2")]);
        let digests = built.iter().map(|(name, bytes)| (name.clone(), object_digest(bytes))).collect();
        assert_eq!(compare(&built, &built, None), Reproducible::Proved(Against::SecondBuild));
        let against = Against::SecondBuildAndSubmission;
        assert_eq!(compare(&built, &built, Some(&digests)), Reproducible::Proved(against));
    }

    #[test]
    fn any_difference_is_refuted_with_its_place() {
        let built = objects(&[("a.o", b"11"), ("b.o", b"22")]);
        let builds = |offset| Difference::Builds { object: "b.o".into(), section: "the file".into(), offset };
        let check = |again: &[(&str, &[u8])], expect| {
            assert_eq!(compare(&built, &objects(again), None), Reproducible::Refuted(expect));
        };
        check(&[("a.o", b"11"), ("b.o", b"23")], builds(1));
        check(&[("a.o", b"11"), ("b.o", b"222")], builds(2));
        check(&[("a.o", b"11")], Difference::Names { object: "b.o".into() });
        let check = |submitted: &[(&str, Digest)], expect| {
            let submitted = submitted.iter().map(|(name, digest)| ((*name).to_owned(), *digest)).collect();
            assert_eq!(compare(&built, &built, Some(&submitted)), Reproducible::Refuted(expect));
        };
        let (a, b) = (object_digest(b"11"), object_digest(b"22"));
        let submission = Difference::Submission { object: "b.o".into(), built: b, submitted: a };
        check(&[("a.o", a), ("b.o", a)], submission);
        check(&[("a.o", a)], Difference::Names { object: "b.o".into() });
        check(&[("a.o", a), ("b.o", b), ("c.o", b)], Difference::Names { object: "c.o".into() });
        check(&[], Difference::Names { object: "a.o".into() });
    }
}

//! What an external verifier's adapter says: one JSON object, and the exit status that goes with it.
//!
//! Pure. Read without trust: an answer that is not exactly what was asked for, or that its exit status belies, is no answer,
//! and nothing is taken for success by a word somewhere in a log.

use std::collections::BTreeMap;

use pds_schemas::{Digest, Finding, limits};
use serde::Deserialize;

/// Most bytes of an answer.
pub const MAX_BYTES: usize = 16 << 10;

/// A verifier's answer about one property of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The tool behind the adapter, e.g. `cbmc`.
    pub tool: String,
    /// Its version, in its own words.
    pub version: String,
    /// What it found.
    pub finding: Finding,
    /// Under which limits that holds, e.g. how far loops were unrolled, by name.
    pub bounds: BTreeMap<String, u64>,
    /// SHA-256 of all that the tool wrote.
    pub log: Digest,
    /// Why; there unless proved.
    pub cause: Option<String>,
}

/// Why what an adapter wrote is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// More than [`MAX_BYTES`].
    #[error("the answer has more than {MAX_BYTES} bytes")]
    TooLong,
    /// Not one JSON object with the fields of an answer.
    #[error("the answer is not the JSON it should be: {0}")]
    Malformed(String),
    /// A field that is empty, too long, or has control characters in it.
    #[error("the answer's {0} is empty, too long or not plain text")]
    Field(&'static str),
    /// About another property than was asked for.
    #[error("the answer is about {found}, asked was for {asked}")]
    OtherProperty {
        /// What was asked for.
        asked: String,
        /// What it is about.
        found: String,
    },
    /// The exit status is that of another answer, or of none.
    #[error("the answer says {finding:?} and the exit status is {status}")]
    Status {
        /// What it says.
        finding: Finding,
        /// The adapter's exit status: 0 proved, 1 refuted, 2 inconclusive, 3 error.
        status: i32,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    tool: String,
    version: String,
    property: String,
    verdict: Said,
    #[serde(default)]
    bounds: BTreeMap<String, u64>,
    log_digest: String,
    cause: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Said {
    Proved,
    Refuted,
    Inconclusive,
    Error,
}

/// The answer in `bytes` of an adapter that was asked for `property` and ended with `status`.
///
/// # Errors
/// [`AnswerError`].
pub fn read(bytes: &[u8], status: i32, property: &str) -> Result<Answer, AnswerError> {
    if bytes.len() > MAX_BYTES {
        return Err(AnswerError::TooLong);
    }
    let malformed = |cause: &dyn ToString| AnswerError::Malformed(cause.to_string());
    let written: Written = serde_json::from_slice(bytes).map_err(|cause| malformed(&cause))?;
    if written.property != property {
        return Err(AnswerError::OtherProperty { asked: property.to_owned(), found: written.property });
    }
    let finding = match written.verdict {
        Said::Proved => Finding::Proved,
        Said::Refuted => Finding::Refuted,
        Said::Inconclusive => Finding::Inconclusive,
        Said::Error => Finding::Error,
    };
    if status != finding as i32 {
        return Err(AnswerError::Status { finding, status });
    }
    check_text("tool", &written.tool, limits::LABEL_BYTES)?;
    check_text("version", &written.version, limits::LABEL_BYTES)?;
    if written.bounds.len() > limits::BOUNDS {
        return Err(AnswerError::Field("bounds"));
    }
    for name in written.bounds.keys() {
        check_text("bounds", name, limits::LABEL_BYTES)?;
    }
    // What is proved has no cause; what is not, and gives none, is told apart from what was never asked.
    let cause = match (finding, written.cause) {
        (Finding::Proved, Some(_)) => return Err(malformed(&"what is proved has no cause")),
        (Finding::Proved, None) => None,
        (_, None) => Some(format!("{} gives no cause", written.tool)),
        (_, Some(cause)) => {
            check_text("cause", &cause, limits::CAUSE_BYTES)?;
            Some(cause)
        }
    };
    let log = written.log_digest.parse().map_err(|_| AnswerError::Field("log_digest"))?;
    Ok(Answer { tool: written.tool, version: written.version, finding, bounds: written.bounds, log, cause })
}

fn check_text(field: &'static str, text: &str, most: usize) -> Result<(), AnswerError> {
    let plain = !text.is_empty() && text.len() <= most && !text.contains(char::is_control);
    if plain { Ok(()) } else { Err(AnswerError::Field(field)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(verdict: &str, rest: &str) -> String {
        let digest = "ab".repeat(32);
        format!(
            r#"{{"tool":"cbmc","version":"5.95","property":"memory","verdict":"{verdict}","log_digest":"{digest}"{rest}}}"#
        )
    }

    fn refused(text: &str, status: i32, expect: impl Fn(&AnswerError) -> bool) {
        let error = read(text.as_bytes(), status, "memory").unwrap_err();
        assert!(expect(&error), "{text}: {error}");
    }

    #[test]
    fn answer_is_read_with_its_bounds_and_cause() {
        let proved = text("proved", r#","bounds":{"unwind":32}"#);
        let proved = read(proved.as_bytes(), 0, "memory").unwrap();
        assert_eq!((proved.finding, proved.cause), (Finding::Proved, None));
        assert_eq!(proved.bounds, BTreeMap::from([("unwind".to_owned(), 32)]));
        let refuted = read(text("refuted", r#","cause":"a.c:3""#).as_bytes(), 1, "memory").unwrap();
        assert_eq!((refuted.finding, refuted.cause.as_deref()), (Finding::Refuted, Some("a.c:3")));
        let silent = read(text("inconclusive", "").as_bytes(), 2, "memory").unwrap();
        assert_eq!(silent.cause.as_deref(), Some("cbmc gives no cause"));
    }

    #[test]
    fn status_that_belies_the_answer_is_refused() {
        for (verdict, right) in [("proved", 0), ("refuted", 1), ("inconclusive", 2), ("error", 3)] {
            for status in [-1, 0, 1, 2, 3, 127] {
                let answer = read(text(verdict, "").as_bytes(), status, "memory");
                assert_eq!(answer.is_ok(), status == right, "{verdict} {status}");
            }
        }
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        let malformed = |error: &AnswerError| matches!(error, AnswerError::Malformed(_));
        refused("", 0, malformed);
        refused("proved", 0, malformed);
        refused("unsat", 0, malformed);
        refused(&text("Proved", ""), 0, malformed);
        refused(&text("proved", r#","cause":"none""#), 0, malformed);
        refused(&text("proved", r#","extra":1"#), 0, malformed);
        refused(&text("proved", r#","tool":"other""#), 0, malformed);
        refused(&text("proved", r#","bounds":{"depth":-1}"#), 0, malformed);
        refused(&text("proved", r#","bounds":{"depth":1.5}"#), 0, malformed);
        refused(&format!("{} ", text("proved", "").repeat(2)), 0, malformed);
        refused(&text("proved", &" ".repeat(MAX_BYTES)), 0, |error| *error == AnswerError::TooLong);
        refused(&text("proved", "").replace("abab", "xxxx"), 0, |error| {
            *error == AnswerError::Field("log_digest")
        });
        refused(&text("proved", "").replace("cbmc", ""), 0, |error| *error == AnswerError::Field("tool"));
        refused(&text("proved", "").replace("5.95", "\\u001b[2J"), 0, |error| {
            *error == AnswerError::Field("version")
        });
        let other = text("proved", "").replace("memory", "termination");
        refused(&other, 0, |error| matches!(error, AnswerError::OtherProperty { .. }));
    }
}

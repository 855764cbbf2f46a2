//! How a command ends: what is printed, and the exit code.

use std::io::Write;

use pds_client::api::ApiError;
use pds_client::audit::AuditError;
use pds_client::fetch::{DownloadError, FetchError};
use pds_client::http::HttpError;
use pds_client::state::StateError;
use pds_client::submit::{ReceiptError, SubmitError};
use pds_client::trust::TrustFileError;
use pds_core::expression::ExpressionError;
use pds_files::key_file::KeyFileError;
use serde_json::{Value, json};

/// What a command has to say.
pub struct Outcome {
    /// The exit code.
    pub code: u8,
    /// For `--json`.
    pub json: Value,
    /// For people; ends in newline unless empty.
    pub text: String,
}

impl Outcome {
    /// Done, or holds.
    pub fn holds(json: Value, text: impl Into<String>) -> Self {
        Self { code: 0, json, text: text.into() }
    }

    /// Verified: holds, or does not.
    pub fn verdict(holds: bool, json: Value, text: impl Into<String>) -> Self {
        Self { code: if holds { 0 } else { 1 }, json, text: text.into() }
    }
}

/// Why a command has nothing to say, and whose doing that is.
pub enum Failure {
    /// Verified, and it does not hold; or refused by a server.
    Refused(anyhow::Error),
    /// What was given is not what it should be.
    Usage(anyhow::Error),
    /// Could not tell.
    Unknown(anyhow::Error),
}

impl Failure {
    pub fn refused(error: impl Into<anyhow::Error>) -> Self {
        Self::Refused(error.into())
    }

    pub fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self::Usage(error.into())
    }

    pub fn unknown(error: impl Into<anyhow::Error>) -> Self {
        Self::Unknown(error.into())
    }

    pub fn code(&self) -> u8 {
        match self {
            Self::Refused(_) => 1,
            Self::Usage(_) => 2,
            Self::Unknown(_) => 3,
        }
    }

    fn error(&self) -> &anyhow::Error {
        match self {
            Self::Refused(error) | Self::Usage(error) | Self::Unknown(error) => error,
        }
    }
}

/// The error and its causes, outermost first, each once.
pub fn causes(error: &(dyn std::error::Error + 'static)) -> Vec<String> {
    let mut texts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        // A TOML error ends in an empty line.
        let text = error.to_string().trim_end().to_owned();
        // A transparent error, or one that quotes its source, says nothing new.
        if texts.last().is_none_or(|last| !last.contains(&text)) {
            texts.push(text);
        }
        next = error.source();
    }
    texts
}

/// Prints how a command ended: what it says on standard output, why it failed on standard error.
pub fn print(result: Result<Outcome, Failure>, as_json: bool) {
    let (json, text) = match result {
        Ok(Outcome { json, text, .. }) => (json, text),
        Err(failure) => {
            let causes = causes(failure.error().as_ref());
            eprintln!("error: {}", plain(&causes.join(": ")));
            (json!({ "error": causes.first(), "causes": causes, "exit": failure.code() }), String::new())
        }
    };
    let output = if as_json { plain_json(&json) } else { plain(&text) };
    // Whoever closed the pipe does not want to know.
    let _ = std::io::stdout().lock().write_all(output.as_bytes());
}

/// Text with every character written out that would do something to a terminal instead of being shown.
///
/// Errors quote what servers and files say.
pub fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if acts(c) && c != '\n' => plain.extend(c.escape_unicode()),
            c => plain.push(c),
        }
    }
    plain
}

/// A line of JSON, in which such characters stand in strings only and may be written as escapes.
fn plain_json(json: &Value) -> String {
    let mut plain = String::new();
    for c in json.to_string().chars() {
        if acts(c) { plain += &format!("\\u{:04x}", u32::from(c)) } else { plain.push(c) }
    }
    plain + "\n"
}

/// Whether a terminal acts on a character: control characters, and those that turn the direction of writing.
fn acts(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        if error.is_verdict() { Self::refused(error) } else { Self::unknown(error) }
    }
}

impl From<AuditError> for Failure {
    fn from(error: AuditError) -> Self {
        if error.is_verdict() { Self::refused(error) } else { Self::unknown(error) }
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        if error.is_refusal() || error.is_nonsense() { Self::refused(error) } else { Self::unknown(error) }
    }
}

impl From<DownloadError> for Failure {
    fn from(error: DownloadError) -> Self {
        Self::unknown(error)
    }
}

impl From<ReceiptError> for Failure {
    fn from(error: ReceiptError) -> Self {
        Self::refused(error)
    }
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        match error {
            StateError::NoFolder => Self::usage(error),
            StateError::Conflict { .. } => Self::refused(error),
            StateError::Io { .. } | StateError::Foreign { .. } => Self::unknown(error),
        }
    }
}

impl From<SubmitError> for Failure {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Api(error) => error.into(),
            SubmitError::Record { .. } | SubmitError::UnverifiedOwner(_) => Self::refused(error),
            SubmitError::Bytecode { .. } => Self::unknown(error),
            _ => Self::usage(error),
        }
    }
}

impl From<TrustFileError> for Failure {
    fn from(error: TrustFileError) -> Self {
        match error {
            TrustFileError::Read { .. } => Self::unknown(error),
            _ => Self::usage(error),
        }
    }
}

impl From<KeyFileError> for Failure {
    fn from(error: KeyFileError) -> Self {
        match error {
            KeyFileError::Random(_) | KeyFileError::Io { .. } => Self::unknown(error),
            _ => Self::usage(error),
        }
    }
}

impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Url(_) => Self::usage(error),
            error => ApiError::from(error).into(),
        }
    }
}

impl From<ExpressionError> for Failure {
    fn from(error: ExpressionError) -> Self {
        Self::usage(anyhow::Error::from(error).context("formula"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_has_nothing_in_it_that_a_terminal_acts_on() {
        let hostile = "a\u{1b}[2J\u{9b}31m\r\u{202e}\nb \u{2717} \u{e9}";
        assert_eq!(plain(hostile), "a\\u{1b}[2J\\u{9b}31m\\u{d}\\u{202e}\nb \u{2717} \u{e9}");
        let line = plain_json(&json!({ "error": hostile }));
        assert!(!line.trim_end().contains(acts), "{line}");
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap()["error"], hostile);
    }
}

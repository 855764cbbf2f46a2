//! The text form of an Ed25519 secret key, for every key file of the system.
//!
//! Pure: reading, protecting and creating files is the caller's. Two lines: `pds-secret-key-v1`, and the base64 of the
//! 32-byte seed (RFC 8032).

use ed25519_dalek::SigningKey;

use crate::canonical;

const HEADER: &str = "pds-secret-key-v1";

/// A text that is no secret key. Says nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a secret key file: the line {HEADER:?} and one line of base64 are expected")]
pub struct SecretKeyError;

/// The file's text.
pub fn to_text(key: &SigningKey) -> String {
    format!("{HEADER}\n{}\n", canonical::to_base64(key.to_bytes()))
}

/// The key in a file's text.
///
/// # Errors
/// [`SecretKeyError`].
pub fn from_text(text: &str) -> Result<SigningKey, SecretKeyError> {
    let body = text.strip_prefix(HEADER).and_then(|rest| rest.strip_prefix('\n'));
    let line = body.and_then(|rest| rest.strip_suffix('\n')).ok_or(SecretKeyError)?;
    let seed = canonical::digest_from_base64(line).ok_or(SecretKeyError)?;
    Ok(SigningKey::from_bytes(&seed.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_text_round_trips() {
        let key = SigningKey::from_bytes(&[7; 32]);
        assert_eq!(from_text(&to_text(&key)), Ok(key));
    }

    #[test]
    fn key_text_is_refused_when_not_exact() {
        let text = to_text(&SigningKey::from_bytes(&[7; 32]));
        let check = |text: &str| assert_eq!(from_text(text), Err(SecretKeyError), "{text:?}");
        check("");
        check(text.trim_end());
        check(&format!("{text}\n"));
        check(&text.replace("v1", "v2"));
        check(&text.replace('\n', "\r\n"));
        check("pds-secret-key-v1\nBwcH\n");
    }
}

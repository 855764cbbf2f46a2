//! A validator's acceptance expression: which properties must be proved of a plugin before it is validated.
//!
//! Pure. `structure & reproducible & (memory | memory-monitored)`; the grammar is [`crate::expression`]'s. It decides over
//! verdicts, of which only *proved* counts.

use std::collections::BTreeSet;

use pds_schemas::{Finding, ObjectMap, Policy, Verdict};

use crate::expression::{self, Expression, ExpressionError};

/// A parsed acceptance expression, all of whose properties the policy's verifiers decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acceptance(Expression<String>);

/// Why a policy has no acceptance expression that can be decided.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcceptanceError {
    /// Not an expression.
    #[error("acceptance expression: {0}")]
    Syntax(#[from] ExpressionError),
    /// It asks for a property that no verifier of the policy decides.
    #[error("acceptance expression: no verifier decides `{property}`; there are {known}")]
    UnknownProperty {
        /// The property asked for.
        property: String,
        /// Those there are, joined by commas.
        known: String,
    },
}

impl Acceptance {
    /// Parses `policy`'s expression.
    ///
    /// # Errors
    /// [`AcceptanceError`].
    pub fn of_policy(policy: &Policy) -> Result<Self, AcceptanceError> {
        let parsed = expression::parse(&policy.acceptance, |i| expression::identifier(i).map(str::to_owned))?;
        let known: BTreeSet<&str> = policy.verifiers.iter().map(|v| v.property.as_str()).collect();
        match parsed.atoms().into_iter().find(|p| !known.contains(p.as_str())) {
            None => Ok(Self(parsed)),
            Some(property) => Err(AcceptanceError::UnknownProperty {
                property: property.clone(),
                known: known.into_iter().collect::<Vec<_>>().join(", "),
            }),
        }
    }

    /// Whether `verdicts` suffice for a plugin made of `objects`.
    pub fn is_satisfied(&self, objects: &ObjectMap, verdicts: &[Verdict]) -> bool {
        self.0.is_satisfied(&mut |property| is_proved(property, objects, verdicts))
    }
}

/// Whether `property` is proved of the whole plugin: no verdict says otherwise, and one is about the plugin or there is
/// one about every object.
pub fn is_proved(property: &str, objects: &ObjectMap, verdicts: &[Verdict]) -> bool {
    let about: Vec<&Verdict> = verdicts.iter().filter(|v| v.property == property).collect();
    let covered: BTreeSet<&str> = about.iter().filter_map(|v| v.object.as_deref()).collect();
    let whole = about.iter().any(|v| v.object.is_none());
    let complete = whole || (!objects.is_empty() && objects.iter().all(|(name, _)| covered.contains(name)));
    complete && about.iter().all(|v| v.finding == Finding::Proved)
}

#[cfg(test)]
mod tests {
    use pds_schemas::{Digest, Verifier};

    use super::*;

    fn policy(acceptance: &str) -> Policy {
        let verifier = |property: &str| Verifier {
            property: property.to_owned(),
            name: "pds-validator".to_owned(),
            version: "1".to_owned(),
        };
        Policy {
            origin: "pv.example".to_owned(),
            acceptance: acceptance.to_owned(),
            verifiers: vec![verifier("structure"), verifier("reproducible")],
            platforms: vec!["pquic".to_owned()],
            epoch_interval_s: 5,
            decide_within_s: 60,
        }
    }

    fn verdict(property: &str, object: Option<&str>, finding: Finding) -> Verdict {
        Verdict {
            property: property.to_owned(),
            verifier: "pds-validator".to_owned(),
            version: "1".to_owned(),
            finding,
            object: object.map(str::to_owned),
            bounds: Vec::new(),
            cause: None,
        }
    }

    fn objects() -> ObjectMap {
        ObjectMap::new([("a.o".to_owned(), Digest::ZERO), ("b.o".to_owned(), Digest::ZERO)])
    }

    #[test]
    fn acceptance_holds_only_when_every_object_is_proved() {
        let acceptance = Acceptance::of_policy(&policy("structure")).unwrap();
        let check = |verdicts: &[Verdict], expect| {
            assert_eq!(acceptance.is_satisfied(&objects(), verdicts), expect, "{verdicts:?}");
        };
        let a = verdict("structure", Some("a.o"), Finding::Proved);
        let b = |finding| verdict("structure", Some("b.o"), finding);
        check(&[], false);
        check(std::slice::from_ref(&a), false);
        check(&[a.clone(), b(Finding::Proved)], true);
        for finding in [Finding::Refuted, Finding::Inconclusive, Finding::Error] {
            check(&[a.clone(), b(finding)], false);
            check(&[a.clone(), b(Finding::Proved), b(finding)], false);
        }
        check(&[verdict("structure", None, Finding::Proved)], true);
        check(&[verdict("reproducible", None, Finding::Proved)], false);
    }

    #[test]
    fn acceptance_is_refused_when_it_asks_for_what_nobody_decides() {
        let error = Acceptance::of_policy(&policy("structure & termination")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "acceptance expression: no verifier decides `termination`; there are reproducible, structure"
        );
        assert!(matches!(Acceptance::of_policy(&policy("structure &")), Err(AcceptanceError::Syntax(_))));
    }
}

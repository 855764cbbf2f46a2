//! Words for what was verified.

use pds_client::growth::Growth;
use pds_client::verify::{Recalled, TermVerdict, Verdict};
use pds_core::evidence::{Currency, Step, Verified};
use pds_schemas::{FailureCause, PluginName};
use serde_json::{Value, json};

use crate::outcome::causes;

pub fn steps(steps: &[Step]) -> String {
    steps.iter().map(|step| format!("  \u{2713} {step}\n")).collect()
}

pub fn steps_json(steps: &[Step]) -> Value {
    steps.iter().map(ToString::to_string).collect()
}

pub fn growth(growth: Growth) -> String {
    match growth {
        Growth::FirstSeen => {
            "  - nothing was seen of this log before: from now on it is held to this\n".to_owned()
        }
        Growth::Same => "  \u{2713} the log's head is the one seen last\n".to_owned(),
        Growth::Grew { from } => {
            format!("  \u{2713} the log only grew since it was last seen, at {from} epochs\n")
        }
    }
}

pub fn recalled(recalled: Recalled) -> String {
    match recalled {
        Recalled::Nothing => String::new(),
        Recalled::Same => "  \u{2713} the log's head is the one seen last\n".to_owned(),
        Recalled::Newer { seen } => {
            format!(
                "  - the log is larger than last seen, at {seen} epochs; growth cannot be checked offline\n"
            )
        }
        Recalled::Older { seen, size } => {
            format!("  ! the evidence is under {size} epochs, {seen} were seen before: it was of now once\n")
        }
        Recalled::TwoRoots { size } => format!("  \u{2717} another root of {size} epochs was seen before\n"),
    }
}

pub fn failed(error: &(dyn std::error::Error + 'static)) -> String {
    format!("  \u{2717} {}\n", causes(error).join(": "))
}

/// What evidence proves about a name, in a sentence.
pub fn proved(name: &PluginName, verified: &Verified) -> String {
    let epoch = verified.str.epoch;
    let when = match verified.currency {
        Currency::Now => format!("is, as of epoch {epoch},"),
        Currency::History { .. } => format!("was, in epoch {epoch},"),
    };
    match (&verified.record, &verified.binding) {
        (None, _) => format!("{name} {when} absent: it was never admitted"),
        (Some(_), Some(binding)) => format!("{name} {when} validated, in release {}", binding.release),
        (Some(record), None) => format!("{name} {when} {}", record.state),
    }
}

pub fn proved_json(verified: &Verified) -> Value {
    let record = verified.record.as_ref();
    json!({
        "origin": verified.str.origin,
        "epoch": verified.str.epoch,
        "time": verified.str.time,
        "now": verified.currency == Currency::Now,
        "state": record.map(|record| record.state),
        "highest_release": record.map(|record| record.highest_release),
        "release": verified.binding.as_ref().map(|binding| binding.release),
        "binding": record.and_then(|record| record.binding),
        "cause": record.and_then(|record| record.cause),
        "owner": record.map(|record| record.owner),
        "cosigned": verified.cosigned,
    })
}

/// A failure cause, for the developer who has to mend it.
pub fn cause(cause: &FailureCause) -> String {
    let on = cause.object.as_ref().map_or(String::new(), |object| format!(" on {object}"));
    let message: String = cause.message.chars().filter(|c| *c == '\n' || !c.is_control()).collect();
    let message = message.lines().map(|line| format!("    {line}\n")).collect::<String>();
    format!("  release {} failed at stage {}{on}:\n{message}", cause.release, cause.stage)
}

pub fn cause_json(cause: &FailureCause) -> Value {
    json!({
        "release": cause.release,
        "stage": cause.stage,
        "object": cause.object,
        "message": cause.message,
        "verdicts": cause.verdicts,
    })
}

/// A formula's terms, each with its steps, and then what it comes to.
pub fn verdict(formula: &str, name: &PluginName, verdict: &Verdict) -> String {
    let mut text = String::new();
    for TermVerdict { term, steps: done, recalled: before, result } in &verdict.terms {
        text += &format!("{term}:\n{}{}", steps(done), recalled(*before));
        text += &match result {
            Ok(_) => "  \u{2713} holds: manifest and bytecode are what the binding stands for\n".to_owned(),
            Err(failure) => failed(failure),
        };
    }
    let word = if verdict.satisfied { "satisfied" } else { "NOT satisfied" };
    text + &format!("{name}: the formula {formula} is {word}\n")
}

pub fn verdict_json(formula: &str, name: &PluginName, verdict: &Verdict) -> Value {
    let term = |t: &TermVerdict| {
        json!({
            "term": t.term.to_string(),
            "holds": t.result.is_ok(),
            "steps": steps_json(&t.steps),
            "error": t.result.as_ref().err().map(|e| causes(e).join(": ")),
        })
    };
    json!({
        "name": name,
        "formula": formula,
        "satisfied": verdict.satisfied,
        "terms": verdict.terms.iter().map(term).collect::<Value>(),
    })
}

//! Formulas, made at random: their text, and that more never makes one false.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, outside the functions marked as such"
)]

use pds_core::expression::Expression;
use pds_core::formula::{Formula, Term, parse};
use proptest::prelude::*;

fn term() -> impl Strategy<Value = Formula> {
    let properties = prop::collection::vec("[a-z][a-z0-9_-]{0,8}", 0..3);
    ("PV[0-7]", properties).prop_map(|(nickname, properties)| Expression::Atom(Term { nickname, properties }))
}

fn formulas() -> impl Strategy<Value = Formula> {
    term().prop_recursive(4, 24, 4, |inner| {
        (prop::collection::vec(inner, 1..4), any::<prop::sample::Index>())
            .prop_map(|(of, least)| Expression::Threshold { least: least.index(of.len()) + 1, of })
    })
}

/// Whether `formula` holds when those `PV`s hold whose bit is set.
fn holds(formula: &Formula, who: u8) -> bool {
    formula.is_satisfied(&mut |term: &Term| who >> (term.nickname.as_bytes()[2] - b'0') & 1 == 1)
}

proptest! {
    #[test]
    fn formula_parses_back_from_its_text(formula in formulas()) {
        prop_assert_eq!(parse(&formula.to_string()), Ok(formula));
    }

    #[test]
    fn formula_never_fails_for_more_validators(formula in formulas(), some in any::<u8>(), more in any::<u8>()) {
        prop_assert!(!holds(&formula, some) || holds(&formula, some | more));
        prop_assert!(holds(&formula, 0xff) && !holds(&formula, 0));
    }

    #[test]
    fn formula_text_of_any_kind_is_read_or_refused(text in "[ab1-3of &|(),\\[\\]\\n\u{e9}]{0,40}") {
        if let Ok(formula) = parse(&text) {
            prop_assert_eq!(parse(&formula.to_string()), Ok(formula));
        }
    }
}

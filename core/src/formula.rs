//! A peer's formula: which validators must stand for a plugin, `PV1 & (PV2 | PV3[termination])`.
//!
//! Pure. The grammar is [`crate::expression`]'s; an atom is a nickname, local to the peer, with the properties that this
//! validator must have proved in brackets. A formula is about one plugin package: all its terms are checked against the
//! same manifest, the same full object map and the same owner.

use std::fmt;

use winnow::Parser;
use winnow::combinator::{delimited, opt, separated};

use crate::expression::{self, Expression, ExpressionError};

/// A term: this validator stands for the plugin, and proved these properties of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// The peer's own name for the validator.
    pub nickname: String,
    /// Properties that must be proved in the validator's binding.
    pub properties: Vec<String>,
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.nickname)?;
        if self.properties.is_empty() { Ok(()) } else { write!(f, "[{}]", self.properties.join(", ")) }
    }
}

/// A monotone formula over validators.
pub type Formula = Expression<Term>;

/// Parses a formula.
///
/// # Errors
/// [`ExpressionError`], with the column.
pub fn parse(text: &str) -> Result<Formula, ExpressionError> {
    expression::parse(text, |input| {
        let nickname = expression::identifier(input)?.to_owned();
        let list = separated(
            1..,
            expression::expected(expression::identifier, "a name is expected"),
            expression::symbol(","),
        );
        let brackets = delimited(
            expression::symbol("["),
            list,
            expression::expected(expression::symbol("]"), "`,` or `]` is expected"),
        );
        let properties: Option<Vec<&str>> = opt(brackets).parse_next(input)?;
        let properties = properties.unwrap_or_default().into_iter().map(str::to_owned).collect();
        Ok(Term { nickname, properties })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formula_round_trips_through_its_text() {
        let check = |text: &str, expect: &str| {
            let formula = parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(formula.to_string(), expect);
            assert_eq!(parse(expect), Ok(formula), "{expect}");
        };
        check("PV1", "PV1");
        check(" PV1&(PV2|PV3) ", "PV1 & (PV2 | PV3)");
        check("a & b & c", "a & b & c");
        check("a | b & c", "a | (b & c)");
        check("((a))", "a");
        check("2 of (PV1, PV2, PV3)", "2 of (PV1, PV2, PV3)");
        check("2 of (a & b, c | d, e)", "2 of (a & b, c | d, e)");
        check("1 of (a)", "1 of (a)");
        check("PV1[ termination ,memory ]", "PV1[termination, memory]");
        check("\n a\t|\r\n b", "a | b");
    }

    #[test]
    fn formula_is_refused_with_its_column() {
        let check = |text: &str, column: usize, expected: &str| {
            let error = parse(text).expect_err(text);
            assert_eq!(error, ExpressionError::Syntax { column, expected: expected.to_owned() }, "{text}");
        };
        let term = "a name, a number of alternatives or `(` is expected";
        check("", 1, term);
        check("   ", 4, term);
        check("a &", 4, term);
        check("a & | b", 5, term);
        check("!a", 1, term);
        check("a b", 3, "`&`, `|` or the end is expected");
        check("a & (b | c", 11, "`)` is expected");
        check("a)", 2, "`&`, `|` or the end is expected");
        check("2 (a, b)", 3, "`of` is expected behind a number");
        check("2 of a", 6, "`(` is expected behind `of`");
        check("3 of (a, b)", 12, "the number before `of` is 1 to the number of alternatives");
        check("0 of (a)", 9, "the number before `of` is 1 to the number of alternatives");
        check("a[", 3, "a name is expected");
        check("a[b", 4, "`,` or `]` is expected");
        check("a[]", 3, "a name is expected");
    }

    #[test]
    fn formula_is_refused_when_it_exceeds_a_bound() {
        let nested = |n: usize| format!("{}a{}", "(".repeat(n), ")".repeat(n));
        assert!(parse(&nested(31)).is_ok());
        let message = |text: &str| parse(text).unwrap_err().to_string();
        assert!(message(&nested(32)).contains("32 levels"), "{}", message(&nested(32)));
        assert!(message(&nested(1000)).contains("32 levels"));
        let many = |n: usize| vec!["a"; n].join("|");
        assert!(parse(&many(256)).is_ok());
        assert!(message(&many(257)).contains("256 atoms"));
        assert_eq!(parse(&" ".repeat(4097)), Err(ExpressionError::TooLong(4097)));
    }

    #[test]
    fn formula_counts_alternatives() {
        let holds = |text: &str, those: &str| {
            parse(text).unwrap().is_satisfied(&mut |term: &Term| those.contains(term.nickname.as_str()))
        };
        assert!(holds("a & (b | c)", "ab") && holds("a & (b | c)", "ac"));
        assert!(!holds("a & (b | c)", "bc") && !holds("a & (b | c)", "a"));
        assert!(holds("2 of (a, b, c)", "ac") && !holds("2 of (a, b, c)", "c"));
    }
}

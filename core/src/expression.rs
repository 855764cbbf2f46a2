//! Monotone expressions: `a & (b | c)`, `2 of (a, b, c)`.
//!
//! Pure. One grammar serves a peer's formula over validators ([`crate::formula`]) and a validator's acceptance
//! expression over properties ([`crate::acceptance`]). There is no negation: more evidence never makes an expression false.
//! Parsed, bounded and typed; never run as code.
//!
//! ```text
//! any   = all *( "|" all )
//! all   = term *( "&" term )
//! term  = "(" any ")" / k "of" "(" any *( "," any ) ")" / atom
//! ```

use std::fmt;

use winnow::ascii::{dec_uint, multispace0};
use winnow::combinator::{alt, cut_err, delimited, eof, preceded, separated, terminated};
use winnow::error::{ContextError, ErrMode, StrContext};
use winnow::prelude::*;
use winnow::stream::Stateful;
use winnow::token::take_while;

/// Most bytes of an expression.
pub const MAX_BYTES: usize = pds_schemas::limits::EXPRESSION_BYTES;
/// Deepest nesting of parentheses.
pub const MAX_DEPTH: usize = 32;
/// Most atoms and groups of an expression.
pub const MAX_NODES: usize = 256;

/// An expression over atoms `A`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression<A> {
    /// One atom.
    Atom(A),
    /// At least `least` of `of` hold. `a & b` is 2 of 2, `a | b` is 1 of 2.
    Threshold {
        /// How many must hold: 1 to the length of `of`.
        least: usize,
        /// The alternatives.
        of: Vec<Expression<A>>,
    },
}

/// Why a text is not an expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// More than [`MAX_BYTES`].
    #[error("an expression has at most {MAX_BYTES} bytes, this one has {0}")]
    TooLong(usize),
    /// The text stops making sense.
    #[error("column {column}: {expected}")]
    Syntax {
        /// Byte offset from 1.
        column: usize,
        /// What would make sense there.
        expected: String,
    },
}

impl<A> Expression<A> {
    /// Whether the expression holds when exactly the atoms for which `holds` says so hold.
    pub fn is_satisfied(&self, holds: &mut impl FnMut(&A) -> bool) -> bool {
        match self {
            Self::Atom(atom) => holds(atom),
            Self::Threshold { least, of } => {
                // Every branch is asked, so that a caller that reports sees every atom.
                of.iter().filter(|e| e.is_satisfied(holds)).count() >= *least
            }
        }
    }

    /// Every atom, in the order of the text.
    pub fn atoms(&self) -> Vec<&A> {
        match self {
            Self::Atom(atom) => vec![atom],
            Self::Threshold { of, .. } => of.iter().flat_map(Self::atoms).collect(),
        }
    }
}

/// For people. Parses back to the same expression, but for one so close to the bounds that the parentheses added here
/// exceed them.
impl<A: fmt::Display> fmt::Display for Expression<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Atom(atom) => atom.fmt(f),
            Self::Threshold { least, of } if of.len() > 1 && (*least == 1 || *least == of.len()) => {
                let sign = if *least == 1 { " | " } else { " & " };
                for (i, e) in of.iter().enumerate() {
                    f.write_str(if i == 0 { "" } else { sign })?;
                    match e {
                        Self::Atom(atom) => atom.fmt(f)?,
                        group => write!(f, "({group})")?,
                    }
                }
                Ok(())
            }
            Self::Threshold { least, of } => {
                write!(f, "{least} of (")?;
                for (i, e) in of.iter().enumerate() {
                    f.write_str(if i == 0 { "" } else { ", " })?;
                    e.fmt(f)?;
                }
                f.write_str(")")
            }
        }
    }
}

/// What is left to spend on an expression.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    depth: usize,
    nodes: usize,
}

pub(crate) type Input<'i> = Stateful<&'i str, Budget>;
type Parsed<T> = Result<T, ErrMode<ContextError>>;

/// Parses `text`, whose atoms `atom` reads.
pub(crate) fn parse<'i, A>(
    text: &'i str,
    atom: impl Fn(&mut Input<'i>) -> Parsed<A> + Copy,
) -> Result<Expression<A>, ExpressionError> {
    if text.len() > MAX_BYTES {
        return Err(ExpressionError::TooLong(text.len()));
    }
    let mut input = Stateful { input: text, state: Budget { depth: MAX_DEPTH, nodes: MAX_NODES } };
    let whole = &mut input;
    let result = preceded(multispace0, |i: &mut Input<'i>| any(i, atom)).parse_next(whole);
    let result = result.and_then(|e| {
        cut_err(eof).context(StrContext::Label("`&`, `|` or the end is expected")).parse_next(whole)?;
        Ok(e)
    });
    result.map_err(|error| ExpressionError::Syntax {
        column: text.len() - input.input.len() + 1,
        expected: first_label(&error.into_inner().unwrap_or_default()),
    })
}

/// `[A-Za-z][A-Za-z0-9_-]*`, and the space behind it.
pub(crate) fn identifier<'i>(input: &mut Input<'i>) -> Parsed<&'i str> {
    let first = take_while(1, |c: char| c.is_ascii_alphabetic());
    let rest = take_while(0..64, |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    lexeme((first, rest).take()).parse_next(input)
}

/// `sign`, and the space behind it.
pub(crate) fn symbol<'i>(sign: &'static str) -> impl Parser<Input<'i>, &'i str, ErrMode<ContextError>> {
    lexeme(sign)
}

/// What `parser` reads, where nothing else can stand; `rule` says so in the error.
pub(crate) fn expected<'i, T>(
    parser: impl Parser<Input<'i>, T, ErrMode<ContextError>>,
    rule: &'static str,
) -> impl Parser<Input<'i>, T, ErrMode<ContextError>> {
    cut_err(parser).context(StrContext::Label(rule))
}

fn lexeme<'i, T>(
    parser: impl Parser<Input<'i>, T, ErrMode<ContextError>>,
) -> impl Parser<Input<'i>, T, ErrMode<ContextError>> {
    terminated(parser, multispace0)
}

fn any<'i, A>(
    input: &mut Input<'i>,
    atom: impl Fn(&mut Input<'i>) -> Parsed<A> + Copy,
) -> Parsed<Expression<A>> {
    let of: Vec<_> = separated(1.., |i: &mut Input<'i>| all(i, atom), symbol("|")).parse_next(input)?;
    Ok(group(1, of))
}

fn all<'i, A>(
    input: &mut Input<'i>,
    atom: impl Fn(&mut Input<'i>) -> Parsed<A> + Copy,
) -> Parsed<Expression<A>> {
    let of: Vec<_> = separated(1.., |i: &mut Input<'i>| term(i, atom), symbol("&")).parse_next(input)?;
    Ok(group(of.len(), of))
}

fn group<A>(least: usize, mut of: Vec<Expression<A>>) -> Expression<A> {
    match of.pop() {
        Some(only) if of.is_empty() => only,
        Some(last) => {
            of.push(last);
            Expression::Threshold { least, of }
        }
        None => Expression::Threshold { least, of },
    }
}

fn term<'i, A>(
    input: &mut Input<'i>,
    atom: impl Fn(&mut Input<'i>) -> Parsed<A> + Copy,
) -> Parsed<Expression<A>> {
    spend(&mut input.state.nodes, "at most 256 atoms and groups are allowed")?;
    spend(&mut input.state.depth, "at most 32 levels of parentheses are allowed")?;
    let parenthesised = delimited(symbol("("), cut_err(|i: &mut Input<'i>| any(i, atom)), close());
    let threshold = |i: &mut Input<'i>| threshold(i, atom);
    let single = |i: &mut Input<'i>| atom(i).map(Expression::Atom);
    // An operator must be followed by a term: nothing to go back to once one is expected here.
    let expected = StrContext::Label("a name, a number of alternatives or `(` is expected");
    let result = cut_err(alt((parenthesised, threshold, single))).context(expected).parse_next(input);
    input.state.depth += 1;
    result
}

fn threshold<'i, A>(
    input: &mut Input<'i>,
    atom: impl Fn(&mut Input<'i>) -> Parsed<A> + Copy,
) -> Parsed<Expression<A>> {
    let least: u16 = lexeme(dec_uint).parse_next(input)?;
    let of_word = expected(symbol("of"), "`of` is expected behind a number");
    (of_word, expected(symbol("("), "`(` is expected behind `of`")).void().parse_next(input)?;
    let of: Vec<_> =
        cut_err(separated(1.., |i: &mut Input<'i>| any(i, atom), symbol(","))).parse_next(input)?;
    close().parse_next(input)?;
    let least = usize::from(least);
    if least == 0 || least > of.len() {
        return Err(refuse("the number before `of` is 1 to the number of alternatives"));
    }
    Ok(Expression::Threshold { least, of })
}

fn close<'i>() -> impl Parser<Input<'i>, &'i str, ErrMode<ContextError>> {
    expected(symbol(")"), "`)` is expected")
}

fn spend(budget: &mut usize, rule: &'static str) -> Parsed<()> {
    *budget = budget.checked_sub(1).ok_or_else(|| refuse(rule))?;
    Ok(())
}

fn refuse(rule: &'static str) -> ErrMode<ContextError> {
    let mut error = ContextError::new();
    error.push(StrContext::Label(rule));
    ErrMode::Cut(error)
}

fn first_label(error: &ContextError) -> String {
    let label = error.context().find_map(|c| match c {
        StrContext::Label(text) => Some((*text).to_owned()),
        _ => None,
    });
    label.unwrap_or_else(|| "something else is expected".to_owned())
}

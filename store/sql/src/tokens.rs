//! The query's text as tokens, and what Timestream writes in ways that no SQL parser knows.
//!
//! `@scheduled_runtime` is no column but a time, which whoever runs the scheduled query gives.
//!
//! Three things are put right before parsing, each on whole tokens, so that strings, comments and quoted names
//! stay as they are:
//!
//! - `measure_value::double` is a column's name, not a cast: it becomes the quoted name.
//! - `30s` is an interval: it becomes `INTERVAL '30 seconds'`. Days are 24 hours, as in Presto.
//! - `ROW(a BIGINT)` and `ARRAY(BIGINT)` as types within CAST become the parser's `STRUCT<a BIGINT>`, `ARRAY<BIGINT>`.

use datafusion::sql::sqlparser::{
    keywords::Keyword,
    tokenizer::{Span, Token, TokenWithSpan, Tokenizer, Word},
};

use crate::{
    dialect::TimestreamDialect,
    error::{Error, Result},
};

/// What follows `measure_value::` in a column's name.
const MEASURE_TYPES: [&str; 5] = ["double", "bigint", "varchar", "boolean", "timestamp"];

/// A query's tokens, rewritten as the module says. Each keeps its place in the text.
pub(crate) fn tokenize(sql: &str) -> Result<Vec<TokenWithSpan>> {
    let tokens = Tokenizer::new(&TimestreamDialect, sql).tokenize_with_location()?;
    Ok(types_in_casts(&durations(measure_values(tokens))?))
}

/// The tokens with a time in the place of a scheduled query's `@scheduled_runtime`, in nanoseconds since 1970.
pub(crate) fn with_scheduled_runtime(tokens: Vec<TokenWithSpan>, nanoseconds: i64) -> Vec<TokenWithSpan> {
    let is_it = |token: &Token| match token {
        Token::Word(word) => word.quote_style.is_none() && word.value.eq_ignore_ascii_case("@scheduled_runtime"),
        _ => false,
    };
    let time = |span: Span| {
        // A negative number would be an operator and a number.
        let number = Token::Number(nanoseconds.max(0).to_string(), false);
        let call = [Token::make_word("from_nanoseconds", None), Token::LParen, number, Token::RParen];
        call.map(|token| TokenWithSpan::new(token, span))
    };
    let replace = |token: TokenWithSpan| match is_it(&token.token) {
        true => time(token.span).to_vec(),
        false => vec![token],
    };
    tokens.into_iter().flat_map(replace).collect()
}

/// A quoted identifier.
pub(crate) fn quoted(name: impl Into<String>, span: Span) -> TokenWithSpan {
    let word = Word { value: name.into(), quote_style: Some('"'), keyword: Keyword::NoKeyword };
    TokenWithSpan::new(Token::Word(word), span)
}

fn measure_values(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let mut out = Vec::with_capacity(tokens.len());
    let mut rest = tokens.as_slice();
    while let [first, tail @ ..] = rest {
        if let [colons, kind, after @ ..] = tail
            && let (Token::Word(name), Token::DoubleColon, Token::Word(kind_word)) =
                (&first.token, &colons.token, &kind.token)
            && name.quote_style.is_none()
            && kind_word.quote_style.is_none()
            && name.value.eq_ignore_ascii_case("measure_value")
            && let Some(known) = MEASURE_TYPES.iter().find(|t| kind_word.value.eq_ignore_ascii_case(t))
        {
            out.push(quoted(format!("measure_value::{known}"), Span::new(first.span.start, kind.span.end)));
            rest = after;
            continue;
        }
        out.push(first.clone());
        rest = tail;
    }
    out
}

fn durations(tokens: Vec<TokenWithSpan>) -> Result<Vec<TokenWithSpan>> {
    let mut out = Vec::with_capacity(tokens.len());
    let mut rest = tokens.as_slice();
    while let [first, tail @ ..] = rest {
        if let [unit, after @ ..] = tail
            && let (Token::Number(number, false), Token::Word(unit_word)) = (&first.token, &unit.token)
            && unit_word.quote_style.is_none()
            && let Some(text) = duration(number, &unit_word.value)
        {
            let span = Span::new(first.span.start, unit.span.end);
            let text = text.map_err(|reason| {
                Error::Validation(format!(
                    "line {}:{}: {reason}: '{number}{}'",
                    span.start.line, span.start.column, unit_word.value
                ))
            })?;
            out.push(TokenWithSpan::new(Token::make_keyword("INTERVAL"), span));
            out.push(TokenWithSpan::new(Token::SingleQuotedString(text), span));
            rest = after;
            continue;
        }
        out.push(first.clone());
        rest = tail;
    }
    Ok(out)
}

/// `30`, `s` → `30 seconds`; `None` when this is no unit.
fn duration(number: &str, unit: &str) -> Option<Result<String, &'static str>> {
    let (factor, word) = match unit {
        "ns" => (1, "nanoseconds"),
        "us" => (1, "microseconds"),
        "ms" => (1, "milliseconds"),
        "s" => (1, "seconds"),
        "m" => (1, "minutes"),
        "h" => (1, "hours"),
        "d" => (24, "hours"),
        _ => return None,
    };
    let Ok(number) = number.parse::<i64>() else { return Some(Err("a duration is a whole number with a unit")) };
    Some(match number.checked_mul(factor) {
        Some(number) => Ok(format!("{number} {word}")),
        None => Err("the duration is too long"),
    })
}

/// Within `CAST(… AS …)` types are written with parentheses; the parser wants angle brackets.
fn types_in_casts(tokens: &[TokenWithSpan]) -> Vec<TokenWithSpan> {
    let mut out: Vec<TokenWithSpan> = Vec::with_capacity(tokens.len());
    // One entry an open parenthesis.
    let mut open: Vec<Paren> = Vec::new();
    let mut previous = Keyword::NoKeyword;
    for token in tokens {
        let mut token = token.clone();
        match &token.token {
            Token::Whitespace(_) => {
                out.push(token);
                continue;
            }
            Token::Word(word) => {
                previous = word.keyword;
                let within_type = matches!(open.last(), Some(Paren::Type | Paren::Angle));
                if word.keyword == Keyword::AS && open.last() == Some(&Paren::Cast) {
                    if let Some(last) = open.last_mut() {
                        *last = Paren::Type;
                    }
                } else if word.keyword == Keyword::ROW && within_type {
                    token.token = Token::make_keyword("STRUCT");
                }
                out.push(token);
                continue;
            }
            Token::LParen => {
                let paren = match previous {
                    Keyword::CAST | Keyword::TRY_CAST => Paren::Cast,
                    Keyword::ROW | Keyword::ARRAY if matches!(open.last(), Some(Paren::Type | Paren::Angle)) => {
                        token.token = Token::Lt;
                        Paren::Angle
                    }
                    _ => Paren::Plain,
                };
                open.push(paren);
            }
            Token::RParen if open.pop() == Some(Paren::Angle) => token.token = Token::Gt,
            _ => {}
        }
        previous = Keyword::NoKeyword;
        out.push(token);
    }
    out
}

#[derive(PartialEq)]
enum Paren {
    Plain,
    /// Of a CAST whose AS has not come yet.
    Cast,
    /// Of a CAST, behind its AS.
    Type,
    /// Of a type's parameters, within a CAST.
    Angle,
}

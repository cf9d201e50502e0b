//! A statement's words, by the tokenizer of the SQL parser, with what Hive's DDL has of its own put right.
//!
//! In Hive both `'…'` and `"…"` are text, with backslash escapes, names are quoted by backticks, and the `>>` of
//! `array<array<int>>` closes two types.

use std::fmt;

use datafusion::sql::sqlparser::{
    dialect::Dialect,
    tokenizer::{Token as Raw, Tokenizer},
};

use crate::error::{Error, Result};

/// One word of a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    /// A name or a keyword; `quoted` when it stands in backticks and is no keyword.
    Word { text: String, quoted: bool },
    /// Text without its quotes and escapes.
    Text(String),
    /// Digits.
    Number(String),
    /// One of `( ) < > , : = . ;` or anything else.
    Sign(String),
    /// Behind the last one.
    End,
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::Word { text, quoted: true } => write!(f, "`{text}`"),
            Token::Word { text, .. } | Token::Number(text) | Token::Sign(text) => write!(f, "'{text}'"),
            Token::Text(text) => write!(f, "the text '{text}'"),
            Token::End => f.write_str("the end"),
        }
    }
}

/// The words of a statement, read one after the other.
#[derive(Debug)]
pub(crate) struct Tokens {
    tokens: Vec<(Token, u64, u64)>,
    at: usize,
}

impl Tokens {
    /// Cuts a statement into words.
    pub fn of(sql: &str) -> Result<Self> {
        let raw = Tokenizer::new(&HiveDdl, sql).with_unescape(false).tokenize_with_location();
        let raw =
            raw.map_err(|e| Error::Syntax { line: e.location.line, column: e.location.column, message: e.message })?;
        let mut tokens = Vec::with_capacity(raw.len());
        for token in raw {
            let (line, column) = (token.span.start.line, token.span.start.column);
            let one = match token.token {
                Raw::Whitespace(_) | Raw::EOF => continue,
                Raw::Word(word) if word.quote_style.is_some() => {
                    Token::Word { text: word.value.replace("``", "`"), quoted: true }
                }
                Raw::Word(word) => Token::Word { text: word.value, quoted: false },
                Raw::SingleQuotedString(text) => Token::Text(unescape(&text, '\'')),
                Raw::DoubleQuotedString(text) => Token::Text(unescape(&text, '"')),
                Raw::Number(digits, _) => Token::Number(digits),
                Raw::ShiftRight => {
                    tokens.push((Token::Sign(">".into()), line, column));
                    Token::Sign(">".into())
                }
                sign => Token::Sign(sign.to_string()),
            };
            tokens.push((one, line, column));
        }
        let (line, column) = tokens.last().map_or((1, 1), |(_, line, column)| (*line, *column));
        tokens.push((Token::End, line, column));
        Ok(Tokens { tokens, at: 0 })
    }

    /// The next word; it stays.
    pub fn peek(&self) -> &Token {
        self.ahead(0)
    }

    /// The word `by` words behind the next one.
    pub fn ahead(&self, by: usize) -> &Token {
        self.tokens.get(self.at + by).or(self.tokens.last()).map_or(&Token::End, |(token, ..)| token)
    }

    /// Takes the next word.
    pub fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at = (self.at + 1).min(self.tokens.len() - 1);
        token
    }

    /// Whether these keywords come next.
    pub fn is(&self, keywords: &[&str]) -> bool {
        keywords.iter().enumerate().all(|(by, keyword)| is_keyword(self.ahead(by), keyword))
    }

    /// Takes these keywords if all of them come next.
    pub fn take(&mut self, keywords: &[&str]) -> bool {
        let taken = self.is(keywords);
        if taken {
            self.at += keywords.len();
        }
        taken
    }

    /// Takes a sign if it comes next.
    pub fn take_sign(&mut self, sign: &str) -> bool {
        let taken = matches!(self.peek(), Token::Sign(found) if found == sign);
        if taken {
            self.at += 1;
        }
        taken
    }

    /// Takes keywords that must come.
    pub fn expect(&mut self, keywords: &[&str]) -> Result<()> {
        if self.take(keywords) { Ok(()) } else { Err(self.expected(&keywords.join(" "))) }
    }

    /// Takes a sign that must come.
    pub fn expect_sign(&mut self, sign: &str) -> Result<()> {
        if self.take_sign(sign) { Ok(()) } else { Err(self.expected(&format!("'{sign}'"))) }
    }

    /// Takes text that must come.
    pub fn expect_text(&mut self, what: &str) -> Result<String> {
        match self.peek().clone() {
            Token::Text(text) => {
                self.next();
                Ok(text)
            }
            _ => Err(self.expected(what)),
        }
    }

    /// Takes a name that must come, in lower case, as Hive keeps it.
    pub fn expect_name(&mut self, what: &str) -> Result<String> {
        match self.peek().clone() {
            Token::Word { text, .. } => {
                self.next();
                Ok(text.to_lowercase())
            }
            _ => Err(self.expected(what)),
        }
    }

    /// Takes a number that must come.
    pub fn expect_number<T: std::str::FromStr>(&mut self, what: &str) -> Result<T> {
        if let Token::Number(digits) = self.peek()
            && let Ok(number) = digits.parse()
        {
            self.next();
            return Ok(number);
        }
        Err(self.expected(what))
    }

    /// Nothing but a semicolon may come.
    pub fn expect_end(&mut self) -> Result<()> {
        while self.take_sign(";") {}
        if *self.peek() == Token::End { Ok(()) } else { Err(self.expected("the end of the statement")) }
    }

    /// The error that something else has come.
    pub fn expected(&self, what: &str) -> Error {
        self.error(format!("found {} where {what} is expected", self.peek()))
    }

    /// An error at the next word.
    pub fn error(&self, message: impl Into<String>) -> Error {
        let (line, column) = self.tokens.get(self.at).map_or((1, 1), |(_, line, column)| (*line, *column));
        Error::Syntax { line, column, message: message.into() }
    }
}

fn is_keyword(token: &Token, keyword: &str) -> bool {
    matches!(token, Token::Word { text, quoted: false } if text.eq_ignore_ascii_case(keyword))
}

/// What the tokenizer has to know.
#[derive(Debug)]
struct HiveDdl;

impl Dialect for HiveDdl {
    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        ch == '`'
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        ch.is_alphabetic() || ch == '_' || ch == '$'
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        ch.is_alphanumeric() || ch == '_' || ch == '$'
    }

    fn supports_string_literal_backslash_escape(&self) -> bool {
        true
    }
}

/// Hive's escapes: `\n`, `\001` (octal), `\u0001`, and a doubled quote.
fn unescape(text: &str, quote: char) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(ch) = rest.next() {
        if ch == quote {
            // Inside, a quote is doubled.
            rest.next();
            out.push(quote);
            continue;
        }
        if ch != '\\' {
            out.push(ch);
            continue;
        }
        let tail = rest.as_str();
        if let Some(code) = tail.strip_prefix('u').and_then(|hex| code(hex, 4, 16)) {
            out.push(code);
            rest = tail[5..].chars();
        } else if let Some(code) = code(tail, 3, 8).filter(|code| (*code as u32) < 256) {
            out.push(code);
            rest = tail[3..].chars();
        } else {
            out.extend(rest.next().map(|escaped| match escaped {
                '0' => '\0',
                'b' => '\u{8}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'Z' => '\u{1a}',
                other => other,
            }));
        }
    }
    out
}

fn code(text: &str, digits: usize, radix: u32) -> Option<char> {
    let digits = text.get(..digits)?;
    digits
        .chars()
        .all(|ch| ch.is_digit(radix))
        .then(|| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32))?
}

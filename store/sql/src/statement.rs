//! What can be asked: a query, SHOW, DESCRIBE, UNLOAD.

use datafusion::sql::sqlparser::{
    ast::{self, ObjectName, SetExpr},
    keywords::Keyword,
    parser::Parser,
    tokenizer::{Token, TokenWithSpan, Word},
};

use crate::{
    dialect::TimestreamDialect,
    error::{Error, Result},
    unload::UnloadOptions,
};

/// A parsed statement.
#[derive(Debug, Clone)]
pub(crate) enum Statement {
    Query(Box<ast::Query>),
    ShowDatabases { like: Option<String> },
    ShowTables { database: Name, like: Option<String> },
    ShowMeasures { database: Name, table: Name, like: Option<String> },
    Describe { database: Name, table: Name },
    Unload { query: Box<ast::Query>, options: UnloadOptions },
}

/// A name as the query writes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Name {
    pub text: String,
    pub line: u64,
    pub column: u64,
}

impl Name {
    fn of(ident: &ast::Ident) -> Self {
        let start = ident.span.start;
        Name { text: ident.value.clone(), line: start.line, column: start.column }
    }

    /// An error at this name's place.
    pub fn error(&self, message: impl std::fmt::Display) -> Error {
        Error::Validation(format!("line {}:{}: {message}", self.line, self.column))
    }

    /// An error at this name's place: what it names is not there.
    pub fn not_found(&self, message: impl std::fmt::Display) -> Error {
        Error::NotFound(format!("line {}:{}: {message}", self.line, self.column))
    }
}

/// Parses tokens that [`tokenize`](crate::tokens::tokenize) made.
pub(crate) fn parse(tokens: Vec<TokenWithSpan>) -> Result<Statement> {
    let mut parser = Parser::new(&TimestreamDialect).with_tokens_with_locations(tokens);
    let statement = match &parser.peek_token().token {
        Token::Word(w) if w.keyword == Keyword::SHOW => show(&mut parser)?,
        Token::Word(w) if matches!(w.keyword, Keyword::DESCRIBE | Keyword::DESC) => {
            parser.next_token();
            let (database, table) = table_name(&mut parser)?;
            Statement::Describe { database, table }
        }
        Token::Word(w) if w.keyword == Keyword::UNLOAD => unload(&mut parser)?,
        Token::EOF => return Err(Error::validation("The query string is empty")),
        Token::Word(w) if matches!(w.keyword, Keyword::SELECT | Keyword::WITH | Keyword::VALUES | Keyword::TABLE) => {
            Statement::Query(parser.parse_query()?)
        }
        Token::LParen => Statement::Query(parser.parse_query()?),
        _ => {
            return Err(parser
                .expected_ref::<()>("SELECT, WITH, SHOW, DESCRIBE or UNLOAD", parser.peek_token_ref())
                .map_or_else(Error::from, |()| Error::validation("not a statement")));
        }
    };
    let _ = parser.consume_token(&Token::SemiColon);
    if parser.peek_token().token != Token::EOF {
        let token = parser.peek_token();
        let start = token.span.start;
        return Err(Error::Validation(format!(
            "line {}:{}: mismatched input '{}'. Expecting: <EOF>",
            start.line, start.column, token.token
        )));
    }
    if let Statement::Query(query) | Statement::Unload { query, .. } = &statement {
        reads_only(&query.body)?;
    }
    Ok(statement)
}

/// The parser takes INSERT and the like as a query's body.
fn reads_only(body: &SetExpr) -> Result<()> {
    match body {
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
            Err(Error::validation("Only SELECT, SHOW, DESCRIBE and UNLOAD are supported"))
        }
        SetExpr::SetOperation { left, right, .. } => {
            reads_only(left)?;
            reads_only(right)
        }
        SetExpr::Query(query) => reads_only(&query.body),
        _ => Ok(()),
    }
}

fn show(parser: &mut Parser<'_>) -> Result<Statement> {
    parser.next_token();
    let what = parser.next_token();
    let Token::Word(Word { value, .. }) = &what.token else {
        return parser.expected("DATABASES, TABLES or MEASURES", what).map_err(Error::from);
    };
    match value.to_ascii_uppercase().as_str() {
        "DATABASES" => Ok(Statement::ShowDatabases { like: like(parser)? }),
        "TABLES" => {
            from(parser)?;
            let database = Name::of(&parser.parse_identifier()?);
            Ok(Statement::ShowTables { database, like: like(parser)? })
        }
        "MEASURES" => {
            from(parser)?;
            let (database, table) = table_name(parser)?;
            Ok(Statement::ShowMeasures { database, table, like: like(parser)? })
        }
        _ => parser.expected("DATABASES, TABLES or MEASURES", what).map_err(Error::from),
    }
}

fn from(parser: &mut Parser<'_>) -> Result<()> {
    if parser.parse_one_of_keywords(&[Keyword::FROM, Keyword::IN]).is_some() {
        return Ok(());
    }
    let found = parser.peek_token();
    parser.expected("FROM", found).map_err(Error::from)
}

fn like(parser: &mut Parser<'_>) -> Result<Option<String>> {
    if parser.parse_keyword(Keyword::LIKE) { Ok(Some(parser.parse_literal_string()?)) } else { Ok(None) }
}

fn table_name(parser: &mut Parser<'_>) -> Result<(Name, Name)> {
    database_and_table(&parser.parse_object_name(false)?)
}

/// `db.table` as a query writes it.
pub(crate) fn database_and_table(name: &ObjectName) -> Result<(Name, Name)> {
    let idents: Vec<_> = name.0.iter().filter_map(|part| part.as_ident()).collect();
    match idents.as_slice() {
        [database, table] => Ok((Name::of(database), Name::of(table))),
        [one] => Err(Name::of(one).error(format!("Database must be specified for table '{}'", one.value))),
        _ => Err(Error::validation(format!("'{name}' is not a table's name: write database.table"))),
    }
}

fn unload(parser: &mut Parser<'_>) -> Result<Statement> {
    match parser.parse_unload()? {
        ast::Statement::Unload { query: Some(query), to, with, .. } => {
            Ok(Statement::Unload { query, options: UnloadOptions::parse(&to, &with)? })
        }
        _ => Err(Error::validation("UNLOAD takes a query in parentheses")),
    }
}

//! What can be said about tables: `CREATE EXTERNAL TABLE`, `DROP TABLE`, `SHOW TABLES`, `SHOW CREATE TABLE`.

use crate::{
    create_table,
    error::{Error, Result},
    table::{DEFAULT_DATABASE, Table, TableName},
    tokens::{Token, Tokens},
};

/// A statement about tables.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Statement {
    /// `CREATE EXTERNAL TABLE [IF NOT EXISTS] …`
    CreateTable {
        /// The table.
        table: Box<Table>,
        /// Whether it may be there already.
        if_not_exists: bool,
        /// What was read although Athena would refuse it, a line each.
        notes: Vec<String>,
    },
    /// `DROP TABLE [IF EXISTS] …`
    DropTable {
        /// The table.
        name: TableName,
        /// Whether it may be missing.
        if_exists: bool,
    },
    /// `SHOW TABLES [IN database] ['pattern']`
    ShowTables {
        /// The database; none named.
        database: Option<String>,
        /// `*` stands for anything, `|` for or.
        pattern: Option<String>,
    },
    /// `SHOW CREATE TABLE …`
    ShowCreateTable {
        /// The table.
        name: TableName,
    },
}

impl Statement {
    /// Reads a statement; `None` when it is something else, a query for example.
    ///
    /// # Errors
    ///
    /// [`Error::Syntax`] with its place, and whatever [`Table::check`] finds.
    pub fn parse(sql: &str) -> Result<Option<Self>> {
        let mut tokens = match Tokens::of(sql) {
            Ok(tokens) => tokens,
            Err(error) => return if begins_like_ours(sql) { Err(error) } else { Ok(None) },
        };
        let statement = if tokens.take(&["CREATE", "EXTERNAL", "TABLE"]) {
            let if_not_exists = tokens.take(&["IF", "NOT", "EXISTS"]);
            let (table, notes) = create_table::read(&mut tokens)?;
            tokens.expect_end()?;
            table.check()?;
            return Ok(Some(Statement::CreateTable { table: Box::new(table), if_not_exists, notes }));
        } else if tokens.take(&["DROP", "TABLE"]) {
            let if_exists = tokens.take(&["IF", "EXISTS"]);
            Statement::DropTable { name: table_name(&mut tokens)?, if_exists }
        } else if tokens.take(&["SHOW", "CREATE", "TABLE"]) {
            Statement::ShowCreateTable { name: table_name(&mut tokens)? }
        } else if tokens.take(&["SHOW", "TABLES"]) {
            let named = tokens.take(&["IN"]) || tokens.take(&["FROM"]);
            let database = if named { Some(tokens.expect_name("a database")?) } else { None };
            let _ = tokens.take(&["LIKE"]);
            let pattern = match tokens.peek() {
                Token::Text(_) => Some(tokens.expect_text("a pattern")?),
                _ => None,
            };
            Statement::ShowTables { database, pattern }
        } else {
            return Ok(None);
        };
        tokens.expect_end()?;
        Ok(Some(statement))
    }

    /// Reads a `CREATE EXTERNAL TABLE`.
    ///
    /// # Errors
    ///
    /// As [`parse`](Self::parse), and when it is another statement.
    pub fn parse_table(sql: &str) -> Result<Table> {
        match Self::parse(sql)? {
            Some(Statement::CreateTable { table, .. }) => Ok(*table),
            _ => Err(Error::Syntax { line: 1, column: 1, message: "CREATE EXTERNAL TABLE is expected".into() }),
        }
    }
}

/// `[database.]table`
pub(crate) fn table_name(tokens: &mut Tokens) -> Result<TableName> {
    let first = tokens.expect_name("a table's name")?;
    if tokens.take_sign(".") {
        return Ok(TableName::new(first, tokens.expect_name("a table's name")?));
    }
    Ok(TableName::new(DEFAULT_DATABASE, first))
}

/// Whether an error of the text's is ours to report: queries have words of their own.
fn begins_like_ours(sql: &str) -> bool {
    let mut words = sql.split_whitespace().map(str::to_ascii_uppercase);
    match (words.next().as_deref(), words.next().as_deref()) {
        (Some("CREATE"), Some("EXTERNAL")) | (Some("DROP"), Some("TABLE")) => true,
        (Some("SHOW"), Some(what)) => what.starts_with("TABLES") || what == "CREATE",
        _ => false,
    }
}

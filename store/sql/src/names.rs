//! Which table and which column a name means.
//!
//! Names keep their case in a table (`DeviceID`), and a query finds them in any (`deviceid`, `"DEVICEID"`). Every
//! name of a query is therefore spelled in one way before it is planned: a column's name as its table has it, all
//! others in lower case.

use std::{collections::HashMap, ops::ControlFlow};

use datafusion::sql::sqlparser::{
    ast::{ObjectName, Query, Visit, Visitor},
    keywords::Keyword,
    tokenizer::{Token, TokenWithSpan},
};

use crate::{
    catalog::Catalog,
    error::{Error, Result},
    statement::{Name, database_and_table},
    tokens::quoted,
};

/// The tables that a query reads: the names of its FROM clauses that no CTE has.
pub(crate) fn tables_of(query: &Query) -> Result<Vec<(Name, Name)>> {
    let mut relations = Relations::default();
    let _ = query.visit(&mut relations);
    let mut tables = Vec::new();
    for name in relations.names {
        let of_cte =
            name.0.len() == 1 && name.0[0].as_ident().is_some_and(|i| relations.ctes.contains(&i.value.to_lowercase()));
        if !of_cte {
            let table = database_and_table(&name)?;
            if !tables.iter().any(|(d, t): &(Name, Name)| d.text == table.0.text && t.text == table.1.text) {
                tables.push(table);
            }
        }
    }
    Ok(tables)
}

#[derive(Default)]
struct Relations {
    names: Vec<ObjectName>,
    ctes: Vec<String>,
}

impl Visitor for Relations {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if let Some(with) = &query.with {
            self.ctes.extend(with.cte_tables.iter().map(|cte| cte.alias.name.value.to_lowercase()));
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, name: &ObjectName) -> ControlFlow<()> {
        self.names.push(name.clone());
        ControlFlow::Continue(())
    }
}

/// The database that `name` means: the one of that name, else the only one of that name in any case.
pub(crate) async fn database(catalog: &dyn Catalog, name: &Name) -> Result<String> {
    let all = catalog.databases().await.map_err(Error::Catalog)?;
    find(&all, &name.text).ok_or_else(|| name.not_found(format!("Database '{}' does not exist", name.text)))
}

/// The table that `database.table` means.
pub(crate) async fn table(catalog: &dyn Catalog, database_name: &Name, table: &Name) -> Result<(String, String)> {
    let database = database(catalog, database_name).await?;
    let all = catalog.tables(&database).await.map_err(Error::Catalog)?.unwrap_or_default();
    match find(&all, &table.text) {
        Some(table) => Ok((database, table)),
        None => Err(table.not_found(format!("Table '{database}.{}' does not exist", table.text))),
    }
}

fn find(all: &[String], name: &str) -> Option<String> {
    if all.iter().any(|n| n == name) {
        return Some(name.to_owned());
    }
    let lower = name.to_lowercase();
    let mut alike = all.iter().filter(|n| n.to_lowercase() == lower);
    match (alike.next(), alike.next()) {
        (Some(one), None) => Some(one.clone()),
        _ => None,
    }
}

/// How names are spelled: as one of the query's tables has a column, else in lower case.
#[derive(Debug, Clone, Default)]
pub(crate) struct Spelling {
    columns: HashMap<String, Vec<String>>,
}

impl Spelling {
    pub fn add(&mut self, column: &str) {
        let spellings = self.columns.entry(column.to_lowercase()).or_default();
        if !spellings.iter().any(|s| s == column) {
            spellings.push(column.to_owned());
        }
    }

    /// How `name` is spelled.
    pub fn of(&self, name: &str) -> String {
        let lower = name.to_lowercase();
        match self.columns.get(&lower).map(Vec::as_slice) {
            None | Some([]) => lower,
            Some([only]) => only.clone(),
            // Several columns differ only in case: the name decides where it is exact.
            Some(several) => several.iter().find(|s| *s == name).unwrap_or(&several[0]).clone(),
        }
    }

    /// Spells every name in a query.
    pub fn apply(&self, tokens: &mut [TokenWithSpan]) {
        let words: Vec<usize> =
            (0..tokens.len()).filter(|i| !matches!(tokens[*i].token, Token::Whitespace(_))).collect();
        for (at, &i) in words.iter().enumerate() {
            let Token::Word(word) = &tokens[i].token else { continue };
            let spelled = self.of(&word.value);
            let same = match word.quote_style {
                Some(_) => spelled == word.value,
                // DataFusion turns what is not quoted to lower case.
                None => spelled == word.value.to_lowercase(),
            };
            if same {
                continue;
            }
            let near =
                |offset: isize| at.checked_add_signed(offset).and_then(|n| words.get(n)).map(|n| &tokens[*n].token);
            if word.quote_style.is_none() && is_syntax(near(-2), near(-1), near(1)) {
                continue;
            }
            let span = tokens[i].span;
            tokens[i] = quoted(spelled, span);
        }
    }
}

/// Whether a word between these is a function, a unit or a type, although a column has such a name.
fn is_syntax(before_last: Option<&Token>, last: Option<&Token>, next: Option<&Token>) -> bool {
    let keyword =
        |token: Option<&Token>, keyword: Keyword| matches!(token, Some(Token::Word(w)) if w.keyword == keyword);
    match (last, next) {
        // `hour(time)`, `DATE '2024-01-01'`
        (_, Some(Token::LParen | Token::SingleQuotedString(_))) => !matches!(last, Some(Token::Period)),
        // `INTERVAL '1' HOUR`
        (Some(Token::SingleQuotedString(_)), _) => keyword(before_last, Keyword::INTERVAL),
        // `EXTRACT(HOUR FROM …)`
        (Some(Token::LParen), _) => keyword(before_last, Keyword::EXTRACT),
        // `CAST(x AS DATE)`
        (Some(_), Some(Token::RParen)) => keyword(last, Keyword::AS),
        _ => false,
    }
}

//! What an insight is: a question with its SQL, and a picture of the answer.

use crate::{
    error::Result,
    insights::{anomalies, completeness, consumption, lateness, load_curves, outages},
    period::Period,
    picture::Picture,
    rows::Rows,
    settings::Settings,
};

/// A question over months of readings. One more is a file below `insights/`, and a line in [`ALL`].
pub trait Insight: Sync {
    /// What it is called in commands, addresses and files.
    fn name(&self) -> &'static str;

    /// What stands above it.
    fn title(&self) -> &'static str;

    /// What it counts and what it does not, in a few sentences.
    fn about(&self, settings: &Settings) -> String;

    /// What is asked. The first statement has the picture's figures.
    fn statements(&self, question: &Question<'_>) -> Vec<Statement>;

    /// The picture of the answers, one for every statement, in their order.
    ///
    /// # Errors
    /// [`crate::Error::Answer`]: an answer that is not what its statement asks for.
    fn draw(&self, question: &Question<'_>, answers: &[Rows<'_>]) -> Result<Drawn>;
}

/// All of them, in the order of the page.
pub const ALL: [&'static dyn Insight; 6] = [
    &consumption::Consumption,
    &load_curves::LoadCurves,
    &outages::Outages,
    &anomalies::Anomalies,
    &completeness::Completeness,
    &lateness::Lateness,
];

/// What is asked: of which readings, and what is called what.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// From when to when.
    pub period: &'a Period,
    /// What is called what.
    pub settings: &'a Settings,
}

/// A statement, and what its rows are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// As a part of a file's name.
    pub name: &'static str,
    /// The SQL.
    pub sql: String,
}

/// A picture, or why there is none.
#[derive(Debug, Clone)]
pub enum Drawn {
    /// A picture, and what is to be said of it.
    Picture(Picture, Vec<String>),
    /// There is nothing to be seen, and why.
    Nothing(String),
}

/// The insight of this name.
///
/// # Errors
/// [`crate::Error::NoInsight`], with the names there are.
pub fn find(name: &str) -> Result<&'static dyn Insight> {
    let found = ALL.into_iter().find(|insight| insight.name() == name);
    found.ok_or_else(|| crate::Error::NoInsight(name.to_owned()))
}

/// All names.
pub fn names() -> Vec<&'static str> {
    ALL.iter().map(|insight| insight.name()).collect()
}

//! Insight views: what months of readings say, as pictures with the SQL that they are of.
//!
//! ```text
//! period, tariffs, topology ─▶ insight ─▶ SQL ─▶ Ask (whoever has the table `readings`)
//!                                 │                │
//!                                 ▼                ▼
//!          page, `hurtig report` ◀── SVG, CSV ◀── rows
//! ```
//!
//! - An [`Insight`] is a file: its title, its SQL, and how its rows become a picture. [`ALL`] has them.
//! - [`Insights`] asks: with an [`Ask`], which knows where the table is, and [`Settings`], which say what is called what.
//! - [`Pages`] shows them to browsers; a [`report`] writes them into a directory. Both have the same pictures.
//!
//! ```no_run
//! use std::sync::Arc;
//! use hurtig_insights::{Asked, Ask, Insights, Settings, find};
//!
//! # async fn show(ask: Arc<dyn Ask>, now: jiff::Timestamp) -> hurtig_insights::Result<()> {
//! let insights = Insights::new(ask, Settings::default())?;
//! let asked = Asked::parse(Some("2013-01-01"), Some("2013-12-31"), Some("Europe/London"))?;
//! if let Some(period) = insights.period(&asked, now).await? {
//!     let answer = insights.answer(find("consumption")?, &period).await?;
//!     if let Some(picture) = &answer.picture {
//!         println!("{}", picture.standalone()?);
//!     }
//!     println!("{}", answer.sheets[0].csv()?);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Invariants:
//! - A reading counts once, however often it came: a meter has one value of a measure at a time.
//! - What somebody asks with gets into SQL as a day, a number or a quoted text, and as nothing else.
//! - No clock is looked at: what is now, the caller says.

mod answer;
mod ask;
mod error;
mod insight;
pub mod insights;
pub mod numbers;
mod pages;
mod period;
pub mod picture;
pub mod report;
mod rows;
mod settings;
mod sql;
mod tariff;
mod topology;

pub use self::{
    answer::{Answer, Insights, Sheet},
    ask::Ask,
    error::{Error, Result},
    insight::{ALL, Drawn, Insight, Question, Statement, find, names},
    pages::{Pages, PagesOptions},
    period::{Asked, Period},
    picture::Picture,
    rows::Rows,
    settings::{Energy, Settings},
    tariff::{Hours, Rate, Tariff, Tariffs, Weekday},
    topology::{Place, Topology},
};

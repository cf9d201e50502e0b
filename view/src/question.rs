//! What a browser can ask: a panel by its name, with parameters that are checked before anything is done with them.

use crate::error::{Error, Result};

/// A question, understood.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Question {
    /// `fleet`: how many meters there are, and how they are.
    Fleet,
    /// `consumption?span=hour|day`: energy by region over time.
    Consumption(Span),
    /// `meter?id=…[&until=MS]`: one meter's day, which ends now or at a time.
    Meter {
        /// The meter.
        id: String,
        /// The day's end in milliseconds since the epoch.
        until: Option<i64>,
    },
    /// `meters?find=…`: meters whose names have this in them.
    Meters {
        /// A part of the name, in any case; everything has the empty one.
        find: String,
    },
    /// `voltage`: meters whose last voltage is out of tolerance.
    Voltage,
    /// `silent`: meters that have said nothing for a while.
    Silent,
    /// `lateness`: how late readings come.
    Lateness,
    /// `pipeline`: how the job is.
    Pipeline,
}

/// How much of the past consumption is shown of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Span {
    /// An hour, by the minute.
    Hour,
    /// A day, by the quarter of an hour.
    Day,
}

/// A meter's name can be as long as a dimension's value of Timestream's.
const NAME_BYTES: usize = 2_048;
/// No time is further from 1970 (nanoseconds in 64 bits).
const FURTHEST_MS: i64 = 9_200_000_000_000;

impl Question {
    /// What `panel` with `parameters` asks.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a panel that there is not; [`Error::Parameter`] for a parameter that is missing, that says
    /// nothing, or that the panel does not have.
    pub fn parse(panel: &str, parameters: Vec<(String, String)>) -> Result<Self> {
        let mut parameters = Parameters { panel, all: parameters };
        let question = match panel {
            "fleet" => Question::Fleet,
            "consumption" => Question::Consumption(parameters.span()?),
            "meter" => Question::Meter { id: parameters.id()?, until: parameters.until()? },
            "meters" => Question::Meters { find: parameters.find()? },
            "voltage" => Question::Voltage,
            "silent" => Question::Silent,
            "lateness" => Question::Lateness,
            "pipeline" => Question::Pipeline,
            other => {
                return Err(Error::NotFound(format!(
                    "There is no panel '{other}': fleet, consumption, meter, meters, voltage, silent, lateness and pipeline \
                     there are."
                )));
            }
        };
        parameters.end()?;
        Ok(question)
    }
}

struct Parameters<'a> {
    panel: &'a str,
    all: Vec<(String, String)>,
}

impl Parameters<'_> {
    fn take(&mut self, name: &str) -> Result<Option<String>> {
        let Some(at) = self.all.iter().position(|(n, _)| n == name) else { return Ok(None) };
        let (_, value) = self.all.swap_remove(at);
        match self.all.iter().any(|(n, _)| n == name) {
            true => Err(Error::Parameter(format!("'{name}' is there twice."))),
            false => Ok(Some(value)),
        }
    }

    fn span(&mut self) -> Result<Span> {
        match self.take("span")?.as_deref() {
            None | Some("hour") => Ok(Span::Hour),
            Some("day") => Ok(Span::Day),
            Some(other) => Err(Error::Parameter(format!("'{other}' is no span: hour and day are."))),
        }
    }

    fn id(&mut self) -> Result<String> {
        let id = self.take("id")?;
        let id = id.ok_or_else(|| Error::Parameter("Which meter? Its name is missing: id=…".into()))?;
        if id.is_empty() {
            return Err(Error::Parameter("Which meter? Its name is empty.".into()));
        }
        of_a_name(id)
    }

    fn find(&mut self) -> Result<String> {
        of_a_name(self.take("find")?.unwrap_or_default())
    }

    fn until(&mut self) -> Result<Option<i64>> {
        let Some(text) = self.take("until")? else { return Ok(None) };
        let time = text.parse().ok().filter(|t: &i64| (0..FURTHEST_MS).contains(t));
        let wrong = || Error::Parameter(format!("'{text}' is no time: milliseconds since 1970 are."));
        time.ok_or_else(wrong).map(Some)
    }

    fn end(self) -> Result<()> {
        match self.all.first() {
            None => Ok(()),
            Some((name, _)) => Err(Error::Parameter(format!("{} has no parameter '{name}'.", self.panel))),
        }
    }
}

fn of_a_name(text: String) -> Result<String> {
    if text.len() > NAME_BYTES {
        return Err(Error::Parameter(format!("No meter's name is longer than {NAME_BYTES} bytes.")));
    }
    if text.chars().any(char::is_control) {
        return Err(Error::Parameter("No meter's name has control characters in it.".into()));
    }
    Ok(text)
}

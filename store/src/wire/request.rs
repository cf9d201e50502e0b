//! Reading a request's JSON: what is missing or too long is told in the words of AWS's services.

use std::borrow::Cow;

use serde::Deserialize;

use super::fault::{Fault, Kind};

/// A text of the request, borrowed where JSON has nothing escaped in it.
#[derive(Debug, Clone, Deserialize)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

/// Reads a body. One that is empty is an empty object; members that nobody knows are passed over.
pub fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Fault> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body)
        .map_err(|e| Fault::new(Kind::Serialization, format!("The request is not as the service's model has it: {e}")))
}

/// A member that has to be there.
pub fn required<T>(member: Option<T>, name: &str) -> Result<T, Fault> {
    member.ok_or_else(|| {
        Fault::validation(format!(
            "1 validation error detected: Value null at '{name}' failed to satisfy constraint: Member must not be null"
        ))
    })
}

/// A text of so many characters.
pub fn length(text: &str, name: &str, least: usize, most: usize) -> Result<(), Fault> {
    let length = text.chars().count();
    if length < least {
        let rule = format_args!("Member must have length greater than or equal to {least}").to_string();
        return Err(Fault::constraint(text, name, rule));
    }
    if length > most {
        // The text itself may be very long.
        let begin: String = text.chars().take(64).collect();
        let rule = format!("Member must have length less than or equal to {most}");
        return Err(Fault::constraint(format!("{begin}…"), name, rule));
    }
    Ok(())
}

/// A number in a range; `default` when there is none.
pub fn in_range(number: Option<i64>, name: &str, least: usize, most: usize, default: usize) -> Result<usize, Fault> {
    let Some(number) = number else { return Ok(default) };
    match usize::try_from(number) {
        Ok(number) if number > most => {
            Err(Fault::constraint(number, name, format!("Member must have value less than or equal to {most}")))
        }
        Ok(number) if number >= least => Ok(number),
        _ => Err(Fault::constraint(number, name, format!("Member must have value greater than or equal to {least}"))),
    }
}

/// Seconds since 1970, as JSON 1.0 has times, of milliseconds.
pub fn seconds(milliseconds: i64) -> f64 {
    milliseconds as f64 / 1_000.0
}

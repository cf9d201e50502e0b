//! A double as Java prints it: `1.0`, `1.0E10`, `NaN`, `Infinity`. Clients parse these.

use std::fmt::Write;

/// `Double.toString`: plain from 10^-3 up to 10^7, else with an exponent; always a digit on both sides of the point;
/// no more digits than tell the number apart from its neighbours.
pub(crate) fn java(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity".to_owned() } else { "-Infinity".to_owned() };
    }
    let magnitude = value.abs();
    if magnitude == 0.0 || (1e-3..1e7).contains(&magnitude) {
        // Debug prints the shortest digits, with `.0` behind whole numbers.
        return format!("{value:?}");
    }
    let scientific = format!("{value:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let mut out = String::with_capacity(scientific.len() + 2);
    out.push_str(digits);
    if !digits.contains('.') {
        out.push_str(".0");
    }
    // Writing to a String cannot fail.
    let _ = write!(out, "E{exponent}");
    out
}

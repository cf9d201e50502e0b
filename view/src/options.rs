//! How a view is served, and what it calls normal.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use crate::error::{Error, Result};

/// Where the view listens unless told otherwise: beside the job's REST API.
pub const DEFAULT_PORT: u16 = 8082;

/// How a view is served.
#[derive(Debug, Clone)]
pub struct ViewOptions {
    /// Where to listen; port 0 takes a free one. `127.0.0.1:8082` by default.
    pub listen: SocketAddr,
    /// Whether an address may be listened at that other machines reach: nobody is asked who he is.
    pub allow_remote: bool,
    /// Host names (without a port) by which requests may come, besides `localhost` and addresses: those of a proxy.
    pub hosts: Vec<String>,
    /// The store's database.
    pub database: String,
    /// The table in it.
    pub table: String,
    /// The dimension that names a meter. When the table does not have it, `meterid`, `device_id` and `deviceid` are
    /// looked for, in any case.
    pub meter: String,
    /// The dimension that names a meter's region; a table without it has one region.
    pub region: String,
    /// The measure of energy: kWh since the meter's last reading.
    pub energy: String,
    /// The measure of voltage: volts.
    pub voltage: String,
    /// Where the job's REST API is (`http://127.0.0.1:8081`); its panels say that there is none when there is none.
    pub rest: Option<String>,
    /// Volts; 230 by default.
    pub nominal_voltage: f64,
    /// How far from it a voltage may be, as a share: 0.10 by default, as EN 50160 has it.
    pub tolerance: f64,
    /// A meter that has said nothing for so long is silent; 15 minutes by default. Consumption now is that of this time.
    pub silent_after: Duration,
    /// How many meters a list has at most; 100 by default.
    pub list_rows: usize,
    /// How long a query may take; 20 seconds by default.
    pub query_timeout: Duration,
    /// How long an answer is given again to whoever asks the same; 1 second by default.
    pub fresh_for: Duration,
    /// A directory with the page's files, read again for each request instead of those compiled in: for working on them.
    pub page: Option<PathBuf>,
}

impl Default for ViewOptions {
    fn default() -> Self {
        ViewOptions {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT)),
            allow_remote: false,
            hosts: Vec::new(),
            database: "meters".into(),
            table: "readings".into(),
            meter: "meter_id".into(),
            region: "region".into(),
            energy: "kwh_measure".into(),
            voltage: "voltage_measure".into(),
            rest: None,
            nominal_voltage: 230.0,
            tolerance: 0.10,
            silent_after: Duration::from_secs(15 * 60),
            list_rows: 100,
            query_timeout: Duration::from_secs(20),
            fresh_for: Duration::from_secs(1),
            page: None,
        }
    }
}

impl ViewOptions {
    /// The lowest voltage within the tolerance.
    pub fn low_volts(&self) -> f64 {
        microvolts(self.nominal_voltage * (1.0 - self.tolerance))
    }

    /// The highest voltage within the tolerance.
    pub fn high_volts(&self) -> f64 {
        microvolts(self.nominal_voltage * (1.0 + self.tolerance))
    }

    /// [`silent_after`](Self::silent_after) in milliseconds.
    pub(crate) fn silent_after_ms(&self) -> i64 {
        i64::try_from(self.silent_after.as_millis()).unwrap_or(i64::MAX)
    }

    /// Whether it can be served so.
    ///
    /// # Errors
    /// The option that cannot be, and what to do instead.
    pub fn check(&self) -> Result<()> {
        let wrong = |words: String| Err(Error::Options(words));
        if !self.listen.ip().is_loopback() && !self.allow_remote {
            return wrong(format!(
                "{} can be reached from other machines, and the view asks nobody who he is: listen on 127.0.0.1, or allow \
                 it and put a proxy that asks before it",
                self.listen
            ));
        }
        if !(self.nominal_voltage.is_finite() && self.nominal_voltage > 0.0) {
            return wrong(format!("a nominal voltage of {} V cannot be", self.nominal_voltage));
        }
        if !(self.tolerance > 0.0 && self.tolerance < 1.0) {
            return wrong(format!("a tolerance of {} cannot be: a share between 0 and 1 can, as 0.10", self.tolerance));
        }
        // Consumption now is a sum over this time.
        if !(1_000..=7 * 86_400_000).contains(&self.silent_after_ms()) {
            return wrong("a meter is silent after a second at least and a week at most".into());
        }
        if let Some(rest) = &self.rest {
            crate::rest::base(rest)?;
        }
        Ok(())
    }
}

/// The limits themselves are within: 8 % below 230 V is 211.6 V, and not the next number above it.
fn microvolts(volts: f64) -> f64 {
    (volts * 1e6).round() / 1e6
}

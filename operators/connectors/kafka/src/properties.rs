//! librdkafka's options: what the user gives, what the connector needs, and what may not be changed.

use std::collections::BTreeMap;

use hurtig_engine::error::{Error, Result};
use rdkafka::ClientConfig;

/// Options for librdkafka by name (its `CONFIGURATION.md`), passed through as they are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties(BTreeMap<String, String>);

impl Properties {
    /// Sets one.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.insert(name.into(), value.into());
    }

    /// The value, if it was set.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Refuses what the connector has to decide itself. `reserved`: names, and why.
    pub(crate) fn refuse(&self, reserved: &[(&str, &str)]) -> Result<()> {
        match reserved.iter().find(|(name, _)| self.0.contains_key(*name)) {
            None => Ok(()),
            Some((name, why)) => Err(Error::Config(format!("kafka: the property '{name}' cannot be set: {why}"))),
        }
    }

    /// A client's configuration: `defaults`, over them what the user set, over both what is `fixed`.
    pub(crate) fn config(&self, defaults: &[(&str, &str)], fixed: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (name, value) in defaults {
            config.set(*name, *value);
        }
        for (name, value) in &self.0 {
            config.set(name, value);
        }
        for (name, value) in fixed {
            config.set(*name, *value);
        }
        config
    }

    /// The servers, or an error that says how they are given.
    pub(crate) fn bootstrap_servers(&self) -> Result<&str> {
        self.get("bootstrap.servers")
            .filter(|s| !s.trim().is_empty())
            .ok_or_else(|| Error::Config("kafka: no server is given: set bootstrap_servers(\"host:9092\")".to_owned()))
    }
}

/// Says in one line what librdkafka thinks of a configuration.
pub(crate) fn check(config: &ClientConfig) -> Result<()> {
    config.create_native_config().map(drop).map_err(|e| Error::Config(format!("kafka: {e}")))
}

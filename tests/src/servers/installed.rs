//! What `scripts/servers.sh` has installed, and where.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::program::workspace;

/// What can be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// Both servers for Kinesis, which run on node.
    Kinesis,
    /// Apache Kafka's broker.
    Kafka,
    /// Apicurio, a schema registry.
    Registry,
    /// S3, SQS and more.
    Ministack,
    /// No server: a Python in which others' programs can be run, to compare with.
    Python,
    /// No server: DuckDB, pyarrow, `deltalake` and psycopg, in Python.
    Readers,
    /// No server: AWS's SDK for JavaScript, which runs on node.
    JavaScript,
    /// InfluxDB 1.
    InfluxDb,
    /// QuestDB.
    QuestDb,
    /// No server: Grafana's own types, and TypeScript.
    Grafana,
    /// Prometheus.
    Prometheus,
    /// No server: Chromium, its driver, and axe.
    Browser,
}

impl Server {
    /// Where it is; an error says how to install it.
    pub(super) fn directory(self) -> Result<PathBuf> {
        let name = match self {
            Server::Kinesis => "kinesis",
            Server::Kafka => "kafka",
            Server::Registry => "registry",
            Server::Ministack => "ministack",
            Server::Python => "python",
            Server::Readers => "readers",
            Server::JavaScript => "javascript",
            Server::InfluxDb => "influxdb",
            Server::QuestDb => "questdb",
            Server::Grafana => "grafana",
            Server::Prometheus => "prometheus",
            Server::Browser => "browser",
        };
        // The script alone knows the versions.
        let script = workspace().join("scripts/servers.sh");
        let output = Command::new(&script).args(["where", name]).stdin(Stdio::null()).output();
        let output = output.with_context(|| script.display().to_string())?;
        if !output.status.success() {
            bail!("{}", String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
    }
}

/// A Python that knows what `scripts/servers.sh` has installed for it.
pub fn python() -> Result<Command> {
    Ok(Command::new(Server::Python.directory()?.join("bin/python3")))
}

/// A Python that knows others that read the lake.
pub fn readers() -> Result<Command> {
    Ok(Command::new(Server::Readers.directory()?.join("bin/python3")))
}

/// The folder with `node_modules/@aws-sdk`.
pub fn javascript() -> Result<PathBuf> {
    Server::JavaScript.directory()
}

/// The folder with `chromium`, `chromedriver` and `node_modules/axe-core`.
pub fn browser() -> Result<PathBuf> {
    Server::Browser.directory()
}

/// Whether a test is to be left out because one of its servers is not installed, which is said.
///
/// # Panics
/// With `CI` set nothing may be left out.
pub fn left_out(servers: &[Server]) -> bool {
    let missing = servers.iter().find_map(|server| server.directory().err());
    let Some(reason) = missing else { return false };
    let ci = std::env::var_os("CI").is_some_and(|ci| !ci.is_empty());
    assert!(!ci, "nothing may be left out with CI set: {reason}");
    eprintln!("left out: {reason}");
    true
}

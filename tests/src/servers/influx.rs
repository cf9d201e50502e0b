//! Debian's `influxdb`, InfluxDB 1.

use std::process::Command;

use anyhow::Result;

use super::{
    installed::Server,
    ports::free_port,
    process::{ServerProcess, answers},
};

/// InfluxDB 1.6 with nothing in it. What it has acknowledged survives a `kill -9`.
pub struct InfluxDb {
    process: ServerProcess,
    port: u16,
}

impl InfluxDb {
    /// Starts one that knows no users.
    pub fn start() -> Result<Self> {
        Self::start_as(false)
    }

    /// Starts one that asks for users and passwords, the first of which is anyone's to create.
    pub fn start_with_users() -> Result<Self> {
        Self::start_as(true)
    }

    fn start_as(users: bool) -> Result<Self> {
        let program = Server::InfluxDb.directory()?.join("usr/bin/influxd");
        let (port, inner) = (free_port()?, free_port()?);
        let dir = ServerProcess::directory("influxdb")?;
        let data = dir.path().to_owned();
        let command = move || {
            let mut command = Command::new(&program);
            command.args(["run", "-config", "/dev/null"]);
            for (name, place) in [("META_DIR", "meta"), ("DATA_DIR", "data"), ("DATA_WAL_DIR", "wal")] {
                command.env(format!("INFLUXDB_{name}"), data.join(place));
            }
            command.env("INFLUXDB_HTTP_BIND_ADDRESS", format!("127.0.0.1:{port}"));
            command.env("INFLUXDB_BIND_ADDRESS", format!("127.0.0.1:{inner}"));
            command.env("INFLUXDB_HTTP_AUTH_ENABLED", users.to_string());
            command.env("INFLUXDB_REPORTING_DISABLED", "true").env("INFLUXDB_MONITOR_STORE_ENABLED", "false");
            command
        };
        // To a ping it answers 204.
        let ask = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let healthy = move || answers(port, ask);
        let process = ServerProcess::start("influxdb", dir, Box::new(command), Box::new(healthy))?;
        Ok(InfluxDb { process, port })
    }

    /// `http://127.0.0.1:PORT`
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// SIGKILL.
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Starts it again on the same port with the same data.
    pub fn start_again(&mut self) -> Result<()> {
        self.process.start_again()
    }
}

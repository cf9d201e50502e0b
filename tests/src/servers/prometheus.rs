//! Debian's `prometheus`.

use std::process::Command;

use anyhow::Result;

use super::{
    installed::Server,
    ports::free_port,
    process::{ServerProcess, answers},
};

/// A Prometheus that scrapes one address every second.
pub struct Prometheus {
    _process: ServerProcess,
    port: u16,
}

impl Prometheus {
    /// Starts one that scrapes `/metrics` of `target`, `HOST:PORT`.
    pub fn start(target: &str) -> Result<Self> {
        let program = Server::Prometheus.directory()?.join("usr/bin/prometheus");
        let port = free_port()?;
        let dir = ServerProcess::directory("prometheus")?;
        let (config, data) = (dir.path().join("prometheus.yml"), dir.path().join("data"));
        let scrape = format!(
            "scrape_configs:\n  - job_name: hurtig\n    scrape_interval: 1s\n    static_configs:\n      - targets: [\"{target}\"]\n"
        );
        std::fs::write(&config, scrape)?;
        let command = move || {
            let mut command = Command::new(&program);
            command.arg(format!("--config.file={}", config.display()));
            command.arg(format!("--storage.tsdb.path={}", data.display()));
            command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
            command
        };
        let ask = "GET /-/ready HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let healthy = move || answers(port, ask);
        let process = ServerProcess::start("prometheus", dir, Box::new(command), Box::new(healthy))?;
        Ok(Prometheus { _process: process, port })
    }

    /// `http://127.0.0.1:PORT`
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

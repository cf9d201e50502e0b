//! Apicurio Registry, by Confluent's API.

use std::process::Command;

use anyhow::{Context, Result};

use super::{
    installed::Server,
    ports::free_port,
    process::{ServerProcess, answers},
};

/// A real schema registry. Its data is in memory, and goes with it.
pub struct Apicurio {
    process: ServerProcess,
    port: u16,
}

impl Apicurio {
    /// Starts one with nothing in it.
    pub fn start() -> Result<Self> {
        let home = Server::Registry.directory()?;
        let named = |name: &str| name.ends_with("-runner.jar");
        let files = std::fs::read_dir(&home)?.filter_map(|entry| Some(entry.ok()?.path()));
        let mut jars = files.filter(|path| path.file_name().and_then(|n| n.to_str()).is_some_and(named));
        let jar = jars.next().with_context(|| format!("there is no *-runner.jar in {}", home.display()))?;
        let port = free_port()?;
        let command = move || {
            let mut command = Command::new("java");
            command.args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dquarkus.http.host=127.0.0.1"]);
            command.arg(format!("-Dquarkus.http.port={port}")).arg("-jar").arg(&jar);
            command
        };
        let ask = "GET /apis/ccompat/v7/subjects HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let dir = ServerProcess::directory("apicurio")?;
        let process = ServerProcess::start("apicurio", dir, Box::new(command), Box::new(move || answers(port, ask)))?;
        Ok(Apicurio { process, port })
    }

    /// Where it speaks Confluent's API: `http://127.0.0.1:PORT/apis/ccompat/v7`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/apis/ccompat/v7", self.port)
    }

    /// SIGKILL: nobody listens any more.
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Halts it: it takes connections and does not answer.
    pub fn pause(&self) {
        self.process.pause();
    }

    /// Lets it go on with what it had.
    pub fn resume(&self) {
        self.process.resume();
    }
}

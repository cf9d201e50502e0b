//! QuestDB from Maven Central.

use std::process::Command;

use anyhow::{Context, Result};

use super::{
    installed::Server,
    ports::free_port,
    process::{ServerProcess, answers},
};

/// QuestDB with nothing in it: InfluxDB's interfaces for writing, and SQL at `/exec`.
pub struct QuestDb {
    _process: ServerProcess,
    port: u16,
}

impl QuestDb {
    /// Starts one.
    pub fn start() -> Result<Self> {
        let lib = Server::QuestDb.directory()?.join("lib");
        let mut jars = std::fs::read_dir(&lib)?.filter_map(|entry| Some(entry.ok()?.path()));
        let jar = jars.next().with_context(|| format!("there is no jar in {}", lib.display()))?;
        let port = free_port()?;
        let dir = ServerProcess::directory("questdb")?;
        let data = dir.path().join("data");
        std::fs::create_dir(&data)?;
        let command = move || {
            let mut command = Command::new("java");
            command.args(["-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-p"]).arg(&jar);
            command.args(["-m", "io.questdb/io.questdb.ServerMain", "-d"]).arg(&data);
            command.env("QDB_HTTP_BIND_TO", format!("127.0.0.1:{port}"));
            for other in ["HTTP_MIN", "PG", "LINE_TCP", "METRICS", "TELEMETRY"] {
                command.env(format!("QDB_{other}_ENABLED"), "false");
            }
            command.env("QDB_SHARED_WORKER_COUNT", "1");
            command
        };
        let ask = "GET /exec?query=select+1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        let process = ServerProcess::start("questdb", dir, Box::new(command), Box::new(move || answers(port, ask)))?;
        Ok(QuestDb { _process: process, port })
    }

    /// `http://127.0.0.1:PORT`
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

//! npm `kinesis-local`.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

use super::{
    installed::Server,
    ports::free_port,
    process::{ServerProcess, answers},
};
use crate::program::workspace;

/// It writes everything that it has every second, unless it is told to do so less often.
const WRITE_EVERY: Duration = Duration::from_secs(1);
/// What is to be written is there after so long.
const PATIENCE: Duration = Duration::from_secs(120);

/// Kinesis for resharding, enhanced fan-out and the filters of ListShards.
///
/// Slow (2,000 records a second, less with many in a stream: pack readings by KPL aggregation), and it
/// writes its data down once a second: what came after that is lost when it is killed. It answers a bad
/// iterator with status 500 and enforces no limit.
pub struct KinesisLocal {
    process: ServerProcess,
    data: PathBuf,
    port: u16,
}

impl KinesisLocal {
    /// Starts one without any stream.
    pub fn start() -> Result<Self> {
        Self::start_writing_every(WRITE_EVERY)
    }

    /// Starts one that writes its data down so seldom: with 100 MB in it, it can do nothing else in a second.
    pub fn start_writing_every(interval: Duration) -> Result<Self> {
        let modules = Server::Kinesis.directory()?.join("node_modules/kinesis-local");
        let (port, tls) = (free_port()?, free_port()?);
        let dir = ServerProcess::directory("kinesis-local")?;
        let data = dir.path().join("data");
        std::fs::create_dir(&data)?;
        let persisted = data.clone();
        let command = move || {
            let mut command = Command::new("node");
            command.arg("-r").arg(workspace().join("tests/src/servers/localhost.js")).arg(modules.join("main.js"));
            command.env("KINESIS_MOCK_PLAIN_PORT", port.to_string()).env("KINESIS_MOCK_TLS_PORT", tls.to_string());
            // Without a certificate it does not start.
            command.env("KINESIS_MOCK_CERT_PATH", modules.join("server.json")).env("SHARD_LIMIT", "500");
            command.env("SHOULD_PERSIST_DATA", "true").env("PERSIST_PATH", &persisted);
            command.env("PERSIST_INTERVAL", format!("{}s", interval.as_secs().max(1)));
            command.env("LOG_LEVEL", "ERROR");
            command
        };
        let healthy =
            move || answers(port, "GET /healthcheck HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let process = ServerProcess::start("kinesis-local", dir, Box::new(command), Box::new(healthy))?;
        Ok(KinesisLocal { process, data, port })
    }

    /// `http://127.0.0.1:PORT`
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Waits until what it has is written down, and kills it. What it takes while this waits is lost:
    /// hold up whoever writes ([`Faults::cut_before`](crate::kinesis_proxy::Faults) 1).
    #[allow(clippy::disallowed_methods, reason = "a driver: other processes live by the wall clock")]
    pub fn stop(&mut self) -> Result<()> {
        let file = self.data.join("kinesis-data.json");
        let written = || std::fs::metadata(&file).and_then(|file| file.modified()).ok();
        let start = Instant::now();
        // What is written when this is called may have been begun before: the next one counts.
        for _ in 0..2 {
            let before = written();
            // Half a file has another time too.
            while written() == before || !is_whole(&file) {
                if start.elapsed() > PATIENCE {
                    bail!("kinesis-local has not written {} in {} s", file.display(), PATIENCE.as_secs());
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        // It writes nothing when it is asked to end.
        self.process.kill9();
        Ok(())
    }

    /// SIGKILL.
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Starts it again on the same port with the same data.
    pub fn start_again(&mut self) -> Result<()> {
        self.process.start_again()
    }

    /// Stops it and starts it again.
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.start_again()
    }
}

fn is_whole(file: &Path) -> bool {
    let text = std::fs::read(file).unwrap_or_default();
    serde_json::from_slice::<serde::de::IgnoredAny>(&text).is_ok()
}

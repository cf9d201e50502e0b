//! npm `kinesalite`.

use std::process::Command;

use anyhow::Result;

use super::{
    CREDENTIALS, REGION,
    installed::Server,
    ports::free_port,
    process::{ServerProcess, answers},
};
use crate::program::workspace;

/// Kinesis for volume (above 10,000 records a second) and for what must survive a `kill -9`; it
/// enforces the limits of a request and has the right errors for iterators.
///
/// No enhanced fan-out and no UpdateShardCount; the end of a shard names no children, and
/// MillisBehindLatest is 0 until then.
pub struct Kinesalite {
    process: ServerProcess,
    port: u16,
}

impl Kinesalite {
    /// Starts one without any stream.
    pub fn start() -> Result<Self> {
        let modules = Server::Kinesis.directory()?.join("node_modules/kinesalite");
        let port = free_port()?;
        let dir = ServerProcess::directory("kinesalite")?;
        let data = dir.path().join("data");
        let command = move || {
            let mut command = Command::new("node");
            command.arg("-r").arg(workspace().join("tests/src/servers/localhost.js")).arg(modules.join("cli.js"));
            command.args(["--port", &port.to_string(), "--shardLimit", "500"]).arg("--path").arg(&data);
            // How long creating, splitting and deleting take.
            command.args(["--createStreamMs", "50", "--updateStreamMs", "50", "--deleteStreamMs", "50"]);
            command
        };
        let list_streams = format!(
            "POST / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 2\r\n\
             Content-Type: application/x-amz-json-1.1\r\nX-Amz-Target: Kinesis_20131202.ListStreams\r\n\
             X-Amz-Date: 20260101T000000Z\r\nAuthorization: AWS4-HMAC-SHA256 \
             Credential={CREDENTIALS}/20260101/{REGION}/kinesis/aws4_request, SignedHeaders=host, Signature=0\r\n\r\n{{}}"
        );
        let healthy = move || answers(port, &list_streams);
        let process = ServerProcess::start("kinesalite", dir, Box::new(command), Box::new(healthy))?;
        Ok(Kinesalite { process, port })
    }

    /// `http://127.0.0.1:PORT`
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Asks it to end.
    pub fn stop(&mut self) {
        self.process.stop();
    }

    /// SIGKILL. What it has acknowledged is there when it starts again.
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Starts it again on the same port with the same data.
    pub fn start_again(&mut self) -> Result<()> {
        self.process.start_again()
    }

    /// Stops it and starts it again.
    pub fn restart(&mut self) -> Result<()> {
        self.stop();
        self.start_again()
    }
}

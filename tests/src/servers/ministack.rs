//! PyPI `ministack`.

use std::process::Command;

use anyhow::Result;

use super::{
    installed::Server,
    ports::free_port,
    process::{ServerProcess, answers},
};

/// S3 (its data survives a `kill -9`), SQS and the rest of AWS, none of whose data it keeps then.
///
/// Of Kinesis it has SubscribeToShard as it should be. A shard that is split or merged takes its records with it, and is
/// listed no more; UpdateShardCount throws away everything.
pub struct Ministack {
    process: ServerProcess,
    port: u16,
}

impl Ministack {
    /// Starts one with nothing in it.
    pub fn start() -> Result<Self> {
        Self::start_as(Vec::new())
    }

    /// One whose subscriptions of enhanced fan-out end after so many seconds, which are 300 there as with Kinesis.
    pub fn start_with_subscriptions_of(seconds: u32) -> Result<Self> {
        let program = format!(
            "import ministack.services.kinesis as k; k.SUBSCRIPTION_SECONDS = {seconds}; \
             from ministack.app import main; main()"
        );
        Self::start_as(vec!["-c".into(), program])
    }

    /// With arguments for Python instead of the usual program.
    fn start_as(arguments: Vec<String>) -> Result<Self> {
        let bin = Server::Ministack.directory()?.join("bin");
        let program = bin.join(if arguments.is_empty() { "ministack" } else { "python" });
        let port = free_port()?;
        let dir = ServerProcess::directory("ministack")?;
        let data = dir.path().join("data");
        let command = move || {
            let mut command = Command::new(&program);
            command.args(&arguments);
            command.env("BIND_HOST", "127.0.0.1").env("GATEWAY_PORT", port.to_string());
            command.env("S3_PERSIST", "1").env("S3_DATA_DIR", &data);
            command
        };
        let healthy =
            move || answers(port, "GET /_ministack/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let process = ServerProcess::start("ministack", dir, Box::new(command), Box::new(healthy))?;
        Ok(Ministack { process, port })
    }

    /// `http://127.0.0.1:PORT`
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// SIGKILL.
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Starts it again on the same port with what S3 had.
    pub fn start_again(&mut self) -> Result<()> {
        self.process.start_again()
    }
}

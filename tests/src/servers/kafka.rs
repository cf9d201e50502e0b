//! Apache Kafka's broker.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
};
use tempfile::TempDir;

use super::{installed::Server, ports::free_port, process::ServerProcess};

mod secured;

pub use secured::SecuredKafka;

/// Any cluster id will do.
const CLUSTER: &str = "aHVydGlnLXRlc3RzLWthZg";
/// How long one question to the broker may take.
const ASK: Duration = Duration::from_secs(5);

/// The real broker, one node with KRaft and without topics: what is true of it is true of Kafka.
///
/// Topics are made by [`create_topic`](Self::create_topic) alone, consumer groups begin without delay.
pub struct Kafka {
    process: ServerProcess,
    bootstrap: String,
}

impl Kafka {
    /// Starts one with nothing in it.
    pub fn start() -> Result<Self> {
        Self::start_with("")
    }

    /// Starts one with more lines in its `server.properties`.
    pub fn start_with(properties: &str) -> Result<Self> {
        Self::start_in(ServerProcess::directory("kafka")?, &[], properties)
    }

    /// Starts one that is also to be found at other ports, where it speaks other protocols.
    fn start_in(dir: TempDir, doors: &[Door], properties: &str) -> Result<Self> {
        let classes = Server::Kafka.directory()?.join("lib/*");
        let (port, controller) = (free_port()?, free_port()?);
        let file = dir.path().join("server.properties");
        let text = server_properties(port, controller, doors, &dir.path().join("data"));
        std::fs::write(&file, text + properties)?;
        format(&classes, &file)?;
        let command = move || {
            let mut command = java(&classes);
            // A small machine runs several: what they read and write is in the page cache anyway.
            command.args(["-Xms64m", "-Xmx512m", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"]);
            command.arg("kafka.Kafka").arg(&file);
            command
        };
        let bootstrap = format!("127.0.0.1:{port}");
        let asked = bootstrap.clone();
        let healthy = move || is_healthy(&asked);
        let process = ServerProcess::start("kafka", dir, Box::new(command), Box::new(healthy))?;
        Ok(Kafka { process, bootstrap })
    }

    /// `127.0.0.1:PORT`, for `bootstrap.servers`.
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    /// Ends it in good order.
    pub fn stop(&mut self) {
        self.process.stop();
    }

    /// SIGKILL.
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Starts it again on the same port with the same data, and waits until every partition has its leader.
    pub fn start_again(&mut self) -> Result<()> {
        self.process.start_again()
    }

    /// Stops it and starts it again.
    pub fn restart(&mut self) -> Result<()> {
        self.stop();
        self.start_again()
    }

    /// Makes a topic and waits until it is there.
    pub fn create_topic(&self, name: &str, partitions: i32) -> Result<()> {
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        let made = futures::executor::block_on(self.admin()?.create_topics([&topic], &AdminOptions::new()))?;
        self.until_there(name, partitions, made)
    }

    /// Gives a topic more partitions, `total` in all, and waits until they are there.
    pub fn add_partitions(&self, name: &str, total: i32) -> Result<()> {
        let more = NewPartitions::new(name, total as usize);
        let made = futures::executor::block_on(self.admin()?.create_partitions([&more], &AdminOptions::new()))?;
        self.until_there(name, total, made)
    }

    fn until_there(&self, name: &str, partitions: i32, made: Vec<rdkafka::admin::TopicResult>) -> Result<()> {
        if let Some(Err((topic, e))) = made.into_iter().next() {
            bail!("{topic}: {e}");
        }
        let consumer: BaseConsumer = self.client().create()?;
        for _ in 0..500 {
            let metadata = consumer.fetch_metadata(Some(name), ASK)?;
            let ready = |topic: &rdkafka::metadata::MetadataTopic| {
                topic.partitions().iter().filter(|p| p.leader() >= 0).count() == partitions as usize
            };
            if metadata.topics().iter().any(ready) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        bail!("{name} has not got its {partitions} partitions; the broker's log is:\n{}", self.process.logged())
    }

    /// A client's settings: `bootstrap.servers`, and nothing else.
    pub fn client(&self) -> ClientConfig {
        client(&self.bootstrap)
    }

    fn admin(&self) -> Result<AdminClient<DefaultClientContext>> {
        Ok(self.client().create()?)
    }
}

fn client(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap);
    config
}

/// Whether it answers and every partition has a leader: after a start the controller says so a while
/// after the port is open.
fn is_healthy(bootstrap: &str) -> bool {
    let Ok(address) = bootstrap.parse() else { return false };
    if std::net::TcpStream::connect_timeout(&address, ASK).is_err() {
        return false;
    }
    let Ok(consumer) = client(bootstrap).create::<BaseConsumer>() else { return false };
    let Ok(metadata) = consumer.fetch_metadata(None, ASK) else { return false };
    let mut partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
    !metadata.brokers().is_empty() && partitions.all(|partition| partition.leader() >= 0)
}

fn java(classes: &Path) -> Command {
    let mut command = Command::new("java");
    command.arg("-cp").arg(classes);
    command
}

/// Kafka starts only on a directory that was prepared for it.
fn format(classes: &Path, properties: &Path) -> Result<()> {
    let mut command = java(classes);
    command.args(["-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c"]).arg(properties);
    let output = command.stdin(Stdio::null()).output().context("java cannot be run")?;
    if !output.status.success() {
        bail!("Kafka cannot prepare its directory:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// A port where another protocol is spoken.
struct Door {
    name: &'static str,
    protocol: &'static str,
    port: u16,
}

fn server_properties(port: u16, controller: u16, doors: &[Door], data: &Path) -> String {
    let at: String = doors.iter().map(|door| format!(",{}://127.0.0.1:{}", door.name, door.port)).collect();
    let protocols: String = doors.iter().map(|door| format!(",{}:{}", door.name, door.protocol)).collect();
    format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}{at}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port}{at}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{protocols}\n\
         controller.listener.names=CONTROLLER\n\
         log.dirs={}\n\
         auto.create.topics.enable=false\n\
         group.initial.rebalance.delay.ms=0\n\
         offsets.topic.replication.factor=1\n\
         offsets.topic.num.partitions=4\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.num.partitions=4\n\
         transaction.state.log.min.isr=1\n\
         share.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n",
        data.display()
    )
}

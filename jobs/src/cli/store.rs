//! `hurtig store`: the embedded time-series store as a server.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use clap::{Args, Subcommand};
use hurtig_engine::time::SystemClock;
use hurtig_store::{
    AccessKeys, NewTable, Queries, Retention, Server, ServerOptions, Storage, Store, StoreOptions, Tls, UnloadPlace,
};
use hurtig_timestream_sql::EngineOptions;
use serde_json::json;

use super::{Failure, output::Output, run::log_to_stderr, signals::Signals, units};

/// The embedded time-series store: what Timestream does, in one directory.
#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct StoreCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve a store to every client of Amazon Timestream, until Ctrl-C
    #[command(after_help = SERVE)]
    Serve(Box<ServeOptions>),
}

const SERVE: &str = "\
Give any AWS SDK the printed URL as its endpoint, for timestream-write and for timestream-query:

  import boto3, time
  there = dict(endpoint_url='http://127.0.0.1:8086', region_name='us-east-1',
               aws_access_key_id='any', aws_secret_access_key='any')
  write = boto3.client('timestream-write', **there)
  write.create_database(DatabaseName='meters')
  write.create_table(DatabaseName='meters', TableName='readings')
  write.write_records(DatabaseName='meters', TableName='readings', Records=[{
      'Dimensions': [{'Name': 'meter', 'Value': 'm-1'}], 'Time': str(int(time.time() * 1000)),
      'MeasureName': 'kw', 'MeasureValue': '1.2'}])
  query = boto3.client('timestream-query', **there)
  query.query(QueryString='SELECT * FROM meters.readings')

On 127.0.0.1 whatever signature is taken, and none. Beyond it, requests have to be signed with one of
--access-keys (ID:SECRET, one a line; or HURTIG_ACCESS_KEYS=ID:SECRET,...), and --tls-cert and
--tls-key make it HTTPS. Keys that are given are asked for on 127.0.0.1 too.

What was acknowledged survives a crash and a power loss. Exit codes: 0 ended by Ctrl-C or SIGTERM,
1 failed, 2 wrong usage.";

#[derive(Debug, Args)]
struct ServeOptions {
    /// Where the store is; it is made when it is not there
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8086")]
    listen: SocketAddr,
    /// Where readings that have aged go: s3://bucket/prefix, or a directory; below --dir unless said otherwise
    #[arg(long, value_name = "PLACE")]
    magnetic: Option<String>,
    /// Below which place UNLOAD and error reports may be written: s3://bucket/prefix, or a directory, which stands for all of S3
    #[arg(long, value_name = "PLACE")]
    unload_to: Option<String>,
    /// Make this database, if it is not there; can be given again
    #[arg(long, value_name = "NAME")]
    database: Vec<String>,
    /// Make this table and its database, if they are not there; can be given again
    #[arg(long, value_name = "DATABASE/TABLE", value_parser = parse_table)]
    table: Vec<(String, String)>,
    /// Hours that tables made by --table keep readings in the memory store
    #[arg(long, value_name = "HOURS", default_value_t = 6)]
    memory_hours: u32,
    /// Days that tables made by --table keep readings
    #[arg(long, value_name = "DAYS", default_value_t = 73_000)]
    magnetic_days: u32,
    /// Tables made by --table take readings older than the memory store keeps
    #[arg(long)]
    magnetic_writes: bool,
    /// A file of access keys, ID:SECRET one a line: only requests signed with one of them are taken
    #[arg(long, value_name = "FILE")]
    access_keys: Option<PathBuf>,
    /// A certificate in PEM: serve HTTPS
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's key in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// The region in the names of resources (ARNs)
    #[arg(long, default_value = "us-east-1")]
    region: String,
    /// About how much memory readings take before they are written into files
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = units::parse_size)]
    memory: usize,
    /// How much memory one query may take
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = units::parse_size)]
    query_memory: usize,
    /// How often is looked at what has aged
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = units::parse_duration, hide = true)]
    maintenance_interval: Duration,
    /// Print JSON lines
    #[arg(long)]
    json: bool,
}

/// In the environment, where no file is to be written.
const ACCESS_KEYS: &str = "HURTIG_ACCESS_KEYS";

fn parse_table(text: &str) -> Result<(String, String), String> {
    let names = text.split_once('/').filter(|(database, table)| !database.is_empty() && !table.is_empty());
    let (database, table) = names.ok_or_else(|| format!("'{text}' is no DATABASE/TABLE"))?;
    Ok((database.into(), table.into()))
}

impl StoreCommand {
    /// Carries it out.
    pub fn run(&self) -> Result<(), Failure> {
        let Command::Serve(options) = &self.command;
        log_to_stderr();
        let runtime = tokio::runtime::Builder::new_multi_thread().thread_name("hurtig-store").enable_all().build()?;
        let signals = Signals::listen(runtime.handle());
        runtime.block_on(options.serve(signals))
    }
}

impl ServeOptions {
    async fn serve(&self, signals: Signals) -> Result<(), Failure> {
        let mut options = ServerOptions::new(self.listen);
        options.keys = self.keys()?;
        options.region.clone_from(&self.region);
        if let (Some(certificate), Some(key)) = (&self.tls_cert, &self.tls_key) {
            options.tls = Some(Tls::read(certificate, key).map_err(Failure::failed)?);
        }
        if !self.listen.ip().is_loopback() && options.keys.is_empty() {
            return Err(Failure::usage(format!(
                "{} can be reached from other machines, so requests have to be signed: give --access-keys FILE, or listen \
                 on 127.0.0.1",
                self.listen
            )));
        }
        let mut store = StoreOptions::new(&self.dir, Arc::new(SystemClock));
        store.memory_bytes = self.memory;
        store.magnetic = self.magnetic.as_deref().map(Storage::open).transpose().map_err(Failure::failed)?;
        let store = Store::open(store).await?;
        self.make(&store)?;
        let engine = EngineOptions { memory_limit_bytes: self.query_memory, ..EngineOptions::default() };
        let mut queries = Queries::new(&store, engine)?;
        if let Some(place) = &self.unload_to {
            let place = UnloadPlace::open(place).map_err(Failure::failed)?;
            options.reports = Some(place.clone());
            queries = queries.with_unload(place);
        }
        options.engine = Some(Arc::new(queries));
        let maintenance = store.spawn_maintenance(self.maintenance_interval);
        let server = Server::bind(store, options).await?;
        let (url, dir) = (server.url(), self.dir.display().to_string());
        // A line of its own, at once: a script waits for it.
        Output::new(self.json).result(
            &format!("listening on {url}, the store is in {dir}"),
            "listening",
            json!({ "url": url, "address": server.address().to_string(), "dir": dir }),
        );
        server.serve(signals.any()).await?;
        maintenance.abort();
        Ok(())
    }

    fn keys(&self) -> Result<AccessKeys, Failure> {
        if let Some(file) = &self.access_keys {
            let keys = AccessKeys::read(file).map_err(Failure::failed)?;
            return match keys.is_empty() {
                true => Err(Failure::usage(format!("{}: there is no access key in it", file.display()))),
                false => Ok(keys),
            };
        }
        match std::env::var(ACCESS_KEYS) {
            Ok(text) => text.parse().map_err(|e| Failure::usage(format!("{ACCESS_KEYS}: {e}"))),
            Err(_) => Ok(AccessKeys::default()),
        }
    }

    /// Makes what is to be there.
    fn make(&self, store: &Store) -> Result<(), Failure> {
        let there = |made: Result<(), hurtig_store::Error>| match made {
            Err(hurtig_store::Error::Conflict(_)) => Ok(()),
            made => made,
        };
        for name in self.database.iter().chain(self.table.iter().map(|(database, _)| database)) {
            there(store.create_database(name, None).map(|_| ()))?;
        }
        let retention = Retention {
            memory_hours: self.memory_hours,
            magnetic_days: self.magnetic_days,
            magnetic_writes: self.magnetic_writes,
        };
        for (database, name) in &self.table {
            let new = NewTable { retention, ..NewTable::default() };
            there(store.create_table(database, name, new).map(|_| ()))?;
        }
        Ok(())
    }
}

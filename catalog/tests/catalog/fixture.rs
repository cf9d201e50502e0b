//! A bucket in memory that writes down what it is asked, and a session over it.

use std::{
    ops::Range,
    sync::{Arc, Mutex},
};

use arrow::{
    array::RecordBatch,
    util::display::{ArrayFormatter, FormatOptions},
};
use async_trait::async_trait;
use bytes::Bytes;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::stream::BoxStream;
use hurtig_catalog::{Error, FileTable, Location, ObjectStores, ScanOptions, Statement, Table};
use hurtig_state::ManualClock;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, memory::InMemory, path::Path,
};

/// 2024-03-10 12:34:56 UTC
pub const NOW_MS: i64 = 1_710_074_096_000;

/// A bucket that counts.
#[derive(Debug, Clone, Default)]
pub struct Bucket {
    inner: Arc<InMemory>,
    lists: Arc<Mutex<Vec<String>>>,
    gets: Arc<Mutex<Vec<String>>>,
}

impl Bucket {
    /// The prefixes that were listed, in order of their names.
    pub fn lists(&self) -> Vec<String> {
        let mut lists = self.lists.lock().expect("no panic").clone();
        lists.sort();
        lists
    }

    /// The objects that were read.
    pub fn gets(&self) -> Vec<String> {
        self.gets.lock().expect("no panic").clone()
    }

    /// Forgets what it was asked.
    pub fn forget(&self) {
        self.lists.lock().expect("no panic").clear();
        self.gets.lock().expect("no panic").clear();
    }

    fn listed(&self, prefix: Option<&Path>) {
        self.lists.lock().expect("no panic").push(prefix.map(ToString::to_string).unwrap_or_default());
    }
}

impl std::fmt::Display for Bucket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a bucket that counts")
    }
}

#[async_trait]
impl ObjectStore for Bucket {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.gets.lock().expect("no panic").push(location.to_string());
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.gets.lock().expect("no panic").push(location.to_string());
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listed(prefix);
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.listed(prefix);
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// A bucket, a session, and the time.
pub struct Lake {
    pub bucket: Bucket,
    pub session: SessionContext,
    pub clock: Arc<ManualClock>,
    pub options: ScanOptions,
}

impl Lake {
    pub fn new() -> Self {
        let session = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(3));
        let (bucket, clock) = (Bucket::default(), Arc::new(ManualClock::new(NOW_MS)));
        Lake { bucket, session, clock, options: ScanOptions::default() }
    }

    /// Whoever asks for a location gets the bucket.
    pub fn stores(&self) -> Arc<dyn ObjectStores> {
        let bucket = self.bucket.clone();
        Arc::new(move |location: &Location| {
            assert_eq!(location.bucket(), Some("b"), "there is one bucket");
            Ok(Arc::new(bucket.clone()) as Arc<dyn ObjectStore>)
        })
    }

    pub async fn put(&self, key: &str, content: impl Into<PutPayload>) {
        self.bucket.put(&Path::parse(key).expect("a key"), content.into()).await.expect("put");
    }

    /// Makes a table known by its name alone.
    pub fn table(&self, ddl: &str) -> Table {
        let table = parsed(ddl);
        let provider = FileTable::new(table.clone(), self.stores(), self.clock.clone(), self.options.clone());
        let name = table.name.table.clone();
        let _ = self.session.deregister_table(name.as_str()).expect("deregister");
        self.session.register_table(name.as_str(), Arc::new(provider.expect("a table"))).expect("register");
        table
    }

    /// A query's rows, each as `a|b|c`, in order of that text.
    pub async fn rows(&self, sql: &str) -> std::result::Result<Vec<String>, Error> {
        let batches = self.session.sql(sql).await?.collect().await?;
        let mut rows: Vec<String> = batches.iter().flat_map(texts).collect();
        rows.sort();
        Ok(rows)
    }

    /// The error's text of a query that has to fail.
    pub async fn refused(&self, sql: &str) -> String {
        self.rows(sql).await.expect_err("an error").to_string()
    }
}

/// The table of a `CREATE EXTERNAL TABLE`.
pub fn parsed(ddl: &str) -> Table {
    Statement::parse_table(ddl).expect("a table")
}

/// The error's text of a statement that has to fail.
pub fn refused(sql: &str) -> String {
    Statement::parse(sql).expect_err("an error").to_string()
}

fn texts(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let columns: Vec<_> = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column.as_ref(), &options).expect("text"))
        .collect();
    let row = |row| columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|");
    (0..batch.num_rows()).map(row).collect()
}

/// The talk's table: its DDL ends PARTITIONED BY with a comma, and does not close it.
pub const SLIDE: &str = "
CREATE EXTERNAL TABLE IF NOT EXISTS readings (
  meter_id STRING,
  reading_value DOUBLE,
  reading_type STRING,
  reading_date_time TIMESTAMP
)
PARTITIONED BY (
  year INT,
  month INT,
  day INT,
  hour INT,
ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'
LOCATION 's3://b/readings/json/'
TBLPROPERTIES (
  'projection.enabled' = 'true',
  'projection.year.type' = 'integer', 'projection.year.range' = '2012,2100',
  'projection.month.type' = 'integer', 'projection.month.range' = '1,12', 'projection.month.digits' = '2',
  'projection.day.type' = 'integer', 'projection.day.range' = '1,31', 'projection.day.digits' = '2',
  'projection.hour.type' = 'integer', 'projection.hour.range' = '0,23', 'projection.hour.digits' = '2',
  'storage.location.template' = 's3://b/readings/json/year=${year}/month=${month}/day=${day}/hour=${hour}/'
);";

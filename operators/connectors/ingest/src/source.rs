//! The builder of a range source, and the source itself.

use std::{sync::Arc, time::Duration};

use hurtig_engine::{
    error::{Error, Result},
    source::{Boundedness, EnumeratorContext, ReaderContext, Source, SplitEnumerator},
};
use hurtig_operators::schema::DeserializationSchema;
use tokio::runtime::Handle;

use crate::{
    enumerator::{RangeEnumerator, Shared},
    events::Queue,
    options::{Format, RangeOptions},
    plan::plan,
    progress::IngestProgress,
    reader::RangeSourceReader,
    schema::{FileSchema, Lines},
    search::{Discovery, Search},
    split::RangeSplit,
    store::{FileStore, NAME},
};

/// Reads files in byte ranges: see the [crate](crate).
#[derive(Clone)]
pub struct RangeSource<S> {
    location: String,
    schema: S,
    options: RangeOptions,
    discovery: Discovery,
    shared: Arc<Shared>,
}

/// Files to be read, before it is said what is made of their records.
#[derive(Debug, Clone)]
pub struct Ranges {
    location: String,
    options: RangeOptions,
    discovery: Discovery,
}

impl RangeSource<()> {
    /// A file, a directory, `s3://BUCKET/PREFIX`, or a pattern of them (`dir/2024-*/*.csv`).
    #[expect(clippy::new_ret_no_self, reason = "the schema decides which source it will be")]
    pub fn new(location: impl Into<String>) -> Ranges {
        Ranges { location: location.into(), options: RangeOptions::default(), discovery: Discovery::Once }
    }
}

impl Ranges {
    /// How files are understood and cut.
    #[must_use]
    pub fn options(mut self, options: RangeOptions) -> Self {
        self.options = options;
        self
    }

    /// What files are made of; by default it is found out.
    #[must_use]
    pub fn format(mut self, format: Format) -> Self {
        self.options.format = format;
        self
    }

    /// How files are found; by default what is there at the beginning.
    #[must_use]
    pub fn discovery(mut self, discovery: Discovery) -> Self {
        self.discovery = discovery;
        self
    }

    /// Goes on looking for new files, this often.
    #[must_use]
    pub fn watch(mut self, interval: Duration) -> Self {
        self.options.discovery_interval = interval;
        self.discovery(Discovery::Watch)
    }

    /// What is made of the records.
    pub fn schema<S: FileSchema>(self, schema: S) -> RangeSource<S> {
        let Ranges { location, options, discovery } = self;
        RangeSource { location, schema, options, discovery, shared: Arc::default() }
    }

    /// Each line is a message for `schema`.
    pub fn lines<D: DeserializationSchema>(self, schema: D) -> RangeSource<Lines<D>> {
        self.format(Format::Json).schema(Lines(schema))
    }
}

impl<S> RangeSource<S> {
    /// How far it has come, in this process.
    pub fn progress(&self) -> Arc<IngestProgress> {
        self.shared.progress.clone()
    }
}

impl<S: FileSchema> RangeSource<S> {
    /// The ranges that a first start with so many workers would read. Blocks.
    pub fn splits(&self, runtime: &Handle, workers: usize) -> Result<Vec<RangeSplit>> {
        let store = FileStore::open(&self.location)?;
        runtime.block_on(async {
            let mut splits = Vec::new();
            for file in store.list().await? {
                splits.extend(plan(&store, &file, workers, &self.options).await?);
            }
            Ok(splits)
        })
    }
}

impl<S: FileSchema> Source for RangeSource<S> {
    type Item = S::Item;
    type Split = RangeSplit;
    type Reader = RangeSourceReader<S>;

    fn enumerator(
        &self,
        ctx: EnumeratorContext,
        restored: Option<Vec<u8>>,
    ) -> Result<Box<dyn SplitEnumerator<RangeSplit>>> {
        if !self.options.delimiter.is_ascii() || matches!(self.options.delimiter, b'"' | b'\n' | b'\r') {
            let delimiter = char::from(self.options.delimiter);
            return Err(Error::Config(format!("{delimiter:?} cannot be a CSV delimiter; give one ASCII character")));
        }
        let store = FileStore::open(&self.location)?;
        let first = ctx.runtime.block_on(store.list())?;
        let bounded = self.discovery == Discovery::Once;
        if bounded && first.is_empty() && restored.is_none() {
            let reason = format!("there is no file to read in '{}'; check the path or the pattern", self.location);
            return Err(Error::source(NAME, reason));
        }
        let queue = match &self.discovery {
            Discovery::Events { .. } if store.bucket().is_none() => {
                return Err(Error::Config(
                    "events are about S3: give s3://BUCKET/PREFIX, or watch the directory".into(),
                ));
            }
            Discovery::Events { queue_url } => Some(ctx.runtime.block_on(Queue::open(queue_url))?),
            Discovery::Once | Discovery::Watch => None,
        };
        let share = self.options.max_open.max(1) + 1;
        let mut enumerator = RangeEnumerator::new(self.shared.clone(), share, bounded, restored.as_deref())?;
        let search = Search {
            store,
            options: Arc::new(self.options.clone()),
            shared: self.shared.clone(),
            waker: ctx.waker.clone(),
            generation: enumerator.generation(),
            workers: ctx.readers,
            known: enumerator.known(),
        };
        let task = ctx.runtime.spawn(search.run(first, self.discovery.clone(), queue));
        enumerator.search(task.abort_handle());
        Ok(Box::new(enumerator))
    }

    fn reader(&self, ctx: ReaderContext) -> Result<RangeSourceReader<S>> {
        let store = FileStore::open(&self.location)?;
        let options = Arc::new(self.options.clone());
        Ok(RangeSourceReader::new(store, self.schema.clone(), options, self.shared.clone(), ctx))
    }

    fn boundedness(&self) -> Boundedness {
        match self.discovery {
            Discovery::Once => Boundedness::Bounded,
            Discovery::Watch | Discovery::Events { .. } => Boundedness::ContinuousUnbounded,
        }
    }
}

//! The sink.

use std::{marker::PhantomData, sync::Arc, time::Duration};

use hurtig_engine::{
    error::Result,
    sink::{Sink, WriterContext},
};
use hurtig_store::Record;
use serde::Serialize;

use super::{EmbeddedStore, StoreWriter};

/// Writes into a table of an [`EmbeddedStore`], a record a value.
pub struct StoreSink<T, F> {
    pub(super) store: EmbeddedStore,
    pub(super) database: Arc<str>,
    pub(super) table: Arc<str>,
    pub(super) record: F,
    pub(super) linger: Duration,
    value: PhantomData<fn(T)>,
}

impl<T, F: Clone> Clone for StoreSink<T, F> {
    fn clone(&self) -> Self {
        StoreSink {
            store: self.store.clone(),
            database: self.database.clone(),
            table: self.table.clone(),
            record: self.record.clone(),
            linger: self.linger,
            value: PhantomData,
        }
    }
}

impl<T, F: Fn(&T) -> Record> StoreSink<T, F> {
    /// Into `table` of `database`, as `record` makes a record of a value. It must make the same one of the same value: then
    /// what is written again after a restore changes nothing.
    pub fn new(store: &EmbeddedStore, database: impl Into<Arc<str>>, table: impl Into<Arc<str>>, record: F) -> Self {
        StoreSink {
            store: store.clone(),
            database: database.into(),
            table: table.into(),
            record,
            linger: Duration::from_millis(100),
            value: PhantomData,
        }
    }

    /// How long a record waits for others to be taken with it, 100 ms by default: so old is what a query does not see.
    #[must_use]
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }
}

impl<T, F> Sink<T> for StoreSink<T, F>
where
    T: Serialize + 'static,
    F: Fn(&T) -> Record + Clone + Send + Sync + 'static,
{
    type Writer = StoreWriter<T, F>;

    fn writer(&self, ctx: WriterContext, _restored: Vec<Vec<u8>>) -> Result<Self::Writer> {
        Ok(StoreWriter::new(self, ctx))
    }
}

//! Reading what is in memory.

use std::{ops::Range, sync::Arc};

use arrow::datatypes::SchemaRef;
use datafusion::{
    common::DataFusionError,
    execution::{SendableRecordBatchStream, TaskContext},
    physical_plan::{stream::RecordBatchStreamAdapter, streaming::PartitionStream},
};
use hashbrown::HashSet;

use super::bounds::Bounds;
use crate::{
    columns::ColumnDef,
    core_batch::{CoreBuilder, with_dimensions},
    points::Chunk,
    registry::Series,
    row::{Row, SeriesId},
};

/// Points of a batch.
const BATCH: usize = 8_192;

/// A part of what was in memory at one moment.
#[derive(Debug)]
pub struct MemoryPart {
    /// What the query sees.
    pub schema: SchemaRef,
    /// The table's columns.
    pub columns: Arc<Vec<ColumnDef>>,
    /// The table's series.
    pub series: Arc<Vec<Arc<Series>>>,
    /// The times that are asked for.
    pub bounds: Bounds,
    /// The points of all parts.
    pub points: Arc<Vec<MemoryPoints>>,
    /// Those of this part.
    pub range: Range<usize>,
}

/// Points of one series.
#[derive(Debug, Clone)]
pub enum MemoryPoints {
    /// Some in a row.
    Chunk(SeriesId, Arc<Chunk>),
    /// Some in a row, of which those of these times count no more.
    Sealed(SeriesId, Arc<Chunk>, Arc<HashSet<i64>>),
    /// One.
    One(SeriesId, Box<Row>),
}

impl PartitionStream for MemoryPart {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (schema, columns, series, bounds) =
            (self.schema.clone(), self.columns.clone(), self.series.clone(), self.bounds);
        let points = self.points.clone();
        let mut builder = CoreBuilder::new(&columns);
        let mut rest = self.range.clone();
        let batches = std::iter::from_fn(move || {
            while builder.rows() < BATCH
                && let Some(next) = rest.next()
            {
                points[next].push_into(&mut builder, bounds);
            }
            (builder.rows() > 0).then(|| {
                let core = builder.finish()?;
                with_dimensions(&core, &series, &schema)
            })
        });
        let batches = batches.map(|batch| batch.map_err(|e| DataFusionError::External(Box::new(e))));
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), futures::stream::iter(batches)))
    }
}

impl MemoryPoints {
    fn push_into(&self, builder: &mut CoreBuilder, bounds: Bounds) {
        match self {
            MemoryPoints::Chunk(series, chunk) => {
                let range = bounds.range(chunk.times());
                if !range.is_empty() {
                    builder.push(*series, chunk, range);
                }
            }
            MemoryPoints::Sealed(series, chunk, replaced) => {
                for at in bounds.range(chunk.times()) {
                    if !replaced.contains(&chunk.times()[at]) {
                        builder.push(*series, chunk, at..at + 1);
                    }
                }
            }
            MemoryPoints::One(series, row) => {
                if bounds.overlaps((row.time, row.time)) {
                    builder.push_row(*series, row);
                }
            }
        }
    }
}

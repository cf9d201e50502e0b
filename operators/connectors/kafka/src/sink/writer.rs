//! The writer of one subtask.

use hurtig_engine::{
    error::{Error, Result},
    record::Record,
    sink::{SinkContext, SinkWriter},
    time::NO_TIMESTAMP,
};

use super::{
    direct::DirectWriter,
    epoch::EpochWriter,
    serializer::{KafkaRecordSerializationSchema, ProducerRecord},
};

/// Makes messages of values, and writes them as the sink's guarantee asks.
pub struct KafkaWriter<S> {
    name: String,
    schema: S,
    record: ProducerRecord,
    way: Way,
}

pub(super) enum Way {
    Direct(DirectWriter),
    Epochs(EpochWriter),
}

impl<S> KafkaWriter<S> {
    pub(super) fn new(name: String, schema: S, way: Way) -> Self {
        KafkaWriter { name, schema, record: ProducerRecord::default(), way }
    }
}

impl<T: 'static, S: KafkaRecordSerializationSchema<T>> SinkWriter<T> for KafkaWriter<S> {
    fn write(&mut self, record: Record<T>, ctx: &mut SinkContext<'_>) -> Result<()> {
        self.record.clear();
        let time = Some(record.timestamp).filter(|t| *t != NO_TIMESTAMP);
        if let Err(e) = self.schema.serialize(&record.value, time, &mut self.record) {
            let reason = e.refused_or(|reason| Error::sink(&self.name, reason))?;
            ctx.dead_letter(record.origin, record.timestamp, self.record.raw().to_vec(), reason);
            return Ok(());
        }
        let mark = (record.origin, record.timestamp);
        match &mut self.way {
            Way::Direct(w) => w.write(&self.record, mark, ctx),
            Way::Epochs(w) => w.write(&self.record, mark, ctx),
        }
    }

    fn ready(&mut self, ctx: &mut SinkContext<'_>) -> Result<bool> {
        match &mut self.way {
            Way::Direct(w) => w.ready(ctx),
            Way::Epochs(w) => Ok(w.ready(ctx)),
        }
    }

    fn flush(&mut self, ctx: &mut SinkContext<'_>) -> Result<bool> {
        match &mut self.way {
            Way::Direct(w) => w.flush(ctx),
            Way::Epochs(_) => Ok(true),
        }
    }

    fn prepare_commit(&mut self) -> Result<Vec<Vec<u8>>> {
        match &mut self.way {
            Way::Direct(_) => Ok(Vec::new()),
            Way::Epochs(w) => w.end(),
        }
    }

    fn next_wakeup(&self) -> Option<i64> {
        match &self.way {
            Way::Direct(_) => None,
            Way::Epochs(w) => w.next_wakeup(),
        }
    }
}

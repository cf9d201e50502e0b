//! A sink that commits into memory.

use std::{
    fmt::Debug,
    sync::{Arc, Mutex},
};

use hurtig_engine::{
    Data, Record, Result,
    sink::{Committer, CommitterContext, Sink, SinkContext, SinkWriter, WriterContext},
};

/// Exactly once into memory: what is prepared becomes visible when it is committed, once.
#[derive(Clone)]
pub struct Committed<T> {
    visible: Arc<Mutex<std::collections::BTreeMap<String, Vec<T>>>>,
}

impl<T> Default for Committed<T> {
    fn default() -> Self {
        Committed { visible: Arc::default() }
    }
}

impl<T: Clone + Ord> Committed<T> {
    pub fn sorted(&self) -> Vec<T> {
        let mut all: Vec<T> = self.visible.lock().unwrap().values().flatten().cloned().collect();
        all.sort();
        all
    }

    /// What is visible must be this and no more. The first difference is said, and not all there is.
    pub fn must_be(&self, expected: &[T], what: &str)
    where
        T: Debug,
    {
        let found = self.sorted();
        let same = found.iter().zip(expected).take_while(|(a, b)| a == b).count();
        let at = (found.get(same), expected.get(same));
        assert!(
            found == expected,
            "{what}: {} are there, not {}; {same} are right, then {at:?}",
            found.len(),
            expected.len()
        );
    }
}

pub struct CommittedWriter<T> {
    ctx: WriterContext,
    buffer: Vec<T>,
    files: u64,
}

impl<T: Data> Sink<T> for Committed<T> {
    type Writer = CommittedWriter<T>;

    fn writer(&self, ctx: WriterContext, _restored: Vec<Vec<u8>>) -> Result<Self::Writer> {
        Ok(CommittedWriter { ctx, buffer: Vec::new(), files: 0 })
    }

    fn committer(&self, _ctx: CommitterContext) -> Result<Option<Box<dyn Committer>>> {
        Ok(Some(Box::new(MemoryCommitter(self.visible.clone()))))
    }
}

impl<T: Data> SinkWriter<T> for CommittedWriter<T> {
    fn write(&mut self, record: Record<T>, ctx: &mut SinkContext<'_>) -> Result<()> {
        self.buffer.push(record.value);
        ctx.written(1);
        Ok(())
    }

    fn prepare_commit(&mut self) -> Result<Vec<Vec<u8>>> {
        self.files += 1;
        let name = format!("{}-{}-{}", self.ctx.attempt, self.ctx.subtask, self.files);
        let file = (name, std::mem::take(&mut self.buffer));
        Ok(vec![hurtig_engine::error::to_bytes("file", &file)?])
    }
}

pub struct MemoryCommitter<T>(Arc<Mutex<std::collections::BTreeMap<String, Vec<T>>>>);

impl<T: Data> Committer for MemoryCommitter<T> {
    fn commit(&mut self, committables: &[Vec<u8>]) -> Result<()> {
        for bytes in committables {
            let (name, rows): (String, Vec<T>) = hurtig_engine::error::from_bytes("file", bytes)?;
            self.0.lock().unwrap().insert(name, rows);
        }
        Ok(())
    }
}

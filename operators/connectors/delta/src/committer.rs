//! Brings a checkpoint's files into the table: their names first, then one commit of the log.

use std::{collections::BTreeMap, path::PathBuf};

use deltalake_core::kernel::StructField;
use hurtig_engine::{
    error::{Error as EngineError, Result as EngineResult},
    sink::{Committer, CommitterContext},
};
use hurtig_operators::connectors::part_files::{PartCommitter, PendingFile};
use tokio::runtime::Handle;

use crate::{
    error::Result,
    file::{add, transaction},
    table::Table,
};

/// The committer of one sink.
pub struct DeltaCommitter {
    dir: PathBuf,
    name: String,
    columns: Vec<StructField>,
    partitions: Vec<&'static str>,
    files: PartCommitter,
    /// As it was when this committed last.
    table: Option<Table>,
    runtime: Handle,
}

impl DeltaCommitter {
    /// Of the table in `dir` with these columns.
    pub(crate) fn new(
        dir: PathBuf,
        columns: Vec<StructField>,
        partitions: Vec<&'static str>,
        ctx: &CommitterContext,
    ) -> Self {
        let files = PartCommitter::new(&dir, ctx);
        let (name, runtime) = (ctx.name.clone(), ctx.runtime.clone());
        DeltaCommitter { dir, name, columns, partitions, files, table: None, runtime }
    }

    /// Looks whether the table is as the job needs it; makes it if there is none.
    pub(crate) fn open(&mut self) -> EngineResult<()> {
        let table = self.newest_table()?;
        self.table = Some(table);
        Ok(())
    }

    /// The table as it is now. Whoever has taken it puts it back.
    fn newest_table(&mut self) -> EngineResult<Table> {
        let opened = match self.table.take() {
            Some(mut table) => self.runtime.block_on(table.refresh()).map(|()| table),
            None => self.runtime.block_on(Table::with(&self.dir, &self.columns, &self.partitions)),
        };
        opened.map_err(|e| self.said(&e))
    }

    fn bring(&mut self, committables: &[Vec<u8>], is_savepoint: bool) -> EngineResult<()> {
        if committables.is_empty() {
            return Ok(());
        }
        let files =
            committables.iter().map(|bytes| PendingFile::from_bytes(bytes)).collect::<EngineResult<Vec<_>>>()?;
        let mut table = self.newest_table()?;
        // What the log has is not looked for: a compaction may have removed it since.
        let new = self.runtime.block_on(not_in(&table, files)).map_err(|e| self.said(&e))?;
        let bytes = new.iter().map(PendingFile::to_bytes).collect::<EngineResult<Vec<_>>>()?;
        match is_savepoint {
            true => self.files.commit_savepoint(&bytes)?,
            false => self.files.commit(&bytes)?,
        }
        // Those of a savepoint may have gone elsewhere, which the files' committer has said.
        let here: Vec<PendingFile> = new.into_iter().filter(|file| file.final_path(&self.dir).exists()).collect();
        if !here.is_empty() {
            fail::fail_point!("delta-commit", |_| Err(EngineError::sink(&self.name, "the failpoint delta-commit")));
            self.runtime.block_on(append(&mut table, &here)).map_err(|e| self.said(&e))?;
        }
        self.table = Some(table);
        Ok(())
    }

    fn said(&self, error: &crate::Error) -> EngineError {
        EngineError::sink(&self.name, error)
    }
}

/// Those of the files that are not in the table, and never were.
async fn not_in(table: &Table, files: Vec<PendingFile>) -> Result<Vec<PendingFile>> {
    let mut known: BTreeMap<String, Option<i64>> = BTreeMap::new();
    let mut new = Vec::new();
    for file in files {
        let (writer, number) = transaction(&file.name)?;
        let up_to = match known.get(writer) {
            Some(up_to) => *up_to,
            None => *known.entry(writer.to_owned()).or_insert(table.written_up_to(writer).await?),
        };
        if up_to.is_none_or(|up_to| number > up_to) {
            new.push(file);
        }
    }
    Ok(new)
}

async fn append(table: &mut Table, files: &[PendingFile]) -> Result<()> {
    let mut writers: BTreeMap<String, i64> = BTreeMap::new();
    let mut adds = Vec::with_capacity(files.len());
    for file in files {
        let (writer, number) = transaction(&file.name)?;
        let last = writers.entry(writer.to_owned()).or_insert(number);
        *last = number.max(*last);
        adds.push(add(table.dir(), file)?);
    }
    table.append(adds, writers.into_iter().collect()).await
}

impl Committer for DeltaCommitter {
    fn commit(&mut self, committables: &[Vec<u8>]) -> EngineResult<()> {
        self.bring(committables, false)
    }

    fn commit_savepoint(&mut self, committables: &[Vec<u8>]) -> EngineResult<()> {
        self.bring(committables, true)
    }

    fn remove_orphans(&mut self) -> EngineResult<()> {
        self.files.remove_orphans()
    }
}

//! Taking records: what is rejected, what replaces what, and what the log says of it.

use super::{SHARDS, Table};
use crate::{
    columns::{ColumnDef, NoColumns},
    error::Result,
    frame::Frame,
    limits,
    magnetic::file::{Found, find_points},
    points::Put,
    record::{Outcome, Record, Rejected},
    registry::Series,
    retention::Tier,
    row::{Row, SeriesId},
    wal::{Position, Wal},
};

/// A record that may be taken: which of the request, where it belongs, its series, and its point.
struct Candidate {
    index: usize,
    tier: Tier,
    series: SeriesId,
    row: Row,
}

impl Table {
    /// Takes what may be taken. It is in the log behind the place that is returned.
    pub(crate) async fn apply(&self, wal: &Wal, records: &[Record], now: i64) -> Result<(Outcome, Position)> {
        let mut outcome = Outcome::default();
        let mut end = 0;
        let mut candidates: [Vec<Candidate>; SHARDS] = Default::default();
        let retention = self.retention();
        for (index, record) in records.iter().enumerate() {
            let tier = match limits::reason(record) {
                Some(reason) => Err(reason),
                None => retention.tier(record.time, now),
            };
            let known = match tier {
                Ok(tier) => self.numbers(wal, record)?.map(|known| (tier, known)),
                Err(reason) => Err(reason),
            };
            match known {
                Ok((tier, (series, values))) => {
                    let row = Row { time: record.time, version: record.version, values };
                    candidates[series as usize % SHARDS].push(Candidate { index, tier, series, row });
                }
                Err(reason) => outcome.rejected.push(Rejected { index, reason, existing_version: None }),
            }
        }
        for (shard, candidates) in candidates.into_iter().enumerate().filter(|(_, c)| !c.is_empty()) {
            // What may be in a file has to be looked up first, and nobody waits for that with the shard in hand.
            let (late, plain): (Vec<_>, Vec<_>) = {
                let shard = self.shards[shard].lock();
                candidates.into_iter().partition(|c| shard.may_be_in_file(c.series, c.row.time))
            };
            end = end.max(self.take(wal, shard, plain, None, &mut outcome)?);
            if !late.is_empty() {
                let keys: Vec<_> = late.iter().map(|c| (c.series, c.row.time)).collect();
                let columns = self.columns.read().clone();
                let found = find_points(&self.files(), &columns, &keys).await?;
                end = end.max(self.take(wal, shard, late, Some(&found), &mut outcome)?);
            }
        }
        outcome.rejected.sort_unstable_by_key(|rejected| rejected.index);
        Ok((outcome, end))
    }

    /// The series and the columns of a record; they are made when they are new. Or why it is rejected.
    fn numbers(&self, wal: &Wal, record: &Record) -> Result<Result<(SeriesId, crate::row::Values), String>> {
        let values = loop {
            let values = self.columns.read().values(&record.measure);
            match values {
                Ok(values) => break values,
                Err(NoColumns::Conflict { name, is, wanted }) => {
                    return Ok(Err(format!(
                        "The measure '{name}' is of type {}; the record's value is of type {}.",
                        is.sql_name().to_uppercase(),
                        wanted.sql_name().to_uppercase()
                    )));
                }
                Err(NoColumns::Unknown(new)) => {
                    if let Some(reason) = self.add_columns(wal, new)? {
                        return Ok(Err(reason));
                    }
                }
            }
        };
        if let Some(series) = self.registry.read().find(record) {
            return Ok(Ok((series, values)));
        }
        // Names of columns are looked at below, so they are locked first, as above.
        let columns = self.columns.read();
        let mut registry = self.registry.write();
        let known = registry.dimension_names();
        let new: Vec<_> = record.dimensions.iter().map(|(name, _)| name).filter(|name| !known.contains(name)).collect();
        if known.len() + new.len() > limits::DIMENSIONS {
            return Ok(Err(format!("The table has {} dimensions already.", known.len())));
        }
        if let Some(name) = new.iter().find(|name| columns.id(name).is_some()) {
            return Ok(Err(format!("'{name}' is a measure of the table and cannot be a dimension.")));
        }
        if let Some(names) = registry.measure_names_full(&record.measure_name) {
            return Ok(Err(format!("The table has {names} measure names already.")));
        }
        let series = Series::of(record);
        let before = registry.len();
        let id = registry.add(series.clone());
        if registry.len() > before {
            wal.append(&Frame::Series(self.id, series).encode()?)?;
        }
        Ok(Ok((id, values)))
    }

    fn add_columns(&self, wal: &Wal, new: Vec<ColumnDef>) -> Result<Option<String>> {
        let mut columns = self.columns.write();
        let registry = self.registry.read();
        // All of them or none: those of a record that is rejected must not take the places of others.
        let new: Vec<ColumnDef> = new.into_iter().filter(|column| columns.id(&column.name).is_none()).collect();
        if let Some(column) = new.iter().find(|column| registry.dimension_names().contains(&column.name)) {
            return Ok(Some(format!("'{}' is a dimension of the table and cannot be a measure.", column.name)));
        }
        let of_multi =
            |columns: &[ColumnDef]| columns.iter().filter(|c| !c.name.starts_with("measure_value::")).count();
        let (there, more) = (of_multi(columns.all()), of_multi(&new));
        if more > 0 && there + more > limits::MEASURES_PER_TABLE {
            return Ok(Some(format!("The table has {there} measures of MULTI records already.")));
        }
        for column in new {
            if columns.add(column.clone()) {
                wal.append(&Frame::Column(self.id, column).encode()?)?;
            }
        }
        Ok(None)
    }

    /// Takes records into a shard, and writes into the log what was taken. The shard is held meanwhile, so that the log
    /// has the order in which points replace each other.
    fn take(
        &self,
        wal: &Wal,
        shard: usize,
        candidates: Vec<Candidate>,
        found: Option<&hashbrown::HashMap<(SeriesId, i64), Found>>,
        outcome: &mut Outcome,
    ) -> Result<Position> {
        if candidates.is_empty() {
            return Ok(0);
        }
        let mut taken = Vec::with_capacity(candidates.len());
        let mut shard = self.shards[shard].lock();
        for Candidate { index, tier, series, row } in candidates {
            let below = found.and_then(|found| found.get(&(series, row.time)));
            match shard.put(series, row.clone(), below) {
                Put::New | Put::Replaced => taken.push((series, row)),
                Put::Same => (),
                Put::Rejected(reason, version) => {
                    outcome.rejected.push(Rejected { index, reason, existing_version: Some(version) });
                    continue;
                }
            }
            match tier {
                Tier::Memory => outcome.memory += 1,
                Tier::Magnetic => outcome.magnetic += 1,
            }
        }
        if taken.is_empty() {
            // What was there may not be durable yet.
            return Ok(wal.end());
        }
        wal.append(&Frame::Rows(self.id, taken).encode()?)
    }

    /// Takes what the log says.
    pub(crate) fn replay(&self, frame: Frame) {
        match frame {
            Frame::Series(_, series) => {
                self.registry.write().add(series);
            }
            Frame::Column(_, column) => {
                self.columns.write().add(column);
            }
            Frame::Rows(_, rows) => {
                for (series, row) in rows {
                    self.shard(series).lock().force(series, row);
                }
            }
        }
    }

    /// After a replay: what memory replaces in files counts no more there.
    pub(crate) async fn delete_replaced(&self) -> Result<()> {
        let mut keys = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock();
            for (&series, points) in shard.active() {
                let times = points.chunks().iter().flat_map(|chunk| chunk.times().iter().copied());
                keys.extend(times.filter(|&time| shard.may_be_in_file(series, time)).map(|time| (series, time)));
            }
        }
        let columns = self.columns.read().clone();
        for found in find_points(&self.files(), &columns, &keys).await?.into_values() {
            found.file.delete(found.at);
        }
        Ok(())
    }
}

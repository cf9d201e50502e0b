//! The generator as a source.

use std::{marker::PhantomData, sync::Arc};

use hurtig_engine::{
    error::{Error, Result, from_bytes, to_bytes},
    record::Data,
    source::{Assignments, Boundedness, EnumeratorContext, ReaderContext, Source, SplitEnumerator},
};
use serde::{Deserialize, Serialize};

use super::{
    config::GeneratorConfig,
    event::{FleetEvent, JsonLine, MeterReading},
    fleet::Fleet,
    reader::GeneratorReader,
    split::GeneratorSplit,
};

/// Makes a job's record of an event.
pub trait EventMapper<T>: Send + Sync + 'static {
    /// Whether corrupt events become records too; otherwise they are dead letters with their
    /// raw bytes.
    const TAKES_CORRUPT: bool = false;

    /// The record.
    fn map(&self, fleet: &Fleet, event: &FleetEvent) -> T;
}

/// The raw lines, corrupt ones too.
#[derive(Debug, Clone, Copy)]
pub struct AsJsonLine;

impl EventMapper<JsonLine> for AsJsonLine {
    const TAKES_CORRUPT: bool = true;

    #[inline]
    fn map(&self, fleet: &Fleet, event: &FleetEvent) -> JsonLine {
        let mut line = Vec::with_capacity(112);
        fleet.write_line(event, &mut line);
        JsonLine(line)
    }
}

/// The readings as they are.
#[derive(Debug, Clone, Copy)]
pub struct AsReading;

impl EventMapper<MeterReading> for AsReading {
    #[inline]
    fn map(&self, _fleet: &Fleet, event: &FleetEvent) -> MeterReading {
        event.reading
    }
}

/// What a function makes of events.
#[derive(Debug, Clone, Copy)]
pub struct MapEvent<F>(F);

impl<T, F: Fn(&FleetEvent) -> T + Send + Sync + 'static> EventMapper<T> for MapEvent<F> {
    #[inline]
    fn map(&self, _fleet: &Fleet, event: &FleetEvent) -> T {
        (self.0)(event)
    }
}

/// A fleet of meters as a source: see the [module](super).
pub struct GeneratorSource<T, M> {
    fleet: Arc<Fleet>,
    identity: Vec<(String, String)>,
    rate: Option<u64>,
    mapper: Arc<M>,
    item: PhantomData<fn() -> T>,
}

impl GeneratorSource<JsonLine, AsJsonLine> {
    /// Lines of JSON, corrupt ones and all, as a real stream would bring them.
    pub fn json_lines(config: &GeneratorConfig) -> Result<Self> {
        Self::with_mapper(config, AsJsonLine)
    }
}

impl GeneratorSource<MeterReading, AsReading> {
    /// Typed readings without any parsing; corrupt ones go to the dead letters.
    pub fn readings(config: &GeneratorConfig) -> Result<Self> {
        Self::with_mapper(config, AsReading)
    }
}

impl<T: Data, F: Fn(&FleetEvent) -> T + Send + Sync + 'static> GeneratorSource<T, MapEvent<F>> {
    /// What `map` makes of the events; corrupt ones go to the dead letters.
    pub fn map(config: &GeneratorConfig, map: F) -> Result<Self> {
        Self::with_mapper(config, MapEvent(map))
    }
}

impl<T: Data, M: EventMapper<T>> GeneratorSource<T, M> {
    /// What `mapper` makes of the events.
    pub fn with_mapper(config: &GeneratorConfig, mapper: M) -> Result<Self> {
        Ok(GeneratorSource {
            fleet: Arc::new(Fleet::new(config)?),
            identity: config.identity(),
            rate: config.rate,
            mapper: Arc::new(mapper),
            item: PhantomData,
        })
    }

    /// The fleet behind it.
    pub fn fleet(&self) -> &Arc<Fleet> {
        &self.fleet
    }

    /// All splits at their beginning.
    pub fn splits(&self) -> Vec<GeneratorSplit> {
        (0..self.fleet.splits()).map(|split| GeneratorSplit { split, next: u64::from(split) }).collect()
    }
}

impl<T: Data, M: EventMapper<T>> Source for GeneratorSource<T, M> {
    type Item = T;
    type Split = GeneratorSplit;
    type Reader = GeneratorReader<T, M>;

    fn enumerator(
        &self,
        _ctx: EnumeratorContext,
        restored: Option<Vec<u8>>,
    ) -> Result<Box<dyn SplitEnumerator<GeneratorSplit>>> {
        let Some(bytes) = restored else {
            return Ok(Box::new(GeneratorEnumerator { identity: self.identity.clone(), unassigned: self.splits() }));
        };
        let enumerator = from_bytes::<GeneratorEnumerator>("the generator's enumerator", &bytes)?;
        let (then, now) = (&enumerator.identity, &self.identity);
        if let Some(((name, then), (_, now))) = then.iter().zip(now).find(|(then, now)| then != now) {
            return Err(Error::source(
                "generator",
                format!(
                    "the checkpoint was made with {name}={then}, now it is {now}, and the fleet would not be the \
                     same: use the old setting, or begin afresh"
                ),
            ));
        }
        Ok(Box::new(enumerator))
    }

    fn reader(&self, ctx: ReaderContext) -> Result<GeneratorReader<T, M>> {
        Ok(GeneratorReader::new(self.fleet.clone(), self.mapper.clone(), self.rate, ctx.clock))
    }

    fn boundedness(&self) -> Boundedness {
        match self.fleet.len() {
            Some(_) => Boundedness::Bounded,
            None => Boundedness::ContinuousUnbounded,
        }
    }
}

/// Deals the splits out round robin at the start.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GeneratorEnumerator {
    /// The settings that make the fleet what it is, by name.
    identity: Vec<(String, String)>,
    unassigned: Vec<GeneratorSplit>,
}

impl SplitEnumerator<GeneratorSplit> for GeneratorEnumerator {
    fn add_splits_back(&mut self, splits: Vec<GeneratorSplit>) {
        self.unassigned.extend(splits);
        self.unassigned.sort_by_key(|s| s.split);
    }

    fn poll(&mut self, ctx: &mut Assignments<GeneratorSplit>) -> Result<()> {
        for (i, split) in self.unassigned.drain(..).enumerate() {
            ctx.assign(i % ctx.readers().max(1), split);
        }
        ctx.no_more_splits();
        Ok(())
    }

    fn snapshot(&self) -> Result<Vec<u8>> {
        to_bytes("the generator's enumerator", self)
    }
}

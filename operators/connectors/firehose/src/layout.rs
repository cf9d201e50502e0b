//! Which file a record goes to, and where that file is.
//!
//! Records of one *name* go to one file: the name is what differs between prefixes, the partition
//! keys and, if they are event times, the times. The prefix is evaluated when a file is opened; so
//! the arrival time in it is that of the file's first record, and a random string is new for each
//! file, as in Firehose.

use std::{ops::Range, sync::Arc};

use hurtig_engine::time::NO_TIMESTAMP;
use jiff::{Timestamp, tz::TimeZone};

use crate::{
    config::{FirehoseConfig, Timestamps},
    error_record::{PREFIX_EVALUATION_FAILED, PROCESSING_FAILED, Problem},
    format::Line,
    prefix::{Pattern, Time, Values, local},
};

/// Between the parts of a name. Partition keys hold no control characters.
const SEPARATOR: char = '\u{1f}';
/// What names begin with.
const DATA: &str = "d";
const ERRORS: &str = "e";

/// The name of the file for what cannot be delivered.
pub(crate) fn errors() -> Arc<str> {
    ERRORS.into()
}

/// Makes names, record by record.
pub(crate) struct Names {
    times: Option<Times>,
    buffer: String,
    last: Arc<str>,
}

impl Names {
    pub fn new(config: &FirehoseConfig) -> Self {
        let times = (config.timestamps == Timestamps::Event).then(|| Times::new(config)).flatten();
        Names { times, buffer: String::new(), last: DATA.into() }
    }

    /// The name of a record with these keys and this event time.
    pub fn name(&mut self, keys: &[String], event_time: i64) -> Result<Arc<str>, Problem> {
        self.buffer.clear();
        self.buffer.push_str(DATA);
        for key in keys {
            self.buffer.push(SEPARATOR);
            self.buffer.push_str(key);
        }
        if let Some(times) = &mut self.times {
            let text = times.text(event_time);
            self.buffer.push_str(text.map_err(|message| Problem { code: PREFIX_EVALUATION_FAILED, message })?);
        }
        if *self.last != *self.buffer {
            self.last = self.buffer.as_str().into();
        }
        Ok(self.last.clone())
    }
}

/// The texts of event times, each remembered for as long as it is the same.
struct Times {
    patterns: Vec<Pattern>,
    zone: TimeZone,
    /// In milliseconds.
    granule: i64,
    /// By the granule's number.
    texts: Vec<(Range<i64>, String)>,
}

/// How many texts are remembered: late data goes back and forth between a few hours.
const REMEMBERED: i64 = 64;

impl Times {
    /// `None`: there are no times in the prefix.
    fn new(config: &FirehoseConfig) -> Option<Self> {
        let patterns: Vec<_> = config.prefix.times().cloned().collect();
        let granule = patterns.iter().map(Pattern::granule).min()?;
        let texts = (0..REMEMBERED).map(|_| (0..0, String::new())).collect();
        Some(Times { patterns, zone: config.zone.clone(), granule, texts })
    }

    fn text(&mut self, ms: i64) -> Result<&str, String> {
        if ms == NO_TIMESTAMP {
            return Err("the record has no event time for !{timestamp:…}".into());
        }
        let slot = ms.div_euclid(self.granule).rem_euclid(REMEMBERED) as usize;
        if !self.texts[slot].0.contains(&ms) {
            let t = local(ms, &self.zone)?;
            let range = self.same(ms);
            let (remembered, text) = &mut self.texts[slot];
            text.clear();
            for pattern in &self.patterns {
                text.push(SEPARATOR);
                pattern.write(t, text);
            }
            *remembered = range;
        }
        Ok(&self.texts[slot].1)
    }

    /// The times around `ms` with the same text: its granule of local time, unless the clock is
    /// changed in it.
    fn same(&self, ms: i64) -> Range<i64> {
        let offset = |ms: i64| {
            let t = Timestamp::from_millisecond(ms).ok()?;
            Some(i64::from(self.zone.to_offset(t).seconds()) * 1_000)
        };
        let Some(here) = offset(ms) else { return ms..ms + 1 };
        let start = (ms + here).div_euclid(self.granule) * self.granule - here;
        let end = start + self.granule;
        if offset(start) == Some(here) && offset(end - 1) == Some(here) { start..end } else { ms..ms + 1 }
    }
}

/// Finds the directories of files.
pub(crate) struct Layout {
    config: Arc<FirehoseConfig>,
    /// From the writer's attempt, so that no two draw the same strings.
    seed: u64,
}

impl Layout {
    pub fn new(config: Arc<FirehoseConfig>, seed: u64) -> Self {
        Layout { config, seed }
    }

    /// The directory of the writer's file `number`, whose first record is `line`.
    pub fn path(&self, line: &Line, number: u64) -> Result<String, String> {
        let mut drawn = 0;
        let mut random = || {
            drawn += 1;
            random_string(mix(self.seed ^ mix(number)) ^ drawn)
        };
        let mut parts = line.name.split(SEPARATOR);
        let (prefix, errors) = match parts.next() {
            Some(ERRORS) => (&self.config.error_prefix, true),
            _ => (&self.config.prefix, false),
        };
        let parts: Vec<&str> = parts.collect();
        let (keys, texts) = parts.split_at(prefix.keys().len().min(parts.len()));
        let by_arrival = (errors || texts.is_empty()) && prefix.times().next().is_some();
        let time = if by_arrival { Time::Local(local(line.arrival, &self.config.zone)?) } else { Time::Written(texts) };
        prefix.evaluate(Values { keys, time, random: &mut random, error_type: PROCESSING_FAILED })
    }
}

/// A number to begin with, out of what tells one writer from all others.
pub(crate) fn seed<'a>(parts: impl IntoIterator<Item = &'a str>) -> u64 {
    parts.into_iter().flat_map(|part| part.bytes().chain([0])).fold(0, |seed, b| mix(seed ^ u64::from(b)))
}

/// SplitMix64's step.
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// Eleven letters and digits, as many as Firehose draws.
fn random_string(seed: u64) -> String {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut state = u128::from(mix(seed)) << 64 | u128::from(mix(seed ^ u64::MAX));
    (0..11)
        .map(|_| {
            let letter = ALPHABET[(state % 62) as usize];
            state /= 62;
            char::from(letter)
        })
        .collect()
}

impl FirehoseConfig {
    /// Where a record with these partition keys would be, in the order of their first use in the
    /// prefix, at this time (arrival or event, as configured; in milliseconds since the epoch): to
    /// try a configuration.
    pub fn directory(&self, keys: &[&str], time: i64) -> Result<String, String> {
        let keys: Vec<String> = keys.iter().map(|k| (*k).to_owned()).collect();
        let name = Names::new(self).name(&keys, time).map_err(|problem| problem.message)?;
        let line = Line { name, arrival: time, bytes: Vec::new(), rows: 0 };
        Layout::new(Arc::new(self.clone()), 0).path(&line, 0)
    }
}

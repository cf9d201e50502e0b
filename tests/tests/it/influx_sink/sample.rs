//! Points with odd texts in every place.

use std::collections::BTreeMap;

use hurtig_influx::Point;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use serde::{Deserialize, Serialize};

/// What has a text in every place of a line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Sample {
    pub measurement: String,
    pub tags: BTreeMap<String, String>,
    pub texts: BTreeMap<String, String>,
    pub time: i64,
}

impl Sample {
    pub fn point(&self) -> Point {
        let point = Point::new(&self.measurement).at_ns(self.time);
        let point = self.tags.iter().fold(point, |point, (name, value)| point.tag(name, value));
        self.texts.iter().fold(point, |point, (name, value)| point.field(name, value.as_str()))
    }
}

/// Names and values of a round. Of names there are few: InfluxDB's answer takes as long as there are measurements times
/// tags.
pub struct Samples {
    rng: SmallRng,
    measurements: Vec<String>,
    tags: Vec<String>,
    fields: Vec<String>,
}

impl Samples {
    /// The same for the same seed.
    pub fn new(seed: u64) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut some = |n| (0..n).map(|_| text(&mut rng, NAMES, 1)).collect::<Vec<_>>();
        let (measurements, tags, mut fields) = (some(100), some(100), some(300));
        fields.retain(|name| !tags.contains(name));
        Samples { rng, measurements, tags, fields }
    }

    /// One more.
    pub fn next(&mut self, time: i64) -> Sample {
        let Samples { rng, measurements, tags, fields } = self;
        let one = |rng: &mut SmallRng, of: &[String]| of[rng.random_range(0..of.len())].clone();
        let tagged = (0..rng.random_range(0..4)).map(|_| (one(rng, tags), text(rng, NAMES, 1))).collect();
        let texts = (0..rng.random_range(1..4)).map(|_| (one(rng, fields), text(rng, STRINGS, 0))).collect();
        Sample { measurement: one(rng, measurements), tags: tagged, texts, time }
    }
}

pub const NAMES: &[char] = &['a', 'b', '\\', '\\', '\\', ',', '=', ' ', '"', '\'', 'é', '😀', '#', '/', ':', '.', '*'];
pub const STRINGS: &[char] = &['a', '\\', '\\', ',', '=', ' ', '"', '"', '\n', '\r', '\t', 'é', '😀', '#'];

pub fn text(rng: &mut SmallRng, chars: &[char], least: usize) -> String {
    let mut text: String = (0..rng.random_range(least..7)).map(|_| chars[rng.random_range(0..chars.len())]).collect();
    // No name ends with one, which is refused and no news.
    if least > 0 && text.ends_with('\\') {
        text.push('z');
    }
    text
}

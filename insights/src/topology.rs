//! Where meters are in the grid: below which substation, feeder and transformer, and where on the earth.
//!
//! A topology is a CSV file with a header: `meter_id`, the levels from the top down, whatever they are called, and if
//! known `latitude` and `longitude` in degrees. Without one, a meter is in its region and nowhere else.
//!
//! ```csv
//! meter_id,substation,feeder,transformer,latitude,longitude
//! m-1,Spree,F2,T-17,52.520,13.405
//! ```

use std::{collections::HashMap, path::Path};

use crate::error::{Error, Result};

/// A grid.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Topology {
    /// The levels below the region, from the top down.
    levels: Vec<String>,
    meters: HashMap<String, Place>,
}

/// Where a meter is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Place {
    /// What it is below, a name for every level.
    pub path: Vec<String>,
    /// Latitude and longitude.
    pub position: Option<(f64, f64)>,
}

impl Topology {
    /// From a file.
    ///
    /// # Errors
    /// A file that cannot be read, or a line that says something that cannot be.
    pub fn read(path: &Path) -> Result<Self> {
        let said = std::fs::read_to_string(path).map_err(|source| Error::File { path: path.to_owned(), source })?;
        Topology::parse(&said).map_err(|why| Error::Topology { path: path.to_owned(), why })
    }

    /// From the file's text.
    ///
    /// # Errors
    /// What cannot be, in one line.
    pub fn parse(said: &str) -> Result<Self, String> {
        let mut lines = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(said.as_bytes());
        let header = lines.headers().map_err(|e| e.to_string())?.clone();
        let place = |name: &str| header.iter().position(|column| column.eq_ignore_ascii_case(name));
        let meter = place("meter_id").ok_or("its header has no column meter_id")?;
        let position = match (place("latitude"), place("longitude")) {
            (Some(latitude), Some(longitude)) => Some((latitude, longitude)),
            (None, None) => None,
            _ => return Err("latitude and longitude come together".into()),
        };
        let is_level = |at: &usize| *at != meter && position.is_none_or(|(lat, lon)| *at != lat && *at != lon);
        let levels: Vec<usize> = (0..header.len()).filter(is_level).collect();
        let mut meters = HashMap::new();
        for (at, line) in lines.records().enumerate() {
            let line = line.map_err(|e| e.to_string())?;
            let wrong = |why: &str| format!("line {}: {why}", at + 2);
            let field = |at: usize| line.get(at).unwrap_or_default();
            let degrees = |at: usize, most: f64| {
                let degrees = field(at).parse().ok().filter(|d: &f64| d.abs() <= most);
                degrees.ok_or_else(|| wrong(&format!("'{}' are no degrees", field(at))))
            };
            let position = match position {
                Some((lat, lon)) if !field(lat).is_empty() => Some((degrees(lat, 90.0)?, degrees(lon, 180.0)?)),
                _ => None,
            };
            if field(meter).is_empty() {
                return Err(wrong("the meter has no name"));
            }
            let path = levels.iter().map(|at| field(*at).to_owned()).collect();
            if meters.insert(field(meter).to_owned(), Place { path, position }).is_some() {
                return Err(wrong(&format!("the meter {} is there twice", field(meter))));
            }
        }
        let levels = levels.iter().filter_map(|at| header.get(*at)).map(str::to_owned).collect();
        Ok(Topology { levels, meters })
    }

    /// The levels below the region, from the top down.
    pub fn levels(&self) -> &[String] {
        &self.levels
    }

    /// Where a meter is, if it is known.
    pub fn place(&self, meter: &str) -> Option<&Place> {
        self.meters.get(meter)
    }
}

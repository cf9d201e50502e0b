//! What must be true of the lake in the end.

use std::path::Path;

use anyhow::{Result, bail};
use serde_json::Value;

use super::{Settings, number};
use crate::program;

/// Looks at everything; what was right, a line each.
pub fn look(settings: &Settings, data: &Path) -> Result<Vec<String>> {
    let mut right = Vec::new();
    let all = settings.all();
    let readings = "FROM readings";
    // An energy and a voltage.
    let both = 2 * all;
    is(&mut right, "the typed zone has each reading", number(data, &format!("SELECT count(*) {readings}"))?, both)?;
    let once = "SELECT count(*) FROM (SELECT DISTINCT meter_id, time, measure, value, arrived FROM readings)";
    is(&mut right, "and has it once", number(data, once)?, both)?;
    let per_meter =
        "SELECT count(*) FROM (SELECT meter_id, count(DISTINCT time) AS n FROM readings GROUP BY meter_id) WHERE n = ";
    let per_meter = number(data, &format!("{per_meter}{}", settings.per_meter()))?;
    is(&mut right, "meters that have all of theirs", per_meter, settings.meters)?;
    let astray =
        "WHERE year <> date_part('year', time) OR month <> date_part('month', time) OR day <> date_part('day', time)";
    is(
        &mut right,
        "readings in another day's partition",
        number(data, &format!("SELECT count(*) {readings} {astray}"))?,
        0,
    )?;
    let late = number(data, &format!("SELECT count(*) {readings} WHERE arrived > time + INTERVAL '1 hour'"))?;
    if late < all / 50 {
        bail!("only {late} of {all} readings were late: that proves nothing");
    }
    right.push(format!("{late} readings had come more than an hour late"));
    for table in ["aggregates_1m", "aggregates_1h"] {
        let summed = number(data, &format!("SELECT sum(count) FROM {table}"))?;
        is(&mut right, &format!("{table} has summed each reading"), summed, all)?;
    }
    raw(&mut right, data, all)?;
    files(&mut right, settings, data)?;
    is(&mut right, "and then each reading is there still", number(data, once)?, both)?;
    let hours = "SELECT count(*) - count(DISTINCT meter_id || region || measure || window_start) FROM aggregates_1h";
    is(&mut right, "hours that are there in parts after it", number(data, hours)?, 0)?;
    let restated = "SELECT count(*) FROM (SELECT meter_id, date_trunc('hour', time) AS hour, measure, \
                    round(sum(value), 9) AS sum, count(*) AS n FROM readings WHERE lower(measure) IN ('kwh', 'wh', 'therm') \
                    GROUP BY 1, 2, 3) r FULL JOIN aggregates_1h a ON a.meter_id = r.meter_id AND a.window_start = r.hour AND \
                    a.measure = lower(r.measure) WHERE (a.count IS DISTINCT FROM r.n) OR abs(a.sum - r.sum) > 0.00000001 \
                    OR a.meter_id IS NULL OR r.meter_id IS NULL";
    is(&mut right, "hours whose sums differ from their readings'", number(data, restated)?, 0)?;
    Ok(right)
}

/// Lines as they were received, each once, in its day's directory.
fn raw(right: &mut Vec<String>, data: &Path, all: u64) -> Result<()> {
    let (mut lines, mut astray) = (Vec::new(), 0);
    for file in crate::chaos::written::files(&data.join("lake/raw"))? {
        let directory = file.parent().map(|dir| dir.display().to_string()).unwrap_or_default();
        for line in std::fs::read_to_string(&file)?.lines() {
            let message: Value = serde_json::from_str(line)?;
            let time = message["time"].as_i64().unwrap_or_default();
            let time = match message["timeunit"].as_str() {
                Some("SECONDS") => time * 1_000,
                _ => time,
            };
            let day = jiff::Timestamp::from_millisecond(time)?.strftime("year=%Y/month=%m/day=%d").to_string();
            astray += u64::from(!directory.ends_with(&day));
            lines.push(line.to_owned());
        }
    }
    is(right, "the raw zone has each line", lines.len() as u64, all)?;
    lines.sort_unstable();
    lines.dedup();
    is(right, "and has it once", lines.len() as u64, all)?;
    is(right, "lines in another day's directory", astray, 0)
}

/// No file is much larger than it should be, and after a compaction no partition has two that are much smaller.
fn files(right: &mut Vec<String>, settings: &Settings, data: &Path) -> Result<()> {
    let size = format!("{}KiB", settings.file_kib);
    let dir = data.display().to_string();
    let said = program::run_well(["lake", "compact", "--min-files", "2", "--target-size", &size, "--data-dir", &dir])?;
    right.extend(said.out.lines().map(str::to_owned));
    let target = settings.file_kib * 1_024;
    for table in ["readings", "aggregates_1m", "aggregates_1h"] {
        let (mut files, mut small, mut largest) = (0, 0, 0);
        let below = data.join("lake/typed").join(table);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let Some(table_now) = runtime.block_on(hurtig_delta::Table::open(&below))? else {
            bail!("there is no {table}")
        };
        let mut by_partition = std::collections::BTreeMap::<_, u64>::new();
        for file in table_now.files() {
            files += 1;
            largest = largest.max(file.bytes);
            if file.bytes < target / 2 {
                small += 1;
                *by_partition.entry(file.directory().to_owned()).or_default() += 1;
            }
        }
        let most = by_partition.values().max().copied().unwrap_or(0);
        if most > 1 || largest > target * 3 / 2 {
            bail!("{table}: {most} small files in one partition, the largest of all has {largest} bytes of {target}");
        }
        right.push(format!(
            "{table}: {files} files of at most {largest} bytes (of {target}), {small} of them small, one a day"
        ));
    }
    Ok(())
}

/// Says that it is so, or fails.
fn is(right: &mut Vec<String>, what: &str, found: u64, expected: u64) -> Result<()> {
    if found != expected {
        bail!("{what}: {found}, expected {expected}");
    }
    right.push(format!("{what}: {found}"));
    Ok(())
}

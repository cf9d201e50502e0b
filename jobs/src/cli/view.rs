//! `hurtig view`: the operational view over a store's directory.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use clap::Args;
use hurtig_engine::time::SystemClock;
use hurtig_insights::{Pages, PagesOptions, Settings};
use hurtig_store::{Queries, Storage, Store, StoreOptions};
use hurtig_timestream_sql::EngineOptions;
use hurtig_view::{Beside, View, ViewOptions};
use serde_json::json;

use super::{
    Failure,
    insights::{InsightOptions, over},
    output::Output,
    run::log_to_stderr,
    signals::Signals,
    units,
};
use crate::smart_meters::{Layout, Options};

pub const AFTER: &str = "\
Opens a store that no job holds and serves a page over it: the fleet, consumption by region, every meter's day,
voltages out of tolerance, silent meters; with --rest also how a job is and how late its readings come. It works
without a network. When the readings end more than an hour ago, the page shows the fleet as it was then.

Where there is a lake beside the store, as a job leaves it, or --lake names one, there is a second page: what months of
readings say (`hurtig report` writes the same pictures).

  hurtig view --dir meters.store                                   the page at http://127.0.0.1:8082/
  hurtig view --dir meters.store --rest http://127.0.0.1:8081      with the health of a job
  hurtig view --dir other.store --database grid --table points --meter device_id --voltage volts

The page asks nobody who he is, so it listens on 127.0.0.1 only. To show it to others, put a proxy that asks
before it, with --host NAME for the name it is reached by; or --allow-remote, where everybody may see it.

Exit codes: 0 ended by Ctrl-C or SIGTERM, 1 failed, 2 wrong usage.";

/// The view's command line.
#[derive(Debug, Args)]
pub struct ViewCommand {
    /// Where the store is
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Where readings that have aged are, if not below --dir: s3://bucket/prefix, or a directory
    #[arg(long, value_name = "PLACE")]
    magnetic: Option<String>,
    /// The lake that insights are of [default: `lake` beside the store, if it is there]
    #[arg(long, value_name = "DIR", env = "HURTIG_LAKE", hide_env = true)]
    lake: Option<PathBuf>,
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8082")]
    listen: SocketAddr,
    /// Listen at an address that other machines reach, and answer whoever asks
    #[arg(long)]
    allow_remote: bool,
    /// Answer requests for this host name too, as a proxy sends them; can be given again
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
    /// The REST API of a job whose health is shown
    #[arg(long, value_name = "URL")]
    rest: Option<String>,
    /// The store's database
    #[arg(long, value_name = "NAME", default_value = "meters")]
    database: String,
    /// The table in it
    #[arg(long, value_name = "NAME", default_value = "readings")]
    table: String,
    /// The dimension that names a meter (meterid, device_id and deviceid are found by themselves)
    #[arg(long, value_name = "DIMENSION", default_value = "meter_id")]
    meter: String,
    /// The dimension that names its region
    #[arg(long, value_name = "DIMENSION", default_value = "region")]
    region: String,
    /// The measure of energy, in kWh since the meter's last reading
    #[arg(long, value_name = "MEASURE", default_value = "kwh_measure")]
    energy: String,
    /// The measure of voltage, in volts
    #[arg(long, value_name = "MEASURE", default_value = "voltage_measure")]
    voltage: String,
    /// What a voltage should be, in volts
    #[arg(long, value_name = "VOLTS", default_value_t = 230.0)]
    nominal_voltage: f64,
    /// How far from it one may be, as a share (EN 50160: 0.10)
    #[arg(long, value_name = "SHARE", default_value_t = 0.10)]
    tolerance: f64,
    /// A meter that has said nothing for so long is silent
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = units::parse_duration)]
    silent_after: Duration,
    /// How much memory one query may take
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = units::parse_size)]
    query_memory: usize,
    /// Take the page's files from this directory, for working on them
    #[arg(long, value_name = "DIR", hide = true)]
    page: Option<PathBuf>,
    /// Print JSON lines
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    insights: InsightOptions,
}

/// What a store's directory has in it.
const MANIFEST: &str = "manifest";

impl ViewCommand {
    /// Carries it out.
    pub fn run(&self) -> Result<(), Failure> {
        let options = self.options();
        options.check().map_err(|e| Failure::usage(e.to_string()))?;
        if !self.dir.join(MANIFEST).exists() {
            return Err(Failure::usage(format!(
                "there is no store in {}: `hurtig store serve --dir DIR` makes one, and a job with --sink embedded",
                self.dir.display()
            )));
        }
        let settings = self.insights.settings()?;
        log_to_stderr();
        let runtime = tokio::runtime::Builder::new_multi_thread().thread_name("hurtig-view").enable_all().build()?;
        let signals = Signals::listen(runtime.handle());
        runtime.block_on(self.serve(options, settings, signals))
    }

    fn options(&self) -> ViewOptions {
        ViewOptions {
            listen: self.listen,
            allow_remote: self.allow_remote,
            hosts: self.host.clone(),
            database: self.database.clone(),
            table: self.table.clone(),
            meter: self.meter.clone(),
            region: self.region.clone(),
            energy: self.energy.clone(),
            voltage: self.voltage.clone(),
            rest: self.rest.clone(),
            nominal_voltage: self.nominal_voltage,
            tolerance: self.tolerance,
            silent_after: self.silent_after,
            page: self.page.clone(),
            ..ViewOptions::default()
        }
    }

    /// The insights' pages, if there is a lake.
    fn insights(&self, settings: Settings) -> Result<Vec<Beside>, Failure> {
        let data_dir = self.dir.parent().map(|dir| if dir.as_os_str().is_empty() { Path::new(".") } else { dir });
        let layout =
            Layout::of(&Options { lake: self.lake.clone(), ..Options::default() }, data_dir.unwrap_or(&self.dir));
        let is_there = layout.readings.is_dir();
        match (&self.lake, is_there) {
            (None, false) => Ok(Vec::new()),
            (Some(lake), false) => Err(Failure::usage(format!("there are no readings in the lake {}", lake.display()))),
            (_, true) => Ok(vec![beside(layout, settings, &self.insights.time_zone, self.query_memory)?]),
        }
    }

    async fn serve(&self, options: ViewOptions, settings: Settings, signals: Signals) -> Result<(), Failure> {
        let clock = Arc::new(SystemClock);
        let mut store = StoreOptions::new(&self.dir, clock.clone());
        store.magnetic = self.magnetic.as_deref().map(Storage::open).transpose().map_err(Failure::failed)?;
        let store = Store::open(store).await?;
        let engine = EngineOptions { memory_limit_bytes: self.query_memory, ..EngineOptions::default() };
        let queries = Queries::new(&store, engine)?;
        let server = View::with_pages(queries, clock, options, self.insights(settings)?).bind().await?;
        let (url, dir) = (server.url(), self.dir.display().to_string());
        // A line of its own, at once: a script waits for it.
        Output::new(self.json).result(
            &format!("the view is at {url}, over the store in {dir}"),
            "listening",
            json!({ "url": url, "address": server.address().to_string(), "dir": dir }),
        );
        server.serve(signals.any()).await?;
        Ok(())
    }
}

/// The insights' pages over a lake, for a view to have beside it.
pub(super) fn beside(layout: Layout, settings: Settings, zone: &str, memory: usize) -> Result<Beside, Failure> {
    let insights = over(layout, settings, |query| query.memory = memory)?;
    let options = PagesOptions { zone: zone.to_owned(), ..PagesOptions::default() };
    let pages = Pages::new(insights, Arc::new(SystemClock), options);
    Ok(Beside { title: Pages::TITLE.into(), path: Pages::PATH.into(), router: pages.router() })
}

//! `hurtig ingest`: files into a stream, only as fast as it takes them, or straight into the lake.

mod lake;
mod options;
mod sinks;

use std::process::ExitCode;

use clap::Args;
use hurtig_engine::watermark::WatermarkStrategy;
use hurtig_ingest::{Discovery, IngestProgress, Messages, Pacing, RangeSource};
use hurtig_operators::stream::Environment;
use serde_json::Map;

use self::options::IngestOptions;
use super::{Failure, Notes, RunOptions, output::to_value, run::Extras, run_job, units};

/// The job's name: what its checkpoints belong to.
pub const INGEST: &str = "ingest";

/// Feeds files into a stream or into the lake: the options of every job, and its own.
#[derive(Debug, Args)]
pub struct IngestCommand {
    #[command(flatten)]
    own: IngestOptions,
    #[command(flatten)]
    run: RunOptions,
}

impl IngestCommand {
    /// Runs it until all files are in, or with `--watch` until it is stopped.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let IngestCommand { own, mut run } = self;
        run.bounded = !own.is_watching();
        let source = RangeSource::new(&own.source)
            .options(own.range_options()?)
            .discovery(match &own.events {
                Some(queue_url) => Discovery::Events { queue_url: queue_url.clone() },
                None if own.watch => Discovery::Watch,
                None => Discovery::Once,
            })
            .schema(Messages { key: own.key.clone(), time: own.time.clone(), rows: own.rows.into() });
        let progress = source.progress();
        let pacing = own.pacing()?;
        let build = |env: &Environment| {
            let messages = env.from_source(source, WatermarkStrategy::no_watermarks(), "files").uid("files");
            sinks::sink(messages, &own, pacing.as_ref())
        };
        let figures = || notes(&progress, pacing.as_ref());
        let extras = Extras { notes: &|_| figures(), progress: &figures, ..Extras::default() };
        run_job(INGEST, &run, build, &extras)
    }
}

/// How far it is, and how fast it may go.
fn notes(progress: &IngestProgress, pacing: Option<&Pacing>) -> Notes {
    let f = progress.figures();
    let mut text = vec![
        format!("files {}/{}", units::count(f.files_finished), units::count(f.files_found)),
        format!("ranges {}/{}", units::count(f.ranges_finished), units::count(f.ranges_found)),
        format!("{} of {}", units::size(f.bytes_read.min(f.bytes_found)), units::size(f.bytes_found)),
    ];
    let mut fields = Map::from_iter([("ingest".to_owned(), to_value(&f))]);
    if let Some(pacing) = pacing {
        let p = pacing.figures();
        let mut pace = format!("at most {}/s", units::size(p.bytes_per_second as u64));
        if p.throttled > 0 {
            pace += &format!(", throttled {}", units::count(p.throttled));
        }
        if let Some(lag) = p.live_lag_ms {
            pace += &format!(", live lag {}", units::span(lag));
        }
        text.push(pace);
        fields.insert("pace".to_owned(), to_value(&p));
    }
    Notes { text: vec![text.join("  ")], fields }
}

//! `hurtig stream`: the shards of Kinesis data streams, looked at, scaled, and simulated.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand};
use hurtig_aws::AwsConfig;
use hurtig_engine::time::{Clock, SystemClock};
use hurtig_kinesis::scaling::{
    Autoscaler, Decision, LoadCurve, LoadSource, Policy, PolicyRun, Progress, ScalingError, Setup, ShardLimits,
    ShardLoad, Step, StreamState, Streams, draw, plan, simulate, update_counts,
};
use serde_json::{Value, json};

use super::{
    Failure,
    table::{self, Align},
    units,
};

/// Looks at Kinesis data streams, and scales them.
#[derive(Debug, Args)]
#[command(
    arg_required_else_help = true,
    after_help = "\
Region, endpoint and credentials are taken as every AWS tool takes them: AWS_REGION, AWS_PROFILE,
AWS_ACCESS_KEY_ID, …; AWS_ENDPOINT_URL for a local server.

Examples:
  hurtig stream list
  hurtig stream scale readings --shards 40 --dry-run
  hurtig stream autoscale readings --target 70% --min 10 --max 80
  hurtig stream simulate --picture talk.svg        what three ways of scaling do with the talk's load"
)]
pub struct StreamCommand {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the region's streams
    List {
        /// Print JSON lines instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Show a stream and its open shards
    Describe {
        /// The stream's name or ARN
        stream: String,
        /// Print JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Give a provisioned stream so many shards of even ranges
    #[command(after_help = "\
By UpdateShardCount in steps of at most twice or half, as AWS allows (ten in 24 hours); where the
server has none, by SplitShard and MergeShards. Readers and writers go on meanwhile. Interrupted,
it can be run again.")]
    Scale {
        /// The stream's name or ARN
        stream: String,
        /// How many shards it is to have
        #[arg(long, value_name = "N")]
        shards: usize,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
        /// Print JSON lines
        #[arg(long)]
        json: bool,
    },
    /// Keep a provisioned stream's shards at a utilisation, until Ctrl-C
    #[command(after_help = "\
Up at once when the load needs more shards at the target, down only after a quiet quarter of an
hour; a hot shard is split by itself while the others have room.

The load is measured by reading along at the end of every shard: one GetRecords a second and shard,
of the five that all its readers share, and the shard's bytes out of the 2 MB/s of its polling
readers (not of enhanced fan-out). It shows what was taken, not what was refused, so a stream far
behind its load is scaled in several steps.

Throttled and lost calls, and limits that pass, are said and tried again. It ends by itself only
when the stream is missing or on-demand, or when permissions or credentials are; and when the
service cannot be reached at its start.")]
    Autoscale {
        /// The stream's name or ARN
        stream: String,
        /// The share of their limits at which shards are to work
        #[arg(long, default_value = "70%", value_parser = parse_share)]
        target: f64,
        /// Never fewer shards
        #[arg(long, default_value_t = 1)]
        min: usize,
        /// Never more shards
        #[arg(long, default_value_t = 200)]
        max: usize,
        /// Over how long the load is measured before every decision
        #[arg(long, default_value = "10s", value_parser = units::parse_duration)]
        interval: Duration,
        /// How long after a step another is decided on
        #[arg(long, default_value = "30s", value_parser = units::parse_duration)]
        settle: Duration,
        /// For how long fewer shards must have been enough before some are given away
        #[arg(long, default_value = "15m", value_parser = units::parse_duration)]
        cool_down: Duration,
        /// Bytes a second that a shard takes; another figure than AWS's is for a server that has another
        #[arg(long, value_name = "N", default_value_t = 1_000_000)]
        shard_bytes: u32,
        /// Records a second that a shard takes
        #[arg(long, value_name = "N", default_value_t = 1_000)]
        shard_records: u32,
        /// Only say what would be done
        #[arg(long)]
        dry_run: bool,
        /// Print JSON lines
        #[arg(long)]
        json: bool,
    },
    /// Show how a fixed, an autoscaled and an on-demand stream take a load
    #[command(after_help = "\
A load file has a line 'time,MB/s' per point, with straight lines between them; a time is HH:MM,
HH:MM:SS or seconds:
  21:23,5
  21:30,18
The talk's load is 5 MB/s on 10 shards that climbs to 18 MB/s between 21:23 and 21:30. Every change
of the shards is taken to last --step. On-demand doubles its shards until they are twice the peak's
MB/s; what is above twice the peak of more than 15 minutes ago it does not promise to take: that is
'at risk'.")]
    Simulate {
        /// A file, or the talk's
        #[arg(long, value_name = "FILE|talk", default_value = "talk")]
        load: String,
        /// Where to put a picture, in SVG
        #[arg(long, value_name = "FILE.svg")]
        picture: Option<PathBuf>,
        /// The shards at the beginning
        #[arg(long, default_value_t = 10)]
        shards: usize,
        /// The autoscaler's target
        #[arg(long, default_value = "70%", value_parser = parse_share)]
        target: f64,
        /// How long a step of a change takes
        #[arg(long, default_value = "60s", value_parser = units::parse_duration)]
        step: Duration,
        /// The share of the load that one partition key has
        #[arg(long, value_name = "SHARE", default_value = "0%", value_parser = parse_share)]
        hot_key: f64,
        /// Bytes of a record of a load file
        #[arg(long, default_value_t = 1000.0)]
        record_bytes: f64,
        /// Print JSON lines, one per policy and minute
        #[arg(long)]
        json: bool,
    },
}

/// `70%` or `0.7`.
fn parse_share(text: &str) -> Result<f64, String> {
    let (digits, divisor) = match text.strip_suffix('%') {
        Some(digits) => (digits, 100.0),
        None => (text, 1.0),
    };
    let share = digits.trim().parse::<f64>().ok().map(|n| n / divisor).filter(|n| (0.0..=1.0).contains(n));
    share.ok_or_else(|| format!("'{text}' is no share: write 70% or 0.7"))
}

impl StreamCommand {
    /// Carries it out.
    pub fn run(&self) -> Result<(), Failure> {
        if let Command::Simulate { load, picture, shards, target, step, hot_key, record_bytes, json } = &self.command {
            let load = match load.as_str() {
                "talk" => LoadCurve::talk(),
                file => {
                    let text = std::fs::read_to_string(file).map_err(|e| Failure::failed(format!("{file}: {e}")))?;
                    LoadCurve::from_csv(&text, *record_bytes).map_err(|e| Failure::usage(format!("{file}: {e}")))?
                }
            };
            let talk = Setup::talk();
            let setup = Setup {
                load,
                shards: *shards,
                policy: Policy { target: *target, min: (*shards).max(1), ..talk.policy },
                step_ms: i64::try_from(step.as_millis()).unwrap_or(i64::MAX),
                // Wherever: in the lower half.
                hot_keys: if *hot_key > 0.0 { vec![(1 << 126, *hot_key)] } else { Vec::new() },
                ..talk
            };
            return simulated(&setup, picture.as_ref(), *json);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(self.on_the_service())
    }

    async fn on_the_service(&self) -> Result<(), Failure> {
        let streams = Streams::connect(&AwsConfig::new()).await?;
        match &self.command {
            Command::List { json } => list(&streams, *json).await,
            Command::Describe { stream, json } => {
                describe(&streams.scaler(stream.as_str()).state().await?, *json)?;
                Ok(())
            }
            Command::Scale { stream, shards, dry_run, json } => scale(&streams, stream, *shards, *dry_run, *json).await,
            Command::Autoscale {
                stream,
                target,
                min,
                max,
                interval,
                settle,
                cool_down,
                shard_bytes,
                shard_records,
                dry_run,
                json,
            } => {
                let ms = |duration: &Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
                let policy = Policy {
                    target: *target,
                    min: *min,
                    max: *max,
                    settle_ms: ms(settle),
                    cool_down_ms: ms(cool_down),
                    limits: ShardLimits {
                        bytes_per_second: f64::from((*shard_bytes).max(1)),
                        records_per_second: f64::from((*shard_records).max(1)),
                    },
                    ..Policy::default()
                };
                let scaler = Autoscaler::new(policy)
                    .ok_or_else(|| Failure::usage("--target is above 0, and --min is 1 or more and at most --max"))?;
                autoscale(&streams, stream, scaler, policy, *interval, (*dry_run, *json)).await
            }
            Command::Simulate { .. } => Ok(()),
        }
    }
}

async fn list(streams: &Streams, as_json: bool) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for name in streams.names().await? {
        let state = streams.scaler(name.as_str()).state().await?;
        if as_json {
            println!("{}", summary(&state));
        }
        let open = state.open().len();
        rows.push(vec![name, state.status, state.mode, open.to_string(), format!("{} h", state.retention_hours)]);
    }
    if !as_json {
        let columns = [
            ("STREAM", Align::Left),
            ("STATUS", Align::Left),
            ("MODE", Align::Left),
            ("OPEN SHARDS", Align::Right),
            ("RETENTION", Align::Right),
        ];
        table::write(&mut std::io::stdout().lock(), &columns, &rows)?;
    }
    Ok(())
}

fn summary(state: &StreamState) -> Value {
    json!({
        "stream": state.name,
        "status": state.status,
        "mode": state.mode,
        "open_shards": state.open().len(),
        "retention_hours": state.retention_hours,
    })
}

fn describe(state: &StreamState, as_json: bool) -> std::io::Result<()> {
    let open = state.open();
    if as_json {
        let shard = |s: &hurtig_kinesis::sink::shard_map::ShardInfo| {
            json!({
                "shard_id": &*s.id,
                "starting_hash_key": s.range.start.to_string(),
                "ending_hash_key": s.range.end.to_string(),
                "share": s.range.share(),
            })
        };
        let mut whole = summary(state);
        whole["shards"] = open.iter().map(shard).collect();
        println!("{whole}");
        return Ok(());
    }
    let closed = state.shards.len() - open.len();
    println!(
        "{}: {}, {}, {} open and {closed} closed shards, kept for {} h",
        state.name,
        state.status,
        state.mode,
        open.len(),
        state.retention_hours
    );
    let row = |s: &hurtig_kinesis::sink::shard_map::ShardInfo| {
        let share = format!("{:.2} %", s.range.share() * 100.0);
        vec![s.id.to_string(), share, s.range.start.to_string(), s.range.end.to_string()]
    };
    let columns = [("SHARD", Align::Left), ("HASH KEYS", Align::Right), ("FROM", Align::Right), ("TO", Align::Right)];
    table::write(&mut std::io::stdout().lock(), &columns, &open.iter().map(row).collect::<Vec<_>>())
}

/// One line of what happens: words for people, fields for scripts.
fn say(as_json: bool, words: &str, fields: Value) {
    if as_json { println!("{fields}") } else { println!("{words}") }
}

async fn scale(streams: &Streams, stream: &str, shards: usize, dry_run: bool, as_json: bool) -> Result<(), Failure> {
    let scaler = streams.scaler(stream);
    let state = scaler.state().await?;
    let before = state.open().len();
    if dry_run {
        let steps = plan(&state.ranges(), shards)?;
        let counts = update_counts(before, shards);
        let fields = json!({
            "event": "plan", "stream": stream, "from": before, "to": shards, "update_shard_count": &counts,
            "steps": steps.iter().map(Step::to_string).collect::<Vec<_>>(),
        });
        let counts: Vec<_> = counts.iter().map(usize::to_string).collect();
        let words = format!(
            "{stream} has {before} shards; to have {shards} even ones: UpdateShardCount to {}, or {} splits and merges",
            if counts.is_empty() { shards.to_string() } else { counts.join(", then ") },
            steps.len()
        );
        say(as_json, &words, fields);
        return Ok(());
    }
    scaler.scale_to(shards, |progress| report(as_json, &progress)).await?;
    let words = format!("{stream}: {before} shards before, {shards} now");
    say(as_json, &words, json!({ "event": "scaled", "stream": stream, "from": before, "to": shards }));
    Ok(())
}

fn report(as_json: bool, progress: &Progress) {
    let (words, fields) = match progress {
        Progress::Updating(n) => (format!("to {n} shards …"), json!({ "event": "updating", "shards": n })),
        Progress::Steps(n) => {
            (format!("shard by shard: {n} splits and merges …"), json!({ "event": "steps", "count": n }))
        }
        Progress::Step(step, left) => {
            (format!("{step}; {left} to go"), json!({ "event": "step", "step": step.to_string(), "left": left }))
        }
    };
    say(as_json, &words, fields);
}

/// The waits after what failed: they double from the first to the second.
const BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

async fn autoscale(
    streams: &Streams,
    stream: &str,
    mut autoscaler: Autoscaler,
    policy: Policy,
    interval: Duration,
    (dry_run, as_json): (bool, bool),
) -> Result<(), Failure> {
    let scaler = streams.scaler(stream);
    let state = scaler.state().await?;
    if state.mode == "ON_DEMAND" {
        return Err(Failure::failed(format!("stream {stream}: it is on-demand and scales itself")));
    }
    let mut source = streams.sampled_load(stream, interval);
    let mut pause = BACKOFF.0;
    loop {
        let done = async {
            let load = source.load().await?;
            say_load(as_json, stream, &load, policy);
            let decision = autoscaler.decide(SystemClock.now_ms(), &load);
            say_decision(as_json, &decision);
            match decision {
                _ if dry_run => Ok(()),
                Decision::Hold | Decision::OneKey { .. } => Ok(()),
                Decision::ScaleTo(n) => scaler.scale_to(n, |progress| report(as_json, &progress)).await,
                Decision::Split { shard, at } => {
                    scaler.carry_out(vec![Step::Split { shard, at }], |progress| report(as_json, &progress)).await
                }
            }
        };
        match done.await {
            Ok(()) => pause = BACKOFF.0,
            Err(e) if e.is_passing() => {
                say_again(as_json, &e, pause);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(BACKOFF.1);
            }
            Err(e) => return Err(e.into()),
        }
    }
}

fn say_load(as_json: bool, stream: &str, load: &[ShardLoad], policy: Policy) {
    let bytes: f64 = load.iter().map(|s| s.bytes_per_second).sum();
    let records: f64 = load.iter().map(|s| s.records_per_second).sum();
    let utilisation = load.iter().map(|s| s.utilisation(policy.limits)).sum::<f64>() / load.len().max(1) as f64;
    let words = format!(
        "{stream}: {} shards at {:.0} %: {:.2} MB/s, {records:.0} records/s",
        load.len(),
        utilisation * 100.0,
        bytes / 1e6
    );
    let fields = json!({
        "event": "load", "stream": stream, "shards": load.len(), "utilisation": utilisation,
        "bytes_per_second": bytes, "records_per_second": records,
    });
    say(as_json, &words, fields);
}

fn say_decision(as_json: bool, decision: &Decision) {
    let (words, fields) = match decision {
        Decision::ScaleTo(n) => (format!("to {n} shards"), json!({ "event": "scale", "shards": n })),
        Decision::Split { shard, at } => {
            let step = Step::Split { shard: *shard, at: *at }.to_string();
            (format!("hot: {step}"), json!({ "event": "split", "step": step }))
        }
        Decision::OneKey { shard } => (
            format!("hash keys {} to {} are hot, and it is one partition key: spread it", shard.start, shard.end),
            json!({ "event": "one_key", "from": shard.start.to_string(), "to": shard.end.to_string() }),
        ),
        Decision::Hold => return,
    };
    say(as_json, &words, fields);
}

fn say_again(as_json: bool, error: &ScalingError, pause: Duration) {
    let words = format!("{error}; again in {} s", pause.as_secs());
    let fields = json!({ "event": "failed", "reason": error.to_string(), "again_in_seconds": pause.as_secs() });
    say(as_json, &words, fields);
}

fn simulated(setup: &Setup, picture: Option<&PathBuf>, as_json: bool) -> Result<(), Failure> {
    let simulation = simulate(setup)?;
    if as_json {
        for run in &simulation.runs {
            for s in run.samples.iter().step_by(60) {
                let line = json!({
                    "policy": run.name, "time": clock(s.at), "load": s.load, "capacity": s.capacity, "shards": s.shards,
                    "throttled": s.throttled, "backlog": s.backlog, "at_risk": s.at_risk,
                });
                println!("{line}");
            }
        }
    } else {
        let row = |run: &PolicyRun| {
            let (first, most, last) = run.shards();
            vec![
                run.name.clone(),
                format!("{first} → {last}"),
                most.to_string(),
                format!("{:.0} MB", run.throttled() / 1e6),
                format!("{:.0} MB", run.worst_backlog() / 1e6),
                format!("{:.0} MB", run.at_risk() / 1e6),
                format!("{:.1}", run.shard_hours()),
            ]
        };
        let columns = [
            ("POLICY", Align::Left),
            ("SHARDS", Align::Left),
            ("MOST", Align::Right),
            ("THROTTLED", Align::Right),
            ("WORST BACKLOG", Align::Right),
            ("AT RISK", Align::Right),
            ("SHARD HOURS", Align::Right),
        ];
        let rows: Vec<_> = simulation.runs.iter().map(row).collect();
        table::write(&mut std::io::stdout().lock(), &columns, &rows)?;
    }
    if let Some(path) = picture {
        let svg = draw(&simulation, "One load, three ways to scale: load, capacity, shards and throttling over time")?;
        std::fs::write(path, svg).map_err(|e| Failure::failed(format!("{}: {e}", path.display())))?;
    }
    Ok(())
}

/// `21:23` of milliseconds since midnight.
fn clock(ms: i64) -> String {
    let minutes = ms / 60_000;
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

#[cfg(test)]
mod tests {
    use super::parse_share;

    #[test]
    fn shares_are_read() {
        assert_eq!(parse_share("70%"), Ok(0.7));
        assert_eq!(parse_share("0.7"), Ok(0.7));
        assert!(parse_share("170%").is_err() && parse_share("much").is_err());
    }
}

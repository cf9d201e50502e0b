//! Runs one job from its options to its summary.

use std::{
    io::IsTerminal,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    process::ExitCode,
    time::Duration,
};

use hurtig_engine::{
    checkpoint::{CheckpointStorage, RestorePoint},
    graph::JobGraph,
    rest::{self, Jobs, RestServer},
    runner::{JobConfig, JobHandle, JobResult, JobState, JobStatus, LocalRunner, Restore},
};
use hurtig_operators::{connectors::dead_letters::dead_letters_to, stream::Environment};
use serde_json::json;
use tokio::runtime::Runtime;

use super::{
    Failure,
    options::{Explain, RunOptions},
    output::Output,
    progress::Progress,
    registry::{self, Entry, Registration},
    signals::Signals,
    summary::{Notes, Summary},
};
use crate::config::seed;

/// How often the figures are read and signals are looked at.
const TICK: Duration = Duration::from_millis(200);

/// What was opened: what each is called, and where it is; or why not, in one line.
pub type Opened = Result<Vec<(&'static str, String)>, String>;

/// What a job adds to its run.
pub struct Extras<'a> {
    /// Looks, before anything runs, at what the graph does not know of.
    pub check: &'a dyn Fn() -> hurtig_engine::Result<()>,
    /// Opens what the job offers beside REST, whose URL it is given: what each is called, and where it is.
    pub open: &'a dyn Fn(Option<&str>) -> Opened,
    /// What it has to say at the end.
    pub notes: &'a dyn Fn(&JobStatus) -> Notes,
    /// What it has to say while it runs: goes with the figures that every job has.
    pub progress: &'a dyn Fn() -> Notes,
}

impl Default for Extras<'_> {
    fn default() -> Self {
        Extras { check: &|| Ok(()), open: &|_| Ok(Vec::new()), notes: &|_| Notes::default(), progress: &Notes::default }
    }
}

/// Builds the job `name` by `build`, and runs it as `options` say.
pub fn run_job(
    name: &str,
    options: &RunOptions,
    build: impl FnOnce(&Environment) -> anyhow::Result<()>,
    extras: &Extras<'_>,
) -> Result<ExitCode, Failure> {
    log_to_stderr();
    let graph = graph(name, options, build)?;
    match options.explain {
        None => {}
        Some(Explain::Text) => {
            print!("{}", graph.explain());
            return Ok(ExitCode::SUCCESS);
        }
        Some(Explain::Json) => {
            println!("{:#}", graph.plan_json());
            return Ok(ExitCode::SUCCESS);
        }
    }
    (extras.check)()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(4)
        .thread_name("hurtig-rest")
        .enable_all()
        .build()?;
    let signals = Signals::listen(runtime.handle());
    let output = Output::new(options.json);
    let config = options.job_config(seed());
    warn_of_fresh_start(&runtime, &output, options, &config, name);
    let job = LocalRunner::submit(graph, config.clone())?;
    let served = Served::begin(&job, &config, options, &runtime)?;
    let open = (extras.open)(served.url().as_deref()).map_err(|reason| {
        // How the job ends says no more than this.
        let _ = job.cancel();
        let _ = job.wait();
        Failure::failed(reason)
    })?;
    let mut run = Run { job, config, signals, output, progress: Progress::default(), announced: false, asked: 0 };
    run.say_where(options, &served, &open);
    let result = run.watch(&runtime, extras);
    let code = run.end(result, extras);
    served.end();
    // A request that nobody answers any more must not keep the process.
    runtime.shutdown_background();
    code
}

fn graph(
    name: &str,
    options: &RunOptions,
    build: impl FnOnce(&Environment) -> anyhow::Result<()>,
) -> Result<JobGraph, Failure> {
    let env = Environment::new(name);
    env.set_parallelism(options.workers()).set_bounded(options.bounded).set_data_dir(&options.data_dir);
    if let Some(max) = options.max_parallelism {
        env.set_max_parallelism(max);
    }
    // Nothing runs yet: what is wrong here is wrong with the options.
    let usage = |e: hurtig_engine::Error| match e {
        e @ (hurtig_engine::Error::Config(_) | hurtig_engine::Error::Graph(_)) => Failure::usage(e.to_string()),
        e => e.into(),
    };
    build(&env).map_err(|e| e.downcast::<hurtig_engine::Error>().map_or_else(Failure::from, usage))?;
    if !env.has_dead_letters() {
        // Nothing is dropped in silence, also where the job's author has not thought of it.
        env.dead_letters_to(dead_letters_to(options.in_data_dir("dead-letters")));
    }
    let graph = env.graph().map_err(usage)?;
    if options.bounded && !graph.is_bounded() {
        return Err(Failure::usage(format!("--bounded: a source of the job '{name}' has no end, whatever it is told")));
    }
    Ok(graph)
}

/// One job under way.
struct Run {
    job: JobHandle,
    config: JobConfig,
    signals: Signals,
    output: Output,
    progress: Progress,
    /// Whether it was said what the job began from.
    announced: bool,
    /// How many signals have been acted upon.
    asked: usize,
}

impl Run {
    fn say_where(&self, options: &RunOptions, served: &Served, open: &[(&str, String)]) {
        let data_dir = absolute(&options.data_dir);
        let rest = served.url();
        let workers = options.workers();
        let text = format!(
            "{}  job {}\n  REST       {}{}\n  data       {}\n  workers    {workers}",
            self.job.name(),
            self.job.id(),
            rest.as_deref().unwrap_or("off"),
            open.iter().map(|(name, url)| format!("\n  {name:<10} {url}")).collect::<String>(),
            data_dir.display()
        );
        let mut fields = json!({
            "job": self.job.name(),
            "id": self.job.id(),
            "rest": rest,
            "data_dir": data_dir,
            "parallelism": workers,
        });
        for (name, url) in open {
            fields[*name] = json!(url);
        }
        self.output.say(&text, "started", fields);
    }

    /// Says once what the job began from, as soon as that is known.
    fn announce(&mut self, runtime: &Runtime) {
        let status = self.job.status();
        if self.announced || matches!(status.state, JobState::Created | JobState::Initializing) {
            return;
        }
        self.announced = true;
        self.progress.begin(status.start_time, self.read_before(&status, runtime));
        let text = match (&status.restored_from, &self.config.restore) {
            (Some((id, path)), _) => format!("  restored   from checkpoint {id} at {path}"),
            (None, Restore::Latest) => "  restored   nothing: there is no checkpoint yet, starting fresh".to_owned(),
            (None, _) => "  state      starting fresh".to_owned(),
        };
        let restored = status.restored_from.map(|(id, path)| json!({ "checkpoint": id, "path": path }));
        self.output.say(&text, "restored", json!({ "from": restored }));
    }

    /// What the sources had read when the checkpoint was taken that the job began from.
    fn read_before(&self, status: &JobStatus, runtime: &Runtime) -> u64 {
        let Some((_, path)) = &status.restored_from else { return 0 };
        // It could be read a moment ago, when the job began from it.
        let Ok(point) = runtime.block_on(RestorePoint::open(path)) else { return 0 };
        let counters = point.manifest.counters();
        let sources = self.job.graph().vertices.iter().filter(|v| v.is_source());
        sources.filter_map(|v| counters.get(v.uid())?.get("task_records_in")).sum()
    }

    fn watch(&mut self, runtime: &Runtime, extras: &Extras<'_>) -> Result<JobResult, hurtig_engine::Error> {
        let mut restarts = 0;
        loop {
            let ended = self.job.wait_timeout(TICK)?;
            self.announce(runtime);
            let now = self.config.clock.now_ms();
            let figures = self.progress.read(&self.job, now);
            if figures.restarts > restarts {
                restarts = figures.restarts;
                self.say_failure();
            }
            if let Some(ended) = ended {
                return Ok(ended);
            }
            self.output.progress(&figures, extras.progress, now);
            self.obey_signals();
        }
    }

    /// A failure that the job recovers from is said nevertheless.
    fn say_failure(&self) {
        if let Some(e) = self.job.status().exceptions.last() {
            let reason = e.message.lines().next().unwrap_or_default();
            let fields = json!({ "task": e.task, "reason": reason, "timestamp": e.timestamp });
            self.output.say(&format!("restarting: {reason}"), "restarting", fields);
        }
    }

    fn obey_signals(&mut self) {
        let number = self.signals.number();
        if number == self.asked {
            return;
        }
        let first = self.asked == 0;
        self.asked = number;
        if first && number == 1 {
            let text = "stopping after a last checkpoint; once more ends it at once";
            self.output.say(text, "stopping", json!({}));
            let job = self.job.clone();
            // The answer may take a while, and a second signal must not wait for it.
            std::thread::spawn(move || {
                if let Err(e) = job.checkpoint() {
                    tracing::warn!("no last checkpoint: {e}");
                }
                let _ = job.cancel();
            });
        } else {
            self.output.say("ending at once", "cancelling", json!({}));
            // It may be over already.
            let _ = self.job.cancel();
        }
    }

    fn end(
        mut self,
        result: Result<JobResult, hurtig_engine::Error>,
        extras: &Extras<'_>,
    ) -> Result<ExitCode, Failure> {
        let now = self.config.clock.now_ms();
        let figures = self.progress.read(&self.job, now);
        let status = self.job.status();
        let notes = (extras.notes)(&status);
        let summary = Summary {
            job: self.job.name(),
            status: &status,
            figures: &figures,
            progress: &self.progress,
            notes: &notes,
        };
        let mut fields = summary.json(now);
        if let Err(e) = &result {
            fields["error"] = json!(e.to_string());
        }
        let canceled = status.state == JobState::Canceled;
        if canceled {
            fields["go_on"] = json!("--from latest");
        }
        self.output.result(&summary.text(now), "finished", fields);
        result?;
        if canceled {
            self.output.hint("go on with the same command and --from latest");
            return Ok(ExitCode::from(self.signals.exit_code()));
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The REST server and the files by which the job is found.
struct Served {
    server: Option<(RestServer, Registration)>,
}

impl Served {
    fn begin(job: &JobHandle, config: &JobConfig, options: &RunOptions, runtime: &Runtime) -> Result<Self, Failure> {
        let Some(port) = options.rest_port.0 else { return Ok(Served { server: None }) };
        let jobs = Jobs::new();
        jobs.add(job.clone(), config.clone());
        let server = rest::serve(jobs, SocketAddr::from((Ipv4Addr::LOCALHOST, port)), runtime.handle());
        let server = match server {
            Ok(server) => server,
            Err(e) => {
                let _ = job.cancel();
                return Err(e.into());
            }
        };
        let registration = registry::register(&Entry {
            id: job.id().to_owned(),
            name: job.name().to_owned(),
            pid: std::process::id(),
            url: format!("http://{}", server.local_addr()),
            data_dir: absolute(&options.data_dir),
        });
        Ok(Served { server: Some((server, registration)) })
    }

    fn url(&self) -> Option<String> {
        self.server.as_ref().map(|(server, _)| format!("http://{}", server.local_addr()))
    }

    fn end(self) {
        if let Some((server, registration)) = self.server {
            drop(registration);
            server.shutdown();
        }
    }
}

/// Whoever forgets `--from latest` should hear of it before the output is there twice.
fn warn_of_fresh_start(runtime: &Runtime, output: &Output, options: &RunOptions, config: &JobConfig, name: &str) {
    if config.restore != Restore::Fresh {
        return;
    }
    let ids = CheckpointStorage::open(&options.checkpoint_location(), name)
        .and_then(|storage| runtime.block_on(storage.list_manifests()));
    // What is wrong with the place is said when the job begins there.
    if let Ok([.., latest]) = ids.as_deref() {
        let text =
            format!("starting fresh beside checkpoint {latest} of an earlier run: --from latest goes on from it");
        output.say(&text, "warning", json!({ "latest_checkpoint": latest }));
    }
}

fn absolute(path: &Path) -> std::path::PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// `HURTIG_LOG` says what is logged, as `RUST_LOG` elsewhere.
pub(super) fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("HURTIG_LOG")
        // What the log's library says of a commit that fails is said by whoever has asked for it.
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,deltalake_core=off,buoyant_kernel=off"));
    // A job's own binary may have its own.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .without_time()
        .with_target(false)
        .try_init();
}

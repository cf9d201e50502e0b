//! Options from four places: defaults < file < `HURTIG_…` variables < command line.
//!
//! The layers are put below clap instead of beside it: a value of the file becomes the option's
//! default, a variable its environment variable. So every option of every job has them, the
//! checks and the messages are clap's, and `--help` shows what is in force.
//!
//! A file is TOML or JSON. Options are named as on the command line; `-`, `_` and upper case do
//! not matter. A section with the job's name holds options of that job alone, sections of the
//! binary's other jobs are passed over. The properties of the original job on AWS are understood
//! too: an object or list with a group `FlinkApplicationProperties`.
//!
//! What a lower layer has switched on, `--bounded=false` switches off again.
//!
//! ```toml
//! parallelism = 2
//! checkpoint-interval = "30s"
//! [smart-meters]
//! source = "file:readings"
//! ```

use std::{
    collections::BTreeMap,
    ffi::OsString,
    path::{Path, PathBuf},
};

use clap::{Arg, ArgAction, Command, builder::BoolishValueParser};
use figment::{
    Figment,
    providers::{Format, Json, Toml},
    value::{Dict, Value},
};

use super::Failure;

/// The group of properties that a Flink application on AWS gets.
const AWS_GROUP: &str = "FlinkApplicationProperties";

/// The file that the command line or the environment names.
pub fn config_file(argv: &[OsString]) -> Option<PathBuf> {
    let mut args = argv.iter();
    while let Some(arg) = args.next() {
        if arg == "--config" {
            return args.next().map(PathBuf::from);
        }
        if let Some(path) = arg.to_str().and_then(|a| a.strip_prefix("--config=")) {
            return Some(path.into());
        }
    }
    std::env::var_os("HURTIG_CONFIG").map(PathBuf::from)
}

/// Puts file and environment below the options of `command`, which runs the job `job`. The file may
/// have sections for all `jobs` of this binary.
pub fn put_below(command: Command, job: &str, jobs: &[&str], file: Option<&Path>) -> Result<Command, Failure> {
    let mut values = match file {
        Some(file) => Values::read(file, job, jobs)?,
        None => Values::default(),
    };
    let command = command.mut_args(|arg| {
        let Some(name) = arg.get_long().map(str::to_owned) else { return arg };
        if matches!(arg.get_action(), ArgAction::Help | ArgAction::Version) {
            return arg;
        }
        let variable = format!("HURTIG_{}", name.replace('-', "_").to_uppercase());
        // Clap wants names and defaults for ever; the process parses its command line once.
        let arg = switchable(arg).env(leak(variable)).hide_env(true);
        match values.take(&name) {
            Some(value) => with_default(arg, value),
            None => arg,
        }
    });
    values.nothing_is_left(&command)?;
    Ok(command)
}

/// What a file says, by simplified name.
#[derive(Debug, Default)]
struct Values {
    file: PathBuf,
    options: BTreeMap<String, (String, Vec<String>)>,
}

impl Values {
    fn read(file: &Path, job: &str, jobs: &[&str]) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(file)
            .map_err(|e| Failure::usage(format!("the configuration {} cannot be read: {e}", file.display())))?;
        let unreadable =
            |e: String| Failure::usage(format!("the configuration {} cannot be read: {e}", file.display()));
        let is_json = file.extension().is_some_and(|e| e.eq_ignore_ascii_case("json"));
        let figment = match (is_json, text.trim_start().starts_with('[')) {
            // A list of groups, as the service on AWS hands it to a job.
            (true, true) => Figment::from(Json::string(&format!("{{\"groups\":{text}}}"))),
            (true, false) => Figment::from(Json::string(&text)),
            (false, _) => Figment::from(Toml::string(&text)),
        };
        let top: Dict = figment.extract().map_err(|e| unreadable(one_line(&e.to_string())))?;
        let mut values = Values { file: file.to_owned(), options: BTreeMap::new() };
        let mut sections = Vec::new();
        // Where there is one group of properties, there may be others, which are the service's.
        let of_aws = top.contains_key(AWS_GROUP);
        for (name, value) in top {
            match value {
                Value::Dict(_, section) if simple(&name) == simple(job) => sections.push((section, true)),
                Value::Dict(_, section) if name == AWS_GROUP => sections.push((section, false)),
                Value::Dict(..) if of_aws || jobs.iter().any(|j| simple(j) == simple(&name)) => {}
                Value::Dict(..) => {
                    return Err(Failure::usage(format!(
                        "the configuration {} has a section '{name}' that is no job's: there are {}, and {AWS_GROUP}",
                        file.display(),
                        jobs.join(", ")
                    )));
                }
                Value::Array(_, groups) if name == "groups" => {
                    sections.extend(groups.into_iter().filter_map(aws_group).map(|group| (group, false)));
                }
                value => values.insert(name, value),
            }
        }
        // What is said for this job alone goes before what is said for all.
        for (section, strict) in sections {
            for (name, value) in section {
                if strict {
                    values.insert(name, value);
                } else {
                    values.insert(format!("{AWS_GROUP}.{name}"), value);
                }
            }
        }
        Ok(values)
    }

    fn insert(&mut self, name: String, value: Value) {
        let key = simple(name.rsplit('.').next().unwrap_or(&name));
        self.options.insert(key, (name, texts(&value)));
    }

    fn take(&mut self, option: &str) -> Option<Vec<String>> {
        self.options.remove(&simple(option)).map(|(_, values)| values)
    }

    /// A misspelt option must not be passed over in silence.
    fn nothing_is_left(&self, command: &Command) -> Result<(), Failure> {
        // The original job has more properties than ours needs.
        let Some((name, _)) = self.options.values().find(|(name, _)| !name.starts_with(AWS_GROUP)) else {
            return Ok(());
        };
        let known = command.get_arguments().filter_map(Arg::get_long).collect::<Vec<_>>().join(", ");
        Err(Failure::usage(format!(
            "the configuration {} has an option '{name}' that this job does not know: it knows {known}",
            self.file.display()
        )))
    }
}

/// `{"PropertyGroupId": "FlinkApplicationProperties", "PropertyMap": {…}}`
fn aws_group(group: Value) -> Option<Dict> {
    let mut group = group.into_dict()?;
    if group.get("PropertyGroupId")?.as_str() != Some(AWS_GROUP) {
        return None;
    }
    group.remove("PropertyMap")?.into_dict()
}

fn with_default(arg: Arg, values: Vec<String>) -> Arg {
    let values: Vec<&'static str> = values.into_iter().map(leak).collect();
    // A default that was there already is replaced; so is "required".
    arg.required(false).default_values(values)
}

/// A flag that can be given a value: without one it is on, as ever.
fn switchable(arg: Arg) -> Arg {
    if !matches!(arg.get_action(), ArgAction::SetTrue) {
        return arg;
    }
    arg.action(ArgAction::Set)
        .value_parser(BoolishValueParser::new())
        .value_name("BOOL")
        .num_args(0..=1)
        .require_equals(true)
        .default_value("false")
        .default_missing_value("true")
        .hide_default_value(true)
        .hide_possible_values(true)
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::String(_, text) => vec![text.clone()],
        Value::Char(_, c) => vec![c.to_string()],
        Value::Bool(_, b) => vec![b.to_string()],
        Value::Num(_, n) => {
            let integer = n.to_i128().map(|n| n.to_string()).or_else(|| n.to_u128().map(|n| n.to_string()));
            vec![integer.or_else(|| n.to_f64().map(|n| n.to_string())).unwrap_or_default()]
        }
        Value::Array(_, values) => values.iter().flat_map(texts).collect(),
        Value::Empty(..) | Value::Dict(..) => Vec::new(),
    }
}

/// `checkpoint-interval`, `checkpoint_interval` and `CheckpointInterval` are one.
fn simple(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn leak(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use clap::{Args, FromArgMatches};

    use super::*;
    use crate::cli::options::RunOptions;

    #[derive(Debug, Args)]
    struct Line {
        #[command(flatten)]
        run: RunOptions,
        #[arg(long = "InputStreamName")]
        stream: Option<String>,
    }

    const JOBS: &[&str] = &["smart-meters", "other-job"];

    fn parse(file: Option<(&str, &str)>, argv: &[&str]) -> Result<Line, String> {
        let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
        let path = file.map(|(name, text)| {
            let path = dir.path().join(name);
            std::fs::File::create(&path).and_then(|mut f| f.write_all(text.as_bytes())).map(|()| path)
        });
        let path = path.transpose().map_err(|e| e.to_string())?;
        let command = put_below(Line::augment_args(Command::new("job")), "smart-meters", JOBS, path.as_deref());
        let command = command.map_err(|e| e.to_string())?;
        let matches = command.try_get_matches_from(argv).map_err(|e| e.to_string())?;
        Line::from_arg_matches(&matches).map_err(|e| e.to_string())
    }

    #[test]
    fn a_file_is_below_the_command_line() -> Result<(), String> {
        let toml = "parallelism = 3\ncheckpoint_interval = '30s'\nbounded = true\n[smart-meters]\nInputStreamName = 'meters'\n[other-job]\nx = 1\n";
        let line = parse(Some(("a.toml", toml)), &["job", "--parallelism", "2"])?;
        assert_eq!((line.run.parallelism, line.run.bounded, line.stream.as_deref()), (Some(2), true, Some("meters")));
        assert_eq!(line.run.checkpoint_interval.0, Some(std::time::Duration::from_secs(30)));
        let line = parse(None, &["job"])?;
        assert_eq!((line.run.parallelism, line.run.bounded), (None, false));
        Ok(())
    }

    #[test]
    fn a_flag_can_be_switched_off_again() -> Result<(), String> {
        let toml = Some(("a.toml", "bounded = true"));
        for (argv, bounded) in [
            (&["job"][..], true),
            (&["job", "--bounded=false"], false),
            (&["job", "--bounded=no"], false),
            (&["job", "--bounded"], true),
        ] {
            assert_eq!(parse(toml, argv)?.run.bounded, bounded, "{argv:?}");
        }
        // A flag without a value takes no word that follows.
        assert_eq!(parse(None, &["job", "--bounded", "--parallelism", "2"])?.run.parallelism, Some(2));
        assert!(parse(None, &["job", "--bounded", "false"]).is_err());
        Ok(())
    }

    #[test]
    fn the_properties_of_the_job_on_aws_are_understood() -> Result<(), String> {
        let list = r#"[{"PropertyGroupId": "other", "PropertyMap": {"InputStreamName": "no"}},
            {"PropertyGroupId": "FlinkApplicationProperties", "PropertyMap": {"InputStreamName": "meters", "SHARD_GETRECORDS_MAX": "1"}}]"#;
        assert_eq!(parse(Some(("p.json", list)), &["job"])?.stream.as_deref(), Some("meters"));
        let object = r#"{"FlinkApplicationProperties": {"InputStreamName": "meters"}, "parallelism": 4}"#;
        let line = parse(Some(("p.json", object)), &["job"])?;
        assert_eq!((line.stream.as_deref(), line.run.parallelism), (Some("meters"), Some(4)));
        Ok(())
    }

    #[test]
    fn mistakes_are_one_clear_line() {
        let wrong = |file, words: &str| {
            let error = parse(Some(file), &["job"]).err().unwrap_or_default();
            assert!(error.contains(words), "{error}");
        };
        wrong(("a.toml", "paralelism = 3"), "'paralelism' that this job does not know");
        wrong(
            ("a.toml", "[smart-meter]\nparallelism = 3"),
            "section 'smart-meter' that is no job's: there are smart-meters,",
        );
        wrong(("a.toml", "parallelism = "), "cannot be read");
        wrong(("a.json", "{"), "cannot be read");
        wrong(("a.toml", "parallelism = 'many'"), "invalid value 'many' for '--parallelism");
    }

    #[test]
    fn the_file_is_found_before_anything_is_parsed() {
        let argv = |args: &[&str]| args.iter().map(OsString::from).collect::<Vec<_>>();
        assert_eq!(config_file(&argv(&["hurtig", "run", "--config", "a.toml"])), Some("a.toml".into()));
        assert_eq!(config_file(&argv(&["hurtig", "--config=b.json"])), Some("b.json".into()));
    }
}

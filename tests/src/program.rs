//! The binary `hurtig`, built and run as its users do.
//!
//! [`hurtig`] finds it beside the running test, after cargo has had a look whether it is up to
//! date: a test must never pass because of yesterday's binary. `HURTIG_BIN` names another one.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{OnceLock, mpsc},
    time::Duration,
};

use anyhow::{Context, Result, bail};

/// Longer than anything here takes on the slowest machine: whatever still runs then hangs.
const PATIENCE: Duration = Duration::from_secs(600);

/// Where the binary is.
pub fn hurtig() -> Result<&'static Path> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match FOUND.get_or_init(|| find().map_err(|e| format!("{e:#}"))) {
        Ok(path) => Ok(path),
        Err(e) => bail!("{e}"),
    }
}

fn find() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("HURTIG_BIN") {
        return Ok(path.into());
    }
    let this = std::env::current_exe()?;
    let beside = this.parent().context("this program is nowhere")?;
    // Tests lie in `deps`, one further down.
    let profile = if beside.ends_with("deps") { beside.parent().unwrap_or(beside) } else { beside };
    if let Some(cargo) = std::env::var_os("CARGO") {
        build(&cargo, profile)?;
    }
    let path = profile.join(format!("hurtig{}", std::env::consts::EXE_SUFFIX));
    if !path.exists() {
        bail!("{} is missing: build it with `make build`, or name it in HURTIG_BIN", path.display());
    }
    Ok(path)
}

/// Builds it as `make` does: with the features of everything, so that nothing is compiled twice.
fn build(cargo: &OsStr, profile: &Path) -> Result<()> {
    let target = profile.parent().context("the target directory is nowhere")?;
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--workspace", "--all-features", "--bin", "hurtig", "--target-dir"]).arg(target);
    if profile.ends_with("release") {
        command.arg("--release");
    }
    command.current_dir(workspace());
    // What cargo tells a test about its own package is no news for a build, but build scripts that
    // look at it would run again, and with them half of all dependencies.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if ["CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_BIN_", "CARGO_CRATE_"].iter().any(|own| name.starts_with(own)) {
            command.env_remove(&*name);
        }
    }
    let output = command.stdin(Stdio::null()).output().context("cargo cannot be run")?;
    if !output.status.success() {
        bail!("hurtig does not build:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

/// The root of the repository that this was built from.
pub fn workspace() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests)
}

/// The real meters' files.
pub fn real_meters() -> PathBuf {
    workspace().join("tests/data/meters")
}

/// A command that runs `hurtig`, untouched by settings of whoever runs the tests.
pub fn command<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Result<Command> {
    let mut command = Command::new(hurtig()?);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("HURTIG_")) {
        command.env_remove(name);
    }
    command.args(arguments).stdin(Stdio::null());
    Ok(command)
}

/// What a command that has ended said.
#[derive(Debug)]
pub struct Said {
    /// Its exit code; `None`: a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Said { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Said {
    /// The objects of `--json`, one a line.
    pub fn events(&self) -> impl Iterator<Item = serde_json::Value> {
        self.out.lines().filter_map(|line| serde_json::from_str(line).ok())
    }

    /// The last object with `"event": name`.
    pub fn event(&self, name: &str) -> Option<serde_json::Value> {
        self.events().filter(|e| e["event"] == name).last()
    }
}

/// Runs a command to its end, whatever that is; one that does not come to it is killed and an error.
pub fn finish(command: &mut Command) -> Result<Said> {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let pid = i32::try_from(child.id())?;
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || done.send(child.wait_with_output()));
    match ended.recv_timeout(PATIENCE) {
        Ok(output) => Ok(output?.into()),
        Err(_) => {
            // SAFETY: sends a signal to a child that nobody has waited for: its number is still its own.
            unsafe { libc::kill(pid, libc::SIGKILL) };
            let said: Said = ended.recv()??.into();
            bail!("{command:?} had not ended after {} s\n{}\n{}", PATIENCE.as_secs(), said.out, said.err)
        }
    }
}

/// Runs `hurtig` to its end, whatever that is.
pub fn run<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Result<Said> {
    finish(&mut command(arguments)?)
}

/// Runs `hurtig` to its end, which must be a good one.
pub fn run_well<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Result<Said> {
    let said = run(arguments)?;
    if said.code != Some(0) {
        bail!("hurtig ended with {:?}\n{}\n{}", said.code, said.out, said.err);
    }
    Ok(said)
}

/// What a query answers, as CSV without its header.
pub fn query(data_dir: &Path, sql: &str) -> Result<Vec<String>> {
    let dir = data_dir.as_os_str();
    let said =
        run_well(["query".as_ref(), "--data-dir".as_ref(), dir, "--format".as_ref(), "csv".as_ref(), sql.as_ref()])?;
    Ok(said.out.lines().skip(1).map(str::to_owned).collect())
}

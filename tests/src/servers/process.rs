//! One server's process: started, waited for, stopped, killed, started again.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Mutex, OnceLock, PoisonError, mpsc},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use tempfile::TempDir;

/// No server takes longer to answer, on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// One that does not heed SIGTERM for so long is killed.
const GRACE: Duration = Duration::from_secs(20);
/// How often is looked whether it answers, or has ended.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How a server's command is made, every time that it is started.
pub type MakeCommand = Box<dyn Fn() -> Command + Send + Sync>;
/// Whether a server answers.
pub type Healthy = Box<dyn Fn() -> bool + Send + Sync>;

/// A server that dies with this, and on Linux also with the process that has started it.
pub struct ServerProcess {
    name: &'static str,
    command: MakeCommand,
    healthy: Healthy,
    child: Option<Child>,
    dir: TempDir,
}

impl ServerProcess {
    /// A directory for a server's data and log.
    pub fn directory(name: &str) -> Result<TempDir> {
        Ok(tempfile::Builder::new().prefix(&format!("hurtig-{name}-")).tempdir()?)
    }

    /// Starts `command` in `dir` and waits until it is `healthy`.
    pub fn start(name: &'static str, dir: TempDir, command: MakeCommand, healthy: Healthy) -> Result<Self> {
        let mut process = ServerProcess { name, command, healthy, child: None, dir };
        process.start_again()?;
        Ok(process)
    }

    /// Starts it again, after [`stop`](Self::stop) or [`kill9`](Self::kill9), and waits until it answers.
    #[allow(clippy::disallowed_methods, reason = "a driver: other processes live by the wall clock")]
    pub fn start_again(&mut self) -> Result<()> {
        if self.child.is_some() {
            bail!("{} runs already", self.name);
        }
        let log = || -> io::Result<File> { OpenOptions::new().create(true).append(true).open(self.log()) };
        let mut command = (self.command)();
        command.stdin(Stdio::null()).stdout(log()?).stderr(log()?).current_dir(self.dir.path());
        let mut child = spawn(command).with_context(|| format!("{} cannot be started", self.name))?;
        let start = Instant::now();
        let failed = loop {
            if let Some(status) = child.try_wait()? {
                break format!("has ended with {status}");
            }
            if (self.healthy)() {
                self.child = Some(child);
                return Ok(());
            }
            if start.elapsed() > PATIENCE {
                break format!("has not answered for {} s", PATIENCE.as_secs());
            }
            std::thread::sleep(LOOK_EVERY);
        };
        end(child);
        bail!("{} {failed}; its log is:\n{}", self.name, self.logged())
    }

    /// Asks it to end, and waits for it.
    #[allow(clippy::disallowed_methods, reason = "a driver: other processes live by the wall clock")]
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        signal(&child, libc::SIGTERM);
        let start = Instant::now();
        while matches!(child.try_wait(), Ok(None)) && start.elapsed() < GRACE {
            std::thread::sleep(LOOK_EVERY);
        }
        end(child);
    }

    /// Kills it with SIGKILL: what it had not written is lost.
    pub fn kill9(&mut self) {
        if let Some(child) = self.child.take() {
            end(child);
        }
    }

    /// Halts it where it is: it takes connections and does not answer.
    pub fn pause(&self) {
        self.child.iter().for_each(|child| signal(child, libc::SIGSTOP));
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.child.iter().for_each(|child| signal(child, libc::SIGCONT));
    }

    fn log(&self) -> PathBuf {
        self.dir.path().join("server.log")
    }

    /// The end of what it has logged.
    pub fn logged(&self) -> String {
        let bytes = std::fs::read(self.log()).unwrap_or_default();
        String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(4_000)..]).into_owned()
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.kill9();
    }
}

fn signal(child: &Child, signal: i32) {
    if let Ok(pid) = i32::try_from(child.id()) {
        // SAFETY: a signal to a child that nobody has waited for: its number is still its own.
        unsafe { libc::kill(pid, signal) };
    }
}

fn end(mut child: Child) {
    // It may have ended by itself.
    let _ = child.kill();
    let _ = child.wait();
}

/// A command and where its child is to be sent.
type Order = (Command, mpsc::Sender<io::Result<Child>>);

/// Starts a child that the kernel kills when this process ends, however that ends.
///
/// The kernel does it when the *thread* ends that has started the child, and a server may be passed
/// on by the test that has started it: so one thread starts all of them and lives as long as the process.
fn spawn(mut command: Command) -> Result<Child> {
    static STARTER: OnceLock<Mutex<mpsc::Sender<Order>>> = OnceLock::new();
    let starter = STARTER.get_or_init(|| {
        let (orders, ordered) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, answer) in ordered {
                // Whoever has asked may have given up.
                let _ = answer.send(command.spawn());
            }
        });
        Mutex::new(orders)
    });
    // SAFETY: the closure allocates nothing and takes no lock.
    unsafe { command.pre_exec(die_with_parent) };
    let (answer, answered) = mpsc::channel();
    let sent = starter.lock().unwrap_or_else(PoisonError::into_inner).send((command, answer));
    sent.map_err(|_| anyhow!("the thread that starts servers has ended"))?;
    Ok(answered.recv()??)
}

fn die_with_parent() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    // SAFETY: async-signal-safe, and concerns this process alone.
    if unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Whether a server answers an HTTP request with 200.
pub fn answers(port: u16, request: &str) -> bool {
    let ask = || -> io::Result<bool> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(request.as_bytes())?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        Ok(&answer[8..] == b" 200")
    };
    ask().unwrap_or(false)
}

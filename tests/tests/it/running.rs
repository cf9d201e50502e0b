//! The binary while it runs: what it says is waited for, never for ever, and it is never left behind.

use std::{
    io::{BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use hurtig_tests::program::Said;

/// Longer than anything here takes on the slowest machine.
const PATIENCE: Duration = Duration::from_secs(180);
/// How often is looked at what no event tells.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A process, and what it says.
pub struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
    said: Option<[JoinHandle<String>; 2]>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    /// Starts it such that a file that may not grow is an error of the write, as on a full disk, and
    /// not a signal.
    pub fn start(command: &mut Command) -> Self {
        let ignore = || {
            // SAFETY: async-signal-safe, and no handler is installed.
            unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
            Ok(())
        };
        // SAFETY: the closure allocates nothing and takes no lock.
        unsafe { command.pre_exec(ignore) };
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let (tell, lines) = mpsc::channel();
        let out = read(child.stdout.take().expect("its output"), tell.clone());
        let err = read(child.stderr.take().expect("its errors"), tell);
        Running { child, lines, said: Some([out, err]) }
    }

    /// From now on no file of it may grow beyond this; `None`: there is room again.
    pub fn limit_files(&self, bytes: Option<u64>) {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: `limit` is a valid place to write to, and nothing is changed.
        let asked = unsafe { libc::prlimit(pid, libc::RLIMIT_FSIZE, std::ptr::null(), &mut limit) };
        assert_eq!(asked, 0, "{}", std::io::Error::last_os_error());
        // What is asked for can be taken back only as long as the hard limit stays.
        limit.rlim_cur = bytes.unwrap_or(limit.rlim_max);
        // SAFETY: `limit` is valid, and nothing is to be written.
        let set = unsafe { libc::prlimit(pid, libc::RLIMIT_FSIZE, &limit, std::ptr::null_mut()) };
        assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: i32) {
        let pid = i32::try_from(self.child.id()).expect("a process id");
        // SAFETY: sends a signal to a child that was not waited for yet; there is no other effect.
        assert_eq!(unsafe { libc::kill(pid, signal) }, 0, "{}", std::io::Error::last_os_error());
    }

    /// Waits until something is so that no event tells.
    #[allow(clippy::disallowed_methods, reason = "a driver: other processes live by the wall clock")]
    pub fn until(&mut self, what: &str, mut so: impl FnMut() -> bool) {
        let start = Instant::now();
        while !so() {
            let ended = self.child.try_wait().expect("a child");
            assert!(ended.is_none(), "waiting for {what}: it has ended with {ended:?}: {:?}", self.end());
            assert!(start.elapsed() < PATIENCE, "waiting for {what}");
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Waits for a line with these words in it.
    #[allow(clippy::disallowed_methods, reason = "a driver: other processes live by the wall clock")]
    pub fn until_said(&mut self, words: &str) -> String {
        let start = Instant::now();
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            match line {
                Ok(line) if line.contains(words) => return line,
                Ok(_) if start.elapsed() < PATIENCE => {}
                _ => {
                    let _ = self.child.kill();
                    panic!("'{words}' was not said: {:?}", self.end());
                }
            }
        }
    }

    /// Waits for its end; one that does not come to it is killed.
    #[allow(clippy::disallowed_methods, reason = "a driver: other processes live by the wall clock")]
    pub fn end(&mut self) -> Said {
        let start = Instant::now();
        // Both of its outputs are closed when it has ended.
        while self.lines.recv_timeout(PATIENCE) != Err(mpsc::RecvTimeoutError::Disconnected) {
            if start.elapsed() > PATIENCE {
                let _ = self.child.kill();
            }
        }
        let code = self.child.wait().expect("it ends").code();
        let [out, err] = self.said.take().expect("it ends once").map(|said| said.join().expect("text"));
        Said { code, out, err }
    }
}

/// Reads all that comes, and tells each line.
fn read(from: impl Read + Send + 'static, tell: mpsc::Sender<String>) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut all = String::new();
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            all.push_str(&line);
            all.push('\n');
            // Nobody may be listening any more.
            let _ = tell.send(line);
        }
        all
    })
}

//! Ctrl-C and SIGTERM, counted: the first asks a job to end well, the second to end at once.

use std::sync::{
    Arc,
    atomic::{AtomicI32, AtomicUsize, Ordering::Relaxed},
};

use tokio::runtime::Handle;

/// The signals so far. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Signals(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    number: AtomicUsize,
    last: AtomicI32,
    came: tokio::sync::Notify,
}

/// What the shell shows for a process that ended on such a signal.
const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;

impl Signals {
    /// Begins to listen. From now on no signal ends the process by itself, but the third.
    pub fn listen(runtime: &Handle) -> Self {
        let signals = Signals::default();
        let interrupts = signals.clone();
        runtime.spawn(async move {
            while tokio::signal::ctrl_c().await.is_ok() {
                interrupts.count(SIGINT);
            }
        });
        #[cfg(unix)]
        {
            let terminations = signals.clone();
            runtime.spawn(async move {
                use tokio::signal::unix::{SignalKind, signal};
                let Ok(mut stream) = signal(SignalKind::terminate()) else { return };
                while stream.recv().await.is_some() {
                    terminations.count(SIGTERM);
                }
            });
        }
        signals
    }

    /// How many there were.
    pub fn number(&self) -> usize {
        self.0.number.load(Relaxed)
    }

    /// Waits for the first.
    #[cfg(feature = "store")]
    pub async fn any(self) {
        loop {
            // Before the look: one that comes in between is not missed.
            let came = self.0.came.notified();
            if self.number() > 0 {
                return;
            }
            came.await;
        }
    }

    /// The exit code for a run that was ended by them: as a shell shows it.
    pub fn exit_code(&self) -> u8 {
        128 + if self.0.last.load(Relaxed) == SIGTERM { SIGTERM as u8 } else { SIGINT as u8 }
    }

    fn count(&self, signal: i32) {
        self.0.last.store(signal, Relaxed);
        let before = self.0.number.fetch_add(1, Relaxed);
        self.0.came.notify_waiters();
        if before >= 2 {
            // Two have not helped: whoever sends a third means it. The checkpoint is the truth.
            std::process::exit(i32::from(self.exit_code()));
        }
    }
}

//! The `hurtig` binary: see `hurtig --help`.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    if let Ok(point) = std::env::var("HURTIG_KILL_AT") {
        die_at(&point);
    }
    hurtig::cli::main()
}

/// The failpoint at which every new checkpoint comes by when its manifest is written.
const NEW_CHECKPOINT: &str = "checkpoint-manifest-written";
/// The failpoint that lies before the first new checkpoint.
const RESTORE: &str = "checkpoint-restore";

/// For the tests that kill a running job: `HURTIG_KILL_AT=sink-commit:2` ends the process as a
/// power cut would, when it comes to that failpoint for the second time since its first new
/// checkpoint. That one comes first, so that a job that is killed again and again gets on; only a
/// restore is too early to wait for it.
fn die_at(point: &str) {
    let (name, visit) = point.rsplit_once(':').unwrap_or((point, "1"));
    let left = AtomicU64::new(visit.parse().unwrap_or(1));
    let armed = Arc::new(AtomicBool::new(name == RESTORE));
    let arms = armed.clone();
    let visited = move || {
        if armed.load(SeqCst) && left.fetch_sub(1, SeqCst) == 1 {
            die();
        }
    };
    let set = if name == NEW_CHECKPOINT {
        fail::cfg_callback(name, move || {
            visited();
            arms.store(true, SeqCst);
        })
    } else {
        let arm = fail::cfg_callback(NEW_CHECKPOINT, move || arms.store(true, SeqCst));
        arm.and_then(|()| fail::cfg_callback(name, visited))
    };
    if let Err(e) = set {
        eprintln!("HURTIG_KILL_AT={point}: {e}");
    }
}

/// At once, and without a word: no destructor, no buffer, no handler.
fn die() -> ! {
    // SAFETY: sends a signal to this process; there is no other effect.
    unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
    // Until it has arrived.
    loop {
        std::thread::park();
    }
}

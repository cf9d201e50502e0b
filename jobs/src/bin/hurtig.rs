//! The `hurtig` binary: see `hurtig --help`.

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    if let Ok(point) = std::env::var("HURTIG_KILL_AT") {
        die_at(&point);
    }
    hurtig::cli::main()
}

/// For the tests that kill a running job: `HURTIG_KILL_AT=sink-commit:2` ends the process as a
/// power cut would, when it comes to that failpoint for the second time.
fn die_at(point: &str) {
    let (name, left) = point.rsplit_once(':').unwrap_or((point, "1"));
    let left = std::sync::atomic::AtomicU64::new(left.parse().unwrap_or(1));
    let armed = fail::cfg_callback(name, move || {
        if left.fetch_sub(1, std::sync::atomic::Ordering::SeqCst) == 1 {
            std::process::abort();
        }
    });
    if let Err(e) = armed {
        eprintln!("HURTIG_KILL_AT={point}: {e}");
    }
}

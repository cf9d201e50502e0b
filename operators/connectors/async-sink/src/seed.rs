//! What is random in a sink is the same in every run of the same attempt.

use hurtig_engine::sink::WriterContext;

/// A number of a writer's uid, subtask and attempt (FNV-1a): of the jitter between attempts, for instance.
pub fn seed(ctx: &WriterContext) -> u64 {
    let subtask = ctx.subtask.to_string();
    let bytes = [&ctx.uid, &subtask, &ctx.attempt].into_iter().flat_map(|word| word.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}

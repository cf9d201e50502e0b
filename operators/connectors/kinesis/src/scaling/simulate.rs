//! The same load on a fixed stream, under the autoscaler, and on-demand.
//!
//! Second by second: what a shard is offered is its share of the keys, and of the hot keys in its
//! range; what is above its limit is throttled, and waits in the producers until it is taken, so
//! nothing is lost. A change of the shards takes its time, during which the stream goes on as it was.

use super::{Autoscaler, Decision, HashRange, LoadCurve, OnDemand, Policy, ScalingError, ShardLoad, even_ranges};

/// What is simulated.
#[derive(Debug, Clone)]
pub struct Setup {
    /// What is produced.
    pub load: LoadCurve,
    /// Partition keys that stand out: a hash key, and its share of the load, 0 to 1.
    pub hot_keys: Vec<(u128, f64)>,
    /// The shards at the beginning.
    pub shards: usize,
    /// The autoscaler's.
    pub policy: Policy,
    /// How long one step of a change takes: an `UpdateShardCount` of at most twice, a split, an
    /// on-demand stream's doubling. AWS names no figure; a minute is usual.
    pub step_ms: i64,
    /// How often the autoscaler decides.
    pub decide_ms: i64,
}

impl Setup {
    /// The talk's load from 10 shards, at 70 %.
    pub fn talk() -> Self {
        let policy = Policy { min: 10, ..Policy::default() };
        Setup { load: LoadCurve::talk(), hot_keys: Vec::new(), shards: 10, policy, step_ms: 60_000, decide_ms: 10_000 }
    }
}

/// One second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Milliseconds, as the load counts them.
    pub at: i64,
    /// Bytes per second produced.
    pub load: f64,
    /// Bytes per second that all shards take together.
    pub capacity: f64,
    /// Open shards.
    pub shards: usize,
    /// Bytes per second taken.
    pub taken: f64,
    /// Bytes per second of new records above what their shards take: as much has to wait.
    pub throttled: f64,
    /// Bytes that wait in the producers.
    pub backlog: f64,
    /// Bytes per second above what AWS promises an on-demand stream: these may be throttled.
    pub at_risk: f64,
}

/// One policy's run.
#[derive(Debug, Clone)]
pub struct PolicyRun {
    /// What it is called in table and picture.
    pub name: String,
    /// Every second.
    pub samples: Vec<Sample>,
}

impl PolicyRun {
    /// Bytes that were throttled and had to wait.
    pub fn throttled(&self) -> f64 {
        self.samples.iter().map(|s| s.throttled).sum()
    }

    /// Bytes that AWS's rules do not promise to take at once.
    pub fn at_risk(&self) -> f64 {
        self.samples.iter().map(|s| s.at_risk).sum()
    }

    /// The most bytes that ever waited in the producers.
    pub fn worst_backlog(&self) -> f64 {
        self.samples.iter().map(|s| s.backlog).fold(0.0, f64::max)
    }

    /// Shards at the beginning, at their most and at the end.
    pub fn shards(&self) -> (usize, usize, usize) {
        let count = |s: Option<&Sample>| s.map_or(0, |s| s.shards);
        let most = self.samples.iter().map(|s| s.shards).max().unwrap_or(0);
        (count(self.samples.first()), most, count(self.samples.last()))
    }

    /// What a provisioned stream is paid by.
    pub fn shard_hours(&self) -> f64 {
        self.samples.iter().map(|s| s.shards as f64).sum::<f64>() / 3600.0
    }
}

/// All runs over one load.
#[derive(Debug, Clone)]
pub struct Simulation {
    /// Fixed, autoscaler, on-demand.
    pub runs: Vec<PolicyRun>,
}

/// Runs all three.
pub fn simulate(setup: &Setup) -> Result<Simulation, ScalingError> {
    let hot: f64 = setup.hot_keys.iter().map(|(_, share)| *share).sum();
    if !(0.0..=1.0).contains(&hot) || setup.hot_keys.iter().any(|(_, share)| *share < 0.0) {
        return Err(ScalingError::Config("the hot keys' shares are 0 to 1, and not more than 1 together".into()));
    }
    let Some(autoscaler) = Autoscaler::new(setup.policy) else {
        return Err(ScalingError::Config("the target is above 0 and up to 100 %, and min at most max".into()));
    };
    let shards = setup.shards.max(1);
    let fixed = format!("fixed: {shards} shards");
    let scaled = format!("autoscaler: {:.0} % target", setup.policy.target * 100.0);
    let runs = vec![
        run(setup, fixed, Scaling::Fixed),
        run(setup, scaled, Scaling::Auto { scaler: Box::new(autoscaler), pending: None }),
        run(setup, "on-demand".to_owned(), Scaling::OnDemand(OnDemand::new(shards, setup.step_ms))),
    ];
    Ok(Simulation { runs })
}

/// How one run's shards change.
enum Scaling {
    Fixed,
    Auto { scaler: Box<Autoscaler>, pending: Option<(i64, Decision)> },
    OnDemand(OnDemand),
}

const SECOND: i64 = 1000;

fn run(setup: &Setup, name: String, mut scaling: Scaling) -> PolicyRun {
    let mut stream = Stream::new(setup);
    let (from, to) = setup.load.span();
    let mut samples = Vec::new();
    if let Scaling::OnDemand(on_demand) = &mut scaling {
        // A stream that is not new: it has taken the first load for a while.
        on_demand.observe(from - 3_600_000, setup.load.at(from));
    }
    for at in (from..=to).step_by(SECOND as usize) {
        let load = setup.load.at(at);
        let mut at_risk = 0.0;
        match &mut scaling {
            Scaling::Fixed => {}
            Scaling::Auto { pending, .. } => {
                if let Some((_, decision)) = pending.take_if(|(done, _)| *done <= at) {
                    stream.apply(decision);
                }
            }
            Scaling::OnDemand(on_demand) => {
                on_demand.observe(at, load);
                if on_demand.shards() != stream.shards.len() {
                    stream.shards = even_ranges(on_demand.shards());
                }
                at_risk = (load - on_demand.assured()).max(0.0);
            }
        }
        let (taken, throttled, loads) = stream.second(load);
        if let Scaling::Auto { scaler, pending } = &mut scaling
            && pending.is_none()
            && (at - from) % setup.decide_ms.max(SECOND) == 0
        {
            *pending = match scaler.decide(at, &loads) {
                Decision::Hold | Decision::OneKey { .. } => None,
                // As UpdateShardCount has it: a step at a time, none more than twice or less than half.
                Decision::ScaleTo(n) => {
                    let now = stream.shards.len();
                    Some((at + setup.step_ms, Decision::ScaleTo(n.clamp(now.div_ceil(2), now * 2))))
                }
                split @ Decision::Split { .. } => Some((at + setup.step_ms, split)),
            };
        }
        samples.push(Sample {
            at,
            load,
            capacity: stream.limit * stream.shards.len() as f64,
            shards: stream.shards.len(),
            taken,
            throttled,
            backlog: stream.waiting.iter().sum(),
            at_risk,
        });
    }
    PolicyRun { name, samples }
}

/// The shards, and what waits for them.
struct Stream {
    shards: Vec<HashRange>,
    /// Bytes per second of a shard: its limit of records may be the lower one.
    limit: f64,
    record_bytes: f64,
    hot_keys: Vec<(u128, f64)>,
    /// Bytes that wait: of all ordinary keys, then of each hot one.
    waiting: Vec<f64>,
}

impl Stream {
    fn new(setup: &Setup) -> Self {
        let record_bytes = setup.load.record_bytes();
        let limits = setup.policy.limits;
        Stream {
            shards: even_ranges(setup.shards),
            limit: limits.bytes_per_second.min(limits.records_per_second * record_bytes),
            record_bytes,
            hot_keys: setup.hot_keys.clone(),
            waiting: vec![0.0; setup.hot_keys.len() + 1],
        }
    }

    /// Offers a second's load and what waits: what was taken, what of the new had to wait, and what an
    /// autoscaler would measure.
    fn second(&mut self, load: f64) -> (f64, f64, Vec<ShardLoad>) {
        let hot: f64 = self.hot_keys.iter().map(|(_, share)| share).sum();
        let shares = std::iter::once(1.0 - hot).chain(self.hot_keys.iter().map(|(_, share)| *share));
        let new: Vec<f64> = shares.map(|share| load * share).collect();
        let offered: Vec<f64> = new.iter().zip(&self.waiting).map(|(new, waiting)| new + waiting).collect();
        let mut left = vec![0.0; offered.len()];
        let (mut taken, mut throttled) = (0.0, 0.0);
        let mut loads = Vec::with_capacity(self.shards.len());
        for (i, range) in self.shards.iter().enumerate() {
            let keys = std::iter::once(range.share());
            let in_range = |hash: u128| if range.contains(hash) { 1.0 } else { 0.0 };
            let parts: Vec<f64> = keys.chain(self.hot_keys.iter().map(|(hash, _)| in_range(*hash))).collect();
            let of = |bytes: &[f64]| bytes.iter().zip(&parts).map(|(b, p)| b * p).sum::<f64>();
            let (asked, fresh) = (of(&offered), of(&new));
            let took = asked.min(self.limit);
            let refused = if asked > 0.0 { 1.0 - took / asked } else { 0.0 };
            left.iter_mut().zip(&offered).zip(&parts).for_each(|((l, o), p)| *l += o * p * refused);
            // As much of the new as the shard cannot take, whichever record it is that waits.
            let over = (fresh - took).max(0.0);
            taken += took;
            throttled += over;
            loads.push(ShardLoad {
                id: format!("shard-{i}").into(),
                range: *range,
                bytes_per_second: took,
                records_per_second: took / self.record_bytes,
                throttled_per_second: over / self.record_bytes,
            });
        }
        self.waiting = left;
        (taken, throttled, loads)
    }

    fn apply(&mut self, decision: Decision) {
        match decision {
            Decision::ScaleTo(n) => self.shards = even_ranges(n),
            Decision::Split { shard, at } => {
                if let (Some(i), Some((lower, upper))) =
                    (self.shards.iter().position(|s| *s == shard), shard.split_at(at))
                {
                    self.shards.splice(i..=i, [lower, upper]);
                }
            }
            Decision::Hold | Decision::OneKey { .. } => {}
        }
    }
}

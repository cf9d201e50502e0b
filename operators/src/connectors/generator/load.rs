//! What a household uses, and the voltage at its meter.
//!
//! A household's scale is lognormal; a day has its night low, its peaks at 7 to 8 and 16 to 20
//! o'clock, weekends are flatter and higher, winter is higher than summer; on top lies noise
//! that stays for hours, for minutes, and for one reading. All of it is computed in integers
//! from hashes and small tables, so that every machine gets the same watt-hours.

/// An average household's power in milliwatts over the year, before its scale.
const BASE_MW: u64 = 400_000;
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// Half hours of a weekday and of a weekend day from midnight, in thousandths of the average.
const WEEKDAY: [u32; 48] = [
    620, 570, 520, 490, 470, 460, 450, 450, 450, 460, 490, 560, 700, 900, 1150, 1250, 1180, 1050, 960, 900, 870, 860,
    860, 870, 900, 900, 880, 870, 880, 930, 1020, 1180, 1360, 1500, 1610, 1690, 1730, 1740, 1720, 1660, 1580, 1480,
    1370, 1240, 1100, 950, 810, 700,
];
const WEEKEND: [u32; 48] = [
    700, 650, 590, 550, 520, 500, 490, 480, 480, 480, 490, 520, 570, 650, 770, 910, 1050, 1170, 1250, 1290, 1300, 1290,
    1290, 1300, 1320, 1320, 1290, 1250, 1230, 1240, 1290, 1390, 1520, 1620, 1690, 1730, 1740, 1730, 1690, 1630, 1550,
    1460, 1360, 1250, 1120, 990, 870, 770,
];

/// The curves of a fleet.
#[derive(Debug, Clone)]
pub(super) struct Load {
    seed: u64,
    interval_ms: u64,
    /// Quantiles of the households' scales, 16 binary digits behind the point.
    scales: Box<[u32; 1024]>,
    /// Weight of a day of the year in 4096ths.
    seasons: Box<[u32; 366]>,
}

impl Load {
    pub fn new(seed: u64, interval_ms: u64) -> Self {
        let mut scales = Box::new([0; 1024]);
        for (i, s) in scales.iter_mut().enumerate() {
            let p = (i as f64 + 0.5) / 1024.0;
            // A mean of 1, and half of all households between 0.65 and 1.4.
            *s = ((0.55 * normal_quantile(p) - 0.15).exp() * 65_536.0).round() as u32;
        }
        let mut seasons = Box::new([0; 366]);
        for (day, s) in seasons.iter_mut().enumerate() {
            let angle = std::f64::consts::TAU * (day as f64 - 15.0) / 365.25;
            *s = ((1.0 + 0.28 * angle.cos()) * 4096.0).round() as u32;
        }
        Load { seed, interval_ms, scales, seasons }
    }

    /// Watt-hours that `meter` uses in the interval at `time`; `chance` is the reading's own.
    #[inline]
    pub fn wh(&self, meter: u32, time: i64, chance: u64) -> u32 {
        let home = mix(self.seed ^ (u64::from(meter) << 20) ^ 0x5ca1e);
        // Times before the epoch only shift the phase.
        let t = (time as u64) & (u64::MAX >> 1);
        let (day, of_day) = (t / DAY_MS, t % DAY_MS);
        let curve = if matches!((day + 4) % 7, 0 | 6) { &WEEKEND } else { &WEEKDAY };
        let half_hour = (of_day / (HOUR_MS / 2)) as usize;
        let part = (of_day % (HOUR_MS / 2)) as u32;
        let (a, b) = (curve[half_hour], curve[(half_hour + 1) % 48]);
        let diurnal = (a * (HOUR_MS as u32 / 2 - part) + b * part) / (HOUR_MS as u32 / 2);
        let season = self.seasons[((day * 4 % 1461) / 4) as usize];

        // Noise in 65536ths around one: at most ±85 %.
        let slow = smooth(home, t, 6 * HOUR_MS);
        let quick = smooth(home ^ 0x0a11, t, HOUR_MS / 2);
        let own = (chance & 0xffff) as i64 - 32_768;
        let noise = 65_536 + (slow * 20 + quick * 22 + own * 14) / 64 * 2;

        let mwh = u128::from(BASE_MW * self.interval_ms / HOUR_MS)
            * u128::from(self.scales[(home >> 54) as usize])
            * u128::from(diurnal)
            * u128::from(season)
            * noise.max(4_096) as u128;
        // 16 digits for the scale, 12 for the season, 16 for the noise; thousandths twice.
        let wh = ((mwh >> 44) as u64 + 500_000) / 1_000_000;
        u32::try_from(wh).unwrap_or(u32::MAX)
    }

    /// The voltage in tenths of a volt: 230 ± 2.5, and one in a thousand beyond ±10 %.
    #[inline]
    pub fn decivolts(&self, chance: u64) -> u16 {
        if chance >> 54 == 0 {
            let by = 240 + ((chance >> 16) % 80) as i32;
            return (2300 + if chance & 1 == 0 { by } else { -by }) as u16;
        }
        let sum: i32 = [16, 24, 32, 40].iter().map(|s| i32::from((chance >> s) as u8) - 128).sum();
        (2300 + sum / 6) as u16
    }
}

/// Noise that moves evenly between random points `every` milliseconds: from -32768 to 32767.
#[inline]
fn smooth(home: u64, t: u64, every: u64) -> i64 {
    let knot = t / every;
    let at = |k: u64| (mix(home ^ k.wrapping_mul(0x9e37_79b9_7f4a_7c15)) >> 48) as i64 - 32_768;
    let part = ((t % every) * 256 / every) as i64;
    (at(knot) * (256 - part) + at(knot + 1) * part) / 256
}

/// Spreads the bits of `z` (SplitMix64).
#[inline(always)]
pub(super) fn mix(z: u64) -> u64 {
    let z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The standard normal distribution's quantile (Acklam's approximation, good to nine digits).
fn normal_quantile(p: f64) -> f64 {
    const A: [f64; 6] = [
        -3.969_683_028_665_376e1,
        2.209_460_984_245_205e2,
        -2.759_285_104_469_687e2,
        1.383_577_518_672_69e2,
        -3.066_479_806_614_716e1,
        2.506_628_277_459_239,
    ];
    const B: [f64; 5] = [
        -5.447_609_879_822_406e1,
        1.615_858_368_580_409e2,
        -1.556_989_798_598_866e2,
        6.680_131_188_771_972e1,
        -1.328_068_155_288_572e1,
    ];
    const C: [f64; 6] = [
        -7.784_894_002_430_293e-3,
        -3.223_964_580_411_365e-1,
        -2.400_758_277_161_838,
        -2.549_732_539_343_734,
        4.374_664_141_464_968,
        2.938_163_982_698_783,
    ];
    const D: [f64; 4] =
        [7.784_695_709_041_462e-3, 3.224_671_290_700_398e-1, 2.445_134_137_142_996, 3.754_408_661_907_416];
    let horner = |c: &[f64], x: f64| c.iter().fold(0.0, |sum, k| sum * x + k);
    if p < 0.024_25 {
        let q = (-2.0 * p.ln()).sqrt();
        horner(&C, q) / (horner(&D, q) * q + 1.0)
    } else if p > 1.0 - 0.024_25 {
        -normal_quantile(1.0 - p)
    } else {
        let q = p - 0.5;
        let r = q * q;
        horner(&A, r) * q / (horner(&B, r) * r + 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles() {
        for (p, z) in [(0.5, 0.0), (0.975, 1.959_963_985), (0.01, -2.326_347_874), (0.001, -3.090_232_306)] {
            assert!((normal_quantile(p) - z).abs() < 1e-6, "{p}");
        }
    }

    #[test]
    fn days_years_and_homes_look_like_it() {
        // 2024-01-01 is a Monday.
        let january = 1_704_067_200_000_i64;
        let load = Load::new(7, HOUR_MS);
        let mean = |start: i64, hour: i64, days: i64| {
            let mut sum = 0_u64;
            for meter in 0..500 {
                for day in 0..days {
                    let t = start + day * DAY_MS as i64 + hour * HOUR_MS as i64;
                    sum += u64::from(load.wh(meter, t, mix(u64::from(meter) * 7 + t as u64)));
                }
            }
            sum as f64 / (500 * days) as f64
        };
        let (night, morning, noon, evening) =
            (mean(january, 3, 5), mean(january, 7, 5), mean(january, 12, 5), mean(january, 18, 5));
        assert!(
            night * 2.0 < morning && morning > noon * 1.2 && evening > morning * 1.2,
            "{night} {morning} {noon} {evening}"
        );
        let july = january + 182 * DAY_MS as i64;
        assert!(mean(july, 18, 5) * 1.4 < evening);
        let saturday = january + 5 * DAY_MS as i64;
        assert!(mean(saturday, 12, 2) > noon * 1.3);

        // Homes differ by much, and hours next to each other are alike.
        let by_home: Vec<f64> = (0..500)
            .map(|m| {
                (0..168).map(|h| f64::from(load.wh(m, january + h * HOUR_MS as i64, mix(h as u64)))).sum::<f64>()
                    / 168.0
            })
            .collect();
        let mean = by_home.iter().sum::<f64>() / 500.0;
        let small = by_home.iter().filter(|h| **h < mean * 0.5).count();
        let large = by_home.iter().filter(|h| **h > mean * 2.0).count();
        assert!((350.0..650.0).contains(&mean), "{mean}");
        assert!((25..175).contains(&small) && (10..100).contains(&large), "{small} {large}");
    }

    #[test]
    fn volts() {
        let load = Load::new(7, HOUR_MS);
        let all: Vec<u16> = (0..100_000).map(|i| load.decivolts(mix(i))).collect();
        let out = all.iter().filter(|v| !(2070..=2530).contains(*v)).count();
        assert!((50..200).contains(&out), "{out}");
        let usual = all.iter().filter(|v| (2250..=2350).contains(*v)).count();
        assert!(usual > 90_000, "{usual}");
    }
}

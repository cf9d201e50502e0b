//! The twelve queries of AWS's public sample (amazon-timestream-tools, sample_apps/python/QueryExample.py), against
//! answers that are computed here, row by row.

use std::collections::BTreeMap;

use crate::{
    devops::{self, HOST, Reading},
    fixture::*,
};

/// The table as the sample's queries name it.
const TABLE: &str = "sampleDB.DevOps";

fn cpu_of_two_hours() -> Vec<Reading> {
    let since = NOW_NS - 7_200 * SECOND;
    let mut readings = devops::readings();
    readings.retain(|r| r.measure == "cpu_utilization" && r.time > since);
    readings
}

fn of_host() -> Vec<Reading> {
    let mut readings: Vec<_> = cpu_of_two_hours().into_iter().filter(|r| r.hostname == HOST).collect();
    readings.sort_by_key(|r| r.time);
    readings
}

fn binned(step: i64) -> BTreeMap<i64, Vec<f64>> {
    let mut bins: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
    for r in of_host() {
        bins.entry(r.time - r.time.rem_euclid(step)).or_default().push(r.value);
    }
    bins
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

fn round(value: f64, digits: i32) -> f64 {
    let factor = 10f64.powi(digits);
    (value * factor).round() / factor
}

/// The averages of 30 s, rounded: what queries 4 to 7 interpolate.
fn averages() -> Vec<(i64, f64)> {
    binned(30 * SECOND).into_iter().map(|(time, values)| (time, round(mean(&values), 2))).collect()
}

fn rounded_points() -> Vec<(i64, f64)> {
    of_host().iter().map(|r| (r.time, round(r.value, 2))).collect()
}

/// From the first to the last time.
fn sequence(points: &[(i64, f64)], step: i64) -> Vec<i64> {
    let (first, last) = (points[0].0, points[points.len() - 1].0);
    (0..).map(|n| first + n * step).take_while(|t| *t <= last).collect()
}

fn linear(points: &[(i64, f64)], at: i64) -> f64 {
    for pair in points.windows(2) {
        let ((t0, v0), (t1, v1)) = (pair[0], pair[1]);
        if (t0..=t1).contains(&at) {
            return v0 + (v1 - v0) * ((at - t0) as f64 / (t1 - t0) as f64);
        }
    }
    panic!("{at} is out of range")
}

fn locf(points: &[(i64, f64)], at: i64) -> f64 {
    points.iter().rev().find(|(t, _)| *t <= at).expect("a point before").1
}

/// The natural cubic spline by Gauss on the whole matrix.
fn spline(points: &[(i64, f64)], at: i64) -> f64 {
    let n = points.len();
    let x = |i: usize| (points[i].0 - points[0].0) as f64 / 1e9;
    let y = |i: usize| points[i].1;
    let mut m = vec![vec![0.0; n + 1]; n];
    m[0][0] = 1.0;
    m[n - 1][n - 1] = 1.0;
    for i in 1..n - 1 {
        let (h0, h1) = (x(i) - x(i - 1), x(i + 1) - x(i));
        m[i][i - 1] = h0;
        m[i][i] = 2.0 * (h0 + h1);
        m[i][i + 1] = h1;
        m[i][n] = 6.0 * ((y(i + 1) - y(i)) / h1 - (y(i) - y(i - 1)) / h0);
    }
    for i in 0..n {
        for k in i + 1..n {
            if m[k][i] != 0.0 {
                let f = m[k][i] / m[i][i];
                let row = m[i].clone();
                for (a, b) in m[k].iter_mut().zip(row) {
                    *a -= f * b;
                }
            }
        }
    }
    let mut c = vec![0.0; n];
    for i in (0..n).rev() {
        c[i] = (m[i][n] - (i + 1..n).map(|k| m[i][k] * c[k]).sum::<f64>()) / m[i][i];
    }
    let i = (0..n - 1).find(|i| (points[*i].0..=points[i + 1].0).contains(&at)).expect("in range");
    let t = (at - points[0].0) as f64 / 1e9;
    let h = x(i + 1) - x(i);
    let (a, b) = ((x(i + 1) - t) / h, (t - x(i)) / h);
    a * y(i) + b * y(i + 1) + ((a.powi(3) - a) * c[i] + (b.powi(3) - b) * c[i + 1]) * h * h / 6.0
}

fn time(nanoseconds: i64) -> String {
    hurtig_timestream_sql::datum::timestamp(nanoseconds)
}

fn near(found: &str, expected: f64, tolerance: f64) {
    let found: f64 = found.parse().expect("a number");
    assert!((found - expected).abs() <= tolerance, "{found} is not {expected}");
}

#[tokio::test]
async fn query_1_percentiles_by_15_seconds() {
    let sql = format!(
        "SELECT region, az, hostname, BIN(time, 15s) AS binned_timestamp,
            ROUND(AVG(measure_value::double), 2) AS avg_cpu_utilization,
            ROUND(APPROX_PERCENTILE(measure_value::double, 0.9), 2) AS p90_cpu_utilization,
            ROUND(APPROX_PERCENTILE(measure_value::double, 0.95), 2) AS p95_cpu_utilization,
            ROUND(APPROX_PERCENTILE(measure_value::double, 0.99), 2) AS p99_cpu_utilization
        FROM {TABLE}
        WHERE measure_name = 'cpu_utilization' AND hostname = '{HOST}' AND time > ago(2h)
        GROUP BY region, hostname, az, BIN(time, 15s)
        ORDER BY binned_timestamp ASC"
    );
    let engine = engine(devops::memory());
    let answer = ask(&engine, &sql).await;
    let names = "region az hostname binned_timestamp avg_cpu_utilization p90_cpu_utilization p95_cpu_utilization p99_cpu_utilization";
    assert_eq!(answer.names.join(" "), names);
    let rows = table(&engine, &sql).await;
    let bins = binned(15 * SECOND);
    assert!(bins.len() > 300 && bins.values().any(|v| v.len() > 1));
    assert_eq!(rows.len(), bins.len());
    for (row, (bin, values)) in rows.iter().zip(bins) {
        assert_eq!(row[..4], ["us-east-1", "us-east-1a", HOST, &time(bin)]);
        near(&row[4], round(mean(&values), 2), 0.0101);
        let (lowest, highest) =
            (values.iter().copied().fold(f64::MAX, f64::min), values.iter().copied().fold(f64::MIN, f64::max));
        for (percentile, fraction) in row[5..].iter().zip([0.9, 0.95, 0.99]) {
            // Of one or two values: an estimate lies between them, nearer to the higher one.
            let percentile: f64 = percentile.parse().expect("a number");
            let least = lowest + (highest - lowest) * (fraction - 0.5);
            assert!((least - 0.01..=highest + 0.01).contains(&percentile), "{percentile} of {values:?}");
        }
    }
}

#[tokio::test]
async fn query_2_hosts_above_the_fleet() {
    let sql = format!(
        "WITH avg_fleet_utilization AS (
            SELECT COUNT(DISTINCT hostname) AS total_host_count, AVG(measure_value::double) AS fleet_avg_cpu_utilization
            FROM {TABLE} WHERE measure_name = 'cpu_utilization' AND time > ago(2h)
        ), avg_per_host_cpu AS (
            SELECT region, az, hostname, AVG(measure_value::double) AS avg_cpu_utilization
            FROM {TABLE} WHERE measure_name = 'cpu_utilization' AND time > ago(2h)
            GROUP BY region, az, hostname
        )
        SELECT region, az, hostname, avg_cpu_utilization, fleet_avg_cpu_utilization
        FROM avg_fleet_utilization, avg_per_host_cpu
        WHERE avg_cpu_utilization > 1.1 * fleet_avg_cpu_utilization
        ORDER BY avg_cpu_utilization DESC"
    );
    let rows = table(&engine(devops::memory()), &sql).await;
    let all = cpu_of_two_hours();
    let fleet = mean(&all.iter().map(|r| r.value).collect::<Vec<_>>());
    let mut hosts: BTreeMap<(&str, &str, &str), Vec<f64>> = BTreeMap::new();
    all.iter().for_each(|r| hosts.entry((r.region, r.az, r.hostname)).or_default().push(r.value));
    let mut above: Vec<_> = hosts.iter().map(|(k, v)| (*k, mean(v))).filter(|(_, m)| *m > 1.1 * fleet).collect();
    above.sort_by(|a, b| b.1.total_cmp(&a.1));
    assert_eq!(above.len(), 1);
    assert_eq!(rows.len(), above.len());
    for (row, ((region, az, host), mean)) in rows.iter().zip(above) {
        assert_eq!(row[..3], [region, az, host]);
        near(&row[3], mean, 1e-9);
        near(&row[4], fleet, 1e-9);
    }
}

#[tokio::test]
async fn query_3_averages_by_30_seconds() {
    let sql = format!(
        "SELECT BIN(time, 30s) AS binned_timestamp, ROUND(AVG(measure_value::double), 2) AS avg_cpu_utilization,
        hostname FROM {TABLE}
        WHERE measure_name = 'cpu_utilization' AND hostname = '{HOST}' AND time > ago(2h)
        GROUP BY hostname, BIN(time, 30s)
        ORDER BY binned_timestamp ASC"
    );
    let rows = table(&engine(devops::memory()), &sql).await;
    let averages = averages();
    assert_eq!(rows.len(), averages.len());
    for (row, (bin, average)) in rows.iter().zip(averages) {
        assert_eq!([&row[0], &row[2]], [&time(bin), HOST]);
        near(&row[1], average, 0.0101);
    }
}

/// Queries 4 to 7 differ in how they fill.
async fn interpolated(function: &str, fill: &str) -> Vec<Vec<String>> {
    let sql = format!(
        "WITH binned_timeseries AS (
            SELECT hostname, BIN(time, 30s) AS binned_timestamp, ROUND(AVG(measure_value::double), 2) AS avg_cpu_utilization
            FROM {TABLE}
            WHERE measure_name = 'cpu_utilization' AND hostname = '{HOST}' AND time > ago(2h)
            GROUP BY hostname, BIN(time, 30s)
        ), interpolated_timeseries AS (
            SELECT hostname,
                {function}(
                    CREATE_TIME_SERIES(binned_timestamp, avg_cpu_utilization),
                        SEQUENCE(min(binned_timestamp), max(binned_timestamp), 15s){fill}) AS interpolated_avg_cpu_utilization
            FROM binned_timeseries
            GROUP BY hostname
        )
        SELECT time, ROUND(value, 2) AS interpolated_cpu
        FROM interpolated_timeseries
        CROSS JOIN UNNEST(interpolated_avg_cpu_utilization)"
    );
    table(&engine(devops::memory()), &sql).await
}

fn compare(rows: &[Vec<String>], points: &[(i64, f64)], expected: impl Fn(i64) -> f64) {
    let times = sequence(points, 15 * SECOND);
    assert!(times.len() > points.len() * 2 - 10);
    assert_eq!(
        rows.iter().map(|r| r[0].clone()).collect::<Vec<_>>(),
        times.iter().map(|t| time(*t)).collect::<Vec<_>>()
    );
    for (row, at) in rows.iter().zip(times) {
        near(&row[1], expected(at), 0.0151);
    }
}

#[tokio::test]
async fn query_4_linear() {
    let points = averages();
    compare(&interpolated("INTERPOLATE_LINEAR", "").await, &points, |at| linear(&points, at));
}

#[tokio::test]
async fn query_5_locf() {
    let points = averages();
    compare(&interpolated("INTERPOLATE_LOCF", "").await, &points, |at| locf(&points, at));
}

#[tokio::test]
async fn query_6_fill() {
    let points = averages();
    let known: BTreeMap<i64, f64> = points.iter().copied().collect();
    compare(&interpolated("INTERPOLATE_FILL", ", 10.0").await, &points, |at| known.get(&at).copied().unwrap_or(10.0));
}

#[tokio::test]
async fn query_7_cubic_spline() {
    let points = averages();
    let rows = interpolated("INTERPOLATE_SPLINE_CUBIC", "").await;
    // The averages differ from ours by a rounding at most, the spline by little more.
    let times = sequence(&points, 15 * SECOND);
    assert_eq!(rows.len(), times.len());
    for (row, at) in rows.iter().zip(times).step_by(7) {
        assert_eq!(row[0], time(at));
        near(&row[1], spline(&points, at), 0.03);
    }
}

#[tokio::test]
async fn query_8_locf_of_all_hosts() {
    let sql = format!(
        "WITH per_host_min_max_timestamp AS (
            SELECT hostname, min(time) as min_timestamp, max(time) as max_timestamp
            FROM {TABLE} WHERE measure_name = 'cpu_utilization' AND time > ago(2h)
            GROUP BY hostname
        ), interpolated_timeseries AS (
            SELECT m.hostname,
                INTERPOLATE_LOCF(
                    CREATE_TIME_SERIES(time, measure_value::double),
                        SEQUENCE(MIN(ph.min_timestamp), MAX(ph.max_timestamp), 1s)) as interpolated_avg_cpu_utilization
            FROM {TABLE} m
                INNER JOIN per_host_min_max_timestamp ph ON m.hostname = ph.hostname
            WHERE measure_name = 'cpu_utilization' AND time > ago(2h)
            GROUP BY m.hostname
        )
        SELECT hostname, AVG(cpu_utilization) AS avg_cpu_utilization
        FROM interpolated_timeseries
        CROSS JOIN UNNEST(interpolated_avg_cpu_utilization) AS t (time, cpu_utilization)
        GROUP BY hostname
        ORDER BY avg_cpu_utilization DESC"
    );
    let rows = table(&engine(devops::memory()), &sql).await;
    let mut hosts: BTreeMap<&str, Vec<(i64, f64)>> = BTreeMap::new();
    cpu_of_two_hours().iter().for_each(|r| hosts.entry(r.hostname).or_default().push((r.time, r.value)));
    let mut expected: Vec<(&str, f64)> = hosts
        .into_iter()
        .map(|(host, mut points)| {
            points.sort_by_key(|p| p.0);
            let values: Vec<f64> = sequence(&points, SECOND).into_iter().map(|at| locf(&points, at)).collect();
            (host, mean(&values))
        })
        .collect();
    expected.sort_by(|a, b| b.1.total_cmp(&a.1));
    assert_eq!(rows.len(), 4);
    for (row, (host, mean)) in rows.iter().zip(expected) {
        assert_eq!(row[0], host);
        near(&row[1], mean, 1e-9);
    }
}

/// What queries 9 to 12 begin with.
fn view(oldest: &str) -> String {
    format!(
        "WITH time_series_view AS (
            SELECT {oldest} INTERPOLATE_LINEAR(
                CREATE_TIME_SERIES(time, ROUND(measure_value::double, 2)),
                SEQUENCE(min(time), max(time), 10s)) AS cpu_utilization
            FROM {TABLE}
            WHERE hostname = '{HOST}' AND measure_name = 'cpu_utilization' AND time > ago(2h)
            GROUP BY hostname
        ) "
    )
}

fn every_10_seconds() -> Vec<(i64, f64)> {
    let points = rounded_points();
    sequence(&points, 10 * SECOND).into_iter().map(|at| (at, linear(&points, at))).collect()
}

#[tokio::test]
async fn query_9_share_above_a_threshold() {
    // The sample's threshold, and one that this host reaches more often.
    for threshold in ["70.0", "40.0"] {
        let sql = view("")
            + &format!(
                "SELECT FILTER(cpu_utilization, x -> x.value > {threshold}) AS cpu_above_threshold,
                    REDUCE(FILTER(cpu_utilization, x -> x.value > {threshold}), 0, (s, x) -> s + 1, s -> s) AS count_cpu_above_threshold,
                    ROUND(REDUCE(cpu_utilization, CAST(ROW(0, 0) AS ROW(count_high BIGINT, count_total BIGINT)),
                        (s, x) -> CAST(ROW(s.count_high + IF(x.value > {threshold}, 1, 0), s.count_total + 1) AS ROW(count_high BIGINT, count_total BIGINT)),
                        s -> IF(s.count_total = 0, NULL, CAST(s.count_high AS DOUBLE) / s.count_total)), 4) AS fraction_cpu_above_threshold
                FROM time_series_view"
            );
        let rows = table(&engine(devops::memory()), &sql).await;
        let all = every_10_seconds();
        let limit: f64 = threshold.parse().expect("a number");
        let high: Vec<_> = all.iter().filter(|(_, v)| *v > limit).collect();
        let series: Vec<String> = high.iter().map(|(t, _)| time(*t)[11..19].to_owned()).collect();
        let found: Vec<String> =
            rows[0][0].split_whitespace().map(|p| p.split('=').next().expect("a time").to_owned()).collect();
        assert_eq!(found, series);
        assert_eq!(rows[0][1], high.len().to_string());
        near(&rows[0][2], round(high.len() as f64 / all.len() as f64, 4), 1e-9);
        assert!(threshold == "70.0" || high.len() > 50);
    }
}

#[tokio::test]
async fn query_10_below_a_threshold_and_later_than() {
    let sql = view("min(time) AS oldest_time,")
        + "SELECT FILTER(cpu_utilization, x -> x.value < 75 AND x.time > oldest_time + 1m) FROM time_series_view";
    let answer = ask(&engine(devops::memory()), &sql).await;
    assert_eq!(answer.names, ["_col0"]);
    let all = every_10_seconds();
    let later = all[0].0 + 60 * SECOND;
    let expected: Vec<String> =
        all.iter().filter(|(t, v)| *v < 75.0 && *t > later).map(|(t, _)| time(*t)[11..19].to_owned()).collect();
    let found = text(&answer.rows[0].data[0]);
    let found: Vec<&str> = found.split_whitespace().map(|p| p.split('=').next().expect("a time")).collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn query_11_count() {
    let sql = view("")
        + "SELECT REDUCE(cpu_utilization, DOUBLE '0.0', (s, x) -> s + 1, s -> s) AS count_cpu FROM time_series_view";
    assert_eq!(value(&engine(devops::memory()), &sql).await, format!("{:?}", every_10_seconds().len() as f64));
}

#[tokio::test]
async fn query_12_average_by_reduce() {
    let sql = view("")
        + "SELECT REDUCE(cpu_utilization,
            CAST(ROW(0.0, 0) AS ROW(sum DOUBLE, count INTEGER)),
            (s, x) -> CAST(ROW(x.value + s.sum, s.count + 1) AS ROW(sum DOUBLE, count INTEGER)),
             s -> IF(s.count = 0, NULL, s.sum / s.count)) AS avg_cpu
        FROM time_series_view";
    let values: Vec<f64> = every_10_seconds().into_iter().map(|p| p.1).collect();
    near(&value(&engine(devops::memory()), &sql).await, mean(&values), 1e-9);
}

#[tokio::test]
async fn all_of_it() {
    let rows = table(&engine(devops::memory()), &format!("SELECT * FROM {TABLE} LIMIT 20")).await;
    assert_eq!((rows.len(), rows[0].len()), (20, 6));
}

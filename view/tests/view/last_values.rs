//! What every meter has said last, where it is not plain: meters that move, readings of nobody, one answer for several panels.

use hurtig_store::Record;
use hurtig_view::ViewOptions;
use serde_json::json;

use crate::support::{MINUTE_MS, NOW_MS, Stored, kwh, members, options, reading, run, volts};

#[test]
fn a_meter_that_has_moved_counts_where_it_was_last() {
    run(async {
        let stored = Stored::with(&[
            kwh("m-1", "EAST", 50, 1.0),
            volts("m-1", "EAST", 40, 270.0),
            kwh("m-1", "NORTH", 30, 1.0),
            kwh("m-2", "WEST", 30, 1.0),
            volts("m-2", "EAST", 40, 231.0),
            volts("m-2", "WEST", 30, 190.0),
        ])
        .await;
        let served = stored.serve().await;
        let fleet = served.ok("/api/fleet").await;
        let names = ["meters", "regions", "silent", "measured", "outside"];
        assert_eq!(members(&fleet, &names), [json!(2), json!(2), json!(2), json!(2), json!(2)], "{fleet}");
        let voltage = served.ok("/api/voltage").await;
        let at = |n: usize| members(&voltage["meters"][n], &["id", "region", "volts", "at_ms"]);
        // 40 V from what it should be both times; the region is that of the meter's last word, whatever it was about.
        assert_eq!(at(0), [json!("m-1"), json!("NORTH"), json!(270.0), json!(NOW_MS - 40 * MINUTE_MS)]);
        assert_eq!(at(1), [json!("m-2"), json!("WEST"), json!(190.0), json!(NOW_MS - 30 * MINUTE_MS)]);
        let silent = served.ok("/api/silent").await;
        assert_eq!((&silent["total"], &silent["meters"][0]["region"]), (&json!(2), &json!("NORTH")), "{silent}");
        served.end().await;
    });
}

#[test]
fn readings_without_a_meter_s_name_are_nobody_s() {
    run(async {
        let nobodys = Record {
            dimensions: std::iter::once(("region".into(), "EAST".into())).collect(),
            ..reading("", None, "kwh_measure", 60 * MINUTE_MS, 1.0)
        };
        let stored = Stored::with(&[kwh("m-1", "WEST", 5, 1.0), nobodys]).await;
        let served = stored.serve().await;
        let fleet = served.ok("/api/fleet").await;
        assert_eq!(members(&fleet, &["meters", "regions", "silent"]), [json!(1), json!(1), json!(0)], "{fleet}");
        assert_eq!(served.ok("/api/silent").await["total"], json!(0));
        served.end().await;
    });
}

#[test]
fn panels_share_what_was_asked_a_moment_ago() {
    run(async {
        let stored = Stored::with(&[volts("m-1", "EAST", 30, 231.0)]).await;
        let options = ViewOptions { fresh_for: ViewOptions::default().fresh_for, ..options() };
        let served = stored.serve_with(options).await;
        assert_eq!(served.ok("/api/fleet").await["meters"], json!(1));
        stored.write(&[volts("m-2", "EAST", 20, 232.0)]).await;
        // The clock has stood still since the fleet was looked at.
        assert_eq!(served.ok("/api/silent").await["total"], json!(1));
        stored.clock.advance(1_000);
        assert_eq!(served.ok("/api/silent").await["total"], json!(2));
        assert_eq!(served.ok("/api/fleet").await["meters"], json!(2));
        served.end().await;
    });
}

#[test]
fn the_newest_is_the_newest_by_the_nanosecond_and_ties_have_an_order() {
    run(async {
        let nanos = |record: Record, nanos: i64| Record { time: record.time + nanos, ..record };
        let stored = Stored::with(&[
            // 400 nanoseconds later, in a region that is earlier in the alphabet, with a lower voltage.
            volts("m-1", "WEST", 5, 240.0),
            nanos(volts("m-1", "EAST", 5, 230.0), 400),
            // At the same time.
            volts("m-2", "EAST", 5, 260.0),
            volts("m-2", "WEST", 5, 255.0),
        ])
        .await;
        let options = ViewOptions { nominal_voltage: 300.0, ..options() };
        let served = stored.serve_with(options).await;
        let voltage = served.ok("/api/voltage").await;
        let at = |n: usize| members(&voltage["meters"][n], &["id", "region", "volts"]);
        assert_eq!(at(0), [json!("m-1"), json!("EAST"), json!(230.0)]);
        assert_eq!(at(1), [json!("m-2"), json!("WEST"), json!(260.0)]);
        served.end().await;
    });
}

#[test]
fn the_limits_of_a_tolerance_are_within() {
    run(async {
        // 230 V less 8 % is 211.60000000000002 as numbers are computed, and 220 V and 15 % are 252.99999999999997.
        for (nominal_voltage, tolerance, limits) in [(230.0, 0.08, [211.6, 248.4]), (220.0, 0.15, [187.0, 253.0])] {
            let of = |n: usize| volts(&format!("m-{n}"), "EAST", 5, limits[n]);
            let stored = Stored::with(&[of(0), of(1)]).await;
            let served = stored.serve_with(ViewOptions { nominal_voltage, tolerance, ..options() }).await;
            let fleet = served.ok("/api/fleet").await;
            assert_eq!(members(&fleet, &["measured", "outside"]), [json!(2), json!(0)], "{fleet}");
            assert_eq!(served.ok("/api/voltage").await["total"], json!(0));
            served.end().await;
        }
    });
}

//! Each panel's answer over known readings, computed by hand.

use hurtig_view::ViewOptions;
use serde_json::{Value, json};

use crate::support::{DAY_MS, MINUTE_MS, NOW_MS, Stored, fleet, kwh, members, options, reading, run, volts};

#[test]
fn the_fleet_at_a_glance() {
    run(async {
        let stored = Stored::with(&fleet()).await;
        let served = stored.serve().await;
        let expected = json!({
            "now_ms": NOW_MS, "clock_ms": NOW_MS, "newest_ms": NOW_MS - 2 * MINUTE_MS, "replay": false,
            "meters": 5, "regions": 3, "silent": 1, "silent_after_ms": 15 * MINUTE_MS,
            "measured": 4, "outside": 2, "low_volts": 207.0, "high_volts": 253.0,
            // 0.5 + 1.0 + 0.125 in a quarter of an hour; the reading of its very beginning belongs to the one before.
            "kwh": 1.625, "kw": 6.5, "kw_day_before": 8.0,
        });
        assert_eq!(served.ok("/api/fleet").await, expected);
        // In files it is the same.
        stored.store.flush().await.expect("flushed");
        assert_eq!(served.ok("/api/fleet").await, expected);
        served.end().await;
    });
}

#[test]
fn consumption_by_region_and_minute() {
    run(async {
        let served = Stored::with(&fleet()).await.serve_here().await;
        let answer = served.ok("/api/consumption?span=hour").await;
        let first = NOW_MS.div_euclid(MINUTE_MS) * MINUTE_MS - 59 * MINUTE_MS;
        assert_eq!(members(&answer, &["span", "step_ms"]), [json!("hour"), json!(60_000)]);
        let times: Vec<i64> = (0..60).map(|n| first + n * MINUTE_MS).collect();
        assert_eq!(answer["times_ms"], json!(times));
        let column = |at: &[(usize, f64)]| -> Value {
            let mut all = vec![0.0; 60];
            at.iter().for_each(|(minutes_ago, kwh)| all[59 - minutes_ago] = *kwh);
            json!(all)
        };
        let region = |name: &str, at: &[(usize, f64)]| {
            let sum: f64 = at.iter().map(|(_, kwh)| kwh).sum();
            json!({ "name": name, "others": null, "kwh": column(at), "sum_kwh": sum })
        };
        assert_eq!(
            answer["regions"],
            json!([
                region("NORTH", &[(15, 4.0)]),
                region("WEST", &[(4, 1.0), (2, 0.125)]),
                region("EAST", &[(20, 0.25), (5, 0.5)]),
            ])
        );
        assert_eq!(answer["total_kwh"], column(&[(15, 4.0), (4, 1.0), (2, 0.125), (20, 0.25), (5, 0.5)]));

        let day = served.ok("/api/consumption?span=day").await;
        // The day's quarters: 22:13:20 is in the one of 22:00. The reading of a day and five minutes ago is of 22:08 the
        // day before, and the first quarter begins at 22:15.
        assert_eq!((day["times_ms"].as_array().map(Vec::len), &day["step_ms"]), (Some(96), &json!(900_000)));
        let sums: Vec<_> = day["regions"].as_array().expect("some").iter().map(|r| r["sum_kwh"].clone()).collect();
        assert_eq!(sums, [json!(4.0), json!(2.75), json!(1.125)]);
        let east = &day["regions"][1];
        assert_eq!(
            (&east["name"], &east["kwh"][90], &east["kwh"][94], &east["kwh"][95]),
            (
                &json!("EAST"),
                // 70 minutes ago it was 21:03, 20 minutes ago 21:53, 5 minutes ago 22:08.
                &json!(0.0),
                &json!(0.25),
                &json!(0.5)
            )
        );
        assert_eq!(east["kwh"][91], json!(2.0));
        served.end().await;
    });
}

#[test]
fn many_regions_are_six_and_the_others() {
    run(async {
        let readings: Vec<_> =
            (0..10).map(|n| kwh(&format!("m-{n}"), &format!("R{n}"), 5, f64::from(10 - n))).collect();
        let served = Stored::with(&readings).await.serve_here().await;
        let answer = served.ok("/api/consumption").await;
        let regions: Vec<_> = answer["regions"]
            .as_array()
            .expect("regions")
            .iter()
            .map(|r| (r["name"].as_str().expect("a name"), r["others"].as_u64(), r["sum_kwh"].as_f64().expect("a sum")))
            .collect();
        let expected = [
            ("R0", None, 10.0),
            ("R1", None, 9.0),
            ("R2", None, 8.0),
            ("R3", None, 7.0),
            ("R4", None, 6.0),
            ("R5", None, 5.0),
            ("", Some(4), 10.0),
        ];
        assert_eq!(regions, expected);
        assert_eq!(answer["total_kwh"][54], json!(55.0));
        served.end().await;
    });
}

#[test]
fn one_meter_and_its_day() {
    run(async {
        let mut readings = fleet();
        // Two voltages of one minute (22:08): 22:08:20 and 22:08:50.
        readings.push(reading("m-1", Some("EAST"), "voltage_measure", 4 * MINUTE_MS + 30_000, 253.5));
        let served = Stored::with(&readings).await.serve_here().await;
        let answer = served.ok("/api/meter?id=m-1").await;
        assert_eq!(
            members(&answer, &["id", "region", "seen_ms", "silent", "outside", "from_ms", "to_ms"]),
            [
                json!("m-1"),
                json!("EAST"),
                json!(NOW_MS - 4 * MINUTE_MS - 30_000),
                json!(false),
                json!(true),
                json!(NOW_MS - DAY_MS),
                json!(NOW_MS)
            ]
        );
        assert_eq!(answer["volts"], json!({ "value": 253.5, "at_ms": NOW_MS - 4 * MINUTE_MS - 30_000 }));
        assert_eq!(answer["kwh"], json!({ "value": 0.5, "at_ms": NOW_MS - 5 * MINUTE_MS }));
        let minute = |ago: i64| (NOW_MS - ago * MINUTE_MS).div_euclid(MINUTE_MS) * MINUTE_MS;
        assert_eq!(
            answer["steps"],
            json!([
                { "at_ms": minute(20), "kwh": 0.25, "volts": 270.0, "low": 270.0, "high": 270.0 },
                { "at_ms": minute(5), "kwh": 0.5, "volts": 242.25, "low": 231.0, "high": 253.5 },
            ])
        );
        assert_eq!(members(&answer, &["sum_kwh", "steps_outside"]), [json!(0.75), json!(2)]);

        // The day before has the reading of then.
        let before = served.ok(&format!("/api/meter?id=m-1&until={}", NOW_MS - DAY_MS)).await;
        assert_eq!(
            before["steps"],
            json!([
                { "at_ms": minute(24 * 60 + 5), "kwh": 2.0, "volts": null, "low": null, "high": null },
            ])
        );

        // Silent, without an end of its own: its day still ends now.
        let silent = served.ok("/api/meter?id=m-3").await;
        assert_eq!(members(&silent, &["silent", "outside", "to_ms"]), [json!(true), json!(true), json!(NOW_MS)]);

        let (status, unknown) = served.get("/api/meter?id=m-9").await;
        assert_eq!((status, &unknown["error"]), (404, &json!("There is no meter 'm-9' in meters.readings.")));
        served.end().await;
    });
}

#[test]
fn a_meter_that_is_silent_for_days_has_the_day_when_it_still_spoke() {
    run(async {
        let old = 3 * 24 * 60;
        let served = Stored::with(&[kwh("old", "EAST", old, 1.0), kwh("new", "EAST", 1, 1.0)]).await.serve_here().await;
        let answer = served.ok("/api/meter?id=old").await;
        let seen = NOW_MS - old * MINUTE_MS;
        assert_eq!(members(&answer, &["to_ms", "seen_ms", "sum_kwh"]), [json!(seen), json!(seen), json!(1.0)]);
        served.end().await;
    });
}

#[test]
fn names_are_texts_whatever_is_in_them() {
    run(async {
        let name = "it's a \"meter\"; % _ -- '";
        let served = Stored::with(&[kwh(name, "EAST", 1, 1.0), kwh("plain", "EAST", 1, 2.0)]).await.serve_here().await;
        let found = served.client.get(format!("{}/api/meter", served.url)).query(&[("id", name)]).send().await;
        let found: Value = serde_json::from_str(&found.expect("sent").text().await.expect("text")).expect("JSON");
        assert_eq!(members(&found, &["id", "sum_kwh"]), [json!(name), json!(1.0)]);
        // A percent sign is a percent sign.
        let found = served.ok("/api/meters?find=%25").await;
        assert_eq!((&found["total"], &found["meters"][0]["id"]), (&json!(1), &json!(name)));
        let (status, _) = served.get("/api/meter?id=x'%20OR%20'1'%3D'1").await;
        assert_eq!(status, 404);
        served.end().await;
    });
}

#[test]
fn meters_are_found_by_a_part_of_their_name_in_any_case() {
    run(async {
        let mut readings: Vec<_> = (0..20).map(|n| kwh(&format!("Meter-{n:02}"), "EAST", 1, 1.0)).collect();
        readings.push(kwh("other", "WEST", 3, 1.0));
        let served = Stored::with(&readings).await.serve_here().await;
        let found = served.ok("/api/meters?find=mETER").await;
        assert_eq!((&found["total"], found["meters"].as_array().map(Vec::len)), (&json!(20), Some(12)));
        assert_eq!(found["meters"][0]["id"], json!("Meter-00"));
        let found = served.ok("/api/meters?find=oth").await;
        let other = json!({ "id": "other", "region": "WEST", "seen_ms": NOW_MS - 3 * MINUTE_MS });
        assert_eq!((&found["total"], &found["meters"]), (&json!(1), &json!([other])));
        assert_eq!(served.ok("/api/meters?find=nobody").await["total"], json!(0));
        assert_eq!(served.ok("/api/meters").await["total"], json!(21));
        served.end().await;
    });
}

#[test]
fn voltages_out_of_tolerance_the_worst_first() {
    run(async {
        let served = Stored::with(&fleet()).await.serve_here().await;
        let answer = served.ok("/api/voltage").await;
        let meter = |id: &str, region: &str, volts: f64, minutes_ago: i64| {
            json!({
                "id": id, "region": region, "volts": volts, "deviation": volts / 230.0 - 1.0,
                "at_ms": NOW_MS - minutes_ago * MINUTE_MS,
            })
        };
        // By how far: 30.5 V and 30 V. What was too high 20 minutes ago and is not now is not there.
        let expected = json!([meter("m-2", "WEST", 260.5, 4), meter("m-3", "EAST", 200.0, 70)]);
        assert_eq!((&answer["total"], &answer["meters"]), (&json!(2), &expected));
        // Steps of 1 V from 207 V on: 200, 231, 253 (the limit is the beginning of the first step above) and 260.5 V.
        let steps = answer["distribution"].as_array().expect("steps");
        let steps: Vec<_> =
            steps.iter().map(|s| (s["from_volts"].as_f64().expect("volts").round(), &s["meters"])).collect();
        let one = &json!(1);
        assert_eq!(steps, [(200.0, one), (231.0, one), (253.0, one), (260.0, one)]);
        served.end().await;

        // Far out is far out: of 184 V and of 275 V are the last steps.
        let far = Stored::with(&[volts("a", "E", 1, 3.0), volts("b", "E", 1, 999.0), volts("c", "E", 1, 100.0)]).await;
        let served = far.serve().await;
        let answer = served.ok("/api/voltage").await;
        let steps = answer["distribution"].as_array().expect("steps");
        let steps: Vec<_> =
            steps.iter().map(|s| (s["from_volts"].as_f64().expect("volts").round(), &s["meters"])).collect();
        assert_eq!(steps, [(184.0, &json!(2)), (275.0, &json!(1))]);
        served.end().await;

        // A list has as many rows as it may, and knows how many there are.
        let stored = Stored::with(&fleet()).await;
        let served = stored.serve_with(ViewOptions { list_rows: 1, tolerance: 0.001, ..options() }).await;
        let answer = served.ok("/api/voltage").await;
        assert_eq!((&answer["total"], &answer["meters"]), (&json!(4), &json!([meter("m-2", "WEST", 260.5, 4)])));
        served.end().await;
    });
}

#[test]
fn silent_meters_the_longest_first() {
    run(async {
        let mut readings = fleet();
        readings.push(volts("m-6", "WEST", 16, 230.0));
        let served = Stored::with(&readings).await.serve_here().await;
        let answer = served.ok("/api/silent").await;
        let meter = |id: &str, region: &str, minutes: i64| {
            let ms = minutes * MINUTE_MS;
            json!({ "id": id, "region": region, "seen_ms": NOW_MS - ms, "silent_ms": ms })
        };
        let expected = json!([meter("m-3", "EAST", 70), meter("m-6", "WEST", 16)]);
        assert_eq!((&answer["total"], &answer["meters"]), (&json!(2), &expected));
        served.end().await;
    });
}

#[test]
fn readings_that_have_ended_are_shown_as_of_their_end() {
    run(async {
        let stored = Stored::with(&fleet()).await;
        let served = stored.serve().await;
        let newest = NOW_MS - 2 * MINUTE_MS;
        // Up to an hour, now is now: all of them are silent.
        stored.clock.set(newest + 60 * MINUTE_MS);
        let answer = served.ok("/api/fleet").await;
        assert_eq!(
            members(&answer, &["now_ms", "replay", "silent"]),
            [json!(newest + 60 * MINUTE_MS), json!(false), json!(5)]
        );
        stored.clock.advance(1);
        let answer = served.ok("/api/fleet").await;
        // As of then m-5 has spoken 13 minutes ago, and its 4 kWh count.
        assert_eq!(
            members(&answer, &["now_ms", "newest_ms", "clock_ms", "replay", "silent", "kwh"]),
            [json!(newest), json!(newest), json!(newest + 60 * MINUTE_MS + 1), json!(true), json!(1), json!(5.625)]
        );
        served.end().await;
    });
}

#[test]
fn without_readings_every_panel_says_so() {
    run(async {
        for stored in [Stored::nothing().await, Stored::empty().await] {
            let served = stored.serve().await;
            for (path, zero) in [
                ("/api/fleet", "meters"),
                ("/api/fleet", "outside"),
                ("/api/voltage", "total"),
                ("/api/silent", "total"),
                ("/api/meters?find=x", "total"),
            ] {
                let answer = served.ok(path).await;
                assert_eq!(
                    members(&answer, &[zero, "newest_ms", "replay", "empty"]),
                    [json!(0), json!(null), json!(false), json!("There are no readings in meters.readings yet.")],
                    "{path}"
                );
            }
            let consumption = served.ok("/api/consumption").await;
            assert_eq!((&consumption["regions"], &consumption["total_kwh"]), (&json!([]), &json!(vec![0.0; 60])));
            assert_eq!(served.get("/api/meter?id=m-1").await.0, 404);
            served.end().await;
        }
    });
}

#[test]
fn the_first_readings_are_seen_at_once() {
    run(async {
        let stored = Stored::empty().await;
        let served = stored.serve().await;
        assert_eq!(served.ok("/api/fleet").await["meters"], json!(0));
        stored.write(&[kwh("m-1", "EAST", 1, 1.0)]).await;
        let answer = served.ok("/api/fleet").await;
        assert_eq!(members(&answer, &["meters", "regions", "empty"]), [json!(1), json!(1), json!(null)]);
        served.end().await;
    });
}

#[test]
fn an_answer_is_given_again_for_a_moment() {
    run(async {
        let stored = Stored::with(&[kwh("m-1", "EAST", 1, 1.0)]).await;
        let options = ViewOptions { fresh_for: ViewOptions::default().fresh_for, ..options() };
        let served = stored.serve_with(options).await;
        assert_eq!(served.ok("/api/fleet").await["meters"], json!(1));
        stored.write(&[kwh("m-2", "EAST", 1, 1.0)]).await;
        stored.clock.advance(999);
        assert_eq!(served.ok("/api/fleet").await["meters"], json!(1));
        // Another question is another answer.
        assert_eq!(served.ok("/api/meters").await["total"], json!(2));
        stored.clock.advance(1);
        assert_eq!(served.ok("/api/fleet").await["meters"], json!(2));
        served.end().await;
    });
}

#[test]
fn a_table_may_call_a_meter_otherwise_and_have_no_regions() {
    run(async {
        let stored = Stored::empty().await;
        let mut reading = reading("d-1", None, "kwh_measure", 60_000, 1.0);
        reading.dimensions[0].0 = "DeviceID".into();
        stored.write(&[reading]).await;
        let served = stored.serve().await;
        let answer = served.ok("/api/fleet").await;
        // An empty name is a region, as far as counting goes.
        assert_eq!(members(&answer, &["meters", "kwh"]), [json!(1), json!(1.0)]);
        let meter = served.ok("/api/meter?id=d-1").await;
        assert_eq!(members(&meter, &["region", "sum_kwh", "volts"]), [json!(""), json!(1.0), json!(null)]);
        let consumption = served.ok("/api/consumption").await;
        assert_eq!(
            (&consumption["regions"][0]["name"], &consumption["regions"][0]["sum_kwh"]),
            (&json!(""), &json!(1.0))
        );
        served.end().await;

        let stored = Stored::empty().await;
        let mut reading = crate::support::reading("x", None, "kwh_measure", 60_000, 1.0);
        reading.dimensions[0].0 = "sensor".into();
        stored.write(&[reading]).await;
        let served = stored.serve().await;
        let (status, answer) = served.get("/api/fleet").await;
        let words = answer["error"].as_str().expect("words");
        assert!(status == 500 && words.contains("'meter_id'") && words.contains("sensor"), "{status}: {words}");
        served.end().await;
        let served = stored.serve_with(ViewOptions { meter: "sensor".into(), ..options() }).await;
        assert_eq!(served.ok("/api/fleet").await["meters"], json!(1));
        served.end().await;
    });
}

#[test]
fn wrong_parameters_are_told_in_words() {
    run(async {
        let served = Stored::with(&fleet()).await.serve_here().await;
        let long = format!("/api/meter?id={}", "x".repeat(2_049));
        for (path, status, words) in [
            ("/api/consumption?span=week", 400, "'week' is no span"),
            ("/api/consumption?span=hour&span=day", 400, "'span' is there twice"),
            ("/api/fleet?sql=SELECT+1", 400, "fleet has no parameter 'sql'"),
            ("/api/meter", 400, "id=…"),
            ("/api/meter?id=", 400, "empty"),
            ("/api/meter?id=a%00b", 400, "control characters"),
            ("/api/meter?id=m-1&until=yesterday", 400, "'yesterday' is no time"),
            ("/api/meter?id=m-1&until=-5", 400, "'-5' is no time"),
            ("/api/meter?id=m-1&until=99999999999999999999", 400, "is no time"),
            (&long, 400, "longer than 2048 bytes"),
            ("/api/nothing", 404, "There is no panel 'nothing'"),
            ("/page/nothing.js", 404, "no file 'nothing.js'"),
            ("/page/..%2FCargo.toml", 404, "no file"),
            ("/elsewhere", 404, "There is nothing at /elsewhere"),
        ] {
            let (got, answer) = served.get(path).await;
            let error = answer["error"].as_str().unwrap_or_default();
            assert!(got == status && error.contains(words), "{path}: {got}: {error}");
        }
        served.end().await;
    });
}

impl Stored {
    /// Served; the store goes with the test.
    async fn serve_here(self) -> Here {
        let served = self.serve().await;
        Here { served, _stored: self }
    }
}

/// A view with its store.
struct Here {
    served: crate::support::Served,
    _stored: Stored,
}

impl std::ops::Deref for Here {
    type Target = crate::support::Served;

    fn deref(&self) -> &Self::Target {
        &self.served
    }
}

impl Here {
    async fn end(self) {
        self.served.end().await;
    }
}

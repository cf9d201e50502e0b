//! Gaps, meters, and what is above them.

use hurtig_insights::{Settings, Topology};

use crate::support::{answer, asked, fleet, gaps, median, near, period, region, rows, run, seen};

#[test]
fn outages_are_what_a_plain_count_says() {
    run(async {
        for (seed, missed) in [(31, 4), (32, 1), (33, 12)] {
            let fleet = fleet(seed);
            let asked = asked("2013-03-25", "2013-10-30", "Europe/London");
            let settings = Settings { missed, list_rows: 7, ..Settings::default() };
            let answer = answer("outages", &fleet, &asked, settings).await;
            let seen = seen(&fleet, &period(&fleet, &asked).await);
            let newest = seen.values().filter_map(|times| times.last()).max().expect("readings").as_second() as f64;
            let meters = rows(&answer, 0);
            let ids = meters.texts("meter_id").expect("meters");
            let mut sorted: Vec<_> = ids.clone();
            sorted.sort();
            assert_eq!(sorted, seen.keys().cloned().collect::<Vec<_>>());
            let mut all = Vec::new();
            for (at, id) in ids.iter().enumerate() {
                let times = &seen[id];
                let gaps = gaps(times);
                let usual = median(gaps.clone()).expect("gaps");
                let longer = (f64::from(missed) + 0.5) * usual;
                let out: Vec<f64> =
                    gaps.iter().filter(|gap| **gap > longer).map(|gap| (gap - usual) / 3_600.0).collect();
                assert_eq!(meters.counts("outages").expect("outages")[at], out.len() as u64, "{id}");
                near(meters.numbers("out_hours").expect("hours")[at], out.iter().sum(), id);
                near(meters.numbers("longest_hours").expect("hours")[at], out.iter().copied().fold(0.0, f64::max), id);
                near(meters.numbers("seen_hours").expect("hours")[at], gaps.iter().sum::<f64>() / 3_600.0, id);
                let last = times.last().expect("one").as_second() as f64;
                assert_eq!(meters.truths("silent").expect("silent")[at], newest - last > longer, "{id}");
                assert_eq!(meters.texts("region").expect("regions")[at], region(&fleet, id));
                all.extend(out);
            }
            all.sort_by(|a, b| b.total_cmp(a));
            let longest = rows(&answer, 1).numbers("out_hours").expect("hours");
            assert_eq!(longest.len(), all.len().min(7));
            for (found, expected) in longest.iter().zip(&all) {
                near(*found, *expected, "the longest");
            }
        }
    });
}

#[test]
fn the_topology_is_between_region_and_meter() {
    run(async {
        let topology =
            "meter_id,substation,feeder,latitude,longitude\nm-0,S1,F1,51.5,-0.1\nm-1,S1,F2,51.6,-0.2\nm-2,S2,F3,,\n";
        let topology = Topology::parse(topology).expect("a topology");
        let settings = Settings { topology, ..Settings::default() };
        let answer = answer("outages", &fleet(34), &asked("2013-01-01", "2013-12-31", "UTC"), settings).await;
        let svg = answer.picture.expect("a picture").inline().expect("text");
        for words in [
            "substation",
            "feeder",
            "uk / S1 / F2 / m-1: ",
            "uk / S1: 2 meters, ",
            "il / (unknown) / (unknown) / m-3",
            "where they are",
        ] {
            assert!(svg.contains(words), "{words}");
        }
    });
}

#[test]
fn what_is_too_fine_is_said() {
    run(async {
        let fleet: Vec<_> = (0..400)
            .flat_map(|meter| {
                (0..3).map(move |hour| {
                    crate::support::row(&format!("meter-{meter}"), &format!("2024-01-01T0{hour}:00:00Z"), 1.0)
                })
            })
            .collect();
        let answer = answer("outages", &fleet, &asked("2024-01-01", "2024-01-01", "UTC"), Settings::default()).await;
        assert!(
            answer.notes.iter().any(|note| note.contains("ends above the level 'meter', which has 400")),
            "{:?}",
            answer.notes
        );
    });
}

//! Nothing, next to nothing, and periods that cannot be.

use hurtig_insights::{ALL, Asked, Error, Insights, Settings};

use crate::support::{NOW, Table, answer, asked, row, run};

#[test]
fn an_empty_table_has_no_period() {
    run(async {
        let insights = Insights::new(Table::of(&[]), Settings::default()).expect("settings");
        let period = insights.period(&Asked::default(), NOW.parse().expect("a time")).await.expect("an answer");
        assert!(period.is_none());
    });
}

#[test]
fn one_reading_breaks_nothing() {
    run(async {
        let fleet = [row("a", "2024-01-01T00:00:00Z", 1.0)];
        for insight in ALL {
            let answer = answer(insight.name(), &fleet, &Asked::default(), Settings::default()).await;
            assert_eq!(answer.picture.is_some(), insight.name() == "consumption", "{}", insight.name());
            assert!(
                !answer.notes.is_empty() && !answer.notes[0].is_empty(),
                "{}: why there is nothing",
                insight.name()
            );
            assert!(
                answer.sheets.iter().all(|sheet| sheet.csv().is_ok_and(|csv| csv.contains(','))),
                "a header at least"
            );
        }
    });
}

#[test]
fn a_period_without_readings_is_empty_and_says_so() {
    run(async {
        let fleet = [row("a", "2024-01-01T00:00:00Z", 1.0), row("a", "2024-01-01T01:00:00Z", 1.0)];
        for insight in ALL {
            let answer =
                answer(insight.name(), &fleet, &asked("2025-01-01", "2025-02-01", "UTC"), Settings::default()).await;
            assert!(answer.picture.is_none(), "{}", insight.name());
            assert!(answer.notes[0].contains("period"), "{}: {:?}", insight.name(), answer.notes);
        }
        let later = Asked::parse(Some("2026-01-01"), None, None).expect("a period");
        assert!(answer("consumption", &fleet, &later, Settings::default()).await.picture.is_none());
    });
}

#[test]
fn the_whole_period_is_that_of_the_readings_until_now() {
    run(async {
        // A clock that is wrong.
        let fleet = [row("a", "2024-01-01T23:30:00Z", 1.0), row("a", "2999-01-01T00:00:00Z", 1.0)];
        let insights = Insights::new(Table::of(&fleet), Settings::default()).expect("settings");
        let asked = Asked { zone: "Europe/Berlin".into(), ..Asked::default() };
        let now = "2024-03-01T12:00:00Z".parse().expect("a time");
        let period = insights.period(&asked, now).await.expect("an answer").expect("readings");
        assert_eq!(period.words(), "2024-01-02 to 2024-03-01 (Europe/Berlin)");
        assert_eq!(period.start().to_string(), "2024-01-01T23:00:00Z");
    });
}

#[test]
fn what_cannot_be_is_one_line() {
    run(async {
        let fleet = [row("a", "2024-01-01T00:00:00Z", 1.0)];
        let insights = Insights::new(Table::of(&fleet), Settings::default()).expect("settings");
        let say = async |from: &str, to: &str, zone: &str| {
            let asked = match Asked::parse(Some(from), Some(to), Some(zone)) {
                Ok(asked) => asked,
                Err(e) => return e.to_string(),
            };
            match insights.period(&asked, NOW.parse().expect("a time")).await {
                Err(e @ Error::Parameter(_)) => e.to_string(),
                other => format!("{other:?}"),
            }
        };
        assert_eq!(say("yesterday", "", "").await, "from yesterday: that is no day; write it as 2024-01-31");
        assert_eq!(say("2024-02-30", "", "").await, "from 2024-02-30: that is no day; write it as 2024-01-31");
        assert_eq!(
            say("2024-02-02", "2024-02-01", "").await,
            "the period ends (2024-02-01) before it begins (2024-02-02)"
        );
        assert!(say("", "", "Mars/Olympus").await.starts_with("'Mars/Olympus' is no time zone"));
        assert!(say("", "", "UTC' OR '1'='1").await.contains("is no time zone"));
        assert!(say("1900-01-01", "2024-01-01", "").await.contains("too long"));
    });
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let refused = |settings: Settings| Insights::new(Table::of(&[]), settings).is_err();
    assert!(refused(Settings { band: 1.0, ..Settings::default() }));
    assert!(refused(Settings { missed: 0, ..Settings::default() }));
    assert!(refused(Settings { interval: Some(std::time::Duration::ZERO), ..Settings::default() }));
    assert!(refused(Settings { list_rows: 0, ..Settings::default() }));
}

//! A report's files.

use hurtig_insights::{
    ALL, Insights, Settings,
    report::{Part, csv, index, svg},
};

use crate::support::{NOW, Table, asked, fleet, run};

#[test]
fn a_report_has_every_picture_and_every_row() {
    run(async {
        let insights = Insights::new(Table::of(&fleet(71)), Settings::default()).expect("settings");
        let asked = asked("2013-03-01", "2013-12-31", "Europe/London");
        let period = insights.period(&asked, NOW.parse().expect("a time")).await.expect("a period").expect("readings");
        let mut answers = Vec::new();
        for insight in ALL {
            answers.push((insight, insights.answer(insight, &period).await.expect("an answer")));
        }
        let parts: Vec<_> = answers.iter().map(|(insight, answer)| Part { insight: *insight, answer }).collect();
        let mut names = Vec::new();
        for part in &parts {
            names.extend(svg(*part).expect("text").map(|(name, _)| name));
            for (name, text) in csv(*part).expect("text") {
                assert!(text.lines().count() > 1, "{name}");
                names.push(name);
            }
        }
        names.sort();
        let expected = [
            "anomalies-days.csv",
            "anomalies-furthest.csv",
            "anomalies.svg",
            "completeness.csv",
            "completeness.svg",
            "consumption.csv",
            "consumption.svg",
            "lateness.csv",
            "lateness.svg",
            "load-curves.csv",
            "load-curves.svg",
            "outages-longest.csv",
            "outages-meters.csv",
            "outages.svg",
        ];
        assert_eq!(names, expected);
        let page = index(&parts, &period, insights.settings(), &names).expect("a page");
        assert_eq!(page.matches("<svg").count(), 6);
        assert!(page.contains("WITH once AS (") && page.contains("href=\"outages-meters.csv\""));
        assert!(!page.contains("<script") && !page.contains("https://"));
    });
}

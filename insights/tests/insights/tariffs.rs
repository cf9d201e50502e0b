//! Tariff files, and what they may not say.

use hurtig_insights::Tariffs;

fn why(said: &str) -> String {
    Tariffs::parse(said, false).map(|tariffs| format!("{tariffs:?}")).expect_err("it cannot be")
}

#[test]
fn the_files_of_the_book_are_read() {
    let book = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/insights.md")).expect("the page");
    let blocks = book.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default());
    let read: Vec<_> =
        blocks.map(|block| Tariffs::parse(block, false).unwrap_or_else(|e| panic!("{e}: {block}"))).collect();
    assert!(!read.is_empty());
}

#[test]
fn the_same_in_json() {
    let toml = "currency = 'EUR'\n[[tariff]]\nname = 'a'\nprice = 0.3\n[[tariff.rate]]\nname = 'n'\nprice = 0.1\nhours = '22:00-06:00'\n";
    let json = r#"{"currency":"EUR","tariff":[{"name":"a","price":0.3,"rate":[{"name":"n","price":0.1,"hours":"22:00-06:00"}]}]}"#;
    assert_eq!(Tariffs::parse(toml, false), Tariffs::parse(json, true));
    assert_eq!(Tariffs::parse(json, true).expect("tariffs").words(), ["a: n 0.1, otherwise 0.3 EUR a kWh"]);
}

#[test]
fn every_mistake_is_one_line_that_says_which() {
    let tariff = |more: &str| format!("[[tariff]]\nname = 'a'\nprice = 0.3\n{more}");
    let rate = |more: &str| tariff(&format!("[[tariff.rate]]\nname = 'n'\nprice = 0.1\n{more}"));
    for (said, words) in [
        (String::new(), "missing field `tariff`"),
        ("tariff = []".into(), "there is no [[tariff]] in it"),
        ("[[tariff]]\nname = 'a'\n".into(), "missing field `price`"),
        ("[[tariff]]\nname = 'a'\nprice = 'much'\n".into(), "line 3: invalid type: string \"much\""),
        ("[[tariff]]\nname = 'a'\nprice = nan\n".into(), "tariff 'a': a price is a number"),
        ("[[tariff]]\nname = ' '\nprice = 1\n".into(), "tariff 1 has no name"),
        (tariff("colour = 'red'"), "line 4: unknown field `colour`"),
        (tariff("standing_charge = -1"), "tariff 'a': a standing charge is a number from 0 on"),
        (format!("currency = ''\n{}", tariff("")), "the currency has no name"),
        (format!("{0}{0}", tariff("")), "there are two tariffs 'a'"),
        (tariff("[[tariff]]\nname = 'b'\nprice = 1"), "tariff 'a' takes every meter, so nobody is left for 'b'"),
        (rate("hours = '22'"), "'22' are no hours: write them as 22:00-06:00"),
        (rate("hours = '07:00-07:00'"), "'07:00-07:00' are no hours"),
        (rate("hours = '25:00-07:00'"), "'25:00-07:00' are no hours"),
        (rate("hours = '22:60-07:00'"), "'22:60-07:00' are no hours"),
        (rate("weekdays = ['someday']"), "unknown variant `someday`"),
        (rate("months = [13]"), "tariff 'a', rate 'n': 13 is no month: they are 1 to 12"),
        (rate(""), "tariff 'a', rate 'n': it takes every hour"),
        (rate("months = [1]\n[[tariff.rate]]\nname = 'n'\nprice = 1\nmonths = [2]"), "tariff 'a' has two rates 'n'"),
        ("[[tariff]\n".into(), "line 1: "),
    ] {
        let why = why(&said);
        assert!(why.contains(words) && why.lines().count() == 1, "{said}\n{why}\nis not: {words}");
    }
}

#[test]
fn a_file_is_named() {
    let nowhere = Tariffs::read("nowhere/tariff.toml".as_ref()).expect_err("it is not there").to_string();
    assert!(nowhere.starts_with("nowhere/tariff.toml: "), "{nowhere}");
}

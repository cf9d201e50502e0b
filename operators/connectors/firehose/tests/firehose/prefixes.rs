//! Expressions, and the directories they make.

use hurtig_engine::record::Record;
use hurtig_firehose::{FirehoseConfig, Timestamps};
use proptest::prelude::*;

use crate::{HOUR, NOON, content, start, visible};

const ERRORS: &str = "errors/!{firehose:error-output-type}/";

fn directory(prefix: &str, zone: &str, time: i64) -> Result<String, String> {
    let config = FirehoseConfig::new(prefix, ERRORS).map_err(|e| e.to_string())?;
    config.time_zone(zone).map_err(|e| e.to_string())?.directory(&[], time)
}

#[test]
fn expressions_and_their_directories() {
    // The clocks of London go back at 01:00 UTC on this day, those of Berlin do at the same time.
    let autumn = 1_729_990_800_000; // 2024-10-27 01:00 UTC
    let new_year = 1_735_689_599_999; // 2024-12-31 23:59:59.999 UTC
    for (prefix, zone, time, expected) in [
        ("", "UTC", NOON, "2024/07/05/12"),
        ("readings", "UTC", NOON, "readings2024/07/05/12"),
        ("readings/", "UTC", NOON, "readings/2024/07/05/12"),
        ("readings/", "Asia/Tokyo", NOON, "readings/2024/07/05/21"),
        ("y=!{timestamp:yyyy}/m=!{timestamp:MM}/", "UTC", NOON, "y=2024/m=07"),
        ("no/slash=!{timestamp:yyyy}", "UTC", NOON, "no/slash=2024"),
        ("!{timestamp:yyyy/MM/dd/HH/}", "UTC", NOON, "2024/07/05/12"),
        ("!{timestamp:yyyy'-'MM'-'dd}/", "UTC", NOON, "2024-07-05"),
        ("!{timestamp:'year='yyyy'/o''clock='h}", "UTC", NOON, "year=2024/o'clock=12"),
        ("!{timestamp:y-u-yy-yyyyy-M-L-d-D-DDD}", "UTC", NOON, "2024-2024-24-02024-7-7-5-187-187"),
        ("!{timestamp:MMM-MMMM-MMMMM-E-EEEE-EEEEE}", "UTC", NOON, "Jul-July-J-Fri-Friday-F"),
        ("!{timestamp:H-HH-h-hh-K-k-m-mm-s-ss-S-SSS-SSSSSS}", "UTC", NOON, "12-12-12-12-0-12-59-59-59-59-9-999-999000"),
        ("!{timestamp:hh a}", "Asia/Tokyo", NOON, "09 PM"),
        ("!{timestamp:k-K-h-a}", "UTC", NOON - 12 * HOUR, "24-0-12-AM"),
        ("!{timestamp:yyyy-MM-dd-HH}", "Europe/Berlin", new_year, "2025-01-01-00"),
        ("!{timestamp:dd-HH}", "Europe/London", autumn - 1, "27-01"),
        ("!{timestamp:dd-HH}", "Europe/London", autumn, "27-01"),
        ("!{timestamp:dd-HH}", "Europe/London", autumn + HOUR, "27-02"),
        ("!{timestamp:dd-HH-mm}", "Asia/Kathmandu", autumn, "27-06-45"),
        ("!{timestamp:yyyy}/!{timestamp:yyyy}", "UTC", -1, "1969/1969"),
    ] {
        assert_eq!(directory(prefix, zone, time).as_deref(), Ok(expected), "{prefix} in {zone}");
    }
}

#[test]
fn keys_come_in_the_order_of_their_first_use() {
    let processor = [("JsonParsingEngine", "JQ-1.6"), ("MetadataExtractionQuery", "{b:.b,a:.a}")];
    let prefix = "b=!{partitionKeyFromQuery:b}/a=!{partitionKeyFromQuery:a}/again=!{partitionKeyFromQuery:b}/";
    let config = crate::with_processors(prefix, &[("MetadataExtraction", &processor)]);
    assert_eq!(config.directory(&["1", "2"], 0).as_deref(), Ok("b=1/a=2/again=1"));
    let e = config.directory(&["..", "2"], 0);
    assert_eq!(e.as_deref(), Ok("b=../a=2/again=.."), "not a directory of its own");
    for bad in ["/../x", "//", "x/.hidden"] {
        assert!(config.directory(&[bad, "2"], 0).is_err_and(|e| e.contains("cannot be a partition")), "{bad}");
    }
    assert_eq!(config.directory(&["x/y", "2"], 0).as_deref(), Ok("b=x/y/a=2/again=x/y"), "as in S3");
    let room = 512 - "b=/a=/again=/".len();
    let long = |n: usize| "/k".repeat(n / 4);
    assert!(config.directory(&[&long(room), &"v".repeat(room % 4)], 0).is_ok());
    let e = config.directory(&[&long(room), &"v".repeat(room % 4 + 1)], 0).expect_err("too long");
    assert!(e.contains("513 characters; 512 is the most"), "{e}");
}

#[test]
fn what_cannot_be_a_prefix_is_one_line() {
    for (prefix, words) in [
        ("!{timestamp:yyyy", "not closed"),
        ("!{timestamp}", "write !{namespace:value}"),
        ("!{timestamp:}", "needs a pattern"),
        ("!{time:yyyy}", "the namespace 'time' is not known"),
        ("!{firehose:random}", "!{firehose:random} is not known"),
        ("!{firehose:error-output-type}", "belongs into ErrorOutputPrefix"),
        ("!{partitionKeyFromLambda:site}", "write !{partitionKeyFromQuery:site}"),
        ("!{partitionKeyFromQuery:}", "needs the name of a key"),
        ("!{timestamp:YYYY}", "write y"),
        ("!{timestamp:ww}", "weeks begin on another day"),
        ("!{timestamp:ddd}", "at most 2 times"),
        ("!{timestamp:z}", "'z' is not a letter"),
        ("!{timestamp:yyyy[MM]}", "'[' is reserved"),
        ("!{timestamp:'T}", "not closed"),
        ("/absolute/", "cannot be a partition"),
        ("two//slashes/", "cannot be a partition"),
        ("../up/", "cannot be a partition"),
        ("_hidden/", "cannot be a partition"),
    ] {
        let e = FirehoseConfig::new(prefix, ERRORS).expect_err(prefix).to_string();
        assert!(e.contains(words) && e.contains(prefix) && e.contains("Prefix '") && !e.contains('\n'), "{e}");
    }
    let e = FirehoseConfig::new(&"x/".repeat(513), ERRORS).expect_err("long").to_string();
    assert!(e.contains("longer than 1024 characters"), "{e}");
    let e = FirehoseConfig::new(&"xyz/".repeat(129), ERRORS).expect_err("long").to_string();
    assert!(e.contains("512 is the most"), "{e}");
    for (errors, words) in [
        ("errors/!{timestamp:yyyy}/", "must hold !{firehose:error-output-type}"),
        ("!{firehose:error-output-type}/!{partitionKeyFromQuery:a}", "partition keys cannot be used here"),
    ] {
        let e = FirehoseConfig::new("a/", errors).expect_err(errors).to_string();
        assert!(e.contains(words) && e.contains("ErrorOutputPrefix"), "{e}");
    }
    FirehoseConfig::new("a/", "errors/").expect("its type and hour are appended");
}

#[test]
fn an_arrival_time_is_that_of_the_files_first_record() {
    let dir = tempfile::tempdir().expect("dir");
    let config = FirehoseConfig::new("!{timestamp:HH-mm}/", ERRORS).expect("a configuration");
    let mut harness = start(dir.path(), &config, "1");
    harness.clock.set(NOON);
    for _ in 0..3 {
        // The event time is of no account.
        harness.write(Record::at(b"x".to_vec(), 5)).expect("written");
        harness.advance(60_000).expect("time");
    }
    harness.checkpoint().expect("committed");
    harness.write(Record::at(b"y".to_vec(), 5)).expect("written");
    harness.checkpoint().expect("committed");
    let expected = [("12-59".to_owned(), "x\nx\nx\n".to_owned()), ("13-02".to_owned(), "y\n".to_owned())];
    assert_eq!(content(dir.path()).into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn event_times_file_every_record_where_it_belongs() {
    let dir = tempfile::tempdir().expect("dir");
    let config = FirehoseConfig::new("!{timestamp:yyyy-MM-dd}/!{timestamp:HH}/", ERRORS)
        .and_then(|c| c.time_zone("Europe/London"))
        .expect("a configuration")
        .timestamps(Timestamps::Event);
    let mut harness = start(dir.path(), &config, "1");
    let autumn = 1_729_990_800_000; // the clocks go back from 2:00 to 1:00
    for (n, time) in [autumn - HOUR, autumn, autumn + HOUR, autumn - 2 * HOUR, autumn - HOUR].into_iter().enumerate() {
        harness.write(Record::at(n.to_string().into_bytes(), time)).expect("written");
    }
    harness.write(Record::new(b"no time".to_vec())).expect("written");
    harness.checkpoint().expect("committed");
    let content = content(dir.path());
    assert_eq!(content["2024-10-27/00"], "3\n");
    assert_eq!(content["2024-10-27/01"], "0\n1\n4\n", "an hour that comes twice");
    assert_eq!(content["2024-10-27/02"], "2\n");
    assert!(content["errors/processing-failed"].contains("no event time"));
    assert!(harness.books.balance() && harness.books.rejected == 1);
}

#[test]
fn random_strings_are_new_for_each_file_and_the_same_when_run_again() {
    let run = |attempt: &str| {
        let dir = tempfile::tempdir().expect("dir");
        let prefix = "!{firehose:random-string}/!{firehose:random-string}/";
        let config = FirehoseConfig::new(prefix, ERRORS).expect("a configuration");
        let mut harness = start(dir.path(), &config, attempt);
        for _ in 0..3 {
            harness.write(Record::new(b"x".to_vec())).expect("written");
            harness.write(Record::new(b"x".to_vec())).expect("written");
            harness.checkpoint().expect("committed");
        }
        assert_eq!(visible(dir.path()).len(), 3);
        content(dir.path()).into_keys().flat_map(|d| d.split('/').map(str::to_owned).collect::<Vec<_>>()).collect()
    };
    let mut drawn: Vec<String> = run("1");
    assert_eq!(drawn, run("1"));
    assert!(drawn.iter().all(|s| s.len() == 11 && s.chars().all(|c| c.is_ascii_alphanumeric())), "{drawn:?}");
    drawn.extend(run("2"));
    drawn.sort();
    drawn.dedup();
    assert_eq!(drawn.len(), 12);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What is remembered of event times is what is evaluated for each: near clock changes, too.
    #[test]
    fn remembered_times_are_right(
        zone in prop::sample::select(vec!["UTC", "Europe/London", "Australia/Lord_Howe", "America/New_York", "Asia/Kathmandu"]),
        pattern in prop::sample::select(vec!["yyyy-MM-dd'T'HH", "HH-mm", "D-HH-mm-ss", "yyyy", "ss-SSS"]),
        times in prop::collection::vec((prop::sample::select(vec![1_729_990_800_000_i64, 1_711_846_800_000, 1_712_415_600_000, -5_000_000_000_000]), -8_000_000_i64..8_000_000), 1..40),
    ) {
        let prefix = format!("!{{timestamp:{pattern}}}");
        let config = FirehoseConfig::new(&prefix, ERRORS).and_then(|c| c.time_zone(zone)).expect("a configuration");
        let dir = tempfile::tempdir().expect("dir");
        let mut harness = start(dir.path(), &config.clone().timestamps(Timestamps::Event), "1");
        let mut expected = std::collections::BTreeMap::<String, String>::new();
        for (n, (base, offset)) in times.into_iter().enumerate() {
            let time = base + offset;
            harness.write(Record::at(n.to_string().into_bytes(), time)).expect("written");
            // As an arrival time, each is evaluated by itself.
            expected.entry(config.directory(&[], time).expect("a directory")).or_default().push_str(&format!("{n}\n"));
        }
        harness.checkpoint().expect("committed");
        prop_assert_eq!(content(dir.path()), expected);
    }

    /// Text without expressions stays as it is.
    #[test]
    fn text_stays_as_it_is(text in "[a-z][a-z0-9=!{} -]{0,20}") {
        prop_assume!(!text.contains("!{"));
        let evaluated = directory(&text, "UTC", NOON);
        prop_assert_eq!(evaluated, Ok(format!("{text}2024/07/05/12")));
    }
}

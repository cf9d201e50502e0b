//! Scheduled queries as their makers see them: when they run, what they write, what they say when they fail, and that a
//! restart changes nothing.

use std::{path::Path, sync::Arc, time::Duration};

use hurtig_state::{Clock, ManualClock};
use hurtig_store::{Measure, MeasureValue, NewTable, Record, Retention};
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::served::Served;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

/// 2024-01-31T23:50:30Z, a Wednesday of a leap year.
fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(at("2024-01-31T23:50:30Z")))
}

fn at(text: &str) -> i64 {
    text.parse::<Timestamp>().expect("a time").as_millisecond()
}

/// A time of an answer.
fn time(value: &Value) -> Option<String> {
    let milliseconds = (value.as_f64()? * 1_000.0).round() as i64;
    Some(Timestamp::from_millisecond(milliseconds).expect("a time").to_string())
}

async fn served(clock: &Arc<ManualClock>) -> (TempDir, Served) {
    let dir = tempfile::tempdir().expect("a directory");
    let served = Served::start(dir.path(), clock).await;
    served.store.create_database("meters", None).expect("a database");
    for table in ["readings", "hours"] {
        let retention = Retention { memory_hours: 24, magnetic_days: 7, magnetic_writes: table == "readings" };
        served.store.create_table("meters", table, NewTable { retention, ..NewTable::default() }).expect("a table");
    }
    (dir, served)
}

async fn write(served: &Served, meter: &str, ago_ms: i64, kw: f64, version: u64) {
    let record = Record {
        dimensions: [("meter".into(), meter.into())].into_iter().collect(),
        measure_name: "kw".into(),
        measure: Measure::Single(MeasureValue::Double(kw)),
        time: (served.store.now_ms() - ago_ms) * 1_000_000,
        version,
    };
    let outcome = served.store.write("meters", "readings", &[record]).await.expect("written");
    assert_eq!(outcome.rejected, []);
}

/// The hour's average and maximum of each meter.
const HOURS: &str = "SELECT meter, bin(@scheduled_runtime, 1h) AS hour, avg(measure_value::double) AS mean,
    max(measure_value::double) AS most, count(*) AS n FROM meters.readings
    WHERE time > @scheduled_runtime - 1h AND time <= @scheduled_runtime GROUP BY meter";

fn hours(name: &str, schedule: &str) -> Value {
    let attribute = |source: &str, kind: &str| json!({ "SourceColumn": source, "MeasureValueType": kind });
    json!({
        "Name": name,
        "QueryString": HOURS,
        "ScheduleConfiguration": { "ScheduleExpression": schedule },
        "NotificationConfiguration": { "SnsConfiguration": { "TopicArn": "arn:aws:sns:us-east-1:000000000000:t" } },
        "ScheduledQueryExecutionRoleArn": "arn:aws:iam::000000000000:role/r",
        "ErrorReportConfiguration": { "S3Configuration": { "BucketName": "reports", "ObjectKeyPrefix": "of" } },
        "TargetConfiguration": { "TimestreamConfiguration": {
            "DatabaseName": "meters", "TableName": "hours", "TimeColumn": "hour",
            "DimensionMappings": [{ "Name": "meter", "DimensionValueType": "VARCHAR" }],
            "MultiMeasureMappings": {
                "TargetMultiMeasureName": "hourly",
                "MultiMeasureAttributeMappings": [
                    attribute("mean", "DOUBLE"),
                    attribute("n", "BIGINT"),
                    { "SourceColumn": "most", "MeasureValueType": "DOUBLE", "TargetMultiMeasureAttributeName": "peak" },
                ],
            },
        } },
    })
}

async fn create(served: &Served, request: Value) -> String {
    served.done("CreateScheduledQuery", request).await["Arn"].as_str().expect("a name").to_owned()
}

async fn describe(served: &Served, arn: &str) -> Value {
    let answer = served.done("DescribeScheduledQuery", json!({ "ScheduledQueryArn": arn })).await;
    answer["ScheduledQuery"].clone()
}

/// Waits until the last run is of this time, and says how it went.
async fn until_run(served: &Served, arn: &str, invocation: i64) -> Value {
    let wanted = Timestamp::from_millisecond(invocation).expect("a time").to_string();
    let look = async {
        loop {
            let run = describe(served, arn).await["LastRunSummary"].take();
            if time(&run["InvocationTime"]).as_ref() == Some(&wanted) {
                return run;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    match tokio::time::timeout(Duration::from_secs(120), look).await {
        Ok(run) => run,
        Err(_) => panic!("no run of {wanted}: {}", describe(served, arn).await),
    }
}

fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schedules_are_as_aws_has_them() {
    let clock = clock();
    let (_dir, served) = served(&clock).await;
    // The columns that the query names are there with the first reading.
    write(&served, "m-1", MINUTE, 1.0, 1).await;
    for (n, (schedule, wanted)) in [
        ("cron(0/15 * * * ? *)", "2024-02-01T00:00:00Z"),
        ("cron(0 8 * * ? *)", "2024-02-01T08:00:00Z"),
        ("cron(0 18 ? * MON-FRI *)", "2024-02-01T18:00:00Z"),
        // 1 is Sunday.
        ("cron(0 0 ? * 1 *)", "2024-02-04T00:00:00Z"),
        ("cron(0 0 ? * SAT *)", "2024-02-03T00:00:00Z"),
        ("cron(0 0 L * ? *)", "2024-02-29T00:00:00Z"),
        // The weekday nearest to the 3rd, which is a Saturday.
        ("cron(0 0 3W * ? *)", "2024-02-02T00:00:00Z"),
        // The second Tuesday, the last Friday.
        ("cron(0 0 ? * 3#2 *)", "2024-02-13T00:00:00Z"),
        ("cron(0 0 ? * 6L *)", "2024-02-23T00:00:00Z"),
        ("cron(51,55 23 31 JAN ? 2024-2030)", "2024-01-31T23:51:00Z"),
        ("cron(0 0 29 2 ? *)", "2024-02-29T00:00:00Z"),
        ("rate(1 minute)", "2024-01-31T23:51:30Z"),
        ("rate( 2 hours )", "2024-02-01T01:50:30Z"),
        ("rate(1 days)", "2024-02-01T23:50:30Z"),
    ]
    .into_iter()
    .enumerate()
    {
        let arn = create(&served, hours(&format!("q{n}"), schedule)).await;
        let next = time(&describe(&served, &arn).await["NextInvocationTime"]);
        assert_eq!(next.as_deref(), Some(wanted), "{schedule}");
    }
    for wrong in [
        "cron(0 8 * * * *)",
        "cron(0 8 ? * ? *)",
        "cron(0 8 * * ?)",
        "cron(60 8 * * ? *)",
        "cron(0 8 ? * 8 *)",
        "cron(0 8 30 2 ? 2024)",
        "cron(0 8 * * ? 2020)",
        "rate(0 minutes)",
        "rate(5 seconds)",
        "rate(minute)",
        "every day",
    ] {
        let (kind, words) = served.refused("CreateScheduledQuery", hours("wrong", wrong)).await;
        assert_eq!(kind, "ValidationException", "{wrong}: {words}");
        assert!(words.contains("Invalid schedule expression"), "{wrong}: {words}");
    }
    served.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_writes_its_rows_and_a_later_one_replaces_them() {
    let clock = clock();
    let (_dir, served) = served(&clock).await;
    for (meter, ago, kw) in [("m-1", 10, 1.0), ("m-1", 20, 2.0), ("m-2", 30, 5.0), ("m-2", 90, 7.0)] {
        write(&served, meter, ago * MINUTE, kw, 1).await;
    }
    let arn = create(&served, hours("hours", "rate(1 minute)")).await;
    let created = clock.now_ms();
    clock.advance(MINUTE);
    let run = until_run(&served, &arn, created + MINUTE).await;
    assert_eq!(run["RunStatus"], "AUTO_TRIGGER_SUCCESS", "{run}");
    let stats = &run["ExecutionStats"];
    assert_eq!((&stats["QueryResultRows"], &stats["RecordsIngested"]), (&json!(2), &json!(2)));
    assert!(stats["DataWrites"].as_u64() > Some(50) && stats["BytesMetered"] == 10_000_000, "{stats}");
    let found = "SELECT meter, measure_name, time, mean, peak, n FROM meters.hours ORDER BY meter";
    let hour = "2024-01-31 23:00:00.000000000";
    let row = |meter: &str, [mean, peak, n]: [&str; 3]| [meter, "hourly", hour, mean, peak, n].map(text).to_vec();
    assert_eq!(served.rows(found).await, [row("m-1", ["1.5", "2.0", "2"]), row("m-2", ["5.0", "5.0", "1"])]);

    // A reading that has come late: the next run computes the hour again.
    write(&served, "m-1", 15 * MINUTE, 6.0, 1).await;
    clock.advance(MINUTE);
    until_run(&served, &arn, created + 2 * MINUTE).await;
    assert_eq!(served.rows(found).await, [row("m-1", ["3.0", "6.0", "3"]), row("m-2", ["5.0", "5.0", "1"])]);

    // By hand, as of another time: that is what the query sees.
    let asked = created - HOUR;
    let execute = json!({ "ScheduledQueryArn": arn, "InvocationTime": asked as f64 / 1_000.0 });
    served.done("ExecuteScheduledQuery", execute).await;
    let run = until_run(&served, &arn, asked).await;
    assert_eq!(run["RunStatus"], "MANUAL_TRIGGER_SUCCESS", "{run}");
    let before = served.rows("SELECT meter, peak FROM meters.hours WHERE time < '2024-01-31 23:00:00'").await;
    assert_eq!(before, [[text("m-2"), text("7.0")]]);
    served.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_are_no_records_are_reported() {
    let clock = clock();
    let (dir, served) = served(&clock).await;
    write(&served, "m-1", MINUTE, 1.0, 1).await;
    let mut request = hours("mixed", "rate(1 hour)");
    // A time of its own for each: the third is older than the table takes, the fourth is none.
    request["QueryString"] =
        "SELECT 'm-1' AS meter, now() - 1m AS t, 'a' AS name, 1.5 AS x, 7 AS i, 'on' AS s, true AS b
        UNION ALL SELECT 'm-2', now() - 1m, 'b', 2.5, 8, CAST(NULL AS VARCHAR), false
        UNION ALL SELECT 'm-3', now() - 2d, 'a', 3.5, 9, 'off', true
        UNION ALL SELECT 'm-4', CAST(NULL AS TIMESTAMP), 'a', 4.5, 9, 'off', true
        UNION ALL SELECT 'm-5', now() - 1m, 'c', 4.5, 9, 'off', true"
            .into();
    let target = &mut request["TargetConfiguration"]["TimestreamConfiguration"];
    target.as_object_mut().expect("an object").remove("MultiMeasureMappings");
    target["TimeColumn"] = "t".into();
    target["MeasureNameColumn"] = "name".into();
    target["MixedMeasureMappings"] = json!([
        { "MeasureName": "a", "TargetMeasureName": "alpha", "SourceColumn": "x", "MeasureValueType": "DOUBLE" },
        { "MeasureName": "b", "MeasureValueType": "MULTI", "MultiMeasureAttributeMappings": [
            { "SourceColumn": "i", "MeasureValueType": "BIGINT" },
            { "SourceColumn": "s", "MeasureValueType": "VARCHAR" },
            { "SourceColumn": "b", "MeasureValueType": "BOOLEAN", "TargetMultiMeasureAttributeName": "flag" },
        ] },
    ]);
    let arn = create(&served, request).await;
    let asked = clock.now_ms();
    let execute = json!({ "ScheduledQueryArn": arn, "InvocationTime": asked as f64 / 1_000.0 });
    served.done("ExecuteScheduledQuery", execute).await;
    let run = until_run(&served, &arn, asked).await;
    assert_eq!(run["RunStatus"], "MANUAL_TRIGGER_FAILURE");
    assert!(run["FailureReason"].as_str().is_some_and(|why| why.starts_with("3 records were not written")), "{run}");
    let stats = &run["ExecutionStats"];
    assert_eq!((&stats["QueryResultRows"], &stats["RecordsIngested"]), (&json!(5), &json!(2)));
    let rows =
        served.rows("SELECT meter, measure_name, measure_value::double, i, flag FROM meters.hours ORDER BY 1").await;
    let wanted = [
        vec![text("m-1"), text("alpha"), text("1.5"), None, None],
        vec![text("m-2"), text("b"), None, text("8"), text("false")],
    ];
    assert_eq!(rows, wanted);
    assert_eq!(describe(&served, &arn).await["RecentlyFailedRuns"], json!([run]));

    let location = &run["ErrorReportLocation"]["S3ReportLocation"];
    assert_eq!(location["BucketName"], "reports");
    let key = location["ObjectKey"].as_str().expect("a key");
    let id = arn.rsplit('/').next().expect("an id");
    assert_eq!(key, format!("of/{id}/{asked}/Manual/{asked}"));
    let report = std::fs::read_to_string(dir.path().join("out/reports").join(Path::new(key))).expect("a report");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let mut reasons: Vec<_> =
        report["errors"].as_array().expect("errors").iter().map(|e| e["reason"].to_string()).collect();
    reasons.sort();
    for (reason, words) in reasons.iter().zip(["measure name 'c'", "outside the time range", "time is NULL"]) {
        assert!(reason.contains(words), "{reasons:?}");
    }
    let rejected = report["errors"].as_array().expect("errors").iter().find_map(|e| e["records"].get(0));
    assert_eq!(rejected.expect("a record")["dimensions"], json!([{ "name": "meter", "value": "m-3" }]));
    served.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_keeps_them_and_what_was_missed_is_run_once() {
    let clock = clock();
    let (dir, before) = served(&clock).await;
    write(&before, "m-1", 10 * MINUTE, 1.0, 1).await;
    let mut request = hours("hours", "rate(1 minute)");
    // A row of its own for each run.
    request["QueryString"] = HOURS.replace("bin(@scheduled_runtime, 1h)", "@scheduled_runtime").into();
    let arn = create(&before, request).await;
    let created = clock.now_ms();
    clock.advance(MINUTE);
    until_run(&before, &arn, created + MINUTE).await;
    before.end().await;

    clock.advance(20 * MINUTE);
    let again = Served::start(dir.path(), &clock).await;
    let run = until_run(&again, &arn, created + 21 * MINUTE).await;
    assert_eq!(run["RunStatus"], "AUTO_TRIGGER_SUCCESS");
    let described = describe(&again, &arn).await;
    assert_eq!(
        time(&described["NextInvocationTime"]),
        Some(Timestamp::from_millisecond(created + 22 * MINUTE).expect("a time").to_string())
    );
    assert_eq!(described["RecentlyFailedRuns"], json!([]));
    let runs = again.rows("SELECT to_milliseconds(time) FROM meters.hours ORDER BY time").await;
    assert_eq!(runs, [[text(&(created + MINUTE).to_string())], [text(&(created + 21 * MINUTE).to_string())]]);

    // What it misses while it is disabled is not made up for.
    let state = |state: &str| json!({ "ScheduledQueryArn": arn, "State": state });
    again.done("UpdateScheduledQuery", state("DISABLED")).await;
    let described = describe(&again, &arn).await;
    assert_eq!((described["State"].as_str(), described.get("NextInvocationTime")), (Some("DISABLED"), None));
    clock.advance(10 * MINUTE);
    again.done("UpdateScheduledQuery", state("ENABLED")).await;
    let described = describe(&again, &arn).await;
    assert_eq!(
        time(&described["NextInvocationTime"]),
        Some(Timestamp::from_millisecond(created + 32 * MINUTE).expect("a time").to_string())
    );
    assert_eq!(
        time(&described["PreviousInvocationTime"]),
        Some(Timestamp::from_millisecond(created + 21 * MINUTE).expect("a time").to_string())
    );

    // A table that is gone makes its runs fail; the schedule goes on.
    again.store.delete_table("meters", "hours").expect("deleted");
    for minute in [32, 33] {
        clock.advance(MINUTE);
        let run = until_run(&again, &arn, created + minute * MINUTE).await;
        assert_eq!(run["RunStatus"], "AUTO_TRIGGER_FAILURE");
        assert!(run["FailureReason"].as_str().is_some_and(|why| why.contains("does not exist")), "{run}");
    }
    assert_eq!(describe(&again, &arn).await["RecentlyFailedRuns"].as_array().map(Vec::len), Some(2));
    again.done("DeleteScheduledQuery", json!({ "ScheduledQueryArn": arn })).await;
    again.end().await;

    let last = Served::start(dir.path(), &clock).await;
    assert_eq!(last.done("ListScheduledQueries", json!({})).await["ScheduledQueries"], json!([]));
    last.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_is_refused() {
    let clock = clock();
    let (_dir, served) = served(&clock).await;
    // The columns that the query names are there with the first reading.
    write(&served, "m-1", MINUTE, 1.0, 1).await;
    let mut first = hours("one", "rate(1 hour)");
    first["ClientToken"] = "t".repeat(32).into();
    first["Tags"] = json!([{ "Key": "a", "Value": "1" }]);
    let arn = create(&served, first.clone()).await;
    assert!(arn.contains(":scheduled-query/one-"), "{arn}");
    assert_eq!(create(&served, first.clone()).await, arn, "a request that is repeated is one");
    let tags = served.done("ListTagsForResource", json!({ "ResourceARN": arn })).await;
    assert_eq!(tags["Tags"], json!([{ "Key": "a", "Value": "1" }]));

    let changed = |change: &dyn Fn(&mut Value)| {
        let mut request = hours("two", "rate(1 hour)");
        change(&mut request);
        request
    };
    let target = |member: &'static str, value: Value| {
        changed(&move |r| r["TargetConfiguration"]["TimestreamConfiguration"][member] = value.clone())
    };
    for (kind, words, request) in [
        ("Conflict", "already exists", hours("one", "rate(1 hour)")),
        ("Validation", "pattern", changed(&|r| r["Name"] = "a b".into())),
        ("Validation", "line 1:8", changed(&|r| r["QueryString"] = "SELECT nothing".into())),
        ("Validation", "is a SELECT", changed(&|r| r["QueryString"] = "UNLOAD (SELECT 1 AS a) TO 's3://b'".into())),
        ("Validation", "topicArn", changed(&|r| r["NotificationConfiguration"] = json!({}))),
        ("Validation", "targetConfiguration", changed(&|r| r["TargetConfiguration"] = Value::Null)),
        ("ResourceNotFound", "does not exist", target("TableName", "nothing".into())),
        ("Validation", "no column 'at'", target("TimeColumn", "at".into())),
        ("Validation", "must be of the type Timestamp", target("TimeColumn", "meter".into())),
        ("Validation", "must be of the type Varchar", target("MeasureNameColumn", "mean".into())),
        ("Validation", "either MultiMeasureMappings or", target("MixedMeasureMappings", json!([]))),
    ] {
        let (got, message) = served.refused("CreateScheduledQuery", request).await;
        assert!(got == format!("{kind}Exception") && message.contains(words), "{words}: {got}: {message}");
    }
    let nobody = arn.replace("one-", "other-");
    for operation in ["DescribeScheduledQuery", "DeleteScheduledQuery", "UpdateScheduledQuery", "ExecuteScheduledQuery"]
    {
        let request = json!({ "ScheduledQueryArn": nobody, "State": "ENABLED", "InvocationTime": 0 });
        assert_eq!(served.refused(operation, request).await.0, "ResourceNotFoundException", "{operation}");
    }
    let (kind, _) =
        served.refused("UpdateScheduledQuery", json!({ "ScheduledQueryArn": arn, "State": "PAUSED" })).await;
    assert_eq!(kind, "ValidationException");
    // `@scheduled_runtime` is a scheduled query's only.
    let (kind, words) = served.refused("Query", json!({ "QueryString": "SELECT @scheduled_runtime" })).await;
    assert!(kind == "ValidationException" && words.contains("scheduled_runtime"), "{words}");

    // Whoever looks at a query before he schedules it is told of it.
    let prepared = served.done("PrepareQuery", json!({ "QueryString": HOURS })).await;
    assert_eq!(prepared["Parameters"], json!([{ "Name": "scheduled_runtime", "Type": { "ScalarType": "TIMESTAMP" } }]));
    assert_eq!(prepared["Columns"][1], json!({ "Name": "hour", "Type": { "ScalarType": "TIMESTAMP" } }));
    let prepared = served.done("PrepareQuery", json!({ "QueryString": "SELECT '@scheduled_runtime' AS a" })).await;
    assert_eq!(prepared["Parameters"], json!([]));

    // In pages.
    for n in 0..4 {
        create(&served, hours(&format!("q{n}"), "rate(1 hour)")).await;
    }
    let mut names = Vec::new();
    let mut request = json!({ "MaxResults": 2 });
    loop {
        let page = served.done("ListScheduledQueries", request.clone()).await;
        let queries = page["ScheduledQueries"].as_array().expect("queries");
        assert!(queries.len() <= 2);
        names.extend(queries.iter().map(|q| q["Name"].as_str().expect("a name").to_owned()));
        match page.get("NextToken") {
            Some(token) => request["NextToken"] = token.clone(),
            None => break,
        }
    }
    assert_eq!(names, ["one", "q0", "q1", "q2", "q3"]);
    served.end().await;
}

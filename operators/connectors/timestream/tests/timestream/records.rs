//! Records: what is checked before it is sent, how values are written, what is common, where times go.

use hurtig_timestream::{MeasureValue, Route, TableInfo, TimeUnit, TimestreamRecord, Window, factor_out, limits};

fn good() -> TimestreamRecord {
    TimestreamRecord::multi("reading", 1_700_000_000_000).dimension("meter", "m1").measure("kwh", 1.5)
}

#[test]
fn what_timestream_would_refuse_is_refused_with_the_reason() {
    assert_eq!(limits::check(&good()), Ok(()));
    let no = |record: TimestreamRecord, words: &str| {
        let said = limits::check(&record).expect_err(words);
        assert!(said.contains(words), "{said}: {words}");
    };
    no(good().measure("v", f64::NAN), "finite");
    no(good().measure("v", f64::NEG_INFINITY), "finite");
    no(good().measure("v", ""), "empty text");
    no(good().measure("kwh", 2.0), "twice");
    no(good().measure("meter", 2.0), "a dimension and a measure");
    no(good().dimension("meter", "m2"), "twice");
    no(good().dimension("region", ""), "empty");
    for name in ["time", "measure_value", "ts_non_existent_col", "ts_x", "measure_name"] {
        no(good().dimension(name, "x"), "reserved");
        no(good().measure(name, 1.0), "reserved");
    }
    no(good().dimension("é".repeat(31), "x"), "62 bytes");
    assert_eq!(limits::check(&good().dimension("é".repeat(30), "x")), Ok(()));
    no((0..129).fold(good(), |r, i| r.dimension(format!("d{i}"), "x")), "dimensions");
    no((0..256).fold(good(), |r, i| r.measure(format!("v{i}"), true)), "257 measures");
    no(good().measure("text", "x".repeat(2_020)), "bytes");
    no(good().version(0), "version");
    no(TimestreamRecord::single("kwh", 1.0, 1), "no dimension");
    no(TimestreamRecord::single("t", MeasureValue::Timestamp(1), 1).dimension("m", "1"), "multi-measure");
    no(TimestreamRecord::multi("reading", 1).dimension("m", "1"), "no measure value");
}

#[test]
fn the_largest_record_is_taken_and_one_byte_more_is_not() {
    let fill = |n: usize| good().measure("t", "x".repeat(n));
    let spare = limits::RECORD - limits::size(&fill(1)) + 1;
    assert_eq!(limits::check(&fill(spare)), Ok(()));
    assert!(limits::check(&fill(spare + 1)).is_err());
}

#[test]
fn doubles_read_back_as_the_same_and_minus_zero_is_zero() {
    assert_eq!(MeasureValue::Double(-0.0).text(), "0.0");
    for x in [0.1, -1.5e-300, f64::MAX, f64::MIN_POSITIVE, 1e16, 123_456_789.123] {
        assert_eq!(MeasureValue::Double(x).text().parse::<f64>().expect("a number").to_bits(), x.to_bits());
    }
}

#[test]
fn an_identity_depends_on_neither_the_order_of_dimensions_nor_the_unit() {
    let a =
        TimestreamRecord::single("kwh", 1.0, 7).time_unit(TimeUnit::Seconds).dimension("a", "1").dimension("b", "2");
    let b = TimestreamRecord::single("kwh", 2.0, 7_000).dimension("b", "2").dimension("a", "1");
    assert_eq!(a.identity(), b.identity());
    let c = TimestreamRecord::single("kwh", 1.0, 7_000).dimension("b", "1").dimension("a", "2");
    assert_ne!(a.identity(), c.identity());
    assert_ne!(a.identity(), TimestreamRecord { measure_name: "v".into(), ..a.clone() }.identity());
}

#[test]
fn what_all_share_is_said_once() {
    let record = |meter: &str, n: i64| good().dimension("region", "north").dimension("n", meter).version(n);
    let (a, b) = (record("1", 3), record("2", 3));
    let common = factor_out([&a, &b].into_iter());
    assert_eq!(common.dimensions, [("meter".to_owned(), "m1".to_owned()), ("region".into(), "north".into())]);
    assert_eq!((common.measure_name.as_deref(), common.measure_type), (Some("reading"), Some("MULTI")));
    assert_eq!(
        (common.time, common.time_unit, common.version),
        (Some(1_700_000_000_000), Some(TimeUnit::default()), Some(3))
    );
    let other = TimestreamRecord::single("kwh", 1.0, 1).time_unit(TimeUnit::Seconds).dimension("x", "y");
    assert!(factor_out([&a, &other].into_iter()).is_empty());
    assert!(factor_out([&a].into_iter()).is_empty(), "one alone shares nothing");
}

#[test]
fn a_time_decides_about_the_store() {
    const HOUR: i64 = 3_600_000;
    let table = TableInfo { memory_hours: 6, magnetic_days: 10, magnetic_writes: true };
    let (on, off) = (Window::of(&table), Window::of(&TableInfo { magnetic_writes: false, ..table }));
    let now = 1_000 * HOUR;
    for (age, with, without) in [
        (-15 * 60_000 - 1, Route::Future, Route::Future),
        (-15 * 60_000, Route::Memory, Route::Memory),
        (6 * HOUR, Route::Memory, Route::Memory),
        (6 * HOUR + 1, Route::Magnetic, Route::TooOld),
        (240 * HOUR, Route::Magnetic, Route::TooOld),
        (240 * HOUR + 1, Route::TooOld, Route::TooOld),
    ] {
        assert_eq!((on.route(now - age, now), off.route(now - age, now)), (with, without), "{age} ms old");
    }
    assert!(off.why_not(Route::TooOld, 0, now).contains("EnableMagneticStoreWrites"));
    assert!(on.why_not(Route::Future, now + HOUR, now).contains("3600 s ahead"));
}

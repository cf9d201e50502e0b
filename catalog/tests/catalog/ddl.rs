//! Statements: what is read, what is refused, and that a table's DDL is that table again.

use std::collections::BTreeSet;

use hurtig_catalog::{Column, Format, HiveType, Projection, SerDe, Statement, Table, TableName};
use proptest::prelude::*;

use crate::fixture::*;

#[test]
fn the_talks_table_is_read_although_its_parenthesis_is_open() {
    let Some(Statement::CreateTable { table, if_not_exists, notes }) = Statement::parse(SLIDE).expect("read") else {
        panic!("a table");
    };
    assert!(if_not_exists);
    assert_eq!(
        notes,
        [
            "line 13:1: PARTITIONED BY has a comma behind its last column, and no ')'; it was read as if it was right, and \
          Athena refuses it"
        ]
    );
    let names: Vec<_> = table.partitions.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["year", "month", "day", "hour"]);
    assert!(table.partitions.iter().all(|column| column.kind == HiveType::Int));
    assert_eq!(table.format.serde, SerDe::OpenXJson);
    assert_eq!(Projection::of(&table).expect("a projection").and_then(|p| p.size(NOW_MS)), Some(794_592));
}

#[test]
fn a_comma_or_a_parenthesis_alone_is_overlooked_too() {
    let tail = "STORED AS PARQUET LOCATION 's3://b/t/'";
    for (partitions, note) in [
        ("PARTITIONED BY (location string, comment int,)", "has a comma behind its last column;"),
        ("PARTITIONED BY (location string, comment int", "has no ')';"),
    ] {
        let statement = Statement::parse(&format!("CREATE EXTERNAL TABLE t (a int) {partitions} {tail}"));
        let Ok(Some(Statement::CreateTable { table, notes, .. })) = statement else { panic!("{statement:?}") };
        assert_eq!(table.partitions.len(), 2);
        assert!(notes.len() == 1 && notes[0].contains(note), "{notes:?}");
    }
    // Elsewhere they are errors, as in Athena.
    assert_eq!(
        refused(&format!("CREATE EXTERNAL TABLE t (a int,) {tail}")),
        "line 1:32: there is a comma behind the last column: take it out"
    );
}

#[test]
fn everything_people_write() {
    let table = parsed(
        "-- a comment
        create external table `Db`.`Order` (
            `A` string comment 'it''s \"a\"', b INT, c integer, d bigint, e tinyint, f smallint, g float, h double,
            i decimal(10, 2), j decimal, k varchar(20), l char(3), m date, n timestamp, o boolean, p binary, /* another */
            q array<array<string>>, r map<string,array<struct<x:int,`y z`:double>>>, s struct<t:string,u:struct<v:date>>,
            location string, `date` string)
        comment \"the table\"
        partitioned by (year int comment 'y', dt string)
        row format serde 'org.openx.data.jsonserde.JsonSerDe'
        with serdeproperties ('ignore.malformed.json' = 'true', \"mapping.ts\"='timestamp')
        stored as inputformat 'org.apache.hadoop.mapred.TextInputFormat'
        outputformat 'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat'
        location 's3://b/p/'
        tblproperties ('has_encrypted_data'='false');;",
    );
    assert_eq!(table.name, TableName::new("db", "order"));
    let kinds: Vec<_> = table.columns.iter().map(|column| format!("{} {}", column.name, column.kind)).collect();
    assert_eq!(
        kinds.join(", "),
        "a string, b int, c int, d bigint, e tinyint, f smallint, g float, h double, i decimal(10,2), j decimal(10,0), \
         k varchar(20), l char(3), m date, n timestamp, o boolean, p binary, q array<array<string>>, \
         r map<string,array<struct<x:int,`y z`:double>>>, s struct<t:string,u:struct<v:date>>, location string, date string"
    );
    assert_eq!(table.columns[0].comment.as_deref(), Some("it's \"a\""));
    assert_eq!(table.comment.as_deref(), Some("the table"));
    assert_eq!(table.format.properties["mapping.ts"], "timestamp");
    assert_eq!(table.schema().fields().len(), 23);
    assert_eq!(parsed(&table.to_ddl()), table);
}

#[test]
fn a_delta_lake_table_is_its_place() {
    let table = parsed(
        "CREATE EXTERNAL TABLE meters.readings LOCATION 's3://b/readings/' TBLPROPERTIES ('table_type'='delta')",
    );
    assert!(table.is_delta() && table.columns.is_empty());
    assert_eq!(parsed(&table.to_ddl()), table);
    let said = |ddl: &str| Statement::parse(ddl).expect_err("a mistake").to_string();
    let columns = said("CREATE EXTERNAL TABLE t (a int) LOCATION 's3://b/t/' TBLPROPERTIES ('table_type'='DELTA')");
    assert!(columns.contains("leave them out"), "{columns}");
    let none = said("CREATE EXTERNAL TABLE t LOCATION 's3://b/t/'");
    assert!(none.contains("t has no columns") && none.contains("'table_type'='DELTA'"), "{none}");
}

#[test]
fn rows_are_delimited_in_many_ways() {
    let table = parsed(
        r"CREATE EXTERNAL TABLE t (a int) ROW FORMAT DELIMITED FIELDS TERMINATED BY '\t' ESCAPED BY '\\'
        COLLECTION ITEMS TERMINATED BY '\002' MAP KEYS TERMINATED BY '\u0003' LINES TERMINATED BY '\n'
        NULL DEFINED AS '' LOCATION '/data/t'",
    );
    assert_eq!(table.format.serde, SerDe::LazySimple);
    let properties = &table.format.properties;
    assert_eq!(properties["field.delim"], "\t");
    assert_eq!(properties["escape.delim"], "\\");
    assert_eq!(properties["colelction.delim"], "\u{2}");
    assert_eq!(properties["mapkey.delim"], "\u{3}");
    assert_eq!(properties["serialization.null.format"], "");
    assert_eq!(parsed(&table.to_ddl()), table);
    assert_eq!(parsed("CREATE EXTERNAL TABLE t (a int) LOCATION '/data/t'").format, Format::new(SerDe::LazySimple));
    for class in ["org.apache.hive.hcatalog.data.JsonSerDe", "org.apache.hive.serde2.JsonSerDe"] {
        let ddl =
            format!("CREATE EXTERNAL TABLE t (a int) ROW FORMAT SERDE '{class}' STORED AS TEXTFILE LOCATION '/t'");
        assert_eq!(parsed(&ddl).format.serde, SerDe::HiveJson);
    }
}

#[test]
fn other_statements() {
    let parse = |sql: &str| Statement::parse(sql).expect("read");
    let named = |database: &str| TableName::new(database, "t");
    assert_eq!(parse("DROP TABLE t"), Some(Statement::DropTable { name: named("default"), if_exists: false }));
    assert_eq!(parse("drop table if exists `D`.T;"), Some(Statement::DropTable { name: named("d"), if_exists: true }));
    assert_eq!(parse("SHOW CREATE TABLE d.t"), Some(Statement::ShowCreateTable { name: named("d") }));
    let tables = |database: Option<&str>, pattern: Option<&str>| {
        Some(Statement::ShowTables { database: database.map(Into::into), pattern: pattern.map(Into::into) })
    };
    assert_eq!(parse("SHOW TABLES"), tables(None, None));
    assert_eq!(parse("show tables in d 'a*|b'"), tables(Some("d"), Some("a*|b")));
    for other in
        ["SELECT 1", "SELECT $$ '", "SHOW ALL", "CREATE TABLE t AS SELECT 1", "CREATE VIEW v AS SELECT 1", "", "'"]
    {
        assert_eq!(parse(other), None, "{other}");
    }
}

#[test]
fn errors_say_what_to_do() {
    let known = "there are org.openx.data.jsonserde.JsonSerDe, org.apache.hive.hcatalog.data.JsonSerDe, \
        org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe, org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe, \
        org.apache.hadoop.hive.serde2.OpenCSVSerde";
    let table = |tail: &str| refused(&format!("CREATE EXTERNAL TABLE t (a int) {tail}"));
    assert_eq!(
        table("ROW FORMAT SERDE 'com.acme.SerDe' LOCATION '/t'"),
        format!("not supported: the SerDe 'com.acme.SerDe' is not read; {known}")
    );
    assert_eq!(
        table("ROW FORMAT SERDE 'org.apache.hadoop.hive.serde2.RegexSerDe' LOCATION '/t'"),
        format!("not supported: the SerDe 'org.apache.hadoop.hive.serde2.RegexSerDe' is not read yet; {known}")
    );
    assert_eq!(
        table("STORED AS ORC LOCATION '/t'"),
        "not supported: STORED AS ORC: files are PARQUET or TEXTFILE (JSON lines are TEXTFILE with ROW FORMAT SERDE \
         'org.openx.data.jsonserde.JsonSerDe')"
    );
    assert_eq!(
        table("STORED AS INPUTFORMAT 'x.OrcInputFormat' OUTPUTFORMAT 'y' LOCATION '/t'"),
        "not supported: files of INPUTFORMAT 'x.OrcInputFormat' are not read; there are \
         org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat, org.apache.hadoop.mapred.TextInputFormat"
    );
    assert_eq!(
        table("ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe' STORED AS PARQUET LOCATION '/t'"),
        "line 1:114: org.openx.data.jsonserde.JsonSerDe reads text, and the table is STORED AS PARQUET: leave one out"
    );
    assert_eq!(table("STORED AS PARQUET"), "line 1:43: table default.t has no LOCATION: an external table needs one");
    assert!(table("LOCATION '/t' PARTITION (a int)").starts_with("line 1:47: found 'PARTITION' where COMMENT, "));
    assert!(table("LOCATION '/t' LOCATION '/u'").ends_with("LOCATION is there twice"));
    assert!(table("CLUSTERED BY (a) INTO 3 BUCKETS LOCATION '/t'").starts_with("not supported: line 1:33: CLUSTERED"));
    assert!(table("TBLPROPERTIES ('a'='1','a'='2') LOCATION '/t'").contains("property 'a' is there twice"));
    assert!(table("LOCATION '/t").contains("Unterminated string literal"));
    assert_eq!(
        table("PARTITIONED BY (A int) LOCATION '/t'"),
        "table default.t: column a is repeated in PARTITIONED BY: take it out of the columns"
    );
    assert_eq!(
        table("PARTITIONED BY (p array<int>) LOCATION '/t'"),
        "table default.t: partition column p cannot be array<int>"
    );
    let columns = |columns: &str| refused(&format!("CREATE EXTERNAL TABLE t ({columns}) LOCATION '/t'"));
    assert!(columns("a text").starts_with("line 1:28: found 'text' where a type (boolean, "));
    assert_eq!(columns("a int, A string"), "table default.t: column a is there twice");
    assert!(columns("a decimal(39,2)").contains("decimal(39,2) has 1 to 38 digits"));
    assert!(columns("a map<array<int>,int>").contains("a map's key cannot be array<int>"));
    assert!(columns("a struct<x:int,X:int>").contains("field x is there twice"));
    assert!(
        columns("a array<int>").starts_with("not supported: table default.t: column a is array<int>, and delimited")
    );
    assert!(columns("").contains("there are no columns"));
    assert!(columns("a varchar").contains("found ')' where '(' is expected"));
}

fn any_type() -> impl Strategy<Value = HiveType> {
    let plain = prop_oneof![
        Just(HiveType::Boolean),
        Just(HiveType::TinyInt),
        Just(HiveType::SmallInt),
        Just(HiveType::Int),
        Just(HiveType::BigInt),
        Just(HiveType::Float),
        Just(HiveType::Double),
        Just(HiveType::String),
        Just(HiveType::Date),
        Just(HiveType::Timestamp),
        Just(HiveType::Binary),
        (1_u8..=38)
            .prop_flat_map(|precision| (Just(precision), 0..=precision as i8))
            .prop_map(|(p, s)| HiveType::Decimal(p, s)),
        (1_u32..65535).prop_map(HiveType::Varchar),
        (1_u32..255).prop_map(HiveType::Char),
    ];
    let key = plain.clone();
    plain.prop_recursive(3, 12, 3, move |inner| {
        let fields = prop::collection::btree_map(any_name(), inner.clone(), 1..4);
        prop_oneof![
            inner.clone().prop_map(|item| HiveType::Array(Box::new(item))),
            (key.clone(), inner).prop_map(|(key, value)| HiveType::Map(Box::new(key), Box::new(value))),
            fields.prop_map(|fields| HiveType::Struct(fields.into_iter().collect())),
        ]
    })
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-z_][a-z0-9_]{0,7}", 1 => "[a-z0-9 `ä.>:,-]{1,8}", 1 => Just("partitioned".to_owned())]
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-zA-Z0-9 .=/$\\{\\}]{0,12}", "[\\x00-\\x7f]{0,8}", "['\"\\\\nu0-9`ß\u{1F600}]{0,8}"]
}

fn any_table() -> impl Strategy<Value = Table> {
    let column = (any_type(), prop::option::of(any_text()));
    let names = prop::collection::btree_set(any_name(), 2..7).prop_shuffle_names();
    let serde = prop::sample::select(vec![SerDe::OpenXJson, SerDe::HiveJson, SerDe::Parquet]);
    let properties = || prop::collection::btree_map(any_text(), any_text(), 0..4);
    (
        names,
        prop::collection::vec(column, 7),
        (any_name(), any_name()),
        serde,
        properties(),
        properties(),
        any_text(),
        prop::option::of(any_text()),
        1_usize..7,
    )
        .prop_map(
            |(names, columns, (database, table), serde, serde_properties, properties, location, comment, cut)| {
                let mut columns: Vec<Column> = names
                    .into_iter()
                    .zip(columns)
                    .map(|(name, (kind, comment))| Column { name, kind, comment })
                    .collect();
                let partitions = columns.split_off(cut.min(columns.len()));
                let partitions = partitions.into_iter().filter(|column| column.kind.is_primitive()).collect();
                let format = Format { serde, properties: serde_properties };
                Table {
                    name: TableName::new(database, table),
                    columns,
                    partitions,
                    comment,
                    format,
                    location,
                    properties,
                }
            },
        )
}

/// A set's names in an order of their own.
trait Shuffled {
    fn prop_shuffle_names(self) -> BoxedStrategy<Vec<String>>;
}

impl<S: Strategy<Value = BTreeSet<String>> + 'static> Shuffled for S {
    fn prop_shuffle_names(self) -> BoxedStrategy<Vec<String>> {
        self.prop_map(|names| names.into_iter().collect::<Vec<_>>()).prop_shuffle().boxed()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_ddl_of_a_table_is_that_table(table in any_table()) {
        let ddl = table.to_ddl();
        let again = Statement::parse_table(&ddl);
        prop_assert!(again.is_ok(), "{ddl}\n{}", again.unwrap_err());
        prop_assert_eq!(again.unwrap(), table, "{}", ddl);
    }

    #[test]
    fn no_text_makes_it_panic(parts in prop::collection::vec(prop_oneof![
        prop::sample::select(SLIDE.split_inclusive([' ', '\n', '(', ',']).map(str::to_owned).collect::<Vec<_>>()),
        any_text(), any_name(), Just("CREATE EXTERNAL TABLE ".to_owned()),
    ], 0..40)) {
        let _ = Statement::parse(&parts.concat());
        let _ = Statement::parse(&format!("CREATE EXTERNAL TABLE t (a int) {}", parts.concat()));
    }
}

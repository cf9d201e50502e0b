//! Lines of text: JSON by two SerDes, delimited text, CSV.

use std::io::Write;

use crate::fixture::*;

const OPENX: &str = "ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'";
const HIVE: &str = "ROW FORMAT SERDE 'org.apache.hive.hcatalog.data.JsonSerDe'";

/// The rows of one file of a table without partitions.
async fn rows(columns: &str, clauses: &str, content: &str) -> Result<Vec<String>, String> {
    let lake = Lake::new();
    lake.table(&format!("CREATE EXTERNAL TABLE t ({columns}) {clauses} LOCATION 's3://b/t/'"));
    lake.put("t/x", content.to_owned()).await;
    lake.rows("SELECT * FROM t").await.map_err(|e| e.to_string())
}

#[tokio::test]
async fn every_type_in_json() {
    let columns =
        "a boolean, b tinyint, c smallint, d int, e bigint, f float, g double, h decimal(6,2), i string, j varchar(3),
        k char(2), l date, m timestamp, n binary, o array<int>, p map<string,double>, q struct<x:int,y:array<string>>";
    let line = r#"{"a":true,"b":1,"c":-2,"d":3,"e":4000000000,"f":1.5,"g":2.25e3,"h":12.345,"i":"ü\n\"","j":"abcd","k":7,
        "l":"2024-02-29","m":"2024-02-29 01:02:03.456","n":"hi","o":[1,null,3],"p":{"k":1,"z":null},"q":{"Y":["s",5],"w":{}}}"#;
    for serde in [OPENX, HIVE] {
        let found = rows(columns, serde, &line.replace('\n', "")).await.expect("rows");
        assert_eq!(
            found,
            [
                "true|1|-2|3|4000000000|1.5|2250.0|12.35|ü\n\"|abcd|7|2024-02-29|2024-02-29T01:02:03.456|6869|[1, NULL, 3]|\
              {k: 1.0, z: NULL}|{x: NULL, y: [s, 5]}"
            ]
        );
        let nulls = rows(columns, serde, "{}\r\n\n  \n{\"a\":null,\"q\":null,\"o\":null,\"p\":null,\"other\":[{}]}")
            .await
            .expect("rows");
        assert_eq!(nulls, vec![["NULL"; 17].join("|"); 2]);
    }
}

#[tokio::test]
async fn values_may_stand_in_quotes_and_text_may_be_anything() {
    let found = rows(
        "a int, b double, c boolean, d string, e string, f string, g bigint, t timestamp",
        OPENX,
        r#"{"a":"12","b":" 1.5 ","c":"TRUE","d":{"x":[1, 2]},"e":1.50,"f":false,"g":7.0,"t":1709168523}"#,
    );
    assert_eq!(found.await.expect("rows"), ["12|1.5|true|{\"x\":[1, 2]}|1.50|false|7|2024-02-29T01:02:03"]);
}

#[tokio::test]
async fn times_as_they_come() {
    let line = |time: &str| format!("{{\"t\":{time}}}");
    for (time, read) in [
        ("\"2024-02-29 01:02:03\"", "2024-02-29T01:02:03"),
        ("\"2024-02-29T01:02:03.5Z\"", "2024-02-29T01:02:03.500"),
        ("\"2024-02-29T01:02:03+02:00\"", "2024-02-28T23:02:03"),
        ("\"2024-02-29\"", "2024-02-29T00:00:00"),
        ("1709168523456", "2024-02-29T01:02:03.456"),
        ("1709168523.5", "2024-02-29T01:02:03.500"),
        ("-1", "1969-12-31T23:59:59"),
        ("null", "NULL"),
    ] {
        assert_eq!(
            rows("t timestamp", OPENX, &line(time)).await.as_deref(),
            Ok([read.to_owned()].as_slice()),
            "{time}"
        );
    }
}

#[tokio::test]
async fn keys_are_found_as_the_properties_say() {
    let line = r#"{"meterId":1,"a.b":2,"timestamp":3,"UserId":4,"userid":5}"#;
    let with = |properties: &str| format!("{OPENX} WITH SERDEPROPERTIES ({properties})");
    let columns = "meterid int, a_b int, ts int";
    assert_eq!(rows(columns, OPENX, &line.replace(",\"userid\":5", "")).await.expect("rows"), ["1|NULL|NULL"]);
    let all = with("'dots.in.keys'='true', 'mapping.ts'='timestamp'");
    assert_eq!(rows(columns, &all, line).await.expect("rows"), ["1|2|3"]);
    let exact = with("'case.insensitive'='FALSE', 'mapping.ts'='UserId'");
    assert_eq!(rows("meterid int, userid int, ts int", &exact, line).await.expect("rows"), ["NULL|5|4"]);
    // The same key twice, in any case, is no JSON for the SerDe.
    let twice = rows("userid int", OPENX, line).await.expect_err("an error");
    assert!(twice.contains("key \"userid\" is there twice"), "{twice}");
    assert_eq!(rows("id int", HIVE, "{\"ID\":1}").await.expect("rows"), ["1"]);
}

#[tokio::test]
async fn a_malformed_line_is_an_error_with_its_file_and_line() {
    let content = "{\"v\":1}\n\n{\"v\":2\n{\"v\":3}\n";
    assert_eq!(
        rows("v int", OPENX, content).await.expect_err("an error"),
        "HIVE_CURSOR_ERROR: Row is not a valid JSON Object: s3://b/t/x line 3: EOF while parsing an object at line 1 column 6; \
         SERDEPROPERTIES ('ignore.malformed.json'='true') reads such lines as NULLs"
    );
    let hive = rows("v int", HIVE, content).await.expect_err("an error");
    assert!(hive.ends_with("each line must be one JSON object"), "{hive}");
    let ignore = format!("{OPENX} WITH SERDEPROPERTIES ('ignore.malformed.json'='TRUE')");
    assert_eq!(rows("v int", &ignore, content).await.expect("rows"), ["1", "3", "NULL"]);
    assert_eq!(
        rows("v int", &ignore, "[1]\n{\"v\":1}x\n{\"v\":1,}\n\"s\"\n{\"w\":\"\\q\"}\n").await.expect("rows"),
        ["NULL"; 5]
    );
    let several = rows("v int", HIVE, "{\"v\":1}{\"v\":2}\n").await.expect_err("an error");
    assert!(several.contains("line 1: trailing characters at line 1 column 8: one JSON object a line"), "{several}");
    // Counting looks at the lines too.
    let lake = Lake::new();
    lake.table(&format!("CREATE EXTERNAL TABLE t (v int) {OPENX} LOCATION 's3://b/t/'"));
    lake.put("t/x", "{\"v\":1}\n{").await;
    assert!(lake.refused("SELECT count(*) FROM t").await.contains("line 2: EOF"));
}

#[tokio::test]
async fn a_value_of_another_type_is_an_error_unless_it_is_to_be_null() {
    assert_eq!(
        rows("v int", OPENX, "{\"v\":1}\n{\"v\":\"x\"}").await.expect_err("an error"),
        "HIVE_BAD_DATA: s3://b/t/x line 2: 'x' is no int; SERDEPROPERTIES ('use.null.for.invalid.data'='true') reads such \
         values as NULL"
    );
    for (column, value) in [
        ("v tinyint", "128"),
        ("v int", "1.5"),
        ("v int", "{}"),
        ("v double", "\"1,5\""),
        ("v boolean", "1"),
        ("v date", "\"2024-13-01\""),
        ("v timestamp", "\"yesterday\""),
        ("v decimal(3,1)", "1234"),
        ("v array<int>", "5"),
        ("v array<int>", "[\"x\"]"),
        ("v map<int,int>", "{\"x\":1}"),
        ("v struct<x:int>", "[]"),
        ("v struct<x:array<struct<y:date>>>", "{\"x\":[{\"y\":true}]}"),
    ] {
        let line = format!("{{\"v\":{value}}}");
        let refused = rows(column, HIVE, &line).await.expect_err(value);
        assert!(refused.starts_with("HIVE_BAD_DATA: s3://b/t/x line 1: ") && refused.contains(" is no "), "{refused}");
        let null = format!("{OPENX} WITH SERDEPROPERTIES ('use.null.for.invalid.data'='true')");
        let read = rows(column, &null, &line).await.expect("rows");
        let inner = match column {
            "v array<int>" if value.starts_with('[') => "[NULL]",
            "v map<int,int>" => "{}",
            "v struct<x:array<struct<y:date>>>" => "{x: [{y: NULL}]}",
            _ => "NULL",
        };
        assert_eq!(read, [inner], "{column} {value}");
    }
}

#[tokio::test]
async fn only_what_is_asked_for_is_looked_into() {
    let lake = Lake::new();
    lake.table(&format!(
        "CREATE EXTERNAL TABLE t (a int, b int, c string) PARTITIONED BY (p int, q string) {HIVE} LOCATION 's3://b/t'"
    ));
    lake.put("t/p=1/q=x/f", "{\"a\":\"no number\",\"b\":2,\"c\":\"y\"}\n").await;
    assert_eq!(lake.rows("SELECT q, c, b, p FROM t WHERE b = 2").await.expect("rows"), ["x|y|2|1"]);
    assert_eq!(lake.rows("SELECT p FROM t").await.expect("rows"), ["1"]);
    assert_eq!(lake.rows("SELECT count(*) FROM t WHERE p = 1").await.expect("rows"), ["1"]);
}

#[tokio::test]
async fn many_lines_come_in_batches_and_packed_files_are_unpacked() {
    let lake = Lake::new();
    lake.table(&format!("CREATE EXTERNAL TABLE t (v bigint, pad string) {OPENX} LOCATION 's3://b/t/'"));
    let text: String = (0..20_000).map(|v| format!("{{\"v\":{v},\"pad\":\"{}\"}}\r\n", "x".repeat(v % 100))).collect();
    // Two members one after the other, as appending leaves them.
    let mut packed = Vec::new();
    for half in [&text[..text.len() / 2], &text[text.len() / 2..]] {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(half.as_bytes()).expect("packed");
        packed.extend(gz.finish().expect("packed"));
    }
    lake.put("t/a.json", text.clone()).await;
    lake.put("t/b.json.gz", packed.clone()).await;
    let sql = "SELECT count(*), count(DISTINCT v), sum(v) FROM t";
    assert_eq!(lake.rows(sql).await.expect("rows"), [format!("40000|20000|{}", 19_999_u64 * 20_000)]);
    assert_eq!(lake.rows("SELECT v FROM t LIMIT 3").await.expect("rows").len(), 3);
    // From a disk, too.
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("a.json"), &text).expect("written");
    std::fs::write(dir.path().join("b.GZ"), &packed).expect("written");
    let ddl = format!("CREATE EXTERNAL TABLE d (v bigint) {OPENX} LOCATION '{}'", dir.path().display());
    let table = hurtig_catalog::FileTable::new(
        parsed(&ddl),
        std::sync::Arc::new(hurtig_catalog::LocalFiles),
        lake.clock.clone(),
        lake.options.clone(),
    );
    lake.session.register_table("d", std::sync::Arc::new(table.expect("a table"))).expect("registered");
    assert_eq!(
        lake.rows("SELECT count(*), sum(v) FROM d").await.expect("rows"),
        [format!("40000|{}", 19_999_u64 * 20_000)]
    );
    // What is cut off is an error, and what is packed otherwise is one at once.
    lake.put("t/b.json.gz", packed[..packed.len() - 100].to_vec()).await;
    let refused = lake.refused(sql).await;
    assert!(refused.starts_with("s3://b/t/b.json.gz cannot be read: "), "{refused}");
    lake.put("t/b.json.gz", "").await;
    lake.put("t/c.json.bz2", "BZh").await;
    assert_eq!(
        lake.refused(sql).await,
        "s3://b/t/c.json.bz2: files packed as .bz2 are not read: .gz and plain ones are"
    );
}

#[tokio::test]
async fn delimited_text() {
    let tab = r"ROW FORMAT DELIMITED FIELDS TERMINATED BY '\t' ESCAPED BY '\\' STORED AS TEXTFILE";
    let found = rows("a int, b string, c double", tab, "1\tx\\\ty\t2.5\nno\t\\N\n3\t\t4\t5\n");
    assert_eq!(found.await.expect("rows"), ["1|x\ty|2.5", "3||4.0", "NULL|NULL|NULL"]);
    let plain = rows("a string, b date, c timestamp", "", "x\u{1}2024-01-02\u{1}2024-01-02 03:04:05\n\n");
    assert_eq!(plain.await.expect("rows"), ["x|2024-01-02|2024-01-02T03:04:05", "|NULL|NULL"]);
    let serde = "ROW FORMAT SERDE 'org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe'
        WITH SERDEPROPERTIES ('field.delim'=',', 'serialization.null.format'='-')";
    assert_eq!(rows("a string, b int", serde, "-,-\nx,1\n").await.expect("rows"), ["NULL|NULL", "x|1"]);
    let refused = rows("a string", "ROW FORMAT DELIMITED FIELDS TERMINATED BY '||'", "x").await.expect_err("an error");
    assert_eq!(refused, "not supported: table default.t: 'field.delim' = '||', it must be one byte");
    let refused = rows("a string", "ROW FORMAT DELIMITED LINES TERMINATED BY ';'", "x").await.expect_err("an error");
    assert!(refused.contains("lines end with \\n"), "{refused}");
    // The second column alone: places are the line's, not the query's.
    let lake = Lake::new();
    lake.table("CREATE EXTERNAL TABLE t (a int, b int, c int) ROW FORMAT DELIMITED FIELDS TERMINATED BY ',' LOCATION 's3://b/t'
        TBLPROPERTIES ('skip.header.line.count'='1')");
    lake.put("t/x.csv", "a,b,c\n1,2,3\n4,5,6\n").await;
    assert_eq!(lake.rows("SELECT c, b FROM t").await.expect("rows"), ["3|2", "6|5"]);
}

#[tokio::test]
async fn csv_with_quotes() {
    let csv = "ROW FORMAT SERDE 'org.apache.hadoop.hive.serde2.OpenCSVSerde'";
    let found =
        rows("a string, b int, c timestamp, d date", csv, "\"x,\"\"y\"\"\",\"1\",1709168523456,19782\nz\\\"w,2,,\n")
            .await;
    assert_eq!(
        found.expect_err("an error"),
        "HIVE_BAD_DATA: s3://b/t/x line 2: '' is no timestamp: yyyy-MM-dd HH:mm:ss.SSS is"
    );
    let found =
        rows("a string, b int, c timestamp, d date", csv, "\"x,\"\"y\"\"\",\"1\",1709168523456,19782\nz\\\"w,2\n")
            .await;
    assert_eq!(found.expect("rows"), ["x,\"y\"|1|2024-02-29T01:02:03.456|2024-02-29", "z\"w|2|NULL|NULL"]);
    let other = format!("{csv} WITH SERDEPROPERTIES ('separatorChar'=';', 'quoteChar'='\\'', 'escapeChar'='!')");
    assert_eq!(rows("a string, b string", &other, "'a;b';\"c\"\n").await.expect("rows"), ["a;b|\"c\""]);
}

#[tokio::test]
async fn a_header_count_that_is_none_is_an_error() {
    let lake = Lake::new();
    lake.table("CREATE EXTERNAL TABLE t (a int) LOCATION 's3://b/t' TBLPROPERTIES ('skip.header.line.count'='one')");
    lake.put("t/x", "1").await;
    let refused = lake.refused("SELECT * FROM t").await;
    assert_eq!(
        refused,
        "INVALID_TABLE_PROPERTY: table default.t: skip.header.line.count is 'one', and must be a whole number"
    );
}

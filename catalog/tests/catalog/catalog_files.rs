//! The catalog's file: statements, other writers, damage.

use std::{fs, path::Path, sync::Arc};

use hurtig_catalog::{CatalogFile, Outcome, Statement, TableName};

use crate::fixture::*;

fn run(catalog: &CatalogFile, sql: &str) -> Result<Outcome, String> {
    let statement = Statement::parse(sql).map_err(|e| e.to_string())?.expect("one of ours");
    catalog.run(statement, Path::new("/data")).map_err(|e| e.to_string())
}

fn table(name: &str) -> String {
    format!(
        "CREATE EXTERNAL TABLE {name} (v int) ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe' LOCATION 's3://b/t/'"
    )
}

#[test]
fn statements_change_the_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = CatalogFile::new(dir.path().join("below/catalog.json"));
    assert_eq!(run(&catalog, "SHOW TABLES"), Ok(Outcome::Tables(vec![])));
    assert_eq!(run(&catalog, "DROP TABLE IF EXISTS t"), Ok(Outcome::NotThere));
    assert_eq!(run(&catalog, &table("t")), Ok(Outcome::Created { notes: vec![] }));
    assert_eq!(
        run(&catalog, &table("T")),
        Err("table default.t already exists: use IF NOT EXISTS, or DROP TABLE first".to_owned())
    );
    assert_eq!(run(&catalog, &table("IF NOT EXISTS t")), Ok(Outcome::AlreadyThere));
    assert!(matches!(run(&catalog, SLIDE), Ok(Outcome::Created { notes }) if notes.len() == 1));
    assert!(run(&catalog, &table("d.other").replace("s3://b/t/", "lake/t")).is_ok());
    assert_eq!(run(&catalog, "SHOW TABLES"), Ok(Outcome::Tables(vec!["readings".into(), "t".into()])));
    assert_eq!(run(&catalog, "SHOW TABLES 'r*s|x'"), Ok(Outcome::Tables(vec!["readings".into()])));
    assert_eq!(run(&catalog, "SHOW TABLES IN d '*'"), Ok(Outcome::Tables(vec!["other".into()])));
    let Ok(Outcome::Ddl(ddl)) = run(&catalog, "SHOW CREATE TABLE d.other") else { panic!("the DDL") };
    assert_eq!(
        ddl,
        "CREATE EXTERNAL TABLE `d`.`other` (
  `v` int)
ROW FORMAT SERDE
  'org.openx.data.jsonserde.JsonSerDe'
STORED AS INPUTFORMAT
  'org.apache.hadoop.mapred.TextInputFormat'
OUTPUTFORMAT
  'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat'
LOCATION
  '/data/lake/t'"
    );
    assert_eq!(catalog.all().expect("tables").len(), 3);
    assert_eq!(catalog.table(&TableName::new("default", "readings")).expect("a table"), parsed(SLIDE));
    assert_eq!(run(&catalog, "DROP TABLE d.other"), Ok(Outcome::Dropped));
    assert_eq!(
        run(&catalog, "DROP TABLE d.other"),
        Err("table d.other does not exist: SHOW TABLES lists those that do".to_owned())
    );
    assert!(run(&catalog, "SHOW CREATE TABLE nothing").is_err());
    // What nobody could read later is refused at once.
    let refused = run(&catalog, &table("far").replace("s3://b/t/", "gs://b/t")).expect_err("an error");
    assert_eq!(refused, "location 'gs://b/t': only s3://bucket/prefix/ and directories are read");
    let left: Vec<_> =
        fs::read_dir(dir.path().join("below")).expect("read").map(|e| e.expect("an entry").file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".new")), "{left:?}");
}

#[test]
fn writers_lose_none_of_each_others_tables() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("catalog.json");
    std::thread::scope(|scope| {
        for writer in 0..6 {
            let path = &path;
            scope.spawn(move || {
                // Each has a catalog of its own, as another process has.
                let catalog = CatalogFile::new(path);
                for number in 0..8 {
                    run(&catalog, &table(&format!("t_{writer}_{number}"))).expect("created");
                    run(&catalog, "SHOW TABLES").expect("a whole file at any time");
                }
                run(&catalog, &format!("DROP TABLE t_{writer}_0")).expect("dropped");
            });
        }
    });
    assert_eq!(CatalogFile::new(&path).tables("default").expect("tables").len(), 6 * 7);
}

#[test]
fn damage_is_named_and_not_written_over() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("catalog.json");
    let catalog = CatalogFile::new(&path);
    let damaged = |content: &str| {
        fs::write(&path, content).expect("written");
        let found =
            run(&catalog, &table("t")).or_else(|_| catalog.all().map(|_| Outcome::NotThere).map_err(|e| e.to_string()));
        assert_eq!(fs::read_to_string(&path).expect("read"), content, "it is left alone");
        found.expect_err("an error").replace(&dir.path().display().to_string(), "")
    };
    let advice = "): repair it, or move it away and create the tables again";
    assert_eq!(
        damaged(""),
        format!("the catalog /catalog.json is damaged (EOF while parsing a value at line 1 column 0{advice}")
    );
    assert!(damaged("{\"version\":1,\"databases\":{\"d\":").starts_with("the catalog /catalog.json is damaged (EOF"));
    assert_eq!(
        damaged("{\"version\":2,\"databases\":{}}"),
        format!("the catalog /catalog.json is damaged (it is of version 2, and this reads version 1{advice}")
    );
    fs::write(&path, "{\"version\":1,\"databases\":{\"d\":{\"t\":\"CREATE\",\"u\":\"DROP TABLE u\"}}}")
        .expect("written");
    let wrong = catalog.all().expect_err("an error").to_string();
    assert!(wrong.contains("is damaged (table d.t: line 1:1: CREATE EXTERNAL TABLE is expected)"), "{wrong}");
    fs::remove_file(&path).expect("removed");
    fs::create_dir(&path).expect("made");
    let unread = catalog.tables("default").expect_err("an error").to_string();
    assert!(unread.contains("cannot be read: "), "{unread}");
}

#[tokio::test]
async fn a_session_knows_the_tables() {
    let dir = tempfile::tempdir().expect("a directory");
    let catalog = CatalogFile::new(dir.path().join("catalog.json"));
    for name in ["t", "taken", "d.t"] {
        run(&catalog, &table(name)).expect("created");
    }
    let lake = Lake::new();
    lake.put("t/x", "{\"v\":1}").await;
    let taken = lake.session.sql("SELECT 7 AS v").await.expect("a plan").into_view();
    lake.session.register_table("taken", taken).expect("registered");
    catalog.register(&lake.session, lake.stores(), lake.clock.clone(), &lake.options).expect("registered");
    for (sql, rows) in [
        ("SELECT v FROM t", "1"),
        ("SELECT v FROM d.t", "1"),
        ("SELECT v FROM taken", "7"),
        ("SELECT v FROM \"default\".taken", "1"),
        ("SELECT a.v + b.v FROM t a JOIN d.t b USING (v)", "2"),
    ] {
        assert_eq!(lake.rows(sql).await.expect(sql), [rows]);
    }
    // Anew after a change, over what is there.
    run(&catalog, &table("later")).expect("created");
    catalog.register(&lake.session, lake.stores(), Arc::clone(&lake.clock) as _, &lake.options).expect("registered");
    assert_eq!(lake.rows("SELECT v FROM later").await.expect("rows"), ["1"]);
}

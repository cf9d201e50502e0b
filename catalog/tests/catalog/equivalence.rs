//! A projection gives what a filter over all rows gives, whatever the types, ranges, templates and filters, and whichever
//! places are missing; and it lists the places where the filter is true and no others.
//!
//! The model below knows every row and every place. It enumerates by loops and strings of its own.

use std::sync::Arc;

use arrow::array::Int64Array;
use jiff::{
    Span,
    civil::{Date, DateTime, date},
};
use proptest::prelude::*;

use crate::{fixture::*, parquet_files};

/// Numbers that a case is built from: they shrink, and when they are used up all is as simple as can be.
struct Choices {
    numbers: Vec<u32>,
    at: usize,
}

impl Choices {
    fn below(&mut self, end: usize) -> usize {
        let number = self.numbers.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        number as usize % end
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

#[derive(Debug, Clone, PartialEq, PartialOrd)]
enum Value {
    Int(i64),
    Text(String),
    Day(Date),
}

impl Value {
    fn sql(&self) -> String {
        match self {
            Value::Int(number) => number.to_string(),
            Value::Text(text) => format!("'{}'", text.replace('\'', "''")),
            Value::Day(day) => format!("DATE '{day}'"),
        }
    }
}

/// A partition column: its type, its properties, and the values rows may have.
struct Column {
    kind: &'static str,
    properties: Vec<(&'static str, String)>,
    pool: Vec<Pooled>,
    injected: bool,
    /// Whether all its texts are whole numbers.
    numbers: bool,
}

struct Pooled {
    value: Value,
    text: String,
    /// Whether the projection knows it.
    projected: bool,
}

fn column(choices: &mut Choices) -> Column {
    match choices.below(4) {
        0 => integers(choices),
        1 => enums(choices),
        2 => dates(choices),
        _ => {
            let pool = ["x", "y z", "ü/%", "'"];
            let pooled = |text: &&str| Pooled {
                value: Value::Text((*text).to_owned()),
                text: (*text).to_owned(),
                projected: true,
            };
            let pool = pool[..1 + choices.below(pool.len())].iter().map(pooled).collect();
            Column {
                kind: "string",
                properties: vec![("type", "injected".into())],
                pool,
                injected: true,
                numbers: false,
            }
        }
    }
}

fn integers(choices: &mut Choices) -> Column {
    let kind = *choices.of(&["int", "string", "bigint"]);
    let low = [0, -7, 95, 2020][choices.below(4)];
    let (high, interval, digits) = (low + choices.below(9) as i64, 1 + choices.below(3) as i64, choices.below(4));
    let pooled = |number: i64, projected| {
        let text = format!("{number:0digits$}");
        let value = if kind == "string" { Value::Text(text.clone()) } else { Value::Int(number) };
        Pooled { value, text, projected }
    };
    let mut pool = Vec::new();
    let mut number = low;
    while number <= high {
        pool.push(pooled(number, true));
        number += interval;
    }
    pool.push(pooled(number, false));
    pool.push(pooled(low - 1, false));
    let mut properties = vec![("type", "integer".to_owned()), ("range", format!("{low},{high}"))];
    if interval > 1 {
        properties.push(("interval", interval.to_string()));
    }
    if digits > 0 {
        properties.push(("digits", digits.to_string()));
    }
    Column { kind, properties, pool, injected: false, numbers: true }
}

fn enums(choices: &mut Choices) -> Column {
    let whole = choices.below(2) == 1;
    let all = if whole { ["3", "-1", "20", "7"] } else { ["b", "A", " c d", "é"] };
    let known = 1 + choices.below(3);
    let pooled = |(at, text): (usize, &&str)| {
        let value = if whole { Value::Int(text.parse().expect("a number")) } else { Value::Text((*text).to_owned()) };
        Pooled { value, text: (*text).to_owned(), projected: at < known }
    };
    Column {
        kind: if whole { "int" } else { "string" },
        properties: vec![("type", "enum".into()), ("values", all[..known].join(","))],
        pool: all.iter().enumerate().map(pooled).collect(),
        injected: false,
        numbers: whole,
    }
}

fn dates(choices: &mut Choices) -> Column {
    let forms = [
        ("yyyy-MM-dd", "%Y-%m-%d", "DAYS"),
        ("yyyy/MM/dd", "%Y/%m/%d", "DAYS"),
        ("yyyyMMdd", "%Y%m%d", "WEEKS"),
        ("dd.MM.yyyy", "%d.%m.%Y", "DAYS"),
        ("yyyy-MM", "%Y-%m", "MONTHS"),
        ("yyyy", "%Y", "YEARS"),
        ("yyyy-MM-dd-HH", "%Y-%m-%d-%H", "HOURS"),
    ];
    let (format, strftime, unit) = *choices.of(&forms);
    let by_day = unit == "DAYS" || unit == "WEEKS";
    let kind = if by_day && choices.below(2) == 1 { "date" } else { "string" };
    let interval = 1 + choices.below(2) as i64;
    let span = |amount: i64| match unit {
        "DAYS" => Span::new().days(amount),
        "WEEKS" => Span::new().weeks(amount),
        "MONTHS" => Span::new().months(amount),
        "YEARS" => Span::new().years(amount),
        _ => Span::new().hours(amount),
    };
    let cut = |time: DateTime| match unit {
        "MONTHS" => date(time.year(), time.month(), 1).at(0, 0, 0, 0),
        "YEARS" => date(time.year(), 1, 1).at(0, 0, 0, 0),
        "HOURS" => time.date().at(time.hour(), 0, 0, 0),
        _ => time.date().at(0, 0, 0, 0),
    };
    let now = date(2024, 3, 10).at(12, 34, 56, 0);
    let length = choices.below(5) as i64;
    // Both ends fixed, or relative to now.
    let (low, high, range) = if choices.below(2) == 0 {
        let low = cut(date(2024, 2, 27).at(22, 0, 0, 0));
        let high = low + span(length);
        (low, high, format!("{},{}", low.strftime(strftime), high.strftime(strftime)))
    } else {
        let after = choices.below(2) as i64;
        let high = if after == 0 { "NOW".to_owned() } else { format!("NOW + 1 {unit}") };
        (cut(now - span(length)), cut(now + span(after)), format!("NOW-{length}{unit},{high}"))
    };
    let pooled = |time: DateTime, projected| {
        let text = time.strftime(strftime).to_string();
        let value = if kind == "date" { Value::Day(time.date()) } else { Value::Text(text.clone()) };
        Pooled { value, text, projected }
    };
    let mut pool = Vec::new();
    let mut number = 0;
    while low + span(number * interval) <= high {
        pool.push(pooled(low + span(number * interval), true));
        number += 1;
    }
    pool.push(pooled(low + span(number * interval), false));
    pool.push(pooled(low - span(1), false));
    let mut properties = vec![("type", "date".to_owned()), ("format", format.to_owned()), ("range", range)];
    if interval > 1 || unit == "HOURS" || unit == "WEEKS" {
        properties.push(("interval", interval.to_string()));
        properties.push(("interval.unit", unit.to_owned()));
    }
    Column { kind, properties, pool, injected: false, numbers: false }
}

/// A condition, and whether it is on partitions alone.
#[derive(Debug, Clone)]
enum Filter {
    Compare(usize, &'static str, Value),
    In(usize, Vec<Value>, bool),
    Between(usize, Value, Value),
    Like(usize, String),
    /// A text compared as a number.
    AsNumber(usize, &'static str, i64),
    Row(&'static str, i64),
    Not(Box<Filter>),
    And(Box<Filter>, Box<Filter>),
    Or(Box<Filter>, Box<Filter>),
}

const OPERATORS: [&str; 6] = ["=", "<>", "<", "<=", ">", ">="];

fn compare<T: PartialOrd>(operator: &str, left: &T, right: &T) -> bool {
    match operator {
        "=" => left == right,
        "<>" => left != right,
        "<" => left < right,
        "<=" => left <= right,
        ">" => left > right,
        _ => left >= right,
    }
}

impl Filter {
    fn any(choices: &mut Choices, columns: &[Column], depth: usize) -> Filter {
        let inner = |choices: &mut Choices| Box::new(Filter::any(choices, columns, depth - 1));
        if depth > 0 {
            match choices.below(5) {
                0 | 1 => return Filter::And(inner(choices), inner(choices)),
                2 => return Filter::Or(inner(choices), inner(choices)),
                3 => return Filter::Not(inner(choices)),
                _ => {}
            }
        }
        let at = choices.below(columns.len());
        let column = &columns[at];
        let value = |choices: &mut Choices| {
            let value = choices.of(&column.pool).value.clone();
            match (value, choices.below(4)) {
                (Value::Int(number), 3) => Value::Int(number + 1),
                (Value::Text(text), 3) => Value::Text(text + "0"),
                (value, _) => value,
            }
        };
        match choices.below(6) {
            0 | 1 => Filter::Compare(at, OPERATORS[choices.below(6)], value(choices)),
            2 => Filter::In(at, (0..1 + choices.below(3)).map(|_| value(choices)).collect(), choices.below(3) == 2),
            3 => Filter::Between(at, value(choices), value(choices)),
            4 if column.numbers && choices.below(2) == 1 => {
                let number = choices.of(&column.pool).text.parse().expect("a number");
                Filter::AsNumber(at, OPERATORS[choices.below(6)], number)
            }
            4 if column.kind == "string" => {
                let text = choices.of(&column.pool).text.clone();
                Filter::Like(at, text.chars().take(choices.below(6)).filter(|ch| !"%_".contains(*ch)).collect())
            }
            4 => Filter::Compare(at, "=", value(choices)),
            _ => Filter::Row(OPERATORS[choices.below(6)], choices.below(60) as i64),
        }
    }

    fn sql(&self) -> String {
        match self {
            Filter::Compare(at, operator, value) => format!("c{at} {operator} {}", value.sql()),
            Filter::In(at, values, negated) => {
                let values: Vec<_> = values.iter().map(Value::sql).collect();
                format!("c{at} {} ({})", if *negated { "NOT IN" } else { "IN" }, values.join(", "))
            }
            Filter::Between(at, low, high) => format!("c{at} BETWEEN {} AND {}", low.sql(), high.sql()),
            Filter::Like(at, begin) => format!("c{at} LIKE '{}%'", begin.replace('\'', "''")),
            Filter::AsNumber(at, operator, value) => format!("CAST(c{at} AS BIGINT) {operator} {value}"),
            Filter::Row(operator, value) => format!("v {operator} {value}"),
            Filter::Not(inner) => format!("NOT ({})", inner.sql()),
            Filter::And(one, other) => format!("({} AND {})", one.sql(), other.sql()),
            Filter::Or(one, other) => format!("({} OR {})", one.sql(), other.sql()),
        }
    }

    fn is_true(&self, partition: &[&Pooled], v: i64) -> bool {
        match self {
            Filter::Compare(at, operator, value) => compare(operator, &partition[*at].value, value),
            Filter::In(at, values, negated) => values.contains(&partition[*at].value) != *negated,
            Filter::Between(at, low, high) => partition[*at].value >= *low && partition[*at].value <= *high,
            Filter::Like(at, begin) => matches!(&partition[*at].value, Value::Text(text) if text.starts_with(begin)),
            Filter::AsNumber(at, operator, value) => {
                compare(operator, &partition[*at].text.parse().expect("a number"), value)
            }
            Filter::Row(operator, value) => compare(operator, &v, value),
            Filter::Not(inner) => !inner.is_true(partition, v),
            Filter::And(one, other) => one.is_true(partition, v) && other.is_true(partition, v),
            Filter::Or(one, other) => one.is_true(partition, v) || other.is_true(partition, v),
        }
    }

    fn is_on_partitions(&self) -> bool {
        match self {
            Filter::Row(..) => false,
            Filter::Not(inner) => inner.is_on_partitions(),
            Filter::And(one, other) | Filter::Or(one, other) => one.is_on_partitions() && other.is_on_partitions(),
            _ => true,
        }
    }
}

fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('/', "%2F").replace('\'', "%27")
}

/// The template, and the place of a partition.
type Layout = (Option<String>, Box<dyn Fn(&[&Pooled]) -> String>);

fn layout(choices: &mut Choices, columns: usize) -> Layout {
    let last = columns - 1;
    match choices.below(3) {
        0 => {
            let place = |partition: &[&Pooled]| {
                let parts: Vec<_> =
                    partition.iter().enumerate().map(|(at, one)| format!("c{at}={}", escaped(&one.text))).collect();
                format!("t/{}", parts.join("/"))
            };
            (None, Box::new(place))
        }
        1 => {
            let places: Vec<_> = (0..columns).rev().map(|at| format!("${{c{at}}}")).collect();
            let place = |partition: &[&Pooled]| {
                let parts: Vec<_> = partition.iter().rev().map(|one| one.text.clone()).collect();
                format!("t/{}", parts.join("/"))
            };
            (Some(format!("s3://b/t/{}/", places.join("/"))), Box::new(place))
        }
        _ => {
            let places: Vec<_> = (0..columns).map(|at| format!("k{at}-${{C{at}}}")).collect();
            let place = move |partition: &[&Pooled]| {
                let parts: Vec<_> =
                    partition.iter().enumerate().map(|(at, one)| format!("k{at}-{}", one.text)).collect();
                format!("deep/t/{}/again {}", parts.join("/"), partition[last].text)
            };
            (Some(format!("s3://b/deep/t/{}/again ${{c{last}}}", places.join("/"))), Box::new(place))
        }
    }
}

async fn check(numbers: Vec<u32>) -> Result<(), TestCaseError> {
    let choices = &mut Choices { numbers, at: 0 };
    let columns: Vec<Column> = (0..1 + choices.below(3)).map(|_| column(choices)).collect();
    let (template, place) = layout(choices, columns.len());
    let as_parquet = choices.below(2) == 1;
    let lake = Lake::new();

    // All partitions; of each about half are there, of those some with two files.
    let mut partitions: Vec<Vec<&Pooled>> = vec![Vec::new()];
    for column in &columns {
        let mut longer = Vec::new();
        for partition in partitions {
            longer.extend(column.pool.iter().map(|one| [partition.as_slice(), &[one]].concat()));
        }
        partitions = longer;
    }
    let mut rows: Vec<(Vec<&Pooled>, i64)> = Vec::new();
    for (number, partition) in partitions.iter().enumerate() {
        for file in 0..[0, 1, 0, 2][(choices.below(4) + number) % 4] {
            let values: Vec<i64> = (0..2).map(|_| rows.len() as i64 % 60).collect();
            rows.extend(values.iter().map(|v| (partition.clone(), *v)));
            let key = format!("{}/{file}", place(partition));
            if as_parquet {
                let content = parquet_files::file(vec![("V", Arc::new(Int64Array::from(values)))]);
                lake.put(&key, content).await;
            } else {
                let lines: String = values.iter().map(|v| format!("{{\"V\":{v}}}\n")).collect();
                lake.put(&key, lines).await;
            }
        }
        if number % 5 == 0 {
            lake.put(&format!("{}/_hidden", place(partition)), "nothing to read").await;
        }
    }

    let mut filter = Filter::any(choices, &columns, 3);
    let without = choices.below(8) == 7 && columns.iter().all(|column| !column.injected);
    for (at, column) in columns.iter().enumerate().filter(|(_, column)| column.injected) {
        let values = column.pool.iter().map(|one| one.value.clone()).take(1 + choices.below(4)).collect();
        filter = Filter::And(Box::new(Filter::In(at, values, false)), Box::new(filter));
    }

    let names: Vec<String> = (0..columns.len()).map(|at| format!("c{at}")).collect();
    let partitioned: Vec<_> =
        columns.iter().zip(&names).map(|(column, name)| format!("{name} {}", column.kind)).collect();
    let format = if as_parquet { "STORED AS PARQUET" } else { "ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe'" };
    let table = |name: &str, properties: &str| {
        format!(
            "CREATE EXTERNAL TABLE {name} (v bigint) PARTITIONED BY ({}) {format} LOCATION 's3://b/t' TBLPROPERTIES ({properties})",
            partitioned.join(", ")
        )
    };
    let mut properties = vec!["'projection.enabled'='true'".to_owned()];
    for (column, name) in columns.iter().zip(&names) {
        properties.extend(
            column.properties.iter().map(|(property, value)| format!("'projection.{name}.{property}'='{value}'")),
        );
    }
    properties.extend(template.iter().map(|template| format!("'storage.location.template'='{template}'")));
    let ddl = table("t", &properties.join(", "));
    lake.table(&ddl);

    let keeps = |partition: &[&Pooled], v| without || filter.is_true(partition, v);
    let shown = |(partition, v): &(Vec<&Pooled>, i64)| {
        let values = partition.iter().map(|one| match &one.value {
            Value::Int(number) => number.to_string(),
            Value::Text(text) => text.clone(),
            Value::Day(day) => day.to_string(),
        });
        values.chain([v.to_string()]).collect::<Vec<_>>().join("|")
    };
    let condition = if without { String::new() } else { format!(" WHERE {}", filter.sql()) };
    let case = format!("{ddl}\n{condition}");
    let query = |name: &str| format!("SELECT {}, v FROM {name}{condition}", names.join(", "));
    let is_projected = |partition: &[&Pooled]| partition.iter().all(|one| one.projected);

    let mut expected: Vec<String> =
        rows.iter().filter(|(partition, v)| is_projected(partition) && keeps(partition, *v)).map(shown).collect();
    expected.sort();
    lake.bucket.forget();
    let found = lake.rows(&query("t")).await;
    prop_assert!(found.is_ok(), "{case}\n{}", found.unwrap_err());
    prop_assert_eq!(found.unwrap(), expected, "{}", case);
    if without || filter.is_on_partitions() {
        let mut places: Vec<_> = partitions
            .iter()
            .filter(|partition| is_projected(partition) && keeps(partition, 0))
            .map(|partition| place(partition))
            .collect();
        places.sort();
        prop_assert_eq!(lake.bucket.lists(), places, "{}", case);
    }

    // A date in another form is no value of the column without its projection.
    let is_plain = |column: &Column| {
        column.pool.iter().all(|one| !matches!(&one.value, Value::Day(day) if day.to_string() != one.text))
    };
    if template.is_none() && columns.iter().all(is_plain) {
        // Without projection, everything that is there counts.
        lake.table(&table("plain", "'projection.enabled'='false'"));
        let mut expected: Vec<String> = rows.iter().filter(|(partition, v)| keeps(partition, *v)).map(shown).collect();
        expected.sort();
        let found = lake.rows(&query("plain")).await;
        prop_assert!(found.is_ok(), "{case}\n{}", found.unwrap_err());
        prop_assert_eq!(found.unwrap(), expected, "{}", case);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_projection_is_a_filter_over_all_rows(numbers in prop::collection::vec(any::<u32>(), 0..400)) {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(check(numbers))?;
    }
}

//! What the answers of InfluxDB 1, 2, 3 and QuestDB make of a batch: those of InfluxDB 1 and QuestDB as the servers in the
//! workspace's tests give them, InfluxDB 3's as its source writes them.

use std::{sync::Mutex, time::Duration};

use backon::ExponentialBuilder;
use hurtig_async_sink::Counts;
use hurtig_influx::{Failure, Transport, delivery::deliver};

/// Answers as its script has it, from the last, and keeps what it was sent.
struct Scripted(Mutex<Vec<(u16, &'static str)>>, Mutex<Vec<Vec<String>>>);

impl Transport for Scripted {
    async fn write(&self, lines: &[&[u8]]) -> Result<(), Failure> {
        let text = |line: &&[u8]| String::from_utf8_lossy(line).into_owned();
        self.1.lock().expect("sent").push(lines.iter().map(text).collect());
        let Some((status, body)) = self.0.lock().expect("a script").pop() else { return Ok(()) };
        if status < 300 { Ok(()) } else { Err(Failure::judge(status, None, body.as_bytes(), lines)) }
    }
}

/// Which of the lines `a` to `d` are refused, and how many lines each request had.
fn run(script: &[(u16, &'static str)]) -> (Vec<usize>, Vec<usize>) {
    let transport = Scripted(Mutex::new(script.iter().rev().copied().collect()), Mutex::default());
    let lines: [&[u8]; 4] = [b"m a=1 1", b"m b=1 1", b"m c=1 1", b"m d=1 1"];
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let quick = ExponentialBuilder::new().with_min_delay(Duration::from_millis(1));
    let answer = runtime.block_on(deliver(&transport, &lines, quick, &Counts::default())).expect("delivered");
    let refused = answer.iter().enumerate().filter(|(_, reason)| reason.is_some()).map(|(at, _)| at).collect();
    (refused, transport.1.into_inner().expect("sent").iter().map(Vec::len).collect())
}

#[test]
fn only_the_wrong_lines_are_refused() {
    let v3 = r#"{"error":"partial write of line protocol occurred","data":[{"error_message":"no","line_number":2,"original_line":"m b=1 1"}]}"#;
    assert_eq!(run(&[(400, v3)]), (vec![1], vec![4]));
    let v3_first = r#"{"error":"line protocol parsing error","data":{"error_message":"no","line_number":3,"original_line":"m c"}}"#;
    assert_eq!(run(&[(400, v3_first)]), (vec![2], vec![4, 3]));
    let v1 = r#"{"error":"partial write: unable to parse 'm b=1 1': bad\nunable to parse 'm d=1 1': worse dropped=0"}"#;
    assert_eq!(run(&[(400, v1)]), (vec![1, 3], vec![4, 2]));
    let questdb = r#"{"code":"invalid","message":"failed to parse","line":4,"errorId":"x"}"#;
    assert_eq!(run(&[(400, questdb)]), (vec![3], vec![4, 3]));
    let conflict = r#"{"error":"partial write: field type conflict: input field dropped=1"}"#;
    assert_eq!(run(&[(400, conflict), (400, conflict), (204, ""), (400, conflict)]), (vec![1], vec![4, 2, 1, 1, 2]));
    let all = r#"{"error":"partial write: points beyond retention policy dropped=4"}"#;
    assert_eq!(run(&[(400, all)]), (vec![0, 1, 2, 3], vec![4]));
    assert_eq!(run(&[(429, ""), (503, ""), (500, "")]), (vec![], vec![4, 4, 4, 4]));
    assert_eq!(run(&[(413, "")]), (vec![], vec![4, 2, 2]));
}

#[test]
fn what_no_line_is_to_blame_for_is_the_end() {
    for (status, body) in [
        (401, ""),
        (500, r#"{"error":"retention policy not found: month"}"#),
        (404, r#"{"error":"database not found"}"#),
        (400, r#"{"error":"database is required"}"#),
    ] {
        let failure = Failure::judge(status, None, body.as_bytes(), &[]);
        assert!(matches!(failure, Failure::Final { .. }), "{failure:?}");
    }
    let busy = Failure::judge(429, Some("7"), b"", &[]);
    assert!(matches!(busy, Failure::Busy { retry_after: Some(after), .. } if after == Duration::from_secs(7)));
}

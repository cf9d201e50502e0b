//! One rule of the coordinator a test.

use super::*;

const STOP: CheckpointKind = CheckpointKind::StopWithSavepoint { drain: false };

/// Two subtasks, an interval of 100, a pause of 30, a timeout of 50.
fn coordinator(config: impl FnOnce(&mut CoordinatorConfig)) -> Coordinator {
    let mut settings = CoordinatorConfig {
        interval_ms: Some(100),
        min_pause_ms: 30,
        timeout_ms: 50,
        tolerable_failures: 1,
        retained: 2,
    };
    config(&mut settings);
    let start = CoordinatorStart { subtasks: vec![key(0), key(1)], ..CoordinatorStart::default() };
    Coordinator::new(settings, start)
}

fn key(subtask: u16) -> SubtaskKey {
    SubtaskKey::new("window", subtask)
}

fn ack(id: CheckpointId, subtask: u16) -> Event {
    Event::Acked {
        id,
        subtask: key(subtask),
        metrics: AckMetrics { full_bytes: 10, uploaded_bytes: 4, ..AckMetrics::default() },
    }
}

fn written(id: CheckpointId) -> Event {
    Event::ManifestWritten { id, path: format!("/c/{id}") }
}

fn savepoint(request: u64, kind: CheckpointKind) -> Event {
    Event::SavepointRequested { request, directory: "/s".to_owned(), kind }
}

fn triggered(actions: &[Action]) -> Option<Barrier> {
    actions.iter().find_map(|action| match action {
        Action::Trigger { barrier } => Some(*barrier),
        _ => None,
    })
}

/// Acks and writes checkpoint `id`; what `ManifestWritten` led to.
fn write(coordinator: &mut Coordinator, now_ms: i64, id: CheckpointId) -> Vec<Action> {
    coordinator.on_event(now_ms, ack(id, 0));
    let actions = coordinator.on_event(now_ms, ack(id, 1));
    assert!(matches!(actions[..], [Action::WriteManifest { id: written, .. }] if written == id), "{actions:?}");
    coordinator.on_event(now_ms, written(id))
}

fn complete(coordinator: &mut Coordinator, now_ms: i64, id: CheckpointId) -> Vec<Action> {
    write(coordinator, now_ms, id);
    coordinator.on_event(now_ms, Event::Committed { id })
}

#[test]
fn periodic_triggers_keep_the_interval_and_the_pause() {
    let mut c = coordinator(|_| {});
    assert_eq!(c.next_wakeup(), Some(100));
    assert_eq!(c.on_event(99, Event::Tick), []);
    assert_eq!(triggered(&c.on_event(100, Event::Tick)), Some(Barrier { id: 1, kind: CheckpointKind::Checkpoint }));
    assert_eq!(c.next_wakeup(), Some(150), "the timeout");
    complete(&mut c, 120, 1);
    assert_eq!(c.next_wakeup(), Some(200), "the interval");
    c.on_event(200, Event::Tick);
    write(&mut c, 240, 2);
    assert_eq!(c.next_wakeup(), Some(290), "the commit's timeout");
    c.on_event(280, Event::Committed { id: 2 });
    assert_eq!(c.next_wakeup(), Some(310), "the pause");
}

#[test]
fn nothing_is_triggered_before_the_commit_is_answered() {
    let mut c = coordinator(|config| config.timeout_ms = 1_000);
    c.on_event(100, Event::Tick);
    assert_eq!(write(&mut c, 110, 1), [Action::Commit { id: 1 }]);
    assert_eq!(c.on_event(500, Event::CheckpointRequested { request: 1 }), []);
    assert_eq!(triggered(&c.on_event(510, Event::Committed { id: 1 })).map(|b| b.id), Some(2));
}

#[test]
fn every_subtask_has_to_acknowledge_once() {
    let mut c = coordinator(|_| {});
    c.on_event(100, Event::Tick);
    assert_eq!(c.on_event(101, ack(1, 0)), []);
    assert_eq!(c.on_event(101, ack(1, 0)), []);
    assert_eq!(c.on_event(102, ack(1, 1)), [Action::WriteManifest { id: 1, savepoint: None }]);
    let record = c.statistics().record(1).unwrap();
    assert_eq!((record.full_bytes(), record.uploaded_bytes(), record.latest_ack_at()), (20, 8, Some(102)));
}

#[test]
fn a_timeout_aborts_and_late_uploads_are_discarded() {
    let mut c = coordinator(|_| {});
    c.on_event(100, Event::Tick);
    c.on_event(101, ack(1, 0));
    let actions = c.on_event(150, Event::Tick);
    let [Action::Abort { id: 1, reason }, Action::Discard { id: 1 }] = &actions[..] else { panic!("{actions:?}") };
    assert!(reason.contains("window/1"), "{reason}");
    assert_eq!(c.on_event(160, ack(1, 1)), [Action::Discard { id: 1 }]);
    assert_eq!(c.statistics().counts.failed, 1);
    assert_eq!(c.statistics().latest_failed.as_ref().unwrap().status, CheckpointStatus::Failed);
}

#[test]
fn the_tolerance_is_for_failures_in_a_row() {
    let mut c = coordinator(|_| {});
    let decline = |id| Event::Declined { id, reason: "disk full".to_owned() };
    c.on_event(100, Event::Tick);
    c.on_event(101, decline(1));
    c.on_event(200, Event::Tick);
    complete(&mut c, 201, 2);
    c.on_event(300, Event::Tick);
    let actions = c.on_event(301, decline(3));
    assert!(!actions.iter().any(|a| matches!(a, Action::FailJob { .. })), "{actions:?}");
    c.on_event(400, Event::Tick);
    let actions = c.on_event(401, decline(4));
    assert!(matches!(&actions[..], [.., Action::FailJob { reason }] if reason.contains("disk full")), "{actions:?}");
    assert_eq!(c.next_wakeup(), None);
}

#[test]
fn a_savepoint_waits_for_the_checkpoint_and_its_failure_is_tolerated() {
    let mut c = coordinator(|config| config.tolerable_failures = 0);
    c.on_event(100, Event::Tick);
    assert_eq!(c.on_event(101, savepoint(7, CheckpointKind::Savepoint)), []);
    let actions = complete(&mut c, 102, 1);
    assert_eq!(triggered(&actions), Some(Barrier { id: 2, kind: CheckpointKind::Savepoint }));
    c.on_event(103, ack(2, 0));
    assert_eq!(c.on_event(103, ack(2, 1)), [Action::WriteManifest { id: 2, savepoint: Some("/s".to_owned()) }]);
    let actions = c.on_event(104, Event::ManifestFailed { id: 2, reason: "read-only".to_owned() });
    assert_eq!(
        actions[1..],
        [Action::Discard { id: 2 }, Action::AnswerRequest { request: 7, answer: Err("read-only".to_owned()) }]
    );
}

#[test]
fn stop_is_answered_when_the_job_has_stopped() {
    let mut c = coordinator(|_| {});
    assert_eq!(triggered(&c.on_event(5, savepoint(7, STOP))).map(|b| b.kind), Some(STOP));
    c.on_event(6, Event::CheckpointRequested { request: 8 });
    assert_eq!(write(&mut c, 7, 1), [Action::Commit { id: 1 }]);
    let actions = c.on_event(8, Event::Committed { id: 1 });
    let answer = Ok(Answer { id: 1, path: "/c/1".to_owned() });
    assert_eq!(actions[0], Action::AnswerRequest { request: 7, answer });
    assert!(matches!(actions[1], Action::AnswerRequest { request: 8, answer: Err(_) }));
    assert_eq!(actions[2], Action::Finished);
    let actions = c.on_event(9, Event::CheckpointRequested { request: 9 });
    assert!(matches!(actions[..], [Action::AnswerRequest { request: 9, answer: Err(_) }]));
}

#[test]
fn a_failed_stop_restarts_the_job() {
    let mut c = coordinator(|_| {});
    c.on_event(5, savepoint(7, STOP));
    let actions = c.on_event(6, Event::Declined { id: 1, reason: "no".to_owned() });
    assert!(matches!(&actions[..], [.., Action::AnswerRequest { answer: Err(_), .. }, Action::FailJob { .. }]));
}

#[test]
fn the_end_of_input_triggers_the_last_checkpoint_until_it_succeeds() {
    let mut c = coordinator(|_| {});
    c.on_event(100, Event::Tick);
    assert_eq!(c.on_event(110, Event::SourcesEnded), [], "after the one in flight");
    let actions = complete(&mut c, 120, 1);
    assert_eq!(triggered(&actions), Some(Barrier { id: 2, kind: CheckpointKind::Final }));
    c.on_event(130, Event::ManifestFailed { id: 2, reason: "ignored: not writing".to_owned() });
    c.on_event(130, Event::Declined { id: 2, reason: "no".to_owned() });
    assert_eq!(c.next_wakeup(), Some(160));
    assert_eq!(triggered(&c.on_event(160, Event::Tick)).map(|b| (b.id, b.kind)), Some((3, CheckpointKind::Final)));
    assert_eq!(complete(&mut c, 170, 3), [Action::Finished]);
}

#[test]
fn a_failed_commit_fails_the_job_and_keeps_the_checkpoint() {
    let mut c = coordinator(|_| {});
    c.on_event(100, Event::Tick);
    write(&mut c, 101, 1);
    let actions = c.on_event(102, Event::CommitFailed { id: 1, reason: "denied".to_owned() });
    assert!(matches!(&actions[..], [Action::FailJob { reason }] if reason.contains("denied")));
    assert_eq!(c.statistics().latest_completed.as_ref().unwrap().id, 1);
}

#[test]
fn a_restart_waits_for_the_manifest() {
    let mut c = coordinator(|_| {});
    c.on_event(100, Event::Tick);
    c.on_event(101, ack(1, 0));
    c.on_event(101, ack(1, 1));
    c.on_event(102, Event::TaskFailed { reason: "panic".to_owned() });
    assert!(!c.is_settled());
    assert_eq!(c.on_event(103, written(1)), [], "complete, and nobody there to commit");
    assert!(c.is_settled());
    let restored =
        RestoredCheckpoint { id: 1, is_savepoint: false, external_path: "/c/1".to_owned(), restored_at: 110 };
    c.on_event(110, Event::Restarted { restored: Some(restored) });
    assert_eq!(c.next_wakeup(), Some(210));
    assert_eq!(triggered(&c.on_event(210, Event::Tick)).map(|b| b.id), Some(2));
    assert_eq!(c.statistics().counts.restored, 1);
}

#[test]
fn numbers_go_on_after_what_is_stored_and_restored() {
    let restored = |id| RestoredCheckpoint { id, is_savepoint: true, external_path: String::new(), restored_at: 0 };
    let next = |stored: &[u64], restored: Option<RestoredCheckpoint>| {
        let start = CoordinatorStart { stored: stored.to_vec(), restored, ..CoordinatorStart::default() };
        let mut c = Coordinator::new(CoordinatorConfig::default(), start);
        let actions = c.on_event(1, Event::CheckpointRequested { request: 1 });
        // Without subtasks there is nothing to wait for.
        assert!(matches!(actions[1], Action::WriteManifest { .. }));
        triggered(&actions).unwrap().id
    };
    assert_eq!(next(&[], None), 1);
    assert_eq!(next(&[3, 9], Some(restored(3))), 10);
    assert_eq!(next(&[3], Some(restored(12))), 13);
}

#[test]
fn the_oldest_are_subsumed() {
    let start =
        CoordinatorStart { subtasks: vec![key(0), key(1)], stored: vec![1, 2, 5], ..CoordinatorStart::default() };
    let mut c = Coordinator::new(CoordinatorConfig { retained: 2, ..CoordinatorConfig::default() }, start);
    c.on_event(1, Event::CheckpointRequested { request: 1 });
    let actions = write(&mut c, 2, 6);
    assert_eq!(actions[0], Action::Subsume { ids: vec![1, 2] });
    assert_eq!(actions[1], Action::Commit { id: 6 });
    let actions = c.on_event(3, Event::Committed { id: 6 });
    assert!(matches!(actions[0], Action::AnswerRequest { request: 1, answer: Ok(_) }), "answered when it is visible");
}

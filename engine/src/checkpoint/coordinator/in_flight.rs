//! The one checkpoint in flight, and the request that it may be taken for.

use std::collections::BTreeSet;

use super::protocol::{Action, Answer};
use crate::checkpoint::snapshot::{Barrier, CheckpointKind};
use crate::checkpoint::statistics::SubtaskKey;

/// Until its commit is answered.
#[derive(Debug)]
pub(super) struct InFlight {
    pub barrier: Barrier,
    pub request: Option<Request>,
    pub stage: Stage,
}

/// How far it has come; the deadline is for leaving the stage.
#[derive(Debug)]
pub(super) enum Stage {
    Collecting {
        missing: BTreeSet<SubtaskKey>,
        deadline: i64,
    },
    /// No deadline: a manifest that may have been written cannot be taken back.
    Writing,
    Committing {
        path: String,
        deadline: i64,
    },
}

/// Somebody waits for the answer. A savepoint has a directory.
#[derive(Debug)]
pub(super) struct Request {
    pub number: u64,
    pub kind: CheckpointKind,
    pub directory: Option<String>,
}

impl InFlight {
    /// When it is given up.
    pub fn deadline(&self) -> Option<i64> {
        match self.stage {
            Stage::Collecting { deadline, .. } | Stage::Committing { deadline, .. } => Some(deadline),
            Stage::Writing => None,
        }
    }
}

/// Answers a request, if there is one.
pub(super) fn answer(request: Option<Request>, answer: Result<Answer, String>, actions: &mut Vec<Action>) {
    if let Some(Request { number, .. }) = request {
        actions.push(Action::AnswerRequest { request: number, answer });
    }
}

/// Answers a request, if there is one, with the reason why not.
pub(super) fn refuse(request: impl Into<Option<Request>>, reason: impl Into<String>, actions: &mut Vec<Action>) {
    answer(request.into(), Err(reason.into()), actions);
}

/// A checkpoint is complete, but nobody is there to commit it: the restore from it does that. So a
/// savepoint was taken; only a job that was to stop with it has not stopped, which `reason` says.
pub(super) fn uncommitted(in_flight: InFlight, path: String, reason: String, actions: &mut Vec<Action>) {
    let Barrier { id, kind } = in_flight.barrier;
    let outcome = if kind.ends_job() { Err(reason) } else { Ok(Answer { id, path }) };
    answer(in_flight.request, outcome, actions);
}

//! Answers that are given again for a moment: however many browsers look, the store is asked once.

use std::{collections::HashMap, future::Future, sync::Arc, time::Duration};

use axum::http::StatusCode;
use bytes::Bytes;
use hurtig_state::Clock;
use parking_lot::Mutex;

/// A status and the JSON that goes with it.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The JSON.
    pub body: Bytes,
}

/// The answers of the last moment, by their question.
pub struct Answers {
    clock: Arc<dyn Clock>,
    fresh_for_ms: i64,
    slots: Mutex<HashMap<String, Arc<Slot>>>,
}

/// When an answer was made, and what it is. Whoever makes it holds this, and the others wait for what he brings.
type Slot = tokio::sync::Mutex<Option<(i64, Answer)>>;

/// So many questions are remembered before old ones are forgotten.
const SLOTS: usize = 256;

impl Answers {
    /// Answers that are good for so long.
    pub fn new(clock: Arc<dyn Clock>, fresh_for: Duration) -> Self {
        let fresh_for_ms = i64::try_from(fresh_for.as_millis()).unwrap_or(i64::MAX);
        Answers { clock, fresh_for_ms, slots: Mutex::default() }
    }

    /// The answer to `question`, made now unless a fresh one is there.
    pub async fn get(&self, question: &str, make: impl Future<Output = Answer>) -> Answer {
        let slot = self.slot(question);
        let mut slot = slot.lock().await;
        if let Some((made, answer)) = slot.as_ref()
            && self.is_fresh(*made)
        {
            return answer.clone();
        }
        let answer = make.await;
        // As old as its end: one that takes longer than it is fresh must not be made again for each who has waited.
        *slot = Some((self.clock.now_ms(), answer.clone()));
        answer
    }

    fn slot(&self, question: &str) -> Arc<Slot> {
        let mut slots = self.slots.lock();
        if slots.len() >= SLOTS && !slots.contains_key(question) {
            slots.retain(|_, slot| {
                // What is held is being made.
                slot.try_lock().map_or(true, |slot| slot.as_ref().is_some_and(|(made, _)| self.is_fresh(*made)))
            });
        }
        slots.entry(question.to_owned()).or_default().clone()
    }

    /// Whether what was made at a time is still good.
    pub fn is_fresh(&self, made: i64) -> bool {
        // A clock that was put back makes nothing fresh.
        (0..self.fresh_for_ms).contains(&(self.clock.now_ms() - made))
    }
}

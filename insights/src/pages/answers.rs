//! Answers that are given again for a while: the files beside a picture are of the same answer.

use std::{collections::HashMap, sync::Arc, time::Duration};

use hurtig_state::Clock;
use parking_lot::Mutex;

use crate::answer::Answer;

/// So many are remembered.
const MOST: usize = 24;

/// The last answers, by what was asked.
pub struct Answers {
    clock: Arc<dyn Clock>,
    fresh_for_ms: i64,
    known: Mutex<HashMap<String, (i64, Arc<Answer>)>>,
}

impl Answers {
    /// Answers that are good for so long.
    pub fn new(clock: Arc<dyn Clock>, fresh_for: Duration) -> Self {
        let fresh_for_ms = i64::try_from(fresh_for.as_millis()).unwrap_or(i64::MAX);
        Answers { clock, fresh_for_ms, known: Mutex::default() }
    }

    /// A fresh answer, if there is one.
    pub fn get(&self, key: &str) -> Option<Arc<Answer>> {
        let known = self.known.lock();
        known.get(key).filter(|(made, _)| self.is_fresh(*made)).map(|(_, answer)| answer.clone())
    }

    /// Remembers one, and forgets what is old; of too many, the oldest.
    pub fn put(&self, key: String, answer: Arc<Answer>) {
        let mut known = self.known.lock();
        known.retain(|_, (made, _)| self.is_fresh(*made));
        if known.len() >= MOST {
            let oldest = known.iter().min_by_key(|(_, (made, _))| *made).map(|(key, _)| key.clone());
            oldest.map(|key| known.remove(&key));
        }
        known.insert(key, (self.clock.now_ms(), answer));
    }

    /// A clock that was put back makes nothing fresh.
    fn is_fresh(&self, made: i64) -> bool {
        (0..self.fresh_for_ms).contains(&(self.clock.now_ms() - made))
    }
}

//! The input of a task: its channels, merged. Watermarks by minimum, barriers by alignment.
//!
//! Alignment blocks a channel, never a thread: a channel that has delivered the barrier is
//! not read before the others have delivered it too. The channel's own queue holds what
//! follows, and the byte budget holds the sender back.

use super::channel::{Control, Message, Receiver};
use crate::{
    checkpoint::Barrier,
    record::Record,
    time::{MAX_WATERMARK, MIN_WATERMARK},
};

/// What a task gets from its gate.
#[derive(Debug)]
pub enum GateEvent<T> {
    /// Records.
    Batch(Vec<Record<T>>),
    /// The merged watermark has advanced.
    Watermark(i64),
    /// All channels are idle.
    Idle,
    /// The barrier has come on all channels. They stay blocked until [`InputGate::resume`].
    Barrier(Barrier),
    /// All channels have ended.
    EndOfInput,
}

struct Channel {
    receiver: Receiver,
    watermark: i64,
    idle: bool,
    ended: bool,
    blocked: bool,
}

/// Merges the channels of a task.
pub struct InputGate {
    channels: Vec<Channel>,
    next: usize,
    watermark: i64,
    idle: bool,
    ended: bool,
    aligning: Option<Alignment>,
    newest_barrier: u64,
}

/// A checkpoint that waits for its barrier on some channels.
#[derive(Debug, Clone, Copy)]
struct Alignment {
    missing: usize,
    since: i64,
}

impl InputGate {
    /// A gate over `receivers`, continuing at a restored watermark.
    pub fn new(receivers: Vec<Receiver>, watermark: i64) -> Self {
        let channels = receivers
            .into_iter()
            .map(|receiver| Channel { receiver, watermark: MIN_WATERMARK, idle: false, ended: false, blocked: false })
            .collect();
        InputGate { channels, next: 0, watermark, idle: false, ended: false, aligning: None, newest_barrier: 0 }
    }

    /// The next event, from the channels in turn. `None`: nothing to do now.
    pub fn poll<T: 'static>(&mut self, now: i64) -> Option<GateEvent<T>> {
        let n = self.channels.len();
        let mut looked = 0;
        while looked < n {
            let i = self.next;
            self.next = if i + 1 == n { 0 } else { i + 1 };
            looked += 1;
            let channel = &mut self.channels[i];
            if channel.blocked {
                continue;
            }
            let Some(message) = channel.receiver.try_recv() else { continue };
            match message {
                Message::Batch(batch) => {
                    channel.idle = false;
                    self.idle = false;
                    if let Ok(records) = batch.records.downcast::<Vec<Record<T>>>() {
                        return Some(GateEvent::Batch(*records));
                    }
                    debug_assert!(false, "both ends of a channel have one record type");
                }
                Message::Control(control) => {
                    if let Some(event) = self.on_control(i, control, now) {
                        return Some(event);
                    }
                    // The same channel may have more behind a control event that said nothing new.
                    looked = 0;
                }
            }
        }
        None
    }

    /// Unblocks the channels after the snapshot; returns how long the alignment took.
    pub fn resume(&mut self, now: i64) -> i64 {
        for c in &mut self.channels {
            c.blocked = false;
        }
        self.aligning.take().map_or(0, |a| now - a.since)
    }

    /// When the barrier that is being aligned came on its first channel.
    pub fn aligning_since(&self, now: i64) -> i64 {
        self.aligning.map_or(now, |a| a.since)
    }

    /// The merged watermark.
    pub fn watermark(&self) -> i64 {
        self.watermark
    }

    /// Messages that wait on all channels.
    pub fn queued(&self) -> usize {
        self.channels.iter().map(|c| c.receiver.len()).sum()
    }

    fn on_control<T>(&mut self, i: usize, control: Control, now: i64) -> Option<GateEvent<T>> {
        match control {
            Control::Watermark(w) => {
                let c = &mut self.channels[i];
                c.watermark = c.watermark.max(w);
                c.idle = false;
                self.idle = false;
                self.advance()
            }
            Control::Idle => {
                self.channels[i].idle = true;
                if self.channels.iter().all(|c| c.idle || c.ended) {
                    let news = !self.idle && !self.ended;
                    self.idle = true;
                    return news.then_some(GateEvent::Idle);
                }
                self.advance()
            }
            Control::EndOfInput => {
                self.channels[i].ended = true;
                self.channels[i].watermark = MAX_WATERMARK;
                if self.channels.iter().all(|c| c.ended) && !self.ended {
                    self.ended = true;
                    return Some(GateEvent::EndOfInput);
                }
                self.advance()
            }
            Control::Barrier(barrier) => self.on_barrier(i, barrier, now),
        }
    }

    /// The minimum over all channels that are neither idle nor at their end; never goes back.
    fn advance<T>(&mut self) -> Option<GateEvent<T>> {
        let live = self.channels.iter().filter(|c| !c.idle && !c.ended);
        let least = live.map(|c| c.watermark).min()?;
        if least <= self.watermark {
            return None;
        }
        self.watermark = least;
        Some(GateEvent::Watermark(least))
    }

    fn on_barrier<T>(&mut self, i: usize, barrier: Barrier, now: i64) -> Option<GateEvent<T>> {
        if barrier.id < self.newest_barrier {
            return None; // of a checkpoint that was given up
        }
        if barrier.id > self.newest_barrier {
            self.newest_barrier = barrier.id;
            self.resume(now);
            self.aligning = Some(Alignment { missing: self.channels.len(), since: now });
        }
        let alignment = self.aligning.as_mut()?;
        if self.channels[i].blocked {
            return None;
        }
        self.channels[i].blocked = true;
        alignment.missing -= 1;
        (alignment.missing == 0).then_some(GateEvent::Barrier(barrier))
    }
}

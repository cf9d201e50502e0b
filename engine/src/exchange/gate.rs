//! The input of a task: its channels, merged. Watermarks by minimum, barriers by alignment.
//!
//! An idle channel does not hold the watermark back, and one at its end neither. But the last
//! watermark comes only when every channel is at its end: an idle one may wake up again, and its
//! records would all be late.
//!
//! Alignment blocks a channel, never a thread: a channel that has delivered the barrier is
//! not read before the others have delivered it too. The channel's own queue holds what
//! follows, and the byte budget holds the sender back.

use std::any::Any;

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
    /// A batch that woke an idle gate up: whoever is downstream hears of that first.
    woken_by: Option<Box<dyn Any + Send>>,
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
        InputGate {
            channels,
            next: 0,
            watermark,
            idle: false,
            ended: false,
            aligning: None,
            newest_barrier: 0,
            woken_by: None,
        }
    }

    /// The next event, from the channels in turn. `None`: nothing to do now.
    pub fn poll<T: 'static>(&mut self, now: i64) -> Option<GateEvent<T>> {
        if let Some(Ok(records)) = self.woken_by.take().map(|batch| batch.downcast::<Vec<Record<T>>>()) {
            return Some(GateEvent::Batch(*records));
        }
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
                    if std::mem::take(&mut self.idle) {
                        self.woken_by = Some(batch.records);
                        return Some(GateEvent::Watermark(self.watermark));
                    }
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
                if w == MAX_WATERMARK {
                    return self.rest_or_advance();
                }
                let woken = std::mem::take(&mut self.idle);
                self.advance().or_else(|| woken.then_some(GateEvent::Watermark(self.watermark)))
            }
            Control::Idle => {
                self.channels[i].idle = true;
                self.rest_or_advance()
            }
            Control::EndOfInput => {
                self.channels[i].ended = true;
                self.channels[i].watermark = MAX_WATERMARK;
                if self.channels.iter().all(|c| c.ended) && !self.ended {
                    self.ended = true;
                    return Some(GateEvent::EndOfInput);
                }
                self.rest_or_advance()
            }
            Control::Barrier(barrier) => self.on_barrier(i, barrier, now),
        }
    }

    /// A channel has stopped taking part: perhaps it was the last one, or the one waited for.
    fn rest_or_advance<T>(&mut self) -> Option<GateEvent<T>> {
        let at_end = |c: &Channel| c.ended || c.watermark == MAX_WATERMARK;
        let resting = self.channels.iter().all(|c| c.idle || at_end(c));
        if resting && !self.channels.iter().all(at_end) {
            let news = !self.idle;
            self.idle = true;
            return news.then_some(GateEvent::Idle);
        }
        self.advance()
    }

    /// The minimum over all channels that are neither idle nor at their end, or the end of time
    /// when all are; never goes back.
    fn advance<T>(&mut self) -> Option<GateEvent<T>> {
        let live = self.channels.iter().filter(|c| !c.idle && c.watermark < MAX_WATERMARK);
        let all_at_end = || self.channels.iter().all(|c| c.watermark == MAX_WATERMARK).then_some(MAX_WATERMARK);
        let least = live.map(|c| c.watermark).min().or_else(all_at_end)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        checkpoint::CheckpointKind,
        exchange::channel::{AnyBatch, ByteBudget, Sender, channel},
        task::pool::Waker,
    };

    fn gate(channels: usize) -> (Vec<Sender>, InputGate) {
        let budget = ByteBudget::new(1 << 20);
        let ends = (0..channels).map(|_| channel(budget.clone(), Waker::default(), Waker::default()));
        let (senders, receivers): (Vec<_>, Vec<_>) = ends.unzip();
        (senders, InputGate::new(receivers, MIN_WATERMARK))
    }

    fn send(sender: &Sender, value: i64) {
        let batch = AnyBatch { records: Box::new(vec![Record::new(value)]), bytes: 8 };
        assert!(sender.try_send(batch).is_ok());
    }

    fn barrier(id: u64) -> Barrier {
        Barrier { id, kind: CheckpointKind::Checkpoint }
    }

    /// All there is, a batch by its first value.
    fn events(gate: &mut InputGate) -> Vec<String> {
        let events = std::iter::from_fn(|| gate.poll::<i64>(0));
        events
            .map(|event| match event {
                GateEvent::Batch(records) => format!("batch {}", records[0].value),
                GateEvent::Watermark(w) if w == MAX_WATERMARK => "end of time".into(),
                GateEvent::Watermark(w) => format!("watermark {w}"),
                GateEvent::Idle => "idle".into(),
                GateEvent::Barrier(b) => format!("barrier {}", b.id),
                GateEvent::EndOfInput => "end".into(),
            })
            .collect()
    }

    #[test]
    fn the_slowest_channel_decides_and_time_never_goes_back() {
        let (senders, mut gate) = gate(2);
        senders[0].send_control(Control::Watermark(10));
        assert!(events(&mut gate).is_empty());
        senders[1].send_control(Control::Watermark(7));
        assert_eq!(events(&mut gate), ["watermark 7"]);
        senders[1].send_control(Control::Watermark(5));
        assert!(events(&mut gate).is_empty());
        senders[1].send_control(Control::Idle);
        assert_eq!(events(&mut gate), ["watermark 10"]);
    }

    #[test]
    fn who_wakes_up_is_heard_of_before_his_records() {
        let (senders, mut gate) = gate(2);
        senders.iter().for_each(|s| s.send_control(Control::Watermark(5)));
        senders.iter().for_each(|s| s.send_control(Control::Idle));
        assert_eq!(events(&mut gate), ["watermark 5", "idle"]);
        send(&senders[1], 42);
        assert_eq!(events(&mut gate), ["watermark 5", "batch 42"]);
        senders[1].send_control(Control::Idle);
        assert_eq!(events(&mut gate), ["idle"]);
        senders[0].send_control(Control::Watermark(3));
        assert_eq!(events(&mut gate), ["watermark 5"], "its own time is long past");
    }

    #[test]
    fn the_end_of_time_waits_for_a_channel_that_is_only_idle() {
        let (senders, mut gate) = gate(2);
        senders.iter().for_each(|s| s.send_control(Control::Watermark(5)));
        senders[0].send_control(Control::Idle);
        senders[1].send_control(Control::Watermark(MAX_WATERMARK));
        senders[1].send_control(Control::EndOfInput);
        assert_eq!(events(&mut gate), ["watermark 5", "idle"], "the first may come back");
        send(&senders[0], 1);
        senders[0].send_control(Control::Watermark(6));
        assert_eq!(events(&mut gate), ["watermark 5", "batch 1", "watermark 6"]);
        senders[0].send_control(Control::Watermark(MAX_WATERMARK));
        senders[0].send_control(Control::EndOfInput);
        assert_eq!(events(&mut gate), ["end of time", "end"]);
    }

    #[test]
    fn alignment_holds_a_channel_back_and_nothing_else() {
        let (senders, mut gate) = gate(2);
        senders[0].send_control(Control::Barrier(barrier(1)));
        send(&senders[0], 10);
        send(&senders[1], 20);
        assert_eq!(events(&mut gate), ["batch 20"]);
        senders[1].send_control(Control::Barrier(barrier(1)));
        send(&senders[1], 21);
        assert_eq!(events(&mut gate), ["barrier 1"]);
        gate.resume(0);
        let mut rest = events(&mut gate);
        rest.sort();
        assert_eq!(rest, ["batch 10", "batch 21"]);
    }

    #[test]
    fn a_newer_barrier_gives_the_older_one_up() {
        let (senders, mut gate) = gate(2);
        senders[0].send_control(Control::Barrier(barrier(1)));
        senders[1].send_control(Control::Barrier(barrier(2)));
        assert!(events(&mut gate).is_empty());
        senders[0].send_control(Control::Barrier(barrier(2)));
        assert_eq!(events(&mut gate), ["barrier 2"]);
        gate.resume(0);
        senders[1].send_control(Control::Barrier(barrier(1)));
        send(&senders[1], 3);
        assert_eq!(events(&mut gate), ["batch 3"], "the late one blocks nobody");
    }
}

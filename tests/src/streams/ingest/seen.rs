//! What the live reader has found in the stream: every message is looked at, byte by byte.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail, ensure};
use hurtig_kinesis::kpl;

use super::{
    file::{self, File},
    lag::Lags,
};

/// How a live record begins.
const LIVE: &str = r#"{"live":"#;

/// A live record of about `size` bytes.
pub fn live_record(number: u64, sent: i64, size: usize) -> Vec<u8> {
    format!(r#"{LIVE}{number},"sent":{sent},"rest":"{}"}}"#, "r".repeat(size)).into_bytes()
}

/// What was found so far. Clones are the same.
#[derive(Clone)]
pub struct Seen(Arc<Mutex<State>>);

/// What was found so far.
pub struct State {
    /// For each row of the file one more than the offset that its message's id names; 0: not yet.
    offsets: Vec<u64>,
    /// The file's part of the ids: one version of one file.
    version: Option<String>,
    /// How many rows were found.
    pub rows: u64,
    /// Messages that were there already.
    pub again: u64,
    /// Bytes of the file's messages, each once.
    pub bytes: u64,
    /// Which live records were found.
    live: Vec<bool>,
    /// How late they were.
    pub lags: Lags,
    wrong: Option<String>,
}

impl Seen {
    /// Nothing of it.
    pub fn new(file: &File) -> Self {
        Seen(Arc::new(Mutex::new(State {
            offsets: vec![0; file.rows as usize],
            version: None,
            rows: 0,
            again: 0,
            bytes: 0,
            live: Vec::new(),
            lags: Lags::default(),
            wrong: None,
        })))
    }

    /// The state now.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A record of the stream that came at `now`.
    pub fn record(&self, data: &[u8], now: i64) {
        let mut state = self.lock();
        let found = match kpl::decode(data) {
            Some(aggregate) => aggregate.records.iter().try_for_each(|member| state.message(&member.data, now)),
            None => state.message(data, now),
        };
        if let Err(e) = found {
            state.wrong.get_or_insert_with(|| format!("{e:#}"));
        }
    }

    /// How many rows were found; an error if something was found that should not be there.
    pub fn rows(&self) -> Result<u64> {
        let state = self.lock();
        state.wrong.as_ref().map_or(Ok(state.rows), |wrong| bail!("{wrong}"))
    }
}

impl State {
    fn message(&mut self, data: &[u8], now: i64) -> Result<()> {
        let text = std::str::from_utf8(data)?;
        match text.strip_prefix(LIVE) {
            Some(rest) => self.live(rest, now).with_context(|| format!("no live record: {text}")),
            None => self.of_file(text).with_context(|| format!("not as it is in the file: {text}")),
        }
    }

    fn live(&mut self, rest: &str, now: i64) -> Result<()> {
        let (number, rest) = rest.split_once(r#","sent":"#).context("it has no time")?;
        let (sent, _) = rest.split_once(',').context("it has no end")?;
        let number: usize = number.parse()?;
        if self.live.len() <= number {
            self.live.resize(number + 1, false);
        }
        // What an answer that was cut off made its sender send again was there before.
        if !std::mem::replace(&mut self.live[number], true) {
            self.lags.add(sent.parse()?, now);
        }
        Ok(())
    }

    fn of_file(&mut self, text: &str) -> Result<()> {
        let (_, n) = text.split_once(r#","n":"#).context("it has no number")?;
        let n: u64 = n.split_once(',').context("its number has no end")?.0.parse()?;
        let id = text.strip_prefix(&file::message(n)?).and_then(|id| id.strip_suffix("\"}"));
        let (version, offset) = id.and_then(|id| id.split_once('-')).context("a field is another")?;
        let offset = u64::from_str_radix(offset, 16)? + 1;
        let before = self.version.get_or_insert_with(|| version.to_owned());
        ensure!(before == version, "its id names another file");
        let known = self.offsets.get_mut(n as usize).context("there is no such row")?;
        match *known {
            0 => {
                *known = offset;
                self.rows += 1;
                self.bytes += text.len() as u64;
            }
            known if known == offset => self.again += 1,
            _ => bail!("it was there already, with another id"),
        }
        Ok(())
    }

    /// Whether everything has come: each row of the file, under an id of its own, and so many live
    /// records.
    pub fn is_all(&self, file: &File, live: u64) -> Result<()> {
        if let Some(wrong) = &self.wrong {
            bail!("{wrong}");
        }
        ensure!(self.rows == file.rows, "{} records of {} are in the stream", self.rows, file.rows);
        // Rows are numbered as they follow one another: so must the ids' offsets.
        let same = self.offsets.windows(2).position(|two| two[0] >= two[1]);
        ensure!(same.is_none(), "the ids of record {same:?} and the next do not follow one another");
        let come = self.live.iter().filter(|come| **come).count() as u64;
        ensure!(come == live, "{come} live records of {live} have come");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(n: u64, id: &str) -> Vec<u8> {
        (file::message(n).expect("a message") + id + "\"}").into_bytes()
    }

    #[test]
    fn each_row_once_is_all() {
        let file = File { bytes: 0, rows: 2, bad: 0 };
        let seen = Seen::new(&file);
        seen.record(&message(0, "ab-f"), 5);
        assert!(seen.lock().is_all(&file, 0).is_err(), "one is missing");
        seen.record(&message(1, "ab-1f"), 5);
        seen.record(&message(1, "ab-1f"), 5);
        seen.record(&live_record(0, 3, 10), 5);
        let state = seen.lock();
        assert_eq!((state.rows, state.again, state.lags.between(0, 9).all), (2, 1, 2));
        state.is_all(&file, 1).expect("all of it");
        assert!(state.is_all(&file, 2).is_err());
    }

    #[test]
    fn what_is_not_as_it_was_is_seen() {
        let file = File { bytes: 0, rows: 2, bad: 0 };
        let wrong = |messages: &[Vec<u8>]| {
            let seen = Seen::new(&file);
            messages.iter().for_each(|m| seen.record(m, 5));
            assert!(seen.rows().is_err());
        };
        wrong(&[message(0, "ab-f"), message(0, "ab-ff")]);
        wrong(&[message(0, "ab-f"), message(1, "cd-ff")]);
        wrong(&[message(2, "ab-f")]);
        wrong(&[String::from_utf8(message(0, "ab-f")).expect("text").replace("h01\":", "h01\":1").into_bytes()]);
    }
}

//! From what a snapshot holds to what the job declares: another version, a time to live that came
//! or went. The stored elements are rewritten once, when the state is registered.

use crate::descriptor::{Declaration, MigrationFn};
use crate::encoding::{append, append_varint, split_element, split_stamp};
use crate::snapshot::{StateKind, StateMeta};
use crate::{Error, Result, StateValue};

/// Turns stored bytes of one state into what the job declares.
pub(crate) struct Upgrade<V> {
    uid: String,
    state: String,
    kind: StateKind,
    was_stamped: bool,
    stamped: bool,
    now: i64,
    migration: Option<(u32, MigrationFn<V>)>,
}

impl<V: StateValue> Upgrade<V> {
    /// What it takes to read `found` as `declared`: `None` if it can be read as it is.
    pub(crate) fn plan(
        uid: &str,
        found: &StateMeta,
        declared: &StateMeta,
        declaration: &Declaration<V>,
        now: i64,
    ) -> Result<Option<Self>> {
        let incompatible = |advice: String| Error::IncompatibleState {
            uid: uid.to_owned(),
            state: declared.name.clone(),
            found: found.to_string(),
            declared: declared.to_string(),
            advice,
        };
        if found.kind != declared.kind {
            return Err(incompatible("a state keeps its kind: give the new one another name".to_owned()));
        }
        if found.key_type != declared.key_type {
            return Err(incompatible(
                "the key's type decides where a record goes and cannot change: give the operator a new uid".to_owned(),
            ));
        }
        let same = found.version == declared.version && found.value_type == declared.value_type;
        let migration = declaration.migrations.iter().find(|(version, _)| *version == found.version);
        if !same && (migration.is_none() || found.version == declared.version) {
            let version = found.version;
            return Err(incompatible(if version == declared.version {
                format!("raise the descriptor's version and give it .migrate_from({version}, …)")
            } else {
                format!("give the descriptor .migrate_from({version}, …)")
            }));
        }
        let migration = if same { None } else { migration.copied() };
        Ok((migration.is_some() || found.ttl != declared.ttl).then(|| Self {
            uid: uid.to_owned(),
            state: declared.name.clone(),
            kind: declared.kind,
            was_stamped: found.ttl,
            stamped: declared.ttl,
            now,
            migration,
        }))
    }

    /// Rewrites one stored value.
    pub(crate) fn apply(&self, stored: &[u8]) -> Result<Vec<u8>> {
        let mut out = Vec::with_capacity(stored.len() + 8);
        if self.kind == StateKind::List {
            let mut rest = stored;
            while !rest.is_empty() {
                let (element, tail) =
                    split_element(rest, self.was_stamped).ok_or_else(|| self.failed("the list is damaged"))?;
                rest = tail;
                let value = self.payload(element.bytes)?;
                self.append_stamp(element.stamp, &mut out);
                append_varint(value.len(), &mut out);
                out.extend_from_slice(&value);
            }
            return Ok(out);
        }
        let (stamp, value) = if self.was_stamped {
            split_stamp(stored).ok_or_else(|| self.failed("the value is damaged"))?
        } else {
            (self.now, stored)
        };
        self.append_stamp(stamp, &mut out);
        out.extend_from_slice(&self.payload(value)?);
        Ok(out)
    }

    fn append_stamp(&self, stamp: i64, out: &mut Vec<u8>) {
        if self.stamped {
            // A value that had no time to live begins to live now.
            let stamp = if self.was_stamped { stamp } else { self.now };
            out.extend_from_slice(&stamp.to_le_bytes());
        }
    }

    fn payload(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        let Some((_, migrate)) = self.migration else {
            return Ok(bytes.to_vec());
        };
        let value = migrate(bytes).map_err(|reason| self.failed(&reason))?;
        let mut out = Vec::new();
        append(&value, &mut out).map_err(|source| Error::Encode {
            uid: self.uid.clone(),
            state: self.state.clone(),
            source,
        })?;
        Ok(out)
    }

    fn failed(&self, reason: &str) -> Error {
        Error::Migration {
            uid: self.uid.clone(),
            state: self.state.clone(),
            version: self.migration.map_or(0, |(version, _)| version),
            reason: reason.to_owned(),
        }
    }
}
